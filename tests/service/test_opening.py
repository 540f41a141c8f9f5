"""Opening a cycle: what is fixed, who is asked for what, what is ready, what is settled from the first moment on."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from uuid import UUID

import asyncpg
import orjson
import pytest

from service.access import Actor, system_actor
from service.errors import IllegalState, Invalid
from service.jobs import JobRun, Stopped
from service.opening import open_cycle
from service.settings import Settings
from tenants.database import Database, Transaction
from tenants.ids import uuid7_bytes
from tenants.migrations import sql_beside
from tenants.provisioning import District, create_tenant
from tests.bench.loading import Loaded, load, look_over
from tests.reading import rows_read
from tests.service.cycling import count, opened, start_opening

pytestmark = pytest.mark.anyio

PINNED_ITEMS = str(import_module("tenants.migrations.0010_pinned_items").__file__)


@pytest.fixture
def actor(tenant: District) -> Actor:
    return system_actor(tenant.id)


@pytest.fixture
async def loaded(db: Database, tenant: District) -> Loaded:
    """Six units in two categories, three reported items, a leaf for each."""
    async with db.transaction(tenant.id) as tx:
        return await load(tx, units=6, items=3, categories=2)


async def change_leaf(tx: Transaction, code: str, what: str, *values: object) -> None:
    await tx.execute(f"UPDATE indicators SET {what} WHERE tenant_id = $1 AND code = $2", tx.tenant_id, code, *values)


async def levels(tx: Transaction) -> dict[str, tuple[int, str]]:
    """Levels and state of the assessments of each leaf."""
    rows = await tx.fetch(
        """SELECT DISTINCT i.code, a.levels, a.state FROM assessments a
           JOIN indicators i ON i.tenant_id = a.tenant_id AND i.id = a.indicator_id WHERE a.tenant_id = $1""",
        tx.tenant_id,
    )
    return {row["code"]: (row["levels"], row["state"]) for row in rows}


def test_bulk_ids_are_of_version_7_and_ascend() -> None:
    raw = uuid7_bytes(1000)
    ids = [UUID(bytes=raw[place : place + 16]) for place in range(0, len(raw), 16)]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, ids[0].variant)}


async def test_an_opening_makes_all_there_is_to_do(db: Database, actor: Actor, loaded: Loaded) -> None:
    run = await start_opening(db, actor, loaded.cycle_id)
    async with db.transaction(actor.tenant_id) as tx:
        assert await tx.fetchval("SELECT state FROM cycles WHERE tenant_id = $1", actor.tenant_id) == "DRAFT"
    await open_cycle(run)
    assert run.committed
    async with db.transaction(actor.tenant_id) as tx:
        cycle = await tx.fetchrow("SELECT * FROM cycles WHERE tenant_id = $1", actor.tenant_id)
        assert cycle is not None
        assert (cycle["state"], cycle["opened_at"] is not None) == ("OPEN", True)
        finished_at = await tx.fetchval("SELECT finished_at FROM jobs WHERE tenant_id = $1", actor.tenant_id)
        assert finished_at > cycle["opened_at"], "when its transaction ended, not when it began"
        assert await count(tx, "cycle_units") == 8, "six units, their town, the root"
        assert await count(tx, "cycle_units", "assessed") == 6
        assert await count(tx, "reports") == 6
        assert await count(tx, "tasks", "state = 'OPEN' AND filler = 'UNIT' AND report_id IS NOT NULL") == 18
        assert await count(tx, "assessments", "state = 'WAITING' AND levels = 1 AND report_id IS NOT NULL") == 18
        assert await tx.fetchval("SELECT count(DISTINCT id) FROM tasks WHERE tenant_id = $1", actor.tenant_id) == 18
        dates = await tx.fetchrow(
            """SELECT count(*) FILTER (WHERE k.due_on = c.due_on AND k.due_at = c.due_at AND k.closes_at = c.closes_at
                          AND k.scheme_version_id = c.scheme_version_id)
               FROM tasks k JOIN cycles c ON c.tenant_id = k.tenant_id AND c.id = k.cycle_id WHERE k.tenant_id = $1""",
            actor.tenant_id,
        )
        assert dates == (18,)
        wrong = await tx.fetchval(
            """SELECT count(*) FROM tasks k JOIN reports r ON r.tenant_id = k.tenant_id AND r.id = k.report_id
               WHERE k.tenant_id = $1 AND r.cycle_unit_id <> k.cycle_unit_id""",
            actor.tenant_id,
        )
        assert wrong == 0
        unit = await tx.fetchrow(
            """SELECT u.*, p.code AS parent FROM cycle_units u
               JOIN cycle_units p ON p.tenant_id = u.tenant_id AND p.id = u.parent_id
               WHERE u.tenant_id = $1 AND u.code = 'u1'""",
            actor.tenant_id,
        )
        assert unit is not None
        assert unit["path_names"] == ["中共测试区委员会", "第1街道", "第1社区"]
        assert (unit["parent"], unit["category_name"]) == ("t1", "第2类")
        above = await tx.fetch(
            """SELECT o.code, a.depth FROM cycle_unit_ancestors a
               JOIN org_units o ON o.tenant_id = a.tenant_id AND o.id = a.ancestor_id
               WHERE a.tenant_id = $1 AND a.cycle_unit_id = $2 ORDER BY a.depth""",
            actor.tenant_id,
            unit["id"],
        )
        assert [tuple(row) for row in above] == [("u1", 0), ("t1", 1), ("root", 2)]
        job = await tx.fetchrow("SELECT state, percent FROM jobs WHERE tenant_id = $1", actor.tenant_id)
        assert job == ("SUCCEEDED", 100)
        assert await count(tx, "cycle_categories", "name <> '?'") == 2, "names as of now"


async def test_the_migration_pins_the_items_of_tasks_that_are_there(
    db: Database, actor: Actor, loaded: Loaded, owner_url: str
) -> None:
    await open_cycle(await start_opening(db, actor, loaded.cycle_id))
    connection = await asyncpg.connect(owner_url)
    try:
        # Rolled back by the end of the connection.
        await connection.execute(f"BEGIN; SET LOCAL ROLE kp_owner; SET LOCAL app.tenant_id = '{actor.tenant_id}'")
        await connection.execute("UPDATE tasks SET scheme_version_id = gen_random_uuid()")
        await connection.execute(sql_beside(PINNED_ITEMS))
        await connection.execute(f"SET LOCAL app.tenant_id = '{actor.tenant_id}'")
        pinned = "SELECT DISTINCT scheme_version_id FROM tasks"
        assert [row[0] for row in await connection.fetch(pinned)] == [loaded.version_id]
    finally:
        await connection.close()


async def test_an_open_cycle_keeps_names_and_places(db: Database, actor: Actor, loaded: Loaded) -> None:
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(actor.tenant_id) as tx:
        await tx.execute("UPDATE org_units SET name = '改名' WHERE tenant_id = $1", actor.tenant_id)
        await tx.execute("UPDATE categories SET name = '改名' || code WHERE tenant_id = $1", actor.tenant_id)
        assert await count(tx, "cycle_units", "name = '改名' OR category_name LIKE '改名%'") == 0


async def test_nodes_hold_for_their_categories_and_those_below(db: Database, actor: Actor, loaded: Loaded) -> None:
    async with db.transaction(actor.tenant_id) as tx:
        await change_leaf(tx, "l1", "category_ids = $3", loaded.category_ids[:1])
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(actor.tenant_id) as tx:
        assert await count(tx, "assessments") == 15
        assert await count(tx, "tasks") == 15
        others = await tx.fetchval(
            """SELECT count(*) FROM tasks k JOIN cycle_units u ON u.tenant_id = k.tenant_id AND u.id = k.cycle_unit_id
               WHERE k.tenant_id = $1 AND k.data_item_id = $2 AND u.category_id <> $3""",
            actor.tenant_id,
            loaded.item_ids[0],
            loaded.category_ids[0],
        )
        assert others == 0


async def test_one_item_of_two_leaves_is_asked_once(db: Database, actor: Actor, loaded: Loaded) -> None:
    async with db.transaction(actor.tenant_id) as tx:
        await tx.execute(
            """INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
               SELECT $1, id, $2, 1 FROM indicators WHERE tenant_id = $1 AND code = 'l1'""",
            actor.tenant_id,
            loaded.item_ids[1],
        )
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(actor.tenant_id) as tx:
        assert await count(tx, "tasks") == 18


async def test_levels_follow_the_leaf_and_who_fills_it(db: Database, tenant: District, actor: Actor) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(
            tx, units=2, items=5, categories=1, sources=["REPORTED", "REVIEWED", "REVIEWED", "REPORTED"]
        )
        await change_leaf(tx, "l3", "review_levels = $3::jsonb", orjson.dumps([{"level": 1}, {"level": 2}]).decode())
        await change_leaf(tx, "l4", "review_levels = '[]'")
        await change_leaf(tx, "l5", """rule = '{"kind": "AWARD", "step": "1"}'""")
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(tenant.id) as tx:
        assert await levels(tx) == {
            "l1": (1, "WAITING"),
            "l2": (0, "WAITING"),
            "l3": (2, "WAITING"),
            "l4": (0, "WAITING"),
            "l5": (1, "READY"),
        }
        assert await count(tx, "assessments", "state = 'READY' AND ready_since IS NOT NULL") == 2
        assert await count(tx, "tasks", "filler = 'RESPONSIBLE_UNIT' AND report_id IS NULL") == 4
        assert await count(tx, "tasks", "filler = 'UNIT' AND responsible_unit_id IS NULL") == 6


async def test_targets_are_entered_and_what_rests_on_them_alone_is_settled(
    db: Database, tenant: District, actor: Actor
) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=3, items=3, categories=1, sources=["ASSIGNED", "ASSIGNED", "REPORTED"])
        # The third leaf compares what is reported with the second target.
        await tx.execute(
            """INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
               SELECT $1, id, $2, 1 FROM indicators WHERE tenant_id = $1 AND code = 'l3'""",
            tenant.id,
            loaded.item_ids[1],
        )
        await tx.execute(
            """INSERT INTO cycle_targets (tenant_id, cycle_id, data_item_id, unit_id, number)
               SELECT $1, $2, i, u, 12.5 FROM unnest($3::uuid[]) i CROSS JOIN unnest($4::uuid[]) u""",
            tenant.id,
            loaded.cycle_id,
            loaded.item_ids[:2],
            loaded.unit_ids,
        )
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(tenant.id) as tx:
        assert await count(tx, "entries", "state = 'SUBMITTED' AND source = 'ASSIGNED' AND number = 12.5") == 6
        assert await count(tx, "entry_revisions", "revision = 1") == 6
        assert (
            await count(
                tx,
                "entries e",
                "e.submitted_revision_id = e.revision_id AND EXISTS (SELECT 1 FROM "
                "entry_revisions r WHERE r.tenant_id = e.tenant_id AND r.id = e.revision_id)",
            )
            == 6
        )
        states: dict[str, str] = {
            row["code"]: row["state"]
            for row in await tx.fetch(
                """SELECT DISTINCT d.code, k.state FROM tasks k
                   JOIN data_items d ON d.tenant_id = k.tenant_id AND d.id = k.data_item_id WHERE k.tenant_id = $1""",
                tenant.id,
            )
        }
        assert states == {"i1": "SETTLED", "i2": "SUBMITTED", "i3": "OPEN"}
        assert await levels(tx) == {"l1": (0, "ACCEPTED"), "l2": (0, "ACCEPTED"), "l3": (1, "WAITING")}
        settled = await tx.fetch(
            "SELECT settled_numbers, pinned_revision_ids, settled_at FROM assessments "
            "WHERE tenant_id = $1 AND state = 'ACCEPTED'",
            tenant.id,
        )
        assert all(len(row["pinned_revision_ids"]) == 1 and str(row["settled_numbers"][0]) == "12.5" for row in settled)


async def test_only_units_below_the_chosen_one_are_assessed(db: Database, tenant: District, actor: Actor) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=150, items=1, categories=1)
        await tx.execute(
            """UPDATE cycles SET under_id = (SELECT id FROM org_units WHERE tenant_id = $1 AND code = 't2')
               WHERE tenant_id = $1""",
            tenant.id,
        )
        await tx.execute(
            "UPDATE org_units SET valid_to = '2025-12-31' WHERE tenant_id = $1 AND code = 'u150'", tenant.id
        )
    await opened(db, actor, loaded.cycle_id)
    async with db.transaction(tenant.id) as tx:
        assert await count(tx, "cycle_units", "assessed") == 49, "one of them has ended"
        assert await count(tx, "cycle_units", "NOT assessed") == 2


@pytest.mark.parametrize("known", ["statistics", "plans"])
async def test_a_large_district_is_opened_as_if_no_small_one_had_been_before(apart: Settings, known: str) -> None:
    """A connection keeps plans that are of a few rows; what PostgreSQL knows of tables may be of empty districts."""
    assert apart.database_owner_url is not None
    assert apart.database_url is not None
    owner_url = apart.database_owner_url.get_secret_value()
    worker = await Database.connect(apart.database_url.get_secret_value(), max_size=1)
    read: list[int] = []

    async def district() -> UUID:
        code = f"test-{uuid.uuid4().hex[:12]}"
        made = await create_tenant(
            owner_url, code=code, name="测试区", time_zone="Asia/Shanghai", root_code="root", root_name="测试区委"
        )
        return made.id

    async def is_opened(units: int) -> None:
        actor = system_actor(await district())
        async with worker.transaction(actor.tenant_id) as tx:
            loaded = await load(tx, units=units, items=20)
        run = await start_opening(worker, actor, loaded.cycle_id)
        count_what_is_read(run, read)
        await open_cycle(run)

    if known == "plans":
        await is_opened(20)
    else:
        for _ in range(50):
            await district()
        await look_over(owner_url)
    await is_opened(500)
    await worker.close()
    tasks_and_assessments = 2 * 20 * 500
    assert read[-1] < 20 * tasks_and_assessments


def count_what_is_read(run: JobRun, read: list[int]) -> None:
    """Add how many rows PostgreSQL has read for the run, by index or without, when it is about to commit."""
    plain = run.committing

    @asynccontextmanager
    async def committing() -> AsyncIterator[Transaction]:
        async with plain() as tx:
            # What the connection has read before and not told of yet.
            before = await rows_read(tx)
            yield tx
            read.append(await rows_read(tx) - before)

    run.committing = committing  # type: ignore[method-assign]  # all that an opening does is in there


async def test_an_opening_that_is_refused_leaves_nothing(db: Database, tenant: District, actor: Actor) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=3, items=2, categories=1)
        await tx.execute(
            "UPDATE org_units SET valid_to = '2025-12-31' WHERE tenant_id = $1 AND code LIKE 'u%'", tenant.id
        )
    with pytest.raises(Invalid):
        await opened(db, actor, loaded.cycle_id)
    async with db.transaction(tenant.id) as tx:
        assert await count(tx, "cycle_units") == 0
        assert await tx.fetchval("SELECT state FROM cycles WHERE tenant_id = $1", tenant.id) == "DRAFT"


async def test_an_opening_that_is_cancelled_leaves_nothing(db: Database, actor: Actor, loaded: Loaded) -> None:
    run = await start_opening(db, actor, loaded.cycle_id)
    told: list[str] = []
    plain = run.progress

    def progress(stage: str, done: int = 0, total: int = 0, *, percent: int | None = None) -> None:
        told.append(stage)
        run.stopping = "CANCELLED" if stage == "ASSESSMENTS" else None
        plain(stage, done, total, percent=percent)

    run.progress = progress  # type: ignore[method-assign]  # looks over its shoulder
    with pytest.raises(Stopped):
        await open_cycle(run)
    assert told == ["FREEZING", "UNITS", "TASKS", "TASKS", "ASSESSMENTS"]
    async with db.transaction(actor.tenant_id) as tx:
        assert await count(tx, "tasks") == await count(tx, "cycle_units") == 0


async def test_a_cycle_opens_once(db: Database, actor: Actor, loaded: Loaded) -> None:
    await opened(db, actor, loaded.cycle_id)
    with pytest.raises(IllegalState) as refused:
        await opened(db, actor, loaded.cycle_id)
    assert refused.value.state == "OPEN"
    async with db.transaction(actor.tenant_id) as tx:
        assert await count(tx, "tasks") == 18
