"""A unit's result in a run (考核结果)."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Argument,
    Key,
    Node,
    Order,
    Sort,
    by_ids,
    column,
    computed,
    condition,
    described,
    document,
    embedded,
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
from schema.rankings.boards import version_of
from schema.rankings.disclosure import GRADES_SHOWN, OWN, PUBLISHED, disclosed, published
from schema.rankings.explanations import Explanation, ValueState, explanation_documents, reasons
from schema.rankings.robustness import RANGE, WITHOUT, RankRangeInfo, RankWithoutInfo
from schema.scalars import Rational
from schema.schemes import grade_of
from service.rankings.gradebook import CURRENT_GRADE, DECIDED_GRADE, NEWEST_RECORD, PROPOSED_GRADE
from service.reports.rights import seen_by
from service.schemes.settings import DISCLOSED

if TYPE_CHECKING:
    from schema.cycles import CycleUnit
    from schema.directory import Category
    from schema.events import Event
    from schema.publications import Publication
    from schema.rankings.runs import RankingRun
    from schema.schemes import Grade, Indicator


@enumeration("Whether and why a unit has no rank.")
class StandingStatus(Enum):
    """Statuses."""

    RANKED = "Has a rank."
    VETOED = "Out of the ranking by veto (一票否决)."
    LOW_COVERAGE = "Coverage below the threshold (不参与排名)."
    NOT_SCORED = "Nothing applies to it."


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
        reasons,
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
    return f"CASE WHEN {GRADES_SHOWN} THEN {grade_of(version_of('{t}.run_id'), code)} END"


_NODES = f"""SELECT {{t}}.id AS standing_id, ni.id AS indicator_id, ni.leaf, ni.print_order,
        (nv.v ->> 1)::numeric AS score,
        (nv.v ->> 2)::numeric AS marks, nv.v ->> 3 AS value_state,
        (nv.v ->> 4)::numeric AS coverage,
        coalesce((SELECT (pc.v ->> 'points')::numeric FROM jsonb_array_elements(ni.points_by_category) pc(v)
                  WHERE pc.v ->> 'category' = {{t}}.category_id::text), ni.points) AS full_marks,
        (SELECT nd.exact FROM standing_dimensions nd WHERE nd.tenant_id = {{tenant}} AND nd.standing_id = {{t}}.id
           AND nd.indicator_id = ni.id) AS exact, ni.code
    FROM standing_details sd
    CROSS JOIN LATERAL jsonb_array_elements(sd.nodes::jsonb) nv(v)
    JOIN ranking_runs nr ON nr.tenant_id = {{tenant}} AND nr.id = {{t}}.run_id
    JOIN cycles nc ON nc.tenant_id = {{tenant}} AND nc.id = nr.cycle_id
    JOIN indicators ni ON ni.tenant_id = {{tenant}} AND ni.scheme_version_id = nc.scheme_version_id
         AND ni.code = nv.v ->> 0
    WHERE sd.tenant_id = {{tenant}} AND sd.standing_id = {{t}}.id
      AND ({OWN} OR (ni.depth = 1 AND {published("dimensions")}))"""


@table(
    "standings",
    plural="standings",
    visible=seen_by(f"{PUBLISHED} AND ({published(*DISCLOSED)} OR {OWN})"),
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
                 LEFT JOIN indicators di ON di.tenant_id = {{tenant}} AND di.id = dd.indicator_id
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
        "Where every point came from (得分说明); null where only the own one may be read.",
        explanation_documents,
        needs=["id"],
    )
    robust_ranks: RankRangeInfo | None = relation(
        "5 to 95 % interval of the rank under small changes of weights, for organisers; null until reckoned.",
        rows=RANGE,
    )
    ranks_without: list[RankWithoutInfo] = listing(
        "The rank where one indicator or dimension is left out, for organisers; those that leave it as it is are not "
        "listed.",
        rows=WITHOUT,
        order="{r}.print_order",
        limit=2_000,
    )
    change: ChangeInfo | None = embedded(
        "Against the newest notice or final board that the unit stood on, under the same scheme and of a cycle that "
        "started no later; null where there is none.",
        present="previous_publication_id",
    )


_UNIT_CODE = Key(
    "uo.code",
    joined="""JOIN cycle_units uo ON uo.tenant_id = {tenant} AND uo.cycle_id = {t}.cycle_id
              AND uo.id = {r}.cycle_unit_id""",
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
    UNIT = Sort("By code of the unit.", (_UNIT_CODE,))
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
