"""The audit (操作日志): every change appends its event in its own transaction, chained by hash per tenant.

The digest of an event is the SHA-256 of its canonical JSON, which contains the digest of the event before. The row of
`audit_heads` puts a tenant's changes in one order; the app's role can neither change nor delete events.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from service.access import SYSTEM, Actor
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7


@dataclass(frozen=True)
class Change:
    """One changed field: its GraphQL name, and its value before and after as people read it."""

    field: str
    before: str | None
    after: str | None


async def append(
    tx: Transaction,
    actor: Actor,
    action: str,
    *,
    subject: tuple[str, UUID] | None,
    summary: Text,
    reason: str | None = None,
    changes: Sequence[Change] = (),
    facts: Mapping[str, object] | None = None,
) -> None:
    """Append one event. `action` is the mutation's name or a job's step; `subject` a GraphQL type and its row.

    `facts` go into the digest and the stored summary only: for bulk changes, such as counts or a digest of the rows.
    """
    head = await tx.fetchrow(
        "UPDATE audit_heads SET sequence = sequence + 1 WHERE tenant_id = $1 RETURNING sequence, digest, now() AS at",
        tx.tenant_id,
    )
    assert head is not None, "every tenant has an audit head from its provisioning on"
    actor_id = None if actor.id == SYSTEM else actor.id
    said: dict[str, object] = {"zh": summary.zh, "en": summary.en, **({"facts": dict(facts)} if facts else {})}
    listed = [{"field": c.field, "before": c.before, "after": c.after} for c in changes]
    event = {
        "tenant": str(tx.tenant_id),
        "sequence": head["sequence"],
        "at": head["at"].isoformat(),
        "actor": actor_id and str(actor_id),
        "action": action,
        "subject": subject and [subject[0], str(subject[1])],
        "summary": said,
        "reason": reason,
        "changes": listed,
        "request": actor.request_id,
        "previous": head["digest"],
    }
    digest = event_digest(event)
    await tx.execute(
        """
        WITH event AS (
            INSERT INTO audit_events (tenant_id, id, sequence, at, actor_id, action, subject_type, subject_id, summary,
                                      reason, changes, request_id, digest, previous_digest)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11::jsonb, $12, $13, $14)
        )
        UPDATE audit_heads SET digest = $13 WHERE tenant_id = $1
        """,
        tx.tenant_id,
        uuid7(),
        head["sequence"],
        head["at"],
        actor_id,
        action,
        subject and subject[0],
        subject and subject[1],
        orjson.dumps(said).decode(),
        reason,
        orjson.dumps(listed).decode(),
        actor.request_id,
        digest,
        head["digest"],
    )


def event_digest(event: Mapping[str, object]) -> str:
    """SHA-256, hex, of an event's canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(orjson.dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()
