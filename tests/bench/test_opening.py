"""How long opening a cycle takes: 10,000 units by 100 data items and 100 leaves, two million rows in one transaction.

Run by hand (`make bench`). The embedded servers of the tests do not wait for the disk; for figures of a real server set
KAOPING_DATABASE_URL and its kin.
"""

import time

import pytest

from service.access import system_actor
from service.opening import open_cycle
from tenants.database import Database
from tenants.provisioning import District
from tests.bench.loading import load
from tests.service.cycling import count, start_opening

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

UNITS = 10_000
ITEMS = 100
SECONDS = 30.0
"""What it may take on two slow cores."""


async def test_opening_a_cycle_of_a_million_tasks(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=UNITS, items=ITEMS)
    run = await start_opening(db, system_actor(tenant.id), loaded.cycle_id)
    begun = time.monotonic()
    stages: list[tuple[str, float]] = []
    plain = run.progress

    def progress(stage: str, done: int = 0, total: int = 0, *, percent: int | None = None) -> None:
        if not stages or stages[-1][0] != stage:
            stages.append((stage, time.monotonic() - begun))
        plain(stage, done, total, percent=percent)

    run.progress = progress  # type: ignore[method-assign]  # looks over its shoulder
    await open_cycle(run)
    took = time.monotonic() - begun
    stages.append(("COMMITTED", took))
    print()  # figures are what this is for
    for stage, at in stages:
        print(f"{at:8.2f} s  {stage}")
    async with db.transaction(tenant.id) as tx:
        assert await count(tx, "tasks") == UNITS * ITEMS
        assert await count(tx, "assessments") == UNITS * ITEMS
    assert took <= SECONDS
