"""A small schema that uses every word of `schema.mapping`, over queries instead of tables (测试用类型)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry

from schema.mapping import (
    ID,
    Argument,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    Variants,
    by_id,
    by_ids,
    column,
    computed,
    condition,
    connection,
    described,
    document,
    embedded,
    enumeration,
    expression,
    filter_type,
    identifier,
    interface,
    listing,
    order_type,
    query,
    reference,
    relation,
    table,
    value,
)
from schema.scalars import Rational

BOOKS = """(SELECT {tenant} AS tenant_id, bb.* FROM (VALUES
    ('00000000-0000-7000-8000-000000000001'::uuid, '论语', 'PRINTED', 12.50::numeric, 2,
     '{"kind": "SHELF", "place": "甲", "height": "1.50", "owner": "00000000-0000-7000-8000-00000000000a"}'::jsonb,
     '[{"name": "序", "pages": 3}, {"name": "学而", "pages": 9}]'::jsonb,
     ARRAY['00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-00000000000a']::uuid[],
     ARRAY['PRINTED', 'COPIED'], 'Person', '00000000-0000-7000-8000-00000000000a'::uuid,
     '2026-01-02'::date, '2026-01-02 03:04:05.6+00'::timestamptz, '7/2', true),
    ('00000000-0000-7000-8000-000000000002'::uuid, '孟"子', 'COPIED', 0.00000000::numeric, NULL,
     '{"kind": "BOX", "number": 7}'::jsonb, '[]'::jsonb, '{}'::uuid[], '{}'::text[], 'Book',
     '00000000-0000-7000-8000-000000000001'::uuid, '2026-01-03'::date, '2026-01-03 00:00+08'::timestamptz, '3', false),
    ('00000000-0000-7000-8000-000000000003'::uuid, '大学', 'COPIED', -1::numeric, NULL, NULL::jsonb, '[]'::jsonb,
     '{}'::uuid[], '{}'::text[], NULL, NULL::uuid, '2026-01-03'::date, '2026-01-03 00:00+08'::timestamptz, '0', false),
    ('00000000-0000-7000-8000-000000000004'::uuid, '中庸', 'COPIED', 5::numeric, 1, NULL::jsonb, '[]'::jsonb,
     '{}'::uuid[], '{}'::text[], 'Person', '00000000-0000-7000-8000-00000000000c'::uuid, '2026-01-03'::date,
     '2026-01-03 00:00+08'::timestamptz, '1', true)
) AS bb (id, title, form, price, volume, place, chapters, reader_ids, forms, source_type, source_id, day, at, ratio,
         lent))"""

PERSONS = """(SELECT {tenant} AS tenant_id, pp.* FROM (VALUES
    ('00000000-0000-7000-8000-00000000000a'::uuid, '张', 'P', '00000000-0000-7000-8000-000000000001'::uuid),
    ('00000000-0000-7000-8000-00000000000b'::uuid, '王', 'P', '00000000-0000-7000-8000-000000000001'::uuid),
    ('00000000-0000-7000-8000-00000000000c'::uuid, '隐', 'P', '00000000-0000-7000-8000-000000000004'::uuid),
    ('00000000-0000-7000-8000-00000000000d'::uuid, '甲', 'R', '00000000-0000-7000-8000-000000000003'::uuid),
    ('00000000-0000-7000-8000-00000000000e'::uuid, '乙', 'R', '00000000-0000-7000-8000-000000000003'::uuid),
    ('00000000-0000-7000-8000-00000000000f'::uuid, '丙', '?', '00000000-0000-7000-8000-000000000003'::uuid)
) AS pp (id, name, kind, favourite_id))"""


@enumeration("Forms.")
class Form(Enum):
    """Forms."""

    PRINTED = "Printed."
    COPIED = "Copied by hand."


@interface
class Place:
    """Where a book is."""

    kind: str = column("Which kind.")


@value
class Chapter:
    """A chapter."""

    name: str = column("Name.")
    pages: int = column("Pages.")
    label: str = expression("Both.", "({t} ->> 'name') || '：' || ({t} ->> 'pages')")


@value
class Lending:
    """A lending, out of the book's own row."""

    day: date = column("Day.")
    until: date = expression("Last day.", "{t}.day + 30")


@value
class Tally:
    """Sums over the books."""

    books: int = column("How many.")
    form: Form = column("Of which form.")


@value
class Single:
    """A book of one volume or none."""

    day: date = column("Day.")


@value
class Several:
    """A book of several volumes."""

    volume: int = column("How many.")


@interface
class Being(Node):
    """Who can read."""

    name: str = column("Name.")


@table(PERSONS, visible="{t}.name <> '甲'")
class Robot(Being):
    """A reader of another kind, in the same source."""


@table(PERSONS, plural="persons", visible="{t}.name <> '隐'")
class Person(Being):
    """A reader."""

    id: ID = identifier()
    favourite: "Book | None" = relation("Best loved.", on={"favourite_id": "id"})


@value
class Shelf(Place):
    """A shelf."""

    place: str = column("Which.")
    height: Decimal = column("How high.")
    owner: Person | None = relation("Whose.", on={"owner": "id"})
    neighbours: list[Person] = listing(
        "All others.", where="{r}.id <> ({t} ->> 'owner')::uuid AND {r}.kind = 'P'", order="{r}.name DESC"
    )


@value
class Box(Place):
    """A box."""

    number: int = column("Number.")


PLACES = Variants("kind", {"SHELF": "Shelf", "BOX": "Box"})


async def _loud(_context: Any, books: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    if any(book["title"] == "中庸" for book in books):
        raise ValueError("That one is never loud.")
    return [None if book["title"] == "大学" else f"{book['title']}！" for book in books]


async def _outlines(_context: Any, books: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    return [[{"name": book["title"], "pages": len(book["title"])}, {"name": "末", "pages": 0}] for book in books]


async def _worth(_context: Any, books: Sequence[Mapping[str, Any]]) -> Sequence[Decimal]:
    return [Decimal(book["price"]) * 2 for book in books]


@table(BOOKS, plural="books")
class Book(Node):
    """A book."""

    id: ID = identifier()
    title: str = column("Title.")
    form: Form = column("Form.")
    forms: list[Form] = column("Forms it is to be had in.")
    price: Decimal = column("Price.")
    volume: int | None = column("Volume.")
    at: datetime = column("When.")
    ratio: Rational = column("Ratio.")
    discounted: Decimal = expression(
        "Price less a part.",
        "{t}.price - {part}",
        arguments=[Argument("part", int, "What is taken off.")],
    )
    shout: str = expression("Title, and in which language it was asked.", "{t}.title || '!' || {language}")
    loud: str | None = computed("Title, loud.", _loud, needs=["title"])
    outline: list[Chapter] = computed("What Python says of it.", _outlines, needs=["title"])
    worth: Decimal = computed("Twice its price.", _worth, sql="jsonb_build_object('price', {t}.price::text)")
    promised: str = expression("Never null, or so it says.", "nullif({t}.title, '大学')")
    share: int = expression("Fails for a book of two volumes.", "1 / ({t}.volume - 2)")
    place: Place | None = document("Where it is.", variants=PLACES)
    chapters: list[Chapter] = document("Chapters.")
    first_chapter: Chapter | None = document("The first one.", sql="{t}.chapters -> 0")
    lending: Lending | None = embedded("Who has it.", present="lent")
    size: Annotated[Single | Several, strawberry.union("Size", description="By volumes.")] = embedded(
        "How large it is.", variants=Variants("form", {"PRINTED": "Several", "COPIED": "Single"})
    )
    readers: list[Person] = by_ids("Who read it.", "reader_ids")
    source: Node | None = reference("Where it came from.", kind="source_type", id="source_id")
    fans: Connection[Person] = connection("Who loves it.", on={"id": "favourite_id"}, default=[Key("{r}.name")])
    beings: list[Being] = listing(
        "Everybody.", where="{t}.price < 10", order="{r}.id", variants=Variants("kind", {"P": "Person", "R": "Robot"})
    )
    picked: list[Person] = listing(
        "Persons of a query of their own.",
        rows=f"SELECT ps.id, ps.name, ps.favourite_id FROM {PERSONS} ps WHERE ps.favourite_id = {{t}}.id",
    )
    tallies: list[Tally] = listing(
        "Books of each form at most as dear.",
        rows=f"SELECT bc.form, count(*)::int AS books FROM {BOOKS} bc WHERE bc.price <= {{t}}.price GROUP BY bc.form",
        order="{r}.form",
    )


@enumeration("Orders.")
class BookOrderField(Enum):
    """Orders."""

    VOLUME = Sort("By volume.", (Key("{r}.volume", "bigint", nullable=True),))
    FORM = Sort("By form, dearest first.", (Key("{r}.form"), Key("{r}.price", "numeric", descending=True)))
    SHELF = Sort(
        "By the shelf that a form stands on.",
        (
            Key(
                "sh.shelf",
                "bigint",
                joined="JOIN (VALUES ('PRINTED', 1), ('COPIED', 2)) sh(form, shelf) ON sh.form = {r}.form",
            ),
        ),
    )
    NEAR = Sort("By nearness to a price.", (Key("abs({r}.price - {price}::numeric)", "numeric"),))


@order_type
class BookOrder(Order):
    """An order of books."""

    field: BookOrderField = described("What to sort by.")
    price: str | None = described("For NEAR: which price.")


@filter_type
class BookFilter:
    """Which books."""

    dear: bool | None = condition("Only dear ones, or only the others.", "({r}.price > 1) = {value}")


@query
class BookQuery:
    """Books."""

    book: Book | None = by_id("One book.", "Book")
    books: Connection[Book] | None = connection(
        "Books.", filter=BookFilter, order="BookOrder", default=[Key("{r}.title")]
    )
    cheapest: list[Book] | None = listing("The two cheapest.", order="{r}.price", limit=2)
