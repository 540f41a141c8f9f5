"""`kaoping demo` as a command: what it says where it can't go on, and that it leaves nothing running."""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import asyncpg
import httpx
import pytest
from rich.console import Console

from service.demo.board import Printer
from service.demo.command import LOG_FILE, LOG_LINES, _show_log, demo
from service.settings import Settings
from tests.databases import created, dropped


def test_a_port_that_is_taken_is_told_with_a_way_out(settings: Settings, tmp_path: Path) -> None:
    out = io.StringIO()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = settings.model_copy(update={"port": port, "data": tmp_path, "language": "en"})
        code = demo(taken, once=True, out=Console(file=out, width=120))
    assert code == 1
    assert f"Port {port} can't be used" in out.getvalue()
    assert "make demo PORT=" in out.getvalue()
    assert LOG_FILE not in out.getvalue()


async def _outdated(settings: Settings, name: str, changed: str) -> Settings:
    """Settings with a database of its own, migrated and then changed."""
    own = await created(settings, name)
    assert own.database_owner_url is not None
    connection = await asyncpg.connect(own.database_owner_url.get_secret_value())
    try:
        await connection.execute(f"SET ROLE kp_owner; {changed}")
    finally:
        await connection.close()
    return own


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param("ALTER TABLE cycles DROP COLUMN opening_job_id CASCADE", id="a column is missing"),
        pytest.param("DELETE FROM tortoise_migrations", id="a migration can't be applied"),
    ],
)
def test_data_of_an_older_development_version_is_told_with_a_way_out(
    settings: Settings, tmp_path: Path, changed: str
) -> None:
    name = f"kaoping_test_{uuid.uuid4().hex[:12]}"
    out = io.StringIO()
    try:
        old = asyncio.run(_outdated(settings, name, changed))
        asked = old.model_copy(update={"data": tmp_path, "port": 0, "language": "en"})
        assert demo(asked, once=True, out=Console(file=out, width=200)) == 1
    finally:
        asyncio.run(dropped(settings, name))
    assert "run make clean-demo" in out.getvalue()
    assert "Traceback" not in out.getvalue()


def test_only_the_end_of_this_runs_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / LOG_FILE
    log.write_text("an earlier run\n" + "".join(f"line {number}\n" for number in range(LOG_LINES * 2)))
    out = io.StringIO()
    console = Console(file=out, width=80)
    _show_log(console, Printer(console, "en"), log, len("an earlier run\n"))
    shown = out.getvalue().splitlines()
    assert shown[-1] == f"line {LOG_LINES * 2 - 1}"
    assert f"line {LOG_LINES}" in shown
    assert f"line {LOG_LINES - 1}" not in shown
    _show_log(console, Printer(console, "en"), tmp_path / "none.log", 0)
    assert out.getvalue().splitlines() == shown


@pytest.mark.long
def test_the_demo_serves_until_it_is_interrupted_and_a_second_one_is_quick(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = Path(tmp_path_factory.mktemp("demo"))
    # The embedded servers of root run as another account, which must be able to pass.
    for path in (folder, *folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o011)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAOPING_")}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        metrics = str(probe.getsockname()[1])
    environment |= {"KAOPING_DATA": str(folder / "data"), "KAOPING_PORT": "0", "KAOPING_METRICS_PORT": metrics}
    command = [sys.executable, "-m", "service.main", "demo"]
    with (folder / "out.txt").open("w") as out:
        running = subprocess.Popen(command, env=environment, stdout=out)
        try:
            deadline = time.monotonic() + 300
            while "Ctrl-C" not in (folder / "out.txt").read_text():
                assert time.monotonic() < deadline
                assert running.poll() is None
                time.sleep(0.2)
            assert httpx.get(f"http://127.0.0.1:{metrics}/readyz", trust_env=False).is_success
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=60) == 0
    children = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
    assert not children
    began = time.monotonic()
    again = subprocess.run([*command, "--once"], env=environment, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 60
    assert "柳堤街道" in again.stdout
