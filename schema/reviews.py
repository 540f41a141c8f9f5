"""Assessments and reviews as frontends see them (考核评分、审核)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from strawberry import UNSET

from schema.context import Context
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    by_ids,
    column,
    computed,
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
from schema.progress import ProgressStats, leaf_stats
from schema.reports import EntryContentInput, ReturnInfo, content_of, known
from schema.scalars import DateText, DecimalText
from schema.values import PARTS_SHOWN, VALUE_TYPES, EntryValue, said, value_json, value_words
from service import reviews
from service.access import Actor as Caller
from service.access import Role
from service.errors import ErrorCode as Code
from service.errors import Invalid, Issue, Path
from service.reports.rights import (
    ASSESSMENT_NARROWED,
    ASSESSMENT_VISIBLE,
    FILLS_SIDE,
    HELD,
    LEAF_NARROWED,
    OWN_UNIT,
    covers,
    departments,
)
from service.reports.values import PinnedItem, Value
from service.reviews import Decision, ReviewSpec, SelfScoreSpec
from service.reviews.marks import FULL_MARKS
from service.reviews.preview import PreviewLeaf, preview
from service.reviews.rights import JUDGING_STATES, LEVELS, NOT_REVIEWABLE, REASONS
from service.scoring.text import Text
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.directory import OrgUnit
    from schema.events import Event
    from schema.members import Actor
    from schema.rankings import ValueState
    from schema.reports import EntryRevision, Task
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


@enumeration("What a review can decide.")
class ReviewDecision(Enum):
    """Decisions of reviews."""

    ACCEPT = "Accept (审核通过)."
    RETURN = "Send back (退回)."
    ADJUST = "Settle another value (核定)."
    AWARD = "Award marks (赋分)."
    REJECT = "Not recognise (不予认定)."
    NOT_APPLICABLE = "Agree that it does not apply (认定不适用)."


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
        JOIN cycles vc ON vc.tenant_id = vt.tenant_id AND vc.id = vt.cycle_id
        JOIN scheme_version_items si ON si.tenant_id = vc.tenant_id AND si.scheme_version_id = vc.scheme_version_id
             AND si.data_item_id = vt.data_item_id
        WHERE vt.tenant_id = {{tenant}} AND vt.id = it.id) sx ON true
    WHERE ii.tenant_id = {{tenant}} AND ii.indicator_id = {{t}}.indicator_id"""

PRINTED = "(SELECT io.print_order FROM indicators io WHERE io.tenant_id = {tenant} AND io.id = {r}.indicator_id)"

NAMES_SHOWN = f"""(SELECT {{by}} = {{actor}} OR NOT {OWN_UNIT.replace("{t}", "na")} AND (
        {covers("('REVIEWER', 'ORGANISER')", ASSESSMENT_NARROWED).replace("{t}", "na")}
        OR EXISTS (SELECT 1 {departments()} AND {ASSESSMENT_NARROWED.replace("{t}", "na")}
            AND EXISTS (SELECT 1 FROM indicator_responsibles nr WHERE nr.tenant_id = {{tenant}}
                AND nr.indicator_id = na.indicator_id AND nr.unit_id = go.unit_id)))
    FROM assessments na WHERE na.tenant_id = {{tenant}} AND na.id = {{assessment}})"""
"""Whether the viewer may know who judged: whoever judges as well; the assessed unit and observers see role and unit."""


# Of an assessment `pa`: each item as it is pinned, with its settled value, else the present one the viewer may see.
_PRESENT = f"""SELECT jsonb_agg(jsonb_build_object('data_item_id', si.data_item_id, 'code', si.code, 'name', si.name,
        'type', si.type, 'unit_of_measure', si.unit_of_measure, 'scale', si.scale, 'options', si.options::text,
        'number', pv.number::text, 'detail', pv.detail) ORDER BY pi.position)
    FROM indicator_items pi
    JOIN tasks vt ON vt.tenant_id = pi.tenant_id AND vt.cycle_unit_id = pa.cycle_unit_id
         AND vt.data_item_id = pi.data_item_id
    JOIN cycles vc ON vc.tenant_id = vt.tenant_id AND vc.id = vt.cycle_id
    JOIN scheme_version_items si ON si.tenant_id = vc.tenant_id AND si.scheme_version_id = vc.scheme_version_id
         AND si.data_item_id = vt.data_item_id
    LEFT JOIN entries ve ON ve.tenant_id = vt.tenant_id AND ve.task_id = vt.id
    LEFT JOIN entry_revisions vr ON vr.tenant_id = ve.tenant_id AND vr.id = ve.submitted_revision_id
    CROSS JOIN LATERAL (SELECT * FROM (VALUES
        (1, pa.settled_numbers[pi.position + 1], nullif(pa.settled_details -> pi.position, 'null'),
            pa.settled_details IS NOT NULL),
        (2, ve.number, ve.detail, ve.state = 'SUBMITTED' OR {FILLS_SIDE.replace("{t}", "vt")}),
        (3, vr.number, vr.detail, true)) AS pc (place, number, detail, fits)
        WHERE pc.fits ORDER BY pc.place LIMIT 1) pv
    WHERE pi.tenant_id = {{tenant}} AND pi.indicator_id = pa.indicator_id"""


async def _previews(context: Context, records: Sequence[Mapping[str, Any]]) -> list[Decimal | None]:
    statement = context.statement()
    wanted = statement.bind([record["id"] for record in records], "uuid[]")
    rows = await context.fetch(
        statement.render(
            f"""SELECT pa.id, pa.state, pl.rule::text AS rule, {FULL_MARKS.replace("{t}", "pa")} AS full_marks,
                       ({_PRESENT}) AS items
                FROM assessments pa JOIN indicators pl ON pl.tenant_id = pa.tenant_id AND pl.id = pa.indicator_id
                WHERE pa.tenant_id = {{tenant}} AND pa.id = ANY({wanted}) AND pl.rule IS NOT NULL"""
        ),
        statement,
    )
    leaves: dict[PreviewLeaf, list[tuple[UUID, list[Value | None]]]] = {}
    found: dict[UUID, Decimal | None] = {}
    for row in rows:
        items = orjson.loads(row["items"] or "[]")
        pinned = tuple(PinnedItem.of({**item, "minimum": None, "maximum": None}) for item in items)
        leaf = PreviewLeaf(row["rule"], row["full_marks"], pinned)
        if row["state"] == "REJECTED":
            found[row["id"]] = Decimal(0)
        elif row["state"] != "NOT_APPLICABLE" and items:
            leaves.setdefault(leaf, []).append((row["id"], [_present(item) for item in items]))
    for leaf, units in leaves.items():
        found |= zip((key for key, _ in units), preview(leaf, [values for _, values in units]), strict=True)
    return [found.get(record["id"]) for record in records]


def _present(item: Mapping[str, Any]) -> Value | None:
    if item["number"] is None and item["detail"] is None:
        return None
    return Value(None if item["number"] is None else Decimal(item["number"]), item["detail"])


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

    UNIT = Sort(
        "By code of the unit.",
        (
            Key(
                """(SELECT uo.code FROM cycle_units uo WHERE uo.tenant_id = {tenant} AND uo.id = {r}.cycle_unit_id)
                   COLLATE "C\""""
            ),
        ),
    )
    INDICATOR = Sort("By place in the scheme.", (Key(PRINTED, "bigint"),))
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
        "Awards asked of assessors.",
        """(SELECT (aw.rule ->> 'kind' = 'AWARD')::int FROM indicators aw
            WHERE aw.tenant_id = {tenant} AND aw.id = {t}.indicator_id)""",
    )
    awards_given: int = expression("Awards given.", "({t}.marks IS NOT NULL)::int")
    full_marks: Decimal = expression("Full marks of the leaf for the unit's category.", FULL_MARKS)
    preview_marks: Decimal | None = computed(
        "Marks on the present values, where the rule looks at no other unit, cycle or event (预计得分); null where a "
        "value is missing, and where marks are awarded.",
        _previews,
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
    marks: Decimal | None = column("For an award: what.")
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


@value
class ResponsibleLeafInfo:
    """One leaf of a cycle that the viewer's department is responsible for."""

    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    indicator: "Indicator" = relation("The leaf.", on={"indicator_id": "id"})
    responsible_unit: "OrgUnit" = relation("On whose behalf (责任单位).", on={"unit_id": "id"})
    stats: ProgressStats = embedded("Where it stands over all units.")


_QUEUE_LEVELS = f"""SELECT qc.id AS cycle_id, ri.id AS indicator_id, ql.level, ql.route, ql.unit_kind
    FROM cycles qc
    JOIN indicators ri ON ri.tenant_id = qc.tenant_id AND ri.scheme_version_id = qc.scheme_version_id AND ri.leaf
    JOIN scheme_versions rv ON rv.tenant_id = ri.tenant_id AND rv.id = ri.scheme_version_id
    CROSS JOIN LATERAL (
        SELECT 1 AS level, 'AWARD' AS route, NULL AS unit_kind WHERE ri.rule ->> 'kind' = 'AWARD'
        UNION ALL
        SELECT lv.n::int, lv.v ->> 'route', lv.v ->> 'unitKind'
        FROM jsonb_array_elements({LEVELS}) WITH ORDINALITY AS lv(v, n) WHERE ri.rule ->> 'kind' <> 'AWARD') ql
    WHERE qc.tenant_id = {{tenant}} AND qc.state IN {JUDGING_STATES}"""


def _queue(*routes: str) -> str:
    """Predicate: the assessment {r} waits for the viewer's judgement by one of the routes."""
    wanted = ", ".join(f"'{route}'" for route in routes)
    narrowed = ASSESSMENT_NARROWED.replace("{t}", "qa")
    joined = """qa.tenant_id = {tenant} AND qa.cycle_id = ql.cycle_id AND qa.indicator_id = ql.indicator_id
        AND qa.level = ql.level AND qa.state = 'READY' AND qa.levels > 0"""
    territorial = f"""SELECT qa.id FROM queue_levels ql
        JOIN grants gg ON {HELD} AND gg.role = 'REVIEWER'
        JOIN cycle_unit_ancestors ga ON ga.tenant_id = gg.tenant_id AND ga.ancestor_id = gg.unit_id AND ga.depth > 0
        JOIN assessments qa ON {joined} AND qa.cycle_unit_id = ga.cycle_unit_id
        WHERE ql.route = 'TERRITORIAL' AND {narrowed} AND NOT {OWN_UNIT.replace("{t}", "qa")}
          AND (ql.unit_kind IS NULL OR EXISTS (SELECT 1 FROM cycle_units gk WHERE gk.tenant_id = {{tenant}}
               AND gk.cycle_id = ql.cycle_id AND gk.unit_id = gg.unit_id AND gk.kind = ql.unit_kind))"""
    departmental = f"""SELECT qa.id FROM queue_levels ql
        JOIN indicator_responsibles gr ON gr.tenant_id = {{tenant}} AND gr.indicator_id = ql.indicator_id
        JOIN org_unit_ancestors go ON go.tenant_id = gr.tenant_id AND go.unit_id = gr.unit_id
        JOIN grants gg ON {HELD} AND gg.unit_id = go.ancestor_id
             AND (gg.role = 'ASSESSOR' OR ql.route = 'DEPARTMENTAL' AND gg.role = 'REVIEWER' AND go.depth = 0)
        JOIN assessments qa ON {joined}
        WHERE ql.route IN ({wanted}) AND ql.route <> 'TERRITORIAL' AND {narrowed}
          AND NOT {OWN_UNIT.replace("{t}", "qa")}"""
    parts = [territorial, departmental] if "TERRITORIAL" in routes else [departmental]
    return f"{{r}}.id IN (WITH queue_levels AS ({_QUEUE_LEVELS}) {' UNION ALL '.join(parts)})"


REVIEW_QUEUE = _queue("TERRITORIAL", "DEPARTMENTAL")
AWARD_QUEUE = _queue("AWARD")

RESPONSIBLE_LEAVES = f"""SELECT DISTINCT lc.id AS cycle_id, lc.starts_on, li.id AS indicator_id, li.print_order,
        lu.id AS unit_id, lu.code
    FROM (SELECT gg.*, go.unit_id AS department {departments()}) gg
    JOIN cycles lc ON lc.tenant_id = gg.tenant_id AND lc.state NOT IN ('DRAFT', 'ARCHIVED')
    JOIN indicators li ON li.tenant_id = lc.tenant_id AND li.scheme_version_id = lc.scheme_version_id AND li.leaf
    JOIN org_units lu ON lu.tenant_id = gg.tenant_id AND lu.id = gg.department
    WHERE {LEAF_NARROWED.replace("{leaf}", "li.id")} AND (
        EXISTS (SELECT 1 FROM indicator_responsibles lr WHERE lr.tenant_id = {{tenant}}
            AND lr.indicator_id = li.id AND lr.unit_id = gg.department)
        OR EXISTS (SELECT 1 FROM indicator_items lm
            JOIN scheme_version_items ls ON ls.tenant_id = lm.tenant_id AND ls.data_item_id = lm.data_item_id
                 AND ls.scheme_version_id = li.scheme_version_id AND ls.source = 'REVIEWED'
            WHERE lm.tenant_id = {{tenant}} AND lm.indicator_id = li.id
              AND (gg.data_item_ids = '{{}}' OR ls.data_item_id = ANY (gg.data_item_ids))
              AND gg.department = ANY (ls.responsible_unit_ids)))"""

LEAVES = f"""SELECT lx.*, lk.* FROM ({RESPONSIBLE_LEAVES}) lx
    CROSS JOIN LATERAL ({leaf_stats("lx.cycle_id", "lx.indicator_id")}) lk"""
"""Leaves that the viewer's departments fill, award or review, in cycles that are under way, with counters."""


@query
class ReviewsQuery:
    """Assessments."""

    assessment: Assessment | None = by_id("One assessment.", "Assessment")


# ---- mutations


@input_type
class SelfScoreInput:
    """A self score."""

    assessment_id: ID = described("Which leaf.")
    version: int = described("Version read.")
    score: DecimalText | None = described("Its score; null takes it away.")
    note: str | None = described("What the unit says to it.")


@input_type
class SaveSelfScoresInput:
    """What saveSelfScores takes."""

    scores: list[SelfScoreInput] = described("The scores, at most 1,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class SaveSelfScoresSuccess:
    """saveSelfScores is done."""

    assessments: list[Assessment] = described("The leaves.")


@input_type
class AcceptInput:
    """An acceptance."""

    note: str | None = described("Remark.")


@one_of
class ReturnUntilInput:
    """Exactly one."""

    date: DateText | None = described("A day.", default=UNSET)
    working_days: int | None = described("So many working days after today.", default=UNSET)


@input_type
class ReturnInput:
    """A return."""

    reason: str = described("Why.")
    until: ReturnUntilInput = described("Until when it must be sent again; never earlier than the task's own last day.")
    data_item_ids: list[ID] | None = described("Only these items; all of the leaf if left out.")


@input_type
class AdjustedValueInput:
    """One settled value."""

    task_id: ID = described("Of which task.")
    content: EntryContentInput = described("The value.")


@input_type
class AdjustInput:
    """Other values."""

    values: list[AdjustedValueInput] = described("The settled values.")
    reason: str = described("Why.")


@input_type
class AwardInput:
    """Awarded marks."""

    marks: DecimalText = described("0 to full marks, in steps.")
    reason: str | None = described("Required below full marks (扣分原因).")


@input_type
class RejectInput:
    """A rejection."""

    reason: str = described("Why.")


@input_type
class ExemptInput:
    """That it does not apply."""

    reason: str = described("Why.")


@one_of
class ReviewDecisionInput:
    """Exactly one decision."""

    accept: AcceptInput | None = described("Accept (审核通过).", default=UNSET)
    return_: ReturnInput | None = described("Send back (退回).", default=UNSET)
    adjust: AdjustInput | None = described("Settle other values (核定).", default=UNSET)
    award: AwardInput | None = described("Award marks (赋分).", default=UNSET)
    reject: RejectInput | None = described("Not recognise (不予认定).", default=UNSET)
    not_applicable: ExemptInput | None = described(
        "Agree or decide that it does not apply (认定不适用).", default=UNSET
    )


@input_type
class ReviewInput:
    """One judgement."""

    assessment_id: ID = described("Which.")
    version: int = described("Version read.")
    decision: ReviewDecisionInput = described("What is decided.")


@input_type
class ReviewAssessmentsInput:
    """What reviewAssessments takes."""

    reviews: list[ReviewInput] = described("The judgements, at most 5,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class ReviewAssessmentsSuccess:
    """reviewAssessments is done."""

    assessments: list[Assessment] = described("The assessments, in order.")


def decision_of(given: ReviewDecisionInput, path: Path) -> Decision:
    """The decision as the use-case takes it; raises Invalid where there is none."""
    if accept := known(given.accept):
        return reviews.Accept(accept.note)
    if returned := known(given.return_):
        until = returned.until
        return reviews.Return(returned.reason, known(until.date), known(until.working_days), returned.data_item_ids)
    if adjust := known(given.adjust):
        values = [reviews.AdjustedValue(each.task_id, content_of(each.content)) for each in adjust.values]
        return reviews.Adjust(values, adjust.reason)
    if award := known(given.award):
        return reviews.Award(award.marks, award.reason)
    if reject := known(given.reject):
        return reviews.Reject(reject.reason)
    if exempt := known(given.not_applicable):
        return reviews.Exempt(exempt.reason)
    raise Invalid([Issue(Code.INVALID, path, Text(zh="请选择一种处理。", en="Give exactly one decision."))])


@mutation(SaveSelfScoresSuccess)
async def save_self_scores(tx: Transaction, actor: Caller, given: SaveSelfScoresInput) -> Outcome:
    """Saves a unit's own scores beside leaves that are awarded (自评分)."""
    scores = [SelfScoreSpec(each.assessment_id, each.version, each.score, each.note) for each in given.scores]
    return {"assessments": await reviews.save_self_scores(tx, actor, scores=scores)}


@mutation(ReviewAssessmentsSuccess)
async def review_assessments(tx: Transaction, actor: Caller, given: ReviewAssessmentsInput) -> Outcome:
    """Judges assessments, one or up to 5,000, all or none (审核、评分)."""
    specs = [
        ReviewSpec(
            each.assessment_id, each.version, decision_of(each.decision, ("input", "reviews", str(place), "decision"))
        )
        for place, each in enumerate(given.reviews)
    ]
    return {"assessments": await reviews.review_assessments(tx, actor, reviews=specs)}
