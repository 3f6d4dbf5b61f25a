"""Where two texts may repeat each other: a sample of their short runs that no long repeat escapes.

A unit is a word (what stands between white space, as `str.split` cuts it) or a byte. The idea: of every `length` units
in a row, look at all runs of `gram` units within and keep the hash of the smallest, the anchor (winnowing: Schleimer,
Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003). It depends on those units
alone, so wherever the same `length` units stand again, in any document, the same anchor is kept: a repeat whose anchor
occurs once in the corpus does not exist. So only anchors need to be counted, about one in (length - gram) / 2 units,
and only around those that occur twice is anything said about every single window (`windows`).

The trade-off of `gram`: a short one makes anchors rarer, and more of them occur twice without a repeat around them.
A third of the length: 3 anchors in `length` units.

Against suffix arrays (Lee et al. 2022, arXiv:2107.06499), which find the same repeats: those take 8 bytes and more for
every byte of a corpus and need the text in one place; anchors take a tenth of the text and cross a shuffle as numbers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import int64, uint32, uint64

from ..document import text_buffers
from ..text import inline, kernel, mix64

MAX_BYTES = 1 << 32  # of one document: places in it are 32 bits

WINDOW = np.dtype(  # `length` units in a row whose anchor is repeated
    [
        ("hash", "<u8"),
        ("document", "<u4"),
        ("unit", "<u4"),  # its first unit, counted from the beginning of the document
        ("start", "<u4"),  # in bytes from the beginning of the document
        ("end", "<u4"),
        ("partition", "<u4"),  # of its anchor
    ],
    align=True,
)

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: of the polynomial that makes one hash of several units
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)

# What a byte says of white space: 0 it begins none, 1 it is one, 2 and more: the bytes behind it decide
_SPACE = np.zeros(256, np.uint8)
_SPACE[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = 1
_SPACE[[0xC2, 0xE1, 0xE2, 0xE3]] = [2, 3, 4, 5]


def gram_of(length: int) -> int:
    """Units of an anchor: a third of a window, rounded up."""
    return (length + 2) // 3


@inline
def _wide_space(data, i, kind):
    """Bytes of the white space that begins at data[i], a byte of this `kind` in _SPACE; 0 where it is none."""
    if kind == 1:
        return 1
    b = data[i + 1]
    if kind == 2:  # U+0085, U+00A0
        return 2 if b == 0x85 or b == 0xA0 else 0
    c = data[i + 2]
    if kind == 3:  # U+1680
        return 3 if b == 0x9A and c == 0x80 else 0
    if kind == 5:  # U+3000
        return 3 if b == 0x80 and c == 0x80 else 0
    if b == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
        return 3 if c <= 0x8A or c == 0xA8 or c == 0xA9 or c == 0xAF else 0
    return 3 if b == 0x81 and c == 0x9F else 0  # U+205F


@kernel
def find_words(data, begin, stop, hashes, starts, ends):
    """The words of data[begin:stop]: their number. Their hashes uint64 and places uint32, from `begin`, are filled in;
    there must be room for (stop - begin + 1) // 2.
    """
    n, i = 0, begin
    while i < stop:
        kind = _SPACE[data[i]]
        width = _wide_space(data, i, kind) if kind else 0
        if width:
            i += width
            continue
        starts[n] = i - begin
        h = _FNV_OFFSET
        while True:
            h = (h ^ uint64(data[i])) * _FNV_PRIME
            i += 1
            if i >= stop:
                break
            kind = _SPACE[data[i]]
            if kind and _wide_space(data, i, kind):
                break
        hashes[n] = mix64(h)
        ends[n] = i - begin
        n += 1
    return n


@inline
def _sums(data, begin, stop, words, sums, starts, ends):
    """The number of units; sums[j] is the polynomial of the first j, from which that of any run follows."""
    sums[0] = 0
    if words:
        n = find_words(data, begin, stop, sums[1:], starts, ends)
        for j in range(n):
            sums[j + 1] += sums[j] * _BASE
    else:
        n = stop - begin
        for j in range(n):
            sums[j + 1] = sums[j] * _BASE + mix64(uint64(data[begin + j]) + uint64(1))
    return n


@inline
def _power(n):
    power = uint64(1)
    for _ in range(n):
        power *= _BASE
    return power


@inline
def _hash(sums, i, n, power):
    """The hash of units i to i + n, `power` being _power(n)."""
    return mix64(sums[i + n] - sums[i] * power)


@inline
def _anchor(grams, i, width, anchor):
    """Where the smallest of grams[i:i + width] is, of equal ones the last; `anchor` is that of i - 1, -1 if none."""
    last = i + width - 1
    if anchor < i:
        anchor = i
        for j in range(i + 1, last + 1):
            if grams[j] <= grams[anchor]:
                anchor = j
    elif grams[last] <= grams[anchor]:
        anchor = last
    return anchor


@inline
def _name(h):
    """The hash that goes by the name of an anchor: those chosen are small, and partitions want them spread evenly."""
    return mix64(h ^ _BASE)


@inline
def _longest(offsets):
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return longest


@kernel
def _anchors(data, offsets, words, length, gram, values, bounds):
    longest = _longest(offsets)
    room = (longest + 1) // 2 if words else longest
    sums, grams = np.empty(room + 1, np.uint64), np.empty(room, np.uint64)
    starts, ends = np.empty(room if words else 0, np.uint32), np.empty(room if words else 0, np.uint32)
    power, width, top = _power(gram), length - gram + 1, 0
    for d in range(len(offsets) - 1):
        n = _sums(data, offsets[d], offsets[d + 1], words, sums, starts, ends)
        for i in range(n - gram + 1):
            grams[i] = _hash(sums, i, gram, power)
        anchor, bottom = -1, top
        for i in range(n - length + 1):
            found = _anchor(grams, i, width, anchor)
            if found != anchor:
                anchor = found
                h = _name(grams[anchor])  # a text that repeats itself has one anchor many times; twice is enough
                if top - bottom < 2 or values[top - 1] != h or values[top - 2] != h:
                    values[top] = h
                    top += 1
        bounds[d + 1] = top


def anchors(texts: pa.Array | pa.ChunkedArray, words: bool, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64[m], offsets int64[n + 1]): document i has the anchors hashes[offsets[i]:offsets[i + 1]].

    Units are words or, where not `words`, bytes. An anchor that occurs more than once in a row is given twice. A
    document of fewer than `length` units has none. Raises ValueError for a document of 4 GiB or more.
    """
    data, offsets = _buffers(texts)
    sizes = np.diff(offsets)
    room = int(((sizes + 1) // 2 if words else sizes).sum())  # pages of memory that nothing is written to stay unmapped
    values, bounds = np.empty(room, np.uint64), np.zeros(len(offsets), np.int64)
    _anchors(data, offsets, words, length, gram_of(length), values, bounds)
    return values[: bounds[-1]].copy(), bounds


def _buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = text_buffers(texts)
    if len(offsets) > 1 and np.diff(offsets).max() >= MAX_BYTES:
        raise ValueError("a document of 4 GiB or more: repeats are found in smaller ones only")
    return data, offsets


@inline
def _among(values, wanted):
    """Whether ascending `values` hold `wanted`."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < len(values) and values[low] == wanted


@kernel
def _windows(data, offsets, rows, words, length, gram, repeated, partitions, first, last, out):
    longest = _longest(offsets)
    room = (longest + 1) // 2 if words else longest
    sums, grams = np.empty(room + 1, np.uint64), np.empty(room, np.uint64)
    starts, ends = np.empty(room if words else 0, np.uint32), np.empty(room if words else 0, np.uint32)
    gram_power, power, width, top = _power(gram), _power(length), length - gram + 1, 0
    for d in rows:
        n = _sums(data, offsets[d], offsets[d + 1], words, sums, starts, ends)
        for i in range(n - gram + 1):
            grams[i] = _hash(sums, i, gram, gram_power)
        anchor, taken, partition = -1, False, int64(0)
        for i in range(n - length + 1):
            found = _anchor(grams, i, width, anchor)
            if found != anchor:
                anchor = found
                h = _name(grams[anchor])
                partition = int64(((h >> uint64(32)) * uint64(partitions)) >> uint64(32))
                taken = first <= partition < last and _among(repeated, h)
            if taken:
                window = out[top]
                window.hash = _hash(sums, i, length, power)
                window.document, window.unit, window.partition = uint32(d), uint32(i), uint32(partition)
                window.start = starts[i] if words else uint32(i)
                window.end = ends[i + length - 1] if words else uint32(i + length)
                top += 1
    return top


def windows(
    texts: pa.Array | pa.ChunkedArray,
    rows: np.ndarray,
    words: bool,
    length: int,
    repeated: np.ndarray,
    partitions: int = 1,
    wanted: tuple[int, int] | None = None,
) -> np.ndarray:
    """WINDOW[q]: every window of the documents `rows` (int64[k]) whose anchor is one of `repeated`, row by row.

    `repeated` uint64[r], ascending; `words` and `length` as they were for `anchors`. A window's partition is that of
    its anchor, of `partitions` as `candidates.partition_of` cuts them; `wanted` = (first, last) leaves out those below
    `first` and from `last` on.
    """
    data, offsets = _buffers(texts)
    first, last = wanted or (0, partitions)
    sizes = np.diff(offsets)[rows]
    out = np.empty(int(((sizes + 1) // 2 if words else sizes).sum()), WINDOW)
    rows = np.asarray(rows, np.int64)
    top = _windows(data, offsets, rows, words, length, gram_of(length), repeated, partitions, first, last, out)
    return out[:top].view(np.uint64).copy().view(WINDOW)  # as numbers: records are copied field by field
