"""Kinds and states of events, and the steps between them (事项状态)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service.reviews.rights import JUDGING_STATES
from service.scoring.text import Text

CYCLE_STATES: Final = JUDGING_STATES
"""Of the cycle: events may be proposed and decided; after that an objection is the way."""

KINDS: Final[Mapping[str, str]] = {"BONUS": "BONUS", "DEDUCTION": "DEDUCTION", "VETO": "VETO", "DEDUCT": "BREACH"}
"""Kind of the events under a leaf, by its rule. Under DEDUCT they are breaches, where a line of the scheme counts
them."""

STATE_NAMES: Final = {
    "PROPOSED": Text(zh="待认定", en="proposed"),
    "CONFIRMED": Text(zh="已认定", en="confirmed"),
    "REJECTED": Text(zh="不予认定", en="rejected"),
    "REVOKED": Text(zh="已撤销认定", en="revoked"),
    "WITHDRAWN": Text(zh="已撤回申报", en="withdrawn"),
}


@dataclass(frozen=True)
class Move:
    """One step of an event: from which state, to which, and what it is called."""

    source: str
    to: str
    words: Text
    reason: bool = True
    """Whether a reason must be given."""


MOVES: Final[Mapping[str, Move]] = {
    "CONFIRM": Move("PROPOSED", "CONFIRMED", Text(zh="认定", en="confirmed"), reason=False),
    "REJECT": Move("PROPOSED", "REJECTED", Text(zh="不予认定", en="rejected")),
    "REVOKE": Move("CONFIRMED", "REVOKED", Text(zh="撤销认定", en="revoked")),
    "WITHDRAW": Move("PROPOSED", "WITHDRAWN", Text(zh="撤回", en="withdrawn"), reason=False),
}
"""Every step there is. The last one is the proposer's, the others are another person's."""


def event_code(number: int) -> str:
    """An event's number within its cycle as people read it: reasons and explanations name events by it."""
    return f"E{number:04d}"


CODE = "'E' || lpad({t}.number::text, greatest(4, length({t}.number::text)), '0')"
"""The same as SQL over an event {t}."""
