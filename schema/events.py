"""Events as frontends see them (加减分事项、一票否决事项)."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from schema.keyset import UNIT_CODE
from schema.mapping import (
    ID,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    order_type,
    payload,
    query,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, holding, mutation
from schema.scalars import DateText, DecimalText
from schema.values import said
from service import events
from service.access import Actor as Caller
from service.access import Role
from service.events import EventSpec
from service.events.rights import DECIDABLE, EVENT_VISIBLE, NAMES_SHOWN
from service.events.states import CODE, STATE_NAMES
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle, CycleUnit
    from schema.members import Actor
    from schema.rules import EventLevel, VetoEffect, VetoGround
    from schema.schemes import Indicator


@enumeration("What an event does.")
class EventKind(Enum):
    """Kinds of events."""

    BONUS = "Adds points (加分)."
    DEDUCTION = "Takes points (减分)."
    BREACH = "Counts under a deduct rule (扣分)."
    VETO = "Vetoes (一票否决)."


@enumeration("Life of an event.")
class EventState(Enum):
    """States of an event."""

    PROPOSED = "Changes nothing yet."
    CONFIRMED = "Counts."
    REJECTED = "Not confirmed."
    REVOKED = "Taken back after confirmation."
    WITHDRAWN = "Taken back by who proposed it."


@enumeration("Decisions on an event.")
class EventDecision(Enum):
    """Decisions."""

    CONFIRM = "It counts."
    REJECT = "It does not."
    REVOKE = "It counted and no longer does."


def _of_rule(part: str, code: str) -> str:
    """The level or ground that the event names, out of its leaf's rule."""
    return f"""(SELECT rp.v FROM indicators ri CROSS JOIN LATERAL jsonb_array_elements(ri.rule -> '{part}') rp(v)
        WHERE ri.tenant_id = {{tenant}} AND ri.id = {{t}}.indicator_id AND rp.v ->> 'code' = {code} LIMIT 1)"""


_NOT_COUNTED = f"""CASE {{t}}.state
    WHEN 'CONFIRMED' THEN {{t}}.not_counted ->> CASE {{language}} WHEN 'EN' THEN 'en' ELSE 'zh' END
    {" ".join(f"WHEN '{name}' THEN {said(text)}" for name, text in STATE_NAMES.items() if name != "CONFIRMED")} END"""


def _shown(by: str) -> str:
    return f"{{t}}.{by} = {{actor}} OR {NAMES_SHOWN}"


@table("events", plural="events", visible=EVENT_VISIBLE)
class Event(Node):
    """A dated fact that adds or takes points under one leaf, or a veto (加减分事项、一票否决事项)."""

    id: ID = identifier()
    code: str = expression("Its number in the cycle, such as E0012; reasons name events by it.", CODE)
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    unit: "CycleUnit" = relation("The unit.", on={"cycle_unit_id": "id"})
    indicator: "Indicator" = relation("The bonus, deduction, veto or deduct leaf.", on={"indicator_id": "id"})
    kind: EventKind = column("What it does.")
    state: EventState = column("Where it stands.")
    matter: str = column("Key of the matter (同一事项): of one matter only the highest counts.")
    title: str = column("What happened.")
    level: "EventLevel | None" = document("At which level.", sql=_of_rule("levels", "{t}.level"))
    ground: "VetoGround | None" = document("For a veto: which ground.", sql=_of_rule("grounds", "{t}.ground"))
    effect: "VetoEffect | None" = expression(
        "For a veto: its effect.",
        """(SELECT ri.rule ->> 'effect' FROM indicators ri WHERE ri.tenant_id = {tenant} AND ri.id = {t}.indicator_id
            AND {t}.kind = 'VETO')""",
    )
    amount: Decimal = column(
        "Points it adds or takes by itself; 0 for a veto, and for a breach, which its leaf's rule counts."
    )
    counted: Decimal = column("Points it adds or takes now, after matter and caps.")
    not_counted_reason: str | None = expression("Why it counts less, such as 与E0001属同一事项.", _NOT_COUNTED)
    happened_on: date = column("When it happened.")
    document_title: str = column("Document it rests on.")
    document_number: str | None = column("Its number (文号).")
    proposed_by: "Actor | None" = relation(
        "Who proposed it; null for the assessed unit and for observers.",
        on={"proposed_by_id": "id"},
        where=_shown("proposed_by_id"),
        variants=ACTOR_TYPES,
    )
    proposed_at: datetime = column("When.")
    decided_by: "Actor | None" = relation(
        "Who confirmed, rejected or revoked it, never who proposed it; null for the assessed unit and for observers.",
        on={"decided_by_id": "id"},
        where=_shown("decided_by_id"),
        variants=ACTOR_TYPES,
    )
    decided_at: datetime | None = column("When it was decided or withdrawn.")
    decision_reason: str | None = column("Why.")
    decidable: bool = expression("Whether the viewer may confirm or reject it now.", DECIDABLE)
    version: int = column("Rises with each change.")


@enumeration("What events can be sorted by.")
class EventOrderField(Enum):
    """Orders of events."""

    HAPPENED_ON = Sort("By day.", (Key("{r}.happened_on", "date"),))
    UNIT = Sort("By code of the unit.", (UNIT_CODE,))
    PROPOSED_AT = Sort("By when it was proposed.", (Key("{r}.proposed_at", "timestamptz"),))


@order_type
class EventOrder(Order):
    """An order of events."""

    field: EventOrderField = described("What to sort by.")


@filter_type
class EventFilter:
    """Which events."""

    cycle_id: ID | None = condition("In this cycle.", "{r}.cycle_id = {value}", of="Cycle")
    unit_id: ID | None = condition(
        "Of this organisation unit.",
        """{r}.cycle_unit_id IN (SELECT fu.id FROM cycle_units fu
           WHERE fu.tenant_id = {tenant} AND fu.unit_id = {value})""",
        of="OrgUnit",
    )
    under_id: ID | None = condition(
        "Of units in this one's subtree.",
        """{r}.cycle_unit_id IN (SELECT fa.cycle_unit_id FROM cycle_unit_ancestors fa
           WHERE fa.tenant_id = {tenant} AND fa.ancestor_id = {value})""",
        of="OrgUnit",
    )
    indicator_ids: list[ID] | None = condition("Under these leaves.", "{r}.indicator_id = ANY({value})", of="Indicator")
    kinds: list[EventKind] | None = condition("Of these kinds.", "{r}.kind = ANY({value})")
    states: list[EventState] | None = condition("In these states.", "{r}.state = ANY({value})")
    matter: str | None = condition("Of this matter.", "{r}.matter = {value}")


TO_CONFIRM = DECIDABLE.replace("{t}", "{r}")
"""Of an event {r}: it waits for the viewer's decision."""


@query
class EventsQuery:
    """Events."""

    event: Event | None = by_id("One event.", "Event")


# ---- mutations


@input_type
class EventInput:
    """An event."""

    cycle_unit_id: ID = described("Which unit.")
    indicator_id: ID = described("Under which leaf.")
    matter: str = described("Key of the matter.")
    title: str = described("What happened.")
    level_code: str | None = described("At which level; for bonus and deduction.")
    ground_code: str | None = described("For a veto: which ground.")
    amount: DecimalText | None = described("Where the level lets it vary; the level's points if left out.")
    happened_on: DateText = described("When; within the cycle, and not later than today.")
    document_title: str = described("Document it rests on.")
    document_number: str | None = described("Its number.")


@input_type
class ProposeEventsInput:
    """What proposeEvents takes."""

    events: list[EventInput] = described("At most 500.")
    idempotency_key: str = described(KEY)


@payload
class ProposeEventsSuccess:
    """proposeEvents is done."""

    events: list[Event] = described("The events, in order.")


@mutation(ProposeEventsSuccess, replayed=holding(Role.SECRETARY, Role.ASSESSOR, Role.REVIEWER, Role.ORGANISER))
async def propose_events(tx: Transaction, actor: Caller, given: ProposeEventsInput) -> Outcome:
    """Proposes events, all or none (申报加减分事项、一票否决)."""
    specs = [
        EventSpec(
            cycle_unit_id=each.cycle_unit_id,
            indicator_id=each.indicator_id,
            matter=each.matter,
            title=each.title,
            happened_on=each.happened_on,
            document_title=each.document_title,
            level_code=each.level_code,
            ground_code=each.ground_code,
            amount=each.amount,
            document_number=each.document_number,
        )
        for each in given.events
    ]
    return {"events": await events.propose_events(tx, actor, events=specs)}


@input_type
class EventDecisionInput:
    """A decision on an event."""

    event_id: ID = described("Which.")
    version: int = described("Version read.")
    decision: EventDecision = described("What.")
    reason: str | None = described("Required unless confirmed.")


@input_type
class DecideEventsInput:
    """What decideEvents takes."""

    decisions: list[EventDecisionInput] = described("At most 500, all or none.")
    idempotency_key: str = described(KEY)


@payload
class DecideEventsSuccess:
    """decideEvents is done."""

    events: list[Event] = described("The events, in order.")


@mutation(DecideEventsSuccess, replayed=holding(Role.SECRETARY, Role.ASSESSOR, Role.REVIEWER, Role.ORGANISER))
async def decide_events(tx: Transaction, actor: Caller, given: DecideEventsInput) -> Outcome:
    """Confirms, rejects or revokes events; never one's own proposals (认定)."""
    decisions = [
        events.EventDecision(each.event_id, each.version, each.decision.name, each.reason) for each in given.decisions
    ]
    return {"events": await events.decide_events(tx, actor, decisions=decisions)}


@input_type
class WithdrawEventInput:
    """What withdrawEvent takes."""

    event_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class WithdrawEventSuccess:
    """withdrawEvent is done."""

    event: Event = described("The event, withdrawn.")


@mutation(WithdrawEventSuccess, replayed=holding(Role.SECRETARY, Role.ASSESSOR, Role.REVIEWER, Role.ORGANISER))
async def withdraw_event(tx: Transaction, actor: Caller, given: WithdrawEventInput) -> Outcome:
    """Takes one's own proposal back."""
    return {"event": await events.withdraw_event(tx, actor, event_id=given.event_id, version=given.version)}
