"""Inputs are converted as Strawberry converts them."""

from dataclasses import replace
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    coerce_input_value,
)
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

from schema.registry import all_types
from schema.schema import build_schema

SCHEMA = build_schema()
INPUTS = sorted(name for name, type_ in SCHEMA._schema.type_map.items() if isinstance(type_, GraphQLInputObjectType))
SAMPLES = {"Int": 7, "Float": 1.5, "Boolean": True}
DEPTH = 4
"""So deep are inputs in inputs filled."""


def sample(type_: GraphQLInputType, *, full: bool, depth: int = 0) -> Any:
    """A value as a client sends it: with all fields, or with those only that must be there."""
    if isinstance(type_, GraphQLNonNull):
        return sample(type_.of_type, full=full, depth=depth)
    if isinstance(type_, GraphQLList):
        return [sample(type_.of_type, full=full, depth=depth)] * 2
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        fields = {
            name: sample(field.type, full=full, depth=depth + 1)
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull) or (full and depth < DEPTH)
        }
        if all_types()[type_.name].__strawberry_definition__.is_one_of:  # type: ignore[attr-defined]  # an input
            name = next(iter(type_.fields))
            return {name: sample(type_.fields[name].type, full=full, depth=depth + 1)}
        return fields
    return SAMPLES.get(type_.name, "2026-07-10")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("full", [True, False])
def test_an_input_is_what_strawberry_makes_of_it(name: str, *, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    type_: Any = SCHEMA._schema.type_map[name]
    given = coerce_input_value(sample(type_, full=full), type_)
    registry = SCHEMA.schema_converter.scalar_registry
    ours = convert_argument(given, all_types()[name], registry, SCHEMA.config)
    for cls in map(all_types().get, INPUTS):
        definition: StrawberryObjectDefinition = cls.__strawberry_definition__  # type: ignore[union-attr]  # an input
        monkeypatch.setattr(cls, "__strawberry_definition__", replace(definition, from_input=None))
    assert ours == convert_argument(given, all_types()[name], registry, SCHEMA.config)
