"""Judging assessments (审核、核定、赋分): one or thousands in a call, all or none.

What is pinned is what was submitted last; the version that the caller read guarantees that it is what the caller saw,
for every submission raises it.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from service import progress
from service.access import Actor, Role, denied
from service.checks import Check
from service.cycles.holding import holding_cycles
from service.errors import AccessDenied, Conflict, Contact, ErrorCode, IllegalState, NotFound, Path, VersionConflict
from service.reports.entries import pinned_items
from service.reports.rights import ASSESSMENT_VISIBLE, FILLING_STATES, OWN_UNIT, SETTLED_STATES, placed
from service.reports.settling import JUDGED_VALUES, settle_tasks
from service.reports.values import PinnedItem, read_value
from service.reviews.decisions import DECISIONS, Accept, Adjust, Award, Case, Exempt, Reject, Return, ReviewSpec
from service.reviews.groups import combine
from service.reviews.marks import FULL_MARKS
from service.reviews.reading import read_cases
from service.reviews.recording import record_reviews, write_reviews
from service.reviews.rights import JUDGE, JUDGES, JUDGING_STATES, JUDGING_UNIT, REASONS, ROUTE
from service.scoring.text import Text
from tenants.database import Transaction

MOST_REVIEWS: Final = 5_000
"""Assessments judged in one call."""


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
    cases = read_cases(check, path, reviews, today)
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
        if reason := _stranger(actor, case):
            raise await _refusal(tx, case, reason)
    for case in cases:
        _refuse_state(case)
    adjusting = {case.row["scheme_version_id"] for case in cases if isinstance(case.decision, Adjust)}
    items = await pinned_items(tx, adjusting) if adjusting else {}
    for case in cases:
        _decide(check, case, items)
    check.done()
    await combine(tx, actor, cases)
    sent_back = await write_reviews(tx, actor, cases)
    settled = [case.key for case in cases if case.state in SETTLED_STATES]
    if settled:
        await settle_tasks(tx, settled)
    judged = [
        progress.AssessmentChange(case.key, (case.row["state"], case.row["changed"]), (case.state, False))
        for case in cases
    ]
    await progress.count(tx, sent_back, judged)
    await record_reviews(tx, actor, cases)
    return [case.key for case in cases]


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
        f"""WITH held AS (SELECT id FROM assessments WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id
                          FOR NO KEY UPDATE),
            {holding_cycles("assessments", "$2::uuid[]")}
            SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM cycles_held)""",
        tx.tenant_id,
        list(keys),
    )
    rows = await tx.fetch(
        placed(
            f"""
            SELECT am.id, am.cycle_id, am.state, am.level, am.levels, am.version, am.settled_numbers,
                   am.settled_details, am.changes_since_accepted > 0 AS changed,
                   cy.state AS cycle_state, cy.scheme_version_id, lf.name AS leaf, lf.rule,
                   {FULL_MARKS} AS full_marks,
                   jd.role, jd.unit_id, jd.role IS NULL AS stranger, {OWN_UNIT} AS own,
                   (SELECT rr.route FROM ({ROUTE}) rr) AS route, jv.*
            FROM assessments am
            JOIN cycles cy ON cy.tenant_id = am.tenant_id AND cy.id = am.cycle_id
            JOIN indicators lf ON lf.tenant_id = am.tenant_id AND lf.id = am.indicator_id
            CROSS JOIN LATERAL ({JUDGED_VALUES}) jv
            LEFT JOIN LATERAL ({JUDGE}) jd ON true
            WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[]) AND {ASSESSMENT_VISIBLE}
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


def _stranger(actor: Actor, case: Case) -> str | None:
    """Why the actor may not judge the assessment; where it may, its role is noted."""
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
    if row["own"]:
        return "OWN_UNIT"
    return None if case.role else f"NOT_{row['route']}"


async def _refusal(tx: Transaction, case: Case, reason: str) -> AccessDenied:
    """The refusal of who may not judge the assessment, with the unit that does."""
    unit_id = await tx.fetchval(
        placed(f"SELECT ({JUDGING_UNIT}) FROM assessments am WHERE am.tenant_id = $1 AND am.id = $2", t="am"),
        tx.tenant_id,
        case.key,
    )
    roles = JUDGES[case.row["route"]]
    return denied(
        REASONS[reason],
        roles,
        contacts=[Contact(role.value, unit_id) for role in roles],
        path=(*case.path, "assessmentId"),
    )


def _refuse_state(case: Case) -> None:
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


def _legal_from(case: Case) -> tuple[str, ...]:
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


def _decide(check: Check, case: Case, items: Mapping[tuple[UUID, UUID], PinnedItem]) -> None:
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


def _adjust(check: Check, case: Case, decision: Adjust, items: Mapping[tuple[UUID, UUID], PinnedItem]) -> None:
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


def _award(check: Check, case: Case, decision: Award) -> None:
    full = case.row["full_marks"]
    rule = orjson.loads(case.row["rule"])
    case.marks = check.decimal((*case.inner, "marks"), decision.marks, minimum=Decimal(0), maximum=full)
    if case.marks is None:
        return
    case.shown_marks, case.shown_reason = f"{case.marks:f}", case.reason
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


def _return(check: Check, case: Case) -> None:
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
