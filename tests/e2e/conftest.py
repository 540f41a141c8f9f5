"""A whole installation: the API and a worker as processes of their own, on the servers that all tests share."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

import httpx
import pytest

from service.settings import Settings
from tests.asking import TRUSTED
from tests.e2e.client import Installation

Process = subprocess.Popen[str]


@pytest.fixture(scope="session")
def environment(settings: Settings) -> dict[str, str]:
    """What the processes are told."""
    return {**os.environ, **settings.environment(), "KAOPING_LOG_LEVEL": "warning"}


@contextlib.contextmanager
def process(environment: dict[str, str], *arguments: str, said: IO[str] | int | None = None) -> Iterator[Process]:
    """A command of Kaoping as a process of its own; told to end, and waited for, at the end. `said` takes its log."""
    started = subprocess.Popen(
        [sys.executable, "-m", "service.main", *arguments, "--with-parent"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=said,
        text=True,
    )
    try:
        yield started
    finally:
        started.terminate()
        # One that was stopped would not hear it.
        started.send_signal(signal.SIGCONT)
        started.wait(timeout=60)
        for stream in (started.stdin, started.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[Installation]:
    """The API alone."""
    with process(environment, "serve", "--port", "0", "--host", "127.0.0.1", said=subprocess.PIPE) as serve:
        assert serve.stderr is not None
        address = ""
        for line in serve.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                address = found[0]
                break
        for _ in range(1200):
            try:
                if httpx.get(f"{address}/livez", timeout=5, verify=TRUSTED).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield Installation(address, environment)


@pytest.fixture(scope="module")
def installation(environment: dict[str, str]) -> Iterator[Installation]:
    """One API process and one worker; gone before other tests run workers of their own on the same servers."""
    with serving(environment) as found, process(environment, "worker"):
        yield found
