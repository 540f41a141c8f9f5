"""Cross checks of a leaf's items (审核关系): what the present values break, kept on the assessment.

A check holds between two quantities, such as attended ≤ members. One that is broken is a finding: it blocks the
submission, or, if it is a warning only, wants to be confirmed by its key, which changes with the values. A finding is
JSON: {"key", "warningOnly", "confirmed", "zh", "en", "hintZh", "hintEn", "dataItemIds"}.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from service.reports.values import PinnedItem
from service.scoring.items import DataItem
from service.scoring.numbers import show
from service.scoring.quantities import Quantity, read_quantity
from service.scoring.reading import Reader, Sink
from service.scoring.text import Text
from tenants.database import Transaction

_RELATIONS: Final = {
    "AT_MOST": Text(zh="应不大于", en="must be at most"),
    "AT_LEAST": Text(zh="应不小于", en="must be at least"),
    "EQUAL": Text(zh="应等于", en="must equal"),
}
_MEND: Final = Text(zh="请核对并更正数值。", en="Look at the values and mend them.")
_CONFIRM: Final = Text(
    zh="请核对；数值无误的，报送时确认此提示。",
    en="Look at the values; if they are right, confirm the key when you submit.",
)


@dataclass(frozen=True)
class CrossCheck:
    """One check of one leaf."""

    indicator_id: UUID
    indicator: str
    """Printed number and name of the leaf."""
    place: int
    left: Quantity
    comparison: str
    right: Quantity
    warning_only: bool
    names: Mapping[str, str]

    @property
    def items(self) -> frozenset[UUID]:
        """The items it compares."""
        return frozenset(UUID(key) for key in (*self.left.data_items(), *self.right.data_items()))

    def finding(self, unit_id: UUID, values: "_Values") -> dict[str, Any] | None:
        """What the values break; None where the check holds, or can't be judged."""
        left, right = self.left.value(values), self.right.value(values)
        if left is None or right is None or _holds(left, self.comparison, right):
            return None
        relation = _RELATIONS[self.comparison]
        low, high = self.left.describe(self.names), self.right.describe(self.names)
        spoken = [str(unit_id), str(self.indicator_id), self.place, str(left), str(right)]
        hint = _CONFIRM if self.warning_only else _MEND
        return {
            "key": hashlib.sha256(orjson.dumps(spoken)).hexdigest()[:20],
            "warningOnly": self.warning_only,
            "confirmed": False,
            "zh": f"{self.indicator}：{low.zh}（{show(left)}）{relation.zh}{high.zh}（{show(right)}）。",
            "en": f"{self.indicator}: {low.en} ({show(left)}) {relation.en} {high.en} ({show(right)}).",
            "hintZh": hint.zh,
            "hintEn": hint.en,
            "dataItemIds": sorted(str(item) for item in self.items),
        }


def _holds(left: Fraction, comparison: str, right: Fraction) -> bool:
    match comparison:
        case "AT_MOST":
            return left <= right
        case "AT_LEAST":
            return left >= right
    return left == right


class _Values:
    """Values of one unit by item."""

    def __init__(self) -> None:
        self.rows: dict[UUID, asyncpg.Record] = {}

    def number(self, key: str, count_name: str | None = None) -> Fraction:
        """The exact value of an item, or of one of its counts, or of their sum."""
        row = self.rows[UUID(key)]
        if row["number"] is not None:
            return Fraction(row["number"])
        counts: dict[str, int] = orjson.loads(row["detail"]).get("counts", {})
        return Fraction(counts.get(count_name, 0) if count_name else sum(counts.values()))

    def sent(self, items: Iterable[str]) -> bool:
        """Whether none of these values is a draft."""
        return all(self.rows[UUID(item)]["sent"] for item in items)

    def usable(self, items: Iterable[UUID]) -> bool:
        """Whether all items have a value that the check may speak of.

        A check over values of both sides, the unit's and a department's, waits until all are submitted: its words would
        tell one side the other's draft.
        """
        rows = [self.rows.get(item) for item in items]
        found = [row for row in rows if row is not None]
        if len(found) < len(rows):
            return False
        return len({row["filler"] for row in found}) == 1 or all(row["sent"] for row in found)


async def refresh(
    tx: Transaction, tasks: Sequence[asyncpg.Record], *, submitting: Collection[UUID] = ()
) -> list[dict[str, Any]]:
    """Judge the checks that the tasks' values take part in, and keep what is found; the findings, each with its place.

    `tasks` have scheme_version_id, cycle_unit_id and data_item_id; `submitting` are ids of tasks whose drafts count as
    sent. Each finding comes with `cycle_unit_id`, `assessment_id` and `sent` (none of its values is a draft) beside
    what is kept.
    """
    checks = await _checks(tx, {task["scheme_version_id"] for task in tasks})
    touched = {task["data_item_id"] for task in tasks}
    checks = [check for check in checks if check.items & touched]
    if not checks:
        return []
    units = list({task["cycle_unit_id"] for task in tasks})
    # Locked before values are read: two people who save two items of one leaf see each other's value here.
    assessments = await tx.fetch(
        """SELECT id, cycle_unit_id, indicator_id, findings FROM assessments
           WHERE tenant_id = $1 AND cycle_unit_id = ANY ($2::uuid[]) AND indicator_id = ANY ($3::uuid[])
           ORDER BY id FOR NO KEY UPDATE""",
        tx.tenant_id,
        units,
        list({check.indicator_id for check in checks}),
    )
    values = await _values(tx, units, {item for check in checks for item in check.items}, submitting)
    by_leaf: dict[UUID, list[CrossCheck]] = {}
    for check in checks:
        by_leaf.setdefault(check.indicator_id, []).append(check)
    changed: dict[UUID, str] = {}
    found: list[dict[str, Any]] = []
    for row in assessments:
        kept = orjson.loads(row["findings"])
        confirmed = {finding["key"] for finding in kept if finding["confirmed"]}
        own = values.get(row["cycle_unit_id"], _Values())
        present = [
            check.finding(row["cycle_unit_id"], own)
            for check in by_leaf[row["indicator_id"]]
            if own.usable(check.items)
        ]
        findings = [{**item, "confirmed": item["key"] in confirmed} for item in present if item is not None]
        if findings != kept:
            changed[row["id"]] = orjson.dumps(findings).decode()
        place = {"cycle_unit_id": row["cycle_unit_id"], "assessment_id": row["id"]}
        found += [{**finding, **place, "sent": own.sent(finding["dataItemIds"])} for finding in findings]
    if changed:
        await tx.execute(
            """UPDATE assessments am SET findings = g.findings FROM unnest($2::uuid[], $3::jsonb[]) AS g (id, findings)
               WHERE am.tenant_id = $1 AND am.id = g.id""",
            tx.tenant_id,
            list(changed),
            list(changed.values()),
        )
    return found


async def confirm(tx: Transaction, assessment_ids: Collection[UUID], keys: Collection[str]) -> None:
    """Mark the findings of these keys as looked at."""
    await tx.execute(
        """
        UPDATE assessments am SET findings = (
            SELECT coalesce(jsonb_agg(CASE WHEN fi.value ->> 'key' = ANY ($3::text[])
                                           THEN fi.value || '{"confirmed": true}' ELSE fi.value END
                                      ORDER BY fi.place), '[]')
            FROM jsonb_array_elements(am.findings) WITH ORDINALITY AS fi (value, place))
        WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[])
        """,
        tx.tenant_id,
        list(assessment_ids),
        list(keys),
    )


async def _checks(tx: Transaction, version_ids: Collection[UUID]) -> list[CrossCheck]:
    leaves = await tx.fetch(
        """SELECT id, ordinal, name, scheme_version_id, checks FROM indicators
           WHERE tenant_id = $1 AND scheme_version_id = ANY ($2::uuid[]) AND leaf AND checks <> '[]'
           ORDER BY print_order""",
        tx.tenant_id,
        list(version_ids),
    )
    if not leaves:
        return []
    rows = await tx.fetch(
        """SELECT scheme_version_id, data_item_id, code, name, type, unit_of_measure, scale, minimum, maximum, options
           FROM scheme_version_items WHERE tenant_id = $1 AND scheme_version_id = ANY ($2::uuid[])""",
        tx.tenant_id,
        list({leaf["scheme_version_id"] for leaf in leaves}),
    )
    items: dict[UUID, dict[str, DataItem]] = {}
    for row in rows:
        pinned = PinnedItem.of(row)
        items.setdefault(row["scheme_version_id"], {})[str(pinned.id)] = DataItem(
            code=str(pinned.id),
            name=pinned.name,
            type=pinned.type,
            scale=pinned.scale,
            options=pinned.options,
        )
    return [check for leaf in leaves for check in _read(leaf, items.get(leaf["scheme_version_id"], {}))]


def _read(leaf: asyncpg.Record, items: Mapping[str, DataItem]) -> Iterable[CrossCheck]:
    names = {key: item.name for key, item in items.items()}
    for place, document in enumerate(orjson.loads(leaf["checks"])):
        reader = Reader(document, (str(place),), Sink())
        left = read_quantity(reader.inner("left"), items, constant_allowed=True)
        right = read_quantity(reader.inner("right"), items, constant_allowed=True)
        # Freezing has read them before; an item that the version does not pin is asked of nobody.
        if left is not None and right is not None:
            yield CrossCheck(
                indicator_id=leaf["id"],
                indicator=f"{leaf['ordinal']} {leaf['name']}",
                place=place,
                left=left,
                comparison=document["comparison"],
                right=right,
                warning_only=bool(document.get("warningOnly")),
                names=names,
            )


async def _values(
    tx: Transaction, unit_ids: Sequence[UUID], item_ids: Collection[UUID], submitting: Collection[UUID]
) -> dict[UUID, _Values]:
    rows = await tx.fetch(
        """SELECT ta.cycle_unit_id, ta.data_item_id, ta.filler, en.number, en.detail,
                  en.state = 'SUBMITTED' OR ta.id = ANY ($4::uuid[]) AS sent
           FROM tasks ta JOIN entries en ON en.tenant_id = ta.tenant_id AND en.task_id = ta.id
           WHERE ta.tenant_id = $1 AND ta.cycle_unit_id = ANY ($2::uuid[]) AND ta.data_item_id = ANY ($3::uuid[])
             AND (en.number IS NOT NULL OR en.detail ? 'counts')""",
        tx.tenant_id,
        list(unit_ids),
        list(item_ids),
        list(submitting),
    )
    found: dict[UUID, _Values] = {}
    for row in rows:
        found.setdefault(row["cycle_unit_id"], _Values()).rows[row["data_item_id"]] = row
    return found
