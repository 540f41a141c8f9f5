"""A past snapshot under other rules (试算): another scheme, other weights, other values; nothing real is touched.

`tried_scheme` and `tried` are for callers. `reweighted` and `keeping_awards` change a scheme document, `transplanted`
shows a snapshot to a scheme that it was not taken for, `revalued` puts other values into it, `changes` compares.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from service.scoring.checks import parse_scheme
from service.scoring.document import Scheme
from service.scoring.engine import Progress, compute
from service.scoring.faults import Fault, InvalidInput
from service.scoring.items import DataItem
from service.scoring.numbers import format_decimal, scaled
from service.scoring.result import Result
from service.scoring.rules.award import AwardRule
from service.scoring.rules.deduct import DeductRule
from service.scoring.rules.events import PotRule
from service.scoring.rules.veto import VetoRule
from service.scoring.snapshot import Event, ItemColumn, Snapshot, State, whole_numbers
from service.scoring.text import Text

Held = Decimal | Mapping[str, int] | Sequence[Decimal]
"""NUMBER, INTEGER; YES_NO as 1 or 0; CHOICE as the place of the option; COUNTS by name; SCORES."""


@dataclass(frozen=True, slots=True)
class OtherValue:
    """What a unit is tried with instead of its settled value."""

    unit: str
    data_item: str
    value: Held


def tried_scheme(before: Scheme, document: Mapping[str, Any], weights: Mapping[str, Fraction]) -> Scheme:
    """The scheme that a trial computes with: another document, or the same, with other weights.

    Raises InvalidInput where it is not sound, or not with these weights; their paths begin with "weights".
    """
    found = keeping_awards(before, document)
    scheme, faults = parse_scheme(found)
    if scheme is None:
        raise InvalidInput([fault for fault in faults if fault.severity == "FAULT"])
    if not weights:
        return scheme
    scheme, faults = parse_scheme(reweighted(scheme, found, weights))
    if scheme is None:
        unsound = [fault for fault in faults if fault.severity == "FAULT"]
        raise InvalidInput([replace(fault, path=("weights", *fault.path)) for fault in unsound])
    return scheme


def tried(
    before: Scheme,
    snapshot: Snapshot,
    scheme: Scheme,
    values: Sequence[OtherValue] = (),
    *,
    progress: Progress | None = None,
) -> Result:
    """What the scheme of a trial and other values would make of a snapshot. Raises InvalidInput."""
    return compute(scheme, revalued(transplanted(snapshot, before, scheme), scheme, values), progress=progress)


def reweighted(scheme: Scheme, document: Mapping[str, Any], weights: Mapping[str, Fraction]) -> dict[str, Any]:
    """The document of a scheme with other weights, or points under POINTS.

    Leaves keep their scores: where a leaf's marks were its printed points, they stay what they were as its `full`.
    Raises InvalidInput for codes that have no weight; whether the new points add up is for `parse_scheme` to say.
    """
    faults = []
    for code in weights:
        node = scheme.by_code.get(code)
        path = ("weights", code)
        if node is None:
            faults.append(Fault("INVALID", path, Text(f"没有指标“{code}”", f'there is no indicator "{code}"')))
        elif code in scheme.outside or node.parent_code is None:
            text = Text(f"“{node.name}”没有权重", f"{node.name} has no weight")
            faults.append(Fault("INVALID", path, text, indicator=code))
    if faults:
        raise InvalidInput(faults)
    found: dict[str, Any] = deepcopy(dict(document))
    points = scheme.weighting == "POINTS"
    for row in found["indicators"]:
        weight = weights.get(row["code"])
        if weight is None:
            continue
        row["points" if points else "weight"] = format_decimal(weight)
        rule = scheme.by_code[row["code"]].rule
        if rule is not None and rule.full is None and points:
            full = {scheme.points_of(row["code"], key) for key in scheme.category_keys}
            if len(full) == 1 and (marks := full.pop()) > 0:
                row["rule"] = {**row["rule"], "full": format_decimal(marks)}
    return found


def keeping_awards(before: Scheme, document: Mapping[str, Any]) -> dict[str, Any]:
    """Another scheme's document in which marks once awarded are out of the full marks that they were awarded out of."""
    found: dict[str, Any] = deepcopy(dict(document))
    for row in found["indicators"]:
        old = _rule(before, row["code"])
        rule = row.get("rule")
        if not isinstance(old, AwardRule) or not isinstance(rule, dict) or rule.get("kind") != AwardRule.kind:
            continue
        full = {before.full_marks_of(row["code"], key) for key in before.category_keys}
        if len(full) == 1 and (marks := full.pop()) > 0:
            row["rule"] = {**rule, "full": format_decimal(marks), "step": format_decimal(old.step)}
    return found


def transplanted(snapshot: Snapshot, before: Scheme, after: Scheme) -> Snapshot:
    """The snapshot of one scheme as another one sees it.

    A leaf of the same code keeps what was settled for it; any other takes an item's values as the first leaf that used
    it settled them. What nobody was asked for is missing. Events, awards and verdicts go with the code of their leaf.
    """
    items = dict(snapshot.items)
    for (_, key), column in snapshot.leaf_items.items():
        items.setdefault(key, column)

    def fitted(key: str, column: ItemColumn) -> ItemColumn:
        return _fitted(column, before.data_items[key], after.data_items[key])

    return replace(
        snapshot,
        items={key: fitted(key, column) for key, column in items.items() if key in after.data_items},
        leaf_items={
            (code, key): fitted(key, column)
            for (code, key), column in snapshot.leaf_items.items()
            if code in after.by_code and key in after.items_of(code)
        },
        leaf_states={
            code: column for code, column in snapshot.leaf_states.items() if _same_inputs(before, after, code)
        },
        awards={code: column for code, column in snapshot.awards.items() if _awarded(after, code)},
        group_awards={
            (code, name): column
            for (code, name), column in snapshot.group_awards.items()
            if isinstance(rule := _rule(after, code), AwardRule) and name in {group.name for group in rule.groups}
        },
        previous={key: fitted(key, column) for key, column in snapshot.previous.items() if key in after.data_items},
        events=[event for event in snapshot.events if _takes(after, event)],
    )


def _rule(scheme: Scheme, code: str) -> Any:
    node = scheme.by_code.get(code)
    return None if node is None else node.rule


def _awarded(scheme: Scheme, code: str) -> bool:
    rule = _rule(scheme, code)
    return isinstance(rule, AwardRule) and not rule.groups


def _same_inputs(before: Scheme, after: Scheme, code: str) -> bool:
    """Whether a verdict on a leaf is one on the leaf of that code in the other scheme."""
    if code not in before.by_code or code not in after.by_code:
        return False
    awards = [isinstance(_rule(scheme, code), AwardRule) for scheme in (before, after)]
    return awards[0] == awards[1] and set(before.items_of(code)) == set(after.items_of(code))


def _takes(scheme: Scheme, event: Event) -> bool:
    """Whether the scheme has a place for an event; one of an unknown level is worth what it says, if it says it."""
    rule = _rule(scheme, event.indicator)
    if isinstance(rule, PotRule):
        return event.level is None or rule.level(event.level) is not None
    if isinstance(rule, VetoRule):
        return event.level is None or event.level in {ground.code for ground in rule.grounds}
    return rule is not None or any(
        line.event_indicator_code == event.indicator
        for leaf in scheme.leaves
        if isinstance(leaf.rule, DeductRule)
        for line in leaf.rule.lines
    )


def _fitted(column: ItemColumn, before: DataItem, after: DataItem) -> ItemColumn:
    """A column whose choices are numbered as the other scheme lists them; a type that changed leaves nothing."""
    numeric = {"NUMBER", "INTEGER"}
    if before.type != after.type and not {before.type, after.type} <= numeric:
        return ItemColumn.absent(len(column.state))
    if after.type != "CHOICE" or before.options == after.options:
        return column
    places = {option.code: place for place, option in enumerate(after.options)}
    moved = [places.get(option.code, -1) for option in before.options]
    numbers = np.array([moved[int(n)] if 0 <= n < len(moved) else -1 for n in column.numbers], np.int64)
    gone = (numbers < 0) & (column.state <= State.CARRIED)
    state = np.where(gone, np.uint8(State.MISSING), column.state).astype(np.uint8)
    return ItemColumn(state, np.maximum(numbers, 0))


def revalued(snapshot: Snapshot, scheme: Scheme, values: Sequence[OtherValue]) -> Snapshot:
    """The snapshot with other values, in every leaf that uses them; what a verdict or a gap stood for is given now.

    Raises InvalidInput for units that it does not have; items are those of the scheme.
    """
    places = {unit: place for place, unit in enumerate(snapshot.units)}
    faults = [
        Fault("INVALID", ("values", str(n), "unit"), Text(f"没有单位“{v.unit}”", f'there is no unit "{v.unit}"'))
        for n, v in enumerate(values)
        if v.unit not in places
    ]
    if faults:
        raise InvalidInput(faults)
    by_item: dict[str, dict[int, Held]] = {}
    for each in values:
        by_item.setdefault(each.data_item, {})[places[each.unit]] = each.value
    items, leaf_items = dict(snapshot.items), dict(snapshot.leaf_items)
    states = {code: column.copy() for code, column in snapshot.leaf_states.items()}
    for key, held in by_item.items():
        item = scheme.data_items[key]
        count = len(snapshot.units)
        items[key] = _with(items.get(key) or ItemColumn.absent(count), item, held)
        for pair, column in leaf_items.items():
            if pair[1] == key:
                leaf_items[pair] = _with(column, item, held)
        for leaf in scheme.leaves:
            if key in scheme.items_of(leaf.code) and leaf.code in states:
                states[leaf.code][list(held)] = State.GIVEN
    return replace(snapshot, items=items, leaf_items=leaf_items, leaf_states=states)


def _with(column: ItemColumn, item: DataItem, held: Mapping[int, Held]) -> ItemColumn:
    """A column in which some units are given other values."""
    state = column.state.copy()
    state[list(held)] = State.GIVEN
    if item.type == "COUNTS":
        counts: list[Mapping[str, int]] = [
            {name: int(part[place]) for name, part in (column.parts or {}).items()} for place in range(len(state))
        ]
        for place, value in held.items():
            assert isinstance(value, Mapping)
            counts[place] = value
        return ItemColumn.of_counts(counts, states=[State(each) for each in state.tolist()])
    if item.type == "SCORES":
        offsets = column.offsets if column.offsets is not None else np.zeros(len(state) + 1, np.int64)
        unit = Decimal(1).scaleb(-column.scale)
        lists: list[Sequence[Decimal]] = [
            [int(n) * unit for n in column.numbers[offsets[place] : offsets[place + 1]]] for place in range(len(state))
        ]
        for place, value in held.items():
            assert not isinstance(value, Mapping | Decimal)
            lists[place] = value
        scale = max(column.scale, *(_places(score) for value in lists for score in value), 0)
        return ItemColumn.of_scores(lists, scale=scale, states=[State(each) for each in state.tolist()])
    plain = {place: value for place, value in held.items() if isinstance(value, Decimal)}
    scale = max(column.scale, *(_places(value) for value in plain.values()))
    numbers = [int(number) * 10 ** (scale - column.scale) for number in column.numbers]
    for place, value in plain.items():
        numbers[place] = scaled(value, scale)
    return ItemColumn(state, whole_numbers(numbers), scale)


def _places(value: Decimal) -> int:
    return len(f"{value:f}".partition(".")[2])
