"""Where every point of a score came from (得分说明)."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

from schema.context import Context
from schema.mapping import by_ids, column, document, enumeration, relation, value
from schema.rankings.disclosure import OWN
from schema.scalars import Rational
from service.language import Language, say
from service.rankings.explaining import NOWHERE, Explained, explanations
from service.scoring import Step, explanation_text
from service.scoring.explanation import StepInput
from service.scoring.numbers import finite_places, format_decimal, format_rational, format_scaled, round_half_up

if TYPE_CHECKING:
    from schema.events import Event
    from schema.items import DataItem
    from schema.reports import EntryRevision
    from schema.reviews import Review
    from schema.schemes import Indicator


@enumeration("Five states of a value, but for the veto, which is the unit's.")
class ValueState(Enum):
    """States of a value."""

    GIVEN = "Given."
    MISSING = "Missing at the deadline."
    NOT_APPLICABLE = "Does not apply."
    REJECTED = "Not recognised."


async def _explained(context: Context, standing_ids: Sequence[UUID]) -> dict[UUID, Explained]:
    """Explanations of the standings that the viewer reads in full; one reckoning for all fields that ask together."""

    async def run(ids: list[UUID]) -> Sequence[Explained | None]:
        statement = context.statement()
        own = statement.render(OWN, t="xs")
        records = await context.fetch(
            f"SELECT xs.id FROM standings xs WHERE xs.tenant_id = {statement.render('{tenant}')} "
            f"AND xs.id = ANY({statement.bind(list(dict.fromkeys(ids)), 'uuid[]')}) AND {own}",
            statement,
        )
        found = await explanations(context.reader, [record["id"] for record in records])
        return [found.get(each) for each in ids]

    wanted = list(dict.fromkeys(standing_ids))
    found = await asyncio.gather(*(context.loader.load("explanation", each, run) for each in wanted))
    return {each: one for each, one in zip(wanted, found, strict=True) if one is not None}


async def explanation_documents(context: Context, standings: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """Each standing's explanation as a document; None where the viewer may not read it in full."""
    found = await _explained(context, [standing["id"] for standing in standings])
    return [
        None if (one := found.get(standing["id"])) is None else _explanation_document(one, context.language)
        for standing in standings
    ]


async def reasons(context: Context, nodes: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    """Why each node lost points, in words (扣分原因)."""
    found = await _explained(context, [node["standing_id"] for node in nodes])
    told = []
    for node in nodes:
        one = found.get(node["standing_id"])
        reason = None if one is None else one.reason(node["code"])
        told.append(None if reason is None else say(reason, context.language))
    return told


def _explanation_document(found: Explained, language: Language) -> dict[str, Any]:
    return {
        "text": say(explanation_text(found.steps), language),
        "steps": [_step_document(found, step, language) for step in found.steps],
    }


def _step_document(found: Explained, step: Step, language: Language) -> dict[str, Any]:
    peers = step.comparison
    return {
        "key": step.key,
        "parent_key": step.parent_key,
        "depth": step.depth,
        "kind": step.kind,
        "indicator_id": found.indicators.get(step.indicator) if step.indicator is not None else None,
        "text": say(step.text, language),
        "formula": step.formula,
        "before": _exact(step.before),
        "result": _exact(step.result),
        "shown": step.shown,
        "weight": _decimal(step.weight),
        "effective_weight": _exact(step.effective_weight),
        "value_state": step.value_state if step.kind == "LEAF" else None,
        "inputs": [_input_document(found, step.key, each) for each in step.inputs],
        "event_ids": [found.events[key] for key in step.events if key in found.events],
        "comparison": peers
        and {"peers": peers.peers, "best": _decimal(peers.best), "worst": _decimal(peers.worst), "rank": peers.rank},
    }


def _input_document(found: Explained, leaf: str, given: StepInput) -> dict[str, Any]:
    origin = found.origins.get(leaf, NOWHERE)
    item = found.data_items[given.data_item]
    return {
        "data_item_id": item,
        "display": given.display,
        "revision_id": origin.revisions.get(item),
        "review_id": origin.review_id,
    }


def _exact(number: Fraction | None) -> str | None:
    return None if number is None else format_rational(number)


PLACES = 12
"""Decimal places of a shown number that has no finite decimal form."""


def _decimal(number: Fraction | None) -> str | None:
    if number is None:
        return None
    if finite_places(number) is None:
        return format_scaled(round_half_up(number, PLACES), PLACES)
    return format_decimal(number)


@enumeration("Kinds of steps, in the order they are taken.")
class ExplanationStepKind(Enum):
    """Kinds of steps."""

    LEAF = "A leaf's rule."
    AGGREGATE = "A node from its children."
    BONUS = "Capped bonus added."
    DEDUCTION = "Capped deductions taken."
    LATE_PENALTY = "Late penalty taken."
    CLAMP = "Clamped to 0 and the top."
    ROUND = "The one rounding."
    VETO = "A veto's effect."
    RANK = "The rank."
    TIE = "A tie and how it was broken."
    QUOTA = "Places of a grade."
    GRADE = "The grade."


@value
class ExplanationInputInfo:
    """A settled value used by a leaf."""

    data_item: "DataItem" = relation("The item.", on={"data_item_id": "id"})
    display: str = column("As people read it; empty where there is none.")
    reported: "EntryRevision | None" = relation(
        "What was reported, where the viewer may see it.", on={"revision_id": "id"}
    )
    review: "Review | None" = relation("The review that settled it.", on={"review_id": "id"})


@value
class PeerInfo:
    """What a relative rule compared with."""

    peers: int = column("Units with a value.")
    best: Decimal | None = column("Best value.")
    worst: Decimal | None = column("Worst value.")
    rank: int | None = column("Rank among them.")


@value
class ExplanationStep:
    """One step of the arithmetic."""

    key: str = column("Names the step within the explanation.")
    parent_key: str | None = column("Step it flows into; null for the total.")
    depth: int = column("Depth in the tree of steps.")
    kind: ExplanationStepKind = column("What it does.")
    indicator: "Indicator | None" = relation("The node it is about.", on={"indicator_id": "id"})
    text: str = column("In words, with its numbers.")
    formula: str = column("The arithmetic, such as 2 × 46 ÷ 48; empty where there is none.")
    before: Rational | None = column("Exact value before.")
    result: Rational | None = column("Exact result; null if not applicable.")
    shown: Decimal | None = column("The same rounded for show.")
    weight: Decimal | None = column("Weight or points as printed.")
    effective_weight: Rational | None = column("Weight that counted after sharing what does not apply.")
    value_state: ValueState | None = column("For a leaf: state of its value.")
    inputs: list[ExplanationInputInfo] = document("For a leaf: settled values used.")
    events: "list[Event]" = by_ids("For pots and vetoes: events that counted or did not.", "event_ids")
    comparison: PeerInfo | None = document("For relative rules: what it was compared with.")


@value
class Explanation:
    """A score opened down to evidence and arithmetic."""

    text: str = column("The whole in words, in the caller's language.")
    steps: list[ExplanationStep] = document("All steps, flat, in reading order; parentKey and depth give the tree.")
