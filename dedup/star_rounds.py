"""Connected components in rounds: what one partition of the nodes does when no worker can hold the whole graph.

The idea: every edge is moved, again and again, to the smallest node that one of its ends knows of, until each component
is a star around its smallest node. In a large-star each node sends its larger neighbours to the smallest of itself and
its neighbours; in a small-star each node sends its smaller neighbours, and itself, to the smallest of these. Neither
joins or parts components, neither makes an edge more, and an edge that moves gets smaller ends, so the rounds end. When
a large-star and the small-star after it move nothing, every node is the centre or has the centre as its one
neighbour; nothing less proves it (a path in order looks finished to the small-star alone).

The trade-off: a round is two passes over all edges, and their number grows with the logarithm of the longest path
(a path of a million nodes in random order: 16), where one worker reads the graph once. A partition holds the edges of
its nodes, so the centre of a component brings all nodes of that component to one partition.

Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components in MapReduce and Beyond" (2014): the
alternating algorithm.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from ..text import kernel, mix64
from .candidates import partition_of

# What a step needs of memory for each row that it gets, two rows an edge: 65 where labels are given, 45 in a star
BYTES_A_ROW = 80


@kernel
def _mixed(handles, out):
    for i in range(len(handles)):
        out[i] = mix64(uint64(handles[i]))


def partition_of_nodes(handles: np.ndarray, partitions: int) -> np.ndarray:
    """int64[n]: the partition each node (int64[n]) belongs to, by a hash: the centres of stars are small handles."""
    mixed = np.empty(len(handles), np.uint64)
    _mixed(handles, mixed)
    return partition_of(mixed, partitions)


def both_ways(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(node int64[2n], neighbour int64[2n]): each edge as both of its ends see it, as `large_star` wants them."""
    return np.concatenate([a, b]), np.concatenate([b, a])


def large_star(node: np.ndarray, neighbour: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(larger int64[m], smaller int64[m], moved): the edges after a large-star, as `small_star` wants them.

    `node`, `neighbour` int64[n]: all edges of some nodes, in any order, repeated or not; those of a node to itself
    vanish. `moved` counts the distinct edges that have another end now.
    """
    node, neighbour, first = _distinct(node, neighbour)
    smallest = np.minimum(node, _of_group(neighbour, first))
    up = neighbour > node
    moved = smallest[up] != node[up]
    return neighbour[up], smallest[up], int(np.count_nonzero(moved))


def small_star(node: np.ndarray, neighbour: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(larger int64[m], smaller int64[m], moved): the edges after a small-star.

    `node`, `neighbour` int64[n]: all edges of some nodes to smaller ones, in any order, repeated or not.
    """
    node, neighbour, first = _distinct(node, neighbour)
    return np.where(first, node, neighbour), _of_group(neighbour, first), int(np.count_nonzero(~first))


def labels(node: np.ndarray, neighbour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(nodes int64[n], label int64[n]): the nodes, ascending, and the smallest node of the component of each.

    Right once nothing moves. `node`, `neighbour`: all edges of some nodes, as `both_ways` gives them.
    """
    node, neighbour, first = _distinct(node, neighbour)
    return node[first], np.minimum(node, neighbour)[first]


def _distinct(node: np.ndarray, neighbour: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct edges in order of (node, neighbour), and which of them are the first of their nodes."""
    order = np.lexsort((neighbour, node))
    node, neighbour = node[order], neighbour[order]
    first, new = np.ones(len(node), bool), np.ones(len(node), bool)
    first[1:] = node[1:] != node[:-1]
    new[1:] = first[1:] | (neighbour[1:] != neighbour[:-1])
    return node[new], neighbour[new], first[new]


def _of_group(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each row the value of the first row of its group."""
    return values[first][np.cumsum(first) - 1]
