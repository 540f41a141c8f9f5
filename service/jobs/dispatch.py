"""What dispatchers do (调度): give lost jobs back, and say in fair turns what could start."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from service.jobs.attempts import MAX_RUNNING_PER_TENANT, error_json
from service.jobs.failures import CRASHED
from service.jobs.kinds import KINDS
from tenants.database import Database

MAX_CRASHES = 3
"""After so many lost workers a job is given up: it may be what kills them."""


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
                error_json(CRASHED),
            )
    return len(rows)


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
