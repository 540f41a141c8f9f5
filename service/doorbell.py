"""The doorbell (门铃): wakes a worker after the commit of a request, so that it need not wait for its next look around.

It rings for a district, not for a job: a ring that still waits says all that the next one would, so that a thousand
requests leave one. It holds nothing. A ring that fails or is lost is counted, and the job starts a little later: every
worker looks at the rows itself about every second.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import orjson
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError

from service import metrics
from service.jobs import Due

QUEUE = "kaoping:jobs"
"""Key of arq's queue."""

TIMEOUT_SECONDS = 0.5
"""How long Redis may take to answer."""

MAX_RINGING = 1000
"""Rings under way at once; more are dropped, and counted as failed."""

_KEPT_MS = 60 * 60 * 1000

log = logging.getLogger(__name__)


def encode(value: Any) -> bytes:
    """arq's messages as JSON; its default is pickle, which runs what it reads."""
    return orjson.dumps(value)


def decode(value: bytes) -> Any:
    """The reverse of `encode`."""
    return orjson.loads(value)


def redis_settings(url: str) -> RedisSettings:
    """How arq reaches Redis: one attempt, in short time; what follows a failure is for the caller to say."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0
    # arq leaves what is escaped in an address as it is.
    settings.username = settings.username and unquote(settings.username)
    settings.password = settings.password and unquote(settings.password)
    return settings


class Doorbell:
    """Rings for jobs. `rung` and `failed` count."""

    def __init__(self, redis_url: str) -> None:
        settings = redis_settings(redis_url)
        assert isinstance(settings.host, str)
        self.rung = 0
        self.failed = 0
        self._redis = ArqRedis(
            host=settings.host,
            port=settings.port,
            unix_socket_path=settings.unix_socket_path,
            db=settings.database,
            username=settings.username,
            password=settings.password,
            ssl=settings.ssl,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            job_serializer=encode,
            job_deserializer=decode,
            default_queue_name=QUEUE,
            expires_extra_ms=_KEPT_MS,
        )
        self._ringing: set[asyncio.Task[bool]] = set()

    async def ring(self, tenant_id: UUID) -> bool:
        """Ring once; False where Redis did not take it. A ring that still waits is not doubled."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                await self._redis.enqueue_job("ring", str(tenant_id), _job_id=str(tenant_id))
        except (RedisError, OSError, TimeoutError) as error:
            self.failed += 1
            metrics.DOORBELL.labels("failed").inc()
            log.debug("Redis did not take a ring: %s", error)
            return False
        self.rung += 1
        metrics.DOORBELL.labels("rung").inc()
        return True

    async def answers(self) -> None:
        """Ask whether Redis is there; raises where it is not."""
        await self._redis.ping()

    def announced(self, tenant_id: UUID, what: Sequence[object]) -> None:
        """Ring for the jobs among the announcements of a commit, without waiting: for `Database.announced`."""
        if not any(isinstance(one, Due) for one in what):
            return
        if len(self._ringing) >= MAX_RINGING:
            self.failed += 1
            metrics.DOORBELL.labels("dropped").inc()
            return
        task = asyncio.get_running_loop().create_task(self.ring(tenant_id))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def close(self) -> None:
        """Let the last rings go out, and close the connections."""
        if self._ringing:
            await asyncio.wait(set(self._ringing), timeout=2 * TIMEOUT_SECONDS)
        await self._redis.aclose()
