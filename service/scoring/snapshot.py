"""What a computation starts from (测算快照): units, their categories, and settled values as columns of whole
numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.scoring.numbers import parse_decimal, scaled
from service.scoring.whole import whole_array

States = NDArray[np.uint8]
Numbers = NDArray[Any]
"""int64 where every number fits, else an object array of Python ints."""


class State(IntEnum):
    """State of a value (数据状态). Of several items of one leaf the greatest wins: 不适用 over 不予认定 over 缺报.

    CARRIED is a missing value in whose place the caller put the last cycle's (missing policy CARRY_OVER): it is scored
    like a given one, never counts as covered, and is shown as MISSING.
    """

    GIVEN = 0
    CARRIED = 1
    MISSING = 2
    REJECTED = 3
    NOT_APPLICABLE = 4


STATE_NAMES: tuple[str, ...] = ("GIVEN", "MISSING", "MISSING", "REJECTED", "NOT_APPLICABLE")
"""Names of the API's ValueState by State; CARRIED shows as MISSING."""


@dataclass(slots=True)
class ItemColumn:
    """The values of one item (or of one leaf's awards) for all units, in the order of the snapshot's units.

    state: uint8, values of State. numbers: value × 10**scale as int64, or object for wider ones; what stands where the
    state is not GIVEN or CARRIED is ignored. YES_NO: 1 or 0. CHOICE: place of the option in the item's options, from 0.
    COUNTS: their sum in `numbers`, each named count in `parts` (option code → whole numbers). SCORES: all scores of
    unit i are numbers[offsets[i]:offsets[i + 1]].
    """

    state: States
    numbers: Numbers
    scale: int = 0
    parts: Mapping[str, Numbers] | None = None
    offsets: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        values: Sequence[str | int | Decimal | None],
        *,
        scale: int = 0,
        states: Sequence[State] | None = None,
    ) -> "ItemColumn":
        """From one value per unit; None is missing unless `states` says otherwise. Careful, not fast.

        Raises ValueError where a value is no plain decimal or has more than `scale` places.
        """
        numbers = [0 if value is None else scaled(_exact(value), scale) for value in values]
        if states is None:
            states = [State.MISSING if value is None else State.GIVEN for value in values]
        return cls(np.array([int(s) for s in states], np.uint8), whole_numbers(numbers), scale)

    @classmethod
    def of_counts(
        cls, values: Sequence[Mapping[str, int] | None], *, states: Sequence[State] | None = None
    ) -> "ItemColumn":
        """From named counts per unit; a count that is not named is 0."""
        names = sorted({name for value in values if value for name in value})
        if states is None:
            states = [State.MISSING if value is None else State.GIVEN for value in values]
        parts = {name: whole_numbers([(value or {}).get(name, 0) for value in values]) for name in names}
        total = whole_numbers([sum((value or {}).values()) for value in values])
        return cls(np.array([int(s) for s in states], np.uint8), total, 0, parts)

    @classmethod
    def of_scores(
        cls,
        values: Sequence[Sequence[str | int | Decimal] | None],
        *,
        scale: int = 0,
        states: Sequence[State] | None = None,
    ) -> "ItemColumn":
        """From a list of scores per unit."""
        if states is None:
            states = [State.MISSING if value is None else State.GIVEN for value in values]
        flat = [scaled(_exact(score), scale) for value in values if value for score in value]
        offsets = np.cumsum([0, *(len(value or ()) for value in values)]).astype(np.int64)
        return cls(np.array([int(s) for s in states], np.uint8), whole_numbers(flat), scale, None, offsets)

    @classmethod
    def absent(cls, count: int, state: State = State.MISSING) -> "ItemColumn":
        """No values at all: every unit in `state`."""
        return cls(np.full(count, int(state), np.uint8), np.zeros(count, np.int64))


def _exact(value: str | int | Decimal) -> Decimal:
    if isinstance(value, str):
        parsed = parse_decimal(value)
        if parsed is None:
            raise ValueError(f"not a plain decimal: {value!r}")
        return parsed
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"not a finite number: {value}")
    return Decimal(value)


def whole_numbers(values: Iterable[int]) -> Numbers:
    """Python ints as an int64 array where all fit, else as an object array."""
    return whole_array(list(values))


@dataclass(frozen=True, slots=True)
class Event:
    """A bonus, deduction, breach or veto of one unit (加减分事项). Only CONFIRMED ones count.

    key: names it in the explanation. indicator: code of the leaf it is filed under. matter: of one matter only the
    highest (heaviest) counts; empty means a matter of its own. level: code of the rule's level (veto: code of the
    ground). amount: points it adds or takes, never negative; None takes the level's points.
    effect: of a veto, if it differs from the rule's.
    """

    key: str
    unit: str
    indicator: str
    matter: str = ""
    level: str | None = None
    amount: Decimal | None = None
    effect: str | None = None
    state: Literal["PROPOSED", "CONFIRMED", "REJECTED", "REVOKED", "WITHDRAWN"] = "CONFIRMED"


@dataclass(slots=True)
class Snapshot:
    """Everything a computation reads. All columns follow the order of `units`.

    units: keys, each once. categories: key of each unit's category. items: item key → column. awards: code of an AWARD
    leaf → column of awarded marks. leaf_items: (leaf code, item key) → column that this leaf uses instead of `items`
    (the revisions that its review pinned). leaf_states: leaf code → uint8 array of State; where it is not GIVEN it
    decides the leaf's state whatever its items say (a review's rejection, or no review at all). late_days: calendar
    days late per unit, 0 or more; None for none. previous: item key → the last cycle's settled value, for IMPROVEMENT.
    group_awards: (leaf code, group's name) → SCORES column of single awards. parents: key of each unit's parent, for
    grades with places per parent. previous_grades: code of each unit's previous grade.
    decisions: unit → its place among equals at a quota's edge, as a person ordered them; smaller is better.
    """

    units: Sequence[str]
    categories: Sequence[str]
    items: Mapping[str, ItemColumn] = field(default_factory=dict)
    awards: Mapping[str, ItemColumn] = field(default_factory=dict)
    leaf_items: Mapping[tuple[str, str], ItemColumn] = field(default_factory=dict)
    leaf_states: Mapping[str, States] = field(default_factory=dict)
    late_days: NDArray[np.int64] | None = None
    previous: Mapping[str, ItemColumn] = field(default_factory=dict)
    group_awards: Mapping[tuple[str, str], ItemColumn] = field(default_factory=dict)
    events: Sequence[Event] = ()
    parents: Sequence[str | None] | None = None
    previous_grades: Sequence[str | None] | None = None
    decisions: Mapping[str, int] = field(default_factory=dict)
