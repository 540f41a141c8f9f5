"""A ranking run whose worker is killed, cancelled, or never rung for: computed exactly once, or not at all."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from service.ids import encode_id, parse_id
from tenants.database import Database
from tenants.provisioning import District, create_tenant
from tests.bench.loading import load
from tests.e2e.client import Client, Installation
from tests.e2e.conftest import Process, process, serving
from tests.e2e.test_live import states_of
from tests.small import today

pytestmark = pytest.mark.anyio

UNITS, ITEMS = 1_000, 10

LEASE_SECONDS = 8
"""After so long without a sign of life a job is another worker's."""

NO_REDIS = "redis://127.0.0.1:1/0"
"""Where nothing listens."""


@dataclass(frozen=True)
class Loaded:
    """A district with many units, an open cycle, and all but a few values settled."""

    district: District
    organiser: Client
    cycle: str


@dataclass(frozen=True)
class Worker:
    """A worker as a process, and its log."""

    process: Process
    log: Path

    def began(self, job_id: UUID) -> bool:
        """Whether it started an attempt at the job."""
        return f"A job starts. job={job_id}" in self.log.read_text()


@contextlib.contextmanager
def workers(environment: dict[str, str], folder: Path, count: int) -> Iterator[list[Worker]]:
    """So many workers, ready."""
    told = {
        **environment,
        "KAOPING_LEASE_SECONDS": str(LEASE_SECONDS),
        "KAOPING_LOG_LEVEL": "info",
        "KAOPING_LOG_FORMAT": "text",
    }
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(count):
            log = folder / f"worker-{number}.txt"
            file = stack.enter_context(log.open("w"))
            started.append(Worker(stack.enter_context(process(told, "worker", said=file)), log))
        for worker in started:
            while "ready" not in worker.log.read_text():
                assert worker.process.poll() is None, worker.log.read_text()
                time.sleep(0.02)
        yield started


@pytest.fixture(scope="module")
def api(environment: dict[str, str]) -> Iterator[Installation]:
    """The API without workers."""
    with serving(environment) as found:
        yield found


@pytest.fixture(scope="module")
async def loaded(
    db: Database, owner_url: str, api: Installation, environment: dict[str, str], tmp_path_factory: Any
) -> Loaded:
    """The district, opened by a worker."""
    district = await create_tenant(
        owner_url,
        code=f"e2e-{time.monotonic_ns()}",
        name="大区",
        time_zone="Asia/Shanghai",
        root_code="root",
        root_name="区委",
    )
    async with db.transaction(district.id) as tx:
        made = await load(tx, units=UNITS, items=ITEMS, due_on=today() + timedelta(days=30))
    organiser = api.client(district.code, "ORGANISER")
    cycle = encode_id("Cycle", made.cycle_id)
    with workers(environment, tmp_path_factory.mktemp("opening"), 1):
        job = organiser.mutate("openCycle", "job { id }", cycleId=cycle, version=1)["job"]
        assert await ended(organiser, job["id"], 60) == "SUCCEEDED"
    async with db.transaction(district.id) as tx:
        await tx.execute(
            """UPDATE assessments SET state = 'ACCEPTED', settled_at = now(),
                      settled_numbers = ARRAY[(abs(hashtext(id::text)) % 10001)::numeric / 100]
               WHERE tenant_id = $1 AND abs(hashtext('m' || id::text)) % 50 > 0""",
            district.id,
        )
    return Loaded(district, organiser, cycle)


async def ended(organiser: Client, job_id: str, seconds: float) -> str:
    """The state that a job ends in."""
    return await asyncio.to_thread(organiser.wait_for_job, job_id, seconds=seconds)


@dataclass(frozen=True)
class Run:
    """A run that was started."""

    id: str
    job_id: str

    @property
    def key(self) -> UUID:
        """Its row."""
        return key_of(self.id)

    @property
    def job_key(self) -> UUID:
        """Its job's row."""
        return key_of(self.job_id)


def key_of(text: str) -> UUID:
    """The key in an id."""
    parsed = parse_id(text)
    assert parsed is not None
    return parsed[1]


def start(loaded: Loaded) -> Run:
    """Start a run through the API."""
    run = loaded.organiser.mutate("startRankingRun", "run { id job { id } }", cycleId=loaded.cycle)["run"]
    return Run(run["id"], run["job"]["id"])


@contextlib.asynccontextmanager
async def held_up(db: Database, loaded: Loaded, started: list[Worker]) -> AsyncIterator[Run]:
    """A run that a worker has computed and cannot commit: its standings are written, its row is locked by the test."""
    for worker in started:
        worker.process.send_signal(signal.SIGSTOP)
    run = start(loaded)
    async with db.transaction(loaded.district.id) as tx:
        await tx.fetchval(
            "SELECT id FROM ranking_runs WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE", tx.tenant_id, run.key
        )
        for worker in started:
            worker.process.send_signal(signal.SIGCONT)
        begun = time.monotonic()
        # Over another connection: a transaction sees the same activity as long as it lasts.
        while not await db.pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE ranking_runs SET snapshot_at%'"""
        ):
            assert time.monotonic() - begun < 60
            await asyncio.sleep(0.02)
        yield run


async def job_row(db: Database, loaded: Loaded, run: Run) -> asyncpg.Record:
    """The row of a run's job."""
    async with db.transaction(loaded.district.id) as tx:
        row = await tx.fetchrow("SELECT * FROM jobs WHERE tenant_id = $1 AND id = $2", tx.tenant_id, run.job_key)
    assert row is not None
    return row


async def standings(db: Database, loaded: Loaded, run: Run) -> list[tuple[Any, ...]]:
    """What a run gave each unit."""
    async with db.transaction(loaded.district.id) as tx:
        rows = await tx.fetch(
            """SELECT cycle_unit_id, total, rank, status FROM standings WHERE tenant_id = $1 AND run_id = $2
               ORDER BY cycle_unit_id""",
            tx.tenant_id,
            run.key,
        )
    return [tuple(row) for row in rows]


async def digests(db: Database, loaded: Loaded, run: Run) -> tuple[str | None, str | None]:
    """Digests of what a run read and of what it found."""
    async with db.transaction(loaded.district.id) as tx:
        row = await tx.fetchrow(
            "SELECT snapshot_digest, result_digest FROM ranking_runs WHERE tenant_id = $1 AND id = $2",
            tx.tenant_id,
            run.key,
        )
    assert row is not None
    return row["snapshot_digest"], row["result_digest"]


async def events_of(db: Database, loaded: Loaded, run: Run) -> list[str]:
    """What the audit says of a run."""
    async with db.transaction(loaded.district.id) as tx:
        rows = await tx.fetch(
            "SELECT action FROM audit_events WHERE tenant_id = $1 AND subject_id = $2 ORDER BY sequence",
            tx.tenant_id,
            run.key,
        )
    return [row["action"] for row in rows]


async def test_another_worker_finishes_the_run_of_a_killed_one(
    db: Database, loaded: Loaded, environment: dict[str, str], tmp_path: Path
) -> None:
    with workers(environment, tmp_path, 2) as started:
        async with held_up(db, loaded, started) as run:
            (first,) = [worker for worker in started if worker.began(run.job_key)]
            (second,) = [worker for worker in started if worker is not first]
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
        left = await job_row(db, loaded, run)
        assert left["state"] == "RUNNING"
        assert left["lease_until"] - datetime.now(UTC) <= timedelta(seconds=LEASE_SECONDS)
        assert await standings(db, loaded, run) == []
        assert await ended(loaded.organiser, run.job_id, LEASE_SECONDS + 60) == "SUCCEEDED"
        assert second.began(run.job_key)
        row = await job_row(db, loaded, run)
        assert (row["attempts"], row["crashes"], row["last_error"]) == (2, 1, None)
        found = await standings(db, loaded, run)
        assert len(found) == len({unit for unit, *_ in found}) == UNITS
        assert await events_of(db, loaded, run) == ["startRankingRun", "computeRankingRun"]
        told = loaded.organiser.query(
            """query ($id: ID!) { rankingRun(id: $id) { state snapshotDigest job { attempts percent }
                 progress { stage percent unitsDone unitsTotal } standings { totalCount } } }""",
            id=run.id,
        )["rankingRun"]
        again = start(loaded)
        assert await ended(loaded.organiser, again.job_id, 60) == "SUCCEEDED"
    assert told == {
        "state": "SUCCEEDED",
        "snapshotDigest": (await digests(db, loaded, run))[0],
        "job": {"attempts": 2, "percent": 100},
        "progress": {"stage": "DONE", "percent": 100, "unitsDone": UNITS, "unitsTotal": UNITS},
        "standings": {"totalCount": UNITS},
    }
    assert await digests(db, loaded, again) == await digests(db, loaded, run)
    assert None not in await digests(db, loaded, run)
    assert await standings(db, loaded, again) == found


async def test_a_run_that_is_cancelled_while_it_runs_leaves_nothing(
    db: Database, loaded: Loaded, environment: dict[str, str], tmp_path: Path
) -> None:
    with workers(environment, tmp_path, 1) as started:
        async with held_up(db, loaded, started) as run:
            answer = loaded.organiser.mutate("cancelRankingRun", "run { state }", runId=run.id)
            assert answer["run"]["state"] in ("RUNNING", "CANCELLED")
            again = loaded.organiser.refused("cancelRankingRun", runId=run.id)
            assert again["code"] == "ILLEGAL_STATE"
        assert await ended(loaded.organiser, run.job_id, 60) == "CANCELLED"
    assert await standings(db, loaded, run) == []
    assert await digests(db, loaded, run) == (None, None)
    refused = loaded.organiser.refused("adoptRun", runId=run.id, version=2)
    assert (refused["code"], refused["state"]) == ("ILLEGAL_STATE", "CANCELLED")


async def test_a_run_that_waits_is_cancelled_at_once(db: Database, loaded: Loaded) -> None:
    run = start(loaded)
    answer = loaded.organiser.mutate("cancelRankingRun", "run { state job { attempts } }", runId=run.id)
    assert answer["run"] == {"state": "CANCELLED", "job": {"attempts": 0}}
    assert await standings(db, loaded, run) == []


async def test_a_run_is_computed_though_redis_is_wiped(
    db: Database, loaded: Loaded, environment: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    with workers(environment, tmp_path, 1) as (worker,):
        worker.process.send_signal(signal.SIGSTOP)
        run = start(loaded)
        redis = Redis.from_url(redis_url)
        await redis.flushdb()
        await redis.aclose()
        worker.process.send_signal(signal.SIGCONT)
        assert await ended(loaded.organiser, run.job_id, 60) == "SUCCEEDED"
    assert len(await standings(db, loaded, run)) == UNITS


async def test_a_run_is_computed_without_redis(
    db: Database, loaded: Loaded, environment: dict[str, str], tmp_path: Path
) -> None:
    without = {**environment, "KAOPING_REDIS_URL": NO_REDIS}
    with serving(without) as api, workers(without, tmp_path, 1):
        organiser = Client(api.url, loaded.organiser.token)
        run = start(Loaded(loaded.district, organiser, loaded.cycle))
        # Whoever listens is told by what the row says: what it is now first, then how it goes on.
        told = await asyncio.to_thread(states_of, organiser, run.job_id)
        assert told[0] in ("QUEUED", "RUNNING")
        assert told[-1] == "SUCCEEDED"
        assert await ended(organiser, run.job_id, 60) == "SUCCEEDED"
    assert len(await standings(db, loaded, run)) == UNITS
