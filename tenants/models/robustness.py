"""How firm the ranks of a run are under small changes of weights (稳健性); beside the result, never part of it."""

from tortoise import fields
from tortoise.models import Model

from tenants.fields import NumericField


class RunRobustness(Model):
    """The draws of one run. `flips`: [{"grade", "standings": [id, id], "share", "text": {"zh", "en"}}]."""

    tenant_id = fields.UUIDField()
    run_id = fields.UUIDField(primary_key=True)
    seed = NumericField()
    draws = fields.IntField()
    tolerance = NumericField()
    flips: fields.Field[list[dict[str, object]]] = fields.JSONField()
    reckoned_at = fields.DatetimeField()

    class Meta:
        table = "run_robustness"


class StandingRobustness(Model):
    """Interval of a standing's rank, and its rank where one node is left out: [{"code", "rank"}]."""

    tenant_id = fields.UUIDField()
    standing_id = fields.UUIDField(primary_key=True)
    low = fields.IntField()
    high = fields.IntField()
    without: fields.Field[list[dict[str, object]]] = fields.JSONField()

    class Meta:
        table = "standing_robustness"
