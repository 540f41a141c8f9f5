"""Asking for work (申请后台任务), in the transaction of the change that causes it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import orjson

from service import metrics, telemetry
from service.access import SYSTEM, Actor
from service.jobs.kinds import Kind
from tenants.database import Transaction
from tenants.ids import uuid7

A = TypeVar("A")


@dataclass(frozen=True)
class Due:
    """Announced after the commit of a request: a job that could start now."""

    job_id: UUID


NOW = timedelta(0)


async def request(
    tx: Transaction,
    actor: Actor,
    kind: Kind[A],
    *,
    subject: tuple[str, UUID],
    dedupe_key: str,
    arguments: A,
    at: datetime | timedelta = NOW,
) -> UUID:
    """Ask for a job in the transaction of the change that causes it; the job's id.

    A request whose key has a job that waits is joined into it; where it runs, it runs once more afterwards with the
    newest arguments. A finished job of a repeatable kind starts anew. `at` is an instant, such as a deadline, or how
    long from now, by the database's clock; a request moves a job that waits to its own time, and the round after the
    running one begins at the earliest time that was asked for. Raises RuntimeError for a finished job of a kind that is
    not repeatable: such keys name one piece of work for ever.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO jobs AS j (tenant_id, id, kind, subject_type, subject_id, arguments, dedupe_key, max_attempts,
                               requested_by_id, request_id, traceparent, run_at)
        VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $13, $14, coalesce($11::timestamptz, now() + $12::interval))
        ON CONFLICT (tenant_id, dedupe_key) DO UPDATE SET
            want_seq = j.want_seq + 1, arguments = EXCLUDED.arguments, change_seq = j.change_seq + 1,
            request_id = EXCLUDED.request_id, traceparent = EXCLUDED.traceparent,
            state = CASE WHEN j.state = 'RUNNING' THEN j.state ELSE 'QUEUED' END,
            run_at = CASE WHEN j.state = 'RUNNING' THEN j.run_at ELSE EXCLUDED.run_at END,
            next_run_at = CASE WHEN j.state = 'RUNNING' THEN least(j.next_run_at, EXCLUDED.run_at) END,
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
        RETURNING id, state = 'QUEUED' AND run_at <= now() AS due
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
        at if isinstance(at, datetime) else None,
        at if isinstance(at, timedelta) else NOW,
        actor.request_id,
        telemetry.traceparent(),
    )
    if row is None:
        raise RuntimeError(f"The job {dedupe_key} is finished, and its kind is not to be done again.")
    job_id: UUID = row["id"]
    metrics.JOBS_REQUESTED.labels(kind.name).inc()
    if row["due"]:
        tx.announce(Due(job_id))
    return job_id


async def withdraw(tx: Transaction, kind: Kind[Any], *, dedupe_key: str) -> bool:
    """Take a request back, such as a deadline that is no longer one; False where no job waits under its key.

    One that runs goes on: what it does is judged by its own step, from the state that the change leaves.
    """
    return (
        await tx.execute(
            """UPDATE jobs SET state = 'CANCELLED', finished_at = now(), change_seq = change_seq + 1
           WHERE tenant_id = $1 AND dedupe_key = $2 AND kind = $3 AND state = 'QUEUED'""",
            tx.tenant_id,
            dedupe_key,
            kind.name,
        )
        == 1
    )
