"""Publications: immutable boards (公示、通报)."""

from tortoise import fields

from tenants.models.base import TenantRow


class Publication(TenantRow):
    """A board made from one run, never changed. `bundle` is the canonical JSON whose SHA-256 is `digest`."""

    cycle_id = fields.UUIDField()
    run_id = fields.UUIDField()
    kind = fields.TextField()
    number = fields.IntField()
    title = fields.TextField()
    published_at = fields.DatetimeField()
    published_by_id = fields.UUIDField()
    disclosure: fields.Field[dict[str, object]] = fields.JSONField()
    objection_from = fields.DateField(null=True)
    objection_until = fields.DateField(null=True)
    supersedes_id = fields.UUIDField(null=True)
    reason = fields.TextField(null=True)
    format = fields.TextField()
    engine_version = fields.TextField()
    digest = fields.TextField()
    bundle = fields.TextField()

    class Meta:
        table = "publications"
