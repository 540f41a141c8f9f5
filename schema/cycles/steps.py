"""What may come next for a cycle, and what stands in the way (周期流转)."""

from enum import Enum

from schema.errors import Error
from schema.jobs import say
from schema.mapping import column, document, enumeration, value
from schema.scope import IN_FORCE
from service.cycles import STEPS, Step
from service.errors import ErrorCode
from service.scoring.text import Text


@enumeration("Life of a cycle.")
class CycleState(Enum):
    """States."""

    DRAFT = "Being prepared (筹备)."
    OPEN = "Units report (填报中)."
    REVIEWING = "Reports are judged (审核中)."
    RANKED = "A run has been adopted (已测算)."
    NOTICED = "Provisional result is out (公示中)."
    PUBLISHED = "Final (已通报)."
    ARCHIVED = "Closed (已归档)."


@value
class StateIssue(Error):
    """One thing that stands in the way of a step."""

    code: ErrorCode = column("For programs.")
    message: str = column("For people, with numbers.")
    path: list[str] | None = column("What it is about.")
    hint: str | None = column("What would clear it.")
    count: int | None = column("How many objects it is about.")


@value
class CycleTransitionInfo:
    """One step that a cycle may take."""

    to: CycleState = column("To which state.")
    mutation: str = column("Mutation that does it.")
    possible: bool = column("Whether it would succeed now for the viewer, as far as its state goes.")
    blockers: list[StateIssue] = document("What stands in the way.")


_ORGANISES = f"""EXISTS (SELECT 1 FROM grants gs
    JOIN org_units go ON go.tenant_id = gs.tenant_id AND go.id = gs.unit_id AND go.parent_id IS NULL
    WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND gs.role = 'ORGANISER' AND {IN_FORCE})"""

_NOT_ORGANISER = Text(zh="需要考核办的授权。", en="This needs a grant as organiser.")

_ASK = Text(zh="请联系本区系统管理员授权。", en="Ask your district's administrator for a grant.")

_FORBIDDEN = f"""SELECT 0 AS place, jsonb_build_object('code', 'FORBIDDEN', 'message', {say(_NOT_ORGANISER)},
        'hint', {say(_ASK)}) AS said
    WHERE NOT {_ORGANISES}"""


def blockers_of(step: Step) -> str:
    """SQL for what stands in the way of a step of the cycle {t}, as a JSON list."""
    parts = [_FORBIDDEN] + [
        f"""SELECT {place}, jsonb_build_object('code', 'ILLEGAL_STATE', 'hint', {say(blocker.hint)}, 'count', counted.n,
                'message', replace({say(Text(*(part.replace("{count}", "%n") for part in blocker.text)))}, '%n',
                                   counted.n::text))
            FROM (SELECT ({blocker.sql})::int AS n) counted WHERE counted.n > 0"""
        for place, blocker in enumerate(step.blockers, 1)
    ]
    return f"""(SELECT coalesce(jsonb_agg(bl.said ORDER BY bl.place), '[]')
                FROM ({" UNION ALL ".join(parts)}) bl)"""


_TRANSITIONS = " UNION ALL ".join(
    f"""SELECT {place} AS place, '{step.to}' AS "to", '{step.mutation}' AS mutation, {blockers_of(step)} AS blockers
        WHERE {{t}}.state IN ({", ".join(f"'{source}'" for source in step.sources)})"""
    for place, step in enumerate(STEPS)
)

TRANSITIONS = f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('to', tr."to", 'mutation', tr.mutation,
        'possible', jsonb_array_length(tr.blockers) = 0, 'blockers', tr.blockers) ORDER BY tr.place), '[]')
    FROM ({_TRANSITIONS}) tr)"""
