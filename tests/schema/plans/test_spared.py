"""What a plan need not ask is not asked, and changes no answer (省去的核对): rules already met, parts nobody chose."""

from typing import Any

import orjson
import pytest

from schema.plans.plan import Sight
from schema.requests import GraphQLRequest
from schema.values import VALUE_PARTS, value_columns, value_json
from service.access import Role
from service.reports.rights import only, spared
from tests.schema.conftest import Caller
from tests.schema.plans.conftest import Both
from tests.schema.plans.district import Populated

pytestmark = pytest.mark.anyio

SEEN = Sight(everything=False, narrowed=False, roles=frozenset())


def callers(populated: Populated) -> list[Caller]:
    """All who are signed in."""
    return [caller for caller in populated.viewers.values() if caller.actor is not None]


async def test_whoever_has_to_fill_a_task_sees_it(populated: Populated, both: Both) -> None:
    """The worklist does not ask for the rule of tasks; `nodes` does."""
    filled = 0
    for caller in callers(populated):
        page = "{ viewer { worklist(first: 100) { edges { node { id } } } } }"
        told = await both.ask(caller, page)
        ids = [edge["node"]["id"] for edge in told["data"]["viewer"]["worklist"]["edges"]]
        found = await both.ask(caller, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids})
        assert [node and node["id"] for node in found["data"]["nodes"]] == ids
        filled += bool(ids)
    assert filled >= 2, "a unit's side and a department's"


async def test_an_entry_is_shown_at_its_task_to_whoever_may_see_it(populated: Populated, both: Both) -> None:
    """Reached from its task, an entry asks half of its own rule; `nodes` asks all of it."""
    known = populated.side.known
    seen = []
    for caller in callers(populated):
        document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Task { entry { id } } ... on Entry { id } } }"
        at_tasks = await both.ask(caller, document, {"ids": known["Task"]})
        by_id = await both.ask(caller, document, {"ids": known["Entry"]})
        here = {node["entry"]["id"] for node in at_tasks["data"]["nodes"] if node and node["entry"]}
        there = {node["id"] for node in by_id["data"]["nodes"] if node}
        assert here & set(known["Entry"]) == there
        seen.append(len(there))
    assert len(set(seen)) > 1, "people are shown different entries"


def test_what_only_a_role_leads_to_is_left_out() -> None:
    """For whoever holds none of the roles; one who may hold them is asked."""
    narrowed = only("narrowed", "b")
    template = f"{only('assessor reviewer', f'a OR {narrowed}')} OR c"
    assert spared(template, frozenset()) == "(a OR (b)) OR c"
    assert spared(template, frozenset({"narrowed", "assessor"})) == "(a OR false) OR c"
    assert spared(template, frozenset({"assessor", "reviewer"})) == "false OR c"


@pytest.mark.parametrize(
    ("role", "there", "missing"),
    [
        (Role.SECRETARY, "cycle_unit_ancestors", "org_unit_ancestors"),
        (Role.ASSESSOR, "org_unit_ancestors", "cycle_unit_ancestors"),
    ],
)
def test_a_worklist_starts_from_the_roles_that_are_held(both: Both, role: Role, there: str, missing: str) -> None:
    page = "{ viewer { worklist(first: 9) { edges { node { id } } } } }"
    operation = both.planned.prepare(GraphQLRequest(page, {}, None), "en")
    assert both.planned.plans is not None
    sight = Sight(everything=False, narrowed=False, roles=frozenset([role]))
    sql = both.planned.plans.prepare(operation, {}, sight, "en").sql
    assert there in sql
    assert missing not in sql


VALUES = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Entry {
    value { __typename ... on NumberValue { number } %s } } } }"""
RULES = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Indicator { rule { __typename %s } } } }"


@pytest.mark.parametrize(
    ("document", "type_name", "more", "part"),
    [
        (VALUES, "Entry", "... on CountsValue { total }", "jsonb_each_text"),
        (RULES, "Indicator", "kind text", "indicator_items"),
    ],
    ids=["value", "rule"],
)
async def test_parts_that_take_long_are_made_where_they_are_chosen(
    populated: Populated, both: Both, document: str, type_name: str, more: str, part: str
) -> None:
    kinds: dict[str, set[str | None]] = {}
    for chosen in ("", more):
        text = document % chosen
        variables = {"ids": populated.side.known[type_name]}
        operation = both.planned.prepare(GraphQLRequest(text, variables, None), "en")
        assert both.planned.plans is not None
        sql = both.planned.plans.prepare(operation, variables, SEEN, "en").sql
        assert (part in sql) == bool(chosen)
        for caller in callers(populated):
            told = await both.ask(caller, text, variables)
            for node in told["data"]["nodes"]:
                shown = node and (node.get("value") or node.get("rule"))
                kinds.setdefault(chosen, set()).add(shown and shown["__typename"])
    assert kinds[""] == kinds[more]
    assert len(kinds[""]) > 1


DETAILS = {
    "CHOICE": {"choice": "a"},
    "COUNTS": {"counts": {"a": 3, "b": 0}},
    "SCORES": {"scores": ["9.5", "8"]},
}
FITTING = [
    *(("NUMBER", number, None) for number in ("0", "1", "1.00", "2.50", "-1")),
    *(("INTEGER", number, None) for number in ("0", "1", "7")),
    *(("YES_NO", number, None) for number in ("0", "1")),
    *((kind, None, detail) for kind, detail in DETAILS.items()),
    *((kind, None, None) for kind in ("NUMBER", "INTEGER", "YES_NO", *DETAILS)),
]
"""Types with what may be entered for them, or nothing."""


@pytest.mark.parametrize(("kind", "number", "detail"), FITTING)
async def test_a_value_without_its_parts_is_the_value_but_for_them(
    populated: Populated, kind: str, number: str | None, detail: dict[str, Any] | None
) -> None:
    whole = value_json("xv.number", "xv.detail", "true", "$6::uuid").replace("{tenant}", "$6::uuid")
    columns = value_columns("xv.number", "xv.detail", "si.type").items()
    async with populated.side.caller.db.transaction(populated.side.district.id, read_only=True) as tx:
        row = await tx.fetchrow(
            f"""SELECT ({whole})::jsonb - $5::text[] AS rest, {", ".join(f"{sql} AS {key}" for key, sql in columns)}
                FROM (SELECT $1::text AS type, 2 AS scale, $4::jsonb AS options, $6::uuid AS scheme_version_id,
                             $6::uuid AS data_item_id) si,
                     (SELECT $2::text::numeric AS number, $3::jsonb AS detail) xv""",
            kind,
            number,
            None if detail is None else orjson.dumps(detail).decode(),
            '[{"code": "a", "name": "甲"}, {"code": "b", "name": "乙"}]',
            list(VALUE_PARTS),
            tx.tenant_id,
        )
    assert row is not None
    rest = None if row["rest"] is None else orjson.loads(row["rest"])
    keys = {"NUMBER": ["number"], "YES_NO": ["yes"]}.get(row["kind"], [])
    assert rest == (row["kind"] and {name: row[name] for name in ("kind", *keys)})
    assert (rest is None) == (number is None and detail is None)
