"""A secretary's and a department's work over GraphQL: worklist, saving, submitting, and what others see of it."""

import uuid
from datetime import timedelta
from typing import Any

import orjson
import pytest

from service.access import Actor, Role
from service.ids import encode_id
from service.reports import Content
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle, open_cycle
from tests.schema.conftest import Caller
from tests.service.test_reports import fill, send, submit
from tests.small import today

pytestmark = pytest.mark.anyio

VALUE = """
fragment Value on EntryValue {
  __typename
  ... on NumberValue { number }
  ... on YesNoValue { yes }
  ... on ChoiceValue { option { code name } }
  ... on CountsValue { total mean counts { option { code name dontKnow } count } }
  ... on ScoresValue { total mean scores }
}
"""

TASK = """
fragment WorklistTask on Task {
  id period state dueOn dueAt closesAt daysLate editable
  unit { id code name }
  dataItem {
    id code name definition type unitOfMeasure scale minimum maximum source
    options { code name dontKnow }
  }
  entry {
    id version state display revision note
    value { ...Value }
    previous { cycle { id name } display }
    warnings { key message hint confirmed }
  }
  returned { reason at dueOn indicator { id ordinal name } review { id role unit { code } by { displayName } } }
  lock { code message since contacts { role displayName unit { id code name } } }
  evidenceReason
  indicators { id ordinal name wording points }
}
"""

WORKLIST = (
    """
query SecretaryWorklistQuery($after: String, $filter: TaskFilter, $orderBy: [TaskOrder!]) {
  viewer {
    actor { id displayName }
    tenant { id today }
    reports {
      id version state submittable dueOn daysLate
      cycle { id name state }
      unit { id name code }
      stats { asked submitted overdue returned accepted }
      blockers { code message path hint }
      warnings { key message hint confirmed }
    }
    worklist(first: 30, after: $after, filter: $filter, orderBy: $orderBy) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { cursor node { ...WorklistTask } }
    }
  }
}
"""
    + TASK
    + VALUE
)

ERROR = """... on Error {
      __typename code message path hint
      ... on InputError { issueCount issues { code message path hint } }
      ... on AccessError { requiredRoles contacts { role displayName unit { id code } } }
      ... on StateError { state legalFrom since contacts { role displayName unit { id code } } }
      ... on VersionConflictError { conflicts { path currentVersion current { __typename id } } }
      ... on IdempotencyError { retryable }
    }"""

SAVE = (
    """
mutation SaveEntriesMutation($input: SaveEntriesInput!) {
  saveEntries(input: $input) {
    ... on SaveEntriesSuccess {
      entries {
        id version state display
        value { ...Value }
        warnings { key message hint confirmed }
        task { id state daysLate report { id version submittable stats { asked submitted } } }
      }
    }
    """
    + ERROR
    + """
    ... on VersionConflictError {
      conflicts { current { ... on Entry { id version display at by { displayName } } } }
    }
  }
}
"""
    + VALUE
)

SUBMIT = (
    """
mutation SubmitReportMutation($input: SubmitReportInput!) {
  submitReport(input: $input) {
    ... on SubmitReportSuccess {
      report { id version state lastSubmittedAt daysLate stats { asked submitted submittedLate overdue returned } }
    }
    """
    + ERROR
    + "}}"
)

SUBMIT_ENTRIES = (
    """
mutation SubmitEntriesMutation($input: SubmitEntriesInput!) {
  submitEntries(input: $input) { ... on SubmitEntriesSuccess { entries { id state version daysLate } } """
    + ERROR
    + "}}"
)

TABLE = (
    """query Table($id: ID!, $filter: TaskFilter!, $orderBy: [TaskOrder!]) { cycle(id: $id) {
  tasks(first: 100, filter: $filter, orderBy: $orderBy) { totalCount edges { node { ...WorklistTask } } } } }"""
    + TASK
    + VALUE
)


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


@pytest.fixture
def ask_as(db: Database, settings: Settings) -> Any:
    """Makes a caller of an actor."""
    return lambda actor: Caller(db, settings, actor)


def key() -> str:
    """An idempotency key."""
    return str(uuid.uuid4())


async def test_a_secretary_works_through_the_list(cycle: OpenCycle, ask_as: Any) -> None:
    caller = ask_as(await cycle.person((Role.SECRETARY, "b1")))
    data = await caller.ask(WORKLIST, orderBy=[{"field": "ITEM"}])
    tasks = [edge["node"] for edge in data["viewer"]["worklist"]["edges"]]
    assert [task["dataItem"]["code"] for task in tasks] == ["M", "A", "C", "K", "S"]
    assert data["viewer"]["worklist"]["totalCount"] == 5
    first = tasks[0]
    assert (first["state"], first["editable"], first["lock"], first["entry"]) == ("OPEN", True, None, None)
    assert (first["dueOn"], first["daysLate"], first["unit"]["code"]) == (cycle.due_on.isoformat(), 0, "b1")
    assert [leaf["ordinal"] for leaf in first["indicators"]] == ["1.1", "1.2", "1.7"]
    (report,) = data["viewer"]["reports"]
    assert (report["state"], report["submittable"], report["version"]) == ("UNTOUCHED", False, 1)
    assert report["stats"] == {"asked": 6, "submitted": 0, "overdue": 0, "returned": 0, "accepted": 0}

    contents = [
        {"number": "40"},
        {"number": "12"},
        {"choice": "good"},
        {"counts": [{"option": "yes", "count": 30}, {"option": "no", "count": 2}]},
        {"scores": ["95.5", "88"]},
    ]
    given = [{"taskId": task["id"], "content": content} for task, content in zip(tasks, contents, strict=True)]
    sent = {"entries": given, "idempotencyKey": key()}
    data = await caller.ask(SAVE, input=sent)
    entries = data["saveEntries"]["entries"]
    assert [entry["display"] for entry in entries] == ["40人", "12人", "好", "满意 30, 不满意 2", "mean 91.75 of 2"]
    assert [entry["value"]["__typename"] for entry in entries] == [
        "NumberValue",
        "NumberValue",
        "ChoiceValue",
        "CountsValue",
        "ScoresValue",
    ]
    assert entries[3]["value"]["total"] == 32
    assert entries[4]["value"] == {"__typename": "ScoresValue", "total": 2, "mean": "91.75", "scores": ["95.5", "88"]}
    assert entries[0]["task"]["report"]["submittable"]
    (warning,) = entries[0]["warnings"]
    assert entries[1]["warnings"] == [warning]
    assert "到会人数" in warning["message"]
    assert not warning["confirmed"]
    assert (await caller.ask(SAVE, input=sent))["saveEntries"]["entries"][0]["version"] == 1, "a replay saves nothing"

    data = await caller.ask(WORKLIST)
    (report,) = data["viewer"]["reports"]
    assert (report["state"], report["submittable"], report["blockers"]) == ("DRAFTED", True, [])
    assert [found["key"] for found in report["warnings"]] == [warning["key"]]
    send_it = {"reportId": report["id"], "version": 1, "idempotencyKey": key()}
    refused = (await caller.ask(SUBMIT, input=send_it))["submitReport"]
    assert (refused["__typename"], refused["issues"][0]["path"]) == ("InputError", ["input", "confirmedWarnings"])
    data = await caller.ask(SUBMIT, input={**send_it, "confirmedWarnings": [warning["key"]]})
    report = data["submitReport"]["report"]
    assert (report["state"], report["version"], report["daysLate"]) == ("SUBMITTED", 2, 0)
    assert report["stats"]["submitted"] == 5
    assert (await caller.ask(WORKLIST))["viewer"]["worklist"]["edges"] == []


async def test_refusals_are_typed_with_path_state_and_who_can_help(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    caller = ask_as(secretary)
    task = await cycle.task_id("b1", "M")

    async def save(by: Caller, task_id: str, content: dict[str, Any], version: int | None = None) -> dict[str, Any]:
        entry = {"taskId": task_id, "content": content, "version": version}
        answer = await by.ask(SAVE, input={"entries": [entry], "idempotencyKey": key()})
        found: dict[str, Any] = answer["saveEntries"]
        return found

    wrong = await save(caller, task, {"number": "四十"})
    assert (wrong["__typename"], wrong["code"]) == ("InputError", "INVALID_DECIMAL")
    assert wrong["issues"][0]["path"] == ["input", "entries", "0", "content", "number"]
    empty = await save(caller, await cycle.task_id("b1", "S"), {"scores": []})
    assert empty["issues"][0]["path"] == ["input", "entries", "0", "content", "scores"]
    hidden = await save(caller, await cycle.task_id("b2", "M"), {"number": "1"})
    assert (hidden["__typename"], hidden["path"]) == ("NotFoundError", ["input", "entries", "0", "taskId"])
    denied = await save(ask_as(await cycle.person((Role.REVIEWER, "t1"))), task, {"number": "1"})
    assert denied["requiredRoles"] == ["SECRETARY"]
    assert denied["contacts"][0]["unit"]["code"] == "b1"
    await save(caller, task, {"number": "40"})
    stale = await save(caller, task, {"number": "41"})
    (conflict,) = stale["conflicts"]
    assert conflict["path"] == ["input", "entries", "0", "version"]
    assert (conflict["current"]["display"], conflict["current"]["by"]["displayName"]) == (
        "40人",
        secretary.display_name or "某1",
    )
    await submit(cycle, secretary, "b1")
    late = await save(caller, task, {"number": "41"}, 2)
    assert (late["__typename"], late["state"], late["legalFrom"]) == (
        "StateError",
        "SUBMITTED",
        ["OPEN", "DRAFTED", "RETURNED"],
    )
    assert late["since"] is not None
    assert late["contacts"][0]["unit"]["code"] == "t1"


async def test_a_lock_says_why_and_who_can_help(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    query = """query ($id: ID!) { task(id: $id) {
        state editable daysLate lock { code message since contacts { role unit { code } } } } }"""
    caller = ask_as(secretary)
    lock = (await caller.ask(query, id=await cycle.task_id("b1", "V")))["task"]["lock"]
    assert (lock["code"], lock["contacts"]) == ("FORBIDDEN", [{"role": "ASSESSOR", "unit": {"code": "d1"}}])
    lock = (await caller.ask(query, id=await cycle.task_id("b1", "T")))["task"]["lock"]
    assert lock["contacts"] == [{"role": "ORGANISER", "unit": {"code": "root"}}]
    await cycle.move_due(today() - timedelta(days=3), grace_days=1)
    task = (await caller.ask(query, id=await cycle.task_id("b1", "M")))["task"]
    assert (task["state"], task["editable"], task["daysLate"]) == ("MISSED", False, 3)
    assert (task["lock"]["code"], task["lock"]["contacts"][0]["role"]) == ("DEADLINE_PASSED", "ORGANISER")
    assert task["lock"]["since"].endswith("T16:00:00.000000+00:00")
    assert (await ask_as(await cycle.person((Role.SECRETARY, "b2"))).ask(query, id=await cycle.task_id("b1", "M")))[
        "task"
    ] is None


async def test_drafts_are_for_the_side_that_fills_them(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="45")
    query = """query ($id: ID!, $report: ID!) {
      task(id: $id) { state entry { display revisions { edges { node { display } } } } }
      report(id: $report) { state blockers { message } submittable }
    }"""
    variables = {
        "id": await cycle.task_id("b1", "M"),
        "report": encode_id("Report", (await cycle.report("b1"))["id"]),
    }
    own = await ask_as(secretary).ask(query, **variables)
    assert own["task"]["entry"]["display"] == "40人"
    assert len(own["report"]["blockers"]) == 1
    organiser = await cycle.person((Role.ORGANISER, "root"))
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    for actor in (organiser, reviewer):
        data = await ask_as(actor).ask(query, **variables)
        assert data["task"] == {"state": "DRAFTED", "entry": None}
        assert data["report"] == {"state": "DRAFTED", "blockers": [], "submittable": False}
    await fill(cycle, secretary, "b1", A="40", M="41")
    await submit(cycle, secretary, "b1")
    seen = (await ask_as(reviewer).ask(query, **variables))["task"]["entry"]
    assert seen["display"] == "41人"
    assert [edge["node"]["display"] for edge in seen["revisions"]["edges"]] == ["41人"]
    own = await ask_as(secretary).ask(query, **variables)
    assert [edge["node"]["display"] for edge in own["task"]["entry"]["revisions"]["edges"]] == ["41人", "40人"]


async def make_personal(cycle: OpenCycle, *items: str) -> None:
    """Have the values of these items come from people."""
    await cycle.sql(
        "UPDATE data_items SET personal = true WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) RETURNING id",
        [cycle.items[item] for item in items],
    )
    # The pinned copy is what counts; a version is written once, so the test writes it as the owner would.
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        for item in items:
            row = await tx.fetchrow(
                "DELETE FROM scheme_version_items WHERE tenant_id = $1 AND data_item_id = $2 RETURNING *",
                cycle.tenant.id,
                cycle.items[item],
            )
            assert row is not None
            columns = {**row, "personal": True}
            names = ", ".join(columns)
            places = ", ".join(f"${n + 1}" for n in range(len(columns)))
            await tx.execute(f"INSERT INTO scheme_version_items ({names}) VALUES ({places})", *columns.values())


@pytest.mark.parametrize(
    ("ballots", "least", "to_its_side", "to_others"),
    [
        ({"yes": 2, "no": 1, "dk": 5}, 3, "80.17", "80.17"),
        ({"yes": 2, "no": 1, "dk": 5}, 4, None, None),
        ({"yes": 1, "no": 1, "dk": 7}, 1, "70.25", None),
        ({"yes": 0, "no": 0, "dk": 7}, 1, None, None),
    ],
    ids=["enough", "too few for the rule", "so few that it would tell who said what", "nobody knew"],
)
async def test_ballots_have_the_mean_of_the_rule_that_weighs_them(
    cycle: OpenCycle, ask_as: Any, ballots: dict[str, int], least: int, to_its_side: str | None, to_others: str | None
) -> None:
    values = [{"option": "yes", "marks": "100"}, {"option": "no", "marks": "40.5"}]
    group = {"name": "群众", "weight": "1", "dataItem": str(cycle.items["K"]), "values": values}
    await cycle.sql(
        "UPDATE indicators SET rule = $3::jsonb WHERE tenant_id = $1 AND id = $2 RETURNING id",
        cycle.leaves["ballots"],
        orjson.dumps({"kind": "GRADE_MEAN", "minBallots": least, "groups": [group]}).decode(),
    )
    # A leaf before it weighs the item for units of another category, so that this one has no assessment of it.
    other = {**group, "values": [{**each, "marks": "1"} for each in values]}
    await cycle.sql(
        """WITH other AS (
               INSERT INTO indicators SELECT (jsonb_populate_record(i, $3::jsonb)).* FROM indicators i
               WHERE i.tenant_id = $1 AND i.id = $2 RETURNING id)
           INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
           SELECT $1, id, $4, 0 FROM other RETURNING indicator_id""",
        cycle.leaves["ballots"],
        orjson.dumps(
            {
                "id": str(uuid.uuid4()),
                "code": "P-other",
                "print_order": 1,
                "rule": {"kind": "GRADE_MEAN", "minBallots": 1, "groups": [other]},
            }
        ).decode(),
        cycle.items["K"],
    )
    await make_personal(cycle, "K")
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    counts = Content(counts=list(ballots.items()))
    await fill(cycle, secretary, "b1", K=counts, S=Content(scores=["90"]))
    await submit(cycle, secretary, "b1")
    query = "query ($id: ID!) { task(id: $id) { entry { value { ...Value } } } }" + VALUE
    seen = []
    for who in (secretary, await cycle.person((Role.REVIEWER, "t1"))):
        task = (await ask_as(who).ask(query, id=await cycle.task_id("b1", "K")))["task"]
        seen.append(task["entry"]["value"]["mean"])
    assert seen == [to_its_side, to_others]


async def test_parts_that_come_from_people_are_for_who_entered_them(cycle: OpenCycle, ask_as: Any) -> None:
    await make_personal(cycle, "K", "S")
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    counts = Content(counts=[("yes", 30), ("dk", 2)])
    await fill(cycle, secretary, "b1", K=counts, S=Content(scores=["90", "80"]))
    await submit(cycle, secretary, "b1")
    query = "query ($id: ID!) { task(id: $id) { entry { display value { ...Value } } } }" + VALUE
    reviewer = ask_as(await cycle.person((Role.REVIEWER, "t1")))
    ballots = (await reviewer.ask(query, id=await cycle.task_id("b1", "K")))["task"]["entry"]
    assert ballots == {
        "display": "total 32",
        "value": {"__typename": "CountsValue", "total": 32, "mean": None, "counts": None},
    }
    scores = (await reviewer.ask(query, id=await cycle.task_id("b1", "S")))["task"]["entry"]
    assert (scores["value"]["scores"], scores["value"]["mean"]) == (None, "85")
    own = (await ask_as(secretary).ask(query, id=await cycle.task_id("b1", "K")))["task"]["entry"]
    assert [count["count"] for count in own["value"]["counts"]] == [30, 2]


async def test_a_department_has_one_table_of_an_item_over_all_units(cycle: OpenCycle, ask_as: Any) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    caller = ask_as(department)
    worklist = (await caller.ask(WORKLIST, orderBy=[{"field": "UNIT"}]))["viewer"]["worklist"]
    assert [edge["node"]["unit"]["code"] for edge in worklist["edges"]] == ["b1", "b2", "b3", "b4", "d2"]
    item = encode_id("DataItem", cycle.items["V"])
    data = await caller.ask(
        TABLE,
        id=encode_id("Cycle", cycle.id),
        filter={"dataItemIds": [item], "underId": encode_id("OrgUnit", cycle.units["t1"])},
        orderBy=[{"field": "UNIT", "direction": "DESC"}],
    )
    rows = [edge["node"] for edge in data["cycle"]["tasks"]["edges"]]
    assert [row["unit"]["code"] for row in rows] == ["b3", "b2", "b1"]
    given = [{"taskId": row["id"], "content": {"number": f"9{n}.5"}} for n, row in enumerate(rows)]
    saved = (await caller.ask(SAVE, input={"entries": given, "idempotencyKey": key()}))["saveEntries"]["entries"]
    assert [entry["display"] for entry in saved] == ["90.5%", "91.5%", "92.5%"]
    assert saved[0]["task"]["report"] is None
    sent = [{"id": entry["id"], "version": entry["version"]} for entry in saved]
    done = await caller.ask(SUBMIT_ENTRIES, input={"entries": sent, "idempotencyKey": key()})
    assert {entry["state"] for entry in done["submitEntries"]["entries"]} == {"SUBMITTED"}
    leaves = await caller.ask(
        """{ viewer { leaves { cycle { id name state timeline { dueOn reviewDueOn } }
             indicator { id ordinal name points rule { kind } } responsibleUnit { id code }
             stats { asked submitted overdue ready returned accepted } } } }"""
    )
    found = {leaf["indicator"]["ordinal"]: leaf["stats"] for leaf in leaves["viewer"]["leaves"]}
    assert found["1.3"] == {"asked": 5, "submitted": 3, "overdue": 0, "ready": 0, "returned": 0, "accepted": 3}
    assert found["1.4"]["ready"] == 5
    assert set(found) == {"1.3", "1.4", "1.5"}


@pytest.mark.parametrize(
    ("filter_", "codes"),
    [
        ({"states": ["SUBMITTED"]}, ["b1 M", "b1 T"]),
        ({"states": ["DRAFTED"]}, ["b1 A"]),
        ({"fillers": ["RESPONSIBLE_UNIT"]}, ["b1 V", "b2 V"]),
        ({"search": "党员"}, ["b1 M", "b2 M"]),
        ({"search": "b2", "fillers": ["SYSTEM"]}, ["b2 T"]),
        ({"overdue": True}, []),
        ({"dueBefore": "2026-01-01"}, []),
    ],
)
async def test_filters_narrow(cycle: OpenCycle, ask_as: Any, filter_: dict[str, Any], codes: list[str]) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"), (Role.SECRETARY, "b2"))
    await fill(cycle, secretary, "b1", M="4", A="4")
    await submit(cycle, secretary, "b1", "M")
    if filter_.get("states") == ["SUBMITTED"]:
        filter_ = {**filter_, "unitId": encode_id("OrgUnit", cycle.units["b1"])}
    data = await ask_as(secretary).ask(
        TABLE,
        id=encode_id("Cycle", cycle.id),
        filter=filter_,
        orderBy=[{"field": "UNIT"}, {"field": "ITEM"}],
    )
    nodes = [edge["node"] for edge in data["cycle"]["tasks"]["edges"]]
    assert [f"{node['unit']['code']} {node['dataItem']['code']}" for node in nodes] == codes


async def test_what_is_asked_is_shown_as_the_version_pinned_it(cycle: OpenCycle, ask_as: Any) -> None:
    await cycle.sql(
        "UPDATE data_items SET name = '另一名称', scale = 9 WHERE tenant_id = $1 AND id = $2 RETURNING id",
        cycle.items["M"],
    )
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    data = await ask_as(secretary).ask(WORKLIST, orderBy=[{"field": "ITEM"}])
    assert data["viewer"]["worklist"]["edges"][0]["node"]["dataItem"]["name"] == "党员总数"


async def test_a_town_sees_its_part_and_an_observer_all(cycle: OpenCycle, ask_as: Any) -> None:
    query = "query ($id: ID!) { cycle(id: $id) { tasks { totalCount } } }"
    cycle_id = encode_id("Cycle", cycle.id)

    async def count(actor: Actor) -> int:
        data = await ask_as(actor).ask(query, id=cycle_id)
        found: int = data["cycle"]["tasks"]["totalCount"]
        return found

    assert await count(await cycle.person((Role.OBSERVER, "root"))) == 35
    assert await count(await cycle.person((Role.REVIEWER, "t1"))) == 21
    assert await count(await cycle.person((Role.OBSERVER, "t2"))) == 7
    assert await count(await cycle.person((Role.SECRETARY, "b1", {"items": ["M"]}))) == 1
    assert await count(await cycle.person((Role.ADMINISTRATOR, "root"))) == 0
    # A department sees its own items, and those of leaves that it is responsible for.
    assert await count(await cycle.person((Role.ASSESSOR, "d1"))) == 10
    assert await count(await cycle.person((Role.ASSESSOR, "d2"))) == 0


async def test_the_last_cycles_value_stands_beside(cycle: OpenCycle, ask_as: Any) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    await fill(cycle, department, "b1", V="77")
    await send(cycle, department, "V", "b1")
    # The same rows serve as "last cycle": a cycle may point to itself in a test.
    await cycle.sql("UPDATE cycles SET previous_cycle_id = id WHERE tenant_id = $1 AND id = $2 RETURNING id", cycle.id)
    query = (
        "query ($id: ID!) { task(id: $id) { entry { previous { display cycle { name } value { ...Value } } } } }"
        + VALUE
    )
    data = await ask_as(department).ask(query, id=await cycle.task_id("b1", "V"))
    assert data["task"]["entry"]["previous"] == {
        "display": "77%",
        "cycle": {"name": "2026年度考核"},
        "value": {"__typename": "NumberValue", "number": "77"},
    }


async def test_units_are_found_by_the_state_of_their_report(cycle: OpenCycle, ask_as: Any) -> None:
    first, second, third = [await cycle.person((Role.SECRETARY, unit)) for unit in ("b1", "b2", "b3")]
    await fill(cycle, first, "b1", M="4")
    await fill(cycle, second, "b2", M="4", A="4")
    await submit(cycle, second, "b2", "M")
    counts = Content(counts=[("yes", 1)])
    values = {"M": "4", "A": "4", "C": Content(choice="good"), "K": counts, "S": Content(scores=["90"])}
    await fill(cycle, third, "b3", **values)
    await submit(cycle, third, "b3")
    organiser = ask_as(await cycle.person((Role.ORGANISER, "root")))
    town = ask_as(await cycle.person((Role.REVIEWER, "t2")))
    query = """query ($id: ID!, $states: [ReportState!]) { cycle(id: $id) {
        units(filter: { reportStates: $states }) { edges { node { code report { state } } } } } }"""

    async def found(caller: Caller, *states: str) -> list[str]:
        data = await caller.ask(query, id=encode_id("Cycle", cycle.id), states=list(states))
        nodes = [edge["node"] for edge in data["cycle"]["units"]["edges"]]
        assert {node["report"]["state"] for node in nodes} <= set(states)
        return [node["code"] for node in nodes]

    assert await found(organiser, "DRAFTED") == ["b1"]
    assert await found(organiser, "PARTLY_SUBMITTED") == ["b2"]
    assert await found(organiser, "SUBMITTED") == ["b3"]
    assert await found(organiser, "UNTOUCHED") == ["d2", "b4"]
    assert await found(organiser, "SETTLED", "RETURNED") == []
    assert await found(town, "DRAFTED", "UNTOUCHED") == ["b4"]
