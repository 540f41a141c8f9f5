"""Nodes of an indicator tree (指标): how one is judged by itself, how the rows of a tree are laid out and written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from service.checks import Check
from service.errors import Path
from service.items import MOST_RESPONSIBLE, exact
from service.schemes.rules import References, items_of, read_typed
from service.schemes.settings import read_review_levels
from service.scoring.numbers import format_decimal
from tenants.database import Transaction

MOST_NODES: Final = 2_000
"""Nodes of a tree besides its root."""

MOST_CATEGORIES: Final = 100
"""Categories of a version, or that a node names."""

MOST_CHECKS: Final = 20
"""Cross checks of a leaf."""

ROOT_CODE: Final = "ROOT"
ROOT_NAME: Final = "总分"


@dataclass(frozen=True)
class CategoryPoints:
    """Points of a node for one category, as they are typed."""

    category_id: str
    points: str


@dataclass(frozen=True)
class IndicatorSpec:
    """A node as it is asked for: ids and decimals as text, words of closed lists by the names of the API.

    rule: the rule of the scheme document, in which `AsTyped` stands for what has still to be judged.
    review_levels: objects with `route` and `unitKind`; None where they are the scheme's.
    checks: objects with `left` and `right`, which are quantities of the document, `comparison` and `warningOnly`.
    """

    code: str
    name: str
    weight: str | None = None
    points: str | None = None
    points_by_category: Sequence[CategoryPoints] = ()
    category_ids: Sequence[str] = ()
    aggregation: str = "ARITHMETIC"
    rule: Mapping[str, Any] | None = None
    wording: str | None = None
    check_method: str | None = None
    source_note: str | None = None
    basis: str | None = None
    responsible_unit_ids: Sequence[str] = ()
    evidence_reason: str | None = None
    missing_policy: str | None = None
    not_applicable_policy: str | None = None
    review_levels: Sequence[Mapping[str, Any]] | None = None
    checks: Sequence[Mapping[str, Any]] = ()


@dataclass
class Node:
    """A node that was judged, as it is stored; the last lines are its place in the tree."""

    code: str
    name: str
    weight: Decimal | None = None
    points: Decimal | None = None
    points_by_category: list[dict[str, str]] = field(default_factory=list)
    category_ids: list[UUID] = field(default_factory=list)
    aggregation: str = "ARITHMETIC"
    rule: dict[str, Any] | None = None
    wording: str | None = None
    check_method: str | None = None
    source_note: str | None = None
    basis: str | None = None
    responsible_unit_ids: list[UUID] = field(default_factory=list)
    evidence_reason: str | None = None
    missing_policy: str | None = None
    not_applicable_policy: str | None = None
    review_levels: list[dict[str, Any]] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)

    id: UUID | None = None
    parent_id: UUID | None = None
    depth: int = 0
    position: int = 0
    print_order: int = 0
    ordinal: str = ""

    @property
    def key(self) -> UUID:
        """Its id, once it has one."""
        assert self.id is not None
        return self.id


def check_indicator(check: Check, path: Path, spec: IndicatorSpec, references: References) -> Node | None:
    """Judge one node by itself; None after noting at least one fault."""
    before = len(check.found)
    code = check.code((*path, "code"), spec.code)
    name = check.line((*path, "name"), spec.name)
    weight = _size(check, (*path, "weight"), spec.weight)
    points = _size(check, (*path, "points"), spec.points)
    by_category: dict[UUID, str] = {}
    if check.at_most((*path, "pointsByCategory"), spec.points_by_category, MOST_CATEGORIES):
        for place, row in enumerate(spec.points_by_category):
            here = (*path, "pointsByCategory", str(place))
            key = check.id((*here, "categoryId"), row.category_id, "Category")
            own = _size(check, (*here, "points"), row.points)
            if key in by_category:
                check.duplicate((*here, "categoryId"), "该类别的分值重复。", "This category has points already.")
            elif key is not None and own is not None:
                by_category[key] = format_decimal(own)
                references.add("Category", (*here, "categoryId"), key)
    categories: list[UUID] = []
    if check.at_most((*path, "categoryIds"), spec.category_ids, MOST_CATEGORIES):
        categories = check.ids((*path, "categoryIds"), spec.category_ids, "Category")
    units: list[UUID] = []
    if check.at_most((*path, "responsibleUnitIds"), spec.responsible_unit_ids, MOST_RESPONSIBLE):
        units = check.ids((*path, "responsibleUnitIds"), spec.responsible_unit_ids, "OrgUnit")
    rule = None
    if spec.rule is not None:
        rule = read_typed(check, (*path, "rule"), spec.rule, references)
    checks = []
    if check.at_most((*path, "checks"), spec.checks, MOST_CHECKS):
        checks = [
            read_typed(check, (*path, "checks", str(place)), each, references) for place, each in enumerate(spec.checks)
        ]
    levels = None
    if spec.review_levels is not None:
        levels = read_review_levels(check, (*path, "reviewLevels"), spec.review_levels)
    wording = check.prose((*path, "wording"), spec.wording)
    check_method = check.prose((*path, "checkMethod"), spec.check_method)
    source_note = check.prose((*path, "sourceNote"), spec.source_note)
    basis = check.prose((*path, "basis"), spec.basis)
    evidence_reason = check.prose((*path, "evidenceReason"), spec.evidence_reason)
    if len(check.found) > before or code is None or name is None:
        return None
    for place, key in enumerate(categories):
        references.add("Category", (*path, "categoryIds", str(place)), key)
    for place, key in enumerate(units):
        references.add("OrgUnit", (*path, "responsibleUnitIds", str(place)), key)
    return Node(
        code=code,
        name=name,
        weight=weight,
        points=points,
        points_by_category=[{"category": str(key), "points": own} for key, own in by_category.items()],
        category_ids=categories,
        aggregation=spec.aggregation,
        rule=rule,
        wording=wording,
        check_method=check_method,
        source_note=source_note,
        basis=basis,
        responsible_unit_ids=units,
        evidence_reason=evidence_reason,
        missing_policy=spec.missing_policy,
        not_applicable_policy=spec.not_applicable_policy,
        review_levels=levels,
        checks=checks,
    )


def _size(check: Check, path: Path, raw: str | None) -> Decimal | None:
    value = None if raw is None else check.decimal(path, raw, minimum=Decimal(0))
    return None if value is None else exact(value)


def lay_out(nodes: Iterable[Node]) -> list[Node]:
    """Give every node its depth, place, print order and printed number; in print order.

    Nodes come with id and parent, siblings in their order; there is one root, and everything hangs on it.
    """
    children: dict[UUID | None, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent_id, []).append(node)
    (root,) = children[None]
    root.depth, root.position, root.ordinal = 0, 0, ""
    ordered: list[Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.print_order = len(ordered)
        ordered.append(node)
        below = children.get(node.key, [])
        for place, child in enumerate(below):
            child.position, child.depth = place, node.depth + 1
            child.ordinal = f"{node.ordinal}.{place + 1}" if node.ordinal else str(place + 1)
        waiting.extend(reversed(below))
    return ordered


async def read_places(tx: Transaction, version_id: UUID) -> list[Node]:
    """The nodes of a version in print order, with code, name and place only."""
    rows = await tx.fetch(
        """SELECT id, parent_id, code, name, depth, position, print_order, ordinal FROM indicators
           WHERE tenant_id = $1 AND scheme_version_id = $2 ORDER BY print_order""",
        tx.tenant_id,
        version_id,
    )
    return [Node(**dict(row)) for row in rows]


async def read_nodes(tx: Transaction, version_id: UUID) -> list[Node]:
    """The nodes of a version in print order, whole."""
    rows = await tx.fetch(
        """SELECT i.*, (SELECT coalesce(array_agg(r.unit_id ORDER BY r.position), '{}') FROM indicator_responsibles r
                        WHERE r.tenant_id = $1 AND r.indicator_id = i.id) AS responsible_unit_ids
           FROM indicators i WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 ORDER BY i.print_order""",
        tx.tenant_id,
        version_id,
    )
    names = Node.__dataclass_fields__
    found = []
    for row in rows:
        values = {name: row[name] for name in names}
        for name in ("points_by_category", "rule", "review_levels", "checks"):
            values[name] = None if values[name] is None else orjson.loads(values[name])
        found.append(Node(**values))
    return found


async def write_places(tx: Transaction, version_id: UUID, nodes: Sequence[Node]) -> None:
    """Write the place of every node that has a new one, in one statement."""
    await tx.execute(
        """UPDATE indicators i SET parent_id = n.parent_id, depth = n.depth, position = n.position,
                  print_order = n.print_order, ordinal = n.ordinal
           FROM unnest($3::uuid[], $4::uuid[], $5::int[], $6::int[], $7::int[], $8::text[])
                AS n(id, parent_id, depth, position, print_order, ordinal)
           WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 AND i.id = n.id
             AND (i.parent_id, i.depth, i.position, i.print_order, i.ordinal)
                 IS DISTINCT FROM (n.parent_id, n.depth, n.position, n.print_order, n.ordinal)""",
        tx.tenant_id,
        version_id,
        [node.key for node in nodes],
        [node.parent_id for node in nodes],
        [node.depth for node in nodes],
        [node.position for node in nodes],
        [node.print_order for node in nodes],
        [node.ordinal for node in nodes],
    )


_COLUMNS: Final = {
    "id": "uuid",
    "code": "text",
    "name": "text",
    "parent_id": "uuid",
    "depth": "int",
    "position": "int",
    "print_order": "int",
    "ordinal": "text",
    "leaf": "boolean",
    "weight": "numeric",
    "points": "numeric",
    "points_by_category": "jsonb",
    "category_ids": "uuid[]",
    "aggregation": "text",
    "rule": "jsonb",
    "wording": "text",
    "check_method": "text",
    "source_note": "text",
    "basis": "text",
    "evidence_reason": "text",
    "missing_policy": "text",
    "not_applicable_policy": "text",
    "review_levels": "jsonb",
    "checks": "jsonb",
}

_NAMES = ", ".join(_COLUMNS)
_WRITE = f"""
INSERT INTO indicators (tenant_id, scheme_version_id, {_NAMES})
SELECT $1, $2, {_NAMES} FROM jsonb_to_recordset($3::jsonb) AS r({", ".join(f"{n} {t}" for n, t in _COLUMNS.items())})
ON CONFLICT (tenant_id, id) DO UPDATE SET version = indicators.version + 1,
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")}
"""


async def write_nodes(tx: Transaction, version_id: UUID, nodes: Sequence[Node]) -> None:
    """Add nodes or write them anew, with what they use and who is responsible; five statements for any number."""
    rows = [{name: _stored(node, name) for name in _COLUMNS} for node in nodes]
    # The driver's ids are of a type of its own, which JSON does not know.
    await tx.execute(_WRITE, tx.tenant_id, version_id, orjson.dumps(rows, default=str).decode())
    await _forget_uses(tx, [node.key for node in nodes])
    await tx.execute(
        """INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
           SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::int[])""",
        tx.tenant_id,
        *_columns((node.key, UUID(key), place) for node in nodes for place, key in enumerate(items_of(node.rule))),
    )
    await tx.execute(
        """INSERT INTO indicator_responsibles (tenant_id, indicator_id, unit_id, position)
           SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::int[])""",
        tx.tenant_id,
        *_columns((node.key, unit, place) for node in nodes for place, unit in enumerate(node.responsible_unit_ids)),
    )


def _columns(rows: Iterable[tuple[UUID, UUID, int]]) -> tuple[list[UUID], list[UUID], list[int]]:
    listed = list(rows)
    return [a for a, _, _ in listed], [b for _, b, _ in listed], [c for _, _, c in listed]


def _stored(node: Node, name: str) -> Any:
    if name == "leaf":
        return node.rule is not None
    value = getattr(node, name)
    # A JSON number would pass through a float.
    return format_decimal(value) if isinstance(value, Decimal) else value


async def remove_nodes(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Take nodes of a draft away; the order among them does not matter."""
    await _forget_uses(tx, ids)
    await tx.execute("DELETE FROM indicators WHERE tenant_id = $1 AND id = ANY($2::uuid[])", tx.tenant_id, list(ids))


async def _forget_uses(tx: Transaction, ids: Sequence[UUID]) -> None:
    for table in ("indicator_items", "indicator_responsibles"):
        await tx.execute(
            f"DELETE FROM {table} WHERE tenant_id = $1 AND indicator_id = ANY($2::uuid[])", tx.tenant_id, list(ids)
        )
