"""Every kind of rule through the use-cases: written, filled, run; the scores are those of the independent reference."""

import zlib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
import pytest

from service import schemes
from service.rankings import snapshot
from service.schemes.rules import RULE_KINDS, translate
from service.scoring import RULES, Event, ItemColumn, Snapshot
from tenants.database import Database
from tenants.provisioning import District
from tests.service.computing import Course, Values, course, key_of, reference_units, referred
from tests.service.scoring.reference import Answer, Reference

pytestmark = pytest.mark.anyio


def of(item: str, under: str | None = None, *, named: str | None = None, plus: str = "0") -> dict[str, Any]:
    """An item (or one of its counts), perhaps over another one."""

    def combination(key: str, constant: str) -> dict[str, Any]:
        return {"terms": [{"coefficient": "1", "dataItem": key, "countName": named}], "constant": constant}

    return {"numerator": combination(item, plus), "denominator": combination(under, "0") if under else None}


GROUP = {"name": "群众", "weight": "2", "dataItem": "votes"}
BALLOTS = [{"option": "a", "marks": "100"}, {"option": "b", "marks": "61.5"}]

LEAVES: dict[str, dict[str, Any]] = {
    "piecewise": {
        "kind": "PIECEWISE",
        "full": "2",
        "quantity": of("x", "y"),
        "points": [{"x": "0.6", "marks": "0"}, {"x": "0.85", "marks": "1.2"}, {"x": "0.98", "marks": "2"}],
    },
    "checklist": {
        "kind": "CHECKLIST",
        "full": "5",
        "points": [{"dataItem": "ok", "marks": "3"}, {"dataItem": "ok2", "marks": "2"}],
    },
    "thirds": {"kind": "CHECKLIST", "full": "1", "points": [{"dataItem": "ok"}, {"dataItem": "ok2"}]},
    "counted": {"kind": "CHECKLIST", "done": of("x"), "asked": of("y"), "allOrNothing": False},
    "whole": {"kind": "CHECKLIST", "points": [{"dataItem": "ok"}, {"dataItem": "ok2"}], "allOrNothing": True},
    "choice": {
        "kind": "CHOICE",
        "full": "20",
        "dataItem": "pick",
        "options": [{"option": "good", "marks": "20"}, {"option": "fair", "marks": "7.5"}],
    },
    "neutral": {
        "kind": "NEUTRAL",
        "quantity": of("x"),
        "low": {"assigned": "target", "pointsPerStep": "0.5", "step": "1", "partSteps": "STARTED"},
        "high": {"value": "40", "pointsPerStep": "1.5", "partSteps": "COMPLETED"},
        "floor": "-10",
    },
    "plus": {
        "kind": "NEUTRAL",
        "quantity": of("x"),
        "low": {"value": "30", "pointsPerStep": "1"},
        "high": {"assigned": "target", "pointsPerStep": "0"},
        "plus": {"pointsPerStep": "0.7", "cap": "5"},
    },
    "completion": {"kind": "COMPLETION", "actual": of("x"), "target": of("target"), "cap": "1.2"},
    "improvement": {"kind": "IMPROVEMENT", "quantity": of("x", "y"), "fullAt": "0.3"},
    "fewer": {
        "kind": "IMPROVEMENT",
        "quantity": of("votes", named="b", plus="1"),
        "fullAt": "0.3",
        "direction": "LOWER",
    },
    "ratio": {"kind": "BEST_RATIO", "quantity": of("x")},
    "least": {"kind": "BEST_RATIO", "quantity": of("y"), "direction": "LOWER"},
    "efficacy": {"kind": "EFFICACY", "quantity": of("x", "y"), "base": "0.6"},
    "minmax": {"kind": "MINMAX", "quantity": of("votes", named="a"), "direction": "LOWER"},
    "table": {
        "kind": "RANK_POINTS",
        "full": "6",
        "quantity": of("y"),
        "table": [{"rank": 1, "marks": "6"}, {"rank": 2, "marks": "4.5"}],
        "ties": "MEAN",
    },
    "last": {
        "kind": "RANK_POINTS",
        "full": "6",
        "quantity": of("y"),
        "table": [{"rank": 1, "marks": "-1"}, {"rank": 2, "marks": "0"}],
        "countFrom": "LAST",
        "floor": "-2",
    },
    "step": {"kind": "RANK_POINTS", "full": "6", "quantity": of("x"), "step": "2.5", "floor": "0"},
    "percentile": {"kind": "PERCENTILE", "quantity": of("x"), "direction": "LOWER"},
    "ballots": {"kind": "GRADE_MEAN", "groups": [{**GROUP, "values": BALLOTS}], "minBallots": 3},
    "trimmed": {"kind": "TRIMMED_MEAN", "dataItem": "marks", "drop": 1, "dropFrom": 4, "minimumCount": 2},
    "linear": {"kind": "LINEAR", "quantity": of("x"), "zeroAt": "10", "fullAt": "50"},
    "bands": {
        "kind": "BANDS",
        "quantity": of("x"),
        "bands": [{"from": "30", "marks": "100"}, {"from": None, "marks": "45"}],
    },
    "yes": {"kind": "YES_NO", "dataItem": "ok", "fullWhen": False},
    "deduct": {"kind": "DEDUCT", "lines": [{"quantity": of("votes", named="b"), "pointsEach": "0.5", "cap": "3"}]},
}
"""At least one leaf of each kind of rule but AWARD."""

BEFORE: Values = {
    "c1": {"x": "30", "y": "40", "votes": {"a": 3, "b": 8, "d": 1}},
    "c2": {"x": "0", "y": "40", "votes": {"a": 3, "b": 0}},
    "c3": {"x": "25.5", "y": "40"},
    "v1": {"x": "33.33", "y": "0", "votes": {"a": 1}},
    "v2": {"x": "10", "y": "30", "votes": {"a": 1, "b": 9}},
}
NOW: Values = {
    "c1": {
        "x": "36.25",
        "y": "40",
        "ok": True,
        "ok2": False,
        "pick": "good",
        "votes": {"a": 20, "b": 7, "d": 2},
        "marks": ["90", "85.5", "99", "70", "88"],
    },
    "c2": {
        "x": "28.1",
        "y": "40",
        "ok": True,
        "ok2": True,
        "pick": "fair",
        "votes": {"a": 1, "b": 1, "d": 9},
        "marks": ["90", "80"],
    },
    "c3": {"x": "39.5", "y": "41", "ok": False, "pick": "good", "votes": {"a": 9, "b": 2}, "marks": ["77.7"]},
    "c4": {"y": "39"},
    "v1": {
        "x": "33.34",
        "y": "35",
        "ok": True,
        "ok2": True,
        "pick": "good",
        "votes": {"a": 5, "b": 5, "d": 5},
        "marks": ["60", "70", "80", "91.5"],
    },
    "v2": {
        "x": "44.44",
        "y": "0",
        "ok": False,
        "ok2": False,
        "pick": "fair",
        "votes": {"a": 5, "b": 1},
        "marks": ["1", "2"],
    },
}
TARGETS = {"c1": "35", "c2": "29.5", "c3": "30", "c4": "20", "v1": "33", "v2": "50"}


@pytest.fixture
async def ran(db: Database, tenant: District) -> tuple[Course, Mapping[str, Any]]:
    """Two cycles over all leaves, and what the second one's run says."""
    given = await course(db, tenant, LEAVES)
    await given.cycle(BEFORE, TARGETS)
    run_id = await given.run(await given.cycle(NOW, TARGETS))
    return given, await given.scores(run_id)


def rounded(value: Fraction | None) -> str | None:
    """To the twelve places of the scheme, half up."""
    if value is None:
        return None
    scaled = int((abs(value) * 10**12 * 2 + 1) // 2)
    return str((Decimal(scaled if value >= 0 else -scaled)).scaleb(-12))


def compare(answers: Mapping[str, Answer], scores: Mapping[str, Any]) -> list[str]:
    """Where the run and the reference differ."""
    found = []
    for unit, answer in answers.items():
        exact, nodes = scores[unit]
        if (None if exact is None else Fraction(exact)) != answer.exact:
            found.append(f"total of {unit}: {exact}, not {answer.exact}")
        for code, score in answer.nodes.items():
            if code == "ROOT":
                continue
            got = nodes[code]["score"]
            wanted = rounded(score)
            if (None if got is None else Decimal(got)) != (None if wanted is None else Decimal(wanted)):
                found.append(f"{code} of {unit}: {got}, not {wanted}")
        for code, state in answer.states.items():
            if nodes[code]["state"] != state:
                found.append(f"{code} of {unit}: {nodes[code]['state']}, not {state}")
    return found


async def test_every_kind_of_rule_scores_as_the_reference_says(ran: tuple[Course, Mapping[str, Any]]) -> None:
    given, scores = ran
    assert {rule["kind"] for rule in LEAVES.values()} == {kind for kind in RULE_KINDS if not RULES[kind].outside} - {
        "AWARD"
    }
    answers = Reference(await given.document(), reference_units(NOW, TARGETS, BEFORE)).answers()
    assert set(answers) == set(scores)
    assert compare(answers, scores) == []
    states = {code: answers[unit].states[code] for unit, code in (("c1", "improvement"), ("c2", "improvement"))}
    assert states == {"improvement": "NOT_APPLICABLE"}, "nothing can be said against a last value of 0"
    assert answers["c3"].states["trimmed"] == "NOT_APPLICABLE", "one score is too few"
    assert answers["c4"].states["ratio"] == "MISSING"


async def test_what_is_carried_over_is_the_last_cycle_of_every_type(db: Database, tenant: District) -> None:
    wanted = ("piecewise", "choice", "ballots", "trimmed", "yes")
    given = await course(db, tenant, {code: LEAVES[code] for code in wanted}, missingPolicy="CARRY_OVER")
    before = {"c1": NOW["c1"], "v1": NOW["v1"], "c3": {"x": "1"}}
    now = {"c2": NOW["c2"], "v1": {"x": "30", "y": "31"}}
    await given.cycle(before)
    scores = await given.scores(await given.run(await given.cycle(now)))
    units = reference_units(now, {})
    for unit in units:
        carried = {item: ("CARRIED", referred(value)) for item, value in before.get(unit.key, {}).items()}
        unit.values = {**carried, **unit.values}
    answers = Reference(await given.document(), units).answers()
    assert compare(answers, scores) == []
    assert scores["c1"][1]["choice"]["state"] == "MISSING", "it scores, and is shown as what it is"
    assert Decimal(scores["c1"][1]["choice"]["score"]) == 100
    assert Decimal(scores["c4"][0] or 0) == 0


async def test_a_snapshot_is_packed_and_unpacked_without_loss(ran: tuple[Course, Mapping[str, Any]]) -> None:
    given, _ = ran
    async with given.world.db.transaction(given.tenant.id) as tx:
        packed = bytes(await tx.fetchval("SELECT document FROM run_snapshots WHERE tenant_id = $1", given.tenant.id))
    found = snapshot.unpack(packed)
    again = snapshot.pack(found.document, found.snapshot)
    assert again.document == packed
    assert snapshot.unpack(again.document).size == found.size
    assert found.snapshot.previous["x"].scale == 2
    assert sorted(found.snapshot.units) == sorted(NOW)


def test_all_that_a_snapshot_may_hold_is_kept() -> None:
    whole = Snapshot(
        units=["a", "b"],
        categories=["c", "c"],
        items={"x": ItemColumn.of(["-3", None])},
        awards={"A": ItemColumn.of(["1.5", None], scale=1)},
        leaf_items={
            ("L", "wide"): ItemColumn.of([str(10**30), "1"]),
            ("L", "votes"): ItemColumn.of_counts([{"a": 3}, None]),
            ("L", "marks"): ItemColumn.of_scores([["90.5", "1"], []], scale=1),
        },
        leaf_states={"L": np.array([0, 4], np.uint8)},
        late_days=np.array([0, 2], np.int64),
        previous={"x": ItemColumn.of([None, "2.25"], scale=2)},
        group_awards={("A", "领导"): ItemColumn.of_scores([["3"], ["4", "5"]])},
        events=[
            Event("1", "a", "B", "m", "l", Decimal("0.50")),
            Event("2", "b", "V", effect="UNRANKED", state="REVOKED"),
        ],
        parents=["p", None],
        previous_grades=[None, "good"],
        decisions={"a": 1},
    )
    packed = snapshot.pack({"code": "S"}, whole)
    found = snapshot.unpack(packed.document)
    assert found.document == {"code": "S"}
    assert snapshot.pack(found.document, found.snapshot) == packed
    for name in ("units", "categories", "events", "parents", "previous_grades", "decisions"):
        assert getattr(found.snapshot, name) == getattr(whole, name)
    assert found.snapshot.leaf_items["L", "wide"].numbers.tolist() == [10**30, 1]
    assert found.snapshot.leaf_items["L", "votes"].parts is not None
    with pytest.raises(ValueError, match="other/1"):
        snapshot.unpack(zlib.compress(b'{"format": "other/1"}'))


def test_conditions_of_grades_find_their_items_in_what_was_kept() -> None:
    condition = {"kind": "ITEM_TRUE", "dataItem": "ok"}
    document = {"code": "S", "settings": {"grades": [{"code": "A", "conditions": [condition]}]}}
    column = ItemColumn.of([1, 0])
    given = Snapshot(["a", "b"], ["c", "c"], items={"ok": column}, leaf_items={("L", "ok"): column})
    found = snapshot.unpack(snapshot.pack(document, given).document)
    assert found.snapshot.items["ok"].numbers.tolist() == [1, 0]


async def test_a_file_gives_the_same_rules_again(ran: tuple[Course, Mapping[str, Any]]) -> None:
    given, _ = ran
    async with given.world.db.transaction(given.tenant.id) as tx:
        version_id = key_of(given.version_id, "SchemeVersion")
        text = await schemes.scheme_file(tx, version_id)
        copied = await schemes.import_scheme(
            tx, given.world.actor, document=text.replace('"code":"S"', '"code":"S2"'), create_missing_data_items=False
        )
        once, again = [await schemes.scheme_document(tx, key, keys="code") for key in (version_id, copied)]
        found = await schemes.check_version(tx, copied)
    assert [fault for fault in found.faults if fault.severity == "FAULT"] == []
    assert [node["code"] for node in once["indicators"]] == [node["code"] for node in again["indicators"]]
    kinds = {node["code"]: (node["rule"] or {}).get("kind") for node in again["indicators"]}
    assert {code: kind for code, kind in kinds.items() if kind} == {code: rule["kind"] for code, rule in LEAVES.items()}
    ends = next(node["rule"] for node in again["indicators"] if node["code"] == "neutral")
    assert ends["low"]["assigned"] == "target"


async def test_a_unit_can_not_report_the_end_of_its_own_corridor(db: Database, tenant: District) -> None:
    given = await course(db, tenant, {"linear": LEAVES["linear"]})
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "UPDATE data_items SET source = 'REPORTED' WHERE tenant_id = $1 AND code = 'target'", tenant.id
        )
        text = (await schemes.scheme_file(tx, key_of(given.version_id, "SchemeVersion"))).replace(
            '"code":"S"', '"code":"S3"'
        )
        copied = await schemes.import_scheme(tx, given.world.actor, document=text)
        rule = translate(
            LEAVES["neutral"],
            {code: str(key_of(key, "DataItem")) for code, key in given.world.items.items()},
        )
        await tx.execute(
            """UPDATE indicators SET rule = $3::jsonb WHERE tenant_id = $1 AND scheme_version_id = $2
               AND code = 'linear'""",
            tenant.id,
            copied,
            orjson.dumps(rule).decode(),
        )
        await tx.execute(
            """INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
               SELECT $1, i.id, d.id, 1 FROM indicators i, data_items d WHERE i.tenant_id = $1 AND d.tenant_id = $1
                  AND i.scheme_version_id = $2 AND i.code = 'linear' AND d.code = 'target'""",
            tenant.id,
            copied,
        )
        found = await schemes.check_version(tx, copied)
    assert [fault.path[-3:] for fault in found.faults if fault.severity == "FAULT"] == [("rule", "low", "assigned")]
