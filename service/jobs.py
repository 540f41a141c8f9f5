"""Background jobs (后台任务): their kinds, and the protocol by which none is lost and none takes effect twice.

The row in PostgreSQL is the truth, Redis only a doorbell. A job is requested in the transaction of the change that
causes it; whoever claims the row gets the next `fence` and a lease; the effects commit in one transaction that first
finds the row still under that fence. A lease that ran out gives the row back. All times are the database's clock.

    QUEUED → RUNNING → SUCCEEDED
       ↑        ├────→ CANCELLED   asked for, and seen before the commit
       ├────────┤      FAILED      gave up: refused, out of attempts, or its worker died three times; can be retried
       └────────┘ a transient failure (after a pause), a lost worker, or another request while it ran
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import SYSTEM, Actor, Role, forbidden, system_actor
from service.checks import Check
from service.errors import IllegalState, KaopingError, NotFound
from service.scoring.text import Text
from tenants.database import Database, Transaction
from tenants.ids import uuid7

LEASE_SECONDS = 30
"""How long a claim holds without a sign of life."""

MAX_CRASHES = 3
"""After so many lost workers a job is given up: it may be what kills them."""

MAX_RUNNING_PER_TENANT = 4
"""Jobs of one tenant that run at once, over all workers, so that one district does not take every place."""

FIRST_PAUSE_SECONDS = 1.0
"""Pause after the first transient failure; it doubles each time."""

LONGEST_PAUSE_SECONDS = 300.0
"""Pauses do not grow beyond this."""

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


# --- kinds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind(Generic[A]):
    """What a job does. `step` names the function that does it, `module:function`, taking a `JobRun`."""

    name: str
    arguments: type[A]
    """A frozen dataclass of UUID, str, int and bool fields."""
    step: str
    done: Text
    """What has been done when it has succeeded."""
    stages: Mapping[str, Text] = field(default_factory=dict)
    """What it does at each stage that its step reports, for people."""
    max_attempts: int = 3
    timeout: float = 600.0
    """Seconds that one attempt may take."""
    steered_by: frozenset[Role] = frozenset({Role.ORGANISER})
    """Who may cancel and retry it, where they hold the role for the whole district; so may who asked for it."""
    repeatable: bool = False
    """Whether a finished job may be requested again under its key."""


@dataclass(frozen=True)
class CycleArguments:
    """Which cycle to open."""

    cycle_id: UUID


@dataclass(frozen=True)
class RunArguments:
    """Which run to compute."""

    run_id: UUID


OPEN_CYCLE = Kind(
    "OPEN_CYCLE",
    arguments=CycleArguments,
    step="service.opening:open_cycle",
    done=Text(zh="考核周期已启动填报。", en="The cycle is open."),
    stages={
        "FREEZING": Text(zh="正在检查并定稿方案。", en="Checking and freezing the scheme."),
        "UNITS": Text(zh="正在固定参评单位及其类别。", en="Fixing the units and their categories."),
        "TASKS": Text(zh="正在生成填报任务。", en="Making the tasks."),
        "ASSESSMENTS": Text(zh="正在生成考核评分表。", en="Making the assessments."),
        "FINISHING": Text(zh="正在下达目标并保存。", en="Handing out targets and saving."),
    },
    timeout=900,
    repeatable=True,
)
RANKING_RUN = Kind(
    "RANKING_RUN",
    arguments=RunArguments,
    step="service.rankings:compute_run",
    done=Text(zh="成绩测算完成。", en="The run is computed."),
    stages={
        "SNAPSHOT": Text(zh="正在读取已审定的数据。", en="Reading the settled values."),
        "SCORING": Text(zh="正在计算各项得分。", en="Scoring leaves and nodes."),
        "RANKING": Text(zh="正在排名。", en="Ranking."),
        "WRITING": Text(zh="正在保存考核结果。", en="Writing the standings."),
    },
)

KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (OPEN_CYCLE, RANKING_RUN)}
"""All kinds by name."""


# --- asking for work, stopping and reviving it ------------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """Announced after the commit of a request: a job that could start now. `fence` tells its rounds apart."""

    job_id: UUID
    fence: int


async def request(
    tx: Transaction, actor: Actor, kind: Kind[A], *, subject: tuple[str, UUID], dedupe_key: str, arguments: A
) -> UUID:
    """Ask for a job in the transaction of the change that causes it; the job's id.

    A request whose key has a job that waits is joined into it; where it runs, it runs once more afterwards with the
    newest arguments. A finished job of a repeatable kind starts anew. Raises RuntimeError for a finished job of another
    kind: such keys name one piece of work for ever.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO jobs AS j (tenant_id, id, kind, subject_type, subject_id, arguments, dedupe_key, max_attempts,
                               requested_by_id)
        VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9)
        ON CONFLICT (tenant_id, dedupe_key) DO UPDATE SET
            want_seq = j.want_seq + 1, arguments = EXCLUDED.arguments, change_seq = j.change_seq + 1,
            state = CASE WHEN j.state = 'RUNNING' THEN j.state ELSE 'QUEUED' END,
            run_at = CASE WHEN j.state = 'RUNNING' THEN j.run_at ELSE now() END,
            requested_by_id = CASE WHEN j.state IN ('QUEUED', 'RUNNING') THEN j.requested_by_id
                                   ELSE EXCLUDED.requested_by_id END,
            requested_at = CASE WHEN j.state IN ('QUEUED', 'RUNNING') THEN j.requested_at ELSE now() END,
            attempts = CASE WHEN j.state IN ('QUEUED', 'RUNNING') THEN j.attempts ELSE 0 END,
            crashes = CASE WHEN j.state IN ('QUEUED', 'RUNNING') THEN j.crashes ELSE 0 END,
            cancel_requested = CASE WHEN j.state = 'RUNNING' THEN j.cancel_requested ELSE false END,
            last_error = CASE WHEN j.state IN ('QUEUED', 'RUNNING') THEN j.last_error END,
            stage = CASE WHEN j.state = 'RUNNING' THEN j.stage END,
            percent = CASE WHEN j.state = 'RUNNING' THEN j.percent ELSE 0 END,
            finished_at = NULL
        WHERE j.kind = EXCLUDED.kind AND (j.state IN ('QUEUED', 'RUNNING') OR $10)
        RETURNING id, fence
        """,
        tx.tenant_id,
        uuid7(),
        kind.name,
        subject[0],
        subject[1],
        # asyncpg has a UUID of its own, which orjson does not know.
        orjson.dumps(arguments, default=str).decode(),
        dedupe_key,
        kind.max_attempts,
        None if actor.id == SYSTEM else actor.id,
        kind.repeatable,
    )
    if row is None:
        raise RuntimeError(f"The job {dedupe_key} is finished, and its kind is not to be done again.")
    job_id: UUID = row["id"]
    tx.announce(Due(job_id, row["fence"]))
    return job_id


async def cancel(tx: Transaction, actor: Actor, *, job_id: str) -> UUID:
    """Cancel a job: at once where it waits; where it runs it stops before it takes effect, within about a second."""
    job = await _steered(tx, actor, job_id)
    if job["state"] not in ("QUEUED", "RUNNING") or job["cancel_requested"]:
        raise _illegal(
            job,
            Text(zh="该任务已结束或正在取消。", en="The job has ended, or is being cancelled."),
            legal_from=("QUEUED", "RUNNING"),
        )
    await tx.execute(
        """
        UPDATE jobs SET change_seq = change_seq + 1,
            cancel_requested = (state = 'RUNNING'),
            finished_at = CASE WHEN state = 'QUEUED' THEN now() END,
            state = CASE WHEN state = 'QUEUED' THEN 'CANCELLED' ELSE state END
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant_id,
        job["id"],
    )
    await _on_record(tx, actor, "cancelJob", job, Text(zh="取消后台任务", en="Cancelled a job"))
    return UUID(str(job["id"]))


async def retry(tx: Transaction, actor: Actor, *, job_id: str) -> UUID:
    """Revive a job that gave up: its attempts are counted anew."""
    job = await _steered(tx, actor, job_id)
    if job["state"] != "FAILED":
        raise _illegal(
            job,
            Text(zh="只有失败的任务可以重试。", en="Only a job that gave up can be retried."),
            legal_from=("FAILED",),
        )
    fence = await tx.fetchval(
        """
        UPDATE jobs SET state = 'QUEUED', run_at = now(), attempts = 0, crashes = 0, cancel_requested = false,
            stage = NULL, percent = 0, units_done = 0, units_total = 0, finished_at = NULL, change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2 RETURNING fence
        """,
        tx.tenant_id,
        job["id"],
    )
    tx.announce(Due(job["id"], fence))
    await _on_record(tx, actor, "retryJob", job, Text(zh="重试后台任务", en="Retried a job"))
    return UUID(str(job["id"]))


async def _steered(tx: Transaction, actor: Actor, text: str) -> asyncpg.Record:
    """The row, locked, of a job that the actor may cancel and retry."""
    check = Check()
    path = ("input", "jobId")
    job_id = check.id(path, text, "Job")
    check.done()
    job = await tx.fetchrow(
        """SELECT id, kind, state, cancel_requested, requested_by_id, finished_at FROM jobs
           WHERE tenant_id = $1 AND id = $2 FOR UPDATE""",
        tx.tenant_id,
        job_id,
    )
    own = job is not None and job["requested_by_id"] == actor.id
    if job is None or not (actor.sees_all or own):
        raise NotFound(path)
    roles = sorted(KINDS[job["kind"]].steered_by) if job["kind"] in KINDS else [Role.ADMINISTRATOR]
    if not own and not actor.holds_at_root(*roles):
        raise forbidden(roles, path=path)
    return job


def _illegal(job: asyncpg.Record, text: Text, *, legal_from: tuple[str, ...]) -> IllegalState:
    return IllegalState(
        text,
        state=job["state"],
        legal_from=legal_from,
        since=job["finished_at"],
        subject=("Job", job["id"]),
        path=("input", "jobId"),
    )


async def _on_record(tx: Transaction, actor: Actor, action: str, job: asyncpg.Record, summary: Text) -> None:
    said = Text(zh=f"{summary.zh}（{job['kind']}）", en=f"{summary.en} ({job['kind']})")
    await audit.append(tx, actor, action, subject=("Job", job["id"]), summary=said)


# --- the protocol -----------------------------------------------------------------------------------------------------


class Transient(Exception):  # a state of the world, not a fault of the program
    """Raised by a step: it may well succeed later."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class Stopped(Exception):  # nothing went wrong
    """Raised inside a step that must end: it was cancelled, its lease was lost, or its worker shuts down."""


class FenceLost(Exception):
    """Another has taken the job over, so nothing of this attempt may commit."""


@dataclass(frozen=True)
class Claim:
    """One attempt at a job: only the holder of the newest `fence` may write for it. `seen` is the request it serves."""

    tenant_id: UUID
    job_id: UUID
    kind: str
    fence: int
    seen: int
    attempts: int
    crashes: int
    max_attempts: int
    subject_type: str | None
    subject_id: UUID | None
    arguments: str
    actor: Actor


async def claim(db: Database, tenant_id: UUID, job_id: UUID, *, kinds: Iterable[str] | None = None) -> Claim | None:
    """Take a job that is due, or None where another has it, it is not due, or its tenant has enough running.

    A kind that is not one of `kinds` (None: of this program's) is of a newer version, and left to workers that know it.
    """
    async with db.transaction(tenant_id) as tx:
        row = await tx.fetchrow(
            f"""
            UPDATE jobs SET state = 'RUNNING', fence = fence + 1, attempts = attempts + 1, started_at = now(),
                lease_until = now() + interval '{LEASE_SECONDS} s', stage = NULL, percent = 0, units_done = 0,
                units_total = 0, finished_at = NULL, change_seq = change_seq + 1
            WHERE tenant_id = $1 AND id = $2 AND state = 'QUEUED' AND run_at <= now() AND kind = ANY ($3::text[])
              AND (SELECT count(*) FROM jobs busy WHERE busy.tenant_id = $1 AND busy.state = 'RUNNING')
                  < {MAX_RUNNING_PER_TENANT}
            RETURNING kind, fence, want_seq, attempts, crashes, max_attempts, subject_type, subject_id, arguments,
                      requested_by_id
            """,
            tenant_id,
            job_id,
            list(KINDS if kinds is None else kinds),
        )
        if row is None:
            return None
        asker = await tx.fetchrow(
            """SELECT t.time_zone, a.id, a.kind, a.display_name FROM tenants t
               LEFT JOIN actors a ON a.tenant_id = t.tenant_id AND a.id = $2 WHERE t.tenant_id = $1""",
            tenant_id,
            row["requested_by_id"],
        )
    assert asker is not None
    return Claim(
        tenant_id=tenant_id,
        job_id=job_id,
        kind=row["kind"],
        fence=row["fence"],
        seen=row["want_seq"],
        attempts=row["attempts"],
        crashes=row["crashes"],
        max_attempts=row["max_attempts"],
        subject_type=row["subject_type"],
        subject_id=row["subject_id"],
        arguments=row["arguments"],
        actor=_asker(tenant_id, asker),
    )


def _asker(tenant_id: UUID, row: asyncpg.Record) -> Actor:
    """Who asked for the job, without grants: what it may have was judged when it asked."""
    if row["id"] is None:
        return system_actor(tenant_id, time_zone=row["time_zone"])
    return Actor(
        tenant_id=tenant_id,
        id=row["id"],
        person_id=row["id"],
        kind=row["kind"],
        display_name=row["display_name"],
        language="ZH_CN",
        time_zone=row["time_zone"],
        grants=(),
    )


# What ends an attempt. Another request that came meanwhile starts the job once more, with all its attempts.
_END = """
UPDATE jobs SET
    state = CASE WHEN want_seq > $4 THEN 'QUEUED' ELSE $5 END,
    run_at = CASE WHEN want_seq > $4 THEN now() ELSE run_at END,
    attempts = CASE WHEN want_seq > $4 THEN 0 ELSE attempts END,
    crashes = CASE WHEN want_seq > $4 THEN 0 ELSE crashes END,
    done_seq = CASE WHEN $5 = 'SUCCEEDED' THEN $4 ELSE done_seq END,
    percent = CASE WHEN want_seq > $4 THEN 0 WHEN $5 = 'SUCCEEDED' THEN 100 ELSE percent END,
    stage = CASE WHEN want_seq > $4 OR $5 = 'SUCCEEDED' THEN NULL ELSE stage END,
    units_done = CASE WHEN $5 = 'SUCCEEDED' THEN greatest(units_total, $7) ELSE units_done END,
    units_total = greatest(units_total, $7),
    last_error = CASE WHEN $5 = 'SUCCEEDED' THEN NULL ELSE coalesce($6::jsonb, last_error) END,
    cancel_requested = false, lease_until = NULL, change_seq = change_seq + 1,
    finished_at = CASE WHEN want_seq > $4 THEN NULL ELSE now() END
WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'
"""


async def succeed(tx: Transaction, claimed: Claim, *, units_total: int = 0) -> None:
    """Mark the attempt as done, in the transaction of its effects, as its last statement.

    `units_total` is what the step told last: a short one ends before its progress was written down.

    Raises FenceLost where another has taken over, and Stopped where a cancellation came first.
    """
    row = await tx.fetchrow(
        _END + " AND NOT cancel_requested RETURNING state, fence",
        *_key(claimed),
        claimed.seen,
        "SUCCEEDED",
        None,
        units_total,
    )
    if row is None:
        wanted = await tx.fetchval(
            "SELECT true FROM jobs WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'",
            *_key(claimed),
        )
        raise Stopped if wanted else FenceLost
    if row["state"] == "QUEUED":
        tx.announce(Due(claimed.job_id, row["fence"]))


async def end(tx: Transaction, claimed: Claim, state: str, error: Text | None) -> None:
    """Mark the attempt as FAILED or CANCELLED; nothing happens where another has taken over."""
    row = await tx.fetchrow(
        _END + " RETURNING state, fence", *_key(claimed), claimed.seen, state, _error(error) if error else None, 0
    )
    if row is not None and row["state"] == "QUEUED":
        tx.announce(Due(claimed.job_id, row["fence"]))


async def postpone(tx: Transaction, claimed: Claim, error: Text) -> None:
    """Note a transient failure: again after a pause, or FAILED where it was the last attempt."""
    failures = claimed.attempts - claimed.crashes
    if failures >= claimed.max_attempts:
        await end(tx, claimed, "FAILED", error)
        return
    await tx.execute(
        """
        UPDATE jobs SET state = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'QUEUED' END,
            run_at = now() + $4 * interval '1 second', last_error = $5::jsonb, lease_until = NULL,
            finished_at = CASE WHEN cancel_requested THEN now() END, cancel_requested = false,
            change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'
        """,
        *_key(claimed),
        pause_seconds(failures),
        _error(error),
    )


async def give_back(tx: Transaction, claimed: Claim) -> None:
    """Return a job that a worker gives up because it shuts down; the attempt does not count."""
    fence = await tx.fetchval(
        """
        UPDATE jobs SET state = 'QUEUED', run_at = now(), attempts = attempts - 1, lease_until = NULL,
            change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING' RETURNING fence
        """,
        *_key(claimed),
    )
    if fence is not None:
        tx.announce(Due(claimed.job_id, fence))


def pause_seconds(failures: int) -> float:
    """How long to wait after that many failures: doubling, and spread, so that jobs that fell together rise apart."""
    ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, hides nothing


def _key(claimed: Claim) -> tuple[UUID, UUID, int]:
    return claimed.tenant_id, claimed.job_id, claimed.fence


def _error(text: Text) -> str:
    return orjson.dumps({"zh": text.zh, "en": text.en}).decode()


# --- what a step is handed --------------------------------------------------------------------------------------------


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

    def __init__(self, db: Database, claimed: Claim, kind: Kind[Any]) -> None:
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
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

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
        """Run a long computation in a thread, so that the event loop and other jobs go on."""
        return await asyncio.to_thread(function, *arguments, **named)

    @contextlib.asynccontextmanager
    async def committing(self) -> AsyncIterator[Transaction]:
        """The one transaction of the effects: it commits only if this attempt still holds the job."""
        async with self.db.transaction(self.tenant_id) as tx:
            yield tx
            self.check()
            self.settling = True
            await succeed(tx, self.claim, units_total=self.told.units_total)
        self.committed = True

    def stop(self, reason: str) -> None:
        """End the step from outside, from any thread: CANCELLED, LOST or DRAINED."""
        if self.stopping is None and not self.settling:
            self.stopping = reason
            if self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)


# --- what dispatchers do ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DueJob:
    """A row that could start now. `waited` is since when, in seconds."""

    tenant_id: UUID
    job_id: UUID
    fence: int
    waited: float


async def reap(db: Database) -> int:
    """Give jobs back whose lease ran out, or give them up after the third time; how many there were."""
    async with db.dispatching() as connection:
        rows = await connection.fetch(
            "SELECT tenant_id, id, fence FROM jobs WHERE state = 'RUNNING' AND lease_until < now() LIMIT 100"
        )
    for row in rows:
        async with db.transaction(row["tenant_id"]) as tx:
            await tx.execute(
                f"""
                UPDATE jobs SET crashes = crashes + 1, fence = fence + 1, lease_until = NULL, run_at = now(),
                    state = CASE WHEN cancel_requested THEN 'CANCELLED'
                                 WHEN crashes + 1 >= {MAX_CRASHES} THEN 'FAILED' ELSE 'QUEUED' END,
                    finished_at = CASE WHEN cancel_requested OR crashes + 1 >= {MAX_CRASHES} THEN now() END,
                    last_error = $4::jsonb, cancel_requested = false, change_seq = change_seq + 1
                WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING' AND lease_until < now()
                """,
                row["tenant_id"],
                row["id"],
                row["fence"],
                _error(CRASHED),
            )
    return len(rows)


CRASHED = Text(
    zh="执行该任务的进程中断，未写入任何结果。", en="The worker that ran it went away; nothing of it was written."
)
UNEXPECTED = Text(
    zh="执行时发生意外错误，详情见服务日志。", en="It failed unexpectedly; the log of the worker has the details."
)
TIMED_OUT = Text(zh="超过了允许的执行时间。", en="It took longer than it may.")
AWAY = Text(zh="数据库暂时不可用。", en="The database was not available for a moment.")


async def due(
    db: Database, *, limit: int, skip: Iterable[UUID] = (), kinds: Iterable[str] | None = None
) -> list[DueJob]:
    """Jobs that could start now, in turns over the tenants, the longest waiting first; not those in `skip`.

    Only of these kinds; None: of this program's.
    """
    async with db.dispatching() as connection:
        rows = await connection.fetch(
            f"""
            SELECT tenant_id, id, fence, waited FROM (
                SELECT d.tenant_id, d.id, d.fence, extract(epoch FROM now() - d.run_at)::float8 AS waited,
                       row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.run_at, d.id)
                           + (SELECT count(*) FROM jobs busy WHERE busy.state = 'RUNNING'
                              AND busy.tenant_id = d.tenant_id) AS turn
                FROM (SELECT tenant_id, id, fence, run_at FROM jobs WHERE state = 'QUEUED' AND run_at <= now()
                      AND id <> ALL ($2::uuid[]) AND kind = ANY ($3::text[]) ORDER BY run_at LIMIT 5000) d
            ) turns WHERE turn <= {MAX_RUNNING_PER_TENANT} ORDER BY turn, waited DESC LIMIT $1
            """,
            limit,
            list(skip),
            list(KINDS if kinds is None else kinds),
        )
    return [DueJob(row["tenant_id"], row["id"], row["fence"], row["waited"]) for row in rows]


def is_transient(error: BaseException) -> bool:
    """Whether the database's refusal may be over in a moment: connections, locks, serialisation, deadlocks, space."""
    return isinstance(
        error,
        (
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.TransactionRollbackError,
            asyncpg.LockNotAvailableError,
            ConnectionError,
        ),
    )


def reason_of(error: BaseException) -> tuple[Text, bool]:
    """What to write down for a step's failure, and whether to try again."""
    match error:
        case Transient():
            return error.text, True
        case KaopingError():
            hint = error.hint
            return (Text(f"{error.text.zh}{hint.zh}", f"{error.text.en} {hint.en}") if hint else error.text), False
        case TimeoutError():
            return TIMED_OUT, True
        case _ if is_transient(error):
            return AWAY, True
    return UNEXPECTED, True
