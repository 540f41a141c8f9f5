"""GraphQL over WebSocket, in the protocol graphql-transport-ws and no other (WebSocket 接口).

Who asks is told by `connection_init` (`{"authorization": "Bearer …"}`) or by the Authorization header, and checked
again for every operation, for every event, and now and then while nothing happens. Each operation, and each event of a
subscription, has a context of its own. A faulty document ends its operation, never the socket.

Closes: 4400 a message without the right shape; 4401 not initialised, or the token has ended; 4403 the token does not
hold; 4406 another protocol; 4408 no connection_init in time; 4409 an id that is in use; 4429 a second connection_init;
1012 the process ends, and another one takes over: connect again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from schema import masking
from schema.endpoint import Enter, request_id_of
from schema.execution import Answer, Engine, OperationContext, encode
from schema.masking import Refusal
from schema.measuring import announce, measured
from schema.options import EndpointOptions
from schema.requests import GraphQLRequest, read_request
from service.errors import AccessDenied, ErrorCode
from service.health import Ending
from service.language import Language, choose_language
from service.scoring.text import Text

PROTOCOL = "graphql-transport-ws"
LONGEST_ID = 128

PASSING_SECONDS = 8.0
"""How long queries and mutations under way may still take when the process ends."""

logger = logging.getLogger("kaoping.sockets")


class _Close(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Sockets:
    """Serves WebSockets."""

    def __init__(self, engine: Engine, enter: Enter, options: EndpointOptions) -> None:
        self.engine = engine
        self.enter = enter
        self.options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket to its end."""
        socket = WebSocket(scope, receive, send)
        if not self._origin_allowed(socket):
            # Before the handshake is accepted, this is answered with HTTP 403.
            await socket.close()
            return
        if PROTOCOL not in scope["subprotocols"]:
            await socket.accept()
            await socket.close(4406, "Subprotocol not acceptable")
            return
        await socket.accept(PROTOCOL)
        await Connection(self, socket).serve()

    def _origin_allowed(self, socket: WebSocket) -> bool:
        origin = socket.headers.get("origin")
        if origin is None or origin in self.options.allowed_origins:
            return True
        return urlsplit(origin).netloc.lower() == socket.headers.get("host", "").lower()


class Connection:
    """One socket and its operations."""

    def __init__(self, sockets: Sockets, socket: WebSocket) -> None:
        self.engine = sockets.engine
        self.enter = sockets.enter
        self.options = sockets.options
        self.socket = socket
        self.request_id = request_id_of(socket.scope)
        self.accept_language = socket.headers.get("accept-language")
        self.authorization = socket.headers.get("authorization")
        self.asked_to_begin = False
        self.acknowledged = False
        self.operations: dict[str, asyncio.Task[None]] = {}
        self.passing: set[asyncio.Task[None]] = set()
        """Queries and mutations under way, which end by themselves."""
        self._sending = asyncio.Lock()
        self._ending: asyncio.Future[_Close] = asyncio.get_running_loop().create_future()

    @property
    def language(self) -> Language:
        """The language of messages."""
        return choose_language(self.accept_language, self.options.language)

    async def serve(self) -> None:
        """Read messages until either side closes; then stop every operation and wait for its clean-up."""
        chores = [
            asyncio.create_task(each) for each in (self._await_init(), self._ping(), self._recheck(), self._leave())
        ]
        reading = asyncio.create_task(self._read())
        try:
            ends: list[asyncio.Future[Any]] = [reading, self._ending]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [reading, *chores, *self.operations.values()]
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                        logger.error("Socket %s: %s", self.request_id, type(result).__name__, exc_info=result)
            if self._ending.done() and self.socket.application_state is WebSocketState.CONNECTED:
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                    await self.socket.close(self._ending.result().code, self._ending.result().reason)

    def end(self, close: _Close) -> None:
        """Have the socket closed; the first reason holds."""
        if not self._ending.done():
            self._ending.set_result(close)

    async def send(self, message: Mapping[str, object]) -> None:
        """Send one message; text, since browsers' clients do not read binary frames."""
        async with self._sending:
            if not self._ending.done():
                await self.socket.send_text(encode(message).decode())

    # ---- what the client says

    async def _read(self) -> None:
        try:
            while True:
                await self._handle(await self._receive())
        except _Close as close:
            self.end(close)
        except WebSocketDisconnect:
            pass

    async def _receive(self) -> dict[str, Any]:
        event = await self.socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        text = event.get("text")
        if text is None:
            raise _Close(4400, "Messages are text")
        if len(text) > self.options.body_bytes:
            raise _Close(1009, "Message too big")
        try:
            message = orjson.loads(text)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            raise _Close(4400, "Messages are JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise _Close(4400, "A message is an object with a type")
        return message

    async def _handle(self, message: dict[str, Any]) -> None:
        payload = message.get("payload")
        match message["type"]:
            case "connection_init":
                await self._begin(payload)
            case "ping" | "pong" as kind:
                if not isinstance(payload, dict | None):
                    raise _Close(4400, f"The payload of {kind} is an object")
                if kind == "ping":
                    await self.send({"type": "pong"})
            case "subscribe":
                await self._start(_id_of(message), payload)
            case "complete":
                task = self.operations.pop(_id_of(message), None)
                if task is not None:
                    task.cancel()
            case _:
                raise _Close(4400, "Unknown message type")

    async def _begin(self, payload: object) -> None:
        if not isinstance(payload, dict | None):
            raise _Close(4400, "The payload of connection_init is an object")
        if self.asked_to_begin:
            raise _Close(4429, "Too many initialisation requests")
        self.asked_to_begin = True
        for name, value in (payload or {}).items():
            if name.lower() == "authorization" and value is not None:
                if not isinstance(value, str):
                    raise _Close(4400, "authorization is a string")
                self.authorization = value
            elif name.lower() == "accept-language" and isinstance(value, str):
                self.accept_language = value
        try:
            await (await self.open_context()).close()
        except AccessDenied:
            raise _Close(4403, "Forbidden") from None
        except Exception as error:
            masking.exception_error(error, self.language, self.request_id)
            raise _Close(1013, "Try again later") from error
        self.acknowledged = True
        await self.send({"type": "connection_ack"})

    async def _start(self, id_: str, payload: object) -> None:
        if not self.acknowledged:
            raise _Close(4401, "Unauthorized")
        if id_ in self.operations:
            # The id is the client's own; one too long to repeat was refused before.
            raise _Close(4409, f"Subscriber for {id_[:80]} already exists")
        try:
            asked = read_request(payload, self.language)
        except Refusal as refusal:
            raise _Close(4400, "The payload of subscribe is not a GraphQL request") from refusal
        if len(self.operations) >= self.options.socket_operations:
            most = self.options.socket_operations
            made = masking.error(
                self.language,
                ErrorCode.THROTTLED,
                Text(
                    zh=f"同一连接最多同时进行{most}个操作。", en=f"At most {most} operations at once on one connection."
                ),
                hint=Text(zh="请先结束一些订阅。", en="Complete some of them first."),
            )
            await self.send({"id": id_, "type": "error", "payload": [made]})
            return
        self.operations[id_] = asyncio.create_task(self._run(id_, asked))

    # ---- operations

    async def open_context(self) -> OperationContext:
        """A context of its own for an operation or an event; raises AccessDenied."""
        return await self.enter(
            authorization=self.authorization, accept_language=self.accept_language, request_id=self.request_id
        )

    async def _run(self, id_: str, asked: GraphQLRequest) -> None:
        task = asyncio.current_task()
        try:
            refused = await self._results(id_, asked)
        except Refusal as refusal:
            refused = refusal.errors
        except AccessDenied:
            self.end(_Close(4401, "The token has ended"))
            return
        except WebSocketDisconnect:
            return
        except Exception as error:
            refused = [masking.exception_error(error, self.language, self.request_id)]
        # The id is free before its last message leaves, so that the client may use it again at once.
        if self.operations.get(id_) is task:
            del self.operations[id_]
        with contextlib.suppress(WebSocketDisconnect):
            await self.send(
                {"id": id_, "type": "error", "payload": refused} if refused else {"id": id_, "type": "complete"}
            )

    async def _results(self, id_: str, asked: GraphQLRequest) -> list[masking.JsonError] | None:
        context = await self.open_context()
        try:
            operation = self.engine.prepare(asked, self.language)
            self.engine.admit(operation, context)
            if operation.type is not OperationType.SUBSCRIPTION:
                running = self.engine.execute(operation, asked.variables, context, self.request_id)
                if task := asyncio.current_task():
                    self.passing.add(task)
                    task.add_done_callback(self.passing.discard)
                return await self._next(id_, await measured(operation, context, running))
            announce(operation, context)
            answers = self.engine.subscribe(
                operation, asked.variables, context, self.request_id, fresh=self.open_context
            )
            async with contextlib.aclosing(answers):
                async for answer in answers:
                    if refused := await self._next(id_, answer):
                        return refused
            return None
        finally:
            await context.close()

    async def _next(self, id_: str, answer: Answer) -> list[masking.JsonError] | None:
        if not answer.ran:
            refused: list[masking.JsonError] = answer.body["errors"]
            return refused
        await self.send({"id": id_, "type": "next", "payload": answer.body})
        return None

    # ---- what happens by itself

    async def _await_init(self) -> None:
        await asyncio.sleep(self.options.init_seconds)
        if not self.asked_to_begin:
            self.end(_Close(4408, "Connection initialisation timeout"))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self.options.ping_seconds)
            if self.acknowledged:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await self.send({"type": "ping"})

    async def _recheck(self) -> None:
        """End the socket when its token has ended, also while no event comes."""
        while True:
            await asyncio.sleep(self.options.recheck_seconds)
            if not self.acknowledged or self.authorization is None:
                continue
            try:
                await (await self.open_context()).close()
            except AccessDenied:
                self.end(_Close(4401, "The token has ended"))
                return
            except Exception:
                # The database is away: whether the token holds will be seen at the next turn.
                logger.warning("Socket %s: the token could not be checked.", self.request_id, exc_info=True)

    async def _leave(self) -> None:
        """End the socket when the process is to end; what ends by itself may end first, for a short time."""
        ending: Ending | None = self.socket.scope.get("state", {}).get("ending")
        if ending is None:
            return
        await ending.closing.wait()
        if self.passing:
            await asyncio.wait(set(self.passing), timeout=PASSING_SECONDS)
        self.end(_Close(1012, "The service restarts; connect again"))


def _id_of(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= LONGEST_ID:
        raise _Close(4400, f"An id is a string of 1 to {LONGEST_ID} characters")
    return id_
