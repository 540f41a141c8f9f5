"""Row objects: an instance of a Strawberry type over a record of the database, or over a JSON document (行对象).

They are made without `__init__`: their fields are read from the record when they are asked for.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import orjson

from schema.declarations import Table


class Kind(Enum):
    """What a row object's values come from, where it is no table."""

    DOCUMENT = "a JSON document"
    QUERY = "the columns of a query"
    ROOT = "nothing: a root, or a value that only gathers fields"


Source = Table | Kind


def make(cls: type[Any], record: Mapping[str, Any], source: Source) -> Any:
    """A row object of `cls`."""
    row: Any = object.__new__(cls)
    row.__dict__["_record"] = record
    row.__dict__["_source"] = source
    return row


def record_of(row: Any) -> Mapping[str, Any]:
    """The record of a row object; empty for a root."""
    record: Mapping[str, Any] = row.__dict__.get("_record", {}) if row is not None else {}
    return record


def source_of(row: Any) -> Source:
    """What a row object's values come from."""
    source: Source = row.__dict__.get("_source", Kind.ROOT) if row is not None else Kind.ROOT
    return source


def value_of(row: Any, name: str) -> Any:
    """A column of the row, or a key of its document (None where the document lacks it)."""
    record = record_of(row)
    return record.get(name) if source_of(row) is Kind.DOCUMENT else record[name]


def parse_document(value: Any) -> Any:
    """A JSON(B) value: asyncpg gives it as text."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value
