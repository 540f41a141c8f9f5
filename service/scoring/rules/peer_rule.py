"""What all rules share that compare the units of one category (同类比较规则)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from service.scoring.quantities import Quantity, read_quantity
from service.scoring.reading import Reader
from service.scoring.rules.base import RuleContext, ScoredRule

DIRECTIONS = ("HIGHER", "LOWER")


@dataclass(frozen=True, kw_only=True)
class PeerRule(ScoredRule):
    """What all rules share that compare the units of a category: a quantity, and which way is better."""

    relative: ClassVar[bool] = True

    quantity: Quantity
    direction: str = "HIGHER"

    @staticmethod
    def shared(reader: Reader, context: RuleContext) -> tuple[Quantity, str] | None:
        """Quantity and direction of a document."""
        quantity = read_quantity(reader.inner("quantity"), context.items)
        direction = reader.choice("direction", DIRECTIONS, default="HIGHER")
        return None if quantity is None or direction is None else (quantity, direction)

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "PeerRule | None":
        found = cls.shared(reader, context)
        return None if found is None else cls(quantity=found[0], direction=found[1])

    def settings(self) -> dict[str, Any]:
        return {"quantity": self.quantity.document(), "direction": self.direction}

    def data_items(self) -> tuple[str, ...]:
        return self.quantity.data_items()
