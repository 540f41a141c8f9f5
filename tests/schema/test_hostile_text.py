"""A text that no database and no person wants, at every place of every mutation where a text is typed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from tests.schema.test_isolation import SCHEMA, Side, filler, mutations, sides, state_of
from tests.schema.walking import Place, Step, spell

pytestmark = pytest.mark.anyio

__all__ = ["sides"]

HOSTILE = "a\u0000\u202eb"
"""A null character, which PostgreSQL can't take, and a mark that turns text around."""

TYPED = ("String", "Decimal", "Date", "DateTime", "ID")


def typed_places(fields: Mapping[str, Any], owner: str) -> Iterator[Place]:
    """All places of an input where a text is typed."""
    for name, field in fields.items():
        step = Step(owner, name, isinstance(get_nullable_type(field.type), GraphQLList))
        named = get_named_type(field.type)
        if named.name in TYPED:
            yield (step,)
        elif isinstance(named, GraphQLInputObjectType):
            for rest in typed_places(named.fields, named.name):
                yield (step, *rest)


async def test_hostile_texts_are_refused_where_they_stand(sides: tuple[Side, Side]) -> None:
    here, _ = sides
    fill = await filler(here)
    assert SCHEMA.mutation_type is not None
    before = await state_of(here)
    for name, given in mutations().items():
        if name == "signIn":
            continue
        document = f"""mutation ($input: {given.name}!) {{ {name}(input: $input) {{ __typename
            ... on Error {{ code message path hint }} ... on InputError {{ issues {{ code path }} }} }} }}"""
        for place in typed_places(given.fields, given.name):
            answer = (await here.caller.ask(document, input=fill.fill(given, place, HOSTILE)))[name]
            assert answer["__typename"].endswith("Error"), (name, spell(place))
        assert await state_of(here) == before, name
