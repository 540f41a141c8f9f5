"""The endpoint over WebSocket, asked from outside through a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from schema.asgi import join
from tests.schema.toy import Door, options, serving, toy_schema

pytestmark = pytest.mark.anyio

PROTOCOL = Subprotocol("graphql-transport-ws")
SECONDS = 30.0
"""How long the server may take for anything."""


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def address(door: Door) -> Iterator[str]:
    quick = options(
        ping_seconds=0.2, recheck_seconds=0.1, socket_operations=5, allowed_origins=("https://front.example",)
    )
    with serving(join(toy_schema(), door.enter, quick)) as found:
        yield found


class Socket:
    """A client that says and hears whole messages; pings of the server are passed over unless asked for."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, *messages: object) -> None:
        """Send messages; text as it is."""
        for message in messages:
            await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def hear(self, *, pings: bool = False) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(SECONDS):
            while True:
                text = await self.connection.recv()
                assert isinstance(text, str), "browsers' clients read text frames only"
                message: dict[str, Any] = json.loads(text)
                if pings or message["type"] != "ping":
                    return message

    async def begin(self, token: str | None = None, **more: object) -> None:
        """Initialise."""
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await self.say({"type": "connection_init", "payload": {**payload, "accept-language": "en", **more}})
        assert await self.hear() == {"type": "connection_ack"}

    async def ask(self, query: str, id_: str = "1", **payload: object) -> None:
        """Subscribe."""
        await self.say({"type": "subscribe", "id": id_, "payload": {"query": query, **payload}})

    async def closed(self) -> int:
        """The code that the server closes with."""
        async with asyncio.timeout(SECONDS):
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await self.connection.recv()
        assert caught.value.rcvd is not None, "closed without a word"
        return caught.value.rcvd.code


@asynccontextmanager
async def open_socket(address: str, **more: Any) -> AsyncIterator[Socket]:
    """A connection, not initialised."""
    more.setdefault("subprotocols", [PROTOCOL])
    async with connect(f"ws://{address}/graphql", proxy=None, **more) as connection:
        yield Socket(connection)


@pytest.fixture
async def socket(address: str) -> AsyncIterator[Socket]:
    async with open_socket(address) as found:
        yield found


async def test_a_subscription_to_its_end(socket: Socket, door: Door) -> None:
    await socket.begin()
    await socket.ask("subscription($to: Int!) { count(to: $to) }", variables={"to": 3})
    for number in range(3):
        assert await socket.hear() == {"id": "1", "type": "next", "payload": {"data": {"count": number}}}
    assert await socket.hear() == {"id": "1", "type": "complete"}
    await until(lambda: not door.inside)


async def test_queries_and_mutations(socket: Socket) -> None:
    await socket.begin("good")
    await socket.ask("{ who }")
    assert (await socket.hear())["payload"] == {"data": {"who": "小王"}}
    assert (await socket.hear())["type"] == "complete"
    await socket.ask("mutation { add(rows: [{value: 1}, {value: 2}]) }")
    assert (await socket.hear())["payload"] == {"data": {"add": 3}}


async def test_objects_and_their_fields(socket: Socket) -> None:
    await socket.begin()
    await socket.ask("subscription { events(pause: 0.01) { name child { name } } }")
    for _ in range(3):
        assert (await socket.hear())["payload"]["data"]["events"]["child"]["name"]


async def test_the_header_says_who_asks_and_the_message_overrules_it(address: str) -> None:
    async with open_socket(address, additional_headers={"authorization": "Bearer good"}) as socket:
        await socket.begin()
        await socket.ask("{ who }")
        assert (await socket.hear())["payload"] == {"data": {"who": "小王"}}
    async with open_socket(address, additional_headers={"authorization": "Bearer good"}) as socket:
        await socket.begin("other")
        await socket.ask("{ who }")
        assert (await socket.hear())["payload"] == {"data": {"who": "小李"}}


async def test_a_bad_token_is_4403(address: str) -> None:
    async with open_socket(address) as socket:
        await socket.say({"type": "connection_init", "payload": {"authorization": "Bearer bad"}})
        assert await socket.closed() == 4403
    async with open_socket(address, additional_headers={"authorization": "Bearer bad"}) as socket:
        await socket.say({"type": "connection_init"})
        assert await socket.closed() == 4403


async def test_subscribing_before_the_beginning_is_4401(socket: Socket) -> None:
    await socket.ask("{ hello }")
    assert await socket.closed() == 4401


async def test_no_beginning_in_time_is_4408(door: Door) -> None:
    with serving(join(toy_schema(), door.enter, options(init_seconds=0.3))) as address:
        async with open_socket(address) as socket:
            assert await socket.closed() == 4408


async def test_two_beginnings_are_4429(socket: Socket) -> None:
    await socket.begin()
    await socket.say({"type": "connection_init"})
    assert await socket.closed() == 4429


@pytest.mark.parametrize("protocols", [None, [Subprotocol("graphql-ws")], [Subprotocol("chat")]])
async def test_other_protocols_are_4406(address: str, protocols: list[Subprotocol] | None) -> None:
    async with open_socket(address, subprotocols=protocols) as socket:
        assert await socket.closed() == 4406


async def test_pages_of_other_origins_are_refused(address: str) -> None:
    for origin in ("https://evil.example", "null", "http://"):
        with pytest.raises(InvalidStatus) as caught:
            async with open_socket(address, origin=Origin(origin)):
                pass
        assert caught.value.response.status_code == 403
    for origin in ("https://front.example", f"http://{address}"):
        async with open_socket(address, origin=Origin(origin)) as socket:
            await socket.begin()


@pytest.mark.parametrize(
    "message",
    [
        "7",
        "null",
        "[1]",
        '"x"',
        "true",
        "{",
        "",
        "{}",
        '{"type":7}',
        '{"type":null}',
        '{"type":"start"}',
        '{"type":"connection_init","payload":7}',
        '{"type":"connection_init","payload":[]}',
        '{"type":"connection_init","payload":{"authorization":7}}',
        '{"type":"ping","payload":7}',
        "[" * 100_000,
        '{"type":"ping","payload":{"x":NaN}}',
        b'{"type":"connection_init"}',
    ],
)
async def test_messages_without_the_right_shape_are_4400(socket: Socket, message: str | bytes) -> None:
    await socket.say(message)
    assert await socket.closed() == 4400


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe"},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": None},
        {"type": "subscribe", "id": "1", "payload": "{ hello }"},
        {"type": "subscribe", "id": "1", "payload": []},
        {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "subscribe", "id": "1", "payload": {"query": 7}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": "x"}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "operationName": []}},
        {"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}},
        {"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}},
        {"type": "subscribe", "id": "x" * 1000, "payload": {"query": "{ hello }"}},
        {"type": "complete"},
        {"type": "complete", "id": ["1"]},
        {"type": "complete", "id": {}},
    ],
)
async def test_messages_of_operations_without_the_right_shape_are_4400(socket: Socket, message: object) -> None:
    await socket.begin()
    await socket.say(message)
    assert await socket.closed() == 4400


async def test_an_id_in_use_is_4409(socket: Socket) -> None:
    await socket.begin()
    await socket.ask("subscription { events(pause: 1) { name } }")
    await socket.ask("subscription { events(pause: 1) { name } }")
    assert await socket.closed() == 4409


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { count(", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { a: count(to: 1) b: count(to: 1) }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription A { count(to: 1) } subscription B { count(to: 1) }", "BAD_USER_INPUT"),
        ("subscription($to: Int!) { count(to: $to) }", "BAD_USER_INPUT"),
        ("query($to: Int!) { units(first: $to) { name } }", "BAD_USER_INPUT"),
        ("subscription { refusing }", "FORBIDDEN"),
        ("{ unit {" + " ".join(f"a{i}: name" for i in range(200)) + "} }", "QUERY_TOO_COMPLEX"),
        ("{ __schema { queryType { name } } }", "UNAUTHENTICATED"),
    ],
)
async def test_a_faulty_document_ends_its_operation_only(socket: Socket, query: str, code: str) -> None:
    await socket.begin()
    await socket.ask("subscription { events(pause: 0.05) { name } }", "keeps")
    await socket.ask(query, "faulty")
    message = await socket.hear()
    while message["id"] == "keeps":
        message = await socket.hear()
    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code
    assert (await socket.hear())["id"] == "keeps"


async def test_surprises_are_masked(socket: Socket) -> None:
    await socket.begin()
    await socket.ask("subscription { failing(after: 2) }")
    assert [(await socket.hear())["type"] for _ in range(2)] == ["next", "next"]
    message = await socket.hear()
    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in json.dumps(message)
    await socket.ask("{ boom }")
    message = await socket.hear()
    assert message["payload"]["errors"][0]["extensions"]["code"] == "INTERNAL"


async def until(holds: Any) -> None:
    """Wait for something that the server does by itself."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 — it happens in another thread
            await asyncio.sleep(0.01)


async def test_sources_end_with_complete_close_and_a_lost_line(address: str, door: Door) -> None:
    async with open_socket(address) as socket:
        await socket.begin()
        await socket.ask('subscription { count(to: 1000, pause: 0.01, name: "completed") }', "1")
        await socket.hear()
        await socket.say({"type": "complete", "id": "1"})
        await until(lambda: "completed" in door.finished)
        await socket.ask('subscription { count(to: 1000, pause: 60, name: "closed") }', "1")
        while (await socket.hear())["payload"]["data"]["count"] != 0:
            pass
    await until(lambda: "closed" in door.finished)
    async with open_socket(address) as socket:
        await socket.begin()
        await socket.ask('subscription { count(to: 1000, pause: 60, name: "lost") }')
        await socket.hear()
        socket.connection.transport.abort()
        await until(lambda: "lost" in door.finished)
    await until(lambda: not door.inside)


async def test_completing_what_is_not_there_is_nothing(socket: Socket) -> None:
    await socket.begin()
    await socket.say({"type": "complete", "id": "9"}, {"type": "pong"}, {"type": "ping", "payload": {"x": 1}})
    assert await socket.hear() == {"type": "pong"}


async def test_at_most_so_many_operations_at_once(socket: Socket) -> None:
    await socket.begin()
    for number in range(6):
        await socket.ask("query { slow(seconds: 30) }", str(number))
    message = await socket.hear()
    assert (message["id"], message["type"]) == ("5", "error")
    assert message["payload"][0]["extensions"]["code"] == "THROTTLED"
    await socket.say({"type": "complete", "id": "0"})
    await socket.ask("{ hello }", "0")
    assert (await socket.hear())["payload"]["data"]


async def test_the_server_pings(socket: Socket) -> None:
    await socket.begin()
    assert (await socket.hear(pings=True))["type"] == "ping"
    await socket.say({"type": "pong"})
    assert (await socket.hear(pings=True))["type"] == "ping"


async def test_a_token_that_ends_while_nothing_happens_is_4401(socket: Socket, door: Door) -> None:
    door.tokens["short"] = "小张"
    await socket.begin("short")
    await socket.ask('subscription { count(to: 9, pause: 60, name: "ended") }')
    await socket.hear()
    del door.tokens["short"]
    assert await socket.closed() == 4401
    await until(lambda: "ended" in door.finished)
    await until(lambda: not door.inside)


async def test_no_event_after_the_token_has_ended(door: Door) -> None:
    door.tokens["short"] = "小张"
    with serving(join(toy_schema(), door.enter, options())) as address:
        async with open_socket(address) as socket:
            await socket.begin("short")
            await socket.ask("subscription { count(to: 1000000, pause: 0.1) }")
            await socket.hear()
            del door.tokens["short"]
            # What was on its way already comes before.
            assert await socket.closed() == 4401


async def test_a_new_operation_with_an_ended_token_is_4401(door: Door) -> None:
    door.tokens["short"] = "小张"
    with serving(join(toy_schema(), door.enter, options())) as address:
        async with open_socket(address) as socket:
            await socket.begin("short")
            del door.tokens["short"]
            await socket.ask("{ hello }")
            assert await socket.closed() == 4401
