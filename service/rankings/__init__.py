"""Ranking runs (成绩测算): asking for one, computing it in the background, letting the cycle stand on it."""

from uuid import UUID

import asyncpg

from service import audit, cycles, jobs
from service.access import SYSTEM, Actor, Role
from service.audit import Change
from service.checks import Check
from service.errors import Conflict, IllegalState, KaopingError, NotFound, Path, VersionConflict
from service.ids import encode_id
from service.jobs import RANKING_RUN, JobRun, RunArguments
from service.rankings import results, snapshot
from service.rankings.previous import previous_standings
from service.rankings.results import Rows
from service.rankings.snapshot import Packed, RunInput
from service.scoring import ENGINE_VERSION, compute, parse_scheme
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7

RUNNABLE_STATES = ("OPEN", "REVIEWING", "RANKED", "NOTICED")
"""States of a cycle in which it may be computed."""


async def start_ranking_run(tx: Transaction, actor: Actor, *, cycle_id: str) -> UUID:
    """Ask for a run; joins one that still waits. The run's id."""
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "cycleId"), cycle_id, "Cycle")
    check.done()
    cycle = await tx.fetchrow(
        "SELECT id, name, state FROM cycles WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tx.tenant_id, key
    )
    if cycle is None:
        raise NotFound(("input", "cycleId"))
    if cycle["state"] not in RUNNABLE_STATES:
        raise IllegalState(
            Text(zh="该周期现在不能测算。", en="This cycle cannot be computed now."),
            state=cycle["state"],
            legal_from=RUNNABLE_STATES,
            subject=("Cycle", cycle["id"]),
            path=("input", "cycleId"),
            hint=Text(
                zh="启动填报之后、通报之前可以测算。", en="From its opening until its final publication it can be."
            ),
        )
    waiting: UUID | None = await tx.fetchval(
        """SELECT r.id FROM ranking_runs r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
           WHERE r.tenant_id = $1 AND r.cycle_id = $2 AND j.state = 'QUEUED' ORDER BY r.number DESC LIMIT 1""",
        tx.tenant_id,
        cycle["id"],
    )
    if waiting is not None:
        return waiting
    run_id = uuid7()
    job_id = await jobs.request(
        tx,
        actor,
        RANKING_RUN,
        subject=("RankingRun", run_id),
        dedupe_key=f"ranking run {run_id}",
        arguments=RunArguments(run_id),
    )
    number = await tx.fetchval(
        """INSERT INTO ranking_runs (tenant_id, id, cycle_id, number, job_id, requested_by_id, requested_at)
           SELECT $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, now() FROM ranking_runs
           WHERE tenant_id = $1 AND cycle_id = $3 RETURNING number""",
        tx.tenant_id,
        run_id,
        cycle["id"],
        job_id,
        None if actor.id == SYSTEM else actor.id,
    )
    await audit.append(
        tx,
        actor,
        "startRankingRun",
        subject=("RankingRun", run_id),
        summary=Text(zh=f"启动“{cycle['name']}”第{number}次测算", en=f'Started run {number} of "{cycle["name"]}"'),
    )
    return run_id


async def cancel_ranking_run(tx: Transaction, actor: Actor, *, run_id: str) -> UUID:
    """Cancel a run that waits or is being computed; nothing of it stays but its row."""
    run = await _run(tx, run_id)
    try:
        await jobs.cancel(tx, actor, job_id=encode_id("Job", run["job_id"]))
    except KaopingError as refused:
        # The caller named a run, not its job.
        refused.path = ("input", "runId")
        raise
    key: UUID = run["id"]
    return key


async def adopt_run(tx: Transaction, actor: Actor, *, run_id: str, version: int) -> tuple[UUID, UUID]:
    """Let the cycle stand on a finished run; ids of cycle and run. `version` is the cycle's."""
    actor.require_at_root(Role.ORGANISER)
    run = await finished_run(tx, run_id)
    cycle = await tx.fetchrow(
        "SELECT id, name, state, version, adopted_run_id FROM cycles WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id,
        run["cycle_id"],
    )
    assert cycle is not None
    if cycle["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), cycle["version"], "Cycle", cycle["id"])])
    await cycles.require_step(tx, cycle["id"], cycle["state"], "RANKED", path=("input", "runId"))
    await tx.execute(
        """UPDATE cycles SET state = 'RANKED', adopted_run_id = $3, version = version + 1
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        cycle["id"],
        run["id"],
    )
    await audit.append(
        tx,
        actor,
        "adoptRun",
        subject=("Cycle", cycle["id"]),
        summary=Text(
            zh=f"“{cycle['name']}”采用第{run['number']}次测算结果",
            en=f'"{cycle["name"]}" stands on run {run["number"]}',
        ),
        changes=[Change("state", cycle["state"], "RANKED")],
        facts={"resultDigest": run["result_digest"]},
    )
    return cycle["id"], run["id"]


async def finished_run(tx: Transaction, run_id: str, *, path: Path = ("input", "runId")) -> asyncpg.Record:
    """The row of a run that succeeded; raises NotFound, or IllegalState where it has not."""
    run = await _run(tx, run_id, path=path)
    if run["state"] != "SUCCEEDED":
        raise IllegalState(
            Text(zh="该次测算尚未成功完成。", en="This run has not succeeded."),
            state=run["state"],
            legal_from=("SUCCEEDED",),
            subject=("RankingRun", run["id"]),
            path=path,
            hint=Text(zh="请等待测算完成，或重新启动测算。", en="Wait for it to end, or start another run."),
        )
    return run


async def _run(tx: Transaction, run_id: str, *, path: Path = ("input", "runId")) -> asyncpg.Record:
    check = Check()
    key = check.id(path, run_id, "RankingRun")
    check.done()
    row = await tx.fetchrow(
        """SELECT r.*, j.state FROM ranking_runs r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.id = r.job_id
           WHERE r.tenant_id = $1 AND r.id = $2""",
        tx.tenant_id,
        key,
    )
    if row is None:
        raise NotFound(path)
    return row


# --- the job ---


async def compute_run(run: JobRun) -> None:
    """The step of a RANKING_RUN: snapshot, scores, ranks, and all of it written in one transaction."""
    run_id = run.arguments(RANKING_RUN).run_id
    run.progress("SNAPSHOT")
    async with run.db.transaction(run.tenant_id, read_only=True, isolation="REPEATABLE READ") as tx:
        cycle_id: UUID = await tx.fetchval(
            "SELECT cycle_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", tx.tenant_id, run_id
        )
        given = await snapshot.load(tx, cycle_id)
        previous = await previous_standings(tx, cycle_id)
    total = len(given.units)
    run.progress("SCORING", 0, total)
    packed, rows = await run.compute(_score, run, given)
    run.progress("WRITING", total, total, percent=80)
    async with run.committing() as tx:
        await results.write(tx, run_id, rows, previous)
        await tx.execute(
            "INSERT INTO run_snapshots (tenant_id, run_id, document) VALUES ($1, $2, $3)",
            tx.tenant_id,
            run_id,
            packed.document,
        )
        await tx.execute(
            """UPDATE ranking_runs SET snapshot_at = $3, snapshot_digest = $4, result_digest = $5,
                      engine_version = $6, unreviewed_count = $7, missing_count = $8, finished_at = now()
               WHERE tenant_id = $1 AND id = $2""",
            tx.tenant_id,
            run_id,
            given.at,
            packed.digest,
            rows.digest,
            ENGINE_VERSION,
            given.unreviewed,
            given.missing,
        )
        await audit.append(
            tx,
            run.actor,
            "computeRankingRun",
            subject=("RankingRun", run_id),
            summary=Text(zh=f"完成测算，共{total}个单位", en=f"Computed the run over {total} units"),
            facts={"snapshotDigest": packed.digest, "resultDigest": rows.digest, "engineVersion": ENGINE_VERSION},
        )


_STAGES = {"LEAVES": ("SCORING", 20), "TREE": ("SCORING", 50), "RANKS": ("RANKING", 65)}
"""The engine's stages: what the run shows, and from which percentage on."""


def _score(run: JobRun, given: RunInput) -> tuple[Packed, Rows]:
    """All that needs no database; runs in a thread."""
    scheme, faults = parse_scheme(given.document)
    if scheme is None:
        raise RuntimeError(f"The frozen scheme has faults: {faults[:3]}")
    total = len(given.units)

    def tell(stage: str, done: int, of: int) -> None:
        name, percent = _STAGES[stage]
        run.progress(name, total * done // of if of else 0, total, percent=percent)

    result = compute(scheme, given.snapshot, progress=tell)
    return snapshot.pack(given.document, given.snapshot), results.rows_of(given, result)
