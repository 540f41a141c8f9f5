"""Idempotency keys (幂等键): a retry of a mutation has the effect of one call.

The key is stored with the effect in one transaction. A replay answers the same result type and ids, read as they are
now. A refusal stores nothing, so a mended input may use the key again. Scope: tenant, actor, mutation.
"""

import hashlib
from typing import Any

import orjson

from service.access import Actor
from service.checks import idempotency_key_is_sound
from service.errors import ErrorCode, IdempotencyRefused, Invalid, Issue
from service.scoring.text import Text
from tenants.database import Transaction

KEPT_HOURS = 24
"""How long a key is remembered, by the database's clock."""


async def find(tx: Transaction, actor: Actor, mutation: str, key: str, payload: object) -> dict[str, Any] | None:
    """The outcome kept under the key, or None where the mutation has to run.

    Claims the key for this transaction: a concurrent twin waits for it up to the role's `lock_timeout`, after which the
    caller gets asyncpg's LockNotAvailableError and answers IDEMPOTENCY_IN_PROGRESS. Raises Invalid for a key that is
    not 1 to 128 printable ASCII characters, and IdempotencyRefused where it was used with another input.
    """
    if not idempotency_key_is_sound(key):
        raise Invalid(
            [
                Issue(
                    ErrorCode.INVALID_IDEMPOTENCY_KEY,
                    ("input", "idempotencyKey"),
                    Text(zh="幂等键须为1至128个可打印的半角字符。", en="A key is 1 to 128 printable ASCII characters."),
                    Text(zh="建议使用随机的 UUID。", en="A random UUID will do."),
                )
            ]
        )
    # It waits for a twin that is not yet through; then it finds the twin's row, or its place free.
    claimed = await tx.fetchval(
        f"""
        INSERT INTO idempotency_keys AS ik (tenant_id, actor_id, mutation, key, input_hash, outcome)
        VALUES ($1, $2, $3, $4, $5, '{{}}') ON CONFLICT (tenant_id, actor_id, mutation, key)
        DO UPDATE SET input_hash = EXCLUDED.input_hash, outcome = EXCLUDED.outcome, created_at = now()
        WHERE ik.created_at < now() - interval '{KEPT_HOURS} hours' RETURNING true
        """,
        tx.tenant_id,
        actor.id,
        mutation,
        key,
        _hash(payload),
    )
    if claimed:
        return None
    row = await tx.fetchrow(
        """SELECT input_hash, outcome FROM idempotency_keys
           WHERE tenant_id = $1 AND actor_id = $2 AND mutation = $3 AND key = $4""",
        tx.tenant_id,
        actor.id,
        mutation,
        key,
    )
    if row is None:
        raise IdempotencyRefused(in_progress=True)
    if row["input_hash"] != _hash(payload):
        raise IdempotencyRefused(in_progress=False)
    outcome: dict[str, Any] = orjson.loads(row["outcome"])
    return outcome


KEEP = """UPDATE idempotency_keys SET outcome = $5::jsonb
    WHERE tenant_id = $1 AND actor_id = $2 AND mutation = $3 AND key = $4"""
"""What `keep` does, for a statement that does more at once; its first parameters are those of `kept_as`."""


def kept_as(actor: Actor, mutation: str, key: str, outcome: dict[str, Any]) -> list[Any]:
    """The parameters of KEEP."""
    return [actor.tenant_id, actor.id, mutation, key, orjson.dumps(outcome).decode()]


async def keep(tx: Transaction, actor: Actor, mutation: str, key: str, outcome: dict[str, Any]) -> None:
    """Write down what the mutation answered, for replays; in the transaction that `find` claimed the key in."""
    await tx.execute(KEEP, *kept_as(actor, mutation, key, outcome))


async def forget(tx: Transaction, *, limit: int) -> int:
    """Remove up to `limit` keys that have had their time; how many."""
    return await tx.execute(
        f"""DELETE FROM idempotency_keys WHERE tenant_id = $1 AND (actor_id, mutation, key) IN (
                SELECT actor_id, mutation, key FROM idempotency_keys
                WHERE tenant_id = $1 AND created_at < now() - interval '{KEPT_HOURS} hours' LIMIT $2)""",
        tx.tenant_id,
        limit,
    )


def _hash(payload: object) -> str:
    return hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()
