"""Text to shingles: runs of `ngram` words or characters, each one 64-bit hash.

The idea: a shingle is never a Python object. A document is normalised (see `normalise`), its words or characters are
hashed eight bytes at a load, and a polynomial modulo 2^64 rolls their hashes into those of the shingles; both are
finished with MurmurHash3's mixing. It holds a block of words at a time. Making shingles as Python strings costs over
twenty times this.

A shingle is what Python calls `tuple(words[i : i + ngram])`, or `" ".join(words)[i : i + ngram]` for characters.

The trade-off: 64-bit hashes of natural text do not clash (within two documents of 10^6 shingles: once in 10^7); an
author who wants two shingles to clash can make them.

Shingles are Broder's ("On the resemblance and containment of documents", 1997), the rolling hash Karp and Rabin's.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ..document import text_buffers
from ..text import inline, kernel, load64, mix64
from .normalise import find_characters, find_words, join, normalise, room, rule
from .settings import ShingleSettings

BLOCK = 2048  # words held at a time: with their shingles 64 KB, which stays in the second-level cache
SPARE = 8  # room behind a block of shingles, for callers that read them in eights
EDGES = 2 * BLOCK + 64  # where the words of a block begin and end; `find_words` gives up to 64 at once

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: of the rolling polynomial


@kernel
def prepare(data, start, end, rule, joined, edges, text, spare):
    """The document data[start:end] into the front of `text`, normalised, if wanted `joined`: its length.

    `text` and `spare` uint8 have the `room` of the document; `spare` is written if it is to be joined, and so is
    `edges` int64[EDGES].
    """
    if not joined:
        return normalise(data, start, end, rule, text)
    return join(spare, normalise(data, start, end, rule, spare), edges, text)


@kernel
def next_units(text, length, at, inside, characters, edges, held):
    """A block of words or characters further: (edges held, where to go on, inside a word).

    Begin with at = 0, inside = uint64(0) and held = 0; go on until the place returned is `length` or more.
    """
    if characters:
        held, at = find_characters(text, length, at, edges, held)
    else:
        held, at, inside = find_words(text, length, at, inside, edges, held)
    return held, at, inside


@inline
def windows(units, ngram, first):
    """(shingles that `units` words or characters make, words of each). `first`: they are all that the text has so far.

    A text of fewer than `ngram` makes one shingle of all.
    """
    size = min(ngram, units) if first else ngram
    return (units - size + 1 if size > 0 else 0), size


@kernel
def carry(edges, held, ngram):
    """Move what the next block's shingles begin with to the front of `edges`: how many are held."""
    kept = min(held, 2 * (ngram - 1) + held % 2)
    for i in range(kept):
        edges[i] = edges[held - kept + i]
    return kept


@kernel
def roll(text, edges, units, made, size, hashes):
    """The hashes of `made` shingles of `size` words or characters each, to the front of `hashes` uint64.

    `units` uint64[BLOCK + 32] is overwritten: the hash of each word. A word of up to eight bytes is one load.
    """
    if made <= 0:
        return
    for j in range(made + size - 1):
        at, end = edges[2 * j], edges[2 * j + 1]
        h = uint64(end - at) * BASE  # so that "a" and "a\0" differ
        while end - at > 8:
            h = mix64(h ^ load64(text, at))
            at += 8
        unused = uint64(64 - 8 * (end - at))
        units[j] = mix64(h ^ ((load64(text, at) << unused) >> unused))
    h = uint64(0)
    power = uint64(1)
    for j in range(size):
        h = h * BASE + units[j]
        power *= BASE
    hashes[0] = mix64(h)
    for j in range(1, made):
        h = h * BASE + units[j + size - 1] - units[j - 1] * power
        hashes[j] = mix64(h)


@kernel
def _sort_hashes(hashes):
    """Sort uint64 hashes in place: spread by their leading bits, then insertion within a bucket.

    Hashes are uniform, so a bucket holds one or two values and the whole is linear (four times as fast as a sort by
    comparison). A text that repeats itself fills some buckets; those are sorted by comparison, which bounds the worst.
    """
    n = len(hashes)
    if n < 64:
        hashes.sort()
        return
    bits = 5
    while n >> (bits + 1) > 0:
        bits += 1
    shift = uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.int64)
    spread = np.empty(n, np.uint64)
    for i in range(n):
        ends[int64(hashes[i] >> shift) + 1] += 1
    for bucket in range(1 << bits):
        ends[bucket + 1] += ends[bucket]
    for i in range(n):  # ends[bucket] walks from the bucket's start to its end
        bucket = int64(hashes[i] >> shift)
        spread[ends[bucket]] = hashes[i]
        ends[bucket] += 1
    start = 0
    for bucket in range(1 << bits):
        end = ends[bucket]
        if end - start > 32:
            spread[start:end].sort()
            for i in range(start, end):
                hashes[i] = spread[i]
        else:
            for i in range(start, end):
                j = i
                while j > start and hashes[j - 1] > spread[i]:
                    hashes[j] = hashes[j - 1]
                    j -= 1
                hashes[j] = spread[i]
        start = end


@kernel
def _sets(data, offsets, rule, characters, ngram, text, spare, values, bounds):
    """Fill `values` with the sorted distinct shingle hashes of each document and `bounds` with where each ends."""
    edges = np.empty(EDGES, np.int64)
    units = np.empty(EDGES // 2, np.uint64)
    filled = 0
    for d in range(len(offsets) - 1):
        length = prepare(data, offsets[d], offsets[d + 1], rule, characters, edges, text, spare)
        at, inside, held, top, first = 0, uint64(0), 0, filled, True
        while at < length:
            held, at, inside = next_units(text, length, at, inside, characters, edges, held)
            made, size = windows(held // 2, ngram, first)
            roll(text, edges, units, made, size, values[top:])
            top += made
            held = carry(edges, held, ngram)
            first = False
        _sort_hashes(values[filled:top])
        kept = filled
        for j in range(filled, top):
            if kept == filled or values[j] != values[kept - 1]:
                values[kept] = values[j]
                kept += 1
        filled = kept
        bounds[d + 1] = filled


def shingle_sets(texts: pa.Array | pa.ChunkedArray, settings: ShingleSettings) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64[m], offsets int64[n + 1]): the set of document i is hashes[offsets[i]:offsets[i + 1]], ascending.

    The shingles are those of `minhash.signatures` with the same settings, whatever its scheme. A document of fewer than
    `ngram` words has one shingle of all its words; one without words has none. At its peak it holds the result twice.
    `texts` must be valid UTF-8, as Arrow strings made of Python text are.
    """
    data, offsets = text_buffers(texts)
    characters = settings.shingle == "characters"
    sizes = np.diff(offsets)
    most = sizes if characters else (sizes + 1) // 2  # a word and its space take two bytes
    values = np.empty(int(most.sum()) + 1, np.uint64)  # unused pages stay unmapped
    bounds = np.zeros(len(offsets), np.int64)
    text, spare = scratch(sizes, characters)
    tables = rule(settings.lowercase, settings.words == "alphanumeric")
    _sets(data, offsets, tables, characters, settings.ngram, text, spare, values, bounds)
    return values[: bounds[-1]].copy(), bounds


def scratch(sizes: np.ndarray, joined: bool) -> tuple[np.ndarray, np.ndarray]:
    """(text, spare) for `prepare`, for documents of `sizes` bytes, int64[n]."""
    size = room(int(sizes.max(initial=0)))
    return np.empty(size, np.uint8), np.empty(size if joined else 0, np.uint8)
