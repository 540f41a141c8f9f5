"""Migrations are transactional, one at a time and crash-safe, and the models are what the migrations make."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions

from tenants import migrate as module
from tenants.config import tortoise_config
from tenants.migrate import migrate

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty_database(owner_url: str) -> AsyncIterator[str]:
    """An owner's address of a database of the test's own, with the roles and nothing else."""
    name = f"kaoping_test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(owner_url)
    try:
        if not await connection.fetchval("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"):
            pytest.skip("The owner's role may not create databases on this server.")
        await connection.execute(f"CREATE DATABASE {name} OWNER kp_owner")
        parts = urlsplit(owner_url)
        yield urlunsplit(parts._replace(path=f"/{name}"))
        await connection.execute("SET ROLE kp_owner")
        await connection.execute(f"DROP DATABASE {name}")
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    """Names of the tables there are."""
    connection = await asyncpg.connect(url)
    try:
        return {r[0] for r in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    finally:
        await connection.close()


async def test_the_models_are_what_the_migrations_make() -> None:
    config = tortoise_config("postgresql://nobody@localhost/nothing")
    await Tortoise.init(config=config, init_connections=False)
    assert Tortoise.apps is not None
    writers = await MigrationAutodetector(Tortoise.apps, config["apps"]).changes()
    # A model's docstring is its table's description for Tortoise; no column hangs on it.
    assert [o for w in writers for o in w.operations if not isinstance(o, AlterModelOptions)] == []


async def test_of_three_at_once_one_applies(empty_database: str, app_url: str) -> None:
    script = """if True:
        import asyncio, sys
        from tenants.migrate import migrate
        print(len(asyncio.run(migrate(*sys.argv[1:])).applied))
    """
    runs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, empty_database, app_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    printed = [int((await run.communicate())[0]) for run in runs]
    assert sorted(printed)[:2] == [0, 0]
    assert max(printed) > 0


async def test_a_crash_midway_leaves_nothing_and_the_next_run_applies_all(
    empty_database: str, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise ConnectionError("the process ends here")

    with monkeypatch.context() as patched:
        # After the migration's statements, before its record: where Tortoise by itself leaves tables without record.
        patched.setattr("tortoise.migrations.recorder.MigrationRecorder.record_applied", crash)
        with pytest.raises(ConnectionError):
            await migrate(empty_database, app_url)
    assert await tables(empty_database) == set()
    assert (await migrate(empty_database, app_url)).applied
    assert (await migrate(empty_database, app_url)).applied == []


async def test_without_the_roles_it_says_what_to_run(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        may = await connection.fetchval("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
    finally:
        await connection.close()
    assert "CREATE ROLE kp_owner" in module.roles_sql()
    if not may:
        # This user may not make roles: with them in place it is content.
        assert (await migrate(owner_url, "postgresql://kp_app@localhost/x")).applied == []
