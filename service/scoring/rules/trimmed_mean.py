"""TRIMMED_MEAN 去掉最高分和最低分: mean without the k highest and k lowest when there are at least n.

Source: practice (考核细则).

Under the least number of scores (or with none) it does not apply. Scores are in the leaf's marks F; a mean beyond 0 …
F counts as the nearer end.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from service.scoring.numbers import show
from service.scoring.quantities import ItemNames, read_item
from service.scoring.reading import Reader
from service.scoring.rules.base import LeafColumns, Outcome, RuleContext, ScoredRule, UnitLeaf, Work, score_of_marks
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, kw_only=True)
class TrimmedMeanRule(ScoredRule):
    """Mean of a list of scores."""

    kind: ClassVar[str] = "TRIMMED_MEAN"
    term: ClassVar[Text] = Text("去掉最高分和最低分", "trimmed mean")

    data_item: str
    drop: int
    drop_from: int
    minimum_count: int

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "TrimmedMeanRule | None":
        key = reader.text("dataItem")
        item = read_item(reader, "dataItem", key, context.items, ("SCORES",))
        drop = reader.whole("drop", least=0, most=1_000)
        drop_from = reader.whole("dropFrom", least=0, most=10**6)
        minimum = reader.whole("minimumCount", least=0, most=10**6)
        if drop is not None and drop_from is not None and drop_from <= 2 * drop and drop:
            reader.fault(
                "dropFrom",
                Text(
                    f"至少{2 * drop + 1}个评分才能各去掉{drop}个",
                    f"dropping {drop} at each end needs at least {2 * drop + 1}",
                ),
            )
            return None
        if key is None or item is None or drop is None or drop_from is None or minimum is None:
            return None
        return cls(data_item=key, drop=drop, drop_from=drop_from, minimum_count=minimum)

    def settings(self) -> dict[str, Any]:
        return {
            "dataItem": self.data_item,
            "drop": self.drop,
            "dropFrom": self.drop_from,
            "minimumCount": self.minimum_count,
        }

    def data_items(self) -> tuple[str, ...]:
        return (self.data_item,)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        name, f = names.get(self.data_item, self.data_item), show(full_marks)
        return Text(
            f"“{name}”满{self.drop_from}个时去掉{self.drop}个最高分和{self.drop}个最低分后平均，"
            f"不足{self.minimum_count}个的不适用，满分{f}分。",
            f"Mean of {name}, without the {self.drop} highest and lowest from {self.drop_from} scores on; "
            f"not applicable under {self.minimum_count}; full marks {f}.",
        )

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        lists = data.lists(self.data_item)
        total, counts = lists.trimmed(self.drop, self.drop_from)
        few = lists.lengths < max(self.minimum_count, 1)
        unit: int = 10**lists.scale
        count = Whole.of(counts).at_least(1) * unit
        marks = (total * full_marks.denominator).at_least(0).at_most(count * full_marks.numerator)
        outcome = score_of_marks(marks, count * full_marks.denominator, full_marks)
        return Outcome(*outcome, few if few.any() else None)

    def _kept(self, scores: list[Fraction]) -> list[Fraction]:
        if self.drop and len(scores) >= self.drop_from:
            return sorted(scores)[self.drop : len(scores) - self.drop]
        return scores

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        scores = unit.scores(self.data_item)
        kept = self._kept(scores)
        mean = sum(kept, Fraction(0)) / len(kept) if kept else Fraction(0)
        marks = min(max(mean, Fraction(0)), full_marks)
        left_out = len(scores) - len(kept)
        text = Text(
            f"{len(scores)}个评分"
            + (f"，去掉最高、最低各{left_out // 2}个" if left_out else "")
            + f"，平均{show(marks)}分",
            f"{len(scores)} scores"
            + (f", {left_out // 2} dropped at each end" if left_out else "")
            + f", mean {show(marks)}",
        )
        return Work(f"{show(sum(kept, Fraction(0)))} ÷ {len(kept)}", marks, text)
