"""Why a unit has the total that it has: whose eyes see it, in which words, and that its numbers add up."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from service import publications
from service.access import Role
from service.ids import encode_id
from service.rankings import explaining
from service.rankings.snapshot import unpack
from service.reviews import Award, Decision, Exempt, ReviewSpec, review_assessments
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import Caller, MakeCaller, held
from tests.service.computing import Course, course, granted, key_of
from tests.service.eventing import confirmed, event_cycle, give, run, spec
from tests.service.test_rules import BEFORE, LEAVES, NOW, TARGETS

pytestmark = pytest.mark.anyio

STANDINGS = """
query ($run: ID!) { rankingRun(id: $run) { standings(first: 100) { edges { node {
  id total exact status unit { code }
  explanation { text steps { key parentKey depth kind text formula before result shown weight effectiveWeight valueState
    indicator { code } comparison { peers best worst rank }
    inputs { display dataItem { code } reported { number display } review { decision reason } } } }
  dimensions { indicator { code } score reason }
  leaves { indicator { code name } score valueState reason }
} } } } }
"""
Node = Mapping[str, Any]


@pytest.fixture
async def given(db: Database, tenant: District) -> tuple[Course, str]:
    """Two cycles with every kind of rule, and the id of the second one's run."""
    made = await course(db, tenant, LEAVES)
    await made.cycle(BEFORE, TARGETS)
    run_id = await made.run(await made.cycle(NOW, TARGETS))
    return made, encode_id("RankingRun", run_id)


@pytest.fixture
def organiser(make_caller: MakeCaller, given: tuple[Course, str]) -> Caller:
    """Who may see everything."""
    made, _ = given
    return make_caller(made.tenant, [held(Role.ORGANISER, made.world.root, at_root=True)])


async def standings(caller: Caller, run: str) -> dict[str, Node]:
    """What the run says, by code of the unit."""
    found = await caller.ask(STANDINGS, run=run)
    return {edge["node"]["unit"]["code"]: edge["node"] for edge in found["rankingRun"]["standings"]["edges"]}


def exact(text: str | None) -> Fraction:
    return Fraction(text or 0)


def check_sums(node: Node) -> None:
    """From the leaves' scores to the shown total, by the steps' own numbers."""
    steps = {step["key"]: step for step in node["explanation"]["steps"]}
    total = node["explanation"]["steps"][0]
    assert (total["shown"], total["before"]) == (node["total"], node["exact"])
    children: dict[str, list[Node]] = {}
    for step in steps.values():
        children.setdefault(step["parentKey"], []).append(step)
        if step["parentKey"] is not None:
            assert step["depth"] == steps[step["parentKey"]]["depth"] + 1
    for key, step in steps.items():
        if step["kind"] == "AGGREGATE" and step["result"] is not None:
            parts = [each for each in children[key] if each["result"] is not None]
            weights = sum(exact(each["effectiveWeight"]) for each in parts)
            mean = sum(exact(each["effectiveWeight"]) * exact(each["result"]) for each in parts) / weights
            assert mean == exact(step["result"]), key
    (root,) = [step for step in children["total"] if step["kind"] == "AGGREGATE"]
    assert exact(root["result"]) == exact(total["before"])
    scores = {leaf["indicator"]["code"]: leaf for leaf in node["leaves"]}
    leaves = [step for step in steps.values() if step["kind"] == "LEAF"]
    assert {step["key"] for step in leaves} == set(scores) == set(LEAVES)
    for step in leaves:
        assert step["shown"] == scores[step["key"]]["score"]
        assert step["valueState"] == scores[step["key"]]["valueState"]


async def test_every_total_opens_down_to_values_that_add_up(given: tuple[Course, str], organiser: Caller) -> None:
    found = await standings(organiser, given[1])
    assert len(found) == 6
    for node in found.values():
        check_sums(node)
    steps = {step["key"]: step for step in found["c1"]["explanation"]["steps"]}
    assert steps["ratio"]["comparison"] == {"peers": 3, "best": "39.5", "worst": "28.1", "rank": None}
    (used,) = steps["choice"]["inputs"]
    assert (used["dataItem"]["code"], used["display"]) == ("pick", "好")
    assert used["reported"] == {"number": 1, "display": "好"}
    assert [each["dataItem"]["code"] for each in steps["neutral"]["inputs"]] == ["x", "target"]
    assert "≈" not in steps["neutral"]["formula"]


async def test_it_is_said_in_both_languages(given: tuple[Course, str], organiser: Caller) -> None:
    english = (await standings(organiser, given[1]))["c1"]["explanation"]
    chinese = (await standings(replace(organiser, language="zh-CN"), given[1]))["c1"]["explanation"]
    assert english["text"].startswith("total ")
    assert chinese["text"].startswith("总得分")
    assert [step["key"] for step in english["steps"]] == [step["key"] for step in chinese["steps"]]
    assert len(chinese["text"].splitlines()) == len(chinese["steps"])


async def test_reasons_say_why_points_were_lost(given: tuple[Course, str], organiser: Caller) -> None:
    found = (await standings(organiser, given[1]))["c1"]
    leaves = {leaf["indicator"]["code"]: leaf for leaf in found["leaves"]}
    assert leaves["choice"]["reason"] is None, "full marks"
    assert leaves["checklist"]["reason"] == "1 points met: 3 marks; not met: 数据ok2"
    dimensions = {each["indicator"]["code"]: each["reason"] for each in found["dimensions"]}
    assert "指标checklist: 1 points met" in dimensions["D1"]
    missing = (await standings(organiser, given[1]))["c4"]["leaves"][0]
    assert (missing["valueState"], missing["reason"]) == ("MISSING", "missing: 0")


async def test_what_reviews_said_is_told_as_it_was_when_the_run_was_computed(
    db: Database, tenant: District, make_caller: MakeCaller
) -> None:
    award = {"kind": "AWARD", "full": "10", "step": "0.5"}
    made = await course(db, tenant, {"award": award, "linear": LEAVES["linear"]})
    cycle_id = await made.cycle({"c1": {"x": "30"}})
    await _judge(db, made, c1=Award("8.5", "材料不全"), c3=Exempt("新设单位"), c4=Award("10"))
    run_id = await made.run(cycle_id)
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            """INSERT INTO reviews (tenant_id, id, assessment_id, level, decision, reason, role, unit_id, at,
                                    revision_ids, data_item_ids)
               SELECT $1, gen_random_uuid(), a.id, 1, 'REJECT', '事后', 'ASSESSOR', $2, now(), '{}', '{}'
               FROM assessments a WHERE a.tenant_id = $1""",
            tenant.id,
            key_of(made.world.units["zzb"], "OrgUnit"),
        )
    caller = make_caller(tenant, [held(Role.ORGANISER, made.world.root, at_root=True)], language="zh-CN")
    found = await standings(caller, encode_id("RankingRun", run_id))
    reasons = {code: node["leaves"][0]["reason"] for code, node in found.items()}
    assert reasons["c1"] == "评议得8.5分，满分10分；扣分原因：材料不全"
    assert reasons["c3"] == "不适用，其权重由同级指标分担；理由：新设单位"
    assert (reasons["c4"], reasons["v1"]) == (None, "缺报，计0分")
    assert found["c1"]["dimensions"][0]["reason"] == f"指标award：{reasons['c1']}"
    assert reasons["c1"] in found["c1"]["explanation"]["text"]
    for code in ("c1", "c3", "c4"):
        assert found[code]["explanation"]["steps"][0]["shown"] == found[code]["total"]
    (used,) = next(step["inputs"] for step in found["c1"]["explanation"]["steps"] if step["key"] == "linear")
    assert (used["display"], used["reported"], used["review"]) == ("30", {"number": 1, "display": "30"}, None)


async def test_who_may_not_read_the_result_gets_no_explanation(
    given: tuple[Course, str], organiser: Caller, make_caller: MakeCaller, db: Database
) -> None:
    made, run = given
    own = (await standings(organiser, run))["c1"]["id"]
    other = (await standings(organiser, run))["c2"]["id"]
    unit = key_of(made.world.units["c1"], "OrgUnit")
    ask = """query ($id: ID!) { standing(id: $id) { total explanation { text } dimensions { reason } } }"""
    secretary = make_caller(made.tenant, [held(Role.SECRETARY, unit)])
    await granted(db, secretary.actor)
    assert (await secretary.ask(ask, id=own))["standing"] is None, "nothing is published yet"
    await _publish(db, made, run)
    seen = (await secretary.ask(ask, id=own))["standing"]
    assert seen["explanation"]["text"].startswith("total ")
    assert seen["dimensions"][0]["reason"]
    hidden = (await secretary.ask(ask, id=other))["standing"]
    assert hidden["total"] is not None, "the board shows totals of all"
    assert hidden["explanation"] is None
    assert [each["reason"] for each in hidden["dimensions"]] == [None, None]


async def test_events_stand_beside_the_steps_that_they_moved(
    db: Database, tenant: District, make_caller: MakeCaller
) -> None:
    cycle = await event_cycle(db, tenant)
    await give(cycle, a1="80")
    keys = await confirmed(
        cycle,
        spec(cycle, "a1", "J", level_code="national"),
        spec(cycle, "a1", "J", level_code="city"),
        spec(cycle, "a1", "D"),
        spec(cycle, "a1", "U"),
    )
    run_id = await run(cycle, await cycle.person((Role.ORGANISER, "root")))
    caller = make_caller(tenant, [held(Role.ORGANISER, cycle.units["root"], at_root=True)])
    found = await caller.ask(
        """query ($run: ID!) { rankingRun(id: $run) { standings(first: 100) { edges { node { total exact unit { code }
             explanation { steps { key kind before result shown parentKey events { id } } }
             dimensions { indicator { code } reason } } } } } }""",
        run=encode_id("RankingRun", run_id),
    )
    nodes = {edge["node"]["unit"]["code"]: edge["node"] for edge in found["rankingRun"]["standings"]["edges"]}
    steps = nodes["a1"]["explanation"]["steps"]
    about = [(step["kind"], step["shown"], [each["id"] for each in step["events"]]) for step in steps if step["events"]]
    ids = [encode_id("Event", key) for key in keys]
    assert about == [("BONUS", "5.00", [ids[0]]), ("BONUS", "0.00", [ids[1]]), ("VETO", None, [ids[3]])]
    root, bonus = (next(s for s in steps if s["kind"] == kind) for kind in ("AGGREGATE", "BONUS"))
    assert exact(root["result"]) + exact(bonus["result"]) == exact(steps[0]["before"]) == exact(nodes["a1"]["exact"])
    reasons = {each["indicator"]["code"]: each["reason"] for each in nodes["a1"]["dimensions"]}
    assert "2" in reasons["D"]
    assert nodes["a2"]["explanation"]["steps"][0]["shown"] == nodes["a2"]["total"]


async def test_what_would_contradict_the_result_is_not_shown(
    given: tuple[Course, str], organiser: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "format_rational", lambda _total: "1/3")
    found = await standings(organiser, given[1])
    assert [node["explanation"] for node in found.values() if node["exact"] is not None] == [None] * 6
    assert found["c1"]["dimensions"][0]["reason"] is None


async def test_few_runs_stay_in_memory(given: tuple[Course, str]) -> None:
    made, _ = given
    async with made.world.db.transaction(made.tenant.id) as tx:
        packed = bytes(await tx.fetchval("SELECT document FROM run_snapshots WHERE tenant_id = $1", made.tenant.id))
    size = unpack(packed).size
    runs = explaining._Runs(3 * size)
    keys = [(made.tenant.id, UUID(int=number), 0) for number in range(5)]
    for key in keys:
        assert runs.get(key, None, {}) is None
        assert runs.get(key, packed, {}) is not None
    assert [key in runs for key in keys] == [False, False, True, True, True]
    assert runs.get(keys[2], None, {}) is not None
    assert runs.get(keys[0], packed, {}) is not None
    assert [key in runs for key in keys] == [True, False, True, False, True], "what was last asked about stays"


async def _judge(db: Database, made: Course, **decisions: Decision) -> None:
    """Let the department judge the first leaf of some units."""
    async with db.transaction(made.tenant.id) as tx:
        rows = await tx.fetch(
            """SELECT a.id, a.version, u.code FROM assessments a
               JOIN cycle_units u ON u.tenant_id = a.tenant_id AND u.id = a.cycle_unit_id
               JOIN indicators i ON i.tenant_id = a.tenant_id AND i.id = a.indicator_id AND i.code = 'award'
               WHERE a.tenant_id = $1""",
            tx.tenant_id,
        )
        await review_assessments(
            tx,
            made.assessor,
            reviews=[
                ReviewSpec(encode_id("Assessment", row["id"]), row["version"], decisions[row["code"]])
                for row in rows
                if row["code"] in decisions
            ],
        )


async def _publish(db: Database, made: Course, run: str) -> None:
    async with db.transaction(made.tenant.id) as tx:
        version = await tx.fetchval(
            "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, made.cycle_ids[-1]
        )
        await publications.publish_run(
            tx, made.world.actor, run_id=run, version=version, kind="INTERIM", title="阶段成绩"
        )
