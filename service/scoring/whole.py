"""Whole numbers that never wrap round (整数列): int64 while every result fits, Python integers as soon as one
might not.

NumPy wraps silently, so every number carries its bounds: an operation first works out the bounds of its result in
Python integers, and only below LIMIT does it stay in machine words. No rule has to think of overflow, and none can
forget to.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 2**62
"""Bound under which arithmetic stays in int64."""

Mask = NDArray[np.bool_]
Value = Any
"""An int, or an array of int64 or of Python ints."""


def wide(value: Value) -> Value:
    """The same numbers as Python ints."""
    if isinstance(value, np.ndarray):
        return value if value.dtype == object else value.astype(object)
    return np.array(int(value), object)


def _machine_words(value: NDArray[Any]) -> NDArray[Any]:
    """Narrower whole numbers as int64: in their own type they would wrap long before any bound is reached."""
    if value.dtype.kind not in "iub":
        raise TypeError(f"whole numbers are needed, not {value.dtype}")
    return value.astype(object if value.dtype == np.uint64 else np.int64)


def _fits(low: int, high: int) -> bool:
    return low > -LIMIT and high < LIMIT


def _greater(a: Value, b: Value) -> Value:
    return np.maximum(a, b)


def _smaller(a: Value, b: Value) -> Value:
    return np.minimum(a, b)


class Whole:
    """A whole number, or one per unit, with bounds that hold for all of them."""

    __slots__ = ("high", "low", "value")

    def __init__(self, value: Value, low: int, high: int) -> None:
        self.value = value
        self.low = low
        self.high = high

    @classmethod
    def of(cls, value: "Value | Whole") -> "Whole":
        """From an int or an array, with its actual bounds."""
        if isinstance(value, Whole):
            return value
        if not isinstance(value, np.ndarray):
            return cls(int(value), int(value), int(value))
        if value.dtype != np.int64 and value.dtype != object:
            value = _machine_words(value)
        if not value.size:
            return cls(value, 0, 0)
        low, high = int(value.min()), int(value.max())
        if value.dtype == object and _fits(low, high):
            value = value.astype(np.int64)
        elif not _fits(low, high):
            value = wide(value)
        return cls(value, low, high)

    @property
    def scalar(self) -> bool:
        """Whether it is one number for all units."""
        return not isinstance(self.value, np.ndarray)

    @property
    def fits(self) -> bool:
        """Whether every number is sure to be a machine word."""
        return _fits(self.low, self.high)

    def _with(self, other: "Value | Whole", low: int, high: int, work: Callable[[Value, Value], Value]) -> "Whole":
        second = Whole.of(other)
        if self.scalar and second.scalar:
            return Whole.of(int(work(self.value, second.value)))
        if _fits(low, high) and _fits(self.low, self.high) and _fits(second.low, second.high):
            return Whole(work(self.value, second.value), low, high)
        return Whole(work(wide(self.value), wide(second.value)), low, high)

    def __add__(self, other: "Value | Whole") -> "Whole":
        second = Whole.of(other)
        return self._with(second, self.low + second.low, self.high + second.high, lambda a, b: a + b)

    def __sub__(self, other: "Value | Whole") -> "Whole":
        second = Whole.of(other)
        return self._with(second, self.low - second.high, self.high - second.low, lambda a, b: a - b)

    def __mul__(self, other: "Value | Whole") -> "Whole":
        second = Whole.of(other)
        if second.scalar and second.value == 1:
            return self
        corners = [a * b for a in (self.low, self.high) for b in (second.low, second.high)]
        return self._with(second, min(corners), max(corners), lambda a, b: a * b)

    def __neg__(self) -> "Whole":
        return Whole(-self.value, -self.high, -self.low)

    def __floordiv__(self, divisor: "Value | Whole") -> "Whole":
        """Rounded down; the divisor is above 0."""
        second = Whole.of(divisor)
        low, high = min(self.low, 0), max(self.high, 0)
        return self._with(second, low, high, lambda a, b: a // b)

    def at_least(self, other: "Value | Whole") -> "Whole":
        """The greater of the two."""
        second = Whole.of(other)
        return self._with(second, max(self.low, second.low), max(self.high, second.high), _greater)

    def at_most(self, other: "Value | Whole") -> "Whole":
        """The smaller of the two."""
        second = Whole.of(other)
        return self._with(second, min(self.low, second.low), min(self.high, second.high), _smaller)

    def _compare(self, other: "Value | Whole", work: Callable[[Value, Value], Value]) -> Mask:
        second = Whole.of(other)
        if _fits(self.low, self.high) and _fits(second.low, second.high):
            return np.asarray(work(self.value, second.value), bool)
        return np.asarray(work(wide(self.value), wide(second.value)), bool)

    def __ge__(self, other: "Value | Whole") -> Mask:
        return self._compare(other, lambda a, b: a >= b)

    def __gt__(self, other: "Value | Whole") -> Mask:
        return self._compare(other, lambda a, b: a > b)

    def __le__(self, other: "Value | Whole") -> Mask:
        return self._compare(other, lambda a, b: a <= b)

    def __lt__(self, other: "Value | Whole") -> Mask:
        return self._compare(other, lambda a, b: a < b)

    def equals(self, other: "Value | Whole") -> Mask:
        """Where the two are equal."""
        return self._compare(other, lambda a, b: a == b)

    def where(self, mask: Mask, other: "Value | Whole") -> "Whole":
        """This where the mask holds, the other elsewhere."""
        second = Whole.of(other)
        low, high = min(self.low, second.low), max(self.high, second.high)
        if _fits(low, high):
            return Whole(np.where(mask, self.value, second.value), low, high)
        return Whole(np.where(mask, wide(self.value), wide(second.value)), low, high)

    def take(self, index: NDArray[np.intp]) -> "Whole":
        """The numbers of some units; bounds stay."""
        return self if self.scalar else Whole(self.value[index], self.low, self.high)

    def array(self, count: int) -> NDArray[Any]:
        """One number per unit."""
        if isinstance(self.value, np.ndarray) and self.value.ndim:
            return self.value
        if _fits(self.low, self.high):
            return np.full(count, self.value, np.int64)
        filled = np.empty(count, object)
        filled[:] = int(self.value)
        return filled

    def at(self, index: int) -> int:
        """The number of one unit."""
        if isinstance(self.value, np.ndarray) and self.value.ndim:
            return int(self.value[index])
        return int(self.value)


def quotient(numerator: Whole, denominator: Whole) -> NDArray[np.float64]:
    """numerator / denominator in floats, wrong by at most 3 units in the last place (half a unit for wide numbers).

    Machine words: two conversions and one division. Python ints: int / int is correctly rounded.
    """
    a, b = numerator.value, denominator.value
    if _fits(numerator.low, numerator.high) and _fits(denominator.low, denominator.high):
        return np.asarray(np.true_divide(a, b), np.float64)
    return np.asarray(np.true_divide(wide(a), wide(b)), np.float64)


def whole_rationals(values: Sequence[Fraction]) -> tuple[Whole, Whole]:
    """Fractions as (numerators, denominators), for the few rules that are worked out unit by unit."""
    return Whole.of(whole_array([v.numerator for v in values])), Whole.of(whole_array([v.denominator for v in values]))


def whole_array(values: Sequence[int]) -> NDArray[Any]:
    """Python ints as an int64 array where all fit, else as an object array."""
    try:
        return np.array(values, np.int64)
    except OverflowError:
        found = np.empty(len(values), object)
        found[:] = values
        return found
