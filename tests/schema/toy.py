"""A small schema with everything that can go wrong, served by a real server, to try the endpoint from outside."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

import strawberry
import uvicorn
from starlette.types import ASGIApp

from schema.options import EndpointOptions
from service.errors import ErrorCode, KaopingError, NotFound, unauthenticated
from service.language import Language, choose_language
from service.scoring.text import Text


@dataclass
class Door:
    """Who may come in, and who did."""

    tokens: dict[str, str] = field(default_factory=lambda: {"good": "小王", "other": "小李"})
    opened: int = 0
    inside: set[int] = field(default_factory=set)
    finished: list[str] = field(default_factory=list)
    broken: Exception | None = None

    async def enter(self, *, authorization: str | None, accept_language: str | None, request_id: str) -> "ToyContext":
        """A context for a known token, or none."""
        if self.broken is not None:
            raise self.broken
        actor = None
        if authorization is not None:
            actor = self.tokens.get(authorization.removeprefix("Bearer "))
            if actor is None:
                raise unauthenticated(Text(zh="登录令牌无效或已过期。", en="The bearer token is not valid."))
        self.opened += 1
        self.inside.add(self.opened)
        return ToyContext(self, self.opened, actor, choose_language(accept_language), request_id)


@dataclass
class ToyContext:
    """One operation."""

    door: Door
    number: int
    actor: str | None
    language: Language
    request_id: str | None

    async def close(self) -> None:
        """Leave; may be called again."""
        self.door.inside.discard(self.number)


Info = strawberry.Info[ToyContext, None]


@strawberry.input(one_of=True)
class Either:
    """One of two."""

    left: strawberry.Maybe[int]
    right: strawberry.Maybe[str]


@strawberry.input
class Row:
    """A row of a bulk input."""

    value: int
    either: Either | None = None


@strawberry.type
class Unit:
    """A unit of an endless tree."""

    name: str = "城东社区党支部"

    @strawberry.field
    def child(self) -> "Unit":
        """The next one."""
        return Unit()

    @strawberry.field
    def units(self, first: int | None = None, last: int | None = None) -> list["Unit"]:
        """A page."""
        return [Unit()] * (first or last or 20)


@strawberry.type
class Query:
    """Reads."""

    @strawberry.field
    def hello(self, name: str = "考评") -> str:
        """A greeting."""
        return f"你好，{name}"

    @strawberry.field
    def who(self, info: Info) -> str | None:
        """Who asks."""
        return info.context.actor

    @strawberry.field
    def unit(self) -> Unit:
        """The root unit."""
        return Unit()

    @strawberry.field
    def units(self, first: int | None = None, last: int | None = None) -> list[Unit]:
        """A page."""
        return [Unit()] * (first or last or 20)

    @strawberry.field
    def boom(self) -> str | None:
        """A surprise."""
        raise RuntimeError("password=hunter2")

    @strawberry.field
    def missing(self) -> str | None:
        """A refusal of a use-case."""
        raise NotFound(("id",))

    @strawberry.field
    def broken(self) -> str:
        """A promise that is not kept."""
        return None  # type: ignore[return-value]  # that is the point

    @strawberry.field
    async def slow(self, seconds: float) -> str | None:
        """Takes its time."""
        await asyncio.sleep(seconds)
        return "done"

    @strawberry.field
    def choose(self, either: Either) -> str:
        """Takes one of two."""
        return "left" if either.left else "right"


@strawberry.type
class Mutation:
    """Writes."""

    @strawberry.mutation
    def add(self, rows: list[Row]) -> int:
        """Adds rows up."""
        return sum(row.value for row in rows)


@strawberry.type
class Subscription:
    """What is told live."""

    @strawberry.subscription
    async def count(self, info: Info, to: int, pause: float = 0.0, name: str = "count") -> AsyncGenerator[int, None]:
        """Counts."""
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(pause)
        finally:
            info.context.door.finished.append(name)

    @strawberry.subscription
    async def events(self, pause: float = 0.0) -> AsyncGenerator[Unit, None]:
        """Objects, without end."""
        while True:
            yield Unit()
            await asyncio.sleep(pause)

    @strawberry.subscription
    async def failing(self, after: int = 1) -> AsyncGenerator[int, None]:
        """Breaks."""
        for number in range(after):
            yield number
        raise RuntimeError("password=hunter2")

    @strawberry.subscription
    async def refusing(self, first: int = 0) -> AsyncGenerator[int, None]:
        """Refuses before its first event."""
        if not first:
            raise KaopingError(ErrorCode.FORBIDDEN, Text(zh="无权订阅。", en="Not for you."))
        yield first


def toy_schema() -> strawberry.Schema:
    """The schema, built anew: an engine changes it."""
    return strawberry.Schema(Query, Mutation, Subscription)


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The address (`127.0.0.1:port`) of a server in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, ws="websockets-sansio", log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until, "The server did not start."
            time.sleep(0.01)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def options(**changes: Any) -> EndpointOptions:
    """Options without plans, and with times that no test comes to: who asks the toy is a name, and it has no tables."""
    long = {"init_seconds": 300.0, "ping_seconds": 300.0, "recheck_seconds": 300.0, "plans": False}
    return EndpointOptions(**{**long, **changes})
