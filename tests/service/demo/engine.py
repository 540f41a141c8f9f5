"""The demo's scheme and true values in the words of the scoring engine, to know what a board must show."""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from service.demo.district import District, Value
from service.demo.library import Json, Library, Part, row_input
from service.demo.session import rounds
from service.demo.setup import SETTINGS
from service.scoring import ItemColumn, Snapshot, State

NOT_SCORING = {"reviewLevels", "disclosures", "objectionWorkingDays"}


def renamed(value: Part) -> Part:
    """Item keys in place of ids."""
    if isinstance(value, list):
        return [renamed(part) for part in value]
    if isinstance(value, dict):
        return {("dataItem" if key == "dataItemId" else key): renamed(part) for key, part in value.items()}
    return value


def rule_document(rule: Mapping[str, Part]) -> Json:
    """A rule of the API's input as the engine's document writes it."""
    ((kind, given),) = rule.items()
    written: Json = {"kind": "YES_NO" if kind == "yesNo" else kind.upper()}
    return {**written, **renamed(given)}


def document(scheme: Library) -> Json:
    """The whole scheme for the engine, with codes as keys."""
    same = {code: code for code in scheme.items}
    categories = {category.code: category.code for category in scheme.categories}
    departments = {department.code: department.code for department in scheme.departments}
    rows: list[Json] = [{"code": "ROOT", "name": "总分", "points": str(scheme.full_marks)}]
    for node in scheme.nodes:
        given = row_input(node, items=same, departments=departments, categories=categories)["indicator"]
        row = {key: given[key] for key in ("code", "name", "points", "aggregation")}
        row |= {"parentCode": node.parent or "ROOT", "categories": given["categoryIds"]}
        if "rule" in given:
            row["rule"] = rule_document(given["rule"])
        rows.append(row)
    return {
        "weighting": "POINTS",
        "fullMarks": str(scheme.full_marks),
        "categories": [{"code": category.code, "name": category.name} for category in scheme.categories],
        "dataItems": [
            {
                "code": item.code,
                "name": item.name,
                "type": item.type,
                "scale": item.scale,
                "minimum": None if item.minimum is None else str(item.minimum),
                "maximum": None if item.maximum is None else str(item.maximum),
            }
            for item in scheme.items.values()
        ],
        "settings": {key: value for key, value in SETTINGS.items() if key not in NOT_SCORING},
        "indicators": rows,
    }


def number(value: Value | None) -> Decimal | int | None:
    return int(value) if isinstance(value, bool) else value


def snapshot(scheme: Library, district: District) -> Snapshot:
    """The district's true values, with the leaves that no review settles, and days late where a unit reported."""
    codes = [unit.code for unit in district.units]
    items = {
        item.code: ItemColumn.of([number(district.value(code, item.code)) for code in codes], scale=item.scale)
        for item in scheme.items.values()
    }
    late = {category: -round_.due for round_ in rounds() for category in round_.categories}
    own = [item.code for item in scheme.items.values() if item.responsible is None]
    states: dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]] = {}
    for slip in district.slips:
        state = {"unanswered": State.MISSING, "rejected": State.REJECTED}.get(slip.fate)
        if state is not None:
            column = states.setdefault(slip.leaf, np.zeros(len(codes), np.uint8))
            column[codes.index(slip.unit)] = state
    return Snapshot(
        units=codes,
        categories=[unit.category or "" for unit in district.units],
        items=items,
        awards={"B13": ItemColumn.of([district.awards[code, "B13"].marks for code in codes], scale=1)},
        leaf_states=states,
        late_days=np.array(
            [
                late[unit.category or ""] if any(district.value(unit.code, item) is not None for item in own) else 0
                for unit in district.units
            ],
            np.int64,
        ),
    )
