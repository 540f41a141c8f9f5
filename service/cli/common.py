"""What all commands share: their settings, running servers, output for people or for scripts, and exit codes.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or unusable settings; 130 interrupted, 143 terminated.
"""

import asyncio
import contextlib
import functools
import inspect
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar
from uuid import UUID

import asyncpg
import click
import orjson
import redis

from service import embedded
from service.access import Actor, system_actor
from service.addresses import unanswered
from service.errors import Invalid, KaopingError
from service.scoring.text import Text
from service.serving import CannotListen
from service.settings import Settings, SettingsError
from service.variables import unknown_variables
from tenants.database import CatalogueMismatch, Database, Transaction, UnsafeRole
from tenants.migrate import RolesMissing, migrate
from tenants.provisioning import ProvisioningError

P = ParamSpec("P")
R = TypeVar("R")

TERMINATED = 143

EXIT_CODES = "\b\nExit codes: 0 done, 1 refused or failed, 2 wrong usage or unusable settings."


class Failure(click.ClickException):
    """Refused or failed, in words; exit code 1."""


class Unusable(click.ClickException):
    """The settings contradict themselves or lack something; exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """A group of commands whose expected failures end in a sentence and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it refuses becomes a message on standard error."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise Unusable("\n".join([str(error), *(f"  - {said}" for said in unknown_variables())])) from error
        except KaopingError as error:
            raise Failure(refusal(error)) from error
        except asyncpg.UndefinedTableError as error:
            raise Failure("The database has no tables yet. Run: kaoping migrate") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Failure(f"The database refused: {error}") from error
        except redis.RedisError as error:
            raise Failure(f"Redis refused: {error}") from error
        except (
            embedded.EmbeddedError,
            ProvisioningError,
            RolesMissing,
            UnsafeRole,
            CatalogueMismatch,
            CannotListen,
        ) as error:
            raise Failure(str(error)) from error
        except BrokenPipeError:
            # Whoever reads our output has heard enough; click ends quietly.
            raise
        except (ConnectionError, TimeoutError) as error:
            raise Failure(f"A server does not answer: {str(error) or type(error).__name__}") from error


def refusal(error: KaopingError) -> str:
    """A use-case's refusal in both languages, each single fault on a line of its own, with what would help."""
    if isinstance(error, Invalid):
        said = [(issue.text, issue.hint) for issue in error.issues]
    else:
        said = [(error.text, error.hint)]
    return "\n       ".join(
        sentence
        for text, hint in said
        for sentence in (
            f"{text.en} {hint.en if hint else ''}".rstrip(),
            f"{text.zh}{hint.zh if hint else ''}",
        )
    )


def data_option(command: Callable[P, R]) -> Callable[P, R]:
    """The option that moves the data folder."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="The data folder of the embedded servers.  [default: KAOPING_DATA, else .kaoping]",
    )(command)


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """The option for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")(command)


def print_json(value: object) -> None:
    """One JSON value, for a script."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def tell(what: Text, seconds: float) -> None:
    """A step that took time, on standard error, so that standard output stays what was asked for."""
    click.echo(click.style(f"{what.en} ({seconds:.2f} s)", dim=True), err=True)


@contextlib.contextmanager
def running(settings: Settings, *, report: embedded.Report = tell) -> Iterator[Settings]:
    """The settings with addresses of servers that answer.

    Embedded ones are found or started, brought to the newest migration, and stopped afterwards where nobody else uses
    them. Servers of one's own are taken as they are; where one does not answer, it is named.
    """
    if not settings.embedded:
        with naming_servers(settings):
            yield settings
        return
    with embedded.using(settings.data, postgres_version=settings.embedded_postgres, report=report) as servers:
        ready = settings.on(servers)
        asyncio.run(migrate(servers.database_owner_url, servers.database_url))
        yield ready


@contextlib.contextmanager
def naming_servers(settings: Settings) -> Iterator[None]:
    """Where a server of one's own does not answer, it is named with its setting."""
    try:
        yield
    except OSError as error:
        # A fault of a file, or whoever reads our output has heard enough; embedded servers have words of their own.
        if error.filename is not None or isinstance(error, BrokenPipeError) or settings.embedded:
            raise
        raise Failure(unanswered(settings, error)) from error


def secret(address: object) -> str:
    """The plain text of a setting that `running` has filled in."""
    assert hasattr(address, "get_secret_value"), "this setting is filled in by now"
    return str(address.get_secret_value())


def app_url(settings: Settings) -> str:
    """The database as the app's role."""
    return secret(settings.database_url)


def owner_url(settings: Settings) -> str:
    """The database as the role that migrates and provisions."""
    return secret(settings.database_owner_url)


def run(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a command's asynchronous part."""
    return asyncio.run(work())


async def in_tenant(settings: Settings, code: str, work: Callable[[Transaction, Actor], Coroutine[Any, Any, R]]) -> R:
    """Run one use-case in a transaction of the district, as the command line, which the audit shows as no member."""
    db = await Database.connect(app_url(settings), min_size=1, max_size=2)
    try:
        tenant_id = await tenant_id_of(db, code)
        async with db.transaction(tenant_id) as tx:
            zone = await tx.fetchval("SELECT time_zone FROM tenants WHERE tenant_id = $1", tenant_id)
            return await work(tx, system_actor(tenant_id, time_zone=zone))
    finally:
        await db.close()


async def tenant_id_of(db: Database, code: str) -> UUID:
    """The id of the district with this code."""
    rows = await db.fetch_global("SELECT id FROM directory WHERE code = $1", code)
    if not rows:
        raise Failure(f"There is no district with the code {code}. `kaoping tenant list` shows all.")
    tenant_id: UUID = rows[0]["id"]
    return tenant_id


def terminate_politely() -> None:
    """Let SIGTERM unwind the command, so that what it started is stopped."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(_signal: int, _frame: object) -> NoReturn:
    sys.exit(TERMINATED)


def documented(command: Callable[P, R]) -> Callable[P, R]:
    """Close a command's help with the exit codes, which are the same everywhere."""

    @functools.wraps(command)
    def same(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(*args, **kwargs)

    same.__doc__ = f"{inspect.cleandoc(command.__doc__ or '')}\n\n{EXIT_CODES}"
    return same
