"""The statement that saves values (保存填报值): all that a save does, sent at once.

Values are saved more often than anything else is changed, so a save is one statement: it claims the key and looks at
the actor again, locks the tasks that the actor may write, and writes entries and revisions. Nothing is written unless
all of it may be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import asyncpg

from service.access import SYSTEM, Actor, stands
from service.idempotency import Claim, claiming
from service.reports.rights import FILLING_STATES, TASK_LOCK, placed, spared
from service.reports.values import Value
from tenants.database import Transaction
from tenants.ids import uuid7s
from tenants.statements import bound


@dataclass(frozen=True, slots=True)
class Draft:
    """A value for a task; `version` is that of the entry which was read, None for the first value."""

    task_id: UUID
    version: int | None
    value: Value
    note: str | None
    reason: str | None


async def write_drafts(
    tx: Transaction, actor: Actor, drafts: Sequence[Draft], *, claim: Claim | None = None
) -> list[asyncpg.Record]:
    """Write drafts, all or none; the rows of their entries, in no order, each with its task's item and `checked`.

    With a `claim` nothing is written unless the key is free and the actor stands.

    No rows: something stands in the way. Some rows: another writer, who had to be waited for, changed the other
    entries; what was written in part must be rolled back.
    """
    ids = uuid7s(2 * len(drafts))
    values = {
        "tenant": tx.tenant_id,
        "actor": actor.id,
        "secret_hash": actor.secret_hash,
        "zone": actor.time_zone,
        **(claim.values if claim else {}),
        "by": None if actor.id == SYSTEM else actor.id,
        "task_ids": [draft.task_id for draft in drafts],
        "entry_ids": ids[: len(drafts)],
        "revision_ids": ids[len(drafts) :],
        "numbers": [draft.value.number for draft in drafts],
        "details": [draft.value.detail_json for draft in drafts],
        "notes": [draft.note for draft in drafts],
        "reasons": [draft.reason for draft in drafts],
        "versions": [draft.version for draft in drafts],
    }
    claimed = None if claim is None else stands(actor)
    first = any(draft.version is None for draft in drafts)
    sql = _statement(claimed=claimed, single=len(drafts) == 1, first=first, false=actor.lacking | {"over"})
    return await tx.fetch(*bound(sql, values))


_ITEM = """
    JOIN scheme_version_items sv ON sv.tenant_id = :tenant AND sv.scheme_version_id = ta.scheme_version_id
         AND sv.data_item_id = ta.data_item_id"""
"""What a task's value is judged by."""

_ITEM_COLUMNS = """ta.cycle_unit_id, ta.data_item_id, sv.scheme_version_id, sv.code, sv.name, sv.type,
    sv.unit_of_measure, sv.scale, sv.minimum, sv.maximum, sv.options, EXISTS (
        SELECT FROM indicator_items ci JOIN indicators cn ON cn.tenant_id = :tenant AND cn.id = ci.indicator_id
        WHERE ci.tenant_id = :tenant AND ci.data_item_id = ta.data_item_id
          AND cn.scheme_version_id = sv.scheme_version_id AND cn.checks <> '[]') AS checked"""

_TODAY = "(now() AT TIME ZONE :zone)::date"


@lru_cache
def _statement(*, claimed: str | None, single: bool, first: bool, false: frozenset[str]) -> str:
    """The statement for an actor of whom these names (see `rights.only`) are known to be false.

    `claimed` is SQL that tells whether the actor may act, where a key is claimed for it. There may be a `single` value,
    and a task's `first` one.
    """
    lock = placed(spared(TASK_LOCK, false), t="ta", tenant=":tenant", actor=":actor", today=_TODAY)
    ids = "to_jsonb(ARRAY(SELECT coalesce(known_id, entry_id) FROM given ORDER BY place))"
    claiming_step = f"""
), claimed AS ({claiming(f"jsonb_build_object('entries', {ids})", f"WHERE EXISTS ({claimed})")}"""
    every = "(SELECT count(*) FROM {}) = cardinality(:task_ids::uuid[])"
    all_taken = "true" if single else every.format("taken")
    all_kept = "EXISTS (SELECT FROM kept)" if single else every.format("kept")
    # Tasks are taken by id, and what is read beside a task may be older than the task where another writer had to be
    # waited for. So the version of the entry is compared again where that is written, and the state of the cycle is
    # asked of the locked row alone, which PostgreSQL looks at anew. Each step but the first reads tables by their
    # keys: joined with one another, steps of a thousand rows would take a million comparisons.
    return f"""
WITH given AS (
    SELECT gi.*, en.id AS known_id, en.version AS known_version, en.revision AS known_revision
    FROM unnest(:task_ids::uuid[], :entry_ids::uuid[], :revision_ids::uuid[], :numbers::numeric[], :details::jsonb[],
                :notes::text[], :reasons::text[], :versions::int[])
         WITH ORDINALITY
         AS gi (task_id, entry_id, revision_id, number, detail, note, reason, version, place)
    LEFT JOIN entries en ON en.tenant_id = :tenant AND en.task_id = gi.task_id{claiming_step if claimed else ""}
), taken AS (
    SELECT gi.*, ta.cycle_id, sv.source{f", {_ITEM_COLUMNS}" if single else ""}
    FROM given gi JOIN tasks ta ON ta.tenant_id = :tenant AND ta.id = gi.task_id {_ITEM}
    JOIN cycles cy ON cy.tenant_id = :tenant AND cy.id = ta.cycle_id
    WHERE {"EXISTS (SELECT FROM claimed) AND" if claimed else ""} gi.version IS NOT DISTINCT FROM gi.known_version
      AND cy.state IN {FILLING_STATES} AND ({lock}) IS NULL
    {"" if single else "ORDER BY ta.id"} FOR NO KEY UPDATE OF ta FOR SHARE OF cy
), kept AS (
    INSERT INTO entries AS en (tenant_id, id, task_id, cycle_id, state, revision, revision_id, number, detail, note,
                               source, by_id, at, days_late, version)
    SELECT :tenant, entry_id, task_id, cycle_id, 'DRAFT', coalesce(known_revision, 0) + 1, revision_id, number, detail,
           note, source, :by, now(), 0, coalesce(known_version, 0) + 1
    FROM taken WHERE {all_taken}
    ON CONFLICT (tenant_id, task_id) DO UPDATE
    SET state = 'DRAFT', revision = EXCLUDED.revision, revision_id = EXCLUDED.revision_id, number = EXCLUDED.number,
        detail = EXCLUDED.detail, note = EXCLUDED.note, by_id = EXCLUDED.by_id, at = EXCLUDED.at,
        version = EXCLUDED.version
    WHERE en.version = EXCLUDED.version - 1
    RETURNING en.*
), revised AS (
    INSERT INTO entry_revisions (tenant_id, id, entry_id, revision, number, detail, note, source, by_id, at, reason)
    SELECT :tenant, revision_id, coalesce(known_id, entry_id), coalesce(known_revision, 0) + 1, number, detail, note,
           source, :by, now(), reason
    FROM taken WHERE {all_kept}
    RETURNING id
){_DRAFTED if first else ""}
{_OF_ONE if single else _OF_MANY}"""


_DRAFTED = """, drafted AS (
    UPDATE tasks ta SET state = 'DRAFTED'
    FROM kept WHERE ta.tenant_id = :tenant AND ta.id = kept.task_id AND ta.state = 'OPEN'
    RETURNING ta.id
)"""

_OF_ONE = """SELECT ke.*, ta.cycle_unit_id, ta.data_item_id, ta.scheme_version_id, ta.code, ta.name, ta.type,
    ta.unit_of_measure, ta.scale, ta.minimum, ta.maximum, ta.options, ta.checked
FROM kept ke CROSS JOIN taken ta"""

_OF_MANY = f"""SELECT ke.*, {_ITEM_COLUMNS}
FROM kept ke JOIN tasks ta ON ta.tenant_id = :tenant AND ta.id = ke.task_id {_ITEM}"""
