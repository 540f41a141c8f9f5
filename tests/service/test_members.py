"""Accounts, tokens and grants: who may call, for how long, and who may give that right (账号、令牌、授权)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from service import members
from service.access import (
    ALGORITHM,
    ISSUER,
    Actor,
    Role,
    authenticate,
    covered_units,
    issue_jwt,
    secret_hash,
    system_actor,
)
from service.directory import UnitRow, import_org_units
from service.districts import set_status
from service.errors import AccessDenied, ErrorCode, IllegalState, Invalid, KaopingError, NotFound, VersionConflict
from service.ids import encode_id
from service.members import GrantSpec
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.conftest import MakeTenant

pytestmark = pytest.mark.anyio

KEY = "a signing key of the tests, 32 bytes or more"
PASSWORD = "a long enough password"


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def root_of(db: Database, tenant: District) -> UUID:
    async with db.transaction(tenant.id) as tx:
        root: UUID = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND code = 'root'", tenant.id)
    return root


async def grant(db: Database, tenant: District, role: Role) -> GrantSpec:
    return GrantSpec(role, encode_id("OrgUnit", await root_of(db, tenant)))


async def member(db: Database, tenant: District, name: str, *roles: Role, password: str | None = PASSWORD) -> UUID:
    grants = [await grant(db, tenant, role) for role in roles]
    async with db.transaction(tenant.id) as tx:
        return await members.create_member(
            tx,
            system_actor(tenant.id),
            display_name=name,
            sign_in_name=name,
            password=password,
            grants=grants,
        )


async def signed_in(db: Database, tenant: District, name: str, password: str = PASSWORD) -> Actor:
    _, issued = await members.sign_in(db, KEY, minutes=5, tenant_code=tenant.code, name=name, password=password)
    return await authenticate(db, KEY, issued.token)


async def token_of(db: Database, tenant: District, role: Role, *, member_id: UUID | None = None) -> members.NewToken:
    spec = await grant(db, tenant, role)
    async with db.transaction(tenant.id) as tx:
        return await members.create_service_token(
            tx,
            system_actor(tenant.id),
            display_name="平台",
            grants=[spec],
            expires_at=in_days(1),
            member_id=member_id,
        )


async def unauthenticated(db: Database, token: str) -> None:
    with pytest.raises(AccessDenied) as refusal:
        await authenticate(db, KEY, token)
    assert refusal.value.code is ErrorCode.UNAUTHENTICATED


async def test_who_signs_in_holds_the_grants_of_today(db: Database, tenant: District) -> None:
    member_id = await member(db, tenant, "kaohe", Role.ORGANISER)
    actor = await signed_in(db, tenant, "kaohe")
    assert (actor.id, actor.person_id, actor.kind) == (member_id, member_id, "MEMBER")
    assert actor.roles == {Role.ORGANISER}
    assert actor.sees_all
    assert actor.holds_at_root(Role.ORGANISER)
    async with db.transaction(tenant.id) as tx:
        await members.revoke_grant(tx, system_actor(tenant.id), grant_id=encode_id("Grant", actor.grants[0].id))
    assert (await signed_in(db, tenant, "kaohe")).grants == ()


@pytest.mark.parametrize("wrong", ["district", "name", "password", "no password set", "suspended"])
async def test_a_failed_sign_in_never_says_which_part_was_wrong(db: Database, tenant: District, wrong: str) -> None:
    member_id = await member(db, tenant, "zhang", password=None if wrong == "no password set" else PASSWORD)
    if wrong == "suspended":
        async with db.transaction(tenant.id) as tx:
            await members.edit_member(
                tx, system_actor(tenant.id), member_id=encode_id("Member", member_id), version=1, active=False
            )
    with pytest.raises(AccessDenied) as refusal:
        await members.sign_in(
            db,
            KEY,
            minutes=5,
            tenant_code="nowhere" if wrong == "district" else tenant.code,
            name="nobody" if wrong == "name" else "zhang",
            password="wrong" if wrong == "password" else PASSWORD,
        )
    assert refusal.value.code is ErrorCode.UNAUTHENTICATED
    assert refusal.value.text.en == "District, sign-in name or password is wrong."


async def test_equal_names_in_two_districts_are_two_accounts(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    first, second = await member(db, ours, "same"), await member(db, theirs, "same")
    assert (await signed_in(db, ours, "same")).id == first
    assert (await signed_in(db, theirs, "same")).id == second


async def test_tokens_that_do_not_hold_are_refused(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    member_id = await member(db, ours, "zhang")
    sound = issue_jwt(KEY, tenant_id=ours.id, member_id=member_id, minutes=5).token
    claims = jwt.decode(sound, KEY, algorithms=[ALGORITHM], issuer=ISSUER)

    def signed(key: str = KEY, **changed: object) -> str:
        return jwt.encode({**claims, **changed}, key, algorithm=ALGORITHM)

    assert (await authenticate(db, KEY, sound)).id == member_id
    for token in (
        "",
        "rubbish",
        "a.b.c",
        sound[:-2],
        signed(key="another key of 32 bytes or more, indeed"),
        signed(exp=datetime.now(UTC) - timedelta(seconds=1)),
        signed(iss="elsewhere"),
        signed(tid=str(theirs.id)),
        signed(tid="no uuid"),
        signed(sub=str(uuid7())),
        jwt.encode(claims, "", algorithm="none"),
        f"kp_{ours.id.hex}_{'x' * 43}",
        f"kp_{'0' * 32}_{'x' * 43}",
    ):
        await unauthenticated(db, token)


async def test_a_service_token_is_an_actor_of_its_own_and_kept_as_a_hash(db: Database, tenant: District) -> None:
    made = await token_of(db, tenant, Role.FEED)
    other = await token_of(db, tenant, Role.FEED)
    actor = await authenticate(db, KEY, made.secret)
    assert (actor.id, actor.person_id, actor.kind) == (made.id, made.id, "SERVICE_TOKEN")
    assert actor.roles == {Role.FEED}
    assert (await authenticate(db, KEY, other.secret)).id == other.id
    async with db.transaction(tenant.id) as tx:
        row = await tx.fetchrow("SELECT * FROM service_tokens WHERE tenant_id = $1 AND id = $2", tenant.id, made.id)
    assert row is not None
    assert row["secret_hash"] == secret_hash(made.secret)
    assert made.secret not in str(dict(row))
    assert made.secret.startswith(f"kp_{tenant.id.hex}_{row['prefix']}")
    assert row["last_used_at"] is not None


async def test_a_members_token_acts_for_its_person_and_ends_with_the_account(db: Database, tenant: District) -> None:
    member_id = await member(db, tenant, "zhang")
    made = await token_of(db, tenant, Role.SECRETARY, member_id=member_id)
    actor = await authenticate(db, KEY, made.secret)
    assert (actor.id, actor.person_id) == (made.id, member_id)
    async with db.transaction(tenant.id) as tx:
        await members.edit_member(
            tx, system_actor(tenant.id), member_id=encode_id("Member", member_id), version=1, active=False
        )
    await unauthenticated(db, made.secret)


async def test_rotating_and_revoking_end_the_old_secret_at_once(db: Database, tenant: District) -> None:
    made = await token_of(db, tenant, Role.FEED)
    name = encode_id("ServiceToken", made.id)
    system = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        fresh = await members.rotate_service_token(tx, system, service_token_id=name, version=1, expires_at=in_days(2))
    await unauthenticated(db, made.secret)
    assert (await authenticate(db, KEY, fresh.secret)).id == made.id
    with pytest.raises(VersionConflict):
        async with db.transaction(tenant.id) as tx:
            await members.revoke_service_token(tx, system, service_token_id=name, version=1)
    async with db.transaction(tenant.id) as tx:
        await members.revoke_service_token(tx, system, service_token_id=name, version=2)
    await unauthenticated(db, fresh.secret)
    with pytest.raises(IllegalState):
        async with db.transaction(tenant.id) as tx:
            await members.rotate_service_token(tx, system, service_token_id=name, version=3, expires_at=in_days(1))


async def test_a_suspended_district_lets_nobody_in_until_it_is_resumed(
    db: Database, tenant: District, owner_url: str
) -> None:
    await member(db, tenant, "zhang")
    made = await token_of(db, tenant, Role.FEED)
    await set_status(owner_url, code=tenant.code, status="SUSPENDED")
    await unauthenticated(db, made.secret)
    with pytest.raises(AccessDenied):
        await signed_in(db, tenant, "zhang")
    await set_status(owner_url, code=tenant.code, status="ACTIVE")
    assert (await authenticate(db, KEY, made.secret)).id == made.id


async def test_only_administrators_of_the_whole_district_change_accounts(db: Database, tenant: District) -> None:
    await member(db, tenant, "kaohe", Role.ORGANISER)
    organiser = await signed_in(db, tenant, "kaohe")
    spec = await grant(db, tenant, Role.ADMINISTRATOR)
    with pytest.raises(AccessDenied) as refusal:
        async with db.transaction(tenant.id) as tx:
            await members.grant_role(tx, organiser, holder_id=encode_id("Member", organiser.id), grant=spec)
    assert refusal.value.required_roles == ["ADMINISTRATOR"]


async def test_members_change_their_own_password_and_nothing_else(db: Database, tenant: District) -> None:
    member_id = await member(db, tenant, "zhang")
    other = await member(db, tenant, "li")
    actor = await signed_in(db, tenant, "zhang")
    own = encode_id("Member", member_id)
    async with db.transaction(tenant.id) as tx:
        await members.edit_member(tx, actor, member_id=own, version=1, password="another password")
    assert (await signed_in(db, tenant, "zhang", "another password")).id == member_id
    for refused in ({"member_id": own, "active": True}, {"member_id": encode_id("Member", other), "password": "p" * 9}):
        with pytest.raises(AccessDenied):
            async with db.transaction(tenant.id) as tx:
                await members.edit_member(tx, actor, version=2, **refused)


async def test_all_faults_of_an_account_are_told_at_once_and_nothing_is_written(db: Database, tenant: District) -> None:
    await member(db, tenant, "taken")
    with pytest.raises(Invalid) as refusal:
        async with db.transaction(tenant.id) as tx:
            await members.create_member(
                tx,
                system_actor(tenant.id),
                display_name=" ",
                sign_in_name="taken",
                password="short",
                grants=[GrantSpec(Role.FEED, "no id", valid_to="2026-02-30", indicator_codes=["空"])],
            )
    assert {(issue.code, "/".join(issue.path)) for issue in refusal.value.issues} == {
        (ErrorCode.INVALID_TEXT, "input/displayName"),
        (ErrorCode.DUPLICATE, "input/signInName"),
        (ErrorCode.INVALID_TEXT, "input/password"),
        (ErrorCode.INVALID_ID, "input/grants/0/unitId"),
        (ErrorCode.INVALID_DATETIME, "input/grants/0/validTo"),
        (ErrorCode.INVALID_TEXT, "input/grants/0/indicatorCodes/0"),
    }
    async with db.transaction(tenant.id) as tx:
        assert await tx.fetchval("SELECT count(*) FROM actors WHERE tenant_id = $1", tenant.id) == 1


async def test_a_unit_of_another_district_does_not_exist(db: Database, make_tenant: MakeTenant) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    foreign = encode_id("OrgUnit", await root_of(db, theirs))
    unknown = encode_id("OrgUnit", uuid7())
    answers: list[KaopingError] = []
    for unit_id in (foreign, unknown):
        with pytest.raises(NotFound) as refusal:
            async with db.transaction(ours.id) as tx:
                await members.create_member(
                    tx,
                    system_actor(ours.id),
                    display_name="x",
                    sign_in_name="x",
                    grants=[GrantSpec(Role.FEED, unit_id)],
                )
        answers.append(refusal.value)
    assert [(a.code, a.path, a.text) for a in answers[:1]] == [(a.code, a.path, a.text) for a in answers[1:]]


async def test_a_grant_covers_its_subtree_and_ends_with_its_last_day(db: Database, tenant: District) -> None:
    system = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        await import_org_units(
            tx,
            system,
            rows=[
                UnitRow("town", "镇", "COMMITTEE", None),
                UnitRow("village", "村", "BRANCH", "town"),
                UnitRow("other", "他", "BRANCH", None),
            ],
        )
        rows = await tx.fetch("SELECT code, id FROM org_units WHERE tenant_id = $1", tenant.id)
    units = {row["code"]: row["id"] for row in rows}
    await member(db, tenant, "shenhe")
    async with db.transaction(tenant.id) as tx:
        holder = encode_id("Member", await tx.fetchval("SELECT id FROM members WHERE tenant_id = $1", tenant.id))
        await members.grant_role(
            tx, system, holder_id=holder, grant=GrantSpec(Role.REVIEWER, encode_id("OrgUnit", units["town"]))
        )
        await members.grant_role(
            tx,
            system,
            holder_id=holder,
            grant=GrantSpec(Role.OBSERVER, encode_id("OrgUnit", units["root"]), valid_to="2020-01-01"),
        )
    actor = await signed_in(db, tenant, "shenhe")
    assert actor.roles == {Role.REVIEWER}
    async with db.transaction(tenant.id) as tx:
        covered = await covered_units(tx, actor, [Role.REVIEWER], list(units.values()))
    assert covered == {units["town"], units["village"]}
