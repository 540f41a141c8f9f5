"""A district in which every type has rows, with texts and numbers that are easily spoilt, and people who look at it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from schema.context import open_context
from schema.execution import Engine, encode
from schema.masking import Refusal
from schema.requests import GraphQLRequest
from service.ids import encode_id
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import create_tenant
from tests.schema.conftest import Caller
from tests.schema.driving import caller_of
from tests.schema.plans.operations import Json, Operation, Supply
from tests.schema.test_isolation import ID_TYPES, NODE_TYPES, Side, look
from tests.small import expiry

SPOILT = '"引号" \\ / \b\f\n\r\t\x02\x7f\u2028 </x> 😀 𠮷 %_\' '
"""What JSON, LIKE and careless concatenation treat in their own ways."""

TEXTS = {
    "categories": ("name",),
    "org_units": ("name",),
    "org_unit_names": ("name",),
    "actors": ("display_name",),
    "data_items": ("name", "definition"),
    "schemes": ("name",),
    "scheme_versions": ("label",),
    "indicators": ("name", "basis", "check_method"),
    "cycles": ("name",),
    "cycle_units": ("name",),
    "cycle_categories": ("name",),
    "events": ("title",),
    "publications": ("title",),
}
"""Columns that are spoilt in two rows of three."""

NUMBERS = {
    "standings": {"total": "98765432109876543210.012345678900", "base": "0.00", "bonus": "0.10", "coverage": "1.0000"},
    "standing_dimensions": {"score": "12.500000000000000000000000000000"},
    "indicators": {"points": "points + 0.000"},
    "scheme_versions": {"full_marks": "full_marks + 0.00"},
    "data_items": {"maximum": "maximum + 0.0"},
}
"""Columns that get a number which a float, or a careless text, would change."""


VIEWERS = 10
"""How many look at it."""


@dataclass(repr=False)
class Populated:
    """The district, and all that operations on it need."""

    side: Side
    other: Side
    """Another district."""
    viewers: dict[str, Caller] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """The text with ids in place of what `id_names` calls them."""

        def one(found: re.Match[str]) -> str:
            whose, type_name, number = found.groups()
            match whose:
                case "OWN":
                    known = self.side.known[type_name]
                    return known[int(number) % len(known)]
                case "FOREIGN":
                    return self.other.known[type_name][0]
            return encode_id(type_name, UUID(int=7))

        return _ID_NAME.sub(one, text)


_ID_NAME = re.compile(r"<(OWN|FOREIGN|UNKNOWN) (\w+) (\d)>")


def id_names(key: str) -> Sequence[str]:
    """Names of ids to give at a place; one in ten is of another type or district, or no id at all."""
    found = ID_TYPES.get(key) or ID_TYPES.get(key.rpartition(".")[2]) or NODE_TYPES
    types = (found,) if isinstance(found, str) else tuple(found)
    own = [f"<OWN {type_name} {number}>" for number in range(6) for type_name in types]
    odd = [f"<FOREIGN {types[0]} 0>", f"<UNKNOWN {types[0]} 0>", "不是编号", "<OWN Category 0>"]
    return own * max(1, 40 // len(own)) + odd


SUPPLY = Supply(id_names, ["甲", "b1", "M", "dim", "", "100%", "_", "\\", '"', "😀", "公示", "a\u0000b", "members"])


async def populate(db: Database, settings: Settings, owner_url: str) -> Populated:
    """Two districts, of which one is looked at."""
    made = []
    for name in ("甲甲", "乙乙"):
        district = await create_tenant(
            owner_url,
            code=f"test-{uuid4().hex[:12]}",
            name=f"{name}区",
            time_zone="Asia/Shanghai",
            root_code="root",
            root_name=f"中共{name}区委员会",
        )
        made.append(await look(db, settings, district, name))
    here, there = made
    await _spoil(owner_url, here.district.id)
    populated = Populated(here, there)
    tokens = dict(here.ids["tokens"])
    for who, grant in {
        "administrator": {"role": "ADMINISTRATOR", "unitId": here.ids["units"]["root"]},
        "feed": {"role": "FEED", "unitId": here.ids["units"]["root"], "dataItemIds": [here.ids["items"]["M"]]},
        "narrow": {"role": "OBSERVER", "unitId": here.ids["units"]["b1"]},
        "no role": None,
    }.items():
        given = {"displayName": who, "grants": [grant] if grant else [], "expiresAt": expiry()}
        answer = await here.caller.ask(
            """mutation ($input: CreateServiceTokenInput!) { createServiceToken(input: $input) {
                 ... on CreateServiceTokenSuccess { secret } ... on Error { code message } } }""",
            input={"idempotencyKey": who, **given},
        )
        if grant or "secret" in answer["createServiceToken"]:
            tokens[who] = answer["createServiceToken"]["secret"]
    populated.viewers = {
        "all": here.caller,
        **{who: await caller_of(db, settings, token) for who, token in tokens.items()},
        "nobody": Caller(db, settings, None),
    }
    assert len(populated.viewers) == VIEWERS, list(populated.viewers)
    for number, caller in enumerate(populated.viewers.values()):
        caller.language = "zh-CN" if number % 2 else "en"
    return populated


async def _spoil(owner_url: str, tenant_id: UUID) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(f"SET ROLE kp_owner; SET app.tenant_id = '{tenant_id}'")
        for table, columns in TEXTS.items():
            for column in columns:
                await connection.execute(
                    f"""UPDATE {table} x SET {column} = $2 || coalesce({column}, '') || r.n
                        FROM (SELECT ctid, row_number() OVER () AS n FROM {table} WHERE tenant_id = $1) r
                        WHERE x.tenant_id = $1 AND x.ctid = r.ctid AND r.n % 3 <> 2""",
                    tenant_id,
                    SPOILT,
                )
        for table, numbers in NUMBERS.items():
            for column, number in numbers.items():
                await connection.execute(
                    f"UPDATE {table} SET {column} = {number} WHERE tenant_id = $1 AND {column} IS NOT NULL", tenant_id
                )
    finally:
        await connection.close()


# --- asking


@dataclass(frozen=True)
class Told:
    """An answer as it goes out."""

    body: bytes
    planned: bool
    """Whether its data are the text that PostgreSQL made."""

    @property
    def errors(self) -> list[Json]:
        """Its errors; which of several comes first is not promised."""
        errors = orjson.loads(self.body).get("errors", [])
        return sorted(errors, key=lambda error: orjson.dumps(error, option=orjson.OPT_SORT_KEYS))

    def same(self, stock: "Told") -> bool:
        """Equal to the byte, but for the order of errors."""
        if self.planned or self.body == stock.body:
            return self.body == stock.body
        return self._data() == stock._data() and self.errors == stock.errors

    def _data(self) -> bytes:
        return orjson.dumps(orjson.loads(self.body).get("data"))


async def tell(engine: Engine, caller: Caller, operation: Operation, variables: Mapping[str, Any]) -> Told | None:
    """The answer of an engine; None where the document is refused as a whole, for being too large."""
    request = GraphQLRequest(operation.text, variables, operation.name)
    try:
        prepared = engine.prepare(request, caller.language)
    except Refusal as refusal:
        if {error["extensions"]["code"] for error in refusal.errors} == {"QUERY_TOO_COMPLEX"}:
            return None
        raise
    context = open_context(caller.db, caller.settings, actor=caller.actor, language=caller.language, request_id="test")
    try:
        answer = await engine.execute(prepared, variables, context, "test")
    finally:
        await context.close()
    return Told(encode(answer.body), isinstance(answer.body.get("data"), orjson.Fragment))
