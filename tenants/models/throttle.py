"""Tries to sign in (登录尝试), counted per name and per district."""

from tortoise import fields
from tortoise.models import Model


class SignInTries(Model):
    """A leaky bucket: `level` is in seconds until it is empty, as of `at`.

    Of districts that there are not, the tenant is the nil id. `key` is a hash: no name of anybody is kept.
    """

    tenant_id = fields.UUIDField(primary_key=True)
    key = fields.BinaryField()
    level = fields.FloatField()
    at = fields.DatetimeField()

    class Meta:
        table = "sign_in_tries"
