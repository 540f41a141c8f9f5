"""BEST_RATIO 比值法: F × x ÷ max over the category, or F × min ÷ x.

Source: practice (考核细则), "与最高者之比乘以分值".

A best value of 0 or less gives 0 to all (HIGHER); where less is better and the least is 0 or below, only the units at
the least earn F, all others 0. A negative x earns 0. Units without a value are outside the comparison.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from service.scoring.numbers import show
from service.scoring.quantities import ItemNames
from service.scoring.rules.base import LeafColumns, Outcome, Peers, UnitLeaf, Work, undefined_work, zero_words
from service.scoring.rules.peer_rule import PeerRule
from service.scoring.rules.peers import compared, extremes
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, kw_only=True)
class BestRatioRule(PeerRule):
    """A unit's value against the best of its category."""

    kind: ClassVar[str] = "BEST_RATIO"
    term: ClassVar[Text] = Text("比值法", "ratio to the best")

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        if self.direction == "HIGHER":
            zh, en = f"得分＝{f}×（{x.zh}÷同类最高值）", f"{f} × ({x.en} ÷ highest of the category)"
        else:
            x = self.quantity.divisor(names)
            zh, en = f"得分＝{f}×（同类最低值÷{x.zh}）", f"{f} × (lowest of the category ÷ {x.en})"
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
        if self.direction == "HIGHER":
            if best <= 0:
                return Outcome(Whole.of(0), Whole.of(1), x.not_applicable, x.full, peers)
            numerator = x.numerator.at_least(0) * (100 * best.denominator)
            return Outcome(numerator, x.denominator * best.numerator, x.not_applicable, x.full, peers)
        if best <= 0:
            least = (x.numerator * best.denominator).equals(x.denominator * best.numerator)
            return Outcome(Whole.of(100).where(least, 0), Whole.of(1), x.not_applicable, x.full, peers)
        numerator = x.denominator * (100 * best.numerator)
        return Outcome(numerator, x.numerator.at_least(1) * best.denominator, x.not_applicable, x.full, peers)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x, peers = self.quantity.value(unit), unit.peers
        if x is None:
            return undefined_work(self.quantity, unit, full_marks)
        best = peers.best if peers is not None and peers.best is not None else x
        if self.direction == "HIGHER":
            marks = full_marks * max(x, Fraction(0)) / best if best > 0 else Fraction(0)
            formula = f"{show(full_marks)} × {show(x)} ÷ {show(best)}"
        elif best <= 0:
            marks = full_marks if x == best else Fraction(0)
            formula = show(marks)
        else:
            marks = full_marks * best / x
            formula = f"{show(full_marks)} × {show(best)} ÷ {show(x)}"
        text = Text(
            f"实际值{show(x)}，同类最优{show(best)}，得{show(marks)}分",
            f"value {show(x)}, best peer {show(best)}: {show(marks)} marks",
        )
        return Work(formula, marks, text)
