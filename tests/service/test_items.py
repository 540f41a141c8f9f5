"""Data items: every fault at once, all or none, and what drafts and frozen versions see of a change (数据项)."""

from typing import Any

import pytest

from service import items
from service.access import Role
from service.errors import AccessDenied, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import decode_id, encode_id
from service.items import DataItemSpec, OptionSpec, name_key
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.service.drafting import World, acting, make_world, number, read

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, tenant: District) -> World:
    return await make_world(db, tenant)


async def create(world: World, *specs: DataItemSpec) -> Any:
    async with world.db.transaction(world.tenant.id) as tx:
        return await items.create_data_items(tx, world.actor, data_items=specs)


async def stored(world: World) -> Any:
    return await read(world.db, world.tenant, "SELECT * FROM data_items WHERE tenant_id = $1 ORDER BY code")


def test_names_that_ask_the_same() -> None:
    assert name_key("党员总数（人）") == name_key("党员 总数(人)") == name_key("党员总数·人")
    assert name_key("ＡＢ") == name_key("ab")
    assert name_key("党员总数") != name_key("党员数")


async def test_items_are_stored_as_they_are_asked_for(world: World) -> None:
    unit = world.units["zzb"]
    ids = await create(
        world,
        number("a", scale=4, minimum="0", maximum="60.00"),
        DataItemSpec(
            "b", "满意率", "口径", "NUMBER", "%", 2, "0.00", "100", source="REVIEWED", responsible_unit_ids=[unit]
        ),
        DataItemSpec(
            "c",
            "测评",
            "口径",
            "COUNTS",
            options=[OptionSpec("good", "好"), OptionSpec("dk", "不了解", True)],
            personal=True,
        ),
    )
    rows = await stored(world)
    assert [row["id"] for row in rows] == ids
    assert rows[0]["scale"] == 0, "whole numbers have no decimal places, whatever was asked for"
    assert (rows[0]["minimum"], str(rows[0]["maximum"])) == (0, "60")
    assert (rows[1]["scale"], rows[1]["source"]) == (2, "REVIEWED")
    assert '"dontKnow": true' in rows[2]["options"]
    assert rows[2]["personal"]
    linked = await read(world.db, world.tenant, "SELECT * FROM data_item_responsibles WHERE tenant_id = $1")
    assert [(link["data_item_id"], link["unit_id"]) for link in linked] == [(ids[1], decode_id(unit, "OrgUnit"))]
    (event,) = await read(
        world.db, world.tenant, "SELECT summary FROM audit_events WHERE tenant_id = $1 AND action = 'createDataItems'"
    )
    assert "新增数据项3项" in event["summary"]


async def test_all_faults_at_once_and_nothing_written(world: World) -> None:
    await create(world, number("taken"))
    with pytest.raises(Invalid) as caught:
        await create(
            world,
            number("x y", name=" "),
            number("taken"),
            number("twice"),
            number("twice", definition=""),
            DataItemSpec("n", "名", "口径", "NUMBER", scale=31),
            DataItemSpec("m", "名", "口径", "NUMBER", scale=1, minimum="1.25", maximum="1e3"),
            DataItemSpec("o", "名", "口径", "NUMBER", minimum="5", maximum="4", personal=True),
            DataItemSpec("p", "名", "口径", "CHOICE"),
            DataItemSpec("q", "名", "口径", "YES_NO", minimum="0", options=[OptionSpec("a", "a")]),
            DataItemSpec("r", "名", "口径", "CHOICE", options=[OptionSpec("a", "好"), OptionSpec("a", "差")]),
            DataItemSpec("s", "名", "口径", "NUMBER", responsible_unit_ids=["nonsense"]),
        )
    found = {("/".join(issue.path[2:]), issue.code.value) for issue in caught.value.issues}
    assert found == {
        ("0/code", "INVALID_TEXT"),
        ("0/name", "INVALID_TEXT"),
        ("1/code", "DUPLICATE"),
        ("3/code", "DUPLICATE"),
        ("3/definition", "INVALID_TEXT"),
        ("4/scale", "INVALID"),
        ("5/minimum", "INVALID"),
        ("5/maximum", "INVALID_DECIMAL"),
        ("6/maximum", "INVALID"),
        ("6/personal", "INVALID"),
        ("7/options", "INVALID"),
        ("8/minimum", "INVALID"),
        ("8/options", "INVALID"),
        ("9/options/1/code", "DUPLICATE"),
        ("10/responsibleUnitIds/0", "INVALID_ID"),
    }
    assert all(issue.path[:2] == ("input", "dataItems") and issue.text.zh for issue in caught.value.issues)
    assert [row["code"] for row in await stored(world)] == ["taken"]


async def test_at_most_500_and_at_least_one(world: World) -> None:
    with pytest.raises(Invalid, match="At most 500"):
        await create(world, *(number(f"a{n}") for n in range(501)))
    with pytest.raises(Invalid, match="at least one"):
        await create(world)
    assert len(await create(world, *(number(f"a{n}") for n in range(500)))) == 500


async def test_unknown_unit_answers_like_one_of_another_district(world: World, make_tenant: MakeTenant) -> None:
    other = await make_world(world.db, await make_tenant())
    for unit in (encode_id("OrgUnit", uuid7()), other.units["zzb"]):
        with pytest.raises(NotFound) as caught:
            await create(world, number("a", responsible_unit_ids=[unit]))
        assert caught.value.path == ("input", "dataItems", "0", "responsibleUnitIds", "0")


async def test_edit_is_of_the_whole_and_minds_the_version(world: World) -> None:
    await world.add_items(number("a", minimum="0"), number("b"))

    async def edit(version: int, spec: DataItemSpec) -> None:
        async with world.db.transaction(world.tenant.id) as tx:
            await items.edit_data_item(tx, world.actor, data_item_id=world.items["a"], version=version, data_item=spec)

    await edit(1, number("a", "党员总数", responsible_unit_ids=[world.units["zzb"]]))
    row = (await stored(world))[0]
    assert (row["name"], row["minimum"], row["version"], row["name_key"]) == ("党员总数", None, 2, "党员总数")
    with pytest.raises(VersionConflict) as stale:
        await edit(1, number("a"))
    assert stale.value.conflicts[0].current_version == 2
    with pytest.raises(Invalid, match="taken"):
        await edit(2, number("b"))
    (event,) = await read(
        world.db, world.tenant, "SELECT changes FROM audit_events WHERE tenant_id = $1 AND action = 'editDataItem'"
    )
    assert '"field": "minimum"' in event["changes"]


async def test_retired_once_and_for_all(world: World) -> None:
    await world.add_items(number("a"))

    async def retire(version: int) -> None:
        async with world.db.transaction(world.tenant.id) as tx:
            await items.retire_data_item(tx, world.actor, data_item_id=world.items["a"], version=version)

    await retire(1)
    assert not (await stored(world))[0]["active"]
    with pytest.raises(IllegalState) as caught:
        await retire(2)
    assert (caught.value.state, caught.value.legal_from) == ("RETIRED", ["ACTIVE"])
    with pytest.raises(IllegalState):
        async with world.db.transaction(world.tenant.id) as tx:
            await items.edit_data_item(tx, world.actor, data_item_id=world.items["a"], version=2, data_item=number("a"))


async def test_foreign_ids_and_wrong_roles(world: World, make_tenant: MakeTenant) -> None:
    other = await make_world(world.db, await make_tenant())
    await world.add_items(number("a"))
    await other.add_items(number("a"))
    async with world.db.transaction(world.tenant.id) as tx:
        for key in (other.items["a"], encode_id("DataItem", uuid7())):
            with pytest.raises(NotFound):
                await items.retire_data_item(tx, world.actor, data_item_id=key, version=1)
        with pytest.raises(Invalid) as caught:
            await items.retire_data_item(tx, world.actor, data_item_id=world.units["zzb"], version=1)
        assert caught.value.code == "INVALID_ID"
        for role in set(Role) - {Role.ORGANISER}:
            wrong = acting(world.tenant, world.root, role)
            with pytest.raises(AccessDenied) as denied:
                await items.create_data_items(tx, wrong, data_items=[number("b")])
            assert denied.value.required_roles == ["ORGANISER"]
            with pytest.raises(AccessDenied):
                await items.edit_data_item(tx, wrong, data_item_id="?", version=1, data_item=number("b"))
            with pytest.raises(AccessDenied):
                await items.retire_data_item(tx, wrong, data_item_id="?", version=1)
    assert all(row["active"] for row in await stored(other))
