"""What Python reckons, put into the JSON that a statement gave (填空).

Where a computed field stands, the statement leaves the record between marks, as JSON. All records of one field are
reckoned together, equal ones once. What becomes a value object goes back into PostgreSQL as a document, for the JSON of
what is chosen of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import orjson
from graphql import GraphQLLeafType

from schema.context import Context
from schema.declarations import Computed
from schema.plans.plan import Blank
from schema.plans.reasons import Unplannable
from schema.plans.scalars import BLANK, BLANK_END, BLANK_RECORD

_BLANK, _RECORD, _END = BLANK.encode(), BLANK_RECORD.encode(), BLANK_END.encode()

Documents = Callable[[int, Sequence[str]], Awaitable[Sequence[bytes]]]
"""The JSON of value objects: for the blank of this number, of these documents."""


async def fill(data: bytes, blanks: Sequence[Blank], context: Context, documents: Documents) -> bytes:
    """The JSON with its blanks filled in; raises Unplannable for a null where there must be none."""
    first, *rest = data.split(_BLANK)
    found: list[tuple[int, bytes, bytes]] = []
    values_of: list[dict[bytes, bytes]] = [{} for _ in blanks]
    for part in rest:
        place, _, after = part.partition(_RECORD)
        record, _, after = after.partition(_END)
        found.append((int(place), record, after))
        values_of[int(place)][record] = b""
    for number, blank in enumerate(blanks):
        values = await _values(blank, list(values_of[number]), context)
        if blank.below is not None:
            written = await documents(number, [orjson.dumps(value, default=_plain).decode() for value in values])
        else:
            written = [orjson.dumps(_leaf(blank, value)) for value in values]
        if not blank.nullable and b"null" in written:
            raise Unplannable("null", blank.field.key)
        values_of[number] = dict(zip(values_of[number], written, strict=True))
    return first + b"".join(values_of[number][record] + after for number, record, after in found)


async def _values(blank: Blank, texts: Sequence[bytes], context: Context) -> Sequence[Any]:
    declaration = cast(Computed, blank.field.declaration)
    if not texts:
        return []
    records = [_record(orjson.loads(text), declaration) for text in texts]
    try:
        return await declaration.by(context, records)
    except Exception as error:
        raise Unplannable("computed", blank.field.key) from error


def _record(record: Any, declaration: Computed) -> Mapping[str, Any]:
    """Ids of columns are UUIDs, as the driver gives them."""
    return {
        name: UUID(value) if value is not None and name in declaration.needs and _is_id(name) else value
        for name, value in record.items()
    }


def _plain(value: object) -> str:
    """What documents hold beside JSON's own: the driver's UUIDs, and decimals."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def _leaf(blank: Blank, value: Any) -> Any:
    if value is None:
        return None
    member = value if blank.field.enum is None else blank.field.enum[value]
    return cast(GraphQLLeafType, blank.named).serialize(member)
