"""Cycles over GraphQL: preparing, opening by a job, what may come next, counters, units, and a cycle live."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest
from strawberry.types.execution import ExecutionResult

from schema.context import open_context
from schema.live import QUIET_SECONDS
from schema.schema import build_schema
from service import cycles, progress
from service.access import Actor, Role
from service.ids import encode_id
from service.wakeups import Relay, Wakeups
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.loading import Loaded, load
from tests.schema.conftest import Caller, MakeCaller, held
from tests.service.cycling import opened, start_opening

pytestmark = pytest.mark.anyio

ERROR = "... on Error { __typename code message path hint }"
STATE = "... on StateError { state legalFrom } ... on InputError { issues { code path } }"
STATS = "asked submitted submittedLate overdue ready returned accepted rejected notApplicable inconsistent"
NOTHING = dict.fromkeys(STATS.split(), 0)

CREATE = f"""mutation ($input: CreateCycleInput!) {{ createCycle(input: $input) {{
  ... on CreateCycleSuccess {{ cycle {{
    id code name kind state version startsOn endsOn openedAt openingJob {{ id }} under {{ id }} previousCycle {{ id }}
    timeline {{ opensOn dueOn dueAt graceDays closesAt reviewDueOn noticeOn }}
    categories {{ name }} schemeVersion {{ id state }} stats {{ {STATS} }}
    transitions {{ to mutation possible blockers {{ code message hint count }} }}
  }} }}
  {ERROR} {STATE}
}} }}"""

EDIT = f"""mutation ($input: EditCycleInput!) {{ editCycle(input: $input) {{
  ... on EditCycleSuccess {{ cycle {{ id name version }} }} {ERROR} {STATE}
  ... on VersionConflictError {{ conflicts {{ currentVersion current {{ id }} }} }}
}} }}"""

OPEN = f"""mutation ($input: OpenCycleInput!) {{ openCycle(input: $input) {{
  ... on OpenCycleSuccess {{ cycle {{ id state version openingJob {{ id }} }} job {{
    id kind state percent message attempts maxAttempts lastError coalesced retryable cancellable
    subject {{ id }} requestedBy {{ displayName }} requestedAt runAt startedAt finishedAt
  }} }}
  {ERROR} {STATE}
}} }}"""

TARGETS = f"""mutation ($input: AssignTargetsInput!) {{ assignTargets(input: $input) {{
  ... on AssignTargetsSuccess {{ cycle {{ id }} count }} {ERROR} {STATE}
}} }}"""

OVERVIEW = f"""query ($id: ID!, $filter: CycleUnitFilter, $orderBy: [CycleUnitOrder!]) {{ cycle(id: $id) {{
  id version name state openedAt
  transitions {{ to mutation possible blockers {{ code message hint count }} }}
  stats {{ {STATS} }}
  indicatorStats {{ indicator {{ ordinal depth code }} stats {{ {STATS} }} }}
  categoryStats {{ category {{ name }} unitCount reportedCount stats {{ {STATS} }} }}
  units(first: 50, filter: $filter, orderBy: $orderBy) {{ totalCount edges {{ node {{
    id code name pathNames assessed closedOn category {{ name }} categoryName parent {{ code }} unit {{ code }}
    stats {{ asked submitted overdue ready returned }}
    waitingFor {{ party level since count unit {{ code }} }}
    report {{ id state }}
  }} }} }}
  tasks(first: 3) {{ totalCount }} assessments(first: 3) {{ totalCount }}
  runs {{ totalCount }} latestRun {{ id }} publications {{ id }}
}} }}"""


@pytest.fixture
async def organiser(db: Database, tenant: District, root_id: UUID, make_caller: MakeCaller) -> Caller:
    """The organiser of the whole district, with account and grant."""
    caller = make_caller(tenant, [held(Role.ORGANISER, root_id, at_root=True)])
    await known(db, caller)
    return caller


async def known(db: Database, caller: Caller) -> None:
    """Give an actor its rows, with its grants."""
    assert caller.actor is not None
    async with db.transaction(caller.actor.tenant_id) as tx:
        await tx.execute(
            "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', '测试员')",
            tx.tenant_id,
            caller.actor.id,
        )
        await tx.execute(
            "INSERT INTO members (tenant_id, id, sign_in_name, active, language) VALUES ($1, $2, $3, true, 'EN')",
            tx.tenant_id,
            caller.actor.id,
            str(caller.actor.id),
        )
        for grant in caller.actor.grants:
            await tx.execute(
                "INSERT INTO grants (tenant_id, id, holder_id, role, unit_id) VALUES ($1, $2, $3, $4, $5)",
                tx.tenant_id,
                grant.id,
                caller.actor.id,
                grant.role,
                grant.unit_id,
            )


@pytest.fixture
async def loaded(db: Database, tenant: District) -> Loaded:
    """Four units in two categories; a reported, a reviewed and an awarded leaf; a draft cycle with the code `bench`."""
    async with db.transaction(tenant.id) as tx:
        made = await load(tx, units=4, items=3, categories=2, sources=["REPORTED", "REVIEWED", "REPORTED"])
        await tx.execute(
            """UPDATE indicators SET rule = '{"kind": "AWARD", "full": null, "step": "1"}'
               WHERE tenant_id = $1 AND code = 'l3'""",
            tx.tenant_id,
        )
        await tx.execute(
            "DELETE FROM indicator_items WHERE tenant_id = $1 AND data_item_id = $2", tx.tenant_id, made.item_ids[2]
        )
    return made


def actor(caller: Caller) -> Actor:
    """Whose calls they are."""
    assert caller.actor is not None
    return caller.actor


def written(loaded: Loaded, **other: Any) -> dict[str, Any]:
    """A CycleInput."""
    return {
        "code": "2026",
        "name": "2026年度考核",
        "kind": "YEAR",
        "startsOn": "2026-01-01",
        "endsOn": "2026-12-31",
        "schemeVersionId": encode_id("SchemeVersion", loaded.version_id),
        "opensOn": "2026-11-01",
        "dueOn": "2026-12-20",
        **other,
    }


async def mutate(caller: Caller, mutation: str, **given: Any) -> dict[str, Any]:
    """The answer of a mutation under a key of its own."""
    data = await caller.ask(mutation, input={"idempotencyKey": str(uuid7()), **given})
    answer: dict[str, Any] = next(iter(data.values()))
    return answer


def cycle_id(loaded: Loaded) -> str:
    return encode_id("Cycle", loaded.cycle_id)


async def test_a_new_cycle_says_what_may_come_next(organiser: Caller, loaded: Loaded) -> None:
    made = (await mutate(organiser, CREATE, cycle=written(loaded, graceDays=3)))["cycle"]
    assert (made["state"], made["version"], made["kind"], made["openingJob"]) == ("DRAFT", 1, "YEAR", None)
    assert made["timeline"] == {
        "opensOn": "2026-11-01",
        "dueOn": "2026-12-20",
        "dueAt": "2026-12-20T16:00:00.000000+00:00",
        "graceDays": 3,
        "closesAt": "2026-12-23T16:00:00.000000+00:00",
        "reviewDueOn": None,
        "noticeOn": None,
    }
    assert [category["name"] for category in made["categories"]] == ["第1类", "第2类"]
    assert made["stats"] == NOTHING
    assert made["transitions"] == [{"to": "OPEN", "mutation": "openCycle", "possible": True, "blockers": []}]


async def test_what_is_wrong_is_told_at_once(organiser: Caller, loaded: Loaded) -> None:
    wrong = written(loaded, code="bench", name="", dueOn="2026-10-01", graceDays=-1, underId="x")
    answer = await mutate(organiser, CREATE, cycle=wrong)
    assert answer["__typename"] == "InputError"
    assert {(issue["path"][-1], issue["code"]) for issue in answer["issues"]} == {
        ("code", "DUPLICATE"),
        ("name", "INVALID_TEXT"),
        ("dueOn", "INVALID"),
        ("graceDays", "INVALID"),
        ("underId", "INVALID_ID"),
    }


async def test_an_edit_sends_the_version_it_saw(organiser: Caller, loaded: Loaded) -> None:
    given = {"cycleId": cycle_id(loaded), "cycle": written(loaded, name="新名")}
    answer = await mutate(organiser, EDIT, version=1, **given)
    assert answer["cycle"] == {"id": cycle_id(loaded), "name": "新名", "version": 2}
    answer = await mutate(organiser, EDIT, version=1, **given)
    assert answer["conflicts"] == [{"currentVersion": 2, "current": {"id": cycle_id(loaded)}}]


async def test_opening_answers_with_its_job(db: Database, organiser: Caller, loaded: Loaded) -> None:
    answer = await mutate(organiser, OPEN, cycleId=cycle_id(loaded), version=1)
    job = answer["job"]
    assert answer["cycle"] == {"id": cycle_id(loaded), "state": "DRAFT", "version": 2, "openingJob": {"id": job["id"]}}
    assert (job["kind"], job["state"], job["percent"]) == ("OPEN_CYCLE", "QUEUED", 0)
    assert (job["message"], job["subject"]) == ("Waits for a worker.", {"id": cycle_id(loaded)})
    assert job["requestedBy"] == {"displayName": "测试员"}
    assert (job["retryable"], job["cancellable"], job["coalesced"]) == (False, True, 0)
    again = await mutate(organiser, OPEN, cycleId=cycle_id(loaded), version=2)
    assert (again["__typename"], again["state"]) == ("StateError", "DRAFT")
    assert again["message"] == "It is being opened."
    data = await organiser.ask(OVERVIEW, id=cycle_id(loaded))
    assert [step["possible"] for step in data["cycle"]["transitions"]] == [False]
    assert data["cycle"]["transitions"][0]["blockers"][0]["count"] == 1


async def test_targets_are_wanted_before_the_opening(
    db: Database, tenant: District, organiser: Caller, make_tenant: Any
) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=3, items=1, categories=1, sources=["ASSIGNED"])
    data = await organiser.ask(
        "query ($id: ID!) { cycle(id: $id) { transitions { possible blockers { message } } } }", id=cycle_id(loaded)
    )
    assert data["cycle"]["transitions"] == [
        {"possible": False, "blockers": [{"message": "3 targets have not been set."}]}
    ]
    targets = [{"unitId": encode_id("OrgUnit", unit), "value": "7.50"} for unit in loaded.unit_ids]
    given = {"cycleId": cycle_id(loaded), "dataItemId": encode_id("DataItem", loaded.item_ids[0])}
    assert (await mutate(organiser, TARGETS, **given, targets=targets))["count"] == 3
    assert "job" in await mutate(organiser, OPEN, cycleId=cycle_id(loaded), version=1)


async def test_an_open_cycle_counts(db: Database, organiser: Caller, loaded: Loaded) -> None:
    await opened(db, actor(organiser), loaded.cycle_id)
    async with db.transaction(actor(organiser).tenant_id) as tx:
        await play(tx, loaded)
        await progress.recount(tx, loaded.cycle_id)
    cycle = (await organiser.ask(OVERVIEW, id=cycle_id(loaded)))["cycle"]
    assert cycle["stats"] == {
        **NOTHING,
        "asked": 8,
        "submitted": 2,
        "submittedLate": 1,
        "overdue": 1,
        "ready": 4,
        "returned": 1,
        "accepted": 1,
        "inconsistent": 1,
    }
    by_code = {each["indicator"]["code"]: each["stats"] for each in cycle["indicatorStats"]}
    assert list(by_code) == ["all", "l1", "l2", "l3"]
    assert by_code["all"] == cycle["stats"], "the root is the sum of its leaves"
    assert by_code["l1"] == {
        **NOTHING,
        "asked": 4,
        "submitted": 2,
        "submittedLate": 1,
        "overdue": 1,
        "returned": 1,
        "accepted": 1,
        "inconsistent": 1,
    }
    assert by_code["l2"] == {**NOTHING, "asked": 4}
    assert by_code["l3"] == {**NOTHING, "ready": 4}
    categories = cycle["categoryStats"]
    assert [(each["category"]["name"], each["unitCount"], each["reportedCount"]) for each in categories] == [
        ("第1类", 2, 1),
        ("第2类", 2, 0),
    ]
    assert sum(each["stats"]["asked"] for each in categories) == 8
    assert (cycle["tasks"]["totalCount"], cycle["assessments"]["totalCount"]) == (8, 12)
    assert (cycle["runs"]["totalCount"], cycle["latestRun"], cycle["publications"]) == (0, None, [])
    assert [(step["to"], step["possible"]) for step in cycle["transitions"]] == [("REVIEWING", True)]


async def play(tx: Transaction, loaded: Loaded) -> None:
    """Unit 2 is accepted and has changed since, unit 4 was late and came back, unit 1 is overdue."""
    for unit, task, assessment in (
        ("u2", "state = 'SETTLED'", "state = 'ACCEPTED', settled_at = now(), changes_since_accepted = 1"),
        ("u4", "state = 'SUBMITTED', days_late = 2", "state = 'RETURNED'"),
        ("u1", "due_at = now() - interval '1 day'", "state = 'WAITING'"),
    ):
        where = "cycle_unit_id = (SELECT id FROM cycle_units WHERE tenant_id = $1 AND code = $2)"
        await tx.execute(
            f"UPDATE tasks SET {task} WHERE tenant_id = $1 AND filler = 'UNIT' AND {where}", tx.tenant_id, unit
        )
        await tx.execute(
            f"""UPDATE assessments SET {assessment} WHERE tenant_id = $1 AND {where}
                AND indicator_id = (SELECT id FROM indicators WHERE tenant_id = $1 AND code = 'l1')""",
            tx.tenant_id,
            unit,
        )
    await tx.execute(
        """UPDATE reports SET first_submitted_at = now() WHERE tenant_id = $1 AND cycle_unit_id =
           (SELECT id FROM cycle_units WHERE tenant_id = $1 AND code = 'u2')""",
        tx.tenant_id,
    )


async def test_units_of_a_cycle(db: Database, organiser: Caller, loaded: Loaded) -> None:
    await opened(db, actor(organiser), loaded.cycle_id)
    async with db.transaction(actor(organiser).tenant_id) as tx:
        await play(tx, loaded)
        await progress.recount(tx, loaded.cycle_id)

    async def units(**filter_: Any) -> list[str]:
        data = await organiser.ask(OVERVIEW, id=cycle_id(loaded), filter=filter_)
        return [edge["node"]["code"] for edge in data["cycle"]["units"]["edges"]]

    assert await units() == ["root", "t1", "u1", "u2", "u3", "u4"]
    assert await units(assessed=True) == ["u1", "u2", "u3", "u4"]
    assert await units(assessed=True, hasOverdue=True) == ["u1"]
    assert await units(assessed=True, hasReturned=True) == []
    assert await units(search="第2社") == ["u2"]
    assert await units(underId=encode_id("OrgUnit", loaded.unit_ids[2])) == ["u3"]
    assert await units(categoryIds=[encode_id("Category", loaded.category_ids[0])]) == ["u2", "u4"]
    data = await organiser.ask(
        OVERVIEW, id=cycle_id(loaded), filter={"assessed": True}, orderBy=[{"field": "OVERDUE", "direction": "DESC"}]
    )
    nodes = [edge["node"] for edge in data["cycle"]["units"]["edges"]]
    assert nodes[0]["code"] == "u1"
    assert nodes[0]["stats"] == {"asked": 2, "submitted": 0, "overdue": 1, "ready": 1, "returned": 0}
    assert nodes[0]["waitingFor"]["party"] == "UNIT"
    assert (nodes[0]["waitingFor"]["unit"]["code"], nodes[0]["waitingFor"]["count"]) == ("u1", 1)
    assert (nodes[0]["parent"]["code"], nodes[0]["categoryName"], nodes[0]["closedOn"]) == ("t1", "第2类", None)
    accepted = next(node for node in nodes if node["code"] == "u2")
    assert accepted["waitingFor"]["party"] == "RESPONSIBLE_UNIT"
    data = await organiser.ask(
        OVERVIEW,
        id=cycle_id(loaded),
        filter={"assessed": True},
        orderBy=[{"field": "SUBMITTED_SHARE", "direction": "DESC"}],
    )
    assert [edge["node"]["code"] for edge in data["cycle"]["units"]["edges"]][:2] in (["u2", "u4"], ["u4", "u2"])
    town = await organiser.ask(OVERVIEW, id=cycle_id(loaded), filter={"search": "t1"})
    assert town["cycle"]["units"]["edges"][0]["node"]["stats"]["asked"] == 8, "of its subtree"


async def test_a_secretary_looks_into_its_own_unit_only(
    db: Database, tenant: District, organiser: Caller, loaded: Loaded, make_caller: MakeCaller
) -> None:
    await opened(db, actor(organiser), loaded.cycle_id)
    secretary = make_caller(tenant, [held(Role.SECRETARY, loaded.unit_ids[0])])
    await known(db, secretary)
    cycle = (await secretary.ask(OVERVIEW, id=cycle_id(loaded), filter={"assessed": True}))["cycle"]
    seen = {edge["node"]["code"]: edge["node"] for edge in cycle["units"]["edges"]}
    assert seen["u1"]["stats"]["asked"] == 2
    assert seen["u2"]["stats"]["asked"] == 0
    assert (seen["u1"]["waitingFor"] is not None, seen["u2"]["waitingFor"]) == (True, None)
    assert (seen["u1"]["report"] is not None, seen["u2"]["report"]) == (True, None)
    assert cycle["transitions"][0]["blockers"][0]["code"] == "FORBIDDEN"
    answer = await secretary.ask(OPEN, input={"cycleId": cycle_id(loaded), "version": 2, "idempotencyKey": "k"})
    assert answer["openCycle"]["__typename"] == "AccessError"


async def test_another_district_sees_nothing_of_it(
    db: Database, organiser: Caller, loaded: Loaded, make_caller: MakeCaller, make_tenant: Any
) -> None:
    await opened(db, actor(organiser), loaded.cycle_id)
    other = await make_tenant()
    stranger = make_caller(other, [held(Role.ORGANISER, uuid7(), at_root=True)])
    async with db.transaction(actor(organiser).tenant_id) as tx:
        unit = await tx.fetchval("SELECT id FROM cycle_units WHERE tenant_id = $1 LIMIT 1", tx.tenant_id)
    data = await stranger.ask(
        """query ($id: ID!, $unit: ID!) { cycle(id: $id) { id } cycleUnit(id: $unit) { id } node(id: $id) { id }
             cycles { totalCount } jobs { totalCount } }""",
        id=cycle_id(loaded),
        unit=encode_id("CycleUnit", unit),
    )
    assert data == {
        "cycle": None,
        "cycleUnit": None,
        "node": None,
        "cycles": {"totalCount": 0},
        "jobs": {"totalCount": 0},
    }
    answer = await stranger.ask(OPEN, input={"cycleId": cycle_id(loaded), "version": 2, "idempotencyKey": "k"})
    assert answer["openCycle"]["__typename"] == "NotFoundError"


async def test_cycles_are_listed_newest_first(organiser: Caller, loaded: Loaded) -> None:
    await mutate(organiser, CREATE, cycle=written(loaded, code="2025", startsOn="2025-01-01"))
    await mutate(organiser, CREATE, cycle=written(loaded, code="2025-Q1", kind="QUARTER", startsOn="2025-01-01"))
    data = await organiser.ask(
        """query ($filter: CycleFilter) { cycles(filter: $filter) { edges { node { code } } totalCount }
             all: cycles { edges { node { code } } } }""",
        filter={"states": ["DRAFT"], "kinds": ["YEAR"], "dateWithin": "2025-06-01"},
    )
    assert data["cycles"] == {"edges": [{"node": {"code": "2025"}}], "totalCount": 1}
    assert [edge["node"]["code"] for edge in data["all"]["edges"]] == ["bench", "2025-Q1", "2025"], "and of equals"


# --- live


async def listen(caller: Caller, query: str, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The data of a subscription's messages."""
    context = open_context(caller.db, caller.settings, actor=caller.actor, language="en", request_id="test")
    told = await build_schema().subscribe(query, variable_values=variables, context_value=context)
    assert isinstance(told, AsyncIterator), told
    try:
        async for message in told:
            assert isinstance(message, ExecutionResult)
            assert not message.errors, message.errors
            assert message.data is not None
            # As the endpoint does after each message.
            await context.close()
            yield message.data
    finally:
        await context.close()


LIVE = """subscription ($id: ID!, $after: String) { cycleChanged(id: $id, after: $after) {
    cursor cycle { state stats { asked } openingJob { state percent } } } }"""


async def test_a_cycle_live(db: Database, organiser: Caller, loaded: Loaded) -> None:
    async with aclosing(listen(organiser, LIVE, id=cycle_id(loaded))) as told:
        first = await anext(told)
        assert first["cycleChanged"]["cycle"] == {"state": "DRAFT", "stats": {"asked": 0}, "openingJob": None}
        run = await start_opening(db, actor(organiser), loaded.cycle_id)
        second = await anext(told)
        assert second["cycleChanged"]["cycle"]["openingJob"] == {"state": "RUNNING", "percent": 0}
        from service.opening import open_cycle

        await open_cycle(run)
        third = await anext(told)
        assert third["cycleChanged"]["cycle"] == {
            "state": "OPEN",
            "stats": {"asked": 8},
            "openingJob": {"state": "SUCCEEDED", "percent": 100},
        }
    async with aclosing(listen(organiser, LIVE, id=cycle_id(loaded), after=second["cycleChanged"]["cursor"])) as told:
        assert await anext(told) == third, "what was missed, once"


async def test_a_cycle_is_looked_at_when_a_change_is_told(
    db: Database, organiser: Caller, loaded: Loaded, redis_url: str
) -> None:
    await opened(db, actor(organiser), loaded.cycle_id)
    relay, wakeups = Relay(db, redis_url), Wakeups(redis_url)
    running = [asyncio.create_task(relay.run()), asyncio.create_task(wakeups.run())]
    db.wakeups = wakeups
    try:
        while not wakeups.listening:  # noqa: ASYNC110  # it tells nobody else
            await asyncio.sleep(0.01)
        async with aclosing(listen(organiser, LIVE, id=cycle_id(loaded))) as told:
            assert (await anext(told))["cycleChanged"]["cycle"]["state"] == "OPEN"
            waiting = asyncio.create_task(anext(told))
            # Past the first second it looks only when it is told, or after five.
            await asyncio.sleep(1.5)
            async with db.transaction(actor(organiser).tenant_id) as tx:
                await cycles.begin_review(tx, actor(organiser), cycle_id=cycle_id(loaded), version=2)
            begun = time.monotonic()
            assert (await waiting)["cycleChanged"]["cycle"]["state"] == "REVIEWING"
            assert time.monotonic() - begun < QUIET_SECONDS / 2
    finally:
        db.wakeups = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await relay.close()


async def test_nothing_is_told_of_what_is_not_there(organiser: Caller) -> None:
    async with aclosing(listen(organiser, LIVE, id=encode_id("Cycle", uuid7()))) as told:
        assert [message async for message in told] == [{"cycleChanged": None}]
