"""SQL of the declarations: templates with named places, and a statement that collects its parameters.

The declarations of `schema.mapping` are templates. A place is a name in braces; everything else, `'{}'` included, stays
as it is. These names are known everywhere:

    {t}         the row that the field stands on (its table's alias, or the JSON value of a document)
    {r}         the row that a relation, list or connection reaches
    {tenant}    the tenant's id, uuid
    {actor}     the viewer's id, uuid
    {all}       boolean: the viewer's grants show it everything of the tenant
    {narrowed}  boolean: some of the viewer's grants cover less than all of their subtrees
    {today}     the date in the tenant's time zone, by the database's clock
    {language}  'ZH_CN' or 'EN'
    {zone}      the tenant's time zone, IANA name

Beside them stand a field's own arguments, by their names. Values always travel as parameters.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from service.reports.rights import NARROWED, spared

_PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

TODAY = "(now() AT TIME ZONE {zone})::date"
"""What {today} stands for."""


def fill(template: str, place: Callable[[str], str]) -> str:
    """The template with each place filled by `place(name)`."""
    return _PLACE.sub(lambda match: place(match[1]), template)


def places(template: str) -> set[str]:
    """Names of the template's places."""
    return set(_PLACE.findall(template))


class Viewpoint(NamedTuple):
    """Whose eyes a read is made with."""

    tenant_id: UUID
    actor_id: UUID
    sees_all: bool
    language: str
    """ZH_CN or EN."""
    time_zone: str
    """The tenant's, IANA name."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A value for a place: it becomes a parameter when a template uses it, once per statement and name."""

    name: str
    value: Any
    sql_type: str


@dataclass(slots=True)
class Statement:
    """One statement under construction: its parameters in order, each bound when a template first uses it."""

    viewpoint: Viewpoint
    constants: Mapping[str, str] = field(default_factory=dict)
    """Places that are SQL of the caller's instead of what they stand for otherwise, and what `spared` leaves out."""
    arguments: list[Any] = field(default_factory=list)
    _named: dict[str, str] = field(default_factory=dict)
    _false: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._false = frozenset(name for name, sql in self.constants.items() if sql == "false")

    def bind(self, value: Any, sql_type: str) -> str:
        """A new parameter: `$n::type`."""
        self.arguments.append(value)
        return f"${len(self.arguments)}::{sql_type}"

    def named(self, name: str, value: Any, sql_type: str) -> str:
        """A parameter that is bound once under its name."""
        if name not in self._named:
            self._named[name] = self.bind(value, sql_type)
        return self._named[name]

    def place(self, name: str, own: Mapping[str, str | Bound]) -> str:
        """What a place stands for: one of the caller's own names (aliases, arguments), or one known everywhere."""
        if name in own:
            known = own[name]
            return known if isinstance(known, str) else self.named(f"own {known.name}", known.value, known.sql_type)
        if name in self.constants:
            return self.constants[name]
        match name:
            case "tenant":
                return self.named("tenant", self.viewpoint.tenant_id, "uuid")
            case "actor":
                return self.named("actor", self.viewpoint.actor_id, "uuid")
            case "all":
                return self.named("all", self.viewpoint.sees_all, "boolean")
            case "language":
                return self.named("language", self.viewpoint.language, "text")
            case "zone":
                return self.named("zone", self.viewpoint.time_zone, "text")
            case "narrowed":
                return self.render(NARROWED)
            case "today":
                return self.render(TODAY)
        raise LookupError(f"Nothing is known for the place {{{name}}}.")

    def render(self, template: str, **own: str | Bound) -> str:
        """The template with its places filled: `t` and `r` are aliases, other names are SQL or values of the caller."""
        return fill(spared(template, self._false), lambda name: self.place(name, own))
