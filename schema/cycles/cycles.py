"""Cycles with their dates (考核周期)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.cycles.steps import TRANSITIONS, CycleState, CycleTransitionInfo
from schema.cycles.units import CycleUnit, CycleUnitFilter, CycleUnitOrder
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
    filter_type,
    identifier,
    listing,
    order_type,
    query,
    relation,
    table,
    value,
)
from schema.progress import (
    CATEGORY_STATS,
    CYCLE_STATS,
    INDICATOR_STATS,
    CategoryProgressInfo,
    IndicatorProgressInfo,
    ProgressStats,
)
from schema.scalars import DateText
from schema.schemes import PublicationKind

if TYPE_CHECKING:
    from schema.directory import Category, OrgUnit
    from schema.events import Event
    from schema.jobs import Job
    from schema.publications import Publication
    from schema.rankings import RankingRun
    from schema.reports import Task
    from schema.reviews import Assessment
    from schema.schemes import SchemeVersion


@enumeration("How long a cycle is.")
class CycleKind(Enum):
    """Kinds."""

    YEAR = "A year."
    HALF = "Half a year."
    QUARTER = "A quarter."
    MONTH = "A month."


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
