"""What a computation gives (测算结果): lists in the order of the snapshot's units, ready for bulk insert.

Text forms are plain decimals ("90.99") with the scheme's rounding places; None stands where there is no number.
"""

from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Protocol


class Status(IntEnum):
    """Whether and why a unit has no rank; names as the API's StandingStatus."""

    RANKED = 0
    VETOED = 1
    LOW_COVERAGE = 2
    NOT_SCORED = 3


class ResultInterface(Protocol):
    """The methods of Result."""

    units: Sequence[str]
    places: int
    node_codes: tuple[str, ...]
    """All scored nodes in print order, the root first; bonus, deduction and veto leaves are not among them."""

    def totals(self) -> list[str | None]:
        """Shown totals (总得分); None where nothing applies."""

    def exact_totals(self) -> list[str | None]:
        """Exact totals as "p/q"."""

    def exact_total(self, unit: int) -> Fraction | None:
        """Exact total of one unit."""

    def ranks(self) -> list[int | None]:
        """Rank in the category; None if not ranked."""

    def overall_ranks(self) -> list[int | None]:
        """Rank over all categories; None if not ranked or not asked for."""

    def shared_by(self) -> list[int]:
        """How many share the rank in the category: 1 alone, 0 not ranked."""

    def statuses(self) -> list[str]:
        """Names of Status."""

    def coverages(self, places: int = 4) -> list[str]:
        """Coverage 0 to 1, cut off (never rounded up) after `places`."""

    def bases(self) -> list[str | None]:
        """Score from the tree in full marks, rounded for show."""

    def bonuses(self) -> list[str]:
        """Bonus that counted."""

    def deductions(self) -> list[str]:
        """Deductions that counted."""

    def late_penalties(self) -> list[str]:
        """Late penalty taken."""

    def grades(self) -> list[str | None]:
        """Code of the computed grade."""

    def node_applies(self, code: str) -> list[bool]:
        """Whether the node is part of the tree of the unit's category (else it gets no row)."""

    def node_scores(self, code: str) -> list[str | None]:
        """0 to 100, rounded for show; None if not applicable."""

    def node_marks(self, code: str) -> list[str | None]:
        """The same in the node's own marks (points), rounded for show."""

    def node_states(self, code: str) -> list[str | None]:
        """ValueState of a leaf; of an inner node GIVEN if it has a score, else NOT_APPLICABLE; None outside the tree."""

    def node_coverages(self, code: str, places: int = 4) -> list[str | None]:
        """Coverage below the node, cut off after `places`."""

    def node_exact(self, code: str, unit: int) -> Fraction | None:
        """Exact score of one node and unit, 0 to 100."""

    def node_exacts(self, code: str) -> list[str | None]:
        """Exact scores as "p/q"."""
