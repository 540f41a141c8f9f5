"""From a selection to one statement that gives the JSON of an answer (编译): objects, relations and lists.

Every object is a concatenation over its row's alias; what it reaches are sub-selects over that alias, each with the
tenant and the rule of who may see its rows in it. A null where there must be none makes the object NULL, which its
place in the text turns into FAULT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from graphql import (
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
)

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
    Variants,
)
from schema.mapping import MappedField
from schema.plans import scalars
from schema.plans.arguments import Given, Source
from schema.plans.collect import Branch, Chosen, Selection
from schema.plans.paging import page_sql
from schema.plans.plan import DOCUMENTS, LONGEST_STATEMENT, Blank, Plan, Sight
from schema.plans.reasons import Unplannable
from schema.plans.rows import Row, Scope, numbered, read_of, standing
from schema.plans.scalars import BLANK, BLANK_END, BLANK_RECORD, FAULT, Written
from schema.plans.texts import Texts, json_text, quoted
from schema.reach import Target, is_sql, reached, table_of, target_of, visibility
from schema.registry import registered
from schema.rows import Kind
from schema.sql import Bound, Statement, Viewpoint
from service.ids import id_sql

ROOT = Row("", Kind.ROOT)

# The values of a plan's parameters are where the values of each run come from.
_VIEWPOINT = Viewpoint(*(cast(Any, Source(None, name)) for name in Viewpoint._fields))


def compile_plan(selection: Selection, given: Sequence[Given], sight: Sight) -> Plan:
    """The statement for a selection whose arguments have the shapes given; raises Unplannable."""
    compiler = Compiler(given, sight)
    return compiler.plan(f"SELECT convert_to(coalesce({compiler.object(selection.root, ROOT)},{FAULT}),'UTF8')")


@dataclass
class Compiler:
    """Writes the SQL of one plan."""

    given: Sequence[Given]
    sight: Sight
    statement: Statement = field(init=False)
    blanks: list[Blank] = field(default_factory=list)
    _aliases: int = 0

    def __post_init__(self) -> None:
        self.statement = Statement(_VIEWPOINT, self.sight.constants)

    def plan(self, sql: str) -> Plan:
        """What was written; raises Unplannable where it is too long."""
        if len(sql) > LONGEST_STATEMENT:
            raise Unplannable("size", f"{len(sql)} characters")
        return Plan(sql, tuple(self.statement.arguments), tuple(self.blanks))

    def alias(self, letter: str = "r") -> str:
        """A new alias; those within declarations have two letters or more."""
        self._aliases += 1
        return f"{letter}{self._aliases}"

    def render(self, template: str, row: Row, places: Mapping[str, str | Bound] | None = None) -> str:
        """A template over {t}."""
        return self.statement.render(row.told(template), t=row.alias, **(places or {}))

    # ---- objects

    def object(self, branch: Branch, row: Row) -> str:
        """SQL for an object's JSON; NULL where a field that must not be null is."""
        texts = Texts()
        for place, chosen in enumerate(branch.chosen):
            texts.literal(f"{',' if place else '{'}{json_text(chosen.key)}:")
            self.field(texts, branch, chosen, row)
        texts.literal("}" if branch.chosen else "{}")
        return texts.sql()

    def objects(self, branches: Sequence[Branch], target: Target, row: Row, *, otherwise: str = FAULT) -> str:
        """The same for a row of one of several types, FAULT in place of NULL; `otherwise` where it is of none."""
        named = {branch.cls: branch for branch in branches}
        if target.variants is None:
            return f"coalesce({self.object(named[target.types[0]], row)},{FAULT})"
        kind = row.text(target.variants.by)
        cases = "".join(
            f" WHEN {quoted(value)} THEN coalesce({self.object(named[registered(name)], row.alone())},{FAULT})"
            for value, name in target.variants.types.items()
        )
        return f"(CASE {kind}{cases} ELSE {otherwise} END)"

    def field(self, texts: Texts, branch: Branch, chosen: Chosen, row: Row) -> None:
        """Add the JSON of one field."""
        if chosen.definition is None:
            texts.literal(json_text(branch.name))
            return
        nullable = not isinstance(chosen.definition.type, GraphQLNonNull)
        if isinstance(chosen.field, MappedField):
            texts.written(self.value(branch, chosen, chosen.field, row), nullable=nullable)
        else:
            texts.written(Written(self.nodes(chosen)), nullable=nullable)

    def value(self, branch: Branch, chosen: Chosen, mapped: MappedField, row: Row) -> Written:
        """A field's JSON; NULL for null."""
        declaration = mapped.declaration
        match declaration:
            case Identifier():
                table = table_of(branch.cls)
                assert table is not None, f"{branch.name} has an id but no table."
                return Written(id_sql(branch.cls.__name__, row.column(table.key[0])), bare=True)
            case Column(name):
                return _leaf(chosen, row.column(name), document=row.source is Kind.DOCUMENT)
            case Expression(sql):
                return _leaf(chosen, f"({self.render(sql, row, self.places(chosen))})", document=False)
            case Embedded():
                return Written(self.embedded(declaration, chosen, mapped, row))
            case Document():
                return Written(self.document(declaration, chosen, mapped, row))
            case Relation():
                return Written(self.relation(declaration, chosen, mapped, row))
            case Listing():
                return Written(self.listing(declaration, chosen, mapped, row))
            case ByIds(name):
                return Written(self.by_ids(name, chosen, mapped, row))
            case Reference():
                return Written(self.reference(declaration, chosen, row))
            case Paged():
                return Written(page_sql(self, declaration, chosen, mapped, row))
            case Computed():
                return Written(self.blank(declaration, chosen, mapped, row))
        raise TypeError(f"{chosen.path} is not declared.")

    def places(self, chosen: Chosen) -> Mapping[str, Bound]:
        """The field's arguments as places of its SQL."""
        return {} if chosen.site is None else self.given[chosen.site.number].places

    # ---- values of the same row

    def embedded(self, declaration: Embedded, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """A value object out of the row itself."""
        made = self.objects(chosen.branches, target_of(mapped, declaration.variants), row)
        if declaration.present is None:
            return made
        return f"(CASE WHEN {row.column(declaration.present)}::text NOT IN ('', 'false', '0') THEN {made} END)"

    def document(self, declaration: Document, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """A value object, or a list of them, out of JSON."""
        light = not _is_heavy(declaration, chosen)
        if declaration.name is not None:
            value = row.column(declaration.name)
        elif light and declaration.columns is not None and declaration.variants is not None:
            columns = {name: f"({self.render(sql, row)})" for name, sql in declaration.columns.items()}
            found = Row("", Kind.QUERY, columns=columns)
            return self.objects(chosen.branches, target_of(mapped, declaration.variants), found, otherwise="NULL")
        else:
            value = f"({self.render((light and declaration.light) or str(declaration.sql), row)})"
        return self.document_of(value, declaration.variants, chosen, mapped)

    def document_of(self, value: str, variants: Variants | None, chosen: Chosen, mapped: MappedField) -> str:
        """The same out of SQL for JSON."""
        target = target_of(mapped, variants)
        whole, item = self.alias("d"), self.alias("d")
        if mapped.many:
            made = self.objects(chosen.branches, target, Row(f"{item}.v", Kind.DOCUMENT))
            made = (
                f"'['||coalesce((SELECT string_agg({made},',' ORDER BY {item}.n) "
                f"FROM jsonb_array_elements({whole}.v) WITH ORDINALITY {item}(v, n)),'')||']'"
            )
        else:
            made = self.objects(chosen.branches, target, Row(f"{whole}.v", Kind.DOCUMENT))
        return (
            f"(SELECT CASE jsonb_typeof({whole}.v) WHEN '{'array' if mapped.many else 'object'}' THEN {made} "
            f"WHEN 'null' THEN NULL ELSE {FAULT} END "
            f"FROM (SELECT {value}::jsonb AS v OFFSET 0) {whole} WHERE {whole}.v IS NOT NULL)"
        )

    def blank(self, declaration: Computed, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """The place of a value that Python reckons: its record between marks."""
        assert chosen.definition is not None
        if declaration.sql is not None:
            record = f"coalesce(({self.render(declaration.sql, row)})::jsonb, 'null')"
        elif row.source is Kind.DOCUMENT:
            record = row.alias
        else:
            columns = ", ".join(f"{quoted(name)}, {row.column(name)}" for name in declaration.needs)
            record = f"jsonb_build_object({columns})"
        nullable = not isinstance(chosen.definition.type, GraphQLNonNull)
        below = self.documents_plan(chosen, mapped) if chosen.branches else None
        place = len(self.blanks)
        self.blanks.append(Blank(mapped, nullable, get_named_type(chosen.definition.type), below))
        return f"('{BLANK}{place}{BLANK_RECORD}'||{record}::text||'{BLANK_END}')"

    def documents_plan(self, chosen: Chosen, mapped: MappedField) -> Plan:
        """The statement that gives the JSON of value objects for documents that come as a parameter, one row each."""
        compiler = Compiler(self.given, self.sight)
        documents = compiler.statement.bind(DOCUMENTS, "text[]")
        each = compiler.alias("u")
        made = compiler.document_of(f"{each}.v", None, chosen, mapped)
        return compiler.plan(
            f"SELECT convert_to(coalesce({made},'null'),'UTF8') "
            f"FROM unnest({documents}) WITH ORDINALITY {each}(v, n) ORDER BY {each}.n"
        )

    # ---- other rows

    def relation(self, declaration: Relation, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """At most one row: joined where its key is told, else a sub-select."""
        if row.known and declaration.where is not None:
            declaration = replace(declaration, where=row.told(declaration.where))
        known = tuple((way, instead.replace("{t}", row.alias)) for way, instead in declaration.back)
        alias = self.alias()
        target = target_of(mapped, declaration.variants)
        table = target.table
        own = self.own(chosen, row, alias)
        told = table is not None and declaration.rows is None and set(table.key) <= set(declaration.on.values())
        if row.scope is not None and table is not None and told and declaration.variants is None:
            item, conditions = reached(self.statement, declaration, target, own, row.source)
            found, place = Row(alias, table, Scope(row.scope.joins), known), len(row.scope.joins)
            made = self.objects(chosen.branches, target, found)
            made = f"(CASE WHEN {found.column(table.key[0])} IS NOT NULL THEN {made} END)"
            read = read_of(alias, " ".join((made, *row.scope.joins[place:], *row.scope.levels)))
            # OFFSET keeps it a look-up by key, remembered for rows that share one: as a plain join, all rows of the
            # tenant could be read and hashed for a page of a hundred.
            row.scope.joins.insert(
                place,
                f" LEFT JOIN LATERAL (SELECT {', '.join(read)} FROM {item} WHERE {' AND '.join(conditions)} OFFSET 0) "
                f"{alias} ON true",
            )
            return made
        when = None if declaration.when is None else self.render(declaration.when, row)
        declaration = replace(declaration, when=None)
        scope = Scope()
        made = self.objects(chosen.branches, target, Row(alias, table or Kind.QUERY, scope, known))
        if declaration.sure and not read_of(alias, " ".join((made, *scope.joins))):
            return made
        item, conditions = reached(self.statement, declaration, target, own, row.source)
        # Without an order there is no more than one, or PostgreSQL refuses.
        first = f"{self.order(declaration.order, own)} LIMIT 1" if declaration.order else ""
        found_or_null = f"(SELECT {made} {_from(item, conditions, scope)}{first})"
        return found_or_null if when is None else f"(CASE WHEN {when} THEN {found_or_null} END)"

    def listing(self, declaration: Listing, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """All rows, in order: of one row a sub-select, of the rows of a level a level of its own."""
        alias, level = self.alias(), self.alias("l")
        target = target_of(mapped, declaration.variants)
        own = self.own(chosen, row, alias)
        item, conditions = reached(self.statement, declaration, target, own, row.source)
        above = row.scope if row.scope is not None and row.scope.level is not None else None
        scope = Scope([], level, above.levels if above else [])
        place = len(scope.levels)
        made = self.objects(chosen.branches, target, _row(target, alias, scope))
        read = read_of(alias, " ".join((made, *scope.joins, *scope.levels)))
        order = f"{self.order(declaration.order, own)} LIMIT {declaration.limit}"
        rows = f"SELECT {', '.join(read)} {_from(item, conditions, Scope())}{order}"
        if above is None:
            if not scope.levels:
                # Rows that stand alone come in their order; what is joined to them is looked up for each in turn.
                joins = "".join(scope.joins)
                return f"('['||coalesce((SELECT string_agg({made},',') FROM ({rows}) {alias}{joins}),'')||']')"
            levels, origin = standing(numbered(rows, alias), alias, scope)
            return f"('['||coalesce(({levels}SELECT string_agg({made},',' ORDER BY {alias}.__n) {origin}),'')||']')"
        # The rows of one parent stand together, in their order, so the numbers do as well. What is below comes after.
        above.levels.insert(
            place,
            f"{level} AS (SELECT {row.alias}.__n AS __up, {alias}.*, row_number() OVER () AS __n "
            f"FROM {above.level} {row.alias} CROSS JOIN LATERAL ({rows}) {alias})",
        )
        lists = self.alias("x")
        above.joins.append(
            f" LEFT JOIN (SELECT {alias}.__up, string_agg({made},',' ORDER BY {alias}.__n) AS j "
            f"FROM {level} {alias}{''.join(scope.joins)} GROUP BY {alias}.__up) {lists} "
            f"ON {lists}.__up = {row.alias}.__n"
        )
        return f"('['||coalesce({lists}.j,'')||']')"

    def own(self, chosen: Chosen, row: Row, alias: str) -> dict[str, str | Bound]:
        """Places of a field that reaches rows: its arguments, and the aliases."""
        return {**self.places(chosen), "t": row.alias, "r": alias}

    def order(self, order: str | None, own: Mapping[str, str | Bound]) -> str:
        """ORDER BY."""
        return f" ORDER BY {self.statement.render(order, **own)}" if order else ""

    def by_ids(self, name: str, chosen: Chosen, mapped: MappedField, row: Row) -> str:
        """The rows whose keys an array names."""
        keys, alias = self.alias("u"), self.alias()
        target = target_of(mapped, None)
        array = row.column(name)
        if row.source is Kind.DOCUMENT:
            each = f"jsonb_array_elements_text(CASE jsonb_typeof({array}) WHEN 'array' THEN {array} END)"
        else:
            each = f"unnest({array})"
        made = self.objects(chosen.branches, target, _row(target, alias))
        return (
            f"('['||coalesce((SELECT string_agg({made},',' ORDER BY {keys}.n) FROM {each} WITH ORDINALITY "
            f"{keys}(id, n) JOIN {self.with_key(target, alias, f'{keys}.id::uuid', ' ON ')}),'')||']')"
        )

    def reference(self, declaration: Reference, chosen: Chosen, row: Row) -> str:
        """A row of one of several types."""
        key, kind = (
            f"({self.render(name, row)})" if is_sql(name) else row.text(name)
            for name in (declaration.id, declaration.kind)
        )
        names = declaration.types or {branch.name: branch.name for branch in chosen.branches}
        found = self.one_of(chosen, names, kind, f"{key}::uuid")
        return f"(CASE WHEN {key} IS NOT NULL AND {kind} IS NOT NULL THEN {found} END)"

    def nodes(self, chosen: Chosen) -> str:
        """The fields `node` and `nodes`."""
        assert chosen.site is not None
        number = chosen.site.number
        names = {name: name for name in self.given[number].types}

        def value(name: str, kind: str) -> str:
            return self.statement.bind(Source(number, name), kind)

        if chosen.name == "node":
            return self.one_of(chosen, names, quoted(next(iter(names))), value("key", "uuid"))
        each = self.alias("u")
        found = self.one_of(chosen, names, f"{each}.kind", f"{each}.id")
        return (
            f"('['||coalesce((SELECT string_agg(coalesce({found},'null'),',' ORDER BY {each}.n) "
            f"FROM unnest({value('names', 'text[]')}, {value('keys', 'uuid[]')}) WITH ORDINALITY "
            f"{each}(kind, id, n)),'')||']')"
        )

    def one_of(self, chosen: Chosen, names: Mapping[str, str], kind: str, key: str) -> str:
        """The row with a key, of the type that `names` gives for a kind; FAULT for a kind that it does not name."""
        branches = {branch.name: branch for branch in chosen.branches}
        cases = ""
        for value, name in names.items():
            if name in branches:
                alias = self.alias()
                target = Target((branches[name].cls,), table_of(branches[name].cls), None)
                made = self.objects([branches[name]], target, _row(target, alias))
                cases += (
                    f" WHEN {quoted(value)} THEN (SELECT {made} FROM {self.with_key(target, alias, key, ' WHERE ')})"
                )
        return f"(CASE {kind}{cases} ELSE {FAULT} END)" if cases else FAULT

    def with_key(self, target: Target, alias: str, key: str, joint: str) -> str:
        """A table and the conditions that leave its visible row with this key."""
        table = target.table
        assert table is not None, f"{target.types[0].__name__} has no table."
        conditions = [
            f"{alias}.tenant_id = {self.statement.render('{tenant}')}",
            f"{alias}.{table.key[0]} = {key}",
            *visibility(self.statement, target, alias),
        ]
        return f"{self.statement.render(table.name)} {alias}{joint}{' AND '.join(conditions)}"


def _row(target: Target, alias: str, scope: Scope | None = None) -> Row:
    return Row(alias, target.table or Kind.QUERY, scope)


def _from(item: str, conditions: Sequence[str], scope: Scope) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"FROM {item}{''.join(scope.joins)}{where}"


def _is_heavy(declaration: Document, chosen: Chosen) -> bool:
    """Whether something is chosen of a document that only the whole of it has, or may have."""
    for below in (each for branch in chosen.branches for each in branch.chosen):
        if below.definition is None:
            continue
        match below.field:
            case MappedField(declaration=Column(name) | Document(name=str(name))) if name not in declaration.heavy:
                continue
        return True
    return False


def _leaf(chosen: Chosen, sql: str, *, document: bool) -> Written:
    assert chosen.definition is not None
    plain = get_nullable_type(chosen.definition.type)
    named = cast(GraphQLLeafType, get_named_type(plain))
    if isinstance(plain, GraphQLList):
        nullable = not isinstance(plain.of_type, GraphQLNonNull)
        return (scalars.of_jsons if document else scalars.of_values)(named, sql, nullable=nullable)
    return (scalars.of_json if document else scalars.of_value)(named, sql)
