"""Pages of connections for the stock resolvers: reading the arguments, the order, and one page by keyset (分页).

`plan_page` checks everything about a page that does not depend on the database, and is what a compiler shares.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from strawberry import UNSET
from strawberry.types.field import StrawberryField

from schema.arguments import canonical, own_places, read_condition
from schema.declarations import Condition, Paged, Sort
from schema.faults import RequestFault
from schema.keyset import Key, beyond, cursor_sql, joins_of, order_by, read_cursor
from schema.reach import (
    Target,
    alias_of,
    columns_of_target,
    local_types,
    needs_parent,
    reached_from,
    stand,
    target_of,
)
from schema.registry import registered
from schema.rows import source_of, value_of
from schema.sql import Bound, Statement
from service.errors import ErrorCode
from service.language import Language
from service.scoring.text import Text

if TYPE_CHECKING:
    from schema.context import Context
    from schema.mapping import MappedField

DEFAULT_SIZE = 20
LARGEST_SIZE = 100
MOST_ORDERS = 2


@dataclass(frozen=True)
class PagePlan:
    """What a page's arguments ask for, checked."""

    size: int
    backward: bool
    keys: tuple[Key, ...]
    """Sort keys, the unique one last; places of the order's own fields are in `order_values`."""
    order_values: Mapping[str, str]
    conditions: tuple[tuple[str, Bound | None], ...]
    """Filter predicates over {r}, each with its {value}; None where the field is left out."""
    filter_values: Mapping[str, Bound]
    """All fields of the filter, null where left out: a condition may name others as places."""
    after: Sequence[str | None] | None
    before: Sequence[str | None] | None
    digest: str


def plan_page(mapped: "MappedField", declaration: Paged, given: Mapping[str, Any], language: Language) -> PagePlan:
    """Check first, last, cursors, filter and orderBy; raises RequestFault."""
    size, backward = _size(given, language)
    keys, order_values = _keys(declaration, given.get("order_by"), language)
    asked = json.dumps(
        [mapped.key, canonical(given.get("filter")), canonical(given.get("order_by"))],
        ensure_ascii=True,
        sort_keys=True,
    )
    digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    after, before = (_cursor(given.get(name), name, digest, keys, language) for name in ("after", "before"))
    conditions, filter_values = _conditions(declaration, given, language)
    return PagePlan(size, backward, keys, order_values, conditions, filter_values, after, before, digest)


def _size(given: Mapping[str, Any], language: Language) -> tuple[int, bool]:
    first, last = (None if given.get(name) is UNSET else given.get(name) for name in ("first", "last"))
    if first is not None and last is not None:
        raise RequestFault(
            language,
            ErrorCode.INVALID,
            ("last",),
            Text(zh="first 和 last 不能同时使用。", en="first and last cannot be given together."),
            Text(
                zh="向后翻页用 first 和 after，向前翻页用 last 和 before。",
                en="Page on with first and after, back with last and before.",
            ),
        )
    for name, number in (("first", first), ("last", last)):
        if number is not None and not 1 <= number <= LARGEST_SIZE:
            raise RequestFault(
                language,
                ErrorCode.INVALID,
                (name,),
                Text(
                    zh=f"{name} 应为1至{LARGEST_SIZE}，收到{number}。",
                    en=f"{name} must be 1 to {LARGEST_SIZE}; got {number}.",
                ),
            )
    return (last, True) if last is not None else (first or DEFAULT_SIZE, False)


def _keys(declaration: Paged, orders: Any, language: Language) -> tuple[tuple[Key, ...], dict[str, str]]:
    keys: list[Key] = []
    values: dict[str, str] = {}
    orders = [] if orders is None or orders is UNSET else orders
    if len(orders) > MOST_ORDERS:
        raise RequestFault(
            language,
            ErrorCode.TOO_LARGE,
            ("orderBy",),
            Text(zh=f"最多按{MOST_ORDERS}项排序。", en=f"At most {MOST_ORDERS} orders can be given."),
        )
    for position, order in enumerate(orders):
        sort: Sort = order.field.value
        flip = order.direction.name == "DESC"
        found = [replace(key, descending=key.descending != flip) for key in sort.keys]
        for field in fields(order):
            if field.name in ("field", "direction"):
                continue
            text = getattr(order, field.name)
            if any(f"{{{field.name}}}" in key.sql for key in found):
                if text is None:
                    raise RequestFault(
                        language,
                        ErrorCode.INVALID,
                        ("orderBy", str(position)),
                        Text(
                            zh=f"按{order.field.name}排序还缺少一个参数。",
                            en=f"The order {order.field.name} needs one more argument.",
                        ),
                    )
                # Two orders may name the same field, each with a value of its own.
                place = f"{field.name}_{position}"
                found = [replace(key, sql=key.sql.replace(f"{{{field.name}}}", f"{{{place}}}")) for key in found]
                values[place] = text
        keys.extend(found)
    if not orders:
        keys.extend(declaration.default)
    # Two orders may name the same column; once it is sorted by, it says nothing new.
    unique = {key.sql: key for key in reversed(keys)}
    ordered = [
        key for index, key in enumerate(keys) if unique[key.sql] is key or key.sql not in {k.sql for k in keys[:index]}
    ]
    if not any(key.sql == "{r}.id" for key in ordered):
        # Ids rise with time: of equals the newest comes first where the newest come first.
        ordered.append(Key("{r}.id", "uuid", descending=bool(ordered) and ordered[-1].descending))
    return tuple(ordered), values


def _cursor(given: Any, name: str, digest: str, keys: Sequence[Key], language: Language) -> Sequence[str | None] | None:
    if given is None or given is UNSET:
        return None
    values = read_cursor(given, digest, keys)
    if values is None:
        raise RequestFault(
            language,
            ErrorCode.INVALID_CURSOR,
            (name,),
            Text(zh="不是本列表在此筛选和排序下的游标。", en="This is not a cursor of this list, filter and order."),
            Text(
                zh="请使用同一查询返回的 startCursor 或 endCursor；改变筛选或排序后从头翻起。",
                en="Take startCursor or endCursor of the same query; after changing filter or order, begin again.",
            ),
        )
    return values


def _conditions(
    declaration: Paged, given: Mapping[str, Any], language: Language
) -> tuple[tuple[tuple[str, Bound | None], ...], dict[str, Bound]]:
    if declaration.filter is None:
        return (), {}
    chosen = given.get("filter")
    found: list[tuple[str, Bound | None]] = []
    values: dict[str, Bound] = {}
    for field, condition in conditions_of(registered(declaration.filter)):
        value = None if chosen is None or chosen is UNSET else getattr(chosen, field.python_name)
        read, kind = read_condition(field, condition, value, language)
        values[field.python_name] = Bound(f"filter {field.python_name}", read, kind)
        if read is not None:
            found.append((condition.sql, values[field.python_name]))
        elif condition.otherwise is not None:
            found.append((condition.otherwise, None))
    return tuple(found), values


def conditions_of(filter_class: type) -> list[tuple[StrawberryField, Condition]]:
    """The conditions of a filter input, in order."""
    definition = filter_class.__strawberry_definition__  # type: ignore[attr-defined]  # every declared input has one
    return [(field, field.metadata["kaoping"]) for field in definition.fields]


# ---- one page


class Page:
    """The rows of one page, and what else its connection may be asked."""

    def __init__(
        self, context: "Context", mapped: "MappedField", declaration: Paged, row: Any, given: Mapping[str, Any]
    ) -> None:
        self._context = context
        self._declaration = declaration
        self._row = row
        self._given = given
        self.plan = plan_page(mapped, declaration, given, context.language)
        self.target: Target = target_of(mapped, None, mapped.target.__node__)
        self.records: list[Mapping[str, Any]] = []
        self.more = False
        """Whether the page's own direction goes on."""

    def _build(
        self, where: Callable[[Statement, list[str]], list[str]], *, keyed: bool = True
    ) -> tuple[Statement, str, str, list[str]]:
        """A statement with its parent's FROM item, the rows reached, and the sort keys as SQL.

        `where` gives more conditions, once the sort keys are known. Where they are not wanted (`keyed`), they are not
        rendered: PostgreSQL refuses a parameter that nothing uses.
        """
        declaration, plan, rows = self._declaration, self.plan, [self._row]
        statement = self._context.statement()
        keys = plan.keys if keyed else ()
        texts = [*(key.sql for key in plan.keys), *joins_of(keys), *(sql for sql, _ in plan.conditions)]
        whole = needs_parent(declaration, texts)
        own = own_places(declaration.arguments, self._given, self._context.language)
        own |= {name: Bound(f"order {name}", text, "text") for name, text in plan.order_values.items()}
        own |= plan.filter_values
        own |= {"r": "r", "t": alias_of(rows) if whole else "t"}
        standing = stand(statement, rows, locals_only=None if whole else local_types(rows, declaration.on))
        expressions = [statement.render(key.sql, **own) for key in keys]
        conditions = [f"({statement.render(sql, **{**own, 'value': value or ''})})" for sql, value in plan.conditions]
        conditions += where(statement, expressions)
        source = source_of(self._row)
        reached = reached_from(statement, declaration, self.target, own, source, conditions, joins_of(keys))
        return statement, standing, reached, expressions

    def _between(self, statement: Statement, expressions: list[str]) -> list[str]:
        """Conditions of the cursors given."""
        plan = self.plan
        return [
            beyond(plan.keys, expressions, values, statement.bind, backward=backward)
            for values, backward in ((plan.after, False), (plan.before, True))
            if values is not None
        ]

    async def fetch(self) -> None:
        """Read the page's rows."""
        plan = self.plan
        statement, standing, reached, expressions = self._build(self._between)
        cursor = cursor_sql(statement.bind(plan.digest, "text"), expressions)
        columns = ", ".join(f'r."{name}"' for name in columns_of_target(self.target))
        order = order_by(plan.keys, expressions, backward=plan.backward)
        records = await self._context.fetch(
            f"SELECT r.* FROM {standing} CROSS JOIN LATERAL (SELECT {columns}, {cursor} AS __cursor, "
            f"row_number() OVER (ORDER BY {order}) AS __place {reached} ORDER BY {order} LIMIT {plan.size + 1}) r "
            "ORDER BY __place",
            statement,
        )
        self.more = len(records) > plan.size
        self.records = list(records[: plan.size])
        if plan.backward:
            self.records.reverse()

    async def has_next(self) -> bool:
        """Whether rows follow the page."""
        if not self.plan.backward and (self.more or self.plan.before is None):
            return self.more
        return self.plan.before is not None and await self._exists(backward=False)

    async def has_previous(self) -> bool:
        """Whether rows come before the page."""
        if self.plan.backward and (self.more or self.plan.after is None):
            return self.more
        return self.plan.after is not None and await self._exists(backward=True)

    async def _exists(self, *, backward: bool) -> bool:
        """Whether there are rows after the page (backward: before it), whatever the cursors say."""
        edge = self._edge(backward=backward)

        def outside(statement: Statement, expressions: list[str]) -> list[str]:
            if edge is None:
                return []
            return [beyond(self.plan.keys, expressions, edge, statement.bind, backward=backward)]

        statement, standing, reached, _ = self._build(outside, keyed=edge is not None)
        found = await self._context.fetch(f"SELECT EXISTS (SELECT 1 {reached}) AS found FROM {standing}", statement)
        return bool(found and found[0]["found"])

    def _edge(self, *, backward: bool) -> Sequence[str | None] | None:
        """Sort keys of the page's last row (backward: its first), or of the cursor where the page is empty."""
        if self.records:
            record = self.records[0 if backward else -1]
            return read_cursor(record["__cursor"], self.plan.digest, self.plan.keys)
        return self.plan.before if backward else self.plan.after

    async def count(self) -> int | None:
        """How many rows there are under the filter."""
        if not self._declaration.countable:
            return None
        statement, standing, reached, _ = self._build(lambda _statement, _keys: [], keyed=False)
        found = await self._context.fetch(f"SELECT (SELECT count(*) {reached}) AS found FROM {standing}", statement)
        return int(found[0]["found"]) if found else 0


async def open_page(
    context: "Context", mapped: "MappedField", declaration: Paged, row: Any, _info: Any, given: Mapping[str, Any]
) -> Any:
    """The connection object of a field."""
    if any(value_of(row, name) is None for name in declaration.on):
        raise TypeError(f"{mapped.key}: the columns of `on` must not be null.")
    page = Page(context, mapped, declaration, row, given)
    await page.fetch()
    return mapped.target.of_page(page)
