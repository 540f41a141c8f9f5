"""The geometric mean, rounded once (几何平均): its true value half-even to 30 decimals, and exact from there on.

Interval arithmetic in growing precision: logarithms and exponentials of the decimal module are correctly rounded, so
the true value lies within a known distance. If a point halfway between two decimals lies in that interval, it is
decided whether the mean is exactly that point: Π sᵢ^wᵢ = h^W, compared by exponents over a common base, never as huge
powers.
"""

from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from math import gcd
from typing import Final

PLACES: Final = 30


def geometric_mean(values: Sequence[Fraction], weights: Sequence[int]) -> Fraction:
    """Π value^(weight ÷ Σ weights), rounded half-even to 30 decimals. Values at least 0, weights above 0."""
    if any(value == 0 for value in values):
        return Fraction(0)
    if all(value == values[0] for value in values):
        return _rounded(values[0])
    total = sum(weights)
    digits = 60
    while True:
        low, high = _enclosure(values, weights, total, digits)
        bottom, top = _rounded(low), _rounded(high)
        if bottom == top:
            return bottom
        half = (bottom + top) / 2
        if top - bottom == Fraction(1, 10**PLACES) and _is_mean(half, values, weights, total):
            return _rounded(half)
        digits *= 2


def _rounded(value: Fraction) -> Fraction:
    """Half-even to 30 decimals."""
    return Fraction(round(value * 10**PLACES), 10**PLACES)


def _enclosure(
    values: Sequence[Fraction], weights: Sequence[int], total: int, digits: int
) -> tuple[Fraction, Fraction]:
    context = Context(prec=digits, rounding=ROUND_HALF_EVEN, Emax=MAX_EMAX, Emin=MIN_EMIN)
    mean, size = Decimal(0), Decimal(1)
    for value, weight in zip(values, weights, strict=True):
        for sign, part in ((1, value.numerator), (-1, value.denominator)):
            log = context.ln(Decimal(part))
            size = max(size, log)
            mean = context.add(mean, context.multiply(Decimal(sign * weight), log))
    mean = context.divide(mean, Decimal(total))
    about = Fraction(context.exp(mean))
    terms = 2 * len(values) + 4
    # Each of some 3 roundings per term is off by at most half a unit in the last of `digits` places of a partial sum
    # of at most terms × size (weights ÷ total is at most 1); exp turns an absolute error into a relative one.
    error = Fraction(size) * terms * terms * 4 / 10 ** (digits - 1) + Fraction(4, 10**digits)
    return about * (1 - 2 * error), about * (1 + 2 * error)


def _is_mean(point: Fraction, values: Sequence[Fraction], weights: Sequence[int], total: int) -> bool:
    """Whether Π value^weight = point^total, exactly."""
    powers: list[tuple[int, int]] = []
    for value, weight in zip(values, weights, strict=True):
        powers += [(value.numerator, weight), (value.denominator, -weight)]
    powers += [(point.numerator, -total), (point.denominator, total)]
    return _product_is_one(powers)


def _product_is_one(powers: list[tuple[int, int]]) -> bool:
    """Whether Π base^exponent = 1, by splitting the bases until they share no factor."""
    base: dict[int, int] = {}
    pending = [(number, exponent) for number, exponent in powers if number > 1 and exponent]
    while pending:
        number, exponent = pending.pop()
        for other in list(base):
            shared = gcd(number, other)
            if shared == 1:
                continue
            old = base.pop(other)
            pending += [(shared, exponent + old), (number // shared, exponent), (other // shared, old)]
            break
        else:
            base[number] = base.get(number, 0) + exponent
        pending = [(n, e) for n, e in pending if n > 1 and e]
        base = {n: e for n, e in base.items() if e}
    return not base
