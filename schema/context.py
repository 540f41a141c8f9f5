"""What the resolvers of one operation share: who asks, in which language, and the snapshot it reads (请求上下文)."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from schema.sql import Statement, Viewpoint
from schema.stock import Loader
from service.access import Actor
from service.language import Language
from service.settings import Settings
from tenants.database import Database, ReadTransaction


@dataclass
class Context:
    """One operation. `close` must be called when it has ended; a WebSocket opens one per operation."""

    db: Database
    settings: Settings
    actor: Actor | None
    language: Language
    request_id: str | None = None
    held: bool = False
    """Whether the actor may be known from a moment ago, so that a write reads it again."""
    performed: object | None = None
    """The payload of the operation's one mutation, where that has run already and is only written out."""
    _loader: Loader | None = None
    _reader: ReadTransaction | None = None

    @property
    def viewpoint(self) -> Viewpoint:
        """Whose eyes the reads are made with; only after sign-in."""
        if self.actor is None:
            raise LookupError("Nobody is signed in, so there is no tenant to read.")
        language = "EN" if self.language == "en" else "ZH_CN"
        return Viewpoint(self.actor.tenant_id, self.actor.id, self.actor.sees_all, language, self.actor.time_zone)

    @property
    def loader(self) -> Loader:
        """What puts the fields of many rows together."""
        if self._loader is None:
            self._loader = Loader()
        return self._loader

    @property
    def reader(self) -> ReadTransaction:
        """The read-only snapshot of the operation; opened by its first statement."""
        if self._reader is None:
            self._reader = self.db.reading(self.viewpoint.tenant_id)
        return self._reader

    def statement(self) -> Statement:
        """A new statement for the viewer."""
        return Statement(self.viewpoint)

    async def fetch(self, sql: str, statement: Statement) -> Sequence[asyncpg.Record]:
        """Rows of a statement, in the operation's snapshot."""
        return await self.reader.fetch(sql, *statement.arguments)

    async def close(self) -> None:
        """Give up the snapshot, and what is still asked of it; whatever is read later sees a new one."""
        if self._loader is not None:
            await self._loader.stop()
        if self._reader is not None:
            await self._reader.close()


def open_context(
    db: Database,
    settings: Settings,
    *,
    actor: Actor | None,
    language: Language,
    request_id: str | None = None,
    held: bool = False,
) -> Context:
    """The context of one operation; touches no database until something is read."""
    return Context(db=db, settings=settings, actor=actor, language=language, request_id=request_id, held=held)
