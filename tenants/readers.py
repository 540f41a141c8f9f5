"""Reads of one statement, the quickest way there is (单条读取).

What ends a read, ROLLBACK and the connection's return to the pool, takes as long as a small statement, and nobody needs
to wait for it. So a connection rests after a read with its transaction open. The next read of the tenant goes on with
it while it has just begun; any other ends it in the same round trip that begins its own. Where none comes, the
transaction is ended and the pool gets its connection back after two rests at most. Under READ COMMITTED each statement
sees what is committed by then, whatever transaction it stands in.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

REST_SECONDS: Final = 0.02
"""How long a connection rests until it is found to be too much."""

FRESH_SECONDS: Final = 0.005
"""How long reads go on with one transaction: its now() is that much in the past at most."""


@dataclass(slots=True)
class _Reader:
    """A connection in a read-only transaction of a tenant."""

    connection: asyncpg.pool.PoolConnectionProxy
    tenant_id: UUID
    begun: float


class Readers:
    """The connections of a pool that have just read, and may soon read again."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._resting: list[_Reader] = []
        """The one that read last is the next to read."""
        self._unused = 0
        """How many of the first have rested since the last look."""
        self._look: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def resting(self) -> int:
        """How many connections rest."""
        return len(self._resting)

    async def read(self, tenant_id: UUID, sql: str, arguments: tuple[Any, ...]) -> Any:
        """The first column of the statement's first row, in a read-only transaction of the tenant."""
        if not isinstance(tenant_id, UUID):
            raise TypeError("SET takes no bind parameters, so a tenant is named by a UUID and nothing else.")
        reader = self._rested()
        if reader is None:
            reader = _Reader(await self._pool.acquire(), tenant_id, 0.0)
            begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
        else:
            # AND CHAIN begins the next transaction as the last one was: read-only.
            begin = "ROLLBACK AND CHAIN"
        try:
            now = time.monotonic()
            if reader.tenant_id != tenant_id or now - reader.begun > FRESH_SECONDS:
                await reader.connection.execute(f"{begin}; SET LOCAL app.tenant_id = '{tenant_id}'")
                reader.tenant_id, reader.begun = tenant_id, now
            value = await reader.connection.fetchval(sql, *arguments)
        except BaseException:
            await self._give_back(reader)
            raise
        self._rest(reader)
        return value

    async def close(self) -> None:
        """Give all connections back."""
        if self._look is not None:
            self._look.cancel()
        self._leave(len(self._resting))
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _rested(self) -> _Reader | None:
        while self._resting:
            reader = self._resting.pop()
            self._unused = min(self._unused, len(self._resting))
            # asyncpg takes the connection out of what it handed us when it is lost.
            if reader.connection._con is not None and not reader.connection.is_closed():
                return reader
            self._end(reader)
        return None

    def _rest(self, reader: _Reader) -> None:
        if self._pool._queue.empty() or self._pool.is_closing():
            # Others may need the last one.
            self._end(reader)
            return
        self._resting.append(reader)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(REST_SECONDS, self._look_around)

    def _look_around(self) -> None:
        """Give back what nobody used since the last time."""
        self._leave(self._unused)
        self._unused = len(self._resting)
        looking = asyncio.get_running_loop().call_later(REST_SECONDS, self._look_around) if self._resting else None
        self._look = looking

    def _leave(self, count: int) -> None:
        leaving, self._resting = self._resting[:count], self._resting[count:]
        for reader in leaving:
            self._end(reader)

    def _end(self, reader: _Reader) -> None:
        task = asyncio.create_task(self._give_back(reader))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _give_back(self, reader: _Reader) -> None:
        # One that is lost is given up by the pool, which opens another one.
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            try:
                await reader.connection.execute("ROLLBACK")
            finally:
                await self._pool.release(reader.connection)
