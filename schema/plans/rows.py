"""A row within a statement, and what can be joined to it (语句中的行)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from schema.plans.texts import quoted
from schema.rows import Kind, Source


@dataclass(frozen=True, slots=True)
class Scope:
    """The FROM in which a row stands.

    A row of another table that belongs to it is joined there, so that PostgreSQL may look up many at once. Where the
    rows are a level of their own, `level` is its name: the lists below them are read for all of them together.
    """

    joins: list[str] = field(default_factory=list)
    level: str | None = None
    levels: list[str] = field(default_factory=list)
    """The levels below it, as items of WITH."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row in the statement, from which the fields of an object are read."""

    alias: str
    """Of its table or query; for a document, SQL for its JSON."""
    source: Source
    scope: Scope | None = None
    """None where nothing can be joined to it: it may not be there, or it is a document."""
    known: tuple[tuple[str, str], ...] = ()
    """Parts of what its fields declare, each with what it comes to for this row."""
    columns: Mapping[str, str] | None = None
    """SQL for its columns, where it is a row of nothing but these."""

    def told(self, template: str) -> str:
        """The template with what is known of this row."""
        for part, sql in self.known:
            template = template.replace(part, sql)
        return template

    def column(self, name: str) -> str:
        """SQL for a column, or for the JSON under a document's key."""
        if self.columns is not None:
            return self.columns[name]
        if self.source is Kind.DOCUMENT:
            return f"({self.alias} -> {quoted(name)})"
        return f'{self.alias}."{name}"'

    def text(self, name: str) -> str:
        """SQL for a column as it is, or for the text under a document's key."""
        return f"({self.alias} ->> {quoted(name)})" if self.source is Kind.DOCUMENT else self.column(name)

    def alone(self) -> Self:
        """The same row, to which nothing can be joined."""
        return replace(self, scope=None)


def read_of(alias: str, sql: str) -> list[str]:
    """What the SQL reads of the row with this alias, but for what `numbered` and sort keys add: columns to select."""
    found = dict.fromkeys(re.findall(rf'\b{alias}\."?(\w+|\*)', sql))
    return [f"{alias}.*"] if "*" in found else [f'{alias}."{name}"' for name in found if not name.startswith("__")]


def numbered(rows: str, alias: str) -> str:
    """Rows with their place, from 1, in `__n`, and how many there are, in `__all`."""
    return f"SELECT {alias}.*, row_number() OVER () AS __n, count(*) OVER () AS __all FROM ({rows}) {alias}"


def standing(rows: str, alias: str, scope: Scope) -> tuple[str, str]:
    """WITH and FROM for rows that are numbered, and all that stands below and beside them."""
    joins = "".join(scope.joins)
    if not scope.levels:
        return "", f"FROM ({rows}) {alias}{joins}"
    return f"WITH {', '.join([f'{scope.level} AS ({rows})', *scope.levels])} ", f"FROM {scope.level} {alias}{joins}"
