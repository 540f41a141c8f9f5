"""Runs and results over GraphQL: what is in the way of a publication, and whose result stands beside which report."""

from typing import Any

import pytest

from service import cycles, publications, rankings
from service.access import Role
from service.ids import encode_id
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import Caller, MakeCaller, held
from tests.service.computing import Course, course, granted, key_of

pytestmark = pytest.mark.anyio

LINEAR = {
    "kind": "LINEAR",
    "quantity": {"numerator": {"terms": [{"coefficient": "1", "dataItem": "x"}]}},
    "zeroAt": "0",
    "fullAt": "50",
}
BLOCKERS = """
query ($run: ID!, $kind: PublicationKind!) {
  rankingRun(id: $run) { publishBlockers(kind: $kind) { code message hint count } }
}
"""


@pytest.fixture
async def given(db: Database, tenant: District) -> Course:
    """One cycle with a single leaf."""
    made = await course(db, tenant, {"linear": LINEAR})
    await made.cycle({"c1": {"x": "40"}, "c2": {"x": "30"}})
    return made


async def organiser(db: Database, given: Course, make_caller: MakeCaller) -> Caller:
    """An organiser whose grant the database knows."""
    caller = make_caller(given.tenant, [held(Role.ORGANISER, given.world.root, at_root=True)])
    await granted(db, caller.actor)
    return caller


async def blockers(caller: Caller, run: str, kind: str) -> list[str]:
    """What publishing would be refused for, in words."""
    found = await caller.ask(BLOCKERS, run=run, kind=kind)
    return [each["message"] for each in found["rankingRun"]["publishBlockers"]]


async def version_of(given: Course, tx: Any) -> int:
    """Version of the cycle."""
    found: int = await tx.fetchval(
        "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tx.tenant_id, given.cycle_ids[0]
    )
    return found


async def test_what_is_in_the_way_of_a_publication(db: Database, given: Course, make_caller: MakeCaller) -> None:
    caller = await organiser(db, given, make_caller)
    cycle_id = encode_id("Cycle", given.cycle_ids[0])
    async with db.transaction(given.tenant.id) as tx:
        waiting = await rankings.start_ranking_run(tx, given.world.actor, cycle_id=cycle_id)
    run = encode_id("RankingRun", waiting)
    assert await blockers(caller, run, "INTERIM") == ["This run has not succeeded."]
    await given.run(given.cycle_ids[0])
    assert await blockers(caller, run, "INTERIM") == []
    assert await blockers(caller, run, "NOTICE") == [
        "The cycle can't be noticed now.",
        "The cycle stands on another run.",
    ]
    async with db.transaction(given.tenant.id) as tx:
        await cycles.begin_review(tx, given.world.actor, cycle_id=cycle_id, version=await version_of(given, tx))
        await rankings.adopt_run(tx, given.world.actor, run_id=run, version=await version_of(given, tx))
    assert await blockers(caller, run, "NOTICE") == []
    assert await blockers(caller, run, "FINAL") == ["This scheme asks for a notice before the final publication."]
    observer = make_caller(given.tenant, [held(Role.OBSERVER, given.world.root, at_root=True)])
    await granted(db, observer.actor)
    assert await blockers(observer, run, "INTERIM") == ["This needs a grant as organiser."]


async def test_a_report_shows_the_newest_published_result(db: Database, given: Course, make_caller: MakeCaller) -> None:
    caller = make_caller(given.tenant, [held(Role.SECRETARY, key_of(given.world.units["c1"], "OrgUnit"))])
    await granted(db, caller.actor)
    ask = "{ viewer { cycles { code } reports { unit { code } standing { total run { number } } } } }"
    first, second = await given.run(given.cycle_ids[0]), await given.run(given.cycle_ids[0])
    (report,) = (await caller.ask(ask))["viewer"]["reports"]
    assert (report["unit"]["code"], report["standing"]) == ("c1", None), "nothing is published"
    for run_id in (second, first):
        async with db.transaction(given.tenant.id) as tx:
            await publications.publish_run(
                tx,
                given.world.actor,
                run_id=encode_id("RankingRun", run_id),
                version=await version_of(given, tx),
                kind="INTERIM",
                title="阶段成绩",
            )
    found = (await caller.ask(ask))["viewer"]
    assert found["reports"][0]["standing"] == {"total": "80.000000000000", "run": None}
    assert found["cycles"] == [{"code": "k1"}]
    chosen = await caller.ask("{ viewer { reports { standing { id } } } }")
    async with db.transaction(given.tenant.id) as tx:
        newest = await tx.fetchval(
            """SELECT s.id FROM standings s JOIN cycle_units u ON u.tenant_id = s.tenant_id AND u.id = s.cycle_unit_id
               WHERE s.tenant_id = $1 AND s.run_id = $2 AND u.code = 'c1'""",
            tx.tenant_id,
            first,
        )
    assert chosen["viewer"]["reports"][0]["standing"]["id"] == encode_id("Standing", newest)


async def test_cycles_are_listed_for_whom_they_concern(db: Database, given: Course, make_caller: MakeCaller) -> None:
    await given.cycle({})
    async with db.transaction(given.tenant.id) as tx:
        await cycles.begin_review(
            tx,
            given.world.actor,
            cycle_id=encode_id("Cycle", given.cycle_ids[0]),
            version=await version_of(given, tx),
        )
    ask = "{ viewer { cycles { code state } } }"
    everything = [{"code": "k2", "state": "OPEN"}, {"code": "k1", "state": "REVIEWING"}]
    assert (await (await organiser(db, given, make_caller)).ask(ask))["viewer"]["cycles"] == everything
    department = make_caller(given.tenant, [held(Role.ASSESSOR, key_of(given.world.units["zzb"], "OrgUnit"))])
    await granted(db, department.actor)
    assert (await department.ask(ask))["viewer"]["cycles"] == everything
    nobody = make_caller(given.tenant, [])
    await granted(db, nobody.actor)
    assert (await nobody.ask(ask))["viewer"]["cycles"] == []


async def test_jobs_are_found_by_what_they_work_on(db: Database, given: Course, make_caller: MakeCaller) -> None:
    run_id = await given.run(given.cycle_ids[0])
    caller = await organiser(db, given, make_caller)
    ask = "query ($id: ID!) { jobs(filter: {subjectId: $id}) { edges { node { kind } } } }"
    for subject, kind in (
        (encode_id("RankingRun", run_id), "RANKING_RUN"),
        (encode_id("Cycle", given.cycle_ids[0]), "OPEN_CYCLE"),
    ):
        found = await caller.ask(ask, id=subject)
        assert [edge["node"]["kind"] for edge in found["jobs"]["edges"]] == [kind]
