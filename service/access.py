"""Who is calling, and what it may do where (登录身份与权限).

A token names its tenant in clear, so that it can be verified inside that tenant's transaction: a JWT that `signIn`
issued carries the claim `tid`; an opaque service token reads `kp_<tenant>_<secret>` and is kept as a hash. A token of
an issuer outside is verified first, and says its tenant then (`service.issuers`).
"""

import hashlib
import re
import secrets
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol, Self
from uuid import UUID

import asyncpg
import jwt
import orjson

from service.errors import AccessDenied, Contact, Path, unauthenticated
from service.scoring.text import Text
from tenants.database import Database, Transaction
from tenants.statements import bound

if TYPE_CHECKING:
    from service.issuers import Issuers

ISSUER = "kaoping"
ALGORITHM = "HS256"

SYSTEM = UUID(int=0)
"""Id of the system actor; never stored, the audit writes NULL for it."""

Language = Literal["ZH_CN", "EN"]


class Role(StrEnum):
    """What a grant allows (角色)."""

    ADMINISTRATOR = "ADMINISTRATOR"
    ORGANISER = "ORGANISER"
    ASSESSOR = "ASSESSOR"
    REVIEWER = "REVIEWER"
    SECRETARY = "SECRETARY"
    OBSERVER = "OBSERVER"
    FEED = "FEED"


ROLE_NAMES = {
    Role.ADMINISTRATOR: Text(zh="系统管理员", en="administrator"),
    Role.ORGANISER: Text(zh="考核办", en="organiser"),
    Role.ASSESSOR: Text(zh="评分员", en="assessor"),
    Role.REVIEWER: Text(zh="审核员", en="reviewer"),
    Role.SECRETARY: Text(zh="填报员", en="secretary"),
    Role.OBSERVER: Text(zh="查阅员", en="observer"),
    Role.FEED: Text(zh="数据接口", en="feed"),
}


@dataclass(frozen=True)
class HeldGrant:
    """A grant in force: role × unit and its subtree; empty tuples do not narrow."""

    id: UUID
    role: Role
    unit_id: UUID
    at_root: bool
    category_ids: tuple[UUID, ...]
    indicator_codes: tuple[str, ...]
    data_item_ids: tuple[UUID, ...]

    @property
    def narrowed(self) -> bool:
        """Whether it covers less than all of its subtree."""
        return bool(self.category_ids or self.indicator_codes or self.data_item_ids)


def lacking(roles: Set[Role], *, narrowed: bool) -> frozenset[str]:
    """What `service.reports.rights.only` names, and is false of whoever holds these roles."""
    return frozenset(role.value.lower() for role in Role if role not in roles) | (set() if narrowed else {"narrowed"})


@dataclass(frozen=True)
class Actor:
    """The caller: a member, or a service token, which is an actor of its own.

    `person_id` is the account behind it (a token may act for a member): whoever must be "another" is another person.
    """

    tenant_id: UUID
    id: UUID
    person_id: UUID
    kind: Literal["MEMBER", "SERVICE_TOKEN"]
    display_name: str
    language: Language
    time_zone: str
    grants: tuple[HeldGrant, ...]
    request_id: str | None = None
    expires_at: datetime | None = None
    secret_hash: bytes | None = field(default=None, repr=False)
    """Of a service token: which of its secrets was shown; the next one ends it."""

    @cached_property
    def roles(self) -> frozenset[Role]:
        """All roles that it holds anywhere."""
        return frozenset(grant.role for grant in self.grants)

    @cached_property
    def reach(self) -> bytes:
        """A digest of all that its reads depend on besides the tenant: who it is, and what its grants say."""
        return hashlib.sha256(repr((self.id, self.grants)).encode()).digest()

    @cached_property
    def sees_all(self) -> bool:
        """Whether it reads everything of the assessment: organiser or observer of the whole district."""
        return any(
            grant.at_root and not grant.narrowed and grant.role in (Role.ORGANISER, Role.OBSERVER)
            for grant in self.grants
        )

    @cached_property
    def narrowed(self) -> bool:
        """Whether some of its grants cover less than all of their subtrees."""
        return any(grant.narrowed for grant in self.grants)

    @cached_property
    def lacking(self) -> frozenset[str]:
        """What `service.reports.rights.only` names, and is false of it."""
        return lacking(self.roles, narrowed=self.narrowed)

    def in_request(self, request_id: str | None) -> Self:
        """The same actor, whose writes tell of this request."""
        # Not by dataclasses.replace, which takes long and would lose what was reckoned of the one that is known.
        reckoned = {"roles": self.roles, "sees_all": self.sees_all, "narrowed": self.narrowed, "lacking": self.lacking}
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **reckoned, request_id=request_id)
        return made

    def holds_at_root(self, *roles: Role) -> bool:
        """Whether it holds one of the roles for the whole district; the system holds all."""
        return self.id == SYSTEM or any(grant.at_root and grant.role in roles for grant in self.grants)

    def require_at_root(self, *roles: Role, path: Path = ("input",)) -> None:
        """Refuse unless it holds one of the roles for the whole district."""
        if not self.holds_at_root(*roles):
            raise forbidden(roles, path=path)

    def units_of(self, *roles: Role) -> list[UUID]:
        """The units where it holds one of the roles; each covers its subtree."""
        return [grant.unit_id for grant in self.grants if grant.role in roles]


def forbidden(roles: Sequence[Role], *, path: Path) -> AccessDenied:
    """A refusal of who holds none of the roles at the root, of which one would do."""
    zh, en = _named(roles)
    return denied(
        Text(zh=f"需要{zh}的授权。", en=f"This needs a grant as {en}."),
        roles,
        contacts=[Contact(role.value) for role in dict.fromkeys((*roles, Role.ADMINISTRATOR))],
        path=path,
    )


def denied(text: Text, roles: Sequence[Role], *, contacts: Sequence[Contact], path: Path) -> AccessDenied:
    """A refusal by role: which rule, the roles of which one would do, who can help, and where in the input."""
    zh, en = _named(roles)
    return AccessDenied(
        text,
        required_roles=[role.value for role in roles],
        contacts=contacts,
        path=path,
        hint=Text(
            zh=f"请由{zh}办理，或请本区系统管理员授权。",
            en=f"Leave it to the {en}, or ask your district's administrator for a grant.",
        ),
    )


def _named(roles: Sequence[Role]) -> Text:
    return Text(
        zh="或".join(ROLE_NAMES[role].zh for role in roles), en=" or ".join(ROLE_NAMES[role].en for role in roles)
    )


async def covered_units(tx: Transaction, actor: Actor, roles: Sequence[Role], unit_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the units lie in the subtree of a grant of one of the roles, as the tree is today."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT unit_id FROM org_unit_ancestors
        WHERE tenant_id = $1 AND unit_id = ANY($2::uuid[]) AND ancestor_id = ANY($3::uuid[])
        """,
        tx.tenant_id,
        list(unit_ids),
        actor.units_of(*roles),
    )
    return {row["unit_id"] for row in rows}


def system_actor(tenant_id: UUID, *, time_zone: str = "Asia/Shanghai") -> Actor:
    """The command line and jobs, acting for nobody in particular: the audit shows no actor."""
    return Actor(
        tenant_id=tenant_id,
        id=SYSTEM,
        person_id=SYSTEM,
        kind="SERVICE_TOKEN",
        display_name="Kaoping",
        language="ZH_CN",
        time_zone=time_zone,
        grants=(),
    )


@dataclass(frozen=True)
class IssuedToken:
    """A bearer token and when it ends."""

    token: str
    expires_at: datetime


def issue_jwt(signing_key: str, *, tenant_id: UUID, member_id: UUID, minutes: int) -> IssuedToken:
    """A signed token for a member who has proved its password."""
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + timedelta(minutes=minutes)
    claims = {"iss": ISSUER, "tid": str(tenant_id), "sub": str(member_id), "iat": now, "exp": expires_at}
    return IssuedToken(jwt.encode(claims, signing_key, algorithm=ALGORITHM), expires_at)


def new_secret(tenant_id: UUID) -> str:
    """A new opaque service token."""
    return f"kp_{tenant_id.hex}_{secrets.token_urlsafe(32)}"


def secret_hash(token: str) -> bytes:
    """What is kept of an opaque token. It has 256 random bits, so a plain SHA-256 cannot be turned back."""
    return hashlib.sha256(token.encode()).digest()


_OPAQUE = re.compile(r"kp_([0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)

_ACTOR_SQL = """
SELECT a.id, a.kind, a.display_name, t.time_zone, coalesce(m.language, 'ZH_CN') AS language, s.member_id,
       s.secret_hash, s.expires_at, s.last_used_at < now() - interval '1 hour' OR s.last_used_at IS NULL AS stale,
       coalesce((SELECT json_agg(json_build_array(g.id, g.role, g.unit_id, u.parent_id IS NULL, g.category_ids,
                                                  g.indicator_codes, g.data_item_ids) ORDER BY g.id)
                 FROM grants g JOIN org_units u ON u.tenant_id = g.tenant_id AND u.id = g.unit_id
                 WHERE g.tenant_id = :tenant AND g.holder_id = a.id
                   AND (g.valid_to IS NULL OR g.valid_to >= (now() AT TIME ZONE t.time_zone)::date)), '[]') AS grants
"""

_ACTIVE = """
FROM actors a
JOIN tenants t ON t.tenant_id = a.tenant_id
JOIN directory d ON d.id = a.tenant_id AND d.status = 'ACTIVE'
LEFT JOIN service_tokens s ON s.tenant_id = a.tenant_id AND s.id = a.id
LEFT JOIN members m ON m.tenant_id = a.tenant_id AND m.id = coalesce(s.member_id, a.id)
WHERE a.tenant_id = :tenant AND (m.id IS NULL OR m.active) AND """

_MEMBER = """SELECT FROM members m JOIN directory d ON d.id = m.tenant_id AND d.status = 'ACTIVE'
    WHERE m.tenant_id = :tenant AND m.id = :actor AND m.active"""

_BEARER = """SELECT FROM service_tokens s JOIN directory d ON d.id = s.tenant_id AND d.status = 'ACTIVE'
    LEFT JOIN members m ON m.tenant_id = s.tenant_id AND m.id = s.member_id
    WHERE s.tenant_id = :tenant AND s.id = :actor AND s.secret_hash = :secret_hash AND s.revoked_at IS NULL
      AND s.expires_at > now() AND (m.id IS NULL OR m.active)"""


def stands(actor: Actor) -> str:
    """SQL that gives a row while the actor may act, for a statement that writes on its behalf.

    Its parameters are `tenant`, `actor` and `secret_hash`.
    """
    return _MEMBER if actor.kind == "MEMBER" else _BEARER


async def authenticate(
    db: Database, signing_key: str, token: str, *, issuers: "Issuers | None" = None, request_id: str | None = None
) -> Actor:
    """The actor behind a bearer token, with its grants of today; raises AccessDenied (UNAUTHENTICATED).

    Tokens of others than ourselves hold where `issuers` verifies them.
    """
    if match := _OPAQUE.fullmatch(token):
        tenant_id = UUID(hex=match[1])
        condition = (
            "a.kind = 'SERVICE_TOKEN' AND s.secret_hash = :key AND s.revoked_at IS NULL AND s.expires_at > now()"
        )
        key: object = secret_hash(token)
        expires_at = None
    elif issuers is not None and _is_of_another(token):
        proven = await issuers.verify(token)
        tenant_id, key, expires_at = proven.tenant_id, proven.subject, proven.expires_at
        # Whoever has a password signs in with that: a name that an issuer gives to somebody else opens nothing.
        condition = "a.kind = 'MEMBER' AND m.sign_in_name = :key AND m.password_hash IS NULL"
    else:
        try:
            claims = jwt.decode(
                token,
                signing_key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "tid"], "verify_iat": False},
            )
            tenant_id, key = UUID(claims["tid"]), UUID(claims["sub"])
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            raise unauthenticated(
                Text(zh="登录令牌无效或已过期。", en="The bearer token is not valid, or has ended.")
            ) from None
        condition = "a.kind = 'MEMBER' AND a.id = :key"
    reader = db.reading(tenant_id)
    try:
        rows = await reader.fetch(*bound(_ACTOR_SQL + _ACTIVE + condition, {"tenant": tenant_id, "key": key}))
    finally:
        await reader.close()
    if not rows:
        raise unauthenticated(Text(zh="登录令牌无效或已过期。", en="The bearer token is not valid, or has ended."))
    row = rows[0]
    if row["kind"] == "SERVICE_TOKEN" and row["stale"]:
        async with db.transaction(tenant_id) as tx:
            await tx.execute(
                "UPDATE service_tokens SET last_used_at = now() WHERE tenant_id = $1 AND id = $2",
                tenant_id,
                row["id"],
            )
    return _actor(tenant_id, row, request_id=request_id, expires_at=row["expires_at"] or expires_at)


def _is_of_another(token: str) -> bool:
    """Whether a token claims to be of another issuer than ourselves; believed only so far as to ask that one."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss") != ISSUER
    except (jwt.InvalidTokenError, ValueError, TypeError):
        return False


class Reading(Protocol):
    """A tenant's transaction, or a snapshot of its own."""

    tenant_id: UUID

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """All rows."""


async def reread(reading: Reading, actor: Actor) -> Actor:
    """The actor as the caller's transaction or snapshot knows it; raises AccessDenied where it may act no more."""
    values = {"tenant": reading.tenant_id, "actor": actor.id, "secret_hash": actor.secret_hash}
    rows = await reading.fetch(*bound(f"{_ACTOR_SQL} {_ACTIVE} a.id = :actor AND EXISTS ({stands(actor)})", values))
    if not rows:
        raise unauthenticated(Text(zh="登录令牌无效或已过期。", en="The bearer token is not valid, or has ended."))
    return _actor(actor.tenant_id, rows[0], request_id=actor.request_id, expires_at=actor.expires_at)


def _actor(tenant_id: UUID, row: asyncpg.Record, *, request_id: str | None, expires_at: datetime | None) -> Actor:
    return Actor(
        tenant_id=tenant_id,
        id=row["id"],
        person_id=row["member_id"] or row["id"],
        kind=row["kind"],
        display_name=row["display_name"],
        language=row["language"],
        time_zone=row["time_zone"],
        grants=_grants(row["grants"]),
        request_id=request_id,
        expires_at=expires_at,
        secret_hash=row["secret_hash"],
    )


def _grants(text: str) -> tuple[HeldGrant, ...]:
    return tuple(
        HeldGrant(
            id=UUID(grant_id),
            role=Role(role),
            unit_id=UUID(unit_id),
            at_root=at_root,
            category_ids=tuple(UUID(c) for c in categories),
            indicator_codes=tuple(indicators),
            data_item_ids=tuple(UUID(i) for i in items),
        )
        for grant_id, role, unit_id, at_root, categories, indicators, items in orjson.loads(text)
    )
