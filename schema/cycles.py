"""Cycles and their units, as frontends see them (考核周期、参评单位)."""

import hashlib
from collections.abc import AsyncGenerator
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from strawberry import Info

from schema.context import Context
from schema.errors import Error
from schema.jobs import say
from schema.live import After, Id, changes, live
from schema.mapping import (
    ID,
    Argument,
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
    embedded,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    listing,
    order_type,
    payload,
    query,
    relation,
    table,
    value,
)
from schema.mutations import Outcome, at_root, mutation
from schema.progress import (
    CATEGORY_STATS,
    CYCLE_STATS,
    INDICATOR_STATS,
    NOT_SUBMITTED,
    UNIT_STATS,
    CategoryProgressInfo,
    IndicatorProgressInfo,
    ProgressStats,
)
from schema.rows import value_of
from schema.scalars import DateText, DecimalText
from schema.schemes import PublicationKind
from schema.scope import IN_FORCE, READERS, covers
from schema.subscription import subscriptions
from service import cycles
from service.access import Actor as Caller
from service.access import Role
from service.cycles import STEPS, CycleSpec, Step, TargetRow
from service.errors import ErrorCode
from service.reports.rights import REPORT_STATE, REPORT_VISIBLE
from service.scoring.text import Text
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.directory import Category, OrgUnit
    from schema.events import Event
    from schema.jobs import Job
    from schema.publications import Publication
    from schema.rankings import RankingRun
    from schema.reports import Report, ReportState, Task
    from schema.reviews import Assessment
    from schema.schemes import SchemeVersion

KEY = "1 to 128 printable ASCII characters; the same key with the same input gives the same result within 24 hours."


@enumeration("How long a cycle is.")
class CycleKind(Enum):
    """Kinds."""

    YEAR = "A year."
    HALF = "Half a year."
    QUARTER = "A quarter."
    MONTH = "A month."


@enumeration("Life of a cycle.")
class CycleState(Enum):
    """States."""

    DRAFT = "Being prepared (筹备)."
    OPEN = "Units report (填报中)."
    REVIEWING = "Reports are judged (审核中)."
    RANKED = "A run has been adopted (已测算)."
    NOTICED = "Provisional result is out (公示中)."
    PUBLISHED = "Final (已通报)."
    ARCHIVED = "Closed (已归档)."


@enumeration("Who has to act.")
class WaitingParty(Enum):
    """Parties."""

    UNIT = "The assessed unit."
    RESPONSIBLE_UNIT = "A responsible department."
    REVIEWER = "A reviewer."
    ORGANISER = "The organiser."


@value
class StateIssue(Error):
    """One thing that stands in the way of a step."""

    code: ErrorCode = column("For programs.")
    message: str = column("For people, with numbers.")
    path: list[str] | None = column("What it is about.")
    hint: str | None = column("What would clear it.")
    count: int | None = column("How many objects it is about.")


@value
class CycleTransitionInfo:
    """One step that a cycle may take."""

    to: CycleState = column("To which state.")
    mutation: str = column("Mutation that does it.")
    possible: bool = column("Whether it would succeed now for the viewer, as far as its state goes.")
    blockers: list[StateIssue] = document("What stands in the way.")


_ORGANISES = f"""EXISTS (SELECT 1 FROM grants gs
    JOIN org_units go ON go.tenant_id = gs.tenant_id AND go.id = gs.unit_id AND go.parent_id IS NULL
    WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND gs.role = 'ORGANISER' AND {IN_FORCE})"""

_NOT_ORGANISER = Text(zh="需要考核办的授权。", en="This needs a grant as organiser.")
_ASK = Text(zh="请联系本区系统管理员授权。", en="Ask your district's administrator for a grant.")
_FORBIDDEN = f"""SELECT 0 AS place, jsonb_build_object('code', 'FORBIDDEN', 'message', {say(_NOT_ORGANISER)},
        'hint', {say(_ASK)}) AS said
    WHERE NOT {_ORGANISES}"""


def blockers_of(step: Step) -> str:
    """SQL for what stands in the way of a step of the cycle {t}, as a JSON list."""
    parts = [_FORBIDDEN] + [
        f"""SELECT {place}, jsonb_build_object('code', 'ILLEGAL_STATE', 'hint', {say(blocker.hint)}, 'count', counted.n,
                'message', replace({say(Text(*(part.replace("{count}", "%n") for part in blocker.text)))}, '%n',
                                   counted.n::text))
            FROM (SELECT ({blocker.sql})::int AS n) counted WHERE counted.n > 0"""
        for place, blocker in enumerate(step.blockers, 1)
    ]
    return f"""(SELECT coalesce(jsonb_agg(bl.said ORDER BY bl.place), '[]')
                FROM ({" UNION ALL ".join(parts)}) bl)"""


_TRANSITIONS = " UNION ALL ".join(
    f"""SELECT {place} AS place, '{step.to}' AS "to", '{step.mutation}' AS mutation, {blockers_of(step)} AS blockers
        WHERE {{t}}.state IN ({", ".join(f"'{source}'" for source in step.sources)})"""
    for place, step in enumerate(STEPS)
)
TRANSITIONS = f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('to', tr."to", 'mutation', tr.mutation,
        'possible', jsonb_array_length(tr.blockers) = 0, 'blockers', tr.blockers) ORDER BY tr.place), '[]')
    FROM ({_TRANSITIONS}) tr)"""


@value
class TimelineInfo:
    """Dates of a cycle; each day counts until it ends."""

    opens_on: date = column("First day of reporting.")
    due_on: date = column("Last day of reporting on time.")
    due_at: datetime = column("The exclusive instant after it.")
    grace_days: int = column("Calendar days of grace with penalty.")
    closes_at: datetime = column("The exclusive instant after the grace: later entries are refused.")
    review_due_on: date | None = column("Last day of review.")
    notice_on: date | None = column("Planned day of notice.")


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
_OVERDUE = f"(SELECT count(*) {_UNIT_TASKS} AND ct.state IN {NOT_SUBMITTED} AND ct.due_at <= now() AND {_SEEN})"
_SHARE = f"""coalesce((SELECT 1000000 * count(*) FILTER (WHERE ct.state IN ('SUBMITTED', 'SETTLED'))
                              / nullif(count(*), 0) {_UNIT_TASKS} AND {_SEEN}), 0)"""


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


@table("cycles", plural="cycles")
class Cycle(Node):
    """One run of a scheme version over the units (考核周期)."""

    id: ID = identifier()
    code: str = column("Code, such as 2026-H1.")
    name: str = column("Name.")
    kind: CycleKind = column("How long it is.")
    starts_on: date = column("First day that is assessed.")
    ends_on: date = column("Last day that is assessed.")
    state: CycleState = column("Where it stands.")
    transitions: list[CycleTransitionInfo] = document(
        "What may come next, and what stands in the way; faults of the scheme are listed there.", sql=TRANSITIONS
    )
    scheme_version: "SchemeVersion" = relation("The version it runs on.", on={"scheme_version_id": "id"})
    timeline: TimelineInfo = embedded("Its dates.")
    categories: "list[Category]" = listing(
        "Categories it assesses.",
        where="""{r}.id IN (SELECT lc.category_id FROM cycle_categories lc
                 WHERE lc.tenant_id = {tenant} AND lc.cycle_id = {t}.id)""",
        order="""(SELECT lc.position FROM cycle_categories lc
                  WHERE lc.tenant_id = {tenant} AND lc.cycle_id = {t}.id AND lc.category_id = {r}.id)""",
    )
    under: "OrgUnit | None" = relation("Assesses units in this subtree only; null for all.", on={"under_id": "id"})
    previous_cycle: "Cycle | None" = relation('Whose values are "last cycle\'s".', on={"previous_cycle_id": "id"})
    units: Connection[CycleUnit] = connection(
        "Its units, as they were at opening.",
        on={"id": "cycle_id"},
        filter=CycleUnitFilter,
        order=CycleUnitOrder,
        default=[Key("{r}.tree_path")],
    )
    tasks: "Connection[Task]" = connection(
        "Its tasks: with a data item in the filter, the responsible department's table of one item over all units.",
        on={"id": "cycle_id"},
        filter="TaskFilter",
        order="TaskOrder",
        default=[Key("{r}.due_at", "timestamptz"), Key("{r}.position", "bigint")],
    )
    assessments: "Connection[Assessment]" = connection(
        "Its assessments: with an indicator in the filter, the department's table of one leaf over all units.",
        on={"id": "cycle_id"},
        filter="AssessmentFilter",
        order="AssessmentOrder",
        default=[Key("{r}.cycle_unit_id", "uuid")],
    )
    events: "Connection[Event]" = connection(
        "Its events (加减分事项台账), newest first.",
        on={"id": "cycle_id"},
        filter="EventFilter",
        order="EventOrder",
        default=[Key("{r}.happened_on", "date", descending=True)],
    )
    stats: ProgressStats = relation("Counters over all units.", rows=CYCLE_STATS)
    indicator_stats: list[IndicatorProgressInfo] = listing(
        "The indicator tree with counters, flat, in print order.",
        rows=INDICATOR_STATS,
        order="{r}.print_order",
        limit=2000,
    )
    category_stats: list[CategoryProgressInfo] = listing(
        "Counters per category.", rows=CATEGORY_STATS, order="{r}.position"
    )
    runs: "Connection[RankingRun]" = connection(
        "Its ranking runs, newest first.", on={"id": "cycle_id"}, default=[Key("{r}.number", "bigint", descending=True)]
    )
    latest_run: "RankingRun | None" = relation("The newest run.", on={"id": "cycle_id"}, order="{r}.number DESC")
    publications: "list[Publication]" = listing(
        "Its publications, newest first.",
        on={"id": "cycle_id"},
        where="({kind} IS NULL OR {r}.kind = {kind})",
        order="{r}.number DESC",
        arguments=[Argument("kind", PublicationKind | None, "Only of this kind.")],
    )
    opening_job: "Job | None" = relation("The job that opens it; null before.", on={"opening_job_id": "id"})
    opened_at: datetime | None = column("When it was opened.")
    version: int = column("Rises with each change.")


@enumeration("What cycles can be sorted by.")
class CycleOrderField(Enum):
    """Orders of cycles."""

    STARTS_ON = Sort("By first day.", (Key("{r}.starts_on", "date"),))
    NAME = Sort("By name.", (Key("{r}.name"),))


@order_type
class CycleOrder(Order):
    """An order of cycles."""

    field: CycleOrderField = described("What to sort by.")


@filter_type
class CycleFilter:
    """Which cycles."""

    states: list[CycleState] | None = condition("In these states.", "{r}.state = ANY({value})")
    kinds: list[CycleKind] | None = condition("Of these kinds.", "{r}.kind = ANY({value})")
    scheme_id: ID | None = condition(
        "On this scheme.",
        """EXISTS (SELECT 1 FROM scheme_versions fv WHERE fv.tenant_id = {tenant} AND fv.id = {r}.scheme_version_id
           AND fv.scheme_id = {value})""",
        of="Scheme",
    )
    date_within: DateText | None = condition("That cover this day.", "{value} BETWEEN {r}.starts_on AND {r}.ends_on")


@query
class CyclesQuery:
    """Cycles and their units."""

    cycle: Cycle | None = by_id("One cycle.", "Cycle")
    cycles: Connection[Cycle] | None = connection(
        "Cycles, newest first.",
        filter=CycleFilter,
        order=CycleOrder,
        default=[Key("{r}.starts_on", "date", descending=True)],
    )
    cycle_unit: CycleUnit | None = by_id("One unit in a cycle.", "CycleUnit")


# ---- mutations


@input_type
class CycleInput:
    """A cycle as it shall be."""

    code: str = described("Code.")
    name: str = described("Name.")
    kind: CycleKind = described("How long.")
    starts_on: DateText = described("First day assessed.")
    ends_on: DateText = described("Last day assessed.")
    scheme_version_id: ID = described("Version it runs on.")
    category_ids: list[ID] | None = described("Only these of the version's categories.")
    under_id: ID | None = described("Only units in this subtree; all if left out.")
    opens_on: DateText = described("First day of reporting.")
    due_on: DateText = described("Last day on time.")
    grace_days: int = described("Calendar days of grace.", default=0)
    review_due_on: DateText | None = described("Last day of review.")
    notice_on: DateText | None = described("Planned day of notice.")
    previous_cycle_id: ID | None = described('Cycle whose values are "last cycle\'s".')


def _spec(given: CycleInput) -> CycleSpec:
    return CycleSpec(
        code=given.code,
        name=given.name,
        kind=given.kind.name,
        starts_on=given.starts_on,
        ends_on=given.ends_on,
        scheme_version_id=given.scheme_version_id,
        opens_on=given.opens_on,
        due_on=given.due_on,
        category_ids=given.category_ids,
        under_id=given.under_id,
        grace_days=given.grace_days,
        review_due_on=given.review_due_on,
        notice_on=given.notice_on,
        previous_cycle_id=given.previous_cycle_id,
    )


@input_type
class CreateCycleInput:
    """What createCycle takes."""

    cycle: CycleInput = described("The cycle.")
    idempotency_key: str = described(KEY)


@payload
class CreateCycleSuccess:
    """createCycle is done."""

    cycle: Cycle = described("The cycle, in draft.")


@input_type
class EditCycleInput:
    """What editCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    cycle: CycleInput = described("All of it, as it shall be.")
    idempotency_key: str = described(KEY)


@payload
class EditCycleSuccess:
    """editCycle is done."""

    cycle: Cycle = described("The cycle.")


@input_type
class TargetInput:
    """A unit's target."""

    unit_id: ID = described("The unit.")
    value: DecimalText = described("Its target.")


@input_type
class AssignTargetsInput:
    """What assignTargets takes."""

    cycle_id: ID = described("Which cycle, in draft.")
    data_item_id: ID = described("An assigned item.")
    targets: list[TargetInput] = described("One per unit, at most 20,000.")
    idempotency_key: str = described(KEY)


@payload
class AssignTargetsSuccess:
    """assignTargets is done."""

    cycle: Cycle = described("The cycle.")
    count: int = described("Targets set.")


@input_type
class OpenCycleInput:
    """What openCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class OpenCycleSuccess:
    """openCycle is done."""

    cycle: Cycle = described("The cycle; OPEN when its job is done.")
    job: "Job" = described("The job.")


@input_type
class BeginReviewInput:
    """What beginReview takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class BeginReviewSuccess:
    """beginReview is done."""

    cycle: Cycle = described("The cycle.")


@input_type
class ArchiveCycleInput:
    """What archiveCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class ArchiveCycleSuccess:
    """archiveCycle is done."""

    cycle: Cycle = described("The cycle.")


@mutation(CreateCycleSuccess, access=at_root(Role.ORGANISER))
async def create_cycle(tx: Transaction, actor: Caller, given: CreateCycleInput) -> Outcome:
    """Prepares a cycle."""
    return {"cycle": await cycles.create_cycle(tx, actor, cycle=_spec(given.cycle))}


@mutation(EditCycleSuccess, access=at_root(Role.ORGANISER))
async def edit_cycle(tx: Transaction, actor: Caller, given: EditCycleInput) -> Outcome:
    """Changes a cycle; what is allowed depends on its state."""
    key = await cycles.edit_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version, cycle=_spec(given.cycle))
    return {"cycle": key}


@mutation(AssignTargetsSuccess, access=at_root(Role.ORGANISER))
async def assign_targets(tx: Transaction, actor: Caller, given: AssignTargetsInput) -> Outcome:
    """Sets targets per unit before opening (下达目标)."""
    rows = [TargetRow(target.unit_id, target.value) for target in given.targets]
    key, count = await cycles.assign_targets(
        tx, actor, cycle_id=given.cycle_id, data_item_id=given.data_item_id, targets=rows
    )
    return {"cycle": key, "count": count}


@mutation(OpenCycleSuccess, access=at_root(Role.ORGANISER))
async def open_cycle(tx: Transaction, actor: Caller, given: OpenCycleInput) -> Outcome:
    """Opens a cycle: freezes its version, copies units, makes tasks; a job (启动填报)."""
    key, job = await cycles.open_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version)
    return {"cycle": key, "job": job}


@mutation(BeginReviewSuccess, access=at_root(Role.ORGANISER))
async def begin_review(tx: Transaction, actor: Caller, given: BeginReviewInput) -> Outcome:
    """Ends reporting as the general state of a cycle (转入审核); tasks with time left stay open."""
    return {"cycle": await cycles.begin_review(tx, actor, cycle_id=given.cycle_id, version=given.version)}


@mutation(ArchiveCycleSuccess, access=at_root(Role.ORGANISER))
async def archive_cycle(tx: Transaction, actor: Caller, given: ArchiveCycleInput) -> Outcome:
    """Closes a published cycle for good (归档)."""
    return {"cycle": await cycles.archive_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version)}


# ---- live


@payload
class CycleMessage:
    """A message about a cycle."""

    cursor: str = described("To resume after.")
    cycle: Cycle = described("The cycle as it is now.")


async def _state(context: Context, row: Any) -> str:
    """A digest of the cycle's state, of its opening's progress, and of its counters."""
    statement = context.statement()
    sql = statement.render(
        f"""SELECT cy.version, oj.change_seq, st.* FROM cycles cy
            LEFT JOIN jobs oj ON oj.tenant_id = {{tenant}} AND oj.id = cy.opening_job_id
            CROSS JOIN LATERAL ({CYCLE_STATS}) st
            WHERE cy.tenant_id = {{tenant}} AND cy.id = {statement.bind(value_of(row, "id"), "uuid")}""",
        t="cy",
    )
    found = await context.fetch(sql, statement)
    return hashlib.sha256(repr([tuple(each) for each in found]).encode()).hexdigest()[:32]


@subscriptions
class CyclesSubscription:
    """Cycles, live."""

    @live("Counters and state of a cycle, at most one message a second.")
    async def cycle_changed(
        self,
        info: Info[Context, None],
        id: Id,  # noqa: A002
        after: After = None,
    ) -> AsyncGenerator[CycleMessage | None, None]:
        """The cycle as it is, then each change."""
        async for change in changes(info.context, Cycle, id, after, state=_state, every=1.0):
            yield None if change is None else CycleMessage(cursor=change.cursor, cycle=change.row)
