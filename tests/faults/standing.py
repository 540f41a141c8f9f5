"""A stand of its own for breaking things: servers, districts, workers, requests, and what is true at the end."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import embedded, jobs
from service.access import Role, system_actor
from service.doorbell import Doorbell
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.faults.breaking import BREAKABLE, ROOT, WORKER, Behaviour, effects
from tests.faults.figures import Figures
from tests.service.test_jobs import organiser

MakeTenant = Callable[[], Awaitable[District]]

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a caller gets while the database is away."""


@dataclass
class Worker:
    """A worker process and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def said(self, words: str) -> int:
        """How often the log says so."""
        return self.log.read_text().count(words)


class Stand:
    """What a test breaks, and counts."""

    def __init__(
        self, data: Path, settings: Settings, db: Database, make_tenant: MakeTenant, folder: Path, figures: Figures
    ) -> None:
        self.data = data
        self.settings = settings
        self.db = db
        self.make_tenant = make_tenant
        self.figures = figures
        self.workers: list[Worker] = []
        self.random = random.Random()
        self._folder = folder
        self._asked: dict[UUID, Counter[str]] = {}
        self._all: list[Worker] = []

    # --- workers ---

    async def start(self, count: int = 1) -> list[Worker]:
        """So many more workers, ready."""
        started = []
        for _ in range(count):
            log = self._folder / f"worker-{len(self._all)}.txt"
            with log.open("w") as file:
                process = subprocess.Popen(  # noqa: ASYNC220  # starting one is quick
                    [sys.executable, "-c", WORKER], env={**os.environ, **self.settings.environment()}, stderr=file
                )
            started.append(Worker(process, log))
            self._all.append(started[-1])
        for worker in started:
            while not worker.said("is ready"):
                assert worker.lives, worker.log.read_text()
                await asyncio.sleep(0.02)
        self.workers += started
        return started

    async def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        worker.process.kill()
        await asyncio.to_thread(worker.process.wait)
        self.workers.remove(worker)
        self.figures.crashes += 1

    async def tell_to_end(self, worker: Worker) -> None:
        """SIGTERM; it must obey."""
        worker.process.terminate()
        assert await asyncio.to_thread(worker.process.wait, 60) == 0
        self.workers.remove(worker)

    async def stop_for(self, worker: Worker, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after that time."""
        worker.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        worker.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill what is left, and count what the logs say."""
        for worker in self._all:
            if worker.lives:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.kill()
                worker.process.wait()
            self.figures.fenced += worker.said("outcome=fenced")
            self.figures.reaped += worker.said("The worker of a job went away")

    # --- servers ---

    async def flush(self) -> None:
        """FLUSHALL."""
        assert self.settings.redis_url is not None
        redis = Redis.from_url(self.settings.redis_url.get_secret_value())
        try:
            await redis.flushall()
        except RedisError:
            pass  # it is away
        finally:
            await redis.aclose()

    async def terminate_connections(self) -> None:
        """Every connection of the app's role ends, in whatever it is doing, but this process's own."""
        mine = {connection.get_server_pid() for connection in self._own_connections()}
        connection = await asyncpg.connect(self.superuser_url)
        try:
            await connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE usename = 'kp_app' AND pid <> ALL ($1::int[])""",
                list(mine),
            )
        finally:
            await connection.close()

    @property
    def superuser_url(self) -> str:
        """The database as its superuser."""
        return embedded.addresses(self.data).superuser_url

    def _own_connections(self) -> Sequence[asyncpg.Connection]:
        # The pool does not tell which connections it has.
        return [holder._con for holder in self.db.pool._holders if holder._con is not None]

    # --- requests ---

    async def ask(self, tenant: District, key: str, *, milliseconds: int = 0, how: str = "SLEEP") -> UUID:
        """Request a job, as a mutation would: a caller that got no answer asks again."""
        while True:
            try:
                async with self.db.transaction(tenant.id) as tx:
                    job_id = await jobs.request(
                        tx,
                        system_actor(tenant.id),
                        BREAKABLE,
                        subject=("Tenant", ROOT),
                        dedupe_key=key,
                        arguments=Behaviour(key, milliseconds, how),
                    )
            except AWAY:
                await asyncio.sleep(0.1)
                continue
            self._asked.setdefault(tenant.id, Counter())[key] += 1
            self.figures.requests += 1
            return job_id

    async def ask_many(self, tenant: District, count: int, *, milliseconds: int) -> None:
        """Request so many jobs in one transaction."""
        async with self.db.transaction(tenant.id) as tx:
            for number in range(count):
                key = f"key {number}"
                await jobs.request(
                    tx,
                    system_actor(tenant.id),
                    BREAKABLE,
                    subject=("Tenant", ROOT),
                    dedupe_key=key,
                    arguments=Behaviour(key, milliseconds),
                )
                self._asked.setdefault(tenant.id, Counter())[key] += 1
        self.figures.requests += count

    async def drop(self, tenant: District) -> None:
        """Take back what still waits: it must have no effect."""
        async with self.db.transaction(tenant.id) as tx:
            dropped = await tx.fetch(
                """UPDATE jobs SET state = 'CANCELLED', finished_at = now() WHERE tenant_id = $1 AND state = 'QUEUED'
                   RETURNING dedupe_key""",
                tenant.id,
            )
        for row in dropped:
            del self._asked[tenant.id][row["dedupe_key"]]
        self.figures.requests -= len(dropped)

    # --- the end ---

    async def rows(self, tenant: District) -> list[asyncpg.Record]:
        """All jobs of the district."""
        while True:
            try:
                async with self.db.transaction(tenant.id) as tx:
                    return await tx.fetch(
                        "SELECT *, finished_at - requested_at AS took FROM jobs WHERE tenant_id = $1", tenant.id
                    )
            except AWAY:
                await asyncio.sleep(0.1)

    async def settled(
        self, tenants: Sequence[District], *, seconds: float = 90, every: float = 0.2
    ) -> list[asyncpg.Record]:
        """All jobs once none waits or runs any more; the workers that should live do."""
        begun = time.monotonic()
        while True:
            found = [row for tenant in tenants for row in await self.rows(tenant)]
            left = [row for row in found if row["state"] in ("QUEUED", "RUNNING")]
            if not left:
                break
            assert time.monotonic() - begun < seconds, (len(left), dict(left[0]))
            await asyncio.sleep(every)
        assert all(worker.lives for worker in self.workers)
        return found

    async def revive(self, tenants: Sequence[District], *, but: Sequence[str] = ()) -> int:
        """Retry what gave up because its workers died three times, as people would; how many there were.

        Keys in `but` are of jobs that are meant to give up.
        """
        count = 0
        for tenant in tenants:
            # Kinds that the program does not know are an administrator's.
            administrator = organiser(tenant, role=Role.ADMINISTRATOR)
            for row in await self.rows(tenant):
                if row["state"] == "FAILED" and row["dedupe_key"] not in but:
                    assert "went away" in row["last_error"] or "not available" in row["last_error"], dict(row)
                    async with self.db.transaction(tenant.id) as tx:
                        await jobs.retry(tx, administrator, job_id=encode_id("Job", row["id"]))
                    count += 1
        self.figures.dead += count
        return count

    async def check(self, tenants: Sequence[District], *, but: Sequence[str] = ()) -> None:
        """Every request took effect exactly once: joined ones together, none beside, and no other effect is there.

        Keys in `but` are of jobs that give up.
        """
        lost: list[str] = []
        doubled: list[str] = []
        for tenant in tenants:
            async with self.db.transaction(tenant.id) as tx:
                found = await effects(tx)
            rows = {row["dedupe_key"]: row for row in await self.rows(tenant) if row["kind"] == BREAKABLE.name}
            for key in self._asked.get(tenant.id, Counter()):
                if key in but:
                    assert key not in found
                    continue
                row = rows[key]
                assert row["state"] == "SUCCEEDED", dict(row)
                served = found.get(key, [])
                self.figures.effects += len(served)
                # The newest request was served, and no round twice.
                if row["want_seq"] not in served or row["done_seq"] != row["want_seq"]:
                    lost.append(key)
                if len(served) != len(set(served)):
                    doubled.append(key)
            assert found.keys() <= self._asked.get(tenant.id, Counter()).keys(), "an effect that nobody asked for"
        self.figures.lost += len(lost)
        self.figures.doubled += len(doubled)
        assert (lost, doubled) == ([], [])


def ringing(db: Database, settings: Settings) -> Doorbell:
    """Ring after the commits of this process, as the API does."""
    assert settings.redis_url is not None
    bell = Doorbell(settings.redis_url.get_secret_value())
    db.announced = bell.announced
    return bell
