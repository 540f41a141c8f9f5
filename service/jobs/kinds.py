"""What jobs there are (任务种类): each kind with its arguments, limits, words, and who may steer it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any, Generic, TypeVar
from uuid import UUID

from service.access import Role
from service.scoring.text import Text

A = TypeVar("A")


@dataclass(frozen=True)
class Kind(Generic[A]):
    """What a job does. `step` names the function that does it, `module:function`, taking a `JobRun`."""

    name: str
    arguments: type[A]
    """A frozen dataclass of UUID, str, int and bool fields."""
    step: str
    done: Text
    """What has been done when it has succeeded."""
    stages: Mapping[str, Text] = field(default_factory=dict)
    """What it does at each stage that its step reports, for people."""
    max_attempts: int = 3
    timeout: float = 600.0
    """Seconds that one attempt may take."""
    steered_by: frozenset[Role] = frozenset({Role.ORGANISER})
    """Who may cancel and retry it, where they hold the role for the whole district; so may who asked for it."""
    seen_by: frozenset[Role] | None = None
    """Who sees it, where they hold the role for the whole district; None: whoever reads all of the assessment."""
    repeatable: bool = False
    """Whether a finished job may be requested again under its key."""
    apart: bool = False
    """Whether an attempt runs in a process of its own, under the bound of KAOPING_JOB_MEMORY_MIB: for what computes."""
    every: timedelta | None = None
    """How often it runs by itself in each district; a finished round asks for the next one in its own commit."""
    measured: str | None = None
    """What measures an attempt in the worker, `module:context manager`, taking its `JobRun`."""
    kept: bool = True
    """Whether its row stays when it is done, because other rows point to it; else it goes after KAOPING_JOB_DAYS."""


@dataclass(frozen=True)
class CycleArguments:
    """Which cycle to open."""

    cycle_id: UUID


@dataclass(frozen=True)
class RunArguments:
    """Which run to compute."""

    run_id: UUID


@dataclass(frozen=True)
class WhatIfArguments:
    """Which trial to compute."""

    what_if_id: UUID


@dataclass(frozen=True)
class NoArguments:
    """All that is to be known is the district."""


OPEN_CYCLE = Kind(
    "OPEN_CYCLE",
    arguments=CycleArguments,
    step="service.opening:open_cycle",
    done=Text(zh="考核周期已启动填报。", en="The cycle is open."),
    stages={
        "FREEZING": Text(zh="正在检查并定稿方案。", en="Checking and freezing the scheme."),
        "UNITS": Text(zh="正在固定参评单位及其类别。", en="Fixing the units and their categories."),
        "TASKS": Text(zh="正在生成填报任务。", en="Making the tasks."),
        "ASSESSMENTS": Text(zh="正在生成考核评分表。", en="Making the assessments."),
        "FINISHING": Text(zh="正在下达目标并保存。", en="Handing out targets and saving."),
    },
    timeout=900,
    repeatable=True,
)
RANKING_RUN = Kind(
    "RANKING_RUN",
    arguments=RunArguments,
    step="service.rankings:compute_run",
    done=Text(zh="成绩测算完成。", en="The run is computed."),
    stages={
        "SNAPSHOT": Text(zh="正在读取已审定的数据。", en="Reading the settled values."),
        "SCORING": Text(zh="正在计算各项得分。", en="Scoring leaves and nodes."),
        "RANKING": Text(zh="正在排名。", en="Ranking."),
        "WRITING": Text(zh="正在保存考核结果。", en="Writing the standings."),
    },
    apart=True,
    measured="service.rankings.measuring:measured",
)
WHAT_IF = Kind(
    "WHAT_IF",
    arguments=WhatIfArguments,
    step="service.what_ifs:compute_what_if",
    done=Text(zh="试算完成。", en="The trial is computed."),
    stages={
        "SNAPSHOT": Text(zh="正在读取测算快照。", en="Reading the snapshot of the run."),
        "SCORING": Text(zh="正在试算。", en="Scoring under the other rules."),
        "WRITING": Text(zh="正在保存试算对比。", en="Writing the differences."),
    },
    apart=True,
)
ROBUSTNESS = Kind(
    "ROBUSTNESS",
    arguments=RunArguments,
    step="service.robustness:reckon_robustness",
    done=Text(zh="稳健性分析完成。", en="The robustness of the ranks is reckoned."),
    stages={
        "SNAPSHOT": Text(zh="正在读取测算快照。", en="Reading the snapshot of the run."),
        "DRAWING": Text(zh="正在抽样权重。", en="Drawing weights."),
        "WRITING": Text(zh="正在保存稳健性分析。", en="Writing the intervals."),
    },
    repeatable=True,
    apart=True,
)
HOUSEKEEPING = Kind(
    "HOUSEKEEPING",
    arguments=NoArguments,
    step="service.housekeeping:clean",
    done=Text(zh="已清理过期数据。", en="What had expired is removed."),
    steered_by=frozenset({Role.ADMINISTRATOR}),
    seen_by=frozenset({Role.ADMINISTRATOR}),
    repeatable=True,
    every=timedelta(hours=1),
    kept=False,
)

KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (OPEN_CYCLE, RANKING_RUN, WHAT_IF, ROBUSTNESS, HOUSEKEEPING)}
"""All kinds by name."""


def step_of(kind: Kind[Any]) -> Callable[[Any], Awaitable[None]]:
    """The function that does a kind of job: it takes its `JobRun`."""
    step: Callable[[Any], Awaitable[None]] = _named(kind.step)
    return step


def measuring_of(kind: Kind[Any]) -> Callable[[Any], AbstractContextManager[None]]:
    """What measures an attempt at it."""
    if kind.measured is None:
        return nullcontext
    measuring: Callable[[Any], AbstractContextManager[None]] = _named(kind.measured)
    return measuring


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
