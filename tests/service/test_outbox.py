"""The outbox: events stand and fall with their change, in one order, told at least once and never out of order."""

import asyncio
import contextlib
import contextvars
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from service import audit, outbox
from service.access import system_actor
from service.outbox import Event
from service.scoring.text import Text
from service.wakeups import CHANNEL, READER, Relay, Wakeups, waiting_for
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District

pytestmark = pytest.mark.anyio

SUBJECTS = [uuid7() for _ in range(3)]


async def change(db: Database, tenant: District, number: int, *, subject: UUID | None = None) -> None:
    """A change on record."""
    async with db.transaction(tenant.id) as tx:
        await audit.append(
            tx,
            system_actor(tenant.id),
            f"change{number}",
            subject=("Cycle", subject or SUBJECTS[number % len(SUBJECTS)]),
            summary=Text(zh="一", en="one"),
            ids={"cycleId": SUBJECTS[0]},
        )


async def changes(db: Database, tenant: District, count: int) -> None:
    """Changes at once."""
    await asyncio.gather(*(change(db, tenant, number) for number in range(count)))


async def test_an_event_stands_and_falls_with_its_change(db: Database, tenant: District) -> None:
    await changes(db, tenant, 20)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(tenant.id) as tx:
            await outbox.write(tx, "lost", subject=("Tenant", tenant.id))
            raise ZeroDivisionError
    async with db.transaction(tenant.id) as tx:
        await outbox.write(tx, "told", subject=("Tenant", tenant.id))
    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch("SELECT * FROM outbox_events WHERE tenant_id = $1 ORDER BY sequence", tenant.id)
        recorded = await tx.fetch(
            "SELECT id, action FROM audit_events WHERE tenant_id = $1 ORDER BY sequence", tenant.id
        )
    assert [row["sequence"] for row in rows] == list(range(1, 22)), "no gap, whatever was taken back"
    assert [(row["id"], row["kind"]) for row in rows[:-1]] == [(row["id"], row["action"]) for row in recorded]
    assert rows[-1]["kind"] == "told"
    assert orjson.loads(rows[0]["ids"]) == {"cycleId": str(SUBJECTS[0])}


async def test_two_relays_and_crashes_tell_all_in_order(db: Database, tenant: District) -> None:
    told: list[Event] = []
    tellings = crashes = 0

    async def deliver(_tx: Transaction, events: Sequence[Event]) -> None:
        nonlocal tellings, crashes
        tellings += 1
        for event in events:
            told.append(event)
            await asyncio.sleep(0)
        # Every third time it is told, and the relay falls before it has written that down.
        if tellings % 3 == 0 and crashes < 10:
            crashes += 1
            raise ConnectionError

    async def relays() -> None:
        while writing or tenant.id in await outbox.waiting(db, "test"):
            with contextlib.suppress(ConnectionError):
                await outbox.relay(db, tenant.id, "test", deliver, limit=4)
            await asyncio.sleep(0)

    writing = True
    running = [asyncio.create_task(relays()) for _ in range(2)]
    for _ in range(4):
        await changes(db, tenant, 15)
    writing = False
    await asyncio.gather(*running)
    assert crashes > 2
    async with db.transaction(tenant.id) as tx:
        ids = [
            row["id"]
            for row in await tx.fetch("SELECT id FROM outbox_events WHERE tenant_id = $1 ORDER BY sequence", tenant.id)
        ]
    first_told = list({event.id: event for event in told}.values())
    assert [event.id for event in first_told] == ids, "each at least once, under its own id, in the order of commits"
    assert len(told) > len(ids), "what was told before a crash is told again"
    # What is told again follows on from where it was left: nobody hears of a later event and then of an unheard one.
    newest = 0
    for event in told:
        assert event.sequence <= newest + 1
        newest = max(newest, event.sequence)


async def test_a_relay_leaves_what_another_is_telling(db: Database, tenant: District) -> None:
    await change(db, tenant, 0)
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_tx: Transaction, _events: Sequence[Event]) -> None:
        holding.set()
        await go_on.wait()

    assert await outbox.relay(db, tenant.id, "test", slow) == 0, "a new reader is noted first"
    first = asyncio.create_task(outbox.relay(db, tenant.id, "test", slow))
    await holding.wait()
    assert await outbox.relay(db, tenant.id, "test", slow) == 0
    go_on.set()
    assert await first == 1
    assert tenant.id not in await outbox.waiting(db, "test")
    assert tenant.id in await outbox.waiting(db, "another"), "each reader has a position of its own"


async def test_what_commits_while_a_relay_finds_nothing_is_told_by_the_next(
    db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    async def deliver(_tx: Transaction, events: Sequence[Event]) -> None:
        told.extend(event.sequence for event in events)

    await change(db, tenant, 0)
    assert await outbox.relay(db, tenant.id, "test", deliver) == 0, "a new reader is noted first"
    assert await outbox.relay(db, tenant.id, "test", deliver) == 1
    fetch = Transaction.fetch

    async def fetch_before_a_commit(tx: Transaction, sql: str, *values: Any) -> list[Any]:
        rows = await fetch(tx, sql, *values)
        monkeypatch.undo()
        # In a context of its own, as that of another process is.
        await asyncio.create_task(change(db, tenant, 1), context=contextvars.Context())
        return rows

    monkeypatch.setattr(Transaction, "fetch", fetch_before_a_commit)
    assert await outbox.relay(db, tenant.id, "test", deliver) == 0, "another relay had told all that there was"
    assert tenant.id in await outbox.waiting(db, "test")
    assert await outbox.relay(db, tenant.id, "test", deliver) == 1
    assert told == [1, 2]


async def test_what_is_old_is_removed_and_passed_over(db: Database, tenant: District) -> None:
    await changes(db, tenant, 3)

    async def never(_tx: Transaction, _events: Sequence[Event]) -> None:
        raise AssertionError

    async with db.transaction(tenant.id) as tx:
        assert await outbox.purge(tx) == 0
        assert await outbox.purge(tx, older_than=timedelta(0)) == 3
    assert await outbox.relay(db, tenant.id, "late", never) == 0
    assert await outbox.relay(db, tenant.id, "late", never) == 0
    assert tenant.id not in await outbox.waiting(db, "late")


KILLED = """
import asyncio, os, sys
from uuid import UUID
from service import outbox
from service.wakeups import READER, Relay
from tenants.database import Database

class Killed(Relay):
    async def publish(self, tx, events):
        await super().publish(tx, events)
        os.kill(os.getpid(), 9)

async def main():
    db = await Database.connect(sys.argv[1])
    while True:
        await outbox.relay(db, UUID(sys.argv[3]), READER, Killed(db, sys.argv[2]).publish)

asyncio.run(main())
"""


async def test_a_relay_killed_after_it_told_tells_the_same_events_again(
    db: Database, tenant: District, app_url: str, redis_url: str
) -> None:
    await changes(db, tenant, 5)
    redis: Redis = Redis.from_url(redis_url)
    async with redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(f"{CHANNEL}{tenant.id}")
        killed = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", KILLED, app_url, redis_url, str(tenant.id)], check=False
        )
        assert killed.returncode == -9
        relay = Relay(db, redis_url)
        # Its connection may still hold the lock for a moment.
        while not await outbox.relay(db, tenant.id, READER, relay.publish):  # noqa: ASYNC110  # another's lock
            await asyncio.sleep(0.05)
        await relay.close()
        messages: list[Any] = []
        while len(messages) < 10:
            if (message := await heard.get_message(timeout=5)) is not None:
                messages.append(orjson.loads(message["data"]))
    await redis.aclose()
    assert [message["sequence"] for message in messages] == [1, 2, 3, 4, 5] * 2
    assert [message["id"] for message in messages[:5]] == [message["id"] for message in messages[5:]]


async def test_whoever_waits_is_woken_by_the_subject_and_by_what_it_touches(
    db: Database, tenant: District, redis_url: str
) -> None:
    relay, wakeups = Relay(db, redis_url), Wakeups(redis_url)
    running = [asyncio.create_task(relay.run()), asyncio.create_task(wakeups.run())]
    db.wakeups = wakeups
    try:
        while not wakeups.listening:  # noqa: ASYNC110  # it tells nobody else
            await asyncio.sleep(0.01)
        other = uuid7()
        with (
            waiting_for(db, tenant.id, other) as of_subject,
            waiting_for(db, tenant.id, SUBJECTS[0]) as of_cycle,
            waiting_for(db, uuid7(), other) as elsewhere,
        ):
            assert of_subject.expected
            await change(db, tenant, 1, subject=other)
            assert await of_subject.wait(5)
            assert await of_cycle.wait(5)
            assert not await elsewhere.wait(0.1)
    finally:
        db.wakeups = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await relay.close()


async def test_who_hears_ends_also_where_redis_py_keeps_the_cancellation_to_itself(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where its time-out comes at the same moment."""
    hearing = asyncio.Event()

    async def get_message(*_: object, **__: object) -> None:
        first = not hearing.is_set()
        hearing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not first:
                raise

    monkeypatch.setattr(PubSub, "get_message", get_message)
    running = asyncio.create_task(Wakeups(redis_url).run())
    await hearing.wait()
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=10)
    running.cancel()
    assert ended


async def test_without_redis_nobody_expects_a_word(db: Database, tenant: District) -> None:
    wakeups = Wakeups("redis://127.0.0.1:1")
    running = asyncio.create_task(wakeups.run())
    db.wakeups = wakeups
    try:
        await asyncio.sleep(0.1)
        with waiting_for(db, tenant.id, SUBJECTS[0]) as word:
            assert not word.expected
    finally:
        db.wakeups = None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
