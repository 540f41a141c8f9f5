"""Saving values (保存填报值): one or thousands in a call, all or none, by the side that fills the task."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import SYSTEM, Actor
from service.checks import Check
from service.errors import Conflict, NotFound, Path, Unavailable, VersionConflict
from service.reports import findings
from service.reports.tasks import read_tasks, refuse_locked, take_tasks
from service.reports.values import Content, PinnedItem, Value, check_content, read_value
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s

MOST_ENTRIES = 5_000
"""Values saved in one call."""


@dataclass(frozen=True)
class EntrySpec:
    """A value for a task as it is asked for; `version` is that of the entry that was read, None for the first value."""

    task_id: str
    content: Content
    version: int | None = None
    note: str | None = None
    reason: str | None = None


async def save_entries(tx: Transaction, actor: Actor, *, entries: Sequence[EntrySpec]) -> list[UUID]:
    """Keep values as drafts; the entries' ids, in order.

    A task that came back stays RETURNED until it is submitted again. Raises Invalid, NotFound, AccessDenied,
    IllegalState (with the reason that LOCKS names) or VersionConflict; then nothing was written.
    """
    check = Check()
    path: Path = ("input", "entries")
    if not entries:
        check.invalid(path, "至少填一个值。", "Give at least one value.")
    check.at_most(path, entries, MOST_ENTRIES)
    check.done()
    paths = [(*path, str(place)) for place in range(len(entries))]
    task_ids = distinct_ids(check, [(*at, "taskId") for at in paths], [entry.task_id for entry in entries], "Task")
    notes = [check.prose((*at, "note"), entry.note) for at, entry in zip(paths, entries, strict=True)]
    reasons = [check.prose((*at, "reason"), entry.reason) for at, entry in zip(paths, entries, strict=True)]
    if check.found:
        for at, entry in zip(paths, entries, strict=True):
            check_content(check, (*at, "content"), entry.content)
    check.done()

    rows = await take_tasks(tx, actor, task_ids)
    if len(rows) < len(task_ids):
        await _refuse(tx, actor, task_ids, entries, paths)
    tasks = [rows[task_id] for task_id in task_ids]
    for task, entry, at in zip(tasks, entries, paths, strict=True):
        if task["entry_id"] is None and entry.version is not None:
            check.invalid((*at, "version"), _NO_VERSION.zh, _NO_VERSION.en)
        elif entry.version != task["entry_version"]:
            await _refuse(tx, actor, task_ids, entries, paths)
    items = {(task["scheme_version_id"], task["data_item_id"]): task for task in tasks}
    pinned = {key: PinnedItem.of(task) for key, task in items.items()}
    values = [
        read_value(check, (*at, "content"), entry.content, pinned[task["scheme_version_id"], task["data_item_id"]])
        for task, entry, at in zip(tasks, entries, paths, strict=True)
    ]
    check.done()

    saved = await _write(tx, actor, tasks, [value for value in values if value is not None], notes, reasons)
    if len(saved) < len(tasks):
        await _refuse(tx, actor, task_ids, entries, paths)
    if any(task["checked"] for task in tasks):
        await findings.refresh(tx, tasks)
    await _record(tx, actor, tasks, saved)
    return [row["id"] for row in saved]


_NO_VERSION = Text(zh="该任务还没有填报值，请不要填写版本号。", en="The task has no value yet; leave the version out.")


async def _refuse(
    tx: Transaction, actor: Actor, task_ids: Sequence[UUID], entries: Sequence[EntrySpec], paths: Sequence[Path]
) -> NoReturn:
    """Raise what stands in the way of saving: first a task that is hidden, then a closed one, then stale versions."""
    rows = await read_tasks(tx, actor, task_ids)
    tasks = [_found(rows, task_id, (*at, "taskId")) for task_id, at in zip(task_ids, paths, strict=True)]
    for task, at in zip(tasks, paths, strict=True):
        refuse_locked(task, (*at, "taskId"))
    conflicts = [
        Conflict((*at, "version"), task["entry_version"], "Entry", task["entry_id"])
        for task, entry, at in zip(tasks, entries, paths, strict=True)
        if task["entry_id"] is not None and entry.version != task["entry_version"]
    ]
    if conflicts:
        raise VersionConflict(conflicts)
    # It was in the way a moment ago.
    raise Unavailable


async def pinned_items(tx: Transaction, version_ids: set[UUID]) -> dict[tuple[UUID, UUID], PinnedItem]:
    """All data items of scheme versions as these pinned them, by (version, item)."""
    rows = await tx.fetch(
        """SELECT scheme_version_id, data_item_id, code, name, type, unit_of_measure, scale, minimum, maximum, options
           FROM scheme_version_items WHERE tenant_id = $1 AND scheme_version_id = ANY ($2::uuid[])""",
        tx.tenant_id,
        list(version_ids),
    )
    return {(row["scheme_version_id"], row["data_item_id"]): PinnedItem.of(row) for row in rows}


async def _write(
    tx: Transaction,
    actor: Actor,
    tasks: Sequence[asyncpg.Record],
    values: Sequence[Value],
    notes: Sequence[str | None],
    reasons: Sequence[str | None],
) -> list[asyncpg.Record]:
    """Write entries and revisions; the entries' rows in order, without those that changed since they were read."""
    count = len(tasks)
    new_entries, new_revisions = uuid7s(count), uuid7s(count)
    return await tx.fetch(
        """
        WITH given AS (
            SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::numeric[], $7::jsonb[], $8::text[],
                                 $9::text[], $10::text[], $11::int[], $12::int[])
                     WITH ORDINALITY
                     AS g (task_id, cycle_id, entry_id, revision_id, number, detail, note, reason, source, revision,
                           version, place)
        ), kept AS (
            INSERT INTO entries AS en (tenant_id, id, task_id, cycle_id, state, revision, revision_id, number, detail,
                                       note, source, by_id, at, days_late, version)
            SELECT $1, entry_id, task_id, cycle_id, 'DRAFT', revision, revision_id, number, detail, note, source, $13,
                   now(), 0, version
            FROM given g
            ON CONFLICT (tenant_id, task_id) DO UPDATE
            SET state = 'DRAFT', revision = EXCLUDED.revision, revision_id = EXCLUDED.revision_id,
                number = EXCLUDED.number, detail = EXCLUDED.detail, note = EXCLUDED.note, by_id = EXCLUDED.by_id,
                at = EXCLUDED.at, version = EXCLUDED.version
            WHERE en.version = EXCLUDED.version - 1
            RETURNING en.id, en.task_id, en.revision, en.revision_id, en.number, en.detail, en.note, en.source, en.at,
                      en.version
        ), written AS (
            INSERT INTO entry_revisions (tenant_id, id, entry_id, revision, number, detail, note, source, by_id, at,
                                         reason)
            SELECT $1, ke.revision_id, ke.id, ke.revision, ke.number, ke.detail, ke.note, ke.source, $13, ke.at,
                   g.reason
            FROM kept ke JOIN given g ON g.task_id = ke.task_id
        ), drafted AS (
            UPDATE tasks SET state = 'DRAFTED'
            WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) AND state = 'OPEN'
        )
        SELECT ke.* FROM kept ke JOIN given g ON g.task_id = ke.task_id ORDER BY g.place
        """,
        tx.tenant_id,
        [task["id"] for task in tasks],
        [task["cycle_id"] for task in tasks],
        new_entries,
        new_revisions,
        [value.number for value in values],
        [value.detail_json for value in values],
        list(notes),
        list(reasons),
        [task["source"] for task in tasks],
        [(task["revision"] or 0) + 1 for task in tasks],
        [(task["entry_version"] or 0) + 1 for task in tasks],
        None if actor.id == SYSTEM else actor.id,
    )


async def _record(
    tx: Transaction, actor: Actor, tasks: Sequence[asyncpg.Record], saved: Sequence[asyncpg.Record]
) -> None:
    # Values stay out of the audit: drafts are for the side that fills them. The digest proves which ones were meant.
    rows = [
        [str(row["task_id"]), row["revision"], None if row["number"] is None else f"{row['number']:f}", row["detail"]]
        for row in saved
    ]
    single = len(saved) == 1
    cycles = {task["cycle_id"] for task in tasks}
    subject = ("Entry", saved[0]["id"]) if single else ("Cycle", cycles.pop()) if len(cycles) == 1 else None
    await audit.append(
        tx,
        actor,
        "saveEntries",
        subject=subject,
        summary=Text(zh=f"保存填报值{len(saved)}项", en=f"Saved {len(saved)} value(s)"),
        facts={"count": len(saved), "digest": digest_of(rows)},
    )


def digest_of(rows: object) -> str:
    """SHA-256, hex, of rows as canonical JSON: proves later what a bulk change was made of."""
    return hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest()


def distinct_ids(check: Check, paths: Sequence[Path], raw: Sequence[str], type_name: str) -> list[UUID]:
    """The ids in order; what is no id of the type, or occurs twice, is noted."""
    seen: dict[UUID, None] = {}
    for path, text in zip(paths, raw, strict=True):
        key = check.id(path, text, type_name)
        if key in seen:
            check.duplicate(path, "同一对象出现了两次。", "The id occurs twice.")
        elif key is not None:
            seen[key] = None
    return list(seen)


def _found(rows: dict[UUID, asyncpg.Record], task_id: UUID, path: Path) -> asyncpg.Record:
    if task_id not in rows:
        raise NotFound(path)
    return rows[task_id]
