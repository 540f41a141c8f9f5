"""What all changes of the tree share: the lock, reading units, paths and ancestors (单位树)."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from service.access import Actor, Role, covered_units, forbidden
from service.checks import Check
from service.errors import Conflict, ErrorCode, IllegalState, NotFound, Path, VersionConflict
from service.scoring.text import Text
from tenants.database import Transaction

KINDS = {
    "COMMITTEE": Text(zh="党委（党工委）", en="committee"),
    "GENERAL_BRANCH": Text(zh="党总支", en="general branch"),
    "BRANCH": Text(zh="党支部", en="branch"),
    "DEPARTMENT": Text(zh="部门", en="department"),
}
"""Kinds of units, by the names that the database and the API use."""

MAX_DEPTH = 16
"""Levels of the tree, the root included."""

SEPARATOR = " "
"""Between the codes of a tree path. It sorts before every character of a code, so a subtree follows its unit."""


class Keep(Enum):
    """Says that a field is to stay as it is, where None would clear it."""

    KEEP = "keep"


KEEP: Final[Literal[Keep.KEEP]] = Keep.KEEP


async def lock_tree(tx: Transaction) -> date:
    """Wait for other changes of the tree and hold off later ones; gives today's date in the tenant's time zone."""
    row = await tx.fetchrow(
        "SELECT (now() AT TIME ZONE time_zone)::date AS today FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE",
        tx.tenant_id,
    )
    assert row is not None, "a transaction is bound to a tenant that exists"
    today: date = row["today"]
    return today


async def require_administrator(tx: Transaction, actor: Actor, units: Mapping[Path, UUID | None] | None = None) -> None:
    """Refuse unless the actor administers all of the units that exist, by their places in the input.

    None: the whole district.
    """
    roles = (Role.ADMINISTRATOR,)
    if actor.holds_at_root(*roles):
        return
    if not units or Role.ADMINISTRATOR not in actor.roles:
        raise forbidden(roles, path=next(iter(units or ()), ("input",)))
    # Where the units lie now is where they lie until the commit.
    await lock_tree(tx)
    wanted = [key for key in units.values() if key is not None]
    rows = await tx.fetch(
        "SELECT id FROM org_units WHERE tenant_id = $1 AND id = ANY($2::uuid[])", tx.tenant_id, wanted
    )
    strange = {row["id"] for row in rows} - await covered_units(tx, actor, roles, wanted)
    for path, key in units.items():
        if key in strange:
            raise forbidden(roles, path=path)


async def read_unit(tx: Transaction, unit_id: UUID, path: Path) -> asyncpg.Record:
    """A unit's row; raises NotFound."""
    row = await tx.fetchrow("SELECT * FROM org_units WHERE tenant_id = $1 AND id = $2", tx.tenant_id, unit_id)
    if row is None:
        raise NotFound(path)
    return row


async def read_unit_version(tx: Transaction, unit_id: UUID, version: int) -> asyncpg.Record:
    """The unit that an input edits, at the version that it saw; raises NotFound, VersionConflict."""
    row = await read_unit(tx, unit_id, ("input", "orgUnitId"))
    if row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "OrgUnit", unit_id)])
    return row


def require_open(unit: Mapping[str, Any], today: date, path: Path) -> None:
    """Refuse where the unit has ended."""
    if unit["valid_to"] is not None and unit["valid_to"] < today:
        raise IllegalState(
            Text(
                zh=f"“{unit['name']}”已于{unit['valid_to']}终止。",
                en=f"{unit['name']} ended on {unit['valid_to']}.",
            ),
            code=ErrorCode.UNIT_CLOSED,
            subject=("OrgUnit", unit["id"]),
            path=path,
            hint=Text(zh="请改选仍在存续的单位。", en="Choose a unit that still exists."),
        )


async def require_category(tx: Transaction, category_id: UUID | None, path: Path) -> None:
    """Refuse a category that is not there."""
    if category_id is not None and not await tx.fetchval(
        "SELECT true FROM categories WHERE tenant_id = $1 AND id = $2", tx.tenant_id, category_id
    ):
        raise NotFound(path)


async def check_code_is_free(tx: Transaction, check: Check, table: str, code: str | None, own: UUID | None) -> None:
    """Note a duplicate code; `own` is the row that may have it."""
    if code is not None and await tx.fetchval(
        f"SELECT true FROM {table} WHERE tenant_id = $1 AND code = $2 AND id IS DISTINCT FROM $3",
        tx.tenant_id,
        code,
        own,
    ):
        check.duplicate(("input", "code"), f"编码“{code}”已被使用。", f"The code {code} is taken.")


def check_kind(check: Check, path: Path, kind: str) -> None:
    """Note a kind that there is not."""
    if kind not in KINDS:
        check.invalid(path, f"没有“{kind}”这种单位。", f"There is no kind of unit called {kind}.")


def check_count(check: Check, path: Path, count: int | None) -> None:
    """Note a negative number of members."""
    if count is not None and count < 0:
        check.invalid(path, "党员数不能为负。", "The number of members cannot be negative.")


def check_depth(check: Check, path: Path, depth: int) -> None:
    """Note a place that is too deep; `depth` counts levels, the root included."""
    if depth > MAX_DEPTH:
        check.invalid(path, f"单位树最多{MAX_DEPTH}级。", f"The tree has at most {MAX_DEPTH} levels.")


def tree_path(codes: Sequence[str]) -> str:
    """The path of a unit, from the codes of the root down to its own."""
    return SEPARATOR.join(codes)
