"""Ids of rows: UUID version 7 (RFC 9562), made here, so that they sort by time on every PostgreSQL version."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new id: 48 bits of Unix milliseconds, then random bits."""
    return UUID(int=_stamp() | int.from_bytes(os.urandom(10), "big") & _RANDOM_MASK)


def uuid7s(count: int) -> list[UUID]:
    """`count` new ids of one millisecond, in ascending order."""
    stamp, random = _stamp(), os.urandom(10 * count)
    numbers = (int.from_bytes(random[i : i + 10], "big") & _RANDOM_MASK for i in range(0, 10 * count, 10))
    return [UUID(int=stamp | number) for number in sorted(numbers)]


# Everything but the version and variant bits; of the 10 random bytes, 74 bits are kept.
_RANDOM_MASK = (0xFFF << 64) | ((1 << 62) - 1)


def _stamp() -> int:
    return time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | 0b10 << 62
