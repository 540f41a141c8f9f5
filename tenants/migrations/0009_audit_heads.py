"""The digest before the last one stands in the head of the audit; its default is in the SQL file beside it."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_throttle")]

    operations = [
        ops.AddField(model_name="AuditHead", name="previous_digest", field=fields.TextField(default="", unique=False)),
        ops.RunSQL(sql_beside(__file__)),
    ]
