"""What pages are read by in the orders that frontends ask for."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_pages")]

    operations = [ops.RunSQL(sql_beside(__file__))]
