"""Text to shingles: runs of `ngram` lower-cased words, each one 64-bit hash.

The idea: a shingle is never a Python object. One compiled scan over the Arrow buffer lower-cases code point by code
point through a table, hashes each word (FNV-1a over code points, then MurmurHash3's finaliser) and rolls the word
hashes into shingle hashes (a polynomial modulo 2^64, finalised again). It holds a block of words at a time, so that
its memory does not grow with the length of a document. Making shingles as Python strings costs over ten times this.

The trade-offs. Words are what stands between white space, so "end." and "end" differ: right for copies of one text,
and ten times cheaper than a tokeniser. Lower-casing is per code point: a capital whose lower case is two characters
(U+0130) becomes the first of them, and final sigma is sigma. That is neither `str.lower()` nor any library's rule, but
equal texts give equal shingles, which is all that is asked. 64-bit hashes of natural text do not clash (within two
documents of 10^6 shingles: once in 10^7); an author who wants two shingles to clash can make them.

Shingles are Broder's ("On the resemblance and containment of documents", 1997), the rolling hash Karp and Rabin's.
"""

from __future__ import annotations

import re
import sys
from functools import cache

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ..document import text_buffers
from ..text import decode, inline, kernel, mix64

SEPARATOR = np.uint32(0xFFFFFFFE)  # in the table: this code point is white space
BLOCK = 2048  # words held at a time: with their shingles 32 KB, which stays in the first-level cache
SPARE = 8  # room behind a block of shingles, for callers that read them in eights

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: of the rolling polynomial


@cache
def lower_table() -> np.ndarray:
    """uint32[0x110000]: code point -> lower-cased code point, or SEPARATOR where `str.isspace()` holds.

    It comes from the interpreter's own Unicode tables. All characters are lower-cased in one call, a NUL between any
    two: with no letter before it a sigma is never final, and what became two characters is seen by its length.
    """
    points = np.arange(1, sys.maxunicode + 1, dtype=np.uint32)
    points = points[(points < 0xD800) | (points > 0xDFFF)]  # surrogates are no characters and never in UTF-8
    spaced = np.zeros(2 * len(points), np.uint32)
    spaced[0::2] = points
    lowered = np.frombuffer(spaced.tobytes().decode("utf-32-le").lower().encode("utf-32-le"), np.uint32)
    starts = np.r_[0, np.flatnonzero(lowered == 0)[:-1] + 1]
    table = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    table[points] = lowered[starts]
    spaces = re.findall(r"\s", points.tobytes().decode("utf-32-le"))  # `\s` is exactly str.isspace()
    table[[ord(space) for space in spaces]] = SEPARATOR
    table.flags.writeable = False
    return table


@inline
def _hash_words(data, at, end, table, words, held):
    """Hash the words of data[at:end] into words[held:] until it is full: (words held now, where to go on)."""
    h = FNV_OFFSET
    inside = False
    while at < end and held < len(words):
        point, at = decode(data, at)
        lowered = table[point]
        if lowered != SEPARATOR:
            h = (h ^ uint64(lowered)) * FNV_PRIME
            inside = True
        elif inside:
            words[held] = mix64(h)
            held += 1
            h = FNV_OFFSET
            inside = False
    if inside:
        words[held] = mix64(h)
        held += 1
    return held, at


@inline
def _roll(words, held, ngram, out):
    """The hashes of all windows of `ngram` words in words[:held] into `out`; their number."""
    if held < ngram or held == 0:
        return 0
    h = uint64(0)
    power = uint64(1)
    for j in range(ngram):
        h = h * BASE + words[j]
        power *= BASE
    out[0] = mix64(h)
    for j in range(ngram, held):
        h = h * BASE + words[j] - words[j - ngram] * power
        out[j - ngram + 1] = mix64(h)
    return held - ngram + 1


@kernel
def next_shingles(data, at, start, end, table, ngram, words, held, out):
    """One block further through the document data[start:end]: (shingles made, words held, where to go on).

    `words` uint64[BLOCK] carries the last ngram - 1 words from block to block; begin with at = start and held = 0, go
    on until the place returned is `end`. The shingle hashes are written to the front of `out`.
    """
    first = at == start
    held, at = _hash_words(data, at, end, table, words, held)
    made = _roll(words, held, min(ngram, held) if first else ngram, out)
    if at < end:
        carried = ngram - 1
        for j in range(carried):
            words[j] = words[held - carried + j]
        held = carried
    return made, held, at


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
def _sets(data, offsets, table, ngram, values, bounds):
    """Fill `values` with the sorted distinct shingle hashes of each document and `bounds` with where each ends."""
    words = np.empty(BLOCK, np.uint64)
    filled = 0
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        at, held, top = start, 0, filled
        while at < end:
            made, held, at = next_shingles(data, at, start, end, table, ngram, words, held, values[top:])
            top += made
        _sort_hashes(values[filled:top])
        kept = filled
        for j in range(filled, top):
            if kept == filled or values[j] != values[kept - 1]:
                values[kept] = values[j]
                kept += 1
        filled = kept
        bounds[d + 1] = filled


def shingle_sets(texts: pa.Array | pa.ChunkedArray, ngram: int) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64[m], offsets int64[n + 1]): the set of document i is hashes[offsets[i]:offsets[i + 1]], ascending.

    A document of fewer than `ngram` words has one shingle of all its words; one without words has none. At its peak it
    holds the result twice. `texts` must be valid UTF-8, as Arrow strings made of Python text are.
    """
    data, offsets = text_buffers(texts)
    room = int(
        ((np.diff(offsets) + 1) // 2).sum()
    )  # a word and its separator take two bytes; unused pages stay unmapped
    values = np.empty(room, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    _sets(data, offsets, lower_table(), ngram, values, bounds)
    return values[: bounds[-1]].copy(), bounds
