"""The computation (测算): leaves → tree → totals → one rounding → ranks, category by category, all units at once."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import lcm
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.scoring.aggregation import Estimate, estimates
from service.scoring.document import Scheme
from service.scoring.exact import exact_node
from service.scoring.grade_field import grade_field
from service.scoring.grades import grade_units
from service.scoring.leaves import Columns, EventTable, LeafScores, score_leaf
from service.scoring.pots import UnitEvents, most_bonus, unit_events
from service.scoring.ranks import competition, dense, refine, tied
from service.scoring.result import CategoryRun, Result, Status
from service.scoring.rounding import rounded
from service.scoring.rules.peers import exact_order
from service.scoring.snapshot import Snapshot, State
from service.scoring.snapshot_checks import check_snapshot
from service.scoring.totals import Tail, late_penalties
from service.scoring.tree import Tree, tree_of
from service.scoring.whole import Mask, Whole, whole_array

Stage = Literal["LEAVES", "TREE", "RANKS"]
Progress = Callable[[Stage, int, int], None]


def compute(scheme: Scheme, snapshot: Snapshot, *, progress: Progress | None = None) -> Result:
    """Score and rank all units of a snapshot.

    progress(stage, done, total) is called between steps; what it raises ends the computation. Raises InvalidInput where
    the snapshot does not fit the scheme, with every fault.
    """
    check_snapshot(scheme, snapshot)
    report = progress or _silent
    category_of = {key: place for place, key in enumerate(scheme.category_keys)}
    categories = np.fromiter((category_of[key] for key in snapshot.categories), np.int64, len(snapshot.units))
    events = EventTable(snapshot)
    outside = unit_events(scheme, snapshot)
    indexes = [np.flatnonzero(categories == place) for place in range(len(category_of))]
    trees = [
        tree_of(scheme, key) if len(index) else None for key, index in zip(scheme.category_keys, indexes, strict=True)
    ]
    total_leaves = sum(len(tree.leaves) for tree in trees if tree)
    done = 0
    runs: list[CategoryRun] = []
    for tree, index in zip(trees, indexes, strict=True):
        if tree is None:
            continue
        everyone = len(index) == len(snapshot.units)
        leaves: dict[int, LeafScores] = {}
        for place in tree.leaves:
            node = tree.nodes[place]
            if node.rule is not None:
                leaves[place] = score_leaf(node, Columns(snapshot, events, node.code, node.rule, index, everyone))
            done += 1
            if done % 10 == 0:
                report("LEAVES", done, total_leaves)
        runs.append(_run(scheme, snapshot, tree, index, leaves, outside))
        report("TREE", len(runs), sum(tree is not None for tree in trees))
    result = _rank(scheme, snapshot, runs, categories, outside)
    report("RANKS", 1, 1)
    return result


def _silent(stage: Stage, done: int, total: int) -> None:
    """Nobody wants to know."""


def _run(
    scheme: Scheme,
    snapshot: Snapshot,
    tree: Tree,
    index: NDArray[np.intp],
    leaves: dict[int, LeafScores],
    events: Mapping[int, UnitEvents],
) -> CategoryRun:
    count = len(index)
    found = estimates(tree, leaves, count)
    days = None if snapshot.late_days is None else snapshot.late_days[index]
    late, unit = late_penalties(scheme.settings.late_penalty, days, count)
    tail = _tail(scheme, index, events, late, unit)
    about, error = tail.estimate(found[0])
    scored = found[0].scored()
    totals, settled = round_totals(scheme, tree, leaves, tail, about, error)
    covered = _covered(tree, leaves, count)
    return CategoryRun(
        index=index,
        tree=tree,
        leaves=leaves,
        estimates=found,
        tail=tail,
        about=about,
        error=error,
        totals=totals,
        scored=np.ones(count, bool) if scored is None else scored,
        covered=covered,
        settled=settled,
    )


def round_totals(
    scheme: Scheme, tree: Tree, leaves: dict[int, LeafScores], tail: Tail, about: NDArray[np.float64], error: float
) -> tuple[NDArray[Any], int]:
    """(shown totals as counts of 10**-places, how many the bound did not decide)."""

    def exact(open_: NDArray[np.intp]) -> tuple[Whole, Whole]:
        return tail.exact(exact_node(tree, leaves, 0, open_), open_)

    return rounded(about, scheme.settings.rounding_places, error, exact)


def _tail(
    scheme: Scheme, index: NDArray[np.intp], events: Mapping[int, UnitEvents], late: Whole, late_unit: int
) -> Tail:
    """What comes after the tree, brought to one denominator."""
    full = scheme.full_marks
    most = Fraction(0) if scheme.settings.cap_at_full_marks else most_bonus(scheme)
    ceiling = None if most is None else full + most
    own = {place: events[unit] for place, unit in enumerate(index.tolist()) if unit in events} if events else {}
    amounts = [amount for each in own.values() for amount in (each.bonus, each.deduction)]
    unit = lcm(late_unit, *{amount.denominator for amount in amounts})
    late = late * (unit // late_unit)
    bonus, deduction = [0] * len(index), [0] * len(index)
    for place, each in own.items():
        bonus[place], deduction[place] = int(each.bonus * unit), int(each.deduction * unit)
    return Tail(Whole.of(whole_array(bonus)), Whole.of(whole_array(deduction)), late, unit, full, ceiling)


def _covered(tree: Tree, leaves: dict[int, LeafScores], count: int) -> Whole:
    """Whole-number weight of each unit's leaves that were scored from given values."""
    found = Whole.of(0)
    for place in tree.leaves:
        weight = tree.coverage_weights[place]
        if not weight:
            continue
        given = leaves[place].states == State.GIVEN
        found = found + (weight if given.all() else Whole(given.astype(np.int64), 0, 1) * weight)
    return found


def _low_coverage(run: CategoryRun, threshold: Fraction | None) -> Mask:
    count = len(run.index)
    if threshold is None:
        return np.zeros(count, bool)
    needed = threshold.numerator * sum(run.tree.coverage_weights)
    return np.broadcast_to(run.covered * threshold.denominator < needed, (count,))


def _rank(
    scheme: Scheme,
    snapshot: Snapshot,
    runs: list[CategoryRun],
    categories: NDArray[np.int64],
    events: Mapping[int, UnitEvents],
) -> Result:
    count = len(snapshot.units)
    wide = any(run.totals.dtype == object for run in runs)
    totals = np.zeros(count, object if wide else np.int64)
    about = np.zeros(count)
    scored, low = np.zeros(count, bool), np.zeros(count, bool)
    for run in runs:
        totals[run.index] = run.totals
        about[run.index] = run.about
        scored[run.index] = run.scored
        low[run.index] = _low_coverage(run, scheme.settings.coverage_threshold)
    status = np.full(count, int(Status.RANKED), np.uint8)
    status[low] = Status.LOW_COVERAGE
    vetoed = np.zeros(count, bool)
    vetoed[[unit for unit, own in events.items() if own.out_of_ranking]] = True
    status[vetoed] = Status.VETOED
    status[~scored] = Status.NOT_SCORED
    ranked = status == Status.RANKED
    error = max((run.error for run in runs), default=0.0)
    keys = _keys(scheme, runs, totals, about, error, ranked)
    rank, shared = competition(keys, ranked, categories)
    overall = np.zeros(count, np.int64)
    if scheme.settings.cross_category_ranks:
        overall, _ = competition(keys, ranked, np.zeros(count, np.int64))
    base = ranked | (vetoed & scored & ~low)
    grades = grade_units(
        scheme.settings.grades,
        scheme.settings.tie_policy,
        grade_field(scheme, snapshot, runs, totals, keys, ranked, base, events, status == Status.VETOED),
    )
    return Result(scheme, snapshot, runs, totals, scored, status, rank, shared, overall, keys, events, grades)


def _keys(
    scheme: Scheme,
    runs: list[CategoryRun],
    totals: NDArray[Any],
    about: NDArray[np.float64],
    error: float,
    ranked: Mask,
) -> NDArray[np.int64]:
    """Whole numbers that order the ranked units exactly as the scheme says."""
    if scheme.settings.rank_on == "ROUNDED":
        keys = dense(totals)
    else:
        keys = _exact_keys(about, 2 * error, np.flatnonzero(ranked), lambda units: _exact_totals(runs, units))
    if scheme.settings.tie_policy == "TIE_BREAK":
        for code in scheme.settings.tie_breakers:
            units = tied(keys, ranked)
            if not len(units):
                break
            keys = refine(keys, _node_keys(runs, code, units, len(keys)))
    return keys


def _exact_keys(
    about: NDArray[np.float64],
    width: float,
    units: NDArray[np.intp],
    exact: Callable[[NDArray[np.intp]], dict[int, Fraction]],
) -> NDArray[np.int64]:
    """Dense keys of some units by values that are known to within half of `width`, exactly; 0 for all others."""
    keys = np.zeros(len(about), np.int64)
    if not len(units):
        return keys
    values = about[units]
    sorted_values = np.sort(values)
    close = np.r_[False, np.diff(sorted_values) <= width] if len(values) else np.zeros(0, bool)
    near_values = np.unique(np.r_[sorted_values[close], sorted_values[np.r_[close[1:], False]]])
    near = units[np.isin(values, near_values)] if np.isfinite(width) else units
    known = exact(near)
    order, new = exact_order(values, 0.0, width, lambda place: known[int(units[place])])
    keys[units[order]] = np.cumsum(new)
    return keys


def _exact_totals(runs: list[CategoryRun], units: NDArray[np.intp]) -> dict[int, Fraction]:
    found: dict[int, Fraction] = {}
    for run in runs:
        places = np.flatnonzero(np.isin(run.index, units))
        if len(places):
            for place, value in zip(places.tolist(), run.exact_totals(places), strict=True):
                if value is not None:
                    found[int(run.index[place])] = value
    return found


def _node_keys(runs: list[CategoryRun], code: str, units: NDArray[np.intp], count: int) -> NDArray[np.int64]:
    """Dense keys of one node's exact scores for tied units; 0, the lowest, where it does not apply."""
    about, present = np.zeros(count), np.zeros(count, bool)
    error = 0.0
    for run in runs:
        place = run.tree.places.get(code)
        if place is None:
            continue
        estimate: Estimate = run.estimates[place]
        scored = estimate.scored()
        about[run.index] = estimate.value
        present[run.index] = True if scored is None else scored
        error = max(error, estimate.absolute)

    def exact(wanted: NDArray[np.intp]) -> dict[int, Fraction]:
        found: dict[int, Fraction] = {}
        for run in runs:
            place = run.tree.places.get(code)
            places = np.flatnonzero(np.isin(run.index, wanted))
            if place is not None and len(places):
                for at, value in zip(places.tolist(), run.exact_nodes(place, places), strict=True):
                    if value is not None:
                        found[int(run.index[at])] = value
        return found

    return _exact_keys(about, 2 * error, units[present[units]], exact)
