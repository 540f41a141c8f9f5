"""The district, its organisation tree and its categories, as frontends see them (租户、单位、考核类别)."""

from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from schema.keyset import pinyin
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    connection,
    described,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    listing,
    order_type,
    payload,
    query,
    relation,
    table,
    value,
)
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.scalars import DateText
from service import directory
from service.access import Actor, Role
from service.checks import Check
from service.directory import categories as category_rules
from service.errors import Path
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.rankings import Standing


@enumeration("Kinds of units.")
class OrgUnitKind(Enum):
    """What a unit is."""

    COMMITTEE = "Committee (党委、党工委)."
    GENERAL_BRANCH = "General branch (党总支)."
    BRANCH = "Branch (党支部)."
    DEPARTMENT = "Department (部门)."


@enumeration("What units can be sorted by.")
class OrgUnitOrderField(Enum):
    """Orders of units."""

    CODE = Sort("By code.", (Key("{r}.code"),))
    NAME = Sort("By name, in pinyin order.", (Key(pinyin("{r}.name"), "bytea"),))
    TREE = Sort("By place in the tree.", (Key("{r}.tree_path"),))


@order_type
class OrgUnitOrder(Order):
    """An order of units."""

    field: OrgUnitOrderField = described("What to sort by.")


@filter_type
class OrgUnitFilter:
    """Which units."""

    under_id: ID | None = condition(
        "In this unit's subtree, itself included.",
        """EXISTS (SELECT 1 FROM org_unit_ancestors oa WHERE oa.tenant_id = {tenant} AND oa.ancestor_id = {value}
           AND oa.unit_id = {r}.id)""",
        of="OrgUnit",
    )
    kinds: list[OrgUnitKind] | None = condition("Of these kinds.", "{r}.kind = ANY({value})")
    category_ids: list[ID] | None = condition("Of these categories.", "{r}.category_id = ANY({value})", of="Category")
    codes: list[str] | None = condition(
        "With exactly these codes, at most 1,000.", "{r}.code = ANY({value})", limit=1000
    )
    search: str | None = condition(
        "Code or name, present or former, contains this.",
        """{r}.code ILIKE {value} OR {r}.name ILIKE {value} OR EXISTS (SELECT 1 FROM org_unit_names fn
           WHERE fn.tenant_id = {tenant} AND fn.unit_id = {r}.id AND fn.name ILIKE {value})""",
        contains=True,
    )
    as_of: DateText | None = condition(
        "As the tree was on this day; today if left out.",
        "{r}.valid_from <= {value} AND ({r}.valid_to IS NULL OR {r}.valid_to >= {value})",
    )
    include_closed: bool | None = condition(
        "Also units that have ended; false if left out.",
        "{value} OR {r}.valid_to IS NULL OR {r}.valid_to >= coalesce({as_of}, {today})",
        otherwise="{r}.valid_to IS NULL OR {r}.valid_to >= coalesce({as_of}, {today})",
    )


@table("tenants", key=("tenant_id",))
class Tenant(Node):
    """A district; owns everything below it (租户、区)."""

    id: ID = identifier()
    code: str = column("Code used at sign-in.")
    name: str = column("Name of the district.")
    time_zone: str = column("IANA name by which dates are read.")
    today: date = expression("Today by the database's clock in that zone.", "{today}")


@table("categories", plural="categories")
class Category(Node):
    """A peer group ranked together (考核类别)."""

    id: ID = identifier()
    code: str = column("Code.")
    name: str = column("Such as 社区, 村, 机关事业单位.")
    unit_count: int = expression(
        "Units in it today.",
        """(SELECT count(*) FROM org_units ou WHERE ou.tenant_id = {tenant} AND ou.category_id = {t}.id
            AND ou.valid_from <= {today} AND (ou.valid_to IS NULL OR ou.valid_to >= {today}))""",
    )
    version: int = column("Rises with each change.")


@value
class FormerNameInfo:
    """A name a unit once had."""

    name: str = column("The name.")
    until: date = column("Last day of it.")


@table("org_units", plural="units")
class OrgUnit(Node):
    """A node of the organisation tree (单位、党组织), as it is now; for its name and place in a cycle see CycleUnit."""

    id: ID = identifier("Opaque id; stays through rename and move.")
    code: str = column("Code, unique in the tenant.")
    name: str = column("Present name.")
    kind: OrgUnitKind = column("What it is.")
    category: Category | None = relation("Peer group it is ranked in (考核类别).", on={"category_id": "id"})
    parent: "OrgUnit | None" = relation("The unit above.", on={"parent_id": "id"})
    ancestors: "list[OrgUnit]" = listing(
        "From the root down to the parent.",
        where="""{r}.id IN (SELECT oa.ancestor_id FROM org_unit_ancestors oa
                 WHERE oa.tenant_id = {tenant} AND oa.unit_id = {t}.id AND oa.depth > 0)""",
        order="{r}.tree_path",
    )
    children: "Connection[OrgUnit]" = connection(
        "Units directly below.", on={"id": "parent_id"}, order=OrgUnitOrder, default=[Key("{r}.code")]
    )
    valid_from: date = column("First day.")
    valid_to: date | None = column("Last day; null while it lasts.")
    member_count: int | None = column("Members in all (党员数), by which merged histories may be weighted.")
    former_names: list[FormerNameInfo] = listing(
        "Earlier names, newest first.",
        rows="""SELECT fn.name, fn.until FROM org_unit_names fn
                WHERE fn.tenant_id = {tenant} AND fn.unit_id = {t}.id""",
        order="{r}.until DESC",
    )
    version: int = column("Rises with each change.")
    standings: "list[Standing]" = listing(
        "Its results on publications the viewer may read, newest first, at most 50.",
        where="""EXISTS (SELECT 1 FROM cycle_units sc WHERE sc.tenant_id = {tenant} AND sc.unit_id = {t}.id
                 AND sc.id = {r}.cycle_unit_id) AND EXISTS (SELECT 1 FROM publications sp
                 WHERE sp.tenant_id = {tenant} AND sp.run_id = {r}.run_id)""",
        order="""(SELECT max(sp.published_at) FROM publications sp
                 WHERE sp.tenant_id = {tenant} AND sp.run_id = {r}.run_id) DESC, {r}.id""",
        limit=50,
    )


@query
class DirectoryQuery:
    """The district, its units and categories."""

    tenant: Tenant | None = relation("The caller's district.", where="{r}.tenant_id = {tenant}")
    org_unit: OrgUnit | None = by_id("One unit.", "OrgUnit")
    org_units: Connection[OrgUnit] | None = connection(
        "Units.", filter=OrgUnitFilter, order=OrgUnitOrder, default=[Key("{r}.tree_path")]
    )
    categories: list[Category] | None = listing(
        "All categories, at most 100.", order="{r}.position, {r}.code", limit=100
    )


@input_type
class CreateCategoryInput:
    """What createCategory takes."""

    code: str = described("Code.")
    name: str = described("Name.")
    idempotency_key: str = described(KEY)


@payload
class CreateCategorySuccess:
    """createCategory is done."""

    category: Category = described("The category.")


@input_type
class EditCategoryInput:
    """What editCategory takes."""

    category_id: ID = described("Which.")
    version: int = described("Version read.")
    code: str | None = described("New code; left out to keep.")
    name: str | None = described("New name; left out to keep.")
    idempotency_key: str = described(KEY)


@payload
class EditCategorySuccess:
    """editCategory is done."""

    category: Category = described("The category.")


@input_type
class CreateOrgUnitInput:
    """What createOrgUnit takes."""

    code: str = described("Code.")
    name: str = described("Name.")
    kind: OrgUnitKind = described("What it is.")
    parent_id: ID = described("Unit above.")
    category_id: ID | None = described("Peer group.")
    valid_from: DateText | None = described("First day; today if left out.")
    member_count: int | None = described("Members in all.")
    idempotency_key: str = described(KEY)


@payload
class CreateOrgUnitSuccess:
    """createOrgUnit is done."""

    org_unit: OrgUnit = described("The unit.")


@input_type
class OrgUnitRowInput:
    """One unit of an import."""

    code: str = described("Code, the key.")
    name: str = described("Name.")
    kind: OrgUnitKind = described("What it is.")
    parent_code: str | None = described("Code of the unit above; left out to keep, and the root for a new unit.")
    category_code: str | None = described("Code of its peer group; left out to keep.")
    valid_from: DateText | None = described("First day; today for a new unit if left out.")
    member_count: int | None = described("Members in all; left out to keep.")


@input_type
class ImportOrgUnitsInput:
    """What importOrgUnits takes."""

    units: list[OrgUnitRowInput] = described("At most 20,000 rows, in any order.")
    idempotency_key: str = described(KEY)


@payload
class ImportOrgUnitsSuccess:
    """importOrgUnits is done."""

    created: int = described("Units added.")
    updated: int = described("Units changed.")
    unchanged: int = described("Units left as they were.")
    org_units: list[OrgUnit] = described("The first 100 of those added or changed.")


@input_type
class RenameOrgUnitInput:
    """What renameOrgUnit takes."""

    org_unit_id: ID = described("Which.")
    version: int = described("Version read.")
    name: str = described("New name.")
    from_: DateText | None = described("First day of it; today if left out.")
    idempotency_key: str = described(KEY)


@payload
class RenameOrgUnitSuccess:
    """renameOrgUnit is done."""

    org_unit: OrgUnit = described("The unit.")


@input_type
class MoveOrgUnitInput:
    """What moveOrgUnit takes."""

    org_unit_id: ID = described("Which.")
    version: int = described("Version read.")
    parent_id: ID = described("New unit above.")
    from_: DateText | None = described("First day there; today if left out.")
    reason: str | None = described("Why.")
    idempotency_key: str = described(KEY)


@payload
class MoveOrgUnitSuccess:
    """moveOrgUnit is done."""

    org_unit: OrgUnit = described("The unit.")


@input_type
class EditOrgUnitInput:
    """What editOrgUnit takes."""

    org_unit_id: ID = described("Which.")
    version: int = described("Version read.")
    code: str | None = described("New code; left out to keep.")
    kind: OrgUnitKind | None = described("New kind; left out to keep.")
    category_id: ID | None = described(
        "New peer group, from the next cycle on; left out to keep, null for none.", clearable=True
    )
    member_count: int | None = described("Members in all; left out to keep, null for unknown.", clearable=True)
    idempotency_key: str = described(KEY)


@payload
class EditOrgUnitSuccess:
    """editOrgUnit is done."""

    org_unit: OrgUnit = described("The unit.")


@input_type
class CloseOrgUnitInput:
    """What closeOrgUnit takes."""

    org_unit_id: ID = described("Which.")
    version: int = described("Version read.")
    last_day: DateText = described("Last day.")
    reason: str = described("Why.")
    idempotency_key: str = described(KEY)


@payload
class CloseOrgUnitSuccess:
    """closeOrgUnit is done."""

    org_unit: OrgUnit = described("The unit.")


async def _administers(
    tx: Transaction,
    actor: Actor,
    given: CreateOrgUnitInput | RenameOrgUnitInput | MoveOrgUnitInput | EditOrgUnitInput | CloseOrgUnitInput,
) -> None:
    """Access to the units that an input names; ids that are none are left to the use-case."""
    texts: dict[Path, str | None] = {
        ("input", to_camel_case(name)): getattr(given, name, None) for name in ("org_unit_id", "parent_id")
    }
    units = {path: Check().id(path, text, "OrgUnit") for path, text in texts.items() if text is not None}
    await directory.require_administrator(tx, actor, units)


@mutation(CreateCategorySuccess, access=at_root(*category_rules.ADMINISTRATORS))
async def create_category(tx: Transaction, actor: Actor, given: CreateCategoryInput) -> Outcome:
    """Adds a category (考核类别)."""
    return {"category": await directory.create_category(tx, actor, code=given.code, name=given.name)}


@mutation(EditCategorySuccess, access=at_root(*category_rules.ADMINISTRATORS))
async def edit_category(tx: Transaction, actor: Actor, given: EditCategoryInput) -> Outcome:
    """Changes a category."""
    key = await directory.edit_category(
        tx, actor, category_id=given.category_id, version=given.version, code=given.code, name=given.name
    )
    return {"category": key}


@mutation(CreateOrgUnitSuccess, access=_administers)
async def create_org_unit(tx: Transaction, actor: Actor, given: CreateOrgUnitInput) -> Outcome:
    """Adds a unit."""
    key = await directory.create_org_unit(
        tx,
        actor,
        code=given.code,
        name=given.name,
        kind=given.kind.name,
        parent_id=given.parent_id,
        category_id=given.category_id,
        valid_from=given.valid_from,
        member_count=given.member_count,
    )
    return {"org_unit": key}


@mutation(ImportOrgUnitsSuccess, access=at_root(Role.ADMINISTRATOR))
async def import_org_units(tx: Transaction, actor: Actor, given: ImportOrgUnitsInput) -> Outcome:
    """Adds or updates a whole tree by code: all or nothing (单位导入)."""
    rows = [
        directory.UnitRow(
            code=row.code,
            name=row.name,
            kind=row.kind.name,
            parent_code=row.parent_code,
            category_code=row.category_code,
            valid_from=row.valid_from,
            member_count=row.member_count,
        )
        for row in given.units
    ]
    done = await directory.import_org_units(tx, actor, rows=rows)
    return {
        "created": done.created,
        "updated": done.updated,
        "unchanged": done.unchanged,
        "org_units": done.ids,
    }


@mutation(RenameOrgUnitSuccess, access=_administers)
async def rename_org_unit(tx: Transaction, actor: Actor, given: RenameOrgUnitInput) -> Outcome:
    """Renames a unit; old boards keep the old name."""
    key = await directory.rename_org_unit(
        tx, actor, org_unit_id=given.org_unit_id, version=given.version, name=given.name, from_=given.from_
    )
    return {"org_unit": key}


@mutation(MoveOrgUnitSuccess, access=_administers)
async def move_org_unit(tx: Transaction, actor: Actor, given: MoveOrgUnitInput) -> Outcome:
    """Puts a unit under another; open cycles keep the old place."""
    key = await directory.move_org_unit(
        tx,
        actor,
        org_unit_id=given.org_unit_id,
        version=given.version,
        parent_id=given.parent_id,
        from_=given.from_,
        reason=given.reason,
    )
    return {"org_unit": key}


@mutation(EditOrgUnitSuccess, access=_administers)
async def edit_org_unit(tx: Transaction, actor: Actor, given: EditOrgUnitInput) -> Outcome:
    """Changes code, kind, category or member count of a unit."""
    key = await directory.edit_org_unit(
        tx,
        actor,
        org_unit_id=given.org_unit_id,
        version=given.version,
        code=given.code,
        kind=None if given.kind is None else given.kind.name,
        category_id=directory.KEEP if given.category_id is UNSET else given.category_id,
        member_count=directory.KEEP if given.member_count is UNSET else given.member_count,
    )
    return {"org_unit": key}


@mutation(CloseOrgUnitSuccess, access=_administers)
async def close_org_unit(tx: Transaction, actor: Actor, given: CloseOrgUnitInput) -> Outcome:
    """Ends a unit after its last day; units below must have ended first."""
    key = await directory.close_org_unit(
        tx,
        actor,
        org_unit_id=given.org_unit_id,
        version=given.version,
        last_day=given.last_day,
        reason=given.reason,
    )
    return {"org_unit": key}
