"""The SQL by which rows are reached from rows: what the stock resolvers send, in pieces (取数语句).

A batch of parents stands in FROM under the alias `t`, each with its number `t.i`; the rows that one of them reaches are
a LATERAL query under the alias `r`. Which shape the parents take depends on what the declaration needs of them: only
the values of its `on` columns, the whole row of their table, or their JSON document.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from strawberry.types.union import StrawberryUnion

from schema.declarations import (
    ByIds,
    Column,
    Computed,
    Document,
    Embedded,
    Listing,
    Paged,
    Reach,
    Reference,
    Relation,
    Table,
    Variants,
    spoken,
)
from schema.registry import registered
from schema.rows import Kind, Source, record_of, source_of, value_of
from schema.sql import Bound, Statement, places

if TYPE_CHECKING:
    from schema.mapping import MappedField


@dataclass(frozen=True, slots=True)
class Target:
    """What a field reaches: its possible types, and the table that they live in, if any."""

    types: tuple[type, ...]
    table: Table | None
    variants: Variants | None

    def pick(self, record: Mapping[str, Any]) -> type:
        """The type of one row."""
        if self.variants is None:
            return self.types[0]
        name = self.variants.types[record[self.variants.by]]
        return next(cls for cls in self.types if cls.__name__ == name)


def table_of(cls: type) -> Table | None:
    """The table of a type; None for value types."""
    table: Table | None = getattr(cls, "__table__", None)
    return table


def target_of(field: "MappedField", variants: Variants | None, node: type | None = None) -> Target:
    """The types that a field may give; `node` is the row type of a connection."""
    if variants is not None:
        types = tuple(dict.fromkeys(registered(name) for name in variants.types.values()))
    else:
        types = (node or field.target,)
        if isinstance(types[0], StrawberryUnion) or not isinstance(types[0], type):
            raise TypeError(f"{field.key}: a union or interface needs `variants`.")
    return Target(types, table_of(types[0]), variants)


def mapped_fields(cls: type) -> list["MappedField"]:
    """The declared fields of a type."""
    from schema.mapping import MappedField

    definition = cls.__strawberry_definition__  # type: ignore[attr-defined]  # every declared type has one
    return [field for field in definition.fields if isinstance(field, MappedField)]


_columns: dict[type, tuple[str, ...]] = {}


def columns_of(cls: type) -> tuple[str, ...]:
    """Every column that the fields of a type read from its row: no more is ever selected."""
    if cls not in _columns:
        names: dict[str, None] = {}
        table = table_of(cls)
        if table is not None:
            names |= dict.fromkeys(table.key)
        for field in mapped_fields(cls):
            names |= dict.fromkeys(_columns_of_field(field))
        _columns[cls] = tuple(names)
    return _columns[cls]


def _columns_of_field(field: "MappedField") -> Iterable[str]:
    match field.declaration:
        case Column(name) | Document(name=str(name)) | ByIds(name):
            yield name
        case Relation(on=on) | Listing(on=on) | Paged(on=on):
            yield from on
        case Computed(needs=needs):
            yield from needs
        case Reference(kind, key):
            yield from (name for name in (kind, key) if not is_sql(name))
        case Embedded(present, variants):
            if present is not None:
                yield present
            if variants is not None:
                yield variants.by
            for cls in target_of(field, variants).types:
                yield from columns_of(cls)


def is_sql(name: str) -> bool:
    """Whether what stands for a column is an expression."""
    return "{" in name


def columns_of_target(target: Target) -> tuple[str, ...]:
    """Columns of all types that a row may be, and of what picks among them."""
    names = dict.fromkeys(name for cls in target.types for name in columns_of(cls))
    if target.variants is not None:
        names[target.variants.by] = None
    return tuple(names)


# ---- parents


def stand(statement: Statement, rows: Sequence[Any], *, locals_only: Mapping[str, str] | None = None) -> str:
    """The FROM item of a batch of parents, `t`, with the number of each in `t.i`, from 1.

    `locals_only` maps the columns that are needed to their SQL types, where the rest of the row is not.
    """
    if locals_only is not None:
        if not locals_only:
            return _numbered(statement, len(rows))
        arrays = [
            statement.bind([value_of(row, name) for row in rows], f"{kind}[]") for name, kind in locals_only.items()
        ]
        names = ", ".join(f'"{name}"' for name in locals_only)
        return f"unnest({', '.join(arrays)}) WITH ORDINALITY AS t({names}, i)"
    source = source_of(rows[0])
    if isinstance(source, Table):
        arrays = [statement.bind([record_of(row)[name] for row in rows], "uuid[]") for name in source.key]
        names = ", ".join(f"k{i}" for i in range(len(arrays)))
        same = " AND ".join(f"tt.{name} = kk.k{i}" for i, name in enumerate(source.key))
        table = statement.render(source.name)
        return (
            f"(SELECT tt.*, kk.i FROM unnest({', '.join(arrays)}) WITH ORDINALITY AS kk({names}, i) "
            f"JOIN {table} tt ON tt.tenant_id = {statement.render('{tenant}')} AND {same}) t"
        )
    if source is Kind.DOCUMENT:
        documents = statement.bind([orjson.dumps(record_of(row)).decode() for row in rows], "text[]")
        return f"(SELECT dd.v::jsonb AS v, dd.i FROM unnest({documents}) WITH ORDINALITY AS dd(v, i)) t"
    if source is Kind.ROOT:
        return _numbered(statement, len(rows))
    raise TypeError("The columns of a query are all there is of such a row: reach others from it by `on` alone.")


def _numbered(statement: Statement, count: int) -> str:
    return f"generate_series(1, {statement.bind(count, 'bigint')}) AS t(i)"


def alias_of(rows: Sequence[Any]) -> str:
    """What {t} stands for: the parents' alias, or their document."""
    return "t.v" if source_of(rows[0]) is Kind.DOCUMENT else "t"


def local_types(rows: Sequence[Any], on: Mapping[str, str]) -> dict[str, str]:
    """SQL types of the `on` columns, told from the values at hand."""
    return {name: _sql_type([value_of(row, name) for row in rows], remote) for name, remote in on.items()}


def _sql_type(values: Sequence[Any], remote: str) -> str:
    value = next((value for value in values if value is not None), None)
    if isinstance(value, UUID) or remote == "id" or remote.endswith("_id"):
        return "uuid"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint"
    return "date" if isinstance(value, date) else "text"


# ---- the rows that are reached


def needs_parent(declaration: Reach, extra: Sequence[str] = ()) -> bool:
    """Whether more of the parent is needed than its `on` columns."""
    return "t" in places(spoken((declaration.where, declaration.when, declaration.rows, *extra)))


def reached_from(
    statement: Statement,
    declaration: Reach,
    target: Target,
    own: Mapping[str, str | Bound],
    source: Source,
    extra: Sequence[str],
    joins: Sequence[str] = (),
) -> str:
    """`FROM … WHERE …` of the rows that one parent reaches; `extra` are rendered conditions, `joins` templates.

    `own` has the aliases: `t` of the parent, `r` of what is reached.
    """
    origin, conditions = reached(statement, declaration, target, own, source)
    conditions += extra
    origin = " ".join((origin, *(statement.render(join, **own) for join in joins)))
    return f"FROM {origin}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")


def reached(
    statement: Statement, declaration: Reach, target: Target, own: Mapping[str, str | Bound], source: Source
) -> tuple[str, list[str]]:
    """The FROM item and the conditions of the rows that one parent reaches."""
    r, t = str(own["r"]), str(own["t"])
    rule = [] if declaration.seen else visibility(statement, target, r)
    if declaration.rows is not None:
        origin = f"({statement.render(declaration.rows, **own)}) {r}"
        conditions = rule
    elif target.table is not None:
        origin = f"{statement.render(target.table.name)} {r}"
        conditions = [f"{r}.tenant_id = {statement.render('{tenant}')}", *rule]
    else:
        raise TypeError("A value type is reached by `rows`, `embedded` or `document`.")
    conditions += [f"{r}.{remote} = {local_sql(t, local, remote, source)}" for local, remote in declaration.on.items()]
    for condition in (declaration.where, declaration.when):
        if condition is not None:
            conditions.append(f"({statement.render(condition, **own)})")
    return origin, conditions


def visibility(statement: Statement, target: Target, alias: str) -> list[str]:
    """Conditions that leave of the rows those that the viewer may see, each by the rule of its own type."""
    if target.variants is None:
        rule = None if target.table is None else target.table.visible
        return [] if rule is None else [f"({statement.render(rule, t=alias)})"]
    rules = {kind: table_of(registered(name)) for kind, name in target.variants.types.items()}
    if all(table is None or table.visible is None for table in rules.values()):
        return []
    kinds = []
    for kind, table in rules.items():
        quoted = kind.replace("'", "''")
        rule = "" if table is None or table.visible is None else f" AND ({statement.render(table.visible, t=alias)})"
        kinds.append(f"({alias}.{target.variants.by} = '{quoted}'{rule})")
    return [f"({' OR '.join(kinds)})"]


def local_sql(alias: str, name: str, remote: str, source: Source) -> str:
    """A parent's column in SQL; a document's key is cast to what ids are."""
    if source is Kind.DOCUMENT and alias.endswith(".v"):
        return f"({alias} ->> '{name}')" + ("::uuid" if remote == "id" or remote.endswith("_id") else "")
    return f'{alias}."{name}"'
