"""Ranking runs and standings, as frontends see them (成绩测算、考核结果)."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

from strawberry import Info

from schema.context import Context
from schema.cycles import StateIssue, blockers_of
from schema.jobs import FINISHED, MESSAGE, JobState, job_state
from schema.jobs import say as spoken
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
    order_type,
    payload,
    query,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.rows import value_of
from schema.scalars import DateText, Rational
from schema.schemes import PublicationKind, grade_of
from schema.scope import READERS, covers
from schema.subscription import subscriptions
from service import rankings
from service.access import Actor as Caller
from service.access import Role
from service.cycles import STATE_NAMES, STEPS
from service.cycles import Step as CycleStep
from service.language import Language, say
from service.publications import KIND_NAMES, STATE_AFTER
from service.rankings import grading
from service.rankings.explaining import NOWHERE, Explained, explanations
from service.rankings.gradebook import CURRENT_GRADE, DECIDED_GRADE, NEWEST_RECORD, PROPOSED_GRADE
from service.rankings.grading import GradeSpec
from service.scoring import Step, Text, explanation_text
from service.scoring.explanation import StepInput
from service.scoring.numbers import finite_places, format_decimal, format_rational, format_scaled, round_half_up
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.directory import Category
    from schema.events import Event
    from schema.items import DataItem
    from schema.jobs import Job
    from schema.members import Actor
    from schema.publications import Publication
    from schema.reports import EntryRevision
    from schema.reviews import Review
    from schema.schemes import Grade, Indicator

OWN = f"({{all}} OR {covers('{t}.cycle_unit_id', *READERS)})"
"""Of a standing: the viewer reads all of it, published or not being another question."""


def published(*parts: str) -> str:
    """Of a standing: a publication of its run shows one of these parts of it to everyone."""
    shown = " OR ".join(
        f"""pd.disclosure ->> '{part}' = 'ALL'
            OR pd.disclosure ->> '{part}' = 'BEST' AND {{t}}.rank <= (pd.disclosure ->> 'bestCount')::int"""
        for part in parts
    )
    return f"""EXISTS (SELECT 1 FROM publications pd
        WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND ({shown}))"""


PUBLISHED = """EXISTS (SELECT 1 FROM publications pd WHERE pd.tenant_id = {tenant} AND pd.run_id = {t}.run_id)"""


def disclosed(sql: str, part: str) -> str:
    """An expression of a standing, or null where the viewer may not see that part."""
    return f"CASE WHEN {OWN} OR {published(part)} THEN {sql} END"


GRADES_SHOWN = f"""({{all}} OR {published("grades")} OR {OWN} AND EXISTS (SELECT 1 FROM publications pd
    WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND pd.kind <> 'INTERIM'))"""
"""Of a standing: the viewer may know its grade. An interim board has no grades, not even the own."""


@enumeration("Stages of a run.")
class RunStage(Enum):
    """Stages."""

    QUEUED = "Waits for a worker."
    SNAPSHOT = "Takes the snapshot."
    SCORING = "Scores leaves and nodes."
    RANKING = "Ranks and grades."
    WRITING = "Writes standings."
    DONE = "Ended."


@enumeration("Whether and why a unit has no rank.")
class StandingStatus(Enum):
    """Statuses."""

    RANKED = "Has a rank."
    VETOED = "Out of the ranking by veto (一票否决)."
    LOW_COVERAGE = "Coverage below the threshold (不参与排名)."
    NOT_SCORED = "Nothing applies to it."


@enumeration("Five states of a value, but for the veto, which is the unit's.")
class ValueState(Enum):
    """States of a value."""

    GIVEN = "Given."
    MISSING = "Missing at the deadline."
    NOT_APPLICABLE = "Does not apply."
    REJECTED = "Not recognised."


@value
class RunProgressInfo:
    """How far a run is."""

    stage: RunStage = expression(
        "What it does now.",
        """CASE WHEN {t}.state = 'QUEUED' THEN 'QUEUED' WHEN {t}.state = 'RUNNING' THEN coalesce({t}.stage, 'SNAPSHOT')
           ELSE 'DONE' END""",
    )
    percent: int = column("0 to 100.")
    units_done: int = column("Units done.")
    units_total: int = column("Units in all.")
    message: str = expression("In words, what it does now.", MESSAGE)


@value
class QuotaInfo:
    """Places of one grade."""

    grade: "Grade" = document("The grade.")
    parent: "CycleUnit | None" = relation(
        "Of which parent unit, where places are counted so; null per category, and for all units together.",
        on={"parent": "id"},
    )
    base: int = column("Units in the base.")
    places: int = column("Places.")
    used: int = column("Places taken.")


@value
class CategoryBoardInfo:
    """A category on a board."""

    category: "Category" = relation("The category.", on={"category_id": "id"})
    name: str = column("Its name at opening.")
    unit_count: int = column("Units.")
    ranked_count: int = column("Units with a rank.")
    highest: Decimal | None = column("Highest total shown.")
    median: Decimal | None = column("Median total.")
    lowest: Decimal | None = column("Lowest total.")
    quotas: list[QuotaInfo] = document(
        "Places per limited grade, used and left: of the category, of parents of its units, or of all together."
    )


def _version(run: str) -> str:
    """SQL for the version that a run was computed on."""
    return f"""(SELECT rc.scheme_version_id FROM ranking_runs rn
        JOIN cycles rc ON rc.tenant_id = rn.tenant_id AND rc.id = rn.cycle_id
        WHERE rn.tenant_id = {{tenant}} AND rn.id = {run})"""


def _quotas(run: str) -> str:
    """SQL for the quotas of a run that concern the category `kc`; none where its grades are not the viewer's to see."""
    return f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('grade', {grade_of(_version(run), "qq.v ->> 'grade'")},
            'parent', CASE WHEN qq.v ->> 'scope' = 'PARENT' THEN qq.v ->> 'group' END, 'base', qq.v -> 'base',
            'places', qq.v -> 'places', 'used', qq.v -> 'used') ORDER BY qq.o), '[]')
        FROM ranking_runs qr CROSS JOIN LATERAL jsonb_array_elements(qr.quotas) WITH ORDINALITY AS qq(v, o)
        WHERE qr.tenant_id = {{tenant}} AND qr.id = {run}
          AND ({{all}} OR EXISTS (SELECT 1 FROM publications pd WHERE pd.tenant_id = {{tenant}}
               AND pd.run_id = qr.id AND pd.disclosure ->> 'grades' = 'ALL'))
          AND (qq.v ->> 'scope' = 'ALL' OR qq.v ->> 'scope' = 'CATEGORY' AND qq.v ->> 'group' = kc.category_id::text
               OR qq.v ->> 'scope' = 'PARENT' AND EXISTS (SELECT 1 FROM cycle_units qu
                   WHERE qu.tenant_id = {{tenant}} AND qu.cycle_id = qr.cycle_id AND qu.category_id = kc.category_id
                     AND qu.assessed AND qu.parent_id = (qq.v ->> 'group')::uuid)))"""


def categories_of(run: str) -> str:
    """Rows over a board or run {{t}} whose run's id is `run`: its categories with their summary."""
    return f"""SELECT kc.category_id, kc.position, kc.name, count(sc.id)::int AS unit_count,
        count(sc.rank)::int AS ranked_count, max(sc.total) AS highest, min(sc.total) AS lowest,
        (SELECT (array_agg(sm.total ORDER BY sm.total))[(count(*)::int + 1) / 2] FROM standings sm
         WHERE sm.tenant_id = {{tenant}} AND sm.run_id = {run} AND sm.category_id = kc.category_id
           AND sm.total IS NOT NULL) AS median, {_quotas(run)} AS quotas
    FROM cycle_categories kc
    LEFT JOIN standings sc ON sc.tenant_id = {{tenant}} AND sc.run_id = {run} AND sc.category_id = kc.category_id
    WHERE kc.tenant_id = {{tenant}} AND kc.cycle_id = {{t}}.cycle_id
    GROUP BY kc.category_id, kc.position, kc.name"""


# ---- explanations


async def _explained(context: Context, standing_ids: Sequence[UUID]) -> dict[UUID, Explained]:
    """Explanations of the standings that the viewer reads in full; one reckoning for all fields that ask together."""

    async def run(ids: list[UUID]) -> Sequence[Explained | None]:
        statement = context.statement()
        own = statement.render(OWN, t="xs")
        records = await context.fetch(
            f"SELECT xs.id FROM standings xs WHERE xs.tenant_id = {statement.render('{tenant}')} "
            f"AND xs.id = ANY({statement.bind(list(dict.fromkeys(ids)), 'uuid[]')}) AND {own}",
            statement,
        )
        found = await explanations(context.reader, [record["id"] for record in records])
        return [found.get(each) for each in ids]

    wanted = list(dict.fromkeys(standing_ids))
    found = await asyncio.gather(*(context.loader.load("explanation", each, run) for each in wanted))
    return {each: one for each, one in zip(wanted, found, strict=True) if one is not None}


async def _explanations(context: Context, standings: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    found = await _explained(context, [standing["id"] for standing in standings])
    return [
        None if (one := found.get(standing["id"])) is None else _explanation_document(one, context.language)
        for standing in standings
    ]


async def _reasons(context: Context, nodes: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    found = await _explained(context, [node["standing_id"] for node in nodes])
    told = []
    for node in nodes:
        one = found.get(node["standing_id"])
        reason = None if one is None else one.reason(node["code"])
        told.append(None if reason is None else say(reason, context.language))
    return told


def _explanation_document(found: Explained, language: Language) -> dict[str, Any]:
    return {
        "text": say(explanation_text(found.steps), language),
        "steps": [_step_document(found, step, language) for step in found.steps],
    }


def _step_document(found: Explained, step: Step, language: Language) -> dict[str, Any]:
    peers = step.comparison
    return {
        "key": step.key,
        "parent_key": step.parent_key,
        "depth": step.depth,
        "kind": step.kind,
        "indicator_id": found.indicators.get(step.indicator) if step.indicator is not None else None,
        "text": say(step.text, language),
        "formula": step.formula,
        "before": _exact(step.before),
        "result": _exact(step.result),
        "shown": step.shown,
        "weight": _decimal(step.weight),
        "effective_weight": _exact(step.effective_weight),
        "value_state": step.value_state if step.kind == "LEAF" else None,
        "inputs": [_input_document(found, step.key, each) for each in step.inputs],
        "event_ids": [found.events[key] for key in step.events if key in found.events],
        "comparison": peers
        and {"peers": peers.peers, "best": _decimal(peers.best), "worst": _decimal(peers.worst), "rank": peers.rank},
    }


def _input_document(found: Explained, leaf: str, given: StepInput) -> dict[str, Any]:
    origin = found.origins.get(leaf, NOWHERE)
    item = found.data_items[given.data_item]
    return {
        "data_item_id": item,
        "display": given.display,
        "revision_id": origin.revisions.get(item),
        "review_id": origin.review_id,
    }


def _exact(number: Fraction | None) -> str | None:
    return None if number is None else format_rational(number)


PLACES = 12
"""Decimal places of a shown number that has no finite decimal form."""


def _decimal(number: Fraction | None) -> str | None:
    if number is None:
        return None
    if finite_places(number) is None:
        return format_scaled(round_half_up(number, PLACES), PLACES)
    return format_decimal(number)


@enumeration("Kinds of steps, in the order they are taken.")
class ExplanationStepKind(Enum):
    """Kinds of steps."""

    LEAF = "A leaf's rule."
    AGGREGATE = "A node from its children."
    BONUS = "Capped bonus added."
    DEDUCTION = "Capped deductions taken."
    LATE_PENALTY = "Late penalty taken."
    CLAMP = "Clamped to 0 and the top."
    ROUND = "The one rounding."
    VETO = "A veto's effect."
    RANK = "The rank."
    TIE = "A tie and how it was broken."
    QUOTA = "Places of a grade."
    GRADE = "The grade."


@value
class ExplanationInputInfo:
    """A settled value used by a leaf."""

    data_item: "DataItem" = relation("The item.", on={"data_item_id": "id"})
    display: str = column("As people read it; empty where there is none.")
    reported: "EntryRevision | None" = relation(
        "What was reported, where the viewer may see it.", on={"revision_id": "id"}
    )
    review: "Review | None" = relation("The review that settled it.", on={"review_id": "id"})


@value
class PeerInfo:
    """What a relative rule compared with."""

    peers: int = column("Units with a value.")
    best: Decimal | None = column("Best value.")
    worst: Decimal | None = column("Worst value.")
    rank: int | None = column("Rank among them.")


@value
class ExplanationStep:
    """One step of the arithmetic."""

    key: str = column("Names the step within the explanation.")
    parent_key: str | None = column("Step it flows into; null for the total.")
    depth: int = column("Depth in the tree of steps.")
    kind: ExplanationStepKind = column("What it does.")
    indicator: "Indicator | None" = relation("The node it is about.", on={"indicator_id": "id"})
    text: str = column("In words, with its numbers.")
    formula: str = column("The arithmetic, such as 2 × 46 ÷ 48; empty where there is none.")
    before: Rational | None = column("Exact value before.")
    result: Rational | None = column("Exact result; null if not applicable.")
    shown: Decimal | None = column("The same rounded for show.")
    weight: Decimal | None = column("Weight or points as printed.")
    effective_weight: Rational | None = column("Weight that counted after sharing what does not apply.")
    value_state: ValueState | None = column("For a leaf: state of its value.")
    inputs: list[ExplanationInputInfo] = document("For a leaf: settled values used.")
    events: "list[Event]" = by_ids("For pots and vetoes: events that counted or did not.", "event_ids")
    comparison: PeerInfo | None = document("For relative rules: what it was compared with.")


@value
class Explanation:
    """A score opened down to evidence and arithmetic."""

    text: str = column("The whole in words, in the caller's language.")
    steps: list[ExplanationStep] = document("All steps, flat, in reading order; parentKey and depth give the tree.")


# ---- standings


@value
class NodeScoreInfo:
    """Score of a node for a unit."""

    indicator: "Indicator" = relation("The node.", on={"indicator_id": "id"})
    score: Decimal | None = column("0 to 100, rounded for show; null if not applicable.")
    marks: Decimal | None = column("The same in the node's marks.")
    full_marks: Decimal | None = column("Full marks of the node.")
    exact: Rational | None = column("The exact score, of first-level indicators.")
    value_state: ValueState = column("State of a leaf's value; GIVEN for inner nodes with a score.")
    coverage: Decimal = column("Coverage below it.")
    reason: str | None = computed(
        "Why points were lost, in words (扣分原因); null where none were, and where only the own may be read.",
        _reasons,
        needs=["standing_id", "code"],
    )


@value
class ChangeInfo:
    """Change against an earlier publication."""

    publication: "Publication" = relation("Which one.", on={"previous_publication_id": "id"})
    total: Decimal | None = expression("Difference of totals.", "{t}.total - {t}.previous_total")
    rank: int | None = expression("Ranks gained (plus) or lost (minus).", "{t}.previous_rank - {t}.rank")
    previous_total: Decimal | None = column("Total then.")
    previous_rank: int | None = column("Rank then.")
    previous_grade: str | None = expression(
        "Name of the grade then.", f"CASE WHEN {GRADES_SHOWN} THEN {{t}}.previous_grade END"
    )


@value
class GradeDecisionInfo:
    """Record of a decided grade."""

    body: str = column("Deciding body.")
    decided_on: date = column("When.")
    document_title: str = column("Document.")
    document_number: str | None = column("Its number.")
    reason: str | None = column("Why it differs from the computed one.")


def _graded(code: str) -> str:
    """SQL for a standing's grade by its code, where the viewer may know it."""
    return f"CASE WHEN {GRADES_SHOWN} THEN {grade_of(_version('{t}.run_id'), code)} END"


_NODES = f"""SELECT {{t}}.id AS standing_id, ni.id AS indicator_id, ni.leaf, ni.print_order,
        (nv.v ->> 'score')::numeric AS score,
        (nv.v ->> 'marks')::numeric AS marks, nv.v ->> 'state' AS value_state,
        (nv.v ->> 'coverage')::numeric AS coverage,
        coalesce((SELECT (pc.v ->> 'points')::numeric FROM jsonb_array_elements(ni.points_by_category) pc(v)
                  WHERE pc.v ->> 'category' = {{t}}.category_id::text), ni.points) AS full_marks,
        (SELECT nd.exact FROM standing_dimensions nd WHERE nd.tenant_id = {{tenant}} AND nd.standing_id = {{t}}.id
           AND nd.indicator_id = ni.id) AS exact, ni.code
    FROM standing_details sd
    CROSS JOIN LATERAL jsonb_array_elements(sd.nodes::jsonb) nv(v)
    JOIN ranking_runs nr ON nr.tenant_id = {{tenant}} AND nr.id = {{t}}.run_id
    JOIN cycles nc ON nc.tenant_id = {{tenant}} AND nc.id = nr.cycle_id
    JOIN indicators ni ON ni.tenant_id = {{tenant}} AND ni.scheme_version_id = nc.scheme_version_id
         AND ni.code = nv.v ->> 'code'
    WHERE sd.tenant_id = {{tenant}} AND sd.standing_id = {{t}}.id
      AND ({OWN} OR (ni.depth = 1 AND {published("dimensions")}))"""


@table(
    "standings",
    plural="standings",
    visible=f"{{all}} OR {PUBLISHED} AND ({OWN} OR {published('totals', 'ranks', 'grades', 'dimensions')})",
)
class Standing(Node):
    """A unit's result in a run (考核结果). What a publication does not disclose to the viewer is null."""

    id: ID = identifier()
    run: "RankingRun | None" = relation("The run; null for those who may only see publications.", on={"run_id": "id"})
    unit: "CycleUnit" = relation("The unit as of the cycle.", on={"cycle_unit_id": "id"})
    category: "Category" = relation("Its peer group.", on={"category_id": "id"})
    total: Decimal | None = expression("Shown total, rounded once (总得分).", disclosed("{t}.total", "totals"))
    exact: Rational | None = expression("The exact total.", disclosed("{t}.exact", "totals"))
    rank: int | None = expression("Rank in the category (名次); null if not ranked.", disclosed("{t}.rank", "ranks"))
    overall_rank: int | None = expression(
        "Rank over all categories, where the scheme asks for it.", disclosed("{t}.overall_rank", "ranks")
    )
    shared_by: int = column("How many share the rank; 1 if it is alone, 0 if not ranked.")
    status: StandingStatus = column("Why it has no rank, if it has none.")
    base: Decimal | None = expression(
        "Score from the tree, before bonus, deductions and late penalty, rounded for show.",
        disclosed("{t}.base", "totals"),
    )
    bonus: Decimal | None = expression("Bonus that counted (加分).", disclosed("{t}.bonus", "totals"))
    deduction: Decimal | None = expression("Deductions that counted (减分).", disclosed("{t}.deduction", "totals"))
    late_penalty: Decimal | None = expression("Late penalty (逾期扣分).", disclosed("{t}.late_penalty", "totals"))
    days_late: int = column("Days late.")
    dimensions: list[NodeScoreInfo] | None = listing(
        "Scores of the first-level indicators, in print order (各维度得分); empty where they are not disclosed.",
        rows=f"""SELECT dd.standing_id, di.code, dd.indicator_id, dd.position, dd.score, dd.marks, dd.full_marks,
                        dd.exact, dd.value_state, dd.coverage FROM standing_dimensions dd
                 JOIN indicators di ON di.tenant_id = {{tenant}} AND di.id = dd.indicator_id
                 WHERE dd.tenant_id = {{tenant}} AND dd.standing_id = {{t}}.id
                   AND ({OWN} OR {published("dimensions")})""",
        order="{r}.position",
    )
    node_score: NodeScoreInfo | None = relation(
        "Score of one node.",
        rows=_NODES + " AND ni.code = {code}",
        arguments=[Argument("code", str, "Code of an indicator.")],
    )
    leaves: list[NodeScoreInfo] | None = listing(
        "Scores of all leaves, in print order; empty where only the own ones may be read.",
        rows=_NODES + " AND ni.leaf",
        order="{r}.print_order",
    )
    proposed_grade: "Grade | None" = document("Computed grade (测算等次).", sql=_graded(PROPOSED_GRADE))
    decided_grade: "Grade | None" = document("What the deciding body settled (审定等次).", sql=_graded(DECIDED_GRADE))
    grade_decision: GradeDecisionInfo | None = relation(
        "Who settled it, and why where it differs.",
        rows=f"""SELECT gr.body, gr.decided_on, gr.document_title, gr.document_number, dg.reason
                 FROM decided_grades dg
                 JOIN grade_records gr ON gr.tenant_id = dg.tenant_id AND gr.id = dg.record_id
                 WHERE dg.tenant_id = {{tenant}} AND dg.standing_id = {{t}}.id AND dg.record_id = {NEWEST_RECORD}
                   AND {GRADES_SHOWN}""",
    )
    vetoes: "list[Event]" = by_ids("Vetoes that were confirmed when the run was computed.", "veto_event_ids")
    coverage: Decimal = column("Data coverage, 0 to 1 (数据完整度).")
    explanation: Explanation | None = computed(
        "Where every point came from (得分说明); null where only the own one may be read.", _explanations, needs=["id"]
    )
    change: ChangeInfo | None = embedded(
        "Against the unit's previous publication; null for the first.", present="previous_publication_id"
    )


@enumeration("What standings can be sorted by.")
class StandingOrderField(Enum):
    """Orders of standings."""

    RANK = Sort("By category, then rank; units without rank last.", (Key("{r}.position", "bigint"),))
    OVERALL_RANK = Sort(
        "By overall rank.", (Key(f"({disclosed('{t}.overall_rank', 'ranks')})".replace("{t}", "{r}"), "bigint", True),)
    )
    TOTAL = Sort(
        "By exact total.",
        (Key(f"(0 - ({disclosed('{t}.exact_order', 'totals')}))".replace("{t}", "{r}"), "bigint", True),),
    )
    CHANGE = Sort(
        "By ranks gained.",
        (Key(f"({disclosed('{t}.previous_rank - {t}.rank', 'ranks')})".replace("{t}", "{r}"), "bigint", True),),
    )
    UNIT = Sort(
        "By code of the unit.",
        (
            Key(
                """(SELECT ou.code FROM cycle_units ou WHERE ou.tenant_id = {tenant} AND ou.id = {r}.cycle_unit_id)
                   COLLATE "C\""""
            ),
        ),
    )
    DIMENSION = Sort(
        "By the exact score of the dimension named beside it.",
        (
            Key(
                "(SELECT 0 - od.exact_order FROM standing_dimensions od "
                "JOIN indicators oi ON oi.tenant_id = {tenant} AND oi.id = od.indicator_id "
                "WHERE od.tenant_id = {tenant} AND od.standing_id = {r}.id AND oi.code = {dimension_code} AND "
                f"({OWN} OR {published('dimensions')}))".replace("{t}", "{r}"),
                "bigint",
                True,
            ),
        ),
    )


@order_type
class StandingOrder(Order):
    """An order of standings."""

    field: StandingOrderField = described("What to sort by.")
    dimension_code: str | None = described("For DIMENSION: code of the dimension.")


@filter_type
class StandingFilter:
    """Which standings."""

    category_id: ID | None = condition("Of this category.", "{r}.category_id = {value}", of="Category")
    under_id: ID | None = condition(
        "Of units in this one's subtree at opening.",
        """EXISTS (SELECT 1 FROM cycle_unit_ancestors fa WHERE fa.tenant_id = {tenant}
           AND fa.cycle_unit_id = {r}.cycle_unit_id AND fa.ancestor_id = {value})""",
        of="OrgUnit",
    )
    unit_id: ID | None = condition(
        "Of this organisation unit.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
           AND fu.unit_id = {value})""",
        of="OrgUnit",
    )
    grade_code: str | None = condition(
        "With this grade, decided or else proposed.",
        f"{GRADES_SHOWN} AND {CURRENT_GRADE} = {{value}}".replace("{t}", "{r}"),
    )
    statuses: list[StandingStatus] | None = condition("With these statuses.", "{r}.status = ANY({value})")
    tied: bool | None = condition("Only those that share a rank, or only the others.", "({r}.shared_by > 1) = {value}")
    search: str | None = condition(
        "Name or code of the unit contains this.",
        """EXISTS (SELECT 1 FROM cycle_units fu WHERE fu.tenant_id = {tenant} AND fu.id = {r}.cycle_unit_id
           AND (fu.code ILIKE {value} OR fu.name ILIKE {value}))""",
        contains=True,
    )


_NOT_DONE = Text(zh="该次测算尚未成功完成。", en="This run has not succeeded.")
_WAIT = Text(zh="请等待测算完成，或重新启动测算。", en="Wait for it to end, or start another run.")
_OTHER_RUN = Text(zh="该周期采用的不是这次测算。", en="The cycle stands on another run.")
_ADOPT = Text(zh="请先采用这次测算，再公示或通报。", en="Adopt this run first.")


def _issue(place: int, text: Text, hint: Text, where: str) -> str:
    return f"""SELECT {place} AS place, jsonb_build_object('code', 'ILLEGAL_STATE', 'message', {spoken(text)},
        'hint', {spoken(hint)}) AS said WHERE {where}"""


def _publishing(kind: str) -> str:
    """What is in the way of one kind of publication: of run {t} and its cycle `bc`."""
    step = next((step for step in STEPS if step.to == STATE_AFTER.get(kind)), None)
    # Feedback and interim boards change no state: whoever may publish may publish these.
    blockers = blockers_of(step or CycleStep((), "", "publishRun", KIND_NAMES[kind]))
    parts = [f"SELECT 2 AS place, bi.said FROM jsonb_array_elements({blockers.replace('{t}', 'bc')}) bi(said)"]
    if step is not None:
        names = [STATE_NAMES[source] for source in step.sources]
        text = Text(f"该周期现在不能{step.action.zh}。", f"The cycle can't be {step.action.en} now.")
        hint = Text(
            f"处于{'或'.join(f'“{name.zh}”' for name in names)}时才可以。",
            f"It must be {' or '.join(name.en for name in names)}.",
        )
        states = ", ".join(f"'{source}'" for source in step.sources)
        parts += [
            _issue(1, text, hint, f"bc.state NOT IN ({states})"),
            _issue(3, _OTHER_RUN, _ADOPT, "bc.adopted_run_id IS DISTINCT FROM {t}.id"),
        ]
    return f"SELECT bk.* FROM ({' UNION ALL '.join(parts)}) bk WHERE {{kind}} = '{kind}'"


_PUBLISH_BLOCKERS = f"""
    SELECT bx.place, bx.said ->> 'code' AS code, bx.said ->> 'message' AS message, NULL::text[] AS path,
           bx.said ->> 'hint' AS hint, (bx.said ->> 'count')::int AS count
    FROM cycles bc CROSS JOIN LATERAL (
        {_issue(0, _NOT_DONE, _WAIT, "{t}.state <> 'SUCCEEDED'")}
        UNION ALL {" UNION ALL ".join(_publishing(kind) for kind in KIND_NAMES)}
    ) bx
    WHERE bc.tenant_id = {{tenant}} AND bc.id = {{t}}.cycle_id"""
"""Rows over a run {{t}}: what publishRun would refuse."""


@table(
    """(SELECT rr.*, jr.kind, jr.state, jr.stage, jr.attempts, jr.cancel_requested, jr.percent,
               jr.units_done, jr.units_total FROM ranking_runs rr
        JOIN jobs jr ON jr.tenant_id = rr.tenant_id AND jr.id = rr.job_id)""",
    plural="ranking runs",
    visible="{all}",
)
class RankingRun(Node):
    """One background computation over a fixed snapshot of settled values (成绩测算)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    number: int = column("1, 2, 3 … in the cycle.")
    state: JobState = column("Where its job stands.")
    progress: RunProgressInfo = embedded("How far it is.")
    job: "Job" = relation("Its job.", on={"job_id": "id"})
    snapshot_at: datetime | None = column("Instant of the snapshot.")
    snapshot_digest: str | None = column("SHA-256 of the snapshot, hex.")
    engine_version: str | None = column("Version of the scoring engine.")
    requested_by: "Actor | None" = relation("Who asked for it.", on={"requested_by_id": "id"}, variants=ACTOR_TYPES)
    requested_at: datetime = column("When.")
    finished_at: datetime | None = column("When it ended.")
    adopted: bool = expression(
        "Whether the cycle stands on it.",
        """EXISTS (SELECT 1 FROM cycles ac WHERE ac.tenant_id = {tenant} AND ac.id = {t}.cycle_id
           AND ac.adopted_run_id = {t}.id)""",
    )
    unreviewed_count: int | None = column("Leaves not reviewed that count as missing.")
    missing_count: int | None = column("Leaves without a value.")
    categories: list[CategoryBoardInfo] = listing(
        "Summary per category.", rows=categories_of("{t}.id"), order="{r}.position"
    )
    standings: Connection[Standing] = connection(
        "The preview of the board.",
        on={"id": "run_id"},
        filter=StandingFilter,
        order=StandingOrder,
        default=[Key("{r}.position", "bigint")],
    )
    undecided_ties: "list[TieGroup]" = listing(
        "Ties that a person must order before publication. Once they are ordered, those of the next grade may follow.",
        on={"id": "run_id"},
        where="{r}.decided_at IS NULL",
        order="{r}.id",
    )
    publish_blockers: list[StateIssue] = listing(
        "What stands in the way of publishing it so.",
        rows=_PUBLISH_BLOCKERS,
        arguments=[Argument("kind", PublicationKind, "Which kind.")],
        order="{r}.place",
    )
    publications: "list[Publication]" = listing("What was published from it.", on={"id": "run_id"}, order="{r}.number")


@table("tie_groups", plural="tie groups", visible="{all}")
class TieGroup(Node):
    """Units that are equal where places run out (并列)."""

    id: ID = identifier()
    run: RankingRun = relation("Of which run.", on={"run_id": "id"})
    category: "Category | None" = relation(
        "The category; null where places are counted per parent or for all units together.", on={"category_id": "id"}
    )
    parent: "CycleUnit | None" = relation("The parent unit, where places are counted so.", on={"parent_id": "id"})
    grade: "Grade" = document("The grade whose places run out.", sql=grade_of(_version("{t}.run_id"), "{t}.grade"))
    places_left: int = column("Places left for the group.")
    standings: list[Standing] = listing(
        "The equals, as ordered if they are.",
        where="""{r}.id IN (SELECT tm.standing_id FROM tie_group_members tm
                 WHERE tm.tenant_id = {tenant} AND tm.tie_group_id = {t}.id)""",
        order="""(SELECT tp.place FROM tie_group_members tp WHERE tp.tenant_id = {tenant} AND tp.tie_group_id = {t}.id
                  AND tp.standing_id = {r}.id), {r}.position""",
        limit=10_000,
    )
    decided: bool = expression("Whether a person ordered them.", "{t}.decided_at IS NOT NULL")
    reason: str | None = column("Why so.")
    by: "Actor | None" = relation("Who did.", on={"decided_by_id": "id"}, variants=ACTOR_TYPES)
    version: int = column("Rises with each decision.")


@query
class RankingsQuery:
    """Runs and standings."""

    ranking_run: RankingRun | None = by_id("One run.", "RankingRun")
    standing: Standing | None = by_id("One result.", "Standing")


# ---- mutations


@input_type
class StartRankingRunInput:
    """What startRankingRun takes."""

    cycle_id: ID = described("Which cycle.")
    idempotency_key: str = described(KEY)


@payload
class StartRankingRunSuccess:
    """startRankingRun is done."""

    run: RankingRun = described("The run.")


@mutation(StartRankingRunSuccess, access=at_root(Role.ORGANISER))
async def start_ranking_run(tx: Transaction, actor: Caller, given: StartRankingRunInput) -> Outcome:
    """Asks for a run; joins one that is queued (启动测算)."""
    return {"run": await rankings.start_ranking_run(tx, actor, cycle_id=given.cycle_id)}


@input_type
class CancelRankingRunInput:
    """What cancelRankingRun takes."""

    run_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class CancelRankingRunSuccess:
    """cancelRankingRun is done."""

    run: RankingRun = described("The run.")


@mutation(CancelRankingRunSuccess, access=at_root(Role.ORGANISER))
async def cancel_ranking_run(tx: Transaction, actor: Caller, given: CancelRankingRunInput) -> Outcome:
    """Cancels a run that is queued or running."""
    return {"run": await rankings.cancel_ranking_run(tx, actor, run_id=given.run_id)}


@input_type
class AdoptRunInput:
    """What adoptRun takes."""

    run_id: ID = described("Which run.")
    version: int = described("Version of the cycle that was read.")
    idempotency_key: str = described(KEY)


@payload
class AdoptRunSuccess:
    """adoptRun is done."""

    cycle: "Cycle" = described("The cycle, RANKED.")
    run: RankingRun = described("The run.")


@mutation(AdoptRunSuccess, access=at_root(Role.ORGANISER))
async def adopt_run(tx: Transaction, actor: Caller, given: AdoptRunInput) -> Outcome:
    """Lets the cycle stand on a finished run (采用测算结果)."""
    cycle_id, run_id = await rankings.adopt_run(tx, actor, run_id=given.run_id, version=given.version)
    return {"cycle": cycle_id, "run": run_id}


@input_type
class OrderTieInput:
    """What orderTie takes."""

    tie_group_id: ID = described("Which group.")
    version: int = described("Version read.")
    standing_ids: list[ID] = described("All of the group, best first.")
    reason: str = described("Why.")
    idempotency_key: str = described(KEY)


@payload
class OrderTieSuccess:
    """orderTie is done."""

    tie_group: TieGroup = described("The group.")


@mutation(OrderTieSuccess, access=at_root(Role.ORGANISER))
async def order_tie(tx: Transaction, actor: Caller, given: OrderTieInput) -> Outcome:
    """Orders equals where places run out, for good (并列排序)."""
    return {
        "tie_group": await grading.order_tie(
            tx,
            actor,
            tie_group_id=given.tie_group_id,
            version=given.version,
            standing_ids=given.standing_ids,
            reason=given.reason,
        )
    }


@input_type
class DecidedGradeInput:
    """A decided grade."""

    standing_id: ID = described("Whose.")
    grade_code: str = described("Which.")
    reason: str | None = described("Required where it differs.")


@input_type
class RecordGradesInput:
    """What recordGrades takes."""

    run_id: ID = described("Which run: the one that the cycle stands on.")
    body: str = described("Deciding body.")
    decided_on: DateText = described("When.")
    document_title: str = described("Document.")
    document_number: str | None = described("Its number.")
    as_proposed: bool = described("Whether all not named below are settled as computed.", default=True)
    grades: list[DecidedGradeInput] | None = described("Those that differ, or all; at most 5,000.")
    idempotency_key: str = described(KEY)


@payload
class RecordGradesSuccess:
    """recordGrades is done."""

    run: RankingRun = described("The run.")
    standings: list[Standing] = described("Those that differ from the computed grade.")


@mutation(RecordGradesSuccess, access=at_root(Role.ORGANISER))
async def record_grades(tx: Transaction, actor: Caller, given: RecordGradesInput) -> Outcome:
    """Records what the deciding body settled (审定等次); a later record replaces it."""
    run, differing = await grading.record_grades(
        tx,
        actor,
        run_id=given.run_id,
        body=given.body,
        decided_on=given.decided_on,
        document_title=given.document_title,
        document_number=given.document_number,
        as_proposed=given.as_proposed,
        grades=[GradeSpec(each.standing_id, each.grade_code, each.reason) for each in given.grades or ()],
    )
    return {"run": run, "standings": differing}


# ---- live


@payload
class RankingRunMessage:
    """A message about a run."""

    cursor: str = described("To resume after.")
    run: RankingRun = described("The run as it is now.")


async def _state(context: Context, row: Any) -> str:
    return await job_state(context, value_of(row, "job_id"))


@subscriptions
class RankingsSubscription:
    """Runs, live."""

    @live("Progress of a run; ends when the run has ended.")
    async def ranking_run_changed(
        self,
        info: Info[Context, None],
        id: Id,  # noqa: A002
        after: After = None,
    ) -> AsyncGenerator[RankingRunMessage | None, None]:
        """Messages about one run."""
        async for change in changes(
            info.context,
            RankingRun,
            id,
            after,
            state=_state,
            ended=lambda row: value_of(row, "state") in FINISHED,
        ):
            yield None if change is None else RankingRunMessage(cursor=change.cursor, run=change.row)
