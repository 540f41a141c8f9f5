"""Counts a district's values and judgements anew, row by row, to compare with the counters that changes keep."""

from collections import Counter
from uuid import UUID

from tenants.database import Database, Transaction

Counts = dict[tuple[str, str, str], Counter[str]]
"""By cycle, subject and the instant that values are due at, in words; subjects with nothing to count are left out."""

COLUMNS = (
    "asked",
    "submitted",
    "submitted_late",
    "outstanding",
    "ready",
    "returned",
    "accepted",
    "rejected",
    "not_applicable",
    "inconsistent",
)


async def kept(tx: Transaction) -> Counts:
    """The counters."""
    rows = await tx.fetch("SELECT *, due_at::text AS due FROM progress_counters WHERE tenant_id = $1", tx.tenant_id)
    found: Counts = {}
    for row in rows:
        if any(row[name] for name in COLUMNS):
            key = str(row["cycle_id"]), str(row["subject_id"]), row["due"]
            found[key] = Counter({name: row[name] for name in COLUMNS if row[name]})
    return found


async def recounted(tx: Transaction) -> Counts:
    """The same from the rows, one by one and in Python."""
    found: Counts = {}

    def add(cycle_id: UUID, subjects: list[UUID], due: str, *names: str) -> None:
        for subject in subjects:
            found.setdefault((str(cycle_id), str(subject), due), Counter()).update(names)

    units = {
        row["id"]: [row["cycle_id"], row["id"], row["category_id"], *row["above"]]
        for row in await tx.fetch(
            """SELECT cu.*, ARRAY(SELECT ca.ancestor_id FROM cycle_unit_ancestors ca WHERE ca.tenant_id = $1
                                  AND ca.cycle_unit_id = cu.id AND ca.depth > 0) AS above
               FROM cycle_units cu WHERE cu.tenant_id = $1 AND cu.assessed""",
            tx.tenant_id,
        )
    }
    uses: dict[tuple[UUID, UUID], list[UUID]] = {}
    judged = await tx.fetch(
        """SELECT am.*, ARRAY(SELECT ii.data_item_id FROM indicator_items ii WHERE ii.tenant_id = $1
                              AND ii.indicator_id = am.indicator_id) AS items
           FROM assessments am WHERE am.tenant_id = $1""",
        tx.tenant_id,
    )
    for row in judged:
        for item in row["items"]:
            uses.setdefault((row["cycle_unit_id"], item), []).append(row["indicator_id"])
        state = "accepted" if row["state"] == "ADJUSTED" else row["state"].lower()
        names = ([state] if state != "waiting" else []) + ["inconsistent"] * (row["changes_since_accepted"] > 0)
        add(row["cycle_id"], [*units[row["cycle_unit_id"]], row["indicator_id"]], "infinity", *names)
    for row in await tx.fetch(
        "SELECT *, due_at::text AS due FROM tasks WHERE tenant_id = $1 AND filler <> 'SYSTEM'", tx.tenant_id
    ):
        sent = row["state"] in ("SUBMITTED", "SETTLED")
        names = ["asked"] + ["submitted"] * sent + ["submitted_late"] * (sent and row["days_late"] > 0)
        names += ["outstanding"] * (not sent and row["filler"] == "UNIT")
        leaves = uses.get((row["cycle_unit_id"], row["data_item_id"]), [])
        add(row["cycle_id"], [*units[row["cycle_unit_id"]], *leaves], row["due"], *names)
    return {key: counts for key, counts in found.items() if counts}


async def check_counters(db: Database, tenant_id: UUID) -> Counts:
    """Compare the two; what is counted."""
    async with db.transaction(tenant_id, read_only=True, isolation="REPEATABLE READ") as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        expected = await recounted(tx)
        assert await kept(tx) == expected
    return expected
