"""Deciding events (认定), always by another person than who proposed them, and taking back one's own proposal."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from service import audit
from service.access import SYSTEM, Actor, Role, denied
from service.audit import Change
from service.checks import Check
from service.cycles.holding import holding_cycles
from service.errors import AccessDenied, Conflict, Contact, IllegalState, NotFound, Path, VersionConflict
from service.events.counting import recount
from service.events.proposing import MOST_EVENTS
from service.events.rights import EVENT_VISIBLE, NOT_ENTITLED, REASONS
from service.events.states import CYCLE_STATES, MOVES, STATE_NAMES, Move, event_code
from service.reports.entries import distinct_ids
from service.reports.rights import placed
from service.reviews.rights import RESPONSIBLE
from service.scoring.text import Text
from tenants.database import Transaction


@dataclass(frozen=True)
class EventDecision:
    """A decision as it is asked for: CONFIRM, REJECT or REVOKE, with a reason unless confirmed."""

    event_id: str
    version: int
    decision: str
    reason: str | None = None


async def decide_events(tx: Transaction, actor: Actor, *, decisions: Sequence[EventDecision]) -> list[UUID]:
    """Confirm, reject or revoke events, all or none; their ids, in order.

    Whoever decides is another person than who proposed: the organiser, or an assessor of a responsible unit, never
    about the own unit. Raises Invalid, NotFound, VersionConflict, AccessDenied or IllegalState.
    """
    check = Check()
    path: Path = ("input", "decisions")
    if not decisions:
        check.invalid(path, "至少认定一项。", "Decide at least one event.")
    check.at_most(path, decisions, MOST_EVENTS)
    check.done()
    paths = [(*path, str(place)) for place in range(len(decisions))]
    keys = distinct_ids(check, [(*at, "eventId") for at in paths], [each.event_id for each in decisions], "Event")
    moves = [MOVES[each.decision] for each in decisions]
    reasons = [
        check.prose((*at, "reason"), each.reason, required=move.reason)
        for at, each, move in zip(paths, decisions, moves, strict=True)
    ]
    check.done()
    rows = await _lock(tx, actor, keys)
    for at, key in zip(paths, keys, strict=True):
        if key not in rows:
            raise NotFound((*at, "eventId"))
    found = [rows[key] for key in keys]
    _refuse_stale(found, [each.version for each in decisions], paths)
    for at, row in zip(paths, found, strict=True):
        _refuse_access(row, (*at, "eventId"))
    for at, row, move in zip(paths, found, moves, strict=True):
        _refuse_state(row, move, (*at, "eventId"))
    await _write(tx, actor, found, moves, reasons, "decideEvents")
    return keys


async def withdraw_event(tx: Transaction, actor: Actor, *, event_id: str, version: int) -> UUID:
    """Take back one's own proposal before it is decided; the event's id.

    Raises Invalid, NotFound, VersionConflict, AccessDenied or IllegalState.
    """
    check = Check()
    path: Path = ("input", "eventId")
    key = check.id(path, event_id, "Event")
    check.done()
    assert key is not None
    rows = await _lock(tx, actor, [key])
    if key not in rows:
        raise NotFound(path)
    row = rows[key]
    _refuse_stale([row], [version], [("input",)])
    if row["proposed_person_id"] != actor.person_id:
        raise AccessDenied(
            Text(zh="只能由申报人本人撤回。", en="Only who proposed it takes it back."),
            contacts=[Contact(Role.ORGANISER.value)],
            path=path,
            hint=Text(zh="他人可以不予认定。", en="Others may reject it."),
        )
    _refuse_state(row, MOVES["WITHDRAW"], path)
    await _write(tx, actor, [row], [MOVES["WITHDRAW"]], [None], "withdrawEvent")
    return key


async def _lock(tx: Transaction, actor: Actor, keys: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """The events that the actor may see, held with all others of their units: what counts hangs on all of them."""
    await tx.execute(
        f"""WITH held AS (
               SELECT ev.id FROM events ev WHERE ev.tenant_id = $1 AND ev.cycle_unit_id IN (
                   SELECT own.cycle_unit_id FROM events own WHERE own.tenant_id = $1 AND own.id = ANY ($2::uuid[]))
               ORDER BY ev.id FOR NO KEY UPDATE),
            {holding_cycles("events", "$2::uuid[]")}
            SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM cycles_held)""",
        tx.tenant_id,
        list(keys),
    )
    rows = await tx.fetch(
        placed(
            f"""
            SELECT ev.id, ev.cycle_id, ev.cycle_unit_id, ev.number, ev.title, ev.state, ev.version,
                   ev.proposed_person_id, cy.state AS cycle_state, {NOT_ENTITLED} AS not_entitled,
                   {RESPONSIBLE} AS responsible_id
            FROM events ev JOIN cycles cy ON cy.tenant_id = ev.tenant_id AND cy.id = ev.cycle_id
            WHERE ev.tenant_id = $1 AND ev.id = ANY ($2::uuid[]) AND {EVENT_VISIBLE}
            """,
            t="ev",
            actor="$3",
            all="$4",
        ),
        tx.tenant_id,
        list(keys),
        actor.id,
        actor.sees_all,
    )
    return {row["id"]: row for row in rows}


def _refuse_stale(rows: Sequence[asyncpg.Record], versions: Sequence[int], paths: Sequence[Path]) -> None:
    conflicts = [
        Conflict((*at, "version"), row["version"], "Event", row["id"])
        for row, version, at in zip(rows, versions, paths, strict=True)
        if row["version"] != version
    ]
    if conflicts:
        raise VersionConflict(conflicts)


def _refuse_access(row: asyncpg.Record, path: Path) -> None:
    if row["not_entitled"] is not None:
        raise denied(
            REASONS[row["not_entitled"]],
            [Role.ORGANISER, Role.ASSESSOR],
            contacts=[
                Contact(Role.ORGANISER.value),
                *([Contact(Role.ASSESSOR.value, row["responsible_id"])] if row["responsible_id"] else []),
            ],
            path=path,
        )


def _refuse_state(row: asyncpg.Record, move: Move, path: Path) -> None:
    if row["cycle_state"] not in CYCLE_STATES:
        raise IllegalState(
            Text(zh="该考核周期已公示，事项不再变更。", en="After the notice events of this cycle are not changed."),
            state=row["cycle_state"],
            legal_from=CYCLE_STATES,
            subject=("Cycle", row["cycle_id"]),
            path=path,
            hint=Text(zh="公示之后请提出异议。", en="From then on an objection is the way."),
        )
    if row["state"] != move.source:
        now, source = STATE_NAMES[row["state"]], STATE_NAMES[move.source]
        raise IllegalState(
            Text(
                zh=f"该事项{now.zh}，不能{move.words.zh}。",
                en=f"The event is {now.en}, so it can't be {move.words.en}.",
            ),
            state=row["state"],
            legal_from=(move.source,),
            subject=("Event", row["id"]),
            path=path,
            hint=Text(zh=f"只有{source.zh}的事项可以{move.words.zh}。", en=f"It must be {source.en}."),
        )


async def _write(
    tx: Transaction,
    actor: Actor,
    rows: Sequence[asyncpg.Record],
    moves: Sequence[Move],
    reasons: Sequence[str | None],
    action: str,
) -> None:
    await tx.execute(
        """UPDATE events ev SET state = g.state, decision_reason = g.reason, decided_at = now(),
                  version = ev.version + 1, decided_by_id = CASE WHEN g.state <> 'WITHDRAWN' THEN $2::uuid END
           FROM unnest($3::uuid[], $4::text[], $5::text[]) AS g(id, state, reason)
           WHERE ev.tenant_id = $1 AND ev.id = g.id""",
        tx.tenant_id,
        None if actor.id == SYSTEM else actor.id,
        [row["id"] for row in rows],
        [move.to for move in moves],
        list(reasons),
    )
    if any("CONFIRMED" in (move.source, move.to) for move in moves):
        for cycle_id in dict.fromkeys(row["cycle_id"] for row in rows):
            units = {row["cycle_unit_id"] for row in rows if row["cycle_id"] == cycle_id}
            await recount(tx, cycle_id, list(units))
    # One record per event: who confirmed what is later revoked must stay to be found under the event.
    for row, move, reason in zip(rows, moves, reasons, strict=True):
        code = event_code(row["number"])
        await audit.append(
            tx,
            actor,
            action,
            subject=("Event", row["id"]),
            summary=Text(
                zh=f"{move.words.zh}事项{code}“{row['title']}”",
                en=f'The event {code} "{row["title"]}" was {move.words.en}',
            ),
            reason=reason,
            changes=[Change("state", row["state"], move.to)],
        )
