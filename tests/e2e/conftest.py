"""A whole installation: the API and a worker as processes of their own, on the servers that all tests share."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from service.settings import Settings
from tests.e2e.client import Installation


@pytest.fixture(scope="session")
def environment(settings: Settings) -> dict[str, str]:
    """What the processes are told."""
    return {**os.environ, **settings.environment(), "KAOPING_LOG_LEVEL": "warning"}


@pytest.fixture(scope="module")
def installation(environment: dict[str, str]) -> Iterator[Installation]:
    """One API process and one worker; gone before other tests run workers of their own on the same servers."""
    kaoping = [sys.executable, "-m", "service.main"]
    serve = subprocess.Popen(
        [*kaoping, "serve", "--port", "0", "--host", "127.0.0.1", "--with-parent"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    worker = subprocess.Popen([*kaoping, "worker", "--with-parent"], env=environment, stdin=subprocess.PIPE)
    try:
        assert serve.stderr is not None
        address = ""
        for line in serve.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                address = found[0]
                break
        for _ in range(200):
            try:
                if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield Installation(address, environment)
    finally:
        for process in (serve, worker):
            process.terminate()
        for process in (serve, worker):
            process.wait(timeout=40)
            assert process.stdin is not None
            process.stdin.close()
        if serve.stderr is not None:
            serve.stderr.close()
