"""Scoring rules as frontends see and write them (计分规则): how they are declared, their words, parts and kinds.

A rule comes out of the document that RULE makes of an indicator's row: the stored rule with its full marks, and with
the data items that it uses, so that what is said in words needs nothing else.
"""

from schema.rules.declaring import KINDS, rule_document, said
from schema.rules.documents import CHECKS, RULE
from schema.rules.kinds import RULES, ScoringRule, ScoringRuleInput
from schema.rules.parts import CrossCheckInfo, EventLevel, VetoGround, check_document
from schema.rules.words import VetoEffect

__all__ = [
    "CHECKS",
    "KINDS",
    "RULE",
    "RULES",
    "CrossCheckInfo",
    "EventLevel",
    "ScoringRule",
    "ScoringRuleInput",
    "VetoEffect",
    "VetoGround",
    "check_document",
    "rule_document",
    "said",
]
