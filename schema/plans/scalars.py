"""How each scalar is written as JSON by SQL: to the letter as `schema.scalars` and graphql-core write it (标量的 SQL).

Each function gives SQL for a JSON text, NULL for null. Texts are escaped as orjson does it; Han characters stay as they
are. A value that the type does not allow becomes the mark FAULT, or an error of PostgreSQL's: the operation then runs
in the stock executor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from graphql import GraphQLEnumType, GraphQLLeafType

from schema.plans.reasons import Unplannable

FAULT = "chr(1)"
"""SQL for the mark of what the schema does not allow, such as a null where there must be none. No JSON text has this
character, so it can't be mistaken; it travels in the text, because an exception would need a function of our own."""

FAULT_BYTE = b"\x01"
"""The same in the bytes of an answer."""

BLANK, BLANK_RECORD, BLANK_END = "\x02", "\x03", "\x04"
"""Marks around what Python has still to reckon: which blank, and the record that it is reckoned from."""


@dataclass(frozen=True, slots=True)
class Written:
    """SQL for a JSON text; where it is `bare`, the quotes around it are still missing."""

    sql: str
    bare: bool = False

    @property
    def json(self) -> str:
        """SQL for the whole."""
        return f"('\"'||{self.sql}||'\"')" if self.bare else self.sql


def _escaped(sql: str) -> Written:
    return Written(f"to_json({sql})::text")


def _plain(sql: str) -> Written:
    return Written(f"({sql})::text", bare=True)


def _instant(sql: str) -> Written:
    pattern = """'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'"""
    return Written(f"to_char(({sql}) AT TIME ZONE 'UTC',{pattern})", bare=True)


_OF_VALUE: dict[str, Callable[[str], Written]] = {
    "String": _escaped,
    "Rational": _escaped,
    # What does not fit into 32 bits is refused by PostgreSQL here, and by graphql-core there.
    "Int": lambda sql: Written(f"({sql})::int::text"),
    "Boolean": lambda sql: Written(f"({sql})::text"),
    "Decimal": _plain,
    # As text a date would follow the session's DateStyle.
    "Date": _escaped,
    "DateTime": _instant,
}


def of_value(named: GraphQLLeafType, sql: str) -> Written:
    """JSON of a value of PostgreSQL's own types."""
    if isinstance(named, GraphQLEnumType):
        return _plain(sql)
    if named.name not in _OF_VALUE:
        raise Unplannable("resolver", named.name)
    return _OF_VALUE[named.name](sql)


def of_values(named: GraphQLLeafType, sql: str, *, nullable: bool) -> Written:
    """JSON of an array, whose items may be null or not."""
    if isinstance(named, GraphQLEnumType) or named.name in ("String", "Int", "Boolean"):
        written = f"array_to_json({sql})::text"
        if nullable:
            return Written(written)
        return Written(f"(CASE WHEN array_position({sql}, NULL) IS NULL THEN {written} ELSE {FAULT} END)")
    items = _joined(of_value(named, "item").json, f"unnest({sql})", nullable)
    return Written(f"(CASE WHEN {sql} IS NOT NULL THEN {items} END)")


def of_json(named: GraphQLLeafType, json: str) -> Written:
    """JSON of a value within a JSONB document; `json` is SQL for that value."""
    text = f"({json} #>> '{{}}')"
    if isinstance(named, GraphQLEnumType):
        names = ", ".join(f"'{name}'" for name in named.values)
        known = _plain(text).json
        return Written(f"(CASE WHEN {text} IN ({names}) THEN {known} WHEN {text} IS NOT NULL THEN {FAULT} END)")
    match named.name:
        case "String" | "Rational" | "Date" | "DateTime":
            return _escaped(text)
        case "Int":
            return Written(f"{text}::int::text")
        case "Boolean":
            return Written(f"(nullif({json}, 'null'))::boolean::text")
        case "Decimal":
            # A number with a point passes through a float on the stock way, which refuses it.
            through_float = f"jsonb_typeof({json}) = 'number' AND {text} LIKE '%.%'"
            return Written(f"(CASE WHEN {through_float} THEN {FAULT} ELSE {_escaped(text).json} END)")
    raise Unplannable("resolver", named.name)


def of_jsons(named: GraphQLLeafType, json: str, *, nullable: bool) -> Written:
    """JSON of a list within a JSONB document."""
    items = _joined(of_json(named, "item").json, f"jsonb_array_elements({json})", nullable)
    return Written(
        f"(CASE jsonb_typeof({json}) WHEN 'array' THEN {items} WHEN 'null' THEN NULL "
        f"ELSE CASE WHEN {json} IS NOT NULL THEN {FAULT} END END)"
    )


def _joined(item: str, items: str, nullable: bool) -> str:
    otherwise = "'null'" if nullable else FAULT
    return (
        f"'['||coalesce((SELECT string_agg(coalesce({item}, {otherwise}), ',' ORDER BY place) "
        f"FROM {items} WITH ORDINALITY items(item, place)), '')||']'"
    )
