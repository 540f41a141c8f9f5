"""`kaoping embedded …`: the servers of the data folder (内置服务)."""

from pathlib import Path

import click

from service import embedded
from service.cli.common import Failure, data_option, documented, json_option, print_json, tell
from service.settings import Settings


@click.group("embedded")
def embedded_group() -> None:
    """The PostgreSQL and the Redis of the data folder: start, stop, status, remove.

    Every command starts them when it needs them, and the last one that used them stops them. Started here, they stay
    until they are stopped here.
    """


@embedded_group.command("start")
@data_option
@documented
def start_command(data: Path | None) -> None:
    """Start the servers of the data folder and let them run until `kaoping embedded stop`.

    Where they run already, they are found. Another command that ends no longer stops them.

    \b
    Examples:
      kaoping embedded start
      kaoping embedded start --data /srv/kaoping
    """
    settings = Settings.read(data=data)
    embedded.start(settings.data, postgres_version=settings.embedded_postgres, report=tell)
    click.echo(f"The servers in {settings.data} run until: kaoping embedded stop")


@embedded_group.command("stop")
@data_option
@documented
def stop_command(data: Path | None) -> None:
    """Stop the servers of the data folder, whoever uses them; the data stays.

    \b
    Example:
      kaoping embedded stop
    """
    settings = Settings.read(data=data)
    if embedded.stop(settings.data, report=tell):
        click.echo(f"The servers in {settings.data} are stopped.")
    else:
        click.echo(f"No server runs in {settings.data}.")


@embedded_group.command("status")
@data_option
@json_option
@click.option("--urls", is_flag=True, help="Print the three addresses, passwords included, as lines for a shell.")
@documented
def status_command(data: Path | None, as_json: bool, urls: bool) -> None:
    """Show what there is in the data folder and what runs. Starts nothing; exit code 1 unless both servers answer.

    \b
    Examples:
      kaoping embedded status
      kaoping embedded status --json
      eval "$(kaoping embedded status --urls)"    # for psql and the like
    """
    settings = Settings.read(data=data)
    status = embedded.status(settings.data)
    if urls:
        if status.running:
            for name, value in settings.on(embedded.addresses(settings.data)).environment().items():
                if name.endswith("_URL"):
                    click.echo(f"export {name}='{value}'")
    elif as_json:
        print_json(
            {
                "data": str(settings.data),
                "exists": status.exists,
                "running": status.running,
                "kept": status.kept,
                "postgres": {"version": status.postgres_version, "port": status.postgres_port},
                "redis": {"port": status.redis_port},
            }
        )
    else:
        version = status.postgres_version or ""
        ends = "kaoping embedded stop" if status.kept else "the last command that uses them ends"
        lines = {
            "Data folder": f"{settings.data}" if status.exists else f"{settings.data} (empty)",
            f"PostgreSQL {version}": f"port {status.postgres_port}" if status.postgres_port else "not running",
            "Redis": f"port {status.redis_port}" if status.redis_port else "not running",
            **({"Run until": ends} if status.running else {}),
        }
        for name, value in lines.items():
            click.echo(f"{name:<14} {value}")
    if not status.running:
        raise click.exceptions.Exit(1)


@embedded_group.command("remove")
@data_option
@documented
def remove_command(data: Path | None) -> None:
    """Stop the servers of the data folder and remove their data, for good. Other files in the folder stay.

    \b
    Example:
      kaoping embedded remove --data .kaoping
    """
    settings = Settings.read(data=data)
    if not settings.embedded:
        raise Failure("The settings name servers of your own; their data is not removed by this program.")
    if not embedded.remove(settings.data, report=tell):
        click.echo(f"There is nothing of Kaoping in {settings.data}.")
