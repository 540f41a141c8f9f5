"""The outbox (发件箱): what is to be told of changes, written with them, and how far each reader has come."""

from tortoise import fields
from tortoise.models import Model

from tenants.models.base import TenantRow


class OutboxHead(Model):
    """The number of a tenant's last event; its lock puts the events in the order in which they commit."""

    tenant_id = fields.UUIDField(primary_key=True)
    sequence = fields.BigIntField()

    class Meta:
        table = "outbox_heads"


class OutboxEvent(TenantRow):
    """One thing to be told, of one subject; `ids` name what else it touches. Never changed, removed after a while."""

    sequence = fields.BigIntField()
    at = fields.DatetimeField()
    kind = fields.TextField()
    subject_type = fields.TextField()
    subject_id = fields.UUIDField()
    ids: fields.Field[dict[str, str]] = fields.JSONField()

    class Meta:
        table = "outbox_events"


class OutboxReader(Model):
    """The last event that a reader was told; its lock lets one relay at a time tell it more."""

    tenant_id = fields.UUIDField(primary_key=True)
    reader = fields.TextField()
    position = fields.BigIntField()

    class Meta:
        table = "outbox_readers"
