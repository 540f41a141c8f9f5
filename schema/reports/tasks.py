"""Tasks, and why one is closed (填报任务)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.keyset import UNIT_CODE
from schema.mapping import (
    ID,
    Key,
    Node,
    Order,
    Sort,
    column,
    condition,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    listing,
    order_type,
    relation,
    table,
    value,
)
from schema.scalars import DateText
from schema.values import back_to_task, instant, quoted, said
from service.errors import ErrorCode
from service.reports.rights import (
    FILLS_SIDE,
    LOCK_CONTACT_UNIT,
    LOCK_SINCE,
    LOCKS,
    TASK_LOCK,
    TASK_STATE,
    TASK_VISIBLE,
    WRITABLE_STATES,
    of_lock,
)

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.directory import OrgUnit
    from schema.errors import Contact
    from schema.items import DataItem
    from schema.reports.entries import Entry
    from schema.reports.reports import Report
    from schema.reviews import Review
    from schema.schemes import Indicator


@enumeration("Who fills a task.")
class Filler(Enum):
    """Sides that fill tasks."""

    UNIT = "The assessed unit."
    RESPONSIBLE_UNIT = "The responsible department."
    SYSTEM = "Assigned before the opening."


@enumeration("Where a task stands.")
class TaskState(Enum):
    """States of a task."""

    OPEN = "Nothing submitted yet."
    DRAFTED = "A draft is there."
    SUBMITTED = "Submitted."
    RETURNED = "Came back, to be sent again."
    SETTLED = "All leaves that use it have been judged."
    MISSED = "Closed without a submission (逾期未报)."


_LOCK = f"""(SELECT CASE WHEN lk.name IS NOT NULL THEN jsonb_build_object(
        'code', {of_lock("lk.name", {name: quoted(lock.code.value) for name, lock in LOCKS.items()})},
        'message', {of_lock("lk.name", {name: said(lock.text) for name, lock in LOCKS.items()})},
        'since', {instant(of_lock("lk.name", LOCK_SINCE))},
        'contacts', jsonb_build_array(jsonb_build_object(
            'role', {of_lock("lk.name", {name: quoted(lock.contact[0]) for name, lock in LOCKS.items()})},
            'unit_id', {of_lock("lk.name", LOCK_CONTACT_UNIT)}, 'display_name', NULL))) END
    FROM (SELECT {TASK_LOCK} AS name) lk)"""

_PLACE = Key(
    "vi.position",
    "bigint",
    joined="""JOIN scheme_version_items vi ON vi.tenant_id = {tenant} AND vi.data_item_id = {r}.data_item_id
              AND vi.scheme_version_id = {r}.scheme_version_id""",
)

WORK_FIRST = "array_position(ARRAY['RETURNED', 'DRAFTED', 'OPEN', 'MISSED', 'SUBMITTED', 'SETTLED'], {state})"


@value
class TaskLockInfo:
    """Why a task is closed to the viewer: never just "locked"."""

    code: ErrorCode = column("DEADLINE_PASSED, ILLEGAL_STATE, UNIT_CLOSED or FORBIDDEN.")
    message: str = column("In words.")
    since: datetime | None = column("Since when.")
    contacts: "list[Contact]" = document("Who can help.")


@value
class ReturnInfo:
    """Why something came back."""

    review: "Review | None" = relation("The review that returned it.", on={"review_id": "id"})
    indicator: "Indicator" = relation("For which leaf.", on={"indicator_id": "id"})
    reason: str = column("Why.")
    at: datetime = column("When.")
    due_on: date = column("Until which day it must be sent again.")


@enumeration("What tasks can be sorted by.")
class TaskOrderField(Enum):
    """Orders of tasks."""

    DUE = Sort(
        "By due instant, then by the data item's place in the scheme.",
        (Key("{r}.due_at", "timestamptz"), Key("{r}.position", "bigint")),
    )
    UNIT = Sort("By code of the unit.", (UNIT_CODE,))
    ITEM = Sort("By the data item's place in the scheme.", (_PLACE,))
    STATE = Sort(
        "By state, what needs work first.",
        (Key(WORK_FIRST.format(state="(" + TASK_STATE.replace("{t}", "{r}") + ")"), "bigint"),),
    )


@order_type
class TaskOrder(Order):
    """An order of tasks."""

    field: TaskOrderField = described("What to sort by.")


@filter_type
class TaskFilter:
    """Which tasks."""

    cycle_id: ID | None = condition("In this cycle.", "{r}.cycle_id = {value}", of="Cycle")
    states: list[TaskState] | None = condition(
        "In these states.", f"({TASK_STATE.replace('{t}', '{r}')}) = ANY({{value}})"
    )
    unit_id: ID | None = condition(
        "About this organisation unit.",
        """{r}.cycle_unit_id = ANY (ARRAY(SELECT fu.id FROM cycle_units fu
           WHERE fu.tenant_id = {tenant} AND fu.unit_id = {value}))""",
        of="OrgUnit",
    )
    under_id: ID | None = condition(
        "About units in this one's subtree.",
        """{r}.cycle_unit_id IN (SELECT fa.cycle_unit_id FROM cycle_unit_ancestors fa
           WHERE fa.tenant_id = {tenant} AND fa.ancestor_id = {value})""",
        of="OrgUnit",
    )
    category_ids: list[ID] | None = condition(
        "About units of these categories.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
           AND fu.category_id = ANY({value}))""",
        of="Category",
    )
    data_item_ids: list[ID] | None = condition(
        "For these data items.", "{r}.data_item_id = ANY({value})", of="DataItem"
    )
    responsible_unit_id: ID | None = condition(
        "Filled by this department.", "{r}.responsible_unit_id = {value}", of="OrgUnit"
    )
    fillers: list[Filler] | None = condition("Filled by these sides.", "{r}.filler = ANY({value})")
    due_before: DateText | None = condition("Due before this day.", "{r}.due_on < {value}")
    overdue: bool | None = condition(
        "Only overdue ones, or only the others.",
        f"({{r}}.state IN {WRITABLE_STATES} AND {{r}}.due_at <= now()) = {{value}}",
    )
    search: str | None = condition(
        "Unit or item contains this.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
               AND (fu.code ILIKE {value} OR fu.name ILIKE {value}))
           OR EXISTS (SELECT 1 FROM scheme_version_items fi WHERE fi.tenant_id = {tenant}
               AND fi.scheme_version_id = {r}.scheme_version_id AND fi.data_item_id = {r}.data_item_id
               AND (fi.code ILIKE {value} OR fi.name ILIKE {value}))""",
        contains=True,
    )


@table("tasks", plural="tasks", visible=TASK_VISIBLE)
class Task(Node):
    """One value that a cycle asks of somebody: unit × data item × period (填报任务)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    unit: "CycleUnit" = relation("The unit it is about.", on={"cycle_unit_id": "id"})
    data_item: "DataItem" = relation(
        "What is asked, as the cycle's scheme version pinned it.",
        rows="""SELECT pi.tenant_id, pi.data_item_id AS id, pi.code, pi.name, di.name_key, pi.definition, pi.type,
                       pi.unit_of_measure, pi.scale, pi.minimum, pi.maximum, pi.options, pi.source, pi.personal,
                       di.active, di.version
                FROM scheme_version_items pi
                LEFT JOIN data_items di ON di.tenant_id = pi.tenant_id AND di.id = pi.data_item_id
                WHERE pi.tenant_id = {tenant} AND pi.scheme_version_id = {t}.scheme_version_id
                  AND pi.data_item_id = {t}.data_item_id""",
    )
    period: str | None = expression("Such as 2026-03 or 2026-Q1; null where asked once.", "NULL::text")
    filler: Filler = column("Who fills it.")
    responsible_unit: "OrgUnit | None" = relation(
        "Which department, if one fills it.", on={"responsible_unit_id": "id"}
    )
    state: TaskState = expression("Where it stands.", TASK_STATE)
    due_on: date = column("Its own last day: with extension, return, and the unit's calendar.")
    due_at: datetime = column("The exclusive instant after it.")
    closes_at: datetime = column("When grace ends too, and entries are refused.")
    days_late: int = expression(
        "Days late, of the submission or as of now.",
        f"""CASE WHEN {{t}}.state IN {WRITABLE_STATES} THEN greatest({{t}}.days_late, {{today}} - {{t}}.due_on)
            ELSE {{t}}.days_late END""",
    )
    editable: bool = expression("Whether the viewer may write now.", f"({TASK_LOCK}) IS NULL")
    lock: TaskLockInfo | None = document("Why not, since when, and who can help; null where editable.", sql=_LOCK)
    entry: "Entry | None" = relation(
        "The value; null before the first, or if hidden.",
        on={"id": "task_id"},
        where=f"({{r}}.state = 'SUBMITTED' OR {FILLS_SIDE})",
        seen=True,
        when="{t}.state <> 'OPEN'",
        back=back_to_task("{t}.task_id"),
    )
    returned: ReturnInfo | None = relation(
        "Why it came back, where it is open for that (退回原因).",
        rows="""SELECT rv.id AS review_id, ra.indicator_id, rv.reason, rv.at, rv.due_on FROM reviews rv
                JOIN assessments ra ON ra.tenant_id = rv.tenant_id AND ra.id = rv.assessment_id
                WHERE rv.tenant_id = {tenant} AND rv.id = {t}.return_review_id AND {t}.state = 'RETURNED'""",
    )
    indicators: "list[Indicator]" = listing(
        "Leaves that use the value.",
        where="""{r}.id IN (SELECT ua.indicator_id FROM indicator_items ui
                 JOIN assessments ua ON ua.tenant_id = ui.tenant_id AND ua.indicator_id = ui.indicator_id
                      AND ua.cycle_unit_id = {t}.cycle_unit_id
                 WHERE ui.tenant_id = {tenant} AND ui.data_item_id = {t}.data_item_id)""",
        order="{r}.print_order",
    )
    evidence_reason: str | None = expression(
        "Why a file is asked for; null means none is.",
        """(SELECT string_agg(er.evidence_reason, E'\\n' ORDER BY er.print_order) FROM indicator_items ei
            JOIN assessments ea ON ea.tenant_id = ei.tenant_id AND ea.indicator_id = ei.indicator_id
                 AND ea.cycle_unit_id = {t}.cycle_unit_id
            JOIN indicators er ON er.tenant_id = ei.tenant_id AND er.id = ei.indicator_id
            WHERE ei.tenant_id = {tenant} AND ei.data_item_id = {t}.data_item_id)""",
    )
    report: "Report | None" = relation(
        "Report it belongs to; null where a department fills it, or it was assigned.", on={"report_id": "id"}
    )
