"""How a result differs from another (变化、试算对比): against an earlier publication, or a what-if against the
real one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from service.scoring.result import Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """What stood of a unit: shown total, rank in its category, code of its grade; None for none."""

    total: Decimal | None
    rank: int | None
    grade: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A unit then and now (较上期变化). total: points gained; rank: places gained (plus) or lost (minus)."""

    unit: str
    before: Outcome
    after: Outcome
    total: Decimal | None
    rank: int | None

    @property
    def moved(self) -> bool:
        """Whether total, rank or grade differ."""
        return self.before != self.after


def outcomes(result: Result) -> dict[str, Outcome]:
    """Total, rank and grade of each unit of a result."""
    return {
        unit: Outcome(None if total is None else Decimal(total), rank, grade)
        for unit, total, rank, grade in zip(result.units, result.totals(), result.ranks(), result.grades(), strict=True)
    }


def changes(before: Mapping[str, Outcome], after: Mapping[str, Outcome]) -> Sequence[Change]:
    """Each unit of `after` that `before` knows too, in the order of `after`."""
    found = []
    for unit, now in after.items():
        then = before.get(unit)
        if then is None:
            continue
        total = None if now.total is None or then.total is None else now.total - then.total
        rank = None if now.rank is None or then.rank is None else then.rank - now.rank
        found.append(Change(unit, then, now, total, rank))
    return found
