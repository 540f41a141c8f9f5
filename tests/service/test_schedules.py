"""Work at a time of its own: deadlines that move, rounds that ask for the next one, and what had its time."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service import housekeeping, idempotency, jobs
from service.access import system_actor
from service.districts import set_status
from service.jobs import HOUSEKEEPING, KINDS, JobRun, Kind
from service.settings import Settings
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.service.test_jobs import ask, change, claimed, known, row
from tests.service.working import TEST

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("known")]

__all__ = ["known"]


async def test_a_job_waits_for_its_instant_and_moves_with_it(db: Database, tenant: District) -> None:
    deadline = datetime(2099, 7, 11, tzinfo=UTC)
    job_id = await ask(db, tenant, at=deadline)
    assert (await row(db, tenant, job_id))["run_at"] == deadline
    assert await jobs.claim(db, tenant.id, job_id) is None
    for moved in (deadline + timedelta(days=10), deadline - timedelta(days=10)):
        assert await ask(db, tenant, at=moved) == job_id
        assert (await row(db, tenant, job_id))["run_at"] == moved
    await ask(db, tenant, at=timedelta(hours=-1))
    assert await jobs.claim(db, tenant.id, job_id) is not None


async def test_a_deadline_can_be_taken_back(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant, at=timedelta(days=1))
    async with db.transaction(tenant.id) as tx:
        assert await jobs.withdraw(tx, TEST, dedupe_key="one")
        assert not await jobs.withdraw(tx, TEST, dedupe_key="one")
    assert (await row(db, tenant, job_id))["state"] == "CANCELLED"
    assert await ask(db, tenant, at=timedelta(days=1)) == job_id, "and set again"
    assert (await row(db, tenant, job_id))["state"] == "QUEUED"


async def test_what_is_asked_for_while_it_runs_begins_at_the_earliest_time(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    for times, due in (([1, 5], False), ([5, -1, 3], True)):
        await change(db, tenant, job_id, "run_at = now()")
        claim = await claimed(db, tenant, job_id)
        for hours in times:
            await ask(db, tenant, at=timedelta(hours=hours))
        async with JobRun(db, claim, TEST).committing():
            pass
        found = await row(db, tenant, job_id)
        assert (found["state"], found["next_run_at"]) == ("QUEUED", None)
        hours_left = (found["run_at"] - datetime.now(UTC)).total_seconds() / 3600
        assert hours_left == pytest.approx(min(times), abs=0.1)
        assert (await jobs.claim(db, tenant.id, job_id) is not None) is due


async def recurring(db: Database, tenant: District) -> list[dict[str, object]]:
    """The rows of housekeeping."""
    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch("SELECT * FROM jobs WHERE tenant_id = $1 AND kind = 'HOUSEKEEPING'", tenant.id)
    return [dict(row) for row in rows]


async def renew_all(db: Database, *kinds: Kind[Any]) -> None:
    """One call takes some hundred districts; other tests have made more."""
    while await jobs.renew(db, kinds):
        pass


async def test_every_district_gets_its_recurring_job_once(db: Database, tenant: District, owner_url: str) -> None:
    await renew_all(db, HOUSEKEEPING, TEST)
    (found,) = await recurring(db, tenant)
    assert HOUSEKEEPING.every is not None
    assert timedelta(0) <= found["run_at"] - found["requested_at"] <= HOUSEKEEPING.every  # type: ignore[operator]  # times
    await renew_all(db, HOUSEKEEPING)
    assert await recurring(db, tenant) == [found], "it is there already"


async def test_a_suspended_district_gets_none(db: Database, tenant: District, owner_url: str) -> None:
    await set_status(owner_url, code=tenant.code, status="SUSPENDED")
    await renew_all(db, HOUSEKEEPING)
    assert await recurring(db, tenant) == []


async def test_a_round_that_gave_up_is_seen_for_its_time_and_then_begins_anew(db: Database, tenant: District) -> None:
    await renew_all(db, HOUSEKEEPING)
    (found,) = await recurring(db, tenant)
    job_id = found["id"]
    await change(db, tenant, job_id, "state = 'FAILED', run_at = now() - interval '50 min'")  # type: ignore[arg-type]  # an id
    await renew_all(db, HOUSEKEEPING)
    assert (await recurring(db, tenant))[0]["state"] == "FAILED"
    await change(db, tenant, job_id, "run_at = now() - interval '61 min'")  # type: ignore[arg-type]  # an id
    await renew_all(db, HOUSEKEEPING)
    assert [(one["id"], one["state"]) for one in await recurring(db, tenant)] == [(job_id, "QUEUED")]


async def cleaned(db: Database, tenant: District, settings: Settings) -> None:
    """One round of housekeeping."""
    await renew_all(db, HOUSEKEEPING)
    (found,) = await recurring(db, tenant)
    await change(db, tenant, found["id"], "run_at = now()")  # type: ignore[arg-type]  # an id
    claim = await claimed(db, tenant, found["id"])  # type: ignore[arg-type]  # an id
    await housekeeping.clean(JobRun(db, claim, HOUSEKEEPING, settings))


async def test_a_round_asks_for_the_next_one_in_its_commit(db: Database, tenant: District, settings: Settings) -> None:
    for _ in range(3):
        await cleaned(db, tenant, settings)
        (found,) = await recurring(db, tenant)
        assert found["state"] == "QUEUED"
        assert found["run_at"] > datetime.now(UTC) + timedelta(minutes=50)  # type: ignore[operator]  # times
        assert found["done_seq"] == found["want_seq"] - 1  # type: ignore[operator]  # numbers


async def test_what_had_its_time_is_removed_and_nothing_else(
    db: Database, tenant: District, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = dataclasses.replace(TEST, name="FORGOTTEN", kept=False)
    monkeypatch.setitem(KINDS, "FORGOTTEN", forgotten)
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    actor = dataclasses.replace(system_actor(tenant.id), id=uuid7())
    async with db.transaction(tenant.id) as tx:
        for number in range(7):
            await idempotency.find(tx, actor, idempotency.claim_of("saveEntries", f"key {number}", {}))
        await tx.execute(
            """UPDATE idempotency_keys SET created_at = now() - interval '25 hours'
               WHERE tenant_id = $1 AND key < 'key 5'""",
            tenant.id,
        )
    old = f"interval '{settings.job_days} days 1 hour'"
    rows = {
        "done": (forgotten, "SUCCEEDED", True),
        "cancelled": (forgotten, "CANCELLED", True),
        "recent": (forgotten, "SUCCEEDED", False),
        "dead": (forgotten, "FAILED", True),
        "kept": (TEST, "SUCCEEDED", True),
    }
    for key, (kind, state, aged) in rows.items():
        job_id = await ask(db, tenant, key, kind=kind)
        when = f"now() - {old}" if aged else "now()"
        await change(db, tenant, job_id, f"state = '{state}', requested_at = {when}, finished_at = {when}")
    await cleaned(db, tenant, settings)
    async with db.transaction(tenant.id) as tx:
        keys = await tx.fetch("SELECT key FROM idempotency_keys WHERE tenant_id = $1 ORDER BY key", tenant.id)
        left = await tx.fetch(
            "SELECT dedupe_key FROM jobs WHERE tenant_id = $1 AND kind <> 'HOUSEKEEPING' ORDER BY dedupe_key", tenant.id
        )
    assert [found["key"] for found in keys] == ["key 5", "key 6"]
    assert [found["dedupe_key"] for found in left] == ["dead", "kept", "recent"]
