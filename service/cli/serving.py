"""`kaoping serve` and `kaoping worker`: the two processes that Kaoping consists of (接口服务与后台进程)."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import uvloop
from starlette.types import ASGIApp

from service import logs, telemetry
from service.cli.common import app_url, data_option, documented, running
from service.health import Ending, Health, database_check
from service.serving import address_of, listening, serve_api
from service.settings import Settings
from service.variables import unknown_variables
from tenants.database import Database

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT)

Compose = Callable[[Settings, Database, Health], Awaitable[ASGIApp]]
"""Makes the application over an open database; given by `service.main`, which alone knows the GraphQL endpoint."""


def serve_command(compose: Compose) -> click.Command:
    """The command `serve` for the application that `compose` makes."""

    @click.command("serve")
    @click.option("--host", help="The address to listen on.  [default: KAOPING_HOST, else 127.0.0.1]")
    @click.option("--port", type=int, help="The port; 0 takes a free one.  [default: KAOPING_PORT, else 8000]")
    @click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input ends.")
    @data_option
    @documented
    def serve(host: str | None, port: int | None, with_parent: bool, data: Path | None) -> None:
        """Serve the GraphQL API at /graphql.

        Ends by SIGTERM or Ctrl-C. After SIGTERM it goes on for KAOPING_DRAIN_SECONDS and is only unready; then
        WebSockets are closed (1012: connect again), no new requests are taken, and those under way may finish within 25
        seconds. Probes are /livez and /readyz. Rankings and other jobs are done by `kaoping worker`.

        \b
        Examples:
          kaoping serve
          kaoping serve --host 0.0.0.0 --port 8080
        """
        settings = Settings.read(needs=["redis_url"], host=host, port=port, data=data)
        _prepare(settings, with_parent)
        with listening(settings.host, settings.port) as listener, running(settings) as ready:
            uvloop.run(_serve(ready, listener, compose))

    return serve


@click.command("worker")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input ends.")
@data_option
@documented
def worker_command(with_parent: bool, data: Path | None) -> None:
    """Work through jobs: open cycles, compute rankings, hand on what is due.

    Any number of workers may run, on any number of machines. Ends by SIGTERM or Ctrl-C: no new job is taken, those
    under way may finish within 25 seconds or are given back. A worker that is killed loses nothing: another one takes
    its job over. With KAOPING_METRICS_PORT it answers /livez, /readyz and /metrics there.

    \b
    Example:
      kaoping worker
    """
    # Loaded by the one command that works: every other one starts the sooner.
    from service.worker import run_worker

    settings = Settings.read(needs=["redis_url"], signs=False, data=data)
    _prepare(settings, with_parent)
    with running(settings) as ready:
        uvloop.run(run_worker(ready))


async def _serve(settings: Settings, listener: socket.socket, compose: Compose) -> None:
    stop_tracing = telemetry.start(settings, "serve")
    db = await Database.connect(app_url(settings), max_size=settings.pool_size)
    try:
        health = Health(Ending(), {"database": database_check(db)})
        app = await compose(settings, db, health)
        click.echo(f"Kaoping serves {address_of(listener)}/graphql", err=True)
        for number in ENDING:
            # uvicorn handles them from here on, and repeats them to whoever did before, when it has obeyed.
            signal.signal(number, lambda _signal, _frame: None)
        await serve_api(settings, db, app, listener, health)
    finally:
        await db.close()
        await asyncio.to_thread(stop_tracing)


def _prepare(settings: Settings, with_parent: bool) -> None:
    """Log lines; and SIGTERM and Ctrl-C, how these two end, are a success, also before the work has begun."""
    logs.configure(form=settings.log_format, level=settings.log_level)
    for said in unknown_variables():
        log.warning(said)
    for number in ENDING:
        signal.signal(number, lambda _signal, _frame: sys.exit(0))
    if with_parent:
        threading.Thread(target=_end_with_standard_input, name="with-parent", daemon=True).start()


def _end_with_standard_input() -> None:
    # Not by sys.stdin: a thread that waits inside its lock makes the interpreter abort when the process ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
