"""Proposing events (申报加减分事项、一票否决): up to 500 in a call, all or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import SYSTEM, Actor, Role, denied
from service.checks import Check
from service.errors import Contact, IllegalState, NotFound, Path
from service.events.rights import AS_DEPARTMENT, AS_ORGANISER, AS_SECRETARY
from service.events.states import CYCLE_STATES, KINDS, event_code
from service.reports.entries import digest_of
from service.reports.rights import OWN_UNIT, placed
from service.reviews.rights import RESPONSIBLE
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s

MOST_EVENTS = 500
"""Events proposed or decided in one call."""

AMOUNT_PLACES = 12
"""Decimal places of an amount."""


@dataclass(frozen=True)
class EventSpec:
    """An event as it is asked for: ids, date and amount as text. What it needs depends on its leaf's rule."""

    cycle_unit_id: str
    indicator_id: str
    matter: str
    title: str
    happened_on: str
    document_title: str
    level_code: str | None = None
    ground_code: str | None = None
    amount: str | None = None
    document_number: str | None = None


@dataclass(frozen=True)
class _Typed:
    """What of a spec can be judged by itself."""

    matter: str | None
    title: str | None
    happened_on: date | None
    document_title: str | None
    document_number: str | None


@dataclass(frozen=True)
class _Judged:
    """An event ready to be written."""

    row: asyncpg.Record
    typed: _Typed
    kind: str
    level: str | None
    ground: str | None
    amount: Decimal

    @property
    def same(self) -> tuple[Any, ...]:
        """What makes it the same event as another."""
        return (
            self.row["cycle_unit_id"],
            self.row["indicator_id"],
            self.typed.matter,
            self.level,
            self.ground,
            self.typed.happened_on,
        )


async def propose_events(tx: Transaction, actor: Actor, *, events: Sequence[EventSpec]) -> list[UUID]:
    """Propose events; their ids, in order. A proposed event changes nothing until another person confirms it.

    A unit's secretary proposes its own bonus, an assessor of a responsible unit any event of its leaves, but for the
    own unit, the organiser any. Raises Invalid, NotFound, AccessDenied or IllegalState; then nothing was written.
    """
    check = Check()
    path: Path = ("input", "events")
    if not events:
        check.invalid(path, "至少申报一项。", "Propose at least one event.")
    check.at_most(path, events, MOST_EVENTS)
    check.done()
    paths = [(*path, str(place)) for place in range(len(events))]
    units = [check.id((*at, "cycleUnitId"), e.cycle_unit_id, "CycleUnit") for at, e in zip(paths, events, strict=True)]
    leaves = [check.id((*at, "indicatorId"), e.indicator_id, "Indicator") for at, e in zip(paths, events, strict=True)]
    typed = [_read(check, at, event) for at, event in zip(paths, events, strict=True)]
    if check.found:
        for at, event in zip(paths, events, strict=True):
            _read_the_rest(check, at, event)
    check.done()
    rows = await _facts(tx, actor, [key for key in units if key], [key for key in leaves if key])
    for at, row in zip(paths, rows, strict=True):
        if row["cycle_id"] is None:
            raise NotFound((*at, "cycleUnitId"))
        if row["code"] is None:
            raise NotFound((*at, "indicatorId"))
    kinds = [_kind_of(check, at, row) for at, row in zip(paths, rows, strict=True)]
    check.done()
    for at, row, kind in zip(paths, rows, kinds, strict=True):
        _refuse_access(at, row, kind)
    for at, row in zip(paths, rows, strict=True):
        _refuse_cycle(at, row)
    judged = [
        _judge(check, at, event, row, each, kind)
        for at, event, row, each, kind in zip(paths, events, rows, typed, kinds, strict=True)
    ]
    await _refuse_repeated(tx, check, paths, judged)
    check.done()
    return await _write(tx, actor, judged)


def _read(check: Check, path: Path, event: EventSpec) -> _Typed:
    number = event.document_number
    return _Typed(
        matter=check.line((*path, "matter"), event.matter),
        title=check.line((*path, "title"), event.title),
        happened_on=check.date((*path, "happenedOn"), event.happened_on),
        document_title=check.line((*path, "documentTitle"), event.document_title),
        document_number=None if number is None else check.line((*path, "documentNumber"), number),
    )


def _read_the_rest(check: Check, path: Path, event: EventSpec) -> None:
    """What a leaf's rule would judge, where no leaf will be looked up: only what can't be read is noted."""
    for name, code in (("levelCode", event.level_code), ("groundCode", event.ground_code)):
        if code is not None:
            check.line((*path, name), code)
    if event.amount is not None:
        check.decimal((*path, "amount"), event.amount, scale=AMOUNT_PLACES)


async def _facts(tx: Transaction, actor: Actor, units: Sequence[UUID], leaves: Sequence[UUID]) -> list[asyncpg.Record]:
    """Unit, leaf and rights of each event, in order; columns are null where there is no such unit or leaf.

    The cycles are held first: their events are numbered one after the other.
    """
    await tx.fetch(
        """SELECT cy.id FROM cycles cy WHERE cy.tenant_id = $1 AND cy.id IN (
               SELECT cu.cycle_id FROM cycle_units cu WHERE cu.tenant_id = $1 AND cu.id = ANY ($2::uuid[]))
           ORDER BY cy.id FOR NO KEY UPDATE""",
        tx.tenant_id,
        list(units),
    )
    rows = await tx.fetch(
        placed(
            f"""
            SELECT ev.cycle_id, ev.cycle_unit_id, ev.indicator_id, ev.unit_id, ev.unit_name, ev.assessed,
                   cy.state AS cycle_state, cy.starts_on, cy.ends_on, {{today}} AS today,
                   li.code, li.name, li.rule, li.leaf, li.scheme_version_id = cy.scheme_version_id AS of_cycle,
                   {_APPLIES} AS applies, {_COUNTED_BY_A_LINE} AS by_a_line,
                   {AS_ORGANISER} AS organiser, {AS_DEPARTMENT} AS department, {AS_SECRETARY} AS secretary,
                   {OWN_UNIT} AS own_unit, {RESPONSIBLE} AS responsible_id
            FROM (SELECT gv.indicator_id, gv.cycle_unit_id, gv.place, cu.cycle_id, cu.unit_id, cu.assessed,
                         cu.category_id, cu.name AS unit_name
                  FROM unnest($3::uuid[], $4::uuid[]) WITH ORDINALITY AS gv(cycle_unit_id, indicator_id, place)
                  LEFT JOIN cycle_units cu ON cu.tenant_id = $1 AND cu.id = gv.cycle_unit_id) ev
            LEFT JOIN cycles cy ON cy.tenant_id = $1 AND cy.id = ev.cycle_id
            LEFT JOIN indicators li ON li.tenant_id = $1 AND li.id = ev.indicator_id
            ORDER BY ev.place
            """,
            t="ev",
            actor="$2",
        ),
        tx.tenant_id,
        actor.id,
        list(units),
        list(leaves),
    )
    return list(rows)


# A node is for its own categories, and for those of all above it.
_APPLIES = """NOT EXISTS (
    WITH RECURSIVE up AS (
        SELECT li.parent_id, li.category_ids
        UNION ALL
        SELECT pi.parent_id, pi.category_ids FROM up JOIN indicators pi ON pi.tenant_id = $1 AND pi.id = up.parent_id
    )
    SELECT 1 FROM up WHERE up.category_ids <> '{}' AND NOT ev.category_id = ANY (up.category_ids))"""

_COUNTED_BY_A_LINE = """EXISTS (
    SELECT 1 FROM indicators dl CROSS JOIN LATERAL jsonb_array_elements(dl.rule -> 'lines') ln(v)
    WHERE dl.tenant_id = $1 AND dl.scheme_version_id = li.scheme_version_id AND dl.rule ->> 'kind' = 'DEDUCT'
      AND ln.v ->> 'quantity' IS NULL AND ln.v ->> 'required' IS NULL
      AND coalesce(ln.v ->> 'eventIndicatorCode', dl.code) = li.code)"""


def _kind_of(check: Check, path: Path, row: asyncpg.Record) -> str:
    """The kind of an event under that leaf for that unit; what can't have one is noted."""
    rule = orjson.loads(row["rule"]) if row["rule"] else {}
    kind = KINDS.get(rule.get("kind", ""))
    here = (*path, "indicatorId")
    if not row["of_cycle"]:
        check.invalid(
            here, "该指标不属于本考核周期的方案。", "This indicator is not of the version that the cycle runs on."
        )
    elif kind is None or (kind == "BREACH" and not row["by_a_line"]):
        check.invalid(
            here,
            f"“{row['name']}”不按事项计分。",
            f"{row['name']} is not scored by events.",
            hint=Text(
                zh="请选择加分、减分、一票否决指标，或有事项扣分的扣分制指标。",
                en="Choose a leaf of bonus, deduction or veto, or one whose deductions count events.",
            ),
        )
    elif not row["assessed"]:
        check.invalid((*path, "cycleUnitId"), "该单位不参评。", "This unit is not assessed in the cycle.")
    elif not row["applies"]:
        check.invalid(
            here,
            f"“{row['name']}”不适用于“{row['unit_name']}”的考核类别。",
            f"{row['name']} is not for the category of {row['unit_name']}.",
        )
    return kind or ""


def _refuse_access(path: Path, row: asyncpg.Record, kind: str) -> None:
    if row["organiser"] or (row["secretary"] and kind == "BONUS"):
        return
    if row["department"] and not row["own_unit"]:
        return
    roles = [Role.ORGANISER, Role.ASSESSOR, *([Role.SECRETARY] if kind == "BONUS" else [])]
    if row["department"]:
        roles = [Role.ORGANISER]
        text = Text(
            zh="责任单位不得为本单位申报，请由考核办申报。",
            en="A department proposes nothing about itself; the organiser does.",
        )
    elif row["secretary"]:
        text = Text(
            zh="本单位只能申报加分；减分、扣分和一票否决由责任单位或考核办提出。",
            en="A unit proposes its own bonus; all else comes from a responsible department or the organiser.",
        )
    else:
        text = Text(
            zh="事项由考核办、责任单位的评分员提出；加分也可由本单位的填报员申报。",
            en="The organiser or an assessor of the responsible department proposes events; a unit proposes its bonus.",
        )
    units = {Role.ASSESSOR: row["responsible_id"], Role.SECRETARY: row["unit_id"]}
    raise denied(
        text,
        roles,
        # A leaf of no department is the organiser's alone.
        contacts=[Contact(role.value, units.get(role)) for role in roles if units.get(role, role) is not None],
        path=(*path, "indicatorId"),
    )


def _refuse_cycle(path: Path, row: asyncpg.Record) -> None:
    if row["cycle_state"] not in CYCLE_STATES:
        raise IllegalState(
            Text(zh="该考核周期现在不能申报事项。", en="Events of this cycle can't be proposed now."),
            state=row["cycle_state"],
            legal_from=CYCLE_STATES,
            subject=("Cycle", row["cycle_id"]),
            path=(*path, "cycleUnitId"),
            hint=Text(zh="启动填报之后、公示之前可以申报。", en="From its opening until the notice they can be."),
        )


def _judge(check: Check, path: Path, event: EventSpec, row: asyncpg.Record, typed: _Typed, kind: str) -> _Judged:
    rule: dict[str, Any] = orjson.loads(row["rule"])
    if typed.happened_on is not None:
        here = (*path, "happenedOn")
        if not row["starts_on"] <= typed.happened_on <= row["ends_on"]:
            check.invalid(
                here,
                f"应在考核周期{row['starts_on']}至{row['ends_on']}之内。",
                f"Must be within the cycle, {row['starts_on']} to {row['ends_on']}.",
            )
        elif typed.happened_on > row["today"]:
            check.invalid(here, "不能晚于今天。", "Must not be later than today.")
    level = _level(check, path, event, rule, kind)
    ground = _ground(check, path, event, rule, kind)
    return _Judged(
        row,
        typed,
        kind,
        None if level is None else level["code"],
        ground,
        _amount(check, (*path, "amount"), event.amount, level),
    )


def _level(check: Check, path: Path, event: EventSpec, rule: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The level of a bonus or deduction; other kinds have none."""
    here = (*path, "levelCode")
    if kind not in ("BONUS", "DEDUCTION"):
        if event.level_code is not None:
            check.invalid(here, "只有加分和减分事项有级别。", "Only bonus and deduction have levels.")
        return None
    levels = {level["code"]: level for level in rule["levels"]}
    if event.level_code not in levels:
        names = [f"{code}（{level.get('name') or code}）" for code, level in levels.items()]
        check.invalid(
            here,
            "请选择级别。" if event.level_code is None else "没有这个级别。",
            "Name the level." if event.level_code is None else "There is no such level.",
            hint=Text(zh="可选：" + "、".join(names), en="One of: " + ", ".join(levels)),
        )
        return None
    found: Mapping[str, Any] = levels[event.level_code]
    return found


def _ground(check: Check, path: Path, event: EventSpec, rule: Mapping[str, Any], kind: str) -> str | None:
    """The ground of a veto; other kinds have none."""
    here = (*path, "groundCode")
    if kind != "VETO":
        if event.ground_code is not None:
            check.invalid(here, "只有一票否决事项有否决情形。", "Only vetoes have grounds.")
        return None
    grounds = {ground["code"]: ground for ground in rule["grounds"]}
    if event.ground_code not in grounds:
        names = [f"{code}（{ground['name']}）" for code, ground in grounds.items()]
        check.invalid(
            here,
            "请选择否决情形。" if event.ground_code is None else "没有这个否决情形。",
            "Name the ground." if event.ground_code is None else "There is no such ground.",
            hint=Text(zh="可选：" + "、".join(names), en="One of: " + ", ".join(grounds)),
        )
        return None
    return event.ground_code


def _amount(check: Check, path: Path, raw: str | None, level: Mapping[str, Any] | None) -> Decimal:
    """What it adds or takes by itself: the level's points, or what was given where the level lets it vary."""
    points = Decimal(0) if level is None else Decimal(level["points"])
    if raw is None:
        return points
    if level is None:
        check.invalid(path, "该事项不另定分值。", "This event has no amount of its own.")
        return points
    most = None if level.get("maxPoints") is None else Decimal(level["maxPoints"])
    given = check.decimal(path, raw, scale=AMOUNT_PLACES)
    if given is None:
        return points
    if most is None and given != points:
        check.invalid(path, f"该级别的分值固定为{points:f}分。", f"An event of this level is always worth {points:f}.")
    elif most is not None and not points <= given <= most:
        check.invalid(path, f"应为{points:f}至{most:f}分。", f"Must be {points:f} to {most:f}.")
    return given


async def _refuse_repeated(tx: Transaction, check: Check, paths: Sequence[Path], judged: Sequence[_Judged]) -> None:
    """The same event twice: the same matter at another level, or on another day, is another one."""
    rows = await tx.fetch(
        """SELECT ev.number, ev.cycle_unit_id, ev.indicator_id, ev.matter, ev.level, ev.ground, ev.happened_on
           FROM events ev WHERE ev.tenant_id = $1 AND ev.cycle_unit_id = ANY ($2::uuid[])
             AND ev.state IN ('PROPOSED', 'CONFIRMED')""",
        tx.tenant_id,
        list({each.row["cycle_unit_id"] for each in judged}),
    )
    seen: dict[tuple[Any, ...], str | None] = {
        (r["cycle_unit_id"], r["indicator_id"], r["matter"], r["level"], r["ground"], r["happened_on"]): event_code(
            r["number"]
        )
        for r in rows
    }
    for path, each in zip(paths, judged, strict=True):
        if each.kind != "BREACH" and each.level is None and each.ground is None:
            continue
        if each.same in seen:
            code = seen[each.same]
            check.duplicate(
                (*path, "matter"),
                f"该事项已申报（{code}）。" if code else "本次申报中有同一事项。",
                f"This event has been proposed already ({code})." if code else "This event occurs twice here.",
            )
        seen.setdefault(each.same, None)


async def _write(tx: Transaction, actor: Actor, judged: Sequence[_Judged]) -> list[UUID]:
    cycles = list(dict.fromkeys(each.row["cycle_id"] for each in judged))
    last = {
        row["cycle_id"]: row["number"]
        for row in await tx.fetch(
            """SELECT cycle_id, max(number) AS number FROM events WHERE tenant_id = $1 AND cycle_id = ANY ($2::uuid[])
               GROUP BY cycle_id""",
            tx.tenant_id,
            cycles,
        )
    }
    numbers = []
    for each in judged:
        last[each.row["cycle_id"]] = last.get(each.row["cycle_id"], 0) + 1
        numbers.append(last[each.row["cycle_id"]])
    keys = uuid7s(len(judged))
    await tx.execute(
        """
        INSERT INTO events (tenant_id, id, cycle_id, cycle_unit_id, indicator_id, number, kind, matter, title, level,
                            ground, amount, happened_on, document_title, document_number, proposed_by_id,
                            proposed_person_id, proposed_at)
        SELECT $1, e.id, e.cycle_id, e.cycle_unit_id, e.indicator_id, e.number, e.kind, e.matter, e.title, e.level,
               e.ground, e.amount, e.happened_on, e.document_title, e.document_number, $2, $3, now()
        FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[],
                    $12::text[], $13::text[], $14::numeric[], $15::date[], $16::text[], $17::text[])
             AS e(id, cycle_id, cycle_unit_id, indicator_id, number, kind, matter, title, level, ground, amount,
                  happened_on, document_title, document_number)
        """,
        tx.tenant_id,
        None if actor.id == SYSTEM else actor.id,
        actor.person_id,
        keys,
        [each.row["cycle_id"] for each in judged],
        [each.row["cycle_unit_id"] for each in judged],
        [each.row["indicator_id"] for each in judged],
        numbers,
        [each.kind for each in judged],
        [each.typed.matter for each in judged],
        [each.typed.title for each in judged],
        [each.level for each in judged],
        [each.ground for each in judged],
        [each.amount for each in judged],
        [each.typed.happened_on for each in judged],
        [each.typed.document_title for each in judged],
        [each.typed.document_number for each in judged],
    )
    listed = [
        [str(key), each.kind, each.row["code"], each.typed.matter, each.level or each.ground, f"{each.amount:f}"]
        for key, each in zip(keys, judged, strict=True)
    ]
    subject = ("Event", keys[0]) if len(keys) == 1 else ("Cycle", cycles[0]) if len(cycles) == 1 else None
    await audit.append(
        tx,
        actor,
        "proposeEvents",
        subject=subject,
        summary=Text(zh=f"申报加减分、否决事项{len(keys)}项", en=f"Proposed {len(keys)} event(s)"),
        facts={"count": len(keys), "digest": digest_of(listed)},
    )
    return keys
