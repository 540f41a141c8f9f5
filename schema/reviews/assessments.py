"""Assessments: one unit × leaf, to be judged (考核评分)."""

from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from schema.keyset import UNIT_CODE
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    computed,
    condition,
    connection,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    listing,
    order_type,
    query,
    relation,
    table,
    value,
)
from schema.reports import ReturnInfo
from schema.reviews.preview import previews
from schema.values import PARTS_SHOWN, VALUE_TYPES, EntryValue, pinned_item, said, value_json, value_words
from service.reports.rights import ASSESSMENT_VISIBLE
from service.reviews.marks import FULL_MARKS
from service.reviews.rights import NOT_REVIEWABLE, REASONS

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.events import Event
    from schema.rankings import ValueState
    from schema.reports import EntryRevision, Task
    from schema.reviews.reviews import Review
    from schema.schemes import Indicator


@enumeration("Life of an assessment.")
class AssessmentState(Enum):
    """States of an assessment."""

    WAITING = "Its entries are not all submitted."
    READY = "To be judged (待审核)."
    ACCEPTED = "Accepted at the last level (审核通过)."
    ADJUSTED = "Accepted with another value or marks (核定)."
    RETURNED = "Sent back (退回)."
    REJECTED = "Not recognised, scores 0 (不予认定)."
    NOT_APPLICABLE = "Agreed not to apply (不适用)."


_REASON = f"""(SELECT CASE nr.name {" ".join(f"WHEN '{name}' THEN {said(text)}" for name, text in REASONS.items())} END
    FROM (SELECT {NOT_REVIEWABLE} AS name) nr)"""

_INPUTS = f"""SELECT ii.position, it.id AS task_id, ie.submitted_revision_id AS reported_id,
        coalesce({{t}}.pinned_revision_ids[ii.position + 1], (
            SELECT pv.id FROM reviews lr
            JOIN entry_revisions pv ON pv.tenant_id = lr.tenant_id AND pv.id = ANY (lr.revision_ids)
                 AND pv.entry_id = ie.id
            WHERE lr.tenant_id = {{tenant}} AND lr.assessment_id = {{t}}.id ORDER BY lr.id DESC LIMIT 1)) AS pinned_id,
        sx.settled, nullif(sx.settled_display, '') AS settled_display
    FROM indicator_items ii
    JOIN tasks it ON it.tenant_id = ii.tenant_id AND it.cycle_unit_id = {{t}}.cycle_unit_id
         AND it.data_item_id = ii.data_item_id
    LEFT JOIN entries ie ON ie.tenant_id = it.tenant_id AND ie.task_id = it.id
    CROSS JOIN LATERAL (SELECT {{t}}.settled_numbers[ii.position + 1] AS number,
        nullif({{t}}.settled_details -> ii.position, 'null') AS detail) sv
    LEFT JOIN LATERAL (SELECT {value_json("sv.number", "sv.detail", PARTS_SHOWN)} AS settled,
            {value_words("sv.number", "sv.detail", PARTS_SHOWN)} AS settled_display
        FROM tasks vt
        {pinned_item("vt")}
        WHERE vt.tenant_id = {{tenant}} AND vt.id = it.id) sx ON true
    WHERE ii.tenant_id = {{tenant}} AND ii.indicator_id = {{t}}.indicator_id"""

_PRINTED = Key(
    "io.print_order", "bigint", joined="JOIN indicators io ON io.tenant_id = {tenant} AND io.id = {r}.indicator_id"
)


@value
class AssessmentInputInfo:
    """One data item under an assessment."""

    task: "Task | None" = relation("Its task, with the present entry.", on={"task_id": "id"})
    reported: "EntryRevision | None" = relation(
        "The reported revision that counts or would count.", on={"reported_id": "id"}
    )
    settled: EntryValue | None = document(
        "The settled value (核定值); null before. Between two levels: the value that the lower one put in its place.",
        variants=VALUE_TYPES,
    )
    settled_display: str | None = column("As people read it.")
    pinned: "EntryRevision | None" = relation("The revision that the last review judged.", on={"pinned_id": "id"})


@enumeration("What assessments can be sorted by.")
class AssessmentOrderField(Enum):
    """Orders of assessments."""

    UNIT = Sort("By code of the unit.", (UNIT_CODE,))
    INDICATOR = Sort("By place in the scheme.", (_PRINTED,))
    READY_SINCE = Sort("By how long it waits.", (Key("{r}.ready_since", "timestamptz", True, True),))
    MARKS = Sort("By marks.", (Key("{r}.marks", "numeric", True),))


@order_type
class AssessmentOrder(Order):
    """An order of assessments."""

    field: AssessmentOrderField = described("What to sort by.")


@filter_type
class AssessmentFilter:
    """Which assessments."""

    cycle_id: ID | None = condition("In this cycle.", "{r}.cycle_id = {value}", of="Cycle")
    indicator_ids: list[ID] | None = condition(
        "Of these leaves, or of leaves below these nodes.",
        """{r}.indicator_id = ANY (ARRAY(WITH RECURSIVE below AS (
               SELECT bi.id FROM indicators bi WHERE bi.tenant_id = {tenant} AND bi.id = ANY({value})
               UNION ALL SELECT bc.id FROM below bb
               JOIN indicators bc ON bc.tenant_id = {tenant} AND bc.parent_id = bb.id)
           SELECT bb.id FROM below bb))""",
        of="Indicator",
    )
    unit_id: ID | None = condition(
        "Of this organisation unit.",
        """{r}.cycle_unit_id = ANY (ARRAY(SELECT fu.id FROM cycle_units fu
           WHERE fu.tenant_id = {tenant} AND fu.unit_id = {value}))""",
        of="OrgUnit",
    )
    under_id: ID | None = condition(
        "Of units in this one's subtree.",
        """{r}.cycle_unit_id IN (SELECT fa.cycle_unit_id FROM cycle_unit_ancestors fa
           WHERE fa.tenant_id = {tenant} AND fa.ancestor_id = {value})""",
        of="OrgUnit",
    )
    category_ids: list[ID] | None = condition(
        "Of units of these categories.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
           AND fu.category_id = ANY({value}))""",
        of="Category",
    )
    states: list[AssessmentState] | None = condition("In these states.", "{r}.state = ANY({value})")
    level: int | None = condition("At this level.", "{r}.level = {value}")
    inconsistent: bool | None = condition(
        "Only inconsistent ones, or only the others.", "({r}.changes_since_accepted > 0) = {value}"
    )
    late: bool | None = condition("Only with late entries, or only without.", "({r}.days_late > 0) = {value}")
    has_warnings: bool | None = condition(
        "Only with, or without, warnings on entries.", "({r}.findings <> '[]') = {value}"
    )
    search: str | None = condition(
        "Unit or indicator contains this.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
               AND (fu.code ILIKE {value} OR fu.name ILIKE {value}))
           OR EXISTS (SELECT 1 FROM indicators fi WHERE fi.tenant_id = {tenant} AND fi.id = {r}.indicator_id
               AND (fi.code ILIKE {value} OR fi.name ILIKE {value}))""",
        contains=True,
    )


@table("assessments", plural="assessments", visible=ASSESSMENT_VISIBLE)
class Assessment(Node):
    """One unit × leaf in a cycle, to be judged (考核评分)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    unit: "CycleUnit" = relation("The unit.", on={"cycle_unit_id": "id"})
    indicator: "Indicator" = relation("The leaf.", on={"indicator_id": "id"})
    state: AssessmentState = column("Where it stands.")
    value_state: "ValueState" = expression(
        "State that a run would take it in now.",
        """CASE WHEN {t}.state IN ('ACCEPTED', 'ADJUSTED') THEN 'GIVEN'
           WHEN {t}.state IN ('REJECTED', 'NOT_APPLICABLE') THEN {t}.state ELSE 'MISSING' END""",
    )
    level: int = column("Level at which it waits or was last judged.")
    levels: int = column("How many levels it passes; 0 where it settles when it is submitted.")
    reviewable: bool = expression("Whether the viewer may judge it now.", f"({NOT_REVIEWABLE}) IS NULL")
    not_reviewable_reason: str | None = expression("Why not, such as 不得审核、评分本单位.", _REASON)
    inputs: list[AssessmentInputInfo] = listing(
        "The items it rests on, reported and settled side by side.", rows=_INPUTS, order="{r}.position"
    )
    events: "Connection[Event]" = connection(
        "Events filed under the leaf, newest first.",
        on={"cycle_unit_id": "cycle_unit_id", "indicator_id": "indicator_id"},
        filter="EventFilter",
        order="EventOrder",
        default=[Key("{r}.happened_on", "date", descending=True)],
    )
    self_score: Decimal | None = column("The unit's own score (自评分); never counts.")
    self_note: str | None = column("What the unit says to it.")
    marks: Decimal | None = column("Awarded marks; null before.")
    marks_reason: str | None = column("Why below full marks (扣分原因).")
    own_award: Decimal | None = expression(
        "What the viewer itself awarded.",
        """(SELECT ow.marks FROM reviews ow WHERE ow.tenant_id = {tenant} AND ow.assessment_id = {t}.id
            AND ow.decision = 'AWARD' AND ow.by_id = {actor} ORDER BY ow.id DESC LIMIT 1)""",
    )
    awards_asked: int = expression(
        "Awards asked of assessors: one, or one of each group at least.",
        """(SELECT CASE WHEN aw.rule ->> 'kind' = 'AWARD' THEN greatest(1, jsonb_array_length(
                coalesce(nullif(aw.rule -> 'groups', 'null'), '[]'))) ELSE 0 END FROM indicators aw
            WHERE aw.tenant_id = {tenant} AND aw.id = {t}.indicator_id)""",
    )
    awards_given: int = expression(
        "Awards given: one per assessor.",
        """(SELECT count(DISTINCT ag.by_id)::int FROM reviews ag WHERE ag.tenant_id = {tenant}
            AND ag.assessment_id = {t}.id AND ag.decision = 'AWARD')""",
    )
    full_marks: Decimal = expression("Full marks of the leaf for the unit's category.", FULL_MARKS)
    preview_marks: Decimal | None = computed(
        "Marks on the present values, where the rule looks at no other unit, cycle or event (预计得分); null where a "
        "value is missing, and where marks are awarded.",
        previews,
        needs=["id"],
    )
    reviews: "Connection[Review]" = connection(
        "All reviews, newest first.", on={"id": "assessment_id"}, default=[Key("{r}.id", "uuid", descending=True)]
    )
    returned: ReturnInfo | None = relation(
        "The return that is open.",
        rows="""SELECT rv.id AS review_id, {t}.indicator_id, rv.reason, rv.at, rv.due_on FROM reviews rv
                WHERE rv.tenant_id = {tenant} AND rv.assessment_id = {t}.id AND rv.decision = 'RETURN'
                  AND {t}.state = 'RETURNED' ORDER BY rv.id DESC LIMIT 1""",
    )
    changes_since_accepted: int = column("Revisions of its entries since it was accepted (审核后变更).")
    inconsistent: bool = expression(
        "Accepted on an older revision than the present one.", "{t}.changes_since_accepted > 0"
    )
    days_late: int = column("Days late of its latest entry.")
    version: int = column("Rises with each change.")


@query
class ReviewsQuery:
    """Assessments."""

    assessment: Assessment | None = by_id("One assessment.", "Assessment")
