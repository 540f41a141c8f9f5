"""The GraphQL types of pages: `Connection[OrgUnit]` in an annotation is the type `OrgUnitConnection` (连接类型).

One way per type: each table type gets its connection and edge once, from its name and its `plural`.
"""

from typing import Any

import strawberry

from schema.paging import Page
from schema.reach import table_of
from schema.resolvers import resolved
from schema.stock import make_reached


@strawberry.type(description="Where a page stands in its connection.")
class PageInfo:
    """Flags and cursors of a page."""

    page: strawberry.Private[Page]

    @resolved("Whether more follow.")
    async def has_next_page(self) -> bool:
        """Whether more follow."""
        return await self.page.has_next()

    @resolved("Whether more come before.")
    async def has_previous_page(self) -> bool:
        """Whether more come before."""
        return await self.page.has_previous()

    @resolved("Cursor of the first edge.")
    def start_cursor(self) -> str | None:
        """Cursor of the first edge."""
        return self.page.records[0]["__cursor"] if self.page.records else None

    @resolved("Cursor of the last edge.")
    def end_cursor(self) -> str | None:
        """Cursor of the last edge."""
        return self.page.records[-1]["__cursor"] if self.page.records else None


class _Connected:
    """What every connection does."""

    __node__: type
    __edge__: type
    page: Page

    @classmethod
    def of_page(cls, page: Page) -> Any:
        """The connection over a page."""
        made = cls.__new__(cls)
        made.page = page
        return made

    def _edges(self) -> list[Any]:
        return [
            self.__edge__(cursor=record["__cursor"], node=make_reached(self.page.target, record))
            for record in self.page.records
        ]

    def _page_info(self) -> PageInfo:
        return PageInfo(page=self.page)

    async def _total_count(self) -> int | None:
        return await self.page.count()


_made: dict[str, type] = {}


def is_connected(cls: type) -> bool:
    """Whether a type is a connection, an edge or PageInfo: their fields are Python here, and SQL in a plan."""
    return cls is PageInfo or hasattr(cls, "__node__")


class Connection:
    """`Connection[Node type]`; type checkers see `schema.mapping.Connection`."""

    def __class_getitem__(cls, node: type) -> type:
        if table_of(node) is None:
            raise TypeError(f"{node!r} is no table type, so it has no connection.")
        if node.__name__ not in _made:
            _made[node.__name__] = _make(node)
        return _made[node.__name__]


def _make(node: type) -> type:
    plural: str | None = node.__plural__  # type: ignore[attr-defined]  # said in @table
    if plural is None:
        raise TypeError(f"{node.__name__} needs `plural` in @table: it names the connection's description.")
    edge = strawberry.type(
        type(
            f"{node.__name__}Edge",
            (),
            {
                "__module__": __name__,
                "__node__": node,
                "__annotations__": {"cursor": str, "node": node},
                "cursor": strawberry.field(description="Opaque; bound to filter and order."),
                "node": strawberry.field(description="The row."),
            },
        ),
        description=f"One row of a page of {plural}.",
    )

    def edges(self: _Connected) -> list[edge]:  # type: ignore[valid-type]  # made just above
        return self._edges()

    def page_info(self: _Connected) -> PageInfo:
        return self._page_info()

    async def total_count(self: _Connected) -> int | None:
        return await self._total_count()

    return strawberry.type(
        type(
            f"{node.__name__}Connection",
            (_Connected,),
            {
                "__module__": __name__,
                "__node__": node,
                "__edge__": edge,
                "edges": strawberry.field(resolver=edges, description="The rows of this page, in order."),
                "page_info": strawberry.field(resolver=page_info, description="Where this page stands."),
                "total_count": strawberry.field(
                    resolver=total_count,
                    description="How many there are under the filter; counted only when asked for, "
                    "null where counting would cost too much.",
                ),
            },
        ),
        description=f"A page of {plural}.",
    )
