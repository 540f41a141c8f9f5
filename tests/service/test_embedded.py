"""The embedded servers: found, started, shared, stopped; strangers kept out; crashes survived."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from service import embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kaoping-embedded-"))
    yield path / "data"
    with contextlib.suppress(embedded.EmbeddedError):
        embedded.stop(path / "data")
    shutil.rmtree(path)


def ask(url: str, sql: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


def ping(url: str) -> bool:
    client = redis.Redis.from_url(url)
    try:
        return bool(client.ping())
    finally:
        client.close()


def pid_of(folder: Path, server: str) -> int:
    path = folder / ("postgres/postmaster.pid" if server == "postgres" else "redis/redis.pid")
    return int(path.read_text().split("\n")[0])


def ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has fetched yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_ended(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not ended(pid):
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.02)


def test_from_nothing_to_answering_servers_and_back(folder: Path) -> None:
    steps: list[str] = []
    with embedded.using(folder, durable=False, report=lambda what, _seconds: steps.append(what.en)) as servers:
        assert ask(servers.database_url, "SELECT current_user") == "kp_app"
        assert ask(servers.database_owner_url, "SELECT current_user") == "kp_migrate"
        assert ask(servers.superuser_url, "SHOW jit") == "off"
        assert ask(servers.database_url, "SHOW plan_cache_mode") == "force_generic_plan"
        assert ping(servers.redis_url)
        status = embedded.status(folder)
        assert status.running
        assert status.postgres_version == "18"
        assert ":" not in repr(servers)
    assert [step.split(" ")[0] for step in steps if "account" not in step] == [
        "made",
        "started",
        "made",
        "started",
        "stopped",
    ]
    assert not embedded.status(folder).running
    assert not embedded.stop(folder)


def test_the_app_role_is_bound_and_no_member_of_the_owner(folder: Path) -> None:
    with embedded.using(folder, durable=False) as servers:
        roles = "'kp_owner', 'kp_migrate', 'kp_app', 'kp_dispatch', 'kp_read'"
        assert ask(servers.superuser_url, f"SELECT count(*) FROM pg_roles WHERE rolname IN ({roles})") == 5
        assert (
            ask(
                servers.superuser_url,
                f"SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole) FROM pg_roles WHERE rolname IN ({roles})",
            )
            is False
        )
        assert ask(servers.superuser_url, "SELECT pg_has_role('kp_app', 'kp_owner', 'MEMBER')") is False
        assert ask(servers.superuser_url, "SELECT pg_has_role('kp_app', 'kp_dispatch', 'SET')") is True
        assert ask(servers.superuser_url, "SELECT pg_has_role('kp_app', 'kp_dispatch', 'USAGE')") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(servers.database_url, "CREATE TABLE mine (id int)")


def test_strangers_are_kept_out(folder: Path) -> None:
    with embedded.using(folder, durable=False) as servers:
        parts = urlsplit(servers.superuser_url)
        for password in ("", ":guess"):
            stranger = f"postgresql://postgres{password}@{parts.hostname}:{parts.port}/kaoping"
            with pytest.raises(asyncpg.InvalidPasswordError):
                ask(stranger, "SELECT 1")
        with pytest.raises(redis.AuthenticationError):
            ping(f"redis://127.0.0.1:{urlsplit(servers.redis_url).port}/0")
        assert not list(folder.rglob(".s.PGSQL*"))
        for name in ("servers.json", "postgres/pg_hba.conf", "redis/redis.conf"):
            assert not (folder / name).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        for server in ("postgres", "redis"):
            status = Path(f"/proc/{pid_of(folder, server)}/status").read_text()
            assert "\nUid:\t0\t" not in status, f"{server} runs as root"


def test_the_last_user_stops_them(folder: Path) -> None:
    with embedded.using(folder, durable=False) as outer:
        with embedded.using(folder, durable=False) as inner:
            assert inner == outer
        assert embedded.status(folder).running
    assert not embedded.status(folder).running


def test_servers_that_were_started_to_stay_stay(folder: Path) -> None:
    embedded.start(folder, durable=False)
    with embedded.using(folder, durable=False):
        pass
    assert embedded.status(folder).running
    assert embedded.stop(folder)
    with embedded.using(folder, durable=False):
        pass
    assert not embedded.status(folder).running


def test_both_survive_kill_9(folder: Path) -> None:
    with embedded.using(folder, durable=False) as servers:
        ask(servers.superuser_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        for server in ("postgres", "redis"):
            pid = pid_of(folder, server)
            os.kill(pid, signal.SIGKILL)
            wait_until_ended(pid)
        assert not embedded.status(folder).running
        with embedded.using(folder, durable=False) as again:
            assert ask(again.superuser_url, "SELECT answer FROM kept") == 42
            assert ping(again.redis_url)


def test_a_pid_file_that_names_another_process_is_stale(folder: Path) -> None:
    with embedded.using(folder, durable=False):
        left = (folder / "postgres/postmaster.pid").read_text().split("\n")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        # After a restart of the machine the old numbers belong to anybody.
        (folder / "postgres/postmaster.pid").write_text("\n".join([str(other.pid), *left[1:]]))
        (folder / "redis/redis.pid").write_text(f"{other.pid}\n")
        assert not embedded.status(folder).running
        assert not embedded.stop(folder)
        with embedded.using(folder, durable=False) as servers:
            assert ping(servers.redis_url)
        assert other.poll() is None, "a stranger's process was ended"
    finally:
        other.kill()
        other.communicate()


def test_ports_that_were_taken_meanwhile_are_changed(folder: Path) -> None:
    with embedded.using(folder, durable=False) as before:
        ports = [urlsplit(url).port for url in (before.database_url, before.redis_url)]
    with socket.socket() as one, socket.socket() as two:
        for taken, port in ((one, ports[0]), (two, ports[1])):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
        with embedded.using(folder, durable=False) as after:
            assert ping(after.redis_url)
            assert ask(after.database_url, "SELECT 1") == 1
            assert urlsplit(after.database_url).port != ports[0]


def test_two_commands_at_once_make_one_pair_of_servers(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from service import embedded\n"
        "with embedded.using(Path(sys.argv[1]), durable=False) as s:\n"
        "    print(s.database_url, s.redis_url, flush=True); input()\n"
    )
    users = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    try:
        said = set()
        for user in users:
            assert user.stdout is not None
            said.add(user.stdout.readline())
        assert len(said) == 1
        assert said != {""}
        # One of them dies without a word; the others still have their servers, and the last one stops them.
        users[0].kill()
        users[0].communicate()
        users[1].communicate("\n")
        assert embedded.status(folder).running
        users[2].communicate("\n")
        assert not embedded.status(folder).running
    finally:
        for user in users:
            if user.poll() is None:
                user.kill()
                user.communicate()


def test_long_paths_and_odd_characters(folder: Path) -> None:
    deep = folder / ('a folder\'s "name" ' + "x" * 80) / ("考评" * 20)
    with embedded.using(deep, durable=False) as servers:
        assert ping(servers.redis_url)
        assert ask(servers.database_url, "SELECT 1") == 1
    assert embedded.remove(deep)


def test_postgresql_16_too(folder: Path) -> None:
    with embedded.using(folder, postgres_version=16, durable=False) as servers:
        assert str(ask(servers.database_url, "SHOW server_version")).startswith("16.")
    # A folder keeps its version, whatever is asked for later.
    with embedded.using(folder, postgres_version=18, durable=False) as servers:
        assert str(ask(servers.database_url, "SHOW server_version")).startswith("16.")


def test_remove_takes_only_what_is_ours(folder: Path) -> None:
    assert not embedded.remove(folder)
    embedded.start(folder, durable=False)
    (folder / "letter.txt").write_text("not ours")
    assert embedded.remove(folder)
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


def test_a_database_without_its_passwords_is_said_not_guessed(folder: Path) -> None:
    with embedded.using(folder, durable=False):
        pass
    (folder / "servers.json").unlink()
    with pytest.raises(embedded.EmbeddedError, match="not its passwords"), embedded.using(folder):
        pass
    (folder / "servers.json").write_text("{")
    with pytest.raises(embedded.EmbeddedError, match="damaged"), embedded.using(folder):
        pass


def test_an_environment_of_another_postgresql_does_not_mislead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PGHOST", "db.invalid"), ("PGPORT", "1"), ("PGDATA", "/nowhere"), ("PGOPTIONS", "-c jit=on")):
        monkeypatch.setenv(name, value)
    with embedded.using(folder, durable=False) as servers:
        assert embedded.status(folder).running
        monkeypatch.delenv("PGOPTIONS")
        assert ask(servers.database_url, "SHOW jit") == "off"
