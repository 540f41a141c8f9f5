"""Events: who proposes and who decides, what they need, and what of them counts."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from service import schemes
from service.access import Actor, HeldGrant, Role
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, NotFound, VersionConflict
from service.events import EventDecision, decide_events, propose_events, withdraw_event
from service.ids import encode_id
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.factories import OpenCycle
from tests.service.drafting import make_world, row
from tests.service.eventing import confirmed, decide, event, event_cycle, propose, spec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle whose scheme has pots and vetoes."""
    return await event_cycle(db, tenant)


def codes(refused: Invalid) -> dict[str, str]:
    """Codes of the issues by their paths."""
    return {"/".join(issue.path[2:]): issue.code.value for issue in refused.issues}


async def told(cycle: OpenCycle, *keys: UUID) -> list[tuple[str, Any, str | None]]:
    """State, what counts, and why it is less, of each event."""
    found = []
    for key in keys:
        each = await event(cycle, key)
        reason = None if each["not_counted"] is None else orjson.loads(each["not_counted"])["zh"]
        found.append((each["state"], each["counted"], reason))
    return found


# --- who


async def test_a_unit_proposes_its_own_bonus_and_nothing_else(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "a1"))
    (key,) = await propose(cycle, secretary, spec(cycle, "a1", "J"))
    found = await event(cycle, key)
    assert (found["state"], found["kind"], found["amount"], found["counted"]) == ("PROPOSED", "BONUS", 1, 0)
    assert (found["number"], found["version"], found["decided_at"]) == (1, 1, None)
    assert (found["proposed_by_id"], found["proposed_person_id"]) == (secretary.id, secretary.id)
    for unit, leaf in (("a1", "K"), ("a1", "D"), ("a1", "U"), ("a2", "J")):
        with pytest.raises(AccessDenied) as refused:
            await propose(cycle, secretary, spec(cycle, unit, leaf))
        assert refused.value.path == ("input", "events", "0", "indicatorId")
        assert "ORGANISER" in refused.value.required_roles
        assert refused.value.contacts[0].role == "ORGANISER"


async def test_a_responsible_unit_proposes_any_event_of_its_leaves(cycle: OpenCycle) -> None:
    responsible = await cycle.person((Role.ASSESSOR, "zzb"))
    kinds = [
        (await event(cycle, key))["kind"]
        for key in await propose(cycle, responsible, *(spec(cycle, "a1", leaf) for leaf in ("J", "K", "D", "W", "N")))
    ]
    assert kinds == ["BONUS", "DEDUCTION", "BREACH", "BREACH", "VETO"]
    other = await cycle.person((Role.ASSESSOR, "zfw"))
    narrowed = await cycle.person((Role.ASSESSOR, "zzb", {"indicators": ["K"]}))
    for actor in (other, narrowed):
        with pytest.raises(AccessDenied):
            await propose(cycle, actor, spec(cycle, "a2", "J"))
    await propose(cycle, narrowed, spec(cycle, "a2", "K"))
    local = await cycle.person((Role.ASSESSOR, "zzb"), (Role.SECRETARY, "a3"))
    with pytest.raises(AccessDenied, match="nothing about itself"):
        await propose(cycle, local, spec(cycle, "a3", "K"))
    await propose(cycle, local, spec(cycle, "a3", "J"))


async def test_the_organiser_proposes_any_event_in_its_subtree(cycle: OpenCycle) -> None:
    town = await cycle.person((Role.ORGANISER, "t1"))
    await propose(cycle, town, spec(cycle, "a1", "U"))
    with pytest.raises(AccessDenied):
        await propose(cycle, town, spec(cycle, "b1", "U"))
    for actor in (await cycle.person((Role.OBSERVER, "root")), await cycle.person((Role.REVIEWER, "t1"))):
        with pytest.raises(AccessDenied):
            await propose(cycle, actor, spec(cycle, "a1", "J"))


async def test_another_person_confirms(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    (key,) = await propose(cycle, first, spec(cycle, "a1", "J"))
    with pytest.raises(AccessDenied, match="Another person"):
        await decide(cycle, first, "CONFIRM", key)
    await decide(cycle, second, "CONFIRM", key)
    found = await event(cycle, key)
    assert (found["state"], found["decided_by_id"], found["counted"], found["version"]) == (
        "CONFIRMED",
        second.id,
        1,
        2,
    )
    with pytest.raises(AccessDenied):
        await decide(cycle, first, "REVOKE", key, reason="反悔")


async def test_a_token_is_the_person_that_it_acts_for(cycle: OpenCycle) -> None:
    person = await cycle.person((Role.ORGANISER, "root"))
    (key,) = await propose(cycle, person, spec(cycle, "a1", "J"))
    token = await token_of(cycle, person)
    with pytest.raises(AccessDenied, match="Another person"):
        await decide(cycle, token, "CONFIRM", key)
    (other,) = await propose(cycle, token, spec(cycle, "a1", "K"))
    with pytest.raises(AccessDenied, match="Another person"):
        await decide(cycle, person, "REJECT", other, reason="不实")
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await withdraw_event(tx, person, event_id=encode_id("Event", other), version=1)


async def token_of(cycle: OpenCycle, person: Actor) -> Actor:
    """A service token with the organiser's grant that acts for an account."""
    key = uuid7()
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await tx.execute(
            "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'SERVICE_TOKEN', '令牌')",
            cycle.tenant.id,
            key,
        )
        await tx.execute(
            """INSERT INTO service_tokens (tenant_id, id, prefix, secret_hash, member_id, expires_at)
               VALUES ($1, $2, 'kp', $3, $4, now() + interval '1 day')""",
            cycle.tenant.id,
            key,
            key.bytes,
            person.id,
        )
        grant = HeldGrant(uuid7(), Role.ORGANISER, cycle.units["root"], True, (), (), ())
        await tx.execute(
            "INSERT INTO grants (tenant_id, id, holder_id, role, unit_id) VALUES ($1, $2, $3, 'ORGANISER', $4)",
            cycle.tenant.id,
            grant.id,
            key,
            grant.unit_id,
        )
    return Actor(
        cycle.tenant.id, key, person.person_id, "SERVICE_TOKEN", "令牌", "EN", "Asia/Shanghai", (grant,), None, None
    )


async def test_who_decides_is_the_organiser_or_a_responsible_unit_and_never_the_own(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    keys = await propose(cycle, first, *(spec(cycle, "a1", "J", matter=f"m{n}") for n in range(3)))
    for grants in (
        [(Role.SECRETARY, "a1")],
        [(Role.OBSERVER, "root")],
        [(Role.REVIEWER, "t1")],
        [(Role.ORGANISER, "root"), (Role.SECRETARY, "a1")],
        [(Role.ASSESSOR, "zzb"), (Role.REVIEWER, "a1")],
    ):
        with pytest.raises(AccessDenied):
            await decide(cycle, await cycle.person(*grants), "CONFIRM", keys[0])
    with pytest.raises(NotFound):
        await decide(cycle, await cycle.person((Role.ASSESSOR, "zfw")), "CONFIRM", keys[0])
    await decide(cycle, await cycle.person((Role.ASSESSOR, "zzb")), "CONFIRM", keys[0])
    await decide(cycle, await cycle.person((Role.ORGANISER, "t1")), "CONFIRM", keys[1])


# --- steps


async def test_steps_and_reasons(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    keys = await propose(cycle, first, *(spec(cycle, "a1", "J", matter=f"m{n}") for n in range(3)))
    for decision in ("REJECT", "REVOKE"):
        with pytest.raises(Invalid) as refused:
            await decide(cycle, second, decision, keys[0], reason="  ")
        assert codes(refused.value) == {"0/reason": "INVALID_TEXT"}
    with pytest.raises(IllegalState) as illegal:
        await decide(cycle, second, "REVOKE", keys[0], reason="未认定")
    assert (illegal.value.state, illegal.value.legal_from) == ("PROPOSED", ["CONFIRMED"])
    await decide(cycle, second, "CONFIRM", keys[0])
    await decide(cycle, second, "REJECT", keys[1], reason="不符合条件")
    for decision in ("CONFIRM", "REJECT"):
        for key in keys[:2]:
            with pytest.raises(IllegalState):
                await decide(cycle, second, decision, key, reason="再来")
    await decide(cycle, second, "REVOKE", keys[0], reason="查证不实")
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(AccessDenied):
            await withdraw_event(tx, second, event_id=encode_id("Event", keys[2]), version=1)
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        assert await withdraw_event(tx, first, event_id=encode_id("Event", keys[2]), version=1) == keys[2]
    assert [state for state, _, _ in await told(cycle, *keys)] == ["REVOKED", "REJECTED", "WITHDRAWN"]
    assert (await event(cycle, keys[2]))["decided_by_id"] is None
    audited = await cycle.sql(
        "SELECT action, reason, changes FROM audit_events WHERE tenant_id = $1 AND subject_id = $2 ORDER BY sequence",
        keys[0],
    )
    assert [(each["action"], each["reason"]) for each in audited] == [
        ("decideEvents", None),
        ("decideEvents", "查证不实"),
    ]
    assert orjson.loads(audited[1]["changes"])[0]["after"] == "REVOKED"


async def test_nothing_moves_once_the_notice_is_out(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    (key,) = await propose(cycle, first, spec(cycle, "a1", "J"))
    await cycle.set_state("NOTICED")
    with pytest.raises(IllegalState) as refused:
        await propose(cycle, first, spec(cycle, "a2", "J"))
    assert (refused.value.state, refused.value.legal_from) == ("NOTICED", ["OPEN", "REVIEWING", "RANKED"])
    with pytest.raises(IllegalState):
        await decide(cycle, second, "CONFIRM", key)


async def test_a_stale_decision_is_a_conflict_and_changes_nothing(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    keys = await propose(cycle, first, *(spec(cycle, "a1", "J", matter=f"m{n}") for n in range(2)))
    await decide(cycle, second, "REJECT", keys[1], reason="不实")
    decisions = [EventDecision(encode_id("Event", key), 1, "CONFIRM") for key in keys]
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(VersionConflict) as refused:
            await decide_events(tx, second, decisions=decisions)
    (conflict,) = refused.value.conflicts
    assert (conflict.path, conflict.current_version) == (("input", "decisions", "1", "version"), 2)
    assert (await event(cycle, keys[0]))["state"] == "PROPOSED"


async def test_of_two_who_decide_at_once_one_is_told(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    others = [await cycle.person((Role.ORGANISER, "root")) for _ in range(2)]
    (key,) = await propose(cycle, first, spec(cycle, "a1", "J"))
    found = await asyncio.gather(*(decide(cycle, other, "CONFIRM", key) for other in others), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) in (["VersionConflict", "list"], ["IllegalState", "list"])
    assert (await event(cycle, key))["version"] == 2


async def test_what_counts_is_right_when_a_units_events_are_decided_at_once(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    second = await cycle.person((Role.ORGANISER, "root"))
    keys = await propose(
        cycle, first, *(spec(cycle, "a1", "J", matter=f"m{n}", level_code="national") for n in range(4))
    )
    await asyncio.gather(*(decide(cycle, second, "CONFIRM", key) for key in keys))
    counted: list[Any] = [each[1] for each in await told(cycle, *keys)]
    assert (sum(counted), counted) == (8, [5, 3, 0, 0])


# --- what is asked


async def test_every_fault_is_named_at_once(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    with pytest.raises(Invalid) as refused:
        await propose(
            cycle,
            first,
            spec(cycle, "a1", "J", matter=" ", title="", happened_on="2026-02-30", document_title="\n"),
            spec(cycle, "a1", "J", cycle_unit_id="x", document_number=" "),
        )
    assert codes(refused.value) == {
        "0/matter": "INVALID_TEXT",
        "0/title": "INVALID_TEXT",
        "0/happenedOn": "INVALID_DATETIME",
        "0/documentTitle": "INVALID_TEXT",
        "1/cycleUnitId": "INVALID_ID",
        "1/documentNumber": "INVALID_TEXT",
    }
    with pytest.raises(Invalid) as refused:
        await propose(
            cycle,
            first,
            spec(cycle, "a1", "J", level_code=None),
            spec(cycle, "a1", "J", level_code="world", matter="m2"),
            spec(cycle, "a1", "J", level_code="national", amount="4", matter="m3"),
            spec(cycle, "a1", "J", level_code="city", amount="2.5", matter="m4"),
            spec(cycle, "a1", "J", amount="1e1", matter="m5"),
            spec(cycle, "a1", "J", ground_code="g", matter="m6"),
            spec(cycle, "a1", "U", ground_code="h"),
            spec(cycle, "a1", "U", level_code="city", ground_code=None, amount="3"),
            spec(cycle, "a1", "D", amount="3"),
            spec(cycle, "a1", "K", happened_on="2025-12-31"),
            spec(cycle, "a1", "K", happened_on="2026-05-01", matter="same"),
            spec(cycle, "a1", "K", happened_on="2026-05-01", matter="same"),
        )
    assert codes(refused.value) == {
        "0/levelCode": "INVALID",
        "1/levelCode": "INVALID",
        "2/amount": "INVALID",
        "3/amount": "INVALID",
        "4/amount": "INVALID_DECIMAL",
        "5/groundCode": "INVALID",
        "6/groundCode": "INVALID",
        "7/levelCode": "INVALID",
        "7/groundCode": "INVALID",
        "7/amount": "INVALID",
        "8/amount": "INVALID",
        "9/happenedOn": "INVALID",
        "11/matter": "DUPLICATE",
    }
    assert await cycle.sql("SELECT id FROM events WHERE tenant_id = $1") == []


async def test_a_leaf_must_take_events_and_be_for_the_unit(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    with pytest.raises(Invalid) as refused:
        await propose(
            cycle,
            first,
            spec(cycle, "a1", "X"),
            spec(cycle, "a1", "ROOT"),
            spec(cycle, "a1", "JX"),
            spec(cycle, "t1", "J"),
        )
    assert codes(refused.value) == {
        "0/indicatorId": "INVALID",
        "1/indicatorId": "INVALID",
        "2/indicatorId": "INVALID",
        "3/cycleUnitId": "INVALID",
    }
    await propose(cycle, first, spec(cycle, "v1", "JX"))
    with pytest.raises(NotFound):
        await propose(cycle, first, spec(cycle, "a1", "J", indicator_id=encode_id("Indicator", uuid7())))


async def test_the_same_event_twice_is_refused_another_level_or_day_is_another(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    (key,) = await propose(cycle, first, spec(cycle, "a1", "J"))
    with pytest.raises(Invalid, match="E0001"):
        await propose(cycle, second, spec(cycle, "a1", "J", title="换个说法"))
    await propose(cycle, first, spec(cycle, "a1", "J", level_code="province"))
    await propose(cycle, first, spec(cycle, "a1", "J", happened_on="2026-03-02"))
    await decide(cycle, second, "REJECT", key, reason="不实")
    await propose(cycle, first, spec(cycle, "a1", "J"))


async def test_limits(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    with pytest.raises(Invalid):
        await propose(cycle, first)
    many = [spec(cycle, "a1", "J", matter=f"m{n}") for n in range(501)]
    with pytest.raises(Invalid) as refused:
        await propose(cycle, first, *many)
    assert refused.value.code is ErrorCode.TOO_LARGE
    keys = await propose(cycle, first, *many[:500])
    assert (await event(cycle, keys[-1]))["number"] == 500
    assert len(await decide(cycle, await cycle.person((Role.ORGANISER, "root")), "CONFIRM", *keys)) == 500
    assert sum(each["counted"] for each in [await event(cycle, key) for key in keys[:10]]) == 8


async def test_another_districts_events_are_not_found(cycle: OpenCycle, db: Database, make_tenant: MakeTenant) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    (key,) = await propose(cycle, first, spec(cycle, "a1", "J"))
    other = await event_cycle(db, await make_tenant())
    stranger = await other.person((Role.ORGANISER, "root"))
    with pytest.raises(NotFound):
        await decide(other, stranger, "CONFIRM", key)
    async with db.transaction(other.tenant.id) as tx:
        with pytest.raises(NotFound):
            await propose_events(tx, stranger, events=[spec(cycle, "a1", "J")])


# --- what counts


async def test_only_confirmed_ones_count_and_of_one_matter_the_highest(cycle: OpenCycle) -> None:
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    city, province = await propose(
        cycle, first, spec(cycle, "a1", "J", amount="1.5"), spec(cycle, "a1", "J", level_code="province")
    )
    assert await told(cycle, city, province) == [("PROPOSED", 0, None), ("PROPOSED", 0, None)]
    await decide(cycle, second, "CONFIRM", city)
    assert await told(cycle, city, province) == [("CONFIRMED", Decimal("1.5"), None), ("PROPOSED", 0, None)]
    await decide(cycle, second, "CONFIRM", province)
    assert await told(cycle, city, province) == [
        ("CONFIRMED", 0, "与E0002属同一事项，只计最高一次"),
        ("CONFIRMED", 3, None),
    ]
    await decide(cycle, second, "REVOKE", province, reason="文件已撤销")
    assert await told(cycle, city, province) == [("CONFIRMED", Decimal("1.5"), None), ("REVOKED", 0, None)]


async def test_caps_go_from_matter_to_level_to_pot(cycle: OpenCycle) -> None:
    """Two of 3 at a level capped at 4 give 3 + 1; with 5 of another level the pot of 8 takes 1 of them away."""
    keys = await confirmed(
        cycle,
        spec(cycle, "a1", "J", level_code="province", matter="p1"),
        spec(cycle, "a1", "J", level_code="province", matter="p2"),
        spec(cycle, "a1", "J", level_code="city", matter="p2"),
    )
    assert await told(cycle, *keys) == [
        ("CONFIRMED", 3, None),
        ("CONFIRMED", 1, "province级合计以4分为限"),
        ("CONFIRMED", 0, "与E0002属同一事项，只计最高一次"),
    ]
    (national,) = await confirmed(cycle, spec(cycle, "a1", "J", level_code="national", matter="n1"))
    assert await told(cycle, national, *keys[:2]) == [
        ("CONFIRMED", 5, None),
        ("CONFIRMED", 3, None),
        ("CONFIRMED", 0, "“加分”合计以8分为限"),
    ]


async def test_the_schemes_cap_comes_last(db: Database, tenant: District) -> None:
    cycle = await event_cycle(db, tenant, {"bonusCap": "4", "deductionCap": "1"})
    bonus, deduction = await confirmed(cycle, spec(cycle, "a1", "J", level_code="national"), spec(cycle, "a1", "K"))
    assert await told(cycle, bonus, deduction) == [
        ("CONFIRMED", 4, "合计以4分为限"),
        ("CONFIRMED", 1, "合计以1分为限"),
    ]


async def test_vetoes_and_breaches_count_no_points_of_their_own(cycle: OpenCycle) -> None:
    keys = await confirmed(cycle, spec(cycle, "a1", "D"), spec(cycle, "a1", "U"))
    assert await told(cycle, *keys) == [("CONFIRMED", 0, None), ("CONFIRMED", 0, None)]


# --- schemes and openings


async def test_leaves_with_events_alone_have_no_assessment(cycle: OpenCycle) -> None:
    found = await cycle.sql(
        """SELECT DISTINCT i.code FROM assessments a JOIN indicators i ON i.tenant_id = a.tenant_id
           AND i.id = a.indicator_id WHERE a.tenant_id = $1 AND a.cycle_id = $2""",
        cycle.id,
    )
    assert sorted(each["code"] for each in found) == ["X", "Y"]


async def test_lines_count_events_of_leaves_that_have_some(db: Database, tenant: District) -> None:
    world = await make_world(db, tenant)
    lines: list[dict[str, Any]] = [
        {"pointsEach": "1"},
        {"pointsEach": "1", "eventIndicatorCode": "B"},
        {"pointsEach": "1", "eventIndicatorCode": "C"},
    ]
    award = {"kind": "AWARD", "step": "1", "selfScore": False, "groups": []}
    version_id = await world.drafted(
        row("A", points="60", rule={"kind": "DEDUCT", "lines": lines, "floor": "0"}),
        row("B", points="40", rule={"kind": "DEDUCT", "lines": lines[:1], "floor": "0"}),
        row("C", points="0", rule=award, responsible_unit_ids=[world.units["zzb"]]),
    )
    key = (await cycle_key(db, tenant, version_id))[0]
    async with db.transaction(tenant.id) as tx:
        found = await schemes.check_version(tx, key)
    assert [fault.path for fault in found.faults if fault.severity == "FAULT"] == [
        ("ROOT", "A", "rule", "lines", "2", "eventIndicatorCode")
    ]


async def cycle_key(db: Database, tenant: District, version_id: str) -> list[UUID]:
    """The key of a version."""
    async with db.transaction(tenant.id) as tx:
        rows = await tx.fetch("SELECT id FROM scheme_versions WHERE tenant_id = $1", tenant.id)
    assert version_id
    return [each["id"] for each in rows]
