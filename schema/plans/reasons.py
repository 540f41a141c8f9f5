"""Why an operation runs in the stock executor after all (不走计划的原因)."""

import logging
from typing import Literal

from schema.documents import Operation
from service.metrics import PLANS

logger = logging.getLogger("kaoping.plans")

PLANNED = PLANS.labels("planned", "")
"""Counts what a plan answered."""

Reason = Literal[
    "mutation",
    "refused",
    "introspection",
    "resolver",
    "computed",
    "directive",
    "signed_out",
    "arguments",
    "size",
    "null",
    "database",
]
"""
mutation       the operation writes, and asks for more than columns of the rows it wrote
refused        a mutation whose answer is a typed error
introspection  it asks for the schema, or for nothing at all
resolver       a field is a Python resolver
computed       what Python had to reckon for a field failed
directive      a directive that is neither @skip nor @include
signed_out     nobody is signed in: every root field is null
arguments      a variable or an argument is at fault, and the stock executor says which
size           the statement would be longer than is worth preparing
null           there was a null where there must be none
database       PostgreSQL refused the statement
"""


class Unplannable(Exception):
    """This operation is not for a plan; `what` is the field or directive it was found at."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason
        self.what = what


def leave(operation: Operation, reason: Reason) -> None:
    """Count an operation that runs in the stock executor."""
    PLANS.labels("fallback", reason).inc()
    logger.debug("%s runs in the stock executor: %s", operation.name or "-", reason)
