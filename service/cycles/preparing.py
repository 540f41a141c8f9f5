"""Preparing a cycle: its dates, its version, its categories (筹备)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg

from service import audit
from service.access import Actor, Role
from service.audit import Change
from service.checks import Check
from service.cycles.steps import STATE_NAMES, locked, refused
from service.errors import Path
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7

MOST_GRACE_DAYS: Final = 366
"""Days of grace at most."""


@dataclass(frozen=True)
class CycleSpec:
    """A cycle as somebody wrote it: dates and ids as text. `category_ids` None: all of the version's."""

    code: str
    name: str
    kind: str
    starts_on: str
    ends_on: str
    scheme_version_id: str
    opens_on: str
    due_on: str
    category_ids: Sequence[str] | None = None
    under_id: str | None = None
    grace_days: int = 0
    review_due_on: str | None = None
    notice_on: str | None = None
    previous_cycle_id: str | None = None


@dataclass(frozen=True)
class _Checked:
    columns: dict[str, Any]
    category_ids: list[UUID]


# Names in the API of what can still be changed once a cycle is open: it changes neither what is asked nor until when.
_STAYS_EDITABLE = ("name", "review_due_on", "notice_on")

_EDITABLE_STATES = ("DRAFT", "OPEN", "REVIEWING", "RANKED", "NOTICED")


async def create_cycle(tx: Transaction, actor: Actor, *, cycle: CycleSpec) -> UUID:
    """Prepare a cycle. Raises AccessDenied, Invalid."""
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    columns, categories = _read(check, cycle)
    made = await _judge(tx, check, columns, categories, None)
    cycle_id = uuid7()
    await tx.execute(
        f"""INSERT INTO cycles (tenant_id, id, {", ".join(made.columns)}, due_at, closes_at)
            SELECT $1, $2, {", ".join(f"${n}" for n in range(3, 3 + len(made.columns)))}, {_instants(made.columns, 3)}
            FROM tenants t WHERE t.tenant_id = $1""",
        tx.tenant_id,
        cycle_id,
        *made.columns.values(),
    )
    await _write_categories(tx, cycle_id, made.category_ids)
    await audit.append(
        tx,
        actor,
        "createCycle",
        subject=("Cycle", cycle_id),
        summary=Text(zh=f"新建考核周期“{made.columns['name']}”", en=f'Prepared the cycle "{made.columns["name"]}"'),
    )
    return cycle_id


async def edit_cycle(tx: Transaction, actor: Actor, *, cycle_id: str, version: int, cycle: CycleSpec) -> UUID:
    """Write a cycle anew. Once it is open only its name and its dates of review and notice can change.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, IllegalState.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    check.id(("input", "cycleId"), cycle_id, "Cycle")
    columns, categories = _read(check, cycle)
    check.done()
    row = await locked(tx, cycle_id, version)
    if row["state"] not in _EDITABLE_STATES:
        raise refused(
            row["id"],
            row["state"],
            _EDITABLE_STATES,
            ("input", "cycleId"),
            Text(
                zh=f"该周期{STATE_NAMES[row['state']].zh}，不能再修改。",
                en=f"The cycle is {STATE_NAMES[row['state']].en} and can't be changed.",
            ),
            Text(zh="已通报的周期保持原样。", en="A published cycle stays as it is."),
        )
    made = await _judge(tx, check, columns, categories, row)
    before = await _categories(tx, row["id"])
    changed = {name: value for name, value in made.columns.items() if row[name] != value}
    recast = made.category_ids != before
    if row["state"] != "DRAFT":
        _refuse_fixed(changed, recast=recast)
    if not changed and not recast:
        return UUID(str(row["id"]))
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(made.columns, 3))
    due_at, closes_at = _instants(made.columns, 3).split(", ", 1)
    await tx.execute(
        f"""UPDATE cycles SET {sets}, due_at = {due_at}, closes_at = {closes_at}, version = cycles.version + 1
            FROM tenants t WHERE t.tenant_id = $1 AND cycles.tenant_id = $1 AND cycles.id = $2""",
        tx.tenant_id,
        row["id"],
        *made.columns.values(),
    )
    if recast:
        await tx.execute("DELETE FROM cycle_categories WHERE tenant_id = $1 AND cycle_id = $2", tx.tenant_id, row["id"])
        await _write_categories(tx, row["id"], made.category_ids)
    await audit.append(
        tx,
        actor,
        "editCycle",
        subject=("Cycle", row["id"]),
        summary=Text(zh=f"修改考核周期“{made.columns['name']}”", en=f'Changed the cycle "{made.columns["name"]}"'),
        changes=[Change(_API_NAMES[name], _shown(row[name]), _shown(value)) for name, value in changed.items()]
        + ([Change("categories", str(len(before)), str(len(made.category_ids)))] if recast else []),
    )
    return UUID(str(row["id"]))


_API_NAMES: Final = {
    "code": "code",
    "name": "name",
    "kind": "kind",
    "starts_on": "startsOn",
    "ends_on": "endsOn",
    "scheme_version_id": "schemeVersionId",
    "under_id": "underId",
    "previous_cycle_id": "previousCycleId",
    "opens_on": "opensOn",
    "due_on": "dueOn",
    "grace_days": "graceDays",
    "review_due_on": "reviewDueOn",
    "notice_on": "noticeOn",
}


def _refuse_fixed(changed: dict[str, Any], *, recast: bool) -> None:
    """Refuse changes of what an open cycle rests on."""
    check = Check()
    fixed = [_API_NAMES[name] for name in changed if name not in _STAYS_EDITABLE]
    for name in [*fixed, *(["categoryIds"] if recast else [])]:
        check.invalid(
            ("input", "cycle", name),
            "周期启动之后不能再改。",
            "This can't change once the cycle is open.",
            hint=Text(
                zh="启动之后只能修改名称、审核截止日和公示日。",
                en="Only name, reviewDueOn and noticeOn can still change.",
            ),
        )
    check.done()


def _at(name: str) -> Path:
    return ("input", "cycle", name)


def _read(check: Check, cycle: CycleSpec) -> tuple[dict[str, Any], list[UUID]]:
    """What was written, as columns and ids of categories; what can't be read or makes no sense by itself is noted."""
    columns: dict[str, Any] = {
        "code": check.code(_at("code"), cycle.code),
        "name": check.line(_at("name"), cycle.name),
        "kind": cycle.kind,
        "starts_on": check.date(_at("startsOn"), cycle.starts_on),
        "ends_on": check.date(_at("endsOn"), cycle.ends_on),
        "scheme_version_id": check.id(_at("schemeVersionId"), cycle.scheme_version_id, "SchemeVersion"),
        "under_id": None if cycle.under_id is None else check.id(_at("underId"), cycle.under_id, "OrgUnit"),
        "previous_cycle_id": None
        if cycle.previous_cycle_id is None
        else check.id(_at("previousCycleId"), cycle.previous_cycle_id, "Cycle"),
        "opens_on": check.date(_at("opensOn"), cycle.opens_on),
        "due_on": check.date(_at("dueOn"), cycle.due_on),
        "grace_days": cycle.grace_days,
        "review_due_on": None if cycle.review_due_on is None else check.date(_at("reviewDueOn"), cycle.review_due_on),
        "notice_on": None if cycle.notice_on is None else check.date(_at("noticeOn"), cycle.notice_on),
    }
    categories = check.ids(_at("categoryIds"), cycle.category_ids, "Category")
    if not 0 <= cycle.grace_days <= MOST_GRACE_DAYS:
        check.invalid(
            _at("graceDays"),
            f"宽限天数须在0至{MOST_GRACE_DAYS}之间。",
            f"Days of grace are 0 to {MOST_GRACE_DAYS}.",
        )
    for early, late in (
        ("starts_on", "ends_on"),
        ("opens_on", "due_on"),
        ("due_on", "review_due_on"),
        ("due_on", "notice_on"),
    ):
        _check_order(check, columns, early, late)
    return columns, categories


async def _judge(
    tx: Transaction, check: Check, columns: dict[str, Any], categories: Sequence[UUID], row: asyncpg.Record | None
) -> _Checked:
    """What was read, against what is there; refuses with all faults at once. `row` is the cycle as it is, if any."""
    own: UUID | None = row["id"] if row is not None else None
    for name, table in (
        ("scheme_version_id", "scheme_versions"),
        ("under_id", "org_units"),
        ("previous_cycle_id", "cycles"),
    ):
        # Drafts are thrown away, but not from under a cycle; one that it comes to stand on only now is held.
        new = name == "scheme_version_id" and (row is None or row[name] != columns[name])
        if columns[name] is not None and not await tx.fetchval(
            f"SELECT true FROM {table} WHERE tenant_id = $1 AND id = $2{' FOR KEY SHARE' if new else ''}",
            tx.tenant_id,
            columns[name],
        ):
            check.unknown(_at(_API_NAMES[name]))
    if columns["previous_cycle_id"] is not None and columns["previous_cycle_id"] == own:
        check.invalid(_at("previousCycleId"), "周期不能以自己为上期。", "A cycle can't be its own predecessor.")
    chosen = await _chosen(tx, check, _at("categoryIds"), columns["scheme_version_id"], categories)
    # One after the other, as for the codes of units: what is free now is still free when it is written. Last, as a
    # version may have to be waited for.
    await tx.hold_tenant()
    if columns["code"] is not None and await tx.fetchval(
        "SELECT true FROM cycles WHERE tenant_id = $1 AND code = $2 AND id IS DISTINCT FROM $3",
        tx.tenant_id,
        columns["code"],
        own,
    ):
        code = columns["code"]
        check.duplicate(_at("code"), f"已有编码为“{code}”的周期。", f'There is a cycle "{code}" already.')
    check.done()
    return _Checked(columns, chosen)


def _check_order(check: Check, columns: dict[str, Any], early: str, late: str) -> None:
    first, last = columns[early], columns[late]
    if first is not None and last is not None and last < first:
        check.invalid(
            ("input", "cycle", _API_NAMES[late]),
            f"{last}早于{first}（{_API_NAMES[early]}）。",
            f"{last} is before {first} ({_API_NAMES[early]}).",
        )


async def _chosen(
    tx: Transaction, check: Check, path: Path, version_id: UUID | None, wanted: Sequence[UUID]
) -> list[UUID]:
    """The cycle's categories, in the version's order."""
    if version_id is None:
        return []
    rows = await tx.fetch(
        """SELECT category_id FROM scheme_version_categories WHERE tenant_id = $1 AND scheme_version_id = $2
           ORDER BY position""",
        tx.tenant_id,
        version_id,
    )
    offered = [row["category_id"] for row in rows]
    for place, category in enumerate(wanted):
        if category not in offered:
            check.invalid(
                (*path, str(place)),
                "该方案版本不适用于此类别。",
                "The scheme version does not apply to this category.",
                hint=Text(zh="请从该版本的考核类别中选择。", en="Choose from the version's categories."),
            )
    return [category for category in offered if not wanted or category in wanted]


def _instants(columns: dict[str, Any], first: int) -> str:
    """SQL for due_at and closes_at: local midnight after the last day, and after the days of grace."""
    due, grace = (f"${first + list(columns).index(name)}" for name in ("due_on", "grace_days"))
    return (
        f"({due}::date + 1)::timestamp AT TIME ZONE t.time_zone, "
        f"({due}::date + 1 + {grace}::int)::timestamp AT TIME ZONE t.time_zone"
    )


async def _write_categories(tx: Transaction, cycle_id: UUID, categories: Sequence[UUID]) -> None:
    await tx.execute(
        """INSERT INTO cycle_categories (tenant_id, cycle_id, category_id, position, name)
           SELECT $1, $2, k.id, g.position, k.name FROM unnest($3::uuid[]) WITH ORDINALITY AS g(id, position)
           JOIN categories k ON k.tenant_id = $1 AND k.id = g.id""",
        tx.tenant_id,
        cycle_id,
        list(categories),
    )


async def _categories(tx: Transaction, cycle_id: UUID) -> list[UUID]:
    rows = await tx.fetch(
        "SELECT category_id FROM cycle_categories WHERE tenant_id = $1 AND cycle_id = $2 ORDER BY position",
        tx.tenant_id,
        cycle_id,
    )
    return [row["category_id"] for row in rows]


def _shown(value: object) -> str | None:
    return None if value is None else value.isoformat() if isinstance(value, date) else str(value)
