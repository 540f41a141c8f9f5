"""The one table of a cycle's steps and of what may stand in their way (周期流转).

    DRAFT ─openCycle→ OPEN ─beginReview→ REVIEWING ─adoptRun→ RANKED
          ─publishRun→ NOTICED ─publishRun→ PUBLISHED ─archiveCycle→ ARCHIVED

Use-cases refuse by it, refusals quote it, and the API shows it before anybody tries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from service.checks import Check
from service.errors import Conflict, IllegalState, NotFound, Path, VersionConflict
from service.scoring.text import Text
from tenants.database import Transaction

STATE_NAMES: Final = {
    "DRAFT": Text(zh="筹备", en="being prepared"),
    "OPEN": Text(zh="填报中", en="open"),
    "REVIEWING": Text(zh="审核中", en="under review"),
    "RANKED": Text(zh="已测算", en="ranked"),
    "NOTICED": Text(zh="公示中", en="noticed"),
    "PUBLISHED": Text(zh="已通报", en="published"),
    "ARCHIVED": Text(zh="已归档", en="archived"),
}


@dataclass(frozen=True)
class Blocker:
    """What may stand in the way of a step: how many objects do, as SQL over the cycle {t} of {tenant}, and in words.

    `{count}` in the words is that number.
    """

    name: str
    sql: str
    text: Text
    hint: Text


@dataclass(frozen=True)
class Step:
    """One step: from these states to that one, by a mutation, unless blocked."""

    sources: tuple[str, ...]
    to: str
    mutation: str
    action: Text
    blockers: tuple[Blocker, ...] = ()


# Units of today that the cycle would assess.
_UNITS = """
    SELECT bu.id, bu.category_id FROM org_units bu
    JOIN cycle_categories bc ON bc.tenant_id = {tenant} AND bc.cycle_id = {t}.id AND bc.category_id = bu.category_id
    JOIN tenants bt ON bt.tenant_id = {tenant}
    WHERE bu.tenant_id = {tenant} AND bu.valid_from <= (now() AT TIME ZONE bt.time_zone)::date
      AND (bu.valid_to IS NULL OR bu.valid_to >= (now() AT TIME ZONE bt.time_zone)::date)
      AND ({t}.under_id IS NULL OR EXISTS (SELECT 1 FROM org_unit_ancestors ba WHERE ba.tenant_id = {tenant}
                                           AND ba.unit_id = bu.id AND ba.ancestor_id = {t}.under_id))
"""

# Assigned items with the categories that a leaf over them applies to: a node holds for its own categories and for all
# below it.
_ASSIGNED = """
    WITH RECURSIVE up AS (
        SELECT li.id AS leaf, li.parent_id, li.category_ids FROM indicators li
        WHERE li.tenant_id = {tenant} AND li.scheme_version_id = {t}.scheme_version_id AND li.leaf
        UNION ALL
        SELECT up.leaf, pi.parent_id, pi.category_ids FROM up
        JOIN indicators pi ON pi.tenant_id = {tenant} AND pi.id = up.parent_id
    )
    SELECT DISTINCT ii.data_item_id, kc.category_id FROM indicator_items ii
    JOIN data_items di ON di.tenant_id = {tenant} AND di.id = ii.data_item_id
    LEFT JOIN scheme_version_items vi ON vi.tenant_id = {tenant} AND vi.scheme_version_id = {t}.scheme_version_id
                                     AND vi.data_item_id = ii.data_item_id
    JOIN cycle_categories kc ON kc.tenant_id = {tenant} AND kc.cycle_id = {t}.id
    WHERE ii.tenant_id = {tenant} AND ii.indicator_id IN (SELECT leaf FROM up)
      AND coalesce(vi.source, di.source) = 'ASSIGNED'
      AND NOT EXISTS (SELECT 1 FROM up WHERE up.leaf = ii.indicator_id AND up.category_ids <> '{}'
                      AND NOT kc.category_id = ANY (up.category_ids))
"""

_OPENING = Blocker(
    "OPENING",
    """(SELECT count(*) FROM jobs oj WHERE oj.tenant_id = {tenant} AND oj.id = {t}.opening_job_id
        AND oj.state IN ('QUEUED', 'RUNNING'))""",
    Text(zh="正在启动填报。", en="It is being opened."),
    Text(zh="请等待启动完成，或取消该后台任务。", en="Wait until it is open, or cancel the job."),
)

_TIES = Blocker(
    "TIES",
    """(SELECT count(*) FROM tie_groups tg WHERE tg.tenant_id = {tenant} AND tg.run_id = {t}.adopted_run_id
        AND tg.decided_at IS NULL)""",
    Text(zh="有{count}组并列须先排序。", en="{count} group(s) of equals have to be ordered."),
    Text(
        zh="请为名额边缘的并列单位排序，并写明理由。", en="Order the equals at the edge of the places, with a reason."
    ),
)

STEPS: Final = (
    Step(
        ("DRAFT",),
        "OPEN",
        "openCycle",
        Text(zh="启动填报", en="opened"),
        (
            _OPENING,
            Blocker(
                "NO_UNITS",
                f"(CASE WHEN EXISTS ({_UNITS}) THEN 0 ELSE 1 END)",
                Text(
                    zh="没有参评单位：所选考核类别中没有现存单位。",
                    en="Nobody would be assessed: no unit of today has its categories.",
                ),
                Text(zh="请先给单位设置考核类别。", en="Give units one of its categories first."),
            ),
            Blocker(
                "TARGETS",
                f"""(SELECT count(*) FROM ({_ASSIGNED}) si JOIN ({_UNITS}) su ON su.category_id = si.category_id
                     LEFT JOIN cycle_targets st ON st.tenant_id = {{tenant}} AND st.cycle_id = {{t}}.id
                          AND st.data_item_id = si.data_item_id AND st.unit_id = su.id
                     WHERE st.unit_id IS NULL)""",
                Text(zh="有{count}个目标值尚未下达。", en="{count} targets have not been set."),
                Text(
                    zh="请用 assignTargets 给每个参评单位下达目标；启动之后不能再下达。",
                    en="Set one for each unit with assignTargets; after the opening it is too late.",
                ),
            ),
        ),
    ),
    Step(("OPEN",), "REVIEWING", "beginReview", Text(zh="转入审核", en="passed to review")),
    Step(
        ("REVIEWING", "RANKED"),
        "RANKED",
        "adoptRun",
        Text(zh="采用测算结果", en="ranked"),
        (
            Blocker(
                "NO_RUN",
                """(CASE WHEN EXISTS (SELECT 1 FROM ranking_runs br
                        JOIN jobs bj ON bj.tenant_id = br.tenant_id AND bj.id = br.job_id AND bj.state = 'SUCCEEDED'
                        WHERE br.tenant_id = {tenant} AND br.cycle_id = {t}.id) THEN 0 ELSE 1 END)""",
                Text(zh="还没有成功完成的测算。", en="No run has succeeded yet."),
                Text(zh="请先启动测算并等待完成。", en="Start a run and wait for it to end."),
            ),
        ),
    ),
    Step(("RANKED",), "NOTICED", "publishRun", Text(zh="公示", en="noticed"), (_TIES,)),
    Step(
        ("NOTICED", "RANKED"),
        "PUBLISHED",
        "publishRun",
        Text(zh="通报", en="published"),
        (
            Blocker(
                "NOTICE_FIRST",
                """(SELECT count(*) FROM scheme_versions bv WHERE bv.tenant_id = {tenant}
                    AND bv.id = {t}.scheme_version_id AND {t}.state = 'RANKED'
                    AND NOT coalesce((bv.settings ->> 'skipNotice')::boolean, false))""",
                Text(zh="该方案要求先公示再通报。", en="This scheme asks for a notice before the final publication."),
                Text(zh="请先发布公示。", en="Publish the notice first."),
            ),
            _TIES,
            Blocker(
                "NOT_RECORDED",
                """(SELECT count(*) FROM scheme_versions gv WHERE gv.tenant_id = {tenant}
                    AND gv.id = {t}.scheme_version_id AND coalesce(gv.settings -> 'grades', '[]') <> '[]'
                    AND coalesce((gv.settings ->> 'bodyDecides')::boolean, true)
                    AND NOT EXISTS (SELECT 1 FROM grade_records gr WHERE gr.tenant_id = {tenant}
                        AND gr.run_id = {t}.adopted_run_id))""",
                Text(zh="等次尚未经审定。", en="The deciding body has not settled the grades."),
                Text(zh="请先录入审定等次。", en="Record what it settled first."),
            ),
        ),
    ),
    Step(("PUBLISHED",), "ARCHIVED", "archiveCycle", Text(zh="归档", en="archived")),
)
"""Every step there is."""


def filled(sql: str, *, cycle: str, tenant: str) -> str:
    """A blocker's SQL with its places filled."""
    return sql.replace("{t}", cycle).replace("{tenant}", tenant)


async def require_step(tx: Transaction, cycle_id: UUID, state: str, to: str, *, path: Path) -> None:
    """Refuse with IllegalState, saying all that is in the way, unless the cycle, now in `state`, may pass to `to`."""
    step = next(step for step in STEPS if step.to == to)
    if state not in step.sources:
        raise refused(
            cycle_id,
            state,
            step.sources,
            path,
            Text(
                zh=f"该周期处于“{STATE_NAMES[state].zh}”，不能{step.action.zh}。",
                en=f"The cycle is {STATE_NAMES[state].en}, so it can't be {step.action.en}.",
            ),
            Text(
                zh=f"处于{'或'.join(f'“{STATE_NAMES[source].zh}”' for source in step.sources)}时才可以。",
                en=f"It must be {' or '.join(STATE_NAMES[source].en for source in step.sources)}.",
            ),
        )
    found = await _blocked(tx, cycle_id, step.blockers)
    if found:
        raise refused(
            cycle_id,
            state,
            step.sources,
            path,
            Text(zh="".join(text.zh for text, _ in found), en=" ".join(text.en for text, _ in found)),
            Text(zh="".join(hint.zh for _, hint in found), en=" ".join(hint.en for _, hint in found)),
        )


async def _blocked(tx: Transaction, cycle_id: UUID, blockers: Sequence[Blocker]) -> list[tuple[Text, Text]]:
    """What is said by the blockers that hold."""
    if not blockers:
        return []
    counts = ", ".join(f"({filled(b.sql, cycle='cy', tenant='$1')})" for b in blockers)
    row = await tx.fetchrow(
        f"SELECT {counts} FROM cycles cy WHERE cy.tenant_id = $1 AND cy.id = $2", tx.tenant_id, cycle_id
    )
    assert row is not None
    return [
        (Text(*(part.replace("{count}", str(count)) for part in blocker.text)), blocker.hint)
        for blocker, count in zip(blockers, row, strict=True)
        if count
    ]


def refused(cycle_id: UUID, state: str, legal_from: Sequence[str], path: Path, text: Text, hint: Text) -> IllegalState:
    """The refusal of a step that the cycle, in `state`, can't take."""
    return IllegalState(text, state=state, legal_from=legal_from, subject=("Cycle", cycle_id), path=path, hint=hint)


async def locked(tx: Transaction, cycle_id: str, version: int | None) -> asyncpg.Record:
    """The cycle's row, held. Refuses at once while it is being opened: the opening holds it for as long as it takes."""
    check = Check()
    path = ("input", "cycleId")
    key = check.id(path, cycle_id, "Cycle")
    check.done()
    found = await tx.fetchrow(
        f"""SELECT cy.state, {filled(_OPENING.sql, cycle="cy", tenant="$1")} AS opening FROM cycles cy
            WHERE cy.tenant_id = $1 AND cy.id = $2""",
        tx.tenant_id,
        key,
    )
    if found is None:
        raise NotFound(path)
    assert key is not None
    if found["opening"]:
        raise refused(key, found["state"], ("DRAFT",), path, _OPENING.text, _OPENING.hint)
    row = await tx.fetchrow("SELECT * FROM cycles WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tx.tenant_id, key)
    assert row is not None, "cycles are not deleted"
    if version is not None and row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "Cycle", key)])
    return row
