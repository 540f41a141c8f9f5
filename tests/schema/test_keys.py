"""Idempotency keys over every mutation of the schema: one effect, one answer, whatever is sent again.

The steps of tests/small.py make a district; at each mutation that comes for the first time the whole promise is tried:
a refusal keeps nothing, a replay answers the same and writes nothing, another input under the key is refused, and so is
a caller who lost what it needs. Mutations that those steps do not need follow after them.
"""

import copy
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from schema.mutations import MUTATIONS
from service.access import Actor, Role
from service.ids import parse_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.contents import contents
from tests.schema.conftest import Caller, actor_of, held
from tests.schema.driving import caller_of, do_job
from tests.schema.walking import walked
from tests.small import Ask, Done, Json, Mutate, SignedIn, Step, everything, expiry, in_days, today

pytestmark = pytest.mark.anyio

OWN = {"retryJob", "cancelJob"}
"""Whoever asked for a job may steer it, whatever grants it has."""


def document(name: str, selection: str) -> str:
    """A mutation with what tells its answers apart."""
    kind = name[0].upper() + name[1:]
    return f"""mutation ($input: {kind}Input!) {{ {name}(input: $input) {{
        __typename ... on {kind}Success {{ {selection} }}
        ... on Error {{ code message path }} ... on InputError {{ issues {{ code message path }} }} }} }}"""


def altered(named: Any, given: Any, *, ids: bool) -> Any:
    """The same input with one value changed: the first id, or else anything that may be changed within its type."""
    changed = copy.deepcopy(given)
    return changed if _alter(get_named_type(named), changed, ids=ids) else None


def _alter(named: GraphQLInputObjectType, given: Json, *, ids: bool) -> bool:
    for name, value in given.items():
        inner = named.fields[name].type
        of, listed = get_named_type(inner), isinstance(get_nullable_type(inner), GraphQLList)
        if name == "idempotencyKey" or value in (None, []):
            continue
        if isinstance(of, GraphQLInputObjectType):
            if _alter(of, value[0] if listed else value, ids=ids):
                return True
        elif of.name == "ID" if ids else of.name in ("String", "ID", "Int"):
            first = value[0] if listed else value
            other = first + 1 if isinstance(first, int) else "x" + first
            given[name] = [other, *value[1:]] if listed else other
            return True
    return False


@dataclass
class Keys:
    """A district, who can be asked, and which mutations were tried."""

    db: Database
    district: District
    callers: dict[str, Caller]
    settings: Settings
    tried: set[str] = field(default_factory=set)

    async def go_on(self, steps: Generator[Step, Any, Any]) -> Any:
        """Do all steps; what they give."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            match step:
                case Mutate(who, name, selection, given):
                    answer = await self.mutate(who, name, selection, **given)
                case Ask(who, text, variables):
                    answer = await self.callers[who].ask(text, **variables)
                case SignedIn(who, token):
                    self.callers[who] = await caller_of(self.db, self.settings, token)
                case Done(_, job_id):
                    await do_job(self.db, self.district.id, job_id)

    async def mutate(self, who: str, name: str, selection: str, /, **given: Any) -> Json:
        """A mutation that succeeds; with all that a key promises where it comes for the first time."""
        caller, given = self.callers[who], {**given, "idempotencyKey": str(uuid.uuid4())}
        if name in self.tried:
            return await self.success(caller, name, selection, given)
        self.tried.add(name)
        named = walked().mutation_type.fields[name].args["input"].type  # type: ignore[union-attr]  # it has one
        before = await contents(self.db, self.district.id)
        await self.refused_first(caller, name, selection, named, given)
        assert await contents(self.db, self.district.id) == before, f"{name}: a refusal wrote something"

        made = await self.success(caller, name, selection, given)
        after = await contents(self.db, self.district.id)
        assert after["idempotency_keys"][0] == before["idempotency_keys"][0] + 1, name
        assert after["audit_events"][0] > before["audit_events"][0], name

        again = await self.success(caller, name, selection, given)
        assert again == without_secrets(made), name
        other = altered(named, given, ids=False)
        if other is not None:
            refusal = await self.answer(caller, name, selection, other)
            assert (refusal["__typename"], refusal["code"]) == ("IdempotencyError", "IDEMPOTENCY_KEY_REUSED"), name
        if name not in OWN:
            assert caller.actor is not None
            stripped = Caller(self.db, self.settings, replace(caller.actor, grants=()))
            async with self.withdrawn(caller.actor):
                refusal = await self.answer(stripped, name, selection, given)
            assert (refusal["__typename"], refusal["code"]) == ("AccessError", "FORBIDDEN"), name
        assert await contents(self.db, self.district.id) == after, f"{name}: something was written again"
        return made

    @asynccontextmanager
    async def withdrawn(self, actor: Actor) -> AsyncIterator[None]:
        """For as long as this lasts the actor's grants have ended."""
        ends = "UPDATE grants SET valid_to = $3 WHERE tenant_id = $1 AND id = $2"
        ids = [grant.id for grant in actor.grants]
        async with self.db.transaction(self.district.id) as tx:
            rows = await tx.fetch(
                "SELECT id, valid_to FROM grants WHERE tenant_id = $1 AND id = ANY ($2::uuid[])", tx.tenant_id, ids
            )
            await tx.executemany(ends, [(tx.tenant_id, row["id"], date(2000, 1, 1)) for row in rows])
        try:
            yield
        finally:
            async with self.db.transaction(self.district.id) as tx:
                await tx.executemany(ends, [(tx.tenant_id, row["id"], row["valid_to"]) for row in rows])

    async def refused_first(self, caller: Caller, name: str, selection: str, named: Any, given: Json) -> None:
        """A call under the same key that is refused: of an id that is none, or of somebody without grants."""
        wrong = altered(named, given, ids=True)
        if wrong is None:
            assert caller.actor is not None
            caller, wrong = Caller(self.db, self.settings, replace(caller.actor, grants=())), given
        refusal = await self.answer(caller, name, selection, wrong)
        assert refusal["__typename"].endswith("Error"), (name, refusal)

    async def answer(self, caller: Caller, name: str, selection: str, given: Json) -> Json:
        """Success or refusal."""
        found: Json = (await caller.ask(document(name, selection), input=given))[name]
        return found

    async def success(self, caller: Caller, name: str, selection: str, given: Json) -> Json:
        """It must succeed."""
        found = await self.answer(caller, name, selection, given)
        assert found["__typename"].endswith("Success"), (name, found)
        return found

    async def version(self, table: str, key: str) -> int:
        """The version that stands."""
        parsed = parse_id(key)
        assert parsed is not None
        async with self.db.transaction(self.district.id) as tx:
            found: int = await tx.fetchval(
                f"SELECT version FROM {table} WHERE tenant_id = $1 AND id = $2", self.district.id, parsed[1]
            )
        return found

    async def sql(self, text: str, *arguments: Any) -> None:
        """Bring about what would take many more steps."""
        async with self.db.transaction(self.district.id) as tx:
            await tx.execute(text, self.district.id, *arguments)


def without_secrets(answer: Json) -> Json:
    """What a replay answers."""
    return {name: None if name == "secret" else value for name, value in answer.items()}


async def test_every_mutation_keeps_its_promise(db: Database, settings: Settings, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", tenant.id)
    first = actor_of(tenant.id, [held(Role.ADMINISTRATOR, root, at_root=True)])
    keys = Keys(db, tenant, {"administrator": Caller(db, settings, first)}, settings)
    ids = await keys.go_on(everything("甲"))
    for part in (accounts, units, items_and_schemes, cycles_and_jobs):
        await part(keys, ids)
    named = {name[0] + "".join(w.title() for w in name.split("_"))[1:] for name in MUTATIONS} - {"signIn"}
    assert named - keys.tried == set()


async def accounts(keys: Keys, ids: Json) -> None:
    """Members, grants, tokens."""
    member, grant = ids["member"], {"role": "OBSERVER", "unitId": ids["units"]["root"]}
    version = await keys.version("members", member)
    await keys.mutate(
        "administrator", "editMember", "member { id version }", memberId=member, version=version, displayName="李四"
    )
    await keys.mutate("administrator", "grantRole", "grant { id }", holderId=member, grant=grant)
    await keys.mutate("administrator", "revokeGrant", "revokedId holder { ... on Member { id } }", grantId=ids["grant"])
    token = {"serviceTokenId": ids["token"], "version": await keys.version("service_tokens", ids["token"])}
    await keys.mutate("administrator", "rotateServiceToken", "secret serviceToken { id }", **token, expiresAt=expiry())
    token["version"] += 1
    await keys.mutate("administrator", "revokeServiceToken", "serviceToken { id version }", **token)


async def units(keys: Keys, ids: Json) -> None:
    """Categories and units."""
    made = await keys.mutate("administrator", "createCategory", "category { id version }", code="c9", name="新类别")
    given = {"categoryId": made["category"]["id"], "version": made["category"]["version"], "name": "又一类"}
    await keys.mutate("administrator", "editCategory", "category { id version }", **given)
    made = await keys.mutate(
        "administrator",
        "createOrgUnit",
        "orgUnit { id version }",
        code="b9",
        name="九支部",
        kind="BRANCH",
        parentId=ids["units"]["t1"],
    )
    unit: Json = made["orgUnit"]

    async def change(name: str, /, **given: Any) -> None:
        version = await keys.version("org_units", unit["id"])
        await keys.mutate(
            "administrator", name, "orgUnit { id version }", orgUnitId=unit["id"], version=version, **given
        )

    await change("renameOrgUnit", name="第九支部")
    await change("moveOrgUnit", parentId=ids["units"]["root"])
    await change("editOrgUnit", memberCount=9)
    await change("closeOrgUnit", lastDay=str(today()), reason="撤销建制")


async def items_and_schemes(keys: Keys, ids: Json) -> None:
    """Data items, and the tree of a draft."""
    item = {"code": "Z", "name": "新数据项", "definition": "口径", "type": "INTEGER", "scale": 0}
    made = await keys.mutate("organiser", "createDataItems", "dataItems { id version }", dataItems=[item])
    given = {"dataItemId": made["dataItems"][0]["id"], "version": 1}
    await keys.mutate(
        "organiser", "editDataItem", "dataItem { id version }", **given, dataItem={**item, "name": "改名"}
    )
    given["version"] = 2
    await keys.mutate("organiser", "retireDataItem", "dataItem { id version }", **given)
    draft = ids["draft"]
    parent = ids["drafted"]["dim"]
    leaf = {"code": "extra", "name": "新指标", "points": "1", "basis": "文件"}
    made = await keys.mutate(
        "organiser", "addIndicator", "indicator { id version }", schemeVersionId=draft, parentId=parent, indicator=leaf
    )
    node = made["indicator"]["id"]

    async def change(name: str, selection: str, /, **given: Any) -> None:
        version = await keys.version("indicators", node)
        await keys.mutate("organiser", name, selection, indicatorId=node, version=version, **given)

    await change("editIndicator", "indicator { id version }", indicator={**leaf, "name": "改名"})
    await change("moveIndicator", "indicator { id version }", parentId=parent, position=0)
    await change("removeIndicator", "removedIds schemeVersion { id }")
    found = await keys.callers["organiser"].ask("query ($id: ID!) { schemeVersion(id: $id) { file } }", id=draft)
    text = found["schemeVersion"]["file"].replace('"code":"s1"', '"code":"s9"')
    made = await keys.mutate("organiser", "importScheme", "schemeVersion { id version }", document=text)
    given = {"schemeVersionId": made["schemeVersion"]["id"], "version": made["schemeVersion"]["version"]}
    await keys.mutate("organiser", "discardSchemeVersion", "scheme { id }", **given)


async def cycles_and_jobs(keys: Keys, ids: Json) -> None:
    """What comes after a board, and a cycle that has just opened."""
    event = {"eventId": ids["events"][1], "version": await keys.version("events", ids["events"][1])}
    await keys.mutate("secretary", "withdrawEvent", "event { id version }", **event)
    run = {"runId": ids["run"]}
    found = await keys.callers["organiser"].ask(
        """query ($id: ID!) { cycle(id: $id) {
            runs { edges { node { id undecidedTies { id version standings { id } } } } } } }""",
        id=ids["cycle"],
    )
    ties = [tie for edge in found["cycle"]["runs"]["edges"] for tie in edge["node"]["undecidedTies"]]
    tie = ties[0]
    order = {
        "tieGroupId": tie["id"],
        "version": tie["version"],
        "standingIds": [each["id"] for each in tie["standings"]],
    }
    await keys.mutate("organiser", "orderTie", "tieGroup { id version }", **order, reason="工作更实")
    await keys.sql(
        "UPDATE tie_groups SET decided_at = now(), reason = '同' WHERE tenant_id = $1 AND decided_at IS NULL"
    )
    version = await keys.version("cycles", ids["cycle"])
    await keys.mutate("organiser", "adoptRun", "cycle { id version }", **run, version=version)
    record = {"body": "区委常委会", "decidedOn": str(today()), "documentTitle": "会议纪要"}
    await keys.mutate("organiser", "recordGrades", "standings { id }", **run, **record)
    await keys.sql("UPDATE cycles SET state = 'PUBLISHED' WHERE tenant_id = $1 AND code = 'y1'")
    cycle = {"cycleId": ids["cycle"], "version": await keys.version("cycles", ids["cycle"])}
    await keys.mutate("organiser", "archiveCycle", "cycle { id version }", **cycle)

    draft = {"cycleId": ids["draft cycle"], "version": await keys.version("cycles", ids["draft cycle"])}
    edited = {
        "code": "y2",
        "name": "改名",
        "kind": "YEAR",
        "startsOn": in_days(-300),
        "endsOn": in_days(60),
        "schemeVersionId": ids["frozen"],
        "opensOn": in_days(-100),
        "dueOn": in_days(30),
    }
    await keys.mutate("organiser", "editCycle", "cycle { id version }", **draft, cycle=edited)
    draft["version"] += 1
    made = await keys.mutate("organiser", "openCycle", "job { id }", **draft)
    await keys.mutate("organiser", "cancelJob", "job { id }", jobId=made["job"]["id"])
    await keys.sql("UPDATE jobs SET state = 'FAILED' WHERE tenant_id = $1 AND state = 'CANCELLED'")
    await keys.mutate("organiser", "retryJob", "job { id }", jobId=made["job"]["id"])
    await do_job(keys.db, keys.district.id, made["job"]["id"])
    found = await keys.callers["organiser"].ask(
        """query ($id: ID!) { cycle(id: $id) { assessments { edges { node { id version unit { code }
           indicator { code } } } } } }""",
        id=draft["cycleId"],
    )
    (award,) = [
        edge["node"]
        for edge in found["cycle"]["assessments"]["edges"]
        if (edge["node"]["unit"]["code"], edge["node"]["indicator"]["code"]) == ("b1", "award")
    ]
    score = {"assessmentId": award["id"], "version": award["version"], "score": "15"}
    await keys.mutate("secretary", "saveSelfScores", "assessments { id version }", scores=[score])
    made = await keys.mutate("organiser", "startRankingRun", "run { id }", cycleId=draft["cycleId"])
    await keys.mutate("organiser", "cancelRankingRun", "run { id }", runId=made["run"]["id"])


def test_every_mutation_but_the_sign_in_takes_a_key() -> None:
    schema = walked()
    assert schema.mutation_type is not None
    without = {
        name
        for name, given in schema.mutation_type.fields.items()
        if "idempotencyKey" not in get_named_type(given.args["input"].type).fields
    }
    assert without == {"signIn"}
