"""What a rule and a cross check of an indicator's row are read from (计分规则、审核关系的存储形式)."""

RULE = """CASE WHEN {t}.rule IS NOT NULL THEN {t}.rule || jsonb_build_object(
    'fullMarks', coalesce({t}.rule ->> 'full', (
        SELECT CASE WHEN rv.weighting = 'RELATIVE' THEN '100'
                    ELSE coalesce(trim_scale({t}.points)::text, {t}.points_by_category -> 0 ->> 'points', '0') END
        FROM scheme_versions rv WHERE rv.tenant_id = {tenant} AND rv.id = {t}.scheme_version_id)),
    'dataItems', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'code', ri.data_item_id, 'name', coalesce(rp.name, rd.name), 'type', coalesce(rp.type, rd.type),
            'options', coalesce(rp.options, rd.options)))
        FROM indicator_items ri
        JOIN data_items rd ON rd.tenant_id = {tenant} AND rd.id = ri.data_item_id
        LEFT JOIN scheme_version_items rp ON rp.tenant_id = {tenant} AND rp.data_item_id = ri.data_item_id
             AND rp.scheme_version_id = {t}.scheme_version_id
        WHERE ri.tenant_id = {tenant} AND ri.indicator_id = {t}.id), '[]')) END"""
"""The document of an indicator's rule: with its full marks, and its data items as the version knows them."""

CHECKS = """(SELECT coalesce(jsonb_agg(ce.v || jsonb_build_object('dataItems', (
        SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object(
            'code', cd.id, 'name', coalesce(cp.name, cd.name), 'type', coalesce(cp.type, cd.type),
            'options', coalesce(cp.options, cd.options))), '[]')
        FROM jsonb_path_query(ce.v, '$.**.dataItem') AS ck(key)
        JOIN data_items cd ON cd.tenant_id = {tenant} AND cd.id = (ck.key #>> '{}')::uuid
        LEFT JOIN scheme_version_items cp ON cp.tenant_id = {tenant} AND cp.data_item_id = cd.id
             AND cp.scheme_version_id = {t}.scheme_version_id)) ORDER BY ce.place), '[]')
    FROM jsonb_array_elements({t}.checks) WITH ORDINALITY AS ce(v, place))"""
"""The documents of an indicator's cross checks, each with its data items."""
