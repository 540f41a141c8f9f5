"""A kind of job for tests, which sleeps, fails, blocks or computes, and notes what it did.

The file that the process's first argument names gets a line per attempt. Effects are data items of the job's tenant:
their number tells how often a job took effect.
"""

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from service.errors import ErrorCode, KaopingError
from service.jobs import JobRun, Kind, Transient
from service.scoring.text import Text
from tenants.database import Database, Transaction
from tenants.ids import uuid7


@dataclass(frozen=True)
class Behaviour:
    """What a job of the tests does."""

    effect: str
    """Code of the data item that it makes, with the number of items before it."""
    how: str = "PLAIN"
    seconds: int = 0


async def behave(run: JobRun) -> None:
    """Do as the arguments say, then make one data item."""
    wanted = run.arguments(TEST)
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open("a") as log:  # noqa: ASYNC230  # a line
            log.write(f"{os.getpid()} {run.claim.job_id} {run.claim.fence}\n")
    match wanted.how:
        case "RAISE":
            raise ZeroDivisionError
        case "TRANSIENT":
            raise Transient(Text(zh="再等等。", en="Not yet."))
        case "REFUSED":
            raise KaopingError(ErrorCode.INVALID, Text(zh="不行。", en="No."))
        case "EXIT":
            os._exit(3)
        case "BLOCK_ONCE":
            # Holds up the event loop, and with it everything that lives on it.
            time.sleep(wanted.seconds)  # noqa: ASYNC251  # that is the point
        case "STOPPED":
            # From outside, just before it looks.
            run.stop("DRAINED")
            run.check()
        case "MEMORY":
            # More than any bound that a test sets, and touched, so that it is really taken.
            await run.compute(lambda: len(bytearray(b"x") * (wanted.seconds * 2**20)))
        case "SEGFAULT":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "COMPUTE":
            await run.compute(count, run, wanted.seconds)
        case _:
            for second in range(10 * wanted.seconds):
                run.progress("SLEEPING", second, 10 * wanted.seconds)
                await asyncio.sleep(0.1)
    async with run.committing() as tx:
        await note(tx, wanted.effect)


def count(run: JobRun, seconds: int) -> None:
    """Keep a thread busy, telling now and then how far it is."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        run.progress("COUNTING", percent=int(100 * (1 - left / seconds)))
        sum(range(20_000))


async def note(tx: Transaction, effect: str) -> None:
    """One effect: a data item with a code of its own."""
    number = await effects_in(tx, effect)
    await tx.execute(
        """INSERT INTO data_items (tenant_id, id, code, name, definition, type, scale, source, personal, active)
           VALUES ($1, $2, $3, $4, '', 'NUMBER', 0, 'REPORTED', false, true)""",
        tx.tenant_id,
        uuid7(),
        f"{effect}-{number}-{uuid7()}",
        effect,
    )


async def effects_in(tx: Transaction, effect: str) -> int:
    """How often the effect is there."""
    return int(
        await tx.fetchval("SELECT count(*) FROM data_items WHERE tenant_id = $1 AND name = $2", tx.tenant_id, effect)
    )


async def effects(db: Database, tenant_id: UUID, effect: str) -> int:
    """How often the effect is there."""
    async with db.transaction(tenant_id) as tx:
        return await effects_in(tx, effect)


TEST = Kind(
    "TEST",
    arguments=Behaviour,
    step="tests.service.working:behave",
    done=Text(zh="好了。", en="Done."),
    max_attempts=2,
    timeout=20,
    repeatable=True,
)
APART = replace(TEST, name="APART", apart=True)
"""The same in a process of its own."""
