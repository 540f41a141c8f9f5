"""Saving and submitting values: who, when, what is refused, and what becomes of leaves."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from service import reports
from service.access import Actor, Role
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from service.reports import Content, EntrySpec
from tenants.database import Database
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.factories import OpenCycle, ids, open_cycle
from tests.small import today

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cycle(db: Database, tenant: District) -> OpenCycle:
    """An open cycle, due in ten days."""
    return await open_cycle(db, tenant)


async def save(cycle: OpenCycle, actor: Actor, *specs: EntrySpec) -> list[UUID]:
    """Save in a transaction of its own."""
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return [row["id"] for row in await reports.save_entries(tx, actor, entries=specs)]


async def fill(cycle: OpenCycle, actor: Actor, unit: str, **values: Any) -> None:
    """Save values of a unit by item: numbers as text, others as Content."""
    specs = []
    for item, given in values.items():
        task = await cycle.task(unit, item)
        content = given if isinstance(given, Content) else Content(number=given)
        specs.append(EntrySpec(encode_id("Task", task["id"]), content, task["entry_version"]))
    await save(cycle, actor, *specs)


async def submit(
    cycle: OpenCycle,
    actor: Actor,
    unit: str,
    *items: str,
    confirmed: Sequence[str] = (),
    version: int | None = None,
) -> UUID:
    """Submit a unit's report, or only these items."""
    report = await cycle.report(unit)
    named = [await cycle.task_id(unit, item) for item in items] or None
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await reports.submit_report(
            tx,
            actor,
            report_id=encode_id("Report", report["id"]),
            version=report["version"] if version is None else version,
            task_ids=named,
            confirmed_warnings=confirmed,
        )


async def send(cycle: OpenCycle, actor: Actor, item: str, *units: str, confirmed: Sequence[str] = ()) -> list[UUID]:
    """Submit one item of several units, as a department does."""
    tasks = [await cycle.task(unit, item) for unit in units]
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await reports.submit_entries(
            tx,
            actor,
            entries=[(encode_id("Entry", task["entry_id"]), task["entry_version"]) for task in tasks],
            confirmed_warnings=confirmed,
        )


async def test_a_secretary_saves_and_submits_and_leaves_become_ready(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="36", C=Content(choice="good"))
    task = await cycle.task("b1", "M")
    assert (task["state"], task["entry_state"], task["number"], task["revision"]) == ("DRAFTED", "DRAFT", 40, 1)
    assert (await cycle.assessment("b1", "members"))["state"] == "WAITING"

    await submit(cycle, secretary, "b1")

    assert (await cycle.task("b1", "M"))["state"] == "SUBMITTED"
    for leaf in ("ratio", "members", "target"):
        assessment = await cycle.assessment("b1", leaf)
        assert (assessment["state"], assessment["level"]) == ("READY", 1)
        assert assessment["ready_since"] is not None
    assert (await cycle.assessment("b1", "choice"))["state"] == "WAITING", "its other value is the department's"
    report = await cycle.report("b1")
    assert (report["version"], report["submitted_by_id"]) == (2, secretary.id)
    events = await cycle.sql("SELECT action, summary FROM audit_events WHERE tenant_id = $1 ORDER BY sequence")
    assert [event["action"] for event in events] == ["saveEntries", "submitReport"]
    assert orjson.loads(events[1]["summary"])["facts"]["count"] == 3


async def test_every_kind_of_value_is_kept_as_it_was_meant(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    counts = Content(counts=[("yes", 30), ("no", 2)])
    await fill(cycle, secretary, "b1", K=counts, S=Content(scores=["95", "88.5"]), C=Content(choice="fair"))
    assert orjson.loads((await cycle.task("b1", "K"))["detail"]) == {"counts": {"yes": 30, "no": 2}}
    assert orjson.loads((await cycle.task("b1", "S"))["detail"]) == {"scores": ["95", "88.5"]}
    assert orjson.loads((await cycle.task("b1", "C"))["detail"]) == {"choice": "fair"}


@pytest.mark.parametrize(
    ("item", "content", "code", "tail"),
    [
        ("M", Content(number="12,5"), ErrorCode.INVALID_DECIMAL, ("number",)),
        ("M", Content(number="1.5"), ErrorCode.INVALID, ("number",)),
        ("M", Content(number="1001"), ErrorCode.INVALID, ("number",)),
        ("M", Content(number="-1"), ErrorCode.INVALID, ("number",)),
        ("M", Content(yes_no=True), ErrorCode.INVALID, ("yesNo",)),
        ("M", Content(), ErrorCode.INVALID, ()),
        ("M", Content(number="1", choice="good"), ErrorCode.INVALID, ("number",)),
        ("C", Content(choice="best"), ErrorCode.INVALID, ("choice",)),
        ("K", Content(counts=[("maybe", 1)]), ErrorCode.INVALID, ("counts", "0", "option")),
        ("K", Content(counts=[("yes", 1), ("yes", 2)]), ErrorCode.DUPLICATE, ("counts", "1", "option")),
        ("K", Content(counts=[("yes", -1)]), ErrorCode.INVALID, ("counts", "0", "count")),
        ("S", Content(scores=[]), ErrorCode.INVALID, ("scores",)),
        ("S", Content(scores=["90", "90.25"]), ErrorCode.INVALID, ("scores", "1")),
        ("S", Content(scores=["101"]), ErrorCode.INVALID, ("scores", "0")),
    ],
)
async def test_values_that_do_not_fit_their_item_are_issues_with_their_place(
    cycle: OpenCycle, item: str, content: Content, code: ErrorCode, tail: tuple[str, ...]
) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    good = EntrySpec(await cycle.task_id("b1", "A"), Content(number="1"))
    with pytest.raises(Invalid) as refused:
        await save(cycle, secretary, good, EntrySpec(await cycle.task_id("b1", item), content))
    assert [(issue.code, issue.path) for issue in refused.value.issues] == [
        (code, ("input", "entries", "1", "content", *tail))
    ]
    assert (await cycle.task("b1", "A"))["entry_id"] is None, "all or none"


async def test_all_faults_come_at_once(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    specs = [EntrySpec(await cycle.task_id("b1", item), Content(number="x")) for item in ("M", "A")]
    with pytest.raises(Invalid) as refused:
        await save(cycle, secretary, *specs)
    assert len(refused.value.issues) == 2
    with pytest.raises(Invalid) as refused:
        await save(cycle, secretary, specs[0], EntrySpec("nonsense", Content()), specs[0])
    assert [issue.code for issue in refused.value.issues] == [
        ErrorCode.INVALID_ID,
        ErrorCode.DUPLICATE,
        ErrorCode.INVALID_DECIMAL,
        ErrorCode.INVALID_DECIMAL,
    ]


async def test_only_the_side_that_fills_a_task_may_write_it(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    town = await cycle.person((Role.SECRETARY, "t1"))
    reviewer = await cycle.person((Role.REVIEWER, "t1"))
    department = await cycle.person((Role.ASSESSOR, "d1"))
    organiser = await cycle.person((Role.ORGANISER, "root"))
    for actor, unit, item, needed in (
        (reviewer, "b1", "M", "SECRETARY"),
        (organiser, "b1", "M", "SECRETARY"),
        (secretary, "b1", "V", "ASSESSOR"),
        (organiser, "b1", "T", "ORGANISER"),
        (secretary, "b1", "T", "ORGANISER"),
    ):
        with pytest.raises(AccessDenied) as refused:
            await save(cycle, actor, EntrySpec(await cycle.task_id(unit, item), Content(number="1")))
        assert refused.value.path == ("input", "entries", "0", "taskId")
        assert refused.value.required_roles == [needed]
        assert refused.value.contacts[0].unit_id is not None
    with pytest.raises(NotFound):
        await save(cycle, secretary, EntrySpec(await cycle.task_id("b2", "M"), Content(number="1")))
    await fill(cycle, town, "b2", M="10")
    await fill(cycle, department, "b1", V="99.5")
    with pytest.raises(NotFound):
        await save(cycle, department, EntrySpec(await cycle.task_id("b1", "S"), Content(number="1")))


async def test_a_department_never_fills_values_about_itself(cycle: OpenCycle) -> None:
    own = await cycle.person((Role.ASSESSOR, "d1"), (Role.SECRETARY, "d2"))
    with pytest.raises(AccessDenied) as refused:
        await save(cycle, own, EntrySpec(await cycle.task_id("d2", "V"), Content(number="1")))
    assert "about itself" in refused.value.text.en
    above = await cycle.person((Role.ASSESSOR, "root"))
    await fill(cycle, above, "d2", V="50")


async def test_narrowed_grants_narrow(cycle: OpenCycle) -> None:
    by_item = await cycle.person((Role.SECRETARY, "b1", {"items": ["M"]}))
    by_leaf = await cycle.person((Role.SECRETARY, "b1", {"indicators": ["P-ratio"]}))
    by_node = await cycle.person((Role.SECRETARY, "b1", {"indicators": ["P"]}))
    by_category = await cycle.person((Role.SECRETARY, "root", {"categories": ["organ"]}))
    for actor, allowed, hidden in ((by_item, "M", "A"), (by_leaf, "A", "C")):
        await fill(cycle, actor, "b1", **{allowed: "5"})
        with pytest.raises(NotFound):
            await save(cycle, actor, EntrySpec(await cycle.task_id("b1", hidden), Content(number="1")))
    await fill(cycle, by_node, "b1", C=Content(choice="good"))
    await fill(cycle, by_category, "d2", M="3")
    with pytest.raises(NotFound):
        await save(cycle, by_category, EntrySpec(await cycle.task_id("b3", "M"), Content(number="1")))


async def test_a_stale_version_is_a_conflict_for_every_stale_item(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="30")
    specs = [
        EntrySpec(await cycle.task_id("b1", "M"), Content(number="41"), 1),
        EntrySpec(await cycle.task_id("b1", "A"), Content(number="31"), 7),
        EntrySpec(await cycle.task_id("b1", "C"), Content(choice="good")),
    ]
    with pytest.raises(VersionConflict) as refused:
        await save(cycle, secretary, *specs[1:], EntrySpec(specs[0].task_id, Content(number="41")))
    assert [(c.path, c.current_version, c.type_name) for c in refused.value.conflicts] == [
        (("input", "entries", "0", "version"), 1, "Entry"),
        (("input", "entries", "2", "version"), 1, "Entry"),
    ]
    assert (await cycle.task("b1", "C"))["entry_id"] is None
    with pytest.raises(Invalid) as odd:
        await save(cycle, secretary, EntrySpec(specs[2].task_id, Content(choice="good"), 1))
    assert odd.value.issues[0].path == ("input", "entries", "0", "version")
    await save(cycle, secretary, specs[0])
    task = await cycle.task("b1", "M")
    assert (task["number"], task["revision"], task["entry_version"]) == (41, 2, 2)
    revisions = await cycle.sql(
        "SELECT revision, number, by_id FROM entry_revisions WHERE tenant_id = $1 AND entry_id = $2 ORDER BY revision",
        task["entry_id"],
    )
    assert [(row["revision"], row["number"], row["by_id"]) for row in revisions] == [
        (1, 40, secretary.id),
        (2, 41, secretary.id),
    ]


@pytest.mark.parametrize("first", [True, False])
async def test_of_two_who_save_at_once_one_gets_a_conflict_and_nothing_is_lost(cycle: OpenCycle, first: bool) -> None:
    people = [await cycle.person((Role.SECRETARY, "b1")) for _ in range(4)]
    if not first:
        await fill(cycle, people[0], "b1", M="1")
    before = await cycle.task("b1", "M")
    spec = [
        EntrySpec(encode_id("Task", before["id"]), Content(number=str(n)), before["entry_version"]) for n in range(4)
    ]
    results = await asyncio.gather(
        *(save(cycle, person, own) for person, own in zip(people, spec, strict=True)), return_exceptions=True
    )
    kept = [n for n, result in enumerate(results) if isinstance(result, list)]
    assert len(kept) == 1
    assert all(isinstance(result, VersionConflict) for n, result in enumerate(results) if n not in kept)
    assert (await cycle.task("b1", "M"))["number"] == kept[0]


async def test_submission_and_saving_at_once_do_not_lose_a_value(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="30")
    task = await cycle.task("b1", "M")
    results = await asyncio.gather(
        save(cycle, secretary, EntrySpec(encode_id("Task", task["id"]), Content(number="44"), 1)),
        submit(cycle, secretary, "b1"),
        return_exceptions=True,
    )
    after = await cycle.task("b1", "M")
    if isinstance(results[0], BaseException):
        assert isinstance(results[0], IllegalState | VersionConflict)
        assert (after["number"], after["state"]) == (40, "SUBMITTED")
    else:
        assert after["number"] == 44
        assert after["entry_state"] == "SUBMITTED", "the submission came after, and took the newer value"


async def test_a_submitted_value_is_closed_until_it_comes_back(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40")
    await submit(cycle, secretary, "b1", "M")
    task = await cycle.task("b1", "M")
    with pytest.raises(IllegalState) as refused:
        await fill(cycle, secretary, "b1", M="41")
    assert (refused.value.state, refused.value.since) == ("SUBMITTED", task["submitted_at"])
    assert refused.value.contacts[0].role == "REVIEWER"
    assert refused.value.contacts[0].unit_id == cycle.units["t1"]
    with pytest.raises(IllegalState):
        await submit(cycle, secretary, "b1", "M")
    with pytest.raises(IllegalState) as nothing:
        await submit(cycle, secretary, "b1")
    assert "nothing to submit" in nothing.value.text.en


@pytest.mark.parametrize(
    ("due_in", "grace", "late"),
    [(0, 0, 0), (1, 0, 0), (-1, 1, 1), (-1, 3, 1), (-3, 3, 3), (-1, 0, None), (-4, 3, None)],
)
async def test_the_last_day_counts_until_its_midnight_and_grace_is_late(
    cycle: OpenCycle, due_in: int, grace: int, late: int | None
) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await cycle.move_due(today() + timedelta(days=due_in), grace_days=grace)
    if late is None:
        with pytest.raises(IllegalState) as refused:
            await fill(cycle, secretary, "b1", M="40")
        assert refused.value.code is ErrorCode.DEADLINE_PASSED
        assert refused.value.since == (await cycle.task("b1", "M"))["closes_at"]
        assert refused.value.contacts[0].role == "ORGANISER"
        return
    await fill(cycle, secretary, "b1", M="40")
    await submit(cycle, secretary, "b1")
    assert (await cycle.task("b1", "M"))["days_late"] == late
    assert (await cycle.assessment("b1", "members"))["days_late"] == late


async def test_a_draft_that_was_left_lying_is_refused_after_the_deadline(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40")
    await cycle.move_due(today() - timedelta(days=1))
    for items in ((), ("M",)):
        with pytest.raises(IllegalState) as refused:
            await submit(cycle, secretary, "b1", *items)
        assert refused.value.code is ErrorCode.DEADLINE_PASSED


@pytest.mark.parametrize("state", ["RANKED", "NOTICED", "PUBLISHED", "ARCHIVED"])
async def test_a_cycle_that_is_over_takes_no_values(cycle: OpenCycle, state: str) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40")
    await cycle.set_state(state)
    with pytest.raises(IllegalState) as refused:
        await fill(cycle, secretary, "b1", M="41")
    assert (refused.value.code, refused.value.state) == (ErrorCode.ILLEGAL_STATE, state)
    assert refused.value.legal_from == ["OPEN", "REVIEWING"]


async def test_a_closed_unit_reports_no_more(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await cycle.sql(
        "UPDATE org_units SET valid_to = $3 WHERE tenant_id = $1 AND id = $2 RETURNING id",
        cycle.units["b1"],
        today() - timedelta(days=1),
    )
    with pytest.raises(IllegalState) as refused:
        await fill(cycle, secretary, "b1", M="40")
    assert refused.value.code is ErrorCode.UNIT_CLOSED
    assert refused.value.since is not None


async def test_parts_of_a_report_are_submitted_by_themselves(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="36")
    with pytest.raises(IllegalState) as empty:
        await submit(cycle, secretary, "b1", "C")
    assert empty.value.path == ("input", "taskIds", "0")
    await submit(cycle, secretary, "b1", "M")
    assert (await cycle.task("b1", "A"))["state"] == "DRAFTED"
    assert (await cycle.assessment("b1", "members"))["state"] == "READY"
    assert (await cycle.assessment("b1", "ratio"))["state"] == "WAITING"
    with pytest.raises(VersionConflict) as stale:
        await submit(cycle, secretary, "b1", version=1)
    assert stale.value.conflicts[0].type_name == "Report"
    await submit(cycle, secretary, "b1")
    assert (await cycle.assessment("b1", "ratio"))["state"] == "READY"


async def test_reports_are_submitted_by_their_own_secretary(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40")
    with pytest.raises(AccessDenied) as refused:
        await submit(cycle, await cycle.person((Role.REVIEWER, "t1")), "b1")
    assert refused.value.contacts[0].unit_id == cycle.units["b1"]
    with pytest.raises(NotFound):
        await submit(cycle, await cycle.person((Role.SECRETARY, "b2")), "b1")
    report, other = await cycle.report("b1"), await cycle.task_id("b2", "M")
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(NotFound) as foreign:
            await reports.submit_report(
                tx,
                secretary,
                report_id=encode_id("Report", report["id"]),
                version=1,
                task_ids=[other],
            )
    assert foreign.value.path == ("input", "taskIds", "0")


async def test_ids_of_another_district_answer_as_ids_that_do_not_exist(
    cycle: OpenCycle, db: Database, make_tenant: MakeTenant
) -> None:
    other = await open_cycle(db, await make_tenant())
    secretary = await cycle.person((Role.SECRETARY, "root"))
    own = await other.person((Role.SECRETARY, "root"))
    await fill(other, own, "b1", M="1")
    with pytest.raises(NotFound) as refused:
        await save(
            cycle,
            secretary,
            EntrySpec(await cycle.task_id("b1", "M"), Content(number="1")),
            EntrySpec(await other.task_id("b1", "M"), Content(number="1"), 1),
        )
    assert refused.value.path == ("input", "entries", "1", "taskId")
    entry = encode_id("Entry", (await other.task("b1", "M"))["entry_id"])
    report = encode_id("Report", (await other.report("b1"))["id"])
    async with db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(NotFound):
            await reports.submit_entries(tx, secretary, entries=[(entry, 1)])
        with pytest.raises(NotFound):
            await reports.submit_report(tx, secretary, report_id=report, version=1)


async def test_a_broken_check_blocks_and_a_warning_wants_to_be_confirmed(cycle: OpenCycle) -> None:
    secretary = await cycle.person((Role.SECRETARY, "b1"))
    await fill(cycle, secretary, "b1", M="40", A="45", C=Content(choice="good"))
    with pytest.raises(Invalid) as refused:
        await submit(cycle, secretary, "b1")
    (issue,) = refused.value.issues
    assert issue.text.zh == "1.1 指标ratio：到会人数（45）应不大于党员总数（40）。"
    assert issue.path == ("input", "reportId")
    await submit(cycle, secretary, "b1", "C")
    await submit(cycle, secretary, "b1", "M")
    assert (await cycle.task("b1", "A"))["state"] == "DRAFTED", "M alone breaks nothing; with A it would"
    with pytest.raises(Invalid):
        await submit(cycle, secretary, "b1")

    await fill(cycle, secretary, "b1", A="10")
    findings = orjson.loads((await cycle.assessment("b1", "ratio"))["findings"])
    assert [finding["warningOnly"] for finding in findings] == [True]
    with pytest.raises(Invalid) as refused:
        await submit(cycle, secretary, "b1")
    assert refused.value.issues[0].path == ("input", "confirmedWarnings")
    assert findings[0]["key"] in (refused.value.issues[0].hint or ("", ""))[0]

    await fill(cycle, secretary, "b1", A="11")
    with pytest.raises(Invalid):
        await submit(cycle, secretary, "b1", confirmed=[findings[0]["key"]])
    findings = orjson.loads((await cycle.assessment("b1", "ratio"))["findings"])
    await submit(cycle, secretary, "b1", confirmed=[findings[0]["key"], "something else"])
    assert orjson.loads((await cycle.assessment("b1", "ratio"))["findings"])[0]["confirmed"]
    assert (await cycle.assessment("b1", "ratio"))["state"] == "READY"


async def test_a_department_sends_its_table_and_leaves_without_levels_settle(cycle: OpenCycle) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    for unit, number in (("b1", "90"), ("b2", "80.5"), ("b4", "70"), ("d2", "60")):
        await fill(cycle, department, unit, V=number)
    await send(cycle, department, "V", "b1", "b2", "b4", "d2")
    for unit, settled in (("b1", Decimal(90)), ("b2", Decimal("80.5"))):
        assessment = await cycle.assessment(unit, "value")
        assert (assessment["state"], assessment["settled_numbers"]) == ("ACCEPTED", [settled])
        assert assessment["pinned_revision_ids"] == [(await cycle.task(unit, "V"))["revision_id"]]
    assert (await cycle.task("b1", "V"))["state"] == "SUBMITTED", "the leaf `choice` uses it too, and waits"
    with pytest.raises(IllegalState):
        await send(cycle, department, "V", "b1")


async def test_stale_entries_of_a_table_are_all_listed(cycle: OpenCycle) -> None:
    department = await cycle.person((Role.ASSESSOR, "d1"))
    for unit in ("b1", "b2", "b3"):
        await fill(cycle, department, unit, V="1")
    entries = ids("Entry", [(await cycle.task(unit, "V"))["entry_id"] for unit in ("b1", "b2", "b3")])
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        with pytest.raises(VersionConflict) as refused:
            await reports.submit_entries(tx, department, entries=list(zip(entries, (9, 1, 8), strict=True)))
    assert [conflict.path for conflict in refused.value.conflicts] == [
        ("input", "entries", "0", "version"),
        ("input", "entries", "2", "version"),
    ]
    with pytest.raises(Invalid):
        async with cycle.db.transaction(cycle.tenant.id) as tx:
            await reports.submit_entries(tx, department, entries=[])


async def test_saving_a_thousand_takes_as_many_statements_as_saving_one(
    cycle: OpenCycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenants.database import Transaction

    secretary = await cycle.person((Role.SECRETARY, "root"))
    counted = 0

    def count(name: str) -> Any:
        plain = getattr(Transaction, name)

        async def run(self: Transaction, sql: str, *arguments: Any) -> Any:
            nonlocal counted
            counted += 1
            return await plain(self, sql, *arguments)

        return run

    specs = [
        EntrySpec(await cycle.task_id(unit, item), Content(number="5"))
        for unit in ("b1", "b2", "b3", "b4", "d2")
        for item in ("M", "A")
    ]
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(Transaction, name, count(name))
    await save(cycle, secretary, specs[0])
    one, counted = counted, 0
    await save(cycle, secretary, *specs[1:])
    assert counted == one
