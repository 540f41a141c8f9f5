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
from tenants.statements import bound


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
    """Append one event, with the commit. `action` is the mutation's name or a job's step; `subject` a type and its row.

    `facts` go into the digest and the stored summary only: for bulk changes, such as counts or a digest of the rows.
    The event stands in the outbox as well, under the same id; `ids` name there what else it touches, such as
    `cycleId`, and whoever watches one of those is told.
    """
    actor_id = None if actor.id == SYSTEM else actor.id
    said: dict[str, object] = {"zh": summary.zh, "en": summary.en, **({"facts": dict(facts)} if facts else {})}
    listed = [{"field": c.field, "before": c.before, "after": c.after} for c in changes]
    subject_type, subject_id = subject or (None, None)
    event = {
        "tenant": str(tx.tenant_id),
        "sequence": _OPEN,
        "at": _OPEN,
        "actor": actor_id and str(actor_id),
        "action": action,
        "subject": subject and [subject_type, str(subject_id)],
        "summary": said,
        "reason": reason,
        "changes": listed,
        "request": actor.request_id,
        "previous": _OPEN,
    }
    before_at, before_previous, before_sequence, rest = _canonical(event).split(_canonical(_OPEN))
    values = {
        "tenant": tx.tenant_id,
        "event_id": uuid7(),
        "by": actor_id,
        "action": action,
        "subject_type": subject_type,
        "subject_id": subject_id,
        "summary": orjson.dumps(said).decode(),
        "reason": reason,
        "changes": orjson.dumps(listed).decode(),
        "request": actor.request_id,
        "before_at": before_at,
        "before_previous": before_previous,
        "before_sequence": before_sequence,
        "rest": rest,
        "ids": outbox.spell(ids or {}),
    }
    await tx.at_commit(*bound(_APPEND, values))


_OPEN = "\x00"
"""Stands for what only the database knows, in the order of keys: at, previous, sequence. Texts have no such thing."""

# The instant as Python writes it: without a fraction where there is none.
_AT = """to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
    || CASE WHEN date_trunc('second', now()) = now() THEN '' ELSE to_char(now() AT TIME ZONE 'UTC', '.US') END
    || '+00:00'"""

# The heads are locked from here to the end of the commit, and all else of the tenant waits. So all is one statement,
# and the digest is computed in it, over the same canonical JSON as `event_digest` makes. Every tenant has a head of the
# audit from its provisioning on; an event without one would have no number.
_APPEND = f"""
WITH place AS ({outbox.PLACE}
), chained AS (
    INSERT INTO audit_heads AS ah (tenant_id, sequence, digest, previous_digest)
    SELECT :tenant::uuid, 0, '', '' FROM place
    ON CONFLICT (tenant_id) DO UPDATE SET sequence = ah.sequence + 1, previous_digest = ah.digest,
        digest = encode(sha256(convert_to(:before_at || '"' || {_AT} || '"' || :before_previous || '"' || ah.digest
            || '"' || :before_sequence || ah.sequence + 1 || :rest, 'UTF8')), 'hex')
    RETURNING sequence, digest, previous_digest
), event AS (
    INSERT INTO audit_events (tenant_id, id, sequence, at, actor_id, action, subject_type, subject_id, summary, reason,
                              changes, request_id, digest, previous_digest)
    SELECT :tenant, :event_id, nullif(sequence, 0), now(), :by, :action, :subject_type, :subject_id, :summary::jsonb,
           :reason, :changes::jsonb, :request, digest, previous_digest FROM chained
)
INSERT INTO outbox_events (tenant_id, id, sequence, at, kind, subject_type, subject_id, ids)
SELECT :tenant, :event_id, sequence, now(), :action, coalesce(:subject_type, 'Tenant'), coalesce(:subject_id, :tenant),
       :ids::jsonb
FROM place"""


def event_digest(event: Mapping[str, object]) -> str:
    """SHA-256, hex, of an event's canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(_canonical(event).encode()).hexdigest()


def _canonical(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
