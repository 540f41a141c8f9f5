"""CHOICE 选项计分: the marks of the chosen option, a closed list.

Source: practice (考核细则), "好20分、较好15分、一般10分、差0分".
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

import numpy as np

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, read_item
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    marks_within,
    score_of_marks,
)
from service.scoring.text import Text
from service.scoring.whole import Whole, whole_array


@dataclass(frozen=True, slots=True)
class OptionMarks:
    """Marks of one option of the item."""

    option: str
    marks: Fraction
    name: str


@dataclass(frozen=True, kw_only=True)
class ChoiceRule(ScoredRule):
    """Marks by option."""

    kind: ClassVar[str] = "CHOICE"
    term: ClassVar[Text] = Text("选项计分", "choice")

    data_item: str
    options: tuple[OptionMarks, ...]
    """In the order of the item's options."""

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "ChoiceRule | None":
        before = len(reader.sink.faults)
        key = reader.text("dataItem")
        item = read_item(reader, "dataItem", key, context.items, ("CHOICE",))
        known = {option.code: option.name for option in item.options} if item else {}
        marks: dict[str, Fraction] = {}
        for entry in reader.each("options", required=True, limit=200):
            option = entry.text("option")
            own = entry.decimal("marks")
            entry.finish()
            if option in marks:
                entry.fault("option", Text(f"选项“{option}”重复", f'option "{option}" is repeated'), code="DUPLICATE")
            elif option is not None and item is not None and option not in known:
                entry.fault("option", Text(f"数据项没有选项“{option}”", f'the data item has no option "{option}"'))
            elif option is not None and own is not None:
                marks[option] = own
        unset = [code for code in known if code not in marks]
        if unset and len(reader.sink.faults) == before:
            listed = "、".join(known[code] for code in unset)
            reader.fault("options", Text(f"选项“{listed}”没有分值", f"no marks for: {', '.join(unset)}"))
        if key is None or len(reader.sink.faults) > before:
            return None
        return cls(data_item=key, options=tuple(OptionMarks(code, marks[code], known[code]) for code in known))

    def settings(self) -> dict[str, Any]:
        options = [{"option": option.option, "marks": format_decimal(option.marks)} for option in self.options]
        return {"dataItem": self.data_item, "options": options}

    def data_items(self) -> tuple[str, ...]:
        return (self.data_item,)

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        for place, option in enumerate(self.options):
            marks_within(option.marks, full_marks, sink, (*path, "options", str(place), "marks"), category)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        name = names.get(self.data_item, self.data_item)
        zh = "、".join(f"{option.name}{show(option.marks)}分" for option in self.options)
        en = ", ".join(f"{option.name} {show(option.marks)}" for option in self.options)
        return Text(f"“{name}”：{zh}，满分{show(full_marks)}分。", f"{name}: {en}; full marks {show(full_marks)}.")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        chosen, _ = data.numbers(self.data_item)
        common = lcm(*(option.marks.denominator for option in self.options))
        table = whole_array([int(option.marks * common) for option in self.options])
        marks = Whole.of(table[chosen.array(data.count).astype(np.intp)])
        return Outcome(*score_of_marks(marks, Whole.of(common), full_marks))

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        option = self.options[int(unit.number(self.data_item))]
        text = Text(f"选“{option.name}”，得{show(option.marks)}分", f"{option.name}: {show(option.marks)} marks")
        return Work(show(option.marks), option.marks, text)
