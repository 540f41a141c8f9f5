"""Counters of a cycle (进度统计), read from those that every change keeps (service.progress), never counted from rows.

Over all units, a unit's subtree, a leaf, a category. What is overdue follows from the clock: counters stand under the
instant at which their values are due.
"""

from typing import TYPE_CHECKING

from schema.mapping import column, embedded, relation, value
from schema.scope import READERS, covers

if TYPE_CHECKING:
    from schema.directory import Category
    from schema.schemes import Indicator

NOT_SUBMITTED = "('OPEN', 'DRAFTED', 'RETURNED', 'MISSED')"
"""States of a task that has no submitted value in force."""

_KEPT = (
    "asked",
    "submitted",
    "submitted_late",
    "ready",
    "returned",
    "accepted",
    "rejected",
    "not_applicable",
    "inconsistent",
)
OVERDUE = "coalesce(sum(pc.asked - pc.submitted) FILTER (WHERE pc.due_at <= now()), 0)"
"""Over counters `pc`: asked, due and not submitted."""

_SUMS = ", ".join(f"coalesce(sum(pc.{name}), 0)::int AS {name}" for name in _KEPT) + f", {OVERDUE}::int AS overdue"


def _summed(cycle: str, subject: str) -> str:
    """One row of counters: of the subjects that fit."""
    return f"""SELECT {_SUMS} FROM progress_counters pc
        WHERE pc.tenant_id = {{tenant}} AND pc.cycle_id = {cycle} AND pc.subject_id {subject}"""


CYCLE_STATS = _summed("{t}.id", "= {t}.id")
"""Of a cycle {t}."""

# Its own counters and those of all below it, as of the opening; nothing where the viewer may not look into it.
UNIT_STATS = _summed("{t}.cycle_id", f"IN ({{t}}.id, {{t}}.unit_id) AND ({{all}} OR {covers('{t}.id', *READERS)})")
"""Of a unit {t} of a cycle with its subtree."""

REPORT_STATS = _summed("{t}.cycle_id", "= {t}.cycle_unit_id")
"""Of a report {t}: all values of its unit, also those that departments fill."""


def leaf_stats(cycle: str, indicator: str) -> str:
    """Of one leaf in a cycle; both are SQL for ids. Values are those of its items, in units that it applies to."""
    return _summed(cycle, f"= {indicator}")


INDICATOR_STATS = f"""
    WITH RECURSIVE upward AS (
        SELECT li.id AS leaf, li.id AS node, li.parent_id FROM indicators li
        WHERE li.tenant_id = {{tenant}} AND li.scheme_version_id = {{t}}.scheme_version_id AND li.leaf
        UNION ALL
        SELECT up.leaf, ui.id, ui.parent_id FROM upward up
        JOIN indicators ui ON ui.tenant_id = {{tenant}} AND ui.id = up.parent_id
    )
    SELECT ni.id AS indicator_id, ni.print_order, {_SUMS}
    FROM indicators ni
    LEFT JOIN upward nu ON nu.node = ni.id
    LEFT JOIN progress_counters pc ON pc.tenant_id = {{tenant}} AND pc.cycle_id = {{t}}.id AND pc.subject_id = nu.leaf
    WHERE ni.tenant_id = {{tenant}} AND ni.scheme_version_id = {{t}}.scheme_version_id
    GROUP BY ni.id, ni.print_order
"""
"""Of every node of a cycle's tree: sums over the leaves below."""

# A unit has reported all when it has submitted once and nothing that it fills itself is outstanding.
CATEGORY_STATS = f"""
    SELECT xc.category_id, xc.position, coalesce(un.unit_count, 0)::int AS unit_count,
           coalesce(un.reported_count, 0)::int AS reported_count, st.*
    FROM cycle_categories xc
    LEFT JOIN (SELECT xu.category_id, count(*) AS unit_count,
                      count(*) FILTER (WHERE xr.first_submitted_at IS NOT NULL AND xo.outstanding = 0) AS reported_count
               FROM cycle_units xu
               LEFT JOIN reports xr ON xr.tenant_id = {{tenant}} AND xr.cycle_unit_id = xu.id
               LEFT JOIN (SELECT pc.subject_id, sum(pc.outstanding) AS outstanding FROM progress_counters pc
                          WHERE pc.tenant_id = {{tenant}} AND pc.cycle_id = {{t}}.id GROUP BY pc.subject_id) xo
                    ON xo.subject_id = xu.id
               WHERE xu.tenant_id = {{tenant}} AND xu.cycle_id = {{t}}.id AND xu.assessed
               GROUP BY xu.category_id) un ON un.category_id = xc.category_id
    CROSS JOIN LATERAL ({_summed("{t}.id", "= xc.category_id")}) st
    WHERE xc.tenant_id = {{tenant}} AND xc.cycle_id = {{t}}.id
"""
"""Of each category of a cycle."""


@value
class ProgressStats:
    """Counters of values and judgements."""

    asked: int = column("Values asked (应填).")
    submitted: int = column("Submitted (已报).")
    submitted_late: int = column("Of these, late (逾期报送).")
    overdue: int = column("Asked, due, and not submitted (逾期未报).")
    ready: int = column("Wait for review (待审核).")
    returned: int = column("Returned and not yet sent again (退回).")
    accepted: int = column("Accepted or adjusted (审核通过).")
    rejected: int = column("Rejected (不予认定).")
    not_applicable: int = column("Not applicable (不适用).")
    inconsistent: int = column("Accepted on an older revision than the present one.")


@value
class IndicatorProgressInfo:
    """A node of the tree with its counters."""

    indicator: "Indicator" = relation("The node.", on={"indicator_id": "id"})
    stats: ProgressStats = embedded("Sums over the leaves below.")


@value
class CategoryProgressInfo:
    """A category with its counters."""

    category: "Category" = relation("The category.", on={"category_id": "id"})
    unit_count: int = column("Units in it.")
    reported_count: int = column("Units that have reported all.")
    stats: ProgressStats = embedded("Counters.")
