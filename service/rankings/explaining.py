"""Explanations of results (得分说明), reckoned when they are asked for from what the run stored.

A run keeps its snapshot, never its explanations: the engine opens a unit's total again, and what it says is only shown
where the total is the one that was written. Snapshots of the runs last asked about stay in memory.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Final, ParamSpec, TypeVar
from uuid import UUID

import asyncpg

from service.events.states import event_code
from service.rankings.gradebook import Reading, decisions_of
from service.rankings.snapshot import unpack
from service.scoring import Result, Scheme, Snapshot, Step, Text, compute, effective_marks, explain, parse_scheme
from service.scoring.numbers import format_rational

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("kaoping.rankings")

MOST_KEPT: Final = 64 * 1024 * 1024
"""Bytes of snapshots (as JSON) that stay in memory; the run last asked about stays whatever its size."""

MOST_EXPLAINED: Final = 200
"""Units whose steps stay in memory."""

REASONS_LISTED: Final = 10
"""Leaves whose reasons a node above them tells."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a leaf's settled values came from: the review that settled them, and the revisions it judged, by item."""

    review_id: UUID | None
    revisions: Mapping[UUID, UUID]


NOWHERE: Final = Origin(None, {})


@dataclass(frozen=True, slots=True)
class Explained:
    """The explanation of one standing. Steps name nodes, data items and events by code; these are their ids."""

    steps: Sequence[Step]
    indicators: Mapping[str, UUID]
    data_items: Mapping[str, UUID]
    events: Mapping[str, UUID]
    origins: Mapping[str, Origin]
    names: Mapping[str, str]
    """Names of nodes by code."""
    marks: Mapping[str, Fraction]
    """Marks of the whole that each node stood for."""

    def reason(self, code: str) -> Text | None:
        """Why a node has less than its full marks (扣分原因); None where it has them, or is not there."""
        step = next((each for each in self.steps if each.key == code and each.kind in ("LEAF", "AGGREGATE")), None)
        if step is None or (step.result is not None and step.result >= 100):
            return None
        if step.kind == "LEAF":
            return self._words(step)
        lost = [leaf for leaf in self._leaves_below(code) if leaf.result is not None and leaf.result < 100]
        lost = [leaf for leaf in lost if self._lost(leaf) > 0]
        if not lost:
            return self._words(step) if step.result is None else None
        listed = sorted(sorted(lost, key=self._lost, reverse=True)[:REASONS_LISTED], key=self.steps.index)
        told = [(self.names[str(leaf.indicator)], self._words(leaf)) for leaf in listed]
        more = len(lost) - len(listed)
        return Text(
            "；".join(f"{name}：{words.zh}" for name, words in told) + (f"；另有{more}项" if more else ""),
            "; ".join(f"{name}: {words.en}" for name, words in told) + (f"; and {more} more" if more else ""),
        )

    def _words(self, step: Step) -> Text:
        """What a node's step says, without the node's name."""
        name = self.names[str(step.indicator)]
        return Text(step.text.zh.removeprefix(f"{name}："), step.text.en.removeprefix(f"{name}: "))

    def _lost(self, step: Step) -> Fraction:
        return self.marks.get(str(step.indicator), Fraction(0)) * (100 - (step.result or Fraction(0)))

    def _leaves_below(self, code: str) -> list[Step]:
        inside, found = {code}, []
        for step in self.steps:
            if step.parent_key in inside:
                inside.add(step.key)
                if step.kind == "LEAF":
                    found.append(step)
        return found


async def explanations(reader: Reading, standing_ids: Sequence[UUID]) -> dict[UUID, Explained]:
    """The explanations of standings, by id. Left out are those that the engine of today would not reckon the same."""
    rows = await reader.fetch(_STANDINGS, reader.tenant_id, list(dict.fromkeys(standing_ids)))
    found: dict[UUID, Explained] = {}
    for run_id in dict.fromkeys(row["run_id"] for row in rows):
        of_run = [row for row in rows if row["run_id"] == run_id]
        steps = await _steps_of(reader, run_id, {row["unit"]: row["exact"] for row in of_run})
        if not steps:
            continue
        codes = await _codes(reader, of_run[0]["cycle_id"], of_run[0]["scheme_version_id"])
        notes = await _notes(reader, of_run)
        for row in of_run:
            if row["unit"] in steps:
                found[row["id"]] = _explained(*steps[row["unit"]], codes, notes.get(row["cycle_unit_id"], {}))
    return found


_STANDINGS = """
SELECT s.id, s.run_id, s.exact, s.cycle_unit_id, u.code AS unit, r.snapshot_at, r.cycle_id, c.scheme_version_id
FROM standings s
JOIN cycle_units u ON u.tenant_id = s.tenant_id AND u.id = s.cycle_unit_id
JOIN ranking_runs r ON r.tenant_id = s.tenant_id AND r.id = s.run_id
JOIN cycles c ON c.tenant_id = s.tenant_id AND c.id = r.cycle_id
WHERE s.tenant_id = $1 AND s.id = ANY($2::uuid[])
"""


# --- runs in memory ---


@dataclass(frozen=True, slots=True)
class _Run:
    """A run computed again."""

    scheme: Scheme
    snapshot: Snapshot
    result: Result
    places: Mapping[str, int]
    size: int


_Key = tuple[UUID, UUID, int]
"""Tenant, run, and how many of its groups of equals have been ordered: each order computes its grades anew."""


class _Runs:
    """The runs last asked about and what was explained of them, within bounds; for the one thread that explains."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._runs: OrderedDict[_Key, _Run] = OrderedDict()
        self._steps: OrderedDict[tuple[UUID, UUID, int, int], list[Step]] = OrderedDict()

    def __contains__(self, key: _Key) -> bool:
        return key in self._runs

    def get(self, key: _Key, packed: bytes | None, decisions: Mapping[str, int]) -> _Run | None:
        """The run, computed of its snapshot where it is not here; None where there is neither."""
        run = self._runs.get(key)
        if run is None:
            if packed is None:
                return None
            run = _computed(packed, decisions)
            self._runs[key] = run
            self._size += run.size
        self._runs.move_to_end(key)
        while self._size > self._most and len(self._runs) > 1:
            _, oldest = self._runs.popitem(last=False)
            self._size -= oldest.size
        return run

    def steps(self, key: _Key, run: _Run, place: int) -> list[Step]:
        """The explanation of one unit of a run that is here."""
        found = self._steps.get((*key, place))
        if found is None:
            found = self._steps[*key, place] = explain(run.scheme, run.snapshot, run.result, place)
            if len(self._steps) > MOST_EXPLAINED:
                self._steps.popitem(last=False)
        return found


def _computed(packed: bytes, decisions: Mapping[str, int]) -> _Run:
    found = unpack(packed)
    snapshot = replace(found.snapshot, decisions=decisions)
    scheme, faults = parse_scheme(found.document)
    if scheme is None:
        raise RuntimeError(f"The scheme of a snapshot has faults: {faults[:3]}")
    result = compute(scheme, snapshot)
    places = {unit: place for place, unit in enumerate(snapshot.units)}
    return _Run(scheme, snapshot, result, places, found.size)


_runs = _Runs(MOST_KEPT)
_explaining = ThreadPoolExecutor(1, "explaining")
"""One thread, so that however many ask, a snapshot is computed once, and the rest of the product goes on."""

_Steps = tuple[Scheme, list[Step]]


async def _steps_of(reader: Reading, run_id: UUID, wanted: Mapping[str, str | None]) -> dict[str, _Steps]:
    """Steps of units of a run; `wanted` are their exact totals as they were written.

    One unit after the other, so that who asks about one need not wait for who asks about many.
    """
    turns, decisions = await decisions_of(reader, run_id)
    key = (reader.tenant_id, run_id, turns)
    found: dict[str, _Steps] = {}
    for unit, written in wanted.items():
        run = await _within(_runs.get, key, None, decisions) if key in _runs else None
        if run is None:
            stored = await reader.fetch(
                "SELECT document FROM run_snapshots WHERE tenant_id = $1 AND run_id = $2", *key[:2]
            )
            if not stored:
                break
            run = await _within(_runs.get, key, bytes(stored[0]["document"]), decisions)
        steps = None if run is None else await _within(_explain, key, run, unit, written)
        if run is not None and steps is not None:
            found[unit] = (run.scheme, steps)
    return found


async def _within(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call in the thread that explains."""
    return await asyncio.get_running_loop().run_in_executor(_explaining, partial(function, *arguments, **named))


def _explain(key: _Key, run: _Run, unit: str, written: str | None) -> list[Step] | None:
    place = run.places[unit]
    total = run.result.exact_total(place)
    if (None if total is None else format_rational(total)) != written:
        logger.warning("The engine of today does not reckon run %s as it was written.", key[1])
        return None
    return _runs.steps(key, run, place)


# --- what the steps speak of ---


@dataclass(frozen=True, slots=True)
class _Codes:
    indicators: Mapping[str, UUID]
    data_items: Mapping[str, UUID]
    events: Mapping[str, UUID]


async def _codes(reader: Reading, cycle_id: UUID, version_id: UUID) -> _Codes:
    nodes = await reader.fetch(
        "SELECT code, id FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2", reader.tenant_id, version_id
    )
    items = await reader.fetch(
        "SELECT code, data_item_id FROM scheme_version_items WHERE tenant_id = $1 AND scheme_version_id = $2",
        reader.tenant_id,
        version_id,
    )
    events = await reader.fetch(
        "SELECT number, id FROM events WHERE tenant_id = $1 AND cycle_id = $2", reader.tenant_id, cycle_id
    )
    return _Codes(
        {row["code"]: row["id"] for row in nodes},
        {row["code"]: row["data_item_id"] for row in items},
        {event_code(row["number"]): row["id"] for row in events},
    )


_NOTES = """
SELECT a.cycle_unit_id, i.code, w.id AS review_id, n.decision, n.reason,
       coalesce(w.revision_ids, CASE WHEN a.settled_at <= q.at THEN a.pinned_revision_ids END) AS revision_ids,
       (SELECT array_agg(x.data_item_id ORDER BY x.position) FROM indicator_items x
        WHERE x.tenant_id = a.tenant_id AND x.indicator_id = a.indicator_id) AS data_item_ids
FROM unnest($2::uuid[], $3::timestamptz[]) AS q(unit, at)
JOIN assessments a ON a.tenant_id = $1 AND a.cycle_unit_id = q.unit
JOIN indicators i ON i.tenant_id = a.tenant_id AND i.id = a.indicator_id
LEFT JOIN LATERAL (
    SELECT rw.id, rw.revision_ids, rw.decision FROM reviews rw
    WHERE rw.tenant_id = a.tenant_id AND rw.assessment_id = a.id AND rw.at <= q.at ORDER BY rw.id DESC LIMIT 1
) w ON w.decision <> 'RETURN'
LEFT JOIN LATERAL (
    SELECT rn.decision, rn.reason FROM reviews rn
    WHERE rn.tenant_id = a.tenant_id AND rn.assessment_id = a.id AND rn.at <= q.at AND w.id IS NOT NULL
      AND rn.decision IN ('AWARD', 'ADJUST', 'REJECT', 'NOT_APPLICABLE', 'RETURN') ORDER BY rn.id DESC LIMIT 1
) n ON n.decision <> 'RETURN'
"""
"""Per leaf of a unit, as of the snapshot: the review that settled it, and the last one that said why."""

_WHY: Final = {
    "AWARD": Text("扣分原因", "reason"),
    "ADJUST": Text("核定理由", "reason for the adjusted value"),
    "REJECT": Text("理由", "reason"),
    "NOT_APPLICABLE": Text("理由", "reason"),
}


@dataclass(frozen=True, slots=True)
class _Note:
    origin: Origin
    why: Text | None


async def _notes(reader: Reading, rows: Iterable[asyncpg.Record]) -> dict[UUID, dict[str, _Note]]:
    """Per unit and leaf, what reviews said."""
    listed = list(rows)
    records = await reader.fetch(
        _NOTES, reader.tenant_id, [row["cycle_unit_id"] for row in listed], [row["snapshot_at"] for row in listed]
    )
    found: dict[UUID, dict[str, _Note]] = {}
    for record in records:
        word = _WHY.get(record["decision"]) if record["reason"] else None
        why = word and Text(f"{word.zh}：{record['reason']}", f"{word.en}: {record['reason']}")
        revisions = zip(record["data_item_ids"] or (), record["revision_ids"] or (), strict=False)
        origin = Origin(record["review_id"], {item: key for item, key in revisions if key is not None})
        found.setdefault(record["cycle_unit_id"], {})[record["code"]] = _Note(origin, why)
    return found


def _explained(scheme: Scheme, steps: list[Step], codes: _Codes, notes: Mapping[str, _Note]) -> Explained:
    told = []
    for step in steps:
        note = notes.get(step.key) if step.kind == "LEAF" else None
        if note is not None and note.why is not None:
            text = Text(f"{step.text.zh}；{note.why.zh}", f"{step.text.en}; {note.why.en}")
            step = replace(step, text=text)
        told.append(step)
    return Explained(
        steps=told,
        indicators=codes.indicators,
        data_items=codes.data_items,
        events=codes.events,
        origins={code: note.origin for code, note in notes.items()},
        names={node.code: node.name for node in scheme.indicators},
        marks=effective_marks(scheme, steps),
    )
