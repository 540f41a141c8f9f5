"""The public surface: a file under review, in which everything is described (接口快照)."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)

from schema.schema import build_schema
from schema.snapshot import SNAPSHOT, snapshot


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema()._schema


def test_the_snapshot_is_what_the_types_say() -> None:
    assert SNAPSHOT.read_text(encoding="utf-8") == snapshot(), "Run `make schema` and look at the difference."


def test_everything_is_described(schema: GraphQLSchema) -> None:
    assert [name for name, description in _described(schema) if not (description or "").strip()] == []


def _described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for name, each in schema.type_map.items():
        if name.startswith("__"):
            continue
        yield name, each.description
        if isinstance(each, GraphQLEnumType):
            yield from ((f"{name}.{value}", found.description) for value, found in each.values.items())
        if isinstance(each, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", found.description) for field, found in each.fields.items())
        if isinstance(each, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in each.fields.items():
                yield f"{name}.{field_name}", field.description
                yield from (
                    (f"{name}.{field_name}({argument})", found.description) for argument, found in field.args.items()
                )


def test_root_fields_are_nullable(schema: GraphQLSchema) -> None:
    """What is hidden is null, and one root's fault does not take the others with it."""
    roots = [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root is not None]
    strict = [
        f"{root.name}.{name}" for root in roots for name, field in root.fields.items() if str(field.type)[-1] == "!"
    ]
    assert strict == []


def test_mutations_take_one_input_and_a_key(schema: GraphQLSchema) -> None:
    """A retry must be safe from the first version of the schema on; only signIn keeps nothing."""
    assert schema.mutation_type is not None
    for name, field in schema.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        given = field.args["input"].type
        assert str(given).endswith("Input!"), name
        fields = given.of_type.fields
        assert ("idempotencyKey" in fields) is (name != "signIn"), name


def test_introspected_names_tell_no_python() -> None:
    text = snapshot()
    assert "_:" not in text
    assert "MappedField" not in text
