"""Grades (等次): thresholds, places, conditions, ties at the edge, and what vetoes do to them.

Best grade first. Candidates are the ranked units that meet threshold and conditions and have no grade yet; places pass
over all others. Where places run out inside a group of equals the tie policy decides; from there on nobody lower gets
one. Who has no place goes on to the next grade; where there is only one grade, it is the excellent one and no lowest.
A computed grade is a proposal (测算等次).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.scoring.settings import Grade
from service.scoring.whole import Mask


@dataclass(frozen=True, slots=True)
class Quota:
    """Places of one grade in one group (名额): from how many units, how many there are, how many are taken."""

    grade: str
    group: str
    base: int
    places: int
    used: int


@dataclass(frozen=True, slots=True)
class PendingTie:
    """Equals at the edge of a quota whom a person must order, with a reason: their places, and places left."""

    grade: str
    group: str
    units: tuple[int, ...]
    left: int


@dataclass(frozen=True)
class Field:
    """What grades look at, all by place of unit."""

    keys: NDArray[np.int64]
    """Order of the ranked units, equal exactly where they are tied."""
    ranked: Mask
    base: Mask
    """Units that count in the base: ranked, and those that a veto took out of the ranking."""
    meets: Sequence[Mask]
    """Per grade: threshold and conditions hold."""
    groups: Mapping[str, tuple[Sequence[str], NDArray[np.int64]]]
    """Per scope: names of the groups, and each unit's place among them."""
    effects: Mapping[int, frozenset[str]]
    """Effects of vetoes."""
    lowest: Mask
    """Units to which a veto gives the lowest grade."""
    decided: Mapping[int, int]
    """Order of equals that a person settled; smaller is better."""


@dataclass
class Grades:
    """Place of each unit's grade in the scheme's list, -1 for none."""

    grade: NDArray[np.int64]
    quotas: list[Quota] = field(default_factory=list)
    pending: list[PendingTie] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    """Units that a veto took one grade down."""


def places_of(grade: Grade, base: int) -> int:
    """Places of a grade for so many units, exactly."""
    if grade.places_by_count:
        found = 0
        for units, places in grade.places_by_count:
            if base >= units:
                found = places
        return max(found, grade.minimum_places)
    share = (grade.share or Fraction(0)) * base
    if grade.rounding == "HALF_UP":
        whole = (2 * share.numerator + share.denominator) // (2 * share.denominator)
    elif grade.rounding == "CEIL":
        whole = -(-share.numerator // share.denominator)
    else:
        whole = share.numerator // share.denominator
    return max(whole, grade.minimum_places)


def grade_units(grades: Sequence[Grade], tie_policy: str, units: Field) -> Grades:
    """Grades of all units."""
    count = len(units.keys)
    found = Grades(np.full(count, -1, np.int64))
    if not grades:
        return found
    last = len(grades) - 1
    barred = np.zeros(count, bool)
    barred[[unit for unit, effects in units.effects.items() if "NO_EXCELLENT" in effects]] = True
    for place, grade in enumerate(grades):
        able = units.ranked & units.meets[place] & (found.grade < 0)
        if place == 0:
            able &= ~barred
        names, own = units.groups[grade.scope]
        if not grade.limited:
            _give_all(found, units, able, place, last)
            continue
        counted = units.base if grade.base_includes_vetoed else units.ranked
        bases = np.bincount(own[counted], minlength=len(names)).tolist()
        candidates = np.flatnonzero(able)
        candidates = candidates[np.lexsort((-units.keys[candidates], own[candidates]))]
        bounds = np.searchsorted(own[candidates], np.arange(len(names) + 1))
        for group, name in enumerate(names):
            quota = Quota(grade.code, name, bases[group], places_of(grade, bases[group]), 0)
            listed = candidates[bounds[group] : bounds[group + 1]]
            _fill(found, grade, place, last, tie_policy, units, quota, listed)
    if last > 0:
        found.grade[units.lowest] = last
    return found


def _give_all(found: Grades, units: Field, able: Mask, place: int, last: int) -> None:
    """A grade without a quota: everybody who is able has it, but for those whom a veto takes one down."""
    for unit in units.effects:
        if able[unit] and _drops(found, units, unit, place, last):
            found.dropped.add(unit)
            able[unit] = False
    found.grade[able] = place


def _fill(
    found: Grades,
    grade: Grade,
    place: int,
    last: int,
    tie_policy: str,
    units: Field,
    quota: Quota,
    candidates: NDArray[np.intp],
) -> None:
    """Give one grade's places to one group's candidates, best first."""
    left = quota.places
    used = 0
    for tie in _ties(candidates, units):
        if left <= 0:
            break
        takers = [unit for unit in tie if not _drops(found, units, unit, place, last)]
        if len(takers) > left and tie_policy != "INCLUSIVE":
            if tie_policy not in ("DECISION", "TIE_BREAK"):
                break
            if not _ordered(takers, units.decided, left):
                found.pending.append(PendingTie(grade.code, quota.group, tuple(takers), left))
                break
            found.dropped.update(unit for unit in tie if unit not in takers)
            takers = sorted(takers, key=lambda unit: units.decided[unit])[:left]
            tie = takers
        found.grade[takers] = place
        found.dropped.update(unit for unit in tie if unit not in takers)
        left -= len(takers)
        used += len(takers)
    found.quotas.append(replace(quota, used=used))


def _ordered(takers: Sequence[int], decided: Mapping[int, int], left: int) -> bool:
    """Whether a person said of all of them who gets the places left: two equals at their end are not in order."""
    if not all(unit in decided for unit in takers):
        return False
    order = sorted(decided[unit] for unit in takers)
    return order[left - 1] < order[left]


def _drops(found: Grades, units: Field, unit: int, place: int, last: int) -> bool:
    """Whether the unit would get this grade but for a veto that takes it one down."""
    return place < last and unit not in found.dropped and "ONE_GRADE_DOWN" in units.effects.get(unit, frozenset())


def _ties(candidates: NDArray[np.intp], units: Field) -> Iterator[list[int]]:
    """Groups of equals, best first."""
    keys = units.keys[candidates].tolist()
    tie: list[int] = []
    for number, unit in enumerate(candidates.tolist()):
        if tie and keys[number] != keys[number - 1]:
            yield tie
            tie = []
        tie.append(unit)
    if tie:
        yield tie
