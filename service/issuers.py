"""Tokens of an issuer outside (统一身份认证): OpenID Connect access tokens, verified with the issuer's published keys.

A district may name one issuer in the directory. Who the token says it is from only chooses which issuer's keys must
have signed it; nothing else of it is believed before that. Where several districts share an issuer, a claim of the
verified token names the district by its code. Of the header only `alg`, `kid`, `typ` and `crit` are read: keys never
come from where a token points to. Accounts are made by administrators; a token opens the one whose sign-in name is its
subject, and only where that has no password: an account is opened in one way.
"""

import asyncio
import ipaddress
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from service import metrics
from service.errors import AccessDenied, Unavailable, unauthenticated
from service.scoring.text import Text
from tenants.database import Database

ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""Which algorithm a key is for, by its type and curve. None of them takes a shared secret."""

TOKEN_TYPES: Final = frozenset({None, "jwt", "at+jwt", "application/at+jwt"})
"""What the header of an access token may call it."""

FRESH_SECONDS = 300.0
"""After so long keys are fetched again, while the old ones go on."""

LAST_SECONDS = 3600.0
"""So long known keys hold where the issuer does not answer."""

PAUSE_SECONDS = 30.0
"""Between two fetches for whatever reason, so that tokens with invented key ids don't become requests to the issuer."""

FIRST_PAUSE_SECONDS = 5.0
"""The same where no key is known yet."""

FETCH_SECONDS = 5.0
"""How long the issuer may take for all of a fetch."""

MOST_BYTES = 256 * 1024
"""Of a document of the issuer."""

MOST_KEYS = 50
"""Of an issuer; further ones are not read."""

SHORTEST_RSA_BITS = 2048

LEEWAY_SECONDS = 30
"""How far the issuer's clock and ours may be apart."""

LONGEST_SUBJECT = 100
"""Characters of a subject: those of a sign-in name."""

log = logging.getLogger(__name__)


class IssuerError(Exception):
    """The issuer does not answer, or not as it should; the message says how."""


@dataclass(frozen=True)
class Proven:
    """What a verified token says: an account of a district, by its subject, and until when."""

    tenant_id: UUID
    subject: str
    expires_at: datetime


class _Refused(Exception):
    """Why a token does not hold; for the log, never for its bearer."""


def address_fault(address: str, *, http: bool) -> str | None:
    """What is wrong with an issuer's address, or None. Plain http is for this machine, or where a setting allows it."""
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.fragment or parts.query:
        return f"{address[:200]} is no address of an issuer: https://host/path is wanted."
    if parts.scheme == "http" and not http and not _is_loopback(parts.hostname):
        return f"{address[:200]} is not https. Plain http is for this machine, or with KAOPING_ISSUER_HTTP=true."
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Issuers:
    """Verifies tokens of the issuers in the directory, and keeps their keys, each for a bounded time."""

    def __init__(self, db: Database, *, http: bool = False) -> None:
        self._db = db
        self._http = http
        self._keys: dict[str, IssuerKeys] = {}

    async def verify(self, token: str) -> Proven:
        """What a token proves. Raises AccessDenied (UNAUTHENTICATED), or Unavailable where its keys can't be had."""
        try:
            return await self._verify(token)
        except (_Refused, jwt.PyJWTError, ValueError, TypeError) as error:
            log.info("A token of an issuer was refused: %s", str(error) if isinstance(error, _Refused) else "malformed")
            raise refusal() from None

    async def _verify(self, token: str) -> Proven:
        algorithm, key_id = _read_header(jwt.get_unverified_header(token))
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if not isinstance(issuer, str):
            raise _Refused("it names no issuer")
        # Before anything is fetched: only issuers that somebody entered here are ever asked.
        districts = await self._db.fetch_global(
            """SELECT id, code, status, audience, subject_claim, tenant_claim FROM directory
               WHERE issuer = $1 ORDER BY code""",
            issuer,
        )
        if not districts:
            raise _Refused("no district has its issuer")
        keys = self._keys.get(issuer)
        if keys is None:
            keys = self._keys[issuer] = IssuerKeys(issuer, http=self._http)
        key = await keys.find(algorithm, key_id)
        if key is None:
            raise _Refused("its issuer has no such key")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud"], "verify_aud": False, "verify_sub": False},
            )
        except jwt.InvalidTokenError as error:
            raise _Refused(type(error).__name__) from None
        return _judge(claims, _district_of(claims, districts))


def refusal() -> AccessDenied:
    """One answer for all reasons."""
    return unauthenticated(Text(zh="登录令牌无效或已过期。", en="The bearer token is not valid, or has ended."))


def _read_header(header: Mapping[str, Any]) -> tuple[str, str | None]:
    algorithm, key_id, type_ = header.get("alg"), header.get("kid"), header.get("typ")
    if algorithm not in ALGORITHMS.values():
        raise _Refused("its algorithm is not allowed")
    if "crit" in header:
        raise _Refused("it wants extensions to be understood")
    if (type_.lower() if isinstance(type_, str) else type_) not in TOKEN_TYPES:
        raise _Refused("its type is not that of an access token")
    if key_id is not None and not isinstance(key_id, str):
        raise _Refused("its key id is no text")
    return str(algorithm), key_id


def _district_of(claims: Mapping[str, Any], districts: list[asyncpg.Record]) -> asyncpg.Record:
    """The one district that a verified token is for."""
    found = [
        district
        for district in districts
        if (district["tenant_claim"] is None and len(districts) == 1)
        or (district["tenant_claim"] is not None and claims.get(district["tenant_claim"]) == district["code"])
    ]
    if len(found) != 1:
        raise _Refused("it names no district of its issuer")
    return found[0]


def _judge(claims: Mapping[str, Any], district: asyncpg.Record) -> Proven:
    if district["status"] != "ACTIVE":
        raise _Refused("its district is suspended")
    audience = claims["aud"]
    if district["audience"] not in (audience if isinstance(audience, list) else [audience]):
        raise _Refused("it is meant for another audience")
    # Keycloak and Cognito say it in a claim, the others by what only an ID token or a logout token carries.
    named = {str(claims.get("typ", "")).lower(), str(claims.get("token_use", "")).lower()}
    if named & {"id", "refresh", "logout", "offline"} or {"nonce", "at_hash", "c_hash", "events"} & claims.keys():
        raise _Refused("it is no access token")
    subject = claims.get(district["subject_claim"])
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise _Refused("it names no subject")
    return Proven(district["id"], subject, datetime.fromtimestamp(claims["exp"], UTC))


class IssuerKeys:
    """The keys of one issuer, as it published them last."""

    def __init__(self, issuer: str, *, http: bool) -> None:
        self._issuer = issuer
        self._http = http
        self._known: dict[tuple[str, str | None], Any] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._lock = asyncio.Lock()
        self._behind: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, key_id: str | None) -> Any | None:
        """The key, or None where the issuer has none such. Raises Unavailable where no keys can be had."""
        age = time.monotonic() - self._fetched
        if age > LAST_SECONDS:
            await self._refresh()
            if time.monotonic() - self._fetched > LAST_SECONDS:
                raise Unavailable
        elif age > FRESH_SECONDS and (self._behind is None or self._behind.done()):
            # Behind the caller's back: the keys at hand still hold.
            self._behind = asyncio.create_task(self._refresh())
        key = self._look(algorithm, key_id)
        if key is None:
            await self._refresh()
            key = self._look(algorithm, key_id)
        return key

    def _look(self, algorithm: str, key_id: str | None) -> Any | None:
        if key_id is not None:
            return self._known.get((algorithm, key_id))
        fitting = [key for (known, _), key in self._known.items() if known == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was tried a moment ago; callers who come meanwhile wait for the one fetch."""
        async with self._lock:
            pause = PAUSE_SECONDS if self._known else FIRST_PAUSE_SECONDS
            if time.monotonic() - self._tried < pause:
                return
            self._tried = time.monotonic()
            try:
                self._known = await self.fetch()
            except IssuerError as error:
                metrics.ISSUER_FETCHES.labels("failed").inc()
                log.warning("The keys of %s could not be fetched: %s", self._issuer, error)
                return
            self._fetched = time.monotonic()
            metrics.ISSUER_FETCHES.labels("ok").inc()

    async def fetch(self) -> dict[tuple[str, str | None], Any]:
        """The keys as the issuer publishes them now, by algorithm and id. Raises IssuerError."""
        try:
            # The system's certificate authorities: an issuer on a government network rarely has a public one.
            context = ssl.create_default_context()
            async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient(verify=context) as http:
                place = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                found = await self._document(http, place)
                if found.get("issuer") != self._issuer:
                    raise IssuerError(f"{place} is of another issuer")
                address = str(found.get("jwks_uri"))
                published = (await self._document(http, address)).get("keys")
        except TimeoutError:
            raise IssuerError(f"it did not answer within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerError(f"it does not answer ({type(error).__name__})") from None
        keys = _usable(published if isinstance(published, list) else [])
        if not keys:
            raise IssuerError(f"{address} has no usable key; RS256 of 2048 bits, ES256 or EdDSA is wanted")
        return keys

    async def _document(self, http: httpx.AsyncClient, address: str) -> dict[str, Any]:
        if fault := address_fault(address, http=self._http):
            raise IssuerError(fault)
        parts = bytearray()
        async with http.stream("GET", address, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise IssuerError(f"{address} answers {response.status_code}")
            async for part in response.aiter_bytes():
                parts += part
                if len(parts) > MOST_BYTES:
                    raise IssuerError(f"{address} is longer than {MOST_BYTES} bytes")
        try:
            document = orjson.loads(parts)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise IssuerError(f"{address} is no JSON object")
        return document


def _usable(published: list[Any]) -> dict[tuple[str, str | None], Any]:
    keys: dict[tuple[str, str | None], Any] = {}
    for each in published[:MOST_KEYS]:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        algorithm = ALGORITHMS.get((str(each.get("kty")), each.get("crv")))
        key_id = each.get("kid")
        if algorithm is None or each.get("alg", algorithm) != algorithm or not isinstance(key_id, str | None):
            continue
        try:
            key = jwt.PyJWK(each, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if not isinstance(key, RSAPublicKey) or key.key_size >= SHORTEST_RSA_BITS:
            keys[algorithm, key_id] = key
    return keys
