"""Rules in words, as they are printed (评分标准)."""

from fractions import Fraction
from typing import Any

import pytest

from service.scoring import parse_rule
from tests.service.scoring.build import ITEMS, X_OVER_Y, X

NAMES = {
    "x": "按期办结数",
    "y": "应办结数",
    "ok": "按期换届",
    "ok2": "制度上墙",
    "pick": "评价等次",
    "marks": "评委打分",
}
Y = {"numerator": {"terms": [{"dataItem": "y"}]}}
SUM = {
    "numerator": {
        "terms": [{"dataItem": "x", "coefficient": "2"}, {"dataItem": "y", "coefficient": "-1"}],
        "constant": "3",
    }
}


def words(rule: dict[str, Any], full: str = "2") -> tuple[str, str]:
    found, faults = parse_rule(rule, data_items=ITEMS, full_marks=Fraction(full))
    assert found is not None, faults
    text = found.describe(Fraction(full), NAMES)
    return text.zh, text.en


CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": "LINEAR", "quantity": X_OVER_Y, "zeroAt": "0.6", "fullAt": "0.98"},
        "按期办结数÷应办结数达到0.98及以上得满分2分，0.6及以下不得分，其间按比例计分；分母为零的不适用。",
    ),
    (
        {"kind": "LINEAR", "quantity": X, "zeroAt": "3", "fullAt": "0"},
        "按期办结数达到0及以下得满分2分，3及以上不得分，其间按比例计分。",
    ),
    (
        {"kind": "LINEAR", "quantity": SUM, "zeroAt": "0", "fullAt": "1", "clamp": False},
        "2×按期办结数－应办结数＋3为1得2分，为0得0分，按比例计分，可超出该范围。",
    ),
    (
        {"kind": "BANDS", "quantity": X_OVER_Y, "bands": [{"from": "0.9", "marks": "2"}, {"from": None, "marks": "0"}]},
        "按期办结数÷应办结数：0.9及以上得2分，其余得0分，满分2分；分母为零的不适用。",
    ),
    (
        {"kind": "COMPLETION", "actual": X, "target": Y, "allOrNothingBelow": "0.6"},
        "得分＝2×（按期办结数÷应办结数），最高2分，完成率低于60%不得分；目标为零的不适用。",
    ),
    (
        {"kind": "DEDUCT", "lines": [{"required": Y, "done": X, "pointsEach": "0.5"}]},
        "满分2分，“按期办结数”比“应办结数”每少1扣0.5分，扣完为止。",
    ),
    (
        {
            "kind": "DEDUCT",
            "floor": "-1",
            "lines": [
                {"quantity": X, "pointsEach": "0.2", "perUnits": "5", "partUnits": "STARTED", "cap": "1"},
                {"quantity": Y, "pointsEach": "0.1", "partUnits": "COMPLETED"},
                {"pointsEach": "1", "wipeOut": True},
            ],
        },
        "满分2分，“按期办结数”每5扣0.2分（不足5按5计），最多扣1分；“应办结数”每1扣0.1分（不足1不计）；"
        "经确认的扣分事项每1扣1分，发生即本项不得分，可倒扣，最低-1分。",
    ),
    ({"kind": "YES_NO", "dataItem": "ok"}, "“按期换届”为“是”得满分2分，否则不得分。"),
    (
        {"kind": "CHECKLIST", "points": [{"dataItem": "ok"}, {"dataItem": "ok2"}]},
        "按做到的要点计分：按期换届1分、制度上墙1分，满分2分。",
    ),
    (
        {"kind": "CHECKLIST", "points": [{"dataItem": "ok"}, {"dataItem": "ok2"}], "allOrNothing": True},
        "下列要点全部做到得满分2分，否则不得分：按期换届、制度上墙。",
    ),
    ({"kind": "CHECKLIST", "done": X, "asked": Y}, "得分＝2×（按期办结数÷应办结数），最高2分。"),
    (
        {"kind": "CHECKLIST", "done": X, "asked": Y, "allOrNothing": True},
        "按期办结数达到应办结数得满分2分，否则不得分。",
    ),
    (
        {
            "kind": "CHOICE",
            "dataItem": "pick",
            "options": [{"option": "a", "marks": "2"}, {"option": "b", "marks": "1"}],
        },
        "“评价等次”：好2分、一般1分，满分2分。",
    ),
    (
        {
            "kind": "PIECEWISE",
            "quantity": X_OVER_Y,
            "points": [{"x": "0.6", "marks": "0"}, {"x": "0.98", "marks": "2"}],
        },
        "按期办结数÷应办结数：0.6得0分，0.98得2分，其间按比例插值，两端以外不变；分母为零的不适用。",
    ),
    (
        {
            "kind": "NEUTRAL",
            "quantity": X,
            "low": {"value": "18", "pointsPerStep": "0.1"},
            "high": {"value": "26", "pointsPerStep": "0.2", "partSteps": "STARTED"},
        },
        "按期办结数不低于18且不高于26得满分2分，每低1扣0.1分，每高1扣0.2分，不足一档按一档计，最低0分。",
    ),
    (
        {
            "kind": "NEUTRAL",
            "quantity": X_OVER_Y,
            "high": {"assigned": "y", "pointsPerStep": "0"},
            "plus": {"pointsPerStep": "0.1", "step": "1", "cap": "0.5"},
        },
        "按期办结数÷应办结数不高于应办结数得满分2分，每高1加0.1分，最多加0.5分，最低0分；分母为零的不适用。",
    ),
    (
        {"kind": "IMPROVEMENT", "quantity": X, "fullAt": "0.3", "direction": "LOWER"},
        "按期办结数比上期下降30%及以上得满分2分，未下降不得分，其间按比例计分；上期无数据或为零的不适用。",
    ),
    ({"kind": "BEST_RATIO", "quantity": X}, "得分＝2×（按期办结数÷同类最高值）。"),
    (
        {"kind": "BEST_RATIO", "quantity": X_OVER_Y, "direction": "LOWER"},
        "得分＝2×（同类最低值÷（按期办结数÷应办结数））；分母为零的不适用。",
    ),
    (
        {"kind": "MINMAX", "quantity": X, "direction": "LOWER"},
        "按期办结数：同类最低者得满分2分，最差者不得分，其余按所处位置折算；同类数值相同的都得满分。",
    ),
    (
        {"kind": "EFFICACY", "quantity": X_OVER_Y, "base": "0.6"},
        "按期办结数÷应办结数：同类最高者得满分2分，最差者得1.2分，其余按所处位置折算；同类数值相同的都得满分；分母为零的不适用。",
    ),
    (
        {"kind": "RANK_POINTS", "quantity": X, "step": "0.1"},
        "按“按期办结数”在同类中由高到低排名：第1名2分，每低一名减0.1分，最低0分；并列按最好名次计。",
    ),
    (
        {
            "kind": "RANK_POINTS",
            "quantity": X,
            "table": [{"rank": 1, "marks": "2"}, {"rank": 2, "marks": "1"}],
            "ties": "MEAN",
        },
        "按“按期办结数”在同类中由高到低排名：第1名2分、第2名1分，其余0分；并列取所占名次的平均分。",
    ),
    (
        {"kind": "RANK_POINTS", "quantity": X_OVER_Y, "table": [{"rank": 1, "marks": "1"}], "countFrom": "LAST"},
        "按“按期办结数÷应办结数”在同类中由高到低排名：倒数第1名1分，其余2分；并列按最好名次计；分母为零的不适用。",
    ),
    (
        {"kind": "PERCENTILE", "quantity": X_OVER_Y, "direction": "LOWER"},
        "按期办结数÷应办结数：得分＝2×（数值高于本单位的同类单位数÷其他同类单位数），同类仅一个单位的得满分；分母为零的不适用。",
    ),
    (
        {"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 1, "dropFrom": 5, "minimumCount": 3},
        "“评委打分”满5个时去掉1个最高分和1个最低分后平均，不足3个的不适用，满分2分。",
    ),
    ({"kind": "AWARD", "step": "0.5"}, "由评分员在0至2分之间评议赋分，步长0.5分，低于满分须说明扣分原因。"),
]


@pytest.mark.parametrize(("rule", "wanted"), CASES, ids=lambda value: value["kind"] if isinstance(value, dict) else "")
def test_a_rule_in_words(rule: dict[str, Any], wanted: str) -> None:
    zh, en = words(rule)
    assert zh == wanted
    assert en.endswith(".")
    assert "≈" not in zh
