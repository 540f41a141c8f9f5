"""Help for tests of events and grades: a small district on a scheme with pots and vetoes, its cycle opened.

    root ── t1 ── a1, a2, a3, a4 (社区)      t2 ── b1, b2 (社区), v1 (村)      zzb, zfw (departments)

The scheme has 100 full marks: X (80 points, the number that a unit reports, over 100) and D (20 points, 2 off for each
breach filed under D, at most 6, and all of it where a disaster is filed under W); Y (0 points, a yes-no item) is only
shown. Outside the sum: J (bonus), JX (bonus
of the same pot, for 村 only), K (deduction), and vetoes N, O, L, U, one per effect. zzb is responsible for all but X.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from service import cycles, directory, jobs, rankings, schemes
from service.access import Actor, Role, system_actor
from service.cycles import CycleSpec
from service.events import EventDecision, EventSpec, decide_events, propose_events
from service.ids import decode_id, encode_id
from service.jobs import RANKING_RUN, JobRun
from service.jobs.kinds import measuring_of
from service.schemes import IndicatorRow
from service.schemes.rules import translate
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle
from tests.service.cycling import opened
from tests.service.drafting import World, _administrator, linear, make_world, number, plain, row

UNITS = {
    "t1": ("root", "COMMITTEE", None),
    "t2": ("root", "COMMITTEE", None),
    "zfw": ("root", "DEPARTMENT", None),
    **dict.fromkeys(("a1", "a2", "a3", "a4"), ("t1", "BRANCH", "community")),
    **dict.fromkeys(("b1", "b2"), ("t2", "BRANCH", "community")),
    "v1": ("t2", "BRANCH", "village"),
}

ASSESSED = tuple(code for code, (_, _, category) in UNITS.items() if category)

EFFECTS = {"N": "NO_EXCELLENT", "O": "ONE_GRADE_DOWN", "L": "LOWEST_GRADE", "U": "UNRANKED"}


def level(code: str, points: str, most: str | None = None, cap: str | None = None) -> dict[str, Any]:
    """A level of events."""
    return {"code": code, "name": f"{code}级", "points": points, "maxPoints": most, "cap": cap}


def pot(kind: str, pot_name: str, cap: str | None, *levels: dict[str, Any]) -> dict[str, Any]:
    """A rule of bonus or deduction."""
    one = "highestPerMatter" if kind == "BONUS" else "heaviestPerMatter"
    return {"kind": kind, "levels": list(levels), "pot": pot_name, "potCap": cap, one: True}


def tree(world: World) -> list[IndicatorRow]:
    """The scheme of this module."""
    responsible = [world.units["zzb"]]
    village = [world.categories["village"]]
    lines = [
        {"pointsEach": "2", "cap": "6", "text": "每起扣2分"},
        {"pointsEach": "0", "eventIndicatorCode": "W", "wipeOut": True},
    ]
    nothing = [{"pointsEach": "1"}]
    bonus = pot(
        "BONUS", "加分", "8", level("national", "5"), level("province", "3", None, "4"), level("city", "1", "2")
    )
    deduction = pot("DEDUCTION", "减分", "4", level("district", "2"), level("town", "0.5"))
    vetoes = [
        row(
            code,
            rule={
                "kind": "VETO",
                "effect": effect,
                "grounds": [{"code": "g", "name": "重大事故", "basis": "区委文件"}],
            },
            responsible_unit_ids=responsible,
        )
        for code, effect in EFFECTS.items()
    ]
    return [
        row("X", points="80", rule=linear(world, "x", full_at="100")),
        row(
            "D",
            points="20",
            rule={"kind": "DEDUCT", "lines": lines, "floor": "0"},
            responsible_unit_ids=responsible,
        ),
        row("W", points="0", rule={"kind": "DEDUCT", "lines": nothing, "floor": "0"}, responsible_unit_ids=responsible),
        row("Y", points="0", rule={"kind": "YES_NO", "dataItem": plain(world, "y"), "fullWhen": True}),
        row("J", rule=bonus, responsible_unit_ids=responsible),
        row("JX", rule=bonus, responsible_unit_ids=responsible, category_ids=village),
        row("K", rule=deduction, responsible_unit_ids=responsible),
        *vetoes,
    ]


async def event_cycle(db: Database, tenant: District, settings: Mapping[str, Any] | None = None) -> OpenCycle:
    """The cycle of this module, open; `settings` by the names of the scheme document."""
    world = await make_world(db, tenant)
    async with db.transaction(tenant.id) as tx:
        await directory.import_org_units(
            tx,
            _administrator(system_actor(tenant.id), world.root),
            rows=[
                directory.UnitRow(code, f"单位{code}", kind, parent, category, valid_from="2020-01-01")
                for code, (parent, kind, category) in UNITS.items()
            ],
        )
        rows = await tx.fetch("SELECT id, code FROM org_units WHERE tenant_id = $1", tenant.id)
    world.units |= {each["code"]: encode_id("OrgUnit", each["id"]) for each in rows}
    await world.add_items(number("x", type="NUMBER", scale=1), number("y", type="YES_NO"))
    _, version_id = await world.begin()
    await world.replace(version_id, 2, *tree(world))
    async with db.transaction(tenant.id) as tx:
        await schemes.edit_scheme_version(
            tx,
            world.actor,
            scheme_version_id=version_id,
            version=3,
            settings=translate({"reviewLevels": [], **(settings or {})}, {"y": plain(world, "y")}),
        )
    await world.freeze(version_id, 4)
    return await next_cycle(db, tenant, world.actor, version_id, "2026")


async def next_cycle(
    db: Database,
    tenant: District,
    actor: Actor,
    version_id: str,
    code: str,
    *,
    starts_on: str = "2026-01-01",
    under_id: str | None = None,
) -> OpenCycle:
    """A cycle of 2026 on that version, open."""
    async with db.transaction(tenant.id) as tx:
        cycle_id = await cycles.create_cycle(
            tx,
            actor,
            cycle=CycleSpec(
                code=code,
                name=f"{code}年度考核",
                kind="YEAR",
                starts_on=starts_on,
                ends_on="2026-12-31",
                scheme_version_id=version_id,
                opens_on="2026-01-01",
                due_on="2099-12-31",
                under_id=under_id,
            ),
        )
    await opened(db, actor, cycle_id)
    async with db.transaction(tenant.id) as tx:
        units = await tx.fetch("SELECT id, code FROM org_units WHERE tenant_id = $1", tenant.id)
        members = await tx.fetch(
            "SELECT id, code FROM cycle_units WHERE tenant_id = $1 AND cycle_id = $2", tenant.id, cycle_id
        )
        leaves = await tx.fetch(
            "SELECT id, code FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2",
            tenant.id,
            decode_id(version_id, "SchemeVersion"),
        )
        categories = await tx.fetch("SELECT id, code FROM categories WHERE tenant_id = $1", tenant.id)
        due_on = await tx.fetchval("SELECT due_on FROM cycles WHERE tenant_id = $1 AND id = $2", tenant.id, cycle_id)
    key = decode_id(version_id, "SchemeVersion")
    assert key is not None
    return OpenCycle(
        db,
        tenant,
        cycle_id,
        key,
        due_on,
        {each["code"]: each["id"] for each in units},
        {each["code"]: each["id"] for each in members},
        {each["code"]: each["id"] for each in categories},
        {},
        {each["code"]: each["id"] for each in leaves},
    )


def spec(cycle: OpenCycle, unit: str, leaf: str, **more: Any) -> EventSpec:
    """An event as somebody types it."""
    return EventSpec(
        **{
            "cycle_unit_id": encode_id("CycleUnit", cycle.members[unit]),
            "indicator_id": encode_id("Indicator", cycle.leaves[leaf]),
            "matter": "m1",
            "title": "某事",
            "happened_on": "2026-03-01",
            "document_title": "区委通报",
            **({"level_code": "city"} if leaf in ("J", "JX") else {}),
            **({"level_code": "district"} if leaf == "K" else {}),
            **({"ground_code": "g"} if leaf in EFFECTS else {}),
            **more,
        }
    )


async def propose(cycle: OpenCycle, actor: Actor, *specs: EventSpec) -> list[UUID]:
    """Propose in a transaction of its own."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await propose_events(tx, actor, events=specs)


async def decide(cycle: OpenCycle, actor: Actor, decision: str, *keys: UUID, reason: str | None = None) -> list[UUID]:
    """Decide on the versions that stand, in a transaction of its own."""
    versions = {
        each["id"]: each["version"]
        for each in await cycle.sql("SELECT id, version FROM events WHERE tenant_id = $1 AND id = ANY ($2)", list(keys))
    }
    decisions = [EventDecision(encode_id("Event", key), versions.get(key, 1), decision, reason) for key in keys]
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await decide_events(tx, actor, decisions=decisions)


async def confirmed(cycle: OpenCycle, *specs: EventSpec) -> list[UUID]:
    """Events that one organiser proposed and another confirmed."""
    first, second = await cycle.person((Role.ORGANISER, "root")), await cycle.person((Role.ORGANISER, "root"))
    keys = await propose(cycle, first, *specs)
    return await decide(cycle, second, "CONFIRM", *keys)


async def event(cycle: OpenCycle, key: UUID) -> dict[str, Any]:
    """An event's row."""
    (found,) = await cycle.sql("SELECT * FROM events WHERE tenant_id = $1 AND id = $2", key)
    return dict(found)


async def give(cycle: OpenCycle, leaf: str = "X", **values: str) -> None:
    """Settle the number of X for some units: each is worth 0.8 of it, and D adds 20. Or that of another leaf."""
    for unit, value in values.items():
        await cycle.sql(
            """UPDATE assessments SET state = 'ACCEPTED', settled_numbers = ARRAY[$4::text::numeric],
                      settled_details = '[null]', settled_at = now()
               WHERE tenant_id = $1 AND cycle_unit_id = $2 AND indicator_id = $3 RETURNING id""",
            cycle.members[unit],
            cycle.leaves[leaf],
            value,
        )


async def run(cycle: OpenCycle, actor: Actor) -> UUID:
    """Compute a run, as the worker would; its id."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        run_id = await rankings.start_ranking_run(tx, actor, cycle_id=encode_id("Cycle", cycle.id))
        job_id = await tx.fetchval(
            "SELECT job_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", cycle.tenant.id, run_id
        )
    claimed = await jobs.claim(cycle.db, cycle.tenant.id, job_id)
    assert claimed is not None
    attempt = JobRun(cycle.db, claimed, RANKING_RUN)
    with measuring_of(RANKING_RUN)(attempt):
        await rankings.compute_run(attempt)
    return run_id


async def standings(cycle: OpenCycle, run_id: UUID) -> dict[str, dict[str, Any]]:
    """Standings of a run by unit."""
    rows = await cycle.sql(
        """SELECT cu.code AS unit, st.* FROM standings st
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE st.tenant_id = $1 AND st.run_id = $2""",
        run_id,
    )
    return {each["unit"]: dict(each) for each in rows}
