"""Every mutation tells all faults of form of one input at once: a person mends a form once, not field by field."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from service.ids import encode_id
from tenants.ids import uuid7
from tests.schema.test_isolation import Side, mutations, sides, state_of
from tests.schema.walking import ONE_OF

pytestmark = pytest.mark.anyio

__all__ = ["sides"]

Json = dict[str, Any]
Form = tuple[Json, set[tuple[str, ...]]]
"""An input, and the places in it where something is typed wrong."""

MALFORMED = {
    "String": "a\u0000\u202eb",
    "Decimal": "1e5",
    "Date": "2026-13-45",
    "DateTime": "yesterday",
    "ID": "no id",
}
"""Of each kind that is typed, what can't be read."""

NEVER_JUDGED = {("input", "password")}
"""What can't be read is a wrong password like any other, at signIn; elsewhere any text may be one."""

PLAIN = {"Int": 1, "Boolean": True, "DataItemType": "CHOICE"}
"""Of each other kind, what is all right; a data item must be of a type that takes options."""


def forms(given: GraphQLInputObjectType, at: tuple[str, ...]) -> Iterator[Form]:
    """Inputs with all that can be typed typed wrong, and the places; several where one of several parts is given."""
    if getattr(given, "is_one_of", False) or given.name in ONE_OF:
        for name, field in given.fields.items():
            for value, places in values(field, (*at, name)):
                yield {name: value}, places
        return
    made: list[Form] = [({}, set())]
    for name, field in given.fields.items():
        if name == "idempotencyKey":
            made = [({**form, name: "key"}, places) for form, places in made]
            continue
        each = list(values(field, (*at, name)))
        # One after the other with the first of the rest: all pairs would be too many.
        made = [({**form, name: each[0][0]}, places | each[0][1]) for form, places in made] + [
            ({**made[0][0], name: value}, made[0][1] | places) for value, places in each[1:]
        ]
    yield from made


def values(field: Any, at: tuple[str, ...]) -> Iterator[tuple[Any, set[tuple[str, ...]]]]:
    """What stands at a field."""
    listed = isinstance(get_nullable_type(field.type), GraphQLList)
    at = (*at, "0") if listed else at
    named: Any = get_named_type(field.type)
    if isinstance(named, GraphQLInputObjectType):
        found: list[tuple[Any, set[tuple[str, ...]]]] = list(forms(named, at))
    elif named.name in MALFORMED:
        found = [(MALFORMED[named.name], {at})]
    else:
        found = [(PLAIN.get(named.name) or next(iter(named.values)), set())]
    for value, places in found:
        yield [value] if listed else value, places


async def test_all_that_is_typed_wrong_is_told_at_once(sides: tuple[Side, Side]) -> None:
    here, _ = sides
    before = await state_of(here)
    lacking: dict[str, set[tuple[str, ...]]] = {}
    for name, given in mutations().items():
        document = f"""mutation ($input: {given.name}!) {{ {name}(input: $input) {{ __typename
            ... on Error {{ code message path }} ... on InputError {{ issueCount issues {{ code path }} }} }} }}"""
        for form, places in forms(given, ("input",)):
            answer = (await here.caller.ask(document, input=form))[name]
            told = {tuple(issue["path"]) for issue in answer.get("issues", ())}
            if places - told - NEVER_JUDGED:
                lacking.setdefault(name, set()).update(places - told - NEVER_JUDGED)
    assert await state_of(here) == before
    assert not lacking


async def test_what_cant_be_read_hides_no_broken_rule(sides: tuple[Side, Side]) -> None:
    here, _ = sides
    cycle = {
        "code": "y1",
        "name": "年度",
        "kind": "YEAR",
        "startsOn": "2026-13-01",
        "endsOn": "0001-12-31",
        "schemeVersionId": here.ids["frozen"],
        "underId": "no id",
        "opensOn": "2026-03-01",
        "dueOn": "2026-02-01",
        "graceDays": 1000,
        "previousCycleId": encode_id("Cycle", uuid7()),
    }
    document = """mutation ($input: CreateCycleInput!) { createCycle(input: $input) {
        ... on InputError { issues { code path } } } }"""
    answer = await here.caller.ask(document, input={"cycle": cycle, "idempotencyKey": "many"})
    assert {issue["path"][-1]: issue["code"] for issue in answer["createCycle"]["issues"]} == {
        "code": "DUPLICATE",
        "startsOn": "INVALID_DATETIME",
        "endsOn": "INVALID_DATETIME",
        "underId": "INVALID_ID",
        "dueOn": "INVALID",
        "graceDays": "INVALID",
        "previousCycleId": "NOT_FOUND",
    }
