"""All settings of a version that change results (方案设置): as they are read, and as they are given."""

from dataclasses import fields
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from strawberry import UNSET

from schema.directory import OrgUnitKind
from schema.mapping import by_ids, column, described, document, input_type, value
from schema.scalars import DecimalText
from schema.schemes.grades import Grade, GradeInput, grade_document, grades_of
from schema.schemes.words import (
    DisclosureLevel,
    MissingPolicy,
    NotApplicablePolicy,
    PublicationKind,
    RankBasis,
    ReviewRoute,
    TiePolicy,
)

if TYPE_CHECKING:
    from schema.schemes.indicators import Indicator


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
    robustness_tolerance: Decimal = column(
        "How far weights are drawn for the robustness of ranks, such as 0.1.", "robustnessTolerance"
    )


SETTINGS = f"""{{t}}.settings || jsonb_build_object(
    'bodyDecides', coalesce({{t}}.settings -> 'bodyDecides', 'true'),
    'robustnessTolerance', coalesce({{t}}.settings -> 'robustnessTolerance', '"0.1"'),
    'grades', {grades_of("{t}.settings", "{t}.id")},
    'tieBreakerIds', coalesce((
        SELECT jsonb_agg(ti.id ORDER BY tb.place)
        FROM jsonb_array_elements_text({{t}}.settings -> 'tieBreakers') WITH ORDINALITY AS tb(code, place)
        JOIN indicators ti ON ti.tenant_id = {{tenant}} AND ti.scheme_version_id = {{t}}.id
             AND ti.code = tb.code), '[]'))"""
"""The settings of a version, with the ids of what they name by code."""


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
    robustness_tolerance: DecimalText | None = described("How far weights are drawn, 0 to 0.9.", clearable=True)


def as_document(given: Any) -> dict[str, Any]:
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
                grade_document(each, place) if isinstance(each, GradeInput) else _plain(each)
                for place, each in enumerate(raw)
            ]
        case LatePenaltyInput() | ReviewLevelInput() | DisclosureInput():
            return as_document(raw)
    return raw
