"""AWARD 评议赋分: an assessor awards 0 … F in steps. Score = awarded marks. Source: practice (考核细则).

With named groups of assessors a group's awards become one by mean or trimmed mean (without the highest and the lowest,
from three awards on), and the groups that awarded are weighted. Single awards are never shown.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import LeafColumns, Outcome, RuleContext, ScoredRule, UnitLeaf, Work, score_of_marks
from service.scoring.sums import RationalSum
from service.scoring.text import Text
from service.scoring.whole import Whole

METHODS = {"MEAN": Text("平均", "mean"), "TRIMMED_MEAN": Text("去掉最高分和最低分后平均", "trimmed mean")}
APART_FROM = 3
"""Groups in which fewer awarded are never shown apart, so that nobody's own award can be read off."""
TRIM_FROM = 3
"""A trimmed mean drops the highest and the lowest only when at least so many awarded."""


@dataclass(frozen=True, slots=True)
class AwardGroup:
    """A group of assessors (评分组)."""

    name: str
    weight: Fraction
    method: str = "MEAN"
    responsible_units: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AwardRule(ScoredRule):
    """An assessor awards 0 to full marks."""

    kind: ClassVar[str] = "AWARD"
    term: ClassVar[Text] = Text("评议赋分", "awarded marks")

    step: Fraction = Fraction(1)
    groups: tuple[AwardGroup, ...] = ()
    self_score: bool = False

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "AwardRule | None":
        step = reader.decimal("step", above=0)
        self_score = reader.flag("selfScore", default=False)
        groups: dict[str, AwardGroup] = {}
        for entry in reader.each("groups", limit=20):
            name = entry.text("name", limit=100)
            weight = entry.decimal("weight", above=0)
            method = entry.choice("method", METHODS, default="MEAN")
            units = entry.texts("responsibleUnits")
            entry.finish()
            if name in groups:
                entry.fault("name", Text(f"评分组“{name}”重复", f'group "{name}" is repeated'), code="DUPLICATE")
            elif name is not None and weight is not None and method is not None:
                groups[name] = AwardGroup(name, weight, method, tuple(units))
        return None if step is None else cls(step=step, groups=tuple(groups.values()), self_score=self_score)

    def settings(self) -> dict[str, Any]:
        return {
            "step": format_decimal(self.step),
            "groups": [
                {
                    "name": group.name,
                    "weight": format_decimal(group.weight),
                    "method": group.method,
                    "responsibleUnits": list(group.responsible_units),
                }
                for group in self.groups
            ],
            "selfScore": self.self_score,
        }

    def data_items(self) -> tuple[str, ...]:
        return ()

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        if full_marks > 0 and (full_marks / self.step).denominator != 1:
            sink.add(
                (*path, "step"),
                Text(
                    f"满分{show(full_marks)}分不是步长{show(self.step)}分的整数倍，评不出满分",
                    f"full marks of {show(full_marks)} are not a multiple of the step {show(self.step)}: nobody "
                    "could get them",
                ),
                category=category,
            )

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        zh = f"由评分员在0至{show(full_marks)}分之间评议赋分，步长{show(self.step)}分，低于满分须说明扣分原因"
        en = f"Assessors award 0 to {show(full_marks)} in steps of {show(self.step)}, with a reason below full marks"
        if self.groups:
            zh += "；" + "、".join(
                f"{group.name}权重{show(group.weight)}（{METHODS[group.method].zh}）" for group in self.groups
            )
            en += "; " + ", ".join(
                f"{group.name} with weight {show(group.weight)} ({METHODS[group.method].en})" for group in self.groups
            )
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        if not self.groups:
            marks, scale = data.awards()
            numerator, denominator = score_of_marks(marks, Whole.of(10**scale), full_marks)
            return Outcome(numerator, denominator)
        marks_sum, weight_sum = RationalSum(), Whole.of(0)
        scale = lcm(*(group.weight.denominator for group in self.groups))
        for group in self.groups:
            awards = data.group_awards(group.name)
            total, counts = awards.trimmed(1 if group.method == "TRIMMED_MEAN" else 0, TRIM_FROM)
            weight = int(group.weight * scale)
            there = counts > 0
            unit: int = 10**awards.scale
            marks_sum.add((total * weight).where(there, 0), Whole.of(counts).at_least(1) * unit)
            weight_sum = Whole.of(weight).where(there, 0) + weight_sum
        numerator, denominator = marks_sum.total()
        return Outcome(*score_of_marks(numerator, denominator * weight_sum.at_least(1), full_marks))

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        if not self.groups:
            text = Text(
                f"评议得{show(unit.award)}分，满分{show(full_marks)}分",
                f"awarded {show(unit.award)} of {show(full_marks)}",
            )
            return Work(show(unit.award), unit.award, text)
        awards = [(group, unit.group_awards(group.name)) for group in self.groups]
        means = [
            (group, mean, len(own)) for group, own in awards if (mean := group_mean(own, group.method)) is not None
        ]
        marks = _weighted([(group.weight, mean) for group, mean, _ in means])
        count = sum(own for _, _, own in means)
        if any(own < APART_FROM for _, _, own in means):
            text = Text(f"{count}人评分，加权得{show(marks)}分", f"{count} awards, weighted {show(marks)}")
            return Work(show(marks), marks, text)
        total = show(sum((group.weight for group, _, _ in means), Fraction(0)))
        formula = "(" + " + ".join(f"{show(group.weight)} × {show(mean)}" for group, mean, _ in means) + f") ÷ {total}"
        zh = "、".join(f"{group.name}{show(mean)}分" for group, mean, _ in means)
        en = ", ".join(f"{group.name} {show(mean)}" for group, mean, _ in means)
        return Work(
            formula, marks, Text(f"各组平均：{zh}，加权得{show(marks)}分", f"group means: {en}; weighted {show(marks)}")
        )


def group_mean(awards: list[Fraction], method: str) -> Fraction | None:
    """One number from the awards of a group; None where nobody awarded."""
    if not awards:
        return None
    if method == "TRIMMED_MEAN" and len(awards) >= TRIM_FROM:
        awards = sorted(awards)[1:-1]
    return sum(awards, Fraction(0)) / len(awards)


def _weighted(means: list[tuple[Fraction, Fraction]]) -> Fraction:
    total = sum((weight for weight, _ in means), Fraction(0))
    return sum((weight * mean for weight, mean in means), Fraction(0)) / total if total else Fraction(0)
