"""Bonus and deduction pots, vetoes, grades and their edges, by hand."""

from decimal import Decimal
from typing import Any

import pytest

from service.scoring import Event, InvalidInput, Result, changes, outcomes
from tests.service.scoring.build import LINEAR, document, leaf, paths_of, run

LEVELS = [
    {"code": "省", "name": "省级", "points": "2", "cap": "3"},
    {"code": "区", "name": "区级", "points": "0.5", "maxPoints": "1"},
]


def bonus(**more: Any) -> dict[str, Any]:
    return {"name": "表彰", "rule": {"kind": "BONUS", "levels": LEVELS, "pot": "加分", **more}}


def deduction(**more: Any) -> dict[str, Any]:
    return {"name": "通报", "rule": {"kind": "DEDUCTION", "levels": LEVELS, "pot": "减分", **more}}


def veto(effect: str) -> dict[str, Any]:
    grounds = [{"code": "g", "name": "弄虚作假", "basis": "《考核办法》"}]
    return {"name": "否决", "rule": {"kind": "VETO", "effect": effect, "grounds": grounds}}


def scheme(*outside: dict[str, Any], **settings: Any) -> dict[str, Any]:
    what = document(leaf(LINEAR), *outside, **settings)
    for node in what["indicators"][2:]:
        node.pop("weight", None)
    return what


def event(key: str, unit: str = "u0", leaf_: str = "L1", **more: Any) -> Event:
    amount = more.pop("amount", None)
    return Event(key=key, unit=unit, indicator=leaf_, amount=None if amount is None else Decimal(amount), **more)


def counted(result: Result) -> dict[str, str]:
    own = result.unit_events[0]
    return {each.event.key: str(each.counted) for each in (*own.bonus_events, *own.deduction_events)}


def test_only_confirmed_events_count() -> None:
    states: list[Any] = ["PROPOSED", "REJECTED", "REVOKED", "WITHDRAWN", "CONFIRMED"]
    events = [event(f"e{i}", level="区", state=state) for i, state in enumerate(states)]
    result = run(scheme(bonus()), {"x": ["50"]}, events=events)
    assert result.totals() == ["50.50"]
    assert result.bonuses() == ["0.50"]


def test_of_one_matter_only_the_highest_counts_and_says_so() -> None:
    events = [event("a", level="区", matter="m"), event("b", level="省", matter="m"), event("c", level="区")]
    result = run(scheme(bonus()), {"x": ["50"]}, events=events)
    assert counted(result) == {"b": "2", "a": "0", "c": "1/2"}
    reasons = {each.event.key: each.reason for each in result.unit_events[0].bonus_events}
    assert reasons["a"] is not None
    assert reasons["a"].zh == "与b属同一事项，只计最高一次"
    both = run(scheme(bonus(highestPerMatter=False)), {"x": ["50"]}, events=events)
    assert both.totals() == ["53.00"]


def test_a_matter_is_one_across_the_leaves_of_a_pot() -> None:
    events = [event("a", level="省", matter="m"), event("b", leaf_="L2", level="省", matter="m")]
    assert run(scheme(bonus(), bonus()), {"x": ["50"]}, events=events).totals() == ["52.00"]
    assert run(scheme(bonus(), bonus(pot="另一项")), {"x": ["50"]}, events=events).totals() == ["54.00"]


def test_caps_per_level_then_pot_then_all_together() -> None:
    many = [event(f"e{i}", level="省") for i in range(3)] + [event(f"f{i}", level="区", amount="9") for i in range(4)]
    assert run(scheme(bonus()), {"x": ["50"]}, events=many).totals() == ["57.00"]
    assert run(scheme(bonus(potCap="5")), {"x": ["50"]}, events=many).totals() == ["55.00"]
    assert run(scheme(bonus(potCap="5"), bonusCap="4"), {"x": ["50"]}, events=many).totals() == ["54.00"]
    result = run(scheme(bonus(potCap="5")), {"x": ["50"]}, events=many)
    assert sum(each.counted for each in result.unit_events[0].bonus_events) == 5


def test_leaves_of_one_pot_agree_on_its_cap() -> None:
    assert paths_of(scheme(bonus(potCap="5"), bonus(potCap="4"))) == ["R/L2/rule/potCap"]


def test_the_total_stops_above_full_marks_plus_bonus_or_at_full_marks() -> None:
    events = [event("a", level="省"), event("b", leaf_="L2", level="区")]
    what = scheme(bonus(potCap="5"), deduction())
    assert run(what, {"x": ["100"]}, events=events).totals() == ["101.50"]
    stop = scheme(bonus(potCap="5"), deduction(), capAtFullMarks=True)
    assert run(stop, {"x": ["100"]}, events=events).totals() == ["100.00"]
    assert run(scheme(deduction(), deduction()), {"x": ["0.2"]}, events=events).totals() == ["0.00"]
    over = {**LINEAR, "clamp": False}
    assert run(document(leaf(over)), {"x": ["130"]}).totals() == ["100.00"]


def test_events_that_the_rule_does_not_know_are_refused() -> None:
    events = [
        event("a", level="国"),
        event("b"),
        event("c", leaf_="L2", effect="GONE"),
        event("d", level="省", amount="-1"),
    ]
    with pytest.raises(InvalidInput) as caught:
        run(scheme(bonus(), veto("UNRANKED")), {"x": ["1"]}, events=events)
    assert [fault.path[1:] for fault in caught.value.faults] == [
        ("0", "level"),
        ("1", "level"),
        ("2", "effect"),
        ("3", "amount"),
    ]


GRADES = [
    {"code": "A", "name": "优秀", "threshold": "80", "share": "0.4"},
    {"code": "B", "name": "良好", "threshold": "60"},
    {"code": "C", "name": "一般"},
]
FIVE: dict[str, list[Any]] = {"x": ["95", "90", "85", "70", "50"]}


def test_the_four_effects_of_a_veto() -> None:
    def with_veto(effect: str) -> Result:
        return run(scheme(veto(effect), grades=GRADES), FIVE, events=[event("v")])

    plain = run(scheme(veto("UNRANKED"), grades=GRADES), FIVE)
    assert plain.grades() == ["A", "A", "B", "B", "C"]
    no_excellent = with_veto("NO_EXCELLENT")
    assert no_excellent.ranks() == [1, 2, 3, 4, 5]
    assert no_excellent.grades() == ["B", "A", "A", "B", "C"]
    down = with_veto("ONE_GRADE_DOWN")
    assert down.ranks() == [1, 2, 3, 4, 5]
    assert down.grades() == ["B", "A", "A", "B", "C"]
    lowest = with_veto("LOWEST_GRADE")
    assert lowest.ranks() == [None, 1, 2, 3, 4]
    assert lowest.statuses()[0] == "VETOED"
    assert lowest.totals()[0] == "95.00"
    assert lowest.grades() == ["C", "A", "A", "B", "C"]
    unranked = with_veto("UNRANKED")
    assert unranked.ranks() == [None, 1, 2, 3, 4]
    assert unranked.grades() == [None, "A", "A", "B", "C"]


def test_a_proposed_veto_changes_nothing() -> None:
    result = run(scheme(veto("UNRANKED"), grades=GRADES), FIVE, events=[event("v", state="PROPOSED")])
    assert result.ranks() == [1, 2, 3, 4, 5]


def quota(**more: Any) -> list[dict[str, Any]]:
    return [{"code": "A", "name": "优秀", **more}, {"code": "B", "name": "合格"}]


def places(count: int, **more: Any) -> int:
    result = run(scheme(grades=quota(**more)), {"x": [str(100 - i) for i in range(count)]})
    (only,) = result.quotas()
    assert only.used == result.grades().count("A")
    return only.places


def test_quotas_are_reckoned_exactly() -> None:
    assert places(100, share="0.29") == 29
    assert places(5, share="0.3") == 1
    assert places(5, share="0.3", rounding="HALF_UP") == 2
    assert places(4, share="0.3", rounding="CEIL") == 2
    assert places(2, share="0.1", minimumPlaces=1) == 1
    table = [{"unitsFrom": 1, "places": 1}, {"unitsFrom": 6, "places": 2}]
    assert places(5, placesByCount=table) == 1
    assert places(6, placesByCount=table) == 2


def test_places_by_category_parent_or_all_together() -> None:
    values: dict[str, list[Any]] = {"x": ["90", "80", "70", "60"]}
    split: dict[str, Any] = {"categories": ["c", "c", "v", "v"], "parents": ["p", "q", "p", "q"]}

    def grades(scope: str) -> list[str | None]:
        what = scheme(grades=quota(share="0.5", scope=scope), categories=["c", "v"])
        return run(what, values, **split).grades()

    assert grades("CATEGORY") == ["A", "B", "A", "B"]
    assert grades("PARENT") == ["A", "A", "B", "B"]
    assert grades("ALL") == ["A", "A", "B", "B"]


def test_the_base_counts_vetoed_units_or_not() -> None:
    values: dict[str, list[Any]] = {"x": ["90", "80", "70", "60"]}
    for vetoed, used in ((True, 2), (False, 1)):
        what = scheme(veto("UNRANKED"), grades=quota(share="0.5", baseIncludesVetoed=vetoed))
        result = run(what, values, events=[event("v", unit="u3")])
        assert result.grades().count("A") == used


TIED: dict[str, list[Any]] = {"x": ["90", "80", "80", "70"]}


def test_ties_where_places_run_out() -> None:
    def result(policy: str, **more: Any) -> Result:
        return run(scheme(grades=quota(share="0.5"), tiePolicy=policy, tieBreakers=["L0"]), TIED, **more)

    assert result("STRICT").grades() == ["A", "B", "B", "B"]
    assert result("INCLUSIVE").grades() == ["A", "A", "A", "B"]
    assert result("STRICT").pending() == []
    for policy in ("DECISION", "TIE_BREAK"):
        open_ = result(policy)
        assert open_.grades() == ["A", "B", "B", "B"]
        (tie,) = open_.pending()
        assert (tie.units, tie.left) == ((1, 2), 1)
        settled = result(policy, decisions={"u1": 2, "u2": 1})
        assert settled.grades() == ["A", "B", "A", "B"]
        assert settled.pending() == []
        assert settled.ranks() == [1, 2, 2, 4]


def test_places_pass_over_who_is_not_eligible() -> None:
    conditions: list[dict[str, Any]] = [{"kind": "ITEM_TRUE", "dataItem": "ok"}]
    values = {**TIED, "ok": [False, True, True, True]}
    assert run(scheme(grades=quota(share="0.5", conditions=conditions)), values).grades() == ["B", "A", "A", "B"]
    share = [{"kind": "NODE_SHARE", "indicator": "L0", "minimumShare": "0.9"}]
    assert run(scheme(grades=quota(conditions=share)), TIED).grades() == ["A", "B", "B", "B"]
    before = [{"kind": "PREVIOUS_GRADE", "gradeCode": "A"}]
    result = run(scheme(grades=quota(conditions=before)), TIED, previous_grades=["B", "A", None, "A"])
    assert result.grades() == ["B", "A", "B", "A"]
    clean = [{"kind": "NO_EVENT", "indicator": "L1"}]
    result = run(scheme(deduction(), grades=quota(conditions=clean)), TIED, events=[event("d", unit="u1", level="区")])
    assert result.grades() == ["A", "B", "A", "A"]


def test_a_threshold_is_compared_with_the_rounded_total() -> None:
    grades = [{"code": "A", "name": "优秀", "threshold": "90"}, {"code": "B", "name": "合格", "threshold": "60"}]
    result = run(scheme(grades=grades), {"x": ["89.995", "89.9949", "59.99"]})
    assert result.grades() == ["A", "B", None]


def test_faults_of_grades() -> None:
    bad = [
        {"code": "A", "name": "优秀", "threshold": "60", "share": "1.5"},
        {"code": "A", "name": "良好", "threshold": "70", "conditions": [{"kind": "PREVIOUS_GRADE", "gradeCode": "Z"}]},
        {"code": "C", "name": "一般", "share": "0.2"},
    ]
    assert paths_of(scheme(grades=bad)) == [
        "settings/grades/0/share",
        "settings/grades/1/conditions/0/gradeCode",
        "settings/grades/1/code",
    ]


def test_one_grade_alone_is_the_excellent_one() -> None:
    only = [{"code": "A", "name": "优秀", "share": "0.4"}]
    for effect in ("NO_EXCELLENT", "LOWEST_GRADE", "UNRANKED"):
        result = run(scheme(veto(effect), grades=only), FIVE, events=[event("v")])
        assert result.grades() == [None, "A", "A", None, None]


def test_changes_between_two_results() -> None:
    before, after = run(scheme(), {"x": ["90", "80", "70"]}), run(scheme(), {"x": ["75", "80", "70"]})
    found = changes(outcomes(before), outcomes(after))
    assert [(change.total, change.rank, change.moved) for change in found] == [
        (Decimal("-15.00"), -1, True),
        (Decimal("0.00"), 1, True),
        (Decimal("0.00"), 0, False),
    ]
