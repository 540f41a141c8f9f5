"""The audit (操作日志): every change appends its event in its own transaction, chained by hash per tenant.

It is told as well: each event is one of the outbox. The digest of an event is the SHA-256 of its canonical JSON, which
contains the digest of the event before. The row of `audit_heads` puts a tenant's changes in one order; the app's role
can neither change nor delete events.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from service import outbox
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
    ids: Mapping[str, UUID] | None = None,
) -> None:
    """Append one event. `action` is the mutation's name or a job's step; `subject` a GraphQL type and its row.

    `facts` go into the digest and the stored summary only: for bulk changes, such as counts or a digest of the rows.
    The event stands in the outbox as well, under the same id; `ids` name there what else it touches, such as
    `cycleId`, and whoever watches one of those is told.

    One statement: the head is locked from here to the commit, and every round trip less is one less for others to wait.
    So the digest is computed there, over the same canonical JSON as `event_digest` makes.
    """
    actor_id = None if actor.id == SYSTEM else actor.id
    said: dict[str, object] = {"zh": summary.zh, "en": summary.en, **({"facts": dict(facts)} if facts else {})}
    listed = [{"field": c.field, "before": c.before, "after": c.after} for c in changes]
    event = {
        "tenant": str(tx.tenant_id),
        "sequence": _OPEN,
        "at": _OPEN,
        "actor": actor_id and str(actor_id),
        "action": action,
        "subject": subject and [subject[0], str(subject[1])],
        "summary": said,
        "reason": reason,
        "changes": listed,
        "request": actor.request_id,
        "previous": _OPEN,
    }
    parts = _canonical(event).split(_canonical(_OPEN))
    assert len(parts) == 4, "texts have no control characters"
    count = await tx.execute(
        _APPEND,
        tx.tenant_id,
        uuid7(),
        actor_id,
        action,
        subject and subject[0],
        subject and subject[1],
        orjson.dumps(said).decode(),
        reason,
        orjson.dumps(listed).decode(),
        actor.request_id,
        *parts,
        subject[0] if subject else "Tenant",
        subject[1] if subject else tx.tenant_id,
        outbox.spell(ids or {}),
    )
    assert count == 1, "every tenant has an audit head from its provisioning on"


_OPEN = "\x00"
"""Stands for what only the database knows; in the order of keys: at, previous, sequence."""

# The instant as Python writes it: without a fraction where there is none.
_AT = """to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
    || CASE WHEN date_trunc('second', now()) = now() THEN '' ELSE to_char(now() AT TIME ZONE 'UTC', '.US') END
    || '+00:00'"""

_APPEND = f"""
WITH head AS (
    SELECT sequence + 1 AS sequence, digest AS previous FROM audit_heads WHERE tenant_id = $1 FOR NO KEY UPDATE
), chained AS (
    SELECT sequence, previous,
           encode(sha256(convert_to(
               $11 || '"' || {_AT} || '"' || $12 || '"' || previous || '"' || $13 || sequence || $14, 'UTF8'
           )), 'hex') AS digest
    FROM head
), event AS (
    INSERT INTO audit_events (tenant_id, id, sequence, at, actor_id, action, subject_type, subject_id, summary, reason,
                              changes, request_id, digest, previous_digest)
    SELECT $1, $2, sequence, now(), $3, $4, $5, $6, $7::jsonb, $8, $9::jsonb, $10, digest, previous FROM chained
), place AS ({outbox.PLACE}
), told AS (
    INSERT INTO outbox_events (tenant_id, id, sequence, at, kind, subject_type, subject_id, ids)
    SELECT $1, $2, sequence, now(), $4, $15, $16, $17::jsonb FROM place
)
UPDATE audit_heads ah SET sequence = ch.sequence, digest = ch.digest FROM chained ch WHERE ah.tenant_id = $1
"""


def event_digest(event: Mapping[str, object]) -> str:
    """SHA-256, hex, of an event's canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(_canonical(event).encode()).hexdigest()


def _canonical(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
