"""Settings of a scheme version (方案设置): everything that changes results, stored whole, edited in parts.

The stored form is the `settings` object of the scheme document, all keys written out. What is left out of an edit
stays; null takes away where a setting may be absent.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from service.checks import Check
from service.errors import Path
from service.scoring.numbers import format_decimal
from service.scoring.text import Text

PUBLICATION_KINDS: Final = ("FEEDBACK", "INTERIM", "NOTICE", "FINAL")
DISCLOSED: Final = ("totals", "ranks", "grades", "dimensions")
MOST_REVIEW_LEVELS: Final = 3
MOST_TIE_BREAKERS: Final = 10
MOST_PLACES: Final = 12
"""Places that totals are rounded to, at most."""

LONGEST_WINDOW: Final = 60
"""Working days of an objection window, at most."""

WIDEST_TOLERANCE: Final = Decimal("0.9")
"""How far weights may be drawn at most: never down to nothing."""

MOST_BEST: Final = 10_000
"""Best units that a publication may show, at most."""

MOST_GRADES: Final = 20
MOST_CONDITIONS: Final = 20
MOST_PLACE_ROWS: Final = 1_000
"""Rows of a table of places."""


def default_level(kind: str, what: str) -> str:
    """Of whom a kind of publication shows something unless it is set: a feedback of the own unit, an interim board no
    grades at all."""
    return "NONE" if kind == "FEEDBACK" or (kind, what) == ("INTERIM", "grades") else "ALL"


def default_settings(weighting: str) -> dict[str, Any]:
    """The settings of a new draft. Under POINTS the policy for what does not apply is still to be chosen."""
    return {
        "missingPolicy": "ZERO",
        "notApplicablePolicy": None if weighting == "POINTS" else "PARENT",
        "coverageThreshold": None,
        "roundingPlaces": 2,
        "rankOn": "ROUNDED",
        "tiePolicy": "STRICT",
        "tieBreakers": [],
        "crossCategoryRanks": False,
        "capAtFullMarks": False,
        "bonusCap": None,
        "deductionCap": None,
        "latePenalty": None,
        "grades": [],
        "bodyDecides": True,
        "reviewLevels": [{"level": 1, "route": "TERRITORIAL", "unitKind": None}],
        "disclosures": [
            {"kind": kind, **{what: default_level(kind, what) for what in DISCLOSED}, "bestCount": None}
            for kind in PUBLICATION_KINDS
        ],
        "objectionWorkingDays": 5,
        "skipNotice": False,
        "robustnessTolerance": "0.1",
    }


SETTING_NAMES: Final = frozenset(default_settings("POINTS"))


def read_settings(check: Check, path: Path, given: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The settings after an edit: `given` by the names of the scheme document, over what they are now.

    Words of closed lists were judged by their type; numbers are judged here, as they were typed.
    """
    settings = dict(now)
    for typed, value in given.items():
        here, name = (*path, typed), _ALSO.get(typed, typed)
        if value is None and name not in _CLEARED:
            check.invalid(here, "不能为空。", "This can't be taken away.")
            continue
        settings[name] = _CLEARED[name] if value is None else _READERS[name](check, here, value, now)
    return settings


_ALSO: Final[Mapping[str, str]] = {"tieBreakerCodes": "tieBreakers"}
"""What an input calls otherwise, because it takes codes where the API shows indicators."""


_CLEARED: Final[Mapping[str, Any]] = {
    "notApplicablePolicy": None,
    "coverageThreshold": None,
    "bonusCap": None,
    "deductionCap": None,
    "latePenalty": None,
    "grades": [],
    "tieBreakers": [],
    "reviewLevels": [],
}
"""What null makes of a setting that may be absent."""


def read_review_levels(check: Check, path: Path, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Levels of review (审核层级), bottom up, each with its number."""
    if len(given) > MOST_REVIEW_LEVELS:
        check.invalid(
            path,
            f"审核层级最多{MOST_REVIEW_LEVELS}级。",
            f"There can be at most {MOST_REVIEW_LEVELS} levels of review.",
        )
    found = []
    for place, level in enumerate(given):
        if level["route"] == "DEPARTMENTAL" and level.get("unitKind") is not None:
            check.invalid(
                (*path, str(place), "unitKind"),
                "归口审核由责任单位进行，不能指定单位类型。",
                "A departmental review is the responsible unit's: no kind of unit can be named.",
            )
        found.append({"level": place + 1, "route": level["route"], "unitKind": level.get("unitKind")})
    return found


def _decimal(check: Check, path: Path, raw: str, *, most: Decimal | int | None = None) -> str | None:
    value = check.decimal(path, raw)
    if value is None:
        return None
    if value < 0:
        check.invalid(path, "不能小于0。", "Must not be below 0.")
    if most is not None and value > most:
        check.invalid(path, f"不能大于{most}。", f"Must not be above {most}.")
    return format_decimal(value)


def _coverage(check: Check, path: Path, raw: Any, _now: Mapping[str, Any]) -> Any:
    return _decimal(check, path, raw, most=1)


def _tolerance(check: Check, path: Path, raw: Any, _now: Mapping[str, Any]) -> Any:
    return _decimal(check, path, raw, most=WIDEST_TOLERANCE)


def _marks(check: Check, path: Path, raw: Any, _now: Mapping[str, Any]) -> Any:
    return _decimal(check, path, raw)


def _whole(least: int, most: int) -> Callable[[Check, Path, Any, Mapping[str, Any]], Any]:
    def read(check: Check, path: Path, value: Any, _now: Mapping[str, Any]) -> Any:
        if not least <= value <= most:
            check.invalid(path, f"应为{least}至{most}。", f"Must be {least} to {most}.")
        return value

    return read


def _word(_check: Check, _path: Path, value: Any, _now: Mapping[str, Any]) -> Any:
    return value


def _tie_breakers(check: Check, path: Path, codes: Any, _now: Mapping[str, Any]) -> Any:
    if not check.at_most(path, codes, MOST_TIE_BREAKERS):
        return []
    seen: list[str] = []
    for place, raw in enumerate(codes):
        code = check.code((*path, str(place)), raw)
        if code in seen:
            check.duplicate((*path, str(place)), f"指标“{code}”重复。", f'The indicator "{code}" occurs twice.')
        elif code is not None:
            seen.append(code)
    return seen


def _late_penalty(check: Check, path: Path, given: Any, _now: Mapping[str, Any]) -> Any:
    cap = given.get("cap")
    return {
        "pointsPerDay": _decimal(check, (*path, "pointsPerDay"), given["pointsPerDay"]),
        "cap": None if cap is None else _decimal(check, (*path, "cap"), cap),
    }


def _review_levels(check: Check, path: Path, given: Any, _now: Mapping[str, Any]) -> Any:
    return read_review_levels(check, path, given)


def _grades(check: Check, path: Path, given: Any, _now: Mapping[str, Any]) -> Any:
    """Grades, best first, all settings written out. What they refer to is judged when the draft is checked."""
    check.at_most(path, given, MOST_GRADES)
    found: list[dict[str, Any]] = []
    for place, grade in enumerate(given):
        here = (*path, str(place))
        table = grade.get("placesByCount") or []
        conditions = grade.get("conditions") or []
        check.at_most((*here, "placesByCount"), table, MOST_PLACE_ROWS)
        check.at_most((*here, "conditions"), conditions, MOST_CONDITIONS)
        if any(grade["code"] == other["code"] for other in found):
            check.duplicate(
                (*here, "code"), f"等次“{grade['code']}”重复。", f'The grade "{grade["code"]}" occurs twice.'
            )
        minimum = grade.get("minimumPlaces") or 0
        if minimum < 0:
            check.invalid((*here, "minimumPlaces"), "不能小于0。", "Must not be below 0.")
        found.append(
            {
                "code": grade["code"],
                "name": grade["name"],
                "threshold": grade.get("threshold") or "0",
                "share": grade.get("share"),
                "placesByCount": [{"unitsFrom": row["unitsFrom"], "places": row["places"]} for row in table],
                "minimumPlaces": minimum,
                "rounding": grade.get("rounding") or "FLOOR",
                "scope": grade.get("scope") or "CATEGORY",
                "baseIncludesVetoed": grade.get("baseIncludesVetoed", True),
                "conditions": [
                    {name: each.get(name) for name in ("kind", "indicator", "dataItem", "minimumShare", "gradeCode")}
                    for each in conditions
                ],
            }
        )
    return found


def _disclosures(check: Check, path: Path, given: Any, now: Mapping[str, Any]) -> Any:
    """Kinds that are not named stay as they are."""
    by_kind = {each["kind"]: each for each in now["disclosures"]}
    seen = set()
    for place, each in enumerate(given):
        here = (*path, str(place))
        kind = each["kind"]
        if kind in seen:
            check.duplicate((*here, "kind"), "同一类发布只能设置一次。", "Each kind of publication is named once.")
        seen.add(kind)
        best, best_count = any(each.get(what) == "BEST" for what in DISCLOSED), each.get("bestCount")
        if best and best_count is None:
            check.invalid(
                (*here, "bestCount"),
                "只公布前若干名的，须写明名数。",
                "BEST needs the number of units that are shown.",
                hint=Text(zh="例如10。", en="Such as 10."),
            )
        elif not best and best_count is not None:
            check.invalid((*here, "bestCount"), "没有按前若干名公布的内容。", "Nothing is shown of the best alone.")
        elif best_count is not None and not 1 <= best_count <= MOST_BEST:
            check.invalid((*here, "bestCount"), f"应为1至{MOST_BEST}。", f"Must be 1 to {MOST_BEST}.")
        shown = {what: each.get(what) or default_level(kind, what) for what in DISCLOSED}
        if kind == "INTERIM":
            shown["grades"] = "NONE"
        by_kind[kind] = {"kind": kind, **shown, "bestCount": best_count}
    return [by_kind[kind] for kind in PUBLICATION_KINDS]


_READERS: Final[Mapping[str, Callable[[Check, Path, Any, Mapping[str, Any]], Any]]] = {
    "missingPolicy": _word,
    "notApplicablePolicy": _word,
    "coverageThreshold": _coverage,
    "roundingPlaces": _whole(0, MOST_PLACES),
    "rankOn": _word,
    "tiePolicy": _word,
    "tieBreakers": _tie_breakers,
    "crossCategoryRanks": _word,
    "capAtFullMarks": _word,
    "bonusCap": _marks,
    "deductionCap": _marks,
    "grades": _grades,
    "bodyDecides": _word,
    "latePenalty": _late_penalty,
    "reviewLevels": _review_levels,
    "disclosures": _disclosures,
    "objectionWorkingDays": _whole(1, LONGEST_WINDOW),
    "skipNotice": _word,
    "robustnessTolerance": _tolerance,
}
