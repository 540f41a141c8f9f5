"""Every rule at its edges, by hand."""

from fractions import Fraction
from typing import Any

from service.scoring import State
from tests.service.scoring.build import X_OVER_Y, X, document, leaf, paths_of, run

NOTHING = State.NOT_APPLICABLE


def score(rule: dict[str, Any], values: dict[str, list[Any]], **rest: Any) -> list[str | None]:
    """Exact scores of a single leaf."""
    return run(document(leaf(rule)), values, **rest).node_exacts("L0")


def bands(*pairs: tuple[str | None, str], quantity: Any = X) -> dict[str, Any]:
    return {"kind": "BANDS", "quantity": quantity, "bands": [{"from": a, "marks": m} for a, m in pairs]}


def test_linear_rises_and_falls() -> None:
    rising = {"kind": "LINEAR", "quantity": X, "zeroAt": "0.6", "fullAt": "0.98"}
    assert score(rising, {"x": ["0.6", "0.98", "0.79", "0.1", "1"]}) == ["0", "100", "50", "0", "100"]
    falling = {"kind": "LINEAR", "quantity": X, "zeroAt": "3", "fullAt": "0"}
    assert score(falling, {"x": ["0", "1", "3", "5"]}) == ["100", "200/3", "0", "0"]
    free = {**rising, "clamp": False, "zeroAt": "0", "fullAt": "1"}
    assert score(free, {"x": ["-1", "2"]}) == ["-100", "200"]


def test_a_denominator_of_zero_does_not_apply_or_earns_full_marks() -> None:
    rule = {"kind": "LINEAR", "quantity": X_OVER_Y, "zeroAt": "0", "fullAt": "1"}
    result = run(document(leaf(rule), leaf({**rule, "quantity": X})), {"x": ["1", "0.5"], "y": ["0", "-1"]})
    assert result.node_exacts("L0") == [None, "0"]
    assert result.node_states("L0") == ["NOT_APPLICABLE", "GIVEN"]
    assert result.exact_totals() == ["100", "25"]
    full = {**rule, "quantity": {**X_OVER_Y, "denominatorZero": "FULL"}}
    assert score(full, {"x": ["0"], "y": ["0"]}) == ["100"]


def test_bands_compare_before_any_rounding() -> None:
    rule = bands(("0.9", "100"), ("0.8", "60"), (None, "0"), quantity=X_OVER_Y)
    values = {"x": ["90", "89.9999", "80", "8999.9999", "0"], "y": ["100", "100", "100", "10000", "3"]}
    assert score(rule, values) == ["100", "60", "60", "60", "0"]


def test_bands_must_descend_and_be_complete() -> None:
    assert paths_of(document(leaf(bands(("1", "50"), ("1", "20"), (None, "0"))))) == ["R/L0/rule/bands/1/from"]
    assert paths_of(document(leaf(bands(("1", "50"), ("0", "20"))))) == ["R/L0/rule/bands/1/from"]
    assert paths_of(document(leaf(bands((None, "50"), (None, "20"))))) == ["R/L0/rule/bands/0/from"]
    assert paths_of(document(leaf(bands((None, "101"))))) == ["R/L0/rule/bands/0/marks"]
    assert paths_of(document(leaf(bands()))) == ["R/L0/rule/bands"]


def test_completion_with_caps_zero_and_negative_values() -> None:
    rule = {"kind": "COMPLETION", "actual": X, "target": {"numerator": {"terms": [{"dataItem": "y"}]}}}
    values = {"x": ["46", "3", "0", "-1", "5", "-1"], "y": ["48", "2", "4", "2", "0", "-2"]}
    assert score(rule, values) == ["575/6", "100", "0", "0", None, "0"]
    assert score({**rule, "cap": "1.2", "targetZero": "FULL"}, values) == ["575/6", "120", "0", "0", "100", "0"]
    some = {**rule, "allOrNothingBelow": "0.95"}
    assert score(some, {"x": ["94.9999", "95"], "y": ["100", "100"]}) == ["0", "95"]


def test_yes_no() -> None:
    rule = {"kind": "YES_NO", "dataItem": "ok"}
    assert score(rule, {"ok": [True, False]}) == ["100", "0"]
    assert score({**rule, "fullWhen": False}, {"ok": [True, False]}) == ["0", "100"]
    assert paths_of(document(leaf({"kind": "YES_NO", "dataItem": "x"}))) == ["R/L0/rule/dataItem"]


def deduct(line: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "DEDUCT", "full": "2", "lines": [{"pointsEach": "0.5", **line}], **more}


def test_deduct_takes_until_nothing_is_left() -> None:
    assert score(deduct({"quantity": X}), {"x": ["0", "1", "4", "5", "-3"]}) == ["100", "75", "0", "0", "100"]
    assert score(deduct({"quantity": X}, floor="-1"), {"x": ["5", "9"]}) == ["-25", "-50"]
    assert score(deduct({"quantity": X, "cap": "1"}), {"x": ["5"]}) == ["50"]


def test_deduct_counts_parts_of_units() -> None:
    values = {"x": ["2.5", "3", "0"]}
    assert score(deduct({"quantity": X, "perUnits": "2"}), values) == ["275/4", "125/2", "100"]
    assert score(deduct({"quantity": X, "perUnits": "2", "partUnits": "STARTED"}), values) == ["50", "50", "100"]
    assert score(deduct({"quantity": X, "perUnits": "2", "partUnits": "COMPLETED"}), values) == ["75", "75", "100"]


def test_deduct_by_shortfall_and_wipe_out() -> None:
    short = deduct({"required": {"numerator": {"constant": "4"}}, "done": X})
    assert score(short, {"x": ["4", "3", "9"]}) == ["100", "75", "100"]
    wiped = {"kind": "DEDUCT", "full": "2", "floor": "-1", "lines": [{"quantity": X, "wipeOut": True}]}
    assert score(wiped, {"x": ["0", "1"]}) == ["100", "0"]
    both = deduct({"quantity": X, "required": X, "done": X})
    assert paths_of(document(leaf(both))) == ["R/L0/rule/lines/0"]
    assert paths_of(document(leaf(deduct({"required": X})))) == ["R/L0/rule/lines/0/done"]


def test_minmax_and_efficacy_compare_within_the_category() -> None:
    rule = {"kind": "MINMAX", "quantity": X}
    values = {"x": ["1", "3", "2", "7", NOTHING, None]}
    categories = ["c", "c", "c", "v", "v", "v"]
    result = run(document(leaf(rule), categories=["c", "v"]), values, categories=categories)
    assert result.node_exacts("L0") == ["0", "100", "50", "100", None, "0"]
    lower = {"kind": "EFFICACY", "quantity": X, "base": "0.6", "direction": "LOWER"}
    assert score(lower, {"x": ["1", "3", "2"]}) == ["100", "60", "80"]
    assert score(rule, {"x": ["5", "5"]}) == ["100", "100"]


def test_minmax_tells_ratios_apart_that_floats_do_not() -> None:
    big = 10**17
    values = {"x": [str(big), str(big + 1)], "y": [str(big + 1), str(big + 2)]}
    assert score({"kind": "MINMAX", "quantity": X_OVER_Y}, values) == ["0", "100"]


def test_award_by_one_and_by_groups() -> None:
    assert run(document(leaf({"kind": "AWARD", "step": "5"})), count=2, awards={"L0": [85, None]}).exact_totals() == [
        "85",
        "0",
    ]
    assert paths_of(document(leaf({"kind": "AWARD", "step": "0"}))) == ["R/L0/rule/step"]
    assert paths_of(document(leaf({"kind": "AWARD", "step": "30"}))) == ["R/L0/rule/step"]


def test_counts_and_coefficients_make_up_x() -> None:
    terms = [{"dataItem": "votes", "countName": "a", "coefficient": "2"}, {"dataItem": "votes", "coefficient": "-0.5"}]
    rule = {
        "kind": "LINEAR",
        "quantity": {"numerator": {"terms": terms, "constant": "1"}},
        "zeroAt": "0",
        "fullAt": "100",
    }
    assert score(rule, {"votes": [{"a": 10, "b": 4, "d": 2}]}) == ["13"]
    wrong = {
        "numerator": {"terms": [{"dataItem": "votes", "countName": "z"}, {"dataItem": "nobody"}, {"dataItem": "pick"}]}
    }
    assert paths_of(document(leaf({**rule, "quantity": wrong}))) == [
        "R/L0/rule/quantity/numerator/terms/0/countName",
        "R/L0/rule/quantity/numerator/terms/1/dataItem",
        "R/L0/rule/quantity/numerator/terms/2/dataItem",
    ]


def test_thirty_eight_digits_stay_exact() -> None:
    low, high = "9" * 34 + ".9998", "9" * 34 + ".9999"
    rule = {"kind": "LINEAR", "quantity": X, "zeroAt": low, "fullAt": high}
    assert score(rule, {"x": [low, high]}) == ["0", "100"]
    result = run(document(leaf({**rule, "zeroAt": "0"})), {"x": [low]})
    assert result.exact_total(0) == 100 * Fraction(low) / Fraction(high)
