"""Tries to sign in; keys, policies and grants are in the SQL file beside it."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0007_plans")]

    operations = [
        ops.CreateModel(
            name="SignInTries",
            fields=[
                ("tenant_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("key", fields.BinaryField()),
                ("level", fields.FloatField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={"table": "sign_in_tries", "app": "tenants", "pk_attr": "tenant_id"},
            bases=["Model"],
        ),
        ops.RunSQL(sql_beside(__file__)),
    ]
