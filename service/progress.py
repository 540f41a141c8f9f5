"""Counters of a cycle (进度统计): kept in the transaction of every change that they count, never counted when asked.

Counted are values that people are asked for (not what the program fills) and judgements, each for its cycle, its unit,
every unit above that, its category, and its leaves; a value counts for each leaf that uses it. Nothing changes when a
draft is saved: it is asked for before and after.

A use-case gathers what it changed and calls `count` once, as the last thing before its audit event. The rows are
updated in the order of their key, so two writers never wait for each other in a ring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tenants.database import Transaction

SUBMITTED_STATES: Final = ("SUBMITTED", "SETTLED")
"""Of a task: a submitted value is in force."""


@dataclass(frozen=True)
class TaskChange:
    """What happened to a task, in counts; under the instant it is, or was, due at."""

    task_id: UUID
    due_at: datetime
    asked: int = 0
    submitted: int = 0
    submitted_late: int = 0


@dataclass(frozen=True)
class AssessmentChange:
    """What an assessment was, and what it is now."""

    assessment_id: UUID
    before: tuple[str, bool]
    """State, and whether its values changed since it was accepted."""
    after: tuple[str, bool]


_JUDGED: Final = {
    "READY": "ready",
    "RETURNED": "returned",
    "ACCEPTED": "accepted",
    "ADJUSTED": "accepted",
    "REJECTED": "rejected",
    "NOT_APPLICABLE": "not_applicable",
}
_JUDGEMENTS: Final = ("ready", "returned", "accepted", "rejected", "not_applicable", "inconsistent")
COUNTERS: Final = ("asked", "submitted", "submitted_late", "outstanding", *_JUDGEMENTS)
"""Columns that hold counts. `outstanding` are values that the unit itself has yet to submit."""


def submitted(task_id: UUID, due_at: datetime, days_late: int) -> TaskChange:
    """A value was submitted that was not before."""
    return TaskChange(task_id, due_at, submitted=1, submitted_late=int(days_late > 0))


def sent_back(task_id: UUID, state: str, days_late: int, *, was_due: datetime, due_at: datetime) -> list[TaskChange]:
    """A value was sent back, to be submitted by another instant; `state` and `was_due` are from before."""
    sent = state in SUBMITTED_STATES
    late = sent and days_late > 0
    return [
        TaskChange(task_id, was_due, asked=-1, submitted=-int(sent), submitted_late=-int(late)),
        TaskChange(task_id, due_at, asked=1),
    ]


async def count(tx: Transaction, tasks: Sequence[TaskChange], assessments: Sequence[AssessmentChange]) -> None:
    """Bring the counters up to date, in one statement; once per transaction, after all locks of tasks and assessments.

    A second call could take rows before the first one's, and wait in a ring with another writer.
    """
    deltas = [(change.assessment_id, _delta(change)) for change in assessments]
    deltas = [(key, delta) for key, delta in deltas if any(delta.values())]
    if not (tasks or deltas):
        return
    await tx.execute(
        _COUNT,
        tx.tenant_id,
        [change.task_id for change in tasks],
        [change.due_at for change in tasks],
        [change.asked for change in tasks],
        [change.submitted for change in tasks],
        [change.submitted_late for change in tasks],
        [key for key, _ in deltas],
        *([delta[name] for _, delta in deltas] for name in _JUDGEMENTS),
    )


def _delta(change: AssessmentChange) -> dict[str, int]:
    delta = dict.fromkeys(_JUDGEMENTS, 0)
    for (state, changed), sign in ((change.before, -1), (change.after, 1)):
        if state in _JUDGED:
            delta[_JUDGED[state]] += sign
        delta["inconsistent"] += sign * changed
    return delta


_SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTERS)
_INSERT = f"INSERT INTO progress_counters AS pc (tenant_id, cycle_id, subject_id, due_at, {', '.join(COUNTERS)})"
_NOTHING_JUDGED = ", ".join(f"0 AS {name}" for name in _JUDGEMENTS)
_NOTHING_FILLED = "0 AS asked, 0 AS submitted, 0 AS submitted_late, 0 AS outstanding"

_COUNT: Final = f"""
WITH changes AS (
    SELECT ta.cycle_id, ta.cycle_unit_id, ta.data_item_id, NULL::uuid AS indicator_id, g.due_at, g.asked, g.submitted,
           g.submitted_late, CASE WHEN ta.filler = 'UNIT' THEN g.asked - g.submitted ELSE 0 END AS outstanding,
           {_NOTHING_JUDGED}
    FROM unnest($2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::int[])
         AS g (task_id, due_at, asked, submitted, submitted_late)
    JOIN tasks ta ON ta.tenant_id = $1 AND ta.id = g.task_id
    UNION ALL
    SELECT am.cycle_id, am.cycle_unit_id, NULL, am.indicator_id, 'infinity', {_NOTHING_FILLED},
           {", ".join(f"g.{name}" for name in _JUDGEMENTS)}
    FROM unnest($7::uuid[], $8::int[], $9::int[], $10::int[], $11::int[], $12::int[], $13::int[])
         AS g (assessment_id, {", ".join(_JUDGEMENTS)})
    JOIN assessments am ON am.tenant_id = $1 AND am.id = g.assessment_id
), placed AS (
    SELECT ch.*, su.subject_id FROM changes ch CROSS JOIN LATERAL (
        SELECT ch.cycle_id
        UNION ALL SELECT ch.cycle_unit_id
        UNION ALL SELECT ca.ancestor_id FROM cycle_unit_ancestors ca
                  WHERE ca.tenant_id = $1 AND ca.cycle_unit_id = ch.cycle_unit_id AND ca.depth > 0
        UNION ALL SELECT cu.category_id FROM cycle_units cu WHERE cu.tenant_id = $1 AND cu.id = ch.cycle_unit_id
        UNION ALL SELECT ch.indicator_id WHERE ch.indicator_id IS NOT NULL
        UNION ALL SELECT ii.indicator_id FROM indicator_items ii
                  JOIN assessments al ON al.tenant_id = $1 AND al.cycle_unit_id = ch.cycle_unit_id
                       AND al.indicator_id = ii.indicator_id
                  WHERE ii.tenant_id = $1 AND ii.data_item_id = ch.data_item_id
    ) su (subject_id)
)
{_INSERT}
SELECT $1, cycle_id, subject_id, due_at, {_SUMS} FROM placed GROUP BY cycle_id, subject_id, due_at
ORDER BY cycle_id, subject_id, due_at
ON CONFLICT (tenant_id, cycle_id, subject_id, due_at) DO UPDATE SET
    {", ".join(f"{name} = pc.{name} + EXCLUDED.{name}" for name in COUNTERS)}
"""

_FILLED = """count(*) AS asked, count(*) FILTER (WHERE ta.state IN ('SUBMITTED', 'SETTLED')) AS submitted,
           count(*) FILTER (WHERE ta.state IN ('SUBMITTED', 'SETTLED') AND ta.days_late > 0) AS submitted_late,
           count(*) FILTER (WHERE ta.filler = 'UNIT' AND ta.state NOT IN ('SUBMITTED', 'SETTLED')) AS outstanding"""
_STATES = ", ".join(
    f"count(*) FILTER (WHERE am.state IN ({', '.join(repr(s) for s, n in _JUDGED.items() if n == name)})) AS {name}"
    for name in _JUDGEMENTS[:-1]
)
_JUDGED_SQL = f"{_STATES}, count(*) FILTER (WHERE am.changes_since_accepted > 0) AS inconsistent"


async def recount(tx: Transaction, cycle_id: UUID) -> None:
    """Count a cycle from its rows: at its opening, when nobody else changes them."""
    await tx.execute(
        f"""UPDATE progress_counters SET {", ".join(f"{name} = 0" for name in COUNTERS)}
            WHERE tenant_id = $1 AND cycle_id = $2""",
        tx.tenant_id,
        cycle_id,
    )
    await tx.execute(_RECOUNT, tx.tenant_id, cycle_id)


# Items are counted once: what has just been written is taken for a handful of rows, and would be counted per leaf.
_RECOUNT: Final = f"""
WITH filled AS (
    SELECT ta.cycle_unit_id, ta.due_at, {_FILLED} FROM tasks ta
    WHERE ta.tenant_id = $1 AND ta.cycle_id = $2 AND ta.filler <> 'SYSTEM' GROUP BY ta.cycle_unit_id, ta.due_at
), items AS MATERIALIZED (
    SELECT ta.data_item_id, cu.category_id, ta.due_at, {_FILLED} FROM tasks ta
    JOIN cycle_units cu ON cu.tenant_id = $1 AND cu.id = ta.cycle_unit_id
    WHERE ta.tenant_id = $1 AND ta.cycle_id = $2 AND ta.filler <> 'SYSTEM'
    GROUP BY ta.data_item_id, cu.category_id, ta.due_at
), judged AS (
    SELECT am.cycle_unit_id, {_JUDGED_SQL} FROM assessments am
    WHERE am.tenant_id = $1 AND am.cycle_id = $2 GROUP BY am.cycle_unit_id
), leaves AS (
    SELECT am.indicator_id, cu.category_id, {_JUDGED_SQL} FROM assessments am
    JOIN cycle_units cu ON cu.tenant_id = $1 AND cu.id = am.cycle_unit_id
    WHERE am.tenant_id = $1 AND am.cycle_id = $2 GROUP BY am.indicator_id, cu.category_id
), units AS (
    SELECT cycle_unit_id, due_at, asked, submitted, submitted_late, outstanding, {_NOTHING_JUDGED} FROM filled
    UNION ALL
    SELECT cycle_unit_id, 'infinity', {_NOTHING_FILLED}, {", ".join(_JUDGEMENTS)} FROM judged
), placed AS (
    SELECT su.subject_id, un.* FROM units un CROSS JOIN LATERAL (
        SELECT $2 UNION ALL SELECT un.cycle_unit_id
        UNION ALL SELECT ca.ancestor_id FROM cycle_unit_ancestors ca
                  WHERE ca.tenant_id = $1 AND ca.cycle_unit_id = un.cycle_unit_id AND ca.depth > 0
        UNION ALL SELECT cu.category_id FROM cycle_units cu WHERE cu.tenant_id = $1 AND cu.id = un.cycle_unit_id
    ) su (subject_id)
    UNION ALL
    SELECT le.indicator_id, NULL, it.due_at, it.asked, it.submitted, it.submitted_late, it.outstanding,
           {_NOTHING_JUDGED}
    FROM leaves le
    JOIN indicator_items ii ON ii.tenant_id = $1 AND ii.indicator_id = le.indicator_id
    JOIN items it ON it.data_item_id = ii.data_item_id AND it.category_id = le.category_id
    UNION ALL
    SELECT indicator_id, NULL, 'infinity', {_NOTHING_FILLED}, {", ".join(_JUDGEMENTS)} FROM leaves
)
{_INSERT}
SELECT $1, $2, subject_id, due_at, {_SUMS} FROM placed GROUP BY subject_id, due_at
ON CONFLICT (tenant_id, cycle_id, subject_id, due_at) DO UPDATE SET
    {", ".join(f"{name} = EXCLUDED.{name}" for name in COUNTERS)}
"""
