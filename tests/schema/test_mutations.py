"""The mutation runner: keys, twins, secrets, refusals of every kind, and faults that write nothing (变更执行)."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tortoise.exceptions import OperationalError

from schema import errors as typed
from schema.context import Context
from schema.directory import Category
from schema.errors import as_error
from schema.mapping import described, input_type, payload
from schema.mutations import MUTATIONS, MutationField, Outcome, mutation
from schema.rows import record_of
from schema.schema import build_schema
from schema.stock import load_row
from service import errors as refusals
from service.access import Actor
from service.directory import create_category
from service.errors import ErrorCode
from service.ids import decode_id
from service.scoring.text import Text
from tenants.database import Database, Transaction, _bound
from tenants.ids import uuid7
from tests.schema.conftest import Caller
from tests.schema.test_directory import CREATE_CATEGORY, IMPORT

pytestmark = pytest.mark.anyio


@input_type
class TryInput:
    """A trial."""

    code: str = described("Code of a category.")
    raises: int = described("Which failure comes after the write; -1 for none.")
    idempotency_key: str = described("Key.")


@payload
class TrySuccess:
    """A trial is done."""

    category: Category = described("The category.")
    at: str = described("When.")
    token: str | None = described("Shown once.", secret=True)


FAILURES: list[Exception] = [
    ZeroDivisionError("a fault of ours"),
    asyncpg.LockNotAvailableError("late"),
    asyncpg.SerializationError("twice"),
    OperationalError("wrapped"),
]
FAILURES[3].__cause__ = asyncpg.DeadlockDetectedError("dead")


async def try_it(tx: Transaction, actor: Actor, given: TryInput) -> Outcome:
    """Tries."""
    key = await create_category(tx, actor, code=given.code, name=given.code)
    if given.raises >= 0:
        raise FAILURES[given.raises]
    return {"category": key, "at": datetime(2026, 1, 2, tzinfo=UTC), "token": "kp_secret"}


@pytest.fixture
def field() -> MutationField:
    """The trial as a mutation that no other test sees."""
    build_schema()
    mutation(TrySuccess)(try_it)
    return MUTATIONS.pop("try_it")


@pytest.fixture
def context(administrator: Caller) -> Context:
    return Context(administrator.db, administrator.settings, administrator.actor, "en")


async def run(field: MutationField, context: Context, code: str, *, raises: int = -1, key: str = "k") -> Any:
    given = TryInput(code=code, raises=raises, idempotency_key=key)
    try:
        return await field.get_result(None, _Info(context), [], {"input": given})
    finally:
        await context.close()


class _Info:
    def __init__(self, context: Context) -> None:
        self.context = context


async def codes(db: Database, context: Context) -> list[str]:
    assert context.actor is not None
    async with db.transaction(context.actor.tenant_id) as tx:
        rows = await tx.fetch("SELECT code FROM categories WHERE tenant_id = $1 ORDER BY code", tx.tenant_id)
    return [row["code"] for row in rows]


async def test_a_secret_is_shown_once(field: MutationField, context: Context) -> None:
    first = await run(field, context, "a")
    again = await run(field, context, "a")
    assert (type(first), first.token, first.at) == (TrySuccess, "kp_secret", datetime(2026, 1, 2, tzinfo=UTC))
    assert (type(again), again.token, again.at) == (TrySuccess, None, "2026-01-02T00:00:00.000000+00:00")
    assert first.category.__dict__["_record"] == again.category.__dict__["_record"]


@pytest.mark.parametrize("which", [1, 2, 3])
async def test_what_may_be_gone_at_the_next_try_is_unavailable(
    field: MutationField, context: Context, db: Database, which: int
) -> None:
    refusal = await run(field, context, "a", raises=which)
    assert isinstance(refusal, typed.IdempotencyError)
    assert (refusal.code, refusal.retryable) == (ErrorCode.UNAVAILABLE, True)
    assert await codes(db, context) == []
    # Nothing was kept under the key.
    assert isinstance(await run(field, context, "b"), TrySuccess)


async def test_a_surprise_is_raised_and_writes_nothing(field: MutationField, context: Context, db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await run(field, context, "a", raises=0)
    assert await codes(db, context) == []


async def test_twins_have_one_effect(administrator: Caller, db: Database) -> None:
    given = {"code": "sq", "name": "社区", "idempotencyKey": "twin"}
    answers = await asyncio.gather(*(administrator.ask(CREATE_CATEGORY, input=given) for _ in range(3)))
    assert len({answer["createCategory"]["category"]["id"] for answer in answers}) == 1


async def test_a_twin_that_waits_too_long_is_told_so(administrator: Caller, db: Database) -> None:
    given = {"code": "sq", "name": "社区", "idempotencyKey": "slow"}
    assert administrator.actor is not None
    async with db.transaction(administrator.actor.tenant_id) as tx:
        await tx.execute(
            """INSERT INTO idempotency_keys (tenant_id, actor_id, mutation, key, input_hash, outcome)
               VALUES ($1, $2, 'create_category', 'slow', '', '{}')""",
            tx.tenant_id,
            administrator.actor.id,
        )
        answer = (await asyncio.create_task(_outside(administrator, given)))["createCategory"]
    assert (answer["__typename"], answer["code"]) == ("IdempotencyError", "IDEMPOTENCY_IN_PROGRESS")


async def _outside(caller: Caller, given: dict[str, Any]) -> dict[str, Any]:
    _bound.set(None)  # The task inherits the mark of the transaction around it, and is none of its.
    return await caller.ask(CREATE_CATEGORY, input=given)


async def test_two_mutations_of_a_document_are_two_transactions(administrator: Caller) -> None:
    data = await administrator.ask(
        """mutation ($a: CreateCategoryInput!, $b: CreateCategoryInput!) {
             a: createCategory(input: $a) { __typename }
             b: createCategory(input: $b) { __typename ... on Error { code } }
             c: createCategory(input: $a) { __typename ... on CreateCategorySuccess { category { name } } } }""",
        a={"code": "a", "name": "甲", "idempotencyKey": "1"},
        b={"code": "a", "name": "乙", "idempotencyKey": "2"},
    )
    assert data == {
        "a": {"__typename": "CreateCategorySuccess"},
        "b": {"__typename": "InputError", "code": "DUPLICATE"},
        "c": {"__typename": "CreateCategorySuccess", "category": {"name": "甲"}},
    }


async def test_every_refusal_has_its_type(administrator: Caller, context: Context) -> None:
    data = await administrator.ask(
        IMPORT, input={"units": [{"code": "a", "name": "甲", "kind": "BRANCH"}], "idempotencyKey": "k"}
    )
    unit = decode_id(data["importOrgUnits"]["orgUnits"][0]["id"], "OrgUnit")
    assert unit is not None
    said = Text(zh="不行。", en="No.")
    contact = refusals.Contact(role="ORGANISER", unit_id=unit, display_name="李")
    hidden = uuid7()
    cases: list[tuple[refusals.KaopingError, type]] = [
        (refusals.Invalid([refusals.Issue(ErrorCode.INVALID, ("input", "x"), said)]), typed.InputError),
        (refusals.NotFound(("input", "id")), typed.NotFoundError),
        (refusals.AccessDenied(said, required_roles=["ORGANISER"], contacts=[contact]), typed.AccessError),
        (
            refusals.IllegalState(
                said, state="OPEN", legal_from=["DRAFT"], contacts=[contact], subject=("OrgUnit", unit)
            ),
            typed.StateError,
        ),
        (
            refusals.VersionConflict([refusals.Conflict(("input", "version"), 2, "OrgUnit", unit)]),
            typed.VersionConflictError,
        ),
        (
            refusals.VersionConflict([refusals.Conflict(("input", "version"), 2, "OrgUnit", hidden)]),
            typed.NotFoundError,
        ),
        (refusals.IdempotencyRefused(in_progress=True), typed.IdempotencyError),
        (refusals.Unavailable(), typed.IdempotencyError),
        (refusals.KaopingError(ErrorCode.THROTTLED, said), typed.InputError),
    ]
    for refusal, expected in cases:
        made = await as_error(context, refusal)
        assert type(made) is expected, refusal
        assert made.message
    state = await as_error(context, cases[3][0])
    assert isinstance(state, typed.StateError)
    assert state.subject is not None
    assert record_of(state.contacts[0]) == {"role": "ORGANISER", "unit_id": unit, "display_name": "李"}
    await context.close()


async def test_what_is_asked_when_an_operation_ends_is_given_up(context: Context) -> None:
    """A connection must not be taken by an operation that nobody waits for any more."""
    future = load_row(context, Category, UUID(int=1))
    await context.close()
    with pytest.raises(asyncio.CancelledError):
        await future
    running = load_row(context, Category, UUID(int=1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await context.close()
    assert running.done()
