"""Column types that Tortoise does not bring: numbers without a declared scale, and arrays of ids, texts and numbers."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tortoise.fields import Field


class NumericField(Field[Decimal]):
    """An exact decimal of any scale (`numeric`): values of data items have up to 38 digits, with up to 30 places."""

    SQL_TYPE = "NUMERIC"
    field_type = Decimal


class _ListField(Field[list[Any]]):
    field_type = list

    def to_db_value(self, value: Sequence[Any] | None, instance: Any) -> list[Any] | None:
        return None if value is None else list(value)


class UUIDArrayField(_ListField):
    """Ids in order (`uuid[]`)."""

    SQL_TYPE = "UUID[]"


class TextArrayField(_ListField):
    """Texts in order (`text[]`)."""

    SQL_TYPE = "TEXT[]"


class NumericArrayField(_ListField):
    """Exact decimals in order (`numeric[]`)."""

    SQL_TYPE = "NUMERIC[]"
