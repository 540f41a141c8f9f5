"""Data items: one thing collected once per unit and cycle (数据项)."""

from tortoise import fields
from tortoise.models import Model

from tenants.fields import NumericField
from tenants.models.base import TenantRow


class DataItem(TenantRow):
    """A data item as it is now; frozen scheme versions keep a copy of what they rely on."""

    code = fields.TextField()
    name = fields.TextField()
    name_key = fields.TextField(default="")
    """The name without blanks, punctuation and case: items with the same one seem to ask the same."""
    definition = fields.TextField()
    type = fields.TextField()
    unit_of_measure = fields.TextField(null=True)
    scale = fields.IntField(default=4)
    minimum = NumericField(null=True)
    maximum = NumericField(null=True)
    options: fields.Field[list[dict[str, object]]] = fields.JSONField(default=list)
    source = fields.TextField(default="REPORTED")
    personal = fields.BooleanField(default=False)
    active = fields.BooleanField(default=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "data_items"


class DataItemResponsible(Model):
    """Departments that supply an item, in order (责任单位)."""

    tenant_id = fields.UUIDField()
    data_item_id = fields.UUIDField(primary_key=True)
    unit_id = fields.UUIDField()
    position = fields.IntField()

    class Meta:
        table = "data_item_responsibles"
