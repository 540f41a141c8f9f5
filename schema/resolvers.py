"""Fields that are Python after all (例外的字段)."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def resolved(description: str) -> Callable[[F], F]:
    """A method as a Python resolver, where nothing else will do: it can't be planned."""

    def decorate(method: F) -> F:
        return cast("F", strawberry.field(method, description=description))

    return decorate
