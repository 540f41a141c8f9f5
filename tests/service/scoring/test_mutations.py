"""The differential test can fail: break the engine on purpose, and it finds the fault."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from service.scoring import compute
from service.scoring.quantities import Ratio
from service.scoring.result import CategoryRun
from service.scoring.whole import Whole, quotient
from tests.service.scoring import test_events, test_tree
from tests.service.scoring.agreement import disagreements, scheme_of
from tests.service.scoring.cases import Case, snapshot_of

TRIES = 3_000


def no_guard(patch: pytest.MonkeyPatch) -> None:
    """NumPy wraps silently where nothing guards against overflow."""
    patch.setattr("service.scoring.whole.LIMIT", 2**400)


def raw_floats(patch: pytest.MonkeyPatch) -> None:
    """Ranks compare floats."""

    def keys(scheme: Any, runs: list[CategoryRun], totals: Any, about: Any, error: float, ranked: Any) -> Any:
        values = about if scheme.settings.rank_on == "EXACT" else totals
        return np.unique(values, return_inverse=True)[1].astype(np.int64)

    patch.setattr("service.scoring.engine._keys", keys)


def rounded_rates(patch: pytest.MonkeyPatch) -> None:
    """Bands compare a rate that was rounded to 2 places."""

    def compare(ratio: Ratio, bound: Fraction) -> tuple[Whole, Whole]:
        rate = np.round(quotient(ratio.numerator, ratio.denominator) * 100)
        return Whole.of(np.clip(rate, -(2.0**61), 2.0**61).astype(np.int64)), Whole.of(int(bound * 100))

    patch.setattr("service.scoring.rules.bands.compare_line", compare)


def no_filter(patch: pytest.MonkeyPatch) -> None:
    """Floats are rounded as they are."""

    def trusting(value: Any, places: int, error: float) -> Any:
        return np.floor(value * 10.0**places + 0.5).astype(np.int64), np.zeros(0, np.intp)

    patch.setattr("service.scoring.rounding.undecided", trusting)


def float_order(patch: pytest.MonkeyPatch) -> None:
    """The order of ratios is that of their quotients."""

    def by_float(about: Any, relative: float, absolute: float, exact: Any, same: Any = None) -> Any:
        order = np.argsort(about, kind="stable")
        return order, np.r_[True, np.diff(about[order]) != 0] if len(order) else np.zeros(0, bool)

    patch.setattr("service.scoring.rules.peers.exact_order", by_float)


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        (no_guard, None),
        (rounded_rates, ("BANDS",)),
        (no_filter, ("AWARD", "DEDUCT", "CHOICE", "GRADE_MEAN")),
        (raw_floats, ("AWARD", "DEDUCT", "CHOICE", "GRADE_MEAN")),
        (float_order, ("PERCENTILE", "RANK_POINTS")),
    ],
)
def test_a_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], kinds: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with np.errstate(all="ignore"):
        for seed in range(TRIES):
            case = Case(seed, kinds=kinds) if kinds else Case(seed)
            if wrong(case):
                return
    pytest.fail(f"not found in {TRIES} cases")


def wrong(case: Case) -> bool:
    """Whether the broken engine gives itself away: by another answer, or by breaking down."""
    try:
        return bool(disagreements(case))
    except (OverflowError, ValueError, ZeroDivisionError, AssertionError, IndexError):
        return True


def test_unbroken_it_agrees_on_the_same_cases() -> None:
    for seed in range(40):
        for kinds in (("BANDS",), ("AWARD", "DEDUCT", "CHOICE", "GRADE_MEAN"), ("PERCENTILE", "RANK_POINTS")):
            assert disagreements(Case(seed, kinds=kinds)) == []


def test_floats_settle_most_totals_and_whole_numbers_the_rest() -> None:
    settled = total = 0
    for seed in range(60):
        case = Case(seed, kinds=("LINEAR", "MINMAX", "COMPLETION"))
        if case.document["settings"]["roundingPlaces"] > 4:
            continue
        scheme = scheme_of(case)
        result = compute(scheme, snapshot_of(scheme, case.units))
        settled += sum(run.settled for run in result.runs)
        total += len(case.units)
    assert 0 < settled < total / 2


def float_places(patch: pytest.MonkeyPatch) -> None:
    """Places are the floor of a product of floats: 0.29 × 100 is 28.999…"""
    patch.setattr("service.scoring.grades.places_of", lambda grade, base: int(float(grade.share or 0) * base))


def float_coverage(patch: pytest.MonkeyPatch) -> None:
    """Coverage is a sum of floats: 0.1 + 0.7 is below 0.8."""

    def low(run: CategoryRun, threshold: Fraction | None) -> Any:
        shares = [float(run.tree.nodes[place].share) for place in run.tree.leaves]
        given = [run.leaves[place].states == 0 for place in run.tree.leaves]
        summed = sum(share * mask for share, mask in zip(shares, given, strict=True))
        return np.asarray(summed < float(threshold or 0))

    patch.setattr("service.scoring.engine._low_coverage", low)


@pytest.mark.parametrize(
    ("fault", "directed"),
    [
        (float_places, test_events.test_quotas_are_reckoned_exactly),
        (float_coverage, test_tree.test_coverage_is_summed_exactly_and_never_rounded_up),
    ],
)
def test_what_chance_does_not_find_a_directed_test_does(
    fault: Callable[[pytest.MonkeyPatch], None], directed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    directed()
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        directed()
