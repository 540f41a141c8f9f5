"""The audit (操作日志): every change appends its event in its own transaction, chained by hash per tenant.

It is told as well: each event is one of the outbox. The digest of an event is the SHA-256 of its canonical JSON, which
contains the digest of the event before. The row of `audit_heads` puts a tenant's changes in one order; the app's role
can neither change nor delete events.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
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
    """Append one event. `action` is the mutation's name or a job's step; `subject` a GraphQL type and its row.

    `facts` go into the digest and the stored summary only: for bulk changes, such as counts or a digest of the rows.
    The event stands in the outbox as well, under the same id; `ids` name there what else it touches, such as
    `cycleId`, and whoever watches one of those is told.
    """
    said = values(
        actor, action, tenant_id=tx.tenant_id, summary=summary, reason=reason, changes=changes, facts=facts, ids=ids
    )
    await append_values(tx, said, subject=subject)


async def append_values(tx: Transaction, said: Mapping[str, Any], *, subject: tuple[str, UUID] | None) -> None:
    """Append an event of which the `values` are made already."""
    subject_type, subject_id = subject or (None, None)
    rows = await tx.fetch(*bound(_APPEND, {**said, "subject_type": subject_type, "subject_id": subject_id}))
    assert rows[0]["sequence"] > 0, "every tenant has an audit head from its provisioning on"


def values(
    actor: Actor,
    action: str,
    *,
    tenant_id: UUID,
    summary: Text,
    reason: str | None = None,
    changes: Sequence[Change] = (),
    facts: Mapping[str, object] | None = None,
    ids: Mapping[str, UUID] | None = None,
) -> dict[str, Any]:
    """The parameters of STEPS, by name."""
    actor_id = None if actor.id == SYSTEM else actor.id
    said: dict[str, object] = {"zh": summary.zh, "en": summary.en, **({"facts": dict(facts)} if facts else {})}
    listed = [{"field": c.field, "before": c.before, "after": c.after} for c in changes]
    event = {
        "tenant": str(tenant_id),
        "sequence": _OPEN,
        "at": _OPEN,
        "actor": actor_id and str(actor_id),
        "action": action,
        "subject": _OPEN,
        "summary": said,
        "reason": reason,
        "changes": listed,
        "request": actor.request_id,
        "previous": _OPEN,
    }
    parts = _canonical(event).split(_canonical(_OPEN))
    assert len(parts) == 5, "texts have no control characters"
    return {
        "tenant": tenant_id,
        "event_id": uuid7(),
        "by": actor_id,
        "action": action,
        "summary": orjson.dumps(said).decode(),
        "reason": reason,
        "changes": orjson.dumps(listed).decode(),
        "request": actor.request_id,
        "parts": parts,
        "ids": outbox.spell(ids or {}),
    }


_OPEN = "\x00"
"""Stands for what only the database knows; in the order of keys: at, previous, sequence, subject."""

# The instant as Python writes it: without a fraction where there is none.
_AT = """to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
    || CASE WHEN date_trunc('second', now()) = now() THEN '' ELSE to_char(now() AT TIME ZONE 'UTC', '.US') END
    || '+00:00'"""

_SUBJECT = """(SELECT CASE WHEN type IS NULL THEN 'null' ELSE '["' || type || '","' || id || '"]' END FROM subject)"""

STEPS = f"""
chained AS (
    INSERT INTO audit_heads AS ah (tenant_id, sequence, digest, previous_digest)
    SELECT :tenant::uuid, 0, '', '' FROM subject
    ON CONFLICT (tenant_id) DO UPDATE SET sequence = ah.sequence + 1, previous_digest = ah.digest,
        digest = (SELECT encode(sha256(convert_to(
            pa[1] || '"' || {_AT} || '"' || pa[2] || '"' || ah.digest || '"' || pa[3] || ah.sequence + 1
            || pa[4] || {_SUBJECT} || pa[5], 'UTF8')), 'hex') FROM (SELECT :parts::text[] AS pa) given_parts)
    RETURNING sequence, digest, previous_digest
), event AS (
    INSERT INTO audit_events (tenant_id, id, sequence, at, actor_id, action, subject_type, subject_id, summary, reason,
                              changes, request_id, digest, previous_digest)
    SELECT :tenant, :event_id, sequence, now(), :by, :action, type, id, :summary::jsonb, :reason, :changes::jsonb,
           :request, digest, previous_digest FROM chained CROSS JOIN subject
), place AS ({outbox.place("FROM chained")}
), told AS (
    INSERT INTO outbox_events (tenant_id, id, sequence, at, kind, subject_type, subject_id, ids)
    SELECT :tenant, :event_id, sequence, now(), :action, coalesce(type, 'Tenant'), coalesce(id, :tenant), :ids::jsonb
    FROM place CROSS JOIN subject
)"""
"""Steps of a statement, of the form `name AS (…)`, that append one event for the row of the step `subject`.

That one gives a `type` (text) and an `id` (uuid), both NULL for what is about the tenant; no row, no event. The head is
locked from here to the commit, and every round trip less is one less for others to wait. So all is one statement, and
the digest is computed there, over the same canonical JSON as `event_digest` makes.
"""

_APPEND = f"WITH subject AS (SELECT :subject_type::text AS type, :subject_id::uuid AS id), {STEPS} TABLE chained"


def event_digest(event: Mapping[str, object]) -> str:
    """SHA-256, hex, of an event's canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(_canonical(event).encode()).hexdigest()


def _canonical(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
