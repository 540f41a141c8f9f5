"""Accounts, service tokens and grants, and signing in, as frontends see them (账号、服务令牌、授权、登录)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from schema.context import Context
from schema.errors import as_error
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Variants,
    by_ids,
    column,
    condition,
    connection,
    described,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    interface,
    listing,
    payload,
    query,
    relation,
    table,
)
from schema.mutations import KEY, MUTATIONS, MutationField, Outcome, at_root, mutation, succeed
from schema.scalars import DateText, DateTimeText
from service import members
from service.access import Actor as Caller
from service.access import Language as Code
from service.access import Role, authenticate
from service.errors import KaopingError
from service.ids import encode_id
from service.members import GrantSpec
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.directory import Category, OrgUnit
    from schema.items import DataItem
    from schema.viewer import Viewer

IS_ADMINISTRATOR = """EXISTS (SELECT 1 FROM grants ga
    JOIN org_units gu ON gu.tenant_id = ga.tenant_id AND gu.id = ga.unit_id AND gu.parent_id IS NULL
    WHERE ga.tenant_id = {tenant} AND ga.holder_id = {actor} AND ga.role = 'ADMINISTRATOR'
      AND (ga.valid_to IS NULL OR ga.valid_to >= {today}))"""
"""Whether the viewer is administrator of the whole district."""

ACTORS = """(SELECT aa.tenant_id, aa.id, aa.kind, aa.display_name, mm.sign_in_name, mm.active, mm.language,
                    ss.prefix, ss.created_at, ss.expires_at, ss.revoked_at, ss.last_used_at,
                    coalesce(mm.version, ss.version) AS version
             FROM actors aa
             LEFT JOIN members mm ON mm.tenant_id = aa.tenant_id AND mm.id = aa.id
             LEFT JOIN service_tokens ss ON ss.tenant_id = aa.tenant_id AND ss.id = aa.id)"""

ACTOR_TYPES = Variants("kind", {"MEMBER": "Member", "SERVICE_TOKEN": "ServiceToken"})
"""Which type a row of ACTORS is; for relations whose type is Actor."""


@enumeration("Languages of messages.")
class Language(Enum):
    """Languages."""

    ZH_CN = "Simplified Chinese."
    EN = "English."


@interface
class Actor(Node):
    """Who did something: a member or a service token."""

    id: ID = identifier()
    display_name: str = column("Shown name.")


@table("grants")
class Grant(Node):
    """A role at a unit and its subtree, perhaps narrowed (授权)."""

    id: ID = identifier()
    role: Role = column("The role.")
    unit: "OrgUnit | None" = relation("Where; covers the subtree.", on={"unit_id": "id"})
    categories: "list[Category]" = by_ids("Only these categories; empty means all.", "category_ids")
    indicator_codes: list[str] = column("Only indicators with these codes, in every version; empty means all.")
    data_items: "list[DataItem]" = by_ids("Only these data items; empty means all.", "data_item_ids")
    valid_to: date | None = column("Last day; null without end.")
    holder: Actor | None = relation("Who holds it.", on={"holder_id": "id"}, variants=ACTOR_TYPES)


@table(ACTORS, plural="members", visible="{t}.kind = 'MEMBER'")
class Member(Actor):
    """An account of the tenant (账号): a shown name and a sign-in subject, no more."""

    sign_in_name: str | None = expression(
        "Name or subject to sign in with; only for administrators and oneself.",
        f"CASE WHEN {{t}}.id = {{actor}} OR {IS_ADMINISTRATOR} THEN {{t}}.sign_in_name END",
    )
    active: bool = column("Whether it may sign in.")
    language: Language = column("Language of its notifications.")
    grants: list[Grant] = listing("What it may do where.", on={"id": "holder_id"}, order="{r}.id")
    version: int = column("Rises with each change.")


@table(ACTORS, plural="service tokens", visible="{t}.kind = 'SERVICE_TOKEN'")
class ServiceToken(Actor):
    """A token of another platform (服务令牌); stored as a hash."""

    prefix: str = column("First characters, to recognise it by.")
    grants: list[Grant] = listing("What it may do where.", on={"id": "holder_id"}, order="{r}.id")
    created_at: datetime = column("When it was made.")
    expires_at: datetime = column("When it ends.")
    revoked_at: datetime | None = column("When it was revoked.")
    last_used_at: datetime | None = column("Last use, to the hour.")
    version: int = column("Rises with each change.")


@filter_type
class MemberFilter:
    """Which members."""

    role: Role | None = condition(
        "Holding this role.",
        """EXISTS (SELECT 1 FROM grants gr WHERE gr.tenant_id = {tenant} AND gr.holder_id = {r}.id
           AND gr.role = {value})""",
    )
    unit_id: ID | None = condition(
        "With a grant at this unit.",
        """EXISTS (SELECT 1 FROM grants gr WHERE gr.tenant_id = {tenant} AND gr.holder_id = {r}.id
           AND gr.unit_id = {value})""",
        of="OrgUnit",
    )
    search: str | None = condition(
        "Shown name or sign-in name contains this.",
        "{r}.display_name ILIKE {value} OR {r}.sign_in_name ILIKE {value}",
        contains=True,
    )
    active: bool | None = condition("Only active or only suspended ones.", "{r}.active = {value}")


@query
class MembersQuery:
    """Accounts and service tokens."""

    members: Connection[Member] | None = connection(
        "Accounts; all of them for administrators, one's own for others.",
        where=f"{{r}}.kind = 'MEMBER' AND ({{r}}.id = {{actor}} OR {IS_ADMINISTRATOR})",
        filter=MemberFilter,
        default=[Key("{r}.display_name")],
    )
    service_tokens: Connection[ServiceToken] | None = connection(
        "Service tokens; all of them for administrators, one's own for others.",
        where=f"{{r}}.kind = 'SERVICE_TOKEN' AND ({{r}}.id = {{actor}} OR {IS_ADMINISTRATOR})",
        default=[Key("{r}.display_name")],
    )


# ---- mutations


@input_type
class GrantInput:
    """A role at a unit."""

    role: Role = described("The role.")
    unit_id: ID = described("Where; covers the subtree.")
    category_ids: list[ID] | None = described("Only these categories.")
    indicator_codes: list[str] | None = described("Only indicators with these codes, in every version.")
    data_item_ids: list[ID] | None = described("Only these data items.")
    valid_to: DateText | None = described("Last day.")


def spec(given: GrantInput) -> GrantSpec:
    """What the use-cases take."""
    return GrantSpec(
        role=given.role,
        unit_id=given.unit_id,
        category_ids=given.category_ids or (),
        indicator_codes=given.indicator_codes or (),
        data_item_ids=given.data_item_ids or (),
        valid_to=given.valid_to,
    )


def _code(language: Language) -> Code:
    return "EN" if language is Language.EN else "ZH_CN"


@input_type
class SignInInput:
    """What signIn takes."""

    tenant_code: str = described("The district's code.")
    name: str = described("Sign-in name.")
    password: str = described("Password.")


@payload
class SignInSuccess:
    """signIn is done."""

    token: str = described("Bearer token.")
    expires_at: datetime = described("When it ends.")
    viewer: "Viewer" = described("Who is signed in.")


class SignInField(MutationField):
    """The one mutation without a caller, and so without a tenant's transaction and a key."""

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """Sign in."""
        return sign_in(info.context, info.context.actor, kwargs["input"])


async def sign_in(context: Context, _: Caller | None, given: SignInInput) -> Any:
    """Signs in with district, name and password (登录)."""
    await context.close()
    key = context.settings.signing_key.get_secret_value() if context.settings.signing_key else ""
    try:
        _tenant_id, issued = await members.sign_in(
            context.db,
            key,
            minutes=context.settings.token_minutes,
            tenant_code=given.tenant_code,
            name=given.name,
            password=given.password,
        )
        # The rest of the operation is read with the eyes of who signed in.
        context.actor = await authenticate(context.db, key, issued.token, request_id=context.request_id)
    except KaopingError as error:
        return await as_error(context, error)
    outcome = {"token": issued.token, "expires_at": issued.expires_at, "viewer": context.actor.id}
    return await succeed(context, SignInSuccess, outcome)


MUTATIONS["sign_in"] = SignInField(sign_in, SignInSuccess, None)


@input_type
class CreateMemberInput:
    """What createMember takes."""

    display_name: str = described("Shown name.")
    sign_in_name: str = described("Name or subject to sign in with.")
    password: str | None = described("For local sign-in, 8 to 200 characters.")
    language: Language = described("Language of its messages.", default=Language.ZH_CN)
    grants: list[GrantInput] | None = described("First grants.")
    idempotency_key: str = described(KEY)


@payload
class CreateMemberSuccess:
    """createMember is done."""

    member: Member = described("The account.")


@mutation(CreateMemberSuccess, access=at_root(Role.ADMINISTRATOR))
async def create_member(tx: Transaction, actor: Caller, given: CreateMemberInput) -> Outcome:
    """Adds an account."""
    member_id = await members.create_member(
        tx,
        actor,
        display_name=given.display_name,
        sign_in_name=given.sign_in_name,
        password=given.password,
        language=_code(given.language),
        grants=[spec(grant) for grant in given.grants or ()],
    )
    return {"member": member_id}


@input_type
class EditMemberInput:
    """What editMember takes."""

    member_id: ID = described("Which.")
    version: int = described("Version read.")
    display_name: str | None = described("New shown name.")
    password: str | None = described("New password, 8 to 200 characters.")
    language: Language | None = described("New language.")
    active: bool | None = described("False suspends it.")
    idempotency_key: str = described(KEY)


@payload
class EditMemberSuccess:
    """editMember is done."""

    member: Member = described("The account.")


async def _own_or_administrator(_tx: Transaction, actor: Caller, given: Any) -> None:
    if given.member_id != encode_id("Member", actor.person_id):
        actor.require_at_root(Role.ADMINISTRATOR, path=("input", "memberId"))


@mutation(EditMemberSuccess, replayed=_own_or_administrator)
async def edit_member(tx: Transaction, actor: Caller, given: EditMemberInput) -> Outcome:
    """Changes an account; members may change their own password and language."""
    member_id = await members.edit_member(
        tx,
        actor,
        member_id=given.member_id,
        version=given.version,
        display_name=given.display_name,
        password=given.password,
        language=None if given.language is None else _code(given.language),
        active=given.active,
    )
    return {"member": member_id}


@input_type
class GrantRoleInput:
    """What grantRole takes."""

    holder_id: ID = described("Member or token.")
    grant: GrantInput = described("What and where.")
    idempotency_key: str = described(KEY)


@payload
class GrantRoleSuccess:
    """grantRole is done."""

    grant: Grant = described("The grant.")


@mutation(GrantRoleSuccess, access=at_root(Role.ADMINISTRATOR))
async def grant_role(tx: Transaction, actor: Caller, given: GrantRoleInput) -> Outcome:
    """Gives a member or token a role."""
    return {"grant": await members.grant_role(tx, actor, holder_id=given.holder_id, grant=spec(given.grant))}


@input_type
class RevokeGrantInput:
    """What revokeGrant takes."""

    grant_id: ID = described("Which.")
    idempotency_key: str = described(KEY)


@payload
class RevokeGrantSuccess:
    """revokeGrant is done."""

    revoked_id: ID = described("Id of the grant.")
    holder: Actor = described("Who held it.")


@mutation(RevokeGrantSuccess, access=at_root(Role.ADMINISTRATOR))
async def revoke_grant(tx: Transaction, actor: Caller, given: RevokeGrantInput) -> Outcome:
    """Takes a grant away."""
    _, holder_id = await members.revoke_grant(tx, actor, grant_id=given.grant_id)
    return {"revoked_id": given.grant_id, "holder": holder_id}


@input_type
class CreateServiceTokenInput:
    """What createServiceToken takes."""

    display_name: str = described("Name of the platform.")
    grants: list[GrantInput] = described("What it may do.")
    expires_at: DateTimeText = described("When it ends.")
    idempotency_key: str = described(KEY)


@payload
class CreateServiceTokenSuccess:
    """createServiceToken is done."""

    service_token: ServiceToken = described("The token's record.")
    secret: str | None = described("The token itself; null on a replay, since only its hash is kept.", secret=True)


@mutation(CreateServiceTokenSuccess, access=at_root(Role.ADMINISTRATOR))
async def create_service_token(tx: Transaction, actor: Caller, given: CreateServiceTokenInput) -> Outcome:
    """Makes a token for another platform."""
    made = await members.create_service_token(
        tx,
        actor,
        display_name=given.display_name,
        grants=[spec(grant) for grant in given.grants],
        expires_at=given.expires_at,
    )
    return {"service_token": made.id, "secret": made.secret}


@input_type
class RotateServiceTokenInput:
    """What rotateServiceToken takes."""

    service_token_id: ID = described("Which.")
    version: int = described("Version read.")
    expires_at: DateTimeText = described("When the new one ends.")
    idempotency_key: str = described(KEY)


@payload
class RotateServiceTokenSuccess:
    """rotateServiceToken is done."""

    service_token: ServiceToken = described("The token's record.")
    secret: str | None = described("The token itself; null on a replay.", secret=True)


@mutation(RotateServiceTokenSuccess, access=at_root(Role.ADMINISTRATOR))
async def rotate_service_token(tx: Transaction, actor: Caller, given: RotateServiceTokenInput) -> Outcome:
    """Gives a token a new secret; the old one ends at once."""
    made = await members.rotate_service_token(
        tx, actor, service_token_id=given.service_token_id, version=given.version, expires_at=given.expires_at
    )
    return {"service_token": made.id, "secret": made.secret}


@input_type
class RevokeServiceTokenInput:
    """What revokeServiceToken takes."""

    service_token_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class RevokeServiceTokenSuccess:
    """revokeServiceToken is done."""

    service_token: ServiceToken = described("The token's record.")


@mutation(RevokeServiceTokenSuccess, access=at_root(Role.ADMINISTRATOR))
async def revoke_service_token(tx: Transaction, actor: Caller, given: RevokeServiceTokenInput) -> Outcome:
    """Ends a token."""
    token_id = await members.revoke_service_token(
        tx, actor, service_token_id=given.service_token_id, version=given.version
    )
    return {"service_token": token_id}
