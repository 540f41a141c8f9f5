"""What metrics tell of ranking runs."""

import pytest

from service import jobs, rankings
from service.access import Role
from service.ids import encode_id
from service.jobs import RANKING_RUN, JobRun, Stopped
from service.jobs.kinds import measuring_of
from service.metrics import REGISTRY
from tenants.database import Database
from tenants.provisioning import District
from tests.service.eventing import event_cycle, give, run, standings

pytestmark = pytest.mark.anyio


def told() -> dict[str, float]:
    """The counters as Prometheus would read them."""
    outcomes = {
        outcome: REGISTRY.get_sample_value("kaoping_ranking_runs_total", {"outcome": outcome}) or 0.0
        for outcome in ("succeeded", "failed", "cancelled", "returned")
    }
    sums = {
        name: REGISTRY.get_sample_value(f"kaoping_ranking_run_{name}") or 0.0 for name in ("units_sum", "units_count")
    }
    return outcomes | sums


async def test_runs_are_counted_by_how_they_end(db: Database, tenant: District) -> None:
    cycle = await event_cycle(db, tenant)
    await give(cycle, a1="80", v1="100")
    organiser = await cycle.person((Role.ORGANISER, "root"))
    before = told()
    run_id = await run(cycle, organiser)
    after = told()
    units = len(await standings(cycle, run_id))
    assert units > 1
    assert {name: after[name] - before[name] for name in after} == {
        "succeeded": 1,
        "failed": 0,
        "cancelled": 0,
        "returned": 0,
        "units_sum": units,
        "units_count": 1,
    }
    for reason, outcome in (("CANCELLED", "cancelled"), ("DRAINED", "returned"), ("LOST", "returned")):
        async with db.transaction(tenant.id) as tx:
            run_id = await rankings.start_ranking_run(tx, organiser, cycle_id=encode_id("Cycle", cycle.id))
            job_id = await tx.fetchval(
                "SELECT job_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", tenant.id, run_id
            )
        claimed = await jobs.claim(db, tenant.id, job_id)
        assert claimed is not None
        before = told()
        attempt = JobRun(db, claimed, RANKING_RUN)
        attempt.stopping = reason
        with pytest.raises(Stopped), measuring_of(RANKING_RUN)(attempt):
            await rankings.compute_run(attempt)
        after = told()
        assert {name for name in after if after[name] != before[name]} == {outcome}
        async with db.transaction(tenant.id) as tx:
            await jobs.end(tx, claimed, "CANCELLED", None)
