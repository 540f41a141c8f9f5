"""`kaoping demo`: a whole assessment of an invented district (演示)."""

import sys
from pathlib import Path

import click

from service.cli.common import data_option, documented, naming_servers
from service.demo.board import TOP
from service.demo.command import SEED, demo
from service.settings import Settings


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the board instead of serving.")
@click.option("--host", help="The address to serve on.  [default: KAOPING_HOST, else 127.0.0.1]")
@click.option("--port", type=int, help="The port; 0 takes a free one.  [default: KAOPING_PORT, else 8000]")
@click.option("--seed", type=int, default=SEED, show_default=True, help="What the figures are made from.")
@click.option("--top", type=click.IntRange(1), default=TOP, show_default=True, help="Rows shown of each category.")
@click.option("--all", "everything", is_flag=True, help="Show all rows.")
@data_option
@documented
def demo_command(
    once: bool, host: str | None, port: int | None, seed: int, top: int, everything: bool, data: Path | None
) -> None:
    """Run a whole assessment cycle of a demo district, print its board, and go on serving it.

    Starts the embedded servers (or uses those that the settings name), migrates, makes 春晖区 and works through the
    cycle by the GraphQL API with a worker of its own: units, scheme, reports, reviews, ranking, publication. What is
    done already is not done again, so a second run takes seconds. It says how to sign in.

    \b
    Examples:
      kaoping demo
      kaoping demo --once --all
      kaoping demo --port 8123 --data /srv/kaoping-demo
    """
    settings = Settings.read(needs=["database_owner_url", "redis_url"], host=host, port=port, data=data)
    with naming_servers(settings):
        sys.exit(demo(settings, once=once, seed=seed, top=None if everything else top))
