"""A past snapshot under other rules, weights and values; the real one stays as it was."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from service.scoring import (
    Event,
    InvalidInput,
    OtherValue,
    Result,
    State,
    compute,
    keeping_awards,
    parse_scheme,
    revalued,
    reweighted,
    transplanted,
)
from tests.service.scoring.build import ITEMS, LINEAR, X, column, document, leaf, run, scheme_of

Y = {**LINEAR, "quantity": {"numerator": {"terms": [{"dataItem": "y"}]}}}


def two(**more: Any) -> dict[str, Any]:
    return document(leaf(LINEAR), leaf(Y), **more)


def tried(before: Result, what: dict[str, Any], values: list[OtherValue] | None = None) -> Result:
    scheme = scheme_of(what)
    snapshot = transplanted(before.snapshot, before.scheme, scheme)
    return compute(scheme, revalued(snapshot, scheme, values or []))


def test_other_weights() -> None:
    before = run(two(), {"x": ["100", "50"], "y": ["0", "60"]})
    assert before.totals() == ["50.00", "55.00"]
    what = reweighted(before.scheme, two(), {"L0": Fraction(3)})
    after = tried(before, what)
    assert (after.totals(), after.ranks()) == (["75.00", "52.50"], [1, 2])
    assert before.ranks() == [2, 1]
    assert two()["indicators"][1]["weight"] == "1"


def test_leaves_keep_their_scores_where_their_points_change() -> None:
    bands = {"kind": "BANDS", "quantity": X, "bands": [{"from": "50", "marks": "60"}, {"from": None, "marks": "30"}]}
    what = document(leaf(bands, points="60"), leaf(Y, points="40"), weighting="POINTS")
    before = run(what, {"x": ["50", "0"], "y": ["0", "0"]})
    assert before.totals() == ["60.00", "30.00"]
    after = tried(before, reweighted(before.scheme, what, {"L0": Fraction(20), "L1": Fraction(80)}))
    assert after.totals() == ["20.00", "10.00"]
    scheme, faults = parse_scheme(reweighted(before.scheme, what, {"L0": Fraction(20)}))
    assert scheme is None
    assert ["/".join(fault.path) for fault in faults] == ["R/points"]


def test_codes_without_weight_are_refused() -> None:
    scheme = scheme_of(two())
    with pytest.raises(InvalidInput) as caught:
        reweighted(scheme, two(), {"R": Fraction(1), "Z": Fraction(1), "L0": Fraction(1)})
    assert [fault.path for fault in caught.value.faults] == [("weights", "R"), ("weights", "Z")]


def test_another_scheme_takes_what_was_settled_by_leaf_and_by_item() -> None:
    before = run(two(), {"x": ["80", None, State.REJECTED], "y": ["40", "50", "60"]})
    other = document(leaf(LINEAR), leaf(LINEAR), leaf({"kind": "YES_NO", "dataItem": "ok"}))
    other["indicators"][2]["code"] = "N"
    after = tried(before, other)
    assert after.node_exacts("N") == ["80", "0", "0"]
    assert after.node_states("N") == ["GIVEN", "MISSING", "REJECTED"]
    assert after.node_states("L2") == ["MISSING"] * 3


def test_verdicts_go_with_their_leaf() -> None:
    before = run(two(), {"x": ["80"], "y": ["40"]}, leaf_states={"L0": np.array([int(State.REJECTED)], np.uint8)})
    assert before.totals() == ["20.00"]
    assert tried(before, two()).totals() == ["20.00"]
    swapped = document(leaf(Y), leaf(LINEAR))
    # The verdict was on item x under L0; y under L0 is another question.
    assert tried(before, swapped).totals() == ["60.00"]


def test_other_values_replace_gaps_and_verdicts_too() -> None:
    states = {"L0": np.array([0, int(State.REJECTED)], np.uint8)}
    before = run(two(), {"x": ["80", "90"], "y": ["40", None]}, leaf_states=states)
    values = [OtherValue("u1", "x", Decimal("99.99999")), OtherValue("u1", "y", Decimal(1))]
    after = tried(before, two(), values)
    assert after.exact_totals() == ["60", str(Fraction("100.99999") / 2)]
    assert before.snapshot.leaf_states["L0"].tolist() == [0, int(State.REJECTED)]
    assert before.totals() == ["60.00", "0.00"]
    with pytest.raises(InvalidInput) as caught:
        tried(before, two(), [OtherValue("u9", "x", Decimal(1))])
    assert caught.value.faults[0].path == ("values", "0", "unit")


def test_other_counts_scores_and_choices() -> None:
    values = [{"option": "a", "marks": "100"}, {"option": "b", "marks": "0"}]
    what = document(
        leaf(
            {"kind": "GRADE_MEAN", "minBallots": 1, "groups": [{"name": "群众", "dataItem": "votes", "values": values}]}
        ),
        leaf({"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 1, "dropFrom": 3, "minimumCount": 1}),
        leaf({"kind": "CHOICE", "dataItem": "pick", "options": values}),
    )
    before = run(what, {"votes": [{"a": 1, "b": 1}, None], "marks": [["90"], ["1", "2"]], "pick": ["b", "b"]})
    after = tried(
        before,
        what,
        [
            OtherValue("u1", "votes", {"a": 3, "b": 1}),
            OtherValue("u1", "marks", [Decimal("1.125"), Decimal(7), Decimal(99)]),
            OtherValue("u1", "pick", Decimal(0)),
        ],
    )
    assert [after.node_exacts(code) for code in ("L0", "L1", "L2")] == [["50", "75"], ["90", "7"], ["0", "100"]]


def test_options_that_stand_in_another_order_or_are_gone() -> None:
    rule = {
        "kind": "CHOICE",
        "dataItem": "pick",
        "options": [{"option": c, "marks": m} for c, m in (("a", "100"), ("b", "0"))],
    }
    before = run(document(leaf(rule)), {"pick": ["a", "b"]})

    def with_options(*codes: str) -> dict[str, Any]:
        items = [
            {**item, "options": [{"code": code, "name": code} for code in codes]} if item["code"] == "pick" else item
            for item in ITEMS
        ]
        own = {**rule, "options": [{"option": c, "marks": "100" if c == "a" else "0"} for c in codes]}
        return {**document(leaf(own)), "dataItems": items}

    assert tried(before, with_options("b", "a")).totals() == ["100.00", "0.00"]
    gone = tried(before, with_options("c", "b"))
    assert gone.node_states("L0") == ["MISSING", "GIVEN"]


def test_marks_once_awarded_stay_out_of_their_full_marks() -> None:
    award = {"kind": "AWARD", "step": "0.5"}
    what = document(leaf(award, points="20"), leaf(Y, points="80"), weighting="POINTS")
    before = run(what, {"y": ["0", "0"]}, awards={"L0": [15, 20]})
    assert before.totals() == ["15.00", "20.00"]
    other = document(leaf({"kind": "AWARD", "step": "2"}, points="10"), leaf(Y, points="90"), weighting="POINTS")
    with pytest.raises(InvalidInput):
        tried(before, other)
    assert tried(before, keeping_awards(before.scheme, other)).totals() == ["7.50", "10.00"]


def test_events_find_their_place_or_fall_away() -> None:
    levels = [{"code": "省", "name": "省级", "points": "2"}]
    bonus: dict[str, Any] = {"name": "表彰", "rule": {"kind": "BONUS", "levels": levels, "pot": "加分"}}
    what = document(leaf(LINEAR), bonus)
    what["indicators"][2].pop("weight")
    before = run(what, {"x": ["50"]}, events=[Event("e", "u0", "L1", "m", "省")])
    assert before.totals() == ["52.00"]
    assert tried(before, document(leaf(LINEAR))).totals() == ["50.00"]
    other = document(leaf(LINEAR), {**bonus, "rule": {**bonus["rule"], "levels": [{**levels[0], "code": "市"}]}})
    other["indicators"][2].pop("weight")
    assert tried(before, other).totals() == ["50.00"]


def test_a_snapshot_is_not_touched() -> None:
    before = run(two(), {"x": ["80"], "y": ["40"]})
    kept = column("x", ["80"])
    tried(before, two(), [OtherValue("u0", "x", Decimal(1))])
    assert before.snapshot.items["x"].numbers.tolist() == kept.numbers.tolist()
