"""Help for tests of cycles: a small district with a scheme, and its cycle opened without a worker."""

from uuid import UUID

from service import jobs
from service.access import Actor
from service.cycles import CycleSpec
from service.ids import encode_id
from service.jobs import OPEN_CYCLE, CycleArguments, JobRun
from service.opening import open_cycle
from tenants.database import Database, Transaction
from tests.bench.loading import Loaded


def spec(loaded: Loaded, **other: object) -> CycleSpec:
    """A cycle over all of the version's categories."""
    given: dict[str, object] = {
        "code": "2026",
        "name": "2026年度考核",
        "kind": "YEAR",
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
        "scheme_version_id": encode_id("SchemeVersion", loaded.version_id),
        "opens_on": "2026-11-01",
        "due_on": "2026-12-20",
        **other,
    }
    return CycleSpec(**given)  # type: ignore[arg-type]  # what a test gives is what it means


async def start_opening(db: Database, actor: Actor, cycle_id: UUID) -> JobRun:
    """Request the opening and claim its job."""
    async with db.transaction(actor.tenant_id) as tx:
        job_id = await jobs.request(
            tx,
            actor,
            OPEN_CYCLE,
            subject=("Cycle", cycle_id),
            dedupe_key=f"open cycle {cycle_id}",
            arguments=CycleArguments(cycle_id),
        )
        await tx.execute(
            "UPDATE cycles SET opening_job_id = $3 WHERE tenant_id = $1 AND id = $2", actor.tenant_id, cycle_id, job_id
        )
    claimed = await jobs.claim(db, actor.tenant_id, job_id)
    assert claimed is not None
    return JobRun(db, claimed, OPEN_CYCLE)


async def opened(db: Database, actor: Actor, cycle_id: UUID) -> None:
    """Open the cycle, as the worker would."""
    await open_cycle(await start_opening(db, actor, cycle_id))


async def count(tx: Transaction, table: str, condition: str = "true") -> int:
    """Rows of a table under a condition."""
    return int(await tx.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1 AND {condition}", tx.tenant_id))
