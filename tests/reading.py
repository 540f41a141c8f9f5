"""What PostgreSQL does for a statement: the nodes of its plan, and how much it has read."""

from collections.abc import Iterator
from typing import Any

from tenants.database import Transaction


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of EXPLAIN (FORMAT JSON), and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)


async def rows_read(tx: Transaction) -> int:
    """Rows and entries of indexes that the transaction has read; what its connection read just before may be in it."""
    found: int = await tx.fetchval(
        """SELECT sum(pg_stat_get_xact_tuples_returned(oid))::bigint FROM pg_class
           WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"""
    )
    return found
