"""The worker (后台进程): runs jobs until it is told to end.

Beside each other live: arq, which only listens for the doorbell; the dispatcher, which about every second gives lost
jobs back and looks who has jobs that are due; and the jobs, each claimed by its row. Redis may be away or wiped at any
moment: jobs start up to two seconds later, no more.
"""

import asyncio
import functools
import logging
import signal
from collections.abc import Mapping
from typing import Any

from service import jobs, metrics, telemetry
from service.doorbell import Doorbell
from service.health import Ending, Health, database_check
from service.jobs import Kind
from service.jobs.kinds import step_of
from service.pulse import Pulse
from service.serving import door
from service.settings import Settings
from service.wakeups import Relay
from service.worker.apart import Apart
from service.worker.listening import listen
from service.worker.running import SLOTS, JobWorker
from tenants.database import Database

__all__ = ["SLOTS", "JobWorker", "run_worker", "step_of"]

DRAIN_SECONDS = 25.0
"""How long a worker that was told to end waits for its jobs before it gives them back."""

log = logging.getLogger(__name__)


async def run_worker(settings: Settings, *, kinds: Mapping[str, Kind[Any]] = jobs.KINDS) -> None:
    """Run jobs until SIGTERM or SIGINT; then finish what runs, for at most 25 seconds, give the rest back, and return.

    The settings name running servers. A second signal gives the jobs back at once.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError("A worker needs the addresses of running servers.")
    database_url, redis_url = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    stop_tracing = telemetry.start(settings, "worker")
    db = await Database.connect(database_url, max_size=max(settings.pool_size, SLOTS + 2))
    doorbell = Doorbell(redis_url)
    db.announced = doorbell.announced
    pulse = Pulse(database_url, lease_seconds=settings.lease_seconds)
    apart = Apart(settings)
    worker = JobWorker(db, pulse, apart, kinds, settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, functools.partial(_told_to_end, ended, worker))
    pulse.start()
    health = Health(Ending(), {"database": database_check(db), "dispatcher": worker.looks}, {"redis": doorbell.answers})
    metrics.watch_pool(db.use)
    relay = Relay(db, redis_url)
    loops = [
        asyncio.create_task(apart.warm_up(list(kinds.values()))),
        asyncio.create_task(worker.dispatch()),
        asyncio.create_task(listen(redis_url, worker)),
        asyncio.create_task(relay.run()),
    ]
    log.info("The worker is ready.")
    try:
        async with door(settings, health):
            await ended.wait()
            health.ending.told.set()
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await worker.drain(DRAIN_SECONDS)
    finally:
        pulse.end()
        await relay.close()
        await doorbell.close()
        await db.close()
        await asyncio.to_thread(stop_tracing)
    log.info("The worker has ended.")


def _told_to_end(ended: asyncio.Event, worker: JobWorker) -> None:
    if ended.is_set():
        worker.hurry.set()
    ended.set()
