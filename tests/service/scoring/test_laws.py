"""Laws that hold whatever the scheme: order of units, equal inputs, other codes, same bytes, no harm from doing
better.
"""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.scoring import Result, compute, dump_scheme, parse_scheme, scheme_document
from tests.service.scoring.agreement import scheme_of
from tests.service.scoring.build import X, document, leaf, run
from tests.service.scoring.cases import Case, snapshot_of

LOOSE = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
SEEDS = st.integers(0, 2**48)


def outputs(result: Result) -> dict[str, tuple[Any, ...]]:
    """Everything of each unit, by unit."""
    columns: list[list[Any]] = [
        result.totals(),
        result.exact_totals(),
        result.ranks(),
        result.overall_ranks(),
        result.shared_by(),
        result.statuses(),
        result.coverages(),
        result.grades(),
    ]
    for code in result.node_codes:
        columns += [result.node_scores(code), result.node_marks(code), result.node_exacts(code)]
    return dict(zip(result.units, zip(*columns, strict=True), strict=True))


@LOOSE
@given(SEEDS)
def test_the_order_of_units_does_not_matter(seed: int) -> None:
    case = Case(seed)
    scheme = scheme_of(case)
    shuffled = list(case.units)
    Random(seed).shuffle(shuffled)
    assert outputs(compute(scheme, snapshot_of(scheme, case.units))) == outputs(
        compute(scheme, snapshot_of(scheme, shuffled))
    )


@LOOSE
@given(SEEDS)
def test_the_same_snapshot_gives_the_same_bytes(seed: int) -> None:
    case = Case(seed)
    scheme = scheme_of(case)
    first, second = (compute(scheme, snapshot_of(scheme, case.units)) for _ in range(2))
    assert repr(outputs(first)) == repr(outputs(second))


@LOOSE
@given(SEEDS)
def test_renaming_codes_changes_only_codes(seed: int) -> None:
    case = Case(seed)
    plain = outputs(compute(scheme_of(case), snapshot_of(scheme_of(case), case.units)))

    def renamed(code: str | None) -> str | None:
        return None if code is None else f"新-{code}"

    for node in case.nodes:
        node["code"], node["parentCode"] = renamed(node["code"]), renamed(node.get("parentCode"))
    breakers = case.document["settings"].get("tieBreakers")
    if breakers:
        case.document["settings"]["tieBreakers"] = [renamed(code) for code in breakers]
    for grade in case.document["settings"].get("grades", ()):
        for condition in grade.get("conditions", ()):
            condition["indicator"] = renamed(condition.get("indicator"))
    for unit in case.units:
        unit.awards = {f"新-{code}": award for code, award in unit.awards.items()}
        unit.leaf_states = {f"新-{code}": state for code, state in unit.leaf_states.items()}
        unit.leaf_values = {(f"新-{code}", item): value for (code, item), value in unit.leaf_values.items()}
        unit.group_awards = {(f"新-{code}", name): value for (code, name), value in unit.group_awards.items()}
        unit.events = [{**event, "indicator": renamed(event["indicator"])} for event in unit.events]
    scheme = scheme_of(case)
    assert outputs(compute(scheme, snapshot_of(scheme, case.units))) == plain


@LOOSE
@given(SEEDS)
def test_equal_inputs_earn_equal_results(seed: int) -> None:
    case = Case(seed)
    first = case.units[0]
    twin = type(first)(**{**first.__dict__, "key": "twin"})
    scheme = scheme_of(case)
    found = outputs(compute(scheme, snapshot_of(scheme, [*case.units, twin])))
    assert found["twin"] == found[first.key]


@LOOSE
@given(SEEDS)
def test_a_dumped_scheme_reads_as_the_same_scheme(seed: int) -> None:
    scheme = scheme_of(Case(seed))
    again, faults = parse_scheme(scheme_document(scheme))
    assert [fault for fault in faults if fault.severity == "FAULT"] == []
    assert again == scheme
    assert again is not None
    assert dump_scheme(again) == dump_scheme(scheme)


RISING: dict[str, Callable[[], dict[str, Any]]] = {
    "LINEAR": lambda: {"kind": "LINEAR", "quantity": X, "zeroAt": "0", "fullAt": "9"},
    "COMPLETION": lambda: {"kind": "COMPLETION", "actual": X, "target": {"numerator": {"constant": "7"}}},
    "MINMAX": lambda: {"kind": "MINMAX", "quantity": X},
    "EFFICACY": lambda: {"kind": "EFFICACY", "quantity": X, "base": "0.6"},
    "BANDS": lambda: {
        "kind": "BANDS",
        "quantity": X,
        "bands": [{"from": "6", "marks": "100"}, {"from": "3", "marks": "50"}, {"from": None, "marks": "0"}],
    },
}


@pytest.mark.parametrize("kind", sorted(RISING))
@LOOSE
@given(st.lists(st.integers(-2, 12), min_size=2, max_size=6), st.integers(0, 5), st.integers(1, 4))
def test_doing_better_never_lowers_the_own_rank(kind: str, values: list[int], place: int, more: int) -> None:
    place %= len(values)
    scheme = document(leaf(RISING[kind]()), leaf({"kind": "LINEAR", "quantity": X, "zeroAt": "0", "fullAt": "5"}))
    before = run(scheme, {"x": values})
    better = [value + (more if i == place else 0) for i, value in enumerate(values)]
    after = run(scheme, {"x": better})
    first, second = before.ranks()[place], after.ranks()[place]
    assert first is not None
    assert second is not None
    assert second <= first
    assert (after.exact_total(place) or Fraction(0)) >= (before.exact_total(place) or Fraction(0))
