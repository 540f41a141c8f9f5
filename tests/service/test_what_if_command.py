"""`kaoping what-if` and `kaoping score --robustness`: trials and firmness of ranks on files and on stored runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.errors import NotFound
from service.main import cli
from service.settings import Settings
from service.what_ifs import stored_run
from tenants.database import Database
from tenants.provisioning import District
from tests.service.computing import course
from tests.service.scoring.build import LINEAR, document, leaf

Y = {**LINEAR, "quantity": {"numerator": {"terms": [{"dataItem": "y"}]}}}
GRADES = [{"code": "A", "name": "优秀", "share": "0.5"}, {"code": "B", "name": "合格"}]


class Folder:
    """Files of one trial, and the commands over them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scheme("s.json", leaf(LINEAR), leaf(Y))
        rows = ["甲,x,given,80", "甲,y,given,60", "乙,x,given,60", "乙,y,given,79.98"]
        (path / "v.csv").write_text("unit,item,state,value\n" + "\n".join(rows))

    def scheme(self, name: str, *leaves: dict[str, Any], **settings: Any) -> str:
        what = document(*leaves, grades=GRADES, **settings)
        (self.path / name).write_text(json.dumps(what, ensure_ascii=False))
        return str(self.path / name)

    def run(self, *words: str, language: str = "en") -> Result:
        command = [*words[:2]] if words[0] == "what-if" else [words[0]]
        files = [str(self.path / "s.json"), str(self.path / "v.csv")]
        return CliRunner().invoke(cli, [*command, *files, *words[len(command) :], "--language", language])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_other_weights_in_both_languages(folder: Folder) -> None:
    done = folder.run("what-if", "files", "--weight", "L0", "0.5")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "甲: total 70.00 → 66.67, rank 1 → 2, grade A → B",
            "乙: total 69.99 → 73.32, rank 2 → 1, grade B → A",
            "2 of 2 units change",
        ],
    )
    done = folder.run("what-if", "files", "--value", "乙", "x", "60.02", language="zh-CN")
    assert done.stdout.splitlines() == [
        "甲：得分70.00，名次1，等次A → B",
        "乙：得分69.99 → 70.00，名次2 → 1，等次B",
        "2个单位中有2个变化",
    ]


def test_another_scheme_and_all_units_as_json(folder: Folder) -> None:
    other = folder.scheme("o.json", leaf(LINEAR), leaf(Y), rankOn="EXACT", roundingPlaces=0)
    done = folder.run("what-if", "files", "--scheme", other, "--json")
    rows = json.loads(done.stdout)
    assert [(row["unit"], row["totalBefore"], row["totalAfter"], row["rankAfter"], row["rank"]) for row in rows] == [
        ("甲", "70.00", "70", 1, 0),
        ("乙", "69.99", "70", 2, 0),
    ]


def test_all_faults_of_a_trial(folder: Folder) -> None:
    words = ["--weight", "L0", "1e1", "--weight", "Q", "1", "--value", "丙", "x", "1", "--value", "甲", "x", "NaN"]
    done = folder.run("what-if", "files", *words)
    assert done.exit_code == 2
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [
        "--weight:L0",
        "--weight:Q",
        "--value:丙 x",
        "--value:甲 x",
    ]
    assert folder.run("what-if", "files").exit_code == 2
    faulty = folder.scheme("f.json", leaf({**LINEAR, "fullAt": "0"}))
    done = folder.run("what-if", "files", "--scheme", faulty)
    assert done.exit_code == 2
    assert f"{faulty}:/indicators/1/rule/fullAt" in done.stderr


def test_robustness_beside_the_result(folder: Folder) -> None:
    plain, drawn = folder.run("score"), folder.run("score", "--robustness", "--seed", "7")
    assert drawn.exit_code == 0, drawn.stderr
    whole = json.loads(drawn.stdout)
    firm = whole.pop("robustness")
    assert whole == json.loads(plain.stdout)
    assert (firm["draws"], firm["seed"], firm["tolerance"]) == (1000, 7, "0.1")
    (flip,) = firm["flips"]
    assert flip["units"] == ["甲", "乙"]
    assert "第1名与第2名相差0.01分，权重略变即互换" in flip["text"]["zh"]
    assert firm["units"] == [
        {"unit": "甲", "rank": 1, "low": 1, "high": 2, "without": {"L0": 2}},
        {"unit": "乙", "rank": 2, "low": 1, "high": 2, "without": {"L0": 1}},
    ]
    assert folder.run("score", "--robustness", "--seed", "7").stdout == drawn.stdout
    other = json.loads(folder.run("score", "--robustness", "--seed", "8").stdout)["robustness"]
    assert other["flips"][0]["share"] != flip["share"]


@pytest.mark.anyio
async def test_a_stored_run(db: Database, tenant: District, settings: Settings) -> None:
    def linear(item: str) -> dict[str, Any]:
        terms = [{"coefficient": "1", "dataItem": item}]
        return {"kind": "LINEAR", "quantity": {"numerator": {"terms": terms}}, "zeroAt": "0", "fullAt": "100"}

    given = await course(db, tenant, {"L0": linear("x"), "L1": linear("y")}, roundingPlaces=2)
    await given.cycle({"c1": {"x": "80", "y": "60"}, "c2": {"x": "20", "y": "80"}})
    await given.run(given.cycle_ids[0])

    def kaoping(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.main", "what-if", "run", "--tenant", tenant.code, *words]
        return subprocess.run(  # our own command
            command, capture_output=True, text=True, check=False, env={**settings.environment()}
        )

    done = kaoping("--cycle", "k1", "--weight", "D0", "1", "--weight", "D1", "4", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["unit"]: row for row in json.loads(done.stdout)}
    assert (rows["c1"]["totalBefore"], rows["c1"]["totalAfter"]) == ("66.67", "64.00")
    assert (rows["c2"]["totalBefore"], rows["c2"]["totalAfter"], rows["c2"]["rankAfter"]) == ("60.00", "68.00", 1)
    assert kaoping("--cycle", "k1", "--weight", "D9", "1").returncode == 2
    async with db.transaction(tenant.id) as tx:
        newest = await stored_run(tx, cycle_code="k1", number=1, version=1)
        assert newest.outcomes["c2"].total == 60
        assert newest.names["c2"] == "单位c2"
        for wanted in ({"cycle_code": "nope"}, {"cycle_code": "k1", "number": 9}, {"cycle_code": "k1", "version": 7}):
            with pytest.raises(NotFound):
                await stored_run(tx, **wanted)
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchval("SELECT count(*) FROM what_ifs WHERE tenant_id = $1", tx.tenant_id) == 0
