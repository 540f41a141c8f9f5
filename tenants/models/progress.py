"""Counters of a cycle (进度统计), kept with every change that they count."""

from tortoise import fields
from tortoise.models import Model


class ProgressCounter(Model):
    """Counts of one subject of a cycle: the cycle itself, a unit of it, all units below one, a category, a leaf.

    `subject_id` is the id of the cycle, of the cycle's unit, of the organisation unit above, of the category or of the
    indicator. Values are counted under the instant they are due at, so that what is overdue follows from the clock;
    judgements, which are not due, under infinity.
    """

    tenant_id = fields.UUIDField()
    cycle_id = fields.UUIDField()
    subject_id = fields.UUIDField(primary_key=True)
    due_at = fields.DatetimeField()
    asked = fields.IntField(default=0)
    submitted = fields.IntField(default=0)
    submitted_late = fields.IntField(default=0)
    outstanding = fields.IntField(default=0)
    ready = fields.IntField(default=0)
    returned = fields.IntField(default=0)
    accepted = fields.IntField(default=0)
    rejected = fields.IntField(default=0)
    not_applicable = fields.IntField(default=0)
    inconsistent = fields.IntField(default=0)

    class Meta:
        table = "progress_counters"
