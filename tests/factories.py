"""An open cycle with people, made of rows: what tests of filling and judging start from.

    root (committee) ── t1 (committee) ── b1, b2, b3 (branches, 社区)
                    ├── t2 (committee) ── b4 (branch, 社区)
                    └── d1, d2 (departments; d2 is assessed too, 机关)

Data items: M members and A attended (numbers, reported), C a choice, K counts, S scores (reported), V a number that d1
fills, T a target that was assigned. Leaves, printed 1.1 to 1.7:

    ratio     A over M, one territorial level; A must be at most M, a warning where A is below half of M
    members   M alone, one territorial level
    value     V, no level
    award     marks of d1, in steps of 0.5 up to 10 (8 for 机关), with a self score
    choice    C and V, levels: territorial at a committee, then departmental (d1)
    ballots   K and S, one territorial level
    target    M and T, one territorial level
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service import progress
from service.access import Actor, HeldGrant, Role
from service.ids import encode_id
from tenants.database import Database
from tenants.ids import uuid7, uuid7s
from tenants.provisioning import District
from tests.small import ZONE, today

UNITS = {
    "t1": ("root", "COMMITTEE", None),
    "t2": ("root", "COMMITTEE", None),
    "d1": ("root", "DEPARTMENT", None),
    "d2": ("root", "DEPARTMENT", "organ"),
    "b1": ("t1", "BRANCH", "community"),
    "b2": ("t1", "BRANCH", "community"),
    "b3": ("t1", "BRANCH", "community"),
    "b4": ("t2", "BRANCH", "community"),
}

ITEMS: dict[str, dict[str, Any]] = {
    "M": {"name": "党员总数", "type": "INTEGER", "unit": "人", "scale": 0, "minimum": 0, "maximum": 1000},
    "A": {"name": "到会人数", "type": "INTEGER", "unit": "人", "scale": 0, "minimum": 0},
    "C": {"name": "阵地建设", "type": "CHOICE", "options": {"good": "好", "fair": "一般"}},
    "K": {"name": "测评票数", "type": "COUNTS", "scale": 0, "options": {"yes": "满意", "no": "不满意", "dk": "不了解"}},
    "S": {"name": "评委打分", "type": "SCORES", "scale": 1, "minimum": 0, "maximum": 100},
    "V": {
        "name": "化解率",
        "type": "NUMBER",
        "unit": "%",
        "scale": 2,
        "minimum": 0,
        "maximum": 100,
        "source": "REVIEWED",
    },
    "T": {"name": "任务数", "type": "INTEGER", "unit": "件", "scale": 0, "source": "ASSIGNED"},
}

TERRITORIAL = {"level": 1, "route": "TERRITORIAL", "unitKind": None}

LEAVES: dict[str, dict[str, Any]] = {
    "ratio": {"items": "AM", "rule": {"kind": "LINEAR"}, "levels": None},
    "members": {"items": "M", "rule": {"kind": "LINEAR"}, "levels": None},
    "value": {"items": "V", "rule": {"kind": "LINEAR"}, "levels": [], "responsible": ["d1"]},
    "award": {
        "items": "",
        "rule": {"kind": "AWARD", "step": "0.5", "selfScore": True, "groups": []},
        "levels": None,
        "responsible": ["d1"],
    },
    "choice": {
        "items": "CV",
        "rule": {"kind": "LINEAR"},
        "levels": [
            {"level": 1, "route": "TERRITORIAL", "unitKind": "COMMITTEE"},
            {"level": 2, "route": "DEPARTMENTAL"},
        ],
        "responsible": ["d1"],
    },
    "ballots": {"items": "KS", "rule": {"kind": "LINEAR"}, "levels": None},
    "target": {"items": "MT", "rule": {"kind": "COMPLETION"}, "levels": None},
}


@dataclass
class OpenCycle:
    """An open cycle: uuids of its rows by code, and short ways to look at them."""

    db: Database
    tenant: District
    id: UUID
    version_id: UUID
    due_on: date
    units: dict[str, UUID]
    """Organisation units."""
    members: dict[str, UUID]
    """Cycle units, by the code of the unit."""
    categories: dict[str, UUID]
    items: dict[str, UUID]
    leaves: dict[str, UUID]
    people: int = field(default=0)

    async def person(self, *grants: tuple[Role, str] | tuple[Role, str, dict[str, Any]]) -> Actor:
        """An account with these roles at these units, perhaps narrowed."""
        self.people += 1
        key = uuid7()
        held = []
        async with self.db.transaction(self.tenant.id) as tx:
            await tx.execute(
                "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', $3)",
                self.tenant.id,
                key,
                f"某{self.people}",
            )
            await tx.execute(
                "INSERT INTO members (tenant_id, id, sign_in_name, active, language) VALUES ($1, $2, $3, true, 'EN')",
                self.tenant.id,
                key,
                f"p{self.people}",
            )
            for grant in grants:
                narrow = grant[2] if len(grant) == 3 else {}
                held.append(
                    HeldGrant(
                        id=uuid7(),
                        role=grant[0],
                        unit_id=self.units[grant[1]],
                        at_root=grant[1] == "root",
                        category_ids=tuple(self.categories[code] for code in narrow.get("categories", ())),
                        indicator_codes=tuple(narrow.get("indicators", ())),
                        data_item_ids=tuple(self.items[code] for code in narrow.get("items", ())),
                    )
                )
                await tx.execute(
                    """INSERT INTO grants (tenant_id, id, holder_id, role, unit_id, category_ids, indicator_codes,
                                           data_item_ids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
                    self.tenant.id,
                    held[-1].id,
                    key,
                    held[-1].role.value,
                    held[-1].unit_id,
                    list(held[-1].category_ids),
                    list(held[-1].indicator_codes),
                    list(held[-1].data_item_ids),
                )
        return Actor(
            tenant_id=self.tenant.id,
            id=key,
            person_id=key,
            kind="MEMBER",
            display_name=f"某{self.people}",
            language="EN",
            time_zone="Asia/Shanghai",
            grants=tuple(held),
        )

    async def sql(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of a statement whose first parameter is the tenant."""
        async with self.db.transaction(self.tenant.id) as tx:
            return await tx.fetch(text, self.tenant.id, *arguments)

    async def task(self, unit: str, item: str) -> asyncpg.Record:
        """A task with its entry's columns as entry_id, entry_version and so on."""
        (row,) = await self.sql(
            """SELECT ta.*, en.id AS entry_id, en.version AS entry_version, en.state AS entry_state, en.number,
                      en.detail, en.revision, en.revision_id, en.submitted_revision_id, en.submitted_at
               FROM tasks ta LEFT JOIN entries en ON en.tenant_id = ta.tenant_id AND en.task_id = ta.id
               WHERE ta.tenant_id = $1 AND ta.cycle_unit_id = $2 AND ta.data_item_id = $3""",
            self.members[unit],
            self.items[item],
        )
        return row

    async def task_id(self, unit: str, item: str) -> str:
        """The id of a task as clients write it."""
        return encode_id("Task", (await self.task(unit, item))["id"])

    async def assessment(self, unit: str, leaf: str) -> asyncpg.Record:
        """An assessment."""
        (row,) = await self.sql(
            "SELECT * FROM assessments WHERE tenant_id = $1 AND cycle_unit_id = $2 AND indicator_id = $3",
            self.members[unit],
            self.leaves[leaf],
        )
        return row

    async def report(self, unit: str) -> asyncpg.Record:
        """A unit's report."""
        (row,) = await self.sql("SELECT * FROM reports WHERE tenant_id = $1 AND cycle_unit_id = $2", self.members[unit])
        return row

    async def move_due(self, due_on: date, *, grace_days: int = 0) -> None:
        """Give the cycle and all tasks another last day."""
        due, closes = midnight_after(due_on), midnight_after(due_on + timedelta(days=grace_days))
        await self.sql(
            """UPDATE cycles SET due_on = $3, due_at = $4, closes_at = $5, grace_days = $6
               WHERE tenant_id = $1 AND id = $2 RETURNING id""",
            self.id,
            due_on,
            due,
            closes,
            grace_days,
        )
        await self.sql(
            """UPDATE tasks SET due_on = $3, due_at = $4, closes_at = $5 WHERE tenant_id = $1 AND cycle_id = $2
               RETURNING id""",
            self.id,
            due_on,
            due,
            closes,
        )
        await self.sql(
            "UPDATE progress_counters SET due_at = $3 WHERE tenant_id = $1 AND cycle_id = $2 AND due_at < 'infinity'",
            self.id,
            due,
        )

    async def set_state(self, state: str) -> None:
        """Put the cycle into a state."""
        await self.sql("UPDATE cycles SET state = $3 WHERE tenant_id = $1 AND id = $2 RETURNING id", self.id, state)


def midnight_after(day: date) -> datetime:
    """The exclusive instant after a local day."""
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE).astimezone(UTC)


async def open_cycle(db: Database, tenant: District, *, due_in: int = 10, grace_days: int = 0) -> OpenCycle:
    """The cycle of this module, open, with its last day `due_in` days from today."""
    due_on = today() + timedelta(days=due_in)
    rows = _Rows(tenant.id)
    async with db.transaction(tenant.id) as tx:
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", tenant.id)
        root_name = await tx.fetchval("SELECT name FROM org_units WHERE tenant_id = $1", tenant.id)
        categories = {code: uuid7() for code in ("community", "organ")}
        for position, (code, key) in enumerate(categories.items()):
            rows.add(
                "categories", id=key, code=code, name={"community": "社区", "organ": "机关"}[code], position=position
            )
        units = {"root": root, **dict(zip(UNITS, uuid7s(len(UNITS)), strict=True))}
        _add_units(rows, units, categories)
        items = dict(zip(ITEMS, uuid7s(len(ITEMS)), strict=True))
        version_id, cycle_id = uuid7(), uuid7()
        leaves = _add_scheme(rows, version_id, units, categories, items)
        rows.add(
            "cycles",
            id=cycle_id,
            code="2026",
            name="2026年度考核",
            kind="YEAR",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            state="OPEN",
            scheme_version_id=version_id,
            opens_on=date(2026, 1, 1),
            due_on=due_on,
            due_at=midnight_after(due_on),
            grace_days=grace_days,
            closes_at=midnight_after(due_on + timedelta(days=grace_days)),
            opened_at=datetime.now(UTC),
        )
        members = _add_members(rows, cycle_id, units, categories, root_name)
        _add_tasks(rows, cycle_id, version_id, due_on, grace_days, units, members, items, leaves)
        await rows.insert(tx)
        await progress.recount(tx, cycle_id)
    return OpenCycle(db, tenant, cycle_id, version_id, due_on, units, members, categories, items, leaves)


async def read_cycle(db: Database, tenant: District, cycle_id: UUID) -> OpenCycle:
    """A cycle that was opened by other means: its rows by code."""
    async with db.transaction(tenant.id) as tx:
        cycle = await tx.fetchrow("SELECT * FROM cycles WHERE tenant_id = $1 AND id = $2", tenant.id, cycle_id)
        assert cycle is not None

        async def keyed(sql: str, *arguments: Any) -> dict[str, UUID]:
            return {row["code"]: row["id"] for row in await tx.fetch(sql, tenant.id, *arguments)}

        return OpenCycle(
            db,
            tenant,
            cycle_id,
            cycle["scheme_version_id"],
            cycle["due_on"],
            await keyed("SELECT code, id FROM org_units WHERE tenant_id = $1"),
            await keyed("SELECT code, id FROM cycle_units WHERE tenant_id = $1 AND cycle_id = $2", cycle_id),
            await keyed("SELECT code, id FROM categories WHERE tenant_id = $1"),
            await keyed("SELECT code, id FROM data_items WHERE tenant_id = $1"),
            await keyed(
                "SELECT code, id FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2 AND leaf",
                cycle["scheme_version_id"],
            ),
        )


class _Rows:
    """Rows to insert, in order."""

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def add(self, table: str, **columns: Any) -> UUID:
        """A row; the value of its id."""
        self.rows.append((table, columns))
        key: UUID = columns.get("id", self.tenant_id)
        return key

    async def insert(self, tx: Any) -> None:
        """Write them."""
        for table, columns in self.rows:
            places = ", ".join(f"${n + 2}" for n in range(len(columns)))
            await tx.execute(
                f"INSERT INTO {table} (tenant_id, {', '.join(columns)}) VALUES ($1, {places})",
                self.tenant_id,
                *columns.values(),
            )


def _add_units(rows: _Rows, units: dict[str, UUID], categories: dict[str, UUID]) -> None:
    for code, (parent, kind, category) in UNITS.items():
        above = _above(code)
        rows.add(
            "org_units",
            id=units[code],
            code=code,
            name=f"单位{code}",
            kind=kind,
            parent_id=units[parent],
            category_id=categories.get(category or ""),
            valid_from=date(2020, 1, 1),
            tree_path="/".join(reversed(above)),
        )
        for depth, ancestor in enumerate(above):
            rows.add("org_unit_ancestors", unit_id=units[code], ancestor_id=units[ancestor], depth=depth)


def _above(code: str) -> list[str]:
    found = [code]
    while found[-1] != "root":
        found.append(UNITS[found[-1]][0])
    return found


def _quantity(items: dict[str, UUID], code: str, coefficient: str = "1") -> dict[str, Any]:
    term = {"coefficient": coefficient, "dataItem": str(items[code]), "countName": None}
    return {"numerator": {"terms": [term], "constant": "0"}, "denominator": None}


def _add_scheme(
    rows: _Rows, version_id: UUID, units: dict[str, UUID], categories: dict[str, UUID], items: dict[str, UUID]
) -> dict[str, UUID]:
    scheme_id = rows.add("schemes", id=uuid7(), code="S", name="治理考核")
    rows.add(
        "scheme_versions",
        id=version_id,
        scheme_id=scheme_id,
        number=1,
        state="FROZEN",
        weighting="POINTS",
        full_marks=Decimal(100),
        settings=_json({"reviewLevels": [TERRITORIAL], "missingPolicy": "ZERO"}),
        frozen_at=datetime.now(UTC),
    )
    for position, key in enumerate(categories.values()):
        rows.add("scheme_version_categories", scheme_version_id=version_id, category_id=key, position=position)
    for position, (code, item) in enumerate(ITEMS.items()):
        columns = {
            "code": code,
            "name": item["name"],
            "definition": "口径",
            "type": item["type"],
            "unit_of_measure": item.get("unit"),
            "scale": item.get("scale", 4),
            "minimum": None if item.get("minimum") is None else Decimal(item["minimum"]),
            "maximum": None if item.get("maximum") is None else Decimal(item["maximum"]),
            "options": _json(
                [
                    {"code": option, "name": name, "dontKnow": option == "dk"}
                    for option, name in item.get("options", {}).items()
                ]
            ),
            "source": item.get("source", "REPORTED"),
            "personal": False,
        }
        rows.add("data_items", id=items[code], active=True, **columns)
        responsible = [units["d1"]] if item.get("source") == "REVIEWED" else []
        for unit in responsible:
            rows.add("data_item_responsibles", data_item_id=items[code], unit_id=unit, position=0)
        rows.add(
            "scheme_version_items",
            scheme_version_id=version_id,
            data_item_id=items[code],
            position=position,
            responsible_unit_ids=responsible,
            **columns,
        )
    shared = {"scheme_version_id": version_id, "weight": None, "aggregation": "ARITHMETIC"}
    root = rows.add(
        "indicators",
        id=uuid7(),
        code="ROOT",
        name="总分",
        depth=0,
        position=0,
        print_order=0,
        ordinal="",
        leaf=False,
        **shared,
    )
    dimension = rows.add(
        "indicators",
        id=uuid7(),
        code="P",
        name="党建",
        parent_id=root,
        depth=1,
        position=0,
        print_order=1,
        ordinal="1",
        leaf=False,
        **shared,
    )
    checks = [
        {"left": _quantity(items, "A"), "comparison": "AT_MOST", "right": _quantity(items, "M"), "warningOnly": False},
        {
            "left": _quantity(items, "A", "2"),
            "comparison": "AT_LEAST",
            "right": _quantity(items, "M"),
            "warningOnly": True,
        },
    ]
    leaves = dict(zip(LEAVES, uuid7s(len(LEAVES)), strict=True))
    for place, (code, leaf) in enumerate(LEAVES.items()):
        award = code == "award"
        own = [{"category": str(categories["organ"]), "points": "8"}] if award else []
        rows.add(
            "indicators",
            id=leaves[code],
            code=f"P-{code}",
            name=f"指标{code}",
            parent_id=dimension,
            depth=2,
            position=place,
            print_order=place + 2,
            ordinal=f"1.{place + 1}",
            leaf=True,
            points=Decimal(10),
            points_by_category=_json(own),
            rule=_json(leaf["rule"]),
            review_levels=None if leaf["levels"] is None else _json(leaf["levels"]),
            checks=_json(checks if code == "ratio" else []),
            **shared,
        )
        for position, item in enumerate(leaf["items"]):
            rows.add("indicator_items", indicator_id=leaves[code], data_item_id=items[item], position=position)
        for position, unit in enumerate(leaf.get("responsible", ())):
            rows.add("indicator_responsibles", indicator_id=leaves[code], unit_id=units[unit], position=position)
    return leaves


def _add_members(
    rows: _Rows, cycle_id: UUID, units: dict[str, UUID], categories: dict[str, UUID], root_name: str
) -> dict[str, UUID]:
    for position, (code, key) in enumerate(categories.items()):
        rows.add("cycle_categories", cycle_id=cycle_id, category_id=key, position=position, name=code)
    members = dict(zip(units, uuid7s(len(units)), strict=True))
    for code in units:
        parent, kind, category = UNITS.get(code, (None, "COMMITTEE", None))
        above = _above(code)
        rows.add(
            "cycle_units",
            id=members[code],
            cycle_id=cycle_id,
            unit_id=units[code],
            code=code,
            name=f"单位{code}",
            kind=kind,
            parent_id=members[parent] if parent else None,
            category_id=categories.get(category or ""),
            category_name=category,
            assessed=category is not None,
            path_names=[root_name if step == "root" else f"单位{step}" for step in reversed(above)],
            tree_path="/".join(reversed(above)),
        )
        for depth, ancestor in enumerate(above):
            rows.add("cycle_unit_ancestors", cycle_unit_id=members[code], ancestor_id=units[ancestor], depth=depth)
    return members


def _add_tasks(
    rows: _Rows,
    cycle_id: UUID,
    version_id: UUID,
    due_on: date,
    grace_days: int,
    units: dict[str, UUID],
    members: dict[str, UUID],
    items: dict[str, UUID],
    leaves: dict[str, UUID],
) -> None:
    fillers = {"REPORTED": "UNIT", "REVIEWED": "RESPONSIBLE_UNIT", "ASSIGNED": "SYSTEM"}
    for code in (code for code, (_, _, category) in UNITS.items() if category):
        report = rows.add("reports", id=uuid7(), cycle_id=cycle_id, cycle_unit_id=members[code])
        for position, (item, spec) in enumerate(ITEMS.items()):
            filler = fillers[spec.get("source", "REPORTED")]
            task = rows.add(
                "tasks",
                id=uuid7(),
                cycle_id=cycle_id,
                cycle_unit_id=members[code],
                data_item_id=items[item],
                scheme_version_id=version_id,
                position=position,
                filler=filler,
                responsible_unit_id=units["d1"] if filler == "RESPONSIBLE_UNIT" else None,
                report_id=report if filler == "UNIT" else None,
                state="SUBMITTED" if filler == "SYSTEM" else "OPEN",
                due_on=due_on,
                due_at=midnight_after(due_on),
                closes_at=midnight_after(due_on + timedelta(days=grace_days)),
            )
            if filler == "SYSTEM":
                _assign(rows, cycle_id, task)
        for leaf, spec in LEAVES.items():
            award = leaf == "award"
            levels = 1 if spec["levels"] is None else len(spec["levels"])
            rows.add(
                "assessments",
                id=uuid7(),
                cycle_id=cycle_id,
                cycle_unit_id=members[code],
                indicator_id=leaves[leaf],
                report_id=report,
                state="READY" if award else "WAITING",
                levels=levels,
                ready_since=datetime.now(UTC) if award else None,
            )


def _assign(rows: _Rows, cycle_id: UUID, task: UUID) -> None:
    entry, revision, now = uuid7(), uuid7(), datetime.now(UTC)
    value = {"revision": 1, "number": Decimal(50), "source": "ASSIGNED", "at": now}
    rows.add(
        "entries",
        id=entry,
        task_id=task,
        cycle_id=cycle_id,
        state="SUBMITTED",
        revision_id=revision,
        submitted_revision_id=revision,
        submitted_at=now,
        **value,
    )
    rows.add("entry_revisions", id=revision, entry_id=entry, **value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def ids(type_name: str, keys: Sequence[UUID]) -> list[str]:
    """Ids as clients write them."""
    return [encode_id(type_name, key) for key in keys]
