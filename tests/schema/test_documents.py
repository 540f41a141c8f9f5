"""Documents are parsed and validated once, bounded by bytes, and refused with numbers where they ask for too much."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphql import get_introspection_query

from schema.documents import Documents
from schema.execution import Engine
from schema.masking import Refusal
from schema.options import DocumentLimits
from tests.schema.toy import options, toy_schema

LIMITS = DocumentLimits()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(toy_schema(), options())


@pytest.fixture
def documents(engine: Engine) -> Documents:
    return Documents(engine.core, LIMITS, 10_000_000)


@contextmanager
def quickly() -> Iterator[None]:
    """In less than half a second of the processor; the collection of what other tests left behind does not count."""
    gc.disable()
    began = time.thread_time()
    try:
        yield
    finally:
        gc.enable()
    assert time.thread_time() - began < 0.5


def refused(documents: Documents, text: str) -> list[dict[str, Any]]:
    with pytest.raises(Refusal) as caught:
        documents.get(text, "en")
    return caught.value.errors


def excess(documents: Documents, text: str) -> dict[str, tuple[int, int]]:
    errors = refused(documents, text)
    assert {error["extensions"]["code"] for error in errors} == {"QUERY_TOO_COMPLEX"}
    return {e["extensions"]["limit"]: (e["extensions"]["actual"], e["extensions"]["maximum"]) for e in errors}


def doubling(levels: int) -> str:
    """Fragments of which each spreads the next twice: 2^levels fields in a text of some hundred bytes."""
    links = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels))
    return f"query {{ ...F0 }} {links} fragment F{levels} on Query {{ hello }}"


def test_same_text_is_the_same_document(documents: Documents) -> None:
    first = documents.get("{ hello }", "en")
    assert documents.get("{ hello }", "zh-CN") is first
    assert documents.misses == 1
    assert documents.get("{ hello }  ", "en") is not first


def test_bounded_by_bytes_and_the_longest_unused_leaves(engine: Engine) -> None:
    one = Documents(engine.core, LIMITS, 10**9).get("{ a: hello }", "en").bytes
    documents = Documents(engine.core, LIMITS, one * 3)
    for name in "abc":
        documents.get(f"{{ {name}: hello }}", "en")
    documents.get("{ a: hello }", "en")
    documents.get("{ d: hello }", "en")
    assert len(documents) == 3
    assert documents.bytes <= one * 3
    misses = documents.misses
    documents.get("{ a: hello }", "en")
    assert documents.misses == misses
    documents.get("{ b: hello }", "en")
    assert documents.misses == misses + 1


def test_longer_than_the_cache_is_served_and_not_kept(engine: Engine) -> None:
    documents = Documents(engine.core, LIMITS, 100)
    assert documents.get("{ hello }", "en").operations
    assert len(documents) == 0


@pytest.mark.parametrize("text", ["{ hello", "{ nope }", doubling(18)])
def test_faults_are_not_kept(documents: Documents, text: str) -> None:
    refused(documents, text)
    refused(documents, text)
    assert len(documents) == 0
    assert documents.misses == 2


def test_faults_are_told_in_the_language_of_each_caller(documents: Documents) -> None:
    with pytest.raises(Refusal) as chinese:
        documents.get("{ nope }", "zh-CN")
    assert chinese.value.errors[0]["message"].startswith("查询与接口定义不符：")
    assert refused(documents, "{ nope }")[0]["message"].startswith("Cannot query field")


@pytest.mark.parametrize("levels", [18, 22, 200])
def test_doubling_fragments_are_measured_in_milliseconds(documents: Documents, levels: int) -> None:
    with quickly():
        told = excess(documents, doubling(levels))
    assert told["fields"] == (min(2**levels, 10**9), LIMITS.fields)


def test_depth(documents: Documents) -> None:
    def nested(levels: int) -> str:
        return "{ unit {" + "child {" * (levels - 2) + " name " + "}" * (levels - 2) + "} }"

    documents.get(nested(LIMITS.depth), "en")
    assert excess(documents, nested(LIMITS.depth + 1))["depth"] == (LIMITS.depth + 1, LIMITS.depth)


def test_long_chains_of_fragments_are_refused(documents: Documents) -> None:
    chain = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(700))
    errors = refused(documents, f"{{ ...F0 }} {chain} fragment F700 on Query {{ hello }}")
    assert errors[0]["extensions"]["code"] in ("QUERY_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED")


def test_deep_nesting_is_refused_by_the_parser(documents: Documents) -> None:
    errors = refused(documents, "{" + "a{" * 2000 + "b" + "}" * 2001)
    assert errors[0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


def test_aliases_tokens_bytes_directives_roots(documents: Documents) -> None:
    unit = " ".join(f"a{i}: name" for i in range(LIMITS.aliases + 1))
    assert excess(documents, f"{{ unit {{ {unit} }} }}") == {"aliases": (LIMITS.aliases + 1, LIMITS.aliases)}
    assert excess(documents, "{" + "hello " * 6000 + "}") == {"tokens": (LIMITS.tokens + 1, LIMITS.tokens)}
    assert excess(documents, "{ hello }" + " " * LIMITS.bytes)["bytes"] == (LIMITS.bytes + 9, LIMITS.bytes)
    skips = "@skip(if: false) " * 101
    assert excess(documents, f"{{ hello {skips} }}") == {"directives": (101, LIMITS.directives)}
    many = " ".join(f"a{i}: hello" for i in range(31))
    assert excess(documents, f"{{ {many} }}") == {"roots": (31, LIMITS.roots)}


def test_one_field_again_and_again_would_be_compared_in_pairs(documents: Documents) -> None:
    again = "child { name } " * (LIMITS.repeats + 1)
    assert excess(documents, f"{{ unit {{ {again} }} }}") == {"repeats": (LIMITS.repeats + 1, LIMITS.repeats)}
    spread = "{ unit { " + "...A " * 70 + "} } fragment A on Unit { child { name } }"
    documents.get(spread, "en")  # A fragment counts once at one place.


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ unit { ...A } } fragment A on Unit { child { ...A } a: child { ...A } b: child { ...A } }",
        "{ ...Nope }",
        "{ hello } fragment A on Nope { x }",
        "{ hello hello(name: 5) }",
        "query A { hello } query A { hello }",
        "{ hello } { who }",
        "type Query { a: String }",
        "{ __schema { types { fields { type { fields { type { fields { type { fields { name }}}}}}}}} }",
    ],
)
def test_what_only_validation_understands_is_left_to_it(documents: Documents, text: str) -> None:
    with quickly():
        found = refused(documents, text)
    assert {error["extensions"]["code"] for error in found} == {"GRAPHQL_VALIDATION_FAILED"}


def test_validation_tells_where(documents: Documents) -> None:
    [error] = refused(documents, "mutation { add(rows: [{value: 1}, {value: true}]) }")
    assert error["extensions"]["path"] == ["rows", "1", "value"]
    assert error["locations"]
    [error] = refused(documents, "{ unit { c: child { nope } } }")
    assert error["extensions"]["path"] == ["unit", "c", "nope"]
    errors = refused(documents, '{ choose(either: {left: 1, right: "b"}) }')
    assert [error["extensions"]["path"] for error in errors] == [["either"]]


def test_at_most_twenty_faults_are_told(documents: Documents) -> None:
    assert len(refused(documents, "{ unit {" + " ".join(f"f{i}" for i in range(500)) + "} }")) == 20


def test_standard_introspection_is_within_the_limits(documents: Documents) -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    assert documents.get(query, "en").operation(None, "en").measured.introspects
    assert not documents.get("{ __typename hello }", "en").operation(None, "en").measured.introspects


def cost(documents: Documents, text: str, **variables: object) -> int:
    return documents.get(text, "en").operation(None, "en").check_cost(variables, LIMITS, "en")


def test_cost_is_values_by_pages(documents: Documents) -> None:
    assert cost(documents, "{ hello }") == 1
    assert cost(documents, "{ units(first: 10) { name } }") == 11
    assert cost(documents, "{ units { name } }") == 21
    assert cost(documents, "{ units(last: 100) { name child { name } } }") == 301
    assert cost(documents, "{ units(first: 10) { units(first: 10) { name } } }") == 111
    assert cost(documents, "{ units(first: 100000) { name } }") == 101
    twice = "{ a: units(first: 10) { ...N } b: units(first: 10) { ...N } } fragment N on Unit { name c: name }"
    assert cost(documents, twice) == 42


def test_cost_follows_the_variables(documents: Documents) -> None:
    text = "query($n: Int = 5) { units(first: $n) { name } }"
    assert cost(documents, text, n=10) == 11
    assert cost(documents, text) == 6
    assert cost(documents, text, n=None) == 6
    assert cost(documents, text, n=10**30) == 101
    assert cost(documents, text, n="many") == 6
    assert cost(documents, "query($n: Int) { units(first: $n) { name } }") == 21


def test_cost_above_the_limit_is_refused_with_numbers(documents: Documents) -> None:
    text = "query($n: Int) { units(first: $n) { units(first: $n) { units(first: 100) { name } } } }"
    assert cost(documents, text, n=10)
    with pytest.raises(Refusal) as caught:
        cost(documents, text, n=100)
    extensions = caught.value.errors[0]["extensions"]
    assert extensions["code"] == "QUERY_TOO_COMPLEX"
    assert (extensions["limit"], extensions["actual"], extensions["maximum"]) == ("cost", 1_010_101, LIMITS.cost)
    assert extensions["hint"]


def test_operations_by_name(documents: Documents) -> None:
    two = documents.get("query A { hello } query B { who }", "en")
    assert two.operation("B", "en").name == "B"
    assert documents.get("query A { hello }", "en").operation("", "en").name == "A"
    for name in (None, "", "C"):
        with pytest.raises(Refusal) as caught:
            two.operation(name, "en")
        assert caught.value.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
