"""The protocol of background jobs, call by call: requests that are joined, fences, failures, the reaper."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from service import jobs
from service.access import Actor, HeldGrant, Role, system_actor
from service.errors import AccessDenied, IllegalState, Invalid, NotFound
from service.ids import encode_id
from service.jobs import KINDS, Due, FenceLost, JobRun, Kind, Stopped
from service.jobs.kinds import step_of
from service.scoring.text import Text
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.service.working import APART, TEST, Behaviour, effects, note

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("known")]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' kinds of jobs are among the program's."""
    for kind in (TEST, APART):
        monkeypatch.setitem(KINDS, kind.name, kind)


def organiser(tenant: District, *, root: UUID | None = None, role: Role = Role.ORGANISER) -> Actor:
    """An actor of that role for the whole district; its row is not needed."""
    grant = HeldGrant(uuid7(), role, root or uuid7(), True, (), (), ())
    return Actor(tenant.id, uuid7(), uuid7(), "MEMBER", "考核办", "ZH_CN", "Asia/Shanghai", (grant,))


async def ask(
    db: Database,
    tenant: District,
    key: str = "one",
    *,
    kind: Kind[Behaviour] = TEST,
    at: datetime | timedelta = timedelta(0),
    **behaviour: Any,
) -> UUID:
    """Request a job of the tests' kind."""
    async with db.transaction(tenant.id) as tx:
        return await jobs.request(
            tx,
            system_actor(tenant.id),
            kind,
            subject=("Tenant", tenant.id),
            dedupe_key=key,
            arguments=Behaviour(effect=key, **behaviour),
            at=at,
        )


async def row(db: Database, tenant: District, job_id: UUID) -> asyncpg.Record:
    """The job's row."""
    async with db.transaction(tenant.id) as tx:
        found = await tx.fetchrow("SELECT * FROM jobs WHERE tenant_id = $1 AND id = $2", tenant.id, job_id)
    assert found is not None
    return found


async def change(db: Database, tenant: District, job_id: UUID, what: str) -> None:
    """Turn the row's clocks, or break it."""
    async with db.transaction(tenant.id) as tx:
        await tx.execute(f"UPDATE jobs SET {what} WHERE tenant_id = $1 AND id = $2", tenant.id, job_id)


async def claimed(db: Database, tenant: District, job_id: UUID) -> jobs.Claim:
    """Claim a job that must be there to be claimed."""
    found = await jobs.claim(db, tenant.id, job_id)
    assert found is not None
    return found


async def test_every_kind_has_its_step_and_arguments() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert asyncio.iscoroutinefunction(step_of(kind))
        assert kind.max_attempts >= 1


async def test_requests_are_joined_while_a_job_waits(db: Database, tenant: District) -> None:
    first = await ask(db, tenant, "one", seconds=1)
    assert await ask(db, tenant, "one", seconds=2) == first
    assert await ask(db, tenant, "another") != first
    found = await row(db, tenant, first)
    assert (found["want_seq"], found["state"]) == (2, "QUEUED")
    claim = await claimed(db, tenant, first)
    run = JobRun(db, claim, TEST)
    assert run.arguments(TEST) == Behaviour("one", seconds=2), "the newest arguments hold"
    async with run.committing() as tx:
        await note(tx, "one")
    found = await row(db, tenant, first)
    assert (found["state"], found["done_seq"], found["percent"]) == ("SUCCEEDED", 2, 100)
    assert found["finished_at"] is not None


async def test_a_request_while_it_runs_starts_it_once_more(db: Database, tenant: District) -> None:
    told: list[Sequence[object]] = []
    job_id = await ask(db, tenant)
    claim = await claimed(db, tenant, job_id)
    await ask(db, tenant)
    await ask(db, tenant)
    assert await jobs.claim(db, tenant.id, job_id) is None, "one at a time"
    before, db.announced = db.announced, lambda _tenant, what: told.append(what)
    try:
        async with JobRun(db, claim, TEST).committing():
            pass
    finally:
        db.announced = before
    found = await row(db, tenant, job_id)
    assert (found["state"], found["done_seq"], found["want_seq"], found["attempts"]) == ("QUEUED", 1, 3, 0)
    assert told == [[Due(job_id)]]
    async with JobRun(db, await claimed(db, tenant, job_id), TEST).committing():
        pass
    found = await row(db, tenant, job_id)
    assert (found["state"], found["done_seq"]) == ("SUCCEEDED", 3)


async def test_a_request_that_rolls_back_leaves_no_job_and_rings_no_bell(db: Database, tenant: District) -> None:
    told: list[Sequence[object]] = []
    before, db.announced = db.announced, lambda _tenant, what: told.append(what)
    try:
        with pytest.raises(ZeroDivisionError):
            async with db.transaction(tenant.id) as tx:
                await jobs.request(
                    tx,
                    system_actor(tenant.id),
                    TEST,
                    subject=("Tenant", tenant.id),
                    dedupe_key="x",
                    arguments=Behaviour("x"),
                )
                raise ZeroDivisionError
    finally:
        db.announced = before
    assert told == []
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchval("SELECT count(*) FROM jobs WHERE tenant_id = $1", tenant.id) == 0


async def test_a_finished_job_starts_anew_only_where_its_kind_says_so(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.end(tx, claim, "FAILED", Text(zh="不行", en="no"))
    assert await ask(db, tenant) == job_id
    found = await row(db, tenant, job_id)
    assert (found["state"], found["attempts"], found["last_error"]) == ("QUEUED", 0, None)
    async with db.transaction(tenant.id) as tx:
        run = await ask_for_a_run(tx)
    await change(db, tenant, run, "state = 'CANCELLED'")
    with pytest.raises(RuntimeError):
        async with db.transaction(tenant.id) as tx:
            await ask_for_a_run(tx)


async def ask_for_a_run(tx: Transaction) -> uuid.UUID:
    """A request of a kind that is never done again."""
    arguments = jobs.RunArguments(uuid.UUID(int=7))
    return await jobs.request(
        tx,
        system_actor(tx.tenant_id),
        jobs.RANKING_RUN,
        subject=("RankingRun", arguments.run_id),
        dedupe_key="run",
        arguments=arguments,
    )


async def test_only_the_newest_fence_commits(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    first = await claimed(db, tenant, job_id)
    await change(db, tenant, job_id, "lease_until = now() - interval '1 s'")
    await jobs.reap(db)
    assert (await row(db, tenant, job_id))["crashes"] == 1
    assert await jobs.claim(db, tenant.id, job_id) is None, "it comes back after a pause"
    await change(db, tenant, job_id, "run_at = now()")
    second = await claimed(db, tenant, job_id)
    assert second.fence > first.fence
    with pytest.raises(FenceLost):
        async with JobRun(db, first, TEST).committing() as tx:
            await note(tx, "one")
    async with JobRun(db, second, TEST).committing() as tx:
        await note(tx, "one")
    with pytest.raises(FenceLost):
        async with JobRun(db, first, TEST).committing() as tx:
            await note(tx, "one")
    assert await effects(db, tenant.id, "one") == 1
    async with db.transaction(tenant.id) as tx:
        await jobs.end(tx, first, "FAILED", Text(zh="晚了", en="late"))
        await jobs.postpone(tx, first, Text(zh="晚了", en="late"))
        await jobs.give_back(tx, first)
    assert (await row(db, tenant, job_id))["state"] == "SUCCEEDED"


async def test_a_job_whose_workers_die_is_given_up(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    found = await row(db, tenant, job_id)
    for crash in range(1, jobs.MAX_CRASHES + 1):
        await change(db, tenant, job_id, "run_at = now()")
        await claimed(db, tenant, job_id)
        await change(db, tenant, job_id, "lease_until = now() - interval '1 s'")
        await jobs.reap(db)
        assert (await row(db, tenant, job_id))["crashes"] == crash
    found = await row(db, tenant, job_id)
    assert found["state"] == "FAILED"
    assert "worker" in found["last_error"]
    assert await jobs.claim(db, tenant.id, job_id) is None


async def test_transient_failures_pause_and_end(
    db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.jobs.failures.FIRST_PAUSE_SECONDS", 120.0)
    job_id = await ask(db, tenant)
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.postpone(tx, claim, Text(zh="等等", en="wait"))
    assert await jobs.claim(db, tenant.id, job_id) is None, "its pause is not over"
    assert tenant.id not in {one.tenant_id for one in await jobs.waiting(db)}
    await change(db, tenant, job_id, "run_at = now()")
    assert tenant.id in {one.tenant_id for one in await jobs.waiting(db)}
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.postpone(tx, claim, Text(zh="等等", en="wait"))
    found = await row(db, tenant, job_id)
    assert (found["state"], found["attempts"]) == ("FAILED", 2)


def test_pauses_double_and_are_spread() -> None:
    for failures, ceiling in ((1, 1.0), (2, 2.0), (5, 16.0), (40, jobs.LONGEST_PAUSE_SECONDS)):
        pauses = [jobs.pause_seconds(failures) for _ in range(50)]
        assert ceiling / 2 <= min(pauses) < max(pauses) <= ceiling


async def test_what_is_given_back_costs_no_attempt(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.give_back(tx, claim)
    found = await row(db, tenant, job_id)
    assert (found["state"], found["attempts"], found["crashes"]) == ("QUEUED", 0, 0)


async def test_one_tenant_does_not_take_every_place(db: Database, tenant: District) -> None:
    ids = [await ask(db, tenant, f"key {number}") for number in range(jobs.MAX_RUNNING_PER_TENANT + 2)]
    claims = [await jobs.claim(db, tenant.id, job_id) for job_id in ids]
    assert sum(claim is not None for claim in claims) == jobs.MAX_RUNNING_PER_TENANT
    assert await jobs.claim(db, tenant.id) is None, "nor by asking for any"


async def test_a_district_is_one_line_however_many_wait(db: Database, tenant: District, make_tenant: Any) -> None:
    for number in range(4):
        await ask(db, tenant, f"key {number}")
    other = await make_tenant()
    await ask(db, other)
    found = {one.tenant_id: one for one in await jobs.waiting(db) if one.kind == "TEST"}
    assert (found[tenant.id].count, found[other.id].count) == (4, 1)
    assert found[tenant.id].waited >= 0


async def test_the_one_that_waited_longest_is_next(db: Database, tenant: District) -> None:
    first, second = await ask(db, tenant, "a"), await ask(db, tenant, "b")
    await change(db, tenant, second, "run_at = now() - interval '5 s'")
    assert [claim.job_id for _ in range(2) if (claim := await jobs.claim(db, tenant.id))] == [second, first]


async def test_two_who_claim_at_once_get_two_jobs(db: Database, tenant: District) -> None:
    ids = {await ask(db, tenant, f"key {number}") for number in range(2)}
    found = await asyncio.gather(*(jobs.claim(db, tenant.id) for _ in range(2)))
    assert {claim.job_id for claim in found if claim} == ids


async def test_cancel_before_it_runs(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    async with db.transaction(tenant.id) as tx:
        await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
    found = await row(db, tenant, job_id)
    assert (found["state"], found["finished_at"] is not None) == ("CANCELLED", True)
    with pytest.raises(IllegalState) as refused:
        async with db.transaction(tenant.id) as tx:
            await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
    assert refused.value.legal_from == ["QUEUED", "RUNNING"]


async def test_a_cancellation_that_comes_before_the_commit_holds(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
    assert (await row(db, tenant, job_id))["state"] == "RUNNING"
    with pytest.raises(Stopped):
        async with JobRun(db, claim, TEST).committing() as tx:
            await note(tx, "one")
    assert await effects(db, tenant.id, "one") == 0
    async with db.transaction(tenant.id) as tx:
        await jobs.end(tx, claim, "CANCELLED", None)
    assert (await row(db, tenant, job_id))["state"] == "CANCELLED"


async def test_retry_revives_a_job_that_gave_up(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    text = encode_id("Job", job_id)
    with pytest.raises(IllegalState):
        async with db.transaction(tenant.id) as tx:
            await jobs.retry(tx, organiser(tenant), job_id=text)
    claim = await claimed(db, tenant, job_id)
    async with db.transaction(tenant.id) as tx:
        await jobs.end(tx, claim, "FAILED", Text(zh="不行", en="no"))
    async with db.transaction(tenant.id) as tx:
        await jobs.retry(tx, organiser(tenant), job_id=text)
    found = await row(db, tenant, job_id)
    assert (found["state"], found["attempts"], found["finished_at"]) == ("QUEUED", 0, None)
    async with db.transaction(tenant.id) as tx:
        actions = await tx.fetch("SELECT action FROM audit_events WHERE tenant_id = $1", tenant.id)
    assert [event["action"] for event in actions] == ["retryJob"]


async def test_who_may_steer_a_job(db: Database, tenant: District, make_tenant: Any) -> None:
    job_id = await ask(db, tenant)
    await change(db, tenant, job_id, "kind = 'OPEN_CYCLE'")
    text = encode_id("Job", job_id)
    stranger = await make_tenant()
    for actor, district, refusal in (
        (organiser(tenant, role=Role.OBSERVER), tenant, AccessDenied),
        (organiser(tenant, role=Role.SECRETARY), tenant, NotFound),
        (organiser(stranger), stranger, NotFound),
    ):
        with pytest.raises(refusal):
            async with db.transaction(district.id) as tx:
                await jobs.cancel(tx, actor, job_id=text)
    with pytest.raises(Invalid):
        async with db.transaction(tenant.id) as tx:
            await jobs.cancel(tx, organiser(tenant), job_id="nonsense")
    async with db.transaction(tenant.id) as tx:
        await jobs.cancel(tx, organiser(tenant), job_id=text)


async def test_an_administrator_steers_what_the_program_does_not_know(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    await change(db, tenant, job_id, "kind = 'NEW', state = 'FAILED'")
    for role, refusal in ((Role.ORGANISER, AccessDenied), (Role.SECRETARY, NotFound)):
        with pytest.raises(refusal):
            async with db.transaction(tenant.id) as tx:
                await jobs.retry(tx, organiser(tenant, role=role), job_id=encode_id("Job", job_id))
    async with db.transaction(tenant.id) as tx:
        await jobs.retry(tx, organiser(tenant, role=Role.ADMINISTRATOR), job_id=encode_id("Job", job_id))
    assert (await row(db, tenant, job_id))["state"] == "QUEUED"


async def test_each_visible_change_raises_the_counter(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    seen = [(await row(db, tenant, job_id))["change_seq"]]
    claim = await claimed(db, tenant, job_id)
    seen.append((await row(db, tenant, job_id))["change_seq"])
    async with JobRun(db, claim, TEST).committing():
        pass
    seen.append((await row(db, tenant, job_id))["change_seq"])
    assert seen == sorted(set(seen))


async def test_a_kind_of_a_newer_version_is_left_to_newer_workers(db: Database, tenant: District) -> None:
    job_id = await ask(db, tenant)
    await change(db, tenant, job_id, "kind = 'NEW'")
    assert await jobs.claim(db, tenant.id, job_id) is None
    assert tenant.id not in {one.tenant_id for one in await jobs.waiting(db)}
    assert tenant.id in {one.tenant_id for one in await jobs.waiting(db, kinds=["NEW"])}
    assert await jobs.claim(db, tenant.id, job_id, kinds=["NEW"]) is not None


async def test_a_new_request_outlives_the_cancellation_of_the_running_round(db: Database, tenant: District) -> None:
    """Whichever way the round ends: cancelled, failing, or with its worker."""
    for how in ("END", "POSTPONE", "REAP"):
        job_id = await ask(db, tenant, how)
        claim = await claimed(db, tenant, job_id)
        async with db.transaction(tenant.id) as tx:
            await jobs.cancel(tx, organiser(tenant), job_id=encode_id("Job", job_id))
        await ask(db, tenant, how)
        async with db.transaction(tenant.id) as tx:
            match how:
                case "END":
                    await jobs.end(tx, claim, "CANCELLED", None)
                case "POSTPONE":
                    await jobs.postpone(tx, claim, Text(zh="等等", en="wait"))
        if how == "REAP":
            await change(db, tenant, job_id, "lease_until = now() - interval '1 s'")
            await jobs.reap(db)
        found = await row(db, tenant, job_id)
        assert (found["state"], found["cancel_requested"], found["finished_at"]) == ("QUEUED", False, None), how
        await change(db, tenant, job_id, "run_at = now() + interval '1 hour'")


async def test_the_request_that_caused_a_job_is_known_to_it(db: Database, tenant: District) -> None:
    actor = replace(system_actor(tenant.id), request_id="request-0001")
    async with db.transaction(tenant.id) as tx:
        job_id = await jobs.request(
            tx, actor, TEST, subject=("Tenant", tenant.id), dedupe_key="one", arguments=Behaviour("one")
        )
    run = JobRun(db, await claimed(db, tenant, job_id), TEST)
    assert run.actor.request_id == "request-0001"
    assert run.names == {"job": job_id, "kind": "TEST", "tenant": tenant.id, "request_id": "request-0001"}
