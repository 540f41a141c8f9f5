"""Several assessors on one leaf, from the scheme to the run; single awards are shown to nobody else."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from service import reviews, schemes
from service.access import Actor, HeldGrant, Role
from service.errors import Invalid
from service.ids import encode_id
from service.reviews import Award, ReviewSpec
from service.schemes import IndicatorRow, IndicatorSpec
from service.settings import Settings
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.schema.conftest import Caller
from tests.service.computing import Course, course, granted, key_of

pytestmark = pytest.mark.anyio

GROUPS = [
    {"name": "领导", "weight": "6", "method": "MEAN", "responsibleUnits": ["zzb"]},
    {"name": "同级", "weight": "4", "method": "TRIMMED_MEAN", "responsibleUnits": ["zfw"]},
]
LEAVES: dict[str, dict[str, Any]] = {"L0": {"kind": "AWARD", "step": "0.5", "full": "10", "groups": GROUPS}}


@pytest.fixture
async def given(db: Database, tenant: District) -> Course:
    """A cycle with one leaf that two groups award."""
    made = await course(db, tenant, LEAVES)
    await made.cycle({})
    return made


async def assessor(given: Course, unit: str) -> Actor:
    key = uuid7()
    grant = HeldGrant(uuid7(), Role.ASSESSOR, key_of(given.world.units[unit], "OrgUnit"), False, (), (), ())
    actor = Actor(given.tenant.id, key, key, "MEMBER", f"评分员{key}", "ZH_CN", "Asia/Shanghai", (grant,))
    await granted(given.world.db, actor)
    return actor


async def row_of(given: Course, unit: str) -> Any:
    async with given.world.db.transaction(given.tenant.id) as tx:
        return await tx.fetchrow(
            """SELECT am.* FROM assessments am
               JOIN cycle_units cu ON cu.tenant_id = am.tenant_id AND cu.id = am.cycle_unit_id
               WHERE am.tenant_id = $1 AND cu.code = $2""",
            tx.tenant_id,
            unit,
        )


async def award(given: Course, who: Actor, unit: str, marks: str, reason: str | None = "略有不足") -> Any:
    row = await row_of(given, unit)
    spec = ReviewSpec(encode_id("Assessment", row["id"]), row["version"], Award(marks, reason))
    async with given.world.db.transaction(given.tenant.id) as tx:
        await reviews.review_assessments(tx, who, reviews=[spec])
    return await row_of(given, unit)


async def exact(given: Course, run_id: UUID) -> dict[str, Any]:
    async with given.world.db.transaction(given.tenant.id) as tx:
        rows = await tx.fetch(
            """SELECT cu.code, st.exact, sd.nodes FROM standings st
               JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
               JOIN standing_details sd ON sd.tenant_id = st.tenant_id AND sd.standing_id = st.id
               WHERE st.tenant_id = $1 AND st.run_id = $2""",
            tx.tenant_id,
            run_id,
        )
    states = {row["code"]: orjson.loads(row["nodes"])[-1][3] for row in rows}
    return {row["code"]: (row["exact"], states[row["code"]]) for row in rows}


async def test_a_leaf_settles_when_every_group_has_awarded(given: Course) -> None:
    leaders = [await assessor(given, "zzb") for _ in range(3)]
    peers = [await assessor(given, "zfw") for _ in range(3)]
    row = await award(given, leaders[0], "c1", "8")
    assert (row["state"], row["marks"]) == ("READY", None)
    row = await award(given, leaders[1], "c1", "10", None)
    assert row["state"] == "READY"
    row = await award(given, peers[0], "c1", "1", "差距较大")
    # (6 × 9 + 4 × 1) ÷ 10.
    assert (row["state"], row["marks"], row["marks_reason"]) == ("ACCEPTED", Decimal("5.8"), "略有不足；差距较大")
    await award(given, peers[1], "c1", "7")
    await award(given, peers[2], "c1", "9")
    await award(given, peers[0], "c1", "2")  # in place of its 1
    row = await award(given, leaders[2], "c1", "6.5")
    # Leaders (8 + 10 + 6.5) ÷ 3, peers 7 without the highest and the lowest: (6 × 49/6 + 4 × 7) ÷ 10 = 7.7.
    assert row["marks"] == Decimal("7.7")
    await award(given, leaders[0], "c2", "9.5")  # nobody of the peers
    found = await exact(given, await given.run(given.cycle_ids[0]))
    assert found["c1"] == ("77", "GIVEN")
    assert found["c2"] == ("0", "MISSING")


async def test_means_stay_exact_in_a_run(given: Course) -> None:
    leaders = [await assessor(given, "zzb") for _ in range(3)]
    for who, marks in zip(leaders, ("8", "8", "8.5"), strict=True):
        await award(given, who, "c1", marks)
    row = await award(given, await assessor(given, "zfw"), "c1", "10", None)
    assert row["marks"] == Decimal("8.9")
    for who, marks in zip(leaders[:2], ("8", "8.5"), strict=True):
        await award(given, who, "v1", marks)
    await award(given, await assessor(given, "zfw"), "v1", "9.5")
    found = await exact(given, await given.run(given.cycle_ids[0]))
    # (6 × 24.5/3 + 40) ÷ 10 of 10, (6 × 8.25 + 38) ÷ 10 of 10.
    assert (found["c1"][0], found["v1"][0]) == ("89", "175/2")


async def test_single_awards_are_shown_to_nobody_else(db: Database, settings: Settings, given: Course) -> None:
    leader, peer = await assessor(given, "zzb"), await assessor(given, "zfw")
    await award(given, leader, "c1", "8")
    row = await award(given, peer, "c1", "6")
    asked = """query ($id: ID!) { assessment(id: $id) { marks ownAward awardsAsked awardsGiven
                 reviews { edges { node { marks decision } } } } }"""

    async def seen(actor: Actor) -> Any:
        caller = Caller(db, settings, replace(actor, language="EN"))
        return (await caller.ask(asked, id=encode_id("Assessment", row["id"])))["assessment"]

    own = await seen(leader)
    assert (own["marks"], own["ownAward"], own["awardsAsked"], own["awardsGiven"]) == ("7.2", "8", 2, 2)
    assert [edge["node"]["marks"] for edge in own["reviews"]["edges"]] == [None, "8"]
    organiser = await seen(given.world.actor)
    assert organiser["marks"] == "7.2"
    assert [edge["node"]["marks"] for edge in organiser["reviews"]["edges"]] == [None, None]


async def test_a_scheme_file_brings_its_groups_along(given: Course) -> None:
    world = given.world
    async with world.db.transaction(given.tenant.id) as tx:
        text = await schemes.scheme_file(tx, key_of(given.version_id, "SchemeVersion"))
        rule = next(node["rule"] for node in orjson.loads(text)["indicators"] if node["code"] == "L0")
        assert [group["responsibleUnits"] for group in rule["groups"]] == [["zzb"], ["zfw"]]
        copied = await schemes.import_scheme(
            tx, world.actor, document=text.replace('"code":"S"', '"code":"S2"'), create_missing_data_items=False
        )
        again = await schemes.scheme_file(tx, copied)
    assert orjson.loads(again)["indicators"] == orjson.loads(text)["indicators"]


async def test_groups_without_units_with_others_or_with_the_same(given: Course) -> None:
    world = given.world
    units = {code: str(key_of(key, "OrgUnit")) for code, key in world.units.items()}
    groups = [
        {"name": "甲", "weight": "1", "method": "MEAN", "responsibleUnits": []},
        {"name": "乙", "weight": "1", "method": "MEAN", "responsibleUnits": [units["zfw"]]},
        {"name": "丙", "weight": "1", "method": "MEAN", "responsibleUnits": [units["zzb"]]},
        {"name": "丁", "weight": "1", "method": "MEAN", "responsibleUnits": [units["zzb"]]},
    ]
    leaf = IndicatorSpec(
        code="L",
        name="评议",
        weight="1",
        basis="区委文件",
        rule={"kind": "AWARD", "step": "1", "groups": groups},
        responsible_unit_ids=[world.units["zzb"]],
    )
    async with world.db.transaction(given.tenant.id) as tx:
        key = await schemes.create_scheme_version(tx, world.actor, based_on_id=given.version_id)
        version_id = encode_id("SchemeVersion", key)
        await schemes.replace_indicators(
            tx, world.actor, scheme_version_id=version_id, version=1, indicators=[IndicatorRow(leaf, None)]
        )
        check = await schemes.check_version(tx, key)
    faults = [("/".join(fault.path[-3:]), fault.code) for fault in check.faults if fault.severity == "FAULT"]
    assert faults == [
        ("groups/0/responsibleUnits", "INVALID"),
        ("groups/1/responsibleUnits", "INVALID"),
        ("groups/3/responsibleUnits", "DUPLICATE"),
    ]
    with pytest.raises(Invalid):
        await world.freeze(version_id, 2)
