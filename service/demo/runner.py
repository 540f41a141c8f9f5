"""Run a whole assessment of the demo district through the GraphQL API (演示：完整考核周期), as its offices would.

Each step reads where the district stands and does only what is missing; a second run finds the published boards and
prints them.
"""

from collections.abc import Awaitable, Callable

import httpx
from rich.console import Console

from service.demo import documents
from service.demo.board import TOP, Printer
from service.demo.client import REQUEST_SECONDS, Api
from service.demo.district import build
from service.demo.library import Json
from service.demo.reporting import report
from service.demo.reviewing import judge
from service.demo.session import Session
from service.demo.setup import prepare
from service.language import Language
from service.scoring.text import Text

CONNECTIONS = 8


async def run_demo(
    *,
    base_url: str,
    administrator_token: Callable[[], Awaitable[str]],
    seed: int,
    out: Console,
    language: Language = "zh-CN",
    top: int | None = TOP,
) -> None:
    """Bring the district's cycles to their boards through the API at `base_url`, and print each step and the boards.

    `administrator_token` is asked for only where the district has no accounts yet. `seed` makes the figures; a district
    that exists keeps those it has. `top` is how many rows of each category are printed; None for all. Raises
    session.DemoError, client.RefusedError or client.UnreachableError.
    """
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS, limits=limits, trust_env=False) as http:
        api = Api(http, address=f"{base_url}/graphql", language=language)
        session = Session(api, build(seed), Printer(out, language))
        await _find(session)
        if len(session.publications) < len(session.rounds):
            await prepare(session, administrator_token)
            await report(session)
            await judge(session)
            await _publish(session)
        await _show(session, top)
    session.printer.closing(base_url=base_url, accounts=session.district.accounts)


async def _find(session: Session) -> None:
    """Sign in as the organiser, if there is one, and look for the rounds' cycles and boards."""
    with session.printer.step(Text("查找已有考核结果", "Look for boards that exist")) as step:
        organiser = await session.caller_if_any("kaohe")
        if organiser is not None:
            await _look(session, organiser)
        count = len(session.publications)
        step.note = session.printer.say(Text(f"已发布{count}份", f"{count} published"))


async def _look(session: Session, organiser: Api) -> None:
    cycles = {node["code"]: node for node in await organiser.nodes(documents.CYCLES, "cycles")}
    session.publications = []
    for round_ in session.rounds:
        # A district that is older than a year keeps the cycles that it has: the newest is the one to show.
        codes = sorted(code for code in cycles if code.startswith(f"{round_.key}-"))
        if codes:
            cycle = cycles[codes[-1]]
            round_.id = cycle["id"]
            session.publications += [publication["id"] for publication in cycle["publications"][:1]]


async def _publish(session: Session) -> None:
    """Start the runs and follow them, adopt and publish them."""
    organiser = await session.organiser()
    for round_ in session.rounds:
        with session.printer.step(Text(f"成绩测算：{round_.title}", f"Ranking run: {round_.key}")) as step:
            cycle = await session.cycle(organiser, round_)
            run = cycle["latestRun"]
            if run is None or run["state"] in {"FAILED", "CANCELLED"}:
                started = await organiser.mutate("startRankingRun", "run { id state }", cycleId=round_.id)
                run = started["run"]
            ended = await session.wait_for_run(organiser, run["id"], step.tell)
            units, missing, waiting = ended["progress"]["unitsTotal"], ended["missingCount"], ended["unreviewedCount"]
            step.note = session.printer.say(
                Text(
                    f"{units}个单位，缺报{missing}项，未审核{waiting}项",
                    f"{units} units, {missing} values missing, {waiting} leaves not reviewed",
                )
            )
        with session.printer.step(Text(f"采用结果并公示：{round_.title}", f"Publish: {round_.key}")) as step:
            cycle = await session.cycle(organiser, round_)
            if cycle["state"] == "REVIEWING":
                await organiser.mutate("adoptRun", "cycle { id }", runId=run["id"], version=cycle["version"])
                cycle = await session.cycle(organiser, round_)
            if not cycle["publications"]:
                made = await organiser.mutate(
                    "publishRun",
                    "publication { id digest }",
                    runId=run["id"],
                    version=cycle["version"],
                    kind="NOTICE",
                    title=f"{session.title(round_)}结果公示",
                )
                step.note = f"SHA-256 {made['publication']['digest'][:16]}…"
    await _look(session, organiser)


async def _show(session: Session, top: int | None) -> None:
    """Read the boards as who may only read, and print them."""
    observer = await session.caller("chayue")
    boards = []
    with session.printer.step(Text("读取成绩榜", "Read the boards")) as step:
        for publication in session.publications:
            data = await observer.query(documents.PUBLICATION, id=publication)
            board: Json = data["publication"]
            board["rows"] = await observer.nodes(documents.STANDINGS, "publication", "standings", id=publication)
            boards.append(board)
        count = sum(len(board["rows"]) for board in boards)
        step.note = session.printer.say(Text(f"{count}个单位", f"{count} units"))
    short_names = {node.code: node.short_name or node.name for node in session.scheme.dimensions()}
    for board in boards:
        session.printer.board(board, short_names=short_names, top=top)
