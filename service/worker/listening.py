"""Hearing the doorbell through arq (听门铃), started again whenever Redis was lost."""

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from arq import Worker
from arq.worker import func

from service.addresses import place_of
from service.doorbell import QUEUE, decode, encode, redis_settings

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

REDIS_PAUSE_SECONDS = 1.0
"""Pause before arq is started again after Redis was lost."""

ECHO_SECONDS = 0.05
"""A ring that comes while its predecessor is being taken from Redis is dropped there: each is answered twice."""

RINGS_AT_ONCE = 40
"""Rings that arq may hand over at once."""

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is rung for."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another job."""
        ...

    def wake(self, tenant_id: UUID) -> None:
        """Look for jobs of the district."""
        ...


async def listen(redis_url: str, listener: Listener) -> None:
    """Hear the doorbell, for ever."""
    logging.getLogger("arq").setLevel(logging.WARNING)
    away = False
    while True:
        # A worker of arq cannot be used again after it has fallen.
        ear = _Ear(redis_url, listener)
        started = time.monotonic()
        try:
            await ear.listen()
        except Exception as error:
            # Said once per outage, not once per attempt.
            if not away or time.monotonic() - started > 5 * REDIS_PAUSE_SECONDS:
                log.warning(
                    "Redis at %s does not answer; jobs start within two seconds all the same. "
                    "Start it, or correct KAOPING_REDIS_URL. %s",
                    place_of(redis_url),
                    _innermost(error),
                )
            away = True
        finally:
            await ear.hang_up()
        await asyncio.sleep(REDIS_PAUSE_SECONDS)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Ear:
    """One life of arq's worker."""

    def __init__(self, redis_url: str, listener: Listener) -> None:
        self._listener = listener
        self._arq = Worker(
            functions=[func(cast("WorkerCoroutine", self._ring), name="ring", keep_result=0, max_tries=1)],
            queue_name=QUEUE,
            redis_settings=redis_settings(redis_url),
            handle_signals=False,
            max_jobs=RINGS_AT_ONCE,
            job_timeout=10,
            keep_result=0,
            max_tries=1,
            poll_delay=0.02,
            job_serializer=encode,
            job_deserializer=decode,
            log_results=False,
        )

    async def listen(self) -> None:
        """Until Redis is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._arq.main())
            group.create_task(self._mind_the_places())

    async def _ring(self, _context: dict[str, Any], tenant_id: str) -> None:
        self._listener.wake(UUID(tenant_id))
        asyncio.get_running_loop().call_later(ECHO_SECONDS, self._listener.wake, UUID(tenant_id))

    async def _mind_the_places(self) -> None:
        """Leave rings to other workers while all places are taken here."""
        while True:
            self._arq.allow_pick_jobs = self._listener.has_room
            await asyncio.sleep(0.02)

    async def hang_up(self) -> None:
        """Close arq's connections, whatever state they are in."""
        with contextlib.suppress(Exception):
            await asyncio.gather(*self._arq.tasks.values(), return_exceptions=True)
            await self._arq.pool.close(close_connection_pool=True)
