"""Every shape of query gives the same JSON by plan and by the stock executor, over the books of words.py."""

from typing import Any

import pytest
import strawberry

from schema.asgi import options_of
from schema.plans.plan import Sight
from schema.requests import GraphQLRequest
from service.settings import Settings
from tenants.provisioning import District
from tests.schema.conftest import Caller, MakeCaller
from tests.schema.plans.conftest import Both
from tests.schema.test_mapping import FOUR, ONE, THREE, TWO, _id, books  # noqa: F401 — a fixture

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def library(books: strawberry.Schema) -> Both:  # noqa: F811 — a fixture
    """Both executors over the books."""
    return Both(books)


BOOK = "query ($id: ID!) { book(id: $id) { %s } }"
SELECTIONS = [
    "id title form forms price volume at ratio",
    "a: title title b: title",
    "__typename id",
    "shout discounted(part: 1) other: discounted(part: 2)",
    "chapters { name pages label } firstChapter { label }",
    """place { kind __typename ... on Shelf { place height owner { name } neighbours { name id } }
       ... on Box { number } }""",
    "place { ... on Box { number } }",
    "lending { day until }",
    "size { __typename ... on Single { day } ... on Several { volume } }",
    "readers { id name favourite { title } }",
    "source { __typename id ... on Person { name } ... on Book { title } }",
    "source { ... on Being { name } }",
    "picked { name }",
    "tallies { form books }",
    "fans(first: 1) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { name } } }",
    "fans { edges { node { name favourite { fans { totalCount edges { node { id } } } } } } }",
]


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_a_selection(library: Both, administrator: Caller, selection: str) -> None:
    for book in (ONE, TWO, THREE, FOUR):
        await library.ask(administrator, BOOK % selection, {"id": _id("Book", book)})


DOCUMENTS = {
    "fragments, nested, with fields that merge": """query ($id: ID!) { book(id: $id) { ...a title ...b } }
        fragment a on Book { title chapters { name } ...b lending { day } }
        fragment b on Node { id ... on Book { chapters { pages } lending { until } } ... on Person { name } }""",
    "the same root twice, under aliases": """query ($id: ID!) { a: book(id: $id) { title } __typename
        b: book(id: $id) { id } books(first: 1) { edges { node { title } } } }""",
    "roots that merge": "query ($id: ID!) { book(id: $id) { title } book(id: $id) { id chapters { name } } }",
    "a literal id": f'{{ book(id: "{_id("Book", ONE)}") {{ title }} }}',
    "an empty object": "{ books { edges { node { place { ... on Box { number } } } } } }",
    "a list at the root": "{ cheapest { title price } }",
    "several operations would need a name; this has one": "query Named { cheapest { id } }",
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document(library: Both, administrator: Caller, name: str) -> None:
    document = DOCUMENTS[name]
    await library.ask(administrator, document, {"id": _id("Book", ONE)} if "$id" in document else None)


@pytest.mark.parametrize("id_", ["", "x", _id("Person", ONE), _id("Book", ONE) + "=", "Qm9vazox"])
async def test_an_id_at_fault_is_told_by_the_stock_executor(library: Both, administrator: Caller, id_: str) -> None:
    body = await library.ask(administrator, BOOK % "title", {"id": id_}, fallback="arguments")
    assert body["errors"][0]["extensions"]["code"] == "INVALID_ID"


async def test_an_id_that_nobody_has_is_null(library: Both, administrator: Caller) -> None:
    body = await library.ask(administrator, BOOK % "title", {"id": _id("Book", ONE.replace("7000", "7fff"))})
    assert body == {"data": {"book": None}}


@pytest.mark.parametrize("first", [True, False, None])
@pytest.mark.parametrize("second", [True, False])
async def test_skip_and_include(library: Both, administrator: Caller, first: bool | None, second: bool) -> None:
    document = """query ($id: ID!, $first: Boolean! = true, $second: Boolean!) { book(id: $id) {
        title @include(if: $first) a: title @skip(if: $second) @include(if: $first) form @include(if: true)
        ... @skip(if: $first) { price } ...more @include(if: $second) readers @skip(if: $second) { name } } }
        fragment more on Book { volume readers { id } }"""
    given: dict[str, Any] = {"id": _id("Book", ONE), "second": second}
    if first is not None:
        given["first"] = first
    await library.ask(administrator, document, given)


async def test_variables_with_defaults_and_nulls(library: Both, administrator: Caller) -> None:
    document = """query ($first: Int = 2, $last: Int, $after: String, $filter: BookFilter, $orderBy: [BookOrder!]) {
        books(first: $first, last: $last, after: $after, filter: $filter, orderBy: $orderBy) {
            totalCount edges { cursor node { title } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    good: list[dict[str, Any]] = [
        {},
        {"first": None},
        {"first": 3},
        {"first": None, "last": 2},
        {"filter": None, "orderBy": None},
        {"filter": {}, "orderBy": []},
        {"filter": {"dear": True}},
        {"filter": {"dear": None}, "after": None},
        {"filter": {"dear": False}, "orderBy": [{"field": "VOLUME"}]},
        {"orderBy": [{"field": "FORM", "direction": "DESC"}, {"field": "VOLUME"}]},
        {"orderBy": [{"field": "NEAR", "price": "6"}]},
    ]
    for given in good:
        await library.ask(administrator, document, given)
    bad: list[dict[str, Any]] = [
        {"first": 0},
        {"first": 101},
        {"last": 1},
        {"after": "x"},
        {"orderBy": [{"field": "NEAR"}]},
    ]
    for given in bad:
        body = await library.ask(administrator, document, given, fallback="arguments")
        assert body["errors"][0]["path"] == ["books"]
    body = await library.ask(administrator, document, {"first": "2"}, fallback="arguments")
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


ORDERS = [
    [],
    [{"field": "VOLUME"}],
    [{"field": "VOLUME", "direction": "DESC"}],
    [{"field": "FORM"}],
    [{"field": "FORM"}, {"field": "VOLUME", "direction": "DESC"}],
    [{"field": "SHELF"}],
    [{"field": "SHELF", "direction": "DESC"}],
    [{"field": "SHELF"}, {"field": "VOLUME"}],
    [{"field": "VOLUME", "direction": "DESC"}, {"field": "SHELF", "direction": "DESC"}],
]


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_both_ways(library: Both, administrator: Caller, order: list[dict[str, str]]) -> None:
    """Every window between two cursors, forward and backward, with its flags; null sorts last, and is crossed."""
    document = """query ($first: Int, $last: Int, $after: String, $before: String, $orderBy: [BookOrder!]) {
        books(first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy) {
            totalCount edges { cursor node { title } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    whole = await library.ask(administrator, document, {"orderBy": order})
    cursors = [None, *(edge["cursor"] for edge in whole["data"]["books"]["edges"])]
    assert len(cursors) == 5
    for after in cursors:
        for before in cursors:
            for size in ({"first": 1}, {"last": 1}, {"first": 2}, {"last": 3}):
                given = {**size, "after": after, "before": before, "orderBy": order}
                await library.ask(administrator, document, given)


@pytest.mark.parametrize(
    "asked",
    [
        "totalCount",
        "__typename pageInfo { __typename hasNextPage }",
        "edges { cursor }",
        "edges { __typename node { __typename } } again: edges { node { title } }",
        "pageInfo { endCursor } other: pageInfo { startCursor }",
        "pageInfo { hasNextPage } pageInfo { hasPreviousPage }",
        "edges { node { title } } edges { cursor }",
        "totalCount @skip(if: true)",
        "edges { cursor @include(if: false) }",
        "pageInfo { endCursor @skip(if: true) } edges { node { title @skip(if: true) } }",
    ],
)
async def test_parts_of_a_page(library: Both, administrator: Caller, asked: str) -> None:
    for arguments in ("", "(first: 2)", "(last: 2)", "(filter: { dear: true }, first: 100)"):
        await library.ask(administrator, f"{{ books{arguments} {{ {asked} }} }}")


async def test_edges_under_two_names_come_in_one_order(library: Both, administrator: Caller) -> None:
    """What one of them joins to the rows must not change the order of the other, whatever PostgreSQL makes of it."""
    page = "{ books { a: edges { node { title } } b: edges { node { tallies { books } } } pageInfo { hasNextPage } } }"
    await library.ask(administrator, page)
    assert library.planned.plans is not None
    operation = library.planned.prepare(GraphQLRequest(page, {}, None), "en")
    sight = Sight(everything=True, narrowed=False, roles=frozenset())
    sql = library.planned.plans.prepare(operation, {}, sight, "en").sql
    assert sql.count("string_agg(") == sql.count(",',' ORDER BY ") == 3


async def test_what_is_no_query_of_rows_is_left_to_the_stock(
    library: Both, administrator: Caller, make_caller: MakeCaller, tenant: District
) -> None:
    await library.ask(administrator, "{ __typename }", fallback="introspection")
    await library.ask(administrator, '{ __type(name: "Book") { name } }', fallback="introspection")
    nobody = Caller(administrator.db, administrator.settings, None)
    body = await library.ask(nobody, "{ cheapest { title } books { totalCount } }", fallback="signed_out")
    assert body == {"data": {"cheapest": None, "books": None}}


async def test_a_null_where_there_must_be_none_is_told_by_the_stock_executor(
    library: Both, administrator: Caller
) -> None:
    body = await library.ask(administrator, BOOK % "title promised", {"id": _id("Book", ONE)})
    assert body["data"]["book"]["promised"] == "论语"
    body = await library.ask(administrator, BOOK % "title promised", {"id": _id("Book", THREE)}, fallback="null")
    assert body["data"] == {"book": None}
    assert body["errors"][0]["path"] == ["book", "promised"]
    body = await library.ask(administrator, "{ cheapest { title promised } }", fallback="null")
    assert body["data"] == {"cheapest": None}, "and no row is dropped in silence"


async def test_what_the_database_refuses_is_told_by_the_stock_executor(library: Both, administrator: Caller) -> None:
    body = await library.ask(administrator, BOOK % "title share", {"id": _id("Book", ONE)}, fallback="database")
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL"


async def test_what_python_reckons_is_filled_in(library: Both, administrator: Caller) -> None:
    selection = "loud worth outline { name pages label } again: loud picked { favourite { loud worth } }"
    body = await library.ask(administrator, BOOK % selection, {"id": _id("Book", ONE)})
    assert body["data"]["book"]["loud"] == "论语！"
    assert body["data"]["book"]["outline"][0] == {"name": "论语", "pages": 2, "label": "论语：2"}
    await library.ask(administrator, BOOK % selection, {"id": _id("Book", THREE)})
    await library.ask(administrator, "{ books { edges { node { worth outline { name } } } } }")
    body = await library.ask(administrator, BOOK % "title loud", {"id": _id("Book", FOUR)}, fallback="computed")
    assert body["data"]["book"] == {"title": "中庸", "loud": None}


async def test_plans_can_be_switched_off(library: Both, settings: Settings) -> None:
    assert library.stock.plans is None
    assert options_of(settings).plans
    assert not options_of(settings.model_copy(update={"plans": False})).plans


async def test_languages_are_parameters(library: Both, administrator: Caller) -> None:
    document, given = BOOK % "shout", {"id": _id("Book", ONE)}
    english = await library.ask(administrator, document, given)
    compiled = library.planned.plans.compiled  # type: ignore[union-attr]  # plans are on
    chinese = await library.ask(administrator, document, given, language="zh-CN")
    assert english != chinese
    assert library.planned.plans.compiled == compiled  # type: ignore[union-attr]  # the same
