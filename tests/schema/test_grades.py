"""Grades over GraphQL: in the settings, on the preview of a run, ordered and recorded, and who sees them on a board."""

from typing import Any

import pytest

from service.access import Role
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle
from tests.schema.conftest import Caller
from tests.schema.test_reports import ERROR, key
from tests.service.drafting import make_world, number
from tests.service.eventing import confirmed, give, next_cycle, run, spec
from tests.service.test_grades import TIED, adopt, graded, publish

pytestmark = pytest.mark.anyio

PREVIEW = """query RunPreviewQuery($id: ID!, $filter: StandingFilter) { rankingRun(id: $id) {
  undecidedTies { id version placesLeft decided grade { code name } category { id name } parent { id }
                  standings { id total exact rank unit { id code } } }
  publishBlockers(kind: NOTICE) { code message hint count }
  categories { name unitCount quotas { grade { code name } parent { id } base places used } }
  standings(first: 100, filter: $filter) { edges { node { ...Shown } } }
} }
"""

SHOWN = """fragment Shown on Standing {
  id rank status bonus deduction unit { code }
  proposedGrade { code name } decidedGrade { code name }
  gradeDecision { body decidedOn documentTitle documentNumber reason }
  vetoes { id title effect documentTitle }
  change { previousGrade }
}
"""

BOARD = """query BoardQuery($id: ID!) { publication(id: $id) { disclosure { grades }
  categories { quotas { grade { code } places } }
  dimensions { code } ownStandings { ...Shown } standings(first: 100) { edges { node { ...Shown } } } } }
"""

ORDER = f"""mutation ($input: OrderTieInput!) {{ orderTie(input: $input) {{
  ... on OrderTieSuccess {{ tieGroup {{ decided reason version standings {{ unit {{ code }} }} }} }}
  {ERROR} }} }}"""

RECORD = f"""mutation ($input: RecordGradesInput!) {{ recordGrades(input: $input) {{
  ... on RecordGradesSuccess {{ run {{ id }} standings {{ ...Shown }} }} {ERROR} }} }} {SHOWN}"""


@pytest.fixture
def ask_as(db: Database, settings: Settings) -> Any:
    """Makes a caller of an actor."""
    return lambda actor: Caller(db, settings, actor)


def by_unit(connection: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of a page of standings by unit."""
    return {edge["node"]["unit"]["code"]: edge["node"] for edge in connection["edges"]}


async def board(cycle: OpenCycle, kind: str) -> str:
    """Id of the publication of that kind."""
    (row,) = await cycle.sql("SELECT id FROM publications WHERE tenant_id = $1 AND kind = $2", kind)
    return encode_id("Publication", row["id"])


async def test_from_a_tie_to_a_final_board(db: Database, tenant: District, ask_as: Any) -> None:
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy="DECISION")
    await confirmed(cycle, spec(cycle, "b2", "N"))
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    given = encode_id("RankingRun", run_id)
    seen = (await ask_as(organiser).ask(PREVIEW + SHOWN, id=given))["rankingRun"]
    (tie,) = seen["undecidedTies"]
    assert (tie["grade"], tie["category"]["name"], tie["parent"]) == ({"code": "A", "name": "优秀"}, "社区", None)
    assert (tie["placesLeft"], tie["decided"], tie["version"]) == (1, False, 1)
    assert [each["unit"]["code"] for each in tie["standings"]] == ["a2", "a3"]
    assert [(each["code"], each["count"]) for each in seen["publishBlockers"]] == [("ILLEGAL_STATE", 1)]
    quotas = {each["name"]: each["quotas"] for each in seen["categories"]}["社区"]
    assert [(each["grade"]["code"], each["base"], each["places"], each["used"]) for each in quotas] == [
        ("A", 6, 2, 1),
        ("B", 6, 3, 3),
    ]
    found = by_unit(seen["standings"])
    assert found["b2"]["vetoes"][0]["effect"] == "NO_EXCELLENT"
    assert (found["a1"]["proposedGrade"], found["a1"]["decidedGrade"]) == ({"code": "A", "name": "优秀"}, None)
    ids = {each["unit"]["code"]: each["id"] for each in tie["standings"]}
    sent = {
        "tieGroupId": tie["id"],
        "version": 1,
        "standingIds": [ids["a3"], ids["a2"]],
        "reason": "信访化解更好",
        "idempotencyKey": key(),
    }
    done = (await ask_as(organiser).ask(ORDER, input=sent))["orderTie"]["tieGroup"]
    assert (done["decided"], done["reason"], done["version"]) == (True, "信访化解更好", 2)
    assert [each["unit"]["code"] for each in done["standings"]] == ["a3", "a2"]
    seen = (await ask_as(organiser).ask(PREVIEW + SHOWN, id=given, filter={"gradeCode": "A"}))["rankingRun"]
    assert (seen["undecidedTies"], seen["publishBlockers"]) == ([], [])
    assert set(by_unit(seen["standings"])) == {"a1", "a3"}
    await publish(cycle, organiser, run_id, "NOTICE")
    record = {"runId": given, "body": "区委常委会", "decidedOn": "2026-06-30", "documentTitle": "会议纪要"}
    named = [{"standingId": found["a1"]["id"], "gradeCode": "B"}]
    refused = await ask_as(organiser).ask(RECORD, input={**record, "grades": named, "idempotencyKey": key()})
    assert refused["recordGrades"]["path"] == ["input", "grades", "0", "reason"]
    named[0]["reason"] = "年中被约谈"
    done = await ask_as(organiser).ask(RECORD, input={**record, "grades": named, "idempotencyKey": key()})
    (changed,) = done["recordGrades"]["standings"]
    assert (changed["proposedGrade"]["code"], changed["decidedGrade"]["code"]) == ("A", "B")
    assert changed["gradeDecision"] == {
        "body": "区委常委会",
        "decidedOn": "2026-06-30",
        "documentTitle": "会议纪要",
        "documentNumber": None,
        "reason": "年中被约谈",
    }
    await publish(cycle, organiser, run_id, "FINAL")
    reader = await cycle.person((Role.SECRETARY, "a2"))
    shown = (await ask_as(reader).ask(BOARD + SHOWN, id=await board(cycle, "FINAL")))["publication"]
    found = by_unit(shown["standings"])
    assert (found["a1"]["decidedGrade"]["code"], found["a3"]["decidedGrade"]["code"]) == ("B", "A")
    assert [each["unit"]["code"] for each in shown["ownStandings"]] == ["a2"]
    assert found["b2"]["vetoes"] == [], "events of others are not for everyone"
    assert [each["code"] for each in shown["dimensions"]] == ["X", "D", "W", "Y"], "no column heads for pots and vetoes"
    assert shown["categories"][0]["quotas"] != []
    later = await next_cycle(db, tenant, organiser, encode_id("SchemeVersion", cycle.version_id), "2026b")
    await give(later, **TIED)
    again = encode_id("RankingRun", await run(later, organiser))
    changes = by_unit((await ask_as(organiser).ask(PREVIEW + SHOWN, id=again))["rankingRun"]["standings"])
    assert changes["a1"]["change"] == {"previousGrade": "良好"}


async def test_an_interim_board_tells_no_grades_and_others_as_the_scheme_says(
    db: Database, tenant: District, ask_as: Any
) -> None:
    withheld = [
        {"kind": kind, "totals": "ALL", "ranks": "ALL", "grades": level, "dimensions": "ALL", "bestCount": best}
        for kind, level, best in (("INTERIM", "ALL", None), ("NOTICE", "BEST", 1))
    ]
    cycle, organiser = await graded(db, tenant, TIED, disclosures=withheld)
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    await publish(cycle, organiser, run_id, "INTERIM")
    own, other = await cycle.person((Role.SECRETARY, "a2")), await cycle.person((Role.SECRETARY, "v1"))
    interim = await board(cycle, "INTERIM")
    shown = (await ask_as(own).ask(BOARD + SHOWN, id=interim))["publication"]
    assert shown["disclosure"] == {"grades": "NONE"}
    assert {each["proposedGrade"] for each in by_unit(shown["standings"]).values()} == {None}
    assert shown["ownStandings"][0]["proposedGrade"] is None
    assert [each["quotas"] for each in shown["categories"]] == [[], []]
    assert by_unit((await ask_as(organiser).ask(BOARD + SHOWN, id=interim))["publication"]["standings"])["a1"][
        "proposedGrade"
    ]
    await publish(cycle, organiser, run_id, "NOTICE")
    notice = await board(cycle, "NOTICE")
    seen = {}
    for name, actor in (("own", own), ("other", other)):
        shown = (await ask_as(actor).ask(BOARD + SHOWN, id=notice))["publication"]
        seen[name] = {unit for unit, each in by_unit(shown["standings"]).items() if each["proposedGrade"]}
    assert seen == {"own": {"a1", "a2", "v1"}, "other": {"a1", "v1"}}, "the best of each category, and the own"


GRADES = """grades { code name threshold share placesByCount { unitsFrom places } minimumPlaces rounding scope
  baseIncludesVetoed conditions { kind indicator { code } dataItem { code } minimumShare gradeCode text } }"""


async def test_grades_go_in_and_come_out(db: Database, tenant: District, ask_as: Any) -> None:
    world = await make_world(db, tenant)
    await world.add_items(number("ok", type="YES_NO"))
    _, version_id = await world.begin()
    edit = f"""mutation ($input: EditSchemeVersionInput!) {{ editSchemeVersion(input: $input) {{
        ... on EditSchemeVersionSuccess {{ schemeVersion {{ version settings {{ tiePolicy bodyDecides {GRADES} }} }} }}
        {ERROR} }} }}"""
    conditions = [
        {"nodeShare": {"indicatorCode": "ROOT", "minimumShare": "0.85"}},
        {"noEventUnder": "K"},
        {"itemTrue": world.items["ok"]},
        {"previousGradeAtLeast": "B"},
    ]
    best = {"code": "A", "name": "优秀", "threshold": "90", "share": "0.30", "conditions": conditions}
    table = [{"unitsFrom": 0, "places": 1}, {"unitsFrom": 10, "places": 3}]
    second = {"code": "B", "name": "良好", "placesByCount": table, "scope": "PARENT", "rounding": "CEIL"}
    sent = {
        "schemeVersionId": version_id,
        "version": 2,
        "settings": {"grades": [best, second], "tiePolicy": "INCLUSIVE", "bodyDecides": False},
        "idempotencyKey": key(),
    }
    done = (await ask_as(world.actor).ask(edit, input=sent))["editSchemeVersion"]["schemeVersion"]["settings"]
    assert (done["tiePolicy"], done["bodyDecides"]) == ("INCLUSIVE", False)
    first, other = done["grades"]
    assert {name: first[name] for name in ("threshold", "share", "rounding", "scope", "baseIncludesVetoed")} == {
        "threshold": "90",
        "share": "0.3",
        "rounding": "FLOOR",
        "scope": "CATEGORY",
        "baseIncludesVetoed": True,
    }
    assert [each["kind"] for each in first["conditions"]] == ["NODE_SHARE", "NO_EVENT", "ITEM_TRUE", "PREVIOUS_GRADE"]
    assert first["conditions"][0]["indicator"] == {"code": "ROOT"}
    assert first["conditions"][2]["dataItem"] == {"code": "ok"}
    assert [each["text"] for each in first["conditions"]] == [
        "总分 has at least 0.85 of its marks.",
        "No confirmed event under K.",
        "数据ok is yes.",
        "The grade of the last cycle was at least 良好.",
    ]
    assert (other["placesByCount"], other["rounding"], other["scope"]) == (table, "CEIL", "PARENT")
    faulty = {"code": "C", "name": " ", "threshold": "1e3", "minimumPlaces": -1}
    sent |= {"version": 3, "settings": {"grades": [faulty, best | {"share": "x"}]}, "idempotencyKey": key()}
    refused = (await ask_as(world.actor).ask(edit, input=sent))["editSchemeVersion"]
    assert {"/".join(each["path"][2:]) for each in refused["issues"]} == {
        "grades/0/name",
        "grades/0/threshold",
        "grades/1/share",
    }
