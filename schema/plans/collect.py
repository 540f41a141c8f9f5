"""Which fields an operation chooses, by type: GraphQL's CollectFields, for all levels before a row is read (字段收集).

Fragments are written out for each type that a row may have, fields with one response name are merged, @skip and
@include are settled. What comes out depends on the document, and on the variables of those two directives only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    NamedTypeNode,
    Node,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)
from strawberry.types.field import StrawberryField

from schema.connections import is_connected
from schema.documents import Document, Operation
from schema.mapping import MappedField
from schema.plans.reasons import Unplannable
from schema.query import NodeQuery

BACKREF = "strawberry-definition"
"""Where the schema of graphql-core leads back to Strawberry's."""


@dataclass(frozen=True, slots=True)
class Site:
    """A field with arguments, at its place in the document."""

    number: int
    field: StrawberryField
    definition: GraphQLField
    node: FieldNode
    variables: bool
    """Whether a variable stands in one of its arguments."""
    sized_by_variable: bool
    """Whether `first` or `last` is one."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One field of a selection, under its response name."""

    key: str
    name: str
    owner: str
    definition: GraphQLField | None
    """None for __typename."""
    field: StrawberryField | None
    site: Site | None
    branches: tuple["Branch", ...] = ()
    """For objects: what is chosen of each type that one may have."""

    @property
    def path(self) -> str:
        """Type and field."""
        return f"{self.owner}.{self.name}"


@dataclass(frozen=True, slots=True)
class Branch:
    """What is chosen of one object type."""

    name: str
    cls: type
    chosen: tuple[Chosen, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """An operation's fields, and those of them that have arguments."""

    root: Branch
    sites: tuple[Site, ...]


def switches(document: Document, operation: Operation) -> tuple[str, ...]:
    """Variables that @skip and @include of the document ask for, as far as the operation declares them."""
    found: set[str] = set()
    stack: list[Node] = [document.ast]
    while stack:
        node = stack.pop()
        for directive in getattr(node, "directives", None) or ():
            if directive.name.value in ("skip", "include"):
                found |= {each.value.name.value for each in directive.arguments if isinstance(each.value, VariableNode)}
        for key in node.keys:
            child = getattr(node, key, None)
            stack += [child] if isinstance(child, Node) else child if isinstance(child, list | tuple) else ()
    declared = [each.variable.name.value for each in operation.node.variable_definitions or ()]
    return tuple(name for name in declared if name in found)


def collect(schema: GraphQLSchema, operation: Operation, switched: Mapping[str, Any]) -> Selection:
    """What the operation chooses with these values of its switches; raises Unplannable."""
    fragments = {
        node.name.value: node for node in operation.document.ast.definitions if isinstance(node, FragmentDefinitionNode)
    }
    writes = operation.node.operation is OperationType.MUTATION
    collecting = _Collecting(schema, fragments, switched, writes)
    root = schema.get_root_type(operation.node.operation)
    assert root is not None
    branch = collecting.branch(root, [operation.node.selection_set])
    if not any(chosen.definition for chosen in branch.chosen):
        raise Unplannable("introspection", root.name)
    return Selection(branch, tuple(collecting.sites))


@dataclass
class _Collecting:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    switched: Mapping[str, Any]
    writes: bool
    """Whether it is a mutation, whose field is a use-case and whose payload is made by Python."""
    sites: list[Site] = field(default_factory=list)

    def branch(self, named: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> Branch:
        groups: dict[str, list[FieldNode]] = {}
        self.gather(named, sets, groups, set())
        cls = named.extensions[BACKREF].origin
        return Branch(named.name, cls, tuple(self.choose(named, cls, key, nodes) for key, nodes in groups.items()))

    def gather(
        self,
        named: GraphQLObjectType,
        sets: Iterable[SelectionSetNode],
        groups: dict[str, list[FieldNode]],
        seen: set[str],
    ) -> None:
        for chosen in sets:
            for node in chosen.selections:
                if not self.included(node):
                    continue
                if isinstance(node, FieldNode):
                    groups.setdefault((node.alias or node.name).value, []).append(node)
                elif isinstance(node, InlineFragmentNode):
                    if self.applies(node.type_condition, named):
                        self.gather(named, [node.selection_set], groups, seen)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                    seen.add(node.name.value)
                    fragment = self.fragments[node.name.value]
                    if self.applies(fragment.type_condition, named):
                        self.gather(named, [fragment.selection_set], groups, seen)

    def included(self, node: Any) -> bool:
        included = True
        for directive in node.directives or ():
            name = directive.name.value
            if name not in ("skip", "include"):
                raise Unplannable("directive", f"@{name}")
            value = directive.arguments[0].value
            given = value.value if isinstance(value, BooleanValueNode) else self.switched.get(value.name.value)
            if not isinstance(given, bool):
                raise Unplannable("arguments", f"@{name}")
            included = included and given == (name == "include")
        return included

    def applies(self, condition: NamedTypeNode | None, named: GraphQLObjectType) -> bool:
        if condition is None:
            return True
        found = self.schema.type_map[condition.name.value]
        return found is named or (
            isinstance(found, GraphQLInterfaceType | GraphQLUnionType) and self.schema.is_sub_type(found, named)
        )

    def choose(self, named: GraphQLObjectType, cls: type, key: str, nodes: list[FieldNode]) -> Chosen:
        name = nodes[0].name.value
        if name == "__typename":
            return Chosen(key, name, named.name, None, None, None)
        if name.startswith("__"):
            raise Unplannable("introspection", name)
        definition = named.fields[name]
        declared: StrawberryField = definition.extensions[BACKREF]
        if not self.writes:
            _refuse_python(named.name, name, cls, declared)
        site = self.site(declared, definition, nodes[0]) if definition.args else None
        target = get_named_type(definition.type)
        if is_leaf_type(target):
            return Chosen(key, name, named.name, definition, declared, site)
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        possible = [target] if isinstance(target, GraphQLObjectType) else self.schema.get_possible_types(target)
        branches = tuple(self.branch(each, sets) for each in possible)
        return Chosen(key, name, named.name, definition, declared, site, branches)

    def site(self, declared: StrawberryField, definition: GraphQLField, node: FieldNode) -> Site:
        arguments = node.arguments or ()
        sized = any(each.name.value in ("first", "last") and isinstance(each.value, VariableNode) for each in arguments)
        made = Site(len(self.sites), declared, definition, node, any(map(_has_variable, arguments)), sized)
        self.sites.append(made)
        return made


def _refuse_python(owner: str, name: str, cls: type, declared: StrawberryField) -> None:
    if not isinstance(declared, MappedField) and not is_connected(cls) and declared.origin is not NodeQuery:
        raise Unplannable("resolver", f"{owner}.{name}")


def _has_variable(node: Node) -> bool:
    if isinstance(node, VariableNode):
        return True
    for key in node.keys:
        child = getattr(node, key, None)
        below = [child] if isinstance(child, Node) else child if isinstance(child, list | tuple) else ()
        if any(map(_has_variable, below)):
            return True
    return False
