"""Jobs under everything that breaks: after it every effect exists once, every job is done or dead with its reason."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median

import asyncpg
import pytest

from service import embedded
from service.embedded import postgres, redis
from service.embedded.folder import read_state
from service.embedded.processes import account_for, run
from service.jobs import MAX_CRASHES
from tenants.database import Database
from tests.e2e.conftest import serving
from tests.faults.conftest import LEASE_SECONDS
from tests.faults.standing import Stand, Worker

pytestmark = pytest.mark.anyio


async def all_of(*tasks: Awaitable[object]) -> None:
    """All of them, or the first one's failure."""
    await asyncio.gather(*tasks)


async def test_what_breaks_is_the_postgresql_of_the_settings(stand: Stand, db: Database, owner_url: str) -> None:
    """Not the default's, and not the server of the rest of the suite."""
    connection = await asyncpg.connect(owner_url)
    try:
        row = await connection.fetchrow("SELECT current_setting('server_version_num')::int / 10000, inet_server_port()")
    finally:
        await connection.close()
    state = read_state(stand.data)
    assert state is not None
    assert tuple(row or ()) == (stand.settings.embedded_postgres, state.postgres_port)
    assert [tuple(row) for row in await db.fetch_global("SELECT inet_server_port()")] == [(state.postgres_port,)]


async def test_workers_are_killed_stopped_and_cut_off(stand: Stand, full: bool) -> None:
    """Random faults while jobs run: SIGKILL, SIGSTOP beyond the lease, FLUSHALL, connections terminated."""
    count, workers, seconds = (6_000, 4, 120.0) if full else (1_000, 3, 14.0)
    tenants = [await stand.make_tenant() for _ in range(3)]
    await stand.start(workers)
    begun = time.monotonic()

    async def request() -> None:
        for number in range(count):
            tenant = tenants[number % len(tenants)]
            await stand.ask(tenant, f"key {number}", milliseconds=stand.random.choice((0, 5, 30, 200)))
            if stand.random.random() < 0.1:
                # Some are asked for again: joined, or done once more.
                again = stand.random.randrange(number + 1)
                await stand.ask(tenants[again % len(tenants)], f"key {again}")
            # Spread, so that faults meet jobs in every stage.
            left = seconds - (time.monotonic() - begun)
            await asyncio.sleep(max(0.0, left / (count - number) - 0.002))

    async def break_things() -> None:
        stopped: list[Worker] = []

        async def stop(worker: Worker) -> None:
            stopped.append(worker)
            await stand.stop_for(worker, LEASE_SECONDS + 1.5)
            # It needs a moment to find out what it has lost; then it may be killed like the others.
            await asyncio.sleep(1)
            stopped.remove(worker)

        async with asyncio.TaskGroup() as beside:
            what = "STOP"
            while time.monotonic() - begun < seconds:
                await asyncio.sleep(stand.random.uniform(0.2, 0.8))
                if not (standing := [worker for worker in stand.workers if worker not in stopped]):
                    continue
                worker = stand.random.choice(standing)
                match what:
                    # One is always left to take over.
                    case "KILL" if len(standing) > 1:
                        await stand.kill(worker)
                        beside.create_task(stand.start())
                    case "STOP" if len(standing) > 1 and not stopped:
                        beside.create_task(stop(worker))
                    case "FLUSH":
                        await stand.flush()
                    case "CUT":
                        await stand.terminate_connections()
                what = stand.random.choices(("KILL", "STOP", "FLUSH", "CUT"), (6, 3, 1, 2))[0]

    await all_of(request(), break_things())
    await stand.settled(tenants)
    while await stand.revive(tenants):
        await stand.settled(tenants)
    await stand.check(tenants)


async def test_a_job_that_always_raises_one_that_exits_and_one_that_blocks(stand: Stand, full: bool) -> None:
    tenant = await stand.make_tenant()
    await stand.start(2)
    good = 300 if full else 60
    bad = {"raises": "RAISE", "exits": "EXIT"}
    for key, how in bad.items():
        await stand.ask(tenant, key, how=how)
    await stand.ask(tenant, "blocks", how="BLOCK", milliseconds=int(1000 * (LEASE_SECONDS + 1)))
    for number in range(good):
        await stand.ask(tenant, f"key {number}", milliseconds=20)

    async def replace() -> None:
        """What an orchestrator does with a process that ended."""
        while True:
            for worker in list(stand.workers):
                if not worker.lives:
                    stand.workers.remove(worker)
                    stand.figures.crashes += 1
                    await stand.start()
            await asyncio.sleep(0.1)

    replacing = asyncio.create_task(replace())
    begun = time.monotonic()
    while any(row["state"] in ("QUEUED", "RUNNING") for row in await stand.rows(tenant)):
        assert time.monotonic() - begun < 90
        await asyncio.sleep(0.2)
    # One that stood beside the one that exits, three times over, gave up as well.
    while await stand.revive([tenant], but=list(bad)):
        await stand.settled([tenant])
    replacing.cancel()
    rows = {row["dedupe_key"]: row for row in await stand.rows(tenant)}
    assert (rows["raises"]["state"], rows["raises"]["attempts"] - rows["raises"]["crashes"]) == ("FAILED", 3)
    assert "unexpectedly" in rows["raises"]["last_error"]
    assert (rows["exits"]["state"], rows["exits"]["crashes"]) == ("FAILED", MAX_CRASHES)
    assert "went away" in rows["exits"]["last_error"]
    # Its lease was kept although its loop was blocked for longer, unless it fell with the one that exits.
    assert rows["blocks"]["state"] == "SUCCEEDED"
    await stand.check([tenant], but=list(bad))


def share(waits: list[float], full: bool) -> float:
    """What is bounded of some waits: all of them, or half in the short form, which runs beside other tests."""
    return max(waits) if full else median(waits)


async def test_redis_is_away(stand: Stand, full: bool) -> None:
    """Mutations go on, jobs start within two seconds, no worker ends; afterwards the doorbell is heard again."""
    seconds = 30.0 if full else 6.0
    tenant = await stand.make_tenant()
    await stand.start(2)
    environment = stand.settings.environment()
    with serving(environment) as api:
        administrator = api.client(tenant.code, "ADMINISTRATOR")
        state = read_state(stand.data)
        assert state is not None
        assert redis.stop(stand.data, state)
        begun, number, waits, mutations = time.monotonic(), 0, [], 0
        try:
            while time.monotonic() - begun < seconds:
                asked = time.monotonic()
                await stand.ask(tenant, f"key {number}")
                answer = await asyncio.to_thread(
                    administrator.mutate,
                    "createCategory",
                    "category { id }",
                    code=f"c{number}",
                    name=f"第{number}类",
                )
                mutations += answer["category"] is not None
                await stand.settled([tenant], every=0.02)
                waits.append(time.monotonic() - asked)
                number += 1
        finally:
            redis.start(stand.data, state, account_for(lambda *_: None), lambda *_: None)
        assert mutations == number > 0
        assert share(waits, full) < 2.5, waits
        # arq is back within its pause.
        await asyncio.sleep(2)
        after = []
        for more in range(10):
            asked = time.monotonic()
            await stand.ask(tenant, f"after {more}")
            await stand.settled([tenant], every=0.01)
            after.append(time.monotonic() - asked)
    stand.figures.notes.append(
        f"Redis away for {seconds:.0f} s: {mutations} mutations succeeded, jobs done in p50 {median(waits):.2f} s, "
        f"at most {max(waits):.2f} s; afterwards p50 {median(after):.2f} s"
    )
    await stand.check([tenant])


async def test_the_database_is_restarted_in_immediate_mode(stand: Stand, full: bool) -> None:
    """As after a power cut: what was acknowledged is there, the rest is done again, no worker ends."""
    count, restarts = (1_500, 4) if full else (200, 1)
    tenants = [await stand.make_tenant() for _ in range(2)]
    await stand.start(2)
    acknowledged: list[str] = []

    async def request() -> None:
        for number in range(count):
            await stand.ask(tenants[number % 2], f"key {number}", milliseconds=stand.random.choice((0, 20, 300)))
            acknowledged.append(f"key {number}")
            await asyncio.sleep(0.01)

    async def restart() -> None:
        state = read_state(stand.data)
        assert state is not None
        for part in range(1, restarts + 1):
            while len(acknowledged) < count * part // (restarts + 1):  # noqa: ASYNC110  # a list has no event
                await asyncio.sleep(0.02)
            await asyncio.to_thread(crash, stand)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(embedded.start, stand.data)

    await all_of(request(), restart())
    await stand.settled(tenants)
    while await stand.revive(tenants):
        await stand.settled(tenants)
    assert len(acknowledged) == count
    await stand.check(tenants)


def crash(stand: Stand) -> None:
    """Every server process of PostgreSQL ends at once; nothing is flushed."""
    folder = stand.data / "postgres"
    account = account_for(lambda *_: None)
    programs = postgres._programs_for(folder, account, lambda *_: None)
    command: list[str | Path] = [
        programs / "bin" / "pg_ctl",
        "stop",
        "--mode",
        "immediate",
        "--wait",
        "--silent",
        "--pgdata",
        ".",
    ]
    assert run(command, account, folder).returncode == 0


async def test_one_district_with_thousands_beside_one_with_one(stand: Stand, full: bool) -> None:
    """The single job does not wait for the thousands; two dispatchers hand none of them out twice."""
    count = 5_000
    crowd, single = await stand.make_tenant(), await stand.make_tenant()
    await stand.ask_many(crowd, count, milliseconds=20)
    await stand.start(2)
    await asyncio.sleep(1.5)
    waits = []
    for number in range(5):
        asked = time.monotonic()
        await stand.ask(single, f"single {number}")
        await stand.settled([single], every=0.01)
        waits.append(time.monotonic() - asked)
        await asyncio.sleep(0.2)
    left = sum(row["state"] == "QUEUED" for row in await stand.rows(crowd))
    assert left > 0, "the thousands still wait"
    if full:
        assert median(waits) < 0.5, waits
    assert share(waits, full) < 2.5, waits
    stand.figures.notes.append(
        f"One job beside {left:,} of another district: done in p50 {1000 * median(waits):.0f} ms"
    )
    if full:
        await stand.settled([crowd], seconds=300)
    else:
        await stand.drop(crowd)
        await stand.settled([crowd])
    await stand.check([single, crowd])


async def test_workers_are_told_to_end_in_mid_run(stand: Stand, full: bool) -> None:
    """SIGTERM: what runs is finished or given back; it costs no attempt, and the worker exits 0."""
    count = 600 if full else 150
    tenants = [await stand.make_tenant() for _ in range(2)]
    await stand.start(2)
    for number in range(count):
        await stand.ask(tenants[number % 2], f"key {number}", milliseconds=150)
    for _ in range(4 if full else 2):
        await stand.tell_to_end(stand.workers[0])
        await stand.start()
        await asyncio.sleep(0.5)
    rows = await stand.settled(tenants)
    assert all((row["crashes"], row["attempts"]) == (0, 1) for row in rows)
    await stand.check(tenants)
