"""Plans and stock resolvers give the same answers: operations of every shape, seen by everybody (结果一致)."""

import faulthandler
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schema.declarations import Computed
from schema.execution import Engine
from schema.mapping import MappedField
from schema.options import EndpointOptions
from schema.schema import build_schema
from tests.schema.plans.district import SUPPLY, VIEWERS, Populated, tell
from tests.schema.plans.operations import CURSOR, Draw, Json, Operation, Writer
from tests.schema.walking import walked

pytestmark = pytest.mark.anyio

SCHEMA = walked()
DEPTH = 6

COMPUTED = frozenset(
    f"{named.name}.{name}"
    for named in SCHEMA.type_map.values()
    if isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    for one in [named, *(SCHEMA.get_possible_types(named) if isinstance(named, GraphQLInterfaceType) else [])]
    for name in named.fields
    if isinstance(mapped := one.fields[name].extensions.get("strawberry-definition"), MappedField)
    and isinstance(mapped.declaration, Computed)
)
"""Fields that Python reckons; they are asked for seldom, so that most operations can be planned."""

DETERMINED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A document is long, and to make it shorter takes minutes.
    phases=[Phase.generate],
)


@dataclass(frozen=True)
class Drawn:
    """What hypothesis draws: an operation, who asks, and which cursors of the answer to go on from."""

    operation: Operation
    viewer: int
    picks: Sequence[int]


@st.composite
def drawn(draw: Draw) -> Drawn:
    """Operations with everybody, of all depths."""
    writer = Writer(SCHEMA, SUPPLY, draw, rare=COMPUTED)
    viewer, depth = max(0, writer.number(-3, VIEWERS - 1)), writer.number(2, DEPTH)
    return Drawn(writer.document(depth), viewer, draw(st.lists(st.integers(0, 99), min_size=4, max_size=4)))


@dataclass(repr=False)
class Compared:
    """What was compared so far."""

    planned: Engine
    stock: Engine
    populated: Populated
    counts: Counter[str] = field(default_factory=Counter)

    async def one(self, drawn: Drawn) -> None:
        """An operation; then the same again, with cursors out of the answer."""
        operation = replace(drawn.operation, text=self.populated.filled(drawn.operation.text))
        variables = orjson.loads(self.populated.filled(orjson.dumps(operation.variables).decode()))
        who = list(self.populated.viewers)[drawn.viewer]
        answer = await self.compare(who, operation, variables)
        if answer is None or not operation.cursors:
            return
        for (variable, page), pick in zip(operation.cursors, itertools.cycle(drawn.picks)):
            found = cursors_of(answer, page)
            strange = [None, "broken", *(each[:-3] for each in found), *cursors_of(answer, CURSOR)]
            choices = strange if not found or pick % 7 == 6 else found
            variables[variable] = choices[pick % len(choices)]
        await self.compare(who, operation, variables)

    async def compare(self, who: str, operation: Operation, variables: Json) -> Any:
        """The data of both answers, which must be the same."""
        caller = self.populated.viewers[who]
        stock = await tell(self.stock, caller, operation, variables)
        planned = await tell(self.planned, caller, operation, variables)
        if stock is None or planned is None:
            assert stock is planned is None
            self.counts["too large"] += 1
            return None
        told = f"{who}: {operation.text}\n{variables}\nstock   {stock.body.decode()}\nplanned {planned.body.decode()}"
        assert planned.same(stock), told
        assert b'"INTERNAL"' not in stock.body, told
        assert not stock.planned
        self.counts["compared"] += 1
        self.counts["planned"] += planned.planned
        self.counts["with errors"] += bool(stock.errors)
        self.counts["plain"] += not stock.errors and caller.actor is not None
        self.counts["bytes"] += len(stock.body)
        return orjson.loads(stock.body).get("data")


def cursors_of(answer: Any, page: str) -> list[str]:
    """The cursors in an answer under response names that begin so."""
    found: list[str] = []
    waiting = [(False, answer)]
    while waiting:
        inside, found_here = waiting.pop()
        if isinstance(found_here, list):
            waiting += [(inside, each) for each in found_here]
        elif isinstance(found_here, dict):
            for name, each in found_here.items():
                if inside and name in ("cursor", "startCursor", "endCursor") and each is not None:
                    found.append(each)
                waiting.append((inside or name == page or (page == CURSOR and name[:1] == CURSOR), each))
    return sorted(set(found))


def engines(populated: Populated) -> Compared:
    """One engine with plans, one without."""
    schema = build_schema()
    return Compared(
        Engine(schema, EndpointOptions(plans=True)), Engine(schema, EndpointOptions(plans=False)), populated
    )


@pytest.fixture(scope="module")
def compared(populated: Populated) -> Compared:
    """Nothing yet."""
    return engines(populated)


@settings(DETERMINED, max_examples=440)
@given(drawn=drawn())
async def test_operations(drawn: Drawn, compared: Compared) -> None:
    await compared.one(drawn)


@pytest.mark.long
@settings(DETERMINED, max_examples=4500)
@given(drawn=drawn())
async def test_many_operations(drawn: Drawn, compared: Compared) -> None:
    # All of them take longer than a test may that hangs.
    faulthandler.cancel_dump_traceback_later()
    await compared.one(drawn)


def test_most_of_them_were_planned(compared: Compared) -> None:
    counts = compared.counts
    if not counts:
        pytest.skip("The operations were left out of this run.")
    assert counts["compared"] >= 500, counts
    # What has errors, what nobody asks, and what Python reckons is told by the stock executor.
    assert counts["planned"] >= 0.85 * counts["plain"], counts
    assert counts["planned"] >= 0.7 * counts["compared"], counts
    assert 0 < counts["with errors"] < 0.2 * counts["compared"], counts
