"""How often a password may be tried (登录限速): leaky buckets in PostgreSQL, so that all processes count alike.

A try is counted before the password is looked at, under its sign-in name and under its district, and given back where
it succeeds. Who tries a district that there is not is counted in the same way, under a tenant that nobody is: the
answers say nothing of what exists. Names are kept as hashes under the signing key.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from service.errors import Throttled
from tenants.database import Database, Transaction

NOBODY: Final = UUID(int=0)
"""Stands for districts that there are not."""

PRUNED_PER_TRY: Final = 20
"""Rows that a try removes at most; it makes two."""


@dataclass(frozen=True)
class Bucket:
    """`tries` fit at once; then there is room for one more every `seconds`."""

    tries: int
    seconds: int


PER_NAME: Final = Bucket(tries=10, seconds=60)
PER_DISTRICT: Final = Bucket(tries=300, seconds=1)


@dataclass(frozen=True)
class Try:
    """A try that was counted, to be given back."""

    tenant_id: UUID
    counted: tuple[tuple[bytes, Bucket], ...]


# The level is in seconds until the bucket is empty, so it falls by one a second whatever a try costs. A transaction
# that waited for the row began before the instant that stands in it.
_LEFT: Final = "greatest(t.level - greatest(extract(epoch FROM now() - t.at)::float8, 0), 0)"


async def begin_try(db: Database, signing_key: str, *, tenant_id: UUID | None, code: str, name: str) -> Try:
    """Count a try, before its password is looked at; `tenant_id` None where there is no such district.

    Raises Throttled where one of the buckets is full; then nothing is counted.
    """
    # Name before district, always: whoever holds the district's row waits for nobody.
    counted = ((_key(signing_key, code, name), PER_NAME), (_key(signing_key, code), PER_DISTRICT))
    begun = Try(tenant_id or NOBODY, counted)
    async with db.transaction(begun.tenant_id) as tx:
        await _not_waiting_for_the_disk(tx)
        for key, bucket in counted:
            most = bucket.tries * bucket.seconds
            added = await tx.execute(
                f"""INSERT INTO sign_in_tries AS t (tenant_id, key, level, at) VALUES ($1, $2, $3, now())
                    ON CONFLICT (tenant_id, key) DO UPDATE SET level = {_LEFT} + EXCLUDED.level,
                        at = greatest(t.at, now())
                    WHERE {_LEFT} + EXCLUDED.level <= $4""",
                tx.tenant_id,
                key,
                bucket.seconds,
                most,
            )
            if not added:
                left = await tx.fetchval(
                    f"SELECT {_LEFT} FROM sign_in_tries t WHERE t.tenant_id = $1 AND t.key = $2", tx.tenant_id, key
                )
                raise Throttled(max(1, math.ceil(left + bucket.seconds - most)))
        await _prune(tx)
    return begun


async def give_back(db: Database, begun: Try) -> None:
    """The try succeeded: it does not count."""
    async with db.transaction(begun.tenant_id) as tx:
        await _not_waiting_for_the_disk(tx)
        for key, bucket in begun.counted:
            await tx.execute(
                f"""UPDATE sign_in_tries t SET level = greatest({_LEFT} - $3, 0), at = greatest(t.at, now())
                    WHERE t.tenant_id = $1 AND t.key = $2""",
                tx.tenant_id,
                key,
                bucket.seconds,
            )


async def _prune(tx: Transaction) -> None:
    """Remove buckets that have run empty; never waits for another's rows."""
    await tx.execute(
        """DELETE FROM sign_in_tries WHERE tenant_id = $1 AND key IN (
               SELECT t.key FROM sign_in_tries t WHERE t.tenant_id = $1 AND t.at < now() - make_interval(secs => $2)
               ORDER BY t.at LIMIT $3 FOR UPDATE SKIP LOCKED)""",
        tx.tenant_id,
        max(bucket.tries * bucket.seconds for bucket in (PER_NAME, PER_DISTRICT)),
        PRUNED_PER_TRY,
    )


async def _not_waiting_for_the_disk(tx: Transaction) -> None:
    """A count that a power cut takes away is a try more, and no harm."""
    await tx.execute("SET LOCAL synchronous_commit = off")


def _key(signing_key: str, *parts: str) -> bytes:
    told = "\0".join(("sign-in", *parts))
    return hmac.new(signing_key.encode(), told.encode(), hashlib.sha256).digest()
