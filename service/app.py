"""The HTTP application: addresses, request ids, security headers, access log, health (应用).

It is handed the GraphQL application and knows nothing of it but its addresses: /graphql and /graphiql.
"""

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.doorbell import Doorbell
from service.errors import ErrorCode
from service.language import choose_language, say
from service.scoring.text import Text
from service.settings import Settings
from tenants.database import Database

READY_SECONDS = 2.0
"""How long a check of readiness may take."""

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
}
"""On every response, unless it brought its own."""

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

Check = Callable[[], Awaitable[object]]


def create_app(settings: Settings, db: Database, graphql: ASGIApp) -> Starlette:
    """The application over an open database; the caller opens and closes that."""
    language = settings.language

    async def live(_: Request) -> Response:
        """Whether the process answers at all; a restart would not mend anything else."""
        return _json({"status": "live"})

    async def ready(request: Request) -> Response:
        """Whether requests can be served now. Redis is not asked: without it work is only delayed."""
        checks: dict[str, Check] = {"database": lambda: db.fetch_global("SELECT 1")}
        results = await check_all(checks)
        failed = [name for name, result in results.items() if result != "ok"]
        if failed:
            logger.warning("Not ready: %s", results, extra={"request_id": request.state.request_id})
        return _json({"status": "unready" if failed else "ready", "checks": results}, 503 if failed else 200)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        chosen = choose_language(request.headers.get("accept-language"), language)
        code, text = _UNKNOWN if error.status_code == 404 else _UNSUITABLE
        extensions = {"code": code.value, "path": None, "hint": None}
        body = {"errors": [{"message": say(text, chosen), "extensions": extensions}]}
        return _json(body, error.status_code, {**(error.headers or {}), "content-language": chosen})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Jobs that a request makes due are rung for while the application runs."""
        if settings.redis_url is None:
            yield
            return
        doorbell = Doorbell(settings.redis_url.get_secret_value())
        db.announced = doorbell.announced
        try:
            yield
        finally:
            db.announced = None
            await doorbell.close()

    middleware = [Middleware(Envelope, language=language)]
    if settings.origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "accept", "accept-language", "x-request-id"],
            expose_headers=["x-request-id", "server-timing", "content-language", "retry-after"],
            max_age=_PREFLIGHT_SECONDS,
        )
        middleware.append(cors)
    api = _Application(graphql)
    return Starlette(
        routes=[
            Route("/graphql", api),
            WebSocketRoute("/graphql", api),
            Route("/graphiql", api),
            Route("/graphiql/{file}", api),
            Route("/livez", live),
            Route("/readyz", ready),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,
    )


async def check_all(checks: dict[str, Check]) -> dict[str, str]:
    """`ok` or what is wrong (the kind of error, never its words), by name; none takes longer than READY_SECONDS."""

    async def one(check: Check) -> str:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await check()
        except Exception as error:
            return type(error).__name__
        return "ok"

    return dict(zip(checks, await asyncio.gather(*map(one, checks.values())), strict=True))


class _Application:
    """An ASGI application as it is; Starlette would take a function for one that is given a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Envelope:
    """What every request gets: an id, security headers, a line in the access log, and an answer whatever happens.

    The line names address, method, status, time and operation; no account, no network address, nothing that was sent.
    """

    def __init__(self, app: ASGIApp, language: Any) -> None:
        self.app = app
        self.language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        began = time.perf_counter()
        seen: dict[str, int] = {"bytes": 0}

        async def wrapped(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                seen["status"] = message.get("status", 101)
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if message["type"] == "http.response.start":
                    for name, value in HEADERS.items():
                        headers.setdefault(name, value)
                    headers["server-timing"] = f"app;dur={(time.perf_counter() - began) * 1000:.1f}"
            elif message["type"] == "http.response.body":
                seen["bytes"] += len(message.get("body", b""))
            elif message["type"] == "websocket.close":
                seen["close"] = message.get("code", 1000)
            await send(message)

        try:
            await self.app(scope, receive, wrapped)
        except Exception:
            logger.exception("Request failed.", extra={"request_id": request_id})
            if "status" in seen or scope["type"] != "http":
                raise
            await self._internal(scope, request_id)(scope, receive, wrapped)
        finally:
            self._log(scope, request_id, seen, (time.perf_counter() - began) * 1000)

    def _internal(self, scope: Scope, request_id: str) -> Response:
        accepted = MutableHeaders(scope=scope).get("accept-language")
        text = Text(zh="服务内部错误，已记入日志。", en="A fault of ours; it is in the log.")
        extensions = {"code": ErrorCode.INTERNAL.value, "path": None, "hint": None, "requestId": request_id}
        message = say(text, choose_language(accepted, self.language))
        return _json({"errors": [{"message": message, "extensions": extensions}]}, 500)

    def _log(self, scope: Scope, request_id: str, seen: dict[str, int], milliseconds: float) -> None:
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
        level = logging.DEBUG if scope["path"] in ("/livez", "/readyz") else logging.INFO
        access_log.log(level, "Request", extra=extra)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    own = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, own, media_type="application/json")
