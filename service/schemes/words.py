"""Rules and quantities in words (评分标准), from documents that carry the data items they use under `dataItems`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from service.scoring import Text, parse_rule
from service.scoring.items import read_data_item
from service.scoring.numbers import parse_decimal
from service.scoring.quantities import read_quantity
from service.scoring.reading import Reader, Sink

FAULTY = Text(zh="规则有误，见方案检查。", en="The rule has faults; see the check of the scheme.")


def describe_rule(document: Mapping[str, Any]) -> Text:
    """A rule in words; `document` is a stored rule with `fullMarks` and `dataItems` beside its own keys."""
    items = document.get("dataItems") or []
    rule = {name: value for name, value in document.items() if name not in ("dataItems", "fullMarks")}
    read, _ = parse_rule(rule, data_items=items)
    marks = parse_decimal(str(document.get("fullMarks")))
    if read is None or marks is None:
        return FAULTY
    return read.describe(Fraction(marks), {item["code"]: item["name"] for item in items})


RELATIONS: Final = {
    "AT_MOST": Text(zh="应不大于", en="must be at most"),
    "AT_LEAST": Text(zh="应不小于", en="must be at least"),
    "EQUAL": Text(zh="应等于", en="must equal"),
}
"""What a cross check asks for."""


def describe_check(document: Mapping[str, Any]) -> Text:
    """A cross check in words; `document` is a stored check with `dataItems` beside its own keys."""
    items = {"dataItems": document.get("dataItems")}
    left, right = (describe_quantity({**document[side], **items}) for side in ("left", "right"))
    relation = RELATIONS[document["comparison"]]
    return Text(f"{left.zh}{relation.zh}{right.zh}。", f"{left.en} {relation.en} {right.en}.")


def describe_quantity(document: Mapping[str, Any]) -> Text:
    """A quantity in words; `document` is a stored quantity with `dataItems` beside its own keys."""
    items = document.get("dataItems") or []
    quantity = {name: value for name, value in document.items() if name != "dataItems"}
    known = {each.code: each for item in items if (each := read_data_item(Reader(item, (), Sink()))) is not None}
    read = read_quantity(Reader(quantity, (), Sink()), known, constant_allowed=True)
    if read is None:
        return FAULTY
    return read.describe({item["code"]: item["name"] for item in items})


def describe_condition(document: Mapping[str, Any]) -> Text:
    """A condition of a grade in words; `document` is a stored condition with the names of what it refers to."""
    match document["kind"]:
        case "NODE_SHARE":
            name, share = document.get("indicatorName") or document["indicator"], document["minimumShare"]
            return Text(f"“{name}”得分率不低于{share}。", f"{name} has at least {share} of its marks.")
        case "NO_EVENT":
            name = document.get("indicatorName") or document["indicator"]
            return Text(f"“{name}”没有经认定的事项。", f"No confirmed event under {name}.")
        case "ITEM_TRUE":
            name = document.get("itemName") or document["dataItem"]
            return Text(f"“{name}”为是。", f"{name} is yes.")
    name = document.get("gradeName") or document["gradeCode"]
    return Text(f"上一周期等次不低于“{name}”。", f"The grade of the last cycle was at least {name}.")
