"""What grades look at, gathered from a computation (等次条件): thresholds, conditions, groups, vetoes; decided
exactly.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.document import Scheme
from service.scoring.grades import Field
from service.scoring.pots import UnitEvents
from service.scoring.result import CategoryRun
from service.scoring.settings import GradeCondition
from service.scoring.snapshot import Snapshot, State
from service.scoring.whole import Mask, Whole


def grade_field(
    scheme: Scheme,
    snapshot: Snapshot,
    runs: Sequence[CategoryRun],
    totals: NDArray[Any],
    keys: NDArray[np.int64],
    ranked: Mask,
    base: Mask,
    events: Mapping[int, UnitEvents],
    vetoed: Mask,
) -> Field:
    """Everything that grading needs; `totals` are the rounded ones."""
    count = len(snapshot.units)
    meets = []
    scale: int = 10**scheme.settings.rounding_places
    for grade in scheme.settings.grades:
        bound = grade.threshold * scale
        mask = np.broadcast_to(Whole.of(totals) * bound.denominator >= bound.numerator, (count,)).copy()
        for condition in grade.conditions:
            mask &= _holds(scheme, snapshot, runs, condition)
        meets.append(mask)
    effects = {unit: own.effects for unit, own in events.items() if own.vetoes}
    lowest = np.zeros(count, bool)
    for unit, own in effects.items():
        lowest[unit] = vetoed[unit] and "LOWEST_GRADE" in own and "UNRANKED" not in own
    places = {unit: place for place, unit in enumerate(snapshot.units)}
    return Field(
        keys=keys,
        ranked=ranked,
        base=base,
        meets=meets,
        groups={
            "CATEGORY": _groups(list(snapshot.categories)),
            "PARENT": _groups([parent or "" for parent in snapshot.parents or [""] * count]),
            "ALL": _groups([""] * count),
        },
        effects=effects,
        lowest=lowest,
        decided={places[unit]: order for unit, order in snapshot.decisions.items() if unit in places},
    )


def _groups(names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    known = {name: place for place, name in enumerate(sorted(set(names)))}
    return list(known), np.array([known[name] for name in names], np.int64)


def _holds(scheme: Scheme, snapshot: Snapshot, runs: Sequence[CategoryRun], condition: GradeCondition) -> Mask:
    """Where a condition of a grade holds."""
    count = len(snapshot.units)
    if condition.kind == "NODE_SHARE":
        return _node_share(runs, count, str(condition.indicator), condition.minimum_share or Fraction(0))
    if condition.kind == "NO_EVENT":
        held = {e.unit for e in snapshot.events if e.indicator == condition.indicator and e.state == "CONFIRMED"}
        return np.array([unit not in held for unit in snapshot.units], bool)
    if condition.kind == "ITEM_TRUE":
        column = snapshot.items.get(str(condition.data_item))
        if column is None:
            return np.zeros(count, bool)
        return np.asarray((column.state <= State.CARRIED) & (column.numbers != 0), bool)
    codes = [grade.code for grade in scheme.settings.grades]
    enough = set(codes[: codes.index(condition.grade_code) + 1]) if condition.grade_code in codes else set()
    return np.array([grade in enough for grade in snapshot.previous_grades or [None] * count], bool)


def _node_share(runs: Sequence[CategoryRun], count: int, code: str, share: Fraction) -> Mask:
    """Where a node has at least a share of its marks, exactly. A node outside a unit's tree stands in nobody's way."""
    found = np.ones(count, bool)
    for run in runs:
        place = run.tree.places.get(code)
        if place is None:
            continue
        estimate = run.estimates[place]
        scored = estimate.scored()
        bound = float(share * 100)
        mask = estimate.value >= bound
        near = np.abs(estimate.value - bound) <= 2 * estimate.absolute + 1e-13 * max(bound, 1.0)
        open_ = np.flatnonzero(near)
        for unit, value in zip(open_.tolist(), run.exact_nodes(place, open_), strict=True):
            mask[unit] = value is not None and value >= share * 100
        found[run.index] = mask if scored is None else mask & scored
    return found
