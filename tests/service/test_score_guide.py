"""What `kaoping score` tells whoever writes its files: a whole example, every rule, and that both are true."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service import schemes
from service.main import cli
from service.scorefiles import example_text, misshapen
from service.scoring import RULES, Fault, parse_scheme
from tenants.database import Database
from tenants.provisioning import District
from tests.service.drafting import make_world
from tests.service.scoring.build import LINEAR, document, leaf

HEAD = "unit,item,state,value,late_days,previous\n"
ITEMS = {
    "done": "20",
    "due": "21",
    "target": "25",
    "election": "true",
    "posted": "false",
    "rating": "一般",
    "ballots": "好=6;一般=2;不了解=9",
    "marks": "95;90;85",
}


def score(folder: Path, scheme: str, values: str, *options: str) -> list[dict[str, Any]]:
    (folder / "s.json").write_text(scheme)
    (folder / "v.csv").write_text(HEAD + values)
    done = CliRunner().invoke(cli, ["score", str(folder / "s.json"), str(folder / "v.csv"), *options])
    assert done.exit_code == 0, done.stderr
    units: list[dict[str, Any]] = json.loads(done.stdout)["units"]
    return units


def test_the_example_has_every_rule_and_is_sound() -> None:
    printed = CliRunner().invoke(cli, ["score", "--example"])
    assert (printed.exit_code, printed.stdout) == (0, example_text())
    what = json.loads(example_text())
    assert misshapen(what) == []
    scheme, faults = parse_scheme(what)
    assert faults == []
    assert scheme is not None
    assert {node.rule.kind for node in scheme.leaves if node.rule} == set(RULES)


def test_the_example_can_be_scored(tmp_path: Path) -> None:
    rows = [f"甲,{item},given,{value},,{18 if item == 'done' else ''}" for item, value in ITEMS.items()]
    rows += ["甲,1.01/领导,given,6;5.5,,", "甲,1.01/同级,given,1;5;6,,"]
    (tmp_path / "u.csv").write_text("unit,name,category\n甲,甲社区,社区\n")
    (unit,) = score(tmp_path, example_text(), "\n".join(rows), "--units", str(tmp_path / "u.csv"))
    assert unit["status"] == "RANKED"
    assert unit["nodes"]["1.01"] == "90.833333333333"  # (6 × 5.75 + 4 × 5) ÷ 10 of 6
    assert unit["nodes"]["1.02"] == "80.000000000000"  # 20 of 25
    assert unit["nodes"]["1.09"] == "96.666666666667"  # 0.2 for two completed tens, of 6
    assert unit["nodes"]["1.12"] == "90.000000000000"  # (6 × 100 + 2 × 60) ÷ 8


@pytest.mark.anyio
async def test_the_example_can_be_imported_where_its_categories_are(db: Database, tenant: District) -> None:
    world = await make_world(db, tenant)
    async with db.transaction(tenant.id) as tx:
        key = await schemes.import_scheme(tx, world.actor, document=example_text())
        checked = await schemes.check_version(tx, key)
    # Who awards, and the paper that a node rests on, only the district knows.
    assert {fault.path[-1] for fault in checked.faults} == {"responsibleUnits", "basis"}


def test_every_rule_is_told_with_its_definition_and_an_example() -> None:
    told = CliRunner().invoke(cli, ["score", "--rules"]).stdout
    for kind, rule in RULES.items():
        assert kind in told
        assert rule.term.zh in told
        assert f'{{"kind": "{kind}"' in told


def test_what_is_not_there_is_not_late(tmp_path: Path) -> None:
    scheme = json.dumps(document(leaf(LINEAR), latePenalty={"pointsPerDay": "1"}))
    rows = ["a,x,given,90,2,", "a,y,missing,,9,", "b,x,given,90,,", "b,y,not_applicable,,9,", "c,x,rejected,90,3,"]
    found = score(tmp_path, scheme, "\n".join(rows))
    assert [unit["total"] for unit in found] == ["88.00", "90.00", "0.00"]


def test_points_of_a_checklist_below_full_marks_are_warned_of_above_them_refused() -> None:
    def faults(own: str) -> list[Fault]:
        points = [{"dataItem": "ok", "marks": own}, {"dataItem": "ok2", "marks": "40"}]
        return parse_scheme(document(leaf({"kind": "CHECKLIST", "points": points})))[1]

    assert [fault.severity for fault in faults("50")] == ["WARNING"]
    assert faults("60") == []
    assert [fault.severity for fault in faults("61")] == ["FAULT"]
