"""Values as frontends see them (填报值的展示): SQL that makes typed values and words of a row's columns.

`si` is the alias of the item as the cycle's version pinned it. Parts of counts and scores that come from people are for
the side that entered them; everyone else sees how many there are, and their mean.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from schema.mapping import Variants, column, document, value
from service.reports.rights import FILLS_SIDE
from service.scoring.rules.grade_mean import APART_FROM
from service.scoring.text import Text

if TYPE_CHECKING:
    from schema.items import ItemOption

VALUE_TYPES = Variants(
    "kind",
    {
        "NUMBER": "NumberValue",
        "YES_NO": "YesNoValue",
        "CHOICE": "ChoiceValue",
        "COUNTS": "CountsValue",
        "SCORES": "ScoresValue",
    },
)
"""Which type the JSON of a value is."""

MEAN_PLACES = 2
"""Places of a shown mean beyond those of the item; counts have none."""


def quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def said(text: Text) -> str:
    """SQL for a sentence in the caller's language."""
    return f"CASE {{language}} WHEN 'EN' THEN {quoted(text.en)} ELSE {quoted(text.zh)} END"


def instant(sql: str) -> str:
    """SQL for an instant as it travels in JSON."""
    return f"""to_char(({sql}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""


_OPTIONS = "jsonb_array_elements(si.options) WITH ORDINALITY AS op(o, n)"
_COUNTED = f"{_OPTIONS} WHERE {{detail}} -> 'counts' ? (op.o ->> 'code')"
_TOTAL = "(SELECT coalesce(sum(ct.v::bigint), 0) FROM jsonb_each_text({detail} -> 'counts') ct(k, v))"
_MEAN = f"""(SELECT trim_scale(round(avg(sc.v::numeric), si.scale + {MEAN_PLACES}))::text
    FROM jsonb_array_elements_text({{detail}} -> 'scores') sc(v))"""
# Of the unit's first leaf that weighs the item, not under its least number of ballots; those of few people would tell
# what each of them said.
_BALLOTS_MEAN = f"""(SELECT CASE WHEN sum(bc.n) >= bv.least AND ({{shown}} OR sum(bc.n) >= {APART_FROM})
        THEN trim_scale(round(sum(bc.marks * bc.n) / nullif(sum(bc.n), 0), {MEAN_PLACES}))::text END
    FROM (SELECT bg.v -> 'values' AS marks, (bl.rule ->> 'minBallots')::int AS least FROM indicator_items bi
        JOIN indicators bl ON bl.tenant_id = bi.tenant_id AND bl.id = bi.indicator_id
             AND bl.scheme_version_id = si.scheme_version_id AND bl.rule ->> 'kind' = 'GRADE_MEAN'
        JOIN assessments ba ON ba.tenant_id = bl.tenant_id AND ba.indicator_id = bl.id AND ba.cycle_unit_id = {{unit}}
        CROSS JOIN LATERAL jsonb_array_elements(bl.rule -> 'groups') bg(v)
        WHERE bi.tenant_id = {{tenant}} AND bi.data_item_id = si.data_item_id
          AND bg.v ->> 'dataItem' = si.data_item_id::text
        ORDER BY bl.print_order LIMIT 1) bv
    CROSS JOIN LATERAL (SELECT (bm.v ->> 'marks')::numeric AS marks,
               coalesce(({{detail}} -> 'counts' ->> (bm.v ->> 'option'))::bigint, 0) AS n
        FROM jsonb_array_elements(bv.marks) bm(v)) bc
    GROUP BY bv.least)"""
_NUMBER = "trim_scale({number})::text"
_IS = """CASE WHEN si.type IN ('NUMBER', 'INTEGER') AND {number} IS NOT NULL THEN 'NUMBER'
        WHEN si.type = 'YES_NO' AND {number} IS NOT NULL THEN 'YES_NO'
        WHEN si.type = 'CHOICE' AND {detail} ? 'choice' THEN 'CHOICE'
        WHEN si.type = 'COUNTS' AND {detail} ? 'counts' THEN 'COUNTS'
        WHEN si.type = 'SCORES' AND {detail} ? 'scores' THEN 'SCORES' END"""


def value_json(number: str, detail: str, shown: str, unit: str = "vt.cycle_unit_id") -> str:
    """SQL for a value's JSON over `si`; `shown` is SQL for whether its parts may be read, `unit` for the cycle unit."""
    template = _given(
        f"""CASE {_IS}
            WHEN 'NUMBER' THEN jsonb_build_object('kind', 'NUMBER', 'number', {_NUMBER})
            WHEN 'YES_NO' THEN jsonb_build_object('kind', 'YES_NO', 'yes', {{number}} = 1)
            WHEN 'CHOICE' THEN jsonb_build_object('kind', 'CHOICE', 'option',
                (SELECT op.o FROM {_OPTIONS} WHERE op.o ->> 'code' = {{detail}} ->> 'choice' LIMIT 1))
            WHEN 'COUNTS' THEN jsonb_build_object('kind', 'COUNTS',
                'total', {_TOTAL}, 'mean', {_BALLOTS_MEAN}, 'counts', CASE WHEN {{shown}} THEN (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('option', op.o, 'count',
                        ({{detail}} -> 'counts' ->> (op.o ->> 'code'))::bigint) ORDER BY op.n), '[]')
                    FROM {_COUNTED}) END)
            WHEN 'SCORES' THEN jsonb_build_object('kind', 'SCORES',
                'scores', CASE WHEN {{shown}} THEN {{detail}} -> 'scores' END,
                'total', jsonb_array_length({{detail}} -> 'scores'), 'mean', {_MEAN})
            END""",
        number,
        detail,
        shown,
    )
    return template.replace("{unit}", unit)


VALUE_PARTS = ("option", "total", "counts", "scores", "mean")
"""Keys of a value's JSON that `value_columns` leaves out."""


def value_columns(number: str, detail: str, item_type: str) -> dict[str, str]:
    """SQL for the keys of `value_json`; without VALUE_PARTS, nor what it takes to know who may read them.

    A value says by itself what it is, unless it is 0 or 1: for these alone SQL for the item's type is asked.
    """
    return {
        "kind": f"""CASE WHEN {number} IN (0, 1) AND {item_type} = 'YES_NO' THEN 'YES_NO'
            WHEN {number} IS NOT NULL THEN 'NUMBER'
            WHEN {detail} ? 'choice' THEN 'CHOICE'
            WHEN {detail} ? 'counts' THEN 'COUNTS'
            WHEN {detail} ? 'scores' THEN 'SCORES' END""",
        "number": _NUMBER.replace("{number}", number),
        "yes": f"{number} = 1",
    }


def value_words(number: str, detail: str, shown: str) -> str:
    """SQL for a value as people read it, with its unit of measure; an empty text where there is none."""
    number_of = "jsonb_array_length({detail} -> 'scores')"
    scores = f"""CASE {{language}} WHEN 'EN' THEN 'mean ' || {_MEAN} || ' of ' || {number_of}
        ELSE '平均' || {_MEAN} || '（共' || {number_of} || '个）' END"""
    counts = f"""CASE WHEN {{shown}} THEN (SELECT string_agg((op.o ->> 'name') || ' ' ||
            ({{detail}} -> 'counts' ->> (op.o ->> 'code')),
            CASE {{language}} WHEN 'EN' THEN ', ' ELSE '、' END ORDER BY op.n)
            FROM {_COUNTED})
        ELSE CASE {{language}} WHEN 'EN' THEN 'total ' ELSE '共' END || {_TOTAL} END"""
    return _given(
        f"""coalesce(CASE
            WHEN si.type IN ('NUMBER', 'INTEGER') THEN {_NUMBER} || coalesce(si.unit_of_measure, '')
            WHEN si.type = 'YES_NO' AND {{number}} = 1 THEN {said(Text(zh="是", en="yes"))}
            WHEN si.type = 'YES_NO' AND {{number}} = 0 THEN {said(Text(zh="否", en="no"))}
            WHEN si.type = 'CHOICE' THEN (SELECT op.o ->> 'name' FROM {_OPTIONS}
                WHERE op.o ->> 'code' = {{detail}} ->> 'choice' LIMIT 1)
            WHEN si.type = 'COUNTS' AND {{detail}} ? 'counts' THEN {counts}
            WHEN si.type = 'SCORES' AND {{detail}} ? 'scores' THEN {scores} END, '')""",
        number,
        detail,
        shown,
    )


def _given(template: str, number: str, detail: str, shown: str) -> str:
    for name, sql in (("number", number), ("detail", detail), ("shown", shown)):
        template = template.replace("{" + name + "}", sql)
    return template


def pinned_item(task: str) -> str:
    """SQL that joins the item of a task, as it was pinned for it, as `si`."""
    return f"""JOIN scheme_version_items si ON si.tenant_id = {{tenant}}
             AND si.scheme_version_id = {task}.scheme_version_id AND si.data_item_id = {task}.data_item_id"""


_OF_ITEM = ("data_item_id", "scheme_version_id")
_OF_TASK = (*_OF_ITEM, "cycle_id", "cycle_unit_id", "filler")
"""Columns of a task that tell its item, and who fills it besides."""


def of_task(task: str, template: str) -> str:
    """SQL over the task whose id is `task`, as `vt`, with the item pinned for it as `si`."""
    names = _OF_TASK if "vt." in template else _OF_ITEM
    return f"""(SELECT {template} FROM {_task(task, names)} vt
        {pinned_item("vt")})"""


def back_to_task(task: str) -> tuple[tuple[str, str], ...]:
    """Where `of_task` looks for the task whose id is `task`, and what there is instead in a row of `tasks` as {t}."""
    return tuple((_task(task, names), f"({_chosen('{t}', names)})") for names in (_OF_TASK, _OF_ITEM))


def _task(task: str, names: Sequence[str]) -> str:
    return f"({_chosen('vt', names)} FROM tasks vt WHERE vt.tenant_id = {{tenant}} AND vt.id = {task})"


def _chosen(row: str, names: Sequence[str]) -> str:
    return "SELECT " + ", ".join(f"{row}.{name}" for name in names)


PARTS_SHOWN = f"(NOT si.personal OR {FILLS_SIDE.replace('{t}', 'vt')})"
"""Of a task `vt` and its item `si`: the viewer may read the parts of its value."""


@value
class NumberValue:
    """Value of a number or integer item."""

    number: Decimal = column("The number.")


@value
class YesNoValue:
    """Value of a yes-no item."""

    yes: bool = column("Yes or no.")


@value
class ChoiceValue:
    """Value of a choice item."""

    option: "ItemOption" = document("The chosen option.")


@value
class CountValue:
    """One named count."""

    option: "ItemOption" = document("Which.")
    count: int = column("How many.")


@value
class CountsValue:
    """Value of a counts item."""

    counts: list[CountValue] | None = document(
        "The counts; null where they come from people and the viewer did not enter them."
    )
    total: int = column("Their sum.")
    mean: Decimal | None = column(
        "Their mean under the rule that uses them, rounded to two places; null where no rule weighs them, where there "
        "are too few for it, or where fewer than three that count come from people and the viewer did not enter them."
    )


@value
class ScoresValue:
    """Value of a scores item."""

    scores: list[Decimal] | None = column(
        "The scores; null where they come from people and the viewer did not enter them."
    )
    total: int = column("How many there are.")
    mean: Decimal | None = column("Their mean, rounded to two places more than the item has.")


EntryValue = Annotated[
    NumberValue | YesNoValue | ChoiceValue | CountsValue | ScoresValue,
    strawberry.union("EntryValue", description="A value, by the item's type."),
]
