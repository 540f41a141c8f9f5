"""What submissions and reviews do to assessments and tasks, set by set (办结)."""

from collections.abc import Collection
from uuid import UUID

from service.progress import AssessmentChange
from service.reports.rights import SETTLED_STATES
from tenants.database import Transaction

JUDGED_VALUES = """
    SELECT coalesce(bool_and(jt.state IN ('SUBMITTED', 'SETTLED')), false) AS sent, max(jt.days_late) AS days_late,
           array_agg(jr.number ORDER BY ji.position) AS numbers,
           coalesce(jsonb_agg(jr.detail ORDER BY ji.position), '[]') AS details,
           array_agg(jr.id ORDER BY ji.position) AS revisions,
           array_agg(jt.id ORDER BY ji.position) AS task_ids,
           array_agg(jt.data_item_id ORDER BY ji.position) AS item_ids,
           array_agg(jt.filler ORDER BY ji.position) AS fillers, array_agg(jt.due_on ORDER BY ji.position) AS due
    FROM indicator_items ji
    JOIN tasks jt ON jt.tenant_id = ji.tenant_id AND jt.cycle_unit_id = am.cycle_unit_id
         AND jt.data_item_id = ji.data_item_id
    LEFT JOIN entries je ON je.tenant_id = jt.tenant_id AND je.task_id = jt.id
    LEFT JOIN entry_revisions jr ON jr.tenant_id = je.tenant_id AND jr.id = je.submitted_revision_id
    WHERE ji.tenant_id = am.tenant_id AND ji.indicator_id = am.indicator_id
"""
"""Over an assessment `am`: what was submitted last for each of its leaf's items, in order."""


async def lock_leaves_of(tx: Transaction, task_ids: Collection[UUID]) -> None:
    """Lock the tasks with all others of the leaves that use them: a leaf that settles may settle them all."""
    await tx.execute(
        """
        WITH leaves AS (
            SELECT DISTINCT am.cycle_unit_id, am.indicator_id FROM tasks ta
            JOIN indicator_items ii ON ii.tenant_id = ta.tenant_id AND ii.data_item_id = ta.data_item_id
            JOIN assessments am ON am.tenant_id = ta.tenant_id AND am.cycle_unit_id = ta.cycle_unit_id
                 AND am.indicator_id = ii.indicator_id
            WHERE ta.tenant_id = $1 AND ta.id = ANY ($2::uuid[])
        ), held AS (
            SELECT id FROM tasks WHERE tenant_id = $1 AND id IN (
                SELECT unnest($2::uuid[])
                UNION
                SELECT tb.id FROM leaves le
                JOIN indicator_items ij ON ij.tenant_id = $1 AND ij.indicator_id = le.indicator_id
                JOIN tasks tb ON tb.tenant_id = $1 AND tb.cycle_unit_id = le.cycle_unit_id
                     AND tb.data_item_id = ij.data_item_id)
            ORDER BY id FOR NO KEY UPDATE
        )
        SELECT count(*) FROM held
        """,
        tx.tenant_id,
        list(task_ids),
    )


async def after_submission(tx: Transaction, task_ids: Collection[UUID]) -> list[AssessmentChange]:
    """Make leaves ready whose values are all submitted, settle those that nobody reviews, and flag the settled ones.

    A leaf that waits at a higher level begins anew at the first: what was accepted below is no longer what stands. What
    became of the leaves is for the counters.
    """
    affected = await tx.fetch(
        """
        SELECT id, state, changes_since_accepted > 0 AS changed FROM assessments WHERE tenant_id = $1 AND id IN (
            SELECT am.id FROM tasks ta
            JOIN indicator_items ii ON ii.tenant_id = ta.tenant_id AND ii.data_item_id = ta.data_item_id
            JOIN assessments am ON am.tenant_id = ta.tenant_id AND am.cycle_unit_id = ta.cycle_unit_id
                 AND am.indicator_id = ii.indicator_id
            WHERE ta.tenant_id = $1 AND ta.id = ANY ($2::uuid[]))
        ORDER BY id FOR NO KEY UPDATE
        """,
        tx.tenant_id,
        list(task_ids),
    )
    moved = await tx.fetch(
        f"""
        WITH judged AS (
            SELECT am.id, jv.*,
                   CASE WHEN am.levels = 0 AND am.state IN ('WAITING', 'READY', 'RETURNED', 'ACCEPTED') AND jv.sent
                        THEN 'SETTLE'
                        WHEN am.levels > 0 AND am.state IN ('WAITING', 'READY', 'RETURNED') AND jv.sent THEN 'READY'
                        WHEN am.state IN ('ACCEPTED', 'ADJUSTED')
                             AND jv.revisions IS DISTINCT FROM am.pinned_revision_ids
                        THEN 'FLAG' END AS step
            FROM assessments am CROSS JOIN LATERAL ({JUDGED_VALUES}) jv
            WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[])
        )
        UPDATE assessments am SET
            state = CASE ju.step WHEN 'SETTLE' THEN 'ACCEPTED' WHEN 'READY' THEN 'READY' ELSE am.state END,
            level = CASE ju.step WHEN 'READY' THEN 1 ELSE am.level END,
            ready_since = CASE ju.step WHEN 'READY' THEN now() ELSE am.ready_since END,
            settled_at = CASE ju.step WHEN 'SETTLE' THEN now() WHEN 'READY' THEN NULL ELSE am.settled_at END,
            settled_numbers = CASE ju.step WHEN 'SETTLE' THEN ju.numbers WHEN 'READY' THEN NULL
                              ELSE am.settled_numbers END,
            settled_details = CASE ju.step WHEN 'SETTLE' THEN ju.details WHEN 'READY' THEN NULL
                              ELSE am.settled_details END,
            pinned_revision_ids = CASE ju.step WHEN 'SETTLE' THEN ju.revisions WHEN 'READY' THEN NULL
                                  ELSE am.pinned_revision_ids END,
            days_late = CASE ju.step WHEN 'FLAG' THEN am.days_late ELSE ju.days_late END,
            changes_since_accepted = CASE ju.step WHEN 'FLAG' THEN am.changes_since_accepted + 1 ELSE 0 END,
            version = am.version + 1
        FROM judged ju WHERE am.tenant_id = $1 AND am.id = ju.id AND ju.step IS NOT NULL
        RETURNING am.id, am.state, am.changes_since_accepted > 0 AS changed
        """,
        tx.tenant_id,
        [row["id"] for row in affected],
    )
    await settle_tasks(tx, [row["id"] for row in affected])
    before = {row["id"]: (row["state"], row["changed"]) for row in affected}
    return [AssessmentChange(row["id"], before[row["id"]], (row["state"], row["changed"])) for row in moved]


async def settle_tasks(tx: Transaction, assessment_ids: Collection[UUID]) -> None:
    """Mark the submitted tasks of these leaves as settled where every leaf that uses them has been judged.

    Their tasks are locked by the caller (see `lock_leaves_of`).
    """
    await tx.execute(
        f"""
        UPDATE tasks ta SET state = 'SETTLED'
        WHERE ta.tenant_id = $1 AND ta.state = 'SUBMITTED' AND ta.id IN (
            SELECT tb.id FROM assessments am
            JOIN indicator_items ii ON ii.tenant_id = am.tenant_id AND ii.indicator_id = am.indicator_id
            JOIN tasks tb ON tb.tenant_id = am.tenant_id AND tb.cycle_unit_id = am.cycle_unit_id
                 AND tb.data_item_id = ii.data_item_id
            WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[]))
          AND NOT EXISTS (
            SELECT 1 FROM indicator_items ij
            JOIN assessments an ON an.tenant_id = ij.tenant_id AND an.indicator_id = ij.indicator_id
                 AND an.cycle_unit_id = ta.cycle_unit_id
            WHERE ij.tenant_id = $1 AND ij.data_item_id = ta.data_item_id AND an.state NOT IN {SETTLED_STATES})
        """,
        tx.tenant_id,
        list(assessment_ids),
    )
