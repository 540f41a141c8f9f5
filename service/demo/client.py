"""A small client of the GraphQL API, as a frontend team would write one: queries, mutations, pages and subscriptions.

Every mutation carries an idempotency key made from its input, so that a call may be repeated after a broken connection
and a second run of the demo repeats nothing. Refusals are raised as `RefusedError`, with all that the API says.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from service.demo.library import Json

T = TypeVar("T")
R = TypeVar("R")

PAGE = 100
"""Rows asked for at once: the most that a connection gives."""

AT_ONCE = 4
"""Requests in flight at the same time."""

ATTEMPTS = 6
"""How often a request is sent before its failure is told."""

FIRST_PAUSE_SECONDS = 0.2
"""Pause before the second attempt; doubled before each later one."""

REQUEST_SECONDS = 60.0
SOCKET_SECONDS = 10.0

TRANSIENT = frozenset({"UNAVAILABLE", "TIMEOUT", "THROTTLED", "IDEMPOTENCY_IN_PROGRESS"})
"""Codes after which the same request is sent again."""

ERRORS = """... on Error { __typename code message path hint }
    ... on InputError { issueCount issues { code message path hint } }
    ... on StateError { state legalFrom }
    ... on VersionConflictError { conflicts { path currentVersion } }"""


class RefusedError(Exception):
    """The API said no: which field, and its words, with each single fault beneath."""

    def __init__(self, field: str, error: Json) -> None:
        self.field = field
        self.error = error
        self.code: str = error.get("code") or error.get("extensions", {}).get("code", "")
        super().__init__("\n".join([f"{field}: {_line(error)}", *(f"  - {_line(i)}" for i in error.get("issues", []))]))


class UnreachableError(Exception):
    """The server or its subscriptions can't be reached; the message says what was tried."""


class Api:
    """One caller of the API: an address and, after signing in, a bearer token."""

    def __init__(
        self, http: httpx.AsyncClient, *, address: str, token: str | None = None, language: str = "zh-CN"
    ) -> None:
        self._http = http
        self._address = address
        self._token = token
        self._language = language

    def signed_in(self, token: str) -> Self:
        """The same address for another caller."""
        return type(self)(self._http, address=self._address, token=token, language=self._language)

    async def query(self, document: str, **variables: object) -> Json:
        """The data of a query. Raises RefusedError on any error of the request."""
        return await self._send("query", document, variables)

    async def mutate(self, field: str, selection: str, **given: object) -> Json:
        """One mutation; `selection` is read from its success. Raises RefusedError on every typed error."""
        name = field[0].upper() + field[1:]
        payload: Json = {key: value for key, value in given.items() if value is not None}
        if field != "signIn":
            payload["idempotencyKey"] = idempotency_key(field, payload)
        document = f"""mutation Demo($input: {name}Input!) {{
  {field}(input: $input) {{
    ... on {name}Success {{ {selection} }}
    {ERRORS}
  }}
}}"""
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            data = await self._send(field, document, {"input": payload})
            result = cast(Json, data[field])
            if "code" not in result or not str(result.get("__typename", "")).endswith("Error"):
                return result
            if result["code"] not in TRANSIENT or attempt == ATTEMPTS:
                raise RefusedError(field, result)
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def nodes(self, document: str, *path: str, **variables: object) -> list[Json]:
        """All nodes of a connection, page by page; `path` leads to it, the document takes $first and $after."""
        found: list[Json] = []
        after: str | None = None
        while True:
            data = await self.query(document, first=PAGE, after=after, **variables)
            connection: Json = data
            for step in path:
                connection = connection[step]
            found += [edge["node"] for edge in connection["edges"]]
            if not connection["pageInfo"]["hasNextPage"]:
                return found
            after = connection["pageInfo"]["endCursor"]

    async def watch(self, field: str, document: str, **variables: object) -> AsyncGenerator[Json, None]:
        """Messages of a subscription over graphql-transport-ws. Raises UnreachableError where the socket fails."""
        parts = urlsplit(self._address)
        address = urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
        protocol = Subprotocol("graphql-transport-ws")
        try:
            async with connect(address, subprotocols=[protocol], open_timeout=SOCKET_SECONDS, proxy=None) as socket:
                payload = {"authorization": f"Bearer {self._token}", "accept-language": self._language}
                await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
                subscribe = {"query": document, "variables": variables}
                async for text in socket:
                    message = cast(Json, json.loads(text))
                    match message["type"]:
                        case "connection_ack":
                            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
                        case "ping":
                            await socket.send(json.dumps({"type": "pong"}))
                        case "next":
                            if errors := message["payload"].get("errors"):
                                raise RefusedError(field, errors[0])
                            yield message["payload"]["data"][field]
                        case "error":
                            raise RefusedError(field, message["payload"][0])
                        case "complete":
                            return
        except (OSError, WebSocketException, TimeoutError) as error:
            raise UnreachableError(f"{address}: {error}") from error

    async def _send(self, field: str, document: str, variables: Json) -> Json:
        headers = {"accept": "application/graphql-response+json", "accept-language": self._language}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                response = await self._http.post(
                    self._address, json={"query": document, "variables": variables}, headers=headers
                )
                body = cast(Json, response.json())
            except (httpx.TransportError, ValueError) as error:
                if last:
                    raise UnreachableError(f"{self._address}: {error!r}") from error
            else:
                errors = cast(list[Json], body.get("errors") or [])
                if not errors:
                    return cast(Json, body["data"])
                codes = {error.get("extensions", {}).get("code") for error in errors}
                if last or not codes <= TRANSIENT:
                    raise RefusedError(field, errors[0])
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")


def idempotency_key(field: str, payload: Json) -> str:
    """A key of 1 to 128 ASCII characters that is the same for the same step with the same input."""
    text = json.dumps(payload, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return f"demo-{field}-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


async def few_at_once(work: Callable[[T], Awaitable[R]], things: Iterable[T], limit: int = AT_ONCE) -> list[R]:
    """The results of `work` on all things, in order, with at most `limit` at the same time."""
    gate = asyncio.Semaphore(limit)

    async def one(thing: T) -> R:
        async with gate:
            return await work(thing)

    return list(await asyncio.gather(*(one(thing) for thing in things)))


def _line(error: Json) -> str:
    place = ".".join(str(step) for step in error.get("path") or [])
    code: Any = error.get("code") or error.get("extensions", {}).get("code", "")
    hint = error.get("hint") or error.get("extensions", {}).get("hint")
    text = f"{code} {error.get('message', '')}".strip()
    return text + (f" [{place}]" if place else "") + (f" ({hint})" if hint else "")
