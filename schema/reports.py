"""Tasks, entries and reports as frontends see them (填报任务、填报值、填报表)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from strawberry import UNSET

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    connection,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    listing,
    one_of,
    order_type,
    payload,
    query,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, mutation
from schema.progress import REPORT_STATS
from schema.scalars import DateText, DecimalText
from schema.values import PARTS_SHOWN, VALUE_TYPES, EntryValue, instant, of_task, quoted, said, value_json, value_words
from service import reports
from service.access import Actor as Caller
from service.errors import ErrorCode
from service.reports import Content, EntrySpec
from service.reports.rights import (
    FILLING_STATES,
    FILLS_SIDE,
    HELD,
    LOCK_CONTACT_UNIT,
    LOCK_SINCE,
    LOCKS,
    OWN_UNIT,
    REPORT_STATE,
    REPORT_VISIBLE,
    TASK_LOCK,
    TASK_NARROWED,
    TASK_STATE,
    TASK_VISIBLE,
    WRITABLE_STATES,
    of_lock,
)
from service.reports.submission import SUBMITTABLE
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit, StateIssue
    from schema.directory import OrgUnit
    from schema.errors import Contact
    from schema.events import Event
    from schema.items import DataItem, DataSource
    from schema.members import Actor
    from schema.progress import ProgressStats
    from schema.rankings import Standing
    from schema.reviews import Assessment, Review
    from schema.schemes import Indicator

T = TypeVar("T")


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


@enumeration("Life of an entry.")
class EntryState(Enum):
    """States of an entry."""

    DRAFT = "Only its author's side sees it."
    SUBMITTED = "Sent."


@enumeration("Where a report stands.")
class ReportState(Enum):
    """States of a report."""

    UNTOUCHED = "Nothing entered."
    DRAFTED = "Drafts only."
    PARTLY_SUBMITTED = "Some submitted."
    SUBMITTED = "All submitted, review not finished."
    RETURNED = "At least one leaf came back."
    SETTLED = "All leaves judged."


_LOCK = f"""(SELECT CASE WHEN lk.name IS NOT NULL THEN jsonb_build_object(
        'code', {of_lock("lk.name", {name: quoted(lock.code.value) for name, lock in LOCKS.items()})},
        'message', {of_lock("lk.name", {name: said(lock.text) for name, lock in LOCKS.items()})},
        'since', {instant(of_lock("lk.name", LOCK_SINCE))},
        'contacts', jsonb_build_array(jsonb_build_object(
            'role', {of_lock("lk.name", {name: quoted(lock.contact[0]) for name, lock in LOCKS.items()})},
            'unit_id', {of_lock("lk.name", LOCK_CONTACT_UNIT)}, 'display_name', NULL))) END
    FROM (SELECT {TASK_LOCK} AS name) lk)"""

_UNIT_CODE = (
    '(SELECT uo.code FROM cycle_units uo WHERE uo.tenant_id = {tenant} AND uo.id = {r}.cycle_unit_id) COLLATE "C"'
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

    DUE = Sort("By due instant.", (Key("{r}.due_at", "timestamptz"),))
    UNIT = Sort("By code of the unit.", (Key(_UNIT_CODE),))
    ITEM = Sort("By the data item's place in the scheme.", (Key("{r}.position", "bigint"),))
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
           OR EXISTS (SELECT 1 FROM cycles fc JOIN scheme_version_items fi ON fi.tenant_id = fc.tenant_id
               AND fi.scheme_version_id = fc.scheme_version_id AND fi.data_item_id = {r}.data_item_id
               WHERE fc.tenant_id = {tenant} AND fc.id = {r}.cycle_id
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
        rows="""SELECT px.* FROM cycles pc
                JOIN scheme_version_items pi ON pi.tenant_id = pc.tenant_id
                     AND pi.scheme_version_id = pc.scheme_version_id AND pi.data_item_id = {t}.data_item_id
                JOIN data_items di ON di.tenant_id = pi.tenant_id AND di.id = pi.data_item_id
                CROSS JOIN LATERAL jsonb_populate_record(di, to_jsonb(pi) - 'position') px
                WHERE pc.tenant_id = {tenant} AND pc.id = {t}.cycle_id""",
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
    entry: "Entry | None" = relation("The value; null before the first, or if hidden.", on={"id": "task_id"})
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


@value
class EntryWarning:
    """Something odd about a value, to be confirmed or mended."""

    key: str = column("Names it in submitReport's confirmedWarnings; changes with the value.")
    message: str = column("In words.")
    hint: str | None = column("What to do.")
    confirmed: bool = column("Whether it was confirmed.")


@value
class PreviousValueInfo:
    """A value of an earlier cycle."""

    cycle: "Cycle" = relation("Which cycle.", on={"cycle_id": "id"})
    value: EntryValue = document("The value.", variants=VALUE_TYPES)
    display: str = column("As people read it.")


def findings(where: str, finding: str) -> str:
    """SQL for a list of findings as JSON: of assessments `fa` that fit, those findings `ff` that fit.

    What speaks of a draft is shown to the side that wrote it, and to nobody else.
    """
    return f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('key', ff.v ->> 'key', 'code', 'INVALID',
            'message', CASE {{language}} WHEN 'EN' THEN ff.v ->> 'en' ELSE ff.v ->> 'zh' END,
            'hint', CASE {{language}} WHEN 'EN' THEN ff.v ->> 'hintEn' ELSE ff.v ->> 'hintZh' END,
            'confirmed', ff.v -> 'confirmed') ORDER BY fi.print_order, ff.n), '[]')
        FROM assessments fa
        JOIN indicators fi ON fi.tenant_id = fa.tenant_id AND fi.id = fa.indicator_id
        CROSS JOIN LATERAL jsonb_array_elements(fa.findings) WITH ORDINALITY AS ff(v, n)
        WHERE fa.tenant_id = {{tenant}} AND {where} AND {finding}
          AND NOT EXISTS (SELECT 1 FROM tasks qt
              JOIN entries qe ON qe.tenant_id = qt.tenant_id AND qe.task_id = qt.id AND qe.state = 'DRAFT'
              WHERE qt.tenant_id = {{tenant}} AND qt.cycle_unit_id = fa.cycle_unit_id
                AND ff.v -> 'dataItemIds' ? qt.data_item_id::text AND NOT {FILLS_SIDE.replace("{t}", "qt")}))"""


_ENTRY_VALUE = of_task("{t}.task_id", value_json("{t}.number", "{t}.detail", PARTS_SHOWN))
_ENTRY_WORDS = of_task("{t}.task_id", value_words("{t}.number", "{t}.detail", PARTS_SHOWN))

_PREVIOUS = f"""SELECT px.cycle_id, px.value, px.display FROM (
        SELECT pt.cycle_id, {value_json("pr.number", "pr.detail", "NOT si.personal")} AS value,
               {value_words("pr.number", "pr.detail", "NOT si.personal")} AS display
        FROM tasks nt
        JOIN cycles nc ON nc.tenant_id = nt.tenant_id AND nc.id = nt.cycle_id
        JOIN cycle_units nu ON nu.tenant_id = nt.tenant_id AND nu.id = nt.cycle_unit_id
        JOIN cycle_units pu ON pu.tenant_id = nc.tenant_id AND pu.cycle_id = nc.previous_cycle_id
             AND pu.unit_id = nu.unit_id
        JOIN cycles pc ON pc.tenant_id = nc.tenant_id AND pc.id = nc.previous_cycle_id
        JOIN tasks pt ON pt.tenant_id = pu.tenant_id AND pt.cycle_unit_id = pu.id AND pt.data_item_id = nt.data_item_id
        JOIN scheme_version_items si ON si.tenant_id = pc.tenant_id AND si.scheme_version_id = pc.scheme_version_id
             AND si.data_item_id = pt.data_item_id
        CROSS JOIN LATERAL (SELECT pa.settled_numbers[pi.position + 1] AS number,
                                   nullif(pa.settled_details -> pi.position, 'null') AS detail
            FROM indicator_items pi
            JOIN assessments pa ON pa.tenant_id = pi.tenant_id AND pa.indicator_id = pi.indicator_id
                 AND pa.cycle_unit_id = pt.cycle_unit_id AND pa.state IN ('ACCEPTED', 'ADJUSTED')
            WHERE pi.tenant_id = pt.tenant_id AND pi.data_item_id = pt.data_item_id
            ORDER BY pa.settled_at DESC LIMIT 1) pr
        WHERE nt.tenant_id = {{tenant}} AND nt.id = {{t}}.task_id) px WHERE px.value IS NOT NULL"""


@table(
    "entries",
    plural="entries",
    visible=f"""EXISTS (SELECT 1 FROM tasks xt WHERE xt.tenant_id = {{tenant}} AND xt.id = {{t}}.task_id
        AND {TASK_VISIBLE.replace("{t}", "xt")}
        AND ({{t}}.state = 'SUBMITTED' OR {FILLS_SIDE.replace("{t}", "xt")}))""",
)
class Entry(Node):
    """A value for one task, with all its revisions (填报值)."""

    id: ID = identifier()
    task: Task = relation("Which task.", on={"task_id": "id"})
    state: EntryState = column("Draft or submitted.")
    value: EntryValue | None = document("The value; null where it is hidden.", sql=_ENTRY_VALUE, variants=VALUE_TYPES)
    display: str = expression("The value as people read it, with its unit of measure.", _ENTRY_WORDS)
    source: "DataSource" = column("How it came.")
    note: str | None = column("Remark of who filled it.")
    by: "Actor | None" = relation(
        "Who wrote the present revision; null for the system.", on={"by_id": "id"}, variants=ACTOR_TYPES
    )
    at: datetime = column("When.")
    revision: int = column("Number of the present revision.")
    revisions: "Connection[EntryRevision]" = connection(
        "All revisions, newest first.",
        on={"id": "entry_id"},
        default=[Key("{r}.revision", "bigint", descending=True)],
    )
    previous: PreviousValueInfo | None = relation("The last cycle's settled value.", rows=_PREVIOUS)
    warnings: list[EntryWarning] = document(
        "What looks odd, such as more attendants than members.",
        sql=f"""(SELECT {
            findings("fa.cycle_unit_id = wt.cycle_unit_id", "ff.v -> 'dataItemIds' ? wt.data_item_id::text")
        } FROM tasks wt WHERE wt.tenant_id = {{tenant}} AND wt.id = {{t}}.task_id)""",
    )
    submitted_at: datetime | None = column("When it was last submitted.")
    days_late: int = column("Days late.")
    version: int = column("Rises with each change.")


@table(
    "entry_revisions",
    plural="revisions of an entry",
    visible=f"""EXISTS (SELECT 1 FROM entries xe JOIN tasks xt ON xt.tenant_id = xe.tenant_id AND xt.id = xe.task_id
        WHERE xe.tenant_id = {{tenant}} AND xe.id = {{t}}.entry_id AND {TASK_VISIBLE.replace("{t}", "xt")}
          AND ({{t}}.id = xe.submitted_revision_id OR {FILLS_SIDE.replace("{t}", "xt")}
               OR EXISTS (SELECT 1 FROM assessments xa
                    JOIN reviews xr ON xr.tenant_id = xa.tenant_id AND xr.assessment_id = xa.id
                    WHERE xa.tenant_id = {{tenant}} AND xa.cycle_unit_id = xt.cycle_unit_id
                      AND {{t}}.id = ANY (xr.revision_ids))))""",
)
class EntryRevision(Node):
    """One write of an entry; never changed."""

    id: ID = identifier()
    number: int = column("1, 2, 3 …", "revision")
    value: EntryValue | None = document(
        "The value written.",
        sql=of_task(
            "(SELECT ve.task_id FROM entries ve WHERE ve.tenant_id = {tenant} AND ve.id = {t}.entry_id)",
            value_json("{t}.number", "{t}.detail", PARTS_SHOWN),
        ),
        variants=VALUE_TYPES,
    )
    display: str = expression(
        "As people read it.",
        of_task(
            "(SELECT ve.task_id FROM entries ve WHERE ve.tenant_id = {tenant} AND ve.id = {t}.entry_id)",
            value_words("{t}.number", "{t}.detail", PARTS_SHOWN),
        ),
    )
    source: "DataSource" = column("How it came.")
    by: "Actor | None" = relation("Who wrote it.", on={"by_id": "id"}, variants=ACTOR_TYPES)
    at: datetime = column("When.")
    reason: str | None = column("Why, where it replaced another.")


@table("reports", plural="reports", visible=REPORT_VISIBLE)
class Report(Node):
    """A unit's report for a cycle (填报表)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    unit: "CycleUnit" = relation("The unit.", on={"cycle_unit_id": "id"})
    state: ReportState = expression("Reckoned from its entries and assessments.", REPORT_STATE)
    stats: "ProgressStats" = relation(
        "Counters of all values of its unit, also those that departments fill.", rows=REPORT_STATS
    )
    tasks: Connection[Task] = connection(
        "Its tasks.",
        on={"id": "report_id", "cycle_unit_id": "cycle_unit_id"},
        filter=TaskFilter,
        order=TaskOrder,
        default=[Key("{r}.position", "bigint")],
    )
    assessments: "Connection[Assessment]" = connection(
        "Its leaves and how they were judged, in print order.",
        on={"cycle_unit_id": "cycle_unit_id"},
        filter="AssessmentFilter",
        order="AssessmentOrder",
        default=[
            Key(
                "(SELECT io.print_order FROM indicators io WHERE io.tenant_id = {tenant} AND io.id = {r}.indicator_id)",
                "bigint",
            )
        ],
    )
    events: "Connection[Event]" = connection(
        "Bonus, deduction, breach and veto events of its unit, newest first.",
        on={"cycle_unit_id": "cycle_unit_id"},
        filter="EventFilter",
        order="EventOrder",
        default=[Key("{r}.happened_on", "date", descending=True)],
    )
    standing: "Standing | None" = relation(
        "Its result on the newest publication of the cycle that the viewer may read.",
        on={"cycle_unit_id": "cycle_unit_id"},
        where="""EXISTS (SELECT 1 FROM publications ep WHERE ep.tenant_id = {tenant} AND ep.run_id = {r}.run_id)""",
        order="""(SELECT max(np.published_at) FROM publications np
                  WHERE np.tenant_id = {tenant} AND np.run_id = {r}.run_id) DESC, {r}.run_id DESC""",
    )
    submittable: bool = expression("Whether the viewer may submit something now.", SUBMITTABLE)
    blockers: "list[StateIssue]" = document(
        "What a submission would be refused for.",
        sql=findings("fa.cycle_unit_id = {t}.cycle_unit_id", "NOT (ff.v -> 'warningOnly')::boolean"),
    )
    warnings: list[EntryWarning] = document(
        "What a submission must confirm.",
        sql=findings("fa.cycle_unit_id = {t}.cycle_unit_id", "(ff.v -> 'warningOnly')::boolean"),
    )
    due_on: date = expression(
        "Latest own last day of its open tasks; the cycle's where none is open.",
        f"""coalesce((SELECT max(dt.due_on) FROM tasks dt WHERE dt.tenant_id = {{tenant}}
                AND dt.cycle_unit_id = {{t}}.cycle_unit_id AND dt.report_id = {{t}}.id
                AND dt.state IN {WRITABLE_STATES}),
            (SELECT dc.due_on FROM cycles dc WHERE dc.tenant_id = {{tenant}} AND dc.id = {{t}}.cycle_id))""",
    )
    days_late: int = expression(
        "Lateness: that of its latest counted entry.",
        """(SELECT coalesce(max(dt.days_late), 0) FROM tasks dt WHERE dt.tenant_id = {tenant}
            AND dt.cycle_unit_id = {t}.cycle_unit_id AND dt.report_id = {t}.id)""",
    )
    first_submitted_at: datetime | None = column("First submission.")
    last_submitted_at: datetime | None = column("Last submission.")
    submitted_by: "Actor | None" = relation("Who submitted last.", on={"submitted_by_id": "id"}, variants=ACTOR_TYPES)
    version: int = column("Rises with each submission.")


_ACTIVE = f"wc.state IN {FILLING_STATES}"

WORKLIST = f"""{{r}}.id IN (
    SELECT wt.id FROM grants gg
    JOIN cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id
    JOIN cycles wc ON wc.tenant_id = wu.tenant_id AND wc.id = wu.cycle_id AND {_ACTIVE}
    JOIN tasks wt ON wt.tenant_id = wu.tenant_id AND wt.cycle_unit_id = wu.id AND wt.filler = 'UNIT'
         AND wt.state IN {WRITABLE_STATES}
    WHERE {HELD} AND gg.role = 'SECRETARY' AND {TASK_NARROWED.replace("{t}", "wt")}
    UNION ALL
    SELECT wt.id FROM grants gg
    JOIN org_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN scheme_version_items wi ON wi.tenant_id = wa.tenant_id AND wa.unit_id = ANY (wi.responsible_unit_ids)
         AND wi.source = 'REVIEWED'
    JOIN cycles wc ON wc.tenant_id = wi.tenant_id AND wc.scheme_version_id = wi.scheme_version_id AND {_ACTIVE}
    JOIN tasks wt ON wt.tenant_id = wc.tenant_id AND wt.cycle_id = wc.id AND wt.data_item_id = wi.data_item_id
         AND wt.filler = 'RESPONSIBLE_UNIT' AND wt.state IN {WRITABLE_STATES}
    WHERE {HELD} AND gg.role = 'ASSESSOR' AND {TASK_NARROWED.replace("{t}", "wt")}
      AND NOT {OWN_UNIT.replace("{t}", "wt")})"""
"""Of a task {{r}}: the viewer has to fill it. Starts from the viewer's grants, so that it costs what there is to do."""

OWN_REPORTS = f"""{{r}}.cycle_unit_id IN (
    SELECT wu.id FROM grants gg
    JOIN cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id AND wu.assessed
         AND (gg.category_ids = '{{}}' OR wu.category_id = ANY (gg.category_ids))
    JOIN cycles wc ON wc.tenant_id = wu.tenant_id AND wc.id = wu.cycle_id AND wc.state <> 'ARCHIVED'
    WHERE {HELD} AND gg.role = 'SECRETARY')"""
"""Of a report {{r}}: it is of a unit that the viewer reports for, in a cycle that is not archived."""

NEWEST_REPORTS = """(SELECT oc.starts_on FROM cycles oc WHERE oc.tenant_id = {tenant} AND oc.id = {r}.cycle_id) DESC,
    (SELECT ou.code FROM cycle_units ou WHERE ou.tenant_id = {tenant} AND ou.id = {r}.cycle_unit_id), {r}.id"""


@query
class ReportsQuery:
    """Tasks and reports."""

    task: Task | None = by_id("One task.", "Task")
    report: Report | None = by_id("One report.", "Report")


# ---- mutations


@input_type
class CountInput:
    """One named count."""

    option: str = described("Code of the count.")
    count: int = described("How many.")


@one_of
class EntryContentInput:
    """Exactly one, by the item's type."""

    number: DecimalText | None = described("For number and integer items.", default=UNSET)
    yes_no: bool | None = described("For yes-no items.", default=UNSET)
    choice: str | None = described("For choice items: code of the option.", default=UNSET)
    counts: list[CountInput] | None = described("For counts items.", default=UNSET)
    scores: list[DecimalText] | None = described("For scores items.", default=UNSET)


def content_of(given: EntryContentInput) -> Content:
    """The value as the use-cases take it."""
    counts = known(given.counts)
    return Content(
        number=known(given.number),
        yes_no=known(given.yes_no),
        choice=known(given.choice),
        counts=None if counts is None else [(count.option, count.count) for count in counts],
        scores=known(given.scores),
    )


def known(given: T | None) -> T | None:
    """A field of a @oneOf input: None where it was left out."""
    return None if given is UNSET else given


@input_type
class EntryInput:
    """A value for a task."""

    task_id: ID = described("Which task.")
    version: int | None = described("Version of the entry that was read; left out for the first value.")
    content: EntryContentInput = described("The value.")
    note: str | None = described("Remark.")
    reason: str | None = described("Why, where it replaces a submitted value.")


@input_type
class SaveEntriesInput:
    """What saveEntries takes."""

    entries: list[EntryInput] = described("The values, at most 5,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class SaveEntriesSuccess:
    """saveEntries is done."""

    entries: list[Entry] = described("The entries, in order, with warnings.")


@input_type
class SubmitReportInput:
    """What submitReport takes."""

    report_id: ID = described("Which.")
    version: int = described("Version read.")
    task_ids: list[ID] | None = described("Only these tasks; all that are filled if left out.")
    confirmed_warnings: list[str] | None = described("Keys of warnings that were looked at.")
    idempotency_key: str = described(KEY)


@payload
class SubmitReportSuccess:
    """submitReport is done."""

    report: Report = described("The report.")


@input_type
class VersionedIdInput:
    """An object with the version that was read."""

    id: ID = described("Which.")
    version: int = described("Version read.")


@input_type
class SubmitEntriesInput:
    """What submitEntries takes."""

    entries: list[VersionedIdInput] = described("Which entries, at most 20,000.")
    confirmed_warnings: list[str] | None = described("Keys of warnings that were looked at.")
    idempotency_key: str = described(KEY)


@payload
class SubmitEntriesSuccess:
    """submitEntries is done."""

    entries: list[Entry] = described("The entries.")


@mutation(SaveEntriesSuccess)
async def save_entries(tx: Transaction, actor: Caller, given: SaveEntriesInput) -> Outcome:
    """Keeps values as drafts, one or thousands, all or none; warnings come back, nothing is submitted (保存)."""
    specs = [
        EntrySpec(entry.task_id, content_of(entry.content), entry.version, entry.note, entry.reason)
        for entry in given.entries
    ]
    return {"entries": await reports.save_entries(tx, actor, entries=specs)}


@mutation(SubmitReportSuccess)
async def submit_report(tx: Transaction, actor: Caller, given: SubmitReportInput) -> Outcome:
    """Sends a unit's report, or part of it (报送)."""
    report_id = await reports.submit_report(
        tx,
        actor,
        report_id=given.report_id,
        version=given.version,
        task_ids=given.task_ids,
        confirmed_warnings=given.confirmed_warnings or (),
    )
    return {"report": report_id}


@mutation(SubmitEntriesSuccess)
async def submit_entries(tx: Transaction, actor: Caller, given: SubmitEntriesInput) -> Outcome:
    """Sends values by entry, at most 20,000: how a responsible department sends its table (责任单位报送)."""
    entries = [(entry.id, entry.version) for entry in given.entries]
    ids = await reports.submit_entries(tx, actor, entries=entries, confirmed_warnings=given.confirmed_warnings or ())
    return {"entries": ids}
