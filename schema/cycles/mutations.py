"""What is done to cycles (周期变更)."""

from typing import TYPE_CHECKING

from schema.cycles.cycles import Cycle, CycleKind
from schema.mapping import ID, described, input_type, payload
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.scalars import DateText, DecimalText
from service import cycles
from service.access import Actor as Caller
from service.access import Role
from service.cycles import CycleSpec, TargetRow
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.jobs import Job


@input_type
class CycleInput:
    """A cycle as it shall be."""

    code: str = described("Code.")
    name: str = described("Name.")
    kind: CycleKind = described("How long.")
    starts_on: DateText = described("First day assessed.")
    ends_on: DateText = described("Last day assessed.")
    scheme_version_id: ID = described("Version it runs on.")
    category_ids: list[ID] | None = described("Only these of the version's categories.")
    under_id: ID | None = described("Only units in this subtree; all if left out.")
    opens_on: DateText = described("First day of reporting.")
    due_on: DateText = described("Last day on time.")
    grace_days: int = described("Calendar days of grace.", default=0)
    review_due_on: DateText | None = described("Last day of review.")
    notice_on: DateText | None = described("Planned day of notice.")
    previous_cycle_id: ID | None = described('Cycle whose values are "last cycle\'s".')


def _spec(given: CycleInput) -> CycleSpec:
    return CycleSpec(
        code=given.code,
        name=given.name,
        kind=given.kind.name,
        starts_on=given.starts_on,
        ends_on=given.ends_on,
        scheme_version_id=given.scheme_version_id,
        opens_on=given.opens_on,
        due_on=given.due_on,
        category_ids=given.category_ids,
        under_id=given.under_id,
        grace_days=given.grace_days,
        review_due_on=given.review_due_on,
        notice_on=given.notice_on,
        previous_cycle_id=given.previous_cycle_id,
    )


@input_type
class CreateCycleInput:
    """What createCycle takes."""

    cycle: CycleInput = described("The cycle.")
    idempotency_key: str = described(KEY)


@payload
class CreateCycleSuccess:
    """createCycle is done."""

    cycle: Cycle = described("The cycle, in draft.")


@input_type
class EditCycleInput:
    """What editCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    cycle: CycleInput = described("All of it, as it shall be.")
    idempotency_key: str = described(KEY)


@payload
class EditCycleSuccess:
    """editCycle is done."""

    cycle: Cycle = described("The cycle.")


@input_type
class TargetInput:
    """A unit's target."""

    unit_id: ID = described("The unit.")
    value: DecimalText = described("Its target.")


@input_type
class AssignTargetsInput:
    """What assignTargets takes."""

    cycle_id: ID = described("Which cycle, in draft.")
    data_item_id: ID = described("An assigned item.")
    targets: list[TargetInput] = described("One per unit, at most 20,000.")
    idempotency_key: str = described(KEY)


@payload
class AssignTargetsSuccess:
    """assignTargets is done."""

    cycle: Cycle = described("The cycle.")
    count: int = described("Targets set.")


@input_type
class OpenCycleInput:
    """What openCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class OpenCycleSuccess:
    """openCycle is done."""

    cycle: Cycle = described("The cycle; OPEN when its job is done.")
    job: "Job" = described("The job.")


@input_type
class BeginReviewInput:
    """What beginReview takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class BeginReviewSuccess:
    """beginReview is done."""

    cycle: Cycle = described("The cycle.")


@input_type
class ArchiveCycleInput:
    """What archiveCycle takes."""

    cycle_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class ArchiveCycleSuccess:
    """archiveCycle is done."""

    cycle: Cycle = described("The cycle.")


@mutation(CreateCycleSuccess, access=at_root(Role.ORGANISER))
async def create_cycle(tx: Transaction, actor: Caller, given: CreateCycleInput) -> Outcome:
    """Prepares a cycle."""
    return {"cycle": await cycles.create_cycle(tx, actor, cycle=_spec(given.cycle))}


@mutation(EditCycleSuccess, access=at_root(Role.ORGANISER))
async def edit_cycle(tx: Transaction, actor: Caller, given: EditCycleInput) -> Outcome:
    """Changes a cycle; what is allowed depends on its state."""
    key = await cycles.edit_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version, cycle=_spec(given.cycle))
    return {"cycle": key}


@mutation(AssignTargetsSuccess, access=at_root(Role.ORGANISER))
async def assign_targets(tx: Transaction, actor: Caller, given: AssignTargetsInput) -> Outcome:
    """Sets targets per unit before opening (下达目标)."""
    rows = [TargetRow(target.unit_id, target.value) for target in given.targets]
    key, count = await cycles.assign_targets(
        tx, actor, cycle_id=given.cycle_id, data_item_id=given.data_item_id, targets=rows
    )
    return {"cycle": key, "count": count}


@mutation(OpenCycleSuccess, access=at_root(Role.ORGANISER))
async def open_cycle(tx: Transaction, actor: Caller, given: OpenCycleInput) -> Outcome:
    """Opens a cycle: freezes its version, copies units, makes tasks; a job (启动填报)."""
    key, job = await cycles.open_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version)
    return {"cycle": key, "job": job}


@mutation(BeginReviewSuccess, access=at_root(Role.ORGANISER))
async def begin_review(tx: Transaction, actor: Caller, given: BeginReviewInput) -> Outcome:
    """Ends reporting as the general state of a cycle (转入审核); tasks with time left stay open."""
    return {"cycle": await cycles.begin_review(tx, actor, cycle_id=given.cycle_id, version=given.version)}


@mutation(ArchiveCycleSuccess, access=at_root(Role.ORGANISER))
async def archive_cycle(tx: Transaction, actor: Caller, given: ArchiveCycleInput) -> Outcome:
    """Closes a published cycle for good (归档)."""
    return {"cycle": await cycles.archive_cycle(tx, actor, cycle_id=given.cycle_id, version=given.version)}
