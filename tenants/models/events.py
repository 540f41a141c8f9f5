"""Events that add, take or veto (加减分事项、一票否决事项)."""

from tortoise import fields

from tenants.fields import NumericField
from tenants.models.base import TenantRow


class Event(TenantRow):
    """A dated fact under one leaf: proposed by one person, decided by another.

    `number` counts within the cycle. `amount` is what it adds or takes by itself, `counted` what of it counts now among
    the unit's confirmed events, and `not_counted` why that is less, in both languages.
    """

    cycle_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    indicator_id = fields.UUIDField()
    number = fields.IntField()
    kind = fields.TextField()
    state = fields.TextField(default="PROPOSED")
    matter = fields.TextField()
    title = fields.TextField()
    level = fields.TextField(null=True)
    ground = fields.TextField(null=True)
    amount = NumericField()
    counted = NumericField(default=0)
    not_counted: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    happened_on = fields.DateField()
    document_title = fields.TextField()
    document_number = fields.TextField(null=True)
    proposed_by_id = fields.UUIDField(null=True)
    proposed_person_id = fields.UUIDField()
    proposed_at = fields.DatetimeField()
    decided_by_id = fields.UUIDField(null=True)
    decided_at = fields.DatetimeField(null=True)
    decision_reason = fields.TextField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "events"
