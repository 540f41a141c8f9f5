"""Published boards as bytes (公示缓存): a small door before the endpoint.

A board never changes, so on the day of publication everybody asks for the same bytes. A GET that names a trusted
document of the kind that may be kept (`schema.published.documents`) is answered from memory where

- the token's actor is known, and
- the board's state is known (`schema.published.state`),

both read from PostgreSQL less than a second ago, and an answer is kept for this very state, document, operation,
variables, language and media type, and for what of the viewer it depends on. Whatever the door does not serve goes to
the endpoint, which alone refuses.

What is kept was read in one snapshot together with state and viewer, so it is kept for what was true in it. The answer
has a strong entity tag over its bytes; the client may keep it, asks each time, and gets 304 while it is the same.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import orjson
from prometheus_client import Counter
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.context import Context
from schema.documents import Operation
from schema.endpoint import read_parameters, request_id_of
from schema.execution import Engine, encode
from schema.masking import Refusal
from schema.measuring import measured
from schema.negotiation import choose_media_type
from schema.options import EndpointOptions
from schema.published.documents import BoardDocument, Viewer, board_document
from schema.published.kept import Board, Kept
from schema.published.snapshot import pinned
from schema.published.state import BoardState, read_state
from schema.requests import read_request
from service import logs
from service.access import Actor, reread
from service.actors import HELD_SECONDS
from service.errors import AccessDenied
from service.ids import decode_id
from service.language import Language, choose_language
from service.metrics import BOARD_CACHE_HITS, BOARD_CACHE_MISSES, OPERATIONS, operation_names
from tenants.database import Database

MOST_STATES: Final = 10_000
"""Boards whose state is in memory."""

MOST_ASKED: Final = 4_096
LONGEST_ASKED: Final = 2_048
"""Query strings in memory that were read already, and their length in bytes."""

CACHE_CONTROL: Final = b"private, max-age=0, must-revalidate"
"""Only the caller's own cache may keep it: other tokens see other boards. It asks each time, which costs no bytes."""

logger = logging.getLogger("kaoping.published")

VARY: Final = b"Accept, Accept-Language, Authorization"

_TAGS = re.compile(rb'\s*(?:(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")|\*)\s*(?:,|$)|\s*,')


class Entrance(Protocol):
    """What the door needs of the way in."""

    async def actor(self, authorization: str | None) -> Actor | None:
        """Who asks, known for less than a second; raises AccessDenied for a token that does not hold."""

    def context(self, actor: Actor | None, language: Language, request_id: str) -> Context:
        """A context for someone who is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A GET for a board, as its query string says."""

    document: BoardDocument
    publication_id: UUID
    variables: Mapping[str, Any]
    key: tuple[bytes, str | None, bytes]
    """Document, operation, and the variables that it declares, in one spelling."""

    label: str
    """The operation, for the access log."""
    answered: Counter
    """Answers to it, as metrics count them."""


class Form(NamedTuple):
    """In which form an answer is sent."""

    media: str
    language: Language


@dataclass(frozen=True, slots=True)
class _State:
    state: BoardState
    until: float


class PublishedBoards:
    """The door; what it does not serve goes on to `app`."""

    def __init__(
        self, app: ASGIApp, engine: Engine, entrance: Entrance, db: Database, options: EndpointOptions
    ) -> None:
        self.app = app
        self.engine = engine
        self.entrance = entrance
        self.options = options
        self.kept = Kept(options.board_cache_bytes)
        self._db = db
        self._documents: dict[tuple[bytes, str | None], BoardDocument | None] = {}
        self._asked: OrderedDict[bytes, Asked] = OrderedDict()
        self._states: OrderedDict[tuple[UUID, UUID], _State] = OrderedDict()
        self._making: dict[Hashable, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a board from memory, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not await self._serve(scope, send):
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, send: Send) -> bool:
        asked = self._read(scope.get("query_string", b""))
        if asked is None:
            return False
        headers = _headers(scope)
        form = self._form(headers.accept, headers.accept_language)
        if headers.authorization is None or form is None:
            return False
        try:
            board = await self._board(asked, headers.authorization, form, request_id_of(scope))
        except AccessDenied:
            return False
        except Exception as error:
            # The endpoint meets the same fault, and tells of it as of any other.
            logger.warning("A board could not be made: %s.", type(error).__name__)
            return False
        if board is None:
            return False
        scope.setdefault("state", {})["operation"] = asked.label
        await _send(scope, send, board, headers.if_none_match)
        return True

    async def _board(self, asked: Asked, authorization: str, form: Form, request_id: str) -> Board | None:
        actor = await self.entrance.actor(authorization)
        if actor is None:
            return None
        state = await self._state(actor.tenant_id, asked.publication_id)
        if state is None:
            return None
        key = _key(asked, state, actor, form)
        board = self.kept.get(actor.tenant_id, key)
        if board is None:
            return await self._make_once(asked, actor, form, request_id, key)
        self._count_hit(asked, actor)
        return board

    def _count_hit(self, asked: Asked, actor: Actor) -> None:
        """Tell of an answer from memory what `schema.measuring` tells of one that was reckoned, but for its time."""
        logs.bind(tenant=actor.tenant_id)
        BOARD_CACHE_HITS.inc()
        asked.answered.inc()

    # ---- what is asked for

    def _read(self, query_string: bytes) -> Asked | None:
        found = self._asked.get(query_string)
        if found is not None:
            self._asked.move_to_end(query_string)
            return found
        if not query_string or len(query_string) > self.options.url_bytes:
            return None
        asked = self._understand(query_string)
        if asked is not None and len(query_string) <= LONGEST_ASKED:
            self._asked[query_string] = asked
            if len(self._asked) > MOST_ASKED:
                self._asked.popitem(last=False)
        return asked

    def _understand(self, query_string: bytes) -> Asked | None:
        """What a query string asks for, read as the endpoint reads it; None where that is not a board to be kept."""
        try:
            request = read_request(read_parameters(QueryParams(query_string), "en"), "en")
            if request.document_id is None:
                return None
            document = self.engine.documents.by_id(request.document_id)
            if document is None:
                return None
            operation = document.operation(request.operation_name, "en")
            board = self._document(operation)
            if board is None:
                return None
            operation.check_cost(request.variables, self.options.limits, "en")
        except Refusal:
            return None
        given = board.publication_id(request.variables)
        publication_id = decode_id(given, "Publication") if isinstance(given, str) else None
        if publication_id is None:
            return None
        variables = {name: request.variables[name] for name in board.variables if name in request.variables}
        spelled = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
        name = operation_names(operation.name)
        return Asked(
            board,
            publication_id,
            variables,
            (document.digest, operation.name, spelled),
            f"query {operation.name or '-'}"[:80],
            OPERATIONS.labels("query", name, "ok"),
        )

    def _document(self, operation: Operation) -> BoardDocument | None:
        key = (operation.document.digest, operation.name)
        if key not in self._documents:
            # As many as there are trusted operations.
            self._documents[key] = board_document(self.engine.core, operation)
        return self._documents[key]

    def _form(self, accept: str | None, accept_language: str | None) -> Form | None:
        """The form that is asked for; None where it is none of ours."""
        media = choose_media_type(accept)
        return None if media is None else Form(media, choose_language(accept_language, self.options.language))

    # ---- what is true now

    async def _state(self, tenant_id: UUID, publication_id: UUID) -> BoardState | None:
        key = (tenant_id, publication_id)
        held = self._states.get(key)
        now = time.monotonic()
        if held is not None and now < held.until:
            return held.state
        reader = self._db.reading(tenant_id)
        try:
            state = await read_state(reader, publication_id)
        finally:
            await reader.close()
        if state is None:
            self._states.pop(key, None)
            return None
        self._states[key] = _State(state, now + HELD_SECONDS)
        self._states.move_to_end(key)
        if len(self._states) > MOST_STATES:
            self._states.popitem(last=False)
        return state

    # ---- answers

    async def _make_once(self, asked: Asked, actor: Actor, form: Form, request_id: str, key: Hashable) -> Board | None:
        """The answer, made by the first of those who ask for it at the same time."""
        place = (actor.tenant_id, key)
        making = self._making.get(place)
        if making is not None:
            await making.wait()
            board = self.kept.get(actor.tenant_id, key)
            if board is not None:
                self._count_hit(asked, actor)
                return board
        BOARD_CACHE_MISSES.inc()
        done = self._making[place] = asyncio.Event()
        try:
            return await self._make(asked, actor, form, request_id)
        finally:
            done.set()
            if self._making.get(place) is done:
                del self._making[place]

    async def _make(self, asked: Asked, actor: Actor, form: Form, request_id: str) -> Board | None:
        """The answer, read together with all that it is kept by; None where the endpoint has to answer."""
        context = self.entrance.context(actor.in_request(request_id), form.language, request_id)
        try:
            reader = pinned(context)
            try:
                context.actor = actor = await reread(reader, actor)
            except AccessDenied:
                return None
            state = await read_state(reader, asked.publication_id)
            if state is None:
                return None
            operation = asked.document.operation
            running = self.engine.execute(operation, asked.variables, context, request_id)
            answer = await measured(operation, context, running)
        finally:
            await context.close()
        if "errors" in answer.body:
            return None
        board = made_of(encode(answer.body), form)
        self.kept.keep(actor.tenant_id, _key(asked, state, actor, form), board)
        return board


def _key(asked: Asked, state: BoardState, actor: Actor, form: Form) -> Hashable:
    """All that an answer depends on within its district."""
    viewer: object = None
    match asked.document.depends_on(actor.sees_all, state.shown):
        case Viewer.SIGHT:
            viewer = actor.sees_all
        case Viewer.ITSELF:
            viewer = actor.reach
    return (asked.publication_id, asked.key, state.text, viewer, form)


# ---- HTTP


@dataclass(slots=True)
class _Headers:
    authorization: str | None = None
    accept: str | None = None
    accept_language: str | None = None
    if_none_match: bytes | None = None


def _headers(scope: Scope) -> _Headers:
    """The headers that matter; of two of a name the first counts, as in the endpoint, but for If-None-Match: a list."""
    found = _Headers()
    for name, value in scope["headers"]:
        if name == b"authorization" and found.authorization is None:
            found.authorization = value.decode("latin-1")
        elif name == b"accept" and found.accept is None:
            found.accept = value.decode("latin-1")
        elif name == b"accept-language" and found.accept_language is None:
            found.accept_language = value.decode("latin-1")
        elif name == b"if-none-match":
            found.if_none_match = value if found.if_none_match is None else found.if_none_match + b"," + value
    return found


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names the entity tag: in a list, weak or strong, or as `*` (RFC 9110, 13.1.2).

    A header that is not written as such matches nothing.
    """
    if if_none_match.strip() == b"*":
        return True
    at, named = 0, False
    while at < len(if_none_match):
        tag = _TAGS.match(if_none_match, at)
        if tag is None or tag[0].strip().startswith(b"*"):
            return False
        named = named or tag[1] == etag
        at = tag.end()
    return named


async def _send(scope: Scope, send: Send, board: Board, if_none_match: bytes | None) -> None:
    if if_none_match is not None and matches(if_none_match, board.etag):
        await send({"type": "http.response.start", "status": 304, "headers": list(board.headers[:_UNCHANGED])})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(board.headers)})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else board.body})


_UNCHANGED: Final = 4
"""Headers, from the first on, that go with a 304 as well."""


def made_of(body: bytes, form: Form) -> Board:
    """The body as a board, with its strong entity tag and headers."""
    digest = hashlib.sha256(f"{form.media}\n{form.language}\n".encode() + body).hexdigest()
    etag = f'"{digest}"'.encode()
    headers = (
        (b"etag", etag),
        (b"cache-control", CACHE_CONTROL),
        (b"vary", VARY),
        (b"content-language", form.language.encode()),
        (b"content-type", f"{form.media}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
    )
    return Board(body, etag, headers)
