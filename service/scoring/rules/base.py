"""What every scoring rule is (计分规则): settings that are read and checked, an exact score for many units, and words.

A rule works in the leaf's marks F; above the leaf a score travels as 100 × marks ÷ F.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Any, ClassVar, Protocol

import numpy as np

from service.scoring.items import DataItem
from service.scoring.lists import Lists
from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames, Quantity, Ratio
from service.scoring.reading import Reader, Sink
from service.scoring.text import Text
from service.scoring.whole import Mask, Whole


@dataclass(frozen=True, slots=True)
class Peers:
    """What a relative rule compared with: the units of the category that have a value (同类比较).

    best, worst: as the rule's direction sees them; None where nobody has a value. ranks: per unit, 0 for none.
    """

    count: int
    best: Fraction | None = None
    worst: Fraction | None = None
    ranks: "np.ndarray[Any, np.dtype[np.int64]] | None" = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of one leaf: numerator / denominator on the scale 0 … 100, exact, the denominator above 0.

    not_applicable: units to which the leaf does not apply after all (a denominator of 0); full: units that earn full
    marks for such a reason. What stands for units without a usable value is ignored.
    """

    numerator: Whole
    denominator: Whole
    not_applicable: Mask | None = None
    full: Mask | None = None
    peers: Peers | None = None


class LeafColumns(Protocol):
    """What a leaf's rule sees of the units of one category."""

    count: int
    usable: Mask
    """Units whose value is scored by the rule; all others are missing, rejected or not applicable."""

    def numbers(self, key: str, count_name: str | None = None) -> tuple[Whole, int]:
        """(value × 10**scale, scale) of an item; 0 where it is not usable."""

    def lists(self, key: str) -> Lists:
        """Scores of a SCORES item per unit."""

    def previous(self, key: str, count_name: str | None = None) -> "PreviousColumn":
        """The last cycle's values of an item."""

    def awards(self) -> tuple[Whole, int]:
        """(awarded marks × 10**scale, scale)."""

    def group_awards(self, group: str) -> Lists:
        """Single awards of a group of assessors."""

    def event_counts(self, code: str | None) -> Whole:
        """Confirmed events per unit under the leaf of that code; None for this leaf."""


@dataclass(frozen=True, slots=True)
class PreviousColumn:
    """The last cycle's settled values of an item, and where there are any."""

    numbers: Whole
    scale: int
    present: Mask


class UnitLeaf(Protocol):
    """What a leaf's rule sees of one unit, for the explanation in words."""

    unit: int
    """Place of the unit among those of its category."""
    peers: Peers | None

    @property
    def award(self) -> Fraction:
        """Awarded marks."""

    def number(self, key: str, count_name: str | None = None) -> Fraction:
        """The exact value of an item."""

    def previous(self, key: str, count_name: str | None = None) -> Fraction | None:
        """The last cycle's value."""

    def scores(self, key: str) -> list[Fraction]:
        """A list of scores."""

    def group_awards(self, group: str) -> list[Fraction]:
        """Single awards of a group; shown to nobody singly."""

    def events(self, code: str | None) -> int:
        """Confirmed events under a leaf."""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule may refer to: the scheme's data items, and the codes of its leaves (None: not known here)."""

    items: Mapping[str, DataItem]
    codes: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """One rule of one leaf; every amount is in the leaf's marks F."""

    kind: ClassVar[str]
    term: ClassVar[Text]
    outside: ClassVar[bool] = False
    """Whether its leaf stands outside the sum (bonus, deduction, veto)."""
    full: Fraction | None = None
    """F, where it is neither the printed points nor 100."""

    @classmethod
    @abstractmethod
    def read(cls, reader: Reader, context: RuleContext) -> "Rule | None":
        """From a document; None after noting at least one fault."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All settings besides kind and full, as a document has them."""

    @abstractmethod
    def data_items(self) -> tuple[str, ...]:
        """Keys of the data items it uses, each once."""

    @abstractmethod
    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        """The rule in words (评分标准)."""

    def check(  # noqa: B027 - a rule without amounts has nothing to check
        self, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None
    ) -> None:
        """Note amounts that do not fit F; called for each F that the leaf has (path: of the rule)."""

    def document(self) -> dict[str, Any]:
        """As it is written in a scheme document, all settings written out."""
        full = None if self.full is None else format_decimal(self.full)
        return {"kind": self.kind, "full": full, **self.settings()}


@dataclass(frozen=True, kw_only=True)
class ScoredRule(Rule):
    """A rule inside the sum."""

    relative: ClassVar[bool] = False
    """Whether it compares units, so that one unit's value changes another's score."""

    @abstractmethod
    def evaluate(self, data: LeafColumns, full_marks: Fraction) -> Outcome:
        """Exact scores of all units of a category."""

    @abstractmethod
    def work(self, unit: UnitLeaf, full_marks: Fraction, names: ItemNames) -> "Work":
        """The arithmetic for one unit in words; reckoned apart from `evaluate`, in fractions."""

    def can_be_negative(self) -> bool:
        """Whether a score below 0 is possible."""
        return False


@dataclass(frozen=True, slots=True)
class Work:
    """A leaf's arithmetic for one unit: formula such as "2 × 46 ÷ 48", marks, and a sentence."""

    formula: str
    marks: Fraction
    text: Text
    items: Sequence[str] = field(default=())


def score_of_marks(numerator: Whole, denominator: Whole, full_marks: Fraction) -> tuple[Whole, Whole]:
    """Marks as a score: 100 × marks ÷ F."""
    factor = 100 / full_marks
    return times(numerator, denominator, factor)


def times(numerator: Whole, denominator: Whole, factor: Fraction) -> tuple[Whole, Whole]:
    """numerator / denominator × factor, kept short where the denominator is one number."""
    up, down = factor.numerator, factor.denominator
    if denominator.scalar:
        shared = gcd(up, int(denominator.value))
        up, denominator = up // shared, Whole.of(int(denominator.value) // shared)
    return numerator * up, denominator * down


def compare_line(ratio: Ratio, bound: Fraction) -> tuple[Whole, Whole]:
    """(left, right) such that x ≥ bound exactly where left ≥ right; never a quotient."""
    return ratio.numerator * bound.denominator, ratio.denominator * bound.numerator


def either(*masks: Mask | None) -> Mask | None:
    """Where at least one holds."""
    found: Mask | None = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else found | mask
    return found


def marks_within(
    value: Fraction,
    full_marks: Fraction,
    sink: Sink,
    path: tuple[str, ...],
    category: str | None,
    least: Fraction | None = None,
) -> None:
    """Note marks that are above F, or below `least` (0 if not given)."""
    if value > full_marks:
        sink.add(
            path,
            Text(
                f"{show(value)}分超过满分{show(full_marks)}分",
                f"{show(value)} is above the full marks of {show(full_marks)}",
            ),
            category=category,
        )
    floor = Fraction(0) if least is None else least
    if value < floor:
        sink.add(
            path,
            Text(f"{show(value)}分低于{show(floor)}分", f"{show(value)} is below {show(floor)}"),
            category=category,
        )


def floor_within(
    floor: Fraction, full_marks: Fraction, sink: Sink, path: tuple[str, ...], category: str | None
) -> None:
    """Note a least score that is not below F."""
    if floor >= full_marks:
        sink.add(
            path,
            Text(
                f"最低分{show(floor)}分应低于满分{show(full_marks)}分",
                f"the least score {show(floor)} must be below the full marks of {show(full_marks)}",
            ),
            category=category,
        )


def zero_words(zero: str) -> Text:
    """What a denominator or target of 0 means."""
    if zero == "FULL":
        return Text("为零的得满分", "full marks where it is 0")
    return Text("为零的不适用", "not applicable where it is 0")


def undefined_work(quantity: Quantity, unit: UnitLeaf, full_marks: Fraction) -> Work:
    """Where the denominator is 0 and that earns full marks."""
    text = Text(
        f"分母为0，按规则得满分{show(full_marks)}分", f"the denominator is 0: full marks of {show(full_marks)} by rule"
    )
    return Work(quantity.formula(unit), full_marks, text)
