"""Background jobs: the row is the truth, the queue only a doorbell (后台任务)."""

from tortoise import fields

from tenants.models.base import TenantRow


class Job(TenantRow):
    """A piece of background work.

    `fence` rises with each claim, and only its holder may commit; requests while one is queued or running raise
    `want_seq`, and `done_seq` says up to which request it is done. `next_run_at` is when a round that was asked for
    while it runs is due; `request_id` and `traceparent` are the HTTP request and the trace of the newest request.
    """

    kind = fields.TextField()
    subject_type = fields.TextField(null=True)
    subject_id = fields.UUIDField(null=True)
    arguments: fields.Field[dict[str, object]] = fields.JSONField(default=dict)
    dedupe_key = fields.TextField()
    state = fields.TextField(default="QUEUED")
    stage = fields.TextField(null=True)
    percent = fields.IntField(default=0)
    units_done = fields.IntField(default=0)
    units_total = fields.IntField(default=0)
    want_seq = fields.IntField(default=1)
    done_seq = fields.IntField(default=0)
    attempts = fields.IntField(default=0)
    max_attempts = fields.IntField()
    crashes = fields.IntField(default=0)
    fence = fields.BigIntField(default=0)
    lease_until = fields.DatetimeField(null=True)
    run_at = fields.DatetimeField()
    next_run_at = fields.DatetimeField(null=True)
    cancel_requested = fields.BooleanField(default=False)
    last_error: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    requested_by_id = fields.UUIDField(null=True)
    request_id = fields.TextField(null=True)
    requested_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)
    change_seq = fields.BigIntField(default=0)
    traceparent = fields.TextField(null=True)

    class Meta:
        table = "jobs"
