"""What all steps of the demo share: who is signed in, the ids learned so far, and calls that many steps make."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from service.demo import documents
from service.demo.board import Printer
from service.demo.client import Api, RefusedError, UnreachableError
from service.demo.district import PASSWORD, TENANT_CODE, TENANT_NAME, TIME_ZONE, District, Unit, Value
from service.demo.library import Json, library
from service.scoring.text import Text

AT_ONCE = 2000
"""The most entries or judgements in one call; the API takes 5,000."""

WAIT_SECONDS = 180.0
"""How long a job may take."""

POLL_SECONDS = 0.25
"""Pause between two looks at a job where the subscription fails."""

FINISHED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


class DemoError(Exception):
    """The demo can't go on; the message says at what and why."""


@dataclass
class Round:
    """One cycle of the demo. `due` counts in days from today; `id` is known once the cycle exists."""

    key: str
    title: str
    categories: tuple[str, ...]
    due: int
    id: str = ""

    def units(self, district: District) -> list[Unit]:
        """Units that it assesses."""
        return [unit for unit in district.units if unit.category in self.categories]


def rounds() -> list[Round]:
    """The two cycles of the demo.

    Communities, villages, offices and new-domain organisations report until the end of today. Schools were due
    yesterday and are within their days of grace: the database's clock judges lateness, so what they send today is late.
    No date is moved afterwards.
    """
    return [
        Round("main", "考核", ("community", "village", "agency", "newdomain"), 0),
        Round("schools", "考核（学校）", ("school",), -1),
    ]


@dataclass(frozen=True)
class Period:
    """The twelve whole months before today, which the cycles assess."""

    starts_on: date
    ends_on: date
    today: date

    @classmethod
    def before(cls, today: date) -> "Period":
        """The period that ended with the month before `today`."""
        first = today.replace(day=1)
        return cls(first.replace(year=first.year - 1), first - timedelta(days=1), today)

    @property
    def name(self) -> str:
        """Such as 2026年度."""
        return f"{self.ends_on.year}年度"


class Session:
    """One run of the demo. Ids are by code; `publications` are the boards that are out, one of each round."""

    def __init__(self, api: Api, district: District, printer: Printer) -> None:
        self.api = api
        self.district = district
        self.printer = printer
        self.scheme = library()
        self.period = Period.before(datetime.now(ZoneInfo(TIME_ZONE)).date())
        """By this machine's clock, until the database's is known."""
        self.rounds = rounds()
        self.units: dict[str, str] = {}
        self.categories: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.indicators: dict[str, str] = {}
        self.publications: list[str] = []
        self._callers: dict[str, Api] = {}

    def title(self, round_: Round) -> str:
        """Name of a round's cycle, such as 春晖区2026年度党建引领基层治理考核."""
        return f"{TENANT_NAME}{self.period.name}党建引领基层治理{round_.title}"

    async def caller(self, name: str) -> Api:
        """The API as one account, signed in once. Raises RefusedError where it can't sign in."""
        if name not in self._callers:
            result = await self.api.mutate("signIn", "token", tenantCode=TENANT_CODE, name=name, password=PASSWORD)
            self._callers[name] = self.api.signed_in(result["token"])
        return self._callers[name]

    async def caller_if_any(self, name: str) -> Api | None:
        """The same, or None where the account does not exist yet."""
        try:
            return await self.caller(name)
        except RefusedError as error:
            if error.code in {"UNAUTHENTICATED", "NOT_FOUND", "FORBIDDEN", "INVALID"}:
                return None
            raise

    async def read_today(self, api: Api) -> None:
        """Take today from the clock that judges lateness."""
        data = await api.query(documents.TODAY)
        self.period = Period.before(date.fromisoformat(data["tenant"]["today"]))

    async def secretary(self, town: Unit) -> Api:
        """Who reports for a town's units."""
        return await self.caller(f"tianbao-{town.code.lower()}")

    async def reviewer(self, town: Unit) -> Api:
        """Who reviews a town's units."""
        return await self.caller(f"shenhe-{town.code.lower()}")

    async def assessor(self, department: str | None) -> Api:
        """Who fills and awards for a department, by its code."""
        return await self.caller(f"pingfen-{department}")

    async def organiser(self) -> Api:
        """Who runs the assessment."""
        return await self.caller("kaohe")

    async def cycle(self, api: Api, round_: Round) -> Json:
        """A round's cycle as it is now."""
        data = await api.query(documents.CYCLE, id=round_.id)
        cycle: Json | None = data["cycle"]
        if cycle is None:
            raise DemoError(self.printer.say(Text(f"读不到周期{round_.key}", f"The cycle {round_.key} can't be read")))
        return cycle

    async def tasks(self, api: Api, round_: Round, **wanted: object) -> list[Json]:
        """Tasks of a round under a filter."""
        return await api.nodes(documents.TASKS, "cycle", "tasks", id=round_.id, filter=wanted)

    async def assessments(self, api: Api, round_: Round, **wanted: object) -> list[Json]:
        """Assessments of a round under a filter."""
        return await api.nodes(documents.ASSESSMENTS, "cycle", "assessments", id=round_.id, filter=wanted)

    async def reports(self, api: Api, round_: Round, town: Unit) -> dict[str, Json]:
        """Reports of a town's assessed units, by the unit's code."""
        wanted = {"underId": self.units[town.code], "assessed": True}
        nodes = await api.nodes(documents.CYCLE_UNITS, "cycle", "units", id=round_.id, filter=wanted)
        return {node["code"]: node["report"] for node in nodes if node["report"] is not None}

    async def save(self, api: Api, entries: Sequence[Json]) -> list[Json]:
        """Save drafts; ids and versions of the entries, in order."""
        saved: list[Json] = []
        for part in parts(entries):
            result = await api.mutate("saveEntries", "entries { id version }", entries=part)
            saved += result["entries"]
        return saved

    async def judge(self, api: Api, reviews: Sequence[Json]) -> None:
        """Send judgements."""
        for part in parts(reviews):
            await api.mutate("reviewAssessments", "assessments { id }", reviews=part)

    async def wait_for_job(self, api: Api, job: str, tell: Callable[[str], None]) -> Json:
        """The job at its end. Raises DemoError where it fails or takes too long."""

        def words(state: Json) -> str:
            return f"{state['percent']}%  {state['message']}"

        watched = api.watch("jobChanged", documents.JOB_CHANGED, id=job)
        looked = _looks(api, "job", documents.JOB, job)
        return await self._wait(watched, "job", looked, lambda state: tell(words(state)))

    async def wait_for_run(self, api: Api, run: str, tell: Callable[[str], None]) -> Json:
        """The ranking run at its end. Raises DemoError where it fails or takes too long."""

        def words(state: Json) -> str:
            progress = state["progress"]
            return f"{progress['percent']}%  {progress['message']}"

        watched = api.watch("rankingRunChanged", documents.RUN_CHANGED, id=run)
        looked = _looks(api, "rankingRun", documents.RUN, run)
        return await self._wait(watched, "run", looked, lambda state: tell(words(state)))

    async def _wait(
        self,
        watched: AsyncGenerator[Json, None],
        field: str,
        looked: AsyncGenerator[Json, None],
        tell: Callable[[Json], None],
    ) -> Json:
        """Follow the subscription; where it fails or ends early, look again and again."""
        state: Json = {"state": ""}
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                try:
                    async with aclosing(watched):
                        async for message in watched:
                            state = message[field]
                            tell(state)
                            if state["state"] in FINISHED:
                                break
                except (UnreachableError, RefusedError):
                    self.printer.console.print(
                        self.printer.say(
                            Text("   （订阅不可用，改为轮询）", "   (no subscription; asking again and again)")
                        )
                    )
                async with aclosing(looked):
                    while state["state"] not in FINISHED:
                        state = await anext(looked)
                        tell(state)
        except TimeoutError:
            seconds = f"{WAIT_SECONDS:.0f}"
            raise DemoError(
                self.printer.say(
                    Text(
                        f"后台任务{seconds}秒内未完成，请确认 kaoping worker 正在运行。",
                        f"The job did not end within {seconds} s. Is kaoping worker running?",
                    )
                )
            ) from None
        if state["state"] != "SUCCEEDED":
            reason = state.get("lastError") or (state.get("job") or {}).get("lastError") or state["state"]
            raise DemoError(self.printer.say(Text(f"后台任务失败：{reason}", f"The job failed: {reason}")))
        return state


async def _looks(api: Api, field: str, document: str, id_: str) -> AsyncGenerator[Json, None]:
    """The state of a job or run now, and again after each pause, without end."""
    while True:
        data = await api.query(document, id=id_)
        yield data[field]
        await asyncio.sleep(POLL_SECONDS)


def parts(things: Sequence[Json]) -> Iterator[list[Json]]:
    """The things in calls of at most AT_ONCE."""
    for start in range(0, len(things), AT_ONCE):
        yield list(things[start : start + AT_ONCE])


def entry(task: Json, value: Value, *, reason: str | None = None) -> Json:
    """One value for a task, as `saveEntries` takes it; `reason` where it replaces a submitted one."""
    written: Json = {"taskId": task["id"], "content": content(value)}
    if task["entry"] is not None:
        written["version"] = task["entry"]["version"]
    if reason is not None:
        written["reason"] = reason
    return written


def content(value: Value) -> Json:
    """A value in the form of its type."""
    return {"yesNo": value} if isinstance(value, bool) else {"number": str(value)}


def review(node: Json, decision: Json) -> Json:
    """One judgement, as `reviewAssessments` takes it."""
    return {"assessmentId": node["id"], "version": node["version"], "decision": decision}
