"""`kaoping demo`: servers, tables, district, `kaoping serve` and `kaoping worker`, the whole cycle, and then serving.

Everything can be done again: what is there is used. Both programs are processes of their own, as in production; their
log lines go to `demo.log` in the data folder, whose end is shown where something fails.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import IO, Any

import asyncpg
import httpx
from rich.console import Console
from tortoise.exceptions import OperationalError

from service import embedded
from service.demo.board import PLAIN_WIDTH, TOP, Printer
from service.demo.client import RefusedError, UnreachableError
from service.demo.district import ROOT_CODE, ROOT_NAME, TENANT_CODE, TENANT_NAME, TIME_ZONE
from service.demo.runner import run_demo
from service.demo.session import DemoError
from service.districts import create_district
from service.scoring.text import Text
from service.settings import Settings
from tenants import provisioning
from tenants.migrate import migrate, missing_columns

SEED = 2026
"""What the figures are made from where nobody says otherwise."""

LOG_FILE = "demo.log"
LOG_LINES = 20
"""Last log lines that are shown where something fails."""

READY_SECONDS = 60.0
"""How long `kaoping serve` may take until it answers."""

STOP_SECONDS = 15.0
"""How long a process may take to end once it was asked to."""

SHORTEST_LIFE_SECONDS = 5.0
"""A worker that ends sooner is not replaced: something is wrong with it."""

INTERRUPTED = 130
"""Exit code after Ctrl-C before all was done."""

PROGRAM = (sys.executable, "-m", "service.main")


def demo(settings: Settings, *, once: bool, seed: int = SEED, top: int | None = TOP, out: Console | None = None) -> int:
    """Run the demo with these settings; the exit code. With `once` it ends after the board, else it serves till Ctrl-C.

    `top` is how many rows of each category are printed; None for all.
    """
    console = out or _console()
    printer = Printer(console, settings.language)
    log = settings.data / LOG_FILE
    began = log.stat().st_size if log.exists() else 0
    try:
        with _servers(settings, printer) as ready:
            settings.data.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as lines:
                return asyncio.run(_run(ready, printer, lines, once=once, seed=seed, top=top))
    except (KeyboardInterrupt, _StoppedError):
        console.print(
            f"\n{printer.say(Text('已停止；再次运行会接着做完。', 'Stopped; run it again to go on from here.'))}"
        )
        return INTERRUPTED
    except (DemoError, RefusedError, UnreachableError, embedded.EmbeddedError, provisioning.ProvisioningError) as error:
        console.print(f"\n[red]{printer.say(Text('演示未能完成：', 'The demo could not be completed:'))}[/red]")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        _show_log(console, printer, log, began)
        return 1


def _console() -> Console:
    """Standard output; as wide as the table wants where it is no terminal."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=PLAIN_WIDTH)


@contextlib.contextmanager
def _servers(settings: Settings, printer: Printer) -> Iterator[Settings]:
    """The settings with addresses of running servers: embedded ones, or those that the settings name."""
    if not settings.embedded:
        yield settings
        return

    def report(what: Text, seconds: float) -> None:
        printer.done(Text("内置数据库与 Redis", "Embedded servers"), printer.say(what), seconds)

    with embedded.using(settings.data, postgres_version=settings.embedded_postgres, report=report) as servers:
        yield settings.on(servers)


async def _run(
    settings: Settings, printer: Printer, lines: IO[bytes], *, once: bool, seed: int, top: int | None
) -> int:
    """Migrate, make the district, start both programs, run the cycle, and go on serving unless `once`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await _prepare(settings, printer)
    settings = settings.model_copy(update={"port": _port(settings, printer)})
    base_url = f"http://{settings.host}:{settings.port}"
    async with contextlib.AsyncExitStack() as stack:
        with printer.step(Text("启动 serve 与 worker", "Start serve and worker")) as step:
            serve = await stack.enter_async_context(_process(settings, lines, "serve"))
            # The port of the metrics is serve's; the worker takes a free one and logs it.
            beside = settings.model_copy(update={"metrics_port": settings.metrics_port and 0})
            worker = asyncio.create_task(_working(beside, lines, printer))
            stack.push_async_callback(_cancelled, worker)
            await _first(_ready(base_url), serve, worker, stop, printer)
            step.note = base_url

        async def administrator_token() -> str:
            return await _token(settings, lines)

        cycle = run_demo(
            base_url=base_url,
            administrator_token=administrator_token,
            seed=seed,
            out=printer.console,
            language=settings.language,
            top=top,
        )
        await _first(cycle, serve, worker, stop, printer)
        printer.total(Text("全部用时", "Time in all"))
        if once:
            return 0
        printer.console.print(
            f"\n[bold]{printer.say(Text('服务运行中，按 Ctrl-C 结束。', 'Serving; Ctrl-C ends it.'))}[/bold]"
        )
        with contextlib.suppress(_StoppedError):
            await _first(asyncio.Event().wait(), serve, worker, stop, printer)
    return 0


class _StoppedError(DemoError):
    """Ctrl-C, or a signal to end."""


async def _first(
    work: Awaitable[object], serve: Process, worker: asyncio.Task[None], stop: asyncio.Event, printer: Printer
) -> None:
    """Do the work. Raises DemoError where one of the processes ends before, and at Ctrl-C."""

    async def run() -> None:
        await work

    tasks: dict[str, asyncio.Task[Any]] = {
        "work": asyncio.create_task(run()),
        "serve": asyncio.create_task(serve.wait()),
        "worker": asyncio.create_task(asyncio.wait([worker])),
        "stop": asyncio.create_task(stop.wait()),
    }
    try:
        done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        if tasks["work"] in done:
            await tasks["work"]
            return
        if tasks["stop"] in done:
            raise _StoppedError(printer.say(Text("已停止。", "Stopped.")))
        if tasks["worker"] in done:
            await worker
        raise _ended("serve", serve, printer)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _working(settings: Settings, lines: IO[bytes], printer: Printer) -> None:
    """Keep one worker: one that is killed is replaced. Raises DemoError where it does not live at all."""
    while True:
        began = time.monotonic()
        async with _process(settings, lines, "worker") as worker:
            await worker.wait()
        if time.monotonic() - began < SHORTEST_LIFE_SECONDS:
            raise _ended("worker", worker, printer)


def _ended(name: str, process: Process, printer: Printer) -> DemoError:
    code = process.returncode
    return DemoError(printer.say(Text(f"kaoping {name} 已退出（{code}）。", f"kaoping {name} ended ({code}).")))


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task, and with it what it holds open."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _prepare(settings: Settings, printer: Printer) -> None:
    """Tables up to date and the district there."""
    assert settings.database_url is not None
    assert settings.database_owner_url is not None
    owner, app = settings.database_owner_url.get_secret_value(), settings.database_url.get_secret_value()
    with printer.step(Text("更新数据表", "Bring the tables up to date")) as step:
        try:
            applied = (await migrate(owner, app)).applied
        except (asyncpg.PostgresError, OperationalError) as error:
            raise _outdated(printer, str(error)) from error
        if missing := await missing_columns(owner):
            raise _outdated(printer, ", ".join(missing[:3]))
        step.note = printer.say(Text(f"执行{len(applied)}项", f"{len(applied)} migrations"))
    with printer.step(Text(f"开通{TENANT_NAME}", "Make the district")) as step:
        if TENANT_CODE in {district.code for district in await provisioning.list_tenants(owner)}:
            step.note = printer.say(Text("已存在", "there already"))
            return
        await create_district(
            owner,
            code=TENANT_CODE,
            name=TENANT_NAME,
            time_zone=TIME_ZONE,
            root_code=ROOT_CODE,
            root_name=ROOT_NAME,
        )
        step.note = TENANT_CODE


def _outdated(printer: Printer, reason: str) -> DemoError:
    """The tables are of a development version, whose migrations had other contents."""
    return DemoError(
        printer.say(
            Text(
                f"这里的演示数据由开发中的旧版本建立（{reason}），请先执行 make clean-demo 再运行。",
                f"The demo's data here is of an older development version ({reason}): "
                "run make clean-demo, then the demo again.",
            )
        )
    )


def _port(settings: Settings, printer: Printer) -> int:
    """The port to serve on: the one of the settings, or a free one for 0. Raises DemoError where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise DemoError(
                printer.say(
                    Text(
                        f"端口{settings.port}不可用（{error.strerror}）。"
                        "演示可能已在运行；也可换一个端口：make demo PORT=8123",
                        f"Port {settings.port} can't be used ({error.strerror}). The demo may be running already; "
                        "or take another port: make demo PORT=8123",
                    )
                )
            ) from error
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def _process(settings: Settings, lines: IO[bytes], command: str) -> AsyncIterator[Process]:
    """A kaoping process of its own, asked to end afterwards, and made to where it does not."""
    # Its standard input ends with this process, however that ends, and the process with it.
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, command, "--with-parent", env=_environment(settings), stdin=PIPE, stdout=lines, stderr=lines
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | settings.environment()


async def _ready(base_url: str) -> None:
    """Wait until the server says that it is ready. Raises DemoError after READY_SECONDS."""
    until = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(trust_env=False) as http:
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{base_url}/readyz")).is_success:
                    return
            await asyncio.sleep(0.1)
    raise DemoError(f"{base_url}/readyz: not ready after {READY_SECONDS:.0f} s")


async def _token(settings: Settings, lines: IO[bytes]) -> str:
    """A bearer token of an administrator, as `kaoping token create` gives it. Raises DemoError where it does not."""
    arguments = ("token", "create", "--tenant", TENANT_CODE, "--role", "administrator", "--days", "1", "--json")
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments, env=_environment(settings), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=lines
    )
    text, _ = await process.communicate()
    if process.returncode != 0:
        raise DemoError(f"kaoping {' '.join(arguments)}: exit code {process.returncode}")
    token: str = json.loads(text)["token"]
    return token


def _show_log(console: Console, printer: Printer, log: Path, began: int) -> None:
    """The end of the log file, where this run has written to it; it was `began` bytes long before."""
    try:
        with log.open("rb") as file:
            file.seek(began)
            lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return
    if lines:
        console.print(f"\n[dim]{printer.say(Text(f'日志 {log} 的末尾：', f'The end of {log}:'))}[/dim]")
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
