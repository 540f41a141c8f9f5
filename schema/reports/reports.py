"""A unit's report for a cycle (填报表)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    by_id,
    column,
    connection,
    document,
    enumeration,
    expression,
    identifier,
    query,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.progress import REPORT_STATS
from schema.reports.entries import EntryWarning, findings
from schema.reports.tasks import Task, TaskFilter, TaskOrder
from service.reports.rights import REPORT_STATE, REPORT_VISIBLE, WRITABLE_STATES
from service.reports.submission import SUBMITTABLE

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit, StateIssue
    from schema.events import Event
    from schema.members import Actor
    from schema.progress import ProgressStats
    from schema.rankings import Standing
    from schema.reviews import Assessment


@enumeration("Where a report stands.")
class ReportState(Enum):
    """States of a report."""

    UNTOUCHED = "Nothing entered."
    DRAFTED = "Drafts only."
    PARTLY_SUBMITTED = "Some submitted."
    SUBMITTED = "All submitted, review not finished."
    RETURNED = "At least one leaf came back."
    SETTLED = "All leaves judged."


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


@query
class ReportsQuery:
    """Tasks and reports."""

    task: Task | None = by_id("One task.", "Task")
    report: Report | None = by_id("One report.", "Report")
