"""`kaoping doctor`: whether a deployment is sound, and what to do where it is not (体检)."""

from collections.abc import Callable
from pathlib import Path

import click

from service.cli.common import data_option, documented, json_option, print_json, run, running
from service.doctor import CHECKS, RENAME, Finding, examine
from service.settings import Settings, SettingsError
from service.variables import unknown_variables

CheckDocuments = Callable[[Settings], None]
"""Reads the manifest of trusted documents as the API does; given by `service.main`, which alone knows how."""

_SHOWN = {
    "ok": click.style("ok    ", fg="green"),
    "warning": click.style("warns ", fg="yellow"),
    "wrong": click.style("WRONG ", fg="red"),
    "unseen": "unseen",
}


def doctor_command(check_documents: CheckDocuments) -> click.Command:
    """The command `doctor`."""

    @click.command("doctor")
    @click.option(
        "--processes",
        type=click.IntRange(1, 10_000),
        default=2,
        show_default=True,
        help="Processes (serve and worker together) that share the database.",
    )
    @data_option
    @json_option
    @documented
    def doctor(processes: int, data: Path | None, as_json: bool) -> None:
        """Look a deployment over: settings, roles, policies, migrations, clocks, Redis, issuers, jobs.

        Run it with the settings of `kaoping serve`, where that runs. It changes nothing, and says for each thing that
        is wrong what mends it. Exit code 1 where anything is. What is only doubtful is told as well: variables that
        begin with KAOPING_ and are no settings.

        \b
        Examples:
          kaoping doctor
          kaoping doctor --processes 12 --json
        """
        try:
            settings = Settings.read(signs=False, data=data)
        except SettingsError as error:
            mend = "Correct the variable that is named, in the environment of every process."
            findings = [Finding("settings", "wrong", fault, mend) for fault in error.faults]
            findings += [Finding("settings", "warning", said, RENAME) for said in unknown_variables()]
        else:
            with running(settings) as ready:
                findings = run(lambda: examine(ready, processes=processes, check_documents=check_documents))
        wrong, doubtful = ([each for each in findings if each.state == state] for state in ("wrong", "warning"))
        if as_json:
            print_json({"ok": not wrong, "findings": [finding.as_json() for finding in findings]})
        else:
            for finding in findings:
                click.echo(f"{_SHOWN[finding.state]}  {finding.check:<12}  {finding.what}")
                if finding.mend is not None:
                    click.echo(f"{'':22}{click.style('Mend:', bold=True)} {finding.mend}")
            counted = f"{len(wrong)} wrong." if wrong else f"All {len(CHECKS)} checks are well."
            click.echo(f"{counted} {len(doubtful)} doubtful." if doubtful else counted)
        if wrong:
            raise click.exceptions.Exit(1)

    return doctor
