"""`kaoping serve` and `kaoping worker` as processes: they start, answer, and end when they are told to."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from service.settings import Settings

START_SECONDS = 120.0
END_SECONDS = 60.0


class Program:
    """A running kaoping command, whose lines on standard error are collected."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.main", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self.lines.append("")
            self._news.notify_all()

    def says(self, pattern: str) -> re.Match[str]:
        """The first line that matches; fails where the program ends without it."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: found() or "" in self.lines, timeout=START_SECONDS)
        match = found()
        assert match is not None, "".join(self.lines)
        return match

    def ends(self) -> int:
        """Its exit code."""
        return self.process.wait(END_SECONDS)

    def close(self) -> None:
        """Whatever happened, nothing stays behind."""
        if self.process.poll() is None:
            self.process.kill()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        self.process.wait()


@pytest.fixture
def kaoping(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Starts a command on the suite's servers."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    programs: list[Program] = []

    def start(*words: str) -> Program:
        programs.append(Program(*words))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_and_ends_by_signal(kaoping: Callable[..., Program], number: signal.Signals) -> None:
    program = kaoping("serve", "--port", "0")
    address = program.says(r"serves (http://127\.0\.0\.1:\d+)/graphql")[1]
    program.says("Application startup complete")
    with httpx.Client(base_url=address, trust_env=False) as http:
        assert http.get("/readyz").json()["status"] == "ready"
        answer = http.post("/graphql", json={"query": "{ __typename }"}).json()
        assert answer == {"data": {"__typename": "Query"}}
    os.kill(program.process.pid, number)
    assert program.ends() == 0
    assert "Traceback" not in "".join(program.lines)


def test_a_port_in_use_is_told_before_anything_is_started(kaoping: Callable[..., Program]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = kaoping("serve", "--port", str(taken.getsockname()[1]))
        assert program.ends() == 1
        program.says("cannot be listened on: Address already in use. Choose another port")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_ends_by_signal(kaoping: Callable[..., Program], number: signal.Signals) -> None:
    program = kaoping("worker")
    program.says("The worker is ready")
    os.kill(program.process.pid, number)
    assert program.ends() == 0
    assert "Traceback" not in "".join(program.lines)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_redis_away_and_a_misspelt_variable_are_said_and_nothing_ends(
    kaoping: Callable[..., Program], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("KAOPING_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    monkeypatch.setenv("KAOPING_LOG_LEVL", "hunter2")
    monkeypatch.setenv("KAOPING_PORT", "0")
    program = kaoping(command)
    program.says("WARNING.* KAOPING_LOG_LEVL is no setting and is ignored. Was KAOPING_LOG_LEVEL meant?")
    program.says("WARNING.* Redis at 127.0.0.1:1/0 does not answer; .* correct KAOPING_REDIS_URL.*refused")
    program.says("Application startup complete" if command == "serve" else "The worker is ready")
    os.kill(program.process.pid, signal.SIGTERM)
    assert program.ends() == 0
    assert "hunter2" not in "".join(program.lines)


def test_a_program_started_with_a_parent_ends_with_it(kaoping: Callable[..., Program]) -> None:
    program = kaoping("worker", "--with-parent")
    program.says("The worker is ready")
    # The kernel closes the pipe of a parent that was killed.
    assert program.process.stdin is not None
    program.process.stdin.close()
    assert program.ends() == 0
