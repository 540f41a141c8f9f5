"""Ids of rows: UUID version 7 (RFC 9562), made here, so that they sort by time on every PostgreSQL version."""

import os
import time
from uuid import UUID

import numpy as np


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


def uuid7_bytes(count: int) -> bytes:
    """`count` new ids of one millisecond, in ascending order, 16 bytes each: for rows by the hundred thousand."""
    raw = np.frombuffer(os.urandom(16 * count), dtype=">u8").reshape(count, 2)
    high = (raw[:, 0] & 0xFFF) | (_stamp() >> 64)
    low = (raw[:, 1] & ((1 << 62) - 1)) | (0b10 << 62)
    order = np.lexsort((low, high))
    return np.stack((high[order], low[order]), axis=1).astype(">u8").tobytes()
