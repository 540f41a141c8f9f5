"""What is kept of a compiled operation, and of whom it is kept for (计划)."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from graphql import GraphQLNamedType

from schema.mapping import MappedField
from schema.plans.arguments import Source
from service.access import Actor, Role, lacking

LONGEST_STATEMENT = 256 * 1024
"""Characters; longer ones are not kept prepared by the pool of connections."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A computed field's place: the statement leaves the record there, and Python fills in the value."""

    field: MappedField
    nullable: bool
    named: GraphQLNamedType
    below: "Plan | None"
    """For value objects: the statement that gives the JSON of each of the `documents` that Python reckoned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement, where the values of its parameters come from, and the blanks in what it gives."""

    sql: str
    sources: tuple[Source, ...]
    blanks: tuple[Blank, ...]

    @property
    def length(self) -> int:
        """Characters of SQL in all."""
        return len(self.sql) + sum(blank.below.length for blank in self.blanks if blank.below)


DOCUMENTS = Source(None, "documents")
"""The documents that Python reckoned, as JSON texts."""


class Sight(NamedTuple):
    """What of the viewer shapes a statement: a part of every key under which a plan is kept.

    For who sees everything PostgreSQL need not even plan the rules of who may see what, nor for whoever does not hold a
    role what only that role leads to. All else of the viewer, its id above all, is a parameter.
    """

    everything: bool
    narrowed: bool
    roles: frozenset[Role]

    @classmethod
    def of(cls, actor: Actor) -> Self:
        """Of a viewer as it is known at this moment."""
        return cls(actor.sees_all, actor.narrowed, actor.roles)

    @property
    def constants(self) -> dict[str, str]:
        """As places of SQL, and as what `service.reports.rights.only` names."""
        false = lacking(self.roles, narrowed=self.narrowed) | ({"limited"} if self.everything else set())
        return {"all": "true" if self.everything else "false", **dict.fromkeys(false, "false")}
