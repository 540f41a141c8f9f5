"""Cycles and their units, as frontends see them (考核周期、参评单位)."""

from schema.cycles import live, mutations
from schema.cycles.cycles import Cycle
from schema.cycles.steps import StateIssue, blockers_of
from schema.cycles.units import CycleUnit

__all__ = ["Cycle", "CycleUnit", "StateIssue", "blockers_of", "live", "mutations"]
