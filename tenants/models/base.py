"""What every table of a tenant's data has in common."""

from tortoise import fields
from tortoise.models import Model

from tenants.ids import uuid7


class TenantRow(Model):
    """A row of one tenant.

    Tortoise knows `id` as the key; the table's primary key is `(tenant_id, id)`, made in SQL beside the migration.
    Columns that point elsewhere are plain ids: foreign keys, checks and policies are SQL too, since Tortoise would
    emit keys on `id` alone, which accept another tenant's row.
    """

    tenant_id = fields.UUIDField()
    id = fields.UUIDField(primary_key=True, default=uuid7)

    class Meta:
        abstract = True
