"""A plan is kept for all who ask the same, and shows each of them its own rows and no others (计划不串权限).

Every field of every type is asked for by everybody, one after the other and back again, and by another district.
"""

import orjson
import pytest
from graphql import get_named_type

from schema.execution import Engine
from schema.options import EndpointOptions
from schema.schema import build_schema
from tests.schema.plans.conftest import WIDE
from tests.schema.plans.district import Populated, Told, tell
from tests.schema.plans.operations import Json, Operation
from tests.schema.plans.test_all_fields import Planned, by_ids, fields_of
from tests.schema.test_isolation import NODE_TYPES, SCHEMA, arguments, every_uuid, uuids_in

pytestmark = pytest.mark.anyio


def documents(populated: Populated) -> list[tuple[str, Json]]:
    """Every field of every type, with ids of the district."""
    side = populated.side
    selector = Planned(SCHEMA, arguments(side), set(), shallow=True)
    found: list[tuple[str, Json]] = []
    for type_name in NODE_TYPES:
        selected = " ".join(selector.field(type_name, name, field, 1) for name, field in fields_of(type_name).items())
        found.append((by_ids(type_name, selected), {"ids": side.known[type_name][:5]}))
    for name, field in SCHEMA.query_type.fields.items():  # type: ignore[union-attr]  # there is one
        if "id" in field.args and name != "node":
            selector.arguments = {**arguments(side), f"Query.{name}": "(id: $id)"}
            ids = side.known[get_named_type(field.type).name]
            found.append((f"query ($id: ID!) {{ {selector.field('Query', name, field, 1)} }}", {"id": ids[0]}))
        elif not {"id", "ids"} & set(field.args):
            found.append((f"{{ {selector.field('Query', name, field, 1)} }}", {}))
    return found


async def test_each_viewer_is_shown_its_own(populated: Populated) -> None:
    schema = build_schema()
    planned, stock = (Engine(schema, EndpointOptions(plans=plans, limits=WIDE)) for plans in (True, False))
    assert planned.plans is not None
    here, there = populated.side, populated.other
    mine, theirs = await every_uuid(here), await every_uuid(there)
    different, plans, seen = 0, 0, 0
    for document, variables in documents(populated):
        operation = Operation(document, None, variables, ())
        expected: dict[str, Told] = {}
        for who, caller in populated.viewers.items():
            told = await tell(stock, caller, operation, variables)
            assert told is not None
            expected[who] = told
        different += len({told.body for told in expected.values()}) > 2
        first = list(populated.viewers)
        written = 0
        for number, who in enumerate((*first, *reversed(first))):
            if number == len(first):
                written = planned.plans.compiled
            told = await tell(planned, populated.viewers[who], operation, variables)
            assert told is not None
            assert told.same(expected[who]), (who, document, told.body.decode(), expected[who].body.decode())
            text = told.body.decode()
            assert there.name not in text, (who, document)
            assert not uuids_in(text) & theirs, (who, document)
            plans += told.planned
            seen += len(uuids_in(text) & mine)
        assert planned.plans.compiled == written, f"a plan was not kept: {document}"
        foreign = await tell(planned, there.caller, operation, variables)
        assert foreign is not None
        assert here.name not in foreign.body.decode(), document
        assert not uuids_in(foreign.body.decode()) & mine - ids_of(variables), document
    assert different > len(NODE_TYPES) / 2, "viewers are shown different things"
    assert seen > 1000, "rows are shown"
    # Everybody but nobody has plans.
    assert plans >= 0.8 * 2 * len(documents(populated)) * (len(populated.viewers) - 1)


def ids_of(variables: Json) -> set[object]:
    """What the question itself names: an error may repeat it."""
    return set(uuids_in(orjson.dumps(list(variables.values())).decode()))
