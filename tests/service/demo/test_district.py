"""The demo's generator: bounds, checks, planned faults, and the same district from the same seed."""

from collections import Counter
from decimal import Decimal

import pytest

from service.demo.district import FATES, PASSWORD, District, build, short_town
from service.demo.library import library

SEEDS = [1, 2026, 987654321]


@pytest.fixture(scope="module", params=SEEDS)
def district(request: pytest.FixtureRequest) -> District:
    seed: int = request.param
    return build(seed)


def test_the_same_seed_gives_the_same_district() -> None:
    assert build(7) == build(7)
    assert build(7).values != build(8).values
    assert build(7).units[0].name == build(8).units[0].name


def test_the_figures_of_a_seed_are_the_same_on_every_machine() -> None:
    values = build(2026).values["LD-C01"]
    assert {code: str(values[code]) for code in ("first_topic_planned", "first_topic_done", "satisfaction")} == {
        "first_topic_planned": "20",
        "first_topic_done": "17",
        "satisfaction": "89.88",
    }


def test_the_district_is_large_enough_and_every_code_is_its_own(district: District) -> None:
    scheme = library()
    assert len(district.towns) == 6
    assert len(district.units) >= 120
    assert Counter(unit.category for unit in district.units).keys() == {c.code for c in scheme.categories}
    codes = [unit.code for unit in district.all_units()]
    names = [unit.name for unit in district.all_units()]
    assert len(set(codes)) == len(codes)
    assert len(set(names)) == len(names)
    towns = {town.code for town in district.towns}
    assert all(unit.parent in towns for unit in district.units)
    assert all(unit.category is None for unit in (*district.departments, *district.towns))


def test_every_unit_has_a_value_for_every_item_within_its_bounds(district: District) -> None:
    scheme = library()
    for unit in district.units:
        values = district.values[unit.code]
        asked = scheme.items_of(unit.category or "")
        assert set(values) == {item.code for item in asked}
        for item in asked:
            value = values[item.code]
            if item.type == "YES_NO":
                assert isinstance(value, bool)
                continue
            assert isinstance(value, Decimal)
            assert item.minimum is not None
            assert item.maximum is not None
            assert item.minimum <= value <= item.maximum
            assert value == value.quantize(Decimal(1).scaleb(-item.scale))


def test_values_pass_every_cross_check_right_or_wrong(district: District) -> None:
    scheme = library()
    slips = {(slip.unit, slip.item): slip.wrong for slip in district.slips}
    for unit in district.units:
        values = district.values[unit.code]
        for check in scheme.checks(unit.category or ""):
            assert values[check.left] <= values[check.right]
            assert slips.get((unit.code, check.left), 0) <= values[check.right]


def test_ties_share_all_figures_and_nothing_sets_them_apart(district: District) -> None:
    assert [len(group) for group in district.ties] == [2, 3, 2]
    for first, *others in district.ties:
        for other in others:
            assert district.values[other] == district.values[first]
            assert district.awards[other, "B13"] == district.awards[first, "B13"]
    tied = {code for group in district.ties for code in group}
    assert tied.isdisjoint({unit for unit, _ in district.gaps})
    assert tied.isdisjoint({slip.unit for slip in district.slips})


def test_wrong_figures_are_wrong_each_in_its_own_unit(district: District) -> None:
    assert Counter(slip.fate for slip in district.slips) == Counter(FATES)
    assert len({slip.unit for slip in district.slips}) == len(district.slips)
    for slip in district.slips:
        assert slip.wrong != district.value(slip.unit, slip.item)
        assert slip.item in library().items
        assert slip.reason.endswith("。")


def test_there_are_gaps_and_leaves_that_do_not_apply(district: District) -> None:
    assert {item for _, item in district.gaps} <= set(library().items)
    assert any(district.value(unit, item) is None for unit, item in district.gaps)
    nothing_due = [unit for unit in district.units if district.values[unit.code].get("rectify_due") == 0]
    assert nothing_due


def test_awards_are_in_tenths_with_a_reason_below_full_marks(district: District) -> None:
    assert len(district.awards) == len(district.units)
    for award in district.awards.values():
        assert 0 <= award.marks <= award.self_score <= 2
        assert award.marks % Decimal("0.1") == 0
        assert (award.reason is None) == (award.marks == 2)


def test_accounts_name_functions_and_every_role_has_one(district: District) -> None:
    names = [account.name for account in district.accounts]
    assert len(set(names)) == len(names)
    units = {unit.code for unit in district.all_units()} | {"chunhui"}
    assert {account.unit for account in district.accounts} <= units
    roles = Counter(account.role for account in district.accounts)
    assert roles["REVIEWER"] == 6
    assert roles["ASSESSOR"] == len(district.departments)
    assert roles["SECRETARY"] >= 6
    assert roles["ORGANISER"] == roles["ADMINISTRATOR"] == roles["OBSERVER"] == 1
    assert PASSWORD.isascii()


def test_a_town_is_shown_without_its_committee() -> None:
    assert short_town("柳堤街道党工委") == "柳堤街道"
    assert short_town("栗坡镇党委") == "栗坡镇"
