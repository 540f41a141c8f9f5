"""A row within a statement (语句中的行)."""

from dataclasses import dataclass

from schema.plans.texts import quoted
from schema.rows import Kind, Source


@dataclass(frozen=True, slots=True)
class Row:
    """A row in the statement, from which the fields of an object are read."""

    alias: str
    """Of its table or query; for a document, SQL for its JSON."""
    source: Source

    def column(self, name: str) -> str:
        """SQL for a column, or for the JSON under a document's key."""
        if self.source is Kind.DOCUMENT:
            return f"({self.alias} -> {quoted(name)})"
        return f'{self.alias}."{name}"'

    def text(self, name: str) -> str:
        """SQL for a column as it is, or for the text under a document's key."""
        return f"({self.alias} ->> {quoted(name)})" if self.source is Kind.DOCUMENT else self.column(name)
