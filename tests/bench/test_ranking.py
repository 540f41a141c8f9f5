"""Opening and a full ranking run over 10,000 units × 100 data items; the values are loaded by SQL."""

import resource

import pytest

from service import jobs
from service.access import system_actor
from service.ids import encode_id
from service.rankings import start_ranking_run
from tenants.database import Database
from tenants.provisioning import District
from tests.bench.assessing import dimensions, run_job, settle
from tests.bench.loading import load

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

UNITS, ITEMS = 10_000, 100


async def test_ten_thousand_units(db: Database, tenant: District) -> None:
    actor = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=UNITS, items=ITEMS)
        await dimensions(tx, loaded.version_id, loaded.item_ids)
        opening = await jobs.request(
            tx,
            actor,
            jobs.OPEN_CYCLE,
            subject=("Cycle", loaded.cycle_id),
            dedupe_key=f"open {loaded.cycle_id}",
            arguments=jobs.CycleArguments(loaded.cycle_id),
        )
    _, opened = await run_job(db, tenant, opening)
    async with db.transaction(tenant.id) as tx:
        await settle(tx, loaded.cycle_id)
        run_id = await start_ranking_run(tx, actor, cycle_id=encode_id("Cycle", loaded.cycle_id))
        job_id = await tx.fetchval(
            "SELECT job_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", tenant.id, run_id
        )
    _, ranked = await run_job(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        standings = await tx.fetchval(
            "SELECT count(*) FROM standings WHERE tenant_id = $1 AND run_id = $2", tenant.id, run_id
        )
    assert standings == UNITS
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\n{UNITS:,} units x {ITEMS} items: opened in {opened:.1f} s, ranked in {ranked:.1f} s, peak {memory} MiB")
