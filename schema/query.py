"""The Query root: the fields of all nouns, and objects by id (查询根)."""

import asyncio
from typing import Annotated, Any

import strawberry
from strawberry import ID, Info

from schema.context import Context
from schema.faults import RequestFault
from schema.mapping import Node, resolved
from schema.reach import table_of
from schema.registry import all_types, register, roots
from schema.stock import load_row
from service.errors import ErrorCode
from service.ids import parse_id
from service.scoring.text import Text

MOST_IDS = 100


@strawberry.type(description="Objects by id.")
class NodeQuery:
    """Objects by id."""

    @resolved("One object by id.")
    async def node(
        self,
        info: Info[Context, None],
        id: Annotated[ID, strawberry.argument(description="Any id.")],  # noqa: A002  # the argument's name in the API
    ) -> Node | None:
        """The object, or null where it does not exist or is not for the caller."""
        found: Node | None = await _node(info.context, id, ("id",))
        return found

    @resolved("Objects by id, in order; null where there is none.")
    async def nodes(
        self, info: Info[Context, None], ids: Annotated[list[ID], strawberry.argument(description="At most 100 ids.")]
    ) -> list[Node | None] | None:
        """The objects, in the order of their ids."""
        if len(ids) > MOST_IDS:
            raise RequestFault(
                info.context.language,
                ErrorCode.TOO_LARGE,
                ("ids",),
                Text(zh=f"最多{MOST_IDS}个编号，收到{len(ids)}个。", en=f"At most {MOST_IDS} ids; got {len(ids)}."),
            )
        return list(await asyncio.gather(*(_node(info.context, each, ("ids", str(i))) for i, each in enumerate(ids))))


async def _node(context: Context, text: str, path: tuple[str, ...]) -> Any:
    parsed = parse_id(text)
    cls = node_types().get(parsed[0]) if parsed else None
    if parsed is None or cls is None:
        raise RequestFault(
            context.language,
            ErrorCode.INVALID_ID,
            path,
            Text(zh="不是有效的编号。", en="This is not an id."),
            Text(zh="请使用查询返回的 id。", en="Use an id that a query gave."),
        )
    return await load_row(context, cls, parsed[1]) if context.actor is not None else None


def node_types() -> dict[str, type]:
    """All types that have an id, by name."""
    return {name: cls for name, cls in all_types().items() if issubclass(cls, Node) and table_of(cls) is not None}


register(NodeQuery, root="Query")


def build_query() -> type:
    """The root type."""
    gathered = type("Query", tuple(roots("Query")), {"__module__": __name__, "__annotations__": {}})
    return strawberry.type(
        gathered,
        description="Everything that can be read. "
        "A field is null where the thing does not exist or is not for the caller.",
    )
