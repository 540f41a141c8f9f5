"""Background jobs (后台任务): their kinds, and the protocol by which none is lost and none takes effect twice.

The row in PostgreSQL is the truth, Redis only a doorbell. A job is requested in the transaction of the change that
causes it; whoever claims the row gets the next `fence` and a lease; the effects commit in one transaction that first
finds the row still under that fence. A lease that ran out gives the row back. All times are the database's clock.

    QUEUED → RUNNING → SUCCEEDED
       ↑        ├────→ CANCELLED   asked for, and seen before the commit
       ├────────┤      FAILED      gave up: refused, out of attempts, or its worker died three times; can be retried
       └────────┘ a transient failure (after a pause), a lost worker, or another request while it ran
"""

from service.jobs.attempts import (
    LEASE_SECONDS,
    MAX_RUNNING_PER_TENANT,
    Claim,
    claim,
    end,
    give_back,
    is_last,
    postpone,
    succeed,
)
from service.jobs.dispatch import MAX_CRASHES, Waiting, reap, renew, waiting
from service.jobs.failures import (
    AWAY,
    CRASHED,
    DIED,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    TIMED_OUT,
    UNEXPECTED,
    FenceLost,
    Reported,
    Stopped,
    Transient,
    is_transient,
    pause_seconds,
    reason_of,
    too_large,
)
from service.jobs.kinds import (
    HOUSEKEEPING,
    KINDS,
    OPEN_CYCLE,
    RANKING_RUN,
    ROBUSTNESS,
    WHAT_IF,
    CycleArguments,
    Kind,
    NoArguments,
    RunArguments,
    WhatIfArguments,
)
from service.jobs.requests import Due, request, withdraw
from service.jobs.running import JobRun, Progress
from service.jobs.steering import cancel, retry

__all__ = [
    "AWAY",
    "CRASHED",
    "DIED",
    "FIRST_PAUSE_SECONDS",
    "HOUSEKEEPING",
    "KINDS",
    "LEASE_SECONDS",
    "LONGEST_PAUSE_SECONDS",
    "MAX_CRASHES",
    "MAX_RUNNING_PER_TENANT",
    "OPEN_CYCLE",
    "RANKING_RUN",
    "ROBUSTNESS",
    "TIMED_OUT",
    "UNEXPECTED",
    "WHAT_IF",
    "Claim",
    "CycleArguments",
    "Due",
    "FenceLost",
    "JobRun",
    "Kind",
    "NoArguments",
    "Progress",
    "Reported",
    "RunArguments",
    "Stopped",
    "Transient",
    "Waiting",
    "WhatIfArguments",
    "cancel",
    "claim",
    "end",
    "give_back",
    "is_last",
    "is_transient",
    "pause_seconds",
    "postpone",
    "reap",
    "reason_of",
    "renew",
    "request",
    "retry",
    "succeed",
    "too_large",
    "waiting",
    "withdraw",
]
