"""Whether a snapshot fits a scheme (快照检查): what can't be computed with is refused, all faults at once."""

from fractions import Fraction

import numpy as np

from service.scoring.document import Scheme
from service.scoring.faults import FAULT_LIMIT, Fault, InvalidInput
from service.scoring.numbers import show
from service.scoring.rules.events import PotRule
from service.scoring.rules.veto import EFFECTS, VetoRule
from service.scoring.snapshot import ItemColumn, Snapshot, State
from service.scoring.text import Text


def check_snapshot(scheme: Scheme, snapshot: Snapshot) -> None:
    """Raises InvalidInput with every fault."""
    faults: list[Fault] = []
    count = len(snapshot.units)
    if len(set(snapshot.units)) != count:
        faults.append(Fault("DUPLICATE", ("units",), Text("单位重复", "a unit is listed twice")))
    if len(snapshot.categories) != count:
        faults.append(Fault("INVALID", ("categories",), Text("类别数与单位数不一致", "not one category per unit")))
    known = set(scheme.category_keys)
    for key in dict.fromkeys(snapshot.categories):
        if key not in known:
            text = Text(f"方案中没有考核类别“{key}”", f'the scheme has no category "{key}"')
            faults.append(Fault("INVALID", ("categories",), text, category=key))
    columns: list[tuple[tuple[str, ...], ItemColumn]] = [
        (("items", key), column) for key, column in snapshot.items.items()
    ]
    columns += [(("awards", code), column) for code, column in snapshot.awards.items()]
    columns += [(("leafItems", *pair), column) for pair, column in snapshot.leaf_items.items()]
    columns += [(("previous", key), column) for key, column in snapshot.previous.items()]
    columns += [(("groupAwards", *pair), column) for pair, column in snapshot.group_awards.items()]
    for path, column in columns:
        fault = _column_fault(column, count)
        if fault is not None:
            faults.append(Fault("INVALID", path, fault))
    for code, states in snapshot.leaf_states.items():
        if len(states) != count or (count and int(np.max(states)) > State.NOT_APPLICABLE):
            faults.append(Fault("INVALID", ("leafStates", code), Text("状态列不合要求", "not one state per unit")))
    days = snapshot.late_days
    if days is not None and (len(days) != count or (count and int(np.min(days)) < 0)):
        faults.append(
            Fault(
                "INVALID",
                ("lateDays",),
                Text("逾期天数应逐单位给出且不小于0", "one number of days per unit, at least 0"),
            )
        )
    units = set(snapshot.units)
    for place, event in enumerate(snapshot.events):
        if event.unit not in units:
            text = Text(f"没有单位“{event.unit}”", f'there is no unit "{event.unit}"')
            faults.append(Fault("INVALID", ("events", str(place), "unit"), text))
        if event.indicator not in scheme.by_code:
            text = Text(f"没有指标“{event.indicator}”", f'there is no indicator "{event.indicator}"')
            faults.append(Fault("INVALID", ("events", str(place), "indicator"), text))
    if not faults:
        faults = _award_faults(scheme, snapshot) + _event_faults(scheme, snapshot) + _count_faults(scheme, snapshot)
    if faults:
        raise InvalidInput(faults[:FAULT_LIMIT])


def _column_fault(column: ItemColumn, count: int) -> Text | None:
    if len(column.state) != count:
        return Text(f"有{len(column.state)}个值，应有{count}个", f"{len(column.state)} values for {count} units")
    if count and int(np.max(column.state)) > State.NOT_APPLICABLE:
        return Text("数据状态不合要求", "not a state")
    if column.offsets is None and len(column.numbers) != count:
        return Text("数值与状态的个数不一致", "not as many numbers as states")
    if column.offsets is not None and (
        len(column.offsets) != count + 1 or int(column.offsets[-1]) != len(column.numbers)
    ):
        return Text("分数列的分段不合要求", "the offsets of the scores do not fit")
    return None


def _award_faults(scheme: Scheme, snapshot: Snapshot) -> list[Fault]:
    """Awards above full marks or below 0: a score must never leave its range because of one."""
    faults: list[Fault] = []
    categories = np.array(snapshot.categories, dtype=object)
    for code, column in snapshot.awards.items():
        node = scheme.by_code.get(code)
        if node is None or node.rule is None or node.rule.kind != "AWARD":
            text = Text(f"“{code}”不是评议赋分指标", f'"{code}" is no leaf of awarded marks')
            faults.append(Fault("INVALID", ("awards", code), text, indicator=code))
            continue
        for key in scheme.category_keys:
            marks = scheme.full_marks_of(code, key)
            usable = (column.state <= State.CARRIED) & (categories == key)
            if marks == 0 or not scheme.applies(code, key) or not usable.any():
                continue
            wrong = usable & ((column.numbers < 0) | (column.numbers > int(marks * 10**column.scale)))
            for place in np.flatnonzero(wrong).tolist():
                value = Fraction(int(column.numbers[place]), 10**column.scale)
                text = Text(
                    f"评分{show(value)}分不在0至{show(marks)}分之间",
                    f"an award of {show(value)} is not between 0 and {show(marks)}",
                )
                faults.append(Fault("INVALID", ("awards", code, str(snapshot.units[place])), text, indicator=code))
    return faults


def _event_faults(scheme: Scheme, snapshot: Snapshot) -> list[Fault]:
    """Events whose level, ground, amount or effect the rule does not know."""
    faults: list[Fault] = []

    def note(place: int, name: str, text: Text) -> None:
        faults.append(Fault("INVALID", ("events", str(place), name), text, indicator=snapshot.events[place].indicator))

    for place, event in enumerate(snapshot.events):
        rule = scheme.by_code[event.indicator].rule
        if event.amount is not None and (not event.amount.is_finite() or event.amount < 0):
            note(place, "amount", Text("分值应为不小于0的数", "the amount must be a number of at least 0"))
        if isinstance(rule, PotRule):
            if event.level is not None and rule.level(event.level) is None:
                note(place, "level", Text(f"没有级别“{event.level}”", f'there is no level "{event.level}"'))
            elif event.level is None and event.amount is None:
                note(place, "level", Text("级别与分值至少要有一个", "a level or an amount is needed"))
        elif isinstance(rule, VetoRule):
            if event.level is not None and event.level not in {ground.code for ground in rule.grounds}:
                note(place, "level", Text(f"没有否决情形“{event.level}”", f'there is no ground "{event.level}"'))
            if event.effect is not None and event.effect not in EFFECTS:
                note(place, "effect", Text(f"没有否决效果“{event.effect}”", f'there is no effect "{event.effect}"'))
    return faults


def _count_faults(scheme: Scheme, snapshot: Snapshot) -> list[Fault]:
    """Named counts below 0, and choices that are none of the options."""
    faults: list[Fault] = []
    columns: list[tuple[tuple[str, ...], str, ItemColumn]] = [
        ((key,), key, column) for key, column in snapshot.items.items()
    ]
    columns += [(pair, pair[1], column) for pair, column in snapshot.leaf_items.items()]
    for path, key, column in columns:
        item = scheme.data_items.get(key)
        if item is None or not len(column.state):
            continue
        usable = column.state <= State.CARRIED
        if item.type == "COUNTS":
            for name, part in (column.parts or {}).items():
                for place in np.flatnonzero(usable & (part < 0)).tolist():
                    text = Text(f"计数“{name}”小于0", f'the count "{name}" is below 0')
                    faults.append(Fault("INVALID", ("items", *path, str(snapshot.units[place])), text))
        elif item.type == "CHOICE":
            beyond = (column.numbers < 0) | (column.numbers >= len(item.options))
            for place in np.flatnonzero(usable & beyond).tolist():
                text = Text("不是可选项", "not among the options")
                faults.append(Fault("INVALID", ("items", *path, str(snapshot.units[place])), text))
    return faults
