"""The snapshot of a run (测算快照): settled values of one cycle, read at one instant, with its digest.

It speaks in codes, as scheme files do, so that it can be scored again without the database: `unpack` gives back what
`pack` was given.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from service import schemes
from service.events.states import event_code
from service.rankings.previous import previous_grades
from service.rankings.settled import AWARD_SCALE, Item, Leaf, Places, Settled, read_leaf
from service.reports.rights import placed
from service.reviews.groups import AWARDS
from service.scoring import ENGINE_VERSION, Event, ItemColumn, Snapshot, State
from service.scoring.numbers import scaled
from service.scoring.snapshot import States, whole_numbers
from tenants.database import Transaction

FORMAT = "kaoping-snapshot/1"
"""Name and version of the snapshot's form."""


@dataclass(frozen=True, slots=True)
class RunUnit:
    """An assessed unit of the cycle, as of its opening."""

    id: UUID
    unit_id: UUID
    code: str
    category_id: UUID
    category: str
    category_position: int
    parent: str | None
    """Code of the unit above."""


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
    events: dict[str, UUID]
    """Confirmed events by their number within the cycle."""


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
    # What is scored by events alone has no assessments.
    leaves = [leaf for leaf in await _leaves(tx, cycle["scheme_version_id"], document) if leaf.items or leaf.award]
    places = Places([unit.id for unit in units])
    items: dict[tuple[str, str], ItemColumn] = {}
    before = _Before(tx, cycle_id, cycle["previous_cycle_id"])
    previous: dict[str, ItemColumn] = {}
    awards: dict[str, ItemColumn] = {}
    group_awards: dict[tuple[str, str], ItemColumn] = {}
    states: dict[str, States] = {}
    unreviewed = missing = 0
    for leaf in leaves:
        found = await read_leaf(tx, cycle_id, leaf, places)
        unreviewed += found.unreviewed
        missing += found.missing
        states[leaf.code] = found.states
        if leaf.groups:
            for name, column in (await _group_awards(tx, cycle_id, leaf, units)).items():
                group_awards[leaf.code, name] = column
        elif leaf.award:
            awards[leaf.code] = ItemColumn(found.states, found.values[0].numbers, scale=AWARD_SCALE)
        for item, given in zip(leaf.items, found.values, strict=False):
            if leaf.kind == "IMPROVEMENT":
                previous[item.code] = await before.column(item, len(units))
            column = _column(item, found.states, given)
            if leaf.carries_over:
                column = _carry(item, column, given, await before.values(item))
            if (column.state == State.CARRIED).any():
                states[leaf.code] = np.where(column.state == State.CARRIED, State.GIVEN, states[leaf.code]).astype(
                    np.uint8
                )
            items[leaf.code, item.code] = column
    events = await _events(tx, cycle_id)
    graded = bool(document["settings"].get("grades"))
    before_grades = await previous_grades(tx, cycle_id) if graded else {}
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
            previous=previous,
            group_awards=group_awards,
            events=[event for event, _ in events],
            items=_conditions(document, items),
            parents=[unit.parent for unit in units] if graded else None,
            previous_grades=[before_grades.get(unit.unit_id) for unit in units] if graded else None,
        ),
        indicators=await _indicators(tx, cycle["scheme_version_id"]),
        dimensions=[node["code"] for node in document["indicators"] if node.get("parentCode") == _root(document)],
        unreviewed=unreviewed,
        missing=missing,
        events={event.key: key for event, key in events},
    )


def _conditions(document: Mapping[str, Any], columns: Mapping[tuple[str, str], ItemColumn]) -> dict[str, ItemColumn]:
    """Columns of the items that conditions of grades look at: as the first leaf that uses them settled them."""
    wanted = {
        condition["dataItem"]
        for grade in (document.get("settings") or {}).get("grades") or ()
        for condition in grade.get("conditions") or ()
        if condition.get("dataItem")
    }
    found: dict[str, ItemColumn] = {}
    for (_, item), column in columns.items():
        if item in wanted:
            found.setdefault(item, column)
    return found


async def _events(tx: Transaction, cycle_id: UUID) -> list[tuple[Event, UUID]]:
    """Confirmed events with their ids: no others change a result."""
    rows = await tx.fetch(
        """
        SELECT ev.id, ev.number, cu.code AS unit, li.code AS leaf, ev.matter, coalesce(ev.level, ev.ground) AS level,
               ev.amount
        FROM events ev
        JOIN cycle_units cu ON cu.tenant_id = ev.tenant_id AND cu.id = ev.cycle_unit_id
        JOIN indicators li ON li.tenant_id = ev.tenant_id AND li.id = ev.indicator_id
        WHERE ev.tenant_id = $1 AND ev.cycle_id = $2 AND ev.state = 'CONFIRMED' ORDER BY ev.number
        """,
        tx.tenant_id,
        cycle_id,
    )
    return [
        (Event(event_code(r["number"]), r["unit"], r["leaf"], r["matter"], r["level"], r["amount"]), r["id"])
        for r in rows
    ]


@dataclass(frozen=True, slots=True)
class Packed:
    """A snapshot as it is stored: compressed canonical JSON, and the SHA-256 (hex) of the JSON."""

    digest: str
    document: bytes


def pack(document: Mapping[str, Any], snapshot: Snapshot) -> Packed:
    """The canonical form of a snapshot with its scheme: the same values give the same bytes."""
    plain = {
        "format": FORMAT,
        "engine": ENGINE_VERSION,
        "scheme": document,
        "units": [list(unit) for unit in zip(snapshot.units, snapshot.categories, strict=True)],
        "lateDays": [] if snapshot.late_days is None else snapshot.late_days.tolist(),
        "states": {code: column.tolist() for code, column in snapshot.leaf_states.items()},
        "awards": {code: _plain(column) for code, column in snapshot.awards.items()},
        "values": [[leaf, item, _plain(column)] for (leaf, item), column in snapshot.leaf_items.items()],
        "previous": {item: _plain(column) for item, column in snapshot.previous.items()},
        "groupAwards": [[leaf, group, _plain(column)] for (leaf, group), column in snapshot.group_awards.items()],
        "events": [_plain_event(event) for event in snapshot.events],
        "parents": snapshot.parents,
        "previousGrades": snapshot.previous_grades,
        "decisions": snapshot.decisions,
    }
    text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return Packed(hashlib.sha256(text).hexdigest(), zlib.compress(text, level=1))


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a stored snapshot holds; `size` is that of its JSON in bytes."""

    document: dict[str, Any]
    snapshot: Snapshot
    size: int


def unpack(packed: bytes) -> Unpacked:
    """What `pack` was given. Raises ValueError where the bytes are of another form."""
    text = zlib.decompress(packed)
    plain = orjson.loads(text)
    if plain["format"] != FORMAT:
        raise ValueError(f"A snapshot of the form {plain['format']}, not {FORMAT}.")
    late = plain["lateDays"]
    leaf_items = {(leaf, item): _column_of(column) for leaf, item, column in plain["values"]}
    snapshot = Snapshot(
        units=[unit for unit, _ in plain["units"]],
        categories=[category for _, category in plain["units"]],
        awards={code: _column_of(column) for code, column in plain["awards"].items()},
        leaf_items=leaf_items,
        items=_conditions(plain["scheme"], leaf_items),
        leaf_states={code: np.array(states, np.uint8) for code, states in plain["states"].items()},
        late_days=np.array(late, np.int64) if late else None,
        previous={item: _column_of(column) for item, column in plain["previous"].items()},
        group_awards={(leaf, group): _column_of(column) for leaf, group, column in plain["groupAwards"]},
        events=[_event_of(event) for event in plain["events"]],
        parents=plain["parents"],
        previous_grades=plain["previousGrades"],
        decisions=plain["decisions"],
    )
    return Unpacked(plain["scheme"], snapshot, len(text))


def _plain(column: ItemColumn) -> dict[str, Any]:
    wide = column.numbers.dtype == object
    return {
        "scale": column.scale,
        "state": column.state.tolist(),
        "numbers": [str(number) for number in column.numbers] if wide else column.numbers.tolist(),
        "parts": {name: part.tolist() for name, part in (column.parts or {}).items()},
        "offsets": None if column.offsets is None else column.offsets.tolist(),
    }


def _column_of(plain: dict[str, Any]) -> ItemColumn:
    numbers = plain["numbers"]
    wide = bool(numbers) and isinstance(numbers[0], str)
    return ItemColumn(
        state=np.array(plain["state"], np.uint8),
        numbers=np.array([int(number) for number in numbers], object) if wide else np.array(numbers, np.int64),
        scale=plain["scale"],
        parts={name: np.array(part, np.int64) for name, part in plain["parts"].items()} or None,
        offsets=None if plain["offsets"] is None else np.array(plain["offsets"], np.int64),
    )


def _plain_event(event: Event) -> dict[str, Any]:
    return {**asdict(event), "amount": None if event.amount is None else f"{event.amount:f}"}


def _event_of(plain: dict[str, Any]) -> Event:
    return Event(**{**plain, "amount": None if plain["amount"] is None else Decimal(plain["amount"])})


def _root(document: dict[str, Any]) -> str:
    return next(str(node["code"]) for node in document["indicators"] if node.get("parentCode") is None)


async def _units(tx: Transaction, cycle_id: UUID) -> list[RunUnit]:
    rows = await tx.fetch(
        """
        SELECT u.id, u.unit_id, u.code, u.category_id, c.code AS category, k.position, p.code AS parent
        FROM cycle_units u
        JOIN categories c ON c.tenant_id = u.tenant_id AND c.id = u.category_id
        JOIN cycle_categories k ON k.tenant_id = u.tenant_id AND k.cycle_id = u.cycle_id
             AND k.category_id = u.category_id
        LEFT JOIN cycle_units p ON p.tenant_id = u.tenant_id AND p.id = u.parent_id
        WHERE u.tenant_id = $1 AND u.cycle_id = $2 AND u.assessed ORDER BY u.id
        """,
        tx.tenant_id,
        cycle_id,
    )
    return [
        RunUnit(r["id"], r["unit_id"], r["code"], r["category_id"], r["category"], r["position"], r["parent"])
        for r in rows
    ]


async def _leaves(tx: Transaction, version_id: UUID, document: dict[str, Any]) -> list[Leaf]:
    policy = document["settings"].get("missingPolicy")
    rows = await tx.fetch(
        """
        SELECT i.id, i.code, i.rule ->> 'kind' AS kind, i.rule -> 'groups' AS groups,
               coalesce(i.missing_policy, $3) = 'CARRY_OVER' AS carries_over,
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
            groups=tuple(group["name"] for group in orjson.loads(row["groups"] or "[]") or ())
            if row["kind"] == "AWARD"
            else (),
        )
        for row in rows
    ]


async def _group_awards(tx: Transaction, cycle_id: UUID, leaf: Leaf, units: list[RunUnit]) -> dict[str, ItemColumn]:
    """Single awards of each group, of the units whose leaf is settled."""
    rows = await tx.fetch(
        placed(
            f"""SELECT am.cycle_unit_id, aw.group_name, trim_scale(aw.marks)::text AS marks
                FROM assessments am CROSS JOIN LATERAL ({AWARDS}) aw
                WHERE am.tenant_id = $1 AND am.cycle_id = $2 AND am.indicator_id = $3 AND am.state = 'ACCEPTED'
                ORDER BY am.cycle_unit_id, aw.marks""",
            t="am",
        ),
        tx.tenant_id,
        cycle_id,
        leaf.id,
    )
    held: dict[str, dict[UUID, list[str]]] = {name: {} for name in leaf.groups}
    for row in rows:
        held[row["group_name"]].setdefault(row["cycle_unit_id"], []).append(row["marks"])
    return {
        name: ItemColumn.of_scores([own.get(unit.id) for unit in units], scale=AWARD_SCALE)
        for name, own in held.items()
    }


def _column(item: Item, state: States, given: Settled) -> ItemColumn:
    state = np.where((state <= State.CARRIED) & ~given.there, State.MISSING, state).astype(np.uint8)
    if item.plain:
        return ItemColumn(state, given.numbers, scale=item.scale)
    values = given.texts
    states = [State(value) for value in state.tolist()]
    match item.type:
        case "COUNTS":
            return ItemColumn.of_counts([_detail(value, "counts") for value in values], states=states)
        case "SCORES":
            return ItemColumn.of_scores([_detail(value, "scores") for value in values], scale=item.scale, states=states)
        case "CHOICE":
            place = {code: index for index, code in enumerate(item.options)}
            chosen = [place.get(_detail(value, "choice")) for value in values]
            # Only the last cycle's choice can be an option that is no more.
            gone = np.array([each is None for each in chosen], bool) & (state <= State.CARRIED)
            state = np.where(gone, State.MISSING, state).astype(np.uint8)
            return ItemColumn(state, whole_numbers([each or 0 for each in chosen]))
    raise ValueError(f"a data item of type {item.type}")


def _detail(value: str | None, key: str) -> Any:
    return None if value is None else (orjson.loads(value) or {}).get(key)


class _Before:
    """The last cycle's settled values of items, each read once (上期值)."""

    def __init__(self, tx: Transaction, cycle_id: UUID, previous_cycle_id: UUID | None) -> None:
        self._tx = tx
        self._cycle_id = cycle_id
        self._previous_cycle_id = previous_cycle_id
        self._read: dict[UUID, list[str | None]] = {}

    async def values(self, item: Item) -> list[str | None]:
        """Per assessed unit: a plain decimal, or the JSON of its parts; None where nothing was settled.

        Where several leaves settled the item, the last settlement counts.
        """
        if self._previous_cycle_id is None:
            return []
        if item.id not in self._read:
            number = "trim_scale(a.settled_numbers[x.position + 1])::text"
            row = await self._tx.fetchrow(
                f"""
                SELECT array_agg(p.value ORDER BY u.id) AS settled
                FROM cycle_units u LEFT JOIN LATERAL (
                    SELECT {number if item.plain else "(a.settled_details -> x.position)::text"} AS value
                    FROM cycle_units b
                    JOIN assessments a ON a.tenant_id = b.tenant_id AND a.cycle_unit_id = b.id
                         AND a.state IN ('ACCEPTED', 'ADJUSTED')
                    JOIN indicator_items x ON x.tenant_id = a.tenant_id AND x.indicator_id = a.indicator_id
                         AND x.data_item_id = $4
                    WHERE b.tenant_id = u.tenant_id AND b.cycle_id = $3 AND b.unit_id = u.unit_id
                    ORDER BY a.settled_at DESC, a.id LIMIT 1
                ) p ON true
                WHERE u.tenant_id = $1 AND u.cycle_id = $2 AND u.assessed
                """,
                self._tx.tenant_id,
                self._cycle_id,
                self._previous_cycle_id,
                item.id,
            )
            assert row is not None
            self._read[item.id] = row["settled"] or []
        return self._read[item.id]

    async def column(self, item: Item, count: int) -> ItemColumn:
        """The same as a column, missing where nothing was settled."""
        values = await self.values(item)
        if not values:
            return ItemColumn.absent(count)
        if item.plain:
            return ItemColumn.of(values, scale=max(item.scale, _places(values)))
        return _column(item, np.zeros(count, np.uint8), Settled.of_texts(values))


def _places(values: Iterable[str | None]) -> int:
    """Most decimal places of plain decimals."""
    return max((len(value.partition(".")[2]) for value in values if value is not None), default=0)


def _carry(item: Item, column: ItemColumn, given: Settled, before: list[str | None]) -> ItemColumn:
    """The column with the last cycle's values in place of missing ones (上期结转)."""
    use = (column.state == State.MISSING) & np.array([value is not None for value in before] or [False], bool)
    if not use.any():
        return column
    taken = [value if wanted else None for wanted, value in zip(use.tolist(), before, strict=True)]
    state = np.where(use, State.CARRIED, column.state).astype(np.uint8)
    if not item.plain:
        return _column(item, state, Settled.of_texts([old or own for old, own in zip(taken, given.texts, strict=True)]))
    # The item may have had more decimal places then.
    scale = max(column.scale, _places(taken))
    own = column.numbers.astype(object) * 10 ** (scale - column.scale)
    numbers = [number if old is None else scaled(Decimal(old), scale) for old, number in zip(taken, own, strict=True)]
    return ItemColumn(state, whole_numbers(numbers), scale)


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
