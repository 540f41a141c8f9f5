"""Jobs over GraphQL: who sees them, what they say, cancelling, retrying, and their progress live."""

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest

from service import jobs
from service.access import Role
from service.ids import encode_id, to_base64url
from service.jobs import Claim, JobRun
from service.scoring.text import Text
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.loading import Loaded, load
from tests.schema.conftest import Caller, MakeCaller, held
from tests.schema.test_cycles import actor, cycle_id, known, listen, mutate
from tests.service.cycling import start_opening

pytestmark = pytest.mark.anyio

FIELDS = """id kind state percent message attempts maxAttempts lastError subject { id } requestedBy { displayName }
    requestedAt runAt startedAt finishedAt coalesced retryable cancellable"""
JOB = f"query ($id: ID!) {{ job(id: $id) {{ {FIELDS} }} }}"
JOBS = "query ($filter: JobFilter) { jobs(filter: $filter) { totalCount edges { node { id } } } }"
ERROR = "... on Error { __typename code message path hint } ... on StateError { state legalFrom }"
CANCEL = f"""mutation ($input: CancelJobInput!) {{ cancelJob(input: $input) {{
    ... on CancelJobSuccess {{ job {{ {FIELDS} }} }} {ERROR} }} }}"""
RETRY = f"""mutation ($input: RetryJobInput!) {{ retryJob(input: $input) {{
    ... on RetryJobSuccess {{ job {{ {FIELDS} }} }} {ERROR} }} }}"""
LIVE = (
    f"subscription ($id: ID!, $after: String) {{ jobChanged(id: $id, after: $after) {{ cursor job {{ {FIELDS} }} }} }}"
)


@pytest.fixture
async def organiser(db: Database, tenant: District, root_id: UUID, make_caller: MakeCaller) -> Caller:
    """The organiser of the whole district, with account and grant."""
    caller = make_caller(tenant, [held(Role.ORGANISER, root_id, at_root=True)])
    await known(db, caller)
    return caller


@pytest.fixture
async def loaded(db: Database, tenant: District) -> Loaded:
    async with db.transaction(tenant.id) as tx:
        return await load(tx, units=2, items=1, categories=1)


@pytest.fixture
async def run(db: Database, organiser: Caller, loaded: Loaded) -> JobRun:
    """A job of the organiser's that runs: the opening of the cycle."""
    return await start_opening(db, actor(organiser), loaded.cycle_id)


async def tell(db: Database, run: JobRun, stage: str, percent: int) -> None:
    """Progress, as the worker's pulse writes it."""
    async with db.transaction(run.tenant_id) as tx:
        await tx.execute(
            """UPDATE jobs SET stage = $3, percent = $4, change_seq = change_seq + 1
               WHERE tenant_id = $1 AND id = $2""",
            run.tenant_id,
            run.claim.job_id,
            stage,
            percent,
        )


async def end(db: Database, claimed: Claim, state: str, error: Text | None = None) -> None:
    async with db.transaction(claimed.tenant_id) as tx:
        await jobs.end(tx, claimed, state, error)


def key(run: JobRun) -> str:
    return encode_id("Job", run.claim.job_id)


async def test_a_job_says_what_it_does(
    db: Database, organiser: Caller, run: JobRun, loaded: Loaded, make_caller: MakeCaller, tenant: District
) -> None:
    await tell(db, run, "TASKS", 42)
    job = (await organiser.ask(JOB, id=key(run)))["job"]
    assert (job["state"], job["percent"], job["message"], job["attempts"]) == ("RUNNING", 42, "Making the tasks.", 1)
    assert (job["subject"], job["requestedBy"]) == ({"id": cycle_id(loaded)}, {"displayName": "测试员"})
    assert job["startedAt"] is not None
    assert job["finishedAt"] is None
    await end(db, run.claim, "FAILED", Text(zh="单位太多。", en="Too many units."))
    chinese = Caller(db, organiser.settings, organiser.actor, "zh-CN")
    for caller, said, message in ((organiser, "Too many units.", "It gave up."), (chinese, "单位太多。", "任务失败。")):
        job = (await caller.ask(JOB, id=key(run)))["job"]
        assert (job["lastError"], job["message"], job["retryable"]) == (said, message, True)


async def test_who_sees_a_job(
    db: Database,
    tenant: District,
    organiser: Caller,
    run: JobRun,
    loaded: Loaded,
    make_caller: MakeCaller,
    root_id: UUID,
    make_tenant: Any,
) -> None:
    observer = make_caller(tenant, [held(Role.OBSERVER, root_id, at_root=True)])
    secretary = make_caller(tenant, [held(Role.SECRETARY, loaded.unit_ids[0])])
    stranger = make_caller(await make_tenant(), [held(Role.ORGANISER, uuid7(), at_root=True)])
    for caller, sees, steers in (
        (organiser, True, True),
        (observer, True, False),
        (secretary, False, False),
        (stranger, False, False),
    ):
        job = (await caller.ask(JOB, id=key(run)))["job"]
        assert (job is not None) is sees
        assert (job is not None and job["cancellable"]) is steers
        assert (await caller.ask(JOBS))["jobs"]["totalCount"] == int(sees)
        if not steers:
            answer = await mutate(caller, CANCEL, jobId=key(run))
            assert answer["__typename"] == ("AccessError" if sees else "NotFoundError")


async def test_jobs_are_filtered(organiser: Caller, run: JobRun, loaded: Loaded) -> None:
    for filter_, found in (
        ({"states": ["RUNNING"], "kinds": ["OPEN_CYCLE"], "cycleId": cycle_id(loaded)}, 1),
        ({"states": ["QUEUED"]}, 0),
        ({"kinds": ["RANKING_RUN"]}, 0),
        ({"cycleId": encode_id("Cycle", uuid7())}, 0),
    ):
        assert (await organiser.ask(JOBS, filter=filter_))["jobs"]["totalCount"] == found


async def test_cancel_and_retry(db: Database, organiser: Caller, run: JobRun) -> None:
    job = (await mutate(organiser, CANCEL, jobId=key(run)))["job"]
    assert (job["state"], job["message"], job["cancellable"]) == ("RUNNING", "It is being cancelled.", False)
    again = await mutate(organiser, CANCEL, jobId=key(run))
    assert (again["__typename"], again["code"]) == ("StateError", "ILLEGAL_STATE")
    await end(db, run.claim, "CANCELLED")
    refused = await mutate(organiser, RETRY, jobId=key(run))
    assert (refused["state"], refused["legalFrom"]) == ("CANCELLED", ["FAILED"])
    async with db.transaction(run.tenant_id) as tx:
        await tx.execute("UPDATE jobs SET state = 'FAILED' WHERE tenant_id = $1", run.tenant_id)
    job = (await mutate(organiser, RETRY, jobId=key(run)))["job"]
    assert (job["state"], job["attempts"], job["retryable"], job["finishedAt"]) == ("QUEUED", 0, False, None)


async def test_a_job_live(db: Database, organiser: Caller, run: JobRun) -> None:
    async with aclosing(listen(organiser, LIVE, id=key(run))) as told:
        first = (await anext(told))["jobChanged"]
        assert (first["job"]["state"], first["job"]["percent"]) == ("RUNNING", 0)
        await tell(db, run, "UNITS", 2)
        second = (await anext(told))["jobChanged"]
        assert second["job"]["message"] == "Fixing the units and their categories."
        async with run.committing():
            pass
        rest = [message["jobChanged"] async for message in told]
    assert [message["job"]["state"] for message in rest] == ["SUCCEEDED"], "the last state, and then the end"
    assert (rest[0]["job"]["percent"], rest[0]["job"]["message"]) == (100, "The cycle is open.")
    # Whoever was away hears what it missed, and no more.
    for after, states in ((first["cursor"], ["SUCCEEDED"]), (rest[0]["cursor"], [])):
        async with aclosing(listen(organiser, LIVE, id=key(run), after=after)) as told:
            assert [message["jobChanged"]["job"]["state"] async for message in told] == states


async def test_a_foreign_cursor_is_refused(organiser: Caller, run: JobRun) -> None:
    for after in ("x", to_base64url(b"[1]"), to_base64url(f'["{encode_id("Job", uuid7())}", "1"]'.encode())):
        with pytest.raises(AssertionError, match="This is not a cursor of this object"):
            async with aclosing(listen(organiser, LIVE, id=key(run), after=after)) as told:
                await anext(told)


async def test_nothing_is_held_between_two_looks(db: Database, organiser: Caller, run: JobRun) -> None:
    """More listeners at once than connections: each is told, since none keeps one while it waits."""
    listeners = [listen(organiser, LIVE, id=key(run)) for _ in range(2 * db.pool.get_max_size())]
    for message in await asyncio.gather(*(anext(told) for told in listeners)):
        assert message["jobChanged"]["job"]["state"] == "RUNNING"
    async with run.committing():
        pass
    for message in await asyncio.gather(*(anext(told) for told in listeners)):
        assert message["jobChanged"]["job"]["state"] == "SUCCEEDED"
    for told in listeners:
        await told.aclose()
