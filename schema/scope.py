"""Which units of a cycle the viewer may look into, as SQL (可见范围): its grants × the tree as of the opening."""

from service.reports.rights import only

IN_FORCE = "(gs.valid_to IS NULL OR gs.valid_to >= {today})"
"""Of a grant `gs`: it has not ended."""


def covers(cycle_unit: str, *roles: str) -> str:
    """Predicate: the viewer holds one of the roles at the unit or above it; `cycle_unit` is SQL for the unit's id.

    A grant that is narrowed to categories covers only units of these.
    """
    names = ", ".join(f"'{role}'" for role in roles)
    return only(
        " ".join(roles).lower(),
        f"""EXISTS (SELECT 1 FROM grants gs
        JOIN cycle_unit_ancestors ca ON ca.tenant_id = gs.tenant_id AND ca.ancestor_id = gs.unit_id
             AND ca.cycle_unit_id = {cycle_unit}
        JOIN cycle_units cu ON cu.tenant_id = ca.tenant_id AND cu.id = ca.cycle_unit_id
        WHERE gs.tenant_id = {{tenant}} AND gs.holder_id = {{actor}} AND gs.role IN ({names}) AND {IN_FORCE}
          AND (gs.category_ids = '{{}}' OR cu.category_id = ANY (gs.category_ids)))""",
    )


READERS = ("SECRETARY", "REVIEWER", "OBSERVER", "ORGANISER")
"""Roles that read all of the units they cover."""
