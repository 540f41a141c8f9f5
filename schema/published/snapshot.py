"""All reads of one operation in one snapshot, however they are sent (同一快照)."""

from typing import Any, cast
from uuid import UUID

from schema.context import Context
from tenants.database import Database, ReadTransaction


class OneSnapshot:
    """Stands in the place of the database where an operation only reads, and reads once."""

    def __init__(self, reader: ReadTransaction) -> None:
        self._reader = reader

    async def read(self, tenant_id: UUID, sql: str, *arguments: Any) -> Any:
        """What a statement gives in its first row and column."""
        if tenant_id != self._reader.tenant_id:
            raise LookupError("This snapshot is of another tenant.")
        rows = await self._reader.fetch(sql, *arguments)
        return rows[0][0] if rows else None


def pinned(context: Context) -> ReadTransaction:
    """The snapshot that everything the operation reads from now on is read in."""
    reader = context.reader
    context.db = cast(Database, OneSnapshot(reader))
    return reader
