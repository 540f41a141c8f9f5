"""Who may propose, see and decide events, as SQL (事项权限): one definition for use-cases and for reads.

Templates with places, as in `service.reports.rights`; {t} is the alias of a row of `events`, or of anything with
`cycle_id`, `cycle_unit_id` and `indicator_id`.
"""

from service.events.states import CYCLE_STATES
from service.reports.rights import ASSESSMENT_NARROWED, ASSESSMENT_VISIBLE, OWN_UNIT, covers, departments, granted, only
from service.scoring.text import Text

EVENT_VISIBLE = ASSESSMENT_VISIBLE
"""Of an event: its unit lies under a grant of the viewer, or its leaf is its department's."""

AS_ORGANISER = covers("('ORGANISER')", ASSESSMENT_NARROWED)
"""The viewer organises the assessment of the unit."""

AS_SECRETARY = covers("('SECRETARY')", ASSESSMENT_NARROWED)
"""The viewer reports for the unit."""

_LEAVES = "JOIN indicator_responsibles er ON er.tenant_id = go.tenant_id AND er.unit_id = go.unit_id"
AS_DEPARTMENT = only(
    "assessor",
    granted(
        f"{departments(_LEAVES)} AND gg.role = 'ASSESSOR' AND er.indicator_id = {{t}}.indicator_id", ASSESSMENT_NARROWED
    ),
)
"""The viewer is an assessor of a unit that is responsible for the leaf."""

PERSON = """coalesce((SELECT pt.member_id FROM service_tokens pt WHERE pt.tenant_id = {tenant} AND pt.id = {actor}),
    {actor})"""
"""The person behind the viewer: a token may act for an account."""

NOT_ENTITLED = f"""CASE
    WHEN {{t}}.proposed_person_id = {PERSON} THEN 'OWN_PROPOSAL'
    WHEN {OWN_UNIT} THEN 'OWN_UNIT'
    WHEN NOT ({AS_ORGANISER} OR {AS_DEPARTMENT}) THEN 'NO_ROLE' END"""
"""Of an event: the name of the reason why the viewer is not who decides it; null where it is."""

REASONS = {
    "OWN_PROPOSAL": Text(
        zh="不得认定本人申报的事项，须由另一人认定。", en="Another person decides what you proposed yourself."
    ),
    "OWN_UNIT": Text(zh="不得认定本单位的事项。", en="Nobody decides events of the own unit."),
    "NO_ROLE": Text(
        zh="事项由考核办或责任单位的评分员认定。",
        en="Events are decided by the organiser or by an assessor of the responsible department.",
    ),
}
"""Reasons by name."""

DECIDABLE = f"""({{t}}.state = 'PROPOSED' AND ({NOT_ENTITLED}) IS NULL
    AND EXISTS (SELECT 1 FROM cycles dy WHERE dy.tenant_id = {{tenant}} AND dy.id = {{t}}.cycle_id
        AND dy.state IN {CYCLE_STATES}))"""
"""Of an event: the viewer may confirm or reject it now."""

_AS_JUDGE = covers("('REVIEWER', 'ORGANISER')", ASSESSMENT_NARROWED)
NAMES_SHOWN = f"(NOT {OWN_UNIT} AND ({_AS_JUDGE} OR {AS_DEPARTMENT}))"
"""Of an event: the viewer may know who proposed and who decided it; the assessed unit and observers may not."""
