"""What a deployment needs: how tokens from outside find their district, traces of jobs, the record of migrations."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from tenants.migrations import sql_beside


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_statistics")]

    operations = [
        *(
            ops.AddField(model_name="Directory", name=name, field=fields.TextField(null=True, unique=False))
            for name in ("audience", "subject_claim", "tenant_claim")
        ),
        ops.AddField(model_name="Job", name="traceparent", field=fields.TextField(null=True, unique=False)),
        ops.RunSQL(sql_beside(__file__)),
    ]
