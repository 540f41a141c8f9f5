"""Changing the tree of a draft (编辑指标体系): one node at a time, or the whole tree at once.

Every change first holds the draft's row, so that changes of its shape come one after the other. A change of shape
raises the draft's version; a change of one node raises that node's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service.access import Actor, Role
from service.audit import Change, append
from service.checks import Check
from service.errors import Conflict, ErrorCode, NotFound, Path, VersionConflict
from service.schemes.nodes import (
    MOST_NODES,
    IndicatorSpec,
    Node,
    check_indicator,
    lay_out,
    read_nodes,
    read_places,
    remove_nodes,
    write_nodes,
    write_places,
)
from service.schemes.rules import References
from service.schemes.versions import lock_draft
from service.scoring.numbers import format_decimal
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7, uuid7s


@dataclass(frozen=True)
class IndicatorRow:
    """A node in its place: the code of the node above, None for the root's children."""

    indicator: IndicatorSpec
    parent_code: str | None = None


async def add_indicator(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_version_id: str,
    parent_id: str,
    position: int | None = None,
    indicator: IndicatorSpec,
) -> tuple[UUID, UUID]:
    """Add a node below another, last if no place is given; its id and the draft's.

    Raises AccessDenied, Invalid, NotFound, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    references = References()
    key = check.id(("input", "schemeVersionId"), scheme_version_id, "SchemeVersion")
    parent = check.id(("input", "parentId"), parent_id, "Indicator")
    node = check_indicator(check, ("input", "indicator"), indicator, references)
    _check_position(check, position)
    check.done()
    assert node is not None
    draft = await lock_draft(tx, key, ("input", "schemeVersionId"))
    nodes = await read_places(tx, draft["id"])
    if parent not in {each.id for each in nodes}:
        raise NotFound(("input", "parentId"))
    _check_code(check, ("input", "indicator", "code"), node.code, nodes)
    if len(nodes) > MOST_NODES:
        _too_many(check, ("input", "indicator"), len(nodes))
    check.done()
    await references.require(tx)
    node.id, node.parent_id = uuid7(), parent
    ordered = lay_out(_placed(nodes, node, position))
    await write_places(tx, draft["id"], [each for each in ordered if each is not node])
    await write_nodes(tx, draft["id"], [node])
    await _raise_version(tx, draft["id"])
    await append(
        tx,
        actor,
        "addIndicator",
        subject=("Indicator", node.id),
        summary=Text(
            zh=f"新增指标“{node.name}”（{node.ordinal}）", en=f'Added the indicator "{node.name}" ({node.ordinal})'
        ),
        changes=[Change("code", None, node.code)],
    )
    return node.id, draft["id"]


async def edit_indicator(
    tx: Transaction, actor: Actor, *, indicator_id: str, version: int, indicator: IndicatorSpec
) -> tuple[UUID, UUID]:
    """Make a node what is given, the whole of it, in its place; its id and the draft's.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    references = References()
    key = check.id(("input", "indicatorId"), indicator_id, "Indicator")
    node = check_indicator(check, ("input", "indicator"), indicator, references)
    check.done()
    assert node is not None
    draft, nodes, place = await _draft_of(tx, key, version)
    before = nodes[place]
    _check_code(check, ("input", "indicator", "code"), node.code, [each for each in nodes if each is not before])
    check.done()
    await references.require(tx)
    for name in ("id", "parent_id", "depth", "position", "print_order", "ordinal"):
        setattr(node, name, getattr(before, name))
    await write_nodes(tx, draft["id"], [node])
    await append(
        tx,
        actor,
        "editIndicator",
        subject=("Indicator", node.key),
        summary=Text(
            zh=f"修改指标“{node.name}”（{node.ordinal}）", en=f'Changed the indicator "{node.name}" ({node.ordinal})'
        ),
        changes=_changes(before, node),
    )
    return node.key, draft["id"]


async def move_indicator(
    tx: Transaction, actor: Actor, *, indicator_id: str, version: int, parent_id: str, position: int
) -> tuple[UUID, UUID]:
    """Put a node with all below it elsewhere in its draft; its id and the draft's.

    Raises AccessDenied, Invalid (the root, or below itself), NotFound, VersionConflict, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "indicatorId"), indicator_id, "Indicator")
    parent = check.id(("input", "parentId"), parent_id, "Indicator")
    _check_position(check, position)
    check.done()
    draft, nodes, place = await _draft_of(tx, key, version)
    node = nodes[place]
    by_id = {each.key: each for each in nodes}
    if parent not in by_id:
        raise NotFound(("input", "parentId"))
    if node.parent_id is None:
        check.invalid(("input", "indicatorId"), "根指标（总分）不能移动。", "The root can't be moved.")
    elif parent in {each.key for each in _subtree(nodes, node)}:
        check.invalid(
            ("input", "parentId"), "不能移到自身或其下级之下。", "A node can't be put below itself or what is below it."
        )
    check.done()
    old = node.ordinal
    node.parent_id = parent
    ordered = lay_out(_placed([each for each in nodes if each is not node], node, position))
    await write_places(tx, draft["id"], ordered)
    await tx.execute(
        "UPDATE indicators SET version = version + 1 WHERE tenant_id = $1 AND id = $2", tx.tenant_id, node.key
    )
    await _raise_version(tx, draft["id"])
    await append(
        tx,
        actor,
        "moveIndicator",
        subject=("Indicator", node.key),
        summary=Text(zh=f"移动指标“{node.name}”", en=f'Moved the indicator "{node.name}"'),
        changes=[Change("ordinal", old, node.ordinal)],
    )
    return node.key, draft["id"]


async def remove_indicator(
    tx: Transaction, actor: Actor, *, indicator_id: str, version: int
) -> tuple[list[UUID], UUID]:
    """Take a node with all below it out of its draft; the ids of all of them, and the draft's.

    Raises AccessDenied, Invalid (the root), NotFound, VersionConflict, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "indicatorId"), indicator_id, "Indicator")
    check.done()
    draft, nodes, place = await _draft_of(tx, key, version)
    node = nodes[place]
    if node.parent_id is None:
        check.invalid(("input", "indicatorId"), "根指标（总分）不能删除。", "The root can't be removed.")
    check.done()
    gone = [each.key for each in _subtree(nodes, node)]
    left = lay_out(each for each in nodes if each.key not in set(gone))
    await remove_nodes(tx, gone)
    await write_places(tx, draft["id"], left)
    await _raise_version(tx, draft["id"])
    await append(
        tx,
        actor,
        "removeIndicator",
        subject=("SchemeVersion", draft["id"]),
        summary=Text(
            zh=f"删除指标“{node.name}”（{node.ordinal}）及其下级，共{len(gone)}项",
            en=f'Removed the indicator "{node.name}" ({node.ordinal}) with all below it, {len(gone)} in all',
        ),
        changes=[Change("code", node.code, None)],
    )
    return gone, draft["id"]


async def replace_indicators(
    tx: Transaction, actor: Actor, *, scheme_version_id: str, version: int, indicators: Sequence[IndicatorRow]
) -> UUID:
    """Put a whole tree in place of a draft's; nodes with the same code keep their id. The draft's id.

    Parents come before children; the root stays as it is. A bounded number of statements for any number of rows.
    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    references = References()
    path: Path = ("input", "indicators")
    key = check.id(("input", "schemeVersionId"), scheme_version_id, "SchemeVersion")
    if not check.at_most(path, indicators, MOST_NODES):
        check.done()
    rows = check_rows(
        check, [(row, (*path, str(place)), ("indicator",)) for place, row in enumerate(indicators)], references
    )
    check.done()
    draft = await lock_draft(tx, key, ("input", "schemeVersionId"), version=version)
    before = await read_places(tx, draft["id"])
    root = before[0]
    for place, (node, _) in enumerate(rows):
        if node.code == root.code:
            check.duplicate(
                (*path, str(place), "indicator", "code"),
                f"编码“{node.code}”是根指标的编码。",
                f'The code "{node.code}" is that of the root.',
            )
    check.done()
    await references.require(tx)
    await put_tree(tx, draft["id"], before, rows)
    await _raise_version(tx, draft["id"])
    await append(
        tx,
        actor,
        "replaceIndicators",
        subject=("SchemeVersion", draft["id"]),
        summary=Text(zh=f"整体替换指标体系，共{len(rows)}项", en=f"Replaced the whole tree: {len(rows)} indicators"),
        facts={"codes": [node.code for node, _ in rows]},
    )
    return UUID(str(draft["id"]))


def check_rows(
    check: Check, rows: Sequence[tuple[IndicatorRow, Path, Path]], references: References
) -> list[tuple[Node, str | None]]:
    """Judge the rows of a tree: each by itself, codes once, parents before children; nodes with their parents' codes.

    Each row comes with its place in the input, and with the place of its node within the row.
    """
    found: list[tuple[Node, str | None]] = []
    codes = {row.indicator.code: place for place, (row, _, _) in reversed(list(enumerate(rows)))}
    seen: set[str] = set()
    for row, here, inner in rows:
        node = check_indicator(check, (*here, *inner), row.indicator, references)
        code = row.indicator.code
        if code in seen:
            check.duplicate(
                (*here, *inner, "code"),
                f"编码“{code}”与第{codes[code] + 1}行重复。",
                f'The code "{code}" is that of row {codes[code] + 1} too.',
            )
        if row.parent_code is not None and row.parent_code not in seen:
            later = row.parent_code in codes
            check.invalid(
                (*here, "parentCode"),
                f"上级指标“{row.parent_code}”{'须排在下级之前' if later else '不在列表中'}。",
                f'The parent "{row.parent_code}" {"must come before its children" if later else "is not in the list"}.',
                hint=Text(
                    zh="按打印顺序排列，上级在前；一级指标不写上级。",
                    en="List nodes in print order, parents first; the root's children name no parent.",
                ),
            )
        seen.add(code)
        if node is not None:
            found.append((node, row.parent_code))
    return found


async def put_tree(
    tx: Transaction, version_id: UUID, before: Sequence[Node], rows: Sequence[tuple[Node, str | None]]
) -> None:
    """Write a judged tree below the root of a draft; `before` is what stands there now, the root first."""
    root = before[0]
    known = {node.code: node.key for node in before[1:]}
    fresh = iter(uuid7s(len(rows)))
    ids: dict[str | None, UUID] = {None: root.key}
    for node, parent_code in rows:
        node.id = known.get(node.code) or next(fresh)
        node.parent_id = ids[parent_code]
        ids[node.code] = node.id
    lay_out([root, *(node for node, _ in rows)])
    kept = set(ids.values())
    await remove_nodes(tx, [node.key for node in before if node.key not in kept])
    await write_nodes(tx, version_id, [node for node, _ in rows])


async def _draft_of(tx: Transaction, key: UUID | None, version: int) -> tuple[Any, list[Node], int]:
    """The draft that a node belongs to, held; its nodes, whole; and the node's place among them."""
    version_id = await tx.fetchval(
        "SELECT scheme_version_id FROM indicators WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key
    )
    if version_id is None:
        raise NotFound(("input", "indicatorId"))
    draft = await lock_draft(tx, version_id, ("input", "indicatorId"))
    # Only now: while this waited for the draft, the node may have been changed or removed.
    current = await tx.fetchval("SELECT version FROM indicators WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key)
    if current is None:
        raise NotFound(("input", "indicatorId"))
    if current != version:
        assert key is not None
        raise VersionConflict([Conflict(("input", "version"), current, "Indicator", key)])
    nodes = await read_nodes(tx, draft["id"])
    return draft, nodes, next(place for place, node in enumerate(nodes) if node.id == key)


async def _raise_version(tx: Transaction, version_id: UUID) -> None:
    await tx.execute(
        "UPDATE scheme_versions SET version = version + 1 WHERE tenant_id = $1 AND id = $2", tx.tenant_id, version_id
    )


def _placed(nodes: Sequence[Node], node: Node, position: int | None) -> list[Node]:
    """The nodes with one more among its siblings, at a place counted from 0, else last."""
    siblings = [place for place, each in enumerate(nodes) if each.parent_id == node.parent_id]
    at = siblings[position] if position is not None and position < len(siblings) else len(nodes)
    return [*nodes[:at], node, *nodes[at:]]


def _subtree(nodes: Sequence[Node], node: Node) -> list[Node]:
    """A node and all below it; nodes come in print order."""
    found, keys = [node], {node.key}
    for each in nodes:
        if each.parent_id in keys:
            found.append(each)
            keys.add(each.key)
    return found


def _check_position(check: Check, position: int | None) -> None:
    if position is not None and position < 0:
        check.invalid(("input", "position"), "位置从0开始。", "Places are counted from 0.")


def _check_code(check: Check, path: Path, code: str, nodes: Sequence[Node]) -> None:
    if any(node.code == code for node in nodes):
        check.duplicate(path, f"编码“{code}”已被本方案的指标使用。", f'The code "{code}" is taken in this scheme.')


def _too_many(check: Check, path: Path, count: int) -> None:
    check.add(
        ErrorCode.TOO_LARGE,
        path,
        Text(
            zh=f"指标最多{MOST_NODES}项，已有{count - 1}项。",
            en=f"At most {MOST_NODES} indicators; there are {count - 1}.",
        ),
    )


_NAMES = {
    "code": "code",
    "name": "name",
    "weight": "weight",
    "points": "points",
    "points_by_category": "pointsByCategory",
    "category_ids": "categories",
    "aggregation": "aggregation",
    "rule": "rule",
    "wording": "wording",
    "check_method": "checkMethod",
    "source_note": "sourceNote",
    "basis": "basis",
    "responsible_unit_ids": "responsibleUnits",
    "evidence_reason": "evidenceReason",
    "missing_policy": "missingPolicy",
    "not_applicable_policy": "notApplicablePolicy",
    "review_levels": "reviewLevels",
    "checks": "checks",
}


def _changes(before: Node, after: Node) -> list[Change]:
    return [
        Change(name, _shown(getattr(before, column)), _shown(getattr(after, column)))
        for column, name in _NAMES.items()
        if getattr(before, column) != getattr(after, column)
    ]


def _shown(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case dict():
            return str(value.get("kind"))
        case list():
            return str(len(value))
    return format_decimal(value)
