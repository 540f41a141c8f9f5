"""Kaoping beside PostGraphile 5 on one database, and beside itself without plans: ratios of one run (与同类对比).

Rounds are interleaved and their order rotates, so that what else the machine does falls on all alike; medians are
compared. Each server is one process, asked over four keep-alive connections by a generator in a process of its own. No
ratio is told where the two answers differ in content. The table is printed and written to build/bench.json.
"""

import asyncio
import base64
import faulthandler
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import orjson
import pytest

from service import embedded
from service.access import issue_jwt
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.migrate import migrate
from tenants.provisioning import create_tenant
from tests.bench.measured_district import Measured, build
from tests.bench.questions import BOARD, KAOPING_SAVE, POSTGRAPHILE_SAVE, QUESTIONS, Question, Side, same
from tests.bench.running import BUILD, HERE, Server, bare_app, database_cpu_ms, kaoping, postgraphile
from tests.bench.telling import report

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

CONNECTIONS, ROUNDS, SECONDS = 4, 5, 2.0
SAVES, WARMING = 1000, 150
"""Values that each connection saves in a round, and before all rounds: statements are planned anew five times, and
compilers take their time. Rounds of half as many spread by 15 %."""
LARGE, SMALL = int(os.environ.get("BENCH_UNITS", "10000")), 100
"""Units of the two districts; with BENCH_UNITS=500 it is all over in a minute, to try it out."""

Json = dict[str, Any]


@dataclass
class Bench:
    """The servers, and what was measured."""

    settings: Settings
    large: Measured
    small: Measured
    servers: dict[str, Server] = field(default_factory=dict)
    rows: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def token(self, who: str, measured: Measured) -> str:
        """A bearer token of one of the district's members."""
        assert self.settings.signing_key is not None
        key = self.settings.signing_key.get_secret_value()
        member = measured.organiser if who == "organiser" else measured.secretary
        assert member is not None
        return issue_jwt(key, tenant_id=measured.tenant.id, member_id=member, minutes=400).token

    def side(self, server: str, question: Question) -> Side:
        """The question in the server's words."""
        return question.postgraphile if server == "postgraphile" else question.kaoping


def post(port: int, token: str, body: Json) -> bytes:
    """A request as bytes."""
    text = orjson.dumps(body)
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def get(port: int, token: str, address: str) -> bytes:
    """A GET as bytes."""
    return (
        f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def generate(port: int, connections: Sequence[Sequence[bytes]], seconds: float | None, contains: str = "") -> Json:
    """What the generator counted; every answer must be one that is wanted."""
    spec = {
        "port": port,
        "connections": [[base64.b64encode(each).decode() for each in requests] for requests in connections],
        "seconds": seconds,
        "contains": contains,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "load_generator.py")], input=json.dumps(spec), capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    counted: Json = json.loads(done.stdout)
    assert not counted["failed"], (counted["failed"], base64.b64decode(counted["last"])[:2000])
    return counted


def sha256(text: str) -> str:
    """The hash of a document."""
    return hashlib.sha256(text.encode()).hexdigest()


def answer(port: int, token: str, body: Json) -> Json:
    """The answer to one request."""
    given = httpx.post(
        f"http://127.0.0.1:{port}/graphql", json=body, headers={"authorization": f"Bearer {token}"}, timeout=120
    )
    read: Json = given.json()
    return read


# --- the district and the servers


@pytest.fixture(scope="module")
def durable() -> Iterator[Settings]:
    """Embedded servers that keep what they are told, as real ones do."""
    folder = Path(tempfile.mkdtemp(prefix="kaoping-bench-"))
    own = Settings.read(data=folder)
    try:
        servers = embedded.start(folder, postgres_version=own.embedded_postgres, durable=True)
        yield own.on(servers)
    finally:
        embedded.remove(folder)


@pytest.fixture(scope="module")
def districts(durable: Settings) -> tuple[Measured, Measured]:
    """A large district and a small one."""
    # It takes longer than a test may that hangs.
    faulthandler.cancel_dump_traceback_later()
    return asyncio.run(_loaded(durable))


async def _loaded(durable: Settings) -> tuple[Measured, Measured]:
    assert durable.database_url is not None
    assert durable.database_owner_url is not None
    app, owner = durable.database_url.get_secret_value(), durable.database_owner_url.get_secret_value()
    await migrate(owner, app)
    db = await Database.connect(app)
    try:
        made = []
        for units, cycles in ((LARGE, 3), (SMALL, 1)):
            tenant = await create_tenant(
                owner,
                code=f"bench{units}",
                name="测试区",
                time_zone="Asia/Shanghai",
                root_code="root",
                root_name="中共测试区委员会",
            )
            made.append(await build(db, tenant, units=units, items=100, cycles=cycles))
    finally:
        await db.close()
    connection = await asyncpg.connect(owner)
    try:
        await connection.execute("SET ROLE kp_owner")
        await connection.execute((HERE / "postgraphile" / "functions.sql").read_text())
        await connection.execute("RESET ROLE")
    finally:
        await connection.close()
    await _settled(durable)
    return made[0], made[1]


async def _settled(settings: Settings) -> None:
    """Statistics and visibility maps as they are some minutes after a load, and no checkpoint in the middle."""
    address = embedded.addresses(settings.data).superuser_url
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("VACUUM (ANALYZE)", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def bench(durable: Settings, districts: tuple[Measured, Measured]) -> Iterator[Bench]:
    """All servers, each one process."""
    large, small = districts
    bench = Bench(durable, large, small)
    # One line per request is the default of neither's rival.
    environment = {**durable.environment(), "KAOPING_LOG_LEVEL": "warning"}
    BUILD.mkdir(exist_ok=True)
    manifest = BUILD / "bench-documents.json"
    manifest.write_bytes(orjson.dumps({sha256(BOARD.kaoping.document): BOARD.kaoping.document}))
    asked = {
        "query": BOARD.kaoping.document,
        "variables": BOARD.kaoping.variables(large),
        "token": bench.token("organiser", large),
    }
    try:
        bench.servers["kaoping"] = kaoping("kaoping", {**environment, "KAOPING_TRUSTED_DOCUMENTS": str(manifest)})
        bench.servers["bare"] = bare_app({**environment, "BENCH_ASKED": orjson.dumps(asked).decode()})
        bench.servers["without plans"] = kaoping("without-plans", {**environment, "KAOPING_PLANS": "false"})
        try:
            bench.servers["postgraphile"] = postgraphile(
                {
                    "GRAPHILE_ENV": "production",
                    "DATABASE_URL": environment["KAOPING_DATABASE_URL"],
                    "SIGNING_KEY": environment["KAOPING_SIGNING_KEY"],
                }
            )
        except LookupError as missing:
            bench.notes.append(str(missing))
        yield bench
    finally:
        for server in bench.servers.values():
            server.stop()
        report(bench.rows, bench.notes)


# --- rounds


def rounds(bench: Bench, row: Json, asked: Mapping[str, Sequence[Sequence[bytes]]]) -> None:
    """Ask each server in turn, five times over, in rotating order; medians go into the row."""
    names = list(asked)
    counted: dict[str, list[Json]] = {name: [] for name in names}
    for name in names:
        generate(bench.servers[name].port, asked[name], 0.5)
    for number in range(ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            counted[name].append(measured(bench, name, asked[name], SECONDS))
    add(bench, row, counted)


def measured(
    bench: Bench, name: str, connections: Sequence[Sequence[bytes]], seconds: float | None, contains: str = ""
) -> Json:
    """One round of one server, with the CPU that it and the database took for each request."""
    server = bench.servers[name]
    before = server.cpu_ms(), database_cpu_ms(bench.settings.data)
    found = generate(server.port, connections, seconds, contains)
    after = server.cpu_ms(), database_cpu_ms(bench.settings.data)
    found["cpu_ms"], found["database_ms"] = ((b - a) / found["count"] for a, b in zip(before, after, strict=True))
    return found


def add(bench: Bench, row: Json, counted: Mapping[str, list[Json]]) -> None:
    """Medians, and the spread of what is told."""
    row["servers"] = {}
    for name, found in counted.items():
        each = row["servers"][name] = {
            key: statistics.median(one[key] for one in found)
            for key in ("per_second", "p50_ms", "p99_ms", "cpu_ms", "database_ms")
        }
        each["low"], each["high"] = (take(one["per_second"] for one in found) for take in (min, max))
    bench.rows.append(row)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_question(bench: Bench, question: Question) -> None:
    asked: dict[str, list[list[bytes]]] = {}
    told: dict[str, Json] = {}
    token = bench.token(question.who, bench.large)
    for name, server in bench.servers.items():
        if name == "bare" and question is not BOARD:
            continue
        side = bench.side(name, question)
        body = {"query": side.document, "variables": side.variables(bench.large)}
        told[name] = answer(server.port, token, body)
        assert not told[name].get("errors"), told[name]
        asked[name] = [[post(server.port, token, body)]] * CONNECTIONS
    assert told["kaoping"] == told["without plans"] == told.get("bare", told["kaoping"])
    row: Json = {"name": question.name, "goal": question.goal, "bytes": len(orjson.dumps(told["kaoping"]))}
    if "postgraphile" in told:
        # No ratio of answers that say different things.
        assert same(question, told["kaoping"], told["postgraphile"]), (told["kaoping"], told["postgraphile"])
    rounds(bench, row, asked)


def test_published_board_from_memory(bench: Bench) -> None:
    """GET with a trusted document's hash, the token checked; against PostGraphile's answer to the same board."""
    variables = BOARD.kaoping.variables(bench.large)
    token = bench.token("organiser", bench.large)
    query = {"documentId": f"sha256:{sha256(BOARD.kaoping.document)}", "variables": orjson.dumps(variables).decode()}
    address = f"/graphql?{urlencode(query)}"
    server = bench.servers["kaoping"]
    headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
    kept = [httpx.get(f"http://127.0.0.1:{server.port}{address}", headers=headers) for _ in range(3)][-1]
    fresh = answer(server.port, token, {"query": BOARD.kaoping.document, "variables": variables})
    assert kept.json() == fresh
    assert "etag" in kept.headers
    asked = {"kaoping": [[get(server.port, token, address)]] * CONNECTIONS}
    if "postgraphile" in bench.servers:
        side = BOARD.postgraphile
        body = {"query": side.document, "variables": side.variables(bench.large)}
        rival = bench.servers["postgraphile"].port
        assert same(BOARD, fresh, answer(rival, token, body))
        asked["postgraphile"] = [[post(rival, token, body)]] * CONNECTIONS
    rounds(bench, {"name": "published board from memory, token checked", "goal": 50.0}, asked)
    known = get(server.port, token, address)[:-2] + f"If-None-Match: {kept.headers['etag']}\r\n\r\n".encode()
    rounds(bench, {"name": "the same, which the browser has (304)"}, {"kaoping": [[known]] * CONNECTIONS})


def test_large_and_small(bench: Bench) -> None:
    """The same page costs the same in a district of a hundred units and in one of ten thousand."""
    port = bench.servers["kaoping"].port
    for question in QUESTIONS:
        counted: dict[str, list[float]] = {"large": [], "small": []}
        asked = {}
        for name, measured in (("large", bench.large), ("small", bench.small)):
            body = {
                "query": question.kaoping.document,
                "variables": question.kaoping.variables(measured),
            }
            asked[name] = [[post(port, bench.token(question.who, measured), body)]] * CONNECTIONS
        for number in range(ROUNDS):
            for name in ("large", "small") if number % 2 else ("small", "large"):
                counted[name].append(generate(port, asked[name], SECONDS / 2)["per_second"])
        times = statistics.median(counted["small"]) / statistics.median(counted["large"])
        bench.rows.append({"name": f"{question.name}: {LARGE:,} units over {SMALL}", "times": times, "most": 1.5})


def test_saving_a_value(bench: Bench) -> None:
    """`saveEntries` of one value; each connection saves its own task, again and again."""
    names = [name for name in ("kaoping", "postgraphile") if name in bench.servers]
    tasks = iter(bench.large.tasks)
    mine = {name: [next(tasks) for _ in range(CONNECTIONS)] for name in names}
    versions = dict.fromkeys((task for each in mine.values() for task in each), 0)
    token = bench.token("secretary", bench.large)
    counted: dict[str, list[Json]] = {name: [] for name in names}

    def save(name: str, task: uuid.UUID) -> bytes:
        seen, number = versions[task], f"{versions[task] % 10_000 / 100:.2f}"
        versions[task] += 1
        if name == "postgraphile":
            variables: Json = {"task": str(task), "number": number, "version": seen, "key": str(uuid.uuid4())}
            return post(bench.servers[name].port, token, {"query": POSTGRAPHILE_SAVE, "variables": variables})
        entry: Json = {"taskId": encode_id("Task", task), "content": {"number": number}, "version": seen or None}
        given = {"entries": [entry], "idempotencyKey": str(uuid.uuid4())}
        return post(bench.servers[name].port, token, {"query": KAOPING_SAVE, "variables": {"input": given}})

    for number in range(-1, ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            count = SAVES if number >= 0 else WARMING
            sent = [[save(name, task) for _ in range(count)] for task in mine[name]]
            # What was refused has no version, in either server.
            found = measured(bench, name, sent, None, '"version":')
            if number >= 0:
                counted[name].append(found)
    add(bench, {"name": "saveEntries, one value", "goal": 1.3}, counted)


async def test_the_same_was_written(bench: Bench, durable: Settings) -> None:
    """Both servers left as many rows per save in every table."""
    if "postgraphile" not in bench.servers:
        pytest.skip("PostGraphile was left out.")
    assert durable.database_url is not None
    db = await Database.connect(durable.database_url.get_secret_value())
    saved = (ROUNDS * SAVES + WARMING) * CONNECTIONS
    try:
        async with db.transaction(bench.large.tenant.id, read_only=True) as tx:
            for table, condition in {
                "entry_revisions": "by_id = $2",
                "audit_events": "actor_id = $2 AND action = 'saveEntries'",
                "idempotency_keys": "actor_id = $2",
                # One with each audit event, under its id.
                "outbox_events": """kind = 'saveEntries' AND id IN (
                    SELECT id FROM audit_events WHERE tenant_id = $1 AND actor_id = $2)""",
            }.items():
                count = await tx.fetchval(
                    f"SELECT count(*) FROM {table} WHERE tenant_id = $1 AND {condition}",
                    tx.tenant_id,
                    bench.large.secretary,
                )
                assert count == 2 * saved, table
    finally:
        await db.close()


def test_memory(bench: Bench) -> None:
    """After all of it."""
    bench.rows.append(
        {"name": "memory of the process, MiB", "memory": {n: server.memory() for n, server in bench.servers.items()}}
    )
