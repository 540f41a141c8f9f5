"""The protocol of an attempt (领取与提交): claimed under a fence, ended under the same fence, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson

from service import outbox
from service.access import Actor, system_actor
from service.jobs.failures import FenceLost, Stopped, pause_seconds
from service.jobs.kinds import KINDS
from service.jobs.requests import Due
from service.scoring.text import Text
from tenants.database import Database, Transaction

LEASE_SECONDS = 30
"""How long a claim holds without a sign of life."""

MAX_RUNNING_PER_TENANT = 4
"""Jobs of one tenant that run at once, over all workers, so that one district does not take every place."""


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
    traceparent: str | None = None


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
                      requested_by_id, traceparent
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
        traceparent=row["traceparent"],
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
    await _tell(tx, claimed)
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
    await _tell(tx, claimed)
    row = await tx.fetchrow(
        _END + " RETURNING state, fence", *_key(claimed), claimed.seen, state, error_json(error) if error else None, 0
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
        error_json(error),
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


async def _tell(tx: Transaction, claimed: Claim) -> None:
    """Before the row, since changes on record lock in this order too; where it turns out untrue, nobody is misled."""
    about = {"subjectId": claimed.subject_id} if claimed.subject_id is not None else {}
    await outbox.write(tx, "jobEnded", subject=("Job", claimed.job_id), ids=about)


def _key(claimed: Claim) -> tuple[UUID, UUID, int]:
    return claimed.tenant_id, claimed.job_id, claimed.fence


def error_json(text: Text) -> str:
    """As it is kept in `last_error`."""
    return orjson.dumps({"zh": text.zh, "en": text.en}).decode()
