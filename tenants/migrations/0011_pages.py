"""What pages of a cycle's tasks and assessments are read by, in the order in which they are shown."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_pinned_items")]

    operations = [ops.RunSQL(sql_beside(__file__))]
