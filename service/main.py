"""The `kaoping` command: the one place where all parts are joined, and the only module here that imports `schema`."""

import click
from starlette.types import ASGIApp

from service import __version__
from service.cli.common import EXIT_CODES, Commands, terminate_politely
from service.cli.demo import demo_command
from service.cli.doctor import doctor_command
from service.cli.members import member_group, token_group
from service.cli.score import score_command
from service.cli.servers import embedded_group
from service.cli.serving import serve_command, worker_command
from service.cli.tenants import migrate_command, tenant_group
from service.cli.what_if import what_if_group
from service.health import Health
from service.settings import Settings
from tenants.database import Database


async def compose(settings: Settings, db: Database, health: Health) -> ASGIApp:
    """The application: what Kaoping does, with the GraphQL endpoint over it."""
    # Loaded by the one command that serves: building the schema takes longer than most commands take altogether.
    from schema.asgi import open_graphql
    from service.app import create_app

    return create_app(settings, db, await open_graphql(settings, db), health)


def check_documents(settings: Settings) -> None:
    """Read the manifest of trusted documents as the API does at its start; raises SettingsError."""
    from schema.asgi import check_trusted

    check_trusted(settings)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="kaoping")
def cli() -> None:
    """Kaoping (考评): assessment of organisations, from the indicator scheme to the published board.

    Without settings it runs on a PostgreSQL and a Redis of its own in the folder .kaoping. With KAOPING_DATABASE_URL,
    KAOPING_DATABASE_OWNER_URL and KAOPING_REDIS_URL set it runs on yours; README lists all settings.

    \b
    First steps:
      kaoping demo                                      look around
      kaoping tenant create chunhui --name 春晖区        a district of one's own
      kaoping member create --tenant chunhui --name 管理员 --sign-in guanli --role administrator
      kaoping serve                                     the API
      kaoping worker                                    the jobs, in a second terminal
    """


for command in (
    demo_command,
    serve_command(compose),
    worker_command,
    migrate_command,
    tenant_group,
    member_group,
    token_group,
    score_command,
    what_if_group,
    embedded_group,
    doctor_command(check_documents),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    terminate_politely()
    cli(prog_name="kaoping")


if __name__ == "__main__":
    main()
