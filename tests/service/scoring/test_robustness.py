"""Draws of weights against the reference under the same weights; seats that flip; ranks with one node left out."""

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.scoring import Event, compute, robustness
from service.scoring.robustness import Draws, factors_of, ranks_without
from tests.service.scoring.agreement import scheme_of
from tests.service.scoring.build import LINEAR, document, leaf, run
from tests.service.scoring.cases import Case, snapshot_of
from tests.service.scoring.reference import Reference, Unit

Y = {**LINEAR, "quantity": {"numerator": {"terms": [{"dataItem": "y"}]}}}
LOOSE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
DRAWS = 4


class Weighed(Reference):
    """The reference with every weight multiplied; full marks stay as they are."""

    factors: dict[str, int]

    def weight(self, code: str, category: str) -> Fraction:
        return super().weight(code, category) * self.factors.get(code, 1)

    def full_marks(self, code: str, category: str) -> Fraction:
        full = self.nodes[code]["rule"].get("full")
        if full is not None:
            return Fraction(full)
        return Reference.weight(self, code, category) if self.points else Fraction(100)


def totals_of(document_: dict[str, Any], units: list[Unit], factors: dict[str, int]) -> list[int | None]:
    reference = Weighed(document_, units)
    reference.factors = factors
    places = document_["settings"]["roundingPlaces"]
    exact = [reference.total(unit).exact for unit in units]
    return [None if value is None else floor(value * 10**places + Fraction(1, 2)) for value in exact]


@settings(LOOSE, max_examples=50)
@given(st.integers(0, 2**48))
def test_every_cell_of_every_draw_is_exact(seed: int) -> None:
    case = Case(seed)
    scheme = scheme_of(case)
    result = compute(scheme, snapshot_of(scheme, case.units))
    factors = factors_of(scheme, seed, DRAWS, 1_000)
    for one in result.runs:
        live = np.flatnonzero(result.status[one.index] == 0)
        if not len(live):
            continue
        got = Draws(scheme, one, live, factors).totals(0, DRAWS)
        for draw in range(DRAWS):
            own = {code: int(factors[code][draw]) for code in factors}
            wanted = totals_of(case.document, case.units, own)
            assert [int(total) for total in got[draw]] == [wanted[int(one.index[place])] for place in live]


@settings(LOOSE, max_examples=40)
@given(st.integers(0, 2**48))
def test_ranks_without_a_node_equal_the_reference_without_its_weight(seed: int) -> None:
    case = Case(seed)
    scheme = scheme_of(case)
    result = compute(scheme, snapshot_of(scheme, case.units))
    codes = [node.code for node in scheme.scored[1:]][:3]
    found = ranks_without(scheme, result, codes)
    for code in codes:
        totals = totals_of(case.document, case.units, {code: 0})
        ranked = [
            unit for unit, status in enumerate(result.statuses()) if status == "RANKED" and totals[unit] is not None
        ]
        for unit, own in enumerate(found[code]):
            peers = [totals[u] for u in ranked if case.units[u].category == case.units[unit].category]
            mine = totals[unit] if unit in ranked else None
            wanted = None if mine is None else 1 + sum(total is not None and total > mine for total in peers)
            assert own == wanted


def test_the_same_seed_gives_the_same_intervals() -> None:
    what = document(leaf(LINEAR, weight="2"), leaf(Y, weight="3"))
    values: dict[str, list[Any]] = {"x": ["90", "80", "10", "50"], "y": ["10", "20", "65", "50"]}
    result = run(what, values)
    first, second = (robustness(result.scheme, result, seed=7, draws=200) for _ in range(2))
    assert first.low.tolist() == second.low.tolist()
    assert first.high.tolist() == second.high.tolist()
    assert first.low[3] == first.high[3] == 1
    assert (first.low <= result.rank).all()
    assert (first.high >= result.rank).all()
    assert (first.high > first.low).any()


def test_a_seat_that_flips_is_named() -> None:
    grades = [{"code": "A", "name": "优秀", "share": "0.5"}, {"code": "B", "name": "合格"}]
    what = document(leaf(LINEAR), leaf(Y), grades=grades)
    result = run(what, {"x": ["90", "80.02"], "y": ["80", "89.9"]})
    assert result.grades() == ["A", "B"]
    found = robustness(result.scheme, result, seed=3, draws=300)
    (flip,) = found.flips
    assert (flip.grade, flip.holder, flip.next) == ("A", 0, 1)
    assert Fraction(3, 10) < flip.share < Fraction(7, 10)
    assert flip.text.zh.startswith("优秀名额边缘：第1名与第2名相差0.04分，权重略变即互换")


def test_totals_on_a_rounding_edge_in_every_draw_stay_exact() -> None:
    bonus = {"kind": "DEDUCTION", "pot": "减分", "levels": [{"code": "l", "name": "通报", "points": "0.125"}]}
    what = document(leaf(LINEAR), leaf(Y), {"rule": bonus})
    del what["indicators"][-1]["weight"]
    events = [Event(key="e", unit="u0", indicator="L2", level="l")]
    result = run(what, {"x": ["100", "99.87"], "y": ["100", "99.87"]}, events=events)
    assert result.totals() == ["99.88", "99.87"]
    found = robustness(result.scheme, result, draws=100)
    assert found.settled == 0
    assert found.low.tolist() == found.high.tolist() == [1, 2]


def test_ranks_with_one_node_left_out() -> None:
    what = document(leaf(LINEAR), leaf(Y))
    result = run(what, {"x": ["90", "80"], "y": ["10", "70"]})
    assert result.ranks() == [2, 1]
    assert ranks_without(result.scheme, result, ["L0", "L1"]) == {"L0": [2, 1], "L1": [1, 2]}


def test_draws_can_be_cancelled() -> None:
    result = run(document(leaf(LINEAR)), {"x": ["1", "2"]})

    def stop(done: int, draws: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        robustness(result.scheme, result, progress=stop)
