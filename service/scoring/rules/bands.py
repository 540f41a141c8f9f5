"""BANDS 分档计分: the marks of the first band whose lower bound x reaches.

Source: practice (考核细则), "90%以上得3分，80%以上得2分，其余不得分".

x is never rounded before it is compared: 0.89995 has not reached 0.9. Bands descend strictly; the last has no bound.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
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
from service.scoring.whole import Whole


@dataclass(frozen=True, slots=True)
class Band:
    """One band (档): its lower bound, inclusive; None for the last."""

    start: Fraction | None
    marks: Fraction


@dataclass(frozen=True, kw_only=True)
class BandsRule(ScoredRule):
    """Marks by band."""

    kind: ClassVar[str] = "BANDS"
    term: ClassVar[Text] = Text("分档计分", "bands")

    quantity: Quantity
    bands: tuple[Band, ...]

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "BandsRule | None":
        before = len(reader.sink.faults)
        quantity = read_quantity(reader.inner("quantity"), context.items)
        bands: list[Band] = []
        entries = reader.each("bands", required=True, limit=100)
        for place, entry in enumerate(entries):
            last = place == len(entries) - 1
            start = entry.decimal("from", required=not last)
            marks = entry.decimal("marks")
            entry.finish()
            if last and start is not None:
                entry.fault(
                    "from",
                    Text(
                        "最后一档不设下限，否则有的数值不属于任何一档",
                        "the last band has no lower bound, else some values are in none",
                    ),
                    Text("在末尾加一档，from为null", "add a last band whose from is null"),
                )
            if bands and start is not None and bands[-1].start is not None and start >= bands[-1].start:
                entry.fault(
                    "from",
                    Text(
                        f"下限{show(start)}应小于上一档的{show(bands[-1].start)}",
                        f"lower bound {show(start)} must be below the {show(bands[-1].start)} of the band before",
                    ),
                )
            if marks is not None:
                bands.append(Band(start, marks))
        if (
            "bands" in reader.data
            and not entries
            and isinstance(reader.data["bands"], list)
            and not reader.data["bands"]
        ):
            reader.fault("bands", Text("至少要有一档", "there must be at least one band"))
        if quantity is None or len(reader.sink.faults) > before:
            return None
        return cls(quantity=quantity, bands=tuple(bands))

    def settings(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity.document(),
            "bands": [
                {
                    "from": None if band.start is None else format_decimal(band.start),
                    "marks": format_decimal(band.marks),
                }
                for band in self.bands
            ],
        }

    def data_items(self) -> tuple[str, ...]:
        return self.quantity.data_items()

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        for place, band in enumerate(self.bands):
            marks_within(band.marks, full_marks, sink, (*path, "bands", str(place), "marks"), category)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x = self.quantity.describe(names)
        zh = "，".join(
            f"{show(band.start)}及以上得{show(band.marks)}分"
            if band.start is not None
            else f"其余得{show(band.marks)}分"
            for band in self.bands
        )
        en = ", ".join(
            f"{show(band.marks)} from {show(band.start)}" if band.start is not None else f"else {show(band.marks)}"
            for band in self.bands
        )
        zh, en = f"{x.zh}：{zh}，满分{show(full_marks)}分", f"{x.en}: {en}; full marks {show(full_marks)}"
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        common = math.lcm(*(band.marks.denominator for band in self.bands))
        marks = Whole.of(int(self.bands[-1].marks * common))
        for band in reversed(self.bands[:-1]):
            if band.start is not None:
                left, right = compare_line(x, band.start)
                marks = Whole.of(int(band.marks * common)).where(left >= right, marks)
        numerator, denominator = score_of_marks(marks, Whole.of(common), full_marks)
        return Outcome(numerator, denominator, x.not_applicable, x.full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x = self.quantity.value(unit)
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        band = next(band for band in self.bands if band.start is None or x >= band.start)
        formula = self.quantity.formula(unit)
        if band.start is not None:
            text = Text(
                f"实际值{show(x)}，达到{show(band.start)}一档，得{show(band.marks)}分",
                f"value {show(x)}, in the band from {show(band.start)}: {show(band.marks)} marks",
            )
            return Work(f"{formula} ≥ {show(band.start)} → {show(band.marks)}", band.marks, text)
        text = Text(
            f"实际值{show(x)}，属末档，得{show(band.marks)}分",
            f"value {show(x)}, in the last band: {show(band.marks)} marks",
        )
        return Work(f"{formula} → {show(band.marks)}", band.marks, text)
