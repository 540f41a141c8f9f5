"""Events over GraphQL: proposing, the queue of who decides, names and what is seen of whom."""

from typing import Any

import pytest

from service.access import Actor, Role
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle
from tests.schema.conftest import Caller
from tests.schema.test_reports import ERROR, key
from tests.service.eventing import confirmed, event_cycle, propose, spec

pytestmark = pytest.mark.anyio

PROPOSE = f"""mutation ProposeEventsMutation($input: ProposeEventsInput!) {{
  proposeEvents(input: $input) {{
    ... on ProposeEventsSuccess {{ events {{ id code version state amount counted notCountedReason }} }}
    {ERROR}
  }}
}}"""

DECIDE = f"""mutation ($input: DecideEventsInput!) {{ decideEvents(input: $input) {{
  ... on DecideEventsSuccess {{ events {{ id version state counted notCountedReason decidedBy {{ displayName }} }} }}
  {ERROR} }} }}"""

EVENT = """query ($id: ID!) { event(id: $id) {
  code kind state matter title effect amount counted notCountedReason happenedOn documentTitle documentNumber
  level { code name points maxPoints cap } ground { code name basis }
  unit { code } indicator { code rule { kind fullMarks text } } cycle { code }
  proposedBy { displayName } decidedBy { displayName } decidable version } }"""

QUEUE = "{ viewer { eventsToConfirm { totalCount edges { node { code decidable unit { code } } } } } }"

LISTS = """query ($cycle: ID!, $filter: EventFilter, $orderBy: [EventOrder!]) { cycle(id: $cycle) {
  events(filter: $filter, orderBy: $orderBy) { totalCount edges { node { code } } } } }"""


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle whose scheme has pots and vetoes."""
    return await event_cycle(db, tenant)


@pytest.fixture
def ask_as(db: Database, settings: Settings) -> Any:
    """Makes a caller of an actor."""
    return lambda actor: Caller(db, settings, actor)


def given(cycle: OpenCycle, unit: str, leaf: str, **more: Any) -> dict[str, Any]:
    """An event as a client sends it."""
    return {
        "cycleUnitId": encode_id("CycleUnit", cycle.members[unit]),
        "indicatorId": encode_id("Indicator", cycle.leaves[leaf]),
        "matter": "m1",
        "title": "获市级表彰",
        "happenedOn": "2026-03-01",
        "documentTitle": "表彰决定",
        **more,
    }


async def test_from_a_proposal_to_what_counts(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "a1"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    sent = {"input": {"events": [given(cycle, "a1", "J", levelCode="city", amount="1.5")], "idempotencyKey": key()}}
    first = await ask_as(secretary).ask(PROPOSE, **sent)
    (made,) = first["proposeEvents"]["events"]
    assert {name: made[name] for name in ("code", "version", "state", "amount", "counted", "notCountedReason")} == {
        "code": "E0001",
        "version": 1,
        "state": "PROPOSED",
        "amount": "1.5",
        "counted": "0",
        "notCountedReason": "proposed",
    }
    assert await ask_as(secretary).ask(PROPOSE, **sent) == first, "a replay makes none"
    assert (await ask_as(secretary).ask(QUEUE))["viewer"]["eventsToConfirm"] == {"totalCount": 0, "edges": []}
    queue = (await ask_as(organiser).ask(QUEUE))["viewer"]["eventsToConfirm"]
    assert queue["edges"] == [{"node": {"code": "E0001", "decidable": True, "unit": {"code": "a1"}}}]
    decisions = [{"eventId": made["id"], "version": 1, "decision": "CONFIRM"}]
    done = await ask_as(organiser).ask(DECIDE, input={"decisions": decisions, "idempotencyKey": key()})
    (decided,) = done["decideEvents"]["events"]
    assert (decided["state"], decided["counted"], decided["notCountedReason"]) == ("CONFIRMED", "1.5", None)
    assert decided["decidedBy"] == {"displayName": organiser.display_name}
    assert (await ask_as(organiser).ask(QUEUE))["viewer"]["eventsToConfirm"]["totalCount"] == 0
    seen = (await ask_as(secretary).ask(EVENT, id=made["id"]))["event"]
    assert seen["level"] == {"code": "city", "name": "city级", "points": "1", "maxPoints": "2", "cap": None}
    assert (seen["kind"], seen["ground"], seen["effect"], seen["decidable"]) == ("BONUS", None, None, False)
    assert seen["indicator"]["rule"]["kind"] == "BONUS"
    assert seen["proposedBy"] == {"displayName": secretary.display_name}, "what one did oneself"
    assert seen["decidedBy"] is None, "the assessed unit does not see who"


async def test_a_veto_tells_its_ground_and_effect(cycle: OpenCycle, ask_as: Any) -> None:
    (veto,) = await confirmed(cycle, spec(cycle, "a1", "U"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    seen = (await ask_as(organiser).ask(EVENT, id=encode_id("Event", veto)))["event"]
    assert (seen["kind"], seen["effect"], seen["amount"], seen["level"]) == ("VETO", "UNRANKED", "0", None)
    assert seen["ground"] == {"code": "g", "name": "重大事故", "basis": "区委文件"}
    assert seen["proposedBy"] is not None
    assert seen["decidedBy"] is not None


async def test_refusals_are_typed(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "a1"))
    sent = {"events": [given(cycle, "a1", "U", groundCode="g")], "idempotencyKey": key()}
    refused = (await ask_as(secretary).ask(PROPOSE, input=sent))["proposeEvents"]
    assert (refused["__typename"], refused["code"], refused["path"]) == (
        "AccessError",
        "FORBIDDEN",
        ["input", "events", "0", "indicatorId"],
    )
    assert refused["requiredRoles"] == ["ORGANISER", "ASSESSOR"]
    sent = {"events": [given(cycle, "a1", "J")], "idempotencyKey": key()}
    refused = (await ask_as(secretary).ask(PROPOSE, input=sent))["proposeEvents"]
    assert (refused["__typename"], refused["path"]) == ("InputError", ["input", "events", "0", "levelCode"])


async def test_events_are_seen_by_scope(cycle: OpenCycle, ask_as: Any) -> None:
    await confirmed(cycle, *(spec(cycle, unit, leaf) for unit in ("a1", "b1") for leaf in ("J", "K")))

    async def seen(*grants: Any) -> list[str]:
        actor: Actor = await cycle.person(*grants)
        found = await ask_as(actor).ask(LISTS, cycle=encode_id("Cycle", cycle.id), orderBy=[{"field": "PROPOSED_AT"}])
        return sorted(edge["node"]["code"] for edge in found["cycle"]["events"]["edges"])

    everything = ["E0001", "E0002", "E0003", "E0004"]
    assert await seen((Role.ORGANISER, "root")) == everything
    assert await seen((Role.OBSERVER, "root")) == everything
    assert await seen((Role.SECRETARY, "a1")) == everything[:2]
    assert await seen((Role.REVIEWER, "t2")) == everything[2:]
    assert await seen((Role.ASSESSOR, "zzb")) == everything
    assert await seen((Role.ASSESSOR, "zzb", {"indicators": ["K"]})) == ["E0002", "E0004"]
    assert await seen((Role.ASSESSOR, "zfw")) == []


@pytest.mark.parametrize(
    ("filter_", "codes"),
    [
        ({"kinds": ["BONUS"]}, ["E0001", "E0003"]),
        ({"kinds": ["DEDUCTION"], "states": ["CONFIRMED"]}, ["E0002"]),
        ({"states": ["PROPOSED"]}, ["E0003"]),
        ({"matter": "m2"}, ["E0002"]),
        ({"underId": "t2"}, ["E0003"]),
        ({"unitId": "a1"}, ["E0001", "E0002"]),
        ({"indicatorIds": ["K"]}, ["E0002"]),
    ],
)
async def test_filters_narrow(cycle: OpenCycle, ask_as: Any, filter_: dict[str, Any], codes: list[str]) -> None:
    await confirmed(cycle, spec(cycle, "a1", "J"), spec(cycle, "a1", "K", matter="m2", happened_on="2026-02-01"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    await propose(cycle, organiser, spec(cycle, "b1", "J", happened_on="2026-01-05"))
    wanted: dict[str, Any] = dict(filter_)
    for name in ("underId", "unitId"):
        if name in wanted:
            wanted[name] = encode_id("OrgUnit", cycle.units[wanted[name]])
    if "indicatorIds" in wanted:
        wanted["indicatorIds"] = [encode_id("Indicator", cycle.leaves[code]) for code in wanted["indicatorIds"]]
    found = await ask_as(organiser).ask(LISTS, cycle=encode_id("Cycle", cycle.id), filter=wanted)
    events = found["cycle"]["events"]
    assert [edge["node"]["code"] for edge in events["edges"]] == codes, "newest first"
    assert events["totalCount"] == len(codes)


async def test_reports_and_withdrawals(cycle: OpenCycle, ask_as: Any) -> None:
    secretary = await cycle.person((Role.SECRETARY, "a1"))
    (made,) = await propose(cycle, secretary, spec(cycle, "a1", "J"))
    report = encode_id("Report", (await cycle.report("a1"))["id"])
    asked = "query ($id: ID!) { report(id: $id) { events { edges { node { code state } } } } }"
    found = (await ask_as(secretary).ask(asked, id=report))["report"]["events"]["edges"]
    assert [edge["node"] for edge in found] == [{"code": "E0001", "state": "PROPOSED"}]
    withdraw = f"""mutation ($input: WithdrawEventInput!) {{ withdrawEvent(input: $input) {{
        ... on WithdrawEventSuccess {{ event {{ state version decidedBy {{ displayName }} }} }} {ERROR} }} }}"""
    sent = {"eventId": encode_id("Event", made), "version": 2, "idempotencyKey": key()}
    assert (await ask_as(secretary).ask(withdraw, input=sent))["withdrawEvent"]["__typename"] == "VersionConflictError"
    done = await ask_as(secretary).ask(withdraw, input={**sent, "version": 1, "idempotencyKey": key()})
    event = done["withdrawEvent"]["event"]
    assert (event["state"], event["version"], event["decidedBy"]) == ("WITHDRAWN", 2, None)
