"""Answers leave in one piece, and every kind of them is whole: over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from service.http import Protocol

pytestmark = pytest.mark.anyio

GOES_ON = asyncio.Event()


async def _answer(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("answered")


async def _unchanged(_: Request) -> Response:
    return Response(status_code=304)


async def _parts() -> AsyncIterator[bytes]:
    yield b"first"
    await GOES_ON.wait()
    yield b"second"


async def _waits(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        await GOES_ON.wait()
        yield b"too late"

    return StreamingResponse(parts())


async def _stream(_: Request) -> Response:
    return StreamingResponse(_parts())


async def _break() -> AsyncIterator[bytes]:
    for each in (b"",):
        if not each:
            raise RuntimeError("broken off")
        yield each


async def _breaks_off(_: Request) -> Response:
    return StreamingResponse(_break())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server of its own."""
    app = Starlette(
        routes=[
            Route("/", _answer, methods=["GET", "POST"]),
            Route("/unchanged", _unchanged),
            Route("/stream", _stream),
            Route("/waits", _waits),
            Route("/breaks-off", _breaks_off),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Protocol, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server._serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> bytes:
    """The first piece of what comes back."""
    writer.write(request.replace("\n", "\r\n").encode())
    return await asyncio.wait_for(reader.read(65536), 5)


async def test_head_and_body_come_together_and_the_connection_stays(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        told = await ask(reader, writer, "GET / HTTP/1.1\nHost: x\n\n")
        assert told.startswith(b"HTTP/1.1 200 OK\r\n")
        assert told.endswith(b"\r\n\r\nanswered")
    assert (await ask(reader, writer, "HEAD / HTTP/1.1\nHost: x\n\n")).endswith(b"\r\n\r\n")
    assert (await ask(reader, writer, "GET /unchanged HTTP/1.1\nHost: x\n\n")).startswith(b"HTTP/1.1 304 ")
    writer.close()


async def test_a_client_that_waits_for_leave_gets_it(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 4\n\n"
    assert await ask(reader, writer, head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await ask(reader, writer, "body")).endswith(b"answered")
    writer.close()


async def test_a_stream_begins_with_its_first_part(port: int) -> None:
    GOES_ON.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    first = await ask(reader, writer, "GET /stream HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert b"HTTP/1.1 200 " in first
    assert b"first" in first
    GOES_ON.set()
    assert b"second" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_client_that_leaves_before_the_body_leaves_no_fault(port: int) -> None:
    GOES_ON.clear()
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)
        GOES_ON.set()
        await asyncio.sleep(0.1)
    finally:
        loop.set_exception_handler(None)
    assert not faults


@pytest.mark.parametrize(
    ("request_", "status"),
    [("GET /breaks-off HTTP/1.1\nHost: x\n\n", 200), ("nonsense\n\n", 400)],
    ids=["app", "client"],
)
async def test_what_breaks_off_still_sends_its_head(port: int, request_: str, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_.replace("\n", "\r\n").encode())
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
