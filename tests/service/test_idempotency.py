"""Idempotency keys: a retry has the effect of one call, and another input under the key is refused (幂等键)."""

import asyncio

import pytest

from service import idempotency
from service.access import system_actor
from service.errors import ErrorCode, IdempotencyRefused, Invalid
from tenants.database import Database
from tenants.provisioning import District
from tests.conftest import MakeTenant

pytestmark = pytest.mark.anyio

WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def call(db: Database, tenant: District, key: str, payload: object, *, mutation: str = "m") -> str:
    """A mutation that answers "ran", or "replayed"."""
    async with db.transaction(tenant.id) as tx:
        actor = system_actor(tenant.id)
        claim = idempotency.claim_of(mutation, key, payload)
        kept = await idempotency.find(tx, actor, claim)
        if kept is not None:
            return str(kept["said"])
        await asyncio.sleep(0.05)
        await idempotency.keep(tx, actor, claim, {"said": "replayed"})
        return "ran"


async def test_the_same_key_runs_once_and_then_answers_the_same(db: Database, tenant: District) -> None:
    assert await call(db, tenant, "k", {"a": 1, "b": 2}) == "ran"
    assert await call(db, tenant, "k", {"b": 2, "a": 1}) == "replayed"
    assert await call(db, tenant, "k", {"a": 1, "b": 2}, mutation="other") == "ran"


async def test_another_input_under_the_key_is_refused(db: Database, tenant: District) -> None:
    await call(db, tenant, "k", {"a": 1})
    with pytest.raises(IdempotencyRefused) as refusal:
        await call(db, tenant, "k", {"a": 2})
    assert refusal.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert not refusal.value.retryable


async def test_concurrent_twins_have_one_effect(db: Database, tenant: District) -> None:
    answers = await asyncio.gather(*(call(db, tenant, "k", {}) for _ in range(8)))
    assert sorted(answers) == ["ran", *["replayed"] * 7]


async def test_a_refusal_frees_the_key_for_the_mended_input(db: Database, tenant: District) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(tenant.id) as tx:
            await idempotency.find(tx, system_actor(tenant.id), idempotency.claim_of("m", "k", {"a": "wrong"}))
            raise ZeroDivisionError
    assert await call(db, tenant, "k", {"a": "mended"}) == "ran"


async def test_after_a_day_the_key_is_new_again(db: Database, tenant: District) -> None:
    await call(db, tenant, "k", {})
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE tenant_id = $1", tenant.id
        )
    assert await call(db, tenant, "k", {"another": "input"}) == "ran"


async def test_a_key_that_is_claimed_anew_is_not_forgotten_as_the_old_one(db: Database, tenant: District) -> None:
    await call(db, tenant, "k", {})
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE tenant_id = $1", tenant.id
        )
    begun = asyncio.Event()

    async def forget() -> int:
        await begun.wait()
        async with db.transaction(tenant.id) as tx:
            return await idempotency.forget(tx, limit=10)

    # Made outside the transaction, whose mark it would inherit.
    forgetting = asyncio.create_task(forget())
    async with db.transaction(tenant.id) as tx:
        actor, claim = system_actor(tenant.id), idempotency.claim_of("m", "k", {"another": "input"})
        assert await idempotency.find(tx, actor, claim) is None
        begun.set()
        while not (await db.fetch_global(WAITING))[0][0]:  # noqa: ASYNC110  # PostgreSQL tells no event
            await asyncio.sleep(0.01)
        await idempotency.keep(tx, actor, claim, {"said": "replayed"})
    assert await forgetting == 0
    assert await call(db, tenant, "k", {"another": "input"}) == "replayed"


async def test_keys_of_two_districts_do_not_meet(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    assert await call(db, ours, "k", {"a": 1}) == "ran"
    assert await call(db, theirs, "k", {"a": 2}) == "ran"


@pytest.mark.parametrize("key", ["", "x" * 129, "键", "a\nb", "\x7f"])
async def test_a_key_is_printable_ascii(db: Database, tenant: District, key: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await call(db, tenant, key, {})
    assert refusal.value.code is ErrorCode.INVALID_IDEMPOTENCY_KEY
