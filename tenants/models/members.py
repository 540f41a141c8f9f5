"""Who acts: accounts, service tokens, and what they may do where (账号、服务令牌、授权)."""

from tortoise import fields

from tenants.fields import TextArrayField, UUIDArrayField
from tenants.models.base import TenantRow


class Actor(TenantRow):
    """Whoever can act: the common part of members and service tokens. `kind` is MEMBER or SERVICE_TOKEN."""

    kind = fields.TextField()
    display_name = fields.TextField()

    class Meta:
        table = "actors"


class Member(TenantRow):
    """An account (账号): beside its actor's shown name a sign-in name and the argon2id hash of a password, no more."""

    sign_in_name = fields.TextField()
    password_hash = fields.TextField(null=True)
    active = fields.BooleanField(default=True)
    language = fields.TextField(default="ZH_CN")
    version = fields.IntField(default=1)

    class Meta:
        table = "members"


class ServiceToken(TenantRow):
    """An opaque token, kept as the SHA-256 of its secret. With `member_id` it acts for that account's person."""

    prefix = fields.TextField()
    secret_hash = fields.BinaryField()
    member_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "service_tokens"


class Grant(TenantRow):
    """Role × unit, covering the subtree; empty arrays do not narrow (授权)."""

    holder_id = fields.UUIDField()
    role = fields.TextField()
    unit_id = fields.UUIDField()
    category_ids = UUIDArrayField()
    indicator_codes = TextArrayField()
    data_item_ids = UUIDArrayField()
    valid_to = fields.DateField(null=True)

    class Meta:
        table = "grants"
