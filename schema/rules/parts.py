"""Value objects that rules are made of (计分规则组成): quantities, bands, lines, levels, groups, and cross checks."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schema.mapping import computed
from schema.rules.declaring import parameter, part, part_document, said
from schema.rules.words import AwardMethod, Comparison, PartUnits, TargetZero
from service.schemes import describe_check, describe_quantity

if TYPE_CHECKING:
    from schema.directory import OrgUnit
    from schema.items import DataItem


@part
class CombinationTerm:
    """One term."""

    coefficient: Decimal = parameter("Factor.", default="1")
    data_item: "DataItem" = parameter("The item.")
    count_name: str | None = parameter("For a counts item: which count; left out for their sum.")


@part
class Combination:
    """Σ coefficient × data item + constant."""

    terms: list[CombinationTerm] = parameter("The terms; none for a plain number.", default=[])
    constant: Decimal = parameter("The constant.", default="0")


@part
class Quantity:
    """A linear combination of data items, perhaps over another one."""

    numerator: Combination = parameter("What is counted.")
    denominator: Combination | None = parameter("What it is divided by; left out for no division.")
    denominator_zero: TargetZero = parameter("What a denominator of 0 means.", default=TargetZero.NOT_APPLICABLE)

    text: str = computed("In words, such as 按期办结数÷应办结数.", said(describe_quantity))


@part
class CrossCheckInfo:
    """A check across data items at submission (审核关系)."""

    left: Quantity = parameter("Left side.")
    comparison: Comparison = parameter("What must hold.")
    right: Quantity = parameter("Right side.")
    warning_only: bool = parameter("Whether it may be confirmed instead of mended.", default=False)

    text: str = computed("In words.", said(describe_check))


@part
class Band:
    """One band."""

    from_: Decimal | None = parameter("Lower bound, inclusive; left out for the last.")
    marks: Decimal = parameter("Marks of the band, out of F.")


@part
class DeductionLine:
    """One line of a deduction rule: a count, a shortfall of done against required, or confirmed events."""

    quantity: Quantity | None = parameter("A count.")
    required: Quantity | None = parameter("For a shortfall: what was required (每少1次).")
    done: Quantity | None = parameter("For a shortfall: what was done.")
    event_indicator_code: str | None = parameter(
        "For confirmed events: code of the leaf they are filed under; left out, with no count either, for this one."
    )
    count_name: str | None = parameter("For a counts item: which count.")
    points_each: Decimal = parameter("p, marks per unit.")
    per_units: Decimal = parameter("Size of one unit; 1 by default.", default="1")
    part_units: PartUnits = parameter("How part units count.", default=PartUnits.EXACT)
    cap: Decimal | None = parameter("Most that this line takes.")
    wipe_out: bool = parameter("One such unit or event gives 0 for the whole leaf (一票扣完).", default=False)
    text: str | None = parameter("Printed words of the line.")


@part
class CurvePoint:
    """One point of a curve."""

    x: Decimal = parameter("Value.")
    marks: Decimal = parameter("Marks there.")


@part
class ChecklistPoint:
    """One point of a checklist."""

    data_item: "DataItem" = parameter("A yes-no item.")
    marks: Decimal | None = parameter("Its marks; left out where all points weigh alike.")


@part
class OptionMarks:
    """Marks of one option."""

    option: str = parameter("Code of the option.")
    marks: Decimal = parameter("Its marks.")


@part
class CorridorEnd:
    """One end of a corridor: a number or an assigned item."""

    value: Decimal | None = parameter("A number.")
    assigned: "DataItem | None" = parameter("Or an assigned item.")
    points_per_step: Decimal = parameter("Marks less per step outside.")
    step: Decimal = parameter("Size of a step.", default="1")
    part_steps: PartUnits = parameter("How part steps count.", default=PartUnits.EXACT)


@part
class CorridorPlus:
    """Marks above F."""

    points_per_step: Decimal = parameter("Marks more per step above the upper end.")
    step: Decimal = parameter("Size of a step.", default="1")
    cap: Decimal = parameter("Most marks over F.")


@part
class RankMarks:
    """Marks of one rank."""

    rank: int = parameter("Rank, counted from the chosen end.")
    marks: Decimal = parameter("Its marks.")


@part
class BallotValue:
    """What a ballot grade is worth."""

    option: str = parameter("Code of the count.")
    marks: Decimal = parameter("Marks, out of F.")


@part
class BallotGroup:
    """A group of voters."""

    name: str = parameter("Name.")
    weight: Decimal = parameter("Weight among the groups.", default="1")
    data_item: "DataItem" = parameter("A counts item.")
    values: list[BallotValue] = parameter('What each grade is worth; "don\'t know" is left out.')


@part
class AwardGroup:
    """A named group of assessors."""

    name: str = parameter("Name, such as 领导, 同级.")
    weight: Decimal = parameter("Weight among the groups.", default="1")
    method: AwardMethod = parameter("How single awards become one.", default=AwardMethod.MEAN)
    responsible_units: "list[OrgUnit]" = parameter(
        "Whose assessors belong to it; each is among the leaf's responsible units, and in one group."
    )


@part
class EventLevel:
    """A level of events."""

    code: str = parameter("Code.")
    name: str = parameter("Such as 国家级, 省级.")
    points: Decimal = parameter("Points of one event.")
    max_points: Decimal | None = parameter("Most for one event, where the amount may vary.")
    cap: Decimal | None = parameter("Cap over all events of the level.")


@part
class VetoGround:
    """A ground of a veto."""

    code: str = parameter("Code.")
    name: str = parameter("The ground.")
    basis: str = parameter("Document it rests on.")


if TYPE_CHECKING:

    class CrossCheckInput:
        """A check across data items."""


def check_document(given: Any) -> dict[str, Any]:
    """The cross check that a CrossCheckInput says, as the use-case takes it."""
    return part_document("CrossCheckInfo", given, ())
