"""Scores of the leaves of one category (末级指标得分): states first, then the rule, then what policies make of the
rest.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.lists import Lists
from service.scoring.rules.award import AwardRule
from service.scoring.rules.base import Outcome, Peers, PreviousColumn, Rule
from service.scoring.snapshot import ItemColumn, Snapshot, State
from service.scoring.tree import TreeNode
from service.scoring.whole import Mask, Whole

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LeafScores:
    """One leaf for all units of a category: score = numerator / denominator (0 … 100), exact.

    states: uint8 of State after the rule. absent: units where it does not apply and its weight is shared among its
    siblings; lost: where its weight leaves the total (GLOBAL). None means nowhere. The score is 0 at both.
    """

    numerator: Whole
    denominator: Whole
    states: NDArray[np.uint8]
    absent: Mask | None
    lost: Mask | None
    peers: Peers | None


class EventTable:
    """Confirmed events per leaf and unit."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._counts: dict[str, dict[int, int]] = {}
        if snapshot.events:
            places = {unit: place for place, unit in enumerate(snapshot.units)}
            for event in snapshot.events:
                if event.state == "CONFIRMED":
                    units = self._counts.setdefault(event.indicator, {})
                    units[places[event.unit]] = units.get(places[event.unit], 0) + 1

    def count(self, code: str, unit: int) -> int:
        """Confirmed events of one unit under a leaf."""
        return self._counts.get(code, {}).get(unit, 0)

    def column(self, code: str, index: Index) -> Whole:
        """The same for many units."""
        counts = self._counts.get(code)
        if not counts:
            return Whole.of(np.zeros(len(index), np.int64))
        return Whole.of(np.array([counts.get(int(unit), 0) for unit in index], np.int64))


class Columns:
    """What a leaf's rule sees: the columns of its items, cut to the units of one category, 0 where not usable."""

    def __init__(
        self, snapshot: Snapshot, events: EventTable, code: str, rule: Rule, index: Index, everyone: bool
    ) -> None:
        self.snapshot = snapshot
        self.events = events
        self.code = code
        self.index = index
        self.count = len(index)
        self._everyone = everyone
        self.states = self._states(rule)
        self.usable: Mask = self.states <= State.CARRIED
        self._all_usable = bool(self.usable.all())

    def _cut(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self._everyone else values[self.index]

    def _column(self, key: str) -> ItemColumn:
        own = self.snapshot.leaf_items.get((self.code, key))
        return own if own is not None else self.snapshot.items[key]

    def _has(self, key: str) -> bool:
        return (self.code, key) in self.snapshot.leaf_items or key in self.snapshot.items

    def _states(self, rule: Rule) -> NDArray[np.uint8]:
        found = np.zeros(self.count, np.uint8)
        for key in rule.data_items():
            if self._has(key):
                found = np.maximum(found, self._cut(self._column(key).state))
            else:
                found = np.maximum(found, np.uint8(State.MISSING))
        if isinstance(rule, AwardRule):
            found = self._award_states(rule)
        decided = self.snapshot.leaf_states.get(self.code)
        if decided is not None:
            own = self._cut(decided)
            found = np.where(own != State.GIVEN, own, found)
        return found.astype(np.uint8, copy=False)

    def _award_states(self, rule: AwardRule) -> NDArray[np.uint8]:
        """Given where anybody awarded; the groups' single awards where the rule has groups, else the one award."""
        if not rule.groups:
            column = self.snapshot.awards.get(self.code)
            return np.full(self.count, int(State.MISSING), np.uint8) if column is None else self._cut(column.state)
        awarded = np.zeros(self.count, bool)
        for group in rule.groups:
            single = self.snapshot.group_awards.get((self.code, group.name))
            if single is not None and single.offsets is not None:
                awarded |= (self._cut(np.diff(single.offsets)) > 0) & (self._cut(single.state) == State.GIVEN)
        return np.where(awarded, np.uint8(State.GIVEN), np.uint8(State.MISSING)).astype(np.uint8)

    def _clean(self, values: NDArray[Any]) -> Whole:
        cut = self._cut(values)
        return Whole.of(cut if self._all_usable else np.where(self.usable, cut, 0))

    def numbers(self, key: str, count_name: str | None = None) -> tuple[Whole, int]:
        """(value × 10**scale, scale) of an item."""
        if not self._has(key):
            return Whole.of(np.zeros(self.count, np.int64)), 0
        column = self._column(key)
        if count_name is None:
            return self._clean(column.numbers), column.scale
        part = (column.parts or {}).get(count_name)
        return (Whole.of(np.zeros(self.count, np.int64)) if part is None else self._clean(part)), 0

    def lists(self, key: str) -> Lists:
        """Scores of a SCORES item per unit."""
        return self._lists(self._column(key)) if self._has(key) else Lists.none(self.count)

    def _lists(self, column: ItemColumn) -> Lists:
        offsets = column.offsets if column.offsets is not None else np.arange(len(column.state) + 1)
        there = self.usable & (self._cut(column.state) <= State.CARRIED)
        lengths = np.where(there, self._cut(np.diff(offsets)), 0)
        return Lists.cut(column.numbers, self._cut(offsets[:-1]), lengths, column.scale)

    def previous(self, key: str, count_name: str | None = None) -> PreviousColumn:
        """The last cycle's values of an item."""
        column = self.snapshot.previous.get(key)
        nothing = np.zeros(self.count, np.int64)
        if column is None:
            return PreviousColumn(Whole.of(nothing), 0, np.zeros(self.count, bool))
        present = self._cut(column.state) <= State.CARRIED
        if count_name is None:
            return PreviousColumn(Whole.of(np.where(present, self._cut(column.numbers), 0)), column.scale, present)
        part = (column.parts or {}).get(count_name)
        numbers = nothing if part is None else np.where(present, self._cut(part), 0)
        return PreviousColumn(Whole.of(numbers), 0, present)

    def awards(self) -> tuple[Whole, int]:
        """(awarded marks × 10**scale, scale)."""
        column = self.snapshot.awards.get(self.code)
        if column is None:
            return Whole.of(np.zeros(self.count, np.int64)), 0
        return self._clean(column.numbers), column.scale

    def group_awards(self, group: str) -> Lists:
        """Single awards of a group of assessors."""
        column = self.snapshot.group_awards.get((self.code, group))
        return Lists.none(self.count) if column is None else self._lists(column)

    def event_counts(self, code: str | None) -> Whole:
        """Confirmed events per unit."""
        return self.events.column(code or self.code, self.index)


class OneUnit:
    """What a rule's words see of one unit: the same columns, as fractions."""

    def __init__(
        self, snapshot: Snapshot, events: EventTable, code: str, unit: int, place: int, peers: Peers | None
    ) -> None:
        self.snapshot = snapshot
        self.code = code
        self.unit = place
        self.peers = peers
        self._events = events
        self._unit = unit

    def _column(self, key: str) -> ItemColumn | None:
        return self.snapshot.leaf_items.get((self.code, key)) or self.snapshot.items.get(key)

    @property
    def award(self) -> Fraction:
        """Awarded marks."""
        column = self.snapshot.awards.get(self.code)
        return Fraction(0) if column is None else Fraction(int(column.numbers[self._unit]), 10**column.scale)

    def state(self, key: str) -> State:
        """State of an item."""
        column = self._column(key)
        return State.MISSING if column is None else State(int(column.state[self._unit]))

    def number(self, key: str, count_name: str | None = None) -> Fraction:
        """The exact value of an item."""
        column = self._column(key)
        if column is None:
            return Fraction(0)
        if count_name is None:
            return Fraction(int(column.numbers[self._unit]), 10**column.scale)
        part = (column.parts or {}).get(count_name)
        return Fraction(0) if part is None else Fraction(int(part[self._unit]))

    def previous(self, key: str, count_name: str | None = None) -> Fraction | None:
        """The last cycle's value."""
        column = self.snapshot.previous.get(key)
        if column is None or column.state[self._unit] > State.CARRIED:
            return None
        if count_name is None:
            return Fraction(int(column.numbers[self._unit]), 10**column.scale)
        part = (column.parts or {}).get(count_name)
        return Fraction(0) if part is None else Fraction(int(part[self._unit]))

    def scores(self, key: str) -> list[Fraction]:
        """A list of scores."""
        return self._list(self._column(key))

    def group_awards(self, group: str) -> list[Fraction]:
        """Single awards of a group."""
        return self._list(self.snapshot.group_awards.get((self.code, group)))

    def _list(self, column: ItemColumn | None) -> list[Fraction]:
        if column is None or column.offsets is None or column.state[self._unit] > State.CARRIED:
            return []
        start, end = int(column.offsets[self._unit]), int(column.offsets[self._unit + 1])
        return [Fraction(int(number), 10**column.scale) for number in column.numbers[start:end]]

    def events(self, code: str | None) -> int:
        """Confirmed events under a leaf."""
        return self._events.count(code or self.code, self._unit)


def score_leaf(node: TreeNode, columns: Columns) -> LeafScores:
    """The exact scores of one leaf, with what becomes of missing, rejected and not applicable values."""
    rule = node.rule
    if rule is None:
        raise ValueError(f"{node.code} is no leaf")
    states = columns.states
    if node.full_marks == 0:
        nobody = np.ones(columns.count, bool)
        return LeafScores(Whole.of(0), Whole.of(1), states, nobody, None, None)
    outcome = rule.evaluate(columns, node.full_marks)
    numerator, denominator = outcome.numerator, outcome.denominator
    usable = columns.usable
    states, usable = _after_rule(outcome, states, usable)
    if outcome.full is not None:
        numerator = (denominator * 100).where(outcome.full, numerator)
    if usable.all():
        return LeafScores(numerator, denominator, states, None, None, outcome.peers)
    numerator = numerator.where(usable, 0)
    not_applicable = states == State.NOT_APPLICABLE
    absent = lost = None
    gone = np.zeros(columns.count, bool)
    if node.not_applicable_policy == "FULL":
        numerator = (denominator * 100).where(not_applicable, numerator)
    else:
        gone = gone | not_applicable
    if node.missing_policy == "EXCLUDE":
        gone = gone | (states == State.MISSING)
    if gone.any():
        if node.not_applicable_policy == "GLOBAL":
            lost = gone
        else:
            absent = gone
    return LeafScores(numerator, denominator, states, absent, lost, outcome.peers)


def _after_rule(outcome: Outcome, states: NDArray[np.uint8], usable: Mask) -> tuple[NDArray[np.uint8], Mask]:
    if outcome.not_applicable is None:
        return states, usable
    gone = outcome.not_applicable & usable
    return np.where(gone, np.uint8(State.NOT_APPLICABLE), states), usable & ~gone
