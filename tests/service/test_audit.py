"""The audit chain: every event holds the digest of the one before, and changes stand in one order (操作日志)."""

import asyncio

import orjson
import pytest

from service import audit
from service.access import system_actor
from service.audit import Change
from service.scoring.text import Text
from tenants.database import Database
from tenants.provisioning import GENESIS, District

pytestmark = pytest.mark.anyio


async def test_concurrent_changes_make_one_chain_without_gaps(db: Database, tenant: District) -> None:
    async def change(number: int) -> None:
        async with db.transaction(tenant.id) as tx:
            await audit.append(
                tx,
                system_actor(tenant.id),
                "test",
                subject=("Tenant", tenant.id),
                summary=Text(zh=f"第{number}次", en=f"No. {number}"),
                reason="r",
                changes=[Change("name", None, str(number))],
            )

    await asyncio.gather(*(change(number) for number in range(60)))
    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch("SELECT * FROM audit_events WHERE tenant_id = $1 ORDER BY sequence", tenant.id)
        head = await tx.fetchrow("SELECT sequence, digest FROM audit_heads WHERE tenant_id = $1", tenant.id)
    assert [row["sequence"] for row in rows] == list(range(1, 61))
    assert [row["previous_digest"] for row in rows] == [GENESIS, *(row["digest"] for row in rows[:-1])]
    assert head is not None
    assert tuple(head) == (60, rows[-1]["digest"])
    for row in rows:
        event = {
            "tenant": str(tenant.id),
            "sequence": row["sequence"],
            "at": row["at"].isoformat(),
            "actor": None,
            "action": row["action"],
            "subject": [row["subject_type"], str(row["subject_id"])],
            "summary": orjson.loads(row["summary"]),
            "reason": row["reason"],
            "changes": orjson.loads(row["changes"]),
            "request": None,
            "previous": row["previous_digest"],
        }
        assert audit.event_digest(event) == row["digest"]


async def test_a_change_that_is_taken_back_leaves_no_event_and_no_gap(db: Database, tenant: District) -> None:
    summary = Text(zh="一", en="one")
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(tenant.id) as tx:
            await audit.append(tx, system_actor(tenant.id), "test", subject=None, summary=summary)
            raise ZeroDivisionError
    async with db.transaction(tenant.id) as tx:
        await audit.append(tx, system_actor(tenant.id), "test", subject=None, summary=summary)
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetch("SELECT sequence FROM audit_events WHERE tenant_id = $1", tenant.id) == [(1,)]
