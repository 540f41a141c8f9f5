"""`kaoping migrate` and `kaoping tenant …`: the database and the districts in it (建库与租户)."""

import time
from pathlib import Path

import click

from service.addresses import place_of
from service.cli.common import (
    app_url,
    data_option,
    documented,
    json_option,
    owner_url,
    print_json,
    run,
    running,
)
from service.cli.issuers import issuer_group
from service.districts import create_district, set_status
from service.settings import Settings
from tenants.migrate import migrate, roles_sql
from tenants.provisioning import District, list_tenants


@click.command("migrate")
@data_option
@json_option
@click.option("--roles", is_flag=True, help="Only print the SQL that makes the roles, for an administrator to run.")
@documented
def migrate_command(data: Path | None, as_json: bool, roles: bool) -> None:
    """Bring the database to the newest migration.

    The roles are made as well where the user of KAOPING_DATABASE_OWNER_URL may make roles; where it may not and they
    are missing, this says so, and `--roles` prints what an administrator of the server runs. All of it is one
    transaction: a crash leaves nothing, and of several at once one does the work. Embedded servers are migrated by
    every command that uses them.

    \b
    Examples:
      kaoping migrate
      kaoping migrate --roles | psql -d kaoping
    """
    if roles:
        click.echo(roles_sql())
        return
    began = time.monotonic()
    with running(Settings.read(needs=["database_owner_url"], signs=False, data=data)) as settings:
        migrated = run(lambda: migrate(owner_url(settings), app_url(settings)))
        place = place_of(owner_url(settings))
    if as_json:
        print_json({"applied": migrated.applied})
    elif migrated.applied:
        click.echo(f"Applied to {place} in {time.monotonic() - began:.2f} s: {', '.join(migrated.applied)}")
    else:
        click.echo(f"{place} is up to date.")


@click.group("tenant")
def tenant_group() -> None:
    """Districts (租户): create, list, suspend, resume; through whom their accounts sign in."""


tenant_group.add_command(issuer_group)


def _as_json(district: District) -> dict[str, str]:
    return {"id": str(district.id), "code": district.code, "status": district.status}


@tenant_group.command("create")
@click.argument("code")
@click.option("--name", required=True, help="The district's name, such as 春晖区.")
@click.option(
    "--time-zone", default="Asia/Shanghai", show_default=True, help="Deadlines are dates of this zone (IANA)."
)
@click.option("--root-code", help="Code of the root of its organisation tree.  [default: the district's code]")
@click.option("--root-name", help="Name of that root.  [default: the district's name]")
@data_option
@json_option
@documented
def create_command(
    code: str,
    name: str,
    time_zone: str,
    root_code: str | None,
    root_name: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Create the district CODE with the root of its organisation tree.

    CODE is what its members sign in with: 1 to 63 ASCII letters, digits and hyphens.

    \b
    Examples:
      kaoping tenant create chunhui --name 春晖区 --root-name 中共春晖区委员会
      kaoping tenant create chunhui --name 春晖区 --json
    """
    with running(Settings.read(needs=["database_owner_url"], signs=False, data=data)) as settings:
        district = run(
            lambda: create_district(
                owner_url(settings),
                code=code,
                name=name,
                time_zone=time_zone,
                root_code=root_code or code,
                root_name=root_name or name,
            )
        )
    if as_json:
        print_json(_as_json(district))
    else:
        click.echo(f"Created the district {district.code} ({name}), id {district.id}.")
        click.echo(f"Next: kaoping member create --tenant {district.code} --role administrator …")


@tenant_group.command("list")
@data_option
@json_option
@documented
def list_command(data: Path | None, as_json: bool) -> None:
    """List all districts by code, with their status.

    \b
    Examples:
      kaoping tenant list
      kaoping tenant list --json
    """
    with running(Settings.read(needs=["database_owner_url"], signs=False, data=data)) as settings:
        districts = run(lambda: list_tenants(owner_url(settings)))
    if as_json:
        print_json([_as_json(district) for district in districts])
        return
    for district in districts:
        click.echo(f"{district.code:<24} {district.status:<10} {district.id}")
    if not districts:
        click.echo("There is no district yet. Make one with: kaoping tenant create CODE --name NAME")


@tenant_group.command("suspend")
@click.argument("code")
@data_option
@json_option
@documented
def suspend_command(code: str, data: Path | None, as_json: bool) -> None:
    """Suspend the district CODE: nobody signs in, no token works, nothing is deleted.

    \b
    Example:
      kaoping tenant suspend chunhui
    """
    _set(code, "SUSPENDED", data, as_json)


@tenant_group.command("resume")
@click.argument("code")
@data_option
@json_option
@documented
def resume_command(code: str, data: Path | None, as_json: bool) -> None:
    """Resume the district CODE after a suspension: tokens that have not ended work again.

    \b
    Example:
      kaoping tenant resume chunhui
    """
    _set(code, "ACTIVE", data, as_json)


def _set(code: str, status: str, data: Path | None, as_json: bool) -> None:
    with running(Settings.read(needs=["database_owner_url"], signs=False, data=data)) as settings:
        district = run(lambda: set_status(owner_url(settings), code=code, status=status))
    if as_json:
        print_json(_as_json(district))
    else:
        click.echo(f"The district {district.code} is {'suspended' if status == 'SUSPENDED' else 'active'}.")
