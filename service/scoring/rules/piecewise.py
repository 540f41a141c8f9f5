"""PIECEWISE 分段插值: linear between points, flat outside.

Source: practice (考核细则), "60%得0分，85%得1.2分，98%以上得2分，其间插值".
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, read_quantity
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    compare_line,
    marks_within,
    score_of_marks,
    undefined_work,
    zero_words,
)
from service.scoring.text import Text


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the curve."""

    x: Fraction
    marks: Fraction


@dataclass(frozen=True, kw_only=True)
class PiecewiseRule(ScoredRule):
    """Marks along a broken line."""

    kind: ClassVar[str] = "PIECEWISE"
    term: ClassVar[Text] = Text("分段插值", "piecewise linear")

    quantity: Quantity
    points: tuple[CurvePoint, ...]

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "PiecewiseRule | None":
        before = len(reader.sink.faults)
        quantity = read_quantity(reader.inner("quantity"), context.items)
        points: list[CurvePoint] = []
        entries = reader.each("points", required=True, limit=100)
        for entry in entries:
            x = entry.decimal("x")
            marks = entry.decimal("marks")
            entry.finish()
            if points and x is not None and x <= points[-1].x:
                entry.fault("x", Text(f"{show(x)}应大于上一点的{show(points[-1].x)}", "points must rise strictly in x"))
            if x is not None and marks is not None:
                points.append(CurvePoint(x, marks))
        if len(entries) < 2 and len(reader.sink.faults) == before:
            reader.fault("points", Text("至少要有两个点", "there must be at least two points"))
        if quantity is None or len(reader.sink.faults) > before:
            return None
        return cls(quantity=quantity, points=tuple(points))

    def settings(self) -> dict[str, Any]:
        points = [{"x": format_decimal(point.x), "marks": format_decimal(point.marks)} for point in self.points]
        return {"quantity": self.quantity.document(), "points": points}

    def data_items(self) -> tuple[str, ...]:
        return self.quantity.data_items()

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        for place, point in enumerate(self.points):
            marks_within(point.marks, full_marks, sink, (*path, "points", str(place), "marks"), category)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x = self.quantity.describe(names)
        zh = f"{x.zh}：" + "，".join(f"{show(point.x)}得{show(point.marks)}分" for point in self.points)
        en = f"{x.en}: " + ", ".join(f"{show(point.marks)} at {show(point.x)}" for point in self.points)
        zh, en = f"{zh}，其间按比例插值，两端以外不变", f"{en}, in proportion between, flat outside"
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        slopes = [
            (right.marks - left.marks) / (right.x - left.x)
            for left, right in zip(self.points, self.points[1:], strict=False)
        ]
        starts = [left.marks - slope * left.x for left, slope in zip(self.points, slopes, strict=False)]
        first, last = self.points[0].marks, self.points[-1].marks
        common = lcm(*(value.denominator for value in (*slopes, *starts, first, last)))
        # Marks × common, over x's denominator: one line per stretch, the last that x has passed.
        marks = x.denominator * int(first * common)
        for point, slope, start in zip(self.points, slopes, starts, strict=False):
            left, right = compare_line(x, point.x)
            line = x.numerator * int(slope * common) + x.denominator * int(start * common)
            marks = line.where(left > right, marks)
        left, right = compare_line(x, self.points[-1].x)
        marks = (x.denominator * int(last * common)).where(left > right, marks)
        numerator, denominator = score_of_marks(marks, x.denominator * common, full_marks)
        return Outcome(numerator, denominator, x.not_applicable, x.full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x = self.quantity.value(unit)
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        for left, right in zip(self.points, self.points[1:], strict=False):
            if left.x < x <= right.x:
                marks = left.marks + (right.marks - left.marks) * (x - left.x) / (right.x - left.x)
                formula = (
                    f"{show(left.marks)} + ({show(right.marks)} - {show(left.marks)}) × "
                    f"({show(x)} - {show(left.x)}) ÷ ({show(right.x)} - {show(left.x)})"
                )
                text = Text(
                    f"实际值{show(x)}，在{show(left.x)}与{show(right.x)}之间，得{show(marks)}分",
                    f"value {show(x)}, between {show(left.x)} and {show(right.x)}: {show(marks)} marks",
                )
                return Work(formula, marks, text)
        marks = self.points[0].marks if x <= self.points[0].x else self.points[-1].marks
        text = Text(f"实际值{show(x)}，在两端以外，得{show(marks)}分", f"value {show(x)}, outside: {show(marks)} marks")
        return Work(f"{self.quantity.formula(unit)} → {show(marks)}", marks, text)
