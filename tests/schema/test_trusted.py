"""Trusted documents: manifests of the three kinds of tools, asked for by id over HTTP and WebSocket from outside."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schema.asgi import join
from schema.documents import Documents
from schema.execution import Engine
from schema.negotiation import GRAPHQL_RESPONSE
from schema.options import DocumentLimits
from schema.requests import GraphQLRequest
from schema.trusted import MOST_FAULTS, TrustedError
from service import metrics
from service.settings import Settings, SettingsError
from tests.schema.test_sockets import open_socket
from tests.schema.toy import Door, options, serving, toy_schema

pytestmark = pytest.mark.anyio

HELLO = "query Hello($name: String) { hello(name: $name) }"
ADD = "mutation Add($rows: [Row!]!) { add(rows: $rows) }"
COUNT = "subscription Count { count(to: 2) }"
OTHER = "query Other { who }"
TEXTS = (HELLO, ADD, COUNT)


def md5(text: str) -> str:
    """As relay-compiler does by default."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha1(text: str) -> str:
    """As GraphQL Code Generator does by default."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    """As Apollo does."""
    return hashlib.sha256(text.encode()).hexdigest()


def apollo(*texts: str) -> dict[str, Any]:
    """A manifest of Apollo."""
    operations = [{"id": sha256(text), "name": "x", "type": "query", "body": text} for text in texts]
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}


def written(folder: Path, manifest: object) -> Path:
    """The manifest as a file; text as it is."""
    path = folder / "documents.json"
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest, ensure_ascii=False))
    return path


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(toy_schema(), options())


def faults(engine: Engine, folder: Path, manifest: object, limits: DocumentLimits | None = None) -> str:
    """What is said at start."""
    documents = Documents(engine.core, limits or DocumentLimits(), 10_000_000)
    with pytest.raises(TrustedError) as caught:
        documents.trust(written(folder, manifest))
    return str(caught.value)


MANIFESTS: dict[str, tuple[object, Callable[[str], str]]] = {
    "codegen": ({sha1(text): text for text in TEXTS}, sha1),
    "codegen-sha256": ({sha256(text): text for text in TEXTS}, sha256),
    "codegen-prefixed": ({f"sha256:{sha256(text)}": text for text in TEXTS}, lambda text: f"sha256:{sha256(text)}"),
    "relay": ({md5(text): text for text in TEXTS}, md5),
    "apollo": (apollo(*TEXTS), sha256),
    "own-ids": ({text.split()[1]: text for text in TEXTS}, lambda text: text.split()[1]),
}


@pytest.fixture(scope="module", params=MANIFESTS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Callable[[str], str]]]:
    """A server that takes no other documents, and how its manifest names them."""
    manifest, name = MANIFESTS[request.param]
    path = written(tmp_path_factory.mktemp("manifest"), manifest)
    with serving(join(toy_schema(), Door().enter, options(trusted_documents=path, trusted_only=True))) as address:
        yield address, name


def asked(address: str, **body: object) -> httpx.Response:
    return httpx.post(f"http://{address}/graphql", json=body, headers={"accept": GRAPHQL_RESPONSE})


def got(address: str, **parameters: str) -> httpx.Response:
    return httpx.get(f"http://{address}/graphql", params=parameters, headers={"accept": GRAPHQL_RESPONSE})


def test_each_way_of_naming_a_document(served: tuple[str, Callable[[str], str]]) -> None:
    address, name = served
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": name(HELLO)}}
    hello = {"data": {"hello": "你好，春晖"}}
    for way in ({"documentId": name(HELLO)}, {"doc_id": name(HELLO)}, {"id": name(HELLO)}, {"extensions": persisted}):
        assert asked(address, **way, variables={"name": "春晖"}).json() == hello, way
        texts = {key: json.dumps(each) if key == "extensions" else str(each) for key, each in way.items()}
        assert got(address, **texts, variables='{"name":"春晖"}').json() == hello, way
    # The draft's own form is known whatever the manifest's ids are.
    assert asked(address, documentId=f"sha256:{sha256(HELLO)}", variables={"name": "春晖"}).json() == hello
    # Clients that bring the text as well are as welcome: it is a trusted one.
    assert asked(address, query=HELLO, extensions=persisted, variables={"name": "春晖"}).json() == hello


def test_mutations_need_post(served: tuple[str, Callable[[str], str]]) -> None:
    address, name = served
    assert asked(address, documentId=name(ADD), variables={"rows": [{"value": 3}]}).json() == {"data": {"add": 3}}
    refused = got(address, documentId=name(ADD), variables='{"rows":[{"value":3}]}')
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_anything_else_is_refused(served: tuple[str, Callable[[str], str]]) -> None:
    address, name = served
    unknown: list[dict[str, object]] = [
        {"query": OTHER},
        {"query": HELLO + " "},
        {"query": "{ __schema { types { name } } }"},
        {"query": OTHER, "documentId": name(HELLO)},
        {"documentId": name(OTHER)},
        {"documentId": f"sha256:{sha256(OTHER)}"},
        {"documentId": "sha256:"},
        {"documentId": "编号"},
        {"extensions": {"persistedQuery": {"sha256Hash": "0" * 64}}},
    ]
    for body in unknown:
        response = asked(address, **body)
        assert response.status_code == 400, body
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND", body
        assert error["extensions"]["hint"]
    assert got(address, query=OTHER).json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    misshapen: list[dict[str, object]] = [
        {"documentId": 7},
        {"documentId": ""},
        {"doc_id": []},
        {"extensions": {"persistedQuery": "x"}},
        {"extensions": {"persistedQuery": {"sha256Hash": 7}}},
        {},
    ]
    for body in misshapen:
        assert asked(address, **body).json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", body


async def test_over_a_websocket(served: tuple[str, Callable[[str], str]]) -> None:
    address, name = served
    async with open_socket(address) as socket:
        await socket.begin()
        await socket.say({"type": "subscribe", "id": "1", "payload": {"documentId": name(COUNT)}})
        assert [(await socket.hear()).get("payload") for _ in range(3)] == [
            {"data": {"count": 0}},
            {"data": {"count": 1}},
            None,
        ]
        for payload in ({"query": OTHER}, {"documentId": name(OTHER)}):
            await socket.say({"type": "subscribe", "id": "2", "payload": payload})
            message = await socket.hear()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def test_trusted_documents_stand_beside_others(tmp_path: Path) -> None:
    path = written(tmp_path, {sha1(HELLO): HELLO})
    engine = Engine(toy_schema(), options(trusted_documents=path, document_cache_bytes=0))
    documents = engine.documents
    by_id = documents.find(GraphQLRequest(None, {}, None, sha1(HELLO)), "en")
    assert documents.get(HELLO, "en") is by_id
    assert documents.misses == 0, "never pushed out, though nothing else is kept"
    other = documents.get(OTHER, "en")
    assert documents.trusted_name(by_id.operation(None, "en")) == "Hello"
    assert documents.trusted_name(other.operation(None, "en")) is None
    assert metrics.operation_names("Hello", learn=False) == "Hello"
    again = Engine(toy_schema(), options()).documents.get(HELLO, "en")
    assert documents.trusted_name(again.operation(None, "en")) is None


def test_every_fault_is_named_at_start(engine: Engine, tmp_path: Path) -> None:
    said = faults(
        engine,
        tmp_path,
        {
            sha1(HELLO): HELLO,
            "syntax": "query {",
            "unknown": "query Unknown { nothing }",
            "deep": "query Deep { unit " + "{ child " * 30 + "{ name }" + "}" * 30 + " }",
            "costly": "query Costly { units(first: 100) { units(first: 100) { units(first: 100) { name } } } }",
            "0" * 40: OTHER,
            "sha256:00": OTHER,
            "number": 7,
        },
    )
    for expected in (
        "Document syntax, line 1, column 8: Syntax",
        "Document unknown, line 1, column 17: Cannot query field",
        "Document deep: The operation's depth is 32, above the limit of 20",
        "Document costly: The operation's cost is",
        f"Document {'0' * 40}: the SHA1 of its text is {sha1(OTHER)}",
        "Document sha256:00: what follows sha256: is not one",
        "Document number: it is not a text",
    ):
        assert expected in said
    assert said.count("KAOPING_TRUSTED_DOCUMENTS") == 7
    twice = apollo(HELLO, OTHER)
    twice["operations"][1]["id"] = twice["operations"][0]["id"] = "same"
    assert "operations[1]: the id stands for two documents" in faults(engine, tmp_path, twice)
    assert "operations[0]: its id is not a text" in faults(
        engine, tmp_path, {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [7]}
    )
    many = {f"d{number}": "query {" for number in range(MOST_FAULTS + 5)}
    assert "and 5 more faults" in faults(engine, tmp_path, many)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "has no document"),
        ('{"format": "other", "version": 1}', 'has a "format"'),
        ('{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}', 'has a "format"'),
        ('{"format": "apollo-persisted-query-manifest", "version": 1}', "is not a list"),
    ],
)
def test_a_file_that_is_no_manifest(engine: Engine, tmp_path: Path, manifest: str, expected: str) -> None:
    assert expected in faults(engine, tmp_path, manifest)


def test_a_file_that_is_not_there(engine: Engine, tmp_path: Path) -> None:
    documents = Documents(engine.core, DocumentLimits(), 10_000_000)
    with pytest.raises(TrustedError, match="can't be read: No such file"):
        documents.trust(tmp_path / "none.json")
    with pytest.raises(TrustedError, match="can't be read: Is a directory"):
        documents.trust(tmp_path)


def test_settings(tmp_path: Path) -> None:
    told = Settings.read(trusted_documents=tmp_path / "x.json", trusted_only=True)
    assert (told.trusted_documents, told.trusted_only) == (tmp_path / "x.json", True)
    with pytest.raises(SettingsError, match="KAOPING_TRUSTED_ONLY is set"):
        Settings.read(trusted_only=True)
