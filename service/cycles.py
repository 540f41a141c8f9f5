"""Cycles (考核周期): preparing one, setting targets, asking for its opening, and the steps of its life.

    DRAFT ─openCycle→ OPEN ─beginReview→ REVIEWING ─adoptRun→ RANKED
          ─publishRun→ NOTICED ─publishRun→ PUBLISHED ─archiveCycle→ ARCHIVED

`STEPS` is the one table of these steps and of what may stand in their way: use-cases refuse by it, refusals quote it,
and the API shows it before anybody tries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from service import audit, jobs, schemes
from service.access import Actor, Role
from service.audit import Change
from service.checks import Check
from service.errors import Conflict, ErrorCode, IllegalState, Invalid, Issue, NotFound, Path, VersionConflict
from service.jobs import OPEN_CYCLE, CycleArguments
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7

MOST_GRACE_DAYS: Final = 366
"""Days of grace at most."""

MOST_TARGETS: Final = 20_000
"""Targets set in one call."""

STATE_NAMES: Final = {
    "DRAFT": Text(zh="筹备", en="being prepared"),
    "OPEN": Text(zh="填报中", en="open"),
    "REVIEWING": Text(zh="审核中", en="under review"),
    "RANKED": Text(zh="已测算", en="ranked"),
    "NOTICED": Text(zh="公示中", en="noticed"),
    "PUBLISHED": Text(zh="已通报", en="published"),
    "ARCHIVED": Text(zh="已归档", en="archived"),
}


# --- the life of a cycle ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blocker:
    """What may stand in the way of a step: how many objects do, as SQL over the cycle {t} of {tenant}, and in words.

    `{count}` in the words is that number.
    """

    name: str
    sql: str
    text: Text
    hint: Text


@dataclass(frozen=True)
class Step:
    """One step: from these states to that one, by a mutation, unless blocked."""

    sources: tuple[str, ...]
    to: str
    mutation: str
    action: Text
    blockers: tuple[Blocker, ...] = ()


# Units of today that the cycle would assess.
_UNITS = """
    SELECT bu.id, bu.category_id FROM org_units bu
    JOIN cycle_categories bc ON bc.tenant_id = {tenant} AND bc.cycle_id = {t}.id AND bc.category_id = bu.category_id
    JOIN tenants bt ON bt.tenant_id = {tenant}
    WHERE bu.tenant_id = {tenant} AND bu.valid_from <= (now() AT TIME ZONE bt.time_zone)::date
      AND (bu.valid_to IS NULL OR bu.valid_to >= (now() AT TIME ZONE bt.time_zone)::date)
      AND ({t}.under_id IS NULL OR EXISTS (SELECT 1 FROM org_unit_ancestors ba WHERE ba.tenant_id = {tenant}
                                           AND ba.unit_id = bu.id AND ba.ancestor_id = {t}.under_id))
"""

# Assigned items with the categories that a leaf over them applies to: a node holds for its own categories and for all
# below it.
_ASSIGNED = """
    WITH RECURSIVE up AS (
        SELECT li.id AS leaf, li.parent_id, li.category_ids FROM indicators li
        WHERE li.tenant_id = {tenant} AND li.scheme_version_id = {t}.scheme_version_id AND li.leaf
        UNION ALL
        SELECT up.leaf, pi.parent_id, pi.category_ids FROM up
        JOIN indicators pi ON pi.tenant_id = {tenant} AND pi.id = up.parent_id
    )
    SELECT DISTINCT ii.data_item_id, kc.category_id FROM indicator_items ii
    JOIN data_items di ON di.tenant_id = {tenant} AND di.id = ii.data_item_id
    LEFT JOIN scheme_version_items vi ON vi.tenant_id = {tenant} AND vi.scheme_version_id = {t}.scheme_version_id
                                     AND vi.data_item_id = ii.data_item_id
    JOIN cycle_categories kc ON kc.tenant_id = {tenant} AND kc.cycle_id = {t}.id
    WHERE ii.tenant_id = {tenant} AND ii.indicator_id IN (SELECT leaf FROM up)
      AND coalesce(vi.source, di.source) = 'ASSIGNED'
      AND NOT EXISTS (SELECT 1 FROM up WHERE up.leaf = ii.indicator_id AND up.category_ids <> '{}'
                      AND NOT kc.category_id = ANY (up.category_ids))
"""

_OPENING = Blocker(
    "OPENING",
    """(SELECT count(*) FROM jobs oj WHERE oj.tenant_id = {tenant} AND oj.id = {t}.opening_job_id
        AND oj.state IN ('QUEUED', 'RUNNING'))""",
    Text(zh="正在启动填报。", en="It is being opened."),
    Text(zh="请等待启动完成，或取消该后台任务。", en="Wait until it is open, or cancel the job."),
)

_TIES = Blocker(
    "TIES",
    """(SELECT count(*) FROM tie_groups tg WHERE tg.tenant_id = {tenant} AND tg.run_id = {t}.adopted_run_id
        AND tg.decided_at IS NULL)""",
    Text(zh="有{count}组并列须先排序。", en="{count} group(s) of equals have to be ordered."),
    Text(
        zh="请为名额边缘的并列单位排序，并写明理由。", en="Order the equals at the edge of the places, with a reason."
    ),
)

STEPS: Final = (
    Step(
        ("DRAFT",),
        "OPEN",
        "openCycle",
        Text(zh="启动填报", en="opened"),
        (
            _OPENING,
            Blocker(
                "NO_UNITS",
                f"(CASE WHEN EXISTS ({_UNITS}) THEN 0 ELSE 1 END)",
                Text(
                    zh="没有参评单位：所选考核类别中没有现存单位。",
                    en="Nobody would be assessed: no unit of today has its categories.",
                ),
                Text(zh="请先给单位设置考核类别。", en="Give units one of its categories first."),
            ),
            Blocker(
                "TARGETS",
                f"""(SELECT count(*) FROM ({_ASSIGNED}) si JOIN ({_UNITS}) su ON su.category_id = si.category_id
                     LEFT JOIN cycle_targets st ON st.tenant_id = {{tenant}} AND st.cycle_id = {{t}}.id
                          AND st.data_item_id = si.data_item_id AND st.unit_id = su.id
                     WHERE st.unit_id IS NULL)""",
                Text(zh="有{count}个目标值尚未下达。", en="{count} targets have not been set."),
                Text(
                    zh="请用 assignTargets 给每个参评单位下达目标；启动之后不能再下达。",
                    en="Set one for each unit with assignTargets; after the opening it is too late.",
                ),
            ),
        ),
    ),
    Step(("OPEN",), "REVIEWING", "beginReview", Text(zh="转入审核", en="passed to review")),
    Step(
        ("REVIEWING", "RANKED"),
        "RANKED",
        "adoptRun",
        Text(zh="采用测算结果", en="ranked"),
        (
            Blocker(
                "NO_RUN",
                """(CASE WHEN EXISTS (SELECT 1 FROM ranking_runs br
                        JOIN jobs bj ON bj.tenant_id = br.tenant_id AND bj.id = br.job_id AND bj.state = 'SUCCEEDED'
                        WHERE br.tenant_id = {tenant} AND br.cycle_id = {t}.id) THEN 0 ELSE 1 END)""",
                Text(zh="还没有成功完成的测算。", en="No run has succeeded yet."),
                Text(zh="请先启动测算并等待完成。", en="Start a run and wait for it to end."),
            ),
        ),
    ),
    Step(("RANKED",), "NOTICED", "publishRun", Text(zh="公示", en="noticed"), (_TIES,)),
    Step(
        ("NOTICED", "RANKED"),
        "PUBLISHED",
        "publishRun",
        Text(zh="通报", en="published"),
        (
            Blocker(
                "NOTICE_FIRST",
                """(SELECT count(*) FROM scheme_versions bv WHERE bv.tenant_id = {tenant}
                    AND bv.id = {t}.scheme_version_id AND {t}.state = 'RANKED'
                    AND NOT coalesce((bv.settings ->> 'skipNotice')::boolean, false))""",
                Text(zh="该方案要求先公示再通报。", en="This scheme asks for a notice before the final publication."),
                Text(zh="请先发布公示。", en="Publish the notice first."),
            ),
            _TIES,
            Blocker(
                "NOT_RECORDED",
                """(SELECT count(*) FROM scheme_versions gv WHERE gv.tenant_id = {tenant}
                    AND gv.id = {t}.scheme_version_id AND coalesce(gv.settings -> 'grades', '[]') <> '[]'
                    AND coalesce((gv.settings ->> 'bodyDecides')::boolean, true)
                    AND NOT EXISTS (SELECT 1 FROM grade_records gr WHERE gr.tenant_id = {tenant}
                        AND gr.run_id = {t}.adopted_run_id))""",
                Text(zh="等次尚未经审定。", en="The deciding body has not settled the grades."),
                Text(zh="请先录入审定等次。", en="Record what it settled first."),
            ),
        ),
    ),
    Step(("PUBLISHED",), "ARCHIVED", "archiveCycle", Text(zh="归档", en="archived")),
)
"""Every step there is."""


def filled(sql: str, *, cycle: str, tenant: str) -> str:
    """A blocker's SQL with its places filled."""
    return sql.replace("{t}", cycle).replace("{tenant}", tenant)


async def require_step(tx: Transaction, cycle_id: UUID, state: str, to: str, *, path: Path) -> None:
    """Refuse with IllegalState, saying all that is in the way, unless the cycle, now in `state`, may pass to `to`."""
    step = next(step for step in STEPS if step.to == to)
    if state not in step.sources:
        raise _refused(
            cycle_id,
            state,
            step.sources,
            path,
            Text(
                zh=f"该周期处于“{STATE_NAMES[state].zh}”，不能{step.action.zh}。",
                en=f"The cycle is {STATE_NAMES[state].en}, so it can't be {step.action.en}.",
            ),
            Text(
                zh=f"处于{'或'.join(f'“{STATE_NAMES[source].zh}”' for source in step.sources)}时才可以。",
                en=f"It must be {' or '.join(STATE_NAMES[source].en for source in step.sources)}.",
            ),
        )
    found = await _blocked(tx, cycle_id, step.blockers)
    if found:
        raise _refused(
            cycle_id,
            state,
            step.sources,
            path,
            Text(zh="".join(text.zh for text, _ in found), en=" ".join(text.en for text, _ in found)),
            Text(zh="".join(hint.zh for _, hint in found), en=" ".join(hint.en for _, hint in found)),
        )


async def _blocked(tx: Transaction, cycle_id: UUID, blockers: Sequence[Blocker]) -> list[tuple[Text, Text]]:
    """What is said by the blockers that hold."""
    if not blockers:
        return []
    counts = ", ".join(f"({filled(b.sql, cycle='cy', tenant='$1')})" for b in blockers)
    row = await tx.fetchrow(
        f"SELECT {counts} FROM cycles cy WHERE cy.tenant_id = $1 AND cy.id = $2", tx.tenant_id, cycle_id
    )
    assert row is not None
    return [
        (Text(*(part.replace("{count}", str(count)) for part in blocker.text)), blocker.hint)
        for blocker, count in zip(blockers, row, strict=True)
        if count
    ]


def _refused(cycle_id: UUID, state: str, legal_from: Sequence[str], path: Path, text: Text, hint: Text) -> IllegalState:
    return IllegalState(text, state=state, legal_from=legal_from, subject=("Cycle", cycle_id), path=path, hint=hint)


# --- preparing --------------------------------------------------------------------------------------------------------


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
    made = await _check(tx, cycle, None)
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
    row = await _locked(tx, cycle_id, version)
    if row["state"] not in _EDITABLE_STATES:
        raise _refused(
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
    made = await _check(tx, cycle, row)
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


async def _check(tx: Transaction, cycle: CycleSpec, row: asyncpg.Record | None) -> _Checked:
    """What was written, as columns; refuses with all faults at once. `row` is the cycle as it is, if there is one."""
    check = Check()

    def at(name: str) -> Path:
        return ("input", "cycle", name)

    columns: dict[str, Any] = {
        "code": check.code(at("code"), cycle.code),
        "name": check.line(at("name"), cycle.name),
        "kind": cycle.kind,
        "starts_on": check.date(at("startsOn"), cycle.starts_on),
        "ends_on": check.date(at("endsOn"), cycle.ends_on),
        "scheme_version_id": check.id(at("schemeVersionId"), cycle.scheme_version_id, "SchemeVersion"),
        "under_id": None if cycle.under_id is None else check.id(at("underId"), cycle.under_id, "OrgUnit"),
        "previous_cycle_id": None
        if cycle.previous_cycle_id is None
        else check.id(at("previousCycleId"), cycle.previous_cycle_id, "Cycle"),
        "opens_on": check.date(at("opensOn"), cycle.opens_on),
        "due_on": check.date(at("dueOn"), cycle.due_on),
        "grace_days": cycle.grace_days,
        "review_due_on": None if cycle.review_due_on is None else check.date(at("reviewDueOn"), cycle.review_due_on),
        "notice_on": None if cycle.notice_on is None else check.date(at("noticeOn"), cycle.notice_on),
    }
    categories = check.ids(at("categoryIds"), cycle.category_ids, "Category")
    if not 0 <= cycle.grace_days <= MOST_GRACE_DAYS:
        check.invalid(
            at("graceDays"),
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
    own: UUID | None = row["id"] if row is not None else None
    if columns["code"] is not None and await tx.fetchval(
        "SELECT true FROM cycles WHERE tenant_id = $1 AND code = $2 AND id IS DISTINCT FROM $3",
        tx.tenant_id,
        columns["code"],
        own,
    ):
        check.duplicate(at("code"), f"已有编码为“{cycle.code}”的周期。", f'There is a cycle "{cycle.code}" already.')
    for name, table in (
        ("scheme_version_id", "scheme_versions"),
        ("under_id", "org_units"),
        ("previous_cycle_id", "cycles"),
    ):
        if columns[name] is not None and not await tx.fetchval(
            f"SELECT true FROM {table} WHERE tenant_id = $1 AND id = $2", tx.tenant_id, columns[name]
        ):
            _unknown(check, at(_API_NAMES[name]))
    if columns["previous_cycle_id"] is not None and columns["previous_cycle_id"] == own:
        check.invalid(at("previousCycleId"), "周期不能以自己为上期。", "A cycle can't be its own predecessor.")
    chosen = await _chosen(tx, check, at("categoryIds"), columns["scheme_version_id"], categories)
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


def _unknown(check: Check, path: Path) -> None:
    check.add(
        ErrorCode.NOT_FOUND,
        path,
        Text(zh="没有找到该对象。", en="There is no such object."),
        Text(zh="请使用查询返回的 id。", en="Use an id that a query gave."),
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


# --- targets ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TargetRow:
    """A unit's target as it was typed."""

    unit_id: str
    value: str


async def assign_targets(
    tx: Transaction, actor: Actor, *, cycle_id: str, data_item_id: str, targets: Sequence[TargetRow]
) -> tuple[UUID, int]:
    """Set targets of an assigned item (下达), one per unit, in place of those it had; the cycle's id, and how many.

    Raises AccessDenied, Invalid, NotFound, IllegalState (only a draft takes them).
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    item_key = check.id(("input", "dataItemId"), data_item_id, "DataItem")
    check.at_most(("input", "targets"), targets, MOST_TARGETS)
    check.done()
    row = await _locked(tx, cycle_id, None)
    if row["state"] != "DRAFT":
        raise _refused(
            row["id"],
            row["state"],
            ("DRAFT",),
            ("input", "cycleId"),
            Text(zh="周期启动之后不能再下达目标。", en="Targets can't be set once the cycle is open."),
            Text(zh="目标须在启动填报之前下达。", en="They are set before it is opened."),
        )
    item = await tx.fetchrow(
        """SELECT d.id, d.name, d.type, coalesce(v.source, d.source) AS source, coalesce(v.scale, d.scale) AS scale,
                  CASE WHEN v.code IS NULL THEN d.minimum ELSE v.minimum END AS minimum,
                  CASE WHEN v.code IS NULL THEN d.maximum ELSE v.maximum END AS maximum
           FROM data_items d LEFT JOIN scheme_version_items v
                ON v.tenant_id = d.tenant_id AND v.data_item_id = d.id AND v.scheme_version_id = $3
           WHERE d.tenant_id = $1 AND d.id = $2""",
        tx.tenant_id,
        item_key,
        row["scheme_version_id"],
    )
    if item is None:
        raise NotFound(("input", "dataItemId"))
    if item["source"] != "ASSIGNED" or item["type"] not in ("NUMBER", "INTEGER"):
        check.invalid(
            ("input", "dataItemId"),
            f"“{item['name']}”不是下达的数值型数据项。",
            f"{item['name']} is not a number that is assigned.",
            hint=Text(zh="数据项的来源须为“下达”。", en="The item's source must be ASSIGNED."),
        )
    units, values = _read_targets(check, item, targets)
    known = {
        found["id"]
        for found in await tx.fetch(
            "SELECT id FROM org_units WHERE tenant_id = $1 AND id = ANY ($2::uuid[])", tx.tenant_id, units
        )
    }
    for place, unit in enumerate(units):
        if unit is not None and unit not in known:
            _unknown(check, ("input", "targets", str(place), "unitId"))
    check.done()
    await tx.execute(
        """INSERT INTO cycle_targets (tenant_id, cycle_id, data_item_id, unit_id, number)
           SELECT $1, $2, $3, g.unit_id, g.number FROM unnest($4::uuid[], $5::numeric[]) AS g(unit_id, number)
           ON CONFLICT (tenant_id, cycle_id, data_item_id, unit_id) DO UPDATE SET number = EXCLUDED.number""",
        tx.tenant_id,
        row["id"],
        item["id"],
        units,
        values,
    )
    await audit.append(
        tx,
        actor,
        "assignTargets",
        subject=("Cycle", row["id"]),
        summary=Text(
            zh=f"在“{row['name']}”下达“{item['name']}”目标{len(units)}个",
            en=f'Set {len(units)} targets of {item["name"]} in "{row["name"]}"',
        ),
        facts={"dataItem": str(item["id"]), "count": len(units)},
    )
    return row["id"], len(units)


def _read_targets(
    check: Check, item: asyncpg.Record, targets: Sequence[TargetRow]
) -> tuple[list[UUID | None], list[Decimal | None]]:
    """Units and values, in order; None where one is faulty."""
    units: list[UUID | None] = []
    values: list[Decimal | None] = []
    seen: set[UUID] = set()
    scale = 0 if item["type"] == "INTEGER" else item["scale"]
    for place, target in enumerate(targets):
        path = ("input", "targets", str(place))
        unit = check.id((*path, "unitId"), target.unit_id, "OrgUnit")
        if unit in seen:
            check.duplicate((*path, "unitId"), "该单位有两个目标。", "The unit has two targets.")
        elif unit is not None:
            seen.add(unit)
        units.append(unit)
        values.append(
            check.decimal((*path, "value"), target.value, scale=scale, minimum=item["minimum"], maximum=item["maximum"])
        )
    return units, values


# --- steps ------------------------------------------------------------------------------------------------------------


async def open_cycle(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> tuple[UUID, UUID]:
    """Ask for the opening (启动填报): a job that freezes the version, copies the units and makes the tasks.

    The ids of cycle and job. The cycle stays a draft until the job commits. Raises AccessDenied, NotFound,
    VersionConflict, IllegalState, and Invalid with the faults of a scheme that is no sound draft.
    """
    actor.require_at_root(Role.ORGANISER)
    row = await _locked(tx, cycle_id, version)
    await require_step(tx, row["id"], row["state"], "OPEN", path=("input", "cycleId"))
    await _refuse_faults(tx, row["scheme_version_id"])
    job_id = await jobs.request(
        tx,
        actor,
        OPEN_CYCLE,
        subject=("Cycle", row["id"]),
        dedupe_key=f"open cycle {row['id']}",
        arguments=CycleArguments(row["id"]),
    )
    await tx.execute(
        "UPDATE cycles SET opening_job_id = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        row["id"],
        job_id,
    )
    await audit.append(
        tx,
        actor,
        "openCycle",
        subject=("Cycle", row["id"]),
        summary=Text(zh=f"申请启动“{row['name']}”填报", en=f'Asked for the opening of "{row["name"]}"'),
    )
    return row["id"], job_id


async def _refuse_faults(tx: Transaction, version_id: UUID) -> None:
    """Refuse a draft that could not be frozen, with all its faults, before a job fails by them."""
    state = await tx.fetchval(
        "SELECT state FROM scheme_versions WHERE tenant_id = $1 AND id = $2", tx.tenant_id, version_id
    )
    if state == "FROZEN":
        return
    checked = await schemes.check_version(tx, version_id)
    if not checked.sound:
        raise Invalid(
            [
                Issue(ErrorCode(fault.code), fault.path, fault.text, fault.hint)
                for fault in checked.faults
                if fault.severity == "FAULT"
            ]
        )


async def begin_review(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> UUID:
    """End reporting as the general state (转入审核); tasks whose own time is not over stay open."""
    return await _take(tx, actor, cycle_id, version, "REVIEWING")


async def archive_cycle(tx: Transaction, actor: Actor, *, cycle_id: str, version: int) -> UUID:
    """Close a published cycle for good (归档)."""
    return await _take(tx, actor, cycle_id, version, "ARCHIVED")


async def _take(tx: Transaction, actor: Actor, cycle_id: str, version: int, to: str) -> UUID:
    """A step that only changes the state."""
    actor.require_at_root(Role.ORGANISER)
    row = await _locked(tx, cycle_id, version)
    await require_step(tx, row["id"], row["state"], to, path=("input", "cycleId"))
    await tx.execute(
        "UPDATE cycles SET state = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        row["id"],
        to,
    )
    step = next(step for step in STEPS if step.to == to)
    await audit.append(
        tx,
        actor,
        step.mutation,
        subject=("Cycle", row["id"]),
        summary=Text(zh=f"“{row['name']}”{step.action.zh}", en=f'"{row["name"]}" is {step.action.en}'),
        changes=[Change("state", row["state"], to)],
    )
    return UUID(str(row["id"]))


async def _locked(tx: Transaction, cycle_id: str, version: int | None) -> asyncpg.Record:
    """The cycle's row, held. Refuses at once while it is being opened: the opening holds it for as long as it takes."""
    check = Check()
    path = ("input", "cycleId")
    key = check.id(path, cycle_id, "Cycle")
    check.done()
    found = await tx.fetchrow(
        f"""SELECT cy.state, {filled(_OPENING.sql, cycle="cy", tenant="$1")} AS opening FROM cycles cy
            WHERE cy.tenant_id = $1 AND cy.id = $2""",
        tx.tenant_id,
        key,
    )
    if found is None:
        raise NotFound(path)
    assert key is not None
    if found["opening"]:
        raise _refused(key, found["state"], ("DRAFT",), path, _OPENING.text, _OPENING.hint)
    row = await tx.fetchrow("SELECT * FROM cycles WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tx.tenant_id, key)
    assert row is not None, "cycles are not deleted"
    if version is not None and row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "Cycle", key)])
    return row
