"""Data items and schemes through the API: rules in and out, the check, refusals with paths (考核方案)."""

from typing import Any

import pytest

from schema.rules import KINDS
from service.access import Role
from service.schemes import RULE_KINDS
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.conftest import MakeTenant
from tests.schema.conftest import Caller, MakeCaller, held
from tests.service.drafting import World, make_world, number, plain, row
from tests.service.test_schemes import simple

pytestmark = pytest.mark.anyio

ERRORS = """
... on Error { __typename code message path hint
  ... on InputError { issueCount issues { code message path hint } }
  ... on AccessError { requiredRoles }
  ... on StateError { state legalFrom since subject { __typename id } }
  ... on VersionConflictError { conflicts { path currentVersion current { __typename id } } }
}
"""

CHECK = """
faults { severity code message path hint indicator { id code } category { id code } }
sums { indicator { id code } category { id name } expected actual balanced }
"""

QUANTITY = """
fragment quantity on Quantity {
  text denominatorZero
  numerator { constant terms { coefficient countName dataItem { id code name } } }
  denominator { constant terms { coefficient countName dataItem { id code name } } }
}
"""

RULE = """
__typename kind full fullMarks text
... on AwardRule { step selfScore }
... on CompletionRule { actual { ...quantity } target { ...quantity } cap allOrNothingBelow targetZero }
... on LinearRule { quantity { ...quantity } zeroAt fullAt clamp }
... on MinmaxRule { quantity { ...quantity } direction }
... on BandsRule { quantity { ...quantity } bands { from marks } }
... on DeductRule { floor lines {
    text countName pointsEach perUnits partUnits cap wipeOut
    quantity { ...quantity } required { ...quantity } done { ...quantity } } }
... on YesNoRule { dataItem { id code name } fullWhen }
"""

EDITOR = f"""
query($id: ID!) {{
  schemeVersion(id: $id) {{
    id version number label state weighting fullMarks frozenAt
    scheme {{ id code name draft {{ id }} versions {{ number }} }}
    basedOn {{ id }}
    root {{ code ordinal children {{ code }} }}
    categories {{ code name }}
    settings {{
      missingPolicy notApplicablePolicy coverageThreshold roundingPlaces rankOn tiePolicy tieBreakers {{ code }}
      crossCategoryRanks capAtFullMarks objectionWorkingDays skipNotice robustnessTolerance
      latePenalty {{ pointsPerDay cap }}
      reviewLevels {{ level route unitKind }}
      disclosures {{ kind totals ranks dimensions bestCount }}
    }}
    indicators {{
      id version code name depth ordinal leaf weight points aggregation wording ownWording checkMethod sourceNote basis
      evidenceReason missingPolicy notApplicablePolicy
      parent {{ code }} categories {{ code }} pointsByCategory {{ category {{ code }} points }}
      responsibleUnits {{ code }} dataItems {{ code }} reviewLevels {{ level }} reviewRoute {{ level route unitKind }}
      rule {{ {RULE} }}
      checks {{ comparison warningOnly text left {{ ...quantity }} right {{ ...quantity }} }}
    }}
    {CHECK}
  }}
}}
{QUANTITY}
"""


@pytest.fixture
async def world(db: Database, tenant: District) -> World:
    made = await make_world(db, tenant)
    await made.add_items(number("a"), number("b"), number("yes", type="YES_NO"))
    return made


@pytest.fixture
def caller(world: World, settings: Settings) -> Caller:
    return Caller(world.db, settings, world.actor, "zh-CN")


_keys = iter(range(10**9))


async def mutate(caller: Caller, name: str, select: str, /, **given: Any) -> dict[str, Any]:
    """The result of one mutation."""
    kind = name[0].upper() + name[1:]
    answer = f"__typename ... on {kind}Success {{ {select} }} {ERRORS}"
    query = f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {answer} }} }}"
    if "...quantity" in select:
        query += QUANTITY
    result = await caller.ask(query, input={"idempotencyKey": f"k{next(_keys)}", **given})
    found: dict[str, Any] = result[name]
    return found


def issues(refused: dict[str, Any]) -> dict[str, str]:
    assert refused["__typename"] == "InputError", refused
    assert refused["issueCount"] == len(refused["issues"])
    return {"/".join(issue["path"]): issue["code"] for issue in refused["issues"]}


def ratio(world: World, top: str, bottom: str | None = None) -> dict[str, Any]:
    """A quantity as an input writes it."""
    found: dict[str, Any] = {"numerator": {"terms": [{"dataItemId": world.items[top]}]}}
    if bottom is not None:
        found["denominator"] = {"terms": [{"dataItemId": world.items[bottom], "coefficient": "2.50"}], "constant": "1"}
    return found


def rules(world: World) -> dict[str, dict[str, Any]]:
    """One rule of each kind."""
    return {
        "award": {"step": "0.5", "selfScore": True, "full": "20"},
        "completion": {"actual": ratio(world, "a"), "target": ratio(world, "b"), "allOrNothingBelow": "0.6"},
        "linear": {"quantity": ratio(world, "a", "b"), "zeroAt": "0.60", "fullAt": "0.98"},
        "bands": {"quantity": ratio(world, "a"), "bands": [{"from": "10", "marks": "10"}, {"marks": "0"}]},
        "yesNo": {"dataItemId": world.items["yes"], "fullWhen": False},
        "deduct": {
            "lines": [
                {"quantity": ratio(world, "a"), "pointsEach": "0.5", "partUnits": "STARTED", "cap": "3"},
                {"required": ratio(world, "b"), "done": ratio(world, "a"), "pointsEach": "1", "text": "每少1次"},
            ]
        },
        "minmax": {"quantity": ratio(world, "b"), "direction": "LOWER"},
    }


def test_every_kind_of_rule_is_declared_once() -> None:
    assert tuple(KINDS) == RULE_KINDS


async def test_every_rule_comes_back_as_it_went(world: World, caller: Caller) -> None:
    made = await mutate(
        caller,
        "createScheme",
        "scheme { code draft { id } } schemeVersion { id version root { id } }",
        code="S",
        name="治理考核",
        weighting="POINTS",
        fullMarks="70",
        categoryIds=list(world.categories.values()),
    )
    version = made["schemeVersion"]
    assert made["scheme"]["draft"]["id"] == version["id"]
    for name, rule in rules(world).items():
        added = await mutate(
            caller,
            "addIndicator",
            f"indicator {{ code ordinal rule {{ {RULE} }} }} schemeVersion {{ version }}",
            schemeVersionId=version["id"],
            parentId=version["root"]["id"],
            indicator={
                "code": name,
                "name": name,
                "points": "10",
                "rule": {name: rule},
                "responsibleUnitIds": [world.units["zzb"]],
                "checks": [{"left": ratio(world, "a"), "comparison": "AT_MOST", "right": ratio(world, "b")}],
            },
        )
        assert added["__typename"] == "AddIndicatorSuccess", added
        out = added["indicator"]["rule"]
        assert out["kind"] == {"yesNo": "YES_NO"}.get(name, name.upper())
        assert out["fullMarks"] == ("20" if name == "award" else "10")
        assert out["text"]
    editor = (await caller.ask(EDITOR, id=version["id"]))["schemeVersion"]
    by_code = {node["code"]: node for node in editor["indicators"]}
    linear = by_code["linear"]["rule"]
    assert (linear["zeroAt"], linear["fullAt"], linear["clamp"], linear["full"]) == ("0.6", "0.98", True, None)
    assert linear["quantity"]["text"] == "数据a÷（2.5×数据b＋1）"
    assert linear["quantity"]["denominator"]["terms"][0] == {
        "coefficient": "2.5",
        "countName": None,
        "dataItem": {"id": world.items["b"], "code": "b", "name": "数据b"},
    }
    assert by_code["bands"]["rule"]["bands"] == [{"from": "10", "marks": "10"}, {"from": None, "marks": "0"}]
    (crossed,) = by_code["yesNo"]["checks"]
    assert (crossed["comparison"], crossed["warningOnly"]) == ("AT_MOST", False)
    assert crossed["text"] == "数据a应不大于数据b。"
    assert crossed["right"]["text"] == "数据b"
    lines = by_code["deduct"]["rule"]["lines"]
    assert [line["partUnits"] for line in lines] == ["STARTED", "EXACT"]
    assert lines[0]["quantity"]["text"] == "数据a"
    assert (lines[1]["quantity"], lines[1]["required"]["text"], lines[1]["text"]) == (None, "数据b", "每少1次")
    assert by_code["yesNo"]["rule"]["dataItem"]["code"] == "yes"
    assert by_code["minmax"]["rule"]["direction"] == "LOWER"
    assert by_code["completion"]["rule"]["target"]["numerator"]["constant"] == "0"
    assert [item["code"] for item in by_code["deduct"]["dataItems"]] == ["a", "b"]
    assert by_code["award"]["wording"] == by_code["award"]["rule"]["text"]
    assert by_code["award"]["ownWording"] is None
    assert by_code["award"]["reviewRoute"] == [{"level": 1, "route": "DEPARTMENTAL", "unitKind": None}]
    assert by_code["linear"]["reviewRoute"] == [{"level": 1, "route": "TERRITORIAL", "unitKind": None}]
    assert (by_code["ROOT"]["wording"], by_code["ROOT"]["reviewRoute"]) == (None, [])
    assert by_code["linear"]["responsibleUnits"] == [{"code": "zzb"}]
    english = Caller(caller.db, caller.settings, caller.actor, "en")
    again = (await english.ask(EDITOR, id=version["id"]))["schemeVersion"]
    assert again["indicators"][1]["rule"]["text"].startswith("Assessors award")
    assert [fault["path"] for fault in again["faults"] if fault["severity"] == "FAULT"] == [
        ["settings", "notApplicablePolicy"]
    ]


async def test_a_scheme_is_edited_checked_and_frozen(world: World, caller: Caller) -> None:
    version_id = await world.drafted(*simple(world))
    edited = await mutate(
        caller,
        "editSchemeVersion",
        "schemeVersion { version label }",
        schemeVersionId=version_id,
        version=3,
        label="2026年版",
        settings={
            "coverageThreshold": "0.60",
            "tiePolicy": "TIE_BREAK",
            "tieBreakerCodes": ["B", "A"],
            "latePenalty": {"pointsPerDay": "0.5"},
            "robustnessTolerance": "0.2",
            "reviewLevels": [{"route": "TERRITORIAL", "unitKind": "COMMITTEE"}],
            "disclosures": [{"kind": "FINAL", "ranks": "BEST", "bestCount": 3}],
        },
    )
    assert edited["schemeVersion"] == {"version": 4, "label": "2026年版"}
    # What is left out stays, decimals too.
    edited = await mutate(
        caller,
        "editSchemeVersion",
        "schemeVersion { version settings { coverageThreshold latePenalty { pointsPerDay } } }",
        schemeVersionId=version_id,
        version=4,
        settings={"skipNotice": False},
    )
    kept = edited["schemeVersion"]["settings"]
    assert kept == {"coverageThreshold": "0.6", "latePenalty": {"pointsPerDay": "0.5"}}
    found = (await caller.ask(EDITOR, id=version_id))["schemeVersion"]
    settings = found["settings"]
    assert (settings["coverageThreshold"], settings["robustnessTolerance"]) == ("0.6", "0.2")
    assert [node["code"] for node in settings["tieBreakers"]] == ["B", "A"]
    assert settings["latePenalty"] == {"pointsPerDay": "0.5", "cap": None}
    assert settings["reviewLevels"] == [{"level": 1, "route": "TERRITORIAL", "unitKind": "COMMITTEE"}]
    assert settings["disclosures"][3] == {
        "kind": "FINAL",
        "totals": "ALL",
        "ranks": "BEST",
        "dimensions": "ALL",
        "bestCount": 3,
    }
    assert found["faults"] == []
    assert [(each["indicator"]["code"], each["category"]["name"]) for each in found["sums"]] == [
        ("ROOT", "社区"),
        ("ROOT", "村"),
        ("A", "社区"),
        ("A", "村"),
    ]
    assert [node["ordinal"] for node in found["indicators"]] == ["", "1", "1.1", "1.2", "2"]
    assert [node["code"] for node in found["root"]["children"]] == ["A", "B"]
    frozen = await mutate(
        caller, "freezeSchemeVersion", "schemeVersion { state frozenAt }", schemeVersionId=version_id, version=5
    )
    assert frozen["schemeVersion"]["state"] == "FROZEN"
    assert frozen["schemeVersion"]["frozenAt"]
    refused = await mutate(
        caller, "editSchemeVersion", "schemeVersion { id }", schemeVersionId=version_id, version=6, fullMarks="1"
    )
    assert (refused["__typename"], refused["code"], refused["state"]) == ("StateError", "ILLEGAL_STATE", "FROZEN")
    assert refused["subject"] == {"__typename": "SchemeVersion", "id": version_id}
    copied = await mutate(
        caller, "createSchemeVersion", "schemeVersion { id number basedOn { id } }", basedOnId=version_id
    )
    assert (copied["schemeVersion"]["number"], copied["schemeVersion"]["basedOn"]["id"]) == (2, version_id)
    gone = await mutate(
        caller,
        "discardSchemeVersion",
        "discardedId scheme { draft { id } versions { number } }",
        schemeVersionId=copied["schemeVersion"]["id"],
        version=1,
    )
    assert gone["discardedId"] == copied["schemeVersion"]["id"]
    assert gone["scheme"] == {"draft": None, "versions": [{"number": 1}]}
    assert (await caller.ask(EDITOR, id=gone["discardedId"]))["schemeVersion"] is None


async def test_points_that_do_not_add_up(world: World, caller: Caller) -> None:
    village = world.categories["village"]
    version_id = await world.drafted(*simple(world)[:3])
    done = await mutate(
        caller,
        "replaceIndicators",
        f"schemeVersion {{ version {CHECK} }}",
        schemeVersionId=version_id,
        version=3,
        indicators=[
            {"indicator": {"code": "A", "name": "甲", "points": "60"}},
            {
                "parentCode": "A",
                "indicator": {
                    "code": "A1",
                    "name": "甲一",
                    "points": "60",
                    "pointsByCategory": [{"categoryId": village, "points": "59.50"}],
                    "rule": {"linear": {"quantity": ratio(world, "a"), "zeroAt": "0", "fullAt": "1"}},
                    "basis": "文件",
                },
            },
            {
                "indicator": {
                    "code": "B",
                    "name": "乙",
                    "points": "40",
                    "rule": {"yesNo": {"dataItemId": world.items["yes"]}},
                    "basis": "文件",
                }
            },
        ],
    )
    (fault,) = done["schemeVersion"]["faults"]
    assert fault["path"] == ["ROOT", "A", "points"]
    assert (fault["severity"], fault["code"]) == ("FAULT", "INVALID")
    assert fault["indicator"]["code"] == "A"
    assert fault["category"] == {"id": village, "code": "village"}
    assert "59.5" in fault["message"]
    off = [each for each in done["schemeVersion"]["sums"] if not each["balanced"]]
    assert [(each["expected"], each["actual"], each["category"]["name"]) for each in off] == [("60", "59.5", "村")]
    refused = await mutate(caller, "freezeSchemeVersion", "schemeVersion { id }", schemeVersionId=version_id, version=4)
    assert issues(refused) == {"ROOT/A/points": "INVALID"}
    assert refused["hint"]


async def test_faults_of_what_was_typed_have_their_place(world: World, caller: Caller) -> None:
    version_id = await world.drafted(*simple(world))
    node = (await caller.ask(EDITOR, id=version_id))["schemeVersion"]["indicators"][2]

    async def edit(**indicator: Any) -> dict[str, Any]:
        return await mutate(
            caller,
            "editIndicator",
            "indicator { version }",
            indicatorId=node["id"],
            version=1,
            indicator={"code": "A1", "name": "名", **indicator},
        )

    bad = ratio(world, "a")
    bad["numerator"]["terms"] = [{"dataItemId": "?", "coefficient": "1,5"}]
    found = issues(await edit(points="4e1", rule={"linear": {"quantity": bad, "zeroAt": "+1", "fullAt": "０"}}))
    base = "input/indicator/"
    assert found == {
        base + "points": "INVALID_DECIMAL",
        base + "rule/linear/quantity/numerator/terms/0/coefficient": "INVALID_DECIMAL",
        base + "rule/linear/quantity/numerator/terms/0/dataItemId": "INVALID_ID",
        base + "rule/linear/zeroAt": "INVALID_DECIMAL",
        base + "rule/linear/fullAt": "INVALID_DECIMAL",
    }
    found = issues(await edit(checks=[{"left": bad, "comparison": "EQUAL", "right": ratio(world, "a")}]))
    assert found.keys() == {
        base + "checks/0/left/numerator/terms/0/coefficient",
        base + "checks/0/left/numerator/terms/0/dataItemId",
    }
    found = issues(await edit(rule={"bands": {"quantity": ratio(world, "a"), "bands": [{"from": "x", "marks": "1"}]}}))
    assert found == {base + "rule/bands/bands/0/from": "INVALID_DECIMAL"}
    # What makes no sense is a fault of the draft, not of the input.
    done = await edit(rule={"linear": {"quantity": ratio(world, "a"), "zeroAt": "1", "fullAt": "1"}})
    assert done["indicator"]["version"] == 2
    after = (await caller.ask(EDITOR, id=version_id))["schemeVersion"]
    assert ["ROOT", "A", "A1", "rule", "fullAt"] in [fault["path"] for fault in after["faults"]]
    assert after["indicators"][2]["rule"]["text"].startswith("规则有误")
    stale = await edit()
    assert stale["__typename"] == "VersionConflictError"
    assert stale["conflicts"] == [
        {
            "path": ["input", "version"],
            "currentVersion": 2,
            "current": {"__typename": "Indicator", "id": node["id"]},
        }
    ]


async def test_unknown_rules_and_two_rules_at_once(world: World, caller: Caller) -> None:
    version_id = await world.drafted(*simple(world))
    root = (await caller.ask("query($id: ID!) { schemeVersion(id: $id) { root { id } } }", id=version_id))[
        "schemeVersion"
    ]["root"]["id"]
    query = "mutation($input: AddIndicatorInput!) { addIndicator(input: $input) { __typename } }"
    both = {"award": {"step": "1"}, "yesNo": {"dataItemId": world.items["yes"]}}
    rule: dict[str, Any]
    for rule in ({"magic": {}}, {}, both):
        result = await caller.send(
            query,
            input={
                "idempotencyKey": "k",
                "schemeVersionId": version_id,
                "parentId": root,
                "indicator": {"code": "X", "name": "X", "rule": rule},
            },
        )
        assert result.errors
        assert result.data is None or result.data["addIndicator"] is None
    nodes = (await caller.ask(EDITOR, id=version_id))["schemeVersion"]["indicators"]
    assert [node["code"] for node in nodes] == ["ROOT", "A", "A1", "A2", "B"]


async def test_nodes_move_and_go(world: World, caller: Caller) -> None:
    version_id = await world.drafted(*simple(world))
    nodes = {n["code"]: n for n in (await caller.ask(EDITOR, id=version_id))["schemeVersion"]["indicators"]}
    moved = await mutate(
        caller,
        "moveIndicator",
        "indicator { ordinal version parent { code } } schemeVersion { version }",
        indicatorId=nodes["A2"]["id"],
        version=1,
        parentId=nodes["ROOT"]["id"],
        position=0,
    )
    assert moved["indicator"] == {"ordinal": "1", "version": 2, "parent": {"code": "ROOT"}}
    removed = await mutate(
        caller,
        "removeIndicator",
        "removedIds schemeVersion { version indicators { code } }",
        indicatorId=nodes["A"]["id"],
        version=1,
    )
    assert set(removed["removedIds"]) == {nodes["A"]["id"], nodes["A1"]["id"]}
    assert removed["schemeVersion"] == {
        "version": 5,
        "indicators": [{"code": "ROOT"}, {"code": "A2"}, {"code": "B"}],
    }


async def test_a_file_goes_out_and_comes_in(world: World, caller: Caller) -> None:
    version_id = await world.drafted(*simple(world))
    text = (await caller.ask("query($id: ID!) { schemeVersion(id: $id) { file } }", id=version_id))["schemeVersion"][
        "file"
    ]
    made = await mutate(
        caller,
        "importScheme",
        f"schemeVersion {{ number state scheme {{ code }} {CHECK} }}",
        document=text.replace('"code":"S"', '"code":"T"'),
    )
    assert made["schemeVersion"]["scheme"] == {"code": "T"}
    assert made["schemeVersion"]["faults"] == []
    refused = await mutate(caller, "importScheme", "schemeVersion { id }", document="{", createMissingDataItems=False)
    assert issues(refused) == {"input/document": "INVALID"}


async def test_data_items_through_the_api(world: World, caller: Caller) -> None:
    made = await mutate(
        caller,
        "createDataItems",
        """dataItems { id code scale minimum maximum type source active version options { code name dontKnow }
           responsibleUnits { code } duplicates { code } usedBy { code } }""",
        dataItems=[
            {
                "code": "n1",
                "name": "数据，Ａ",
                "definition": "口径",
                "type": "NUMBER",
                "minimum": "0.50",
                "source": "REVIEWED",
                "responsibleUnitIds": [world.units["zzb"]],
            },
            {
                "code": "n2",
                "name": "测评",
                "definition": "口径",
                "type": "COUNTS",
                "personal": True,
                "options": [{"code": "dk", "name": "不了解", "dontKnow": True}],
            },
        ],
    )
    first, second = made["dataItems"]
    assert (first["scale"], first["minimum"], first["maximum"], first["source"]) == (4, "0.5", None, "REVIEWED")
    assert (first["responsibleUnits"], first["duplicates"]) == ([{"code": "zzb"}], [{"code": "a"}])
    assert second["options"] == [{"code": "dk", "name": "不了解", "dontKnow": True}]
    version_id = await world.drafted(*simple(world))
    page = (
        await caller.ask(
            """query($filter: DataItemFilter) { dataItems(first: 10, filter: $filter, orderBy: [{field: NAME}]) {
                 totalCount edges { node { code usedBy { code schemeVersion { id } } } } } }""",
            filter={"search": "数据", "types": ["INTEGER"], "sources": ["REPORTED"], "active": True},
        )
    )["dataItems"]
    assert page["totalCount"] == 2
    assert page["edges"][0]["node"] == {
        "code": "a",
        "usedBy": [{"code": "A1", "schemeVersion": {"id": version_id}}],
    }
    edited = await mutate(
        caller,
        "editDataItem",
        "dataItem { name version }",
        dataItemId=first["id"],
        version=1,
        dataItem={"code": "n1", "name": "新名", "definition": "口径", "type": "NUMBER"},
    )
    assert edited["dataItem"] == {"name": "新名", "version": 2}
    retired = await mutate(caller, "retireDataItem", "dataItem { active }", dataItemId=first["id"], version=2)
    assert retired["dataItem"] == {"active": False}
    again = await mutate(caller, "retireDataItem", "dataItem { active }", dataItemId=first["id"], version=3)
    assert (again["__typename"], again["state"]) == ("StateError", "RETIRED")
    refused = await mutate(
        caller,
        "createDataItems",
        "dataItems { id }",
        dataItems=[{"code": "a", "name": "", "definition": "x", "type": "NUMBER", "maximum": "１"}],
    )
    assert issues(refused) == {
        "input/dataItems/0/code": "DUPLICATE",
        "input/dataItems/0/name": "INVALID_TEXT",
        "input/dataItems/0/maximum": "INVALID_DECIMAL",
    }


async def test_nothing_of_another_district_shows(
    world: World, caller: Caller, make_tenant: MakeTenant, settings: Settings
) -> None:
    other = await make_world(world.db, await make_tenant())
    await other.add_items(number("a"), number("b"))
    theirs = await other.drafted(*simple(other))
    mine = await world.drafted(*simple(world))
    stranger = Caller(world.db, settings, other.actor, "zh-CN")
    nodes = (await stranger.ask(EDITOR, id=theirs))["schemeVersion"]["indicators"]
    assert (await caller.ask(EDITOR, id=theirs))["schemeVersion"] is None
    for field, key in (
        ("schemeVersion", theirs),
        ("indicator", nodes[1]["id"]),
        ("dataItem", other.items["a"]),
        ("node", nodes[1]["id"]),
    ):
        assert (await caller.ask(f"query($id: ID!) {{ {field}(id: $id) {{ __typename }} }}", id=key))[field] is None
    listed = await caller.ask("{ schemes { totalCount edges { node { versions { id } } } } dataItems { totalCount } }")
    assert listed["schemes"]["edges"] == [{"node": {"versions": [{"id": mine}]}}]
    assert listed["dataItems"]["totalCount"] == 3
    refused = await mutate(caller, "freezeSchemeVersion", "schemeVersion { id }", schemeVersionId=theirs, version=3)
    assert (refused["__typename"], refused["path"]) == ("NotFoundError", ["input", "schemeVersionId"])
    foreign = await mutate(
        caller,
        "replaceIndicators",
        "schemeVersion { id }",
        schemeVersionId=mine,
        version=3,
        indicators=[{"indicator": {"code": "X", "name": "X", "rule": {"yesNo": {"dataItemId": other.items["a"]}}}}],
    )
    assert foreign["__typename"] == "NotFoundError"
    assert foreign["path"] == ["input", "indicators", "0", "indicator", "rule", "yesNo", "dataItemId"]


async def test_only_organisers_of_the_whole_district(world: World, make_caller: MakeCaller, tenant: District) -> None:
    version_id = await world.drafted(*simple(world))
    reader = make_caller(tenant, [held(Role.SECRETARY, world.root)], "zh-CN")
    assert (await reader.ask(EDITOR, id=version_id))["schemeVersion"]["id"] == version_id
    for grants in ([held(Role.ADMINISTRATOR, world.root, at_root=True)], [held(Role.ORGANISER, world.root)]):
        wrong = make_caller(tenant, grants, "zh-CN")
        refused = await mutate(
            wrong, "freezeSchemeVersion", "schemeVersion { id }", schemeVersionId=version_id, version=3
        )
        assert (refused["__typename"], refused["requiredRoles"]) == ("AccessError", ["ORGANISER"])
        refused = await mutate(wrong, "createDataItems", "dataItems { id }", dataItems=[])
        assert refused["__typename"] == "AccessError"


async def test_a_retry_has_the_effect_of_one_call(world: World, caller: Caller) -> None:
    given = {
        "idempotencyKey": "once",
        "code": "S",
        "name": "治理考核",
        "weighting": "RELATIVE",
        "categoryIds": list(world.categories.values()),
    }
    query = f"""mutation($input: CreateSchemeInput!) {{ createScheme(input: $input) {{
        ... on CreateSchemeSuccess {{ schemeVersion {{ id }} }} {ERRORS} }} }}"""
    first = await caller.ask(query, input=given)
    assert first == await caller.ask(query, input=given)
    other = await caller.ask(query, input=given | {"code": "T"})
    assert other["createScheme"]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_frozen_rules_are_told_with_the_items_that_were_pinned(world: World, caller: Caller) -> None:
    version_id = await world.drafted(
        row("A", points="100", rule={"kind": "YES_NO", "dataItem": plain(world, "yes"), "fullWhen": True})
    )
    await world.freeze(version_id, 3)
    await mutate(
        caller,
        "editDataItem",
        "dataItem { id }",
        dataItemId=world.items["yes"],
        version=1,
        dataItem={"code": "yes", "name": "改名", "definition": "口径", "type": "INTEGER", "source": "ASSIGNED"},
    )
    node = (await caller.ask(EDITOR, id=version_id))["schemeVersion"]["indicators"][1]
    assert "数据yes" in node["rule"]["text"]
    assert node["wording"] == node["rule"]["text"]
    assert node["rule"]["dataItem"]["name"] == "改名"
    assert len(node["reviewRoute"]) == 1, "its source was pinned too"
