"""Units and categories over GraphQL: reads, pages, mutations, replays and refusals (单位与类别接口)."""

from typing import Any
from uuid import UUID

import pytest

from service.access import Role
from service.ids import decode_id, encode_id
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.schema.conftest import Caller, MakeCaller, held

pytestmark = pytest.mark.anyio

ERROR = "... on Error { __typename code message path hint }"

CREATE_CATEGORY = f"""mutation ($input: CreateCategoryInput!) {{
  createCategory(input: $input) {{
    ... on CreateCategorySuccess {{ category {{ id code name unitCount version }} }}
    {ERROR}
  }}
}}"""

IMPORT = f"""mutation ($input: ImportOrgUnitsInput!) {{
  importOrgUnits(input: $input) {{
    ... on ImportOrgUnitsSuccess {{ created updated unchanged orgUnits {{ id code }} }}
    ... on InputError {{ issueCount issues {{ code path }} }}
    {ERROR}
  }}
}}"""

RENAME = f"""mutation ($input: RenameOrgUnitInput!) {{
  renameOrgUnit(input: $input) {{
    ... on RenameOrgUnitSuccess {{ orgUnit {{ id name version formerNames {{ name until }} }} }}
    ... on VersionConflictError {{ conflicts {{ path currentVersion current {{ id ... on OrgUnit {{ name }} }} }} }}
    ... on AccessError {{ requiredRoles }}
    {ERROR}
  }}
}}"""

PAGE = """query (
  $first: Int, $after: String, $last: Int, $before: String, $orderBy: [OrgUnitOrder!], $filter: OrgUnitFilter
) {
  orgUnits(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, filter: $filter) {
    edges { cursor node { code } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}"""


async def import_units(caller: Caller, *rows: tuple[str, str | None]) -> dict[str, str]:
    """Units by code and parent's code; gives ids by code."""
    units = [
        {"code": code, "name": f"单位{code}", "kind": "BRANCH", "parentCode": parent, "validFrom": "2020-01-01"}
        for code, parent in rows
    ]
    data = await caller.ask(IMPORT, input={"units": units, "idempotencyKey": str(uuid7())})
    assert data["importOrgUnits"]["created"] == len(rows), data
    return {unit["code"]: unit["id"] for unit in data["importOrgUnits"]["orgUnits"]}


async def test_what_a_mutation_wrote_can_be_read(administrator: Caller) -> None:
    data = await administrator.ask(CREATE_CATEGORY, input={"code": "sq", "name": "社区", "idempotencyKey": "category"})
    category = data["createCategory"]["category"]
    assert (category["code"], category["name"], category["unitCount"], category["version"]) == ("sq", "社区", 0, 1)
    read = await administrator.ask("{ categories { id name } tenant { name timeZone today } }")
    assert read["categories"] == [{"id": category["id"], "name": "社区"}]
    assert read["tenant"]["name"] == "测试区"


async def test_a_unit_shows_its_place(administrator: Caller) -> None:
    ids = await import_units(administrator, ("a", None), ("a1", "a"), ("a2", "a"), ("a11", "a1"))
    data = await administrator.ask(
        """query ($id: ID!) { orgUnit(id: $id) {
             code kind category { name } parent { code children(first: 1) { totalCount edges { node { code } } } }
             ancestors { code } children { edges { node { code parent { code } } } } validFrom validTo
        } }""",
        id=ids["a1"],
    )
    assert data["orgUnit"] == {
        "code": "a1",
        "kind": "BRANCH",
        "category": None,
        "parent": {"code": "a", "children": {"totalCount": 2, "edges": [{"node": {"code": "a1"}}]}},
        "ancestors": [{"code": "root"}, {"code": "a"}],
        "children": {"edges": [{"node": {"code": "a11", "parent": {"code": "a1"}}}]},
        "validFrom": "2020-01-01",
        "validTo": None,
    }


@pytest.mark.parametrize(
    "order",
    [
        None,
        [{"field": "CODE"}],
        [{"field": "CODE", "direction": "DESC"}],
        [{"field": "NAME", "direction": "DESC"}, {"field": "CODE"}],
    ],
)
async def test_pages_on_and_back_give_the_whole_list(administrator: Caller, order: Any) -> None:
    await import_units(administrator, *((f"u{n}", None) for n in range(7)))

    async def page(**arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await administrator.ask(PAGE, orderBy=order, **arguments))["orgUnits"]
        return found

    whole = [edge["node"]["code"] for edge in (await page())["edges"]]
    assert len(whole) == 8
    onward: list[str] = []
    after = None
    while True:
        part = await page(first=3, after=after)
        assert part["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert part["totalCount"] == 8
        onward += [edge["node"]["code"] for edge in part["edges"]]
        after = part["pageInfo"]["endCursor"]
        if not part["pageInfo"]["hasNextPage"]:
            break
    assert onward == whole
    back: list[str] = []
    before = None
    while True:
        part = await page(last=3, before=before)
        assert part["pageInfo"]["hasNextPage"] is (before is not None)
        back = [edge["node"]["code"] for edge in part["edges"]] + back
        before = part["pageInfo"]["startCursor"]
        if not part["pageInfo"]["hasPreviousPage"]:
            break
    assert back == whole


async def test_an_empty_page_has_no_cursors(administrator: Caller) -> None:
    empty = (await administrator.ask(PAGE, filter={"codes": ["nothing"]}))["orgUnits"]
    assert empty["edges"] == []
    assert empty["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


async def test_a_cursor_belongs_to_its_list_filter_and_order(administrator: Caller) -> None:
    await import_units(administrator, ("a", None), ("b", None))
    cursor = (await administrator.ask(PAGE, first=1))["orgUnits"]["pageInfo"]["endCursor"]
    for arguments in (
        {"after": cursor, "orderBy": [{"field": "NAME"}]},
        {"after": cursor, "filter": {"kinds": ["BRANCH"]}},
        {"after": cursor + "="},
        {"after": "nonsense"},
        {"after": ""},
    ):
        (extensions,) = await administrator.refused(PAGE, **arguments)
        assert (extensions["code"], extensions["path"]) == ("INVALID_CURSOR", ["after"])


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        ({"first": 0}, "INVALID", ["first"]),
        ({"first": 101}, "INVALID", ["first"]),
        ({"last": -1}, "INVALID", ["last"]),
        ({"first": 1, "last": 1}, "INVALID", ["last"]),
        ({"filter": {"underId": "x"}}, "INVALID_ID", ["filter", "underId"]),
        (
            {"filter": {"categoryIds": [encode_id("OrgUnit", UUID(int=1))]}},
            "INVALID_ID",
            ["filter", "categoryIds", "0"],
        ),
        ({"filter": {"asOf": "2026-02-30"}}, "INVALID_DATETIME", ["filter", "asOf"]),
        ({"filter": {"search": "\x00"}}, "INVALID_TEXT", ["filter", "search"]),
        ({"orderBy": [{"field": "CODE"}] * 3}, "TOO_LARGE", ["orderBy"]),
    ],
)
async def test_a_faulty_argument_is_named(administrator: Caller, arguments: Any, code: str, path: list[str]) -> None:
    (extensions,) = await administrator.refused(PAGE, **arguments)
    assert (extensions["code"], extensions["path"]) == (code, path)


async def test_filters_narrow(administrator: Caller) -> None:
    ids = await import_units(administrator, ("a", None), ("a_1", "a"), ("a11", "a"), ("b", None))

    async def codes(**conditions: Any) -> list[str]:
        found = await administrator.ask(PAGE, filter=conditions)
        return [edge["node"]["code"] for edge in found["orgUnits"]["edges"]]

    assert await codes(underId=ids["a"]) == ["a", "a11", "a_1"]
    assert await codes(search="A_") == ["a_1"]
    assert await codes(codes=["b", "a"], kinds=["BRANCH"]) == ["a", "b"]
    assert await codes(underId=encode_id("OrgUnit", uuid7())) == []
    assert "root" not in await codes(asOf="2020-06-01")


async def test_a_replay_answers_the_same_unit_as_it_is_now(administrator: Caller) -> None:
    ids = await import_units(administrator, ("a", None))
    first = {"orgUnitId": ids["a"], "version": 1, "name": "甲", "from": "2026-01-01", "idempotencyKey": "rename"}
    done = (await administrator.ask(RENAME, input=first))["renameOrgUnit"]["orgUnit"]
    assert done == {
        "id": ids["a"],
        "name": "甲",
        "version": 2,
        "formerNames": [{"name": "单位a", "until": "2025-12-31"}],
    }
    await administrator.ask(
        RENAME, input={"orgUnitId": ids["a"], "version": 2, "name": "乙", "idempotencyKey": "again"}
    )
    replay = (await administrator.ask(RENAME, input=first))["renameOrgUnit"]["orgUnit"]
    assert (replay["name"], replay["version"]) == ("乙", 3)
    reused = (await administrator.ask(RENAME, input=first | {"name": "丙"}))["renameOrgUnit"]
    assert (reused["__typename"], reused["code"]) == ("IdempotencyError", "IDEMPOTENCY_KEY_REUSED")


async def test_a_stale_version_shows_the_unit_as_it_is(administrator: Caller) -> None:
    ids = await import_units(administrator, ("a", None))
    refusal = (
        await administrator.ask(
            RENAME, input={"orgUnitId": ids["a"], "version": 7, "name": "甲", "idempotencyKey": "k"}
        )
    )["renameOrgUnit"]
    assert refusal["code"] == "VERSION_CONFLICT"
    assert refusal["conflicts"] == [
        {"path": ["input", "version"], "currentVersion": 1, "current": {"id": ids["a"], "name": "单位a"}}
    ]


async def test_all_faults_of_an_import_are_listed(administrator: Caller) -> None:
    rows = [{"code": f"x {n}", "name": "", "kind": "BRANCH"} for n in range(600)]
    refusal = (await administrator.ask(IMPORT, input={"units": rows, "idempotencyKey": "k"}))["importOrgUnits"]
    assert (refusal["__typename"], refusal["issueCount"], len(refusal["issues"])) == ("InputError", 1200, 1000)
    assert refusal["issues"][0] == {"code": "INVALID_TEXT", "path": ["input", "units", "0", "code"]}


async def test_access_is_asked_before_the_key(
    administrator: Caller, make_caller: MakeCaller, tenant: District, root_id: UUID
) -> None:
    ids = await import_units(administrator, ("a", None))
    given = {"orgUnitId": ids["a"], "version": 1, "name": "甲", "idempotencyKey": ""}
    secretary = make_caller(tenant, [held(Role.SECRETARY, root_id, at_root=True)], language="zh-CN")
    refusal = (await secretary.ask(RENAME, input=given))["renameOrgUnit"]
    assert (refusal["__typename"], refusal["requiredRoles"]) == ("AccessError", ["ADMINISTRATOR"])
    assert refusal["message"] == "需要系统管理员的授权。"
    unsound = (await administrator.ask(RENAME, input=given))["renameOrgUnit"]
    assert (unsound["code"], unsound["path"]) == ("INVALID_IDEMPOTENCY_KEY", ["input", "idempotencyKey"])


async def test_nobody_reads_or_writes_without_sign_in(db: Database, administrator: Caller) -> None:
    stranger = Caller(db, administrator.settings, None)
    data = await stranger.ask("{ tenant { id } orgUnits { totalCount } categories { id } }")
    assert data == {"tenant": None, "orgUnits": None, "categories": None}
    refusal = await stranger.ask(CREATE_CATEGORY, input={"code": "c", "name": "类", "idempotencyKey": "k"})
    assert refusal["createCategory"]["code"] == "UNAUTHENTICATED"


async def test_another_districts_unit_does_not_exist(
    administrator: Caller, make_tenant: Any, make_caller: MakeCaller, db: Database
) -> None:
    ids = await import_units(administrator, ("a", None))
    other = await make_tenant()
    async with db.transaction(other.id) as tx:
        other_root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", other.id)
    foreigner = make_caller(other, [held(Role.ADMINISTRATOR, other_root, at_root=True)])
    unknown = encode_id("OrgUnit", uuid7())
    document = "query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } orgUnit(id: $id) { id } }"
    assert await foreigner.ask(document, id=ids["a"]) == await foreigner.ask(document, id=unknown)
    given = {"version": 1, "name": "甲", "idempotencyKey": "k"}
    answers = [
        (await foreigner.ask(RENAME, input={"orgUnitId": key, **given}))["renameOrgUnit"] for key in (ids["a"], unknown)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "NOT_FOUND"


async def test_node_gives_what_an_id_names(administrator: Caller, root_id: UUID) -> None:
    key = encode_id("OrgUnit", root_id)
    data = await administrator.ask(
        "query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id, $id]) { id ... on OrgUnit { code } } }",
        id=key,
    )
    assert data["node"] == {"__typename": "OrgUnit", "id": key}
    assert data["nodes"] == [{"id": key, "code": "root"}] * 2
    assert decode_id(key, "OrgUnit") == root_id
    for text in ("", "x", key + "=", key[:-1], encode_id("Nothing", root_id)):
        (extensions,) = await administrator.refused("query ($id: ID!) { node(id: $id) { id } }", id=text)
        assert (extensions["code"], extensions["path"]) == ("INVALID_ID", ["id"])
