"""Units in a cycle, as they were at its opening (参评单位)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Key,
    Node,
    Order,
    Sort,
    column,
    condition,
    described,
    enumeration,
    expression,
    filter_type,
    identifier,
    order_type,
    relation,
    table,
    value,
)
from schema.progress import NOT_SUBMITTED, OVERDUE, UNIT_STATS, ProgressStats
from schema.scope import READERS, covers
from service.reports.rights import REPORT_STATE, REPORT_VISIBLE

if TYPE_CHECKING:
    from schema.cycles.cycles import Cycle
    from schema.directory import Category, OrgUnit
    from schema.reports import Report, ReportState


@enumeration("Who has to act.")
class WaitingParty(Enum):
    """Parties."""

    UNIT = "The assessed unit."
    RESPONSIBLE_UNIT = "A responsible department."
    REVIEWER = "A reviewer."
    ORGANISER = "The organiser."


@value
class WaitingInfo:
    """Who has to act next."""

    party: WaitingParty = column("Which side.")
    unit: "OrgUnit | None" = relation("Which unit.", on={"unit_id": "id"})
    level: int | None = column("Review level, if it waits for review.")
    since: datetime = column("Since when.")
    count: int = column("Over how many tasks or assessments.")


# The assessed unit first, then the lowest level that has something to review, then departments, then who goes on.
_WAITING = f"""
    SELECT wq.* FROM (
        SELECT 1 AS place, 'UNIT' AS party, {{t}}.unit_id AS unit_id, NULL::int AS level,
               min(coalesce(wv.at, wc.opened_at)) AS since, count(*)::int AS count
        FROM tasks wt JOIN cycles wc ON wc.tenant_id = {{tenant}} AND wc.id = wt.cycle_id
        LEFT JOIN reviews wv ON wv.tenant_id = {{tenant}} AND wv.id = wt.return_review_id
        WHERE wt.tenant_id = {{tenant}} AND wt.cycle_unit_id = {{t}}.id AND wt.filler = 'UNIT'
          AND wt.state IN {NOT_SUBMITTED} AND wt.closes_at > now()
        UNION ALL
        SELECT 2, 'REVIEWER', NULL, wa.level, min(wa.ready_since), count(*)::int
        FROM assessments wa JOIN indicators wi ON wi.tenant_id = {{tenant}} AND wi.id = wa.indicator_id
        WHERE wa.tenant_id = {{tenant}} AND wa.cycle_unit_id = {{t}}.id AND wa.state = 'READY'
          AND wi.rule ->> 'kind' <> 'AWARD' GROUP BY wa.level
        UNION ALL
        SELECT 3, 'RESPONSIBLE_UNIT', wt.responsible_unit_id, NULL, min(wc.opened_at), count(*)::int
        FROM tasks wt JOIN cycles wc ON wc.tenant_id = {{tenant}} AND wc.id = wt.cycle_id
        WHERE wt.tenant_id = {{tenant}} AND wt.cycle_unit_id = {{t}}.id AND wt.filler = 'RESPONSIBLE_UNIT'
          AND wt.state IN {NOT_SUBMITTED} AND wt.closes_at > now() GROUP BY wt.responsible_unit_id
        UNION ALL
        SELECT 4, 'RESPONSIBLE_UNIT', wr.unit_id, NULL, min(wa.ready_since), count(*)::int
        FROM assessments wa JOIN indicators wi ON wi.tenant_id = {{tenant}} AND wi.id = wa.indicator_id
        LEFT JOIN indicator_responsibles wr ON wr.tenant_id = {{tenant}} AND wr.indicator_id = wi.id AND wr.position = 0
        WHERE wa.tenant_id = {{tenant}} AND wa.cycle_unit_id = {{t}}.id AND wa.state = 'READY'
          AND wi.rule ->> 'kind' = 'AWARD' GROUP BY wr.unit_id
        UNION ALL
        SELECT 5, 'ORGANISER', NULL, NULL, max(wa.settled_at), count(*)::int
        FROM assessments wa JOIN cycles wc ON wc.tenant_id = {{tenant}} AND wc.id = wa.cycle_id
        WHERE wa.tenant_id = {{tenant}} AND wa.cycle_unit_id = {{t}}.id AND wc.state IN ('OPEN', 'REVIEWING')
        HAVING bool_and(wa.state NOT IN ('WAITING', 'READY', 'RETURNED')) AND max(wa.settled_at) IS NOT NULL
    ) wq
    WHERE wq.count > 0 AND ({{all}} OR {covers("{t}.id", *READERS)})
"""


@table("cycle_units", plural="units of a cycle")
class CycleUnit(Node):
    """A unit in a cycle, with name, place and category as of its opening (参评单位); also unassessed units above."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    unit: "OrgUnit" = relation("The unit as it is now.", on={"unit_id": "id"})
    code: str = column("Code at opening.")
    name: str = column("Name at opening.")
    parent: "CycleUnit | None" = relation("Unit above at opening.", on={"parent_id": "id"})
    path_names: list[str] = column("Names from the root down, itself included.")
    category: "Category | None" = relation(
        "Category at opening; null where it is not assessed.", on={"category_id": "id"}
    )
    category_name: str | None = column("Name of that category at opening.")
    assessed: bool = column("Whether it is assessed in the cycle.")
    closed_on: date | None = expression(
        "Day on which the unit ended, if it has.",
        """(SELECT co.valid_to FROM org_units co WHERE co.tenant_id = {tenant} AND co.id = {t}.unit_id
            AND co.valid_to < {today})""",
    )
    report: "Report | None" = relation("Its report; null if hidden or not assessed.", on={"id": "cycle_unit_id"})
    stats: ProgressStats = relation(
        "Its own counters, of an inner unit those of its subtree; nothing is counted where the viewer may not look in.",
        rows=UNIT_STATS,
    )
    waiting_for: WaitingInfo | None = relation(
        "Who has to act next (等待环节); null where nobody has to, or it is hidden.",
        rows=_WAITING,
        order="{r}.place, {r}.level, {r}.count DESC, {r}.unit_id",
    )


_UNIT_TASKS = "FROM tasks ct WHERE ct.tenant_id = {tenant} AND ct.cycle_unit_id = {r}.id AND ct.filler <> 'SYSTEM'"

_SEEN = f"({{all}} OR {covers('{r}.id', *READERS)})"

_OWN = """FROM progress_counters pc
    WHERE pc.tenant_id = {tenant} AND pc.cycle_id = {r}.cycle_id AND pc.subject_id = {r}.id"""

_OVERDUE = f"(SELECT {OVERDUE} {_OWN} AND {_SEEN})"

_SHARE = f"coalesce((SELECT 1000000 * sum(pc.submitted) / nullif(sum(pc.asked), 0) {_OWN} AND {_SEEN}), 0)"


@enumeration("What units of a cycle can be sorted by.")
class CycleUnitOrderField(Enum):
    """Orders of units."""

    CODE = Sort("By code.", (Key("{r}.code"),))
    TREE = Sort("By place in the tree.", (Key("{r}.tree_path"),))
    OVERDUE = Sort("By number of overdue values of its own.", (Key(_OVERDUE, "bigint"),))
    SUBMITTED_SHARE = Sort("By share submitted of its own values.", (Key(_SHARE, "bigint"),))


@order_type
class CycleUnitOrder(Order):
    """An order of units of a cycle."""

    field: CycleUnitOrderField = described("What to sort by.")


@filter_type
class CycleUnitFilter:
    """Which units of a cycle."""

    under_id: ID | None = condition(
        "In the subtree of this organisation unit at opening.",
        """EXISTS (SELECT 1 FROM cycle_unit_ancestors fa WHERE fa.tenant_id = {tenant} AND fa.cycle_unit_id = {r}.id
           AND fa.ancestor_id = {value})""",
        of="OrgUnit",
    )
    category_ids: list[ID] | None = condition("Of these categories.", "{r}.category_id = ANY({value})", of="Category")
    search: str | None = condition(
        "Code or name contains this.", "({r}.code ILIKE {value} OR {r}.name ILIKE {value})", contains=True
    )
    assessed: bool | None = condition("Only assessed ones, or only the others.", "{r}.assessed = {value}")
    has_overdue: bool | None = condition(
        "Only with, or without, overdue values of their own.", f"({_OVERDUE} > 0) = {{value}}"
    )
    has_returned: bool | None = condition(
        "Only with, or without, returned values of their own.",
        f"EXISTS (SELECT 1 {_UNIT_TASKS} AND ct.state = 'RETURNED' AND {_SEEN}) = {{value}}",
    )
    report_states: "list[ReportState] | None" = condition(
        "With a report in these states.",
        f"""EXISTS (SELECT 1 FROM reports rs WHERE rs.tenant_id = {{tenant}} AND rs.cycle_unit_id = {{r}}.id
            AND {REPORT_VISIBLE.replace("{t}", "rs")} AND {REPORT_STATE.replace("{t}", "rs")} = ANY({{value}}))""",
    )
