"""States, policies, categories, means, coverage, penalty, rounding and ranks, by hand."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from service.scoring import Event, InvalidInput, ItemColumn, Snapshot, State, compute
from tests.service.scoring.build import LINEAR, X, document, leaf, run, scheme_of

Values = dict[str, list[Any]]
Y = {**LINEAR, "quantity": {"numerator": {"terms": [{"dataItem": "y"}]}}}
CHOICES = [{"option": "a", "marks": "1"}, {"option": "b", "marks": "0"}]
VALUES = [{"option": "a", "marks": "1"}, {"option": "b", "marks": "0"}]
VOTES = {"kind": "GRADE_MEAN", "groups": [{"name": "群众", "dataItem": "votes", "values": VALUES}], "minBallots": 1}
NA, REJECTED = State.NOT_APPLICABLE, State.REJECTED


def two(**settings: Any) -> dict[str, Any]:
    return document(leaf(LINEAR, weight="3"), leaf(Y, weight="1"), **settings)


def test_five_states() -> None:
    values: Values = {"x": ["80", "80", "80", "80"], "y": ["40", None, NA, REJECTED]}
    assert run(two(), values).totals() == ["70.00", "60.00", "80.00", "60.00"]
    assert run(two(missingPolicy="EXCLUDE"), values).totals() == ["70.00", "80.00", "80.00", "60.00"]
    assert run(two(notApplicablePolicy="FULL"), values).totals() == ["70.00", "60.00", "85.00", "60.00"]
    assert run(two(notApplicablePolicy="GLOBAL"), values).totals() == ["70.00", "60.00", "80.00", "60.00"]


def test_a_missing_value_left_out_never_earns_full_marks() -> None:
    values: Values = {"x": ["80"], "y": [None]}
    assert run(two(missingPolicy="EXCLUDE", notApplicablePolicy="FULL"), values).totals() == ["80.00"]


def test_a_carried_value_scores_and_does_not_cover() -> None:
    states = [State.GIVEN, State.CARRIED]
    scheme = scheme_of(document(leaf(LINEAR), missingPolicy="CARRY_OVER"))
    column = ItemColumn.of([80, 80], states=states)
    result = compute(scheme, Snapshot(["a", "b"], ["c", "c"], {"x": column}))
    assert result.totals() == ["80.00", "80.00"]
    assert result.coverages() == ["1.0000", "0.0000"]
    assert result.node_states("L0") == ["GIVEN", "MISSING"]


def test_of_several_items_not_applicable_wins_then_rejected_then_missing() -> None:
    quantity = {"numerator": {"terms": [{"dataItem": "x"}, {"dataItem": "y"}]}}
    values: Values = {"x": [None, None, REJECTED, "1"], "y": [NA, REJECTED, NA, None]}
    result = run(document(leaf({**LINEAR, "quantity": quantity})), values)
    assert result.node_states("L0") == ["NOT_APPLICABLE", "REJECTED", "NOT_APPLICABLE", "MISSING"]


def nested(policy: str) -> dict[str, Any]:
    """R over A (L1, L2) and B (L3): A weighs 1, B 1."""
    plain = document(weighting="RELATIVE", notApplicablePolicy=policy)
    plain["indicators"] += [
        {"code": "A", "name": "甲", "parentCode": "R", "weight": "1"},
        {"code": "L1", "name": "一", "parentCode": "A", "weight": "1", "rule": LINEAR},
        {"code": "L2", "name": "二", "parentCode": "A", "weight": "1", "rule": Y},
        {"code": "B", "name": "乙", "parentCode": "R", "weight": "1"},
        {"code": "L3", "name": "三", "parentCode": "B", "weight": "1", "rule": {"kind": "YES_NO", "dataItem": "ok"}},
    ]
    return plain


def test_parent_and_global_share_differently() -> None:
    values: Values = {"x": ["60"], "y": [NA], "ok": [True]}
    parent, whole = run(nested("PARENT"), values), run(nested("GLOBAL"), values)
    assert parent.exact_totals() == ["80"]
    assert whole.exact_totals() == ["260/3"]
    assert parent.coverages() == whole.coverages() == ["0.7500"]
    assert parent.node_coverages("A") == ["0.5000"]


def test_nothing_applies() -> None:
    for policy in ("PARENT", "GLOBAL"):
        result = run(nested(policy), {"x": [NA, "1"], "y": [NA, "1"], "ok": [NA, True]})
        assert result.totals()[0] is None
        assert result.exact_totals()[0] is None
        assert result.statuses() == ["NOT_SCORED", "RANKED"]
        assert result.ranks() == [None, 1]
        assert result.node_states("A") == ["NOT_APPLICABLE", "GIVEN"]
        assert result.coverages()[0] == "0.0000"
    whole = run(nested("FULL"), {"x": [NA], "y": [NA], "ok": [NA]})
    assert whole.totals() == ["100.00"]
    assert whole.coverages() == ["0.0000"]


def test_a_restricted_node_is_no_part_of_other_trees() -> None:
    what = document(leaf(LINEAR), leaf(Y, categories=["v"]), categories=["c", "v"])
    result = run(what, {"x": ["80", "80"], "y": ["0", "0"]}, categories=["c", "v"])
    assert result.totals() == ["80.00", "40.00"]
    assert result.node_applies("L1") == [False, True]
    assert result.node_states("L1") == [None, "GIVEN"]
    assert result.coverages() == ["1.0000", "1.0000"]


def test_points_by_category_and_a_leaf_that_is_only_shown() -> None:
    own = [{"category": "v", "points": "40"}]
    what = document(
        leaf({**LINEAR, "fullAt": "10"}, points="60", pointsByCategory=own),
        leaf(Y, points="40", pointsByCategory=[{"category": "v", "points": "60"}]),
        leaf(LINEAR, points="0"),
        weighting="POINTS",
        categories=["c", "v"],
    )
    result = run(what, {"x": ["5", "5"], "y": ["100", "100"]}, categories=["c", "v"])
    assert result.totals() == ["70.00", "80.00"]
    assert result.node_marks("L0") == ["30.00", "20.00"]
    assert result.node_scores("L2") == [None, None]
    assert result.node_states("L2") == ["GIVEN", "GIVEN"]


def mean(aggregation: str) -> dict[str, Any]:
    what = two()
    what["indicators"][0]["aggregation"] = aggregation
    what["indicators"][1]["weight"] = "1"
    return what


def test_geometric_and_harmonic_means() -> None:
    values: Values = {"x": ["64", "0", NA, "50"], "y": ["81", "90", "49", "25"]}
    result = run(mean("GEOMETRIC"), values)
    assert result.exact_totals()[:3] == ["72", "0", "49"]
    root = result.exact_total(3)
    assert root is not None
    assert root == Fraction("35.355339059327376220042218105242")
    assert run(mean("HARMONIC"), values).exact_totals() == ["10368/145", "0", "49", "100/3"]


def test_coverage_is_summed_exactly_and_never_rounded_up() -> None:
    leaves = [leaf(LINEAR, weight="0.1"), leaf(LINEAR, weight="0.7"), leaf(Y, weight="0.2")]
    result = run(document(*leaves, coverageThreshold="0.8"), {"x": ["1"], "y": [None]})
    assert result.statuses() == ["RANKED"]
    third = [leaf(LINEAR, weight="2"), leaf(Y, weight="1")]
    result = run(document(*third, coverageThreshold="0.6667"), {"x": ["1"], "y": [None]})
    assert result.coverages() == ["0.6666"]
    assert result.statuses() == ["LOW_COVERAGE"]
    assert result.totals() == ["0.67"]
    assert result.ranks() == [None]


def test_the_late_penalty_comes_once_and_before_the_clamp() -> None:
    what = document(leaf(LINEAR), latePenalty={"pointsPerDay": "0.5", "cap": "2"})
    result = run(what, {"x": ["90", "90", "90", "1"]}, late_days=np.array([0, 3, 9, 4]))
    assert result.totals() == ["90.00", "88.50", "88.00", "0.00"]
    assert result.late_penalties() == ["0.00", "1.50", "2.00", "2.00"]


def test_one_rounding_half_up() -> None:
    leaves = [leaf(LINEAR), leaf(Y)]
    result = run(document(*leaves), {"x": ["90.98", "90.9799", "90.9801"], "y": ["90.99", "90.99", "90.99"]})
    assert result.totals() == ["90.99", "90.98", "90.99"]
    assert result.exact_totals()[0] == "18197/200"
    whole = run(document(*leaves, roundingPlaces=0), {"x": ["89"], "y": ["90"]})
    assert whole.totals() == ["90"]
    fine = run(document(leaf({**LINEAR, "fullAt": "300"}), roundingPlaces=12), {"x": ["100"]})
    assert fine.totals() == ["33.333333333333"]


def test_ranks_share_and_skip() -> None:
    result = run(document(leaf(LINEAR)), {"x": ["90", "80", "80", "70"]})
    assert result.ranks() == [1, 2, 2, 4]
    assert result.shared_by() == [1, 2, 2, 1]
    assert result.overall_ranks() == [None] * 4


def test_ranks_on_shown_or_exact_totals() -> None:
    values: Values = {"x": ["90.001", "90.002", "90"]}
    assert run(document(leaf(LINEAR)), values).ranks() == [1, 1, 1]
    assert run(document(leaf(LINEAR), rankOn="EXACT"), values).ranks() == [2, 1, 3]


def test_overall_ranks_only_where_asked_for() -> None:
    what = document(leaf(LINEAR), categories=["c", "v"], crossCategoryRanks=True)
    result = run(what, {"x": ["50", "60", "60"]}, categories=["c", "v", "v"])
    assert result.ranks() == [1, 1, 1]
    assert result.overall_ranks() == [3, 1, 1]


def test_tie_breakers_compare_exact_scores_and_not_applicable_comes_last() -> None:
    what = document(leaf(LINEAR), leaf(Y), tiePolicy="TIE_BREAK", tieBreakers=["L1"])
    result = run(what, {"x": ["70", "80", "75", "75"], "y": ["80", "70", NA, "75"]})
    assert result.totals() == ["75.00"] * 4
    assert result.ranks() == [1, 3, 4, 2]


def test_sums_of_floats_would_split_this_tie() -> None:
    leaves = [leaf(LINEAR, weight=weight) for weight in ("0.1", "0.2", "0.3")]
    ys = [leaf(Y, weight=weight) for weight in ("0.3", "0.2", "0.1")]
    result = run(document(*leaves, *ys, rankOn="EXACT"), {"x": ["10", "20"], "y": ["20", "10"]})
    assert result.ranks() == [1, 1]


def test_a_leaf_uses_the_values_pinned_for_it() -> None:
    what = document(leaf(LINEAR), leaf(LINEAR))
    pinned = {("L1", "x"): ItemColumn.of([10])}
    assert run(what, {"x": ["50"]}, leaf_items=pinned).totals() == ["30.00"]


def test_a_review_decides_a_leaf_whatever_its_items_say() -> None:
    what = document(leaf(LINEAR), leaf(LINEAR))
    states = {"L1": np.array([State.REJECTED, State.NOT_APPLICABLE, State.GIVEN, State.MISSING], np.uint8)}
    result = run(what, {"x": ["50"] * 4}, leaf_states=states)
    assert result.totals() == ["25.00", "50.00", "50.00", "25.00"]
    assert result.node_states("L1") == ["REJECTED", "NOT_APPLICABLE", "GIVEN", "MISSING"]


def test_no_units_and_one_unit() -> None:
    assert run(document(leaf(LINEAR)), count=0).totals() == []
    assert run(document(leaf(LINEAR)), count=1).totals() == ["0.00"]
    assert run(document(leaf({"kind": "MINMAX", "quantity": X})), {"x": ["3"]}).totals() == ["100.00"]


def test_what_does_not_fit_is_refused_whole() -> None:
    scheme = scheme_of(document(leaf(LINEAR), leaf({"kind": "AWARD", "step": "1"})))
    snapshot = Snapshot(["a", "a"], ["c", "z"], {"x": ItemColumn.of([1])}, {"L1": ItemColumn.of([1, 2])})
    with pytest.raises(InvalidInput) as caught:
        compute(scheme, snapshot)
    assert [fault.path for fault in caught.value.faults] == [("units",), ("categories",), ("items", "x")]
    high = Snapshot(["a"], ["c"], {"x": ItemColumn.of([1])}, {"L1": ItemColumn.of([101])})
    with pytest.raises(InvalidInput, match="101 is not between 0 and 100"):
        compute(scheme, high)


def test_progress_is_told_and_may_cancel() -> None:
    scheme = scheme_of(document(*[leaf(LINEAR) for _ in range(25)]))
    snapshot = Snapshot(["a"], ["c"], {"x": ItemColumn.of([1])})
    told: list[tuple[str, int, int]] = []
    compute(scheme, snapshot, progress=lambda *step: told.append(step))
    assert told == [("LEAVES", 10, 25), ("LEAVES", 20, 25), ("TREE", 1, 1), ("RANKS", 1, 1)]

    def stop(stage: str, done: int, total: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        compute(scheme, snapshot, progress=stop)


def test_a_category_without_units_stands_in_nobodys_way() -> None:
    what = document(leaf({"kind": "MINMAX", "quantity": X}), categories=["c", "v"], crossCategoryRanks=True)
    result = run(what, {"x": ["1", "2"]})
    assert result.ranks() == [2, 1]
    assert result.overall_ranks() == [2, 1]


def test_percentiles_of_ranked_units() -> None:
    result = run(document(leaf(LINEAR), coverageThreshold="1"), {"x": ["90", "80", "80", "70", None]})
    assert result.percentiles() == [1, Fraction(1, 3), Fraction(1, 3), 0, None]
    assert run(document(leaf(LINEAR)), {"x": ["90"]}).percentiles() == [1]


def test_every_fault_of_a_snapshot_is_named() -> None:
    scheme = scheme_of(
        document(leaf(LINEAR), leaf({"kind": "CHOICE", "dataItem": "pick", "options": CHOICES}), leaf(VOTES))
    )
    wrong = ItemColumn(np.array([9], np.uint8), np.array([1]))
    with pytest.raises(InvalidInput) as caught:
        compute(
            scheme,
            Snapshot(
                ["a"],
                ["c", "c"],
                {"x": wrong, "y": ItemColumn(np.zeros(1, np.uint8), np.zeros(2, np.int64))},
                {"L0": ItemColumn.of([1])},
                leaf_states={"L0": np.array([7], np.uint8)},
                late_days=np.array([-1]),
                events=[Event("e", "nobody", "L9")],
                group_awards={("L0", "g"): ItemColumn(np.zeros(1, np.uint8), np.zeros(0), 0, None, np.array([0, 3]))},
            ),
        )
    assert ["/".join(fault.path) for fault in caught.value.faults] == [
        "categories",
        "items/x",
        "items/y",
        "groupAwards/L0/g",
        "leafStates/L0",
        "lateDays",
        "events/0/unit",
        "events/0/indicator",
    ]
    with pytest.raises(InvalidInput) as caught:
        items = {"pick": ItemColumn.of([2]), "votes": ItemColumn.of_counts([{"a": -1}])}
        compute(scheme, Snapshot(["a"], ["c"], items, {"L0": ItemColumn.of([1])}))
    assert ["/".join(fault.path) for fault in caught.value.faults] == ["awards/L0", "items/pick/a", "items/votes/a"]


def test_columns_of_narrow_or_broken_types() -> None:
    scheme = scheme_of(document(leaf({**LINEAR, "fullAt": "99999"})))
    state = np.zeros(2, np.uint8)
    for kind in (np.int8, np.uint64, np.int32):
        column = ItemColumn(state, np.array([99, 100], kind), 0)
        assert compute(scheme, Snapshot(["a", "b"], ["c", "c"], {"x": column})).exact_totals() == [
            "1100/11111",
            "10000/99999",
        ]
    with pytest.raises(TypeError, match="whole numbers are needed"):
        compute(scheme, Snapshot(["a"], ["c"], {"x": ItemColumn(state[:1], np.array([1.5]), 0)}))
