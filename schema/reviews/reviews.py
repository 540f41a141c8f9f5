"""Judgements of assessments (审核)."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import ID, Node, by_ids, column, enumeration, expression, identifier, relation, table
from schema.members import ACTOR_TYPES
from schema.reviews.assessments import Assessment
from service.access import Role
from service.reports.rights import ASSESSMENT_NARROWED, ASSESSMENT_VISIBLE, OWN_UNIT, covers, departments
from service.reviews.groups import AWARDED_BY_GROUPS

if TYPE_CHECKING:
    from schema.directory import OrgUnit
    from schema.members import Actor
    from schema.reports import EntryRevision


@enumeration("What a review can decide.")
class ReviewDecision(Enum):
    """Decisions of reviews."""

    ACCEPT = "Accept (审核通过)."
    RETURN = "Send back (退回)."
    ADJUST = "Settle another value (核定)."
    AWARD = "Award marks (赋分)."
    REJECT = "Not recognise (不予认定)."
    NOT_APPLICABLE = "Agree that it does not apply (认定不适用)."


NAMES_SHOWN = f"""(SELECT {{by}} = {{actor}} OR NOT {OWN_UNIT.replace("{t}", "na")} AND (
        {covers("('REVIEWER', 'ORGANISER')", ASSESSMENT_NARROWED).replace("{t}", "na")}
        OR EXISTS (SELECT 1 {departments()} AND {ASSESSMENT_NARROWED.replace("{t}", "na")}
            AND EXISTS (SELECT 1 FROM indicator_responsibles nr WHERE nr.tenant_id = {{tenant}}
                AND nr.indicator_id = na.indicator_id AND nr.unit_id = go.unit_id)))
    FROM assessments na WHERE na.tenant_id = {{tenant}} AND na.id = {{assessment}})"""
"""Whether the viewer may know who judged: whoever judges as well; the assessed unit and observers see role and unit."""


@table(
    "reviews",
    plural="reviews",
    visible=f"""EXISTS (SELECT 1 FROM assessments xa WHERE xa.tenant_id = {{tenant}} AND xa.id = {{t}}.assessment_id
        AND {ASSESSMENT_VISIBLE.replace("{t}", "xa")})""",
)
class Review(Node):
    """One judgement of an assessment (审核), pinned to the revisions it judged."""

    id: ID = identifier()
    assessment: Assessment = relation("What was judged.", on={"assessment_id": "id"})
    level: int = column("At which level.")
    decision: ReviewDecision = column("What was decided.")
    reason: str | None = column("Why.")
    due_on: date | None = column("For a return: until when.")
    marks: Decimal | None = expression(
        "For an award: what; null where several award, for single awards are shown to nobody but each its own.",
        f"CASE WHEN {{t}}.by_id = {{actor}} OR NOT {AWARDED_BY_GROUPS} THEN {{t}}.marks END",
    )
    role: Role = column("In which role it was judged.")
    unit: "OrgUnit | None" = relation("On behalf of which unit.", on={"unit_id": "id"})
    by: "Actor | None" = relation(
        "Who; null for the assessed unit and for observers, who see role and unit.",
        on={"by_id": "id"},
        where=NAMES_SHOWN.replace("{by}", "{t}.by_id").replace("{assessment}", "{t}.assessment_id"),
        variants=ACTOR_TYPES,
    )
    at: datetime = column("When.")
    revisions: "list[EntryRevision]" = by_ids("Revisions it judged.", "revision_ids")
