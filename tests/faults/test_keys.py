"""20 keys by 20 callers at once against an API that is killed and started again: exactly 20 effects.

A caller repeats its request until it has an answer, as any client would that has lost one. The mutation makes a new row
each time it takes effect, and nothing but the key keeps it from doing so twice.
"""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from service.settings import Settings
from tenants.database import Database
from tests.asking import TRUSTED
from tests.e2e.client import Installation
from tests.small import expiry

pytestmark = pytest.mark.anyio

CREATE = """mutation ($input: CreateServiceTokenInput!) { createServiceToken(input: $input) { __typename
    ... on CreateServiceTokenSuccess { secret serviceToken { id displayName } }
    ... on Error { code message } } }"""

AGAIN = {"IDEMPOTENCY_IN_PROGRESS", "UNAVAILABLE"}
"""Codes after which a client tries again."""


@dataclass
class Api:
    """The API as a process that can be killed: its address is another one after each start."""

    environment: dict[str, str]
    url: str = ""
    kills: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)
    """Callers that lost an answer wait for it; hundreds that knock in vain would take the processor from its start."""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and learn its address."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.main", "serve", "--port", "0", "--host", "127.0.0.1", "--with-parent"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                self.url = found[0]
                break
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/livez", timeout=5, verify=TRUSTED).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("The API did not start.")

    def kill(self) -> None:
        """End it as the power does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        self.kills += 1


@contextmanager
def running(settings: Settings) -> Iterator[Api]:
    """An API, started; gone at the end."""
    api = Api({**os.environ, **settings.environment(), "KAOPING_LOG_LEVEL": "warning"})
    api.start()
    try:
        yield api
    finally:
        api.kill()


@dataclass
class Tally:
    """What the callers met."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    """Tokens by key, one of each caller."""
    secrets: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    """Requests without an answer."""
    told_to_wait: int = 0


async def call(
    api: Api, client: httpx.AsyncClient, room: asyncio.Semaphore, token: str, key: str, tally: Tally
) -> None:
    """One caller: again and again until it has its answer."""
    grants = [{"role": "OBSERVER", "unitId": ROOT[0]}]
    given = {"displayName": f"平台{key}", "grants": grants, "expiresAt": EXPIRY, "idempotencyKey": key}
    while True:
        try:
            async with room:
                await api.up.wait()
                response = await client.post(
                    f"{api.url}/graphql",
                    json={"query": CREATE, "variables": {"input": given}},
                    headers={"authorization": f"Bearer {token}", "accept-language": "en"},
                )
            answer = response.json()["data"]["createServiceToken"]
        except (httpx.TransportError, ValueError):
            tally.lost += 1
            await asyncio.sleep(random.uniform(0.01, 0.1))  # spreads load
            continue
        if answer.get("code") in AGAIN:
            tally.told_to_wait += 1
            continue
        assert answer["__typename"] == "CreateServiceTokenSuccess", answer
        tally.answers.setdefault(key, []).append(answer["serviceToken"])
        tally.secrets[key] = tally.secrets.get(key, 0) + (answer["secret"] is not None)
        return


EXPIRY = expiry()
ROOT: list[str] = []


@asynccontextmanager
async def broken(api: Api, every: float) -> AsyncIterator[None]:
    """Kill the API again and again, and start it at once; at the end it is up."""
    over = asyncio.Event()

    async def breaking() -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.5, 1.5) * every):  # a random moment
                    await over.wait()
            if over.is_set():
                return
            api.up.clear()
            await asyncio.to_thread(api.kill)
            await asyncio.to_thread(api.start)
            api.up.set()

    api.up.set()
    task = asyncio.create_task(breaking())
    try:
        yield
    finally:
        # A thread that kills or starts it can't be called back.
        over.set()
        await task


async def twenty_by_twenty(
    settings: Settings, db: Database, *, keys: int, callers: int, every: float, least_kills: int, limit: float
) -> None:
    with running(settings) as api:
        installation = Installation(api.url, api.environment)
        code = await asyncio.to_thread(installation.district)
        administrator = await asyncio.to_thread(installation.client, code, "ADMINISTRATOR")
        found = await asyncio.to_thread(administrator.query, "{ orgUnits { edges { node { id } } } }")
        ROOT[:] = [found["orgUnits"]["edges"][0]["node"]["id"]]
        ((tenant_id,),) = await db.fetch_global("SELECT id FROM directory WHERE code = $1", code)
        assert administrator.token is not None
        tally, begun, rounds = Tally(), time.monotonic(), 0
        # Two keys with all their callers at a time: httpx looks through all that wait at each request.
        room, limits = asyncio.Semaphore(2 * callers), httpx.Limits(max_connections=2 * callers)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client, broken(api, every):
            # One round is over in a moment; more follow under new keys until enough was broken.
            while rounds == 0 or (api.kills < least_kills and time.monotonic() - begun < limit):
                named = [f"{rounds}-{number}" for number in range(keys)]
                await asyncio.gather(
                    *(call(api, client, room, administrator.token, key, tally) for key in named for _ in range(callers))
                )
                rounds += 1
        wanted = rounds * keys
        async with db.transaction(tenant_id) as tx:
            made = await tx.fetch(
                """SELECT display_name, count(*) FROM actors
                   WHERE tenant_id = $1 AND display_name LIKE '平台%' GROUP BY 1""",
                tenant_id,
            )
            recorded = await tx.fetchval(
                "SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND action = 'createServiceToken' "
                "AND actor_id IS NOT NULL",
                tenant_id,
            )
            kept = await tx.fetchval("SELECT count(*) FROM idempotency_keys WHERE tenant_id = $1", tenant_id)
        print(  # noqa: T201  # figures of the run
            f"{wanted} keys × {callers} callers, {api.kills} kills, {tally.lost} answers lost, {tally.told_to_wait} "
            f"told to wait: {len(made)} effects, {sum(row['count'] for row in made) - len(made)} doubled"
        )
        assert api.kills >= least_kills
        assert {row["count"] for row in made} == {1}
        assert (len(made), recorded, kept) == (wanted, wanted, wanted)
        assert all(len(answers) == callers for answers in tally.answers.values())
        assert all(len({token["id"] for token in answers}) == 1 for answers in tally.answers.values())
        assert max(tally.secrets.values()) <= 1, "the secret is shown once, or was lost with its answer"


async def test_twenty_keys_by_twenty_callers_have_twenty_effects(settings: Settings, db: Database) -> None:
    await twenty_by_twenty(settings, db, keys=20, callers=20, every=3.0, least_kills=1, limit=60)


@pytest.mark.long
async def test_the_same_with_many_crashes(settings: Settings, db: Database) -> None:
    await twenty_by_twenty(settings, db, keys=20, callers=20, every=3.0, least_kills=15, limit=600)
