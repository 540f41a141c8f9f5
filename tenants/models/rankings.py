"""Ranking runs and what they computed; grades, who orders equals, what a body settled (成绩测算、考核结果、等次)."""

from tortoise import fields
from tortoise.models import Model

from tenants.fields import NumericField, UUIDArrayField
from tenants.models.base import TenantRow


class RankingRun(TenantRow):
    """One background computation over a fixed snapshot; its job tells where it stands."""

    cycle_id = fields.UUIDField()
    number = fields.IntField()
    job_id = fields.UUIDField()
    requested_by_id = fields.UUIDField(null=True)
    requested_at = fields.DatetimeField()
    snapshot_at = fields.DatetimeField(null=True)
    snapshot_digest = fields.TextField(null=True)
    result_digest = fields.TextField(null=True)
    engine_version = fields.TextField(null=True)
    unreviewed_count = fields.IntField(null=True)
    missing_count = fields.IntField(null=True)
    quotas: fields.Field[list[dict[str, object]] | None] = fields.JSONField(null=True)
    """Places of limited grades: grade, scope, category or parent (ids), base, places, used."""
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "ranking_runs"


class RunSnapshot(Model):
    """What a run was computed from: compressed canonical JSON; written once."""

    tenant_id = fields.UUIDField()
    run_id = fields.UUIDField(primary_key=True)
    document = fields.BinaryField()

    class Meta:
        table = "run_snapshots"


class Standing(TenantRow):
    """A unit's result in a run; written once. `exact` is p/q; `exact_order` sorts by the exact total, best first."""

    run_id = fields.UUIDField()
    cycle_unit_id = fields.UUIDField()
    category_id = fields.UUIDField()
    position = fields.IntField()
    exact_order = fields.IntField(null=True)
    total = NumericField(null=True)
    exact = fields.TextField(null=True)
    rank = fields.IntField(null=True)
    overall_rank = fields.IntField(null=True)
    shared_by = fields.IntField()
    status = fields.TextField()
    base = NumericField(null=True)
    bonus = NumericField(null=True)
    deduction = NumericField(null=True)
    late_penalty = NumericField(null=True)
    days_late = fields.IntField(default=0)
    coverage = NumericField()
    veto_event_ids = UUIDArrayField()
    previous_publication_id = fields.UUIDField(null=True)
    previous_total = NumericField(null=True)
    previous_rank = fields.IntField(null=True)
    previous_grade = fields.TextField(null=True)
    """Name of the grade then."""

    class Meta:
        table = "standings"


class StandingDimension(Model):
    """Score of a first-level indicator; `exact_order` sorts by the exact score within the run, best first."""

    tenant_id = fields.UUIDField()
    standing_id = fields.UUIDField(primary_key=True)
    indicator_id = fields.UUIDField()
    position = fields.IntField()
    exact_order = fields.IntField(null=True)
    score = NumericField(null=True)
    marks = NumericField(null=True)
    full_marks = NumericField(null=True)
    exact = fields.TextField(null=True)
    value_state = fields.TextField()
    coverage = NumericField()

    class Meta:
        table = "standing_dimensions"


class StandingDetail(Model):
    """Scores of all other nodes and leaves of a standing, as one JSON text in print order.

    Each is a list: code, score, marks, state, coverage.
    """

    tenant_id = fields.UUIDField()
    standing_id = fields.UUIDField(primary_key=True)
    nodes = fields.TextField()

    class Meta:
        table = "standing_details"


class StandingGrade(Model):
    """The computed grade of a standing, by code; it changes when equals at the edge of a quota are ordered."""

    tenant_id = fields.UUIDField()
    standing_id = fields.UUIDField(primary_key=True)
    run_id = fields.UUIDField()
    grade = fields.TextField(null=True)

    class Meta:
        table = "standing_grades"


class TieGroup(TenantRow):
    """Equals where the places of a grade run out; a person orders them once, with a reason.

    `category_id` or `parent_id` (a cycle unit) says within what the places are counted; neither for all units together.
    """

    run_id = fields.UUIDField()
    grade = fields.TextField()
    category_id = fields.UUIDField(null=True)
    parent_id = fields.UUIDField(null=True)
    places_left = fields.IntField()
    decided_at = fields.DatetimeField(null=True)
    decided_by_id = fields.UUIDField(null=True)
    reason = fields.TextField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "tie_groups"


class TieGroupMember(Model):
    """One of the equals, and its place among them once they are ordered."""

    tenant_id = fields.UUIDField()
    tie_group_id = fields.UUIDField(primary_key=True)
    standing_id = fields.UUIDField()
    place = fields.IntField(null=True)

    class Meta:
        table = "tie_group_members"


class GradeRecord(TenantRow):
    """What the deciding body settled for a run (审定等次); never changed, the newest holds."""

    run_id = fields.UUIDField()
    number = fields.IntField()
    body = fields.TextField()
    decided_on = fields.DateField()
    document_title = fields.TextField()
    document_number = fields.TextField(null=True)
    by_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "grade_records"


class DecidedGrade(Model):
    """The grade of one standing by a record, and why it differs from the computed one."""

    tenant_id = fields.UUIDField()
    record_id = fields.UUIDField(primary_key=True)
    standing_id = fields.UUIDField()
    grade = fields.TextField()
    reason = fields.TextField(null=True)

    class Meta:
        table = "decided_grades"
