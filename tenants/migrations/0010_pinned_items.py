"""A task says by which version its item is pinned; the values of tasks that are there are in the SQL file beside it."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0009_audit_heads")]

    operations = [
        ops.AddField(model_name="Task", name="scheme_version_id", field=fields.UUIDField(null=True)),
        ops.RunSQL(sql_beside(__file__)),
        ops.AlterField(model_name="Task", name="scheme_version_id", field=fields.UUIDField()),
    ]
