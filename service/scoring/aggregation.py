"""Scores up the tree in floats with a proven bound (汇总): fast, and honest about what it does not know.

Each node carries its value for all units and two bounds over all of them: `relative` (error ÷ value, where nothing is
negative) and `absolute`. u = 2**-53. Leaf: two conversions and one division of exact whole numbers, 3u. Arithmetic mean
of k: numerator and denominator are sums of products without cancellation, (k + 5)u. Harmonic: (k + 7)u. Geometric:
exp(Σ w ln s ÷ W) with ln and exp good to 4 units in the last place: ((k + 14)·max|ln s| + 18)u, and its definition
rounds to 30 decimals. Where weight is lost (GLOBAL) the share that is left travels as `mass`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.scoring.leaves import LeafScores
from service.scoring.tree import Tree, TreeNode
from service.scoring.whole import Mask, quotient

Floats = NDArray[np.float64]
UNIT = 2.0**-53
MARGIN = 1.02
"""Covers the terms of second order."""
GEOMETRIC_PLACES = 30


@dataclass(frozen=True, slots=True)
class Estimate:
    """A node for all units: value (0 where it has none), present (None: everywhere), mass (None: 1 where present)."""

    value: Floats
    present: Mask | None
    mass: Floats | None
    relative: float
    absolute: float
    mass_error: float = 0.0

    def scored(self) -> Mask | None:
        """Units with a score; None for all."""
        if self.mass is None:
            return self.present
        return self.mass > 0 if self.present is None else self.present & (self.mass > 0)


def estimates(tree: Tree, leaves: dict[int, LeafScores], count: int) -> list[Estimate]:
    """The value of every node of the tree, in the tree's order."""
    found: dict[int, Estimate] = {}
    for place in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[place]
        found[place] = (
            _leaf(leaves[place], count) if node.leaf else _mean(node, [found[c] for c in node.children], count)
        )
    return [found[place] for place in range(len(tree.nodes))]


def _leaf(leaf: LeafScores, count: int) -> Estimate:
    value = quotient(leaf.numerator, leaf.denominator)
    if not value.ndim:
        value = np.full(count, float(value))
    present = None if leaf.absent is None else ~leaf.absent
    for gone in (leaf.absent, leaf.lost):
        if gone is not None:
            value = np.where(gone, 0.0, value)
    mass = None if leaf.lost is None else (~leaf.lost).astype(np.float64)
    size = float(np.abs(value).max(initial=0.0))
    negative = bool(np.min(value, initial=0.0) < 0)
    return Estimate(value, present, mass, np.inf if negative else 3.1 * UNIT, 3.1 * UNIT * size)


def _mean(node: TreeNode, children: Sequence[Estimate], count: int) -> Estimate:
    used = [(float(weight), child) for weight, child in zip(node.weights, children, strict=True) if weight]
    if not used:
        return Estimate(np.zeros(count), np.zeros(count, bool), None, 0.0, 0.0)
    if node.aggregation == "ARITHMETIC":
        return _arithmetic(used, count)
    return _power(node.aggregation, used, count)


def _arithmetic(used: list[tuple[float, Estimate]], count: int) -> Estimate:
    k = len(used)
    numerator = np.zeros(count)
    partial = any(child.present is not None for _, child in used)
    lossy = any(child.mass is not None for _, child in used)
    there: Floats | float = np.zeros(count) if partial else 0.0
    left: Floats | float = np.zeros(count) if partial or lossy else 0.0
    work = np.empty(count)
    for weight, child in used:
        np.multiply(child.value, weight, out=work)
        if child.mass is not None:
            work *= child.mass
        numerator += work
        own: Floats | float = weight if child.present is None else np.asarray(child.present * weight, np.float64)
        there += own
        left += own if child.mass is None else np.asarray(child.mass * own, np.float64)
    present: Mask | None = None
    if isinstance(there, np.ndarray):
        present = there > 0
        if present.all():
            present = None
    below = np.where(left > 0, left, 1.0) if isinstance(left, np.ndarray) else left
    value = numerator / below
    mass: Floats | None = None
    mass_error = 0.0
    step = (k + 5) * UNIT * MARGIN
    if lossy:
        mass = np.asarray(left / (np.where(there > 0, there, 1.0) if isinstance(there, np.ndarray) else there))
        mass_error = (max(child.mass_error for _, child in used) + (2 * k + 8) * UNIT) * MARGIN
        step += 2 * mass_error
    size = max(float(np.abs(child.value).max(initial=0.0)) for _, child in used)
    relative = max(child.relative for _, child in used) + step
    absolute = max(child.absolute for _, child in used) + step * size
    if np.isfinite(relative):
        absolute = min(absolute, relative * size)
    return Estimate(value, present, mass, relative, absolute, mass_error)


def _power(aggregation: str, used: list[tuple[float, Estimate]], count: int) -> Estimate:
    k = len(used)
    total = np.zeros(count)
    there = np.zeros(count)
    zero = np.zeros(count, bool)
    greatest_log = 0.0
    for weight, child in used:
        present = np.ones(count, bool) if child.present is None else child.present
        zero |= (child.value <= 0) & present
        safe = np.where(child.value > 0, child.value, 1.0)
        if aggregation == "GEOMETRIC":
            part = np.log(safe)
            greatest_log = max(greatest_log, float(np.abs(part).max(initial=0.0)))
        else:
            part = 1.0 / safe
        total += np.where(present, part * weight, 0.0)
        there += present * weight
    present_now: Mask | None = there > 0
    if present_now is not None and present_now.all():
        present_now = None
    below = np.where(there > 0, there, 1.0)
    before = max(child.relative for _, child in used)
    if aggregation == "GEOMETRIC":
        value = np.where(zero, 0.0, np.exp(total / below))
        relative = (before + ((k + 14) * greatest_log + 18) * UNIT) * MARGIN
    else:
        value = np.where(zero, 0.0, there / np.where(total > 0, total, 1.0))
        relative = (before + (k + 7) * UNIT) * MARGIN
    if present_now is not None:
        value = np.where(present_now, value, 0.0)
    size = float(np.abs(value).max(initial=0.0))
    absolute = relative * size if size or np.isfinite(relative) else np.inf
    if aggregation == "GEOMETRIC":
        least = float(value[value > 0].min(initial=1.0))
        rounding = 10.0**-GEOMETRIC_PLACES
        relative = relative + rounding / least if rounding < least * 1e-3 else np.inf
        absolute = absolute + rounding
    return Estimate(value, present_now, None, relative, absolute)
