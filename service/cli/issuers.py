"""`kaoping tenant issuer …`: through whom accounts of a district sign in from outside (统一身份认证)."""

from pathlib import Path

import click

from service.cli.common import (
    Failure,
    data_option,
    documented,
    json_option,
    owner_url,
    print_json,
    run,
    running,
)
from service.districts import set_issuer
from service.issuers import IssuerError, IssuerKeys, address_fault
from service.settings import Settings
from tenants.provisioning import Issuer, issuer_of


@click.group("issuer")
def issuer_group() -> None:
    """The issuer (统一身份认证) whose OpenID Connect access tokens open accounts of a district: set, show, remove."""


def _settings(data: Path | None) -> Settings:
    return Settings.read(needs=["database_owner_url"], signs=False, data=data)


def _as_json(code: str, issuer: Issuer | None) -> dict[str, str | None]:
    if issuer is None:
        return {"code": code, "issuer": None, "audience": None, "subjectClaim": None, "tenantClaim": None}
    return {
        "code": code,
        "issuer": issuer.url,
        "audience": issuer.audience,
        "subjectClaim": issuer.subject_claim,
        "tenantClaim": issuer.tenant_claim,
    }


@issuer_group.command("set")
@click.argument("code")
@click.option("--url", required=True, help="The issuer, exactly as its tokens name it in `iss`.")
@click.option("--audience", required=True, help="Whom its tokens must be meant for (`aud`): this API.")
@click.option("--subject-claim", default="sub", show_default=True, help="The claim that names the account.")
@click.option("--tenant-claim", help="The claim that holds the district's code, where districts share an issuer.")
@click.option("--unchecked", is_flag=True, help="Do not ask the issuer for its keys first.")
@data_option
@json_option
@documented
def set_command(
    code: str,
    url: str,
    audience: str,
    subject_claim: str,
    tenant_claim: str | None,
    unchecked: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Let accounts of the district CODE sign in with access tokens of an issuer.

    The issuer is asked for its keys at once, so that a wrong address is found now. Tokens are verified with the keys
    that it publishes (RS256, ES256, EdDSA). An account is opened by the token whose subject is its sign-in name, and
    only where it has no password: `kaoping member create --subject` and `kaoping member link` make such.

    \b
    Examples:
      kaoping tenant issuer set chunhui --url https://id.example.gov.cn/realms/chunhui --audience kaoping
      kaoping tenant issuer set chunhui --url https://id.example.gov.cn --audience kaoping --tenant-claim district
    """
    settings = _settings(data)
    if fault := address_fault(url, http=settings.issuer_http):
        raise Failure(fault)
    if not unchecked:
        keys = IssuerKeys(url, http=settings.issuer_http)
        try:
            run(keys.fetch)
        except IssuerError as error:
            raise Failure(f"The issuer cannot be used: {error}. With --unchecked it is set all the same.") from None
    issuer = Issuer(url, audience, subject_claim, tenant_claim)
    with running(settings) as ready:
        run(lambda: set_issuer(owner_url(ready), code=code, issuer=issuer))
    if as_json:
        print_json(_as_json(code, issuer))
    else:
        click.echo(f"Tokens of {url} open accounts of {code}.")


@issuer_group.command("show")
@click.argument("code")
@data_option
@json_option
@documented
def show_command(code: str, data: Path | None, as_json: bool) -> None:
    """Show the issuer of the district CODE.

    \b
    Example:
      kaoping tenant issuer show chunhui
    """
    with running(_settings(data)) as ready:
        issuer = run(lambda: issuer_of(owner_url(ready), code=code))
    if as_json:
        print_json(_as_json(code, issuer))
    elif issuer is None:
        click.echo(f"{code} has no issuer; its accounts sign in with passwords.")
    else:
        for name, value in _as_json(code, issuer).items():
            click.echo(f"{name:<14} {value or '-'}")


@issuer_group.command("remove")
@click.argument("code")
@data_option
@json_option
@documented
def remove_command(code: str, data: Path | None, as_json: bool) -> None:
    """Take the issuer of the district CODE away: its tokens open nothing any more, within a second.

    \b
    Example:
      kaoping tenant issuer remove chunhui
    """
    with running(_settings(data)) as ready:
        run(lambda: set_issuer(owner_url(ready), code=code, issuer=None))
    if as_json:
        print_json(_as_json(code, None))
    else:
        click.echo(f"{code} has no issuer any more.")
