"""What a request costs grows with its answer, not with the district: the same pages of 100 and of 10,000 units."""

import time
import uuid
from typing import Any

import pytest

from schema.context import open_context
from schema.execution import Engine, encode
from schema.options import EndpointOptions
from schema.requests import GraphQLRequest
from schema.schema import build_schema
from service.access import authenticate, issue_jwt
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import create_tenant
from tests.bench.loading import look_over
from tests.bench.measured_district import Measured, build
from tests.bench.questions import QUESTIONS, Question

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

SIZES = (100, 10_000)
ITEMS, ROUNDS, MOST = 20, 60, 1.5


async def test_a_page_costs_as_much_in_a_large_district(db: Database, settings: Settings, owner_url: str) -> None:
    districts = [await district(settings, owner_url, units) for units in SIZES]
    await look_over(owner_url)
    engine = Engine(build_schema(), EndpointOptions())
    table: list[tuple[str, float, float, float]] = []
    for question in QUESTIONS:
        askers = [await asker(db, settings, engine, each, question) for each in districts]
        sizes = [len(await ask()) for ask in askers]
        best = [9.0, 9.0]
        for _ in range(ROUNDS):
            for place, ask in enumerate(askers):
                begun = time.perf_counter()
                await ask()
                best[place] = min(best[place], time.perf_counter() - begun)
        # Where the larger district's answer is longer, it may take so much longer.
        ratio = best[1] / best[0] / max(1.0, sizes[1] / sizes[0])
        table.append((question.name, best[0] * 1000, best[1] * 1000, ratio))
    print(f"\n{'milliseconds by number of units':45} {SIZES[0]:>8,} {SIZES[1]:>8,}   ratio")
    for name, small, large, ratio in table:
        print(f"{name:45} {small:8.2f} {large:8.2f} {ratio:7.2f}")
    assert max(row[3] for row in table) <= MOST


async def district(settings: Settings, owner_url: str, units: int) -> Measured:
    """A district in the middle of a year, made over connections of its own, as its jobs would."""
    tenant = await create_tenant(
        owner_url,
        code=f"bench-{uuid.uuid4().hex[:12]}",
        name="测试区",
        time_zone="Asia/Shanghai",
        root_code="root",
        root_name="中共测试区委员会",
    )
    assert settings.database_url is not None
    db = await Database.connect(settings.database_url.get_secret_value())
    try:
        return await build(db, tenant, units=units, items=ITEMS, cycles=1)
    finally:
        await db.close()


async def asker(db: Database, settings: Settings, engine: Engine, measured: Measured, question: Question) -> Any:
    """Asks the question once, without HTTP; gives the answer's bytes."""
    assert settings.signing_key is not None
    key, member = settings.signing_key.get_secret_value(), getattr(measured, question.who)
    token = issue_jwt(key, tenant_id=measured.tenant.id, member_id=member, minutes=60).token
    actor = await authenticate(db, key, token)
    document, variables = question.kaoping.document, question.kaoping.variables(measured)
    operation = engine.prepare(GraphQLRequest(document, variables, None), "en")

    async def ask() -> bytes:
        context = open_context(db, settings, actor=actor, language="en", request_id="bench")
        try:
            answer = await engine.execute(operation, variables, context, "bench")
        finally:
            await context.close()
        assert "errors" not in answer.body
        return encode(answer.body)

    return ask
