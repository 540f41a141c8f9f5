"""Wake-ups (变更唤醒): a word through Redis that something changed, for whoever waits to look at it again.

The first reader of the outbox. A relay in every worker publishes each event on its tenant's channel; every API process
listens to all of them and wakes those who wait for one of the ids. A word carries nothing but ids: whoever is woken
reads the row, so that a word which is lost, doubled or late does no harm. Where Redis is away nobody waits for words.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import metrics, outbox
from service.addresses import place_of
from service.outbox import Event
from tenants.database import Database, Transaction

READER: Final = "wakeups"
"""Its name among the readers of the outbox."""

CHANNEL: Final = "kaoping:changed:"
"""The tenant's id follows."""

LOOK_SECONDS: Final = 0.2
"""How often a relay asks which tenants have events."""

PAUSE_SECONDS: Final = 1.0
"""Pause after Redis or the database failed."""

REDIS_SECONDS: Final = 2.0
"""How long Redis may take to answer."""

log = logging.getLogger(__name__)


def _redis(url: str) -> Redis:
    made: Redis = Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    return made


def _cancelled() -> bool:
    """Whether the task is to end: where a time-out comes together with it, redis-py keeps a cancellation to itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# --- telling ----------------------------------------------------------------------------------------------------------


class Relay:
    """Tells the events of all tenants, beside the relays of other workers."""

    def __init__(self, db: Database, redis_url: str) -> None:
        self._db = db
        self._redis = _redis(redis_url)

    async def run(self) -> None:
        """Until it is cancelled. Where Redis is away the events wait; they are told when it is back."""
        away = False
        while not _cancelled():
            try:
                for tenant_id in await outbox.waiting(self._db, READER):
                    while await outbox.relay(self._db, tenant_id, READER, self.publish) == outbox.MOST_AT_ONCE:
                        pass
                away = False
            except Exception as error:
                # Said once per outage.
                if not away:
                    log.warning("Changes are not told for the moment; whoever watches looks by itself. %s", error)
                away = True
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  # spreads load

    async def publish(self, _tx: Transaction, events: Sequence[Event]) -> None:
        """Publish in order; raises RedisError or OSError."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for event in events:
                pipeline.publish(f"{CHANNEL}{event.tenant_id}", message(event))
            await pipeline.execute()
        metrics.OUTBOX_TOLD.labels(READER).inc(len(events))

    async def close(self) -> None:
        """Close its connections."""
        await self._redis.aclose()


def message(event: Event) -> bytes:
    """What is published of an event."""
    return orjson.dumps(
        {
            "id": str(event.id),
            "sequence": event.sequence,
            "kind": event.kind,
            "subject": [event.subject[0], str(event.subject[1])],
            "ids": {name: str(key) for name, key in event.ids.items()},
        }
    )


# --- hearing ----------------------------------------------------------------------------------------------------------


class Word:
    """What one waits for: woken when a change of its object is told."""

    def __init__(self, source: "Wakeups | None" = None) -> None:
        self._source = source
        self._event = asyncio.Event()

    @property
    def expected(self) -> bool:
        """Whether words are heard now; else one has to look for oneself."""
        return self._source is not None and self._source.listening

    def clear(self) -> None:
        """Forget what was told until now: the object is about to be looked at."""
        self._event.clear()

    def wake(self) -> None:
        """Something changed, or may have."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Until it is woken, or that long; whether it was woken."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        return self._event.is_set()


class Wakeups:
    """Hears the words of all tenants in one process and hands them to those who wait."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._waiting: dict[tuple[UUID, UUID], set[Word]] = {}
        self.listening = False
        """Whether words are heard now."""

    @contextlib.contextmanager
    def waiting_for(self, tenant_id: UUID, key: UUID) -> Iterator[Word]:
        """A word about the object of that id."""
        word = Word(self)
        found = self._waiting.setdefault((tenant_id, key), set())
        found.add(word)
        try:
            yield word
        finally:
            found.discard(word)
            if not found and self._waiting.get((tenant_id, key)) is found:
                del self._waiting[tenant_id, key]

    async def run(self) -> None:
        """Until it is cancelled; listens again after Redis was lost."""
        away = False
        while not _cancelled():
            redis = _redis(self._url)
            try:
                async with redis.pubsub(ignore_subscribe_messages=True) as heard:
                    await heard.psubscribe(f"{CHANNEL}*")
                    self._listening(True)
                    away = False
                    while not _cancelled():
                        told = await heard.get_message(timeout=1.0)
                        if told is not None:
                            self._hand_out(told["channel"], told["data"])
            except (RedisError, OSError, TimeoutError) as error:
                # Said once per outage.
                if not away:
                    log.warning(
                        "Redis at %s does not answer; whoever watches looks by itself. "
                        "Start it, or correct KAOPING_REDIS_URL. %s",
                        place_of(self._url),
                        error,
                    )
                away = True
            finally:
                self._listening(False)
                with contextlib.suppress(RedisError, OSError):
                    await redis.aclose()
            await asyncio.sleep(PAUSE_SECONDS)

    def _listening(self, now: bool) -> None:
        # Whoever waits looks for itself: what was told in between was not heard.
        self.listening = now
        for words in list(self._waiting.values()):
            for word in words:
                word.wake()

    def _hand_out(self, channel: bytes, data: bytes) -> None:
        tenant_id = UUID(channel.decode().removeprefix(CHANNEL))
        told = orjson.loads(data)
        for key in {told["subject"][1], *told["ids"].values()}:
            for word in self._waiting.get((tenant_id, UUID(key)), ()):
                word.wake()


@contextlib.contextmanager
def waiting_for(db: Database, tenant_id: UUID, key: UUID) -> Iterator[Word]:
    """A word about an object, from whoever hears of changes in this process."""
    wakeups = db.wakeups
    if not isinstance(wakeups, Wakeups):
        yield Word()
        return
    with wakeups.waiting_for(tenant_id, key) as word:
        yield word
