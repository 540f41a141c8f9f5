"""Judging assessments (审核、核定、赋分): one or thousands in a call, all or none.

What is pinned is what was submitted last; the version that the caller read guarantees that it is what the caller saw,
for every submission raises it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from service import audit
from service.access import SYSTEM, Actor, Role
from service.checks import Check
from service.errors import (
    AccessDenied,
    Conflict,
    Contact,
    ErrorCode,
    IllegalState,
    NotFound,
    Path,
    VersionConflict,
)
from service.reports.entries import digest_of, pinned_items
from service.reports.rights import ASSESSMENT_VISIBLE, FILLING_STATES, OWN_UNIT, SETTLED_STATES, placed
from service.reports.settling import JUDGED_VALUES, settle_tasks
from service.reports.values import Content, PinnedItem, Value, read_value
from service.reviews.marks import FULL_MARKS
from service.reviews.rights import JUDGE, JUDGING_STATES, REASONS, REVIEWABLE_ROLES, ROUTE
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s

MOST_REVIEWS: Final = 5_000
"""Assessments judged in one call."""

LATEST_RETURN: Final = 366
"""Days from today within which a return must be sent again."""

MOST_WORKING_DAYS: Final = 200


@dataclass(frozen=True)
class Accept:
    """Accept (审核通过), perhaps with a remark."""

    note: str | None = None


@dataclass(frozen=True)
class Return:
    """Send back (退回) until a day, or so many working days after today; all items of the leaf, or only these."""

    reason: str
    date: str | None = None
    working_days: int | None = None
    data_item_ids: Sequence[str] | None = None


@dataclass(frozen=True)
class AdjustedValue:
    """A value to settle in place of the reported one."""

    task_id: str
    content: Content


@dataclass(frozen=True)
class Adjust:
    """Settle other values (核定)."""

    values: Sequence[AdjustedValue]
    reason: str


@dataclass(frozen=True)
class Award:
    """Award marks (赋分), as typed; a reason is wanted below full marks."""

    marks: str
    reason: str | None = None


@dataclass(frozen=True)
class Reject:
    """Not recognise (不予认定): scores 0."""

    reason: str


@dataclass(frozen=True)
class Exempt:
    """Agree or decide that it does not apply (认定不适用)."""

    reason: str


Decision = Accept | Return | Adjust | Award | Reject | Exempt

_NAMES: Final[Mapping[type, tuple[str, str]]] = {
    Accept: ("ACCEPT", "accept"),
    Return: ("RETURN", "return"),
    Adjust: ("ADJUST", "adjust"),
    Award: ("AWARD", "award"),
    Reject: ("REJECT", "reject"),
    Exempt: ("NOT_APPLICABLE", "notApplicable"),
}
"""What the database calls a decision, and its field in the input."""

DECISIONS: Final = {
    "ACCEPT": Text(zh="审核通过", en="accept"),
    "RETURN": Text(zh="退回", en="send back"),
    "ADJUST": Text(zh="核定", en="adjust"),
    "AWARD": Text(zh="赋分", en="award marks"),
    "REJECT": Text(zh="不予认定", en="reject"),
    "NOT_APPLICABLE": Text(zh="认定不适用", en="find not applicable"),
}


@dataclass(frozen=True)
class ReviewSpec:
    """One judgement as it is asked for; `version` is that of the assessment that was read."""

    assessment_id: str
    version: int
    decision: Decision


@dataclass
class _Case:
    """One judgement on its way from what was typed to what is written."""

    path: Path
    """Of the item in the input."""
    version: int
    decision: Decision
    name: str
    key: UUID
    reason: str | None
    due_on: date | None = None
    item_ids: list[UUID] = field(default_factory=list)
    task_ids: list[UUID] = field(default_factory=list)
    row: asyncpg.Record = None
    role: str = ""
    unit_id: UUID | None = None
    marks: Decimal | None = None
    adjusted: dict[int, Value] = field(default_factory=dict)
    """Place of the item in the leaf → its settled value."""
    state: str = ""
    level: int = 1
    returned: list[UUID] = field(default_factory=list)
    """Tasks that it opens again."""

    @property
    def inner(self) -> Path:
        """Path of the decision's own fields."""
        return (*self.path, "decision", _NAMES[type(self.decision)][1])


async def review_assessments(tx: Transaction, actor: Actor, *, reviews: Sequence[ReviewSpec]) -> list[UUID]:
    """Judge assessments, all or none; their ids, in order.

    An acceptance below the last level passes on to the next one, and so does an adjustment, with its values; a return,
    a rejection and a finding that it does not apply hold at once. Leaves without levels settle at submission: the
    organiser may send them back, adjust or reject them. Raises Invalid, NotFound, VersionConflict (all stale ones),
    AccessDenied or IllegalState.
    """
    check = Check()
    path: Path = ("input", "reviews")
    if not reviews:
        check.invalid(path, "至少审核一项。", "Judge at least one assessment.")
    check.at_most(path, reviews, MOST_REVIEWS)
    check.done()
    today: date = await tx.fetchval(
        "SELECT (now() AT TIME ZONE time_zone)::date FROM tenants WHERE tenant_id = $1", tx.tenant_id
    )
    cases = _read(check, path, reviews, today)
    check.done()
    rows = await _lock(tx, actor, [case.key for case in cases])
    for case in cases:
        if case.key not in rows:
            raise NotFound((*case.path, "assessmentId"))
        case.row = rows[case.key]
    conflicts = [
        Conflict((*case.path, "version"), case.row["version"], "Assessment", case.key)
        for case in cases
        if case.row["version"] != case.version
    ]
    if conflicts:
        raise VersionConflict(conflicts)
    for case in cases:
        _refuse_stranger(actor, case)
    for case in cases:
        _refuse_state(case)
    adjusting = {case.row["scheme_version_id"] for case in cases if isinstance(case.decision, Adjust)}
    items = await pinned_items(tx, adjusting) if adjusting else {}
    for case in cases:
        _decide(check, case, items)
    check.done()
    await _write(tx, actor, cases)
    settled = [case.key for case in cases if case.state in SETTLED_STATES]
    if settled:
        await settle_tasks(tx, settled)
    await _record(tx, actor, cases)
    return [case.key for case in cases]


def _read(check: Check, path: Path, reviews: Sequence[ReviewSpec], today: date) -> list[_Case]:
    cases: list[_Case] = []
    seen: set[UUID] = set()
    for place, spec in enumerate(reviews):
        at = (*path, str(place))
        decision = spec.decision
        name, inner = _NAMES[type(decision)]
        within = (*at, "decision", inner)
        key = check.id((*at, "assessmentId"), spec.assessment_id, "Assessment")
        if key in seen:
            check.duplicate((*at, "assessmentId"), "同一考核评分出现了两次。", "The assessment occurs twice.")
        if isinstance(decision, Accept):
            reason = check.prose((*within, "note"), decision.note)
        else:
            required = not isinstance(decision, Award)
            reason = check.prose((*within, "reason"), decision.reason, required=required)
        if key is None:
            continue
        seen.add(key)
        case = _Case(at, spec.version, decision, name, key, reason)
        if isinstance(decision, Return):
            case.due_on = _due_on(check, (*within, "until"), decision, today)
            case.item_ids = check.ids((*within, "dataItemIds"), decision.data_item_ids, "DataItem")
            if decision.data_item_ids is not None and not decision.data_item_ids:
                check.invalid((*within, "dataItemIds"), "至少选一个数据项。", "Name an item, or leave it out for all.")
        elif isinstance(decision, Adjust):
            if not decision.values:
                check.invalid((*within, "values"), "至少核定一个值。", "Settle at least one value.")
            for number, given in enumerate(decision.values):
                task_id = check.id((*within, "values", str(number), "taskId"), given.task_id, "Task")
                if task_id in case.task_ids:
                    check.duplicate(
                        (*within, "values", str(number), "taskId"), "同一任务出现了两次。", "The task occurs twice."
                    )
                if task_id is not None:
                    case.task_ids.append(task_id)
        cases.append(case)
    return cases


def _due_on(check: Check, path: Path, decision: Return, today: date) -> date | None:
    if (decision.date is None) == (decision.working_days is None):
        check.invalid(path, "请填写日期或工作日数之一。", "Give either a date or a number of working days.")
        return None
    if decision.working_days is not None:
        if not 1 <= decision.working_days <= MOST_WORKING_DAYS:
            check.invalid(
                (*path, "workingDays"),
                f"工作日数应为1至{MOST_WORKING_DAYS}。",
                f"Working days are 1 to {MOST_WORKING_DAYS}; got {decision.working_days}.",
            )
            return None
        return working_day_after(today, decision.working_days)
    day = check.date((*path, "date"), decision.date or "")
    if day is not None and not today <= day <= today + timedelta(days=LATEST_RETURN):
        check.invalid(
            (*path, "date"),
            f"重报期限应在今天（{today}）至{LATEST_RETURN}天之内。",
            f"The day must be today ({today}) or at most {LATEST_RETURN} days ahead.",
        )
        return None
    return day


def working_day_after(day: date, count: int) -> date:
    """The `count`-th working day after a day, which is not counted itself; Monday to Friday."""
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day


async def _lock(tx: Transaction, actor: Actor, keys: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """The assessments that the actor may see, locked after their tasks: submissions lock in the same order."""
    await tx.execute(
        """
        WITH held AS (
            SELECT id FROM tasks WHERE tenant_id = $1 AND id IN (
                SELECT tb.id FROM assessments am
                JOIN indicator_items ii ON ii.tenant_id = am.tenant_id AND ii.indicator_id = am.indicator_id
                JOIN tasks tb ON tb.tenant_id = am.tenant_id AND tb.cycle_unit_id = am.cycle_unit_id
                     AND tb.data_item_id = ii.data_item_id
                WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[]))
            ORDER BY id FOR NO KEY UPDATE
        )
        SELECT count(*) FROM held
        """,
        tx.tenant_id,
        list(keys),
    )
    await tx.execute(
        """WITH held AS (SELECT id FROM assessments WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id
                         FOR NO KEY UPDATE) SELECT count(*) FROM held""",
        tx.tenant_id,
        list(keys),
    )
    rows = await tx.fetch(
        placed(
            f"""
            SELECT am.id, am.cycle_id, am.state, am.level, am.levels, am.version, am.settled_numbers,
                   am.settled_details, cy.state AS cycle_state, cy.scheme_version_id, lf.name AS leaf, lf.rule,
                   {FULL_MARKS} AS full_marks,
                   jd.role, jd.unit_id, jd.role IS NULL AS stranger, {OWN_UNIT} AS own,
                   (SELECT rr.route FROM ({ROUTE}) rr) AS route,
                   (SELECT lr.unit_id FROM indicator_responsibles lr WHERE lr.tenant_id = $1
                    AND lr.indicator_id = am.indicator_id ORDER BY lr.position LIMIT 1) AS responsible_id, jv.*
            FROM assessments am
            JOIN cycles cy ON cy.tenant_id = am.tenant_id AND cy.id = am.cycle_id
            JOIN indicators lf ON lf.tenant_id = am.tenant_id AND lf.id = am.indicator_id
            CROSS JOIN LATERAL ({JUDGED_VALUES}) jv
            LEFT JOIN LATERAL ({JUDGE}) jd ON true
            WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[]) AND {ASSESSMENT_VISIBLE}
            FOR SHARE OF cy
            """,
            t="am",
            actor="$3",
            all="$4",
        ),
        tx.tenant_id,
        list(keys),
        actor.id,
        actor.sees_all,
    )
    return {row["id"]: row for row in rows}


def _refuse_stranger(actor: Actor, case: _Case) -> None:
    """Refuse who may not judge the assessment, and note in which role the others do."""
    row = case.row
    case.role, case.unit_id = row["role"] or "", row["unit_id"]
    # That a leaf does not apply (未抽查) is the organiser's to say as well, and to take back.
    exempting = isinstance(case.decision, Exempt) or (
        isinstance(case.decision, Return) and row["state"] == "NOT_APPLICABLE"
    )
    if row["stranger"] and exempting:
        root = next((grant for grant in actor.grants if grant.at_root and grant.role is Role.ORGANISER), None)
        if root is not None and not root.narrowed:
            case.role, case.unit_id = root.role.value, root.unit_id
    reason = "OWN_UNIT" if row["own"] else "" if case.role else f"NOT_{row['route']}"
    if reason:
        roles = REVIEWABLE_ROLES.get(reason, ())
        unit_id = row["responsible_id"] if reason in ("NOT_DEPARTMENTAL", "NOT_AWARD") else None
        raise AccessDenied(
            REASONS[reason],
            required_roles=roles,
            contacts=[Contact(role, unit_id) for role in roles],
            path=(*case.path, "assessmentId"),
        )


def _refuse_state(case: _Case) -> None:
    row, decision = case.row, case.decision
    states = FILLING_STATES if isinstance(decision, Return) else JUDGING_STATES
    if row["cycle_state"] not in states:
        raise IllegalState(
            REASONS["CYCLE_OVER"],
            state=row["cycle_state"],
            legal_from=states,
            subject=("Cycle", row["cycle_id"]),
            path=(*case.path, "assessmentId"),
        )
    legal = _legal_from(case)
    if row["state"] not in legal:
        done = DECISIONS[case.name]
        why = (
            REASONS["SETTLED" if row["state"] in SETTLED_STATES else row["state"]] if row["state"] != "READY" else None
        )
        raise IllegalState(
            Text(
                zh=f"现在不能{done.zh}：" + (why.zh if why else "该指标报送即办结。"),
                en=f"It is not possible to {done.en} now. " + (why.en if why else "It settles when it is submitted."),
            ),
            state=row["state"],
            legal_from=legal,
            subject=("Assessment", row["id"]),
            path=(*case.path, "assessmentId"),
        )


def _legal_from(case: _Case) -> tuple[str, ...]:
    """States from which the decision is legal."""
    # Without a level of review nothing waits: what the organiser judges has settled by itself.
    settled = SETTLED_STATES if case.row["levels"] == 0 else ()
    match case.decision:
        case Accept():
            return ("READY",)
        case Return() | Award():
            return ("READY", *SETTLED_STATES)
        case Exempt():
            organiser = ("WAITING", "RETURNED") if case.role == Role.ORGANISER.value else ()
            return (*organiser, "READY", *settled)
    return ("READY", *settled)


def _decide(check: Check, case: _Case, items: Mapping[tuple[UUID, UUID], PinnedItem]) -> None:
    """What the decision makes of the assessment; faults of its own are noted."""
    row, decision = case.row, case.decision
    award = (orjson.loads(row["rule"]) if row["rule"] else {}).get("kind") == "AWARD"
    if award is not isinstance(decision, Award) and not isinstance(decision, Exempt):
        if award:
            check.invalid(
                case.inner,
                f"“{row['leaf']}”为评议赋分指标，请直接赋分。",
                f'"{row["leaf"]}" is awarded marks; nothing was reported for it.',
            )
        else:
            check.invalid(
                case.inner,
                f"“{row['leaf']}”按填报值计分，不能赋分；可核定数值。",
                f'"{row["leaf"]}" is scored from values; adjust these instead.',
            )
        return
    case.level = row["level"]
    last = row["level"] >= row["levels"]
    match decision:
        case Accept():
            adjusted = row["settled_details"] is not None
            case.state = ("ADJUSTED" if adjusted else "ACCEPTED") if last else "READY"
        case Adjust():
            case.state = "ADJUSTED" if last else "READY"
            _adjust(check, case, decision, items)
        case Award():
            case.state = "ACCEPTED"
            _award(check, case, decision)
        case Reject():
            case.state = "REJECTED"
        case Exempt():
            case.state = "NOT_APPLICABLE"
        case Return():
            case.state = "RETURNED"
            _return(check, case)
    if case.state == "READY":
        case.level += 1


def _adjust(check: Check, case: _Case, decision: Adjust, items: Mapping[tuple[UUID, UUID], PinnedItem]) -> None:
    task_ids = list(case.row["task_ids"] or ())
    for number, (task_id, given) in enumerate(zip(case.task_ids, decision.values, strict=True)):
        at = (*case.inner, "values", str(number))
        if task_id not in task_ids:
            raise NotFound((*at, "taskId"))
        place = task_ids.index(task_id)
        item = items[case.row["scheme_version_id"], case.row["item_ids"][place]]
        value = read_value(check, (*at, "content"), given.content, item)
        if value is not None:
            case.adjusted[place] = value


def _award(check: Check, case: _Case, decision: Award) -> None:
    full = case.row["full_marks"]
    rule = orjson.loads(case.row["rule"])
    case.marks = check.decimal((*case.inner, "marks"), decision.marks, minimum=Decimal(0), maximum=full)
    if case.marks is None:
        return
    step = Decimal(rule.get("step") or 1)
    if (Fraction(case.marks) / Fraction(step)).denominator != 1:
        check.invalid(
            (*case.inner, "marks"),
            f"应按{step:f}分的步长赋分，收到{decision.marks}。",
            f"Marks go in steps of {step:f}; got {decision.marks}.",
        )
    if case.marks < full and case.reason is None:
        check.add(
            ErrorCode.INVALID_TEXT,
            (*case.inner, "reason"),
            Text(zh=f"低于满分（{full:f}分）须说明扣分原因。", en=f"Below full marks ({full:f}) a reason is required."),
        )


def _return(check: Check, case: _Case) -> None:
    row = case.row
    item_ids = list(row["item_ids"] or ())
    for number, item_id in enumerate(case.item_ids):
        if item_id not in item_ids:
            raise NotFound((*case.inner, "dataItemIds", str(number)))
    chosen = [
        place
        for place, item_id in enumerate(item_ids)
        if row["fillers"][place] != "SYSTEM" and (not case.item_ids or item_id in case.item_ids)
    ]
    if not chosen:
        check.invalid(
            case.inner,
            "所选数据项均为下达的目标值，无人可重报。",
            "Nobody can send these items again: they were assigned.",
        )
    case.returned = [row["task_ids"][place] for place in chosen]
    case.item_ids = [item_ids[place] for place in chosen]
    if case.due_on is not None and chosen:
        # A return is for mending; it takes nothing away from the time that the unit has anyway.
        case.due_on = max(case.due_on, *(row["due"][place] for place in chosen))
    case.level = 1


def _settled(case: _Case) -> tuple[str | None, str | None, str] | None:
    """Values, details and pinned revisions as JSON lists; None where the assessment keeps none."""
    row = case.row
    if case.state == "RETURNED":
        return None
    numbers = list(row["numbers"] or ())
    details: list[Any] = orjson.loads(row["details"])
    if isinstance(case.decision, Accept) and row["settled_details"] is not None:
        numbers, details = list(row["settled_numbers"]), orjson.loads(row["settled_details"])
    elif case.state == "READY" and not case.adjusted:
        return None
    for place, value in case.adjusted.items():
        numbers[place], details[place] = value.number, value.detail
    revisions = orjson.dumps([None if key is None else str(key) for key in row["revisions"] or ()]).decode()
    if case.state in ("REJECTED", "NOT_APPLICABLE"):
        return None, None, revisions
    written = [None if number is None else f"{number:f}" for number in numbers]
    return orjson.dumps(written).decode(), orjson.dumps(details).decode(), revisions


async def _write(tx: Transaction, actor: Actor, cases: Sequence[_Case]) -> None:
    review_ids = uuid7s(len(cases))
    settled = [_settled(case) for case in cases]
    by_id = None if actor.id == SYSTEM else actor.id
    await tx.execute(
        f"""
        WITH given AS (
            SELECT * FROM unnest($2::uuid[], $3::text[], $4::int[], $5::jsonb[], $6::jsonb[], $7::jsonb[],
                                 $8::numeric[], $9::text[])
                     AS g (id, state, level, numbers, details, revisions, marks, reason)
        )
        UPDATE assessments am SET
            state = g.state, level = g.level, version = am.version + 1, changes_since_accepted = 0,
            ready_since = CASE g.state WHEN 'READY' THEN now() WHEN 'RETURNED' THEN NULL ELSE am.ready_since END,
            settled_at = CASE WHEN g.state IN {SETTLED_STATES} THEN now() END,
            settled_numbers = (SELECT array_agg(el.value::numeric ORDER BY el.place)
                               FROM jsonb_array_elements_text(g.numbers) WITH ORDINALITY AS el (value, place)),
            settled_details = g.details,
            pinned_revision_ids = (SELECT array_agg(el.value::uuid ORDER BY el.place)
                                   FROM jsonb_array_elements_text(g.revisions) WITH ORDINALITY AS el (value, place)),
            marks = g.marks, marks_reason = CASE WHEN g.marks IS NOT NULL THEN g.reason END
        FROM given g WHERE am.tenant_id = $1 AND am.id = g.id
        """,
        tx.tenant_id,
        [case.key for case in cases],
        [case.state for case in cases],
        [case.level for case in cases],
        *([None if part is None else part[column] for part in settled] for column in range(3)),
        [case.marks for case in cases],
        [case.reason for case in cases],
    )
    await tx.execute(
        """
        INSERT INTO reviews (tenant_id, id, assessment_id, level, decision, reason, due_on, marks, numbers, details,
                             role, unit_id, by_id, at, revision_ids, data_item_ids)
        SELECT $1, g.id, g.assessment_id, g.level, g.decision, g.reason, g.due_on, g.marks,
               (SELECT array_agg(el.value::numeric ORDER BY el.place)
                FROM jsonb_array_elements_text(g.numbers) WITH ORDINALITY AS el (value, place)),
               g.details, g.role, g.unit_id, $14, now(),
               ARRAY(SELECT value::uuid FROM jsonb_array_elements_text(g.revisions) WHERE value IS NOT NULL),
               ARRAY(SELECT value::uuid FROM jsonb_array_elements_text(g.items))
        FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::date[], $8::numeric[],
                    $9::jsonb[], $10::jsonb[], $11::text[], $12::uuid[], $13::jsonb[], $15::jsonb[])
             AS g (id, assessment_id, level, decision, reason, due_on, marks, numbers, details, role, unit_id,
                   revisions, items)
        """,
        tx.tenant_id,
        review_ids,
        [case.key for case in cases],
        [case.row["level"] for case in cases],
        [case.name for case in cases],
        [case.reason for case in cases],
        [case.due_on for case in cases],
        [case.marks for case in cases],
        [part[0] if part and case.adjusted else None for case, part in zip(cases, settled, strict=True)],
        [part[1] if part and case.adjusted else None for case, part in zip(cases, settled, strict=True)],
        [case.role for case in cases],
        [case.unit_id for case in cases],
        [_ids(case.row["revisions"]) for case in cases],
        by_id,
        [_ids(case.item_ids) for case in cases],
    )
    await _reopen(tx, cases, review_ids)


def _ids(ids: Sequence[UUID | None] | None) -> str:
    return orjson.dumps([str(key) for key in ids or () if key is not None]).decode()


async def _reopen(tx: Transaction, cases: Sequence[_Case], review_ids: Sequence[UUID]) -> None:
    """Open the tasks of returned leaves; one that several leaves send back has the latest of their days."""
    opened: dict[UUID, tuple[date, UUID]] = {}
    touched: list[UUID] = []
    for case, review_id in zip(cases, review_ids, strict=True):
        if case.due_on is not None:
            touched += case.row["task_ids"]
            for task_id in case.returned:
                opened[task_id] = max(opened.get(task_id, (date.min, review_id)), (case.due_on, review_id))
    if not opened:
        return
    await tx.execute(
        """
        WITH opened AS (
            UPDATE tasks ta SET state = 'RETURNED', return_review_id = g.review_id, due_on = g.due_on,
                due_at = ((g.due_on + 1)::timestamp AT TIME ZONE te.time_zone),
                closes_at = ((g.due_on + 1 + cy.grace_days)::timestamp AT TIME ZONE te.time_zone)
            FROM unnest($2::uuid[], $3::uuid[], $4::date[]) AS g (task_id, review_id, due_on), tenants te, cycles cy
            WHERE ta.tenant_id = $1 AND ta.id = g.task_id AND te.tenant_id = $1 AND cy.tenant_id = $1
              AND cy.id = ta.cycle_id
        )
        UPDATE tasks SET state = 'SUBMITTED'
        WHERE tenant_id = $1 AND id = ANY ($5::uuid[]) AND NOT id = ANY ($2::uuid[]) AND state = 'SETTLED'
        """,
        tx.tenant_id,
        list(opened),
        [review_id for _, review_id in opened.values()],
        [due_on for due_on, _ in opened.values()],
        touched,
    )


async def _record(tx: Transaction, actor: Actor, cases: Sequence[_Case]) -> None:
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.name] = counts.get(case.name, 0) + 1
    single = cases[0] if len(cases) == 1 else None
    cycles = {case.row["cycle_id"] for case in cases}
    subject = ("Assessment", single.key) if single else ("Cycle", cycles.pop()) if len(cycles) == 1 else None
    rows = [
        [
            *(str(case.key), case.row["level"], case.name, case.reason, _ids(case.row["revisions"]), _settled(case)),
            None if case.marks is None else f"{case.marks:f}",
        ]
        for case in cases
    ]
    await audit.append(
        tx,
        actor,
        "reviewAssessments",
        subject=subject,
        summary=Text(
            zh="、".join(f"{DECISIONS[name].zh}{count}项" for name, count in counts.items()),
            en=", ".join(f"{DECISIONS[name].en}: {count}" for name, count in counts.items()),
        ),
        reason=single.reason if single else None,
        facts={"count": len(cases), "decisions": counts, "digest": digest_of(rows)},
    )
