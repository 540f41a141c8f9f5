"""An explanation reads well, and opens a total down to its values."""

from fractions import Fraction
from typing import Any

import numpy as np

from service.scoring import Event, Result, State, Step, effective_marks, explain, explanation_text
from tests.service.scoring.build import LINEAR, X_OVER_Y, document, leaf, run


def steps_of(result: Result, unit: int = 0) -> list[Step]:
    return explain(result.scheme, result.snapshot, result, unit)


def points(*leaves: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return document(*leaves, weighting="POINTS", **settings)


X, Y = ({"numerator": {"terms": [{"dataItem": key}]}} for key in "xy")
COMPLETION = {"kind": "COMPLETION", "actual": X, "target": Y}


def test_a_total_is_told_in_both_languages() -> None:
    levels = [{"code": "l", "name": "省级", "points": "2"}]
    what = points(
        leaf(COMPLETION, points="60", name="按期办结"),
        leaf({"kind": "YES_NO", "dataItem": "ok"}, points="40", name="按期换届"),
        {"name": "表彰奖励", "rule": {"kind": "BONUS", "levels": levels, "pot": "加分", "potCap": "3"}},
        latePenalty={"pointsPerDay": "0.5"},
        grades=[{"code": "A", "name": "优秀", "threshold": "90", "share": "1"}, {"code": "B", "name": "合格"}],
    )
    events = [Event("e1", "u0", "L2", "m", "l"), Event("e2", "u0", "L2", "m", "l")]
    values: dict[str, list[Any]] = {"x": ["46"], "y": ["48"], "ok": [True]}
    result = run(what, values, events=events, late_days=np.array([3]))
    steps = steps_of(result)
    assert explanation_text(steps).zh.split("\n") == [
        "总得分98.00分（满分100分），四舍五入到2位小数",
        "　总分：加权平均得97.5分（百分制），折合97.5分，满分100分",
        "　　按期办结：完成46，目标48，完成率95.8333%，得57.5分".replace("95.8333%", "≈95.8333%"),
        "　　按期换届：填报为“是”，得40分",
        "　加分合计2分",
        "　　表彰奖励·省级（e1）：2分，计2分",
        "　　表彰奖励·省级（e2）：2分，计0分；与e1属同一事项，只计最高一次",
        "　逾期3天，扣1.5分",
        "社区第1名（按显示得分）",
        "测算等次：优秀",
        "　优秀名额：按1个单位计1个，已用1个",
    ]
    english = explanation_text(steps).en.split("\n")
    assert english[0] == "total 98.00 of 100, rounded half up to 2 places"
    assert english[2] == "    按期办结: 46 of 48, ≈95.8333% complete: 57.5 marks"
    by_key = {step.key: step for step in steps}
    assert by_key["L0"].formula == "60 × 46 ÷ 48"
    assert by_key["L0"].weight == by_key["L0"].effective_weight == 60
    assert [(i.data_item, i.state, i.display) for i in by_key["L0"].inputs] == [
        ("x", "GIVEN", "46"),
        ("y", "GIVEN", "48"),
    ]
    assert by_key["total"].formula == "97.5 + 2 - 1.5"
    assert by_key["total"].before == 98


def test_what_does_not_apply_says_who_takes_its_weight() -> None:
    what = points(leaf(LINEAR, points="60"), leaf({**LINEAR, "quantity": X_OVER_Y}, points="40"))
    result = run(what, {"x": ["50"], "y": ["0"]})
    steps = {step.key: step for step in steps_of(result)}
    assert steps["L1"].text.zh == "指标1：不适用，其权重由同级指标分担"
    assert steps["L1"].result is None
    assert steps["L1"].effective_weight == 0
    assert steps["L0"].effective_weight == 100
    assert "指标1不计入" in steps["R"].text.zh
    assert effective_marks(result.scheme, steps_of(result)) == {"R": 100, "L0": 100, "L1": 0}


def test_every_state_has_its_words() -> None:
    values: dict[str, list[Any]] = {"x": [None, State.REJECTED, State.NOT_APPLICABLE, "50"]}
    for policy, words in (("PARENT", "同级指标分担"), ("GLOBAL", "按适用部分折算"), ("FULL", "得满分")):
        result = run(
            document(leaf(LINEAR), leaf({"kind": "YES_NO", "dataItem": "ok"}), notApplicablePolicy=policy), values
        )
        texts = [next(step for step in steps_of(result, unit) if step.key == "L0").text.zh for unit in range(4)]
        assert texts[0] == "指标0：缺报，计0分"
        assert texts[1] == "指标0：不予认定，计0分"
        assert words in texts[2]
        assert texts[3] == "指标0：实际值50，得50分"


def test_ranks_ties_vetoes_and_coverage_are_told() -> None:
    grounds = [{"code": "g", "name": "弄虚作假", "basis": "《办法》"}]
    what = document(
        leaf(LINEAR),
        {"name": "一票否决事项", "rule": {"kind": "VETO", "effect": "UNRANKED", "grounds": grounds}},
        coverageThreshold="0.5",
        grades=[{"code": "A", "name": "优秀", "share": "0.5"}, {"code": "B", "name": "合格"}],
        tiePolicy="DECISION",
    )
    del what["indicators"][-1]["weight"]
    result = run(what, {"x": ["90", "90", "10", None]}, events=[Event("v", "u2", "L1", level="g")])
    first = [step.text.zh for step in steps_of(result, 0)]
    assert "与同类1个单位得分相同，名次并列" in first
    assert "优秀还剩1个名额，2个单位得分相同，须由人排定先后并说明理由" in first
    assert "一票否决：一票否决事项（v），不予排名、不定等次" in [step.text.zh for step in steps_of(result, 2)]
    assert "数据完整度0低于0.5，不参与排名" in [step.text.zh for step in steps_of(result, 3)]


def test_a_clamp_is_a_step_of_its_own() -> None:
    result = run(document(leaf(LINEAR), latePenalty={"pointsPerDay": "5"}), {"x": ["3"]}, late_days=np.array([1]))
    steps = {step.key: step for step in steps_of(result)}
    assert steps["clamp"].before == -2
    assert steps["clamp"].result == 0
    assert steps["total"].shown == "0.00"


def test_relative_rules_say_with_whom_they_compare() -> None:
    rule = {"kind": "PERCENTILE", "quantity": {"numerator": {"terms": [{"dataItem": "x"}]}}}
    result = run(document(leaf(rule)), {"x": ["5", "3", "3", None]})
    (own,) = [step for step in steps_of(result) if step.key == "L0"]
    assert own.comparison is not None
    assert (own.comparison.peers, own.comparison.rank, own.comparison.best) == (3, 1, Fraction(5))
    assert own.formula == "100 × 2 ÷ 2"
    assert own.text.zh == "指标0：实际值5，优于其他2个同类单位中的2个，得100分"


def test_nothing_applies() -> None:
    result = run(document(leaf(LINEAR)), {"x": [State.NOT_APPLICABLE]})
    assert [step.text.zh for step in steps_of(result)] == [
        "没有适用的指标，不计总分",
        "总分：没有适用的下级指标，不适用",
        "指标0：不适用，其权重由同级指标分担",
    ]
