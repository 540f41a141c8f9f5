"""Which documents are kept, and what of the viewer their answers depend on; the lists are held against the database."""

import re
from typing import Final

import pytest

from schema.documents import Documents
from schema.execution import Engine
from schema.options import EndpointOptions
from schema.published.documents import LASTING, BoardDocument, Viewer, board_document
from schema.reach import mapped_fields, table_of
from schema.registry import registered
from schema.schema import build_schema
from service.schemes.settings import DISCLOSED
from tenants.database import Database
from tests.schema.published.boards import BOARD, OWN_BOARD

ALL: Final = frozenset(DISCLOSED)
NONE: Final[frozenset[str]] = frozenset()

MAY_CHANGE: Final = {
    "categories": "code and name: their versions are part of the state",
    "cycle_categories": "chosen before the cycle opens",
    "cycles": "its version is part of the state",
    "data_items": "names in the conditions of grades, which no kept document selects",
    "grants": "of the viewer: part of its reach",
    "indicators": "only in a draft; a board's cycle runs on a frozen version",
    "ranking_runs": "of a finished run only the quotas, when equals are ordered: part of the state",
    "scheme_versions": "only as a draft, like its indicators",
    "standing_grades": "when equals are ordered: part of the state",
}
"""Tables that the app's role may update, and why the kept fields may be read from them all the same."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(build_schema(), EndpointOptions())


def kept(engine: Engine, text: str) -> BoardDocument | None:
    documents = Documents(engine.core, engine.options.limits, 10_000_000)
    return board_document(engine.core, documents.get(text, "en").operation(None, "en"))


def on_board(selection: str) -> str:
    return f"query ($id: ID!) {{ publication(id: $id) {{ {selection} }} }}"


def on_standing(selection: str, arguments: str = "first: 100") -> str:
    return on_board(f"standings({arguments}) {{ edges {{ node {{ {selection} }} }} }}")


KEPT = [
    BOARD,
    OWN_BOARD,
    on_board("id __typename kind number title publishedAt current digest format engineVersion"),
    on_board("... on Publication { ... on Node { id } ...F }")
    + "fragment F on Publication { __typename ... { title } }",
    on_board("disclosure { kind totals } dimensions { code name parent { code } } cycle { code state }"),
    on_board("categories { name category { id name } quotas { grade { code name } places used parent { name } } }"),
    on_board("standings(last: 3) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id } } }"),
    on_standing("unit { name pathNames parent { name } category { code } } change { total publication { title } }"),
    on_standing("rank", 'first: 3, filter: {search: "a"}, orderBy: [{field: TOTAL}]'),
    "query ($id: ID!) { node(id: $id) { id ... on Publication { title } ... on Cycle { tasks { totalCount } } } }",
    'query ($yes: Boolean!) { board: publication(id: "x") @include(if: $yes) { title @skip(if: $yes) } __typename }',
]

NOT_KEPT = {
    "the run goes on": on_board("run { state }"),
    "people are renamed": on_board("publishedBy { displayName }"),
    "more than one root": "query ($id: ID!) { publication(id: $id) { title } viewer { roles } }",
    "two boards": "query ($id: ID!) { a: publication(id: $id) { title } b: publication(id: $id) { title } }",
    "no board": "{ viewer { roles } }",
    "a list of boards": "{ publications { edges { node { title } } } }",
    "a mutation": "mutation ($input: PublishRunInput!) { publishRun(input: $input) { __typename } }",
    "the unit as it is now": on_standing("unit { unit { name } }"),
    "events are revoked": on_standing("vetoes { id }"),
    "reckoned in Python": on_standing("explanation { text }"),
    "reasons, too": on_standing("dimensions { reason }"),
    "units counted today": on_board("categories { category { unitCount } }"),
    "another board's standing": on_standing("change { publication { current } }"),
    "what waits": on_standing("unit { waitingFor { reason: __typename } }"),
    "closed by today": on_standing("unit { closedOn }"),
    "progress": on_board('dimensions { progress(cycleId: "x") { __typename } }'),
    "the cycle's work": on_board("cycle { transitions { to: __typename } }"),
    "introspection": "query ($id: ID!) { publication(id: $id) { title } __schema { types { name } } }",
    "a page of another list": on_board("cycle { units(first: 3) { totalCount } }"),
}


@pytest.mark.parametrize("text", KEPT)
def test_boards_are_kept(engine: Engine, text: str) -> None:
    assert kept(engine, text) is not None


@pytest.mark.parametrize("text", NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_changes_is_not(engine: Engine, text: str) -> None:
    assert kept(engine, text) is None


@pytest.mark.parametrize(
    ("selection", "seeing_all", "all_shown", "none_shown", "ranks_shown"),
    [
        ("title digest dimensions { code }", Viewer.NOBODY, Viewer.NOBODY, Viewer.NOBODY, Viewer.NOBODY),
        ("ownStandings { rank }", Viewer.ITSELF, Viewer.ITSELF, Viewer.ITSELF, Viewer.ITSELF),
        ("categories { quotas { used } }", Viewer.SIGHT, Viewer.SIGHT, Viewer.SIGHT, Viewer.SIGHT),
        ("standings { edges { node { rank } } }", Viewer.SIGHT, Viewer.NOBODY, Viewer.ITSELF, Viewer.NOBODY),
        ("standings { edges { node { total } } }", Viewer.SIGHT, Viewer.NOBODY, Viewer.ITSELF, Viewer.ITSELF),
        ("standings { totalCount }", Viewer.SIGHT, Viewer.NOBODY, Viewer.ITSELF, Viewer.NOBODY),
        (
            "standings { edges { node { dimensions { marks indicator { code } } } } }",
            Viewer.SIGHT,
            Viewer.NOBODY,
            Viewer.ITSELF,
            Viewer.ITSELF,
        ),
        (
            "standings { edges { node { proposedGrade { code } decidedGrade { code } } } }",
            Viewer.SIGHT,
            Viewer.NOBODY,
            Viewer.ITSELF,
            Viewer.ITSELF,
        ),
        # Only first-level indicators are disclosed; of the others each unit sees its own.
        (
            "standings { edges { node { leaves { marks } } } }",
            Viewer.SIGHT,
            Viewer.ITSELF,
            Viewer.ITSELF,
            Viewer.ITSELF,
        ),
        (
            "standings(orderBy: [{field: TOTAL}]) { edges { node { rank } } }",
            Viewer.SIGHT,
            Viewer.NOBODY,
            Viewer.ITSELF,
            Viewer.ITSELF,
        ),
        (
            'standings(filter: {gradeCode: "a"}) { edges { node { rank } } }',
            Viewer.SIGHT,
            Viewer.NOBODY,
            Viewer.ITSELF,
            Viewer.ITSELF,
        ),
    ],
)
def test_what_of_the_viewer_an_answer_depends_on(
    engine: Engine, selection: str, seeing_all: Viewer, all_shown: Viewer, none_shown: Viewer, ranks_shown: Viewer
) -> None:
    document = kept(engine, on_board(selection))
    assert document is not None
    assert document.depends_on(True, NONE) is seeing_all
    assert document.depends_on(False, ALL) is all_shown
    assert document.depends_on(False, NONE) is none_shown
    assert document.depends_on(False, frozenset({"ranks"})) is ranks_shown


@pytest.mark.anyio
async def test_nothing_that_is_kept_can_be_written_anew(engine: Engine, db: Database) -> None:
    """Every table that a kept field is read from is one that the app's role can't update, or stands in MAY_CHANGE."""
    rows = await db.pool.fetch(
        """SELECT c.relname, has_table_privilege(c.oid, 'UPDATE') OR has_any_column_privilege(c.oid, 'UPDATE')
                  OR has_table_privilege(c.oid, 'DELETE') AS changes
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema"""
    )
    changes = {row["relname"]: row["changes"] for row in rows}
    assert not changes["publications"]
    assert not changes["standings"]
    read: set[str] = set()
    for name, fields in LASTING.items():
        cls = registered(name)
        table = table_of(cls)
        if table is not None:
            read.add(table.name)
        known = {field.python_name: field for field in mapped_fields(cls)}
        assert fields <= set(known), f"{name} has no {fields - set(known)}"
        for field in fields:
            read |= set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_]+)\b", repr(known[field].declaration)))
    tables = read & set(changes)
    assert {"standing_dimensions", "cycle_units", "publications"} <= tables
    assert {each for each in tables if changes[each]} == set(MAY_CHANGE)
