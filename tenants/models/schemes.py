"""Schemes, their versions and the indicator tree (考核方案、指标)."""

from tortoise import fields
from tortoise.models import Model

from tenants.fields import NumericField, UUIDArrayField
from tenants.models.base import TenantRow


class Scheme(TenantRow):
    """A scheme over its versions."""

    code = fields.TextField()
    name = fields.TextField()
    version = fields.IntField(default=1)

    class Meta:
        table = "schemes"


class SchemeVersion(TenantRow):
    """An indicator tree with all settings that change results; FROZEN ones never change."""

    scheme_id = fields.UUIDField()
    number = fields.IntField()
    label = fields.TextField(null=True)
    state = fields.TextField(default="DRAFT")
    based_on_id = fields.UUIDField(null=True)
    weighting = fields.TextField()
    full_marks = NumericField()
    settings: fields.Field[dict[str, object]] = fields.JSONField()
    frozen_at = fields.DatetimeField(null=True)
    frozen_by_id = fields.UUIDField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "scheme_versions"


class SchemeVersionCategory(Model):
    """Categories a version applies to, in order."""

    tenant_id = fields.UUIDField()
    scheme_version_id = fields.UUIDField(primary_key=True)
    category_id = fields.UUIDField()
    position = fields.IntField()

    class Meta:
        table = "scheme_version_categories"


class SchemeVersionItem(Model):
    """A data item as a version pinned it when it was frozen; later edits of the item hold for later versions."""

    tenant_id = fields.UUIDField()
    scheme_version_id = fields.UUIDField(primary_key=True)
    data_item_id = fields.UUIDField()
    position = fields.IntField()
    code = fields.TextField()
    name = fields.TextField()
    definition = fields.TextField()
    type = fields.TextField()
    unit_of_measure = fields.TextField(null=True)
    scale = fields.IntField()
    minimum = NumericField(null=True)
    maximum = NumericField(null=True)
    options: fields.Field[list[dict[str, object]]] = fields.JSONField()
    source = fields.TextField()
    responsible_unit_ids = UUIDArrayField()
    personal = fields.BooleanField(default=False)

    class Meta:
        table = "scheme_version_items"


class Indicator(TenantRow):
    """A node of the tree (一、二、三级指标).

    `rule` names data items and categories by id; `print_order` is depth first.
    """

    scheme_version_id = fields.UUIDField()
    code = fields.TextField()
    name = fields.TextField()
    parent_id = fields.UUIDField(null=True)
    depth = fields.IntField()
    position = fields.IntField()
    print_order = fields.IntField()
    ordinal = fields.TextField()
    leaf = fields.BooleanField()
    weight = NumericField(null=True)
    points = NumericField(null=True)
    points_by_category: fields.Field[list[dict[str, str]]] = fields.JSONField(default=list)
    category_ids = UUIDArrayField()
    aggregation = fields.TextField(default="ARITHMETIC")
    rule: fields.Field[dict[str, object] | None] = fields.JSONField(null=True)
    wording = fields.TextField(null=True)
    check_method = fields.TextField(null=True)
    source_note = fields.TextField(null=True)
    basis = fields.TextField(null=True)
    evidence_reason = fields.TextField(null=True)
    missing_policy = fields.TextField(null=True)
    not_applicable_policy = fields.TextField(null=True)
    review_levels: fields.Field[list[dict[str, object]] | None] = fields.JSONField(null=True)
    checks: fields.Field[list[dict[str, object]]] = fields.JSONField(default=list)
    version = fields.IntField(default=1)

    class Meta:
        table = "indicators"


class IndicatorItem(Model):
    """Data items that a leaf's rule uses, in order; derived from the rule whenever it is written."""

    tenant_id = fields.UUIDField()
    indicator_id = fields.UUIDField(primary_key=True)
    data_item_id = fields.UUIDField()
    position = fields.IntField()

    class Meta:
        table = "indicator_items"


class IndicatorResponsible(Model):
    """Departments that supply or score an indicator, in order (责任单位)."""

    tenant_id = fields.UUIDField()
    indicator_id = fields.UUIDField(primary_key=True)
    unit_id = fields.UUIDField()
    position = fields.IntField()

    class Meta:
        table = "indicator_responsibles"
