"""Exact numbers as people and files write them (精确数): plain decimals in, plain decimals and p/q out."""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from typing import Final

DIGITS: Final = 38
"""Most digits of a decimal that comes in."""

_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_WIDE: Final = Context(prec=4_000, traps=[InvalidOperation, Inexact])


def parse_decimal(text: str) -> Decimal | None:
    """A plain decimal: ASCII digits, perhaps a minus and one point; no exponent, plus sign, blank or separator.

    None if it is anything else or has more than 38 digits.
    """
    if len(text) > DIGITS + 2 or not _PLAIN.fullmatch(text):
        return None
    if sum(char.isdigit() for char in text) > DIGITS:
        return None
    return Decimal(text)


def scaled(value: Decimal, scale: int) -> int:
    """value × 10**scale as a whole number; raises ValueError where it has more places."""
    shifted = value.scaleb(scale, _WIDE)
    whole = int(shifted)
    if whole != shifted:
        raise ValueError(f"more than {scale} decimal places: {value}")
    return whole


def round_half_up(value: Fraction, places: int) -> int:
    """floor(value × 10**places + 1/2): the one rounding of this engine, also below 0."""
    scale: int = 10**places
    return (2 * value.numerator * scale + value.denominator) // (2 * value.denominator)


def format_scaled(value: int, places: int) -> str:
    """A whole number of 10**-places as a plain decimal with all its places: 9099, 2 → "90.99"."""
    if places == 0:
        return str(value)
    digits = str(abs(value)).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def format_rational(value: Fraction) -> str:
    """p/q in lowest terms, or p alone where q is 1."""
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def format_decimal(value: Decimal | Fraction) -> str:
    """A plain decimal without needless zeros; raises ValueError for a fraction that has no finite decimal form."""
    exact = Fraction(value)
    places = finite_places(exact)
    if places is None:
        raise ValueError(f"no finite decimal: {exact}")
    return format_scaled(int(exact * 10**places), places)


def finite_places(value: Fraction) -> int | None:
    """How many decimal places the number has; None if they never end."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def show(value: Fraction, places: int = 6) -> str:
    """For sentences: the exact decimal where it has at most `places` places, else about so many, marked "≈"."""
    exact = finite_places(value)
    if exact is not None and exact <= places:
        return format_scaled(int(value * 10**exact), exact)
    return "≈" + format_scaled(round_half_up(value, places), places).rstrip("0").rstrip(".")


def percent(value: Fraction) -> str:
    """A share as people read it: 3/4 → "75%"."""
    return show(value * 100, 4) + "%"
