"""The demo's client: keys that repeat, refusals with all faults, retries, pages, and a few calls at once."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from service.demo import client
from service.demo.client import Api, RefusedError, UnreachableError, few_at_once, idempotency_key
from service.demo.library import Json

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.0)


def api(answer: Callable[[Json], Json | Exception]) -> Api:
    def handle(request: httpx.Request) -> httpx.Response:
        result = answer(json.loads(request.content))
        if isinstance(result, Exception):
            raise result
        return httpx.Response(200, json=result)

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return Api(http, address="http://test/graphql", token="t")


def test_the_key_follows_from_field_and_input() -> None:
    first = idempotency_key("createCategory", {"code": "a", "name": "社区"})
    assert first == idempotency_key("createCategory", {"name": "社区", "code": "a"})
    assert first != idempotency_key("createCategory", {"code": "b", "name": "社区"})
    assert first != idempotency_key("editCategory", {"code": "a", "name": "社区"})
    assert first.isascii()
    assert 1 <= len(first) <= 128


async def test_a_mutation_sends_its_input_with_a_key_and_returns_the_success() -> None:
    sent: list[Json] = []

    def answer(body: Json) -> Json:
        sent.append(body)
        return {"data": {"createCategory": {"category": {"id": "1"}}}}

    result = await api(answer).mutate("createCategory", "category { id }", code="a", name=None)
    assert result == {"category": {"id": "1"}}
    given = sent[0]["variables"]["input"]
    assert given.keys() == {"code", "idempotencyKey"}
    assert "... on CreateCategorySuccess { category { id } }" in sent[0]["query"]


async def test_signing_in_has_no_key() -> None:
    sent: list[Json] = []

    def answer(body: Json) -> Json:
        sent.append(body)
        return {"data": {"signIn": {"token": "x"}}}

    await api(answer).mutate("signIn", "token", name="a")
    assert sent[0]["variables"]["input"] == {"name": "a"}


async def test_a_typed_error_is_raised_with_all_its_faults() -> None:
    issues = [{"code": "INVALID", "message": "太长", "path": ["input", "name"], "hint": "缩短"}]
    error = {"__typename": "InputError", "code": "INVALID", "message": "有1处错误", "path": None, "issues": issues}
    with pytest.raises(RefusedError) as raised:
        await api(lambda _: {"data": {"createCategory": error}}).mutate("createCategory", "category { id }", code="a")
    assert raised.value.code == "INVALID"
    assert "太长" in str(raised.value)
    assert "input.name" in str(raised.value)
    assert "缩短" in str(raised.value)


async def test_a_request_error_is_raised_with_its_code() -> None:
    error = {"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}
    with pytest.raises(RefusedError) as raised:
        await api(lambda _: {"errors": [error], "data": None}).query("query { tenant { id } }")
    assert raised.value.code == "UNAUTHENTICATED"


async def test_what_may_pass_is_tried_again() -> None:
    answers: list[Json | Exception] = [
        httpx.ConnectError("refused"),
        {"errors": [{"message": "later", "extensions": {"code": "UNAVAILABLE"}}]},
        {"data": {"createCategory": {"__typename": "IdempotencyError", "code": "IDEMPOTENCY_IN_PROGRESS"}}},
        {"data": {"createCategory": {"category": {"id": "1"}}}},
    ]
    result = await api(lambda _: answers.pop(0)).mutate("createCategory", "category { id }", code="a")
    assert result["category"]["id"] == "1"
    assert not answers


async def test_a_server_that_never_answers_is_unreachable() -> None:
    calls: list[Json] = []

    def answer(body: Json) -> Exception:
        calls.append(body)
        return httpx.ConnectError("refused")

    with pytest.raises(UnreachableError, match="http://test/graphql"):
        await api(answer).query("query { tenant { id } }")
    assert len(calls) == client.ATTEMPTS


async def test_all_pages_are_read() -> None:
    def answer(body: Json) -> Json:
        after = int(body["variables"]["after"] or 0)
        edges = [{"node": {"id": str(after + place)}} for place in range(2)]
        page = {"hasNextPage": after < 4, "endCursor": str(after + 2)}
        return {"data": {"cycle": {"units": {"edges": edges, "pageInfo": page}}}}

    nodes = await api(answer).nodes("query", "cycle", "units", id="c")
    assert [node["id"] for node in nodes] == ["0", "1", "2", "3", "4", "5"]


async def test_no_more_than_a_few_run_at_once_and_results_keep_their_order() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number * number

    assert await few_at_once(work, range(10), limit=3) == [number * number for number in range(10)]
    assert most == 3
