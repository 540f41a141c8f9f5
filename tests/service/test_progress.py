"""Counters of a cycle equal what its rows say, whatever happened, and writers never wait for each other in a ring."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import asyncpg
import orjson
import pytest

from service import progress
from service.access import Actor, Role, system_actor
from service.errors import KaopingError
from service.progress import _RECOUNT
from service.reports import Content
from service.reports.rights import SETTLED_STATES, WRITABLE_STATES
from service.reviews import Accept, Adjust, AdjustedValue, Award, Decision, Exempt, Reject, Return
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.migrations import sql_beside
from tenants.provisioning import District
from tests.bench.loading import load
from tests.counting import check_counters, kept, recounted
from tests.factories import ITEMS, LEAVES, OpenCycle, open_cycle
from tests.reading import nodes_of
from tests.service.cycling import opened
from tests.service.test_reports import fill, send, submit
from tests.service.test_reviews import judge
from tests.small import today

pytestmark = pytest.mark.anyio

ABOVE = {"b1": "t1", "b2": "t1", "b3": "t1", "b4": "t2", "d2": "root"}
UNITS = tuple(ABOVE)

MIGRATION = str(import_module("tenants.migrations.0002_statistics").__file__)


async def test_a_cycle_is_counted_when_it_opens(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=6, items=3, categories=2, sources=["ASSIGNED", "REPORTED", "REPORTED"])
        # Targets settle leaves from the first moment on.
        await tx.execute(
            """INSERT INTO cycle_targets (tenant_id, cycle_id, data_item_id, unit_id, number)
               SELECT $1, $2, $3, u, 5 FROM unnest($4::uuid[]) u""",
            tenant.id,
            loaded.cycle_id,
            loaded.item_ids[0],
            loaded.unit_ids[:4],
        )
    await opened(db, system_actor(tenant.id), loaded.cycle_id)
    counts = await check_counters(db, tenant.id)
    whole = (str(loaded.cycle_id), str(loaded.cycle_id))
    found = sum((counts[key] for key in counts if key[:2] == whole), Counter[str]())
    assert (found["asked"], found["outstanding"], found["accepted"] + found["ready"]) == (12, 12, 4)


async def test_nothing_is_counted_once_more_for_every_leaf(db: Database, tenant: District) -> None:
    """Where PostgreSQL takes a district's rows for a handful, it joins by loops: counting stands outside them."""
    async with db.transaction(tenant.id) as tx:
        for way in ("hashjoin", "mergejoin", "material"):
            await tx.execute(f"SET LOCAL enable_{way} = off")
        text = await tx.fetchval(f"EXPLAIN (FORMAT JSON) {_RECOUNT}", tenant.id, uuid7())
    looped = [each for node in nodes_of(orjson.loads(text)[0]["Plan"]) for each in again_and_again(node)]
    assert looped
    assert not [each for each in looped if "Aggregate" in each["Node Type"]]


def again_and_again(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a loop does for each of its rows."""
    if node["Node Type"] == "Nested Loop":
        for below in node["Plans"]:
            if below["Parent Relationship"] == "Inner":
                yield from nodes_of(below)


class History:
    """Whatever people may do in a cycle, in a random order; refusals leave no trace."""

    def __init__(self, cycle: OpenCycle, seed: int) -> None:
        self.cycle = cycle
        self.chance = random.Random(seed)  # repeatable, hides nothing
        self.people: dict[str, Actor] = {}
        self.done: list[str] = []

    async def begin(self) -> None:
        """Make the people."""
        for unit in UNITS:
            self.people[unit] = await self.cycle.person((Role.SECRETARY, unit))
        for unit in sorted(set(ABOVE.values())):
            self.people[unit] = await self.cycle.person((Role.REVIEWER, unit))
        self.people["assessor"] = await self.cycle.person((Role.ASSESSOR, "d1"))
        self.people["department"] = await self.cycle.person((Role.REVIEWER, "d1"))
        self.people["organiser"] = await self.cycle.person((Role.ORGANISER, "root"))

    async def step(self) -> None:
        """One thing, whether allowed or not."""
        what = self.chance.choice((self.save, self.save, self.submit, self.submit, self.department, self.judge))
        try:
            await what()
        except KaopingError:
            self.done.append("REFUSED")
        else:
            self.done.append(what.__name__)

    def content(self, item: str) -> Content | str:
        """Something for an item."""
        number = self.chance.randint(20, 30) + (10 if item == "M" else 0)
        match item:
            case "C":
                return Content(choice=self.chance.choice(("good", "fair")))
            case "K":
                return Content(counts=[("yes", number), ("no", 1)])
            case "S":
                return Content(scores=[str(number)])
        return str(number)

    async def save(self) -> None:
        """Draft some values of a unit."""
        unit = self.chance.choice(UNITS)
        writable = [item for item in "MACKS" if (await self.cycle.task(unit, item))["state"] in WRITABLE_STATES]
        items = [item for item in writable if self.chance.random() < 0.8]
        await fill(self.cycle, self.people[unit], unit, **{item: self.content(item) for item in items})

    async def submit(self) -> None:
        """Send a unit's report, or a part of it."""
        unit = self.chance.choice(UNITS)
        items = self.chance.sample("MACKS", self.chance.randint(1, 3)) if self.chance.random() < 0.3 else ()
        await submit(self.cycle, self.people[unit], unit, *items)

    async def department(self) -> None:
        """Fill and send a department's values."""
        units = self.chance.sample(UNITS[:4], self.chance.randint(1, 3))
        for unit in units:
            await fill(self.cycle, self.people["assessor"], unit, V=self.content("V"))
        await send(self.cycle, self.people["assessor"], "V", *units)

    async def judge(self) -> None:
        """Judge some leaves, taking back what was judged now and then."""
        unit = self.chance.choice(UNITS)
        leaf = self.chance.choice(list(LEAVES))
        who = {"award": "assessor", "value": "organiser", "choice": self.chance.choice((ABOVE[unit], "department"))}
        actor = self.people[who.get(leaf, ABOVE[unit])]
        leaves = (leaf, "members") if leaf in ("ratio", "ballots") and self.chance.random() < 0.3 else (leaf,)
        await judge(self.cycle, actor, *[(unit, each, await self.decision(unit, each)) for each in leaves])

    async def decision(self, unit: str, leaf: str) -> Decision:
        """One that may be allowed."""
        state = (await self.cycle.assessment(unit, leaf))["state"]
        later = str(today() + timedelta(days=self.chance.randint(0, 4)))
        if state in SETTLED_STATES and leaf != "award":
            return self.chance.choice((Return("再核", date=later), Return("再核", working_days=3)))
        if leaf == "award":
            return self.chance.choice((Award("7.5", "例会记录不全"), Exempt("无")))
        item = self.chance.choice(LEAVES[leaf]["items"])
        adjusted = self.content(item)
        content = adjusted if isinstance(adjusted, Content) else Content(number=adjusted)
        return self.chance.choice(
            (
                Accept(),
                Accept(),
                Accept(),
                Return("数据有误", date=later),
                Return("数据有误", working_days=3),
                Adjust([AdjustedValue(await self.cycle.task_id(unit, item), content)], "按台账核定"),
                Reject("无佐证"),
                Exempt("不涉及"),
            )
        )


@pytest.mark.parametrize("seed", range(3))
async def test_counters_equal_the_rows_after_a_long_history(db: Database, tenant: District, seed: int) -> None:
    # Due yesterday, with days of grace: what is sent at first is late, what comes back is not.
    cycle = await open_cycle(db, tenant, due_in=-1 if seed else 1, grace_days=3)
    history = History(cycle, seed)
    await history.begin()
    for number in range(240):
        await history.step()
        if number % 40 == 0:
            await check_counters(db, tenant.id)
    counts = await check_counters(db, tenant.id)
    assert {"save", "submit", "department", "judge"} <= set(history.done)
    seen = {name for counter in counts.values() for name in counter}
    assert seen >= {"asked", "submitted", "outstanding", "ready", "returned", "accepted"}
    assert ("submitted_late" in seen) == bool(seed)
    # What a return moved is counted under its own last day.
    assert len({due for _, _, due in counts}) > 2


async def test_many_at_once_lose_nothing_and_never_wait_in_a_ring(db: Database, tenant: District) -> None:
    cycle = await open_cycle(db, tenant)
    reviewer = await cycle.person((Role.REVIEWER, "t1"), (Role.REVIEWER, "t2"), (Role.REVIEWER, "root"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    assessor = await cycle.person((Role.ASSESSOR, "d1"))
    secretaries = {unit: await cycle.person((Role.SECRETARY, unit)) for unit in UNITS}

    async def report(unit: str) -> None:
        await submit(cycle, secretaries[unit], unit)

    for _ in range(3):
        for unit in UNITS:
            await fill(cycle, secretaries[unit], unit, M="40", A="36")
        for unit in UNITS[:4]:
            await fill(cycle, assessor, unit, V="5")
        await asyncio.gather(
            *map(report, UNITS), send(cycle, assessor, "V", "b1", "b2"), send(cycle, assessor, "V", "b4", "b3")
        )
        back = [Return("再核", date=str(today())) for _ in range(2)]
        await asyncio.gather(
            judge(cycle, reviewer, ("b1", "ratio", Accept()), ("b4", "members", Accept())),
            judge(cycle, reviewer, ("b4", "ratio", Accept()), ("b1", "members", Accept())),
            judge(cycle, reviewer, ("b2", "members", Accept()), ("b3", "ratio", Accept())),
            judge(cycle, reviewer, ("b3", "members", Accept()), ("b2", "ratio", Accept())),
        )
        await check_counters(db, tenant.id)
        await asyncio.gather(
            *(judge(cycle, reviewer, *[(unit, leaf, back[0]) for leaf in ("ratio", "members")]) for unit in UNITS[:4]),
            judge(cycle, reviewer, ("d2", "members", back[1]), ("d2", "ratio", back[1])),
            *(judge(cycle, organiser, (unit, "value", back[1])) for unit in UNITS[:4]),
        )
        await check_counters(db, tenant.id)


async def test_rows_of_counters_are_taken_in_the_order_of_their_key(db: Database, tenant: District) -> None:
    """Writers that name the same tasks in opposite orders, again and again; a ring would end one of them."""
    cycle = await open_cycle(db, tenant)
    tasks = [(await cycle.task(unit, item)) for unit in UNITS for item in ITEMS if item != "T"]
    up = [progress.submitted(task["id"], task["due_at"], 0) for task in tasks]
    down = [progress.TaskChange(each.task_id, each.due_at, submitted=-1) for each in reversed(up)]

    async def write(changes: list[progress.TaskChange]) -> None:
        async with db.transaction(tenant.id) as tx:
            await progress.count(tx, changes, [])

    await asyncio.gather(*(write(changes) for _ in range(40) for changes in (up, down)))
    await check_counters(db, tenant.id)


async def test_the_migration_counts_what_is_there_already(db: Database, tenant: District, owner_url: str) -> None:
    cycle = await open_cycle(db, tenant, due_in=-1, grace_days=3)
    history = History(cycle, 7)
    await history.begin()
    for _ in range(60):
        await history.step()
    fill_sql = "DO $$" + sql_beside(MIGRATION).partition("DO $$")[2]
    connection = await asyncpg.connect(owner_url)
    try:
        # Of all tenants, since the migration counts for all; rolled back by the end of the connection.
        await connection.execute("BEGIN; SET LOCAL ROLE kp_owner")
        for (other,) in await connection.fetch("SELECT id FROM directory"):
            await connection.execute(f"SET LOCAL app.tenant_id = '{other}'; DELETE FROM progress_counters")
        await connection.execute(fill_sql)
        await connection.execute(f"SET LOCAL app.tenant_id = '{tenant.id}'")
        tx = Transaction(tenant.id, connection)
        found = await kept(tx)
        assert found == await recounted(tx)
        assert found
    finally:
        await connection.close()
