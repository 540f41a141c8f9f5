"""The organisation tree keeps its promises: no rings, old names kept, imports all or nothing (单位树)."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from service import directory
from service.access import Actor, HeldGrant, Role, system_actor
from service.directory import UnitRow
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District

pytestmark = pytest.mark.anyio


def unit_id(key: UUID) -> str:
    return encode_id("OrgUnit", key)


async def keys(tx: Transaction) -> dict[str, UUID]:
    rows = await tx.fetch("SELECT code, id FROM org_units WHERE tenant_id = $1", tx.tenant_id)
    return {row["code"]: row["id"] for row in rows}


async def check_tree(tx: Transaction) -> dict[str, str]:
    """Paths by code, after asserting that paths and ancestors are what the parents say."""
    rows = await tx.fetch("SELECT id, code, parent_id, tree_path FROM org_units WHERE tenant_id = $1", tx.tenant_id)
    units = {row["id"]: row for row in rows}
    expected = set()
    for row in rows:
        chain = [row["id"]]
        while (above := units[chain[-1]]["parent_id"]) is not None:
            assert above not in chain
            chain.append(above)
        expected |= {(row["id"], above, depth) for depth, above in enumerate(chain)}
        assert row["tree_path"] == " ".join(units[each]["code"] for each in reversed(chain))
    links = await tx.fetch(
        "SELECT unit_id, ancestor_id, depth FROM org_unit_ancestors WHERE tenant_id = $1", tx.tenant_id
    )
    assert {tuple(link.values()) for link in links} == expected
    return {row["code"]: row["tree_path"] for row in rows}


async def tree(db: Database, tenant: District, *rows: tuple[str, str | None]) -> dict[str, UUID]:
    """Import units by code and code of the parent; gives their keys."""
    actor = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        await directory.import_org_units(
            tx,
            actor,
            rows=[UnitRow(code, f"单位{code}", "BRANCH", parent, valid_from="2020-01-01") for code, parent in rows],
        )
        return await keys(tx)


async def test_categories_have_codes_and_names_of_their_own(db: Database, tenant: District) -> None:
    actor = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        first = await directory.create_category(tx, actor, code="sq", name="社区")
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.create_category(tx, actor, code="sq", name="社区")
    assert [(issue.code, issue.path[-1]) for issue in refusal.value.issues] == [
        (ErrorCode.DUPLICATE, "code"),
        (ErrorCode.DUPLICATE, "name"),
    ]
    async with db.transaction(tenant.id) as tx:
        key = encode_id("Category", first)
        await directory.edit_category(tx, actor, category_id=key, version=1, name="城市社区")
    with pytest.raises(VersionConflict) as conflict:
        async with db.transaction(tenant.id) as tx:
            await directory.edit_category(tx, actor, category_id=key, version=1, name="社区")
    assert conflict.value.conflicts[0].current_version == 2
    async with db.transaction(tenant.id) as tx:
        actions = await tx.fetch("SELECT action FROM audit_events WHERE tenant_id = $1 ORDER BY sequence", tenant.id)
    assert [row["action"] for row in actions] == ["createCategory", "editCategory"]


async def test_all_faults_of_a_new_unit_come_at_once(db: Database, tenant: District) -> None:
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.create_org_unit(
                tx,
                system_actor(tenant.id),
                code="no spaces",
                name=" ",
                kind="CLUB",
                parent_id="nonsense",
                valid_from="2026-02-30",
                member_count=-1,
            )
    assert {issue.path[-1] for issue in refusal.value.issues} == {
        "code",
        "name",
        "kind",
        "parentId",
        "validFrom",
        "memberCount",
    }


async def test_a_new_unit_hangs_in_the_tree(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("town", None))
    async with db.transaction(tenant.id) as tx:
        await directory.create_org_unit(
            tx, system_actor(tenant.id), code="b", name="支部", kind="BRANCH", parent_id=unit_id(units["town"])
        )
        assert (await check_tree(tx))["b"] == "root town b"
    with pytest.raises(NotFound):
        async with db.transaction(tenant.id) as tx:
            await directory.create_org_unit(
                tx, system_actor(tenant.id), code="c", name="支部", kind="BRANCH", parent_id=unit_id(uuid7())
            )


async def test_a_subtree_moves_with_its_unit(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None), ("a1", "a"), ("a11", "a1"), ("b", None))
    actor = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        await directory.move_org_unit(
            tx, actor, org_unit_id=unit_id(units["a1"]), version=1, parent_id=unit_id(units["b"]), reason="区划调整"
        )
        assert (await check_tree(tx))["a11"] == "root b a1 a11"
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.move_org_unit(
                tx, actor, org_unit_id=unit_id(units["b"]), version=1, parent_id=unit_id(units["a11"])
            )
    assert refusal.value.path == ("input", "parentId")


async def test_two_moves_at_once_make_no_ring(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None), ("b", None))

    async def move(what: str, under: str) -> None:
        async with db.transaction(tenant.id) as tx:
            await directory.move_org_unit(
                tx,
                system_actor(tenant.id),
                org_unit_id=unit_id(units[what]),
                version=1,
                parent_id=unit_id(units[under]),
            )

    results = await asyncio.gather(move("a", "b"), move("b", "a"), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Invalid]
    async with db.transaction(tenant.id) as tx:
        await check_tree(tx)


async def test_a_former_name_is_kept_to_its_last_day(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None))
    actor, key = system_actor(tenant.id), unit_id(units["a"])
    async with db.transaction(tenant.id) as tx:
        await directory.rename_org_unit(tx, actor, org_unit_id=key, version=1, name="新名", from_="2026-01-01")
        rows = await tx.fetch("SELECT name, until FROM org_unit_names WHERE tenant_id = $1", tenant.id)
        assert [tuple(row.values()) for row in rows] == [("单位a", date(2025, 12, 31))]
    for name, day, field in (("新名", None, "name"), ("更新", "2025-06-01", "from"), ("更新", "2999-01-01", "from")):
        with pytest.raises(Invalid) as refusal:
            async with db.transaction(tenant.id) as tx:
                await directory.rename_org_unit(tx, actor, org_unit_id=key, version=2, name=name, from_=day)
        assert refusal.value.path == ("input", field)


async def test_editing_keeps_what_is_left_out_and_clears_what_is_none(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None), ("a1", "a"))
    actor, key = system_actor(tenant.id), unit_id(units["a"])

    async def row() -> dict[str, Any]:
        async with db.transaction(tenant.id) as tx:
            await check_tree(tx)
            found = await tx.fetchrow("SELECT * FROM org_units WHERE tenant_id = $1 AND id = $2", tenant.id, units["a"])
        assert found is not None
        return dict(found)

    async with db.transaction(tenant.id) as tx:
        category = await directory.create_category(tx, actor, code="c", name="类别")
        await directory.edit_org_unit(
            tx, actor, org_unit_id=key, version=1, category_id=encode_id("Category", category), member_count=30
        )
    assert ((await row())["category_id"], (await row())["member_count"]) == (category, 30)
    async with db.transaction(tenant.id) as tx:
        await directory.edit_org_unit(tx, actor, org_unit_id=key, version=2, code="z", category_id=None)
    after = await row()
    assert (after["category_id"], after["member_count"], after["code"], after["version"]) == (None, 30, "z", 3)


async def test_a_unit_ends_after_those_below_it(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None), ("a1", "a"))
    actor = system_actor(tenant.id)

    async def close(code: str, version: int = 1) -> None:
        async with db.transaction(tenant.id) as tx:
            await directory.close_org_unit(
                tx, actor, org_unit_id=unit_id(units[code]), version=version, last_day="2026-06-30", reason="撤并"
            )

    with pytest.raises(IllegalState):
        await close("a")
    await close("a1")
    await close("a")
    with pytest.raises(IllegalState) as refusal:
        await close("a", 2)
    assert refusal.value.code is ErrorCode.UNIT_CLOSED
    with pytest.raises(IllegalState) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.create_org_unit(
                tx, actor, code="new", name="新", kind="BRANCH", parent_id=unit_id(units["a"])
            )
    assert refusal.value.code is ErrorCode.UNIT_CLOSED
    with pytest.raises(Invalid):
        await close("root")


async def test_an_import_names_every_fault_and_writes_nothing(db: Database, tenant: District) -> None:
    rows = [
        UnitRow("a", "甲", "BRANCH", "b"),
        UnitRow("b", "乙", "BRANCH", "a"),
        UnitRow("c", "", "BRANCH", "nowhere"),
        UnitRow("c", "丙", "BRANCH", category_code="none"),
        UnitRow("e", "戊", "TEAM", valid_from="yesterday"),
    ]
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.import_org_units(tx, system_actor(tenant.id), rows=rows)
    assert {issue.path[2:] for issue in refusal.value.issues} == {
        ("2", "name"),
        ("2", "parentCode"),
        ("3", "code"),
        ("4", "kind"),
        ("4", "validFrom"),
    }
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.import_org_units(tx, system_actor(tenant.id), rows=rows[:2])
    assert {issue.path[2:] for issue in refusal.value.issues} == {("0", "parentCode"), ("1", "parentCode")}
    async with db.transaction(tenant.id) as tx:
        assert set(await keys(tx)) == {"root"}


async def test_an_import_adds_changes_and_leaves_alone(db: Database, tenant: District) -> None:
    await tree(db, tenant, ("a", None), ("a1", "a"), ("a11", "a1"), ("b", None))
    async with db.transaction(tenant.id) as tx:
        done = await directory.import_org_units(
            tx,
            system_actor(tenant.id),
            rows=[
                UnitRow("new", "新", "BRANCH", "a11"),
                UnitRow("a1", "单位a1", "BRANCH", "b"),
                UnitRow("b", "乙", "COMMITTEE"),
                UnitRow("a", "单位a", "BRANCH"),
                UnitRow("a11", "单位a11", "BRANCH"),
            ],
        )
        assert (done.created, done.updated, done.unchanged, len(done.ids)) == (1, 2, 2, 3)
        paths = await check_tree(tx)
        assert paths["new"] == "root b a1 a11 new"
        former = await tx.fetchrow("SELECT name, until FROM org_unit_names WHERE tenant_id = $1", tenant.id)
        today = await tx.fetchval("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date")
    assert former is not None
    assert tuple(former.values()) == ("单位b", today - timedelta(days=1))


async def test_an_import_keeps_the_tree_shallow(db: Database, tenant: District) -> None:
    chain = [UnitRow(f"u{n}", "层", "BRANCH", f"u{n - 1}" if n else None) for n in range(directory.tree.MAX_DEPTH)]
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await directory.import_org_units(tx, system_actor(tenant.id), rows=chain)
    assert refusal.value.path == ("input", "units", str(len(chain) - 1), "parentCode")
    async with db.transaction(tenant.id) as tx:
        await directory.import_org_units(tx, system_actor(tenant.id), rows=chain[:-1])
        await check_tree(tx)


async def test_an_administrator_of_a_subtree_stays_within_it(db: Database, tenant: District) -> None:
    units = await tree(db, tenant, ("a", None), ("a1", "a"), ("b", None))
    grant = HeldGrant(uuid7(), Role.ADMINISTRATOR, units["a"], False, (), (), ())
    key = uuid7()
    actor = Actor(tenant.id, key, key, "MEMBER", "乡镇管理员", "ZH_CN", "Asia/Shanghai", (grant,))
    async with db.transaction(tenant.id) as tx:
        await directory.rename_org_unit(tx, actor, org_unit_id=unit_id(units["a1"]), version=1, name="改名")
    for attempt in (
        lambda tx: directory.rename_org_unit(tx, actor, org_unit_id=unit_id(units["b"]), version=1, name="改名"),
        lambda tx: directory.move_org_unit(
            tx, actor, org_unit_id=unit_id(units["a1"]), version=2, parent_id=unit_id(units["b"])
        ),
        lambda tx: directory.import_org_units(tx, actor, rows=[]),
        lambda tx: directory.create_category(tx, actor, code="c", name="类"),
    ):
        with pytest.raises(AccessDenied):
            async with db.transaction(tenant.id) as tx:
                await attempt(tx)
