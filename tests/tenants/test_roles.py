"""Migrating on a server of one's own: by an administrator, by one who may only make roles, and by nobody special."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from service import embedded
from tenants.migrate import RolesMissing, migrate, roles_sql


@pytest.fixture(scope="module", params=[16, 18])
def own_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the superuser of a server of this module's own."""
    folder = Path(tempfile.mkdtemp(prefix="kaoping-roles-"))
    try:
        with embedded.using(folder, postgres_version=request.param, durable=False) as servers:
            yield servers.superuser_url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(own_server: str) -> str:
    """The server as its administrator found it: an empty database, and no role but the superuser."""
    asyncio.run(say(own_server.replace("/kaoping", "/postgres"), forget))
    return own_server


async def say(url: str, work: Callable[[asyncpg.Connection], Awaitable[object]]) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def forget(connection: asyncpg.Connection) -> None:
    await connection.execute("DROP DATABASE kaoping")
    others = "SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'"
    await connection.execute(f"DROP ROLE {await connection.fetchval(others)}")
    await connection.execute("CREATE DATABASE kaoping")


def run(url: str, sql: str) -> object:
    return asyncio.run(say(url, lambda connection: connection.execute(sql)))


def value(url: str, sql: str) -> object:
    return asyncio.run(say(url, lambda connection: connection.fetchval(sql)))


def as_user(server: str, user: str, password: str) -> str:
    parts = urlsplit(server)
    return f"postgresql://{user}:{password}@{parts.hostname}:{parts.port}/kaoping"


def test_an_administrator_makes_the_roles_and_gives_the_app_its_password_and_another_login_its_settings(
    server: str,
) -> None:
    app = as_user(server, "kp_app", "it's a %70assword".replace("'", "%27").replace(" ", "%20"))
    assert asyncio.run(migrate(server, app)).applied
    assert value(app, "SELECT current_user") == "kp_app"
    # Done once: a later call changes no password.
    assert asyncio.run(migrate(server, as_user(server, "kp_app", "another"))).applied == []
    assert value(app, "SELECT count(*) FROM jobs") == 0
    # A login of another name gets the rights and the settings of the app.
    run(server, "CREATE ROLE web LOGIN NOINHERIT PASSWORD 'w'")
    web = as_user(server, "web", "w")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        value(web, "SELECT count(*) FROM jobs")
    assert asyncio.run(migrate(server, web)).applied == []
    assert value(web, "SHOW plan_cache_mode") == "force_generic_plan"
    assert value(web, "SHOW lock_timeout") == "5s"
    assert value(web, "SELECT count(*) FROM jobs") == 0


def test_one_who_may_make_roles_is_enough_and_the_app_may_have_a_name_of_its_own(server: str) -> None:
    run(server, "CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'b'; CREATE ROLE web LOGIN PASSWORD 'w'")
    run(server, "ALTER DATABASE kaoping OWNER TO boss")
    web = as_user(server, "web", "w")
    assert asyncio.run(migrate(as_user(server, "boss", "b"), web)).applied
    assert value(web, "SELECT count(*) FROM jobs") == 0
    assert value(web, "SELECT pg_has_role('kp_dispatch', 'USAGE')") is False
    assert run(web, "SET ROLE kp_dispatch") == "SET"
    assert value(web, "SELECT pg_has_role('kp_owner', 'MEMBER')") is False


def test_without_the_right_to_make_roles_it_says_what_to_run(server: str) -> None:
    run(server, "CREATE ROLE plain LOGIN PASSWORD 'p'")
    plain = as_user(server, "plain", "p")
    with pytest.raises(RolesMissing, match="kaoping migrate --roles"):
        asyncio.run(migrate(plain, as_user(server, "kp_app", "a")))
    # What it says is enough: the administrator runs it, gives passwords, and kp_migrate migrates.
    run(server, roles_sql())
    run(server, roles_sql())
    run(server, "ALTER ROLE kp_migrate PASSWORD 'm'; ALTER ROLE kp_app PASSWORD 'a'")
    assert asyncio.run(migrate(as_user(server, "kp_migrate", "m"), as_user(server, "kp_app", "a"))).applied
