"""The audit chain and idempotency keys: both written in the transaction of the change (操作日志、幂等键)."""

from tortoise import fields
from tortoise.models import Model

from tenants.models.base import TenantRow


class AuditHead(Model):
    """The end of a tenant's chain; its lock puts the tenant's changes in one order."""

    tenant_id = fields.UUIDField(primary_key=True)
    sequence = fields.BigIntField(default=0)
    digest = fields.TextField()
    previous_digest = fields.TextField(default="")

    class Meta:
        table = "audit_heads"


class AuditEvent(TenantRow):
    """Who did what, when; never changed. `digest` is the SHA-256 of the event together with `previous_digest`."""

    sequence = fields.BigIntField()
    at = fields.DatetimeField()
    actor_id = fields.UUIDField(null=True)
    action = fields.TextField()
    subject_type = fields.TextField(null=True)
    subject_id = fields.UUIDField(null=True)
    summary: fields.Field[dict[str, str]] = fields.JSONField()
    reason = fields.TextField(null=True)
    changes: fields.Field[list[dict[str, str | None]]] = fields.JSONField()
    request_id = fields.TextField(null=True)
    digest = fields.TextField()
    previous_digest = fields.TextField()

    class Meta:
        table = "audit_events"


class IdempotencyKey(Model):
    """What a mutation answered under a client's key, kept 24 hours."""

    tenant_id = fields.UUIDField()
    actor_id = fields.UUIDField(primary_key=True)
    mutation = fields.TextField()
    key = fields.TextField()
    input_hash = fields.TextField()
    outcome: fields.Field[dict[str, object]] = fields.JSONField()
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "idempotency_keys"
