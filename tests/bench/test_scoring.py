"""The engine alone: stages and growth in one table, what was recomputed, the ratio to the reference, robustness.

Each case runs in a process of its own. Times are those of the machine as it is; on a quiet one with 2 cores 10,000
units × 100 leaves take under 0.2 s and 200 MiB, 0.3 s where half of all totals lie on a rounding edge, 2 s for 1,000
draws.
"""

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from service.scoring import ItemColumn, Result, Scheme, Snapshot, compute, robustness
from tests.bench.alone import alone, peak_mib
from tests.bench.scoring_case import CATEGORIES, Big, reference_of

pytestmark = pytest.mark.bench

MOST_MIB = 200
"""Of 10,000 units × 100 leaves."""

SAMPLED = 40
"""Units that the reference works out; it takes some tens of milliseconds for each."""

MOST_FOR_REFERENCE = 10_000
"""Units whose values the reference holds at once, each number a fraction."""


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


def measured(units: int) -> dict[str, Any]:
    """One size: the whole run with its peak first, then its parts, then the same units by the reference."""
    big = Big(units)
    scheme, snapshot = big.scheme(), big.snapshot()
    given = peak_mib()
    result = shown(scheme, snapshot)
    found: dict[str, Any] = {"units": units, "case": given, "peak": peak_mib()}
    found["whole"] = best_of(5 if units < 100_000 else 2, lambda: shown(scheme, snapshot))
    found |= stages(scheme, snapshot)
    found["settled"] = sum(run.settled for run in result.runs)
    found["texts"] = best_of(1, lambda: [(result.node_scores(c), result.node_marks(c)) for c in result.node_codes])
    found["exact"] = best_of(1, result.exact_totals)
    return found | (beside_the_reference(big, result) if units <= MOST_FOR_REFERENCE else {})


def beside_the_reference(big: Big, result: Result) -> dict[str, Any]:
    """Seconds per unit that the reference takes at this size, and whether its totals are the engine's."""
    reference = reference_of(big)
    sample = [int(place) for place in np.linspace(0, big.count - 1, SAMPLED)]
    # What the units of a category have in common is worked out before the clock starts.
    for place in range(CATEGORIES):
        reference.total(reference.units[place])
    start = time.perf_counter()
    slow = [reference.total(reference.units[place]).exact for place in sample]
    seconds = (time.perf_counter() - start) / SAMPLED
    return {"reference": seconds, "equal": slow == [result.exact_total(place) for place in sample]}


def test_growth() -> None:
    print(
        "\n  units | whole run | leaves | tree  | ranks+grades | node texts | exact  | in whole numbers | "
        "peak (input)   | per unit | reference and ratio per unit"
    )
    for units in (1_000, 10_000, 100_000):
        found = alone(measured, units)
        each = found["whole"] / units * 1e6
        print(
            f"{units:7,} | {found['whole']:7.3f} s | {found['LEAVES']:6.3f} | {found['TREE']:.3f} | "
            f"{found['RANKS']:12.3f} | {found['texts']:10.2f} | {found['exact']:6.2f} | {found['settled']:16,} | "
            f"{found['peak']:4} ({found['case']:3}) MiB | {each:5.1f} us | "
            + (
                f"{found['reference'] * 1e3:.1f} ms, {found['reference'] / each * 1e6:,.0f}"
                if "reference" in found
                else ""
            )
        )
        assert found.get("equal", True), "the reference has other totals"
        if units == 10_000:
            assert found["peak"] < MOST_MIB


def on_edges() -> tuple[int, float, int]:
    """Totals on a rounding edge, seconds, peak: half of 10,000 units."""
    big = Big(10_000, kinds=("AWARD",), absent=0.0)
    for node in big.nodes:
        if "weight" in node:
            node["weight"] = "1"
    for code, column in big.awards.items():
        big.awards[code] = ItemColumn(column.state, column.numbers // 25 * 25, 1)
    big.settings["latePenalty"] = None
    scheme, snapshot = big.scheme(), big.snapshot()
    settled = sum(run.settled for run in compute(scheme, snapshot).runs)
    return settled, best_of(5, lambda: shown(scheme, snapshot)), peak_mib()


def test_half_of_all_totals_on_a_rounding_edge() -> None:
    settled, seconds, peak = alone(on_edges)
    print(f"\n10,000 units, {settled:,} totals on an edge: {seconds:.3f} s, peak {peak} MiB")
    assert settled > 4_000


def drawn(absent: float) -> tuple[float, int, float, int]:
    """Seconds of 1,000 draws, cells in whole numbers, mean width of intervals, peak."""
    big = Big(10_000, absent=absent)
    scheme = big.scheme()
    result = compute(scheme, big.snapshot())
    start = time.perf_counter()
    found = robustness(scheme, result)
    seconds = time.perf_counter() - start
    return seconds, found.settled, float((found.high - found.low).mean()), peak_mib()


@pytest.mark.parametrize("absent", [0.0, 0.02])
def test_robustness_of_ten_thousand_units(absent: float) -> None:
    seconds, settled, width, peak = alone(drawn, absent)
    print(
        f"\n1,000 draws x 10,000 units, {absent:.0%} not applicable: {seconds:.2f} s, "
        f"{settled} cells in whole numbers, mean width {width:.1f}, peak {peak} MiB"
    )
    assert peak < MOST_MIB


def exactly() -> tuple[float, int]:
    """Seconds of 10,000 exact totals, median bits of their denominators."""
    big = Big(10_000)
    result = compute(big.scheme(), big.snapshot())
    start = time.perf_counter()
    values = [value for value in result.exact_fractions() if value is not None]
    seconds = time.perf_counter() - start
    return seconds, int(np.median([Fraction(value).denominator.bit_length() for value in values]))


def test_exact_totals_of_everybody() -> None:
    seconds, bits = alone(exactly)
    print(f"\n10,000 exact totals: {seconds:.2f} s, median denominator {bits} bits")
