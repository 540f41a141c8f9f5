"""The engine alone: stages and growth, what was recomputed in whole numbers, the ratio to the reference, robustness."""

import resource
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from service.scoring import ItemColumn, Result, Scheme, Snapshot, compute, robustness
from tests.bench.scoring_case import Big
from tests.service.scoring.agreement import scheme_of
from tests.service.scoring.cases import Case, snapshot_of
from tests.service.scoring.reference import Reference

pytestmark = pytest.mark.bench


def best_of(times: int, work: Callable[[], object]) -> float:
    """Shortest time of several, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def shown(scheme: Scheme, snapshot: Snapshot) -> Result:
    """From arrays in memory to shown totals, ranks and grades."""
    result = compute(scheme, snapshot)
    result.totals()
    result.ranks()
    result.grades()
    return result


def stages(scheme: Scheme, snapshot: Snapshot) -> dict[str, float]:
    """Seconds until each stage was last heard of."""
    spent: dict[str, float] = {}
    last = time.perf_counter()

    def heard(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.perf_counter()
        spent[stage] = spent.get(stage, 0.0) + now - last
        last = now

    compute(scheme, snapshot, progress=heard)
    return spent


def node_texts(result: Result) -> list[object]:
    """Scores and marks of all nodes of all units, as text."""
    return [(result.node_scores(code), result.node_marks(code)) for code in result.node_codes]


def test_growth() -> None:
    print("\n  units | whole run | leaves | tree | ranks+grades | node texts | exact | whole numbers | peak RSS")
    for units in (1_000, 10_000, 100_000):
        big = Big(units)
        scheme, snapshot = big.scheme(), big.snapshot()
        whole = best_of(5 if units < 100_000 else 2, partial(shown, scheme, snapshot))
        parts = stages(scheme, snapshot)
        result = compute(scheme, snapshot)
        texts = best_of(1, partial(node_texts, result))
        exact = best_of(1, result.exact_totals) if units <= 10_000 else float("nan")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{units:7,} | {whole:7.3f} s | {parts['LEAVES']:.3f} | {parts['TREE']:.3f} | {parts['RANKS']:.3f} | "
            f"{texts:.2f} | {exact:.2f} | {sum(run.settled for run in result.runs)} | {peak} MiB"
        )


def test_half_of_all_totals_on_a_rounding_edge() -> None:
    big = Big(10_000, kinds=("AWARD",), absent=0.0)
    for node in big.nodes:
        if "weight" in node:
            node["weight"] = "1"
    for code, column in big.awards.items():
        big.awards[code] = ItemColumn(column.state, column.numbers // 25 * 25, 1)
    big.settings["latePenalty"] = None
    scheme, snapshot = big.scheme(), big.snapshot()
    settled = sum(run.settled for run in compute(scheme, snapshot).runs)
    print(f"\n10,000 units, {settled:,} totals on an edge: {best_of(5, lambda: shown(scheme, snapshot)):.3f} s")


def test_robustness_of_ten_thousand_units() -> None:
    for absent in (0.0, 0.02):
        big = Big(10_000, absent=absent)
        scheme = big.scheme()
        result = compute(scheme, big.snapshot())
        start = time.perf_counter()
        found = robustness(scheme, result)
        width = float((found.high - found.low).mean())
        print(
            f"\n1,000 draws x 10,000 units, {absent:.0%} not applicable: {time.perf_counter() - start:.2f} s, "
            f"{found.settled} cells in whole numbers, mean width {width:.1f}, "
            f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
        )


def test_ratio_to_the_reference() -> None:
    cases = [Case(seed) for seed in range(200)]
    start = time.perf_counter()
    for case in cases:
        Reference(case.document, case.units).answers()
    slow = time.perf_counter() - start
    fast = 0.0
    for case in cases:
        scheme = scheme_of(case)
        snapshot = snapshot_of(scheme, case.units)
        fast += best_of(1, partial(compute, scheme, snapshot))
    units = sum(len(case.units) for case in cases)
    per_unit = [round(seconds / units * 1e6) for seconds in (slow, fast)]
    print(f"\n{units} units in small cases, us per unit: reference {per_unit[0]}, engine {per_unit[1]}")


def test_exact_totals_of_everybody() -> None:
    big = Big(10_000)
    result = compute(big.scheme(), big.snapshot())
    start = time.perf_counter()
    values = [value for value in result.exact_fractions() if value is not None]
    bits = int(np.median([Fraction(value).denominator.bit_length() for value in values]))
    print(f"\n10,000 exact totals: {time.perf_counter() - start:.2f} s, median denominator {bits} bits")
