"""What a district's rows hold, for tests that show that nothing was written."""

from uuid import UUID

from tenants.database import Database


async def contents(db: Database, tenant_id: UUID) -> dict[str, tuple[int, str]]:
    """Number and digest of the rows of every table, the head of the audit among them.

    How far a reader has read the outbox is left out: workers move that on by themselves.
    """
    async with db.transaction(tenant_id, read_only=True) as tx:
        tables = await tx.fetch(
            """SELECT DISTINCT table_name FROM information_schema.columns
               WHERE table_schema = 'public' AND column_name = 'tenant_id'
               AND table_name <> 'outbox_readers' ORDER BY 1"""
        )
        parts = [
            f"""SELECT '{name}' AS name, count(*),
                       coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') AS digest
                FROM "{name}" t WHERE tenant_id = $1"""
            for (name,) in tables
        ]
        rows = await tx.fetch(" UNION ALL ".join(parts), tenant_id)
        return {row["name"]: (row["count"], row["digest"]) for row in rows}
