"""Text as exact hashes see it: what is only spelling made one, in a compiled pass.

Two forms, each a function of the text's canonical decomposition (NFD), so that `é` and `e` with a combining accent are
one, as they would be under NFC:

    text    lower case; any run of white space is one space, none at the ends
    ccnet   besides: digits are 0; punctuation, accents, control and invisible characters are out

`ccnet` is what the paper of CCNet says of its paragraphs (Wenzek and others 2020, section 3.1); the code published with
it is milder: it leaves accents and ASCII's punctuation. Accents are the combining marks with a combining class; the
vowel signs of Indic scripts have none, are letters, and stay. Symbols (`<`, `+`, `$`) stay too.

The idea: a table says of each code point what it becomes; ASCII takes one look into a short table and no branch. Marks
are put in canonical order, 32 of them at a time: natural text has a few on one letter, Unicode's stream-safe format
allows 30, and a text made of millions costs no more than any other.

The trade-off: lower-casing is a matter of single characters, and a final sigma is a sigma; the tables are those of the
interpreter's Unicode.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numba import int64, uint8, uint16, uint32, uint64

from ..document import text_buffers
from ..text import decode, inline, kernel

Form = Literal["text", "ccnet"]

GROWTH = 3  # bytes that one byte becomes at most
MOST_MARKS = 32

# An entry of the table: a code point, above it (from bit 21) its combining class, or one of these
POINT, CLASS = np.uint32(0x1FFFFF), np.uint32(21)
SEVERAL = np.uint32(1 << 29)  # the rest: where in `sequences` its length and its entries stand
SPACE, DROP = np.uint32(0xFFFFFFFE), np.uint32(0xFFFFFFFF)
# Of the short table: a byte, or one of these bits (what is blank has the byte of a space)
PASSED, BLANK = np.uint16(0x100), np.uint16(0x200)


class Table(NamedTuple):
    """What each code point becomes in one form."""

    entries: np.ndarray  # uint32[0x110000]
    sequences: np.ndarray  # uint32[k]
    ascii: np.ndarray  # uint16[128]


@cache
def table_of(form: Form) -> Table:
    """The table of a form, built from the interpreter's own Unicode data once a process, in under a second."""
    points = np.arange(1, sys.maxunicode + 1, dtype=np.uint32)
    points = points[(points < 0xD800) | (points > 0xDFFF)]  # surrogates are no characters and never in UTF-8
    spaced = np.zeros(2 * len(points), np.uint32)  # a NUL between any two: they cannot join, a sigma is never final
    spaced[0::2] = points
    text = unicodedata.normalize("NFD", spaced.tobytes().decode("utf-32-le")).lower().replace("ς", "σ")
    became = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    lengths = np.diff(np.flatnonzero(became == 0), prepend=-1) - 1
    text = text.replace("\0", "")
    values = became[became != 0]

    classes = np.fromiter(map(unicodedata.combining, text), np.uint32, len(text))
    entries = values | (classes << CLASS)
    if form == "ccnet":
        kinds = np.array([*map(unicodedata.category, text)])
        entries[kinds == "Nd"] = ord("0")
        punctuation = kinds.astype("U1") == "P"
        entries[(classes > 0) | punctuation | (kinds == "Cc") | (kinds == "Cf")] = DROP
    entries[np.fromiter(map(str.isspace, text), bool, len(text))] = SPACE

    kept = entries != DROP
    sizes = np.add.reduceat(kept, np.cumsum(lengths) - lengths, dtype=np.int64)
    entries, starts = entries[kept], np.cumsum(sizes) - sizes
    table = np.full(sys.maxunicode + 1, DROP, np.uint32)
    table[0] = DROP if form == "ccnet" else 0
    table[points[sizes == 1]] = entries[starts[sizes == 1]]
    sequences: list[int] = []
    for point, start, size in zip(points[sizes > 1], starts[sizes > 1], sizes[sizes > 1], strict=True):
        table[point] = SEVERAL | np.uint32(len(sequences))
        sequences += [size, *entries[start : start + size]]
    blank = np.uint16(BLANK | 32)
    short = np.where(table[:128] == DROP, PASSED, np.where(table[:128] == SPACE, blank, table[:128]))
    made = Table(table, np.array(sequences, np.uint32), short.astype(np.uint16))
    for array in made:
        array.flags.writeable = False
    return made


# -- the compiled part -----------------------------------------------------------------------------------------------


@inline
def _put(out, n, point):
    """Write a code point as UTF-8 at out[n]: where the next one goes."""
    if point < uint32(0x80):
        out[n] = uint8(point)
        return n + 1
    if point < uint32(0x800):
        out[n] = uint8(uint32(0xC0) | (point >> uint32(6)))
        n += 1
    else:
        if point < uint32(0x10000):
            out[n] = uint8(uint32(0xE0) | (point >> uint32(12)))
            n += 1
        else:
            out[n] = uint8(uint32(0xF0) | (point >> uint32(18)))
            out[n + 1] = uint8(uint32(0x80) | ((point >> uint32(12)) & uint32(0x3F)))
            n += 2
        out[n] = uint8(uint32(0x80) | ((point >> uint32(6)) & uint32(0x3F)))
        n += 1
    out[n] = uint8(uint32(0x80) | (point & uint32(0x3F)))
    return n + 1


@kernel
def _put_marks(out, n, marks, held):
    """Write the first `held` of `marks` (entries) in order of their classes, equal ones as they came."""
    for i in range(1, held):
        entry = marks[i]
        j = i
        while j > 0 and (marks[j - 1] >> CLASS) > (entry >> CLASS):
            marks[j] = marks[j - 1]
            j -= 1
        marks[j] = entry
    for i in range(held):
        n = _put(out, n, marks[i] & POINT)
    return n


@kernel
def normalise_span(data, start, end, table, marks, out, n):
    """Write data[start:end], normalised, to `out` from `n`: where it ends.

    `out` needs room for GROWTH times the bytes and one more; `marks` uint32[MOST_MARKS] is scratch.
    """
    begin, at, held = n, start, 0
    after = BLANK  # is a space here one too many? At the beginning it is
    while at < end:
        if data[at] < 0x80:
            if held:
                n = _put_marks(out, n, marks, held)
                held = 0
            here, stop, to = uint64(at), uint64(end), uint64(n)  # an unsigned index needs no look at its sign
            while here < stop and data[here] < 0x80:
                entry = table.ascii[data[here]]
                here += uint64(1)
                out[to] = uint8(entry & uint16(0xFF))
                to += uint64((entry & (PASSED | after)) == 0)
                after = (entry & BLANK) | (after & (uint16(0) - ((entry & PASSED) >> uint16(8))))
            at, n = int64(here), int64(to)
            continue
        point, at = decode(data, at)
        found = table.entries[point]
        first, count = int64(0), int64(1)
        if found < SPACE and found & SEVERAL:
            first = int64(found & ~SEVERAL) + 1
            count = int64(table.sequences[first - 1])
        for k in range(first, first + count):
            if first:
                found = table.sequences[k]
            if found == DROP:
                continue
            if found < SPACE and found >> CLASS:
                if held == MOST_MARKS:
                    n = _put_marks(out, n, marks, held)
                    held = 0
                marks[held] = found
                held += 1
                after = uint16(0)
                continue
            if held:
                n = _put_marks(out, n, marks, held)
                held = 0
            if found == SPACE:
                out[n] = uint8(32)
                n += int64(after == 0)
                after = BLANK
            else:
                n = _put(out, n, found)
                after = uint16(0)
    if held:
        n = _put_marks(out, n, marks, held)
    if n > begin and out[n - 1] == 32:
        n -= 1
    return n


@kernel
def _normalise(data, offsets, table, out, ends):
    marks = np.empty(MOST_MARKS, np.uint32)
    n = 0
    ends[0] = 0
    for i in range(len(offsets) - 1):
        n = normalise_span(data, offsets[i], offsets[i + 1], table, marks, out, n)
        ends[i + 1] = n


def normalised(texts: pa.Array | pa.ChunkedArray, form: Form) -> pa.Array:
    """large_string[n]: each text in its form; a null becomes empty.

    It reserves GROWTH times the bytes of the batch and touches about as many as there are. `texts` must be valid UTF-8.
    """
    data, offsets = text_buffers(texts)
    out = np.empty(GROWTH * int(offsets[-1] - offsets[0]) + 1, np.uint8)
    ends = np.empty(len(offsets), np.int64)
    _normalise(data, offsets, table_of(form), out, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)
