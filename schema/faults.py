"""Faults of query arguments: top-level errors with `extensions {code path hint}`, in the caller's language."""

from collections.abc import Sequence

from graphql import GraphQLError

from service.errors import HINTS, ErrorCode
from service.language import Language, say
from service.scoring.text import Text


class RequestFault(GraphQLError):
    """An argument that cannot be served; not a fault of ours."""

    def __init__(
        self, language: Language, code: ErrorCode, path: Sequence[str] | None, text: Text, hint: Text | None = None
    ) -> None:
        hint = hint or HINTS.get(code)
        super().__init__(
            say(text, language),
            extensions={
                "code": code.value,
                "path": list(path) if path is not None else None,
                "hint": say(hint, language) if hint else None,
            },
        )
