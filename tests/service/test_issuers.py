"""Tokens of an issuer outside, against an issuer that runs: whoever it vouches for comes in, and nobody else."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa

from service import issuers as module
from service.access import Actor, authenticate, system_actor
from service.districts import create_district, set_issuer, set_status
from service.errors import AccessDenied, ErrorCode, Unavailable
from service.ids import encode_id
from service.issuers import Issuers, address_fault
from service.main import cli
from service.members import create_member, edit_member, sign_in
from service.settings import Settings
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import GENESIS, District, Issuer, ProvisioningError, issuer_of, owner_transaction
from tests.conftest import MakeTenant
from tests.service.issuing import AUDIENCE, RunningIssuer, SigningKey, issuing
from tests.service.test_health import Socket, Start, served
from tests.service.test_health import start as start_fixture

pytestmark = pytest.mark.anyio

KEY = "a key for tests only, of 32 bytes or more"
SUBJECT = "5f1c0e7a-zhangsan"

start = start_fixture

RSA = SigningKey.make("rsa-1")


@pytest.fixture(scope="module")
def running() -> Iterator[RunningIssuer]:
    """The issuer's process."""
    with issuing() as found:
        yield found


@pytest.fixture
def issuer(running: RunningIssuer) -> RunningIssuer:
    """The issuer, with one key."""
    running.publish(RSA)
    return running


@pytest.fixture
async def district(db: Database, owner_url: str, make_tenant: MakeTenant, issuer: RunningIssuer) -> District:
    """A district whose only issuer this is, with one account that it vouches for and one with a password."""
    made = await make_tenant()
    await clear(db, owner_url, issuer)
    await set_issuer(owner_url, code=made.code, issuer=Issuer(issuer.url, AUDIENCE))
    async with db.transaction(made.id) as tx:
        system = system_actor(made.id)
        await create_member(tx, system, display_name="张三", sign_in_name=SUBJECT)
        await create_member(tx, system, display_name="管理员", sign_in_name="guanli", password="a good password")
    return made


async def clear(db: Database, owner_url: str, issuer: RunningIssuer) -> None:
    """No district has this issuer any more."""
    for row in await db.fetch_global("SELECT code FROM directory WHERE issuer = $1", issuer.url):
        await set_issuer(owner_url, code=row["code"], issuer=None)


async def enter(db: Database, token: str, issuers: Issuers | None = None) -> Actor:
    """Who a token lets in."""
    return await authenticate(db, KEY, token, issuers=issuers or Issuers(db))


async def refused(db: Database, token: str, issuers: Issuers | None = None) -> None:
    """A token that lets nobody in, and does not say why."""
    with pytest.raises(AccessDenied) as denied:
        await enter(db, token, issuers)
    assert denied.value.code is ErrorCode.UNAUTHENTICATED
    assert "not valid, or has ended" in denied.value.text.en


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_opens_the_account_that_it_names(
    db: Database, district: District, issuer: RunningIssuer, algorithm: str
) -> None:
    key = SigningKey.make(f"key-{algorithm}", algorithm)
    issuer.publish(RSA, key)
    actor = await enter(db, issuer.token(SUBJECT, key=key))
    assert (actor.tenant_id, actor.kind, actor.display_name) == (district.id, "MEMBER", "张三")
    assert actor.expires_at is not None
    assert 0 < actor.expires_at.timestamp() - time.time() <= 300


CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - 60},
    "not yet valid": {"nbf": int(time.time()) + 86_400},
    "issued in the future": {"iat": int(time.time()) + 86_400},
    "without end": {"exp": None},
    "without beginning": {"iat": None},
    "of nobody": {"sub": None},
    "of an unknown account": {"sub": "somebody else"},
    "of an account with a password": {"sub": "guanli"},
    "with a subject that is no text": {"sub": 7},
    "for another audience": {"aud": "another"},
    "for other audiences": {"aud": ["another", "account"]},
    "for no audience": {"aud": None},
    "of an unknown issuer": {"iss": "https://id.example.gov.cn"},
    "of no issuer": {"iss": None},
    "of an issuer that is no text": {"iss": ["https://id.example.gov.cn"]},
    "of our own": {"iss": "kaoping"},
    "an ID token by its nonce": {"nonce": "n-0S6_WzA2Mj"},
    "an ID token by its hash": {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"},
    "an ID token of Keycloak": {"typ": "ID"},
    "a refresh token of Keycloak": {"typ": "Refresh"},
    "an ID token of Cognito": {"token_use": "id"},
    "a logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
}


@pytest.mark.parametrize("wrong", CLAIMS.values(), ids=CLAIMS)
async def test_claims_that_do_not_hold(
    db: Database, district: District, issuer: RunningIssuer, wrong: dict[str, Any]
) -> None:
    issuers = Issuers(db)
    assert (await enter(db, issuer.token(SUBJECT), issuers)).tenant_id == district.id
    await refused(db, issuer.token(**{"subject": SUBJECT, **wrong}), issuers)


HEADERS: dict[str, dict[str, Any]] = {
    "another type": {"typ": "logout+jwt"},
    "proof of possession": {"typ": "dpop+jwt"},
    "a type that is no text": {"typ": 7},
    "extensions": {"crit": ["exp"], "exp": 1},
    "an unknown key": {"kid": "of nobody"},
}


@pytest.mark.parametrize("wrong", HEADERS.values(), ids=HEADERS)
async def test_headers_that_do_not_hold(
    db: Database, district: District, issuer: RunningIssuer, wrong: dict[str, Any]
) -> None:
    await refused(db, issuer.token(SUBJECT, headers=wrong))


@pytest.mark.parametrize("good", [{"typ": "JWT"}, {"typ": None}, {"kid": None}], ids=str)
async def test_headers_that_hold(db: Database, district: District, issuer: RunningIssuer, good: dict[str, Any]) -> None:
    assert (await enter(db, issuer.token(SUBJECT, headers=good))).tenant_id == district.id


def _part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(issuer: RunningIssuer, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    """A token put together by hand, as libraries refuse to."""
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 300}
    begun = f"{_part({'alg': algorithm, 'typ': 'at+jwt', 'kid': RSA.id})}.{_part(claims)}"
    return f"{begun}.{_part(sign(begun.encode()))}"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "RS512", "PS256"])
async def test_algorithms_that_are_not_allowed(
    db: Database, district: District, issuer: RunningIssuer, algorithm: str
) -> None:
    # The public key as a shared secret: what a verifier that trusts `alg` falls for.
    await refused(db, forged(issuer, algorithm, lambda begun: hmac.digest(RSA.public_pem, begun, hashlib.sha256)))
    await refused(db, forged(issuer, algorithm, lambda _: b""))


async def test_a_signature_by_another_or_over_other_claims(
    db: Database, district: District, issuer: RunningIssuer
) -> None:
    await refused(db, issuer.token(SUBJECT, key=SigningKey.make(RSA.id)))
    head, _, signature = issuer.token("nobody").split(".")
    _, claims, _ = issuer.token(SUBJECT).split(".")
    await refused(db, f"{head}.{claims}.{signature}")
    await refused(db, f"{head}.{claims}.")
    await refused(db, f"{head}.{_part(b'no json')}.{signature}")
    # An elliptic key under the name of the other one.
    await refused(db, issuer.token(SUBJECT, key=SigningKey.make(RSA.id, "ES256")))


async def test_keys_are_never_taken_from_where_a_token_points(
    db: Database, district: District, issuer: RunningIssuer
) -> None:
    with issuing() as evil:
        own = SigningKey.make("evil")
        evil.publish(own)
        for headers in (
            {"jku": f"{evil.url}/keys"},
            {"x5u": f"{evil.url}/keys"},
            {"jwk": own.published()},
            {"jku": f"{evil.url}/keys", "kid": RSA.id},
        ):
            await refused(db, issuer.token(SUBJECT, key=own, headers=headers))
        assert evil.asked() == 0
        assert (await enter(db, issuer.token(SUBJECT, headers={"jku": f"{evil.url}/keys"}))).tenant_id == district.id


async def test_unknown_key_ids_do_not_become_requests(db: Database, district: District, issuer: RunningIssuer) -> None:
    issuers = Issuers(db)
    began = issuer.asked()
    await enter(db, issuer.token(SUBJECT), issuers)
    flood = [issuer.token(SUBJECT, headers={"kid": f"invented-{n}"}) for n in range(200)]
    results = await asyncio.gather(*(enter(db, token, issuers) for token in flood), return_exceptions=True)
    assert all(isinstance(result, AccessDenied) for result in results)
    assert issuer.asked() - began == 1
    assert (await enter(db, issuer.token(SUBJECT), issuers)).tenant_id == district.id


async def test_an_issuer_that_nobody_entered_is_never_asked(db: Database, district: District) -> None:
    with issuing() as stranger:
        stranger.publish(RSA)
        await refused(db, stranger.token(SUBJECT))
        assert stranger.asked() == 0


async def test_a_rotated_key_is_found_and_the_old_one_ends(
    db: Database, district: District, issuer: RunningIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuers = Issuers(db)
    old = issuer.token(SUBJECT)
    await enter(db, old, issuers)
    new = SigningKey.make("rsa-2")
    issuer.publish(new)
    # The issuer was asked a moment ago.
    await refused(db, issuer.token(SUBJECT), issuers)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    assert (await enter(db, issuer.token(SUBJECT), issuers)).tenant_id == district.id
    await refused(db, old, issuers)


async def test_known_keys_hold_for_a_while_where_the_issuer_is_away(
    db: Database, district: District, issuer: RunningIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FRESH_SECONDS", "PAUSE_SECONDS", "FIRST_PAUSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)
    issuers = Issuers(db)
    token = issuer.token(SUBJECT)
    began = issuer.asked()
    await enter(db, token, issuers)
    issuer.publish(RSA, status=503)
    async with asyncio.timeout(30):
        while issuer.asked() - began < 3:
            assert (await enter(db, token, issuers)).tenant_id == district.id
            await asyncio.sleep(0.1)
    monkeypatch.setattr(module, "LAST_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await enter(db, token, issuers)
    monkeypatch.undo()
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    issuer.publish(RSA)
    assert (await enter(db, token, issuers)).tenant_id == district.id


FAULTS: dict[str, dict[str, Any]] = {
    "away": {"status": 500},
    "redirecting": {"status": 302},
    "another issuer's": {"issuer": "https://id.example.gov.cn"},
    "endless": {"padding": 300_000},
    "slow": {"slow": 20},
    "keys without https": {"jwks_uri": "http://id.example.gov.cn/keys"},
    "keys in a file": {"jwks_uri": "file:///etc/passwd"},
}


@pytest.mark.parametrize("wrong", FAULTS.values(), ids=FAULTS)
async def test_an_issuer_that_does_not_answer_as_it_should(
    db: Database,
    district: District,
    issuer: RunningIssuer,
    wrong: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.5)
    token = issuer.token(SUBJECT)
    issuer.publish(RSA, **wrong)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await enter(db, token)
    assert time.monotonic() - began < 15


async def test_weak_and_foreign_keys_are_not_used(db: Database, district: District, issuer: RunningIssuer) -> None:
    weak = SigningKey("weak", "RS256", rsa.generate_private_key(65537, 1024))  # noqa: S505  # weak is what is tested
    issuer.publish(weak)
    with pytest.raises(Unavailable):
        await enter(db, issuer.token(SUBJECT, key=RSA))
    secret = {"kty": "oct", "kid": "shared", "k": _part(b"x" * 32), "alg": "HS256"}
    assert module._usable([secret, {**RSA.published(), "use": "enc"}, {**RSA.published(), "alg": "PS256"}, 7]) == {}


async def test_districts_that_share_an_issuer_are_told_apart_by_a_claim(
    db: Database, owner_url: str, make_tenant: MakeTenant, district: District, issuer: RunningIssuer
) -> None:
    other = await make_tenant()
    with pytest.raises(ProvisioningError, match="--tenant-claim"):
        await set_issuer(owner_url, code=other.code, issuer=Issuer(issuer.url, AUDIENCE))
    claimed = Issuer(issuer.url, AUDIENCE, tenant_claim="district")
    with pytest.raises(ProvisioningError, match="without --tenant-claim"):
        await set_issuer(owner_url, code=other.code, issuer=claimed)
    for code in (district.code, other.code):
        await set_issuer(owner_url, code=code, issuer=claimed)
    async with db.transaction(other.id) as tx:
        await create_member(tx, system_actor(other.id), display_name="李四", sign_in_name=SUBJECT)
    # The same subject in both: only the verified claim says which.
    assert (await enter(db, issuer.token(SUBJECT, district=district.code))).display_name == "张三"
    assert (await enter(db, issuer.token(SUBJECT, district=other.code))).display_name == "李四"
    for claims in ({}, {"district": "unknown"}, {"district": [district.code, other.code]}, {"tid": str(other.id)}):
        await refused(db, issuer.token(SUBJECT, **claims))


async def test_a_token_of_one_district_opens_nothing_in_another(
    db: Database, owner_url: str, make_tenant: MakeTenant, district: District, issuer: RunningIssuer
) -> None:
    other = await make_tenant()
    with issuing() as second:
        theirs = SigningKey.make("theirs")
        second.publish(theirs)
        await set_issuer(owner_url, code=other.code, issuer=Issuer(second.url, AUDIENCE))
        async with db.transaction(other.id) as tx:
            await create_member(tx, system_actor(other.id), display_name="李四", sign_in_name="only there")
        assert (await enter(db, second.token("only there"))).tenant_id == other.id
        await refused(db, issuer.token("only there"))
        # Signed by the one, in the name of the other.
        await refused(db, issuer.token("only there", iss=second.url))
        await refused(db, second.token(SUBJECT, iss=issuer.url))
        await refused(db, issuer.token("only there", tid=str(other.id)))


async def test_a_suspended_district_and_account(
    db: Database, owner_url: str, district: District, issuer: RunningIssuer
) -> None:
    issuers = Issuers(db)
    actor = await enter(db, issuer.token(SUBJECT), issuers)
    await set_status(owner_url, code=district.code, status="SUSPENDED")
    await refused(db, issuer.token(SUBJECT), issuers)
    await set_status(owner_url, code=district.code, status="ACTIVE")
    async with db.transaction(district.id) as tx:
        await tx.execute("UPDATE members SET active = false WHERE tenant_id = $1 AND id = $2", tx.tenant_id, actor.id)
    await refused(db, issuer.token(SUBJECT), issuers)


async def test_who_comes_through_an_issuer_cannot_give_itself_a_password(
    db: Database, district: District, issuer: RunningIssuer
) -> None:
    actor = await enter(db, issuer.token(SUBJECT))
    with pytest.raises(AccessDenied):
        async with db.transaction(district.id) as tx:
            await edit_member(tx, actor, member_id=encode_id("Member", actor.id), version=1, password="stays for ever")
    with pytest.raises(AccessDenied):
        await sign_in(db, KEY, minutes=5, tenant_code=district.code, name=SUBJECT, password="stays for ever")


async def test_the_same_door_over_http_and_websocket(
    db: Database,
    district: District,
    issuer: RunningIssuer,
    start: Start,
) -> None:
    program = start("serve", "--port", "0")
    address = await asyncio.to_thread(served, program)
    document = {"query": "{ viewer { actor { displayName } } }"}
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:

        async def ask(token: str) -> tuple[int, dict[str, Any]]:
            headers = {"authorization": f"Bearer {token}", "accept": "application/graphql-response+json"}
            answer = await http.post("/graphql", json=document, headers=headers)
            return answer.status_code, answer.json()

        status, body = await ask(issuer.token(SUBJECT))
        assert (status, body["data"]["viewer"]["actor"]["displayName"]) == (200, "张三")
        for token in (
            issuer.token(SUBJECT, exp=int(time.time()) - 60),
            issuer.token(SUBJECT, roles=["x" * 100] * 40),
            issuer.token(SUBJECT, roles=["x" * 100] * 200),
        ):
            status, body = await ask(token)
            assert status == (200 if 4096 < len(token) <= 8192 else 401), len(token)
    socket = await Socket.open(address, issuer.token(SUBJECT))
    await socket.say(type="subscribe", id="1", payload=document)
    heard: Any = await socket.hear()
    assert heard["payload"]["data"]["viewer"]["actor"]["displayName"] == "张三"
    refused_socket = await Socket.open(address, issuer.token("nobody"), acknowledged=False)
    await refused_socket.connection.wait_closed()
    assert refused_socket.connection.close_code == 4403
    assert SUBJECT not in "".join(program.lines)


@pytest.mark.parametrize(
    ("address", "http", "sound"),
    [
        ("https://id.example.gov.cn/realms/a", False, True),
        ("http://127.0.0.1:8080", False, True),
        ("http://localhost/x", False, True),
        ("http://[::1]/x", False, True),
        ("http://10.0.0.7/x", False, False),
        ("http://10.0.0.7/x", True, True),
        ("http://127.0.0.1.evil.example", False, False),
        ("https://user:word@id.example.gov.cn", False, False),
        ("https://id.example.gov.cn/?a=b", False, False),
        ("ftp://id.example.gov.cn", True, False),
        ("id.example.gov.cn", True, False),
    ],
)
async def test_addresses_of_issuers(address: str, http: bool, sound: bool) -> None:
    assert (address_fault(address, http=http) is None) is sound


async def recorded(db: Database, district: District) -> list[tuple[str, list[tuple[str, str | None, str | None]]]]:
    """Events of the district itself that nobody in particular caused: what was done, and what it changed."""
    async with db.transaction(district.id) as tx:
        rows = await tx.fetch(
            """SELECT action, changes FROM audit_events
               WHERE tenant_id = $1 AND actor_id IS NULL AND subject_type = 'Tenant' AND subject_id = $1
               ORDER BY sequence""",
            tx.tenant_id,
        )
    return [
        (row["action"], [(each["field"], each["before"], each["after"]) for each in json.loads(row["changes"])])
        for row in rows
    ]


async def test_every_change_of_an_issuer_or_a_status_is_on_record(
    db: Database, owner_url: str, make_tenant: MakeTenant
) -> None:
    made, other = await make_tenant(), await make_tenant()
    url = f"https://{made.code}.example"
    # What changes nothing is no event.
    for issuer in (Issuer(url, "a"), Issuer(url, "a"), Issuer(url, "b", tenant_claim="district"), None, None):
        await set_issuer(owner_url, code=made.code, issuer=issuer)
    for status in ("SUSPENDED", "SUSPENDED", "ACTIVE"):
        assert (await set_status(owner_url, code=made.code, status=status)).status == status
    sub, claim = ("subjectClaim", "sub", None), ("tenantClaim", "district", None)
    assert await recorded(db, made) == [
        ("setTenantIssuer", [("issuer", None, url), ("audience", None, "a"), ("subjectClaim", None, "sub")]),
        ("setTenantIssuer", [("audience", "a", "b"), ("tenantClaim", None, "district")]),
        ("removeTenantIssuer", [("issuer", url, None), ("audience", "b", None), sub, claim]),
        ("suspendTenant", [("status", "ACTIVE", "SUSPENDED")]),
        ("resumeTenant", [("status", "SUSPENDED", "ACTIVE")]),
    ]
    await set_issuer(owner_url, code=made.code, issuer=Issuer(url, "a"))
    with pytest.raises(ProvisioningError, match="--tenant-claim"):
        await set_issuer(owner_url, code=other.code, issuer=Issuer(url, "a"))
    assert await recorded(db, other) == []
    with pytest.raises(ProvisioningError, match="no district with the code nowhere"):
        await set_issuer(owner_url, code="nowhere", issuer=None)
    with pytest.raises(ProvisioningError, match="no district with the code nowhere"):
        await set_status(owner_url, code="nowhere", status="ACTIVE")


async def test_a_district_begins_its_record_with_itself(db: Database, owner_url: str) -> None:
    names = {"name": "清河区", "time_zone": "Asia/Shanghai", "root_code": "root", "root_name": "中共清河区委员会"}
    code = f"begun-{uuid7().hex[-12:]}"
    made = await create_district(owner_url, code=code, **names)
    first = ("createTenant", [("code", None, code), ("name", None, "清河区"), ("timeZone", None, "Asia/Shanghai")])
    assert await recorded(db, made) == [first]
    async with db.transaction(made.id) as tx:
        assert await tx.fetchval("SELECT previous_digest FROM audit_events WHERE sequence = 1") == GENESIS
    with pytest.raises(ProvisioningError, match="already"):
        await create_district(owner_url, code=code, **names)
    assert await recorded(db, made) == [first]


async def test_an_issuer_that_cannot_be_put_on_record_is_not_set(owner_url: str, make_tenant: MakeTenant) -> None:
    made = await make_tenant()
    async with owner_transaction(owner_url, code=made.code) as tx:
        await tx.execute("DELETE FROM audit_heads WHERE tenant_id = $1", tx.tenant_id)
    with pytest.raises(asyncpg.NotNullViolationError, match="audit_events"):
        await set_issuer(owner_url, code=made.code, issuer=Issuer("https://id.example", "a"))
    assert await issuer_of(owner_url, code=made.code) is None
    async with owner_transaction(owner_url, code=made.code) as tx:
        await tx.execute(
            "INSERT INTO audit_heads (tenant_id, sequence, digest) VALUES ($1, 0, $2)", tx.tenant_id, GENESIS
        )


async def test_the_command_line(
    settings: Settings,
    db: Database,
    district: District,
    issuer: RunningIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, words)

    shown = json.loads((await run("tenant", "issuer", "show", district.code, "--json")).stdout)
    assert shown == {
        "code": district.code,
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "subjectClaim": "sub",
        "tenantClaim": None,
    }
    made = await run("member", "create", "--tenant", district.code, "--name", "王五", "--subject", "wangwu", "--json")
    assert "password" not in json.loads(made.stdout)
    assert (await enter(db, issuer.token("wangwu"))).display_name == "王五"
    linked = await run("member", "link", "--tenant", district.code, "--sign-in", "guanli", "--subject", "7c2")
    assert linked.exit_code == 0, linked.stderr
    assert (await enter(db, issuer.token("7c2"))).display_name == "管理员"
    both = await run("member", "create", "--tenant", district.code, "--name", "x", "--subject", "a", "--sign-in", "b")
    assert both.exit_code == 2
    assert (await run("tenant", "issuer", "remove", district.code)).exit_code == 0
    await refused(db, issuer.token(SUBJECT))
    wrong = ("tenant", "issuer", "set", district.code, "--audience", AUDIENCE, "--url")
    issuer.publish(RSA, issuer="https://other.example")
    told = await run(*wrong, issuer.url)
    assert (told.exit_code, "is of another issuer" in told.stderr) == (1, True)
    told = await run(*wrong, "http://id.example.gov.cn")
    assert (told.exit_code, "KAOPING_ISSUER_HTTP" in told.stderr) == (1, True)
    issuer.publish(RSA)
    assert (await run(*wrong, issuer.url)).exit_code == 0
    assert (await enter(db, issuer.token(SUBJECT))).tenant_id == district.id
    assert (await run("tenant", "suspend", district.code)).exit_code == 0
    assert [action for action, _ in await recorded(db, district)] == [
        "setTenantIssuer",
        "removeTenantIssuer",
        "setTenantIssuer",
        "suspendTenant",
    ]
