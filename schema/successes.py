"""The rows of a success that are read in the mutation's own transaction (变更结果).

They are read in the statement that keeps the outcome, as the last one before the commit: no second transaction is
needed, and no other writer's change of them can come between. That is so where the document asks for columns of the
rows and nothing below them; whatever leads further is read from one snapshot after the commit, together with its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from graphql import FieldNode, FragmentSpreadNode, SelectionSetNode
from strawberry.types.base import StrawberryList
from strawberry.utils.str_converters import to_camel_case

from schema.context import Context
from schema.declarations import Column, Identifier
from schema.plans.plan import Sight
from schema.reach import mapped_fields
from schema.sql import Statement
from schema.stock import rows_of, select_rows
from service import idempotency
from service.idempotency import Claim
from tenants.database import Transaction


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """The field of a success that lists rows, and their type."""

    field: str
    cls: type


def rows_wanted(success: type, info: Any) -> RowsWanted | None:
    """The one field of a success, where it lists rows of which the document asks for columns alone."""
    fields = success.__strawberry_definition__.fields  # type: ignore[attr-defined]  # every payload has one
    if len(fields) != 1 or not isinstance(fields[0].type, StrawberryList):
        return None
    cls: Any = fields[0].type.of_type
    known = _columns(cls)
    name = to_camel_case(fields[0].python_name)
    for node in info.field_nodes:
        for asked in _flat(node.selection_set, info.fragments):
            if asked.name.value == name and any(
                each.selection_set is not None or each.name.value not in known
                for each in _flat(asked.selection_set, info.fragments)
            ):
                return None
    return RowsWanted(fields[0].python_name, cls)


async def keep_and_read(
    context: Context,
    tx: Transaction,
    claim: Claim,
    outcome: dict[str, Any],
    wanted: RowsWanted,
    ids: Sequence[UUID],
) -> list[Any]:
    """Keep the outcome under its key, and read those of its rows that the viewer sees, in order; in one statement.

    The actor has just been read, so that the rules of who may see what need not ask of it what is known.
    """
    actor = context.actor
    assert actor is not None
    sight = Sight.of(actor)
    statement = Statement(context.viewpoint, sight.constants, idempotency.kept_as(actor, claim, outcome))
    sql = f"WITH kept AS ({idempotency.KEEP}) {select_rows(statement, wanted.cls, ids)}"
    records = await tx.fetch(sql, *statement.arguments)
    found = rows_of(wanted.cls, records)
    return [found[each] for each in ids if each in found]


_known: dict[type, frozenset[str]] = {}


def _columns(cls: type) -> frozenset[str]:
    """GraphQL names of the fields of a type that are read from its row."""
    if cls not in _known:
        read = (each for each in mapped_fields(cls) if isinstance(each.declaration, Column | Identifier))
        _known[cls] = frozenset(["__typename", *(to_camel_case(each.python_name) for each in read)])
    return _known[cls]


def _flat(selection: SelectionSetNode | None, fragments: dict[str, Any]) -> list[FieldNode]:
    """The fields of a selection, those of its fragments among them, whatever type these are on."""
    found: list[FieldNode] = []
    for node in selection.selections if selection is not None else ():
        if isinstance(node, FieldNode):
            found.append(node)
        else:
            inner: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            found += _flat(inner.selection_set, fragments)
    return found
