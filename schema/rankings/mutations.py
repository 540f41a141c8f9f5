"""What is done to runs and their results (测算变更)."""

from typing import TYPE_CHECKING

from schema.mapping import ID, described, input_type, payload
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.rankings.runs import RankingRun, TieGroup
from schema.rankings.standings import Standing
from schema.scalars import DateText
from service import rankings
from service.access import Actor as Caller
from service.access import Role
from service.rankings import grading
from service.rankings.grading import GradeSpec
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle


@input_type
class StartRankingRunInput:
    """What startRankingRun takes."""

    cycle_id: ID = described("Which cycle.")
    idempotency_key: str = described(KEY)


@payload
class StartRankingRunSuccess:
    """startRankingRun is done."""

    run: RankingRun = described("The run.")


@mutation(StartRankingRunSuccess, access=at_root(Role.ORGANISER))
async def start_ranking_run(tx: Transaction, actor: Caller, given: StartRankingRunInput) -> Outcome:
    """Asks for a run; joins one that is queued (启动测算)."""
    return {"run": await rankings.start_ranking_run(tx, actor, cycle_id=given.cycle_id)}


@input_type
class CancelRankingRunInput:
    """What cancelRankingRun takes."""

    run_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class CancelRankingRunSuccess:
    """cancelRankingRun is done."""

    run: RankingRun = described("The run.")


@mutation(CancelRankingRunSuccess, access=at_root(Role.ORGANISER))
async def cancel_ranking_run(tx: Transaction, actor: Caller, given: CancelRankingRunInput) -> Outcome:
    """Cancels a run that is queued or running."""
    return {"run": await rankings.cancel_ranking_run(tx, actor, run_id=given.run_id)}


@input_type
class AdoptRunInput:
    """What adoptRun takes."""

    run_id: ID = described("Which run.")
    version: int = described("Version of the cycle that was read.")
    idempotency_key: str = described(KEY)


@payload
class AdoptRunSuccess:
    """adoptRun is done."""

    cycle: "Cycle" = described("The cycle, RANKED.")
    run: RankingRun = described("The run.")


@mutation(AdoptRunSuccess, access=at_root(Role.ORGANISER))
async def adopt_run(tx: Transaction, actor: Caller, given: AdoptRunInput) -> Outcome:
    """Lets the cycle stand on a finished run (采用测算结果)."""
    cycle_id, run_id = await rankings.adopt_run(tx, actor, run_id=given.run_id, version=given.version)
    return {"cycle": cycle_id, "run": run_id}


@input_type
class OrderTieInput:
    """What orderTie takes."""

    tie_group_id: ID = described("Which group.")
    version: int = described("Version read.")
    standing_ids: list[ID] = described("All of the group, best first.")
    reason: str = described("Why.")
    idempotency_key: str = described(KEY)


@payload
class OrderTieSuccess:
    """orderTie is done."""

    tie_group: TieGroup = described("The group.")


@mutation(OrderTieSuccess, access=at_root(Role.ORGANISER))
async def order_tie(tx: Transaction, actor: Caller, given: OrderTieInput) -> Outcome:
    """Orders equals where places run out, for good (并列排序)."""
    return {
        "tie_group": await grading.order_tie(
            tx,
            actor,
            tie_group_id=given.tie_group_id,
            version=given.version,
            standing_ids=given.standing_ids,
            reason=given.reason,
        )
    }


@input_type
class DecidedGradeInput:
    """A decided grade."""

    standing_id: ID = described("Whose.")
    grade_code: str = described("Which.")
    reason: str | None = described("Required where it differs.")


@input_type
class RecordGradesInput:
    """What recordGrades takes."""

    run_id: ID = described("Which run: the one that the cycle stands on.")
    body: str = described("Deciding body.")
    decided_on: DateText = described("When.")
    document_title: str = described("Document.")
    document_number: str | None = described("Its number.")
    as_proposed: bool = described("Whether all not named below are settled as computed.", default=True)
    grades: list[DecidedGradeInput] | None = described("Those that differ, or all; at most 5,000.")
    idempotency_key: str = described(KEY)


@payload
class RecordGradesSuccess:
    """recordGrades is done."""

    run: RankingRun = described("The run.")
    standings: list[Standing] = described("Those that differ from the computed grade.")


@mutation(RecordGradesSuccess, access=at_root(Role.ORGANISER))
async def record_grades(tx: Transaction, actor: Caller, given: RecordGradesInput) -> Outcome:
    """Records what the deciding body settled (审定等次); a later record replaces it."""
    run, differing = await grading.record_grades(
        tx,
        actor,
        run_id=given.run_id,
        body=given.body,
        decided_on=given.decided_on,
        document_title=given.document_title,
        document_number=given.document_number,
        as_proposed=given.as_proposed,
        grades=[GradeSpec(each.standing_id, each.grade_code, each.reason) for each in given.grades or ()],
    )
    return {"run": run, "standings": differing}
