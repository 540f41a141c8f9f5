"""The demo's scheme in the scoring engine: no fault, sums right, and a board with ties and units out of the ranking."""

from decimal import Decimal
from fractions import Fraction

import pytest

from service.demo.district import District, build
from service.demo.library import library
from service.demo.setup import LEAST_COVERAGE
from service.scoring import Result, Scheme, Status, compute, parse_scheme, point_sums
from tests.service.demo.engine import document, snapshot


@pytest.fixture(scope="module")
def scheme() -> Scheme:
    parsed, faults = parse_scheme(document(library()))
    assert not faults
    assert parsed is not None
    return parsed


@pytest.fixture(scope="module")
def district() -> District:
    return build(2026)


@pytest.fixture(scope="module")
def result(scheme: Scheme, district: District) -> Result:
    return compute(scheme, snapshot(library(), district))


def test_all_points_sum_up_for_every_category() -> None:
    sums = point_sums(document(library()))
    assert len(sums) > 100
    assert all(total.balanced for total in sums)


def test_planned_ties_share_their_ranks(district: District, result: Result) -> None:
    place = {unit.code: index for index, unit in enumerate(district.units)}
    for group in district.ties:
        exact = result.exact_fractions()
        assert len({exact[place[code]] for code in group}) == 1
        assert len({result.rank[place[code]] for code in group}) == 1
        assert all(result.shared[place[code]] >= len(group) for code in group)


def test_units_that_report_nothing_are_not_ranked_and_all_others_are(district: District, result: Result) -> None:
    own = [item.code for item in library().items.values() if item.responsible is None]
    silent = {unit.code for unit in district.units if all(district.value(unit.code, item) is None for item in own)}
    assert len(silent) == 2
    for place, unit in enumerate(district.units):
        below = result.coverage(place) < Fraction(LEAST_COVERAGE)
        assert (result.status[place] == Status.LOW_COVERAGE) == (unit.code in silent) == below


@pytest.mark.parametrize("seed", [1, 2026, 31])
def test_totals_spread_as_in_a_real_district(scheme: Scheme, seed: int) -> None:
    district = build(seed)
    totals = compute(scheme, snapshot(library(), district)).totals()
    ordered = sorted(Decimal(total) for total in totals if total is not None)
    assert len(ordered) == len(district.units)
    assert 80 < ordered[len(ordered) // 2] < 95
    assert ordered[-1] <= 100
    assert ordered[len(ordered) // 10] < 85
