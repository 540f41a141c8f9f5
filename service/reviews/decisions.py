"""What can be decided about an assessment (审核处理), as it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg

from service.errors import Path
from service.reports.values import Content, Value
from service.scoring.text import Text


@dataclass(frozen=True)
class Accept:
    """Accept (审核通过), perhaps with a remark."""

    note: str | None = None


@dataclass(frozen=True)
class Return:
    """Send back (退回) until a day, or so many working days after today; all items of the leaf, or only these."""

    reason: str
    date: str | None = None
    working_days: int | None = None
    data_item_ids: Sequence[str] | None = None


@dataclass(frozen=True)
class AdjustedValue:
    """A value to settle in place of the reported one."""

    task_id: str
    content: Content


@dataclass(frozen=True)
class Adjust:
    """Settle other values (核定)."""

    values: Sequence[AdjustedValue]
    reason: str


@dataclass(frozen=True)
class Award:
    """Award marks (赋分), as typed; a reason is wanted below full marks."""

    marks: str
    reason: str | None = None


@dataclass(frozen=True)
class Reject:
    """Not recognise (不予认定): scores 0."""

    reason: str


@dataclass(frozen=True)
class Exempt:
    """Agree or decide that it does not apply (认定不适用)."""

    reason: str


Decision = Accept | Return | Adjust | Award | Reject | Exempt

NAMES: Final[Mapping[type, tuple[str, str]]] = {
    Accept: ("ACCEPT", "accept"),
    Return: ("RETURN", "return"),
    Adjust: ("ADJUST", "adjust"),
    Award: ("AWARD", "award"),
    Reject: ("REJECT", "reject"),
    Exempt: ("NOT_APPLICABLE", "notApplicable"),
}
"""What the database calls a decision, and its field in the input."""

DECISIONS: Final = {
    "ACCEPT": Text(zh="审核通过", en="accept"),
    "RETURN": Text(zh="退回", en="send back"),
    "ADJUST": Text(zh="核定", en="adjust"),
    "AWARD": Text(zh="赋分", en="award marks"),
    "REJECT": Text(zh="不予认定", en="reject"),
    "NOT_APPLICABLE": Text(zh="认定不适用", en="find not applicable"),
}


@dataclass(frozen=True)
class ReviewSpec:
    """One judgement as it is asked for; `version` is that of the assessment that was read."""

    assessment_id: str
    version: int
    decision: Decision


@dataclass
class Case:
    """One judgement on its way from what was typed to what is written."""

    path: Path
    """Of the item in the input."""
    version: int
    decision: Decision
    name: str
    key: UUID
    reason: str | None
    due_on: date | None = None
    item_ids: list[UUID] = field(default_factory=list)
    task_ids: list[UUID] = field(default_factory=list)
    row: asyncpg.Record = None
    role: str = ""
    unit_id: UUID | None = None
    marks: Decimal | None = None
    shown_marks: str | None = None
    """Marks that the assessment shows."""
    shown_reason: str | None = None
    adjusted: dict[int, Value] = field(default_factory=dict)
    """Place of the item in the leaf → its settled value."""
    state: str = ""
    level: int = 1
    returned: list[UUID] = field(default_factory=list)
    """Tasks that it opens again."""

    @property
    def inner(self) -> Path:
        """Path of the decision's own fields."""
        return (*self.path, "decision", NAMES[type(self.decision)][1])
