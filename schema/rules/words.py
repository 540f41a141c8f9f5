"""Closed lists that rules are said in (计分规则用词)."""

from enum import Enum

from schema.mapping import enumeration


@enumeration("The closed list of rules.")
class RuleKind(Enum):
    """Kinds of rules."""

    AWARD = "An assessor awards 0 to full marks (评议赋分)."
    COMPLETION = "F·min(actual/target, cap) (按完成率计分)."
    LINEAR = "F·clamp((x−a)/(b−a), 0, 1) (按比例计分)."
    BANDS = "The marks of the first band whose lower bound x reaches (分档计分)."
    PIECEWISE = "Linear between points, flat outside (分段插值)."
    YES_NO = "Full marks for yes (达标计分)."
    CHECKLIST = "Marks of the points met (要点计分)."
    CHOICE = "Marks of the chosen option (选项计分)."
    DEDUCT = "max(F − Σ min(units·p, cap), floor) (扣分制)."
    NEUTRAL = "Full inside a corridor, less outside by rate per step (适度指标)."
    IMPROVEMENT = "Against the last cycle's settled value: F·clamp((x−b)/|b|/fullAt, 0, 1) (同比)."
    BEST_RATIO = "F·x/max over the category, or min/x (比值法)."
    EFFICACY = "base·F + (1−base)·F·(x−worst)/(best−worst) in the category (功效系数法)."
    MINMAX = "F·(x−worst)/(best−worst) in the category (极差法)."
    RANK_POINTS = "Marks by rank in the category (排名赋分)."
    PERCENTILE = "F × strictly lower peers ÷ other peers (百分位)."
    GRADE_MEAN = "Σ vg·ng / Σ ng over ballots (民主测评)."
    TRIMMED_MEAN = "Mean without the k highest and k lowest (去掉最高分和最低分)."
    BONUS = "Sum of confirmed events, outside the sum (加分项)."
    DEDUCTION = "Sum of confirmed events taken off, outside the sum (减分项)."
    VETO = "Closed list of grounds with an effect, outside the sum (一票否决)."


@enumeration("What a target or denominator of 0 means.")
class TargetZero(Enum):
    """What 0 means."""

    NOT_APPLICABLE = "Does not apply."
    FULL = "Full marks."


@enumeration("How a part of a unit or step counts.")
class PartUnits(Enum):
    """Parts of units."""

    EXACT = "In proportion."
    STARTED = "A started one counts whole."
    COMPLETED = "Only whole ones count."


@enumeration("Which way is better.")
class BetterDirection(Enum):
    """Directions of a comparison."""

    HIGHER = "More is better."
    LOWER = "Less is better."


@enumeration("From which end ranks are counted.")
class RankEnd(Enum):
    """Ends of a ranking."""

    FIRST = "From the first place."
    LAST = "From the last place (后n名)."


@enumeration("Marks of units that share a rank.")
class RankTies(Enum):
    """What equals earn."""

    COMPETITION = "The best rank's marks for all."
    MEAN = "The mean of their ranks' marks."


@enumeration("How several awards become one.")
class AwardMethod(Enum):
    """Ways to make one of several awards."""

    MEAN = "Their mean."
    TRIMMED_MEAN = "Their mean without the highest and the lowest, from three on (去掉最高分和最低分)."


@enumeration("What a confirmed veto does.")
class VetoEffect(Enum):
    """Effects of vetoes."""

    NO_EXCELLENT = "No excellent grade; rank and score stay (不得评优)."
    ONE_GRADE_DOWN = "One grade lower (降一等次)."
    LOWEST_GRADE = "Lowest grade, no rank, score still shown (定为末等)."
    UNRANKED = "Neither rank nor grade (不予排名)."


@enumeration("How two quantities are compared.")
class Comparison(Enum):
    """Comparisons."""

    AT_MOST = "Left ≤ right."
    AT_LEAST = "Left ≥ right."
    EQUAL = "Left = right."
