"""Assessments and reviews (考核评分、审核): judging, awarding marks, and the unit's own scores.

`review_assessments` decides one or thousands of assessments in a call; `rights` says who may, as SQL that reads share.
"""

from service.reviews.deciding import review_assessments
from service.reviews.decisions import Accept, Adjust, AdjustedValue, Award, Decision, Exempt, Reject, Return, ReviewSpec
from service.reviews.self_scores import SelfScoreSpec, save_self_scores

__all__ = [
    "Accept",
    "Adjust",
    "AdjustedValue",
    "Award",
    "Decision",
    "Exempt",
    "Reject",
    "Return",
    "ReviewSpec",
    "SelfScoreSpec",
    "review_assessments",
    "save_self_scores",
]
