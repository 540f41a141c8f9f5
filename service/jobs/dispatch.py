"""What dispatchers do (调度): give lost jobs back, and say in fair turns what could start."""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service import metrics
from service.access import system_actor
from service.jobs.attempts import error_json
from service.jobs.failures import CRASHED, pause_seconds
from service.jobs.kinds import KINDS, Kind
from service.jobs.requests import request
from tenants.database import Database

MAX_CRASHES = 3
"""After so many lost workers a job is given up: it may be what kills them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """Jobs of one kind in one district that could start now. `waited` is since when the oldest could, in seconds."""

    tenant_id: UUID
    kind: str
    count: int
    waited: float


async def reap(db: Database) -> int:
    """Give jobs back whose lease ran out, or give them up after the third time; how many there were.

    They come back after pauses of their own: the one that is the death of workers is soon alone with its fate. A round
    that was asked for while it ran outlives its cancellation.
    """
    reaped = 0
    async with db.dispatching() as connection:
        rows = await connection.fetch(
            """SELECT tenant_id, id, kind, fence, crashes FROM jobs
               WHERE state = 'RUNNING' AND lease_until < now() LIMIT 100"""
        )
    for row in rows:
        async with db.transaction(row["tenant_id"]) as tx:
            state = await tx.fetchval(
                f"""
                UPDATE jobs SET crashes = crashes + 1, fence = fence + 1, lease_until = NULL,
                    run_at = now() + $5 * interval '1 second',
                    state = CASE WHEN cancel_requested AND next_run_at IS NULL THEN 'CANCELLED'
                                 WHEN crashes + 1 >= {MAX_CRASHES} THEN 'FAILED' ELSE 'QUEUED' END,
                    finished_at = CASE WHEN cancel_requested AND next_run_at IS NULL OR crashes + 1 >= {MAX_CRASHES}
                                       THEN now() END,
                    last_error = $4::jsonb, cancel_requested = false, change_seq = change_seq + 1
                WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'RUNNING' AND lease_until < now()
                RETURNING state
                """,
                row["tenant_id"],
                row["id"],
                row["fence"],
                error_json(CRASHED),
                pause_seconds(row["crashes"] + 1),
            )
        if state is not None:
            reaped += 1
            metrics.JOBS_LOST.labels(row["kind"]).inc()
            if state == "FAILED":
                metrics.JOBS_DEAD.labels(row["kind"]).inc()
            log.warning(
                "The worker of a job went away: %s.",
                state,
                extra={"job": row["id"], "kind": row["kind"], "tenant": row["tenant_id"]},
            )
    return reaped


async def waiting(db: Database, *, kinds: Iterable[str] | None = None) -> list[Waiting]:
    """What could start now, by district and kind, the longest waiting first. Only of these kinds; None: our own.

    Districts and not jobs: however many one has waiting, it is one line among those of the others.
    """
    async with db.dispatching() as connection:
        rows = await connection.fetch(
            """SELECT tenant_id, kind, count(*) AS count, extract(epoch FROM now() - min(run_at))::float8 AS waited
               FROM jobs WHERE state = 'QUEUED' AND run_at <= now() AND kind = ANY ($1::text[])
               GROUP BY tenant_id, kind ORDER BY waited DESC""",
            list(KINDS if kinds is None else kinds),
        )
    return [Waiting(row["tenant_id"], row["kind"], row["count"], row["waited"]) for row in rows]


async def renew(db: Database, kinds: Iterable[Kind[Any]]) -> int:
    """Make the rows of recurring kinds that districts lack: new districts, and those where a round has given up.

    How many were made. They begin spread over the time of one round, so that districts do not all come at once.
    """
    made = 0
    for kind in kinds:
        if kind.every is None:
            continue
        async with db.dispatching() as connection:
            # A row that gave up is left to be seen for the time of one round.
            lacking = await connection.fetch(
                """SELECT d.id FROM directory d WHERE d.status = 'ACTIVE' AND NOT EXISTS (
                       SELECT FROM jobs j WHERE j.tenant_id = d.id AND j.dedupe_key = $1
                         AND (j.state IN ('QUEUED', 'RUNNING') OR j.run_at > now() - $2::interval)) LIMIT 500""",
                kind.name,
                kind.every,
            )
        for row in lacking:
            async with db.transaction(row["id"]) as tx:
                await request(
                    tx,
                    system_actor(tx.tenant_id),
                    kind,
                    subject=("Tenant", tx.tenant_id),
                    dedupe_key=kind.name,
                    arguments=kind.arguments(),
                    at=kind.every * random.random(),  # noqa: S311  # spreads load
                )
            made += 1
    return made
