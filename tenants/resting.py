"""Connections that rest between transactions (静候的连接), so that a short one costs as few messages as it can.

A connection that has done its work rests with a transaction open, bound to its tenant: the one that it read in, or a
new one, begun with the commit. The next transaction of the tenant goes on with it while it has just begun; any other
ends it in the same message that begins its own. Where none comes, it is ended and the pool gets its connection back
after two rests at most. What rests holds no lock and no snapshot: under READ COMMITTED each statement sees what is
committed by then, and other levels take their snapshot with the first statement.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

REST_SECONDS: Final = 0.02
"""How long a connection rests until it is found to be too much."""


def binding(tenant_id: UUID) -> str:
    """SQL that binds a transaction to a tenant."""
    if not isinstance(tenant_id, UUID):
        raise TypeError("SET takes no bind parameters, so a tenant is named by a UUID and nothing else.")
    return f"SET LOCAL app.tenant_id = '{tenant_id}'"


async def give_back(pool: asyncpg.Pool, connection: asyncpg.pool.PoolConnectionProxy) -> None:
    """Roll back whatever the connection is in, and give it back."""
    # One that is lost is given up by the pool, which opens another one. Cut off in the middle, asyncpg takes its own
    # state for an error of its own.
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        try:
            await connection.execute("ROLLBACK")
        finally:
            await pool.release(connection)


@dataclass(slots=True)
class Held:
    """A connection in a transaction that is bound to a tenant."""

    connection: asyncpg.pool.PoolConnectionProxy
    mode: str
    """Its isolation level, and READ WRITE or READ ONLY."""
    tenant_id: UUID
    begun: float
    """Its now(), by the monotonic clock."""


class Resting:
    """The connections of a pool that have just been used, and may soon be used again."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._resting: list[Held] = []
        """The one that was used last is the next to be used."""
        self._unused = 0
        """How many of the first have rested since the last look."""
        self._look: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many connections rest."""
        return len(self._resting)

    async def take(self, tenant_id: UUID, mode: str, *, lag_seconds: float) -> Held:
        """A connection in a transaction of the tenant, whose now() is that much in the past at most.

        Whoever takes it lets it `rest`, or gives it back.
        """
        now = time.monotonic()
        held = self._rested(tenant_id, mode)
        if held is None:
            held = Held(await self._pool.acquire(), mode, tenant_id, now)
            end = ""
        elif held.mode == mode and held.tenant_id == tenant_id and now - held.begun < lag_seconds:
            return held
        else:
            end = "ROLLBACK; "
        try:
            held.mode, held.tenant_id, held.begun = mode, tenant_id, time.monotonic()
            await held.connection.execute(f"{end}BEGIN ISOLATION LEVEL {mode}; {binding(tenant_id)}")
        except BaseException:
            await self.give_back(held)
            raise
        return held

    def rest(self, held: Held) -> None:
        """Let a connection rest; nothing may have been written in the transaction that it is in."""
        if self._pool._queue.empty() or self._pool.is_closing():
            # Others may need the last one.
            self._end(held)
            return
        self._resting.append(held)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(REST_SECONDS, self._look_around)

    async def give_back(self, held: Held) -> None:
        """Roll the transaction back, and give the connection back to the pool."""
        await give_back(self._pool, held.connection)

    async def close(self) -> None:
        """Give all connections back."""
        if self._look is not None:
            self._look.cancel()
            # Whoever ends only now looks around for itself.
            self._look = None
        self._leave(len(self._resting))
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _rested(self, tenant_id: UUID, mode: str) -> Held | None:
        """The last one of the tenant and the mode, else the last one."""
        while self._resting:
            alike = (
                place
                for place in range(len(self._resting) - 1, -1, -1)
                if self._resting[place].mode == mode and self._resting[place].tenant_id == tenant_id
            )
            held = self._resting.pop(next(alike, -1))
            self._unused = min(self._unused, len(self._resting))
            # asyncpg takes the connection out of what it handed us when it is lost.
            if held.connection._con is not None and not held.connection.is_closed():
                return held
            self._end(held)
        return None

    def _look_around(self) -> None:
        """Give back what nobody used since the last time."""
        self._leave(self._unused)
        self._unused = len(self._resting)
        looking = asyncio.get_running_loop().call_later(REST_SECONDS, self._look_around) if self._resting else None
        self._look = looking

    def _leave(self, count: int) -> None:
        leaving, self._resting = self._resting[:count], self._resting[count:]
        for held in leaving:
            self._end(held)

    def _end(self, held: Held) -> None:
        task = asyncio.create_task(self.give_back(held))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
