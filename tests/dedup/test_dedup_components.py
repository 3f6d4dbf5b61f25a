"""Components against a union-find in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from gristmill.console import WorkError
from gristmill.dedup import components as module
from gristmill.dedup.candidates import MEMBER, PAIR
from gristmill.dedup.components import components, fits
from hypothesis import given
from hypothesis import strategies as st

FAR = 7 << 32 | 5  # handles are spread over 64 bits


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30),
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 30), min_size=2, max_size=5, unique=True)),
        max_size=3,
    ),
)
def test_components_are_those_of_union_find(pairs, buckets):
    parent = list(range(31))

    def root(x: int) -> int:
        return x if parent[x] == x else root(parent[x])

    met = set()
    for a, b in [*pairs, *((m[0], other) for _, m in buckets for other in m[1:])]:
        met |= {a, b}
        x, y = sorted((root(a), root(b)))
        parent[y] = x
    roots = sorted({root(x) for x in met})

    # two buckets of one name are one bucket
    names = [name for name, _ in buckets]
    if len(set(names)) < len(names):
        return
    nodes, label = components(
        np.array([(a * FAR, b * FAR, 1) for a, b in pairs], PAIR),
        np.array([(name, 1, m * FAR) for name, members in buckets for m in members], MEMBER),
    )
    assert nodes.tolist() == [x * FAR for x in sorted(met)]
    assert label.tolist() == [roots.index(root(x)) for x in sorted(met)]


def test_nothing_gives_nothing():
    nodes, label = components(np.empty(0, PAIR), np.empty(0, MEMBER))
    assert len(nodes) == len(label) == 0


def test_too_many_edges_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_EDGES", 3)
    components(np.zeros(3, PAIR), np.empty(0, MEMBER))
    with pytest.raises(WorkError, match=r"4 candidate edges.* at most 3.*rows a band"):
        components(np.zeros(3, PAIR), np.zeros(1, MEMBER))


def test_what_fits_one_worker():
    """80 bytes an edge, and never more than MAX_EDGES."""
    assert fits(0, 0)
    assert fits(1_000, 80_000)
    assert not fits(1_001, 80_000)
    assert fits(module.MAX_EDGES, 1 << 40)
    assert not fits(module.MAX_EDGES + 1, 1 << 40)
