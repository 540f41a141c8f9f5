"""Every kind of rule (计分规则), and the input that holds exactly one."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from schema.mapping import Variants, column, computed, described, interface, one_of
from schema.rules.declaring import KINDS, parameter, rule, said
from schema.rules.parts import (
    AwardGroup,
    BallotGroup,
    Band,
    ChecklistPoint,
    CorridorEnd,
    CorridorPlus,
    CurvePoint,
    DeductionLine,
    EventLevel,
    OptionMarks,
    Quantity,
    RankMarks,
    VetoGround,
)
from schema.rules.words import BetterDirection, RankEnd, RankTies, RuleKind, TargetZero, VetoEffect
from service.schemes import describe_rule

if TYPE_CHECKING:
    from schema.items import DataItem


@interface
class ScoringRule:
    """A rule of a leaf; every amount is in the leaf's marks F."""

    kind: RuleKind = column("Which rule.")
    full: Decimal | None = column("F, where the rule says that it is neither the printed points nor 100.")
    full_marks: Decimal = column("F: the leaf's printed points, or what full says, or 100.", "fullMarks")

    text: str = computed("The rule in words, in the caller's language.", said(describe_rule))


@rule("AWARD")
class AwardRule(ScoringRule):
    """An assessor awards 0 to full marks (评议赋分)."""

    step: Decimal = parameter("Marks are awarded in these steps.")
    groups: list[AwardGroup] = parameter(
        "Named groups of assessors, whose single awards nobody is shown; empty for one award.", default=[]
    )
    self_score: bool = parameter(
        "Whether the unit writes a self score beside it (自评分), which never counts.", default=False
    )


@rule("COMPLETION")
class CompletionRule(ScoringRule):
    """F·min(actual/target, cap) (按完成率计分)."""

    actual: Quantity = parameter("What was done.")
    target: Quantity = parameter("What was to be done: a number, a combination or an assigned item.")
    cap: Decimal = parameter("Highest share that counts; 1 by default.", default="1")
    all_or_nothing_below: Decimal | None = parameter("Share below which nothing is earned.")
    target_zero: TargetZero = parameter("What a target of 0 means.", default=TargetZero.NOT_APPLICABLE)


@rule("LINEAR")
class LinearRule(ScoringRule):
    """F·clamp((x−a)/(b−a), 0, 1) (按比例计分)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    zero_at: Decimal = parameter("a, where nothing is earned; above b where lower is better.")
    full_at: Decimal = parameter("b, where full marks are earned.")
    clamp: bool = parameter("False lets the score leave 0 to F.", default=True)


@rule("BANDS")
class BandsRule(ScoringRule):
    """The marks of the first band whose lower bound x reaches (分档计分)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    bands: list[Band] = parameter("Strictly descending and complete; the last has no bound.")


@rule("PIECEWISE")
class PiecewiseRule(ScoringRule):
    """Linear between points, flat outside (分段插值)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    points: list[CurvePoint] = parameter("Strictly ascending in x.")


@rule("YES_NO")
class YesNoRule(ScoringRule):
    """Full marks for yes (达标计分)."""

    data_item: "DataItem" = parameter("A yes-no item.")
    full_when: bool = parameter("Which answer earns full marks; true by default.", default=True)


@rule("CHECKLIST")
class ChecklistRule(ScoringRule):
    """Marks of the points met (要点计分)."""

    points: list[ChecklistPoint] = parameter(
        "Points, each a yes-no item; empty where done and asked are counts.", default=[]
    )
    done: Quantity | None = parameter("Number of points met, where only the number is kept.")
    asked: Quantity | None = parameter("Number of points asked.")
    all_or_nothing: bool = parameter("Whether one missing point takes all.", default=False)


@rule("CHOICE")
class ChoiceRule(ScoringRule):
    """Marks of the chosen option (选项计分)."""

    data_item: "DataItem" = parameter("A choice item.")
    options: list[OptionMarks] = parameter("Every option of the item once.")


@rule("DEDUCT")
class DeductRule(ScoringRule):
    """max(F − Σ min(units·p, cap), floor) (扣分制)."""

    lines: list[DeductionLine] = parameter("What takes points.")
    floor: Decimal = parameter("Least score; 0 by default (扣完为止), negative only on purpose (倒扣).", default="0")


@rule("NEUTRAL")
class NeutralRule(ScoringRule):
    """Full inside a corridor, less outside by rate per step (适度指标)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    low: CorridorEnd | None = parameter("Lower end; left out for open.")
    high: CorridorEnd | None = parameter("Upper end; left out for open.")
    floor: Decimal = parameter("Least score.", default="0")
    plus: CorridorPlus | None = parameter("Marks above F for what lies above the upper end.")


@rule("IMPROVEMENT")
class ImprovementRule(ScoringRule):
    """Against the last cycle's settled value: F·clamp((x−b)/|b|/fullAt, 0, 1) (同比)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    full_at: Decimal = parameter("Change that earns full marks, such as 0.3.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)


@rule("BEST_RATIO")
class BestRatioRule(ScoringRule):
    """F·x/max over the category, or min/x (比值法)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)


@rule("EFFICACY")
class EfficacyRule(ScoringRule):
    """base·F + (1−base)·F·(x−worst)/(best−worst) in the category (功效系数法)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    base: Decimal = parameter("Share that the worst still earns, such as 0.6.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)


@rule("MINMAX")
class MinmaxRule(ScoringRule):
    """F·(x−worst)/(best−worst) in the category (极差法)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)


@rule("RANK_POINTS")
class RankPointsRule(ScoringRule):
    """Marks by rank in the category (排名赋分)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)
    table: list[RankMarks] = parameter("Marks by rank; empty where a step counts.", default=[])
    count_from: RankEnd = parameter("Whether the table counts from the first or the last place.", default=RankEnd.FIRST)
    step: Decimal | None = parameter("Marks less per rank.")
    floor: Decimal = parameter("Least score.", default="0")
    ties: RankTies = parameter("Marks of units that share a rank.", default=RankTies.COMPETITION)


@rule("PERCENTILE")
class PercentileRule(ScoringRule):
    """F × strictly lower peers ÷ other peers (百分位)."""

    quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
    direction: BetterDirection = parameter("Whether higher or lower is better.", default=BetterDirection.HIGHER)


@rule("GRADE_MEAN")
class GradeMeanRule(ScoringRule):
    """Σ vg·ng / Σ ng over ballots (民主测评)."""

    groups: list[BallotGroup] = parameter("Groups of voters; one for a single vote.")
    min_ballots: int = parameter("Under so many ballots a group is not applicable.")


@rule("TRIMMED_MEAN")
class TrimmedMeanRule(ScoringRule):
    """Mean without the k highest and k lowest (去掉最高分和最低分)."""

    data_item: "DataItem" = parameter("A scores item.")
    drop: int = parameter("k, dropped at each end.")
    drop_from: int = parameter("Drop only when there are at least so many.")
    minimum_count: int = parameter("Under so many it is not applicable.")


@rule("BONUS", outside=True)
class BonusRule(ScoringRule):
    """Sum of confirmed events, outside the sum (加分项)."""

    levels: list[EventLevel] = parameter("Levels with their points and caps.")
    pot: str = parameter("Name of the pot it falls into.")
    pot_cap: Decimal | None = parameter("Cap of the pot.")
    highest_per_matter: bool = parameter("Of one matter only the highest counts.", default=True)


@rule("DEDUCTION", outside=True)
class DeductionRule(ScoringRule):
    """Sum of confirmed events taken off, outside the sum (减分项)."""

    levels: list[EventLevel] = parameter("Levels with their points and caps.")
    pot: str = parameter("Name of the pot it falls into.")
    pot_cap: Decimal | None = parameter("Cap of the pot.")
    heaviest_per_matter: bool = parameter("Of one matter only the heaviest counts.", default=True)


@rule("VETO", outside=True)
class VetoRule(ScoringRule):
    """A closed list of grounds with one effect (一票否决)."""

    effect: VetoEffect = parameter("What a confirmed veto does.")
    grounds: list[VetoGround] = parameter("Closed list of grounds, each with its document.")


RULES = Variants("kind", dict(KINDS))
"""Which type a rule's document is."""

if TYPE_CHECKING:

    class ScoringRuleInput:
        """Exactly one rule."""

else:
    _descriptions: Mapping[str, str] = {kind.name: kind.value for kind in RuleKind}
    ScoringRuleInput = one_of(
        type(
            "ScoringRuleInput",
            (),
            {
                "__doc__": "Exactly one rule.",
                "__module__": __name__,
                "__annotations__": {kind.lower(): f"{name}Input | None" for kind, name in KINDS.items()},
                **{kind.lower(): described(_descriptions[kind]) for kind in KINDS},
            },
        )
    )
