"""Saving values (保存填报值): one or thousands in a call, all or none, by the side that fills the task."""

import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson

from service import audit, idempotency
from service.access import Actor, reread
from service.checks import Check
from service.errors import Conflict, NotFound, Path, Unavailable, VersionConflict
from service.idempotency import Claim
from service.reports import findings
from service.reports.tasks import read_tasks, refuse_locked
from service.reports.values import Content, PinnedItem, check_content, read_value, value_of
from service.reports.writing import Draft, write_drafts
from service.scoring.text import Text
from tenants.database import Transaction

MOST_ENTRIES = 5_000
"""Values saved in one call."""

LONG_SECONDS = 0.5
"""After a save that took longer, as it waited for another writer, rights are judged anew: they may have ended."""


@dataclass(frozen=True)
class EntrySpec:
    """A value for a task as it is asked for; `version` is that of the entry that was read, None for the first value."""

    task_id: str
    content: Content
    version: int | None = None
    note: str | None = None
    reason: str | None = None


async def save_entries(
    tx: Transaction, actor: Actor, *, entries: Sequence[EntrySpec], claim: Claim | None = None
) -> list[asyncpg.Record]:
    """Keep values as drafts; the rows of the entries, in order.

    A task that came back stays RETURNED until it is submitted again. Raises Invalid, NotFound, AccessDenied,
    IllegalState (with the reason that LOCKS names) or VersionConflict. Whoever calls lets that end the transaction:
    values are judged once they are written.

    With a `claim` the actor may be one that was known a moment ago: the statement that writes looks at it again, and
    claims the key. Then AlreadyDone and IdempotencyRefused may be raised as well.
    """
    check = Check()
    path: Path = ("input", "entries")
    if not entries:
        check.invalid(path, "至少填一个值。", "Give at least one value.")
    check.at_most(path, entries, MOST_ENTRIES)
    await _refuse_unsound(tx, actor, claim, check)
    paths = [(*path, str(place)) for place in range(len(entries))]
    task_ids = distinct_ids(check, [(*at, "taskId") for at in paths], [entry.task_id for entry in entries], "Task")
    notes = [check.prose((*at, "note"), entry.note) for at, entry in zip(paths, entries, strict=True)]
    reasons = [check.prose((*at, "reason"), entry.reason) for at, entry in zip(paths, entries, strict=True)]
    if check.found:
        for at, entry in zip(paths, entries, strict=True):
            check_content(check, (*at, "content"), entry.content)
    await _refuse_unsound(tx, actor, claim, check)

    drafts = [
        Draft(task_id, entry.version, value, note, reason)
        for task_id, entry, note, reason in zip(task_ids, entries, notes, reasons, strict=True)
        if (value := value_of(entry.content)) is not None
    ]
    rows: dict[UUID, asyncpg.Record] = {}
    began = time.monotonic()
    for _ in range(2):
        if len(drafts) == len(entries):
            written = await write_drafts(tx, actor, drafts, claim=claim)
            rows = {row["task_id"]: row for row in written}
        if len(rows) == len(entries):
            break
        # Nothing is in the way by now: what was known of the actor was too old. It is tried once more.
        actor = await _refuse(tx, actor, task_ids, entries, paths, claim, written=rows)
    else:
        raise Unavailable
    if time.monotonic() - began > LONG_SECONDS:
        await _read_again(tx, actor, task_ids, paths, claim)
    saved = [rows[task_id] for task_id in task_ids]
    for row, entry, at in zip(saved, entries, paths, strict=True):
        read_value(check, (*at, "content"), entry.content, PinnedItem.of(row))
    check.done()

    if any(row["checked"] for row in saved):
        await findings.refresh(tx, saved)
    await _record(tx, actor, drafts, saved)
    return saved


async def _record(tx: Transaction, actor: Actor, drafts: Sequence[Draft], saved: Sequence[asyncpg.Record]) -> None:
    # Values stay out of the audit: drafts are for the side that fills them. The digest proves which ones were meant.
    rows = [
        [
            str(draft.task_id),
            (draft.version or 0) + 1,
            None if draft.value.number is None else f"{draft.value.number:f}",
            draft.value.detail,
        ]
        for draft in drafts
    ]
    await audit.append(
        tx,
        actor,
        "saveEntries",
        subject=_subject(saved),
        summary=Text(zh=f"保存填报值{len(drafts)}项", en=f"Saved {len(drafts)} value(s)"),
        facts={"count": len(drafts), "digest": digest_of(rows)},
    )


def _subject(saved: Sequence[asyncpg.Record]) -> tuple[str, UUID] | None:
    if len(saved) == 1:
        return ("Entry", saved[0]["id"])
    cycles = {row["cycle_id"] for row in saved}
    return ("Cycle", cycles.pop()) if len(cycles) == 1 else None


_NO_VERSION = Text(zh="该任务还没有填报值，请不要填写版本号。", en="The task has no value yet; leave the version out.")


async def _look_again(tx: Transaction, actor: Actor, claim: Claim | None) -> Actor:
    """The actor as it is by now; raises for one that may act no more, and for a key that is used."""
    if claim is None:
        return actor
    actor = await reread(tx, actor)
    await idempotency.refuse_done(tx, actor, claim)
    return actor


async def _refuse_unsound(tx: Transaction, actor: Actor, claim: Claim | None, check: Check) -> None:
    """Raise what the check found, unless the actor or the key are to be refused before the input is."""
    if check.found:
        await _look_again(tx, actor, claim)
        check.done()


async def _read_again(
    tx: Transaction, actor: Actor, task_ids: Sequence[UUID], paths: Sequence[Path], claim: Claim | None
) -> tuple[Actor, list[asyncpg.Record]]:
    """The actor and the tasks as they are by now; raises for whoever or whatever may not write, or be written."""
    actor = await _look_again(tx, actor, claim)
    rows = await read_tasks(tx, actor, task_ids)
    tasks = [_found(rows, task_id, (*at, "taskId")) for task_id, at in zip(task_ids, paths, strict=True)]
    for task, at in zip(tasks, paths, strict=True):
        refuse_locked(task, (*at, "taskId"))
    return actor, tasks


async def _refuse(
    tx: Transaction,
    actor: Actor,
    task_ids: Sequence[UUID],
    entries: Sequence[EntrySpec],
    paths: Sequence[Path],
    claim: Claim | None,
    *,
    written: Collection[UUID],
) -> Actor:
    """Raise what stands in the way of saving; else give the actor as it is by now.

    First come an actor that may act no more and a key that is used, then a task that is hidden, a closed one, stale
    versions, and last what is wrong with the values.
    """
    actor, tasks = await _read_again(tx, actor, task_ids, paths, claim)
    conflicts = [
        Conflict((*at, "version"), task["entry_version"], "Entry", task["entry_id"])
        for task, entry, at in zip(tasks, entries, paths, strict=True)
        if task["entry_id"] is not None and entry.version != task["entry_version"] and task["id"] not in written
    ]
    if conflicts:
        raise VersionConflict(conflicts)
    check = Check()
    items = await pinned_items(tx, {task["scheme_version_id"] for task in tasks})
    for task, entry, at in zip(tasks, entries, paths, strict=True):
        if task["entry_id"] is None and entry.version is not None:
            check.invalid((*at, "version"), _NO_VERSION.zh, _NO_VERSION.en)
        read_value(check, (*at, "content"), entry.content, items[task["scheme_version_id"], task["data_item_id"]])
    check.done()
    if written:
        raise Unavailable
    return actor


async def pinned_items(tx: Transaction, version_ids: set[UUID]) -> dict[tuple[UUID, UUID], PinnedItem]:
    """All data items of scheme versions as these pinned them, by (version, item)."""
    rows = await tx.fetch(
        """SELECT scheme_version_id, data_item_id, code, name, type, unit_of_measure, scale, minimum, maximum, options
           FROM scheme_version_items WHERE tenant_id = $1 AND scheme_version_id = ANY ($2::uuid[])""",
        tx.tenant_id,
        list(version_ids),
    )
    return {(row["scheme_version_id"], row["data_item_id"]): PinnedItem.of(row) for row in rows}


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
