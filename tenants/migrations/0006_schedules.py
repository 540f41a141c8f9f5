"""What scheduled jobs need: when the next round is due, which request caused it, and the right to forget old ones."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_outbox")]

    operations = [
        ops.AddField(model_name="Job", name="next_run_at", field=fields.DatetimeField(null=True)),
        ops.AddField(model_name="Job", name="request_id", field=fields.TextField(null=True, unique=False)),
        ops.RunSQL(sql_beside(__file__)),
    ]
