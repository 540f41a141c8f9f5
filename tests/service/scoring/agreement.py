"""What it means that engine and reference agree: on every output, exactly."""

import re
from collections.abc import Sequence
from fractions import Fraction

from service.scoring import Result, Scheme, Snapshot, compute, parse_scheme
from service.scoring.explanation import Step, explain
from service.scoring.leaves import EventTable, OneUnit
from service.scoring.numbers import format_scaled, round_half_up
from tests.service.scoring.cases import Case, snapshot_of
from tests.service.scoring.reference import Answer, Reference, Unit


def scheme_of(case: Case) -> Scheme:
    """The case's scheme; the generator makes sound ones."""
    scheme, faults = parse_scheme(case.document)
    assert scheme is not None, [fault for fault in faults if fault.severity == "FAULT"]
    return scheme


def disagreements(case: Case) -> list[str]:
    """Every output in which the two differ; empty where they agree."""
    scheme = scheme_of(case)
    answers = Reference(case.document, case.units).answers()
    return compared(scheme, case.units, answers)


def compared(scheme: Scheme, units: Sequence[Unit], answers: dict[str, Answer]) -> list[str]:
    """The engine's result for these units against the reference's answers."""
    result = compute(scheme, snapshot_of(scheme, units))
    expected = [answers[unit.key] for unit in units]
    places = scheme.settings.rounding_places
    found: list[str] = []

    def check(what: str, got: Sequence[object], wanted: Sequence[object]) -> None:
        for unit, one, other in zip(units, got, wanted, strict=True):
            if one != other:
                found.append(f"{what} of {unit.key}: engine {one}, reference {other}")

    def shown(value: Fraction | None) -> str | None:
        return None if value is None else format_scaled(round_half_up(value, places), places)

    check("exact", result.exact_fractions(), [a.exact for a in expected])
    check("total", result.totals(), [None if a.shown is None else format_scaled(a.shown, places) for a in expected])
    check("status", result.statuses(), [a.status for a in expected])
    check("rank", result.ranks(), [a.rank for a in expected])
    check("overall", result.overall_ranks(), [a.overall for a in expected])
    check("shared", result.shared_by(), [a.shared for a in expected])
    check("coverage", [result.coverage(i) for i in range(len(units))], [a.coverage for a in expected])
    check("shown coverage", result.coverages(4), [format_scaled(int(a.coverage * 10**4), 4) for a in expected])
    check("late", result.late_penalties(), [shown(a.late) for a in expected])
    check("bonus", result.bonuses(), [shown(a.bonus) for a in expected])
    check("deduction", result.deductions(), [shown(a.deduction) for a in expected])
    check("grade", result.grades(), [a.grade for a in expected])
    pending = {unit for tie in result.pending() for unit in tie.units}
    check("pending", [unit in pending for unit in range(len(units))], [a.undecided for a in expected])
    for code in result.node_codes:
        check(f"node {code}", result.node_fractions(code), [a.nodes.get(code) for a in expected])
        check(f"shown {code}", result.node_scores(code), [shown(a.nodes.get(code)) for a in expected])
        check(f"applies {code}", result.node_applies(code), [code in a.nodes for a in expected])
        marks = [
            None if (score := a.nodes.get(code)) is None else score * scheme.points_of(code, unit.category) / 100
            for unit, a in zip(units, expected, strict=True)
        ]
        check(f"marks {code}", result.node_marks(code), [shown(value) for value in marks])
        if scheme.by_code[code].rule is not None:
            check(f"state {code}", result.node_states(code), [a.states.get(code) for a in expected])
    return found


def explanation_faults(case: Case) -> list[str]:
    """Where an explanation's numbers do not add up to the shown total."""
    scheme = scheme_of(case)
    snapshot = snapshot_of(scheme, case.units)
    result = compute(scheme, snapshot)
    totals = result.totals()
    return [fault for unit in range(len(case.units)) for fault in _one(scheme, snapshot, result, unit, totals[unit])]


def _one(scheme: Scheme, snapshot: Snapshot, result: Result, unit: int, total: str | None) -> list[str]:
    steps = explain(scheme, snapshot, result, unit)
    by_key = {step.key: step for step in steps}
    found = []
    if len(by_key) != len(steps):
        found.append("keys repeat")
    if steps[0].shown != total:
        found.append(f"{steps[0].shown} instead of {total}")
    for step in steps:
        if not step.text.zh or not step.text.en:
            found.append(f"{step.key} says nothing")
        if step.parent_key is not None and step.depth != by_key[step.parent_key].depth + 1:
            found.append(f"{step.key} at depth {step.depth}")
    top = steps[0]
    if top.before is not None:
        root = by_key[scheme.root.code].result
        assert root is not None
        added = root * scheme.full_marks / 100
        for step in steps:
            if step.kind in ("BONUS", "DEDUCTION", "LATE_PENALTY") and step.parent_key == top.key:
                assert step.result is not None
                added += step.result if step.kind == "BONUS" else -step.result
        clamp = next((step for step in steps if step.kind == "CLAMP"), None)
        if clamp is not None:
            if clamp.before != added:
                found.append("the clamp starts elsewhere")
            added = clamp.result or Fraction(0)
        if top.before != added:
            found.append(f"parts add up to {added}, not {top.before}")
    for step in steps:
        if step.kind in ("BONUS", "DEDUCTION") and step.parent_key == top.key:
            counted = [other.result or Fraction(0) for other in steps if other.parent_key == step.key]
            if sum(counted, Fraction(0)) != step.result:
                found.append(f"events of {step.key} add up to {sum(counted, Fraction(0))}, not {step.result}")
        if _said(scheme, step, step.text.zh) != _said(scheme, step, step.text.en):
            found.append(f"other numbers in {step.text.zh} than in {step.text.en}")
        if step.kind == "AGGREGATE":
            found += _mean(scheme, step, [other for other in steps if other.parent_key == step.key])
        if step.kind == "LEAF" and step.formula and step.indicator is not None:
            found += _leaf(scheme, snapshot, result, unit, step.indicator)
    return found


def _said(scheme: Scheme, step: Step, text: str) -> set[str]:
    """The numbers in a sentence, without those in names; 100 is also called 百分制."""
    names = [step.key, *(node.name for node in scheme.indicators), *(item.name for item in scheme.data_items.values())]
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "")
    return set(re.findall(r"[0-9]+(?:\.[0-9]+)?", text)) - {"100"}


def _mean(scheme: Scheme, step: Step, children: Sequence[Step]) -> list[str]:
    kind = scheme.by_code[step.key].aggregation
    parts = [(child.effective_weight or Fraction(0), child.result) for child in children]
    counted = [(weight, score) for weight, score in parts if weight and score is not None]
    if step.result is None:
        return [] if not counted else [f"{step.key} has children that count, and no score"]
    total = sum((weight for weight, _ in counted), Fraction(0))
    printed = sum((child.weight or Fraction(0) for child in children), Fraction(0))
    if total != printed:
        return [f"{step.key}: effective weights add up to {total}, printed ones to {printed}"]
    if kind == "ARITHMETIC" and step.result * total != sum((w * s for w, s in counted), Fraction(0)):
        return [f"{step.key} is not the mean of its children"]
    return []


def _leaf(scheme: Scheme, snapshot: Snapshot, result: Result, unit: int, code: str) -> list[str]:
    """The words' arithmetic is worked out apart from the engine's: they must agree."""
    run, place = result.place_of(unit)
    at = run.tree.places[code]
    node = run.tree.nodes[at]
    assert node.rule is not None
    one = OneUnit(snapshot, EventTable(snapshot), code, unit, place, run.leaves[at].peers)
    marks = node.rule.work(one, node.full_marks, scheme.item_names).marks
    score = result.node_exact(code, unit)
    return [] if score == 100 * marks / node.full_marks else [f"{code}: words say {marks}, the engine {score}"]
