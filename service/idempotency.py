"""Idempotency keys (幂等键): a retry of a mutation has the effect of one call.

The key is stored with the effect in one transaction. A replay answers the same result type and ids, read as they are
now. A refusal stores nothing, so a mended input may use the key again. Scope: tenant, actor, mutation.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from service.access import Actor
from service.checks import idempotency_key_is_sound
from service.errors import ErrorCode, IdempotencyRefused, Invalid, Issue
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.statements import bound

KEPT_HOURS = 24
"""How long a key is remembered, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key with the input that it stands for, to be claimed by the statement that writes."""

    mutation: str
    key: str
    input_hash: str

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of `claiming`, by name, beside `tenant` and `actor`."""
        return {"mutation": self.mutation, "key": self.key, "input_hash": self.input_hash}


class AlreadyDone(Exception):
    """The key was claimed before, with the same input; nothing has been written now."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self.outcome = outcome
        """What came of it then."""
        super().__init__("The key has been used.")


def claim_of(mutation: str, key: str, payload: object) -> Claim:
    """The claim for an input; raises Invalid for a key that is not 1 to 128 printable ASCII characters."""
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
    digest = hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Claim(mutation, key, digest)


_OURSELVES = "pg_current_xact_id()::xid"
"""As `xmin` of a row: this transaction wrote it."""


def claiming(outcome: str = "'{}'::jsonb", source: str = "") -> str:
    """SQL that claims a key for this transaction, and gives a row where that was possible.

    A concurrent twin waits for it up to the role's `lock_timeout`; then it finds the key kept, or its place free. What
    this transaction has claimed already it may claim again.
    `outcome` is SQL over the one row of `source` (FROM …).
    """
    return f"""
    INSERT INTO idempotency_keys AS ik (tenant_id, actor_id, mutation, key, input_hash, outcome)
    SELECT :tenant::uuid, :actor::uuid, :mutation, :key, :input_hash, {outcome} {source}
    ON CONFLICT (tenant_id, actor_id, mutation, key)
    DO UPDATE SET input_hash = EXCLUDED.input_hash, outcome = EXCLUDED.outcome, created_at = now()
    WHERE ik.created_at < now() - interval '{KEPT_HOURS} hours' OR ik.xmin = {_OURSELVES} RETURNING true AS claimed"""


_CLAIM = claiming()


async def find(tx: Transaction, actor: Actor, claim: Claim) -> dict[str, Any] | None:
    """The outcome kept under the key, or None where the mutation has to run, for which the key is claimed now.

    Raises asyncpg's LockNotAvailableError where a twin is at it for too long, and IdempotencyRefused where the key was
    used with another input.
    """
    if await tx.fetch(*bound(_CLAIM, {"tenant": tx.tenant_id, "actor": actor.id, **claim.values})):
        return None
    kept = await _kept(tx, actor, claim)
    if kept is None:
        raise IdempotencyRefused(in_progress=True)
    return kept


async def refuse_done(tx: Transaction, actor: Actor, claim: Claim) -> None:
    """Raise AlreadyDone, or IdempotencyRefused, where another transaction has used the key."""
    kept = await _kept(tx, actor, claim)
    if kept is not None:
        raise AlreadyDone(kept)


async def _kept(tx: Transaction, actor: Actor, claim: Claim) -> dict[str, Any] | None:
    # What this transaction has claimed for itself says nothing.
    rows = await tx.fetch(
        *bound(
            f"""SELECT input_hash, outcome FROM idempotency_keys
               WHERE tenant_id = :tenant AND actor_id = :actor AND mutation = :mutation AND key = :key
                 AND xmin <> {_OURSELVES}""",
            {"tenant": tx.tenant_id, "actor": actor.id, **claim.values},
        )
    )
    if not rows:
        return None
    if rows[0]["input_hash"] != claim.input_hash:
        raise IdempotencyRefused(in_progress=False)
    outcome: dict[str, Any] = orjson.loads(rows[0]["outcome"])
    return outcome


def waits_for_key(error: BaseException) -> bool:
    """Whether what was waited for in vain (LockNotAvailableError) is a key: a twin of this mutation is at work."""
    return "idempotency_keys" in (getattr(error, "context", None) or "")


KEEP = """UPDATE idempotency_keys SET outcome = $5::jsonb
    WHERE tenant_id = $1 AND actor_id = $2 AND mutation = $3 AND key = $4"""
"""What `keep` does, for a statement that does more at once; its first parameters are those of `kept_as`."""


def kept_as(actor: Actor, claim: Claim, outcome: dict[str, Any]) -> list[Any]:
    """The parameters of KEEP."""
    return [actor.tenant_id, actor.id, claim.mutation, claim.key, orjson.dumps(outcome).decode()]


async def keep(tx: Transaction, actor: Actor, claim: Claim, outcome: dict[str, Any]) -> None:
    """Write down what the mutation answered, for replays; in the transaction that `find` claimed the key in."""
    await tx.execute(KEEP, *kept_as(actor, claim, outcome))


async def forget(tx: Transaction, *, limit: int) -> int:
    """Remove up to `limit` keys that have had their time; how many."""
    old = f"created_at < now() - interval '{KEPT_HOURS} hours'"
    # Asked twice: one that is being claimed anew is waited for, and then only its own row is looked at again.
    return await tx.execute(
        f"""DELETE FROM idempotency_keys WHERE tenant_id = $1 AND {old} AND (actor_id, mutation, key) IN (
                SELECT actor_id, mutation, key FROM idempotency_keys WHERE tenant_id = $1 AND {old} LIMIT $2)""",
        tx.tenant_id,
        limit,
    )
