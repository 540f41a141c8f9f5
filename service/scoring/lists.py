"""Many short lists of scores at once (评分列): sorted and trimmed per unit without a loop."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.whole import LIMIT, Whole, wide


@dataclass(frozen=True, slots=True)
class Lists:
    """One list per unit: `flat` in a row, that of unit i at starts[i] … starts[i] + lengths[i]; × 10**scale."""

    flat: NDArray[Any]
    lengths: NDArray[np.int64]
    scale: int

    @classmethod
    def none(cls, count: int) -> "Lists":
        """Nobody has any."""
        return cls(np.zeros(0, np.int64), np.zeros(count, np.int64), 0)

    @classmethod
    def cut(cls, numbers: NDArray[Any], starts: NDArray[np.int64], lengths: NDArray[np.int64], scale: int) -> "Lists":
        """Some units' lists out of a longer row."""
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return cls(numbers[index], lengths, scale)

    def trimmed(self, drop: int, drop_from: int) -> tuple[Whole, NDArray[np.int64]]:
        """(sum, how many) per unit, without the `drop` highest and lowest where there are at least `drop_from`."""
        count = len(self.lengths)
        flat = self.flat
        if drop:
            units = np.repeat(np.arange(count), self.lengths)
            flat = flat[_sorted_within(flat, units)]
        size = max(int(np.abs(flat).max()), 1) * len(flat) if len(flat) else 0
        sums = np.concatenate([np.zeros(1, flat.dtype), np.cumsum(flat if size < LIMIT else wide(flat))])
        starts = np.cumsum(self.lengths) - self.lengths
        cut = np.where((self.lengths >= drop_from) & (drop > 0), drop, 0)
        first, last = starts + cut, starts + self.lengths - cut
        return Whole.of(sums[last] - sums[first]), self.lengths - 2 * cut


def _sorted_within(flat: NDArray[Any], units: NDArray[np.int64]) -> NDArray[np.intp]:
    if flat.dtype != object:
        return np.lexsort((flat, units))
    return np.array(sorted(range(len(flat)), key=lambda place: (units[place], flat[place])), np.intp)
