"""What the demo prints: the order of rows, marks for ties and lateness, columns that fit, and plain text."""

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from service.demo.board import Printer, sign_in_example
from service.demo.district import PASSWORD, build
from service.demo.library import Json
from service.language import Language
from service.scoring.text import Text


def standing(code: str, name: str, total: str, rank: int | None, **more: object) -> Json:
    return {
        "category": {"id": "c1"},
        "unit": {"code": code, "name": name, "pathNames": ["春晖区委", "柳堤街道党工委", name]},
        "total": total,
        "rank": rank,
        "overallRank": rank,
        "sharedBy": 0 if rank is None else 1,
        "status": "LOW_COVERAGE" if rank is None else "RANKED",
        "daysLate": 0,
        "latePenalty": None,
        "coverage": "0.999",
        "change": None,
        "dimensions": [{"marks": "11.45"}, {"marks": None}],
    } | more


@pytest.fixture
def publication() -> Json:
    rows = [
        standing("U4", "戊社区党委", "60.00", None, coverage="0.70"),
        standing("U3", "丙社区党总支", "88.10", 2, sharedBy=2),
        standing("U2", "乙社区党总支", "88.10", 2, sharedBy=2, daysLate=1, latePenalty="0.20"),
        standing("U1", "甲社区党委", "90.99", 1, change={"rank": 3, "total": "1.00"}),
        standing("U5", "丁社区党委", "70.00", 4, change={"rank": -2, "total": "-1.00"}),
    ]
    return {
        "title": "春晖区考核结果公示",
        "kind": "NOTICE",
        "number": 1,
        "publishedAt": "2026-07-10T08:00:00.000000Z",
        "digest": "ab" * 32,
        "objectionUntil": "2026-07-17",
        "dimensions": [{"code": "A", "points": "12"}, {"code": "B", "points": "7.50"}],
        "categories": [
            {
                "name": "社区",
                "category": {"id": "c1"},
                "unitCount": 5,
                "rankedCount": 4,
                "highest": "90.99",
                "median": "88.10",
                "lowest": "60.00",
            }
        ],
        "rows": rows,
    }


def printed(publication: Json, *, width: int, language: Language = "zh-CN", top: int | None = None) -> str:
    out = io.StringIO()
    printer = Printer(Console(file=out, width=width), language)
    printer.board(publication, short_names={"A": "政治", "B": "组织"}, top=top)
    return out.getvalue()


def test_rows_stand_in_the_order_of_ranks_with_unranked_units_last(publication: Json) -> None:
    lines = printed(publication, width=120).splitlines()
    found = [line.split()[0] for line in lines if "社区党" in line]
    assert found == ["1", "2", "2", "4", "数据不足"]
    assert "\x1b" not in "".join(lines)


def test_ties_lateness_coverage_and_change_are_marked(publication: Json) -> None:
    text = printed(publication, width=120)
    second = next(line for line in text.splitlines() if "乙社区" in line)
    assert "并列" in second
    assert "1天 −0.20" in second
    assert "99%" in second
    assert "首次" in second
    assert "↑3" in next(line for line in text.splitlines() if "甲社区" in line)
    assert "↓2" in next(line for line in text.splitlines() if "丁社区" in line)
    assert "11.5" in second
    assert "政治12 组织7.5" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_of_the_table_is_wider_than_the_terminal(publication: Json, width: int) -> None:
    lines = [line for line in printed(publication, width=width).splitlines() if "社区党" in line]
    assert len(lines) == 5
    assert all(cell_len(line) <= width for line in lines)
    assert all("社区党" in line and "…" not in line for line in lines)


def test_columns_come_back_as_the_terminal_widens(publication: Json) -> None:
    heads = ["总分", "完整度", "政治", "所属街镇", "较上次"]
    seen = []
    for width in (40, 200):
        head_line = next(line for line in printed(publication, width=width).splitlines() if line.startswith("名次"))
        seen.append([head for head in heads if head in head_line])
    assert "总分" in seen[0]
    assert "政治" not in seen[0]
    assert seen[1] == heads


def test_the_overall_rank_is_shown_only_among_several_categories(publication: Json) -> None:
    assert "总名次" not in printed(publication, width=200)
    publication["rows"].append(standing("V1", "己村党支部", "80.00", 1) | {"category": {"id": "c2"}})
    publication["categories"].append(publication["categories"][0] | {"name": "村", "category": {"id": "c2"}})
    assert "总名次" in printed(publication, width=200)


def test_the_time_of_publication_is_the_districts(publication: Json) -> None:
    assert "2026-07-10 16:00" in printed(publication, width=120)


def test_only_the_best_are_shown_where_asked_and_never_without_the_unranked(publication: Json) -> None:
    text = printed(publication, width=120, top=2)
    assert "丁社区" not in text
    assert "戊社区" in text
    assert "其余2个" in text


def test_the_board_speaks_english_too(publication: Json) -> None:
    text = printed(publication, width=140, language="en")
    for word in ("Rank", "Unit", "tie", "too few data", "objections until 2026-07-17", "5 units, 4 ranked"):
        assert word in text


def test_withheld_figures_are_dashes(publication: Json) -> None:
    for row in publication["rows"]:
        row |= {"total": None, "dimensions": None}
    text = printed(publication, width=120)
    assert "—" in text


def test_steps_say_what_they_did_and_how_long_it_took() -> None:
    out = io.StringIO()
    printer = Printer(Console(file=out, width=80), "zh-CN")
    with printer.step(Text("导入单位", "Import")) as step:
        step.tell("50%")
        step.note = "135个单位"
    with pytest.raises(ZeroDivisionError), printer.step(Text("出错的一步", "Fails")):
        raise ZeroDivisionError
    printer.total(Text("全部用时", "In all"))
    first, second, third = out.getvalue().splitlines()
    assert first.startswith(" ✓ 导入单位")
    assert first.endswith("135个单位")
    assert " s " in first
    assert second.startswith(" ✗ 出错的一步")
    assert third.startswith(" ● 全部用时")


def test_the_closing_words_tell_where_and_how_to_sign_in() -> None:
    out = io.StringIO()
    printer = Printer(Console(file=out, width=160), "zh-CN")
    printer.closing(base_url="http://127.0.0.1:8123", accounts=build(1).accounts)
    text = out.getvalue()
    for word in ("http://127.0.0.1:8123/graphql", "kaohe", "shenhe-ld", "tianbao-ld", PASSWORD, "curl"):
        assert word in text
    body = sign_in_example("http://x/graphql").split("-d '")[1].rstrip("'")
    assert json.loads(body)["variables"]["i"]["name"] == "kaohe"
