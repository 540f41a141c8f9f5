"""Trials of other rules, weights and values over a run's snapshot (试算); thrown away after a while."""

from tortoise import fields

from tenants.fields import NumericField
from tenants.models.base import TenantRow


class WhatIf(TenantRow):
    """One trial. `given`: {"weights": {code: decimal}, "values": [{"unit", "dataItem", "number" or "detail"}]}."""

    run_id = fields.UUIDField()
    scheme_version_id = fields.UUIDField()
    job_id = fields.UUIDField()
    given: fields.Field[dict[str, object]] = fields.JSONField()
    requested_by_id = fields.UUIDField(null=True)
    requested_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "what_ifs"


class WhatIfChange(TenantRow):
    """A unit in a trial, beside what it has in the real run; in the order of the real board."""

    what_if_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    category_id = fields.UUIDField()
    position = fields.IntField()
    total_before = NumericField(null=True)
    total_after = NumericField(null=True)
    rank_before = fields.IntField(null=True)
    rank_after = fields.IntField(null=True)
    grade_before = fields.TextField(null=True)
    """Name of the computed grade."""
    grade_after = fields.TextField(null=True)

    class Meta:
        table = "what_if_changes"
