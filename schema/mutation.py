"""The Mutation root: the mutations of all nouns (变更根)."""

import strawberry

from schema.mutations import MUTATIONS


def build_mutation() -> type | None:
    """The root type; None before the first mutation."""
    if not MUTATIONS:
        return None
    gathered = type("Mutation", (), {"__module__": __name__, "__annotations__": {}, **MUTATIONS})
    return strawberry.type(
        gathered,
        description="Everything that can be done; each field is one transaction, in the order of the document.",
    )
