"""GRADE_MEAN 民主测评（等次票）: Σ v × n ÷ Σ n over ballots, groups weighted.

Source: practice (考核细则), "好、较好、一般、差"票折算.

"Don't know" stands outside the denominator and outside the least number of ballots, under which a group does not
apply. The groups that apply are weighted; where none does, the leaf does not apply.
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
from service.scoring.sums import RationalSum
from service.scoring.text import Text
from service.scoring.whole import Whole

APART_FROM = 3
"""Groups with fewer ballots are never shown apart."""


@dataclass(frozen=True, slots=True)
class BallotValue:
    """Marks of one ballot of a grade."""

    option: str
    marks: Fraction
    name: str


@dataclass(frozen=True, slots=True)
class BallotGroup:
    """A group of voters (测评主体)."""

    name: str
    weight: Fraction
    data_item: str
    values: tuple[BallotValue, ...]


@dataclass(frozen=True, kw_only=True)
class GradeMeanRule(ScoredRule):
    """Mean of ballots."""

    kind: ClassVar[str] = "GRADE_MEAN"
    term: ClassVar[Text] = Text("民主测评", "mean of ballots")

    groups: tuple[BallotGroup, ...]
    min_ballots: int = 1

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "GradeMeanRule | None":
        before = len(reader.sink.faults)
        groups: dict[str, BallotGroup] = {}
        entries = reader.each("groups", required=True, limit=20)
        for entry in entries:
            group = _read_group(entry, context)
            if group is not None and group.name in groups:
                entry.fault("name", Text(f"“{group.name}”重复", f'group "{group.name}" is repeated'), code="DUPLICATE")
            elif group is not None:
                groups[group.name] = group
        if not entries and len(reader.sink.faults) == before:
            reader.fault("groups", Text("至少要有一组测评主体", "there must be at least one group"))
        least = reader.whole("minBallots", least=1, most=10**9)
        if least is None or len(reader.sink.faults) > before:
            return None
        return cls(groups=tuple(groups.values()), min_ballots=least)

    def settings(self) -> dict[str, Any]:
        return {
            "groups": [
                {
                    "name": group.name,
                    "weight": format_decimal(group.weight),
                    "dataItem": group.data_item,
                    "values": [{"option": v.option, "marks": format_decimal(v.marks)} for v in group.values],
                }
                for group in self.groups
            ],
            "minBallots": self.min_ballots,
        }

    def data_items(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group.data_item for group in self.groups))

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        for place, group in enumerate(self.groups):
            for number, value in enumerate(group.values):
                own = (*path, "groups", str(place), "values", str(number), "marks")
                marks_within(value.marks, full_marks, sink, own, category)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        zh, en = [], []
        for group in self.groups:
            weight = f"权重{show(group.weight)}，" if len(self.groups) > 1 else ""
            share = f"weight {show(group.weight)}, " if len(self.groups) > 1 else ""
            zh.append(f"{group.name}（{weight}{'、'.join(f'{v.name}{show(v.marks)}分' for v in group.values)}）")
            en.append(f"{group.name} ({share}{', '.join(f'{v.name} {show(v.marks)}' for v in group.values)})")
        return Text(
            f"按测评票加权平均计分：{'；'.join(zh)}；有效票少于{self.min_ballots}张的不适用，“不了解”票不计入，"
            f"满分{show(full_marks)}分。",
            f"Mean of ballots: {'; '.join(en)}; not applicable under {self.min_ballots} ballots, don't-knows left out; "
            f"full marks {show(full_marks)}.",
        )

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        scores = RationalSum()
        weights = Whole.of(0)
        scale = lcm(*(group.weight.denominator for group in self.groups))
        for group in self.groups:
            common = lcm(*(value.marks.denominator for value in group.values))
            ballots, marks = Whole.of(0), Whole.of(0)
            for value in group.values:
                count, _ = data.numbers(group.data_item, value.option)
                ballots = ballots + count
                marks = count * int(value.marks * common) + marks
            enough = ballots >= self.min_ballots
            weight = int(group.weight * scale)
            weights = Whole.of(weight).where(enough, 0) + weights
            scores.add((marks * weight).where(enough, 0), (ballots * common).where(enough, 1))
        numerator, denominator = scores.total()
        nobody = weights.equals(0)
        numerator, denominator = numerator, denominator * weights.at_least(1)
        outcome = score_of_marks(numerator, denominator, full_marks)
        return Outcome(*outcome, np.broadcast_to(nobody, (data.count,)) if nobody.any() else None)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        parts: list[tuple[BallotGroup, Fraction, Fraction]] = []
        for group in self.groups:
            counts = [(value, unit.number(group.data_item, value.option)) for value in group.values]
            ballots = sum((count for _, count in counts), Fraction(0))
            if ballots >= self.min_ballots:
                parts.append((group, sum((v.marks * count for v, count in counts), Fraction(0)) / ballots, ballots))
        total = sum((group.weight for group, _, _ in parts), Fraction(0))
        marks = sum((group.weight * mean for group, mean, _ in parts), Fraction(0)) / total if total else Fraction(0)
        if len(parts) == 1 or any(ballots < APART_FROM for _, _, ballots in parts):
            ballots = sum((ballots for _, _, ballots in parts), Fraction(0))
            text = Text(
                f"有效票{show(ballots)}张，平均得{show(marks)}分", f"{show(ballots)} ballots, mean {show(marks)}"
            )
            return Work(show(marks), marks, text)
        formula = f"({' + '.join(f'{show(g.weight)} × {show(mean)}' for g, mean, _ in parts)}) ÷ {show(total)}"
        zh = "、".join(f"{g.name}{show(ballots)}张平均{show(mean)}分" for g, mean, ballots in parts)
        en = ", ".join(f"{g.name}: {show(ballots)} ballots, mean {show(mean)}" for g, mean, ballots in parts)
        return Work(formula, marks, Text(f"{zh}，加权得{show(marks)}分", f"{en}; weighted {show(marks)}"))


def _read_group(entry: Reader, context: RuleContext) -> BallotGroup | None:
    before = len(entry.sink.faults)
    name = entry.text("name", limit=100)
    weight = entry.decimal("weight", required=False, default=Fraction(1), above=0)
    key = entry.text("dataItem")
    item = read_item(entry, "dataItem", key, context.items, ("COUNTS",))
    known = {option.code: option for option in item.options} if item else {}
    values: dict[str, BallotValue] = {}
    for row in entry.each("values", required=True, limit=200):
        option = row.text("option")
        marks = row.decimal("marks")
        row.finish()
        if option is None or item is None:
            continue
        if option in values:
            row.fault("option", Text(f"“{option}”重复", f'"{option}" is repeated'), code="DUPLICATE")
        elif option not in known:
            row.fault("option", Text(f"数据项没有选项“{option}”", f'the data item has no option "{option}"'))
        elif known[option].dont_know:
            row.fault("option", Text("“不了解”票不计分", "don't-knows have no value"))
        elif marks is not None:
            values[option] = BallotValue(option, marks, known[option].name)
    entry.finish()
    unset = [option.name for option in known.values() if not option.dont_know and option.code not in values]
    if unset and len(entry.sink.faults) == before:
        entry.fault("values", Text(f"“{'、'.join(unset)}”没有分值", f"no marks for: {', '.join(unset)}"))
    if name is None or weight is None or key is None or len(entry.sink.faults) > before:
        return None
    return BallotGroup(name, weight, key, tuple(values.values()))
