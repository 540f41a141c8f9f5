"""The scoring rules (计分规则), one module each; RULES is the closed list of those that a scheme may use."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from service.scoring.reading import Reader, one_of
from service.scoring.rules.award import AwardRule
from service.scoring.rules.bands import BandsRule
from service.scoring.rules.base import Rule, RuleContext
from service.scoring.rules.best_ratio import BestRatioRule
from service.scoring.rules.checklist import ChecklistRule
from service.scoring.rules.choice import ChoiceRule
from service.scoring.rules.completion import CompletionRule
from service.scoring.rules.deduct import DeductRule
from service.scoring.rules.efficacy import EfficacyRule, MinmaxRule
from service.scoring.rules.events import BonusRule, DeductionRule
from service.scoring.rules.grade_mean import GradeMeanRule
from service.scoring.rules.improvement import ImprovementRule
from service.scoring.rules.linear import LinearRule
from service.scoring.rules.neutral import NeutralRule
from service.scoring.rules.percentile import PercentileRule
from service.scoring.rules.piecewise import PiecewiseRule
from service.scoring.rules.rank_points import RankPointsRule
from service.scoring.rules.trimmed_mean import TrimmedMeanRule
from service.scoring.rules.veto import VetoRule
from service.scoring.rules.yes_no import YesNoRule
from service.scoring.text import Text

RULES: Final[Mapping[str, type[Rule]]] = {
    rule.kind: rule
    for rule in (
        AwardRule,
        CompletionRule,
        LinearRule,
        BandsRule,
        PiecewiseRule,
        YesNoRule,
        ChecklistRule,
        ChoiceRule,
        DeductRule,
        NeutralRule,
        ImprovementRule,
        BestRatioRule,
        EfficacyRule,
        MinmaxRule,
        RankPointsRule,
        PercentileRule,
        GradeMeanRule,
        TrimmedMeanRule,
        BonusRule,
        DeductionRule,
        VetoRule,
    )
}

__all__ = ["RULES", "Rule", "RuleContext", "read_rule"]


def read_rule(reader: Reader, context: RuleContext) -> Rule | None:
    """The rule of a document, whole; None after noting at least one fault."""
    before = len(reader.sink.faults)
    name = reader.text("kind")
    if name is None:
        return None
    kind = RULES.get(name)
    if kind is None:
        reader.fault("kind", Text(f"没有计分规则“{name}”", f'there is no rule "{name}"'), one_of(list(RULES)))
        return None
    full = None
    if kind.outside:
        reader.ignore("full")
    else:
        full = reader.decimal("full", required=False, above=0)
    rule = kind.read(reader, context)
    reader.finish()
    if rule is None or len(reader.sink.faults) > before:
        return None
    return replace(rule, full=full)
