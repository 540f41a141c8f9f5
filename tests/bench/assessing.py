"""What tests of a loaded district share: dimensions over its leaves, settled values, and jobs done here."""

import time
from uuid import UUID

import orjson

from service import jobs
from service.jobs import JobRun
from service.opening import open_cycle
from service.rankings import compute_run
from tenants.database import Database, Transaction
from tenants.ids import uuid7s
from tenants.provisioning import District

DIMENSIONS = 10


def rule(item: UUID, number: int) -> dict[str, object]:
    """One of several kinds, by turns."""
    quantity = {"numerator": {"terms": [{"coefficient": "1", "dataItem": str(item)}], "constant": "0"}}
    kinds: list[dict[str, object]] = [
        {"kind": "LINEAR", "quantity": quantity, "zeroAt": "0", "fullAt": "90", "clamp": True},
        {"kind": "MINMAX", "quantity": quantity, "direction": "HIGHER"},
        {
            "kind": "BANDS",
            "quantity": quantity,
            "bands": [{"from": "60", "marks": "100"}, {"from": None, "marks": "40"}],
        },
        {"kind": "DEDUCT", "lines": [{"quantity": quantity, "pointsEach": "0.5"}], "floor": "0"},
    ]
    return kinds[number % len(kinds)]


async def dimensions(tx: Transaction, version_id: UUID, items: list[UUID]) -> None:
    """Hang the leaves under ten first-level indicators, with rules of several kinds."""
    root = await tx.fetchval(
        "SELECT id FROM indicators WHERE tenant_id = $1 AND scheme_version_id = $2 AND parent_id IS NULL",
        tx.tenant_id,
        version_id,
    )
    ids = uuid7s(DIMENSIONS)
    await tx.execute(
        """INSERT INTO indicators (tenant_id, id, scheme_version_id, code, name, parent_id, depth, position,
                                   print_order, ordinal, leaf, weight)
           SELECT $1, d.id, $2, 'd' || d.n, '维度' || d.n, $3, 1, d.n, 1000 * d.n::int, d.n::text, false, 1
           FROM unnest($4::uuid[]) WITH ORDINALITY d(id, n)""",
        tx.tenant_id,
        version_id,
        root,
        ids,
    )
    await tx.execute(
        """UPDATE indicators i SET depth = 2, parent_id = ($3::uuid[])[(l.n - 1) % $4 + 1],
                  print_order = 1000 * ((l.n - 1) % $4 + 1) + l.n, rule = l.rule::jsonb
           FROM unnest($5::uuid[], $6::text[]) WITH ORDINALITY l(item, rule, n)
           JOIN indicator_items x ON x.tenant_id = $1 AND x.data_item_id = l.item
           WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 AND i.id = x.indicator_id""",
        tx.tenant_id,
        version_id,
        ids,
        DIMENSIONS,
        items,
        [orjson.dumps(rule(item, number)).decode() for number, item in enumerate(items)],
    )


async def settle(tx: Transaction, cycle_id: UUID) -> None:
    """Two decimal places of every value, and 2 % missing."""
    await tx.execute("SET LOCAL statement_timeout = 0")
    await tx.execute(
        """UPDATE assessments SET state = 'ACCEPTED', settled_at = now(),
                  settled_numbers = ARRAY[(abs(hashtext(id::text)) % 10001)::numeric / 100]
           WHERE tenant_id = $1 AND cycle_id = $2 AND abs(hashtext('m' || id::text)) % 50 > 0""",
        tx.tenant_id,
        cycle_id,
    )


async def run_job(db: Database, tenant: District, job_id: UUID) -> tuple[JobRun, float]:
    """Claim a job and do it here; how long it took."""
    claimed = await jobs.claim(db, tenant.id, job_id)
    assert claimed is not None
    run = JobRun(db, claimed, jobs.KINDS[claimed.kind])
    begun = time.perf_counter()
    await {"OPEN_CYCLE": open_cycle, "RANKING_RUN": compute_run}[claimed.kind](run)
    return run, time.perf_counter() - begun
