"""How a type is declared: Strawberry types whose fields say where they live (类型声明).

A table type reads like a table of contents:

    @table("org_units", plural="units", visible="EXISTS (SELECT 1 FROM …)")
    class OrgUnit(Node):
        '''A node of the organisation tree (单位、党组织).'''

        id: ID = identifier("Opaque id; stays through rename and move.")
        code: str = column("Code, unique in the tenant.")
        kind: OrgUnitKind = column("What it is.")
        unit_count: int = expression("Units below.", "(SELECT count(*) FROM org_units ou WHERE … {t}.id)")
        category: Category | None = relation("Peer group.", on={"category_id": "id"})
        former_names: list[FormerNameInfo] = listing("Earlier names.", on={"id": "unit_id"}, order="{r}.until DESC")
        children: Connection[OrgUnit] = connection("Units below.", on={"id": "parent_id"}, order=OrgUnitOrder,
                                                   default=[Key("{r}.code")])

The rules:

- The class docstring is the type's description, the first argument of each word is the field's. Nullability is said
  once, by the annotation. Types of other nouns are imported under TYPE_CHECKING and written in quotes (or under
  `from __future__ import annotations`); they are known when the schema is built. A trailing underscore is dropped from
  names (`from_` is `from`).
- Output annotations: str, int, bool, Decimal, Rational, date, datetime, an enumeration (text in the database = the
  member's name), lists of these, other declared types. `ID` only for `identifier`. Inputs take DecimalText, DateText,
  DateTimeText and ID, which stay as typed.
- All that is data is SQL, never Python: expressions, predicates and orders are templates (`schema.sql` lists the places
  {t} {r} {tenant} {actor} {all} {today} {language}; arguments of the field are places by their Python names). Give your
  tables aliases of two letters or more; say `xx.tenant_id = {tenant}` for each of them.
- `visible` says which rows the viewer may see; it is applied wherever a row of the type is reached. What is hidden is
  null, or not in the list: a relation to a row that may be hidden is `| None`.
- `relation`, `listing`, `connection` reach rows by `on` (column of this row → column of the other) and `where` (over
  {t} and {r}); a root field of a query has no {t}. `rows=` gives a query over {t} instead, for value types without a
  table.
- `value` types have no id. They come from `embedded` (columns of the same row), from `rows=` (columns of a query), or
  from `document` (keys of a JSON column; numbers are kept as strings there, so nothing passes through a float).
- `Variants(by, types)` picks the type of a row for interfaces and unions; `reference` reaches rows of several tables.
- `computed` says that a function reckons the value from columns of the row (what is said in words, what the scoring
  engine explains). A method under `@resolved("Description.")` is a Python resolver, which can't be planned. Avoid it.
"""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum, EnumMeta
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, dataclass_transform, get_args

import strawberry
from strawberry import ID, UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from schema import stock
from schema.declarations import (
    Argument,
    ByIds,
    Column,
    Computed,
    Condition,
    Declaration,
    Document,
    Embedded,
    Expression,
    Identifier,
    Listing,
    Paged,
    Reference,
    Relation,
    Sort,
    Table,
    Variants,
)
from schema.inputs import from_input
from schema.keyset import Key
from schema.registry import register, registered
from schema.resolvers import resolved

__all__ = [
    "ID",
    "Argument",
    "Connection",
    "Key",
    "MappedField",
    "Node",
    "Order",
    "OrderDirection",
    "Sort",
    "Variants",
    "by_id",
    "by_ids",
    "column",
    "computed",
    "condition",
    "connection",
    "describe",
    "described",
    "document",
    "embedded",
    "enumeration",
    "expression",
    "filter_type",
    "identifier",
    "input_type",
    "interface",
    "listing",
    "one_of",
    "order_type",
    "payload",
    "query",
    "reference",
    "relation",
    "resolved",
    "table",
    "value",
]

T = TypeVar("T")
E = TypeVar("E", bound=EnumMeta)

METADATA_KEY = "kaoping"
"""Where a Strawberry field's metadata keeps the declaration."""

SECRET = "secret"  # noqa: S105 — a key of metadata
"""Metadata of a success's field whose value is shown once."""

CLEARABLE = "clearable"
"""Metadata of an input's field where null and left out differ."""


class MappedField(StrawberryField):
    """A Strawberry field with a declaration; the stock resolvers read it, and so does the compiler of plans."""

    @property
    def declaration(self) -> Declaration:
        """Where the field lives."""
        return cast(Declaration, self.metadata[METADATA_KEY])

    @cached_property
    def target(self) -> Any:
        """The annotated type without its list and null: a class, or a Strawberry union or enum definition."""
        target: Any = self.type
        while True:
            if isinstance(target, StrawberryOptional | StrawberryList):
                target = target.of_type
            elif isinstance(target, LazyType):
                target = target.resolve_type()
            else:
                return target

    @cached_property
    def many(self) -> bool:
        """Whether the field is a list."""
        target: Any = self.type
        return isinstance(target.of_type if isinstance(target, StrawberryOptional) else target, StrawberryList)

    @cached_property
    def enum(self) -> type[Enum] | None:
        """The enumeration, for a column that holds the name of a member."""
        target = self.target
        return cast("type[Enum]", target.wrapped_cls) if isinstance(target, StrawberryEnumDefinition) else None

    @property
    def key(self) -> str:
        """Type and field, such as OrgUnit.children."""
        origin = self.origin
        return f"{origin.__name__ if isinstance(origin, type) else ''}.{self.python_name}"

    @property
    def is_basic_field(self) -> bool:
        """True where the value is in the row: no context is needed."""
        return isinstance(self.declaration, Column | Identifier)

    @property
    def arguments(self) -> list[StrawberryArgument]:
        """Built when the schema is: types of other nouns are known then."""
        if self._arguments is None:
            self._arguments = list(_arguments_of(self.declaration))
        return self._arguments

    @arguments.setter
    def arguments(self, value: list[StrawberryArgument]) -> None:
        self._arguments = value

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """The field's value, or a future of it."""
        return stock.resolve(self, source, info, kwargs)


def _arguments_of(declaration: Declaration) -> list[StrawberryArgument]:
    own = [
        StrawberryArgument(
            python_name=argument.name,
            graphql_name=None,
            type_annotation=StrawberryAnnotation(argument.annotation),
            description=argument.description,
        )
        for argument in getattr(declaration, "arguments", ())
    ]
    if isinstance(declaration, Paged):
        own += _paging_arguments(declaration)
    return own


def _paging_arguments(declaration: Paged) -> list[StrawberryArgument]:
    wanted: list[tuple[str, Any, str]] = [
        ("first", int | None, "How many from the start, 1 to 100; 20 if neither first nor last is given; never both."),
        ("after", str | None, "Opaque cursor: only what comes after it."),
        ("last", int | None, "How many from the end, 1 to 100."),
        ("before", str | None, "Opaque cursor: only what comes before it."),
    ]
    if declaration.filter is not None:
        filter_class = registered(declaration.filter)
        wanted.append(("filter", filter_class | None, "Narrows the list; conditions are joined by and."))
    if declaration.order is not None:
        order_class = registered(declaration.order)
        wanted.append(
            (
                "order_by",
                list[order_class] | None,  # type: ignore[valid-type]  # a class that is known when the schema is built
                "At most two orders; a unique last one is always added, so pages are stable.",
            )
        )
    return [
        StrawberryArgument(
            python_name=name,
            graphql_name=None,
            type_annotation=StrawberryAnnotation(annotation),
            description=description,
        )
        for name, annotation, description in wanted
    ]


# ---- words for fields


def _mapped(description: str, declaration: Declaration, deprecated: str | None = None) -> Any:
    return MappedField(description=description, metadata={METADATA_KEY: declaration}, deprecation_reason=deprecated)


def identifier(description: str = "Opaque id.") -> Any:
    """The global id."""
    return _mapped(description, Identifier())


def column(description: str, name: str = "", *, deprecated: str | None = None) -> Any:
    """A column of the table (a key of the document), by default of the field's own name."""
    return _mapped(description, Column(name), deprecated)


def expression(description: str, sql: str, *, arguments: Sequence[Argument] = ()) -> Any:
    """A scalar reckoned in SQL over {t}."""
    return _mapped(description, Expression(sql, tuple(arguments)))


def computed(
    description: str,
    by: Callable[[Any, Sequence[Mapping[str, Any]]], Awaitable[Sequence[Any]]],
    *,
    needs: Sequence[str] = (),
    sql: str | None = None,
) -> Any:
    """What SQL can't say: `by(context, records)` gives it for many rows at once.

    The records have the columns named in `needs`, or are what `sql` gives, an object as JSONB; with neither, on a
    document, they are the documents.
    """
    return _mapped(description, Computed(by, tuple(needs), sql))


def embedded(description: str, *, present: str | None = None, variants: Variants | None = None) -> Any:
    """A value object made of columns and expressions of the same row; null where column `present` is null or false."""
    return _mapped(description, Embedded(present, variants))


def document(
    description: str,
    name: str = "",
    *,
    sql: str | None = None,
    variants: Variants | None = None,
    light: str | None = None,
    columns: Mapping[str, str] | None = None,
    heavy: Iterable[str] = (),
) -> Any:
    """A value object, or a list of them, from a JSON(B) column or key, or from an SQL expression that gives JSONB.

    `light` is the expression without the keys `heavy`, where these take long; `columns` SQL for each of the others.
    """
    return _mapped(description, Document(None if sql else name, sql, variants, light, columns, frozenset(heavy)))


def relation(
    description: str,
    *,
    on: Mapping[str, str] | None = None,
    where: str | None = None,
    rows: str | None = None,
    order: str | None = None,
    arguments: Sequence[Argument] = (),
    variants: Variants | None = None,
    seen: bool = False,
    when: str | None = None,
    back: tuple[tuple[str, str], ...] = (),
    sure: bool = False,
) -> Any:
    """At most one row: the one that `on` and `where` tell, or the first by `order`.

    `seen` and `when` as in `Reach`, `back` and `sure` as in `Relation`.
    """
    declaration = Relation(on or {}, where, rows, tuple(arguments), order, variants, back, sure, seen=seen, when=when)
    return _mapped(description, declaration)


def listing(
    description: str,
    *,
    on: Mapping[str, str] | None = None,
    where: str | None = None,
    rows: str | None = None,
    order: str | None = None,
    limit: int = 1000,
    arguments: Sequence[Argument] = (),
    variants: Variants | None = None,
) -> Any:
    """A list whose size the domain bounds: rows in `order` (SQL over {r}), at most `limit`."""
    return _mapped(description, Listing(on or {}, where, rows, tuple(arguments), order, limit, variants))


def by_ids(description: str, name: str) -> Any:
    """A list of rows named by a uuid[] column, or by a list of uuids under a document's key; in its order."""
    return _mapped(description, ByIds(name))


def reference(description: str, *, kind: str, id: str, types: Mapping[str, str] | None = None) -> Any:  # noqa: A002  # a column
    """A row of one of several types (`Actor`, `Node`): `kind` tells which, `id` is the column with its key."""
    return _mapped(description, Reference(kind, id, types))


def connection(
    description: str,
    *,
    on: Mapping[str, str] | None = None,
    where: str | None = None,
    rows: str | None = None,
    filter: type | str | None = None,  # noqa: A002  # the argument's name in the API
    order: type | str | None = None,
    default: Sequence[Key],
    arguments: Sequence[Argument] = (),
    countable: bool = True,
    seen: bool = False,
    holds: str | None = None,
) -> Any:
    """A page of rows: `filter` and `order` are input classes (or their names), `default` the order without orderBy.

    `seen` as in `Reach`, `holds` as in `Paged`.
    """
    declaration = Paged(
        on or {},
        where,
        rows,
        tuple(arguments),
        cast("type", filter),
        cast("type", order),
        tuple(default),
        countable,
        holds,
        seen=seen,
    )
    return _mapped(description, declaration)


def by_id(description: str, of: str, argument_description: str = "Its id.") -> Any:
    """A root field `(id: ID!)` that gives one row of the type `of`."""
    return relation(description, where="{r}.id = {id}", arguments=[Argument("id", ID, argument_description, of)])


def condition(
    description: str,
    sql: str,
    *,
    of: str | None = None,
    otherwise: str | None = None,
    contains: bool = False,
    limit: int = 100,
) -> Any:
    """A field of a filter: a predicate over {r} with its value at {value}, which has the SQL type of the annotation."""
    return strawberry.field(
        description=description,
        default=UNSET,
        metadata={METADATA_KEY: Condition(sql, of, otherwise, contains, limit)},
    )


def described(
    description: str, *, default: Any = ..., name: str | None = None, clearable: bool = False, secret: bool = False
) -> Any:
    """A field of an input or of a mutation's success. An input's field annotated `| None` may be left out.

    Left out it reads as None, like null; a `clearable` one reads as UNSET, where null clears what was there. `secret`
    is for a success: the value is shown once and never kept for a replay.
    """
    return strawberry.field(
        description=description,
        name=name,
        default=dataclasses.MISSING if default is ... else default,
        metadata={SECRET: secret, CLEARABLE: clearable},
    )


# ---- words for types


def _words(cls: type) -> str:
    text = inspect.cleandoc(cls.__doc__ or "") if "__doc__" in cls.__dict__ else ""
    if not text or text.startswith(f"{cls.__name__}("):
        raise TypeError(f"{cls.__qualname__} needs a docstring: it is the description of the type.")
    return " ".join(text.split())


def _prepare(cls: type) -> None:
    """Give each field its default column name, and drop trailing underscores from names."""
    for name, attribute in list(vars(cls).items()):
        if not isinstance(attribute, StrawberryField):
            continue
        plain = name.rstrip("_")
        if plain != name:
            attribute.graphql_name = attribute.graphql_name or plain
        if isinstance(attribute, MappedField):
            declaration = attribute.declaration
            if isinstance(declaration, Column) and not declaration.name:
                _declare(attribute, Column(plain))
            elif isinstance(declaration, Document) and declaration.name == "":
                _declare(attribute, Document(plain, None, declaration.variants))


def _declare(field: MappedField, declaration: Declaration) -> None:
    field.metadata = MappingProxyType({METADATA_KEY: declaration})


def _described_type(cls: type[T], **options: Any) -> type[T]:
    _prepare(cls)
    made = strawberry.type(cls, description=_words(cls), **options)
    register(made)
    return made


def table(
    name: str, *, key: Sequence[str] = ("id",), visible: str | None = None, plural: str | None = None
) -> Callable[[type[T]], type[T]]:
    """A type whose rows live in a table (or a query in parentheses) with `tenant_id`; `plural` names its pages."""

    def decorate(cls: type[T]) -> type[T]:
        made = _described_type(cls)
        made.__table__ = Table(name, tuple(key), visible)  # type: ignore[attr-defined]  # read by schema.stock
        made.__plural__ = plural  # type: ignore[attr-defined]  # read by Connection
        return made

    return decorate


def value(cls: type[T]) -> type[T]:
    """A type without an id: columns of another row, of a query, or keys of a document."""
    return _described_type(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(described,))
def interface(cls: type[T]) -> type[T]:
    """An interface; what implements it inherits from it."""
    _prepare(cls)
    made = strawberry.interface(cls, description=_words(cls))
    register(made)
    return made


def query(cls: type[T]) -> type[T]:
    """Root fields of one noun. Relations, lists and connections without {t}; null without sign-in."""
    _prepare(cls)
    made = strawberry.type(cls, description=_words(cls))
    register(made, root="Query")
    return made


@dataclass_transform(kw_only_default=True, field_specifiers=(described,))
def payload(cls: type[T]) -> type[T]:
    """What a mutation gives back: fields that its outcome names."""
    return _described_type(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(described,))
def input_type(cls: type[T]) -> type[T]:
    """An input object. Fields annotated `| None` may be left out."""
    return _input(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(described,))
def one_of(cls: type[T]) -> type[T]:
    """An input object of which exactly one field is given (@oneOf)."""
    return _input(cls, one_of=True)


def known(given: T | None) -> T | None:
    """A field of a @oneOf input: None where it was left out."""
    return None if given is UNSET else given


@dataclass_transform(kw_only_default=True, field_specifiers=(condition,))
def filter_type(cls: type[T]) -> type[T]:
    """A filter: an input whose fields are conditions."""
    return _input(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(described,))
def order_type(cls: type[T]) -> type[T]:
    """An order: inherits from `Order`, has a `field` whose enumeration holds `Sort`s."""
    return _input(cls)


def _input(cls: type[T], *, one_of: bool = False) -> type[T]:
    _prepare(cls)
    for name, annotation in inspect.get_annotations(cls).items():
        attribute = vars(cls).get(name)
        # A NewType beside None is not told apart by its text: Python 3.11 writes it as Optional[…].
        optional = type(None) in get_args(annotation) or str(annotation).endswith("| None")
        if optional and isinstance(attribute, StrawberryField) and attribute.default in (dataclasses.MISSING, UNSET):
            # The printed schema says nothing of a default.
            attribute.default = UNSET if attribute.metadata.get(CLEARABLE) else None
            attribute.default_value = UNSET
    made = strawberry.input(cls, description=_words(cls), one_of=one_of)
    made.__strawberry_definition__.from_input = from_input  # type: ignore[attr-defined]  # made above
    register(made)
    return made


def enumeration(description: str) -> Callable[[E], E]:
    """An enumeration: each member's value is its description (or a Sort), its name what the database holds."""

    def decorate(cls: E) -> E:
        if len(cls.__members__) != len(list(cls)):
            raise TypeError(f"{cls.__name__}: two members have the same description.")
        made = strawberry.enum(cls, description=description)
        definition: StrawberryEnumDefinition = made.__strawberry_definition__  # type: ignore[attr-defined]  # made above
        for member in definition.values:
            member.description = member.value.description if isinstance(member.value, Sort) else member.value
        register(cast("type", made))
        return made

    return decorate


def describe(cls: EnumMeta, description: str, **members: str) -> None:
    """Make an enumeration of another room known to GraphQL, each member with its description."""
    strawberry.enum(cls, description=description)
    definition: StrawberryEnumDefinition = cls.__strawberry_definition__  # type: ignore[attr-defined]  # made above
    for member in definition.values:
        member.description = members[member.name]


# ---- what every noun uses


@enumeration("Which way a list is sorted.")
class OrderDirection(Enum):
    """Directions."""

    ASC = "Smallest, earliest or first in the alphabet first."
    DESC = "Largest or latest first."


@input_type
class Order:
    """Which way a list is sorted."""

    direction: OrderDirection = described("Which way; null values come last either way.", default=OrderDirection.ASC)


@interface
class Node:
    """Anything with a globally unique id."""

    id: ID = identifier("Opaque and stable; an id of another tenant answers as one that does not exist.")


if TYPE_CHECKING:

    class Connection(Generic[T]):
        """A page of rows of a table type: annotate `Connection[OrgUnit]`."""

else:
    from schema.connections import Connection
