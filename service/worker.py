"""The worker (后台进程): runs jobs until it is told to end.

Beside each other live: arq, which only listens for the doorbell; the dispatcher, which about every second gives lost
jobs back, rings for those that are due, and runs them itself where Redis does not answer or nobody came; and the jobs,
each claimed by its row. Redis may be away or wiped at any moment: jobs start up to two seconds later, no more.
"""

import asyncio
import contextlib
import functools
import logging
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from arq import Worker
from arq.worker import func

from service import jobs, logs, metrics, telemetry
from service.doorbell import QUEUE, Doorbell, decode, encode, redis_settings
from service.health import Ending, Health, database_check
from service.jobs import Claim, JobRun, Kind, Stopped
from service.pulse import Pulse
from service.scoring.text import Text
from service.serving import door
from service.settings import Settings
from service.wakeups import Relay
from tenants.database import Database

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

SLOTS = 4
"""Jobs that one worker runs at once."""

LOOK_SECONDS = 1.0
"""How often the dispatcher looks at the rows, give or take a tenth."""

OVERDUE_SECONDS = 1.5
"""A job that has been due for longer did not hear the doorbell; whoever has a free place runs it."""

RING_AGAIN_SECONDS = 5.0
"""How soon the dispatcher rings again for the same round of a job."""

DRAIN_SECONDS = 25.0
"""How long a worker that was told to end waits for its jobs before it gives them back."""

STALLED_SECONDS = 15.0
"""A worker whose dispatcher has not got through for so long is unready."""

REDIS_PAUSE_SECONDS = 1.0
"""Pause before arq is started again after Redis was lost."""

log = logging.getLogger(__name__)

Step = Callable[[JobRun], Awaitable[None]]


def step_of(kind: Kind[Any]) -> Step:
    """The function that does a kind of job."""
    module, _, name = kind.step.partition(":")
    step: Step = getattr(import_module(module), name)
    return step


async def run_worker(settings: Settings, *, kinds: Mapping[str, Kind[Any]] = jobs.KINDS) -> None:
    """Run jobs until SIGTERM or SIGINT; then finish what runs, for at most 25 seconds, give the rest back, and return.

    The settings name running servers. A second signal gives the jobs back at once.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError("A worker needs the addresses of running servers.")
    database_url, redis_url = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    stop_tracing = telemetry.start(settings, "worker")
    db = await Database.connect(database_url, max_size=max(settings.pool_size, 2 * SLOTS))
    doorbell = Doorbell(redis_url)
    db.announced = doorbell.announced
    pulse = Pulse(database_url)
    worker = JobWorker(db, doorbell, pulse, kinds)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, functools.partial(_told_to_end, ended, worker))
    pulse.start()
    health = Health(Ending(), {"database": database_check(db), "dispatcher": worker.looks}, {"redis": doorbell.answers})
    metrics.watch_pool(db.use)
    relay = Relay(db, redis_url)
    loops = [asyncio.create_task(each) for each in (worker.dispatch(), _listen(redis_url, worker), relay.run())]
    log.info("The worker is ready.")
    try:
        async with door(settings, health):
            await ended.wait()
            health.ending.told.set()
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await worker.drain(DRAIN_SECONDS)
    finally:
        pulse.end()
        await relay.close()
        await doorbell.close()
        await db.close()
        await asyncio.to_thread(stop_tracing)
    log.info("The worker has ended.")


def _told_to_end(ended: asyncio.Event, worker: "JobWorker") -> None:
    if ended.is_set():
        worker.hurry.set()
    ended.set()


async def _listen(redis_url: str, worker: "JobWorker") -> None:
    """Hear the doorbell through arq; start it again whenever Redis was lost."""
    logging.getLogger("arq").setLevel(logging.WARNING)
    away = False
    while True:
        # A worker of arq cannot be used again after it has fallen.
        ear = _Ear(redis_url, worker)
        started = time.monotonic()
        try:
            await ear.listen()
        except Exception as error:
            # Said once per outage, not once per attempt.
            if not away or time.monotonic() - started > 5 * REDIS_PAUSE_SECONDS:
                log.warning("Redis does not answer; jobs start within two seconds all the same. %s", _innermost(error))
            away = True
        finally:
            await ear.hang_up()
        await asyncio.sleep(REDIS_PAUSE_SECONDS)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Ear:
    """One life of arq's worker."""

    def __init__(self, redis_url: str, worker: "JobWorker") -> None:
        self._worker = worker
        self._arq = Worker(
            functions=[func(cast("WorkerCoroutine", self._ring), name="ring", keep_result=0, max_tries=1)],
            queue_name=QUEUE,
            redis_settings=redis_settings(redis_url),
            handle_signals=False,
            max_jobs=10 * SLOTS,
            job_timeout=10,
            keep_result=0,
            max_tries=1,
            poll_delay=0.02,
            job_serializer=encode,
            job_deserializer=decode,
            log_results=False,
        )

    async def listen(self) -> None:
        """Until Redis is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._arq.main())
            group.create_task(self._mind_the_places())

    async def _ring(self, _context: dict[str, Any], tenant_id: str, job_id: str) -> None:
        self._worker.start(UUID(tenant_id), UUID(job_id))

    async def _mind_the_places(self) -> None:
        """Leave rings to other workers while all places are taken here."""
        while True:
            self._arq.allow_pick_jobs = self._worker.has_room
            await asyncio.sleep(0.02)

    async def hang_up(self) -> None:
        """Close arq's connections, whatever state they are in."""
        with contextlib.suppress(Exception):
            await asyncio.gather(*self._arq.tasks.values(), return_exceptions=True)
            await self._arq.pool.close(close_connection_pool=True)


class JobWorker:
    """Claims and runs jobs, at most `SLOTS` at once."""

    def __init__(self, db: Database, doorbell: Doorbell, pulse: Pulse, kinds: Mapping[str, Kind[Any]]) -> None:
        self.hurry = asyncio.Event()
        self._db = db
        self._doorbell = doorbell
        self._pulse = pulse
        self._kinds = kinds
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._runs: set[JobRun] = set()
        self._closed = False
        self._look = asyncio.Event()
        self._rung: dict[tuple[UUID, int], float] = {}
        self._looked = time.monotonic()

    @property
    def has_room(self) -> bool:
        """Whether it takes another job."""
        return not self._closed and len(self._running) < SLOTS

    def start(self, tenant_id: UUID, job_id: UUID) -> bool:
        """Try to claim and run a job beside the others; False where there is no room, or it runs here already."""
        if not self.has_room or job_id in self._running:
            return False
        task = asyncio.get_running_loop().create_task(self._run(tenant_id, job_id))
        self._running[job_id] = task
        task.add_done_callback(functools.partial(self._ended, job_id))
        return True

    def _ended(self, job_id: UUID, _task: asyncio.Task[None]) -> None:
        del self._running[job_id]
        # There may be more to do: this place is free, and the tenant has one less running.
        self._look.set()

    # --- the dispatcher ---

    async def looks(self) -> None:
        """Raise where the dispatcher has not been able to look at the rows for a while."""
        if time.monotonic() - self._looked > STALLED_SECONDS:
            raise TimeoutError

    async def dispatch(self) -> None:
        """Look after the rows of all tenants, for ever."""
        reaped = -LOOK_SECONDS
        while True:
            took_some = self._look.is_set()
            self._look.clear()
            try:
                if time.monotonic() - reaped >= LOOK_SECONDS / 2:
                    await jobs.reap(self._db)
                    reaped = time.monotonic()
                await self._hand_out(eager=took_some)
                self._looked = time.monotonic()
            except Exception:
                log.exception("The dispatcher could not look at the jobs; it tries again in a moment.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS * random.uniform(0.9, 1.1)):  # noqa: S311  # spreads load
                    await self._look.wait()

    async def _hand_out(self, *, eager: bool) -> None:
        now = time.monotonic()
        self._rung = {round_: at for round_, at in self._rung.items() if now - at < RING_AGAIN_SECONDS}
        for job in await jobs.due(self._db, limit=50, skip=self._running, kinds=self._kinds):
            # A worker that has just finished a job takes the next one; else it calls for whoever is free.
            if (eager or job.waited > OVERDUE_SECONDS) and self.start(job.tenant_id, job.job_id):
                continue
            round_ = job.job_id, job.fence
            if round_ in self._rung:
                continue
            if await self._doorbell.ring(job.tenant_id, job.job_id, job.fence):
                self._rung[round_] = now
            else:
                self.start(job.tenant_id, job.job_id)

    # --- one job ---

    async def _run(self, tenant_id: UUID, job_id: UUID) -> None:
        try:
            claimed = await jobs.claim(self._db, tenant_id, job_id, kinds=self._kinds)
        except Exception:
            log.exception("Job %s could not be claimed; it stays where it is.", job_id)
            return
        if claimed is None:
            return
        logs.bind(tenant=tenant_id, job=job_id)
        log.info("Job %s (%s, tenant %s) starts, attempt %d.", job_id, claimed.kind, tenant_id, claimed.attempts)
        started = time.monotonic()
        run = JobRun(self._db, claimed, self._kinds[claimed.kind])
        self._runs.add(run)
        self._pulse.watch(run)
        try:
            with telemetry.job_span(claimed.kind, job_id, claimed.traceparent):
                outcome = await self._attempt(run)
        finally:
            run.settling = True
            self._pulse.forget(run)
            self._runs.discard(run)
        log.info("Job %s (%s) ends after %.2f s: %s.", job_id, claimed.kind, time.monotonic() - started, outcome)

    async def _attempt(self, run: JobRun) -> str:
        """Do the step and write down how it ended; in a word, for the log."""
        try:
            async with asyncio.timeout(run.kind.timeout):
                await step_of(run.kind)(run)
                if not run.committed:
                    async with run.committing():
                        pass
        except (Stopped, asyncio.CancelledError):
            if run.committed:
                return "done"
            return await self._stopped(run)
        except jobs.FenceLost:
            return "another has taken it over"
        except Exception as error:
            if run.committed:
                log.exception("Job %s failed after its commit.", run.claim.job_id)
                return "done"
            words, again = jobs.reason_of(error)
            if words in (jobs.UNEXPECTED, jobs.AWAY):
                log.exception("Job %s (%s) failed.", run.claim.job_id, run.claim.kind)
            run.settling = True
            await self._settle(run.claim, "AGAIN" if again else "FAILED", words)
            return f"failed ({words.en})"
        return "done"

    async def _stopped(self, run: JobRun) -> str:
        run.settling = True
        if task := asyncio.current_task():
            task.uncancel()
        match run.stopping:
            case "LOST":
                return "another has taken it over"
            case "DRAINED":
                await self._settle(run.claim, "BACK", None)
                return "given back"
        # Only a cancellation is left: seen by the pulse, or at the commit.
        await self._settle(run.claim, "CANCELLED", None)
        return "cancelled"

    async def _settle(self, claimed: Claim, how: str, words: Text | None) -> None:
        """Write down how an attempt ended. Where the database is away the lease runs out, and the reaper counts it."""
        try:
            async with self._db.transaction(claimed.tenant_id) as tx:
                if how == "BACK":
                    await jobs.give_back(tx, claimed)
                elif how == "AGAIN" and words is not None:
                    await jobs.postpone(tx, claimed, words)
                else:
                    await jobs.end(tx, claimed, how, words)
        except Exception:
            log.exception("How job %s ended could not be written down.", claimed.job_id)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, wait for what runs, and give the rest back."""
        self._closed = True
        if self._running:
            log.info("%d jobs still run; the worker waits up to %d s for them.", len(self._running), seconds)
            hurry = asyncio.create_task(self.hurry.wait())
            everything = asyncio.create_task(_all_of(list(self._running.values())))
            await asyncio.wait([hurry, everything], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        for run in list(self._runs):
            run.stop("DRAINED")
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=5)


async def _all_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks)
