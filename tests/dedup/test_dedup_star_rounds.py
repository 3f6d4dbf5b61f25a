"""Rounds of stars against SciPy's components, over graphs of all shapes and any number of partitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gristmill.dedup.star_rounds import both_ways, labels, large_star, partition_of_nodes, small_star
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Edges = tuple[np.ndarray, np.ndarray]


def by_partition(operation, edges: Edges, partitions: int) -> list[tuple]:
    """`operation` on the edges of each partition's nodes, as units do it."""
    place = partition_of_nodes(edges[0], partitions)
    return [operation(edges[0][place == p], edges[1][place == p]) for p in range(partitions)]


def a_round(edges: Edges, partitions: int) -> tuple[Edges, int]:
    """(edges both ways, how many moved) after a large-star and a small-star."""
    moved = 0
    for star in (large_star, small_star):
        parts = by_partition(star, edges, partitions)
        edges = tuple(np.concatenate([part[i] for part in parts]) for i in (0, 1))
        moved += sum(part[2] for part in parts)
    return both_ways(*edges), moved


def in_rounds(a: np.ndarray, b: np.ndarray, partitions: int) -> tuple[dict[int, int], int]:
    """(node -> smallest node of its component, rounds until a round moved nothing)."""
    edges, moved, rounds = both_ways(np.asarray(a, np.int64), np.asarray(b, np.int64)), 1, 0
    while moved:
        edges, moved = a_round(edges, partitions)
        rounds += 1
    found: dict[int, int] = {}
    for nodes, label in by_partition(labels, edges, partitions):
        assert not found.keys() & set(nodes.tolist())
        found |= dict(zip(nodes.tolist(), label.tolist(), strict=True))
    return found, rounds


def by_scipy(a: np.ndarray, b: np.ndarray) -> dict[int, int]:
    nodes, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    graph = coo_array((np.ones(len(a)), np.split(index, 2)), shape=(len(nodes), len(nodes)))
    _, component = connected_components(graph, directed=False)
    smallest: dict[int, int] = {}
    for node, name in zip(nodes.tolist(), component.tolist(), strict=True):  # ascending
        smallest.setdefault(name, node)
    return {node: smallest[name] for node, name in zip(nodes.tolist(), component.tolist(), strict=True)}


edge = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda e: e[0] != e[1])


@given(st.lists(edge, min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 22))
def test_labels_are_scipys(drawn, partitions, shift):
    a, b = np.array(drawn, np.int64).T << shift
    found, rounds = in_rounds(a, b, partitions)
    assert found == by_scipy(a, b)
    assert rounds <= 2 + 2 * math.log2(41)


@given(st.lists(edge, min_size=1, max_size=60))
def test_a_round_that_moves_nothing_is_the_proof_and_only_then(drawn):
    """Nothing moves exactly where every edge joins a node to the smallest of its component."""
    a, b = np.array(drawn, np.int64).T
    edges = both_ways(a, b)
    for _ in range(12):
        true = by_scipy(*edges)
        stars = all(true[node] == min(node, other) for node, other in zip(*map(np.ndarray.tolist, edges), strict=True))
        edges, moved = a_round(edges, 2)
        assert (moved == 0) == stars
        if stars:
            return
    raise AssertionError("twelve rounds for forty nodes")


SHAPES = {
    "chain in order": lambda n, _: (np.arange(n - 1), np.arange(1, n)),
    "chain in any order": lambda n, random: (lambda order: (order[:-1], order[1:]))(random.permutation(n)),
    "star around the smallest": lambda n, _: (np.zeros(n - 1, np.int64), np.arange(1, n)),
    "star around the largest": lambda n, _: (np.full(n - 1, n - 1), np.arange(n - 1)),
    "cliques": lambda n, _: tuple(
        np.concatenate([start + np.array(np.triu_indices(40, 1)) for start in range(0, n, 40)], axis=1)
    ),
    "pairs": lambda n, random: np.split(random.permutation(n), 2),
    "sparse": lambda n, random: random.integers(0, n, (2, n // 2)),
    "one giant": lambda n, random: random.integers(0, n, (2, 2 * n)),
    "grid": lambda n, _: tuple(np.array([(i, j) for i in range(n) for j in (i + 1, i + 100) if j < n]).T),
    "binary tree": lambda n, _: (np.arange(1, n), np.arange(1, n) // 2),
}


@pytest.mark.parametrize("partitions", [1, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, partitions):
    """10,000 nodes with names all over the 63 bits: SciPy's labels, in rounds by the logarithm of the number."""
    random = np.random.default_rng(7)
    name = np.unique(random.integers(0, 1 << 63, 10_000))
    a, b = (name[part] for part in SHAPES[shape](len(name) // 40 * 40, random))
    proper = a != b
    found, rounds = in_rounds(a[proper], b[proper], partitions)
    assert found == by_scipy(a[proper], b[proper])
    assert rounds <= 2 + math.log2(10_000)


def test_twice_the_chain_is_one_round_more():
    rounds = [in_rounds(np.arange(n - 1), np.arange(1, n), 1)[1] for n in (2_000, 4_000, 8_000, 16_000)]
    assert np.diff(rounds).max() <= 2
    assert rounds[-1] > rounds[0]  # so it is the chain that takes rounds, and the bound says something


def test_edges_never_become_more():
    random = np.random.default_rng(3)
    edges, moved = both_ways(*random.integers(0, 3_000, (2, 4_000))), 1
    while moved:
        before = len(edges[0])
        edges, moved = a_round(edges, 3)
        assert len(edges[0]) <= before


def test_repeated_edges_order_and_loops_change_nothing():
    random = np.random.default_rng(4)
    a, b = random.integers(0, 50, (2, 60))
    proper = a != b
    node, neighbour = both_ways(a[proper], b[proper])
    shuffled = random.permutation(np.repeat(np.arange(len(node)), 3))
    loops = np.concatenate([node, node]), np.concatenate([neighbour, node])
    for other in ((node[shuffled], neighbour[shuffled]), loops):
        for one, two in zip(large_star(node, neighbour), large_star(*other), strict=True):
            assert np.array_equal(one, two)
    larger, smaller, _ = large_star(node, neighbour)
    shuffled = random.permutation(np.repeat(np.arange(len(larger)), 2))
    for one, two in zip(small_star(larger, smaller), small_star(larger[shuffled], smaller[shuffled]), strict=True):
        assert np.array_equal(one, two)


def test_nothing_gives_nothing():
    nothing = np.empty(0, np.int64)
    for star in (large_star, small_star):
        assert [len(part) for part in star(nothing, nothing)[:2]] == [0, 0]
        assert star(nothing, nothing)[2] == 0
    assert len(labels(nothing, nothing)[0]) == 0


def test_small_handles_are_spread():
    """Handles of the first units and rows, where the centres of stars are, fall into all partitions alike."""
    handles = (np.arange(20)[:, None] << 32 | np.arange(500)).ravel()
    counts = np.bincount(partition_of_nodes(handles, 10), minlength=10)
    assert len(counts) == 10
    assert counts.min() > 850
    assert (partition_of_nodes(handles, 1) == 0).all()
