"""Servers of these tests' own, durable ones, which they may break; and the figures at the end.

`make test` runs a short form of each test, `make faults` (`--full`) the whole one.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from service import embedded
from service.settings import Settings
from tenants.database import Database
from tenants.migrate import migrate
from tests import conftest as suite
from tests.conftest import MakeTenant, removed_at_the_end
from tests.faults.figures import Figures
from tests.faults.standing import Stand, ringing

LEASE_SECONDS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="tests/faults: the whole form of each test")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the whole form is wanted."""
    return bool(request.config.getoption("--full", default=False))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """What happens in a test; printed at the end, for all of them (tests/conftest.py)."""
    figures = Figures()
    yield figures
    request.node.user_properties.append(("faults", asdict(figures)))


@pytest.fixture(scope="session")
def given() -> Settings:
    """What the environment says, of which the addresses of servers are not used."""
    return Settings.read(signing_key="a key for tests only, of 32 bytes or more", language="en")


@pytest.fixture(scope="session")
def data(given: Settings) -> Iterator[Path]:
    """The folder of servers that keep what they acknowledged (fsync on)."""
    folder = Path(tempfile.mkdtemp(prefix="kaoping-faults-"))
    with removed_at_the_end(folder):
        embedded.start(folder, postgres_version=given.embedded_postgres, durable=True)
        yield folder


@pytest.fixture(scope="session")
def settings(given: Settings, data: Path) -> Settings:
    """Settings on these servers, with a short lease."""
    servers = embedded.addresses(data)
    own = given.model_copy(update={"data": data, "lease_seconds": LEASE_SECONDS}).on(servers)
    asyncio.run(migrate(servers.database_owner_url, servers.database_url))
    return own


# Said anew, these ask for the settings above: a fixture of the session that another test has asked for already stays
# with the settings of that time.
owner_url, app_url, redis_url, db = suite.owner_url, suite.app_url, suite.redis_url, suite.db


@pytest.fixture
async def stand(
    data: Path,
    settings: Settings,
    app_url: str,
    make_tenant: MakeTenant,
    tmp_path: Path,
    figures: Figures,
) -> AsyncIterator[Stand]:
    """A stand with connections and a doorbell of its own."""
    db = await Database.connect(app_url)
    bell = ringing(db, settings)
    stand = Stand(data, settings, db, make_tenant, tmp_path, figures)
    try:
        yield stand
    finally:
        stand.end()
        await bell.close()
        with contextlib.suppress(Exception):
            await db.close()
