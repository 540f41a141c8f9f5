"""Connections in SQL (分页的 SQL): one page by keyset, its cursors, what lies before and behind it, and the count.

The page is a sub-select of one row more than asked for; above it stand one row of aggregates, the edges' JSON among
them, and the text of the connection. Cursors are written as `schema.keyset` writes them, and compared as it compares.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schema.declarations import Paged
from schema.keyset import Key, beginning, beyond, cursor_sql, joins_of, order_by
from schema.mapping import MappedField
from schema.paging import PagePlan
from schema.plans.arguments import Source
from schema.plans.collect import Branch, Chosen
from schema.plans.rows import Row, Scope, numbered, read_of, standing
from schema.plans.scalars import FAULT, Written
from schema.plans.texts import Texts, json_text
from schema.reach import Target, reached_from, target_of
from schema.rows import Kind
from schema.sql import Bound

if TYPE_CHECKING:
    from schema.plans.compile import Compiler


def page_sql(compiler: "Compiler", declaration: Paged, chosen: Chosen, mapped: MappedField, row: Row) -> str:
    """SQL for a connection's JSON."""
    made = _Page(compiler, declaration, chosen, mapped, row).sql()
    # Where a column of `on` may be null, the stock executor refuses.
    own = () if isinstance(row.source, Kind) else row.source.key
    missing = [f"{row.column(name)} IS NULL" for name in declaration.on if name not in own]
    return f"(CASE WHEN {' OR '.join(missing)} THEN {FAULT} ELSE {made} END)" if missing else made


class _Page:
    def __init__(self, compiler: "Compiler", declaration: Paged, chosen: Chosen, mapped: MappedField, row: Row) -> None:
        assert chosen.site is not None
        self.compiler = compiler
        self.declaration = declaration
        self.site = chosen.site
        self.given = compiler.given[chosen.site.number]
        assert self.given.page is not None
        self.plan: PagePlan = self.given.page
        self.row = row
        self.target: Target = target_of(mapped, None, mapped.target.__node__)
        (self.branch,) = chosen.branches
        self.alias = compiler.alias()
        self.page = compiler.alias("p")
        self.scope = Scope(level=compiler.alias("l"))
        self.aggregates: dict[str, str] = {}
        """Columns of the page's one row, each SQL by its name."""

    # ---- the text

    def sql(self) -> str:
        """The connection."""
        texts = Texts()
        # All of them before the first is put together: what one of them joins to the rows may change their order.
        made = {chosen.key: self.edge(chosen) for chosen in self.branch.chosen if chosen.name == "edges"}
        for place, chosen in enumerate(self.branch.chosen):
            texts.literal(f"{',' if place else '{'}{json_text(chosen.key)}:")
            match chosen.name:
                case "edges":
                    texts.literal("[")
                    texts.expression(f"coalesce({self.aggregate(self.edges(made[chosen.key]))},'')")
                    texts.literal("]")
                case "pageInfo":
                    self.page_info(texts, chosen.branches[0])
                case "totalCount":
                    texts.expression(self.total())
                case _:
                    texts.literal(json_text(self.branch.name))
        texts.literal("}" if self.branch.chosen else "{}")
        if not self.aggregates:
            return texts.sql()
        columns = ", ".join(f"{sql} AS {name}" for sql, name in self.aggregates.items())
        read = read_of(self.alias, " ".join((columns, *self.scope.joins, *self.scope.levels)))
        levels, origin = standing(self.rows(read), self.alias, self.scope)
        return f"(SELECT {texts.sql()} FROM ({levels}SELECT {columns} {origin}) {self.page})"

    def aggregate(self, sql: str) -> str:
        """A column of the page's one row."""
        name = self.aggregates.setdefault(sql, f"a{len(self.aggregates)}")
        return f"{self.page}.{name}"

    def edges(self, made: str) -> str:
        """The edges of the page, in order."""
        # Rows of a page that stands alone come in its order; what is joined to them is looked up for each in turn.
        order = f" ORDER BY {self.alias}.__n{' DESC' if self.plan.backward else ''}"
        ordered = order if self.plan.backward or self.scope.levels else ""
        within = f" FILTER (WHERE {self.alias}.__n <= {self.size})" if self.looks_ahead else ""
        return f"string_agg(coalesce({made},{FAULT}),','{ordered}){within}"

    def edge(self, chosen: Chosen) -> str:
        """One edge."""
        (branch,) = chosen.branches
        texts = Texts()
        for place, each in enumerate(branch.chosen):
            texts.literal(f"{',' if place else '{'}{json_text(each.key)}:")
            match each.name:
                case "cursor":
                    texts.written(Written(self.cursor(), bare=True), nullable=False)
                case "node":
                    holds = self.declaration.holds
                    known = () if holds is None else ((holds, "true"),)
                    row = Row(self.alias, self.target.table or Kind.QUERY, self.scope, known)
                    texts.expression(self.compiler.objects(each.branches, self.target, row))
                case _:
                    texts.literal(json_text(branch.name))
        texts.literal("}" if branch.chosen else "{}")
        return texts.sql()

    def page_info(self, texts: Texts, branch: Branch) -> None:
        """Flags and cursors."""
        for place, chosen in enumerate(branch.chosen):
            texts.literal(f"{',' if place else '{'}{json_text(chosen.key)}:")
            match chosen.name:
                case "hasNextPage":
                    texts.expression(f"({self.more(backward=False)})::text")
                case "hasPreviousPage":
                    texts.expression(f"({self.more(backward=True)})::text")
                case "startCursor" | "endCursor":
                    cursor = self.at_edge(self.cursor(), last=chosen.name == "endCursor")
                    texts.written(Written(cursor, bare=True), nullable=True)
                case _:
                    texts.literal(json_text(branch.name))
        texts.literal("}" if branch.chosen else "{}")

    def total(self) -> str:
        """How many rows there are under the filter."""
        if not self.declaration.countable:
            return "'null'"
        origin, _ = self.origin(self.compiler.alias())
        return f"(SELECT count(*)::int::text {origin})"

    # ---- the rows

    @property
    def looks_ahead(self) -> bool:
        """Whether one row more than the page is read."""
        return any(chosen.name == "pageInfo" for chosen in self.branch.chosen)

    @property
    def size(self) -> str:
        """Rows of the page."""
        if self.site.sized_by_variable:
            return self.compiler.statement.named(f"{self.site.number} size", Source(self.site.number, "size"), "bigint")
        return str(self.plan.size)

    def rows(self, read: Sequence[str]) -> str:
        """What is read of the page's rows, numbered."""
        plan, alias = self.plan, self.alias
        origin, expressions = self.origin(alias, cursors=True)
        columns = ", ".join((*read, *(f"{sql} AS __key{place}" for place, sql in enumerate(expressions))))
        order = order_by(plan.keys, expressions, backward=plan.backward)
        limit = f"{self.size} + 1" if self.looks_ahead else self.size
        found = f"SELECT {columns} {origin} ORDER BY {order} LIMIT {limit}"
        return numbered(found, alias)

    def origin(self, alias: str, *, cursors: bool = False, extra: Sequence[str] = ()) -> tuple[str, list[str]]:
        """FROM and WHERE of all rows under the filter, and their sort keys; with `cursors`, those between them only."""
        statement, plan = self.compiler.statement, self.plan
        own = self.own(alias)
        keys = plan.keys if cursors or extra else ()
        expressions = [statement.render(key.sql, **own) for key in keys]
        conditions = [f"({statement.render(sql, **{**own, 'value': value or ''})})" for sql, value in plan.conditions]
        if cursors:
            conditions += [
                self.beyond_cursor(name, expressions, backward=name == "before")
                for name, values in (("after", plan.after), ("before", plan.before))
                if values is not None
            ]
        conditions += extra
        origin = reached_from(
            statement, self.declaration, self.target, own, self.row.source, conditions, joins_of(keys)
        )
        return origin, expressions

    def own(self, alias: str) -> dict[str, str | Bound]:
        """Places of the field: its arguments, filter and order, and the aliases."""
        return {**self.given.places, "t": self.row.alias, "r": alias}

    def beyond_cursor(self, name: str, expressions: Sequence[str], *, backward: bool) -> str:
        """The predicate "beyond the cursor that was given"."""
        values = self.plan.before if name == "before" else self.plan.after
        assert values is not None
        # Of the values only which are null is of the statement; the rest are parameters.
        known = [None if text is None else f"{name} {place}" for place, text in enumerate(values)]
        statement, number = self.compiler.statement, self.site.number

        def bind(value: str, kind: str) -> str:
            return statement.named(f"{number} {value}", Source(number, value), kind)

        return beyond(self.plan.keys, expressions, known, bind, backward=backward)

    # ---- edges and flags

    def cursor(self) -> str:
        """The cursor of a row of the page."""
        digest = self.compiler.statement.named(f"{self.site.number} digest", Source(self.site.number, "digest"), "text")
        return cursor_sql(digest, [f"{self.alias}.__key{place}" for place in range(len(self.plan.keys))])

    def at_edge(self, sql: str, *, last: bool) -> str:
        """A value of the page's last row as it is shown, or of its first; NULL where the page is empty."""
        alias = self.alias
        place = f"least({alias}.__all, {self.size})" if last != self.plan.backward else "1"
        return self.aggregate(f"(array_agg({sql}) FILTER (WHERE {alias}.__n = {place}))[1]")

    def more(self, *, backward: bool) -> str:
        """Whether rows follow the page; backward, whether rows come before it."""
        plan = self.plan
        beyond_page = f"{self.aggregate('count(*)')} > {self.size}"
        cursor = plan.after if backward else plan.before
        if plan.backward == backward:
            # The page's own direction: beyond its last row, or beyond the cursor at which it had to end.
            return beyond_page if cursor is None else f"{beyond_page} OR {self.exists(backward=backward)}"
        return "false" if cursor is None else self.exists(backward=backward)

    def exists(self, *, backward: bool) -> str:
        """Whether there are rows after the page (backward: before it), whatever the cursors say."""
        plan, statement = self.plan, self.compiler.statement
        edge = [self.at_edge(f"{self.alias}.__key{place}", last=not backward) for place in range(len(plan.keys))]
        alias = self.compiler.alias()
        own = self.own(alias)
        expressions = [statement.render(key.sql, **own) for key in plan.keys]
        outside, _ = self.origin(alias, extra=[beyond_row(plan.keys, expressions, edge, backward=backward)])
        name = "before" if backward else "after"
        # Of an empty page the edge is the cursor; without one, any row is outside.
        given = (plan.before if backward else plan.after) is not None
        extra = [self.beyond_cursor(name, expressions, backward=backward)] if given else []
        instead, _ = self.origin(alias, extra=extra)
        count = self.aggregate("count(*)")
        return f"CASE WHEN {count} > 0 THEN EXISTS (SELECT 1 {outside}) ELSE EXISTS (SELECT 1 {instead}) END"


def beyond_row(keys: Sequence[Key], expressions: Sequence[str], values: Sequence[str], *, backward: bool) -> str:
    """As `keyset.beyond`, where the values are SQL, so that only the database knows which of them are null."""
    begin = beginning(keys, expressions, values, backward=backward)
    if len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys):
        sign = "<" if keys[0].descending != backward else ">"
        return f"{begin}({', '.join(expressions)}) {sign} ({', '.join(values)})"
    condition = ""
    for key, expression, value in reversed(list(zip(keys, expressions, values, strict=True))):
        strict = f"{expression} {'<' if key.descending != backward else '>'} {value}"
        if key.nullable and backward:
            strict = f"({strict} OR {value} IS NULL AND {expression} IS NOT NULL)"
        elif key.nullable:
            strict = f"({strict} OR {value} IS NOT NULL AND {expression} IS NULL)"
        equal = f"{expression} IS NOT DISTINCT FROM {value}" if key.nullable else f"{expression} = {value}"
        condition = f"({strict} OR ({equal} AND {condition}))" if condition else strict
    return begin + condition
