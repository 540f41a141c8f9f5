"""Probes, metrics and the way out, of real processes: who is unready when, and what is dropped on the way (nothing)."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service import metrics
from service.metrics import BoundedNames
from service.settings import Settings
from tests.service.test_serving import Program

NO_REDIS = "redis://127.0.0.1:1/0"

Start = Callable[..., Program]


@pytest.fixture
def start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a command on the suite's servers."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    with contextlib.ExitStack() as programs:

        def run(*words: str) -> Program:
            program = Program(*words)
            programs.callback(program.close)
            return program

        yield run


def served(program: Program) -> str:
    """The address of an API that answers."""
    address = program.says(r"serves (http://127\.0\.0\.1:\d+)/graphql")[1]
    program.says("Application startup complete")
    return address


def door(program: Program) -> str:
    """The address of its probes and metrics."""
    return program.says(r"Probes and metrics at (http://127\.0\.0\.1:\d+)")[1]


def ask(url: str) -> tuple[int, dict[str, object]]:
    """A probe's status and body."""
    found = httpx.get(url, trust_env=False, timeout=10)
    return found.status_code, found.json()


def test_redis_away_is_degraded_and_not_unready(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAOPING_REDIS_URL", NO_REDIS)
    monkeypatch.setenv("KAOPING_METRICS_PORT", "0")
    for command in ("serve", "worker"):
        program = start(command, *(["--port", "0"] if command == "serve" else []))
        program.says("Application startup complete" if command == "serve" else "The worker is ready")
        status, body = ask(f"{door(program)}/readyz")
        assert (status, body["status"]) == (200, "degraded")
        checks = body["checks"]
        assert isinstance(checks, dict)
        assert checks["database"] == "ok"
        assert checks["redis"] != "ok"
        assert ask(f"{door(program)}/livez") == (200, {"status": "live"})
        assert "kaoping_build_info" in httpx.get(f"{door(program)}/metrics", trust_env=False).text
        os.kill(program.process.pid, signal.SIGTERM)
        assert program.ends() == 0


def test_metrics_are_shown_by_setting_only(start: Start) -> None:
    address = served(start("serve", "--port", "0"))
    assert httpx.get(f"{address}/metrics", trust_env=False).status_code == 404


def test_what_is_measured_tells_names_and_no_more(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAOPING_METRICS_PORT", "0")
    program = start("serve", "--port", "0")
    address = served(program)
    with httpx.Client(base_url=address, trust_env=False) as http:
        for document in ("query Mine { __typename }", "{ __typename }", "{ nothing }", "{"):
            http.post("/graphql", json={"query": document})
        http.get("/graphiql/whatever.js")
        http.get("/secret-name")
        http.put("/graphql")
    text = httpx.get(f"{door(program)}/metrics", trust_env=False).text
    values = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")
    }
    assert values['kaoping_http_requests_total{method="POST",route="/graphql",status="2xx"}'] == 4
    assert values['kaoping_http_requests_total{method="GET",route="other",status="4xx"}'] == 1
    assert values['kaoping_http_requests_total{method="other",route="/graphql",status="4xx"}'] == 1
    assert values['kaoping_http_request_seconds_count{method="POST",route="/graphql"}'] == 4
    # Nobody was signed in, so no name was learnt.
    assert values['kaoping_graphql_operations_total{operation="other",outcome="ok",type="query"}'] == 2
    assert values['kaoping_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"}'] == 1
    assert values['kaoping_graphql_errors_total{code="GRAPHQL_PARSE_FAILED"}'] == 1
    assert values['kaoping_document_cache_lookups_total{result="miss"}'] == 4
    assert values['kaoping_database_connections{state="idle"}'] >= 1
    assert values["kaoping_database_connections_most"] == 10
    assert values["kaoping_database_waiting"] == 0
    assert values["kaoping_process_resident_memory_bytes"] > 10_000_000
    assert "secret-name" not in text
    assert "Mine" not in text
    assert "whatever" not in text


def test_names_of_a_label_are_bounded() -> None:
    names = BoundedNames(2, ["Board"])
    assert names("Board", learn=False) == "Board"
    assert names("Other", learn=False) == metrics.OTHER
    assert [names(name) for name in ("Mine", "Third", "Mine", None)] == ["Mine", "other", "Mine", "other"]
    assert BoundedNames(2)("x" * 81) == metrics.OTHER


def test_lines_carry_ids_and_nothing_that_was_sent(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAOPING_LOG_FORMAT", "json")
    program = start("serve", "--port", "0")
    address = program.says(r"serves (http://127\.0\.0\.1:\d+)/graphql")[1]
    program.says("Application startup complete")
    httpx.post(
        f"{address}/graphql",
        json={"query": 'query Sign { __type(name: "hunter2") { name } }', "variables": {"password": "hunter2"}},
        headers={"x-request-id": "request-0001", "authorization": "Bearer hunter2"},
        trust_env=False,
    )
    line = orjson.loads(program.says(r"^(\{.*request-0001.*\})$")[1])
    assert line["request_id"] == "request-0001"
    assert (line["logger"], line["path"], line["method"]) == ("kaoping.access", "/graphql", "POST")
    assert "hunter2" not in "".join(program.lines)


class Socket:
    """A WebSocket that has been acknowledged."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, address: str, token: str | None = None, *, acknowledged: bool = True) -> "Socket":
        """Connect and introduce oneself."""
        connection = await connect(f"{address.replace('http', 'ws')}/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]  # a NewType of str
        socket = cls(connection)
        await socket.say(type="connection_init", payload={"authorization": f"Bearer {token}"} if token else {})
        if acknowledged:
            assert (await socket.hear())["type"] == "connection_ack"
        return socket

    async def say(self, **message: object) -> None:
        """Send one message."""
        await self.connection.send(orjson.dumps(message).decode())

    async def hear(self) -> dict[str, object]:
        """The next message."""
        found: dict[str, object] = orjson.loads(await self.connection.recv())
        return found


@pytest.mark.anyio
async def test_after_sigterm_it_is_unready_serves_on_and_closes_sockets_with_1012(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAOPING_DRAIN_SECONDS", "4")
    monkeypatch.setenv("KAOPING_METRICS_PORT", "0")
    program = start("serve", "--port", "0")
    address = await asyncio.to_thread(served, program)
    socket = await Socket.open(address)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        assert (await http.get("/readyz")).json()["status"] == "ready"
        began = time.monotonic()
        os.kill(program.process.pid, signal.SIGTERM)
        while (ready := await http.get("/readyz")).status_code == 200:
            assert time.monotonic() - began < 4
        assert ready.json()["status"] == "ending"
        assert (await http.get("/livez")).status_code == 200
        answer = await http.post("/graphql", json={"query": "{ __typename }"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers["connection"] == "close"
        await socket.say(type="subscribe", id="1", payload={"query": "{ __typename }"})
        assert (await socket.hear())["payload"] == {"data": {"__typename": "Query"}}
        assert (await socket.hear())["type"] == "complete"
        with pytest.raises(ConnectionClosed):
            await socket.hear()
        assert socket.connection.close_code == 1012
        assert 3.9 < time.monotonic() - began < 30
    assert await asyncio.to_thread(program.ends) == 0
    assert "Traceback" not in "".join(program.lines)
    assert re.search("Told to end", "".join(program.lines))


@pytest.mark.anyio
async def test_what_runs_on_a_socket_is_answered_before_it_is_closed(start: Start) -> None:
    program = start("serve", "--port", "0")
    socket = await Socket.open(await asyncio.to_thread(served, program))
    # A password takes its time, also one of nobody.
    document = """mutation { signIn(input: { tenantCode: "nowhere", name: "nobody", password: "a wrong one" }) {
        __typename } }"""
    heard: list[dict[str, object]] = []
    for number in range(4):
        await socket.say(type="subscribe", id=str(number), payload={"query": document})
    # Messages are read in their order.
    await socket.say(type="ping")
    while (first := await socket.hear())["type"] != "pong":
        heard.append(first)
    os.kill(program.process.pid, signal.SIGTERM)
    with contextlib.suppress(ConnectionClosed):
        while True:
            heard.append(await socket.hear())
    assert [message["type"] for message in heard].count("complete") == 4, heard
    assert sum("signIn" in str(message.get("payload")) for message in heard) == 4
    assert socket.connection.close_code == 1012
    assert await asyncio.to_thread(program.ends) == 0


@pytest.mark.long
@pytest.mark.anyio
async def test_an_idle_connection_outlives_what_a_load_balancer_keeps(start: Start) -> None:
    address = await asyncio.to_thread(served, start("serve", "--port", "0"))
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for idle in (0, 62):
        await asyncio.sleep(idle)
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"}")
    writer.close()


@pytest.mark.anyio
async def test_a_second_signal_spares_the_wait(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_DRAIN_SECONDS", "60")
    program = start("serve", "--port", "0")
    await asyncio.to_thread(served, program)
    os.kill(program.process.pid, signal.SIGTERM)
    await asyncio.to_thread(program.says, "Told to end")
    os.kill(program.process.pid, signal.SIGTERM)
    assert await asyncio.to_thread(program.ends) == 0


def test_a_metrics_port_in_use_is_told(start: Start, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    assert settings.redis_url is not None
    address = served(start("serve", "--port", "0"))
    monkeypatch.setenv("KAOPING_METRICS_PORT", address.rsplit(":", 1)[1])
    program = start("worker")
    assert program.ends() == 1
    program.says("cannot be listened on: Address already in use. Choose another port with KAOPING_METRICS_PORT")
