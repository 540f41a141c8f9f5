"""SQL for a long text made of literals and expressions (文本拼接): `||` is quicker than json_build_object."""

import json

from schema.plans.scalars import Written


def quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def json_text(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


class Texts:
    """A text under construction; literals that meet become one. It is NULL as soon as one of its expressions is."""

    def __init__(self) -> None:
        self._parts: list[tuple[bool, str]] = []

    def literal(self, text: str) -> None:
        """Add a piece of text."""
        if self._parts and self._parts[-1][0]:
            text = self._parts.pop()[1] + text
        self._parts.append((True, text))

    def expression(self, sql: str) -> None:
        """Add SQL for a text; anything but a name, a call or a cast stands in parentheses."""
        self._parts.append((False, sql))

    def written(self, written: Written, *, nullable: bool) -> None:
        """Add a JSON value."""
        if nullable:
            self.expression(f"coalesce({written.json},'null')")
        elif written.bare:
            self.literal('"')
            self.expression(written.sql)
            self.literal('"')
        else:
            self.expression(written.sql)

    def sql(self) -> str:
        """The whole, in parentheses.

        Concatenated as a balanced tree: each `||` copies both sides, and a page of rows would be copied once for each
        piece that follows it.
        """
        return _balanced([quoted(text) if literal else text for literal, text in self._parts] or ["''"])


def _balanced(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_balanced(parts[:middle])}||{_balanced(parts[middle:])})"
