"""`kaoping score`: files in, the server's result out; every fault of every file named, never a traceback."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.ids import decode_id
from service.items import DataItemSpec, OptionSpec
from service.main import cli
from service.schemes import scheme_file
from service.scorefiles import misshapen, schema_text
from service.scoring import RULES, Scheme, compute, dump_scheme, parse_scheme, scheme_document
from service.scoring.numbers import format_scaled, round_half_up
from service.scoring.rules.deduct import DeductRule
from service.scoring.rules.events import PotRule
from tenants.database import Database
from tenants.provisioning import District
from tests.service.drafting import linear, make_world, number, row
from tests.service.scoring import test_asem as asem
from tests.service.scoring.build import ITEMS, X_OVER_Y, X, document, leaf
from tests.service.scoring.cases import Case, snapshot_of, text

Rows = Sequence[Sequence[str]]
VALUES = ("unit", "item", "state", "value")
UNITS = ("unit", "name", "category")
EVENTS = ("unit", "indicator", "matter", "level", "amount", "effect", "state")


def table(columns: Sequence[str], rows: Rows) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([columns, *rows])
    return out.getvalue()


class Folder:
    """Files of one computation, and the command over them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.words = ["score", self.write("s.json", document(leaf({"kind": "LINEAR", "quantity": X, **LINE})))]
        self.options: list[str] = []
        self.values(["u1", "x", "given", "1"])

    def write(self, name: str, content: Any) -> str:
        data = content if isinstance(content, str | bytes) else json.dumps(content, ensure_ascii=False)
        (self.path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(self.path / name)

    def scheme(self, what: Any) -> None:
        self.write("s.json", what)

    def values(self, *rows: Sequence[str], columns: Sequence[str] = VALUES) -> None:
        self.write("v.csv", table(columns, rows))

    def units(self, *rows: Sequence[str], columns: Sequence[str] = UNITS) -> None:
        self.options += ["--units", self.write("u.csv", table(columns, rows))]

    def events(self, *rows: Sequence[str]) -> None:
        self.options += ["--events", self.write("e.csv", table(EVENTS, rows))]

    def run(self, *more: str, language: str = "en") -> Result:
        words = [*self.words, str(self.path / "v.csv"), *self.options, "--language", language, *more]
        return CliRunner().invoke(cli, words, catch_exceptions=False)

    def result(self) -> dict[str, dict[str, Any]]:
        done = self.run()
        assert done.exit_code == 0, done.stderr
        return {unit["unit"]: unit for unit in json.loads(done.stdout)["units"]}

    def faults(self, language: str = "en") -> list[str]:
        """What is printed of files that must be refused, without their folder."""
        done = self.run(language=language)
        assert done.exit_code == 2, done.stdout
        assert done.stdout == ""
        return [line.replace(f"{self.path}/", "") for line in done.stderr.splitlines()]


LINE = {"zeroAt": "0", "fullAt": "10"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# ---- what comes out


def test_the_result_has_what_a_board_needs(folder: Folder) -> None:
    folder.values(["u2", "x", "given", "3.3333"], ["u1", "x", "given", "10"], ["u3", "x", "rejected", ""])
    assert json.loads(folder.run().stdout)["units"][0] == {
        "unit": "u2",
        "name": "u2",
        "category": "c",
        "status": "RANKED",
        "total": "33.33",
        "exact": "33333/1000",
        "rank": 2,
        "overallRank": None,
        "grade": None,
        "coverage": "1.000000000000",
        "nodes": {"R": "33.333000000000", "L0": "33.333000000000"},
    }
    assert [(unit, row["rank"], row["total"]) for unit, row in folder.result().items()] == [
        ("u2", 2, "33.33"),
        ("u1", 1, "100.00"),
        ("u3", 3, "0.00"),
    ]


def test_equal_files_give_equal_bytes_on_standard_output_and_in_a_file(folder: Folder) -> None:
    first = folder.run()
    out = folder.path / "r.json"
    second = folder.run("--out", str(out))
    assert second.stdout == ""
    assert out.read_bytes() == first.stdout_bytes == folder.run().stdout_bytes
    assert first.stdout.endswith("}\n")
    assert "\n" not in first.stdout[:-1]


def test_every_kind_of_value(folder: Folder) -> None:
    award = leaf({"kind": "AWARD", "step": "0.5"}, code="评议")
    folder.scheme(
        document(
            leaf({"kind": "LINEAR", "quantity": X_OVER_Y, "zeroAt": "0", "fullAt": "1"}),
            leaf({"kind": "YES_NO", "dataItem": "ok"}),
            leaf(
                {
                    "kind": "GRADE_MEAN",
                    "minBallots": 1,
                    "groups": [
                        {
                            "name": "群众",
                            "dataItem": "votes",
                            "values": [{"option": "a", "marks": "100"}, {"option": "b", "marks": "50"}],
                        }
                    ],
                }
            ),
            leaf(
                {
                    "kind": "CHOICE",
                    "dataItem": "pick",
                    "options": [{"option": "a", "marks": "100"}, {"option": "b", "marks": "40"}],
                }
            ),
            leaf({"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 1, "dropFrom": 3, "minimumCount": 1}),
            award,
        )
    )
    folder.values(
        ["u1", "x", "given", "1"],
        ["u1", "y", "given", "3"],
        ["u1", "ok", "given", "true"],
        ["u1", "votes", "given", "好=3;b=1"],
        ["u1", "pick", "given", "一般"],
        ["u1", "marks", "given", "95;90;12.25"],
        ["u1", "评议", "given", "77.5"],
        ["u2", "y", "given", "0"],
        ["u2", "x", "given", "0"],
        ["u2", "ok", "not_applicable", ""],
    )
    nodes = folder.result()["u1"]["nodes"]
    assert nodes == {
        "R": "71.388888888889",
        "L0": "33.333333333333",
        "L1": "100.000000000000",
        "L2": "87.500000000000",
        "L3": "40.000000000000",
        "L4": "90.000000000000",
        "评议": "77.500000000000",
    }
    second = folder.result()["u2"]["nodes"]
    assert [second["L0"], second["L1"], second["L2"]] == [None, None, "0.000000000000"]


def test_nothing_that_applies_is_no_score(folder: Folder) -> None:
    folder.values(["u1", "x", "not_applicable", ""], ["u2", "x", "given", "4"])
    found = folder.result()["u1"]
    assert [found["total"], found["exact"], found["rank"], found["status"], found["nodes"]["R"]] == [
        None,
        None,
        None,
        "NOT_SCORED",
        None,
    ]


def test_units_events_and_late_days(folder: Folder) -> None:
    bonus = {"kind": "BONUS", "levels": [{"code": "省", "points": "2"}], "pot": "加分", "potCap": "3"}
    veto = {
        "kind": "VETO",
        "effect": "UNRANKED",
        "grounds": [{"code": "弄虚作假", "name": "弄虚作假", "basis": "区考核办法"}],
    }
    folder.scheme(
        document(
            leaf({"kind": "LINEAR", "quantity": X, **LINE}),
            {"rule": bonus},
            {"rule": veto},
            categories=["c", "v", "空"],
            crossCategoryRanks=True,
            latePenalty={"pointsPerDay": "0.5", "cap": "2"},
            grades=[{"code": "A", "name": "优秀", "threshold": "60"}, {"code": "B", "name": "一般"}],
        )
    )
    folder.units(["u3", "三", "村"], ["u1", "一", "c"], ["u2", "二", "社区"])
    folder.values(
        ["u1", "x", "given", "5", "3"],
        ["u1", "y", "missing", "", "1"],
        ["u2", "x", "given", "8", ""],
        ["u3", "x", "given", "9", "0"],
        columns=(*VALUES, "late_days"),
    )
    folder.events(
        ["u1", "L1", "文明单位", "省", "", "", "confirmed"],
        ["u1", "L1", "", "", "1.25", "", "confirmed"],
        ["u1", "L1", "先进", "省", "", "", "proposed"],
        ["u2", "L2", "", "弄虚作假", "", "", "confirmed"],
    )
    found = folder.result()
    assert list(found) == ["u3", "u1", "u2"]
    assert {u: (r["name"], r["total"], r["rank"], r["overallRank"], r["grade"]) for u, r in found.items()} == {
        "u1": ("一", "51.50", 1, 2, "B"),
        "u2": ("二", "80.00", None, None, None),
        "u3": ("三", "90.00", 1, 1, "A"),
    }
    assert found["u2"]["status"] == "VETOED"


def test_last_values_for_improvement_and_for_what_is_carried_over(folder: Folder) -> None:
    folder.scheme(
        document(
            leaf({"kind": "IMPROVEMENT", "quantity": X, "fullAt": "0.5"}),
            leaf({"kind": "LINEAR", "quantity": {"numerator": {"terms": [{"dataItem": "y"}]}}, **LINE}),
            missingPolicy="CARRY_OVER",
        )
    )
    folder.values(
        ["u1", "x", "given", "12", "10"],
        ["u1", "y", "missing", "", "7.12345678"],
        columns=(*VALUES, "previous"),
    )
    found = folder.result()["u1"]
    assert [found["nodes"]["L0"], found["nodes"]["L1"], found["coverage"]] == [
        "40.000000000000",
        "71.234567800000",
        "0.500000000000",
    ]


def test_groups_of_assessors(folder: Folder) -> None:
    groups = [{"name": "书记", "weight": "0.6"}, {"name": "群众", "weight": "0.4", "method": "TRIMMED_MEAN"}]
    folder.scheme(document(leaf({"kind": "AWARD", "step": "1", "groups": groups})))
    folder.values(
        ["u1", "L0/书记", "given", "90;80"],
        ["u1", "L0/群众", "given", "10;70;75;100"],
        ["u2", "L0", "rejected", ""],
        ["u2", "L0/书记", "given", "100"],
        ["u3", "L0/书记", "missing", ""],
    )
    assert [row["nodes"]["L0"] for row in folder.result().values()] == [
        "80.000000000000",
        "0.000000000000",
        "0.000000000000",
    ]
    folder.values(["u1", "L0", "given", "90"], ["u1", "L0/书记", "given", "90.5"], ["u1", "L0/党员", "given", "90"])
    assert folder.faults() == [
        'v.csv:2: "L0" is awarded by groups; one row per group, such as L0/NAME',
        'v.csv:3: "90.5": marks go in steps of 1',
        'v.csv:4: the scheme has no data item and no AWARD leaf "L0/党员"',
    ]


def test_a_code_that_means_two_things_is_told_apart(folder: Folder) -> None:
    folder.scheme(
        document(
            leaf({"kind": "LINEAR", "quantity": X, **LINE}),
            leaf({"kind": "AWARD", "step": "1"}, code="x"),
        )
    )
    folder.values(["u1", "item:x", "given", "5"], ["u1", "award:x", "given", "60"])
    assert folder.result()["u1"]["nodes"] == {"R": "55.000000000000", "L0": "50.000000000000", "x": "60.000000000000"}
    folder.values(["u1", "x", "given", "5"])
    assert folder.faults() == ['v.csv:2: "x" is a data item and an AWARD leaf; write award:x or item:x']


def test_the_explanation_in_both_languages(folder: Folder) -> None:
    folder.units(["u1", "朝阳社区", "c"])
    zh = folder.run("--explain", "u1", language="zh-CN").stdout
    assert zh.startswith("朝阳社区（u1）\n")
    assert "10.00" in zh
    assert "社区第1名" in zh
    assert "rank 1 in 社区" in folder.run("--explain", "u1").stdout
    nobody = folder.run("--explain", "u9")
    assert (nobody.exit_code, nobody.stdout) == (2, "")
    assert 'there is no unit "u9"' in nobody.stderr


def test_files_as_spreadsheets_write_them(folder: Folder) -> None:
    rows = "unit,item,state,value\r\nu1,x,given,5\r\n,,,\r\n\r\n"
    folder.write("v.csv", b"\xef\xbb\xbf" + rows.encode())
    folder.write("s.json", b"\xef\xbb\xbf" + (folder.path / "s.json").read_bytes())
    assert folder.result()["u1"]["total"] == "50.00"
    folder.write("v.csv", 'value,"state",item,unit\r"5","given","x","一\n区"\r')
    assert folder.faults() == [r'v.csv:2: invisible characters in unit: "一\n区"']


# ---- what is refused

BAD_NUMBERS = ["NaN", "Infinity", "-inf", "1e3", "１２", "1,000", "+1", "1.", ".5", "0x10", "1_000", "9" * 39, "一"]


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_numbers_that_are_not_plain(folder: Folder, value: str) -> None:
    folder.values(["u1", "x", "given", value])
    [line] = folder.faults()
    assert line.startswith(f'v.csv:2: "{value}" is not a plain decimal; plain ASCII digits')
    folder.scheme(
        document(leaf({"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 0, "dropFrom": 1, "minimumCount": 1}))
    )
    folder.values(["u1", "marks", "given", f"90;{value}"])
    assert len(folder.faults()) == 1


@pytest.mark.parametrize(
    ("item", "value", "said"),
    [
        ("x", "1.23456", "more than 4 decimal places"),
        ("ok", "是", "true or false"),
        ("ok", "TRUE", "true or false"),
        ("pick", "c", 'there is no option "c"; one of: a, b'),
        ("votes", "a=-1", "at least 0"),
        ("votes", "a=1.5", "at least 0"),
        ("votes", "a=１", "at least 0"),
        ("votes", f"a={'9' * 39}", "at least 0"),
        ("votes", "a=1;好=2", "repeated"),
        ("votes", "c=1", 'no count "c"'),
        ("votes", "12", 'no "="'),
        ("votes", "a=1;", 'no "="'),
        ("marks", "90;;80", "not a plain decimal"),
        ("marks", "", "given, yet without a value"),
        ("nothing", "1", "no data item and no AWARD leaf"),
        ("L0", "1", "no AWARD leaf"),
        ("", "1", "item is missing"),
    ],
)
def test_values_that_do_not_fit_their_item(folder: Folder, item: str, value: str, said: str) -> None:
    folder.values(["u1", item, "given", value])
    [line] = folder.faults()
    assert line.startswith("v.csv:2: ")
    assert said in line


def test_bounds_of_an_item(folder: Folder) -> None:
    item = {"code": "x", "name": "x", "type": "INTEGER", "minimum": "0", "maximum": "10"}
    folder.scheme({**document(leaf({"kind": "LINEAR", "quantity": X, **LINE})), "dataItems": [item]})
    folder.values(["u1", "x", "given", "-1"], ["u2", "x", "given", "11"], ["u3", "x", "given", "1.5"])
    assert folder.faults() == [
        'v.csv:2: "-1" is below the least value 0',
        'v.csv:3: "11" is above the greatest value 10',
        'v.csv:4: "1.5" must be a whole number',
    ]


def test_all_faults_of_all_files_at_once(folder: Folder) -> None:
    folder.units(["u1", "一", "c"], ["u1", "一", "c"], ["u2", "二", "x"], ["", "", "c"])
    folder.values(
        ["u1", "x", "given", "1"],
        ["u1", "x", "given", "2"],
        ["u9", "x", "given", "1"],
        ["u1", "y", "reported", "1"],
        ["u1", "ok", "missing", "true"],
        ["u1 ", "ok", "missing", ""],
        ["u2", "ok", "given"],
    )
    folder.events(
        ["u9", "L9", "", "", "", "", "done"],
        ["u1", "L0", "", "", "-1", "", "confirmed"],
    )
    assert folder.faults() == [
        'u.csv:3: the unit "u1" stands in line 2 already',
        'u.csv:4: there is no category "x"; one of: c',
        "u.csv:5: the unit is missing",
        'v.csv:3: "x" of "u1" stands in line 2 already',
        'v.csv:4: "u9" is not among the units',
        'v.csv:5: there is no state "reported"; one of: given, missing, not_applicable, rejected',
        'v.csv:6: missing, yet with the value "true"',
        'v.csv:7: blanks around "u1 " in unit',
        "v.csv:8: 3 cells under 4 columns",
        'e.csv:2: there is no unit "u9"',
        'e.csv:2: there is no state "done"; one of: proposed, confirmed, rejected, revoked',
        'e.csv:2: there is no indicator "L9"',
        "e.csv:3: the amount must not be below 0",
        "e.csv:3: 指标0 is not scored by events",
    ]
    assert folder.faults("zh-CN")[0] == "u.csv:3: 单位“u1”重复，见第2行"


@pytest.mark.parametrize(
    ("decisions", "grades"),
    [
        ("12345678", "AABBBBBB"),
        ("33111444", "BBBBBBBB"),
        ("22134567", "BBBBBBBB"),
        ("11222222", "AABBBBBB"),
        ("1 222222", "BBBBBBBB"),
    ],
)
def test_equals_that_nobody_put_in_order_get_no_place_by_their_line(
    folder: Folder, decisions: str, grades: str
) -> None:
    steps = [{"code": "A", "name": "优秀", "share": "0.25"}, {"code": "B", "name": "合格"}]
    folder.scheme(document(leaf({"kind": "YES_NO", "dataItem": "ok"}), tiePolicy="DECISION", grades=steps))
    folder.values(*([f"u{place}", "ok", "given", "true"] for place in range(8)))
    folder.units(
        *([f"u{place}", f"u{place}", "c", order.strip()] for place, order in enumerate(decisions)),
        columns=(*UNITS, "decision"),
    )
    assert "".join(unit["grade"] for unit in folder.result().values()) == grades


def test_a_result_is_never_written_over_what_it_comes_from(folder: Folder) -> None:
    folder.units(["u1", "u1", "c"])
    (folder.path / "same.csv").symlink_to(folder.path / "u.csv")
    for name in ("s.json", "v.csv", "u.csv", "same.csv"):
        before = (folder.path / name).read_bytes()
        done = folder.run("--out", str(folder.path / name))
        assert done.exit_code == 2, name
        assert "is one of the files that are read" in done.stderr
        assert (folder.path / name).read_bytes() == before


def test_what_is_only_for_print_may_nest_as_it_likes(folder: Folder) -> None:
    what = document(leaf({"kind": "YES_NO", "dataItem": "ok"}))
    nested: list[Any] = []
    for _ in range(600):
        nested = [nested]
    what["indicators"][1]["wording"] = nested
    folder.scheme(what)
    folder.values(["u1", "ok", "given", "true"])
    assert folder.result()["u1"]["total"] == "100.00"


def test_amounts_are_those_that_the_level_allows(folder: Folder) -> None:
    levels = [{"code": "省", "points": "2"}, {"code": "区", "points": "0.5", "maxPoints": "1.5"}]
    bonus = {"kind": "BONUS", "levels": levels, "pot": "加分"}
    folder.scheme(document(leaf({"kind": "YES_NO", "dataItem": "ok"}), {"rule": bonus}))
    folder.values(["u1", "ok", "given", "true"])
    events = [("省", "2"), ("省", "2.00"), ("省", "4.99"), ("省", "0"), ("区", "0.5"), ("区", "1.5"), ("区", "1.51")]
    folder.events(*(["u1", "L1", "", *each, "", "confirmed"] for each in [*events, ("区", "0.4"), ("", "7")]))
    assert folder.faults() == [
        "e.csv:4: an event of level 省 is always worth 2, not 4.99",
        "e.csv:5: an event of level 省 is always worth 2, not 0",
        "e.csv:8: an event of level 区 is worth 0.5 to 1.5, not 1.51",
        "e.csv:9: an event of level 区 is worth 0.5 to 1.5, not 0.4",
    ]
    assert folder.faults("zh-CN")[0] == "e.csv:4: 级别“省”的事项固定为2分，不能为4.99"


def test_awards_above_full_marks_and_levels_that_do_not_exist_have_their_lines(folder: Folder) -> None:
    bonus = {"kind": "BONUS", "levels": [{"code": "省", "points": "2"}], "pot": "加分"}
    folder.scheme(document(leaf({"kind": "AWARD", "step": "1", "full": "5"}), {"rule": bonus}))
    folder.values(["u1", "L0", "given", "5"], ["u2", "L0", "given", "6"], ["u3", "L0", "given", "-1"])
    folder.events(
        ["u1", "L1", "", "省", "", "", "proposed"],
        ["u1", "L1", "", "国", "", "", "proposed"],
        ["u1", "L1", "", "", "", "", "confirmed"],
        ["u1", "L1", "", "省", "", "UNRANKED", "confirmed"],
    )
    assert folder.faults() == [
        "v.csv:3: an award of 6 is not between 0 and 5",
        "v.csv:4: an award of -1 is not between 0 and 5",
        'e.csv:3: there is no level "国"',
        "e.csv:4: a level or an amount is needed",
        "e.csv:5: only vetoes have an effect; one of: NO_EXCELLENT, ONE_GRADE_DOWN, LOWEST_GRADE, UNRANKED",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "v.csv: the file is empty, without a header line"),
        ("unit,item,state,value\n", "v.csv: there is no unit"),
        ("unit,item,value\nu1,x,1\n", 'v.csv:1: the column "state" is missing'),
        ("unit,item,state,value,unit\n", 'v.csv:1: the column "unit" is repeated'),
        ("unit,item,state,value,Value\n", 'v.csv:1: unknown column "Value"'),
        ('unit,item,state,value\nu1,x,given,"1\n', "v.csv:2: not CSV (unexpected end of data)"),
        ('unit,item,state,value\nu1,x,given,"1"2\n', "v.csv:2: not CSV"),
        (b"unit,item,state,value\nu1,x,given,\xd6\xd0\n", 'v.csv:2: not UTF-8; save it as "CSV UTF-8"'),
        ("unit,item,state,value\nu1,x,given,1\x00\n", "v.csv:2: "),
        ("unit,item,state,value\nu1,x,given,1\x1b[31m\n", r"v.csv:2: invisible characters in value: "),
        (f"unit,item,state,value\nu1,x,given,{'1' * 200_000}\n", "v.csv:2: not CSV (field larger than"),
    ],
)
def test_tables_that_are_none(folder: Folder, content: str | bytes, said: str) -> None:
    folder.write("v.csv", content)
    lines = folder.faults()
    assert lines[0].startswith(said), lines
    assert "\x1b" not in lines[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "s.json"),
        ("{", "s.json:1: not JSON"),
        ('{\n"weighting": NaN}', "s.json:2: not JSON"),
        ('{"a": "\\ud800"}', "s.json:1: not JSON"),
        (b'{"a": "\xff"}', "s.json"),
        ("[]", "s.json: a scheme file is a JSON object"),
        ('{"a": 1, "a": 2}', 's.json: the key "a" stands twice in an object'),
        ("[" * 100_000, "s.json"),
        ('{"a":' * 900 + "1" + "}" * 900, "s.json"),
        ('{"name":' + "[" * 1000 + "]" * 1000 + "}", "s.json"),
        (f'{{"weighting": "RELATIVE", "fullMarks": {"9" * 5000}}}', "s.json"),
        (f'{{"weighting": {"9" * 39}}}', "s.json"),
    ],
)
def test_scheme_files_that_are_none(folder: Folder, content: str | bytes, said: str) -> None:
    folder.write("s.json", content)
    assert folder.faults()[0].startswith(said)


def test_faults_of_a_scheme_have_their_place_in_the_json(folder: Folder) -> None:
    what = document(
        leaf({"kind": "LINEAR", "quantity": X, "zeroAt": "1", "fullAt": "1"}),
        leaf({"kind": "BANDS", "quantity": X, "bands": [{"from": "０.９", "marks": "3"}, {"marks": "1e2"}]}),
        leaf({"kind": "LINAER"}),
        roundingPlaces=99,
        tieBreakers=["L9"],
    )
    what["colour"] = "red"
    what["indicators"][1]["name"] = 5
    what["dataItems"] = [*ITEMS, {"code": "z/~", "name": "z", "type": "TEXT"}]
    folder.scheme(what)
    folder.values(["u1", "x", "said", "1"])
    places = [line.partition(": ")[0] for line in folder.faults()]
    assert places == [
        "s.json:/dataItems/7/type",
        "s.json:/settings/roundingPlaces",
        "s.json:/colour",
        "s.json:/indicators/1/name",
        "s.json:/indicators/1/rule/fullAt",
        "s.json:/indicators/2/rule/bands/0/from",
        "s.json:/indicators/2/rule/bands/1/marks",
        "s.json:/indicators/3/rule/kind",
        "s.json:/settings/tieBreakers/0",
        "v.csv:2",
    ]


def test_several_categories_need_units(folder: Folder) -> None:
    folder.scheme(document(leaf({"kind": "LINEAR", "quantity": X, **LINE}), categories=["c", "v"]))
    assert folder.faults() == ["s.json:/categories: the scheme has 2 categories: --units must say which is whose"]


def test_denominators_of_zero_as_documented(folder: Folder) -> None:
    for policy, score in (("NOT_APPLICABLE", None), ("FULL", "100.000000000000")):
        quantity = {**X_OVER_Y, "denominatorZero": policy}
        folder.scheme(document(leaf({"kind": "LINEAR", "quantity": quantity, **LINE})))
        folder.values(["u1", "x", "given", "1"], ["u1", "y", "given", "0"])
        assert folder.result()["u1"]["nodes"]["L0"] == score


def test_files_that_are_not_there(folder: Folder) -> None:
    done = CliRunner().invoke(cli, ["score", "none.json", "none.csv"])
    assert (done.exit_code, done.stdout) == (2, "")
    done = folder.run("--out", str(folder.path / "no" / "r.json"))
    assert (done.exit_code, done.stdout) == (1, "")


# ---- third parties, the engine itself, the server's files


@pytest.mark.parametrize("weights", ["equal", "unequal"])
def test_a_real_index_through_the_command(folder: Folder, weights: str) -> None:
    what = asem.document(weights == "unequal")
    folder.scheme(what)
    rows = asem.rows("values")
    items = [item["code"] for item in what["dataItems"]]
    folder.values(*([row["uCode"], item, "given", f"{Decimal(row[item]):f}"] for row in rows for item in items))
    out = folder.path / "result.json"
    done = subprocess.run(
        [sys.executable, "-m", "service.main", *folder.words, str(folder.path / "v.csv"), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    scores = {row["uCode"]: row for row in asem.rows(f"scores_{weights}_weights")}
    ranks = {row["uCode"]: row for row in asem.rows(f"ranks_{weights}_weights")}
    leaves = {row["uCode"]: row for row in asem.rows("leaf_scores")}
    units = json.loads(out.read_text("utf-8"))["units"]
    assert [unit["unit"] for unit in units] == [row["uCode"] for row in rows]
    for unit in units:
        code = unit["unit"]
        assert len(unit["nodes"]) == 60
        for node, score in unit["nodes"].items():
            theirs = scores[code].get(node) or leaves[code][node]
            assert abs(Fraction(score) - Fraction(theirs)) < asem.TOLERANCE, (code, node)
        assert unit["rank"] == int(ranks[code]["Index"])
        assert abs(Fraction(unit["exact"]) - Fraction(scores[code]["Index"])) < asem.TOLERANCE


def cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ";".join(f"{name}={count}" for name, count in value.items())
    if isinstance(value, list):
        return ";".join(text(score) for score in value)
    return value if isinstance(value, str) else text(Fraction(value))


def counted(scheme: Scheme, code: str) -> bool:
    """Whether events of this leaf are worth anything; all others are refused."""
    rule = scheme.by_code[code].rule
    if isinstance(rule, DeductRule):
        return any(not line.quantities for line in rule.lines)
    return rule is not None and rule.outside


def varies(scheme: Scheme, event: dict[str, Any]) -> bool:
    """Whether the level lets an event be worth its amount; others are refused in files."""
    rule = scheme.by_code[event["indicator"]].rule
    level = rule.level(event.get("level")) if isinstance(rule, PotRule) else None
    if level is None or event.get("amount") is None:
        return True
    return level.points <= Fraction(event["amount"]) <= (level.points if level.max_points is None else level.max_points)


@pytest.mark.parametrize("seed", range(60))
def test_random_schemes_score_as_in_memory(folder: Folder, seed: int) -> None:
    case = Case(seed)
    for node in case.nodes:
        if (node.get("rule") or {}).get("kind") == "AWARD":
            node["rule"]["step"] = "0.1"
    scheme, faults = parse_scheme(case.document)
    assert scheme is not None, faults
    rows = []
    types = {key: item.type for key, item in scheme.data_items.items()}
    for unit in case.units:
        unit.leaf_states.clear()
        unit.leaf_values.clear()
        unit.previous.clear()
        unit.events = [
            event
            for event in unit.events
            if scheme.applies(event["indicator"], unit.category) and counted(scheme, event["indicator"])
        ]
        for event in unit.events:
            if not varies(scheme, event):
                event.pop("amount", None)
        for held in (unit.values, unit.awards):
            for key, (state, value) in held.items():
                if state == "CARRIED":
                    held[key] = state, value = "MISSING", None
                if state != "GIVEN":
                    held[key] = state, value = state, None
                if value is not None and types.get(key) == "YES_NO":
                    value = bool(value)
                if value == [] or value == {}:
                    held[key] = state, value = "MISSING", None
                days = str(unit.late_days or "")
                rows.append([unit.key, key, state.lower(), "" if value is None else cell(value), days])
        for (code, group), awards in unit.group_awards.items():
            rows.append([unit.key, f"{code}/{group}", "given", cell(awards), ""])
        # Lateness is that of an entry that counts.
        if not any(row[0] == unit.key and row[2] in ("given", "rejected") for row in rows):
            unit.late_days = 0
    folder.scheme(dump_scheme(scheme))
    folder.values(*rows, columns=(*VALUES, "late_days"))
    folder.units(
        *([u.key, u.key, u.category, u.parent or "", u.previous_grade or ""] for u in case.units),
        columns=(*UNITS, "parent", "previous_grade"),
    )
    folder.events(
        *(
            [
                unit.key,
                event["indicator"],
                event.get("matter", ""),
                event.get("level") or "",
                event.get("amount") or "",
                event.get("effect") or "",
                event["state"].lower(),
            ]
            for unit in case.units
            for event in unit.events
        )
    )
    expected = compute(scheme, snapshot_of(scheme, case.units))
    found = list(folder.result().values())
    assert [row["total"] for row in found] == expected.totals()
    assert [row["exact"] for row in found] == expected.exact_totals()
    assert [row["rank"] for row in found] == expected.ranks()
    assert [row["grade"] for row in found] == expected.grades()
    assert [row["coverage"] for row in found] == [
        format_scaled(round_half_up(expected.coverage(unit), 12), 12) for unit in range(len(found))
    ]
    assert misshapen(case.document) == []
    assert misshapen(scheme_document(scheme)) == []


def test_the_schema_knows_every_rule_and_refuses_what_the_engine_refuses(folder: Folder) -> None:
    schema = json.loads(schema_text())
    assert CliRunner().invoke(cli, ["score", "--schema"]).stdout == schema_text()
    assert {branch["$ref"] for branch in schema["$defs"]["rule"]["anyOf"]} == {f"#/$defs/rule{kind}" for kind in RULES}
    seen: set[str] = set()
    for seed in range(150):
        scheme, _ = parse_scheme(Case(seed).document)
        assert scheme is not None
        for node in scheme.leaves:
            assert node.rule is not None
            rule = node.rule.document()
            known = schema["$defs"][f"rule{rule['kind']}"]["properties"]
            assert set(known) - {"full"} == set(rule) - {"full"}
            seen.add(rule["kind"])
    assert seen == set(RULES)
    what = document(leaf({"kind": "LINEAR", "quantity": X, "zeroAt": 0.5, "fullAt": True, "clmap": False}))
    assert sorted("/".join(path) for path, _ in misshapen(what)) == [
        "indicators/1/rule/clmap",
        "indicators/1/rule/fullAt",
        "indicators/1/rule/zeroAt",
    ]


@pytest.mark.anyio
async def test_the_file_of_a_version_is_taken_as_it_is(folder: Folder, db: Database, tenant: District) -> None:
    world = await make_world(db, tenant)
    await world.add_items(
        number("a"),
        DataItemSpec("ballots", "测评票", "口径", "COUNTS", options=[OptionSpec("good", "好")], personal=True),
    )
    version = await world.drafted(
        row("A", points="60", rule=linear(world, "a"), wording="口径"),
        row("B", points="40", rule={"kind": "AWARD", "step": "1"}),
    )
    key = decode_id(version, "SchemeVersion")
    assert key is not None
    async with db.transaction(tenant.id, read_only=True) as tx:
        folder.scheme(await scheme_file(tx, key))
    folder.units(["u1", "一", "village"])
    folder.values(["u1", "a", "given", "5"], ["u1", "B", "given", "31"])
    assert folder.result()["u1"]["total"] == "61.00"
