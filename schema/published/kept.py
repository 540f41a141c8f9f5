"""Answers kept as bytes, bounded and fair to every district (榜单缓存).

A district that fills the memory pushes out its own longest unused answers before anybody else's. Viewers of a district
whose answers are the same bytes share them.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from service.metrics import BOARD_CACHE_BYTES

ANSWER_BYTES: Final = 1_000
"""What an answer takes besides its body, rounded up from a measurement: its key, and its places in the tables."""

LARGEST_SHARE: Final = 8
"""A body above this part of the memory is not kept."""


@dataclass(frozen=True, slots=True)
class Board:
    """A body with its strong entity tag, quotes included."""

    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Of the answer in full; those of the same bytes are the same."""


@dataclass(slots=True)
class _District:
    answers: OrderedDict[Hashable, Board] = field(default_factory=OrderedDict)
    bodies: dict[bytes, tuple[Board, int]] = field(default_factory=dict)
    """Entity tag → the board, and how many answers it is."""
    bytes: int = 0


class Kept:
    """The answers of one process: by district, then by whatever tells two answers apart."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        """Size of what is kept."""
        self._districts: dict[UUID, _District] = {}

    def __len__(self) -> int:
        return sum(len(each.answers) for each in self._districts.values())

    def get(self, tenant_id: UUID, key: Hashable) -> Board | None:
        """The answer, if it is kept."""
        district = self._districts.get(tenant_id)
        if district is None:
            return None
        found = district.answers.get(key)
        if found is not None:
            district.answers.move_to_end(key)
        return found

    def keep(self, tenant_id: UUID, key: Hashable, board: Board) -> None:
        """Keep an answer, and let others go for it."""
        if len(board.body) + ANSWER_BYTES > self.most_bytes // LARGEST_SHARE:
            return
        district = self._districts.setdefault(tenant_id, _District())
        if key in district.answers:
            self._drop(district, key)
        shared, users = district.bodies.get(board.etag, (board, 0))
        district.bodies[board.etag] = shared, users + 1
        district.answers[key] = shared
        self._count(district, ANSWER_BYTES + (0 if users else len(board.body)))
        while self.bytes > self.most_bytes:
            self._make_room()

    def size_of(self, tenant_id: UUID) -> int:
        """Bytes of one district."""
        district = self._districts.get(tenant_id)
        return 0 if district is None else district.bytes

    def _make_room(self) -> None:
        tenant_id, district = max(self._districts.items(), key=lambda each: each[1].bytes)
        self._drop(district, next(iter(district.answers)))
        if not district.answers:
            del self._districts[tenant_id]

    def _drop(self, district: _District, key: Hashable) -> None:
        board = district.answers.pop(key)
        users = district.bodies[board.etag][1] - 1
        if users:
            district.bodies[board.etag] = board, users
        else:
            del district.bodies[board.etag]
        self._count(district, -ANSWER_BYTES - (0 if users else len(board.body)))

    def _count(self, district: _District, change: int) -> None:
        district.bytes += change
        self.bytes += change
        BOARD_CACHE_BYTES.set(self.bytes)
