"""The program starts only on a database that is as its types declare, and names each field that is not."""

from collections.abc import Iterator

import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from schema import registry
from schema.mapping import ID, Connection, Key, Node, column, connection, expression, identifier, query, relation, table
from schema.plans.checks import hold_against_catalogue
from schema.scalars import SCALARS
from schema.schema import build_schema
from tenants.database import CatalogueMismatch, Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def wrong() -> Iterator[strawberry.Schema]:
    """Types over real tables, with a fault of each kind, in a registry of their own."""
    kept = registry._TYPES, registry._ROOTS
    registry._TYPES, registry._ROOTS = {}, {"Query": [], "Subscription": []}
    try:

        @table("org_units", plural="units")
        class Plain(Node):
            """A unit."""

            id: ID = identifier()

        @table("org_units")
        class Mistaken(Node):
            """A unit."""

            id: ID = identifier()
            code: str = column("Right.")
            lost: str = column("No such column.", "nothing")
            name: int = column("A text, declared as a number.")
            member_count: int = column("May be null.")
            reckoned: int = expression("No such function.", "no_such_function({t}.id)")
            timed: str = expression("An instant, declared as a text.", "now()")
            twin: Plain | None = relation("Found by no index.", on={"name": "name"})
            pages: Connection[Plain] = connection(
                "A key that is not there.", on={"id": "parent_id"}, default=[Key("{r}.nowhere")]
            )

        @query
        class MistakenQuery:
            """Units."""

            mistaken: Mistaken | None = relation("One.", where="{r}.codes = 'x'")

        root = strawberry.type(type("Query", tuple(registry.roots("Query")), {"__annotations__": {}}))
        yield strawberry.Schema(query=root, config=StrawberryConfig(scalar_map=SCALARS))
    finally:
        registry._TYPES, registry._ROOTS = kept


async def test_the_schema_fits_the_migrated_database(db: Database) -> None:
    await hold_against_catalogue(build_schema(), db)


async def test_every_field_at_fault_is_named(db: Database, wrong: strawberry.Schema) -> None:
    with pytest.raises(CatalogueMismatch) as caught:
        await hold_against_catalogue(wrong, db)
    told = dict(fault.split(": ", 1) for fault in caught.value.faults)
    assert told == {
        "Mistaken.lost": "column t1.nothing does not exist",
        "Mistaken.name": "Int can't be written from text",
        "Mistaken.memberCount": "the column org_units.member_count is not NOT NULL",
        "Mistaken.reckoned": "function no_such_function(uuid) does not exist",
        "Mistaken.timed": "String can't be written from timestamptz",
        "Mistaken.twin": "no index of org_units begins with tenant_id, name",
        "Mistaken.pages": "column r2.nowhere does not exist",
        "Query.mistaken": "column r1.codes does not exist",
    }
