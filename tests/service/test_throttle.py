"""Tries to sign in are counted per name and per district, over all processes, whether or not they exist (登录限速)."""

import asyncio
import os
import sys
import time
from uuid import UUID, uuid4

import pytest

from service import members, throttle
from service.errors import AccessDenied, ErrorCode, Throttled
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.service.test_members import KEY, member, signed_in

pytestmark = pytest.mark.anyio


async def refused(db: Database, code: str, name: str, *, key: str = KEY) -> AccessDenied:
    """What a wrong password answers."""
    with pytest.raises(AccessDenied) as refusal:
        await members.sign_in(db, key, minutes=5, tenant_code=code, name=name, password="wrong")
    return refusal.value


async def count_tries(db: Database, tenant_id: UUID | None, code: str, name: str, times: int) -> None:
    """Tries whose passwords nobody looks at."""
    for _ in range(times):
        await throttle.begin_try(db, KEY, tenant_id=tenant_id, code=code, name=name)


async def later(db: Database, tenant_id: UUID, seconds: int) -> None:
    """As if so much time had gone by."""
    async with db.transaction(tenant_id) as tx:
        await tx.execute(
            "UPDATE sign_in_tries SET at = at - make_interval(secs => $2) WHERE tenant_id = $1", tenant_id, seconds
        )


async def rows(db: Database, tenant_id: UUID) -> int:
    async with db.transaction(tenant_id) as tx:
        found: int = await tx.fetchval("SELECT count(*) FROM sign_in_tries WHERE tenant_id = $1", tenant_id)
        return found


async def test_ten_tries_a_name_then_one_a_minute(db: Database, tenant: District) -> None:
    await member(db, tenant, "zhang")
    await member(db, tenant, "li")
    begun = time.monotonic()
    codes = [(await refused(db, tenant.code, "zhang")).code for _ in range(throttle.PER_NAME.tries)]
    assert set(codes) == {ErrorCode.UNAUTHENTICATED}
    with pytest.raises(Throttled) as full:
        await signed_in(db, tenant, "zhang")
    assert 60 - (time.monotonic() - begun) <= full.value.seconds <= 60
    assert full.value.code is ErrorCode.THROTTLED
    assert full.value.hint is not None
    assert str(full.value.seconds) in full.value.hint.zh
    assert f"{full.value.seconds} seconds" in full.value.hint.en
    # Others of the district are not concerned, and a refusal counts for nothing.
    await signed_in(db, tenant, "li")
    await later(db, tenant.id, 60)
    assert (await refused(db, tenant.code, "zhang")).code is ErrorCode.UNAUTHENTICATED
    assert (await refused(db, tenant.code, "zhang")).code is ErrorCode.THROTTLED
    await later(db, tenant.id, 60)
    await signed_in(db, tenant, "zhang")


async def test_who_succeeds_is_never_throttled(db: Database, tenant: District) -> None:
    await member(db, tenant, "zhang")
    for _ in range(throttle.PER_NAME.tries - 1):
        await refused(db, tenant.code, "zhang")
    for _ in range(3):
        await signed_in(db, tenant, "zhang")
    assert (await refused(db, tenant.code, "zhang")).code is ErrorCode.UNAUTHENTICATED
    assert (await refused(db, tenant.code, "zhang")).code is ErrorCode.THROTTLED


async def test_three_hundred_tries_a_district_then_one_a_second(db: Database, tenant: District) -> None:
    await member(db, tenant, "zhang")
    begun, counted = time.monotonic(), 0
    with pytest.raises(Throttled) as full:
        while True:
            await count_tries(db, tenant.id, tenant.code, f"name {counted}", 1)
            counted += 1
    assert throttle.PER_DISTRICT.tries <= counted <= throttle.PER_DISTRICT.tries + time.monotonic() - begun + 1
    assert full.value.seconds == 1
    await later(db, tenant.id, 5)
    await signed_in(db, tenant, "zhang")


async def test_what_there_is_not_answers_as_what_there_is(db: Database, tenant: District) -> None:
    await member(db, tenant, "zhang")
    nowhere = f"nowhere-{uuid4().hex}"
    ways = [(tenant.id, tenant.code, "zhang"), (tenant.id, tenant.code, "nobody"), (None, nowhere, "zhang")]
    answers = []
    for tenant_id, code, name in ways:
        await count_tries(db, tenant_id, code, name, throttle.PER_NAME.tries - 1)
        told = [await refused(db, code, name) for _ in range(2)]
        answers.append([(each.code, each.text, each.path) for each in told])
    assert answers[0] == answers[1] == answers[2]
    assert [code for code, _, _ in answers[0]] == [ErrorCode.UNAUTHENTICATED, ErrorCode.THROTTLED]
    # Another district that there is not has buckets of its own.
    assert (await refused(db, f"{nowhere}-else", "zhang")).code is ErrorCode.UNAUTHENTICATED


ELSEWHERE = """
import asyncio, sys
from service import throttle
from tenants.database import Database
from uuid import UUID

async def main(key, tenant, code, name, times):
    db = await Database.connect(sys.stdin.readline().strip())
    counted = 0
    try:
        for _ in range(int(times)):
            await throttle.begin_try(db, key, tenant_id=UUID(tenant), code=code, name=name)
            counted += 1
    except throttle.Throttled:
        pass
    await db.close()
    print(counted)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_count_together_and_without_redis(db: Database, settings: Settings, tenant: District) -> None:
    assert settings.database_url is not None
    address = settings.database_url.get_secret_value().encode() + b"\n"
    # They know of no Redis.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAOPING_")}
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ELSEWHERE, KEY, str(tenant.id), tenant.code, "zhang", "8"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        for _ in range(2)
    ]
    told = await asyncio.gather(*(process.communicate(address) for process in processes))
    assert sum(int(out) for out, _ in told) == throttle.PER_NAME.tries
    assert (await refused(db, tenant.code, "zhang")).code is ErrorCode.THROTTLED


async def test_twins_at_once_are_all_counted(db: Database, tenant: District) -> None:
    tries = [throttle.begin_try(db, KEY, tenant_id=tenant.id, code=tenant.code, name="zhang") for _ in range(25)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(answer, throttle.Try) for answer in answers) == throttle.PER_NAME.tries
    assert sum(isinstance(answer, Throttled) for answer in answers) == 25 - throttle.PER_NAME.tries


async def test_buckets_that_ran_empty_are_removed(db: Database, tenant: District) -> None:
    for name in "abcde":
        await count_tries(db, tenant.id, tenant.code, name, 1)
    assert await rows(db, tenant.id) == 6
    await later(db, tenant.id, 601)
    await count_tries(db, tenant.id, tenant.code, "f", 1)
    assert await rows(db, tenant.id) == 2


async def test_no_name_is_kept(db: Database, tenant: District) -> None:
    await count_tries(db, tenant.id, tenant.code, "zhang", 1)
    async with db.transaction(tenant.id) as tx:
        keys = await tx.fetch("SELECT key FROM sign_in_tries WHERE tenant_id = $1", tenant.id)
    assert [len(row["key"]) for row in keys] == [32, 32]
    # Under another signing key it is another name.
    await throttle.begin_try(db, "another key", tenant_id=tenant.id, code=tenant.code, name="zhang")
    assert await rows(db, tenant.id) == 4
