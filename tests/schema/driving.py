"""The steps of tests/small.py without HTTP: callers by the tokens that were issued, jobs done here."""

import uuid
from collections.abc import Generator
from importlib import import_module
from typing import Any
from uuid import UUID

from service import jobs
from service.access import Role, authenticate
from service.ids import parse_id
from service.jobs import JobRun
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import Caller, actor_of, held
from tests.small import Ask, Done, Mutate, SignedIn, Step

Json = dict[str, Any]


async def drive(db: Database, settings: Settings, district: District, steps: Generator[Step, Any, Json]) -> Json:
    """Do all steps in a district that is new; what they give."""
    async with db.transaction(district.id) as tx:
        root: UUID = await tx.fetchval(
            "SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL", district.id
        )
    first = actor_of(district.id, [held(Role.ADMINISTRATOR, root, at_root=True)])
    callers = {"administrator": Caller(db, settings, first)}
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            given: Json = end.value
            return given
        answer = await _do(db, settings, callers, step)


async def _do(db: Database, settings: Settings, callers: dict[str, Caller], step: Step) -> Any:
    match step:
        case Mutate(who, name, selection, given):
            return await mutate(callers[who], name, selection, given)
        case Ask(who, document, variables):
            return await callers[who].ask(document, **variables)
        case SignedIn(who, token):
            callers[who] = await caller_of(db, settings, token)
        case Done(who, job_id):
            actor = callers[who].actor
            assert actor is not None
            await do_job(db, actor.tenant_id, job_id)
    return None


async def caller_of(db: Database, settings: Settings, token: str) -> Caller:
    """Whoever holds the token."""
    assert settings.signing_key is not None
    return Caller(db, settings, await authenticate(db, settings.signing_key.get_secret_value(), token))


async def mutate(caller: Caller, name: str, selection: str, given: Json) -> Json:
    """A mutation that must succeed."""
    kind = name[0].upper() + name[1:]
    if name != "signIn":
        given = {"idempotencyKey": str(uuid.uuid4()), **given}
    data = await caller.ask(
        f"""mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ __typename
            ... on {kind}Success {{ {selection} }}
            ... on Error {{ code message path hint }} ... on InputError {{ issues {{ code message path }} }} }} }}""",
        input=given,
    )
    answer: Json = data[name]
    assert answer["__typename"] == f"{kind}Success", answer
    return answer


async def do_job(db: Database, tenant_id: UUID, job_id: str) -> None:
    """Claim a job and do it here."""
    parsed = parse_id(job_id)
    assert parsed is not None
    claimed = await jobs.claim(db, tenant_id, parsed[1])
    assert claimed is not None
    kind = jobs.KINDS[claimed.kind]
    module, _, step = kind.step.partition(":")
    run = JobRun(db, claimed, kind)
    await getattr(import_module(module), step)(run)
