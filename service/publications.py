"""Publications (公示、通报): an immutable board made from one run.

What is published is one canonical JSON bundle; its SHA-256 is shown to everyone. The app's role can neither change nor
delete a publication, a run's standings or its snapshot.
"""

import hashlib
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service import audit, cycles
from service.access import Actor, Role
from service.audit import Change
from service.checks import Check
from service.errors import Conflict, IllegalState, VersionConflict
from service.rankings import finished_run
from service.rankings.gradebook import CURRENT_GRADE
from service.schemes.settings import DISCLOSED, default_level
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7

FORMAT = "kaoping-publication/1"
"""Name and version of the bundle's form."""

KIND_NAMES = {
    "FEEDBACK": Text(zh="反馈核对", en="feedback"),
    "INTERIM": Text(zh="阶段通报", en="interim board"),
    "NOTICE": Text(zh="公示", en="notice"),
    "FINAL": Text(zh="通报", en="final board"),
}

STATE_AFTER = {"NOTICE": "NOTICED", "FINAL": "PUBLISHED"}
"""State of the cycle that a kind leads to; the other kinds change none."""


async def publish_run(
    tx: Transaction, actor: Actor, *, run_id: str, version: int, kind: str, title: str
) -> tuple[UUID, UUID]:
    """Publish a run for ever; ids of publication and cycle. `version` is the cycle's.

    A notice or final board needs the run that the cycle stands on; feedback and interim boards any finished run.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    check.id(("input", "runId"), run_id, "RankingRun")
    heading = check.line(("input", "title"), title)
    check.done()
    run = await finished_run(tx, run_id)
    cycle = await tx.fetchrow(
        """SELECT c.id, c.code, c.name, c.state, c.version, c.adopted_run_id, v.settings, t.time_zone FROM cycles c
           JOIN scheme_versions v ON v.tenant_id = c.tenant_id AND v.id = c.scheme_version_id
           JOIN tenants t ON t.tenant_id = c.tenant_id
           WHERE c.tenant_id = $1 AND c.id = $2 FOR UPDATE OF c""",
        tx.tenant_id,
        run["cycle_id"],
    )
    assert cycle is not None
    if cycle["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), cycle["version"], "Cycle", cycle["id"])])
    state = STATE_AFTER.get(kind)
    if state is not None:
        await cycles.require_step(tx, cycle["id"], cycle["state"], state, path=("input", "kind"))
        if cycle["adopted_run_id"] != run["id"]:
            raise IllegalState(
                Text(zh="该周期采用的不是这次测算。", en="The cycle stands on another run."),
                state=cycle["state"],
                legal_from=("RANKED",),
                subject=("RankingRun", run["id"]),
                path=("input", "runId"),
                hint=Text(zh="请先采用这次测算，再公示或通报。", en="Adopt this run first."),
            )
    settings = orjson.loads(cycle["settings"])
    publication_id = uuid7()
    window = await _objection_window(tx, cycle["time_zone"], settings) if kind == "NOTICE" else (None, None)
    head = await tx.fetchrow(
        """SELECT coalesce(max(p.number), 0) + 1 AS number, now() AS at FROM publications p
           WHERE p.tenant_id = $1 AND p.cycle_id = $2""",
        tx.tenant_id,
        cycle["id"],
    )
    assert head is not None
    disclosure = disclosure_of(settings, kind)
    bundle = await _bundle(tx, run, cycle, kind, heading or "", head, disclosure)
    digest = hashlib.sha256(bundle).hexdigest()
    await tx.execute(
        """
        INSERT INTO publications (tenant_id, id, cycle_id, run_id, kind, number, title, published_at, published_by_id,
            disclosure, objection_from, objection_until, format, engine_version, digest, bundle)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14, $15, $16)
        """,
        tx.tenant_id,
        publication_id,
        cycle["id"],
        run["id"],
        kind,
        head["number"],
        heading,
        head["at"],
        actor.id,
        orjson.dumps(disclosure).decode(),
        *window,
        FORMAT,
        run["engine_version"],
        digest,
        bundle.decode(),
    )
    if state is not None:
        await tx.execute(
            "UPDATE cycles SET state = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
            tx.tenant_id,
            cycle["id"],
            state,
        )
    name = KIND_NAMES[kind]
    await audit.append(
        tx,
        actor,
        "publishRun",
        subject=("Publication", publication_id),
        summary=Text(zh=f"发布{name.zh}“{heading}”", en=f'Published the {name.en} "{heading}"'),
        changes=[Change("state", cycle["state"], state)] if state else [],
        facts={"digest": digest, "run": run["number"]},
    )
    return publication_id, cycle["id"]


def disclosure_of(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a kind shows of whom, by the frozen settings; a feedback shows each unit only its own by default."""
    for each in settings.get("disclosures") or ():
        if each["kind"] == kind:
            return dict(each)
    return {"kind": kind, **{what: default_level(kind, what) for what in DISCLOSED}, "bestCount": None}


async def _objection_window(tx: Transaction, time_zone: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """First and last day: it begins on the day after and counts working days, Monday to Friday."""
    row = await tx.fetchrow(
        """
        SELECT ((now() AT TIME ZONE $1)::date + 1) AS first, max(day) AS last FROM (
            SELECT day::date AS day FROM generate_series((now() AT TIME ZONE $1)::date + 1,
                (now() AT TIME ZONE $1)::date + 1 + 3 * $2::int + 7, interval '1 day') day
            WHERE extract(isodow FROM day) < 6 ORDER BY day LIMIT $2) days
        """,
        time_zone,
        int(settings.get("objectionWorkingDays") or 5),
    )
    assert row is not None
    return row["first"], row["last"]


async def _bundle(
    tx: Transaction,
    run: asyncpg.Record,
    cycle: asyncpg.Record,
    kind: str,
    title: str,
    head: asyncpg.Record,
    disclosure: dict[str, Any],
) -> bytes:
    """The canonical JSON of a board: keys sorted, no spaces, UTF-8; standings in the order of the board."""
    standings = await tx.fetch(
        """
        SELECT u.code, u.name, k.name AS category, s.total::text, s.exact, s.rank, s.overall_rank, s.status,
               s.bonus::text, s.deduction::text, s.coverage::text,
               {grade} AS grade,
               (SELECT json_agg(json_build_array(i.code, d.score::text, d.exact) ORDER BY d.position)
                                  FROM standing_dimensions d
                                  JOIN indicators i ON i.tenant_id = d.tenant_id AND i.id = d.indicator_id
                                  WHERE d.tenant_id = s.tenant_id AND d.standing_id = s.id) AS dimensions
        FROM standings s
        JOIN cycle_units u ON u.tenant_id = s.tenant_id AND u.id = s.cycle_unit_id
        JOIN cycle_categories k ON k.tenant_id = s.tenant_id AND k.cycle_id = u.cycle_id
             AND k.category_id = s.category_id
        WHERE s.tenant_id = $1 AND s.run_id = $2 ORDER BY s.position
        """.replace("{grade}", CURRENT_GRADE)
        .replace("{tenant}", "$1")
        .replace("{t}", "s"),
        tx.tenant_id,
        run["id"],
    )
    board = {
        "format": FORMAT,
        "engineVersion": run["engine_version"],
        "kind": kind,
        "number": head["number"],
        "title": title,
        "publishedAt": head["at"].isoformat(),
        "cycle": {"code": cycle["code"], "name": cycle["name"]},
        "run": run["number"],
        "snapshotDigest": run["snapshot_digest"],
        "disclosure": disclosure,
        "standings": [
            {
                "unit": row["code"],
                "name": row["name"],
                "category": row["category"],
                "total": row["total"],
                "exact": row["exact"],
                "rank": row["rank"],
                "overallRank": row["overall_rank"],
                "status": row["status"],
                "grade": row["grade"],
                "bonus": row["bonus"],
                "deduction": row["deduction"],
                "coverage": row["coverage"],
                "dimensions": orjson.loads(row["dimensions"] or "[]"),
            }
            for row in standings
        ],
    }
    return orjson.dumps(board, option=orjson.OPT_SORT_KEYS)
