"""Third-party numbers: 51 countries × 49 indicators whose every score and rank was computed by COINr
(tests/data/asem).
"""

import csv
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from service.scoring import ItemColumn, Result, Snapshot, compute, parse_scheme

DATA = Path(__file__).parents[2] / "data" / "asem"
TOLERANCE = Fraction(1, 10**9)
"""COINr adds floats."""


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def document(unequal: bool) -> dict[str, Any]:
    """The tree as a scheme document: min–max leaves, arithmetic means, 12 places."""
    weights = {row["iCode"]: row["Weight"] for row in rows("weights_unequal")} if unequal else {}
    nodes = [row for row in rows("tree") if row["Type"] in ("Indicator", "Aggregate")]
    nodes.sort(key=lambda row: -int(row["Level"]))
    indicators = []
    for row in nodes:
        node: dict[str, Any] = {"code": row["iCode"], "name": row["iName"], "parentCode": row["Parent"] or None}
        if row["Parent"]:
            node["weight"] = weights.get(row["iCode"], "1")
        if row["Level"] == "1":
            node["rule"] = {
                "kind": "MINMAX",
                "quantity": {"numerator": {"terms": [{"dataItem": row["iCode"]}]}},
                "direction": "HIGHER" if row["Direction"] == "1" else "LOWER",
            }
        indicators.append(node)
    return {
        "weighting": "RELATIVE",
        "categories": [{"code": "country", "name": "国家"}],
        "dataItems": [
            {"code": row["iCode"], "name": row["iName"], "type": "NUMBER", "scale": 30}
            for row in nodes
            if row["Level"] == "1"
        ],
        "settings": {"roundingPlaces": 12},
        "indicators": indicators,
    }


def computed(unequal: bool) -> Result:
    scheme, faults = parse_scheme(document(unequal))
    assert scheme is not None, faults
    values = rows("values")
    # Exponents are written out: the engine reads plain decimals only.
    items = {key: ItemColumn.of([f"{Decimal(row[key]):f}" for row in values], scale=30) for key in scheme.data_items}
    units = [row["uCode"] for row in values]
    return compute(scheme, Snapshot(units, ["country"] * len(units), items))


@pytest.mark.parametrize("weights", ["equal", "unequal"])
def test_every_score_and_rank(weights: str) -> None:
    result = computed(weights == "unequal")
    scores = {row["uCode"]: row for row in rows(f"scores_{weights}_weights")}
    ranks = {row["uCode"]: row for row in rows(f"ranks_{weights}_weights")}
    leaf_scores = {row["uCode"]: row for row in rows("leaf_scores")}
    checked = 0
    for code in result.node_codes:
        ours = result.node_fractions(code)
        for unit, score in zip(result.units, ours, strict=True):
            theirs = scores[unit].get(code) or leaf_scores[unit][code]
            assert score is not None
            assert abs(score - Fraction(theirs)) < TOLERANCE, (code, unit)
            checked += 1
        if code in next(iter(ranks.values())):
            shown = [Decimal(score or "") for score in result.node_scores(code)]
            for unit, own in zip(result.units, shown, strict=True):
                assert 1 + sum(other > own for other in shown) == int(ranks[unit][code]), (code, unit)
    assert checked == 51 * 60
    assert result.ranks() == [int(ranks[unit]["Index"]) for unit in result.units]
    assert result.totals() == result.node_scores("Index")
