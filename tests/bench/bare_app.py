"""The least that can answer a board: an ASGI application that runs the plan's statement and sends what comes back.

No token, no document, no limits, no types. What Kaoping takes beyond it is what all of these cost.
"""

import os
import socket
from typing import Any
from uuid import UUID

import orjson
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.context import open_context
from schema.execution import Engine
from schema.options import EndpointOptions
from schema.requests import GraphQLRequest
from schema.schema import build_schema
from service.access import authenticate
from service.settings import Settings
from tenants.database import Database


async def statement_of(db: Database, settings: Settings, asked: dict[str, Any]) -> tuple[UUID, str, list[Any]]:
    """The statement that answers a document, as Kaoping runs it."""
    assert settings.signing_key is not None
    engine = Engine(build_schema(), EndpointOptions())
    actor = await authenticate(db, settings.signing_key.get_secret_value(), asked["token"])
    operation = engine.prepare(GraphQLRequest(asked["query"], asked["variables"], None), "zh-CN")
    ran: list[tuple[UUID, str, list[Any]]] = []
    read = db.read

    async def noted(tenant_id: UUID, sql: str, *arguments: Any) -> Any:
        ran.append((tenant_id, sql, list(arguments)))
        return await read(tenant_id, sql, *arguments)

    db.read = noted  # type: ignore[method-assign]  # for this one read
    context = open_context(db, settings, actor=actor, language="zh-CN")
    try:
        await engine.execute(operation, asked["variables"], context, "bench")
    finally:
        await context.close()
        db.read = read  # type: ignore[method-assign]  # as it was
    (found,) = ran
    return found


def application(db: Database, tenant_id: UUID, sql: str, arguments: list[Any]) -> ASGIApp:
    """Answers every request with what the statement gives."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        while (await receive()).get("more_body"):
            pass
        body = b'{"data":' + await db.read(tenant_id, sql, *arguments) + b"}"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


async def main() -> None:
    """Serve on PORT what BENCH_ASKED asks."""
    settings = Settings.read()
    assert settings.database_url is not None
    db = await Database.connect(settings.database_url.get_secret_value(), max_size=settings.pool_size)
    found = await statement_of(db, settings, orjson.loads(os.environ["BENCH_ASKED"]))
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    config = uvicorn.Config(application(db, *found), log_level="warning", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
