"""What is told of each operation: time and outcome as metrics, its name on log lines, its span in a trace (指标)."""

import functools
import time
from collections.abc import Awaitable

from prometheus_client import Counter, Histogram

from schema.documents import Operation
from schema.execution import Answer, OperationContext
from service import logs, metrics, telemetry


async def measured(operation: Operation, context: OperationContext, running: Awaitable[Answer]) -> Answer:
    """Wait for a query's or mutation's answer, and tell of it."""
    type_, name = announce(operation, context)
    began = time.perf_counter()
    with telemetry.operation_span(type_, name):
        answer = await running
        failed = "errors" in answer.body
        if failed:
            telemetry.note_error()
    answers, seconds = _meters(type_, name, "errors" if failed else "ok")
    answers.inc()
    seconds.observe(time.perf_counter() - began)
    return answer


@functools.cache
def _meters(type_: str, name: str, outcome: str) -> tuple[Counter, Histogram]:
    """The two for these few labels: to find them takes longer than to count."""
    answers: Counter = metrics.OPERATIONS.labels(type_, name, outcome)
    seconds: Histogram = metrics.OPERATION_SECONDS.labels(type_, name)
    return answers, seconds


def announce(operation: Operation, context: OperationContext) -> tuple[str, str]:
    """Put an operation's name on the log lines of this task; its type and its name, bounded, as metrics show it."""
    type_ = operation.type.value
    # Whoever is not signed in could send names without end.
    name = metrics.operation_names(operation.name, learn=context.actor is not None)
    logs.bind(operation=f"{type_} {name}")
    return type_, name
