"""A version as a scheme document (方案文件): what the engine judges and computes with, and what is exported.

Frozen versions are read with the data items that they pinned, drafts with the items as they are now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import asyncpg
import orjson

from service.schemes.rules import items_of, translate, with_units
from service.scoring import canonical_json
from service.scoring.document import read_scheme
from service.scoring.numbers import format_decimal
from service.scoring.reading import Sink

FORMAT: Final = "kaoping-scheme-1"
"""Names the form of a scheme file."""

Keys = Literal["id", "code"]


class Reading(Protocol):
    """A tenant's transaction, or a snapshot of its own."""

    tenant_id: UUID

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""


@dataclass(frozen=True)
class VersionRows:
    """All rows of one version, nodes in print order; `items` are pinned ones where it is frozen."""

    version: asyncpg.Record
    categories: list[asyncpg.Record]
    nodes: list[asyncpg.Record]
    items: list[asyncpg.Record]
    unit_codes: Mapping[UUID, str]

    @property
    def frozen(self) -> bool:
        """Whether it never changes again."""
        return bool(self.version["state"] == "FROZEN")

    def rule_of(self, node: asyncpg.Record) -> dict[str, Any] | None:
        """A node's rule as it is stored."""
        return None if node["rule"] is None else orjson.loads(node["rule"])


_VERSION = """
SELECT v.*, s.code, s.name FROM scheme_versions v
JOIN schemes s ON s.tenant_id = v.tenant_id AND s.id = v.scheme_id
WHERE v.tenant_id = $1 AND v.id = $2
"""

_CATEGORIES = """
SELECT c.id, c.code, c.name FROM scheme_version_categories vc
JOIN categories c ON c.tenant_id = vc.tenant_id AND c.id = vc.category_id
WHERE vc.tenant_id = $1 AND vc.scheme_version_id = $2 ORDER BY vc.position
"""

_NODES = """
SELECT i.*, p.code AS parent_code,
       (SELECT coalesce(array_agg(r.unit_id ORDER BY r.position), '{}') FROM indicator_responsibles r
        WHERE r.tenant_id = $1 AND r.indicator_id = i.id) AS responsible_unit_ids
FROM indicators i LEFT JOIN indicators p ON p.tenant_id = i.tenant_id AND p.id = i.parent_id
WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 ORDER BY i.print_order
"""

_ITEMS = """
SELECT d.*, (SELECT coalesce(array_agg(r.unit_id ORDER BY r.position), '{}') FROM data_item_responsibles r
             WHERE r.tenant_id = $1 AND r.data_item_id = d.id) AS responsible_unit_ids
FROM (SELECT DISTINCT ON (ii.data_item_id) ii.data_item_id, i.print_order, ii.position FROM indicator_items ii
      JOIN indicators i ON i.tenant_id = ii.tenant_id AND i.id = ii.indicator_id
      WHERE ii.tenant_id = $1 AND i.scheme_version_id = $2
      ORDER BY ii.data_item_id, i.print_order, ii.position) u
JOIN data_items d ON d.tenant_id = $1 AND d.id = u.data_item_id
ORDER BY u.print_order, u.position
"""

_PINNED = """
SELECT p.*, p.data_item_id AS id, true AS active FROM scheme_version_items p
WHERE p.tenant_id = $1 AND p.scheme_version_id = $2 ORDER BY p.position
"""


async def read_version(reader: Reading, version_id: UUID) -> VersionRows | None:
    """All rows of a version, in five statements; None where there is no such version."""
    found = await reader.fetch(_VERSION, reader.tenant_id, version_id)
    if not found:
        return None
    version = found[0]
    categories = await reader.fetch(_CATEGORIES, reader.tenant_id, version_id)
    nodes = await reader.fetch(_NODES, reader.tenant_id, version_id)
    items = await reader.fetch(_PINNED if version["state"] == "FROZEN" else _ITEMS, reader.tenant_id, version_id)
    units = await reader.fetch(
        "SELECT id, code FROM org_units WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        reader.tenant_id,
        list({unit for row in (*nodes, *items) for unit in row["responsible_unit_ids"]}),
    )
    return VersionRows(version, categories, nodes, items, {row["id"]: row["code"] for row in units})


async def scheme_document(reader: Reading, version_id: UUID, *, keys: Keys) -> dict[str, Any]:
    """The scheme document of a version; data items, categories and units by id or by code.

    With `keys="id"` it is what runs compute with; with `keys="code"` what is exported. Raises LookupError where there
    is no such version in the tenant.
    """
    rows = await read_version(reader, version_id)
    if rows is None:
        raise LookupError(f"There is no scheme version {version_id}.")
    return document_of(rows, keys=keys)


async def scheme_file(reader: Reading, version_id: UUID) -> str:
    """The file of a version: canonical JSON with codes, rules with all their settings. Raises LookupError."""
    document = await scheme_document(reader, version_id, keys="code")
    scheme = read_scheme(document, Sink())
    for row in document["indicators"]:
        node = scheme.by_code.get(row["code"]) if scheme is not None else None
        if node is not None and node.rule is not None:
            row["rule"] = node.rule.document()
    return canonical_json(document)


def document_of(rows: VersionRows, *, keys: Keys) -> dict[str, Any]:
    """The scheme document of rows at hand."""
    version = rows.version

    def key(row: asyncpg.Record) -> str:
        return str(row["id"]) if keys == "id" else str(row["code"])

    categories = {str(row["id"]): key(row) for row in rows.categories}
    items = {str(row["id"]): key(row) for row in rows.items}
    units = {unit: str(unit) if keys == "id" else code for unit, code in rows.unit_codes.items()}
    return {
        "format": FORMAT,
        "code": version["code"],
        "name": version["name"],
        "number": version["number"],
        "label": version["label"],
        "weighting": version["weighting"],
        "fullMarks": format_decimal(version["full_marks"]),
        "categories": [{"code": key(row), "name": row["name"]} for row in rows.categories],
        "dataItems": item_documents(rows, keys=keys),
        "settings": translate(orjson.loads(version["settings"]), items),
        "indicators": [
            {
                "code": row["code"],
                "parentCode": row["parent_code"],
                "name": row["name"],
                "weight": _written(row["weight"]),
                "points": _written(row["points"]),
                "pointsByCategory": [
                    {"category": categories.get(each["category"], each["category"]), "points": each["points"]}
                    for each in orjson.loads(row["points_by_category"])
                ],
                "categories": [categories.get(str(each), str(each)) for each in row["category_ids"]],
                "aggregation": row["aggregation"],
                "missingPolicy": row["missing_policy"],
                "notApplicablePolicy": row["not_applicable_policy"],
                "rule": with_units(
                    translate(rows.rule_of(row), items), {str(key): code for key, code in units.items()}
                ),
                "wording": row["wording"],
                "checkMethod": row["check_method"],
                "sourceNote": row["source_note"],
                "basis": row["basis"],
                "evidenceReason": row["evidence_reason"],
                "responsibleUnits": [units[unit] for unit in row["responsible_unit_ids"]],
                "reviewLevels": None if row["review_levels"] is None else orjson.loads(row["review_levels"]),
                "checks": translate(orjson.loads(row["checks"]), items),
            }
            for row in rows.nodes
        ],
    }


def item_documents(rows: VersionRows, *, keys: Keys) -> list[dict[str, Any]]:
    """The data items of a document."""
    return [
        {
            "code": str(row["id"]) if keys == "id" else row["code"],
            "name": row["name"],
            "definition": row["definition"],
            "type": row["type"],
            "unitOfMeasure": row["unit_of_measure"],
            "scale": row["scale"],
            "minimum": _written(row["minimum"]),
            "maximum": _written(row["maximum"]),
            "options": orjson.loads(row["options"]),
            "source": row["source"],
            "responsibleUnits": [
                str(unit) if keys == "id" else rows.unit_codes[unit] for unit in row["responsible_unit_ids"]
            ],
            "personal": row["personal"],
        }
        for row in rows.items
    ]


def _written(value: Decimal | None) -> str | None:
    return None if value is None else format_decimal(value)


def used_items(rows: VersionRows, node: asyncpg.Record) -> list[asyncpg.Record]:
    """The data items that a node's rule uses, in order."""
    by_key = {str(row["id"]): row for row in rows.items}
    return [by_key[key] for key in items_of(rows.rule_of(node)) if key in by_key]
