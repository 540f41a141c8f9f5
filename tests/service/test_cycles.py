"""Cycles: preparing and editing one, its instants, targets, and the one table of its steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service import cycles, jobs
from service.access import Actor, HeldGrant, Role
from service.cycles import STATE_NAMES, STEPS, TargetRow
from service.errors import AccessDenied, IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from service.jobs import OPEN_CYCLE
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.loading import Loaded, load
from tests.service.cycling import count, opened, spec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def organiser(db: Database, tenant: District) -> Actor:
    """The organiser of the whole district, who has an account."""
    key = uuid7()
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', '考核办')", tenant.id, key
        )
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", tenant.id)
    grant = HeldGrant(uuid7(), Role.ORGANISER, root, True, (), (), ())
    return Actor(tenant.id, key, key, "MEMBER", "考核办", "ZH_CN", "Asia/Shanghai", (grant,))


@pytest.fixture
async def loaded(db: Database, tenant: District, organiser: Actor) -> Loaded:
    """Four units in two categories, a reported and an assigned item; a draft cycle with the code `bench`."""
    async with db.transaction(tenant.id) as tx:
        return await load(tx, units=4, items=2, categories=2, sources=["REPORTED", "ASSIGNED"])


def cycle_id(loaded: Loaded) -> str:
    return encode_id("Cycle", loaded.cycle_id)


async def row(tx: Transaction, key: Any) -> Any:
    return await tx.fetchrow("SELECT * FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key)


async def put(db: Database, loaded: Loaded, tenant: District, state: str) -> None:
    async with db.transaction(tenant.id) as tx:
        await tx.execute("UPDATE cycles SET state = $2 WHERE tenant_id = $1", tenant.id, state)


async def all_targets(db: Database, organiser: Actor, loaded: Loaded) -> None:
    async with db.transaction(organiser.tenant_id) as tx:
        await cycles.assign_targets(
            tx,
            organiser,
            cycle_id=cycle_id(loaded),
            data_item_id=encode_id("DataItem", loaded.item_ids[1]),
            targets=[TargetRow(encode_id("OrgUnit", unit), "10.5") for unit in loaded.unit_ids],
        )


# --- preparing


async def test_a_day_counts_until_it_ends_where_the_tenant_is(db: Database, organiser: Actor, loaded: Loaded) -> None:
    async with db.transaction(organiser.tenant_id) as tx:
        key = await cycles.create_cycle(
            tx, organiser, cycle=spec(loaded, due_on="2026-07-10", opens_on="2026-07-01", grace_days=3)
        )
        made = await row(tx, key)
        assert made["due_at"] == datetime(2026, 7, 10, 16, tzinfo=UTC)
        assert made["closes_at"] == datetime(2026, 7, 13, 16, tzinfo=UTC)
        assert (made["state"], made["version"]) == ("DRAFT", 1)
        assert await count(tx, "cycle_categories", f"cycle_id = '{key}'") == 2
    async with db.transaction(organiser.tenant_id) as tx:
        assert await count(tx, "audit_events", "action = 'createCycle'") == 1


async def test_all_faults_at_once(db: Database, organiser: Actor, loaded: Loaded) -> None:
    wrong = spec(
        loaded,
        code="bench",
        name=" ",
        starts_on="2026-13-01",
        ends_on="2026-12-31",
        opens_on="2026-12-01",
        due_on="2026-11-01",
        grace_days=-1,
        review_due_on="2026-01-01",
        category_ids=[encode_id("Category", uuid7()), "x"],
        under_id=encode_id("OrgUnit", uuid7()),
        previous_cycle_id=encode_id("Cycle", uuid7()),
    )
    with pytest.raises(Invalid) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.create_cycle(tx, organiser, cycle=wrong)
    found = {".".join(issue.path[2:]): issue.code.value for issue in refused.value.issues}
    assert found == {
        "code": "DUPLICATE",
        "name": "INVALID_TEXT",
        "startsOn": "INVALID_DATETIME",
        "dueOn": "INVALID",
        "graceDays": "INVALID",
        "reviewDueOn": "INVALID",
        "categoryIds.0": "INVALID",
        "categoryIds.1": "INVALID_ID",
        "underId": "NOT_FOUND",
        "previousCycleId": "NOT_FOUND",
    }


async def test_a_version_of_another_district_is_unknown(
    db: Database, organiser: Actor, loaded: Loaded, make_tenant: Any
) -> None:
    other = await make_tenant()
    async with db.transaction(other.id) as tx:
        foreign = await load(tx, units=1, items=1)
    with pytest.raises(Invalid) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.create_cycle(tx, organiser, cycle=spec(foreign))
    assert [issue.path[-1] for issue in refused.value.issues] == ["schemeVersionId"]
    with pytest.raises(NotFound):
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.begin_review(tx, organiser, cycle_id=cycle_id(foreign), version=1)


async def test_a_draft_can_change_altogether(db: Database, organiser: Actor, loaded: Loaded) -> None:
    wanted = spec(
        loaded,
        code="new",
        due_on="2026-12-30",
        grace_days=2,
        category_ids=[encode_id("Category", loaded.category_ids[1])],
    )
    for version in (1, 2):
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=version, cycle=wanted)
            now = await row(tx, loaded.cycle_id)
            assert (now["code"], now["version"], now["closes_at"]) == ("new", 2, datetime(2027, 1, 1, 16, tzinfo=UTC))
            assert await count(tx, "cycle_categories") == 1
        async with db.transaction(organiser.tenant_id) as tx:
            assert await count(tx, "audit_events", "action = 'editCycle'") == 1, "the second time nothing changes"
    with pytest.raises(VersionConflict):
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1, cycle=wanted)


async def test_an_open_cycle_keeps_what_it_rests_on(db: Database, organiser: Actor, loaded: Loaded) -> None:
    await put(db, loaded, await _district(organiser), "OPEN")
    async with db.transaction(organiser.tenant_id) as tx:
        due_on = (await row(tx, loaded.cycle_id))["due_on"]
    same = {"code": "bench", "name": "测试周期", "opens_on": "2026-01-01", "due_on": str(due_on)}
    with pytest.raises(Invalid) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            changed = spec(loaded, **{**same, "due_on": str(due_on + timedelta(days=1))})
            await cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1, cycle=changed)
    assert [issue.path for issue in refused.value.issues] == [("input", "cycle", "dueOn")]
    async with db.transaction(organiser.tenant_id) as tx:
        renamed = spec(loaded, **{**same, "name": "改了名", "notice_on": str(due_on + timedelta(days=9))})
        await cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1, cycle=renamed)
        now = await row(tx, loaded.cycle_id)
        assert (now["name"], now["notice_on"]) == ("改了名", due_on + timedelta(days=9))
    await put(db, loaded, await _district(organiser), "PUBLISHED")
    with pytest.raises(IllegalState):
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=2, cycle=renamed)


async def _district(actor: Actor) -> District:
    return District(actor.tenant_id, "", "ACTIVE")


# --- targets


async def test_targets_replace_each_other(db: Database, organiser: Actor, loaded: Loaded) -> None:
    await all_targets(db, organiser, loaded)
    await all_targets(db, organiser, loaded)
    async with db.transaction(organiser.tenant_id) as tx:
        assert await count(tx, "cycle_targets", "number = 10.5") == 4


async def test_targets_are_judged_one_by_one(db: Database, organiser: Actor, loaded: Loaded) -> None:
    unit = encode_id("OrgUnit", loaded.unit_ids[0])
    rows = [TargetRow(unit, "1"), TargetRow(unit, "2"), TargetRow("x", "1e3"), TargetRow(unit[:-2], "1.234")]
    rows.append(TargetRow(encode_id("OrgUnit", uuid7()), "3"))
    with pytest.raises(Invalid) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            item = encode_id("DataItem", loaded.item_ids[1])
            await cycles.assign_targets(tx, organiser, cycle_id=cycle_id(loaded), data_item_id=item, targets=rows)
    found = {".".join(issue.path[2:]): issue.code.value for issue in refused.value.issues}
    assert found == {
        "1.unitId": "DUPLICATE",
        "2.unitId": "INVALID_ID",
        "2.value": "INVALID_DECIMAL",
        "3.unitId": "INVALID_ID",
        "3.value": "INVALID",
        "4.unitId": "NOT_FOUND",
    }
    with pytest.raises(Invalid):
        async with db.transaction(organiser.tenant_id) as tx:
            item = encode_id("DataItem", loaded.item_ids[0])
            await cycles.assign_targets(tx, organiser, cycle_id=cycle_id(loaded), data_item_id=item, targets=[])


# --- steps


def test_every_state_can_be_reached_and_has_a_name() -> None:
    assert {step.to for step in STEPS} == set(STATE_NAMES) - {"DRAFT"}
    assert {source for step in STEPS for source in step.sources} <= set(STATE_NAMES)


async def test_opening_wants_all_targets(db: Database, organiser: Actor, loaded: Loaded) -> None:
    with pytest.raises(IllegalState) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.open_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1)
    assert "4 targets" in refused.value.text.en
    assert "4个目标值" in refused.value.text.zh
    async with db.transaction(organiser.tenant_id) as tx:
        # For whom the leaf does not hold, no target is needed.
        await tx.execute(
            "UPDATE indicators SET category_ids = $2 WHERE tenant_id = $1 AND code = 'l2'",
            tx.tenant_id,
            loaded.category_ids[:1],
        )
    with pytest.raises(IllegalState) as refused:
        async with db.transaction(organiser.tenant_id) as tx:
            await cycles.open_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1)
    assert "2 targets" in refused.value.text.en


async def test_a_cycle_stays_a_draft_until_its_job_commits(db: Database, organiser: Actor, loaded: Loaded) -> None:
    await all_targets(db, organiser, loaded)
    async with db.transaction(organiser.tenant_id) as tx:
        key, job_id = await cycles.open_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=1)
        now = await row(tx, key)
        assert (now["state"], now["opening_job_id"], now["version"]) == ("DRAFT", job_id, 2)
    for refuse in (
        lambda tx: cycles.open_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=2),
        lambda tx: cycles.edit_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=2, cycle=spec(loaded)),
    ):
        with pytest.raises(IllegalState) as refused:
            async with db.transaction(organiser.tenant_id) as tx:
                await refuse(tx)
        assert "being opened" in refused.value.text.en
    async with db.transaction(organiser.tenant_id) as tx:
        await jobs.cancel(tx, organiser, job_id=encode_id("Job", job_id))
    async with db.transaction(organiser.tenant_id) as tx:
        again = await cycles.open_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=2)
        assert again == (key, job_id), "the same job, anew"
        assert await tx.fetchval("SELECT state FROM jobs WHERE tenant_id = $1", tx.tenant_id) == "QUEUED"
        assert await tx.fetchval("SELECT kind FROM jobs WHERE tenant_id = $1", tx.tenant_id) == OPEN_CYCLE.name


async def test_the_steps_of_a_life(db: Database, organiser: Actor, loaded: Loaded, tenant: District) -> None:
    await all_targets(db, organiser, loaded)
    await opened(db, organiser, loaded.cycle_id)
    async with db.transaction(tenant.id) as tx:
        version = (await row(tx, loaded.cycle_id))["version"]
        await cycles.begin_review(tx, organiser, cycle_id=cycle_id(loaded), version=version)
    with pytest.raises(IllegalState) as refused:
        async with db.transaction(tenant.id) as tx:
            await cycles.begin_review(tx, organiser, cycle_id=cycle_id(loaded), version=version + 1)
    assert (refused.value.state, refused.value.legal_from) == ("REVIEWING", ["OPEN"])
    assert "审核中" in refused.value.text.zh
    await put(db, loaded, tenant, "PUBLISHED")
    async with db.transaction(tenant.id) as tx:
        await cycles.archive_cycle(tx, organiser, cycle_id=cycle_id(loaded), version=version + 1)
        assert (await row(tx, loaded.cycle_id))["state"] == "ARCHIVED"


async def test_which_step_is_allowed_from_which_state(
    db: Database, organiser: Actor, loaded: Loaded, tenant: District
) -> None:
    """Beside the use-cases of this module, those of runs and publications ask the same table."""
    allowed = set()
    for state in STATE_NAMES:
        await put(db, loaded, tenant, state)
        for to in STATE_NAMES:
            if to == "DRAFT":
                continue
            async with db.transaction(tenant.id) as tx:
                try:
                    await cycles.require_step(tx, loaded.cycle_id, state, to, path=("input",))
                except IllegalState:
                    continue
            allowed.add((state, to))
    assert allowed == {
        ("OPEN", "REVIEWING"),
        ("RANKED", "NOTICED"),
        ("NOTICED", "PUBLISHED"),
        ("PUBLISHED", "ARCHIVED"),
    }, "opening lacks targets, ranking a run, and this scheme wants a notice first"
    async with db.transaction(tenant.id) as tx:
        await tx.execute(
            "UPDATE scheme_versions SET settings = settings || '{\"skipNotice\": true}' WHERE tenant_id = $1", tenant.id
        )
        await tx.execute("UPDATE cycles SET state = 'RANKED' WHERE tenant_id = $1", tenant.id)
        await cycles.require_step(tx, loaded.cycle_id, "RANKED", "PUBLISHED", path=("input",))


async def test_only_organisers_of_the_district(db: Database, organiser: Actor, loaded: Loaded) -> None:
    grant = HeldGrant(uuid7(), Role.SECRETARY, loaded.unit_ids[0], False, (), (), ())
    secretary = Actor(organiser.tenant_id, uuid7(), uuid7(), "MEMBER", "填报员", "ZH_CN", "Asia/Shanghai", (grant,))
    text = cycle_id(loaded)
    for attempt in (
        lambda tx: cycles.create_cycle(tx, secretary, cycle=spec(loaded)),
        lambda tx: cycles.edit_cycle(tx, secretary, cycle_id=text, version=1, cycle=spec(loaded)),
        lambda tx: cycles.open_cycle(tx, secretary, cycle_id=text, version=1),
        lambda tx: cycles.begin_review(tx, secretary, cycle_id=text, version=1),
        lambda tx: cycles.archive_cycle(tx, secretary, cycle_id=text, version=1),
        lambda tx: cycles.assign_targets(tx, secretary, cycle_id=text, data_item_id=text, targets=[]),
    ):
        with pytest.raises(AccessDenied):
            async with db.transaction(organiser.tenant_id) as tx:
                await attempt(tx)
