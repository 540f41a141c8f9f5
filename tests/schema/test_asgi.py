"""The real schema behind the real application: tokens, contexts and subscriptions of a district (端到端的入口)."""

import httpx
import pytest

from schema.asgi import create_graphql, options_of
from service.app import create_app
from service.settings import Settings
from tenants.database import Database

pytestmark = pytest.mark.anyio

TYPES = "{ __typename }"


@pytest.fixture
def client(settings: Settings, db: Database) -> httpx.AsyncClient:
    app = create_app(settings, db, create_graphql(settings, db))
    headers = {"accept": "application/graphql-response+json", "accept-language": "en"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kaoping", headers=headers)


async def test_nobody_may_ask(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": TYPES})
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer nonsense",
        "Bearer a.b.c",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "Bearer  ",
        "nonsense",
        "Bearer kp_0000",
        "Bearer " + "x" * 5000,
        "Bearer a b",
    ],
)
async def test_a_token_that_does_not_hold_is_401(client: httpx.AsyncClient, authorization: str) -> None:
    response = await client.post("/graphql", json={"query": TYPES}, headers={"authorization": authorization})
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert response.json()["errors"][0]["extensions"]["hint"]


def test_settings_reach_the_endpoint(settings: Settings) -> None:
    told = settings.model_copy(
        update={"body_bytes": 70_000, "allowed_origins": "https://a.example, https://b.example", "graphiql": False}
    )
    options = options_of(told)
    assert (options.body_bytes, options.graphiql) == (70_000, False)
    assert options.allowed_origins == ("https://a.example", "https://b.example")
