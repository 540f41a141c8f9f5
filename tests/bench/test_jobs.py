"""How soon a job starts, and how many small ones a worker does in a second, beside Procrastinate on the same server.

A small job inserts one row. Ours commits that row and its own end in one transaction under a fence; Procrastinate's
task commits the row, then the worker the end. Both run eight at once in one process; rounds take turns.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import procrastinate
import pytest
from procrastinate.types import JSONValue

from service import jobs
from service.access import system_actor
from service.doorbell import Doorbell
from service.settings import Settings
from service.worker import SLOTS
from tenants.database import Database
from tenants.provisioning import District
from tests.faults.breaking import BREAKABLE, ROOT, WORKER, Behaviour

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

JOBS, ROUNDS, DISTRICTS, IDLE = 1_000, 5, 4, 40

NO_REDIS = "redis://127.0.0.1:1/0"
"""Where nothing listens."""

MakeTenant = Callable[[], Awaitable[District]]


@contextmanager
def worker(code: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """A worker process that has said that it is ready."""
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environment}, stderr=file)
    try:
        while "ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


async def ask(db: Database, tenant_id: UUID, keys: list[str], at: datetime | timedelta = timedelta(0)) -> None:
    """Request a small job per key, in one transaction."""
    async with db.transaction(tenant_id) as tx:
        for key in keys:
            await jobs.request(
                tx,
                system_actor(tenant_id),
                BREAKABLE,
                subject=("Tenant", ROOT),
                dedupe_key=key,
                arguments=Behaviour(key, how="NOTHING"),
                at=at,
            )


async def finished(db: Database, tenant_ids: list[UUID], what: str) -> list[asyncpg.Record]:
    """The rows of these keys once all of them are done."""
    while True:
        rows = []
        for tenant_id in tenant_ids:
            async with db.transaction(tenant_id) as tx:
                rows += await tx.fetch(
                    """SELECT state, requested_at, started_at, finished_at FROM jobs
                       WHERE tenant_id = $1 AND dedupe_key LIKE $2""",
                    tenant_id,
                    f"{what} %",
                )
        if all(row["state"] == "SUCCEEDED" for row in rows):
            return rows
        await asyncio.sleep(0.05)


async def test_how_soon_a_job_starts(db: Database, make_tenant: MakeTenant, settings: Settings, tmp_path: Path) -> None:
    tenant = await make_tenant()
    assert settings.redis_url is not None
    for name, url, allowed in (("idle", settings.redis_url.get_secret_value(), 0.05), ("no Redis", NO_REDIS, 2.0)):
        bell = Doorbell(url)
        db.announced = bell.announced
        environment = {**settings.environment(), "KAOPING_REDIS_URL": url, "KAOPING_LOG_LEVEL": "info"}
        try:
            with worker(WORKER, environment, tmp_path / f"{name}.txt"):
                for number in range(IDLE if name == "idle" else 10):
                    await ask(db, tenant.id, [f"{name} {number}"])
                    await finished(db, [tenant.id], name)
                    await asyncio.sleep(0.11)
                rows = await finished(db, [tenant.id], name)
        finally:
            db.announced = None
            await bell.close()
        waits = sorted((row["started_at"] - row["requested_at"]).total_seconds() for row in rows)
        print(f"\n{name}: from request to start p50 {1000 * median(waits):.0f} ms, longest {1000 * waits[-1]:.0f} ms")
        assert median(waits) < allowed
        if name == "no Redis":
            assert waits[-1] < allowed


PROCRASTINATE = """
import asyncio, os, sys, uuid
import procrastinate
from psycopg_pool import AsyncConnectionPool
url = os.environ["BENCH_URL"]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=10))
pool = AsyncConnectionPool(url, min_size=4, max_size=8, open=False)

@app.task(name="small")
async def small(key):
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO effects VALUES (%s, %s, %s, %s, '1', 'NUMBER', 0, 'REPORTED', false, true)",
            (uuid.UUID(int=1), uuid.uuid4(), uuid.uuid4().hex, key))

async def main():
    async with app.open_async():
        await pool.open()
        print("ready", file=sys.stderr, flush=True)
        await app.run_worker_async(concurrency=int(os.environ["BENCH_SLOTS"]))
asyncio.run(main())
"""


@asynccontextmanager
async def their_database(owner_url: str) -> AsyncIterator[str]:
    """A database with Procrastinate's tables and one for effects, of the columns and keys that ours have."""
    name = f"procrastinate_{os.getpid()}"
    url = urlunsplit(urlsplit(owner_url)._replace(path=f"/{name}"))
    server = await asyncpg.connect(owner_url)
    await server.execute(f"CREATE DATABASE {name}")
    try:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
        connection = await asyncpg.connect(url)
        await connection.execute(
            """CREATE TABLE effects (tenant_id uuid NOT NULL, id uuid NOT NULL, code text NOT NULL, name text NOT NULL,
                                     definition text, type text, scale int, source text, personal bool, active bool,
                                     PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, code))"""
        )
        await connection.close()
        yield url
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


async def our_round(db: Database, tenant_ids: list[UUID], name: str) -> float:
    """Jobs per second, from the first start to the last end."""
    at = await clock(db) + timedelta(seconds=5)
    for place, tenant_id in enumerate(tenant_ids):
        await ask(db, tenant_id, [f"{name} {key}" for key in range(place, JOBS, DISTRICTS)], at)
    assert await clock(db) < at, "asking for them took too long"
    rows = await finished(db, tenant_ids, name)
    took = max(row["finished_at"] for row in rows) - min(row["started_at"] for row in rows)
    return float(JOBS / took.total_seconds())


async def their_round(app: procrastinate.App, url: str, name: str) -> float:
    """The same of Procrastinate's."""
    await app.configure_task("small").batch_defer_async(
        *(dict[str, JSONValue](key=f"{name} {number}") for number in range(JOBS))
    )
    connection = await asyncpg.connect(url)
    try:
        while True:
            row = await connection.fetchrow(
                """SELECT count(*) FILTER (WHERE e.type = 'succeeded') AS done,
                          max(e.at) FILTER (WHERE e.type = 'succeeded')
                              - min(e.at) FILTER (WHERE e.type = 'started') AS took
                   FROM procrastinate_events e JOIN procrastinate_jobs j ON j.id = e.job_id
                   WHERE j.args ->> 'key' LIKE $1""",
                f"{name} %",
            )
            if row["done"] == JOBS:
                return float(JOBS / row["took"].total_seconds())
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def clock(db: Database) -> datetime:
    """The database's."""
    now: datetime = (await db.fetch_global("SELECT clock_timestamp()"))[0][0]
    return now


async def test_small_jobs_per_second_beside_procrastinate(
    db: Database, make_tenant: MakeTenant, settings: Settings, owner_url: str, tmp_path: Path
) -> None:
    tenants = [(await make_tenant()).id for _ in range(DISTRICTS)]
    ours, theirs = [], []
    environment = {**settings.environment(), "KAOPING_LOG_LEVEL": "info"}
    async with their_database(owner_url) as url:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        with (
            worker(WORKER, environment, tmp_path / "ours.txt"),
            worker(PROCRASTINATE, {"BENCH_URL": url, "BENCH_SLOTS": str(SLOTS)}, tmp_path / "theirs.txt"),
        ):
            async with app.open_async():
                for number in range(ROUNDS):
                    ours.append(await our_round(db, tenants, f"round{number}"))
                    theirs.append(await their_round(app, url, f"round{number}"))
    ratio = median(ours) / median(theirs)
    print(
        f"\nsmall jobs per second, one worker of {SLOTS}: {median(ours):,.0f}, Procrastinate {median(theirs):,.0f}, "
        f"ratio {ratio:.2f} ({', '.join(f'{a:.0f}:{b:.0f}' for a, b in zip(ours, theirs, strict=True))})"
    )
    assert ratio >= 1
