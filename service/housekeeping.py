"""Housekeeping (定期清理): what has had its time is removed, district by district, in a recurring job.

Each duty is a function of its own in `DUTIES`; it removes at most `BATCH` rows in a round, and the round is repeated
while there are more. All times are the database's clock.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from service import idempotency, outbox, what_ifs
from service.jobs import KINDS, JobRun
from service.settings import Settings
from tenants.database import Transaction

BATCH: Final = 5_000
"""Rows removed in one transaction, so that none of them is long."""

MOST_BATCHES: Final = 200
"""Batches of one duty in one round; the next round goes on."""

log = logging.getLogger(__name__)

Duty = Callable[[Transaction, Settings], Awaitable[int]]
"""Removes a batch of what has had its time; how many rows."""


async def idempotency_keys(tx: Transaction, _settings: Settings) -> int:
    """Keys after their 24 hours (幂等键)."""
    return await idempotency.forget(tx, limit=BATCH)


async def finished_jobs(tx: Transaction, settings: Settings) -> int:
    """Jobs that are done or cancelled and that no other row refers to. What gave up stays until somebody retries it."""
    return await tx.execute(
        """DELETE FROM jobs WHERE tenant_id = $1 AND id IN (
               SELECT id FROM jobs old WHERE old.tenant_id = $1 AND old.state IN ('SUCCEEDED', 'CANCELLED')
                 AND old.requested_at < now() - $2 * interval '1 day'
                 AND old.finished_at < now() - $2 * interval '1 day'
                 AND old.kind = ANY ($3::text[]) LIMIT $4)""",
        tx.tenant_id,
        settings.job_days,
        [kind.name for kind in KINDS.values() if not kind.kept],
        BATCH,
    )


async def outbox_events(tx: Transaction, _settings: Settings) -> int:
    """Events of the outbox after their week (发件箱)."""
    return await outbox.purge(tx)


async def trials(tx: Transaction, _settings: Settings) -> int:
    """What-ifs after their week (试算)."""
    return await what_ifs.forget(tx)


DUTIES: Final[dict[str, Duty]] = {
    "idempotency_keys": idempotency_keys,
    "finished_jobs": finished_jobs,
    "outbox_events": outbox_events,
    "what_ifs": trials,
}
"""What is done in each round, by name."""


async def clean(run: JobRun) -> None:
    """The step of HOUSEKEEPING: every duty, in short transactions. Doing it twice removes nothing twice."""
    removed = {}
    for name, duty in DUTIES.items():
        removed[name] = 0
        for _ in range(MOST_BATCHES):
            run.check()
            async with run.db.transaction(run.tenant_id) as tx:
                batch = await duty(tx, run.settings)
            removed[name] += batch
            if batch < BATCH:
                break
    log.info("Removed what had had its time.", extra={**run.names, **removed})
    async with run.committing():
        pass
