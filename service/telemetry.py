"""Traces (链路追踪): from a request through its statements to the job that it asked for, by OTLP.

Without a setting that names a collector each function here returns at its first line. Spans carry names, addresses of
ours, ids, and the text of statements, which holds no values; never an argument, a person, or the words of an error.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final
from uuid import UUID

from starlette.types import Scope

from service import __version__
from service.settings import Settings
from tenants.database import COMMITTING, Statement, observe_statements

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanKind, Tracer

SEND_SECONDS = 5
"""How long the collector may take for one batch."""

LONGEST_STATEMENT = 2_000
"""Characters of a statement's text that a span keeps."""

_ROUTES = frozenset({"graphql", "graphiql"})
_QUIET = re.compile(r"\s*(BEGIN|SET|ROLLBACK|SAVEPOINT|RELEASE|SELECT pg_)", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+([a-z_]+)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")

_NOTHING: Final = contextlib.nullcontext()

_tracer: "Tracer | None" = None


def start(settings: Settings, program: str) -> Callable[[], None]:
    """Trace from now on, where the settings name a collector. What is returned sends the rest, and waits for that."""
    global _tracer  # one per process, as logs are
    if settings.otlp_endpoint is None:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"kaoping-{program}", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint}/v1/traces", timeout=SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("kaoping", __version__)
    observe_statements(_statement)

    def stop() -> None:
        global _tracer  # as above
        _tracer = None
        observe_statements(None)
        provider.shutdown()

    return stop


def request_span(scope: Scope) -> AbstractContextManager[object]:
    """The span of an HTTP request, in the trace that its sender names; probes and WebSockets have none."""
    if _tracer is None or scope["type"] != "http":
        return _NOTHING
    route = scope["path"].split("/")[1]
    if route not in _ROUTES:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    given = {
        name.decode("ascii"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
    attributes = {"http.request.method": scope["method"], "http.route": f"/{route}"}
    return _span(f"{scope['method']} /{route}", SpanKind.SERVER, given, attributes)


def operation_span(type_: str, name: str) -> AbstractContextManager[object]:
    """The span of a GraphQL operation, by its bounded name."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    return _span(f"{type_} {name}", SpanKind.INTERNAL, None, {"graphql.operation.type": type_})


def job_span(kind: str, job_id: UUID, traceparent: str | None) -> AbstractContextManager[object]:
    """The span of one attempt at a job, in the trace of its request."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    given = {"traceparent": traceparent} if traceparent else {}
    return _span(f"job {kind}", SpanKind.CONSUMER, given, {"kaoping.job.id": str(job_id)})


def note_status(status: int) -> None:
    """Write the status of the response down."""
    if _tracer is None:
        return
    from opentelemetry import trace

    span = trace.get_current_span()
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        _mark(span)


def note_error() -> None:
    """Mark the present span as one that went wrong."""
    if _tracer is not None:
        from opentelemetry import trace

        _mark(trace.get_current_span())


def traceparent() -> str | None:
    """Where we are, for whoever goes on elsewhere; None where nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


@contextlib.contextmanager
def _span(name: str, kind: "SpanKind", given: dict[str, str] | None, attributes: dict[str, str]) -> Iterator[None]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    assert _tracer is not None
    context = None if given is None else TraceContextTextMapPropagator().extract(given)
    with _tracer.start_as_current_span(
        name, context, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception:
            _mark(span)
            raise


def _mark(span: "Span") -> None:
    # By itself a span would tell the words of the exception, which may repeat what somebody entered.
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))


def _statement(statement: Statement) -> None:
    """The span of a statement that has just ended; called in the context of whoever sent it."""
    if _tracer is None or _QUIET.match(statement.query):
        return
    from opentelemetry.trace import SpanKind

    # What goes with a commit has values in its text.
    text = "COMMIT" if statement.query.startswith(COMMITTING) else _SPACE.sub(" ", statement.query).strip()
    verb = text.split(" ", 1)[0].upper()[:20]
    named = _NAMED.search(text)
    ended = time.time_ns()
    span = _tracer.start_span(
        f"{verb} {named[1]}" if named else verb,
        kind=SpanKind.CLIENT,
        start_time=ended - int(statement.elapsed * 1e9),
        attributes={"db.system.name": "postgresql", "db.query.text": text[:LONGEST_STATEMENT]},
    )
    if statement.exception is not None:
        _mark(span)
    span.end(ended)
