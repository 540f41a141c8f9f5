"""Every table keeps the rules of tenancy; a new one that breaks a rule is named here by the test."""

import pytest

from tenants.database import Database

pytestmark = pytest.mark.anyio

GLOBAL_TABLES = {"directory", "tortoise_migrations"}
"""The closed list of tables without a tenant."""

APPEND_ONLY = {
    "audit_events",
    "entry_revisions",
    "reviews",
    "publications",
    "standings",
    "run_snapshots",
    "grade_records",
    "decided_grades",
}

DISPATCHER_INDEXES = {"jobs_due", "jobs_leased"}
"""Indexes over all tenants: the dispatcher's alone."""

POLICY = "(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)"


async def names(db: Database, sql: str) -> list[str]:
    """What a query of the catalogue names: each row is one broken rule."""
    return [row[0] for row in await db.fetch_global(sql)]


async def test_only_the_listed_tables_have_no_tenant(db: Database) -> None:
    found = await names(
        db,
        """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                           AND a.attnotnull)""",
    )
    assert set(found) == GLOBAL_TABLES


async def test_row_level_security_is_on_and_forced_on_every_tenant_table(db: Database) -> None:
    assert not await names(
        db,
        """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity)""",
    )


async def test_every_tenant_table_has_the_one_policy_and_no_other_opens_it(db: Database) -> None:
    rows = await db.fetch_global(
        "SELECT tablename, policyname, permissive, roles::text[] AS roles, qual, with_check FROM pg_policies"
    )
    tenant = {row["tablename"] for row in rows if row["policyname"] == "tenant"}
    tables = await names(
        db,
        """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')""",
    )
    assert tenant == set(tables)
    for row in rows:
        if row["policyname"] == "tenant":
            assert (row["qual"], row["with_check"]) == (POLICY, POLICY), row["tablename"]
        else:
            # Permissive policies are OR-ed: any other may be for the dispatcher, on its tables, and only for reading.
            assert row["roles"] == ["kp_dispatch"], row
            assert row["tablename"] in {"jobs", "outbox_heads", "outbox_readers"}, row


async def test_keys_begin_with_the_tenant(db: Database) -> None:
    broken = await db.fetch_global(
        """
        SELECT c.conrelid::regclass::text AS owner, c.conname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('p', 'u', 'f') AND a.attname <> 'tenant_id'
        UNION ALL
        SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE a.attname IS DISTINCT FROM 'tenant_id'
        """
    )
    assert {row["conname"] for row in broken if row["owner"] not in GLOBAL_TABLES} == DISPATCHER_INDEXES, (
        "a key or index that does not begin with tenant_id"
    )


async def test_foreign_keys_lead_to_the_same_tenant(db: Database) -> None:
    assert not await names(
        db,
        """SELECT c.conname FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
           WHERE c.connamespace = 'public'::regnamespace AND c.contype = 'f' AND a.attname <> 'tenant_id'""",
    )


async def test_the_app_cannot_change_what_is_append_only_nor_the_tables(db: Database) -> None:
    for table in APPEND_ONLY:
        rights = await db.fetch_global(
            """SELECT has_table_privilege('kp_app', $1, 'UPDATE'), has_table_privilege('kp_app', $1, 'DELETE'),
                      has_table_privilege('kp_app', $1, 'TRUNCATE')""",
            table,
        )
        assert tuple(rights[0]) == (False, False, False), table
    assert not await names(
        db, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'kp_owner'"
    )


async def test_no_role_passes_by_row_level_security(db: Database) -> None:
    assert not await names(
        db, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'kp\\_%' AND (rolsuper OR rolbypassrls)"
    )
    assert not (await db.fetch_global("SELECT pg_has_role('kp_app', 'kp_owner', 'MEMBER') AS member"))[0]["member"]


async def test_there_is_nothing_that_runs_as_another_or_behind_our_back(db: Database) -> None:
    assert not await names(
        db,
        """SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
           UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
           UNION ALL SELECT matviewname FROM pg_matviews""",
    )
