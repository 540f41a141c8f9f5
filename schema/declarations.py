"""What a field's declaration says: where its value lives, as SQL (字段的来处).

These are plain data, read by two engines: the stock resolvers (`schema.stock`) and the compiler of reading plans. All
SQL is a template of `schema.sql`. `schema.mapping` has the words with which types are written.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.keyset import Key


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows of a type live: a table (or a query in parentheses) with a `tenant_id`."""

    name: str
    key: tuple[str, ...]
    """Columns, all uuid, that tell its rows apart within the tenant; the first is what an id is made of."""
    visible: str | None
    """Predicate over {t}: which rows the viewer may see; None: all of its tenant."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a field, a place of its SQL by its Python name."""

    name: str
    annotation: Any
    description: str
    of: str | None = None
    """For ids: of which type."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a filter input: the predicate that it adds, over {r} (and {t}), with its value at {value}."""

    sql: str
    of: str | None = None
    """For ids: of which type."""
    otherwise: str | None = None
    """Predicate where the field is left out; without one nothing is added."""
    contains: bool = False
    """The value is a piece of text; {value} becomes a LIKE pattern around it, its own % and _ taken literally."""
    limit: int = 100
    """Items of a list at most."""


@dataclass(frozen=True, slots=True)
class Sort:
    """The value of an order enum's member: its description and sort keys over {r} (and {t})."""

    description: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """Which type a row is: `by` names a column of the row (a key of the document), whose text picks from `types`."""

    by: str
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identifier:
    """The global id: the type's name and the table's key."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row, or a key of the document."""

    name: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A scalar reckoned by SQL over {t}; only on rows of a table, or documents."""

    sql: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedded:
    """A value object made of columns of the same row; null where the column `present` is null or false."""

    present: str | None = None
    variants: Variants | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A value object, or a list of them, out of a JSON(B) column, document key or expression."""

    name: str | None = None
    sql: str | None = None
    variants: Variants | None = None
    light: str | None = None
    """SQL for the same document, but for the keys `heavy`: enough where none of them is asked for."""
    columns: Mapping[str, str] | None = None
    """SQL for each key of that; what tells the kind among `variants` is null where there is no document."""
    heavy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
    """How rows are reached from the row a field stands on: what relations, lists and connections have in common."""

    on: Mapping[str, str]
    """Column of {t} → column of {r} that must be equal."""
    where: str | None
    """Predicate over {t} and {r}."""
    rows: str | None
    """A query over {t} that yields the rows, for types without a table of their own; its columns are the type's."""
    arguments: tuple[Argument, ...]
    seen: bool = field(default=False, kw_only=True)
    """Whoever sees {t} and is led on by `where` may see {r}: the rule of its type is not asked once more."""
    when: str | None = field(default=None, kw_only=True)
    """Predicate over {t}: only then is there anything to look for."""


@dataclass(frozen=True, slots=True)
class Relation(Reach):
    """At most one row; the first by `order`, without which no more than one may fit."""

    order: str | None = None
    variants: Variants | None = None
    back: tuple[tuple[str, str], ...] = ()
    """SQL by which what {r} declares comes back to the row {t}, each with what plans write in its place."""
    sure: bool = False
    """There is such a row whoever asks, so that nothing is looked for where nothing of it is read."""


@dataclass(frozen=True, slots=True)
class Listing(Reach):
    """All rows, in order, at most `limit`."""

    order: str | None = None
    limit: int = 1000
    variants: Variants | None = None


@dataclass(frozen=True, slots=True)
class ByIds:
    """A list of rows whose keys an array column (or a document's key) names, in its order; hidden ones are left out."""

    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A row of one of several types: `kind`, a column or SQL over {t}, picks it; `id` is the column of its key."""

    kind: str
    id: str
    types: Mapping[str, str] | None
    """Kind → type; None: the kind is the type's name."""


@dataclass(frozen=True, slots=True)
class Paged(Reach):
    """A connection."""

    filter: type | None
    order: type | None
    default: tuple[Key, ...]
    """Order without orderBy."""
    countable: bool
    holds: str | None = None
    """Predicate over {t}, true of each of its rows, so that a plan need not ask it where their relations have it."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What SQL can't say: reckoned in Python from columns of the row (the whole document), for many rows at once.

    `by` takes the operation's context and the records; it gives a plain value for each, or the document of a value
    object or of a list of them.
    """

    by: Callable[[Any, Sequence[Mapping[str, Any]]], Awaitable[Sequence[Any]]]
    needs: tuple[str, ...] = ()
    """Columns of {t} that the records have; ids by their names, `id` and `…_id`."""
    sql: str | None = None
    """JSON over {t} that is the record, in place of columns."""


Declaration = (
    Identifier | Column | Expression | Embedded | Document | Relation | Listing | ByIds | Reference | Paged | Computed
)


def spoken(parts: Sequence[str | None]) -> str:
    """All templates of a declaration in one text, to look for places."""
    return "\n".join(part for part in parts if part)
