"""Who stands behind the tokens of the last second (身份缓存).

An actor is read from PostgreSQL with its grants, three round trips. Within a second the same token is answered from
memory, so that a page that asks for ten things is read once; after it the database is asked again, so that a token
revoked, an account or district suspended, or a grant removed counts for a second at most, in every process by itself.
Writes do not rely on it: they read the actor again in their own transaction (`service.access.reread`).
"""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from service.access import Actor, authenticate
from tenants.database import Database

if TYPE_CHECKING:
    from service.issuers import Issuers

HELD_SECONDS: Final = 1.0
"""How old what is known of an actor may be, counted from before it was read."""

MOST_HELD: Final = 10_000
"""Actors in memory at most, some KiB each; the longest known leave first."""


@dataclass(frozen=True, slots=True)
class _Held:
    actor: Actor
    until: float


class Actors:
    """The actors of one process, by the SHA-256 of their tokens."""

    def __init__(
        self, db: Database, signing_key: str, *, issuers: "Issuers | None" = None, most: int = MOST_HELD
    ) -> None:
        self._db = db
        self._issuers = issuers
        self._signing_key = signing_key
        self._most = most
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self.reads = 0
        """How often the database was asked."""

    def __len__(self) -> int:
        return len(self._held)

    def held(self, token: str) -> Actor | None:
        """The actor, if it is known for less than a second and its token has not ended."""
        found = self._held.get(hashlib.sha256(token.encode()).digest())
        return None if found is None or time.monotonic() >= found.until else found.actor

    async def of(self, token: str, *, request_id: str | None = None) -> Actor:
        """The actor behind a token, in a request; raises AccessDenied (UNAUTHENTICATED)."""
        return (await self.known(token)).in_request(request_id)

    async def known(self, token: str) -> Actor:
        """The actor behind a token, in no request; raises AccessDenied (UNAUTHENTICATED)."""
        actor = self.held(token)
        if actor is None:
            until = time.monotonic() + HELD_SECONDS
            actor = await authenticate(self._db, self._signing_key, token, issuers=self._issuers)
            self.reads += 1
            if actor.expires_at is not None:
                now = time.monotonic()
                until = min(until, now + (actor.expires_at - datetime.now(UTC)).total_seconds())
            self._keep(token, _Held(actor, until))
        return actor

    def _keep(self, token: str, held: _Held) -> None:
        key = hashlib.sha256(token.encode()).digest()
        self._held[key] = held
        self._held.move_to_end(key)
        now = time.monotonic()
        while self._held:
            longest = next(iter(self._held.values()))
            if longest.until > now and len(self._held) <= self._most:
                break
            self._held.popitem(last=False)
