"""Cycles (考核周期): preparing one, setting targets, asking for its opening, and the steps of its life."""

from service.cycles.preparing import CycleSpec, create_cycle, edit_cycle
from service.cycles.steps import STATE_NAMES, STEPS, Step, filled, require_step
from service.cycles.taking import archive_cycle, begin_review, open_cycle
from service.cycles.targets import TargetRow, assign_targets

__all__ = [
    "STATE_NAMES",
    "STEPS",
    "CycleSpec",
    "Step",
    "TargetRow",
    "archive_cycle",
    "assign_targets",
    "begin_review",
    "create_cycle",
    "edit_cycle",
    "filled",
    "open_cycle",
    "require_step",
]
