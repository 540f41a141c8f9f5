"""Bring the database to the newest migration: transactional, one at a time, safe to kill.

Tortoise writes its record of a migration outside the migration's transaction and takes no lock; so all of it runs in
one transaction that first takes an advisory lock. A crash leaves nothing, and of several at once one applies.
"""

import contextlib
import pkgutil
from dataclasses import dataclass
from importlib import resources
from urllib.parse import unquote, urlsplit

import asyncpg
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.models import Model
from tortoise.transactions import in_transaction

from tenants import migrations, models
from tenants.config import tortoise_config

# Any constant number; it only has to be the same in every copy of the program.
_LOCK = 0x6B616F70696E67


class RolesMissing(Exception):
    """The database lacks the roles, and the owner URL's user may not create them."""


@dataclass(frozen=True)
class Migrated:
    """What a call of `migrate` did: names of the migrations applied, in order."""

    applied: list[str]


def roles_sql() -> str:
    """SQL that makes the roles; run by an administrator of the database server."""
    return resources.files("tenants").joinpath("roles.sql").read_text(encoding="utf-8")


def program_migrations() -> list[str]:
    """Names of the migrations that this program was written for, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(migrations.__path__) if module.name[:1].isdigit())


MISSING_SQL = """
SELECT name FROM unnest($1::text[]) AS wanted (name)
WHERE name NOT IN (SELECT name FROM tortoise_migrations WHERE app = 'tenants') ORDER BY name
"""
"""Which of the named migrations the database lacks. It may have more: those of a newer program fit this one as well."""


async def migrate(owner_url: str, app_url: str) -> Migrated:
    """Make the roles where they are missing and allowed, then apply all migrations.

    owner_url: a login that may SET ROLE kp_owner (kp_migrate), or one that may create roles. app_url: only its user's
    name is used: that user gets the rights of kp_app; a kp_app made here gets the URL's password. Raises RolesMissing.
    """
    await _ensure_roles(owner_url, app_url)
    config = tortoise_config(owner_url, max_size=2)
    # A context of its own: what Tortoise knows outside of it, with pools that are open, stays as it is.
    async with TortoiseContext() as context:
        await context.init(config=config)
        async with in_transaction("default") as orm:
            assert isinstance(orm, TransactionWrapper)
            await orm._connection.execute(
                f"SET LOCAL ROLE kp_owner; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({_LOCK})"
            )
            await orm._connection.execute("SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = 0")
            applied: list[str] = []
            executor = MigrationExecutor(orm, config["apps"])
            # It asks for its record before it makes it, which would end a transaction.
            await executor.recorder.ensure_schema(AsyncpgSchemaEditor(orm, atomic=False))
            await executor.migrate(
                direction="forward",
                progress=lambda event, _, name: applied.append(name) if event == "apply_done" else None,
            )
    return Migrated(applied)


async def missing_columns(owner_url: str) -> list[str]:
    """What the models name and a migrated database lacks, as `table.column`: it was made by other migrations."""
    connection = await asyncpg.connect(owner_url)
    try:
        rows = await connection.fetch(
            """SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
                 AND NOT a.attisdropped"""
        )
    finally:
        await connection.close()
    there = {row[0] for row in rows}
    wanted = {
        f"{model._meta.db_table}.{field.source_field or name}"
        for model in vars(models).values()
        if isinstance(model, type) and issubclass(model, Model) and model._meta.db_table
        for name, field in model._meta.fields_map.items()
    }
    return sorted(wanted - there)


async def _ensure_roles(owner_url: str, app_url: str) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        me = await connection.fetchrow("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
        assert me is not None
        if me["rolsuper"] or me["rolcreaterole"]:
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                existed = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_app')")
                await connection.execute(roles_sql())
                await _give_app_rights(connection, app_url, new=not existed)
        if not await _may_act_as_owner(connection):
            raise RolesMissing(
                "The user of KAOPING_DATABASE_OWNER_URL may neither create roles nor SET ROLE kp_owner. "
                "Let an administrator of the server run the SQL that `kaoping migrate --roles` prints."
            )
    finally:
        await connection.close()


async def _may_act_as_owner(connection: asyncpg.Connection) -> bool:
    """Tried rather than asked: what a membership allows is asked differently before and since PostgreSQL 16."""
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE kp_owner")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError):
        return False
    return True


async def _give_app_rights(connection: asyncpg.Connection, app_url: str, *, new: bool) -> None:
    """A login of another name may stand for kp_app; it gets that role's rights and its settings.

    The dispatcher's rights come with them, by SET ROLE only: kp_app does not inherit them.
    """
    parts = urlsplit(app_url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user == "kp_app":
        if new and password:
            await connection.execute(
                await connection.fetchval("SELECT format('ALTER ROLE kp_app PASSWORD %L', $1::text)", password)
            )
        return
    settings = await connection.fetchval(
        """SELECT s.setconfig FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0
           WHERE r.rolname = 'kp_app' AND EXISTS (SELECT FROM pg_roles WHERE rolname = $1)""",
        user,
    )
    if settings is None:
        return
    name = await connection.fetchval("SELECT quote_ident($1)", user)
    # Before PostgreSQL 16 whether a membership is inherited is an attribute of the member alone.
    modern = connection.get_server_version() >= (16,)
    await connection.execute(f"GRANT kp_app TO {name}{' WITH INHERIT TRUE' if modern else ''}")
    for setting in settings:
        key, _, value = setting.partition("=")
        statement = await connection.fetchval(
            "SELECT format('ALTER ROLE %I SET %I = %L', $1::text, $2::text, $3::text)", user, key, value
        )
        # Only whoever made that login, or an administrator, may set things for it; it works without, if slower.
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)
