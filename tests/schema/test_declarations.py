"""Every declaration is held against the database: its columns are there, its SQL is sound (声明核对).

The rows do not matter here: each field is asked of a row that does not exist, and PostgreSQL checks names and types.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from strawberry.types.base import StrawberryOptional

from schema.arguments import own_places, sql_type
from schema.context import Context
from schema.declarations import (
    Column,
    Document,
    Expression,
    Listing,
    Paged,
    Reach,
    Reference,
    Relation,
    Table,
)
from schema.mapping import MappedField
from schema.paging import Page, conditions_of
from schema.reach import alias_of, columns_of, is_sql, mapped_fields, needs_parent, stand, table_of, target_of
from schema.registry import all_types, registered, roots
from schema.rows import Kind, make
from schema.schema import build_schema
from schema.stock import reach, rows_by_id
from service.ids import encode_id
from tests.schema.conftest import Caller

pytestmark = pytest.mark.anyio

NOBODY = UUID(int=1)


@pytest.fixture
def context(administrator: Caller) -> Context:
    build_schema()
    return Context(administrator.db, administrator.settings, administrator.actor, "en")


def table_types() -> list[type]:
    return [cls for _, cls in sorted(all_types().items()) if table_of(cls) is not None]


def test_the_types_are_there() -> None:
    build_schema()
    assert {"OrgUnit", "Category", "Tenant"} <= {cls.__name__ for cls in table_types()}


async def test_rows_of_every_table_type_can_be_read(context: Context) -> None:
    for cls in table_types():
        assert await rows_by_id(context, cls, [NOBODY]) == {}, cls
    await context.close()


async def test_columns_declared_non_null_are_so_in_the_database(context: Context) -> None:
    """A NULL there would take the whole row with it; reckon such a value by an expression that has no null."""
    statement = context.statement()
    rows = await context.fetch(
        """SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
           WHERE attnotnull AND attnum > 0""",
        statement,
    )
    await context.close()
    not_null = {(row["relname"], row["attname"]) for row in rows}
    loose = []
    for cls in table_types():
        table = table_of(cls)
        assert table is not None
        if table.name.isidentifier():
            for field in mapped_fields(cls):
                declaration = field.declaration
                if (
                    isinstance(declaration, Column)
                    and not isinstance(field.type, StrawberryOptional)
                    and (table.name, declaration.name) not in not_null
                ):
                    loose.append(f"{cls.__name__}.{field.python_name}")
    assert loose == []


async def test_the_sql_of_every_field_is_sound(context: Context) -> None:
    owners: list[type] = [*table_types(), *roots("Query")]
    checked = 0
    for cls in owners:
        row = _nobody(cls)
        for field in mapped_fields(cls):
            try:
                checked += await _try(context, field, row)
            except Exception as error:
                error.add_note(f"{cls.__name__}.{field.python_name}")
                raise
    await context.close()
    assert checked > 10


def _nobody(cls: type) -> Any:
    table = table_of(cls)
    if table is None:
        return make(cls, {}, Kind.ROOT)
    record: dict[str, Any] = dict.fromkeys(columns_of(cls)) | dict.fromkeys(table.key, NOBODY)
    return make(cls, record, table)


async def _try(context: Context, field: MappedField, row: Any) -> int:
    declaration = field.declaration
    given = _arguments(declaration)
    if isinstance(declaration, Expression) or (isinstance(declaration, Document) and declaration.sql is not None):
        await _evaluate(context, str(declaration.sql), row, getattr(declaration, "arguments", ()), given)
    elif isinstance(declaration, Relation | Listing):
        target = target_of(field, declaration.variants)
        await reach(context, declaration, target, [_with_locals(declaration, row)], given)
    elif isinstance(declaration, Paged):
        await _pages(context, field, declaration, _with_locals(declaration, row), given)
    elif isinstance(declaration, Reference):
        for name in (declaration.kind, declaration.id):
            if is_sql(name):
                await _evaluate(context, name, row, (), {})
    else:
        return 0
    return 1


async def _evaluate(context: Context, sql: str, row: Any, arguments: Any, given: dict[str, Any]) -> None:
    statement = context.statement()
    rendered = statement.render(sql, t=alias_of([row]), **own_places(arguments, given, "en"))
    await context.fetch(f"SELECT {rendered} FROM {stand(statement, [row])}", statement)


def _with_locals(declaration: Reach, row: Any) -> Any:
    record = {**row.__dict__["_record"]}
    if not needs_parent(declaration):
        record |= {name: _sample(remote) for name, remote in declaration.on.items()}
    return make(type(row), record, row.__dict__["_source"])


def _sample(remote: str) -> Any:
    return NOBODY if remote == "id" or remote.endswith("_id") else "nothing"


def _arguments(declaration: Any) -> dict[str, Any]:
    return {
        argument.name: encode_id(argument.of, NOBODY) if argument.of else "nothing"
        for argument in getattr(declaration, "arguments", ())
    }


async def _pages(context: Context, field: MappedField, declaration: Paged, row: Any, given: dict[str, Any]) -> None:
    for order in _orders(declaration):
        page = Page(context, field, declaration, row, {**given, "order_by": order, "filter": _filter(declaration)})
        await page.fetch()
        await page.count()
        await page._exists(backward=True)


def _orders(declaration: Paged) -> Iterator[Any]:
    yield None
    if declaration.order is not None:
        order_class = registered(declaration.order)
        definition = order_class.__strawberry_definition__
        enum = next(field for field in definition.fields if field.python_name == "field").type.wrapped_cls
        extra = {f.python_name: "nothing" for f in definition.fields if f.python_name not in ("field", "direction")}
        for member in enum:
            yield [order_class(field=member, **extra)]


def _filter(declaration: Paged) -> Any:
    """A filter with every field given."""
    if declaration.filter is None:
        return None
    filter_class = registered(declaration.filter)
    samples: dict[str, Any] = {
        "text": "nothing",
        "bigint": 1,
        "boolean": True,
        "numeric": "1.5",
        "date": "2026-07-10",
        "timestamptz": "2026-07-10T00:00:00+08:00",
    }
    given = {}
    for field, condition in conditions_of(filter_class):
        kind = sql_type(field.type)
        inner = kind.removesuffix("[]")
        sample = encode_id(condition.of or "OrgUnit", NOBODY) if inner == "uuid" else samples[inner]
        given[field.python_name] = [sample] if kind.endswith("[]") else sample
    return filter_class(**given)


def test_sources_are_tables_or_queries() -> None:
    build_schema()
    for cls in table_types():
        table = table_of(cls)
        assert isinstance(table, Table)
        assert table.name.isidentifier() or table.name.startswith("("), cls


def test_all_that_is_data_is_declared() -> None:
    """A Python resolver can't be planned; only what names no table may have one."""
    build_schema()
    resolved = [
        f"{cls.__name__}.{field.python_name}"
        for cls in [*all_types().values(), *roots("Query")]
        for field in getattr(getattr(cls, "__strawberry_definition__", None), "fields", ())
        if field.base_resolver is not None
    ]
    assert sorted(resolved) == ["NodeQuery.node", "NodeQuery.nodes"]


async def test_what_is_sure_to_be_there_is_never_deleted(context: Context) -> None:
    tables = {
        table_of(target_of(field, field.declaration.variants).types[0])
        for cls in [*table_types(), *roots("Query")]
        for field in mapped_fields(cls)
        if isinstance(field.declaration, Relation) and field.declaration.sure
    }
    assert tables
    for table in tables:
        assert table is not None
        (row,) = await context.db.fetch_global("SELECT has_table_privilege('kp_app', $1, 'DELETE')", table.name)
        assert not row[0], table.name
