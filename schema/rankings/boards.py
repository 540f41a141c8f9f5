"""A board's categories and places, of a run or a publication (榜单)."""

from decimal import Decimal
from typing import TYPE_CHECKING

from schema.mapping import column, document, relation, value
from schema.schemes import grade_of

if TYPE_CHECKING:
    from schema.cycles import CycleUnit
    from schema.directory import Category
    from schema.schemes import Grade


@value
class QuotaInfo:
    """Places of one grade."""

    grade: "Grade" = document("The grade.")
    parent: "CycleUnit | None" = relation(
        "Of which parent unit, where places are counted so; null per category, and for all units together.",
        on={"parent": "id"},
    )
    base: int = column("Units in the base.")
    places: int = column("Places.")
    used: int = column("Places taken.")


@value
class CategoryBoardInfo:
    """A category on a board."""

    category: "Category" = relation("The category.", on={"category_id": "id"})
    name: str = column("Its name at opening.")
    unit_count: int = column("Units.")
    ranked_count: int = column("Units with a rank.")
    highest: Decimal | None = column("Highest total shown.")
    median: Decimal | None = column("Median total.")
    lowest: Decimal | None = column("Lowest total.")
    quotas: list[QuotaInfo] = document(
        "Places per limited grade, used and left: of the category, of parents of its units, or of all together."
    )


def version_of(run: str) -> str:
    """SQL for the version that a run was computed on."""
    return f"""(SELECT rc.scheme_version_id FROM ranking_runs rn
        JOIN cycles rc ON rc.tenant_id = rn.tenant_id AND rc.id = rn.cycle_id
        WHERE rn.tenant_id = {{tenant}} AND rn.id = {run})"""


def _quotas(run: str) -> str:
    """SQL for the quotas of a run that concern the category `kc`; none where its grades are not the viewer's to see."""
    return f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('grade', {grade_of(version_of(run), "qq.v ->> 'grade'")},
            'parent', CASE WHEN qq.v ->> 'scope' = 'PARENT' THEN qq.v ->> 'group' END, 'base', qq.v -> 'base',
            'places', qq.v -> 'places', 'used', qq.v -> 'used') ORDER BY qq.o), '[]')
        FROM ranking_runs qr CROSS JOIN LATERAL jsonb_array_elements(qr.quotas) WITH ORDINALITY AS qq(v, o)
        WHERE qr.tenant_id = {{tenant}} AND qr.id = {run}
          AND ({{all}} OR EXISTS (SELECT 1 FROM publications pd WHERE pd.tenant_id = {{tenant}}
               AND pd.run_id = qr.id AND pd.disclosure ->> 'grades' = 'ALL'))
          AND (qq.v ->> 'scope' = 'ALL' OR qq.v ->> 'scope' = 'CATEGORY' AND qq.v ->> 'group' = kc.category_id::text
               OR qq.v ->> 'scope' = 'PARENT' AND EXISTS (SELECT 1 FROM cycle_units qu
                   WHERE qu.tenant_id = {{tenant}} AND qu.cycle_id = qr.cycle_id AND qu.category_id = kc.category_id
                     AND qu.assessed AND qu.parent_id = (qq.v ->> 'group')::uuid)))"""


def categories_of(run: str) -> str:
    """Rows over a board or run {{t}} whose run's id is `run`: its categories with their summary."""
    return f"""SELECT kc.category_id, kc.position, kc.name, count(sc.id)::int AS unit_count,
        count(sc.rank)::int AS ranked_count, max(sc.total) AS highest, min(sc.total) AS lowest,
        (SELECT (array_agg(sm.total ORDER BY sm.total))[(count(*)::int + 1) / 2] FROM standings sm
         WHERE sm.tenant_id = {{tenant}} AND sm.run_id = {run} AND sm.category_id = kc.category_id
           AND sm.total IS NOT NULL) AS median, {_quotas(run)} AS quotas
    FROM cycle_categories kc
    LEFT JOIN standings sc ON sc.tenant_id = {{tenant}} AND sc.run_id = {run} AND sc.category_id = kc.category_id
    WHERE kc.tenant_id = {{tenant}} AND kc.cycle_id = {{t}}.cycle_id
    GROUP BY kc.category_id, kc.position, kc.name"""
