"""Awards of groups of assessors (分组评分): one per person, together the leaf's marks once every group has awarded.

A person belongs to the first group of which a unit lies under the grant by which it awards; who awards again replaces
its own award. What stands on the assessment is for show; a run reckons from the single awards, exactly, and nobody is
shown them but each its own.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import orjson

from service.access import Actor
from service.reports.rights import placed
from service.reviews.decisions import Award, Case
from service.scoring.numbers import format_scaled, round_half_up
from service.scoring.rules.award import group_mean
from tenants.database import Transaction

SHOWN_PLACES: Final = 12
"""Decimal places of the marks that are shown of a leaf."""

_GROUP = """(SELECT ag.v ->> 'name' FROM jsonb_array_elements(ai.rule -> 'groups') WITH ORDINALITY AS ag(v, o)
    WHERE EXISTS (SELECT 1 FROM jsonb_array_elements_text(ag.v -> 'responsibleUnits') au(unit)
        JOIN org_unit_ancestors ax ON ax.tenant_id = {tenant} AND ax.unit_id = au.unit::uuid
             AND ax.ancestor_id = {unit}) ORDER BY ag.o LIMIT 1)"""

AWARDS = f"""SELECT DISTINCT ON (ar.by_id) ar.by_id, ar.marks, ar.reason,
        {_GROUP.replace("{unit}", "ar.unit_id")} AS group_name
    FROM reviews ar JOIN indicators ai ON ai.tenant_id = ar.tenant_id AND ai.id = {{t}}.indicator_id
    WHERE ar.tenant_id = {{tenant}} AND ar.assessment_id = {{t}}.id AND ar.decision = 'AWARD'
    ORDER BY ar.by_id, ar.id DESC"""
"""Of an assessment {t}: the newest award of each person, with its group."""

AWARDED_BY_GROUPS = """EXISTS (SELECT 1 FROM assessments ya
    JOIN indicators yi ON yi.tenant_id = ya.tenant_id AND yi.id = ya.indicator_id
    WHERE ya.tenant_id = {tenant} AND ya.id = {t}.assessment_id AND yi.rule ->> 'kind' = 'AWARD'
      AND jsonb_array_length(coalesce(nullif(yi.rule -> 'groups', 'null'), '[]')) > 0)"""
"""Of a review {t}: whether groups award the leaf that it judges."""


def groups_of(case: Case) -> Sequence[Mapping[str, Any]]:
    """Groups of the leaf; none where one award is enough."""
    rule = orjson.loads(case.row["rule"]) if case.row["rule"] else {}
    groups: Sequence[Mapping[str, Any]] = rule.get("groups") or ()
    return groups if rule.get("kind") == "AWARD" else ()


async def combine(tx: Transaction, actor: Actor, cases: Sequence[Case]) -> None:
    """What each award makes of its leaf: settled where every group has awarded, else still to be awarded."""
    grouped = [
        case for case in cases if isinstance(case.decision, Award) and case.marks is not None and groups_of(case)
    ]
    if not grouped:
        return
    rows = await tx.fetch(
        placed(
            f"""SELECT am.id, aw.by_id, aw.marks, aw.reason, aw.group_name
                FROM assessments am CROSS JOIN LATERAL ({AWARDS}) aw
                WHERE am.tenant_id = $1 AND am.id = ANY ($2::uuid[])""",
            t="am",
        ),
        tx.tenant_id,
        [case.key for case in grouped],
    )
    own = {
        row["id"]: row["group_name"]
        for row in await tx.fetch(
            placed(
                f"""SELECT am.id, {_GROUP.replace("{unit}", "g.unit_id")} AS group_name
                    FROM unnest($2::uuid[], $3::uuid[]) AS g (id, unit_id)
                    JOIN assessments am ON am.tenant_id = $1 AND am.id = g.id
                    JOIN indicators ai ON ai.tenant_id = $1 AND ai.id = am.indicator_id""",
                t="am",
            ),
            tx.tenant_id,
            [case.key for case in grouped],
            [case.unit_id for case in grouped],
        )
    }
    for case in grouped:
        assert case.marks is not None
        held: dict[UUID | None, tuple[str, Fraction, str | None]] = {
            row["by_id"]: (row["group_name"], Fraction(row["marks"]), row["reason"])
            for row in rows
            if row["id"] == case.key
        }
        held[actor.id] = (own[case.key], Fraction(case.marks), case.reason)
        means = []
        for group in groups_of(case):
            awards = [marks for name, marks, _ in held.values() if name == group["name"]]
            mean = group_mean(awards, group.get("method") or "MEAN")
            if mean is not None:
                means.append((Fraction(group.get("weight") or 1), mean))
        case.shown_marks = None
        case.shown_reason = None
        if len(means) < len(groups_of(case)):
            case.state = "READY"
            continue
        total = sum((weight for weight, _ in means), Fraction(0))
        shown = sum((weight * mean for weight, mean in means), Fraction(0)) / total
        case.shown_marks = format_scaled(round_half_up(shown, SHOWN_PLACES), SHOWN_PLACES).rstrip("0").rstrip(".")
        reasons = dict.fromkeys(reason for _, _, reason in held.values() if reason)
        case.shown_reason = "；".join(reasons) or None
