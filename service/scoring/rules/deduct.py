"""DEDUCT 扣分制: max(F − Σ min(units × p, cap), floor). Source: practice (考核细则), "2分，每少1次扣0.5分，扣完为止".

A line counts a quantity, a shortfall max(0, required − done), or confirmed events; never less than 0, so nothing is
given back. A part of a unit counts in proportion, as a whole one once started, or not before it is completed. The floor
is 0, below it only on purpose (倒扣). Anything above 0 in a wipe-out line gives 0 for the whole leaf (一票扣完).
A line whose quantity has a denominator of 0 makes the leaf not applicable, or (FULL) takes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd
from typing import Any, ClassVar

from service.scoring.items import DataItem
from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, Ratio, read_quantity
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    either,
    floor_within,
    score_of_marks,
)
from service.scoring.text import Text
from service.scoring.whole import Mask, Whole

PART_UNITS = ("EXACT", "STARTED", "COMPLETED")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeductionLine:
    """What takes marks (扣分项): one of quantity, required with done, or events."""

    quantity: Quantity | None = None
    required: Quantity | None = None
    done: Quantity | None = None
    event_indicator_code: str | None = None
    count_name: str | None = None
    points_each: Fraction
    per_units: Fraction = Fraction(1)
    part_units: str = "EXACT"
    cap: Fraction | None = None
    wipe_out: bool = False
    text: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity.document() if self.quantity else None,
            "required": self.required.document() if self.required else None,
            "done": self.done.document() if self.done else None,
            "eventIndicatorCode": self.event_indicator_code,
            "countName": self.count_name,
            "pointsEach": format_decimal(self.points_each),
            "perUnits": format_decimal(self.per_units),
            "partUnits": self.part_units,
            "cap": None if self.cap is None else format_decimal(self.cap),
            "wipeOut": self.wipe_out,
            "text": self.text,
        }

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(q for q in (self.quantity, self.required, self.done) if q is not None)

    def count(self, data: LeafColumns) -> Ratio:
        """How much there is to deduct for, before it is cut into units; may be below 0."""
        if self.quantity is not None:
            return self.quantity.evaluate(data)
        if self.required is None or self.done is None:
            return Ratio(data.event_counts(self.event_indicator_code), Whole.of(1))
        asked, done = self.required.evaluate(data), self.done.evaluate(data)
        numerator = asked.numerator * done.denominator - done.numerator * asked.denominator
        return Ratio(
            numerator,
            asked.denominator * done.denominator,
            either(asked.not_applicable, done.not_applicable),
            either(asked.full, done.full),
        )

    def count_of(self, unit: UnitLeaf) -> tuple[Fraction | None, str]:
        """The same for one unit, with its formula; None where a denominator is 0."""
        if self.quantity is not None:
            return self.quantity.value(unit), self.quantity.formula(unit)
        if self.required is None or self.done is None:
            events = unit.events(self.event_indicator_code)
            return Fraction(events), str(events)
        asked, done = self.required.value(unit), self.done.value(unit)
        formula = f"{self.required.formula(unit)} - {self.done.formula(unit)}"
        return (None, formula) if asked is None or done is None else (asked - done, formula)

    def describe(self, names: ItemNames) -> Text:
        if self.quantity is not None:
            x = self.quantity.describe(names)
            subject = Text(f"“{x.zh}”每", f"{x.en}: ")
        elif self.required is not None and self.done is not None:
            asked, done = self.required.describe(names), self.done.describe(names)
            subject = Text(f"“{done.zh}”比“{asked.zh}”每少", f"{done.en} short of {asked.en}: ")
        else:
            subject = Text("经确认的扣分事项每", "confirmed events: ")
        per = show(self.per_units)
        zh = f"{subject.zh}{per}扣{show(self.points_each)}分"
        en = f"{subject.en}{show(self.points_each)} off for each {per}"
        if self.part_units == "STARTED":
            zh, en = zh + f"（不足{per}按{per}计）", en + " or part of it"
        elif self.part_units == "COMPLETED":
            zh, en = zh + f"（不足{per}不计）", en + " completed"
        if self.cap is not None:
            zh, en = zh + f"，最多扣{show(self.cap)}分", en + f", at most {show(self.cap)}"
        if self.wipe_out:
            zh, en = zh + "，发生即本项不得分", en + "; once it happens the leaf earns nothing"
        return Text(zh, en)


@dataclass(frozen=True, kw_only=True)
class DeductRule(ScoredRule):
    """Full marks less what went wrong."""

    kind: ClassVar[str] = "DEDUCT"
    term: ClassVar[Text] = Text("扣分制", "deductions")

    lines: tuple[DeductionLine, ...]
    floor: Fraction = Fraction(0)

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "DeductRule | None":
        before = len(reader.sink.faults)
        floor_ = reader.decimal("floor", required=False, default=Fraction(0))
        entries = reader.each("lines", required=True, limit=50)
        if not entries and len(reader.sink.faults) == before:
            reader.fault("lines", Text("至少要有一条扣分项", "there must be at least one line"))
        lines = [line for entry in entries if (line := _read_line(entry, context)) is not None]
        if floor_ is None or len(reader.sink.faults) > before:
            return None
        return cls(lines=tuple(lines), floor=floor_)

    def settings(self) -> dict[str, Any]:
        return {"lines": [line.document() for line in self.lines], "floor": format_decimal(self.floor)}

    def data_items(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for line in self.lines for q in line.quantities for key in q.data_items()))

    def can_be_negative(self) -> bool:
        return self.floor < 0

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        floor_within(self.floor, full_marks, sink, (*path, "floor"), category)
        for place, line in enumerate(self.lines):
            if line.cap is not None and line.cap > full_marks - self.floor:
                sink.add(
                    (*path, "lines", str(place), "cap"),
                    Text(
                        f"最多扣{show(line.cap)}分，超过可扣的{show(full_marks - self.floor)}分，上限不起作用",
                        f"a cap of {show(line.cap)} is above the {show(full_marks - self.floor)} that can be taken: "
                        "it has no effect",
                    ),
                    severity="WARNING",
                    category=category,
                )

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        words = [line.describe(names) for line in self.lines]
        zh = f"满分{show(full_marks)}分，" + "；".join(w.zh for w in words)
        en = f"Full marks {show(full_marks)}; " + "; ".join(w.en for w in words)
        if self.floor == 0:
            return Text(zh + "，扣完为止。", en + "; never below 0.")
        if self.floor > 0:
            return Text(zh + f"，最低得{show(self.floor)}分。", en + f"; at least {show(self.floor)}.")
        return Text(zh + f"，可倒扣，最低{show(self.floor)}分。", en + f"; down to {show(self.floor)}.")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        taken, under = Whole.of(0), Whole.of(1)
        not_applicable: Mask | None = None
        wiped: Mask | None = None
        for line in self.lines:
            count = line.count(data)
            not_applicable = either(not_applicable, count.not_applicable)
            numerator = (count.numerator * line.per_units.denominator).at_least(0)
            denominator = count.denominator * line.per_units.numerator
            if count.full is not None:
                numerator = numerator.where(~count.full, 0)
            if line.part_units == "COMPLETED":
                numerator, denominator = numerator // denominator, Whole.of(1)
            elif line.part_units == "STARTED":
                numerator, denominator = -((-numerator) // denominator), Whole.of(1)
            if line.wipe_out:
                wiped = either(wiped, numerator > 0)
            numerator, denominator = numerator * line.points_each.numerator, denominator * line.points_each.denominator
            if line.cap is not None:
                numerator = (numerator * line.cap.denominator).at_most(denominator * line.cap.numerator)
                denominator = denominator * line.cap.denominator
            taken, under = _sum(taken, under, numerator, denominator)
        common = full_marks.denominator * self.floor.denominator
        marks = under * int(full_marks * common) - taken * common
        marks = marks.at_least(under * int(self.floor * common))
        if wiped is not None:
            marks = Whole.of(0).where(wiped, marks)
        numerator, denominator = score_of_marks(marks, under * common, full_marks)
        return Outcome(numerator, denominator, not_applicable)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        taken = Fraction(0)
        parts, words_zh, words_en = [], [], []
        wiped = False
        for line in self.lines:
            count, formula = line.count_of(unit)
            units = max(count or Fraction(0), Fraction(0)) / line.per_units
            if line.part_units == "STARTED":
                units = Fraction(ceil(units))
            elif line.part_units == "COMPLETED":
                units = Fraction(floor(units))
            off = units * line.points_each
            if line.cap is not None:
                off = min(off, line.cap)
            wiped = wiped or (line.wipe_out and units > 0)
            taken += off
            if off or (line.wipe_out and units > 0):
                parts.append(
                    f"{show(units)} × {show(line.points_each)}" if off == units * line.points_each else show(off)
                )
                label = line.text or line.describe(names).zh
                words_zh.append(f"{label}：{formula}，扣{show(off)}分")
                words_en.append(f"{line.text or line.describe(names).en}: {formula}, {show(off)} off")
        marks = Fraction(0) if wiped else max(full_marks - taken, self.floor)
        formula = " - ".join([show(full_marks), *parts])
        if marks != full_marks - taken:
            formula = f"{formula} → {show(marks)}"
        if not words_zh:
            return Work(formula, marks, Text(f"无扣分，得{show(marks)}分", f"nothing taken: {show(marks)} marks"))
        text = Text("；".join(words_zh) + f"；得{show(marks)}分", "; ".join(words_en) + f"; {show(marks)} marks")
        if wiped:
            text = Text(text.zh + "（一票扣完）", text.en + " (wiped out)")
        return Work(formula, marks, text)


def _sum(a: Whole, b: Whole, c: Whole, d: Whole) -> tuple[Whole, Whole]:
    """a/b + c/d."""
    if b.scalar and d.scalar:
        shared = gcd(int(b.value), int(d.value))
        return a * (int(d.value) // shared) + c * (int(b.value) // shared), b * (int(d.value) // shared)
    return a * d + c * b, b * d


def _read_line(entry: Reader, context: RuleContext) -> DeductionLine | None:
    before = len(entry.sink.faults)
    items: Mapping[str, DataItem] = context.items
    count_name = entry.text("countName", required=False)
    wipe_out = entry.flag("wipeOut", default=False)
    quantity = read_quantity(entry.inner("quantity", required=False), items, count_name=count_name)
    required = read_quantity(
        entry.inner("required", required=False), items, constant_allowed=True, count_name=count_name
    )
    done = read_quantity(entry.inner("done", required=False), items, count_name=count_name)
    event = entry.text("eventIndicatorCode", required=False)
    points = entry.decimal("pointsEach", required=not wipe_out, default=Fraction(0) if wipe_out else None, least=0)
    if points == 0 and not wipe_out:
        entry.fault("pointsEach", Text("每单位扣分必须大于0", "points per unit must be above 0"))
    per_units = entry.decimal("perUnits", required=False, default=Fraction(1), above=0)
    part_units = entry.choice("partUnits", PART_UNITS, default="EXACT")
    cap = entry.decimal("cap", required=False, above=0)
    text = entry.text("text", required=False)
    entry.finish()
    counted, shortfall = entry.has("quantity"), entry.has("required") or entry.has("done")
    if counted + shortfall + (event is not None) > 1:
        entry.fault(
            (),
            Text("计数、缺少数、扣分事项只能选一种", "only one of a count, a shortfall and events"),
            Text("拆成几条扣分项", "split it into several lines"),
        )
    elif shortfall and not (entry.has("required") and entry.has("done")):
        entry.fault(
            "done" if entry.has("required") else "required",
            Text("“每少”须同时给出应完成数和已完成数", "a shortfall needs both required and done"),
        )
    if event is not None and context.codes is not None and event not in context.codes:
        entry.fault("eventIndicatorCode", Text(f"没有指标“{event}”", f'there is no indicator "{event}"'))
    if points is None or per_units is None or part_units is None or len(entry.sink.faults) > before:
        return None
    return DeductionLine(
        quantity=quantity,
        required=required,
        done=done,
        event_indicator_code=event,
        count_name=count_name,
        points_each=points,
        per_units=per_units,
        part_units=part_units,
        cap=cap,
        wipe_out=wipe_out,
        text=text,
    )
