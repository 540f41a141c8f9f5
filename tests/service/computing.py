"""A small district that went through a cycle by the use-cases: two categories, values of every type, and a run.

A department fills everything and nobody reviews, so that a submitted value is settled. Values are written as the
reference writes them: numbers as text, booleans, option codes, dicts of counts, lists of scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from uuid import UUID

import orjson

from service import cycles, directory, jobs, rankings, reports, schemes
from service.access import Actor, HeldGrant, Role
from service.ids import decode_id, encode_id
from service.items import DataItemSpec, OptionSpec
from service.jobs import JobRun
from service.opening import open_cycle
from service.reports import Content, EntrySpec
from service.schemes import IndicatorRow, IndicatorSpec
from service.schemes.rules import translate, with_units
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.service.drafting import World, acting, make_world
from tests.service.scoring.reference import Unit
from tests.small import today

Value = str | bool | Mapping[str, int] | Sequence[str]
Values = Mapping[str, Mapping[str, Value]]
"""Unit → item → value."""

UNITS = {"c1": "community", "c2": "community", "c3": "community", "c4": "community", "v1": "village", "v2": "village"}

BALLOTS = (OptionSpec("a", "好"), OptionSpec("b", "一般"), OptionSpec("d", "不了解", dont_know=True))
ITEMS: dict[str, dict[str, Any]] = {
    "x": {"type": "NUMBER", "scale": 2},
    "y": {"type": "INTEGER"},
    "ok": {"type": "YES_NO"},
    "ok2": {"type": "YES_NO"},
    "pick": {"type": "CHOICE", "options": (OptionSpec("good", "好"), OptionSpec("fair", "一般"))},
    "votes": {"type": "COUNTS", "options": BALLOTS},
    "marks": {"type": "SCORES", "scale": 1},
}
TARGET = {"type": "NUMBER", "scale": 2, "source": "ASSIGNED"}


@dataclass
class Course:
    """A district with a frozen scheme, and what went on in its cycles."""

    world: World
    assessor: Actor
    version_id: str
    leaves: dict[str, dict[str, Any]]
    cycle_ids: list[UUID] = field(default_factory=list)

    @property
    def tenant(self) -> District:
        """Whose it is."""
        return self.world.tenant

    async def cycle(self, values: Values, targets: Mapping[str, str] | None = None) -> UUID:
        """Open the next cycle, fill and submit these values; its id."""
        world, number = self.world, len(self.cycle_ids) + 1
        async with world.db.transaction(world.tenant.id) as tx:
            cycle_id = await cycles.create_cycle(
                tx,
                world.actor,
                cycle=cycles.CycleSpec(
                    code=f"k{number}",
                    name=f"第{number}期考核",
                    kind="YEAR",
                    starts_on=f"202{number}-01-01",
                    ends_on=f"202{number}-12-31",
                    scheme_version_id=self.version_id,
                    opens_on=str(today()),
                    due_on=str(today()),
                    previous_cycle_id=encode_id("Cycle", self.cycle_ids[-1]) if self.cycle_ids else None,
                ),
            )
            if targets:
                await cycles.assign_targets(
                    tx,
                    world.actor,
                    cycle_id=encode_id("Cycle", cycle_id),
                    data_item_id=world.items["target"],
                    targets=[cycles.TargetRow(world.units[unit], value) for unit, value in targets.items()],
                )
        async with world.db.transaction(world.tenant.id) as tx:
            version = await tx.fetchval(
                "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, cycle_id
            )
            _, job_id = await cycles.open_cycle(tx, world.actor, cycle_id=encode_id("Cycle", cycle_id), version=version)
        claimed = await jobs.claim(world.db, world.tenant.id, job_id)
        assert claimed is not None
        await open_cycle(JobRun(world.db, claimed, jobs.OPEN_CYCLE))
        self.cycle_ids.append(cycle_id)
        await self._fill(cycle_id, values)
        return cycle_id

    async def _fill(self, cycle_id: UUID, values: Values) -> None:
        async with self.world.db.transaction(self.tenant.id) as tx:
            rows = await tx.fetch(
                """SELECT t.id, u.code AS unit, d.code AS item FROM tasks t
                   JOIN cycle_units u ON u.tenant_id = t.tenant_id AND u.id = t.cycle_unit_id
                   JOIN data_items d ON d.tenant_id = t.tenant_id AND d.id = t.data_item_id
                   WHERE t.tenant_id = $1 AND t.cycle_id = $2 AND t.filler <> 'SYSTEM'""",
                tx.tenant_id,
                cycle_id,
            )
            specs = [
                EntrySpec(encode_id("Task", row["id"]), content(values[row["unit"]][row["item"]]))
                for row in rows
                if row["item"] in values.get(row["unit"], {})
            ]
            if specs:
                saved = await reports.save_entries(tx, self.assessor, entries=specs)
                await reports.submit_entries(
                    tx, self.assessor, entries=[(encode_id("Entry", row["id"]), 1) for row in saved]
                )

    async def run(self, cycle_id: UUID) -> UUID:
        """Compute the cycle; the run's id."""
        world = self.world
        async with world.db.transaction(world.tenant.id) as tx:
            run_id = await rankings.start_ranking_run(tx, world.actor, cycle_id=encode_id("Cycle", cycle_id))
            job_id = await tx.fetchval(
                "SELECT job_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", tx.tenant_id, run_id
            )
        claimed = await jobs.claim(world.db, world.tenant.id, job_id)
        assert claimed is not None
        await rankings.compute_run(JobRun(world.db, claimed, jobs.RANKING_RUN))
        return run_id

    async def document(self) -> dict[str, Any]:
        """The scheme's document, in codes."""
        async with self.world.db.transaction(self.tenant.id) as tx:
            return await schemes.scheme_document(tx, key_of(self.version_id, "SchemeVersion"), keys="code")

    async def scores(self, run_id: UUID) -> dict[str, tuple[str | None, dict[str, dict[str, Any]]]]:
        """Per unit the exact total, and the nodes by code."""
        async with self.world.db.transaction(self.tenant.id) as tx:
            rows = await tx.fetch(
                """SELECT u.code, s.exact, d.nodes FROM standings s
                   JOIN cycle_units u ON u.tenant_id = s.tenant_id AND u.id = s.cycle_unit_id
                   JOIN standing_details d ON d.tenant_id = s.tenant_id AND d.standing_id = s.id
                   WHERE s.tenant_id = $1 AND s.run_id = $2""",
                tx.tenant_id,
                run_id,
            )
        names = ("score", "marks", "state", "coverage")
        return {
            row["code"]: (
                row["exact"],
                {code: dict(zip(names, own, strict=True)) for code, *own in orjson.loads(row["nodes"])},
            )
            for row in rows
        }


async def course(db: Database, tenant: District, leaves: Mapping[str, Mapping[str, Any]], **settings: Any) -> Course:
    """The district with a frozen scheme of these rules; data items stand in them by code.

    The leaves weigh 1, 2, 3, 1 … under two dimensions.
    """
    world = await make_world(db, tenant)
    administrator = acting(tenant, world.root, Role.ADMINISTRATOR)
    async with db.transaction(tenant.id) as tx:
        await directory.import_org_units(
            tx,
            administrator,
            rows=[
                directory.UnitRow(
                    code, f"单位{code}", "BRANCH", "root", category_code=category, valid_from="2020-01-01"
                )
                for code, category in UNITS.items()
            ]
            + [directory.UnitRow("zfw", "区委政法委", "DEPARTMENT", "root", valid_from="2020-01-01")],
        )
        rows = await tx.fetch("SELECT id, code FROM org_units WHERE tenant_id = $1", tenant.id)
    world.units = {row["code"]: encode_id("OrgUnit", row["id"]) for row in rows}
    filled = {"source": "REVIEWED", "responsible_unit_ids": [world.units["zzb"]]}
    await world.add_items(
        *(_item(code, **{**filled, **spec}) for code, spec in ITEMS.items()), _item("target", **TARGET)
    )
    keys = {code: str(key_of(key, "DataItem")) for code, key in world.items.items()}
    _, version_id = await world.begin(weighting="RELATIVE")
    async with db.transaction(tenant.id) as tx:
        await schemes.edit_scheme_version(
            tx,
            world.actor,
            scheme_version_id=version_id,
            version=2,
            settings={"reviewLevels": [], "roundingPlaces": 12, **settings},
        )
    dimensions = [_node(code, None, weight=str(place + 1)) for place, code in enumerate(("D0", "D1")[: len(leaves)])]
    await world.replace(
        version_id,
        3,
        *dimensions,
        *(
            _node(
                code,
                f"D{place % 2}",
                weight=str(place % 3 + 1),
                rule=with_units(
                    translate(rule, keys), {unit: str(key_of(key, "OrgUnit")) for unit, key in world.units.items()}
                ),
                responsible_unit_ids=[world.units[unit] for unit in _responsible(rule)],
            )
            for place, (code, rule) in enumerate(leaves.items())
        ),
    )
    await world.freeze(version_id, 4)
    assessor = await _assessor(world)
    return Course(world, assessor, version_id, {code: dict(rule) for code, rule in leaves.items()})


def key_of(given: str, type_name: str) -> UUID:
    """The key in an id."""
    found = decode_id(given, type_name)
    assert found is not None
    return found


def _item(code: str, **more: Any) -> DataItemSpec:
    return DataItemSpec(code=code, name=f"数据{code}", definition="口径", **more)


def _node(code: str, parent: str | None, **more: Any) -> IndicatorRow:
    return IndicatorRow(IndicatorSpec(code=code, name=f"指标{code}", basis="区委文件", **more), parent)


def _responsible(rule: Mapping[str, Any]) -> list[str]:
    if rule["kind"] != "AWARD":
        return []
    return [unit for group in rule.get("groups") or () for unit in group["responsibleUnits"]] or ["zzb"]


async def _assessor(world: World) -> Actor:
    key, unit = uuid7(), key_of(world.units["zzb"], "OrgUnit")
    grant = HeldGrant(uuid7(), Role.ASSESSOR, unit, False, (), (), ())
    actor = Actor(world.tenant.id, key, key, "MEMBER", "评分员", "ZH_CN", "Asia/Shanghai", (grant,))
    await granted(world.db, actor)
    return actor


async def granted(db: Database, actor: Actor | None) -> None:
    """Let the database know an actor and its grants."""
    assert actor is not None
    async with db.transaction(actor.tenant_id) as tx:
        await tx.execute(
            "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', $3)",
            actor.tenant_id,
            actor.id,
            actor.display_name,
        )
        for grant in actor.grants:
            await tx.execute(
                "INSERT INTO grants (tenant_id, id, holder_id, role, unit_id) VALUES ($1, $2, $3, $4, $5)",
                actor.tenant_id,
                grant.id,
                actor.id,
                grant.role.value,
                grant.unit_id,
            )


def content(value: Value) -> Content:
    """A value as it is typed."""
    match value:
        case bool():
            return Content(yes_no=value)
        case Mapping():
            return Content(counts=list(value.items()))
        case str() if value[:1].isdigit() or value[:1] == "-":
            return Content(number=value)
        case str():
            return Content(choice=value)
    return Content(scores=list(value))


def referred(value: Value) -> Any:
    """A value as the reference takes it."""
    match value:
        case bool() | Mapping():
            return value
        case str() if value[:1].isdigit() or value[:1] == "-":
            return Fraction(value)
        case str():
            return value
    return [Fraction(score) for score in value]


def reference_units(values: Values, targets: Mapping[str, str], before: Values | None = None) -> list[Unit]:
    """The district's units as the reference takes them."""
    return [
        Unit(
            key=code,
            category=category,
            values={
                **{item: ("GIVEN", referred(value)) for item, value in values.get(code, {}).items()},
                **({"target": ("GIVEN", Fraction(targets[code]))} if code in targets else {}),
            },
            previous={item: referred(value) for item, value in (before or {}).get(code, {}).items()},
        )
        for code, category in UNITS.items()
    ]
