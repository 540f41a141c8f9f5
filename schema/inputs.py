"""How inputs become Python values (输入转换).

As Strawberry converts them, which looks up names and types of all fields for each value anew: a large table of values
would take longer to convert than to save. Here that is looked up once per type, by the hook that Strawberry has for it.
"""

from collections.abc import Mapping
from typing import Any

from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryOptional, StrawberryType
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

_Known = tuple[str, str, StrawberryType | type | None]
"""A field's name in GraphQL and in Python, and its type where a value has to be converted."""

_known: dict[type, list[_Known]] = {}


def from_input(cls: type, given: Mapping[str, Any], context: InputContext) -> Any:
    """An input as the class that declares it."""
    known = _known.get(cls)
    if known is None:
        known = _known[cls] = [_look_up(cls, field, context) for field in _definition(cls).fields]
    values = {
        python_name: given[name] if type_ is None else context.convert(given[name], type_, name)
        for name, python_name, type_ in known
        if name in given
    }
    return cls(**values)


def _definition(cls: type) -> Any:
    return cls.__strawberry_definition__  # type: ignore[attr-defined]  # every input has one


def _look_up(cls: type, field: StrawberryField, context: InputContext) -> _Known:
    type_: Any = field.resolve_type(type_definition=_definition(cls))
    inner = type_.of_type if isinstance(type_, StrawberryOptional) else type_
    plain = isinstance(inner, StrawberryEnumDefinition) or is_scalar(inner, context.scalar_registry)
    return context.config.name_converter.from_field(field), field.python_name, None if plain else type_
