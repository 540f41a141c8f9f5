"""Taking a step: the opening is asked for, the others only change the state (启动填报、转入审核、归档)."""

from uuid import UUID

from service import audit, jobs, schemes
from service.access import Actor, Role
from service.audit import Change
from service.cycles.steps import STEPS, locked, require_step
from service.errors import ErrorCode, Invalid, Issue
from service.jobs import OPEN_CYCLE, CycleArguments
from service.scoring.text import Text
from tenants.database import Transaction


async def open_cycle(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> tuple[UUID, UUID]:
    """Ask for the opening (启动填报): a job that freezes the version, copies the units and makes the tasks.

    The ids of cycle and job. The cycle stays a draft until the job commits. Raises AccessDenied, NotFound,
    VersionConflict, IllegalState, and Invalid with the faults of a scheme that is no sound draft.
    """
    actor.require_at_root(Role.ORGANISER)
    row = await locked(tx, cycle_id, version)
    await require_step(tx, row["id"], row["state"], "OPEN", path=("input", "cycleId"))
    await _refuse_faults(tx, row["scheme_version_id"])
    job_id = await jobs.request(
        tx,
        actor,
        OPEN_CYCLE,
        subject=("Cycle", row["id"]),
        dedupe_key=f"open cycle {row['id']}",
        arguments=CycleArguments(row["id"]),
    )
    await tx.execute(
        "UPDATE cycles SET opening_job_id = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        row["id"],
        job_id,
    )
    await audit.append(
        tx,
        actor,
        "openCycle",
        subject=("Cycle", row["id"]),
        summary=Text(zh=f"申请启动“{row['name']}”填报", en=f'Asked for the opening of "{row["name"]}"'),
    )
    return row["id"], job_id


async def _refuse_faults(tx: Transaction, version_id: UUID) -> None:
    """Refuse a draft that could not be frozen, with all its faults, before a job fails by them."""
    state = await tx.fetchval(
        "SELECT state FROM scheme_versions WHERE tenant_id = $1 AND id = $2", tx.tenant_id, version_id
    )
    if state == "FROZEN":
        return
    checked = await schemes.check_version(tx, version_id)
    if not checked.sound:
        raise Invalid(
            [
                Issue(ErrorCode(fault.code), fault.path, fault.text, fault.hint)
                for fault in checked.faults
                if fault.severity == "FAULT"
            ]
        )


async def begin_review(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> UUID:
    """End reporting as the general state (转入审核); tasks whose own time is not over stay open."""
    return await _take(tx, actor, cycle_id, version, "REVIEWING")


async def archive_cycle(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> UUID:
    """Close a published cycle for good (归档)."""
    return await _take(tx, actor, cycle_id, version, "ARCHIVED")


async def _take(tx: Transaction, actor: Actor, cycle_id: str, version: int, to: str) -> UUID:
    """A step that only changes the state."""
    actor.require_at_root(Role.ORGANISER)
    row = await locked(tx, cycle_id, version)
    await require_step(tx, row["id"], row["state"], to, path=("input", "cycleId"))
    await tx.execute(
        "UPDATE cycles SET state = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        row["id"],
        to,
    )
    step = next(step for step in STEPS if step.to == to)
    await audit.append(
        tx,
        actor,
        step.mutation,
        subject=("Cycle", row["id"]),
        summary=Text(zh=f"“{row['name']}”{step.action.zh}", en=f'"{row["name"]}" is {step.action.en}'),
        changes=[Change("state", row["state"], to)],
    )
    return UUID(str(row["id"]))
