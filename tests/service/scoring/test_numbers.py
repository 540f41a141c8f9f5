"""Whole numbers that never wrap, plain decimals, the one rounding, and the geometric mean against certified values."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.scoring import ItemColumn
from service.scoring.geometric import geometric_mean
from service.scoring.lists import Lists
from service.scoring.numbers import format_decimal, format_scaled, parse_decimal, round_half_up, scaled, show
from service.scoring.rounding import undecided
from service.scoring.sums import RationalSum, reduced
from service.scoring.whole import Whole, quotient, whole_array, whole_rationals
from tests.service.scoring.reference import geometric

QUIET = settings(deadline=None, max_examples=100, derandomize=True, database=None)
NUMBERS = st.lists(st.integers(-(2**70), 2**70), min_size=3, max_size=3)
SMALL = st.lists(st.integers(-(2**31), 2**31), min_size=3, max_size=3)


def plain(value: Whole) -> list[int]:
    return [value.at(i) for i in range(3)]


@QUIET
@given(NUMBERS | SMALL, NUMBERS | SMALL, st.integers(-(2**65), 2**65))
def test_whole_numbers_equal_python_integers(a: list[int], b: list[int], c: int) -> None:
    x, y = Whole.of(whole_array(a)), Whole.of(whole_array(b))
    pairs = list(zip(a, b, strict=True))
    assert plain(x + y) == [i + j for i, j in pairs]
    assert plain(x - y) == [i - j for i, j in pairs]
    assert plain(x * y) == [i * j for i, j in pairs]
    assert plain(x * c + y) == [i * c + j for i, j in pairs]
    assert plain(-x) == [-i for i in a]
    assert plain(x // (abs(c) + 1)) == [i // (abs(c) + 1) for i in a]
    assert plain(x.at_least(y)) == [max(i, j) for i, j in pairs]
    assert plain(x.at_most(c)) == [min(i, c) for i in a]
    assert (x >= y).tolist() == [i >= j for i, j in pairs]
    assert (x > c).tolist() == [i > c for i in a]
    assert (x < y).tolist() == [i < j for i, j in pairs]
    assert (x <= y).tolist() == [i <= j for i, j in pairs]
    assert x.equals(y).tolist() == [i == j for i, j in pairs]
    mask = x >= y
    assert plain(x.where(mask, y)) == [max(i, j) for i, j in pairs]
    assert plain(Whole.of(c).where(mask, 0)) == [c if i >= j else 0 for i, j in pairs]
    for value in (x + y, x * y, x * c):
        assert all(value.low <= own <= value.high for own in plain(value))


@QUIET
@given(NUMBERS, NUMBERS)
def test_sums_and_quotients_of_fractions(a: list[int], b: list[int]) -> None:
    below = [abs(i) + 1 for i in b]
    numerator, denominator = Whole.of(whole_array(a)), Whole.of(whole_array(below))
    found = RationalSum()
    found.add(numerator, denominator)
    found.add(numerator, Whole.of(7))
    found.add(numerator, Whole.of(3))
    top, bottom = found.total()
    wanted = [Fraction(i, j) + Fraction(i, 7) + Fraction(i, 3) for i, j in zip(a, below, strict=True)]
    assert [Fraction(top.at(i), bottom.at(i)) for i in range(3)] == wanted
    short = reduced(numerator, denominator)
    assert [(short[0].at(i), short[1].at(i)) for i in range(3)] == [
        (Fraction(i, j).numerator, Fraction(i, j).denominator) for i, j in zip(a, below, strict=True)
    ]
    for about, i, j in zip(quotient(numerator, denominator).tolist(), a, below, strict=True):
        exact = Fraction(i, j)
        assert abs(Fraction(about) - exact) <= 3 * Fraction(2) ** -53 * abs(exact)
    again = whole_rationals([Fraction(i, j) for i, j in zip(a, below, strict=True)])
    assert again[0].at(0) == Fraction(a[0], below[0]).numerator


@QUIET
@given(st.lists(st.fractions(0, 100, max_denominator=900), min_size=1, max_size=5), st.data())
def test_geometric_means_are_certified(values: list[Fraction], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 10_000), min_size=len(values), max_size=len(values)))
    parts = [(Fraction(weight), value) for weight, value in zip(weights, values, strict=True)]
    wanted = Fraction(0) if 0 in values else geometric(parts, Fraction(sum(weights)))
    assert geometric_mean(values, weights) == wanted


def test_geometric_means_that_are_rational() -> None:
    assert geometric_mean([Fraction(64), Fraction(81)], [1, 1]) == 72
    assert geometric_mean([Fraction(1, 3)], [5]) == Fraction(round(Fraction(10**30, 3)), 10**30)
    assert geometric_mean([Fraction(8), Fraction(27), Fraction(125)], [833, 833, 833]) == 30
    half = Fraction(2 * 10**30 + 1, 2 * 10**30)
    assert geometric_mean([half * 4, half / 4], [1, 1]) == 1
    odd = Fraction(2 * 10**30 + 3, 2 * 10**30)
    assert geometric_mean([odd * 4, odd / 4], [7, 7]) == Fraction(10**30 + 2, 10**30)


def test_half_up_also_below_zero() -> None:
    assert round_half_up(Fraction("90.985"), 2) == 9099
    assert round_half_up(Fraction("-0.005"), 2) == 0
    assert round_half_up(Fraction("-0.0051"), 2) == -1
    assert format_scaled(-5, 2) == "-0.05"
    assert format_scaled(9099, 2) == "90.99"
    assert format_scaled(7, 0) == "7"


def test_floats_decide_only_what_they_can() -> None:
    whole, open_ = undecided(np.array([90.98, 90.985, 12.3, 0.005]), 2, 1e-12)
    assert whole[[0, 2]].tolist() == [9098, 1230]
    assert open_.tolist() == [1, 3]
    assert undecided(np.array([1e15]), 2, 1e-12)[1].tolist() == [0]
    assert undecided(np.array([1.0, 2.0]), 2, float("inf"))[1].tolist() == [0, 1]


def test_plain_decimals() -> None:
    assert parse_decimal("-12.50") == Decimal("-12.50")
    for bad in ("", "1e3", "１", "1,0", "+1", "1.", ".1", "NaN", "--1", "1" * 39, "0." + "1" * 39):
        assert parse_decimal(bad) is None
    assert scaled(Decimal("1.25"), 2) == 125
    with pytest.raises(ValueError, match="more than 1 decimal places"):
        scaled(Decimal("1.25"), 1)
    assert format_decimal(Fraction(5, 4)) == "1.25"
    with pytest.raises(ValueError, match="no finite decimal"):
        format_decimal(Fraction(1, 3))
    assert show(Fraction(1, 3)) == "≈0.333333"
    assert show(Fraction(5, 2)) == "2.5"


@pytest.mark.parametrize("bad", ["NaN", "1e5", "１２", "1,000", "9" * 39, "1.00001"])
def test_columns_take_plain_decimals_only(bad: str) -> None:
    with pytest.raises(ValueError, match=r"not a plain decimal|more than 4"):
        ItemColumn.of([bad], scale=4)
    with pytest.raises(ValueError, match="not a finite number"):
        ItemColumn.of([Decimal("Infinity")])


def test_columns_of_wide_numbers_stay_exact() -> None:
    column = ItemColumn.of(["9" * 38, "-1"], scale=30)
    assert column.numbers.tolist() == [int("9" * 38) * 10**30, -(10**30)]
    assert ItemColumn.absent(2).state.tolist() == [2, 2]


def test_lists_are_trimmed_without_a_loop() -> None:
    for wide in (0, 10**30):
        flat = whole_array([5 + wide, 1 + wide, 9 + wide, 4 + wide, 7, 2])
        total, counts = Lists(flat, np.array([4, 0, 2]), 0).trimmed(1, 3)
        assert [total.at(i) for i in range(3)] == [9 + 2 * wide, 0, 9]
        assert counts.tolist() == [2, 0, 2]
