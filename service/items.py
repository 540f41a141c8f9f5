"""Data items (数据项): what is collected once per unit and cycle, from whom, in which shape and bounds.

A frozen scheme version keeps its own copy of every item that it uses, so an edit here holds for later versions.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from service.access import Actor, Role
from service.audit import Change, append
from service.checks import Check
from service.errors import Conflict, IllegalState, NotFound, Path, VersionConflict
from service.scoring.numbers import format_decimal
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7s

MOST_ITEMS: Final = 500
"""Data items of one call."""

MOST_OPTIONS: Final = 200
"""Options of one data item."""

MOST_RESPONSIBLE: Final = 50
"""Responsible units of one data item or indicator."""

GREATEST_SCALE: Final = 30
"""Decimal places of a data item at most."""

MEASURED: Final = frozenset({"NUMBER", "INTEGER", "SCORES"})
"""Types whose values have bounds."""

WITH_PLACES: Final = frozenset({"NUMBER", "SCORES"})
"""Types whose values have decimal places; those of all others are whole."""

WITH_OPTIONS: Final = frozenset({"CHOICE", "COUNTS"})
"""Types that need options."""

FROM_PEOPLE: Final = frozenset({"COUNTS", "SCORES"})
"""Types whose parts may come from people."""


@dataclass(frozen=True)
class OptionSpec:
    """A choice or a named count as it is asked for."""

    code: str
    name: str
    dont_know: bool = False


@dataclass(frozen=True)
class DataItemSpec:
    """A data item as it is asked for: ids and decimals as text, type and source by the names of the API."""

    code: str
    name: str
    definition: str
    type: str
    unit_of_measure: str | None = None
    scale: int = 4
    minimum: str | None = None
    maximum: str | None = None
    options: Sequence[OptionSpec] = ()
    source: str = "REPORTED"
    responsible_unit_ids: Sequence[str] = ()
    personal: bool = False


@dataclass(frozen=True)
class ItemRow:
    """A data item that was judged, as it is stored."""

    code: str
    name: str
    definition: str
    type: str
    unit_of_measure: str | None
    scale: int
    minimum: Decimal | None
    maximum: Decimal | None
    options: list[dict[str, Any]]
    source: str
    responsible_unit_ids: list[UUID]
    personal: bool


def name_key(name: str) -> str:
    """What two names have in common that differ only in width, case, blanks and punctuation."""
    wide = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in wide if unicodedata.category(c)[0] in "LNMS")


def exact(value: Decimal) -> Decimal:
    """The same number without needless zeros, so that 10 and 10.00 are stored and shown alike."""
    return Decimal(format_decimal(value))


async def create_data_items(tx: Transaction, actor: Actor, *, data_items: Sequence[DataItemSpec]) -> list[UUID]:
    """Add data items, all or none; their ids in order. Raises AccessDenied, Invalid, NotFound."""
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    path: Path = ("input", "dataItems")
    if not data_items:
        check.invalid(path, "至少要有一个数据项。", "There must be at least one data item.")
    if not check.at_most(path, data_items, MOST_ITEMS):
        check.done()
    rows = [check_item(check, (*path, str(place)), spec) for place, spec in enumerate(data_items)]
    places: dict[str, int] = {}
    for place, spec in enumerate(data_items):
        if spec.code in places:
            check.duplicate(
                (*path, str(place), "code"),
                f"编码“{spec.code}”与第{places[spec.code] + 1}项重复。",
                f'The code "{spec.code}" is that of item {places[spec.code] + 1} too.',
            )
        places.setdefault(spec.code, place)
    # What is no code can't be taken, and PostgreSQL would not even read some of it.
    for code in await _taken(tx, [code for code in places if Check().code(path, code) is not None]):
        check.duplicate((*path, str(places[code]), "code"), f"编码“{code}”已被使用。", f'The code "{code}" is taken.')
    check.done()
    sound = [row for row in rows if row is not None]
    await _require_units(
        tx,
        [
            ((*path, str(place), "responsibleUnitIds", str(at)), unit)
            for place, row in enumerate(sound)
            for at, unit in enumerate(row.responsible_unit_ids)
        ],
    )
    ids = await insert_items(tx, sound)
    codes = [row.code for row in sound]
    await append(
        tx,
        actor,
        "createDataItems",
        subject=("DataItem", ids[0]) if len(ids) == 1 else None,
        summary=Text(
            zh=f"新增数据项{len(ids)}项：{'、'.join(row.name for row in sound[:5])}{'等' if len(sound) > 5 else ''}",
            en=f"Added {len(ids)} data item(s): {', '.join(codes[:5])}{' …' if len(codes) > 5 else ''}",
        ),
        facts={"codes": codes},
    )
    return ids


async def edit_data_item(
    tx: Transaction, actor: Actor, *, data_item_id: str, version: int, data_item: DataItemSpec
) -> UUID:
    """Make a data item what is given, the whole of it. What frozen versions rely on stays as it was.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, and IllegalState for a retired one.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    path: Path = ("input", "dataItem")
    key = check.id(("input", "dataItemId"), data_item_id, "DataItem")
    row = check_item(check, path, data_item)
    if key is not None and row is not None:
        for code in await _taken(tx, [row.code], besides=key):
            check.duplicate((*path, "code"), f"编码“{code}”已被使用。", f'The code "{code}" is taken.')
    check.done()
    assert key is not None
    assert row is not None
    before = await _item_for_change(tx, key, version)
    await _require_units(
        tx, [((*path, "responsibleUnitIds", str(at)), unit) for at, unit in enumerate(row.responsible_unit_ids)]
    )
    await tx.execute(
        """UPDATE data_items SET version = version + 1, code = $3, name = $4, name_key = $5, definition = $6, type = $7,
                  unit_of_measure = $8, scale = $9, minimum = $10, maximum = $11, options = $12::jsonb, source = $13,
                  personal = $14
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        key,
        row.code,
        row.name,
        name_key(row.name),
        row.definition,
        row.type,
        row.unit_of_measure,
        row.scale,
        row.minimum,
        row.maximum,
        orjson.dumps(row.options).decode(),
        row.source,
        row.personal,
    )
    await tx.execute("DELETE FROM data_item_responsibles WHERE tenant_id = $1 AND data_item_id = $2", tx.tenant_id, key)
    await _insert_responsibles(tx, [(key, row.responsible_unit_ids)])
    await append(
        tx,
        actor,
        "editDataItem",
        subject=("DataItem", key),
        summary=Text(zh=f"修改数据项“{row.name}”", en=f'Changed the data item "{row.name}"'),
        changes=_changes(before, row),
    )
    return key


async def retire_data_item(tx: Transaction, actor: Actor, *, data_item_id: str, version: int) -> UUID:
    """Take a data item out of use: drafts that use it can't be frozen, frozen versions keep it.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, and IllegalState where it is retired already.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "dataItemId"), data_item_id, "DataItem")
    check.done()
    assert key is not None
    before = await _item_for_change(tx, key, version)
    await tx.execute(
        "UPDATE data_items SET version = version + 1, active = false WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id,
        key,
    )
    await append(
        tx,
        actor,
        "retireDataItem",
        subject=("DataItem", key),
        summary=Text(zh=f"停用数据项“{before['name']}”", en=f'Retired the data item "{before["name"]}"'),
        changes=[Change("active", "true", "false")],
    )
    return key


def check_item(check: Check, path: Path, spec: DataItemSpec) -> ItemRow | None:
    """Judge one data item by itself; None after noting at least one fault."""
    before = len(check.found)
    code = check.code((*path, "code"), spec.code)
    name = check.line((*path, "name"), spec.name)
    definition = check.prose((*path, "definition"), spec.definition, required=True)
    unit_of_measure = None
    if spec.unit_of_measure is not None and spec.unit_of_measure.strip():
        unit_of_measure = check.line((*path, "unitOfMeasure"), spec.unit_of_measure, longest=20)
    if not 0 <= spec.scale <= GREATEST_SCALE:
        check.invalid(
            (*path, "scale"),
            f"小数位数应为0至{GREATEST_SCALE}，收到{spec.scale}。",
            f"Decimal places are 0 to {GREATEST_SCALE}; got {spec.scale}.",
        )
    scale = spec.scale if spec.type in WITH_PLACES else 0
    minimum, maximum = _check_bounds(check, path, spec, scale)
    options = _check_options(check, (*path, "options"), spec)
    if spec.personal and spec.type not in FROM_PEOPLE:
        check.invalid(
            (*path, "personal"),
            "只有计数型、评分型数据项才会由个人评出。",
            "Only counts and scores have parts that come from people.",
        )
    units: list[UUID] = []
    if check.at_most((*path, "responsibleUnitIds"), spec.responsible_unit_ids, MOST_RESPONSIBLE):
        units = check.ids((*path, "responsibleUnitIds"), spec.responsible_unit_ids, "OrgUnit")
    if len(check.found) > before or code is None or name is None or definition is None:
        return None
    return ItemRow(
        code=code,
        name=name,
        definition=definition,
        type=spec.type,
        unit_of_measure=unit_of_measure,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        options=options,
        source=spec.source,
        responsible_unit_ids=units,
        personal=spec.personal,
    )


def _check_bounds(check: Check, path: Path, spec: DataItemSpec, scale: int) -> tuple[Decimal | None, Decimal | None]:
    bounds: list[Decimal | None] = []
    for field, raw in (("minimum", spec.minimum), ("maximum", spec.maximum)):
        value = None if raw is None else check.decimal((*path, field), raw, scale=min(max(scale, 0), GREATEST_SCALE))
        bounds.append(None if value is None else exact(value))
        if raw is not None and spec.type not in MEASURED:
            check.invalid(
                (*path, field), "只有数值型、评分型数据项才有上下限。", "Only numbers and scores have bounds."
            )
    minimum, maximum = bounds
    if minimum is not None and maximum is not None and minimum > maximum:
        check.invalid(
            (*path, "maximum"),
            f"上限{maximum:f}小于下限{minimum:f}。",
            f"The greatest value {maximum:f} is below the least value {minimum:f}.",
        )
    return minimum, maximum


def _check_options(check: Check, path: Path, spec: DataItemSpec) -> list[dict[str, Any]]:
    if spec.type not in WITH_OPTIONS:
        if spec.options:
            check.invalid(path, "只有选择型、计数型数据项才有选项。", "Only choices and counts have options.")
        return []
    if not spec.options:
        check.invalid(path, "选择型、计数型数据项须列出选项。", "Choices and counts need their options.")
    if not check.at_most(path, spec.options, MOST_OPTIONS):
        return []
    found: dict[str, dict[str, Any]] = {}
    for place, option in enumerate(spec.options):
        code = check.line((*path, str(place), "code"), option.code, longest=64)
        name = check.line((*path, str(place), "name"), option.name, longest=100)
        if code is not None and code in found:
            check.duplicate((*path, str(place), "code"), f"选项“{code}”重复。", f'The option "{code}" occurs twice.')
        elif code is not None and name is not None:
            found[code] = {"code": code, "name": name, "dontKnow": option.dont_know}
    return list(found.values())


async def insert_items(tx: Transaction, rows: Sequence[ItemRow]) -> list[UUID]:
    """Store judged data items; their ids in order."""
    ids = uuid7s(len(rows))
    await tx.executemany(
        """INSERT INTO data_items (tenant_id, id, code, name, name_key, definition, type, unit_of_measure, scale,
                                   minimum, maximum, options, source, personal, active)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13, $14, true)""",
        [
            (
                tx.tenant_id,
                key,
                row.code,
                row.name,
                name_key(row.name),
                row.definition,
                row.type,
                row.unit_of_measure,
                row.scale,
                row.minimum,
                row.maximum,
                orjson.dumps(row.options).decode(),
                row.source,
                row.personal,
            )
            for key, row in zip(ids, rows, strict=True)
        ],
    )
    await _insert_responsibles(tx, [(key, row.responsible_unit_ids) for key, row in zip(ids, rows, strict=True)])
    return ids


async def _insert_responsibles(tx: Transaction, units: Sequence[tuple[UUID, Sequence[UUID]]]) -> None:
    rows = [(item, unit, place) for item, listed in units for place, unit in enumerate(listed)]
    if rows:
        await tx.execute(
            """INSERT INTO data_item_responsibles (tenant_id, data_item_id, unit_id, position)
               SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::int[])""",
            tx.tenant_id,
            [item for item, _, _ in rows],
            [unit for _, unit, _ in rows],
            [place for _, _, place in rows],
        )


async def _taken(tx: Transaction, codes: Sequence[str], *, besides: UUID | None = None) -> list[str]:
    # One after the other, as for the codes of units: what is free now is still free when it is written.
    await tx.hold_tenant()
    rows = await tx.fetch(
        """SELECT code FROM data_items
           WHERE tenant_id = $1 AND code = ANY($2::text[]) AND id IS DISTINCT FROM $3::uuid ORDER BY code""",
        tx.tenant_id,
        list(codes),
        besides,
    )
    return [row["code"] for row in rows]


async def _item_for_change(tx: Transaction, key: UUID, version: int) -> Any:
    row = await tx.fetchrow(
        """SELECT d.*, (SELECT coalesce(array_agg(r.unit_id ORDER BY r.position), '{}') FROM data_item_responsibles r
                        WHERE r.tenant_id = $1 AND r.data_item_id = d.id) AS responsible_unit_ids
           FROM data_items d WHERE d.tenant_id = $1 AND d.id = $2 FOR UPDATE""",
        tx.tenant_id,
        key,
    )
    if row is None:
        raise NotFound(("input", "dataItemId"))
    if not row["active"]:
        raise IllegalState(
            Text(zh=f"数据项“{row['name']}”已停用。", en=f'The data item "{row["name"]}" is retired.'),
            state="RETIRED",
            legal_from=["ACTIVE"],
            subject=("DataItem", key),
            path=("input", "dataItemId"),
            hint=Text(zh="请新建一个数据项。", en="Make a new data item."),
        )
    if row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "DataItem", key)])
    return row


async def _require_units(tx: Transaction, wanted: Sequence[tuple[Path, UUID]]) -> None:
    """Raise NotFound for the first unit that does not exist."""
    if not wanted:
        return
    rows = await tx.fetch(
        "SELECT id FROM org_units WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        tx.tenant_id,
        list({key for _, key in wanted}),
    )
    there = {row["id"] for row in rows}
    for path, key in wanted:
        if key not in there:
            raise NotFound(path)


_FIELDS: Final = {
    "code": "code",
    "name": "name",
    "definition": "definition",
    "type": "type",
    "unit_of_measure": "unitOfMeasure",
    "scale": "scale",
    "minimum": "minimum",
    "maximum": "maximum",
    "options": "options",
    "source": "source",
    "responsible_unit_ids": "responsibleUnits",
    "personal": "personal",
}


def _changes(before: Any, after: ItemRow) -> list[Change]:
    found = []
    for column, field in _FIELDS.items():
        old, new = before[column], getattr(after, column)
        if column == "options":
            old = orjson.loads(old)
        if old != new:
            found.append(Change(field, _shown(old), _shown(new)))
    return found


def _shown(value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case Decimal():
            return format_decimal(value)
        case list():
            return "、".join(each["name"] if isinstance(each, dict) else str(each) for each in value)
    return str(value)
