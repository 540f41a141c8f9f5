"""Schemes (考核方案): versions, indicator trees, settings, scheme files, and freezing.

A version is a draft until it is frozen. Drafts may have faults: `check_version` tells them as data, and only freezing
refuses. What runs compute with and what is exported is `scheme_document`.
"""

from service.schemes.checking import SchemeCheck, SchemeFault, SumRow, check_version
from service.schemes.documents import Reading, scheme_document, scheme_file
from service.schemes.freezing import freeze_draft, freeze_scheme_version
from service.schemes.importing import import_scheme
from service.schemes.nodes import CategoryPoints, IndicatorSpec
from service.schemes.rules import RULE_KINDS, AsTyped
from service.schemes.tree import (
    IndicatorRow,
    add_indicator,
    edit_indicator,
    move_indicator,
    remove_indicator,
    replace_indicators,
)
from service.schemes.versions import (
    create_scheme,
    create_scheme_version,
    discard_scheme_version,
    edit_scheme_version,
)
from service.schemes.words import describe_check, describe_condition, describe_quantity, describe_rule

__all__ = [
    "RULE_KINDS",
    "AsTyped",
    "CategoryPoints",
    "IndicatorRow",
    "IndicatorSpec",
    "Reading",
    "SchemeCheck",
    "SchemeFault",
    "SumRow",
    "add_indicator",
    "check_version",
    "create_scheme",
    "create_scheme_version",
    "describe_check",
    "describe_condition",
    "describe_quantity",
    "describe_rule",
    "discard_scheme_version",
    "edit_indicator",
    "edit_scheme_version",
    "freeze_draft",
    "freeze_scheme_version",
    "import_scheme",
    "move_indicator",
    "remove_indicator",
    "replace_indicators",
    "scheme_document",
    "scheme_file",
]
