"""From the tree to the total (总得分): + bonus − deductions − late penalty, clamped, rounded once.

All of it is in the scheme's full marks. The total lies between 0 and the full marks plus the most that bonus can add,
or stops at the full marks where the scheme says so.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from service.scoring.aggregation import UNIT, Estimate
from service.scoring.exact import ExactScore
from service.scoring.settings import LatePenalty
from service.scoring.whole import Whole, quotient

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tail:
    """What comes after the tree, as counts of 1/unit per unit; ceiling None: no upper bound."""

    bonus: Whole
    deduction: Whole
    late: Whole
    unit: int
    full_marks: Fraction
    ceiling: Fraction | None

    @property
    def delta(self) -> Whole:
        """Bonus less deductions less penalty."""
        return self.bonus - self.deduction - self.late

    def estimate(self, root: Estimate) -> tuple[Floats, float]:
        """(totals in floats, bound of their error)."""
        factor = float(self.full_marks / 100)
        delta = quotient(self.delta, Whole.of(self.unit))
        raw = root.value * factor + delta
        total = np.maximum(raw, 0.0)
        size = float(np.abs(root.value).max(initial=0.0)) * factor + float(np.abs(delta).max(initial=0.0))
        if self.ceiling is not None:
            total = np.minimum(total, float(self.ceiling))
            size += float(self.ceiling)
        return np.asarray(total), root.absolute * factor * 1.01 + 12 * UNIT * size

    def exact(self, root: ExactScore, index: Index) -> tuple[Whole, Whole]:
        """Exact totals of some units: (numerator, denominator)."""
        up, down = self.full_marks.numerator, self.full_marks.denominator * 100
        numerator = root.numerator * (up * self.unit) + root.denominator * down * self.delta.take(index)
        denominator = root.denominator * (down * self.unit)
        numerator = numerator.at_least(0)
        if self.ceiling is not None:
            ceiling = denominator * self.ceiling.numerator
            numerator = (numerator * self.ceiling.denominator).at_most(ceiling)
            denominator = denominator * self.ceiling.denominator
        return numerator, denominator


def late_penalties(penalty: LatePenalty | None, days: NDArray[np.int64] | None, count: int) -> tuple[Whole, int]:
    """(penalties as counts of 1/unit, unit)."""
    if penalty is None or days is None or not days.any():
        return Whole.of(0), 1
    unit = lcm(penalty.points_per_day.denominator, penalty.cap.denominator if penalty.cap is not None else 1)
    amounts = Whole.of(days).at_least(0) * int(penalty.points_per_day * unit)
    return (amounts if penalty.cap is None else amounts.at_most(int(penalty.cap * unit))), unit
