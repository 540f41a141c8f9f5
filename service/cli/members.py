"""`kaoping member create` and `kaoping token create`: who may call the API (账号与令牌)."""

import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from service.access import Actor, Role
from service.cli.common import Failure, data_option, documented, in_tenant, json_option, print_json, run, running
from service.ids import encode_id
from service.members import GrantSpec, NewToken, create_member, create_service_token, link_member
from service.settings import Settings
from tenants.database import Transaction

ROLES = [role.value.lower() for role in Role]
DEFAULT_DAYS = 90
MOST_DAYS = 3650

Grant = tuple[Role, str | None]
"""A role and a unit's code; None is the root of the tree."""


class GrantType(click.ParamType[Grant]):
    """`ROLE` or `ROLE:UNIT-CODE`."""

    name = "ROLE[:UNIT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Grant:
        """Split the text; a role that does not exist is a fault of usage."""
        role, _, unit = str(value).partition(":")
        if role.lower() not in ROLES:
            self.fail(f"{role} is no role; there are: {', '.join(ROLES)}.", param, ctx)
        return Role(role.upper()), unit or None


def role_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option that names one role."""
    return click.option(
        "--role", type=click.Choice(ROLES, case_sensitive=False), required=required, help="The role that is granted."
    )


@click.group("member")
def member_group() -> None:
    """Accounts (账号) of a district."""


@member_group.command("create")
@click.option("--tenant", required=True, metavar="CODE", help="The district's code.")
@click.option("--name", required=True, help="The name that is shown, such as 张三（组织科）.")
@click.option("--sign-in", metavar="NAME", help="What the person signs in with, and a password.")
@click.option(
    "--subject", help="Instead: whom the district's issuer names so in its tokens; there is no password then."
)
@role_option(required=False)
@click.option("--unit", metavar="CODE", help="The unit of --role.  [default: the root of the tree]")
@click.option("--grant", "grants", type=GrantType(), multiple=True, help="A further role, at a unit; may be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.option(
    "--language", type=click.Choice(["zh-CN", "en"]), default="zh-CN", show_default=True, help="For messages to it."
)
@data_option
@json_option
@documented
def member_create(
    tenant: str,
    name: str,
    sign_in: str | None,
    subject: str | None,
    role: str | None,
    unit: str | None,
    grants: tuple[Grant, ...],
    password_stdin: bool,
    language: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Create an account in a district, with its first grants.

    A password is made and printed, this once; or it is read from standard input; or there is none, and the district's
    issuer says who it is (`kaoping tenant issuer`). A grant covers its unit and all that is below it.

    \b
    Examples:
      kaoping member create --tenant chunhui --name 考核办 --sign-in kaohe --role organiser
      kaoping member create --tenant chunhui --name 张三 --sign-in zhangsan \\
          --grant secretary:zhaoyang-01 --grant reviewer:zhaoyang
      echo 'a good password' | kaoping member create --tenant chunhui --name 李四 \\
          --sign-in lisi --role observer --password-stdin
      kaoping member create --tenant chunhui --name 王五 --subject 5f1c0e --role observer
    """
    if (sign_in is None) == (subject is None) or (subject is not None and password_stdin):
        raise click.UsageError("Give --sign-in for an account with a password, or --subject for one without.")
    known_as = sign_in or subject or ""
    if unit is not None and role is None:
        raise click.UsageError("--unit belongs to --role; name the role as well.")
    wanted = [*([(Role(role.upper()), unit)] if role else []), *grants]
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(12)
    if subject is not None:
        password = None

    async def create(tx: Transaction, actor: Actor) -> UUID:
        return await create_member(
            tx,
            actor,
            display_name=name,
            sign_in_name=known_as,
            password=password,
            language="EN" if language == "en" else "ZH_CN",
            grants=await _specs(tx, wanted),
        )

    with running(Settings.read(signs=False, data=data)) as settings:
        member_id = run(lambda: in_tenant(settings, tenant, create))
    if as_json:
        made = {} if password_stdin or password is None else {"password": password}
        print_json({"id": encode_id("Member", member_id), "tenant": tenant, "signInName": known_as, **made})
        return
    click.echo(f"Created the account {known_as} ({name}) in {tenant}.")
    if password is not None and not password_stdin:
        click.echo(f"Its password, shown this once: {password}")
    if not wanted:
        click.echo("It has no grant yet and sees nothing.")


@member_group.command("link")
@click.option("--tenant", required=True, metavar="CODE", help="The district's code.")
@click.option("--sign-in", required=True, metavar="NAME", help="The account, by its present sign-in name.")
@click.option("--subject", required=True, help="Who it is in tokens of the district's issuer.")
@data_option
@json_option
@documented
def member_link(tenant: str, sign_in: str, subject: str, data: Path | None, as_json: bool) -> None:
    """Let an account sign in through the district's issuer from now on; its password ends.

    \b
    Example:
      kaoping member link --tenant chunhui --sign-in zhangsan --subject 5f1c0e
    """

    async def link(tx: Transaction, actor: Actor) -> UUID:
        return await link_member(tx, actor, sign_in_name=sign_in, subject=subject)

    with running(Settings.read(signs=False, data=data)) as settings:
        member_id = run(lambda: in_tenant(settings, tenant, link))
    if as_json:
        print_json({"id": encode_id("Member", member_id), "tenant": tenant, "signInName": subject})
    else:
        click.echo(f"The account {sign_in} of {tenant} is opened by tokens for {subject}.")


@click.group("token")
def token_group() -> None:
    """Bearer tokens (令牌) for programs and scripts."""


@token_group.command("create")
@click.option("--tenant", required=True, metavar="CODE", help="The district's code.")
@role_option(required=True)
@click.option("--unit", metavar="CODE", help="Where the role is granted.  [default: the root of the tree]")
@click.option("--member", metavar="SIGN-IN", help="The account whose person it acts for.")
@click.option("--name", help="The name that is shown for it.  [default: its role and unit]")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="Days until it ends.",
)
@data_option
@json_option
@documented
def token_create(
    tenant: str,
    role: str,
    unit: str | None,
    member: str | None,
    name: str | None,
    days: int,
    data: Path | None,
    as_json: bool,
) -> None:
    """Create a bearer token that works at once, and print it, this once.

    Every token is an actor of its own, with one role at one unit and all that is below it. Without --json the token
    alone goes to standard output.

    \b
    Examples:
      TOKEN=$(kaoping token create --tenant chunhui --role organiser)
      kaoping token create --tenant chunhui --role feed --name 12345热线 --days 365 --json
      kaoping token create --tenant chunhui --role secretary --unit zhaoyang-01 --member zhangsan --json
      curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
          -d '{"query": "{ __typename }"}' http://127.0.0.1:8000/graphql
    """
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)

    async def create(tx: Transaction, actor: Actor) -> NewToken:
        return await create_service_token(
            tx,
            actor,
            display_name=name or f"{role.lower()}@{unit or tenant}",
            grants=await _specs(tx, [(Role(role.upper()), unit)]),
            expires_at=ends.isoformat(),
            member_id=await _member_id(tx, member) if member else None,
        )

    with running(Settings.read(signs=False, data=data)) as settings:
        made = run(lambda: in_tenant(settings, tenant, create))
    if as_json:
        print_json(
            {
                "token": made.secret,
                "id": encode_id("ServiceToken", made.id),
                "tenant": tenant,
                "role": role.upper(),
                "unit": unit,
                "member": member,
                "expiresAt": ends.isoformat(),
            }
        )
        return
    click.echo(made.secret)
    click.echo(f"{role.upper()} in {tenant}, until {ends:%Y-%m-%d %H:%M} UTC. It is not shown again.", err=True)


async def _specs(tx: Transaction, grants: list[Grant]) -> list[GrantSpec]:
    return [GrantSpec(role=role, unit_id=encode_id("OrgUnit", await _unit_id(tx, unit))) for role, unit in grants]


async def _unit_id(tx: Transaction, code: str | None) -> UUID:
    unit: UUID | None
    if code is None:
        unit = await tx.fetchval(
            "SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL ORDER BY id LIMIT 1", tx.tenant_id
        )
    else:
        unit = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND code = $2", tx.tenant_id, code)
    if unit is None:
        raise Failure(f"There is no unit with the code {code} in this district.")
    return unit


async def _member_id(tx: Transaction, sign_in: str) -> UUID:
    member: UUID | None = await tx.fetchval(
        "SELECT id FROM members WHERE tenant_id = $1 AND sign_in_name = $2", tx.tenant_id, sign_in
    )
    if member is None:
        raise Failure(f"There is no account that signs in as {sign_in} in this district.")
    return member
