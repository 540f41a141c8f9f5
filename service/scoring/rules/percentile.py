"""PERCENTILE 百分位: F × strictly lower peers ÷ other peers with a value; alone: F. Source: practice (考核细则)."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from service.scoring.numbers import show
from service.scoring.quantities import ItemNames
from service.scoring.rules.base import LeafColumns, Outcome, Peers, UnitLeaf, Work, undefined_work, zero_words
from service.scoring.rules.peer_rule import PeerRule
from service.scoring.rules.peers import compared, extremes, order
from service.scoring.text import Text
from service.scoring.whole import Whole


@dataclass(frozen=True, kw_only=True)
class PercentileRule(PeerRule):
    """How many peers a unit has left behind."""

    kind: ClassVar[str] = "PERCENTILE"
    term: ClassVar[Text] = Text("百分位", "percentile")

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        worse = Text("低于", "below") if self.direction == "HIGHER" else Text("高于", "above")
        zh = f"{x.zh}：得分＝{f}×（数值{worse.zh}本单位的同类单位数÷其他同类单位数），同类仅一个单位的得满分"
        en = f"{x.en}: {f} × (peers {worse.en} it ÷ other peers); alone in the category: {f}"
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        mask = compared(data.usable, x)
        found = order(x, mask)
        count = len(found.index)
        behind, ranks = np.zeros(data.count, np.int64), np.zeros(data.count, np.int64)
        lower, higher = found.first, count - 1 - found.last
        behind[found.index] = lower if self.direction == "HIGHER" else higher
        ranks[found.index] = 1 + (higher if self.direction == "HIGHER" else lower)
        ends = extremes(x, mask)
        best, worst = (None, None) if ends is None else ends
        if self.direction == "LOWER":
            best, worst = worst, best
        peers = Peers(count, best, worst, ranks)
        if count <= 1:
            return Outcome(Whole.of(100), Whole.of(1), x.not_applicable, x.full, peers)
        return Outcome(Whole.of(behind) * 100, Whole.of(count - 1), x.not_applicable, x.full, peers)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x, peers = self.quantity.value(unit), unit.peers
        if x is None or peers is None or peers.ranks is None:
            return undefined_work(self.quantity, unit, full_marks)
        if peers.count <= 1:
            return Work(
                show(full_marks), full_marks, Text("同类仅本单位有数据，得满分", "alone in the category: full marks")
            )
        others = peers.count - 1
        behind = self.behind(peers, unit.unit)
        marks = full_marks * behind / others
        text = Text(
            f"实际值{show(x)}，优于其他{others}个同类单位中的{behind}个，得{show(marks)}分",
            f"value {show(x)}, better than {behind} of {others} others: {show(marks)} marks",
        )
        return Work(f"{show(full_marks)} × {behind} ÷ {others}", marks, text)

    def behind(self, peers: Peers, unit: int) -> int:
        """Peers strictly worse than the unit, from the competition ranks."""
        if peers.ranks is None:
            return 0
        ranks = peers.ranks[peers.ranks > 0]
        return int((ranks > peers.ranks[unit]).sum())
