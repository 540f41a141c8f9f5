"""Entries with their revisions and findings (填报值)."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from strawberry import UNSET

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    column,
    connection,
    described,
    document,
    enumeration,
    expression,
    identifier,
    input_type,
    known,
    one_of,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES
from schema.reports.tasks import Task
from schema.scalars import DecimalText
from schema.values import (
    PARTS_SHOWN,
    VALUE_PARTS,
    VALUE_TYPES,
    EntryValue,
    of_task,
    pinned_item,
    value_columns,
    value_json,
    value_words,
)
from service.reports import Content
from service.reports.rights import FILLS_SIDE, TASK_VISIBLE

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.items import DataSource
    from schema.members import Actor


@enumeration("Life of an entry.")
class EntryState(Enum):
    """States of an entry."""

    DRAFT = "Only its author's side sees it."
    SUBMITTED = "Sent."


@value
class EntryWarning:
    """Something odd about a value, to be confirmed or mended."""

    key: str = column("Names it in submitReport's confirmedWarnings; changes with the value.")
    message: str = column("In words.")
    hint: str | None = column("What to do.")
    confirmed: bool = column("Whether it was confirmed.")


@value
class PreviousValueInfo:
    """A value of an earlier cycle."""

    cycle: "Cycle" = relation("Which cycle.", on={"cycle_id": "id"})
    value: EntryValue = document("The value.", variants=VALUE_TYPES)
    display: str = column("As people read it.")


def findings(where: str, finding: str) -> str:
    """SQL for a list of findings as JSON: of assessments `fa` that fit, those findings `ff` that fit.

    What speaks of a draft is shown to the side that wrote it, and to nobody else.
    """
    return f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('key', ff.v ->> 'key', 'code', 'INVALID',
            'message', CASE {{language}} WHEN 'EN' THEN ff.v ->> 'en' ELSE ff.v ->> 'zh' END,
            'hint', CASE {{language}} WHEN 'EN' THEN ff.v ->> 'hintEn' ELSE ff.v ->> 'hintZh' END,
            'confirmed', ff.v -> 'confirmed') ORDER BY fi.print_order, ff.n), '[]')
        FROM assessments fa
        JOIN indicators fi ON fi.tenant_id = fa.tenant_id AND fi.id = fa.indicator_id
        CROSS JOIN LATERAL jsonb_array_elements(fa.findings) WITH ORDINALITY AS ff(v, n)
        WHERE fa.tenant_id = {{tenant}} AND {where} AND {finding}
          AND NOT EXISTS (SELECT 1 FROM tasks qt
              JOIN entries qe ON qe.tenant_id = qt.tenant_id AND qe.task_id = qt.id AND qe.state = 'DRAFT'
              WHERE qt.tenant_id = {{tenant}} AND qt.cycle_unit_id = fa.cycle_unit_id
                AND ff.v -> 'dataItemIds' ? qt.data_item_id::text AND NOT {FILLS_SIDE.replace("{t}", "qt")}))"""


_ENTRY_VALUE = of_task("{t}.task_id", value_json("{t}.number", "{t}.detail", PARTS_SHOWN))

_ENTRY_COLUMNS = value_columns("{t}.number", "{t}.detail", of_task("{t}.task_id", "si.type"))

_ENTRY_WORDS = of_task("{t}.task_id", value_words("{t}.number", "{t}.detail", PARTS_SHOWN))

_PREVIOUS = f"""SELECT px.cycle_id, px.value, px.display FROM (
        SELECT pt.cycle_id, {value_json("pr.number", "pr.detail", "NOT si.personal", "pt.cycle_unit_id")} AS value,
               {value_words("pr.number", "pr.detail", "NOT si.personal")} AS display
        FROM tasks nt
        JOIN cycles nc ON nc.tenant_id = nt.tenant_id AND nc.id = nt.cycle_id
        JOIN cycle_units nu ON nu.tenant_id = nt.tenant_id AND nu.id = nt.cycle_unit_id
        JOIN cycle_units pu ON pu.tenant_id = nc.tenant_id AND pu.cycle_id = nc.previous_cycle_id
             AND pu.unit_id = nu.unit_id
        JOIN tasks pt ON pt.tenant_id = pu.tenant_id AND pt.cycle_unit_id = pu.id AND pt.data_item_id = nt.data_item_id
        {pinned_item("pt")}
        CROSS JOIN LATERAL (SELECT pa.settled_numbers[pi.position + 1] AS number,
                                   nullif(pa.settled_details -> pi.position, 'null') AS detail
            FROM indicator_items pi
            JOIN assessments pa ON pa.tenant_id = pi.tenant_id AND pa.indicator_id = pi.indicator_id
                 AND pa.cycle_unit_id = pt.cycle_unit_id AND pa.state IN ('ACCEPTED', 'ADJUSTED')
            WHERE pi.tenant_id = pt.tenant_id AND pi.data_item_id = pt.data_item_id
            ORDER BY pa.settled_at DESC LIMIT 1) pr
        WHERE nt.tenant_id = {{tenant}} AND nt.id = {{t}}.task_id) px WHERE px.value IS NOT NULL"""


@table(
    "entries",
    plural="entries",
    visible=f"""EXISTS (SELECT 1 FROM tasks xt WHERE xt.tenant_id = {{tenant}} AND xt.id = {{t}}.task_id
        AND {TASK_VISIBLE.replace("{t}", "xt")}
        AND ({{t}}.state = 'SUBMITTED' OR {FILLS_SIDE.replace("{t}", "xt")}))""",
)
class Entry(Node):
    """A value for one task, with all its revisions (填报值)."""

    id: ID = identifier()
    task: Task = relation("Which task.", on={"task_id": "id"})
    state: EntryState = column("Draft or submitted.")
    value: EntryValue | None = document(
        "The value; null where it is hidden.",
        sql=_ENTRY_VALUE,
        variants=VALUE_TYPES,
        columns=_ENTRY_COLUMNS,
        heavy=VALUE_PARTS,
    )
    display: str = expression("The value as people read it, with its unit of measure.", _ENTRY_WORDS)
    source: "DataSource" = column("How it came.")
    note: str | None = column("Remark of who filled it.")
    by: "Actor | None" = relation(
        "Who wrote the present revision; null for the system.", on={"by_id": "id"}, variants=ACTOR_TYPES
    )
    at: datetime = column("When.")
    revision: int = column("Number of the present revision.")
    revisions: "Connection[EntryRevision]" = connection(
        "All revisions, newest first.",
        on={"id": "entry_id"},
        default=[Key("{r}.revision", "bigint", descending=True)],
    )
    previous: PreviousValueInfo | None = relation("The last cycle's settled value.", rows=_PREVIOUS)
    warnings: list[EntryWarning] = document(
        "What looks odd, such as more attendants than members.",
        sql=f"""(SELECT {
            findings("fa.cycle_unit_id = wt.cycle_unit_id", "ff.v -> 'dataItemIds' ? wt.data_item_id::text")
        } FROM tasks wt WHERE wt.tenant_id = {{tenant}} AND wt.id = {{t}}.task_id)""",
    )
    submitted_at: datetime | None = column("When it was last submitted.")
    days_late: int = column("Days late.")
    version: int = column("Rises with each change.")


@table(
    "entry_revisions",
    plural="revisions of an entry",
    visible=f"""EXISTS (SELECT 1 FROM entries xe JOIN tasks xt ON xt.tenant_id = xe.tenant_id AND xt.id = xe.task_id
        WHERE xe.tenant_id = {{tenant}} AND xe.id = {{t}}.entry_id AND {TASK_VISIBLE.replace("{t}", "xt")}
          AND ({{t}}.id = xe.submitted_revision_id OR {FILLS_SIDE.replace("{t}", "xt")}
               OR EXISTS (SELECT 1 FROM assessments xa
                    JOIN reviews xr ON xr.tenant_id = xa.tenant_id AND xr.assessment_id = xa.id
                    WHERE xa.tenant_id = {{tenant}} AND xa.cycle_unit_id = xt.cycle_unit_id
                      AND {{t}}.id = ANY (xr.revision_ids))))""",
)
class EntryRevision(Node):
    """One write of an entry; never changed."""

    id: ID = identifier()
    number: int = column("1, 2, 3 …", "revision")
    value: EntryValue | None = document(
        "The value written.",
        sql=of_task(
            "(SELECT ve.task_id FROM entries ve WHERE ve.tenant_id = {tenant} AND ve.id = {t}.entry_id)",
            value_json("{t}.number", "{t}.detail", PARTS_SHOWN),
        ),
        variants=VALUE_TYPES,
    )
    display: str = expression(
        "As people read it.",
        of_task(
            "(SELECT ve.task_id FROM entries ve WHERE ve.tenant_id = {tenant} AND ve.id = {t}.entry_id)",
            value_words("{t}.number", "{t}.detail", PARTS_SHOWN),
        ),
    )
    source: "DataSource" = column("How it came.")
    by: "Actor | None" = relation("Who wrote it.", on={"by_id": "id"}, variants=ACTOR_TYPES)
    at: datetime = column("When.")
    reason: str | None = column("Why, where it replaced another.")


@input_type
class CountInput:
    """One named count."""

    option: str = described("Code of the count.")
    count: int = described("How many.")


@one_of
class EntryContentInput:
    """Exactly one, by the item's type."""

    number: DecimalText | None = described("For number and integer items.", default=UNSET)
    yes_no: bool | None = described("For yes-no items.", default=UNSET)
    choice: str | None = described("For choice items: code of the option.", default=UNSET)
    counts: list[CountInput] | None = described("For counts items.", default=UNSET)
    scores: list[DecimalText] | None = described("For scores items.", default=UNSET)


def content_of(given: EntryContentInput) -> Content:
    """The value as the use-cases take it."""
    counts = known(given.counts)
    return Content(
        number=known(given.number),
        yes_no=known(given.yes_no),
        choice=known(given.choice),
        counts=None if counts is None else [(count.option, count.count) for count in counts],
        scores=known(given.scores),
    )
