"""LINEAR 按比例计分: F × clamp((x − a) ÷ (b − a), 0, 1).

Source: practice (考核细则), "95%以上得满分，60%以下不得分，其间按比例".

a (zeroAt) above b (fullAt) means that lower is better; a = b is refused; clamp false lets the score leave 0 … F.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, read_quantity
from service.scoring.reading import Reader
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    undefined_work,
    zero_words,
)
from service.scoring.text import Text


@dataclass(frozen=True, kw_only=True)
class LinearRule(ScoredRule):
    """In proportion between the value that earns nothing and the one that earns full marks."""

    kind: ClassVar[str] = "LINEAR"
    term: ClassVar[Text] = Text("按比例计分", "in proportion")

    quantity: Quantity
    zero_at: Fraction
    full_at: Fraction
    clamp: bool = True

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "LinearRule | None":
        quantity = read_quantity(reader.inner("quantity"), context.items)
        zero_at = reader.decimal("zeroAt")
        full_at = reader.decimal("fullAt")
        clamp = reader.flag("clamp", default=True)
        if zero_at is not None and zero_at == full_at:
            reader.fault(
                "fullAt",
                Text(
                    "满分值与零分值相同，无法按比例计分",
                    "full marks and no marks at the same value: nothing lies between",
                ),
                Text("改用分档计分(BANDS)", "use BANDS instead"),
            )
            return None
        if quantity is None or zero_at is None or full_at is None:
            return None
        return cls(quantity=quantity, zero_at=zero_at, full_at=full_at, clamp=clamp)

    def settings(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity.document(),
            "zeroAt": format_decimal(self.zero_at),
            "fullAt": format_decimal(self.full_at),
            "clamp": self.clamp,
        }

    def data_items(self) -> tuple[str, ...]:
        return self.quantity.data_items()

    def can_be_negative(self) -> bool:
        return not self.clamp

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x = self.quantity.describe(names)
        a, b, f = show(self.zero_at), show(self.full_at), show(full_marks)
        rising = self.full_at > self.zero_at
        if self.clamp:
            zh = (
                f"{x.zh}达到{b}{'及以上' if rising else '及以下'}得满分{f}分，"
                f"{a}{'及以下' if rising else '及以上'}不得分，其间按比例计分"
            )
            en = (
                f"{x.en}: full marks of {f} at {b} or {'more' if rising else 'less'}, "
                f"none at {a} or {'less' if rising else 'more'}, in proportion between"
            )
        else:
            zh = f"{x.zh}为{b}得{f}分，为{a}得0分，按比例计分，可超出该范围"
            en = f"{x.en}: {f} at {b}, 0 at {a}, in proportion also beyond them"
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        common = self.zero_at.denominator * self.full_at.denominator
        low, high = int(self.zero_at * common), int(self.full_at * common)
        sign = 1 if high > low else -1
        distance = (x.numerator * common - x.denominator * low) * (100 * sign)
        span = x.denominator * ((high - low) * sign)
        if self.clamp:
            distance = distance.at_least(0).at_most(span * 100)
        return Outcome(distance, span, x.not_applicable, x.full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x = self.quantity.value(unit)
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        share = (x - self.zero_at) / (self.full_at - self.zero_at)
        counted = min(max(share, Fraction(0)), Fraction(1)) if self.clamp else share
        marks = full_marks * counted
        a, b = show(self.zero_at), show(self.full_at)
        formula = f"{show(full_marks)} × ({self.quantity.formula(unit)} - {a}) ÷ ({b} - {a})"
        if counted != share:
            formula = f"{formula} → {show(full_marks)} × {show(counted)}"
        text = Text(f"实际值{show(x)}，得{show(marks)}分", f"value {show(x)}, {show(marks)} marks")
        return Work(formula, marks, text)
