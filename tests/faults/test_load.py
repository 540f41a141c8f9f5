"""Reads and writes at a steady rate on two API processes, one of which is told to end in the middle.

Whoever waits for an answer gets one, whatever was acknowledged is in the database once, and memory does not grow.
"""

import asyncio
import contextlib
import faulthandler
import itertools
import os
import re
import signal
import statistics
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access import Role, system_actor
from service.ids import encode_id
from service.members import GrantSpec, create_service_token
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District, create_tenant
from tests.asking import TRUSTED
from tests.bench.loading import load
from tests.e2e.client import Client
from tests.e2e.conftest import Process, process
from tests.faults.wire import Dropped, Wire
from tests.small import today

pytestmark = pytest.mark.anyio

UNITS, ITEMS = 60, 5
DRAIN_SECONDS = 3.0
"""A balancer that is late by that finds nobody where it sends."""
WRITES = 0.3

WORKLIST = """query Worklist($id: ID!) { cycle(id: $id) { name state
    tasks(first: 20) { edges { node { id state dueOn unit { name } dataItem { code name } entry { version } } } } } }"""
UNIT = "query Unit($id: ID!) { node(id: $id) { ... on OrgUnit { id code name category { code } parent { name } } } }"
SAVE = """mutation Save($input: SaveEntriesInput!) { saveEntries(input: $input) { __typename
    ... on SaveEntriesSuccess { entries { version } } ... on Error { code message } } }"""


@dataclass
class Api:
    """A process of the API."""

    process: Process
    url: str
    ready: bool = True

    @property
    def resident_bytes(self) -> int:
        """Memory that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[Api]:
    """One that answers."""
    told = {**environment, "KAOPING_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with process(told, "serve", "--port", "0", said=subprocess.PIPE) as started:
        assert started.stderr is not None
        url = next(found[0] for line in started.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/readyz", trust_env=False, verify=TRUSTED).is_success:
                    break
            time.sleep(0.05)
        yield Api(started, url)


@dataclass
class Loaded:
    """A district with an open cycle, and who fills it in."""

    district: District
    token: str
    cycle: str
    tasks: list[uuid.UUID]
    units: list[str]


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """What the processes are told."""
    return {**os.environ, **settings.environment(), "KAOPING_LOG_LEVEL": "warning"}


@pytest.fixture
async def loaded(request: pytest.FixtureRequest, db: Database, owner_url: str, environment: dict[str, str]) -> Loaded:
    """Made by SQL, opened by a worker."""
    if request.node.get_closest_marker("long"):
        # These take longer than a test may that hangs.
        faulthandler.cancel_dump_traceback_later()
    district = await create_tenant(
        owner_url,
        code=f"load-{time.monotonic_ns()}",
        name="大区",
        time_zone="Asia/Shanghai",
        root_code="root",
        root_name="区委",
    )
    async with db.transaction(district.id) as tx:
        made = await load(tx, units=UNITS, items=ITEMS, due_on=today() + timedelta(days=30))
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL", tx.tenant_id)
        token = await create_service_token(
            tx,
            system_actor(district.id),
            display_name="load",
            grants=[GrantSpec(role, encode_id("OrgUnit", root)) for role in (Role.ORGANISER, Role.SECRETARY)],
            expires_at="2199-01-01T00:00:00Z",
        )
    cycle = encode_id("Cycle", made.cycle_id)

    def opened() -> None:
        with serving(environment) as api, process(environment, "worker"):
            client = Client(api.url, token.secret)
            job = client.mutate("openCycle", "job { id }", cycleId=cycle, version=1)["job"]
            assert client.wait_for_job(job["id"]) == "SUCCEEDED"

    await asyncio.to_thread(opened)
    async with db.transaction(district.id) as tx:
        rows = await tx.fetch("SELECT id FROM tasks WHERE tenant_id = $1 ORDER BY id", tx.tenant_id)
    units = [encode_id("OrgUnit", unit) for unit in made.unit_ids]
    return Loaded(district, token.secret, cycle, [row["id"] for row in rows], units)


@dataclass
class Traffic:
    """What was asked and answered."""

    loaded: Loaded
    apis: list[Api]
    answered: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    acknowledged: Counter[uuid.UUID] = field(default_factory=Counter)

    async def run(self, wire: Wire, *, rate: float, seconds: float) -> None:
        """So many operations a second, whether or not the last ones are answered yet."""
        versions: dict[uuid.UUID, int] = {}
        idle = asyncio.Queue[uuid.UUID]()
        for task in self.loaded.tasks:
            idle.put_nowait(task)
        turn = itertools.cycle(range(len(self.apis)))
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                # A balancer that asks /readyz, as they do in front of a cluster.
                while not any(api.ready for api in self.apis):  # noqa: ASYNC110  # one of several is waited for
                    await asyncio.sleep(0.05)
                api = next(api for at in turn if (api := self.apis[at]).ready)
                if number % 10 < WRITES * 10:
                    group.create_task(self._save(wire, api, idle, versions))
                else:
                    group.create_task(self._read(wire, api, number))

    async def _read(self, wire: Wire, api: Api, number: int) -> None:
        if number % 2:
            given = {"query": WORKLIST, "variables": {"id": self.loaded.cycle}}
        else:
            given = {"query": UNIT, "variables": {"id": self.loaded.units[number % UNITS]}}
        await self._post(wire, api, given)
        self.answered["read"] += 1

    async def _save(self, wire: Wire, api: Api, idle: asyncio.Queue[uuid.UUID], versions: dict[uuid.UUID, int]) -> None:
        task = await idle.get()
        version = versions.get(task)
        entry: dict[str, Any] = {"taskId": encode_id("Task", task), "content": {"number": f"{(version or 0) % 100}.25"}}
        if version is not None:
            entry["version"] = version
        given = {"input": {"entries": [entry], "idempotencyKey": str(uuid.uuid4())}}
        data = await self._post(wire, api, {"query": SAVE, "variables": given})
        assert data["saveEntries"]["__typename"] == "SaveEntriesSuccess", data
        versions[task] = data["saveEntries"]["entries"][0]["version"]
        self.acknowledged[task] += 1
        self.answered["write"] += 1
        idle.put_nowait(task)

    async def _post(self, wire: Wire, api: Api, given: dict[str, Any]) -> Any:
        began = time.monotonic()
        try:
            _, body = await wire.post(api.url, given, self.loaded.token)
        except (Dropped, OSError) as error:
            raise AssertionError(f"{api.url}: {type(error).__name__} {error}, of {self.answered}") from error
        self.seconds.append(time.monotonic() - began)
        if "errors" in body:
            raise AssertionError(f"{api.url}: {body['errors']}, of {self.answered}")
        return body["data"]

    def latency(self, share: float) -> float:
        """Milliseconds within which so many were answered."""
        return statistics.quantiles(self.seconds, n=1000)[round(share * 1000) - 1] * 1000


@contextlib.asynccontextmanager
async def balancing(apis: list[Api]) -> AsyncIterator[Wire]:
    """Asks each process five times a second whether it is ready."""

    async def watch(http: httpx.AsyncClient, api: Api) -> None:
        while True:
            try:
                api.ready = (await http.get(f"{api.url}/readyz", timeout=10)).status_code == 200
            except httpx.HTTPError:
                api.ready = False
            await asyncio.sleep(0.2)

    wire = Wire()
    async with httpx.AsyncClient(trust_env=False) as asking:
        watching = [asyncio.create_task(watch(asking, api)) for api in apis]
        try:
            yield wire
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await wire.close()


async def nothing_lost(db: Database, traffic: Traffic) -> None:
    """Each acknowledged value was written once, with its event, and nothing else."""
    async with db.transaction(traffic.loaded.district.id) as tx:
        rows = await tx.fetch(
            """SELECT e.task_id, count(r.id) AS revisions FROM entries e
               JOIN entry_revisions r ON r.tenant_id = e.tenant_id AND r.entry_id = e.id
               WHERE e.tenant_id = $1 GROUP BY 1""",
            tx.tenant_id,
        )
        audited = await tx.fetchval(
            "SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND action = 'saveEntries'", tx.tenant_id
        )
    assert {row["task_id"]: row["revisions"] for row in rows} == dict(traffic.acknowledged)
    assert audited == sum(traffic.acknowledged.values())


def told(traffic: Traffic, rate: float, seconds: float) -> None:
    """Show the figures, with `pytest -s`."""
    print(  # noqa: T201  # what was measured
        f"\n{rate:g} a second for {seconds:g} s: {traffic.answered['read']} reads, {traffic.answered['write']} writes, "
        f"no faults; half within {traffic.latency(0.5):.1f} ms, 99 % within {traffic.latency(0.99):.1f} ms"
    )


@contextlib.asynccontextmanager
async def two(environment: dict[str, str]) -> AsyncIterator[list[Api]]:
    """Two processes of the API."""
    with contextlib.ExitStack() as stack:
        yield [await asyncio.to_thread(stack.enter_context, serving(environment)) for _ in range(2)]


@pytest.mark.parametrize(
    ("rate", "seconds"), [(20, 10), pytest.param(100, 60, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_one_of_two_processes_ends_and_nothing_is_dropped(
    db: Database, loaded: Loaded, environment: dict[str, str], rate: float, seconds: float
) -> None:
    async with two(environment) as apis, balancing(apis) as wire:
        traffic = Traffic(loaded, apis)

        async def end_one() -> int:
            await asyncio.sleep(seconds / 2)
            os.kill(apis[0].process.pid, signal.SIGTERM)
            return await asyncio.to_thread(apis[0].process.wait, 60)

        ending = asyncio.create_task(end_one())
        await traffic.run(wire, rate=rate, seconds=seconds)
        assert await ending == 0
    assert traffic.answered == {"read": rate * seconds * (1 - WRITES), "write": rate * seconds * WRITES}
    await nothing_lost(db, traffic)
    told(traffic, rate, seconds)


@pytest.mark.long
async def test_memory_stays_flat_over_ten_minutes(db: Database, loaded: Loaded, environment: dict[str, str]) -> None:
    rate, minutes = 30, 10
    async with two(environment) as apis, balancing(apis) as wire:
        traffic = Traffic(loaded, apis)
        held: list[list[int]] = []

        async def look() -> None:
            while True:
                held.append([api.resident_bytes for api in apis])
                await asyncio.sleep(5)

        looking = asyncio.create_task(look())
        await traffic.run(wire, rate=rate, seconds=60 * minutes)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    await nothing_lost(db, traffic)
    told(traffic, rate, 60 * minutes)
    for number, one in enumerate(zip(*held, strict=True)):
        # The first two minutes fill caches: documents, plans, statements.
        third, last = statistics.median(one[24:36]), statistics.median(one[-12:])
        print(f"process {number}: {third / 2**20:.1f} MiB in minute 3, {last / 2**20:.1f} in the last")  # noqa: T201  # as above
        assert last - third < 8 * 2**20, [value // 2**20 for value in one]
