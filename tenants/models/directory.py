"""Tenants, their organisation tree and their categories (租户、单位、考核类别)."""

from tortoise import fields
from tortoise.models import Model

from tenants.models.base import TenantRow


class Directory(Model):
    """The one global table: which districts there are. Read before a sign-in knows its tenant; holds no other data.

    `issuer` signs tokens of its accounts outside; they must be meant for `audience`, name the account in the claim
    `subject_claim`, and, where several districts share the issuer, the district's code in the claim `tenant_claim`.
    """

    code = fields.TextField()
    id = fields.UUIDField(primary_key=True)
    issuer = fields.TextField(null=True)
    audience = fields.TextField(null=True)
    subject_claim = fields.TextField(null=True)
    tenant_claim = fields.TextField(null=True)
    status = fields.TextField(default="ACTIVE")

    class Meta:
        table = "directory"


class Tenant(Model):
    """A district (租户、区). Whoever changes the shape of its tree locks this row first."""

    tenant_id = fields.UUIDField(primary_key=True)
    code = fields.TextField()
    name = fields.TextField()
    time_zone = fields.TextField(default="Asia/Shanghai")
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "tenants"


class Category(TenantRow):
    """A peer group that is ranked together (考核类别)."""

    code = fields.TextField()
    name = fields.TextField()
    position = fields.IntField()
    version = fields.IntField(default=1)

    class Meta:
        table = "categories"


class OrgUnit(TenantRow):
    """A node of the organisation tree as it is now (单位).

    `tree_path` is the codes from the root down, joined by a space, which sorts before every character of a code.
    """

    code = fields.TextField()
    name = fields.TextField()
    kind = fields.TextField()
    category_id = fields.UUIDField(null=True)
    parent_id = fields.UUIDField(null=True)
    tree_path = fields.TextField()
    valid_from = fields.DateField()
    valid_to = fields.DateField(null=True)
    member_count = fields.IntField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "org_units"


class OrgUnitAncestor(Model):
    """Unit × ancestor, itself included at depth 0: what makes a subtree a plain join."""

    tenant_id = fields.UUIDField()
    unit_id = fields.UUIDField(primary_key=True)
    ancestor_id = fields.UUIDField()
    depth = fields.IntField()

    class Meta:
        table = "org_unit_ancestors"


class OrgUnitName(TenantRow):
    """A name that a unit once had, and its last day (曾用名)."""

    unit_id = fields.UUIDField()
    name = fields.TextField()
    until = fields.DateField()

    class Meta:
        table = "org_unit_names"
