"""What stood before (上期结果): of each unit the newest board that it stood on, under the same scheme."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from service.rankings.gradebook import CURRENT_GRADE
from tenants.database import Transaction

# Boards that were kept, of cycles that do not start later: other cycles of the scheme may be for other units.
_NEWEST = """
    SELECT DISTINCT ON (b.unit_id) b.unit_id, st.id AS standing_id, p.id AS publication_id
    FROM cycles o
    JOIN scheme_versions w ON w.tenant_id = $1 AND w.id = o.scheme_version_id
    JOIN scheme_versions v ON v.tenant_id = $1 AND v.scheme_id = w.scheme_id
    JOIN cycles c ON c.tenant_id = $1 AND c.scheme_version_id = v.id AND c.starts_on <= o.starts_on AND {which}
    JOIN publications p ON p.tenant_id = $1 AND p.cycle_id = c.id AND p.kind IN ('NOTICE', 'FINAL')
    JOIN standings st ON st.tenant_id = $1 AND st.run_id = p.run_id
    JOIN cycle_units b ON b.tenant_id = $1 AND b.id = st.cycle_unit_id
    WHERE o.tenant_id = $1 AND o.id = $2
    ORDER BY b.unit_id, c.starts_on DESC, p.published_at DESC"""


@dataclass(frozen=True)
class Previous:
    """Standings against which changes are kept, unit by unit, with the publications that show them."""

    unit_ids: Sequence[UUID]
    standing_ids: Sequence[UUID]
    publication_ids: Sequence[UUID]


async def previous_standings(tx: Transaction, cycle_id: UUID) -> Previous:
    """Of notice and final boards, this cycle's among them."""
    rows = await tx.fetch(_NEWEST.format(which="true"), tx.tenant_id, cycle_id)
    return Previous(*([row[name] for row in rows] for name in ("unit_id", "standing_id", "publication_id")))


async def previous_grades(tx: Transaction, cycle_id: UUID) -> dict[UUID, str]:
    """Codes of the grades that units had on the newest notice or final board of an earlier cycle."""
    grade = CURRENT_GRADE.replace("{tenant}", "$1").replace("{t}", "st")
    rows = await tx.fetch(
        f"""SELECT n.unit_id, {grade} AS grade FROM ({_NEWEST.format(which="c.id <> o.id")}) n
            JOIN standings st ON st.tenant_id = $1 AND st.id = n.standing_id""",
        tx.tenant_id,
        cycle_id,
    )
    return {row["unit_id"]: row["grade"] for row in rows if row["grade"] is not None}
