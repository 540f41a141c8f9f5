"""Previewed marks: the same as a run would give, and nothing where one unit's values do not say it."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from service.reports.values import PinnedItem, Value
from service.reviews.preview import PreviewLeaf, preview
from service.scoring.items import ItemOption

A, B = UUID(int=1), UUID(int=2)


def item(key: UUID, kind: str = "NUMBER", options: tuple[str, ...] = ()) -> PinnedItem:
    """A data item of two places."""
    listed = tuple(ItemOption(code, code) for code in options)
    return PinnedItem(key, f"i{key.int}", f"数据{key.int}", kind, None, 2, None, None, listed)


def combination(key: UUID) -> dict[str, Any]:
    return {"terms": [{"coefficient": "1", "dataItem": str(key), "countName": None}], "constant": "0"}


def quantity(top: UUID, bottom: UUID | None = None) -> dict[str, Any]:
    return {
        "numerator": combination(top),
        "denominator": combination(bottom) if bottom else None,
        "denominatorZero": "NOT_APPLICABLE",
    }


def leaf(rule: dict[str, Any], *items: PinnedItem, full: str = "10") -> PreviewLeaf:
    return PreviewLeaf(orjson.dumps(rule).decode(), Decimal(full), items)


def numbers(*values: str | None) -> list[Value | None]:
    return [None if value is None else Value(Decimal(value)) for value in values]


def test_linear_over_a_ratio_with_gaps_and_a_denominator_of_zero() -> None:
    rule = {"kind": "LINEAR", "quantity": quantity(A, B), "zeroAt": "0.5", "fullAt": "1", "clamp": True}
    rows = [numbers("40", "40"), numbers("30", "40"), numbers("1", "3"), numbers("1", None), numbers("1", "0")]
    assert preview(leaf(rule, item(A), item(B)), rows) == [10, 5, 0, None, None]


def test_marks_are_rounded_half_up() -> None:
    rule = {"kind": "LINEAR", "quantity": quantity(A), "zeroAt": "0", "fullAt": "3", "clamp": True}
    assert preview(leaf(rule, item(A)), [numbers("1"), numbers("2")]) == [Decimal("3.3333"), Decimal("6.6667")]


def test_a_choice_earns_the_marks_of_its_option() -> None:
    rule = {
        "kind": "CHOICE",
        "dataItem": str(A),
        "options": [{"option": "good", "marks": "10"}, {"option": "fair", "marks": "4.5"}],
    }
    rows: list[list[Value | None]] = [[Value(detail={"choice": "fair"})], [Value(detail={"choice": "good"})]]
    assert preview(leaf(rule, item(A, "CHOICE", ("good", "fair"))), rows) == [Decimal("4.5"), 10]


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "MINMAX", "quantity": quantity(A), "direction": "HIGHER"},
        {"kind": "AWARD", "step": "1"},
        {"kind": "DEDUCT", "lines": [{"quantity": None, "pointsEach": "1"}], "floor": "0"},
        {"kind": "LINEAR", "quantity": quantity(A), "zeroAt": "1", "fullAt": "1"},
    ],
)
def test_nothing_is_said_where_others_matter_or_the_rule_does_not_stand(rule: dict[str, Any]) -> None:
    assert preview(leaf(rule, item(A)), [numbers("5")]) == [None]


def test_a_leaf_without_marks_has_nothing_to_preview() -> None:
    rule = {"kind": "LINEAR", "quantity": quantity(A), "zeroAt": "0", "fullAt": "3"}
    assert preview(leaf(rule, item(A), full="0"), [numbers("1")]) == [None]
