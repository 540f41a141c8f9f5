"""Trials and the robustness of ranks over GraphQL: what organisers see, and others do not."""

from typing import Any

import pytest

from service import publications
from service.access import Role
from service.ids import encode_id
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import Caller, MakeCaller, held
from tests.schema.driving import do_job, mutate
from tests.service.computing import Course, course, granted

pytestmark = pytest.mark.anyio


def linear(item: str) -> dict[str, Any]:
    terms = [{"coefficient": "1", "dataItem": item}]
    return {"kind": "LINEAR", "quantity": {"numerator": {"terms": terms}}, "zeroAt": "0", "fullAt": "100"}


GRADES = [{"code": "A", "name": "优秀", "share": "0.25"}, {"code": "B", "name": "合格"}]
VALUES = {"c1": {"x": "80.04", "y": "60"}, "c2": {"x": "60", "y": "70"}, "c3": {"x": "10", "y": "10"}}


@pytest.fixture
async def given(db: Database, tenant: District) -> Course:
    """One cycle: 66.68 and 66.67, a hair apart, and 10 far below."""
    made = await course(db, tenant, {"L0": linear("x"), "L1": linear("y")}, grades=GRADES, roundingPlaces=2)
    await made.cycle(VALUES)
    return made


@pytest.fixture
async def organiser(db: Database, given: Course, make_caller: MakeCaller) -> Caller:
    """An organiser whose grant the database knows."""
    caller = make_caller(given.tenant, [held(Role.ORGANISER, given.world.root, at_root=True)])
    await granted(db, caller.actor)
    return caller


TRIAL = """
query ($id: ID!, $filter: WhatIfFilter) {
  whatIf(id: $id) {
    run { number } schemeVersion { number } job { kind state message } requestedBy { id } finishedAt expiresAt
    changes(filter: $filter) { totalCount edges { node {
      unit { code } category { code } totalBefore totalAfter total rankBefore rankAfter rank gradeBefore gradeAfter
    } } }
  }
}
"""
FIRM = """
query ($run: ID!) {
  rankingRun(id: $run) {
    robustness { draws tolerance flips { standings { unit { code } } share text } }
    standings { edges { node {
      unit { code } rank robustRanks { low high } ranksWithout { indicator { code } rank } } } }
  }
}
"""


async def test_a_trial_from_asking_to_its_differences(db: Database, given: Course, organiser: Caller) -> None:
    run = encode_id("RankingRun", await given.run(given.cycle_ids[0]))
    asked = {"runId": run, "weights": [{"indicatorCode": "D0", "weight": "1.5"}]}
    made = await mutate(organiser, "startWhatIf", "whatIf { id finishedAt job { id } changes { totalCount } }", asked)
    trial = made["whatIf"]
    assert (trial["finishedAt"], trial["changes"]["totalCount"]) == (None, 0)
    await do_job(db, given.tenant.id, trial["job"]["id"])
    found = (await organiser.ask(TRIAL, id=trial["id"], filter={"changedOnly": True}))["whatIf"]
    assert found["job"]["state"] == "SUCCEEDED"
    assert found["finishedAt"] is not None
    rows = {edge["node"]["unit"]["code"]: edge["node"] for edge in found["changes"]["edges"]}
    # Equal weights of L0 and L1 under D0 and D1 once (1 and 2), then 1.5 and 2: c1 (1.5 × 80.04 + 2 × 60) ÷ 3.5.
    assert rows["c1"] == {
        "unit": {"code": "c1"},
        "category": {"code": "community"},
        "totalBefore": "66.68",
        "totalAfter": "68.59",
        "total": "1.91",
        "rankBefore": 1,
        "rankAfter": 1,
        "rank": 0,
        "gradeBefore": "优秀",
        "gradeAfter": "优秀",
    }
    assert set(rows) == {"c1", "c2"}
    everybody = await organiser.ask(TRIAL, id=trial["id"])
    assert everybody["whatIf"]["changes"]["totalCount"] == 6
    village = encode_id("Category", await category(db, given, "village"))
    one = await organiser.ask(TRIAL, id=trial["id"], filter={"categoryId": village})
    assert one["whatIf"]["changes"]["totalCount"] == 2


async def category(db: Database, given: Course, code: str) -> Any:
    async with db.transaction(given.tenant.id) as tx:
        return await tx.fetchval("SELECT id FROM categories WHERE tenant_id = $1 AND code = $2", tx.tenant_id, code)


async def test_refusals_name_their_place(given: Course, organiser: Caller) -> None:
    run = encode_id("RankingRun", await given.run(given.cycle_ids[0]))
    found = await organiser.ask(
        """mutation ($input: StartWhatIfInput!) { startWhatIf(input: $input) {
             __typename ... on InputError { issues { code path message hint } } } }""",
        input={"runId": run, "weights": [{"indicatorCode": "Q", "weight": "１"}], "idempotencyKey": "k"},
    )
    issues = found["startWhatIf"]["issues"]
    assert [(each["code"], each["path"]) for each in issues] == [
        ("INVALID_DECIMAL", ["input", "weights", "0", "weight"]),
    ]
    assert all(each["hint"] for each in issues)


async def test_how_firm_ranks_are(db: Database, given: Course, organiser: Caller, make_caller: MakeCaller) -> None:
    run_id = await given.run(given.cycle_ids[0])
    run = encode_id("RankingRun", run_id)
    assert (await organiser.ask(FIRM, run=run))["rankingRun"]["robustness"] is None
    made = await mutate(organiser, "requestRobustness", "job { id kind }", {"runId": run})
    await do_job(db, given.tenant.id, made["job"]["id"])
    found = (await organiser.ask(FIRM, run=run))["rankingRun"]
    assert (found["robustness"]["draws"], found["robustness"]["tolerance"]) == (1000, "0.1")
    (flip,) = [each for each in found["robustness"]["flips"] if each["standings"][0]["unit"]["code"] == "c1"]
    assert [each["unit"]["code"] for each in flip["standings"]] == ["c1", "c2"]
    assert 0 < float(flip["share"]) < 1
    # The district's callers read English.
    assert flip["text"].startswith("at the edge of 优秀: ranks 1 and 2 are 0.01 apart and swap in")
    rows = {edge["node"]["unit"]["code"]: edge["node"] for edge in found["standings"]["edges"]}
    assert (rows["c1"]["robustRanks"], rows["c2"]["robustRanks"]) == ({"low": 1, "high": 2}, {"low": 1, "high": 2})
    assert rows["c3"]["robustRanks"]["low"] == 3
    assert {"indicator": {"code": "D0"}, "rank": 2} in rows["c1"]["ranksWithout"]

    # Once it is published, a unit sees its own result, and not how firm it is.
    async with db.transaction(given.tenant.id) as tx:
        version = await tx.fetchval(
            "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, given.cycle_ids[0]
        )
        await publications.publish_run(
            tx, given.world.actor, run_id=run, version=version, kind="FEEDBACK", title="反馈核对"
        )
        unit = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND code = 'c1'", tx.tenant_id)
        standing = await tx.fetchval(
            """SELECT st.id FROM standings st
               JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
               WHERE st.tenant_id = $1 AND st.run_id = $2 AND cu.code = 'c1'""",
            tx.tenant_id,
            run_id,
        )
    secretary = make_caller(given.tenant, [held(Role.SECRETARY, unit)])
    await granted(db, secretary.actor)
    own = await secretary.ask(
        "query ($id: ID!) { standing(id: $id) { total robustRanks { low high } ranksWithout { rank } } }",
        id=encode_id("Standing", standing),
    )
    assert own["standing"] == {"total": "66.68", "robustRanks": None, "ranksWithout": []}
