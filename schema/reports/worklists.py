"""What a viewer has to fill, and whose reports are its own (待填任务)."""

from service.reports.rights import (
    FILLING_STATES,
    HELD,
    OWN_UNIT,
    PLAIN,
    TASK_GRANTED,
    TASK_NARROWED,
    WRITABLE_STATES,
    only,
)

_ACTIVE = f"wc.state IN {FILLING_STATES}"

# By arrays, so that PostgreSQL looks the tasks up by them, whichever of the ways are open to the viewer.
_OF_UNITS = f"""{{r}}.filler = 'UNIT' AND {{r}}.state IN {WRITABLE_STATES} AND {{r}}.cycle_unit_id = ANY (ARRAY(
    SELECT wu.id FROM grants gg
    JOIN cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id
    JOIN cycles wc ON wc.tenant_id = wu.tenant_id AND wc.id = wu.cycle_id AND {_ACTIVE}
    WHERE {HELD} AND gg.role = 'SECRETARY' AND {PLAIN}))"""
_OF_UNITS_NARROWED = f"""{{narrowed}} AND {{r}}.id = ANY (ARRAY(
    SELECT wt.id FROM grants gg
    JOIN cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id
    JOIN cycles wc ON wc.tenant_id = wu.tenant_id AND wc.id = wu.cycle_id AND {_ACTIVE}
    JOIN tasks wt ON wt.tenant_id = wu.tenant_id AND wt.cycle_unit_id = wu.id AND wt.filler = 'UNIT'
         AND wt.state IN {WRITABLE_STATES}
    WHERE {HELD} AND gg.role = 'SECRETARY' AND NOT ({PLAIN}) AND {TASK_NARROWED.replace("{t}", "wt")}))"""
_OF_DEPARTMENTS = f"""{{r}}.id = ANY (ARRAY(
    SELECT wt.id FROM grants gg
    JOIN org_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN scheme_version_items wi ON wi.tenant_id = wa.tenant_id AND wa.unit_id = ANY (wi.responsible_unit_ids)
         AND wi.source = 'REVIEWED'
    JOIN cycles wc ON wc.tenant_id = wi.tenant_id AND wc.scheme_version_id = wi.scheme_version_id AND {_ACTIVE}
    JOIN tasks wt ON wt.tenant_id = wc.tenant_id AND wt.cycle_id = wc.id AND wt.data_item_id = wi.data_item_id
         AND wt.filler = 'RESPONSIBLE_UNIT' AND wt.state IN {WRITABLE_STATES}
    WHERE {HELD} AND gg.role = 'ASSESSOR' AND {TASK_GRANTED.replace("{t}", "wt")}
      AND NOT {OWN_UNIT.replace("{t}", "wt")}))"""

WORKLIST = f"""{only("secretary", _OF_UNITS)} OR {only("narrowed", _OF_UNITS_NARROWED)}
    OR {only("assessor", _OF_DEPARTMENTS)}"""
"""Of a task {{r}}: the viewer has to fill it. Starts from the viewer's grants and the active cycles, so that it costs
what there is to do, however many years lie behind. All of its ways are ways of TASK_VISIBLE and of FILLS_SIDE too:
whoever has to fill a task sees it, and is of the side that fills it."""

OWN_REPORTS = f"""{{r}}.cycle_unit_id IN (
    SELECT wu.id FROM grants gg
    JOIN cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
    JOIN cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id AND wu.assessed
         AND (gg.category_ids = '{{}}' OR wu.category_id = ANY (gg.category_ids))
    JOIN cycles wc ON wc.tenant_id = wu.tenant_id AND wc.id = wu.cycle_id AND wc.state <> 'ARCHIVED'
    WHERE {HELD} AND gg.role = 'SECRETARY')"""
"""Of a report {{r}}: it is of a unit that the viewer reports for, in a cycle that is not archived."""

NEWEST_REPORTS = """(SELECT oc.starts_on FROM cycles oc WHERE oc.tenant_id = {tenant} AND oc.id = {r}.cycle_id) DESC,
    (SELECT ou.code FROM cycle_units ou WHERE ou.tenant_id = {tenant} AND ou.id = {r}.cycle_unit_id), {r}.id"""
