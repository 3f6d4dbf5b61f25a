"""Provisional clusters: the connected components of the candidate graph.

The idea: what is not connected by candidates cannot be duplicates, so components can be verified apart from each other,
each where its shingle sets are gathered. They are only that, a way to divide the work: being connected makes nobody a
duplicate. The trade-off: one worker holds the whole graph, at about 65 bytes and half a microsecond an edge (MAX_EDGES:
7 GB, a minute); beyond that it says so.

The search is SciPy's (`scipy.sparse.csgraph.connected_components`).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..console import WorkError

MAX_EDGES = 100_000_000


def components(pairs: np.ndarray, big: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(nodes int64[n], label int64[n]): every document that is a candidate, ascending, and its component.

    `pairs` candidates.PAIR[p]; `big` candidates.MEMBER[q], whose buckets each connect all their members. Components are
    numbered from 0 by their smallest handles. Raises WorkError above MAX_EDGES.
    """
    edges = len(pairs) + len(big)
    if edges > MAX_EDGES:
        raise WorkError(
            f"dedup: {edges:,} candidate edges; one worker finds the clusters of at most {MAX_EDGES:,}. "
            "Use more rows a band (fewer false candidates), or deduplicate parts of the corpus on their own"
        )
    chained = big[np.lexsort((big["handle"], big["bucket"]))]
    links = np.flatnonzero(chained["bucket"][1:] == chained["bucket"][:-1])
    ends = np.concatenate([pairs["a"], chained["handle"][links], pairs["b"], chained["handle"][links + 1]])
    nodes, index = _numbered(ends)
    if len(nodes) == 0:
        return nodes, nodes.copy()
    a, b = np.split(index, 2)
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(nodes), len(nodes)))
    _, found = connected_components(graph, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return nodes, number[inverse]


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, ascending; index int32 of each value among them). As np.unique, without its hash table."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    index = np.empty(len(values), np.int32)
    index[order] = np.cumsum(first, dtype=np.int32) - np.int32(1)
    return ordered[first], index
