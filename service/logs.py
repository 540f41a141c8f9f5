"""Log lines on standard error: for people, or one JSON object each for machines (日志).

They carry no secrets and nothing of what districts enter: names of things that happened, ids, durations, errors. The
ids of the request, tenant, operation and job that a line belongs to stand on it by themselves, once they are bound.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Literal

import orjson

LogFormat = Literal["text", "json"]

# What every record has; all else was given by the caller as `extra` and is shown.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


_FIRST_GIVEN = len(vars(logging.makeLogRecord({})))
"""What was given comes after what every record has."""

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound_ids", default={})  # noqa: B039  # never changed in place


def bind(**ids: object) -> None:
    """Put these ids on every line of this task from now on, and of those that it starts."""
    _bound.set({**_bound.get(), **ids})


def configure(*, form: LogFormat, level: str) -> None:
    """Send all logs of this process to standard error, from `level` on. Replaces what was configured before."""
    # None of it is shown, and to find it out takes as long as to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # said in its documentation: without it no caller is looked for
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Machine() if form == "json" else _People())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Each request would be a line of its client, and each statement one of its driver.
    for name in ("httpx", "httpcore", "asyncio", "tortoise"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _extras(record: logging.LogRecord) -> dict[str, object]:
    late = islice(vars(record).items(), _FIRST_GIVEN, None)
    return {**_bound.get(), **{name: value for name, value in late if name not in _USUAL and not name.startswith("_")}}


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    return f"{_second(second)}.{int((record.created - second) * 1000):03d}Z"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _People(logging.Formatter):
    """`2026-07-01T08:00:00.000Z INFO kaoping.worker  Started job=…`."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {name}={value}" for name, value in _extras(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.name}  {record.getMessage()}{extras}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Machine(logging.Formatter):
    """One JSON object per line: time, level, logger, message, what was given besides, and an exception's trace."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
