"""The headers of a request, as quick to look up as they come (请求头)."""

from starlette.types import Scope


class Headers:
    """By their names in lower case; of two of a name the first counts.

    Starlette's own are searched from the first to the last for each name.
    """

    __slots__ = ("_first",)

    def __init__(self, scope: Scope) -> None:
        self._first: dict[bytes, bytes] = dict(reversed(scope["headers"]))

    def get(self, name: bytes) -> str | None:
        """The value, or None."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")
