"""Claiming and running jobs in one worker (任务执行器): fair turns over the districts, and what follows a failure.

Districts that have jobs due stand in line. Whenever a place is free the first of them gets it, takes the one of its
jobs that has waited longest, and goes to the end of the line; one that has none leaves it. So a district with a single
job waits for its turn and not for the thousands of another.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from service import jobs, logs, metrics, telemetry
from service.jobs import JobRun, Kind, Stopped
from service.jobs.kinds import measuring_of, step_of
from service.pulse import Pulse
from service.scoring.text import Text
from service.settings import Settings
from service.worker.apart import Apart
from tenants.database import Database, Transaction

SLOTS = 8
"""Jobs that one worker runs at once; more than one district may, so that there is always a place for another."""

APART_SLOTS = 2
"""How many of them may compute in processes of their own."""

LOOK_SECONDS = 1.0
"""How often the dispatcher looks at the rows, give or take a tenth."""

STALLED_SECONDS = 15.0
"""A worker whose dispatcher has not got through for so long is unready."""

RENEW_SECONDS = 60.0
"""How often it makes sure that each district has its recurring jobs."""

SETTLING_PAUSES = (0.2, 0.5, 1.0, 2.0, 0.0)
"""Pauses between attempts to write down how a job ended: a database that restarts is back after seconds."""

log = logging.getLogger(__name__)


class JobWorker:
    """Claims and runs jobs, at most `SLOTS` at once."""

    def __init__(
        self, db: Database, pulse: Pulse, apart: Apart, kinds: Mapping[str, Kind[Any]], settings: Settings
    ) -> None:
        self.hurry = asyncio.Event()
        self._db = db
        self._pulse = pulse
        self._apart = apart
        self._kinds = kinds
        self._settings = settings
        self._line: dict[UUID, None] = {}
        """Districts in line, in order; a dict, so that none stands twice."""
        self._running: set[asyncio.Task[None]] = set()
        self._runs: set[JobRun] = set()
        self._claiming = asyncio.Lock()
        self._closed = False
        self._leaving = False
        self._looked = time.monotonic()

    @property
    def has_room(self) -> bool:
        """Whether it takes another job."""
        return not self._closed and len(self._running) < SLOTS

    def wake(self, tenant_id: UUID) -> None:
        """Look for jobs of the district, as soon as there is a place."""
        self._line.setdefault(tenant_id)
        self._fill()

    def _fill(self) -> None:
        while self.has_room and self._line:
            tenant_id = next(iter(self._line))
            del self._line[tenant_id]
            task = asyncio.get_running_loop().create_task(self._take(tenant_id))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._fill()

    # --- the dispatcher ---

    async def looks(self) -> None:
        """Raise where the dispatcher has not been able to look at the rows for a while."""
        if time.monotonic() - self._looked > STALLED_SECONDS:
            raise TimeoutError

    async def dispatch(self) -> None:
        """Look after the rows of all tenants, for ever."""
        renewed = -RENEW_SECONDS
        while True:
            try:
                await jobs.reap(self._db)
                self._show(waiting := await jobs.waiting(self._db, kinds=self._kinds))
                for tenant_id in dict.fromkeys(one.tenant_id for one in waiting):
                    self.wake(tenant_id)
                self._looked = time.monotonic()
                if time.monotonic() - renewed >= RENEW_SECONDS:
                    await jobs.renew(self._db, self._kinds.values())
                    renewed = time.monotonic()
            except Exception:
                log.exception("The dispatcher could not look at the jobs; it tries again in a moment.")
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311  # spreads load

    def _show(self, waiting: Sequence[jobs.Waiting]) -> None:
        for kind in self._kinds:
            of_kind = [one for one in waiting if one.kind == kind]
            metrics.JOBS_DUE.labels(kind).set(sum(one.count for one in of_kind))
            metrics.JOB_QUEUE_AGE.labels(kind).set(max((one.waited for one in of_kind), default=0.0))

    # --- one job ---

    async def _take(self, tenant_id: UUID) -> None:
        """Claim the district's next job and run it."""
        try:
            run = await self._claim(tenant_id)
        except Exception:
            log.exception("No job could be claimed; they stay where they are.", extra={"tenant": tenant_id})
            return
        if run is None:
            return
        claimed = run.claim
        self._pulse.watch(run)
        metrics.JOB_START_LAG.labels(claimed.kind).observe(claimed.waited)
        logs.bind(**run.names)
        log.info("A job starts.", extra={"attempt": claimed.attempts})
        if self._leaving:
            run.stop("DRAINED")
        # There may be more where it came from.
        self.wake(tenant_id)
        started = time.monotonic()
        with metrics.JOBS_RUNNING.labels(claimed.kind).track_inprogress():
            try:
                with telemetry.job_span(claimed.kind, claimed.job_id, claimed.traceparent):
                    outcome = await self._attempt(run)
            finally:
                run.settling = True
                self._pulse.forget(run)
                self._runs.discard(run)
        seconds = time.monotonic() - started
        metrics.JOB_SECONDS.labels(claimed.kind).observe(seconds)
        metrics.JOBS_ENDED.labels(claimed.kind, outcome).inc()
        log.info("A job ends.", extra={"outcome": outcome, "seconds": round(seconds, 3)})
        # The district has one less running than it may.
        self._line.setdefault(tenant_id)

    async def _claim(self, tenant_id: UUID) -> JobRun | None:
        """The district's next job. One claim after the other, so that no two take the last place of those apart."""
        async with self._claiming:
            claimed = await jobs.claim(
                self._db, tenant_id, kinds=self._wanted(), lease_seconds=self._settings.lease_seconds
            )
            if claimed is None:
                return None
            run = JobRun(self._db, claimed, self._kinds[claimed.kind], self._settings)
            self._runs.add(run)
            return run

    def _wanted(self) -> list[str]:
        """The kinds that there is a place for."""
        full = sum(run.kind.apart for run in self._runs) >= APART_SLOTS
        return [name for name, kind in self._kinds.items() if not (full and kind.apart)]

    async def _attempt(self, run: JobRun) -> str:
        """Do the step and write down how it ended; in a word, for log and metrics."""
        try:
            async with asyncio.timeout(run.kind.timeout):
                with measuring_of(run.kind)(run):
                    if run.kind.apart:
                        await self._apart.attempt(run)
                    else:
                        await step_of(run.kind)(run)
                        if not run.committed:
                            async with run.committing():
                                pass
        except (Stopped, asyncio.CancelledError):
            if run.committed:
                return "done"
            return await self._stopped(run)
        except jobs.FenceLost:
            return self._fenced(run)
        except Exception as error:
            if run.committed:
                log.exception("A job failed after its commit.")
                return "done"
            words, again = jobs.reason_of(error)
            if words in (jobs.UNEXPECTED, jobs.AWAY) and not isinstance(error, jobs.Reported):
                log.exception("A job failed.")
            run.settling = True
            return await self._failed(run, words, again=again)
        return "done"

    def _fenced(self, run: JobRun) -> str:
        metrics.JOBS_FENCED.labels(run.claim.kind).inc()
        return "fenced"

    async def _failed(self, run: JobRun, words: Text, *, again: bool) -> str:
        claimed, last = run.claim, not again or jobs.is_last(run.claim)

        async def write(tx: Transaction) -> bool:
            if again:
                return await jobs.postpone(tx, claimed, words)
            return await jobs.end(tx, claimed, "FAILED", words)

        match await self._settle(run, write):
            case False:
                return self._fenced(run)
            case None:
                return "lost"
        log.warning("A job failed: %s", words.en, extra={"again": not last})
        if last:
            metrics.JOBS_DEAD.labels(claimed.kind).inc()
            return "dead"
        metrics.JOB_RETRIES.labels(claimed.kind).inc()
        return "retried"

    async def _stopped(self, run: JobRun) -> str:
        run.settling = True
        if task := asyncio.current_task():
            task.uncancel()
        if run.stopping == "LOST":
            return self._fenced(run)
        drained = run.stopping == "DRAINED"

        async def write(tx: Transaction) -> bool:
            # Where it is not drained only a cancellation is left: seen by the pulse, or at the commit.
            return await (jobs.give_back(tx, run.claim) if drained else jobs.end(tx, run.claim, "CANCELLED", None))

        match await self._settle(run, write):
            case False:
                # Only a process of its own may have committed before it was killed.
                return "done" if run.kind.apart else self._fenced(run)
            case None:
                return "lost"
        return "given_back" if drained else "cancelled"

    async def _settle(self, run: JobRun, write: Callable[[Transaction], Awaitable[bool]]) -> bool | None:
        """Write down how an attempt ended; False where it is another's by now.

        None where the database stays away: the lease runs out, and the reaper counts a lost worker.
        """
        for pause in SETTLING_PAUSES:
            try:
                async with self._db.transaction(run.tenant_id) as tx:
                    return await write(tx)
            except Exception as error:
                if not jobs.is_transient(error):
                    log.exception("How a job ended could not be written down.")
                    return None
                log.warning("How a job ended could not be written down yet: %s", error)
            await asyncio.sleep(pause)
        return None

    async def drain(self, seconds: float) -> None:
        """Take nothing new, wait for what runs, and give the rest back."""
        self._closed = True
        if self._running:
            log.info("%d jobs still run; the worker waits up to %d s for them.", len(self._running), seconds)
            hurry = asyncio.create_task(self.hurry.wait())
            everything = asyncio.create_task(_all_of(list(self._running)))
            await asyncio.wait([hurry, everything], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        self._leaving = True
        for run in list(self._runs):
            run.stop("DRAINED")
        await _all_of(list(self._running), seconds=5)


async def _all_of(tasks: Sequence[asyncio.Task[None]], seconds: float | None = None) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
