"""The caller, and what waits for it (当前登录者)."""

from typing import TYPE_CHECKING

from schema.events import TO_CONFIRM
from schema.mapping import Connection, Key, connection, expression, listing, query, relation, table
from schema.members import ACTOR_TYPES, Language
from schema.reports import NEWEST_REPORTS, OWN_REPORTS, WORKLIST
from schema.reviews import AWARD_QUEUE, LEAVES, RESPONSIBLE_LEAVES, REVIEW_QUEUE
from schema.scope import IN_FORCE, READERS
from service.access import Role
from service.reports.rights import FILLS_SIDE

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.directory import Tenant
    from schema.events import Event
    from schema.members import Actor, Grant
    from schema.reports import Report, Task
    from schema.reviews import Assessment, ResponsibleLeafInfo


OWN_CYCLES = f"""{{all}}
    OR {{r}}.id IN (SELECT vu.cycle_id FROM grants gs
        JOIN cycle_units vu ON vu.tenant_id = gs.tenant_id AND vu.unit_id = gs.unit_id
        WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND {IN_FORCE}
          AND gs.role IN ({", ".join(f"'{role}'" for role in READERS)}))
    OR {{r}}.id IN (SELECT vl.cycle_id FROM ({RESPONSIBLE_LEAVES}) vl)"""
"""Of a cycle {{r}}: the viewer sees all, or it is about units that the viewer's grants cover, or the viewer's
departments fill, award or review in it."""

OPEN_FIRST = """CASE {r}.state WHEN 'OPEN' THEN 0 WHEN 'REVIEWING' THEN 1 WHEN 'RANKED' THEN 2 WHEN 'NOTICED' THEN 3
    WHEN 'DRAFT' THEN 4 WHEN 'PUBLISHED' THEN 5 ELSE 6 END, {r}.starts_on DESC, {r}.id"""


@table("actors")
class Viewer:
    """The caller: who it is, what it may do, what waits for it."""

    actor: "Actor" = relation("The member or token.", on={"id": "id"}, variants=ACTOR_TYPES)
    tenant: "Tenant" = relation("Its district.", on={"tenant_id": "tenant_id"})
    roles: list[Role] = expression(
        "All roles it holds anywhere.",
        """ARRAY(SELECT DISTINCT gr.role FROM grants gr WHERE gr.tenant_id = {tenant} AND gr.holder_id = {t}.id
           AND (gr.valid_to IS NULL OR gr.valid_to >= {today}) ORDER BY gr.role)""",
    )
    grants: "list[Grant]" = listing(
        "Its grants in force.",
        on={"id": "holder_id"},
        where="{r}.valid_to IS NULL OR {r}.valid_to >= {today}",
        order="{r}.id",
    )
    language: Language = expression("Language of its messages in this request.", "{language}")
    cycles: "list[Cycle]" = listing(
        "Cycles it has something to do with, open ones first, at most 20.", where=OWN_CYCLES, order=OPEN_FIRST, limit=20
    )
    worklist: "Connection[Task]" = connection(
        "Values it has to fill (填报任务): open, returned and overdue ones, soonest due first.",
        where=WORKLIST,
        seen=True,
        holds=FILLS_SIDE,
        filter="TaskFilter",
        order="TaskOrder",
        default=[Key("{r}.due_at", "timestamptz"), Key("{r}.position", "bigint")],
    )
    reports: "list[Report]" = listing(
        "Reports of its own units in cycles not archived, at most 100.",
        where=OWN_REPORTS,
        order=NEWEST_REPORTS,
        limit=100,
    )
    review_queue: "Connection[Assessment]" = connection(
        "Assessments that wait for its review at the present level (待审核), what waits longest first.",
        where=REVIEW_QUEUE,
        filter="AssessmentFilter",
        order="AssessmentOrder",
        default=[Key("{r}.ready_since", "timestamptz", True)],
    )
    award_queue: "Connection[Assessment]" = connection(
        "Assessments that wait for its marks (待评分), what waits longest first.",
        where=AWARD_QUEUE,
        filter="AssessmentFilter",
        order="AssessmentOrder",
        default=[Key("{r}.ready_since", "timestamptz", True)],
    )
    events_to_confirm: "Connection[Event]" = connection(
        "Events that another proposed and it may confirm or reject (待认定), what waits longest first.",
        where=TO_CONFIRM,
        filter="EventFilter",
        order="EventOrder",
        default=[Key("{r}.proposed_at", "timestamptz")],
    )
    leaves: "list[ResponsibleLeafInfo]" = listing(
        "Leaves its responsible unit fills or awards, with counts: the start page of a department.",
        rows=LEAVES,
        order="{r}.starts_on DESC, {r}.print_order, {r}.code",
        limit=500,
    )


@query
class ViewerQuery:
    """The caller."""

    # Whose token was let in has a row, and no actor is ever removed.
    viewer: Viewer | None = relation("The caller; null without sign-in.", where="{r}.id = {actor}", sure=True)
