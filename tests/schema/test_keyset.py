"""Cursors and ids have one spelling, and no forged one reaches SQL (游标与标识)."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.keyset import Key, beyond, read_cursor
from service.ids import decode_id, encode_id, id_sql, parse_id, to_base64url
from tenants.database import Database
from tests.schema.conftest import Caller

KEYS = (Key("{r}.name"), Key("{r}.at", "timestamptz", nullable=True), Key("{r}.id", "uuid"))
DIGEST = "0123456789ab"
GOOD: list[Any] = [DIGEST, "论语", "2026-01-02 03:04:05.6+00", "00000000-0000-7000-8000-000000000001"]


def cursor(parts: object) -> str:
    return to_base64url(json.dumps(parts).encode())


def test_a_sound_cursor_is_read() -> None:
    assert read_cursor(cursor(GOOD), DIGEST, KEYS) == GOOD[1:]
    assert read_cursor(cursor([DIGEST, "", None, GOOD[3]]), DIGEST, KEYS) == ["", None, GOOD[3]]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        {},
        GOOD[:-1],
        [*GOOD, "more"],
        ["another", *GOOD[1:]],
        [DIGEST, None, *GOOD[2:]],
        [DIGEST, 7, *GOOD[2:]],
        [DIGEST, "\0", *GOOD[2:]],
        [DIGEST, "\ud800", *GOOD[2:]],
        [DIGEST, "a", "yesterday", GOOD[3]],
        [DIGEST, "a", "2026-13-02 03:04:05+00", GOOD[3]],
        [DIGEST, "a", None, "1"],
        [DIGEST, "a", None, GOOD[3].replace("7", "٧")],
    ],
)
def test_a_forged_cursor_is_refused(parts: object) -> None:
    assert read_cursor(cursor(parts), DIGEST, KEYS) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_readers(text: str) -> None:
    assert read_cursor(text, DIGEST, KEYS) is None
    parsed = parse_id(text)
    assert parsed is None or encode_id(*parsed) == text


@given(st.lists(st.none() | st.text(max_size=30) | st.integers(), min_size=3, max_size=3))
def test_what_passes_the_check_is_text_or_null(parts: list[Any]) -> None:
    values = read_cursor(cursor([DIGEST, *parts]), DIGEST, KEYS)
    assert values is None or all(value is None or isinstance(value, str) for value in values)


@given(st.uuids(), st.from_regex(r"[A-Z][A-Za-z0-9]{0,40}", fullmatch=True))
def test_ids_are_read_as_they_were_written(key: UUID, name: str) -> None:
    text = encode_id(name, key)
    assert decode_id(text, name) == key
    assert decode_id(text, name + "x") is None
    assert decode_id(text + "=", name) is None
    assert parse_id(text) == (name, key)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["A", "Cycle", "Report", "OrgUnit", "AVeryLongNameOfATypeThatBreaksTheLine"])
async def test_sql_makes_the_same_ids(administrator: Caller, db: Database, name: str) -> None:
    key = UUID("01a209f4-ba63-7bf3-a78d-2d83e95e7222")
    assert administrator.actor is not None
    async with db.transaction(administrator.actor.tenant_id) as tx:
        assert await tx.fetchval(f"SELECT {id_sql(name, '$1::uuid')}", key) == encode_id(name, key)


def test_plain_ascending_keys_compare_as_a_row() -> None:
    """One comparison that an index can serve."""
    keys = (Key("{r}.code"), Key("{r}.id", "uuid"))
    bound: list[str] = []

    def bind(value: Any, kind: str) -> str:
        bound.append(value)
        return f"${len(bound)}::{kind}"

    sql = beyond(keys, ["r.code", "r.id"], ["a", "b"], bind)
    assert sql == "(r.code, r.id) > ($1::text::text, $2::text::uuid)"
    assert bound == ["a", "b"]
