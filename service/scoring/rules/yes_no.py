"""YES_NO 达标计分: F where the answer is the one asked for, else 0.

Source: practice (考核细则), "达到要求得满分，否则不得分".
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from service.scoring.numbers import show
from service.scoring.quantities import ItemNames, read_item
from service.scoring.reading import Reader
from service.scoring.rules.base import LeafColumns, Outcome, RuleContext, ScoredRule, UnitLeaf, Work
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, kw_only=True)
class YesNoRule(ScoredRule):
    """Full marks for yes, or for no where that is what is asked."""

    kind: ClassVar[str] = "YES_NO"
    term: ClassVar[Text] = Text("达标计分", "yes or no")

    data_item: str
    full_when: bool = True

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "YesNoRule | None":
        key = reader.text("dataItem")
        full_when = reader.flag("fullWhen", default=True)
        item = read_item(reader, "dataItem", key, context.items, ("YES_NO",))
        return None if key is None or item is None else cls(data_item=key, full_when=full_when)

    def settings(self) -> dict[str, Any]:
        return {"dataItem": self.data_item, "fullWhen": self.full_when}

    def data_items(self) -> tuple[str, ...]:
        return (self.data_item,)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        name = names.get(self.data_item, self.data_item)
        answer = Text("是", "yes") if self.full_when else Text("否", "no")
        return Text(
            f"“{name}”为“{answer.zh}”得满分{show(full_marks)}分，否则不得分。",
            f"Full marks of {show(full_marks)} if {name} is {answer.en}, else none.",
        )

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        answer, _ = data.numbers(self.data_item)
        yes = ~answer.equals(0)
        return Outcome(Whole.of(100).where(yes if self.full_when else ~yes, 0), Whole.of(1))

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        yes = unit.number(self.data_item) != 0
        marks = full_marks if yes == self.full_when else Fraction(0)
        text = Text(
            f"填报为“{'是' if yes else '否'}”，得{show(marks)}分",
            f"the answer is {'yes' if yes else 'no'}: {show(marks)} marks",
        )
        return Work(show(marks), marks, text)
