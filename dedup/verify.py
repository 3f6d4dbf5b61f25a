"""The measured similarity of candidates: exact Jaccard of their shingle sets.

The idea: a candidate pair is a guess until its sets are compared. Two ascending arrays of 64-bit hashes are merged
once; the similarity is one division, |A and B| / |A or B|, the same on every machine. Every pair that was measured is
returned, those below the threshold too: they show how good the guesses were.

A large bucket (boilerplate: hundreds or millions of documents that agree in a band) is not measured pair by pair. Its
first member by (rank, key) that still stands becomes a leader and is measured against all that stand; whom a star then
removes (see `survivors`) is done, the rest form the next round, MAX_ROUNDS at most. So a bucket of one text with edits
takes one round; and where a document from elsewhere removes the leader, those that only the leader was compared with
stand again and choose the next. The trade-off: a large bucket of many unlike groups keeps some duplicates; how many
documents went uncompared is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..text import kernel
from .candidates import merge_pairs
from .survivors import locate, precedence, sweep

MAX_ROUNDS = 8

VERIFIED = np.dtype([("a", "<i8"), ("b", "<i8"), ("bands", "<u8"), ("jaccard", "<f8")])  # handles, a < b by key


@dataclass(frozen=True)
class Verified:
    """What `verify` found."""

    pairs: np.ndarray  # VERIFIED[p]: every measured pair, in order of (key of a, key of b)
    unmeasured: int  # documents of large buckets that stayed without having been compared with all that stayed there


@kernel
def _jaccards(offsets, shingles, a, b, out):
    for p in range(len(a)):
        i, end_i = offsets[a[p]], offsets[a[p] + 1]
        j, end_j = offsets[b[p]], offsets[b[p] + 1]
        total = (end_i - i) + (end_j - j)
        common = 0
        while i < end_i and j < end_j:  # without branches on the values, which nothing could predict
            x, y = shingles[i], shingles[j]
            common += x == y
            i += x <= y
            j += y <= x
        out[p] = common / (total - common) if total > 0 else 0.0


def jaccards(offsets: np.ndarray, shingles: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[p]: the Jaccard similarity of sets a[i] and b[i] (int64[p], indices of sets).

    `offsets` int64[n + 1], `shingles` uint64[m] as `shingles.shingle_sets` gives them. Two empty sets count as 0.
    """
    out = np.empty(len(a), np.float64)
    _jaccards(offsets, shingles, np.asarray(a, np.int64), np.asarray(b, np.int64), out)
    return out


def _distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values, ascending. As np.unique, which is ten times slower on millions of them."""
    values = np.sort(values)
    return values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values


class _Measured:
    """The pairs measured so far, each one number: place of the first x n + place of the second. Kept ascending."""

    def __init__(self, place: np.ndarray, offsets: np.ndarray, shingles: np.ndarray):
        self.count = len(place)
        self.at_place = np.empty(self.count, np.int64)  # place -> position of the document in the input
        self.at_place[place] = np.arange(self.count)
        self.offsets, self.shingles = offsets, shingles
        self.pairs = np.empty(0, np.int64)
        self.jaccard = np.empty(0, np.float64)

    def missing(self, pairs: np.ndarray) -> np.ndarray:
        """The distinct of `pairs` that are not measured yet."""
        pairs = _distinct(pairs)
        if len(self.pairs) == 0:
            return pairs
        at = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        return pairs[self.pairs[at] != pairs]

    def measure(self, pairs: np.ndarray) -> None:
        """Measure `pairs`, none of them known."""
        first, second = np.divmod(pairs, max(self.count, 1))
        found = jaccards(self.offsets, self.shingles, self.at_place[first], self.at_place[second])
        self.pairs = np.concatenate([self.pairs, pairs])
        self.jaccard = np.concatenate([self.jaccard, found])
        order = np.argsort(self.pairs)
        self.pairs, self.jaccard = self.pairs[order], self.jaccard[order]

    def standing(self, threshold: float) -> np.ndarray:
        """bool[n] by place: who stays, as far as is known."""
        twin = np.empty(self.count, np.int64)
        near = self.pairs[self.jaccard >= threshold]
        sweep(*np.divmod(near, max(self.count, 1)), twin)
        return twin < 0


class _Bucket:
    """A large bucket: its members' places, ascending, and which of them have led a round."""

    def __init__(self, places: np.ndarray, bands: int):
        self.places, self.bands = places, bands
        self.led = np.zeros(len(places), bool)

    def open(self, standing: np.ndarray) -> np.ndarray:
        """Positions of members that stand and have not led."""
        return np.flatnonzero(standing[self.places] & ~self.led)

    def leaders_pairs(self, standing: np.ndarray, count: int) -> np.ndarray:
        """All pairs of a standing leader and another standing member, as `_Measured` numbers them."""
        alive = standing[self.places]
        members, leaders = self.places[alive], self.places[alive & self.led]
        pairs = np.minimum.outer(leaders, members) * count + np.maximum.outer(leaders, members)
        return pairs[leaders[:, None] != members[None, :]]


def _distinct_buckets(big: np.ndarray, places: np.ndarray) -> list[_Bucket]:
    """One bucket for each distinct list of members: a text met in all bands is compared once."""
    order = np.lexsort((places, big["bucket"]))
    buckets = big["bucket"][order]
    starts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]]) if len(order) else []
    found: dict[bytes, _Bucket] = {}
    for rows in np.split(order, starts[1:]) if len(order) else []:
        members = _distinct(places[rows])
        bucket = found.setdefault(members.tobytes(), _Bucket(members, 0))
        bucket.bands |= int(np.bitwise_or.reduce(big["bands"][rows]))
    return list(found.values())


def _rounds(measured: _Measured, buckets: list[_Bucket], threshold: float) -> int:
    """Compare the members of large buckets with their leaders; the number of documents left uncompared."""
    for _ in range(MAX_ROUNDS):
        standing = measured.standing(threshold)
        led = False
        wanted = [np.empty(0, np.int64)]
        for bucket in buckets:
            still = bucket.open(standing)
            if len(still) > 1:
                bucket.led[still[0]] = led = True
            wanted.append(bucket.leaders_pairs(standing, measured.count))
        new = measured.missing(np.concatenate(wanted))
        if not led and not len(new):
            return 0
        measured.measure(new)
    standing = measured.standing(threshold)
    left = [np.empty(0, np.int64)]
    for bucket in buckets:
        still = bucket.open(standing)
        left.append(bucket.places[still] if len(still) > 1 else still[:0])
        left.extend(np.divmod(measured.missing(bucket.leaders_pairs(standing, measured.count)), measured.count))
    return len(_distinct(np.concatenate(left)))


def verify(
    handle: np.ndarray,
    rank: np.ndarray,
    key: np.ndarray,
    offsets: np.ndarray,
    shingles: np.ndarray,
    candidates: np.ndarray,
    big: np.ndarray,
    threshold: float,
) -> Verified:
    """Measure the candidates of whole components (see `components`), gathered in one place.

    The n documents, in any order: `handle` int64[n] without repetition, `rank` int64[n], `key` uint64[n, 2], and their
    shingle sets, `offsets` int64[n + 1] and `shingles` uint64[m], as `shingles.shingle_sets` gives them.
    `candidates` candidates.PAIR[p] and `big` candidates.MEMBER[q] name documents by handle; repetition is harmless.
    The result is the same for every order of the documents, pairs and members. Raises ValueError where a pair or member
    names a document that is not here.
    """
    place = precedence(rank, key, handle)
    candidates = merge_pairs([candidates])
    a, b = place[locate(handle, candidates["a"])], place[locate(handle, candidates["b"])]
    asked = np.minimum(a, b) * len(handle) + np.maximum(a, b)
    buckets = _distinct_buckets(big, place[locate(handle, big["handle"])])

    measured = _Measured(place, offsets, shingles)
    measured.measure(_distinct(asked))
    unmeasured = _rounds(measured, buckets, threshold)

    bands = np.zeros(len(measured.pairs), np.uint64)
    np.bitwise_or.at(bands, np.searchsorted(measured.pairs, asked), candidates["bands"])
    first, second = np.divmod(measured.pairs, max(len(handle), 1))
    for bucket in buckets:
        starts, ends = (np.searchsorted(first, bucket.places, side) for side in ("left", "right"))
        rows = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
        rows = rows[np.isin(second[rows], bucket.places)]
        bands[rows] |= np.uint64(bucket.bands)

    a, b = measured.at_place[first], measured.at_place[second]
    by_key = precedence(np.zeros(len(handle), np.int64), key, handle)
    swap = by_key[a] > by_key[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    pairs = np.empty(len(a), VERIFIED)
    pairs["a"], pairs["b"], pairs["bands"], pairs["jaccard"] = handle[a], handle[b], bands, measured.jaccard
    return Verified(pairs[np.lexsort((by_key[b], by_key[a]))], unmeasured)
