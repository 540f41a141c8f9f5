"""What is kept between requests, bounded by its weight (缓存)."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """Values by key, the longest unused leaving first when they weigh too much together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.weight = 0
        """Of all that is kept."""
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; one that alone weighs too much is not kept."""
        if weight > self.most:
            return
        if key in self._kept:
            self.weight -= self._kept.pop(key)[1]
        self._kept[key] = (value, weight)
        self.weight += weight
        while self.weight > self.most:
            self.weight -= self._kept.popitem(last=False)[1][1]
