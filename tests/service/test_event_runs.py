"""Events in runs: what they add and take, what vetoes do, and that a run keeps what was confirmed then."""

from decimal import Decimal

import pytest

from service.access import Role
from service.rankings.explaining import explanations
from service.rankings.snapshot import unpack
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle
from tests.service.eventing import confirmed, decide, event_cycle, give, propose, run, spec, standings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle whose units of 社区 have 84, 80, 76, 72, 68 and 64 of 100, the village 100."""
    made = await event_cycle(db, tenant)
    await give(made, a1="80", a2="75", a3="70", a4="65", b1="60", b2="55", v1="100")
    return made


async def test_bonus_and_deductions_move_the_total(cycle: OpenCycle) -> None:
    organiser = await cycle.person((Role.ORGANISER, "root"))
    await confirmed(
        cycle,
        spec(cycle, "a2", "J", level_code="national"),
        spec(cycle, "a1", "K"),
        spec(cycle, "a1", "K", level_code="town", matter="m2"),
    )
    (proposed,) = await propose(cycle, organiser, spec(cycle, "b1", "J", level_code="national"))
    found = await standings(cycle, await run(cycle, organiser))
    shown = {unit: (each["total"], each["bonus"], each["deduction"], each["rank"]) for unit, each in found.items()}
    assert shown["a1"] == (Decimal("81.50"), 0, Decimal("2.50"), 2)
    assert shown["a2"] == (Decimal("85.00"), 5, 0, 1)
    assert shown["b1"] == (Decimal("68.00"), 0, 0, 5), "proposed alone it changes nothing"
    assert found["a1"]["base"] == 84
    await decide(cycle, await cycle.person((Role.ORGANISER, "root")), "CONFIRM", proposed)
    found = await standings(cycle, await run(cycle, organiser))
    assert (found["b1"]["total"], found["b1"]["rank"]) == (73, 4)


async def test_breaches_count_in_their_leaf_alone(cycle: OpenCycle) -> None:
    """2 off each, at most 6; a disaster takes all of the leaf's 20."""
    await confirmed(
        cycle,
        spec(cycle, "a1", "D"),
        *(spec(cycle, "a2", "D", matter=f"m{n}") for n in range(4)),
        spec(cycle, "a3", "W"),
    )
    found = await standings(cycle, await run(cycle, await cycle.person((Role.ORGANISER, "root"))))
    assert {unit: found[unit]["total"] for unit in ("a1", "a2", "a3", "a4")} == {"a1": 82, "a2": 74, "a3": 56, "a4": 72}
    assert found["a3"]["deduction"] == 0
    assert {each["coverage"] for each in found.values()} == {1}, "what is scored by events is covered"


async def test_the_total_ends_at_full_marks_and_the_most_of_the_pots(db: Database, tenant: District) -> None:
    cycle = await event_cycle(db, tenant, {"capAtFullMarks": True})
    await give(cycle, a1="100", a2="99")
    await confirmed(cycle, *(spec(cycle, unit, "J", level_code="national") for unit in ("a1", "a2")))
    found = await standings(cycle, await run(cycle, await cycle.person((Role.ORGANISER, "root"))))
    assert (found["a1"]["total"], found["a2"]["total"], found["a1"]["bonus"]) == (100, 100, 5)
    assert found["a1"]["rank"] == found["a2"]["rank"] == 1


async def test_what_vetoes_do_to_ranks(cycle: OpenCycle) -> None:
    first = await cycle.person((Role.ORGANISER, "root"))
    vetoes = await confirmed(
        cycle, spec(cycle, "a1", "N"), spec(cycle, "a2", "O"), spec(cycle, "a3", "L"), spec(cycle, "a4", "U")
    )
    (proposed,) = await propose(cycle, first, spec(cycle, "b1", "U"))
    run_id = await run(cycle, first)
    found = await standings(cycle, run_id)
    assert {unit: (each["status"], each["rank"]) for unit, each in found.items() if unit != "v1"} == {
        "a1": ("RANKED", 1),
        "a2": ("RANKED", 2),
        "a3": ("VETOED", None),
        "a4": ("VETOED", None),
        "b1": ("RANKED", 3),
        "b2": ("RANKED", 4),
    }
    assert found["a4"]["total"] == 72, "the score stays"
    assert [found[unit]["veto_event_ids"] for unit in ("a1", "a2", "a3", "a4")] == [[key] for key in vetoes]
    assert found["b1"]["veto_event_ids"] == []
    await decide(cycle, await cycle.person((Role.ORGANISER, "root")), "REVOKE", vetoes[3], reason="复核撤销")
    assert (await standings(cycle, run_id))["a4"]["veto_event_ids"] == [vetoes[3]], "a run keeps what it was made from"
    again = await standings(cycle, await run(cycle, first))
    assert (again["a4"]["status"], again["a4"]["rank"], again["a4"]["veto_event_ids"]) == ("RANKED", 3, [])
    assert proposed not in again["b1"]["veto_event_ids"]


async def test_a_run_can_be_scored_and_explained_again(cycle: OpenCycle) -> None:
    await confirmed(cycle, spec(cycle, "a1", "J", amount="1.25"), spec(cycle, "a1", "U"))
    run_id = await run(cycle, await cycle.person((Role.ORGANISER, "root")))
    (row,) = await cycle.sql("SELECT document FROM run_snapshots WHERE tenant_id = $1 AND run_id = $2", run_id)
    events = unpack(row["document"]).snapshot.events
    assert [(each.key, each.unit, each.indicator, each.level, each.amount) for each in events] == [
        ("E0001", "a1", "J", "city", Decimal("1.25")),
        ("E0002", "a1", "U", "g", Decimal(0)),
    ]
    standing = (await standings(cycle, run_id))["a1"]["id"]
    async with cycle.db.transaction(cycle.tenant.id, read_only=True) as tx:
        found = await explanations(tx, [standing])
    assert {"BONUS", "VETO"} <= {step.kind for step in found[standing].steps}
