"""The protocol of an attempt (领取与提交): claimed under a fence, ended under the same fence, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
    waited: float
    """Seconds since it was due."""
    actor: Actor
    """Who asked for it; the system where nobody did."""
    traceparent: str | None = None


# Under READ COMMITTED two workers that claim in the same instant may both count the same jobs, so that a district has
# for a moment as many jobs too many as there are workers. The bound is there for the others' sake, not for correctness.
_CLAIM = f"""
WITH claimed AS (
    UPDATE jobs SET state = 'RUNNING', fence = fence + 1, attempts = attempts + 1, started_at = now(),
        lease_until = now() + $3 * interval '1 second', next_run_at = NULL, stage = NULL, percent = 0, units_done = 0,
        units_total = 0, finished_at = NULL, change_seq = change_seq + 1
    WHERE tenant_id = $1 AND state = 'QUEUED'
      AND id = (SELECT id FROM jobs next WHERE next.tenant_id = $1 AND next.state = 'QUEUED' AND next.run_at <= now()
                AND next.kind = ANY ($2::text[]) AND {{which}} ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
      AND (SELECT count(*) FROM jobs busy WHERE busy.tenant_id = $1 AND busy.state = 'RUNNING')
          < {MAX_RUNNING_PER_TENANT}
    RETURNING id, kind, fence, want_seq, attempts, crashes, max_attempts, subject_type, subject_id, arguments,
              requested_by_id, request_id, traceparent,
              extract(epoch FROM now() - run_at)::float8 AS waited
)
SELECT c.*, t.time_zone, a.id AS actor_id, a.kind AS actor_kind, a.display_name FROM claimed c
JOIN tenants t ON t.tenant_id = $1
LEFT JOIN actors a ON a.tenant_id = $1 AND a.id = c.requested_by_id
"""
_CLAIM_ONE, _CLAIM_NEXT = _CLAIM.format(which="next.id = $4"), _CLAIM.format(which="true")


async def claim(
    db: Database,
    tenant_id: UUID,
    job_id: UUID | None = None,
    *,
    kinds: Iterable[str] | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> Claim | None:
    """Take the job, or the one of the tenant that has been due for longest; None where there is none to be had.

    Another may have it, it may not be due, or its tenant has enough running. A kind that is not one of `kinds` (None:
    of this program's) is of a newer version, and left to workers that know it.
    """
    wanted = list(KINDS if kinds is None else kinds)
    async with db.transaction(tenant_id) as tx:
        if job_id is None:
            row = await tx.fetchrow(_CLAIM_NEXT, tenant_id, wanted, float(lease_seconds))
        else:
            row = await tx.fetchrow(_CLAIM_ONE, tenant_id, wanted, float(lease_seconds), job_id)
    if row is None:
        return None
    return Claim(
        tenant_id=tenant_id,
        job_id=row["id"],
        kind=row["kind"],
        fence=row["fence"],
        seen=row["want_seq"],
        attempts=row["attempts"],
        crashes=row["crashes"],
        max_attempts=row["max_attempts"],
        subject_type=row["subject_type"],
        subject_id=row["subject_id"],
        arguments=row["arguments"],
        waited=row["waited"],
        actor=_asker(tenant_id, row),
        traceparent=row["traceparent"],
    )


def _asker(tenant_id: UUID, row: asyncpg.Record) -> Actor:
    """Who asked for the job, without grants: what it may have was judged when it asked."""
    if row["actor_id"] is None:
        return replace(system_actor(tenant_id, time_zone=row["time_zone"]), request_id=row["request_id"])
    return Actor(
        tenant_id=tenant_id,
        id=row["actor_id"],
        person_id=row["actor_id"],
        kind=row["actor_kind"],
        display_name=row["display_name"],
        language="ZH_CN",
        time_zone=row["time_zone"],
        grants=(),
        request_id=row["request_id"],
    )


# What ends an attempt. Another request that came meanwhile starts the job once more, with all its attempts.
_END = """
UPDATE jobs SET
    state = CASE WHEN want_seq > $4 THEN 'QUEUED' ELSE $5 END,
    run_at = CASE WHEN want_seq > $4 THEN coalesce(next_run_at, now()) ELSE run_at END,
    next_run_at = NULL,
    attempts = CASE WHEN want_seq > $4 THEN 0 ELSE attempts END,
    crashes = CASE WHEN want_seq > $4 THEN 0 ELSE crashes END,
    done_seq = CASE WHEN $5 = 'SUCCEEDED' THEN $4 ELSE done_seq END,
    percent = CASE WHEN want_seq > $4 THEN 0 WHEN $5 = 'SUCCEEDED' THEN 100 ELSE percent END,
    stage = CASE WHEN want_seq > $4 OR $5 = 'SUCCEEDED' THEN NULL ELSE stage END,
    units_done = CASE WHEN $5 = 'SUCCEEDED' THEN greatest(units_total, $7) ELSE units_done END,
    units_total = greatest(units_total, $7),
    last_error = CASE WHEN $5 = 'SUCCEEDED' THEN NULL ELSE coalesce($6::jsonb, last_error) END,
    cancel_requested = false, lease_until = NULL, change_seq = change_seq + 1,
    finished_at = CASE WHEN want_seq > $4 THEN NULL ELSE clock_timestamp() END
WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'
"""


async def succeed(tx: Transaction, claimed: Claim, *, units_total: int = 0) -> None:
    """Mark the attempt as done, in the transaction of its effects, as its last statement.

    `units_total` is what the step told last: a short one ends before its progress was written down.

    Raises FenceLost where another has taken over, and Stopped where a cancellation came first.
    """
    row = await tx.fetchrow(
        _END + " AND NOT cancel_requested RETURNING state = 'QUEUED' AND run_at <= now() AS due",
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
    await _tell(tx, claimed, due=row["due"])


async def end(tx: Transaction, claimed: Claim, state: str, error: Text | None) -> bool:
    """Mark the attempt as FAILED or CANCELLED; False, and nothing happens, where it is no longer this attempt's."""
    row = await tx.fetchrow(
        _END + " RETURNING state = 'QUEUED' AND run_at <= now() AS due",
        *_key(claimed),
        claimed.seen,
        state,
        error_json(error) if error else None,
        0,
    )
    if row is not None:
        await _tell(tx, claimed, due=row["due"])
    return row is not None


def is_last(claimed: Claim) -> bool:
    """Whether a transient failure of this attempt ends the job. Lost workers are counted apart."""
    return claimed.attempts - claimed.crashes >= claimed.max_attempts


async def postpone(tx: Transaction, claimed: Claim, error: Text) -> bool:
    """Note a transient failure: again after a pause, or FAILED where it was the last attempt. As `end` answers."""
    if is_last(claimed):
        return await end(tx, claimed, "FAILED", error)
    return (
        await tx.execute(
            """
        UPDATE jobs SET state = CASE WHEN cancel_requested AND want_seq <= $6 THEN 'CANCELLED' ELSE 'QUEUED' END,
            run_at = now() + $4 * interval '1 second', last_error = $5::jsonb, lease_until = NULL,
            finished_at = CASE WHEN cancel_requested AND want_seq <= $6 THEN now() END, cancel_requested = false,
            change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING'
        """,
            *_key(claimed),
            pause_seconds(claimed.attempts - claimed.crashes),
            error_json(error),
            claimed.seen,
        )
        == 1
    )


async def give_back(tx: Transaction, claimed: Claim) -> bool:
    """Return a job that a worker gives up because it shuts down; the attempt does not count. As `end` answers."""
    given: UUID | None = await tx.fetchval(
        """
        UPDATE jobs SET state = 'QUEUED', run_at = now(), attempts = attempts - 1, lease_until = NULL,
            change_seq = change_seq + 1
        WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING' RETURNING id
        """,
        *_key(claimed),
    )
    if given is not None:
        tx.announce(Due(given))
    return given is not None


async def _tell(tx: Transaction, claimed: Claim, *, due: bool) -> None:
    """Tell that the attempt has ended; and where the job is `due` again, who waits for work."""
    if due:
        tx.announce(Due(claimed.job_id))
    about = {"subjectId": claimed.subject_id} if claimed.subject_id is not None else {}
    await outbox.write(tx, "jobEnded", subject=("Job", claimed.job_id), ids=about)


def _key(claimed: Claim) -> tuple[UUID, UUID, int]:
    return claimed.tenant_id, claimed.job_id, claimed.fence


def error_json(text: Text) -> str:
    """As it is kept in `last_error`."""
    return orjson.dumps({"zh": text.zh, "en": text.en}).decode()
