"""What-ifs (试算): another version, other weights or other values over the snapshot of a run.

A trial has tables of its own and is thrown away after some days; runs, standings and publications never see it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from service import audit, jobs, rankings, schemes
from service.access import SYSTEM, Actor, Role
from service.checks import Check
from service.errors import ErrorCode, Invalid, Issue, NotFound, Path
from service.jobs import WHAT_IF, JobRun, WhatIfArguments
from service.rankings.gradebook import PROPOSED_GRADE
from service.rankings.snapshot import unpack
from service.reports.values import Content, PinnedItem, Value, check_content, read_value
from service.schemes.documents import VersionRows, document_of, read_version
from service.scoring import (
    DataItem,
    Fault,
    InvalidInput,
    OtherValue,
    Outcome,
    Result,
    Snapshot,
    outcomes,
    parse_scheme,
    tried,
    tried_scheme,
)
from service.scoring.engine import Progress
from service.scoring.numbers import format_decimal
from service.scoring.text import Text
from service.scoring.trials import Held
from tenants.database import Transaction
from tenants.ids import uuid7, uuid7s

KEPT_DAYS: Final = 7
"""Days after which a trial is thrown away."""

MOST_WEIGHTS: Final = 2_000
MOST_VALUES: Final = 5_000
"""Other values of one trial."""


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """Another weight, or other points under POINTS, of a node."""

    indicator_code: str
    weight: str


@dataclass(frozen=True, slots=True)
class ValueSpec:
    """Another value of a unit."""

    cycle_unit_id: str
    data_item_id: str
    content: Content
    period: str | None = None


async def start_what_if(
    tx: Transaction,
    actor: Actor,
    *,
    run_id: str,
    scheme_version_id: str | None = None,
    weights: Sequence[WeightSpec] = (),
    values: Sequence[ValueSpec] = (),
) -> UUID:
    """Ask for a trial over the snapshot of a finished run; the trial's id. All that can be judged is judged now."""
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    path: Path = ("input", "schemeVersionId")
    check.id(("input", "runId"), run_id, "RankingRun")
    if scheme_version_id is not None:
        check.id(path, scheme_version_id, "SchemeVersion")
    if check.found:
        _read_the_rest(check, weights, values)
        check.done()
    run = await rankings.finished_run(tx, run_id)
    own: UUID = await tx.fetchval(
        "SELECT scheme_version_id FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, run["cycle_id"]
    )
    wanted = own if scheme_version_id is None else check.id(path, scheme_version_id, "SchemeVersion")
    rows = None if wanted is None else await read_version(tx, wanted)
    if wanted is not None and rows is None:
        check.unknown(path)
    if scheme_version_id is None and not weights and not values:
        check.invalid(
            ("input",),
            "没有要试算的变化。",
            "There is nothing to try.",
            hint=Text(zh="请给出另一版本、权重或数值。", en="Give another version, weights or values."),
        )
    sizes = _weights(check, weights)
    given = await _values(tx, check, run["cycle_id"], rows, values)
    if rows is not None:
        before, _ = parse_scheme(await schemes.scheme_document(tx, own, keys="code"))
        assert before is not None, "the version of a cycle was sound when it was frozen"
        try:
            tried_scheme(before, document_of(rows, keys="code"), sizes)
        except InvalidInput as error:
            places = {spec.indicator_code: place for place, spec in reversed(list(enumerate(weights)))}
            for fault in error.faults:
                check.add(ErrorCode.INVALID, _place(fault, places), fault.text, fault.hint)
    check.done()
    assert wanted is not None
    key = uuid7()
    job_id = await jobs.request(
        tx, actor, WHAT_IF, subject=("WhatIf", key), dedupe_key=f"what-if {key}", arguments=WhatIfArguments(key)
    )
    await tx.execute(
        """INSERT INTO what_ifs (tenant_id, id, run_id, scheme_version_id, job_id, given, requested_by_id, requested_at,
                                 expires_at)
           VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, now(), now() + make_interval(days => $8))""",
        tx.tenant_id,
        key,
        run["id"],
        wanted,
        job_id,
        orjson.dumps(
            {"weights": {code: format_decimal(size) for code, size in sizes.items()}, "values": given},
            option=orjson.OPT_SORT_KEYS,
        ).decode(),
        None if actor.id == SYSTEM else actor.id,
        KEPT_DAYS,
    )
    await audit.append(
        tx,
        actor,
        "startWhatIf",
        subject=("WhatIf", key),
        summary=Text(zh=f"以第{run['number']}次测算的数据试算", en=f"Started a trial over run {run['number']}"),
        facts={"weights": len(sizes), "values": len(given)},
    )
    return key


def _place(fault: Fault, weights: Mapping[str, int]) -> Path:
    """Where in the input a fault of the tried scheme is: at the weight that it names, the weights, or the version."""
    if fault.path[0] != "weights":
        return ("input", "schemeVersionId")
    named = next((code for code in reversed(fault.path) if code in weights), None)
    return ("input", "weights") if named is None else ("input", "weights", str(weights[named]), "indicatorCode")


def _read_the_rest(check: Check, weights: Sequence[WeightSpec], values: Sequence[ValueSpec]) -> None:
    """What a version would judge, where none is looked up: only what can't be read is noted."""
    for place, weight in enumerate(weights[:MOST_WEIGHTS]):
        check.line(("input", "weights", str(place), "indicatorCode"), weight.indicator_code)
        check.decimal(("input", "weights", str(place), "weight"), weight.weight)
    for place, value in enumerate(values[:MOST_VALUES]):
        own = ("input", "values", str(place))
        check.id((*own, "cycleUnitId"), value.cycle_unit_id, "CycleUnit")
        check.id((*own, "dataItemId"), value.data_item_id, "DataItem")
        check_content(check, (*own, "content"), value.content)
        if value.period is not None:
            check.line((*own, "period"), value.period)


def _weights(check: Check, weights: Sequence[WeightSpec]) -> dict[str, Fraction]:
    path = ("input", "weights")
    found: dict[str, Fraction] = {}
    for place, spec in enumerate(weights if check.at_most(path, weights, MOST_WEIGHTS) else ()):
        size = check.decimal((*path, str(place), "weight"), spec.weight, minimum=Decimal(0))
        if spec.indicator_code in found:
            check.duplicate((*path, str(place), "indicatorCode"), "指标重复。", "The indicator occurs twice.")
        if size is not None:
            found[spec.indicator_code] = Fraction(size)
    return found


async def _values(
    tx: Transaction, check: Check, cycle_id: UUID, rows: VersionRows | None, values: Sequence[ValueSpec]
) -> list[dict[str, Any]]:
    """Other values in codes, as the trial keeps them."""
    path = ("input", "values")
    if rows is None or not values or not check.at_most(path, values, MOST_VALUES):
        return []
    items = {row["id"]: PinnedItem.of({**row, "data_item_id": row["id"]}) for row in rows.items}
    unit_ids = [check.id((*path, str(n), "cycleUnitId"), v.cycle_unit_id, "CycleUnit") for n, v in enumerate(values)]
    units = {
        row["id"]: row["code"]
        for row in await tx.fetch(
            """SELECT id, code FROM cycle_units
               WHERE tenant_id = $1 AND cycle_id = $2 AND assessed AND id = ANY($3::uuid[])""",
            tx.tenant_id,
            cycle_id,
            [key for key in unit_ids if key is not None],
        )
    }
    found: list[dict[str, Any]] = []
    seen: set[tuple[UUID, UUID]] = set()
    for place, (spec, unit) in enumerate(zip(values, unit_ids, strict=True)):
        own = (*path, str(place))
        item_id = check.id((*own, "dataItemId"), spec.data_item_id, "DataItem")
        item = None if item_id is None else items.get(item_id)
        if unit is not None and unit not in units:
            check.unknown((*own, "cycleUnitId"))
        if item_id is not None and item is None:
            check.unknown((*own, "dataItemId"))
        if spec.period is not None:
            check.invalid((*own, "period"), "该数据项不分期。", "This item is asked for once, without periods.")
        value = None if item is None else read_value(check, (*own, "content"), spec.content, item)
        if item is None or unit not in units or value is None or item_id is None or unit is None:
            continue
        if (unit, item_id) in seen:
            check.duplicate(own, "该单位的这个数据项重复。", "This item of this unit occurs twice.")
        seen.add((unit, item_id))
        found.append({"unit": units[unit], "dataItem": item.code, **_kept(value)})
    return found


def _kept(value: Value) -> dict[str, Any]:
    return {"number": f"{value.number:f}"} if value.number is not None else dict(value.detail or {})


# --- the job ---


async def forget(tx: Transaction) -> int:
    """Throw trials away that have had their days; how many."""
    return await tx.execute("DELETE FROM what_ifs WHERE tenant_id = $1 AND expires_at < now()", tx.tenant_id)


async def compute_what_if(run: JobRun) -> None:
    """The step of a WHAT_IF: the snapshot once more under other rules, and each unit beside its real result."""
    key = run.arguments(WHAT_IF).what_if_id
    run.progress("SNAPSHOT")
    async with run.db.transaction(run.tenant_id, read_only=True, isolation="REPEATABLE READ") as tx:
        trial = await tx.fetchrow(
            """SELECT w.run_id, w.scheme_version_id, w.given, s.document AS packed FROM what_ifs w
               JOIN run_snapshots s ON s.tenant_id = w.tenant_id AND s.run_id = w.run_id
               WHERE w.tenant_id = $1 AND w.id = $2""",
            tx.tenant_id,
            key,
        )
        if trial is None:
            raise NotFound(("whatIf",))
        document = await schemes.scheme_document(tx, trial["scheme_version_id"], keys="code")
        real = await _real(tx, trial["run_id"])
    result = await run.compute(_try, run, trial["packed"], document, orjson.loads(trial["given"]), _categories(real))
    run.progress("WRITING", len(real), len(real), percent=80)
    outcome = outcomes(result)
    names = {grade.code: grade.name for grade in result.scheme.settings.grades}
    after = [outcome[row["unit"]] for row in real]
    async with run.committing() as tx:
        await tx.execute(
            """INSERT INTO what_if_changes (tenant_id, what_if_id, id, cycle_unit_id, category_id, position,
                                            total_before, rank_before, grade_before, total_after, rank_after,
                                            grade_after)
               SELECT $1, $2, c.* FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::numeric[], $8::int[],
                                              $9::text[], $10::numeric[], $11::int[], $12::text[]) AS c""",
            tx.tenant_id,
            key,
            uuid7s(len(real)),
            [row["cycle_unit_id"] for row in real],
            [row["category_id"] for row in real],
            [row["position"] for row in real],
            [row["total"] for row in real],
            [row["rank"] for row in real],
            [row["grade"] for row in real],
            [each.total for each in after],
            [each.rank for each in after],
            [None if each.grade is None else names[each.grade] for each in after],
        )
        await tx.execute("UPDATE what_ifs SET finished_at = now() WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key)
        await audit.append(
            tx,
            run.actor,
            "computeWhatIf",
            subject=("WhatIf", key),
            summary=Text(zh=f"完成试算，共{len(real)}个单位", en=f"Computed the trial over {len(real)} units"),
        )


async def _real(tx: Transaction, run_id: UUID) -> list[asyncpg.Record]:
    """What every unit really has, with the name of its computed grade; in the order of the board.

    `category` is the code of its category today, as a document that is read now names it.
    """
    grade = PROPOSED_GRADE.replace("{tenant}", "$1").replace("{t}", "st")
    return await tx.fetch(
        f"""SELECT cu.code AS unit, cu.name, {grade} AS grade_code, st.cycle_unit_id, st.category_id,
                   k.code AS category, st.position, st.total, st.rank,
                   (SELECT gr.value ->> 'name' FROM jsonb_array_elements(v.settings -> 'grades') gr
                    WHERE gr.value ->> 'code' = {grade}) AS grade
            FROM standings st
            JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
            JOIN cycles c ON c.tenant_id = cu.tenant_id AND c.id = cu.cycle_id
            JOIN scheme_versions v ON v.tenant_id = c.tenant_id AND v.id = c.scheme_version_id
            JOIN categories k ON k.tenant_id = st.tenant_id AND k.id = st.category_id
            WHERE st.tenant_id = $1 AND st.run_id = $2 ORDER BY st.position""",
        tx.tenant_id,
        run_id,
    )


def _categories(real: Sequence[asyncpg.Record]) -> dict[str, str]:
    return {row["unit"]: row["category"] for row in real}


def _in(snapshot: Snapshot, categories: Mapping[str, str]) -> Snapshot:
    """A snapshot whose categories have the codes of today."""
    return replace(snapshot, categories=[categories[unit] for unit in snapshot.units])


def _try(
    run: JobRun,
    packed: bytes,
    document: Mapping[str, Any],
    given: Mapping[str, Any],
    categories: Mapping[str, str],
) -> Result:
    """All that needs no database; runs in a thread."""

    def tell(stage: str, done: int, of: int) -> None:
        run.progress("SCORING", percent=20 if stage == "LEAVES" else 60)

    try:
        return try_out(packed, document, given, categories, progress=tell)
    except InvalidInput as error:
        issues = [Issue(ErrorCode.INVALID, ("whatIf", *fault.path), fault.text, fault.hint) for fault in error.faults]
        raise Invalid(issues) from error


def try_out(
    packed: bytes,
    document: Mapping[str, Any],
    given: Mapping[str, Any],
    categories: Mapping[str, str],
    *,
    progress: Progress | None = None,
) -> Result:
    """A stored snapshot under another document, weights and values (as `given` of a trial); raises InvalidInput.

    `categories` are codes of units' categories as the document has them: they may have had others at the snapshot.
    """
    stored = unpack(packed)
    before, faults = parse_scheme(stored.document)
    if before is None:
        raise RuntimeError(f"The scheme of a snapshot has faults: {faults[:3]}")
    scheme = tried_scheme(before, document, {code: Fraction(size) for code, size in given["weights"].items()})
    values = [
        OtherValue(each["unit"], each["dataItem"], _held(scheme.data_items[each["dataItem"]], each))
        for each in given["values"]
        # A draft may have lost an item since it was asked for.
        if each["dataItem"] in scheme.data_items
    ]
    return tried(before, _in(stored.snapshot, categories), scheme, values, progress=progress)


def _held(item: DataItem, kept: Mapping[str, Any]) -> Held:
    if "counts" in kept:
        counts: Mapping[str, int] = kept["counts"]
        return counts
    if "scores" in kept:
        return [Decimal(score) for score in kept["scores"]]
    if "choice" in kept:
        return Decimal([option.code for option in item.options].index(kept["choice"]))
    return Decimal(kept["number"])


# --- at once, for the command line ---


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it was kept, and the document that is to be tried on it."""

    own_document: dict[str, Any]
    document: dict[str, Any]
    snapshot: Snapshot
    outcomes: Mapping[str, Outcome]
    names: Mapping[str, str]
    """Of the units."""


async def stored_run(
    tx: Transaction, *, cycle_code: str, number: int | None = None, version: int | None = None
) -> StoredRun:
    """A run of a cycle, the newest that succeeded unless its number is given; another version of the scheme by number.

    Raises NotFound.
    """
    row = await tx.fetchrow(
        """SELECT r.id, s.document, v.scheme_id FROM ranking_runs r
           JOIN cycles c ON c.tenant_id = r.tenant_id AND c.id = r.cycle_id
           JOIN scheme_versions v ON v.tenant_id = c.tenant_id AND v.id = c.scheme_version_id
           JOIN run_snapshots s ON s.tenant_id = r.tenant_id AND s.run_id = r.id
           WHERE r.tenant_id = $1 AND c.code = $2 AND r.number = coalesce($3, r.number)
           ORDER BY r.number DESC LIMIT 1""",
        tx.tenant_id,
        cycle_code,
        number,
    )
    if row is None:
        raise NotFound(("run",))
    stored = unpack(row["document"])
    document = stored.document
    if version is not None:
        other = await tx.fetchval(
            "SELECT id FROM scheme_versions WHERE tenant_id = $1 AND scheme_id = $2 AND number = $3",
            tx.tenant_id,
            row["scheme_id"],
            version,
        )
        if other is None:
            raise NotFound(("version",))
        document = await schemes.scheme_document(tx, other, keys="code")
    real = await _real(tx, row["id"])
    return StoredRun(
        stored.document,
        document,
        stored.snapshot if version is None else _in(stored.snapshot, _categories(real)),
        {each["unit"]: Outcome(each["total"], each["rank"], each["grade_code"]) for each in real},
        {each["unit"]: each["name"] for each in real},
    )
