"""All metrics of a process in one place (指标), for Prometheus.

Each is named `kaoping_…`, ends with its unit, and has labels of few values only: kinds, states, reasons, names of
trusted operations; never a tenant's name, a person, an id or a text that somebody typed.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service import __version__
from tenants.database import PoolUse

REGISTRY: Final = CollectorRegistry()
"""Our own, so that nothing appears that is not declared here."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

OTHER: Final = "other"
"""Stands for every value of a label beyond those that are known."""

MOST_OPERATIONS: Final = 200
"""Names of operations that are told apart."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RUN_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_RUN_UNITS = (10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000)

BUILD: Final = Info("kaoping_build", "The program's version.", registry=REGISTRY)
BUILD.info({"version": __version__})
PROCESS: Final = ProcessCollector(namespace="kaoping", registry=REGISTRY)
"""Memory, processor time and open files of the process, as `kaoping_process_…`."""

# --- HTTP and WebSocket -----------------------------------------------------------------------------------------------

HTTP_REQUESTS: Final = Counter(
    "kaoping_http_requests",
    "HTTP requests by method, address and class of status (2xx …).",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS: Final = Histogram(
    "kaoping_http_request_seconds",
    "How long HTTP requests took, by method and address.",
    ["method", "route"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
HTTP_OPEN: Final = Gauge("kaoping_http_requests_open", "HTTP requests under way.", registry=REGISTRY)
WEBSOCKETS_OPEN: Final = Gauge("kaoping_websockets_open", "Open WebSockets.", registry=REGISTRY)
READY: Final = Gauge(
    "kaoping_ready",
    "1 while the process says that it is ready, as of the last time that it was asked.",
    registry=REGISTRY,
)

# --- GraphQL ----------------------------------------------------------------------------------------------------------

OPERATIONS: Final = Counter(
    "kaoping_graphql_operations",
    "GraphQL operations by type, name and outcome: ok, or errors where the answer has any.",
    ["type", "operation", "outcome"],
    registry=REGISTRY,
)
OPERATION_SECONDS: Final = Histogram(
    "kaoping_graphql_operation_seconds",
    "How long GraphQL queries and mutations took, by type and name.",
    ["type", "operation"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
ERRORS: Final = Counter(
    "kaoping_graphql_errors",
    "Errors in answers by code, those of requests and the typed ones of mutations.",
    ["code"],
    registry=REGISTRY,
)
DOCUMENTS: Final = Counter(
    "kaoping_document_cache_lookups",
    "Documents looked up in the cache of parsed documents, by result: hit or miss.",
    ["result"],
    registry=REGISTRY,
)
PLANS: Final = Counter(
    "kaoping_graphql_plans",
    "GraphQL operations by how they were answered: by one SQL statement (planned), or by the stock executor, which "
    "takes many times as long (fallback), and for what reason.",
    ["outcome", "reason"],
    registry=REGISTRY,
)

# --- outbox -----------------------------------------------------------------------------------------------------------

OUTBOX_TOLD: Final = Counter(
    "kaoping_outbox_events_told",
    "Events of the outbox that were told to a reader, again ones included.",
    ["reader"],
    registry=REGISTRY,
)

# --- jobs -------------------------------------------------------------------------------------------------------------

JOBS_REQUESTED: Final = Counter(
    "kaoping_jobs_requested", "Requests for jobs by this process, joined ones included.", ["kind"], registry=REGISTRY
)
JOBS_DUE: Final = Gauge(
    "kaoping_jobs_due", "Jobs of all districts that could start, as this worker saw last.", ["kind"], registry=REGISTRY
)
JOB_QUEUE_AGE: Final = Gauge(
    "kaoping_job_queue_age_seconds", "How long the oldest of them has been due.", ["kind"], registry=REGISTRY
)
JOBS_RUNNING: Final = Gauge("kaoping_jobs_running", "Jobs in flight in this worker.", ["kind"], registry=REGISTRY)
JOB_START_LAG: Final = Histogram(
    "kaoping_job_start_lag_seconds",
    "From when a job was due until a worker claimed it.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 120, 600),
    registry=REGISTRY,
)
JOB_SECONDS: Final = Histogram(
    "kaoping_job_seconds",
    "How long an attempt took.",
    ["kind"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900),
    registry=REGISTRY,
)
JOBS_ENDED: Final = Counter(
    "kaoping_jobs_ended",
    "Attempts by how they ended: done, cancelled, given_back, retried, dead, fenced.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
JOB_RETRIES: Final = Counter(
    "kaoping_job_retries", "Transient failures after which a job is tried again.", ["kind"], registry=REGISTRY
)
JOBS_DEAD: Final = Counter("kaoping_jobs_dead", "Jobs that gave up.", ["kind"], registry=REGISTRY)
JOBS_FENCED: Final = Counter(
    "kaoping_jobs_fenced",
    "Attempts that lost their job to another worker, so that nothing of them was written.",
    ["kind"],
    registry=REGISTRY,
)
JOBS_LOST: Final = Counter(
    "kaoping_jobs_lost", "Jobs taken from a worker that gave no sign of life.", ["kind"], registry=REGISTRY
)
DOORBELL: Final = Counter(
    "kaoping_doorbell_rings", "Rings for workers: rung, failed or dropped.", ["outcome"], registry=REGISTRY
)

# --- rankings ---------------------------------------------------------------------------------------------------------

RUNS: Final = Counter(
    "kaoping_ranking_runs",
    "Attempts at ranking runs by outcome: succeeded, failed, cancelled, returned (given back, or taken over).",
    ["outcome"],
    registry=REGISTRY,
)
RUN_SECONDS: Final = Histogram(
    "kaoping_ranking_run_seconds", "How long ranking runs took that succeeded.", buckets=_RUN_SECONDS, registry=REGISTRY
)
RUN_UNITS: Final = Histogram(
    "kaoping_ranking_run_units", "Units in ranking runs that succeeded.", buckets=_RUN_UNITS, registry=REGISTRY
)

# --- sign-in from outside ---------------------------------------------------------------------------------------------

ISSUER_FETCHES: Final = Counter(
    "kaoping_issuer_fetches",
    "Times that keys of an issuer of tokens were fetched, by outcome: ok or failed.",
    ["outcome"],
    registry=REGISTRY,
)


class BoundedNames:
    """At most so many values of a label; the first ones that come are told apart, all later ones are `other`.

    Names that are known beforehand, such as those of trusted documents, are given at once.
    """

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        self._most = most
        self._names = set(known)

    def __call__(self, name: str | None, *, learn: bool = True) -> str:
        """The name, or `other`. With `learn` a new one may be remembered: only for callers who are signed in."""
        if name is None:
            return OTHER
        if name in self._names:
            return name
        if learn and len(self._names) < self._most and len(name) <= 80:
            self._names.add(name)
            return name
        return OTHER


operation_names: Final = BoundedNames(MOST_OPERATIONS)
"""Names of GraphQL operations."""


class _Pools(Collector):
    """Asks at each scrape, so that nothing is counted while nobody looks."""

    def __init__(self) -> None:
        self.asked: Collection[Callable[[], PoolUse]] = []

    def collect(self) -> Iterable[Metric]:
        """The sums over the pools of this process."""
        found = [ask() for ask in self.asked]
        connections = GaugeMetricFamily(
            "kaoping_database_connections", "Connections to PostgreSQL by state: used or idle.", labels=["state"]
        )
        connections.add_metric(["used"], sum(use.size - use.idle for use in found))
        connections.add_metric(["idle"], sum(use.idle for use in found))
        yield connections
        yield GaugeMetricFamily(
            "kaoping_database_connections_most",
            "Connections that the pool may open (KAOPING_POOL_SIZE).",
            value=sum(use.most for use in found),
        )
        yield GaugeMetricFamily(
            "kaoping_database_waiting",
            "Who waits for a connection of the pool.",
            value=sum(use.waiting for use in found),
        )


_POOLS = _Pools()
REGISTRY.register(_POOLS)


def watch_pool(ask: Callable[[], PoolUse]) -> None:
    """Tell of this pool from now on, and of no other."""
    _POOLS.asked = [ask]


BOARD_CACHE_HITS: Final = Counter(
    "kaoping_board_cache_hits", "Published boards that were answered with kept bytes.", registry=REGISTRY
)
BOARD_CACHE_MISSES: Final = Counter(
    "kaoping_board_cache_misses", "Published boards that had to be read from the database.", registry=REGISTRY
)
BOARD_CACHE_BYTES: Final = Gauge("kaoping_board_cache_bytes", "Memory that kept boards take.", registry=REGISTRY)


def rendered() -> bytes:
    """Everything as Prometheus reads it."""
    return generate_latest(REGISTRY)
