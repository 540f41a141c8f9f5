"""From files to what the engine computes with (读取测算文件): every fault of every file at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from service.scorefiles.documents import read_scheme_file
from service.scorefiles.faults import FaultyFilesError, FileFault, quoted
from service.scorefiles.tables import Row, Table
from service.scorefiles.values import (
    NOTHING,
    Form,
    Held,
    Miswritten,
    Value,
    choose,
    column_of,
    plain_decimal,
    whole_number,
)
from service.scoring import Event, InvalidInput, Scheme, Snapshot, State
from service.scoring.numbers import show
from service.scoring.reading import one_of
from service.scoring.rules.award import AwardRule
from service.scoring.rules.deduct import DeductRule
from service.scoring.rules.events import PotRule
from service.scoring.rules.veto import EFFECTS, VetoRule
from service.scoring.snapshot import States
from service.scoring.snapshot_checks import check_snapshot
from service.scoring.text import Text

VALUE_COLUMNS: Final = ("unit", "item", "state", "value")
UNIT_COLUMNS: Final = ("unit", "name", "category")
EVENT_COLUMNS: Final = ("unit", "indicator", "matter", "level", "amount", "effect", "state")
STATES: Final = {
    "given": State.GIVEN,
    "missing": State.MISSING,
    "not_applicable": State.NOT_APPLICABLE,
    "rejected": State.REJECTED,
}
EventState = Literal["PROPOSED", "CONFIRMED", "REJECTED", "REVOKED"]
EVENT_STATES: Final[Mapping[str, EventState]] = {
    "proposed": "PROPOSED",
    "confirmed": "CONFIRMED",
    "rejected": "REJECTED",
    "revoked": "REVOKED",
}
MOST_DAYS: Final = 100_000
"""Most days late."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one computation; faults name them as these paths are written."""

    scheme: Path
    values: Path
    units: Path | None = None
    events: Path | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What sound files hold. names: of the units, in order; warnings: what should be looked at."""

    scheme: Scheme
    snapshot: Snapshot
    names: tuple[str, ...]
    warnings: tuple[FileFault, ...]


def read_files(files: Files) -> Inputs:
    """Read and check all files. Raises FaultyFilesError with every fault, OSError where a file can't be read."""
    faults: list[FileFault] = []
    warnings: list[FileFault] = []
    scheme, document = read_scheme_file(str(files.scheme), files.scheme.read_bytes(), faults, warnings)
    units: _Units | None = None
    if files.units is not None:
        table = Table(
            str(files.units),
            files.units.read_bytes(),
            UNIT_COLUMNS,
            ("parent", "previous_grade", "decision"),
            faults,
        )
        units = _Units(table, scheme)
    table = Table(str(files.values), files.values.read_bytes(), VALUE_COLUMNS, ("late_days", "previous"), faults)
    if units is None:
        units = _Units.of_values(table, scheme, str(files.scheme), faults)
    values = _Values(table, scheme, document, units)
    events: _Events | None = None
    if files.events is not None:
        table = Table(str(files.events), files.events.read_bytes(), EVENT_COLUMNS, (), faults)
        events = _Events(table, scheme, units)
    if scheme is None:
        raise FaultyFilesError(faults)
    snapshot = values.snapshot(events.found if events else [])
    if snapshot.units:
        try:
            check_snapshot(scheme, snapshot)
        except InvalidInput as error:
            for fault in error.faults:
                if fault.path[0] == "events" and events is not None:
                    events.table.fault(events.lines[int(fault.path[1])], fault.text, fault.hint)
                else:
                    values.table.fault(values.line_of(fault.path), fault.text, fault.hint)
    if faults:
        # By file, then by line: as a person goes through them.
        order = {str(path): place for place, path in enumerate((files.scheme, files.units, files.values, files.events))}
        faults.sort(key=lambda fault: (order[fault.file], int(fault.place) if fault.place.isdecimal() else 0))
        raise FaultyFilesError(faults)
    return Inputs(scheme, snapshot, tuple(units.names), tuple(warnings))


class _Units:
    """The units in order, with all that the file says of each."""

    def __init__(self, table: Table | None, scheme: Scheme | None) -> None:
        self.places: dict[str, int] = {}
        self.names: list[str] = []
        self.categories: list[str] = []
        self.parents: list[str | None] = []
        self.previous_grades: list[str | None] = []
        self.decisions: dict[str, int] = {}
        self.known: dict[str, int] = {}
        """Line of every unit that is listed, those with faults included."""
        if table is None:
            return
        for row in table.rows:
            self._add(table, row, scheme)
        if not table.rows and not table.faults:
            table.fault(None, Text("没有单位", "there is no unit"))

    @classmethod
    def of_values(cls, table: Table, scheme: Scheme | None, scheme_name: str, faults: list[FileFault]) -> "_Units":
        """Without a file of units: those that have values, all of the scheme's only category."""
        units = cls(None, scheme)
        sole = ""
        if scheme is not None:
            sole = scheme.category_keys[0]
            if len(scheme.categories) > 1:
                sole = ""
                faults.append(
                    FileFault(
                        scheme_name,
                        "/categories",
                        Text(
                            f"方案有{len(scheme.categories)}个考核类别，须用--units说明各单位的类别",
                            f"the scheme has {len(scheme.categories)} categories: --units must say which is whose",
                        ),
                    )
                )
        for row in table.rows:
            name = row["unit"]
            if name and name not in units.known:
                units.known[name] = row.line
                if sole:
                    units._append(name, name, sole, row)
        if not table.rows and not table.faults:
            table.fault(None, Text("没有单位", "there is no unit"))
        return units

    def _append(self, unit: str, name: str, category: str, row: Row) -> None:
        self.places[unit] = len(self.places)
        self.names.append(name)
        self.categories.append(category)
        self.parents.append(row["parent"] or None)
        self.previous_grades.append(row["previous_grade"] or None)

    def _add(self, table: Table, row: Row, scheme: Scheme | None) -> None:
        unit = row["unit"]
        if not unit:
            table.fault(row.line, Text("缺少单位编码", "the unit is missing"))
            return
        if unit in self.known:
            first = self.known[unit]
            table.fault(
                row.line,
                Text(
                    f"单位“{quoted(unit)}”重复，见第{first}行",
                    f'the unit "{quoted(unit)}" stands in line {first} already',
                ),
            )
            return
        self.known[unit] = row.line
        if scheme is None:
            return
        try:
            options = [(category.code, category.name) for category in scheme.categories]
            category = options[choose(row["category"], options, Text("考核类别", "category"))][0]
            grade = row["previous_grade"]
            if grade:
                grades = [(each.code, each.name) for each in scheme.settings.grades]
                grade = grades[choose(grade, grades, Text("等次", "grade"))][0]
            if row["decision"]:
                self.decisions[unit] = whole_number(row["decision"], 10**9)
        except Miswritten as error:
            table.fault(row.line, error.text, error.hint)
            return
        self._append(unit, row["name"] or unit, category, Row(row.line, {**row.cells, "previous_grade": grade}))


@dataclass(frozen=True, slots=True)
class _Target:
    """What a row's item is: a data item, the marks of an AWARD leaf, or the awards of one of its groups."""

    kind: Literal["ITEM", "AWARD", "GROUP"]
    key: str
    form: Form
    previous: Form | None = None
    group: str = ""
    step: Fraction | None = None
    states_only: bool = False
    """Whether marks come from groups, so that a row of the leaf itself can only give a state."""


@dataclass(slots=True)
class _Column:
    """One item's values by unit, with their lines."""

    target: _Target
    held: dict[str, Held] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    previous: dict[str, Value] = field(default_factory=dict)


class _Values:
    """The values of all units."""

    def __init__(self, table: Table, scheme: Scheme | None, document: Mapping[str, Any], units: _Units) -> None:
        self.table = table
        self.scheme = scheme
        self.units = units
        self.late: dict[str, int] = {}
        self.targets, self.ambiguous = ({}, frozenset()) if scheme is None else _targets(scheme, document)
        self.columns: dict[str, _Column] = {}
        self._seen: dict[tuple[str, str], int] = {}
        for row in table.rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        unit, item = row["unit"], row["item"]
        sound = True
        if not unit:
            self.table.fault(row.line, Text("缺少单位编码", "the unit is missing"))
            sound = False
        elif unit not in self.units.known:
            self.table.fault(
                row.line, Text(f"单位清单中没有“{quoted(unit)}”", f'"{quoted(unit)}" is not among the units')
            )
            sound = False
        if unit and item:
            first = self._seen.setdefault((unit, item), row.line)
            if first != row.line:
                self.table.fault(
                    row.line,
                    Text(
                        f"“{quoted(unit)}”的“{quoted(item)}”重复，见第{first}行",
                        f'"{quoted(item)}" of "{quoted(unit)}" stands in line {first} already',
                    ),
                )
                sound = False
        target = self._target(row)
        state = STATES.get(row["state"])
        if state is None:
            self.table.fault(
                row.line,
                Text(f"没有状态“{quoted(row['state'])}”", f'there is no state "{quoted(row["state"])}"'),
                one_of(list(STATES)),
            )
            sound = False
        if row["late_days"]:
            try:
                days = whole_number(row["late_days"], MOST_DAYS)
                if state not in (State.MISSING, State.NOT_APPLICABLE):
                    # What is not there costs its score, and no penalty besides.
                    self.late[unit] = max(self.late.get(unit, 0), days)
            except Miswritten as error:
                self.table.fault(row.line, Text(f"逾期天数{error.text.zh}", f"days late: {error.text.en}"), error.hint)
        held = self._held(row, state, target)
        previous = self._previous(row, target)
        if sound and target is not None and held is not None and unit in self.units.places:
            column = self.columns.setdefault(_name(target), _Column(target))
            column.held[unit] = held
            column.lines[unit] = row.line
            if previous is not None:
                column.previous[unit] = previous

    def _target(self, row: Row) -> _Target | None:
        item = row["item"]
        if not item:
            self.table.fault(row.line, Text("缺少数据项编码", "the item is missing"))
            return None
        if self.scheme is None:
            return None
        if item in self.ambiguous:
            self.table.fault(
                row.line,
                Text(
                    f"“{quoted(item)}”既是数据项又是评议赋分指标", f'"{quoted(item)}" is a data item and an AWARD leaf'
                ),
                Text(
                    f"评分写成award:{quoted(item)}，数据项写成item:{quoted(item)}",
                    f"write award:{quoted(item)} or item:{quoted(item)}",
                ),
            )
            return None
        target = self.targets.get(item)
        if target is None and item in self.scheme.by_code:
            self.table.fault(
                row.line,
                Text(f"指标“{quoted(item)}”不是评议赋分指标", f'the indicator "{quoted(item)}" is no AWARD leaf'),
                Text("写数据项的编码", "write the code of a data item"),
            )
        elif target is None:
            self.table.fault(
                row.line,
                Text(
                    f"方案中没有数据项或评议赋分指标“{quoted(item)}”",
                    f'the scheme has no data item and no AWARD leaf "{quoted(item)}"',
                ),
            )
        return target

    def _held(self, row: Row, state: State | None, target: _Target | None) -> Held | None:
        """State and value of a row; None after noting a fault."""
        cell = row["value"]
        if state in (State.MISSING, State.NOT_APPLICABLE):
            if cell:
                self.table.fault(
                    row.line,
                    Text(
                        f"状态为{row['state']}的不能有值“{quoted(cell)}”",
                        f'{row["state"]}, yet with the value "{quoted(cell)}"',
                    ),
                )
                return None
            return state, None
        if state == State.REJECTED:
            return state, None
        if state is None:
            return None
        if target is not None and target.states_only:
            self.table.fault(
                row.line,
                Text(f"“{target.key}”由各评分组评分", f'"{target.key}" is awarded by groups'),
                Text(f"逐组填写，如{target.key}/组名", f"one row per group, such as {target.key}/NAME"),
            )
            return None
        if not cell:
            self.table.fault(row.line, Text("状态为given的须有值", "given, yet without a value"))
            return None
        if target is None:
            return None
        try:
            value = target.form.parse(cell)
        except Miswritten as error:
            self.table.fault(row.line, error.text, error.hint)
            return None
        if target.step is not None:
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, Decimal) and (Fraction(number) / target.step).denominator != 1:
                    self.table.fault(
                        row.line,
                        Text(
                            f"“{quoted(cell)}”应按{show(target.step)}分的步长赋分",
                            f'"{quoted(cell)}": marks go in steps of {show(target.step)}',
                        ),
                    )
                    return None
        return state, value

    def _previous(self, row: Row, target: _Target | None) -> Value | None:
        cell = row["previous"]
        if not cell or target is None:
            return None
        if target.previous is None:
            self.table.fault(row.line, Text("评分没有上期值", "awards have no last value"))
            return None
        try:
            return target.previous.parse(cell)
        except Miswritten as error:
            self.table.fault(row.line, Text(f"上期值：{error.text.zh}", f"previous: {error.text.en}"), error.hint)
            return None

    def snapshot(self, events: list[Event]) -> Snapshot:
        """What the engine computes with; what has no row is missing."""
        assert self.scheme is not None
        units = list(self.units.places)
        found = Snapshot(units, self.units.categories, events=events, decisions=self.units.decisions)
        items, awards, groups, previous = {}, {}, {}, {}
        states: dict[str, States] = {}
        leaf_items = {}
        for column in self.columns.values():
            target = column.target
            held = [column.held.get(unit, NOTHING) for unit in units]
            if target.kind == "ITEM":
                items[target.key] = column_of(target.form.type, held)
                if column.previous:
                    before: list[Held] = [
                        (State.GIVEN, column.previous[unit]) if unit in column.previous else NOTHING for unit in units
                    ]
                    previous[target.key] = column_of(target.form.type, before)
                    carried = [
                        (State.CARRIED, old) if state == State.MISSING and old_state == State.GIVEN else (state, value)
                        for (state, value), (old_state, old) in zip(held, before, strict=True)
                    ]
                    for leaf in self.scheme.leaves:
                        if (
                            target.key in self.scheme.items_of(leaf.code)
                            and self.scheme.missing_policy_of(leaf.code) == "CARRY_OVER"
                        ):
                            leaf_items[leaf.code, target.key] = column_of(target.form.type, carried)
            elif target.kind == "GROUP":
                groups[target.key, target.group] = column_of("SCORES", held)
            elif target.states_only:
                # What is not said here is decided by the groups' awards.
                states[target.key] = np.array(
                    [column.held[unit][0] if unit in column.held else State.GIVEN for unit in units], np.uint8
                )
            else:
                awards[target.key] = column_of("NUMBER", held)
        found.items, found.awards, found.group_awards, found.previous = items, awards, groups, previous
        found.leaf_items, found.leaf_states = leaf_items, states
        if self.late:
            found.late_days = np.array([self.late.get(unit, 0) for unit in units], np.int64)
        if any(self.units.parents):
            found.parents = self.units.parents
        if any(self.units.previous_grades):
            found.previous_grades = self.units.previous_grades
        return found

    def line_of(self, path: tuple[str, ...]) -> int | None:
        """The line that a fault of the snapshot is about."""
        column = self.columns.get(f"{'AWARD' if path[0] == 'awards' else 'ITEM'}:{path[1]}") if len(path) > 2 else None
        return None if column is None else column.lines.get(path[-1])


def _name(target: _Target) -> str:
    return f"{target.kind}:{target.key}" + (f"/{target.group}" if target.kind == "GROUP" else "")


def _targets(scheme: Scheme, document: Mapping[str, Any]) -> tuple[dict[str, _Target], frozenset[str]]:
    """What may stand in the column `item`, and what could mean two things."""
    written = {item["code"]: item.get("scale") for item in document.get("dataItems") or ()}
    items: dict[str, _Target] = {}
    for key, item in scheme.data_items.items():
        form = Form.of(item, places=written.get(key))
        items[key] = _Target("ITEM", key, form, Form.of(item, places=None, bounded=False))
    awards: dict[str, _Target] = {}
    for leaf in scheme.leaves:
        if not isinstance(leaf.rule, AwardRule):
            continue
        awards[leaf.code] = _Target(
            "AWARD", leaf.code, Form("NUMBER"), step=leaf.rule.step, states_only=bool(leaf.rule.groups)
        )
        for group in leaf.rule.groups:
            awards[f"{leaf.code}/{group.name}"] = _Target(
                "GROUP", leaf.code, Form("SCORES"), group=group.name, step=leaf.rule.step
            )
    found = {f"item:{name}": target for name, target in items.items()}
    found |= {f"award:{name}": target for name, target in awards.items()}
    return {**found, **awards, **items}, frozenset(items) & frozenset(awards)


class _Events:
    """Bonus, deduction and veto events."""

    def __init__(self, table: Table, scheme: Scheme | None, units: _Units) -> None:
        self.table = table
        self.found: list[Event] = []
        self.lines: list[int] = []
        named = frozenset() if scheme is None else _named_by_rules(scheme)
        for row in table.rows:
            self._add(row, scheme, units, named)

    def _add(self, row: Row, scheme: Scheme | None, units: _Units, named: frozenset[str]) -> None:
        before = len(self.table.faults)
        unit, code = row["unit"], row["indicator"]
        if unit not in units.known:
            self._note(row, Text(f"没有单位“{quoted(unit)}”", f'there is no unit "{quoted(unit)}"'))
        state = EVENT_STATES.get(row["state"])
        if state is None:
            self._note(
                row,
                Text(f"没有状态“{quoted(row['state'])}”", f'there is no state "{quoted(row["state"])}"'),
                one_of(list(EVENT_STATES)),
            )
        amount: Decimal | None = None
        if row["amount"]:
            try:
                amount = plain_decimal(row["amount"])
            except Miswritten as error:
                self._note(row, error.text, error.hint)
            if amount is not None and amount < 0:
                self._note(row, Text("分值不能小于0", "the amount must not be below 0"))
        if scheme is not None:
            self._fitting(row, scheme, units, named)
            self._amount_allowed(row, scheme, amount)
        if len(self.table.faults) == before and state is not None and unit in units.places:
            self.found.append(
                Event(
                    key=f"{self.table.name}:{row.line}",
                    unit=unit,
                    indicator=code,
                    matter=row["matter"],
                    level=row["level"] or None,
                    amount=amount,
                    effect=row["effect"] or None,
                    state=state,
                )
            )
            self.lines.append(row.line)

    def _fitting(self, row: Row, scheme: Scheme, units: _Units, named: frozenset[str]) -> None:
        """Whether the indicator takes such an event; levels and effects are checked by the engine."""
        code = row["indicator"]
        node = scheme.by_code.get(code)
        if node is None:
            self._note(row, Text(f"没有指标“{quoted(code)}”", f'there is no indicator "{quoted(code)}"'))
            return
        pot, veto = isinstance(node.rule, PotRule), isinstance(node.rule, VetoRule)
        if not (pot or veto or code in named):
            self._note(row, Text(f"“{node.name}”不按事项计分", f"{node.name} is not scored by events"))
            return
        place = units.places.get(row["unit"])
        if place is not None and not scheme.applies(code, units.categories[place]):
            self._note(
                row, Text(f"“{node.name}”不适用于该单位的考核类别", f"{node.name} is not for the category of this unit")
            )
        if row["effect"] and not veto:
            self._note(row, Text("只有一票否决事项有否决效果", "only vetoes have an effect"), one_of(list(EFFECTS)))
        if row["amount"] and not pot:
            self._note(row, Text("只有加分和减分事项有分值", "only bonus and deduction have an amount"))
        if row["level"] and not (pot or veto):
            self._note(row, Text("该指标的事项没有级别", "events of this indicator have no level"))

    def _amount_allowed(self, row: Row, scheme: Scheme, amount: Decimal | None) -> None:
        """An amount of its own only where the level lets it vary, as the API has it."""
        node = scheme.by_code.get(row["indicator"])
        if amount is None or amount < 0 or node is None or not isinstance(node.rule, PotRule):
            return
        level = node.rule.level(row["level"])
        if level is None:
            return
        given, least, most = show(Fraction(amount)), show(level.points), level.max_points
        if most is None and amount != level.points:
            self._note(
                row,
                Text(
                    f"级别“{level.code}”的事项固定为{least}分，不能为{given}",
                    f"an event of level {level.code} is always worth {least}, not {given}",
                ),
            )
        elif most is not None and not level.points <= amount <= most:
            self._note(
                row,
                Text(
                    f"级别“{level.code}”的事项应为{least}至{show(most)}分，不能为{given}",
                    f"an event of level {level.code} is worth {least} to {show(most)}, not {given}",
                ),
            )

    def _note(self, row: Row, text: Text, hint: Text | None = None) -> None:
        self.table.fault(row.line, text, hint)


def _named_by_rules(scheme: Scheme) -> frozenset[str]:
    """Codes whose events are counted by lines of deduction rules or by conditions of grades."""
    found: set[str] = set()
    for leaf in scheme.leaves:
        if isinstance(leaf.rule, DeductRule):
            for line in leaf.rule.lines:
                if not line.quantities:
                    found.add(line.event_indicator_code or leaf.code)
    for grade in scheme.settings.grades:
        found |= {each.indicator for each in grade.conditions if each.kind == "NO_EVENT" and each.indicator is not None}
    return frozenset(found)
