"""What people type: taken exactly as meant, or named with its place and how to mend it (输入检查)."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.checks import Check
from service.errors import ErrorCode, Invalid
from service.ids import decode_id, encode_id
from tenants.ids import uuid7

PATH = ("input", "value")


def fault(check: Check) -> ErrorCode:
    (issue,) = check.found
    assert issue.path[: len(PATH)] == PATH
    assert issue.text.zh
    assert issue.text.en
    return issue.code


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
def test_plain_decimals_are_taken_exactly(value: Decimal) -> None:
    check = Check()
    assert check.decimal(PATH, format(value, "f")) == value
    assert check.found == []


@pytest.mark.parametrize(
    "raw",
    [
        "", " 1", "1 ", "+1", "1e3", "1E3", "NaN", "Infinity", "-Infinity", "１２", "1,000", "1_000", ".5", "5.", "01",
        "--1", "0x10", "1" * 39, "0." + "1" * 38, "一", "1.2.3", "−1",
    ],
)  # fmt: skip
def test_everything_else_is_no_decimal(raw: str) -> None:
    check = Check()
    assert check.decimal(PATH, raw) is None
    assert fault(check) is ErrorCode.INVALID_DECIMAL


def test_bounds_and_places_are_judged_without_rounding() -> None:
    check = Check()
    assert check.decimal(PATH, "1.2300", scale=2) == Decimal("1.23")
    assert check.decimal(PATH, "0", minimum=Decimal(0), maximum=Decimal(0)) == 0
    assert check.found == []
    assert check.decimal(PATH, "1.234", scale=2) is None
    assert check.decimal(PATH, "-0.0001", minimum=Decimal(0)) is None
    assert check.decimal(PATH, "12345678901234567890123456789012345678", maximum=Decimal("1e37")) is None
    assert [issue.code for issue in check.found] == [ErrorCode.INVALID] * 3


@pytest.mark.parametrize(
    "raw", ["2026-7-1", "2026-02-30", "20260701", "2026-W01-1", "０２０６-01-01", "2026-07-01T00:00"]
)
def test_a_date_is_a_day_of_the_calendar(raw: str) -> None:
    check = Check()
    assert check.date(PATH, raw) is None
    assert fault(check) is ErrorCode.INVALID_DATETIME
    assert Check().date(PATH, "2028-02-29") == date(2028, 2, 29)


@pytest.mark.parametrize(
    "raw",
    ["2026-07-01T00:00:00", "2026-07-01 00:00:00Z", "2026-07-01T24:00:00Z", "2026-07-01", "9999-12-31T23:59:59-14:00"],
)
def test_an_instant_needs_its_offset(raw: str) -> None:
    check = Check()
    assert check.instant(PATH, raw) is None
    assert fault(check) is ErrorCode.INVALID_DATETIME
    assert Check().instant(PATH, "2026-07-11T00:00:00+08:00") == datetime(2026, 7, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31", "2201-01-01", "9999-12-31"])
def test_a_year_that_was_mistyped_is_told(day: str) -> None:
    for check, read in ((one := Check(), one.date(PATH, day)), (two := Check(), two.instant(PATH, f"{day}T12:00:00Z"))):
        assert read is None
        assert fault(check) is ErrorCode.INVALID_DATETIME
        assert "1900 to 2200" in check.found[0].text.en
    assert Check().date(PATH, "1900-01-01") == date(1900, 1, 1)
    assert Check().date(PATH, "2200-12-31") == date(2200, 12, 31)


def test_an_id_is_of_its_type_and_of_one_spelling() -> None:
    key = uuid7()
    text = encode_id("Cycle", key)
    assert Check().id(PATH, text, "Cycle") == key
    for wrong in (encode_id("Task", key), text + "=", text + "\n", text.upper(), str(key), "", "x" * 500):
        check = Check()
        assert check.id(PATH, wrong, "Cycle") is None
        assert fault(check) is ErrorCode.INVALID_ID
    assert decode_id(text, "Cycle") == key


def test_a_list_of_ids_names_the_place_of_a_repeated_one() -> None:
    first, second = encode_id("Task", uuid7()), encode_id("Task", uuid7())
    check = Check()
    assert len(check.ids(PATH, [first, second, first], "Task")) == 2
    assert [(issue.code, issue.path) for issue in check.found] == [(ErrorCode.DUPLICATE, (*PATH, "2"))]


@pytest.mark.parametrize("raw", ["", "   ", "a\x00b", "a\u202eb", "\ud800", "x" * 201, "a\nb"])
def test_a_line_is_readable_text(raw: str) -> None:
    check = Check()
    assert check.line(PATH, raw) is None
    assert fault(check) is ErrorCode.INVALID_TEXT
    # Whatever was typed, the message can be sent.
    check.found[0].text.en.encode()


def test_text_is_trimmed_and_normalised() -> None:
    assert Check().line(PATH, "  e\u0301 党支部 ") == "é 党支部"
    assert Check().prose(PATH, "一\n二\t三") == "一\n二\t三"
    assert Check().prose(PATH, "  ") is None


def test_all_faults_are_refused_together() -> None:
    check = Check()
    check.code(("input", "code"), "空 格")
    check.date(("input", "from"), "soon")
    with pytest.raises(Invalid) as refusal:
        check.done()
    assert [issue.path for issue in refusal.value.issues] == [("input", "code"), ("input", "from")]
    assert "one more fault" in refusal.value.text.en
