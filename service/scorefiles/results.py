"""What `kaoping score` gives back (测算结果文件): totals, ranks and node scores per unit; equal inputs, equal bytes."""

from typing import Any, Final

from service.language import Language, say
from service.scorefiles.inputs import Inputs
from service.scoring import (
    ENGINE_VERSION,
    Result,
    canonical_json,
    explain,
    explanation_text,
    moved_without,
    robustness,
)
from service.scoring.numbers import format_decimal, format_scaled, round_half_up

FORMAT: Final = "kaoping-result/1"
PLACES: Final = 12
"""Decimal places of node scores and coverage."""


def result_document(inputs: Inputs, result: Result) -> dict[str, Any]:
    """The result as data; every number is a string, but ranks."""
    nodes = {code: _scores(result, code) for code in result.node_codes}
    columns = zip(
        inputs.snapshot.units,
        inputs.names,
        inputs.snapshot.categories,
        result.totals(),
        result.exact_totals(),
        result.ranks(),
        result.overall_ranks(),
        result.grades(),
        _coverages(result),
        result.statuses(),
        strict=True,
    )
    return {
        "format": FORMAT,
        "engine": ENGINE_VERSION,
        "units": [
            {
                "unit": unit,
                "name": name,
                "category": category,
                "status": status,
                "total": total,
                "exact": exact,
                "rank": rank,
                "overallRank": overall,
                "grade": grade,
                "coverage": coverage,
                "nodes": {code: scores[place] for code, scores in nodes.items()},
            }
            for place, (unit, name, category, total, exact, rank, overall, grade, coverage, status) in enumerate(
                columns
            )
        ],
    }


def result_bytes(inputs: Inputs, result: Result, drawn: dict[str, Any] | None = None) -> bytes:
    """The result as canonical JSON in UTF-8, one line; with `drawn`, how firm it is stands beside it."""
    found = result_document(inputs, result)
    if drawn is not None:
        found["robustness"] = drawn
    return (canonical_json(found) + "\n").encode()


def robustness_document(result: Result, seed: int) -> dict[str, Any]:
    """How firm the ranks are (稳健性): intervals, seats that flip, and ranks without one node."""
    found = robustness(result.scheme, result, seed=seed)
    without = moved_without(result)
    ranks = result.ranks()
    return {
        "draws": found.draws,
        "seed": seed,
        "tolerance": format_decimal(found.tolerance),
        "flips": [
            {
                "grade": flip.grade,
                "units": [result.units[flip.holder], result.units[flip.next]],
                "share": format_decimal(flip.share),
                "text": {"zh": flip.text.zh, "en": flip.text.en},
            }
            for flip in found.flips
        ],
        "units": [
            {
                "unit": unit,
                "rank": ranks[place],
                "low": int(found.low[place]) or None,
                "high": int(found.high[place]) or None,
                "without": without[place],
            }
            for place, unit in enumerate(result.units)
        ],
    }


def explained(inputs: Inputs, result: Result, unit: str, language: Language) -> str | None:
    """Where every point of a unit came from, in words; None where there is no such unit."""
    if unit not in inputs.snapshot.units:
        return None
    place = list(inputs.snapshot.units).index(unit)
    steps = explain(inputs.scheme, inputs.snapshot, result, place)
    name = inputs.names[place]
    head = unit if name == unit else f"{name}（{unit}）" if language == "zh-CN" else f"{name} ({unit})"
    return f"{head}\n{say(explanation_text(steps), language)}"


def _coverages(result: Result) -> list[str]:
    """Every unit's coverage, 0 to 1."""
    return [format_scaled(round_half_up(result.coverage(unit), PLACES), PLACES) for unit in range(len(result.units))]


def _scores(result: Result, code: str) -> list[str | None]:
    """One node's scores, 0 to 100, rounded half up to 12 places only; None where it has none."""
    return [
        None if value is None else format_scaled(round_half_up(value, PLACES), PLACES)
        for value in result.node_fractions(code)
    ]
