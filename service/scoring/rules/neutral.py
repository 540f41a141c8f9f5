"""NEUTRAL 适度指标: F inside a corridor, less outside by rate per step.

Source: practice (考核细则), "每低1个百分点扣0.5分".

Either end is a number, an item assigned per unit, or open. Part steps count exactly, once started, or when completed.
Never below the floor. With `plus`, what lies above the upper end earns marks over F instead, up to a stated cap.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, Ratio, read_item, read_quantity
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    floor_within,
    score_of_marks,
    undefined_work,
    zero_words,
)
from service.scoring.rules.deduct import PART_UNITS
from service.scoring.sums import RationalSum
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, slots=True)
class CorridorEnd:
    """One end of the corridor: a number, or an assigned item."""

    value: Fraction | None
    assigned: str | None
    points_per_step: Fraction
    step: Fraction = Fraction(1)
    part_steps: str = "EXACT"

    def document(self) -> dict[str, Any]:
        return {
            "value": None if self.value is None else format_decimal(self.value),
            "assigned": self.assigned,
            "pointsPerStep": format_decimal(self.points_per_step),
            "step": format_decimal(self.step),
            "partSteps": self.part_steps,
        }

    def bound(self, data: LeafColumns) -> tuple[Whole, int]:
        """The end per unit: (numbers, denominator)."""
        if self.assigned is not None:
            numbers, scale = data.numbers(self.assigned)
            return numbers, 10**scale
        value = self.value or Fraction(0)
        return Whole.of(value.numerator), value.denominator

    def bound_of(self, unit: UnitLeaf) -> Fraction:
        """The end for one unit."""
        return unit.number(self.assigned) if self.assigned is not None else self.value or Fraction(0)

    def steps(self, distance: Fraction) -> Fraction:
        """Steps in a distance, as parts count; 0 for a negative one."""
        steps = max(distance, Fraction(0)) / self.step
        if self.part_steps == "STARTED":
            return Fraction(ceil(steps))
        return Fraction(floor(steps)) if self.part_steps == "COMPLETED" else steps

    def words(self, names: ItemNames) -> str:
        return names.get(self.assigned, self.assigned) if self.assigned is not None else show(self.value or Fraction(0))


@dataclass(frozen=True, slots=True)
class CorridorPlus:
    """Marks above F for what lies above the upper end."""

    points_per_step: Fraction
    step: Fraction
    cap: Fraction


@dataclass(frozen=True, kw_only=True)
class NeutralRule(ScoredRule):
    """Neither too little nor too much."""

    kind: ClassVar[str] = "NEUTRAL"
    term: ClassVar[Text] = Text("适度指标", "corridor")

    quantity: Quantity
    low: CorridorEnd | None = None
    high: CorridorEnd | None = None
    floor: Fraction = Fraction(0)
    plus: CorridorPlus | None = None

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "NeutralRule | None":
        before = len(reader.sink.faults)
        quantity = read_quantity(reader.inner("quantity"), context.items)
        low = _read_end(reader.inner("low", required=False), context)
        high = _read_end(reader.inner("high", required=False), context)
        least = reader.decimal("floor", required=False, default=Fraction(0))
        plus = None
        plus_reader = reader.inner("plus", required=False)
        if plus_reader is not None:
            points = plus_reader.decimal("pointsPerStep", above=0)
            step = plus_reader.decimal("step", required=False, default=Fraction(1), above=0)
            cap = plus_reader.decimal("cap", above=0)
            plus_reader.finish()
            if points is not None and step is not None and cap is not None:
                plus = CorridorPlus(points, step, cap)
        if len(reader.sink.faults) == before:
            if low is None and high is None:
                reader.fault("low", Text("上限和下限至少要有一个", "at least one end is needed"))
            if low and high and low.value is not None and high.value is not None and low.value > high.value:
                reader.fault(
                    "low", Text(f"下限{show(low.value)}高于上限{show(high.value)}", "the lower end is above the upper")
                )
            if plus is not None and high is None:
                reader.fault("plus", Text("超上限加分须有上限", "marks above the upper end need an upper end"))
            if plus is not None and high is not None and high.points_per_step:
                reader.fault(
                    "plus", Text("超过上限不能既扣分又加分", "above the upper end either less or more, not both")
                )
        if quantity is None or least is None or len(reader.sink.faults) > before:
            return None
        return cls(quantity=quantity, low=low, high=high, floor=least, plus=plus)

    def settings(self) -> dict[str, Any]:
        plus = self.plus
        return {
            "quantity": self.quantity.document(),
            "low": self.low.document() if self.low else None,
            "high": self.high.document() if self.high else None,
            "floor": format_decimal(self.floor),
            "plus": plus
            and {
                "pointsPerStep": format_decimal(plus.points_per_step),
                "step": format_decimal(plus.step),
                "cap": format_decimal(plus.cap),
            },
        }

    def data_items(self) -> tuple[str, ...]:
        keys = list(self.quantity.data_items())
        keys += [end.assigned for end in (self.low, self.high) if end is not None and end.assigned is not None]
        return tuple(dict.fromkeys(keys))

    def can_be_negative(self) -> bool:
        return self.floor < 0

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        floor_within(self.floor, full_marks, sink, (*path, "floor"), category)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        zh_parts, en_parts = [], []
        if self.low is not None:
            zh_parts.append(f"不低于{self.low.words(names)}")
            en_parts.append(f"at least {self.low.words(names)}")
        if self.high is not None:
            zh_parts.append(f"不高于{self.high.words(names)}")
            en_parts.append(f"at most {self.high.words(names)}")
        zh = f"{x.zh}{'且'.join(zh_parts)}得满分{f}分"
        en = f"{x.en} {' and '.join(en_parts)}: full marks of {f}"
        for end, less, below in ((self.low, "低", "below"), (self.high, "高", "above")):
            if end is not None and end.points_per_step:
                part = {"STARTED": "，不足一档按一档计", "COMPLETED": "，不足一档不计"}.get(end.part_steps, "")
                zh += f"，每{less}{show(end.step)}扣{show(end.points_per_step)}分{part}"
                en += f", {show(end.points_per_step)} off for each {show(end.step)} {below}"
                en += {"STARTED": " or part of it", "COMPLETED": " completed"}.get(end.part_steps, "")
        if self.plus is not None:
            zh += f"，每高{show(self.plus.step)}加{show(self.plus.points_per_step)}分，最多加{show(self.plus.cap)}分"
            en += (
                f", {show(self.plus.points_per_step)} more for each {show(self.plus.step)} above, at most "
                f"{show(self.plus.cap)}"
            )
        zh, en = f"{zh}，最低{show(self.floor)}分", f"{en}, at least {show(self.floor)}"
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        marks = RationalSum()
        marks.add(Whole.of(full_marks.numerator), Whole.of(full_marks.denominator))
        for end, sign in ((self.low, 1), (self.high, -1)):
            if end is not None and end.points_per_step:
                above, below = _outside(x, end, data, sign)
                marks.add(-above * end.points_per_step.numerator, below * end.points_per_step.denominator)
        if self.plus is not None and self.high is not None:
            rate, cap = self.plus.points_per_step / self.plus.step, self.plus.cap
            above, below = _distance(x, self.high, data, -1)
            above, below = above * rate.numerator, below * rate.denominator
            marks.add((above * cap.denominator).at_most(below * cap.numerator), below * cap.denominator)
        numerator, denominator = marks.total()
        least = denominator * self.floor.numerator
        numerator = (numerator * self.floor.denominator).at_least(least)
        denominator = denominator * self.floor.denominator
        return Outcome(*score_of_marks(numerator, denominator, full_marks), x.not_applicable, x.full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x = self.quantity.value(unit)
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        marks, formula = full_marks, show(full_marks)
        zh, en = "", ""
        for end, sign, less, below in ((self.low, 1, "低于下限", "below"), (self.high, -1, "高于上限", "above")):
            if end is not None:
                distance = (end.bound_of(unit) - x) * sign
                off = end.steps(distance) * end.points_per_step
                if off:
                    marks -= off
                    formula += f" - {show(end.steps(distance))} × {show(end.points_per_step)}"
                    zh, en = (
                        f"{zh}，{less}{show(distance)}，扣{show(off)}分",
                        f"{en}, {show(distance)} {below}: {show(off)} off",
                    )
        if self.plus is not None and self.high is not None and x > self.high.bound_of(unit):
            distance = x - self.high.bound_of(unit)
            more = min(self.plus.points_per_step * distance / self.plus.step, self.plus.cap)
            marks += more
            formula += f" + {show(more)}"
            zh, en = (
                f"{zh}，高于上限{show(distance)}，加{show(more)}分",
                f"{en}, {show(distance)} above: {show(more)} more",
            )
        counted = max(marks, self.floor)
        if counted != marks:
            formula += f" → {show(counted)}"
        text = Text(f"实际值{show(x)}{zh}，得{show(counted)}分", f"value {show(x)}{en}; {show(counted)} marks")
        return Work(formula, counted, text)


def _distance(x: Ratio, end: CorridorEnd, data: LeafColumns, sign: int) -> tuple[Whole, Whole]:
    """How far x lies outside an end, 0 inside: sign 1 for the lower end, -1 for the upper."""
    bound, scale = end.bound(data)
    above = (bound * x.denominator - x.numerator * scale) * sign
    return above.at_least(0), x.denominator * scale


def _outside(x: Ratio, end: CorridorEnd, data: LeafColumns, sign: int) -> tuple[Whole, Whole]:
    """Steps outside an end, as parts count."""
    above, below = _distance(x, end, data, sign)
    above, below = above * end.step.denominator, below * end.step.numerator
    if end.part_steps == "COMPLETED":
        return above // below, Whole.of(1)
    if end.part_steps == "STARTED":
        return -((-above) // below), Whole.of(1)
    return above, below


def _read_end(entry: Reader | None, context: RuleContext) -> CorridorEnd | None:
    if entry is None:
        return None
    value = entry.decimal("value", required=False)
    assigned = entry.text("assigned", required=False)
    points = entry.decimal("pointsPerStep", least=0)
    step = entry.decimal("step", required=False, default=Fraction(1), above=0)
    part = entry.choice("partSteps", PART_UNITS, default="EXACT")
    entry.finish()
    read_item(entry, "assigned", assigned, context.items, ("NUMBER", "INTEGER"))
    if entry.has("value") == entry.has("assigned"):
        entry.fault("value", Text("数值与下达目标须且只能给一个", "either a value or an assigned item"))
        return None
    if points is None or step is None or part is None:
        return None
    return CorridorEnd(value, assigned, points, step, part)
