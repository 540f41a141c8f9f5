"""Marks on the present values, before anything is judged (预计得分)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from schema.context import Context
from schema.values import pinned_item
from service.reports.rights import FILLS_SIDE
from service.reports.values import PinnedItem, Value
from service.reviews.marks import FULL_MARKS
from service.reviews.preview import PreviewLeaf, preview

# Of an assessment `pa`: each item as it is pinned, with its settled value, else the present one the viewer may see.
_PRESENT = f"""SELECT jsonb_agg(jsonb_build_object('data_item_id', si.data_item_id, 'code', si.code, 'name', si.name,
        'type', si.type, 'unit_of_measure', si.unit_of_measure, 'scale', si.scale, 'options', si.options::text,
        'number', pv.number::text, 'detail', pv.detail) ORDER BY pi.position)
    FROM indicator_items pi
    JOIN tasks vt ON vt.tenant_id = pi.tenant_id AND vt.cycle_unit_id = pa.cycle_unit_id
         AND vt.data_item_id = pi.data_item_id
    {pinned_item("vt")}
    LEFT JOIN entries ve ON ve.tenant_id = vt.tenant_id AND ve.task_id = vt.id
    LEFT JOIN entry_revisions vr ON vr.tenant_id = ve.tenant_id AND vr.id = ve.submitted_revision_id
    CROSS JOIN LATERAL (SELECT * FROM (VALUES
        (1, pa.settled_numbers[pi.position + 1], nullif(pa.settled_details -> pi.position, 'null'),
            pa.settled_details IS NOT NULL),
        (2, ve.number, ve.detail, ve.state = 'SUBMITTED' OR {FILLS_SIDE.replace("{t}", "vt")}),
        (3, vr.number, vr.detail, true)) AS pc (place, number, detail, fits)
        WHERE pc.fits ORDER BY pc.place LIMIT 1) pv
    WHERE pi.tenant_id = {{tenant}} AND pi.indicator_id = pa.indicator_id"""


async def previews(context: Context, records: Sequence[Mapping[str, Any]]) -> list[Decimal | None]:
    """Each assessment's marks on its present values; None where they can't be told."""
    statement = context.statement()
    wanted = statement.bind([record["id"] for record in records], "uuid[]")
    rows = await context.fetch(
        statement.render(
            f"""SELECT pa.id, pa.state, pl.rule::text AS rule, {FULL_MARKS.replace("{t}", "pa")} AS full_marks,
                       ({_PRESENT}) AS items
                FROM assessments pa JOIN indicators pl ON pl.tenant_id = pa.tenant_id AND pl.id = pa.indicator_id
                WHERE pa.tenant_id = {{tenant}} AND pa.id = ANY({wanted}) AND pl.rule IS NOT NULL"""
        ),
        statement,
    )
    leaves: dict[PreviewLeaf, list[tuple[UUID, list[Value | None]]]] = {}
    found: dict[UUID, Decimal | None] = {}
    for row in rows:
        items = orjson.loads(row["items"] or "[]")
        pinned = tuple(PinnedItem.of({**item, "minimum": None, "maximum": None}) for item in items)
        leaf = PreviewLeaf(row["rule"], row["full_marks"], pinned)
        if row["state"] == "REJECTED":
            found[row["id"]] = Decimal(0)
        elif row["state"] != "NOT_APPLICABLE" and items:
            leaves.setdefault(leaf, []).append((row["id"], [_present(item) for item in items]))
    for leaf, units in leaves.items():
        found |= zip((key for key, _ in units), preview(leaf, [values for _, values in units]), strict=True)
    return [found.get(record["id"]) for record in records]


def _present(item: Mapping[str, Any]) -> Value | None:
    if item["number"] is None and item["detail"] is None:
        return None
    return Value(None if item["number"] is None else Decimal(item["number"]), item["detail"])
