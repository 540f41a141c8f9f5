"""Operations drawn from a schema: documents of every shape that GraphQL has, with the variables to run them with.

All that is written is valid, but for values (an id of another district, a broken cursor, a page of 101), which the
server must refuse in the same words however it runs. Rules that keep a document valid: an alias is used once; a field
without an alias has the same arguments wherever it stands; under an interface or a union, where fields of the same name
may differ in type, every field has an alias.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from hypothesis import strategies as st

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]
Json = dict[str, Any]

CURSOR = "p"
"""Begins the response names of pages whose cursors are variables."""


class Name(str):
    """A member of an enumeration, which a document spells without quotes."""

    __slots__ = ()


class Left(Exception):
    """Nothing fits here."""


@dataclass(frozen=True)
class Supply:
    """What the values in operations are taken from."""

    ids: Callable[[str], Sequence[str]]
    """Ids to give at a `Type.field` of an input, or `Type.field.argument`; own ones first."""
    texts: Sequence[str]
    """Texts to search for and codes to name."""


@dataclass(frozen=True)
class Operation:
    """A document, and how to run it."""

    text: str
    name: str | None
    variables: Json
    cursors: Sequence[tuple[str, str]]
    """Variables that are left out and take a cursor: each with the response name of its page."""


@dataclass
class _Fragment:
    name: str
    on: Any
    text: str
    depth: int
    uses: set[str]
    aliased: bool


@dataclass
class _Variable:
    name: str
    declared: str
    value: Any = Undefined


@dataclass
class Writer:
    """Writes one document."""

    schema: GraphQLSchema
    supply: Supply
    draw: Draw
    rare: frozenset[str] = frozenset()
    """Fields, as `Type.field`, that are asked for seldom: those that no plan can answer."""
    fields: int = 60
    """Fields at most, with fragments counted where they stand."""
    cursors: list[tuple[str, str]] = field(default_factory=list)
    variables: dict[str, _Variable] = field(default_factory=dict)
    fragments: list[_Fragment] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)
    serial: int = 0
    uses: set[str] = field(default_factory=set)

    # --- choices

    def number(self, least: int, most: int) -> int:
        """A number; the least is the simplest."""
        return int(self.draw(st.integers(least, most))) if most > least else least

    def chance(self, percent: int) -> bool:
        """True so often; false is simpler."""
        return self.number(0, 99) >= 100 - percent

    def one(self, choices: Sequence[T]) -> T:
        """One of them; the first is the simplest."""
        if not choices:
            raise Left
        return choices[self.number(0, len(choices) - 1)]

    def fresh(self, letter: str) -> str:
        """A name that nothing else in the document has."""
        self.serial += 1
        return f"{letter}{self.serial}"

    # --- documents

    def document(self, depth: int) -> Operation:
        """A document of one operation, or of several of which one is run."""
        count = 1 if self.chance(85) else self.number(2, 3)
        written = []
        for number in range(count):
            self.uses = set()
            query = self.schema.query_type
            assert query is not None
            body = self.selection(query, depth, aliased=False)
            declared = ", ".join(self.variables[name].declared for name in sorted(self.uses))
            name = f"Q{number}" if count > 1 or self.chance(50) else ""
            head = f"query {name}" if name or declared else ""
            written.append((name, f"{head}{f'({declared})' if declared else ''} {body}", set(self.uses)))
        parts = [text for _, text, _ in written]
        parts += [f"fragment {each.name} on {each.on.name} {each.text}" for each in self._spread()]
        name, _, uses = self.one(written)
        values = {key: self.variables[key].value for key in sorted(uses)}
        return Operation(
            "\n".join(parts),
            name or None,
            {key: value for key, value in values.items() if value is not Undefined},
            [(key, page) for key, page in self.cursors if key in uses],
        )

    def _spread(self) -> list[_Fragment]:
        # A fragment that was written for a branch which was given up would not be valid: all of them are used.
        return self.fragments

    # --- selections

    def selection(self, on: Any, depth: int, *, aliased: bool) -> str:
        """A selection set of the type, with its braces."""
        parts: list[str] = []
        for _ in range(self.number(1, 6)):
            if self.fields <= 0:
                break
            try:
                parts.append(self.part(on, depth, aliased=aliased))
            except Left:
                continue
        return f"{{ {' '.join(parts) or '__typename'} }}"

    def part(self, on: Any, depth: int, *, aliased: bool) -> str:
        """A field, an inline fragment, a spread or __typename."""
        kind = self.number(0, 19)
        if kind == 19:
            return self.spread(on, depth, aliased=aliased)
        if kind == 18:
            return f"... {self.directives()}{self.selection(on, depth, aliased=aliased)}"
        if kind == 17:
            return f"{self.fresh('a')}: __typename{self.directives()}" if self.chance(30) else "__typename"
        if kind == 16:
            return self.conditioned(on, depth, aliased=aliased)
        if isinstance(on, GraphQLObjectType):
            return self.any_field(on, depth, aliased=aliased)
        if isinstance(on, GraphQLInterfaceType) and self.chance(30):
            return self.any_field(on, depth, aliased=aliased)
        return self.conditioned(on, depth, aliased=True)

    def conditioned(self, on: Any, depth: int, *, aliased: bool) -> str:
        """An inline fragment on a type that the place may have."""
        chosen = self.one(self._fitting(on))
        directives = self.directives()
        return f"... on {chosen.name} {directives}{self.selection(chosen, depth, aliased=aliased or chosen is not on)}"

    def _fitting(self, on: Any) -> list[Any]:
        if isinstance(on, GraphQLObjectType):
            return [on, *on.interfaces]
        possible = list(self.schema.get_possible_types(on))
        others = [each for one in possible for each in one.interfaces if each is not on]
        return [*possible, on, *dict.fromkeys(others)]

    def spread(self, on: Any, depth: int, *, aliased: bool) -> str:
        """A named fragment: one that is there already, or a new one."""
        types = self._fitting(on)
        known = [
            each
            for each in self.fragments
            if each.on in types and each.depth <= depth and (each.aliased or (not aliased and each.on is on))
        ]
        if known and self.chance(60):
            chosen = self.one(known)
            self.fields -= 3
        else:
            chosen_type = on if self.chance(50) else self.one(types)
            before, self.uses = self.uses, set()
            aliased = aliased or chosen_type is not on or not isinstance(on, GraphQLObjectType)
            text = self.selection(chosen_type, depth, aliased=aliased)
            chosen = _Fragment(self.fresh("F"), chosen_type, text, depth, self.uses, aliased)
            self.uses = before
            self.fragments.append(chosen)
        self.uses |= chosen.uses
        return f"...{chosen.name} {self.directives()}"

    def any_field(self, on: Any, depth: int, *, aliased: bool) -> str:
        """Some field of the type, with arguments and selection."""
        leaves: list[str] = []
        inner: list[str] = []
        for name, each in on.fields.items():
            (leaves if is_leaf_type(get_named_type(each.type)) else inner).append(name)
        wanted = inner if depth > 0 and inner and (not leaves or self.chance(55)) else leaves
        name = self.one(("nodes", "node")) if on is self.schema.query_type and self.chance(15) else self.one(wanted)
        if f"{on.name}.{name}" in self.rare and not self.chance(2):
            raise Left
        return self.field(on, name, on.fields[name], depth, aliased=aliased)

    def field(self, on: Any, name: str, each: GraphQLField, depth: int, *, aliased: bool) -> str:
        """One field."""
        self.fields -= 1
        named = get_named_type(each.type)
        key = f"{on.name}.{name}"
        paged = "after" in each.args and "first" in each.args
        alias = ""
        if paged and self.chance(40):
            alias = self.fresh(CURSOR)
            arguments = self.arguments(key, each, depth, alias)
        elif aliased or self.chance(25):
            alias = self.fresh("a")
            arguments = self.arguments(key, each, depth)
        else:
            if key not in self.fixed:
                before, self.uses = self.uses, set()
                self.fixed[key] = self.arguments(key, each, depth)
                self.uses = before
            arguments = self.fixed[key]
            self.uses |= {part for part in _words(arguments) if part in self.variables}
        head = f"{alias}: {name}" if alias else name
        directives = self.directives()
        if is_leaf_type(named):
            return f"{head}{arguments}{directives}"
        # What stands under an alias of its own never merges with anything else.
        aliased = aliased and not alias
        inner = self.page(named, depth, aliased, alias) if paged else self.selection(named, depth - 1, aliased=aliased)
        return f"{head}{arguments}{directives} {inner}"

    def page(self, on: Any, depth: int, aliased: bool, alias: str) -> str:
        """The selection of a connection; where its cursors are wanted, with them."""
        if not alias.startswith(CURSOR):
            return self.selection(on, depth, aliased=aliased)
        node = get_named_type(get_named_type(on.fields["edges"].type).fields["node"].type)
        parts = [
            f"edges {{ cursor node {self.selection(node, depth - 1, aliased=aliased)} }}",
            "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }",
        ]
        if self.chance(30):
            parts.append("totalCount")
        return f"{{ {' '.join(self.draw(st.permutations(parts)))} }}"

    def directives(self) -> str:
        """None, mostly; or @skip, @include, or both."""
        if not self.chance(8):
            return ""
        parts = []
        for name in self.one((["include"], ["skip"], ["skip", "include"])):
            if self.chance(60):
                condition = self.variable(GraphQLNonNull(self.schema.type_map["Boolean"]), name)
            else:
                condition = self.one(("true", "false") if name == "include" else ("false", "true"))
            parts.append(f"@{name}(if: {condition})")
        return f" {' '.join(parts)} "

    # --- arguments

    def arguments(self, key: str, each: GraphQLField, depth: int, alias: str = "") -> str:
        """The arguments of a field, with parentheses; empty where there are none."""
        parts = []
        names = [name for name in each.args if name not in ("first", "last", "after", "before")]
        for name in names:
            argument = each.args[name]
            if isinstance(argument.type, GraphQLNonNull) or self.chance(35):
                parts.append(f"{name}: {self.literal(argument.type, f'{key}.{name}')}")
        if "first" in each.args:
            parts += self.paging(each, depth, alias)
        return f"({', '.join(self.draw(st.permutations(parts)) if len(parts) > 1 else parts)})" if parts else ""

    def paging(self, each: GraphQLField, depth: int, alias: str) -> list[str]:
        """First or last, and cursors."""
        backward = self.chance(35)
        parts = []
        if self.chance(75):
            size = self.one((2, 1, 3, 5, 100)) if depth > 2 else self.one((2, 1, 3))
            if self.chance(2):
                size = self.one((0, 101, -1))
            text = str(size)
            if self.chance(20):
                text = self._declare(each.args["first"].type, size)
            parts.append(f"{'last' if backward else 'first'}: {text}")
            if self.chance(1):
                parts.append(f"{'first' if backward else 'last'}: 2")
        names = ["before", "after"] if backward else ["after", "before"]
        if alias:
            wanted = names if self.chance(15) else names[:1]
            for name in wanted:
                variable = self.fresh("c")
                self.variables[variable] = _Variable(variable, f"${variable}: String")
                self.uses.add(variable)
                self.cursors.append((variable, alias))
                parts.append(f"{name}: ${variable}")
        elif self.chance(3):
            parts.append(f'{names[0]}: "{self.one(("bm90IGEgY3Vyc29y", "", "WyJhIl0", "游标"))}"')
        return parts

    def literal(self, given: Any, key: str) -> str:
        """A value as it stands in a document, variables in it."""
        if self.chance(20):
            return self.variable(given, key)
        if isinstance(given, GraphQLNonNull):
            return self._literal(given.of_type, key)
        return "null" if self.chance(6) else self._literal(given, key)

    def _literal(self, given: Any, key: str) -> str:
        if isinstance(given, GraphQLList):
            if self.chance(10):
                return self._literal(get_nullable_type(given.of_type), key)
            return f"[{', '.join(self.literal(given.of_type, key) for _ in range(self.number(0, 3)))}]"
        if isinstance(given, GraphQLInputObjectType):
            parts = [
                f"{name}: {self.literal(each.type, f'{given.name}.{name}')}"
                for name, each in given.fields.items()
                if (isinstance(each.type, GraphQLNonNull) and each.default_value is Undefined) or self.chance(18)
            ]
            return f"{{{', '.join(parts)}}}"
        return spell(self.leaf(given, key))

    def plain(self, given: Any, key: str) -> Any:
        """The same as the value of a variable."""
        if isinstance(given, GraphQLNonNull):
            given = given.of_type
        elif self.chance(6):
            return None
        if isinstance(given, GraphQLList):
            if self.chance(10):
                return self.plain(GraphQLNonNull(get_nullable_type(given.of_type)), key)
            return [self.plain(given.of_type, key) for _ in range(self.number(0, 3))]
        if isinstance(given, GraphQLInputObjectType):
            return {
                name: self.plain(each.type, f"{given.name}.{name}")
                for name, each in given.fields.items()
                if (isinstance(each.type, GraphQLNonNull) and each.default_value is Undefined) or self.chance(18)
            }
        return self.leaf(given, key)

    def leaf(self, given: Any, key: str) -> Any:
        """A scalar or a member of an enumeration."""
        if isinstance(given, GraphQLEnumType):
            return Name(self.one(list(given.values)))
        match given.name:
            case "ID":
                return self.one(self.supply.ids(key))
            case "Int":
                return self.one((1, 0, 2, 5, -1, 2147483647))
            case "Boolean":
                return self.one((True, False))
            case "Decimal":
                return self.one(("1", "0.50", "-3", "99999999999999999999.123456789"))
            case "Date":
                return self.one(("2026-06-30", "1970-01-01", "9999-12-31", *(["2026-02-30"] if self.chance(5) else [])))
            case "DateTime":
                return self.one(("2026-06-30T08:00:00+08:00", "2100-01-01T00:00:00Z", "1970-01-01T00:00:00.123456Z"))
        return self.one(self.supply.texts)

    def variable(self, given: Any, key: str) -> str:
        """A variable of this type: given, null, left out, with a default or without."""
        nullable = given.of_type if isinstance(given, GraphQLNonNull) else given
        mode = self.number(0, 5)
        if mode <= 1:
            return self._declare(given, self.plain(given, key))
        if mode == 2 and nullable is given:
            return self._declare(given, Undefined)
        if mode == 3 and nullable is given:
            return self._declare(given, None)
        default = spell(self.plain(GraphQLNonNull(nullable), key))
        value = self.one(
            (Undefined, self.plain(GraphQLNonNull(nullable), key), None if nullable is given else Undefined)
        )
        declared = given if self.chance(50) else nullable
        return self._declare(declared, value, default)

    def _declare(self, given: Any, value: Any, default: str = "") -> str:
        name = self.fresh("v")
        self.variables[name] = _Variable(name, f"${name}: {given}{f' = {default}' if default else ''}", value)
        self.uses.add(name)
        return f"${name}"


def _words(text: str) -> list[str]:
    return "".join(each if each.isalnum() else " " for each in text).split()


def spell(value: Any) -> str:
    """A value as a literal."""
    match value:
        case None:
            return "null"
        case Name():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return orjson.dumps(value).decode()
        case list():
            return f"[{', '.join(map(spell, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{name}: {spell(each)}' for name, each in value.items())}}}"
    raise TypeError(value)
