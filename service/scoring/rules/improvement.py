"""IMPROVEMENT 同比: F × clamp((x − b) ÷ |b| ÷ fullAt, 0, 1), b the last cycle's settled value.

Source: practice (考核细则).

Where lower is better the sign turns. No last value, or one of 0, does not apply.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from service.scoring.numbers import format_decimal, percent, show
from service.scoring.quantities import ItemNames, Quantity, read_quantity
from service.scoring.reading import Reader
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    either,
    undefined_work,
)
from service.scoring.rules.peer_rule import DIRECTIONS
from service.scoring.text import Text
from service.scoring.whole import Mask, Whole


@dataclass(frozen=True, kw_only=True)
class ImprovementRule(ScoredRule):
    """Progress against the last cycle."""

    kind: ClassVar[str] = "IMPROVEMENT"
    term: ClassVar[Text] = Text("同比", "improvement")

    quantity: Quantity
    full_at: Fraction
    direction: str = "HIGHER"

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "ImprovementRule | None":
        quantity = read_quantity(reader.inner("quantity"), context.items)
        full_at = reader.decimal("fullAt", above=0)
        direction = reader.choice("direction", DIRECTIONS, default="HIGHER")
        if quantity is None or full_at is None or direction is None:
            return None
        return cls(quantity=quantity, full_at=full_at, direction=direction)

    def settings(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity.document(),
            "fullAt": format_decimal(self.full_at),
            "direction": self.direction,
        }

    def data_items(self) -> tuple[str, ...]:
        return self.quantity.data_items()

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        change = Text("提高", "up") if self.direction == "HIGHER" else Text("下降", "down")
        return Text(
            f"{x.zh}比上期{change.zh}{percent(self.full_at)}及以上得满分{f}分，未{change.zh}不得分，其间按比例计分；"
            "上期无数据或为零的不适用。",
            f"{x.en}: full marks of {f} where it went {change.en} by {percent(self.full_at)} or more, none where it "
            "did not, "
            f"in proportion between; not applicable without a last value or where it was 0.",
        )

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        before = _Previous(data)
        base = self.quantity.evaluate(before)
        absent = either(~before.present, base.undefined, base.numerator.equals(0))
        sign = 1 if self.direction == "HIGHER" else -1
        change = (x.numerator * base.denominator - base.numerator * x.denominator) * sign
        size = base.numerator.at_least(-base.numerator).at_least(1)
        span = x.denominator * size * self.full_at.numerator
        change = (change * self.full_at.denominator).at_least(0).at_most(span)
        undefined = x.undefined
        if absent is not None and undefined is not None:
            absent = absent & ~undefined
        return Outcome(change * 100, span, either(x.not_applicable, absent), x.full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x, base = self.quantity.value(unit), self.quantity.value(_PreviousUnit(unit))
        if x is None or not base:
            return undefined_work(self.quantity, unit, full_marks)
        change = (x - base) / abs(base) * (1 if self.direction == "HIGHER" else -1)
        share = min(max(change / self.full_at, Fraction(0)), Fraction(1))
        marks = full_marks * share
        formula = f"{show(full_marks)} × ({show(x)} - {show(base)}) ÷ {show(abs(base))} ÷ {show(self.full_at)}"
        if self.direction == "LOWER":
            formula = f"{show(full_marks)} × ({show(base)} - {show(x)}) ÷ {show(abs(base))} ÷ {show(self.full_at)}"
        if share != change / self.full_at:
            formula += f" → {show(marks)}"
        text = Text(
            f"本期{show(x)}，上期{show(base)}，改善{percent(change)}，得{show(marks)}分",
            f"now {show(x)}, before {show(base)}, better by {percent(change)}: {show(marks)} marks",
        )
        return Work(formula, marks, text)


class _Previous:
    """The last cycle's values in place of this one's."""

    def __init__(self, data: LeafColumns) -> None:
        self._data = data
        self.present: Mask = np.ones(data.count, bool)

    def numbers(self, key: str, count_name: str | None = None) -> tuple[Whole, int]:
        """(value × 10**scale, scale)."""
        column = self._data.previous(key, count_name)
        self.present = self.present & column.present
        return column.numbers, column.scale


class _PreviousUnit:
    """The same for one unit."""

    def __init__(self, unit: UnitLeaf) -> None:
        self._unit = unit

    def number(self, key: str, count_name: str | None = None) -> Fraction:
        """The exact value; 0 where there is none."""
        return self._unit.previous(key, count_name) or Fraction(0)
