"""Grades: places and ties at their edge, conditions and vetoes, ordering equals, and what a body settles."""

import asyncio
import contextvars
from collections.abc import Collection
from typing import Any
from uuid import UUID

import orjson
import pytest

from service import directory, publications, rankings, schemes
from service.access import Actor, Role, system_actor
from service.errors import IllegalState, Invalid, NotFound, VersionConflict
from service.ids import encode_id
from service.rankings import grading, snapshot
from service.rankings.explaining import explanations
from service.rankings.grading import GradeSpec, order_tie, record_grades
from service.rankings.previous import previous_grades
from tenants.database import Database
from tenants.provisioning import District
from tests.factories import OpenCycle
from tests.service.eventing import confirmed, event_cycle, give, next_cycle, run, spec, standings

pytestmark = pytest.mark.anyio


def grade(code: str, name: str, threshold: str = "0", share: str | None = None, **more: Any) -> dict[str, Any]:
    """A grade of the scheme document."""
    return {"code": code, "name": name, "threshold": threshold, "share": share, **more}


GRADES = [grade("A", "优秀", "80", "0.4"), grade("B", "良好", "70", "0.5"), grade("C", "一般")]
"""Of six units in 社区: two places of 优秀, three of 良好."""


async def graded(db: Database, tenant: District, values: dict[str, str], **settings: Any) -> tuple[OpenCycle, Actor]:
    """A cycle with these grades and values, and an organiser."""
    cycle = await event_cycle(db, tenant, {"grades": GRADES, **settings})
    await give(cycle, **values)
    return cycle, await cycle.person((Role.ORGANISER, "root"))


async def grades(cycle: OpenCycle, run_id: UUID) -> dict[str, str | None]:
    """Computed grades by unit, without the village."""
    rows = await cycle.sql(
        """SELECT cu.code, sg.grade FROM standing_grades sg
           JOIN standings st ON st.tenant_id = sg.tenant_id AND st.id = sg.standing_id
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE sg.tenant_id = $1 AND sg.run_id = $2 ORDER BY cu.code""",
        run_id,
    )
    return {each["code"]: each["grade"] for each in rows if each["code"] != "v1"}


async def ties(cycle: OpenCycle, run_id: UUID, *, decided: bool = False) -> list[dict[str, Any]]:
    """Groups of equals with the codes of their units."""
    rows = await cycle.sql(
        """SELECT tg.*, (SELECT array_agg(cu.code ORDER BY cu.code) FROM tie_group_members tm
               JOIN standings st ON st.tenant_id = tm.tenant_id AND st.id = tm.standing_id
               JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
               WHERE tm.tenant_id = tg.tenant_id AND tm.tie_group_id = tg.id) AS units
           FROM tie_groups tg WHERE tg.tenant_id = $1 AND tg.run_id = $2 AND (tg.decided_at IS NOT NULL) = $3""",
        run_id,
        decided,
    )
    return [dict(each) for each in rows]


async def order(cycle: OpenCycle, actor: Actor, tie: dict[str, Any], *units: str, **more: Any) -> UUID:
    """Order a group, best first."""
    ids = {unit: each["id"] for unit, each in (await standings(cycle, tie["run_id"])).items()}
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await order_tie(
            tx,
            actor,
            **{
                "tie_group_id": encode_id("TieGroup", tie["id"]),
                "version": tie["version"],
                "standing_ids": [encode_id("Standing", ids[unit]) for unit in units],
                "reason": "信访化解更好",
                **more,
            },
        )


async def adopt(cycle: OpenCycle, actor: Actor, run_id: UUID) -> None:
    """Let the cycle stand on a run."""
    await cycle.set_state("REVIEWING")
    (row,) = await cycle.sql("SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", cycle.id)
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await rankings.adopt_run(tx, actor, run_id=encode_id("RankingRun", run_id), version=row["version"])


async def publish(cycle: OpenCycle, actor: Actor, run_id: UUID, kind: str) -> None:
    """Publish a run."""
    (row,) = await cycle.sql("SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", cycle.id)
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        await publications.publish_run(
            tx, actor, run_id=encode_id("RankingRun", run_id), version=row["version"], kind=kind, title="通报"
        )


async def record(cycle: OpenCycle, actor: Actor, run_id: UUID, *named: tuple[str, str, str | None], **more: Any) -> Any:
    """Record decided grades of (unit, grade, reason)."""
    ids = {unit: each["id"] for unit, each in (await standings(cycle, run_id)).items()}
    async with cycle.db.transaction(cycle.tenant.id) as tx:
        return await record_grades(
            tx,
            actor,
            **{
                "run_id": encode_id("RankingRun", run_id),
                "body": "区委常委会",
                "decided_on": "2026-06-30",
                "document_title": "会议纪要",
                "grades": [GradeSpec(encode_id("Standing", ids[unit]), code, reason) for unit, code, reason in named],
                **more,
            },
        )


PLAIN = {"a1": "90", "a2": "85", "a3": "80", "a4": "75", "b1": "70", "b2": "55"}
"""92, 88, 84, 80, 76 and 64."""

TIED = PLAIN | {"a3": "85"}
"""a2 and a3 are equal where the places of 优秀 run out."""


# --- places


async def test_places_pass_down_and_are_never_filled_below_the_threshold(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN)
    run_id = await run(cycle, organiser)
    assert await grades(cycle, run_id) == {"a1": "A", "a2": "A", "a3": "B", "a4": "B", "b1": "B", "b2": "C"}
    (row,) = await cycle.sql("SELECT quotas FROM ranking_runs WHERE tenant_id = $1 AND id = $2", run_id)
    assert '"base": 6' in row["quotas"]
    assert '"places": 2' in row["quotas"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("STRICT", {"a1": "A", "a2": "B", "a3": "B"}),
        ("INCLUSIVE", {"a1": "A", "a2": "A", "a3": "A"}),
        ("DECISION", {"a1": "A", "a2": "B", "a3": "B"}),
    ],
)
async def test_ties_at_the_edge(db: Database, tenant: District, policy: str, expected: dict[str, str]) -> None:
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy=policy)
    run_id = await run(cycle, organiser)
    found = await grades(cycle, run_id)
    assert {unit: found[unit] for unit in expected} == expected
    waiting = await ties(cycle, run_id)
    if policy == "DECISION":
        (tie,) = waiting
        assert (tie["grade"], tie["places_left"], tie["units"]) == ("A", 1, ["a2", "a3"])
        assert (tie["category_id"], tie["parent_id"]) == (cycle.categories["community"], None)
    else:
        assert waiting == []


async def test_what_named_indicators_leave_equal_waits_for_a_person(db: Database, tenant: District) -> None:
    """a2 lost 2 points by a breach and made them up: D tells it from a3. a4, b1 and b2 are equal in D too."""
    values = {"a1": "90", "a2": "87.5", "a3": "85", "a4": "75", "b1": "75", "b2": "75"}
    cycle, organiser = await graded(
        db,
        tenant,
        values,
        tiePolicy="TIE_BREAK",
        tieBreakers=["D"],
        grades=[GRADES[0], GRADES[1] | {"share": "0.4"}, GRADES[2]],
    )
    await confirmed(cycle, spec(cycle, "a2", "D"))
    run_id = await run(cycle, organiser)
    found = await standings(cycle, run_id)
    assert (found["a2"]["total"], found["a3"]["total"]) == (88, 88)
    assert (found["a3"]["rank"], found["a2"]["rank"]) == (2, 3), "D decides, in the ranks too"
    assert (await grades(cycle, run_id))["a3"] == "A"
    (tie,) = await ties(cycle, run_id)
    assert (tie["grade"], tie["units"], tie["places_left"]) == ("B", ["a4", "b1", "b2"], 1)


async def test_a_person_orders_equals_once_with_a_reason(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy="DECISION")
    run_id = await run(cycle, organiser)
    (tie,) = await ties(cycle, run_id)
    for units in (["a2"], ["a2", "a2"], ["a2", "a3", "a1"]):
        with pytest.raises(Invalid):
            await order(cycle, organiser, tie, *units)
    with pytest.raises(Invalid):
        await order(cycle, organiser, tie, "a3", "a2", reason=" ")
    with pytest.raises(VersionConflict):
        await order(cycle, organiser, tie, "a3", "a2", version=7)
    await order(cycle, organiser, tie, "a3", "a2")
    assert await grades(cycle, run_id) == {"a1": "A", "a2": "B", "a3": "A", "a4": "B", "b1": "B", "b2": "C"}
    assert await ties(cycle, run_id) == []
    (done,) = await ties(cycle, run_id, decided=True)
    assert (done["reason"], done["decided_by_id"], done["version"]) == ("信访化解更好", organiser.id, 2)
    with pytest.raises(IllegalState):
        await order(cycle, organiser, done, "a2", "a3")


async def test_explanations_follow_the_order(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy="DECISION")
    run_id = await run(cycle, organiser)
    standing = (await standings(cycle, run_id))["a3"]["id"]

    async def told() -> list[str]:
        async with db.transaction(tenant.id, read_only=True) as tx:
            steps = (await explanations(tx, [standing]))[standing].steps
        return [step.text.zh for step in steps if step.key in ("grade", "pending")]

    waiting = await told()
    assert waiting[0] == "测算等次：良好"
    assert "须由人排定先后" in waiting[-1]
    (tie,) = await ties(cycle, run_id)
    await order(cycle, organiser, tie, "a3", "a2")
    assert await told() == ["测算等次：优秀"]


async def test_who_loses_one_tie_may_stand_in_the_next(db: Database, tenant: District) -> None:
    """One place of 优秀 and one of 良好 among three equals: two orders, and the second keeps to the first."""
    few = [grade("A", "优秀", "80", "0.17"), grade("B", "良好", "70", "0.17"), grade("C", "一般")]
    values = {"a1": "85", "a2": "85", "a3": "85", "a4": "75", "b1": "60", "b2": "55"}
    cycle, organiser = await graded(db, tenant, values, tiePolicy="DECISION", grades=few)
    run_id = await run(cycle, organiser)
    (first,) = await ties(cycle, run_id)
    assert (first["grade"], first["units"]) == ("A", ["a1", "a2", "a3"])
    await order(cycle, organiser, first, "a2", "a3", "a1")
    assert await ties(cycle, run_id) == [], "one order says who is next, too"
    found = await grades(cycle, run_id)
    assert {unit: found[unit] for unit in ("a1", "a2", "a3", "a4")} == {"a1": "C", "a2": "A", "a3": "B", "a4": "C"}


async def test_a_tie_that_comes_up_later_is_ordered_later(db: Database, tenant: District) -> None:
    """a4 has a breach, and so can't be 优秀; it is among the equals of 良好, with who lost the first tie."""
    no_breach = [{"kind": "NO_EVENT", "indicator": "D"}]
    few = [
        grade("A", "优秀", "80", "0.17", conditions=no_breach),
        grade("B", "良好", "70", "0.17"),
        grade("C", "一般"),
    ]
    values = {"a1": "85", "a2": "85", "a3": "60", "a4": "87.5", "b1": "60", "b2": "55"}
    cycle, organiser = await graded(db, tenant, values, tiePolicy="DECISION", grades=few)
    await confirmed(cycle, spec(cycle, "a4", "D"))
    run_id = await run(cycle, organiser)
    (first,) = await ties(cycle, run_id)
    assert (first["grade"], first["units"]) == ("A", ["a1", "a2"])
    await order(cycle, organiser, first, "a2", "a1")
    (second,) = await ties(cycle, run_id)
    assert (second["grade"], second["units"]) == ("B", ["a1", "a4"])
    assert (await grades(cycle, run_id))["a2"] == "A"
    await order(cycle, organiser, second, "a4", "a1")
    found = await grades(cycle, run_id)
    assert {unit: found[unit] for unit in ("a1", "a2", "a4")} == {"a1": "C", "a2": "A", "a4": "B"}
    assert await ties(cycle, run_id) == []


async def test_places_stay_those_of_a_category_whose_code_changes_while_they_are_reckoned(
    db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [grade("A", "优秀", "80", "0.17"), grade("B", "良好", "70", "0.17"), grade("C", "一般")]
    few[0]["conditions"] = [{"kind": "NO_EVENT", "indicator": "D"}]
    values = {"a1": "85", "a2": "85", "a3": "60", "a4": "87.5", "b1": "60", "b2": "55"}
    cycle, organiser = await graded(db, tenant, values, tiePolicy="DECISION", grades=few)
    await confirmed(cycle, spec(cycle, "a4", "D"))
    category = cycle.categories["community"]
    load = snapshot.load

    async def load_and_have_the_code_changed(*given: Any) -> Any:
        found = await load(*given)
        # In a context of its own, as that of another process is.
        await asyncio.create_task(edit(), context=contextvars.Context())
        return found

    async def edit() -> None:
        async with db.transaction(tenant.id) as tx:
            await directory.edit_category(
                tx, system_actor(tenant.id), category_id=encode_id("Category", category), version=1, code="other"
            )

    monkeypatch.setattr(snapshot, "load", load_and_have_the_code_changed)
    run_id = await run(cycle, organiser)

    async def groups() -> list[str]:
        (row,) = await cycle.sql("SELECT quotas FROM ranking_runs WHERE tenant_id = $1 AND id = $2", run_id)
        return sorted({str(quota["group"]) for quota in orjson.loads(row["quotas"])})

    both = sorted([str(category), str(cycle.categories["village"])])
    assert await groups() == both
    (first,) = await ties(cycle, run_id)
    assert first["category_id"] == category
    await order(cycle, organiser, first, "a2", "a1")
    assert await groups() == both
    (second,) = await ties(cycle, run_id)
    assert second["category_id"] == category


async def test_places_per_parent_and_for_all(db: Database, tenant: District) -> None:
    scoped = [
        grade("A", "优秀", "80", "0.25", scope="ALL"),
        grade("B", "良好", "0", "0.5", scope="PARENT", minimumPlaces=1),
        grade("C", "一般"),
    ]
    cycle, organiser = await graded(db, tenant, PLAIN | {"v1": "100"}, grades=scoped)
    run_id = await run(cycle, organiser)
    assert await grades(cycle, run_id) == {"a1": "B", "a2": "B", "a3": "C", "a4": "C", "b1": "B", "b2": "C"}
    (row,) = await cycle.sql("SELECT quotas FROM ranking_runs WHERE tenant_id = $1 AND id = $2", run_id)
    assert str(cycle.members["t1"]) in row["quotas"]


# --- vetoes and conditions


async def test_what_vetoes_do_to_grades(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN)
    await confirmed(
        cycle, spec(cycle, "a1", "N"), spec(cycle, "a2", "O"), spec(cycle, "a4", "L"), spec(cycle, "b1", "U")
    )
    run_id = await run(cycle, organiser)
    assert await grades(cycle, run_id) == {
        "a1": "B",  # never the best grade
        "a2": "B",  # one down from 优秀, whose place it does not take
        "a3": "A",
        "a4": "C",  # the lowest
        "b1": None,
        "b2": "C",
    }


async def test_the_grade_of_the_last_cycle_may_be_asked_for(db: Database, tenant: District) -> None:
    asking = [
        grade("A", "优秀", "80", "0.5", conditions=[{"kind": "PREVIOUS_GRADE", "gradeCode": "B"}]),
        grade("B", "良好", "70"),
        grade("C", "一般"),
    ]
    cycle, organiser = await graded(db, tenant, PLAIN, grades=asking, skipNotice=True)
    first = await run(cycle, organiser)
    assert set((await grades(cycle, first)).values()) == {"B", "C"}, "nobody has a grade yet"
    await adopt(cycle, organiser, first)
    await record(cycle, organiser, first, ("a2", "C", "年中被约谈"))
    await publish(cycle, organiser, first, "FINAL")
    later = await next_cycle(db, tenant, organiser, encode_id("SchemeVersion", cycle.version_id), "2026b")
    await give(later, **PLAIN)
    second = await run(later, organiser)
    found = await grades(later, second)
    assert (found["a1"], found["a2"], found["a3"]) == ("A", "B", "A"), "what was decided holds, not what was computed"
    changes = {unit: each["previous_grade"] for unit, each in (await standings(later, second)).items()}
    assert (changes["a1"], changes["a2"], changes["b2"]) == ("良好", "一般", "一般")


async def test_the_previous_board_is_the_newest_that_a_unit_stood_on_and_of_no_later_cycle(
    db: Database, tenant: District
) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN, skipNotice=True)

    async def published(of: OpenCycle) -> UUID:
        run_id = await run(of, organiser)
        await adopt(of, organiser, run_id)
        await record(of, organiser, run_id)
        await publish(of, organiser, run_id, "FINAL")
        (row,) = await of.sql("SELECT id FROM publications WHERE tenant_id = $1 AND run_id = $2", run_id)
        key: UUID = row["id"]
        return key

    async def another(code: str, units: Collection[str], **more: str) -> OpenCycle:
        made = await next_cycle(db, tenant, organiser, encode_id("SchemeVersion", cycle.version_id), code, **more)
        await give(made, **{unit: value for unit, value in PLAIN.items() if unit in units})
        return made

    of_all = await published(cycle)
    of_b = await published(await another("2026b", {"b1", "b2"}, under_id=encode_id("OrgUnit", cycle.units["t2"])))
    await published(await another("2026c", PLAIN, starts_on="2026-07-01"))
    last = await another("2026d", PLAIN)
    found = await standings(last, await run(last, organiser))
    before = {unit: each["previous_publication_id"] for unit, each in found.items()}
    assert before == dict.fromkeys(before, of_all) | dict.fromkeys(("b1", "b2", "v1"), of_b)
    async with db.transaction(tenant.id) as tx:
        grades_before = await previous_grades(tx, last.id)
    assert {unit: grades_before[last.units[unit]] for unit in PLAIN} == {
        "a1": "A",
        "a2": "A",
        "a3": "B",
        "a4": "B",
        "b1": "B",
        "b2": "C",
    }


async def test_shares_of_a_nodes_marks_and_yes_no_items_may_be_asked_for(db: Database, tenant: District) -> None:
    """a1 says no; a4 has 75 % of the marks of X."""
    asking = [
        grade(
            "A",
            "优秀",
            "80",
            conditions=[
                {"kind": "ITEM_TRUE", "dataItem": "y"},
                {"kind": "NODE_SHARE", "indicator": "X", "minimumShare": "0.8"},
            ],
        ),
        grade("B", "一般"),
    ]
    cycle, organiser = await graded(db, tenant, PLAIN, grades=asking)
    await give(cycle, leaf="Y", a1="0", a2="1", a3="1", a4="1")
    found = await grades(cycle, await run(cycle, organiser))
    assert found == {"a1": "B", "a2": "A", "a3": "A", "a4": "B", "b1": "B", "b2": "B"}


async def test_grades_travel_in_scheme_files(db: Database, tenant: District) -> None:
    asking = [grade("A", "优秀", "80", "0.4", conditions=[{"kind": "ITEM_TRUE", "dataItem": "y"}]), grade("B", "一般")]
    cycle, organiser = await graded(db, tenant, PLAIN, grades=asking, tiePolicy="DECISION", bodyDecides=False)
    async with db.transaction(tenant.id) as tx:
        text = await schemes.scheme_file(tx, cycle.version_id)
        document = orjson.loads(text) | {"code": "again"}
        key = await schemes.import_scheme(tx, organiser, document=orjson.dumps(document).decode())
        rows = await tx.fetch(
            "SELECT settings FROM scheme_versions WHERE tenant_id = $1 AND id = ANY ($2::uuid[])",
            tenant.id,
            [cycle.version_id, key],
        )
    first, second = (orjson.loads(row["settings"]) for row in rows)
    assert first == second
    assert document["settings"]["grades"][0]["conditions"][0]["dataItem"] == "y"


# --- publication


async def test_a_notice_waits_for_the_order_of_equals(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy="DECISION")
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    with pytest.raises(IllegalState, match="1 group"):
        await publish(cycle, organiser, run_id, "NOTICE")
    with pytest.raises(IllegalState, match="not been ordered"):
        await record(cycle, organiser, run_id)
    await publish(cycle, organiser, run_id, "FEEDBACK")
    (tie,) = await ties(cycle, run_id)
    await order(cycle, organiser, tie, "a2", "a3")
    await publish(cycle, organiser, run_id, "NOTICE")


async def test_a_final_board_waits_for_the_record(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN)
    run_id = await run(cycle, organiser)
    with pytest.raises(IllegalState, match="adopted"):
        await record(cycle, organiser, run_id)
    await adopt(cycle, organiser, run_id)
    await publish(cycle, organiser, run_id, "NOTICE")
    with pytest.raises(IllegalState, match="has not settled"):
        await publish(cycle, organiser, run_id, "FINAL")
    _, differing = await record(cycle, organiser, run_id, ("a2", "B", "群众反映强烈"), ("a1", "A", None))
    assert differing == [(await standings(cycle, run_id))["a2"]["id"]]
    await publish(cycle, organiser, run_id, "FINAL")
    with pytest.raises(IllegalState):
        await record(cycle, organiser, run_id)
    (row,) = await cycle.sql("SELECT bundle FROM publications WHERE tenant_id = $1 AND kind = 'FINAL'")
    assert '"grade":"B"' in row["bundle"]


async def test_what_is_recorded_as_proposed_is_what_the_order_of_equals_left(
    db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an order that comes between the looks at grades and at ties a record would know that it is done alone."""
    cycle, organiser = await graded(db, tenant, TIED, tiePolicy="DECISION")
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    (tie,) = await ties(cycle, run_id)
    refuse_early = grading._refuse_early
    ordering: list[asyncio.Task[UUID]] = []

    async def refuse_early_after_an_order(*given: Any) -> None:
        # In a context of its own, as that of another process is. It ends before, or waits for the record.
        ordering.append(asyncio.create_task(order(cycle, organiser, tie, "a3", "a2"), context=contextvars.Context()))
        await asyncio.wait(ordering, timeout=1)
        await refuse_early(*given)

    monkeypatch.setattr(grading, "_refuse_early", refuse_early_after_an_order)
    with pytest.raises(IllegalState):
        await record(cycle, organiser, run_id)
    await asyncio.gather(*ordering)
    monkeypatch.undo()
    await record(cycle, organiser, run_id)
    rows = await cycle.sql(
        """SELECT cu.code, dg.grade FROM decided_grades dg
           JOIN standings st ON st.tenant_id = dg.tenant_id AND st.id = dg.standing_id
           JOIN cycle_units cu ON cu.tenant_id = st.tenant_id AND cu.id = st.cycle_unit_id
           WHERE dg.tenant_id = $1 AND st.run_id = $2 AND cu.code IN ('a2', 'a3')""",
        run_id,
    )
    assert {each["code"]: each["grade"] for each in rows} == {"a2": "B", "a3": "A"}


async def test_no_body_no_record(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN, bodyDecides=False, skipNotice=True)
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    await publish(cycle, organiser, run_id, "FINAL")


async def test_a_record_must_be_whole_and_say_why(db: Database, tenant: District) -> None:
    cycle, organiser = await graded(db, tenant, PLAIN)
    run_id = await run(cycle, organiser)
    await adopt(cycle, organiser, run_id)
    with pytest.raises(Invalid) as refused:
        await record(
            cycle, organiser, run_id, ("a1", "B", None), ("a2", "Z", "错"), decided_on="2199-01-01", as_proposed=False
        )
    assert {"/".join(issue.path[1:]) for issue in refused.value.issues} == {
        "grades/0/reason",
        "grades/1/gradeCode",
        "decidedOn",
        "grades",
    }
    with pytest.raises(Invalid):
        await record(cycle, organiser, run_id, ("a1", "A", None), ("a1", "A", None))
    with pytest.raises(NotFound):
        await record(cycle, organiser, run_id, grades=[GradeSpec(encode_id("Standing", cycle.id), "A")])
    await record(cycle, organiser, run_id)
    await record(cycle, organiser, run_id, ("a1", "B", "复议"))
    rows = await cycle.sql(
        "SELECT number FROM grade_records WHERE tenant_id = $1 AND run_id = $2 ORDER BY number", run_id
    )
    assert [each["number"] for each in rows] == [1, 2]
