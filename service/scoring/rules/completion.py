"""COMPLETION 按完成率计分: F × min(actual ÷ target, cap). Source: practice (考核细则), "完成率×分值，超额不加分".

The target is a number, a combination, or an item assigned per unit. A target of 0 does not apply, or earns full marks;
a negative actual or target earns 0. Under `allOrNothingBelow` nothing is earned below that share.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from service.scoring.numbers import format_decimal, percent, show
from service.scoring.quantities import ItemNames, Quantity, ZeroPolicy, read_quantity
from service.scoring.reading import Reader
from service.scoring.rules.base import (
    LeafColumns,
    Outcome,
    RuleContext,
    ScoredRule,
    UnitLeaf,
    Work,
    either,
    undefined_work,
    zero_words,
)
from service.scoring.text import Text


@dataclass(frozen=True, kw_only=True)
class CompletionRule(ScoredRule):
    """The share of a target that was reached."""

    kind: ClassVar[str] = "COMPLETION"
    term: ClassVar[Text] = Text("按完成率计分", "completion")

    actual: Quantity
    target: Quantity
    cap: Fraction = Fraction(1)
    all_or_nothing_below: Fraction | None = None
    target_zero: ZeroPolicy = "NOT_APPLICABLE"

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "CompletionRule | None":
        before = len(reader.sink.faults)
        actual = read_quantity(reader.inner("actual"), context.items)
        target = read_quantity(reader.inner("target"), context.items, constant_allowed=True)
        cap = reader.decimal("cap", required=False, default=Fraction(1), above=0)
        below = reader.decimal("allOrNothingBelow", required=False, above=0)
        zero = reader.choice("targetZero", ("NOT_APPLICABLE", "FULL"), default="NOT_APPLICABLE")
        if target is not None and not target.data_items() and target.numerator.constant <= 0:
            reader.fault("target", Text("固定目标值必须大于0", "a fixed target must be above 0"))
        if below is not None and cap is not None and below > cap:
            reader.fault(
                "allOrNothingBelow",
                Text(
                    f"起算比例{percent(below)}高于上限{percent(cap)}，谁也得不了分",
                    "above the cap: nobody could earn anything",
                ),
            )
        if actual is None or target is None or cap is None or len(reader.sink.faults) > before:
            return None
        return cls(
            actual=actual,
            target=target,
            cap=cap,
            all_or_nothing_below=below,
            target_zero="FULL" if zero == "FULL" else "NOT_APPLICABLE",
        )

    def settings(self) -> dict[str, Any]:
        below = self.all_or_nothing_below
        return {
            "actual": self.actual.document(),
            "target": self.target.document(),
            "cap": format_decimal(self.cap),
            "allOrNothingBelow": None if below is None else format_decimal(below),
            "targetZero": self.target_zero,
        }

    def data_items(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.actual.data_items(), *self.target.data_items())))

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        actual, target, f = self.actual.describe(names), self.target.divisor(names), show(full_marks)
        zh = f"得分＝{f}×（{actual.zh}÷{target.zh}），最高{show(full_marks * self.cap)}分"
        en = f"{f} × ({actual.en} ÷ {target.en}), at most {show(full_marks * self.cap)}"
        if self.all_or_nothing_below is not None:
            zh += f"，完成率低于{percent(self.all_or_nothing_below)}不得分"
            en += f", nothing below {percent(self.all_or_nothing_below)}"
        if self.target.data_items():
            zero = zero_words(self.target_zero)
            zh, en = f"{zh}；目标{zero.zh}", f"{en}; target: {zero.en}"
        return Text(zh + "。", en + ".")

    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        actual, target = self.actual.evaluate(data), self.target.evaluate(data)
        done = actual.numerator * target.denominator
        asked = target.numerator * actual.denominator
        not_applicable = either(actual.not_applicable, target.not_applicable)
        full = either(actual.full, target.full)
        if target.numerator.low <= 0:
            zero = target.numerator.equals(0)
            undefined = either(actual.undefined, target.undefined)
            if undefined is not None:
                zero = zero & ~undefined
            if self.target_zero == "FULL":
                full = either(full, zero)
            else:
                not_applicable = either(not_applicable, zero)
            negative = asked < 0
            done = done.where(~negative, 0)
            asked = asked.at_least(1)
        earned = (done * self.cap.denominator).at_most(asked * self.cap.numerator).at_least(0)
        span = asked * self.cap.denominator
        below = self.all_or_nothing_below
        if below is not None:
            reached = done * below.denominator >= asked * below.numerator
            earned = earned.where(np.asarray(reached), 0)
        return Outcome(earned * 100, span, not_applicable, full)

    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> Work:
        actual, target = self.actual.value(unit), self.target.value(unit)
        if actual is None or target is None:
            return undefined_work(self.actual if actual is None else self.target, unit, full_marks)
        if target == 0:
            text = Text(
                f"目标为0，按规则得满分{show(full_marks)}分",
                f"the target is 0: full marks of {show(full_marks)} by rule",
            )
            return Work(self.actual.formula(unit), full_marks, text)
        share = actual / target if target > 0 else Fraction(0)
        counted = min(max(share, Fraction(0)), self.cap)
        if self.all_or_nothing_below is not None and share < self.all_or_nothing_below:
            counted = Fraction(0)
        marks = full_marks * counted
        formula = f"{show(full_marks)} × {_inner(self.actual.formula(unit))} ÷ {_inner(self.target.formula(unit))}"
        if counted != share:
            formula = f"{formula} → {show(full_marks)} × {show(counted)}"
        text = Text(
            f"完成{show(actual)}，目标{show(target)}，完成率{percent(share)}，得{show(marks)}分",
            f"{show(actual)} of {show(target)}, {percent(share)} complete: {show(marks)} marks",
        )
        return Work(formula, marks, text)


def _inner(formula: str) -> str:
    return f"({formula})" if " " in formula else formula
