"""Attempts in processes of their own: bounded, killed with their attempt, and no harm to what runs beside them."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from service import jobs
from service.ids import encode_id
from service.worker.running import APART_SLOTS
from tenants.database import Database
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.service.test_jobs import ask, change, known, organiser, row
from tests.service.test_worker import StartWorker, attempts, progressed, start_worker, until
from tests.service.working import APART, effects

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("known")]

__all__ = ["known", "start_worker"]


BOTH = ("TEST", "APART")


def lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int, seconds: float = 10) -> None:
    """Wait for its end."""
    begun = time.monotonic()
    while lives(pid):
        assert time.monotonic() - begun < seconds
        await asyncio.sleep(0.02)


async def test_it_computes_in_another_process_and_commits_there(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = await start_worker(kinds=BOTH)
    job_id = await ask(db, tenant, kind=APART, how="COMPUTE", seconds=1)
    await progressed(db, tenant, job_id)
    (child,) = attempts(tmp_path, job_id)
    assert child != worker.pid
    await until(db, tenant, job_id, "SUCCEEDED")
    assert await effects(db, tenant.id, "one") == 1
    await gone(child)


async def test_one_that_needs_too_much_fails_alone_and_says_so(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    await start_worker(kinds=BOTH, job_memory_mib=256)
    beside = await ask(db, tenant, "beside", seconds=1)
    large = await ask(db, tenant, "large", kind=APART, how="MEMORY", seconds=400)
    apart = await ask(db, tenant, "apart", kind=APART, how="MEMORY", seconds=20)
    found, _ = await until(db, tenant, large, "FAILED")
    assert found["attempts"] == 1, "the same data would need the same memory"
    assert "more memory than a job may have (256 MiB)" in found["last_error"]
    for job_id, effect in ((beside, "beside"), (apart, "apart")):
        await until(db, tenant, job_id, "SUCCEEDED")
        assert await effects(db, tenant.id, effect) == 1


async def test_no_more_compute_at_once_than_there_are_places_however_many_districts_come_together(
    db: Database, make_tenant: MakeTenant, start_worker: StartWorker
) -> None:
    districts = [await make_tenant() for _ in range(3)]
    ids = [await ask(db, district, kind=APART, how="COMPUTE", seconds=1) for district in districts]
    await start_worker(kinds=BOTH)
    most = 0
    while True:
        # One look at all of them: they come and go.
        async with db.dispatching() as connection:
            rows = await connection.fetch("SELECT state FROM jobs WHERE id = ANY ($1::uuid[])", ids)
        states = [each["state"] for each in rows]
        most = max(most, states.count("RUNNING"))
        if states.count("SUCCEEDED") == len(ids):
            break
        await asyncio.sleep(0.05)
    assert most == APART_SLOTS


async def test_one_whose_process_dies_is_tried_again_and_given_up(
    db: Database, tenant: District, start_worker: StartWorker
) -> None:
    worker = await start_worker(kinds=BOTH)
    for how in ("SEGFAULT", "EXIT"):
        job_id = await ask(db, tenant, how, kind=APART, how=how)
        found, _ = await until(db, tenant, job_id, "FAILED")
        assert (found["attempts"], found["crashes"]) == (2, 0)
        assert "process that computed it died" in found["last_error"]
    assert worker.poll() is None


async def test_failures_are_told_as_they_are(db: Database, tenant: District, start_worker: StartWorker) -> None:
    await start_worker(kinds=BOTH)
    for how, (tries, words) in {
        "RAISE": (2, "unexpectedly"),
        "TRANSIENT": (2, "Not yet"),
        "REFUSED": (1, "No."),
    }.items():
        job_id = await ask(db, tenant, how, kind=APART, how=how)
        found, _ = await until(db, tenant, job_id, "FAILED")
        assert found["attempts"] == tries
        assert words in found["last_error"]


async def test_a_cancelled_one_is_killed_whatever_it_does(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    await start_worker(kinds=BOTH)
    # It blocks its own loop and hears nothing; a thread could not be stopped.
    job_id = await ask(db, tenant, kind=APART, how="BLOCK_ONCE", seconds=19)
    await until(db, tenant, job_id, "RUNNING")
    begun = time.monotonic()
    while not ((tmp_path / "attempts").exists() and attempts(tmp_path, job_id)):
        assert time.monotonic() - begun < 60
        await asyncio.sleep(0.05)
    async with db.transaction(tenant.id) as tx:
        await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
    _, waited = await until(db, tenant, job_id, "CANCELLED")
    assert waited < 10
    await gone(attempts(tmp_path, job_id)[0])
    assert await effects(db, tenant.id, "one") == 0


async def test_it_dies_with_its_worker_and_another_takes_over(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = await start_worker(kinds=BOTH)
    job_id = await ask(db, tenant, kind=APART, how="COMPUTE", seconds=2)
    await progressed(db, tenant, job_id)
    (child,) = attempts(tmp_path, job_id)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    await gone(child)
    await start_worker(kinds=BOTH)
    await change(db, tenant, job_id, "lease_until = now()")
    found, _ = await until(db, tenant, job_id, "SUCCEEDED")
    assert found["crashes"] == 1
    assert await effects(db, tenant.id, "one") == 1


async def test_one_that_lost_its_lease_is_killed(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    await start_worker(kinds=BOTH)
    job_id = await ask(db, tenant, kind=APART, how="COMPUTE", seconds=15)
    await progressed(db, tenant, job_id)
    await change(db, tenant, job_id, "fence = fence + 1, lease_until = now() + interval '30 s'")
    await gone(attempts(tmp_path, job_id)[0])
    assert (await row(db, tenant, job_id))["state"] == "RUNNING", "it is another's now"


async def test_a_worker_told_to_end_twice_gives_it_back(
    db: Database, tenant: District, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = await start_worker(kinds=BOTH)
    job_id = await ask(db, tenant, kind=APART, how="COMPUTE", seconds=15)
    await progressed(db, tenant, job_id)
    for _ in range(2):
        worker.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
    found, _ = await until(db, tenant, job_id, "QUEUED")
    assert (found["attempts"], found["crashes"]) == (0, 0)
    assert await asyncio.to_thread(worker.wait, 60) == 0
    await gone(attempts(tmp_path, job_id)[0])
