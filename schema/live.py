"""Live changes of one object (实时变化): its present state first, then each change, until it ends.

A subscription looks at the row when it is told of a change (service.wakeups), and now and then by itself: what it
tells is always read, so that a word that is lost, doubled or late only costs a moment. Without Redis it looks again and
again. It holds no connection in between. Cursors name the state that was
seen, so whoever resumes after one is told nothing twice, and misses at most states in between.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import strawberry
from strawberry import ID

from schema.arguments import read_value
from schema.context import Context
from schema.faults import RequestFault
from schema.stock import load_row
from service.errors import ErrorCode
from service.ids import encode_id, from_base64url, to_base64url
from service.scoring.text import Text
from service.wakeups import waiting_for

LOOK_SECONDS = 0.3
"""How often a row is looked at."""

REST = 4
"""How long to rest after a look, in times of how long it took: looking must not be what keeps the database busy."""

LONGEST_REST_SECONDS = 5.0
"""However slow the database is, changes are told within about this."""

QUIET_SECONDS = 5.0
"""How often a row is looked at whose changes are all told."""

F = TypeVar("F", bound=Callable[..., Any])

Id = Annotated[ID, strawberry.argument(description="Which.")]
After = Annotated[str | None, strawberry.argument(description="Cursor of the last message seen.")]


def live(description: str) -> Callable[[F], F]:
    """A method as a field of the Subscription root."""

    def decorate(method: F) -> F:
        return cast("F", strawberry.subscription(method, description=description))

    return decorate


@dataclass(frozen=True)
class Change:
    """A state to be told: the row as it is now, and the cursor to resume after."""

    cursor: str
    row: Any


async def changes(
    context: Context,
    cls: type,
    text: str,
    after: str | None,
    *,
    state: Callable[[Context, Any], Awaitable[str]],
    ended: Callable[[Any], bool] = lambda _row: False,
    every: float = LOOK_SECONDS,
    told_of: Callable[[Any], bool] = lambda _row: False,
) -> AsyncIterator[Change | None]:
    """States of the object of type `cls` with the id `text`; None once where it does not exist or is hidden.

    `state` puts into words what counts as a change, `ended` says that none will follow. `told_of` says that each change
    from this state on is an event of the outbox, so that it is looked for at most `every` so many seconds, and rarely
    where none is told; else it is looked for that often, and at once where one is told. Raises RequestFault for an id
    or a cursor that is none.
    """
    key = read_value(text, "uuid", cls.__name__, ("id",), context.language)
    assert isinstance(key, UUID)
    told = _read_cursor(context, encode_id(cls.__name__, key), after)
    if context.actor is None:
        yield None
        return
    with waiting_for(context.db, context.actor.tenant_id, key) as word:
        while True:
            word.clear()
            # Whatever was read since the last look was of an older snapshot.
            await context.close()
            begun = time.monotonic()
            try:
                row = await load_row(context, cls, key)
                now = None if row is None else await state(context, row)
            finally:
                await context.close()
            took = time.monotonic() - begun
            if row is None or now is None:
                yield None
                return
            if now != told:
                told = now
                yield Change(to_base64url(json.dumps([encode_id(cls.__name__, key), now]).encode()), row)
            if ended(row):
                return
            rest = max(every, min(REST * took, LONGEST_REST_SECONDS))
            if not told_of(row):
                await word.wait(rest)
                continue
            await asyncio.sleep(rest)
            if word.expected:
                await word.wait(max(0.0, QUIET_SECONDS - rest))


def _read_cursor(context: Context, of: str, after: str | None) -> str | None:
    """The state that a cursor of this object names."""
    if after is None:
        return None
    try:
        parts = json.loads(from_base64url(after, max_length=1000) or b"")
    except ValueError:
        parts = None
    if not (isinstance(parts, list) and len(parts) == 2 and parts[0] == of and isinstance(parts[1], str)):
        raise RequestFault(
            context.language,
            ErrorCode.INVALID_CURSOR,
            ("after",),
            Text(zh="不是该对象的游标。", en="This is not a cursor of this object."),
            Text(zh="请使用最近一条消息的 cursor，或不填。", en="Use the cursor of the last message, or none."),
        )
    return parts[1]
