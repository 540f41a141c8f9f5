"""Runs, live (测算进度)."""

from collections.abc import AsyncGenerator
from typing import Any

from strawberry import Info

from schema.context import Context
from schema.jobs import FINISHED, job_state
from schema.live import After, Id, changes, live
from schema.mapping import described, payload
from schema.rankings.runs import RankingRun
from schema.rows import value_of
from schema.subscription import subscriptions


@payload
class RankingRunMessage:
    """A message about a run."""

    cursor: str = described("To resume after.")
    run: RankingRun = described("The run as it is now.")


async def _state(context: Context, row: Any) -> str:
    return await job_state(context, value_of(row, "job_id"))


@subscriptions
class RankingsSubscription:
    """Runs, live."""

    @live("Progress of a run; ends when the run has ended.")
    async def ranking_run_changed(
        self,
        info: Info[Context, None],
        id: Id,  # noqa: A002  # the argument's name in the API
        after: After = None,
    ) -> AsyncGenerator[RankingRunMessage | None, None]:
        """Messages about one run."""
        async for change in changes(
            info.context,
            RankingRun,
            id,
            after,
            state=_state,
            ended=lambda row: value_of(row, "state") in FINISHED,
        ):
            yield None if change is None else RankingRunMessage(cursor=change.cursor, run=change.row)
