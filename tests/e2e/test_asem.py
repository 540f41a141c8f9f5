"""A real index through the whole product: 51 countries × 49 indicators, against the results of the reference tool.

Data and results: COINr's ASEM example, see tests/data/asem/README.md. Everything is set up through the GraphQL API and
computed by a real worker.
"""

import csv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client, Installation
from tests.small import today

DATA = Path(__file__).parent.parent / "data" / "asem"
TOLERANCE = Decimal("1e-9")
ROOT = "Index"


def rows(name: str) -> list[dict[str, str]]:
    """A file of the data."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plain(number: str) -> str:
    """A number without exponent."""
    return format(Decimal(number), "f")


class Tree:
    """The index as the data has it."""

    def __init__(self) -> None:
        nodes = [row for row in rows("tree.csv") if row["Type"] in ("Indicator", "Aggregate")]
        self.leaves = [row for row in nodes if row["Type"] == "Indicator"]
        self.parents = {row["iCode"]: row["Parent"] for row in nodes}
        inner = [row for row in nodes if row["Type"] == "Aggregate" and row["iCode"] != ROOT]
        self.nodes = sorted(inner, key=lambda row: -int(row["Level"]))
        self.values = rows("values.csv")
        self.countries = [row["uCode"] for row in self.values]
        self.names = {row["uCode"]: row["uName"] for row in rows("raw.csv")}


def set_up(installation: Installation, tree: Tree, weights: dict[str, str]) -> tuple[Client, str]:
    """A district with the index as its scheme, all values settled; the organiser and the cycle's id."""
    tenant = installation.district()
    admin = installation.client(tenant, "ADMINISTRATOR")
    organiser = installation.client(tenant, "ORGANISER")
    category = admin.mutate("createCategory", "category { id }", code="country", name="Countries")["category"]["id"]
    units = [{"code": "STAT", "name": "Statistics", "kind": "DEPARTMENT"}] + [
        {"code": code, "name": tree.names[code], "kind": "BRANCH", "categoryCode": "country"} for code in tree.countries
    ]
    assert admin.mutate("importOrgUnits", "created", units=units)["created"] == 52
    office = admin.query('{ orgUnits(filter: {codes: ["STAT"]}) { edges { node { id } } } }')
    department = office["orgUnits"]["edges"][0]["node"]["id"]
    assessor = installation.client(tenant, "ASSESSOR", "STAT")
    items = organiser.mutate(
        "createDataItems",
        "dataItems { id code }",
        dataItems=[
            {
                "code": leaf["iCode"],
                "name": leaf["iName"],
                "definition": f"{leaf['iName']}, {leaf['Unit']}",
                "type": "NUMBER",
                "scale": 30,
                "source": "REVIEWED",
                "responsibleUnitIds": [department],
            }
            for leaf in tree.leaves
        ],
    )["dataItems"]
    ids = {item["code"]: item["id"] for item in items}
    version = organiser.mutate(
        "createScheme",
        "schemeVersion { id version }",
        code="asem",
        name="ASEM Sustainable Connectivity",
        weighting="RELATIVE",
        fullMarks="100",
        categoryIds=[category],
    )["schemeVersion"]
    version = organiser.mutate(
        "editSchemeVersion",
        "schemeVersion { id version }",
        schemeVersionId=version["id"],
        version=version["version"],
        settings={"roundingPlaces": 12, "reviewLevels": [], "skipNotice": True},
    )["schemeVersion"]

    def node(row: dict[str, str], **more: Any) -> dict[str, Any]:
        parent = None if row["Parent"] == ROOT else row["Parent"]
        indicator = {
            "code": row["iCode"],
            "name": row["iName"],
            "weight": weights[row["iCode"]],
            "basis": "COINr, ASEM example",
            **more,
        }
        return {"indicator": indicator, **({"parentCode": parent} if parent else {})}

    tree_rows = [node(row) for row in tree.nodes] + [
        node(
            leaf,
            rule={
                "minmax": {
                    "quantity": {"numerator": {"terms": [{"dataItemId": ids[leaf["iCode"]]}]}},
                    "direction": "HIGHER" if leaf["Direction"] == "1" else "LOWER",
                }
            },
        )
        for leaf in tree.leaves
    ]
    version = organiser.mutate(
        "replaceIndicators",
        "schemeVersion { id version faults { message path } }",
        schemeVersionId=version["id"],
        version=version["version"],
        indicators=tree_rows,
    )["schemeVersion"]
    assert version["faults"] == []
    organiser.mutate(
        "freezeSchemeVersion", "schemeVersion { state }", schemeVersionId=version["id"], version=version["version"]
    )
    cycle = organiser.mutate(
        "createCycle",
        "cycle { id version }",
        cycle={
            "code": "asem-2018",
            "name": "ASEM 2018",
            "kind": "YEAR",
            "startsOn": "2018-01-01",
            "endsOn": "2018-12-31",
            "schemeVersionId": version["id"],
            "opensOn": str(today()),
            "dueOn": str(today() + timedelta(days=30)),
        },
    )["cycle"]
    job = organiser.mutate("openCycle", "job { id }", cycleId=cycle["id"], version=cycle["version"])["job"]
    assert organiser.wait_for_job(job["id"]) == "SUCCEEDED"
    tasks = assessor.nodes(
        """query ($id: ID!, $after: String) { cycle(id: $id) { tasks(first: 100, after: $after) {
            pageInfo { hasNextPage endCursor } edges { node { id unit { code } dataItem { code } } } } } }""",
        "cycle",
        "tasks",
        id=cycle["id"],
    )
    assert len(tasks) == 51 * 49
    by_country = {row["uCode"]: row for row in tree.values}
    saved = assessor.mutate(
        "saveEntries",
        "entries { id version }",
        entries=[
            {
                "taskId": task["id"],
                "content": {"number": plain(by_country[task["unit"]["code"]][task["dataItem"]["code"]])},
            }
            for task in tasks
        ],
    )["entries"]
    assessor.mutate("submitEntries", "entries { state }", entries=saved)
    return organiser, cycle["id"]


@pytest.mark.parametrize("weighting", ["equal", "unequal"])
def test_every_score_and_rank_is_that_of_the_reference_tool(installation: Installation, weighting: str) -> None:
    tree = Tree()
    weights = dict.fromkeys(tree.parents, "1")
    if weighting == "unequal":
        weights |= {row["iCode"]: plain(row["Weight"]) for row in rows("weights_unequal.csv")}
    organiser, cycle = set_up(installation, tree, weights)
    run = organiser.mutate("startRankingRun", "run { id job { id } }", cycleId=cycle)["run"]
    assert organiser.wait_for_job(run["job"]["id"]) == "SUCCEEDED"
    inner = [row["iCode"] for row in tree.nodes]
    scores = " ".join(f"{code}: nodeScore(code: {code!r}) {{ score }}".replace("'", '"') for code in inner)
    standings = organiser.nodes(
        f"""query ($id: ID!, $after: String) {{ rankingRun(id: $id) {{ unreviewedCount missingCount
            standings(first: 100, after: $after) {{ pageInfo {{ hasNextPage endCursor }} edges {{ node {{
            total rank unit {{ code }} {scores} leaves {{ indicator {{ code }} score }} }} }} }} }} }}""",
        "rankingRun",
        "standings",
        id=run["id"],
    )
    assert len(standings) == 51
    expected_scores = {row["uCode"]: row for row in rows(f"scores_{weighting}_weights.csv")}
    expected_ranks = {row["uCode"]: row for row in rows(f"ranks_{weighting}_weights.csv")}
    expected_leaves = {row["uCode"]: row for row in rows("leaf_scores.csv")}
    by_node: dict[str, dict[str, Decimal]] = {code: {} for code in [ROOT, *inner]}
    for standing in standings:
        country = standing["unit"]["code"]
        by_node[ROOT][country] = Decimal(standing["total"])
        for code in inner:
            by_node[code][country] = Decimal(standing[code]["score"])
        assert standing["rank"] == int(expected_ranks[country][ROOT]), country
        for leaf in standing["leaves"]:
            code = leaf["indicator"]["code"]
            assert abs(Decimal(leaf["score"]) - Decimal(expected_leaves[country][code])) <= TOLERANCE, (country, code)
        assert len(standing["leaves"]) == 49
    for code, scores_of in by_node.items():
        for country, score in scores_of.items():
            assert abs(score - Decimal(expected_scores[country][code])) <= TOLERANCE, (country, code)
            rank = 1 + sum(other > score for other in scores_of.values())
            assert rank == int(expected_ranks[country][code]), (country, code)
