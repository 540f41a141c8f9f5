"""What about a published board can still change, in one small statement (公示状态).

Boards are immutable, and so is all that `schema.published.documents` lets a kept document select, but for what is read
here: whether the board was superseded, what the publications of its run disclose, the grades that a body recorded for
the run or that the ordering of equals settled, and the versions of its cycle and of the categories' names.
"""

from dataclasses import dataclass
from uuid import UUID

from service.access import Reading

STATE = """
SELECT jsonb_build_array(
    (SELECT jsonb_agg(jsonb_build_array(o.id, o.kind, o.disclosure) ORDER BY o.number, o.id) FROM publications o
     WHERE o.tenant_id = $1 AND o.run_id = p.run_id),
    (SELECT s.id FROM publications s WHERE s.tenant_id = $1 AND s.supersedes_id = p.id),
    (SELECT jsonb_build_array(count(*), max(g.number)) FROM grade_records g
     WHERE g.tenant_id = $1 AND g.run_id = p.run_id),
    (SELECT jsonb_build_array(count(*), sum(e.version)) FROM tie_groups e
     WHERE e.tenant_id = $1 AND e.run_id = p.run_id),
    (SELECT jsonb_build_array(c.version, c.scheme_version_id) FROM cycles c
     WHERE c.tenant_id = $1 AND c.id = p.cycle_id),
    (SELECT jsonb_build_array(count(*), sum(k.version)) FROM categories k WHERE k.tenant_id = $1))::text AS state,
    ARRAY(SELECT DISTINCT d.key FROM publications o CROSS JOIN LATERAL jsonb_each(o.disclosure) d
          WHERE o.tenant_id = $1 AND o.run_id = p.run_id AND d.value = '"ALL"'::jsonb ORDER BY d.key) AS shown
FROM publications p WHERE p.tenant_id = $1 AND p.id = $2
"""


@dataclass(frozen=True, slots=True)
class BoardState:
    """One state of a board: equal texts mean that nothing about it has changed."""

    text: str
    shown: frozenset[str]
    """Parts (totals, ranks, grades, dimensions) that are disclosed of all units to everyone."""


async def read_state(reading: Reading, publication_id: UUID) -> BoardState | None:
    """The state of a board of the tenant; None where there is no such board."""
    rows = await reading.fetch(STATE, reading.tenant_id, publication_id)
    return BoardState(rows[0]["state"], frozenset(rows[0]["shown"])) if rows else None
