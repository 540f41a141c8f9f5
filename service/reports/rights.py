"""Who may see and fill a task, and why not, as SQL (填报权限与锁定): one definition for use-cases and for reads.

Templates with places: {t} is the alias of a row of `tasks` or `assessments`; {tenant}, {actor}, {all}, {narrowed},
{today} are SQL. What `only` marks is left out of statements for viewers of whom it is known to be false.
`placed` fills them for use-cases; the schema has its own way.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from service.errors import ErrorCode
from service.scoring.text import Text

_MARKED = re.compile(r"/\*\?([a-z_ ]+)\*/((?:(?!/\*\?[a-z]).)*?)/\*\?\*/", re.DOTALL)
"""What `only` marks, with nothing marked inside."""


def only(names: str, predicate: str) -> str:
    """A predicate that is false for viewers of whom all of `names` are: roles that they do not hold, or `narrowed`.

    It says so in comments of SQL, which `spared` reads; whoever does not call that asks it of everybody. `limited` is
    who does not see all.
    """
    return f"/*?{names}*/({predicate})/*?*/"


def seen_by(*ways: str) -> str:
    """Predicate: the viewer sees all, or one of these predicates leads it here."""
    return f"({{all}} OR {only('limited', ' OR '.join(ways))})"


@lru_cache(maxsize=2_000)
def spared(template: str, false: Set[str]) -> str:
    """The template for a viewer of whom these names are known to be false: what only they lead to is `false`."""
    found = 1
    while found:
        template, found = _MARKED.subn(lambda part: "false" if false >= set(part[1].split()) else part[2], template)
    return template


READERS = "('SECRETARY', 'REVIEWER', 'OBSERVER', 'ORGANISER')"
"""Roles that read all of the units they cover."""

FILLING_STATES = ("OPEN", "REVIEWING")
"""Of the cycle: values may be saved and submitted."""

SETTLED_STATES = ("ACCEPTED", "ADJUSTED", "REJECTED", "NOT_APPLICABLE")
"""Of an assessment: it has been judged."""

WRITABLE_STATES = ("OPEN", "DRAFTED", "RETURNED")
"""Of a task: its value may be saved and submitted."""

LOCAL_TODAY = "(SELECT (now() AT TIME ZONE zz.time_zone)::date FROM tenants zz WHERE zz.tenant_id = {tenant})"
"""The date in the tenant's zone, by the database's clock."""

IN_FORCE = "(gg.valid_to IS NULL OR gg.valid_to >= {today})"
"""Of a grant `gg`: it has not ended."""

HELD = f"gg.tenant_id = {{tenant}} AND gg.holder_id = {{actor}} AND {IN_FORCE}"
"""Of a grant `gg`: the viewer holds it today."""

_CATEGORY = """(gg.category_ids = '{}' OR EXISTS (SELECT 1 FROM cycle_units nu
    WHERE nu.tenant_id = {tenant} AND nu.id = {t}.cycle_unit_id AND nu.category_id = ANY (gg.category_ids)))"""

# A tree has at most five levels below the root, so a leaf has at most five nodes above it.
_ABOVE = "\n".join(
    f"LEFT JOIN indicators n{n} ON n{n}.tenant_id = n{n - 1}.tenant_id AND n{n}.id = n{n - 1}.parent_id"
    for n in range(1, 6)
)
_CODES = "ARRAY[n0.code, n1.code, n2.code, n3.code, n4.code, n5.code]"

LEAF_NARROWED = f"""(gg.indicator_codes = '{{}}' OR EXISTS (SELECT 1 FROM indicators n0 {_ABOVE}
        WHERE n0.tenant_id = {{tenant}} AND n0.id = {{leaf}} AND gg.indicator_codes && {_CODES}))"""
"""Of a grant `gg` and a leaf whose id is {leaf}: the grant is narrowed to it, to a node above it, or not at all."""

TASK_NARROWED = f"""{_CATEGORY}
    AND (gg.data_item_ids = '{{}}' OR {{t}}.data_item_id = ANY (gg.data_item_ids))
    AND (gg.indicator_codes = '{{}}' OR EXISTS (SELECT 1 FROM cycles nc
        JOIN indicators n0 ON n0.tenant_id = nc.tenant_id AND n0.scheme_version_id = nc.scheme_version_id
        JOIN indicator_items nm ON nm.tenant_id = n0.tenant_id AND nm.indicator_id = n0.id
             AND nm.data_item_id = {{t}}.data_item_id
        {_ABOVE}
        WHERE nc.tenant_id = {{tenant}} AND nc.id = {{t}}.cycle_id AND gg.indicator_codes && {_CODES}))"""
"""Of a grant `gg` and a task: what the grant is narrowed to includes it."""

ASSESSMENT_NARROWED = f"""{_CATEGORY}
    AND (gg.data_item_ids = '{{}}' OR EXISTS (SELECT 1 FROM indicator_items nm
        WHERE nm.tenant_id = {{tenant}} AND nm.indicator_id = {{t}}.indicator_id
          AND nm.data_item_id = ANY (gg.data_item_ids)))
    AND {LEAF_NARROWED.replace("{leaf}", "{t}.indicator_id")}"""
"""Of a grant `gg` and an assessment: what the grant is narrowed to includes it."""


PLAIN = "gg.category_ids = '{}' AND gg.indicator_codes = '{}' AND gg.data_item_ids = '{}'"
"""Of a grant `gg`: it covers all of its subtree."""

NARROWED = """EXISTS (SELECT 1 FROM grants gn WHERE gn.tenant_id = {tenant} AND gn.holder_id = {actor}
    AND (gn.category_ids <> '{}' OR gn.indicator_codes <> '{}' OR gn.data_item_ids <> '{}'))"""
"""What {narrowed} stands for: the viewer has grants that cover less than all of their subtrees."""


TASK_GRANTED = f"({PLAIN} OR {only('narrowed', f'{{narrowed}} AND {TASK_NARROWED}')})"
"""As TASK_NARROWED; of a viewer whose grants are all plain PostgreSQL plans nothing more."""


def granted(grants: str, narrowed: str) -> str:
    """Predicate: there is a grant among `grants` (FROM … WHERE over `gg`) whose narrowing includes {t}.

    `grants` is tied to {t} by equalities in its WHERE alone. So PostgreSQL may probe it for one row or hash it for
    many; what a grant is narrowed to is asked row by row, and only of viewers who have such grants.
    """
    of_narrowed = only("narrowed", f"{{narrowed}} AND EXISTS (SELECT 1 {grants} AND NOT ({PLAIN}) AND {narrowed})")
    return f"(EXISTS (SELECT 1 {grants} AND {PLAIN}) OR {of_narrowed})"


def covers(roles: str, narrowed: str) -> str:
    """Predicate: the viewer holds one of the roles at the unit of {t} or above it, as of the opening."""
    grants = f"""FROM grants gg
        JOIN cycle_unit_ancestors ga ON ga.tenant_id = gg.tenant_id AND ga.ancestor_id = gg.unit_id
        WHERE {HELD} AND gg.role IN {roles} AND ga.cycle_unit_id = {{t}}.cycle_unit_id"""
    return only(" ".join(re.findall("[A-Z]+", roles)).lower(), granted(grants, narrowed))


def departments(joins: str = "") -> str:
    """FROM and WHERE over grants `gg` and the departments `go` that the viewer stands for by them.

    An assessor stands for the departments that its grant covers, a reviewer for the very one where it is appointed.
    """
    return f"""FROM grants gg
        JOIN org_unit_ancestors go ON go.tenant_id = gg.tenant_id AND go.ancestor_id = gg.unit_id {joins}
        WHERE {HELD} AND (gg.role = 'ASSESSOR' OR gg.role = 'REVIEWER' AND go.depth = 0)"""


def departmental(joins: str, condition: str, narrowed: str) -> str:
    """Predicate: the condition holds for a department that the viewer stands for."""
    return only("assessor reviewer", granted(f"{departments(joins)} AND {condition}", narrowed))


_RESPONSIBLE_ITEMS = """
    JOIN scheme_version_items sv ON sv.tenant_id = go.tenant_id AND go.unit_id = ANY (sv.responsible_unit_ids)
    JOIN cycles sc ON sc.tenant_id = sv.tenant_id AND sc.scheme_version_id = sv.scheme_version_id"""
_RESPONSIBLE_LEAVES = """
    JOIN indicator_responsibles vr ON vr.tenant_id = go.tenant_id AND vr.unit_id = go.unit_id"""
_THE_ITEM = "sv.data_item_id = {t}.data_item_id AND sc.id = {t}.cycle_id"

OWN_UNIT = """EXISTS (SELECT 1 FROM cycle_units ou
    JOIN grants og ON og.tenant_id = ou.tenant_id AND og.unit_id = ou.unit_id
    WHERE ou.tenant_id = {tenant} AND ou.id = {t}.cycle_unit_id AND og.role IN ('SECRETARY', 'REVIEWER', 'ASSESSOR')
      AND (og.holder_id = {actor} OR og.holder_id = (SELECT ot.member_id FROM service_tokens ot
           WHERE ot.tenant_id = {tenant} AND ot.id = {actor})))"""
"""Of a task or assessment: it is about a unit that the actor, or the person it acts for, works for itself."""

_LEAVES_OF_ITEM = f"""{_RESPONSIBLE_LEAVES}
    JOIN indicators vn ON vn.tenant_id = vr.tenant_id AND vn.id = vr.indicator_id
    JOIN indicator_items vi ON vi.tenant_id = vn.tenant_id AND vi.indicator_id = vn.id
    JOIN cycles vc ON vc.tenant_id = vn.tenant_id AND vc.scheme_version_id = vn.scheme_version_id"""

_THE_ITEM_OF_LEAF = "vi.data_item_id = {t}.data_item_id AND vc.id = {t}.cycle_id"

TASK_VISIBLE = seen_by(
    covers(READERS, TASK_NARROWED),
    departmental(_RESPONSIBLE_ITEMS, _THE_ITEM, TASK_NARROWED),
    departmental(_LEAVES_OF_ITEM, _THE_ITEM_OF_LEAF, TASK_NARROWED),
)
"""Of a task: its unit lies under a grant of the viewer, or its item, or a leaf that uses it, is its department's."""

_ITEMS_OF_LEAF = f"""{_RESPONSIBLE_ITEMS}
    JOIN indicator_items vi ON vi.tenant_id = sv.tenant_id AND vi.data_item_id = sv.data_item_id"""

_THE_LEAF = "vr.indicator_id = {t}.indicator_id"
_THE_LEAF_OF_ITEM = "vi.indicator_id = {t}.indicator_id AND sc.id = {t}.cycle_id"

ASSESSMENT_VISIBLE = seen_by(
    covers(READERS, ASSESSMENT_NARROWED),
    departmental(_RESPONSIBLE_LEAVES, _THE_LEAF, ASSESSMENT_NARROWED),
    departmental(_ITEMS_OF_LEAF, _THE_LEAF_OF_ITEM, ASSESSMENT_NARROWED),
)
"""Of an assessment: its unit lies under a grant of the viewer, or its leaf or one of its items is its department's."""

REPORT_VISIBLE = seen_by(covers(READERS, _CATEGORY))
"""Of a report: its unit lies under a grant of the viewer."""

SECRETARY_OF_REPORT = covers("('SECRETARY')", _CATEGORY)
"""Of a report: the viewer reports for its unit."""

FILLS_AS_UNIT = covers("('SECRETARY')", TASK_NARROWED)
FILLS_AS_DEPARTMENT = only(
    "assessor", granted(f"{departments(_RESPONSIBLE_ITEMS)} AND gg.role = 'ASSESSOR' AND {_THE_ITEM}", TASK_NARROWED)
)

FILLS_SIDE = f"""CASE {{t}}.filler WHEN 'UNIT' THEN {FILLS_AS_UNIT}
    WHEN 'RESPONSIBLE_UNIT' THEN {FILLS_AS_DEPARTMENT} ELSE false END"""
"""Of a task: the viewer is of the side that fills it, and so reads its drafts."""


@dataclass(frozen=True)
class Lock:
    """One reason why a task is closed to the viewer."""

    code: ErrorCode
    text: Text
    since: str
    """SQL over {t}: since when, or NULL."""
    contact: tuple[str, str]
    """Role that can help, and SQL over {t} for the organisation unit where it is."""
    hint: Text | None = None


_ASSESSED_UNIT = "(SELECT cu.unit_id FROM cycle_units cu WHERE cu.tenant_id = {tenant} AND cu.id = {t}.cycle_unit_id)"
_PARENT_UNIT = """(SELECT ca.ancestor_id FROM cycle_unit_ancestors ca
    WHERE ca.tenant_id = {tenant} AND ca.cycle_unit_id = {t}.cycle_unit_id AND ca.depth = 1)"""
_ROOT_UNIT = "(SELECT ru.id FROM org_units ru WHERE ru.tenant_id = {tenant} AND ru.parent_id IS NULL)"
_ORGANISER = ("ORGANISER", _ROOT_UNIT)
_SUBMITTED_AT = "(SELECT et.submitted_at FROM entries et WHERE et.tenant_id = {tenant} AND et.task_id = {t}.id)"

LOCKS = {
    "SYSTEM": Lock(
        ErrorCode.FORBIDDEN,
        Text(zh="该值由考核办在启动前统一下达，不需填报。", en="This value was assigned before the opening."),
        "NULL::timestamptz",
        _ORGANISER,
    ),
    "NOT_SECRETARY": Lock(
        ErrorCode.FORBIDDEN,
        Text(zh="该项由参评单位的填报员填报。", en="This is filled by a secretary of the assessed unit."),
        "NULL::timestamptz",
        ("SECRETARY", _ASSESSED_UNIT),
    ),
    "NOT_ASSESSOR": Lock(
        ErrorCode.FORBIDDEN,
        Text(zh="该项由责任单位的评分员填报。", en="This is filled by an assessor of the responsible department."),
        "NULL::timestamptz",
        ("ASSESSOR", "{t}.responsible_unit_id"),
    ),
    "OWN_UNIT": Lock(
        ErrorCode.FORBIDDEN,
        Text(
            zh="责任单位不得为本单位填报，请由上级单位的评分员填报。",
            en="A department never fills values about itself; an assessor of a unit above it does.",
        ),
        "NULL::timestamptz",
        ("ASSESSOR", _ROOT_UNIT),
    ),
    "UNIT_CLOSED": Lock(
        ErrorCode.UNIT_CLOSED,
        Text(zh="该单位已撤销，不再填报。", en="The unit has been closed and reports no more."),
        """(SELECT (xu.valid_to + 1)::timestamp AT TIME ZONE xt.time_zone FROM cycle_units xc
            JOIN org_units xu ON xu.tenant_id = xc.tenant_id AND xu.id = xc.unit_id
            JOIN tenants xt ON xt.tenant_id = xc.tenant_id
            WHERE xc.tenant_id = {tenant} AND xc.id = {t}.cycle_unit_id)""",
        _ORGANISER,
    ),
    "CYCLE_OVER": Lock(
        ErrorCode.ILLEGAL_STATE,
        Text(zh="考核周期已不在填报或审核阶段，不再填报。", en="The cycle is no longer open or being reviewed."),
        "NULL::timestamptz",
        _ORGANISER,
    ),
    "SUBMITTED": Lock(
        ErrorCode.ILLEGAL_STATE,
        Text(zh="已报送，退回后方可修改。", en="It has been submitted; it can be changed once it is returned."),
        _SUBMITTED_AT,
        ("REVIEWER", _PARENT_UNIT),
        Text(zh="请联系审核员退回。", en="Ask a reviewer to return it."),
    ),
    "SETTLED": Lock(
        ErrorCode.ILLEGAL_STATE,
        Text(zh="已审核办结，退回后方可修改。", en="It has been judged; it can be changed once it is returned."),
        _SUBMITTED_AT,
        ("REVIEWER", _PARENT_UNIT),
        Text(zh="请联系审核员退回。", en="Ask a reviewer to return it."),
    ),
    "CLOSED": Lock(
        ErrorCode.DEADLINE_PASSED,
        Text(
            zh="填报期限（含宽限期）已过，不再接收填报。",
            en="The last day, with its days of grace, has passed.",
        ),
        "{t}.closes_at",
        _ORGANISER,
        Text(zh="请联系考核办；审核退回时会另定期限。", en="Ask the organiser; a return sets a last day of its own."),
    ),
}
"""Reasons by name; TASK_LOCK tells which one holds."""

_CYCLE_OVER = only(
    "over",
    f"""NOT EXISTS (SELECT 1 FROM cycles xy WHERE xy.tenant_id = {{tenant}} AND xy.id = {{t}}.cycle_id
        AND xy.state IN {FILLING_STATES})""",
)

TASK_LOCK = f"""CASE
    WHEN {{t}}.filler = 'SYSTEM' THEN 'SYSTEM'
    WHEN {{t}}.filler = 'UNIT' AND NOT {FILLS_AS_UNIT} THEN 'NOT_SECRETARY'
    WHEN {{t}}.filler = 'RESPONSIBLE_UNIT' AND NOT {FILLS_AS_DEPARTMENT} THEN 'NOT_ASSESSOR'
    WHEN {{t}}.filler = 'RESPONSIBLE_UNIT' AND {only("assessor", OWN_UNIT)} THEN 'OWN_UNIT'
    WHEN {{t}}.filler = 'UNIT' AND EXISTS (SELECT 1 FROM cycle_units xc
        JOIN org_units xu ON xu.tenant_id = xc.tenant_id AND xu.id = xc.unit_id
        WHERE xc.tenant_id = {{tenant}} AND xc.id = {{t}}.cycle_unit_id AND xu.valid_to < {{today}}) THEN 'UNIT_CLOSED'
    WHEN {_CYCLE_OVER} THEN 'CYCLE_OVER'
    WHEN {{t}}.state IN ('SUBMITTED', 'SETTLED') THEN {{t}}.state
    WHEN {{t}}.closes_at <= now() THEN 'CLOSED'
    END"""
"""Of a task: the name of the reason why the viewer may not write it now; null where it may."""

TASK_STATE = """CASE WHEN {t}.state IN ('OPEN', 'DRAFTED') AND {t}.closes_at <= now() THEN 'MISSED'
    ELSE {t}.state END"""
"""Of a task: its state as people see it; nobody has to mark what was never submitted."""


REPORT_STATE = f"""(SELECT CASE
        WHEN bool_or(ra.state = 'RETURNED') THEN 'RETURNED'
        WHEN bool_and(ra.state IN {SETTLED_STATES}) THEN 'SETTLED'
        ELSE (SELECT CASE
            WHEN bool_and(rt.state IN ('SUBMITTED', 'SETTLED')) IS NOT FALSE THEN 'SUBMITTED'
            WHEN bool_or(rt.state IN ('SUBMITTED', 'SETTLED', 'RETURNED')) THEN 'PARTLY_SUBMITTED'
            WHEN bool_or(rt.state = 'DRAFTED') THEN 'DRAFTED' ELSE 'UNTOUCHED' END
            FROM tasks rt WHERE rt.tenant_id = {{tenant}} AND rt.cycle_unit_id = {{t}}.cycle_unit_id
              AND rt.report_id = {{t}}.id) END
    FROM assessments ra WHERE ra.tenant_id = {{tenant}} AND ra.cycle_unit_id = {{t}}.cycle_unit_id)"""
"""Of a report: its state, reckoned from its tasks and assessments."""


def of_lock(name: str, parts: Mapping[str, str]) -> str:
    """SQL that picks by a lock's name: `name` is SQL, `parts` SQL by name of lock."""
    return f"CASE {name} " + " ".join(f"WHEN '{lock}' THEN {sql}" for lock, sql in parts.items()) + " END"


LOCK_SINCE = {name: lock.since for name, lock in LOCKS.items()}
LOCK_CONTACT_UNIT = {name: lock.contact[1] for name, lock in LOCKS.items()}


def placed(template: str, **places: str) -> str:
    """The template with its places filled; `tenant` is `$1` and `today` the tenant's date unless said otherwise."""
    places = {"tenant": "$1", "today": LOCAL_TODAY, "narrowed": NARROWED, **places}
    for name in ("narrowed", "today", *sorted(places)):
        template = template.replace("{" + name + "}", places[name])
    return template
