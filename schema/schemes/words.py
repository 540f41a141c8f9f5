"""Closed lists of a scheme and its settings (方案用语)."""

from enum import Enum

from schema.mapping import enumeration


@enumeration("Life of a version.")
class SchemeVersionState(Enum):
    """States of a version."""

    DRAFT = "Can be edited."
    FROZEN = "Never changes again."


@enumeration("How children make up their parent.")
class Weighting(Enum):
    """Weightings."""

    POINTS = "Printed marks that sum to the parent's (分值制)."
    RELATIVE = "Weights that count within the parent (权重制)."


@enumeration("How children become their parent's score.")
class Aggregation(Enum):
    """Means."""

    ARITHMETIC = "Weighted arithmetic mean."
    GEOMETRIC = "Weighted geometric mean."
    HARMONIC = "Weighted harmonic mean."


@enumeration("What a missing value earns.")
class MissingPolicy(Enum):
    """Policies for missing values."""

    ZERO = "Nothing."
    CARRY_OVER = "Last cycle's value."
    EXCLUDE = "Its weight is shared as if not applicable."


@enumeration("What becomes of the weight of what does not apply.")
class NotApplicablePolicy(Enum):
    """Policies for what does not apply."""

    PARENT = "Shared among its siblings."
    GLOBAL = "Total scored out of what applies (折算)."
    FULL = "Earns full marks."


@enumeration("What ranks compare.")
class RankBasis(Enum):
    """What is ranked."""

    ROUNDED = "The shown total."
    EXACT = "The exact total."


@enumeration("What becomes of equals.")
class TiePolicy(Enum):
    """Ties."""

    STRICT = "They share their rank; where places of a grade run out among them, none of them gets one (名额不突破)."
    INCLUSIVE = "They share their rank; where places run out among them, all of them get one."
    TIE_BREAK = "Named indicators are compared in order; what they leave equal shares its rank, or waits for a person."
    DECISION = "They share their rank; where places run out among them, a person orders them before publication."


@enumeration("Whose review it is.")
class ReviewRoute(Enum):
    """Routes of review."""

    TERRITORIAL = "Of the unit above in the tree (属地审核)."
    DEPARTMENTAL = "Of the responsible unit (归口审核)."


@enumeration("Kinds of publications.")
class PublicationKind(Enum):
    """Publications."""

    FEEDBACK = "Each unit sees its own (反馈核对)."
    INTERIM = "No grades, no objections (阶段通报)."
    NOTICE = "Provisional, opens the objection window (公示)."
    FINAL = "Final (通报)."


@enumeration("Of whom something is shown.")
class DisclosureLevel(Enum):
    """Levels of disclosure."""

    ALL = "Of all units."
    BEST = "Of the best n."
    NONE = "Of none but the own."


@enumeration("How places are rounded.")
class QuotaRounding(Enum):
    """Roundings."""

    FLOOR = "Down."
    HALF_UP = "Half up."
    CEIL = "Up."


@enumeration("What places are counted per.")
class QuotaScope(Enum):
    """Scopes of quotas."""

    CATEGORY = "Each category."
    PARENT = "Each parent unit."
    ALL = "All units together."


@enumeration("Kinds of conditions.")
class GradeConditionKind(Enum):
    """Conditions of grades."""

    NODE_SHARE = "A node has at least so much of its marks."
    NO_EVENT = "No confirmed event under a leaf."
    ITEM_TRUE = "A yes-no item is yes."
    PREVIOUS_GRADE = "The grade of the last cycle was at least this."


@enumeration("How grave a fault is.")
class FaultSeverity(Enum):
    """Severities."""

    FAULT = "Must be mended before freezing."
    WARNING = "Should be looked at, such as the same datum asked twice."
