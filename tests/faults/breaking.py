"""A kind of job that can be broken, and workers as processes that can be.

Each job makes one effect, a data item named after the job's key, beside the number of the request that it served. Data
items have nothing unique about these, so that a doubled effect stays to be counted.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from uuid import UUID

from service.jobs import JobRun, Kind
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7


@dataclass(frozen=True)
class Behaviour:
    """What a job does before its effect."""

    key: str
    milliseconds: int = 0
    how: str = "SLEEP"


async def behave(run: JobRun) -> None:
    """Do it, then make the effect."""
    wanted = run.arguments(BREAKABLE)
    seconds = wanted.milliseconds / 1000
    match wanted.how:
        case "RAISE":
            raise ZeroDivisionError
        case "EXIT":
            os._exit(3)
        case "BLOCK":
            time.sleep(seconds)  # noqa: ASYNC251  # that is the point
        case "SLEEP":
            await asyncio.sleep(seconds / 2)
            run.progress("SLEEPING", percent=50)
            await asyncio.sleep(seconds / 2)
    async with run.committing() as tx:
        await effect(tx, wanted.key, run.claim.seen)


async def effect(tx: Transaction, key: str, seen: int) -> None:
    """What is counted at the end."""
    item_id = uuid7()
    await tx.execute(
        """INSERT INTO data_items (tenant_id, id, code, name, definition, type, scale, source, personal, active)
           VALUES ($1, $2, $3, $4, $5, 'NUMBER', 0, 'REPORTED', false, true)""",
        tx.tenant_id,
        item_id,
        f"e{item_id.hex}",
        key,
        str(seen),
    )


async def effects(tx: Transaction) -> dict[str, list[int]]:
    """By key, the numbers of the requests that took effect."""
    found: dict[str, list[int]] = {}
    for row in await tx.fetch("SELECT name, definition FROM data_items WHERE tenant_id = $1", tx.tenant_id):
        found.setdefault(row["name"], []).append(int(row["definition"]))
    return found


BREAKABLE = Kind(
    "BREAKABLE",
    arguments=Behaviour,
    step="tests.faults.breaking:behave",
    done=Text(zh="好了。", en="Done."),
    max_attempts=3,
    timeout=30,
    repeatable=True,
)

ROOT = UUID(int=0)
"""What these jobs are about: nothing."""

WORKER = """
import uvloop
from service import logs
from service.settings import Settings
from service.worker import run_worker
from tests.faults.breaking import BREAKABLE
settings = Settings.read()
logs.configure(form="text", level="info")
uvloop.run(run_worker(settings, kinds={BREAKABLE.name: BREAKABLE}))
"""
"""A worker of the product that knows this kind alone."""
