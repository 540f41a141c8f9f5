"""`kaoping demo` as a command: what it says where it can't go on, and that it leaves nothing running."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from service.demo.board import Printer
from service.demo.command import LOG_FILE, LOG_LINES, _show_log, demo
from service.settings import Settings


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
    environment |= {"KAOPING_DATA": str(folder / "data"), "KAOPING_PORT": "0"}
    command = [sys.executable, "-m", "service.main", "demo"]
    with (folder / "out.txt").open("w") as out:
        running = subprocess.Popen(command, env=environment, stdout=out)
        try:
            deadline = time.monotonic() + 300
            while "Ctrl-C" not in (folder / "out.txt").read_text():
                assert time.monotonic() < deadline
                assert running.poll() is None
                time.sleep(0.2)
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(timeout=60) == 0
    children = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
    assert not children
    began = time.monotonic()
    again = subprocess.run([*command, "--once"], env=environment, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 60
    assert "柳堤街道" in again.stdout
