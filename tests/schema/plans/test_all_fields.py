"""Every field of the whole schema, asked of a district with everything in it: the plan gives what the stock gives.

What can't be planned stands in UNPLANNED with its reason, so that no field falls back in silence.
"""

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from schema.connections import is_connected
from schema.mapping import MappedField
from schema.plans.collect import BACKREF
from schema.query import NodeQuery
from tests.schema.plans.conftest import Both
from tests.schema.test_isolation import NODE, NODE_TYPES, SCHEMA, Side, arguments, sides  # noqa: F401 — a fixture
from tests.schema.walking import Selector, is_node, readable

pytestmark = pytest.mark.anyio


def fields_of(type_name: str) -> dict[str, GraphQLField]:
    """Fields of an object type."""
    named = SCHEMA.type_map[type_name]
    assert isinstance(named, GraphQLObjectType)
    return dict(named.fields)


def unplanned() -> set[str]:
    """Every field that has no plan."""
    found = set()
    for key in readable(SCHEMA):
        owner, _, name = key.partition(".")
        field = fields_of(owner)[name].extensions[BACKREF]
        cls = SCHEMA.type_map[owner].extensions[BACKREF].origin
        if not isinstance(field, MappedField) and not is_connected(cls) and field.origin is not NodeQuery:
            found.add(key)
    return found


UNPLANNED: set[str] = set()
"""Fields by which an operation goes to the stock executor: none."""


def test_all_that_has_no_plan_is_known() -> None:
    assert unplanned() == UNPLANNED


@dataclass
class Planned(Selector):
    """Leaves out what has no plan; of the nodes that one leads to, only their ids where it is `shallow`."""

    shallow: bool = False

    def field(self, parent: str, name: str, field: GraphQLField, depth: int, alias: str = "") -> str:
        """Nothing for what has no plan."""
        return "" if f"{parent}.{name}" in UNPLANNED else super().field(parent, name, field, depth, alias)

    def select(self, named: Any, depth: int) -> str:
        """The ids of nodes."""
        return "{ __typename id }" if self.shallow and is_node(named) else super().select(named, depth)


def by_ids(type_name: str, selected: str) -> str:
    """A query of nodes."""
    return f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_name} {{ {selected} }} }} }}"


async def test_every_field(sides: tuple[Side, Side], both: Both) -> None:  # noqa: F811 — a fixture
    side = sides[0]
    selector = Planned(SCHEMA, arguments(side), set(), shallow=True)
    for type_name in NODE_TYPES:
        fields = fields_of(type_name).items()
        selected = " ".join(selector.field(type_name, name, field, 1) for name, field in fields)
        body = await both.ask(side.caller, by_ids(type_name, selected), {"ids": side.known[type_name][:5]})
        assert "errors" not in body, body
    for name, field in SCHEMA.query_type.fields.items():  # type: ignore[union-attr]  # there is one
        given = dict(arguments(side))
        if "id" in field.args:
            type_name = "OrgUnit" if name == "node" else get_named_type(field.type).name
            given[f"Query.{name}"] = f'(id: "{side.known[type_name][0]}")'
        elif "ids" in field.args:
            given[f"Query.{name}"] = f"(ids: {orjson.dumps(side.known['Cycle'] + side.known['OrgUnit']).decode()})"
        selector.arguments = given
        body = await both.ask(side.caller, f"{{ {selector.field('Query', name, field, 1)} }}")
        assert "errors" not in body, body
    assert selector.chosen == readable(SCHEMA) - UNPLANNED


@pytest.mark.long
async def test_every_field_with_all_that_it_leads_to(
    sides: tuple[Side, Side],  # noqa: F811 — a fixture
    both: Both,
) -> None:
    side = sides[0]
    selector = Planned(SCHEMA, arguments(side), set())
    for type_name in NODE_TYPES:
        for name, field in fields_of(type_name).items():
            for asked in ways_to_ask(selector, type_name, name, field):
                ids = side.known[type_name][:5]
                body = await both.ask(side.caller, by_ids(type_name, asked), {"ids": ids})
                assert "errors" not in body, body


def ways_to_ask(selector: Planned, type_name: str, name: str, field: GraphQLField) -> list[str]:
    """The field with all that it leads to; where that may be any node, once for each type."""
    if get_named_type(field.type) is not NODE:
        asked = selector.field(type_name, name, field, 1)
        return [asked] if asked else []
    return [f"{name} {{ __typename ... on {one} {selector.select(SCHEMA.type_map[one], 0)} }}" for one in NODE_TYPES]
