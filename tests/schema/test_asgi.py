"""The door of the API with real tokens: who is let in, and how the settings reach the endpoint."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from schema.asgi import Entrance, create_graphql, join, options_of
from schema.endpoint import Enter
from service import metrics
from service.access import issue_jwt, system_actor
from service.actors import HELD_SECONDS
from service.app import create_app
from service.districts import set_status
from service.errors import AccessDenied, ErrorCode
from service.members import create_member
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.toy import toy_schema

pytestmark = pytest.mark.anyio

TYPES = "{ __typename }"


@pytest.fixture
def enter(settings: Settings, db: Database) -> Enter:
    return Entrance(settings, db)


@pytest.fixture
async def client(settings: Settings, db: Database, enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, db, join(toy_schema(), enter, options_of(settings)))
    headers = {"accept": "application/graphql-response+json", "accept-language": "en"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kaoping", headers=headers) as http:
        yield http


async def token_of(settings: Settings, db: Database, tenant: District, minutes: int = 5) -> str:
    async with db.transaction(tenant.id) as tx:
        member = await create_member(tx, system_actor(tenant.id), display_name="测试员", sign_in_name=f"m{minutes}")
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    return issue_jwt(key, tenant_id=tenant.id, member_id=member, minutes=minutes).token


async def test_who_goes_away_while_sending_is_no_fault_of_ours(
    settings: Settings, db: Database, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings, db, join(toy_schema(), enter, options_of(settings)))
    parts = iter([{"type": "http.request", "body": b'{"query":', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    before = metrics.ERRORS.labels("INTERNAL")._value.get()
    await app(
        {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"1000")],
        },
        receive,
        send,
    )
    assert metrics.ERRORS.labels("INTERNAL")._value.get() == before
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_without_a_token_nobody_asks(enter: Enter) -> None:
    for absent in (None, "", "  "):
        context = await enter(authorization=absent, accept_language="en", request_id="r1")
        assert (context.actor, context.language, context.request_id) == (None, "en", "r1")
        await context.close()


async def test_a_token_is_its_member(settings: Settings, db: Database, tenant: District, enter: Enter) -> None:
    token = await token_of(settings, db, tenant)
    for scheme in ("Bearer", "bearer", "BEARER "):
        context = await enter(authorization=f"{scheme} {token}", accept_language=None, request_id="r1")
        assert getattr(context.actor, "tenant_id", None) == tenant.id
        assert context.language == settings.language
        await context.close()


async def test_a_token_that_has_ended_or_whose_district_is_suspended(
    settings: Settings, db: Database, tenant: District, enter: Enter, owner_url: str
) -> None:
    token = await token_of(settings, db, tenant)
    ended = await token_of(settings, db, tenant, minutes=-1)
    with pytest.raises(AccessDenied):
        await enter(authorization=f"Bearer {ended}", accept_language=None, request_id="r1")
    await (await enter(authorization=f"Bearer {token}", accept_language=None, request_id="r1")).close()
    await set_status(owner_url, code=tenant.code, status="SUSPENDED")
    await asyncio.sleep(HELD_SECONDS)
    with pytest.raises(AccessDenied) as caught:
        await enter(authorization=f"Bearer {token}", accept_language=None, request_id="r1")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer nonsense",
        "Bearer a.b.c",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "nonsense",
        "Bearer kp_0000",
        "Bearer " + "x" * 5000,
        "Bearer a b",
        "Bearer ' OR 1=1",
    ],
)
async def test_anything_else_is_401(client: httpx.AsyncClient, authorization: str) -> None:
    response = await client.post("/graphql", json={"query": TYPES}, headers={"authorization": authorization})
    assert response.status_code == 401
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert error["extensions"]["hint"]
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_that_has_ended_does_not_keep_anybody_from_signing_in(
    settings: Settings, db: Database, tenant: District
) -> None:
    app = create_app(settings, db, create_graphql(settings, db))
    sign_in = "mutation ($i: SignInInput!) { signIn(input: $i) { __typename ... on Error { code } } }"
    given = {"tenantCode": tenant.code, "name": "nobody", "password": "whatever it is"}
    headers = {"authorization": "Bearer ended", "accept-language": "en"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kaoping", headers=headers) as http:
        answer = (await http.post("/graphql", json={"query": sign_in, "variables": {"i": given}})).json()
        other = (await http.post("/graphql", json={"query": "{ viewer { language } }"})).json()
    assert answer["data"]["signIn"] == {"__typename": "AccessError", "code": "UNAUTHENTICATED"}
    assert other["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_whole_application(settings: Settings, db: Database) -> None:
    app = create_app(settings, db, create_graphql(settings, db))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kaoping") as http:
        response = await http.post("/graphql", json={"query": TYPES})
        assert response.json() == {"data": {"__typename": "Query"}}
        assert (await http.get("/readyz")).json() == {"status": "ready", "checks": {"database": "ok"}}


def test_settings_reach_the_endpoint(settings: Settings) -> None:
    told = settings.model_copy(
        update={"body_bytes": 70_000, "allowed_origins": "https://a.example, https://b.example", "graphiql": False}
    )
    options = options_of(told)
    assert (options.body_bytes, options.graphiql) == (70_000, False)
    assert options.allowed_origins == ("https://a.example", "https://b.example")


async def test_a_write_sees_at_once_what_ends_its_token(
    settings: Settings, db: Database, tenant: District, owner_url: str
) -> None:
    token = await token_of(settings, db, tenant)
    app = create_app(settings, db, create_graphql(settings, db))
    headers = {"authorization": f"Bearer {token}", "accept-language": "en"}
    given = {"code": "c", "name": "社区", "idempotencyKey": "k"}
    document = """mutation ($input: CreateCategoryInput!) { createCategory(input: $input) {
        __typename ... on Error { code message } } }"""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://kaoping", headers=headers
    ) as client:

        async def create() -> str:
            response = await client.post("/graphql", json={"query": document, "variables": {"input": given}})
            code: str = response.json()["data"]["createCategory"]["code"]
            return code

        assert await create() == "FORBIDDEN"
        await set_status(owner_url, code=tenant.code, status="SUSPENDED")
        assert await create() == "UNAUTHENTICATED"
