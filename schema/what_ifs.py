"""What-ifs, as frontends see them (试算)."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    by_id,
    column,
    condition,
    connection,
    described,
    expression,
    filter_type,
    identifier,
    input_type,
    payload,
    query,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.reports import EntryContentInput, content_of
from schema.scalars import DecimalText
from service import what_ifs
from service.access import Actor as Caller
from service.access import Role
from service.what_ifs import ValueSpec, WeightSpec
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import CycleUnit
    from schema.directory import Category
    from schema.jobs import Job
    from schema.members import Actor
    from schema.rankings import RankingRun
    from schema.schemes import SchemeVersion


@table("what_if_changes", plural="differences in a trial", visible="{all}")
class WhatIfChange(Node):
    """A unit's difference in a trial."""

    id: ID = identifier()
    unit: "CycleUnit" = relation("The unit.", on={"cycle_unit_id": "id"})
    category: "Category" = relation("Its peer group.", on={"category_id": "id"})
    total_before: Decimal | None = column("Real total.")
    total_after: Decimal | None = column("Total in the trial.")
    total: Decimal | None = expression("Difference of totals.", "{t}.total_after - {t}.total_before")
    rank_before: int | None = column("Real rank.")
    rank_after: int | None = column("Rank in the trial.")
    rank: int | None = expression("Ranks gained (plus) or lost (minus).", "{t}.rank_before - {t}.rank_after")
    grade_before: str | None = column("Name of the computed grade.")
    grade_after: str | None = column("Name of the grade in the trial.")


@filter_type
class WhatIfFilter:
    """Which differences."""

    category_id: ID | None = condition("Of this category.", "{r}.category_id = {value}", of="Category")
    changed_only: bool | None = condition(
        "Only units whose total, rank or grade differs; false if left out.",
        """(NOT {value} OR ({r}.total_before, {r}.rank_before, {r}.grade_before)
            IS DISTINCT FROM ({r}.total_after, {r}.rank_after, {r}.grade_after))""",
    )


@table("what_ifs", plural="trials", visible="{all} AND {t}.expires_at > now()")
class WhatIf(Node):
    """A trial of another version, other weights or values on a run's data; leaves no trace in results (试算)."""

    id: ID = identifier()
    run: "RankingRun" = relation("Over whose snapshot.", on={"run_id": "id"})
    scheme_version: "SchemeVersion | None" = relation(
        "Which version; null once a draft has been discarded.", on={"scheme_version_id": "id"}
    )
    job: "Job | None" = relation("Its job; null once that has been cleared away.", on={"job_id": "id"})
    requested_by: "Actor | None" = relation("Who asked for it.", on={"requested_by_id": "id"}, variants=ACTOR_TYPES)
    requested_at: datetime = column("When.")
    finished_at: datetime | None = column("When it was done; null until then.")
    expires_at: datetime = column("When it is thrown away.")
    changes: Connection[WhatIfChange] = connection(
        "Difference per unit, in the order of the real board; none until it is done.",
        on={"id": "what_if_id"},
        filter=WhatIfFilter,
        default=[Key("{r}.position", "bigint")],
    )


@query
class WhatIfsQuery:
    """Trials."""

    what_if: WhatIf | None = by_id("One trial.", "WhatIf")


# ---- mutations


@input_type
class WhatIfWeightInput:
    """Another weight in a trial. Leaves keep their scores; only how they count changes."""

    indicator_code: str = described("Of which node.")
    weight: DecimalText = described("Its weight, or its points under POINTS.")


@input_type
class WhatIfValueInput:
    """Another value in a trial."""

    cycle_unit_id: ID = described("Of which unit.")
    data_item_id: ID = described("For which item.")
    period: str | None = described("For which period; left out where it is asked for once.")
    content: EntryContentInput = described("The value.")


@input_type
class StartWhatIfInput:
    """What startWhatIf takes."""

    run_id: ID = described("Over the snapshot of this run.")
    scheme_version_id: ID | None = described("Another version, draft or frozen; the run's own if left out.")
    weights: list[WhatIfWeightInput] | None = described("Other weights or points; at most 2,000.")
    values: list[WhatIfValueInput] | None = described("Other settled values; at most 5,000.")
    idempotency_key: str = described(KEY)


@payload
class StartWhatIfSuccess:
    """startWhatIf is done."""

    what_if: WhatIf = described("The trial.")


@mutation(StartWhatIfSuccess, access=at_root(Role.ORGANISER))
async def start_what_if(tx: Transaction, actor: Caller, given: StartWhatIfInput) -> Outcome:
    """Tries a version, other weights or other values on a past cycle (试算)."""
    key = await what_ifs.start_what_if(
        tx,
        actor,
        run_id=given.run_id,
        scheme_version_id=given.scheme_version_id,
        weights=[WeightSpec(each.indicator_code, each.weight) for each in given.weights or ()],
        values=[
            ValueSpec(each.cycle_unit_id, each.data_item_id, content_of(each.content), each.period)
            for each in given.values or ()
        ],
    )
    return {"what_if": key}
