"""Whoever had to wait for another writer is judged by what is true afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from service import cycles, directory, members, reports, reviews, schemes
from service.access import Actor, HeldGrant, Role, system_actor
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from service.reports import Content, EntrySpec, entries
from service.reviews import Accept, ReviewSpec
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.loading import load
from tests.factories import OpenCycle, open_cycle
from tests.service.cycling import spec as cycle_spec

pytestmark = pytest.mark.anyio

Act = Callable[[], Awaitable[Any]]
Change = Callable[[Transaction], Awaitable[Any]]
HOLD_TASKS = "SELECT FROM tasks WHERE tenant_id = $1 FOR UPDATE"
CLOSE_CYCLE = "UPDATE cycles SET state = 'ARCHIVED' WHERE tenant_id = $1"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


async def meanwhile(cycle: OpenCycle, hold: str, *acts: Act, then: str | None = None) -> list[Any]:
    """What acts give that wait for a transaction which does `hold`, then something more, and commits."""
    begun = asyncio.Event()

    async def later(act: Act) -> Any:
        await begun.wait()
        return await act()

    # Made outside the transaction, whose mark they would inherit.
    running = [asyncio.create_task(later(act)) for act in acts]
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await tx.execute(hold, tx.tenant_id)
        begun.set()
        while (await cycle.db.fetch_global(WAITING))[0][0] < len(acts):  # noqa: ASYNC110  # PostgreSQL tells no event
            await asyncio.sleep(0.01)
        if then is not None:
            await tx.execute(then, tx.tenant_id)
    return await asyncio.gather(*running, return_exceptions=True)


async def after(db: Database, tenant: District, first: Change, then: Change) -> Any:
    """What a change gives that waits for another one, which has been done and is not committed yet."""
    done = asyncio.Event()

    async def later() -> Any:
        await done.wait()
        async with db.transaction(tenant.id) as tx:
            return await then(tx)

    # Made outside the transaction, whose mark it would inherit.
    running = asyncio.create_task(later())
    async with db.transaction(tenant.id) as tx:
        await first(tx)
        done.set()
        while not (await db.fetch_global(WAITING))[0][0]:  # noqa: ASYNC110  # PostgreSQL tells no event
            await asyncio.sleep(0.01)
    return await running


async def save(cycle: OpenCycle, actor: Actor, *specs: EntrySpec) -> list[UUID]:
    """Save in a transaction of its own."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return [row["id"] for row in await reports.save_entries(tx, actor, entries=specs)]


async def spec(cycle: OpenCycle, item: str) -> EntrySpec:
    """A value for a task of b1 as it is now."""
    task = await cycle.task("b1", item)
    content = Content(choice="good") if item == "C" else Content(number="4")
    return EntrySpec(encode_id("Task", task["id"]), content, task["entry_version"])


@pytest.mark.parametrize("first", [True, False])
async def test_of_two_saves_that_share_a_task_one_is_told_the_version(cycle: OpenCycle, first: bool) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    if not first:
        await save(cycle, secretary, await spec(cycle, "C"), await spec(cycle, "M"))
    shared, other = await spec(cycle, "C"), await spec(cycle, "M")
    told = await meanwhile(
        cycle,
        HOLD_TASKS,
        lambda: save(cycle, secretary, shared),
        lambda: save(cycle, secretary, shared, other),
    )
    (conflict,) = (each for each in told if isinstance(each, Exception))
    assert isinstance(conflict, VersionConflict)
    assert [each.path for each in conflict.conflicts] == [("input", "entries", "0", "version")]
    assert conflict.conflicts[0].current_version == (1 if first else 2)


async def test_a_cycle_that_was_closed_meanwhile_takes_no_more(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await save(cycle, secretary, await spec(cycle, "M"), await spec(cycle, "A"), await spec(cycle, "C"))
    sent = [await cycle.task("b1", item) for item in "MA"]
    kept = await cycle.task("b1", "C")
    version = (await cycle.task("b1", "C"))["entry_version"]

    async def submit(*tasks: Any) -> None:
        async with cycle.db.transaction(cycle.tenant.id) as tx:
            given = [(encode_id("Entry", task["entry_id"]), task["entry_version"]) for task in tasks]
            await reports.submit_entries(tx, secretary, entries=given)

    async def review() -> None:
        leaf = await cycle.assessment("b1", "ratio")
        async with cycle.db.transaction(cycle.tenant.id) as tx:
            given = [ReviewSpec(encode_id("Assessment", leaf["id"]), leaf["version"], Accept())]
            await reviews.review_assessments(tx, reviewer, reviews=given)

    await submit(*sent)
    again = EntrySpec(encode_id("Task", kept["id"]), Content(choice="fair"), version)
    told = await meanwhile(cycle, CLOSE_CYCLE, lambda: save(cycle, secretary, again), lambda: submit(kept), review)
    assert [type(each) for each in told] == [IllegalState] * 3
    assert {each.state for each in told} == {"ARCHIVED"}
    assert (await cycle.task("b1", "C"))["entry_version"] == version
    assert (await cycle.assessment("b1", "ratio"))["state"] == "READY"


async def test_a_right_that_ended_while_a_save_waited_is_missed(
    cycle: OpenCycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "LONG_SECONDS", 0.0)
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    given = await spec(cycle, "C")
    (told,) = await meanwhile(
        cycle,
        HOLD_TASKS,
        lambda: save(cycle, secretary, given),
        then="UPDATE grants SET valid_to = '2000-01-01' WHERE tenant_id = $1",
    )
    assert isinstance(told, AccessDenied | NotFound)
    assert (await cycle.task("b1", "C"))["entry_version"] is None


async def test_a_unit_is_closed_from_the_midnight_after_its_last_day(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    given = await spec(cycle, "C")
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        zone = await tx.fetchval("SELECT time_zone FROM tenants WHERE tenant_id = $1", tx.tenant_id)
        await tx.execute(
            "UPDATE org_units SET valid_from = '2026-01-01', valid_to = '2026-03-31' WHERE tenant_id = $1 AND id = $2",
            tx.tenant_id,
            cycle.units["b1"],
        )
        midnight = await tx.fetchval("SELECT timestamp '2026-04-01' AT TIME ZONE $1", zone)
    with pytest.raises(IllegalState) as refusal:
        await save(cycle, secretary, given)
    assert refusal.value.code is ErrorCode.UNIT_CLOSED
    assert refusal.value.since == midnight


async def test_a_draft_that_was_thrown_away_meanwhile_is_not_found(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=1, items=1, categories=1)
        _, draft = await schemes.create_scheme(
            tx,
            system_actor(tenant.id),
            code="other",
            name="另一方案",
            weighting="POINTS",
            category_ids=[encode_id("Category", key) for key in loaded.category_ids],
        )
    key = encode_id("SchemeVersion", draft)

    async def discard(tx: Transaction) -> None:
        await schemes.discard_scheme_version(tx, system_actor(tenant.id), scheme_version_id=key, version=1)

    async def create(tx: Transaction) -> None:
        await cycles.create_cycle(tx, system_actor(tenant.id), cycle=cycle_spec(loaded, scheme_version_id=key))

    with pytest.raises(Invalid) as refusal:
        await after(db, tenant, discard, create)
    assert {issue.code for issue in refusal.value.issues} == {ErrorCode.NOT_FOUND}


async def test_a_unit_that_was_moved_out_of_a_subtree_meanwhile_is_no_longer_its_administrators(
    db: Database, tenant: District
) -> None:
    rows = [("x", None), ("y", None), ("a", "x"), ("a1", "a")]
    async with db.transaction(tenant.id) as tx:
        await directory.import_org_units(
            tx,
            system_actor(tenant.id),
            rows=[directory.UnitRow(code, f"单位{code}", "BRANCH", parent) for code, parent in rows],
        )
        found = await tx.fetch("SELECT code, id FROM org_units WHERE tenant_id = $1", tenant.id)
    keys = {row["code"]: row["id"] for row in found}
    ids = {code: encode_id("OrgUnit", key) for code, key in keys.items()}
    person = uuid7()
    grant = HeldGrant(uuid7(), Role.ADMINISTRATOR, keys["x"], False, (), (), ())
    actor = Actor(tenant.id, person, person, "MEMBER", "乡镇管理员", "ZH_CN", "Asia/Shanghai", (grant,))

    async def move(tx: Transaction) -> None:
        await directory.move_org_unit(tx, system_actor(tenant.id), org_unit_id=ids["a"], version=1, parent_id=ids["y"])

    async def rename(tx: Transaction) -> None:
        await directory.rename_org_unit(tx, actor, org_unit_id=ids["a1"], version=1, name="改名")

    with pytest.raises(AccessDenied):
        await after(db, tenant, move, rename)


# --- names that are given once


async def test_of_two_accounts_of_one_name_the_second_is_told_so(db: Database, tenant: District) -> None:
    async def create(tx: Transaction) -> UUID:
        return await members.create_member(tx, system_actor(tenant.id), display_name="李", sign_in_name="li")

    async def link(tx: Transaction) -> UUID:
        return await members.link_member(tx, system_actor(tenant.id), sign_in_name="wang", subject="li")

    async with db.transaction(tenant.id) as tx:
        await members.create_member(tx, system_actor(tenant.id), display_name="王", sign_in_name="wang")
    for then in (create, link):
        with pytest.raises(Invalid) as refusal:
            await after(db, tenant, create, then)
        assert [issue.code for issue in refusal.value.issues] == [ErrorCode.DUPLICATE]
        async with db.transaction(tenant.id) as tx:
            await tx.execute("UPDATE members SET sign_in_name = id::text WHERE sign_in_name = 'li'")


async def test_of_two_cycles_of_one_code_the_second_is_told_so(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=1, items=1, categories=1)

    async def create(tx: Transaction) -> UUID:
        return await cycles.create_cycle(tx, system_actor(tenant.id), cycle=cycle_spec(loaded))

    async def edit(tx: Transaction) -> UUID:
        key = encode_id("Cycle", loaded.cycle_id)
        return await cycles.edit_cycle(
            tx, system_actor(tenant.id), cycle_id=key, version=1, cycle=cycle_spec(loaded, code="2027")
        )

    async def create_the_next(tx: Transaction) -> UUID:
        return await cycles.create_cycle(tx, system_actor(tenant.id), cycle=cycle_spec(loaded, code="2027"))

    for first, then in ((create, create), (create_the_next, edit)):
        with pytest.raises(Invalid) as refusal:
            await after(db, tenant, first, then)
        assert [issue.code for issue in refusal.value.issues] == [ErrorCode.DUPLICATE]


async def test_a_cycle_is_begun_while_another_is_opened_on_its_version(db: Database, tenant: District) -> None:
    begun = asyncio.Event()

    async def create() -> UUID:
        await begun.wait()
        async with db.transaction(tenant.id) as tx:
            return await cycles.create_cycle(tx, system_actor(tenant.id), cycle=cycle_spec(loaded))

    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=1, items=1, categories=1)
    creating = asyncio.create_task(create())
    async with db.transaction(tenant.id) as tx:
        assert not await schemes.freeze_draft(tx, system_actor(tenant.id), loaded.version_id)
        begun.set()
        async with asyncio.timeout(60):
            await creating
