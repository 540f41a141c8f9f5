"""The endpoint over HTTP, asked from outside through a real server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import orjson
import pytest

from schema.asgi import join
from schema.negotiation import GRAPHQL_RESPONSE, JSON, choose_media_type
from service.language import choose_language
from tests.schema.toy import Door, options, serving, toy_schema

pytestmark = pytest.mark.anyio

LIMIT = 200_000


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def address(door: Door) -> Iterator[str]:
    limited = options(body_bytes=LIMIT, url_bytes=2000)
    with serving(join(toy_schema(), door.enter, limited)) as found:
        yield f"http://{found}/graphql"


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=address, headers={"accept": GRAPHQL_RESPONSE, "accept-language": "en"}, timeout=30
    ) as http:
        yield http


async def post(client: httpx.AsyncClient, body: object, **headers: str) -> httpx.Response:
    return await client.post("", content=orjson.dumps(body), headers={"content-type": JSON} | fix(headers))


def fix(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def refusal(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one error of a request that did not run; every such answer is JSON with a code and a hint."""
    assert response.status_code == status, response.text
    body = response.json()
    assert "data" not in body
    error: dict[str, Any] = body["errors"][0]
    assert error["extensions"]["code"] == code
    assert error["extensions"]["hint"]
    assert error["message"]
    assert "Traceback" not in response.text
    return error


async def test_answers_in_utf8(client: httpx.AsyncClient) -> None:
    response = await post(client, {"query": "{ hello }"})
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL_RESPONSE}; charset=utf-8"
    assert response.content == '{"data":{"hello":"你好，考评"}}'.encode()
    assert response.headers["cache-control"] == "no-store"
    assert {"Accept", "Accept-Language", "Authorization"} <= set(response.headers["vary"].split(", "))
    assert response.headers["content-language"] == "en"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{JSON}, {GRAPHQL_RESPONSE};q=0.9, */*;q=0.1", JSON),
        ("application/json;q=0, */*", GRAPHQL_RESPONSE),
        ("application/json; charset=utf-8", JSON),
        ("APPLICATION/JSON", JSON),
        ("text/html, */*;q=0.8", JSON),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=many", None),
        (";;,,;q", None),
    ],
)
def test_media_types(accept: str, expected: str | None) -> None:
    assert choose_media_type(accept) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        ("*", "zh-CN"),
        ("fr, de;q=0.5", "zh-CN"),
        ("en", "en"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh;q=0.1, en;q=x", "zh-CN"),
        ("EN-us;q=0.5", "en"),
        ("zh;q=0,en;q=0.1", "en"),
        (",;=" * 10_000, "zh-CN"),
    ],
)
def test_languages(header: str | None, expected: str) -> None:
    assert choose_language(header) == expected


async def test_chinese_is_the_default(client: httpx.AsyncClient) -> None:
    response = await post(client, {"query": "{ nope }"}, accept_language="fr")
    assert response.headers["content-language"] == "zh-CN"
    assert "查询与接口定义不符" in response.json()["errors"][0]["message"]


async def test_get_runs_queries_only(client: httpx.AsyncClient) -> None:
    response = await client.get(
        "",
        params={"query": "query Q($n: String!) { hello(name: $n) }", "variables": '{"n": "区"}', "operationName": "Q"},
    )
    assert response.json() == {"data": {"hello": "你好，区"}}
    response = await client.get("", params={"query": "mutation { add(rows: []) }"})
    refusal(response, 405, "BAD_USER_INPUT")
    assert response.headers["allow"] == "POST"
    refusal(await client.get(""), 400, "BAD_USER_INPUT")
    error = refusal(await client.get("", params={"query": "{ hello }", "variables": "{"}), 400, "BAD_USER_INPUT")
    assert error["extensions"]["path"] == ["variables"]
    refusal(await client.get("", params={"query": "{ hello }", "variables": "[1]"}), 400, "BAD_USER_INPUT")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "", content=b"{}")
    refusal(response, 405, "BAD_USER_INPUT")
    assert response.headers["allow"] == "GET, POST"


async def test_unacceptable(client: httpx.AsyncClient) -> None:
    response = await post(client, {"query": "{ hello }"}, accept="text/html")
    refusal(response, 406, "BAD_USER_INPUT")
    assert response.headers["content-type"].startswith(JSON)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain; a=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json-patch+json",
        "application/graphql",
        "application/json; charset=gbk",
        "application/json, text/plain",
    ],
)
async def test_other_content_types(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post("", content=b'{"query":"{ hello }"}', headers={"content-type": content_type})
    refusal(response, 415, "BAD_USER_INPUT")


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"'])
async def test_json_with_its_charset(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post("", content=b'{"query":"{ hello }"}', headers={"content-type": content_type})
    assert response.json() == {"data": {"hello": "你好，考评"}}


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("", content=b"x", headers={"content-type": JSON, "content-encoding": "gzip"})
    refusal(response, 415, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"7",
        b"null",
        b'"{ hello }"',
        b"true",
        b"[]",
        b'[{"query":"{ hello }"}]',
        b"{",
        b"{}",
        b'{"query":null}',
        b'{"query":""}',
        b'{"query":7}',
        b'{"query":["{ hello }"]}',
        b'{"query":{}}',
        b'{"query":"{ hello }","operationName":["a"]}',
        b'{"query":"{ hello }","operationName":7}',
        b'{"query":"{ hello }","operationName":{}}',
        b'{"query":"{ hello }","variables":"{}"}',
        b'{"query":"{ hello }","variables":[]}',
        b'{"query":"{ hello }","variables":7}',
        b'{"query":"{ hello }","extensions":"x"}',
        b'{"query":"{ hello }","variables":{"a":NaN}}',
        b'{"query":"{ hello }","variables":{"a":Infinity}}',
        b'{"query":"\xff\xfe"}',
        '{"query":"{ hello(name: \\"考评\\") }"}'.encode("gbk"),
        b'{"query":"{ hello }","variables":{"a":"\\ud800"}}',
        b'{"query":"{ hello }","variables":{"a":' + b"[" * 80_000 + b"]" * 80_000 + b"}}",
        b"[" * 100_000,
        b'{"query":"{ hello }"} trailing',
    ],
    ids=range(29),
)
async def test_bodies_without_the_right_shape(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("", content=body, headers={"content-type": JSON})
    refusal(response, 400, "BAD_USER_INPUT")
    response = await client.post("", content=body, headers={"content-type": JSON, "accept": JSON})
    assert response.status_code == 400


async def test_numbers_of_thousands_of_digits(client: httpx.AsyncClient) -> None:
    digits = b"9" * 5000
    body = b'{"query":"query($n: Int) { units(first: $n) { name } }","variables":{"n":' + digits + b"}}"
    response = await client.post("", content=body, headers={"content-type": JSON})
    refusal(response, 400, "BAD_USER_INPUT")
    body = b'{"query":"{ units(first: ' + digits + b') { name } }"}'
    response = await client.post("", content=body, headers={"content-type": JSON})
    refusal(response, 400, "GRAPHQL_VALIDATION_FAILED")
    assert len(response.content) < 3000


async def test_unknown_persisted_documents(client: httpx.AsyncClient) -> None:
    body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}}
    refusal(await post(client, body), 400, "PERSISTED_QUERY_NOT_FOUND")
    refusal(await post(client, {"documentId": "sha256:00"}), 400, "PERSISTED_QUERY_NOT_FOUND")


async def test_body_limit(client: httpx.AsyncClient) -> None:
    query = '{"query":"{ hello }","variables":{"x":"%s"}}'
    fits = query % ("x" * (LIMIT - len(query) + 2))
    assert len(fits) == LIMIT
    response = await client.post("", content=fits, headers={"content-type": JSON})
    assert response.status_code == 200
    error = refusal(await client.post("", content=fits + " ", headers={"content-type": JSON}), 413, "TOO_LARGE")
    assert str(LIMIT) in error["message"]

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1000 + 2):
            yield b" " * 1000

    refusal(await client.post("", content=chunks(), headers={"content-type": JSON}), 413, "TOO_LARGE")


async def test_url_limit(client: httpx.AsyncClient) -> None:
    refusal(await client.get("", params={"query": "{ hello }" + " " * 2000}), 414, "TOO_LARGE")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("", "BAD_USER_INPUT"),
        (" ", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ hello(name: 5) }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
        ("subscription { count(to: 1) }", "BAD_USER_INPUT"),
        ("query($n: String!) { hello(name: $n) }", "BAD_USER_INPUT"),
        ("{ unit {" + " ".join(f"a{i}: name" for i in range(200)) + "} }", "QUERY_TOO_COMPLEX"),
    ],
)
async def test_requests_that_do_not_run(client: httpx.AsyncClient, query: str, code: str) -> None:
    refusal(await post(client, {"query": query}), 400, code)
    response = await post(client, {"query": query}, accept=JSON)
    assert response.json()["errors"][0]["extensions"]["code"] == code
    transport = query == "" or query.startswith("subscription")
    assert response.status_code == (400 if transport else 200), "older clients read errors of GraphQL from a 200"


async def test_doubling_fragments_do_not_hold_up_others(client: httpx.AsyncClient) -> None:
    links = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(22))
    query = f"{{ ...F0 }} {links} fragment F22 on Query {{ hello }}"
    # The document would be four million fields.
    async with asyncio.timeout(30):
        error = refusal(await post(client, {"query": query}), 400, "QUERY_TOO_COMPLEX")
    assert error["extensions"]["limit"] == "fields"
    assert error["extensions"]["actual"] == 2**22


ADD = "mutation($rows: [Row!]!) { add(rows: $rows) }"


async def test_faults_of_variables_name_their_path(client: httpx.AsyncClient) -> None:
    rows = [
        {"value": 1},
        {"value": "two"},
        {},
        {"value": 1, "either": {"left": 1, "right": "b"}},
        {"nope": 1, "value": 1},
    ]
    response = await post(client, {"query": ADD, "variables": {"rows": rows}})
    errors = response.json()["errors"]
    assert response.status_code == 400
    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}
    paths = [error["extensions"]["path"] for error in errors]
    assert ["rows", "1", "value"] in paths
    assert ["rows", "3", "either"] in paths
    assert all(path[0] == "rows" for path in paths)
    error = refusal(await post(client, {"query": ADD}), 400, "BAD_USER_INPUT")
    assert error["extensions"]["path"] == ["rows"]
    error = refusal(await post(client, {"query": ADD, "variables": {"rows": None}}), 400, "BAD_USER_INPUT")
    assert error["extensions"]["path"] == ["rows"]


@pytest.mark.parametrize("either", [{}, {"left": 1, "right": "b"}, {"left": None}, {"middle": 1}, 7, []])
async def test_one_of_is_a_coded_fault_with_a_path(client: httpx.AsyncClient, either: object) -> None:
    query = "query($either: Either!) { choose(either: $either) }"
    error = refusal(await post(client, {"query": query, "variables": {"either": either}}), 400, "BAD_USER_INPUT")
    assert error["extensions"]["path"][0] == "either"
    assert (await post(client, {"query": query, "variables": {"either": {"right": "b"}}})).json()["data"]


async def test_one_of_with_a_variable_inside(client: httpx.AsyncClient) -> None:
    query = "query($left: Int) { choose(either: {left: $left}) }"
    response = await post(client, {"query": query, "variables": {}})
    assert response.json()["errors"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")
    assert response.json()["errors"][0]["extensions"]["path"]


async def test_many_faulty_rows_are_told_briefly(client: httpx.AsyncClient) -> None:
    response = await post(client, {"query": ADD, "variables": {"rows": [{"value": "x"}] * 5000}})
    assert response.status_code == 400
    assert len(response.json()["errors"]) <= 20


async def test_surprises_are_masked_and_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "kaoping.graphql"):
        response = await post(client, {"query": "{ hello boom broken: boom }"})
    assert response.status_code == 200
    assert "hunter2" not in response.text
    assert "RuntimeError" not in response.text
    body = response.json()
    assert body["data"] == {"hello": "你好，考评", "boom": None, "broken": None}
    error = body["errors"][0]
    assert error["path"] == ["boom"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["requestId"] in error["extensions"]["hint"]
    assert "hunter2" in caplog.text
    assert error["extensions"]["requestId"] in caplog.text


async def test_broken_promises_are_ours(client: httpx.AsyncClient) -> None:
    response = await post(client, {"query": "{ broken }"})
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "non-nullable" not in response.text


async def test_refusals_keep_their_words(client: httpx.AsyncClient) -> None:
    error = (await post(client, {"query": "{ missing }"}, accept_language="zh")).json()["errors"][0]
    assert error["message"] == "没有找到该对象，或者您无权查看。"
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert error["extensions"]["path"] == ["id"]


async def test_time_is_limited(door: Door) -> None:
    body = {"query": "{ slow(seconds: 60) }"}
    with serving(join(toy_schema(), door.enter, options(operation_seconds=0.3))) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}/graphql", timeout=30) as client:
            response = await post(client, body, accept=GRAPHQL_RESPONSE)
            assert response.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
            assert response.status_code == 504
            response = await post(client, body, accept=JSON)
            assert response.status_code == 200
    assert not door.inside


async def test_bearer_tokens(client: httpx.AsyncClient) -> None:
    assert (await post(client, {"query": "{ who }"})).json() == {"data": {"who": None}}
    response = await post(client, {"query": "{ who }"}, authorization="Bearer good")
    assert response.json() == {"data": {"who": "小王"}}
    for accept in (JSON, GRAPHQL_RESPONSE):
        response = await post(client, {"query": "{ who }"}, authorization="Bearer bad", accept=accept)
        refusal(response, 401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_introspection_needs_a_token(client: httpx.AsyncClient) -> None:
    refusal(await post(client, {"query": "{ __schema { queryType { name } } }"}), 401, "UNAUTHENTICATED")
    response = await post(client, {"query": "{ __schema { queryType { name } } }"}, authorization="Bearer good")
    assert response.json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}
    again = await post(client, {"query": "{ __schema { queryType { name } } }"}, authorization="Bearer other")
    assert again.content == response.content, "kept as bytes"
    refusal(await post(client, {"query": "{ __schema { queryType { name } } }"}), 401, "UNAUTHENTICATED")
    assert (await post(client, {"query": "{ __typename }"})).json() == {"data": {"__typename": "Query"}}


async def test_every_context_is_closed(client: httpx.AsyncClient, door: Door) -> None:
    for query in ("{ hello }", "{ boom }", "{ nope }", "{", "subscription { count(to: 1) }"):
        await post(client, {"query": query})
    assert door.opened
    assert not door.inside


async def test_a_database_that_is_away(client: httpx.AsyncClient, door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.broken = ConnectionRefusedError("10.0.0.7 refused")
    try:
        response = await post(client, {"query": "{ hello }"})
        refusal(response, 503, "UNAVAILABLE")
        door.broken = ValueError("10.0.0.7")
        response = await post(client, {"query": "{ hello }"})
        refusal(response, 500, "INTERNAL")
        assert "10.0.0.7" not in response.text
    finally:
        door.broken = None
