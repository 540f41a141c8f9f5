"""The one rounding (四舍五入): half up, decided in floats where a bound allows, else in whole numbers.

90.985 becomes 90.99 however it came about: a value is settled in floats only where no number within its error bound
would round another way.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.whole import Whole

Floats = NDArray[np.float64]
Index = NDArray[np.intp]
UNIT = 2.0**-53
EXACT_FLOATS = 2.0**51
"""Above this, half units are no longer floats: everything is decided in whole numbers."""


def undecided(value: Floats, places: int, error: float) -> tuple[NDArray[np.int64], Index]:
    """(value rounded half up to counts of 10**-places, places of the units that the bound does not decide)."""
    if not len(value):
        return np.zeros(0, np.int64), np.zeros(0, np.intp)
    shifted = value * 10.0**places + 0.5
    greatest = float(np.abs(shifted).max())
    if not greatest < EXACT_FLOATS or not np.isfinite(error):
        return np.zeros(len(value), np.int64), np.arange(len(value))
    whole = np.floor(shifted)
    rest = shifted - whole
    bound = error * 10.0**places + 4 * UNIT * (greatest + 1)
    return whole.astype(np.int64), np.flatnonzero((rest <= bound) | (rest >= 1 - bound))


def round_exact(numerator: Whole, denominator: Whole, places: int) -> Whole:
    """floor(numerator / denominator × 10**places + 1/2)."""
    scale: int = 10**places
    return (numerator * (2 * scale) + denominator) // (denominator * 2)


def rounded(
    value: Floats, places: int, error: float, exact: Callable[[Index], tuple[Whole, Whole]]
) -> tuple[NDArray[Any], int]:
    """(counts of 10**-places, how many were decided in whole numbers). `exact` gives numerators and denominators."""
    whole, open_ = undecided(value, places, error)
    if not len(open_):
        return whole, 0
    settled = round_exact(*exact(open_), places).array(len(open_))
    if settled.dtype == object:
        wide = whole.astype(object)
        wide[open_] = settled
        return wide, len(open_)
    whole[open_] = settled
    return whole, len(open_)
