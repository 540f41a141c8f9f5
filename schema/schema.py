"""The whole schema, built once and shared (完整接口)."""

import importlib
import importlib.util
from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.base import StrawberryObjectDefinition

from schema.mutation import build_mutation
from schema.query import build_query, node_types
from schema.registry import all_types, share_names
from schema.scalars import SCALARS
from schema.subscription import build_subscription

NOUNS = (
    "directory",
    "members",
    "viewer",
    "items",
    "schemes",
    "cycles",
    "reports",
    "reviews",
    "events",
    "rankings",
    "what_ifs",
    "publications",
    "jobs",
    "audit",
)
"""One module per noun; importing it declares its types."""


class _Names(NameConverter):
    """Names as Strawberry makes them, each made once: an input is read by them, every time anew."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, str] = {}

    def apply_naming_config(self, name: str) -> str:
        """The GraphQL name."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = super().apply_naming_config(name)
        return made


@cache
def build_schema() -> strawberry.Schema:
    """The schema of all nouns."""
    for noun in NOUNS:
        if importlib.util.find_spec(f"schema.{noun}") is not None:
            importlib.import_module(f"schema.{noun}")
    share_names()
    extra = [*node_types().values(), *implementing_types()]
    return strawberry.Schema(
        query=build_query(),
        mutation=build_mutation(),
        subscription=build_subscription(),
        types=list(dict.fromkeys(extra)),
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=_Names()),
    )


def implementing_types() -> list[type]:
    """Types that a client meets only through an interface."""
    found = []
    for cls in all_types().values():
        definition = getattr(cls, "__strawberry_definition__", None)
        if isinstance(definition, StrawberryObjectDefinition) and definition.interfaces and not definition.is_interface:
            found.append(cls)
    return found
