"""Who may judge an assessment, and why not, as SQL (审核与评分权限): one definition for use-cases and for reads.

Templates with places, as in `service.reports.rights`; {t} is the alias of a row of `assessments`.
"""

from service.access import Role
from service.reports.rights import ASSESSMENT_NARROWED, HELD, OWN_UNIT, SETTLED_STATES
from service.scoring.text import Text

JUDGING_STATES = ("OPEN", "REVIEWING", "RANKED")
"""Of the cycle: assessments may be judged; after that an objection is the way."""

LEVELS = """CASE WHEN ri.review_levels IS NULL OR ri.review_levels = 'null' THEN rv.settings -> 'reviewLevels'
    ELSE ri.review_levels END"""
"""Of an indicator `ri` and its version `rv`: the levels that judge it."""

ROUTE = f"""SELECT ri.rule ->> 'kind' = 'AWARD' AS award, lv.level ->> 'unitKind' AS unit_kind,
    CASE WHEN ri.rule ->> 'kind' = 'AWARD' THEN 'AWARD' WHEN {{t}}.levels = 0 THEN 'ORGANISER'
         ELSE coalesce(lv.level ->> 'route', 'TERRITORIAL') END AS route
    FROM indicators ri
    JOIN scheme_versions rv ON rv.tenant_id = ri.tenant_id AND rv.id = ri.scheme_version_id
    CROSS JOIN LATERAL (SELECT {LEVELS} -> ({{t}}.level - 1) AS level) lv
    WHERE ri.tenant_id = {{tenant}} AND ri.id = {{t}}.indicator_id"""
"""Of an assessment: whose judgement its present level is. Leaves without levels are the organiser's to send back."""

JUDGE = f"""SELECT jg.role, jg.unit_id FROM ({ROUTE}) rt CROSS JOIN LATERAL (
        SELECT gg.role, gg.unit_id, ga.depth AS far FROM grants gg
        JOIN cycle_unit_ancestors ga ON ga.tenant_id = gg.tenant_id AND ga.ancestor_id = gg.unit_id
             AND ga.cycle_unit_id = {{t}}.cycle_unit_id AND ga.depth > 0
        WHERE rt.route = 'TERRITORIAL' AND {HELD} AND gg.role = 'REVIEWER' AND {ASSESSMENT_NARROWED}
          AND (rt.unit_kind IS NULL OR EXISTS (SELECT 1 FROM cycle_units gk WHERE gk.tenant_id = {{tenant}}
               AND gk.cycle_id = {{t}}.cycle_id AND gk.unit_id = gg.unit_id AND gk.kind = rt.unit_kind))
        UNION ALL
        SELECT gg.role, gg.unit_id, go.depth FROM grants gg
        JOIN org_unit_ancestors go ON go.tenant_id = gg.tenant_id AND go.ancestor_id = gg.unit_id
        JOIN indicator_responsibles gr ON gr.tenant_id = go.tenant_id AND gr.unit_id = go.unit_id
             AND gr.indicator_id = {{t}}.indicator_id
        WHERE {HELD} AND {ASSESSMENT_NARROWED} AND (rt.route IN ('DEPARTMENTAL', 'AWARD') AND gg.role = 'ASSESSOR'
              OR rt.route = 'DEPARTMENTAL' AND gg.role = 'REVIEWER' AND go.depth = 0)
        UNION ALL
        SELECT gg.role, gg.unit_id, 0 FROM grants gg
        JOIN org_units gu ON gu.tenant_id = gg.tenant_id AND gu.id = gg.unit_id AND gu.parent_id IS NULL
        WHERE rt.route = 'ORGANISER' AND {HELD} AND gg.role = 'ORGANISER' AND {ASSESSMENT_NARROWED}
    ) jg ORDER BY jg.far, jg.unit_id LIMIT 1"""
"""Of an assessment: the grant by which the viewer judges its present level; no row where it does not."""

REASONS = {
    "OWN_UNIT": Text(zh="不得审核、评分本单位。", en="Nobody judges the own unit."),
    "WAITING": Text(zh="填报值尚未全部报送。", en="Its values are not all submitted."),
    "RETURNED": Text(zh="已退回，等待重新报送。", en="It was sent back and has not come again."),
    "SETTLED": Text(zh="已审核办结。", en="It has been judged."),
    "CYCLE_OVER": Text(zh="考核周期已过审核阶段。", en="The cycle is past the stages in which assessments are judged."),
    "NOT_TERRITORIAL": Text(
        zh="本级由上级单位的审核员审核（属地审核）。", en="This level is judged by a reviewer of a unit above."
    ),
    "NOT_DEPARTMENTAL": Text(
        zh="本级由责任单位审核（归口审核）。", en="This level is judged by the responsible department."
    ),
    "NOT_AWARD": Text(
        zh="该项由责任单位的评分员赋分。", en="Marks are awarded by an assessor of the responsible department."
    ),
    "NOT_ORGANISER": Text(
        zh="该项报送即办结，退回和调整由考核办办理。",
        en="It settles when it is submitted; only the organiser sends it back.",
    ),
}
"""Why the viewer may not judge now, by name."""

JUDGES = {
    "TERRITORIAL": (Role.REVIEWER,),
    "DEPARTMENTAL": (Role.ASSESSOR, Role.REVIEWER),
    "AWARD": (Role.ASSESSOR,),
    "ORGANISER": (Role.ORGANISER,),
}
"""Roles that judge, by the route of the level."""

RESPONSIBLE = """(SELECT lr.unit_id FROM indicator_responsibles lr
    WHERE lr.tenant_id = {tenant} AND lr.indicator_id = {t}.indicator_id ORDER BY lr.position LIMIT 1)"""
"""Of an assessment or an event: the department that comes first for its leaf; null without one."""

JUDGING_UNIT = f"""SELECT CASE WHEN rt.route IN ('DEPARTMENTAL', 'AWARD') THEN {RESPONSIBLE}
        WHEN rt.route = 'TERRITORIAL' THEN (
            SELECT ca.ancestor_id FROM cycle_unit_ancestors ca
            JOIN cycle_units cu ON cu.tenant_id = ca.tenant_id AND cu.cycle_id = {{t}}.cycle_id
                 AND cu.unit_id = ca.ancestor_id AND (rt.unit_kind IS NULL OR cu.kind = rt.unit_kind)
            WHERE ca.tenant_id = {{tenant}} AND ca.cycle_unit_id = {{t}}.cycle_unit_id AND ca.depth > 0
            ORDER BY ca.depth LIMIT 1) END
    FROM ({ROUTE}) rt"""
"""Of an assessment: the unit that judges its present level; null where that is the organiser."""

ROLE_REASON = f"""CASE WHEN {OWN_UNIT} THEN 'OWN_UNIT'
    WHEN NOT EXISTS ({JUDGE}) THEN 'NOT_' || (SELECT rr.route FROM ({ROUTE}) rr) END"""
"""Of an assessment: why the viewer is not who judges it; null where it is."""

NOT_REVIEWABLE = f"""CASE
    WHEN {{t}}.state IN ('WAITING', 'RETURNED') THEN {{t}}.state
    WHEN {{t}}.state IN {SETTLED_STATES} THEN 'SETTLED'
    WHEN NOT EXISTS (SELECT 1 FROM cycles xy WHERE xy.tenant_id = {{tenant}} AND xy.id = {{t}}.cycle_id
        AND xy.state IN {JUDGING_STATES}) THEN 'CYCLE_OVER'
    ELSE {ROLE_REASON} END"""
"""Of an assessment: the name of the reason why the viewer may not judge it now; null where it may."""
