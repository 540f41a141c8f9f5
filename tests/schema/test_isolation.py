"""Two districts with the same codes everywhere: nothing of one shows, or can be touched, through the other.

What is asked is made by walking the schema, so that whatever is added to it is attacked too; tables name of which type
the ids in an argument or input are, and tests fail where a table lacks one.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, get_named_type
from strawberry.types.execution import ExecutionResult

from schema.context import open_context
from schema.reach import table_of
from schema.registry import registered
from schema.schema import build_schema
from schema.sql import Statement, Viewpoint
from service.access import issue_jwt
from service.errors import AccessDenied, ErrorCode
from service.ids import encode_id, from_base64url, parse_id, to_base64url
from service.settings import Settings
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District, create_tenant
from tests.contents import contents
from tests.schema.conftest import Caller
from tests.schema.driving import caller_of, drive, mutate
from tests.schema.walking import Filler, Place, Selector, fields_with_ids, id_places, readable, spell, walked
from tests.small import Mutate, everything, expiry

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

SCHEMA = walked()
NODE = SCHEMA.type_map["Node"]
assert isinstance(NODE, GraphQLInterfaceType)
NODE_TYPES = sorted(one.name for one in SCHEMA.get_possible_types(NODE))
ROLES = ("ADMINISTRATOR", "ORGANISER", "ASSESSOR", "REVIEWER", "SECRETARY", "OBSERVER")
SOMEBODY, ANYTHING = ("Member", "ServiceToken"), tuple(NODE_TYPES)

ID_TYPES: dict[str, str | Sequence[str]] = {
    "actorId": SOMEBODY,
    "assessmentId": "Assessment",
    "assignedId": "DataItem",
    "basedOnId": "SchemeVersion",
    "categoryId": "Category",
    "categoryIds": "Category",
    "cycleId": "Cycle",
    "cycleUnitId": "CycleUnit",
    "dataItemId": "DataItem",
    "dataItemIds": "DataItem",
    "eventId": "Event",
    "grantId": "Grant",
    "holderId": SOMEBODY,
    "indicatorId": "Indicator",
    "indicatorIds": "Indicator",
    "jobId": "Job",
    "itemTrue": "DataItem",
    "memberId": "Member",
    "orgUnitId": "OrgUnit",
    "parentId": "OrgUnit",
    "AddIndicatorInput.parentId": "Indicator",
    "MoveIndicatorInput.parentId": "Indicator",
    "previousCycleId": "Cycle",
    "reportId": "Report",
    "responsibleUnitId": "OrgUnit",
    "responsibleUnitIds": "OrgUnit",
    "runId": "RankingRun",
    "schemeId": "Scheme",
    "schemeVersionId": "SchemeVersion",
    "serviceTokenId": "ServiceToken",
    "standingId": "Standing",
    "standingIds": "Standing",
    "subjectId": ANYTHING,
    "taskId": "Task",
    "taskIds": "Task",
    "tieGroupId": "TieGroup",
    "underId": "OrgUnit",
    "unitId": "OrgUnit",
    "VersionedIdInput.id": "Entry",
    "Query.cycle.id": "Cycle",
    "Query.node.id": ANYTHING,
    "Query.nodes.ids": ANYTHING,
    "Subscription.cycleChanged.id": "Cycle",
    "Subscription.jobChanged.id": "Job",
    "Subscription.rankingRunChanged.id": "RankingRun",
} | {
    f"Query.{name}.id": get_named_type(field.type).name
    for name, field in SCHEMA.query_type.fields.items()  # type: ignore[union-attr]  # there is one
    if list(field.args) == ["id"] and name != "node"
}
"""Of which type an id is: by the name of its field, or by owner and name where the name alone does not tell."""


def types_of(place: Place) -> Sequence[str]:
    """The types that an id at this place may be of."""
    step = place[-1]
    found = ID_TYPES.get(step.key) or ID_TYPES.get(step.name)
    assert found is not None, f"Say in ID_TYPES of which type {step.key} is."
    return (found,) if isinstance(found, str) else found


@dataclass(frozen=True)
class Side:
    """One of the two districts, and a caller who holds every role in all of it."""

    district: District
    name: str
    ids: Json
    caller: Caller
    known: dict[str, list[str]]
    """Ids of each type that the caller can read."""


@pytest.fixture(scope="module")
async def sides(db: Database, settings: Settings, owner_url: str) -> tuple[Side, Side]:
    """Two districts, made alike."""
    made = []
    for name in ("甲甲", "乙乙"):
        district = await create_tenant(
            owner_url,
            code=f"test-{uuid4().hex[:12]}",
            name=f"{name}区",
            time_zone="Asia/Shanghai",
            root_code="root",
            root_name=f"中共{name}区委员会",
        )
        made.append(await look(db, settings, district, name))
    return made[0], made[1]


async def look(db: Database, settings: Settings, district: District, name: str) -> Side:
    """A district with everything in it."""

    def steps() -> Any:
        ids = yield from everything(name)
        grants = [{"role": role, "unitId": ids["units"]["root"]} for role in ROLES]
        given = {"displayName": f"{name}全权", "grants": grants, "expiresAt": expiry()}
        ids["all"] = (yield Mutate("administrator", "createServiceToken", "secret", given))["secret"]
        return ids

    ids = await drive(db, settings, district, steps())
    caller = await caller_of(db, settings, ids["all"])
    assert caller.actor is not None
    known = {}
    for type_name in NODE_TYPES:
        table = table_of(registered(type_name))
        assert table is not None
        statement = Statement(Viewpoint(district.id, caller.actor.id, True, "EN", "Asia/Shanghai"))
        source, tenant = statement.render(table.name), statement.render("{tenant}")
        sql = f"SELECT r.{table.key[0]} FROM {source} r WHERE r.tenant_id = {tenant}"
        async with db.transaction(district.id, read_only=True) as tx:
            rows = [encode_id(type_name, row[0]) for row in await tx.fetch(sql, *statement.arguments)]
        found = await caller.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=rows[:100])
        known[type_name] = [node["id"] for node in found["nodes"] if node is not None]
        assert known[type_name], f"tests/small.py makes no {type_name} that can be seen: let it make one."
    return Side(district, name, ids, caller, known)


def spelled(result: ExecutionResult) -> bytes:
    """A whole answer as it goes out."""
    return orjson.dumps({"data": result.data, "errors": [error.formatted for error in result.errors or ()]})


async def answer(caller: Caller, document: str, **variables: Any) -> bytes:
    """The bytes of an answer; nothing may fail unexpectedly."""
    result = await caller.send(document, **variables)
    for error in result.errors or ():
        assert (error.extensions or {}).get("code"), (error, document)
    return spelled(result)


def test_every_id_has_a_type() -> None:
    fields = [SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type]
    places = [place for _, _, found in fields_with_ids(SCHEMA) for place in found]
    for kind in fields[1:]:
        assert kind is not None
        places += [
            place for name, field in kind.fields.items() for place in id_places(field.args, f"{kind.name}.{name}")
        ]
    used = {place[-1].key if place[-1].key in ID_TYPES else place[-1].name for place in places}
    assert all(types_of(place) for place in places)
    assert used == set(ID_TYPES), "and no entry is left over"
    assert {name for found in map(types_of, places) for name in found} <= set(NODE_TYPES)


# --- reading


def arguments(side: Side) -> dict[str, str]:
    """Arguments of fields that need some."""
    return {
        "Standing.nodeScore": '(code: "dim")',
        "RankingRun.publishBlockers": "(kind: NOTICE)",
        "Indicator.progress": f'(cycleId: "{side.ids["cycle"]}")',
    }


def whole(side: Side, type_name: str, chosen: set[str], depth: int) -> str:
    """A selection of everything that an object of the type leads to."""
    return Selector(SCHEMA, arguments(side), chosen).select(SCHEMA.type_map[type_name], depth)


async def compare(side: Side, document: str, foreign: Json, unknown: Json) -> bytes:
    """The answer to a foreign id, which must be that to an id that nobody has."""
    told = await answer(side.caller, document, **foreign)
    assert told == await answer(side.caller, document, **unknown), (document, foreign)
    return told


def unknown_id(type_name: str) -> str:
    """An id that nobody has."""
    return encode_id(type_name, uuid7())


async def test_no_row_of_the_other_is_found_by_its_id(sides: tuple[Side, Side]) -> None:
    here, there = sides
    roots = SCHEMA.query_type.fields  # type: ignore[union-attr]  # there is one
    for type_name in NODE_TYPES:
        selected = whole(here, type_name, set(), 0)
        documents = [f"query ($id: ID!) {{ node(id: $id) {{ ... on {type_name} {selected} }} }}"]
        documents += [
            f"query ($id: ID!) {{ {name}(id: $id) {selected} }}"
            for name, field in roots.items()
            if "id" in field.args and get_named_type(field.type).name == type_name
        ]
        own, foreign, unknown = here.known[type_name][0], there.known[type_name][0], unknown_id(type_name)
        for document in documents:
            assert None not in orjson.loads(await answer(here.caller, document, id=own))["data"].values()
            told = await compare(here, document, {"id": foreign}, {"id": unknown})
            assert set(orjson.loads(told)["data"].values()) == {None}
        await compare(
            here,
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
            {"ids": [own, foreign, here.known[type_name][-1]]},
            {"ids": [own, unknown, here.known[type_name][-1]]},
        )


FINDS_NOTHING = {("Report.tasks", "TaskFilter.responsibleUnitId")} | {
    ("Assessment.events", f"EventFilter.{name}") for name in ("cycleId", "indicatorIds", "underId", "unitId")
}
"""Arguments by which nothing is ever found: a unit's report has no tasks of departments; the district's events are all
of a leaf without assessments."""


async def test_no_argument_takes_an_id_of_the_other(sides: tuple[Side, Side]) -> None:
    here, there = sides
    idle = set()
    for owner, name, places in fields_with_ids(SCHEMA):
        if owner == "Query" and places[0][0].name in ("id", "ids"):
            continue
        for place in places:
            finds = False
            for type_name in types_of(place):
                theirs = argument_of(here, owner, name, place, there.known[type_name][0])
                nobodys = argument_of(here, owner, name, place, unknown_id(type_name))
                told = await answer(here.caller, theirs)
                assert told == await answer(here.caller, nobodys), theirs
                for own in here.known[type_name][:12]:
                    finds = finds or told != await answer(here.caller, argument_of(here, owner, name, place, own))
            if not finds:
                idle.add((f"{owner}.{name}", place[-1].key))
    assert idle == FINDS_NOTHING, "ids of the own district find nothing either: the test shows nothing there"


def argument_of(side: Side, owner: str, name: str, place: Place, given: str) -> str:
    """A query of the field with that id in its arguments."""
    value = f'"{given}"'
    for step in reversed(place):
        value = f"{step.name}: " + (f"[{value}]" if step.listed else value)
        if step is not place[0]:
            value = f"{{ {value} }}"
    parent = SCHEMA.type_map[owner]
    assert isinstance(parent, GraphQLObjectType)
    field = parent.fields[name]
    selector = Selector(SCHEMA, arguments(side) | {f"{owner}.{name}": f"({value})"}, set())
    asked = selector.field(owner, name, field, 1)
    if owner == "Query":
        return f"{{ {asked} }}"
    if owner == "Viewer":
        return f"{{ viewer {{ {asked} }} }}"
    assert owner in NODE_TYPES, f"Say how {owner} is reached."
    return f"query {{ nodes(ids: {orjson.dumps(side.known[owner][:8]).decode()}) {{ ... on {owner} {{ {asked} }} }} }}"


async def test_nothing_that_is_read_names_the_other(sides: tuple[Side, Side]) -> None:
    here, there = sides
    chosen: set[str] = set()
    theirs, mine = await every_uuid(there), await every_uuid(here)
    assert not theirs & mine
    named, seen = False, set()
    for document, variables in everything_readable(here, chosen):
        told = (await answer(here.caller, document, **variables)).decode()
        named = named or here.name in told
        seen |= uuids_in(told)
        assert there.name not in told, document
        assert not uuids_in(told) & theirs, document
    assert named, "names are read, or nothing is shown"
    assert len(seen & mine) > len(NODE_TYPES), "and so are ids"
    assert readable(SCHEMA) == chosen


def everything_readable(side: Side, chosen: set[str]) -> list[tuple[str, Json]]:
    """Documents that together ask for every field of every type."""
    documents: list[tuple[str, Json]] = []
    roots = SCHEMA.query_type.fields  # type: ignore[union-attr]  # there is one
    for name, field in roots.items():
        if "id" in field.args or "ids" in field.args:
            chosen.add(f"Query.{name}")
            continue
        asked = Selector(SCHEMA, arguments(side), chosen).field("Query", name, field, 1)
        documents.append((f"{{ {asked} }}", {}))
    for type_name in NODE_TYPES:
        selected = whole(side, type_name, chosen, 1)
        document = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_name} {selected} }} }}"
        documents.append((document, {"ids": side.known[type_name][:5]}))
    return documents


def uuids_in(told: str) -> set[UUID]:
    """The keys in all ids of an answer."""
    found = set()

    def walk(given: Any) -> None:
        if isinstance(given, dict):
            for value in given.values():
                walk(value)
        elif isinstance(given, list):
            for value in given:
                walk(value)
        elif isinstance(given, str):
            for word in given.split():
                parsed = parse_id(word)
                if parsed is not None:
                    found.add(parsed[1])

    walk(orjson.loads(told))
    return found


async def every_uuid(side: Side) -> set[UUID]:
    """Every id that the district's rows hold."""
    found: set[UUID] = set()
    async with side.caller.db.transaction(side.district.id, read_only=True) as tx:
        columns = await tx.fetch(
            """SELECT c.table_name, c.column_name FROM information_schema.columns c
               JOIN information_schema.columns t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
               WHERE c.table_schema = 'public' AND c.udt_name = 'uuid' AND t.column_name = 'tenant_id'"""
        )
        for table, column in columns:
            rows = await tx.fetch(f'SELECT DISTINCT "{column}" FROM "{table}" WHERE tenant_id = $1', side.district.id)
            found |= {row[0] for row in rows if row[0] is not None}
    return found - {UUID(int=0)}


# --- following


async def test_nothing_is_told_live_of_the_other(sides: tuple[Side, Side]) -> None:
    here, there = sides
    kind = SCHEMA.subscription_type
    assert kind is not None
    for name, field in kind.fields.items():
        assert set(field.args) == {"id", "after"}, f"{name}: say how it is attacked"
        (place,) = id_places(field.args, f"Subscription.{name}")
        (type_name,) = types_of(place)
        document = f"subscription ($id: ID!, $after: String) {{ {name}(id: $id, after: $after) {{ cursor }} }}"
        foreign, unknown = there.known[type_name][0], unknown_id(type_name)
        own = await first_of(here.caller, document, id=here.known[type_name][0])
        assert b"cursor" in own
        cursor = orjson.loads(await first_of(there.caller, document, id=foreign))["data"][name]["cursor"]
        plain = from_base64url(cursor, max_length=1000)
        assert plain is not None
        made_up = to_base64url(plain.replace(foreign.encode(), unknown.encode()))
        for theirs, nobodys in (({}, {}), ({"after": cursor}, {"after": made_up})):
            told = await first_of(here.caller, document, id=foreign, **theirs)
            assert told == await first_of(here.caller, document, id=unknown, **nobodys)
            assert orjson.loads(told)["data"] == {name: None}
        stolen = await first_of(here.caller, document, id=here.known[type_name][0], after=cursor)
        assert stolen == await first_of(here.caller, document, id=here.known[type_name][0], after=made_up)


async def first_of(caller: Caller, document: str, **variables: Any) -> bytes:
    """The first message of a subscription, or the refusal of it."""
    context = open_context(caller.db, caller.settings, actor=caller.actor, language="en", request_id="test")
    try:
        told: Any = await build_schema().subscribe(document, variable_values=variables, context_value=context)
        if not isinstance(told, AsyncGenerator):
            return spelled(told)
        async with aclosing(told):
            return spelled(await anext(told))
    finally:
        await context.close()


# --- writing


def mutations() -> dict[str, GraphQLInputObjectType]:
    """The input of every mutation."""
    kind = SCHEMA.mutation_type
    assert kind is not None
    found = {}
    for name, field in kind.fields.items():
        assert list(field.args) == ["input"]
        given = get_named_type(field.args["input"].type)
        assert isinstance(given, GraphQLInputObjectType)
        found[name] = given
    return found


WITHOUT_IDS = {"signIn", "createCategory", "importOrgUnits"}
"""Mutations that take no id: codes mean those of the caller's district."""


def own_id(side: Side, key: str, type_name: str) -> str:
    """An own id for a place of an input, of an object in a state in which the mutation could be done."""
    ids = side.ids
    own: Json = {
        "AddIndicatorInput.parentId": ids["drafted"]["dim"],
        "EditIndicatorInput.indicatorId": ids["drafted"]["members"],
        "MoveIndicatorInput.indicatorId": ids["drafted"]["members"],
        "MoveIndicatorInput.parentId": ids["drafted"]["dim"],
        "RemoveIndicatorInput.indicatorId": ids["drafted"]["members"],
        "CreateSchemeVersionInput.basedOnId": ids["frozen"],
        "CycleInput.schemeVersionId": ids["frozen"],
        "EditCycleInput.cycleId": ids["draft cycle"],
        "AssignTargetsInput.cycleId": ids["draft cycle"],
        "AssignTargetsInput.dataItemId": ids["items"]["T"],
        "TargetInput.unitId": ids["units"]["b1"],
        "MoveOrgUnitInput.orgUnitId": ids["units"]["b1"],
        "EditOrgUnitInput.orgUnitId": ids["units"]["b1"],
        "MoveOrgUnitInput.parentId": ids["units"]["root"],
        "CreateOrgUnitInput.parentId": ids["units"]["root"],
        "SubmitReportInput.reportId": ids["reports"]["b2"],
        "EventInput.indicatorId": ids["indicators"]["bonus"],
        "EventInput.cycleUnitId": ids["members"]["b1"],
        "ReviewInput.assessmentId": ids["assessments"]["b2", "members"]["id"],
        "GrantInput.unitId": ids["units"]["root"],
        "GrantRoleInput.holderId": ids["member"],
    }
    return str(own.get(key) or {"SchemeVersion": ids["draft"]}.get(type_name) or side.known[type_name][0])


async def versions_of(side: Side) -> dict[str, int]:
    """The version of every object that has one; of a run, that of its cycle."""
    found: dict[str, int] = {}
    for type_name in NODE_TYPES:
        kind = SCHEMA.type_map[type_name]
        assert isinstance(kind, GraphQLObjectType)
        asked = {"RankingRun": "cycle { version }"}.get(type_name, "version" if "version" in kind.fields else "")
        for key in side.known[type_name] if asked else ():
            data = await side.caller.ask(
                f"query ($id: ID!) {{ node(id: $id) {{ ... on {type_name} {{ {asked} }} }} }}", id=key
            )
            found[key] = data["node"].get("version") or data["node"]["cycle"]["version"]
    return found


VALUES: Json = {
    "DataItemInput.source": "REVIEWED",
    "DataItemInput.code": "new",
    "SignInInput.tenantCode": "nowhere",
}
"""What stands at a place of an input, where something of its kind will not do."""


async def filler(side: Side) -> Filler:
    """Fills inputs with what is the district's own."""
    versions = await versions_of(side)
    asked = "query ($id: ID!) { schemeVersion(id: $id) { file } }"
    document = (await side.caller.ask(asked, id=side.ids["frozen"]))["schemeVersion"]["file"]

    def value(key: str, field: Any, beside: Json) -> Any:
        if key in VALUES:
            return VALUES[key]
        if key == "ImportSchemeInput.document":
            return document
        name = key.partition(".")[2]
        if name == "idempotencyKey":
            return str(uuid4())
        if name == "version":
            return next((versions[given] for given in beside.values() if given in versions), 1)
        if get_named_type(field.type).name != "ID":
            return None
        (place,) = id_places({name: field}, key.partition(".")[0])
        own = own_id(side, key, types_of(place)[0])
        return [own] if place[-1].listed else own

    return Filler(value)


EXPECTED = {"CycleInput.categoryIds": "INVALID"}
"""The code for an unknown id, where it is not NOT_FOUND."""


async def state_of(side: Side) -> dict[str, tuple[int, str]]:
    """What the district's rows hold."""
    return await contents(side.caller.db, side.district.id)


async def test_no_mutation_touches_the_other(sides: tuple[Side, Side]) -> None:
    here, there = sides
    fill = await filler(here)
    without = set()
    kind = SCHEMA.mutation_type
    assert kind is not None
    for name, given in mutations().items():
        before = await state_of(here), await state_of(there)
        selected = Selector(SCHEMA, arguments(here), set()).select(get_named_type(kind.fields[name].type), 0)
        document = f"mutation ($input: {given.name}!) {{ {name}(input: $input) {selected} }}"
        places = list(id_places(given.fields, given.name))
        if not places:
            without.add(name)
        for place in places:
            for type_name in types_of(place):
                foreign = {"input": fill.fill(given, place, there.known[type_name][0])}
                unknown = {"input": fill.fill(given, place, unknown_id(type_name))}
                told = orjson.loads(await compare(here, document, foreign, unknown))["data"][name]
                # Fields of a union's parts are asked for under aliases, such as InputError_issues.
                told = {key.rpartition("_")[2]: value for key, value in told.items() if key != "__typename"}
                expected = EXPECTED.get(place[-1].key, "NOT_FOUND"), ["input", *spell(place)]
                found = [(issue.get("code"), issue.get("path")) for issue in told.get("issues") or [told]]
                assert expected in found, (name, told)
        assert (await state_of(here), await state_of(there)) == before, name
    assert without == WITHOUT_IDS


async def test_codes_and_keys_mean_those_of_the_own_district(sides: tuple[Side, Side]) -> None:
    here, there = sides
    before = await state_of(there)
    key = str(uuid4())
    for side in sides:
        # The same key, and rows of which the other district has all the codes.
        row = {"code": "t1", "name": f"{side.name}街道", "kind": "COMMITTEE"}
        given = {"units": [row, {"code": "new", "name": f"{side.name}新", "kind": "BRANCH", "parentCode": "t1"}]}
        made = await mutate(
            side.caller, "importOrgUnits", "created unchanged orgUnits { id }", given | {"idempotencyKey": key}
        )
        assert (made["created"], made["unchanged"]) == (1, 1)
        if side is here:
            assert await state_of(there) == before
    again = {"code": "c1", "name": "别的", "idempotencyKey": key}
    refused = await here.caller.ask(
        """mutation ($input: CreateCategoryInput!) { createCategory(input: $input) {
             __typename ... on InputError { issues { code path } } } }""",
        input=again,
    )
    assert refused["createCategory"]["issues"][0]["path"] == ["input", "code"]


async def test_a_token_opens_one_district(db: Database, settings: Settings, sides: tuple[Side, Side]) -> None:
    here, there = sides
    for who, token in there.ids["tokens"].items():
        _, _, secret = token.removeprefix("kp_").partition("_")
        with pytest.raises(AccessDenied) as refused:
            await caller_of(db, settings, f"kp_{here.district.id.hex}_{secret}")
        assert refused.value.code is ErrorCode.UNAUTHENTICATED, who
    parsed = parse_id(there.ids["member"])
    assert parsed is not None
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    issued = issue_jwt(key, tenant_id=here.district.id, member_id=parsed[1], minutes=5)
    with pytest.raises(AccessDenied):
        await caller_of(db, settings, issued.token)
    own = issue_jwt(key, tenant_id=there.district.id, member_id=parsed[1], minutes=5)
    caller = await caller_of(db, settings, own.token)
    assert caller.actor is not None
    assert caller.actor.tenant_id == there.district.id


async def test_somebody_with_little_sees_no_more_of_the_other(
    db: Database, settings: Settings, sides: tuple[Side, Side]
) -> None:
    here, there = sides
    theirs = await every_uuid(there)
    for who in ("secretary", "reviewer", "assessor", "observer"):
        side = replace(here, caller=await caller_of(db, settings, here.ids["tokens"][who]))
        for document, variables in everything_readable(side, set()):
            told = (await answer(side.caller, document, **variables)).decode()
            assert there.name not in told, (who, document)
            assert not uuids_in(told) & theirs, (who, document)
