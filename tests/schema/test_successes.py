"""Rows of a success read in the mutation's own transaction: one transaction, and the answer that others would get."""

import asyncio
import uuid
from typing import Any

import pytest

from schema.context import open_context
from schema.schema import build_schema
from service.access import Actor, Role
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database, Statement, observe_statements
from tenants.provisioning import District
from tests.factories import OpenCycle, open_cycle
from tests.schema.conftest import Caller

pytestmark = pytest.mark.anyio

COLUMNS = "__typename id state version revision note"


def save(selection: str, rest: str = "") -> str:
    """saveEntries with a selection of its success."""
    return f"""mutation ($input: SaveEntriesInput!) {{ saveEntries(input: $input) {{
        ... on SaveEntriesSuccess {{ {selection} }} ... on Error {{ code message path }} }} }} {rest}"""


FRAGMENT = "fragment Whole on Entry { id state task { state } }"
AT_ONCE = (save(f"entries {{ {COLUMNS} }}"), save("all: entries { ... on Entry { id } state }"))
AFTERWARDS = (
    save(f"entries {{ {COLUMNS} task {{ state }} }}"),
    save("entries { id display }"),
    save("entries { ...Whole }", FRAGMENT),
    save("entries { id } more: entries { ...Whole }", FRAGMENT),
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
    entry = {"taskId": encode_id("Task", task), "content": {"number": "12"}, "version": version, "note": "备注"}
    return {"entries": [entry], "idempotencyKey": str(uuid.uuid4())}


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
            inputs = await given(cycle, "b1", "A", version=version)
            sent.clear()
            answer = await Caller(db, settings, secretary).ask(document, input=inputs)
            assert "code" not in answer["saveEntries"], answer
            version = (version or 0) + 1
            assert sum(sql.startswith("BEGIN") for sql in sent) == (1 if document in AT_ONCE else 2), document
            if document in AT_ONCE:
                last, end = sent[-2:]
                assert ("UPDATE idempotency_keys" in last, "FROM entries r" in last, end) == (True, True, "COMMIT")
    finally:
        await db.close()


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
    filler = Caller(cycle.db, settings, await cycle.person((role, unit, narrow)))
    inputs = await given(cycle, "b1", code)
    first = await filler.ask(AT_ONCE[0], input=inputs)
    (entry,) = first["saveEntries"]["entries"]
    assert (entry["state"], entry["version"], entry["revision"], entry["note"]) == ("DRAFT", 1, 1, "备注")
    assert await filler.ask(AT_ONCE[0], input=inputs) == first, "a replay reads them after the commit"
    read = await filler.ask(f"query ($id: ID!) {{ node(id: $id) {{ ... on Entry {{ {COLUMNS} }} }} }}", id=entry["id"])
    assert read["node"] == entry


async def test_twins_have_one_effect(cycle: OpenCycle, settings: Settings) -> None:
    secretary = Caller(cycle.db, settings, await cycle.person((Role.SECRETARY, "b1")))
    inputs = await given(cycle, "b1", "A")
    answers = await asyncio.gather(*(secretary.ask(AT_ONCE[0], input=inputs) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["saveEntries"]["entries"][0]["version"] == 1


async def test_an_actor_known_from_a_moment_ago_is_read_again(cycle: OpenCycle, settings: Settings) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    inputs = await given(cycle, "b1", "A")
    first = await _held(cycle.db, settings, secretary, inputs)
    assert first["entries"][0]["version"] == 1
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await tx.execute(
            "UPDATE members SET active = false WHERE tenant_id = $1 AND id = $2", tx.tenant_id, secretary.id
        )
    for sent in (inputs, await given(cycle, "b1", "A", version=1)):
        assert (await _held(cycle.db, settings, secretary, sent))["code"] == "UNAUTHENTICATED"


async def _held(db: Database, settings: Settings, actor: Actor, inputs: dict[str, Any]) -> Any:
    context = open_context(db, settings, actor=actor, language="en", held=True)
    try:
        result = await build_schema().execute(AT_ONCE[0], variable_values={"input": inputs}, context_value=context)
    finally:
        await context.close()
    assert not getattr(result, "errors", None)
    data: Any = getattr(result, "data", None)
    return data["saveEntries"]
