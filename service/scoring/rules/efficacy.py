"""MINMAX 极差法, EFFICACY 功效系数法: base × F + (1 − base) × F × (x − worst) ÷ (best − worst) in the category.

Source: OECD/JRC Handbook on Constructing Composite Indicators (2008), min-max normalisation. MINMAX has base 0.
Without spread everybody earns F. Units of the category with a given value are compared, unranked and vetoed ones
included.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, percent, show
from service.scoring.quantities import ItemNames
from service.scoring.reading import Reader
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    Peers,
    RuleContext,
    UnitLeaf,
    Work,
    undefined_work,
    zero_words,
)
from service.scoring.rules.peer_rule import PeerRule
from service.scoring.rules.peers import compared, extremes
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, kw_only=True)
class MinmaxRule(PeerRule):
    """Where a unit stands between the worst and the best of its category."""

    kind: ClassVar[str] = "MINMAX"
    term: ClassVar[Text] = Text("极差法", "min-max")

    @property
    def share(self) -> Fraction:
        """Share of F that the worst still earns."""
        return Fraction(0)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        better = Text("高", "highest") if self.direction == "HIGHER" else Text("低", "lowest")
        if self.share:
            zh = (
                f"{x.zh}：同类最{better.zh}者得满分{f}分，最差者得{show(full_marks * self.share)}分，"
                "其余按所处位置折算；同类数值相同的都得满分"
            )
            en = (
                f"{x.en}: the {better.en} of the category earns {f}, the worst {show(full_marks * self.share)}, "
                f"others in proportion; all earn {f} where all are equal"
            )
        else:
            zh = f"{x.zh}：同类最{better.zh}者得满分{f}分，最差者不得分，其余按所处位置折算；同类数值相同的都得满分"
            en = (
                f"{x.en}: the {better.en} of the category earns {f}, the worst nothing, others in proportion; all "
                f"earn {f} where all are equal"
            )
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        mask = compared(data.usable, x)
        found = extremes(x, mask)
        if found is None:
            return Outcome(Whole.of(0), Whole.of(1), x.not_applicable, x.full, Peers(0))
        best, worst = found if self.direction == "HIGHER" else (found[1], found[0])
        peers = Peers(int(mask.sum()), best, worst)
        if best == worst:
            return Outcome(Whole.of(100), Whole.of(1), x.not_applicable, x.full, peers)
        share = self.share
        factor = 100 * (1 - share) / (best - worst)
        start = 100 * share - factor * worst
        common = lcm(factor.denominator, start.denominator)
        numerator = x.numerator * int(factor * common) + x.denominator * int(start * common)
        denominator = x.denominator * common
        return Outcome(numerator, denominator, x.not_applicable, x.full, peers)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x, peers = self.quantity.value(unit), unit.peers
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        if peers is None or peers.best is None or peers.worst is None or peers.best == peers.worst:
            text = Text(
                f"实际值{show(x)}，同类数值相同，得满分{show(full_marks)}分",
                f"value {show(x)}, all peers equal: {show(full_marks)} marks",
            )
            return Work(show(full_marks), full_marks, text)
        position = (x - peers.worst) / (peers.best - peers.worst)
        marks = full_marks * (self.share + (1 - self.share) * position)
        inner = f"({show(x)} - {show(peers.worst)}) ÷ ({show(peers.best)} - {show(peers.worst)})"
        formula = f"{show(full_marks)} × {inner}"
        if self.share:
            formula = f"{show(full_marks * self.share)} + {show(full_marks * (1 - self.share))} × {inner}"
        text = Text(
            f"实际值{show(x)}，同类最优{show(peers.best)}、最差{show(peers.worst)}，得{show(marks)}分",
            f"value {show(x)}, best peer {show(peers.best)}, worst {show(peers.worst)}: {show(marks)} marks",
        )
        return Work(formula, marks, text)


@dataclass(frozen=True, kw_only=True)
class EfficacyRule(MinmaxRule):
    """The same with a share that the worst still earns."""

    kind: ClassVar[str] = "EFFICACY"
    term: ClassVar[Text] = Text("功效系数法", "efficacy coefficient")

    base: Fraction = Fraction(0)

    @property
    def share(self) -> Fraction:
        return self.base

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "EfficacyRule | None":
        plain = cls.shared(reader, context)
        base = reader.decimal("base", least=0, most=1)
        if base == 1:
            reader.fault(
                "base", Text(f"基础比例须小于{percent(Fraction(1))}", "must be below 1, else all earn the same")
            )
            return None
        if plain is None or base is None:
            return None
        return cls(quantity=plain[0], direction=plain[1], base=base)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "base": format_decimal(self.base)}
