"""Which of several duplicates stays: stars, not chains.

The idea: go through the documents in order of (rank, key). Each that has not been removed stays, and removes all its
neighbours within the threshold. So whoever is removed is, measurably, a duplicate of one that stays: where A is like B
and B like C but A is not like C, C survives with A. Joining all that is connected, the usual way, removes C as well,
and on web text it chains boilerplate into clusters of hundreds of thousands. It is the greedy maximal independent set
of a fixed order, hence the same for any order of arrival.

The trade-off: two documents that stay are known to be below the threshold only where they were compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..document import moment
from ..text import kernel

LAST = (1 << 61) - 1  # the largest rank, of what has none; below -LAST are the ranks of earlier runs


def survivor_rank(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """int64[n]: smaller stays. For `keep: longest` minus the number of characters (code points); 0 for a null."""
    lengths = pc.fill_null(pc.utf8_length(texts), 0)
    return -lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def rank_by_date(dates: pa.Array) -> np.ndarray:
    """int64[n] of string[n]: for `keep: earliest` microseconds since 1970 (UTC); LAST for what is no ISO date."""
    found = [None if text is None else moment(text) for text in dates.to_pylist()]
    return np.array([LAST if at is None else at for at in found], np.int64)


def rank_by_signal(values: np.ndarray) -> np.ndarray:
    """int64[n] of float64[n]: the highest value first; LAST for NaN. Values that differ in the last two bits tie."""
    bits = np.where(values == 0, 0.0, values).astype(np.float64).view(np.int64)  # -0.0 is 0.0
    ascending = np.where(bits < 0, np.int64(np.iinfo(np.int64).min) - bits, bits)
    return np.where(np.isnan(values), LAST, -(ascending >> 2))


def rank_by_source(sources: pa.Array, patterns: Sequence[str]) -> np.ndarray:
    """int64[n] of string[n]: the number of the first pattern (of a shell, by case) that matches; else their count."""
    coded = pc.dictionary_encode(sources)
    places = [
        next((i for i, pattern in enumerate(patterns) if fnmatchcase(name, pattern)), len(patterns))
        for name in coded.dictionary.to_pylist()
    ]
    return np.array(places, np.int64)[coded.indices.to_numpy(zero_copy_only=False)]


def precedence(rank: np.ndarray, key: np.ndarray, handle: np.ndarray) -> np.ndarray:
    """int64[n]: each document's place in the order of (rank int64[n], key uint64[n, 2], handle int64[n])."""
    order = np.lexsort((handle, key[:, 1], key[:, 0], rank))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def locate(handle: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64[w]: the position in `handle` int64[n] (distinct, any order) of each of `wanted` int64[w].

    Raises ValueError where one is not there.
    """
    if len(handle) == 0:
        at = np.zeros(0, np.int64)
        known = np.zeros(len(wanted), bool)
    else:
        order = np.argsort(handle)
        at = order[np.minimum(np.searchsorted(handle, wanted, sorter=order), len(handle) - 1)]
        known = handle[at] == wanted
    if not known.all():
        raise ValueError(f"the document with handle {wanted[~known][0]} is part of a pair but not among the documents")
    return at


@kernel
def sweep(first, second, twin):
    """Fill `twin` int64[n]: the place of the star each removed document belongs to, -1 for those that stay.

    `first`, `second` int64[e]: edges between places, first < second, ascending. When the edges of a place come up, all
    that could remove it are done, so whether it stays is known.
    """
    twin[:] = -1
    for i in range(len(first)):
        if twin[first[i]] < 0 and twin[second[i]] < 0:
            twin[second[i]] = first[i]


def stars(
    nodes: np.ndarray, rank: np.ndarray, key: np.ndarray, pairs: np.ndarray, jaccard: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who is removed: (dropped int64[d] ascending, kept int64[d], jaccard float64[d]), handles and measured similarity.

    `nodes` int64[n] handles, distinct, in any order, with their `rank` int64[n] and `key` uint64[n, 2]; `pairs` e
    records with the fields `a` and `b`, handles, each pair once; `jaccard` float64[e]. Every dropped document is within
    the threshold of the one kept for it: the first by (rank, key, handle) of those that stay and are within it. Raises
    ValueError where a pair names a document that is not among `nodes`.
    """
    place = precedence(rank, key, nodes)
    near = np.flatnonzero(jaccard >= threshold)
    a, b = place[locate(nodes, pairs["a"][near])], place[locate(nodes, pairs["b"][near])]
    first, second = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((second, first))
    first, second, near = first[order], second[order], near[order]
    twin = np.empty(len(nodes), np.int64)
    sweep(first, second, twin)

    handle_at = np.empty(len(nodes), np.int64)
    handle_at[place] = nodes
    used = np.flatnonzero(twin[second] == first)  # the edges that removed somebody
    dropped = handle_at[second[used]]
    by_dropped = np.argsort(dropped)
    return dropped[by_dropped], handle_at[first[used]][by_dropped], jaccard[near[used]][by_dropped]


def connected(
    nodes: np.ndarray, rank: np.ndarray, key: np.ndarray, pairs: np.ndarray, jaccard: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `stars`, but of all that are connected by pairs within the threshold the first stays.

    The similarity given for a dropped document is the highest it has with any other: the one that stays may be far.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = precedence(rank, key, nodes)
    near = np.flatnonzero(jaccard >= threshold)
    a, b = place[locate(nodes, pairs["a"][near])], place[locate(nodes, pairs["b"][near])]
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(nodes), len(nodes)))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)  # the lowest place of each
    star = first[label]
    closest = np.zeros(len(nodes))
    for end in (a, b):
        np.maximum.at(closest, end, jaccard[near])

    handle_at = np.empty(len(nodes), np.int64)
    handle_at[place] = nodes
    gone = np.flatnonzero(star != np.arange(len(nodes)))
    dropped = handle_at[gone]
    by_dropped = np.argsort(dropped)
    return dropped[by_dropped], handle_at[star[gone]][by_dropped], closest[gone][by_dropped]
