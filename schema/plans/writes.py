"""Answer a mutation whose success is rows and their columns without the stock executor (变更的执行计划).

Such are the mutations that are sent all day long. The use-case runs as ever; what is spared is graphql-core's walk
over an answer whose shape the document has settled long before. What comes out otherwise, such as a typed error, is
left in the context, and the stock executor writes it out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLLeafType, GraphQLNonNull, OperationType
from strawberry.types.base import StrawberryList

from schema.context import Context
from schema.declarations import Column, Identifier
from schema.documents import Operation
from schema.mapping import MappedField
from schema.mutations import MutationField, perform
from schema.plans.arguments import Arguments
from schema.plans.cache import Bounded
from schema.plans.collect import Branch, Chosen, Site, collect
from schema.plans.reasons import PLANNED, Unplannable, leave
from schema.reach import table_of
from schema.stock import column_of
from schema.successes import RowsWanted

MOST_KEPT = 1_000
"""Operations whose plan is kept, a few kilobytes each."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column in the answer."""

    key: str
    read: Callable[[Any], Any]
    nullable: bool


@dataclass(frozen=True, slots=True)
class _Write:
    """A mutation with the shape of its success."""

    key: str
    field: MutationField
    site: Site
    wanted: RowsWanted
    parts: tuple[tuple[str, str | None], ...]
    """Fields of the success: the name of the type, or None for the rows."""
    cells: tuple[_Cell, ...]


class _Null(Exception):
    """There is a null where there must be none."""


class Writes:
    """Plans of mutations over a schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._core = schema._schema  # noqa: SLF001 — Strawberry has no public name for it
        self._arguments = Arguments(schema)
        self._kept: Bounded[Any, _Write | Unplannable] = Bounded(MOST_KEPT)

    async def run(self, operation: Operation, variables: Mapping[str, Any], context: Context) -> dict[str, Any] | None:
        """`data`, or None where the stock executor is to answer, with what it finds in `context.performed`."""
        if operation.type is not OperationType.MUTATION:
            return None
        write = self._plan(operation)
        if isinstance(write, Unplannable):
            leave(operation, write.reason)
            return None
        try:
            coerced = self._arguments.variables(operation, variables)
            given = self._arguments.converted(write.site, coerced)["input"]
        except (Unplannable, GraphQLError, ValueError, TypeError):
            leave(operation, "arguments")
            return None
        try:
            context.performed = payload = await perform(context, write.field, given, write.wanted)
        except Exception as fault:
            # The stock executor raises it in the mutation's place.
            context.performed = payload = fault
        if type(payload) is not write.field.success:
            leave(operation, "refused")
            return None
        try:
            rows = [_written(row, write.cells) for row in getattr(payload, write.wanted.field)]
        except _Null:
            leave(operation, "null")
            return None
        PLANNED.inc()
        return {write.key: {key: rows if text is None else text for key, text in write.parts}}

    def _plan(self, operation: Operation) -> _Write | Unplannable:
        key = (operation.document.digest, operation.name)
        kept = self._kept.get(key)
        if kept is None:
            try:
                kept = _planned(collect(self._core, operation, {}).root)
            except Unplannable as fault:
                kept = fault
            self._kept.keep(key, kept)
        return kept


def _planned(root: Branch) -> _Write:
    if len(root.chosen) != 1:
        raise Unplannable("mutation", "several")
    (chosen,) = root.chosen
    field, site = chosen.field, chosen.site
    if not isinstance(field, MutationField) or site is None or not field.at_once:
        raise Unplannable("mutation", chosen.name)
    (success,) = (branch for branch in chosen.branches if branch.cls is field.success)
    listed = [part for part in success.chosen if part.definition is not None]
    if len(listed) != 1 or len(field.success.__strawberry_definition__.fields) != 1:  # type: ignore[attr-defined]  # every payload has one
        raise Unplannable("mutation", success.name)
    cls, cells = _rows(listed[0])
    parts = tuple((part.key, success.name if part.definition is None else None) for part in success.chosen)
    assert listed[0].field is not None
    return _Write(chosen.key, field, site, RowsWanted(listed[0].field.python_name, cls), parts, cells)


def _rows(chosen: Chosen) -> tuple[type, tuple[_Cell, ...]]:
    """The type of the rows that a field lists, and what is asked of each."""
    if chosen.field is None or not isinstance(chosen.field.type, StrawberryList) or len(chosen.branches) != 1:
        raise Unplannable("mutation", chosen.path)
    (branch,) = chosen.branches
    if table_of(branch.cls) is None:
        raise Unplannable("mutation", chosen.path)
    return branch.cls, tuple(_cell(branch, each) for each in branch.chosen)


def _cell(branch: Branch, chosen: Chosen) -> _Cell:
    if chosen.definition is None:
        return _Cell(chosen.key, lambda _row: branch.name, nullable=False)
    field, type_ = chosen.field, chosen.definition.type
    leaf = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if (
        not isinstance(field, MappedField)
        or not isinstance(field.declaration, Column | Identifier)
        or not isinstance(leaf, GraphQLLeafType)
    ):
        raise Unplannable("mutation", chosen.path)
    serialize = leaf.coerce_output_value
    return _Cell(chosen.key, lambda row: _serialized(column_of(field, row), serialize), leaf is type_)


def _serialized(value: Any, serialize: Callable[[Any], Any]) -> Any:
    return None if value is None else serialize(value)


def _written(row: Any, cells: tuple[_Cell, ...]) -> dict[str, Any]:
    made = {cell.key: cell.read(row) for cell in cells}
    for cell in cells:
        if made[cell.key] is None and not cell.nullable:
            raise _Null
    return made
