"""The HTTP application: addresses, request ids, security headers, access log, metrics (应用).

It is handed the GraphQL application and knows nothing of it but its addresses: /graphql and /graphiql.
"""

import asyncio
import contextlib
import functools
import logging
import random
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs, metrics, telemetry
from service.doorbell import Doorbell
from service.errors import ErrorCode
from service.health import METRICS, Ending, Health, answer, database_check
from service.language import choose_language, say
from service.scoring.text import Text
from service.settings import Settings
from service.wakeups import Wakeups
from tenants.database import Database

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
}
"""On every response, unless it brought its own."""

_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
"""Methods that metrics tell apart."""

_GONE = 499
"""The status of a request whose client went away while it was sending, for log and metrics; nobody gets it."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_PREFLIGHT_SECONDS = 3600

_UNKNOWN = (
    ErrorCode.NOT_FOUND,
    Text(zh="没有这个地址。接口地址是 /graphql。", en="No such address. The API is at /graphql."),
)
_UNSUITABLE = (
    ErrorCode.BAD_USER_INPUT,
    Text(zh="该地址不支持这种请求。", en="This address does not take such requests."),
)

access_log = logging.getLogger("kaoping.access")
logger = logging.getLogger("kaoping.app")


def create_app(settings: Settings, db: Database, graphql: ASGIApp, health: Health | None = None) -> Starlette:
    """The application over an open database; the caller opens and closes that, and may share `health` with it."""
    language = settings.language
    health = health or Health(Ending(), {"database": database_check(db)})

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        chosen = choose_language(request.headers.get("accept-language"), language)
        code, text = _UNKNOWN if error.status_code == 404 else _UNSUITABLE
        extensions = {"code": code.value, "path": None, "hint": None}
        body = {"errors": [{"message": say(text, chosen), "extensions": extensions}]}
        return answer(body, error.status_code, {**(error.headers or {}), "content-language": chosen})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Jobs that a request makes due are rung for while the application runs."""
        if settings.redis_url is None:
            yield
            return
        doorbell = Doorbell(settings.redis_url.get_secret_value())
        db.announced = doorbell.announced
        db.wakeups = wakeups = Wakeups(settings.redis_url.get_secret_value())
        hearing = asyncio.create_task(wakeups.run())
        health.helpful["redis"] = doorbell.answers
        try:
            yield
        finally:
            db.announced = db.wakeups = None
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            await doorbell.close()

    middleware = [Middleware(Envelope, language=language, ending=health.ending)]
    if settings.origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=[
                "authorization",
                "content-type",
                "accept",
                "accept-language",
                "if-none-match",
                "traceparent",
                "tracestate",
                "x-request-id",
            ],
            expose_headers=["x-request-id", "server-timing", "content-language", "etag", "retry-after"],
            max_age=_PREFLIGHT_SECONDS,
        )
        middleware.append(cors)
    api = _Application(graphql)
    middleware.append(Middleware(Straight, api=api))
    return Starlette(
        routes=[
            Route("/graphql", api),
            WebSocketRoute("/graphql", api),
            Route("/graphiql", api),
            Route("/graphiql/{file}", api),
            *health.routes(),
            *([METRICS] if settings.metrics_port and settings.metrics_port == settings.port else []),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,
    )


class _Application:
    """An ASGI application as it is; Starlette would take a function for one that is given a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Straight:
    """The API's requests go past the router, which takes as long as a kept board does."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self.app = app
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http" and scope["path"] == "/graphql" and not scope.get("root_path"):
            scope["endpoint"] = self.api
            await self.api(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class Envelope:
    """What every request gets: an id, security headers, a line in the access log, and an answer whatever happens.

    The line names address, method, status, time and operation; no account, no network address, nothing that was sent.
    """

    def __init__(self, app: ASGIApp, language: Any, ending: Ending) -> None:
        self.app = app
        self.language = language
        self.ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["ending"] = self.ending
        logs.bind(request_id=request_id)
        began = time.perf_counter()
        seen: dict[str, int] = {"bytes": 0}

        async def wrapped(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                seen["status"] = message.get("status", 101)
                telemetry.note_status(seen["status"])
                # Straight into the list: Starlette's headers search it for each name, which a kept board would feel.
                headers = list(message.get("headers", ()))
                brought = {name for name, _ in headers}
                if b"x-request-id" in brought:
                    headers = [each for each in headers if each[0] != b"x-request-id"]
                headers.append((b"x-request-id", request_id.encode()))
                if message["type"] == "http.response.start":
                    headers += [each for each in _HEADERS if each[0] not in brought]
                    if self.ending.told.is_set():
                        # So that clients leave before the connection is closed under them.
                        headers = [each for each in headers if each[0] != b"connection"]
                        headers.append((b"connection", b"close"))
                    headers.append((b"server-timing", b"app;dur=%.1f" % ((time.perf_counter() - began) * 1000)))
                message["headers"] = headers
            elif message["type"] == "http.response.body":
                seen["bytes"] += len(message.get("body", b""))
            elif message["type"] == "websocket.close":
                seen["close"] = message.get("code", 1000)
            await send(message)

        socket = scope["type"] == "websocket"
        if socket:
            self.ending.socket_opened()
        else:
            metrics.HTTP_OPEN.inc()
        try:
            with telemetry.request_span(scope):
                await self.app(scope, receive, wrapped)
        except ClientDisconnect:
            seen["status"] = _GONE
        except Exception:
            logger.exception("Request failed.", extra={"request_id": request_id})
            if "status" in seen or scope["type"] != "http":
                raise
            await self._internal(scope, request_id)(scope, receive, wrapped)
        finally:
            seconds = time.perf_counter() - began
            if socket:
                self.ending.socket_closed()
            else:
                metrics.HTTP_OPEN.dec()
                _count(scope, seen.get("status", 500), seconds)
            self._log(scope, request_id, seen, seconds * 1000)

    def _internal(self, scope: Scope, request_id: str) -> Response:
        accepted = MutableHeaders(scope=scope).get("accept-language")
        text = Text(zh="服务内部错误，已记入日志。", en="A fault of ours; it is in the log.")
        extensions = {"code": ErrorCode.INTERNAL.value, "path": None, "hint": None, "requestId": request_id}
        message = say(text, choose_language(accepted, self.language))
        return answer({"errors": [{"message": message, "extensions": extensions}]}, 500)

    def _log(self, scope: Scope, request_id: str, seen: dict[str, int], milliseconds: float) -> None:
        level = logging.DEBUG if scope["path"] in ("/livez", "/readyz") else logging.INFO
        if not access_log.isEnabledFor(level):
            return
        extra: dict[str, object] = {
            "request_id": request_id,
            "method": scope.get("method", "WEBSOCKET"),
            # Only addresses of ours: any other is whatever somebody typed.
            "path": scope["path"] if "endpoint" in scope else "-",
            "status": seen.get("status", 500 if scope["type"] == "http" else 403),
            "milliseconds": round(milliseconds, 1),
            "bytes": seen["bytes"],
        }
        more = {"operation": scope["state"].get("operation"), "close": seen.get("close")}
        extra |= {name: value for name, value in more.items() if value is not None}
        access_log.log(level, "Request", extra=extra)


def _count(scope: Scope, status: int, seconds: float) -> None:
    """Measure an HTTP request."""
    method = scope["method"] if scope["method"] in METHODS else metrics.OTHER
    # The file's name behind /graphiql/ is whatever somebody typed.
    route = f"/{scope['path'].split('/')[1]}" if "endpoint" in scope else metrics.OTHER
    requests, times = _meters(method, route, status // 100)
    requests.inc()
    times.observe(seconds)


@functools.cache
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The two for these few labels: to find them takes longer than to count."""
    requests: Counter = metrics.HTTP_REQUESTS.labels(method, route, f"{status}xx")
    times: Histogram = metrics.HTTP_SECONDS.labels(method, route)
    return requests, times
