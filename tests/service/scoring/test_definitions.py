"""Every rule of the table at its edges, in marks reckoned by hand: engine and reference must both give them.

The random comparison can't show a definition that engine and reference misread alike; these numbers come from the
definitions alone.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from tests.service.scoring.agreement import compared
from tests.service.scoring.build import LINEAR, X_OVER_Y, X, document, leaf, scheme_of
from tests.service.scoring.reference import Answer, Reference, Unit

Y = {"numerator": {"terms": [{"dataItem": "y"}]}}
STATES = ("MISSING", "REJECTED", "NOT_APPLICABLE", "CARRIED")
Plain = Mapping[str, Any]


def unit_of(place: int, plain: Plain) -> Unit:
    """A unit: item → value or name of a state; `award`, `groups`, `previous`, `late`, `events`, `category` beside."""
    unit = Unit(f"u{place}", plain.get("category", "c"))
    for key, value in plain.items():
        if key in ("x", "y", "ok", "ok2", "votes", "pick", "marks"):
            unit.values[key] = (value, None) if value in STATES else ("GIVEN", _exact(key, value))
    unit.awards = {"L0": ("GIVEN", Fraction(plain["award"]))} if "award" in plain else {}
    unit.group_awards = {("L0", name): [Fraction(a) for a in own] for name, own in plain.get("groups", {}).items()}
    unit.previous = {key: Fraction(value) for key, value in plain.get("previous", {}).items()}
    unit.late_days = plain.get("late", 0)
    unit.events = [
        {"key": f"e{place}-{number}", "state": "CONFIRMED", **event}
        for number, event in enumerate(plain.get("events", ()))
    ]
    return unit


def _exact(key: str, value: Any) -> Any:
    if key == "marks":
        return [Fraction(score) for score in value]
    return value if key in ("ok", "ok2", "votes", "pick") else Fraction(value)


def answers_of(what: Mapping[str, Any], plains: Sequence[Plain]) -> list[Answer]:
    """What engine and reference both say of the units."""
    units = [unit_of(place, plain) for place, plain in enumerate(plains)]
    answers = Reference(what, units).answers()
    assert compared(scheme_of(what), units, answers) == []
    return [answers[unit.key] for unit in units]


def marks(rule: Mapping[str, Any], plains: Sequence[Plain], full: str = "10") -> list[str | None]:
    """Marks of one leaf of F = 10; None where it does not apply."""
    found = answers_of(document(leaf({"full": full, **rule})), plains)
    scores = [answer.nodes["L0"] for answer in found]
    return [None if score is None else str(score * Fraction(full) / 100) for score in scores]


def xs(*values: str) -> list[dict[str, Any]]:
    return [{"x": value} for value in values]


def xys(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"x": x, "y": y} for x, y in pairs]


def olds(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"x": x, "previous": {"x": b}} for x, b in pairs]


def votes(*counts: tuple[int, int, int]) -> list[dict[str, Any]]:
    return [{"votes": {"a": a, "b": b, "d": d}} for a, b, d in counts]


COMPLETION = {"kind": "COMPLETION", "actual": X, "target": Y}
DONE = {"kind": "CHECKLIST", "done": X, "asked": Y}
POINTS = [{"dataItem": "ok", "marks": "7"}, {"dataItem": "ok2", "marks": "3"}]
OKS = [{"ok": a, "ok2": b} for a in (True, False) for b in (True, False)]
CURVE = [{"x": "0.6", "marks": "0"}, {"x": "0.85", "marks": "6"}, {"x": "0.98", "marks": "10"}]
FALL = [{"x": "0", "marks": "10"}, {"x": "4", "marks": "2"}]
LOW = {"value": "18", "pointsPerStep": "0.5"}
HIGH = {"value": "26", "pointsPerStep": "1", "step": "2"}
PLUS = {"pointsPerStep": "0.5", "step": "2", "cap": "1"}
TABLE = [{"rank": 1, "marks": "10"}, {"rank": 2, "marks": "8"}, {"rank": 3, "marks": "6"}]
LAST = [{"rank": 1, "marks": "0"}, {"rank": 2, "marks": "3"}]
GROUPS = [{"name": "领导", "weight": "2", "method": "MEAN"}, {"name": "同级", "weight": "3", "method": "TRIMMED_MEAN"}]
BALLOT = [{"option": "a", "marks": "10"}, {"option": "b", "marks": "6"}]
VOTE = {"kind": "GRADE_MEAN", "groups": [{"name": "群众", "dataItem": "votes", "values": BALLOT}], "minBallots": 8}
TRIM = {"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 1, "dropFrom": 5, "minimumCount": 3}
BEST = {"kind": "BEST_RATIO", "quantity": X}
RANK = {"kind": "RANK_POINTS", "quantity": X}
MORE = {"kind": "IMPROVEMENT", "quantity": X, "fullAt": "0.5"}


def line(**more: Any) -> dict[str, Any]:
    return {"kind": "DEDUCT", "lines": [{"pointsEach": "0.5", **more}]}


def wiped(**more: Any) -> dict[str, Any]:
    return {"kind": "DEDUCT", "lines": [{"quantity": X, "pointsEach": "1"}, {"quantity": Y, "wipeOut": True}], **more}


TWO = {
    "kind": "DEDUCT",
    "lines": [{"quantity": X, "pointsEach": "0.5", "cap": "2"}, {"required": Y, "done": X, "pointsEach": "3"}],
}


RULES: list[tuple[str, dict[str, Any], list[dict[str, Any]], list[str | None]]] = [
    ("award: as awarded", {"kind": "AWARD", "step": "0.5"}, [{"award": "7.5"}, {"award": "0"}, {}], ["15/2", "0", "0"]),
    (
        "award: mean (8, 10) = 9 by 2, trimmed (1, 7, 8, 10) = 7.5 by 3; two are not trimmed; only who awarded weighs",
        {"kind": "AWARD", "step": "1", "groups": GROUPS},
        [
            {"groups": {"领导": ["8", "10"], "同级": ["1", "8", "10", "7"]}},
            {"groups": {"领导": ["8"], "同级": ["1", "8"]}},
            {"groups": {"同级": ["2", "9", "7"]}},
            {},
        ],
        ["81/10", "59/10", "7", "0"],
    ),
    ("completion: 10 × 46 ÷ 48, nothing above 1", COMPLETION, xys(("46", "48"), ("60", "48")), ["115/12", "10"]),
    ("completion: cap 1.2", {**COMPLETION, "cap": "1.2"}, xys(("60", "48"), ("54", "48")), ["12", "45/4"]),
    (
        "completion: nothing below the share, in proportion from it on",
        {**COMPLETION, "allOrNothingBelow": "0.8"},
        xys(("79.9999", "100"), ("80", "100"), ("120", "100")),
        ["0", "8", "10"],
    ),
    (
        "completion: a target of 0 does not apply, whatever was done; a negative target or actual earns 0",
        COMPLETION,
        xys(("0", "0"), ("5", "0"), ("-5", "0"), ("5", "-5"), ("-5", "-5"), ("-5", "5")),
        [None, None, None, "0", "0", "0"],
    ),
    (
        "completion: a target of 0 earns full marks, a negative one still 0",
        {**COMPLETION, "targetZero": "FULL", "cap": "1.2", "allOrNothingBelow": "0.5"},
        xys(("0", "0"), ("5", "0"), ("-5", "-5")),
        ["10", "10", "0"],
    ),
    (
        "linear: rising, clamped at both ends",
        {"kind": "LINEAR", "quantity": X, "zeroAt": "60", "fullAt": "95"},
        xs("60", "74", "95", "59", "200"),
        ["0", "4", "10", "0", "10"],
    ),
    (
        "linear: lower is better",
        {"kind": "LINEAR", "quantity": X, "zeroAt": "3", "fullAt": "-1"},
        xs("3", "0", "-1", "9", "-7"),
        ["0", "15/2", "10", "0", "10"],
    ),
    (
        "linear: not clamped",
        {"kind": "LINEAR", "quantity": X, "zeroAt": "3", "fullAt": "-1", "clamp": False},
        xs("5", "-3"),
        ["-5", "15"],
    ),
    (
        "bands: a bound is reached exactly or not at all",
        {
            "kind": "BANDS",
            "quantity": X_OVER_Y,
            "bands": [{"from": "0.9", "marks": "10"}, {"from": "-1", "marks": "4"}, {"from": None, "marks": "0"}],
        },
        xys(("9", "10"), ("8999.9999", "10000"), ("-10", "10"), ("-10.0001", "10"), ("-9", "-10"), ("1", "0")),
        ["10", "4", "4", "0", "10", None],
    ),
    (
        "piecewise: flat outside, linear between",
        {"kind": "PIECEWISE", "quantity": X, "points": CURVE},
        xs("0.1", "0.6", "0.725", "0.85", "0.915", "0.98", "5"),
        ["0", "0", "3", "6", "8", "10", "10"],
    ),
    ("piecewise: falling", {"kind": "PIECEWISE", "quantity": X, "points": FALL}, xs("-1", "1", "9"), ["10", "8", "2"]),
    ("yes or no", {"kind": "YES_NO", "dataItem": "ok"}, [{"ok": True}, {"ok": False}], ["10", "0"]),
    ("yes or no: no is asked", {"kind": "YES_NO", "dataItem": "ok", "fullWhen": False}, OKS[1:3], ["0", "10"]),
    ("checklist: own marks", {"kind": "CHECKLIST", "points": POINTS}, OKS, ["10", "7", "3", "0"]),
    (
        "checklist: all alike",
        {"kind": "CHECKLIST", "points": [{"dataItem": "ok"}, {"dataItem": "ok2"}]},
        OKS,
        ["10", "5", "5", "0"],
    ),
    (
        "checklist: all or nothing",
        {"kind": "CHECKLIST", "points": POINTS, "allOrNothing": True},
        OKS,
        ["10", "0", "0", "0"],
    ),
    (
        "checklist: numbers; nothing asked does not apply",
        DONE,
        xys(("3", "5"), ("7", "5"), ("-1", "5"), ("0", "0"), ("3", "-5")),
        ["6", "10", "0", None, "0"],
    ),
    (
        "checklist: numbers, all or nothing",
        {**DONE, "allOrNothing": True},
        xys(("4.9999", "5"), ("5", "5"), ("6", "5")),
        ["0", "10", "10"],
    ),
    (
        "choice",
        {
            "kind": "CHOICE",
            "dataItem": "pick",
            "options": [{"option": "b", "marks": "2.5"}, {"option": "a", "marks": "10"}],
        },
        [{"pick": "a"}, {"pick": "b"}],
        ["10", "5/2"],
    ),
    ("deduct: to 0, gives nothing back", line(quantity=X), xs("3", "20", "21", "-4"), ["17/2", "0", "0", "10"]),
    ("deduct: part units exact", line(quantity=X, perUnits="2"), xs("3", "4", "0.5"), ["37/4", "9", "79/8"]),
    (
        "deduct: a part counts once started, and 0 is no start",
        line(quantity=X, perUnits="2", partUnits="STARTED"),
        xs("0", "0.0001", "2", "2.0001", "-3"),
        ["10", "19/2", "19/2", "9", "10"],
    ),
    (
        "deduct: a part counts when completed",
        line(quantity=X, perUnits="0.5", partUnits="COMPLETED"),
        xs("0.4999", "0.5", "0.9999", "-0.5"),
        ["10", "19/2", "19/2", "10"],
    ),
    (
        "deduct: each line has its cap, then both are added",
        TWO,
        xys(("3", "4"), ("9", "4"), ("1", "9")),
        ["11/2", "8", "0"],
    ),
    ("deduct: a floor above 0", {**line(quantity=X), "floor": "2"}, xs("15", "16", "99"), ["5/2", "2", "2"]),
    ("deduct: below 0 on purpose", {**line(quantity=X), "floor": "-3"}, xs("22", "99"), ["-1", "-3"]),
    ("deduct: a wipe-out gives 0", wiped(), xys(("2", "0"), ("2", "1"), ("0", "-1")), ["8", "0", "10"]),
    (
        "deduct: a wipe-out gives 0, above or below any floor",
        wiped(floor="-3"),
        xys(("12", "0"), ("12", "2")),
        ["-2", "0"],
    ),
    (
        "deduct: confirmed events under the leaf itself",
        {"kind": "DEDUCT", "lines": [{"pointsEach": "1.5", "cap": "4"}]},
        [
            {"events": [{"indicator": "L0"}, {"indicator": "L0", "state": "PROPOSED"}]},
            {"events": [{"indicator": "L0"}] * 3},
            {},
        ],
        ["17/2", "6", "10"],
    ),
    (
        "deduct: a denominator of 0 does not apply",
        {"kind": "DEDUCT", "lines": [{"quantity": X_OVER_Y, "pointsEach": "1"}]},
        xys(("4", "2"), ("4", "0")),
        ["8", None],
    ),
    (
        "neutral: inside, at the ends, outside at either rate",
        {"kind": "NEUTRAL", "quantity": X, "low": LOW, "high": HIGH},
        xs("18", "26", "20", "17", "17.5", "27", "30", "-100", "100"),
        ["10", "10", "10", "19/2", "39/4", "19/2", "8", "0", "0"],
    ),
    (
        "neutral: a part step once started",
        {"kind": "NEUTRAL", "quantity": X, "low": {**LOW, "partSteps": "STARTED"}},
        xs("17.9999", "17", "16.5", "99"),
        ["19/2", "19/2", "9", "10"],
    ),
    (
        "neutral: a part step when completed",
        {"kind": "NEUTRAL", "quantity": X, "high": {**HIGH, "partSteps": "COMPLETED"}},
        xs("27.9999", "28", "31", "-99"),
        ["10", "9", "8", "10"],
    ),
    (
        "neutral: more above the upper end, up to the cap over F",
        {"kind": "NEUTRAL", "quantity": X, "low": LOW, "high": {"value": "26", "pointsPerStep": "0"}, "plus": PLUS},
        xs("26", "27", "30", "99", "16"),
        ["10", "41/4", "11", "11", "9"],
    ),
    (
        "neutral: an assigned end, a floor below 0",
        {"kind": "NEUTRAL", "quantity": X, "low": {"assigned": "y", "pointsPerStep": "2"}, "floor": "-1"},
        xys(("5", "5"), ("4", "5"), ("0", "9")),
        ["10", "8", "-1"],
    ),
    (
        "improvement: by half earns all; worse or equal nothing; a base below 0 by its size",
        MORE,
        olds(("12", "10"), ("15", "10"), ("20", "10"), ("10", "10"), ("8", "10"), ("-5", "-10"), ("-8", "-10")),
        ["4", "10", "10", "0", "0", "10", "4"],
    ),
    (
        "improvement: lower is better",
        {**MORE, "direction": "LOWER"},
        olds(("8", "10"), ("12", "10"), ("-12", "-10"), ("0", "10")),
        ["4", "0", "4", "10"],
    ),
    (
        "improvement: a base of 0 or none does not apply",
        MORE,
        [*olds(("5", "0"), ("12", "10")), {"x": "5"}],
        [None, "4", None],
    ),
    (
        "best ratio: missing ones stand outside, a negative one earns 0",
        BEST,
        [*xs("5", "8", "2", "-1"), {}, {"x": "NOT_APPLICABLE"}, {"x": "REJECTED"}],
        ["25/4", "10", "5/2", "0", "0", None, "0"],
    ),
    ("best ratio: nobody above 0", BEST, xs("0", "-2"), ["0", "0"]),
    ("best ratio: lower is better", {**BEST, "direction": "LOWER"}, xs("2", "8", "2"), ["10", "5/2", "10"]),
    ("best ratio: lower, least 0", {**BEST, "direction": "LOWER"}, xs("0", "8", "0"), ["10", "0", "10"]),
    (
        "efficacy: the worst keeps 0.6",
        {"kind": "EFFICACY", "quantity": X, "base": "0.6"},
        [*xs("1", "2", "5"), {}],
        ["6", "7", "10", "0"],
    ),
    (
        "efficacy: lower is better",
        {"kind": "EFFICACY", "quantity": X, "base": "0.6", "direction": "LOWER"},
        xs("1", "2", "5"),
        ["10", "9", "6"],
    ),
    ("min-max", {"kind": "MINMAX", "quantity": X}, [*xs("-1", "0", "3"), {"x": "MISSING"}], ["0", "5/2", "10", "0"]),
    ("min-max: no spread", {"kind": "MINMAX", "quantity": X}, [*xs("0", "0"), {}], ["10", "10", "0"]),
    ("min-max: alone", {"kind": "MINMAX", "quantity": X}, xs("-7"), ["10"]),
    (
        "rank points: a table, equals take the best rank's, the rest the floor",
        {**RANK, "table": TABLE, "floor": "1"},
        [*xs("5", "9", "9", "4", "3"), {}],
        ["6", "10", "10", "1", "1", "0"],
    ),
    (
        "rank points: equals share the mean of their ranks",
        {**RANK, "table": TABLE, "floor": "1", "ties": "MEAN"},
        xs("9", "9", "5", "5", "5"),
        ["9", "9", "8/3", "8/3", "8/3"],
    ),
    (
        "rank points: from the last place, the others full marks",
        {**RANK, "table": LAST, "countFrom": "LAST"},
        [*xs("9", "5", "1"), {}],
        ["10", "3", "0", "0"],
    ),
    (
        "rank points: equals at the last places, the best rank's or the mean",
        {**RANK, "table": LAST, "countFrom": "LAST"},
        xs("9", "5", "1", "1"),
        ["10", "10", "3", "3"],
    ),
    (
        "rank points: equals at the last places, the mean",
        {**RANK, "table": LAST, "countFrom": "LAST", "ties": "MEAN"},
        xs("9", "1", "1", "1"),
        ["10", "13/3", "13/3", "13/3"],
    ),
    (
        "rank points: less per rank, lower is better, never below the floor",
        {**RANK, "step": "4", "floor": "1", "direction": "LOWER"},
        xs("7", "2", "2", "5"),
        ["1", "10", "10", "2"],
    ),
    (
        "percentile: strictly lower over all others",
        {"kind": "PERCENTILE", "quantity": X},
        [*xs("5", "3", "3", "1"), {}],
        ["10", "10/3", "10/3", "0", "0"],
    ),
    ("percentile: alone", {"kind": "PERCENTILE", "quantity": X}, [*xs("0"), {}, {"x": "REJECTED"}], ["10", "0", "0"]),
    ("percentile: all equal", {"kind": "PERCENTILE", "quantity": X}, xs("2", "2"), ["0", "0"]),
    (
        "percentile: lower is better",
        {"kind": "PERCENTILE", "quantity": X, "direction": "LOWER"},
        xs("5", "3", "1"),
        ["0", "5", "10"],
    ),
    (
        "ballots: don't knows neither divide nor help to reach the least number",
        VOTE,
        votes((6, 2, 50), (0, 8, 0), (6, 1, 50)),
        ["9", "6", None],
    ),
    (
        "scores: trimmed from five on, not under three",
        TRIM,
        [{"marks": own} for own in (["1", "9", "8", "7", "10"], ["1", "9", "8", "7"], ["1", "9"])],
        ["8", "25/4", None],
    ),
]


@pytest.mark.parametrize(("rule", "plains", "wanted"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_a_rule_by_hand(rule: dict[str, Any], plains: list[dict[str, Any]], wanted: list[str | None]) -> None:
    assert marks(rule, plains) == wanted


def totals(what: Mapping[str, Any], plains: Sequence[Plain]) -> list[str | None]:
    return [None if answer.exact is None else str(answer.exact) for answer in answers_of(what, plains)]


LEVELS = [
    {"code": "省", "name": "省级", "points": "2", "cap": "3"},
    {"code": "区", "name": "区级", "points": "0.5", "maxPoints": "1"},
]


def bonus(**more: Any) -> dict[str, Any]:
    return {"name": "表彰", "rule": {"kind": "BONUS", "levels": LEVELS, "pot": "加分", **more}}


def minus(**more: Any) -> dict[str, Any]:
    return {"name": "通报", "rule": {"kind": "DEDUCTION", "levels": LEVELS, "pot": "减分", **more}}


def scheme(*outside: dict[str, Any], **settings: Any) -> dict[str, Any]:
    what = document(leaf(LINEAR), *outside, **settings)
    for node in what["indicators"][2:]:
        node.pop("weight", None)
    return what


def on(leaf_: str, level: str, matter: str = "", **more: Any) -> dict[str, Any]:
    return {"indicator": leaf_, "level": level, "matter": matter, **more}


def test_a_pot_takes_confirmed_ones_then_the_highest_per_matter_then_caps() -> None:
    three = [on("L1", "省", f"m{i}") for i in range(3)]
    small = [on("L1", "区", f"n{i}", amount="9") for i in range(4)]
    units: list[Plain] = [
        {"x": "50", "events": three},  # 6, of a level capped at 3
        {"x": "50", "events": [*three, *small]},  # 3 + 4 × 1
        {"x": "50", "events": [on("L1", "省", "m"), on("L1", "区", "m")]},  # of one matter the highest: 2
        {"x": "50", "events": [on("L1", "省", "m", state="REJECTED"), on("L1", "区", "m")]},  # then the lower: 0.5
        {"x": "50", "events": [on("L1", "省", "m", state="PROPOSED"), on("L1", "区", "m")]},
    ]
    assert totals(scheme(bonus()), units) == ["53", "57", "52", "101/2", "101/2"]
    assert totals(scheme(bonus(potCap="4.5")), units)[:2] == ["53", "109/2"]
    assert totals(scheme(bonus(potCap="4.5"), bonusCap="2.5"), units)[:2] == ["105/2", "105/2"]
    assert totals(scheme(bonus(highestPerMatter=False)), units)[2:3] == ["105/2"]
    assert totals(scheme(minus(potCap="4.5"), deductionCap="4"), units)[:3] == ["47", "46", "48"]


def test_a_matter_that_a_level_cap_cuts_still_hides_the_lower_one() -> None:
    events = [on("L1", "省", "a"), on("L1", "省", "b"), on("L1", "区", "b")]
    assert totals(scheme(bonus()), [{"x": "50", "events": events}]) == ["53"]


def test_the_late_penalty_comes_before_the_clamp() -> None:
    late = {"pointsPerDay": "0.5", "cap": "3"}
    plus = [on("L1", "省", "a"), on("L1", "省", "b"), on("L1", "区", "c", amount="1")]
    unit = {"x": "99", "late": 9, "events": plus}  # 99 + 4 - 3 = 100
    assert totals(scheme(bonus(), latePenalty=late), [unit]) == ["100"]
    assert totals(scheme(bonus(), latePenalty=late, capAtFullMarks=True), [unit]) == ["100"]
    two = {**unit, "late": 2}  # 99 + 4 - 1 = 102
    assert totals(scheme(bonus(potCap="1"), latePenalty=late), [two, {**two, "x": "100"}]) == ["99", "100"]
    assert totals(scheme(bonus(), latePenalty=late, capAtFullMarks=True), [two]) == ["100"]
    assert totals(scheme(bonus(), latePenalty=late), [two]) == ["102"]
    assert totals(scheme(minus(), latePenalty=late), [{"x": "3", "late": 9, "events": [on("L1", "区", "m")]}]) == ["0"]


def test_the_top_is_full_marks_and_the_most_that_bonus_can_add() -> None:
    over = {"kind": "COMPLETION", "actual": X, "target": Y, "cap": "1.5"}
    unit = {"x": "130", "y": "100", "events": []}

    def top(*outside: dict[str, Any], **settings: Any) -> list[str | None]:
        what = document(leaf(over), *outside, **settings)
        for node in what["indicators"][2:]:
            node.pop("weight", None)
        return totals(what, [unit])

    assert top() == ["100"]
    assert top(bonus(potCap="5")) == ["105"]
    assert top(bonus(potCap="5"), bonus(pot="另", potCap="4")) == ["109"]
    assert top(bonus(potCap="5"), bonusCap="2") == ["102"]
    assert top(bonus()) == ["130"]
    assert top(bonus(), capAtFullMarks=True) == ["100"]


def test_a_missing_value_left_out_shares_its_weight_and_never_earns_full_marks() -> None:
    two = [leaf(LINEAR, weight="3"), leaf({**LINEAR, "quantity": Y}, weight="1")]
    units: list[Plain] = [{"x": "80"}, {"x": "80", "y": "NOT_APPLICABLE"}, {"x": "80", "y": "REJECTED"}]
    for policy, wanted in (
        ("FULL", ["80", "85", "60"]),
        ("PARENT", ["80", "80", "60"]),
        ("GLOBAL", ["80", "80", "60"]),
    ):
        assert totals(document(*two, missingPolicy="EXCLUDE", notApplicablePolicy=policy), units) == wanted


def test_coverage_by_weight_down_the_tree_of_the_own_category() -> None:
    what = document(categories=["c", "v"], coverageThreshold="0.625")
    what["indicators"] += [
        {"code": "A", "name": "甲", "parentCode": "R", "weight": "3"},
        {"code": "L0", "name": "一", "parentCode": "A", "weight": "1", "rule": LINEAR},
        {"code": "L1", "name": "二", "parentCode": "A", "weight": "1", "rule": {**LINEAR, "quantity": Y}},
        {"code": "B", "name": "乙", "parentCode": "R", "weight": "1", "categories": ["v"]},
        {"code": "L2", "name": "三", "parentCode": "B", "weight": "1", "rule": {"kind": "YES_NO", "dataItem": "ok"}},
    ]
    units: list[Plain] = [
        {"category": "c", "x": "1"},
        {"category": "v", "x": "1"},
        {"category": "v", "x": "1", "ok": True},
        {"category": "v", "x": "1", "ok": True, "y": "NOT_APPLICABLE"},
        {"category": "v", "x": "1", "ok": True, "y": "REJECTED"},
        {"category": "v", "x": "1", "ok": True, "y": "1"},
    ]
    found = answers_of(what, units)
    assert [str(answer.coverage) for answer in found] == ["1/2", "3/8", "5/8", "5/8", "5/8", "1"]
    assert [answer.status for answer in found] == ["LOW_COVERAGE"] * 2 + ["RANKED"] * 4


def test_one_grade_down_has_nowhere_to_go_from_the_last_grade() -> None:
    down = {
        "name": "否决",
        "rule": {
            "kind": "VETO",
            "effect": "ONE_GRADE_DOWN",
            "grounds": [{"code": "g", "name": "弄虚作假", "basis": "办法"}],
        },
    }
    units: list[Plain] = [{"x": str(90 - place), "events": [on("L1", "g")] if place < 1 else []} for place in range(4)]
    only = [{"code": "A", "name": "合格"}]
    assert [answer.grade for answer in answers_of(scheme(down, grades=only), units)] == ["A"] * 4
    two = [{"code": "A", "name": "优秀", "share": "0.25"}, {"code": "B", "name": "良好", "share": "0.25"}]
    three = [*two, {"code": "C", "name": "合格"}]
    # It leaves A and takes the first place of B.
    assert [answer.grade for answer in answers_of(scheme(down, grades=three), units)] == ["B", "A", "C", "C"]
    assert [answer.grade for answer in answers_of(scheme(down, grades=two), units)] == ["B", "A", None, None]


def test_a_strict_group_without_places_gets_none_and_nobody_below_either() -> None:
    grades = [{"code": "A", "name": "优秀", "share": "0.4"}, {"code": "B", "name": "合格"}]
    units = xs("90", "80", "80", "70", "60")
    for policy, wanted in (("STRICT", "ABBBB"), ("INCLUSIVE", "AAABB"), ("DECISION", "ABBBB")):
        found = answers_of(scheme(grades=grades, tiePolicy=policy), units)
        assert "".join(answer.grade or "-" for answer in found) == wanted
