"""Judge the reports of the demo (评分、审核): award marks; accept, return, adjust and reject leaves, in bulk."""

from collections import Counter, defaultdict
from datetime import timedelta

from service.demo.client import few_at_once
from service.demo.district import Slip, Unit
from service.demo.library import Json
from service.demo.reporting import submit
from service.demo.session import Session, content, entry, review
from service.scoring.text import Text

RETURN_DAYS = 3
"""Days that a unit gets to send a returned value again."""

CORRECTION = "按审核意见核对台账后更正"


async def judge(session: Session) -> None:
    """Assessors award, towns review, units correct what came back, towns review again."""
    printer, towns = session.printer, session.district.towns
    with printer.step(Text("转入审核", "Begin the review")):
        organiser = await session.organiser()
        for round_ in session.rounds:
            cycle = await session.cycle(organiser, round_)
            if cycle["state"] == "OPEN":
                await organiser.mutate("beginReview", "cycle { id }", cycleId=round_.id, version=cycle["version"])
    with printer.step(Text("责任单位评议赋分", "Departments award marks")) as step:
        awarded = await _award(session)
        step.note = printer.say(Text(f"{awarded}个单位", f"{awarded} units"))
    with printer.step(Text("街镇审核（批量）", "Towns review")) as step:
        counted: Counter[str] = Counter()
        for part in await few_at_once(lambda town: _review(session, town), towns):
            counted += part
        step.note = printer.say(
            Text(
                f"通过{counted['accept']}，退回{counted['return']}，核定{counted['adjust']}，"
                f"不予认定{counted['reject']}",
                f"{counted['accept']} accepted, {counted['return']} returned, {counted['adjust']} adjusted, "
                f"{counted['reject']} rejected",
            )
        )
    with printer.step(Text("单位更正后重新报送", "Units correct what came back")) as step:
        corrected = sum(await few_at_once(lambda town: _correct(session, town), towns))
        step.note = printer.say(Text(f"{corrected}个单位", f"{corrected} units"))
    with printer.step(Text("街镇复审", "Towns review again")) as step:
        again = sum(part.total() for part in await few_at_once(lambda town: _review(session, town), towns))
        step.note = printer.say(Text(f"通过{again}", f"{again} accepted"))


async def _award(session: Session) -> int:
    """Marks of every leaf that is awarded, all units in one call."""
    awards = session.district.awards
    responsible = {node.code: node.responsible for node in session.scheme.nodes}
    count = 0
    for leaf in sorted({code for _, code in awards}):
        assessor = await session.assessor(responsible[leaf])
        for round_ in session.rounds:
            found = await session.assessments(
                assessor, round_, indicatorIds=[session.indicators[leaf]], states=["READY"]
            )
            reviews = []
            for node in found:
                award = awards[node["unit"]["code"], leaf]
                given = {"marks": str(award.marks)} | ({"reason": award.reason} if award.reason else {})
                reviews.append(review(node, {"award": given}))
            await session.judge(assessor, reviews)
            count += len(reviews)
    return count


async def _review(session: Session, town: Unit) -> Counter[str]:
    """Judge all that waits in a town. What was judged before and sent again is accepted."""
    reviewer = await session.reviewer(town)
    slips = {(slip.unit, slip.leaf): slip for slip in session.district.slips}
    counted: Counter[str] = Counter()
    for round_ in session.rounds:
        found = await session.assessments(reviewer, round_, underId=session.units[town.code], states=["READY"])
        reviews = []
        for node in found:
            if not node["reviewable"]:
                continue
            slip = slips.get((node["unit"]["code"], node["indicator"]["code"]))
            again = bool(node["reviews"]["edges"])
            decision: Json = {"accept": {}} if slip is None or again else _decision(session, node, slip)
            counted[next(iter(decision))] += 1
            reviews.append(review(node, decision))
        await session.judge(reviewer, reviews)
    return counted


def _decision(session: Session, node: Json, slip: Slip) -> Json:
    """What the reviewer does about a wrong figure."""
    if slip.fate == "rejected":
        return {"reject": {"reason": slip.reason}}
    if slip.fate == "adjusted":
        tasks = {given["task"]["dataItem"]["code"]: given["task"]["id"] for given in node["inputs"]}
        right = session.district.values[slip.unit][slip.item]
        values = [{"taskId": tasks[slip.item], "content": content(right)}]
        return {"adjust": {"values": values, "reason": slip.reason}}
    until = session.period.today + timedelta(days=RETURN_DAYS)
    return {"return": {"reason": slip.reason, "until": {"date": until.isoformat()}}}


async def _correct(session: Session, town: Unit) -> int:
    """Units put right what was returned and send it again, but for those that let it lie."""
    secretary = await session.secretary(town)
    corrected = {slip.unit for slip in session.district.slips if slip.fate == "corrected"}
    count = 0
    for round_ in session.rounds:
        returned = await session.tasks(
            secretary, round_, underId=session.units[town.code], fillers=["UNIT"], states=["RETURNED"]
        )
        by_unit: dict[str, list[Json]] = defaultdict(list)
        for task in returned:
            if task["unit"]["code"] in corrected:
                by_unit[task["unit"]["code"]].append(task)
        if not by_unit:
            continue
        entries = [
            entry(task, session.district.values[unit][task["dataItem"]["code"]], reason=CORRECTION)
            for unit, tasks in by_unit.items()
            for task in tasks
        ]
        await session.save(secretary, entries)
        reports = await session.reports(secretary, round_, town)
        for unit, tasks in by_unit.items():
            await submit(secretary, reports[unit], [task["id"] for task in tasks])
        count += len(by_unit)
    return count
