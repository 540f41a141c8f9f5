"""Rules of leaves as they are typed, stored and written to files (计分规则).

The stored form is the rule of the scheme document, with the ids of data items in it as text. What was typed by hand in
an input (decimals, ids) stands in the document as `AsTyped`, with its place in the input, until it has been judged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from service.checks import Check
from service.errors import NotFound, Path
from service.scoring.numbers import format_decimal
from tenants.database import Transaction

RULE_KINDS: Final = (
    "AWARD",
    "COMPLETION",
    "LINEAR",
    "BANDS",
    "PIECEWISE",
    "YES_NO",
    "CHECKLIST",
    "CHOICE",
    "DEDUCT",
    "NEUTRAL",
    "IMPROVEMENT",
    "BEST_RATIO",
    "EFFICACY",
    "MINMAX",
    "RANK_POINTS",
    "PERCENTILE",
    "GRADE_MEAN",
    "TRIMMED_MEAN",
    "BONUS",
    "DEDUCTION",
    "VETO",
)
"""Rules that a scheme may use. Each is declared once in `schema.rules`, and computed by `service.scoring.rules`."""

EVENT_RULES: Final = ("DEDUCT", "BONUS", "DEDUCTION", "VETO")
"""Rules of leaves under which events may be filed."""

TABLES: Final = {"DataItem": "data_items", "Category": "categories", "OrgUnit": "org_units"}


@dataclass(frozen=True, slots=True)
class AsTyped:
    """A value of a rule as somebody typed it; `path` is its place within the rule's input."""

    text: str
    what: Literal["DECIMAL", "LINE", "DataItem", "OrgUnit"]
    path: Path


class References:
    """What an input names by id: looked up together, once per type."""

    def __init__(self) -> None:
        self._wanted: dict[str, list[tuple[Path, UUID]]] = {}

    def add(self, type_name: str, path: Path, key: UUID) -> None:
        """Note that the input names a row."""
        self._wanted.setdefault(type_name, []).append((path, key))

    async def require(self, tx: Transaction) -> None:
        """Raise NotFound for the first id that finds nothing in the tenant."""
        for type_name, wanted in self._wanted.items():
            rows = await tx.fetch(
                f"SELECT id FROM {TABLES[type_name]} WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
                tx.tenant_id,
                list({key for _, key in wanted}),
            )
            there = {row["id"] for row in rows}
            for path, key in wanted:
                if key not in there:
                    raise NotFound(path)


def read_typed(check: Check, path: Path, document: Mapping[str, Any], references: References) -> dict[str, Any]:
    """The rule or check to store: typed values judged, ids noted in `references`. `path` is its place in the input.

    Whether it makes sense is not asked here: what is wrong with it is a fault of the draft.
    """

    def judge(value: AsTyped) -> str | None:
        here = (*path, *value.path)
        if value.what == "DECIMAL":
            number = check.decimal(here, value.text)
            return None if number is None else format_decimal(number)
        if value.what == "LINE":
            return check.line(here, value.text, longest=400)
        key = check.id(here, value.text, value.what)
        if key is None:
            return None
        references.add(value.what, here, key)
        return str(key)

    stored: dict[str, Any] = _walk(document, judge)
    return stored


def _walk(value: Any, judge: Callable[[AsTyped], str | None]) -> Any:
    match value:
        case AsTyped():
            return judge(value)
        case Mapping():
            return {name: _walk(each, judge) for name, each in value.items()}
        case list() | tuple():
            return [_walk(each, judge) for each in value]
    return value


_ORDER: Final = (
    "actual",
    "target",
    "quantity",
    "low",
    "high",
    "required",
    "done",
    "asked",
    "left",
    "right",
    "numerator",
    "denominator",
)
"""Parts of a rule in the order in which its data items are listed; the same as the rules' own `data_items()`."""


ITEM_KEYS: Final = ("dataItem", "assigned")
"""Keys of a rule under which the key of a data item stands."""


def items_of(rule: Mapping[str, Any] | None) -> list[str]:
    """Keys of the data items that a stored rule uses, each once, in order; also where the rule has faults."""
    return list(dict.fromkeys(_items(rule)))


def _items(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for name in ITEM_KEYS:
                key = value.get(name)
                if isinstance(key, str):
                    yield key
            for name in (*(name for name in _ORDER if name in value), *(name for name in value if name not in _ORDER)):
                yield from _items(value[name])
        case list():
            for each in value:
                yield from _items(each)


def translate(rule: Any, data_items: Mapping[str, str]) -> Any:
    """The same rule with other keys for its data items; what has no other key keeps its own."""
    match rule:
        case Mapping():
            return {
                name: data_items.get(each, each)
                if name in ITEM_KEYS and isinstance(each, str)
                else translate(each, data_items)
                for name, each in rule.items()
            }
        case list():
            return [translate(each, data_items) for each in rule]
    return rule


def with_units(rule: Any, units: Mapping[str, str]) -> Any:
    """The same rule with other keys for the units of its groups of assessors; what has no other key keeps its own."""
    if not isinstance(rule, Mapping) or rule.get("kind") != "AWARD" or not rule.get("groups"):
        return rule
    return {
        **rule,
        "groups": [
            {**group, "responsibleUnits": [units.get(each, each) for each in group.get("responsibleUnits") or ()]}
            for group in rule["groups"]
        ],
    }
