"""What reading plans look rows up by."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_schedules")]

    operations = [ops.RunSQL(sql_beside(__file__))]
