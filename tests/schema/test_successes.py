"""Mutations whose success is rows at hand: one transaction, and the answer that the stock executor would give."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from schema.context import open_context
from schema.execution import Engine, encode
from schema.options import EndpointOptions
from schema.requests import GraphQLRequest
from schema.schema import build_schema
from service import idempotency, reports
from service.access import Actor, Role
from service.ids import encode_id
from service.settings import Settings
from tenants.database import COMMITTING, Database, Statement, observe_statements
from tenants.provisioning import District
from tests.factories import OpenCycle, open_cycle

pytestmark = pytest.mark.anyio

COLUMNS = "__typename id state version revision note"


def save(selection: str, rest: str = "") -> str:
    """saveEntries with a selection of its success."""
    return f"""mutation ($input: SaveEntriesInput!) {{ saveEntries(input: $input) {{
        ... on SaveEntriesSuccess {{ {selection} }} ... on Error {{ code message path }} }} }} {rest}"""


COLUMNS_OF = "fragment Columns on Node { id ... on Entry { version state } }"
FRAGMENT = "fragment Whole on Entry { id state task { state } }"
AT_ONCE = (
    save(f"entries {{ {COLUMNS} }}"),
    save("__typename all: entries { ... on Entry { id } of: __typename ...Columns state at source }", COLUMNS_OF),
    save("entries { id state }").replace("saveEntries(", "saved: saveEntries("),
)
AFTERWARDS = (
    save(f"entries {{ {COLUMNS} task {{ state }} }}"),
    save("entries { id display }"),
    save("entries { ...Whole }", FRAGMENT),
    save("entries { id } more: entries { ...Whole }", FRAGMENT),
    save("entries { id }")
    .replace("$input)", "$input) @include(if: $yes)")
    .replace("($input:", "($yes: Boolean!, $input:"),
)


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


async def given(cycle: OpenCycle, unit: str, code: str, *, version: int | None = None) -> dict[str, Any]:
    """The input that saves a number."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        task = await tx.fetchval(
            "SELECT id FROM tasks WHERE tenant_id = $1 AND cycle_unit_id = $2 AND data_item_id = $3",
            cycle.tenant.id,
            cycle.members[unit],
            cycle.items[code],
        )
    content = {"choice": "good"} if code == "C" else {"number": "12"}
    entry = {"taskId": encode_id("Task", task), "content": content, "version": version, "note": "备注"}
    return {"entries": [entry], "idempotencyKey": str(uuid.uuid4())}


PLANNED, STOCK = (Engine(build_schema(), EndpointOptions(plans=plans)) for plans in (True, False))


async def send(
    db: Database, settings: Settings, actor: Actor, document: str, engine: Engine = PLANNED, **variables: Any
) -> Any:
    """The whole answer to an operation of somebody who is known from a moment ago."""
    context = open_context(db, settings, actor=actor, language="en", held=True)
    try:
        operation = engine.prepare(GraphQLRequest(document, variables, None), "en")
        answer = await engine.execute(operation, variables, context, "test")
    finally:
        await context.close()
    return json.loads(encode(answer.body))


async def ask(*args: Any, **variables: Any) -> Any:
    """What the one mutation of an operation without errors gives."""
    (found,) = (await send(*args, **variables))["data"].values()
    return found


async def test_columns_alone_need_no_second_transaction(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    sent: list[str] = []

    def note(statement: Statement) -> None:
        sent.append(statement.query)

    observe_statements(note)
    try:
        assert settings.database_url is not None
        db = await Database.connect(settings.database_url.get_secret_value(), max_size=1)
    finally:
        observe_statements(None)
    try:
        version = None
        for document in (*AT_ONCE, *AFTERWARDS):
            # No cross check looks at it.
            inputs = await given(cycle, "b1", "C", version=version)
            sent.clear()
            answer = await ask(db, settings, secretary, document, input=inputs, yes=True)
            assert "code" not in answer, answer
            version = (version or 0) + 1
            # asyncpg tells of a statement a moment later.
            await asyncio.sleep(0)
            # What begins may be spared; asyncpg asks a new connection once what types it has.
            asked = [sql for sql in sent if "tenant_id" in sql and "BEGIN ISOLATION" not in sql]
            if document in AT_ONCE:
                one, commit = asked
                assert "INSERT INTO entries" in one, document
                assert commit.startswith(COMMITTING), document
            else:
                assert len(asked) > 2, document
    finally:
        await db.close()


@pytest.mark.parametrize("document", [*AT_ONCE, *AFTERWARDS])
async def test_the_stock_executor_answers_the_same(cycle: OpenCycle, settings: Settings, document: str) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    first = await given(cycle, "b1", "A")
    stale = {**first, "idempotencyKey": "stale"}
    wrong = {"entries": [{**first["entries"][0], "taskId": "nonsense"}], "idempotencyKey": "wrong"}
    hidden = await given(cycle, "b2", "A")
    inputs: Any
    for inputs in (first, first, stale, wrong, hidden, {"entries": []}, None):
        planned, stock = [
            await send(cycle.db, settings, secretary, document, engine, input=inputs, yes=True)
            for engine in (PLANNED, STOCK)
        ]
        # The second of them is a replay, which reads the same rows.
        assert planned == stock


async def test_a_surprise_is_told_in_the_same_place(
    cycle: OpenCycle, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reports, "save_entries", fail)
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")
    answers = [
        await send(cycle.db, settings, secretary, AT_ONCE[0], engine, input=inputs) for engine in (PLANNED, STOCK)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["data"] == {"saveEntries": None}
    assert answers[0]["errors"][0]["path"] == ["saveEntries"]


@pytest.mark.parametrize(
    ("role", "unit", "narrow", "code"),
    [
        (Role.SECRETARY, "b1", {}, "A"),
        (Role.SECRETARY, "root", {}, "A"),
        (Role.SECRETARY, "b1", {"items": ["A"]}, "A"),
    ],
)
async def test_the_answer_is_that_of_a_reading_afterwards(
    cycle: OpenCycle, settings: Settings, role: Role, unit: str, narrow: dict[str, Any], code: str
) -> None:
    filler = cycle.db, settings, await cycle.person((role, unit, narrow))
    inputs = await given(cycle, "b1", code)
    first = await ask(*filler, AT_ONCE[0], input=inputs)
    (entry,) = first["entries"]
    assert (entry["state"], entry["version"], entry["revision"], entry["note"]) == ("DRAFT", 1, 1, "备注")
    assert await ask(*filler, AT_ONCE[0], input=inputs) == first, "a replay reads them after the commit"
    read = f"query ($id: ID!) {{ node(id: $id) {{ ... on Entry {{ {COLUMNS} }} }} }}"
    assert await ask(*filler, read, id=entry["id"]) == entry


async def test_twins_have_one_effect(cycle: OpenCycle, settings: Settings) -> None:
    secretary = cycle.db, settings, await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")
    answers = await asyncio.gather(*(ask(*secretary, AT_ONCE[0], input=inputs) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["entries"][0]["version"] == 1


async def test_a_twin_that_waits_too_long_is_told_so(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")
    claim = idempotency.claim_of("save_entries", inputs["idempotencyKey"], {})

    async def outside() -> Any:
        return await ask(cycle.db, settings, secretary, AT_ONCE[0], input=inputs)

    waiting = asyncio.Event()
    told = asyncio.create_task(_after(waiting, outside))
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        assert await idempotency.find(tx, secretary, claim) is None
        waiting.set()
        answer = await told
    assert answer["code"] == "IDEMPOTENCY_IN_PROGRESS"


async def test_who_waits_for_another_writer_is_told_to_come_again(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")

    async def outside() -> Any:
        return await ask(cycle.db, settings, secretary, AT_ONCE[0], input=inputs)

    waiting = asyncio.Event()
    told = asyncio.create_task(_after(waiting, outside))
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await tx.execute("SELECT FROM tasks WHERE tenant_id = $1 FOR UPDATE", tx.tenant_id)
        waiting.set()
        answer = await told
    assert answer["code"] == "UNAVAILABLE"


async def _after(event: asyncio.Event, run: Callable[[], Awaitable[Any]]) -> Any:
    await event.wait()
    return await run()


async def test_a_role_given_a_moment_ago_counts_at_once(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1", {"items": ["A"]}))
    plain = replace(secretary, grants=tuple(replace(grant, data_item_ids=()) for grant in secretary.grants))
    assert secretary.narrowed
    assert not plain.narrowed
    answer = await ask(cycle.db, settings, plain, AT_ONCE[0], input=await given(cycle, "b1", "A"))
    assert answer["entries"][0]["version"] == 1


async def test_an_actor_known_from_a_moment_ago_is_read_again(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")
    first = await ask(cycle.db, settings, secretary, AT_ONCE[0], input=inputs)
    assert first["entries"][0]["version"] == 1
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await tx.execute(
            "UPDATE members SET active = false WHERE tenant_id = $1 AND id = $2", tx.tenant_id, secretary.id
        )
    for sent in (inputs, await given(cycle, "b1", "A", version=1)):
        answer = await ask(cycle.db, settings, secretary, AT_ONCE[0], input=sent)
        assert answer["code"] == "UNAUTHENTICATED"
