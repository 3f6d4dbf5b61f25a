"""Stars: the greedy rule in plain Python, and what it promises."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.survivors import (
    LAST,
    connected,
    rank_by_date,
    rank_by_signal,
    rank_by_source,
    stars,
    survivor_rank,
)
from gristmill.dedup.verify import VERIFIED
from hypothesis import given, settings
from hypothesis import strategies as st

THRESHOLD = 0.8


def test_the_longest_by_characters_comes_first():
    column = pa.array(["aaa", "日本", "", None, "𐐀"], pa.large_string())
    assert survivor_rank(column).tolist() == [-3, -2, 0, 0, -1]
    assert survivor_rank(pa.chunked_array([column[1:2], column[4:]])).tolist() == [-2, -1]
    assert survivor_rank(pa.array([], pa.string())).dtype == np.int64


def test_the_earliest_comes_first():
    dates = ["1970-01-01", "1970-01-01T00:00:01Z", "1969-12-31T23:59:59", "1970-01-01T01:00:00+01:00", None, "soon", ""]
    ranks = rank_by_date(pa.array(dates, pa.string()))
    assert ranks.tolist() == [0, 1_000_000, -1_000_000, 0, LAST, LAST, LAST]


@given(st.lists(st.floats(allow_nan=True), max_size=30))
def test_the_highest_signal_comes_first(values):
    """In the order of the numbers, but for those that differ in the last two bits, which tie."""
    ranks = rank_by_signal(np.array(values, np.float64))
    assert (np.abs(ranks) <= LAST).all()
    for value, rank in zip(values, ranks.tolist(), strict=True):
        for other, its in zip(values, ranks.tolist(), strict=True):
            if np.isnan(value):
                assert rank == LAST
            elif not np.isnan(other) and value > other:
                assert rank <= its
                if (
                    np.nextafter(np.nextafter(np.nextafter(np.nextafter(other, np.inf), np.inf), np.inf), np.inf)
                    < value
                ):
                    assert rank < its
            elif value == other:
                assert rank == its


def test_sources_come_in_the_order_of_the_list():
    sources = pa.array(["web/a.jsonl", "books/b.jsonl", "Books/c", "wiki.jsonl", "books/b.jsonl"])
    assert rank_by_source(sources, ["books/*", "wiki.jsonl"]).tolist() == [2, 0, 2, 1, 0]


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 14))
    ranks = draw(st.lists(st.integers(-2, 0), min_size=n, max_size=n))
    keys = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 1 << 63])), min_size=n, max_size=n))
    similar = st.sampled_from([0.1, 0.79, 0.8, 0.9, 1.0])
    edges = draw(st.dictionaries(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), similar, max_size=40))
    return n, ranks, keys, {(min(e), max(e)): j for e, j in edges.items() if e[0] != e[1]}


def greedy(n, ranks, keys, edges):
    """The rule as it is written down."""
    removed = {}
    for x in sorted(range(n), key=lambda i: (ranks[i], keys[i], i)):
        if x not in removed:
            for (a, b), jaccard in edges.items():
                y = b if a == x else a if b == x else None
                if y is not None and y not in removed and jaccard >= THRESHOLD and y != x:
                    earlier = (ranks[y], keys[y], y) < (ranks[x], keys[x], x)
                    assert not earlier  # an earlier one that stayed would have removed x
                    removed[y] = (x, jaccard)
    return removed


def run(n, ranks, keys, edges, random=None, flip=False):
    order = list(range(n))
    rows = [(b, a, 0, j) if flip else (a, b, 0, j) for (a, b), j in edges.items()]
    if random:
        random.shuffle(order)
        random.shuffle(rows)
    pairs = np.array(rows, VERIFIED)
    key = np.array(keys, np.uint64).reshape(n, 2)
    dropped, kept, jaccard = stars(
        np.array(order), np.array(ranks)[order], key[order], pairs, pairs["jaccard"], THRESHOLD
    )
    assert dropped.tolist() == sorted(dropped.tolist())
    return {d: (k, j) for d, k, j in zip(dropped.tolist(), kept.tolist(), jaccard.tolist(), strict=True)}


@settings(max_examples=300)
@given(graphs(), st.randoms(use_true_random=False), st.booleans())
def test_stars_are_the_greedy_rule_in_any_order(graph, random, flip):
    n, _, _, edges = graph
    removed = run(*graph, random, flip)
    assert removed == greedy(*graph)
    assert all(edges[min(d, k), max(d, k)] == j >= THRESHOLD for d, (k, j) in removed.items())
    assert not removed.keys() & {k for k, _ in removed.values()}  # no chains: a kept twin stays
    stay = set(range(n)) - removed.keys()
    assert all(j < THRESHOLD for (a, b), j in edges.items() if a in stay and b in stay)


def test_a_chain_keeps_its_far_end():
    removed = run(3, [-3, -2, -1], [(0, 0)] * 3, {(0, 1): 0.85, (1, 2): 0.85, (0, 2): 0.6})
    assert removed == {1: (0, 0.85)}


def test_a_pair_of_strangers_is_refused():
    pairs = np.array([(1, 9, 0, 1.0)], VERIFIED)
    with pytest.raises(ValueError, match="handle 9"):
        stars(np.arange(3), np.zeros(3, int), np.zeros((3, 2), np.uint64), pairs, pairs["jaccard"], 0.5)


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_of_all_that_is_connected_the_first_stays(graph, random):
    n, ranks, keys, edges = graph
    reached = {x: {x} for x in range(n)}
    for _ in range(n):  # by brute force: whoever a neighbour reaches
        for (a, b), jaccard in edges.items():
            if jaccard >= THRESHOLD:
                reached[a] |= reached[b]
                reached[b] |= reached[a]
    expected = {}
    for x in range(n):
        first = min(reached[x], key=lambda i: (ranks[i], keys[i], i))
        if first != x:
            expected[x] = (first, max(j for edge, j in edges.items() if x in edge))
    order = list(range(n))
    rows = [(a, b, 0, j) for (a, b), j in edges.items()]
    random.shuffle(order)
    random.shuffle(rows)
    pairs, key = np.array(rows, VERIFIED), np.array(keys, np.uint64).reshape(n, 2)
    found = connected(np.array(order), np.array(ranks)[order], key[order], pairs, pairs["jaccard"], THRESHOLD)
    assert {d: (k, j) for d, k, j in zip(*(part.tolist() for part in found), strict=True)} == expected
    assert found[0].tolist() == sorted(expected)
