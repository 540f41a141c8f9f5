"""GraphQL over HTTP: one request, one answer, and a coded error for everything that can be wrong (HTTP 接口).

Follows the GraphQL-over-HTTP draft: `application/graphql-response+json` where a client names it, else JSON, for which a
request refused as GraphQL is 200. GET takes queries only. Nothing but a bearer token says who asks, so that no page can
make a browser act for its user.
"""

import asyncio
import contextlib
import functools
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from graphql import FieldNode, OperationType
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from schema import masking
from schema.execution import Answer, Engine, OperationContext, encode
from schema.headers import Headers
from schema.masking import Refusal
from schema.measuring import measured
from schema.negotiation import GRAPHQL_RESPONSE, JSON, choose_media_type
from schema.options import EndpointOptions
from schema.requests import GraphQLRequest, read_request
from service.errors import AccessDenied, ErrorCode
from service.language import Language, choose_language
from service.scoring.text import Text

_CONTENT_TYPE = re.compile(r"""\s*application/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?;?\s*""", re.IGNORECASE)

_PARAMETERS = ("query", "operationName", "documentId", "doc_id", "id")
"""Parameters of a GET that are text; variables and extensions are JSON."""

SIGN_IN = "signIn"
"""The mutation for whoever has no token yet."""

_DRAIN_SECONDS = 5.0
_DRAIN_TIMES = 4


class Enter(Protocol):
    """Opens the context of one operation; raises AccessDenied (UNAUTHENTICATED) for a token that does not hold."""

    async def __call__(
        self, *, authorization: str | None, accept_language: str | None, request_id: str
    ) -> OperationContext:
        """The context, which the caller closes."""


class _TooLong(Exception):
    pass


class GraphQLEndpoint:
    """The ASGI application at the API's address; WebSockets go to `sockets`."""

    def __init__(self, engine: Engine, enter: Enter, options: EndpointOptions, sockets: ASGIApp) -> None:
        self.engine = engine
        self.enter = enter
        self.options = options
        self.sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or serve one WebSocket."""
        if scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
            return
        headers = Headers(scope)
        language = choose_language(headers.get(b"accept-language"), self.options.language)
        media = choose_media_type(headers.get(b"accept"))
        request_id = request_id_of(scope)
        more: Mapping[str, str] = {}
        body: Mapping[str, Any]
        try:
            answer = await self._answer(scope, receive, headers, language, media, request_id)
            body, status = answer.body, answer.status if media == GRAPHQL_RESPONSE else 200
        except Refusal as refusal:
            body, more = {"errors": refusal.errors}, refusal.headers or {}
            status = 200 if refusal.well_formed and media == JSON and refusal.status == 400 else refusal.status
        except ClientDisconnect:
            # Nobody is left to be answered.
            raise
        except Exception as error:
            made = masking.exception_error(error, language, request_id)
            body, status = {"errors": [made]}, masking.status_of(made)
        text = encode(body)
        fields = [
            (b"content-length", b"%d" % len(text)),
            *_head(media or JSON, language),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in more.items()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": text})

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        language: Language,
        media: str | None,
        request_id: str,
    ) -> Answer:
        method: str = scope["method"]
        self._check_transport(scope, headers, language, media)
        asked = read_request(await self._read(scope, receive, headers, language), language)
        accepted = headers.get(b"accept-language")
        try:
            context = await self.enter(
                authorization=headers.get(b"authorization"), accept_language=accepted, request_id=request_id
            )
        except AccessDenied as denied:
            if not self._signs_in(asked, language):
                raise masking.unauthenticated(denied, language) from None
            # Clients send their token along with everything: one that has ended must not stand in the way of the next.
            context = await self.enter(authorization=None, accept_language=accepted, request_id=request_id)
        try:
            operation = self.engine.prepare(asked, language)
            scope.setdefault("state", {})["operation"] = f"{operation.type.value} {operation.name or '-'}"[:80]
            self._check_method(method, operation.type, language)
            self.engine.admit(operation, context)
            running = self.engine.execute(operation, asked.variables, context, request_id)
            return await measured(operation, context, running)
        finally:
            await context.close()

    def _signs_in(self, asked: GraphQLRequest, language: Language) -> bool:
        try:
            operation = self.engine.prepare(asked, language)
        except Refusal:
            return False
        return all(
            isinstance(node, FieldNode) and node.name.value == SIGN_IN
            for node in operation.node.selection_set.selections
        )

    def _check_transport(self, scope: Scope, headers: Headers, language: Language, media: str | None) -> None:
        if media is None:
            raise masking.refuse(
                language,
                ErrorCode.BAD_USER_INPUT,
                Text(zh="没有可接受的响应格式。", en="No acceptable media type."),
                status=406,
                hint=Text(zh=f"可选：{GRAPHQL_RESPONSE}、{JSON}。", en=f"Accept {GRAPHQL_RESPONSE} or {JSON}."),
            )
        method = scope["method"]
        if method not in ("GET", "POST"):
            raise _not_allowed("GET, POST", language)
        length = len(scope.get("query_string", b""))
        if length > self.options.url_bytes:
            raise masking.refuse(
                language,
                ErrorCode.TOO_LARGE,
                Text(
                    zh=f"查询串有{length}字节，上限{self.options.url_bytes}字节。",
                    en=f"The query string has {length} bytes, the limit is {self.options.url_bytes}.",
                ),
                status=414,
                hint=Text(zh="请改用 POST。", en="Use POST."),
            )
        if method == "POST" and not _CONTENT_TYPE.fullmatch(headers.get(b"content-type") or ""):
            raise _unsupported(
                Text(zh="Content-Type 必须是 application/json（UTF-8）。", en="Content-Type must be application/json."),
                language,
            )
        if method == "POST" and (headers.get(b"content-encoding") or "identity").lower() != "identity":
            raise _unsupported(Text(zh="不支持压缩的请求体。", en="A compressed body is not supported."), language)

    async def _read(self, scope: Scope, receive: Receive, headers: Headers, language: Language) -> object:
        if scope["method"] == "GET":
            return read_parameters(QueryParams(scope.get("query_string", b"")), language)
        limit = self.options.body_bytes
        try:
            return orjson.loads(await _read_body(receive, headers, limit))
        except _TooLong:
            raise masking.refuse(
                language,
                ErrorCode.TOO_LARGE,
                Text(zh=f"请求体超过上限{limit}字节。", en=f"The body is above the limit of {limit} bytes."),
                status=413,
                hint=Text(zh="请分成几次提交。", en="Send it in several parts."),
                headers={"connection": "close"},
            ) from None
        except orjson.JSONDecodeError as error:
            raise _not_json("", error, language) from None

    def _check_method(self, method: str, type_: OperationType, language: Language) -> None:
        if type_ is OperationType.SUBSCRIPTION:
            raise masking.refuse(
                language,
                ErrorCode.BAD_USER_INPUT,
                Text(zh="订阅须经 WebSocket 发起。", en="Subscriptions need a WebSocket."),
                hint=Text(zh="请用 graphql-transport-ws 协议。", en="Use the protocol graphql-transport-ws."),
            )
        if method == "GET" and type_ is not OperationType.QUERY:
            raise _not_allowed("POST", language)


@functools.cache
def _head(media: str, language: Language) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", f"{media}; charset=utf-8".encode()),
        (b"content-language", language.encode()),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept, Accept-Language, Authorization"),
    )


def request_id_of(scope: Scope) -> str:
    """The id that the app gave this request, or a new one."""
    given = scope.get("state", {}).get("request_id")
    return given if isinstance(given, str) else uuid.uuid4().hex


async def _read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    declared = headers.get(b"content-length") or ""
    parts: list[bytes] = []
    left = -1 if declared.isdecimal() and int(declared[:20]) > limit else limit
    more = True
    while more and left >= 0:
        part, more = await _receive_part(receive)
        parts.append(part)
        left -= len(part)
    if left >= 0:
        return parts[0] if len(parts) == 1 else b"".join(parts)
    # What is too long is read on for a while and thrown away: a client that is still sending does not see an answer.
    left = _DRAIN_TIMES * limit
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while more and left >= 0:
                part, more = await _receive_part(receive)
                left -= len(part)
    raise _TooLong


async def _receive_part(receive: Receive) -> tuple[bytes, bool]:
    """The next part of the body, and whether more will come."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def read_parameters(parameters: Mapping[str, str], language: Language) -> dict[str, object]:
    """The request in the parameters of a GET; raises Refusal where one that is JSON is not."""
    body: dict[str, object] = {name: parameters[name] for name in _PARAMETERS if name in parameters}
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                body[name] = orjson.loads(parameters[name])
            except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
                raise _not_json(name, error, language) from None
    return body


def _not_json(name: str, error: Exception, language: Language) -> Refusal:
    place = f" {error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    return masking.refuse(
        language,
        ErrorCode.BAD_USER_INPUT,
        Text(
            zh=f"{name or '请求体'}不是有效的 UTF-8 JSON{place}。",
            en=f"{name or 'The body'} is not JSON in UTF-8{place}.",
        ),
        path=(name,) if name else None,
        hint=Text(zh="请检查引号、逗号和编码。", en="Look at quotes, commas and the encoding."),
    )


def _not_allowed(allow: str, language: Language) -> Refusal:
    return masking.refuse(
        language,
        ErrorCode.BAD_USER_INPUT,
        Text(zh=f"请用 {allow} 方法。", en=f"Use {allow}."),
        status=405,
        hint=Text(zh="GET 只用于查询，变更须用 POST。", en="GET is for queries; a mutation needs POST."),
        headers={"allow": allow},
    )


def _unsupported(text: Text, language: Language) -> Refusal:
    hint = Text(zh='请发送 {"query": "…"}。', en='Send {"query": "…"}.')
    return masking.refuse(language, ErrorCode.BAD_USER_INPUT, text, status=415, hint=hint)
