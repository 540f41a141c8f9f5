"""The district, its organisation tree and its categories, as frontends see them (租户、单位、考核类别)."""

from datetime import date
from enum import Enum

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
    listing,
    order_type,
    query,
    relation,
    table,
    value,
)
from schema.scalars import DateText


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
    NAME = Sort("By name, in pinyin order.", (Key("{r}.name"),))
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
