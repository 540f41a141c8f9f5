"""What tests of data items and schemes share: a district with two categories, a department, and short ways to write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from service import directory, items, schemes
from service.access import Actor, HeldGrant, Role, system_actor
from service.ids import decode_id, encode_id
from service.items import DataItemSpec
from service.schemes import IndicatorRow, IndicatorSpec
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District


@dataclass
class World:
    """A district to draft schemes in: ids as text, by code."""

    db: Database
    tenant: District
    actor: Actor
    root: UUID
    categories: dict[str, str]
    units: dict[str, str]
    items: dict[str, str] = field(default_factory=dict)

    async def add_items(self, *specs: DataItemSpec) -> None:
        """Make data items."""
        async with self.db.transaction(self.tenant.id) as tx:
            made = await items.create_data_items(tx, self.actor, data_items=specs)
        self.items |= {spec.code: encode_id("DataItem", key) for spec, key in zip(specs, made, strict=True)}

    async def begin(self, code: str = "S", weighting: str = "POINTS", full_marks: str = "100") -> tuple[str, str]:
        """A scheme with a draft, whose policy for what does not apply is chosen; ids of both."""
        async with self.db.transaction(self.tenant.id) as tx:
            scheme, version = await schemes.create_scheme(
                tx,
                self.actor,
                code=code,
                name="治理考核",
                weighting=weighting,
                full_marks=full_marks,
                category_ids=list(self.categories.values()),
            )
            await schemes.edit_scheme_version(
                tx,
                self.actor,
                scheme_version_id=encode_id("SchemeVersion", version),
                version=1,
                settings={"notApplicablePolicy": "PARENT"},
            )
        return encode_id("Scheme", scheme), encode_id("SchemeVersion", version)

    async def replace(self, version_id: str, version: int, *rows: IndicatorRow) -> None:
        """Put a whole tree into a draft."""
        async with self.db.transaction(self.tenant.id) as tx:
            await schemes.replace_indicators(
                tx, self.actor, scheme_version_id=version_id, version=version, indicators=rows
            )

    async def drafted(self, *rows: IndicatorRow, code: str = "S", weighting: str = "POINTS") -> str:
        """The id of a draft with that tree; its version is then 3."""
        _, version_id = await self.begin(code, weighting)
        await self.replace(version_id, 2, *rows)
        return version_id

    async def freeze(self, version_id: str, version: int) -> None:
        """Freeze a draft."""
        async with self.db.transaction(self.tenant.id) as tx:
            await schemes.freeze_scheme_version(tx, self.actor, scheme_version_id=version_id, version=version)


async def make_world(db: Database, tenant: District) -> World:
    """Two categories, one department, and an organiser who is an account."""
    system = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", tenant.id)
        actor = await _organiser(tx, tenant, root)
        categories = {}
        for code, name in (("community", "社区"), ("village", "村")):
            made = await directory.create_category(tx, actor, code=code, name=name)
            categories[code] = encode_id("Category", made)
        await directory.import_org_units(
            tx,
            _administrator(system, root),
            rows=[directory.UnitRow("zzb", "区委组织部", "DEPARTMENT", "root", valid_from="2020-01-01")],
        )
        rows = await tx.fetch("SELECT id, code FROM org_units WHERE tenant_id = $1", tenant.id)
    units = {row["code"]: encode_id("OrgUnit", row["id"]) for row in rows}
    return World(db, tenant, actor, root, categories, units)


async def _organiser(tx: Transaction, tenant: District, root: UUID) -> Actor:
    key = uuid7()
    await tx.execute(
        "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', '考核办')", tenant.id, key
    )
    return acting(tenant, root, Role.ORGANISER, key)


def acting(tenant: District, root: UUID, role: Role, key: UUID | None = None) -> Actor:
    """Somebody with that role over the whole district."""
    return Actor(
        tenant_id=tenant.id,
        id=key or uuid7(),
        person_id=key or uuid7(),
        kind="MEMBER",
        display_name="某人",
        language="ZH_CN",
        time_zone="Asia/Shanghai",
        grants=(HeldGrant(uuid7(), role, root, True, (), (), ()),),
    )


def _administrator(system: Actor, root: UUID) -> Actor:
    grant = HeldGrant(uuid7(), Role.ADMINISTRATOR, root, True, (), (), ())
    return Actor(**{**{name: getattr(system, name) for name in system.__dataclass_fields__}, "grants": (grant,)})


def number(code: str, name: str | None = None, **more: Any) -> DataItemSpec:
    """A whole number that units report."""
    return DataItemSpec(
        **{"code": code, "name": name or f"数据{code}", "definition": "口径", "type": "INTEGER", **more}
    )


def quantity(numerator: str, denominator: str | None = None) -> dict[str, Any]:
    """An item, perhaps over another one; keys are ids as stored."""

    def combination(key: str) -> dict[str, Any]:
        return {"terms": [{"coefficient": "1", "dataItem": key, "countName": None}], "constant": "0"}

    return {
        "numerator": combination(numerator),
        "denominator": combination(denominator) if denominator else None,
        "denominatorZero": "NOT_APPLICABLE",
    }


def linear(world: World, item: str, *, zero_at: str = "0", full_at: str = "10") -> dict[str, Any]:
    """A LINEAR rule over one item."""
    return {
        "kind": "LINEAR",
        "full": None,
        "quantity": quantity(plain(world, item)),
        "zeroAt": zero_at,
        "fullAt": full_at,
        "clamp": True,
    }


def plain(world: World, item: str) -> str:
    """The id of an item as it is stored."""
    return str(decode_id(world.items[item], "DataItem"))


def row(code: str, parent: str | None = None, **more: Any) -> IndicatorRow:
    """A node of a tree to put in."""
    return IndicatorRow(IndicatorSpec(**{"code": code, "name": f"指标{code}", "basis": "区委文件", **more}), parent)


async def read(db: Database, tenant: District, sql: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
    """Rows, as the tenant sees them; `$1` is the tenant."""
    async with db.transaction(tenant.id, read_only=True) as tx:
        return await tx.fetch(sql, tenant.id, *arguments)
