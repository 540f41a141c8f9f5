"""Reads and transactions: bound to their tenant each, on connections that rest between and then go back to the pool."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tenants.database import LAG_SECONDS, Database
from tenants.provisioning import District
from tenants.resting import Held, Resting
from tests.conftest import MakeTenant

pytestmark = pytest.mark.anyio

SEEN = "SELECT array_agg(tenant_id) FROM tenants"
"""What a read sees that forgets the tenant."""
MODE = "SELECT current_setting('transaction_read_only')"


async def states(own: Database, db: Database) -> list[str]:
    """What PostgreSQL says of the pool's connections; of what rests an open transaction."""
    pids = [holder._con.get_server_pid() for holder in own.pool._holders if holder._con is not None]
    rows = await db.fetch_global("SELECT state FROM pg_stat_activity WHERE pid = ANY($1) ORDER BY 1", pids)
    return [row["state"] for row in rows]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens within two rests."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110  # PostgreSQL and the pool tell no event
            await asyncio.sleep(0.01)


async def test_each_read_sees_its_own_tenant_whoever_read_before(own: Database, make_tenant: MakeTenant) -> None:
    districts = [await make_tenant() for _ in range(3)]

    async def read(tenant_id: UUID) -> None:
        for _ in range(20):
            assert await own.read(tenant_id, SEEN) == [tenant_id]
            assert await own.read(tenant_id, MODE) == "on"

    await asyncio.gather(*(read(district.id) for district in districts * 3))
    assert own.use().size <= 3


async def test_a_connection_rests_and_then_goes_back(own: Database, db: Database, tenant: District) -> None:
    assert await own.read(tenant.id, "SELECT 1") == 1
    assert await own.read(tenant.id, "SELECT 2") == 2
    use = own.use()
    assert (use.size, use.idle, own.pool.get_idle_size()) == (1, 1, 0), "one connection, which nobody uses"

    async def back() -> bool:
        return bool(own.pool.get_idle_size() == 1)

    await until(back)
    assert await states(own, db) == ["idle"], "its transaction has ended"
    assert await own.read(tenant.id, "SELECT 3") == 3


async def test_reads_go_on_with_one_transaction_for_some_milliseconds(own: Database, tenant: District) -> None:
    for _ in range(300):
        asked = time.monotonic()
        age = await own.read(tenant.id, "SELECT clock_timestamp() - now()")
        assert age < timedelta(seconds=LAG_SECONDS + time.monotonic() - asked), "no time of long ago is kept"
    assert len({await own.read(tenant.id, "SELECT now()") for _ in range(20)}) < 20, "not each has its own"
    await asyncio.sleep(LAG_SECONDS)
    first = await own.read(tenant.id, "SELECT now()")
    await asyncio.sleep(LAG_SECONDS)
    assert first < await own.read(tenant.id, "SELECT now()")


async def began(own: Database, tenant: District, **how: Any) -> datetime:
    """The time by which a transaction goes."""
    async with own.transaction(tenant.id, **how) as tx:
        value: datetime = await tx.fetchval("SELECT now()")
        return value


async def test_who_may_lag_goes_on_with_what_a_commit_has_begun(own: Database, tenant: District) -> None:
    for _ in range(20):
        committed = await began(own, tenant)
        own_time = await began(own, tenant)
        lagging = await began(own, tenant, lag_seconds=1.0)
        assert committed < own_time < lagging
    sent: list[str] = []
    async with own.transaction(tenant.id) as tx:
        connection = tx.connection._con
    connection.add_query_logger(lambda statement: sent.append(statement.query))
    await began(own, tenant, lag_seconds=1.0)
    # asyncpg tells of a statement a moment later.
    await asyncio.sleep(0.01)
    assert [sql.split()[0] for sql in sent] == ["SELECT", "/*"], "one message, and one for the commit"


async def test_nothing_is_gone_on_with_in_another_mode_or_for_another_tenant(
    own: Database, make_tenant: MakeTenant
) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    for _ in range(5):
        for tenant in (ours, theirs):
            for read_only in (True, False):
                for isolation in ("read committed", "repeatable read"):
                    level: Any = isolation.upper()
                    async with own.transaction(tenant.id, read_only=read_only, isolation=level, lag_seconds=1.0) as tx:
                        said = await tx.fetchrow(f"SELECT ({SEEN}), ({MODE}), current_setting('transaction_isolation')")
                    assert said == ([tenant.id], "on" if read_only else "off", isolation)
    assert own.use().size == 1


async def test_a_snapshot_is_of_its_own_transaction(own: Database, db: Database, tenant: District) -> None:
    count = "SELECT count(*) FROM idempotency_keys"
    how: Any = {"read_only": True, "isolation": "REPEATABLE READ", "lag_seconds": 1.0}
    async with own.transaction(tenant.id, **how) as tx:
        assert await tx.fetchval(count) == 0

        async def add() -> None:
            async with db.transaction(tenant.id) as other:
                await other.execute(
                    """INSERT INTO idempotency_keys (tenant_id, actor_id, mutation, key, input_hash, outcome)
                       VALUES ($1, $1, 'a', 'a', 'a', '{}')""",
                    tenant.id,
                )

        await asyncio.create_task(add(), context=Context())
        assert await tx.fetchval(count) == 0
    async with own.transaction(tenant.id, **how) as tx:
        assert await tx.fetchval(count) == 1


async def test_a_read_sees_what_was_committed_before_it(own: Database, db: Database, tenant: District) -> None:
    for number in range(50):
        async with db.transaction(tenant.id) as tx:
            await tx.execute("UPDATE tenants SET name = $2 WHERE tenant_id = $1", tx.tenant_id, f"第{number}次")
        assert await own.read(tenant.id, "SELECT name FROM tenants") == f"第{number}次"


async def test_the_last_free_connection_does_not_rest(own: Database, tenant: District) -> None:
    async with own.transaction(tenant.id), own.pool.acquire():
        assert await own.read(tenant.id, "SELECT 1") == 1

        async def back() -> bool:
            return bool(own.pool.get_idle_size() == 1)

        await until(back)
        async with asyncio.timeout(30), own.pool.acquire():
            pass


async def test_a_read_that_fails_leaves_a_connection_as_good_as_new(own: Database, tenant: District) -> None:
    await own.read(tenant.id, "SELECT 1")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await own.read(tenant.id, "SELECT 1 / 0")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await own.read(tenant.id, "DELETE FROM idempotency_keys RETURNING 1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await own.read(tenant.id, "SELECT pg_sleep(5)")
    assert own.use().idle == own.use().size, "none is lost"
    assert await own.read(tenant.id, SEEN) == [tenant.id]


async def test_a_connection_that_was_ended_while_it_rested_is_not_used(
    own: Database, owner_url: str, tenant: District
) -> None:
    await own.read(tenant.id, "SELECT 1")
    (reader,) = own._resting._resting
    reader.connection.terminate()
    assert await own.read(tenant.id, SEEN) == [tenant.id]


async def test_closing_waits_for_what_rests(app_url: str, db: Database, tenant: District) -> None:
    own = await Database.connect(app_url, max_size=3)
    await asyncio.gather(*(own.read(tenant.id, "SELECT 1") for _ in range(3)))
    async with asyncio.timeout(30):
        await own.close()
    assert own.use().size == 0


async def test_closing_waits_for_a_change_that_ends_meanwhile(
    app_url: str, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await Database.connect(app_url, max_size=3)
    begun, committed = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        async with own.transaction(tenant.id) as tx:
            await tx.execute("SELECT 1")
            begun.set()
            await closing.wait()
        committed.set()

    closing = asyncio.Event()
    changing = asyncio.create_task(change(), context=Context())
    await begun.wait()
    await own.read(tenant.id, "SELECT 1")
    give_back = Resting.give_back

    async def give_back_later(resting: Resting, held: Held) -> None:
        closing.set()
        await committed.wait()
        await give_back(resting, held)

    monkeypatch.setattr(Resting, "give_back", give_back_later)
    async with asyncio.timeout(5):
        await own.close()
    await changing
    assert own.use().size == 0
