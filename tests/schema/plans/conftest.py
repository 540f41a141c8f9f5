"""Asking both executors the same, through the one door that queries go through."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import strawberry

from schema.context import open_context
from schema.execution import Answer, Engine, encode
from schema.options import DocumentLimits, EndpointOptions
from schema.requests import GraphQLRequest
from schema.schema import build_schema
from service.language import Language
from service.metrics import REGISTRY
from service.settings import Settings
from tenants.database import Database
from tests.schema.conftest import Caller
from tests.schema.plans.district import Populated, populate

Json = dict[str, Any]

WIDE = DocumentLimits(
    bytes=10**7, tokens=10**6, depth=100, fields=10**6, aliases=10**6, repeats=1000, roots=1000, cost=10**8
)
"""Tests ask for more at once than anybody may."""


@dataclass
class Both:
    """The planned and the stock executor over one schema; a plan must not fall back unless a test says why."""

    schema: strawberry.Schema
    planned: Engine = field(init=False)
    stock: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.planned = Engine(self.schema, EndpointOptions(plans=True, limits=WIDE))
        self.stock = Engine(self.schema, EndpointOptions(plans=False, limits=WIDE))

    async def ask(
        self,
        caller: Caller,
        document: str,
        variables: Json | None = None,
        *,
        fallback: str | None = None,
        language: Language = "en",
    ) -> Json:
        """The body that both give; `fallback` is the reason for which the planned one must leave it to the stock."""
        before = _count(fallback)
        planned = encode((await run(self.planned, caller, document, variables, language)).body)
        assert _count(fallback) == before + 1, f"{fallback or 'a plan'} was expected; counted: {_counts()}"
        stock = encode((await run(self.stock, caller, document, variables, language)).body)
        assert planned.decode() == stock.decode()
        body: Json = orjson.loads(planned)
        return body


async def run(
    engine: Engine, caller: Caller, document: str, variables: Json | None = None, language: Language = "en"
) -> Answer:
    """The answer of one engine."""
    context = open_context(caller.db, caller.settings, actor=caller.actor, language=language, request_id="test")
    try:
        operation = engine.prepare(GraphQLRequest(document, variables or {}, None), language)
        return await engine.execute(operation, variables or {}, context, "test")
    finally:
        await context.close()


def _count(reason: str | None) -> float:
    labels = {"outcome": "planned" if reason is None else "fallback", "reason": reason or ""}
    return REGISTRY.get_sample_value("kaoping_graphql_plans_total", labels) or 0.0


def _counts() -> Json:
    return {
        f"{sample.labels['outcome']} {sample.labels['reason']}": sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "kaoping_graphql_plans_total"
    }


@pytest.fixture(scope="session")
def both() -> Both:
    """Over the whole schema."""
    return Both(build_schema())


@pytest.fixture(scope="session")
async def populated(db: Database, settings: Settings, owner_url: str) -> Populated:
    """A district in which every type has rows; nobody writes to it."""
    return await populate(db, settings, owner_url)
