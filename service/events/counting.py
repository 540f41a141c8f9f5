"""What of each event counts now (计入分值): one pass of the engine's pots over a unit's confirmed events.

It is kept beside each event, so that lists can show it before any run. Runs reckon it again for themselves.
"""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import orjson

from service import schemes
from service.events.states import event_code
from service.scoring import Event, Snapshot, parse_scheme
from service.scoring.numbers import format_decimal
from service.scoring.pots import unit_events
from tenants.database import Transaction

_CONFIRMED = """
SELECT ev.id, ev.number, ev.cycle_unit_id, ev.matter, coalesce(ev.level, ev.ground) AS level, ev.amount, li.code,
       cu.cycle_id, k.code AS category
FROM events ev
JOIN indicators li ON li.tenant_id = ev.tenant_id AND li.id = ev.indicator_id
JOIN cycle_units cu ON cu.tenant_id = ev.tenant_id AND cu.id = ev.cycle_unit_id
JOIN categories k ON k.tenant_id = cu.tenant_id AND k.id = cu.category_id
WHERE ev.tenant_id = $1 AND ev.cycle_unit_id = ANY ($2::uuid[]) AND ev.state = 'CONFIRMED'
ORDER BY ev.number
"""


async def recount(tx: Transaction, cycle_id: UUID, cycle_units: Sequence[UUID]) -> None:
    """Reckon anew what counts of the events of these units of a cycle. Their events should be locked."""
    rows = await tx.fetch(_CONFIRMED, tx.tenant_id, list(cycle_units))
    version = await tx.fetchval(
        "SELECT scheme_version_id FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, cycle_id
    )
    scheme, faults = parse_scheme(await schemes.scheme_document(tx, version, keys="code"))
    if scheme is None:
        raise RuntimeError(f"The frozen scheme has faults: {faults[:3]}")
    categories = {str(row["cycle_unit_id"]): row["category"] for row in rows}
    found = unit_events(
        scheme,
        Snapshot(
            units=list(categories),
            categories=list(categories.values()),
            events=[
                Event(
                    key=event_code(row["number"]),
                    unit=str(row["cycle_unit_id"]),
                    indicator=row["code"],
                    matter=row["matter"],
                    level=row["level"],
                    amount=row["amount"],
                )
                for row in rows
            ],
        ),
    )
    ids = {(str(row["cycle_unit_id"]), event_code(row["number"])): row["id"] for row in rows}
    counted = [each for unit in found.values() for each in (*unit.bonus_events, *unit.deduction_events)]
    await tx.execute(
        """
        UPDATE events ev SET counted = coalesce(g.counted, 0), not_counted = g.reason::jsonb
        FROM events old
        LEFT JOIN unnest($3::uuid[], $4::numeric[], $5::text[]) AS g(id, counted, reason) ON g.id = old.id
        WHERE ev.tenant_id = $1 AND old.tenant_id = $1 AND ev.id = old.id AND old.cycle_unit_id = ANY ($2::uuid[])
          AND (old.counted, old.not_counted) IS DISTINCT FROM (coalesce(g.counted, 0), g.reason::jsonb)
        """,
        tx.tenant_id,
        list(cycle_units),
        [ids[each.event.unit, each.event.key] for each in counted],
        [Decimal(format_decimal(each.counted)) for each in counted],
        [
            None if each.reason is None else orjson.dumps({"zh": each.reason.zh, "en": each.reason.en}).decode()
            for each in counted
        ],
    )
