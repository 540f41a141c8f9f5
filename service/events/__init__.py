"""Events (加减分事项、一票否决事项): facts that add, take or veto, proposed by one person and decided by another.

    PROPOSED ─confirm→ CONFIRMED ─revoke→ REVOKED
             ─reject→ REJECTED
             ─withdraw→ WITHDRAWN

`states.MOVES` is the one table of these steps; `rights` says who may take them, as SQL that reads share; `counting`
keeps what of each event counts now.
"""

from service.events.deciding import EventDecision, decide_events, withdraw_event
from service.events.proposing import EventSpec, propose_events

__all__ = ["EventDecision", "EventSpec", "decide_events", "propose_events", "withdraw_event"]
