"""Thousands of values cost as many statements as one: one per table that is touched, in one transaction."""

import math
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from service import reports, reviews
from service.access import Actor, HeldGrant, Role
from service.ids import encode_id
from service.reports import Content, EntrySpec, entries
from service.reviews import Accept, ReviewSpec
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.loading import load
from tests.counting import check_counters
from tests.service.cycling import opened

pytestmark = pytest.mark.anyio

MANY = 1000
UseCase = Callable[[Transaction], Awaitable[Any]]


async def statements(db: Database, tenant: District, use_case: UseCase) -> int:
    """How many statements a use-case sends, apart from those that begin and end the transaction."""
    sent: list[str] = []
    async with db.transaction(tenant.id) as tx:
        with tx.connection.query_logger(lambda record: sent.append(record.query)):
            await use_case(tx)
    # asyncpg asks a new connection once what types it has.
    return sum("tenant_id" in sql for sql in sent)


async def person(db: Database, tenant: District, role: Role, unit: str) -> Actor:
    """Somebody with a role at a unit and below."""
    key, grant = uuid7(), uuid7()
    async with db.transaction(tenant.id) as tx:
        unit_id = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND code = $2", tenant.id, unit)
        await tx.execute(
            "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', '某')", tenant.id, key
        )
        await tx.execute(
            "INSERT INTO grants (tenant_id, id, holder_id, role, unit_id) VALUES ($1, $2, $3, $4, $5)",
            tenant.id,
            grant,
            key,
            role.value,
            unit_id,
        )
    held = HeldGrant(grant, role, unit_id, unit == "root", (), (), ())
    return Actor(tenant.id, key, key, "MEMBER", "某", "EN", "Asia/Shanghai", (held,))


async def ids(db: Database, tenant: District, table: str, rest: str = "") -> list[UUID]:
    """Ids of rows, in order."""
    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch(f"SELECT id FROM {table} WHERE tenant_id = $1 {rest} ORDER BY id", tenant.id)
    return [row["id"] for row in rows]


async def test_statements_do_not_grow_with_what_is_written(
    db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine that is busy a thousand values may take as long as one that waits for another writer.
    monkeypatch.setattr(entries, "LONG_SECONDS", math.inf)
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=21, items=100, categories=2)
    secretary = await person(db, tenant, Role.SECRETARY, "root")
    reviewer = await person(db, tenant, Role.REVIEWER, "t1")
    await opened(db, secretary, loaded.cycle_id)
    tasks = await ids(db, tenant, "tasks")
    assert len(tasks) == 2100

    def save(chosen: list[UUID], version: int | None = None) -> UseCase:
        specs = [EntrySpec(encode_id("Task", key), Content(number="12.5"), version) for key in chosen]
        return lambda tx: reports.save_entries(tx, secretary, entries=specs)

    counted: dict[str, tuple[int, int]] = {}
    counted["save"] = (
        await statements(db, tenant, save(tasks[:1])),
        await statements(db, tenant, save(tasks[1 : MANY + 1])),
    )
    again = await statements(db, tenant, save(tasks[1 : MANY + 1], version=1))
    assert again == counted["save"][1]

    kept = await ids(db, tenant, "entries")

    def submit(chosen: list[UUID], version: int) -> UseCase:
        given = [(encode_id("Entry", key), version) for key in chosen]
        return lambda tx: reports.submit_entries(tx, secretary, entries=given)

    first = await ids(db, tenant, "entries", f"AND task_id = '{tasks[0]}'")
    others = [key for key in kept if key not in first]
    counted["submit"] = (
        await statements(db, tenant, submit(first, 1)),
        await statements(db, tenant, submit(others, 2)),
    )

    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch("SELECT id, version FROM assessments WHERE tenant_id = $1 AND state = 'READY'", tenant.id)

    def review(chosen: list[Any]) -> UseCase:
        given = [ReviewSpec(encode_id("Assessment", row["id"]), row["version"], Accept()) for row in chosen]
        return lambda tx: reviews.review_assessments(tx, reviewer, reviews=given)

    assert len(rows) == MANY + 1
    counted["review"] = (
        await statements(db, tenant, review(rows[:1])),
        await statements(db, tenant, review(rows[1:])),
    )

    reports_ = await ids(db, tenant, "reports")
    rest = await ids(db, tenant, "tasks", "AND state = 'OPEN'")
    await statements(db, tenant, save(rest))
    async with db.transaction(tenant.id) as tx:
        left = await tx.fetch(
            """SELECT rp.id, rp.version, count(*) AS tasks, (array_agg(ta.id))[1] AS one FROM reports rp
               JOIN tasks ta ON ta.tenant_id = $1 AND ta.report_id = rp.id AND ta.state = 'DRAFTED'
               WHERE rp.tenant_id = $1 GROUP BY rp.id, rp.version ORDER BY count(*) DESC LIMIT 2""",
            tenant.id,
        )
    assert len(reports_) == 21
    assert left[1]["tasks"] == 100

    def report(row: Any, *named: UUID) -> UseCase:
        key = encode_id("Report", row["id"])
        return lambda tx: reports.submit_report(
            tx,
            secretary,
            report_id=key,
            version=row["version"],
            task_ids=[encode_id("Task", each) for each in named] or None,
        )

    counted["report"] = (
        await statements(db, tenant, report(left[0], left[0]["one"])),
        await statements(db, tenant, report(left[1])),
    )
    assert counted["save"] == (1, 1)
    assert {name: one for name, (one, _) in counted.items()} == {name: many for name, (_, many) in counted.items()}
    assert max(one for one, _ in counted.values()) <= 12
    await check_counters(db, tenant.id)
