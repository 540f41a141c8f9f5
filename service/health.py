"""Whether a process lives, is ready for work, or has been told to end (健康检查); what its probes and metrics answer.

`/livez` asks nothing of anybody: a restart would not mend what is away. `/readyz` asks the database, and whether it has
the migrations of this program; Redis away only delays work, so it is named and refuses nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import metrics
from tenants.database import Database
from tenants.migrate import MISSING_SQL, program_migrations

READY_SECONDS = 2.0
"""How long a check of readiness may take."""

SLOW_SECONDS = 10.0
"""So long after it was well a check that only takes too long still counts as well: under a load that slows all replicas
alike, taking one after the other out would leave none."""

logger = logging.getLogger("kaoping.health")

Check = Callable[[], Awaitable[object]]


class MigrationsMissing(Exception):
    """The database lacks migrations that this program was written for."""


class Ending:
    """How far a process is on its way out.

    `told`: it was told to end; it is unready, and does all as before. `closing`: whoever noticed has gone elsewhere;
    now what stays open by itself is to be closed. `sockets` counts what is open of that.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.closing = asyncio.Event()
        self._sockets = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def socket_opened(self) -> None:
        """One more WebSocket is served."""
        self._sockets += 1
        self._none_left.clear()
        metrics.WEBSOCKETS_OPEN.inc()

    def socket_closed(self) -> None:
        """And one less."""
        self._sockets -= 1
        metrics.WEBSOCKETS_OPEN.dec()
        if not self._sockets:
            self._none_left.set()

    async def sockets_gone(self, seconds: float) -> None:
        """Wait until no WebSocket is left, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._none_left.wait()
        except TimeoutError:
            logger.warning("%d WebSockets did not close in time.", self._sockets)


class Health:
    """What a process answers to probes. Without all of `needed` it is unready, without one of `helpful` degraded."""

    def __init__(self, ending: Ending, needed: Mapping[str, Check], helpful: Mapping[str, Check] | None = None) -> None:
        self.ending = ending
        self.needed = dict(needed)
        self.helpful = dict(helpful or {})
        self._well: dict[str, float] = {}

    async def live(self, _: Request) -> Response:
        """Whether the process answers at all."""
        return answer({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Whether work can be done here now: `ready`, `degraded` (both 200), `unready` or `ending` (both 503)."""
        if self.ending.told.is_set():
            metrics.READY.set(0)
            return answer({"status": "ending", "checks": {}}, 503)
        results = await check_all({**self.needed, **self.helpful})
        now = time.monotonic()
        self._well |= {name: now for name, result in results.items() if result == "ok"}
        slow = {
            name
            for name, result in results.items()
            if result == TimeoutError.__name__ and now - self._well.get(name, float("-inf")) < SLOW_SECONDS
        }
        failed = {name for name, result in results.items() if result != "ok"} - slow
        unready = failed & set(self.needed)
        if failed:
            logger.log(logging.WARNING if unready else logging.INFO, "Not all is well: %s", results)
        metrics.READY.set(0 if unready else 1)
        status = "unready" if unready else "degraded" if failed else "ready"
        return answer({"status": status, "checks": results}, 503 if unready else 200)

    def routes(self) -> list[Route]:
        """The addresses of both."""
        return [Route("/livez", self.live), Route("/readyz", self.ready)]


async def check_all(checks: Mapping[str, Check]) -> dict[str, str]:
    """`ok` or what is wrong (the kind of error, never its words), by name; none takes longer than READY_SECONDS."""

    async def one(check: Check) -> str:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await check()
        except Exception as error:
            return type(error).__name__
        return "ok"

    return dict(zip(checks, await asyncio.gather(*map(one, checks.values())), strict=True))


def database_check(db: Database) -> Check:
    """Asks the database, and for the migrations of this program; one that has more of them serves as well."""
    wanted = program_migrations()

    async def check() -> None:
        missing = [row["name"] for row in await db.fetch_global(MISSING_SQL, wanted)]
        if missing:
            logger.warning("The database lacks migrations: %s. Run: kaoping migrate", ", ".join(missing))
            raise MigrationsMissing

    return check


async def show_metrics(_: Request) -> Response:
    """All metrics, for Prometheus."""
    return Response(metrics.rendered(), headers={"cache-control": "no-store", "content-type": metrics.CONTENT_TYPE})


METRICS = Route("/metrics", show_metrics)


def create_door(health: Health) -> Starlette:
    """The application of a port of its own: probes and metrics, nothing of the API."""
    return Starlette(routes=[*health.routes(), METRICS])


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response of JSON that nobody keeps."""
    own = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, own, media_type="application/json")
