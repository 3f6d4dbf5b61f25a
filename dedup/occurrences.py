"""Which occurrence of an exact hash is the first: what is sent to where hashes meet, and what comes back.

The idea: of equal hashes the smallest by (rank, key, ordinal, handle) stays, whatever order they came in. Smallest is
a thing of pairs, so it can be taken early and often: a mapper sends one occurrence of each hash it holds, any worker
merges blocks to the smallest of each hash, and a line that stands in a million documents is never held a million times.
What comes back is the list of those that stay, one for each hash. (A list of those that go would hold every one of the
million; TensorFlow Datasets' C4 ran out of memory on it until it was turned round: its pull request 2201.)

The trade-off: what occurs once travels too, 56 bytes there and 16 back; a Bloom filter (see `bloom`) spares it that.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..text import kernel

# `ordinal`: the place in the document, below 2^31. `repeated`: whether it stands for others too, 0 or 1.
# `handle`: as candidates.handles makes them, decides between records equal in every field
OCCURRENCE = np.dtype(
    [
        ("hash", "<u8", (2,)),
        ("rank", "<i8"),
        ("key", "<u8", (2,)),
        ("ordinal", "<i4"),
        ("repeated", "<i4"),
        ("handle", "<i8"),
    ]
)
KEEP = np.dtype([("handle", "<i8"), ("ordinal", "<i8")])

PENDING = 1 << 20  # occurrences that `merge` gathers at least before it sorts


def occurrences(
    hashes: np.ndarray, rank: np.ndarray, key: np.ndarray, ordinal: np.ndarray, handle: np.ndarray
) -> np.ndarray:
    """OCCURRENCE[n] of hashes uint64[n, 2], rank int64[n], key uint64[n, 2], ordinal int64[n], handle int64[n]."""
    made = np.zeros(len(hashes), OCCURRENCE)
    made["hash"], made["rank"], made["key"], made["ordinal"], made["handle"] = hashes, rank, key, ordinal, handle
    return made


@kernel
def _before(rank, key, ordinal, handle, a, b):
    """Does a come before b? No other fields than these decide."""
    if rank[a] != rank[b]:
        return rank[a] < rank[b]
    if key[a, 0] != key[b, 0]:
        return key[a, 0] < key[b, 0]
    if key[a, 1] != key[b, 1]:
        return key[a, 1] < key[b, 1]
    if ordinal[a] != ordinal[b]:
        return ordinal[a] < ordinal[b]
    return handle[a] < handle[b]


@kernel
def _firsts(order, hashes, rank, key, ordinal, handle, first):
    start = 0
    while start < len(order):
        best = order[start]
        end = start + 1
        while end < len(order) and (
            hashes[order[end], 0] == hashes[order[start], 0] and hashes[order[end], 1] == hashes[order[start], 1]
        ):
            if _before(rank, key, ordinal, handle, order[end], best):
                best = order[end]
            end += 1
        for i in range(start, end):
            first[order[i]] = best
        start = end


def _by_hash(hashes: np.ndarray) -> np.ndarray:
    """int64[n]: an order in which equal hashes are neighbours and the hashes ascend."""
    leading, rest = np.ascontiguousarray(hashes[:, 0]), hashes[:, 1]
    order = np.argsort(leading)
    same = leading[order[1:]] == leading[order[:-1]]
    if np.any(rest[order[1:][same]] != rest[order[:-1][same]]):  # the first 64 bits clash: by chance never
        order = np.lexsort((rest, leading))
    return order


def _grouped(entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order by hash int64[n], first_of_each int64[n])."""
    first = np.empty(len(entries), np.int64)
    order = _by_hash(entries["hash"])
    _firsts(order, *(entries[name] for name in ("hash", "rank", "key", "ordinal", "handle")), first)
    return order, first


def first_of_each(entries: np.ndarray) -> np.ndarray:
    """int64[n]: for each of OCCURRENCE[n], in any order, the position of the one of its hash that stays.

    So those with first_of_each(entries) != arange(n) go. All occurrences that compete must be here, or the smallest of
    each hash of every part of them. Time follows n log n however often a hash occurs.
    """
    return _grouped(entries)[1]


def _smallest(entries: np.ndarray) -> np.ndarray:
    order, first = _grouped(entries)
    first = first[order]
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    kept = entries[first[starts]]
    kept["repeated"] |= np.diff(starts, append=len(first)) > 1
    if len(starts):
        kept["repeated"] |= np.maximum.reduceat(entries["repeated"][order], starts)
    return kept


def merge(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """OCCURRENCE[k], by hash: the one that stays of each hash of all `blocks`, OCCURRENCE arrays in any order.

    It merges what mappers send and what it made itself, so workers can merge in any tree; `repeated` is 0 for a hash
    that all of them together hold once. It holds at most about three times the different hashes, or three times
    PENDING, and one block.
    """
    held = np.empty(0, OCCURRENCE)
    pending: list[np.ndarray] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += len(block)
        if count > max(len(held), PENDING):
            held, pending, count = _smallest(np.concatenate([held, *pending])), [], 0
    return _smallest(np.concatenate([held, *pending]))


def keep_list(merged: np.ndarray) -> np.ndarray:
    """KEEP[k], by (handle, ordinal): the occurrences of OCCURRENCE[k] as they go back to where their documents are."""
    keep = np.empty(len(merged), KEEP)
    keep["handle"], keep["ordinal"] = merged["handle"], merged["ordinal"]
    return keep[np.lexsort((keep["ordinal"], keep["handle"]))]


@kernel
def _not_kept(handle, ordinal, keep_handle, keep_ordinal, places, gone):
    for i in range(len(handle)):
        at = places[i]
        while at < len(keep_handle) and keep_handle[at] == handle[i] and keep_ordinal[at] < ordinal[i]:
            at += 1
        if i + 1 < len(handle) and handle[i + 1] == handle[i] and ordinal[i + 1] > ordinal[i]:
            places[i + 1] = at  # the next one of the same document need not begin again
        gone[i] = not (at < len(keep_handle) and keep_handle[at] == handle[i] and keep_ordinal[at] == ordinal[i])


def not_kept(handle: np.ndarray, ordinal: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """bool[m]: which of m occurrences (handle int64[m], ordinal int64[m]) are not in `keep`, KEEP[k] in its order.

    Linear where the ordinals of a document ascend, as they do in a batch. `keep` holds at least what concerns these
    documents: the lists of all partitions together, in order (see `join_keep_lists`).
    """
    gone = np.empty(len(handle), bool)
    places = np.searchsorted(keep["handle"], handle)
    _not_kept(handle, ordinal, keep["handle"], keep["ordinal"], places, gone)
    return gone


def join_keep_lists(lists: Iterable[np.ndarray]) -> np.ndarray:
    """KEEP[k], in order: the lists of several partitions, for `not_kept`."""
    keep = np.concatenate([np.empty(0, KEEP), *lists])
    return keep[np.lexsort((keep["ordinal"], keep["handle"]))]
