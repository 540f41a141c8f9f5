"""Keyset paging: where a page begins is the sort key of its neighbour, not a count of rows (游标分页).

A cursor is the base64url of a JSON array: a digest that binds it to its list, filter and order, then the row's sort
keys as texts; the last key is always the row's id, so that no two rows share a cursor. Null sorts last in either
direction. A cursor is checked before it reaches SQL; whoever forges one sees no more than by asking for another page.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from service.ids import base64url_sql, from_base64url

MAX_CURSOR_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: SQL over {r}, its type, its direction.

    Types: text, bytea, bigint, numeric, date, timestamptz, uuid, boolean. `joined` is the row of another table that the
    key is read from: a JOIN that finds exactly one for each {r}, and no null in it. An index of that table may then
    give the order, where a sub-select would be asked for each row there is.
    """

    sql: str
    type: str = "text"
    nullable: bool = False
    descending: bool = False
    joined: str = ""


UNIT_CODE: Final = Key(
    "uo.code",
    joined="""JOIN cycle_units uo ON uo.tenant_id = {tenant} AND uo.cycle_id = {r}.cycle_id
              AND uo.id = {r}.cycle_unit_id""",
)
"""The code of a row's unit, of rows that have `cycle_id` and `cycle_unit_id`."""


def joins_of(keys: Iterable[Key]) -> list[str]:
    """What keys are read from besides {r}."""
    return list(dict.fromkeys(key.joined for key in keys if key.joined))


def pinyin(expression: str) -> str:
    """SQL for a sort key (bytea) that puts Han names in pinyin order, ASCII before them.

    GB 18030 lists the 3,755 common characters by their reading, the others by radical. PostgreSQL need know no Chinese
    collation for that.
    """
    return f"convert_to({expression}, 'GB18030')"


def order_by(keys: Sequence[Key], expressions: Sequence[str], *, backward: bool = False) -> str:
    """The ORDER BY list; backward gives exactly the reverse."""
    parts = []
    for key, expression in zip(keys, expressions, strict=True):
        descending = key.descending != backward
        nulls = (" NULLS FIRST" if backward else " NULLS LAST") if key.nullable else ""
        parts.append(f"{expression}{' DESC' if descending else ''}{nulls}")
    return ", ".join(parts)


def beyond(
    keys: Sequence[Key],
    expressions: Sequence[str],
    values: Sequence[str | None],
    bind: Callable[[str, str], str],
    *,
    backward: bool = False,
) -> str:
    """The predicate "strictly after the row with these key values"; backward, strictly before it."""
    bound = [
        None if value is None else f"{bind(value, 'text')}::{key.type}" for key, value in zip(keys, values, strict=True)
    ]
    begin = beginning(keys, expressions, bound, backward=backward)
    directions = {key.descending for key in keys}
    if len(directions) == 1 and not any(key.nullable for key in keys) and None not in bound:
        sign = "<" if directions.pop() != backward else ">"
        return f"{begin}({', '.join(expressions)}) {sign} ({', '.join(str(value) for value in bound)})"
    condition = ""
    for key, expression, value in reversed(list(zip(keys, expressions, bound, strict=True))):
        strict, equal = _steps(key, expression, value, backward=backward)
        condition = f"({strict} OR ({equal} AND {condition}))" if condition else strict
    return begin + condition


def beginning(keys: Sequence[Key], expressions: Sequence[str], values: Sequence[object], *, backward: bool) -> str:
    """What "beyond" says of the first key, once more, where that is of another table: its index finds it by this."""
    if not keys[0].joined:
        return ""
    return f"{expressions[0]} {'<' if keys[0].descending != backward else '>'}= {values[0]} AND "


def _steps(key: Key, expression: str, value: str | None, *, backward: bool) -> tuple[str, str]:
    if value is None:
        return (f"{expression} IS NOT NULL" if backward else "FALSE"), f"{expression} IS NULL"
    sign = "<" if key.descending != backward else ">"
    strict = f"{expression} {sign} {value}"
    if key.nullable and not backward:
        strict = f"({strict} OR {expression} IS NULL)"
    return strict, f"{expression} = {value}"


def cursor_sql(digest: str, expressions: Sequence[str]) -> str:
    """SQL for a row's cursor; `digest` is SQL too."""
    texts = "".join(f", ({expression})::text" for expression in expressions)
    return base64url_sql(f"json_build_array({digest}{texts})::text")


def read_cursor(text: str, digest: str, keys: Sequence[Key]) -> list[str | None] | None:
    """The key values in a cursor, or None where it is not a cursor of this list, filter and order."""
    plain = from_base64url(text, max_length=MAX_CURSOR_LENGTH)
    if plain is None:
        return None
    try:
        parts = json.loads(plain.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(parts, list) or len(parts) != len(keys) + 1 or parts[0] != digest:
        return None
    values: list[str | None] = parts[1:]
    if not all(value is None or isinstance(value, str) for value in parts[1:]):
        return None
    for key, value in zip(keys, values, strict=True):
        if not (key.nullable if value is None else _CHECKS[key.type](value)):
            return None
    return values


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _is_text(value: str) -> bool:
    # PostgreSQL keeps neither of the two: the null character, and halves of surrogate pairs.
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_instant(pattern: str, parse: Callable[[str], object]) -> Callable[[str], bool]:
    shaped = _matches(pattern)

    def check(value: str) -> bool:
        if not shaped(value):
            return False
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CHECKS: dict[str, Callable[[str], bool]] = {
    "text": _is_text,
    "bytea": _matches(r"\\x([0-9a-f]{2})*"),
    "bigint": _matches(r"-?[0-9]{1,18}"),
    "numeric": _matches(r"-?[0-9]{1,60}(\.[0-9]{1,60})?"),
    "date": _is_instant(_DAY, date.fromisoformat),
    "timestamptz": _is_instant(
        _DAY + r" [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?[+-][0-9]{2}(:[0-9]{2})?", datetime.fromisoformat
    ),
    "uuid": _matches(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "boolean": _matches(r"true|false"),
}
