"""`kaoping score`: the engine on files, for whoever wants to check a board (文件测算)."""

from pathlib import Path

import click

from service.cli.common import Failure, documented
from service.language import DEFAULT_LANGUAGE, Language

FAULTS_SHOWN = 1_000
"""Most faults that are printed; a file that is wrong everywhere needs no longer list to be mended."""

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def _print_schema(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from service.scorefiles import schema_text

    click.echo(schema_text(), nl=False)
    ctx.exit()


def _print_rules(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from service.scorefiles import rules_text

    click.echo(rules_text())
    ctx.exit()


def _print_example(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from service.scorefiles import example_text

    click.echo(example_text(), nl=False)
    ctx.exit()


@click.command("score")
@click.argument("scheme", metavar="SCHEME.json", type=_FILE)
@click.argument("values", metavar="VALUES.csv", type=_FILE)
@click.option("--units", type=_FILE, metavar="UNITS.csv", help="The units with their categories, in order.")
@click.option("--events", type=_FILE, metavar="EVENTS.csv", help="Bonus, deduction and veto events.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="RESULT.json",
    help="Write the result there.  [default: standard output]",
)
@click.option(
    "--explain", metavar="UNIT", help="Print where every point of this unit came from, instead of the result."
)
@click.option(
    "--robustness",
    is_flag=True,
    help="For organisers: add how firm ranks are when weights are drawn within the scheme's tolerance.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=1,
    show_default=True,
    help="Of the draws: the same seed, the same draws.",
)
@click.option(
    "--language",
    type=click.Choice(["zh-CN", "en"]),
    default=DEFAULT_LANGUAGE,
    envvar="KAOPING_LANGUAGE",
    show_default=True,
    help="The language of messages and of the explanation.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of SCHEME.json and end.",
)
@click.option(
    "--rules",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_rules,
    help="Print every scoring rule with its definition and an example, and end.",
)
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_example,
    help="Print a whole SCHEME.json that uses every rule, and end.",
)
@documented
def score_command(
    scheme: Path,
    values: Path,
    units: Path | None,
    events: Path | None,
    out: Path | None,
    explain: str | None,
    robustness: bool,
    seed: int,
    language: Language,
) -> None:
    """Score files with the engine of the server (测算): no database, no settings, no network.

    Totals equal exact arithmetic; the same files give the same bytes. A faulty file gives all its faults on standard
    error, each with its line or its place in the JSON, exit code 2, and no result.

    \b
    SCHEME.json   what the API exports and imports (SchemeVersion.file). Categories, data items and indicators go by
      their codes; amounts are plain decimals, as strings. `--example` prints a whole one with every rule,
      `--rules` the definition of every rule, `--schema` the JSON Schema that it is checked against; beyond it all that
      codes refer to, points that add up, amounts that fit are checked.

    \b
    Tables are CSV in UTF-8, with or without BOM, a header line, columns in any order, lines that end as they like.
    Numbers are plain decimals in ASCII digits, at most 38 of them: no exponent, no plus, no thousands separator.

    \b
    VALUES.csv    unit,item,state,value[,late_days][,previous]      one row per unit and item; no row means missing
      item        code of a data item, or of an AWARD leaf, whose value is its marks; where the leaf has groups of
                  assessors, CODE/GROUP with their awards as scores, while a row of CODE may say rejected or
                  not_applicable. Where a code means both, write item:CODE or award:CODE.
      state       given, missing, not_applicable or rejected (不予认定)
      value       only of what is given (of rejected it is not read), by the type of the item:
                    NUMBER, INTEGER   12.5     within the bounds and decimal places of the item
                    YES_NO            true     or false
                    CHOICE            A        code or name of the option
                    COUNTS            很满意=90;满意=60       code or name; what is not named is 0
                    SCORES            95;90;85
      late_days   whole days late; the most of a unit's rows counts, those that are missing or not_applicable left out
      previous    the last cycle's value, for IMPROVEMENT and CARRY_OVER

    \b
    UNITS.csv     unit,name,category[,parent][,previous_grade][,decision]
      category    code or name. Without the file the units are those of VALUES.csv in the order in which they first
                  appear, all of the scheme's only category.
      parent      any key, for grades with places per parent; previous_grade: code or name of the last grade;
      decision    place among equals at the edge of a quota, as a person ordered them: 1 before 2

    \b
    EVENTS.csv    unit,indicator,matter,level,amount,effect,state   one row per event
      indicator   code of the BONUS, DEDUCTION or VETO leaf, or of one whose events a DEDUCT line counts
      matter      of one matter only the highest counts; empty: a matter of its own
      level       code of the level, for a veto of the ground
      amount      points, where the level lets them vary or there is no level; empty: those of the level
      effect      of a veto, if not the rule's: NO_EXCELLENT, ONE_GRADE_DOWN, LOWEST_GRADE or UNRANKED
      state       proposed, confirmed, rejected or revoked; only confirmed ones count

    \b
    RESULT.json   {"format": …, "engine": …, "units": […]}, canonical JSON; units in input order, each with
      unit, name, category
      status      RANKED, VETOED, LOW_COVERAGE or NOT_SCORED (nothing applies)
      total       as shown, rounded once, half up; null where nothing applies
      exact       the exact total, p/q or a whole number
      rank        in the category; null where it has none
      overallRank over all categories, where the scheme asks for it
      grade       code of the computed grade, or null
      coverage    0 to 1, to 12 places
      nodes       code → score of the node, 0 to 100, to 12 places; null where it does not apply

    \b
    With --robustness RESULT.json has "robustness" beside "units": draws, seed, tolerance, and
      flips       seats at a quota's edge that change hands: grade, units (who has it, who is next), share of the
                  draws, text (zh, en)
      units       unit, rank, low and high (its rank in 5 to 95 % of 1,000 draws), without: code → its rank where that
                  node is left out and its weight shared among its siblings, of nodes without which it is another

    \b
    Examples:
      kaoping score scheme.json values.csv
      kaoping score scheme.json values.csv --units units.csv --events events.csv --out result.json
      kaoping score scheme.json values.csv --explain zhaoyang-01 --language en
      kaoping score scheme.json values.csv --robustness --seed 7 --out result.json

    \b
    `kaoping what-if` tries other rules, weights or values on the same files.
    """
    # Loaded by the one command that scores: every other one starts the sooner.
    from service.scorefiles import (
        FaultyFilesError,
        Files,
        explained,
        read_files,
        result_bytes,
        robustness_document,
        score,
    )

    read = [each for each in (scheme, values, units, events) if each is not None]
    if out is not None and out.is_file() and any(out.samefile(each) for each in read):
        raise click.BadParameter(
            f"“{out}”是所读文件之一" if language == "zh-CN" else f"{out} is one of the files that are read",
            param_hint="--out",
        )
    try:
        inputs = read_files(Files(scheme, values, units, events))
    except FaultyFilesError as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            click.echo(fault.line(language), err=True)
        left = len(error.faults) - FAULTS_SHOWN
        if left > 0:
            click.echo(f"… 还有{left}处" if language == "zh-CN" else f"… and {left} more", err=True)
        raise SystemExit(2) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    for warning in inputs.warnings:
        click.echo(warning.line(language), err=True)
    result = score(inputs)
    drawn = robustness_document(result, seed) if robustness else None
    words = None
    if explain is not None:
        words = explained(inputs, result, explain, language)
        if words is None:
            raise click.BadParameter(
                f"没有单位“{explain}”" if language == "zh-CN" else f'there is no unit "{explain}"',
                param_hint="--explain",
            )
    if out is not None:
        try:
            out.write_bytes(result_bytes(inputs, result, drawn))
        except OSError as error:
            raise Failure(f"{out}: {error.strerror}") from error
    if words is not None:
        click.echo(words)
    elif out is None:
        click.echo(result_bytes(inputs, result, drawn), nl=False)
