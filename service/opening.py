"""Opening a cycle (启动填报): the job that fixes its units, and makes what they are asked for.

All of it is one transaction: a cycle stays a draft until it commits. It makes up to millions of rows, so each statement
makes many: rows are told apart by ids made here, handed over as one run of bytes per statement and cut apart in SQL.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from service import audit, progress, schemes
from service.errors import ErrorCode, IllegalState, Invalid, Issue
from service.jobs import OPEN_CYCLE, JobRun
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7_bytes, uuid7s

ROWS_PER_STATEMENT = 100_000
"""Rows that one statement makes, about: between two of them the job can be cancelled, and says how far it is."""


@dataclass(frozen=True)
class Item:
    """A data item that the cycle asks for, as the version pinned it."""

    id: UUID
    position: int
    filler: str
    responsible_unit_id: UUID | None


@dataclass(frozen=True)
class Leaf:
    """A leaf with the data items that it uses, in order. `categories` are those of the cycle that it applies to."""

    id: UUID
    award: bool
    levels: int
    item_ids: tuple[UUID, ...]
    categories: frozenset[UUID]


@dataclass(frozen=True)
class Plan:
    """What is asked of the units of each category."""

    items: tuple[Item, ...]
    leaves: tuple[Leaf, ...]

    def leaves_of(self, category: UUID) -> list[Leaf]:
        """Leaves that apply to a category, in print order."""
        return [leaf for leaf in self.leaves if category in leaf.categories]

    def items_of(self, category: UUID) -> list[Item]:
        """Data items that those use, in order."""
        used = {item for leaf in self.leaves_of(category) for item in leaf.item_ids}
        return [item for item in self.items if item.id in used]


async def open_cycle(run: JobRun) -> None:
    """The step of OPEN_CYCLE. Raises Invalid with the scheme's faults, and IllegalState where it can't be opened."""
    cycle_id = run.arguments(OPEN_CYCLE).cycle_id
    async with run.committing() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        await tx.plan_for_many()
        run.progress("FREEZING")
        cycle = await _draft(tx, cycle_id)
        await schemes.freeze_draft(tx, run.actor, cycle["scheme_version_id"])
        plan = await read_plan(tx, cycle)
        run.progress("UNITS", percent=2)
        units = await _copy_units(tx, cycle)
        if not units:
            raise Invalid([_NO_UNITS])
        groups = [
            _Group(category, [unit for unit, of in units if of == category])
            for category in dict.fromkeys(category for _, category in units)
        ]
        total = sum(len(g.units) * (len(plan.items_of(g.category)) + len(plan.leaves_of(g.category))) for g in groups)
        await _make_reports(tx, cycle, groups)
        made = 0
        for group in groups:
            items = plan.items_of(group.category)
            for part in group.parts(len(items)):
                run.progress("TASKS", made, total, percent=5 + 90 * made // max(total, 1))
                await _make_tasks(tx, cycle, part, items)
                made += len(part.units) * len(items)
        for group in groups:
            leaves = plan.leaves_of(group.category)
            for part in group.parts(len(leaves)):
                run.progress("ASSESSMENTS", made, total, percent=5 + 90 * made // max(total, 1))
                await _make_assessments(tx, cycle, part, leaves)
                made += len(part.units) * len(leaves)
        run.progress("FINISHING", total, total, percent=96)
        targets = await _hand_out_targets(tx, cycle)
        if targets:
            await _settle_what_is_assigned(tx, cycle, plan)
        await progress.recount(tx, cycle_id)
        await tx.execute(
            """UPDATE cycles SET state = 'OPEN', opened_at = now(), version = version + 1
               WHERE tenant_id = $1 AND id = $2""",
            tx.tenant_id,
            cycle_id,
        )
        await audit.append(
            tx,
            run.actor,
            "completeOpening",
            subject=("Cycle", cycle_id),
            summary=Text(
                zh=f"“{cycle['name']}”启动填报，共{len(units)}个参评单位",
                en=f'"{cycle["name"]}" is open, with {len(units)} units',
            ),
            changes=[audit.Change("state", "DRAFT", "OPEN")],
            facts={"units": len(units), "rows": total, "targets": targets},
        )


_NO_UNITS = Issue(
    ErrorCode.INVALID,
    ("categories",),
    Text(
        zh="没有参评单位：所选考核类别中没有现存单位。",
        en="Nobody would be assessed: no unit of today has its categories.",
    ),
    Text(zh="请先给单位设置考核类别。", en="Give units one of its categories first."),
)


class _Group:
    """The units of a category, each with its report."""

    def __init__(self, category: UUID, units: list[UUID], reports: bytes | None = None) -> None:
        self.category = category
        self.units = units
        self.reports = reports or uuid7_bytes(len(units))

    def parts(self, rows_per_unit: int) -> Iterator["_Group"]:
        """The units, in portions that make a statement's rows."""
        size = max(1, ROWS_PER_STATEMENT // max(1, rows_per_unit))
        for start in range(0, len(self.units), size):
            end = start + size
            yield _Group(self.category, self.units[start:end], self.reports[16 * start : 16 * end])


async def _draft(tx: Transaction, cycle_id: UUID) -> asyncpg.Record:
    cycle = await tx.fetchrow(
        """SELECT c.*, (now() AT TIME ZONE t.time_zone)::date AS today FROM cycles c
           JOIN tenants t ON t.tenant_id = c.tenant_id WHERE c.tenant_id = $1 AND c.id = $2 FOR UPDATE OF c""",
        tx.tenant_id,
        cycle_id,
    )
    assert cycle is not None, "cycles are not deleted"
    if cycle["state"] != "DRAFT":
        raise IllegalState(
            Text(zh="该周期已启动填报。", en="The cycle is open already."),
            state=cycle["state"],
            legal_from=("DRAFT",),
            since=cycle["opened_at"],
            subject=("Cycle", cycle_id),
        )
    return cycle


# --- what is asked ----------------------------------------------------------------------------------------------------


async def read_plan(tx: Transaction, cycle: asyncpg.Record) -> Plan:
    """What a cycle on a frozen version asks of each of its categories."""
    version = cycle["scheme_version_id"]
    settings = orjson.loads(
        await tx.fetchval(
            "SELECT settings FROM scheme_versions WHERE tenant_id = $1 AND id = $2", tx.tenant_id, version
        )
    )
    categories = await tx.fetchval(
        "SELECT array_agg(category_id) FROM cycle_categories WHERE tenant_id = $1 AND cycle_id = $2",
        tx.tenant_id,
        cycle["id"],
    )
    pinned = await tx.fetch(
        """SELECT data_item_id, position, source, responsible_unit_ids FROM scheme_version_items
           WHERE tenant_id = $1 AND scheme_version_id = $2 ORDER BY position""",
        tx.tenant_id,
        version,
    )
    nodes = await tx.fetch(
        """SELECT i.id, i.parent_id, i.leaf, i.rule ->> 'kind' AS rule, i.category_ids, i.review_levels,
                  (SELECT coalesce(array_agg(ii.data_item_id ORDER BY ii.position), '{}') FROM indicator_items ii
                   WHERE ii.tenant_id = $1 AND ii.indicator_id = i.id) AS item_ids
           FROM indicators i WHERE i.tenant_id = $1 AND i.scheme_version_id = $2 ORDER BY i.print_order""",
        tx.tenant_id,
        version,
    )
    fillers = {"REPORTED": "UNIT", "REVIEWED": "RESPONSIBLE_UNIT", "ASSIGNED": "SYSTEM"}
    items = tuple(
        Item(
            row["data_item_id"],
            row["position"],
            fillers[row["source"]],
            next(iter(row["responsible_unit_ids"]), None) if row["source"] == "REVIEWED" else None,
        )
        for row in pinned
    )
    return Plan(items, tuple(_leaves(nodes, items, frozenset(categories or ()), settings)))


def _leaves(
    nodes: Sequence[asyncpg.Record], items: Sequence[Item], categories: frozenset[UUID], settings: dict[str, Any]
) -> Iterator[Leaf]:
    """Leaves of a tree in print order: parents come first, and hand on to whom they apply."""
    reported = {item.id for item in items if item.filler == "UNIT"}
    applies: dict[UUID | None, frozenset[UUID]] = {None: categories}
    for node in nodes:
        own = applies[node["parent_id"]]
        if node["category_ids"]:
            own &= frozenset(node["category_ids"])
        applies[node["id"]] = own
        award = node["rule"] == "AWARD"
        # What is scored by events alone has nothing to be judged.
        if node["leaf"] and (award or node["item_ids"]):
            levels = len(settings["reviewLevels"]) if reported & set(node["item_ids"]) else 0
            if node["review_levels"] is not None:
                levels = len(orjson.loads(node["review_levels"]))
            yield Leaf(node["id"], award, 1 if award else levels, tuple(node["item_ids"]), own)


# --- who is asked -----------------------------------------------------------------------------------------------------


async def _copy_units(tx: Transaction, cycle: asyncpg.Record) -> list[tuple[UUID, UUID]]:
    """Copy categories, units and who is above them; id and category of the assessed ones, in the tree's order."""
    # Names of categories as of now. They are written once, so those of the draft are taken away first.
    kept = await tx.fetch(
        "DELETE FROM cycle_categories WHERE tenant_id = $1 AND cycle_id = $2 RETURNING category_id, position",
        tx.tenant_id,
        cycle["id"],
    )
    await tx.execute(
        """INSERT INTO cycle_categories (tenant_id, cycle_id, category_id, position, name)
           SELECT $1, $2, k.id, g.position, k.name FROM unnest($3::uuid[], $4::int[]) AS g(id, position)
           JOIN categories k ON k.tenant_id = $1 AND k.id = g.id""",
        tx.tenant_id,
        cycle["id"],
        [row["category_id"] for row in kept],
        [row["position"] for row in kept],
    )
    # One statement, and so one snapshot of a tree that others may be changing: all else follows from it.
    units = await tx.fetch(
        f"""SELECT o.id, o.code, o.name, o.kind, o.parent_id, o.tree_path, c.assessed,
                   CASE WHEN c.assessed THEN o.category_id END AS category_id
            FROM ({_CONCERNED}) c JOIN org_units o ON o.tenant_id = $1 AND o.id = c.id ORDER BY o.tree_path""",
        tx.tenant_id,
        cycle["id"],
        cycle["today"],
        cycle["under_id"],
    )
    ids = dict(zip((unit["id"] for unit in units), uuid7s(len(units)), strict=True))
    # Parents come before their children in the order of the tree.
    above: dict[UUID | None, tuple[UUID, ...]] = {None: ()}
    paths: dict[UUID | None, str] = {None: ""}
    for unit in units:
        above[unit["id"]] = (unit["id"], *above[unit["parent_id"]])
        path = paths[unit["parent_id"]]
        paths[unit["id"]] = f"{path}{_BETWEEN_NAMES}{unit['name']}" if path else unit["name"]
    await tx.execute(
        """
        INSERT INTO cycle_units (tenant_id, id, cycle_id, unit_id, code, name, kind, parent_id, category_id,
                                 category_name, assessed, path_names, tree_path)
        SELECT $1, u.id, $2, u.unit_id, u.code, u.name, u.kind, u.parent_id, u.category_id, k.name, u.assessed,
               string_to_array(u.path, $12), u.tree_path
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::uuid[], $10::bool[],
                    $11::text[], $13::text[])
             AS u(id, unit_id, code, name, kind, parent_id, category_id, assessed, path, tree_path)
        LEFT JOIN cycle_categories k ON k.tenant_id = $1 AND k.cycle_id = $2 AND k.category_id = u.category_id
        """,
        tx.tenant_id,
        cycle["id"],
        list(ids.values()),
        list(ids),
        [unit["code"] for unit in units],
        [unit["name"] for unit in units],
        [unit["kind"] for unit in units],
        [ids.get(unit["parent_id"]) for unit in units],
        [unit["category_id"] for unit in units],
        [unit["assessed"] for unit in units],
        [paths[unit["id"]] for unit in units],
        _BETWEEN_NAMES,
        [unit["tree_path"] for unit in units],
    )
    ancestors = [(ids[unit["id"]], place, depth) for unit in units for depth, place in enumerate(above[unit["id"]])]
    await tx.execute(
        """INSERT INTO cycle_unit_ancestors (tenant_id, cycle_unit_id, ancestor_id, depth)
           SELECT $1, a.id, a.ancestor_id, a.depth FROM unnest($2::uuid[], $3::uuid[], $4::int[])
               AS a(id, ancestor_id, depth)""",
        tx.tenant_id,
        *([row[column] for row in ancestors] for column in range(3)),
    )
    return [(ids[unit["id"]], unit["category_id"]) for unit in units if unit["assessed"]]


_BETWEEN_NAMES = "\x1f"
"""No name contains it: names have no control characters."""

# Units of the cycle's categories that exist today ($3), below `under_id` ($4) where there is one, and all above them.
_CONCERNED = """
    SELECT above.ancestor_id AS id, bool_or(above.depth = 0) AS assessed
    FROM org_units ou
    JOIN cycle_categories cc ON cc.tenant_id = $1 AND cc.cycle_id = $2 AND cc.category_id = ou.category_id
    JOIN org_unit_ancestors above ON above.tenant_id = $1 AND above.unit_id = ou.id
    WHERE ou.tenant_id = $1 AND ou.valid_from <= $3 AND (ou.valid_to IS NULL OR ou.valid_to >= $3)
      AND ($4::uuid IS NULL OR EXISTS (SELECT 1 FROM org_unit_ancestors sub WHERE sub.tenant_id = $1
                                       AND sub.unit_id = ou.id AND sub.ancestor_id = $4))
    GROUP BY above.ancestor_id
"""


# --- rows by the hundred thousand -------------------------------------------------------------------------------------

# The id of row n, cut out of a run of bytes.
_CUT = "encode(substring({ids} FROM (16 * ({n}) - 15)::int FOR 16), 'hex')::uuid"


async def _make_reports(tx: Transaction, cycle: asyncpg.Record, groups: Sequence[_Group]) -> None:
    """A report per unit."""
    await tx.execute(
        f"""INSERT INTO reports (tenant_id, id, cycle_id, cycle_unit_id)
            SELECT $1, {_CUT.format(ids="$3::bytea", n="u.n")}, $2, u.id
            FROM unnest($4::uuid[]) WITH ORDINALITY AS u(id, n)""",
        tx.tenant_id,
        cycle["id"],
        b"".join(group.reports for group in groups),
        [unit for group in groups for unit in group.units],
    )


async def _make_tasks(tx: Transaction, cycle: asyncpg.Record, part: _Group, items: Sequence[Item]) -> None:
    """A task per unit and item."""
    if not items:
        return
    await tx.execute(
        f"""
        INSERT INTO tasks (tenant_id, id, cycle_id, cycle_unit_id, data_item_id, scheme_version_id, position, filler,
                           responsible_unit_id, report_id, state, due_on, due_at, closes_at, days_late)
        SELECT $1, {_CUT.format(ids="$3::bytea", n="(u.n - 1) * $5 + i.n")}, $2, u.id, i.id, $14, i.position, i.filler,
               i.responsible, CASE WHEN i.filler = 'UNIT' THEN u.report END, 'OPEN', $11, $12, $13, 0
        FROM (SELECT p.id, p.n, {_CUT.format(ids="$4::bytea", n="p.n")} AS report
              FROM unnest($6::uuid[]) WITH ORDINALITY AS p(id, n) OFFSET 0) u
        CROSS JOIN unnest($7::uuid[], $8::int[], $9::text[], $10::uuid[]) WITH ORDINALITY
            AS i(id, position, filler, responsible, n)
        """,
        tx.tenant_id,
        cycle["id"],
        uuid7_bytes(len(part.units) * len(items)),
        part.reports,
        len(items),
        part.units,
        [item.id for item in items],
        [item.position for item in items],
        [item.filler for item in items],
        [item.responsible_unit_id for item in items],
        cycle["due_on"],
        cycle["due_at"],
        cycle["closes_at"],
        cycle["scheme_version_id"],
    )


async def _make_assessments(tx: Transaction, cycle: asyncpg.Record, part: _Group, leaves: Sequence[Leaf]) -> None:
    """An assessment per unit and leaf: what is awarded can be judged from now on, the others wait for values."""
    if not leaves:
        return
    await tx.execute(
        f"""
        INSERT INTO assessments (tenant_id, id, cycle_id, cycle_unit_id, indicator_id, report_id, state, level, levels,
                                 ready_since, days_late, changes_since_accepted, version)
        SELECT $1, {_CUT.format(ids="$3::bytea", n="(u.n - 1) * $5 + l.n")}, $2, u.id, l.id, u.report,
               CASE WHEN l.award THEN 'READY' ELSE 'WAITING' END, 1, l.levels,
               CASE WHEN l.award THEN now() END, 0, 0, 1
        FROM (SELECT p.id, p.n, {_CUT.format(ids="$4::bytea", n="p.n")} AS report
              FROM unnest($6::uuid[]) WITH ORDINALITY AS p(id, n) OFFSET 0) u
        CROSS JOIN unnest($7::uuid[], $8::int[], $9::bool[]) WITH ORDINALITY AS l(id, levels, award, n)
        """,
        tx.tenant_id,
        cycle["id"],
        uuid7_bytes(len(part.units) * len(leaves)),
        part.reports,
        len(leaves),
        part.units,
        [leaf.id for leaf in leaves],
        [leaf.levels for leaf in leaves],
        [leaf.award for leaf in leaves],
    )


# --- targets ----------------------------------------------------------------------------------------------------------


async def _hand_out_targets(tx: Transaction, cycle: asyncpg.Record) -> int:
    """Enter the targets that were set before the opening; how many there are."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM cycle_targets WHERE tenant_id = $1 AND cycle_id = $2", tx.tenant_id, cycle["id"]
    )
    if not count:
        return 0
    await tx.execute(
        f"""
        WITH given AS MATERIALIZED (
            SELECT k.id AS task_id, g.number,
                   {_CUT.format(ids="$3::bytea", n="2 * row_number() OVER (ORDER BY k.id) - 1")} AS entry_id,
                   {_CUT.format(ids="$3::bytea", n="2 * row_number() OVER (ORDER BY k.id)")} AS revision_id
            FROM cycle_targets g
            JOIN cycle_units u ON u.tenant_id = $1 AND u.cycle_id = $2 AND u.unit_id = g.unit_id AND u.assessed
            JOIN tasks k ON k.tenant_id = $1 AND k.cycle_unit_id = u.id AND k.data_item_id = g.data_item_id
                        AND k.filler = 'SYSTEM'
            WHERE g.tenant_id = $1 AND g.cycle_id = $2
        ),
        entered AS (
            INSERT INTO entries (tenant_id, id, task_id, cycle_id, state, revision, revision_id, number, source, at,
                                 submitted_at, submitted_revision_id)
            SELECT $1, entry_id, task_id, $2, 'SUBMITTED', 1, revision_id, number, 'ASSIGNED', now(), now(), revision_id
            FROM given
        ),
        noted AS (
            INSERT INTO entry_revisions (tenant_id, id, entry_id, revision, number, source, at)
            SELECT $1, revision_id, entry_id, 1, number, 'ASSIGNED', now() FROM given
        )
        UPDATE tasks SET state = 'SUBMITTED' FROM given WHERE tasks.tenant_id = $1 AND tasks.id = given.task_id
        """,
        tx.tenant_id,
        cycle["id"],
        uuid7_bytes(2 * count),
    )
    return count


async def _settle_what_is_assigned(tx: Transaction, cycle: asyncpg.Record, plan: Plan) -> None:
    """Leaves over assigned items alone have all they wait for: they are settled, or ready where the leaf has levels."""
    assigned = {item.id for item in plan.items if item.filler == "SYSTEM"}
    for leaf in plan.leaves:
        if leaf.item_ids and assigned.issuperset(leaf.item_ids):
            await tx.execute(
                """
                UPDATE assessments a SET
                    state = CASE WHEN a.levels = 0 THEN 'ACCEPTED' ELSE 'READY' END, ready_since = now(),
                    settled_at = CASE WHEN a.levels = 0 THEN now() END,
                    settled_numbers = CASE WHEN a.levels = 0 THEN v.numbers END,
                    settled_details = CASE WHEN a.levels = 0 THEN v.details END,
                    pinned_revision_ids = CASE WHEN a.levels = 0 THEN v.revisions END
                FROM (
                    SELECT k.cycle_unit_id, array_agg(e.number ORDER BY i.n) AS numbers,
                           array_agg(e.submitted_revision_id ORDER BY i.n) AS revisions,
                           jsonb_agg(e.detail ORDER BY i.n) AS details
                    FROM unnest($4::uuid[]) WITH ORDINALITY AS i(id, n)
                    JOIN tasks k ON k.tenant_id = $1 AND k.cycle_id = $2 AND k.data_item_id = i.id
                    JOIN entries e ON e.tenant_id = $1 AND e.task_id = k.id
                    GROUP BY k.cycle_unit_id HAVING count(*) = cardinality($4::uuid[])
                ) v
                WHERE a.tenant_id = $1 AND a.cycle_id = $2 AND a.indicator_id = $3 AND a.cycle_unit_id = v.cycle_unit_id
                """,
                tx.tenant_id,
                cycle["id"],
                leaf.id,
                list(leaf.item_ids),
            )
    await tx.execute(
        """
        UPDATE tasks k SET state = 'SETTLED'
        WHERE k.tenant_id = $1 AND k.cycle_id = $2 AND k.data_item_id = ANY ($3::uuid[]) AND k.state = 'SUBMITTED'
          AND NOT EXISTS (SELECT 1 FROM indicator_items ii
                          JOIN assessments a ON a.tenant_id = $1 AND a.cycle_unit_id = k.cycle_unit_id
                                            AND a.indicator_id = ii.indicator_id
                          WHERE ii.tenant_id = $1 AND ii.data_item_id = k.data_item_id
                            AND a.state IN ('WAITING', 'READY', 'RETURNED'))
        """,
        tx.tenant_id,
        cycle["id"],
        list(assigned),
    )
