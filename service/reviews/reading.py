"""Reading judgements: what was typed, before anything is looked up."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from service.checks import Check
from service.errors import Path
from service.reports.values import check_content
from service.reviews.decisions import NAMES, Accept, Adjust, Award, Case, Return, ReviewSpec

LATEST_RETURN: Final = 366
"""Days from today within which a return must be sent again."""

MOST_WORKING_DAYS: Final = 200


def read_cases(check: Check, path: Path, reviews: Sequence[ReviewSpec], today: date) -> list[Case]:
    """The judgements with what was typed read; faults are noted."""
    cases: list[Case] = []
    seen: set[UUID] = set()
    for place, spec in enumerate(reviews):
        at = (*path, str(place))
        decision = spec.decision
        name, inner = NAMES[type(decision)]
        within = (*at, "decision", inner)
        key = check.id((*at, "assessmentId"), spec.assessment_id, "Assessment")
        if key in seen:
            check.duplicate((*at, "assessmentId"), "同一考核评分出现了两次。", "The assessment occurs twice.")
        if isinstance(decision, Accept):
            reason = check.prose((*within, "note"), decision.note)
        else:
            required = not isinstance(decision, Award)
            reason = check.prose((*within, "reason"), decision.reason, required=required)
        due_on: date | None = None
        item_ids: list[UUID] = []
        task_ids: list[UUID] = []
        match decision:
            case Return():
                due_on = _due_on(check, (*within, "until"), decision, today)
                item_ids = check.ids((*within, "dataItemIds"), decision.data_item_ids, "DataItem")
                if decision.data_item_ids is not None and not decision.data_item_ids:
                    check.invalid(
                        (*within, "dataItemIds"), "至少选一个数据项。", "Name an item, or leave it out for all."
                    )
            case Award():
                check.decimal((*within, "marks"), decision.marks)
            case Adjust():
                task_ids = _read_values(check, (*within, "values"), decision)
        if key is not None:
            seen.add(key)
            cases.append(
                Case(at, spec.version, decision, name, key, reason, due_on=due_on, item_ids=item_ids, task_ids=task_ids)
            )
    return cases


def _read_values(check: Check, path: Path, decision: Adjust) -> list[UUID]:
    """The tasks whose values are settled; the values wait for their items."""
    if not decision.values:
        check.invalid(path, "至少核定一个值。", "Settle at least one value.")
    task_ids: list[UUID] = []
    for place, given in enumerate(decision.values):
        here = (*path, str(place))
        check_content(check, (*here, "content"), given.content)
        task_id = check.id((*here, "taskId"), given.task_id, "Task")
        if task_id in task_ids:
            check.duplicate((*here, "taskId"), "同一任务出现了两次。", "The task occurs twice.")
        if task_id is not None:
            task_ids.append(task_id)
    return task_ids


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
