"""What all tests share: real servers, a migrated database, and a fresh district for every test that asks for one.

With KAOPING_DATABASE_URL, KAOPING_DATABASE_OWNER_URL and KAOPING_REDIS_URL set, the suite runs on those servers; else
on embedded ones in a folder that is thrown away. Tests commit for real and clean nothing: each works in districts of
its own, and isolation between districts is the product.

`make test` runs files of tests side by side, in as many processes as there are cores, each with embedded servers of its
own. Servers of one's own are for one process: workers of one test would take the jobs of another.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest

from service import embedded
from service.settings import Settings
from tenants.database import Database
from tenants.migrate import migrate
from tenants.provisioning import District, create_tenant
from tests.databases import PRISTINE, created, dropped
from tests.faults.figures import Figures

HERE = Path(__file__).parent

# What is drawn is the same at every run, and no machine is too slow for it.
hypothesis.settings.register_profile(
    "suite",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")

MOST_PROCESSES = 4
"""Each has a PostgreSQL, a Redis, and what its tests start."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` is; 0 is this one alone."""
    if not Settings.read(signs=False).embedded:
        return 0
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


FIRST = ("e2e", "faults", "tenants", "test_packaging.py", "service")
"""What is slow comes first, so that no process ends long after the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order what was collected, file by file."""

    def place(item: pytest.Item) -> int:
        part = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        return FIRST.index(part) if part in FIRST else len(FIRST)

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests of faults counted, in whichever process they ran."""
    counted = [
        Figures(**value)
        for report in terminalreporter.stats.get("", [])
        for name, value in getattr(report, "user_properties", [])
        if name == "faults"
    ]
    if counted:
        terminalreporter.section("faults")
        terminalreporter.write_line(str(sum(counted, Figures())))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only; of the session, so that connections live in one event loop."""
    return "asyncio"


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """Settings with the addresses of running servers, whose database is migrated."""
    own = Settings.read(
        needs=["database_owner_url", "redis_url"],
        signing_key="a key for tests only, of 32 bytes or more",
        language="en",
        drain_seconds=0,
    )
    if not own.embedded:
        asyncio.run(_migrated(own))
        yield own
        return
    # Under the system's folder for temporary files, not pytest's: the path must be one that other accounts can pass.
    folder = Path(tempfile.mkdtemp(prefix="kaoping-tests-"))
    with removed_at_the_end(folder):
        servers = embedded.start(folder, postgres_version=own.embedded_postgres, durable=False)
        running = own.model_copy(update={"data": folder}).on(servers)
        asyncio.run(_migrated(running))
        asyncio.run(_kept_as_it_is(servers.superuser_url))
        yield running


@contextlib.contextmanager
def removed_at_the_end(folder: Path) -> Iterator[None]:
    """Stop the folder's servers and remove it, also where the suite is killed: another process waits for our end."""
    waiting = (
        "import sys, pathlib as p; from service import embedded; sys.stdin.read(); embedded.remove(p.Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ) as waiter:
        yield
        assert waiter.stdin is not None
        waiter.stdin.close()
        assert waiter.wait() == 0


async def _migrated(settings: Settings) -> None:
    assert settings.database_url is not None
    assert settings.database_owner_url is not None
    await migrate(settings.database_owner_url.get_secret_value(), settings.database_url.get_secret_value())


async def _kept_as_it_is(superuser_url: str) -> None:
    connection = await asyncpg.connect(urlunsplit(urlsplit(superuser_url)._replace(path="/postgres")))
    try:
        # A template may be copied by whoever may make databases.
        await connection.execute(f"CREATE DATABASE {PRISTINE} TEMPLATE kaoping OWNER kp_owner IS_TEMPLATE true")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def owner_url(settings: Settings) -> str:
    """The database as the role that migrates and provisions."""
    assert settings.database_owner_url is not None
    return settings.database_owner_url.get_secret_value()


@pytest.fixture(scope="session")
def app_url(settings: Settings) -> str:
    """The database as the app's role."""
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@pytest.fixture(scope="session")
def redis_url(settings: Settings) -> str:
    """Redis."""
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


@pytest.fixture(scope="session")
async def db(app_url: str) -> AsyncIterator[Database]:
    """Connections as the app's role."""
    database = await Database.connect(app_url)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def apart(settings: Settings) -> AsyncIterator[Settings]:
    """With a database of the module's own: which way PostgreSQL goes depends on how much all districts have."""
    name = f"kaoping_test_{uuid.uuid4().hex[:12]}"
    yield await created(settings, name)
    await dropped(settings, name)


@pytest.fixture
async def own(app_url: str) -> AsyncIterator[Database]:
    """A pool of three connections that nobody else uses."""
    db = await Database.connect(app_url, max_size=3)
    try:
        yield db
    finally:
        await db.close()


MakeTenant = Callable[[], Awaitable[District]]


@pytest.fixture
def make_tenant(owner_url: str) -> MakeTenant:
    """Makes districts: each with a root unit whose code is `root`, and nothing else."""

    async def make() -> District:
        return await create_tenant(
            owner_url,
            code=f"test-{uuid.uuid4().hex[:12]}",
            name="测试区",
            time_zone="Asia/Shanghai",
            root_code="root",
            root_name="中共测试区委员会",
        )

    return make


@pytest.fixture
async def tenant(make_tenant: MakeTenant) -> District:
    """A district of the test's own."""
    return await make_tenant()
