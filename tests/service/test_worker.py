"""Workers as real processes, killed, told to end, cut off from Redis: each job takes effect exactly once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from service import jobs
from service.access import system_actor
from service.doorbell import Doorbell
from service.ids import encode_id
from service.pulse import Pulse
from service.settings import Settings
from service.worker import JobWorker
from service.worker.apart import Apart
from service.worker.running import LOOK_SECONDS
from tenants.database import Database
from tenants.provisioning import District
from tests.service.test_jobs import ask, change, known, organiser, row
from tests.service.working import TEST, effects

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("known")]

__all__ = ["known"]

NO_REDIS = "redis://127.0.0.1:1/0"
"""Where nothing listens."""

StartWorker = Callable[..., Awaitable[subprocess.Popen[str]]]


@pytest.fixture
async def start_worker(settings: Settings, tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Starts worker processes and waits until they are ready; what still lives at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    async def start(
        redis_url: str | None = None,
        *,
        kinds: tuple[str, ...] = ("TEST",),
        looks: float = LOOK_SECONDS,
        **other: object,
    ) -> subprocess.Popen[str]:
        told = settings.model_copy(update=other | ({"redis_url": SecretStr(redis_url)} if redis_url else {}))
        said = tmp_path / f"worker-{len(started)}.txt"
        with said.open("w") as file:
            process = subprocess.Popen(  # noqa: ASYNC220  # starting one is quick
                [sys.executable, "-c", _MAIN, str(tmp_path / "attempts"), str(looks), *kinds],
                env={**os.environ, **told.environment()},
                stderr=file,
                text=True,
            )
        started.append(process)
        while "ready" not in said.read_text():
            assert process.poll() is None, said.read_text()
            await asyncio.sleep(0.02)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


_MAIN = """
import asyncio, logging, sys
from service.settings import Settings
from service.worker import run_worker, running
from tests.service.working import APART, TEST
logging.basicConfig(level=logging.INFO)
running.LOOK_SECONDS = float(sys.argv[2])
kinds = {name: kind for name, kind in {"TEST": TEST, "APART": APART}.items() if name in sys.argv}
asyncio.run(run_worker(Settings.read(), kinds=kinds))
"""


@pytest.fixture
async def doorbell(db: Database, redis_url: str) -> AsyncIterator[Doorbell]:
    """Rings after the commits of this process, as the API does."""
    bell = Doorbell(redis_url)
    db.announced = bell.announced
    yield bell
    db.announced = None
    await bell.close()


async def until(
    db: Database, tenant: District, job_id: UUID, *states: str, seconds: float = 60
) -> tuple[asyncpg.Record, float]:
    """The row once it is in one of the states, and how long that took."""
    begun = time.monotonic()
    while True:
        found = await row(db, tenant, job_id)
        if found["state"] in states:
            return found, time.monotonic() - begun
        assert time.monotonic() - begun < seconds, dict(found)
        await asyncio.sleep(0.02)


async def progressed(db: Database, tenant: District, job_id: UUID) -> None:
    """Wait until the job runs and has said so."""
    begun = time.monotonic()
    while (await row(db, tenant, job_id))["stage"] is None:
        assert time.monotonic() - begun < 60
        await asyncio.sleep(0.05)


def attempts(tmp_path: Path, job_id: UUID) -> list[int]:
    """Process ids of the workers that tried the job, in order."""
    lines = (tmp_path / "attempts").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if str(job_id) in line]


async def test_a_rung_job_starts_at_once(
    db: Database, tenant: District, start_worker: StartWorker, doorbell: Doorbell
) -> None:
    # Whose ring is not heard waits for half of that.
    await start_worker(looks=30)
    waits = []
    for number in range(9):
        job_id = await ask(db, tenant, f"key {number}")
        waits.append((await until(db, tenant, job_id, "SUCCEEDED"))[1])
        assert await effects(db, tenant.id, f"key {number}") == 1
    assert sorted(waits)[len(waits) // 2] < 5, waits
    assert (doorbell.rung, doorbell.failed) == (9, 0)


async def test_without_redis_a_job_starts_within_two_seconds(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    worker = await start_worker(NO_REDIS)
    bell = Doorbell(NO_REDIS)
    db.announced = bell.announced
    try:
        waits = [
            (await until(db, tenant, await ask(db, tenant, f"key {number}"), "SUCCEEDED"))[1] for number in range(3)
        ]
    finally:
        db.announced = None
        await bell.close()
    # A machine may be busy with something else for a while.
    assert min(waits) < 2.5, waits
    assert (bell.rung, bell.failed) == (0, 3)
    assert worker.poll() is None


async def test_a_lost_ring_delays_no_more_than_that(db: Database, tenant: District, start_worker: StartWorker) -> None:
    """Nobody rang for it: the dispatcher does."""
    await start_worker()
    waits = [(await until(db, tenant, await ask(db, tenant, f"key {number}"), "SUCCEEDED"))[1] for number in range(3)]
    assert min(waits) < 2.5, waits


async def test_another_worker_finishes_what_a_killed_one_began(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = await start_worker()
    job_id = await ask(db, tenant, seconds=2)
    await progressed(db, tenant, job_id)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = await start_worker()
    # The lease is what tells the others; the test does not wait for all of it.
    await change(db, tenant, job_id, "lease_until = now() + interval '0.5 s'")
    found, _ = await until(db, tenant, job_id, "SUCCEEDED")
    assert attempts(tmp_path, job_id) == [first.pid, second.pid]
    assert (found["crashes"], found["last_error"]) == (1, None)
    assert await effects(db, tenant.id, "one") == 1


async def test_a_worker_that_slept_through_its_lease_commits_nothing(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = await start_worker()
    job_id = await ask(db, tenant, seconds=2)
    await progressed(db, tenant, job_id)
    first.send_signal(signal.SIGSTOP)
    await start_worker()
    await change(db, tenant, job_id, "lease_until = now()")
    await until(db, tenant, job_id, "SUCCEEDED")
    first.send_signal(signal.SIGCONT)
    await asyncio.sleep(2)
    assert await effects(db, tenant.id, "one") == 1
    assert first.poll() is None, "it goes on with other work"
    assert len(attempts(tmp_path, job_id)) == 2


async def test_a_running_job_is_cancelled(db: Database, tenant: District, start_worker: StartWorker) -> None:
    await start_worker()
    for how in ("PLAIN", "COMPUTE"):
        job_id = await ask(db, tenant, how, how=how, seconds=18)
        await progressed(db, tenant, job_id)
        async with db.transaction(tenant.id) as tx:
            await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
        # At the latest it would be seen when it commits.
        _, waited = await until(db, tenant, job_id, "CANCELLED")
        assert waited < 9
        assert await effects(db, tenant.id, how) == 0


async def test_progress_is_told_and_the_lease_kept(db: Database, tenant: District, start_worker: StartWorker) -> None:
    await start_worker()
    job_id = await ask(db, tenant, how="COMPUTE", seconds=4)
    await progressed(db, tenant, job_id)
    percents, leases = set(), set()
    while (found := await row(db, tenant, job_id))["state"] == "RUNNING":
        percents.add(found["percent"])
        leases.add(found["lease_until"])
        await asyncio.sleep(0.1)
    assert len(percents) >= 3
    assert len(leases) >= 3
    assert (found["state"], found["percent"]) == ("SUCCEEDED", 100)


async def test_a_job_that_blocks_its_loop_keeps_its_lease(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    await start_worker()
    job_id = await ask(db, tenant, how="BLOCK_ONCE", seconds=3)
    await until(db, tenant, job_id, "RUNNING")
    # As if its beat were due: the next one must come although the loop is blocked.
    await asyncio.sleep(0.5)
    async with db.transaction(tenant.id) as tx:
        await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
    found, _ = await until(db, tenant, job_id, "CANCELLED", "SUCCEEDED")
    assert (found["crashes"], found["state"]) == (0, "CANCELLED")


async def test_failures_end_with_their_reason(db: Database, tenant: District, start_worker: StartWorker) -> None:
    await start_worker()
    ids = {how: await ask(db, tenant, how, how=how) for how in ("RAISE", "TRANSIENT", "REFUSED")}
    for how, (tries, words) in {
        "RAISE": (2, "unexpectedly"),
        "TRANSIENT": (2, "Not yet"),
        "REFUSED": (1, "No."),
    }.items():
        found, _ = await until(db, tenant, ids[how], "FAILED")
        assert found["attempts"] == tries
        assert words in found["last_error"]


async def test_a_job_that_ends_its_process_is_given_up(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    job_id = await ask(db, tenant, how="EXIT")
    for _ in range(jobs.MAX_CRASHES):
        worker = await start_worker()
        await asyncio.to_thread(worker.wait, 60)
        await change(db, tenant, job_id, "lease_until = now()")
        await jobs.reap(db)
    found = await row(db, tenant, job_id)
    assert (found["state"], found["crashes"]) == ("FAILED", jobs.MAX_CRASHES)


async def test_a_worker_told_to_end_finishes_or_gives_back(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    short, long = await ask(db, tenant, "short", seconds=2), await ask(db, tenant, "long", seconds=15)
    await progressed(db, tenant, short)
    await progressed(db, tenant, long)
    worker.send_signal(signal.SIGTERM)
    await until(db, tenant, short, "SUCCEEDED")
    worker.send_signal(signal.SIGTERM)
    found, _ = await until(db, tenant, long, "QUEUED")
    assert (found["attempts"], found["crashes"]) == (0, 0)
    assert await asyncio.to_thread(worker.wait, 60) == 0
    assert await effects(db, tenant.id, "long") == 0


async def test_one_that_hears_of_the_end_by_itself_is_given_back_as_well(
    db: Database, tenant: District, app_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["test"])  # here no file is named to note attempts in
    worker = JobWorker(db, Pulse(app_url), Apart(settings), {TEST.name: TEST}, settings)
    job_id = await ask(db, tenant, how="STOPPED")
    worker.wake(tenant.id)
    await worker.drain(5)
    found = await row(db, tenant, job_id)
    assert (found["state"], found["attempts"], found["crashes"]) == ("QUEUED", 0, 0)


async def test_two_workers_share_many_jobs_and_double_none(
    db: Database, tenant: District, start_worker: StartWorker, doorbell: Doorbell, tmp_path: Path
) -> None:
    ids = [await ask(db, tenant, f"key {number}") for number in range(40)]
    await start_worker()
    await start_worker()
    for number, job_id in enumerate(ids):
        await until(db, tenant, job_id, "SUCCEEDED")
        assert await effects(db, tenant.id, f"key {number}") == 1
    assert all(len(attempts(tmp_path, job_id)) == 1 for job_id in ids)
    assert doorbell.failed == 0


async def test_nobody_is_named_where_nobody_asked(db: Database, tenant: District) -> None:
    claim: Any = await jobs.claim(db, tenant.id, await ask(db, tenant))
    assert claim.actor == system_actor(tenant.id)
