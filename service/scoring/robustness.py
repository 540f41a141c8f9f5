"""How firm ranks are (稳健性): seeded draws of weights, seats that change hands, and ranks with one indicator left out.

For organisers, beside the result and never part of it. Each draw multiplies every weight by a whole number of basis
points within the scheme's tolerance; totals are rounded exactly as in a real computation, and ranks compare the shown
totals (equals share a rank, also where the scheme breaks ties). Draws come from a stream of our
own (splitmix64), so that the same seed gives the same numbers on every machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.scoring.aggregation import UNIT, estimates
from service.scoring.document import Scheme
from service.scoring.engine import round_totals
from service.scoring.exact import ExactTree
from service.scoring.numbers import format_scaled, show
from service.scoring.ranks import competition, dense
from service.scoring.result import CategoryRun, Result, Status
from service.scoring.rounding import round_exact, undecided
from service.scoring.text import Text
from service.scoring.tree import Tree, TreeNode
from service.scoring.whole import Mask, Whole

Floats = NDArray[np.float64]
BASIS: Final = 10_000
DRAWS: Final = 1_000
CHUNK: Final = 16
"""Draws that are worked on at once."""
COUNTED_SPAN: Final = 200_000
"""Widest range of totals that is ranked by counting; wider ones are sorted."""


@dataclass(frozen=True, slots=True)
class SeatFlip:
    """A seat at a quota's edge: the unit that has it, the next one, and the share of draws in which they swap."""

    grade: str
    holder: int
    next: int
    share: Fraction
    text: Text


@dataclass(frozen=True)
class Robustness:
    """Rank intervals from 5 to 95 % of the draws, by place of unit; 0 for units without a rank."""

    draws: int
    tolerance: Fraction
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    flips: Sequence[SeatFlip]
    settled: int
    """How many totals of draws were rounded in whole numbers."""


def robustness(
    scheme: Scheme,
    result: Result,
    *,
    seed: int = 1,
    draws: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Rank intervals and seats that flip under `draws` draws of weights; progress(done, draws) may raise to cancel."""
    tolerance = scheme.settings.robustness_tolerance
    factors = factors_of(scheme, seed, draws, int(tolerance * BASIS))
    count = len(result.units)
    low, high = np.zeros(count, np.int64), np.zeros(count, np.int64)
    pairs = _edges(scheme, result)
    swaps = np.zeros(len(pairs), np.int64)
    edge_units = sorted({unit for pair in pairs for unit in pair[1:]})
    edge_totals = np.zeros((draws, len(edge_units)), object if _wide(result) else np.int64)
    settled = 0
    done = 0
    for run in result.runs:
        live = np.flatnonzero(result.status[run.index] == Status.RANKED)
        if not len(live):
            continue
        ranks = np.empty((draws, len(live)), np.uint16 if len(live) < 2**16 else np.uint32)
        worker = Draws(scheme, run, live, factors)
        at = {int(run.index[place]): column for column, place in enumerate(live.tolist())}
        wanted = [(column, at[unit]) for column, unit in enumerate(edge_units) if unit in at]
        for start in range(0, draws, CHUNK):
            stop = min(start + CHUNK, draws)
            totals = worker.totals(start, stop)
            ranks[start:stop] = _ranks(totals)
            for column, place in wanted:
                edge_totals[start:stop, column] = totals[:, place]
            done += (stop - start) * len(live)
            if progress is not None:
                progress(done * draws // max(int((result.status == Status.RANKED).sum()) * draws, 1), draws)
        settled += worker.settled
        ordered = np.sort(np.ascontiguousarray(ranks.T), axis=1)
        low[run.index[live]] = ordered[:, (draws - 1) * 5 // 100]
        high[run.index[live]] = ordered[:, -((1 - draws) * 95 // 100)]
    columns = {unit: column for column, unit in enumerate(edge_units)}
    for place, (_, holder, other) in enumerate(pairs):
        swaps[place] = int((edge_totals[:, columns[other]] > edge_totals[:, columns[holder]]).sum())
    flips = [
        _flip(scheme, result, pair, Fraction(int(swapped), draws))
        for pair, swapped in zip(pairs, swaps.tolist(), strict=True)
        if swapped
    ]
    return Robustness(draws, tolerance, low, high, flips, settled)


def ranks_without(scheme: Scheme, result: Result, codes: Sequence[str]) -> Mapping[str, list[int | None]]:
    """Rank of each unit in its category when one node at a time is left out, its weight shared among its siblings.

    codes: of nodes below the root. Rounded exactly; ranked units only; ties share their rank.
    """
    found: dict[str, list[int | None]] = {}
    for code in codes:
        count = len(result.units)
        totals = np.zeros(count, object if _wide(result) else np.int64)
        ranked = result.status == Status.RANKED
        groups = np.zeros(count, np.int64)
        for number, run in enumerate(result.runs):
            groups[run.index] = number
            place = run.tree.places.get(code)
            tree = run.tree if place is None else _without(run.tree, place)
            nodes = estimates(tree, run.leaves, len(run.index))
            about, error = run.tail.estimate(nodes[0])
            shown, _ = round_totals(scheme, tree, run.leaves, run.tail, about, error)
            if shown.dtype == object:
                totals = totals.astype(object)
            totals[run.index] = shown
            scored = nodes[0].scored()
            if scored is not None:
                ranked = ranked.copy()
                ranked[run.index] &= scored
        rank, _ = competition(dense(totals), ranked, groups)
        found[code] = [int(own) or None for own in rank]
    return found


def moved_without(result: Result, check: Callable[[], None] | None = None) -> list[dict[str, int | None]]:
    """Per unit, by node: its rank where the node is left out; only nodes without which it has another.

    `check` is called between nodes and may raise to end the work.
    """
    ranks = result.ranks()
    found: list[dict[str, int | None]] = [{} for _ in ranks]
    for code in result.node_codes[1:]:
        if check is not None:
            check()
        for place, rank in enumerate(ranks_without(result.scheme, result, [code])[code]):
            if ranks[place] is not None and rank != ranks[place]:
                found[place][code] = rank
    return found


def _wide(result: Result) -> bool:
    return result.total_numbers.dtype == object


def _without(tree: Tree, place: int) -> Tree:
    nodes = []
    for node in tree.nodes:
        if place in node.children:
            weights = [0 if child == place else w for child, w in zip(node.children, node.weights, strict=True)]
            nodes.append(replace(node, weights=tuple(weights)))
        else:
            nodes.append(node)
    return replace(tree, nodes=tuple(nodes))


def factors_of(scheme: Scheme, seed: int, draws: int, tolerance: int) -> Mapping[str, NDArray[np.int64]]:
    """Per node and draw a whole number of basis points, 10000 ± tolerance; by place in print order, not by code."""
    found = {}
    for place, node in enumerate(scheme.scored):
        counter = np.arange(place * draws, (place + 1) * draws, dtype=np.uint64)
        found[node.code] = BASIS + _uniform(seed, counter, 2 * tolerance + 1) - tolerance
    return found


def _uniform(seed: int, counter: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Whole numbers from 0 to size - 1 by splitmix64 (Steele, Lea, Flood 2014)."""
    state: NDArray[np.uint64] = np.full_like(counter, seed % 2**64) + (counter + np.uint64(1)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    found: NDArray[np.int64] = (((state >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)).astype(np.int64)
    return found


def _ranks(totals: NDArray[Any]) -> NDArray[np.int64]:
    """1 + how many stand higher, per draw (rows)."""
    found = np.empty(totals.shape, np.int64)
    if totals.dtype == object:
        for row, own in enumerate(totals):
            keys = dense(own)
            found[row] = len(keys) - np.searchsorted(np.sort(keys), keys, "right") + 1
        return found
    least = int(totals.min())
    span = int(totals.max()) - least + 1
    for row, own in enumerate(totals):
        if span <= COUNTED_SPAN:
            keys = own - least
            below = np.cumsum(np.bincount(keys, minlength=span))
            found[row] = len(own) - below[keys] + 1
        else:
            found[row] = len(own) - np.searchsorted(np.sort(own), own, "right") + 1
    return found


def _edges(scheme: Scheme, result: Result) -> list[tuple[str, int, int]]:
    """Per quota (grade, the last unit that has a place, the first ranked one of its group that has none)."""
    found = []
    grades = [grade.code for grade in scheme.settings.grades]
    parents = result.snapshot.parents or [None] * len(result.units)
    ranked = np.flatnonzero(result.status == Status.RANKED).tolist()
    for quota in result.quotas():
        place = grades.index(quota.grade)
        scope = scheme.settings.grades[place].scope
        own = [
            unit
            for unit in ranked
            if {"CATEGORY": result.snapshot.categories[unit], "PARENT": parents[unit] or "", "ALL": ""}[scope]
            == quota.group
        ]
        holders = [unit for unit in own if result.grading.grade[unit] == place]
        others = [unit for unit in own if not 0 <= result.grading.grade[unit] <= place]
        if holders and others:
            holder = min(holders, key=lambda unit: (int(result.keys[unit]), -unit))
            lower = [unit for unit in others if result.keys[unit] <= result.keys[holder]]
            if lower:
                found.append((quota.grade, holder, max(lower, key=lambda unit: (int(result.keys[unit]), -unit))))
    return found


def _flip(scheme: Scheme, result: Result, pair: tuple[str, int, int], share: Fraction) -> SeatFlip:
    code, holder, other = pair
    grade = next(grade for grade in scheme.settings.grades if grade.code == code)
    first, second = int(result.rank[holder]), int(result.rank[other])
    gap = format_scaled(int(result.total_numbers[holder] - result.total_numbers[other]), result.places)
    percent = show(share * 100, 1)
    text = Text(
        f"{grade.name}名额边缘：第{first}名与第{second}名相差{gap}分，权重略变即互换（{percent}%的抽样中互换）",
        f"at the edge of {grade.name}: ranks {first} and {second} are {gap} apart and swap in {percent}% of the draws",
    )
    return SeatFlip(code, holder, other, share, text)


class Draws:
    """Totals of one category's ranked units under drawn weights."""

    def __init__(
        self, scheme: Scheme, run: CategoryRun, live: NDArray[np.intp], factors: Mapping[str, NDArray[np.int64]]
    ) -> None:
        self.scheme = scheme
        self.run = run
        self.live = live
        self.count = len(live)
        self.settled = 0
        self._weights = {
            place: np.array(
                [
                    weight * factors[run.tree.nodes[child].code].astype(object)
                    for weight, child in zip(node.weights, node.children, strict=True)
                ],
                object,
            ).reshape(len(node.children), -1)
            for place, node in enumerate(run.tree.nodes)
            if not node.leaf
        }
        self._value = [estimate.value[live] for estimate in run.estimates]
        self._present = [
            None
            if estimate.present is None or estimate.present[live].all()
            else estimate.present[live].astype(np.float64)
            for estimate in run.estimates
        ]
        self._lossy = [estimate.mass is not None for estimate in run.estimates]
        self._mass = [
            None if estimate.mass is None else (estimate.mass[live] > 0).astype(np.float64)
            for estimate in run.estimates
        ]
        self.places = scheme.settings.rounding_places
        tail = run.tail
        self._delta = tail.delta.take(live).array(self.count) / tail.unit
        self._level = self._level_units()
        size = max((float(np.abs(value).max(initial=0.0)) for value in self._value), default=0.0)
        size = size * float(scheme.full_marks / 100) + float(np.abs(self._delta).max(initial=0.0))
        size += float(tail.ceiling or 0)
        nodes = len(run.tree.nodes)
        self._error = 4 * run.error + 1.1 * UNIT * (9 * nodes + 64) * size
        self._matrices = {place: self._matrix(node) for place, node in enumerate(run.tree.nodes) if not node.leaf}

    def _matrix(self, node: TreeNode) -> tuple[list[int], list[int], Floats, Floats | None]:
        """(leaf children, other children, transformed scores of the leaves, their masses where any is partial)."""
        nodes = self.run.tree.nodes
        weighted = [i for i, weight in enumerate(node.weights) if weight]
        leaves = [i for i in weighted if nodes[node.children[i]].leaf]
        inner = [i for i in weighted if not nodes[node.children[i]].leaf]
        shape = (len(leaves), self.count)
        scores, there = np.zeros(shape), np.ones(shape)
        partial = False
        for row, i in enumerate(leaves):
            child = node.children[i]
            present, mass = self._present[child], self._mass[child]
            if present is not None:
                there[row] = present
                partial = True
            if mass is not None:
                there[row] *= mass
                partial = True
            scores[row] = _transform(node.aggregation, self._value[child]) * there[row]
        return leaves, inner, scores, there if partial else None

    def totals(self, start: int, stop: int) -> NDArray[Any]:
        """Rounded totals of draws start … stop: one row per draw."""
        values: dict[int, Floats] = {}
        masses: dict[int, Floats] = {}
        for place in range(len(self.run.tree.nodes) - 1, -1, -1):
            if not self.run.tree.nodes[place].leaf:
                self._node(place, start, stop, values, masses)
        root = values[0] * float(self.scheme.full_marks / 100) + self._delta
        np.maximum(root, 0.0, out=root)
        if self.run.tail.ceiling is not None:
            np.minimum(root, float(self.run.tail.ceiling), out=root)
        flat, open_ = undecided(root.reshape(-1), self.places, self._error)
        shown: NDArray[Any] = flat.reshape(root.shape)
        base = self.run.totals[self.live]
        if base.dtype == object:
            shown = shown.astype(object)
        rows, columns = np.divmod(open_, self.count)
        shown[:, self._level] = base[self._level]
        loose = ~self._level[columns]
        for row in np.unique(rows[loose]).tolist():
            cells = columns[loose & (rows == row)]
            shown[row, cells] = self._exact(start + row, cells).array(len(cells))
            self.settled += len(cells)
        return shown

    def _node(self, place: int, start: int, stop: int, values: dict[int, Floats], masses: dict[int, Floats]) -> None:
        node = self.run.tree.nodes[place]
        leaves, inner, scores, there = self._matrices[place]
        weights = self._weights[place][:, start:stop].astype(np.float64)
        own = weights[leaves].T
        total = own @ scores
        left: Floats = own @ there if there is not None else np.repeat(own.sum(1)[:, None], self.count, 1)
        for i in inner:
            child = node.children[i]
            share: Floats = weights[i][:, None]
            if self._lossy[child]:
                share = share * masses[child]
            present = self._present[child]
            if present is not None:
                share = share * present
            left = left + share
            total += share * _transform(node.aggregation, values[child])
        whole = left
        if self._lossy[place]:
            whole = np.zeros_like(left)
            for i in [*leaves, *inner]:
                present = self._present[node.children[i]]
                whole = whole + weights[i][:, None] * (1.0 if present is None else present)
            masses[place] = left / np.where(whole > 0, whole, 1.0)
        below = np.where(left > 0, left, 1.0)
        if node.aggregation == "ARITHMETIC":
            values[place] = total / below
            return
        zero = np.zeros(self.count, bool)
        for i in [*leaves, *inner]:
            child = node.children[i]
            present = self._present[child]
            zero |= (self._value[child] <= 0) & (True if present is None else present > 0)
        value = np.exp(total / below) if node.aggregation == "GEOMETRIC" else left / np.where(total > 0, total, 1.0)
        values[place] = np.where(zero | (left <= 0), 0.0, value)

    def _level_units(self) -> Mask:
        """Units whose leaves that count all have exactly the same score: weights can't move them."""
        leaves = [(place, node) for place, node in enumerate(self.run.tree.nodes) if node.leaf and node.full_marks]
        high, low = np.full(self.count, -np.inf), np.full(self.count, np.inf)
        for place, _ in leaves:
            counts = self._counts(place)
            high = np.where(counts, np.maximum(high, self._value[place]), high)
            low = np.where(counts, np.minimum(low, self._value[place]), low)
        found = np.zeros(self.count, bool)
        for unit in np.flatnonzero(high - low <= 1e-12 * np.abs(high)).tolist():
            scores = set()
            for place, _ in leaves:
                if self._counts(place)[unit]:
                    leaf = self.run.leaves[place]
                    at = int(self.live[unit])
                    scores.add(Fraction(leaf.numerator.at(at), leaf.denominator.at(at)))
            found[unit] = len(scores) <= 1
        return found

    def _counts(self, place: int) -> Mask:
        found = np.ones(self.count, bool)
        for part in (self._present[place], self._mass[place]):
            if part is not None:
                found &= part > 0
        return found

    def _exact(self, draw: int, cells: NDArray[np.intp]) -> Whole:
        """Rounded totals of some units in one draw, in whole numbers."""
        nodes = [
            node if node.leaf else replace(node, weights=tuple(int(w) for w in self._weights[place][:, draw]))
            for place, node in enumerate(self.run.tree.nodes)
        ]
        tree = replace(self.run.tree, nodes=tuple(nodes))
        units = self.live[cells]
        numerator, denominator = self.run.tail.exact(ExactTree(tree, self.run.leaves, units).node(0), units)
        return round_exact(numerator, denominator, self.places)


def _transform(aggregation: str, value: Floats) -> Floats:
    if aggregation == "ARITHMETIC":
        return value
    safe = np.where(value > 0, value, 1.0)
    return np.log(safe) if aggregation == "GEOMETRIC" else 1.0 / safe
