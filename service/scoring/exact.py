"""Scores up the tree in whole numbers (精确汇总): for the units that floats do not decide, for explanations, for
p/q.

One call evaluates many units at once; each node gives numerator and denominator per unit. Leaves that share one
constant denominator are added first, which keeps the numbers short.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.geometric import geometric_mean
from service.scoring.leaves import LeafScores
from service.scoring.sums import RationalSum, reduced
from service.scoring.tree import Tree, TreeNode
from service.scoring.whole import Mask, Whole, whole_rationals

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ExactScore:
    """A node for some units: score = numerator / denominator where scored.

    present: the node takes part in its parent (None: everywhere). mass_numerator / mass_denominator: the share of its
    weight that is left under GLOBAL (None: all of it).
    """

    numerator: Whole
    denominator: Whole
    present: Mask | None = None
    mass_numerator: Whole | None = None
    mass_denominator: Whole | None = None

    def scored(self, count: int) -> Mask:
        """Units with a score."""
        found = np.ones(count, bool) if self.present is None else self.present
        return found if self.mass_numerator is None else found & (self.mass_numerator > 0)

    def fractions(self, count: int) -> list[Fraction | None]:
        """The scores; None where there is none."""
        scored = self.scored(count).tolist()
        return [
            Fraction(self.numerator.at(i), self.denominator.at(i)) if there else None for i, there in enumerate(scored)
        ]


DISTINCT_FROM = 256
"""From so many units on it pays to look for equal ones first."""


def exact_node(tree: Tree, leaves: dict[int, LeafScores], place: int, index: Index) -> ExactScore:
    """One node's exact scores for some units; units whose leaves are all equal are worked out once."""
    if len(index) < DISTINCT_FROM:
        return ExactTree(tree, leaves, index).node(place)
    first, back = _distinct(leaves, index)
    score = ExactTree(tree, leaves, index[first]).node(place)
    mass = score.mass_numerator, score.mass_denominator
    return ExactScore(
        score.numerator.take(back),
        score.denominator.take(back),
        None if score.present is None else score.present[back],
        None if mass[0] is None else mass[0].take(back),
        None if mass[1] is None else mass[1].take(back),
    )


def _distinct(leaves: dict[int, LeafScores], index: Index) -> tuple[Index, Index]:
    """(one unit of each kind, for every unit the place of its kind): found by a hash, compared in full."""
    columns: list[NDArray[Any]] = []
    for leaf in leaves.values():
        columns += [part.value[index] for part in (leaf.numerator, leaf.denominator) if not part.scalar]
        columns += [mask[index].astype(np.int64) for mask in (leaf.absent, leaf.lost) if mask is not None]
    everyone = np.arange(len(index))
    if any(column.dtype != np.int64 for column in columns):
        return everyone, everyone
    mixed = np.zeros(len(index), np.uint64)
    for column in columns:
        mixed = (mixed ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, back = np.unique(mixed, return_index=True, return_inverse=True)
    if all(np.array_equal(column, column[first[back]]) for column in columns):
        return first, back
    return everyone, everyone


class ExactTree:
    """The nodes of one category's tree for the units at `index`, worked out when first asked for."""

    def __init__(self, tree: Tree, leaves: dict[int, LeafScores], index: NDArray[np.intp]) -> None:
        self.tree = tree
        self.index = index
        self.count = len(index)
        self._leaves = leaves
        self._known: dict[int, ExactScore] = {}

    def node(self, place: int) -> ExactScore:
        """One node's exact scores."""
        if place not in self._known:
            node = self.tree.nodes[place]
            self._known[place] = self._leaf(place) if node.leaf else self._mean(node)
        return self._known[place]

    def fractions(self, place: int) -> list[Fraction | None]:
        """One node's exact scores; None where it has none."""
        return self.node(place).fractions(self.count)

    def _leaf(self, place: int) -> ExactScore:
        leaf = self._leaves[place]
        numerator, denominator = leaf.numerator.take(self.index), leaf.denominator.take(self.index)
        present = None if leaf.absent is None else ~leaf.absent[self.index]
        if leaf.lost is None:
            return ExactScore(numerator, denominator, present)
        kept = (~leaf.lost[self.index]).astype(np.int64)
        return ExactScore(numerator, denominator, present, Whole(kept, 0, 1), Whole.of(1))

    def _mean(self, node: TreeNode) -> ExactScore:
        parts = [(w, self.node(child)) for w, child in zip(node.weights, node.children, strict=True) if w]
        if not parts:
            return ExactScore(Whole.of(0), Whole.of(1), np.zeros(self.count, bool))
        if node.aggregation == "GEOMETRIC":
            return self._geometric(parts)
        if node.aggregation == "HARMONIC":
            return self._harmonic(parts)
        return self._arithmetic(parts)

    def _weight(self, parts: Sequence[tuple[int, ExactScore]]) -> tuple[Whole, Mask | None]:
        """(Σ weights of what takes part, where anything does)."""
        total = Whole.of(0)
        for weight, part in parts:
            total = total + (Whole.of(weight) if part.present is None else _flag(part.present) * weight)
        if total.scalar:
            return total, None
        present = total > 0
        return total.at_least(1), None if present.all() else present

    def _arithmetic(self, parts: Sequence[tuple[int, ExactScore]]) -> ExactScore:
        total, present = self._weight(parts)
        scores, left = RationalSum(), RationalSum()
        lossy = False
        for weight, part in parts:
            own = Whole.of(weight) if part.present is None else _flag(part.present) * weight
            if part.mass_numerator is None or part.mass_denominator is None:
                scores.add(part.numerator * own, part.denominator)
                left.add(own, Whole.of(1))
            else:
                lossy = True
                own = own * part.mass_numerator
                scores.add(part.numerator * own, part.denominator * part.mass_denominator)
                left.add(own, part.mass_denominator)
        numerator, denominator = scores.total()
        if not lossy:
            return ExactScore(*self._tidy(numerator, denominator * total, present), present)
        above, below = left.total()
        mass_numerator, mass_denominator = reduced(above, below * total)
        scored = above > 0
        numerator = (numerator * below).where(scored, 0)
        denominator = denominator * above.at_least(1)
        numerator, denominator = self._tidy(numerator, denominator, None if scored.all() else scored)
        return ExactScore(numerator, denominator, present, mass_numerator, mass_denominator)

    def _tidy(self, numerator: Whole, denominator: Whole, scored: Mask | None) -> tuple[Whole, Whole]:
        if scored is not None:
            numerator, denominator = numerator.where(scored, 0), denominator.where(scored, 1)
        if denominator.scalar:
            return numerator, denominator
        return reduced(numerator, denominator)

    def _harmonic(self, parts: Sequence[tuple[int, ExactScore]]) -> ExactScore:
        total, present = self._weight(parts)
        zero = np.zeros(self.count, bool)
        inverse = RationalSum()
        for weight, part in parts:
            there = np.ones(self.count, bool) if part.present is None else part.present
            positive = part.numerator > 0
            zero |= there & ~positive
            use = there & positive
            inverse.add((part.denominator * weight).where(use, 0), part.numerator.where(use, 1))
        numerator, denominator = inverse.total()
        dead = zero if present is None else zero | ~present
        above = (denominator * total).where(~dead, 0)
        below = numerator.where(~dead, 1)
        return ExactScore(*reduced(above, below), present)

    def _geometric(self, parts: Sequence[tuple[int, ExactScore]]) -> ExactScore:
        _, present = self._weight(parts)
        found: list[Fraction] = []
        for unit in range(self.count):
            weights, values = [], []
            for weight, part in parts:
                if part.present is None or part.present[unit]:
                    weights.append(weight)
                    values.append(Fraction(part.numerator.at(unit), part.denominator.at(unit)))
            found.append(geometric_mean(values, weights) if values else Fraction(0))
        return ExactScore(*whole_rationals(found), present)


def _flag(mask: Mask) -> Whole:
    return Whole(mask.astype(np.int64), 0, 1)
