"""Judging: routes and levels, what is pinned, what comes back, who never judges whom."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from service import reviews
from service.access import Actor, Role, system_actor
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from service.reports import Content
from service.reviews import (
    Accept,
    Adjust,
    AdjustedValue,
    Award,
    Decision,
    Exempt,
    Reject,
    Return,
    ReviewSpec,
    SelfScoreSpec,
)
from service.reviews.reading import working_day_after
from tenants.database import Database, Transaction
from tenants.provisioning import District
from tests.bench.loading import load
from tests.conftest import MakeTenant
from tests.factories import OpenCycle, midnight_after, open_cycle, read_cycle
from tests.service.cycling import opened
from tests.service.test_reports import fill, send, submit
from tests.small import today

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


async def specs(cycle: OpenCycle, *judged: tuple[str, str, Decision]) -> list[ReviewSpec]:
    """Judgements of (unit, leaf), on the versions that stand."""
    found = []
    for unit, leaf, decision in judged:
        row = await cycle.assessment(unit, leaf)
        found.append(ReviewSpec(encode_id("Assessment", row["id"]), row["version"], decision))
    return found


async def judge(cycle: OpenCycle, actor: Actor, *judged: tuple[str, str, Decision]) -> list[UUID]:
    """Judge in a transaction of its own."""
    return await judge_as_read(cycle, actor, await specs(cycle, *judged))


async def judge_as_read(cycle: OpenCycle, actor: Actor, given: list[ReviewSpec]) -> list[UUID]:
    """Judge on versions that were read before."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await reviews.review_assessments(tx, actor, reviews=given)


async def reported(cycle: OpenCycle, unit: str = "b1", **values: Any) -> Actor:
    """A unit's secretary, who has filled and submitted values."""
    secretary = await cycle.person((Role.SECRETARY, unit))
    await fill(cycle, secretary, unit, **values)
    await submit(cycle, secretary, unit)
    return secretary


async def history(cycle: OpenCycle, unit: str, leaf: str) -> list[asyncpg.Record]:
    """An assessment's reviews, oldest first."""
    return await cycle.sql(
        "SELECT * FROM reviews WHERE tenant_id = $1 AND assessment_id = $2 ORDER BY id",
        (await cycle.assessment(unit, leaf))["id"],
    )


async def test_acceptance_pins_what_was_submitted_and_settles_the_tasks(cycle: OpenCycle) -> None:
    await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    (key,) = await judge(cycle, reviewer, ("b1", "ratio", Accept("核对无误")))
    ratio = await cycle.assessment("b1", "ratio")
    assert key == ratio["id"]
    assert (ratio["state"], ratio["settled_numbers"], ratio["version"]) == ("ACCEPTED", [36, 40], 3)
    assert ratio["settled_at"] is not None
    pins = [(await cycle.task("b1", item))["revision_id"] for item in "AM"]
    assert ratio["pinned_revision_ids"] == pins
    (review,) = await history(cycle, "b1", "ratio")
    assert (review["decision"], review["level"], review["reason"], review["revision_ids"]) == (
        "ACCEPT",
        1,
        "核对无误",
        pins,
    )
    assert (review["role"], review["unit_id"], review["by_id"]) == ("REVIEWER", cycle.units["t1"], reviewer.id)
    assert (await cycle.task("b1", "A"))["state"] == "SETTLED"
    assert (await cycle.task("b1", "M"))["state"] == "SUBMITTED", "other leaves use it and wait"
    await judge(cycle, reviewer, ("b1", "members", Accept()), ("b1", "target", Accept()))
    assert (await cycle.task("b1", "M"))["state"] == "SETTLED"
    assert (await cycle.assessment("b1", "target"))["settled_numbers"] == [40, 50]


async def test_levels_run_bottom_up_by_their_routes(cycle: OpenCycle) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    town = await cycle.person((Role.REVIEWER, "t1"))
    await reported(cycle, C=Content(choice="good"))
    await fill(cycle, department, "b1", V="88.5")
    await send(cycle, department, "V", "b1")
    assert (await cycle.assessment("b1", "choice"))["state"] == "READY"
    with pytest.raises(AccessDenied) as refused:
        await judge(cycle, department, ("b1", "choice", Accept()))
    assert refused.value.required_roles == ["REVIEWER"]
    await judge(cycle, town, ("b1", "choice", Accept()))
    choice = await cycle.assessment("b1", "choice")
    assert (choice["state"], choice["level"], choice["settled_details"]) == ("READY", 2, None)
    with pytest.raises(AccessDenied) as refused:
        await judge(cycle, town, ("b1", "choice", Accept()))
    assert refused.value.required_roles == ["ASSESSOR", "REVIEWER"]
    assert refused.value.contacts[0].unit_id == cycle.units["d1"]
    await judge(cycle, department, ("b1", "choice", Accept()))
    choice = await cycle.assessment("b1", "choice")
    assert (choice["state"], choice["level"]) == ("ACCEPTED", 2)
    assert orjson.loads(choice["settled_details"]) == [{"choice": "good"}, None]
    assert choice["settled_numbers"] == [None, Decimal("88.5")]
    assert (await cycle.task("b1", "V"))["state"] == "SETTLED"


async def test_nobody_judges_the_own_unit(cycle: OpenCycle) -> None:
    await reported(cycle, M="40")
    for grants in (
        [(Role.REVIEWER, "b1")],
        [(Role.REVIEWER, "root"), (Role.SECRETARY, "b1")],
        [(Role.REVIEWER, "t1"), (Role.ASSESSOR, "b1")],
    ):
        person = await cycle.person(*grants)
        with pytest.raises(AccessDenied) as refused:
            await judge(cycle, person, ("b1", "members", Accept()))
        assert refused.value.text.en == "Nobody judges the own unit."
    with pytest.raises(AccessDenied) as own:
        await judge(
            cycle, await cycle.person((Role.ASSESSOR, "d1"), (Role.SECRETARY, "d2")), ("d2", "award", Award("8"))
        )
    assert own.value.text.zh == "不得审核、评分本单位。"


async def test_who_is_of_another_town_sees_nothing_and_a_secretary_judges_nothing(cycle: OpenCycle) -> None:
    await reported(cycle, M="40")
    with pytest.raises(NotFound) as hidden:
        await judge(cycle, await cycle.person((Role.REVIEWER, "t2")), ("b1", "members", Accept()))
    assert hidden.value.path == ("input", "reviews", "0", "assessmentId")
    with pytest.raises(AccessDenied):
        await judge(cycle, await cycle.person((Role.SECRETARY, "t1")), ("b1", "members", Accept()))
    with pytest.raises(AccessDenied):
        await judge(cycle, await cycle.person((Role.ORGANISER, "root")), ("b1", "members", Accept()))
    narrowed = await cycle.person((Role.REVIEWER, "root", {"categories": ["organ"]}))
    with pytest.raises(NotFound):
        await judge(cycle, narrowed, ("b1", "members", Accept()))
    by_leaf = await cycle.person((Role.REVIEWER, "root", {"indicators": ["P-members"]}))
    await judge(cycle, by_leaf, ("b1", "members", Accept()))


async def test_ids_of_another_district_answer_as_ids_that_do_not_exist(
    cycle: OpenCycle, db: Database, make_tenant: MakeTenant
) -> None:
    other = await open_cycle(db, await make_tenant())
    reviewer = await cycle.person((Role.REVIEWER, "root"))
    with pytest.raises(NotFound):
        await judge_as_read(cycle, reviewer, await specs(other, ("b1", "members", Accept())))
    with pytest.raises(NotFound):
        async with db.transaction(cycle.tenant.id) as tx:
            foreign = encode_id("Assessment", reviewer.id)
            await reviews.save_self_scores(tx, reviewer, scores=[SelfScoreSpec(foreign, 1, "1")])


async def test_a_return_opens_the_tasks_and_coming_back_begins_at_the_first_level(cycle: OpenCycle) -> None:
    secretary = await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("b1", "members", Accept()))
    until = today() + timedelta(days=20)
    await judge(cycle, reviewer, ("b1", "ratio", Return("到会人数有误", date=until.isoformat(), data_item_ids=None)))
    for item in "AM":
        task = await cycle.task("b1", item)
        assert (task["state"], task["due_on"], task["due_at"]) == ("RETURNED", until, midnight_after(until))
        assert task["closes_at"] == midnight_after(until)
    ratio = await cycle.assessment("b1", "ratio")
    assert (ratio["state"], ratio["ready_since"]) == ("RETURNED", None)
    assert (await cycle.assessment("b1", "members"))["state"] == "ACCEPTED"

    await fill(cycle, secretary, "b1", M="41")
    assert (await cycle.task("b1", "M"))["state"] == "RETURNED"
    await submit(cycle, secretary, "b1")
    assert (await cycle.assessment("b1", "ratio"))["state"] == "READY"
    members = await cycle.assessment("b1", "members")
    assert (members["state"], members["settled_numbers"], members["changes_since_accepted"]) == ("ACCEPTED", [40], 1)
    await judge(cycle, reviewer, ("b1", "ratio", Accept()))
    assert (await cycle.assessment("b1", "ratio"))["settled_numbers"] == [36, 41]

    await judge(cycle, reviewer, ("b1", "members", Return("数据已更正", working_days=1)))
    await submit(cycle, secretary, "b1", "M")
    await judge(cycle, reviewer, ("b1", "members", Accept()))
    members = await cycle.assessment("b1", "members")
    assert (members["settled_numbers"], members["changes_since_accepted"]) == ([41], 0)


async def test_a_return_may_name_items_and_extends_the_deadline(cycle: OpenCycle) -> None:
    secretary = await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await cycle.move_due(today() - timedelta(days=5), grace_days=2)
    item = encode_id("DataItem", cycle.items["A"])
    await judge(cycle, reviewer, ("b1", "ratio", Return("请核对", date=today().isoformat(), data_item_ids=[item])))
    assert (await cycle.task("b1", "M"))["state"] == "SUBMITTED"
    task = await cycle.task("b1", "A")
    assert (task["state"], task["closes_at"]) == ("RETURNED", midnight_after(today() + timedelta(days=2)))
    await fill(cycle, secretary, "b1", A="35")
    await submit(cycle, secretary, "b1")
    task = await cycle.task("b1", "A")
    assert (task["state"], task["days_late"]) == ("SUBMITTED", 0)


async def test_a_return_never_shortens_the_time_that_a_unit_has(cycle: OpenCycle) -> None:
    await reported(cycle, M="40")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("b1", "members", Return("请核对", date=today().isoformat())))
    assert (await cycle.task("b1", "M"))["due_on"] == cycle.due_on
    (review,) = await history(cycle, "b1", "members")
    assert review["due_on"] == cycle.due_on


async def test_lateness_is_not_washed_off_by_a_return(cycle: OpenCycle) -> None:
    await cycle.move_due(today() - timedelta(days=2), grace_days=5)
    secretary = await reported(cycle, M="40")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("b1", "members", Return("请核对", working_days=3)))
    await fill(cycle, secretary, "b1", M="41")
    await submit(cycle, secretary, "b1")
    assert (await cycle.assessment("b1", "members"))["days_late"] == 2


@pytest.mark.parametrize(
    ("start", "count", "end"),
    [
        (date(2026, 11, 23), 1, date(2026, 11, 24)),
        (date(2026, 11, 27), 1, date(2026, 11, 30)),
        (date(2026, 11, 28), 1, date(2026, 11, 30)),
        (date(2026, 11, 26), 5, date(2026, 12, 3)),
    ],
)
def test_working_days_begin_on_the_day_after(start: date, count: int, end: date) -> None:
    assert working_day_after(start, count) == end


async def test_adjusted_values_stand_beside_the_reported_ones(cycle: OpenCycle) -> None:
    await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    task = await cycle.task_id("b1", "A")
    with pytest.raises(Invalid) as refused:
        await judge(cycle, reviewer, ("b1", "ratio", Adjust([AdjustedValue(task, Content(number="3.5"))], "核实")))
    assert refused.value.issues[0].path == (
        *("input", "reviews", "0", "decision", "adjust", "values", "0", "content", "number"),
    )
    foreign = await cycle.task_id("b2", "A")
    with pytest.raises(NotFound) as other:
        await judge(cycle, reviewer, ("b1", "ratio", Adjust([AdjustedValue(foreign, Content(number="3"))], "核实")))
    assert other.value.path == ("input", "reviews", "0", "decision", "adjust", "values", "0", "taskId")
    await judge(cycle, reviewer, ("b1", "ratio", Adjust([AdjustedValue(task, Content(number="30"))], "核实到会30人")))
    ratio = await cycle.assessment("b1", "ratio")
    assert (ratio["state"], ratio["settled_numbers"]) == ("ADJUSTED", [30, 40])
    assert (await cycle.task("b1", "A"))["number"] == 36
    (review,) = await history(cycle, "b1", "ratio")
    assert (review["numbers"], review["reason"]) == ([30, 40], "核实到会30人")


async def test_an_adjustment_below_the_last_level_passes_on_with_its_values(cycle: OpenCycle) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    town = await cycle.person((Role.REVIEWER, "t1"))
    secretary = await reported(cycle, C=Content(choice="good"))
    await fill(cycle, department, "b1", V="88.5")
    await send(cycle, department, "V", "b1")
    task = await cycle.task_id("b1", "C")
    change = Adjust([AdjustedValue(task, Content(choice="fair"))], "现场查看")
    await judge(cycle, town, ("b1", "choice", change))
    choice = await cycle.assessment("b1", "choice")
    assert (choice["state"], choice["level"]) == ("READY", 2)
    await judge(cycle, department, ("b1", "choice", Accept()))
    choice = await cycle.assessment("b1", "choice")
    assert (choice["state"], orjson.loads(choice["settled_details"])) == ("ADJUSTED", [{"choice": "fair"}, None])

    await judge(cycle, department, ("b1", "choice", Return("重新核实", working_days=2)))
    assert (await cycle.assessment("b1", "choice"))["settled_details"] is None
    await submit(cycle, secretary, "b1", "C")
    await send(cycle, department, "V", "b1")
    choice = await cycle.assessment("b1", "choice")
    assert (choice["state"], choice["level"], choice["settled_details"]) == ("READY", 1, None)


async def test_rejected_and_not_applicable_settle_without_values(cycle: OpenCycle) -> None:
    await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("b1", "ratio", Reject("佐证不符")), ("b1", "members", Exempt("本年未抽查")))
    ratio, members = await cycle.assessment("b1", "ratio"), await cycle.assessment("b1", "members")
    assert (ratio["state"], ratio["settled_numbers"], len(ratio["pinned_revision_ids"])) == ("REJECTED", None, 2)
    assert members["state"] == "NOT_APPLICABLE"
    for decision in (Accept(), Reject("再次"), Exempt("再次")):
        with pytest.raises(IllegalState) as refused:
            await judge(cycle, reviewer, ("b1", "ratio", decision))
        assert (refused.value.state, refused.value.legal_from) == ("REJECTED", ["READY"])


async def test_the_organiser_says_what_does_not_apply_and_takes_it_back(cycle: OpenCycle) -> None:
    organiser = await cycle.person((Role.ORGANISER, "root"))
    await judge(cycle, organiser, ("b1", "members", Exempt("未抽查")), ("b2", "award", Exempt("未抽查")))
    assert (await cycle.assessment("b1", "members"))["state"] == "NOT_APPLICABLE"
    (review,) = await history(cycle, "b1", "members")
    assert (review["role"], review["level"], review["revision_ids"]) == ("ORGANISER", 1, [])
    await judge(cycle, organiser, ("b1", "members", Return("补充抽查", working_days=5)))
    assert (await cycle.assessment("b1", "members"))["state"] == "RETURNED"
    await reported(cycle, M="1")
    assert (await cycle.assessment("b1", "members"))["state"] == "READY"


async def test_what_settled_by_itself_is_the_organisers_to_send_back(cycle: OpenCycle) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    await fill(cycle, department, "b1", V="50")
    await send(cycle, department, "V", "b1")
    with pytest.raises(AccessDenied) as refused:
        await judge(cycle, department, ("b1", "value", Return("重填", working_days=1)))
    assert refused.value.required_roles == ["ORGANISER"]
    with pytest.raises(IllegalState):
        await judge(cycle, organiser, ("b1", "value", Accept()))
    await judge(cycle, organiser, ("b1", "value", Return("重填", working_days=1)))
    await fill(cycle, department, "b1", V="60")
    await send(cycle, department, "V", "b1")
    value = await cycle.assessment("b1", "value")
    assert (value["state"], value["settled_numbers"], value["changes_since_accepted"]) == ("ACCEPTED", [60], 0)


async def test_marks_are_awarded_in_steps_with_a_reason_below_full_marks(cycle: OpenCycle) -> None:
    assessor = await cycle.person((Role.ASSESSOR, "d1"))
    at = ("input", "reviews", "0", "decision", "award")
    for award, code, tail in (
        (Award("10.5"), ErrorCode.INVALID, "marks"),
        (Award("-1"), ErrorCode.INVALID, "marks"),
        (Award("9.7", "略"), ErrorCode.INVALID, "marks"),
        (Award("9.5"), ErrorCode.INVALID_TEXT, "reason"),
        (Award("九"), ErrorCode.INVALID_DECIMAL, "marks"),
    ):
        with pytest.raises(Invalid) as refused:
            await judge(cycle, assessor, ("b1", "award", award))
        assert [(issue.code, issue.path) for issue in refused.value.issues] == [(code, (*at, tail))]
    await judge(cycle, assessor, ("b1", "award", Award("9.5", "台账不全")), ("b2", "award", Award("10")))
    award = await cycle.assessment("b1", "award")
    assert (award["state"], award["marks"], award["marks_reason"]) == ("ACCEPTED", Decimal("9.5"), "台账不全")
    await judge(cycle, assessor, ("b1", "award", Award("9", "再核")))
    assert [row["marks"] for row in await history(cycle, "b1", "award")] == [Decimal("9.5"), Decimal(9)]
    with pytest.raises(Invalid):
        await judge(cycle, await cycle.person((Role.ASSESSOR, "root")), ("d2", "award", Award("9", "机关8分")))


async def test_awards_and_values_are_not_mixed_up(cycle: OpenCycle) -> None:
    await reported(cycle, M="40")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    assessor = await cycle.person((Role.ASSESSOR, "d1"))
    with pytest.raises(Invalid) as refused:
        await judge(cycle, reviewer, ("b1", "members", Award("1", "少")))
    assert refused.value.issues[0].path == ("input", "reviews", "0", "decision", "award")
    for decision in (Accept(), Reject("无"), Return("退", working_days=1)):
        with pytest.raises(Invalid):
            await judge(cycle, assessor, ("b1", "award", decision))
    with pytest.raises(AccessDenied) as stranger:
        await judge(cycle, reviewer, ("b1", "award", Award("10")))
    assert stranger.value.required_roles == ["ASSESSOR"]


async def test_texts_days_and_numbers_are_judged_before_anything_is_read(cycle: OpenCycle) -> None:
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    given = await specs(
        cycle,
        ("b1", "members", Return(" ", date="2026-02-30")),
        ("b2", "members", Return("退", working_days=0)),
        ("b3", "members", Return("退")),
        ("b1", "ratio", Return("退", date=(today() - timedelta(days=1)).isoformat())),
        ("b2", "ratio", Adjust([], "核")),
        ("b3", "ratio", Reject("")),
    )
    with pytest.raises(Invalid) as refused:
        await judge_as_read(cycle, reviewer, [*given, given[-1], ReviewSpec("x", 1, Accept())])
    assert [(issue.code, issue.path[2:]) for issue in refused.value.issues] == [
        (ErrorCode.INVALID_TEXT, ("0", "decision", "return", "reason")),
        (ErrorCode.INVALID_DATETIME, ("0", "decision", "return", "until", "date")),
        (ErrorCode.INVALID, ("1", "decision", "return", "until", "workingDays")),
        (ErrorCode.INVALID, ("2", "decision", "return", "until")),
        (ErrorCode.INVALID, ("3", "decision", "return", "until", "date")),
        (ErrorCode.INVALID, ("4", "decision", "adjust", "values")),
        (ErrorCode.INVALID_TEXT, ("5", "decision", "reject", "reason")),
        (ErrorCode.DUPLICATE, ("6", "assessmentId")),
        (ErrorCode.INVALID_TEXT, ("6", "decision", "reject", "reason")),
        (ErrorCode.INVALID_ID, ("7", "assessmentId")),
    ]


async def test_the_cycles_stages_bound_judging(cycle: OpenCycle) -> None:
    await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await cycle.set_state("RANKED")
    await judge(cycle, reviewer, ("b1", "ratio", Accept()))
    with pytest.raises(IllegalState) as refused:
        await judge(cycle, reviewer, ("b1", "members", Return("退", working_days=1)))
    assert refused.value.legal_from == ["OPEN", "REVIEWING"]
    await cycle.set_state("NOTICED")
    with pytest.raises(IllegalState) as refused:
        await judge(cycle, reviewer, ("b1", "members", Accept()))
    assert (refused.value.state, refused.value.subject) == ("NOTICED", ("Cycle", cycle.id))


async def test_of_two_reviewers_at_once_one_gets_a_conflict(cycle: OpenCycle) -> None:
    await reported(cycle, M="40", A="36")
    people = [await cycle.person((Role.REVIEWER, "t1")) for _ in range(3)]
    given = await specs(cycle, ("b1", "members", Accept()), ("b1", "ratio", Accept()))
    orders = [given, given[::-1], given]
    results = await asyncio.gather(
        *(judge_as_read(cycle, person, order) for person, order in zip(people, orders, strict=True)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, list) for result in results) == 1
    for result in results:
        if not isinstance(result, list):
            assert isinstance(result, VersionConflict)
            assert [conflict.type_name for conflict in result.conflicts] == ["Assessment", "Assessment"]
    assert len(await history(cycle, "b1", "members")) == 1


async def test_what_changed_after_it_was_read_is_not_accepted_unseen(cycle: OpenCycle) -> None:
    secretary = await reported(cycle, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    seen = await specs(cycle, ("b1", "members", Accept()))
    await judge(cycle, reviewer, ("b1", "ratio", Return("更正党员数", working_days=2)))
    await fill(cycle, secretary, "b1", M="45")
    await submit(cycle, secretary, "b1")
    with pytest.raises(VersionConflict) as stale:
        await judge_as_read(cycle, reviewer, seen)
    assert stale.value.conflicts[0].path == ("input", "reviews", "0", "version")


async def test_submitting_and_judging_at_once_never_deadlock(cycle: OpenCycle) -> None:
    for unit in ("b1", "b2", "b3"):
        await reported(cycle, unit, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    leaves = ("ratio", "members", "target")
    judged = [await specs(cycle, *((unit, leaf, Accept()) for leaf in leaves)) for unit in ("b1", "b2", "b3")]
    results = await asyncio.gather(
        *(
            judge_as_read(cycle, reviewer, [spec for part in order for spec in part])
            for order in (judged, judged[::-1])
        ),
        *(judge_as_read(cycle, reviewer, part) for part in judged),
        return_exceptions=True,
    )
    assert all(isinstance(result, list | VersionConflict) for result in results), results
    for unit in ("b1", "b2", "b3"):
        assert {(await cycle.assessment(unit, leaf))["state"] for leaf in leaves} == {"ACCEPTED"}
        assert (await cycle.task(unit, "M"))["state"] == "SETTLED"


async def test_accepting_many_takes_as_many_statements_as_accepting_one(
    cycle: OpenCycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for unit in ("b1", "b2", "b3"):
        await reported(cycle, unit, M="40", A="36")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    counted: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        plain = getattr(Transaction, name)

        async def run(self: Transaction, sql: str, *arguments: Any, plain: Any = plain) -> Any:
            counted.append(sql)
            return await plain(self, sql, *arguments)

        monkeypatch.setattr(Transaction, name, run)
    given = await specs(cycle, ("b1", "ratio", Accept()))
    counted.clear()
    await judge_as_read(cycle, reviewer, given)
    one = len(counted)
    given = await specs(cycle, *((unit, leaf, Accept()) for unit in ("b2", "b3") for leaf in ("ratio", "members")))
    counted.clear()
    await judge_as_read(cycle, reviewer, given)
    assert len(counted) == one
    (event,) = await cycle.sql("SELECT * FROM audit_events WHERE tenant_id = $1 ORDER BY sequence DESC LIMIT 1")
    assert orjson.loads(event["summary"])["facts"]["decisions"] == {"ACCEPT": 4}
    assert (event["subject_type"], event["subject_id"]) == ("Cycle", cycle.id)


async def test_self_scores_are_the_units_own_and_never_judge(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    assessor = await cycle.person((Role.ASSESSOR, "d1"))

    async def score(actor: Actor, leaf: str, value: str | None, version: int = 1, note: str | None = None) -> None:
        key = encode_id("Assessment", (await cycle.assessment("b1", leaf))["id"])
        async with cycle.db.transaction(cycle.tenant.id) as tx:
            await reviews.save_self_scores(tx, actor, scores=[SelfScoreSpec(key, version, value, note)])

    with pytest.raises(AccessDenied):
        await score(assessor, "award", "9")
    for leaf, value in (("award", "11"), ("award", "x"), ("members", "5")):
        with pytest.raises(Invalid):
            await score(secretary, leaf, value)
    await score(secretary, "award", "9.25", note="台账齐全")
    award = await cycle.assessment("b1", "award")
    assert (award["self_score"], award["self_note"], award["marks"], award["version"]) == (
        Decimal("9.25"),
        "台账齐全",
        None,
        2,
    )
    with pytest.raises(VersionConflict):
        await score(secretary, "award", "9")
    await score(secretary, "award", None, 2)
    assert (await cycle.assessment("b1", "award"))["self_score"] is None
    await judge(cycle, assessor, ("b1", "award", Award("10")))
    with pytest.raises(IllegalState):
        await score(secretary, "award", "9", 4)
    await cycle.move_due(today() - timedelta(days=1))
    secretary = await cycle.person((Role.SECRETARY, "t1"))
    key = encode_id("Assessment", (await cycle.assessment("b2", "award"))["id"])
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(IllegalState) as late:
            await reviews.save_self_scores(tx, secretary, scores=[SelfScoreSpec(key, 1, "5")])
    assert late.value.code is ErrorCode.DEADLINE_PASSED


async def test_what_an_opening_makes_can_be_filled_submitted_and_judged(db: Database, tenant: District) -> None:
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=3, items=2, categories=1, due_on=today() + timedelta(days=3))
    await opened(db, system_actor(tenant.id), loaded.cycle_id)
    cycle = await read_cycle(db, tenant, loaded.cycle_id)
    secretary = await reported(cycle, "u1", i1="80", i2="90.5")
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    await judge(cycle, reviewer, ("u1", "l1", Accept()), ("u1", "l2", Return("核对", working_days=1)))
    await fill(cycle, secretary, "u1", i2="91")
    await submit(cycle, secretary, "u1")
    await judge(cycle, reviewer, ("u1", "l2", Accept()))
    assert [(await cycle.assessment("u1", leaf))["settled_numbers"] for leaf in ("l1", "l2")] == [[80], [91]]
    assert {(await cycle.task("u1", item))["state"] for item in ("i1", "i2")} == {"SETTLED"}
