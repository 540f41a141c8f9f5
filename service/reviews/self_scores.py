"""The unit's own scores (自评分): what it would give itself for an awarded leaf. They never count."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import Actor, Role, denied
from service.checks import Check
from service.cycles.holding import holding_cycles
from service.errors import Conflict, Contact, ErrorCode, IllegalState, NotFound, Path, VersionConflict
from service.reports.entries import digest_of, distinct_ids
from service.reports.rights import (
    ASSESSMENT_NARROWED,
    ASSESSMENT_VISIBLE,
    FILLING_STATES,
    SETTLED_STATES,
    covers,
    placed,
)
from service.reviews.marks import FULL_MARKS
from service.scoring.text import Text
from tenants.database import Transaction

MOST_SCORES = 1_000
"""Scores saved in one call."""

OWN_PLACES = 4
"""Decimal places of a self score."""


@dataclass(frozen=True)
class SelfScoreSpec:
    """A self score as it is asked for; None takes it away."""

    assessment_id: str
    version: int
    score: str | None = None
    note: str | None = None


async def save_self_scores(tx: Transaction, actor: Actor, *, scores: Sequence[SelfScoreSpec]) -> list[UUID]:
    """Keep self scores while the report is open, all or none; the assessments' ids, in order.

    Raises Invalid, NotFound, AccessDenied, VersionConflict or IllegalState.
    """
    check = Check()
    path: Path = ("input", "scores")
    if not scores:
        check.invalid(path, "至少填一项自评分。", "Give at least one score.")
    check.at_most(path, scores, MOST_SCORES)
    check.done()
    places = [(*path, str(n), "assessmentId") for n in range(len(scores))]
    keys = distinct_ids(check, places, [score.assessment_id for score in scores], "Assessment")
    notes = [check.prose((*path, str(n), "note"), score.note) for n, score in enumerate(scores)]
    if check.found:
        # No leaf is looked up, so its full marks judge nothing; what is no number is told all the same.
        for n, score in enumerate(scores):
            if score.score is not None:
                check.decimal((*path, str(n), "score"), score.score, scale=OWN_PLACES)
    check.done()
    rows = await _lock(tx, actor, keys)
    found = []
    for place, key in enumerate(keys):
        if key not in rows:
            raise NotFound((*path, str(place), "assessmentId"))
        found.append(rows[key])
    for place, row in enumerate(found):
        if not row["own"]:
            raise denied(
                Text(zh="自评分由本单位的填报员填写。", en="Self scores are a matter of the unit's own secretary."),
                [Role.SECRETARY],
                contacts=[Contact(Role.SECRETARY.value, row["unit_id"])],
                path=(*path, str(place), "assessmentId"),
            )
    conflicts = [
        Conflict((*path, str(place), "version"), row["version"], "Assessment", row["id"])
        for place, (row, score) in enumerate(zip(found, scores, strict=True))
        if row["version"] != score.version
    ]
    if conflicts:
        raise VersionConflict(conflicts)
    numbers: list[Decimal | None] = []
    for place, (row, score) in enumerate(zip(found, scores, strict=True)):
        at = (*path, str(place))
        _refuse_state(row, (*at, "assessmentId"))
        rule = orjson.loads(row["rule"] or "{}")
        if rule.get("kind") != "AWARD" or not rule.get("selfScore"):
            check.invalid(
                (*at, "assessmentId"), f"“{row['name']}”不设自评分。", f'"{row["name"]}" asks for no self score.'
            )
        number = None
        if score.score is not None:
            number = check.decimal(
                (*at, "score"), score.score, scale=OWN_PLACES, minimum=Decimal(0), maximum=row["full_marks"]
            )
        numbers.append(number)
    check.done()
    await tx.execute(
        """UPDATE assessments am SET self_score = g.score, self_note = g.note, version = am.version + 1
           FROM unnest($2::uuid[], $3::numeric[], $4::text[]) AS g (id, score, note)
           WHERE am.tenant_id = $1 AND am.id = g.id""",
        tx.tenant_id,
        keys,
        numbers,
        notes,
    )
    listed = [[str(key), None if number is None else f"{number:f}"] for key, number in zip(keys, numbers, strict=True)]
    cycles = {row["cycle_id"] for row in found}
    subject = ("Assessment", keys[0]) if len(keys) == 1 else ("Cycle", cycles.pop()) if len(cycles) == 1 else None
    await audit.append(
        tx,
        actor,
        "saveSelfScores",
        subject=subject,
        summary=Text(zh=f"填写自评分{len(keys)}项", en=f"Saved {len(keys)} self score(s)"),
        facts={"count": len(keys), "digest": digest_of(listed)},
    )
    return keys


async def _lock(tx: Transaction, actor: Actor, keys: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    await tx.execute(
        f"""WITH held AS (SELECT id FROM assessments WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id
                          FOR NO KEY UPDATE),
            {holding_cycles("assessments", "$2::uuid[]")}
            SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM cycles_held)""",
        tx.tenant_id,
        list(keys),
    )
    rows = await tx.fetch(
        placed(
            f"""
            SELECT am.id, am.cycle_id, am.state, am.version, lf.name, lf.rule, {FULL_MARKS} AS full_marks,
                   cy.state AS cycle_state, cy.closes_at, cy.closes_at <= now() AS closed, cu.unit_id,
                   un.valid_to < {{today}} AS ended, {covers("('SECRETARY')", ASSESSMENT_NARROWED)} AS own
            FROM assessments am
            JOIN cycles cy ON cy.tenant_id = am.tenant_id AND cy.id = am.cycle_id
            JOIN indicators lf ON lf.tenant_id = am.tenant_id AND lf.id = am.indicator_id
            JOIN cycle_units cu ON cu.tenant_id = am.tenant_id AND cu.id = am.cycle_unit_id
            JOIN org_units un ON un.tenant_id = cu.tenant_id AND un.id = cu.unit_id
            WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[]) AND {ASSESSMENT_VISIBLE}
            """,
            t="am",
            actor="$3",
            all="$4",
        ),
        tx.tenant_id,
        list(keys),
        actor.id,
        actor.sees_all,
    )
    return {row["id"]: row for row in rows}


def _refuse_state(row: asyncpg.Record, path: Path) -> None:
    if row["ended"]:
        raise IllegalState(
            Text(zh="该单位已撤销，不再填报。", en="The unit has been closed and reports no more."),
            code=ErrorCode.UNIT_CLOSED,
            path=path,
        )
    if row["cycle_state"] not in FILLING_STATES:
        raise IllegalState(
            Text(zh="考核周期已不在填报或审核阶段。", en="The cycle is no longer open or being reviewed."),
            state=row["cycle_state"],
            legal_from=FILLING_STATES,
            subject=("Cycle", row["cycle_id"]),
            path=path,
        )
    if row["state"] in SETTLED_STATES:
        raise IllegalState(
            Text(zh="该指标已评分，自评分不再修改。", en="Marks have been awarded; self scores stay as they are."),
            state=row["state"],
            legal_from=["WAITING", "READY", "RETURNED"],
            subject=("Assessment", row["id"]),
            path=path,
        )
    if row["closed"]:
        raise IllegalState(
            Text(zh="填报期限（含宽限期）已过。", en="The last day, with its days of grace, has passed."),
            code=ErrorCode.DEADLINE_PASSED,
            since=row["closes_at"],
            contacts=[Contact(Role.ORGANISER.value)],
            path=path,
        )
