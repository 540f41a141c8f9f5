"""Scalars: what travels as a string (标量).

Going out, a `Decimal` is written plainly (`str` would say `0E-8`), a `datetime` in UTC with six digits of the second, a
`date` as YYYY-MM-DD. Coming in, each stays the string that was typed: inside a mutation's input the use-case judges
it, so that a mistyped number comes back as an issue with its path; in an argument of a query `schema.arguments` does.
Output fields are annotated with the Python type, inputs with the `…Text` beside it.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, StringValueNode, ValueNode
from strawberry.types.scalar import ScalarDefinition

Rational = NewType("Rational", str)
"""An exact number as `p/q`, in a field; kept as text in the database."""

DecimalText = NewType("DecimalText", str)
"""A decimal as it was typed, in an input."""

DateText = NewType("DateText", str)
"""A date as it was typed, in an input."""

DateTimeText = NewType("DateTimeText", str)
"""An instant as it was typed, in an input."""


def write_decimal(value: object) -> str:
    """A plain decimal: no exponent, no plus sign. Text from the database is plain already."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise GraphQLError(f"Decimal cannot represent a {type(value).__name__}.")


def write_date(value: object) -> str:
    """YYYY-MM-DD."""
    return value.isoformat() if isinstance(value, date) else _text(value)


def write_instant(value: object) -> str:
    """UTC, six digits of the second: 2026-07-10T16:00:00.000000+00:00."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise GraphQLError(f"A string was expected, not a {type(value).__name__}.")


def _read(value: object) -> str:
    if isinstance(value, str):
        return value
    raise GraphQLError('A string was expected, in quotes ("…").')


def _read_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> str:
    if isinstance(node, StringValueNode):
        return node.value
    raise GraphQLError('A string was expected, in quotes ("…").', node)


def _scalar(name: str, description: str, url: str, serialize: Callable[[object], str]) -> ScalarDefinition:
    return strawberry.scalar(
        name=name,
        description=description,
        specified_by_url=url,
        serialize=serialize,
        parse_value=_read,
        parse_literal=_read_literal,
    )


_RFC_3339 = "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6"

DECIMAL = _scalar(
    "Decimal",
    "An exact decimal number as a string: at most 38 digits, no exponent, no plus sign, ASCII digits only. "
    'Example: "90.99".',
    "https://kaoping.example/scalars#decimal",
    write_decimal,
)
RATIONAL = _scalar(
    "Rational",
    'An exact number as a string "p/q" in lowest terms with q above 0, or "p" where q is 1. Example: "18197/200".',
    "https://kaoping.example/scalars#rational",
    _text,
)
DATE = _scalar("Date", "A calendar date in the tenant's time zone, YYYY-MM-DD.", _RFC_3339, write_date)
DATE_TIME = _scalar(
    "DateTime",
    "An instant with its offset, RFC 3339; always given back in UTC with six digits of the second.",
    _RFC_3339,
    write_instant,
)

SCALARS: dict[object, ScalarDefinition] = {
    Decimal: DECIMAL,
    DecimalText: DECIMAL,
    Rational: RATIONAL,
    date: DATE,
    DateText: DATE,
    datetime: DATE_TIME,
    DateTimeText: DATE_TIME,
}
"""For StrawberryConfig.scalar_map."""
