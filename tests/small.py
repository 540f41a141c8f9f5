"""A small district through the API, from its first category to a board: the same steps over HTTP and without it.

`build` tells step by step what is to be asked and is sent what was answered, so that a driver may be a coroutine or
not. Codes are the same in every district; names begin with what the caller gives, so that they tell districts apart.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
"""The time zone of the districts of the tests, wherever the machine is."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Mutate:
    """A mutation that must succeed; the answer is its success."""

    who: str
    name: str
    selection: str
    given: Json


@dataclass(frozen=True)
class Ask:
    """A query; the answer is its data."""

    who: str
    document: str
    variables: Json = field(default_factory=dict)


@dataclass(frozen=True)
class SignedIn:
    """From now on `who` is the holder of that bearer token."""

    who: str
    token: str


@dataclass(frozen=True)
class Done:
    """Wait until the job has succeeded."""

    who: str
    job_id: str


Step = Mutate | Ask | SignedIn | Done

PEOPLE = {
    "organiser": [("ORGANISER", "root")],
    "secretary": [("SECRETARY", "b1"), ("SECRETARY", "b2")],
    "reviewer": [("REVIEWER", "t1")],
    "assessor": [("ASSESSOR", "d1")],
    "observer": [("OBSERVER", "root")],
}
"""Who there is besides the administrator, with what roles at which units."""

LINEAR_FULL, TARGET = "50", "80"


def today() -> date:
    """Today where the districts of the tests are."""
    return datetime.now(ZONE).date()


def in_days(days: int) -> str:
    """A date so many days from today."""
    return (today() + timedelta(days=days)).isoformat()


def expiry() -> str:
    """When tokens of the tests end."""
    return (datetime.now(UTC) + timedelta(days=7)).isoformat()


def quantity(item: str, denominator: str | None = None) -> Json:
    """An item, perhaps over another one."""
    given: Json = {"numerator": {"terms": [{"dataItemId": item}]}}
    if denominator is not None:
        given["denominator"] = {"terms": [{"dataItemId": denominator}]}
    return given


def tree(ids: Json, points: str = "50") -> list[Json]:
    """The scheme's nodes: a dimension with three leaves, the first of `points`, the others of 30 and 20; and bonus."""
    items, department = ids["items"], ids["units"]["d1"]

    def leaf(code: str, points: str, rule: Json, **more: Any) -> Json:
        node = {"code": code, "name": f"{ids['name']}指标{code}", "points": points, "basis": "区委文件", "rule": rule}
        return {"parentCode": "dim", "indicator": node | more}

    linear = {"linear": {"quantity": quantity(items["M"]), "zeroAt": "0", "fullAt": LINEAR_FULL}}
    done = {"completion": {"actual": quantity(items["V"]), "target": quantity(items["T"])}}
    award = {"award": {"step": "0.5", "selfScore": True}}
    bonus = {"levels": [{"code": "city", "name": "市级", "points": "2"}], "pot": "加分", "potCap": "5"}
    return [
        {"indicator": {"code": "dim", "name": f"{ids['name']}维度", "points": "100", "basis": "区委文件"}},
        leaf("members", points, linear),
        leaf("done", "30", done, responsibleUnitIds=[department]),
        leaf("award", "20", award, responsibleUnitIds=[department]),
        {
            "indicator": {
                "code": "bonus",
                "name": f"{ids['name']}加分",
                "basis": "区委文件",
                "rule": {"bonus": bonus},
                "responsibleUnitIds": [department],
            }
        },
    ]


def directory(name: str) -> Generator[Step, Any, Json]:
    """Units, people and data items; their ids by code, and the token of each of the people."""
    ids: Json = {"name": name, "tokens": {}}
    made = yield Mutate("administrator", "createCategory", "category { id }", {"code": "c1", "name": f"{name}社区"})
    ids["categories"] = {"c1": made["category"]["id"]}
    rows = [
        {"code": "t1", "name": f"{name}街道", "kind": "COMMITTEE"},
        {"code": "d1", "name": f"{name}民政局", "kind": "DEPARTMENT"},
        {"code": "b1", "name": f"{name}一支部", "kind": "BRANCH", "parentCode": "t1", "categoryCode": "c1"},
        {"code": "b2", "name": f"{name}二支部", "kind": "BRANCH", "parentCode": "t1", "categoryCode": "c1"},
    ]
    yield Mutate("administrator", "importOrgUnits", "created", {"units": rows})
    found = yield Ask("administrator", "{ orgUnits { edges { node { id code parent { id } } } } }")
    units = [edge["node"] for edge in found["orgUnits"]["edges"]]
    ids["units"] = {unit["code"] if unit["parent"] else "root": unit["id"] for unit in units}
    for who, grants in PEOPLE.items():
        given = [{"role": role, "unitId": ids["units"][unit]} for role, unit in grants]
        made = yield Mutate(
            "administrator",
            "createServiceToken",
            "secret serviceToken { id }",
            {"displayName": f"{name}{who}", "grants": given, "expiresAt": expiry()},
        )
        ids["tokens"][who] = made["secret"]
        yield SignedIn(who, made["secret"])
    made = yield Mutate(
        "organiser",
        "createDataItems",
        "dataItems { id code }",
        {
            "dataItems": [
                {
                    "code": "M",
                    "name": f"{name}党员数",
                    "definition": "口径",
                    "type": "INTEGER",
                    "scale": 0,
                    "minimum": "0",
                    "maximum": "100",
                },
                {
                    "code": "V",
                    "name": f"{name}办结数",
                    "definition": "口径",
                    "type": "NUMBER",
                    "scale": 2,
                    "source": "REVIEWED",
                    "responsibleUnitIds": [ids["units"]["d1"]],
                },
                {
                    "code": "T",
                    "name": f"{name}目标数",
                    "definition": "口径",
                    "type": "NUMBER",
                    "scale": 2,
                    "source": "ASSIGNED",
                },
            ]
        },
    )
    ids["items"] = {item["code"]: item["id"] for item in made["dataItems"]}
    return ids


def scheme(ids: Json, points: str = "50") -> Generator[Step, Any, None]:
    """A draft with a tree, not frozen: ids["version"] with its `id` and `version`."""
    made = yield Mutate(
        "organiser",
        "createScheme",
        "scheme { id } schemeVersion { id version }",
        {
            "code": "s1",
            "name": f"{ids['name']}方案",
            "weighting": "POINTS",
            "categoryIds": [ids["categories"]["c1"]],
        },
    )
    ids["scheme"], version = made["scheme"]["id"], made["schemeVersion"]
    made = yield Mutate(
        "organiser",
        "editSchemeVersion",
        "schemeVersion { id version }",
        {
            "schemeVersionId": version["id"],
            "version": version["version"],
            "settings": {
                "notApplicablePolicy": "PARENT",
                "reviewLevels": [{"route": "TERRITORIAL"}],
                "tiePolicy": "DECISION",
                "grades": [{"code": "A", "name": f"{ids['name']}优秀", "share": "0.5"}, {"code": "B", "name": "一般"}],
            },
        },
    )
    made = yield Mutate(
        "organiser",
        "replaceIndicators",
        "schemeVersion { id version indicators { id code } }",
        {"schemeVersionId": version["id"], "version": 2, "indicators": tree(ids, points)},
    )
    ids["version"] = made["schemeVersion"]
    ids["indicators"] = {node["code"]: node["id"] for node in made["schemeVersion"]["indicators"]}


def draft_cycle(ids: Json, code: str = "y1", due: int = 30) -> Generator[Step, Any, Json]:
    """Freeze the scheme, if it is not; a cycle in draft with its targets: its `id` and `version`."""
    if not ids.get("frozen"):
        given = {"schemeVersionId": ids["version"]["id"], "version": ids["version"]["version"]}
        yield Mutate("organiser", "freezeSchemeVersion", "schemeVersion { id }", given)
        ids["frozen"] = ids["version"]["id"]
    made = yield Mutate(
        "organiser",
        "createCycle",
        "cycle { id version }",
        {
            "cycle": {
                "code": code,
                "name": f"{ids['name']}年度考核{code}",
                "kind": "YEAR",
                "startsOn": in_days(-300),
                "endsOn": in_days(60),
                "schemeVersionId": ids["frozen"],
                "opensOn": in_days(-100),
                "dueOn": in_days(due),
            }
        },
    )
    targets = [{"unitId": ids["units"][unit], "value": TARGET} for unit in ("b1", "b2")]
    cycle: Json = made["cycle"]
    made = yield Mutate(
        "organiser",
        "assignTargets",
        "cycle { id version }",
        {"cycleId": cycle["id"], "dataItemId": ids["items"]["T"], "targets": targets},
    )
    assigned: Json = made["cycle"]
    return assigned


def open_cycle(ids: Json, code: str = "y1", due: int = 30) -> Generator[Step, Any, None]:
    """A cycle that is open: ids["cycle"], ids["tasks"], ids["reports"] and ids["assessments"]."""
    cycle = yield from draft_cycle(ids, code, due)
    given = {"cycleId": cycle["id"], "version": cycle["version"]}
    made = yield Mutate("organiser", "openCycle", "job { id }", given)
    ids["opening"] = made["job"]["id"]
    yield Done("organiser", made["job"]["id"])
    ids["cycle"] = cycle["id"]
    yield from _look(ids)


def _look(ids: Json) -> Generator[Step, Any, None]:
    found = yield Ask(
        "organiser",
        """query ($id: ID!) { cycle(id: $id) {
            units { edges { node { id code report { id } } } }
            tasks { edges { node { id unit { code } dataItem { code } } } }
            assessments { edges { node { id version unit { code } indicator { code } } } } } }""",
        {"id": ids["cycle"]},
    )
    cycle = found["cycle"]
    nodes = {name: [edge["node"] for edge in cycle[name]["edges"]] for name in ("units", "tasks", "assessments")}
    ids["members"] = {unit["code"]: unit["id"] for unit in nodes["units"]}
    ids["reports"] = {unit["code"]: unit["report"]["id"] for unit in nodes["units"] if unit["report"]}
    ids["tasks"] = {(task["unit"]["code"], task["dataItem"]["code"]): task["id"] for task in nodes["tasks"]}
    ids["assessments"] = {(each["unit"]["code"], each["indicator"]["code"]): each for each in nodes["assessments"]}


def report(ids: Json) -> Generator[Step, Any, None]:
    """Both units report. The department fills and awards, and the town accepts, what is the first one's; no more."""
    values = {("b1", "M"): "40", ("b2", "M"): "25", ("b1", "V"): "80"}
    ids["entries"] = {}
    for who, item in (("secretary", "M"), ("assessor", "V")):
        places = [place for place in values if place[1] == item]
        made = yield Mutate(
            who,
            "saveEntries",
            "entries { id version }",
            {"entries": [{"taskId": ids["tasks"][place], "content": {"number": values[place]}} for place in places]},
        )
        ids["entries"] |= dict(zip(places, (entry["id"] for entry in made["entries"]), strict=True))
        if item == "V":
            yield Mutate(who, "submitEntries", "entries { id }", {"entries": made["entries"]})
    for unit in ("b1", "b2"):
        given = {"reportId": ids["reports"][unit], "version": 1}
        yield Mutate("secretary", "submitReport", "report { id }", given)
    yield from _look(ids)
    for who, leaf, decision in (
        ("reviewer", "members", {"accept": {}}),
        ("assessor", "award", {"award": {"marks": "18", "reason": f"{ids['name']}扣分"}}),
    ):
        reviews = [
            {"assessmentId": each["id"], "version": each["version"], "decision": decision}
            for place, each in ids["assessments"].items()
            if place == ("b1", leaf)
        ]
        yield Mutate(who, "reviewAssessments", "assessments { id }", {"reviews": reviews})
    yield from _look(ids)


def events(ids: Json) -> Generator[Step, Any, None]:
    """The first unit proposes two bonus events, of which the organiser confirms one: ids["events"]."""
    proposed = [
        {
            "cycleUnitId": ids["members"]["b1"],
            "indicatorId": ids["indicators"]["bonus"],
            "matter": matter,
            "title": f"{ids['name']}获市级表彰",
            "levelCode": "city",
            "happenedOn": in_days(-30),
            "documentTitle": f"{ids['name']}表彰决定",
        }
        for matter in ("m1", "m2")
    ]
    made = yield Mutate("secretary", "proposeEvents", "events { id version }", {"events": proposed})
    ids["events"] = [event["id"] for event in made["events"]]
    decisions = [{"eventId": ids["events"][0], "version": 1, "decision": "CONFIRM"}]
    yield Mutate("organiser", "decideEvents", "events { id }", {"decisions": decisions})


def run(ids: Json) -> Generator[Step, Any, None]:
    """A ranking run: ids["run"] and ids["job"]."""
    made = yield Mutate("organiser", "startRankingRun", "run { id job { id } }", {"cycleId": ids["cycle"]})
    ids["run"], ids["job"] = made["run"]["id"], made["run"]["job"]["id"]
    yield Done("organiser", ids["job"])


def publish(ids: Json) -> Generator[Step, Any, None]:
    """The run published as an interim notice, with the cycle under review: ids["publication"]."""
    found = yield Ask("organiser", "query ($id: ID!) { cycle(id: $id) { version } }", {"id": ids["cycle"]})
    given = {"cycleId": ids["cycle"], "version": found["cycle"]["version"]}
    made = yield Mutate("organiser", "beginReview", "cycle { version }", given)
    given = {"runId": ids["run"], "version": made["cycle"]["version"], "kind": "INTERIM", "title": f"{ids['name']}通报"}
    made = yield Mutate("organiser", "publishRun", "publication { id }", given)
    ids["publication"] = made["publication"]["id"]


def trials(ids: Json) -> Generator[Step, Any, None]:
    """A trial over the run, done, and the robustness of its ranks: ids["what if"]."""
    given = {"runId": ids["run"], "schemeVersionId": ids["draft"]}
    made = yield Mutate("organiser", "startWhatIf", "whatIf { id job { id } }", given)
    ids["what if"] = made["whatIf"]["id"]
    yield Done("organiser", made["whatIf"]["job"]["id"])
    made = yield Mutate("organiser", "requestRobustness", "job { id }", {"runId": ids["run"]})
    yield Done("organiser", made["job"]["id"])


def everything(name: str) -> Generator[Step, Any, Json]:
    """A district with all that there is, from units to a board, beside a draft of a scheme and one of a cycle."""
    ids = yield from directory(name)
    yield from scheme(ids)
    yield from open_cycle(ids)
    # While nothing is reported all are equal, and one place of a grade waits for a person.
    yield from run(ids)
    yield from report(ids)
    yield from events(ids)
    yield from run(ids)
    yield from publish(ids)
    ids["draft cycle"] = (yield from draft_cycle(ids, "y2"))["id"]
    made = yield Mutate(
        "organiser",
        "createSchemeVersion",
        "schemeVersion { id indicators { id code } }",
        {"basedOnId": ids["frozen"], "label": f"{name}第二版"},
    )
    ids["draft"] = made["schemeVersion"]["id"]
    ids["drafted"] = {node["code"]: node["id"] for node in made["schemeVersion"]["indicators"]}
    yield from trials(ids)
    made = yield Mutate(
        "administrator",
        "createMember",
        "member { id grants { id } }",
        {
            "displayName": f"{name}张三",
            "signInName": "zhangsan",
            "password": "correct horse battery",
            "grants": [{"role": "OBSERVER", "unitId": ids["units"]["t1"], "categoryIds": [ids["categories"]["c1"]]}],
        },
    )
    ids["member"], ids["grant"] = made["member"]["id"], made["member"]["grants"][0]["id"]
    made = yield Mutate(
        "administrator",
        "createServiceToken",
        "serviceToken { id }",
        {
            "displayName": f"{name}接口",
            "grants": [{"role": "OBSERVER", "unitId": ids["units"]["b1"], "dataItemIds": [ids["items"]["M"]]}],
            "expiresAt": expiry(),
        },
    )
    ids["token"] = made["serviceToken"]["id"]
    return ids
