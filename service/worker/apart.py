"""Attempts in processes of their own (独立计算进程): what computes is kept away from everything else.

Threads share one lock, can't be stopped, and have no bound of memory. A step that is `apart` therefore runs whole in a
child process, with a connection of its own: the child reads, computes and commits, under the same fence. It is killed
where the attempt is cancelled, timed out, or lost; whether its last commit counts, the row says. Nothing large passes
between the two: the claim goes in, progress and the end come out.

Children are forked from a small server process that has loaded what steps need, so that a start takes milliseconds.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Literal
from uuid import UUID

from service import logs
from service.jobs import (
    AWAY,
    DIED,
    UNEXPECTED,
    Claim,
    FenceLost,
    JobRun,
    Kind,
    Progress,
    Reported,
    Stopped,
    reason_of,
    too_large,
)
from service.jobs.kinds import step_of
from service.scoring.text import Text
from service.settings import Settings
from tenants.database import Database

POOL_SIZE = 3
"""Connections that one child may open."""

PROGRESS_SECONDS = 0.1
"""How often a child tells its progress at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announced:
    """What a commit of the child announced."""

    tenant_id: UUID
    what: list[object]


@dataclass(frozen=True)
class Ending:
    """The child is about to write the row's end."""


@dataclass(frozen=True)
class End:
    """How the child ended."""

    how: Literal["DONE", "STOPPED", "FENCED", "FAILED"]
    text: Text = UNEXPECTED
    again: bool = False


class Apart:
    """Runs attempts in child processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("forkserver")

    async def warm_up(self, kinds: list[Kind[Any]]) -> None:
        """Start the server process from which children are forked, with the modules of these kinds loaded."""
        modules = {kind.step.partition(":")[0] for kind in kinds if kind.apart}
        if not modules:
            return
        self._context.set_forkserver_preload(["__main__", __name__, "tenants.models", *sorted(modules)])
        child = self._context.Process(target=_nothing, daemon=True)
        await asyncio.to_thread(child.start)
        await asyncio.to_thread(child.join)
        child.close()

    async def attempt(self, run: JobRun) -> None:
        """Do the step in a child; raises what the step would. Cancelled, it kills the child."""
        here, there = self._context.Pipe()
        arguments = (there, run.claim, run.kind, self._settings)
        child = self._context.Process(target=_main, args=arguments, name=f"job-{run.claim.job_id}", daemon=True)
        starting = asyncio.ensure_future(asyncio.to_thread(child.start))
        try:
            await asyncio.shield(starting)
            there.close()
            ended = await self._listen(here, run)
        finally:
            await _end(starting, child)
            here.close()
        match ended:
            case None:
                log.error("The process of a job died.", extra={"exit": child_exit(child)})
                raise Reported(DIED, again=True)
            case End("DONE"):
                run.committed = True
            case End("STOPPED"):
                raise Stopped
            case End("FENCED"):
                raise FenceLost
            case End("FAILED", text, again):
                raise Reported(text, again=again)

    async def _listen(self, here: Connection, run: JobRun) -> End | None:
        """Hear what the child says until its end; None where it ends without a word."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(here.fileno(), heard.set)
        try:
            while True:
                await heard.wait()
                heard.clear()
                try:
                    while here.poll():
                        message = here.recv()
                        match message:
                            case Progress():
                                run.told = message
                            case Ending():
                                run.settling = True
                            case Announced(tenant_id, what):
                                if run.db.announced is not None:
                                    run.db.announced(tenant_id, what)
                            case End():
                                return message
                except (EOFError, ConnectionResetError):
                    return None
        finally:
            loop.remove_reader(here.fileno())


async def _end(starting: "asyncio.Future[None]", child: ForkServerProcess) -> None:
    """The child is gone when this returns, also where the caller is being cancelled."""
    with contextlib.suppress(Exception):
        await asyncio.shield(starting)
    if child.pid is not None:
        child.kill()
        await asyncio.to_thread(child.join)


def child_exit(child: ForkServerProcess) -> int | None:
    """Its exit code, negative for a signal."""
    return child.exitcode


def _nothing() -> None:
    """What the first child does: it is there for the server to start."""


# --- in the child -----------------------------------------------------------------------------------------------------


class _ChildRun(JobRun):
    """The attempt as the step sees it in the child: what it tells goes to the worker."""

    def __init__(self, worker: "_Worker", db: Database, claimed: Claim, kind: Kind[Any], settings: Settings) -> None:
        super().__init__(db, claimed, kind, settings)
        self._worker = worker
        self._sent = 0.0

    def progress(self, stage: str, done: int = 0, total: int = 0, *, percent: int | None = None) -> None:
        before = self.told
        super().progress(stage, done, total, percent=percent)
        now = self._loop.time()
        if self.told.stage != before.stage or now - self._sent >= PROGRESS_SECONDS:
            self._sent = now
            self._worker.tell(self.told)

    def about_to_end(self) -> None:
        super().about_to_end()
        self._worker.tell(self.told)
        self._worker.tell(Ending())


class _Worker:
    """The worker, as the child sees it. What is told comes from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        threading.Thread(target=self._die_with_it, name="parent", daemon=True).start()

    def tell(self, message: object) -> None:
        """Pass a message on."""
        with self._lock:
            self._connection.send(message)

    def _die_with_it(self) -> None:
        """A worker that is killed takes its children along: nobody would hear them, and their fence is lost."""
        with contextlib.suppress(EOFError, OSError):
            self._connection.recv()
        os._exit(1)


def _main(connection: Connection, claimed: Claim, kind: Kind[Any], settings: Settings) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A signal to the whole group is for the worker, which says here what follows from it.
        signal.signal(number, signal.SIG_IGN)
    logs.configure(form=settings.log_format, level=settings.log_level)
    limit = settings.job_memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    worker = _Worker(connection)
    try:
        end = asyncio.run(_attempt(worker, claimed, kind, settings))
    except MemoryError:
        end = End("FAILED", too_large(settings.job_memory_mib))
    worker.tell(end)


async def _attempt(worker: _Worker, claimed: Claim, kind: Kind[Any], settings: Settings) -> End:
    assert settings.database_url is not None
    try:
        db = await Database.connect(settings.database_url.get_secret_value(), max_size=POOL_SIZE)
    except Exception as error:
        log.exception("The process of a job could not reach the database.")
        return End("FAILED", *reason_of(error))
    db.announced = lambda tenant_id, what: worker.tell(Announced(tenant_id, list(what)))
    run = _ChildRun(worker, db, claimed, kind, settings)
    logs.bind(**run.names)
    try:
        await step_of(kind)(run)
        if not run.committed:
            async with run.committing():
                pass
    except MemoryError:
        if not run.committed:
            raise
    except Stopped:
        return End("STOPPED")
    except FenceLost:
        return End("FENCED")
    except Exception as error:
        if run.committed:
            log.exception("A job failed after its commit.")
            return End("DONE")
        text, again = reason_of(error)
        if text in (UNEXPECTED, AWAY):
            log.exception("A job failed.")
        return End("FAILED", text, again)
    finally:
        await db.close()
    return End("DONE")
