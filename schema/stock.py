"""The stock resolvers: each declaration answered by Strawberry's own executor (常规执行).

Columns are read from the row at hand. What needs SQL is gathered: all rows that ask for the same thing in one turn of
the event loop share one statement. The compiler of reading plans must give the same answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from schema import paging
from schema.arguments import own_places
from schema.declarations import (
    ByIds,
    Column,
    Computed,
    Document,
    Embedded,
    Expression,
    Identifier,
    Listing,
    Paged,
    Reference,
    Relation,
    Table,
)
from schema.reach import (
    Target,
    alias_of,
    columns_of,
    columns_of_target,
    is_sql,
    local_types,
    needs_parent,
    reached_from,
    stand,
    table_of,
    target_of,
)
from schema.registry import registered
from schema.rows import Kind, make, parse_document, record_of, source_of, value_of
from schema.sql import Statement
from service.ids import encode_id

if TYPE_CHECKING:
    from schema.context import Context
    from schema.mapping import MappedField


# ---- one statement for all rows that ask in the same turn


@dataclass(slots=True)
class _Batch:
    run: Callable[[list[Any]], Awaitable[Sequence[Any]]]
    items: list[Any] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)


class Loader:
    """Gathers what is asked for in one turn of the event loop, by key, and runs each key once."""

    def __init__(self) -> None:
        self._batches: dict[Hashable, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def load(
        self, key: Hashable, item: Any, run: Callable[[list[Any]], Awaitable[Sequence[Any]]]
    ) -> asyncio.Future[Any]:
        """The result for `item`: one of those that `run(items)` gives, in order."""
        loop = asyncio.get_running_loop()
        if not self._batches:
            # One turn later than now: siblings that a finished batch has just woken join in.
            loop.call_soon(loop.call_soon, self._dispatch)
        batch = self._batches.setdefault(key, _Batch(run))
        future: asyncio.Future[Any] = loop.create_future()
        batch.items.append(item)
        batch.futures.append(future)
        return future

    async def stop(self) -> None:
        """Give up what is still asked for: the operation has ended, by its deadline or by a fault."""
        waiting, self._batches = self._batches, {}
        for batch in waiting.values():
            for future in batch.futures:
                future.cancel()
        if tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _dispatch(self) -> None:
        batches, self._batches = self._batches, {}
        for batch in batches.values():
            task = asyncio.create_task(_run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _run(batch: _Batch) -> None:
    try:
        results = await batch.run(batch.items)
        for future, result in zip(batch.futures, results, strict=True):
            if not future.done():
                future.set_result(result)
    except asyncio.CancelledError:
        for future in batch.futures:
            future.cancel()
        raise
    except Exception as error:
        for future in batch.futures:
            if not future.done():
                future.set_exception(error)
                future.exception()  # Nobody may be waiting any more: a sibling's fault can have ended the operation.


# ---- a field's value


def resolve(mapped: "MappedField", row: Any, info: Any, given: Mapping[str, Any]) -> Any:
    """The value of a declared field, or a future of it."""
    declaration = mapped.declaration
    if isinstance(declaration, Column | Identifier):
        return column_of(mapped, row)
    context: Context = info.context
    if context.actor is None and source_of(row) is Kind.ROOT:
        return None
    match declaration:
        case Embedded(present, variants):
            record = record_of(row)
            if present is not None and not value_of(row, present):
                return None
            return make(target_of(mapped, variants).pick(record), record, source_of(row))
        case Document(name=str(name)):
            return _documents(mapped, declaration, value_of(row, name))
        case Document() | Expression():
            return _expression(context, mapped, row, info, given)
        case Computed():
            return _computed(context, mapped, declaration, row, info)
        case ByIds(name):
            return _by_ids(context, mapped, value_of(row, name))
        case Reference():
            return _reference(context, declaration, row)
        case Paged():
            return paging.open_page(context, mapped, declaration, row, info, given)
        case Relation() | Listing():
            return _reached(context, mapped, declaration, row, info, given)
    raise TypeError(f"{mapped.key} is not declared.")


def column_of(mapped: "MappedField", row: Any) -> Any:
    """The value of a field that is a column, or the id."""
    declaration = mapped.declaration
    return _plain(mapped, value_of(row, declaration.name)) if isinstance(declaration, Column) else _identifier(row)


def _identifier(row: Any) -> str:
    cls = type(row)
    table = table_of(cls)
    assert table is not None, f"{cls.__name__} has an id but no table."
    return encode_id(cls.__name__, record_of(row)[table.key[0]])


def _plain(mapped: "MappedField", given: Any) -> Any:
    if given is None or mapped.enum is None:
        return given
    return [mapped.enum[name] for name in given] if isinstance(given, list) else mapped.enum[given]


def _documents(mapped: "MappedField", declaration: Document, given: Any) -> Any:
    parsed = parse_document(given)
    if parsed is None:
        return None
    target = target_of(mapped, declaration.variants)
    if isinstance(parsed, list):
        return [make(target.pick(item), item, Kind.DOCUMENT) for item in parsed]
    return make(target.pick(parsed), parsed, Kind.DOCUMENT)


def _node_key(mapped: "MappedField", info: Any) -> Hashable:
    # All rows of one place in the document share its arguments.
    return (mapped.key, id(info._raw_info.field_nodes[0]))  # noqa: SLF001 — Strawberry gives no other way to the node


# ---- expressions


def _expression(context: "Context", mapped: "MappedField", row: Any, info: Any, given: Mapping[str, Any]) -> Any:
    return _then(_reckoned(context, mapped, row, info, given), lambda result: _finish(mapped, result))


def _reckoned(
    context: "Context", mapped: "MappedField", row: Any, info: Any, given: Mapping[str, Any]
) -> asyncio.Future[Any]:
    """What the declaration's SQL gives over the row."""
    arguments = getattr(mapped.declaration, "arguments", ())
    source = source_of(row)

    async def run(items: "list[tuple[Any, MappedField]]") -> list[Any]:
        statement = context.statement()
        rows = list({id(each): each for each, _ in items}.values())
        wanted = list({each.key: each for _, each in items}.values())
        own = own_places(arguments, given, context.language)
        sql = [
            f"({statement.render(cast(Any, each.declaration).sql, t=alias_of(rows), **own)}) AS c{n}"
            for n, each in enumerate(wanted)
        ]
        records = await context.fetch(f"SELECT t.i, {', '.join(sql)} FROM {stand(statement, rows)}", statement)
        found = {
            (id(rows[record["i"] - 1]), each.key): record[f"c{n}"]
            for record in records
            for n, each in enumerate(wanted)
        }
        return [found.get((id(each), one.key)) for each, one in items]

    key = _node_key(mapped, info) if arguments else ("expressions", type(row), source)
    return context.loader.load(key, (row, mapped), run)


def _finish(mapped: "MappedField", result: Any) -> Any:
    if isinstance(mapped.declaration, Document):
        return _documents(mapped, mapped.declaration, result)
    return _plain(mapped, result)


async def _then(future: asyncio.Future[Any], change: Callable[[Any], Any]) -> Any:
    return change(await future)


def _computed(context: "Context", mapped: "MappedField", declaration: Computed, row: Any, info: Any) -> Any:
    async def run(records: list[Any]) -> Sequence[Any]:
        return await declaration.by(context, records)

    def finish(result: Any) -> Any:
        # What is kept as a document has a type with fields of its own; all else is plain.
        if hasattr(mapped.target, "__strawberry_definition__"):
            return _documents(mapped, Document(), result)
        return _plain(mapped, result)

    def load(record: Any) -> asyncio.Future[Any]:
        return context.loader.load(("computed", mapped.key), record, run)

    async def load_reckoned() -> Any:
        return finish(await load(parse_document(await _reckoned(context, mapped, row, info, {}))))

    return _then(load(record_of(row)), finish) if declaration.sql is None else load_reckoned()


# ---- relations and lists


def _reached(
    context: "Context",
    mapped: "MappedField",
    declaration: Relation | Listing,
    row: Any,
    info: Any,
    given: Mapping[str, Any],
) -> Any:
    single = isinstance(declaration, Relation)
    if any(value_of(row, name) is None for name in declaration.on):
        return None if single else []

    async def run(rows: list[Any]) -> list[Any]:
        target = target_of(mapped, declaration.variants)
        found = await reach(context, declaration, target, rows, given)
        return [(each[0] if each else None) for each in found] if single else found

    return context.loader.load((_node_key(mapped, info), source_of(row)), row, run)


async def reach(
    context: "Context", declaration: Relation | Listing, target: Target, rows: list[Any], given: Mapping[str, Any]
) -> list[list[Any]]:
    """The row objects that each of the rows reaches."""
    statement = context.statement()
    whole = needs_parent(declaration, (declaration.order or "",))
    # Rows with the same values reach the same rows: ask once.
    groups: dict[Hashable, list[int]] = {}
    for index, row in enumerate(rows):
        key: Hashable = id(row) if whole else tuple(value_of(row, name) for name in declaration.on)
        groups.setdefault(key, []).append(index)
    parents = [rows[indexes[0]] for indexes in groups.values()]
    own = own_places(declaration.arguments, given, context.language)
    own |= {"r": "r", "t": alias_of(parents) if whole else "t"}
    standing = stand(statement, parents, locals_only=None if whole else local_types(parents, declaration.on))
    source = source_of(parents[0])
    order = statement.render(declaration.order, **own) if declaration.order else ""
    limit = 1 if isinstance(declaration, Relation) else declaration.limit
    reached = reached_from(statement, declaration, target, own, source, ())
    columns = ", ".join(f'r."{name}"' for name in columns_of_target(target))
    number = f"row_number() OVER ({f'ORDER BY {order}' if order else ''})"
    records = await context.fetch(
        f"SELECT t.i AS __parent, r.* FROM {standing} CROSS JOIN LATERAL (SELECT {columns}{', ' if columns else ''}"
        f"{number} AS __place {reached} {f'ORDER BY {order} ' if order else ''}LIMIT {limit}) r "
        "ORDER BY __parent, __place",
        statement,
    )
    made: list[list[Any]] = [[] for _ in parents]
    for record in records:
        made[record["__parent"] - 1].append(make_reached(target, record))
    results: list[list[Any]] = [[] for _ in rows]
    for group, indexes in zip(made, groups.values(), strict=True):
        for index in indexes:
            results[index] = group
    return results


def make_reached(target: Target, record: Mapping[str, Any]) -> Any:
    """The row object for a record of what was reached."""
    cls = target.pick(record)
    return make(cls, record, table_of(cls) or Kind.QUERY)


# ---- rows by their ids


async def rows_by_id(context: "Context", cls: type, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """The visible rows of a table type with these keys, in one statement."""
    statement = context.statement()
    return rows_of(cls, await context.fetch(select_rows(statement, cls, ids), statement))


def select_rows(statement: Statement, cls: type, ids: Sequence[UUID]) -> str:
    """SQL for the visible rows of a table type with these keys."""
    table = _table(cls)
    columns = ", ".join(f'r."{name}"' for name in columns_of(cls))
    visible = f" AND ({statement.render(table.visible, t='r')})" if table.visible else ""
    return (
        f"SELECT {columns} FROM {statement.render(table.name)} r WHERE r.tenant_id = {statement.render('{tenant}')} "
        f"AND r.{table.key[0]} = ANY({statement.bind(list(dict.fromkeys(ids)), 'uuid[]')}){visible}"
    )


def rows_at_hand(cls: type, records: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The row objects for records of a table type."""
    table = _table(cls)
    return [make(cls, record, table) for record in records]


def rows_of(cls: type, records: Sequence[Mapping[str, Any]]) -> dict[UUID, Any]:
    """The row objects for records of a table type, by their keys."""
    table = _table(cls)
    return {record[table.key[0]]: make(cls, record, table) for record in records}


def _table(cls: type) -> Table:
    table = table_of(cls)
    if table is None:
        raise TypeError(f"{cls.__name__} has no table.")
    return table


def load_row(context: "Context", cls: type, uuid: UUID) -> asyncio.Future[Any]:
    """One visible row by its key, or None; gathered with others of its type."""

    async def run(ids: list[UUID]) -> list[Any]:
        found = await rows_by_id(context, cls, ids)
        return [found.get(each) for each in ids]

    return context.loader.load(("row", cls), uuid, run)


async def _by_ids(context: "Context", mapped: "MappedField", ids: Sequence[Any] | None) -> list[Any]:
    cls = mapped.target
    if not ids:
        return []
    rows = await asyncio.gather(*(load_row(context, cls, UUID(str(each))) for each in ids))
    return [row for row in rows if row is not None]


async def _reference(context: "Context", declaration: Reference, row: Any) -> Any:
    key = await _name_or_sql(context, declaration.id, row)
    kind = await _name_or_sql(context, declaration.kind, row) if key is not None else None
    if key is None or kind is None:
        return None
    name = kind if declaration.types is None else declaration.types[kind]
    return await load_row(context, registered(name), UUID(str(key)))


async def _name_or_sql(context: "Context", name: str, row: Any) -> Any:
    if not is_sql(name):
        return value_of(row, name)

    async def run(rows: list[Any]) -> list[Any]:
        statement = context.statement()
        sql = statement.render(name, t=alias_of(rows))
        records = await context.fetch(f"SELECT t.i, ({sql}) AS found FROM {stand(statement, rows)}", statement)
        found = {record["i"] - 1: record["found"] for record in records}
        return [found.get(i) for i in range(len(rows))]

    return await context.loader.load((name, type(row), source_of(row)), row, run)
