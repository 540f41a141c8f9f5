"""Writing what was decided: assessments, reviews, reopened tasks, and the audit event."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson

from service import audit, outbox, progress
from service.access import SYSTEM, Actor
from service.progress import TaskChange
from service.reports.entries import digest_of
from service.reports.rights import SETTLED_STATES
from service.reviews.decisions import DECISIONS, Accept, Case
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s


def _settled(case: Case) -> tuple[str | None, str | None, str] | None:
    """Values, details and pinned revisions as JSON lists; None where the assessment keeps none."""
    row = case.row
    if case.state == "RETURNED":
        return None
    numbers = list(row["numbers"] or ())
    details: list[Any] = orjson.loads(row["details"])
    if isinstance(case.decision, Accept) and row["settled_details"] is not None:
        numbers, details = list(row["settled_numbers"]), orjson.loads(row["settled_details"])
    elif case.state == "READY" and not case.adjusted:
        return None
    for place, value in case.adjusted.items():
        numbers[place], details[place] = value.number, value.detail
    revisions = orjson.dumps([None if key is None else str(key) for key in row["revisions"] or ()]).decode()
    if case.state in ("REJECTED", "NOT_APPLICABLE"):
        return None, None, revisions
    written = [None if number is None else f"{number:f}" for number in numbers]
    return orjson.dumps(written).decode(), orjson.dumps(details).decode(), revisions


async def write_reviews(tx: Transaction, actor: Actor, cases: Sequence[Case]) -> list[TaskChange]:
    """Write the assessments as they are now, their reviews, and the tasks that are open again.

    What became of the tasks is for the counters.
    """
    review_ids = uuid7s(len(cases))
    settled = [_settled(case) for case in cases]
    by_id = None if actor.id == SYSTEM else actor.id
    await tx.execute(
        f"""
        WITH given AS (
            SELECT * FROM unnest($2::uuid[], $3::text[], $4::int[], $5::jsonb[], $6::jsonb[], $7::jsonb[],
                                 $8::numeric[], $9::text[])
                     AS g (id, state, level, numbers, details, revisions, marks, reason)
        )
        UPDATE assessments am SET
            state = g.state, level = g.level, version = am.version + 1, changes_since_accepted = 0,
            ready_since = CASE g.state WHEN 'READY' THEN now() WHEN 'RETURNED' THEN NULL ELSE am.ready_since END,
            settled_at = CASE WHEN g.state IN {SETTLED_STATES} THEN now() END,
            settled_numbers = (SELECT array_agg(el.value::numeric ORDER BY el.place)
                               FROM jsonb_array_elements_text(g.numbers) WITH ORDINALITY AS el (value, place)),
            settled_details = g.details,
            pinned_revision_ids = (SELECT array_agg(el.value::uuid ORDER BY el.place)
                                   FROM jsonb_array_elements_text(g.revisions) WITH ORDINALITY AS el (value, place)),
            marks = g.marks, marks_reason = CASE WHEN g.marks IS NOT NULL THEN g.reason END
        FROM given g WHERE am.tenant_id = $1 AND am.id = g.id
        """,
        tx.tenant_id,
        [case.key for case in cases],
        [case.state for case in cases],
        [case.level for case in cases],
        *([None if part is None else part[column] for part in settled] for column in range(3)),
        [case.shown_marks for case in cases],
        [case.shown_reason for case in cases],
    )
    await tx.execute(
        """
        INSERT INTO reviews (tenant_id, id, assessment_id, level, decision, reason, due_on, marks, numbers, details,
                             role, unit_id, by_id, at, revision_ids, data_item_ids)
        SELECT $1, g.id, g.assessment_id, g.level, g.decision, g.reason, g.due_on, g.marks,
               (SELECT array_agg(el.value::numeric ORDER BY el.place)
                FROM jsonb_array_elements_text(g.numbers) WITH ORDINALITY AS el (value, place)),
               g.details, g.role, g.unit_id, $14, now(),
               ARRAY(SELECT value::uuid FROM jsonb_array_elements_text(g.revisions) WHERE value IS NOT NULL),
               ARRAY(SELECT value::uuid FROM jsonb_array_elements_text(g.items))
        FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::date[], $8::numeric[],
                    $9::jsonb[], $10::jsonb[], $11::text[], $12::uuid[], $13::jsonb[], $15::jsonb[])
             AS g (id, assessment_id, level, decision, reason, due_on, marks, numbers, details, role, unit_id,
                   revisions, items)
        """,
        tx.tenant_id,
        review_ids,
        [case.key for case in cases],
        [case.row["level"] for case in cases],
        [case.name for case in cases],
        [case.reason for case in cases],
        [case.due_on for case in cases],
        [case.marks for case in cases],
        [part[0] if part and case.adjusted else None for case, part in zip(cases, settled, strict=True)],
        [part[1] if part and case.adjusted else None for case, part in zip(cases, settled, strict=True)],
        [case.role for case in cases],
        [case.unit_id for case in cases],
        [_ids(case.row["revisions"]) for case in cases],
        by_id,
        [_ids(case.item_ids) for case in cases],
    )
    return await _reopen(tx, cases, review_ids)


def _ids(ids: Sequence[UUID | None] | None) -> str:
    return orjson.dumps([str(key) for key in ids or () if key is not None]).decode()


async def _reopen(tx: Transaction, cases: Sequence[Case], review_ids: Sequence[UUID]) -> list[TaskChange]:
    """Open the tasks of returned leaves; one that several leaves send back has the latest of their days."""
    opened: dict[UUID, tuple[date, UUID]] = {}
    touched: list[UUID] = []
    for case, review_id in zip(cases, review_ids, strict=True):
        if case.due_on is not None:
            touched += case.row["task_ids"]
            for task_id in case.returned:
                opened[task_id] = max(opened.get(task_id, (date.min, review_id)), (case.due_on, review_id))
    if not opened:
        return []
    rows = await tx.fetch(
        """
        WITH opened AS (
            UPDATE tasks ta SET state = 'RETURNED', return_review_id = g.review_id, due_on = g.due_on,
                due_at = ((g.due_on + 1)::timestamp AT TIME ZONE te.time_zone),
                closes_at = ((g.due_on + 1 + cy.grace_days)::timestamp AT TIME ZONE te.time_zone)
            FROM unnest($2::uuid[], $3::uuid[], $4::date[]) AS g (task_id, review_id, due_on), tenants te, cycles cy,
                 tasks was
            WHERE ta.tenant_id = $1 AND ta.id = g.task_id AND te.tenant_id = $1 AND cy.tenant_id = $1
              AND cy.id = ta.cycle_id AND was.tenant_id = $1 AND was.id = ta.id
            RETURNING ta.id, was.state, was.days_late, was.due_at AS was_due, ta.due_at
        ), unsettled AS (
            UPDATE tasks SET state = 'SUBMITTED'
            WHERE tenant_id = $1 AND id = ANY ($5::uuid[]) AND NOT id = ANY ($2::uuid[]) AND state = 'SETTLED'
        )
        SELECT id, state, days_late, was_due, due_at FROM opened
        """,
        tx.tenant_id,
        list(opened),
        [review_id for _, review_id in opened.values()],
        [due_on for due_on, _ in opened.values()],
        touched,
    )
    return [
        change
        for row in rows
        for change in progress.sent_back(
            row["id"], row["state"], row["days_late"], was_due=row["was_due"], due_at=row["due_at"]
        )
    ]


async def record_reviews(tx: Transaction, actor: Actor, cases: Sequence[Case]) -> None:
    """One audit event for all of them, with their digest."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.name] = counts.get(case.name, 0) + 1
    single = cases[0] if len(cases) == 1 else None
    cycles = {case.row["cycle_id"] for case in cases}
    subject = ("Assessment", single.key) if single else ("Cycle", cycles.pop()) if len(cycles) == 1 else None
    rows = [
        [
            *(str(case.key), case.row["level"], case.name, case.reason, _ids(case.row["revisions"]), _settled(case)),
            None if case.marks is None else f"{case.marks:f}",
        ]
        for case in cases
    ]
    await audit.append(
        tx,
        actor,
        "reviewAssessments",
        subject=subject,
        summary=Text(
            zh="、".join(f"{DECISIONS[name].zh}{count}项" for name, count in counts.items()),
            en=", ".join(f"{DECISIONS[name].en}: {count}" for name, count in counts.items()),
        ),
        reason=single.reason if single else None,
        facts={"count": len(cases), "decisions": counts, "digest": digest_of(rows)},
        ids=outbox.cycle_ids(case.row["cycle_id"] for case in cases),
    )
