"""Ranking runs, and ties that wait for a person (成绩测算、并列)."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.cycles import StateIssue, blockers_of
from schema.jobs import MESSAGE, JobState
from schema.jobs import say as spoken
from schema.mapping import (
    ID,
    Argument,
    Connection,
    Key,
    Node,
    by_id,
    column,
    connection,
    document,
    embedded,
    enumeration,
    expression,
    identifier,
    listing,
    query,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES
from schema.rankings.boards import CategoryBoardInfo, categories_of, version_of
from schema.rankings.robustness import ROBUSTNESS, RobustnessInfo
from schema.rankings.standings import Standing, StandingFilter, StandingOrder
from schema.schemes import PublicationKind, grade_of
from service.cycles import STATE_NAMES, STEPS
from service.cycles import Step as CycleStep
from service.publications import KIND_NAMES, STATE_AFTER
from service.scoring import Text

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.directory import Category
    from schema.jobs import Job
    from schema.members import Actor
    from schema.publications import Publication
    from schema.schemes import Grade


@enumeration("Stages of a run.")
class RunStage(Enum):
    """Stages."""

    QUEUED = "Waits for a worker."
    SNAPSHOT = "Takes the snapshot."
    SCORING = "Scores leaves and nodes."
    RANKING = "Ranks and grades."
    WRITING = "Writes standings."
    DONE = "Ended."


@value
class RunProgressInfo:
    """How far a run is."""

    stage: RunStage = expression(
        "What it does now.",
        """CASE WHEN {t}.state = 'QUEUED' THEN 'QUEUED' WHEN {t}.state = 'RUNNING' THEN coalesce({t}.stage, 'SNAPSHOT')
           ELSE 'DONE' END""",
    )
    percent: int = column("0 to 100.")
    units_done: int = column("Units done.")
    units_total: int = column("Units in all.")
    message: str = expression("In words, what it does now.", MESSAGE)


_NOT_DONE = Text(zh="该次测算尚未成功完成。", en="This run has not succeeded.")

_WAIT = Text(zh="请等待测算完成，或重新启动测算。", en="Wait for it to end, or start another run.")

_OTHER_RUN = Text(zh="该周期采用的不是这次测算。", en="The cycle stands on another run.")

_ADOPT = Text(zh="请先采用这次测算，再公示或通报。", en="Adopt this run first.")


def _issue(place: int, text: Text, hint: Text, where: str) -> str:
    return f"""SELECT {place} AS place, jsonb_build_object('code', 'ILLEGAL_STATE', 'message', {spoken(text)},
        'hint', {spoken(hint)}) AS said WHERE {where}"""


def _publishing(kind: str) -> str:
    """What is in the way of one kind of publication: of run {t} and its cycle `bc`."""
    step = next((step for step in STEPS if step.to == STATE_AFTER.get(kind)), None)
    # Feedback and interim boards change no state: whoever may publish may publish these.
    blockers = blockers_of(step or CycleStep((), "", "publishRun", KIND_NAMES[kind]))
    parts = [f"SELECT 2 AS place, bi.said FROM jsonb_array_elements({blockers.replace('{t}', 'bc')}) bi(said)"]
    if step is not None:
        names = [STATE_NAMES[source] for source in step.sources]
        text = Text(f"该周期现在不能{step.action.zh}。", f"The cycle can't be {step.action.en} now.")
        hint = Text(
            f"处于{'或'.join(f'“{name.zh}”' for name in names)}时才可以。",
            f"It must be {' or '.join(name.en for name in names)}.",
        )
        states = ", ".join(f"'{source}'" for source in step.sources)
        parts += [
            _issue(1, text, hint, f"bc.state NOT IN ({states})"),
            _issue(3, _OTHER_RUN, _ADOPT, "bc.adopted_run_id IS DISTINCT FROM {t}.id"),
        ]
    return f"SELECT bk.* FROM ({' UNION ALL '.join(parts)}) bk WHERE {{kind}} = '{kind}'"


_PUBLISH_BLOCKERS = f"""
    SELECT bx.place, bx.said ->> 'code' AS code, bx.said ->> 'message' AS message, NULL::text[] AS path,
           bx.said ->> 'hint' AS hint, (bx.said ->> 'count')::int AS count
    FROM cycles bc CROSS JOIN LATERAL (
        {_issue(0, _NOT_DONE, _WAIT, "{t}.state <> 'SUCCEEDED'")}
        UNION ALL {" UNION ALL ".join(_publishing(kind) for kind in KIND_NAMES)}
    ) bx
    WHERE bc.tenant_id = {{tenant}} AND bc.id = {{t}}.cycle_id"""
"""Rows over a run {{t}}: what publishRun would refuse."""


@table(
    """(SELECT rr.*, jr.kind, jr.state, jr.stage, jr.attempts, jr.cancel_requested, jr.percent,
               jr.units_done, jr.units_total FROM ranking_runs rr
        JOIN jobs jr ON jr.tenant_id = rr.tenant_id AND jr.id = rr.job_id)""",
    plural="ranking runs",
    visible="{all}",
)
class RankingRun(Node):
    """One background computation over a fixed snapshot of settled values (成绩测算)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    number: int = column("1, 2, 3 … in the cycle.")
    state: JobState = column("Where its job stands.")
    progress: RunProgressInfo = embedded("How far it is.")
    job: "Job" = relation("Its job.", on={"job_id": "id"})
    snapshot_at: datetime | None = column("Instant of the snapshot.")
    snapshot_digest: str | None = column("SHA-256 of the snapshot, hex.")
    engine_version: str | None = column("Version of the scoring engine.")
    requested_by: "Actor | None" = relation("Who asked for it.", on={"requested_by_id": "id"}, variants=ACTOR_TYPES)
    requested_at: datetime = column("When.")
    finished_at: datetime | None = column("When it ended.")
    adopted: bool = expression(
        "Whether the cycle stands on it.",
        """EXISTS (SELECT 1 FROM cycles ac WHERE ac.tenant_id = {tenant} AND ac.id = {t}.cycle_id
           AND ac.adopted_run_id = {t}.id)""",
    )
    unreviewed_count: int | None = column("Leaves not reviewed that count as missing.")
    missing_count: int | None = column("Leaves without a value.")
    categories: list[CategoryBoardInfo] = listing(
        "Summary per category.", rows=categories_of("{t}.id"), order="{r}.position"
    )
    standings: Connection[Standing] = connection(
        "The preview of the board.",
        on={"id": "run_id"},
        filter=StandingFilter,
        order=StandingOrder,
        default=[Key("{r}.position", "bigint")],
    )
    undecided_ties: "list[TieGroup]" = listing(
        "Ties that a person must order before publication. Once they are ordered, those of the next grade may follow.",
        on={"id": "run_id"},
        where="{r}.decided_at IS NULL",
        order="{r}.id",
    )
    publish_blockers: list[StateIssue] = listing(
        "What stands in the way of publishing it so.",
        rows=_PUBLISH_BLOCKERS,
        arguments=[Argument("kind", PublicationKind, "Which kind.")],
        order="{r}.place",
    )
    robustness: RobustnessInfo | None = relation("How firm the ranks are; null until reckoned.", rows=ROBUSTNESS)
    publications: "list[Publication]" = listing("What was published from it.", on={"id": "run_id"}, order="{r}.number")


@table("tie_groups", plural="tie groups", visible="{all}")
class TieGroup(Node):
    """Units that are equal where places run out (并列)."""

    id: ID = identifier()
    run: RankingRun = relation("Of which run.", on={"run_id": "id"})
    category: "Category | None" = relation(
        "The category; null where places are counted per parent or for all units together.", on={"category_id": "id"}
    )
    parent: "CycleUnit | None" = relation("The parent unit, where places are counted so.", on={"parent_id": "id"})
    grade: "Grade" = document("The grade whose places run out.", sql=grade_of(version_of("{t}.run_id"), "{t}.grade"))
    places_left: int = column("Places left for the group.")
    standings: list[Standing] = listing(
        "The equals, as ordered if they are.",
        where="""{r}.id IN (SELECT tm.standing_id FROM tie_group_members tm
                 WHERE tm.tenant_id = {tenant} AND tm.tie_group_id = {t}.id)""",
        order="""(SELECT tp.place FROM tie_group_members tp WHERE tp.tenant_id = {tenant} AND tp.tie_group_id = {t}.id
                  AND tp.standing_id = {r}.id), {r}.position""",
        limit=10_000,
    )
    decided: bool = expression("Whether a person ordered them.", "{t}.decided_at IS NOT NULL")
    reason: str | None = column("Why so.")
    by: "Actor | None" = relation("Who did.", on={"decided_by_id": "id"}, variants=ACTOR_TYPES)
    version: int = column("Rises with each decision.")


@query
class RankingsQuery:
    """Runs and standings."""

    ranking_run: RankingRun | None = by_id("One run.", "RankingRun")
    standing: Standing | None = by_id("One result.", "Standing")
