"""Every kind of rule in and out of the API: what an input says comes back as the rule that the engine reads."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLScalarType, GraphQLSchema, get_named_type
from strawberry.utils.str_converters import to_camel_case

from schema.schema import build_schema
from service import schemes
from service.access import Role
from service.schemes.rules import items_of
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import MakeCaller, held
from tests.service.computing import Course, course, granted, key_of
from tests.service.test_rules import LEAVES

pytestmark = pytest.mark.anyio

REPLACE = """
mutation ($input: ReplaceIndicatorsInput!) { replaceIndicators(input: $input) {
  ... on ReplaceIndicatorsSuccess { schemeVersion { faults { message path severity } } }
  ... on InputError { issues { message path } } } }
"""
READ = """
query ($id: ID!) { schemeVersion(id: $id) { indicators { code rule { kind full text ... on %s { %s } } } } }
"""


def selection(schema: GraphQLSchema, name: str) -> str:
    """All fields of a rule's type, but those that its interface has."""
    named = schema.type_map[name]
    assert isinstance(named, GraphQLObjectType)
    return " ".join(_fields(named, {"kind", "full", "text", "fullMarks"}))


def _fields(named: GraphQLObjectType, left_out: set[str]) -> Iterator[str]:
    for name, field in named.fields.items():
        inner = get_named_type(field.type)
        if name in left_out:
            continue
        if isinstance(inner, GraphQLScalarType | GraphQLEnumType):
            yield name
        elif inner.name == "DataItem":
            yield f"{name} {{ code }}"
        else:
            assert isinstance(inner, GraphQLObjectType)
            yield f"{name} {{ {' '.join(_fields(inner, {'text'} if inner.name == 'Quantity' else set()))} }}"


def written(rule: Any, items: Mapping[str, str]) -> Any:
    """A part of a rule as an input has it."""
    match rule:
        case Mapping():
            return {
                (f"{name}Id" if name in ("dataItem", "assigned") else name): (
                    items[value] if name in ("dataItem", "assigned") else written(value, items)
                )
                for name, value in rule.items()
                if value is not None and name != "kind"
            }
        case list():
            return [written(value, items) for value in rule]
    return rule


def read(shown: Any) -> Any:
    """A part of a rule as a document has it."""
    match shown:
        case {"code": code, **rest} if not rest:
            return code
        case Mapping():
            return {name: read(value) for name, value in shown.items()}
        case list():
            return [read(value) for value in shown]
    return shown


@pytest.fixture
async def given(db: Database, tenant: District) -> Course:
    """A district with data items of every type."""
    return await course(db, tenant, {"linear": LEAVES["linear"]})


async def test_what_is_written_comes_back(db: Database, given: Course, make_caller: MakeCaller) -> None:
    caller = make_caller(given.tenant, [held(Role.ORGANISER, given.world.root, at_root=True)])
    await granted(db, caller.actor)
    _, version_id = await given.world.begin(code="T", weighting="RELATIVE")
    answer = await caller.ask(
        REPLACE,
        input={
            "schemeVersionId": version_id,
            "version": 2,
            "indicators": [
                {
                    "indicator": {
                        "code": code,
                        "name": "指标",
                        "weight": "1",
                        "basis": "区委文件",
                        "rule": {to_camel_case(rule["kind"].lower()): written(rule, given.world.items)},
                    }
                }
                for code, rule in LEAVES.items()
            ],
            "idempotencyKey": "rules",
        },
    )
    version = answer["replaceIndicators"]["schemeVersion"]
    assert [fault for fault in version["faults"] if fault["severity"] == "FAULT"] == []
    async with db.transaction(given.tenant.id) as tx:
        text = await schemes.scheme_file(tx, key_of(version_id, "SchemeVersion"))
    engine = {node["code"]: node["rule"] for node in orjson.loads(text)["indicators"]}
    for code, rule in LEAVES.items():
        kind = to_camel_case(rule["kind"].lower())
        name = f"{kind[0].upper()}{kind[1:]}Rule"
        found = await caller.ask(READ % (name, selection(build_schema()._schema, name)), id=version_id)
        shown = next(each["rule"] for each in found["schemeVersion"]["indicators"] if each["code"] == code)
        assert shown["text"].endswith("."), shown["text"]
        assert "see the check" not in shown["text"]
        assert read({name: value for name, value in shown.items() if name != "text"}) == engine[code], code
        assert set(items_of(engine[code])) == set(items_of({**rule, "dataItem": rule.get("dataItem")}))
