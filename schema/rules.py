"""Scoring rules as frontends see and write them (计分规则): one declaration per kind makes its type and its input.

    @rule("LINEAR")
    class LinearRule(ScoringRule):
        '''F·clamp((x−a)/(b−a), 0, 1) (按比例计分).'''

        quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
        zero_at: Decimal = parameter("a, where nothing is earned; above b where lower is better.")
        clamp: bool = parameter("False lets the score leave 0 to F.", default=True)

declares the type LinearRule, the input LinearRuleInput, and the field `linear` of ScoringRuleInput; `rule_document`
reads the input into the rule of a scheme document. Parameters have the same names in and out, but that a data item is
an id going in (`dataItemId`) and an object coming out. `part` does so for the value objects that rules are made of.

A rule comes out of the document that RULE makes of an indicator's row: the stored rule with its full marks, and with
the data items that it uses, so that what is said in words needs nothing else.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from schema.context import Context
from schema.mapping import (
    ID,
    Variants,
    by_ids,
    column,
    computed,
    described,
    document,
    enumeration,
    input_type,
    interface,
    one_of,
    relation,
    value,
)
from schema.scalars import DecimalText
from service.errors import Path
from service.language import say
from service.schemes import AsTyped, describe_check, describe_quantity, describe_rule
from service.scoring import Text

if TYPE_CHECKING:
    from schema.directory import OrgUnit
    from schema.items import DataItem

T = TypeVar("T")

Reads = Literal["plain", "decimal", "line", "item", "units", "part", "parts"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a rule or part, before its type is made."""

    description: str
    default: Any


@dataclass(frozen=True)
class Read:
    """How a parameter of an input gets into the document: its names there, and what stands in it."""

    attribute: str
    field: str
    key: str
    reads: Reads
    part: str | None = None


PARTS: dict[str, tuple[Read, ...]] = {}
"""Parameters of every rule and part, by the name of its type."""

KINDS: dict[str, str] = {}
"""Type of every kind of rule."""


def parameter(description: str, *, default: Any = ...) -> Any:
    """A parameter; its annotation says what it is. Annotated `| None` it may be left out, as with a default."""
    return Parameter(description, default)


def part(cls: type[T]) -> type[T]:
    """Make a value object and its input of one declaration."""
    return _make(cls, ())


def rule(kind: str, *, outside: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a rule's type and its input of one declaration; `outside` the sum of the tree, where it has no marks F."""

    def decorate(cls: type[T]) -> type[T]:
        KINDS[kind] = cls.__name__
        full = (
            "full",
            "DecimalText | None",
            described("F, where it is neither the printed points nor 100."),
        )
        return _make(cls, () if outside else (full,))

    return decorate


def _make(cls: type[T], first: tuple[tuple[str, Any, Any], ...]) -> type[T]:
    name, words = cls.__name__, inspect.cleandoc(cls.__doc__ or "")
    reads = [Read("full", "full", "full", "decimal") for _ in first]
    given: dict[str, Any] = {"__doc__": words, "__module__": cls.__module__, "__annotations__": {}}
    for attribute, annotation, field in first:
        given["__annotations__"][attribute], given[attribute] = annotation, field
    for attribute, annotation in inspect.get_annotations(cls).items():
        declared = vars(cls).get(attribute)
        if not isinstance(declared, Parameter):
            continue
        made = _read(attribute, annotation)
        reads.append(made)
        setattr(cls, attribute, _shown(declared.description, made))
        default = declared.default
        typed = _typed(annotation, made)
        if made.reads == "parts" and default == []:
            typed, default = f"{typed} | None", ...
        given["__annotations__"][made.attribute] = typed
        plain = {"default": default} if default is not ... else {}
        given[made.attribute] = described(declared.description, **plain)
    PARTS[name] = tuple(reads)
    input_type(type(f"{name.removesuffix('Info')}Input", (), given))
    return value(cls)


def _read(attribute: str, annotation: Any) -> Read:
    plain = attribute.rstrip("_")
    key = to_camel_case(plain)
    bare = _bare(annotation)
    if bare == "Decimal":
        return Read(attribute, key, key, "decimal")
    if bare == "str":
        return Read(attribute, key, key, "line")
    if bare == "DataItem":
        return Read(f"{plain}_id", f"{key}Id", key, "item")
    if bare == "list[OrgUnit]":
        return Read("responsible_unit_ids", "responsibleUnitIds", key, "units")
    if bare.removeprefix("list[").removesuffix("]") in PARTS:
        inner = bare.removeprefix("list[").removesuffix("]")
        return Read(attribute, key, key, "parts" if bare.startswith("list[") else "part", inner)
    return Read(attribute, key, key, "plain")


def _bare(annotation: Any) -> str:
    """An annotation's name without `| None`: classes stand in it as themselves, later ones as text."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    bare = text.removesuffix(" | None").removeprefix("list[").removesuffix("]").rpartition(".")[2]
    return f"list[{bare}]" if text.startswith("list[") else bare


def _typed(annotation: Any, made: Read) -> Any:
    """What the input asks for."""
    optional = " | None" if str(annotation).endswith("| None") else ""
    match made.reads:
        case "decimal":
            return DecimalText | None if optional else DecimalText
        case "item":
            return ID | None if optional else ID
        case "units":
            return list[ID]
        case "part":
            return f"{made.part}Input{optional}"
        case "parts":
            return f"list[{made.part}Input]{optional}"
    return annotation


def _shown(description: str, made: Read) -> Any:
    """Where the output's field lives in the document."""
    if made.reads == "item":
        return relation(description, on={made.key: "id"})
    if made.reads == "units":
        return by_ids(description, made.key)
    if made.part is None:
        return column(description, made.key)
    if not _has_words(made.part):
        if made.reads == "parts":
            # A rule may have been written before it could have any.
            return document(description, sql=f"coalesce(nullif({{t}} -> '{made.key}', 'null'), '[]')")
        return document(description, made.key)
    items = "jsonb_build_object('dataItems', {t} -> 'dataItems')"
    if made.reads == "parts":
        return document(
            description,
            sql=f"""(SELECT coalesce(jsonb_agg(ee.v || {items} ORDER BY ee.o), '[]')
                     FROM jsonb_array_elements({{t}} -> '{made.key}') WITH ORDINALITY AS ee(v, o))""",
        )
    return document(
        description,
        sql=f"CASE WHEN jsonb_typeof({{t}} -> '{made.key}') = 'object' THEN ({{t}} -> '{made.key}') || {items} END",
    )


def _has_words(name: str) -> bool:
    """Whether a part says something in words, for which it needs the names of data items."""
    return name == "Quantity" or any(each.part is not None and _has_words(each.part) for each in PARTS[name])


def rule_document(given: Any) -> dict[str, Any]:
    """The rule that a ScoringRuleInput says, as the use-case takes it."""
    for kind, name in KINDS.items():
        inner = getattr(given, kind.lower())
        if inner is not None and inner is not UNSET:
            return {"kind": kind, **part_document(name, inner, (to_camel_case(kind.lower()),))}
    raise LookupError("A rule's input has exactly one field.")


def part_document(name: str, given: Any, path: Path) -> dict[str, Any]:
    """An input as an object of a document: what was typed is still to be judged, at its place below `path`."""
    made: dict[str, Any] = {}
    for each in PARTS[name]:
        found = getattr(given, each.attribute)
        here = (*path, each.field)
        if found is None or found is UNSET:
            made[each.key] = [] if each.reads == "parts" else None
            continue
        match each.reads:
            case "decimal":
                made[each.key] = AsTyped(found, "DECIMAL", here)
            case "line":
                made[each.key] = AsTyped(found, "LINE", here)
            case "item":
                made[each.key] = AsTyped(found, "DataItem", here)
            case "units":
                made[each.key] = [AsTyped(one, "OrgUnit", (*here, str(place))) for place, one in enumerate(found)]
            case "part":
                made[each.key] = part_document(cast("str", each.part), found, here)
            case "parts":
                made[each.key] = [
                    part_document(cast("str", each.part), one, (*here, str(place))) for place, one in enumerate(found)
                ]
            case _:
                made[each.key] = found.name if isinstance(found, Enum) else found
    return made


def said(
    describe: Callable[[Mapping[str, Any]], Text],
) -> Callable[[Context, Sequence[Mapping[str, Any]]], Awaitable[Sequence[str]]]:
    """For `computed`: what a document says, in the caller's language."""

    async def say_all(context: Context, documents: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        return [say(describe(document), context.language) for document in documents]

    return say_all


# ---- words of closed lists


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


# ---- parts


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


@enumeration("How two quantities are compared.")
class Comparison(Enum):
    """Comparisons."""

    AT_MOST = "Left ≤ right."
    AT_LEAST = "Left ≥ right."
    EQUAL = "Left = right."


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


# ---- rules


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

RULE = """CASE WHEN {t}.rule IS NOT NULL THEN {t}.rule || jsonb_build_object(
    'fullMarks', coalesce({t}.rule ->> 'full', (
        SELECT CASE WHEN rv.weighting = 'RELATIVE' THEN '100'
                    ELSE coalesce(trim_scale({t}.points)::text, {t}.points_by_category -> 0 ->> 'points', '0') END
        FROM scheme_versions rv WHERE rv.tenant_id = {tenant} AND rv.id = {t}.scheme_version_id)),
    'dataItems', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'code', ri.data_item_id, 'name', coalesce(rp.name, rd.name), 'type', coalesce(rp.type, rd.type),
            'options', coalesce(rp.options, rd.options)))
        FROM indicator_items ri
        JOIN data_items rd ON rd.tenant_id = {tenant} AND rd.id = ri.data_item_id
        LEFT JOIN scheme_version_items rp ON rp.tenant_id = {tenant} AND rp.data_item_id = ri.data_item_id
             AND rp.scheme_version_id = {t}.scheme_version_id
        WHERE ri.tenant_id = {tenant} AND ri.indicator_id = {t}.id), '[]')) END"""
"""The document of an indicator's rule: with its full marks, and its data items as the version knows them."""

CHECKS = """(SELECT coalesce(jsonb_agg(ce.v || jsonb_build_object('dataItems', (
        SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object(
            'code', cd.id, 'name', coalesce(cp.name, cd.name), 'type', coalesce(cp.type, cd.type),
            'options', coalesce(cp.options, cd.options))), '[]')
        FROM jsonb_path_query(ce.v, '$.**.dataItem') AS ck(key)
        JOIN data_items cd ON cd.tenant_id = {tenant} AND cd.id = (ck.key #>> '{}')::uuid
        LEFT JOIN scheme_version_items cp ON cp.tenant_id = {tenant} AND cp.data_item_id = cd.id
             AND cp.scheme_version_id = {t}.scheme_version_id)) ORDER BY ce.place), '[]')
    FROM jsonb_array_elements({t}.checks) WITH ORDINALITY AS ce(v, place))"""
"""The documents of an indicator's cross checks, each with its data items."""

if TYPE_CHECKING:

    class CrossCheckInput:
        """A check across data items."""


def check_document(given: Any) -> dict[str, Any]:
    """The cross check that a CrossCheckInput says, as the use-case takes it."""
    return part_document("CrossCheckInfo", given, ())
