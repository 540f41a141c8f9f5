"""Units one by one: create, rename, move, edit, close (单位的设立、更名、调整、终止)."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from service.access import Actor
from service.audit import Change, append
from service.checks import Check
from service.directory.tree import (
    KEEP,
    SEPARATOR,
    Keep,
    check_code_is_free,
    check_count,
    check_depth,
    check_kind,
    lock_tree,
    read_unit,
    read_unit_version,
    require_administrator,
    require_category,
    require_open,
    tree_path,
)
from service.errors import ErrorCode, IllegalState
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7


async def create_org_unit(
    tx: Transaction,
    actor: Actor,
    *,
    code: str,
    name: str,
    kind: str,
    parent_id: str,
    category_id: str | None = None,
    valid_from: str | None = None,
    member_count: int | None = None,
) -> UUID:
    """Add a unit under another, valid from today unless said. Raises AccessDenied, Invalid, NotFound, IllegalState."""
    check = Check()
    clean_code = check.code(("input", "code"), code)
    clean_name = check.line(("input", "name"), name)
    check_kind(check, ("input", "kind"), kind)
    parent_key = check.id(("input", "parentId"), parent_id, "OrgUnit")
    category_key = None if category_id is None else check.id(("input", "categoryId"), category_id, "Category")
    first_day = None if valid_from is None else check.date(("input", "validFrom"), valid_from)
    check_count(check, ("input", "memberCount"), member_count)
    await require_administrator(tx, actor, {("input", "parentId"): parent_key})
    today = await lock_tree(tx)
    await check_code_is_free(tx, check, "org_units", clean_code, None)
    check.done()
    assert clean_code is not None
    assert parent_key is not None
    parent = await read_unit(tx, parent_key, ("input", "parentId"))
    require_open(parent, today, ("input", "parentId"))
    await require_category(tx, category_key, ("input", "categoryId"))
    check_depth(check, ("input", "parentId"), await _depth(tx, parent_key) + 1)
    check.done()
    unit_id = uuid7()
    await tx.execute(
        """
        INSERT INTO org_units (tenant_id, id, code, name, kind, category_id, parent_id, tree_path, valid_from,
                               member_count, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)
        """,
        tx.tenant_id,
        unit_id,
        clean_code,
        clean_name,
        kind,
        category_key,
        parent_key,
        tree_path([parent["tree_path"], clean_code]),
        first_day or today,
        member_count,
    )
    await tx.execute(
        """
        INSERT INTO org_unit_ancestors (tenant_id, unit_id, ancestor_id, depth)
        SELECT $1::uuid, $2::uuid, ancestor_id, depth + 1 FROM org_unit_ancestors WHERE tenant_id = $1 AND unit_id = $3
        UNION ALL SELECT $1, $2, $2, 0
        """,
        tx.tenant_id,
        unit_id,
        parent_key,
    )
    await append(
        tx,
        actor,
        "createOrgUnit",
        subject=("OrgUnit", unit_id),
        summary=Text(zh=f"在“{parent['name']}”下设立“{clean_name}”", en=f"Added {clean_name} under {parent['name']}"),
    )
    return unit_id


async def rename_org_unit(
    tx: Transaction, actor: Actor, *, org_unit_id: str, version: int, name: str, from_: str | None = None
) -> UUID:
    """Give a unit a new name as of a day up to today; the old one is kept as a former name.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    check = Check()
    key = check.id(("input", "orgUnitId"), org_unit_id, "OrgUnit")
    clean_name = check.line(("input", "name"), name)
    given_day = None if from_ is None else check.date(("input", "from"), from_)
    await require_administrator(tx, actor, {("input", "orgUnitId"): key})
    check.done()
    assert key is not None
    today = await lock_tree(tx)
    unit = await read_unit_version(tx, key, version)
    require_open(unit, today, ("input", "orgUnitId"))
    day = given_day or today
    _check_not_in_future(check, day, today)
    if clean_name == unit["name"]:
        check.invalid(("input", "name"), "新名称与现名称相同。", "The unit has this name already.")
    latest: date | None = await tx.fetchval(
        "SELECT max(until) FROM org_unit_names WHERE tenant_id = $1 AND unit_id = $2", tx.tenant_id, key
    )
    begins = unit["valid_from"] if latest is None else latest + timedelta(days=1)
    if day < begins:
        check.invalid(
            ("input", "from"), f"现名称自{begins}起使用，新名称不能更早。", f"The present name holds from {begins}."
        )
    check.done()
    if day > begins:
        await tx.execute(
            "INSERT INTO org_unit_names (tenant_id, id, unit_id, name, until) VALUES ($1, $2, $3, $4, $5)",
            tx.tenant_id,
            uuid7(),
            key,
            unit["name"],
            day - timedelta(days=1),
        )
    await tx.execute(
        "UPDATE org_units SET name = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        key,
        clean_name,
    )
    await append(
        tx,
        actor,
        "renameOrgUnit",
        subject=("OrgUnit", key),
        summary=Text(
            zh=f"“{unit['name']}”自{day}起更名为“{clean_name}”", en=f"{unit['name']} is called {clean_name} from {day}"
        ),
        changes=[Change("name", unit["name"], clean_name)],
    )
    return key


async def move_org_unit(
    tx: Transaction,
    actor: Actor,
    *,
    org_unit_id: str,
    version: int,
    parent_id: str,
    from_: str | None = None,
    reason: str | None = None,
) -> UUID:
    """Put a unit with all below it under another; open cycles keep the old place.

    Raises AccessDenied, Invalid (also where it would become its own ancestor), NotFound, VersionConflict, IllegalState.
    """
    check = Check()
    key = check.id(("input", "orgUnitId"), org_unit_id, "OrgUnit")
    parent_key = check.id(("input", "parentId"), parent_id, "OrgUnit")
    given_day = None if from_ is None else check.date(("input", "from"), from_)
    clean_reason = check.prose(("input", "reason"), reason)
    await require_administrator(tx, actor, {("input", "orgUnitId"): key, ("input", "parentId"): parent_key})
    check.done()
    assert key is not None
    assert parent_key is not None
    today = await lock_tree(tx)
    unit = await read_unit_version(tx, key, version)
    require_open(unit, today, ("input", "orgUnitId"))
    parent = await read_unit(tx, parent_key, ("input", "parentId"))
    require_open(parent, today, ("input", "parentId"))
    day = given_day or today
    _check_not_in_future(check, day, today)
    if unit["parent_id"] is None:
        check.invalid(("input", "orgUnitId"), "根单位不能移动。", "The root of the tree cannot be moved.")
    elif await tx.fetchval(
        "SELECT true FROM org_unit_ancestors WHERE tenant_id = $1 AND unit_id = $2 AND ancestor_id = $3",
        tx.tenant_id,
        parent_key,
        key,
    ):
        check.invalid(
            ("input", "parentId"),
            f"“{parent['name']}”就在“{unit['name']}”之下，单位不能成为自己的上级。",
            f"{parent['name']} lies below {unit['name']}; no unit can become its own ancestor.",
        )
    height: int = await tx.fetchval(
        "SELECT max(depth) FROM org_unit_ancestors WHERE tenant_id = $1 AND ancestor_id = $2", tx.tenant_id, key
    )
    check_depth(check, ("input", "parentId"), await _depth(tx, parent_key) + 1 + height)
    check.done()
    if unit["parent_id"] == parent_key:
        return key
    await tx.execute(
        "UPDATE org_units SET parent_id = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        key,
        parent_key,
    )
    await _replace_path(tx, key, unit["tree_path"], tree_path([parent["tree_path"], unit["code"]]))
    await _replace_ancestors(tx, key, parent_key)
    old_parent = await read_unit(tx, unit["parent_id"], ("input", "orgUnitId"))
    await append(
        tx,
        actor,
        "moveOrgUnit",
        subject=("OrgUnit", key),
        summary=Text(
            zh=f"“{unit['name']}”自{day}起由“{old_parent['name']}”划归“{parent['name']}”",
            en=f"Moved {unit['name']} from {old_parent['name']} to {parent['name']} as of {day}",
        ),
        reason=clean_reason,
        changes=[Change("parent", old_parent["code"], parent["code"])],
    )
    return key


async def edit_org_unit(
    tx: Transaction,
    actor: Actor,
    *,
    org_unit_id: str,
    version: int,
    code: str | None = None,
    kind: str | None = None,
    category_id: str | Keep | None = KEEP,
    member_count: int | Keep | None = KEEP,
) -> UUID:
    """Change code, kind, category or number of members; what is left out stays, None clears the last two.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    check = Check()
    key = check.id(("input", "orgUnitId"), org_unit_id, "OrgUnit")
    clean_code = None if code is None else check.code(("input", "code"), code)
    if kind is not None:
        check_kind(check, ("input", "kind"), kind)
    category_key: UUID | Keep | None = (
        check.id(("input", "categoryId"), category_id, "Category") if isinstance(category_id, str) else category_id
    )
    if isinstance(member_count, int):
        check_count(check, ("input", "memberCount"), member_count)
    await require_administrator(tx, actor, {("input", "orgUnitId"): key})
    today = await lock_tree(tx)
    await check_code_is_free(tx, check, "org_units", clean_code, key)
    check.done()
    assert key is not None
    unit = await read_unit_version(tx, key, version)
    require_open(unit, today, ("input", "orgUnitId"))
    if isinstance(category_key, UUID):
        await require_category(tx, category_key, ("input", "categoryId"))
    after: dict[str, Any] = {
        "code": clean_code or unit["code"],
        "kind": kind or unit["kind"],
        "category_id": unit["category_id"] if category_key is KEEP else category_key,
        "member_count": unit["member_count"] if member_count is KEEP else member_count,
    }
    names = {"code": "code", "kind": "kind", "category_id": "category", "member_count": "memberCount"}
    changes = [
        Change(names[column], _said(unit[column]), _said(value))
        for column, value in after.items()
        if unit[column] != value
    ]
    if not changes:
        return key
    await tx.execute(
        """UPDATE org_units SET code = $3, kind = $4, category_id = $5, member_count = $6, version = version + 1
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        key,
        after["code"],
        after["kind"],
        after["category_id"],
        after["member_count"],
    )
    if after["code"] != unit["code"]:
        above = unit["tree_path"].rpartition(SEPARATOR)[0]
        await _replace_path(tx, key, unit["tree_path"], tree_path([above, after["code"]] if above else [after["code"]]))
    await append(
        tx,
        actor,
        "editOrgUnit",
        subject=("OrgUnit", key),
        summary=Text(zh=f"修改单位“{unit['name']}”", en=f"Changed the unit {unit['name']}"),
        changes=changes,
    )
    return key


async def close_org_unit(
    tx: Transaction, actor: Actor, *, org_unit_id: str, version: int, last_day: str, reason: str
) -> UUID:
    """End a unit after a day; all units below must have ended by then. Nothing is deleted.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    check = Check()
    key = check.id(("input", "orgUnitId"), org_unit_id, "OrgUnit")
    day = check.date(("input", "lastDay"), last_day)
    clean_reason = check.prose(("input", "reason"), reason, required=True)
    await require_administrator(tx, actor, {("input", "orgUnitId"): key})
    check.done()
    assert key is not None
    assert day is not None
    await lock_tree(tx)
    unit = await read_unit_version(tx, key, version)
    if unit["valid_to"] is not None:
        raise IllegalState(
            Text(zh=f"该单位已定于{unit['valid_to']}终止。", en=f"The unit ends on {unit['valid_to']} already."),
            code=ErrorCode.UNIT_CLOSED,
            subject=("OrgUnit", key),
            path=("input", "orgUnitId"),
        )
    if unit["parent_id"] is None:
        check.invalid(("input", "orgUnitId"), "根单位不能终止。", "The root of the tree cannot be closed.")
    if day < unit["valid_from"]:
        check.invalid(
            ("input", "lastDay"),
            f"单位自{unit['valid_from']}起存续，最后一天不能更早。",
            f"The unit exists from {unit['valid_from']}; its last day cannot be earlier.",
        )
    check.done()
    open_below = await tx.fetch(
        """SELECT name, count(*) OVER () AS count FROM org_units
           WHERE tenant_id = $1 AND parent_id = $2 AND (valid_to IS NULL OR valid_to > $3) ORDER BY code LIMIT 3""",
        tx.tenant_id,
        key,
        day,
    )
    if open_below:
        names = [row["name"] for row in open_below]
        raise IllegalState(
            Text(
                zh=f"下级还有{open_below[0]['count']}个单位存续，如{'、'.join(names)}。",
                en=f"{open_below[0]['count']} units below still exist, such as {', '.join(names)}.",
            ),
            subject=("OrgUnit", key),
            path=("input", "orgUnitId"),
            hint=Text(zh="请先终止或划转下级单位。", en="Close them, or move them elsewhere, first."),
        )
    await tx.execute(
        "UPDATE org_units SET valid_to = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        key,
        day,
    )
    await append(
        tx,
        actor,
        "closeOrgUnit",
        subject=("OrgUnit", key),
        summary=Text(zh=f"“{unit['name']}”于{day}终止", en=f"{unit['name']} ends on {day}"),
        reason=clean_reason,
        changes=[Change("validTo", None, str(day))],
    )
    return key


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _check_not_in_future(check: Check, day: date, today: date) -> None:
    if day > today:
        check.invalid(
            ("input", "from"), f"日期不能晚于今天（{today}）。", f"The day cannot be later than today ({today})."
        )


async def _depth(tx: Transaction, unit_id: UUID) -> int:
    """The level of a unit, 1 for the root."""
    levels: int = await tx.fetchval(
        "SELECT count(*) FROM org_unit_ancestors WHERE tenant_id = $1 AND unit_id = $2", tx.tenant_id, unit_id
    )
    return levels


async def _replace_path(tx: Transaction, unit_id: UUID, old: str, new: str) -> None:
    """Give a unit and all below it the paths of their new place."""
    await tx.execute(
        """
        UPDATE org_units ou SET tree_path = $4 || substr(ou.tree_path, length($3) + 1)
        FROM org_unit_ancestors oa
        WHERE ou.tenant_id = $1 AND oa.tenant_id = $1 AND oa.ancestor_id = $2 AND oa.unit_id = ou.id
        """,
        tx.tenant_id,
        unit_id,
        old,
        new,
    )


async def _replace_ancestors(tx: Transaction, unit_id: UUID, parent_id: UUID) -> None:
    """Cut a subtree off its old ancestors and hang it below its new ones."""
    await tx.execute(
        """
        DELETE FROM org_unit_ancestors oa
        USING org_unit_ancestors below
        WHERE oa.tenant_id = $1 AND below.tenant_id = $1 AND below.ancestor_id = $2 AND oa.unit_id = below.unit_id
          AND oa.depth > below.depth
        """,
        tx.tenant_id,
        unit_id,
    )
    await tx.execute(
        """
        INSERT INTO org_unit_ancestors (tenant_id, unit_id, ancestor_id, depth)
        SELECT $1, below.unit_id, above.ancestor_id, below.depth + above.depth + 1
        FROM org_unit_ancestors below, org_unit_ancestors above
        WHERE below.tenant_id = $1 AND above.tenant_id = $1 AND below.ancestor_id = $2 AND above.unit_id = $3
        """,
        tx.tenant_id,
        unit_id,
        parent_id,
    )
