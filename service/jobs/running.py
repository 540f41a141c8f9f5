"""What the step of a job is handed (任务执行): arguments, progress, computation, and the one commit."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

import orjson

from service.access import system_actor
from service.jobs.attempts import Claim, succeed
from service.jobs.failures import Stopped
from service.jobs.kinds import Kind
from service.jobs.requests import request
from service.settings import Settings
from tenants.database import Database, Transaction

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    stage: str | None = None
    percent: int = 0
    units_done: int = 0
    units_total: int = 0


class JobRun:
    """One attempt, as its step sees it.

    A step reads what it needs in transactions of its own (`db.transaction(run.tenant_id, read_only=True, …)`), tells
    `progress` now and then, and writes all its effects in one `committing` block.
    """

    def __init__(self, db: Database, claimed: Claim, kind: Kind[Any], settings: Settings | None = None) -> None:
        self.db = db
        self.claim = claimed
        self.kind = kind
        self.tenant_id = claimed.tenant_id
        self.subject_id = claimed.subject_id
        self.actor = claimed.actor
        """Who asked for it; the system where nobody did."""
        self.committed = False
        self.settling = False
        """True from where the row is about to be written at the end: signs of life are no longer sent."""
        self.told = Progress()
        self.stopping: str | None = None
        self._settings = settings
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

    @property
    def names(self) -> dict[str, object]:
        """What a log line about it says: job, kind, tenant, and the request that caused it."""
        names: dict[str, object] = {"job": self.claim.job_id, "kind": self.claim.kind, "tenant": self.tenant_id}
        return names | ({"request_id": self.actor.request_id} if self.actor.request_id else {})

    @property
    def settings(self) -> Settings:
        """The worker's settings."""
        return self._settings or Settings()

    def arguments(self, kind: Kind[A]) -> A:
        """The arguments that it was requested with."""
        given: dict[str, Any] = orjson.loads(self.claim.arguments)
        hints = get_type_hints(kind.arguments)
        return kind.arguments(**{name: UUID(v) if hints[name] is UUID else v for name, v in given.items()})

    def progress(self, stage: str, done: int = 0, total: int = 0, *, percent: int | None = None) -> None:
        """Say how far it is; `percent` follows from done of total where it is not given. Cheap, and safe in any thread.

        It is written down within a third of a second. Raises Stopped where the step must end.
        """
        if percent is None:
            percent = 100 * done // total if total else 0
        self.told = Progress(stage, max(0, min(99, percent)), done, total)
        self.check()

    def check(self) -> None:
        """Raise Stopped where the step must end: for long computations without progress to tell. Safe in any thread."""
        if self.stopping:
            raise Stopped

    async def compute(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run a long computation in a thread, so that the event loop goes on.

        Threads share one lock and can't be stopped: a kind that computes for seconds is `apart`, in a process that can.
        """
        return await asyncio.to_thread(function, *arguments, **named)

    @contextlib.asynccontextmanager
    async def committing(self) -> AsyncIterator[Transaction]:
        """The one transaction of the effects: it commits only if this attempt still holds the job."""
        async with self.db.transaction(self.tenant_id) as tx:
            yield tx
            self.check()
            self.about_to_end()
            if self.kind.every is not None:
                await request(
                    tx,
                    system_actor(self.tenant_id),
                    self.kind,
                    subject=("Tenant", self.tenant_id),
                    dedupe_key=self.kind.name,
                    arguments=self.kind.arguments(),
                    # A little spread, so that districts that once came together drift apart.
                    at=self.kind.every * random.uniform(0.95, 1.05),  # noqa: S311  # spreads load
                )
            await succeed(tx, self.claim, units_total=self.told.units_total)
        self.committed = True

    def about_to_end(self) -> None:
        """From here on only the row says how it ends."""
        self.settling = True

    def stop(self, reason: str) -> None:
        """End the step from outside, from any thread: CANCELLED, LOST or DRAINED."""
        if self.stopping is None and not self.settling:
            self.stopping = reason
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        # It may have heard of it by itself meanwhile: how it ended is being written down then.
        if self._task is not None and not self.settling:
            self._task.cancel()
