"""Stopping jobs and reviving them (取消与重试), for people."""

from uuid import UUID

import asyncpg

from service import audit
from service.access import Actor, Role, forbidden
from service.checks import Check
from service.errors import IllegalState, NotFound
from service.jobs.kinds import KINDS
from service.jobs.requests import Due
from service.scoring.text import Text
from tenants.database import Transaction


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
    await tx.execute(
        """
        UPDATE jobs SET state = 'QUEUED', run_at = now(), attempts = 0, crashes = 0, cancel_requested = false,
            stage = NULL, percent = 0, units_done = 0, units_total = 0, finished_at = NULL, change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant_id,
        job["id"],
    )
    tx.announce(Due(job["id"]))
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
    if job is None or not (own or _sees(actor, job["kind"])):
        raise NotFound(path)
    roles = sorted(KINDS[job["kind"]].steered_by) if job["kind"] in KINDS else [Role.ADMINISTRATOR]
    if not own and not actor.holds_at_root(*roles):
        raise forbidden(roles, path=path)
    return job


def _sees(actor: Actor, kind: str) -> bool:
    if kind not in KINDS:
        # Whoever steers it has to see it.
        return actor.sees_all or actor.holds_at_root(Role.ADMINISTRATOR)
    seen_by = KINDS[kind].seen_by
    return actor.sees_all if seen_by is None else actor.holds_at_root(*seen_by)


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
