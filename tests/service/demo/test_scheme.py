"""The demo's scheme in the scoring engine: no fault, sums right, and a board with ties and units out of the ranking."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from service.demo.district import District, Value, build
from service.demo.library import Json, Library, Part, library, row_input
from service.demo.setup import LEAST_COVERAGE, SETTINGS
from service.scoring import ItemColumn, Result, Scheme, Snapshot, State, Status, compute, parse_scheme, point_sums

NOT_SCORING = {"reviewLevels", "disclosures", "objectionWorkingDays"}


def renamed(value: Part) -> Part:
    """Item keys in place of ids."""
    if isinstance(value, list):
        return [renamed(part) for part in value]
    if isinstance(value, dict):
        return {("dataItem" if key == "dataItemId" else key): renamed(part) for key, part in value.items()}
    return value


def rule_document(rule: Mapping[str, Part]) -> Json:
    """A rule of the API's input as the engine's document writes it."""
    ((kind, given),) = rule.items()
    written: Json = {"kind": "YES_NO" if kind == "yesNo" else kind.upper()}
    return {**written, **renamed(given)}


def document(scheme: Library) -> Json:
    """The whole scheme for the engine, with codes as keys."""
    same = {code: code for code in scheme.items}
    categories = {category.code: category.code for category in scheme.categories}
    departments = {department.code: department.code for department in scheme.departments}
    rows: list[Json] = [{"code": "ROOT", "name": "总分", "points": str(scheme.full_marks)}]
    for node in scheme.nodes:
        given = row_input(node, items=same, departments=departments, categories=categories)["indicator"]
        row = {key: given[key] for key in ("code", "name", "points", "aggregation")}
        row |= {"parentCode": node.parent or "ROOT", "categories": given["categoryIds"]}
        if "rule" in given:
            row["rule"] = rule_document(given["rule"])
        rows.append(row)
    return {
        "weighting": "POINTS",
        "fullMarks": str(scheme.full_marks),
        "categories": [{"code": category.code, "name": category.name} for category in scheme.categories],
        "dataItems": [
            {
                "code": item.code,
                "name": item.name,
                "type": item.type,
                "scale": item.scale,
                "minimum": None if item.minimum is None else str(item.minimum),
                "maximum": None if item.maximum is None else str(item.maximum),
            }
            for item in scheme.items.values()
        ],
        "settings": {key: value for key, value in SETTINGS.items() if key not in NOT_SCORING},
        "indicators": rows,
    }


def number(value: Value | None) -> Decimal | int | None:
    return int(value) if isinstance(value, bool) else value


def snapshot(scheme: Library, district: District) -> Snapshot:
    """The district's true values, with the leaves that no review settles."""
    codes = [unit.code for unit in district.units]
    items = {
        item.code: ItemColumn.of([number(district.value(code, item.code)) for code in codes], scale=item.scale)
        for item in scheme.items.values()
    }
    states: dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]] = {}
    for slip in district.slips:
        state = {"unanswered": State.MISSING, "rejected": State.REJECTED}.get(slip.fate)
        if state is not None:
            column = states.setdefault(slip.leaf, np.zeros(len(codes), np.uint8))
            column[codes.index(slip.unit)] = state
    return Snapshot(
        units=codes,
        categories=[unit.category or "" for unit in district.units],
        items=items,
        awards={"B13": ItemColumn.of([district.awards[code, "B13"].marks for code in codes], scale=1)},
        leaf_states=states,
    )


@pytest.fixture(scope="module")
def scheme() -> Scheme:
    parsed, faults = parse_scheme(document(library()))
    assert not faults
    assert parsed is not None
    return parsed


@pytest.fixture(scope="module")
def district() -> District:
    return build(2026)


@pytest.fixture(scope="module")
def result(scheme: Scheme, district: District) -> Result:
    return compute(scheme, snapshot(library(), district))


def test_all_points_sum_up_for_every_category() -> None:
    sums = point_sums(document(library()))
    assert len(sums) > 100
    assert all(total.balanced for total in sums)


def test_planned_ties_share_their_ranks(district: District, result: Result) -> None:
    place = {unit.code: index for index, unit in enumerate(district.units)}
    for group in district.ties:
        exact = result.exact_fractions()
        assert len({exact[place[code]] for code in group}) == 1
        assert len({result.rank[place[code]] for code in group}) == 1
        assert all(result.shared[place[code]] >= len(group) for code in group)


def test_units_that_report_nothing_are_not_ranked_and_all_others_are(district: District, result: Result) -> None:
    own = [item.code for item in library().items.values() if item.responsible is None]
    silent = {unit.code for unit in district.units if all(district.value(unit.code, item) is None for item in own)}
    assert len(silent) == 2
    for place, unit in enumerate(district.units):
        below = result.coverage(place) < Fraction(LEAST_COVERAGE)
        assert (result.status[place] == Status.LOW_COVERAGE) == (unit.code in silent) == below


@pytest.mark.parametrize("seed", [1, 2026, 31])
def test_totals_spread_as_in_a_real_district(scheme: Scheme, seed: int) -> None:
    district = build(seed)
    totals = compute(scheme, snapshot(library(), district)).totals()
    ordered = sorted(Decimal(total) for total in totals if total is not None)
    assert len(ordered) == len(district.units)
    assert 80 < ordered[len(ordered) // 2] < 95
    assert ordered[-1] <= 100
    assert ordered[len(ordered) // 10] < 85
