"""How an attempt may fail (失败): what is tried again, after which pause, and what people read about it."""

import random

import asyncpg

from service.errors import KaopingError
from service.scoring.text import Text

FIRST_PAUSE_SECONDS = 1.0
"""Pause after the first transient failure; it doubles each time."""

LONGEST_PAUSE_SECONDS = 300.0
"""Pauses do not grow beyond this."""


class Transient(Exception):  # a state of the world, not a fault of the program
    """Raised by a step: it may well succeed later."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class Stopped(Exception):  # nothing went wrong
    """Raised inside a step that must end: it was cancelled, its lease was lost, or its worker shuts down."""


class Reported(Exception):  # not an error of its own
    """A failure in a process of its own, as that one judged it; it has logged it too."""

    def __init__(self, text: Text, *, again: bool) -> None:
        super().__init__(text.en)
        self.text = text
        self.again = again


class FenceLost(Exception):
    """Another has taken the job over, so nothing of this attempt may commit."""


CRASHED = Text(
    zh="执行该任务的进程中断，未写入任何结果。", en="The worker that ran it went away; nothing of it was written."
)
UNEXPECTED = Text(
    zh="执行时发生意外错误，详情见服务日志。", en="It failed unexpectedly; the log of the worker has the details."
)
TIMED_OUT = Text(zh="超过了允许的执行时间。", en="It took longer than it may.")
DIED = Text(
    zh="计算进程意外终止，可能是服务器内存不足。",
    en="The process that computed it died; the machine may have run out of memory.",
)
AWAY = Text(zh="数据库暂时不可用。", en="The database was not available for a moment.")


def too_large(mib: int) -> Text:
    """It needed more memory than a job may have."""
    return Text(
        zh=f"计算所需内存超过每个任务的上限（{mib} MiB）。请由运维人员调高 KAOPING_JOB_MEMORY_MIB 后重试。",
        en=f"It needs more memory than a job may have ({mib} MiB). Let an operator raise KAOPING_JOB_MEMORY_MIB, then "
        "retry it.",
    )


def pause_seconds(failures: int) -> float:
    """How long to wait after that many failures: doubling, and spread, so that jobs that fell together rise apart."""
    ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, hides nothing


def is_transient(error: BaseException) -> bool:
    """Whether the database's refusal may be over in a moment: connections, locks, serialisation, deadlocks, space."""
    return isinstance(
        error,
        (
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            # What asyncpg raises at the rollback after its connection was cut in the middle of a statement.
            asyncpg.InternalClientError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.TransactionRollbackError,
            asyncpg.LockNotAvailableError,
            ConnectionError,
        ),
    )


def reason_of(error: BaseException) -> tuple[Text, bool]:
    """What to write down for a step's failure, and whether to try again."""
    match error:
        case Reported():
            return error.text, error.again
        case Transient():
            return error.text, True
        case KaopingError():
            hint = error.hint
            return (Text(f"{error.text.zh}{hint.zh}", f"{error.text.en} {hint.en}") if hint else error.text), False
        case TimeoutError():
            return TIMED_OUT, True
        case _ if is_transient(error):
            return AWAY, True
    return UNEXPECTED, True
