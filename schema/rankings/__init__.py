"""Ranking runs and standings, as frontends see them (成绩测算、考核结果)."""

from schema.rankings import live, mutations, robustness
from schema.rankings.boards import CategoryBoardInfo, categories_of
from schema.rankings.explanations import ValueState
from schema.rankings.runs import RankingRun
from schema.rankings.standings import Standing, StandingFilter, StandingOrder

__all__ = [
    "CategoryBoardInfo",
    "RankingRun",
    "Standing",
    "StandingFilter",
    "StandingOrder",
    "ValueState",
    "categories_of",
    "live",
    "mutations",
    "robustness",
]
