"""Freezing a draft (方案定稿): refused with all faults at once, else its data items are pinned and it never changes."""

from uuid import UUID

import asyncpg

from service.access import SYSTEM, Actor, Role
from service.audit import append
from service.checks import Check
from service.errors import ErrorCode, Invalid, Issue
from service.schemes.checking import check_rows
from service.schemes.documents import read_version
from service.schemes.versions import lock_draft
from service.scoring.text import Text
from tenants.database import Transaction


async def freeze_scheme_version(tx: Transaction, actor: Actor, *, scheme_version_id: str, version: int) -> UUID:
    """Freeze a draft; its id. Issues of a refusal have the paths of the check: codes from the root to the node.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, and IllegalState where it is frozen already.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "schemeVersionId"), scheme_version_id, "SchemeVersion")
    check.done()
    draft = await lock_draft(tx, key, ("input", "schemeVersionId"), version=version)
    await _freeze(tx, actor, draft)
    return UUID(str(draft["id"]))


async def freeze_draft(tx: Transaction, actor: Actor, version_id: UUID) -> bool:
    """Freeze a version for a use-case that has asked for the right to it; False where it is frozen already.

    Raises Invalid with all faults, and NotFound.
    """
    state = "SELECT state FROM scheme_versions WHERE tenant_id = $1 AND id = $2"
    # One that is frozen stays so; held for as long as an opening takes, nobody could begin a cycle on it.
    for asked in (state, f"{state} FOR UPDATE"):
        if await tx.fetchval(asked, tx.tenant_id, version_id) == "FROZEN":
            return False
    await _freeze(tx, actor, await lock_draft(tx, version_id, ("schemeVersionId",)))
    return True


async def _freeze(tx: Transaction, actor: Actor, draft: asyncpg.Record) -> None:
    # What is judged must be what is pinned: no item changes in between.
    await tx.fetch(
        """SELECT d.id FROM data_items d WHERE d.tenant_id = $1 AND d.id IN (
               SELECT ii.data_item_id FROM indicator_items ii
               JOIN indicators i ON i.tenant_id = ii.tenant_id AND i.id = ii.indicator_id
               WHERE ii.tenant_id = $1 AND i.scheme_version_id = $2)
           ORDER BY d.id FOR SHARE""",
        tx.tenant_id,
        draft["id"],
    )
    rows = await read_version(tx, draft["id"])
    assert rows is not None, "the draft is held"
    issues = [
        Issue(ErrorCode(fault.code), fault.path, fault.text, fault.hint)
        for fault in check_rows(rows).faults
        if fault.severity == "FAULT"
    ]
    if issues:
        raise Invalid(issues)
    await tx.execute(
        """INSERT INTO scheme_version_items (tenant_id, scheme_version_id, data_item_id, position, code, name,
                                             definition, type, unit_of_measure, scale, minimum, maximum, options,
                                             source, responsible_unit_ids, personal)
           SELECT $1, $2, d.id, u.position - 1, d.code, d.name, d.definition, d.type, d.unit_of_measure, d.scale,
                  d.minimum, d.maximum, d.options, d.source,
                  (SELECT coalesce(array_agg(r.unit_id ORDER BY r.position), '{}') FROM data_item_responsibles r
                   WHERE r.tenant_id = $1 AND r.data_item_id = d.id), d.personal
           FROM unnest($3::uuid[]) WITH ORDINALITY AS u(id, position)
           JOIN data_items d ON d.tenant_id = $1 AND d.id = u.id""",
        tx.tenant_id,
        draft["id"],
        [row["id"] for row in rows.items],
    )
    await tx.execute(
        """UPDATE scheme_versions SET version = version + 1, state = 'FROZEN', frozen_at = now(), frozen_by_id = $3
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        draft["id"],
        None if actor.id == SYSTEM else actor.id,
    )
    await append(
        tx,
        actor,
        "freezeSchemeVersion",
        subject=("SchemeVersion", draft["id"]),
        summary=Text(zh=f"第{draft['number']}版方案定稿", en=f"Froze version {draft['number']} of the scheme"),
        facts={"indicators": len(rows.nodes), "dataItems": len(rows.items)},
    )
