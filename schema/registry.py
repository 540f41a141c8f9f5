"""All types of the schema by name (类型登记).

Nouns refer to each other's types both ways round, so their modules import each other under TYPE_CHECKING only. Once all
are loaded, `share_names` makes every type known in every module of the schema, and Strawberry, which reads annotations
when the schema is built, finds them.
"""

import sys
from typing import Any

_TYPES: dict[str, type] = {}
_ROOTS: dict[str, list[type]] = {"Query": [], "Subscription": []}


def register(cls: type, *, root: str | None = None) -> None:
    """Make a class known by its name; with `root`, its fields become fields of that root type."""
    if root is not None:
        _ROOTS[root].append(cls)
        return
    other = _TYPES.setdefault(cls.__name__, cls)
    if other is not cls and other.__module__ != cls.__module__:
        raise TypeError(f"{cls.__name__} is declared in {other.__module__} and in {cls.__module__}.")
    _TYPES[cls.__name__] = cls


def registered(cls: type | str) -> Any:
    """The class itself, or the one of that name. Raises LookupError."""
    if isinstance(cls, str):
        if cls not in _TYPES:
            raise LookupError(f"No type is declared with the name {cls}.")
        return _TYPES[cls]
    return cls


def roots(name: str) -> list[type]:
    """The classes whose fields a root type gathers, in order of their names."""
    return sorted(_ROOTS[name], key=lambda cls: cls.__name__)


def all_types() -> dict[str, type]:
    """Every declared type by name."""
    return dict(_TYPES)


def share_names() -> None:
    """Make every declared type known in every module of the schema that does not use its name otherwise."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "schema":
            for type_name, cls in _TYPES.items():
                module.__dict__.setdefault(type_name, cls)
