"""Full marks of a leaf for a unit (满分值), as use-cases and reads know them."""

FULL_MARKS = """(SELECT coalesce((fi.rule ->> 'full')::numeric,
        CASE fv.weighting WHEN 'RELATIVE' THEN 100 ELSE coalesce(
        (SELECT (fp.value ->> 'points')::numeric FROM jsonb_array_elements(fi.points_by_category) fp
         WHERE fp.value ->> 'category' = fu.category_id::text LIMIT 1), fi.points) END, 0)
    FROM indicators fi
    JOIN scheme_versions fv ON fv.tenant_id = fi.tenant_id AND fv.id = fi.scheme_version_id
    JOIN cycle_units fu ON fu.tenant_id = fi.tenant_id AND fu.id = {t}.cycle_unit_id
    WHERE fi.tenant_id = {tenant} AND fi.id = {t}.indicator_id)"""
"""Of an assessment {t}: the rule's own full marks, else 100 under relative weights, else the points of the category."""
