"""The nodes of the indicator tree (指标): as they are read, and as they are given."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schema.context import Context
from schema.directory import Category, OrgUnit
from schema.items import DataItem
from schema.mapping import (
    ID,
    Argument,
    Node,
    by_ids,
    column,
    computed,
    described,
    document,
    expression,
    identifier,
    input_type,
    listing,
    relation,
    table,
    value,
)
from schema.progress import ProgressStats, leaf_stats
from schema.rules import (
    CHECKS,
    RULE,
    RULES,
    CrossCheckInfo,
    ScoringRule,
    ScoringRuleInput,
    check_document,
    rule_document,
)
from schema.scalars import DecimalText
from schema.schemes.settings import ReviewLevelInfo, ReviewLevelInput, as_document
from schema.schemes.versions import MOST_INDICATORS, SchemeVersion
from schema.schemes.words import Aggregation, MissingPolicy, NotApplicablePolicy
from service import schemes
from service.language import say
from service.schemes import CategoryPoints, IndicatorSpec

if TYPE_CHECKING:
    from schema.rules.parts import CrossCheckInput


@value
class CategoryPointsInfo:
    """Points of a node for one category."""

    category: Category = relation("The category.", on={"category": "id"})
    points: Decimal = column("Its points there.")


REVIEW_ROUTE = """CASE
    WHEN NOT {t}.leaf THEN '[]'
    WHEN {t}.rule ->> 'kind' = 'AWARD' THEN '[{"level": 1, "route": "DEPARTMENTAL", "unitKind": null}]'
    WHEN {t}.review_levels IS NOT NULL THEN {t}.review_levels
    WHEN EXISTS (SELECT 1 FROM indicator_items ri
                 JOIN data_items rd ON rd.tenant_id = {tenant} AND rd.id = ri.data_item_id
                 LEFT JOIN scheme_version_items rp ON rp.tenant_id = {tenant} AND rp.data_item_id = ri.data_item_id
                      AND rp.scheme_version_id = {t}.scheme_version_id
                 WHERE ri.tenant_id = {tenant} AND ri.indicator_id = {t}.id
                   AND coalesce(rp.source, rd.source) = 'REPORTED')
    THEN (SELECT rv.settings -> 'reviewLevels' FROM scheme_versions rv
          WHERE rv.tenant_id = {tenant} AND rv.id = {t}.scheme_version_id)
    ELSE '[]' END"""


OWN_WORDING_OR_RULE = f"""jsonb_build_object('own', {{t}}.wording,
    'rule', CASE WHEN {{t}}.wording IS NULL THEN ({RULE}) END)"""


async def _wordings(context: Context, indicators: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    """Their own words, else the rules'."""
    return [_wording(indicator, context) for indicator in indicators]


def _wording(indicator: Mapping[str, Any], context: Context) -> str | None:
    if indicator["rule"] is None:
        own: str | None = indicator["own"]
        return own
    return say(schemes.describe_rule(indicator["rule"]), context.language)


@table("indicators", plural="indicators")
class Indicator(Node):
    """A node of the indicator tree (一级、二级、三级指标)."""

    id: ID = identifier()
    scheme_version: SchemeVersion = relation("Of which version.", on={"scheme_version_id": "id"})
    code: str = column("Code, unique in the version; the same indicator keeps it over versions.")
    name: str = column("Name.")
    depth: int = column("0 for the root, 1 for a dimension (一级指标).")
    ordinal: str = column("Printed number, such as 2.1.3 (序号); empty for the root.")
    parent: "Indicator | None" = relation("Node above.", on={"parent_id": "id"})
    children: "list[Indicator]" = listing(
        "Nodes directly below, in order.", on={"id": "parent_id"}, order="{r}.position", limit=MOST_INDICATORS
    )
    leaf: bool = column("Whether it carries a rule.")
    weight: Decimal | None = column("Weight (权重) under RELATIVE.")
    points: Decimal | None = column("Full marks (分值) under POINTS; 0 is shown and not scored (监测指标).")
    points_by_category: list[CategoryPointsInfo] = document("Where a category has other points.")
    categories: list[Category] = by_ids("Only for these; empty means all.", "category_ids")
    aggregation: Aggregation = column("How it takes in its children.")
    rule: ScoringRule | None = document(
        "Of a leaf: how it is scored.", sql=RULE, variants=RULES, light="{t}.rule", heavy=("fullMarks", "dataItems")
    )
    check_method: str | None = column("How it is checked (考评方式).")
    source_note: str | None = column("Printed data source (数据来源).")
    basis: str | None = column("Document it rests on (依据).")
    responsible_units: list[OrgUnit] = listing(
        "Departments that supply or score it (责任单位).",
        where="""{r}.id IN (SELECT ir.unit_id FROM indicator_responsibles ir
                 WHERE ir.tenant_id = {tenant} AND ir.indicator_id = {t}.id)""",
        order="""(SELECT ip.position FROM indicator_responsibles ip
                  WHERE ip.tenant_id = {tenant} AND ip.indicator_id = {t}.id AND ip.unit_id = {r}.id)""",
    )
    data_items: list[DataItem] = listing(
        "Data items that its rule uses, in order.",
        where="""{r}.id IN (SELECT ii.data_item_id FROM indicator_items ii
                 WHERE ii.tenant_id = {tenant} AND ii.indicator_id = {t}.id)""",
        order="""(SELECT ij.position FROM indicator_items ij
                  WHERE ij.tenant_id = {tenant} AND ij.indicator_id = {t}.id AND ij.data_item_id = {r}.id)""",
    )
    evidence_reason: str | None = column("Why files are asked for; null means none are.")
    missing_policy: MissingPolicy | None = column("If it differs from the scheme's.")
    not_applicable_policy: NotApplicablePolicy | None = column("If it differs from the scheme's.")
    review_levels: list[ReviewLevelInfo] | None = document("If they differ from the scheme's.")
    review_route: list[ReviewLevelInfo] = document(
        "Levels that judge it, in order: its own, else the scheme's; none where no unit fills it, one for awards.",
        sql=REVIEW_ROUTE,
    )
    checks: list[CrossCheckInfo] = document("Checks across items, such as attended ≤ members.", sql=CHECKS)
    own_wording: str | None = expression(
        "The scoring standard as it was written; null where it is said from the rule.", "{t}.wording"
    )
    progress: ProgressStats | None = relation(
        "Counters of a leaf in a cycle; null for inner nodes, and for a cycle on another version.",
        rows=f"""SELECT ps.* FROM ({leaf_stats("{cycle_id}", "{t}.id")}) ps WHERE {{t}}.leaf AND EXISTS (
                 SELECT 1 FROM cycles pc WHERE pc.tenant_id = {{tenant}} AND pc.id = {{cycle_id}}
                 AND pc.scheme_version_id = {{t}}.scheme_version_id)""",
        arguments=[Argument("cycle_id", ID, "A cycle on this version.", "Cycle")],
    )
    version: int = column("Rises with each change.")

    wording: str | None = computed(
        "Printed scoring standard (评分标准); written from the rule, in the caller's language, where none was given.",
        _wordings,
        sql=OWN_WORDING_OR_RULE,
    )


@input_type
class CategoryPointsInput:
    """Points for one category."""

    category_id: ID = described("The category.")
    points: DecimalText = described("Its points.")


@input_type
class IndicatorInput:
    """A node of the tree."""

    code: str = described("Code.")
    name: str = described("Name.")
    weight: DecimalText | None = described("Under RELATIVE.")
    points: DecimalText | None = described("Under POINTS.")
    points_by_category: list[CategoryPointsInput] | None = described("Other points for some categories.")
    category_ids: list[ID] | None = described("Only for these.")
    aggregation: Aggregation = described("How it takes in its children.", default=Aggregation.ARITHMETIC)
    rule: ScoringRuleInput | None = described("Of a leaf.")
    wording: str | None = described("Scoring standard; written from the rule if left out.")
    check_method: str | None = described("How it is checked.")
    source_note: str | None = described("Printed data source.")
    basis: str | None = described("Document it rests on.")
    responsible_unit_ids: list[ID] | None = described("Departments.")
    evidence_reason: str | None = described("Why files are asked for; left out where none are.")
    missing_policy: MissingPolicy | None = described("If it differs from the scheme's.")
    not_applicable_policy: NotApplicablePolicy | None = described("If it differs from the scheme's.")
    review_levels: list[ReviewLevelInput] | None = described(
        "If they differ from the scheme's; an empty list for none."
    )

    checks: "list[CrossCheckInput] | None" = described("Checks across items, at most 20.")

    def spec(self) -> IndicatorSpec:
        """As the use-cases take it."""
        return IndicatorSpec(
            code=self.code,
            name=self.name,
            weight=self.weight,
            points=self.points,
            points_by_category=[
                CategoryPoints(each.category_id, each.points) for each in self.points_by_category or ()
            ],
            category_ids=self.category_ids or (),
            aggregation=self.aggregation.name,
            rule=None if self.rule is None else rule_document(self.rule),
            wording=self.wording,
            check_method=self.check_method,
            source_note=self.source_note,
            basis=self.basis,
            responsible_unit_ids=self.responsible_unit_ids or (),
            evidence_reason=self.evidence_reason,
            missing_policy=self.missing_policy and self.missing_policy.name,
            not_applicable_policy=self.not_applicable_policy and self.not_applicable_policy.name,
            review_levels=None if self.review_levels is None else [as_document(each) for each in self.review_levels],
            checks=[check_document(each) for each in self.checks or ()],
        )


@input_type
class IndicatorRowInput:
    """A node in its place."""

    parent_code: str | None = described("Code of the node above; the root's children leave it out.")
    indicator: IndicatorInput = described("The node.")
