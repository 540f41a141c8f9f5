"""The rows of a success that are read in the mutation's own transaction (变更结果).

They are read in the statement that keeps the outcome, as the last one before the commit: no second transaction is
needed, and no other writer's change of them can come between. That is so where the document asks for columns of the
rows and nothing below them (see `schema.plans.writes`); whatever leads further is read from one snapshot after the
commit, together with its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from schema.context import Context
from schema.plans.plan import Sight
from schema.sql import Statement
from schema.stock import rows_of, select_rows
from service import idempotency
from service.idempotency import Claim
from tenants.database import Transaction


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """The field of a success that lists rows, and their type."""

    field: str
    cls: type


async def keep_and_read(
    context: Context,
    tx: Transaction,
    claim: Claim,
    outcome: dict[str, Any],
    wanted: RowsWanted,
    ids: Sequence[UUID],
) -> list[Any]:
    """Keep the outcome under its key, and read those of its rows that the viewer sees, in order; in one statement.

    The actor has just been read, so that the rules of who may see what need not ask of it what is known.
    """
    actor = context.actor
    assert actor is not None
    sight = Sight.of(actor)
    statement = Statement(context.viewpoint, sight.constants, idempotency.kept_as(actor, claim, outcome))
    sql = f"WITH kept AS ({idempotency.KEEP}) {select_rows(statement, wanted.cls, ids)}"
    records = await tx.fetch(sql, *statement.arguments)
    found = rows_of(wanted.cls, records)
    return [found[each] for each in ids if each in found]
