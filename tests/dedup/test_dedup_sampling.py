"""What a sample tells of pairs and buckets: against all of them, counted in plain Python."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from gristmill.dedup.candidates import ALL_PAIRS, NO_BUCKET
from gristmill.dedup.sampling import estimate, interval

BANDS = 3


def graph(seed: int, documents: int, clusters: int, most: int, copied: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(band hashes, number of the text) of documents: members of a cluster share a bucket in some bands; some texts
    occur several times."""
    draw = np.random.default_rng(seed)
    bands = draw.integers(1 << 20, 1 << 62, (documents, BANDS), dtype=np.uint64)
    for cluster in range(clusters):
        size = int(draw.integers(2, most + 1))
        members = draw.choice(documents, size, replace=False)
        for band in draw.choice(BANDS, int(draw.integers(1, BANDS + 1)), replace=False):
            bands[members, band] = cluster
    times = np.where(draw.random(documents) < copied, draw.integers(2, 6, documents), 1)
    of = np.repeat(np.arange(documents), times)
    return bands[of], of


def true_pairs(bands: np.ndarray, content: np.ndarray) -> int:
    """Pairs of different texts that share a bucket of at most ALL_PAIRS texts in some band."""
    found = set()
    for band in range(BANDS):
        buckets = defaultdict(set)
        for hash_, text in zip(bands[:, band].tolist(), content.tolist(), strict=True):
            buckets[hash_].add(text)
        for texts in buckets.values():
            if len(texts) <= ALL_PAIRS:
                found.update(combinations(sorted(texts), 2))
    return len(found)


def sampled(bands: np.ndarray, content: np.ndarray, share: float, seed: int):
    copies = np.bincount(content)[content]
    chosen = np.random.default_rng(1000 + seed).random(len(bands)) < share
    return estimate(bands[chosen], copies[chosen], content[chosen], share)


@pytest.mark.parametrize("copied", [0.0, 0.3])
def test_all_documents_give_the_truth(copied):
    bands, content = graph(1, 3000, 400, 12, copied)
    first = np.unique(content, return_index=True)[1]  # what is left of equal texts
    found = estimate(bands[first], np.ones(len(first), int), content[first], 1.0)
    assert found.pairs.low == found.pairs.value == found.pairs.high == found.seen == true_pairs(bands, content)
    assert found.enough
    sizes = [np.unique(bands[first, band], return_counts=True)[1].max() for band in range(BANDS)]
    assert found.largest.low == found.largest.value == found.largest.high == max(sizes)


@pytest.mark.parametrize(("most", "copied"), [(2, 0.0), (12, 0.0), (12, 0.3), (40, 0.0)])
def test_the_interval_holds_the_truth(most, copied):
    """In at least 90 of 100 samples, and the mean of the estimates is the truth within its own error."""
    bands, content = graph(2, 6000, 1200 if most < 40 else 120, most, copied)
    truth = true_pairs(bands, content)
    found = [sampled(bands, content, 0.1, seed).pairs for seed in range(100)]
    assert sum(f.low <= truth <= f.high for f in found) >= 90
    values = np.array([f.value for f in found])
    assert abs(values.mean() - truth) < 3.5 * values.std() / 10


def test_clusters_widen_the_interval():
    """Pairs that have a document in common come together: the same number of pairs is known less well."""
    spread, n = graph(3, 6000, 3000, 2)
    dense, m = graph(4, 6000, 12, 40)
    width = [np.mean([(f.high - f.low) / max(f.value, 1) for f in one]) for one in (
        [sampled(bands, content, 0.3, seed).pairs for seed in range(10)] for bands, content in ((spread, n), (dense, m))
    )]  # fmt: skip
    assert width[1] > 1.5 * width[0]


def test_a_sample_that_sees_nothing():
    bands, content = graph(5, 500, 0, 2)
    found = sampled(bands, content, 0.1, 0)
    assert (found.pairs.value, found.pairs.low, found.seen, found.enough) == (0, 0, 0, False)
    assert 360 < found.pairs.high < 380  # 3.69 pairs in the sample would be seen 97.5 times of 100
    assert found.largest is None


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_hot_bucket(share):
    """It is found, its pairs are not counted with the others, and its size is in the interval."""
    bands, content = graph(6, 8000, 100, 3)
    bands[:3000, 0] = 7
    found = [sampled(bands, content, share, seed) for seed in range(20)]
    assert all(f.hot_buckets == 1 for f in found)
    assert sum(f.largest.low <= 3000 <= f.largest.high for f in found) >= 18
    assert all(abs(f.hot_documents - 3000) < 0.35 * 3000 for f in found)
    assert sum(f.pairs.low <= true_pairs(bands, content) <= f.pairs.high for f in found) >= 18


def test_the_largest_of_many_small_buckets_is_not_overstated():
    """Many pairs, some of which a sample holds whole: two of two may be all there is."""
    bands, content = graph(7, 20_000, 9000, 2)
    found = [sampled(bands, content, 0.05, seed) for seed in range(20)]
    assert all(f.largest is None or f.largest.low <= 10 for f in found)
    assert all(f.hot_buckets == 0 for f in found)
    assert any(f.largest_seen >= 2 for f in found)


def test_documents_without_shingles_are_in_no_bucket():
    bands, content = graph(8, 100, 0, 2)
    bands[:50] = NO_BUCKET
    found = estimate(bands, np.ones(100, int), content, 1.0)
    assert (found.pairs.value, found.hot_documents, found.largest) == (0, 0, None)


@pytest.mark.parametrize(("count", "low", "high"), [(1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.63)])
def test_the_interval_of_a_count_is_garwood_s(count, low, high):
    """The table of Garwood's paper."""
    found = interval(count, count)
    assert found.low == pytest.approx(low, rel=1e-3)
    assert found.high == pytest.approx(high, rel=1e-3)
