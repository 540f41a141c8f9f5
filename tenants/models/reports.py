"""Tasks, reports and entries with all their revisions (填报任务、填报表、填报值)."""

from tortoise import fields

from tenants.fields import NumericField
from tenants.models.base import TenantRow


class Report(TenantRow):
    """A unit's report for a cycle; its state is reckoned from its tasks and assessments."""

    cycle_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    first_submitted_at = fields.DatetimeField(null=True)
    last_submitted_at = fields.DatetimeField(null=True)
    submitted_by_id = fields.UUIDField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "reports"


class Task(TenantRow):
    """One value that a cycle asks for: unit × data item. `due_at` and `closes_at` are its own exclusive instants.

    The item is the one that its cycle's scheme version pinned.
    """

    cycle_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    data_item_id = fields.UUIDField()
    scheme_version_id = fields.UUIDField()
    position = fields.IntField()
    filler = fields.TextField()
    responsible_unit_id = fields.UUIDField(null=True)
    report_id = fields.UUIDField(null=True)
    state = fields.TextField(default="OPEN")
    due_on = fields.DateField()
    due_at = fields.DatetimeField()
    closes_at = fields.DatetimeField()
    days_late = fields.IntField(default=0)
    return_review_id = fields.UUIDField(null=True)

    class Meta:
        table = "tasks"


class Entry(TenantRow):
    """The present value of a task. `number` holds numbers and yes-no (1, 0); `detail` choices, counts and scores."""

    task_id = fields.UUIDField()
    cycle_id = fields.UUIDField()
    state = fields.TextField(default="DRAFT")
    revision = fields.IntField()
    revision_id = fields.UUIDField()
    number = NumericField(null=True)
    detail: fields.Field[object | None] = fields.JSONField(null=True)
    note = fields.TextField(null=True)
    source = fields.TextField()
    by_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    submitted_at = fields.DatetimeField(null=True)
    submitted_revision_id = fields.UUIDField(null=True)
    days_late = fields.IntField(default=0)
    version = fields.IntField(default=1)

    class Meta:
        table = "entries"


class EntryRevision(TenantRow):
    """One write of an entry; never changed."""

    entry_id = fields.UUIDField()
    revision = fields.IntField()
    number = NumericField(null=True)
    detail: fields.Field[object | None] = fields.JSONField(null=True)
    note = fields.TextField(null=True)
    source = fields.TextField()
    by_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    reason = fields.TextField(null=True)

    class Meta:
        table = "entry_revisions"
