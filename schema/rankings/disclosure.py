"""What a viewer may see of a standing, by right or by publication (公开范围)."""

from schema.scope import READERS, covers

OWN = f"({{all}} OR {covers('{t}.cycle_unit_id', *READERS)})"
"""Of a standing: the viewer reads all of it, published or not being another question."""


def published(*parts: str) -> str:
    """Of a standing: a publication of its run shows one of these parts of it to everyone."""
    shown = " OR ".join(
        f"""pd.disclosure ->> '{part}' = 'ALL'
            OR pd.disclosure ->> '{part}' = 'BEST' AND {{t}}.rank <= (pd.disclosure ->> 'bestCount')::int"""
        for part in parts
    )
    return f"""EXISTS (SELECT 1 FROM publications pd
        WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND ({shown}))"""


PUBLISHED = """EXISTS (SELECT 1 FROM publications pd WHERE pd.tenant_id = {tenant} AND pd.run_id = {t}.run_id)"""


def disclosed(sql: str, part: str) -> str:
    """An expression of a standing, or null where the viewer may not see that part."""
    return f"CASE WHEN {OWN} OR {published(part)} THEN {sql} END"


GRADES_SHOWN = f"""({{all}} OR {published("grades")} OR {OWN} AND EXISTS (SELECT 1 FROM publications pd
    WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND pd.kind <> 'INTERIM'))"""
"""Of a standing: the viewer may know its grade. An interim board has no grades, not even the own."""
