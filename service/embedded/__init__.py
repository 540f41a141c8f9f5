"""PostgreSQL and Redis out of wheels, in a data folder, for the demo, for tests and for a first look (内置服务).

Both listen on the loopback address only, on free ports, and want passwords that are made with the folder and kept in it
(mode 0600), so that other users of the machine are kept out. A server that already runs is found and used, one that
does not is started; both go on without the command that started them. Who uses them says so (`using`); the last user
stops them, unless they were started to stay (`kaoping embedded start`). All of it may be done by several processes at
once: a lock lets one after the other act, and the kernel takes it from whoever dies.

PostgreSQL refuses to run as root. For root both servers run as the system account `kaoping`, made with useradd where it
is missing (`nobody` where that cannot be); folders above the data folder and the programs that it could not pass
through get the right to be passed (o+x), which is said. Redis holds nothing that must last, and writes nothing to disk.
"""

import contextlib
import dataclasses
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from service.embedded import postgres, redis
from service.embedded.folder import (
    CONTENTS,
    SUPERUSER,
    EmbeddedError,
    Report,
    State,
    alone,
    new_state,
    not_ours,
    prepared,
    read_state,
    silent,
    write_state,
)
from service.embedded.postgres import DATABASE
from service.embedded.processes import LOOPBACK, account_for, let_pass
from service.scoring.text import Text

__all__ = [
    "EmbeddedError",
    "Report",
    "Servers",
    "Status",
    "addresses",
    "remove",
    "start",
    "status",
    "stop",
    "using",
]


@dataclasses.dataclass(frozen=True)
class Servers:
    """Addresses of running servers, passwords included, so never to be logged."""

    database_url: str = dataclasses.field(repr=False)
    database_owner_url: str = dataclasses.field(repr=False)
    superuser_url: str = dataclasses.field(repr=False)
    redis_url: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Status:
    """What there is in a data folder; a port is None where the server does not run."""

    exists: bool
    postgres_version: str | None
    postgres_port: int | None
    redis_port: int | None
    kept: bool

    @property
    def running(self) -> bool:
        """Whether both servers answer."""
        return self.postgres_port is not None and self.redis_port is not None


@contextlib.contextmanager
def using(
    data: Path, *, postgres_version: int = 18, durable: bool = True, report: Report = silent
) -> Iterator[Servers]:
    """Running servers for as long as the block lasts; afterwards the last user stops them, unless they are kept.

    Not to be entered from within a running event loop: it waits. `durable=False` is for folders of tests.
    """
    data = prepared(data)
    with (data / "users").open("a") as users:
        with alone(data):
            fcntl.flock(users, fcntl.LOCK_SH)
            servers = _start(data, postgres_version, durable, report)
        try:
            yield servers
        finally:
            with alone(data):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    pass  # another command uses them
                else:
                    if not (data / "kept").exists():
                        _stop(data, report)


def start(data: Path, *, postgres_version: int = 18, durable: bool = True, report: Report = silent) -> Servers:
    """Running servers that stay until `stop`, whoever uses them. Where they run already, this takes milliseconds."""
    data = prepared(data)
    with alone(data):
        servers = _start(data, postgres_version, durable, report)
        (data / "kept").touch()
    return servers


def stop(data: Path, *, report: Report = silent) -> bool:
    """Stop the servers of the folder, also under those who use them. False where none ran."""
    data = data.absolute()
    if not data.is_dir():
        return False
    with alone(data):
        (data / "kept").unlink(missing_ok=True)
        return _stop(data, report)


def status(data: Path) -> Status:
    """What there is and what answers, without starting anything."""
    data = data.absolute()
    state = read_state(data)
    version_file = data / "postgres" / "PG_VERSION"
    try:
        version = version_file.read_text().strip() if version_file.exists() else None
    except PermissionError as error:
        raise EmbeddedError(not_ours(data)) from error
    return Status(
        exists=state is not None,
        postgres_version=version,
        postgres_port=postgres.port_of(data, state) if state else None,
        redis_port=redis.port_of(data, state) if state else None,
        kept=(data / "kept").exists(),
    )


def addresses(data: Path) -> Servers:
    """The addresses of the folder's servers, whether they run or not. Raises EmbeddedError where there are none."""
    data = data.absolute()
    state = read_state(data)
    if state is None:
        raise EmbeddedError(f"There are no servers in {data} yet. Start them with `kaoping embedded start`.")
    return _servers(state)


def remove(data: Path, *, report: Report = silent) -> bool:
    """Stop the servers and remove what they left in the folder, and the folder itself where nothing else is in it.

    False where there was nothing.
    """
    data = data.absolute()
    if not any((data / name).exists() for name in CONTENTS):
        return False
    with alone(data):
        _stop(data, report)
        began = time.monotonic()
        for name in CONTENTS:
            path = data / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        data.rmdir()
    report(Text(zh=f"已删除{data}中的数据", en=f"removed the data in {data}"), time.monotonic() - began)
    return True


def _start(data: Path, postgres_version: int, durable: bool, report: Report) -> Servers:
    account = account_for(report)
    state = read_state(data)
    if state is None:
        if (data / "postgres").exists():
            raise EmbeddedError(
                f"{data} holds a database, but not its passwords (servers.json). Put that file back, or remove the "
                "folder's data with `kaoping embedded remove` and start again."
            )
        state = new_state()
        write_state(data, state)
    let_pass(account, data / "postgres", report)
    postgres.start(data, state, account, postgres_version, durable, report)
    redis.start(data, state, account, report)
    return _servers(state)


def _servers(state: State) -> Servers:
    def database(role: str, name: str = DATABASE) -> str:
        return f"postgresql://{role}:{quote(state.passwords[role], safe='')}@{LOOPBACK}:{state.postgres_port}/{name}"

    return Servers(
        database_url=database("kp_app"),
        database_owner_url=database("kp_migrate"),
        superuser_url=database(SUPERUSER),
        redis_url=f"redis://:{quote(state.passwords['redis'], safe='')}@{LOOPBACK}:{state.redis_port}/0",
    )


def _stop(data: Path, report: Report) -> bool:
    state = read_state(data)
    if state is None:
        return False
    began = time.monotonic()
    stopped = []
    if redis.stop(data, state):
        stopped.append("Redis")
    if postgres.stop(data, report):
        stopped.append("PostgreSQL")
    if stopped:
        report(Text(zh=f"已停止{'和'.join(stopped)}", en=f"stopped {' and '.join(stopped)}"), time.monotonic() - began)
    return bool(stopped)
