"""What a sample of documents tells of the candidate pairs and buckets of all of them.

Each document is in the sample with one chance, `share`, and a pair with share^2: pairs seen over share^2 is an estimate
without bias (Horvitz and Thompson 1952). Its variance has two parts: that of each pair, and that of pairs with a
document in common, which come and go together (Frank, "Estimation of graph totals", Scand. J. Statist. 4, 1977). The
interval is that of a Poisson count (Garwood 1936) of the same mean and variance, since few pairs are far from normal.

The trade-off: 1 % of the documents sees one pair in ten thousand. Documents that have a text in common are one in the
graph, so each counts for 1/copies; how many copies there are must be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidates import ALL_PAIRS, ENTRY, NO_BUCKET, bucket_pairs, merge_pairs

TAIL = 0.025  # on either side of an interval
ENOUGH = 10  # pairs, had they come one by one: an interval of a factor of two either way


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval; equal where it is known."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def interval(count: float, variance: float, tail: float = TAIL) -> Estimate:
    """A sum of random weights with an estimate of its variance. Of nothing seen at all: at most 3.7, as for counts."""
    from scipy.special import gammaincinv

    if count == 0:
        return Estimate(0.0, 0.0, float(gammaincinv(1.0, 1 - tail)))
    each = variance / count
    if each < 1e-9:
        return Estimate(count, count, count)
    low, high = gammaincinv(count / each, tail), gammaincinv(count / each + 1, 1 - tail)
    return Estimate(count, each * float(low), each * float(high))


@dataclass(frozen=True)
class Pairs:
    """Of all documents."""

    pairs: Estimate  # in buckets of up to ALL_PAIRS
    seen: int  # such pairs in the sample
    enough: bool  # whether these are enough to go by
    hot_documents: float  # in buckets above ALL_PAIRS: each is measured against a leader or a few
    hot_buckets: int  # those that are surely above, of those seen
    largest: Estimate | None  # documents in the largest bucket; None where no two of the sample share one
    largest_seen: int


def estimate(bands: np.ndarray, copies: np.ndarray, content: np.ndarray, share: float) -> Pairs:
    """From the documents of a sample: band hashes uint64[n, b] as `candidates.band_hashes` gives them; how many of all
    documents have its text, int64[n]; a number for its text, int64[n], since equal texts are no pair; the share.
    """
    weight = 1.0 / copies
    rows = np.flatnonzero(bands[:, 0] != NO_BUCKET)
    found, hot, hot_buckets, buckets = [], np.zeros(len(bands), bool), 0, 0
    largest = (0.0, 0.0, 0)  # of a bucket: weights, their squares, documents
    for band in range(bands.shape[1]):
        hashes, bucket = np.unique(bands[rows, band], return_inverse=True)
        sizes, total, squares = (np.bincount(bucket, weight[rows] ** power) for power in (0, 1, 2))
        above = _surely_above(total, (1 - share) * squares, ALL_PAIRS * share)
        shared = np.flatnonzero(sizes > 1)
        if len(shared):
            most = shared[np.argmax(total[shared])]
            largest = max(largest, (float(total[most]), float(squares[most]), int(sizes[most])))
        hot[rows[above[bucket]]] = True
        hot_buckets += int(above.sum())
        buckets += len(hashes)
        entries = np.zeros(int((~above[bucket]).sum()), ENTRY)
        entries["hash"], entries["handle"] = bands[rows, band][~above[bucket]], rows[~above[bucket]]
        found.append(bucket_pairs(entries, band)[0])
    pairs = merge_pairs(found)
    pairs = pairs[content[pairs["a"]] != content[pairs["b"]]]
    count, variance = _pairs(pairs["a"], pairs["b"], weight, share)
    return Pairs(
        pairs=interval(count, variance).times(share**-2) if share < 1 else Estimate(count, count, count),
        seen=len(pairs),
        enough=share == 1 or count**2 >= ENOUGH * variance > 0,
        hot_documents=float(weight[hot].sum() / share),
        hot_buckets=hot_buckets,
        largest=_largest(*largest[:2], buckets, share) if largest[2] else None,
        largest_seen=largest[2],
    )


def _pairs(a: np.ndarray, b: np.ndarray, weight: np.ndarray, share: float) -> tuple[float, float]:
    """(sum of the weights of the pairs of a sample, an estimate without bias of its variance)."""
    value = weight[a] * weight[b]
    once, squares = (np.bincount(np.r_[a, b], np.r_[v, v], len(weight)) for v in (value, value**2))
    together = float((once**2 - squares).sum())  # over ordered pairs of pairs with a document in common
    return float(value.sum()), (1 - share**2) * float((value**2).sum()) + (1 - share) * together


def _largest(total: float, squares: float, buckets: int, share: float) -> Estimate:
    """Documents in the bucket that is the largest of so many in the sample, which may hold a small one whole: so the
    lower end is that of all of them at once (Bonferroni), and not below what was seen."""
    variance = (1 - share) * squares
    found, low = interval(total, variance), interval(total, variance, TAIL / buckets).low
    return Estimate(total / share, max(low / share, total), found.high / share)


def _surely_above(total: np.ndarray, variance: np.ndarray, limit: float) -> np.ndarray:
    """bool[n]: of which sums the lower end of the interval is above a limit."""
    above = total > limit
    for i in np.flatnonzero(above):
        above[i] = interval(float(total[i]), float(variance[i])).low > limit
    return above
