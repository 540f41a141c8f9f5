"""`kaoping what-if`: another scheme, other weights or other values over files or a stored run (试算)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from service.access import Actor
from service.cli.common import Failure, data_option, documented, in_tenant, json_option, print_json, run, running
from service.cli.score import FAULTS_SHOWN
from service.language import DEFAULT_LANGUAGE, Language
from service.settings import Settings
from tenants.database import Transaction

P = ParamSpec("P")
R = TypeVar("R")

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def trial_options(command: Callable[P, R]) -> Callable[P, R]:
    """What is tried."""
    for option in (
        click.option(
            "--language",
            type=click.Choice(["zh-CN", "en"]),
            default=DEFAULT_LANGUAGE,
            envvar="KAOPING_LANGUAGE",
            show_default=True,
            help="The language of messages and of the differences.",
        ),
        click.option(
            "--value",
            "values",
            nargs=3,
            multiple=True,
            metavar="UNIT ITEM VALUE",
            help="Another value of a unit, written as in VALUES.csv; may be repeated.",
        ),
        click.option(
            "--weight",
            "weights",
            nargs=2,
            multiple=True,
            metavar="CODE WEIGHT",
            help="Another weight of an indicator, or other points under POINTS; may be repeated.",
        ),
        click.option("--scheme", "other", type=_FILE, metavar="OTHER.json", help="Another scheme's file."),
    ):
        command = option(command)
    return command


@click.group("what-if")
def what_if_group() -> None:
    """Try other rules, weights or values (试算); nothing real is touched.

    A leaf of the same code keeps what was settled for it; any other takes the values of its data items, by code.
    Marks once awarded stay out of the full marks that they were awarded out of. Under another weight a leaf keeps its
    score; only how it counts changes.
    """


@what_if_group.command("files")
@click.argument("scheme", metavar="SCHEME.json", type=_FILE)
@click.argument("values_file", metavar="VALUES.csv", type=_FILE)
@click.option("--units", type=_FILE, metavar="UNITS.csv", help="The units with their categories, in order.")
@click.option("--events", type=_FILE, metavar="EVENTS.csv", help="Bonus, deduction and veto events.")
@trial_options
@json_option
@documented
def what_if_files(
    scheme: Path,
    values_file: Path,
    units: Path | None,
    events: Path | None,
    other: Path | None,
    weights: Sequence[tuple[str, str]],
    values: Sequence[tuple[str, str, str]],
    language: Language,
    as_json: bool,
) -> None:
    """Compare the result of files with that of a trial; the files are those of `kaoping score`.

    Prints the units that differ, with total, rank and grade before and after; with --json all of them. No database, no
    settings, no network. Faults of files and of what is tried end it with exit code 2.

    \b
    Examples:
      kaoping what-if files scheme.json values.csv --units units.csv --scheme next-year.json
      kaoping what-if files scheme.json values.csv --weight 1.02 8 --weight 1.03 4
      kaoping what-if files scheme.json values.csv --value zhaoyang-01 完成 25
    """
    from service.scorefiles import FaultyFilesError, Files, Trial, read_files, read_trial, score
    from service.scoring import changes, outcomes, scheme_document, tried

    _require(other, weights, values)
    try:
        inputs = read_files(Files(scheme, values_file, units, events))
        document = scheme_document(inputs.scheme)
        found = read_trial(inputs.scheme, document, inputs.snapshot.units, Trial(other, weights, values))
    except FaultyFilesError as error:
        _refuse(error, language)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    result = _tried(lambda: tried(inputs.scheme, inputs.snapshot, *found), language)
    names = dict(zip(inputs.snapshot.units, inputs.names, strict=True))
    _tell(changes(outcomes(score(inputs)), outcomes(result)), names, language, as_json)


@what_if_group.command("run")
@click.option("--tenant", required=True, metavar="CODE", help="The district's code.")
@click.option("--cycle", required=True, metavar="CODE", help="The cycle's code.")
@click.option("--run", "number", type=int, metavar="N", help="Which run of it.  [default: the newest that succeeded]")
@click.option("--version", type=int, metavar="N", help="Another version of the cycle's scheme, draft or frozen.")
@trial_options
@data_option
@json_option
@documented
def what_if_run(
    tenant: str,
    cycle: str,
    number: int | None,
    version: int | None,
    other: Path | None,
    weights: Sequence[tuple[str, str]],
    values: Sequence[tuple[str, str, str]],
    language: Language,
    data: Path | None,
    as_json: bool,
) -> None:
    """Compare a run of a district with a trial over its snapshot; writes nothing.

    The same as the mutation startWhatIf, at once and for whoever may run commands on the server. Units and data items
    go by their codes.

    \b
    Examples:
      kaoping what-if run --tenant chunhui --cycle 2026 --weight A 40 --weight B 60
      kaoping what-if run --tenant chunhui --cycle 2026 --run 3 --version 2
    """
    from service.scorefiles import FaultyFilesError, Trial, read_trial
    from service.scoring import changes, outcomes, parse_scheme, tried
    from service.what_ifs import StoredRun, stored_run

    if version is not None and other is not None:
        raise click.UsageError("Either --version or --scheme.")
    _require(other if version is None else Path(), weights, values)

    async def read(tx: Transaction, _actor: Actor) -> StoredRun:
        return await stored_run(tx, cycle_code=cycle, number=number, version=version)

    with running(Settings.read(signs=False, data=data)) as settings:
        found = run(lambda: in_tenant(settings, tenant, read))
    before, _ = parse_scheme(found.own_document)
    assert before is not None, "it was computed"
    try:
        trial = read_trial(before, found.document, found.snapshot.units, Trial(other, weights, values))
    except FaultyFilesError as error:
        _refuse(error, language)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    result = _tried(lambda: tried(before, found.snapshot, *trial), language)
    _tell(changes(found.outcomes, outcomes(result)), found.names, language, as_json)


def _require(other: Path | None, weights: Sequence[Any], values: Sequence[Any]) -> None:
    if other is None and not weights and not values:
        raise click.UsageError("There is nothing to try: give --scheme, --weight or --value.")


def _refuse(error: Any, language: Language) -> NoReturn:
    for fault in error.faults[:FAULTS_SHOWN]:
        click.echo(fault.line(language), err=True)
    raise SystemExit(2) from None


def _tried(work: Callable[[], R], language: Language) -> R:
    from service.language import say
    from service.scoring import InvalidInput

    try:
        return work()
    except InvalidInput as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            click.echo(f"{'/'.join(fault.path)}: {say(fault.text, language)}", err=True)
        raise SystemExit(2) from None


def _tell(found: Sequence[Any], names: Mapping[str, str], language: Language, as_json: bool) -> None:
    from service.scorefiles import difference_rows, differences_text

    if as_json:
        print_json(difference_rows(found, names))
    else:
        click.echo(differences_text(found, names, language))
