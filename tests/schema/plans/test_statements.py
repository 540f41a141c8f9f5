"""One statement per operation, and what PostgreSQL makes of it: rows of large tables are found by their keys."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest

from schema.context import Context, open_context
from schema.execution import Engine
from schema.plans.plan import Sight
from schema.requests import GraphQLRequest
from service.access import Actor, authenticate, issue_jwt
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import create_tenant
from tests.bench.loading import look_over
from tests.bench.measured_district import Measured, build
from tests.bench.questions import QUESTIONS, Question
from tests.reading import nodes_of, rows_read
from tests.schema.plans.conftest import Both

pytestmark = pytest.mark.anyio

LARGE = {
    "assessments",
    "audit_events",
    "cycle_unit_ancestors",
    "cycle_units",
    "entries",
    "entry_revisions",
    "org_unit_ancestors",
    "org_units",
    "standing_details",
    "standing_dimensions",
    "standings",
    "tasks",
}
"""Tables that grow with the units of a district."""


@pytest.fixture(scope="module")
def owner_url(apart: Settings) -> str:
    """As the role that provisions."""
    assert apart.database_owner_url is not None
    return apart.database_owner_url.get_secret_value()


@pytest.fixture(scope="module")
async def db(apart: Settings) -> AsyncIterator[Database]:
    """As the app's role."""
    assert apart.database_url is not None
    database = await Database.connect(apart.database_url.get_secret_value())
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def measured(db: Database, owner_url: str) -> Measured:
    """A district of some hundred units in the middle of a year, which PostgreSQL has looked over."""
    code = f"test-{uuid.uuid4().hex[:12]}"
    tenant = await create_tenant(
        owner_url, code=code, name="测试区", time_zone="Asia/Shanghai", root_code="root", root_name="中共测试区委员会"
    )
    made = await build(db, tenant, units=200, items=10, cycles=2)
    await look_over(owner_url)
    return made


class Counting:
    """Stands in the place of the database and counts what is read."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.statements = 0

    async def read(self, *given: Any) -> Any:
        """One statement."""
        self.statements += 1
        return await self.db.read(*given)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"A plan asked for {name} of the database.")


async def actor_of(db: Database, settings: Settings, measured: Measured, who: str) -> Actor:
    """The organiser or the secretary."""
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    member = getattr(measured, who)
    return await authenticate(db, key, issue_jwt(key, tenant_id=measured.tenant.id, member_id=member, minutes=5).token)


def context_of(db: Any, settings: Settings, actor: Actor) -> Context:
    """One operation's."""
    return open_context(db, settings, actor=actor, language="en", request_id="test")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
async def test_a_hot_operation_is_one_statement(
    db: Database, settings: Settings, measured: Measured, both: Both, question: Question
) -> None:
    actor = await actor_of(db, settings, measured, question.who)
    counting = Counting(db)
    document, variables = question.kaoping.document, question.kaoping.variables(measured)
    operation = both.planned.prepare(GraphQLRequest(document, variables, None), "en")
    answer = await both.planned.execute(operation, variables, context_of(counting, settings, actor), "test")
    assert "errors" not in answer.body
    assert counting.statements == 1


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
async def test_rows_of_large_tables_are_found_by_their_keys(
    db: Database, settings: Settings, measured: Measured, both: Both, question: Question
) -> None:
    """Of the plan that PostgreSQL keeps for all tenants and viewers.

    Some hundred units are few enough to be read and hashed as a whole. That way is shut here, so that the plan is the
    one of a district where it costs too much; scans of whole tables are as free as ever.
    """
    actor = await actor_of(db, settings, measured, question.who)
    nodes = list(await explained(db, settings, both.planned, measured, actor, question))
    assert len(nodes) > 3
    careless = {}
    for node in nodes:
        table, kind = node.get("Relation Name"), node["Node Type"]
        if table not in LARGE or kind == "Bitmap Heap Scan":
            continue
        conditions = node.get("Index Cond", "")
        if kind == "Seq Scan" or "tenant_id" not in conditions or " AND " not in conditions:
            careless[f"{kind} of {table}"] = conditions
    assert not careless


@pytest.mark.parametrize(
    ("listed", "order", "limit"),
    [
        ("tasks", "", 200),
        ("tasks", "orderBy: [{field: UNIT}]", 200),
        ("tasks", "orderBy: [{field: UNIT, direction: DESC}]", 200),
        ("assessments", "", 200),
        ("assessments", "orderBy: [{field: UNIT}]", 200),
        ("tasks", "orderBy: [{field: DUE}]", 200),
        # An item has 200 and a leaf as well, which are put in order, for two pages.
        ("tasks", "orderBy: [{field: ITEM}]", 1_000),
        ("assessments", "orderBy: [{field: INDICATOR}]", 1_000),
        ("latestRun { standings", "orderBy: [{field: UNIT}]", 500),
    ],
)
@pytest.mark.parametrize("page", ["first: 20", "first: 20, after: $cursor", "last: 20", "last: 20, before: $cursor"])
async def test_a_page_of_a_cycle_reads_no_more_than_it_shows(
    db: Database,
    settings: Settings,
    measured: Measured,
    both: Both,
    listed: str,
    order: str,
    limit: int,
    page: str,
) -> None:
    """There are 2,000 tasks and as many assessments, 200 standings, and an older cycle with as many."""
    actor = await actor_of(db, settings, measured, "organiser")

    async def ask(given: str, cursor: str | None) -> tuple[list[Any], int]:
        """The edges, and how many rows and index entries PostgreSQL has read for them.

        A variable must be used: `again` does so where the page itself does not.
        """
        close = "}" * listed.count("{")
        document = f"""query ($id: ID!, $cursor: String) {{
            cycle(id: $id) {{ {listed}({given} {order}) {{ edges {{ cursor node {{ id }} }} }} {close} }}
            again: cycle(id: $id) {{ {listed}(first: 1, after: $cursor {order}) {{ edges {{ cursor }} }} {close} }}
        }}"""
        variables = {"id": encode_id("Cycle", measured.cycles[-1]), "cursor": cursor}
        operation = both.planned.prepare(GraphQLRequest(document, variables, None), "en")
        assert both.planned.plans is not None
        ready = both.planned.plans.prepare(operation, variables, Sight.of(actor), "en")
        async with db.transaction(measured.tenant.id, read_only=True) as tx:
            before = await rows_read(tx)
            answer = await tx.fetchval(ready.sql, *ready.arguments(context_of(db, settings, actor).viewpoint))
            read = await rows_read(tx) - before
        found = orjson.loads(answer)["cycle"]
        while "edges" not in found:
            (found,) = found.values()
        return found["edges"], read

    edges, _ = await ask("first: 70", None)
    shown, read = await ask(page, edges[40]["cursor"])
    assert len(shown) == 20
    assert page == "last: 20" or shown in (edges[:20], edges[41:61], edges[20:40])
    assert read < limit


async def explained(
    db: Database, settings: Settings, engine: Engine, measured: Measured, actor: Actor, question: Question
) -> Iterator[dict[str, Any]]:
    """The nodes of the generic plan."""
    variables = question.kaoping.variables(measured)
    operation = engine.prepare(GraphQLRequest(question.kaoping.document, variables, None), "en")
    assert engine.plans is not None
    sight = Sight.of(actor)
    ready = engine.plans.prepare(operation, variables, sight, "en")
    context = context_of(db, settings, actor)
    async with db.transaction(measured.tenant.id, read_only=True) as tx:
        await tx.execute("SET LOCAL enable_hashjoin = off")
        await tx.execute("SET LOCAL enable_mergejoin = off")
        await tx.execute("PREPARE asked AS " + ready.sql)
        given = ", ".join(map(_literal, ready.arguments(context.viewpoint)))
        text = await tx.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked({given})")
        await tx.execute("DEALLOCATE asked")
    return nodes_of(orjson.loads(text)[0]["Plan"])


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
