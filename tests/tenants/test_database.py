"""Tenant-bound transactions: what one tenant writes, no other can see, change or point to."""

import asyncio
import contextlib

import asyncpg
import pytest

from tenants.database import Database, UnsafeRole
from tenants.ids import uuid7, uuid7s
from tenants.models import OrgUnit
from tenants.provisioning import District
from tenants.statements import literal
from tests.conftest import MakeTenant

pytestmark = pytest.mark.anyio


async def add_category(db: Database, tenant: District, code: str) -> None:
    """One row that only this tenant may see."""
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "INSERT INTO categories (tenant_id, id, code, name, position) VALUES ($1, $2, $3, $3, 0)",
            tenant.id,
            uuid7(),
            code,
        )


async def test_a_tenant_sees_its_own_rows_only_even_when_a_statement_forgets_the_tenant(
    db: Database, make_tenant: MakeTenant
) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    await add_category(db, ours, "same")
    await add_category(db, theirs, "same")
    async with db.transaction(ours.id) as tx:
        rows = await tx.fetch("SELECT tenant_id FROM categories")
        assert [row["tenant_id"] for row in rows] == [ours.id]
        assert await tx.execute("UPDATE categories SET name = 'changed'") == 1
        assert await tx.fetch("SELECT FROM categories WHERE tenant_id = $1", theirs.id) == []
    async with db.transaction(theirs.id) as tx:
        assert await tx.fetchval("SELECT name FROM categories") == "same"


async def test_a_row_of_another_tenant_cannot_be_written(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.transaction(ours.id) as tx:
            await tx.execute(
                "INSERT INTO categories (tenant_id, id, code, name, position) VALUES ($1, $2, 'x', 'x', 0)",
                theirs.id,
                uuid7(),
            )


async def test_a_foreign_key_does_not_accept_another_tenants_row(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    async with db.transaction(theirs.id) as tx:
        their_root = await tx.fetchval("SELECT id FROM org_units")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with db.transaction(ours.id) as tx:
            await tx.execute(
                """INSERT INTO org_units (tenant_id, id, code, name, kind, parent_id, tree_path, valid_from)
                   VALUES ($1, $2, 'x', 'x', 'BRANCH', $3, 'x', now())""",
                ours.id,
                uuid7(),
                their_root,
            )


async def test_outside_a_transaction_nothing_is_seen(db: Database, tenant: District) -> None:
    await add_category(db, tenant, "a")
    assert await db.fetch_global("SELECT FROM categories") == []
    async with db.transaction(tenant.id):
        pass
    # The setting reads '' after a transaction, not NULL: still nothing, and no error.
    assert await db.fetch_global("SELECT FROM categories") == []


async def test_a_transaction_of_a_tenant_never_begins_inside_another(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    async with db.transaction(ours.id):
        with pytest.raises(RuntimeError, match="inside another"):
            async with db.transaction(theirs.id):
                pass


async def test_concurrent_transactions_of_several_tenants_do_not_mix(db: Database, make_tenant: MakeTenant) -> None:
    tenants = [await make_tenant() for _ in range(3)]
    for tenant in tenants:
        await add_category(db, tenant, "mine")

    async def look(tenant: District) -> set[object]:
        async with db.transaction(tenant.id, read_only=True) as tx:
            await asyncio.sleep(0)
            return {row["tenant_id"] for row in await tx.fetch("SELECT tenant_id FROM categories")}

    seen = await asyncio.gather(*(look(tenants[i % 3]) for i in range(60)))
    assert seen == [{tenants[i % 3].id} for i in range(60)]


async def test_an_exception_takes_everything_back(db: Database, tenant: District) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(tenant.id) as tx:
            await tx.execute(
                "INSERT INTO categories (tenant_id, id, code, name, position) VALUES ($1, $2, 'x', 'x', 0)",
                tenant.id,
                uuid7(),
            )
            raise ZeroDivisionError
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetch("SELECT FROM categories") == []


async def names(db: Database, tenant: District) -> list[str]:
    """Names of the tenant's categories, in order."""
    async with db.transaction(tenant.id, read_only=True) as tx:
        return [row["name"] for row in await tx.fetch("SELECT name FROM categories ORDER BY position")]


ADD = """INSERT INTO categories (tenant_id, id, code, name, position)
    SELECT $1, $2, $3, $4, count(*) FROM categories WHERE tenant_id = $1"""


async def test_what_goes_with_the_commit_runs_in_order_and_not_before(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        for name in ("第一", "第二"):
            await tx.at_commit(ADD, tenant.id, uuid7(), name, name)
        assert await tx.fetch("SELECT FROM categories") == []
    assert await names(db, tenant) == ["第一", "第二"]
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(tenant.id) as tx:
            await tx.at_commit(ADD, tenant.id, uuid7(), "c", "c")
            raise ZeroDivisionError
    assert await names(db, tenant) == ["第一", "第二"]


async def test_what_fails_with_the_commit_takes_everything_back(db: Database, tenant: District) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.transaction(tenant.id) as tx:
            await tx.execute(ADD, tenant.id, uuid7(), "a", "a")
            await tx.at_commit(ADD, tenant.id, uuid7(), "b", "b")
            await tx.at_commit(ADD, tenant.id, uuid7(), "a", "again")
    assert await names(db, tenant) == []


async def test_a_transaction_that_has_failed_is_not_committed(db: Database, tenant: District) -> None:
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        async with db.transaction(tenant.id) as tx:
            await tx.execute(ADD, tenant.id, uuid7(), "a", "a")
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await tx.execute(ADD, tenant.id, uuid7(), "a", "again")
    assert await names(db, tenant) == []


EVERY = "".join(chr(each) for each in range(1, 0x11000) if not 0xD800 <= each < 0xE000)
"""Characters, all that a text may have beside the rarest planes."""


@pytest.mark.parametrize("text", ["", "'", "''; DROP TABLE categories; --", "\\'", "a\\", "$1 %s", "E'\\n'", EVERY * 2])
async def test_a_literal_is_the_text_itself(db: Database, tenant: District, text: str) -> None:
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchrow(f"SELECT {literal(text)}, {literal(tenant.id)}::uuid, {literal(None)}") == (
            text,
            tenant.id,
            None,
        )
        await tx.at_commit("UPDATE tenants SET name = $2 WHERE tenant_id = $1", tenant.id, text)
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchval("SELECT name FROM tenants") == text


def test_no_literal_ends_the_message() -> None:
    with pytest.raises(ValueError, match="0000"):
        literal("a\x00b")


async def test_a_reading_snapshot_stays_the_same_until_it_is_closed(db: Database, tenant: District) -> None:
    reader = db.reading(tenant.id)
    assert await reader.fetch("SELECT FROM categories") == []
    await add_category(db, tenant, "late")
    assert await reader.fetch("SELECT FROM categories") == []
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.fetch("UPDATE categories SET name = 'x' RETURNING id")
    await reader.close()
    assert len(await reader.fetch("SELECT FROM categories")) == 1
    await reader.close()
    await reader.close()


async def test_the_program_refuses_a_role_that_row_level_security_does_not_bind(owner_url: str) -> None:
    with pytest.raises(UnsafeRole, match="kp_app"):
        await Database.connect(owner_url)


async def test_the_dispatcher_sees_jobs_of_all_tenants_and_nothing_else(db: Database, make_tenant: MakeTenant) -> None:
    tenants = [await make_tenant() for _ in range(2)]
    for tenant in tenants:
        async with db.transaction(tenant.id) as tx:
            await tx.execute(
                """INSERT INTO jobs (tenant_id, id, kind, dedupe_key, max_attempts)
                   VALUES ($1, $2, 'RANKING_RUN', 'k', 1)""",
                tenant.id,
                uuid7(),
            )
    async with db.dispatching() as connection:
        rows = await connection.fetch("SELECT tenant_id FROM jobs")
        assert {tenant.id for tenant in tenants} <= {row["tenant_id"] for row in rows}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.dispatching() as connection:
            await connection.fetch("SELECT arguments FROM jobs")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.dispatching() as connection:
            await connection.fetch("SELECT FROM org_units")


async def test_tortoise_works_inside_a_tenants_transaction(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        root = await OrgUnit.get(tenant_id=tx.tenant_id, code="root", using_db=tx.orm)
        changed = await OrgUnit.filter(tenant_id=tx.tenant_id, id=root.id, version=1).using_db(tx.orm).update(version=2)
        assert changed == 1
        assert await OrgUnit.filter(tenant_id=tx.tenant_id, version=1).using_db(tx.orm).update(version=3) == 0
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchval("SELECT version FROM org_units WHERE tenant_id = $1", tenant.id) == 2


def test_ids_are_version_7_and_rise() -> None:
    ids = uuid7s(1000)
    assert ids == sorted(set(ids))
    assert {(i.version, i.variant) for i in [*ids, uuid7()]} == {(7, "specified in RFC 4122")}


async def test_a_change_that_is_given_up_at_its_commit_spoils_no_later_one(own: Database, tenant: District) -> None:
    given_up = 0
    for turns in range(1, 5):
        sql = f"UPDATE tenants SET name = $2 WHERE tenant_id = $1 AND {turns} > 0"
        with contextlib.suppress(asyncio.CancelledError):
            async with own.transaction(tenant.id) as tx:
                task = asyncio.create_task(tx.at_commit(sql, tenant.id, "旧名"))
                for _ in range(turns):
                    # Until the statement is on its way; PostgreSQL has it before it hears that it is to be forgotten.
                    await asyncio.sleep(0)
                given_up += task.cancel()
                await task
        async with own.transaction(tenant.id) as tx:
            await tx.at_commit(sql, tenant.id, f"新名{turns}")
        assert await own.read(tenant.id, "SELECT name FROM tenants") == f"新名{turns}"
    assert given_up > 0
