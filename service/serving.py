"""How the processes listen: the API's server, which ends without dropping anything, and a port for probes and metrics.

On SIGTERM the API first only becomes unready, for KAOPING_DRAIN_SECONDS: load balancers notice and go elsewhere, while
whoever comes is still served. Then WebSockets are closed with 1012, on which clients connect again, and whatever runs
may end, before the process does. Ctrl-C, or a second signal, spares the wait.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service import metrics
from service.health import Ending, Health, create_door
from service.http import Protocol
from service.settings import Settings
from tenants.database import Database

FINISH_SECONDS = 25
"""How long requests under way may still take once the process closes."""

IDLE_SECONDS = 75
"""How long an idle connection is kept: longer than what stands in front keeps it (ingresses and load balancers: 60 s),
so that they never send a request into a connection that is being closed here."""

SOCKET_SECONDS = 10.0
"""How much of that WebSockets may take to close."""

log = logging.getLogger("kaoping.serving")


class CannotListen(Exception):
    """The address or port cannot be listened on; the message says why and what to do."""


def listening(host: str, port: int, variable: str = "KAOPING_PORT") -> socket.socket:
    """A socket that listens, or CannotListen, which names the setting."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048, reuse_port=False
        )
    except OSError as error:
        option = "--port or " if variable == "KAOPING_PORT" else ""
        raise CannotListen(
            f"{host}:{port} cannot be listened on: {os.strerror(error.errno) if error.errno else error}. Choose "
            f"another port with {option}{variable}."
        ) from error


def address_of(listener: socket.socket) -> str:
    """`http://host:port`."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve_api(settings: Settings, db: Database, app: ASGIApp, listener: socket.socket, health: Health) -> None:
    """Serve until told to end by a signal, and then until all that runs has ended."""
    metrics.watch_pool(db.use)
    async with door(settings, health):
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=Protocol,
            ws="websockets-sansio",
            ws_max_size=settings.body_bytes,
            log_config=None,
            access_log=False,
            server_header=False,
            # Nothing here asks where a request came from, or by which scheme.
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=FINISH_SECONDS,
        )
        await _Server(config, health.ending, settings.drain).serve(sockets=[listener])


@contextlib.asynccontextmanager
async def door(settings: Settings, health: Health) -> AsyncIterator[None]:
    """Answer probes and tell metrics on a port of their own, where the settings name one, for as long as this lasts."""
    if settings.metrics_port is None or settings.metrics_port == settings.port != 0:
        yield
        return
    listener = listening(settings.metrics_host, settings.metrics_port, "KAOPING_METRICS_PORT")
    config = uvicorn.Config(
        create_door(health), http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = _Quiet(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("Probes and metrics at %s", address_of(listener))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Quiet(uvicorn.Server):
    """A server that ends when the one beside it has, and hears no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the other one."""
        yield


class _Server(uvicorn.Server):
    """The API's server: between the signal and the end of listening it lets everybody leave."""

    def __init__(self, config: uvicorn.Config, ending: Ending, drain_seconds: float) -> None:
        super().__init__(config)
        self._ending = ending
        self._drain_seconds = drain_seconds
        self._leaving: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end; one more ends it at once."""
        if self._ending.told.is_set():
            super().handle_exit(sig, frame)
        else:
            self._ending.told.set()
            seconds = self._drain_seconds if sig == signal.SIGTERM else 0.0
            self._loop.call_soon_threadsafe(self._leave, seconds)

    def _leave(self, seconds: float) -> None:
        self._leaving = self._loop.create_task(self._end(seconds))

    async def _end(self, seconds: float) -> None:
        log.info("Told to end: unready from now on, closing in %g s.", seconds)
        await asyncio.sleep(seconds)
        began = time.monotonic()
        self._ending.closing.set()
        await self._ending.sockets_gone(SOCKET_SECONDS)
        self.config.timeout_graceful_shutdown = max(1, FINISH_SECONDS - round(time.monotonic() - began))
        self.should_exit = True
