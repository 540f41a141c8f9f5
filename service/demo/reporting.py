"""Fill the reports of the demo (填报、报送): secretaries for their units, departments for all units, in bulk calls."""

from service.demo.client import Api, few_at_once
from service.demo.district import Slip, Unit
from service.demo.library import Json
from service.demo.session import Round, Session, entry, parts
from service.scoring.text import Text

UNFINISHED = ["OPEN", "DRAFTED"]
"""States of a task that nobody has submitted."""


async def report(session: Session) -> None:
    """Secretaries save and submit their units' reports, departments fill and submit their items for all units."""
    printer, towns, departments = session.printer, session.district.towns, session.district.departments
    with printer.step(Text("填报员、审核员、评分员登录", "Secretaries, reviewers and assessors sign in")) as step:
        names = [
            *(a.name for a in session.district.accounts if a.unit in {unit.code for unit in (*towns, *departments)})
        ]
        await few_at_once(session.caller, names)
        step.note = printer.say(Text(f"{len(names)}个账号", f"{len(names)} accounts"))
    with printer.step(Text("各单位填报（批量保存）", "Units fill their reports")) as step:
        saved = sum(await few_at_once(lambda town: _fill(session, town), towns))
        step.note = printer.say(Text(f"保存{saved}项", f"{saved} values saved"))
    with printer.step(Text("各单位自评", "Units score themselves")) as step:
        scored = sum(await few_at_once(lambda town: _score(session, town), towns))
        step.note = printer.say(Text(f"{scored}个单位，自评分仅供参考", f"{scored} units; these scores never count"))
    with printer.step(Text("各单位报送", "Units submit their reports")) as step:
        sent = sum(await few_at_once(lambda town: _submit_all(session, town), towns))
        step.note = printer.say(Text(f"{sent}份填报表", f"{sent} reports"))
    with printer.step(Text("责任单位填报并报送", "Departments fill and submit their items")) as step:
        filled = sum(await few_at_once(lambda department: _fill_department(session, department), departments))
        step.note = printer.say(
            Text(f"{len(departments)}个责任单位，{filled}项", f"{len(departments)} departments, {filled} values")
        )


async def _fill(session: Session, town: Unit) -> int:
    """One call for all units of a town and a round: what their secretaries know, wrong figures included."""
    secretary = await session.secretary(town)
    slips = {(slip.unit, slip.item): slip for slip in session.district.slips}
    count = 0
    for round_ in session.rounds:
        tasks = await session.tasks(
            secretary, round_, underId=session.units[town.code], fillers=["UNIT"], states=UNFINISHED
        )
        entries = [written for task in tasks if (written := _written(session, task, slips)) is not None]
        await session.save(secretary, entries)
        count += len(entries)
    return count


def _written(session: Session, task: Json, slips: dict[tuple[str, str], Slip]) -> Json | None:
    """The entry of a task: the wrong figure of a slip, or the true one; None where it is missing."""
    place = (task["unit"]["code"], task["dataItem"]["code"])
    value = session.district.value(*place)
    if value is None:
        return None
    return entry(task, slips[place].wrong if place in slips else value)


async def _score(session: Session, town: Unit) -> int:
    """The units' own scores beside the leaves that are awarded (自评分)."""
    secretary = await session.secretary(town)
    leaves = [session.indicators[code] for code in sorted({leaf for _, leaf in session.district.awards})]
    count = 0
    for round_ in session.rounds:
        found = await session.assessments(
            secretary, round_, indicatorIds=leaves, underId=session.units[town.code], states=["READY"]
        )
        scores = [
            {
                "assessmentId": node["id"],
                "version": node["version"],
                "score": str(session.district.awards[node["unit"]["code"], node["indicator"]["code"]].self_score),
            }
            for node in found
            if node["selfScore"] is None
        ]
        if scores:
            await secretary.mutate("saveSelfScores", "assessments { id }", scores=scores)
        count += len(scores)
    return count


async def _submit_all(session: Session, town: Unit) -> int:
    secretary = await session.secretary(town)
    count = 0
    for round_ in session.rounds:
        reports = await session.reports(secretary, round_, town)
        drafted = [report for report in reports.values() if report["state"] == "DRAFTED"]
        await few_at_once(lambda report: submit(secretary, report), drafted)
        count += len(drafted)
    return count


async def submit(secretary: Api, report: Json, tasks: list[str] | None = None) -> None:
    """Submit a report, whole or only these tasks."""
    await secretary.mutate(
        "submitReport", "report { id }", reportId=report["id"], version=report["version"], taskIds=tasks
    )


async def _fill_department(session: Session, department: Unit) -> int:
    """One table of a department's items over all units, saved and submitted."""
    assessor = await session.assessor(department.code)
    return sum([await _fill_table(session, assessor, round_, department) for round_ in session.rounds])


async def _fill_table(session: Session, assessor: Api, round_: Round, department: Unit) -> int:
    tasks = await session.tasks(
        assessor,
        round_,
        responsibleUnitId=session.units[department.code],
        fillers=["RESPONSIBLE_UNIT"],
        states=UNFINISHED,
    )
    entries = [written for task in tasks if (written := _written(session, task, {})) is not None]
    saved = await session.save(assessor, entries)
    for part in parts(saved):
        versions = [{"id": row["id"], "version": row["version"]} for row in part]
        await assessor.mutate("submitEntries", "entries { id }", entries=versions)
    return len(entries)
