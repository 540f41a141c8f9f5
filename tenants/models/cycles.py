"""Cycles and their units as of the opening (考核周期、参评单位)."""

from tortoise import fields
from tortoise.models import Model

from tenants.fields import NumericField, TextArrayField
from tenants.models.base import TenantRow


class Cycle(TenantRow):
    """One run of a scheme version over the units. `due_at` and `closes_at` are exclusive instants."""

    code = fields.TextField()
    name = fields.TextField()
    kind = fields.TextField()
    starts_on = fields.DateField()
    ends_on = fields.DateField()
    state = fields.TextField(default="DRAFT")
    scheme_version_id = fields.UUIDField()
    under_id = fields.UUIDField(null=True)
    previous_cycle_id = fields.UUIDField(null=True)
    opens_on = fields.DateField()
    due_on = fields.DateField()
    due_at = fields.DatetimeField()
    grace_days = fields.IntField(default=0)
    closes_at = fields.DatetimeField()
    review_due_on = fields.DateField(null=True)
    notice_on = fields.DateField(null=True)
    opening_job_id = fields.UUIDField(null=True)
    opened_at = fields.DatetimeField(null=True)
    adopted_run_id = fields.UUIDField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "cycles"


class CycleCategory(Model):
    """Categories that a cycle assesses, in order, with their names as of the opening."""

    tenant_id = fields.UUIDField()
    cycle_id = fields.UUIDField(primary_key=True)
    category_id = fields.UUIDField()
    position = fields.IntField()
    name = fields.TextField()

    class Meta:
        table = "cycle_categories"


class CycleUnit(TenantRow):
    """A unit in a cycle with name, place and category as of the opening; also the unassessed units above it."""

    cycle_id = fields.UUIDField()
    unit_id = fields.UUIDField()
    code = fields.TextField()
    name = fields.TextField()
    kind = fields.TextField()
    parent_id = fields.UUIDField(null=True)
    category_id = fields.UUIDField(null=True)
    category_name = fields.TextField(null=True)
    assessed = fields.BooleanField()
    path_names = TextArrayField()
    tree_path = fields.TextField()

    class Meta:
        table = "cycle_units"


class CycleUnitAncestor(Model):
    """Cycle unit × organisation unit above it as of the opening, itself included at depth 0."""

    tenant_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField(primary_key=True)
    ancestor_id = fields.UUIDField()
    depth = fields.IntField()

    class Meta:
        table = "cycle_unit_ancestors"


class CycleTarget(Model):
    """A target of an assigned item, set per unit before the opening (下达)."""

    tenant_id = fields.UUIDField()
    cycle_id = fields.UUIDField(primary_key=True)
    data_item_id = fields.UUIDField()
    unit_id = fields.UUIDField()
    number = NumericField()

    class Meta:
        table = "cycle_targets"
