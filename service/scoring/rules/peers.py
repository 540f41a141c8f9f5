"""Comparing the units of one category exactly (同类比较): the greatest and the least, and the order, of fractions.

Floats find the few candidates, whole numbers decide among them: a quotient that is wrong by 3 units in the last place
can't hide a greater one that lies further off than 8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.quantities import Ratio
from service.scoring.sums import reduced
from service.scoring.whole import Mask, quotient

Places = NDArray[np.intp]
UNIT = 2.0**-53
NEAR = 8 * UNIT


def compared(usable: Mask, ratio: Ratio) -> Mask:
    """Units that are compared: those with a value."""
    undefined = ratio.undefined
    return usable if undefined is None else usable & ~undefined


def extremes(ratio: Ratio, mask: Mask) -> tuple[Fraction, Fraction] | None:
    """(greatest, least) x among some units; None if there are none."""
    index = np.flatnonzero(mask)
    if not len(index):
        return None
    numerator, denominator = ratio.numerator.take(index), ratio.denominator.take(index)
    if numerator.scalar and denominator.scalar:
        only = Fraction(numerator.at(0), denominator.at(0))
        return only, only
    if denominator.scalar:
        below = int(denominator.value)
        return Fraction(int(numerator.value.max()), below), Fraction(int(numerator.value.min()), below)
    about = quotient(numerator, denominator)
    top, bottom = float(np.max(about)), float(np.min(about))
    high = np.flatnonzero(about >= top - NEAR * abs(top))
    low = np.flatnonzero(about <= bottom + NEAR * abs(bottom))
    return _best(numerator.at, denominator.at, high, max), _best(numerator.at, denominator.at, low, min)


def _best(
    numerator: Callable[[int], int],
    denominator: Callable[[int], int],
    index: NDArray[np.intp],
    choose: Callable[..., Fraction],
) -> Fraction:
    pairs = {(numerator(int(i)), denominator(int(i))) for i in index}
    return choose(Fraction(a, b) for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Order:
    """The compared units, least first: their places, and the first and last place of each one's equals."""

    index: NDArray[np.intp]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def order(ratio: Ratio, mask: Mask) -> Order:
    """Exact order of x among some units."""
    index = np.flatnonzero(mask)
    count = len(index)
    empty = np.zeros(0, np.int64)
    if not count:
        return Order(index, empty, empty)
    numerator, denominator = ratio.numerator.take(index), ratio.denominator.take(index)
    if denominator.scalar and isinstance(numerator.value, np.ndarray) and numerator.value.dtype == np.int64:
        sorted_places = np.argsort(numerator.value, kind="stable")
        new = np.r_[True, np.diff(numerator.value[sorted_places]) != 0]
    else:
        about = np.broadcast_to(quotient(numerator, denominator), (count,))
        top, bottom = (part.array(count) for part in reduced(numerator, denominator))
        sorted_places, new = exact_order(
            about,
            NEAR,
            0.0,
            lambda i: Fraction(numerator.at(i), denominator.at(i)),
            lambda a, b: np.asarray((top[a] == top[b]) & (bottom[a] == bottom[b]), bool),
        )
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    ends = np.append(starts[1:], count) - 1
    return Order(index[sorted_places], starts[group], ends[group])


def exact_order(
    about: NDArray[np.float64],
    relative: float,
    absolute: float,
    exact: Callable[[int], Any],
    same: Callable[[Places, Places], Mask] | None = None,
) -> tuple[Places, Mask]:
    """Sort by exact values known approximately: (order, where a new value begins).

    about: floats, each off by less than (relative × |value| + absolute) / 2. exact: the exact value of one place, asked
    for only inside runs of neighbours that the floats can't tell apart. same: whether places are equal, many at once;
    a run of equals then needs no exact value at all.
    """
    sorted_places = np.argsort(about, kind="stable")
    values = about[sorted_places]
    count = len(values)
    new = np.ones(count, bool)
    if count < 2:
        return sorted_places, new
    size = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    near = values[1:] - values[:-1] <= relative * size + absolute
    new[1:] = ~near
    if not near.any():
        return sorted_places, new
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], count)
    open_ = ends - starts > 1
    if same is not None:
        differ = np.r_[False, near & ~same(sorted_places[1:], sorted_places[:-1])]
        open_ &= np.add.reduceat(differ, starts, dtype=np.int64) > 0
    for start, end in zip(starts[open_].tolist(), ends[open_].tolist(), strict=True):
        run = [(exact(int(place)), int(place)) for place in sorted_places[start:end]]
        run.sort(key=lambda pair: pair[0])
        sorted_places[start:end] = [place for _, place in run]
        new[start + 1 : end] = [run[i][0] != run[i - 1][0] for i in range(1, len(run))]
    return sorted_places, new
