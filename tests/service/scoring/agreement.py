"""What it means that engine and reference agree: on every output, exactly."""

from collections.abc import Sequence
from fractions import Fraction

from service.scoring import Scheme, compute, parse_scheme
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
