"""The measured similarity of candidates: exact Jaccard of their shingle sets, or what their signatures estimate.

The idea: a candidate pair is a guess until its sets are compared. Two ascending arrays of 64-bit hashes are merged
once; the similarity is one division, |A and B| / |A or B|, the same on every machine. Every pair that was measured is
returned, those below the threshold too: they show how good the guesses were. Signatures need no text and are wrong by
sqrt(J(1-J)/K) (`verify_signatures`).

A large bucket (boilerplate: hundreds or millions of documents that agree in a band) is not measured pair by pair. Its
first member by (rank, key) that still stands becomes a leader and is measured against all that stand; whom a star then
removes (see `survivors`) is done, the rest form the next round, MAX_ROUNDS at most. So a bucket of one text with edits
takes one round; and where a document from elsewhere removes the leader, those that only the leader was compared with
stand again and choose the next. The trade-off: a large bucket of many unlike groups keeps some duplicates; how many
documents went uncompared is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..text import kernel
from .minhash import estimates
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

    def __init__(self, place: np.ndarray, similarity: Callable[[np.ndarray, np.ndarray], np.ndarray]):
        self.count = len(place)
        self.at_place = np.empty(self.count, np.int64)  # place -> position of the document in the input
        self.at_place[place] = np.arange(self.count)
        self.similarity = similarity
        self.pairs = np.empty(0, np.int64)
        self.jaccard = np.empty(0, np.float64)

    def missing(self, pairs: np.ndarray) -> np.ndarray:
        """The distinct of `pairs` that are not measured yet, ascending."""
        pairs = _distinct(pairs)
        if len(self.pairs) == 0:
            return pairs
        at = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        return pairs[self.pairs[at] != pairs]

    def measure(self, pairs: np.ndarray) -> None:
        """Measure `pairs`, ascending, none of them known."""
        first, second = self.places(pairs)
        found = self.similarity(self.at_place[first], self.at_place[second])
        at = np.searchsorted(self.pairs, pairs)
        self.pairs, self.jaccard = np.insert(self.pairs, at, pairs), np.insert(self.jaccard, at, found)

    def places(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first, second) of `pairs`."""
        return np.divmod(pairs, max(self.count, 1))

    def standing(self, threshold: float) -> np.ndarray:
        """bool[n] by place: who stays, as far as is known."""
        twin = np.empty(self.count, np.int64)
        sweep(*self.places(self.pairs[self.jaccard >= threshold]), twin)
        return twin < 0


@dataclass(frozen=True)
class _Buckets:
    """Large buckets: the members of number g are places[starts[g]:starts[g + 1]], ascending."""

    starts: np.ndarray  # int64[g + 1]
    places: np.ndarray  # int64[m]
    bands: np.ndarray  # uint64[g]


def _distinct_buckets(big: np.ndarray, places: np.ndarray) -> _Buckets:
    """One bucket for each distinct list of members: a text met in all bands is compared once."""
    order = np.lexsort((places, big["bucket"]))
    buckets = big["bucket"][order]
    begins = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]]) if len(order) else np.empty(0, np.int64)
    found: dict[bytes, int] = {}
    for rows in np.split(order, begins[1:]) if len(order) else []:
        members = _distinct(places[rows]).tobytes()
        found[members] = found.get(members, 0) | int(np.bitwise_or.reduce(big["bands"][rows]))
    members = [np.frombuffer(name, np.int64) for name in found]
    starts = np.cumsum([0, *map(len, members)])
    flat = np.concatenate([np.empty(0, np.int64), *members])
    return _Buckets(starts, flat, np.array(list(found.values()), np.uint64))


@kernel
def _choose(starts, places, standing, led):
    """Of each bucket in which several stand and have not led, the first leads: whether there was any."""
    chosen = False
    for bucket in range(len(starts) - 1):
        first, waiting = -1, 0
        for i in range(starts[bucket], starts[bucket + 1]):
            if standing[places[i]] and not led[i]:
                first = i if waiting == 0 else first
                waiting += 1
        if waiting > 1:
            led[first] = chosen = True
    return chosen


@kernel
def _waiting(starts, places, standing, led, out):
    """Mark in `out` by place those who stand and have not led, where a bucket has several of them."""
    for bucket in range(len(starts) - 1):
        first, last = starts[bucket], starts[bucket + 1]
        several = np.sum(standing[places[first:last]] & ~led[first:last]) > 1
        for i in range(first, last):
            if several and standing[places[i]] and not led[i]:
                out[places[i]] = True


@kernel
def _leaders_pairs(starts, places, standing, led, stood, had_led, count, out):
    """The number of pairs of a standing leader and another standing member; they go to `out` int64 if it has room.

    Those are left out that were so a round ago, when `stood` and `had_led` were what `standing` and `led` are now.
    """
    n = 0
    for bucket in range(len(starts) - 1):
        for i in range(starts[bucket], starts[bucket + 1]):
            if not (led[i] and standing[places[i]]):
                continue
            known = had_led[i] and stood[places[i]]
            for j in range(starts[bucket], starts[bucket + 1]):
                if j != i and standing[places[j]] and not (known and stood[places[j]]):
                    if n < len(out):
                        out[n] = min(places[i], places[j]) * count + max(places[i], places[j])
                    n += 1
    return n


@kernel
def _add_bands(starts, places, bucket_bands, begin, second, bands):
    """Add to `bands` of each pair those of the buckets that hold both; the pairs of place p begin at begin[p]."""
    within = np.full(len(begin) - 1, -1, np.int64)
    for bucket in range(len(starts) - 1):
        members = places[starts[bucket] : starts[bucket + 1]]
        for place in members:
            within[place] = bucket
        for place in members:
            for pair in range(begin[place], begin[place + 1]):
                if within[second[pair]] == bucket:
                    bands[pair] |= bucket_bands[bucket]


def _rounds(measured: _Measured, buckets: _Buckets, threshold: float) -> int:
    """Compare the members of large buckets with their leaders; the number of documents left uncompared."""
    within = (buckets.starts, buckets.places)
    led = np.zeros(len(buckets.places), bool)  # by member
    had_led, stood = led.copy(), np.zeros(measured.count, bool)
    for turn in range(MAX_ROUNDS + 1):
        standing = measured.standing(threshold)
        chosen = turn < MAX_ROUNDS and _choose(*within, standing, led)
        of = (*within, standing, led, stood, had_led, measured.count)
        pairs = np.empty(_leaders_pairs(*of, np.empty(0, np.int64)), np.int64)
        _leaders_pairs(*of, pairs)
        new = measured.missing(pairs)
        if turn == MAX_ROUNDS:
            break
        if not chosen and not len(new):
            return 0
        measured.measure(new)
        had_led, stood = led.copy(), standing
    left = np.zeros(measured.count, bool)
    _waiting(*within, standing, led, left)
    for places in measured.places(new):
        left[places] = True
    return int(left.sum())


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
    return _verify(handle, rank, key, lambda a, b: jaccards(offsets, shingles, a, b), candidates, big, threshold)


def verify_signatures(
    handle: np.ndarray,
    rank: np.ndarray,
    key: np.ndarray,
    signatures: np.ndarray,
    candidates: np.ndarray,
    big: np.ndarray,
    threshold: float,
) -> Verified:
    """The same by `signatures` uint32[n, K] (see `minhash`) alone: similarities are estimated."""
    return _verify(handle, rank, key, lambda a, b: estimates(signatures, a, b), candidates, big, threshold)


def _verify(
    handle: np.ndarray,
    rank: np.ndarray,
    key: np.ndarray,
    similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
    candidates: np.ndarray,
    big: np.ndarray,
    threshold: float,
) -> Verified:
    place = precedence(rank, key, handle)
    a, b = place[locate(handle, candidates["a"])], place[locate(handle, candidates["b"])]
    asked = np.minimum(a, b) * len(handle) + np.maximum(a, b)
    buckets = _distinct_buckets(big, place[locate(handle, big["handle"])])

    measured = _Measured(place, similarity)
    measured.measure(_distinct(asked))
    unmeasured = _rounds(measured, buckets, threshold)

    bands = np.zeros(len(measured.pairs), np.uint64)
    np.bitwise_or.at(bands, np.searchsorted(measured.pairs, asked), candidates["bands"])
    first, second = measured.places(measured.pairs)
    begin = np.searchsorted(first, np.arange(len(handle) + 1))
    _add_bands(buckets.starts, buckets.places, buckets.bands, begin, second, bands)

    a, b = measured.at_place[first], measured.at_place[second]
    by_key = precedence(np.zeros(len(handle), np.int64), key, handle)
    swap = by_key[a] > by_key[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    pairs = np.empty(len(a), VERIFIED)
    pairs["a"], pairs["b"], pairs["bands"], pairs["jaccard"] = handle[a], handle[b], bands, measured.jaccard
    return Verified(pairs[np.lexsort((by_key[b], by_key[a]))], unmeasured)
