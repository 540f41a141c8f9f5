"""What the demo prints: its steps with their times, the board as a table (成绩榜), and how to sign in.

On a terminal the table takes the width that there is and drops columns in a fixed order; elsewhere it is plain text of
`PLAIN_WIDTH` columns. Han characters take two columns each, which rich reckons with.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import partial
from zoneinfo import ZoneInfo

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.demo.district import PASSWORD, TENANT_CODE, TIME_ZONE, Account, short_town
from service.demo.library import Json
from service.language import Language, say
from service.scoring.text import Text

PLAIN_WIDTH = 170
"""Columns where standard output is no terminal."""

TOP = 10
"""Rows of each category where not all are wanted."""

GAP = 2
"""Columns between two columns of the table."""


@dataclass
class Step:
    """One step under way; `note` is told with its end."""

    note: str = ""
    _tell: Callable[[str], None] = field(default=lambda _: None)

    def tell(self, text: str) -> None:
        """Show how far it is, where the output is a terminal."""
        self._tell(text)


class Printer:
    """Prints steps, boards and closing words to a console in one language."""

    def __init__(self, console: Console, language: Language = "zh-CN") -> None:
        self.console = console
        self.language = language
        self._started = time.monotonic()

    def say(self, text: Text) -> str:
        """The text in the printer's language."""
        return say(text, self.language)

    @contextmanager
    def step(self, text: Text) -> Iterator[Step]:
        """Name a step, run it, and print how it went and how many seconds it took."""
        name = self.say(text)
        began = time.monotonic()
        with self.console.status(escape(name)) as status:
            step = Step(_tell=lambda detail: status.update(escape(f"{name}  {detail}")))
            try:
                yield step
            except BaseException:
                self._line("[red]✗[/red]", name, "", time.monotonic() - began)
                raise
        self._line("[green]✓[/green]", name, step.note, time.monotonic() - began)

    def done(self, text: Text, note: str, seconds: float) -> None:
        """Print a step that somebody else has done."""
        self._line("[green]✓[/green]", self.say(text), note, seconds)

    def total(self, text: Text) -> None:
        """Print the time since the printer was made."""
        self._line("[bold]●[/bold]", self.say(text), "", time.monotonic() - self._started)

    def _line(self, mark: str, name: str, note: str, seconds: float) -> None:
        width = 34
        padding = " " * max(1, width - cell_len(name))
        self.console.print(
            f" {mark} {escape(name)}{padding}[dim]{seconds:6.2f} s[/dim]  {escape(note)}",
            highlight=False,
            soft_wrap=True,
        )

    def board(self, publication: Json, *, short_names: dict[str, str], top: int | None = TOP) -> None:
        """Print a publication, category by category; `short_names` heads the dimensions, by code."""
        console = self.console
        console.print()
        console.rule(f"[bold]{escape(publication['title'])}[/bold]", characters="─")
        console.print(self._heading(publication), highlight=False)
        full = " ".join(
            f"{short_names.get(d['code'], d['code'])}{_plain(d['points'])}" for d in publication["dimensions"]
        )
        console.print(
            f"[dim]{escape(self.say(Text(f'各维度满分：{full}', f'Full marks: {full}')))}[/dim]", highlight=False
        )
        boards = []
        for category in publication["categories"]:
            rows = [row for row in publication["rows"] if row["category"]["id"] == category["category"]["id"]]
            rows.sort(key=_place)
            shown = rows if top is None else [*rows[:top], *(row for row in rows[top:] if row["rank"] is None)]
            boards.append((category, shown, len(rows) - len(shown)))
        # One width for all categories, so that their columns stand below each other.
        everything = [row for _, shown, _ in boards for row in shown]
        columns = _fitting(self._columns(publication["dimensions"], short_names, everything), everything, console.width)
        widths = [column.width(everything) - GAP for column in columns]
        for category, shown, left in boards:
            self._category(category, shown, left, columns, widths)

    def _heading(self, publication: Json) -> str:
        kind = KINDS.get(publication["kind"], Text(publication["kind"], publication["kind"]))
        parts = [
            self.say(kind),
            self.say(Text(f"第{publication['number']}号", f"no. {publication['number']}")),
            f"{datetime.fromisoformat(publication['publishedAt']).astimezone(ZoneInfo(TIME_ZONE)):%Y-%m-%d %H:%M}",
            f"SHA-256 {publication['digest'][:16]}…",
        ]
        if publication.get("objectionUntil"):
            until = publication["objectionUntil"]
            parts.insert(2, self.say(Text(f"异议截止{until}", f"objections until {until}")))
        return f"[dim]{escape(' · '.join(parts))}[/dim]"

    def _category(
        self, category: Json, rows: Sequence[Json], left: int, columns: Sequence["Column"], widths: Sequence[int]
    ) -> None:
        console = self.console
        summary = self.say(
            Text(
                f"{category['unitCount']}个单位，排名{category['rankedCount']}个；"
                f"最高{_shown(category['highest'])}，中位{_shown(category['median'])}，最低{_shown(category['lowest'])}",
                f"{category['unitCount']} units, {category['rankedCount']} ranked; "
                f"highest {_shown(category['highest'])}, median {_shown(category['median'])}, "
                f"lowest {_shown(category['lowest'])}",
            )
        )
        console.print(
            f"\n[bold cyan]{escape(category['name'])}[/bold cyan]  [dim]{escape(summary)}[/dim]", highlight=False
        )
        # The box puts one column between two columns by itself.
        table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column.title, justify="left" if column.left else "right", no_wrap=True, min_width=width)
        for row in rows:
            style = "bold" if row["rank"] is not None and row["rank"] <= 3 else "dim" if row["rank"] is None else ""
            table.add_row(*(escape(column.cell(row)) for column in columns), style=style)
        console.print(table)
        if left:
            more = Text(f"…… 其余{left}个单位可通过 API 查询", f"… {left} more through the API")
            console.print(f"[dim]{self.say(more)}[/dim]", highlight=False)

    def _columns(self, dimensions: Sequence[Json], short_names: dict[str, str], rows: Sequence[Json]) -> "list[Column]":
        """All columns in print order; `drop` says which go first where the width is short."""

        def tie(row: Json) -> str:
            if row["rank"] is None:
                return self.say(STATUSES.get(row["status"], Text("未排名", "not ranked")))
            return f"{row['rank']} {self.say(Text('并列', 'tie'))}" if row["sharedBy"] > 1 else str(row["rank"])

        def late(row: Json) -> str:
            if not row["daysLate"]:
                return "—"
            days = self.say(Text(f"{row['daysLate']}天", f"{row['daysLate']} d"))
            return f"{days} −{row['latePenalty']}" if Decimal(row["latePenalty"] or 0) else days

        columns = [
            Column(self.say(Text("名次", "Rank")), 0, tie, left=True),
            Column(self.say(Text("单位", "Unit")), 0, lambda row: row["unit"]["name"], left=True),
            Column(self.say(Text("所属街镇", "Town")), 3, _town, left=True),
            Column(self.say(Text("总分", "Total")), 0, lambda row: _shown(row["total"])),
        ]
        columns += [
            Column(short_names.get(dimension["code"], str(dimension["code"])), 2, partial(_marks, place))
            for place, dimension in enumerate(dimensions)
        ]
        columns += [
            Column(self.say(Text("完整度", "Cover")), 1, lambda row: _percent(row["coverage"])),
            Column(self.say(Text("逾期", "Late")), 1, late),
        ]
        # Among one category alone it would say the rank again.
        if len({row["category"]["id"] for row in rows}) > 1 and any(row["overallRank"] for row in rows):
            columns.append(Column(self.say(Text("总名次", "Overall")), 5, lambda row: _shown(row["overallRank"])))
        if any(row.get("change") for row in rows):
            columns.append(Column(self.say(Text("较上次", "Change")), 4, self._change))
        return columns

    def _change(self, row: Json) -> str:
        change = row.get("change")
        if not change or change["rank"] is None:
            return self.say(Text("首次", "first"))
        rank = int(change["rank"])
        return f"↑{rank}" if rank > 0 else f"↓{-rank}" if rank < 0 else "—"

    def closing(self, *, base_url: str, accounts: Sequence[Account]) -> None:
        """Print the addresses, who can sign in, and a call that can be copied."""
        console = self.console
        endpoint = f"{base_url}/graphql"
        console.print()
        console.rule(self.say(Text("怎样使用", "How to use it")), characters="─")
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_row("API", f"{endpoint}   (GraphQL, graphql-transport-ws)")
        table.add_row("GraphiQL", f"{base_url}/graphiql   {self.say(Text('用浏览器打开', 'in a browser'))}")
        table.add_row(self.say(Text("区代码", "District")), TENANT_CODE)
        table.add_row(
            self.say(Text("密码", "Password")), self.say(Text(f"{PASSWORD}（仅限演示）", f"{PASSWORD} (demo only)"))
        )
        console.print(table, highlight=False)
        console.print()
        people = Table(box=box.SIMPLE_HEAD, padding=(0, GAP, 0, 0), pad_edge=False, show_edge=False)
        for title in (Text("角色", "Role"), Text("登录名", "Name"), Text("账号", "Account")):
            people.add_column(self.say(title), no_wrap=True)
        for account in _one_per_role(accounts):
            people.add_row(self.say(ROLES[account.role]), account.name, account.display_name)
        console.print(people, highlight=False)
        console.print(f"\n[dim]{self.say(Text('登录并取得令牌：', 'Sign in for a token:'))}[/dim]", highlight=False)
        console.print(sign_in_example(endpoint), highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Column:
    """A column of the board. `drop` 0 always stays; of the others the lowest come first, all of one number together."""

    title: str
    drop: int
    cell: Callable[[Json], str]
    left: bool = False

    def width(self, rows: Sequence[Json]) -> int:
        """Columns of a terminal that it takes, with the gap after it."""
        return max([cell_len(self.title), *(cell_len(self.cell(row)) for row in rows)]) + GAP


KINDS = {
    "FEEDBACK": Text("反馈核对", "Feedback"),
    "INTERIM": Text("阶段通报", "Interim"),
    "NOTICE": Text("公示", "Notice"),
    "FINAL": Text("通报", "Final"),
}

STATUSES = {
    "VETOED": Text("否决", "vetoed"),
    "LOW_COVERAGE": Text("数据不足", "too few data"),
    "NOT_SCORED": Text("不计分", "not scored"),
}

ROLES = {
    "ADMINISTRATOR": Text("系统管理员", "administrator"),
    "ORGANISER": Text("考核办", "organiser"),
    "ASSESSOR": Text("评分员", "assessor"),
    "REVIEWER": Text("审核员", "reviewer"),
    "SECRETARY": Text("填报员", "secretary"),
    "OBSERVER": Text("查阅员", "observer"),
}


def sign_in_example(endpoint: str) -> str:
    """A call of signIn as the organiser that can be pasted into a shell."""
    document = (
        "mutation($i: SignInInput!) { signIn(input: $i) { ... on SignInSuccess { token } ... on Error { message } } }"
    )
    variables = {"i": {"tenantCode": TENANT_CODE, "name": "kaohe", "password": PASSWORD}}
    body = json.dumps({"query": document, "variables": variables})
    return f"curl -s {endpoint} -H 'content-type: application/json' \\\n  -d '{body}'"


def _fitting(columns: list[Column], rows: Sequence[Json], width: int) -> list[Column]:
    """The columns that fit: those that always stay, then each group in the order of its number that has room."""
    kept = {0}
    for number in sorted({column.drop for column in columns} - kept):
        if sum(column.width(rows) for column in columns if column.drop in kept | {number}) - GAP <= width:
            kept.add(number)
    return [column for column in columns if column.drop in kept]


def _one_per_role(accounts: Sequence[Account]) -> list[Account]:
    """One account of each role, but of secretaries one of a town and one of a unit."""
    shown: dict[str, Account] = {}
    for account in accounts:
        shown.setdefault(account.role + ("" if "-" not in account.unit else " of a unit"), account)
    order = list(ROLES)
    return sorted(shown.values(), key=lambda account: order.index(account.role))


def _place(row: Json) -> tuple[bool, int, Decimal, str]:
    """Ranked units by rank, then the others by total."""
    return (row["rank"] is None, row["rank"] or 0, -Decimal(row["total"] or 0), row["unit"]["code"])


def _town(row: Json) -> str:
    names = row["unit"]["pathNames"]
    return short_town(names[-2]) if len(names) > 1 else ""


def _shown(value: object) -> str:
    return "—" if value is None else str(value)


def _plain(value: str | None) -> str:
    """Points without trailing zeros."""
    if value is None:
        return ""
    number = Decimal(value)
    return str(number.to_integral_value() if number == number.to_integral_value() else number.normalize())


def _marks(place: int, row: Json) -> str:
    """Marks of a dimension to one place; a dash where it does not apply or is not disclosed."""
    dimensions = row["dimensions"]
    marks = dimensions[place]["marks"] if dimensions else None
    return "—" if marks is None else str(Decimal(marks).quantize(Decimal("0.1"), ROUND_HALF_UP))


def _percent(share: str) -> str:
    """A share as whole per cent, never rounded up to 100."""
    return f"{(Decimal(share) * 100).to_integral_value(ROUND_FLOOR)}%"
