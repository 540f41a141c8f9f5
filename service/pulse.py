"""The pulse of a worker (心跳): keeps the leases of its running jobs, writes their progress, hears of cancellations.

It lives in a thread with an event loop and a connection of its own, so that nothing a job computes can hold it up.
"""

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field

import asyncpg

from service.jobs import LEASE_SECONDS, JobRun, Progress

TICK_SECONDS = 0.3
"""How often progress is written, where there is any."""

LISTEN_SECONDS = 0.9
"""How often it is asked whether a job was cancelled."""

BEATS_PER_LEASE = 3
"""How often a lease is renewed while it lasts, where there is no progress to write."""

STATEMENT_SECONDS = 5.0
"""How long the database may take for one of its statements."""

log = logging.getLogger(__name__)

_BEAT = """
UPDATE jobs SET lease_until = now() + $8 * interval '1 second', stage = $4, percent = $5, units_done = $6,
    units_total = $7,
    change_seq = change_seq + CASE WHEN (stage, percent, units_done, units_total) IS DISTINCT FROM ($4, $5, $6, $7)
                                   THEN 1 ELSE 0 END
WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING' RETURNING cancel_requested
"""

_LISTEN = """
SELECT cancel_requested FROM jobs WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'
"""


@dataclass
class _Watched:
    begun: float = field(default_factory=time.monotonic)
    written: Progress = field(default_factory=Progress)
    beaten: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)


class Pulse:
    """Watches over the runs of one worker process."""

    def __init__(self, database_url: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._url = database_url
        self._lease = float(lease_seconds)
        self._runs: dict[JobRun, _Watched] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait until it has."""
        self._ended.set()
        self._thread.join(timeout=STATEMENT_SECONDS)

    def watch(self, run: JobRun) -> None:
        """Keep this run alive from now on."""
        self._runs[run] = _Watched()

    def forget(self, run: JobRun) -> None:
        """It has ended."""
        self._runs.pop(run, None)

    def _live(self) -> None:
        asyncio.run(self._beat())

    async def _beat(self) -> None:
        connection: asyncpg.Connection | None = None
        while not self._ended.is_set():
            for run, watched in list(self._runs.items()):
                try:
                    if connection is None or connection.is_closed():
                        connection = await asyncpg.connect(
                            self._url, timeout=STATEMENT_SECONDS, command_timeout=STATEMENT_SECONDS
                        )
                    await self._look_after(connection, run, watched)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    # The lease outlives a short absence of the database; a longer one gives the job to another.
                    log.warning("The pulse of a job did not reach the database: %s", error, extra=run.names)
                    if connection is not None:
                        connection.terminate()
                        connection = None
            await asyncio.sleep(TICK_SECONDS)
        if connection is not None:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    async def _look_after(self, connection: asyncpg.Connection, run: JobRun, watched: _Watched) -> None:
        if run.settling or run.stopping:
            return
        now = time.monotonic()
        if now - watched.begun > run.kind.timeout + self._lease:
            # Its time was over, and it did not hear of it: it holds up its loop. Its lease may run out.
            return
        told, key = run.told, (run.tenant_id, run.claim.job_id, run.claim.fence)
        if told != watched.written or now - watched.beaten >= self._lease / BEATS_PER_LEASE:
            sql: str = _BEAT
            arguments: tuple[object, ...] = (
                *key,
                told.stage,
                told.percent,
                told.units_done,
                told.units_total,
                self._lease,
            )
        elif now - watched.heard >= LISTEN_SECONDS:
            sql, arguments = _LISTEN, key
        else:
            return
        async with connection.transaction():
            await connection.execute(f"SET LOCAL app.tenant_id = '{run.tenant_id}'")
            row = await connection.fetchrow(sql, *arguments)
        if row is None:
            run.stop("LOST")
            return
        watched.heard = now
        if sql is _BEAT:
            watched.written, watched.beaten = told, now
        if row["cancel_requested"]:
            run.stop("CANCELLED")
