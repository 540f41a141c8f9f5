"""The demo district 春晖区, which does not exist: its units, accounts, figures, and what goes wrong in its cycle.

All of it follows from one seed. Units and accounts are organisations and functions; no person is named anywhere.
Figures are whole numbers drawn around a quality of each unit, never above what was planned, so that they pass every
check of the scheme. On purpose there are ties (并列), gaps (漏报), wrong figures that will be returned (退回) and
leaves that do not apply because nothing was due (不适用).
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from service.demo.library import Item, Library, Node, library

TENANT_CODE = "chunhui"
TENANT_NAME = "春晖区"
ROOT_CODE = "chunhui"
ROOT_NAME = "春晖区委"
TIME_ZONE = "Asia/Shanghai"

PASSWORD = "Chunhui-demo-district"  # noqa: S105 - the demo's accounts are open to whoever runs it
"""Of all accounts of the demo. Nothing else in the product has a password that is known."""

Value = Decimal | bool
"""A number, or the answer to a yes-no item."""

Fate = Literal["corrected", "unanswered", "adjusted", "rejected"]
"""What becomes of a wrong figure: sent again after its return, never sent again, set right by the reviewer, refused."""


@dataclass(frozen=True)
class Unit:
    """A unit of the tree. `category` is None where it is not assessed; `members` is a total."""

    code: str
    name: str
    kind: str
    parent: str | None
    category: str | None = None
    members: int | None = None


@dataclass(frozen=True)
class Account:
    """An account of the demo: an office or a function, with one role at one unit."""

    name: str
    display_name: str
    role: str
    unit: str


@dataclass(frozen=True)
class Slip:
    """A wrong figure in a report, what the reviewer finds, and what becomes of it."""

    unit: str
    leaf: str
    item: str
    wrong: Decimal
    fate: Fate
    reason: str


@dataclass(frozen=True)
class Award:
    """Marks that the organisation department gives, with the reason for what is missing, beside the unit's own."""

    marks: Decimal
    reason: str | None
    self_score: Decimal


@dataclass(frozen=True)
class District:
    """All that the cycle of the demo needs."""

    departments: tuple[Unit, ...]
    towns: tuple[Unit, ...]
    units: tuple[Unit, ...]
    accounts: tuple[Account, ...]
    values: Mapping[str, Mapping[str, Value]]
    gaps: frozenset[tuple[str, str]]
    slips: tuple[Slip, ...]
    awards: Mapping[tuple[str, str], Award]
    ties: tuple[tuple[str, ...], ...]

    def all_units(self) -> Iterator[Unit]:
        """Departments, towns and assessed units: what is imported below the root."""
        yield from self.departments
        yield from self.towns
        yield from self.units

    def value(self, unit: str, item: str) -> Value | None:
        """The true value of a unit's item, or None where it is missing."""
        return None if (unit, item) in self.gaps else self.values[unit].get(item)


@dataclass(frozen=True)
class Rate:
    """How `done` of `due` is drawn: the range of `due` for a community, how often (‰) nothing is due, and the share of
    it (‰) that the weakest and the strongest units reach."""

    due: str
    done: str
    low: int
    high: int
    never: int
    weakest: int
    strongest: int


RATES = (
    Rate("first_topic_planned", "first_topic_done", 12, 24, 0, 820, 1000),
    Rate("decision_tasks_due", "decision_tasks_on_time", 20, 60, 0, 860, 1000),
    Rate("rectify_due", "rectify_done", 3, 12, 250, 750, 1000),
    Rate("elections_due", "elections_on_time", 1, 4, 550, 750, 1000),
    Rate("three_meetings_required", "three_meetings_held", 40, 160, 0, 840, 1020),
    Rate("weak_orgs_listed", "weak_orgs_mended", 1, 2, 880, 400, 1000),
    Rate("orgs_should", "orgs_have", 18, 60, 0, 800, 1000),
    Rate("recruit_plan", "recruit_done", 2, 8, 120, 800, 1000),
    Rate("jobs_target", "jobs_done", 80, 400, 0, 820, 1000),
    Rate("edu_target", "edu_done", 6, 20, 0, 780, 1000),
    Rate("doctor_target", "doctor_done", 200, 1200, 0, 640, 900),
    Rate("childcare_target", "childcare_done", 10, 60, 300, 750, 1000),
    Rate("elderly_target", "elderly_done", 120, 900, 0, 880, 1000),
    Rate("housing_target", "housing_done", 2, 12, 250, 750, 1000),
    Rate("claimed_target", "claimed_done", 12, 60, 0, 780, 1000),
    Rate("livelihood_target", "livelihood_done", 4, 12, 0, 780, 1000),
    Rate("hotline_due", "hotline_on_time", 60, 600, 0, 910, 1000),
    Rate("joint_target", "joint_done", 8, 24, 0, 800, 1000),
    Rate("cobuild_target", "cobuild_done", 4, 12, 0, 780, 1000),
    Rate("consult_target", "consult_done", 8, 30, 0, 800, 1000),
    Rate("estates_total", "estates_with", 6, 20, 0, 720, 1000),
    Rate("volunteer_target", "volunteer_done", 4, 16, 0, 800, 1000),
    Rate("disputes_accepted", "disputes_settled", 20, 160, 0, 890, 1000),
    Rate("disputes_accepted", "disputes_on_time", 20, 160, 0, 920, 1000),
    Rate("staff_req_target", "staff_req_done", 8, 60, 100, 850, 1000),
    Rate("petition_target", "petition_done", 2, 20, 300, 850, 1000),
    Rate("grids", "grids_with_party", 8, 24, 0, 880, 1000),
    Rate("grid_events_due", "grid_events_on_time", 200, 2400, 0, 915, 1000),
    Rate("whistle_target", "whistle_done", 4, 30, 100, 820, 1000),
    Rate("linked_target", "linked_done", 6, 18, 0, 800, 1000),
    Rate("base_updates_due", "base_updates_on_time", 30, 200, 0, 900, 1000),
    Rate("legal_review_target", "legal_review_done", 4, 20, 100, 800, 1000),
    Rate("law_service_target", "law_service_done", 6, 18, 0, 820, 1000),
    Rate("drills_target", "drills_done", 2, 6, 0, 700, 1000),
    Rate("hazards_due", "hazards_fixed", 10, 80, 0, 910, 1000),
    Rate("alerts_sent", "alerts_on_time", 20, 90, 0, 880, 1000),
    Rate("ledger_cut_target", "ledger_cut_done", 4, 20, 100, 800, 1000),
    Rate("hotspot_target", "hotspot_done", 1, 4, 250, 700, 1000),
    Rate("verify_target", "verify_done", 40, 300, 0, 860, 1000),
)

COUNTS = {"ideology_problems": 1, "data_errors": 4, "escalations": 1, "burden_relapses": 2}
"""Faults that take points, and how many a weak unit has at most."""

ANSWERS = {
    "org_life_meeting_held": 960,
    "village_rules_done": 900,
    "affairs_published": 930,
    "internal_check_done": 930,
    "duty_list_run": 950,
}
"""Yes-no items, and how often (‰) the answer is yes."""

SCORES = {"satisfaction": (Decimal(76), Decimal(97))}
"""Survey scores, of the weakest and the strongest units."""

SIZES = {"community": 1000, "village": 550, "agency": 450, "newdomain": 350, "school": 500}
"""How much falls due in each category, in ‰ of a community."""

STREETS = (("LD", "柳堤"), ("TH", "听荷"), ("LT", "兰汀"))
COUNTRY_TOWNS = (("LP", "栗坡"), ("MT", "麦田"), ("LW", "芦湾"))

COMMUNITIES = {
    "LD": ["春晓", "柳岸", "晨曦", "桂香", "清泉", "梧桐", "锦绣", "紫藤", "和顺", "同心"],
    "TH": ["荷风", "听雨", "映月", "银杏", "海棠", "书香", "暖阳", "福源", "翠竹", "明德"],
    "LT": ["兰芷", "芳草", "丹枫", "朝霞", "杏林", "安澜", "星光", "长虹", "彩云", "友邻"],
    "LP": ["新集", "南苑"],
    "MT": ["东园", "集贤"],
    "LW": ["渡口", "平安"],
}
VILLAGES = {
    "LP": ["栗树湾", "松坡", "葛藤", "柿子沟", "桃坞", "茶坪", "竹篱", "瓦窑", "凉亭", "枣坡", "榆树坪"],
    "MT": ["麦浪", "双井", "古槐", "豆田", "梨花", "桑园", "石磨", "油坊", "杏花", "山泉", "橘园"],
    "LW": ["芦花", "稻香", "荷塘", "鹅塘", "水车", "渔家", "藕田", "白鹭滩", "青石桥", "杨柳坝", "菜园"],
}
NEW_DOMAIN_STREET = ("商圈联合", "楼宇联合", "快递外卖联合", "社会组织联合")
NEW_DOMAIN_TOWN = ("合作社联合", "产业园联合", "商贸物流联合", "社会组织联合")
SCHOOLS = (("中学", "党总支", "GENERAL_BRANCH"), ("小学", "党支部", "BRANCH"), ("中心幼儿园", "党支部", "BRANCH"))

FATES: dict[Fate, int] = {"corrected": 10, "unanswered": 2, "adjusted": 4, "rejected": 1}
"""How many wrong figures end in which way."""

AWARD_REASONS = (
    "支部活动记录不够完整，{lost}分",
    "活动阵地维护不到位，{lost}分",
    "组织生活计划与实际开展情况对应不全，{lost}分",
    "党务公开内容更新不及时，{lost}分",
)


def build(seed: int) -> District:
    """The whole district. The same seed gives the same figures on every machine and Python."""
    scheme = library()
    draw = random.Random(seed)  # noqa: S311 - figures of a demo, not secrets
    departments = tuple(Unit(d.code, d.name, "DEPARTMENT", None) for d in scheme.departments)
    towns = tuple(_towns())
    units = tuple(_assessed(draw))
    quality = _qualities(draw, units)
    values = {unit.code: _values(draw, scheme, unit, quality[unit.code]) for unit in units}
    awards = {
        (unit.code, leaf.code): _award(draw, leaf, quality[unit.code])
        for unit in units
        for leaf in scheme.leaves(unit.category or "")
        if leaf.kind == "award"
    }
    ties = _ties(draw, units)
    for first, *others in ties:
        for other in others:
            values[other] = dict(values[first])
            awards |= {(other, leaf): award for (unit, leaf), award in list(awards.items()) if unit == first}
    fixed = {code for group in ties for code in group}
    free = [unit for unit in units if unit.code not in fixed]
    silent = _one_of_each(draw, free, ("village", "newdomain"))
    free = [unit for unit in free if unit not in silent]
    gaps = _gaps(draw, scheme, free, silent)
    slips = tuple(_slips(draw, scheme, free, values, gaps))
    return District(
        departments=departments,
        towns=towns,
        units=units,
        accounts=tuple(_accounts(scheme, towns, units)),
        values=values,
        gaps=gaps,
        slips=slips,
        awards=awards,
        ties=ties,
    )


def short_town(name: str) -> str:
    """A town's name without the words for its committee: 柳堤街道党工委 is 柳堤街道."""
    return name.removesuffix("党工委").removesuffix("党委")


def _towns() -> Iterator[Unit]:
    for code, name in STREETS:
        yield Unit(code, f"{name}街道党工委", "COMMITTEE", None)
    for code, name in COUNTRY_TOWNS:
        yield Unit(code, f"{name}镇党委", "COMMITTEE", None)


def _assessed(draw: random.Random) -> Iterator[Unit]:
    streets = {code for code, _ in STREETS}
    for town, place in STREETS + COUNTRY_TOWNS:
        street = town in streets
        for number, name in enumerate(COMMUNITIES[town], 1):
            kind, word = ("COMMITTEE", "党委") if number % 3 == 1 else ("GENERAL_BRANCH", "党总支")
            yield Unit(f"{town}-C{number:02}", f"{name}社区{word}", kind, town, "community", draw.randint(90, 320))
        for number, name in enumerate(VILLAGES.get(town, []), 1):
            kind, word = ("GENERAL_BRANCH", "党总支") if number % 4 == 1 else ("BRANCH", "党支部")
            yield Unit(f"{town}-V{number:02}", f"{name}村{word}", kind, town, "village", draw.randint(35, 110))
        seat = f"{place}{'街道' if street else '镇'}"
        offices = (
            f"{seat}机关",
            f"{place}综合执法队",
            f"{place}便民服务中心",
            f"{place}{'社区卫生中心' if street else '卫生院'}",
        )
        for number, name in enumerate(offices, 1):
            yield Unit(f"{town}-A{number:02}", f"{name}党支部", "BRANCH", town, "agency", draw.randint(8, 46))
        for number, name in enumerate(NEW_DOMAIN_STREET if street else NEW_DOMAIN_TOWN, 1):
            yield Unit(f"{town}-N{number:02}", f"{place}{name}党支部", "BRANCH", town, "newdomain", draw.randint(6, 30))
        for number, (name, word, kind) in enumerate(SCHOOLS, 1):
            yield Unit(f"{town}-S{number:02}", f"{place}{name}{word}", kind, town, "school", draw.randint(9, 60))


def _qualities(draw: random.Random, units: tuple[Unit, ...]) -> dict[str, int]:
    """How good each unit is, 0 to 1000, most in the upper middle; units of one town are a little alike."""
    towns = {town: draw.randint(-60, 60) for town in dict.fromkeys(unit.parent for unit in units)}
    drawn: dict[str, int] = {}
    for unit in units:
        middle = (draw.randint(120, 960) + draw.randint(120, 960)) // 2
        drawn[unit.code] = _within(middle + towns[unit.parent])
    return drawn


def _values(draw: random.Random, scheme: Library, unit: Unit, quality: int) -> dict[str, Value]:
    category = unit.category or ""
    asked = {item.code: item for item in scheme.items_of(category)}
    size = SIZES[category] * draw.randint(750, 1250) // 1000
    values: dict[str, Value] = {}
    for rate in RATES:
        if rate.due not in asked or rate.done not in asked:
            continue
        if rate.due not in values:
            due = max(1, draw.randint(rate.low, rate.high) * size // 1000)
            nothing = draw.randrange(1000) < rate.never
            values[rate.due] = Decimal(0 if nothing else _bounded(asked[rate.due], due))
        due = int(values[rate.due])
        share = rate.weakest + (rate.strongest - rate.weakest) * _ability(draw, quality) // 1000
        values[rate.done] = Decimal(min(due, (due * share + 500) // 1000))
    for code, most in COUNTS.items():
        if code in asked:
            weak = draw.randrange(1000) > 300 + _ability(draw, quality) * 7 // 10
            values[code] = Decimal(draw.randint(1, most) if weak else 0)
    for code, often in ANSWERS.items():
        if code in asked:
            values[code] = draw.randrange(1000) < often
    for code, (weakest, strongest) in SCORES.items():
        if code in asked:
            score = weakest + (strongest - weakest) * _ability(draw, quality) / 1000
            values[code] = score.quantize(Decimal("0.01"))
    return values


def _award(draw: random.Random, leaf: Node, quality: int) -> Award:
    """Marks in tenths; below full marks a reason that names what was lost. The own score is a little higher."""
    full = int(leaf.points * 10)
    marks = min(full, full * (600 + _ability(draw, quality) * 45 // 100) // 1000)
    lost = Decimal(full - marks) / 10
    reason = draw.choice(AWARD_REASONS).format(lost=f"扣{lost}") if lost else None
    return Award(Decimal(marks) / 10, reason, Decimal(min(full, marks + draw.randint(0, 3))) / 10)


def _ties(draw: random.Random, units: tuple[Unit, ...]) -> tuple[tuple[str, ...], ...]:
    """Groups of units with the same figures throughout."""
    groups = []
    for category, count in (("community", 2), ("village", 3), ("school", 2)):
        codes = [unit.code for unit in units if unit.category == category]
        groups.append(tuple(sorted(draw.sample(codes, count))))
    return tuple(groups)


def _gaps(draw: random.Random, scheme: Library, free: list[Unit], silent: list[Unit]) -> frozenset[tuple[str, str]]:
    """What is never filled: all of two silent units' own items, single leaves of others, some of the departments'."""
    gaps: set[tuple[str, str]] = set()
    for unit in silent:
        items = scheme.items_of(unit.category or "")
        gaps |= {(unit.code, item.code) for item in items if item.responsible is None}
    for unit in draw.sample(free, 9):
        own = [leaf for leaf in scheme.leaves(unit.category or "") if _reported(scheme, leaf)]
        for leaf in draw.sample(own, draw.randint(1, 2)):
            gaps |= {(unit.code, item) for item in leaf.items}
    # Too few answers came back from these, so that the survey's score is not counted.
    gaps |= {(unit.code, "satisfaction") for unit in draw.sample([u for u in free if u.category == "newdomain"], 3)}
    return frozenset(gaps)


def _slips(
    draw: random.Random,
    scheme: Library,
    free: list[Unit],
    values: Mapping[str, Mapping[str, Value]],
    gaps: frozenset[tuple[str, str]],
) -> Iterator[Slip]:
    """One wrong figure each in the reports of some units: more is claimed than the records show."""
    fates: list[Fate] = [fate for fate, count in FATES.items() for _ in range(count)]
    candidates = draw.sample(free, len(free))
    for unit in candidates:
        if not fates:
            return
        leaves = [leaf for leaf in scheme.leaves(unit.category or "") if _reported(scheme, leaf)]
        for leaf in draw.sample(leaves, len(leaves)):
            if len(leaf.items) != 2 or any((unit.code, item) in gaps for item in leaf.items):
                continue
            done, due = leaf.items
            right, most = Decimal(values[unit.code][done]), Decimal(values[unit.code][due])
            if right >= most:
                continue
            fate = fates.pop(0)
            item = scheme.items[done]
            shown = f"{right}{item.unit_of_measure or ''}"
            reason = {
                "corrected": f"与台账核对，“{item.name}”应为{shown}，请更正后重新报送。",
                "unanswered": f"台账显示“{item.name}”为{shown}，与填报数不符，请核实后重新报送。",
                "adjusted": f"经核对台账，“{item.name}”核定为{shown}。",
                "rejected": f"“{item.name}”未提供可核对的台账，不予认定。",
            }[fate]
            yield Slip(unit.code, leaf.code, done, most, fate, reason)
            break


def _accounts(scheme: Library, towns: tuple[Unit, ...], units: tuple[Unit, ...]) -> Iterator[Account]:
    yield Account("guanli", f"{TENANT_NAME}系统管理员", "ADMINISTRATOR", ROOT_CODE)
    yield Account("kaohe", f"{TENANT_NAME}考核办", "ORGANISER", ROOT_CODE)
    yield Account("chayue", f"{TENANT_NAME}查阅员", "OBSERVER", ROOT_CODE)
    for department in scheme.departments:
        yield Account(f"pingfen-{department.code}", f"{department.name}评分员", "ASSESSOR", department.code)
    for town in towns:
        place, code = short_town(town.name), town.code.lower()
        yield Account(f"shenhe-{code}", f"{place}审核员", "REVIEWER", town.code)
        yield Account(f"tianbao-{code}", f"{place}填报员", "SECRETARY", town.code)
    seen: set[str | None] = set()
    for unit in units:
        if unit.category not in seen:
            seen.add(unit.category)
            yield Account(f"tianbao-{unit.code.lower()}", f"{unit.name}填报员", "SECRETARY", unit.code)


def _reported(scheme: Library, leaf: Node) -> bool:
    """Whether the unit itself fills all items of the leaf."""
    return bool(leaf.items) and all(scheme.items[code].responsible is None for code in leaf.items)


def _one_of_each(draw: random.Random, units: list[Unit], categories: tuple[str, ...]) -> list[Unit]:
    return [draw.choice([unit for unit in units if unit.category == category]) for category in categories]


def _ability(draw: random.Random, quality: int) -> int:
    """How well a unit does in one matter, 0 to 1000."""
    return _within(quality + draw.randint(-260, 260))


def _within(permille: int) -> int:
    return max(0, min(1000, permille))


def _bounded(item: Item, amount: int) -> int:
    return amount if item.maximum is None else min(amount, int(item.maximum))
