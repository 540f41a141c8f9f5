"""Make the demo district (建区): categories, units, accounts, data items, the scheme, and its cycles opened.

Each step reads what exists and adds only what is missing.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from service.demo import documents
from service.demo.client import Api, few_at_once
from service.demo.district import PASSWORD, Account, Unit
from service.demo.library import Json, item_input, row_input
from service.demo.session import DemoError, Round, Session
from service.scoring.text import Text

PENALTY_PER_DAY, PENALTY_CAP = "0.2", "1"
"""Points for each day late, and at most (逾期扣分)."""

LEAST_COVERAGE = "0.75"
"""Coverage under which a unit is shown without a rank: one that reported nothing itself stays below it."""

OPENED_DAYS_AGO = 20
GRACE_DAYS = 5
REVIEW_DAYS = 10
OBJECTION_WORKING_DAYS = 5

SETTINGS: Json = {
    "missingPolicy": "ZERO",
    "notApplicablePolicy": "PARENT",
    "coverageThreshold": LEAST_COVERAGE,
    "roundingPlaces": 2,
    "rankOn": "ROUNDED",
    "tiePolicy": "STRICT",
    "crossCategoryRanks": True,
    "latePenalty": {"pointsPerDay": PENALTY_PER_DAY, "cap": PENALTY_CAP},
    "reviewLevels": [{"route": "TERRITORIAL", "unitKind": "COMMITTEE"}],
    "objectionWorkingDays": OBJECTION_WORKING_DAYS,
    "disclosures": [
        {"kind": kind, "totals": "ALL", "ranks": "ALL", "dimensions": "ALL"} for kind in ("NOTICE", "FINAL")
    ],
}


async def prepare(session: Session, administrator_token: Callable[[], Awaitable[str]]) -> None:
    """All that must be there before units can report. `administrator_token` serves until an account does."""
    administrator = await session.caller_if_any("guanli") or session.api.signed_in(await administrator_token())
    await session.read_today(administrator)
    await _categories(session, administrator)
    await _units(session, administrator)
    await _accounts(session, administrator)
    organiser = await session.organiser()
    await _items(session, organiser)
    version = await _scheme(session, organiser)
    for round_ in session.rounds:
        await _cycle(session, organiser, round_, version)
    data = await organiser.query(documents.INDICATORS, id=version)
    session.indicators = {node["code"]: node["id"] for node in data["schemeVersion"]["indicators"]}


async def _categories(session: Session, administrator: Api) -> None:
    with session.printer.step(Text("建立考核类别", "Categories")) as step:
        data = await administrator.query(documents.CATEGORIES)
        session.categories = {node["code"]: node["id"] for node in data["categories"]}
        for category in session.scheme.categories:
            if category.code not in session.categories:
                made = await administrator.mutate(
                    "createCategory", "category { id }", code=category.code, name=category.name
                )
                session.categories[category.code] = made["category"]["id"]
        step.note = "、".join(category.name for category in session.scheme.categories)


async def _units(session: Session, administrator: Api) -> None:
    district = session.district
    with session.printer.step(Text("导入单位树", "Import the units")) as step:
        rows = [_unit_row(unit) for unit in district.all_units()]
        done = await administrator.mutate("importOrgUnits", "created updated unchanged", units=rows)
        nodes = await administrator.nodes(documents.UNITS, "orgUnits")
        session.units = {node["code"]: node["id"] for node in nodes}
        units, towns, offices = len(district.units), len(district.towns), len(district.departments)
        step.note = session.printer.say(
            Text(
                f"{units}个参评单位、{towns}个街镇、{offices}个责任单位，新增{done['created']}个",
                f"{units} assessed units, {towns} towns, {offices} departments; {done['created']} new",
            )
        )


def _unit_row(unit: Unit) -> Json:
    row: Json = {"code": unit.code, "name": unit.name, "kind": unit.kind}
    if unit.parent is not None:
        row["parentCode"] = unit.parent
    if unit.category is not None:
        row["categoryCode"] = unit.category
    if unit.members is not None:
        row["memberCount"] = unit.members
    return row


async def _accounts(session: Session, administrator: Api) -> None:
    accounts = session.district.accounts
    with session.printer.step(Text("开通账号并授权", "Accounts and grants")) as step:
        known = {node["signInName"] for node in await administrator.nodes(documents.MEMBERS, "members")}

        async def create(account: Account) -> None:
            await administrator.mutate(
                "createMember",
                "member { id }",
                displayName=account.display_name,
                signInName=account.name,
                password=PASSWORD,
                language="ZH_CN",
                grants=[{"role": account.role, "unitId": session.units[account.unit]}],
            )

        await few_at_once(create, [account for account in accounts if account.name not in known])
        step.note = session.printer.say(Text(f"{len(accounts)}个账号", f"{len(accounts)} accounts"))


async def _items(session: Session, organiser: Api) -> None:
    items = session.scheme.items
    with session.printer.step(Text("建立数据项", "Data items")) as step:
        nodes = await organiser.nodes(documents.ITEMS, "dataItems")
        session.items = {node["code"]: node["id"] for node in nodes}
        missing = [item for item in items.values() if item.code not in session.items]
        if missing:
            inputs = [item_input(item, departments=session.units) for item in missing]
            made = await organiser.mutate("createDataItems", "dataItems { id code }", dataItems=inputs)
            session.items |= {node["code"]: node["id"] for node in made["dataItems"]}
        own = sum(1 for item in items.values() if item.responsible is None)
        rest = len(items) - own
        step.note = session.printer.say(
            Text(f"单位填报{own}项，责任单位填报{rest}项", f"{own} from the units, {rest} from departments")
        )


async def _scheme(session: Session, organiser: Api) -> str:
    """The id of the frozen version."""
    scheme = session.scheme
    schemes = {node["code"]: node for node in await organiser.nodes(documents.SCHEMES, "schemes")}
    versions = schemes[scheme.code]["versions"] if scheme.code in schemes else []
    for version in versions:
        if version["state"] == "FROZEN":
            return str(version["id"])
    with session.printer.step(Text("编制考核方案", "Write the scheme")) as step:
        if versions:
            draft = versions[0]
        else:
            made = await organiser.mutate(
                "createScheme",
                "schemeVersion { id version }",
                code=scheme.code,
                name=scheme.name,
                weighting="POINTS",
                fullMarks=str(scheme.full_marks),
                categoryIds=[session.categories[category.code] for category in scheme.categories],
            )
            draft = made["schemeVersion"]
        edited = await organiser.mutate(
            "editSchemeVersion",
            "schemeVersion { id version }",
            schemeVersionId=draft["id"],
            version=draft["version"],
            label=f"{session.period.ends_on.year}年版",
            settings=SETTINGS,
        )
        await organiser.mutate(
            "replaceIndicators",
            "schemeVersion { id version }",
            schemeVersionId=draft["id"],
            version=edited["schemeVersion"]["version"],
            indicators=[
                row_input(node, items=session.items, departments=session.units, categories=session.categories)
                for node in scheme.nodes
            ],
        )
        leaves = {category.name: len(scheme.leaves(category.code)) for category in scheme.categories}
        step.note = session.printer.say(
            Text(
                "三级指标：" + "、".join(f"{name}{count}项" for name, count in leaves.items()),
                "leaves: " + ", ".join(f"{name} {count}" for name, count in leaves.items()),
            )
        )
    await _freeze(session, organiser, str(draft["id"]))
    return str(draft["id"])


async def _freeze(session: Session, organiser: Api, version: str) -> None:
    """Check the draft as the organiser would, and freeze it. Raises DemoError with every fault."""
    say = session.printer.say
    with session.printer.step(Text("检查方案并定稿", "Check and freeze the scheme")) as step:
        data = await organiser.query(documents.VERSION_CHECK, id=version)
        checked: Json = data["schemeVersion"]
        lines = [
            f"{'.'.join(fault['path'] or [])}: {fault['message']}"
            for fault in checked["faults"]
            if fault["severity"] == "FAULT"
        ]
        lines += [
            f"{total['indicator']['code']} {total['category']['code']}: {total['actual']} ≠ {total['expected']}"
            for total in checked["sums"]
            if not total["balanced"]
        ]
        if lines:
            raise DemoError("\n".join([say(Text("方案检查未通过：", "The scheme has faults:")), *lines]))
        await organiser.mutate(
            "freezeSchemeVersion", "schemeVersion { id }", schemeVersionId=version, version=checked["version"]
        )
        step.note = say(
            Text(
                f"分值合计{len(checked['sums'])}处全部相符，提示{len(checked['faults'])}条",
                f"{len(checked['sums'])} sums of points are right, {len(checked['faults'])} warnings",
            )
        )


async def _cycle(session: Session, organiser: Api, round_: Round, version: str) -> None:
    """Prepare a round's cycle and open it."""
    period, days = session.period, timedelta(days=1)
    due = period.today + round_.due * days
    with session.printer.step(Text(f"启动{round_.title}", f"Open the cycle “{round_.key}”")) as step:
        if not round_.id:
            made = await organiser.mutate(
                "createCycle",
                "cycle { id version }",
                cycle={
                    "code": f"{round_.key}-{period.ends_on.year}",
                    "name": session.title(round_),
                    "kind": "YEAR",
                    "startsOn": period.starts_on.isoformat(),
                    "endsOn": period.ends_on.isoformat(),
                    "schemeVersionId": version,
                    "categoryIds": [session.categories[code] for code in round_.categories],
                    "opensOn": (period.today - OPENED_DAYS_AGO * days).isoformat(),
                    "dueOn": due.isoformat(),
                    "graceDays": GRACE_DAYS,
                    "reviewDueOn": (period.today + REVIEW_DAYS * days).isoformat(),
                },
            )
            round_.id = made["cycle"]["id"]
        cycle = await session.cycle(organiser, round_)
        if cycle["state"] == "DRAFT":
            job = cycle["openingJob"]
            if job is None or job["state"] not in {"QUEUED", "RUNNING"}:
                opened = await organiser.mutate(
                    "openCycle", "job { id state }", cycleId=round_.id, version=cycle["version"]
                )
                job = opened["job"]
            await session.wait_for_job(organiser, job["id"], step.tell)
            cycle = await session.cycle(organiser, round_)
        units, asked = len(round_.units(session.district)), cycle["stats"]["asked"]
        step.note = session.printer.say(
            Text(
                f"{units}个单位，应填{asked}项，截止{due.isoformat()}",
                f"{units} units, {asked} values asked, due {due.isoformat()}",
            )
        )
