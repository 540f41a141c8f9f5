"""Databases of a test's own on the suite's server, for what depends on all that is in one."""

from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from pydantic import SecretStr

from service.settings import Settings
from tenants.migrate import migrate

PRISTINE = "kaoping_pristine"
"""On embedded servers a database that is migrated and empty: a copy is made sooner than a database is migrated."""


async def created(settings: Settings, name: str) -> Settings:
    """Settings with a migrated database in which nothing is; where the server allows none, the test is skipped."""
    assert settings.database_owner_url is not None
    assert settings.database_url is not None
    owner, app = settings.database_owner_url.get_secret_value(), settings.database_url.get_secret_value()
    connection = await asyncpg.connect(owner)
    try:
        if not await connection.fetchval("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"):
            pytest.skip("The owner's role may not create databases on this server.")
        known = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", PRISTINE)
        copied = f"TEMPLATE {PRISTINE}" if known else ""
        await connection.execute(f"CREATE DATABASE {name} {copied} OWNER kp_owner")
    finally:
        await connection.close()
    urls = [urlunsplit(urlsplit(url)._replace(path=f"/{name}")) for url in (owner, app)]
    await migrate(*urls)
    own = [SecretStr(url) for url in urls]
    return settings.model_copy(update={"database_owner_url": own[0], "database_url": own[1]})


async def dropped(settings: Settings, name: str) -> None:
    """Remove it; `settings` are those of the suite."""
    assert settings.database_owner_url is not None
    connection = await asyncpg.connect(settings.database_owner_url.get_secret_value())
    try:
        await connection.execute("SET ROLE kp_owner")
        await connection.execute(f"DROP DATABASE IF EXISTS {name}")
    finally:
        await connection.close()
