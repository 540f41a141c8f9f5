"""Trials over a run's snapshot: the numbers of the engine, all that is wrong at once, and no trace in what is real."""

from typing import Any
from uuid import UUID

import pytest

from service import directory, jobs, robustness, schemes, what_ifs
from service.access import Role
from service.errors import AccessDenied, IllegalState, Invalid, NotFound
from service.ids import encode_id
from service.jobs import JobRun
from service.rankings import start_ranking_run
from service.reports import Content
from service.schemes import IndicatorRow, IndicatorSpec
from service.what_ifs import ValueSpec, WeightSpec, stored_run
from tenants.database import Database
from tenants.provisioning import District
from tests.service.computing import Course, course, key_of
from tests.service.drafting import acting

pytestmark = pytest.mark.anyio

X = {"numerator": {"terms": [{"coefficient": "1", "dataItem": "x"}], "constant": "0"}}
Y = {"numerator": {"terms": [{"coefficient": "1", "dataItem": "y"}], "constant": "0"}}
LEAVES: dict[str, dict[str, Any]] = {
    "L0": {"kind": "LINEAR", "quantity": X, "zeroAt": "0", "fullAt": "100"},
    "L1": {"kind": "LINEAR", "quantity": Y, "zeroAt": "0", "fullAt": "100"},
    "L2": {"kind": "YES_NO", "dataItem": "ok"},
}
VALUES: dict[str, dict[str, Any]] = {
    "c1": {"x": "90", "y": "10", "ok": True},
    "c2": {"x": "20", "y": "80", "ok": True},
    "c3": {"x": "50", "y": "50", "ok": False},
    "v1": {"x": "50", "y": "50"},
}
GRADES = [{"code": "A", "name": "优秀", "share": "0.3"}, {"code": "B", "name": "合格"}]
REAL = ("ranking_runs", "run_snapshots", "standings", "standing_dimensions", "standing_details", "standing_grades")


@pytest.fixture
async def given(db: Database, tenant: District) -> Course:
    """A cycle that was computed: D0 (weight 1) has L0 (1) and L2 (3), D1 (weight 2) has L1."""
    made = await course(db, tenant, LEAVES, grades=GRADES, roundingPlaces=2)
    await made.cycle(VALUES)
    return made


async def rows_of(given: Course, sql: str, *arguments: Any) -> list[Any]:
    async with given.world.db.transaction(given.tenant.id) as tx:
        return list(await tx.fetch(sql, tx.tenant_id, *arguments))


async def real(given: Course) -> list[Any]:
    """Everything that is real, row by row."""
    return [
        [str(row) for row in await rows_of(given, f"SELECT t FROM {table} t WHERE t.tenant_id = $1 ORDER BY t::text")]
        for table in REAL
    ]


async def start(given: Course, run_id: UUID, **more: Any) -> UUID:
    async with given.world.db.transaction(given.tenant.id) as tx:
        return await what_ifs.start_what_if(tx, given.world.actor, run_id=encode_id("RankingRun", run_id), **more)


async def done(given: Course, what_if: UUID) -> dict[str, tuple[Any, ...]]:
    """Do the job; per unit totals and ranks before and after, and grades."""
    (row,) = await rows_of(given, "SELECT job_id FROM what_ifs WHERE tenant_id = $1 AND id = $2", what_if)
    claimed = await jobs.claim(given.world.db, given.tenant.id, row["job_id"])
    assert claimed is not None
    await what_ifs.compute_what_if(JobRun(given.world.db, claimed, jobs.WHAT_IF))
    rows = await rows_of(
        given,
        """SELECT cu.code, w.* FROM what_if_changes w
           JOIN cycle_units cu ON cu.tenant_id = w.tenant_id AND cu.id = w.cycle_unit_id
           WHERE w.tenant_id = $1 AND w.what_if_id = $2 ORDER BY w.position""",
        what_if,
    )
    return {
        row["code"]: (
            str(row["total_before"]),
            str(row["total_after"]),
            row["rank_before"],
            row["rank_after"],
            row["grade_before"],
            row["grade_after"],
        )
        for row in rows
    }


async def unit(given: Course, code: str) -> str:
    sql = "SELECT id FROM cycle_units WHERE tenant_id = $1 AND code = $2"
    return encode_id("CycleUnit", (await rows_of(given, sql, code))[0]["id"])


async def test_other_weights_leave_no_trace(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    before = await real(given)
    found = await done(given, await start(given, run_id, weights=[WeightSpec("D0", "6")]))
    # c1: (97.5 + 2 × 10) ÷ 3 and (6 × 97.5 + 2 × 10) ÷ 8; c2: (80 + 2 × 80) ÷ 3 and the same.
    assert found["c1"] == ("39.17", "75.63", 2, 2, "合格", "合格")
    assert found["c2"] == ("80.00", "80.00", 1, 1, "优秀", "优秀")
    assert found["c3"] == ("37.50", "21.88", 3, 3, "合格", "合格")
    assert await real(given) == before


async def test_a_run_is_tried_after_its_categories_have_other_codes(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    asked = await start(given, run_id, weights=[WeightSpec("D0", "6")])
    async with given.world.db.transaction(given.tenant.id) as tx:
        for code, key in given.world.categories.items():
            await directory.edit_category(tx, given.world.actor, category_id=key, version=1, code=f"other-{code}")
        stored = await stored_run(tx, cycle_code="k1", version=1)
    assert (await done(given, asked))["c1"] == ("39.17", "75.63", 2, 2, "合格", "合格")
    assert set(stored.snapshot.categories) <= {category["code"] for category in stored.document["categories"]}


async def test_other_values_replace_what_was_missing_too(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    before = await real(given)
    items, c1, c4 = given.world.items, await unit(given, "c1"), await unit(given, "c4")
    values = [
        ValueSpec(c1, items["y"], Content(number="100")),
        ValueSpec(c4, items["x"], Content(number="100")),
        ValueSpec(c4, items["y"], Content(number="40")),
        ValueSpec(c4, items["ok"], Content(yes_no=True)),
    ]
    found = await done(given, await start(given, run_id, values=values))
    assert found["c1"] == ("39.17", "99.17", 2, 1, "合格", "优秀")
    assert found["c2"][2:4] == (1, 2)
    assert found["c4"][:2] == ("0.00", "60.00")
    assert await real(given) == before


async def draft(given: Course) -> str:
    """A draft of another version: L1 alone below D1, and D0 with a leaf of its own."""
    world = given.world
    async with world.db.transaction(given.tenant.id) as tx:
        key = await schemes.create_scheme_version(tx, world.actor, based_on_id=given.version_id)
        await schemes.replace_indicators(
            tx,
            world.actor,
            scheme_version_id=encode_id("SchemeVersion", key),
            version=1,
            indicators=[
                IndicatorRow(IndicatorSpec(code="D", name="维度", weight="1"), None),
                IndicatorRow(
                    IndicatorSpec(
                        code="N",
                        name="新",
                        weight="1",
                        rule=schemes.rules.translate(LEAVES["L0"], {"x": str(key_of(world.items["x"], "DataItem"))}),
                    ),
                    "D",
                ),
            ],
        )
    return encode_id("SchemeVersion", key)


async def test_a_draft_is_tried_on_what_was_settled(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    before = await real(given)
    found = await done(given, await start(given, run_id, scheme_version_id=await draft(given)))
    assert {code: row[1] for code, row in found.items()} == {
        "c1": "90.00",
        "c2": "20.00",
        "c3": "50.00",
        "c4": "0.00",
        "v1": "50.00",
        "v2": "0.00",
    }
    assert [found[code][3] for code in ("c1", "c3", "c2", "c4")] == [1, 2, 3, 4]
    assert await real(given) == before


async def test_all_that_is_wrong_at_once(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    c1 = await unit(given, "c1")
    items = given.world.items
    with pytest.raises(Invalid) as refused:
        await start(
            given,
            run_id,
            weights=[WeightSpec("D0", "1e2"), WeightSpec("D9", "1"), WeightSpec("D1", "-1"), WeightSpec("D9", "2")],
            values=[
                ValueSpec(encode_id("CycleUnit", run_id), items["x"], Content(number="1")),
                ValueSpec(c1, encode_id("DataItem", run_id), Content(number="1")),
                ValueSpec(c1, items["x"], Content(yes_no=True)),
                ValueSpec(c1, items["x"], Content(number="1.12345"), period="2026-01"),
                ValueSpec(c1, items["y"], Content(number="1")),
                ValueSpec(c1, items["y"], Content(number="2")),
            ],
        )
    assert ["/".join(issue.path) for issue in refused.value.issues] == [
        "input/weights/0/weight",
        "input/weights/2/weight",
        "input/weights/3/indicatorCode",
        "input/values/0/cycleUnitId",
        "input/values/1/dataItemId",
        "input/values/2/content/yesNo",
        "input/values/3/period",
        "input/values/3/content/number",
        "input/values/5",
        "input/weights/1/indicatorCode",
    ]
    with pytest.raises(Invalid, match="nothing to try"):
        await start(given, run_id)
    with pytest.raises(Invalid) as refused:
        await start(given, run_id, weights=[WeightSpec("D0", "0"), WeightSpec("D1", "0")])
    assert {issue.path for issue in refused.value.issues} == {("input", "weights")}


async def test_who_and_what(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    async with given.world.db.transaction(given.tenant.id) as tx:
        cycle = encode_id("Cycle", given.cycle_ids[0])
        waiting = await start_ranking_run(tx, given.world.actor, cycle_id=cycle)
    weights = [WeightSpec("D0", "2")]
    with pytest.raises(IllegalState):
        await start(given, waiting, weights=weights)
    with pytest.raises(NotFound):
        await start(given, given.cycle_ids[0], weights=weights)
    with pytest.raises(Invalid) as unknown:
        await start(given, run_id, weights=weights, scheme_version_id=encode_id("SchemeVersion", run_id))
    assert unknown.value.issues[0].path == ("input", "schemeVersionId")
    observer = acting(given.tenant, given.world.root, Role.OBSERVER)
    with pytest.raises(AccessDenied):
        async with given.world.db.transaction(given.tenant.id) as tx:
            await what_ifs.start_what_if(tx, observer, run_id=encode_id("RankingRun", run_id), weights=weights)


async def test_trials_are_thrown_away_after_their_time(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    old = await start(given, run_id, weights=[WeightSpec("D0", "2")])
    await done(given, old)
    async with given.world.db.transaction(given.tenant.id) as tx:
        await tx.execute(
            """UPDATE what_ifs SET requested_at = requested_at - interval '8 days', expires_at = now() - interval '1 s'
               WHERE tenant_id = $1""",
            tx.tenant_id,
        )
    new = await start(given, run_id, weights=[WeightSpec("D0", "3")])
    async with given.world.db.transaction(given.tenant.id) as tx:
        assert await what_ifs.forget(tx) == 1
    assert [row["id"] for row in await rows_of(given, "SELECT id FROM what_ifs WHERE tenant_id = $1")] == [new]
    assert await rows_of(given, "SELECT id FROM what_if_changes WHERE tenant_id = $1") == []


async def test_how_firm_ranks_are_is_reckoned_once_and_beside_the_result(given: Course) -> None:
    run_id = await given.run(given.cycle_ids[0])
    before = await real(given)
    world = given.world
    async with world.db.transaction(given.tenant.id) as tx:
        job_id = await robustness.request_robustness(tx, world.actor, run_id=encode_id("RankingRun", run_id))
    claimed = await jobs.claim(world.db, given.tenant.id, job_id)
    assert claimed is not None
    await robustness.reckon_robustness(JobRun(world.db, claimed, jobs.ROBUSTNESS))
    async with world.db.transaction(given.tenant.id) as tx:
        again = await robustness.request_robustness(tx, world.actor, run_id=encode_id("RankingRun", run_id))
    assert again == job_id
    (drawn,) = await rows_of(given, "SELECT draws, tolerance, seed FROM run_robustness WHERE tenant_id = $1")
    (run,) = await rows_of(given, "SELECT snapshot_digest FROM ranking_runs WHERE tenant_id = $1 AND id = $2", run_id)
    assert (drawn["draws"], int(drawn["seed"])) == (1000, robustness.seed_of(run["snapshot_digest"]))
    rows = await rows_of(
        given,
        """SELECT cu.code, r.low, r.high, r.without::text AS without FROM standing_robustness r
           JOIN standings st ON st.tenant_id = r.tenant_id AND st.id = r.standing_id
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE r.tenant_id = $1 ORDER BY cu.code""",
    )
    # Totals 80.00, 39.17, 37.50 and 0: only the two in the middle can change places.
    found = {row["code"]: (row["low"], row["high"]) for row in rows}
    assert found["c2"] == (1, 1)
    assert found["c4"] == (4, 4)
    assert found["c1"][0] == 2
    assert found["c3"][1] == 3
    # Without D1 what is left is D0: 97.5, 80 and 12.5; without L2 c3 has (50 + 2 × 50) ÷ 3 before c1 with 36.67.
    without = {row["code"]: row["without"] for row in rows}
    assert '"D1"' in without["c1"]
    assert '{"code": "L2", "rank": 2}' in without["c3"].replace('"rank": 2, "code": "L2"', '"code": "L2", "rank": 2')
    assert await real(given) == before
