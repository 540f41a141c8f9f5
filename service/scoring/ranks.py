"""Ranks (名次): competition ranks 1, 2, 2, 4 within groups, from keys that are equal exactly where totals are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.whole import Mask

Keys = NDArray[Any]


def dense(keys: Keys) -> NDArray[np.int64]:
    """The same order and the same equals as small whole numbers."""
    if keys.dtype == np.int64:
        return keys
    places = {key: place for place, key in enumerate(sorted(set(keys.tolist())))}
    return np.array([places[key] for key in keys.tolist()], np.int64)


def competition(
    keys: NDArray[np.int64], ranked: Mask, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rank, how many share it) within each group, the greatest key first; both 0 for units that are not ranked."""
    count = len(keys)
    rank, shared = np.zeros(count, np.int64), np.zeros(count, np.int64)
    units = np.flatnonzero(ranked)
    if not len(units):
        return rank, shared
    order = units[np.lexsort((-keys[units], groups[units]))]
    key, group = keys[order], groups[order]
    new_group = np.r_[True, group[1:] != group[:-1]]
    new_key = new_group | np.r_[True, key[1:] != key[:-1]]
    place = np.arange(len(order))
    group_start = np.maximum.accumulate(np.where(new_group, place, 0))
    key_start = np.maximum.accumulate(np.where(new_key, place, 0))
    starts = np.flatnonzero(new_key)
    sizes = np.diff(np.append(starts, len(order)))
    rank[order] = key_start - group_start + 1
    shared[order] = sizes[np.cumsum(new_key) - 1]
    return rank, shared


def refine(keys: NDArray[np.int64], finer: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys that keep their order and are told apart further by a second key."""
    if not len(keys):
        return keys
    order = np.lexsort((finer, keys))
    changed = (keys[order][1:] != keys[order][:-1]) | (finer[order][1:] != finer[order][:-1])
    found = np.zeros(len(keys), np.int64)
    found[order] = np.r_[0, np.cumsum(changed)]
    return found


def tied(keys: NDArray[np.int64], ranked: Mask) -> NDArray[np.intp]:
    """Ranked units that share their key with another ranked one."""
    units = np.flatnonzero(ranked)
    _, inverse, sizes = np.unique(keys[units], return_inverse=True, return_counts=True)
    return units[sizes[inverse] > 1]
