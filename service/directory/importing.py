"""Import a whole tree of units by code: all or nothing, every fault at once (单位导入)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import orjson

from service.access import Actor
from service.audit import append
from service.checks import Check
from service.directory.tree import (
    MAX_DEPTH,
    check_count,
    check_depth,
    check_kind,
    lock_tree,
    require_administrator,
    tree_path,
)
from service.errors import ErrorCode, Path
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s

MOST_ROWS = 20_000
"""Rows of one import."""

SHOWN_UNITS = 100
"""Ids that an import gives back."""


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit as it was typed; what is None stays as it is, or takes its default in a new unit."""

    code: str
    name: str
    kind: str
    parent_code: str | None = None
    category_code: str | None = None
    valid_from: str | None = None
    member_count: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedUnits:
    """What came of an import; `ids` are the first 100 of those added or changed, in the order of the rows."""

    created: int
    updated: int
    unchanged: int
    ids: list[UUID]


@dataclass(slots=True)
class _Unit:
    """A unit as it is to be."""

    id: UUID
    code: str
    name: str
    kind: str
    parent_id: UUID | None
    category_id: UUID | None
    valid_from: date
    member_count: int | None
    tree_path: str
    row: int | None = None
    new: bool = False

    def state(self) -> tuple[object, ...]:
        return (self.name, self.kind, self.parent_id, self.category_id, self.valid_from, self.member_count)


async def import_org_units(tx: Transaction, actor: Actor, *, rows: Sequence[UnitRow]) -> ImportedUnits:
    """Add new units and change those whose codes exist, in one go; a new unit without parent lies under the root.

    At most 20,000 rows, in any order. Raises AccessDenied; Invalid, with the faults of all rows.
    """
    await require_administrator(tx, actor)
    check = Check()
    if not check.at_most(("input", "units"), rows, MOST_ROWS):
        check.done()
    today = await lock_tree(tx)
    plan = await _plan(tx, check, rows, today)
    check.done()
    _check_tree(check, plan)
    check.done()
    result = await _write(tx, plan, today)
    await append(
        tx,
        actor,
        "importOrgUnits",
        subject=None,
        summary=Text(
            zh=f"导入单位：新增{result.created}个，修改{result.updated}个，未变{result.unchanged}个",
            en=f"Imported units: {result.created} added, {result.updated} changed, {result.unchanged} unchanged",
        ),
        facts={"rows": len(rows), "digest": _digest(rows)},
    )
    return result


@dataclass(slots=True)
class _Plan:
    units: dict[UUID, _Unit]
    """All units of the tenant as they are to be."""
    before: dict[UUID, tuple[object, ...]]
    """States of those that exist."""
    order: list[_Unit]
    """The units of the rows, in order."""


async def _plan(tx: Transaction, check: Check, rows: Sequence[UnitRow], today: date) -> _Plan:
    found = await tx.fetch("SELECT * FROM org_units WHERE tenant_id = $1", tx.tenant_id)
    categories: dict[str, UUID] = {
        row["code"]: row["id"]
        for row in await tx.fetch("SELECT code, id FROM categories WHERE tenant_id = $1", tx.tenant_id)
    }
    existing = {row["code"]: row for row in found}
    units = {row["id"]: _existing(row) for row in found}
    before = {key: unit.state() for key, unit in units.items()}
    root = next(row for row in found if row["parent_id"] is None)
    ids = uuid7s(len(rows))
    codes = {code: row["id"] for code, row in existing.items()}
    codes |= {
        row.code: ids[i]
        for i, row in enumerate(rows)
        # What is no code is nobody's code above.
        if row.code not in existing and Check().code((), row.code) is not None
    }
    seen: set[str] = set()
    order: list[_Unit] = []
    for position, row in enumerate(rows):
        path: Path = ("input", "units", str(position))
        code, name, first_day = _check_row(check, path, row)
        if row.code in seen:
            check.duplicate((*path, "code"), f"编码“{row.code}”重复出现。", f"The code {row.code} occurs twice.")
            continue
        seen.add(row.code)
        old = existing.get(row.code)
        if old is not None and old["valid_to"] is not None and old["valid_to"] < today:
            check.add(
                ErrorCode.UNIT_CLOSED,
                (*path, "code"),
                Text(zh=f"“{old['name']}”已于{old['valid_to']}终止。", en=f"{old['name']} ended on {old['valid_to']}."),
            )
        elif old is not None and old["valid_to"] is not None and first_day is not None and first_day > old["valid_to"]:
            check.invalid(
                (*path, "validFrom"),
                f"单位将于{old['valid_to']}终止，第一天不能更晚。",
                f"The unit ends on {old['valid_to']}; its first day cannot be later.",
            )
        parent_id = _parent(check, path, row, codes, existing, root, today)
        category_id = None if row.category_code is None else categories.get(row.category_code)
        if row.category_code is not None and category_id is None:
            check.add(
                ErrorCode.NOT_FOUND,
                (*path, "categoryCode"),
                Text(zh=f"没有编码为“{row.category_code}”的考核类别。", en="There is no category with this code."),
                Text(zh="请先用 createCategory 新增。", en="Add it with createCategory first."),
            )
        if code is None or name is None:
            continue
        unit = units.get(codes[row.code])
        if unit is None:
            unit = _Unit(
                ids[position], code, name, row.kind, parent_id, category_id, first_day or today, row.member_count, ""
            )
            unit.new = True
            units[unit.id] = unit
        else:
            unit.name, unit.kind, unit.parent_id = name, row.kind, parent_id
            unit.category_id = category_id or unit.category_id
            unit.valid_from = first_day or unit.valid_from
            unit.member_count = unit.member_count if row.member_count is None else row.member_count
        unit.row = position
        order.append(unit)
    return _Plan(units, before, order)


def _existing(row: Mapping[str, Any]) -> _Unit:
    return _Unit(
        row["id"],
        row["code"],
        row["name"],
        row["kind"],
        row["parent_id"],
        row["category_id"],
        row["valid_from"],
        row["member_count"],
        row["tree_path"],
    )


def _check_row(check: Check, path: Path, row: UnitRow) -> tuple[str | None, str | None, date | None]:
    check_kind(check, (*path, "kind"), row.kind)
    check_count(check, (*path, "memberCount"), row.member_count)
    return (
        check.code((*path, "code"), row.code),
        check.line((*path, "name"), row.name),
        None if row.valid_from is None else check.date((*path, "validFrom"), row.valid_from),
    )


def _parent(
    check: Check,
    path: Path,
    row: UnitRow,
    codes: Mapping[str, UUID],
    existing: Mapping[str, Mapping[str, Any]],
    root: Mapping[str, Any],
    today: date,
) -> UUID | None:
    """The unit above; None for the root alone."""
    if row.code == root["code"]:
        if row.parent_code is not None:
            check.invalid((*path, "parentCode"), "根单位没有上级。", "The root of the tree has no unit above.")
        return None
    if row.parent_code is None:
        key: UUID = existing[row.code]["parent_id"] if row.code in existing else root["id"]
        return key
    if row.parent_code not in codes:
        check.add(
            ErrorCode.NOT_FOUND,
            (*path, "parentCode"),
            Text(
                zh=f"没有编码为“{row.parent_code}”的单位，本次导入中也没有。",
                en=f"There is no unit with the code {row.parent_code}, nor a row of this import.",
            ),
        )
        return None
    above = existing.get(row.parent_code)
    if above is not None and above["valid_to"] is not None and above["valid_to"] < today:
        check.add(
            ErrorCode.UNIT_CLOSED,
            (*path, "parentCode"),
            Text(
                zh=f"“{above['name']}”已于{above['valid_to']}终止。",
                en=f"{above['name']} ended on {above['valid_to']}.",
            ),
        )
    return codes[row.parent_code]


def _check_tree(check: Check, plan: _Plan) -> None:
    """Note rings and places that are too deep, each at the row that brings it about."""
    rows = {unit.id: unit.row for unit in plan.order}
    for unit in plan.units.values():
        chain = _upwards(plan, unit.id)
        if chain is None:
            if unit.id in rows and _in_ring(plan, unit):
                path = ("input", "units", str(unit.row), "parentCode")
                check.invalid(path, "单位不能成为自己的上级。", "No unit can become its own ancestor.")
        elif len(chain) > MAX_DEPTH:
            row = next((rows[key] for key in chain if key in rows), None)
            check_depth(check, ("input", "units", str(row), "parentCode"), len(chain))


def _upwards(plan: _Plan, key: UUID) -> list[UUID] | None:
    """The unit itself, then the units above it up to the root; None where that never ends."""
    chain = [key]
    while (above := plan.units[chain[-1]].parent_id) is not None:
        if len(chain) > MAX_DEPTH and above in chain:
            return None
        chain.append(above)
    return chain


def _in_ring(plan: _Plan, unit: _Unit) -> bool:
    seen: set[UUID] = set()
    above = unit.parent_id
    while above is not None and above not in seen:
        if above == unit.id:
            return True
        seen.add(above)
        above = plan.units[above].parent_id
    return False


async def _write(tx: Transaction, plan: _Plan, today: date) -> ImportedUnits:
    new = [unit for unit in plan.order if unit.new]
    changed = [unit for unit in plan.order if not unit.new and unit.state() != plan.before[unit.id]]
    placed = _placed(plan)
    for unit, path in placed.items():
        plan.units[unit].tree_path = path
    await _insert(tx, new)
    await _update(tx, changed)
    await _keep_names(tx, plan, changed, today)
    await _place(tx, plan, placed)
    touched = [unit.id for unit in plan.order if unit.new or unit.state() != plan.before[unit.id]]
    return ImportedUnits(len(new), len(changed), len(plan.order) - len(new) - len(changed), touched[:SHOWN_UNITS])


def _placed(plan: _Plan) -> dict[UUID, str]:
    """New paths of all units whose place is new, those below a moved one included."""
    paths: dict[UUID, str] = {}

    def path_of(unit: _Unit) -> str:
        chain = [unit]
        while chain[-1].id not in paths and chain[-1].parent_id is not None:
            chain.append(plan.units[chain[-1].parent_id])
        for each in reversed(chain):
            if each.id not in paths:
                above = [] if each.parent_id is None else [paths[each.parent_id]]
                paths[each.id] = tree_path([*above, each.code])
        return paths[unit.id]

    return {key: path_of(unit) for key, unit in plan.units.items() if path_of(unit) != unit.tree_path}


async def _insert(tx: Transaction, new: Sequence[_Unit]) -> None:
    if new:
        await tx.execute(
            """
            INSERT INTO org_units (tenant_id, id, code, name, kind, parent_id, category_id, valid_from, member_count,
                                   tree_path, version)
            SELECT $1, given.*, 1
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::date[], $9::int[],
                        $10::text[]) AS given
            """,
            tx.tenant_id,
            [unit.id for unit in new],
            [unit.code for unit in new],
            [unit.name for unit in new],
            [unit.kind for unit in new],
            [unit.parent_id for unit in new],
            [unit.category_id for unit in new],
            [unit.valid_from for unit in new],
            [unit.member_count for unit in new],
            [unit.tree_path for unit in new],
        )


async def _update(tx: Transaction, changed: Sequence[_Unit]) -> None:
    if changed:
        await tx.execute(
            """
            UPDATE org_units ou
            SET name = given.name, kind = given.kind, parent_id = given.parent_id, category_id = given.category_id,
                valid_from = given.valid_from, member_count = given.member_count, version = ou.version + 1
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::date[], $8::int[])
                 AS given (id, name, kind, parent_id, category_id, valid_from, member_count)
            WHERE ou.tenant_id = $1 AND ou.id = given.id
            """,
            tx.tenant_id,
            [unit.id for unit in changed],
            [unit.name for unit in changed],
            [unit.kind for unit in changed],
            [unit.parent_id for unit in changed],
            [unit.category_id for unit in changed],
            [unit.valid_from for unit in changed],
            [unit.member_count for unit in changed],
        )


async def _keep_names(tx: Transaction, plan: _Plan, changed: Sequence[_Unit], today: date) -> None:
    """Former names of the units that were renamed: they held until yesterday."""
    renamed = [unit for unit in changed if unit.name != plan.before[unit.id][0]]
    if renamed:
        await tx.execute(
            """
            INSERT INTO org_unit_names (tenant_id, id, unit_id, name, until)
            SELECT $1, given.id, given.unit_id, given.name, $5
            FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS given (id, unit_id, name)
            JOIN org_units ou ON ou.tenant_id = $1 AND ou.id = given.unit_id AND ou.valid_from <= $5
            WHERE NOT EXISTS (SELECT 1 FROM org_unit_names fn
                              WHERE fn.tenant_id = $1 AND fn.unit_id = given.unit_id AND fn.until >= $5)
            """,
            tx.tenant_id,
            uuid7s(len(renamed)),
            [unit.id for unit in renamed],
            [str(plan.before[unit.id][0]) for unit in renamed],
            today - timedelta(days=1),
        )


async def _place(tx: Transaction, plan: _Plan, placed: Mapping[UUID, str]) -> None:
    """Write the paths and ancestors of all units whose place is new."""
    if not placed:
        return
    await tx.execute(
        """
        UPDATE org_units ou SET tree_path = given.tree_path FROM unnest($2::uuid[], $3::text[]) AS given (id, tree_path)
        WHERE ou.tenant_id = $1 AND ou.id = given.id AND ou.tree_path <> given.tree_path
        """,
        tx.tenant_id,
        list(placed),
        list(placed.values()),
    )
    await tx.execute(
        "DELETE FROM org_unit_ancestors WHERE tenant_id = $1 AND unit_id = ANY($2::uuid[])", tx.tenant_id, list(placed)
    )
    links = [(key, above, depth) for key in placed for depth, above in enumerate(_upwards(plan, key) or ())]
    await tx.execute(
        """
        INSERT INTO org_unit_ancestors (tenant_id, unit_id, ancestor_id, depth)
        SELECT $1, given.* FROM unnest($2::uuid[], $3::uuid[], $4::int[]) AS given
        """,
        tx.tenant_id,
        [link[0] for link in links],
        [link[1] for link in links],
        [link[2] for link in links],
    )


def _digest(rows: Sequence[UnitRow]) -> str:
    return hashlib.sha256(orjson.dumps(list(rows))).hexdigest()
