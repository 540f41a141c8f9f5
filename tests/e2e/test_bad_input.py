"""Wrong input over HTTP: a typed error with code, path and hint in both languages, and nothing written.

Districts are set up once; every case is asked in Chinese and in English, and the rows of the district are compared.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from service.access import ALGORITHM, ISSUER, issue_jwt
from service.ids import parse_id
from service.settings import Settings
from tenants.database import Database
from tests import small
from tests.asking import TRUSTED
from tests.contents import contents
from tests.e2e.client import Client, Installation
from tests.e2e.driving import World, set_up

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

ERROR = """... on Error { __typename code message path hint
    ... on InputError { issueCount issues { code message path hint } }
    ... on StateError { state legalFrom since }
    ... on AccessError { requiredRoles }
    ... on VersionConflictError { conflicts { path currentVersion } } }"""


@dataclass(frozen=True)
class Case:
    """Something wrong: who sends what, and what is answered."""

    who: str
    field: str
    given: Json
    code: str
    path: str | None = None
    """After `input`, joined by dots."""


@pytest.fixture(scope="module")
def world(installation: Installation) -> World:
    """A district with a cycle that has a run, others untouched, past the deadline and in draft, and a draft scheme."""
    made = set_up(
        installation, "甲", small.directory, small.scheme, small.open_cycle, small.report, small.run, untouched, drafts
    )
    for caller in made.callers.values():
        # The first use of a token is written down.
        caller.query("{ viewer { roles } }")
    return made


def untouched(ids: Json) -> Any:
    """Two more open cycles: ids["open"], and ids["late"], whose last day has passed."""
    for name, due in (("open", 30), ("late", -5)):
        ids[name] = dict(ids)
        yield from small.open_cycle(ids[name], name, due)


def drafts(ids: Json) -> Any:
    """A cycle in draft, and a draft of the scheme whose points do not add up."""
    ids["draft cycle"] = yield from small.draft_cycle(ids, "y2")
    made = yield small.Mutate(
        "organiser", "createSchemeVersion", "schemeVersion { id version }", {"basedOnId": ids["frozen"]}
    )
    given = {
        "schemeVersionId": made["schemeVersion"]["id"],
        "version": made["schemeVersion"]["version"],
        "indicators": small.tree(ids, "40"),
    }
    made = yield small.Mutate(
        "organiser", "replaceIndicators", "schemeVersion { id version indicators { id code version } }", given
    )
    ids["draft"] = made["schemeVersion"]
    ids["drafted"] = {node["code"]: node for node in made["schemeVersion"]["indicators"]}
    found = yield small.Ask("organiser", "query ($id: ID!) { cycle(id: $id) { version } }", {"id": ids["cycle"]})
    ids["cycle version"] = found["cycle"]["version"]


@pytest.fixture(scope="module")
def other(installation: Installation) -> World:
    """Another district."""
    return set_up(installation, "乙", small.directory)


async def rows(db: Database, world: World) -> Any:
    """What the district's rows hold."""
    found = parse_id(world.callers["observer"].query("{ tenant { id } }")["tenant"]["id"])
    assert found is not None
    return await contents(db, found[1])


def refuse(world: World, case: Case) -> Json:
    """Send it in both languages; the English answer."""
    kind = case.field[0].upper() + case.field[1:]
    document = f"mutation ($input: {kind}Input!) {{ {case.field}(input: $input) {{ __typename {ERROR} }} }}"
    given = {"idempotencyKey": str(uuid.uuid4()), **case.given}
    told = []
    for language in ("zh-CN", "en"):
        answer = replace(world.callers[case.who], language=language).post(document, {"input": given}).json()
        assert "errors" not in answer, answer
        told.append(answer["data"][case.field])
    chinese, english = told
    for one, two in [(chinese, english), *zip(chinese.get("issues", ()), english.get("issues", ()), strict=True)]:
        assert one["code"] == two["code"], (case, told)
        assert one["path"] == two["path"], (case, told)
        for words in ("message", "hint"):
            assert one[words], (case, told)
            assert two[words], (case, told)
            assert one[words] != two[words], (case, told)
            assert has_chinese(one[words]), (case, told)
    # What is wrong in a scheme is shown by its place in the tree, from the root on.
    path = None if case.path is None else [step for step in case.path.split(".") if step]
    path = path if path is None or path[:1] == ["ROOT"] else ["input", *path]
    found = [(issue["code"], issue["path"]) for issue in english.get("issues") or [english]]
    assert (case.code, path) in found, (case, english)
    answered: Json = english
    return answered


def has_chinese(text: str) -> bool:
    """Whether it has a Chinese character."""
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


async def refuse_all(db: Database, world: World, cases: Sequence[Case]) -> None:
    """All are refused, and nothing is written."""
    before = await rows(db, world)
    for case in cases:
        refuse(world, case)
    assert await rows(db, world) == before


# --- what is typed


def entry(world: World, content: Json, code: str, path: str, item: str = "M", **more: Any) -> Case:
    """One value of a unit that nobody has reported."""
    who = "secretary" if item == "M" else "assessor"
    given = {"taskId": world.ids["open"]["tasks"]["b1", item], "content": content, **more}
    return Case(who, "saveEntries", {"entries": [given]}, code, f"entries.0.{path}")


@pytest.mark.parametrize(
    "number",
    [
        *("NaN", "-NaN", "Infinity", "1e3", "1E3", "0x10", "+1", "--1", "", " 1", "1 ", "1.", ".5", "01", "1,000"),
        *("４０", "١٢", "一", "1\u0000", "\u200b1", "\n1", "1" * 39, "0." + "1" * 38),
    ],
)
async def test_numbers_that_are_none(db: Database, world: World, number: str) -> None:
    await refuse_all(db, world, [entry(world, {"number": number}, "INVALID_DECIMAL", "content.number", item="V")])


async def test_values_that_do_not_fit(db: Database, world: World) -> None:
    task = world.ids["open"]["tasks"]["b1", "M"]
    fine = {"taskId": task, "content": {"number": "1"}}
    await refuse_all(
        db,
        world,
        [
            entry(world, {"number": "101"}, "INVALID", "content.number"),
            entry(world, {"number": "-1"}, "INVALID", "content.number"),
            entry(world, {"number": "1.5"}, "INVALID", "content.number"),
            entry(world, {"number": "1.234"}, "INVALID", "content.number", item="V"),
            entry(world, {"yesNo": True}, "INVALID", "content.yesNo"),
            entry(world, {"choice": "a"}, "INVALID", "content.choice"),
            entry(world, {"counts": [{"option": "a", "count": 1}]}, "INVALID", "content.counts"),
            entry(world, {"scores": ["1"]}, "INVALID", "content.scores"),
            entry(world, {"number": "1"}, "INVALID_TEXT", "note", note="a\u0007b"),
            entry(world, {"number": "1"}, "INVALID_TEXT", "note", note="长" * 5000),
            Case("secretary", "saveEntries", {"entries": [fine, fine]}, "DUPLICATE", "entries.1.taskId"),
            Case("secretary", "saveEntries", {"entries": [fine] * 5001}, "TOO_LARGE", "entries"),
            Case("secretary", "saveEntries", {"entries": []}, "INVALID", "entries"),
            Case(
                "secretary",
                "saveEntries",
                {"entries": [fine, {"taskId": "nothing", "content": {"number": "1"}}]},
                "INVALID_ID",
                "entries.1.taskId",
            ),
        ],
    )


async def test_all_faults_are_told_at_once(db: Database, world: World) -> None:
    before = await rows(db, world)
    tasks = world.ids["open"]["tasks"]
    entries = [
        {"taskId": tasks["b1", "M"], "content": {"number": "x"}},
        {"taskId": tasks["b2", "M"], "content": {"number": "101"}},
    ]
    told = refuse(world, Case("secretary", "saveEntries", {"entries": entries}, "INVALID", "entries.1.content.number"))
    assert told["issueCount"] == 2
    assert [issue["code"] for issue in told["issues"]] == ["INVALID_DECIMAL", "INVALID"]
    assert await rows(db, world) == before


async def test_texts_dates_and_codes(db: Database, world: World) -> None:
    unit = {"orgUnitId": world.ids["units"]["b1"], "version": 1}
    texts = {"a\u0007b", "a\u0000b", "a\u202eb", "a\u200bb", "  ", "", "长" * 201, "a\nb", "\ufeffa"}
    dates = {"2026-02-30", "2026-2-3", "２０２６-02-03", "tomorrow", "2026-02-03T00:00:00Z", ""}
    item = {"name": "新", "definition": "口径", "type": "NUMBER"}
    at = "dataItems.0.code"
    token = {"displayName": "新", "grants": [{"role": "OBSERVER", "unitId": world.ids["units"]["b1"]}]}
    await refuse_all(
        db,
        world,
        [Case("administrator", "renameOrgUnit", {**unit, "name": text}, "INVALID_TEXT", "name") for text in texts]
        + [
            Case("administrator", "renameOrgUnit", {**unit, "name": "新", "from": day}, "INVALID_DATETIME", "from")
            for day in dates
        ]
        + [
            Case("organiser", "createDataItems", {"dataItems": [{**item, "code": code}]}, "INVALID_TEXT", at)
            for code in ("", "编码", "a b", "-a", "ａ", "a" * 65, "a\u0000")
            for place in ["dataItems.0.code"]
        ]
        + [
            Case("administrator", "createCategory", {"code": "c1", "name": "新"}, "DUPLICATE", "code"),
            *(
                Case("administrator", "createServiceToken", {**token, "expiresAt": when}, code, "expiresAt")
                for when, code in (("2020-01-01T00:00:00Z", "INVALID"), ("2099-01-01", "INVALID_DATETIME"))
            ),
            Case("organiser", "createDataItems", {"dataItems": [item | {"code": "n"}] * 501}, "TOO_LARGE", "dataItems"),
            Case("organiser", "importScheme", {"document": "{"}, "INVALID", "document"),
        ],
    )


# --- schemes and trees


async def test_a_scheme_whose_points_do_not_add_up(db: Database, world: World) -> None:
    draft = {"schemeVersionId": world.ids["draft"]["id"], "version": world.ids["draft"]["version"]}
    before = await rows(db, world)
    (issue,) = refuse(world, Case("organiser", "freezeSchemeVersion", draft, "INVALID", "ROOT.dim.points"))["issues"]
    assert "90" in issue["message"]
    assert await rows(db, world) == before


async def test_rings(db: Database, world: World) -> None:
    units, drafted = world.ids["units"], world.ids["drafted"]
    up = {"orgUnitId": units["t1"], "version": 1}
    branch = {"name": "环", "kind": "BRANCH"}
    ring = [{**branch, "code": "r1", "parentCode": "r2"}, {**branch, "code": "r2", "parentCode": "r1"}]
    indicator = {"indicatorId": drafted["dim"]["id"], "version": drafted["dim"]["version"], "position": 0}
    await refuse_all(
        db,
        world,
        [
            Case("administrator", "moveOrgUnit", {**up, "parentId": units["b1"]}, "INVALID", "parentId"),
            Case("administrator", "moveOrgUnit", {**up, "parentId": units["t1"]}, "INVALID", "parentId"),
            Case("administrator", "importOrgUnits", {"units": ring}, "INVALID", "units.0.parentCode"),
            *(
                Case("organiser", "moveIndicator", {**indicator, "parentId": drafted[to]["id"]}, "INVALID", "parentId")
                for to in ("dim", "members")
            ),
        ],
    )


# --- who, what and when


async def test_versions_ids_and_roles(db: Database, world: World, other: World) -> None:
    units, ids = world.ids["units"], world.ids
    name = {"version": 1, "name": "新"}
    task = ids["open"]["tasks"]["b1", "M"]
    review = {"version": 1, "decision": {"accept": {}}}
    await refuse_all(
        db,
        world,
        [
            *(
                Case(
                    "administrator",
                    "renameOrgUnit",
                    {**name, "orgUnitId": units["b1"], "version": version},
                    "VERSION_CONFLICT",
                    "version",
                )
                for version in (0, 2, -1)
            ),
            *(
                Case("administrator", "renameOrgUnit", {**name, "orgUnitId": given}, code, "orgUnitId")
                for given, code in (
                    (other.ids["units"]["b1"], "NOT_FOUND"),
                    (ids["cycle"], "INVALID_ID"),
                    ("nonsense", "INVALID_ID"),
                    ("", "INVALID_ID"),
                    (units["b1"] + "=", "INVALID_ID"),
                    ("x" * 10_000, "INVALID_ID"),
                )
            ),
            Case("secretary", "createCategory", {"code": "n", "name": "新"}, "FORBIDDEN", ""),
            Case("secretary", "startRankingRun", {"cycleId": ids["cycle"]}, "FORBIDDEN", "cycleId"),
            Case("observer", "importOrgUnits", {"units": []}, "FORBIDDEN", ""),
            Case(
                "reviewer",
                "saveEntries",
                {"entries": [{"taskId": task, "content": {"number": "1"}}]},
                "FORBIDDEN",
                "entries.0.taskId",
            ),
            Case(
                "secretary",
                "reviewAssessments",
                {"reviews": [{**review, "assessmentId": ids["open"]["assessments"]["b1", "members"]["id"]}]},
                "FORBIDDEN",
                "reviews.0.assessmentId",
            ),
        ],
    )


async def test_states(db: Database, world: World) -> None:
    ids = world.ids
    cycle = {"cycleId": ids["cycle"], "version": ids["cycle version"]}
    run = {"runId": ids["run"], "version": ids["cycle version"]}
    judged = {"taskId": ids["tasks"]["b1", "M"], "version": 1, "content": {"number": "1"}}
    late = {"taskId": ids["late"]["tasks"]["b1", "M"], "content": {"number": "1"}}
    frozen = {"schemeVersionId": ids["frozen"], "version": 4}
    await refuse_all(
        db,
        world,
        [
            Case("organiser", "startRankingRun", {"cycleId": ids["draft cycle"]["id"]}, "ILLEGAL_STATE", "cycleId"),
            Case("organiser", "publishRun", {**run, "kind": "NOTICE", "title": "公示"}, "ILLEGAL_STATE", "kind"),
            Case("organiser", "publishRun", {**run, "kind": "FINAL", "title": "通报"}, "ILLEGAL_STATE", "kind"),
            Case("organiser", "adoptRun", run, "ILLEGAL_STATE", "runId"),
            Case("organiser", "archiveCycle", cycle, "ILLEGAL_STATE", "cycleId"),
            Case("organiser", "openCycle", cycle, "ILLEGAL_STATE", "cycleId"),
            Case("organiser", "editSchemeVersion", {**frozen, "label": "新"}, "ILLEGAL_STATE", "schemeVersionId"),
            Case("organiser", "retryJob", {"jobId": ids["job"]}, "ILLEGAL_STATE", "jobId"),
            Case("organiser", "cancelJob", {"jobId": ids["job"]}, "ILLEGAL_STATE", "jobId"),
            Case("organiser", "cancelRankingRun", {"runId": ids["run"]}, "ILLEGAL_STATE", "runId"),
            Case("secretary", "saveEntries", {"entries": [judged]}, "ILLEGAL_STATE", "entries.0.taskId"),
            Case("secretary", "saveEntries", {"entries": [late]}, "DEADLINE_PASSED", "entries.0.taskId"),
            Case(
                "secretary",
                "submitReport",
                {"reportId": ids["late"]["reports"]["b1"], "version": 1},
                "DEADLINE_PASSED",
                "reportId",
            ),
        ],
    )


# --- keys


async def test_keys(db: Database, world: World) -> None:
    given = {"code": "n", "name": "新"}
    await refuse_all(
        db,
        world,
        [
            Case("administrator", "createCategory", {**given, "idempotencyKey": key}, code, "idempotencyKey")
            for key, code in (("", "INVALID_IDEMPOTENCY_KEY"), ("键", "INVALID_IDEMPOTENCY_KEY"))
        ]
        + [
            Case("administrator", "createCategory", {**given, "idempotencyKey": key}, code, "idempotencyKey")
            for key, code in (("k" * 129, "INVALID_IDEMPOTENCY_KEY"), ("a\n", "INVALID_IDEMPOTENCY_KEY"))
        ],
    )
    key = str(uuid.uuid4())
    administrator = world.callers["administrator"]
    administrator.mutate("createCategory", "category { id }", key=key, code="k1", name="新类")
    again = {"code": "k2", "name": "新类", "idempotencyKey": key}
    await refuse_all(
        db, world, [Case("administrator", "createCategory", again, "IDEMPOTENCY_KEY_REUSED", "idempotencyKey")]
    )


async def test_a_refused_key_serves_the_mended_input(world: World) -> None:
    key = str(uuid.uuid4())
    administrator = world.callers["administrator"]
    assert administrator.result("createCategory", "category { id }", key=key, code="??", name="再类")["code"]
    administrator.mutate("createCategory", "category { id }", key=key, code="k3", name="再类")


TWINS: Mapping[str, Callable[[World], tuple[str, str, Json]]] = {
    "createCategory": lambda world: ("administrator", "category { id }", {"code": "twin", "name": "孪生"}),
    "createOrgUnit": lambda world: (
        "administrator",
        "orgUnit { id }",
        {"code": "twin", "name": "孪生支部", "kind": "BRANCH", "parentId": world.ids["units"]["t1"]},
    ),
    "renameOrgUnit": lambda world: (
        "administrator",
        "orgUnit { id version }",
        {"orgUnitId": world.ids["units"]["d1"], "version": 1, "name": "孪生局"},
    ),
    "saveEntries": lambda world: (
        "secretary",
        "entries { id version }",
        {"entries": [{"taskId": world.ids["open"]["tasks"]["b2", "M"], "content": {"number": "7"}}]},
    ),
    "startRankingRun": lambda world: ("organiser", "run { id job { id } }", {"cycleId": world.ids["cycle"]}),
}


@pytest.mark.parametrize("field", TWINS)
async def test_twins_have_the_effect_of_one(db: Database, world: World, field: str) -> None:
    who, selection, given = TWINS[field](world)
    caller, key = world.callers[who], str(uuid.uuid4())
    before = await rows(db, world)
    answers = await asyncio.gather(
        *(asyncio.to_thread(caller.result, field, selection, key=key, **given) for _ in range(6))
    )
    answers.append(caller.result(field, selection, key=key, **given))
    assert {answer["__typename"] for answer in answers} == {f"{field[0].upper()}{field[1:]}Success"}
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1, "all see the one effect"
    if field == "startRankingRun":
        assert caller.wait_for_job(answers[0]["run"]["job"]["id"]) == "SUCCEEDED"
    after = await rows(db, world)
    grown = {name: after[name][0] - before[name][0] for name in after}
    # The run is another event of its own when it has been computed.
    assert grown["audit_events"] == (2 if field == "startRankingRun" else 1)
    assert grown["idempotency_keys"] == 1
    assert grown["ranking_runs"] == (field == "startRankingRun")
    assert grown["entry_revisions"] == (field == "saveEntries")
    assert grown["org_units"] == (field == "createOrgUnit")


# --- tokens, requests and HTTP


def refused_request(send: Callable[[Mapping[str, str]], httpx.Response], code: str, status: int) -> Json:
    """The error of a request that did not run, in both languages; the English one."""
    told = []
    for language in ("zh-CN", "en"):
        answer = send({"accept": "application/graphql-response+json", "accept-language": language})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-language"] == language
        told.append(answer.json()["errors"][0])
    chinese, english = told
    assert chinese["extensions"]["code"] == english["extensions"]["code"] == code, english
    assert chinese["extensions"].get("path") == english["extensions"].get("path")
    assert has_chinese(chinese["message"]), chinese
    assert english["message"], english
    assert chinese["message"] != english["message"], english
    assert has_chinese(chinese["extensions"]["hint"]), chinese
    assert english["extensions"]["hint"], english
    assert chinese["extensions"]["hint"] != english["extensions"]["hint"]
    found: Json = english
    return found


def tokens(world: World, other: World, settings: Settings) -> dict[str, str]:
    """Bearer tokens that open nothing."""
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    made = world.callers["administrator"].mutate(
        "createMember",
        "member { id }",
        displayName="某某",
        signInName=f"m{uuid.uuid4().hex[:8]}",
        password="a long password",
        grants=[{"role": "ADMINISTRATOR", "unitId": world.ids["units"]["root"]}],
    )
    member = parse_id(made["member"]["id"])
    here = parse_id(world.callers["observer"].query("{ tenant { id } }")["tenant"]["id"])
    there = parse_id(other.callers["observer"].query("{ tenant { id } }")["tenant"]["id"])
    assert member is not None
    assert here is not None
    assert there is not None
    good = issue_jwt(key, tenant_id=here[1], member_id=member[1], minutes=5).token
    assert Client(world.callers["observer"].url, good).query("{ viewer { roles } }")["viewer"]["roles"]
    claims = {"iss": ISSUER, "tid": str(here[1]), "sub": str(member[1]), "iat": datetime.now(UTC)}
    lasting = {**claims, "exp": datetime.now(UTC) + timedelta(hours=1)}
    opaque = other.callers["observer"].token
    assert opaque is not None
    revoked = world.callers["administrator"].mutate(
        "createServiceToken",
        "secret serviceToken { id version }",
        displayName="弃用",
        grants=[{"role": "OBSERVER", "unitId": world.ids["units"]["root"]}],
        expiresAt=small.expiry(),
    )
    given = {"serviceTokenId": revoked["serviceToken"]["id"], "version": revoked["serviceToken"]["version"]}
    world.callers["administrator"].mutate("revokeServiceToken", "serviceToken { id }", **given)
    return {
        "malformed": "nonsense",
        "cut off": good[:-2],
        "expired": issue_jwt(key, tenant_id=here[1], member_id=member[1], minutes=-5).token,
        "of another district's tenant": issue_jwt(key, tenant_id=there[1], member_id=member[1], minutes=5).token,
        "signed by another": jwt.encode(lasting, "another key, of 32 bytes or more", algorithm=ALGORITHM),
        "not signed": jwt.encode(lasting, "", algorithm="none"),
        "without end": jwt.encode(claims, key, algorithm=ALGORITHM),
        "of another issuer": jwt.encode({**lasting, "iss": "else"}, key, algorithm=ALGORITHM),
        "opaque of another district": f"kp_{here[1].hex}_{opaque.rpartition('_')[2]}",
        "opaque and unknown": f"kp_{here[1].hex}_{'a' * 43}",
        "revoked": revoked["secret"],
        "very long": "a" * 6000,
    }


async def test_tokens(db: Database, world: World, other: World, settings: Settings) -> None:
    url = world.callers["observer"].url
    bad = tokens(world, other, settings)
    before = await rows(db, world)
    document = 'mutation { createCategory(input: {code: "x", name: "x", idempotencyKey: "x"}) { __typename } }'
    for name, token in bad.items():
        for query in ("{ viewer { roles } }", document):

            def send(headers: Mapping[str, str], query: str = query, token: str = token) -> httpx.Response:
                return httpx.post(
                    f"{url}/graphql",
                    json={"query": query},
                    headers={**headers, "authorization": f"Bearer {token}"},
                    verify=TRUSTED,
                )

            told = refused_request(send, "UNAUTHENTICATED", 401)
            assert token not in json.dumps(told), name
    assert await rows(db, world) == before


SHAPES: Mapping[str, Json] = {
    "an unknown rule": {"rule": {"magic": {}}},
    "two rules": {"rule": {"award": {"step": "1"}, "yesNo": {"dataItemId": "x"}}},
    "no rule": {"rule": {}},
    "a rule that is null": {"rule": {"award": None}},
    "a number for a decimal": {"points": 1.5},
    "an unknown field": {"colour": "red"},
    "a list for a text": {"wording": ["a"]},
    "an unknown word": {"aggregation": "MEDIAN"},
}


async def test_faults_of_shape(db: Database, world: World) -> None:
    ids, caller = world.ids, world.callers["organiser"]
    before = await rows(db, world)
    for name, wrong in SHAPES.items():
        given = {
            "schemeVersionId": ids["draft"]["id"],
            "parentId": ids["drafted"]["dim"]["id"],
            "indicator": {"code": "n", "name": "新", "points": "1", "basis": "文件", **wrong},
            "idempotencyKey": "k",
        }

        def send(headers: Mapping[str, str], given: Json = given) -> httpx.Response:
            query = "mutation ($input: AddIndicatorInput!) { addIndicator(input: $input) { __typename } }"
            return httpx.post(
                f"{caller.url}/graphql",
                json={"query": query, "variables": {"input": given}},
                headers={**headers, "authorization": f"Bearer {caller.token}"},
                verify=TRUSTED,
            )

        told = refused_request(send, "BAD_USER_INPUT", 400)
        assert told["extensions"]["path"], (name, told)
    assert await rows(db, world) == before


async def test_requests_that_abuse(db: Database, world: World) -> None:
    caller = world.callers["organiser"]
    before = await rows(db, world)
    mutation = 'mutation { createCategory(input: {code: "x", name: "x", idempotencyKey: "x"}) { __typename } }'
    deep = "{ cycles { edges { node { " + "previousCycle { " * 30 + "id" + " }" * 30 + " } } } }"
    js = "application/json"
    bodies: list[tuple[bytes, str, str, int]] = [
        (b'{"query": "{ tenant { id } }", "variables": {"a": NaN}}', js, "BAD_USER_INPUT", 400),
        (b'{"query": "{ tenant { id } }"', js, "BAD_USER_INPUT", 400),
        (b'[{"query": "{ tenant { id } }"}]', js, "BAD_USER_INPUT", 400),
        (b'{"query": "\xff\xfe"}', js, "BAD_USER_INPUT", 400),
        (b'{"query": "{ tenant { id } }", "variables": {"a": "\\ud800"}}', js, "BAD_USER_INPUT", 400),
        (b"[" * 100_000, js, "BAD_USER_INPUT", 400),
        (json.dumps({"query": mutation}).encode(), "text/plain", "BAD_USER_INPUT", 415),
        (b"query=" + mutation.encode(), "application/x-www-form-urlencoded", "BAD_USER_INPUT", 415),
        (json.dumps({"query": "{ tenant { id }"}).encode(), js, "GRAPHQL_PARSE_FAILED", 400),
        (json.dumps({"query": "{ nothing }"}).encode(), js, "GRAPHQL_VALIDATION_FAILED", 400),
        (json.dumps({"query": deep}).encode(), js, "QUERY_TOO_COMPLEX", 400),
        (json.dumps({"query": "{ " + "a: tenant { id } " * 200 + "}"}).encode(), js, "QUERY_TOO_COMPLEX", 400),
        (json.dumps({"query": "{ cycles(first: 101) { edges { cursor } } }"}).encode(), js, "INVALID", 200),
        (json.dumps({"query": '{ cycles(after: "x") { edges { cursor } } }'}).encode(), js, "INVALID_CURSOR", 200),
        (json.dumps({"query": '{ cycle(id: "x") { id } }'}).encode(), js, "INVALID_ID", 200),
        (b'{"query": "' + b" " * 17 * 1024 * 1024 + b'"}', js, "TOO_LARGE", 413),
    ]
    for body, kind, code, status in bodies:

        def send(headers: Mapping[str, str], body: bytes = body, kind: str = kind) -> httpx.Response:
            return httpx.post(
                f"{caller.url}/graphql",
                content=body,
                headers={**headers, "authorization": f"Bearer {caller.token}", "content-type": kind},
                timeout=30,
                verify=TRUSTED,
            )

        refused_request(send, code, status)

    def get(headers: Mapping[str, str]) -> httpx.Response:
        given = {**headers, "authorization": f"Bearer {caller.token}"}
        return httpx.get(f"{caller.url}/graphql", params={"query": mutation}, headers=given, verify=TRUSTED)

    refused_request(get, "BAD_USER_INPUT", 405)
    assert await rows(db, world) == before
