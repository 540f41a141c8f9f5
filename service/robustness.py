"""How firm a run's ranks are (稳健性): reckoned on request, beside the result, outside every digest.

The seed follows from the run's snapshot, so that whoever asks again is told the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from service import audit, jobs, rankings
from service.access import Actor, Role
from service.jobs import ROBUSTNESS, JobRun, RunArguments
from service.rankings.gradebook import decisions_of
from service.rankings.snapshot import unpack
from service.scoring import Result, Robustness, compute, moved_without, parse_scheme, robustness
from service.scoring.numbers import format_decimal, format_scaled, round_half_up
from service.scoring.text import Text
from tenants.database import Transaction

SHARE_PLACES = 4
"""Decimal places of the share of draws in which a seat changes hands."""


async def request_robustness(tx: Transaction, actor: Actor, *, run_id: str) -> UUID:
    """Ask for the draws of a finished run, once; the job's id."""
    actor.require_at_root(Role.ORGANISER)
    run = await rankings.finished_run(tx, run_id)
    done: UUID | None = await tx.fetchval(
        """SELECT j.id FROM run_robustness r JOIN jobs j ON j.tenant_id = r.tenant_id AND j.dedupe_key = $3
           WHERE r.tenant_id = $1 AND r.run_id = $2""",
        tx.tenant_id,
        run["id"],
        _key(run["id"]),
    )
    if done is not None:
        return done
    job_id = await jobs.request(
        tx,
        actor,
        ROBUSTNESS,
        subject=("RankingRun", run["id"]),
        dedupe_key=_key(run["id"]),
        arguments=RunArguments(run["id"]),
    )
    await audit.append(
        tx,
        actor,
        "requestRobustness",
        subject=("RankingRun", run["id"]),
        summary=Text(
            zh=f"申请第{run['number']}次测算的稳健性分析", en=f"Asked how firm the ranks of run {run['number']} are"
        ),
    )
    return job_id


def _key(run_id: UUID) -> str:
    return f"robustness {run_id}"


# --- the job ---


async def reckon_robustness(run: JobRun) -> None:
    """The step of a ROBUSTNESS: weights drawn again and again over the run's snapshot."""
    run_id = run.arguments(ROBUSTNESS).run_id
    run.progress("SNAPSHOT")
    async with run.db.transaction(run.tenant_id, read_only=True, isolation="REPEATABLE READ") as tx:
        row = await tx.fetchrow(
            """SELECT r.snapshot_digest, s.document FROM ranking_runs r
               JOIN run_snapshots s ON s.tenant_id = r.tenant_id AND s.run_id = r.id
               WHERE r.tenant_id = $1 AND r.id = $2""",
            tx.tenant_id,
            run_id,
        )
        assert row is not None
        _, decisions = await decisions_of(tx, run_id)
        standings = {
            each["code"]: each["id"]
            for each in await tx.fetch(
                """SELECT cu.code, st.id FROM standings st
                   JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
                   WHERE st.tenant_id = $1 AND st.run_id = $2""",
                tx.tenant_id,
                run_id,
            )
        }
    seed = seed_of(row["snapshot_digest"])
    result, found, without = await run.compute(_draw, run, bytes(row["document"]), decisions, seed)
    run.progress("WRITING", percent=95)
    ranked = [place for place, rank in enumerate(result.ranks()) if rank is not None]
    async with run.committing() as tx:
        await tx.execute(
            """INSERT INTO run_robustness (tenant_id, run_id, seed, draws, tolerance, flips, reckoned_at)
               VALUES ($1, $2, $3::numeric, $4, $5::numeric, $6::jsonb, now()) ON CONFLICT DO NOTHING""",
            tx.tenant_id,
            run_id,
            str(seed),
            found.draws,
            format_decimal(found.tolerance),
            orjson.dumps(_flips(result, found, standings)).decode(),
        )
        await tx.execute(
            """INSERT INTO standing_robustness (tenant_id, standing_id, low, high, without)
               SELECT $1, r.* FROM unnest($2::uuid[], $3::int[], $4::int[], $5::jsonb[]) AS r
               ON CONFLICT DO NOTHING""",
            tx.tenant_id,
            [standings[result.units[place]] for place in ranked],
            [int(found.low[place]) for place in ranked],
            [int(found.high[place]) for place in ranked],
            [
                orjson.dumps([{"code": code, "rank": rank} for code, rank in without[place].items()]).decode()
                for place in ranked
            ],
        )
        await audit.append(
            tx,
            run.actor,
            "reckonRobustness",
            subject=("RankingRun", run_id),
            summary=Text(
                zh=f"完成稳健性分析，抽样{found.draws}次", en=f"Reckoned how firm the ranks are, by {found.draws} draws"
            ),
            facts={"seed": str(seed)},
        )


def seed_of(snapshot_digest: str) -> int:
    """The seed of a run's draws: the same snapshot, the same draws."""
    return int(snapshot_digest[:16], 16)


def _draw(
    run: JobRun, packed: bytes, decisions: Mapping[str, int], seed: int
) -> tuple[Result, Robustness, list[dict[str, int | None]]]:
    """All that needs no database; runs in a thread."""
    stored = unpack(packed)
    scheme, faults = parse_scheme(stored.document)
    if scheme is None:
        raise RuntimeError(f"The scheme of a snapshot has faults: {faults[:3]}")
    result = compute(scheme, replace(stored.snapshot, decisions=decisions))

    def tell(done: int, draws: int) -> None:
        run.progress("DRAWING", percent=10 + 70 * done // draws)

    found = robustness(result.scheme, result, seed=seed, progress=tell)
    return result, found, moved_without(result, run.check)


def _flips(result: Result, found: Robustness, standings: Mapping[str, UUID]) -> list[dict[str, Any]]:
    return [
        {
            "grade": flip.grade,
            "standings": [str(standings[result.units[unit]]) for unit in (flip.holder, flip.next)],
            "share": format_scaled(round_half_up(flip.share, SHARE_PLACES), SHARE_PLACES),
            "text": {"zh": flip.text.zh, "en": flip.text.en},
        }
        for flip in found.flips
    ]
