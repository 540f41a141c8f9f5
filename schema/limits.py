"""Measure what a document asks for, in one pass that is linear in its length (查询限额).

Every fragment is measured once and its sums are reused, so fragments that spread each other twice, 2^18 fields when
written out, cost as much as they are long. The pass runs before validation and takes any document that parses: unknown
names and cycles are passed over here and reported there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from schema.options import DocumentLimits

_MOST = 10**9
"""Numbers beyond this are told as this."""


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that a document is above."""

    limit: str
    actual: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows stand under a field: known, or told by a variable."""

    least: int = 1
    """Rows by literals, or by default."""
    variables: tuple[tuple[str, int], ...] = ()
    """Variables that may tell more, each with the rows to assume where it has no whole number."""

    def rows(self, variables: Mapping[str, Any], page: int) -> int:
        """Rows for these variables."""
        rows = self.least
        for name, assumed in self.variables:
            given = variables.get(name)
            if isinstance(given, list):
                told = len(given)
            elif isinstance(given, int) and not isinstance(given, bool):
                told = min(given, page)
            else:
                told = assumed
            rows = max(rows, told)
        return max(1, rows)


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of an operation as sums over its selections, so that it can be reckoned for any variables."""

    steps: tuple[tuple[int, tuple[tuple[Size, int], ...]], ...]
    """Each selection set: its own fields, and per child its rows and its step, which comes before."""
    root: int
    fixed: int | None = None
    """The cost where no variable tells of it, reckoned once."""

    @classmethod
    def of(cls, steps: tuple[tuple[int, tuple[tuple[Size, int], ...]], ...], root: int) -> Self:
        """The cost of these selections."""
        made = cls(steps, root)
        told = any(size.variables for _, children in steps for size, _ in children)
        return made if told else cls(steps, root, made.reckon({}, 0))

    def reckon(self, variables: Mapping[str, Any], page: int) -> int:
        """The cost with these variables; linear in the length of the document."""
        if self.fixed is not None:
            return self.fixed
        values: list[int] = []
        for own, children in self.steps:
            values.append(min(_MOST, own + sum(size.rows(variables, page) * values[child] for size, child in children)))
        return values[self.root]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one operation asks for."""

    costs: Costs
    introspects: bool
    excesses: tuple[Excess, ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspects: bool = False
    step: int = 0


@dataclass
class _Pass:
    schema: GraphQLSchema
    limits: DocumentLimits
    fragments: Mapping[str, FragmentDefinitionNode]
    defaults: Mapping[str, int] = field(default_factory=dict)
    known: dict[str, _Sums] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    cyclic: bool = False
    steps: list[tuple[int, tuple[tuple[Size, int], ...]]] = field(default_factory=list)

    def selection(self, chosen: SelectionSetNode | None, parent: object) -> _Sums:
        depth = fields = aliases = directives = own = 0
        introspects = False
        children: list[tuple[Size, int]] = []
        for node in chosen.selections if chosen else ():
            directives += len(node.directives or ())
            size = Size()
            if isinstance(node, FieldNode):
                sums, size = self.field_below(node, parent)
                own += 1
                fields += 1
                aliases += node.alias is not None
                introspection = node.name.value in ("__schema", "__type")
                introspects = introspects or introspection
                depth = max(depth, 1 if introspection else 1 + sums.depth)
            else:
                sums = self.spread(node, parent)
                depth = max(depth, sums.depth)
            fields += sums.fields
            aliases += sums.aliases
            directives += sums.directives
            introspects = introspects or sums.introspects
            if sums.step >= 0:
                children.append((size, sums.step))
        self.steps.append((own, tuple(children)))
        return _Sums(depth, fields, aliases, directives, introspects, len(self.steps) - 1)

    def field_below(self, node: FieldNode, parent: object) -> tuple[_Sums, Size]:
        definition = self.definition(node, parent)
        if node.selection_set is None:
            return _Sums(step=-1), Size()
        below = self.selection(node.selection_set, get_named_type(definition.type) if definition else None)
        return below, self.size(node, definition)

    def definition(self, node: FieldNode, parent: object) -> GraphQLField | None:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return None
        found: GraphQLField | None = parent.fields.get(node.name.value)
        return found

    def spread(self, node: object, parent: object) -> _Sums:
        if isinstance(node, InlineFragmentNode):
            return self.selection(node.selection_set, self.condition(node.type_condition) or parent)
        assert isinstance(node, FragmentSpreadNode)
        name = node.name.value
        fragment = self.fragments.get(name)
        if fragment is None or name in self.open:
            self.cyclic = self.cyclic or fragment is not None
            return _Sums(step=-1)
        if name not in self.known:
            self.open.add(name)
            sums = self.selection(fragment.selection_set, self.condition(fragment.type_condition))
            directives = sums.directives + len(fragment.directives or ())
            self.known[name] = _Sums(sums.depth, sums.fields, sums.aliases, directives, sums.introspects, sums.step)
            self.open.discard(name)
        return self.known[name]

    def condition(self, named: NamedTypeNode | None) -> object:
        return self.schema.get_type(named.name.value) if named else None

    def size(self, node: FieldNode, definition: GraphQLField | None) -> Size:
        """Rows of a page by `first` and `last`, or of a list of `ids`; 1 where the field has neither."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        names = [name for name in ("first", "last", "ids") if definition is None or name in definition.args]
        told = [given[name] for name in names if name in given]
        if not told:
            return Size(self.limits.default_page if definition and names and names != ["ids"] else 1)
        rows = 1
        variables: list[tuple[str, int]] = []
        for value in told:
            if isinstance(value, VariableNode):
                name = value.name.value
                variables.append((name, self.defaults.get(name, self.limits.default_page)))
            else:
                rows = max(rows, _literal(value, self.limits.page) or 1)
        return Size(rows, tuple(variables))


def _literal(value: ValueNode | None, page: int) -> int | None:
    if isinstance(value, IntValueNode):
        # Longer numbers than any page has, and Python refuses to read thousands of digits.
        return min(int(value.value), page) if len(value.value) < 10 else page
    if isinstance(value, ListValueNode):
        return len(value.values)
    return None


def measure(schema: GraphQLSchema, document: DocumentNode, limits: DocumentLimits) -> dict[int, Measured]:
    """What each operation of a document asks for, by its place among the definitions.

    Raises RecursionError where fragments are chained deeper than Python goes.
    """
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measured = {}
    for place, operation in enumerate(document.definitions):
        if isinstance(operation, OperationDefinitionNode):
            measured[place] = _measure(schema, operation, fragments, limits)
    return measured


def _measure(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    limits: DocumentLimits,
) -> Measured:
    defaults: dict[str, int] = {}
    for declared in operation.variable_definitions or ():
        rows = _literal(declared.default_value, limits.page)
        if rows is not None:
            defaults[declared.variable.name.value] = rows
    run = _Pass(schema, limits, fragments, defaults)
    root = schema.get_root_type(operation.operation)
    sums = run.selection(operation.selection_set, root)
    counts = {
        "depth": sums.depth,
        "fields": sums.fields,
        "aliases": sums.aliases,
        "directives": sums.directives + len(operation.directives or ()),
    }
    excesses = _above(counts, limits)
    if not excesses and not run.cyclic:
        # Writing the fragments out is safe now: the number of fields is known. Validation reports the cycles.
        roots, repeats = _widest([operation.selection_set], fragments)
        excesses = _above({"roots": roots, "repeats": repeats}, limits)
    return Measured(Costs.of(tuple(run.steps), sums.step), sums.introspects, tuple(excesses))


def _above(counts: Mapping[str, int], limits: DocumentLimits) -> list[Excess]:
    return [
        Excess(name, min(count, _MOST), getattr(limits, name))
        for name, count in counts.items()
        if count > getattr(limits, name)
    ]


def _widest(sets: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]) -> tuple[int, int]:
    """Fields at this level, and the most fields with a selection that share a name at one place, here or below."""
    groups: dict[str, list[SelectionSetNode]] = {}
    count = 0
    seen: set[str] = set()
    stack = list(sets)
    while stack:
        for node in stack.pop().selections:
            if isinstance(node, FieldNode):
                count += 1
                if node.selection_set is not None:
                    groups.setdefault((node.alias or node.name).value, []).append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                stack.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                if node.name.value in fragments:
                    stack.append(fragments[node.name.value].selection_set)
    widest = 0
    for group in groups.values():
        widest = max(widest, len(group), _widest(group, fragments)[1])
    return count, widest
