"""Schemes, their versions, the indicator tree and its check, as frontends see them (考核方案、指标)."""

from schema.schemes import mutations
from schema.schemes.grades import Grade, grade_of
from schema.schemes.indicators import Indicator
from schema.schemes.settings import DisclosureInfo
from schema.schemes.versions import SchemeVersion
from schema.schemes.words import PublicationKind

__all__ = ["DisclosureInfo", "Grade", "Indicator", "PublicationKind", "SchemeVersion", "grade_of", "mutations"]
