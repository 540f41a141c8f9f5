"""The memory of boards: never above its limit, fair to districts, one copy of equal bytes."""

import random
import uuid

from schema.published.kept import ANSWER_BYTES, LARGEST_SHARE, Board, Kept

KIB = 1024
LIMIT = 512 * KIB


def board(name: str, size: int = 4 * KIB) -> Board:
    """A body of a size, with a tag of its own."""
    return Board(name.encode().ljust(size, b"."), f'"{name}"'.encode())


def test_memory_never_passes_its_limit() -> None:
    kept = Kept(LIMIT)
    draw = random.Random(7)
    districts = [uuid.uuid4() for _ in range(5)]
    for number in range(3_000):
        which = draw.choice(districts)
        kept.keep(which, draw.randrange(400), board(str(draw.randrange(300)), draw.randrange(1, 20) * KIB))
        assert kept.bytes <= LIMIT
        assert kept.bytes == sum(kept.size_of(each) for each in districts), number
    assert len(kept) > 20


def test_the_longest_unused_leave_first() -> None:
    kept = Kept(LIMIT)
    tenant = uuid.uuid4()
    fit = LIMIT // (4 * KIB + ANSWER_BYTES)
    for number in range(fit):
        kept.keep(tenant, number, board(str(number)))
    assert kept.get(tenant, 0) is not None
    kept.keep(tenant, fit, board(str(fit)))
    assert kept.get(tenant, 0) is not None, "just used"
    assert kept.get(tenant, 1) is None
    assert len(kept) == fit


def test_a_district_that_fills_the_memory_pushes_out_its_own() -> None:
    kept = Kept(LIMIT)
    small, large = uuid.uuid4(), uuid.uuid4()
    for number in range(10):
        kept.keep(small, number, board(f"s{number}"))
    for number in range(5_000):
        kept.keep(large, number, board(f"l{number}"))
    assert all(kept.get(small, number) is not None for number in range(10))
    assert kept.get(large, 0) is None
    assert kept.get(small, 4_999) is None, "another district's answers are never found"


def test_equal_bytes_are_kept_once() -> None:
    kept = Kept(LIMIT)
    tenant, other = uuid.uuid4(), uuid.uuid4()
    same = board("same", 30 * KIB)
    for viewer in range(50):
        kept.keep(tenant, viewer, Board(bytes(bytearray(same.body)), same.etag))
    assert kept.bytes == 30 * KIB + 50 * ANSWER_BYTES
    found = [kept.get(tenant, viewer) for viewer in range(50)]
    assert len({id(each) for each in found}) == 1
    assert found[0] is not None
    kept.keep(other, 0, same)
    assert kept.size_of(other) == 30 * KIB + ANSWER_BYTES
    kept.keep(tenant, 0, same)
    assert kept.size_of(tenant) == 30 * KIB + 50 * ANSWER_BYTES


def test_what_is_too_large_or_not_wanted_is_not_kept() -> None:
    tenant = uuid.uuid4()
    kept = Kept(LIMIT)
    kept.keep(tenant, 1, board("large", LIMIT // LARGEST_SHARE))
    assert (len(kept), kept.bytes) == (0, 0)
    nothing = Kept(0)
    nothing.keep(tenant, 1, board("any", 1))
    assert (len(nothing), nothing.bytes) == (0, 0)
