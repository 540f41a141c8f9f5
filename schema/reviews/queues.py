"""What waits for a viewer's judgement, and the leaves of its departments (待审核、责任指标)."""

from typing import TYPE_CHECKING

from schema.mapping import embedded, relation, value
from schema.progress import ProgressStats, leaf_stats
from service.reports.rights import ASSESSMENT_NARROWED, HELD, LEAF_NARROWED, OWN_UNIT, departments
from service.reviews.rights import JUDGING_STATES, LEVELS

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.directory import OrgUnit
    from schema.schemes import Indicator


@value
class ResponsibleLeafInfo:
    """One leaf of a cycle that the viewer's department is responsible for."""

    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    indicator: "Indicator" = relation("The leaf.", on={"indicator_id": "id"})
    responsible_unit: "OrgUnit" = relation("On whose behalf (责任单位).", on={"unit_id": "id"})
    stats: ProgressStats = embedded("Where it stands over all units.")


_QUEUE_LEVELS = f"""SELECT qc.id AS cycle_id, ri.id AS indicator_id, ql.level, ql.route, ql.unit_kind
    FROM cycles qc
    JOIN indicators ri ON ri.tenant_id = qc.tenant_id AND ri.scheme_version_id = qc.scheme_version_id AND ri.leaf
    JOIN scheme_versions rv ON rv.tenant_id = ri.tenant_id AND rv.id = ri.scheme_version_id
    CROSS JOIN LATERAL (
        SELECT 1 AS level, 'AWARD' AS route, NULL AS unit_kind WHERE ri.rule ->> 'kind' = 'AWARD'
        UNION ALL
        SELECT lv.n::int, lv.v ->> 'route', lv.v ->> 'unitKind'
        FROM jsonb_array_elements({LEVELS}) WITH ORDINALITY AS lv(v, n) WHERE ri.rule ->> 'kind' <> 'AWARD') ql
    WHERE qc.tenant_id = {{tenant}} AND qc.state IN {JUDGING_STATES}"""


def _queue(*routes: str) -> str:
    """Predicate: the assessment {r} waits for the viewer's judgement by one of the routes."""
    wanted = ", ".join(f"'{route}'" for route in routes)
    narrowed = ASSESSMENT_NARROWED.replace("{t}", "qa")
    joined = """qa.tenant_id = {tenant} AND qa.cycle_id = ql.cycle_id AND qa.indicator_id = ql.indicator_id
        AND qa.level = ql.level AND qa.state = 'READY' AND qa.levels > 0"""
    territorial = f"""SELECT qa.id FROM queue_levels ql
        JOIN grants gg ON {HELD} AND gg.role = 'REVIEWER'
        JOIN cycle_unit_ancestors ga ON ga.tenant_id = gg.tenant_id AND ga.ancestor_id = gg.unit_id AND ga.depth > 0
        JOIN assessments qa ON {joined} AND qa.cycle_unit_id = ga.cycle_unit_id
        WHERE ql.route = 'TERRITORIAL' AND {narrowed} AND NOT {OWN_UNIT.replace("{t}", "qa")}
          AND (ql.unit_kind IS NULL OR EXISTS (SELECT 1 FROM cycle_units gk WHERE gk.tenant_id = {{tenant}}
               AND gk.cycle_id = ql.cycle_id AND gk.unit_id = gg.unit_id AND gk.kind = ql.unit_kind))"""
    departmental = f"""SELECT qa.id FROM queue_levels ql
        JOIN indicator_responsibles gr ON gr.tenant_id = {{tenant}} AND gr.indicator_id = ql.indicator_id
        JOIN org_unit_ancestors go ON go.tenant_id = gr.tenant_id AND go.unit_id = gr.unit_id
        JOIN grants gg ON {HELD} AND gg.unit_id = go.ancestor_id
             AND (gg.role = 'ASSESSOR' OR ql.route = 'DEPARTMENTAL' AND gg.role = 'REVIEWER' AND go.depth = 0)
        JOIN assessments qa ON {joined}
        WHERE ql.route IN ({wanted}) AND ql.route <> 'TERRITORIAL' AND {narrowed}
          AND NOT {OWN_UNIT.replace("{t}", "qa")}"""
    parts = [territorial, departmental] if "TERRITORIAL" in routes else [departmental]
    return f"{{r}}.id IN (WITH queue_levels AS ({_QUEUE_LEVELS}) {' UNION ALL '.join(parts)})"


REVIEW_QUEUE = _queue("TERRITORIAL", "DEPARTMENTAL")

AWARD_QUEUE = _queue("AWARD")

RESPONSIBLE_LEAVES = f"""SELECT DISTINCT lc.id AS cycle_id, lc.starts_on, li.id AS indicator_id, li.print_order,
        lu.id AS unit_id, lu.code
    FROM (SELECT gg.*, go.unit_id AS department {departments()}) gg
    JOIN cycles lc ON lc.tenant_id = gg.tenant_id AND lc.state NOT IN ('DRAFT', 'ARCHIVED')
    JOIN indicators li ON li.tenant_id = lc.tenant_id AND li.scheme_version_id = lc.scheme_version_id AND li.leaf
    JOIN org_units lu ON lu.tenant_id = gg.tenant_id AND lu.id = gg.department
    WHERE {LEAF_NARROWED.replace("{leaf}", "li.id")} AND (
        EXISTS (SELECT 1 FROM indicator_responsibles lr WHERE lr.tenant_id = {{tenant}}
            AND lr.indicator_id = li.id AND lr.unit_id = gg.department)
        OR EXISTS (SELECT 1 FROM indicator_items lm
            JOIN scheme_version_items ls ON ls.tenant_id = lm.tenant_id AND ls.data_item_id = lm.data_item_id
                 AND ls.scheme_version_id = li.scheme_version_id AND ls.source = 'REVIEWED'
            WHERE lm.tenant_id = {{tenant}} AND lm.indicator_id = li.id
              AND (gg.data_item_ids = '{{}}' OR ls.data_item_id = ANY (gg.data_item_ids))
              AND gg.department = ANY (ls.responsible_unit_ids)))"""

LEAVES = f"""SELECT lx.*, lk.* FROM ({RESPONSIBLE_LEAVES}) lx
    CROSS JOIN LATERAL ({leaf_stats("lx.cycle_id", "lx.indicator_id")}) lk"""
"""Leaves that the viewer's departments fill, award or review, in cycles that are under way, with counters."""
