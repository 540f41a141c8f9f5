"""What is asked of both servers, in the fastest form that each has, and how their answers compare (对比问题)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.ids import encode_id
from tests.bench.measured_district import Measured

Json = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """A document for one of the servers, its variables, and its answer in the words of neither."""

    document: str
    variables: Callable[[Measured], Json]
    content: Callable[[Any], Any]


@dataclass(frozen=True)
class Question:
    """The same question to both."""

    name: str
    who: str
    """Organiser or secretary."""
    goal: float
    """Times PostGraphile, at least."""
    kaoping: Side
    postgraphile: Side


def _number(given: Any) -> str | None:
    return None if given is None else f"{Decimal(given).normalize():f}"


def _page(connection: Json) -> tuple[Any, ...]:
    page = connection["pageInfo"]
    return page["hasNextPage"], page["endCursor"] is not None


# --- a board: 100 standings with 10 dimension scores


def _kaoping_board(data: Json) -> Any:
    page = data["publication"]["standings"]
    return _page(page), [
        (
            node["rank"],
            _number(node["total"]),
            node["unit"]["code"],
            node["unit"]["name"],
            [(each["indicator"]["code"], _number(each["score"])) for each in node["dimensions"]],
        )
        for node in (edge["node"] for edge in page["edges"])
    ]


def _postgraphile_board(data: Json) -> Any:
    page = data["allStandings"]
    return _page(page), [
        (
            node["rank"],
            _number(node["total"]),
            node["cycleUnitByTenantIdAndCycleUnitId"]["code"],
            node["cycleUnitByTenantIdAndCycleUnitId"]["name"],
            [
                (each["indicatorByTenantIdAndIndicatorId"]["code"], _number(each["score"]))
                for each in node["standingDimensionsByTenantIdAndStandingId"]["nodes"]
            ],
        )
        for node in page["nodes"]
    ]


BOARD = Question(
    "board page, 100 standings × 10 scores",
    "organiser",
    3.5,
    Side(
        """query Board($id: ID!) { publication(id: $id) { standings(first: 100) {
             edges { node { rank total unit { code name } dimensions { score indicator { code } } } }
             pageInfo { hasNextPage endCursor } } } }""",
        lambda measured: {"id": encode_id("Publication", _sure(measured.publication))},
        _kaoping_board,
    ),
    Side(
        """query Board($run: UUID!) { allStandings(first: 100, condition: { runId: $run }, orderBy: POSITION_ASC) {
             nodes { rank total cycleUnitByTenantIdAndCycleUnitId { code name }
               standingDimensionsByTenantIdAndStandingId(orderBy: POSITION_ASC) {
                 nodes { score indicatorByTenantIdAndIndicatorId { code } } } }
             pageInfo { hasNextPage endCursor } } }""",
        lambda measured: {"run": str(measured.runs[-1])},
        _postgraphile_board,
    ),
)

# --- a secretary's worklist


def _kaoping_worklist(data: Json) -> Any:
    page = data["viewer"]["worklist"]
    return _page(page), [
        (
            node["state"],
            node["dueOn"],
            (node["unit"]["code"], node["unit"]["name"]),
            (node["dataItem"]["code"], node["dataItem"]["name"], node["dataItem"]["unitOfMeasure"]),
            None
            if (entry := node["entry"]) is None
            else (entry["state"], entry["version"], _number((entry["value"] or {}).get("number"))),
        )
        for node in (edge["node"] for edge in page["edges"])
    ]


def _postgraphile_worklist(data: Json) -> Any:
    page = data["allBenchWorklists"]
    return _page(page), [
        (
            node["state"],
            node["dueOn"],
            tuple(node["cycleUnitByTenantIdAndCycleUnitId"].values()),
            tuple(node["dataItemByTenantIdAndDataItemId"].values()),
            None
            if (entry := node["entryByTenantIdAndTaskId"]) is None
            else (entry["state"], entry["version"], _number(entry["number"])),
        )
        for node in page["nodes"]
    ]


WORKLIST = Question(
    "worklist of a secretary, 30 tasks",
    "secretary",
    3.0,
    Side(
        """query Worklist { viewer { worklist(first: 30) {
             edges { node { id state dueOn unit { code name } dataItem { code name unitOfMeasure }
               entry { state version value { ... on NumberValue { number } } } } }
             pageInfo { hasNextPage endCursor } } } }""",
        lambda _measured: {},
        _kaoping_worklist,
    ),
    Side(
        """query Worklist { allBenchWorklists(first: 30, orderBy: [DUE_AT_ASC, POSITION_ASC]) {
             nodes { id state dueOn cycleUnitByTenantIdAndCycleUnitId { code name }
               dataItemByTenantIdAndDataItemId { code name unitOfMeasure }
               entryByTenantIdAndTaskId { state version number } }
             pageInfo { hasNextPage endCursor } } }""",
        lambda _measured: {},
        _postgraphile_worklist,
    ),
)

# --- a cycle's tree with statistics

COUNTERS = ("asked", "submitted", "ready", "accepted", "returned")


def _kaoping_tree(data: Json) -> Any:
    cycle = data["cycle"]
    version = cycle["schemeVersion"]
    return (
        (cycle["code"], cycle["name"], cycle["state"], version["number"], version["weighting"]),
        [
            (
                dimension["code"],
                dimension["name"],
                _number(dimension["weight"]),
                [
                    (
                        leaf["code"],
                        leaf["name"],
                        _number(leaf["weight"]),
                        leaf["rule"]["kind"],
                        [leaf["progress"][name] for name in COUNTERS],
                    )
                    for leaf in dimension["children"]
                ],
            )
            for dimension in version["root"]["children"]
        ],
    )


def _postgraphile_tree(data: Json) -> Any:
    cycle = data["cycleByTenantIdAndRowId"]
    version = cycle["schemeVersionByTenantIdAndSchemeVersionId"]
    (root,) = version["indicatorsByTenantIdAndSchemeVersionId"]["nodes"]
    return (
        (cycle["code"], cycle["name"], cycle["state"], version["number"], version["weighting"]),
        [
            (
                dimension["code"],
                dimension["name"],
                _number(dimension["weight"]),
                [
                    (
                        leaf["code"],
                        leaf["name"],
                        _number(leaf["weight"]),
                        leaf["rule"]["kind"],
                        [
                            sum(row[name] for row in leaf["progressCountersByTenantIdAndSubjectId"]["nodes"])
                            for name in COUNTERS
                        ],
                    )
                    for leaf in dimension["indicatorsByTenantIdAndParentId"]["nodes"]
                ],
            )
            for dimension in root["indicatorsByTenantIdAndParentId"]["nodes"]
        ],
    )


TREE = Question(
    "deep tree of a cycle, 110 nodes, statistics",
    "organiser",
    3.0,
    Side(
        f"""query Tree($id: ID!) {{ cycle(id: $id) {{ code name state schemeVersion {{ number weighting root {{
              code name children {{ code name weight children {{ code name weight rule {{ kind }}
                progress(cycleId: $id) {{ {" ".join(COUNTERS)} }} }} }} }} }} }} }}""",
        lambda measured: {"id": encode_id("Cycle", measured.cycles[-1])},
        _kaoping_tree,
    ),
    Side(
        f"""query Tree($tenant: UUID!, $cycle: UUID!) {{ cycleByTenantIdAndRowId(tenantId: $tenant, rowId: $cycle) {{
              code name state schemeVersionByTenantIdAndSchemeVersionId {{ number weighting
                indicatorsByTenantIdAndSchemeVersionId(condition: {{ depth: 0 }}) {{ nodes {{ code name
                  indicatorsByTenantIdAndParentId(orderBy: POSITION_ASC) {{ nodes {{ code name weight
                    indicatorsByTenantIdAndParentId(orderBy: POSITION_ASC) {{ nodes {{ code name weight rule
                      progressCountersByTenantIdAndSubjectId(condition: {{ cycleId: $cycle }}) {{ nodes {{
                        {" ".join(COUNTERS)} }} }} }} }} }} }} }} }} }} }} }}""",
        lambda measured: {"tenant": str(measured.tenant.id), "cycle": str(measured.cycles[-1])},
        _postgraphile_tree,
    ),
)

# --- one node


def _kaoping_node(data: Json) -> Any:
    node = data["node"]
    return node["code"], node["name"], node["kind"], node["category"], node["parent"]


def _postgraphile_node(data: Json) -> Any:
    node = data["orgUnitByTenantIdAndRowId"]
    category, parent = node["categoryByTenantIdAndCategoryId"], node["orgUnitByTenantIdAndParentId"]
    return node["code"], node["name"], node["kind"], category, parent


NODE = Question(
    "single node",
    "organiser",
    2.0,
    Side(
        """query Node($id: ID!) { node(id: $id) { ... on OrgUnit {
             id code name kind category { code name } parent { code name } } } }""",
        lambda measured: {"id": encode_id("OrgUnit", measured.loaded.unit_ids[0])},
        _kaoping_node,
    ),
    Side(
        """query Node($tenant: UUID!, $id: UUID!) { orgUnitByTenantIdAndRowId(tenantId: $tenant, rowId: $id) {
             id code name kind categoryByTenantIdAndCategoryId { code name }
             orgUnitByTenantIdAndParentId { code name } } }""",
        lambda measured: {"tenant": str(measured.tenant.id), "id": str(measured.loaded.unit_ids[0])},
        _postgraphile_node,
    ),
)

QUESTIONS = (BOARD, WORKLIST, TREE, NODE)

# --- saving one value

KAOPING_SAVE = """mutation Save($input: SaveEntriesInput!) { saveEntries(input: $input) { __typename
    ... on SaveEntriesSuccess { entries { id state version revision } } ... on Error { code message path } } }"""

POSTGRAPHILE_SAVE = """mutation Save($task: UUID!, $number: BigFloat!, $version: Int!, $key: String!) {
    benchSaveEntry(input: { theTask: $task, theNumber: $number, seenVersion: $version, theKey: $key }) {
      result { id state version revision } } }"""


def _sure(given: Any) -> Any:
    assert given is not None
    return given


def same(question: Question, kaoping: Mapping[str, Any], postgraphile: Mapping[str, Any]) -> bool:
    """Whether two answers say the same."""
    if kaoping.get("errors") or postgraphile.get("errors"):
        return False
    return bool(question.kaoping.content(kaoping["data"]) == question.postgraphile.content(postgraphile["data"]))
