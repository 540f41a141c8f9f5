"""Background jobs, as frontends see them (后台任务)."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from strawberry import Info

from schema.context import Context
from schema.live import After, Id, changes, live
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    connection,
    described,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    order_type,
    payload,
    query,
    reference,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, mutation
from schema.rows import value_of
from schema.scope import IN_FORCE
from schema.subscription import subscriptions
from service import jobs
from service.access import Actor as Caller
from service.jobs import KINDS
from service.scoring.text import Text
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.members import Actor

FINISHED = ("SUCCEEDED", "FAILED", "CANCELLED")


@enumeration("Kinds of jobs.")
class JobKind(Enum):
    """Kinds."""

    OPEN_CYCLE = "Opens a cycle."
    RANKING_RUN = "Computes a run."
    WHAT_IF = "Tries other rules on past data."
    ROBUSTNESS = "Draws weights."
    HOUSEKEEPING = "Removes what has had its time: keys, finished jobs. For administrators."


@enumeration("Life of a job.")
class JobState(Enum):
    """States."""

    QUEUED = "Waits."
    RUNNING = "Runs."
    SUCCEEDED = "Done."
    FAILED = "Gave up; can be retried."
    CANCELLED = "Cancelled."


def say(text: Text) -> str:
    """SQL for a text in the viewer's language."""
    zh, en = (part.replace("'", "''") for part in text)
    return f"CASE {{language}} WHEN 'EN' THEN '{en}' ELSE '{zh}' END"


_STAGES = " ".join(
    f"WHEN {{t}}.kind = '{kind.name}' AND {{t}}.state = 'RUNNING' AND {{t}}.stage = '{stage}' THEN {say(text)}"
    for kind in KINDS.values()
    for stage, text in kind.stages.items()
)
_DONE = " ".join(
    f"WHEN {{t}}.kind = '{kind.name}' AND {{t}}.state = 'SUCCEEDED' THEN {say(kind.done)}" for kind in KINDS.values()
)
_STATES = " ".join(
    f"WHEN {{t}}.state = '{state}' THEN {say(text)}"
    for state, text in {
        "QUEUED": Text(zh="等待后台处理。", en="Waits for a worker."),
        "RUNNING": Text(zh="开始处理。", en="It has begun."),
        "FAILED": Text(zh="任务失败。", en="It gave up."),
        "CANCELLED": Text(zh="已取消。", en="Cancelled."),
    }.items()
)
MESSAGE = f"""CASE WHEN {{t}}.cancel_requested THEN {say(Text(zh="正在取消。", en="It is being cancelled."))}
    {_DONE} WHEN {{t}}.state = 'QUEUED' AND {{t}}.attempts > 0 THEN
    {say(Text(zh="稍后重试。", en="It is tried again in a moment."))}
    {_STATES.replace("WHEN {t}.state = 'RUNNING'", _STAGES + " WHEN {t}.state = 'RUNNING'")} END"""

# Who may cancel and retry: who asked for it, and roles of the whole district.
_STEERED = " OR ".join(
    f"{{t}}.kind = '{kind.name}' AND gs.role IN ({', '.join(repr(str(role)) for role in sorted(kind.steered_by))})"
    for kind in KINDS.values()
)
STEERS = f"""({{t}}.requested_by_id = {{actor}} OR EXISTS (SELECT 1 FROM grants gs
    JOIN org_units us ON us.tenant_id = gs.tenant_id AND us.id = gs.unit_id AND us.parent_id IS NULL
    WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND {IN_FORCE} AND ({_STEERED})))"""


# Who sees a job: who asked for it, who reads all of the assessment, or for kinds of their own roles of the district.
_OWN_ROLES = [kind for kind in KINDS.values() if kind.seen_by is not None]
_OTHERS = ", ".join(f"'{kind.name}'" for kind in _OWN_ROLES)
_SEEN = " OR ".join(
    f"{{t}}.kind = '{kind.name}' AND gs.role IN ({', '.join(repr(str(role)) for role in sorted(kind.seen_by or ()))})"
    for kind in _OWN_ROLES
)
SEES = f"""({{all}} AND {{t}}.kind NOT IN ({_OTHERS})) OR {{t}}.requested_by_id = {{actor}}
    OR ({{t}}.kind IN ({_OTHERS}) AND EXISTS (SELECT 1 FROM grants gs
        JOIN org_units us ON us.tenant_id = gs.tenant_id AND us.id = gs.unit_id AND us.parent_id IS NULL
        WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND {IN_FORCE} AND ({_SEEN})))"""


@table("jobs", plural="jobs", visible=SEES)
class Job(Node):
    """A piece of background work (后台任务)."""

    id: ID = identifier()
    kind: JobKind = column("What it does.")
    state: JobState = column("Where it stands.")
    percent: int = column("0 to 100.")
    message: str = expression("In words, what it does now.", MESSAGE)
    attempts: int = column("Attempts so far.")
    max_attempts: int = column("Attempts at most.")
    last_error: str | None = expression(
        "Last failure, in the caller's language.",
        "{t}.last_error ->> CASE {language} WHEN 'EN' THEN 'en' ELSE 'zh' END",
    )
    subject: Node | None = reference("The object it works on.", kind="subject_type", id="subject_id")
    requested_by: "Actor | None" = relation("Who caused it.", on={"requested_by_id": "id"}, variants=ACTOR_TYPES)
    requested_at: datetime = column("When.")
    run_at: datetime = column("When it is due.")
    started_at: datetime | None = column("Start of the last attempt.")
    finished_at: datetime | None = column("End.")
    coalesced: int = expression("Requests that were joined into it.", "{t}.want_seq - 1")
    retryable: bool = expression("Whether the viewer may retry it now.", f"{{t}}.state = 'FAILED' AND {STEERS}")
    cancellable: bool = expression(
        "Whether the viewer may cancel it now.",
        f"{{t}}.state IN ('QUEUED', 'RUNNING') AND NOT {{t}}.cancel_requested AND {STEERS}",
    )


@enumeration("What jobs can be sorted by.")
class JobOrderField(Enum):
    """Orders of jobs."""

    REQUESTED_AT = Sort("By when it was asked for.", (Key("{r}.requested_at", "timestamptz"),))


@order_type
class JobOrder(Order):
    """An order of jobs."""

    field: JobOrderField = described("What to sort by.")


@filter_type
class JobFilter:
    """Which jobs."""

    states: list[JobState] | None = condition("In these states.", "{r}.state = ANY({value})")
    kinds: list[JobKind] | None = condition("Of these kinds.", "{r}.kind = ANY({value})")
    subject_id: ID | None = condition("That work on this object.", "{r}.subject_id = {value}")
    cycle_id: ID | None = condition(
        "That open this cycle or compute it.",
        """({r}.subject_id = {value} OR {r}.subject_id IN (SELECT fr.id FROM ranking_runs fr
            WHERE fr.tenant_id = {tenant} AND fr.cycle_id = {value}))""",
        of="Cycle",
    )


@query
class JobsQuery:
    """Background work."""

    job: Job | None = by_id("One job.", "Job")
    jobs: Connection[Job] | None = connection(
        "Jobs the caller may see, newest first.",
        filter=JobFilter,
        order=JobOrder,
        default=[Key("{r}.requested_at", "timestamptz", descending=True)],
    )


# ---- mutations


@input_type
class RetryJobInput:
    """What retryJob takes."""

    job_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class RetryJobSuccess:
    """retryJob is done."""

    job: Job = described("The job.")


@input_type
class CancelJobInput:
    """What cancelJob takes."""

    job_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class CancelJobSuccess:
    """cancelJob is done."""

    job: Job = described("The job.")


@mutation(RetryJobSuccess)
async def retry_job(tx: Transaction, actor: Caller, given: RetryJobInput) -> Outcome:
    """Revives a job that gave up."""
    return {"job": await jobs.retry(tx, actor, job_id=given.job_id)}


@mutation(CancelJobSuccess)
async def cancel_job(tx: Transaction, actor: Caller, given: CancelJobInput) -> Outcome:
    """Cancels a job that is queued or running."""
    return {"job": await jobs.cancel(tx, actor, job_id=given.job_id)}


# ---- live


@payload
class JobMessage:
    """A message about a job."""

    cursor: str = described("To resume after.")
    job: Job = described("The job as it is now.")


async def job_state(context: Context, job_id: UUID) -> str:
    """The number of a job's latest change, in the snapshot that the operation reads."""
    statement = context.statement()
    tenant, key = statement.render("{tenant}"), statement.bind(job_id, "uuid")
    found = await context.fetch(f"SELECT change_seq FROM jobs WHERE tenant_id = {tenant} AND id = {key}", statement)
    return str(found[0]["change_seq"])


async def _state(context: Context, row: Any) -> str:
    return await job_state(context, value_of(row, "id"))


@subscriptions
class JobsSubscription:
    """Background work, live."""

    @live("Progress of a job; ends when the job has ended.")
    async def job_changed(
        self,
        info: Info[Context, None],
        id: Id,  # noqa: A002  # the argument's name in the API
        after: After = None,
    ) -> AsyncGenerator[JobMessage | None, None]:
        """The job as it is, then each change."""
        told = changes(info.context, Job, id, after, state=_state, ended=lambda row: value_of(row, "state") in FINISHED)
        async for change in told:
            yield None if change is None else JobMessage(cursor=change.cursor, job=change.row)
