"""Trials of other rules over a run's snapshot, and how firm a run's ranks are."""

from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops

from tenants.fields import NumericField
from tenants.ids import uuid7
from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_operations")]

    operations = [
        ops.CreateModel(
            name="WhatIf",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("run_id", fields.UUIDField()),
                ("scheme_version_id", fields.UUIDField()),
                ("job_id", fields.UUIDField()),
                ("given", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("requested_by_id", fields.UUIDField(null=True)),
                ("requested_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={"table": "what_ifs", "app": "tenants", "pk_attr": "id"},
            bases=["TenantRow"],
        ),
        ops.CreateModel(
            name="WhatIfChange",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("what_if_id", fields.UUIDField()),
                ("cycle_unit_id", fields.UUIDField()),
                ("category_id", fields.UUIDField()),
                ("position", fields.IntField()),
                ("total_before", NumericField(null=True, generated=False, unique=False)),
                ("total_after", NumericField(null=True, generated=False, unique=False)),
                ("rank_before", fields.IntField(null=True)),
                ("rank_after", fields.IntField(null=True)),
                ("grade_before", fields.TextField(null=True, unique=False)),
                ("grade_after", fields.TextField(null=True, unique=False)),
            ],
            options={"table": "what_if_changes", "app": "tenants", "pk_attr": "id"},
            bases=["TenantRow"],
        ),
        ops.CreateModel(
            name="RunRobustness",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("run_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("seed", NumericField(generated=False, unique=False)),
                ("draws", fields.IntField()),
                ("tolerance", NumericField(generated=False, unique=False)),
                ("flips", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("reckoned_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={"table": "run_robustness", "app": "tenants", "pk_attr": "run_id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="StandingRobustness",
            fields=[
                ("tenant_id", fields.UUIDField()),
                ("standing_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("low", fields.IntField()),
                ("high", fields.IntField()),
                ("without", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={"table": "standing_robustness", "app": "tenants", "pk_attr": "standing_id"},
            bases=["Model"],
        ),
        ops.RunSQL(sql_beside(__file__)),
    ]
