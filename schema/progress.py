"""Counters of a cycle (进度统计), counted when asked for: over all units, a unit's subtree, a leaf, a category.

All of it is a handful of set-wise queries in this one place. Values are counted by their tasks, judgements by their
assessments; what the program fills itself is not asked of anybody.
"""

from typing import TYPE_CHECKING

from schema.mapping import column, embedded, relation, value
from schema.scope import READERS, covers

if TYPE_CHECKING:
    from schema.directory import Category
    from schema.schemes import Indicator

NOT_SUBMITTED = "('OPEN', 'DRAFTED', 'RETURNED', 'MISSED')"
"""States of a task that has no submitted value in force."""

_TASKS = f"""
    count(*) FILTER (WHERE pt.filler <> 'SYSTEM')::int AS asked,
    count(*) FILTER (WHERE pt.filler <> 'SYSTEM' AND pt.state IN ('SUBMITTED', 'SETTLED'))::int AS submitted,
    count(*) FILTER (WHERE pt.filler <> 'SYSTEM' AND pt.state IN ('SUBMITTED', 'SETTLED') AND pt.days_late > 0)::int
        AS submitted_late,
    count(*) FILTER (WHERE pt.filler <> 'SYSTEM' AND pt.state IN {NOT_SUBMITTED} AND pt.due_at <= now())::int AS overdue
"""
_ASSESSMENTS = """
    count(*) FILTER (WHERE pa.state = 'READY')::int AS ready,
    count(*) FILTER (WHERE pa.state = 'RETURNED')::int AS returned,
    count(*) FILTER (WHERE pa.state IN ('ACCEPTED', 'ADJUSTED'))::int AS accepted,
    count(*) FILTER (WHERE pa.state = 'REJECTED')::int AS rejected,
    count(*) FILTER (WHERE pa.state = 'NOT_APPLICABLE')::int AS not_applicable,
    count(*) FILTER (WHERE pa.changes_since_accepted > 0)::int AS inconsistent
"""
_TASK_COLUMNS = ("asked", "submitted", "submitted_late", "overdue")
_ASSESSMENT_COLUMNS = ("ready", "returned", "accepted", "rejected", "not_applicable", "inconsistent")


def _sums(alias: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"coalesce(sum({alias}.{name}), 0)::int AS {name}" for name in columns)


def _values(alias: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"coalesce({alias}.{name}, 0)::int AS {name}" for name in columns)


def _counted(tasks: str, assessments: str) -> str:
    """One row of counters: of the tasks `pt` and of the assessments `pa` that fit."""
    return f"""SELECT kt.*, ka.*
        FROM (SELECT {_TASKS} FROM tasks pt WHERE pt.tenant_id = {{tenant}} AND {tasks}) kt
        CROSS JOIN (SELECT {_ASSESSMENTS} FROM assessments pa WHERE pa.tenant_id = {{tenant}} AND {assessments}) ka"""


CYCLE_STATS = _counted("pt.cycle_id = {t}.id", "pa.cycle_id = {t}.id")
"""Of a cycle {t}."""

# Of a unit of a cycle: itself and all below it, as of the opening; nothing where the viewer may not look into it.
_BELOW = f"""IN (SELECT xb.id FROM cycle_unit_ancestors xa
    JOIN cycle_units xb ON xb.tenant_id = xa.tenant_id AND xb.id = xa.cycle_unit_id AND xb.cycle_id = {{t}}.cycle_id
    WHERE xa.tenant_id = {{tenant}} AND xa.ancestor_id = {{t}}.unit_id
      AND ({{all}} OR {covers("{t}.id", *READERS)}))"""

UNIT_STATS = _counted(f"pt.cycle_unit_id {_BELOW}", f"pa.cycle_unit_id {_BELOW}")
"""Of a unit {t} of a cycle with its subtree."""

REPORT_STATS = _counted("pt.cycle_unit_id = {t}.cycle_unit_id", "pa.cycle_unit_id = {t}.cycle_unit_id")
"""Of a report {t}: all values of its unit, also those that departments fill."""


def leaf_stats(cycle: str, indicator: str) -> str:
    """Of one leaf in a cycle; both are SQL for ids. Tasks are those of its items, in units that it applies to."""
    return _counted(
        f"""pt.cycle_id = {cycle}
            AND pt.data_item_id IN (SELECT xi.data_item_id FROM indicator_items xi
                                    WHERE xi.tenant_id = {{tenant}} AND xi.indicator_id = {indicator})
            AND pt.cycle_unit_id IN (SELECT xl.cycle_unit_id FROM assessments xl
                                     WHERE xl.tenant_id = {{tenant}} AND xl.cycle_id = {cycle}
                                       AND xl.indicator_id = {indicator})""",
        f"pa.cycle_id = {cycle} AND pa.indicator_id = {indicator}",
    )


# A leaf applies to a category where its units have assessments of it; an item counts there for each of its leaves.
INDICATOR_STATS = f"""
    WITH RECURSIVE task_sums AS (
        SELECT pt.data_item_id, xu.category_id, {_TASKS}
        FROM tasks pt JOIN cycle_units xu ON xu.tenant_id = {{tenant}} AND xu.id = pt.cycle_unit_id
        WHERE pt.tenant_id = {{tenant}} AND pt.cycle_id = {{t}}.id GROUP BY pt.data_item_id, xu.category_id
    ),
    assessment_sums AS (
        SELECT pa.indicator_id, xu.category_id, {_ASSESSMENTS}
        FROM assessments pa JOIN cycle_units xu ON xu.tenant_id = {{tenant}} AND xu.id = pa.cycle_unit_id
        WHERE pa.tenant_id = {{tenant}} AND pa.cycle_id = {{t}}.id GROUP BY pa.indicator_id, xu.category_id
    ),
    leaves AS (
        SELECT la.indicator_id, {", ".join(f"la.{name}" for name in _ASSESSMENT_COLUMNS)},
               {", ".join(f"lt.{name}" for name in _TASK_COLUMNS)}
        FROM assessment_sums la CROSS JOIN LATERAL (
            SELECT {_sums("xt", _TASK_COLUMNS)} FROM indicator_items xi
            JOIN task_sums xt ON xt.data_item_id = xi.data_item_id AND xt.category_id = la.category_id
            WHERE xi.tenant_id = {{tenant}} AND xi.indicator_id = la.indicator_id
        ) lt
    ),
    upward AS (
        SELECT li.id AS leaf, li.id AS node, li.parent_id FROM indicators li
        WHERE li.tenant_id = {{tenant}} AND li.scheme_version_id = {{t}}.scheme_version_id AND li.leaf
        UNION ALL
        SELECT up.leaf, ui.id, ui.parent_id FROM upward up
        JOIN indicators ui ON ui.tenant_id = {{tenant}} AND ui.id = up.parent_id
    )
    SELECT ni.id AS indicator_id, ni.print_order, {_sums("nl", _TASK_COLUMNS)}, {_sums("nl", _ASSESSMENT_COLUMNS)}
    FROM indicators ni
    LEFT JOIN upward nu ON nu.node = ni.id LEFT JOIN leaves nl ON nl.indicator_id = nu.leaf
    WHERE ni.tenant_id = {{tenant}} AND ni.scheme_version_id = {{t}}.scheme_version_id
    GROUP BY ni.id, ni.print_order
"""
"""Of every node of a cycle's tree: sums over the leaves below."""

CATEGORY_STATS = f"""
    SELECT xc.category_id, xc.position, coalesce(un.unit_count, 0)::int AS unit_count,
           coalesce(un.reported_count, 0)::int AS reported_count,
           {_values("tn", _TASK_COLUMNS)}, {_values("an", _ASSESSMENT_COLUMNS)}
    FROM cycle_categories xc
    LEFT JOIN (SELECT xu.category_id, count(*) AS unit_count,
                      count(*) FILTER (WHERE EXISTS (SELECT 1 FROM reports xr WHERE xr.tenant_id = {{tenant}}
                                                     AND xr.cycle_unit_id = xu.id AND xr.first_submitted_at IS NOT NULL)
                                       AND NOT EXISTS (SELECT 1 FROM tasks xo WHERE xo.tenant_id = {{tenant}}
                                                       AND xo.cycle_unit_id = xu.id AND xo.filler = 'UNIT'
                                                       AND xo.state IN {NOT_SUBMITTED})) AS reported_count
               FROM cycle_units xu WHERE xu.tenant_id = {{tenant}} AND xu.cycle_id = {{t}}.id AND xu.assessed
               GROUP BY xu.category_id) un ON un.category_id = xc.category_id
    LEFT JOIN (SELECT xu.category_id, {_TASKS}
               FROM tasks pt JOIN cycle_units xu ON xu.tenant_id = {{tenant}} AND xu.id = pt.cycle_unit_id
               WHERE pt.tenant_id = {{tenant}} AND pt.cycle_id = {{t}}.id
               GROUP BY xu.category_id) tn ON tn.category_id = xc.category_id
    LEFT JOIN (SELECT xu.category_id, {_ASSESSMENTS}
               FROM assessments pa JOIN cycle_units xu ON xu.tenant_id = {{tenant}} AND xu.id = pa.cycle_unit_id
               WHERE pa.tenant_id = {{tenant}} AND pa.cycle_id = {{t}}.id
               GROUP BY xu.category_id) an ON an.category_id = xc.category_id
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
