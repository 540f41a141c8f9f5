"""Accounts, service tokens and grants (账号、服务令牌、授权), and signing in (登录).

An account is a shown name and a sign-in name, no more. Only administrators of the whole district make and change
accounts, tokens and grants.
"""

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service import audit, throttle
from service.access import ROLE_NAMES, Actor, IssuedToken, Language, Role, forbidden, issue_jwt, new_secret, secret_hash
from service.audit import Change
from service.checks import Check
from service.errors import Conflict, ErrorCode, IllegalState, NotFound, Path, VersionConflict, unauthenticated
from service.ids import parse_id
from service.scoring.text import Text
from tenants.database import Database, Transaction
from tenants.ids import uuid7

SHORTEST_PASSWORD = 8
"""Characters of a password at least."""

LONGEST_PASSWORD = 200
"""Characters of a password at most: hashing must not become a way to keep the server busy."""

MOST_GRANTS = 100
"""Grants given in one call."""

SHOWN_PREFIX = 12
"""Characters of a service token's secret part that stay readable, to recognise it by."""

_hasher = PasswordHasher()


@functools.cache
def _nobody() -> str:
    """Checked where there is no such account, so that the answer takes as long as for a wrong password."""
    return _hasher.hash("nobody has this password")


@dataclass(frozen=True)
class GrantSpec:
    """A role at a unit as it is asked for: ids as text, empty lists do not narrow."""

    role: Role
    unit_id: str
    category_ids: Sequence[str] = ()
    indicator_codes: Sequence[str] = ()
    data_item_ids: Sequence[str] = ()
    valid_to: str | None = None


@dataclass(frozen=True)
class NewToken:
    """A service token's row, and its secret, which is shown this once."""

    id: UUID
    secret: str


async def sign_in(
    db: Database, signing_key: str, *, minutes: int, tenant_code: str, name: str, password: str
) -> tuple[UUID, IssuedToken]:
    """Prove a password; the tenant's id and a bearer token for the account.

    Raises AccessDenied (UNAUTHENTICATED) with one answer whichever of the three is wrong, Throttled after too many
    tries, and Invalid where district or name can be nobody's.
    """
    check = Check()
    code = check.line(("input", "tenantCode"), tenant_code)
    sign_in_name = check.line(("input", "name"), name)
    check.done()
    assert code is not None
    assert sign_in_name is not None
    rows = await db.fetch_global("SELECT id FROM directory WHERE code = $1 AND status = 'ACTIVE'", code)
    begun = await throttle.begin_try(
        db, signing_key, tenant_id=rows[0]["id"] if rows else None, code=code, name=sign_in_name
    )
    member: asyncpg.Record | None = None
    if rows:
        reader = db.reading(rows[0]["id"])
        try:
            found = await reader.fetch(
                "SELECT id, password_hash FROM members WHERE tenant_id = $1 AND sign_in_name = $2 AND active",
                rows[0]["id"],
                sign_in_name,
            )
        finally:
            await reader.close()
        member = found[0] if found else None
    stored = member["password_hash"] if member else None
    right = await asyncio.to_thread(_verify, stored, password[: LONGEST_PASSWORD + 1])
    if member is None or stored is None or not right:
        raise unauthenticated(
            Text(zh="区代码、登录名或密码不正确。", en="District, sign-in name or password is wrong.")
        )
    await throttle.give_back(db, begun)
    tenant_id: UUID = rows[0]["id"]
    return tenant_id, issue_jwt(signing_key, tenant_id=tenant_id, member_id=member["id"], minutes=minutes)


async def create_member(
    tx: Transaction,
    actor: Actor,
    *,
    display_name: str,
    sign_in_name: str,
    password: str | None = None,
    language: Language = "ZH_CN",
    grants: Sequence[GrantSpec] = (),
) -> UUID:
    """Add an account, perhaps with its first grants; its id."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    shown = check.line(("input", "displayName"), display_name, longest=100)
    name = check.line(("input", "signInName"), sign_in_name, longest=100)
    _check_password(check, ("input", "password"), password)
    rows = await _check_grants(tx, check, ("input", "grants"), grants)
    # Before the tenant's row is held: it takes a while.
    hashed = None if check.found else await _hash(password)
    if name is not None and await _is_taken(tx, name):
        check.duplicate(("input", "signInName"), "该登录名已被使用。", "This sign-in name is taken.")
    check.done()
    member_id = uuid7()
    await _insert_actor(tx, member_id, "MEMBER", shown)
    await tx.execute(
        """INSERT INTO members (tenant_id, id, sign_in_name, password_hash, active, language)
           VALUES ($1, $2, $3, $4, true, $5)""",
        tx.tenant_id,
        member_id,
        name,
        hashed,
        language,
    )
    await _insert_grants(tx, member_id, rows)
    await audit.append(
        tx,
        actor,
        "createMember",
        subject=("Member", member_id),
        summary=Text(zh=f"新增账号“{shown}”", en=f'Added the account "{shown}"'),
        changes=[Change("signInName", None, name), *_granted(grants)],
    )
    return member_id


async def edit_member(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: str,
    version: int,
    display_name: str | None = None,
    password: str | None = None,
    language: Language | None = None,
    active: bool | None = None,
) -> UUID:
    """Change an account; what is None stays. Members may change their own password and language."""
    check = Check()
    key = check.id(("input", "memberId"), member_id, "Member")
    own = key == actor.person_id and display_name is None and active is None
    if not own:
        actor.require_at_root(Role.ADMINISTRATOR, path=("input", "memberId"))
    shown = check.line(("input", "displayName"), display_name, longest=100) if display_name is not None else None
    _check_password(check, ("input", "password"), password)
    check.done()
    row = await tx.fetchrow(
        """SELECT m.id, m.version, m.language, m.active, a.display_name, m.password_hash IS NOT NULL AS by_password
           FROM members m
           JOIN actors a ON a.tenant_id = m.tenant_id AND a.id = m.id
           WHERE m.tenant_id = $1 AND m.id = $2 FOR UPDATE OF m""",
        tx.tenant_id,
        key,
    )
    if row is None:
        raise NotFound(("input", "memberId"))
    _expect_version(row, version, "Member")
    if password is not None and not row["by_password"] and not actor.holds_at_root(Role.ADMINISTRATOR):
        # Else whoever is let in by an issuer could stay when the issuer shuts the door.
        raise forbidden([Role.ADMINISTRATOR], path=("input", "password"))
    await tx.execute(
        """UPDATE members SET version = version + 1, language = coalesce($3, language), active = coalesce($4, active),
                  password_hash = coalesce($5, password_hash) WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        key,
        language,
        active,
        await _hash(password),
    )
    if shown is not None:
        await tx.execute(
            "UPDATE actors SET display_name = $3 WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key, shown
        )
    changes = [
        Change("displayName", row["display_name"], shown) if shown is not None else None,
        Change("language", row["language"], language) if language is not None else None,
        Change("active", str(row["active"]).lower(), str(active).lower()) if active is not None else None,
        Change("password", None, "***") if password is not None else None,
    ]
    await audit.append(
        tx,
        actor,
        "editMember",
        subject=("Member", row["id"]),
        summary=Text(zh=f"修改账号“{row['display_name']}”", en=f'Changed the account "{row["display_name"]}"'),
        changes=[change for change in changes if change is not None],
    )
    return UUID(str(row["id"]))


async def link_member(tx: Transaction, actor: Actor, *, sign_in_name: str, subject: str) -> UUID:
    """Let an account sign in through the district's issuer from now on, as `subject`; its password ends."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    path = ("input", "subject")
    name = check.line(path, subject, longest=100)
    check.done()
    row = await tx.fetchrow(
        "SELECT id FROM members WHERE tenant_id = $1 AND sign_in_name = $2 FOR UPDATE", tx.tenant_id, sign_in_name
    )
    if row is None:
        raise NotFound(("input", "signInName"))
    if await _is_taken(tx, name, besides=row["id"]):
        check.duplicate(path, "该标识已属于另一账号。", "Another account has this subject.")
    check.done()
    await tx.execute(
        """UPDATE members SET version = version + 1, sign_in_name = $3, password_hash = NULL
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        row["id"],
        name,
    )
    await audit.append(
        tx,
        actor,
        "editMember",
        subject=("Member", row["id"]),
        summary=Text(zh="改由统一身份认证登录", en="Signs in through the issuer from now on"),
        changes=[Change("signInName", sign_in_name, name), Change("password", "***", None)],
    )
    return UUID(str(row["id"]))


async def grant_role(tx: Transaction, actor: Actor, *, holder_id: str, grant: GrantSpec) -> UUID:
    """Give a member or token a role; the grant's id."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    holder = _holder(check, ("input", "holderId"), holder_id)
    rows = await _check_grants(tx, check, ("input",), [grant], single="grant")
    check.done()
    name = await tx.fetchval(
        "SELECT display_name FROM actors WHERE tenant_id = $1 AND id = $2 AND kind = $3",
        tx.tenant_id,
        *(holder or (None, None)),
    )
    if holder is None or name is None:
        raise NotFound(("input", "holderId"))
    (grant_id,) = await _insert_grants(tx, holder[0], rows)
    await audit.append(
        tx,
        actor,
        "grantRole",
        subject=("Grant", grant_id),
        summary=Text(
            zh=f"授予“{name}”{ROLE_NAMES[grant.role].zh}角色", en=f'Made "{name}" {ROLE_NAMES[grant.role].en}'
        ),
        changes=_granted([grant]),
    )
    return grant_id


async def revoke_grant(tx: Transaction, actor: Actor, *, grant_id: str) -> tuple[UUID, UUID]:
    """Take a grant away; its id and its holder's. It ends at once."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    key = check.id(("input", "grantId"), grant_id, "Grant")
    check.done()
    row = await tx.fetchrow(
        """DELETE FROM grants g USING actors a WHERE g.tenant_id = $1 AND g.id = $2
           AND a.tenant_id = g.tenant_id AND a.id = g.holder_id RETURNING g.id, g.role, g.holder_id, a.display_name""",
        tx.tenant_id,
        key,
    )
    if row is None:
        raise NotFound(("input", "grantId"))
    role = ROLE_NAMES[Role(row["role"])]
    await audit.append(
        tx,
        actor,
        "revokeGrant",
        subject=("Grant", row["id"]),
        summary=Text(
            zh=f"收回“{row['display_name']}”的{role.zh}角色", en=f'"{row["display_name"]}" is no longer {role.en}'
        ),
        changes=[Change("role", row["role"], None)],
    )
    return row["id"], row["holder_id"]


async def create_service_token(
    tx: Transaction,
    actor: Actor,
    *,
    display_name: str,
    grants: Sequence[GrantSpec],
    expires_at: str,
    member_id: UUID | None = None,
) -> NewToken:
    """Make an opaque token, an actor of its own; with `member_id` it acts for that account's person."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    shown = check.line(("input", "displayName"), display_name, longest=100)
    ends = await _future(tx, check, ("input", "expiresAt"), expires_at)
    rows = await _check_grants(tx, check, ("input", "grants"), grants)
    if not grants:
        check.invalid(("input", "grants"), "至少需要一项授权。", "At least one grant is needed.")
    check.done()
    token_id, secret = uuid7(), new_secret(tx.tenant_id)
    await _insert_actor(tx, token_id, "SERVICE_TOKEN", shown)
    await tx.execute(
        """INSERT INTO service_tokens (tenant_id, id, prefix, secret_hash, member_id, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        tx.tenant_id,
        token_id,
        _prefix(secret),
        secret_hash(secret),
        member_id,
        ends,
    )
    await _insert_grants(tx, token_id, rows)
    await audit.append(
        tx,
        actor,
        "createServiceToken",
        subject=("ServiceToken", token_id),
        summary=Text(zh=f"签发服务令牌“{shown}”", en=f'Issued the service token "{shown}"'),
        changes=_granted(grants),
    )
    return NewToken(token_id, secret)


async def rotate_service_token(
    tx: Transaction, actor: Actor, *, service_token_id: str, version: int, expires_at: str
) -> NewToken:
    """Give a token a new secret; the old one ends at once."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    key = check.id(("input", "serviceTokenId"), service_token_id, "ServiceToken")
    ends = await _future(tx, check, ("input", "expiresAt"), expires_at)
    check.done()
    row = await _token_for_change(tx, key, version)
    secret = new_secret(tx.tenant_id)
    await tx.execute(
        """UPDATE service_tokens SET version = version + 1, prefix = $3, secret_hash = $4, expires_at = $5
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        key,
        _prefix(secret),
        secret_hash(secret),
        ends,
    )
    await audit.append(
        tx,
        actor,
        "rotateServiceToken",
        subject=("ServiceToken", row["id"]),
        summary=Text(
            zh=f"更换服务令牌“{row['display_name']}”的密钥",
            en=f'New secret for the service token "{row["display_name"]}"',
        ),
        changes=[Change("prefix", row["prefix"], _prefix(secret))],
    )
    return NewToken(row["id"], secret)


async def revoke_service_token(tx: Transaction, actor: Actor, *, service_token_id: str, version: int) -> UUID:
    """End a token at once and for good."""
    actor.require_at_root(Role.ADMINISTRATOR)
    check = Check()
    key = check.id(("input", "serviceTokenId"), service_token_id, "ServiceToken")
    check.done()
    row = await _token_for_change(tx, key, version)
    await tx.execute(
        "UPDATE service_tokens SET version = version + 1, revoked_at = now() WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        key,
    )
    await audit.append(
        tx,
        actor,
        "revokeServiceToken",
        subject=("ServiceToken", row["id"]),
        summary=Text(
            zh=f"吊销服务令牌“{row['display_name']}”", en=f'Revoked the service token "{row["display_name"]}"'
        ),
    )
    return UUID(str(row["id"]))


def _verify(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False


async def _is_taken(tx: Transaction, sign_in_name: str | None, *, besides: UUID | None = None) -> bool:
    """Whether another account has the name; holds the tenant's row, so that one that is free stays so till the end."""
    await tx.hold_tenant()
    return bool(
        await tx.fetchval(
            "SELECT true FROM members WHERE tenant_id = $1 AND sign_in_name = $2 AND id IS DISTINCT FROM $3::uuid",
            tx.tenant_id,
            sign_in_name,
            besides,
        )
    )


async def _hash(password: str | None) -> str | None:
    return None if password is None else await asyncio.to_thread(_hasher.hash, password)


def _check_password(check: Check, path: Path, password: str | None) -> None:
    if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        check.add(
            ErrorCode.INVALID_TEXT,
            path,
            Text(
                zh=f"密码须为{SHORTEST_PASSWORD}至{LONGEST_PASSWORD}个字符。",
                en=f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
            ),
        )


def _holder(check: Check, path: Path, raw: str) -> tuple[UUID, str] | None:
    kinds = {"Member": "MEMBER", "ServiceToken": "SERVICE_TOKEN"}
    parsed = parse_id(raw)
    if parsed is not None and parsed[0] in kinds:
        return parsed[1], kinds[parsed[0]]
    check.id(path, raw, "Member")
    return None


async def _future(tx: Transaction, check: Check, path: Path, raw: str) -> datetime | None:
    ends = check.instant(path, raw)
    if ends is not None and ends <= await tx.fetchval("SELECT now()"):
        check.invalid(path, "到期时间须在将来。", "It must end in the future.")
    return ends


_GrantRow = tuple[str, UUID, list[UUID], list[str], list[UUID], date | None]


async def _check_grants(
    tx: Transaction, check: Check, path: Path, grants: Sequence[GrantSpec], *, single: str | None = None
) -> list[_GrantRow]:
    """Judge grants, and whether what they name exists; rows to insert. `single` names the field of a lone grant."""
    if not check.at_most(path, grants, MOST_GRANTS):
        return []
    rows: list[_GrantRow] = []
    named: list[tuple[str, Path, UUID]] = []
    for position, grant in enumerate(grants):
        here = (*path, single or str(position))
        unit = check.id((*here, "unitId"), grant.unit_id, "OrgUnit")
        categories = check.ids((*here, "categoryIds"), grant.category_ids, "Category")
        items = check.ids((*here, "dataItemIds"), grant.data_item_ids, "DataItem")
        codes = [
            code
            for at, raw in enumerate(grant.indicator_codes)
            if (code := check.code((*here, "indicatorCodes", str(at)), raw))
        ]
        valid_to = check.date((*here, "validTo"), grant.valid_to) if grant.valid_to is not None else None
        if unit is not None:
            named.append(("org_units", (*here, "unitId"), unit))
            rows.append((grant.role.value, unit, categories, codes, items, valid_to))
        named += [("categories", (*here, "categoryIds", str(at)), key) for at, key in enumerate(categories)]
        named += [("data_items", (*here, "dataItemIds", str(at)), key) for at, key in enumerate(items)]
    for table in ("org_units", "categories", "data_items"):
        wanted = [(where, key) for name, where, key in named if name == table]
        found = await tx.fetch(
            f"SELECT id FROM {table} WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            tx.tenant_id,
            [k for _, k in wanted],
        )
        there = {row["id"] for row in found}
        missing = [where for where, key in wanted if key not in there]
        if missing:
            raise NotFound(missing[0])
    return rows


async def _insert_actor(tx: Transaction, actor_id: UUID, kind: str, display_name: str | None) -> None:
    await tx.execute(
        "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, $3, $4)",
        tx.tenant_id,
        actor_id,
        kind,
        display_name,
    )


async def _insert_grants(tx: Transaction, holder_id: UUID, rows: Sequence[_GrantRow]) -> list[UUID]:
    ids = [uuid7() for _ in rows]
    await tx.executemany(
        """INSERT INTO grants (tenant_id, id, holder_id, role, unit_id, category_ids, indicator_codes, data_item_ids,
                               valid_to) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        [(tx.tenant_id, grant_id, holder_id, *row) for grant_id, row in zip(ids, rows, strict=True)],
    )
    return ids


def _granted(grants: Sequence[GrantSpec]) -> list[Change]:
    return [Change("grants", None, f"{grant.role.value} {grant.unit_id}") for grant in grants]


async def _token_for_change(tx: Transaction, key: UUID | None, version: int) -> asyncpg.Record:
    row = await tx.fetchrow(
        """SELECT s.id, s.version, s.prefix, s.revoked_at, a.display_name FROM service_tokens s
           JOIN actors a ON a.tenant_id = s.tenant_id AND a.id = s.id
           WHERE s.tenant_id = $1 AND s.id = $2 FOR UPDATE OF s""",
        tx.tenant_id,
        key,
    )
    if row is None:
        raise NotFound(("input", "serviceTokenId"))
    if row["revoked_at"] is not None:
        raise IllegalState(
            Text(zh="该服务令牌已吊销。", en="This service token has been revoked."),
            state="REVOKED",
            since=row["revoked_at"],
            subject=("ServiceToken", row["id"]),
            path=("input", "serviceTokenId"),
            hint=Text(zh="请签发新的服务令牌。", en="Issue a new token."),
        )
    _expect_version(row, version, "ServiceToken")
    return row


def _expect_version(row: Any, version: int, type_name: str) -> None:
    if row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], type_name, row["id"])])


def _prefix(secret: str) -> str:
    return secret.rpartition("kp_")[2][33 : 33 + SHOWN_PREFIX]
