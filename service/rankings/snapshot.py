"""The snapshot of a run (测算快照): settled values of one cycle, read at one instant, with its digest.

It speaks in codes, as scheme files do, so that it can be scored again without the database.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
import orjson
from numpy.typing import NDArray

from service import schemes
from service.scoring import ENGINE_VERSION, ItemColumn, Snapshot, State
from service.scoring.snapshot import States, whole_numbers
from tenants.database import Transaction

FORMAT = "kaoping-snapshot/1"
"""Name and version of the snapshot's form."""

UNREVIEWED = 9
"""Of an assessment that waits for review: it counts as missing, and the run says how many there are."""

_STATE = f"""CASE state WHEN 'ACCEPTED' THEN {State.GIVEN:d} WHEN 'ADJUSTED' THEN {State.GIVEN:d}
    WHEN 'REJECTED' THEN {State.REJECTED:d} WHEN 'NOT_APPLICABLE' THEN {State.NOT_APPLICABLE:d}
    WHEN 'READY' THEN {UNREVIEWED} ELSE {State.MISSING:d} END"""


@dataclass(frozen=True, slots=True)
class RunUnit:
    """An assessed unit of the cycle, as of its opening."""

    id: UUID
    unit_id: UUID
    code: str
    category_id: UUID
    category: str
    category_position: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf to load: its items in the order in which assessments settle them."""

    id: UUID
    code: str
    kind: str
    carries_over: bool
    items: tuple["Item", ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A data item as the frozen version pinned it."""

    id: UUID
    code: str
    type: str
    scale: int
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunInput:
    """All that a run needs: scheme document and snapshot in codes, and the rows behind them."""

    at: datetime
    document: dict[str, Any]
    units: list[RunUnit]
    snapshot: Snapshot
    indicators: dict[str, UUID]
    dimensions: list[str]
    unreviewed: int
    missing: int


async def load(tx: Transaction, cycle_id: UUID) -> RunInput:
    """Read a cycle's settled values; `tx` should be REPEATABLE READ, so that all of it is of one instant."""
    cycle = await tx.fetchrow(
        "SELECT code, scheme_version_id, previous_cycle_id, now() AS at FROM cycles WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        cycle_id,
    )
    assert cycle is not None
    document = await schemes.scheme_document(tx, cycle["scheme_version_id"], keys="code")
    units = await _units(tx, cycle_id)
    leaves = await _leaves(tx, cycle["scheme_version_id"], document)
    places = Places([unit.id for unit in units])
    items: dict[tuple[str, str], ItemColumn] = {}
    awards: dict[str, ItemColumn] = {}
    states: dict[str, States] = {}
    unreviewed = missing = 0
    for leaf in leaves:
        found = await _leaf_row(tx, cycle_id, leaf)
        at = places.of(found["units"] or b"")
        raw = np.full(len(units), State.MISSING, np.int64)
        raw[at] = found["states"] or []
        unreviewed += int((raw[at] == UNREVIEWED).sum())
        missing += int((raw[at] == State.MISSING).sum())
        state = np.where(raw == UNREVIEWED, State.MISSING, raw).astype(np.uint8)
        states[leaf.code] = state
        values = [_spread(found[f"v{n}"] or [], at, len(units)) for n in range(max(1, len(leaf.items)))]
        if leaf.kind == "AWARD":
            awards[leaf.code] = ItemColumn(state, _whole(values[0]), scale=_AWARD_SCALE)
        carried = await _carried(tx, cycle["previous_cycle_id"], cycle_id, leaf) if leaf.carries_over else {}
        for item, given in zip(leaf.items, values, strict=False):
            column = _column(item, state, given)
            if item.code in carried:
                column = _carry(column, carried[item.code])
                states[leaf.code] = np.where(column.state == State.CARRIED, State.GIVEN, state).astype(np.uint8)
            items[leaf.code, item.code] = column
    return RunInput(
        at=cycle["at"],
        document=document,
        units=units,
        snapshot=Snapshot(
            units=[unit.code for unit in units],
            categories=[unit.category for unit in units],
            awards=awards,
            leaf_items=items,
            leaf_states=states,
            late_days=await _late_days(tx, cycle_id),
        ),
        indicators=await _indicators(tx, cycle["scheme_version_id"]),
        dimensions=[node["code"] for node in document["indicators"] if node.get("parentCode") == _root(document)],
        unreviewed=unreviewed,
        missing=missing,
    )


@dataclass(frozen=True, slots=True)
class Packed:
    """A snapshot as it is stored: compressed canonical JSON, and the SHA-256 (hex) of the JSON."""

    digest: str
    document: bytes


def pack(given: RunInput) -> Packed:
    """The canonical form of a snapshot: the same values give the same bytes."""
    snapshot = given.snapshot
    plain = {
        "format": FORMAT,
        "engine": ENGINE_VERSION,
        "scheme": given.document,
        "units": [[unit.code, unit.category] for unit in given.units],
        "lateDays": [] if snapshot.late_days is None else snapshot.late_days.tolist(),
        "states": {code: column.tolist() for code, column in snapshot.leaf_states.items()},
        "awards": {code: _plain(column) for code, column in snapshot.awards.items()},
        "values": [[leaf, item, _plain(column)] for (leaf, item), column in snapshot.leaf_items.items()],
    }
    text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return Packed(hashlib.sha256(text).hexdigest(), zlib.compress(text, level=1))


def _plain(column: ItemColumn) -> dict[str, Any]:
    wide = column.numbers.dtype == object
    return {
        "scale": column.scale,
        "state": column.state.tolist(),
        "numbers": [str(number) for number in column.numbers] if wide else column.numbers.tolist(),
        "parts": {name: part.tolist() for name, part in (column.parts or {}).items()},
        "offsets": None if column.offsets is None else column.offsets.tolist(),
    }


def _root(document: dict[str, Any]) -> str:
    return next(str(node["code"]) for node in document["indicators"] if node.get("parentCode") is None)


async def _units(tx: Transaction, cycle_id: UUID) -> list[RunUnit]:
    rows = await tx.fetch(
        """
        SELECT u.id, u.unit_id, u.code, u.category_id, c.code AS category, k.position
        FROM cycle_units u
        JOIN categories c ON c.tenant_id = u.tenant_id AND c.id = u.category_id
        JOIN cycle_categories k ON k.tenant_id = u.tenant_id AND k.cycle_id = u.cycle_id
             AND k.category_id = u.category_id
        WHERE u.tenant_id = $1 AND u.cycle_id = $2 AND u.assessed ORDER BY u.id
        """,
        tx.tenant_id,
        cycle_id,
    )
    return [RunUnit(r["id"], r["unit_id"], r["code"], r["category_id"], r["category"], r["position"]) for r in rows]


async def _leaves(tx: Transaction, version_id: UUID, document: dict[str, Any]) -> list[Leaf]:
    policy = document["settings"].get("missingPolicy")
    rows = await tx.fetch(
        """
        SELECT i.id, i.code, i.rule ->> 'kind' AS kind, coalesce(i.missing_policy, $3) = 'CARRY_OVER' AS carries_over,
               coalesce(json_agg(json_build_array(v.data_item_id, v.code, v.type, v.scale, v.options)
                                 ORDER BY x.position) FILTER (WHERE v.data_item_id IS NOT NULL), '[]') AS items
        FROM indicators i
        LEFT JOIN indicator_items x ON x.tenant_id = i.tenant_id AND x.indicator_id = i.id
        LEFT JOIN scheme_version_items v ON v.tenant_id = x.tenant_id AND v.scheme_version_id = i.scheme_version_id
             AND v.data_item_id = x.data_item_id
        WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 AND i.leaf
        GROUP BY i.tenant_id, i.id ORDER BY i.print_order
        """,
        tx.tenant_id,
        version_id,
        policy,
    )
    return [
        Leaf(
            id=row["id"],
            code=row["code"],
            kind=row["kind"],
            carries_over=row["carries_over"] or False,
            items=tuple(
                Item(UUID(key), code, kind, scale, tuple(option["code"] for option in options))
                for key, code, kind, scale, options in orjson.loads(row["items"])
            ),
        )
        for row in rows
    ]


_AWARD_SCALE = 12
"""Decimal places that awarded marks are kept with."""


async def _leaf_row(tx: Transaction, cycle_id: UUID, leaf: Leaf) -> asyncpg.Record:
    """One row of arrays over the units that the leaf applies to, in one order; `units` are their ids, 16 bytes each."""
    if leaf.kind == "AWARD":
        values = [f"trim_scale(marks * 10::numeric ^ {_AWARD_SCALE})::text"]
    else:
        values = [_value_sql(item, position) for position, item in enumerate(leaf.items)] or ["NULL::text"]
    columns = "".join(f", {sql} AS v{n}" for n, sql in enumerate(values))
    gathered = "".join(f", array_agg(v{n}) AS v{n}" for n in range(len(values)))
    # Ordered as the index is: one pass over it, and no sorting.
    row = await tx.fetchrow(
        f"""
        SELECT string_agg(uuid_send(cycle_unit_id), ''::bytea) AS units, array_agg(state) AS states{gathered}
        FROM (SELECT cycle_unit_id, {_STATE} AS state{columns} FROM assessments
              WHERE tenant_id = $1 AND cycle_id = $2 AND indicator_id = $3 ORDER BY cycle_unit_id) leaf
        """,
        tx.tenant_id,
        cycle_id,
        leaf.id,
    )
    assert row is not None
    return row


class Places:
    """Finds units by their ids, many at a time."""

    def __init__(self, ids: Sequence[UUID]) -> None:
        keys = np.frombuffer(b"".join(key.bytes for key in ids), _KEY)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def of(self, ids: bytes) -> NDArray[np.int64]:
        """Places of the units whose ids these are, 16 bytes each."""
        return self._order[np.searchsorted(self._sorted, np.frombuffer(ids, _KEY))]


_KEY = np.dtype([("high", ">u8"), ("low", ">u8")])


def _spread(values: list[str | None], at: NDArray[np.int64], count: int) -> list[str | None]:
    """One value per unit, None where the leaf does not apply."""
    if len(values) == count and bool((at[1:] > at[:-1]).all()):
        return values
    wide: list[str | None] = [None] * count
    for place, value in zip(at.tolist(), values, strict=True):
        wide[place] = value
    return wide


def _value_sql(item: Item, position: int) -> str:
    """A settled value as text: a whole number of the item's smallest step, or the JSON of its parts."""
    if item.type in ("NUMBER", "INTEGER", "YES_NO"):
        return f"trim_scale(settled_numbers[{position + 1}] * 10::numeric ^ {item.scale})::text"
    return f"(settled_details -> {position})::text"


def _column(item: Item, state: Any, values: list[str | None]) -> ItemColumn:
    given = [value is not None for value in values]
    state = np.where((state == State.GIVEN) & ~np.array(given, bool), State.MISSING, state).astype(np.uint8)
    states = [State(value) for value in state.tolist()]
    match item.type:
        case "COUNTS":
            return ItemColumn.of_counts([_detail(value, "counts") for value in values], states=states)
        case "SCORES":
            return ItemColumn.of_scores([_detail(value, "scores") for value in values], scale=item.scale, states=states)
        case "CHOICE":
            place = {code: index for index, code in enumerate(item.options)}
            return ItemColumn(state, whole_numbers([place.get(_detail(value, "choice"), 0) for value in values]))
    return ItemColumn(state, _whole(values), scale=item.scale)


def _detail(value: str | None, key: str) -> Any:
    return None if value is None else (orjson.loads(value) or {}).get(key)


def _whole(values: list[str | None] | None) -> Any:
    return whole_numbers([0 if value is None else int(value) for value in values or ()])


async def _carried(
    tx: Transaction, previous_cycle_id: UUID | None, cycle_id: UUID, leaf: Leaf
) -> dict[str, list[str | None]]:
    """The last cycle's settled numbers of a leaf's items, for units whose own are missing (上期结转)."""
    found: dict[str, list[str | None]] = {}
    for item in leaf.items if previous_cycle_id is not None else ():
        if item.type not in ("NUMBER", "INTEGER", "YES_NO"):
            continue
        row = await tx.fetchrow(
            f"""
            SELECT array_agg(trim_scale(p.number * 10::numeric ^ {item.scale})::text ORDER BY u.id) AS numbers
            FROM cycle_units u LEFT JOIN LATERAL (
                SELECT a.settled_numbers[x.position + 1] AS number
                FROM cycle_units b
                JOIN assessments a ON a.tenant_id = b.tenant_id AND a.cycle_unit_id = b.id
                     AND a.state IN ('ACCEPTED', 'ADJUSTED')
                JOIN indicator_items x ON x.tenant_id = a.tenant_id AND x.indicator_id = a.indicator_id
                     AND x.data_item_id = $4
                WHERE b.tenant_id = u.tenant_id AND b.cycle_id = $3 AND b.unit_id = u.unit_id
                ORDER BY a.settled_at DESC LIMIT 1
            ) p ON true
            WHERE u.tenant_id = $1 AND u.cycle_id = $2 AND u.assessed
            """,
            tx.tenant_id,
            cycle_id,
            previous_cycle_id,
            item.id,
        )
        assert row is not None
        found[item.code] = row["numbers"] or []
    return found


def _carry(column: ItemColumn, previous: list[str | None]) -> ItemColumn:
    known = np.array([value is not None for value in previous], bool)
    use = (column.state == State.MISSING) & known
    numbers = np.where(use, _whole(previous), column.numbers)
    return ItemColumn(np.where(use, State.CARRIED, column.state).astype(np.uint8), numbers, column.scale)


async def _late_days(tx: Transaction, cycle_id: UUID) -> Any:
    """Days late per unit: of the latest of its own entries that count."""
    row = await tx.fetchrow(
        """
        SELECT array_agg(coalesce(late.days, 0) ORDER BY u.id) AS days
        FROM cycle_units u LEFT JOIN (
            SELECT t.cycle_unit_id, max(t.days_late) AS days FROM tasks t
            WHERE t.tenant_id = $1 AND t.cycle_id = $2 AND t.days_late > 0 AND t.filler = 'UNIT'
              AND t.state IN ('SUBMITTED', 'SETTLED') GROUP BY t.cycle_unit_id
        ) late ON late.cycle_unit_id = u.id
        WHERE u.tenant_id = $1 AND u.cycle_id = $2 AND u.assessed
        """,
        tx.tenant_id,
        cycle_id,
    )
    assert row is not None
    return np.array(row["days"] or [], np.int64)


async def _indicators(tx: Transaction, version_id: UUID) -> dict[str, UUID]:
    rows = await tx.fetch(
        "SELECT code, id FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2", tx.tenant_id, version_id
    )
    return {row["code"]: row["id"] for row in rows}
