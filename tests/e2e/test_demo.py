"""The demo district through the API and a real worker: its boards equal the engine over the true values."""

import asyncio
import io
import time

import pytest
from rich.console import Console

from service.demo.district import ROOT_CODE, ROOT_NAME, TENANT_CODE, TENANT_NAME, TIME_ZONE, build
from service.demo.library import library
from service.demo.runner import run_demo
from service.scoring import compute, parse_scheme
from tenants.database import Database
from tenants.provisioning import create_tenant, list_tenants
from tests.counting import check_counters
from tests.e2e.client import Client, Installation
from tests.service.demo.engine import document, snapshot

SEED = 2026

CYCLES = """query ($after: String) { cycles(first: 100, after: $after) { pageInfo { hasNextPage endCursor }
  edges { node { state publications { id kind } stats { submitted submittedLate returned } } } } }"""

STANDINGS = """query ($id: ID!, $after: String) { publication(id: $id) {
  standings(first: 100, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
    total exact rank status daysLate unit { code }
  } } } } }"""


async def district(owner_url: str) -> None:
    """The district, where no other test has made it."""
    if TENANT_CODE not in {found.code for found in await list_tenants(owner_url)}:
        await create_tenant(
            owner_url,
            code=TENANT_CODE,
            name=TENANT_NAME,
            time_zone=TIME_ZONE,
            root_code=ROOT_CODE,
            root_name=ROOT_NAME,
        )


@pytest.fixture(scope="module")
def printed(installation: Installation, owner_url: str) -> tuple[Installation, str, str, float]:
    """The demo run twice: what it printed first, what it printed again, and how long that took (1: as long)."""
    asyncio.run(district(owner_url))

    async def administrator_token() -> str:
        made = await asyncio.to_thread(
            installation.kaoping, "token", "create", "--tenant", TENANT_CODE, "--role", "administrator"
        )
        token: str = made["token"]
        return token

    def run() -> str:
        out = io.StringIO()
        console = Console(file=out, width=170)
        asyncio.run(
            run_demo(
                base_url=installation.url, administrator_token=administrator_token, seed=SEED, out=console, top=None
            )
        )
        return out.getvalue()

    began = time.monotonic()
    first = run()
    between = time.monotonic()
    second = run()
    return installation, first, second, (time.monotonic() - between) / (between - began)


def observer(installation: Installation) -> Client:
    return installation.client(TENANT_CODE, "observer")


def test_every_total_and_rank_is_the_engines_over_the_true_values(
    printed: tuple[Installation, str, str, float],
) -> None:
    district, client = build(SEED), observer(printed[0])
    scheme, faults = parse_scheme(document(library()))
    assert scheme is not None
    assert not faults
    truth = compute(scheme, snapshot(library(), district))
    expected = {
        unit.code: (total, exact, rank, status)
        for unit, total, exact, rank, status in zip(
            district.units,
            truth.totals(),
            truth.exact_totals(),
            truth.ranks(),
            truth.statuses(),
            strict=True,
        )
    }
    shown = {}
    late = set()
    for cycle in client.nodes(CYCLES, "cycles"):
        for publication in cycle["publications"]:
            for row in client.nodes(STANDINGS, "publication", "standings", id=publication["id"]):
                shown[row["unit"]["code"]] = (row["total"], row["exact"], row["rank"], row["status"])
                if row["daysLate"]:
                    late.add(row["unit"]["code"])
    assert shown == expected
    assert late == {unit.code for unit in district.units if unit.category == "school"}


def test_both_cycles_are_noticed_with_late_and_returned_values(
    printed: tuple[Installation, str, str, float],
) -> None:
    cycles = observer(printed[0]).nodes(CYCLES, "cycles")
    assert [cycle["state"] for cycle in cycles] == ["NOTICED", "NOTICED"]
    assert [publication["kind"] for cycle in cycles for publication in cycle["publications"]] == ["NOTICE", "NOTICE"]
    assert sum(cycle["stats"]["submittedLate"] for cycle in cycles) > 0
    # What was returned and never sent again.
    assert sum(cycle["stats"]["returned"] for cycle in cycles) > 0


@pytest.mark.anyio
@pytest.mark.usefixtures("printed")
async def test_the_counters_of_both_cycles_equal_their_rows(owner_url: str, db: Database) -> None:
    (found,) = [tenant for tenant in await list_tenants(owner_url) if tenant.code == TENANT_CODE]
    assert await check_counters(db, found.id)


def test_the_board_in_print_names_every_unit_and_the_second_run_prints_it_again_soon(
    printed: tuple[Installation, str, str, float],
) -> None:
    _, first, second, share = printed
    for unit in build(SEED).units:
        assert unit.name in first
    assert all(mark in first for mark in ("并列", "数据不足", "1天 −0.2", "✓"))
    assert "✗" not in first
    assert "订阅不可用" not in first
    board = first.index("春晖区", first.index("读取成绩榜"))
    assert second.endswith(first[board:])
    assert share < 0.5
