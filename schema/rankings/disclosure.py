"""What a viewer may see of a standing, by right or by publication (公开范围)."""

from schema.scope import READERS, covers
from service.reports.rights import seen_by

OWN = seen_by(covers("{t}.cycle_unit_id", *READERS))
"""Of a standing: the viewer reads all of it, published or not being another question."""


def published(*parts: str) -> str:
    """Of a standing: a publication of its run shows one of these parts of it to everyone.

    Which runs show it of all their standings is reckoned once per statement.
    """
    to_all = " OR ".join(f"pd.disclosure ->> '{part}' = 'ALL'" for part in parts)
    best = " OR ".join(
        f"pd.disclosure ->> '{part}' = 'BEST' AND {{t}}.rank <= (pd.disclosure ->> 'bestCount')::int" for part in parts
    )
    return f"""({{t}}.run_id IN (SELECT pd.run_id FROM publications pd WHERE pd.tenant_id = {{tenant}} AND ({to_all}))
        OR EXISTS (SELECT 1 FROM publications pd
            WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND ({best})))"""


PUBLISHED = "{t}.run_id = ANY (ARRAY(SELECT pd.run_id FROM publications pd WHERE pd.tenant_id = {tenant}))"


def disclosed(sql: str, part: str) -> str:
    """An expression of a standing, or null where the viewer may not see that part."""
    return f"CASE WHEN {{all}} OR {published(part)} OR {OWN} THEN {sql} END"


GRADES_SHOWN = f"""({{all}} OR {published("grades")} OR {OWN} AND EXISTS (SELECT 1 FROM publications pd
    WHERE pd.tenant_id = {{tenant}} AND pd.run_id = {{t}}.run_id AND pd.kind <> 'INTERIM'))"""
"""Of a standing: the viewer may know its grade. An interim board has no grades, not even the own."""
