"""SQL whose parameters have names (具名参数), for statements that are put together of parts; and literals.

PostgreSQL's parameters are numbered, so a part could not be moved into another statement. Here a part says `:name`, and
the numbers are given when the whole is known.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


def bound(sql: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The statement with `$n` for each `:name`, and its values, as `fetch(*bound(…))` takes them.

    Values that it does not name are left out.
    """
    text, names = _numbered(sql)
    return (text, *(values[name] for name in names))


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(dict.fromkeys(_NAME.findall(sql)))
    places = {name: f"${place}" for place, name in enumerate(names, 1)}
    return _NAME.sub(lambda match: places[match[1]], sql), names


def literal(value: str | UUID | None) -> str:
    """A value as it is written into SQL (字面量), for EXECUTE alone, which PostgreSQL gives no parameters.

    The server reads it by `standard_conforming_strings`, on since PostgreSQL 9.1. Raises ValueError for a text with
    U+0000, which would end the message.
    """
    if value is None:
        return "NULL"
    if isinstance(value, UUID):
        return f"'{value}'"
    if "\x00" in value:
        raise ValueError("PostgreSQL keeps no text with U+0000.")
    return "'" + value.replace("'", "''") + "'"
