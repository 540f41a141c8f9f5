"""Answer a query by a plan, or leave it to the stock executor (执行计划).

A plan is found in three steps, each of which keeps what it made: the fields that the document chooses, by the variables
of @skip and @include; the statement, by what of the arguments shapes it; and for variables that come again, as all
readers of one board send them, the checked values themselves. What is kept holds nothing of who asks: tenant and viewer
are parameters of the statement and conditions within it, so a plan made for one viewer shows another only its own.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import strawberry
from graphql import OperationType, VariableValues

from schema.context import Context
from schema.documents import Operation
from schema.masking import is_passing
from schema.plans.arguments import Arguments, Given
from schema.plans.blanks import fill
from schema.plans.cache import Bounded
from schema.plans.collect import Branch, Selection, collect, switches
from schema.plans.compile import compile_plan
from schema.plans.plan import DOCUMENTS, Blank, Plan, Sight
from schema.plans.reasons import PLANNED, Unplannable, leave
from schema.plans.scalars import FAULT_BYTE
from schema.sql import Viewpoint
from service.language import Language

logger = logging.getLogger("kaoping.plans")

SELECTION_FIELDS = 200_000
"""Fields in all selections that are kept, about half a kilobyte each."""

PLAN_CHARACTERS = 16 * 1024 * 1024
"""Characters of SQL in all plans that are kept."""

REMEMBERED = 2_000
"""Sets of variables whose checked values are kept."""

REMEMBERED_BYTES = 1_024
"""Of one such set, as JSON, at most."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An operation with its switches settled."""

    selection: Selection
    literal: tuple[Given | None, ...]
    """Arguments of the fields without variables, read once."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A statement with the values of its parameters; those of the viewpoint are still missing."""

    sql: str
    values: tuple[Any, ...]
    views: tuple[tuple[int, str], ...]
    """Places of the values that the viewpoint gives."""

    blanks: tuple[Blank, ...]
    below: tuple["_Ready | None", ...]
    """The statements of the blanks that are value objects."""

    def arguments(self, viewpoint: Viewpoint, documents: Sequence[str] = ()) -> list[Any]:
        """All values."""
        values = list(self.values)
        for place, name in self.views:
            values[place] = documents if name == DOCUMENTS.name else getattr(viewpoint, name)
        return values


class Plans:
    """Reading plans over a schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._core = schema._schema  # noqa: SLF001 — Strawberry has no public name for it
        self._arguments = Arguments(schema)
        self._switches: Bounded[tuple[bytes, str | None], tuple[str, ...]] = Bounded(SELECTION_FIELDS)
        self._known: Bounded[Any, _Known | Unplannable] = Bounded(SELECTION_FIELDS)
        self._plans: Bounded[Any, Plan | Unplannable] = Bounded(PLAN_CHARACTERS)
        self._ready: Bounded[Any, _Ready] = Bounded(REMEMBERED)
        self.compiled = 0
        """How many statements were written."""

    async def read(self, operation: Operation, variables: Mapping[str, Any], context: Context) -> bytes | None:
        """The JSON of `data`, or None where the operation is for the stock executor.

        Raises what tells that the database is out of reach or out of time.
        """
        if operation.type is not OperationType.QUERY:
            return None
        if context.actor is None:
            leave(operation, "signed_out")
            return None
        try:
            sight = Sight.of(context.actor)
            ready = self.prepare(operation, variables, sight, context.language)
        except Unplannable as fault:
            leave(operation, fault.reason)
            return None
        viewpoint = context.viewpoint
        try:
            data: bytes = await context.db.read(viewpoint.tenant_id, ready.sql, *ready.arguments(viewpoint))
            if ready.blanks:
                data = await self._filled(data, ready, context)
        except Unplannable as fault:
            leave(operation, fault.reason)
            return None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if is_passing(error):
                raise
            logger.warning("A plan of %s was refused: %s", operation.name or "-", error, exc_info=error)
            leave(operation, "database")
            return None
        if FAULT_BYTE in data:
            leave(operation, "null")
            return None
        PLANNED.inc()
        return data

    async def _filled(self, data: bytes, ready: "_Ready", context: Context) -> bytes:
        """The JSON with what Python reckons for it."""

        async def documents(number: int, texts: Sequence[str]) -> Sequence[bytes]:
            below = ready.below[number]
            assert below is not None
            arguments = below.arguments(context.viewpoint, texts)
            found = [record[0] for record in await context.reader.fetch(below.sql, *arguments)]
            return [await self._filled(each, below, context) for each in found] if below.blanks else found

        return await fill(data, ready.blanks, context, documents)

    def prepare(self, operation: Operation, variables: Mapping[str, Any], sight: Sight, language: Language) -> "_Ready":
        """The statement for an operation with these variables; raises Unplannable."""
        name = (operation.document.digest, operation.name)
        remembered: Any = None
        if variables:
            text = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
            remembered = (*name, sight, text) if len(text) <= REMEMBERED_BYTES else None
        else:
            remembered = (*name, sight, b"")
        if remembered is not None and (found := self._ready.get(remembered)) is not None:
            return found
        ready = self._prepare(name, operation, variables, sight, language)
        if remembered is not None:
            self._ready.keep(remembered, ready)
        return ready

    def _prepare(
        self,
        name: tuple[bytes, str | None],
        operation: Operation,
        variables: Mapping[str, Any],
        sight: Sight,
        language: Language,
    ) -> "_Ready":
        coerced = self._arguments.variables(operation, variables)
        switched = self._switched(name, operation, coerced)
        key = (*name, tuple(switched.values()))
        known = self._know(key, operation, switched, language)
        given = [
            literal or self._arguments.read(site, coerced, language)
            for site, literal in zip(known.selection.sites, known.literal, strict=True)
        ]
        plan = self._plan((*key, sight, tuple(each.shape for each in given)), known.selection, given, sight)
        return _ready(plan, given)

    def _switched(
        self, name: tuple[bytes, str | None], operation: Operation, coerced: VariableValues
    ) -> dict[str, object]:
        names = self._switches.get(name)
        if names is None:
            names = switches(operation.document, operation)
            self._switches.keep(name, names)
        return {each: coerced.coerced.get(each) for each in names}

    def _know(self, key: Any, operation: Operation, switched: Mapping[str, object], language: Language) -> "_Known":
        known = self._known.get(key)
        if known is None:
            try:
                selection = collect(self._core, operation, switched)
                nothing = self._arguments.nothing()
                literal = tuple(
                    None if site.variables else self._arguments.read(site, nothing, language)
                    for site in selection.sites
                )
                known = _Known(selection, literal)
                self._known.keep(key, known, 1 + _fields(selection.root))
            except Unplannable as fault:
                known = fault
                self._known.keep(key, known)
        if isinstance(known, Unplannable):
            raise Unplannable(known.reason, known.what)
        return known

    def _plan(self, key: Any, selection: Selection, given: Sequence[Given], sight: Sight) -> Plan:
        plan = self._plans.get(key)
        if plan is None:
            self.compiled += 1
            try:
                plan = compile_plan(selection, given, sight)
                self._plans.keep(key, plan, 1 + plan.length)
            except Unplannable as fault:
                plan = fault
                self._plans.keep(key, plan)
        if isinstance(plan, Unplannable):
            raise Unplannable(plan.reason, plan.what)
        return plan


def _ready(plan: Plan, given: Sequence[Given]) -> _Ready:
    values = tuple(None if source.site is None else given[source.site].values[source.name] for source in plan.sources)
    views = tuple((place, source.name) for place, source in enumerate(plan.sources) if source.site is None)
    below = tuple(None if blank.below is None else _ready(blank.below, given) for blank in plan.blanks)
    return _Ready(plan.sql, values, views, plan.blanks, below)


def _fields(branch: Branch) -> int:
    return sum(1 + sum(_fields(below) for below in chosen.branches) for chosen in branch.chosen)
