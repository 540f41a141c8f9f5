"""What the arguments of fields say for these variables: checked values, and what of them shapes the SQL (参数).

The very functions that the stock executor uses read and check them. A fault is not told here: the operation then runs
in the stock executor, which knows the path, and whether the field is reached at all.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError, VariableValues, get_argument_values, get_variable_values
from strawberry.types.arguments import convert_arguments

from schema.arguments import own_places
from schema.declarations import Paged
from schema.documents import Operation
from schema.mapping import MappedField
from schema.paging import PagePlan, plan_page
from schema.plans.collect import Site
from schema.plans.reasons import Unplannable
from schema.query import MOST_IDS, node_types
from schema.sql import Bound
from service.errors import KaopingError
from service.ids import parse_id
from service.language import Language


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of a plan's parameter comes from: a field's arguments, or the viewpoint (`site` is None)."""

    site: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of one field: `shape` is all of them that the SQL depends on, `values` become parameters."""

    shape: Hashable
    values: Mapping[str, Any]
    places: Mapping[str, Bound]
    """The field's own arguments as places of its SQL; what is bound there is a Source."""
    page: PagePlan | None = None
    """Of a connection; what is bound there are Sources as well."""
    types: tuple[str, ...] = ()
    """Of `node` and `nodes`: the types that are asked for."""


class Arguments:
    """Reads the arguments of fields as Strawberry would hand them to the resolvers."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._core = schema._schema  # noqa: SLF001 — Strawberry has no public name for it
        self._scalars = schema.schema_converter.scalar_registry
        self._config = schema.config

    def variables(self, operation: Operation, given: Mapping[str, Any]) -> VariableValues:
        """The variables as their types say; raises Unplannable where one is at fault."""
        found = get_variable_values(self._core, operation.node.variable_definitions or (), dict(given))
        if isinstance(found, list):
            raise Unplannable("arguments", "variables")
        return found

    def nothing(self) -> VariableValues:
        """No variables: for arguments in which none stands."""
        return VariableValues({}, {})

    def read(self, site: Site, variables: VariableValues, language: Language) -> Given:
        """What a field's arguments say; raises Unplannable."""
        try:
            if isinstance(site.field, MappedField):
                return _declared(site, site.field, self.converted(site, variables), language)
            values = get_argument_values(site.definition, site.node, variables)
        except (GraphQLError, KaopingError, ValueError, TypeError) as fault:
            raise Unplannable("arguments", site.field.python_name) from fault
        return _ids(site, values)

    def converted(self, site: Site, variables: VariableValues) -> dict[str, Any]:
        """A field's arguments as Strawberry hands them to a resolver; raises what that raises."""
        values = get_argument_values(site.definition, site.node, variables)
        return convert_arguments(values, site.field.arguments, self._scalars, self._config)


def _declared(site: Site, mapped: MappedField, given: Mapping[str, Any], language: Language) -> Given:
    declaration = mapped.declaration
    own = own_places(getattr(declaration, "arguments", ()), given, language)
    places: dict[str, Bound] = {}
    values: dict[str, Any] = {}

    def keep(bound: Bound) -> Bound:
        values[bound.name] = bound.value
        return Bound(f"{site.number} {bound.name}", Source(site.number, bound.name), bound.sql_type)

    for name, bound in own.items():
        assert isinstance(bound, Bound)
        places[name] = keep(bound)
    if not isinstance(declaration, Paged):
        return Given((), values, places)
    page = plan_page(mapped, declaration, given, language)
    values["digest"] = page.digest
    values["size"] = page.size
    for name, text in page.order_values.items():
        places[name] = keep(Bound(f"order {name}", text, "text"))
    for name, bound in page.filter_values.items():
        places[name] = keep(bound)
    conditions = tuple((sql, None if value is None else keep(value)) for sql, value in page.conditions)
    for name, cursor in (("after", page.after), ("before", page.before)):
        values |= {f"{name} {place}": text for place, text in enumerate(cursor or ())}
    shape = (
        None if site.sized_by_variable else page.size,
        page.backward,
        page.keys,
        tuple(sql for sql, _ in conditions),
        *(None if cursor is None else tuple(text is None for text in cursor) for cursor in (page.after, page.before)),
    )
    sourced = PagePlan(
        size=page.size,
        backward=page.backward,
        keys=page.keys,
        order_values=page.order_values,
        conditions=conditions,
        filter_values=page.filter_values,
        after=page.after,
        before=page.before,
        digest=page.digest,
    )
    return Given(shape, values, places, sourced)


def _ids(site: Site, values: Mapping[str, Any]) -> Given:
    """Of `node` and `nodes`."""
    texts: list[str] = values["ids"] if "ids" in values else [values["id"]]
    known = node_types()
    if len(texts) > MOST_IDS:
        raise Unplannable("arguments", "nodes")
    parsed = [parse_id(text) for text in texts]
    found = [each for each in parsed if each is not None and each[0] in known]
    if len(found) < len(texts):
        raise Unplannable("arguments", site.field.python_name)
    names, keys = [name for name, _ in found], [key for _, key in found]
    types = tuple(sorted(set(names)))
    return Given(types, {"names": names, "keys": keys, "key": keys[0] if keys else None}, {}, None, types)
