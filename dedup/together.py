"""Deduplication of what fits in memory, in one call: no files, no Beam.

The idea: the steps that a pipeline spreads over workers, in a row and by the same functions: equal texts, signatures,
candidates, their components, the similarity of each candidate pair, who stays.

    found = deduplicate(batches)
    survivors = [batch.filter(pa.array(stays)) for batch, stays in zip(batches, found.stays)]

The trade-off: the text stays in memory, and that of candidates is shingled a second time, since few documents are
candidates and their shingle sets take more room than their text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..document import key_words
from .candidates import MEMBER, band_hashes, blocks, bucket_pairs, from_bytes, large_buckets, merge_pairs
from .components import components
from .exact import content_hash, group_duplicates
from .minhash import signatures
from .settings import ExactSettings, MinHashSettings
from .shingles import shingle_sets
from .survivors import connected, stars, survivor_rank
from .verify import VERIFIED, Verified, verify, verify_signatures

EXACT, MINHASH = ExactSettings(), MinHashSettings()
MEMORY = 64 << 20  # bytes of text of candidates that are measured at once; a larger component is measured whole


@dataclass(frozen=True)
class Deduplicated:
    """What `deduplicate` found. Documents go by number, from 0 through all batches."""

    stays: list[np.ndarray]  # bool[n] of each batch
    kept: np.ndarray  # int64[documents]: the one in whose favour it was dropped; -1 where it stays
    jaccard: np.ndarray  # float64[documents]: 1 of an exact duplicate, else as `survivors` has it; 0 where it stays
    pairs: np.ndarray  # verify.VERIFIED[p]: every measured pair, in order of the keys
    exact_duplicates: int
    near_duplicates: int
    large_buckets: int  # buckets of which not all pairs were candidates
    largest_bucket: int  # its members; 0 where all were small
    unmeasured: int  # documents of large buckets that stayed without having been compared with all that stayed there


@dataclass(frozen=True)
class _Corpus:
    """The columns of all batches, and the number of the first document of each."""

    texts: list[pa.Array]
    first: np.ndarray  # int64[batches + 1]
    rank: np.ndarray
    key: np.ndarray

    def parts(self, numbers: np.ndarray) -> Iterator[pa.Array]:
        """The texts of documents, numbers ascending, batch by batch."""
        bounds = np.searchsorted(numbers, self.first)
        for text, start, low, high in zip(self.texts, self.first, bounds, bounds[1:], strict=False):
            if low < high:
                yield text if high - low == len(text) else text.take(pa.array(numbers[low:high] - start))


def deduplicate(
    batches: Sequence[pa.RecordBatch],
    exact: ExactSettings | None = EXACT,
    minhash: MinHashSettings | None = MINHASH,
    ranks: Sequence[np.ndarray] | None = None,
    memory: int = MEMORY,
) -> Deduplicated:
    """Duplicates among the documents of batches with the columns `key` (binary(16)) and `text` (a string or null).

    `exact` or `minhash` None leaves that part out (a Bloom filter has no part in this). Exact duplicates are dropped
    first and take no part in the other; so a document may be dropped in favour of one that is then dropped itself.
    `ranks` int64[n] of each batch: of several duplicates the smallest stays, between equals that of the smallest key;
    without ranks the longest stays.

    The result is the same for any cut and order of the batches, but for the numbers that documents go by. Bound:
    besides the text some 150 bytes a document and 8 a document and band (with `verify: signatures` 4 a permutation),
    150 a candidate pair, and five times `memory`. Raises WorkError for more candidates than `components` takes.
    """
    texts = [batch.column("text") for batch in batches]
    key = np.concatenate([np.empty((0, 2), np.uint64), *(key_words(batch.column("key")) for batch in batches)])
    rank = np.concatenate([np.empty(0, np.int64), *(map(survivor_rank, texts) if ranks is None else ranks)])
    corpus = _Corpus(texts, np.cumsum([0, *map(len, texts)]), rank, key)
    kept, jaccard = np.full(len(key), -1), np.zeros(len(key))
    if exact is not None:
        content = np.concatenate([np.empty((0, 2), np.uint64), *(content_hash(text, exact.form) for text in texts)])
        dropped, favoured = group_duplicates(content, rank, key, np.arange(len(key)))
        kept[dropped], jaccard[dropped] = favoured, 1.0
    left = np.flatnonzero(kept < 0)
    pairs, hot, unmeasured = np.empty(0, VERIFIED), (0, 0), 0
    if minhash is not None:
        near, hot = _near(corpus, left, minhash, memory)
        choose = stars if minhash.cluster == "star" else connected
        for numbers, found in near:
            more = (found.pairs, found.pairs["jaccard"], minhash.threshold)
            dropped, favoured, similarity = choose(numbers, rank[numbers], key[numbers], *more)
            kept[dropped], jaccard[dropped] = favoured, similarity
            unmeasured += found.unmeasured
        pairs = np.concatenate([pairs, *(found.pairs for _, found in near)])
        a, b = key[pairs["a"]], key[pairs["b"]]
        pairs = pairs[np.lexsort((b[:, 1], b[:, 0], a[:, 1], a[:, 0]))]
    stays = np.split(kept < 0, corpus.first[1:-1]) if texts else []
    near_duplicates = int((kept[left] >= 0).sum())
    return Deduplicated(stays, kept, jaccard, pairs, len(key) - len(left), near_duplicates, *hot, unmeasured)


def _near(
    corpus: _Corpus, left: np.ndarray, minhash: MinHashSettings, memory: int
) -> tuple[list[tuple[np.ndarray, Verified]], tuple[int, int]]:
    """([(numbers, what was measured)] of whole components, `large_buckets`) of the documents `left`."""
    by_signatures = minhash.verify == "signatures"
    bands, kept = [np.empty((0, minhash.bands), np.uint64)], [np.empty((0, minhash.permutations), np.uint32)]
    for text in corpus.parts(left):
        made = signatures(text, minhash)
        bands.append(band_hashes(made, minhash))
        if by_signatures:
            kept.append(made)
    pairs, big = candidate_pairs(np.concatenate(bands), corpus.rank[left], corpus.key[left], left)
    del bands
    made = np.concatenate(kept)
    found = []
    for numbers, asked, members in _shares(corpus, pairs, big, memory):
        place = (numbers, corpus.rank[numbers], corpus.key[numbers])
        if by_signatures:
            measured = verify_signatures(
                *place, made[np.searchsorted(left, numbers)], asked, members, minhash.threshold
            )
        else:
            sets = [shingle_sets(text, minhash) for text in corpus.parts(numbers)]
            sizes = np.concatenate([np.diff(offsets) for _, offsets in sets])
            shingles = np.concatenate([hashes for hashes, _ in sets])
            del sets
            measured = verify(*place, np.r_[0, np.cumsum(sizes)], shingles, asked, members, minhash.threshold)
        found.append((numbers, measured))
    return found, large_buckets(big)


def candidate_pairs(
    bands: np.ndarray, rank: np.ndarray, key: np.ndarray, handle: np.ndarray, partitions: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(pairs candidates.PAIR[p], big candidates.MEMBER[q]) of n documents, in blocks of one (band, partition).

    `bands` uint64[n, bands] of `candidates.band_hashes`, `rank` int64[n], `key` uint64[n, 2], `handle` int64[n]. The
    candidates are the same for any `partitions`; more of them take less memory.
    """
    large = [np.empty(0, MEMBER)]

    def found() -> Iterator[np.ndarray]:
        every = [(band, part) for band in range(bands.shape[1]) for part in range(partitions)]
        for (band, _), block in blocks(bands, rank, key, handle, partitions, every):
            pairs, big = bucket_pairs(from_bytes([block]), band)
            large.append(big)
            yield pairs

    pairs = merge_pairs(found())
    return pairs, np.concatenate(large)


def _shares(
    corpus: _Corpus, pairs: np.ndarray, big: np.ndarray, memory: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(numbers, pairs, big) of whole components, with `memory` bytes of text or a little more."""
    nodes, label = components(pairs, big)
    sizes = np.concatenate([np.empty(0, np.int64), *(_bytes(text) for text in corpus.texts)])[nodes]
    share = (np.cumsum(np.bincount(label, sizes)) // memory).astype(np.int64)[label] if len(nodes) else label
    of_pair, of_member = (share[np.searchsorted(nodes, ends)] for ends in (pairs["a"], big["handle"]))
    for number in np.unique(share):
        yield nodes[share == number], pairs[of_pair == number], big[of_member == number]


def _bytes(texts: pa.Array) -> np.ndarray:
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
