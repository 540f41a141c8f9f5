"""How ranking runs end, how long they take and how many units they rank, as metrics (测算指标)."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

from service import metrics
from service.jobs import FenceLost, JobRun, Stopped


@contextlib.contextmanager
def measured(run: JobRun) -> Iterator[None]:
    """Tell how this attempt ended."""
    began = time.perf_counter()
    outcome = "failed"
    try:
        yield
        outcome = "succeeded"
        metrics.RUN_SECONDS.observe(time.perf_counter() - began)
        metrics.RUN_UNITS.observe(run.told.units_total)
    except (Stopped, asyncio.CancelledError):
        outcome = {"CANCELLED": "cancelled", "LOST": "returned", "DRAINED": "returned"}.get(run.stopping or "", outcome)
        raise
    except FenceLost:
        outcome = "returned"
        raise
    finally:
        metrics.RUNS.labels(outcome).inc()
