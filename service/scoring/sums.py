"""Sums of fractions, many at once (分数求和): those of one constant denominator first, which keeps the numbers
short.
"""

from math import gcd, lcm

import numpy as np

from service.scoring.whole import Whole, wide


class RationalSum:
    """Σ of fractions, those of one constant denominator first."""

    def __init__(self) -> None:
        self._constant: dict[int, Whole] = {}
        self._other: list[tuple[Whole, Whole]] = []

    def add(self, numerator: Whole, denominator: Whole) -> None:
        """Add one fraction per unit."""
        if denominator.scalar:
            below = int(denominator.value)
            known = self._constant.get(below)
            self._constant[below] = numerator if known is None else known + numerator
        else:
            self._other.append(reduced(numerator, denominator))

    def total(self) -> tuple[Whole, Whole]:
        """(numerator, denominator)."""
        common = lcm(*self._constant)
        numerator, denominator = Whole.of(0), Whole.of(common)
        for below, part in self._constant.items():
            numerator = part * (common // below) + numerator
        for above, below_each in self._other:
            numerator = numerator * below_each + above * denominator
            denominator = below_each * denominator
        return numerator, denominator


def reduced(numerator: Whole, denominator: Whole) -> tuple[Whole, Whole]:
    """Without common factors, and with bounds as tight as the numbers are."""
    if denominator.scalar and numerator.scalar:
        shared = gcd(int(numerator.value), int(denominator.value))
        return Whole.of(int(numerator.value) // shared), Whole.of(int(denominator.value) // shared)
    above, below = numerator.value, denominator.value
    if not (numerator.fits and denominator.fits):
        above, below = wide(above), wide(below)
    shared_each = np.gcd(above, below)
    return Whole.of(above // shared_each), Whole.of(below // shared_each)
