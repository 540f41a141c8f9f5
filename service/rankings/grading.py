"""Grades of a run (等次): what the engine proposes, ordering equals where places run out, and what a body settled.

A computed grade is a proposal. Where equals stand at the edge of a quota, a person orders them, once and with a reason;
then the grades of the run are computed anew from its snapshot. Ties of one grade are settled before those of the next
come up, for who gets no place in one grade may be among the equals of the next.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import SYSTEM, Actor, Role
from service.checks import Check
from service.errors import Conflict, IllegalState, NotFound, Path, VersionConflict
from service.rankings.gradebook import PROPOSED_GRADE, decisions_of
from service.rankings.snapshot import unpack
from service.reports.entries import digest_of
from service.scoring import Result, compute, parse_scheme
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7, uuid7s

MOST_NAMED = 5_000
"""Grades named in one record."""

RECORDING_STATES = ("RANKED", "NOTICED")
"""Of the cycle: what the deciding body settled may be recorded."""


@dataclass(frozen=True, slots=True)
class Tie:
    """Equals at the edge of a quota: units by code, and the group within which places are counted."""

    grade: str
    scope: str
    group: str
    units: tuple[str, ...]
    left: int


@dataclass(frozen=True, slots=True)
class Graded:
    """What a result says of grades; `grades` in the order of its units, None where the scheme has none."""

    grades: list[str | None]
    categories: list[str]
    """Of its units, by the codes that they had at the snapshot."""
    quotas: list[dict[str, Any]]
    ties: list[Tie]


def graded(result: Result) -> Graded | None:
    """Grades, places, and the ties to be ordered now: those of the best grade that has any."""
    grades = {grade.code: grade for grade in result.scheme.settings.grades}
    if not grades:
        return None
    pending = result.pending()
    first = next((code for code in grades if any(tie.grade == code for tie in pending)), None)
    return Graded(
        result.grades(),
        list(result.snapshot.categories),
        [
            {
                "grade": quota.grade,
                "scope": grades[quota.grade].scope,
                "group": quota.group,
                "base": quota.base,
                "places": quota.places,
                "used": quota.used,
            }
            for quota in result.quotas()
        ],
        [
            Tie(
                tie.grade, grades[tie.grade].scope, tie.group, tuple(result.units[unit] for unit in tie.units), tie.left
            )
            for tie in pending
            if tie.grade == first
        ],
    )


async def write_grades(tx: Transaction, run_id: UUID, found: Graded, standings: Mapping[str, UUID]) -> None:
    """Keep the grades of a run, new or computed anew; `standings` are its standings by the code of their unit."""
    await tx.execute(
        """INSERT INTO standing_grades (tenant_id, run_id, standing_id, grade)
           SELECT $1, $2, g.id, g.grade FROM unnest($3::uuid[], $4::text[]) AS g(id, grade)
           ON CONFLICT (tenant_id, standing_id) DO UPDATE SET grade = excluded.grade
           WHERE standing_grades.grade IS DISTINCT FROM excluded.grade""",
        tx.tenant_id,
        run_id,
        list(standings.values()),
        found.grades,
    )
    groups = await _groups(tx, run_id, dict(zip(standings.values(), found.categories, strict=True)))
    await tx.execute(
        "UPDATE ranking_runs SET quotas = $3::jsonb WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        run_id,
        orjson.dumps([{**each, "group": groups.key(each["scope"], each["group"])} for each in found.quotas]).decode(),
    )
    for tie in found.ties:
        group_id = uuid7()
        await tx.execute(
            """INSERT INTO tie_groups (tenant_id, id, run_id, grade, category_id, parent_id, places_left)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            tx.tenant_id,
            group_id,
            run_id,
            tie.grade,
            groups.categories.get(tie.group) if tie.scope == "CATEGORY" else None,
            groups.parents.get(tie.group) if tie.scope == "PARENT" else None,
            tie.left,
        )
        await tx.execute(
            """INSERT INTO tie_group_members (tenant_id, tie_group_id, standing_id)
               SELECT $1, $2, g.id FROM unnest($3::uuid[]) AS g(id)""",
            tx.tenant_id,
            group_id,
            [standings[unit] for unit in tie.units],
        )


@dataclass(frozen=True, slots=True)
class _Groups:
    """What groups of quotas are called in snapshots, and their rows: categories, and parents as units of the cycle."""

    categories: Mapping[str, UUID]
    parents: Mapping[str, UUID]

    def key(self, scope: str, group: str) -> str | None:
        """The id of a group; None for all units together."""
        found = {"CATEGORY": self.categories, "PARENT": self.parents}.get(scope, {}).get(group)
        return None if found is None else str(found)


async def _groups(tx: Transaction, run_id: UUID, codes: Mapping[UUID, str]) -> _Groups:
    """`codes` are those of the categories of the run's standings; a category may have another one by now."""
    categories = await tx.fetch(
        "SELECT DISTINCT ON (category_id) category_id, id FROM standings WHERE tenant_id = $1 AND run_id = $2",
        tx.tenant_id,
        run_id,
    )
    units = await tx.fetch(
        """SELECT DISTINCT pu.code, pu.id FROM ranking_runs rr
           JOIN cycle_units cu ON cu.tenant_id = rr.tenant_id AND cu.cycle_id = rr.cycle_id AND cu.assessed
           JOIN cycle_units pu ON pu.tenant_id = cu.tenant_id AND pu.id = cu.parent_id
           WHERE rr.tenant_id = $1 AND rr.id = $2""",
        tx.tenant_id,
        run_id,
    )
    return _Groups(
        {codes[row["id"]]: row["category_id"] for row in categories}, {row["code"]: row["id"] for row in units}
    )


# --- ordering equals ---


async def order_tie(
    tx: Transaction, actor: Actor, *, tie_group_id: str, version: int, standing_ids: Sequence[str], reason: str
) -> UUID:
    """Order equals, best first; the group's id. The run's grades are computed anew; further ties may come up.

    Raises Invalid, NotFound, VersionConflict, and IllegalState where it has been decided or the run is published.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    path: Path = ("input", "standingIds")
    key = check.id(("input", "tieGroupId"), tie_group_id, "TieGroup")
    words = check.prose(("input", "reason"), reason, required=True)
    wanted = check.ids(path, standing_ids, "Standing")
    check.done()
    group = await tx.fetchrow(
        """SELECT tg.*, rr.number FROM tie_groups tg
           JOIN ranking_runs rr ON rr.tenant_id = tg.tenant_id AND rr.id = tg.run_id
           WHERE tg.tenant_id = $1 AND tg.id = $2 FOR UPDATE""",
        tx.tenant_id,
        key,
    )
    if group is None:
        raise NotFound(("input", "tieGroupId"))
    known = await tx.fetch(
        "SELECT id FROM standings WHERE tenant_id = $1 AND id = ANY ($2::uuid[])", tx.tenant_id, wanted
    )
    missing = set(wanted) - {row["id"] for row in known}
    for place, standing in enumerate(wanted):
        if standing in missing:
            raise NotFound((*path, str(place)))
    if group["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), group["version"], "TieGroup", group["id"])])
    if group["decided_at"] is not None:
        raise IllegalState(
            Text(zh="该组并列已排序。", en="This group has been ordered already."),
            state="DECIDED",
            legal_from=("UNDECIDED",),
            since=group["decided_at"],
            subject=("TieGroup", group["id"]),
            path=("input", "tieGroupId"),
            hint=Text(zh="排序有误的，请重新测算后再排。", en="To order them otherwise, start another run."),
        )
    members = {
        row["standing_id"]
        for row in await tx.fetch(
            "SELECT standing_id FROM tie_group_members WHERE tenant_id = $1 AND tie_group_id = $2",
            tx.tenant_id,
            group["id"],
        )
    }
    if set(wanted) != members:
        check.invalid(
            path,
            f"须列出该组全部{len(members)}个单位，各一次。",
            f"Name all {len(members)} units of the group, each once.",
        )
    check.done()
    await tx.execute(
        """UPDATE tie_group_members tm SET place = g.place FROM unnest($3::uuid[]) WITH ORDINALITY AS g(id, place)
           WHERE tm.tenant_id = $1 AND tm.tie_group_id = $2 AND tm.standing_id = g.id""",
        tx.tenant_id,
        group["id"],
        wanted,
    )
    await tx.execute(
        """UPDATE tie_groups SET decided_at = now(), decided_by_id = $3, reason = $4, version = version + 1
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        group["id"],
        None if actor.id == SYSTEM else actor.id,
        words,
    )
    open_ = await tx.fetchval(
        "SELECT count(*) FROM tie_groups WHERE tenant_id = $1 AND run_id = $2 AND decided_at IS NULL",
        tx.tenant_id,
        group["run_id"],
    )
    await _grade_again(tx, group["run_id"], further=not open_)
    await audit.append(
        tx,
        actor,
        "orderTie",
        subject=("TieGroup", group["id"]),
        summary=Text(
            zh=f"第{group['number']}次测算：{len(wanted)}个并列单位排序",
            en=f"Ordered {len(wanted)} equals of run {group['number']}",
        ),
        reason=words,
        facts={"order": digest_of([str(each) for each in wanted])},
    )
    return UUID(str(group["id"]))


async def _grade_again(tx: Transaction, run_id: UUID, *, further: bool) -> None:
    """Compute the run's grades with the orders that stand; `further`: keep the ties that come up then."""
    _, decisions = await decisions_of(tx, run_id)
    packed = await tx.fetchval(
        "SELECT document FROM run_snapshots WHERE tenant_id = $1 AND run_id = $2", tx.tenant_id, run_id
    )
    found = await asyncio.to_thread(_computed, bytes(packed), decisions)
    rows = await tx.fetch(
        """SELECT cu.code, st.id FROM standings st
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE st.tenant_id = $1 AND st.run_id = $2""",
        tx.tenant_id,
        run_id,
    )
    ids = {row["code"]: row["id"] for row in rows}
    units, again = found
    await write_grades(tx, run_id, again if further else replace(again, ties=[]), {unit: ids[unit] for unit in units})


def _computed(packed: bytes, decisions: Mapping[str, int]) -> tuple[list[str], Graded]:
    """The units of a stored snapshot and their grades; needs no database."""
    stored = unpack(packed)
    scheme, faults = parse_scheme(stored.document)
    if scheme is None:
        raise RuntimeError(f"The scheme of a snapshot has faults: {faults[:3]}")
    result = compute(scheme, replace(stored.snapshot, decisions=decisions))
    found = graded(result)
    assert found is not None, "only runs with grades have ties"
    return list(result.units), found


# --- what the deciding body settled ---


@dataclass(frozen=True)
class GradeSpec:
    """A decided grade as it is asked for."""

    standing_id: str
    grade_code: str
    reason: str | None = None


async def record_grades(
    tx: Transaction,
    actor: Actor,
    *,
    run_id: str,
    body: str,
    decided_on: str,
    document_title: str,
    document_number: str | None = None,
    as_proposed: bool = True,
    grades: Sequence[GradeSpec] = (),
) -> tuple[UUID, list[UUID]]:
    """Record what the deciding body settled (审定等次); ids of the run and of the standings that differ.

    The newest record holds. Raises Invalid, NotFound and IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    path: Path = ("input", "grades")
    key = check.id(("input", "runId"), run_id, "RankingRun")
    clean_body = check.line(("input", "body"), body)
    day = check.date(("input", "decidedOn"), decided_on)
    title = check.line(("input", "documentTitle"), document_title)
    number = None if document_number is None else check.line(("input", "documentNumber"), document_number)
    if not check.at_most(path, grades, MOST_NAMED):
        check.done()
    paths = [(*path, str(place)) for place in range(len(grades))]
    named: dict[UUID, tuple[Path, GradeSpec, str | None]] = {}
    for at, each in zip(paths, grades, strict=True):
        standing = check.id((*at, "standingId"), each.standing_id, "Standing")
        words = check.prose((*at, "reason"), each.reason)
        if standing is not None and standing in named:
            check.duplicate((*at, "standingId"), "同一对象出现了两次。", "The id occurs twice.")
        elif standing is not None:
            named[standing] = (at, each, words)
    if check.found:
        for at, each in zip(paths, grades, strict=True):
            check.line((*at, "gradeCode"), each.grade_code)
    check.done()
    run = await _adopted(tx, key)
    rows = await tx.fetch(
        f"SELECT st.id, {PROPOSED_GRADE} AS grade FROM standings st WHERE st.tenant_id = $1 AND st.run_id = $2".replace(
            "{tenant}", "$1"
        ).replace("{t}", "st"),
        tx.tenant_id,
        run["id"],
    )
    proposed: dict[UUID, str | None] = {row["id"]: row["grade"] for row in rows}
    for standing, (at, _, _) in named.items():
        if standing not in proposed:
            raise NotFound((*at, "standingId"))
    codes = [grade["code"] for grade in orjson.loads(run["settings"]).get("grades") or ()]
    await _refuse_early(tx, run, codes)
    if day is not None and day > run["today"]:
        check.invalid(("input", "decidedOn"), "不能晚于今天。", "Must not be later than today.")
    for standing, (at, each, words) in named.items():
        if each.grade_code not in codes:
            check.invalid(
                (*at, "gradeCode"),
                f"方案中没有等次“{each.grade_code}”。",
                f'The scheme has no grade "{each.grade_code}".',
                hint=Text(zh="可选：" + "、".join(codes), en="One of: " + ", ".join(codes)),
            )
        elif each.grade_code != proposed[standing] and words is None:
            check.invalid(
                (*at, "reason"), "与测算等次不同的，须写明理由。", "Say why it differs from the computed grade."
            )
    unnamed = [standing for standing, grade in proposed.items() if grade is not None and standing not in named]
    if unnamed and not as_proposed:
        check.invalid(
            path, f"还有{len(unnamed)}个单位没有审定等次。", f"{len(unnamed)} units have no decided grade yet."
        )
    check.done()
    decided = {standing: proposed[standing] for standing in unnamed} | {
        standing: each.grade_code for standing, (_, each, _) in named.items()
    }
    reasons = {standing: words for standing, (_, _, words) in named.items()}
    differing = [standing for standing, grade in decided.items() if grade != proposed[standing]]
    record_id = uuid7s(1)[0]
    await tx.execute(
        """INSERT INTO grade_records (tenant_id, id, run_id, number, body, decided_on, document_title, document_number,
                                      by_id, at)
           SELECT $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8, now() FROM grade_records
           WHERE tenant_id = $1 AND run_id = $3""",
        tx.tenant_id,
        record_id,
        run["id"],
        clean_body,
        day,
        title,
        number,
        None if actor.id == SYSTEM else actor.id,
    )
    await tx.execute(
        """INSERT INTO decided_grades (tenant_id, record_id, standing_id, grade, reason)
           SELECT $1, $2, g.id, g.grade, g.reason FROM unnest($3::uuid[], $4::text[], $5::text[])
               AS g(id, grade, reason)""",
        tx.tenant_id,
        record_id,
        list(decided),
        list(decided.values()),
        [reasons.get(standing) for standing in decided],
    )
    await audit.append(
        tx,
        actor,
        "recordGrades",
        subject=("RankingRun", run["id"]),
        summary=Text(
            zh=f"{clean_body}审定第{run['number']}次测算的等次，共{len(decided)}个单位，调整{len(differing)}个",
            en=f"{clean_body} settled grades of run {run['number']}: {len(decided)} units, {len(differing)} changed",
        ),
        facts={"digest": digest_of(sorted([str(key), grade, reasons.get(key)] for key, grade in decided.items()))},
    )
    return run["id"], differing


async def _adopted(tx: Transaction, key: UUID | None) -> asyncpg.Record:
    """The run, held with its cycle: nobody orders its equals meanwhile. Raises NotFound."""
    run = await tx.fetchrow(
        """SELECT rr.id, rr.number, cy.id AS cycle_id, cy.state, cy.adopted_run_id = rr.id AS adopted, sv.settings,
                  (now() AT TIME ZONE tn.time_zone)::date AS today
           FROM ranking_runs rr
           JOIN cycles cy ON cy.tenant_id = rr.tenant_id AND cy.id = rr.cycle_id
           JOIN scheme_versions sv ON sv.tenant_id = cy.tenant_id AND sv.id = cy.scheme_version_id
           JOIN tenants tn ON tn.tenant_id = rr.tenant_id
           WHERE rr.tenant_id = $1 AND rr.id = $2 FOR NO KEY UPDATE OF cy, rr""",
        tx.tenant_id,
        key,
    )
    if run is None:
        raise NotFound(("input", "runId"))
    return run


async def _refuse_early(tx: Transaction, run: asyncpg.Record, codes: Sequence[str]) -> None:
    if not run["adopted"] or run["state"] not in RECORDING_STATES:
        raise IllegalState(
            Text(
                zh="只能审定周期已采用的测算，且须在通报之前。",
                en="Grades are settled for the adopted run, before the final board.",
            ),
            state=run["state"],
            legal_from=RECORDING_STATES,
            subject=("RankingRun", run["id"]),
            path=("input", "runId"),
            hint=Text(zh="请先采用这次测算。", en="Adopt this run first."),
        )
    if not codes:
        raise IllegalState(
            Text(zh="该方案没有设等次。", en="This scheme has no grades."),
            state=run["state"],
            subject=("RankingRun", run["id"]),
            path=("input", "runId"),
        )
    open_ = await tx.fetchval(
        "SELECT count(*) FROM tie_groups WHERE tenant_id = $1 AND run_id = $2 AND decided_at IS NULL",
        tx.tenant_id,
        run["id"],
    )
    if open_:
        raise IllegalState(
            Text(zh=f"有{open_}组并列尚未排序。", en=f"{open_} group(s) of equals have not been ordered."),
            state=run["state"],
            subject=("RankingRun", run["id"]),
            path=("input", "runId"),
            hint=Text(zh="请先排序。", en="Order them first."),
        )
