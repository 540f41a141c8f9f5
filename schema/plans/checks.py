"""At start every declaration is held against the database (启动核对): what a plan relies on must be so.

PostgreSQL itself reads the SQL of every field, as a plan writes it: columns, functions and types must be there. Beyond
that, the types of columns and expressions must fit what is declared, a column declared non-null must be NOT NULL, and
rows that are reached by key must have an index for it. All faults are told at once, each with its field.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import strawberry
from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    NameNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)

from schema.arguments import sql_type
from schema.connections import is_connected
from schema.declarations import Argument, Column, Expression, Identifier, Listing, Paged, Relation, Sort
from schema.keyset import joins_of
from schema.mapping import MappedField
from schema.paging import conditions_of, plan_page
from schema.plans.arguments import Given, Source
from schema.plans.collect import BACKREF, Branch, Chosen, Site
from schema.plans.compile import ROOT, Compiler
from schema.plans.plan import Sight
from schema.plans.rows import Row
from schema.reach import reached_from, table_of, target_of
from schema.registry import registered
from schema.sql import Bound
from service.access import Role
from tenants.database import CatalogueMismatch, Database

_FITTING = {
    "String": {"text", "varchar"},
    "Rational": {"text"},
    "Int": {"int2", "int4", "int8"},
    "Boolean": {"bool"},
    "Decimal": {"numeric", "int2", "int4", "int8", "text"},
    "Date": {"date"},
    "DateTime": {"timestamptz"},
    "ID": {"uuid"},
}
"""PostgreSQL's types whose values a scalar can be written from; enumerations are texts."""

_SIGHT = Sight(everything=False, narrowed=True, roles=frozenset(Role))


async def hold_against_catalogue(schema: strawberry.Schema, db: Database) -> None:
    """Raises CatalogueMismatch, which names every field at fault."""
    core: GraphQLSchema = schema._schema  # noqa: SLF001 — Strawberry has no public name for it
    types = core.type_map.values()
    owners = [each for each in types if isinstance(each, GraphQLObjectType) and BACKREF in each.extensions]
    async with db.pool.acquire() as connection:
        checking = _Checking(core, connection, await _not_null(connection), await _indexes(connection))
        for owner in owners:
            cls = owner.extensions[BACKREF].origin
            if table_of(cls) is not None or owner is core.query_type:
                await checking.check(owner, cls)
    if checking.faults:
        raise CatalogueMismatch(checking.faults)


async def _not_null(connection: Any) -> set[tuple[str, str]]:
    """Columns that are NOT NULL, with their tables."""
    rows = await connection.fetch(
        """SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           WHERE a.attnotnull AND a.attnum > 0 AND c.relnamespace = 'public'::regnamespace"""
    )
    return {(row["relname"], row["attname"]) for row in rows}


async def _indexes(connection: Any) -> dict[str, list[list[str]]]:
    """The first two columns of the whole indexes of every table."""
    rows = await connection.fetch(
        """SELECT c.relname, ARRAY(
               SELECT a.attname::text FROM unnest(x.indkey::smallint[]) WITH ORDINALITY k(n, place)
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n
               WHERE k.place <= 2 ORDER BY k.place) AS names
           FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
           WHERE x.indpred IS NULL AND c.relnamespace = 'public'::regnamespace"""
    )
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        found.setdefault(row["relname"], []).append(row["names"])
    return found


@dataclass
class _Checking:
    core: GraphQLSchema
    connection: Any
    not_null: set[tuple[str, str]]
    indexes: dict[str, list[list[str]]]
    faults: list[str] = field(default_factory=list)

    async def check(self, owner: GraphQLObjectType, cls: type) -> None:
        """All fields of a type at once; one by one where PostgreSQL refuses them together."""
        mapped = {
            name: (definition, declared)
            for name, definition in owner.fields.items()
            if isinstance(declared := definition.extensions[BACKREF], MappedField)
        }
        if await self.refused(owner, cls, mapped) is not None:
            for name, one in list(mapped.items()):
                if (reason := await self.refused(owner, cls, {name: one})) is not None:
                    self.faults.append(f"{owner.name}.{name}: {reason}")
                    del mapped[name]
        for name, (definition, declared) in mapped.items():
            self.faults += [f"{owner.name}.{name}: {fault}" for fault in self.loose(cls, definition, declared)]

    async def refused(
        self, owner: GraphQLObjectType, cls: type, mapped: Mapping[str, tuple[GraphQLField, MappedField]]
    ) -> str | None:
        """What PostgreSQL says against the SQL of these fields; faults of their types are noted."""
        statement = _Statement(self.core, owner, cls)
        for name, (definition, declared) in mapped.items():
            statement.add(name, definition, declared)
        try:
            prepared = await self.connection.prepare(statement.sql())
        except asyncpg.PostgresError as error:
            return str(error.args[0])
        types = {each.name: each.type.name for each in prepared.get_attributes()}
        for name, (definition, _) in mapped.items():
            if name in statement.typed and (fault := _misfit(definition, types[name])):
                self.faults.append(f"{owner.name}.{name}: {fault}")
        return None

    def loose(self, cls: type, definition: GraphQLField, declared: MappedField) -> Iterator[str]:
        """What the database does not promise of a field."""
        declaration, table = declared.declaration, table_of(cls)
        plain = table is not None and table.name.isidentifier()
        if isinstance(declaration, Column) and plain and isinstance(definition.type, GraphQLNonNull):
            assert table is not None
            if (table.name, declaration.name) not in self.not_null:
                yield f"the column {table.name}.{declaration.name} is not NOT NULL"
        if isinstance(declaration, Relation | Listing | Paged) and declaration.on and declaration.rows is None:
            node = declared.target.__node__ if isinstance(declaration, Paged) else None
            reached = target_of(declared, getattr(declaration, "variants", None), node).table
            if reached is not None and reached.name.isidentifier():
                wanted = [name for name in declaration.on.values() if name != "tenant_id"]
                if wanted and not any(["tenant_id", name] in self.indexes.get(reached.name, []) for name in wanted):
                    yield f"no index of {reached.name} begins with tenant_id, {' or '.join(wanted)}"


@dataclass
class _Statement:
    """One statement that asks for fields of a type as a plan would."""

    core: GraphQLSchema
    owner: GraphQLObjectType
    cls: type
    given: list[Given] = field(default_factory=list)
    compiler: Compiler = field(init=False)
    columns: list[str] = field(default_factory=list)
    typed: set[str] = field(default_factory=set)
    """Fields whose column in the statement has their value as it is, not as JSON."""

    def __post_init__(self) -> None:
        self.compiler = Compiler(self.given, _SIGHT)
        table = table_of(self.cls)
        self.row = Row(self.compiler.alias("t"), table) if table is not None else ROOT

    def add(self, name: str, definition: GraphQLField, declared: MappedField) -> None:
        """One field more."""
        declaration = declared.declaration
        target = get_named_type(definition.type)
        site = self.site(definition, declared) if definition.args else None
        chosen = Chosen(name, name, self.owner.name, definition, declared, site, self.branches(target))
        if is_leaf_type(target) and isinstance(declaration, Column | Expression | Identifier):
            self.typed.add(name)
            if isinstance(declaration, Column):
                sql = self.row.column(declaration.name)
            elif isinstance(declaration, Expression):
                sql = f"({self.compiler.render(declaration.sql, self.row, self.compiler.places(chosen))})"
            else:
                table = table_of(self.cls)
                assert table is not None
                sql = self.row.column(table.key[0])
            self.columns.append(f'{sql} AS "{name}"')
            return
        branch = Branch(self.owner.name, self.cls, (chosen,))
        self.columns.append(f'{self.compiler.value(branch, chosen, declared, self.row).json} AS "{name}"')
        if isinstance(declaration, Paged):
            self.columns.append(f'{self.everything_of(declaration, declared)} AS "{name} "')

    def site(self, definition: GraphQLField, declared: MappedField) -> Site:
        """A place in no document, whose arguments are null."""
        number = len(self.given)
        arguments: Sequence[Argument] = getattr(declared.declaration, "arguments", ())
        places = {
            each.name: Bound(f"{number} {each.name}", Source(number, each.name), sql_type(each.annotation))
            for each in arguments
        }
        page = None
        if isinstance(declared.declaration, Paged):
            page = plan_page(declared, declared.declaration, {}, "en")
            places |= {name: self.null(number, bound) for name, bound in page.filter_values.items()}
        self.given.append(Given((), {}, places, page))
        nowhere = FieldNode(name=NameNode(value=""))
        return Site(number, declared, definition, nowhere, variables=False, sized_by_variable=False)

    def null(self, number: int, bound: Bound) -> Bound:
        """A value that is not given."""
        return Bound(f"{number} {bound.name}", Source(number, bound.name), bound.sql_type)

    def branches(self, target: Any) -> tuple[Branch, ...]:
        """What is asked of objects: their ids, and the rows of pages."""
        if is_leaf_type(target):
            return ()
        types = [target] if isinstance(target, GraphQLObjectType) else self.core.get_possible_types(target)
        made = []
        for each in types:
            cls = each.extensions[BACKREF].origin
            chosen = [Chosen("__typename", "__typename", each.name, None, None, None)]
            if is_connected(cls):
                chosen = [self.part(each.name, name, one) for name, one in each.fields.items()]
            elif "id" in each.fields and isinstance(one := each.fields["id"].extensions[BACKREF], MappedField):
                chosen.append(Chosen("id", "id", each.name, each.fields["id"], one, None))
            made.append(Branch(each.name, cls, tuple(chosen)))
        return tuple(made)

    def part(self, owner: str, name: str, definition: GraphQLField) -> Chosen:
        """A field of a connection, an edge or PageInfo."""
        branches = self.branches(get_named_type(definition.type))
        return Chosen(name, name, owner, definition, definition.extensions[BACKREF], None, branches)

    def everything_of(self, declaration: Paged, declared: MappedField) -> str:
        """Every condition of a connection's filter and every key of its orders, over its rows."""
        number = len(self.given) - 1
        own: dict[str, str | Bound] = {**self.given[number].places, "t": self.row.alias, "r": self.compiler.alias()}
        conditions, keys = [], [*declaration.default]
        if declaration.order is not None:
            definition = registered(declaration.order).__strawberry_definition__
            for each in definition.fields:
                if each.python_name == "field":
                    sorts: list[Sort] = [member.value for member in each.type.wrapped_cls]
                    keys += [key for sort in sorts for key in sort.keys]
                elif each.python_name != "direction":
                    own[each.python_name] = Bound(f"{number} order {each.python_name}", None, "text")
        if declaration.filter is not None:
            for each, condition in conditions_of(registered(declaration.filter)):
                value = Bound(f"{number} filter {each.python_name}", None, sql_type(each.type))
                conditions.append(f"({self.compiler.statement.render(condition.sql, **{**own, 'value': value})})")
        expressions = [self.compiler.statement.render(sql, **own) for sql in dict.fromkeys(key.sql for key in keys)]
        target = target_of(declared, None, declared.target.__node__)
        joins = joins_of(keys)
        origin = reached_from(self.compiler.statement, declaration, target, own, self.row.source, conditions, joins)
        return f"(SELECT 1 {origin} ORDER BY {', '.join(expressions)} LIMIT 1)"

    def sql(self) -> str:
        """The statement; it is never run."""
        if self.row is ROOT:
            return f"SELECT {', '.join(self.columns)}"
        table = table_of(self.cls)
        assert table is not None
        return f"SELECT {', '.join(self.columns)} FROM {self.compiler.statement.render(table.name)} {self.row.alias}"


def _misfit(definition: GraphQLField, found: str) -> str | None:
    plain = get_nullable_type(definition.type)
    named = get_named_type(plain)
    fitting = {"text", "varchar"} if isinstance(named, GraphQLEnumType) else _FITTING.get(named.name, set())
    if isinstance(plain, GraphQLList):
        fitting = {f"{name}[]" for name in fitting}
    return None if found in fitting else f"{named.name} can't be written from {found}"
