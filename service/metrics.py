"""All metrics of a process in one place (指标), for Prometheus.

Each is named `kaoping_…`, ends with its unit, and has labels of few values only: kinds, states, reasons, names of
trusted operations; never a tenant's name, a person, an id or a text that somebody typed.
"""

from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REGISTRY: Final = CollectorRegistry()
"""Our own, so that nothing appears that is not declared here."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def rendered() -> bytes:
    """Everything as Prometheus reads it."""
    return generate_latest(REGISTRY)
