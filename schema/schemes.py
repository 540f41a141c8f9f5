"""Schemes, their versions, the indicator tree and its check, as frontends see them (考核方案、指标)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from strawberry import UNSET

from schema.context import Context
from schema.directory import Category, OrgUnit, OrgUnitKind
from schema.errors import Error
from schema.items import DataItem
from schema.mapping import (
    ID,
    Argument,
    Connection,
    Key,
    Node,
    by_id,
    by_ids,
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
    input_type,
    listing,
    one_of,
    payload,
    query,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.progress import ProgressStats, leaf_stats
from schema.rows import parse_document
from schema.rules import (
    CHECKS,
    RULE,
    RULES,
    CrossCheckInfo,
    ScoringRule,
    ScoringRuleInput,
    check_document,
    rule_document,
    said,
)
from schema.scalars import DecimalText
from service import schemes
from service.access import Actor as Caller
from service.access import Role
from service.directory import KEEP
from service.errors import ErrorCode, Path
from service.ids import encode_id
from service.language import say
from service.schemes import AsTyped, CategoryPoints, IndicatorRow, IndicatorSpec, SchemeCheck, describe_condition
from service.scoring.numbers import format_decimal
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.members import Actor
    from schema.rules import CrossCheckInput

T = TypeVar("T")

MOST_INDICATORS = 2_001
"""Nodes of a version, with its root."""


# ---- words of closed lists


@enumeration("Life of a version.")
class SchemeVersionState(Enum):
    """States of a version."""

    DRAFT = "Can be edited."
    FROZEN = "Never changes again."


@enumeration("How children make up their parent.")
class Weighting(Enum):
    """Weightings."""

    POINTS = "Printed marks that sum to the parent's (分值制)."
    RELATIVE = "Weights that count within the parent (权重制)."


@enumeration("How children become their parent's score.")
class Aggregation(Enum):
    """Means."""

    ARITHMETIC = "Weighted arithmetic mean."
    GEOMETRIC = "Weighted geometric mean."
    HARMONIC = "Weighted harmonic mean."


@enumeration("What a missing value earns.")
class MissingPolicy(Enum):
    """Policies for missing values."""

    ZERO = "Nothing."
    CARRY_OVER = "Last cycle's value."
    EXCLUDE = "Its weight is shared as if not applicable."


@enumeration("What becomes of the weight of what does not apply.")
class NotApplicablePolicy(Enum):
    """Policies for what does not apply."""

    PARENT = "Shared among its siblings."
    GLOBAL = "Total scored out of what applies (折算)."
    FULL = "Earns full marks."


@enumeration("What ranks compare.")
class RankBasis(Enum):
    """What is ranked."""

    ROUNDED = "The shown total."
    EXACT = "The exact total."


@enumeration("What becomes of equals.")
class TiePolicy(Enum):
    """Ties."""

    STRICT = "They share their rank; where places of a grade run out among them, none of them gets one (名额不突破)."
    INCLUSIVE = "They share their rank; where places run out among them, all of them get one."
    TIE_BREAK = "Named indicators are compared in order; what they leave equal shares its rank, or waits for a person."
    DECISION = "They share their rank; where places run out among them, a person orders them before publication."


@enumeration("Whose review it is.")
class ReviewRoute(Enum):
    """Routes of review."""

    TERRITORIAL = "Of the unit above in the tree (属地审核)."
    DEPARTMENTAL = "Of the responsible unit (归口审核)."


@enumeration("Kinds of publications.")
class PublicationKind(Enum):
    """Publications."""

    FEEDBACK = "Each unit sees its own (反馈核对)."
    INTERIM = "No grades, no objections (阶段通报)."
    NOTICE = "Provisional, opens the objection window (公示)."
    FINAL = "Final (通报)."


@enumeration("Of whom something is shown.")
class DisclosureLevel(Enum):
    """Levels of disclosure."""

    ALL = "Of all units."
    BEST = "Of the best n."
    NONE = "Of none but the own."


@enumeration("How places are rounded.")
class QuotaRounding(Enum):
    """Roundings."""

    FLOOR = "Down."
    HALF_UP = "Half up."
    CEIL = "Up."


@enumeration("What places are counted per.")
class QuotaScope(Enum):
    """Scopes of quotas."""

    CATEGORY = "Each category."
    PARENT = "Each parent unit."
    ALL = "All units together."


@enumeration("Kinds of conditions.")
class GradeConditionKind(Enum):
    """Conditions of grades."""

    NODE_SHARE = "A node has at least so much of its marks."
    NO_EVENT = "No confirmed event under a leaf."
    ITEM_TRUE = "A yes-no item is yes."
    PREVIOUS_GRADE = "The grade of the last cycle was at least this."


@enumeration("How grave a fault is.")
class FaultSeverity(Enum):
    """Severities."""

    FAULT = "Must be mended before freezing."
    WARNING = "Should be looked at, such as the same datum asked twice."


# ---- value objects


@value
class CategoryPointsInfo:
    """Points of a node for one category."""

    category: Category = relation("The category.", on={"category": "id"})
    points: Decimal = column("Its points there.")


@value
class ReviewLevelInfo:
    """One level of review."""

    level: int = column("1 to 3, bottom up.")
    route: ReviewRoute = column("Along the tree or across it.")
    unit_kind: OrgUnitKind | None = column(
        "Along the tree: at which kind of unit; null for any unit above.", "unitKind"
    )


@value
class LatePenaltyInfo:
    """What lateness costs."""

    points_per_day: Decimal = column("Per calendar day.", "pointsPerDay")
    cap: Decimal | None = column("At most.")


@value
class DisclosureInfo:
    """What one kind of publication shows; a unit always sees its own in full."""

    kind: PublicationKind = column("Which kind.")
    totals: DisclosureLevel = column("Totals.")
    ranks: DisclosureLevel = column("Ranks.")
    grades: DisclosureLevel = column("Grades; never of an interim board.")
    dimensions: DisclosureLevel = column("Dimension scores.")
    best_count: int | None = column("For BEST: how many.", "bestCount")


@value
class PlacesInfo:
    """One row of a table of places."""

    units_from: int = column("From so many units on.", "unitsFrom")
    places: int = column("So many places.")


@value
class GradeCondition:
    """One condition of a grade, from a closed list."""

    kind: GradeConditionKind = column("Which.")
    indicator: "Indicator | None" = relation("The node or leaf it looks at.", on={"indicatorId": "id"})
    data_item: DataItem | None = relation("The yes-no item it looks at.", on={"dataItem": "id"})
    minimum_share: Decimal | None = column("Least share of the node's marks.", "minimumShare")
    grade_code: str | None = column("Grade that must have been reached before.", "gradeCode")
    text: str = computed("In words.", said(describe_condition))


@value
class Grade:
    """A grade of the scheme (等次)."""

    code: str = column("Code.")
    name: str = column("Such as 优秀, 良好.")
    threshold: Decimal | None = column("Least rounded total.")
    share: Decimal | None = column("Share of the base that may get it, 0 to 1; null without.")
    places_by_count: list[PlacesInfo] = document("Places by number of units, instead of a share.", "placesByCount")
    minimum_places: int = column("At least so many places.", "minimumPlaces")
    rounding: QuotaRounding = column("How share × base is rounded.")
    scope: QuotaScope = column("Per what places are counted.")
    base_includes_vetoed: bool = column(
        "Whether units out of the ranking by veto count in the base.", "baseIncludesVetoed"
    )
    conditions: list[GradeCondition] = document("What a unit must fulfil besides.")


def grades_of(settings: str, version: str) -> str:
    """SQL for the grades of a version's settings as documents: with what their conditions name."""
    conditions = f"""(SELECT coalesce(jsonb_agg(gc.v || jsonb_build_object(
            'indicatorId', gi.id, 'indicatorName', gi.name, 'itemName', gd.name, 'gradeName', (
                SELECT gn.v ->> 'name' FROM jsonb_array_elements({settings} -> 'grades') gn(v)
                WHERE gn.v ->> 'code' = gc.v ->> 'gradeCode' LIMIT 1)) ORDER BY gc.o), '[]')
        FROM jsonb_array_elements(gg.v -> 'conditions') WITH ORDINALITY AS gc(v, o)
        LEFT JOIN indicators gi ON gi.tenant_id = {{tenant}} AND gi.scheme_version_id = {version}
             AND gi.code = gc.v ->> 'indicator'
        LEFT JOIN data_items gd ON gd.tenant_id = {{tenant}} AND gd.id = (gc.v ->> 'dataItem')::uuid)"""
    return f"""(SELECT coalesce(jsonb_agg(gg.v || jsonb_build_object('conditions', {conditions}) ORDER BY gg.o), '[]')
        FROM jsonb_array_elements({settings} -> 'grades') WITH ORDINALITY AS gg(v, o))"""


def grade_of(version: str, code: str) -> str:
    """SQL for the document of one grade by its code; null where the code is null."""
    return f"""(SELECT ge.v FROM scheme_versions gv
        CROSS JOIN LATERAL jsonb_array_elements({grades_of("gv.settings", "gv.id")}) ge(v)
        WHERE gv.tenant_id = {{tenant}} AND gv.id = {version} AND ge.v ->> 'code' = {code} LIMIT 1)"""


@value
class SchemeSettings:
    """All settings of a version that change results."""

    missing_policy: MissingPolicy = column("What missing values earn.", "missingPolicy")
    not_applicable_policy: NotApplicablePolicy | None = column(
        "What becomes of weight that does not apply; must be chosen under POINTS.", "notApplicablePolicy"
    )
    coverage_threshold: Decimal | None = column(
        "Least coverage to be ranked, 0 to 1; null for none.", "coverageThreshold"
    )
    rounding_places: int = column("Places that totals are rounded to, 0 to 12.", "roundingPlaces")
    rank_on: RankBasis = column("Rank the rounded or the exact total.", "rankOn")
    tie_policy: TiePolicy = column("What becomes of equals.", "tiePolicy")
    tie_breakers: "list[Indicator]" = by_ids("Indicators compared in order under TIE_BREAK.", "tieBreakerIds")
    cross_category_ranks: bool = column("Whether there is an overall rank too.", "crossCategoryRanks")
    cap_at_full_marks: bool = column("Whether the total stops at the full marks.", "capAtFullMarks")
    bonus_cap: Decimal | None = column("Cap of all bonus together (加分上限).", "bonusCap")
    deduction_cap: Decimal | None = column("Cap of all deductions together (减分上限).", "deductionCap")
    late_penalty: LatePenaltyInfo | None = document("Points per day late (逾期扣分).", "latePenalty")
    grades: list[Grade] = document("Grades, best first (等次).")
    body_decides: bool = column("Whether grades need the deciding body's record (审定).", "bodyDecides")
    review_levels: list[ReviewLevelInfo] = document("Levels of review.", "reviewLevels")
    disclosures: list[DisclosureInfo] = document("What each kind of publication shows to whom.")
    objection_working_days: int = column("Length of the objection window (异议期).", "objectionWorkingDays")
    skip_notice: bool = column("Whether a cycle may go to final without notice.", "skipNotice")


@value
class SchemeIssue(Error):
    """One fault found by the check of a scheme."""

    code: ErrorCode = column("Always INVALID or DUPLICATE.")
    message: str = column("For people: what is wrong, with the numbers.")
    path: list[str] | None = column("Codes from the root to the node, then the setting.")
    hint: str | None = column("What would mend it.")
    severity: FaultSeverity = column("Fault or warning.")
    indicator: "Indicator | None" = relation("The node at fault; null for settings.", on={"indicator_id": "id"})
    category: Category | None = relation("The category for which it is wrong; null for all.", on={"category_id": "id"})


@value
class CategorySumInfo:
    """Sum of the children's points of one node for one category."""

    indicator: "Indicator" = relation("The node.", on={"indicator_id": "id"})
    category: Category = relation("The category.", on={"category_id": "id"})
    expected: Decimal = column("The node's points.")
    actual: Decimal = column("Sum of the children that apply.")
    balanced: bool = column("Whether they are equal.")


# ---- schemes, versions, indicators


@table("schemes", plural="schemes")
class Scheme(Node):
    """A scheme over its versions (考核方案)."""

    id: ID = identifier()
    code: str = column("Code.")
    name: str = column("Name.")
    versions: "list[SchemeVersion]" = listing("Newest first.", on={"id": "scheme_id"}, order="{r}.number DESC")
    draft: "SchemeVersion | None" = relation(
        "The version that can be edited; at most one.", on={"id": "scheme_id"}, where="{r}.state = 'DRAFT'"
    )
    version: int = column("Rises with each change of name or code.")


@filter_type
class SchemeFilter:
    """Which schemes."""

    search: str | None = condition(
        "Code or name contains this.", "{r}.code ILIKE {value} OR {r}.name ILIKE {value}", contains=True
    )


async def _checks(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[SchemeCheck]:
    """The checks of versions; one for all fields that ask for it together."""

    async def run(ids: list[UUID]) -> Sequence[SchemeCheck]:
        found = {key: await schemes.check_version(context.reader, key) for key in dict.fromkeys(ids)}
        return [found[key] for key in ids]

    asked = (context.loader.load("scheme check", version["id"], run) for version in versions)
    found: list[SchemeCheck] = await asyncio.gather(*asked)
    return found


async def _faults(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """What the engine and the product find, in the caller's language."""
    language = context.language
    return [
        [
            {
                "code": fault.code,
                "message": say(fault.text, language),
                "path": list(fault.path),
                "hint": None if fault.hint is None else say(fault.hint, language),
                "severity": fault.severity,
                "indicator_id": fault.indicator_id,
                "category_id": fault.category_id,
            }
            for fault in check.faults
        ]
        for check in await _checks(context, versions)
    ]


async def _sums(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """The tables of sums, also of drafts with faults."""
    return [
        [
            {
                "indicator_id": each.indicator_id,
                "category_id": each.category_id,
                "expected": format_decimal(each.expected),
                "actual": format_decimal(each.actual),
                "balanced": each.balanced,
            }
            for each in check.sums
        ]
        for check in await _checks(context, versions)
    ]


async def _file(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """The scheme documents of the engine."""
    return [await schemes.scheme_file(context.reader, version["id"]) for version in versions]


SETTINGS = f"""{{t}}.settings || jsonb_build_object(
    'bodyDecides', coalesce({{t}}.settings -> 'bodyDecides', 'true'),
    'grades', {grades_of("{t}.settings", "{t}.id")},
    'tieBreakerIds', coalesce((
        SELECT jsonb_agg(ti.id ORDER BY tb.place)
        FROM jsonb_array_elements_text({{t}}.settings -> 'tieBreakers') WITH ORDINALITY AS tb(code, place)
        JOIN indicators ti ON ti.tenant_id = {{tenant}} AND ti.scheme_version_id = {{t}}.id
             AND ti.code = tb.code), '[]'))"""
"""The settings of a version, with the ids of what they name by code."""


@table("scheme_versions", plural="scheme versions")
class SchemeVersion(Node):
    """An indicator tree with all settings; frozen when a cycle opens on it, and unchanged from then on."""

    id: ID = identifier()
    scheme: Scheme = relation("Of which scheme.", on={"scheme_id": "id"})
    number: int = column("1, 2, 3 …")
    label: str | None = column("Name for people, such as 2026年修订版.")
    state: SchemeVersionState = column("Draft or frozen.")
    based_on: "SchemeVersion | None" = relation("Version it was copied from.", on={"based_on_id": "id"})
    weighting: Weighting = column("Points or relative weights.")
    full_marks: Decimal = column("Full marks of the root (总分).")
    categories: list[Category] = listing(
        "Categories it applies to.",
        where="""{r}.id IN (SELECT vc.category_id FROM scheme_version_categories vc
                 WHERE vc.tenant_id = {tenant} AND vc.scheme_version_id = {t}.id)""",
        order="""(SELECT vp.position FROM scheme_version_categories vp WHERE vp.tenant_id = {tenant}
                  AND vp.scheme_version_id = {t}.id AND vp.category_id = {r}.id)""",
        limit=100,
    )
    settings: SchemeSettings = document("All that changes results.", sql=SETTINGS)
    indicators: "list[Indicator]" = listing(
        "The whole tree, flat, in print order; depth and parent give the shape. At most 2,000, and the root.",
        on={"id": "scheme_version_id"},
        order="{r}.print_order",
        limit=MOST_INDICATORS,
    )
    root: "Indicator" = relation("The root node.", on={"id": "scheme_version_id"}, where="{r}.parent_id IS NULL")
    cycles: "list[Cycle]" = listing("Cycles on it, newest first.", on={"id": "scheme_version_id"}, order="{r}.id DESC")
    frozen_at: datetime | None = column("When it was frozen.")
    frozen_by: "Actor | None" = relation("By whom.", on={"frozen_by_id": "id"}, variants=ACTOR_TYPES)
    version: int = column(
        "Rises with each change of settings or of the tree's shape; single indicators have their own."
    )

    faults: list[SchemeIssue] = computed(
        "Check of the whole tree now: faults with their paths, then warnings (方案检查); freezing wants no fault.",
        _faults,
        needs=["id"],
    )
    sums: list[CategorySumInfo] = computed(
        "Points per category, node by node (分值合计); empty under RELATIVE.", _sums, needs=["id"]
    )
    file: str = computed(
        "Canonical JSON text, with codes in place of ids, that importScheme reads (方案文件).", _file, needs=["id"]
    )


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


async def _wordings(context: Context, indicators: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    """Their own words, else the rules'."""
    statement = context.statement()
    wanted = statement.bind([indicator["id"] for indicator in indicators], "uuid[]")
    records = await context.fetch(
        f"SELECT t.id, t.wording, ({statement.render(RULE, t='t')}) AS rule FROM indicators t "
        f"WHERE t.tenant_id = {statement.render('{tenant}')} AND t.id = ANY({wanted})",
        statement,
    )
    found = {record["id"]: record for record in records}
    return [_wording(found[indicator["id"]], context) for indicator in indicators]


def _wording(record: Any, context: Context) -> str | None:
    if record["wording"] is not None or record["rule"] is None:
        own: str | None = record["wording"]
        return own
    return say(schemes.describe_rule(parse_document(record["rule"])), context.language)


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
    rule: ScoringRule | None = document("Of a leaf: how it is scored.", sql=RULE, variants=RULES)
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
        needs=["id"],
    )


@query
class SchemesQuery:
    """Schemes, versions and indicators."""

    scheme: Scheme | None = by_id("One scheme.", "Scheme")
    schemes: Connection[Scheme] | None = connection("Schemes.", filter=SchemeFilter, default=[Key("{r}.code")])
    scheme_version: SchemeVersion | None = by_id("One version, with tree, settings and check.", "SchemeVersion")
    indicator: Indicator | None = by_id("One indicator.", "Indicator")


# ---- inputs


@input_type
class LatePenaltyInput:
    """What lateness costs."""

    points_per_day: DecimalText = described("Per calendar day.")
    cap: DecimalText | None = described("At most.")


@input_type
class ReviewLevelInput:
    """One level of review."""

    route: ReviewRoute = described("Along the tree or across it.")
    unit_kind: OrgUnitKind | None = described("Along the tree: at which kind of unit; left out for any unit above.")


@input_type
class DisclosureInput:
    """What one kind of publication shows."""

    kind: PublicationKind = described("Which kind.")
    totals: DisclosureLevel = described("Totals.", default=DisclosureLevel.ALL)
    ranks: DisclosureLevel = described("Ranks.", default=DisclosureLevel.ALL)
    grades: DisclosureLevel = described("Grades; never of an interim board.", default=DisclosureLevel.ALL)
    dimensions: DisclosureLevel = described("Dimension scores.", default=DisclosureLevel.ALL)
    best_count: int | None = described("For BEST: how many.")


@input_type
class PlacesInput:
    """One row of a table of places."""

    units_from: int = described("From so many units on.")
    places: int = described("So many places.")


@input_type
class NodeShareInput:
    """Share of a node's marks."""

    indicator_code: str = described("The node.")
    minimum_share: DecimalText = described("Least share, 0 to 1.")


@one_of
class GradeConditionInput:
    """Exactly one condition."""

    node_share: NodeShareInput | None = described("A node has at least so much of its marks.")
    no_event_under: str | None = described("No confirmed event under the leaf with this code.")
    item_true: ID | None = described("This yes-no item is yes.")
    previous_grade_at_least: str | None = described("The grade of the last cycle was at least the one with this code.")


@input_type
class GradeInput:
    """A grade."""

    code: str = described("Code.")
    name: str = described("Name.")
    threshold: DecimalText = described("Least rounded total.", default="0")
    share: DecimalText | None = described("Share of the base; not together with placesByCount.")
    places_by_count: list[PlacesInput] | None = described("Places by number of units.")
    minimum_places: int = described("At least so many.", default=0)
    rounding: QuotaRounding = described("How places are rounded.", default=QuotaRounding.FLOOR)
    scope: QuotaScope = described("Per what.", default=QuotaScope.CATEGORY)
    base_includes_vetoed: bool = described("Whether vetoed units count in the base.", default=True)
    conditions: list[GradeConditionInput] | None = described("What must be fulfilled besides.")


def _grade(given: GradeInput, place: int) -> dict[str, Any]:
    """A grade as an object of the scheme document: what was typed is still to be judged."""
    here = ("grades", str(place))

    def typed(name: str, raw: str | None, what: Any = "DECIMAL") -> AsTyped | None:
        return None if raw is None else AsTyped(raw, what, (*here, name))

    return {
        "code": typed("code", given.code, "LINE"),
        "name": typed("name", given.name, "LINE"),
        "threshold": typed("threshold", given.threshold),
        "share": typed("share", given.share),
        "placesByCount": [_object(each) for each in given.places_by_count or ()],
        "minimumPlaces": given.minimum_places,
        "rounding": given.rounding.name,
        "scope": given.scope.name,
        "baseIncludesVetoed": given.base_includes_vetoed,
        "conditions": [
            _condition(each, (*here, "conditions", str(number))) for number, each in enumerate(given.conditions or ())
        ],
    }


def _condition(given: GradeConditionInput, here: Path) -> dict[str, Any]:
    """A condition of a grade as an object of the scheme document."""
    if share := _known(given.node_share):
        return {
            "kind": "NODE_SHARE",
            "indicator": AsTyped(share.indicator_code, "LINE", (*here, "nodeShare", "indicatorCode")),
            "minimumShare": AsTyped(share.minimum_share, "DECIMAL", (*here, "nodeShare", "minimumShare")),
        }
    if (leaf := _known(given.no_event_under)) is not None:
        return {"kind": "NO_EVENT", "indicator": AsTyped(leaf, "LINE", (*here, "noEventUnder"))}
    if (item := _known(given.item_true)) is not None:
        return {"kind": "ITEM_TRUE", "dataItem": AsTyped(item, "DataItem", (*here, "itemTrue"))}
    code = str(_known(given.previous_grade_at_least))
    return {"kind": "PREVIOUS_GRADE", "gradeCode": AsTyped(code, "LINE", (*here, "previousGradeAtLeast"))}


def _known(given: T | None) -> T | None:
    """A field of a @oneOf input: None where it was left out."""
    return None if given is UNSET else given


@input_type
class SchemeSettingsInput:
    """Settings that change results; what is left out stays, null takes away where null is allowed."""

    missing_policy: MissingPolicy | None = described("What missing values earn.", clearable=True)
    not_applicable_policy: NotApplicablePolicy | None = described(
        "What becomes of weight that does not apply.", clearable=True
    )
    coverage_threshold: DecimalText | None = described("Least coverage to be ranked, 0 to 1.", clearable=True)
    rounding_places: int | None = described("0 to 12.", clearable=True)
    rank_on: RankBasis | None = described("Rounded or exact.", clearable=True)
    tie_policy: TiePolicy | None = described("What becomes of equals.", clearable=True)
    tie_breaker_codes: list[str] | None = described("Codes of the indicators compared in order.", clearable=True)
    cross_category_ranks: bool | None = described("Overall rank too.", clearable=True)
    cap_at_full_marks: bool | None = described("Stop at the full marks.", clearable=True)
    bonus_cap: DecimalText | None = described("Cap of all bonus.", clearable=True)
    deduction_cap: DecimalText | None = described("Cap of all deductions.", clearable=True)
    late_penalty: LatePenaltyInput | None = described("What lateness costs.", clearable=True)
    grades: list[GradeInput] | None = described("All grades, best first, at most 20.", clearable=True)
    body_decides: bool | None = described("Grades need the deciding body's record.", clearable=True)
    review_levels: list[ReviewLevelInput] | None = described("Levels of review, at most 3.", clearable=True)
    disclosures: list[DisclosureInput] | None = described(
        "What publications show; kinds that are not named stay.", clearable=True
    )
    objection_working_days: int | None = described("Length of the window, 1 to 60.", clearable=True)
    skip_notice: bool | None = described("May skip the notice.", clearable=True)


def _object(given: Any) -> dict[str, Any]:
    """An input as an object of the scheme document: what is given, by the names of the API."""
    found = {}
    for each in fields(given):
        raw = getattr(given, each.name)
        if raw is not UNSET:
            head, *rest = each.name.split("_")
            found[head + "".join(part.capitalize() for part in rest)] = _plain(raw)
    return found


def _plain(raw: Any) -> Any:
    match raw:
        case Enum():
            return raw.name
        case list():
            return [
                _grade(each, place) if isinstance(each, GradeInput) else _plain(each) for place, each in enumerate(raw)
            ]
        case LatePenaltyInput() | ReviewLevelInput() | DisclosureInput():
            return _object(raw)
    return raw


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
            review_levels=None if self.review_levels is None else [_object(each) for each in self.review_levels],
            checks=[check_document(each) for each in self.checks or ()],
        )


@input_type
class IndicatorRowInput:
    """A node in its place."""

    parent_code: str | None = described("Code of the node above; the root's children leave it out.")
    indicator: IndicatorInput = described("The node.")


# ---- mutations


@input_type
class CreateSchemeInput:
    """What createScheme takes."""

    code: str = described("Code.")
    name: str = described("Name.")
    weighting: Weighting = described("Points or relative weights.")
    full_marks: DecimalText = described("Full marks of the root.", default="100")
    category_ids: list[ID] = described("Categories it applies to.")
    idempotency_key: str = described(KEY)


@payload
class CreateSchemeSuccess:
    """createScheme is done."""

    scheme: Scheme = described("The scheme.")
    scheme_version: SchemeVersion = described("Its draft.")


@mutation(CreateSchemeSuccess, access=at_root(Role.ORGANISER))
async def create_scheme(tx: Transaction, actor: Caller, given: CreateSchemeInput) -> Outcome:
    """Starts a scheme with an empty draft."""
    scheme, version = await schemes.create_scheme(
        tx,
        actor,
        code=given.code,
        name=given.name,
        weighting=given.weighting.name,
        full_marks=given.full_marks,
        category_ids=given.category_ids,
    )
    return {"scheme": scheme, "scheme_version": version}


@input_type
class CreateSchemeVersionInput:
    """What createSchemeVersion takes."""

    based_on_id: ID = described("Version to copy.")
    label: str | None = described("Name for people.")
    idempotency_key: str = described(KEY)


@payload
class CreateSchemeVersionSuccess:
    """createSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The draft.")


@mutation(CreateSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def create_scheme_version(tx: Transaction, actor: Caller, given: CreateSchemeVersionInput) -> Outcome:
    """Starts a new draft from an earlier version."""
    return {
        "scheme_version": await schemes.create_scheme_version(
            tx, actor, based_on_id=given.based_on_id, label=given.label
        )
    }


@input_type
class EditSchemeVersionInput:
    """What editSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    label: str | None = described("Name for people; left out to keep, null for none.", clearable=True)
    weighting: Weighting | None = described("Points or relative weights; left out to keep.")
    full_marks: DecimalText | None = described("Full marks of the root; left out to keep.")
    category_ids: list[ID] | None = described("Categories it applies to; left out to keep.")
    settings: SchemeSettingsInput | None = described("Settings; what is left out stays.")
    idempotency_key: str = described(KEY)


@payload
class EditSchemeVersionSuccess:
    """editSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(EditSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def edit_scheme_version(tx: Transaction, actor: Caller, given: EditSchemeVersionInput) -> Outcome:
    """Changes settings of a draft."""
    return {
        "scheme_version": await schemes.edit_scheme_version(
            tx,
            actor,
            scheme_version_id=given.scheme_version_id,
            version=given.version,
            label=KEEP if given.label is UNSET else given.label,
            weighting=given.weighting and given.weighting.name,
            full_marks=given.full_marks,
            category_ids=given.category_ids,
            settings=None if given.settings is None else _object(given.settings),
        )
    }


@input_type
class AddIndicatorInput:
    """What addIndicator takes."""

    scheme_version_id: ID = described("Which draft.")
    parent_id: ID = described("Node above.")
    position: int | None = described("Place among its siblings, from 0; last if left out.")
    indicator: IndicatorInput = described("The node.")
    idempotency_key: str = described(KEY)


@payload
class AddIndicatorSuccess:
    """addIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(AddIndicatorSuccess, access=at_root(Role.ORGANISER))
async def add_indicator(tx: Transaction, actor: Caller, given: AddIndicatorInput) -> Outcome:
    """Adds a node to a draft."""
    indicator, version = await schemes.add_indicator(
        tx,
        actor,
        scheme_version_id=given.scheme_version_id,
        parent_id=given.parent_id,
        position=given.position,
        indicator=given.indicator.spec(),
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class EditIndicatorInput:
    """What editIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    indicator: IndicatorInput = described("All of it, as it shall be.")
    idempotency_key: str = described(KEY)


@payload
class EditIndicatorSuccess:
    """editIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(EditIndicatorSuccess, access=at_root(Role.ORGANISER))
async def edit_indicator(tx: Transaction, actor: Caller, given: EditIndicatorInput) -> Outcome:
    """Changes a node of a draft."""
    indicator, version = await schemes.edit_indicator(
        tx, actor, indicator_id=given.indicator_id, version=given.version, indicator=given.indicator.spec()
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class MoveIndicatorInput:
    """What moveIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    parent_id: ID = described("Node above.")
    position: int = described("Place among its siblings, from 0.")
    idempotency_key: str = described(KEY)


@payload
class MoveIndicatorSuccess:
    """moveIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(MoveIndicatorSuccess, access=at_root(Role.ORGANISER))
async def move_indicator(tx: Transaction, actor: Caller, given: MoveIndicatorInput) -> Outcome:
    """Puts a node with all below it elsewhere in its draft."""
    indicator, version = await schemes.move_indicator(
        tx,
        actor,
        indicator_id=given.indicator_id,
        version=given.version,
        parent_id=given.parent_id,
        position=given.position,
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class RemoveIndicatorInput:
    """What removeIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class RemoveIndicatorSuccess:
    """removeIndicator is done."""

    removed_ids: list[ID] = described("Ids of the node and all below it.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(RemoveIndicatorSuccess, access=at_root(Role.ORGANISER))
async def remove_indicator(tx: Transaction, actor: Caller, given: RemoveIndicatorInput) -> Outcome:
    """Takes a node with all below it out of its draft."""
    removed, version = await schemes.remove_indicator(tx, actor, indicator_id=given.indicator_id, version=given.version)
    return {"removed_ids": [encode_id("Indicator", key) for key in removed], "scheme_version": version}


@input_type
class ReplaceIndicatorsInput:
    """What replaceIndicators takes."""

    scheme_version_id: ID = described("Which draft.")
    version: int = described("Version read.")
    indicators: list[IndicatorRowInput] = described("The tree, flat, parents before children; at most 2,000.")
    idempotency_key: str = described(KEY)


@payload
class ReplaceIndicatorsSuccess:
    """replaceIndicators is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(ReplaceIndicatorsSuccess, access=at_root(Role.ORGANISER))
async def replace_indicators(tx: Transaction, actor: Caller, given: ReplaceIndicatorsInput) -> Outcome:
    """Replaces the whole tree of a draft; nodes with the same code keep their id."""
    return {
        "scheme_version": await schemes.replace_indicators(
            tx,
            actor,
            scheme_version_id=given.scheme_version_id,
            version=given.version,
            indicators=[IndicatorRow(each.indicator.spec(), each.parent_code) for each in given.indicators],
        )
    }


@input_type
class ImportSchemeInput:
    """What importScheme takes."""

    scheme_id: ID | None = described("Into this scheme; a new one if left out.")
    document: str = described("The JSON text, at most 4 MiB.")
    create_missing_data_items: bool = described("Whether unknown data items are added.", default=True)
    idempotency_key: str = described(KEY)


@payload
class ImportSchemeSuccess:
    """importScheme is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(ImportSchemeSuccess, access=at_root(Role.ORGANISER))
async def import_scheme(tx: Transaction, actor: Caller, given: ImportSchemeInput) -> Outcome:
    """Makes a draft from the JSON text that SchemeVersion.file gives."""
    return {
        "scheme_version": await schemes.import_scheme(
            tx,
            actor,
            document=given.document,
            scheme_id=given.scheme_id,
            create_missing_data_items=given.create_missing_data_items,
        )
    }


@input_type
class FreezeSchemeVersionInput:
    """What freezeSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class FreezeSchemeVersionSuccess:
    """freezeSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The frozen version.")


@mutation(FreezeSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def freeze_scheme_version(tx: Transaction, actor: Caller, given: FreezeSchemeVersionInput) -> Outcome:
    """Freezes a draft; refused with all faults at once (方案定稿)."""
    return {
        "scheme_version": await schemes.freeze_scheme_version(
            tx, actor, scheme_version_id=given.scheme_version_id, version=given.version
        )
    }


@input_type
class DiscardSchemeVersionInput:
    """What discardSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class DiscardSchemeVersionSuccess:
    """discardSchemeVersion is done."""

    discarded_id: ID = described("Its id.")
    scheme: Scheme = described("The scheme.")


@mutation(DiscardSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def discard_scheme_version(tx: Transaction, actor: Caller, given: DiscardSchemeVersionInput) -> Outcome:
    """Throws a draft away."""
    gone, scheme = await schemes.discard_scheme_version(
        tx, actor, scheme_version_id=given.scheme_version_id, version=given.version
    )
    return {"discarded_id": encode_id("SchemeVersion", gone), "scheme": scheme}
