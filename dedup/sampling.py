"""What a sample of documents tells of the candidate pairs and buckets of all of them.

Each document is in the sample with one chance `share`, so a pair is with share^2: pairs seen over share^2 is an estimate
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
    """A number and the ends of its 95 % interval."""

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
    """Of a sample of documents: band hashes uint64[n, b], how often each text occurs int64[n] (of all documents), the
    number of its text int64[n] (equal texts are no pair), and the chance to be in the sample.
    """
    weight = 1.0 / copies
    rows = np.flatnonzero(bands[:, 0] != NO_BUCKET)
    found, hot, hot_buckets = [], np.zeros(len(bands), bool), 0
    largest: tuple[float, float, int] = (0.0, 0.0, 0)  # weight, its squares, documents
    buckets = 0
    for band in range(bands.shape[1]):
        hashes, bucket = np.unique(bands[rows, band], return_inverse=True)
        sizes, total = np.bincount(bucket), np.bincount(bucket, weight[rows])
        squares = np.bincount(bucket, weight[rows] ** 2)
        buckets += len(hashes)
        above = _surely_above(total, squares * (1 - share), ALL_PAIRS * share)
        hot_buckets += int(above.sum())
        hot[rows[above[bucket]]] = True
        shared = np.flatnonzero(sizes > 1)
        if len(shared):
            most = shared[np.argmax(total[shared])]
            largest = max(largest, (float(total[most]), float(squares[most]), int(sizes[most])))
        entries = np.zeros(len(rows), ENTRY)
        entries["hash"], entries["handle"] = bands[rows, band], rows
        pairs, _ = bucket_pairs(entries[~above[bucket]], band)
        found.append(pairs)
    pairs = merge_pairs(found)
    a, b = pairs["a"], pairs["b"]
    other = content[a] != content[b]
    a, b = a[other], b[other]
    value = weight[a] * weight[b]
    at = [np.bincount(np.r_[a, b], np.r_[v, v], len(bands)) for v in (value, value**2)]
    variance = (1 - share**2) * (value**2).sum() + (1 - share) * (at[0] ** 2 - at[1]).sum()
    count = float(value.sum())
    most = None
    if largest[2]:
        # The largest of so many: a small one that the sample happens to hold whole must stay possible
        told = interval(largest[0], (1 - share) * largest[1])
        low = interval(largest[0], (1 - share) * largest[1], TAIL / buckets).low
        most = Estimate(largest[0] / share, max(low / share, largest[0]), told.high / share)
    return Pairs(
        pairs=interval(count, variance if share < 1 else 0.0).times(share**-2 if count or share < 1 else 0.0),
        seen=len(a),
        enough=share == 1 or (variance > 0 and count**2 / variance >= ENOUGH),
        hot_documents=float(weight[hot].sum() / share),
        hot_buckets=hot_buckets,
        largest=most,
        largest_seen=largest[2],
    )


def _surely_above(total: np.ndarray, variance: np.ndarray, limit: float) -> np.ndarray:
    """bool[n]: of which sums the lower end of the interval is above a limit."""
    above = total > limit
    for i in np.flatnonzero(above):
        above[i] = interval(float(total[i]), float(variance[i])).low > limit
    return above
