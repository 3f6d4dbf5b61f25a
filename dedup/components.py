"""Provisional clusters: the connected components of the candidate graph.

The idea: what is not connected by candidates cannot be duplicates, so components can be verified apart from each other,
each where its shingle sets are gathered. They are only that, a way to divide the work: being connected makes nobody a
duplicate. The trade-off: one worker holds the whole graph, at BYTES_AN_EDGE and half a microsecond an edge. `fits` says
whether it may; a graph that does not fit is for `star_rounds`: two to three times the work, by workers of any size.

The search is SciPy's (`scipy.sparse.csgraph.connected_components`).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..console import WorkError

MAX_EDGES = 100_000_000  # a minute
BYTES_AN_EDGE = 80  # pairs that several bands found counted as often, their merging included: 56 to 78 measured


def fits(edges: int, memory: int) -> bool:
    """Whether one worker that may hold `memory` bytes finds the components of so many edges, repeated ones included."""
    return edges <= min(MAX_EDGES, memory // BYTES_AN_EDGE)


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
    nodes, index = _numbered(np.concatenate(links(pairs, big)))
    if len(nodes) == 0:
        return nodes, nodes.copy()
    a, b = np.split(index, 2)
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(nodes), len(nodes)))
    _, found = connected_components(graph, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return nodes, number[inverse]


def links(pairs: np.ndarray, big: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a int64[m], b int64[m]): the edges of the candidate graph, arguments as of `components`.

    A large bucket is a chain of its members: as connected as with all their pairs, in one edge a member.
    """
    chained = big[np.lexsort((big["handle"], big["bucket"]))]
    next_to = np.flatnonzero(chained["bucket"][1:] == chained["bucket"][:-1])
    a = np.concatenate([pairs["a"], chained["handle"][next_to]])
    b = np.concatenate([pairs["b"], chained["handle"][next_to + 1]])
    return a, b


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, ascending; index int32 of each value among them). As np.unique, without its hash table."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    index = np.empty(len(values), np.int32)
    index[order] = np.cumsum(first, dtype=np.int32) - np.int32(1)
    return ordered[first], index
