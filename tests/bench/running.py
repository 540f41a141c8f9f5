"""The processes that are measured: started, waited for, weighed, and stopped (被测进程)."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build"
START_SECONDS = 120.0


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A process that serves HTTP on a port of its own."""

    def __init__(
        self, name: str, words: Sequence[str], port: int, environment: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self.name = name
        self.port = port
        BUILD.mkdir(exist_ok=True)
        self.log = BUILD / f"bench-{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                words, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/graphql", timeout=2.0)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def memory(self) -> dict[str, float]:
        """RSS and PSS of the process and its children, in MiB."""
        sums = {"rss": 0.0, "pss": 0.0}
        for pid in [self.process.pid, *_children(self.process.pid)]:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name.lower() in sums:
                    sums[name.lower()] += int(rest.split()[0]) / 1024
        return {name: round(value, 1) for name, value in sums.items()}

    def cpu_ms(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(map(_cpu_ms, [self.process.pid, *_children(self.process.pid)]))

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _children(pid: int) -> list[int]:
    """Processes below one; whichever ends meanwhile is left out."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_children(int(child))]
    return found


def _cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def database_cpu_ms(data: Path) -> float:
    """CPU time of the embedded PostgreSQL so far; a backend that ends takes its own along."""
    postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    total = _cpu_ms(postmaster)
    for pid in _children(postmaster):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += _cpu_ms(pid)
    return total


def kaoping(name: str, environment: Mapping[str, str]) -> Server:
    """`kaoping serve`, as it is."""
    port = free_port()
    return Server(name, [sys.executable, "-m", "service.main", "serve", "--port", str(port)], port, environment)


def bare_app(environment: Mapping[str, str]) -> Server:
    """The least that can answer; `BENCH_ASKED` says what."""
    port = free_port()
    words = [sys.executable, "-m", "tests.bench.bare_app"]
    return Server("bare", words, port, {**environment, "PORT": str(port)}, HERE.parents[1])


NPM_MISSING = "PostGraphile is left out: it is installed by npm, which is not on this machine (apt install npm)."


def postgraphile(environment: Mapping[str, str]) -> Server:
    """PostGraphile 5 on the same database. Raises LookupError, in a plain sentence, where it can't be installed."""
    npm = shutil.which("npm")
    if npm is None:
        raise LookupError(NPM_MISSING)
    folder = BUILD / "postgraphile"
    folder.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "postgraphile" / "package-lock.json").read_bytes()
    stamp = folder / "installed.json"
    if not stamp.exists() or stamp.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "postgraphile" / name, folder / name)
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise LookupError(f"PostGraphile is left out: npm could not install it.\n{done.stderr[-1500:]}")
        stamp.write_bytes(lock)
    shutil.copy(HERE / "postgraphile" / "server.mjs", folder / "server.mjs")
    node = folder / "node_modules" / "node" / "bin" / "node"
    port = free_port()
    return Server("postgraphile", [str(node), "server.mjs"], port, {**environment, "PORT": str(port)}, folder)
