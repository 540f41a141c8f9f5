"""How firm ranks are, as organisers see it (稳健性)."""

from decimal import Decimal
from typing import TYPE_CHECKING

from schema.mapping import ID, by_ids, column, described, document, input_type, payload, relation, value
from schema.mutations import KEY, Outcome, at_root, mutation
from service import robustness
from service.access import Actor as Caller
from service.access import Role
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.jobs import Job
    from schema.rankings.standings import Standing
    from schema.schemes import Indicator


@value
class SeatFlip:
    """A seat that changes hands."""

    standings: "list[Standing]" = by_ids("The two units: who has it, and who is next.", "standings")
    share: Decimal = column("Share of draws in which they swap.")
    text: str = column("In words.")


@value
class RobustnessInfo:
    """How firm ranks are under small changes of weights (稳健性)."""

    draws: int = column("How many draws.")
    tolerance: Decimal = column("How far weights were drawn.")
    flips: list[SeatFlip] = document("Seats at a quota's edge that change hands.")


@value
class RankRangeInfo:
    """Interval of a rank."""

    low: int = column("Better end.")
    high: int = column("Worse end.")


@value
class RankWithoutInfo:
    """Rank where one node is left out and its weight shared among its siblings."""

    indicator: "Indicator" = relation("The node.", on={"indicator_id": "id"})
    rank: int | None = column("The rank without it; null where nothing else applies to the unit.")


ROBUSTNESS = """SELECT rb.draws, rb.tolerance, (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'standings', bf.v -> 'standings', 'share', bf.v -> 'share',
            'text', bf.v -> 'text' ->> CASE {language} WHEN 'EN' THEN 'en' ELSE 'zh' END) ORDER BY bf.o), '[]')
        FROM jsonb_array_elements(rb.flips) WITH ORDINALITY AS bf(v, o)) AS flips
    FROM run_robustness rb WHERE rb.tenant_id = {tenant} AND rb.run_id = {t}.id"""
"""Of a run {t}: its draws."""

RANGE = """SELECT br.low, br.high FROM standing_robustness br
    WHERE br.tenant_id = {tenant} AND br.standing_id = {t}.id AND {all}"""
"""Of a standing {t}: its interval, for those who see every standing."""

WITHOUT = """SELECT bi.id AS indicator_id, (bw.v ->> 'rank')::int AS rank, bi.print_order FROM standing_robustness br
    CROSS JOIN LATERAL jsonb_array_elements(br.without) bw(v)
    JOIN ranking_runs bn ON bn.tenant_id = {tenant} AND bn.id = {t}.run_id
    JOIN cycles bc ON bc.tenant_id = {tenant} AND bc.id = bn.cycle_id
    JOIN indicators bi ON bi.tenant_id = {tenant} AND bi.scheme_version_id = bc.scheme_version_id
         AND bi.code = bw.v ->> 'code'
    WHERE br.tenant_id = {tenant} AND br.standing_id = {t}.id AND {all}"""
"""Of a standing {t}: where it would rank without one node."""


@input_type
class RequestRobustnessInput:
    """What requestRobustness takes."""

    run_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class RequestRobustnessSuccess:
    """requestRobustness is done."""

    job: "Job" = described("The job.")


@mutation(RequestRobustnessSuccess, access=at_root(Role.ORGANISER))
async def request_robustness(tx: Transaction, actor: Caller, given: RequestRobustnessInput) -> Outcome:
    """Asks for the weight draws of a run; they are made once (稳健性分析)."""
    return {"job": await robustness.request_robustness(tx, actor, run_id=given.run_id)}
