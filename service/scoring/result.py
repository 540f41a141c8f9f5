"""What a computation gives (测算结果): lists in the order of the snapshot's units, ready for bulk insert.

Text forms are plain decimals ("90.99") with the scheme's rounding places; None stands where there is no number. Node
scores are rounded when they are first asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.aggregation import UNIT, Estimate
from service.scoring.document import Scheme
from service.scoring.exact import exact_node
from service.scoring.grades import Grades, PendingTie, Quota
from service.scoring.leaves import LeafScores
from service.scoring.numbers import format_rational, format_scaled
from service.scoring.pots import UnitEvents
from service.scoring.rounding import round_exact, rounded
from service.scoring.snapshot import STATE_NAMES, Snapshot, State
from service.scoring.totals import Tail
from service.scoring.tree import Tree
from service.scoring.whole import Mask, Whole

MOST_WRITTEN = 100_000
"""Texts of numbers that are kept to be used again."""

Index = NDArray[np.intp]
Numbers = NDArray[Any]


class Status(IntEnum):
    """Whether and why a unit has no rank; names as the API's StandingStatus."""

    RANKED = 0
    VETOED = 1
    LOW_COVERAGE = 2
    NOT_SCORED = 3


@dataclass(frozen=True)
class CategoryRun:
    """The computation of one category; arrays follow `index`, the places of its units in the snapshot."""

    index: Index
    tree: Tree
    leaves: dict[int, LeafScores]
    estimates: list[Estimate]
    tail: Tail
    about: NDArray[np.float64]
    error: float
    totals: Numbers
    scored: Mask
    covered: Whole
    settled: int
    """How many totals were rounded in whole numbers."""

    def exact_totals(self, places: Index) -> list[Fraction | None]:
        """Exact totals of some units of the category."""
        numerator, denominator = self.tail.exact(exact_node(self.tree, self.leaves, 0, places), places)
        scored = self.scored[places].tolist()
        return [Fraction(numerator.at(i), denominator.at(i)) if there else None for i, there in enumerate(scored)]

    def exact_nodes(self, place: int, units: Index) -> list[Fraction | None]:
        """Exact scores of one node for some units of the category."""
        return exact_node(self.tree, self.leaves, place, units).fractions(len(units))


class Result:
    """Totals, ranks and scores of all units. Unit arguments are places in `units`; nodes are named by code."""

    def __init__(
        self,
        scheme: Scheme,
        snapshot: Snapshot,
        runs: list[CategoryRun],
        totals: Numbers,
        scored: Mask,
        status: NDArray[np.uint8],
        rank: NDArray[np.int64],
        shared: NDArray[np.int64],
        overall: NDArray[np.int64],
        keys: NDArray[np.int64],
        events: Mapping[int, UnitEvents],
        grading: Grades,
    ) -> None:
        self.scheme = scheme
        self.snapshot = snapshot
        self.units = list(snapshot.units)
        self.places = scheme.settings.rounding_places
        self.node_codes = tuple(node.code for node in scheme.scored)
        """All scored nodes in print order, the root first; bonus, deduction and veto leaves are not among them."""
        self.runs = runs
        self.total_numbers = totals
        """Shown totals as counts of 10**-places; 0 where not scored."""
        self.scored = scored
        self.status = status
        self.rank = rank
        self.shared = shared
        self.overall = overall
        self.keys = keys
        """Order of the ranked units, equal exactly where they are tied."""
        self.unit_events = events
        """Place of each unit with confirmed events of bonus, deduction or veto → what they come to."""
        self.grading = grading
        self._where: dict[int, tuple[CategoryRun, int]] | None = None
        self._whole: tuple[list[Fraction | None]] | None = None
        self._written: dict[int, _Written] = {}

    # Totals and ranks

    def totals(self) -> list[str | None]:
        """Shown totals (总得分); None where nothing applies."""
        return self._texts(self.total_numbers, self.scored)

    def exact_total(self, unit: int) -> Fraction | None:
        """Exact total of one unit."""
        run, place = self._place(unit)
        return run.exact_totals(np.array([place]))[0]

    def exact_fractions(self) -> list[Fraction | None]:
        """Exact totals of all units."""
        if self._whole is None:
            found: list[Fraction | None] = [None] * len(self.units)
            for run in self.runs:
                values = run.exact_totals(np.arange(len(run.index)))
                for unit, value in zip(run.index.tolist(), values, strict=True):
                    found[unit] = value
            self._whole = (found,)
        return self._whole[0]

    def exact_totals(self) -> list[str | None]:
        """Exact totals as "p/q"."""
        return [None if value is None else format_rational(value) for value in self.exact_fractions()]

    def ranks(self) -> list[int | None]:
        """Rank in the category; None if not ranked."""
        return [rank or None for rank in self.rank.tolist()]

    def overall_ranks(self) -> list[int | None]:
        """Rank over all categories; None if not ranked or not asked for."""
        return [rank or None for rank in self.overall.tolist()]

    def shared_by(self) -> list[int]:
        """How many share the rank in the category: 1 alone, 0 not ranked."""
        return list(self.shared.tolist())

    def statuses(self) -> list[str]:
        """Names of Status."""
        names = [status.name for status in Status]
        return [names[status] for status in self.status.tolist()]

    def coverage(self, unit: int) -> Fraction:
        """Exact coverage of one unit, 0 to 1 (数据完整度)."""
        run, place = self._place(unit)
        total = sum(run.tree.coverage_weights)
        return Fraction(run.covered.at(place), total) if total else Fraction(0)

    def coverages(self, places: int = 4) -> list[str]:
        """Coverage 0 to 1, cut off after `places` (never rounded up, so that it can't seem to reach a threshold)."""
        found = np.zeros(len(self.units), np.int64)
        for run in self.runs:
            total = sum(run.tree.coverage_weights)
            found[run.index] = _shares(run.covered, total, places).array(len(run.index))
        return [text or "" for text in self._decimals(found, places)]

    def grades(self) -> list[str | None]:
        """Code of the computed grade (测算等次); None for none."""
        codes = [grade.code for grade in self.scheme.settings.grades]
        return [codes[grade] if grade >= 0 else None for grade in self.grading.grade.tolist()]

    def quotas(self) -> list[Quota]:
        """Places of each limited grade per group, and how many are taken (名额)."""
        return list(self.grading.quotas)

    def pending(self) -> list[PendingTie]:
        """Equals at the edge of a quota that a person must order before anything is published."""
        return list(self.grading.pending)

    def percentiles(self) -> list[Fraction | None]:
        """Share of the other ranked units of the category that a unit has left behind; 1 where it is alone."""
        sizes = {run.tree.category: int((self.status[run.index] == Status.RANKED).sum()) for run in self.runs}
        found: list[Fraction | None] = []
        for category, rank, shared in zip(
            self.snapshot.categories, self.rank.tolist(), self.shared.tolist(), strict=True
        ):
            others = sizes.get(category, 0) - 1
            behind = others + 1 - (rank - 1) - shared
            found.append(None if not rank else Fraction(behind, others) if others else Fraction(1))
        return found

    # Parts of the total, in full marks

    def bases(self) -> list[str | None]:
        """Score from the tree in full marks, rounded for show."""
        return self.node_marks(self.scheme.root.code)

    def bonuses(self) -> list[str]:
        """Bonus that counted (加分)."""
        return self._amounts(lambda tail: tail.bonus)

    def deductions(self) -> list[str]:
        """Deductions that counted (减分)."""
        return self._amounts(lambda tail: tail.deduction)

    def late_penalties(self) -> list[str]:
        """Late penalty taken (逾期扣分)."""
        return self._amounts(lambda tail: tail.late)

    def _amounts(self, part: Callable[[Tail], Whole]) -> list[str]:
        found: list[str] = [""] * len(self.units)
        for run in self.runs:
            counts = round_exact(part(run.tail), Whole.of(run.tail.unit), self.places).array(len(run.index))
            for unit, text in zip(run.index.tolist(), self._decimals(counts, self.places), strict=True):
                found[unit] = text
        return found

    # Nodes

    def node_applies(self, code: str) -> list[bool]:
        """Whether the node is part of the tree of the unit's category (else it gets no row)."""
        found = np.zeros(len(self.units), bool)
        for run in self.runs:
            found[run.index] = code in run.tree.places
        return list(found.tolist())

    def node_scores(self, code: str) -> list[str | None]:
        """0 to 100, rounded for show; None if not applicable."""
        return self._node_texts(code, lambda run, place: Fraction(1))

    def node_marks(self, code: str) -> list[str | None]:
        """The same in the node's own marks (points), rounded for show."""
        return self._node_texts(code, lambda run, place: run.tree.nodes[place].points / 100)

    def _node_texts(self, code: str, factor: Callable[[CategoryRun, int], Fraction]) -> list[str | None]:
        numbers = np.zeros(len(self.units), np.int64)
        scored = np.zeros(len(self.units), bool)
        for run in self.runs:
            place = run.tree.places.get(code)
            if place is None:
                continue
            shown = self._node_numbers(run, place, factor(run, place))
            if shown.dtype == object and numbers.dtype != object:
                numbers = numbers.astype(object)
            numbers[run.index] = shown
            own = run.estimates[place].scored()
            scored[run.index] = True if own is None else own
        return self._texts(numbers, scored)

    def _node_numbers(self, run: CategoryRun, place: int, factor: Fraction) -> Numbers:
        estimate = run.estimates[place]

        def exact(open_: Index) -> tuple[Whole, Whole]:
            score = exact_node(run.tree, run.leaves, place, open_)
            return score.numerator * factor.numerator, score.denominator * factor.denominator

        if run.tree.nodes[place].leaf:
            leaf = run.leaves[place]
            numerator = leaf.numerator
            for gone in (leaf.absent, leaf.lost):
                if gone is not None:
                    numerator = numerator.where(~gone, 0)
            return round_exact(numerator * factor.numerator, leaf.denominator * factor.denominator, self.places).array(
                len(run.index)
            )
        scale = float(factor)
        size = float(np.abs(estimate.value).max(initial=0.0)) * scale
        return rounded(estimate.value * scale, self.places, estimate.absolute * scale * 1.01 + 4 * UNIT * size, exact)[
            0
        ]

    def node_states(self, code: str) -> list[str | None]:
        """ValueState of a leaf; an inner node is GIVEN or NOT_APPLICABLE; None outside the unit's tree."""
        found: list[str | None] = [None] * len(self.units)
        for run in self.runs:
            place = run.tree.places.get(code)
            if place is None:
                continue
            if place in run.leaves:
                states = run.leaves[place].states
            else:
                own = run.estimates[place].scored()
                there = np.ones(len(run.index), bool) if own is None else own
                states = np.where(there, np.uint8(State.GIVEN), np.uint8(State.NOT_APPLICABLE)).astype(np.uint8)
            for unit, state in zip(run.index.tolist(), states.tolist(), strict=True):
                found[unit] = STATE_NAMES[state]
        return found

    def node_coverages(self, code: str, places: int = 4) -> list[str | None]:
        """Coverage below the node, cut off after `places`; None outside the tree or where nothing below has weight."""
        numbers, there = np.zeros(len(self.units), np.int64), np.zeros(len(self.units), bool)
        for run in self.runs:
            place = run.tree.places.get(code)
            if place is None:
                continue
            covered, total = Whole.of(0), 0
            for leaf in run.tree.below(place):
                weight = run.tree.coverage_weights[leaf]
                total += weight
                given = run.leaves[leaf].states == State.GIVEN
                if weight:
                    covered = covered + (weight if given.all() else Whole(given.astype(np.int64), 0, 1) * weight)
            if total:
                there[run.index] = True
                numbers[run.index] = _shares(covered, total, places).array(len(run.index))
        return [
            text if shown else None for text, shown in zip(self._decimals(numbers, places), there.tolist(), strict=True)
        ]

    def node_exact(self, code: str, unit: int) -> Fraction | None:
        """Exact score of one node and unit, 0 to 100; None where it has none."""
        run, place = self._place(unit)
        node = run.tree.places.get(code)
        return None if node is None else run.exact_nodes(node, np.array([place]))[0]

    def node_fractions(self, code: str) -> list[Fraction | None]:
        """Exact scores of one node for all units."""
        found: list[Fraction | None] = [None] * len(self.units)
        for run in self.runs:
            place = run.tree.places.get(code)
            if place is not None:
                values = run.exact_nodes(place, np.arange(len(run.index)))
                for unit, value in zip(run.index.tolist(), values, strict=True):
                    found[unit] = value
        return found

    def node_exacts(self, code: str) -> list[str | None]:
        """Exact scores as "p/q"."""
        return [None if value is None else format_rational(value) for value in self.node_fractions(code)]

    def place_of(self, unit: int) -> tuple[CategoryRun, int]:
        """The run of a unit's category, and its place in it."""
        return self._place(unit)

    def _place(self, unit: int) -> tuple[CategoryRun, int]:
        if self._where is None:
            self._where = {int(at): (run, place) for run in self.runs for place, at in enumerate(run.index.tolist())}
        return self._where[unit]

    def _decimals(self, numbers: Numbers, places: int) -> list[str]:
        written = self._written.setdefault(places, _Written(places))
        return [written[number] for number in numbers.tolist()]

    def _texts(self, numbers: Numbers, there: Mask) -> list[str | None]:
        texts: list[str | None] = list(self._decimals(numbers, self.places))
        if not there.all():
            for unit in np.flatnonzero(~there).tolist():
                texts[unit] = None
        return texts


def _shares(covered: Whole, total: int, places: int) -> Whole:
    scale: int = 10**places
    return covered * scale // max(total, 1)


class _Written(dict[int, str]):
    """Whole numbers of 10**-places as text: a million scores are some ten thousand numbers."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def __missing__(self, number: int) -> str:
        if len(self) >= MOST_WRITTEN:
            self.clear()
        text = self[number] = format_scaled(number, self.places)
        return text
