"""The steps of tests/small.py over HTTP."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.client import Client, Installation
from tests.small import Ask, Done, Mutate, SignedIn, Step

Json = dict[str, Any]


@dataclass
class World:
    """A district that was set up: its code, its ids, and who can be asked."""

    code: str
    callers: dict[str, Client]
    ids: Json = field(default_factory=dict)

    def go_on(self, steps: Generator[Step, Any, Any]) -> Any:
        """Do further steps; what they give."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = self._do(step)

    def _do(self, step: Step) -> Any:
        match step:
            case Mutate(who, name, selection, given):
                return self.callers[who].mutate(name, selection, **given)
            case Ask(who, document, variables):
                return self.callers[who].query(document, **variables)
            case SignedIn(who, token):
                self.callers[who] = Client(self.callers["administrator"].url, token)
            case Done(who, job_id):
                assert self.callers[who].wait_for_job(job_id) == "SUCCEEDED"
        return None


def set_up(installation: Installation, name: str, *parts: Any) -> World:
    """A new district; each part takes the ids so far, and adds to them."""
    code = installation.district()
    world = World(code, {"administrator": installation.client(code, "ADMINISTRATOR")})
    for part in parts:
        world.ids = world.go_on(part(name if not world.ids else world.ids)) or world.ids
    return world
