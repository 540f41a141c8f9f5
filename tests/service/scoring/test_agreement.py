"""Engine and reference agree on every output, exactly, over random schemes and adversarial data."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.scoring.agreement import disagreements, explanation_faults
from tests.service.scoring.cases import Case

SEEDS = st.integers(0, 2**48)
LOOSE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)


@settings(LOOSE, max_examples=400)
@given(SEEDS)
def test_engine_and_reference_agree_on_every_output(seed: int) -> None:
    assert disagreements(Case(seed)) == []


@settings(LOOSE, max_examples=100)
@given(SEEDS)
def test_explanations_add_up_to_the_shown_total(seed: int) -> None:
    assert explanation_faults(Case(seed)) == []


def test_equal_units_worked_out_once_agree_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.scoring.exact.DISTINCT_FROM", 2)
    for seed in range(80):
        assert disagreements(Case(seed)) == [], seed


@pytest.mark.long
def test_agreement_at_length() -> None:
    for seed in range(20_000):
        assert disagreements(Case(seed)) == [], seed
