"""What is told where a connection to the database breaks, or a lock does not come in time."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from schema.masking import exception_error, is_passing
from tenants.database import Database
from tests.schema.conftest import Caller

pytestmark = pytest.mark.anyio

CREATE = """mutation { createCategory(input: { code: "lost", name: "类", idempotencyKey: "1" }) {
    __typename ... on Error { code message } } }"""
HOLD = """INSERT INTO outbox_heads AS oh (tenant_id, sequence) VALUES ($1, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET sequence = oh.sequence + 1"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '/* COMMIT */%'"


async def test_of_a_commit_that_broke_off_nobody_says_that_nothing_was_written(
    administrator: Caller, db: Database, own: Database
) -> None:
    caller = replace(administrator, db=own)
    assert caller.actor is not None
    begun = asyncio.Event()

    async def create() -> dict[str, dict[str, str]]:
        await begun.wait()
        return await caller.ask(CREATE)

    sent = asyncio.create_task(create())
    async with db.transaction(caller.actor.tenant_id) as tx:
        await tx.execute(HOLD, tx.tenant_id)
        begun.set()
        while not (await db.fetch_global(WAITING))[0][0]:  # noqa: ASYNC110  # PostgreSQL tells no event
            await asyncio.sleep(0.01)
        for holder in own.pool._holders:
            if holder._con is not None:
                holder._con.terminate()
        told = (await sent)["createCategory"]
    assert (told["__typename"], told["code"]) == ("IdempotencyError", "UNAVAILABLE")
    assert "not known" in told["message"]
    assert (await caller.ask(CREATE))["createCategory"]["__typename"] == "CreateCategorySuccess"


async def test_a_connection_that_broke_at_rest_is_no_fault_of_ours(own: Database, administrator: Caller) -> None:
    assert administrator.actor is not None
    tenant_id = administrator.actor.tenant_id
    for _ in range(5):
        assert await own.read(tenant_id, "SELECT 1") == 1
        for held in own._resting._resting:
            held.connection._con._transport.abort()
        said: Any = (await asyncio.gather(own.read(tenant_id, "SELECT 1"), return_exceptions=True))[0]
        assert said == 1 or is_passing(said), said
    assert await own.read(tenant_id, "SELECT 1") == 1
    async with asyncio.timeout(30):
        while own.use().idle < own.use().size:  # noqa: ASYNC110  # the pool tells no event
            await asyncio.sleep(0.01)


async def test_a_snapshot_whose_connection_broke_is_closed_without_ado(own: Database, administrator: Caller) -> None:
    assert administrator.actor is not None
    reader = own.reading(administrator.actor.tenant_id)
    await reader.fetch("SELECT 1")
    assert reader._connection is not None
    reader._connection._con.terminate()
    await reader.close()
    assert len(await reader.fetch("SELECT 1")) == 1
    await reader.close()


def test_a_lock_that_does_not_come_in_time_is_a_matter_of_time() -> None:
    error = asyncpg.LockNotAvailableError("canceling statement due to lock timeout")
    assert is_passing(error)
    assert exception_error(error, "en", "1")["extensions"]["code"] == "TIMEOUT"
