"""The settings of a scheme that change results (方案设置): every one visible, none in code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from service.scoring.items import DataItem
from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import read_item
from service.scoring.reading import Reader
from service.scoring.text import Text

MISSING_POLICIES: Final = ("ZERO", "CARRY_OVER", "EXCLUDE")
NOT_APPLICABLE_POLICIES: Final = ("PARENT", "GLOBAL", "FULL")
RANK_BASES: Final = ("ROUNDED", "EXACT")
TIE_POLICIES: Final = ("STRICT", "INCLUSIVE", "TIE_BREAK", "DECISION")
QUOTA_ROUNDINGS: Final = ("FLOOR", "HALF_UP", "CEIL")
QUOTA_SCOPES: Final = ("CATEGORY", "PARENT", "ALL")
CONDITION_KINDS: Final = ("NODE_SHARE", "NO_EVENT", "ITEM_TRUE", "PREVIOUS_GRADE")
PLACES_LIMIT: Final = 12

_WORDS: Final = ("bodyDecides", "reviewLevels", "disclosures", "objectionWorkingDays", "skipNotice", "mergePolicy")
"""Known, and without meaning for a score."""


@dataclass(frozen=True, slots=True)
class LatePenalty:
    """What lateness costs (逾期扣分): points per calendar day, once per unit, at most the cap."""

    points_per_day: Fraction
    cap: Fraction | None = None


@dataclass(frozen=True, slots=True)
class GradeCondition:
    """One condition of a grade: NODE_SHARE, NO_EVENT, ITEM_TRUE or PREVIOUS_GRADE."""

    kind: str
    indicator: str | None = None
    data_item: str | None = None
    minimum_share: Fraction | None = None
    grade_code: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "indicator": self.indicator,
            "dataItem": self.data_item,
            "minimumShare": _written(self.minimum_share),
            "gradeCode": self.grade_code,
        }


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade (等次): least rounded total, places as a share or a table, and conditions."""

    code: str
    name: str
    threshold: Fraction = Fraction(0)
    share: Fraction | None = None
    places_by_count: tuple[tuple[int, int], ...] = ()
    minimum_places: int = 0
    rounding: str = "FLOOR"
    scope: str = "CATEGORY"
    base_includes_vetoed: bool = True
    conditions: tuple[GradeCondition, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether its places are counted."""
        return self.share is not None or bool(self.places_by_count)

    def document(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": self.name,
            "threshold": _written(self.threshold),
            "share": _written(self.share),
            "placesByCount": [{"unitsFrom": units, "places": places} for units, places in self.places_by_count],
            "minimumPlaces": self.minimum_places,
            "rounding": self.rounding,
            "scope": self.scope,
            "baseIncludesVetoed": self.base_includes_vetoed,
            "conditions": [condition.document() for condition in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with their defaults. not_applicable_policy must be chosen under POINTS, else it is PARENT."""

    missing_policy: str = "ZERO"
    not_applicable_policy: str = "PARENT"
    coverage_threshold: Fraction | None = None
    rounding_places: int = 2
    rank_on: str = "ROUNDED"
    tie_policy: str = "STRICT"
    tie_breakers: tuple[str, ...] = ()
    cross_category_ranks: bool = False
    cap_at_full_marks: bool = False
    bonus_cap: Fraction | None = None
    deduction_cap: Fraction | None = None
    late_penalty: LatePenalty | None = None
    grades: tuple[Grade, ...] = ()
    robustness_tolerance: Fraction = Fraction(1, 10)
    words: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it is written in a scheme document."""
        late = self.late_penalty
        return {
            **self.words,
            "missingPolicy": self.missing_policy,
            "notApplicablePolicy": self.not_applicable_policy,
            "coverageThreshold": _written(self.coverage_threshold),
            "roundingPlaces": self.rounding_places,
            "rankOn": self.rank_on,
            "tiePolicy": self.tie_policy,
            "tieBreakers": list(self.tie_breakers),
            "crossCategoryRanks": self.cross_category_ranks,
            "capAtFullMarks": self.cap_at_full_marks,
            "bonusCap": _written(self.bonus_cap),
            "deductionCap": _written(self.deduction_cap),
            "latePenalty": late and {"pointsPerDay": _written(late.points_per_day), "cap": _written(late.cap)},
            "grades": [grade.document() for grade in self.grades],
            "robustnessTolerance": _written(self.robustness_tolerance),
        }


def _written(value: Fraction | None) -> str | None:
    return None if value is None else format_decimal(value)


def read_settings(reader: Reader | None, items: Mapping[str, DataItem], weighting: str) -> Settings:
    """The settings of a document; what is wrong is noted and takes its default."""
    plain = Settings()
    if reader is None:
        return plain
    na_policy = reader.choice("notApplicablePolicy", NOT_APPLICABLE_POLICIES, default="")
    if not na_policy and weighting == "POINTS" and not reader.has("notApplicablePolicy"):
        reader.fault(
            "notApplicablePolicy",
            Text(
                "分值制方案须选定不适用项的处理办法",
                "a scheme of points must choose what becomes of what does not apply",
            ),
            Text(
                "PARENT：分值由同级分担；GLOBAL：按适用部分折算；FULL：得满分",
                "PARENT: shared among siblings; GLOBAL: total scored out of what applies; FULL: full marks",
            ),
        )
    tie_policy = reader.choice("tiePolicy", TIE_POLICIES, default=plain.tie_policy)
    tie_breakers = reader.texts("tieBreakers")
    if tie_policy == "TIE_BREAK" and not tie_breakers:
        reader.fault("tieBreakers", Text("须指定依次比较的指标", "name the indicators to compare, in order"))
    late = None
    late_reader = reader.inner("latePenalty", required=False)
    if late_reader is not None:
        per_day = late_reader.decimal("pointsPerDay", least=0)
        cap = late_reader.decimal("cap", required=False, least=0)
        late_reader.finish()
        late = None if per_day is None else LatePenalty(per_day, cap)
    grades = _read_grades(reader, items)
    settings = Settings(
        missing_policy=reader.choice("missingPolicy", MISSING_POLICIES, default=plain.missing_policy) or "ZERO",
        not_applicable_policy=na_policy or plain.not_applicable_policy,
        coverage_threshold=reader.decimal("coverageThreshold", required=False, least=0, most=1),
        rounding_places=reader.whole("roundingPlaces", default=plain.rounding_places, least=0, most=PLACES_LIMIT) or 0,
        rank_on=reader.choice("rankOn", RANK_BASES, default=plain.rank_on) or plain.rank_on,
        tie_policy=tie_policy or plain.tie_policy,
        tie_breakers=tuple(tie_breakers),
        cross_category_ranks=reader.flag("crossCategoryRanks", default=False),
        cap_at_full_marks=reader.flag("capAtFullMarks", default=False),
        bonus_cap=reader.decimal("bonusCap", required=False, least=0),
        deduction_cap=reader.decimal("deductionCap", required=False, least=0),
        late_penalty=late,
        grades=grades,
        robustness_tolerance=reader.decimal(
            "robustnessTolerance", required=False, default=Fraction(1, 10), least=0, most=Fraction(9, 10)
        )
        or Fraction(0),
        words={key: reader.data[key] for key in _WORDS if reader.data.get(key) is not None},
    )
    reader.ignore(*_WORDS)
    reader.finish()
    return settings


def _read_grades(reader: Reader, items: Mapping[str, DataItem]) -> tuple[Grade, ...]:
    grades: dict[str, Grade] = {}
    entries = reader.each("grades", limit=20)
    codes = [entry.data.get("code") for entry in entries]
    above: Fraction | None = None
    for entry in entries:
        grade = _read_grade(entry, items, codes)
        if grade is None:
            continue
        if grade.code in grades:
            entry.fault("code", Text(f"等次“{grade.code}”重复", f'grade "{grade.code}" is repeated'), code="DUPLICATE")
            continue
        if above is not None and grade.threshold > above:
            entry.fault(
                "threshold",
                Text(
                    f"{grade.name}的分数线{show(grade.threshold)}高于上一等次的{show(above)}",
                    f"the threshold {show(grade.threshold)} is above the {show(above)} of the better grade",
                ),
                Text("等次从高到低排列", "list grades from best to lowest"),
            )
        above = grade.threshold
        grades[grade.code] = grade
    last = list(grades.values())[-1] if len(grades) > 1 else None
    if last is not None and (last.limited or last.conditions):
        reader.sink.add(
            entries[-1].path,
            Text(
                f"末等“{last.name}”限了名额或设了条件，达不到的单位没有等次",
                f'the lowest grade "{last.name}" has a quota or conditions: who misses them has no grade',
            ),
            severity="WARNING",
        )
    return tuple(grades.values())


def _read_grade(entry: Reader, items: Mapping[str, DataItem], codes: list[Any]) -> Grade | None:
    code = entry.text("code", limit=100)
    name = entry.text("name", limit=100)
    threshold = entry.decimal("threshold", required=False, default=Fraction(0))
    share = entry.decimal("share", required=False, least=0, most=1)
    table: list[tuple[int, int]] = []
    for row in entry.each("placesByCount", limit=1_000):
        units = row.whole("unitsFrom", least=0, most=10**9)
        places = row.whole("places", least=0, most=10**9)
        row.finish()
        if units is None or places is None:
            continue
        if table and units <= table[-1][0]:
            row.fault("unitsFrom", Text("单位数须逐行增大", "must rise from row to row"))
        table.append((units, places))
    if share is not None and table:
        entry.fault("share", Text("比例与名额表只能选一种", "either a share or a table of places"))
    minimum = entry.whole("minimumPlaces", default=0, least=0, most=10**9)
    rounding = entry.choice("rounding", QUOTA_ROUNDINGS, default="FLOOR")
    scope = entry.choice("scope", QUOTA_SCOPES, default="CATEGORY")
    vetoed = entry.flag("baseIncludesVetoed", default=True)
    conditions = [
        condition
        for row in entry.each("conditions", limit=20)
        if (condition := _read_condition(row, items, codes)) is not None
    ]
    entry.finish()
    if code is None or name is None or threshold is None or rounding is None or scope is None:
        return None
    return Grade(code, name, threshold, share, tuple(table), minimum or 0, rounding, scope, vetoed, tuple(conditions))


def _read_condition(row: Reader, items: Mapping[str, DataItem], codes: list[Any]) -> GradeCondition | None:
    before = len(row.sink.faults)
    kind = row.choice("kind", CONDITION_KINDS)
    indicator = row.text("indicator", required=kind in ("NODE_SHARE", "NO_EVENT"))
    key = row.text("dataItem", required=kind == "ITEM_TRUE")
    share = row.decimal("minimumShare", required=kind == "NODE_SHARE", least=0, most=1)
    grade = row.text("gradeCode", required=kind == "PREVIOUS_GRADE")
    row.ignore("text")
    row.finish()
    if kind == "ITEM_TRUE":
        read_item(row, "dataItem", key, items, ("YES_NO",))
    if grade is not None and grade not in codes:
        row.fault("gradeCode", Text(f"没有等次“{grade}”", f'there is no grade "{grade}"'))
    if kind is None or len(row.sink.faults) > before:
        return None
    return GradeCondition(kind, indicator, key, share, grade)
