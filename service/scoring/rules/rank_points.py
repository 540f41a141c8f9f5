"""RANK_POINTS 排名赋分: marks by rank in the category.

Source: practice (考核细则), "第1名6分，第2名5分 …", "后3名扣分", "每低一名扣0.1分".

A table counted from the first place (ranks beyond it earn the floor) or from the last (ranks before it earn F), or F
− step × (rank − 1), never below the floor. Equals take the best rank's marks, or the mean of their ranks' marks.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames
from service.scoring.reading import Reader, Sink
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    Peers,
    RuleContext,
    UnitLeaf,
    Work,
    floor_within,
    marks_within,
    score_of_marks,
    undefined_work,
    zero_words,
)
from service.scoring.rules.peer_rule import PeerRule
from service.scoring.rules.peers import compared, order
from service.scoring.text import Text
from service.scoring.whole import Whole, whole_array, wide

ENDS = ("FIRST", "LAST")
TIES = ("COMPETITION", "MEAN")


@dataclass(frozen=True, kw_only=True)
class RankPointsRule(PeerRule):
    """Marks by rank."""

    kind: ClassVar[str] = "RANK_POINTS"
    term: ClassVar[Text] = Text("排名赋分", "marks by rank")

    table: tuple[Fraction, ...] = ()
    """Marks of ranks 1, 2, 3 … counted from `count_from`; empty where a step counts."""
    count_from: str = "FIRST"
    step: Fraction | None = None
    floor: Fraction = Fraction(0)
    ties: str = "COMPETITION"

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "RankPointsRule | None":
        before = len(reader.sink.faults)
        plain = PeerRule.shared(reader, context)
        table: list[Fraction] = []
        entries = reader.each("table", limit=1_000)
        for place, entry in enumerate(entries):
            rank = entry.whole("rank", least=1, most=1_000)
            marks = entry.decimal("marks")
            entry.finish()
            if rank is not None and rank != place + 1:
                entry.fault(
                    "rank",
                    Text(f"名次应依次为1、2、3…，此处应为{place + 1}", f"ranks must be 1, 2, 3 …; here {place + 1}"),
                )
            if marks is not None:
                table.append(marks)
        count_from = reader.choice("countFrom", ENDS, default="FIRST")
        step = reader.decimal("step", required=False, above=0)
        floor = reader.decimal("floor", required=False, default=Fraction(0))
        ties = reader.choice("ties", TIES, default="COMPETITION")
        if len(reader.sink.faults) == before:
            if bool(entries) == (step is not None):
                reader.fault(
                    "table", Text("名次分值表与每名递减分只能选一种", "either a table or a step, and one of them")
                )
            elif step is not None and count_from == "LAST":
                reader.fault(
                    "countFrom", Text("从末位起算须用名次分值表", "counting from the last place needs a table")
                )
        if plain is None or count_from is None or floor is None or ties is None or len(reader.sink.faults) > before:
            return None
        quantity, direction = plain
        return cls(
            quantity=quantity,
            direction=direction,
            table=tuple(table),
            count_from=count_from,
            step=step,
            floor=floor,
            ties=ties,
        )

    def settings(self) -> dict[str, Any]:
        return {
            **super().settings(),
            "table": [{"rank": place + 1, "marks": format_decimal(marks)} for place, marks in enumerate(self.table)],
            "countFrom": self.count_from,
            "step": None if self.step is None else format_decimal(self.step),
            "floor": format_decimal(self.floor),
            "ties": self.ties,
        }

    def can_be_negative(self) -> bool:
        return self.floor < 0

    def check(self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None) -> None:
        floor_within(self.floor, full_marks, sink, (*path, "floor"), category)
        for place, marks in enumerate(self.table):
            marks_within(
                marks, full_marks, sink, (*path, "table", str(place), "marks"), category, min(self.floor, Fraction(0))
            )

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        x, f = self.quantity.describe(names), show(full_marks)
        way = Text("由高到低", "highest first") if self.direction == "HIGHER" else Text("由低到高", "lowest first")
        if self.step is not None:
            zh = f"第1名{f}分，每低一名减{show(self.step)}分，最低{show(self.floor)}分"
            en = f"rank 1 earns {f}, each rank below {show(self.step)} less, at least {show(self.floor)}"
        elif self.count_from == "FIRST":
            zh = "、".join(f"第{i + 1}名{show(m)}分" for i, m in enumerate(self.table)) + f"，其余{show(self.floor)}分"
            en = (
                ", ".join(f"rank {i + 1}: {show(m)}" for i, m in enumerate(self.table)) + f", others {show(self.floor)}"
            )
        else:
            zh = "、".join(f"倒数第{i + 1}名{show(m)}分" for i, m in enumerate(self.table)) + f"，其余{f}分"
            en = ", ".join(f"rank {i + 1} from the last: {show(m)}" for i, m in enumerate(self.table)) + f", others {f}"
        tie = Text("并列按最好名次计", "equals take the best rank's marks")
        if self.ties == "MEAN":
            tie = Text("并列取所占名次的平均分", "equals share the mean of their ranks' marks")
        zh, en = (
            f"按“{x.zh}”在同类中{way.zh}排名：{zh}；{tie.zh}",
            f"By rank in the category, {x.en}, {way.en}: {en}; {tie.en}",
        )
        if self.quantity.denominator:
            zero = zero_words(self.quantity.denominator_zero)
            zh, en = f"{zh}；分母{zero.zh}", f"{en}; {zero.en}"
        return Text(zh + "。", en + ".")

    def marks_of(self, rank: int, count: int, full_marks: Fraction) -> Fraction:
        """Marks of one place among `count`, before equals share."""
        if self.step is not None:
            return max(full_marks - self.step * (rank - 1), self.floor)
        if self.count_from == "FIRST":
            return self.table[rank - 1] if rank <= len(self.table) else self.floor
        place = count - rank + 1
        return self.table[place - 1] if place <= len(self.table) else full_marks

    def _whole_marks(self, count: int, full_marks: Fraction, common: int) -> NDArray[Any]:
        """Marks of places 1 … count as counts of 1/common."""
        if self.step is not None:
            ranks = Whole.of(np.arange(count))
            marks = Whole.of(int(full_marks * common)) - ranks * int(self.step * common)
            return marks.at_least(int(self.floor * common)).array(count)
        rest = self.floor if self.count_from == "FIRST" else full_marks
        listed = [int(marks * common) for marks in self.table[:count]]
        listed += [int(rest * common)] * (count - len(listed))
        return whole_array(listed if self.count_from == "FIRST" else listed[::-1])

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        x = self.quantity.evaluate(data)
        found = order(x, compared(data.usable, x))
        count = len(found.index)
        if not count:
            return Outcome(Whole.of(0), Whole.of(1), x.not_applicable, x.full, Peers(0))
        if self.direction == "HIGHER":
            best, worst = count - found.last, count - found.first
        else:
            best, worst = found.first + 1, found.last + 1
        common = lcm(
            full_marks.denominator,
            self.floor.denominator,
            (self.step or self.floor).denominator,
            *(marks.denominator for marks in self.table),
        )
        whole = self._whole_marks(count, full_marks, common)
        ranks = np.zeros(data.count, np.int64)
        ranks[found.index] = best
        peers = Peers(count, None, None, ranks)
        if self.ties == "COMPETITION":
            marks = Whole.of(np.concatenate([whole_array([0]), whole])[ranks])
            return Outcome(*score_of_marks(marks, Whole.of(common), full_marks), x.not_applicable, x.full, peers)
        upto = np.concatenate([whole_array([0]), np.cumsum(wide(whole))])
        first, last = np.ones(data.count, np.int64), np.ones(data.count, np.int64)
        first[found.index], last[found.index] = best, worst
        total = Whole.of(upto[last]) - Whole.of(upto[first - 1])
        size = Whole.of(last - first + 1) * common
        return Outcome(*score_of_marks(total, size, full_marks), x.not_applicable, x.full, peers)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        x, peers = self.quantity.value(unit), unit.peers
        if x is None or peers is None or peers.ranks is None:
            return undefined_work(self.quantity, unit, full_marks)
        rank = int(peers.ranks[unit.unit])
        equals = int((peers.ranks == rank).sum())
        taken = range(rank, rank + equals) if self.ties == "MEAN" else range(rank, rank + 1)
        parts = [self.marks_of(place, peers.count, full_marks) for place in taken]
        marks = sum(parts, Fraction(0)) / len(parts)
        formula = show(marks) if len(parts) == 1 else f"({' + '.join(show(part) for part in parts)}) ÷ {len(parts)}"
        shared = Text(f"，与{equals - 1}个单位并列", f", shared with {equals - 1}") if equals > 1 else Text("", "")
        text = Text(
            f"实际值{show(x)}，同类{peers.count}个单位中第{rank}名{shared.zh}，得{show(marks)}分",
            f"value {show(x)}, rank {rank} of {peers.count}{shared.en}: {show(marks)} marks",
        )
        return Work(formula, marks, text)
