"""What events add, take and veto (加分、减分与否决): pots with matters, levels and caps, in one order for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from service.scoring.document import Scheme
from service.scoring.numbers import show
from service.scoring.rules.events import BonusRule, DeductionRule, PotRule
from service.scoring.rules.veto import OUT_OF_RANKING, VetoRule
from service.scoring.snapshot import Event, Snapshot
from service.scoring.text import Text


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """A confirmed event of a pot: what it is worth by itself, what of it counts, and why it counts less."""

    event: Event
    amount: Fraction
    counted: Fraction
    reason: Text | None = None


@dataclass(frozen=True, slots=True)
class UnitEvents:
    """What a unit's confirmed events come to, in the scheme's full marks."""

    bonus: Fraction = Fraction(0)
    deduction: Fraction = Fraction(0)
    bonus_events: tuple[CountedEvent, ...] = ()
    deduction_events: tuple[CountedEvent, ...] = ()
    vetoes: tuple[tuple[Event, str], ...] = ()
    """Confirmed vetoes, each with its effect."""

    @property
    def effects(self) -> frozenset[str]:
        """Effects of its vetoes."""
        return frozenset(effect for _, effect in self.vetoes)

    @property
    def out_of_ranking(self) -> bool:
        """Whether a veto takes it out of the ranking."""
        return bool(self.effects & OUT_OF_RANKING)


NOTHING = UnitEvents()


def unit_events(scheme: Scheme, snapshot: Snapshot) -> Mapping[int, UnitEvents]:
    """Place of each unit that has confirmed events of bonus, deduction or veto → what they come to."""
    if not snapshot.events:
        return {}
    places = {unit: place for place, unit in enumerate(snapshot.units)}
    by_unit: dict[int, list[Event]] = {}
    for event in snapshot.events:
        rule = scheme.by_code[event.indicator].rule
        place = places[event.unit]
        if event.state != "CONFIRMED" or not isinstance(rule, PotRule | VetoRule):
            continue
        if scheme.applies(event.indicator, snapshot.categories[place]):
            by_unit.setdefault(place, []).append(event)
    order = {node.code: place for place, node in enumerate(scheme.indicators)}
    return {place: _one(scheme, events, order) for place, events in by_unit.items()}


def most_bonus(scheme: Scheme) -> Fraction | None:
    """The most that bonus can add: its cap, else the sum of the pots' caps; None: no limit, 0: no bonus leaves."""
    if scheme.settings.bonus_cap is not None:
        return scheme.settings.bonus_cap
    pots = {leaf.rule.pot: leaf.rule.pot_cap for leaf in scheme.leaves if isinstance(leaf.rule, BonusRule)}
    total = Fraction(0)
    for cap in pots.values():
        if cap is None:
            return None
        total += cap
    return total


def _one(scheme: Scheme, events: Sequence[Event], order: Mapping[str, int]) -> UnitEvents:
    bonus = _counted(scheme, events, order, BonusRule, scheme.settings.bonus_cap)
    deduction = _counted(scheme, events, order, DeductionRule, scheme.settings.deduction_cap)
    vetoes = []
    for event in sorted(events, key=lambda event: event.key):
        rule = scheme.by_code[event.indicator].rule
        if isinstance(rule, VetoRule):
            vetoes.append((event, event.effect or rule.effect))
    return UnitEvents(
        sum((each.counted for each in bonus), Fraction(0)),
        sum((each.counted for each in deduction), Fraction(0)),
        tuple(bonus),
        tuple(deduction),
        tuple(vetoes),
    )


@dataclass(slots=True)
class _Draft:
    """An event on its way through the caps."""

    event: Event
    rule: PotRule
    amount: Fraction
    counted: Fraction
    reason: Text | None = None

    def limit(self, left: Fraction, reason: Text) -> Fraction:
        """Count at most what is left; gives what is left after it."""
        if self.counted > left:
            self.counted, self.reason = left, reason
        return left - self.counted


def _counted(
    scheme: Scheme,
    events: Sequence[Event],
    order: Mapping[str, int],
    kind: type[PotRule],
    total_cap: Fraction | None,
) -> list[CountedEvent]:
    drafts: list[_Draft] = []
    for event in events:
        rule = scheme.by_code[event.indicator].rule
        if isinstance(rule, kind):
            amount = amount_of(rule, event)
            drafts.append(_Draft(event, rule, amount, amount))
    drafts.sort(key=lambda draft: (order[draft.event.indicator], -draft.amount, draft.event.key))
    _one_per_matter(drafts)
    _cap_levels(drafts)
    pots: dict[str, list[_Draft]] = {}
    for draft in drafts:
        pots.setdefault(draft.rule.pot, []).append(draft)
    for pot, own in pots.items():
        cap = own[0].rule.pot_cap
        if cap is not None:
            _cap(own, cap, Text(f"“{pot}”合计以{show(cap)}分为限", f"pot {pot} is capped at {show(cap)}"))
    if total_cap is not None:
        _cap(drafts, total_cap, Text(f"合计以{show(total_cap)}分为限", f"capped at {show(total_cap)} together"))
    return [CountedEvent(draft.event, draft.amount, draft.counted, draft.reason) for draft in drafts]


def amount_of(rule: PotRule, event: Event) -> Fraction:
    """What an event is worth by itself: its amount up to the level's most, or the level's points."""
    level = rule.level(event.level)
    if event.amount is None:
        return level.points if level is not None else Fraction(0)
    amount = Fraction(event.amount)
    return min(amount, level.max_points) if level is not None and level.max_points is not None else amount


def _one_per_matter(drafts: Sequence[_Draft]) -> None:
    """Of one matter in a pot only the greatest counts; the first in order among equals."""
    best: dict[tuple[str, str], _Draft] = {}
    for draft in drafts:
        if draft.rule.one_per_matter and draft.event.matter:
            key = (draft.rule.pot, draft.event.matter)
            if key not in best or draft.amount > best[key].amount:
                best[key] = draft
    for draft in drafts:
        if draft.rule.one_per_matter and draft.event.matter:
            kept = best[draft.rule.pot, draft.event.matter]
            if kept is not draft:
                draft.counted = Fraction(0)
                draft.reason = Text(
                    f"与{kept.event.key}属同一事项，只计最高一次",
                    f"the same matter as {kept.event.key}: only the highest counts",
                )


def _cap_levels(drafts: Sequence[_Draft]) -> None:
    groups: dict[tuple[str, str], list[_Draft]] = {}
    for draft in drafts:
        if draft.event.level is not None:
            groups.setdefault((draft.event.indicator, draft.event.level), []).append(draft)
    for own in groups.values():
        level = own[0].rule.level(own[0].event.level)
        if level is not None and level.cap is not None:
            words = Text(
                f"{level.name}合计以{show(level.cap)}分为限", f"level {level.name} is capped at {show(level.cap)}"
            )
            _cap(own, level.cap, words)


def _cap(drafts: Sequence[_Draft], cap: Fraction, reason: Text) -> None:
    left = cap
    for draft in drafts:
        left = draft.limit(left, reason)
