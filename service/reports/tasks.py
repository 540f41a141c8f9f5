"""Taking tasks to write them (填报任务的取用): locked, with their entries, and with the reason where one is closed."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from service.access import Actor, Role, denied
from service.cycles.holding import holding_cycles
from service.errors import Contact, ErrorCode, IllegalState, Path
from service.reports.rights import (
    FILLING_STATES,
    LOCK_CONTACT_UNIT,
    LOCK_SINCE,
    LOCKS,
    TASK_LOCK,
    TASK_VISIBLE,
    WRITABLE_STATES,
    of_lock,
    placed,
)
from tenants.database import Transaction

_HOLD = f"""
    WITH held AS (SELECT id FROM tasks WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE),
    {holding_cycles("tasks", "$2::uuid[]")}
    SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM cycles_held)"""

_READ = placed(
    f"""
    SELECT ta.id, ta.state, ta.cycle_id, ta.cycle_unit_id, ta.data_item_id, ta.filler, ta.report_id, ta.due_on,
           ta.due_at, ta.closes_at, ta.return_review_id, ta.scheme_version_id, cy.state AS cycle_state,
           en.id AS entry_id, en.version AS entry_version, en.state AS entry_state, en.revision,
           en.revision_id, lk.name AS lock,
           {of_lock("lk.name", LOCK_SINCE)} AS lock_since,
           {of_lock("lk.name", LOCK_CONTACT_UNIT)} AS lock_unit_id
    FROM tasks ta
    JOIN cycles cy ON cy.tenant_id = ta.tenant_id AND cy.id = ta.cycle_id
    LEFT JOIN entries en ON en.tenant_id = ta.tenant_id AND en.task_id = ta.id
    CROSS JOIN LATERAL (SELECT {TASK_LOCK} AS name) lk
    WHERE ta.tenant_id = $1 AND ta.id = ANY ($2::uuid[]) AND {TASK_VISIBLE}
    """,
    t="ta",
    actor="$3",
    all="$4",
)


async def lock_tasks(tx: Transaction, actor: Actor, task_ids: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """The tasks that the actor may see, locked against other writers, with their entries and the reason of a lock.

    Locks come first and by id, and what is read is read after them: two writers meet here and nowhere else.
    """
    await tx.execute(_HOLD, tx.tenant_id, list(task_ids))
    return await read_tasks(tx, actor, task_ids)


async def read_tasks(tx: Transaction, actor: Actor, task_ids: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """The same without locking the tasks."""
    rows = await tx.fetch(_READ, tx.tenant_id, list(task_ids), actor.id, actor.sees_all)
    return {row["id"]: row for row in rows}


def refuse_locked(task: asyncpg.Record, path: Path) -> None:
    """Raise what the task's lock says, if it has one."""
    if task["lock"] is None:
        return
    lock = LOCKS[task["lock"]]
    contacts = [Contact(lock.contact[0], task["lock_unit_id"])]
    if lock.code is ErrorCode.FORBIDDEN:
        raise denied(lock.text, [Role(lock.contact[0])], contacts=contacts, path=path)
    over = task["lock"] == "CYCLE_OVER"
    raise IllegalState(
        lock.text,
        code=lock.code,
        state=task["cycle_state"] if over else task["state"],
        legal_from=FILLING_STATES if over else WRITABLE_STATES,
        since=task["lock_since"],
        contacts=contacts,
        subject=("Cycle", task["cycle_id"]) if over else ("Task", task["id"]),
        path=path,
        hint=lock.hint,
    )
