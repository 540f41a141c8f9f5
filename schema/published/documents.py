"""Which documents may be kept as bytes, and what of the viewer their answers depend on (可缓存文档).

A document may be kept where it asks for one publication by its id, and selects of it nothing but what never changes
after publishing or is told by `schema.published.state`. Both are lists under review here; a test holds the first
against what the app's role may update.

What an answer depends on is decided from the declarations: by all the SQL that the selected fields, and the rows they
reach, are read with. Where {actor} stands in it, answers are kept for each viewer; where only {all} does, for those who
see everything and those who don't. A condition that is known to hold takes the rest of its group out of the reckoning:
{all} for who sees everything, and what the publications of the run disclose of all units to everyone.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from schema.declarations import Computed, Listing, Paged, Reference, Relation
from schema.documents import Operation
from schema.mapping import MappedField
from schema.published.conditions import settled
from schema.reach import table_of
from schema.registry import registered
from schema.scope import IN_FORCE
from service.reports.rights import spared
from service.schemes.settings import DISCLOSED

ROOTS: Final = ("publication", "node")

LASTING: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(fields.split())
    for name, fields in {
        "Publication": """id cycle kind number title published_at current disclosure objection_from objection_until
            dimensions categories standings own_standings format engine_version digest""",
        "DisclosureInfo": "kind totals ranks grades dimensions best_count",
        "CategoryBoardInfo": "category name unit_count ranked_count highest median lowest quotas",
        "QuotaInfo": "grade parent base places used",
        "Grade": """code name threshold share places_by_count minimum_places rounding scope base_includes_vetoed""",
        "PlacesInfo": "units_from places",
        "Category": "id code name",
        "Cycle": "id code name kind starts_on ends_on state",
        "CycleUnit": "id code name parent path_names category category_name assessed",
        "Indicator": """id code name depth ordinal parent leaf weight points aggregation check_method source_note basis
            own_wording""",
        "Standing": """id unit category total exact rank overall_rank shared_by status base bonus deduction late_penalty
            days_late dimensions node_score leaves proposed_grade decided_grade grade_decision coverage change""",
        "NodeScoreInfo": "indicator score marks full_marks exact value_state coverage",
        "GradeDecisionInfo": "body decided_on document_title document_number reason",
        "ChangeInfo": "publication total rank previous_total previous_rank previous_grade",
    }.items()
}
"""Type → fields that a kept document may select: of published things, what never changes or is part of the state."""

ELSEWHERE: Final = frozenset(["id", "kind", "number", "title", "published_at", "digest"])
"""Of a publication that is reached from another: its own state is not read."""

PAGE: Final = frozenset(
    [
        "edges",
        "node",
        "cursor",
        "page_info",
        "total_count",
        "has_next_page",
        "has_previous_page",
        "start_cursor",
        "end_cursor",
    ]
)
"""Of connections, their edges and page infos."""

OF_THE_RUN: Final = frozenset(
    {"Standing", "StandingConnection", "NodeScoreInfo", "ChangeInfo", "GradeDecisionInfo", "CategoryBoardInfo"}
)
"""What is reached from a board, or from its parts, and is of its run."""

_CLOCK = re.compile(r"\{today\}|\{zone\}|\bnow\(\)|\bclock_timestamp\(|\bCURRENT_", re.IGNORECASE)


class Viewer(Enum):
    """What of the viewer an answer depends on."""

    NOBODY = "nothing"
    SIGHT = "whether it sees everything"
    ITSELF = "who it is, and its grants"


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """SQL that a selection is read with; `own` where its row is of the run that the board was made from."""

    sql: str
    own: bool


class BoardDocument:
    """An operation whose answers may be kept."""

    def __init__(self, operation: Operation, id_: ValueNode, templates: Sequence[Template]) -> None:
        self.operation = operation
        self.variables = tuple(
            definition.variable.name.value for definition in operation.node.variable_definitions or ()
        )
        self._id = id_
        self._templates = tuple(dict.fromkeys(templates))
        self._known: dict[tuple[bool, frozenset[str]], Viewer] = {}

    def publication_id(self, variables: Mapping[str, Any]) -> object:
        """The id that is asked for, as it was given."""
        if isinstance(self._id, StringValueNode):
            return self._id.value
        assert isinstance(self._id, VariableNode)
        return variables.get(self._id.name.value)

    def depends_on(self, sees_all: bool, shown: frozenset[str]) -> Viewer:
        """What of such a viewer the answer depends on, where these parts of all units are disclosed to everyone."""
        key = (sees_all, shown)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._judge(sees_all, shown)
        return found

    def _judge(self, sees_all: bool, shown: frozenset[str]) -> Viewer:
        rest = self._rest(disclosing(shown), ())
        if "{actor}" not in rest and "{all}" not in rest:
            return Viewer.NOBODY
        if sees_all:
            rest = self._rest(disclosing(shown), ("{all}",))
        return Viewer.ITSELF if "{actor}" in rest else Viewer.SIGHT

    def _rest(self, of_the_run: tuple[str, ...], everywhere: tuple[str, ...]) -> str:
        """What is left of all templates."""
        return "\n".join(
            settled(spared(each.sql, frozenset()), (*of_the_run, *everywhere) if each.own else everywhere)
            for each in self._templates
        )


@cache
def disclosing(shown: frozenset[str]) -> tuple[str, ...]:
    """Conditions of `schema.rankings.disclosure` that hold for all rows of a run which discloses these parts."""
    # The nouns are loaded by the schema, in its own order, which is that of the mutations in schema.graphql.
    from schema.rankings.disclosure import PUBLISHED, published

    known = [PUBLISHED]
    known += [published(part) for part in sorted(shown)]
    if shown:
        known.append(published(*DISCLOSED))
    return tuple(each.replace("{t}", row) for each in known for row in ("{t}", "{r}"))


def board_document(schema: GraphQLSchema, operation: Operation) -> BoardDocument | None:
    """The operation as one whose answers may be kept; None where they may not."""
    if operation.type is not OperationType.QUERY or operation.node.directives:
        return None
    reading = _Reading(schema, operation)
    try:
        id_ = reading.root()
    except _Unkept:
        return None
    # Grants end with a day, but whoever holds them is read anew each second.
    if any(_CLOCK.search(each.sql.replace(IN_FORCE, "")) for each in reading.templates):
        return None
    return BoardDocument(operation, id_, reading.templates)


class _Unkept(Exception):
    pass


class _Reading:
    """One pass over an operation's selection."""

    def __init__(self, schema: GraphQLSchema, operation: Operation) -> None:
        self.schema = schema
        self.operation = operation
        self.templates: list[Template] = []
        self.fragments = {
            node.name.value: node
            for node in operation.document.ast.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def root(self) -> ValueNode:
        """Read the whole; the value of the one root field's id."""
        query = self.schema.query_type
        assert query is not None
        fields = [node for node, _ in self.fields(self.operation.node.selection_set, query)]
        asked = [node for node in fields if node.name.value != "__typename"]
        if len(asked) != 1 or asked[0].name.value not in ROOTS or asked[0].selection_set is None:
            raise _Unkept
        publication = self.schema.get_type("Publication")
        assert isinstance(publication, GraphQLObjectType)
        self.selection(asked[0].selection_set, publication, own=True, root=True)
        (id_,) = (argument.value for argument in asked[0].arguments or ())
        if not isinstance(id_, StringValueNode | VariableNode):
            raise _Unkept
        return id_

    def selection(self, chosen: SelectionSetNode, parent: GraphQLObjectType, *, own: bool, root: bool = False) -> None:
        for node, type_ in self.fields(chosen, parent):
            if node.name.value != "__typename":
                self.field(node, type_, own=own, root=root)

    def fields(
        self, chosen: SelectionSetNode, parent: GraphQLObjectType
    ) -> Iterator[tuple[FieldNode, GraphQLObjectType]]:
        """All fields, whatever @skip and @include will say; fragments on other types are never of this object."""
        stack: list[SelectionNode] = list(chosen.selections)
        while stack:
            node = stack.pop()
            if isinstance(node, FieldNode):
                yield node, parent
                continue
            if isinstance(node, FragmentSpreadNode):
                fragment = self.fragments[node.name.value]
                condition, below = fragment.type_condition, fragment.selection_set
            else:
                assert isinstance(node, InlineFragmentNode)
                if node.type_condition is None:
                    stack += node.selection_set.selections
                    continue
                condition, below = node.type_condition, node.selection_set
            named = self.schema.get_type(condition.name.value)
            if named is parent or (
                not isinstance(named, GraphQLObjectType)
                and named is not None
                and self.schema.is_sub_type(named, parent)  # type: ignore[arg-type]  # an interface or union
            ):
                stack += below.selections

    def field(self, node: FieldNode, parent: GraphQLObjectType, *, own: bool, root: bool) -> None:
        definition = parent.fields[node.name.value]
        field = definition.extensions.get("strawberry-definition")
        below = get_named_type(definition.type)
        python_name = getattr(field, "python_name", None)
        if isinstance(field, MappedField):
            allowed = LASTING.get(parent.name, frozenset())
            if parent.name == "Publication" and not root:
                allowed = ELSEWHERE
            if python_name not in allowed or isinstance(field.declaration, Computed | Reference):
                raise _Unkept
            # Rows of the run itself: the board, its standings, and the values that are parts of these.
            same = own and below.name in OF_THE_RUN
            self.templates += [Template(sql, own) for sql in _spoken(field, node)]
            self.templates += [Template(sql, same) for sql in _visible(field)]
        elif python_name in PAGE and (parent.name == "PageInfo" or parent.name.endswith(("Connection", "Edge"))):
            same = own
        else:
            raise _Unkept
        if node.selection_set is not None:
            if not isinstance(below, GraphQLObjectType):
                raise _Unkept
            self.selection(node.selection_set, below, own=same)


def _spoken(field: MappedField, node: FieldNode) -> Iterator[str]:
    """All texts of a declaration, and of the filter and the orders that this selection uses."""
    declaration = field.declaration
    yield from _texts(declaration)
    if isinstance(declaration, Paged):
        given = {argument.name.value for argument in node.arguments or ()}
        for name, input_type in (("filter", declaration.filter), ("orderBy", declaration.order)):
            if name in given and input_type is not None:
                yield from _texts_of_input(registered(input_type))


def _texts_of_input(cls: type) -> Iterator[str]:
    for field in cls.__strawberry_definition__.fields:  # type: ignore[attr-defined]  # every input has one
        for each in field.metadata.values():
            yield from _texts(each)
        enum = getattr(field.type, "wrapped_cls", None)
        if isinstance(enum, type) and issubclass(enum, Enum):
            for member in enum:
                yield from _texts(member.value)


def _texts(value: object) -> Iterator[str]:
    """All texts in a declaration, whichever of its fields holds them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.items():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from _texts(getattr(value, part.name))


def _visible(field: MappedField) -> Iterator[str]:
    """The rule of the rows that a field reaches."""
    declaration = field.declaration
    if not isinstance(declaration, Relation | Listing | Paged):
        return
    target = field.target
    node = getattr(target, "__node__", target)
    table = table_of(node) if isinstance(node, type) else None
    if declaration.__class__ is not Paged and getattr(declaration, "variants", None) is not None:
        raise _Unkept
    if table is not None and table.visible is not None:
        yield table.visible
