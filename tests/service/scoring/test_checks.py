"""Checking a scheme: every fault at once, each with its path, its numbers and both languages."""

import json
from fractions import Fraction
from typing import Any

import pytest

from service.scoring import RULES, dump_scheme, parse_rule, parse_scheme, point_sums, scheme_document
from service.scoring.rules.base import ScoredRule
from tests.service.scoring.build import ITEMS, LINEAR, X, document, faults_of, leaf, paths_of, scheme_of


def points(*leaves: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return document(*leaves, weighting="POINTS", **settings)


def test_points_that_do_not_add_up_say_by_how_much() -> None:
    what = points(leaf(LINEAR, points="40"), leaf(LINEAR, points="58"))
    (fault,) = faults_of(what)
    assert fault.path == ("R", "points")
    assert fault.text.zh == "总分：下级分值合计98分，本级100分，相差2分"
    assert fault.text.en == "总分: children's points add up to 98, the parent has 100, 2 apart"
    assert fault.hint is not None
    assert (fault.indicator, fault.category, fault.severity) == ("R", None, "FAULT")
    (row,) = point_sums(what)
    assert (row.indicator, row.category, row.balanced) == ("R", "c", False)
    assert row.expected - row.actual == 2


def test_points_are_checked_for_each_category() -> None:
    what = points(
        leaf(LINEAR, points="60"),
        leaf(LINEAR, points="40", categories=["c"]),
        leaf(LINEAR, points="30", categories=["v"]),
        categories=["c", "v"],
    )
    (fault,) = faults_of(what)
    assert fault.category == "v"
    assert fault.text.zh == "总分（村）：下级分值合计90分，本级100分，相差10分"
    assert [(row.category, row.balanced) for row in point_sums(what)] == [("c", True), ("v", False)]


def test_many_faults_come_at_once() -> None:
    what = points(
        leaf({"kind": "SUM"}, points="x"),
        leaf({"kind": "LINEAR", "quantity": X, "zeroAt": "1", "fullAt": "1"}, points="40"),
        leaf({"kind": "BANDS", "quantity": X, "bands": [{"from": None, "marks": "50"}]}, points="20", categories=["z"]),
        leaf(LINEAR, points="20", parentCode="nobody"),
        leaf(LINEAR, points="20", code="L1"),
        notApplicablePolicy=None,
        roundingPlaces=13,
        coverageThreshold="1.5",
        tiePolicy="TIE_BREAK",
        colour="red",
    )
    assert paths_of(what) == [
        "settings/notApplicablePolicy",
        "settings/tieBreakers",
        "settings/coverageThreshold",
        "settings/roundingPlaces",
        "settings/colour",
        "R/L0/points",
        "R/L0/rule/kind",
        "R/L1/rule/fullAt",
        "L3/parentCode",
        "indicators/5/code",
        "R/L2/categories/0",
    ]
    unknown = next(fault for fault in faults_of(what) if fault.path[-1] == "kind")
    assert unknown.hint is not None
    assert "LINEAR" in unknown.hint.zh
    repeated = next(fault for fault in faults_of(what) if fault.path == ("indicators", "5", "code"))
    assert repeated.code == "DUPLICATE"


def test_the_shape_of_the_tree() -> None:
    deep = document()
    for level in range(1, 7):
        deep["indicators"].append(
            {"code": f"D{level}", "parentCode": f"D{level - 1}" if level > 1 else "R", "weight": "1"}
        )
    deep["indicators"][-1]["rule"] = LINEAR
    assert paths_of(deep) == ["R/D1/D2/D3/D4/D5/D6"]
    assert paths_of(document(leaf(LINEAR), {"name": "空"})) == ["R/L1/rule"]
    both = document(leaf(LINEAR), leaf(LINEAR, parentCode="L0"))
    assert paths_of(both) == ["R/L0/rule"]
    assert paths_of({**document(), "indicators": []}) == ["indicators"]
    circle = document(leaf(LINEAR))
    circle["indicators"] += [
        {"code": "A", "parentCode": "B", "weight": "1"},
        {"code": "B", "parentCode": "A", "weight": "1"},
    ]
    assert paths_of(circle) == ["A/parentCode", "B/parentCode"]
    two = document(leaf(LINEAR))
    two["indicators"].append({"code": "S", "name": "第二个根"})
    assert paths_of(two) == ["S/parentCode"]
    narrow = document(leaf(LINEAR), categories=["c", "v"])
    narrow["indicators"][0]["categories"] = ["c"]
    assert paths_of(narrow) == ["R/categories"]
    late = document(leaf(LINEAR, parentCode="Z"))
    late["indicators"].append({"code": "Z", "parentCode": "R", "weight": "1"})
    assert "L0/parentCode" in paths_of(late)


def test_weights_must_leave_something_for_every_category() -> None:
    assert paths_of(document(leaf(LINEAR, weight="0"))) == ["R"]
    what = document(leaf(LINEAR, categories=["c"]), categories=["c", "v"])
    (fault,) = faults_of(what)
    assert (fault.path, fault.category) == (("R",), "v")
    assert paths_of(document(leaf(LINEAR, weight=None))) == ["R/L0/weight", "R"]
    assert paths_of(document(leaf(LINEAR, weight="-1"))) == ["R/L0/weight", "R"]


def test_means_that_can_not_be_taken() -> None:
    free = {**LINEAR, "clamp": False}
    what = document(leaf(free))
    what["indicators"][0]["aggregation"] = "GEOMETRIC"
    assert paths_of(what) == ["R/aggregation"]
    whole = document(leaf(LINEAR), notApplicablePolicy="GLOBAL")
    whole["indicators"][0]["aggregation"] = "HARMONIC"
    assert paths_of(whole) == ["R/aggregation"]


def test_relative_schemes_need_not_choose_and_points_must() -> None:
    assert parse_scheme(document(leaf(LINEAR), notApplicablePolicy=None))[0] is not None
    assert paths_of(points(leaf(LINEAR, points="100"), notApplicablePolicy=None)) == ["settings/notApplicablePolicy"]


@pytest.mark.parametrize(
    "bad",
    [
        "NaN",
        "Infinity",
        "-inf",
        "1e5",
        "１２",
        "1,000",
        "+1",
        " 1",
        "1.",
        ".5",
        "",
        "0x10",
        "1_000",
        "9" * 39,
        1.5,
        True,
        [],
        "٣",
    ],
)
def test_numbers_are_plain_decimals(bad: Any) -> None:
    assert paths_of(document(leaf({**LINEAR, "fullAt": bad}))) == ["R/L0/rule/fullAt"]


def test_thirty_eight_digits_are_read() -> None:
    scheme = scheme_of(document(leaf({**LINEAR, "fullAt": "9" * 38})))
    assert '"fullAt":"' + "9" * 38 in dump_scheme(scheme)


@pytest.mark.parametrize(
    "bad", [None, [], "scheme", 5, {}, {"indicators": [1, None, {"code": 5}]}, {"weighting": "POINTS"}]
)
def test_what_is_no_scheme_at_all_is_refused_in_words(bad: Any) -> None:
    scheme, faults = parse_scheme(bad)
    assert scheme is None
    assert faults
    assert all(fault.text.zh and fault.text.en for fault in faults)


def test_the_dump_is_canonical() -> None:
    what = document(leaf(LINEAR, wording="按比例计分", basis="《办法》"), bodyDecides=True)
    scheme = scheme_of(what)
    text = dump_scheme(scheme)
    again = scheme_of(json.loads(text))
    assert again == scheme
    assert dump_scheme(again) == text
    assert '"wording":"按比例计分"' in text
    assert '"bodyDecides":true' in text
    shuffled = json.loads(json.dumps(scheme_document(scheme)), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert dump_scheme(scheme_of(shuffled)) == text


def test_one_rule_alone() -> None:
    rule, faults = parse_rule(LINEAR, data_items=ITEMS, full_marks=Fraction(2))
    assert faults == []
    assert rule is not None
    assert (
        rule.describe(Fraction(2), {"x": "按期办结率"}).zh
        == "按期办结率达到100及以上得满分2分，0及以下不得分，其间按比例计分。"
    )
    rule, faults = parse_rule(
        {"kind": "BANDS", "quantity": X, "bands": [{"from": None, "marks": "3"}]},
        data_items=ITEMS,
        full_marks=Fraction(2),
    )
    assert rule is None
    assert [fault.path for fault in faults] == [("rule", "bands", "0", "marks")]


RULE_SAMPLES: dict[str, dict[str, Any]] = {
    "AWARD": {
        "step": "0.5",
        "groups": [{"name": "领导", "weight": "2"}, {"name": "同级", "weight": "1", "method": "TRIMMED_MEAN"}],
    },
    "COMPLETION": {
        "actual": X,
        "target": {"numerator": {"terms": [{"dataItem": "y"}]}},
        "cap": "1.2",
        "allOrNothingBelow": "0.5",
    },
    "LINEAR": {"quantity": X, "zeroAt": "0", "fullAt": "1"},
    "BANDS": {"quantity": X, "bands": [{"from": "0.9", "marks": "10"}, {"from": None, "marks": "0"}]},
    "PIECEWISE": {"quantity": X, "points": [{"x": "0", "marks": "0"}, {"x": "1", "marks": "10"}]},
    "YES_NO": {"dataItem": "ok"},
    "CHECKLIST": {"points": [{"dataItem": "ok", "marks": "40"}, {"dataItem": "ok2", "marks": "60"}]},
    "CHOICE": {"dataItem": "pick", "options": [{"option": "a", "marks": "10"}, {"option": "b", "marks": "5"}]},
    "DEDUCT": {
        "lines": [
            {"quantity": X, "pointsEach": "0.5", "cap": "2", "partUnits": "STARTED"},
            {"pointsEach": "1", "wipeOut": True},
        ]
    },
    "NEUTRAL": {
        "quantity": X,
        "low": {"value": "18", "pointsPerStep": "0.1"},
        "high": {"assigned": "y", "pointsPerStep": "0.2", "partSteps": "COMPLETED"},
    },
    "IMPROVEMENT": {"quantity": X, "fullAt": "0.3", "direction": "LOWER"},
    "BEST_RATIO": {"quantity": X},
    "EFFICACY": {"quantity": X, "base": "0.6"},
    "MINMAX": {"quantity": X, "direction": "LOWER"},
    "RANK_POINTS": {
        "quantity": X,
        "table": [{"rank": 1, "marks": "6"}, {"rank": 2, "marks": "4"}],
        "countFrom": "LAST",
        "ties": "MEAN",
    },
    "PERCENTILE": {"quantity": X},
    "GRADE_MEAN": {
        "groups": [
            {
                "name": "群众",
                "dataItem": "votes",
                "values": [{"option": "a", "marks": "10"}, {"option": "b", "marks": "5"}],
            }
        ],
        "minBallots": 30,
    },
    "TRIMMED_MEAN": {"dataItem": "marks", "drop": 1, "dropFrom": 5, "minimumCount": 3},
    "BONUS": {
        "levels": [{"code": "l", "name": "省级", "points": "2", "maxPoints": "3", "cap": "4"}],
        "pot": "加分",
        "potCap": "5",
    },
    "DEDUCTION": {"levels": [{"code": "l", "name": "省级", "points": "2"}], "pot": "减分"},
    "VETO": {"effect": "LOWEST_GRADE", "grounds": [{"code": "g", "name": "弄虚作假", "basis": "《办法》"}]},
}


@pytest.mark.parametrize("kind", list(RULES))
def test_every_rule_has_words_a_document_and_refuses_what_it_does_not_know(kind: str) -> None:
    sample = {"kind": kind, **RULE_SAMPLES[kind]}
    rule, faults = parse_rule(sample, data_items=ITEMS, full_marks=Fraction(100))
    assert [fault for fault in faults if fault.severity == "FAULT"] == []
    assert rule is not None
    again, _ = parse_rule(rule.document(), data_items=ITEMS, full_marks=Fraction(100))
    assert again == rule
    text = rule.describe(Fraction(100), {"x": "完成数", "y": "应完成数"})
    assert text.zh.endswith("。")
    assert text.en.endswith(".")
    assert "None" not in text.zh + text.en
    assert rule.term.zh
    assert rule.term.en
    for name in ("typo", "kinds"):
        _, faults = parse_rule({**sample, name: "1"}, data_items=ITEMS)
        assert [fault.path for fault in faults] == [("rule", name)]
    for name in RULE_SAMPLES[kind]:
        broken, faults = parse_rule({**sample, name: {"wrong": 1} if name != "full" else "x"}, data_items=ITEMS)
        assert broken is None, name
        assert all(fault.path[0] == "rule" for fault in faults)
    if issubclass(RULES[kind], ScoredRule):
        assert parse_rule({**sample, "full": "0"}, data_items=ITEMS)[1][0].path == ("rule", "full")
    else:
        assert rule.outside


def test_rules_say_what_does_not_fit_full_marks() -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"kind": "CHECKLIST", "points": [{"dataItem": "ok", "marks": "140"}]}, "points"),
        ({"kind": "DEDUCT", "floor": "100", "lines": [{"quantity": X, "pointsEach": "1"}]}, "floor"),
        ({"kind": "CHOICE", "dataItem": "pick", "options": [{"option": "a", "marks": "10"}]}, "options"),
        ({"kind": "CHECKLIST", "done": X, "asked": {"numerator": {"constant": "0"}}}, "asked"),
        ({"kind": "CHECKLIST", "done": X}, "asked"),
        ({"kind": "CHECKLIST"}, "points"),
        ({"kind": "EFFICACY", "quantity": X, "base": "1"}, "base"),
        ({"kind": "RANK_POINTS", "quantity": X}, "table"),
        ({"kind": "RANK_POINTS", "quantity": X, "step": "1", "countFrom": "LAST"}, "countFrom"),
        ({"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 2, "dropFrom": 4, "minimumCount": 1}, "dropFrom"),
        ({"kind": "NEUTRAL", "quantity": X}, "low"),
        ({"kind": "PIECEWISE", "quantity": X, "points": [{"x": "1", "marks": "1"}]}, "points"),
        ({"kind": "COMPLETION", "actual": X, "target": {"numerator": {"constant": "0"}}}, "target"),
        ({"kind": "IMPROVEMENT", "quantity": X, "fullAt": "0"}, "fullAt"),
        ({"kind": "LINEAR", "quantity": {"numerator": {"constant": "1"}}, "zeroAt": "0", "fullAt": "1"}, "quantity"),
    ]
    for rule, name in bad:
        faults = parse_rule(rule, data_items=ITEMS, full_marks=Fraction(100))[1]
        assert [fault.path[1] for fault in faults if fault.severity == "FAULT"] == [name], rule
