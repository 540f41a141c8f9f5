"""CHECKLIST 要点计分: Σ of the marks of the points met, or all or nothing.

Source: practice (考核细则), "共5个要点，每缺1个扣相应分".

Each point is a yes-no item with marks of its own (together at most F) or all alike (F ÷ n each). Where only numbers are
kept: F × clamp(done ÷ asked, 0, 1); nothing asked does not apply, and a negative number of either earns 0.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, read_item, read_quantity
from service.scoring.reading import Reader, Sink
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
from service.scoring.text import Text
from service.scoring.whole import Mask, Whole


@dataclass(frozen=True, slots=True)
class ChecklistPoint:
    """One point (要点): a yes-no item, and its marks where points differ."""

    data_item: str
    marks: Fraction | None = None


@dataclass(frozen=True, kw_only=True)
class ChecklistRule(ScoredRule):
    """Marks for the points met."""

    kind: ClassVar[str] = "CHECKLIST"
    term: ClassVar[Text] = Text("要点计分", "checklist")

    points: tuple[ChecklistPoint, ...] = ()
    done: Quantity | None = None
    asked: Quantity | None = None
    all_or_nothing: bool = False

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "ChecklistRule | None":
        before = len(reader.sink.faults)
        points: dict[str, ChecklistPoint] = {}
        entries = reader.each("points", limit=100)
        for entry in entries:
            key = entry.text("dataItem")
            marks = entry.decimal("marks", required=False, least=0)
            entry.finish()
            read_item(entry, "dataItem", key, context.items, ("YES_NO",))
            if key in points:
                entry.fault("dataItem", Text("要点重复", "this point is repeated"), code="DUPLICATE")
            elif key is not None:
                points[key] = ChecklistPoint(key, marks)
        done = read_quantity(reader.inner("done", required=False), context.items)
        asked = read_quantity(reader.inner("asked", required=False), context.items, constant_allowed=True)
        all_or_nothing = reader.flag("allOrNothing", default=False)
        counted = reader.has("done") or reader.has("asked")
        if len(reader.sink.faults) == before:
            with_marks = [point for point in points.values() if point.marks is not None]
            if with_marks and len(with_marks) < len(points):
                reader.fault("points", Text("要点分值要么都填，要么都不填", "give marks to all points or to none"))
            if counted and points:
                reader.fault(
                    "points", Text("要点清单与完成数只能选一种", "either points or the numbers done and asked")
                )
            elif counted and (done is None or asked is None):
                missing = "asked" if asked is None else "done"
                reader.fault(missing, Text("完成数与应完成数须同时给出", "both done and asked are needed"))
            elif asked is not None and not asked.data_items() and asked.numerator.constant <= 0:
                reader.fault("asked", Text("固定的应完成数必须大于0", "a fixed number asked must be above 0"))
            elif not counted and not points:
                reader.fault("points", Text("至少要有一个要点", "there must be at least one point"))
        if len(reader.sink.faults) > before:
            return None
        return cls(points=tuple(points.values()), done=done, asked=asked, all_or_nothing=all_or_nothing)

    def settings(self) -> dict[str, Any]:
        points = [
            {"dataItem": point.data_item, "marks": None if point.marks is None else format_decimal(point.marks)}
            for point in self.points
        ]
        return {
            "points": points,
            "done": self.done.document() if self.done else None,
            "asked": self.asked.document() if self.asked else None,
            "allOrNothing": self.all_or_nothing,
        }

    def data_items(self) -> tuple[str, ...]:
        keys = [point.data_item for point in self.points]
        for quantity in (self.done, self.asked):
            keys += quantity.data_items() if quantity else ()
        return tuple(dict.fromkeys(keys))

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        total = sum((point.marks for point in self.points if point.marks is not None), Fraction(0))
        if any(point.marks is not None for point in self.points) and total != full_marks:
            sink.add(
                (*path, "points"),
                Text(
                    f"要点分值合计{show(total)}分，满分{show(full_marks)}分，相差{show(abs(total - full_marks))}分",
                    f"the points' marks add up to {show(total)}, full marks are {show(full_marks)}",
                ),
                # More than full marks can't be; less only means that nobody gets them all.
                severity="FAULT" if total > full_marks else "WARNING",
                category=category,
            )

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        f = show(full_marks)
        if self.done is not None and self.asked is not None:
            done, asked = self.done.describe(names), self.asked.divisor(names)
            if self.all_or_nothing:
                return Text(
                    f"{done.zh}达到{asked.zh}得满分{f}分，否则不得分。",
                    f"Full marks of {f} if {done.en} reaches {asked.en}.",
                )
            return Text(
                f"得分＝{f}×（{done.zh}÷{asked.zh}），最高{f}分。", f"{f} × ({done.en} ÷ {asked.en}), at most {f}."
            )
        listed = [names.get(point.data_item, point.data_item) for point in self.points]
        if self.all_or_nothing:
            return Text(
                f"下列要点全部做到得满分{f}分，否则不得分：{'、'.join(listed)}。",
                f"{f} if all are met: {', '.join(listed)}.",
            )
        marks = [show(self._marks(point, full_marks)) for point in self.points]
        zh = "、".join(f"{name}{own}分" for name, own in zip(listed, marks, strict=True))
        en = ", ".join(f"{name} {own}" for name, own in zip(listed, marks, strict=True))
        return Text(f"按做到的要点计分：{zh}，满分{f}分。", f"Marks for each point met: {en}; full marks {f}.")

    def _marks(self, point: ChecklistPoint, full_marks: Fraction) -> Fraction:
        return point.marks if point.marks is not None else full_marks / len(self.points)

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        if self.done is not None and self.asked is not None:
            return self._by_number(self.done, self.asked, data)
        shares = [100 * self._marks(point, full_marks) / full_marks for point in self.points]
        common = lcm(*(share.denominator for share in shares))
        total = Whole.of(0)
        every: Mask | None = None
        for point, share in zip(self.points, shares, strict=True):
            met = ~data.numbers(point.data_item)[0].equals(0)
            every = met if every is None else every & met
            total = total + Whole.of(int(share * common)).where(met, 0)
        if self.all_or_nothing and every is not None:
            return Outcome(Whole.of(100).where(every, 0), Whole.of(1))
        return Outcome(total, Whole.of(common))

    def _by_number(self, done: Quantity, asked: Quantity, data: LeafColumns) -> Outcome:
        have, need = done.evaluate(data), asked.evaluate(data)
        above, below = have.numerator * need.denominator, need.numerator * have.denominator
        undefined = either(have.undefined, need.undefined)
        zero = below.equals(0) if undefined is None else below.equals(0) & ~undefined
        negative = below < 0
        above = above.at_least(0).where(~negative, 0)
        below = below.at_least(1)
        above = above.at_most(below)
        if self.all_or_nothing:
            above, below = Whole.of(1).where(above >= below, 0), Whole.of(1)
        return Outcome(
            above * 100,
            below,
            either(have.not_applicable, need.not_applicable, zero),
            either(have.full, need.full),
        )

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        if self.done is not None and self.asked is not None:
            done, asked = self.done.value(unit), self.asked.value(unit)
            if done is None or asked is None:
                return undefined_work(self.done if done is None else self.asked, unit, full_marks)
            share = min(max(done / asked, Fraction(0)), Fraction(1)) if asked > 0 else Fraction(0)
            if self.all_or_nothing:
                share = Fraction(share == 1)
            marks = full_marks * share
            text = Text(
                f"应完成{show(asked)}，已完成{show(done)}，得{show(marks)}分",
                f"{show(done)} of {show(asked)}: {show(marks)} marks",
            )
            return Work(f"{show(full_marks)} × {show(done)} ÷ {show(asked)}", marks, text)
        met = [point for point in self.points if unit.number(point.data_item)]
        missed = [names.get(p.data_item, p.data_item) for p in self.points if not unit.number(p.data_item)]
        if self.all_or_nothing:
            marks = full_marks if not missed else Fraction(0)
        else:
            marks = sum((self._marks(point, full_marks) for point in met), Fraction(0))
        formula = " + ".join(show(self._marks(point, full_marks)) for point in met) or "0"
        zh = f"做到{len(met)}个要点，得{show(marks)}分" + (f"；未做到：{'、'.join(missed)}" if missed else "")
        en = f"{len(met)} points met: {show(marks)} marks" + (f"; not met: {', '.join(missed)}" if missed else "")
        return Work(formula, marks, Text(zh, en))
