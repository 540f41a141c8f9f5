"""The outbox; keys, policies and grants are in the SQL file beside it."""

from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops

from tenants.ids import uuid7
from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_what_ifs")]

    operations = [
        ops.CreateModel(
            name="OutboxEvent",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("sequence", fields.BigIntField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("kind", fields.TextField(unique=False)),
                ("subject_type", fields.TextField(unique=False)),
                ("subject_id", fields.UUIDField()),
                ("ids", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={"table": "outbox_events", "app": "tenants", "pk_attr": "id"},
            bases=["TenantRow"],
        ),
        ops.CreateModel(
            name="OutboxHead",
            fields=[
                ("tenant_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("sequence", fields.BigIntField()),
            ],
            options={"table": "outbox_heads", "app": "tenants", "pk_attr": "tenant_id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OutboxReader",
            fields=[
                ("tenant_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("reader", fields.TextField(unique=False)),
                ("position", fields.BigIntField()),
            ],
            options={"table": "outbox_readers", "app": "tenants", "pk_attr": "tenant_id"},
            bases=["Model"],
        ),
        ops.RunSQL(sql_beside(__file__)),
    ]
