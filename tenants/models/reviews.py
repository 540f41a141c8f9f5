"""Assessments and the reviews that judge them (考核评分、审核)."""

from tortoise import fields

from tenants.fields import NumericArrayField, NumericField, UUIDArrayField
from tenants.models.base import TenantRow


class Assessment(TenantRow):
    """One unit × leaf to be judged. The settled arrays are in the order of the leaf's `indicator_items`.

    `pinned_revision_ids` are the entry revisions that the settling review judged; a run scores the leaf from
    `settled_numbers` and `settled_details` alone. While it is READY above level 1 they may hold values that a lower
    level put in place of the reported ones. `findings` are the leaf's cross checks that the present values break.
    """

    cycle_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    indicator_id = fields.UUIDField()
    report_id = fields.UUIDField()
    state = fields.TextField(default="WAITING")
    level = fields.IntField(default=1)
    levels = fields.IntField()
    marks = NumericField(null=True)
    marks_reason = fields.TextField(null=True)
    self_score = NumericField(null=True)
    self_note = fields.TextField(null=True)
    ready_since = fields.DatetimeField(null=True)
    settled_at = fields.DatetimeField(null=True)
    settled_numbers = NumericArrayField(null=True)
    settled_details: fields.Field[list[object] | None] = fields.JSONField(null=True)
    pinned_revision_ids = UUIDArrayField(null=True)
    days_late = fields.IntField(default=0)
    changes_since_accepted = fields.IntField(default=0)
    findings: fields.Field[list[dict[str, object]]] = fields.JSONField(default=list)
    version = fields.IntField(default=1)

    class Meta:
        table = "assessments"


class Review(TenantRow):
    """One judgement of an assessment, pinned to the revisions it judged; never changed.

    `numbers` and `details` are the values it settled, where it put others in place of the reported ones.
    """

    assessment_id = fields.UUIDField()
    level = fields.IntField()
    decision = fields.TextField()
    reason = fields.TextField(null=True)
    due_on = fields.DateField(null=True)
    marks = NumericField(null=True)
    numbers = NumericArrayField(null=True)
    details: fields.Field[list[object] | None] = fields.JSONField(null=True)
    role = fields.TextField()
    unit_id = fields.UUIDField()
    by_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    revision_ids = UUIDArrayField()
    data_item_ids = UUIDArrayField()

    class Meta:
        table = "reviews"
