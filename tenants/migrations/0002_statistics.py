"""Counters of cycles; keys, policies, grants and the counts of what is there already are in the SQL file beside it."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_foundation")]

    operations = [
        ops.CreateModel(
            name="ProgressCounter",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("cycle_id", fields.UUIDField()),
                ("subject_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("asked", fields.IntField(default=0)),
                ("submitted", fields.IntField(default=0)),
                ("submitted_late", fields.IntField(default=0)),
                ("outstanding", fields.IntField(default=0)),
                ("ready", fields.IntField(default=0)),
                ("returned", fields.IntField(default=0)),
                ("accepted", fields.IntField(default=0)),
                ("rejected", fields.IntField(default=0)),
                ("not_applicable", fields.IntField(default=0)),
                ("inconsistent", fields.IntField(default=0)),
            ],
            options={"table": "progress_counters", "app": "tenants", "pk_attr": "subject_id"},
            bases=["Model"],
        ),
        ops.RunSQL(sql_beside(__file__)),
    ]
