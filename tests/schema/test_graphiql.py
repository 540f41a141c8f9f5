"""GraphiQL comes out of files of this machine, unaltered, or says what to do."""

import hashlib
import re
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import httpx
import pytest

from schema import graphiql
from schema.graphiql import DIGESTS, OWN, PACKAGE, GraphiQL
from tests.schema.toy import options

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Files are looked for once per process; here once per test."""
    graphiql.find_files.cache_clear()
    yield
    graphiql.find_files.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with files of our own, and their digests."""
    folder = tmp_path / PACKAGE / "static" / PACKAGE
    folder.mkdir(parents=True)
    for name in DIGESTS:
        (folder / name).write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in DIGESTS}
    monkeypatch.setattr(graphiql, "DIGESTS", digests)
    spec = ModuleSpec(PACKAGE, None, origin=str(tmp_path / PACKAGE / "__init__.py"))
    monkeypatch.setattr(graphiql, "find_spec", lambda _: spec)
    return folder


async def get(path: str, *, on: bool = True, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(GraphiQL(options(graphiql=on)))
    async with httpx.AsyncClient(transport=transport, base_url="http://kaoping.example:8000") as client:
        return await client.request(method, path, headers={name.replace("_", "-"): v for name, v in headers.items()})


async def test_off_by_setting() -> None:
    response = await get("/graphiql", on=False)
    assert response.status_code == 404
    assert "KAOPING_GRAPHIQL" in response.text


async def test_without_the_package_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphiql, "find_spec", lambda _: None)
    response = await get("/graphiql")
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/plain")
    chinese, english = response.text.splitlines()
    assert "pip install 'kaoping[graphiql]'" in chinese
    assert "pip install 'kaoping[graphiql]'" in english
    assert (await get("/graphiql", accept_language="en")).text.splitlines()[0] == english


async def test_altered_files_are_not_served(installed: Path) -> None:
    (installed / "graphiql.min.js").write_text("fetch('https://evil.example')")
    response = await get("/graphiql/graphiql.min.js")
    assert response.status_code == 503
    assert "evil" not in response.text


async def test_incomplete_files_are_as_none(installed: Path) -> None:
    (installed / "graphql-ws.min.js").unlink()
    assert (await get("/graphiql")).status_code == 503


async def test_the_page_and_all_that_it_asks_for(installed: Path) -> None:
    response = await get("/graphiql")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "ws://kaoping.example:8000" in policy
    assert "'unsafe-eval'" not in policy
    asked = re.findall(r'(?:src|href)="(/[^"]+)"', response.text)
    assert {Path(path).name for path in asked} == {*DIGESTS, *OWN}
    for path in asked:
        response = await get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(("text/javascript", "text/css"))
        assert (await get(path, if_none_match=response.headers["etag"])).status_code == 304


@pytest.mark.parametrize("name", ["graphiql.html", *OWN])
def test_our_own_files_name_no_other_host(name: str) -> None:
    text = (Path(graphiql.__file__).parent / "assets" / name).read_text(encoding="utf-8")
    assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", ["/graphiql/..%2f..%2fpyproject.toml", "/graphiql/nope.js", "/graphiql/page.py"])
async def test_nothing_else_is_served(installed: Path, path: str) -> None:
    assert (await get(path)).status_code == 404


async def test_get_only(installed: Path) -> None:
    response = await get("/graphiql", method="POST")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


async def test_a_strange_host_does_not_get_into_the_policy(installed: Path) -> None:
    response = await get("/graphiql", host="x; script-src *")
    assert "script-src *" not in response.headers["content-security-policy"]


def test_the_installed_package_is_the_one_we_know() -> None:
    files = graphiql.find_files()
    if files.fault is graphiql._MISSING:
        pytest.skip("the extra graphiql is not installed")
    assert files.fault is None
