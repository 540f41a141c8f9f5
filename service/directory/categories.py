"""Categories: peer groups that are ranked together (考核类别)."""

from uuid import UUID

from service.access import Actor, Role
from service.audit import Change, append
from service.checks import Check
from service.directory.tree import check_code_is_free, lock_tree
from service.errors import Conflict, NotFound, VersionConflict
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7

MOST_CATEGORIES = 100
"""Categories of a district."""

ADMINISTRATORS = (Role.ADMINISTRATOR, Role.ORGANISER)
"""Who may change categories, for the whole district."""


async def create_category(tx: Transaction, actor: Actor, *, code: str, name: str) -> UUID:
    """Add a category, last in order. Raises AccessDenied, Invalid."""
    actor.require_at_root(*ADMINISTRATORS)
    check = Check()
    clean_code = check.code(("input", "code"), code)
    clean_name = check.line(("input", "name"), name)
    await lock_tree(tx)
    await check_code_is_free(tx, check, "categories", clean_code, None)
    await _check_name_is_free(tx, check, clean_name, None)
    row = await tx.fetchrow(
        "SELECT count(*) AS count, coalesce(max(position), 0) AS last FROM categories WHERE tenant_id = $1",
        tx.tenant_id,
    )
    assert row is not None
    if row["count"] >= MOST_CATEGORIES:
        check.invalid(
            ("input", "code"),
            f"考核类别最多{MOST_CATEGORIES}个。",
            f"There can be at most {MOST_CATEGORIES} categories.",
        )
    check.done()
    category_id = uuid7()
    await tx.execute(
        "INSERT INTO categories (tenant_id, id, code, name, position, version) VALUES ($1, $2, $3, $4, $5, 1)",
        tx.tenant_id,
        category_id,
        clean_code,
        clean_name,
        row["last"] + 1,
    )
    await append(
        tx,
        actor,
        "createCategory",
        subject=("Category", category_id),
        summary=Text(zh=f"新增考核类别“{clean_name}”", en=f"Added the category {clean_name}"),
    )
    return category_id


async def edit_category(
    tx: Transaction, actor: Actor, *, category_id: str, version: int, code: str | None = None, name: str | None = None
) -> UUID:
    """Change code or name; None keeps. Boards keep the old name.

    Raises AccessDenied, Invalid, NotFound, VersionConflict.
    """
    actor.require_at_root(*ADMINISTRATORS)
    check = Check()
    key = check.id(("input", "categoryId"), category_id, "Category")
    clean_code = None if code is None else check.code(("input", "code"), code)
    clean_name = None if name is None else check.line(("input", "name"), name)
    await lock_tree(tx)
    await check_code_is_free(tx, check, "categories", clean_code, key)
    await _check_name_is_free(tx, check, clean_name, key)
    check.done()
    assert key is not None
    row = await tx.fetchrow("SELECT * FROM categories WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key)
    if row is None:
        raise NotFound(("input", "categoryId"))
    if row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "Category", key)])
    after = {"code": clean_code or row["code"], "name": clean_name or row["name"]}
    changes = [Change(field, row[field], after[field]) for field in after if row[field] != after[field]]
    if changes:
        await tx.execute(
            "UPDATE categories SET code = $3, name = $4, version = version + 1 WHERE tenant_id = $1 AND id = $2",
            tx.tenant_id,
            key,
            after["code"],
            after["name"],
        )
        await append(
            tx,
            actor,
            "editCategory",
            subject=("Category", key),
            summary=Text(zh=f"修改考核类别“{after['name']}”", en=f"Changed the category {after['name']}"),
            changes=changes,
        )
    return key


async def _check_name_is_free(tx: Transaction, check: Check, name: str | None, own: UUID | None) -> None:
    if name is not None and await tx.fetchval(
        "SELECT true FROM categories WHERE tenant_id = $1 AND name = $2 AND id IS DISTINCT FROM $3",
        tx.tenant_id,
        name,
        own,
    ):
        check.duplicate(
            ("input", "name"), f"已有名为“{name}”的考核类别。", f"There is a category called {name} already."
        )
