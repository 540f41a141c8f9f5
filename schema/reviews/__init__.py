"""Assessments and reviews as frontends see them (考核评分、审核)."""

from schema.reviews import mutations
from schema.reviews.assessments import Assessment
from schema.reviews.queues import AWARD_QUEUE, LEAVES, RESPONSIBLE_LEAVES, REVIEW_QUEUE, ResponsibleLeafInfo
from schema.reviews.reviews import Review

__all__ = [
    "AWARD_QUEUE",
    "LEAVES",
    "RESPONSIBLE_LEAVES",
    "REVIEW_QUEUE",
    "Assessment",
    "ResponsibleLeafInfo",
    "Review",
    "mutations",
]
