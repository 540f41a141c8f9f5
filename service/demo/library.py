"""The 100-point scheme of the demo district (考核指标体系), read from `library.json` and put into the API's words.

The file holds one object per line: categories, departments, data items, and the indicator tree in print order. It names
data items, departments and categories by code; a quantity is written `done` or `done / due`, a quotient that does not
apply where `due` is 0. What the API calls ids is filled in by `item_input` and `row_input`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Self, cast

Json = dict[str, Any]
"""One object of a JSON text; its fields are known by the schema that it follows."""

Part = Any
"""Any part of a JSON text."""

QUANTITIES = frozenset({"actual", "target", "quantity", "left", "right"})
"""Fields of a rule or a check whose text is a quantity."""


@dataclass(frozen=True)
class Named:
    """A category or a department: what it is called in codes and on paper."""

    code: str
    name: str


@dataclass(frozen=True)
class Item:
    """One data item (数据项). `responsible` is the code of the department that fills it; None is the unit itself."""

    code: str
    name: str
    definition: str
    type: str
    unit_of_measure: str | None
    scale: int
    minimum: Decimal | None
    maximum: Decimal | None
    source: str
    responsible: str | None

    @classmethod
    def read(cls, row: Json) -> Self:
        """The item of one line of the file."""
        return cls(
            code=row["code"],
            name=row["name"],
            definition=row["definition"],
            type=row["type"],
            unit_of_measure=row.get("unitOfMeasure"),
            scale=row["scale"],
            minimum=None if row.get("minimum") is None else Decimal(row["minimum"]),
            maximum=None if row.get("maximum") is None else Decimal(row["maximum"]),
            source=row["source"],
            responsible=next(iter(row.get("responsible", [])), None),
        )


@dataclass(frozen=True)
class Check:
    """What must hold between two items: `left` ≤ `right`."""

    left: str
    right: str
    warning_only: bool


@dataclass(frozen=True)
class Node:
    """A node of the tree (一、二、三级指标). `categories` empty means all; `rule` is None for inner nodes."""

    code: str
    parent: str | None
    name: str
    short_name: str | None
    points: Decimal
    categories: frozenset[str]
    rule: Json | None
    responsible: str | None
    checks: tuple[Check, ...]
    row: Json

    @classmethod
    def read(cls, row: Json) -> Self:
        """The node of one line of the file."""
        return cls(
            code=row["code"],
            parent=row.get("parent"),
            name=row["name"],
            short_name=row.get("shortName"),
            points=Decimal(row["points"]),
            categories=frozenset(row.get("categories", [])),
            rule=row.get("rule"),
            responsible=next(iter(row.get("responsible", [])), None),
            checks=tuple(Check(c["left"], c["right"], c["warningOnly"]) for c in row.get("checks", [])),
            row=row,
        )

    @property
    def kind(self) -> str:
        """The rule's name as the API's input writes it, or an empty text."""
        return next(iter(self.rule)) if self.rule else ""

    @property
    def items(self) -> tuple[str, ...]:
        """Codes of the data items that the rule uses, numerator first; none for an award."""
        return tuple(dict.fromkeys(_items(self.rule))) if self.rule else ()

    def applies_to(self, category: str) -> bool:
        """Whether the node is part of the tree of a category."""
        return not self.categories or category in self.categories


@dataclass(frozen=True)
class Library:
    """The scheme as a whole."""

    code: str
    name: str
    full_marks: Decimal
    categories: tuple[Named, ...]
    departments: tuple[Named, ...]
    items: Mapping[str, Item]
    nodes: tuple[Node, ...]

    def dimensions(self) -> list[Node]:
        """First-level indicators, in print order."""
        return [node for node in self.nodes if node.parent is None]

    def leaves(self, category: str) -> list[Node]:
        """Leaves of a category, in print order."""
        return [node for node in self.nodes if node.rule is not None and node.applies_to(category)]

    def items_of(self, category: str) -> list[Item]:
        """Data items asked of a category, each once, in print order."""
        codes = dict.fromkeys(code for leaf in self.leaves(category) for code in leaf.items)
        return [self.items[code] for code in codes]

    def checks(self, category: str) -> list[Check]:
        """What must hold between the items of a category."""
        return [check for leaf in self.leaves(category) for check in leaf.checks]


@cache
def library() -> Library:
    """The scheme that comes with the program."""
    text = files(__package__).joinpath("library.json").read_text(encoding="utf-8")
    document = cast(Json, json.loads(text))
    return Library(
        code=document["code"],
        name=document["name"],
        full_marks=Decimal(document["fullMarks"]),
        categories=tuple(Named(row["code"], row["name"]) for row in document["categories"]),
        departments=tuple(Named(row["code"], row["name"]) for row in document["departments"]),
        items={item.code: item for item in map(Item.read, document["dataItems"])},
        nodes=tuple(map(Node.read, document["indicators"])),
    )


def item_input(item: Item, *, departments: Mapping[str, str]) -> Json:
    """A data item as `createDataItems` takes it; `departments` gives the id of each department's unit by its code."""
    return {
        "code": item.code,
        "name": item.name,
        "definition": item.definition,
        "type": item.type,
        "unitOfMeasure": item.unit_of_measure,
        "scale": item.scale,
        "minimum": None if item.minimum is None else str(item.minimum),
        "maximum": None if item.maximum is None else str(item.maximum),
        "source": item.source,
        "responsibleUnitIds": [departments[item.responsible]] if item.responsible else [],
        "personal": False,
    }


def row_input(
    node: Node, *, items: Mapping[str, str], departments: Mapping[str, str], categories: Mapping[str, str]
) -> Json:
    """A node as `replaceIndicators` takes it; the three maps give ids by code."""
    indicator: Json = {
        "code": node.code,
        "name": node.name,
        "points": str(node.points),
        "aggregation": "ARITHMETIC",
        "categoryIds": [categories[code] for code in sorted(node.categories)],
        "responsibleUnitIds": [departments[node.responsible]] if node.responsible else [],
    }
    for field in ("wording", "checkMethod", "sourceNote", "basis", "evidenceReason"):
        if field in node.row:
            indicator[field] = node.row[field]
    if node.rule is not None:
        indicator["rule"] = _with_ids(node.rule, items)
        indicator["checks"] = _with_ids(node.row.get("checks", []), items)
    return {"parentCode": node.parent, "indicator": indicator} if node.parent else {"indicator": indicator}


def quantity_items(text: str) -> list[str]:
    """Codes of the items of a quantity such as `done / due`."""
    return [part.strip() for part in text.split("/")]


def _quantity(text: str, items: Mapping[str, str]) -> Json:
    terms = [
        {"terms": [{"dataItemId": items[code], "coefficient": "1"}], "constant": "0"} for code in quantity_items(text)
    ]
    quantity: Json = {"numerator": terms[0], "denominatorZero": "NOT_APPLICABLE"}
    return quantity | {"denominator": terms[1]} if len(terms) > 1 else quantity


def _with_ids(value: Part, items: Mapping[str, str]) -> Part:
    """The same rule or checks with quantities written out and ids in place of codes."""
    if isinstance(value, list):
        return [_with_ids(part, items) for part in value]
    if not isinstance(value, dict):
        return value
    written: Json = {}
    for field, part in value.items():
        if field in QUANTITIES:
            written[field] = _quantity(part, items)
        elif field == "dataItem":
            written["dataItemId"] = items[part]
        else:
            written[field] = _with_ids(part, items)
    return written


def _items(value: Part) -> list[str]:
    if isinstance(value, list):
        return [code for part in value for code in _items(part)]
    if not isinstance(value, dict):
        return []
    found: list[str] = []
    for field, part in value.items():
        if field in QUANTITIES:
            found += quantity_items(part)
        elif field == "dataItem":
            found.append(part)
        else:
            found += _items(part)
    return found
