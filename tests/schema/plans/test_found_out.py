"""What is broken in the compiler, the generated operations find: each part is broken once, and seen (错误能被发现)."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings

from schema.keyset import beyond, cursor_sql, order_by
from schema.plans import collect, paging, scalars
from schema.plans import compile as compiler
from schema.plans.scalars import Written, of_value
from schema.reach import Target, reached, reached_from
from tests.schema.plans.district import Populated
from tests.schema.plans.test_same_answers import DETERMINED, Drawn, drawn, engines

pytestmark = pytest.mark.anyio

MOST = 440
"""Operations until the fault must be found."""


@cache
def sample() -> list[Drawn]:
    """The first operations that are drawn."""
    found: list[Drawn] = []

    @settings(DETERMINED, max_examples=MOST)
    @given(drawn())
    def take(each: Drawn) -> None:
        found.append(each)

    take()
    return found


def open_to_all(reach: Callable[..., Any]) -> Callable[..., Any]:
    """Rows reached, whoever may see them."""

    def reached_by_all(statement: Any, declaration: Any, target: Target, *rest: Any) -> Any:
        table = target.table and replace(target.table, visible=None)
        return reach(statement, declaration, replace(target, table=table), *rest)

    return reached_by_all


def unescaped(named: Any, sql: str) -> Written:
    """A text as it is."""
    written = of_value(named, sql)
    return Written(f"'\"'||({sql})::text||'\"'") if "to_json" in written.json else written


def reached_by_all(statement: Any, declaration: Any, target: Target, *rest: Any) -> tuple[str, list[str]]:
    """The same, in the parts that levels are made of."""
    table = target.table and replace(target.table, visible=None)
    return reached(statement, declaration, replace(target, table=table), *rest)


BROKEN: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "an order is turned around": (
        paging,
        "order_by",
        lambda keys, sql, *, backward=False: order_by(keys, sql, backward=not backward),
    ),
    "a cursor lacks the last key": (paging, "cursor_sql", lambda digest, sql: cursor_sql(digest, sql[:-1])),
    "a cursor is on the page": (
        paging,
        "beyond",
        lambda *a, **k: beyond(*a, **k).replace(" > ", " >= ").replace(" < ", " <= "),
    ),
    "pages show what is hidden": (paging, "reached_from", open_to_all(reached_from)),
    "relations and lists show what is hidden": (compiler, "reached", open_to_all(reached)),
    "ids show what is hidden": (compiler, "visibility", lambda *_: []),
    "texts are not escaped": (scalars, "of_value", unescaped),
    "numbers lose their zeros": (
        scalars,
        "of_value",
        lambda named, sql: of_value(named, f"trim_scale({sql})" if named.name == "Decimal" else sql),
    ),
    "everything is included": (collect._Collecting, "included", lambda *_: True),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_fault_is_found(populated: Populated, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    module, name, instead = BROKEN[fault]
    monkeypatch.setattr(module, name, instead)
    compared = engines(populated)
    for each in sample():
        try:
            await compared.one(each)
        except AssertionError as difference:
            # Shown by what it says, not by its failing altogether.
            if "INTERNAL" not in str(difference):
                return
            raise
    pytest.fail(f"{len(sample())} operations did not show that {fault}.")
