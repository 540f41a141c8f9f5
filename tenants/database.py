"""Connections and tenant-bound transactions.

Every transaction of the program is bound to one tenant by `SET LOCAL`, at its start; row-level security shows nothing
outside such a transaction. One of them is one mutation field, one command or one step of a job.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Protocol, Self
from uuid import UUID

import asyncpg
from tortoise import Tortoise
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper

from tenants.config import tortoise_config
from tenants.resting import Resting, binding, give_back
from tenants.statements import literal

Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]

LAG_SECONDS: Final = 0.02
"""How far in the past now() may be at the beginning of a read or a mutation, where others came just before it."""

COMMITTING: Final = "/* COMMIT */"
"""How the message begins that commits. It has values in its text, and is told to an observer without them."""

# A savepoint would leak its SET LOCAL outward, so a transaction of another tenant must not begin inside one.
_bound: ContextVar[UUID | None] = ContextVar("bound_tenant", default=None)


class UnsafeRole(Exception):
    """The database role is not bound by row-level security; the program refuses to start."""


class CatalogueMismatch(Exception):
    """The database is not as the program declares; the program refuses to start. Each fault names its field."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"The database does not fit this version of the program. Run: kaoping migrate{lines}")


class Transaction:
    """An open transaction of one tenant.

    `orm` is handed to Tortoise (`Model.filter(...).using_db(tx.orm)`); statements of our own go through `fetch` and its
    kin, which take PostgreSQL's `$n` parameters. Both name the tenant. The owner's transactions have no `orm`.
    """

    def __init__(self, tenant_id: UUID, connection: asyncpg.Connection, client: AsyncpgDBClient | None = None) -> None:
        self.tenant_id = tenant_id
        self.connection = connection
        self.announcements: list[object] = []
        self.last: list[str] = []
        """Statements that go with the COMMIT."""
        self._client = client

    def announce(self, what: object) -> None:
        """Something for the database's `announced`, told once this transaction has committed, and only then."""
        self.announcements.append(what)

    async def at_commit(self, sql: str, *arguments: str | UUID | None) -> None:
        """Have a statement run with the COMMIT, in one message with it, after those that were given before.

        What all of a tenant's changes lock is locked here: nobody waits for a turn of this program then.
        """
        name = await self.connection.named(sql)
        self.last.append(f"EXECUTE {name} ({', '.join(map(literal, arguments))})")

    @cached_property
    def orm(self) -> TransactionWrapper:
        """This transaction as Tortoise knows one."""
        assert self._client is not None, "the owner's statements are plain SQL"
        wrapper = TransactionWrapper(self._client)
        wrapper._connection = self.connection
        return wrapper

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self.connection.fetch(sql, *arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> int:
        """Run a statement; the number of rows it touched."""
        status = await self.connection.execute(sql, *arguments)
        count = status.rsplit(" ", 1)[-1]
        return int(count) if count.isdigit() else 0

    async def hold_tenant(self) -> None:
        """Hold the tenant's row to the end: of those who ask here what is free, one comes after the other."""
        await self.fetchval("SELECT true FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE", self.tenant_id)

    async def plan_for_many(self) -> None:
        """Plan for many rows, whatever PostgreSQL knows of them: for bulk work, before its first statement.

        A plan is kept for all tenants, and one from when there were few rows may take minutes over many. PostgreSQL
        forgets it by itself once autovacuum has looked at the tables again, which may be too late; until then it takes
        tables for as small as they were, and would read one of them as a whole for each row of another.
        """
        await self.connection.execute("DISCARD PLANS; SET LOCAL enable_nestloop = off")

    async def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once per row."""
        await self.connection.executemany(sql, rows)


class ReadTransaction:
    """A read-only transaction of one tenant over one snapshot, opened at its first statement.

    Statements may be asked for by several tasks at once; they run one after the other. `close` gives the connection
    back and may be called by any task, any number of times; a later statement opens a new snapshot.
    """

    def __init__(self, pool: asyncpg.Pool, tenant_id: UUID) -> None:
        self._pool = pool
        self.tenant_id = UUID(str(tenant_id))
        self._connection: asyncpg.pool.PoolConnectionProxy | None = None
        self._lock = asyncio.Lock()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        async with self._lock:
            if self._connection is None:
                connection = await self._pool.acquire()
                try:
                    await connection.execute(
                        f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.tenant_id = '{self.tenant_id}'"
                    )
                except BaseException:
                    await give_back(self._pool, connection)
                    raise
                self._connection = connection
            rows: list[asyncpg.Record] = await self._connection.fetch(sql, *arguments)
            return rows

    async def close(self) -> None:
        """End the transaction and give the connection back."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await give_back(self._pool, connection)


class Statement(Protocol):
    """What an observer of statements is told: the text without values, the seconds it took, what went wrong."""

    query: str
    elapsed: float
    exception: BaseException | None


_observer: Callable[[Statement], None] | None = None


def observe_statements(observer: Callable[[Statement], None] | None) -> None:
    """Have every statement of connections that are opened from now on told, in the context of whoever sent it."""
    global _observer  # one per process, as connections come and go
    _observer = observer


class PlainConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that keeps statements under names.

    It spares the round trip of a reset at each release: nothing here sets session state outside a transaction.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._named: dict[str, tuple[str, object]] = {}
        """By their text: the name, and what asyncpg closes once nobody holds it."""
        self._names = itertools.count()
        """Each is given once: one that was given up in the middle may be taken on the server."""
        if _observer is not None:
            self.add_query_logger(_observer)

    def get_reset_query(self) -> str:
        """No reset."""
        return ""

    async def named(self, sql: str) -> str:
        """The name under which this connection has the statement prepared, from now on."""
        if sql not in self._named:
            name = f"named_{next(self._names)}"
            self._named[sql] = name, await self.prepare(sql, name=name)
        return self._named[sql][0]


@dataclass(frozen=True)
class PoolUse:
    """How the connections of a pool are used: there are, lie idle, are waited for, and may be at most."""

    size: int
    idle: int
    waiting: int
    most: int


class Database:
    """A pool of connections as the app's role.

    `announced` is called after each commit that has announcements, with all of them; it must neither wait nor raise.
    """

    def __init__(self, client: AsyncpgDBClient) -> None:
        assert client._pool is not None
        self.pool: asyncpg.Pool = client._pool
        self.announced: Callable[[UUID, Sequence[object]], None] | None = None
        self.wakeups: object | None = None
        """Who hears of changes that others commit, where somebody does (service.wakeups)."""
        self._client = client
        self._resting = Resting(self.pool)

    @classmethod
    async def connect(cls, url: str, *, min_size: int = 1, max_size: int = 10) -> Self:
        """Open the pool.

        Raises UnsafeRole where row-level security does not bind the role, and asyncpg's UndefinedTableError where there
        are no tables yet.
        """
        config = tortoise_config(url, min_size=min_size, max_size=max_size)
        if not Tortoise.is_inited():
            # Once per process: what Tortoise knows of the models does not depend on the database.
            await Tortoise.init(config=config, _enable_global_fallback=True)
        # A client of our own, not Tortoise's global one: connections are handed on as arguments, never looked up.
        client = AsyncpgDBClient(connection_name="default", **config["connections"]["default"]["credentials"])
        client.connection_class = PlainConnection
        await client.create_connection(with_db=True)
        database = cls(client)
        try:
            await _refuse_unsafe_role(database.pool)
            # Fails here, with the table's name, and not at the first request where nothing has been migrated yet.
            await database.pool.fetch("SELECT FROM directory LIMIT 1")
        except BaseException:
            await client.close()
            raise
        return database

    def use(self) -> PoolUse:
        """How the connections are used at this moment."""
        # asyncpg tells all but who waits: those stand before the queue of its connections.
        waiting = sum(not getter.done() for getter in self.pool._queue._getters)
        idle = self.pool.get_idle_size() + self._resting.count
        return PoolUse(self.pool.get_size(), idle, waiting, self.pool.get_max_size())

    async def close(self) -> None:
        """Close all connections."""
        await self._resting.close()
        await self._client.close()

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        tenant_id: UUID,
        *,
        read_only: bool = False,
        isolation: Isolation = "READ COMMITTED",
        lag_seconds: float = 0.0,
    ) -> AsyncIterator[Transaction]:
        """A transaction bound to the tenant: commits at the end, rolls back on any exception.

        Its now() may be `lag_seconds` in the past at its beginning: it may go on with what another's commit has begun.
        """
        if _bound.get() is not None:
            raise RuntimeError("A tenant's transaction cannot begin inside another one.")
        token = _bound.set(tenant_id)
        try:
            mode = f"{isolation} {'READ ONLY' if read_only else 'READ WRITE'}"
            held = await self._resting.take(tenant_id, mode, lag_seconds=lag_seconds)
            tx = Transaction(tenant_id, held.connection, self._client)
            try:
                yield tx
                bind, held.begun = binding(tenant_id), time.monotonic()
                # What comes first is refused in a transaction that has failed, of which a COMMIT would say nothing.
                statements = "; ".join((*(tx.last or (bind,)), "COMMIT AND CHAIN", bind))
                await held.connection.execute(f"{COMMITTING} {statements}")
            except BaseException:
                await self._resting.give_back(held)
                raise
            self._resting.rest(held)
        finally:
            _bound.reset(token)
        if tx.announcements and self.announced is not None:
            self.announced(tenant_id, tx.announcements)

    def reading(self, tenant_id: UUID) -> ReadTransaction:
        """A read-only snapshot of the tenant, for the reads of one operation."""
        return ReadTransaction(self.pool, tenant_id)

    async def read(self, tenant_id: UUID, sql: str, *arguments: Any) -> Any:
        """What one statement gives in its first row and column, in a read-only transaction of the tenant.

        The quickest way to a single read: what ends it is not waited for.
        """
        held = await self._resting.take(tenant_id, "READ COMMITTED READ ONLY", lag_seconds=LAG_SECONDS)
        try:
            value = await held.connection.fetchval(sql, *arguments)
        except BaseException:
            await self._resting.give_back(held)
            raise
        self._resting.rest(held)
        return value

    @contextlib.asynccontextmanager
    async def dispatching(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction as the dispatcher's role, which sees the jobs of all tenants and nothing else."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL ROLE kp_dispatch")
            yield connection

    async def fetch_global(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of the global directory, the one table without a tenant."""
        rows: list[asyncpg.Record] = await self.pool.fetch(sql, *arguments)
        return rows


async def _refuse_unsafe_role(pool: asyncpg.Pool) -> None:
    row = await pool.fetchrow(
        """
        SELECT current_user AS name, rolsuper, rolbypassrls,
               EXISTS (SELECT 1 FROM pg_roles o
                       WHERE o.rolname = 'kp_owner' AND pg_has_role(current_user, o.oid, 'MEMBER')) AS owns,
               EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = 'tenants' AND c.relkind IN ('r', 'p')
                       AND NOT (c.relrowsecurity AND c.relforcerowsecurity)) AS open
        FROM pg_roles WHERE rolname = current_user
        """
    )
    assert row is not None
    faults = [
        words
        for wrong, words in (
            (row["rolsuper"], "is a superuser"),
            (row["rolbypassrls"], "has BYPASSRLS"),
            (row["owns"] and not row["rolsuper"], "is a member of kp_owner"),
            (row["open"], "reads tables whose row-level security is off"),
        )
        if wrong
    ]
    if faults:
        raise UnsafeRole(
            f"The database role {row['name']} {' and '.join(faults)}, so row-level security would not bind it. "
            "Give the program the role kp_app in KAOPING_DATABASE_URL."
        )
