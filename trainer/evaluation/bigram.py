"""A bigram over the same tokens: the baseline that a trained model must beat to have learned more than pairs.

Interpolated Kneser-Ney (Kneser and Ney 1995, in the form of Chen and Goodman 1999): a fixed discount is taken from
every pair seen in training, and what that frees is given out by how many different tokens a token was seen to follow.
It is the strongest of the simple bigrams. The discounts, one for pairs seen once, twice, and more often, are chosen on
training text that was held out from the counts; the counts then take it in.

    p(w | v) = max(c(v w) - D(c(v w)), 0) / c(v) + free(v) / c(v) · p1(w)
    p1(w)    = the same with different predecessors of w for counts, and 1 / vocabulary below it

Pairs are counted by sorting packed integers a chunk at a time: memory follows the number of different pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

CHUNK = 1 << 22  # pairs sorted at a time
HELD_OUT = 20  # one batch in so many chooses the discounts
LEVELS = (0.02, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.4)  # discounts tried; less than what they are taken from


@dataclass(frozen=True)
class Counts:
    """Different pairs, ascending, packed v · vocabulary + w (int64[n]), and how often each was seen (int64[n])."""

    pairs: np.ndarray
    seen: np.ndarray

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        pairs, inverse = np.unique(np.concatenate([self.pairs, other.pairs]), return_inverse=True)
        seen = np.bincount(inverse, np.concatenate([self.seen, other.seen]), len(pairs)).astype(np.int64)
        return Counts(pairs, seen)

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """int64[k]: how often each of `pairs` int64[k] was seen."""
        if not len(self.pairs):
            return np.zeros(len(pairs), np.int64)
        at = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        return np.where(self.pairs[at] == pairs, self.seen[at], 0)


def count(batches: Iterable[np.ndarray], vocabulary: int) -> Counts:
    """The pairs of neighbours in `batches`, each int[b, length + 1]."""
    total = Counts(np.empty(0, np.int64), np.empty(0, np.int64))
    held: list[np.ndarray] = []
    for batch in itertools.chain(batches, (None,)):
        if batch is not None:
            held.append(_packed(batch, vocabulary))
        if held and (batch is None or sum(map(len, held)) >= CHUNK):
            total = total.plus(Counts(*np.unique(np.concatenate(held), return_counts=True)))
            held = []
    return total


class Bigram:
    """Interpolated Kneser-Ney over `counts`, with `discounts` for pairs seen once, twice and three times or more."""

    def __init__(self, counts: Counts, vocabulary: int, discounts: tuple[float, float, float]):
        self.counts, self.vocabulary = counts, vocabulary
        self.discounts = np.array([0.0, *discounts])
        before, after = np.divmod(counts.pairs, vocabulary)
        self.followed = np.bincount(before, counts.seen, vocabulary)  # (V,) c(v)
        freed = np.bincount(before, self._taken(counts.seen), vocabulary)
        # what is given out for lack of a seen pair; a token never followed by anything gives out all
        self.free = np.divide(freed, self.followed, out=np.ones(vocabulary), where=self.followed > 0)
        different = np.bincount(after, minlength=vocabulary).astype(np.int64)  # (V,) predecessors of w
        total = max(1, int(different.sum()))
        taken = self._taken(different)
        spread = taken.sum() / total if different.any() else 1.0
        self.below = (different - taken) / total + spread / vocabulary  # (V,) p1

    def _taken(self, seen: np.ndarray) -> np.ndarray:
        return self.discounts[np.minimum(seen, 3)]

    def probability(self, pairs: np.ndarray) -> np.ndarray:
        """float64[k]: p(w | v) of each of `pairs` int64[k]."""
        before, after = np.divmod(pairs, self.vocabulary)
        seen = self.counts.of(pairs)
        own = (seen - self._taken(seen)) / np.maximum(self.followed[before], 1)
        return own + self.free[before] * self.below[after]

    def nats(self, batches: Iterable[np.ndarray]) -> tuple[float, int]:
        """(-ln p summed, predicted tokens) over `batches`, each int[b, length + 1]."""
        total, tokens = 0.0, 0
        for batch in batches:
            pairs = _packed(batch, self.vocabulary)
            total -= float(np.log(self.probability(pairs)).sum())
            tokens += len(pairs)
        return total, tokens


def fit(batches: Iterable[np.ndarray], vocabulary: int) -> Bigram:
    """A bigram of training `batches`, read once: one in `HELD_OUT` chooses the discounts, then all of them count."""
    kept: list[np.ndarray] = []
    counts = count(_without_every(batches, HELD_OUT, kept), vocabulary)
    best = (0.5, 0.7, 0.9)
    for i in range(3) if kept else ():  # one after the other
        tried = [(*best[:i], level, *best[i + 1 :]) for level in LEVELS if level <= i + 1]
        best = min(tried, key=lambda discounts: Bigram(counts, vocabulary, discounts).nats(kept)[0])
    return Bigram(counts.plus(count(kept, vocabulary)), vocabulary, best)


def _without_every(batches: Iterable[np.ndarray], n: int, kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    for i, batch in enumerate(batches):
        if i % n == n - 1:
            kept.append(batch)
        else:
            yield batch


def _packed(batch: np.ndarray, vocabulary: int) -> np.ndarray:
    """int64[b · length]: the pairs of neighbours in int[b, length + 1], each as one number."""
    batch = batch.astype(np.int64)
    return (batch[:, :-1] * vocabulary + batch[:, 1:]).ravel()
