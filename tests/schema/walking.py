"""Documents and inputs made by walking the schema, so that a new field or mutation is asked for without being named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from schema.schema import build_schema
from tests.small import expiry, in_days

Json = dict[str, Any]


def walked() -> GraphQLSchema:
    """The schema as graphql-core has it."""
    return build_schema()._schema


# --- what a reader can ask for


@dataclass
class Selector:
    """Writes selections: all fields of a type, of the nodes it leads to, and so on, `depth` nodes deep.

    `arguments` gives the text of the arguments of fields that need some, by `Type.field`. Whatever was ever selected is
    in `chosen`, as `Type.field`.
    """

    schema: GraphQLSchema
    arguments: Mapping[str, str]
    chosen: set[str]

    def select(self, named: Any, depth: int) -> str:
        """The selection of a type, with its braces; empty for what has none."""
        if is_leaf_type(named):
            return ""
        if isinstance(named, GraphQLObjectType):
            return f"{{ __typename {self._fields(named, depth, '')} }}"
        assert isinstance(named, GraphQLInterfaceType | GraphQLUnionType)
        # Fields of the same name may have different types, so each has an alias.
        parts = [
            f"... on {one.name} {{ {self._fields(one, depth, one.name + '_')} }}"
            for one in self.schema.get_possible_types(named)
        ]
        return f"{{ __typename {' '.join(parts)} }}"

    def field(self, parent: str, name: str, field: GraphQLField, depth: int, alias: str = "") -> str:
        """One field with its arguments and selection; empty where it would go too deep."""
        named = get_named_type(field.type)
        depth -= is_node(named)
        if depth < 0:
            return ""
        given = self.arguments.get(f"{parent}.{name}", "")
        assert given or not any(map(is_required_argument, field.args.values())), f"{parent}.{name} needs arguments"
        inner = self.select(named, depth)
        self.chosen.add(f"{parent}.{name}")
        return f"{alias}{name}{given} {inner}"

    def _fields(self, named: GraphQLObjectType, depth: int, prefix: str) -> str:
        return " ".join(
            self.field(named.name, name, field, depth, f"{prefix}{name}: " if prefix else "")
            for name, field in named.fields.items()
        )


def is_node(named: Any) -> bool:
    """Whether objects of the type have an id: what leads from one to the next counts as a step, values do not."""
    return isinstance(named, GraphQLObjectType | GraphQLInterfaceType) and "id" in named.fields


def readable(schema: GraphQLSchema) -> set[str]:
    """Every `Type.field` that a query can reach."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting: list[Any] = [schema.query_type]
    while waiting:
        named = waiting.pop()
        if named.name in seen or is_leaf_type(named):
            continue
        seen.add(named.name)
        if not isinstance(named, GraphQLObjectType):
            waiting += schema.get_possible_types(named)
            continue
        for name, field in named.fields.items():
            found.add(f"{named.name}.{name}")
            waiting.append(get_named_type(field.type))
    return found


# --- ids in what is given


@dataclass(frozen=True)
class Step:
    """One step into an input: a field of an input type, or of a GraphQL field an argument."""

    owner: str
    name: str
    listed: bool

    @property
    def key(self) -> str:
        """`Type.field`."""
        return f"{self.owner}.{self.name}"


Place = tuple[Step, ...]
"""The way to an id in an input."""


def id_places(fields: Mapping[str, Any], owner: str) -> Iterator[Place]:
    """All ids in the fields of an input type, or in a field's arguments; no input type of ours holds itself."""
    for name, field in fields.items():
        step = Step(owner, name, isinstance(get_nullable_type(field.type), GraphQLList))
        named = get_named_type(field.type)
        if named.name == "ID":
            yield (step,)
        elif isinstance(named, GraphQLInputObjectType):
            for rest in id_places(named.fields, named.name):
                yield (step, *rest)


def spell(place: Place) -> list[str]:
    """The place as a path in an error."""
    return [part for step in place for part in ((step.name, "0") if step.listed else (step.name,))]


@dataclass(frozen=True)
class Filler:
    """Makes inputs of valid shape; `value` gives what stands at a `Type.field`, None for what the type says."""

    value: Callable[[str, Any, Json], Any]

    def fill(self, given: GraphQLInputObjectType, place: Place, at: Any) -> Json:
        """An input that has `at` at a place, and beside it only what is required."""
        made: Json = {}
        one_of = getattr(given, "is_one_of", False) or given.name in ONE_OF
        for name, field in given.fields.items():
            if place and place[0].name == name:
                made[name] = self._through(field, place, at)
            elif is_required_input_field(field) or (one_of and not place and not made):
                made[name] = self._plain(given.name, name, field, made)
        return made

    def _through(self, field: GraphQLInputField, place: Place, at: Any) -> Any:
        named = get_named_type(field.type)
        inner = self.fill(named, place[1:], at) if isinstance(named, GraphQLInputObjectType) else at
        return [inner] if place[0].listed else inner

    def _plain(self, owner: str, name: str, field: GraphQLInputField, beside: Json) -> Any:
        found = self.value(f"{owner}.{name}", field, beside)
        if found is not None:
            return found
        named, listed = get_named_type(field.type), isinstance(get_nullable_type(field.type), GraphQLList)
        if isinstance(named, GraphQLInputObjectType):
            inner: Any = self.fill(named, (), None)
        elif isinstance(named, GraphQLEnumType):
            inner = next(iter(named.values))
        else:
            inner = SCALARS[named.name]
        return [inner] if listed else inner


SCALARS: Mapping[str, Any] = {
    "String": "text",
    "Int": 1,
    "Boolean": True,
    "Decimal": "1",
    "Date": in_days(3),
    "DateTime": expiry(),
}
"""Something of each kind."""

ONE_OF = ("ReturnUntilInput", "ReviewDecisionInput", "EntryContentInput", "ScoringRuleInput", "GradeConditionInput")
"""Inputs of which exactly one field is given, where graphql-core does not say so."""


def fields_with_ids(schema: GraphQLSchema) -> list[tuple[str, str, Sequence[Place]]]:
    """Type, field and the ids in its arguments, for every field of every type that can be read."""
    found: list[tuple[str, str, Sequence[Place]]] = []
    for key in sorted(readable(schema)):
        owner, _, name = key.partition(".")
        parent = schema.type_map[owner]
        assert isinstance(parent, GraphQLObjectType)
        places = list(id_places(parent.fields[name].args, key))
        if places:
            found.append((owner, name, places))
    return found
