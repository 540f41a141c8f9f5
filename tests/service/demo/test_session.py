"""The demo's cycles and the inputs of its bulk calls."""

from datetime import date
from decimal import Decimal

from service.demo.district import build
from service.demo.session import AT_ONCE, Period, entry, parts, review, rounds


def test_the_period_is_the_twelve_months_before_the_present_one() -> None:
    assert Period.before(date(2026, 11, 23)) == Period(date(2025, 11, 1), date(2026, 10, 31), date(2026, 11, 23))
    assert Period.before(date(2027, 1, 5)).name == "2026年度"
    assert Period.before(date(2028, 3, 31)).ends_on == date(2028, 2, 29)


def test_the_rounds_assess_every_unit_once_and_one_is_past_its_due_date() -> None:
    district = build(1)
    assessed = [unit.code for round_ in rounds() for unit in round_.units(district)]
    assert sorted(assessed) == sorted(unit.code for unit in district.units)
    assert [round_.due for round_ in rounds()] == [0, -1]


def test_entries_name_the_version_that_they_replace() -> None:
    assert entry({"id": "t", "entry": None}, Decimal("1.50")) == {"taskId": "t", "content": {"number": "1.50"}}
    assert entry({"id": "t", "entry": {"id": "e", "version": 2}}, True, reason="更正") == {
        "taskId": "t",
        "version": 2,
        "content": {"yesNo": True},
        "reason": "更正",
    }


def test_a_judgement_names_the_version_that_was_seen() -> None:
    assert review({"id": "a", "version": 3}, {"accept": {}}) == {
        "assessmentId": "a",
        "version": 3,
        "decision": {"accept": {}},
    }


def test_large_calls_are_parted() -> None:
    assert [len(part) for part in parts([{}] * (AT_ONCE * 2 + 1))] == [AT_ONCE, AT_ONCE, 1]
    assert list(parts([])) == []
