"""Every word of the declarations, answered by the stock resolvers, in few statements (声明与常规执行)."""

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from schema import registry
from schema.context import Context
from schema.scalars import SCALARS
from service.ids import encode_id
from tests.schema.conftest import Caller

pytestmark = pytest.mark.anyio

ONE, TWO, THREE, FOUR = (f"00000000-0000-7000-8000-00000000000{n}" for n in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def books() -> Iterator[strawberry.Schema]:
    """The schema of tests/schema/words.py, in a registry of its own."""
    kept = registry._TYPES, registry._ROOTS
    registry._TYPES, registry._ROOTS = OWN_TYPES, OWN_ROOTS
    try:
        yield books_schema()
    finally:
        registry._TYPES, registry._ROOTS = kept


OWN_TYPES: dict[str, type] = {}
OWN_ROOTS: dict[str, list[type]] = {"Query": [], "Subscription": []}


@cache
def books_schema() -> strawberry.Schema:
    """Made once, in the registry of its own."""
    words = importlib.import_module("tests.schema.words")
    types = list(OWN_TYPES.values())
    query = strawberry.type(type("Query", tuple(registry.roots("Query")), {"__annotations__": {}}))
    extra = [each for each in types if each.__name__ in ("Person", "Robot", "Shelf", "Box")]
    assert words.Book in types
    return strawberry.Schema(query=query, types=extra, config=StrawberryConfig(scalar_map=SCALARS))


class Counting(Context):
    """A context that counts its statements."""

    statements = 0

    async def fetch(self, sql: str, statement: Any) -> Any:
        self.statements += 1
        return await super().fetch(sql, statement)


class Asker:
    def __init__(self, schema: strawberry.Schema, caller: Caller) -> None:
        self.schema = schema
        self.caller = caller
        self.statements = 0

    async def __call__(self, document: str, **variables: Any) -> Any:
        context = Counting(self.caller.db, self.caller.settings, self.caller.actor, "en")
        try:
            result = await self.schema.execute(document, variable_values=variables, context_value=context)
        finally:
            await context.close()
        self.statements = context.statements
        assert not result.errors, result.errors
        return result.data


@pytest.fixture
def ask(books: strawberry.Schema, administrator: Caller) -> Asker:
    return Asker(books, administrator)


async def one(ask: Asker, uuid: str, selection: str) -> Any:
    data = await ask(f"query ($id: ID!) {{ book(id: $id) {{ {selection} }} }}", id=_id("Book", uuid))
    return data["book"]


def _id(name: str, uuid: str) -> str:
    return encode_id(name, UUID(uuid))


async def test_scalars_are_written_as_they_should_be(ask: Asker) -> None:
    assert await one(ask, ONE, "id title form forms price volume at ratio") == {
        "id": _id("Book", ONE),
        "title": "论语",
        "form": "PRINTED",
        "forms": ["PRINTED", "COPIED"],
        "price": "12.50",
        "volume": 2,
        "at": "2026-01-02T03:04:05.600000+00:00",
        "ratio": "7/2",
    }
    assert await one(ask, TWO, "title price at") == {
        "title": '孟"子',
        "price": "0.00000000",
        "at": "2026-01-02T16:00:00.000000+00:00",
    }
    assert ask.statements == 1


async def test_expressions_take_arguments(ask: Asker) -> None:
    found = await one(ask, ONE, "shout a: discounted(part: 1) b: discounted(part: 2)")
    assert found == {"shout": "论语!EN", "a": "11.50", "b": "10.50"}


async def test_documents_become_value_objects(ask: Asker) -> None:
    selection = """chapters { name pages label } firstChapter { label } place { kind __typename
        ... on Shelf { place height owner { name } neighbours { name } } ... on Box { number } }"""
    assert await one(ask, ONE, selection) == {
        "chapters": [{"name": "序", "pages": 3, "label": "序：3"}, {"name": "学而", "pages": 9, "label": "学而：9"}],
        "firstChapter": {"label": "序：3"},
        "place": {
            "kind": "SHELF",
            "__typename": "Shelf",
            "place": "甲",
            "height": "1.50",
            "owner": {"name": "张"},
            "neighbours": [{"name": "王"}],
        },
    }
    assert await one(ask, TWO, selection) == {
        "chapters": [],
        "firstChapter": None,
        "place": {"kind": "BOX", "__typename": "Box", "number": 7},
    }
    assert (await one(ask, THREE, selection))["place"] is None


async def test_value_objects_share_their_row(ask: Asker) -> None:
    selection = "lending { day until } size { __typename ... on Single { day } ... on Several { volume } }"
    assert await one(ask, ONE, selection) == {
        "lending": {"day": "2026-01-02", "until": "2026-02-01"},
        "size": {"__typename": "Several", "volume": 2},
    }
    assert await one(ask, TWO, selection) == {
        "lending": None,
        "size": {"__typename": "Single", "day": "2026-01-03"},
    }


async def test_rows_of_other_tables_are_reached(ask: Asker) -> None:
    selection = """readers { name } source { __typename id } tallies { form books }
        fans { edges { node { name } } }"""
    assert await one(ask, ONE, selection) == {
        "readers": [{"name": "王"}, {"name": "张"}],
        "source": {"__typename": "Person", "id": _id("Person", "00000000-0000-7000-8000-00000000000a")},
        "tallies": [{"form": "COPIED", "books": 3}, {"form": "PRINTED", "books": 1}],
        "fans": {"edges": [{"node": {"name": "张"}}, {"node": {"name": "王"}}]},
    }
    assert (await one(ask, TWO, "source { __typename ... on Book { title } }"))["source"] == {
        "__typename": "Book",
        "title": "论语",
    }


async def test_what_the_viewer_may_not_see_is_nowhere(ask: Asker) -> None:
    """The hidden reader 隐 is reached by reference, connection and id, and shows up in none of them."""
    found = await one(ask, FOUR, "source { id } picked { name } fans { totalCount edges { node { name } } }")
    assert found == {"source": None, "picked": [], "fans": {"totalCount": 0, "edges": []}}


async def test_each_kind_of_row_is_hidden_by_its_own_rule(ask: Asker) -> None:
    assert (await one(ask, FOUR, "beings { __typename name }"))["beings"] == [
        {"__typename": "Person", "name": "张"},
        {"__typename": "Person", "name": "王"},
        {"__typename": "Robot", "name": "乙"},
    ]


async def test_lists_keep_order_and_limit(ask: Asker) -> None:
    assert await ask("{ cheapest { title } }") == {"cheapest": [{"title": "大学"}, {"title": '孟"子'}]}


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_a_key_of_another_table_pages_both_ways(ask: Asker, direction: str) -> None:
    document = """query ($d: OrderDirection!, $after: String, $last: Int, $before: String) {
        books(after: $after, last: $last, before: $before, orderBy: [{field: SHELF, direction: $d}]) {
            edges { cursor node { title } } pageInfo { hasNextPage hasPreviousPage } } }"""
    whole = (await ask(document, d=direction))["books"]["edges"]
    assert len(whole) == 4
    for index in range(4):
        onward = (await ask(document, d=direction, after=whole[index]["cursor"]))["books"]
        assert onward["edges"] == whole[index + 1 :]
        back = (await ask(document, d=direction, last=2, before=whole[index]["cursor"]))["books"]
        assert back["edges"] == whole[max(index - 2, 0) : index]
        assert back["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": index > 2}


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_nulls_come_last_either_way(ask: Asker, direction: str) -> None:
    document = """query ($d: OrderDirection!, $first: Int, $after: String, $last: Int, $before: String) {
        books(first: $first, after: $after, last: $last, before: $before, orderBy: [{field: VOLUME, direction: $d}]) {
            edges { cursor node { volume } } pageInfo { hasNextPage hasPreviousPage } } }"""
    whole = (await ask(document, d=direction))["books"]["edges"]
    assert [edge["node"]["volume"] for edge in whole] == ([1, 2] if direction == "ASC" else [2, 1]) + [None, None]
    for index in range(len(whole)):
        onward = (await ask(document, d=direction, after=whole[index]["cursor"]))["books"]
        assert onward["edges"] == whole[index + 1 :]
        back = (await ask(document, d=direction, last=100, before=whole[index]["cursor"]))["books"]
        assert back["edges"] == whole[:index]
        near = (await ask(document, d=direction, last=1, before=whole[index]["cursor"]))["books"]
        assert near["edges"] == whole[max(index - 1, 0) : index]
        assert near["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": index > 1}


async def test_orders_may_have_several_keys_and_an_argument(ask: Asker) -> None:
    document = "query ($by: [BookOrder!]) { books(orderBy: $by) { edges { node { title } } } }"

    async def titles(*by: dict[str, str]) -> list[str]:
        return [edge["node"]["title"] for edge in (await ask(document, by=list(by)))["books"]["edges"]]

    assert await titles({"field": "FORM"}) == ["中庸", '孟"子', "大学", "论语"]
    assert await titles({"field": "FORM", "direction": "DESC"}) == ["论语", "大学", '孟"子', "中庸"]
    assert await titles({"field": "SHELF"}) == ["论语", '孟"子', "大学", "中庸"]
    assert await titles({"field": "SHELF", "direction": "DESC"}, {"field": "FORM"}) == ["中庸", '孟"子', "大学", "论语"]
    assert (await titles({"field": "NEAR", "price": "4"}))[0] == "中庸"
    for second, equals in (("5", ["中庸", '孟"子']), ("-1", ['孟"子', "中庸"])):
        found = await titles({"field": "NEAR", "price": "2.5"}, {"field": "NEAR", "price": second})
        assert found == [*equals, "大学", "论语"], "equals of the first price by the second"


async def test_statements_do_not_grow_with_the_rows(ask: Asker) -> None:
    """One for the page, then one per kind of thing below it."""
    await ask(
        """{ books { edges { node { shout lending { until } readers { name favourite { title } } source { id }
             chapters { label } tallies { books } } } } }"""
    )
    assert ask.statements <= 9
    await ask("{ books { edges { node { title form price chapters { name } } } pageInfo { hasNextPage endCursor } } }")
    assert ask.statements == 1


async def test_filters_may_be_false(ask: Asker) -> None:
    document = "query ($f: BookFilter) { books(filter: $f) { totalCount } }"
    counts = [(await ask(document, f=f))["books"]["totalCount"] for f in (None, {}, {"dear": True}, {"dear": False})]
    assert counts == [4, 4, 2, 2]
