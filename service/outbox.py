"""The outbox (发件箱): what is to be told of a change is a row of its own transaction, relayed after the commit.

Every audited change is an event of the outbox, under the same id: `service.audit` writes both in one statement. What is
not on record, such as the end of a job, is written with `write`. An event names its kind, its subject and the ids of
what else it touches, nothing more: whoever is told reads the rows as they are then.

Events of a tenant are numbered under the lock of its head, so they become visible in the order of their numbers: a
reader that has come to one has missed none before it. That is also what makes them come in order per subject. A reader
is a name with a position in `outbox_readers`; `relay` hands it the events after its position and moves that on in one
transaction, under the lock of the reader's row. So they are told at least once, and one relay at a time tells them; of
two, the other leaves. A crash in between tells the same events again, with the same ids. A reader that keeps what it
is told in this database (notifications, deliveries of webhooks) does so in that transaction, and so exactly once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.statements import bound

MOST_AT_ONCE: Final = 500
"""Events told in one transaction."""

KEPT: Final = timedelta(days=7)
"""How long events are kept, told or not: who was away for longer looks at the rows."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. `sequence` grows within a tenant, and so within each subject."""

    tenant_id: UUID
    id: UUID
    sequence: int
    at: datetime
    kind: str
    subject: tuple[str, UUID]
    ids: Mapping[str, UUID]


Deliver = Callable[[Transaction, Sequence[Event]], Awaitable[None]]
"""Tells a reader of events, in their order. It raises where that failed: the same events are told again later."""


PLACE: Final = """
    INSERT INTO outbox_heads AS oh (tenant_id, sequence) VALUES (:tenant, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET sequence = oh.sequence + 1 RETURNING sequence"""
"""SQL that gives the number of the next event; its lock is held until the commit, and taken with it, before others."""


def cycle_ids(keys: Iterable[UUID]) -> dict[str, UUID]:
    """Cycles that an event touches, by name."""
    return {f"cycleId{place or ''}": key for place, key in enumerate(dict.fromkeys(keys))}


def spell(ids: Mapping[str, UUID]) -> str:
    """Ids as they are kept."""
    return orjson.dumps({name: str(key) for name, key in ids.items()}).decode()


async def write(
    tx: Transaction, kind: str, *, subject: tuple[str, UUID], ids: Mapping[str, UUID] | None = None
) -> None:
    """Write an event that is not in the audit, with the commit."""
    await tx.at_commit(
        *bound(
            _WRITE,
            {
                "tenant": tx.tenant_id,
                "id": uuid7(),
                "kind": kind,
                "type": subject[0],
                "subject": subject[1],
                "ids": spell(ids or {}),
            },
        )
    )


_WRITE = f"""
WITH place AS ({PLACE})
INSERT INTO outbox_events (tenant_id, id, sequence, at, kind, subject_type, subject_id, ids)
SELECT :tenant, :id, sequence, now(), :kind, :type, :subject, :ids::jsonb FROM place"""


async def waiting(db: Database, reader: str) -> list[UUID]:
    """The tenants with events that the reader was not told yet."""
    async with db.dispatching() as connection:
        rows = await connection.fetch(
            """SELECT oh.tenant_id FROM outbox_heads oh
               LEFT JOIN outbox_readers rd ON rd.tenant_id = oh.tenant_id AND rd.reader = $1
               WHERE oh.sequence > coalesce(rd.position, 0)""",
            reader,
        )
    return [row["tenant_id"] for row in rows]


async def relay(db: Database, tenant_id: UUID, reader: str, deliver: Deliver, *, limit: int = MOST_AT_ONCE) -> int:
    """Tell a reader the next events of a tenant; how many. 0 where there are none, or another relay is at it."""
    async with db.transaction(tenant_id) as tx:
        # The head is seen before the events are: what commits in between is not passed over.
        found = await tx.fetchrow(
            """SELECT position, (SELECT sequence FROM outbox_heads WHERE tenant_id = $1) AS head FROM outbox_readers
               WHERE tenant_id = $1 AND reader = $2 FOR UPDATE SKIP LOCKED""",
            tenant_id,
            reader,
        )
        if found is None:
            # Where another is at it nothing happens; a new reader begins at the next look.
            known = "SELECT true FROM outbox_readers WHERE tenant_id = $1 AND reader = $2"
            if not await tx.fetchval(known, tenant_id, reader):
                await tx.execute(
                    """INSERT INTO outbox_readers (tenant_id, reader, position) VALUES ($1, $2, 0)
                       ON CONFLICT DO NOTHING""",
                    tenant_id,
                    reader,
                )
            return 0
        rows = await tx.fetch(
            """SELECT id, sequence, at, kind, subject_type, subject_id, ids FROM outbox_events
               WHERE tenant_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3""",
            tenant_id,
            found["position"],
            limit,
        )
        # What was removed unread is passed over. Another relay may have come further than the head seen here.
        reached = rows[-1]["sequence"] if rows else max(found["position"], found["head"])
        events = [
            Event(
                tenant_id,
                row["id"],
                row["sequence"],
                row["at"],
                row["kind"],
                (row["subject_type"], row["subject_id"]),
                {name: UUID(key) for name, key in orjson.loads(row["ids"]).items()},
            )
            for row in rows
        ]
        if events:
            await deliver(tx, events)
        await tx.execute(
            "UPDATE outbox_readers SET position = $3 WHERE tenant_id = $1 AND reader = $2", tenant_id, reader, reached
        )
    return len(events)


async def purge(tx: Transaction, *, older_than: timedelta = KEPT) -> int:
    """Remove a tenant's events that are older than this by the database's clock; how many."""
    return await tx.execute(
        "DELETE FROM outbox_events WHERE tenant_id = $1 AND at < now() - $2::interval", tx.tenant_id, older_than
    )
