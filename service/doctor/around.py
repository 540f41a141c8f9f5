"""What stands around the database: the signing key, time zones, Redis, issuers."""

import asyncio
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from service.doctor.findings import Findings
from service.issuers import IssuerError, IssuerKeys
from service.settings import SIGNING_KEY_BYTES, Settings

ZONE = "Asia/Shanghai"
"""The zone that districts have unless they say otherwise."""

LEAST_DIFFERENT = 8
"""Different characters in a key at least: 32 random digits of whatever base have more."""

REDIS_SECONDS = 3.0
OLDEST_REDIS = (6, 2)

_MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
_WORDS = re.compile(r"change.?me|secret|password|example|kaoping|12345|qwerty", re.IGNORECASE)


def check_signing_key(findings: Findings, settings: Settings) -> None:
    """Whether the key looks like chance. Its length was checked with the settings."""
    if settings.signing_key is None:
        findings.unseen("signing key", "none is set; `kaoping serve` makes one in its data folder")
        return
    key = settings.signing_key.get_secret_value()
    different = len(set(key))
    mend = f"Set KAOPING_SIGNING_KEY to a new one, the same for all processes; all sign in again. Make one: {_MAKE_KEY}"
    if different < LEAST_DIFFERENT or key in (key + key)[1:-1]:
        findings.wrong("signing key", f"KAOPING_SIGNING_KEY has {different} different characters, or repeats.", mend)
    elif _WORDS.search(key):
        findings.wrong("signing key", "KAOPING_SIGNING_KEY holds a word that others would try.", mend)
    else:
        findings.ok("signing key", f"{len(key.encode())} bytes, at least {SIGNING_KEY_BYTES} are wanted")


def check_time_zones(findings: Findings) -> None:
    """Whether this machine knows time zones; the database is asked with the rest of it."""
    try:
        ZoneInfo(ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        findings.wrong("time zones", f"This machine does not know {ZONE}.", "Install the package tzdata.")


async def check_redis(findings: Findings, settings: Settings) -> None:
    """Whether Redis answers, and its version."""
    if settings.redis_url is None:
        findings.unseen("redis", "KAOPING_REDIS_URL is not set")
        return
    client: Redis = Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )
    try:
        async with asyncio.timeout(2 * REDIS_SECONDS):
            told = await client.info("server")
    except AuthenticationError:
        findings.wrong("redis", "Redis refuses the password.", "Correct the password in KAOPING_REDIS_URL.")
        return
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        findings.wrong(
            "redis",
            f"Redis does not answer ({type(error).__name__}); jobs start up to two seconds late, live progress stands.",
            "Start it, or correct KAOPING_REDIS_URL; look at firewalls and network policies between.",
        )
        return
    finally:
        await client.aclose()
    version = str(told.get("redis_version", "0"))
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_REDIS:
        findings.wrong("redis", f"Redis is {version}.", "Use 6.2 or later.")
    else:
        findings.ok("redis", f"Redis {version} answers")


async def check_issuers(findings: Findings, settings: Settings) -> None:
    """Whether the issuers of the directory can be asked for their keys from here."""
    if not findings.has("database") or any(f.check == "database" and f.state == "wrong" for f in findings):
        return

    async def ask(issuer: str) -> str | None:
        try:
            await IssuerKeys(issuer, http=settings.issuer_http).fetch()
        except IssuerError as error:
            return str(error)
        return None

    answers = await asyncio.gather(*map(ask, findings.issuers))
    for (issuer, codes), fault in zip(findings.issuers.items(), answers, strict=True):
        if fault is not None:
            findings.wrong(
                "issuers",
                f"{issuer} (of {', '.join(codes)}): {fault}.",
                "Whoever signs in through it cannot. Look at the network between, and at `kaoping tenant issuer show`.",
            )
    if not findings.has("issuers"):
        findings.ok("issuers", f"{len(findings.issuers)} answer" if findings.issuers else "no district has one")


def offset_now() -> float:
    """Seconds that ZONE is ahead of UTC, as this machine knows it."""
    offset = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).utcoffset()
    assert offset is not None
    return offset.total_seconds()
