"""Make, list, suspend and resume districts (租户的开通、停用与恢复); run as the owner, from the command line only."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import astuple, dataclass
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg

from tenants.database import PlainConnection, Transaction
from tenants.ids import uuid7

GENESIS = "0" * 64
"""The digest before the first audit event of a chain."""


class ProvisioningError(Exception):
    """Refused; the message says why and what to do."""


@dataclass(frozen=True)
class District:
    """One district as the directory lists it; status is ACTIVE or SUSPENDED."""

    id: UUID
    code: str
    status: str


async def create_tenant(
    owner_url: str, *, code: str, name: str, time_zone: str, root_code: str, root_name: str
) -> District:
    """A new district with the root of its organisation tree. Raises ProvisioningError where the code is taken."""
    async with new_tenant(
        owner_url, code=code, name=name, time_zone=time_zone, root_code=root_code, root_name=root_name
    ) as tx:
        return District(tx.tenant_id, code, "ACTIVE")


@contextlib.asynccontextmanager
async def new_tenant(
    owner_url: str, *, code: str, name: str, time_zone: str, root_code: str, root_name: str
) -> AsyncIterator[Transaction]:
    """The transaction of the owner that makes a district. Raises ProvisioningError where that cannot be."""
    if not code.isascii() or not code.replace("-", "").isalnum() or not 1 <= len(code) <= 63:
        raise ProvisioningError("A district's code is 1 to 63 ASCII letters, digits and hyphens.")
    if not name.strip() or not root_code.strip() or not root_name.strip():
        raise ProvisioningError("A district and the root of its tree need names; give --name and --root-name.")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ProvisioningError(f"{time_zone} is no time zone; use an IANA name such as Asia/Shanghai.") from None
    tenant_id, unit_id = uuid7(), uuid7()
    async with _owner(owner_url) as connection:
        try:
            await connection.execute(
                "INSERT INTO directory (code, id, status) VALUES ($1, $2, 'ACTIVE')", code, tenant_id
            )
        except asyncpg.UniqueViolationError:
            raise ProvisioningError(f"There is a district with the code {code} already.") from None
        await connection.execute(f"SET LOCAL app.tenant_id = '{tenant_id}'")
        await connection.execute(
            "INSERT INTO tenants (tenant_id, code, name, time_zone) VALUES ($1, $2, $3, $4)",
            tenant_id,
            code,
            name,
            time_zone,
        )
        await connection.execute(
            "INSERT INTO audit_heads (tenant_id, sequence, digest) VALUES ($1, 0, $2)", tenant_id, GENESIS
        )
        today: date = await connection.fetchval("SELECT (now() AT TIME ZONE $1)::date", time_zone)
        await connection.execute(
            """INSERT INTO org_units (tenant_id, id, code, name, kind, tree_path, valid_from)
               VALUES ($1, $2, $3, $4, 'COMMITTEE', $3, $5)""",
            tenant_id,
            unit_id,
            root_code,
            root_name,
            today,
        )
        await connection.execute(
            "INSERT INTO org_unit_ancestors (tenant_id, unit_id, ancestor_id, depth) VALUES ($1, $2, $2, 0)",
            tenant_id,
            unit_id,
        )
        async with _transaction(tenant_id, connection) as tx:
            yield tx


async def list_tenants(owner_url: str) -> list[District]:
    """All districts, by code."""
    async with _owner(owner_url) as connection:
        rows = await connection.fetch("SELECT id, code, status FROM directory ORDER BY code")
    return [District(row["id"], row["code"], row["status"]) for row in rows]


@contextlib.asynccontextmanager
async def owner_transaction(owner_url: str, *, code: str) -> AsyncIterator[Transaction]:
    """One transaction as the owner, bound to the district. Raises ProvisioningError where there is none."""
    async with _owner(owner_url) as connection:
        # Whoever changes the directory sees what the one before has made of it.
        await connection.execute("LOCK TABLE directory IN SHARE ROW EXCLUSIVE MODE")
        tenant_id = await connection.fetchval("SELECT id FROM directory WHERE code = $1", code)
        if tenant_id is None:
            raise ProvisioningError(f"There is no district with the code {code}.")
        await connection.execute(f"SET LOCAL app.tenant_id = '{tenant_id}'")
        async with _transaction(tenant_id, connection) as tx:
            yield tx


@contextlib.asynccontextmanager
async def _transaction(tenant_id: UUID, connection: asyncpg.Connection) -> AsyncIterator[Transaction]:
    """What the connection is in, with what goes with the commit at its end."""
    tx = Transaction(tenant_id, connection)
    yield tx
    for statement in tx.last:
        await connection.execute(statement)


async def set_status(tx: Transaction, status: str) -> tuple[District, District]:
    """Suspend (SUSPENDED: nobody signs in, no token works) or resume (ACTIVE) a district; nothing is deleted.

    In a transaction of the owner. The district before and after.
    """
    before = await tx.fetchrow("SELECT id, code, status FROM directory WHERE id = $1", tx.tenant_id)
    assert before is not None
    await tx.execute("UPDATE directory SET status = $2 WHERE id = $1", tx.tenant_id, status)
    return District(*before), District(before["id"], before["code"], status)


@dataclass(frozen=True)
class Issuer:
    """Who signs tokens of a district's accounts outside, for whom they are meant, and which claims say what."""

    url: str
    audience: str
    subject_claim: str = "sub"
    tenant_claim: str | None = None


async def issuer_of(owner_url: str, *, code: str) -> Issuer | None:
    """The district's issuer, or None."""
    async with _owner(owner_url) as connection:
        row = await connection.fetchrow(f"{_ISSUER} WHERE code = $1", code)
    if row is None:
        raise ProvisioningError(f"There is no district with the code {code}.")
    return _issuer(row)


async def set_issuer(tx: Transaction, issuer: Issuer | None) -> Issuer | None:
    """Give a district its issuer, or take it away (None), in a transaction of the owner; the one before.

    Raises ProvisioningError where it would share an issuer with another district and not both have a claim that names
    them.
    """
    if issuer is not None:
        others = await tx.fetch(
            "SELECT code, tenant_claim FROM directory WHERE issuer = $1 AND id <> $2 ORDER BY code",
            issuer.url,
            tx.tenant_id,
        )
        if others and issuer.tenant_claim is None:
            raise ProvisioningError(
                f"{others[0]['code']} has this issuer as well. Name with --tenant-claim the claim of its tokens "
                "that holds the district's code."
            )
        if unnamed := [other["code"] for other in others if other["tenant_claim"] is None]:
            raise ProvisioningError(
                f"{', '.join(unnamed)} has this issuer without --tenant-claim, so every token of it would be for "
                "that district. Set it there first."
            )
    before = await tx.fetchrow(f"{_ISSUER} WHERE id = $1", tx.tenant_id)
    assert before is not None
    await tx.execute(
        """UPDATE directory SET issuer = $2, audience = $3, subject_claim = $4, tenant_claim = $5
           WHERE id = $1""",
        tx.tenant_id,
        *((None, None, None, None) if issuer is None else astuple(issuer)),
    )
    return _issuer(before)


_ISSUER = "SELECT issuer, audience, subject_claim, tenant_claim FROM directory"


def _issuer(row: asyncpg.Record) -> Issuer | None:
    return None if row["issuer"] is None else Issuer(*row)


@contextlib.asynccontextmanager
async def _owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """One transaction as the owner, whom forced row-level security binds as well."""
    connection: asyncpg.Connection = await asyncpg.connect(owner_url, connection_class=PlainConnection)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE kp_owner")
            yield connection
    finally:
        await connection.close()
