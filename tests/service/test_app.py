"""The application around the API: ids of requests, headers, health, log; over any ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service import app as module
from service import health
from service.app import create_app
from service.settings import Settings
from tenants.database import Database

pytestmark = pytest.mark.anyio


class Pulse:
    """A database that answers, or does not."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.missing: list[dict[str, str]] = []
        self.announced = None

    async def fetch_global(self, sql: str, *arguments: object) -> Sequence[object]:
        """What is missing, or the fault."""
        if self.fault is not None:
            raise self.fault
        return self.missing


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which request it got; breaks at /graphiql/broken."""
    if scope["path"].endswith("broken"):
        raise RuntimeError("password=hunter2")
    scope["state"]["operation"] = "query Board"
    await JSONResponse({"request": scope["state"]["request_id"]})(scope, receive, send)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


def application(pulse: Pulse, **settings: Any) -> ASGIApp:
    return create_app(Settings(**settings), cast(Database, pulse), api)


@pytest.fixture
async def client(pulse: Pulse) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(pulse))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://kaoping", headers={"accept-language": "en"}
    ) as c:
        yield c


async def test_every_request_has_an_id(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", headers={"x-request-id": "gateway-7.0001"})
    assert response.headers["x-request-id"] == response.json()["request"] == "gateway-7.0001"
    made = {(await client.get("/graphql")).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with space in it", "line\tbreak-12345", "编号" * 5, "a;b=c;d=e;f"]
)
async def test_an_id_that_is_not_sane_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/graphql", headers=[(b"x-request-id", given.encode())])
    assert response.headers["x-request-id"] == response.json()["request"] != given
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/graphiql/page.js", "/livez", "/readyz", "/nothing"])
async def test_security_headers_are_on_everything(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    for name, value in module.HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["server-timing"].startswith("app;dur=")


async def test_unknown_addresses(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")
    assert response.status_code == 404
    assert response.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert response.json()["errors"][0]["message"].startswith("No such address")
    response = await client.get("/nothing", headers={"accept-language": "zh"})
    assert "没有这个地址" in response.text
    response = await client.post("/livez")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_health(client: httpx.AsyncClient, pulse: Pulse) -> None:
    assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"database": "ok"}}
    pulse.fault = ConnectionRefusedError("10.0.0.7")
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "unready", "checks": {"database": "ConnectionRefusedError"}}
    pulse.fault, pulse.missing = None, [{"name": "0099_tomorrow"}]
    response = await client.get("/readyz")
    assert response.json() == {"status": "unready", "checks": {"database": "MigrationsMissing"}}
    assert (await client.get("/livez")).json() == {"status": "live"}


async def test_metrics_are_shown_on_the_port_of_the_api_where_a_setting_says_so(pulse: Pulse) -> None:
    for port, status in ((8000, 200), (9000, 404), (None, 404)):
        transport = httpx.ASGITransport(application(pulse, metrics_port=port))
        async with httpx.AsyncClient(transport=transport, base_url="http://kaoping") as client:
            response = await client.get("/metrics")
            assert response.status_code == status
            assert ("kaoping_build_info" in response.text) is (status == 200)


async def test_a_database_that_is_slow_for_a_moment_is_not_away(
    client: httpx.AsyncClient, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Never well before, so nothing speaks for it.
    pulse.fault = TimeoutError()
    assert (await client.get("/readyz")).status_code == 503
    pulse.fault = None
    assert (await client.get("/readyz")).status_code == 200
    pulse.fault = TimeoutError()
    assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"database": "TimeoutError"}}
    pulse.fault = ConnectionRefusedError()
    assert (await client.get("/readyz")).status_code == 503
    pulse.fault = TimeoutError()
    monkeypatch.setattr(health, "SLOW_SECONDS", 0.0)
    assert (await client.get("/readyz")).status_code == 503


async def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)

    async def hangs() -> None:
        await asyncio.sleep(30)

    assert await health.check_all({"database": hangs}) == {"database": "TimeoutError"}


async def test_the_access_log_tells_no_more_than_it_must(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "kaoping.access"):
        await client.post("/graphql?name=secret", json={"x": "secret"}, headers={"authorization": "Bearer secret"})
        await client.get("/secret")
    first, second = (vars(record) for record in caplog.records if record.name == "kaoping.access")
    assert (first["method"], first["path"], first["status"], first["operation"]) == (
        "POST",
        "/graphql",
        200,
        "query Board",
    )
    assert first["milliseconds"] >= 0
    assert first["bytes"] > 0
    assert (second["path"], second["status"]) == ("-", 404)
    assert "secret" not in str([first, second])


async def test_whatever_breaks_is_answered_and_masked(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/graphiql/broken")
    assert response.status_code == 500
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text


async def test_pages_of_other_origins_by_setting_only(pulse: Pulse, client: httpx.AsyncClient) -> None:
    asking = {"origin": "https://front.example", "access-control-request-method": "POST"}
    response = await client.get("/graphql", headers={"origin": "https://front.example"})
    assert "access-control-allow-origin" not in response.headers
    transport = httpx.ASGITransport(application(pulse, allowed_origins="https://front.example/, https://b.example"))
    async with httpx.AsyncClient(transport=transport, base_url="http://kaoping") as allowing:
        response = await allowing.options("/graphql", headers=asking)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://front.example"
        assert response.headers["x-request-id"]
        response = await allowing.options("/graphql", headers=asking | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in response.headers
