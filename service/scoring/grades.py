"""Grades (等次): thresholds, places, conditions, ties at the edge, and what vetoes do to them.

Best grade first. Candidates are the ranked units that meet threshold and conditions and have no grade yet; places pass
over all others. Where places run out inside a group of equals the tie policy decides; from there on nobody lower gets
one. Who has no place goes on to the next grade. A computed grade is a proposal (测算等次).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.scoring.settings import Grade
from service.scoring.whole import Mask


@dataclass(frozen=True, slots=True)
class Quota:
    """Places of one grade in one group (名额): how many units they are reckoned from, how many there are and are taken."""

    grade: str
    group: str
    base: int
    places: int
    used: int


@dataclass(frozen=True, slots=True)
class PendingTie:
    """Equals at the edge of a quota that a person must order (DECISION), with a reason: places of units, places left."""

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
    for place, grade in enumerate(grades):
        candidates = [
            int(unit)
            for unit in np.flatnonzero(units.ranked & units.meets[place] & (found.grade < 0))
            if not (place == 0 and "NO_EXCELLENT" in units.effects.get(int(unit), frozenset()) and last > 0)
        ]
        names, own = units.groups[grade.scope]
        by_group: dict[int, list[int]] = {}
        for unit in candidates:
            by_group.setdefault(int(own[unit]), []).append(unit)
        counted = units.base if grade.base_includes_vetoed else units.ranked
        bases = np.bincount(own[counted], minlength=len(names)).tolist()
        for group in range(len(names)) if grade.limited else sorted(by_group):
            quota = Quota(grade.code, names[group], bases[group], places_of(grade, bases[group]), 0)
            _fill(found, grade, place, last, tie_policy, units, quota, by_group.get(group, []))
    found.grade[units.lowest] = last
    return found


def _fill(
    found: Grades,
    grade: Grade,
    place: int,
    last: int,
    tie_policy: str,
    units: Field,
    quota: Quota,
    candidates: list[int],
) -> None:
    """Give one grade's places to one group's candidates, best first."""
    left = quota.places if grade.limited else None
    candidates.sort(key=lambda unit: (-int(units.keys[unit]), units.decided.get(unit, 0)))
    for tie in _ties(candidates, units, tie_policy):
        takers = [unit for unit in tie if not _drops(found, units, unit, place, last)]
        if left is not None and left <= 0:
            break
        if left is not None and len(takers) > left:
            if tie_policy == "INCLUSIVE":
                left = len(takers)
            else:
                if tie_policy in ("DECISION", "TIE_BREAK"):
                    found.pending.append(PendingTie(grade.code, quota.group, tuple(takers), left))
                break
        for unit in tie:
            if unit in takers:
                found.grade[unit] = place
            else:
                found.dropped.add(unit)
        if left is not None:
            left -= len(takers)
    if grade.limited:
        used = sum(1 for unit in candidates if found.grade[unit] == place)
        found.quotas.append(replace(quota, used=used))


def _drops(found: Grades, units: Field, unit: int, place: int, last: int) -> bool:
    """Whether the unit would get this grade but for a veto that takes it one down."""
    return place < last and unit not in found.dropped and "ONE_GRADE_DOWN" in units.effects.get(unit, frozenset())


def _ties(candidates: Sequence[int], units: Field, tie_policy: str) -> list[list[int]]:
    """Groups of equals, best first; equals that a person has ordered stand alone."""
    ties: list[list[int]] = []
    for unit in candidates:
        before = ties[-1][-1] if ties else None
        equal = before is not None and units.keys[before] == units.keys[unit]
        if equal and tie_policy in ("DECISION", "TIE_BREAK") and before is not None:
            equal = units.decided.get(before) == units.decided.get(unit)
        if equal:
            ties[-1].append(unit)
        else:
            ties.append([unit])
    return ties
