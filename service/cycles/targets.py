"""Targets per unit, set before the opening (下达目标)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from service import audit
from service.access import Actor, Role
from service.checks import Check
from service.cycles.steps import locked, refused
from service.errors import NotFound
from service.scoring.text import Text
from tenants.database import Transaction

MOST_TARGETS: Final = 20_000
"""Targets set in one call."""


@dataclass(frozen=True)
class TargetRow:
    """A unit's target as it was typed."""

    unit_id: str
    value: str


async def assign_targets(
    tx: Transaction, actor: Actor, *, cycle_id: str, data_item_id: str, targets: Sequence[TargetRow]
) -> tuple[UUID, int]:
    """Set targets of an assigned item (下达), one per unit, in place of those it had; the cycle's id, and how many.

    Raises AccessDenied, Invalid, NotFound, IllegalState (only a draft takes them).
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    check.id(("input", "cycleId"), cycle_id, "Cycle")
    item_key = check.id(("input", "dataItemId"), data_item_id, "DataItem")
    if not check.at_most(("input", "targets"), targets, MOST_TARGETS):
        check.done()
    if check.found:
        _read_targets(check, None, targets)
    check.done()
    row = await locked(tx, cycle_id, None)
    if row["state"] != "DRAFT":
        raise refused(
            row["id"],
            row["state"],
            ("DRAFT",),
            ("input", "cycleId"),
            Text(zh="周期启动之后不能再下达目标。", en="Targets can't be set once the cycle is open."),
            Text(zh="目标须在启动填报之前下达。", en="They are set before it is opened."),
        )
    item = await tx.fetchrow(
        """SELECT d.id, d.name, d.type, coalesce(v.source, d.source) AS source, coalesce(v.scale, d.scale) AS scale,
                  CASE WHEN v.code IS NULL THEN d.minimum ELSE v.minimum END AS minimum,
                  CASE WHEN v.code IS NULL THEN d.maximum ELSE v.maximum END AS maximum
           FROM data_items d LEFT JOIN scheme_version_items v
                ON v.tenant_id = d.tenant_id AND v.data_item_id = d.id AND v.scheme_version_id = $3
           WHERE d.tenant_id = $1 AND d.id = $2""",
        tx.tenant_id,
        item_key,
        row["scheme_version_id"],
    )
    if item is None:
        raise NotFound(("input", "dataItemId"))
    if item["source"] != "ASSIGNED" or item["type"] not in ("NUMBER", "INTEGER"):
        check.invalid(
            ("input", "dataItemId"),
            f"“{item['name']}”不是下达的数值型数据项。",
            f"{item['name']} is not a number that is assigned.",
            hint=Text(zh="数据项的来源须为“下达”。", en="The item's source must be ASSIGNED."),
        )
    units, values = _read_targets(check, item, targets)
    known = {
        found["id"]
        for found in await tx.fetch(
            "SELECT id FROM org_units WHERE tenant_id = $1 AND id = ANY ($2::uuid[])", tx.tenant_id, units
        )
    }
    for place, unit in enumerate(units):
        if unit is not None and unit not in known:
            check.unknown(("input", "targets", str(place), "unitId"))
    check.done()
    await tx.execute(
        """INSERT INTO cycle_targets (tenant_id, cycle_id, data_item_id, unit_id, number)
           SELECT $1, $2, $3, g.unit_id, g.number FROM unnest($4::uuid[], $5::numeric[]) AS g(unit_id, number)
           ON CONFLICT (tenant_id, cycle_id, data_item_id, unit_id) DO UPDATE SET number = EXCLUDED.number""",
        tx.tenant_id,
        row["id"],
        item["id"],
        units,
        values,
    )
    await audit.append(
        tx,
        actor,
        "assignTargets",
        subject=("Cycle", row["id"]),
        summary=Text(
            zh=f"在“{row['name']}”下达“{item['name']}”目标{len(units)}个",
            en=f'Set {len(units)} targets of {item["name"]} in "{row["name"]}"',
        ),
        facts={"dataItem": str(item["id"]), "count": len(units)},
    )
    return row["id"], len(units)


def _read_targets(
    check: Check, item: asyncpg.Record | None, targets: Sequence[TargetRow]
) -> tuple[list[UUID | None], list[Decimal | None]]:
    """Units and values, in order; None where one is faulty. Without the item only what can't be read is noted."""
    units: list[UUID | None] = []
    values: list[Decimal | None] = []
    seen: set[UUID] = set()
    bounds: dict[str, Any] = {}
    if item is not None:
        scale = 0 if item["type"] == "INTEGER" else item["scale"]
        bounds = {"scale": scale, "minimum": item["minimum"], "maximum": item["maximum"]}
    for place, target in enumerate(targets):
        path = ("input", "targets", str(place))
        unit = check.id((*path, "unitId"), target.unit_id, "OrgUnit")
        if unit in seen:
            check.duplicate((*path, "unitId"), "该单位有两个目标。", "The unit has two targets.")
        elif unit is not None:
            seen.add(unit)
        units.append(unit)
        values.append(check.decimal((*path, "value"), target.value, **bounds))
    return units, values
