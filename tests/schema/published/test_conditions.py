"""What is taken out of the SQL where conditions hold, and what never is."""

import pytest

from schema.published.conditions import settled

A, B = "EXISTS (SELECT 1 FROM a WHERE a.x = '(' OR (a.y))", "{all}"


@pytest.mark.parametrize(
    ("sql", "rest"),
    [
        (f"{A} OR secret", "TRUE"),
        (f"secret OR x = ANY (list) OR {A}", "TRUE"),
        (f"{A} AND {B}", "TRUE"),
        (f"{A} AND {B} OR secret", "TRUE"),
        (f"z AND (secret OR {A})", "z AND TRUE"),
        (f"(secret OR ({B} AND {A}))", "TRUE"),
        (f"CASE WHEN (secret) OR {A} THEN v END", "CASE WHEN TRUE THEN v END"),
        (
            f"CASE WHEN {A} THEN CASE WHEN secret OR {B} THEN v END END",
            "CASE WHEN TRUE THEN CASE WHEN TRUE THEN v END END",
        ),
        (f"SELECT v FROM r WHERE (secret OR {A})", "SELECT v FROM r WHERE TRUE"),
        (f"(SELECT v FROM r WHERE r.a AND (secret OR {A}))", "(SELECT v FROM r WHERE r.a AND TRUE)"),
        (f"'it''s (' = v AND (secret OR {A})", "'it''s (' = v AND TRUE"),
    ],
)
def test_what_cannot_matter_goes(sql: str, rest: str) -> None:
    assert " ".join(settled(sql, (A, B)).split()) == rest


@pytest.mark.parametrize(
    "sql",
    [
        "secret",
        f"{A} AND secret",
        f"NOT {A} OR secret",
        f"NOT ({A}) AND secret",
        f"({A} OR x) AND secret",
        f"{A} AND secret OR x",
        f"SELECT secret OR {A}",
        f"SELECT secret, {A} OR x",
        f"coalesce(secret, {A})",
        f"secret IN (x OR {A})",
        f"f(secret) = f({A})",
        f"CASE WHEN x THEN secret WHEN {A} THEN v END",
        f"CASE WHEN {A} AND secret THEN v END",
        f"CASE WHEN x THEN y ELSE secret OR {A} END",
        f"x = '{A} OR' AND (secret)",
        f"secret = (SELECT v FROM r WHERE {A} OR x)",
        f"(secret AND x) IS DISTINCT FROM ({A})",
        "'TRUE OR' = secret",
        f'"TRUE" AND secret -- OR {A}',
    ],
)
def test_what_can_matter_stays(sql: str) -> None:
    assert "secret" in settled(sql, (A, B))


@pytest.mark.parametrize("sql", ["(", ")", "(()", "())("])
def test_parentheses_that_do_not_pair_are_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="parenthesis"):
        settled(sql, ())
