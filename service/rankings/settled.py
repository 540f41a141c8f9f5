"""Settled values of a leaf (核定值), read for all units at once: a million values come as a hundred runs of bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray

from service.scoring import State
from service.scoring.snapshot import Numbers, whole_numbers
from tenants.database import Transaction

AWARD_SCALE = 12
"""Decimal places that awarded marks are kept with."""

UNREVIEWED = 9
"""Of an assessment that waits for review: it counts as missing, and the run says how many there are."""


@dataclass(frozen=True, slots=True)
class Item:
    """A data item as the frozen version pinned it."""

    id: UUID
    code: str
    type: str
    scale: int
    options: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether one number says it all."""
        return self.type in ("NUMBER", "INTEGER", "YES_NO")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf to load: its items in the order in which assessments settle them."""

    id: UUID
    code: str
    kind: str
    carries_over: bool
    items: tuple[Item, ...]
    groups: tuple[str, ...] = ()
    """Names of the groups of assessors, where several award."""

    @property
    def award(self) -> bool:
        """Whether an assessor awards its marks."""
        return self.kind == "AWARD"


@dataclass(frozen=True, slots=True)
class Settled:
    """One value per unit. `numbers`: whole numbers of the smallest step, 0 where there is none; of an item that is more
    than a number, `texts` are the JSON of its parts.
    """

    there: NDArray[np.bool_]
    numbers: Numbers
    texts: list[str | None]

    @classmethod
    def of_texts(cls, texts: list[str | None]) -> "Settled":
        """Values of an item that is more than a number."""
        return cls(np.array([text is not None for text in texts], bool), np.zeros(len(texts), np.int64), texts)


@dataclass(frozen=True, slots=True)
class SettledLeaf:
    """State of a leaf per unit, MISSING where it does not apply; marks of an award, or values item by item.

    unreviewed, missing: of the units that it applies to.
    """

    states: NDArray[np.uint8]
    values: tuple[Settled, ...]
    unreviewed: int
    missing: int


_KEY = np.dtype("S16")


class Places:
    """Finds units by their ids, many at a time."""

    def __init__(self, ids: Sequence[UUID]) -> None:
        self.count = len(ids)
        keys = np.frombuffer(b"".join(key.bytes for key in ids), _KEY)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def of(self, ids: bytes) -> NDArray[np.int64]:
        """Places of the units whose ids these are, 16 bytes each."""
        return self._order[np.searchsorted(self._sorted, np.frombuffer(ids, _KEY))]


_STATE = "CASE state {cases} ELSE {missing} END".format(
    cases=" ".join(
        rf"WHEN '{name}' THEN '\x{state:02x}'::bytea"
        for name, state in {
            "ACCEPTED": State.GIVEN,
            "ADJUSTED": State.GIVEN,
            "REJECTED": State.REJECTED,
            "NOT_APPLICABLE": State.NOT_APPLICABLE,
            "READY": UNREVIEWED,
        }.items()
    ),
    missing=rf"'\x{State.MISSING:02x}'::bytea",
)

_NONE, _WIDE = -(2**63), -(2**63) + 1
"""Stand in eight bytes for no number, and for one that they can't hold."""

_FITS = "abs(v{n}) < 1e18 AND v{n} = trunc(v{n})"
_GATHERED = f"""string_agg(int8send(CASE WHEN {_FITS} THEN v{{n}}::bigint WHEN v{{n}} IS NULL THEN {_NONE} ELSE {_WIDE}
    END), ''::bytea) AS n{{n}}, array_agg(trim_scale(v{{n}})::text) FILTER (WHERE NOT ({_FITS})) AS wide{{n}}"""


async def read_leaf(tx: Transaction, cycle_id: UUID, leaf: Leaf, places: Places) -> SettledLeaf:
    """What assessments of the leaf settled."""
    if leaf.award:
        columns = {0: f"marks * 10::numeric ^ {AWARD_SCALE}"}
    else:
        columns = {n: _value_sql(item, n) for n, item in enumerate(leaf.items)}
    plain = {n for n in columns if leaf.award or leaf.items[n].plain}
    gathered = [_GATHERED.format(n=n) if n in plain else f"array_agg(v{n}) AS v{n}" for n in columns]
    # Ordered as the index is: one pass over it, and no sorting. All lists follow this order.
    values = "".join(f", {sql} AS v{n}" for n, sql in columns.items())
    row = await tx.fetchrow(
        f"""
        SELECT string_agg(uuid_send(cycle_unit_id), ''::bytea) AS units, string_agg(state, ''::bytea) AS states,
               {", ".join(gathered)}
        FROM (SELECT cycle_unit_id, {_STATE} AS state{values} FROM assessments
              WHERE tenant_id = $1 AND cycle_id = $2 AND indicator_id = $3 ORDER BY cycle_unit_id) leaf
        """,
        tx.tenant_id,
        cycle_id,
        leaf.id,
    )
    assert row is not None
    at = places.of(row["units"] or b"")
    own = np.frombuffer(row["states"] or b"", np.uint8)
    states = np.full(places.count, State.MISSING, np.uint8)
    states[at] = np.where(own == UNREVIEWED, State.MISSING, own)
    return SettledLeaf(
        states,
        tuple(
            _numbers(row, n, at, places.count) if n in plain else _texts(row[f"v{n}"] or [], at, places.count)
            for n in columns
        ),
        unreviewed=int((own == UNREVIEWED).sum()),
        missing=int((own == State.MISSING).sum()),
    )


def _value_sql(item: Item, position: int) -> str:
    """A settled value: a number of the item's smallest steps, or the JSON of its parts as text."""
    if item.plain:
        return f"settled_numbers[{position + 1}] * 10::numeric ^ {item.scale}"
    return f"(settled_details -> {position})::text"


def _numbers(row: asyncpg.Record, n: int, at: NDArray[np.int64], count: int) -> Settled:
    found = np.frombuffer(row[f"n{n}"] or b"", ">i8").astype(np.int64)
    there = np.zeros(count, bool)
    there[at] = found != _NONE
    numbers: Numbers = np.zeros(count, np.int64)
    numbers[at] = np.where(found == _NONE, 0, found)
    if row[f"wide{n}"] is not None:
        listed: list[Any] = numbers.tolist()
        # One that is not whole fails here: no value has more places than its item.
        for place, text in zip(at[found == _WIDE].tolist(), row[f"wide{n}"], strict=True):
            listed[place] = int(text)
        numbers = whole_numbers(listed)
    return Settled(there, numbers, [])


def _texts(values: list[str | None], at: NDArray[np.int64], count: int) -> Settled:
    texts: list[str | None] = [None] * count
    for place, value in zip(at.tolist(), values, strict=True):
        texts[place] = value
    return Settled.of_texts(texts)
