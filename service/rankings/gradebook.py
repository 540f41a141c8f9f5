"""Which grade a standing has (等次): computed, or settled by a body; as SQL that use-cases and reads share."""

from typing import Final, Protocol
from uuid import UUID

import asyncpg


class Reading(Protocol):
    """A tenant's transaction, or a snapshot of its own."""

    tenant_id: UUID

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """All rows."""


NEWEST_RECORD = """(SELECT nr.id FROM grade_records nr WHERE nr.tenant_id = {tenant} AND nr.run_id = {t}.run_id
    ORDER BY nr.number DESC LIMIT 1)"""
"""Of a standing {t}: the record that holds for its run."""

PROPOSED_GRADE = """(SELECT pg.grade FROM standing_grades pg WHERE pg.tenant_id = {tenant}
    AND pg.standing_id = {t}.id)"""
DECIDED_GRADE = f"""(SELECT dg.grade FROM decided_grades dg WHERE dg.tenant_id = {{tenant}}
    AND dg.standing_id = {{t}}.id AND dg.record_id = {NEWEST_RECORD})"""
CURRENT_GRADE = f"coalesce({DECIDED_GRADE}, {PROPOSED_GRADE})"
"""Of a standing {t}: code of the grade that was decided, else of the computed one."""


_APART: Final = 1_000_000
"""More than any group has units: orders of groups that were decided later come after those of earlier ones."""


async def decisions_of(reader: Reading, run_id: UUID) -> tuple[int, dict[str, int]]:
    """How equals of a run were ordered: how many groups were, and unit → its place; later groups after earlier ones."""
    rows = await reader.fetch(
        """SELECT cu.code, tm.place, tg.id AS tie_group FROM tie_groups tg
           JOIN tie_group_members tm ON tm.tenant_id = tg.tenant_id AND tm.tie_group_id = tg.id
           JOIN standings st ON st.tenant_id = tm.tenant_id AND st.id = tm.standing_id
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE tg.tenant_id = $1 AND tg.run_id = $2 AND tg.decided_at IS NOT NULL
           ORDER BY tg.decided_at, tg.id, tm.place""",
        reader.tenant_id,
        run_id,
    )
    turns = {group: turn for turn, group in enumerate(dict.fromkeys(row["tie_group"] for row in rows))}
    return len(turns), {row["code"]: turns[row["tie_group"]] * _APART + row["place"] for row in rows}
