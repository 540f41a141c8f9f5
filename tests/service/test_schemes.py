"""Schemes: drafts keep their faults as data, frozen versions never change, files come back as they went (考核方案)."""

import asyncio
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from service import items, schemes
from service.access import Role, system_actor
from service.errors import AccessDenied, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import decode_id, encode_id
from service.items import DataItemSpec, OptionSpec
from service.schemes import AsTyped, CategoryPoints, IndicatorSpec, SchemeCheck
from service.schemes.nodes import MOST_NODES
from service.schemes.rules import items_of
from service.schemes.settings import default_settings
from service.scoring import Text, parse_rule, parse_scheme
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.service.drafting import World, acting, linear, make_world, number, plain, quantity, read, row

pytestmark = pytest.mark.anyio

AWARD = {"kind": "AWARD", "full": None, "step": "1", "selfScore": False}


@pytest.fixture
async def world(db: Database, tenant: District) -> World:
    made = await make_world(db, tenant)
    await made.add_items(number("a"), number("b"))
    return made


async def act(world: World, use_case: Callable[..., Any], **arguments: Any) -> Any:
    """One use-case in a transaction of its own, as the organiser."""
    async with world.db.transaction(world.tenant.id) as tx:
        return await use_case(tx, world.actor, **arguments)


async def nodes(world: World, version_id: str) -> dict[str, Any]:
    rows = await read(
        world.db,
        world.tenant,
        "SELECT * FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2 ORDER BY print_order",
        decode_id(version_id, "SchemeVersion"),
    )
    return {each["code"]: each for each in rows}


async def version(world: World, version_id: str) -> Any:
    (found,) = await read(
        world.db,
        world.tenant,
        "SELECT * FROM scheme_versions WHERE tenant_id = $1 AND id = $2",
        decode_id(version_id, "SchemeVersion"),
    )
    return found


async def check(world: World, version_id: str) -> SchemeCheck:
    key = decode_id(version_id, "SchemeVersion")
    assert key is not None
    async with world.db.transaction(world.tenant.id, read_only=True) as tx:
        return await schemes.check_version(tx, key)


async def file(world: World, version_id: str) -> str:
    key = decode_id(version_id, "SchemeVersion")
    assert key is not None
    async with world.db.transaction(world.tenant.id, read_only=True) as tx:
        return await schemes.scheme_file(tx, key)


def paths(invalid: Invalid) -> dict[str, str]:
    return {"/".join(issue.path): issue.code.value for issue in invalid.issues}


def indicator(key: Any) -> str:
    return encode_id("Indicator", key["id"])


def simple(world: World) -> list[schemes.IndicatorRow]:
    """A sound tree: A with two leaves, B a leaf; 100 points."""
    return [
        row("A", points="60"),
        row("A1", "A", points="40", rule=linear(world, "a")),
        row("A2", "A", points="20", rule=linear(world, "b")),
        row("B", points="40", rule=AWARD, responsible_unit_ids=[world.units["zzb"]]),
    ]


# ---- schemes and versions


async def test_a_new_scheme_is_a_draft_with_its_root(world: World) -> None:
    scheme, version_id = await world.begin()
    row_ = await version(world, version_id)
    assert (row_["number"], row_["state"], row_["full_marks"]) == (1, "DRAFT", 100)
    assert row_["scheme_id"] == decode_id(scheme, "Scheme")
    (root,) = (await nodes(world, version_id)).values()
    assert (root["code"], root["points"], root["depth"], root["ordinal"], root["leaf"]) == ("ROOT", 100, 0, "", False)
    assert not (await check(world, version_id)).sound, "an empty tree can't be frozen"


async def test_faults_of_a_new_scheme_all_at_once(world: World) -> None:
    await world.begin("taken")
    with pytest.raises(Invalid) as caught:
        await act(
            world, schemes.create_scheme, code="taken", name="", weighting="POINTS", full_marks="0", category_ids=["?"]
        )
    assert paths(caught.value) == {
        "input/code": "DUPLICATE",
        "input/name": "INVALID_TEXT",
        "input/fullMarks": "INVALID",
        "input/categoryIds/0": "INVALID_ID",
    }
    with pytest.raises(Invalid) as caught:
        await act(
            world, schemes.create_scheme, code="n", name="n", weighting="POINTS", full_marks="1e2", category_ids=[]
        )
    assert paths(caught.value) == {"input/fullMarks": "INVALID_DECIMAL", "input/categoryIds": "INVALID"}
    with pytest.raises(NotFound):
        await act(
            world,
            schemes.create_scheme,
            code="n",
            name="n",
            weighting="POINTS",
            category_ids=[encode_id("Category", uuid7())],
        )


async def test_settings_are_edited_in_parts(world: World) -> None:
    _, version_id = await world.begin()

    async def edit(at: int, **settings: Any) -> dict[str, Any]:
        await act(world, schemes.edit_scheme_version, scheme_version_id=version_id, version=at, settings=settings)
        found: dict[str, Any] = json.loads((await version(world, version_id))["settings"])
        return found

    before = json.loads((await version(world, version_id))["settings"])
    assert before == default_settings("POINTS") | {"notApplicablePolicy": "PARENT"}
    assert await edit(2) == before
    after = await edit(
        3,
        coverageThreshold="0.60",
        latePenalty={"pointsPerDay": "0.5", "cap": None},
        reviewLevels=[{"route": "TERRITORIAL", "unitKind": "COMMITTEE"}, {"route": "DEPARTMENTAL", "unitKind": None}],
        disclosures=[{"kind": "FINAL", "totals": "BEST", "ranks": "NONE", "dimensions": "ALL", "bestCount": 10}],
        tiePolicy="TIE_BREAK",
        tieBreakerCodes=["A", "B"],
        objectionWorkingDays=3,
        robustnessTolerance="0.250",
    )
    assert after["coverageThreshold"] == "0.6"
    assert after["robustnessTolerance"] == "0.25"
    assert after["reviewLevels"][1] == {"level": 2, "route": "DEPARTMENTAL", "unitKind": None}
    assert after["tieBreakers"] == ["A", "B"]
    assert [each["totals"] for each in after["disclosures"]] == ["NONE", "ALL", "ALL", "BEST"]
    cleared = await edit(4, coverageThreshold=None, latePenalty=None, reviewLevels=None)
    assert (cleared["coverageThreshold"], cleared["latePenalty"], cleared["reviewLevels"]) == (None, None, [])
    assert cleared["objectionWorkingDays"] == 3
    with pytest.raises(Invalid) as caught:
        await edit(
            5,
            missingPolicy=None,
            coverageThreshold="1.1",
            robustnessTolerance="0.91",
            roundingPlaces=13,
            latePenalty={"pointsPerDay": "-1", "cap": "x"},
            reviewLevels=[{"route": "DEPARTMENTAL", "unitKind": "BRANCH"}] * 4,
            disclosures=[
                {"kind": "FINAL", "totals": "BEST", "ranks": "ALL", "dimensions": "ALL"},
                {"kind": "FINAL", "totals": "ALL", "ranks": "ALL", "dimensions": "ALL", "bestCount": 1},
            ],
            tieBreakerCodes=["A", "A", "空 格"],
            objectionWorkingDays=0,
        )
    base = "input/settings/"
    assert paths(caught.value) == {
        base + "missingPolicy": "INVALID",
        base + "coverageThreshold": "INVALID",
        base + "robustnessTolerance": "INVALID",
        base + "roundingPlaces": "INVALID",
        base + "latePenalty/pointsPerDay": "INVALID",
        base + "latePenalty/cap": "INVALID_DECIMAL",
        base + "reviewLevels": "INVALID",
        **{f"{base}reviewLevels/{n}/unitKind": "INVALID" for n in range(4)},
        base + "disclosures/0/bestCount": "INVALID",
        base + "disclosures/1/kind": "DUPLICATE",
        base + "disclosures/1/bestCount": "INVALID",
        base + "tieBreakerCodes/1": "DUPLICATE",
        base + "tieBreakerCodes/2": "INVALID_TEXT",
        base + "objectionWorkingDays": "INVALID",
    }


async def test_weighting_and_full_marks_reach_the_root(world: World) -> None:
    _, version_id = await world.begin()

    async def edit(at: int, **changes: Any) -> Any:
        await act(world, schemes.edit_scheme_version, scheme_version_id=version_id, version=at, **changes)
        return (await nodes(world, version_id))["ROOT"]["points"]

    assert await edit(2, full_marks="110.0") == 110
    assert await edit(3, weighting="RELATIVE") is None
    assert await edit(4, weighting="POINTS", label=" 修订版 ") == 110
    assert (await version(world, version_id))["label"] == "修订版"
    assert await edit(5, label=None) == 110
    assert (await version(world, version_id))["label"] is None
    await edit(6, category_ids=[world.categories["village"]])
    found = await read(world.db, world.tenant, "SELECT category_id FROM scheme_version_categories WHERE tenant_id = $1")
    assert [each["category_id"] for each in found] == [decode_id(world.categories["village"], "Category")]


async def test_one_draft_at_a_time_copied_whole(world: World) -> None:
    scheme, first = await world.begin()
    await world.replace(first, 2, *simple(world))
    with pytest.raises(IllegalState) as caught:
        await act(world, schemes.create_scheme_version, based_on_id=first)
    assert caught.value.state == "DRAFT"
    await world.freeze(first, 3)
    copied = encode_id("SchemeVersion", await act(world, schemes.create_scheme_version, based_on_id=first, label="二"))
    old, new = await nodes(world, first), await nodes(world, copied)
    assert list(old) == list(new)
    assert not {each["id"] for each in old.values()} & {each["id"] for each in new.values()}
    assert new["A1"]["parent_id"] == new["A"]["id"]
    row_ = await version(world, copied)
    assert (row_["number"], row_["based_on_id"]) == (2, decode_id(first, "SchemeVersion"))
    files = [json.loads(await file(world, each)) for each in (first, copied)]
    assert files[0]["indicators"] == files[1]["indicators"]
    assert [files[1]["number"], files[1]["label"]] == [2, "二"]
    gone, of = await act(world, schemes.discard_scheme_version, scheme_version_id=copied, version=1)
    assert (encode_id("SchemeVersion", gone), encode_id("Scheme", of)) == (copied, scheme)
    assert await nodes(world, copied) == {}
    await act(world, schemes.create_scheme_version, based_on_id=first)


async def test_a_draft_that_a_cycle_stands_on_is_not_discarded(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    async with world.db.transaction(world.tenant.id) as tx:
        await tx.execute(
            """INSERT INTO cycles (tenant_id, id, code, name, kind, state, scheme_version_id, starts_on, ends_on,
                                   opens_on, due_on, due_at, closes_at, grace_days, under_id)
               VALUES ($1, $2, 'c', '年度', 'YEAR', 'DRAFT', $3, '2026-01-01', '2026-12-31', '2026-12-01', '2026-12-31',
                       now(), now(), 0, $4)""",
            world.tenant.id,
            uuid7(),
            decode_id(version_id, "SchemeVersion"),
            world.root,
        )
    with pytest.raises(IllegalState, match="stands on this draft"):
        await act(world, schemes.discard_scheme_version, scheme_version_id=version_id, version=3)


# ---- the tree


async def test_nodes_are_added_moved_and_removed_in_their_places(world: World) -> None:
    _, version_id = await world.begin()
    root = indicator((await nodes(world, version_id))["ROOT"])

    async def add(parent: str, code: str, position: int | None = None) -> str:
        key, _ = await act(
            world,
            schemes.add_indicator,
            scheme_version_id=version_id,
            parent_id=parent,
            position=position,
            indicator=IndicatorSpec(code, f"指标{code}", points="10"),
        )
        return encode_id("Indicator", key)

    async def shape() -> dict[str, str]:
        return {code: each["ordinal"] for code, each in (await nodes(world, version_id)).items()}

    a, b = await add(root, "A"), await add(root, "B")
    await add(a, "A1")
    a2 = await add(a, "A2")
    await add(a, "A0", 0)
    await add(root, "C", 99)
    assert await shape() == {"ROOT": "", "A": "1", "A0": "1.1", "A1": "1.2", "A2": "1.3", "B": "2", "C": "3"}
    assert (await version(world, version_id))["version"] == 8
    await act(world, schemes.move_indicator, indicator_id=a2, version=1, parent_id=b, position=0)
    await act(world, schemes.move_indicator, indicator_id=a, version=1, parent_id=root, position=1)
    assert await shape() == {"ROOT": "", "B": "1", "A2": "1.1", "A": "2", "A0": "2.1", "A1": "2.2", "C": "3"}
    found = await nodes(world, version_id)
    assert {code: each["depth"] for code, each in found.items()} == {c: len(c) if c != "ROOT" else 0 for c in found}
    assert (found["A"]["version"], found["A0"]["version"], found["C"]["version"]) == (2, 1, 1)
    with pytest.raises(Invalid, match="below itself"):
        await act(world, schemes.move_indicator, indicator_id=b, version=1, parent_id=a2, position=0)
    with pytest.raises(Invalid, match="root"):
        await act(world, schemes.move_indicator, indicator_id=root, version=1, parent_id=b, position=0)
    with pytest.raises(Invalid, match="root"):
        await act(world, schemes.remove_indicator, indicator_id=root, version=1)
    with pytest.raises(VersionConflict):
        await act(world, schemes.remove_indicator, indicator_id=a, version=1)
    gone, _ = await act(world, schemes.remove_indicator, indicator_id=a, version=2)
    assert {encode_id("Indicator", key) for key in gone} == {a} | {indicator(found[code]) for code in ("A0", "A1")}
    assert await shape() == {"ROOT": "", "B": "1", "A2": "1.1", "C": "2"}
    with pytest.raises(Invalid) as caught:
        await add(root, "B")
    assert paths(caught.value) == {"input/indicator/code": "DUPLICATE"}


async def test_an_indicator_is_edited_whole(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    before = (await nodes(world, version_id))["A1"]
    spec = IndicatorSpec(
        "A1x",
        "新名",
        points="40.50",
        points_by_category=[CategoryPoints(world.categories["village"], "41.0")],
        category_ids=[world.categories["village"]],
        rule=linear(world, "b"),
        wording="一\n二",
        review_levels=[],
        missing_policy="EXCLUDE",
    )
    await act(world, schemes.edit_indicator, indicator_id=indicator(before), version=1, indicator=spec)
    after = (await nodes(world, version_id))["A1x"]
    assert (after["id"], after["ordinal"], after["version"]) == (before["id"], "1.1", 2)
    assert (str(after["points"]), after["basis"], after["wording"]) == ("40.5", None, "一\n二")
    assert json.loads(after["points_by_category"])[0]["points"] == "41"
    assert json.loads(after["review_levels"]) == []
    assert (await version(world, version_id))["version"] == 3, "a node has a version of its own"
    used = await read(
        world.db,
        world.tenant,
        "SELECT data_item_id FROM indicator_items WHERE tenant_id = $1 AND indicator_id = $2",
        after["id"],
    )
    assert [each["data_item_id"] for each in used] == [decode_id(world.items["b"], "DataItem")]
    with pytest.raises(VersionConflict) as caught:
        await act(world, schemes.edit_indicator, indicator_id=indicator(before), version=1, indicator=spec)
    assert caught.value.conflicts[0].current_version == 2
    assert caught.value.conflicts[0].type_name == "Indicator"


async def test_of_two_at_once_one_is_told_what_the_other_did(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    found = await nodes(world, version_id)
    root = indicator(found["ROOT"])
    node = indicator(found["A1"])

    async def add() -> Any:
        spec = IndicatorSpec("X", "X")
        return await act(world, schemes.add_indicator, scheme_version_id=version_id, parent_id=root, indicator=spec)

    async def edit(name: str) -> Any:
        return await act(
            world, schemes.edit_indicator, indicator_id=node, version=1, indicator=IndicatorSpec("A1", name)
        )

    done = await asyncio.gather(add(), add(), edit("甲"), edit("乙"), return_exceptions=True)
    kinds = sorted(type(each).__name__ for each in done)
    assert kinds == ["Invalid", "VersionConflict", "tuple", "tuple"]
    assert [each["ordinal"] for each in (await nodes(world, version_id)).values()] == ["", "1", "1.1", "1.2", "2", "3"]
    again = await asyncio.gather(
        world.freeze(version_id, 4), world.replace(version_id, 4, *simple(world)), return_exceptions=True
    )
    assert sum(each is None for each in again) == 1


async def test_what_is_typed_in_a_rule_is_judged_in_its_place(world: World, make_tenant: MakeTenant) -> None:
    version_id = await world.drafted(*simple(world))
    node = indicator((await nodes(world, version_id))["A1"])

    def typed(item: str, zero_at: str) -> IndicatorSpec:
        term = {"coefficient": "1", "dataItem": AsTyped(item, "DataItem", ("linear", "dataItemId")), "countName": None}
        rule = linear(world, "a") | {
            "zeroAt": AsTyped(zero_at, "DECIMAL", ("linear", "zeroAt")),
            "quantity": {"numerator": {"terms": [term], "constant": "0"}, "denominator": None},
        }
        return IndicatorSpec("A1", "名", points="-1", weight="x", rule=rule)

    with pytest.raises(Invalid) as caught:
        await act(world, schemes.edit_indicator, indicator_id=node, version=1, indicator=typed("?", "1e3"))
    assert paths(caught.value) == {
        "input/indicator/points": "INVALID",
        "input/indicator/weight": "INVALID_DECIMAL",
        "input/indicator/rule/linear/dataItemId": "INVALID_ID",
        "input/indicator/rule/linear/zeroAt": "INVALID_DECIMAL",
    }
    other = await make_world(world.db, await make_tenant())
    await other.add_items(number("a"))
    for foreign in (other.items["a"], encode_id("DataItem", uuid7())):
        sound = typed(foreign, "0.50")
        spec = IndicatorSpec("A1", "名", rule=sound.rule)
        with pytest.raises(NotFound) as missing:
            await act(world, schemes.edit_indicator, indicator_id=node, version=1, indicator=spec)
        assert missing.value.path == ("input", "indicator", "rule", "linear", "dataItemId")
    spec = IndicatorSpec("A1", "名", points="40", rule=typed(world.items["b"], "0.50").rule)
    await act(world, schemes.edit_indicator, indicator_id=node, version=1, indicator=spec)
    assert json.loads((await nodes(world, version_id))["A1"]["rule"])["zeroAt"] == "0.5"


async def test_replacing_keeps_ids_of_codes_and_judges_every_row(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    before = await nodes(world, version_id)
    await world.replace(
        version_id,
        3,
        row("B", points="30"),
        row("A1", "B", points="30", rule=linear(world, "a")),
        row("N", points="70", rule=AWARD),
    )
    after = await nodes(world, version_id)
    assert list(after) == ["ROOT", "B", "A1", "N"]
    assert [after[code]["id"] == before[code]["id"] for code in ("ROOT", "B", "A1")] == [True] * 3
    assert after["A1"]["parent_id"] == after["B"]["id"]
    with pytest.raises(Invalid) as caught:
        await world.replace(
            version_id,
            4,
            row("A", "B"),
            row("B", points="?"),
            row("A", "nobody", category_ids=["?"], name=""),
        )
    assert paths(caught.value) == {
        "input/indicators/0/parentCode": "INVALID",
        "input/indicators/1/indicator/points": "INVALID_DECIMAL",
        "input/indicators/2/indicator/code": "DUPLICATE",
        "input/indicators/2/indicator/name": "INVALID_TEXT",
        "input/indicators/2/indicator/categoryIds/0": "INVALID_ID",
        "input/indicators/2/parentCode": "INVALID",
    }
    with pytest.raises(Invalid, match="root"):
        await world.replace(version_id, 4, row("ROOT"))
    with pytest.raises(VersionConflict):
        await world.replace(version_id, 3, row("A"))
    with pytest.raises(NotFound) as missing:
        await world.replace(version_id, 4, row("A"), row("B", responsible_unit_ids=[encode_id("OrgUnit", uuid7())]))
    assert missing.value.path == ("input", "indicators", "1", "indicator", "responsibleUnitIds", "0")
    assert list(await nodes(world, version_id)) == ["ROOT", "B", "A1", "N"]


async def test_two_thousand_nodes_in_a_bounded_number_of_statements(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id = await world.drafted(*simple(world))
    rows = [row(f"D{n}", points="10") for n in range(40)]
    rows += [
        row(f"D{n}.{m}", f"D{n}", points="1", rule=linear(world, "a"), responsible_unit_ids=[world.units["zzb"]])
        for n in range(40)
        for m in range(49)
    ]
    assert len(rows) == MOST_NODES
    counted: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        plain_call = getattr(Transaction, name)

        async def count(tx: Transaction, sql: str, *arguments: Any, _call: Any = plain_call) -> Any:
            counted.append(sql)
            return await _call(tx, sql, *arguments)

        monkeypatch.setattr(Transaction, name, count)
    await world.replace(version_id, 3, *rows)
    first = len(counted)
    await world.replace(version_id, 4, *rows)
    assert first <= 20
    assert len(counted) - first == first, "as many when all nodes are there already"
    counted.clear()
    found = await check(world, version_id)
    assert len(counted) <= 5
    assert {fault.path[-1] for fault in found.faults} == {"points"}, "it is not too large to be checked"
    monkeypatch.undo()
    assert len(await nodes(world, version_id)) == MOST_NODES + 1
    with pytest.raises(Invalid, match="At most 2000"):
        await world.replace(version_id, 5, *rows, row("more"))
    root = indicator((await nodes(world, version_id))["ROOT"])
    with pytest.raises(Invalid) as caught:
        await act(
            world,
            schemes.add_indicator,
            scheme_version_id=version_id,
            parent_id=root,
            indicator=IndicatorSpec("more", "多"),
        )
    assert caught.value.code == "TOO_LARGE"


# ---- the check


async def test_points_that_do_not_add_up_are_told_per_category(world: World) -> None:
    village = world.categories["village"]
    version_id = await world.drafted(
        row("A", points="60"),
        row("A1", "A", points="40", rule=linear(world, "a")),
        row("A2", "A", points="20", rule=linear(world, "b"), points_by_category=[CategoryPoints(village, "19.5")]),
        row("B", points="40", rule=AWARD, responsible_unit_ids=[world.units["zzb"]]),
    )
    found = await check(world, version_id)
    tree = await nodes(world, version_id)
    (fault,) = found.faults
    assert (fault.path, fault.severity, fault.code) == (("ROOT", "A", "points"), "FAULT", "INVALID")
    assert fault.indicator_id == tree["A"]["id"]
    assert fault.category_id == decode_id(village, "Category")
    assert "59.5" in fault.text.zh
    assert "村" in fault.text.zh
    assert fault.hint is not None
    off = [each for each in found.sums if not each.balanced]
    assert [(each.indicator_id, each.expected, each.actual) for each in off] == [
        (tree["A"]["id"], Fraction(60), Fraction("59.5"))
    ]
    assert len(found.sums) == 4, "root and A, for two categories"
    with pytest.raises(Invalid) as caught:
        await world.freeze(version_id, 3)
    assert paths(caught.value) == {"ROOT/A/points": "INVALID"}
    assert (await version(world, version_id))["state"] == "DRAFT"


async def test_all_faults_at_once(world: World) -> None:
    await world.add_items(number("reviewed", source="REVIEWED"), number("old"), number("same", name="数据，Ａ"))
    version_id = await world.drafted(
        row("A", points="60", basis=None),
        row("A1", "A", points="40", rule=linear(world, "a", zero_at="1", full_at="1"), basis=None),
        row("A2", "A", points="10", rule=linear(world, "reviewed")),
        row("A3", "A", points="5", rule=linear(world, "old")),
        row("A4", "A", points="5", rule=linear(world, "same")),
        row("B", points="20", rule=AWARD),
        row("C", points="10"),
        row("D", points="10", rule=linear(world, "b"), review_levels=[{"route": "DEPARTMENTAL", "unitKind": None}]),
    )
    await act(world, items.retire_data_item, data_item_id=world.items["old"], version=1)
    found = {("/".join(fault.path), fault.severity) for fault in (await check(world, version_id)).faults}
    assert found == {
        ("ROOT/A/A1/rule/fullAt", "FAULT"),
        ("ROOT/A/A2/rule", "FAULT"),
        ("ROOT/A/A3/rule", "FAULT"),
        ("ROOT/B/responsibleUnits", "FAULT"),
        ("ROOT/C/rule", "FAULT"),
        ("ROOT/D/reviewLevels/0", "FAULT"),
        ("ROOT/A/A4/rule", "WARNING"),
        ("ROOT/A/A1/rule", "WARNING"),
        ("ROOT/A/A1/basis", "WARNING"),
    }
    severities = [fault.severity for fault in (await check(world, version_id)).faults]
    assert severities == sorted(severities), "faults come before warnings"
    with pytest.raises(Invalid) as caught:
        await world.freeze(version_id, 3)
    assert len(caught.value.issues) == 6


async def test_a_group_of_assessors_without_units_is_a_fault(world: World) -> None:
    groups = [{"name": "领导", "weight": "1", "method": "MEAN", "responsibleUnits": []}]
    version_id = await world.drafted(
        row("A", points="100", rule=AWARD | {"groups": groups}, responsible_unit_ids=[world.units["zzb"]]),
    )
    found = [fault for fault in (await check(world, version_id)).faults if fault.severity == "FAULT"]
    assert [fault.path for fault in found] == [
        ("ROOT", "A", "rule", "groups", "0", "responsibleUnits"),
    ]


async def test_cross_checks_speak_of_what_is_collected(world: World) -> None:
    await world.add_items(number("c"), DataItemSpec("text", "选", "口径", "CHOICE", options=[OptionSpec("x", "甲")]))
    a, b, c, text = (plain(world, code) for code in ("a", "b", "c", "text"))

    def check_of(left: str, right: str) -> dict[str, Any]:
        return {"left": quantity(left), "comparison": "AT_MOST", "right": quantity(right), "warningOnly": False}

    rows = simple(world)
    rows[1] = row("A1", "A", points="40", rule=linear(world, "a"), checks=[check_of(a, b), check_of(a, c)])
    version_id = await world.drafted(*rows)
    faults = (await check(world, version_id)).faults
    assert [fault.path for fault in faults] == [("ROOT", "A", "A1", "checks", "1", "right")]
    rows[1] = row("A1", "A", points="40", rule=linear(world, "a"), checks=[check_of(a, b)])
    rows[2] = row("A2", "A", points="20", rule=linear(world, "text"), checks=[check_of(text, a)])
    await world.replace(version_id, 3, *rows)
    found = {fault.path for fault in (await check(world, version_id)).faults}
    assert ("ROOT", "A", "A2", "checks", "0", "left", "numerator", "terms", "0", "dataItem") in found


async def test_no_policy_chosen_under_points(world: World) -> None:
    key = await act(
        world,
        schemes.create_scheme,
        code="P",
        name="n",
        weighting="POINTS",
        category_ids=list(world.categories.values()),
    )
    version_id = encode_id("SchemeVersion", key[1])
    await world.replace(version_id, 1, *simple(world))
    assert [fault.path for fault in (await check(world, version_id)).faults] == [("settings", "notApplicablePolicy")]


# ---- freezing


async def test_a_frozen_version_refuses_every_edit(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    await world.freeze(version_id, 3)
    row_ = await version(world, version_id)
    assert (row_["state"], row_["frozen_by_id"], row_["version"]) == ("FROZEN", world.actor.id, 4)
    node = indicator((await nodes(world, version_id))["A1"])
    root = indicator((await nodes(world, version_id))["ROOT"])
    spec = IndicatorSpec("X", "X")
    edits: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (schemes.edit_scheme_version, {"scheme_version_id": version_id, "version": 4, "full_marks": "10"}),
        (schemes.add_indicator, {"scheme_version_id": version_id, "parent_id": root, "indicator": spec}),
        (schemes.edit_indicator, {"indicator_id": node, "version": 1, "indicator": spec}),
        (schemes.move_indicator, {"indicator_id": node, "version": 1, "parent_id": root, "position": 0}),
        (schemes.remove_indicator, {"indicator_id": node, "version": 1}),
        (schemes.replace_indicators, {"scheme_version_id": version_id, "version": 4, "indicators": []}),
        (schemes.discard_scheme_version, {"scheme_version_id": version_id, "version": 4}),
        (schemes.freeze_scheme_version, {"scheme_version_id": version_id, "version": 4}),
    ]
    for use_case, arguments in edits:
        with pytest.raises(IllegalState) as caught:
            await act(world, use_case, **arguments)
        assert (caught.value.code, caught.value.state) == ("ILLEGAL_STATE", "FROZEN")
        assert caught.value.since == row_["frozen_at"]
        assert caught.value.subject == ("SchemeVersion", row_["id"])
    assert list(await nodes(world, version_id)) == ["ROOT", "A", "A1", "A2", "B"]


async def test_frozen_versions_keep_their_items(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    key = decode_id(version_id, "SchemeVersion")
    assert key is not None

    async def document() -> dict[str, Any]:
        async with world.db.transaction(world.tenant.id, read_only=True) as tx:
            return await schemes.scheme_document(tx, key, keys="id")

    drafted = await document()
    await world.freeze(version_id, 3)
    changed = DataItemSpec("a2", "另一个", "新口径", "NUMBER", "%", 3, responsible_unit_ids=[world.units["zzb"]])
    await act(world, items.edit_data_item, data_item_id=world.items["a"], version=1, data_item=changed)
    frozen = await document()
    assert frozen == drafted
    assert frozen["dataItems"][0]["code"] == plain(world, "a")
    scheme, faults = parse_scheme(frozen)
    assert scheme is not None
    assert faults == []
    assert [node.code for node in scheme.leaves] == ["A1", "A2", "B"]


async def test_a_job_freezes_for_nobody_in_particular(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    key = decode_id(version_id, "SchemeVersion")
    assert key is not None
    async with world.db.transaction(world.tenant.id) as tx:
        assert await schemes.freeze_draft(tx, system_actor(world.tenant.id), key)
        assert not await schemes.freeze_draft(tx, system_actor(world.tenant.id), key)
    assert (await version(world, version_id))["frozen_by_id"] is None
    with pytest.raises(NotFound):
        async with world.db.transaction(world.tenant.id) as tx:
            await schemes.freeze_draft(tx, system_actor(world.tenant.id), uuid7())


async def test_items_are_listed_in_the_order_of_the_engine(world: World) -> None:
    await world.add_items(number("c"), number("d"))
    a, b, c, d = (plain(world, code) for code in "abcd")
    shortfall = {"required": quantity(d), "done": quantity(c), "quantity": None}
    rules = [
        {"kind": "COMPLETION", "actual": quantity(d, c), "target": quantity(b, a), "cap": "1", "targetZero": "FULL"},
        {
            "kind": "DEDUCT",
            "floor": "0",
            "lines": [{"quantity": quantity(b, a), "pointsEach": "1"}, {**shortfall, "pointsEach": "1"}],
        },
        {"kind": "MINMAX", "quantity": quantity(c, a), "direction": "HIGHER"},
    ]
    version_id = await world.drafted(*(row(f"L{n}", points="10", rule=rule) for n, rule in enumerate(rules)))
    async with world.db.transaction(world.tenant.id, read_only=True) as tx:
        key = decode_id(version_id, "SchemeVersion")
        assert key is not None
        document = await schemes.scheme_document(tx, key, keys="id")
    for node in document["indicators"][1:]:
        rule, faults = parse_rule(node["rule"], data_items=document["dataItems"])
        assert rule is not None, faults
        assert list(rule.data_items()) == items_of(node["rule"])
        stored = await read(
            world.db,
            world.tenant,
            """SELECT ii.data_item_id FROM indicator_items ii
               JOIN indicators i ON i.tenant_id = $1 AND i.id = ii.indicator_id
               WHERE ii.tenant_id = $1 AND i.code = $2 ORDER BY ii.position""",
            node["code"],
        )
        assert [str(each["data_item_id"]) for each in stored] == items_of(node["rule"])


# ---- files


async def test_a_file_comes_back_as_it_went(world: World, make_tenant: MakeTenant) -> None:
    await world.add_items(
        DataItemSpec("ballots", "测评票", "口径", "COUNTS", options=[OptionSpec("good", "好")], personal=True),
        DataItemSpec(
            "rate",
            "率",
            "口径",
            "NUMBER",
            "%",
            2,
            "0",
            "100",
            source="REVIEWED",
            responsible_unit_ids=[world.units["zzb"]],
        ),
    )
    village = world.categories["village"]
    rows = simple(world)
    rows[2] = row(
        "A2",
        "A",
        points="20",
        rule=linear(world, "rate", full_at="99.5"),
        points_by_category=[CategoryPoints(village, "20")],
        category_ids=list(world.categories.values()),
        wording="口径",
        checks=[
            {
                "left": quantity(plain(world, "rate")),
                "comparison": "AT_MOST",
                "right": quantity(plain(world, "a"), plain(world, "rate")),
                "warningOnly": True,
            }
        ],
        review_levels=[{"route": "TERRITORIAL", "unitKind": "COMMITTEE"}],
        responsible_unit_ids=[world.units["zzb"]],
    )
    version_id = await world.drafted(*rows)
    text = await file(world, version_id)
    assert json.loads(text)["dataItems"][1]["responsibleUnits"] == ["zzb"]
    other = await make_world(world.db, await make_tenant())
    imported = encode_id("SchemeVersion", await act(other, schemes.import_scheme, document=text))
    assert await file(other, imported) == text
    assert (await check(other, imported)).sound
    await other.freeze(imported, 1)
    (scheme,) = await read(other.db, other.tenant, "SELECT id FROM schemes WHERE tenant_id = $1")
    again = await act(other, schemes.import_scheme, document=text, scheme_id=encode_id("Scheme", scheme["id"]))
    assert json.loads(await file(other, encode_id("SchemeVersion", again)))["number"] == 2
    with pytest.raises(IllegalState):
        await act(other, schemes.import_scheme, document=text, scheme_id=encode_id("Scheme", scheme["id"]))
    with pytest.raises(Invalid) as caught:
        await act(other, schemes.import_scheme, document=text)
    assert paths(caught.value) == {"input/document/code": "DUPLICATE"}
    with pytest.raises(NotFound):
        await act(world, schemes.import_scheme, document=text, scheme_id=encode_id("Scheme", scheme["id"]))


async def test_a_file_with_sums_that_are_wrong_is_a_draft_with_faults(world: World) -> None:
    rows = simple(world)
    rows[3] = row("B", points="39", rule=AWARD, responsible_unit_ids=[world.units["zzb"]])
    text = await file(world, await world.drafted(*rows))
    document = json.loads(text) | {"code": "again"}
    document["settings"]["notApplicablePolicy"] = None
    imported = encode_id("SchemeVersion", await act(world, schemes.import_scheme, document=json.dumps(document)))
    assert {fault.path for fault in (await check(world, imported)).faults} == {
        ("settings", "notApplicablePolicy"),
        ("ROOT", "points"),
    }


async def test_files_that_can_not_be_kept_are_refused_with_every_fault(world: World) -> None:
    text = await file(world, await world.drafted(*simple(world)))

    async def refusal(change: Callable[[Any], Any] | str, **more: Any) -> dict[str, str]:
        document = json.loads(text) | {"code": "again"}
        if not isinstance(change, str):
            change(document)
        with pytest.raises(Invalid) as caught:
            await act(
                world,
                schemes.import_scheme,
                document=change if isinstance(change, str) else json.dumps(document),
                **more,
            )
        assert all(issue.path[:2] == ("input", "document") for issue in caught.value.issues)
        return {
            path.removeprefix("input/document").removeprefix("/"): code for path, code in paths(caught.value).items()
        }

    assert await refusal("{") == {"": "INVALID"}
    assert await refusal("[]") == {"": "INVALID"}
    assert await refusal(json.dumps("x" * 4 * 1024 * 1024)) == {"": "TOO_LARGE"}
    assert await refusal("[" * 5000) == {"": "INVALID"}

    def unknown(document: Any) -> None:
        document["colour"] = "red"
        document["indicators"][2]["rule"]["zeroAt"] = "1e9"
        document["indicators"][3]["rule"]["kind"] = "MAGIC"

    assert await refusal(unknown) == {
        "colour": "INVALID",
        "ROOT/A/A1/rule/zeroAt": "INVALID",
        "ROOT/A/A2/rule/kind": "INVALID",
    }

    def later(document: Any) -> None:
        document["settings"] |= {"mergePolicy": "MEAN"}
        document["indicators"][4]["checks"] = ["x", {"left": {}, "comparison": "NEAR", "right": {"numerator": {}}}]
        document["dataItems"][0]["source"] = "SURVEY"

    assert set(await refusal(later)) >= {
        "settings/mergePolicy",
        "indicators/4/checks/0",
        "indicators/4/checks/1/left/numerator",
        "indicators/4/checks/1/comparison",
        "dataItems/0/source",
    }

    def strangers(document: Any) -> None:
        document["categories"][1]["code"] = "nowhere"
        document["indicators"][4]["responsibleUnits"] = ["nobody"]
        document["indicators"][4]["reviewLevels"] = [{"route": "SIDEWAYS"}]
        document["dataItems"][0]["type"] = "NUMBER"
        document["settings"]["skipNotice"] = "yes"

    found = await refusal(strangers)
    assert found.keys() == {"indicators/4/reviewLevels"} or found.keys() >= {"categories/1/code", "dataItems/0/type"}

    def renamed(document: Any) -> None:
        document["dataItems"][0]["code"] = "new"
        document["indicators"][2]["rule"]["quantity"]["numerator"]["terms"][0]["dataItem"] = "new"

    assert await refusal(renamed, create_missing_data_items=False) == {"dataItems/0/code": "INVALID"}


# ---- who may, and what is whose


async def test_wrong_roles_and_foreign_ids(world: World, make_tenant: MakeTenant) -> None:
    other = await make_world(world.db, await make_tenant())
    await other.add_items(number("a"), number("b"))
    mine = await world.drafted(*simple(world))
    theirs = await other.drafted(*simple(other))
    their_node = indicator((await nodes(other, theirs))["A1"])
    my_root = indicator((await nodes(world, mine))["ROOT"])
    spec = IndicatorSpec("X", "X")
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (schemes.create_scheme_version, {"based_on_id": theirs}),
        (schemes.edit_scheme_version, {"scheme_version_id": theirs, "version": 3}),
        (schemes.add_indicator, {"scheme_version_id": theirs, "parent_id": my_root, "indicator": spec}),
        (schemes.add_indicator, {"scheme_version_id": mine, "parent_id": their_node, "indicator": spec}),
        (schemes.edit_indicator, {"indicator_id": their_node, "version": 1, "indicator": spec}),
        (schemes.move_indicator, {"indicator_id": their_node, "version": 1, "parent_id": my_root, "position": 0}),
        (schemes.remove_indicator, {"indicator_id": their_node, "version": 1}),
        (schemes.replace_indicators, {"scheme_version_id": theirs, "version": 3, "indicators": []}),
        (schemes.freeze_scheme_version, {"scheme_version_id": theirs, "version": 3}),
        (schemes.discard_scheme_version, {"scheme_version_id": theirs, "version": 3}),
    ]
    for use_case, arguments in calls:
        with pytest.raises(NotFound):
            await act(world, use_case, **arguments)
    calls += [
        (schemes.create_scheme, {"code": "c", "name": "n", "weighting": "POINTS", "category_ids": []}),
        (schemes.import_scheme, {"document": "{}"}),
    ]
    for role in set(Role) - {Role.ORGANISER}:
        wrong = acting(world.tenant, world.root, role)
        async with world.db.transaction(world.tenant.id) as tx:
            for use_case, arguments in calls:
                with pytest.raises(AccessDenied) as denied:
                    await use_case(tx, wrong, **arguments)
                assert denied.value.required_roles == ["ORGANISER"]
    assert len(await nodes(other, theirs)) == 5


async def test_every_change_is_on_record(world: World) -> None:
    version_id = await world.drafted(*simple(world))
    await world.freeze(version_id, 3)
    events = await read(
        world.db,
        world.tenant,
        "SELECT action FROM audit_events WHERE tenant_id = $1 AND actor_id = $2 ORDER BY sequence",
        world.actor.id,
    )
    assert [event["action"] for event in events][-4:] == [
        "createScheme",
        "editSchemeVersion",
        "replaceIndicators",
        "freezeSchemeVersion",
    ]
    assert isinstance((await check(world, version_id)).faults, list)
    assert all(isinstance(fault.text, Text) for fault in (await check(world, version_id)).faults)
