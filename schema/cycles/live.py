"""Cycles, live (周期动态)."""

import hashlib
from collections.abc import AsyncGenerator
from typing import Any

from strawberry import Info

from schema.context import Context
from schema.cycles.cycles import Cycle
from schema.live import After, Id, changes, live
from schema.mapping import described, payload
from schema.progress import CYCLE_STATS
from schema.rows import value_of
from schema.subscription import subscriptions


@payload
class CycleMessage:
    """A message about a cycle."""

    cursor: str = described("To resume after.")
    cycle: Cycle = described("The cycle as it is now.")


async def _state(context: Context, row: Any) -> str:
    """A digest of the cycle's state, of its opening's progress, and of its counters."""
    statement = context.statement()
    sql = statement.render(
        f"""SELECT cy.version, oj.change_seq, st.* FROM cycles cy
            LEFT JOIN jobs oj ON oj.tenant_id = {{tenant}} AND oj.id = cy.opening_job_id
            CROSS JOIN LATERAL ({CYCLE_STATS}) st
            WHERE cy.tenant_id = {{tenant}} AND cy.id = {statement.bind(value_of(row, "id"), "uuid")}""",
        t="cy",
    )
    found = await context.fetch(sql, statement)
    return hashlib.sha256(repr([tuple(each) for each in found]).encode()).hexdigest()[:32]


def _told_of(row: Any) -> bool:
    """A draft shows the progress of its opening, which is no event."""
    return bool(value_of(row, "state") != "DRAFT")


@subscriptions
class CyclesSubscription:
    """Cycles, live."""

    @live("Counters and state of a cycle, at most one message a second.")
    async def cycle_changed(
        self,
        info: Info[Context, None],
        id: Id,  # noqa: A002  # the argument's name in the API
        after: After = None,
    ) -> AsyncGenerator[CycleMessage | None, None]:
        """The cycle as it is, then each change."""
        async for change in changes(info.context, Cycle, id, after, state=_state, every=1.0, told_of=_told_of):
            yield None if change is None else CycleMessage(cursor=change.cursor, cycle=change.row)
