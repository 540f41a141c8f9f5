"""Arguments of queries as parameters of SQL: what was typed is checked here, since no use-case sees it (查询参数).

A fault is a request error with the path of the argument, such as ["filter", "underId"].
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, get_args
from uuid import UUID

from strawberry import ID, UNSET
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from schema.declarations import Argument, Condition
from schema.faults import RequestFault
from schema.scalars import DateText, DateTimeText, DecimalText
from schema.sql import Bound
from service.checks import Check
from service.errors import ErrorCode
from service.language import Language
from service.scoring.text import Text

MAX_TEXT = 1000
"""Characters of a text argument."""

SQL_TYPES: dict[Any, str] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    ID: "uuid",
    DecimalText: "numeric",
    DateText: "date",
    DateTimeText: "timestamptz",
}
"""SQL type of an argument by its annotation; enumerations travel as text."""


def sql_type(annotation: Any) -> str:
    """The SQL type of an annotation without its null; lists are arrays."""
    if isinstance(annotation, StrawberryOptional):
        return sql_type(annotation.of_type)
    if isinstance(annotation, StrawberryList):
        return sql_type(annotation.of_type) + "[]"
    if isinstance(annotation, StrawberryEnumDefinition) or (
        isinstance(annotation, type) and issubclass(annotation, Enum)
    ):
        return "text"
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if len(inner) == 1:
        return sql_type(inner[0]) + ("[]" if annotation.__class__ is type(list[int]) else "")
    return SQL_TYPES[annotation]


def read_argument(argument: Argument, given: Any, language: Language) -> tuple[Any, str]:
    """Value and SQL type of a field's argument; raises RequestFault."""
    kind = sql_type(argument.annotation)
    return read_value(given, kind, argument.of, (to_camel_case(argument.name),), language), kind


def own_places(arguments: Sequence[Argument], given: Mapping[str, Any], language: Language) -> dict[str, str | Bound]:
    """The places of a field's own arguments; raises RequestFault."""
    places: dict[str, str | Bound] = {}
    for argument in arguments:
        value, kind = read_argument(argument, given.get(argument.name), language)
        places[argument.name] = Bound(argument.name, value, kind)
    return places


def read_condition(field: StrawberryField, condition: Condition, given: Any, language: Language) -> tuple[Any, str]:
    """Value and SQL type of a filter's field; raises RequestFault."""
    path = ("filter", to_camel_case(field.python_name.rstrip("_")))
    kind = sql_type(field.type)
    if isinstance(given, list) and len(given) > condition.limit:
        raise RequestFault(
            language,
            ErrorCode.TOO_LARGE,
            path,
            Text(
                zh=f"最多{condition.limit}项，收到{len(given)}项。",
                en=f"At most {condition.limit} items; got {len(given)}.",
            ),
        )
    read = read_value(given, kind, condition.of, path, language)
    return (like_pattern(read) if condition.contains and read is not None else read), kind


def read_value(given: Any, kind: str, of: str | None, path: tuple[str, ...], language: Language) -> Any:
    """One value as asyncpg wants it for the SQL type `kind`; raises RequestFault."""
    if given is None or given is UNSET:
        return None
    if kind.endswith("[]"):
        inner = kind.removesuffix("[]")
        return [read_value(item, inner, of, (*path, str(i)), language) for i, item in enumerate(given)]
    if isinstance(given, Enum):
        return given.name
    check = Check()
    result: UUID | Decimal | date | datetime | str | int | bool | None
    match kind:
        case "uuid":
            result = check.id(path, given, of)
        case "numeric":
            result = check.decimal(path, given)
        case "date":
            result = check.date(path, given)
        case "timestamptz":
            result = check.instant(path, given)
        case "text":
            result = check.prose(path, given, longest=MAX_TEXT) or ""
        case _:
            result = given
    for issue in check.found:
        raise RequestFault(language, issue.code, issue.path, issue.text, issue.hint)
    return result


def like_pattern(text: str) -> str:
    """A LIKE pattern for "contains", with the text's own wildcards taken literally."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def canonical(given: Any, *, nulls: bool = False) -> Any:
    """An argument as JSON that is equal for equal arguments: for the digests that bind cursors and kept keys.

    What is left out is left out; so is null, unless `nulls` says that it may mean something of its own.
    """
    if given is None or given is UNSET or isinstance(given, str | int | bool):
        return None if given is UNSET else given
    if isinstance(given, Enum):
        return given.name
    if isinstance(given, list):
        return [canonical(item, nulls=nulls) for item in given]
    values = ((field.name, getattr(given, field.name)) for field in fields(given))
    return {
        name: canonical(value, nulls=nulls)
        for name, value in values
        if value is not UNSET and (nulls or value is not None)
    }
