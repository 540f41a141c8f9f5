"""The Subscription root: what nouns tell live (订阅根).

A noun writes a class under `@subscriptions`, whose methods under `@told("Description.")` are async generators:

    @subscriptions
    class JobSubscription:
        '''Jobs, live.'''

        @told("The state of a job first, then each change.")
        async def job_changed(self, info: Info[Context, None], id: JobId) -> AsyncIterator[JobMessage | None]: ...

Each message is resolved in a context of its own. A method must hold no snapshot while it waits: it calls
`info.context.close()` before it sleeps.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

from schema.registry import register, roots

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def told(description: str) -> Callable[[F], F]:
    """A method that yields messages, as a field."""

    def decorate(method: F) -> F:
        return cast("F", strawberry.subscription(method, description=description))

    return decorate


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
