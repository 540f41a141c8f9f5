"""What a leaf would earn on the values at hand (预计得分), where its rule looks at nothing but these values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from service.reports.values import PinnedItem, Value
from service.scoring import ItemColumn, Scheme, Snapshot, compute, parse_scheme

PLACES: Final = 4
"""Decimal places of previewed marks, which are rounded half up and shown without needless zeros."""

ALONE: Final = frozenset(
    {
        *("COMPLETION", "LINEAR", "BANDS", "PIECEWISE", "YES_NO", "CHECKLIST", "CHOICE", "DEDUCT", "NEUTRAL"),
        *("GRADE_MEAN", "TRIMMED_MEAN"),
    }
)
"""Rules that look at one unit's values; the others compare units, cycles or events, or are awarded."""


@dataclass(frozen=True)
class PreviewLeaf:
    """A leaf with its full marks for a category, and its data items in the order of the values."""

    rule: str
    """The stored rule, as JSON text."""
    full_marks: Decimal
    items: tuple[PinnedItem, ...]

    @property
    def alone(self) -> bool:
        """Whether one unit's values say what it earns."""
        rule = orjson.loads(self.rule)
        return (
            rule.get("kind") in ALONE
            and self.full_marks > 0
            and all(line.get("quantity") or line.get("required") for line in rule.get("lines") or ())
        )


def preview(leaf: PreviewLeaf, values: Sequence[Sequence[Value | None]]) -> list[Decimal | None]:
    """Marks for each unit's values; None where one is missing, the leaf does not apply, or nothing can be said."""
    whole = [place for place, row in enumerate(values) if None not in row]
    found: list[Decimal | None] = [None] * len(values)
    scheme = _scheme(leaf) if leaf.alone and whole else None
    if scheme is None:
        return found
    columns = {
        str(item.id): _column(item, [values[place][number] for place in whole])
        for number, item in enumerate(leaf.items)
    }
    units = [str(place) for place in whole]
    result = compute(scheme, Snapshot(units, ["all"] * len(units), columns))
    for place, marks in zip(whole, result.node_marks("leaf"), strict=True):
        found[place] = None if marks is None else _trimmed(Decimal(marks))
    return found


@lru_cache(maxsize=2000)
def _scheme(leaf: PreviewLeaf) -> Scheme | None:
    """A scheme of this one leaf; None where its rule does not stand (only drafts have such rules)."""
    full = f"{leaf.full_marks:f}"
    scheme, _ = parse_scheme(
        {
            "weighting": "POINTS",
            "fullMarks": full,
            "categories": [{"code": "all", "name": "all"}],
            "dataItems": [_item(item) for item in leaf.items],
            "settings": {"notApplicablePolicy": "PARENT", "roundingPlaces": PLACES},
            "indicators": [
                {"code": "root", "name": "root"},
                {
                    "code": "leaf",
                    "parentCode": "root",
                    "name": "leaf",
                    "points": full,
                    "rule": {**orjson.loads(leaf.rule), "full": None},
                },
            ],
        }
    )
    return scheme


def _item(item: PinnedItem) -> Mapping[str, Any]:
    return {
        "code": str(item.id),
        "name": item.name,
        "type": item.type,
        "scale": item.scale,
        "options": [
            {"code": option.code, "name": option.name, "dontKnow": option.dont_know} for option in item.options
        ],
    }


def _column(item: PinnedItem, values: Sequence[Value | None]) -> ItemColumn:
    details = [value.detail or {} if value else {} for value in values]
    match item.type:
        case "CHOICE":
            places = {option.code: place for place, option in enumerate(item.options)}
            return ItemColumn.of([places.get(detail.get("choice", "")) for detail in details])
        case "COUNTS":
            return ItemColumn.of_counts([detail.get("counts") for detail in details])
        case "SCORES":
            return ItemColumn.of_scores([detail.get("scores") for detail in details], scale=item.scale)
    return ItemColumn.of([value.number if value else None for value in values], scale=item.scale)


def _trimmed(marks: Decimal) -> Decimal:
    return marks.normalize() if marks else Decimal(0)
