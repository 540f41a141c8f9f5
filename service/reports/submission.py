"""Submitting (报送): a unit's report as a whole or in part, or a department's values over all units."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from service import audit, outbox, progress
from service.access import SYSTEM, Actor, Role, denied
from service.checks import Check
from service.errors import Conflict, Contact, IllegalState, NotFound, Path, VersionConflict
from service.reports import findings
from service.reports.entries import digest_of, distinct_ids
from service.reports.rights import FILLS_SIDE, REPORT_VISIBLE, SECRETARY_OF_REPORT, WRITABLE_STATES, placed
from service.reports.settling import after_submission, lock_leaves_of
from service.reports.tasks import lock_tasks, refuse_locked
from service.scoring.text import Text
from tenants.database import Transaction

MOST_SUBMITTED = 20_000
"""Values submitted in one call."""

MOST_CONFIRMED = 20_000
"""Keys of warnings confirmed in one call."""


async def submit_report(
    tx: Transaction,
    actor: Actor,
    *,
    report_id: str,
    version: int,
    task_ids: Sequence[str] | None = None,
    confirmed_warnings: Sequence[str] = (),
) -> UUID:
    """Submit the given tasks of a report, or all that are filled and open; the report's id.

    Without `task_ids` a value that came back goes along only if it, or another value of the same return, was saved
    again. Warnings of cross checks must be confirmed by their keys. Raises Invalid, NotFound, AccessDenied,
    IllegalState or VersionConflict.
    """
    check = Check()
    key = check.id(("input", "reportId"), report_id, "Report")
    named = None if task_ids is None else check.ids(("input", "taskIds"), task_ids, "Task")
    check.at_most(("input", "taskIds"), task_ids or (), MOST_SUBMITTED)
    _check_confirmed(check, confirmed_warnings)
    if named is not None and not task_ids:
        check.invalid(("input", "taskIds"), "至少选一项。", "Name at least one task, or leave it out for all.")
    check.done()
    report = await _lock_report(tx, actor, key)
    if report["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), report["version"], "Report", report["id"])])
    own = await tx.fetch(
        "SELECT id FROM tasks WHERE tenant_id = $1 AND cycle_unit_id = $2 AND report_id = $3 ORDER BY position, id",
        tx.tenant_id,
        report["cycle_unit_id"],
        report["id"],
    )
    listed = [row["id"] for row in own]
    for place, task_id in enumerate(named or ()):
        if task_id not in listed:
            raise NotFound(("input", "taskIds", str(place)))
    await lock_leaves_of(tx, listed if named is None else named)
    rows = await lock_tasks(tx, actor, listed if named is None else named)
    if named is None:
        chosen = _filled([rows[task_id] for task_id in listed if task_id in rows], report)
        paths: dict[UUID, Path] = {task["id"]: ("input", "reportId") for task in chosen}
    else:
        paths = {task_id: ("input", "taskIds", str(place)) for place, task_id in enumerate(named)}
        chosen = [_given(rows, task_id, paths[task_id]) for task_id in named]
    await _submit(tx, actor, "submitReport", chosen, paths, confirmed_warnings, ("Report", report["id"]))
    return UUID(str(report["id"]))


async def submit_entries(
    tx: Transaction,
    actor: Actor,
    *,
    entries: Sequence[tuple[str, int]],
    confirmed_warnings: Sequence[str] = (),
) -> list[UUID]:
    """Submit values by (entry, version), all or none: how a department sends its table; the entries' ids, in order."""
    check = Check()
    path: Path = ("input", "entries")
    if not entries:
        check.invalid(path, "至少选一个值。", "Give at least one value.")
    _check_confirmed(check, confirmed_warnings)
    if not check.at_most(path, entries, MOST_SUBMITTED):
        check.done()
    places = [(*path, str(place), "id") for place in range(len(entries))]
    ids = distinct_ids(check, places, [text for text, _ in entries], "Entry")
    check.done()
    found = await tx.fetch(
        """SELECT en.id, en.task_id, ta.report_id FROM entries en
           JOIN tasks ta ON ta.tenant_id = en.tenant_id AND ta.id = en.task_id
           WHERE en.tenant_id = $1 AND en.id = ANY ($2::uuid[])""",
        tx.tenant_id,
        ids,
    )
    task_of = {row["id"]: row["task_id"] for row in found}
    # Reports come before tasks in the order of locks, as in submit_report.
    await tx.execute(
        """WITH held AS (SELECT id FROM reports WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id
                         FOR NO KEY UPDATE) SELECT count(*) FROM held""",
        tx.tenant_id,
        list({row["report_id"] for row in found if row["report_id"] is not None}),
    )
    await lock_leaves_of(tx, list(task_of.values()))
    rows = await lock_tasks(tx, actor, list(task_of.values()))
    paths: dict[UUID, Path] = {}
    chosen: list[asyncpg.Record] = []
    conflicts = []
    for place, (entry_id, (_, version)) in enumerate(zip(ids, entries, strict=True)):
        at = (*path, str(place))
        task = rows.get(task_of.get(entry_id, entry_id))
        if task is None:
            raise NotFound((*at, "id"))
        refuse_locked(task, (*at, "id"))
        paths[task["id"]] = (*at, "id")
        chosen.append(task)
        if task["entry_version"] != version:
            conflicts.append(Conflict((*at, "version"), task["entry_version"], "Entry", entry_id))
    if conflicts:
        raise VersionConflict(conflicts)
    cycles = {task["cycle_id"] for task in chosen}
    subject = ("Entry", ids[0]) if len(ids) == 1 else ("Cycle", cycles.pop()) if len(cycles) == 1 else None
    await _submit(tx, actor, "submitEntries", chosen, paths, confirmed_warnings, subject)
    return ids


def _check_confirmed(check: Check, keys: Sequence[str]) -> None:
    path: Path = ("input", "confirmedWarnings")
    if check.at_most(path, keys, MOST_CONFIRMED):
        for place, key in enumerate(keys):
            check.line((*path, str(place)), key)


async def _lock_report(tx: Transaction, actor: Actor, report_id: UUID | None) -> asyncpg.Record:
    row = await tx.fetchrow(
        placed(
            f"""SELECT rp.id, rp.version, rp.cycle_id, rp.cycle_unit_id, cu.unit_id, {SECRETARY_OF_REPORT} AS own
                FROM reports rp JOIN cycle_units cu ON cu.tenant_id = rp.tenant_id AND cu.id = rp.cycle_unit_id
                WHERE rp.tenant_id = $1 AND rp.id = $2 AND {REPORT_VISIBLE} FOR NO KEY UPDATE OF rp""",
            t="rp",
            actor="$3",
            all="$4",
        ),
        tx.tenant_id,
        report_id,
        actor.id,
        actor.sees_all,
    )
    if row is None:
        raise NotFound(("input", "reportId"))
    if not row["own"]:
        raise denied(
            Text(zh="填报表由本单位的填报员报送。", en="A report is submitted by a secretary of its unit."),
            [Role.SECRETARY],
            contacts=[Contact(Role.SECRETARY.value, row["unit_id"])],
            path=("input", "reportId"),
        )
    return row


def _filled(tasks: Sequence[asyncpg.Record], report: asyncpg.Record) -> list[asyncpg.Record]:
    """What a submission of the whole report takes; refuses where that is nothing."""
    drafts = [task for task in tasks if task["entry_state"] == "DRAFT"]
    again = {task["return_review_id"] for task in drafts if task["state"] == "RETURNED"}
    filled = [
        task
        for task in tasks
        if task["entry_state"] == "DRAFT" or (task["state"] == "RETURNED" and task["return_review_id"] in again)
    ]
    writable = [task for task in filled if task["lock"] is None]
    if not writable:
        for task in [*filled, *(task for task in tasks if task["state"] in WRITABLE_STATES)]:
            refuse_locked(task, ("input", "reportId"))
        raise IllegalState(
            Text(zh="没有可报送的填报值。", en="There is nothing to submit."),
            state="SUBMITTED" if tasks and all(task["entry_state"] == "SUBMITTED" for task in tasks) else "UNTOUCHED",
            legal_from=["DRAFTED", "PARTLY_SUBMITTED", "RETURNED"],
            subject=("Report", report["id"]),
            path=("input", "reportId"),
            hint=Text(zh="请先保存填报值。", en="Save values first."),
        )
    return writable


def _given(rows: Mapping[UUID, asyncpg.Record], task_id: UUID, path: Path) -> asyncpg.Record:
    task = rows.get(task_id)
    if task is None:
        raise NotFound(path)
    refuse_locked(task, path)
    if task["entry_id"] is None:
        raise IllegalState(
            Text(zh="该任务还没有填报值。", en="The task has no value yet."),
            state=task["state"],
            legal_from=["DRAFTED", "RETURNED"],
            subject=("Task", task_id),
            path=path,
            hint=Text(zh="请先保存填报值。", en="Save a value first."),
        )
    return task


async def _submit(
    tx: Transaction,
    actor: Actor,
    action: str,
    tasks: Sequence[asyncpg.Record],
    paths: Mapping[UUID, Path],
    confirmed: Sequence[str],
    subject: tuple[str, UUID] | None,
) -> None:
    ids = [task["id"] for task in tasks]
    await _look_at_findings(tx, tasks, paths, confirmed, ids)
    sent = await tx.fetch(
        """
        WITH sent AS (
            UPDATE entries en SET state = 'SUBMITTED', submitted_at = now(), submitted_revision_id = en.revision_id,
                   days_late = greatest(en.days_late, la.days), version = en.version + 1
            FROM tasks ta JOIN tenants te ON te.tenant_id = ta.tenant_id
            CROSS JOIN LATERAL (SELECT greatest((now() AT TIME ZONE te.time_zone)::date - ta.due_on, 0) AS days) la
            WHERE en.tenant_id = $1 AND ta.tenant_id = $1 AND ta.id = ANY ($2::uuid[]) AND en.task_id = ta.id
            RETURNING en.id, en.task_id, en.revision, la.days
        ), moved AS (
            UPDATE tasks ta SET state = 'SUBMITTED', days_late = greatest(ta.days_late, se.days),
                   return_review_id = NULL
            FROM sent se WHERE ta.tenant_id = $1 AND ta.id = se.task_id
            RETURNING ta.id, ta.report_id, ta.due_at, ta.days_late
        ), reported AS (
            UPDATE reports rp SET first_submitted_at = coalesce(rp.first_submitted_at, now()),
                   last_submitted_at = now(), submitted_by_id = $3, version = rp.version + 1
            WHERE rp.tenant_id = $1 AND rp.id IN (SELECT report_id FROM moved)
        )
        SELECT se.id, se.revision, se.days, mo.id AS task_id, mo.due_at, mo.days_late
        FROM sent se JOIN moved mo ON mo.id = se.task_id ORDER BY se.id
        """,
        tx.tenant_id,
        ids,
        None if actor.id == SYSTEM else actor.id,
    )
    judged = await after_submission(tx, ids)
    filled = [progress.submitted(row["task_id"], row["due_at"], row["days_late"]) for row in sent]
    await progress.count(tx, filled, judged)
    late = sum(row["days"] > 0 for row in sent)
    await audit.append(
        tx,
        actor,
        action,
        subject=subject,
        summary=Text(
            zh=f"报送填报值{len(sent)}项" + (f"，其中逾期{late}项" if late else ""),
            en=f"Submitted {len(sent)} value(s)" + (f", {late} of them late" if late else ""),
        ),
        facts={
            "count": len(sent),
            "late": late,
            "digest": digest_of([[str(row["id"]), row["revision"]] for row in sent]),
        },
        ids=outbox.cycle_ids(task["cycle_id"] for task in tasks),
    )


async def _look_at_findings(
    tx: Transaction,
    tasks: Sequence[asyncpg.Record],
    paths: Mapping[UUID, Path],
    confirmed: Sequence[str],
    submitting: Sequence[UUID],
) -> None:
    """Refuse what cross checks forbid, and warnings that are not confirmed.

    A check that also speaks of a value which stays a draft is asked when that one is submitted.
    """
    task_of = {(task["cycle_unit_id"], str(task["data_item_id"])): task["id"] for task in tasks}
    check = Check()
    looked_at: dict[str, UUID] = {}
    for finding in await findings.refresh(tx, tasks, submitting=submitting):
        places = [(finding["cycle_unit_id"], item) for item in finding["dataItemIds"]]
        task_id = next((task_of[place] for place in places if place in task_of), None)
        if task_id is None or finding["confirmed"] or not finding["sent"]:
            continue
        if finding["warningOnly"] and finding["key"] in confirmed:
            looked_at[finding["key"]] = finding["assessment_id"]
            continue
        _note(check, paths[task_id], finding)
    check.done()
    if looked_at:
        await findings.confirm(tx, list(looked_at.values()), list(looked_at))


def _note(check: Check, path: Path, finding: Mapping[str, Any]) -> None:
    hint = Text(zh=finding["hintZh"], en=finding["hintEn"])
    if finding["warningOnly"]:
        path = ("input", "confirmedWarnings")
        key = finding["key"]
        hint = Text(zh=f"{hint.zh}（confirmedWarnings：{key}）", en=f"{hint.en} (confirmedWarnings: {key})")
    check.invalid(path, finding["zh"], finding["en"], hint=hint)


SUBMITTABLE = f"""EXISTS (SELECT 1 FROM tasks bt JOIN cycles bc ON bc.tenant_id = bt.tenant_id AND bc.id = bt.cycle_id
    JOIN entries be ON be.tenant_id = bt.tenant_id AND be.task_id = bt.id AND be.state = 'DRAFT'
    JOIN cycle_units bu ON bu.tenant_id = bt.tenant_id AND bu.id = bt.cycle_unit_id
    JOIN org_units bo ON bo.tenant_id = bu.tenant_id AND bo.id = bu.unit_id
    WHERE bt.tenant_id = {{tenant}} AND bt.cycle_unit_id = {{t}}.cycle_unit_id AND bt.report_id = {{t}}.id
      AND bt.closes_at > now() AND bc.state IN ('OPEN', 'REVIEWING')
      AND (bo.valid_to IS NULL OR bo.valid_to >= {{today}}) AND {FILLS_SIDE.replace("{t}", "bt")})"""
"""Of a report: the viewer may submit something of it now."""
