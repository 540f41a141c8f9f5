"""Judging over GraphQL: queues, one leaf over all units, decisions, and who sees whose name."""

from typing import Any

import orjson
import pytest

from service.access import Actor, Role
from service.ids import encode_id
from service.reports import Content
from service.reviews import Accept, Adjust, AdjustedValue, Award, Reject, Return
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle, open_cycle
from tests.schema.conftest import Caller
from tests.schema.test_reports import ERROR, VALUE, key
from tests.service.test_reports import fill, send, submit
from tests.service.test_reviews import judge, reported
from tests.small import today

pytestmark = pytest.mark.anyio

ROW = """
fragment Row on Assessment {
  id version state valueState level levels reviewable notReviewableReason
  fullMarks previewMarks marks marksReason selfScore selfNote
  ownAward awardsAsked awardsGiven daysLate changesSinceAccepted inconsistent
  unit { id code name pathNames category { id name } }
  inputs {
    task { id dataItem { id code name unitOfMeasure } entry { id version display warnings { key message } } }
    reported { id number display at by { displayName } }
    pinned { id number display }
    settled { ...Value }
    settledDisplay
  }
  returned { reason at dueOn }
}
"""

REVIEW_QUEUE = (
    """
query ReviewQueueQuery($filter: AssessmentFilter, $after: String) {
  viewer {
    reviewQueue(first: 50, after: $after, filter: $filter, orderBy: [{ field: READY_SINCE, direction: DESC }]) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { node { ...Row indicator { id ordinal name wording } } }
    }
    awardQueue { totalCount edges { node { unit { code } indicator { ordinal } reviewable } } }
  }
}
"""
    + ROW
    + VALUE
)

LEAF_TABLE = (
    """
query LeafTableQuery(
  $cycleId: ID!, $indicatorId: ID!, $filter: AssessmentFilter!, $orderBy: [AssessmentOrder!], $after: String
) {
  indicator(id: $indicatorId) {
    id ordinal name wording checkMethod basis points evidenceReason
    pointsByCategory { category { id name } points }
    responsibleUnits { id name }
    rule {
      __typename kind
      ... on AwardRule { step selfScore }
    }
    progress(cycleId: $cycleId) { asked submitted ready returned accepted inconsistent }
  }
  cycle(id: $cycleId) {
    id name state
    assessments(first: 100, after: $after, filter: $filter, orderBy: $orderBy) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { node { ...Row } }
    }
  }
}
"""
    + ROW
    + VALUE
)

REPORT_PAGE = """
query ReportPageQuery($id: ID!, $after: String) {
  report(id: $id) {
    id version state daysLate firstSubmittedAt lastSubmittedAt
    submittedBy { displayName }
    cycle { id name state timeline { dueOn dueAt graceDays } }
    unit { id name pathNames category { id name } waitingFor { party level since count unit { id name } } }
    stats { asked submitted submittedLate overdue ready returned accepted rejected notApplicable inconsistent }
    assessments(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges {
        node {
          id state valueState level levels fullMarks previewMarks marks marksReason selfScore
          changesSinceAccepted inconsistent
          indicator { id ordinal name wording checkMethod sourceNote rule { kind } responsibleUnits { id name } }
          inputs { task { id dataItem { id name unitOfMeasure } entry { id display } }
                   reported { id number display } settledDisplay }
          returned { reason at dueOn }
        }
      }
    }
  }
}
"""

REVIEW = (
    """
mutation ReviewAssessmentsMutation($input: ReviewAssessmentsInput!) {
  reviewAssessments(input: $input) {
    ... on ReviewAssessmentsSuccess {
      assessments { id version state level marks marksReason inconsistent returned { reason dueOn }
                    reviews(first: 1) { edges { node { id decision at } } } }
    }
    """
    + ERROR
    + """
    ... on VersionConflictError {
      conflicts { current { ... on Assessment { id version state reviews(first: 1) {
        edges { node { id decision reason by { displayName } } } } } } }
    }
  }
}
"""
)

HISTORY = """query ($id: ID!) { assessment(id: $id) { reviews { edges { node {
  level decision reason dueOn marks role unit { code } by { displayName } revisions { display }
} } } } }"""


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


@pytest.fixture
def ask_as(db: Database, settings: Settings) -> Any:
    """Makes a caller of an actor."""
    return lambda actor: Caller(db, settings, actor)


async def assessment_id(cycle: OpenCycle, unit: str, leaf: str) -> str:
    """The id of an assessment as clients write it."""
    return encode_id("Assessment", (await cycle.assessment(unit, leaf))["id"])


async def test_a_reviewer_works_through_the_queue_and_accepts_in_bulk(cycle: OpenCycle, ask_as: Any) -> None:
    for unit in ("b1", "b2", "b4"):
        await reported(cycle, unit, M="40", A="36")
    caller = ask_as(await cycle.person((Role.REVIEWER, "t1")))
    queue = (await caller.ask(REVIEW_QUEUE))["viewer"]["reviewQueue"]
    assert queue["totalCount"] == 6
    rows = [edge["node"] for edge in queue["edges"]]
    assert {row["unit"]["code"] for row in rows} == {"b1", "b2"}
    assert all(row["reviewable"] and row["notReviewableReason"] is None for row in rows)
    ratio = next(row for row in rows if row["indicator"]["ordinal"] == "1.1")
    assert (ratio["valueState"], ratio["level"], ratio["levels"], ratio["fullMarks"]) == ("MISSING", 1, 1, "10")
    assert [given["task"]["dataItem"]["code"] for given in ratio["inputs"]] == ["A", "M"]
    assert [given["reported"]["display"] for given in ratio["inputs"]] == ["36人", "40人"]
    assert ratio["inputs"][0]["reported"]["by"]["displayName"]
    assert [given["pinned"] for given in ratio["inputs"]] == [None, None]
    assert [given["settled"] for given in ratio["inputs"]] == [None, None]

    chosen = [{"assessmentId": row["id"], "version": row["version"], "decision": {"accept": {}}} for row in rows]
    sent = {"reviews": chosen, "idempotencyKey": key()}
    done = (await caller.ask(REVIEW, input=sent))["reviewAssessments"]["assessments"]
    assert [row["id"] for row in done] == [row["id"] for row in rows]
    assert {row["state"] for row in done} == {"ACCEPTED"}
    assert {row["reviews"]["edges"][0]["node"]["decision"] for row in done} == {"ACCEPT"}
    assert (await caller.ask(REVIEW_QUEUE))["viewer"]["reviewQueue"]["edges"] == []
    again = (await caller.ask(REVIEW, input=sent))["reviewAssessments"]["assessments"]
    assert again == done, "a replay judges nothing"
    stale = (await caller.ask(REVIEW, input={**sent, "idempotencyKey": key()}))["reviewAssessments"]
    assert (stale["__typename"], len(stale["conflicts"])) == ("VersionConflictError", 6)
    assert stale["conflicts"][0]["current"]["reviews"]["edges"][0]["node"]["by"]["displayName"]


async def test_queues_hold_what_the_viewer_may_judge_and_nothing_else(cycle: OpenCycle, ask_as: Any) -> None:
    """A queue starts from grants, `reviewable` from the row: both must say the same."""
    department = await cycle.person((Role.ASSESSOR, "d1"))
    for unit in ("b1", "b2", "b4", "d2"):
        await reported(cycle, unit, M="40", A="36", C=Content(choice="good"))
        await fill(cycle, department, unit, V="90")
    await send(cycle, department, "V", "b1", "b2", "b4", "d2")
    await judge(
        cycle, await cycle.person((Role.REVIEWER, "t1")), ("b1", "choice", Accept()), ("b2", "ratio", Reject("无"))
    )
    people = [
        department,
        await cycle.person((Role.REVIEWER, "root")),
        await cycle.person((Role.REVIEWER, "t1")),
        await cycle.person((Role.REVIEWER, "d1")),
        await cycle.person((Role.REVIEWER, "root"), (Role.SECRETARY, "b1")),
        await cycle.person((Role.ASSESSOR, "root")),
        await cycle.person((Role.ASSESSOR, "d1"), (Role.SECRETARY, "d2")),
        await cycle.person((Role.REVIEWER, "root", {"categories": ["organ"]})),
        await cycle.person((Role.REVIEWER, "root", {"indicators": ["P-ratio"]})),
        await cycle.person((Role.REVIEWER, "root", {"items": ["M"]})),
        await cycle.person((Role.SECRETARY, "b1")),
        await cycle.person((Role.ORGANISER, "root")),
    ]
    sizes = []
    for person in people:
        data = await ask_as(person).ask(
            """query ($id: ID!) {
              viewer {
                reviewQueue(first: 100) { edges { node { id } } }
                awardQueue(first: 100) { edges { node { id } } }
              }
              cycle(id: $id) { assessments(first: 100) { edges { node { id reviewable } } } }
            }""",
            id=encode_id("Cycle", cycle.id),
        )
        queues = [
            edge["node"]["id"] for queue in ("reviewQueue", "awardQueue") for edge in data["viewer"][queue]["edges"]
        ]
        seen = data["cycle"]["assessments"]["edges"]
        assert sorted(queues) == sorted(edge["node"]["id"] for edge in seen if edge["node"]["reviewable"])
        sizes.append(len(queues))
    assert sizes[0] == 6, "five awards, and the one leaf that has reached the department"
    assert sizes[-2:] == [0, 0]
    assert 0 < sizes[4] < sizes[1]


async def test_a_department_sees_one_leaf_over_all_units_and_awards_it(cycle: OpenCycle, ask_as: Any) -> None:
    caller = ask_as(await cycle.person((Role.ASSESSOR, "d1")))
    variables = {
        "cycleId": encode_id("Cycle", cycle.id),
        "indicatorId": encode_id("Indicator", cycle.leaves["award"]),
        "filter": {"indicatorIds": [encode_id("Indicator", cycle.leaves["award"])]},
        "orderBy": [{"field": "UNIT"}],
    }
    data = await caller.ask(LEAF_TABLE, **variables)
    rows = [edge["node"] for edge in data["cycle"]["assessments"]["edges"]]
    assert [row["unit"]["code"] for row in rows] == ["b1", "b2", "b3", "b4", "d2"]
    assert [row["fullMarks"] for row in rows] == ["10", "10", "10", "10", "8"]
    assert data["indicator"]["progress"]["ready"] == 5
    awards = [
        {"assessmentId": row["id"], "version": row["version"], "decision": {"award": {"marks": "7.5", "reason": "略"}}}
        for row in rows
    ]
    done = await caller.ask(REVIEW, input={"reviews": awards, "idempotencyKey": key()})
    assert {row["marks"] for row in done["reviewAssessments"]["assessments"]} == {"7.5"}
    data = await caller.ask(LEAF_TABLE, **{**variables, "orderBy": [{"field": "MARKS", "direction": "DESC"}]})
    first = data["cycle"]["assessments"]["edges"][0]["node"]
    assert (first["marks"], first["ownAward"], first["awardsAsked"], first["awardsGiven"]) == ("7.5", "7.5", 1, 1)
    assert (first["state"], first["reviewable"], first["notReviewableReason"]) == (
        "ACCEPTED",
        False,
        "It has been judged.",
    )


async def test_decisions_of_all_kinds_and_their_refusals(cycle: OpenCycle, ask_as: Any) -> None:
    await reported(cycle, M="40", A="36", C=Content(choice="good"))
    caller = ask_as(await cycle.person((Role.REVIEWER, "t1")))

    async def decide(leaf: str, **decision: Any) -> dict[str, Any]:
        row = await cycle.assessment("b1", leaf)
        one = {"assessmentId": encode_id("Assessment", row["id"]), "version": row["version"], "decision": decision}
        answer = await caller.ask(REVIEW, input={"reviews": [one], "idempotencyKey": key()})
        found: dict[str, Any] = answer["reviewAssessments"]
        return found

    wrong = await decide("members", **{"return": {"reason": "", "until": {"date": "soon"}}})
    assert [issue["path"][-2:] for issue in wrong["issues"]] == [["return", "reason"], ["until", "date"]]
    early = await decide("choice", accept={"note": "好"})
    assert (early["__typename"], early["state"], early["legalFrom"]) == ("StateError", "WAITING", ["READY"])
    denied = await decide("award", award={"marks": "10"})
    assert (denied["__typename"], denied["requiredRoles"], denied["contacts"][0]["unit"]["code"]) == (
        "AccessError",
        ["ASSESSOR"],
        "d1",
    )
    task = await cycle.task_id("b1", "A")
    adjusted = await decide(
        "ratio", adjust={"values": [{"taskId": task, "content": {"number": "30"}}], "reason": "核实"}
    )
    assert adjusted["assessments"][0]["state"] == "ADJUSTED"
    returned = await decide(
        "members",
        **{
            "return": {
                "reason": "更正",
                "until": {"workingDays": 3},
                "dataItemIds": [encode_id("DataItem", cycle.items["M"])],
            }
        },
    )
    (found,) = returned["assessments"]
    assert (found["state"], found["returned"]["reason"]) == ("RETURNED", "更正")
    assert found["returned"]["dueOn"] == cycle.due_on.isoformat()
    assert (await decide("target", notApplicable={"reason": "未下达"}))["assessments"][0]["state"] == "NOT_APPLICABLE"
    assert (await decide("target", reject={"reason": "无"}))["__typename"] == "StateError"

    row = (
        await caller.ask(
            "query ($id: ID!) { assessment(id: $id) { ...Row } }" + ROW + VALUE,
            id=await assessment_id(cycle, "b1", "ratio"),
        )
    )["assessment"]
    first = row["inputs"][0]
    assert (first["settledDisplay"], first["settled"]["number"], first["reported"]["display"]) == ("30人", "30", "36人")
    assert (first["pinned"]["display"], row["valueState"]) == ("36人", "GIVEN")
    assert row["fullMarks"] == "10"


async def test_a_unit_sees_its_report_with_all_leaves(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("b1", "members", Accept()), ("b1", "ratio", Return("核对", date=today().isoformat())))
    variables = {"id": encode_id("Report", (await cycle.report("b1"))["id"])}
    report = (await ask_as(secretary).ask(REPORT_PAGE, **variables))["report"]
    assert (report["state"], report["unit"]["category"]["name"]) == ("RETURNED", "社区")
    nodes = [edge["node"] for edge in report["assessments"]["edges"]]
    assert [node["indicator"]["ordinal"] for node in nodes] == [f"1.{n}" for n in range(1, 8)]
    assert nodes[0]["returned"]["reason"] == "核对"
    assert report["stats"]["returned"] == 1
    assert report["unit"]["waitingFor"]["party"] == "UNIT"
    await fill(cycle, secretary, "b1", M="41")
    await submit(cycle, secretary, "b1")
    nodes = (await ask_as(reviewer).ask(REPORT_PAGE, **variables))["report"]["assessments"]["edges"]
    members = nodes[1]["node"]
    assert (members["inconsistent"], members["changesSinceAccepted"], members["inputs"][0]["settledDisplay"]) == (
        True,
        1,
        "40人",
    )
    assert members["inputs"][0]["reported"]["display"] == "41人"


async def test_the_assessed_unit_and_observers_see_role_and_unit_but_no_name(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await reported(cycle, M="40")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    assessor = await cycle.person((Role.ASSESSOR, "d1"))
    await judge(cycle, reviewer, ("b1", "members", Return("核对", working_days=2)))
    await judge(cycle, assessor, ("b1", "award", Award("9", "略")))

    async def shown(actor: Actor, leaf: str) -> dict[str, Any]:
        data = await ask_as(actor).ask(HISTORY, id=await assessment_id(cycle, "b1", leaf))
        found: dict[str, Any] = data["assessment"]["reviews"]["edges"][0]["node"]
        return found

    for hidden in (secretary, await cycle.person((Role.OBSERVER, "root")), await cycle.person((Role.OBSERVER, "t1"))):
        node = await shown(hidden, "members")
        assert (node["by"], node["role"], node["unit"]["code"], node["reason"]) == (None, "REVIEWER", "t1", "核对")
        assert (await shown(hidden, "award"))["by"] is None
    colleague = await cycle.person((Role.REVIEWER, "root"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    for other in (reviewer, colleague, organiser):
        node = await shown(other, "members")
        assert node["by"]["displayName"] == reviewer.display_name
        assert [revision["display"] for revision in node["revisions"]] == ["40人"]
    assert (await shown(assessor, "award"))["by"]["displayName"] == assessor.display_name
    data = await ask_as(secretary).ask(
        """query ($id: ID!) { task(id: $id) {
             returned { reason dueOn review { role by { displayName } } indicator { ordinal } } } }""",
        id=await cycle.task_id("b1", "M"),
    )
    assert data["task"]["returned"]["review"] == {"role": "REVIEWER", "by": None}
    assert data["task"]["returned"]["indicator"]["ordinal"] == "1.2"


async def test_self_scores_over_graphql(cycle: OpenCycle, ask_as: Any) -> None:
    caller = ask_as(await cycle.person((Role.SECRETARY, "b1")))
    one = {"assessmentId": await assessment_id(cycle, "b1", "award"), "version": 1, "score": "9.5", "note": "齐全"}
    mutation = (
        "mutation ($input: SaveSelfScoresInput!) { saveSelfScores(input: $input) {"
        " ... on SaveSelfScoresSuccess { assessments { selfScore selfNote marks version } } " + ERROR + "}}"
    )
    data = await caller.ask(mutation, input={"scores": [one], "idempotencyKey": key()})
    assert data["saveSelfScores"]["assessments"] == [
        {"selfScore": "9.5", "selfNote": "齐全", "marks": None, "version": 2}
    ]
    refused = await caller.ask(
        mutation, input={"scores": [{**one, "version": 2, "score": "12"}], "idempotencyKey": key()}
    )
    assert refused["saveSelfScores"]["issues"][0]["path"] == ["input", "scores", "0", "score"]


@pytest.mark.parametrize(
    ("filter_", "count"),
    [
        ({}, 35),
        ({"states": ["READY"]}, 7),
        ({"inconsistent": True}, 0),
        ({"late": False}, 35),
        ({"hasWarnings": True}, 1),
        ({"level": 2}, 0),
        ({"search": "b2"}, 7),
        ({"search": "指标award"}, 5),
    ],
)
async def test_filters_narrow(cycle: OpenCycle, ask_as: Any, filter_: dict[str, Any], count: int) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="1")
    await submit(cycle, secretary, "b1", "M")
    observer = await cycle.person((Role.OBSERVER, "root"))
    node = encode_id(
        "Indicator", (await cycle.sql("SELECT id FROM indicators WHERE tenant_id = $1 AND code = 'P'"))[0]["id"]
    )
    data = await ask_as(observer).ask(
        """query ($id: ID!, $filter: AssessmentFilter) {
             cycle(id: $id) { assessments(filter: $filter) { totalCount } } }""",
        id=encode_id("Cycle", cycle.id),
        filter={**filter_, "indicatorIds": [node]},
    )
    assert data["cycle"]["assessments"]["totalCount"] == count


async def test_between_two_levels_the_adjusted_value_is_shown(cycle: OpenCycle, ask_as: Any) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    await reported(cycle, C=Content(choice="good"))
    await fill(cycle, department, "b1", V="88.5")
    await send(cycle, department, "V", "b1")
    change = Adjust([AdjustedValue(await cycle.task_id("b1", "C"), Content(choice="fair"))], "现场查看")
    await judge(cycle, await cycle.person((Role.REVIEWER, "t1")), ("b1", "choice", change))
    row = (
        await ask_as(department).ask(
            "query ($id: ID!) { assessment(id: $id) { ...Row } }" + ROW + VALUE,
            id=await assessment_id(cycle, "b1", "choice"),
        )
    )["assessment"]
    assert (row["state"], row["level"], row["reviewable"]) == ("READY", 2, True)
    assert row["inputs"][0]["settled"]["option"]["code"] == "fair"
    assert row["inputs"][0]["pinned"]["display"] == "好"


async def test_marks_are_previewed_on_what_the_viewer_may_see(cycle: OpenCycle, ask_as: Any) -> None:
    def combination(item: str) -> dict[str, Any]:
        return {"terms": [{"coefficient": "1", "dataItem": str(cycle.items[item])}], "constant": "0"}

    rule = {
        "kind": "LINEAR",
        "quantity": {
            "numerator": combination("A"),
            "denominator": combination("M"),
            "denominatorZero": "NOT_APPLICABLE",
        },
        "zeroAt": "0",
        "fullAt": "1",
        "clamp": True,
    }
    await cycle.sql(
        "UPDATE indicators SET rule = $3::jsonb WHERE tenant_id = $1 AND id = $2 RETURNING id",
        cycle.leaves["ratio"],
        orjson.dumps(rule).decode(),
    )
    query = "query ($id: ID!) { assessment(id: $id) { previewMarks } }"
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await fill(cycle, secretary, "b1", M="40", A="30")
    ratio = await assessment_id(cycle, "b1", "ratio")

    async def marks(actor: Actor) -> str | None:
        found: str | None = (await ask_as(actor).ask(query, id=ratio))["assessment"]["previewMarks"]
        return found

    assert (await marks(secretary), await marks(reviewer)) == ("7.5", None)
    await submit(cycle, secretary, "b1")
    assert await marks(reviewer) == "7.5"
    change = Adjust([AdjustedValue(await cycle.task_id("b1", "A"), Content(number="20"))], "核实")
    await judge(cycle, reviewer, ("b1", "ratio", change))
    assert (await marks(secretary), await marks(reviewer)) == ("5", "5")
