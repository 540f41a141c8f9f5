"""Boards over HTTP: the same bytes as fresh ones, never another viewer's, never older than a second."""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from schema.asgi import create_graphql
from schema.negotiation import GRAPHQL_RESPONSE, JSON
from schema.published import matches
from service import members, metrics, publications
from service.access import Role, issue_jwt, system_actor
from service.actors import HELD_SECONDS
from service.app import create_app
from service.districts import set_status
from service.ids import decode_id, encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.schema.published.boards import BOARD, MANIFEST_TEXTS, OWN_BOARD, RANKS
from tests.schema.test_trusted import sha256, written
from tests.service.computing import Course, course

pytestmark = pytest.mark.anyio

LINEAR = {
    "kind": "LINEAR",
    "quantity": {"numerator": {"terms": [{"coefficient": "1", "dataItem": "x"}]}},
    "zeroAt": "0",
    "fullAt": "50",
}
VALUES = {"c1": {"x": "40"}, "c2": {"x": "30"}, "c3": {"x": "30"}, "v1": {"x": "10"}}
WITHHELD = [
    {"kind": "FEEDBACK", "totals": "NONE", "ranks": "NONE", "grades": "NONE", "dimensions": "NONE", "bestCount": None},
    {"kind": "INTERIM", "totals": "ALL", "ranks": "ALL", "dimensions": "ALL", "bestCount": None},
]


@dataclass
class Site:
    """A district with a board, on a running application."""

    app: ASGIApp
    settings: Settings
    db: Database
    given: Course
    run: UUID
    board: str

    @property
    def tenant(self) -> District:
        """Whose it is."""
        return self.given.tenant

    async def viewer(self, role: Role, unit: str | None = None) -> tuple[str, UUID]:
        """A token, and the account behind it."""
        world = self.given.world
        unit_id = encode_id("OrgUnit", world.root) if unit is None else world.units[unit]
        async with self.db.transaction(self.tenant.id) as tx:
            member_id = await members.create_member(
                tx,
                system_actor(self.tenant.id),
                display_name="某人",
                sign_in_name=uuid.uuid4().hex,
                grants=[members.GrantSpec(role=role, unit_id=unit_id)],
            )
        assert self.settings.signing_key is not None
        key = self.settings.signing_key.get_secret_value()
        return issue_jwt(key, tenant_id=self.tenant.id, member_id=member_id, minutes=5).token, member_id

    def client(self, token: str | None, **headers: str) -> httpx.AsyncClient:
        """A client of the application."""
        given = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://kaoping",
            headers={"accept": JSON, "accept-language": "en", **given, **headers},
        )

    async def publish(self, kind: str) -> str:
        """Publish the run once more; the id."""
        async with self.db.transaction(self.tenant.id) as tx:
            version = await tx.fetchval(
                "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, self.given.cycle_ids[0]
            )
            made, _ = await publications.publish_run(
                tx,
                self.given.world.actor,
                run_id=encode_id("RankingRun", self.run),
                version=version,
                kind=kind,
                title=f"考核{kind}",
            )
        return encode_id("Publication", made)


async def make_site(settings: Settings, db: Database, tenant: District, app: ASGIApp, kind: str = "INTERIM") -> Site:
    """A district, its run and a board."""
    given = await course(db, tenant, {"linear": LINEAR}, disclosures=WITHHELD)
    await given.cycle(VALUES)
    run = await given.run(given.cycle_ids[0])
    site = Site(app, settings, db, given, run, "")
    site.board = await site.publish(kind)
    return site


def make_app(settings: Settings, db: Database, folder: Path, **changes: Any) -> ASGIApp:
    path = written(folder, {sha256(text): text for text in MANIFEST_TEXTS})
    told = settings.model_copy(update={"trusted_documents": path, **changes})
    return create_app(told, db, create_graphql(told, db))


@pytest.fixture
async def site(settings: Settings, db: Database, tenant: District, tmp_path: Path) -> Site:
    return await make_site(settings, db, tenant, make_app(settings, db, tmp_path))


def asking(text: str, **variables: object) -> dict[str, str]:
    return {"documentId": f"sha256:{sha256(text)}", "variables": orjson.dumps(variables).decode()}


async def get(
    client: httpx.AsyncClient, text: str, headers: dict[str, str] | None = None, **given: Any
) -> httpx.Response:
    return await client.get("/graphql", params=asking(text, **given), headers=headers)


async def fresh(client: httpx.AsyncClient, text: str, **variables: object) -> bytes:
    """The same without any bytes that were kept: a POST."""
    response = await client.post("/graphql", json={"query": text, "variables": variables})
    assert response.headers["cache-control"] == "no-store"
    return response.content


def hits() -> float:
    return metrics.REGISTRY.get_sample_value("kaoping_board_cache_hits_total") or 0.0


def misses() -> float:
    return metrics.REGISTRY.get_sample_value("kaoping_board_cache_misses_total") or 0.0


async def test_kept_and_fresh_answers_are_the_same_bytes(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        for text in MANIFEST_TEXTS:
            before = misses(), hits()
            first = await get(client, text, id=site.board)
            again = await get(client, text, id=site.board)
            assert (misses(), hits()) == (before[0] + 1, before[1] + 1)
            expected = await fresh(client, text, id=site.board)
            assert orjson.loads(expected)["data"]["publication"]["title"] == "考核INTERIM"
            assert first.content == again.content == expected
            assert first.headers["etag"] == again.headers["etag"]
            for response in (first, again):
                assert response.status_code == 200
                assert response.headers["cache-control"] == "private, max-age=0, must-revalidate"
                assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
                assert response.headers["vary"] == "Accept, Accept-Language, Authorization"
                assert response.headers["content-language"] == "en"
                assert response.headers["content-length"] == str(len(expected))
                assert response.headers["x-content-type-options"] == "nosniff"
                assert response.headers["x-request-id"]
        standings = orjson.loads(await fresh(client, BOARD, id=site.board))["data"]["publication"]["standings"]
        assert standings["totalCount"] == 6
        assert standings["edges"][0]["node"]["rank"] == 1


async def test_forms_and_variables_are_kept_apart(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        tags = set()
        for headers in ({}, {"accept-language": "zh-CN"}, {"accept": GRAPHQL_RESPONSE}):
            for variables in ({}, {"first": 2}, {"first": 3}, {"first": 2, "after": None}):
                await get(client, BOARD, headers, id=site.board, **variables)
                response = await get(client, BOARD, headers, id=site.board, **variables)
                assert response.headers["content-type"].startswith(headers.get("accept", JSON))
                assert response.headers["content-language"] == headers.get("accept-language", "en")
                expected = await client.post(
                    "/graphql", json={"query": BOARD, "variables": {"id": site.board, **variables}}, headers=headers
                )
                assert response.content == expected.content
                tags.add(response.headers["etag"])
        # An explicit null is left out of nothing, but gives the same page.
        assert len(tags) == 9
        before = misses()
        spelled = orjson.dumps({"first": 2, "id": site.board, "other": 7}).decode()
        params = {"documentId": sha256(BOARD), "variables": spelled, "operationName": "Board"}
        assert (await client.get("/graphql", params=params)).status_code == 200
        assert misses() == before, "order of names and variables that nobody declared do not matter"


async def test_conditional_requests(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        response = await get(client, BOARD, id=site.board)
        etag = response.headers["etag"]
        for condition in (etag, f"W/{etag}", f'"other", {etag}', f' ,, "x",W/{etag} ', "*", f"{etag},*"[:-2]):
            unchanged = await get(client, BOARD, {"if-none-match": condition}, id=site.board)
            assert unchanged.status_code == 304, condition
            assert unchanged.content == b""
            assert unchanged.headers["etag"] == etag
            assert unchanged.headers["cache-control"] == response.headers["cache-control"]
            assert unchanged.headers["vary"] == response.headers["vary"]
            assert "content-type" not in unchanged.headers
        for condition in (
            '"other"',
            etag.strip('"'),
            f"w/{etag}",
            f"{etag} x",
            f"*, {etag}",
            '"',
            "",
            f'{etag[:-1]}x"',
        ):
            changed = await get(client, BOARD, {"if-none-match": condition}, id=site.board)
            assert changed.status_code == 200, condition
            assert changed.content == response.content
        head = await client.head("/graphql", params=asking(BOARD, id=site.board))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == response.headers["content-length"]
        assert head.headers["etag"] == etag
        head = await client.head("/graphql", params=asking(BOARD, id=site.board), headers={"if-none-match": etag})
        assert head.status_code == 304


def test_any_condition_is_read_in_a_moment() -> None:
    draw = random.Random(5)
    tag = b'"0123456789abcdef"'
    pieces = [tag, b'"', b"W/", b",", b" ", b"*", b'"x"', b"\t", b"\xff", b"abc", b"\\", b'"' + b"y" * 100]
    for _ in range(20_000):
        header = b"".join(draw.choices(pieces, k=draw.randrange(8)))
        if matches(header, tag):
            assert tag in header or header.strip() == b"*"
    began = time.perf_counter()
    for header in (b"," * 60_000, b'"x",' * 15_000, b" " * 60_000, b'"' * 60_000, b"W/" * 30_000, b"*" * 60_000):
        matches(header, tag)
    assert time.perf_counter() - began < 1


async def test_each_viewer_sees_its_own(site: Site) -> None:
    """Where nothing is disclosed, viewers' boards differ; nobody ever gets another's, and each is as a fresh one."""
    withheld = await site.publish("FEEDBACK")
    viewers = {
        "all": await site.viewer(Role.OBSERVER),
        "c1": await site.viewer(Role.SECRETARY, "c1"),
        "c2": await site.viewer(Role.SECRETARY, "c2"),
        "v1": await site.viewer(Role.OBSERVER, "v1"),
        "none": await site.viewer(Role.FEED, "c3"),
    }
    seen: dict[tuple[str, str], bytes] = {}
    for _ in range(3):
        for name, (token, _) in viewers.items():
            async with site.client(token) as client:
                for text in MANIFEST_TEXTS:
                    got = await get(client, text, id=withheld)
                    assert "etag" in got.headers
                    assert got.content == await fresh(client, text, id=withheld), name
                    assert seen.setdefault((name, text), got.content) == got.content
    own = {name: orjson.loads(seen[name, OWN_BOARD])["data"]["publication"]["ownStandings"] for name in viewers}
    assert {name: [each["unit"]["code"] for each in rows] for name, rows in own.items()} == {
        "all": [],
        "c1": ["c1"],
        "c2": ["c2"],
        "v1": [],
        "none": [],
    }


async def test_viewers_share_what_everyone_may_see(site: Site) -> None:
    """Totals and ranks are disclosed to all, so that one read serves everybody; what is one's own is not shared."""
    for text, reads in ((RANKS, 1), (OWN_BOARD, 3)):
        before = misses()
        for unit in ("c1", "c2", "v1"):
            token, _ = await site.viewer(Role.SECRETARY, unit)
            async with site.client(token) as client:
                response = await get(client, text, id=site.board)
                assert response.content == await fresh(client, text, id=site.board)
        assert misses() == before + reads


async def test_other_districts_never_find_a_board(
    site: Site, settings: Settings, db: Database, make_tenant: MakeTenant
) -> None:
    other = await make_site(settings, db, await make_tenant(), site.app)
    ours, _ = await site.viewer(Role.OBSERVER)
    theirs, _ = await other.viewer(Role.OBSERVER)
    async with site.client(ours) as here, other.client(theirs) as there:
        for _ in range(2):
            assert (await get(here, BOARD, id=site.board)).json()["data"]["publication"] is not None
            assert (await get(there, BOARD, id=other.board)).json()["data"]["publication"] is not None
            for client, id_ in (
                (here, other.board),
                (there, site.board),
                (here, encode_id("Publication", uuid.uuid4())),
            ):
                response = await get(client, BOARD, id=id_)
                assert response.json() == {"data": {"publication": None}}
                assert "etag" not in response.headers
                assert response.headers["cache-control"] == "no-store"


async def test_without_a_token_or_with_a_bad_one(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        await get(client, BOARD, id=site.board)
    async with site.client(None) as client:
        response = await get(client, BOARD, id=site.board)
        assert "etag" not in response.headers
        assert response.json() == {"data": {"publication": None}}
        for bad in ("Bearer x", f"Bearer {token[:-2]}", "Basic eA==", f"Bearer {token} {token}"):
            assert (await get(client, BOARD, {"authorization": bad}, id=site.board)).status_code == 401


async def until(client: httpx.AsyncClient, text: str, id_: str, changed: Any) -> None:
    """Ask until the answer is as wanted: no answer that is asked for a second after the change is an old one."""
    began = asked = time.monotonic()
    while not changed(await get(client, text, id=id_)):
        assert asked < began + HELD_SECONDS
        await asyncio.sleep(0.03)
        asked = time.monotonic()


async def test_what_ends_a_sight_counts_within_a_second(site: Site, owner_url: str) -> None:
    token, member_id = await site.viewer(Role.SECRETARY, "c1")
    other, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client, site.client(other) as observer:
        assert (await get(client, OWN_BOARD, id=site.board)).json()["data"]["publication"]["ownStandings"]
        async with site.db.transaction(site.tenant.id) as tx:
            grant = await tx.fetchval(
                "SELECT id FROM grants WHERE tenant_id = $1 AND holder_id = $2", tx.tenant_id, member_id
            )
            await members.revoke_grant(tx, system_actor(site.tenant.id), grant_id=encode_id("Grant", grant))
        await until(client, OWN_BOARD, site.board, lambda got: got.json()["data"]["publication"]["ownStandings"] == [])
        async with site.db.transaction(site.tenant.id) as tx:
            name = encode_id("Member", member_id)
            await members.edit_member(tx, system_actor(site.tenant.id), member_id=name, version=1, active=False)
        await until(client, OWN_BOARD, site.board, lambda got: got.status_code == 401)
        assert (await get(observer, BOARD, id=site.board)).status_code == 200
        await set_status(owner_url, code=site.tenant.code, status="SUSPENDED")
        await until(observer, BOARD, site.board, lambda got: got.status_code == 401)


async def test_what_changes_about_a_board_is_seen_within_a_second(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:

        async def seen(what: str) -> None:
            assert (await get(client, BOARD, id=site.board)).status_code == 200
            await until(client, BOARD, site.board, lambda got: what in got.text)
            assert (await get(client, BOARD, id=site.board)).content == await fresh(client, BOARD, id=site.board)

        await seen("社区")
        async with site.db.transaction(site.tenant.id) as tx:
            await tx.execute(
                """UPDATE categories SET name = '城市社区', version = version + 1
                   WHERE tenant_id = $1 AND code = 'community'""",
                tx.tenant_id,
            )
        await seen("城市社区")
        async with site.db.transaction(site.tenant.id) as tx:
            await tx.execute(
                """INSERT INTO publications (tenant_id, id, cycle_id, run_id, kind, number, title, published_at,
                       published_by_id, disclosure, format, engine_version, digest, bundle, supersedes_id)
                   SELECT tenant_id, $3, cycle_id, run_id, kind, 99, title, now(), published_by_id, disclosure, format,
                       engine_version, digest, bundle, id FROM publications WHERE tenant_id = $1 AND id = $2""",
                tx.tenant_id,
                decode_id(site.board, "Publication"),
                uuid.uuid4(),
            )
        await seen('"current":false')


async def test_a_later_publication_of_the_run_may_disclose_more(
    settings: Settings, db: Database, tenant: District, tmp_path: Path
) -> None:
    site = await make_site(settings, db, tenant, make_app(settings, db, tmp_path), kind="FEEDBACK")
    token, _ = await site.viewer(Role.SECRETARY, "c1")

    def count(response: httpx.Response) -> int:
        total: int = response.json()["data"]["publication"]["standings"]["totalCount"]
        return total

    async with site.client(token) as client:
        assert count(await get(client, BOARD, id=site.board)) == 1
        assert count(await get(client, BOARD, id=site.board)) == 1
        await site.publish("INTERIM")
        await until(client, BOARD, site.board, lambda got: count(got) == 6)
        assert (await get(client, BOARD, id=site.board)).content == await fresh(client, BOARD, id=site.board)


async def test_those_who_ask_at_once_are_answered_by_one_read(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        before = misses()
        found = await asyncio.gather(*(get(client, BOARD, id=site.board) for _ in range(20)))
        assert len({each.content for each in found}) == 1
        assert misses() == before + 1


async def test_faults_are_the_endpoints(site: Site) -> None:
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        for variables, status, code in (
            ({"id": site.board, "first": "x"}, 400, "BAD_USER_INPUT"),
            ({"id": site.board, "first": 100_000}, 200, None),
            ({"id": site.board, "after": "x"}, 200, "INVALID_CURSOR"),
            ({}, 400, "BAD_USER_INPUT"),
            ({"id": 7}, 200, "INVALID_ID"),
            ({"id": encode_id("Cycle", site.given.cycle_ids[0])}, 200, None),
        ):
            response = await get(client, BOARD, {"accept": GRAPHQL_RESPONSE}, **variables)
            posted = await client.post(
                "/graphql", json={"query": BOARD, "variables": variables}, headers={"accept": GRAPHQL_RESPONSE}
            )
            assert (response.status_code, response.json()) == (posted.status_code, posted.json()), variables
            assert response.status_code == status, response.text
            if code is not None:
                assert response.json()["errors"][0]["extensions"]["code"] == code
                assert "etag" not in response.headers


async def test_a_cache_of_no_bytes_serves_all_the_same(
    settings: Settings, db: Database, tenant: District, tmp_path: Path
) -> None:
    site = await make_site(settings, db, tenant, make_app(settings, db, tmp_path, board_cache_bytes=0))
    token, _ = await site.viewer(Role.OBSERVER)
    async with site.client(token) as client:
        first, again = [await get(client, BOARD, id=site.board) for _ in range(2)]
        assert first.content == again.content
        assert first.headers["etag"] == again.headers["etag"]


LEVELS = ("ALL", "BEST", "NONE")
SELECTIONS = (
    "title current standings { totalCount edges { node { rank overallRank unit { code } } } }",
    "standings(orderBy: [{field: TOTAL}]) { edges { node { total exact unit { code } } } }",
    'standings(orderBy: [{field: DIMENSION, dimensionCode: "D0"}]) { edges { node { dimensions { marks } } } }',
    'standings(filter: {search: "c"}) { edges { node { base leaves { marks } nodeScore(code: "D0") { score } } } }',
    "categories { name highest quotas { used } } standings(last: 2) { edges { node { rank proposedGrade { code } } } }",
    "ownStandings { rank total } standings(first: 1) { pageInfo { endCursor } edges { cursor node { id } } }",
)
DISCLOSING = tuple(f"query Q{i}($id: ID!) {{ publication(id: $id) {{ {each} }} }}" for i, each in enumerate(SELECTIONS))


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_disclosed_nobody_gets_anothers_bytes(
    seed: int, settings: Settings, db: Database, tenant: District, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    parts = ("totals", "ranks", "grades", "dimensions")
    told: list[dict[str, Any]] = []
    for kind in ("FEEDBACK", "INTERIM"):
        levels = {part: draw.choice(LEVELS) for part in parts}
        told.append({"kind": kind, **levels, "bestCount": 2 if "BEST" in levels.values() else None})
    path = written(tmp_path, {sha256(text): text for text in DISCLOSING})
    own = settings.model_copy(update={"trusted_documents": path})
    app = create_app(own, db, create_graphql(own, db))
    given = await course(db, tenant, {"linear": LINEAR, "more": LINEAR}, disclosures=told)
    await given.cycle(VALUES)
    site = Site(app, settings, db, given, await given.run(given.cycle_ids[0]), "")
    boards = [await site.publish("FEEDBACK")]
    site.run = await given.run(given.cycle_ids[0])
    boards.append(await site.publish("INTERIM"))
    viewers = [
        await site.viewer(role, unit)
        for role, unit in (
            (Role.OBSERVER, None),
            (Role.SECRETARY, "c1"),
            (Role.SECRETARY, "c3"),
            (Role.REVIEWER, "v1"),
            (Role.FEED, "c2"),
        )
    ]
    before = hits()
    for _ in range(2):
        draw.shuffle(viewers)
        for token, _member in viewers:
            async with site.client(token) as client:
                for board in boards:
                    for text in DISCLOSING:
                        kept = await get(client, text, id=board)
                        assert "etag" in kept.headers
                        assert kept.content == await fresh(client, text, id=board), (told, text)
    assert hits() - before >= len(viewers) * len(boards) * len(DISCLOSING)


async def test_what_was_read_with_a_new_grant_is_not_kept_under_the_old_ones(site: Site) -> None:
    """The viewer is known from a moment ago, but the answer is kept for the grants that it was read with."""
    token, member_id = await site.viewer(Role.FEED, "c2")

    def own(response: httpx.Response) -> list[str]:
        return [each["unit"]["code"] for each in response.json()["data"]["publication"]["ownStandings"]]

    async with site.client(token) as client:
        await fresh(client, "{ viewer { roles } }")
        async with site.db.transaction(site.tenant.id) as tx:
            root = site.given.world.units["c1"]
            spec = members.GrantSpec(role=Role.SECRETARY, unit_id=root)
            made = await members.grant_role(
                tx, system_actor(site.tenant.id), holder_id=encode_id("Member", member_id), grant=spec
            )
        assert own(await get(client, OWN_BOARD, id=site.board)) == ["c1"]
        async with site.db.transaction(site.tenant.id) as tx:
            await members.revoke_grant(tx, system_actor(site.tenant.id), grant_id=encode_id("Grant", made))
        await asyncio.sleep(HELD_SECONDS)
        assert own(await get(client, OWN_BOARD, id=site.board)) == []
