"""The Subscription root: what nouns tell live (订阅根).

A noun writes a class of `@strawberry.subscription` methods under `@subscriptions`. A method must hold no snapshot while
it waits: it calls `context.close()` before it sleeps.
"""

from typing import TypeVar

import strawberry

from schema.registry import register, roots

T = TypeVar("T")


def subscriptions(cls: type[T]) -> type[T]:
    """Fields of one noun for the Subscription root."""
    made = strawberry.type(cls, description=" ".join((cls.__doc__ or "").split()))
    register(made, root="Subscription")
    return made


def build_subscription() -> type | None:
    """The root type; None before the first subscription."""
    parts = roots("Subscription")
    if not parts:
        return None
    gathered = type("Subscription", tuple(parts), {"__module__": __name__, "__annotations__": {}})
    return strawberry.type(
        gathered,
        description="Everything that is told live. The present state comes first, then each change; after resumes.",
    )
