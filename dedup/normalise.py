"""Text to words: lower-cased UTF-8 with spaces between the words, and where the words begin and end.

The idea: what deduplication takes for the words of a text is exactly what Python says,

    re.findall(r"\\w+", text.lower())        alphanumeric words, the default
    text.lower().split()                     words between white space

or the same without `lower()`, and no Python object is made of any of them. A document is copied once, lower-cased and
with a space for each character that is in no word: eight bytes at a time where they are ASCII, by arithmetic on all
eight at once (Lamport, "Multiple byte processing with full-word instructions", 1975), elsewhere character by character
through a table. The words are then found 64 bytes at a time, as the edges of a mask of 64 bits (as simdjson finds its
structure: Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019).

Tables come from the interpreter's own Unicode data. Lower case that no table of characters gives: U+0130 becomes two
characters, and a capital sigma is final or not by its surroundings.

The trade-off: a copy of the longest document of a batch is held, one and a half times its size.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import int64, uint32, uint64

from ..text import decode, inline, kernel, load64, store32, store64, trailing_zeros

PAD = 128  # bytes of room behind a normalised text: a block of 64, and a load or store of 8 at its end

SIGMA, DOTTED_I = 0x3A3, 0x130  # the two characters that `str.lower()` does not treat one by one
NOT_HERE = np.uint32(0xFFFFFFFF)  # in the table: look at the character itself
CASED, IGNORABLE = 1, 2  # of `cased`

LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
HIGH = np.uint64(0x8080808080808080)
SPACES = np.uint64(0x2020202020202020)
GATHER = np.uint64(0x0102040810204080)  # times a word with bits 0, 8, 16 ...: these eight, in its top byte


class Rule(NamedTuple):
    """How a text becomes words, as the kernels take it (see `rule`)."""

    lower: bool
    alphanumeric: bool  # words are runs of `\\w`; else what stands between white space
    utf8: (
        np.ndarray
    )  # uint32[0x110000]: the normalised character in UTF-8, its first byte lowest; a space outside words
    cased: np.ndarray  # uint8[0x110000]: CASED or IGNORABLE where the character before or behind a sigma is asked for


@cache
def rule(lower: bool, alphanumeric: bool) -> Rule:
    """The tables of one way to normalise; made once, in some 40 ms."""
    points = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    valid = (points < 0xD800) | (points > 0xDFFF)  # surrogates are no characters and never in UTF-8
    text = points[valid].tobytes().decode("utf-32-le")
    word = np.zeros(len(text), bool)
    for found in re.finditer(r"\w+" if alphanumeric else r"\S+", text):  # `\s` is exactly str.isspace()
        word[found.start() : found.end()] = True
    lowered = points.copy()
    cased = np.zeros(0, np.uint8)
    if lower:
        cased = _cased()
        some = _with_case()
        lowered[some] = _lowered(some)
    kept = np.zeros(len(points), bool)
    kept[valid] = word
    utf8 = _utf8(np.where(kept[lowered], lowered, np.uint32(0x20)))
    if lower:
        utf8[[SIGMA, DOTTED_I]] = NOT_HERE
    for table in (utf8, cased):
        table.flags.writeable = False
    return Rule(lower, alphanumeric, utf8, cased)


def _with_case() -> np.ndarray:
    """uint32: the characters that may have case or stand between those that do: planes 0, 1 and 14."""
    return np.r_[1:0xD800, 0xE000:0x20000, 0xE0000:0xE1000].astype(np.uint32)


def _lowered(points: np.ndarray) -> np.ndarray:
    """uint32[n]: lower case of each character alone, in one call: a NUL stands between any two.

    With no letter before it a sigma is never final. Of what becomes two characters, the first.
    """
    spaced = np.zeros(2 * len(points), np.uint32)
    spaced[0::2] = points
    found = np.frombuffer(spaced.tobytes().decode("utf-32-le").lower().encode("utf-32-le"), np.uint32)
    return found[np.r_[0, np.flatnonzero(found == 0)[:-1] + 1]]


def _cased() -> np.ndarray:
    """uint8[0x110000]: what each character is to a sigma, found by asking `str.lower()`.

    A sigma is final behind a cased letter, of which case-ignorable characters may follow, and not before one (Unicode,
    section 3.13, Final_Sigma). So behind "A" and an ignorable character it is final, behind that character alone not.
    """
    points = _with_case()
    final = []
    for first in ("A", "\0"):
        asked = np.full((len(points), 4), [ord(first), 0, SIGMA, 1], np.uint32)  # U+0001: neither cased nor ignorable
        asked[:, 1] = points
        asked[points == 1, 1] = 0
        found = np.frombuffer(asked.tobytes().decode("utf-32-le").lower().encode("utf-32-le"), np.uint32)
        final.append(found[np.flatnonzero(found == 1) - 1] == 0x3C2)
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    table[points] = np.where(final[1], CASED, np.where(final[0], IGNORABLE, 0))
    return table


def _utf8(points: np.ndarray) -> np.ndarray:
    """uint32[n]: the UTF-8 of each code point, its first byte lowest."""
    low = [points >> (6 * i) & 0x3F | 0x80 for i in range(3)]
    two = (points >> 6 | 0xC0) | low[0] << 8
    three = (points >> 12 | 0xE0) | low[1] << 8 | low[0] << 16
    four = (points >> 18 | 0xF0) | low[2] << 8 | low[1] << 16 | low[0] << 24
    return np.select([points < 0x80, points < 0x800, points < 0x10000], [points, two, three], four).astype(np.uint32)


@inline
def _normalised8(x, lower, alphanumeric):
    """Eight ASCII characters at once. Sums of bytes below 0x80 cannot carry; the high bit of each tells."""
    y = x | SPACES
    letter = (y + uint64(0x1F1F1F1F1F1F1F1F)) & ~(y + uint64(0x0505050505050505)) & HIGH
    if alphanumeric:
        digit = (x + uint64(0x5050505050505050)) & ~(x + uint64(0x4646464646464646))
        underscore = ~((x ^ uint64(0x5F5F5F5F5F5F5F5F)) + LOW7)
        word = letter | ((digit | underscore) & HIGH)
    else:
        tab_to_return = (x + uint64(0x7777777777777777)) & ~(x + uint64(0x7272727272727272))
        fs_to_space = (x + uint64(0x6464646464646464)) & ~(x + uint64(0x5F5F5F5F5F5F5F5F))
        word = ~(tab_to_return | fs_to_space) & HIGH
    if lower:
        x |= letter >> uint64(2)
    mask = word | (word - (word >> uint64(7)))
    return (x & mask) | (SPACES & ~mask)


@inline
def width(first):
    """Bytes of a character in UTF-8 by its first one."""
    return 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)


@kernel
def _final(data, start, i, end, cased):
    """Whether the sigma at data[i], of the document data[start:end], is final: the rule of `_cased`."""
    j = i
    found = 0
    while j > start:
        j -= 1
        while (data[j] & 0xC0) == 0x80:
            j -= 1
        found = cased[decode(data, j)[0]]
        if found != IGNORABLE:
            break
    if found != CASED:
        return False
    j = i + 2
    while j < end:
        c, j = decode(data, j)
        if cased[c] != IGNORABLE:
            return cased[c] != CASED
    return True


@kernel
def normalise(data, start, end, rule, out):
    """The document data[start:end] into the front of `out`: its length, a space at its end included.

    `out` uint8 has room for `room(end - start)` bytes; those behind the length are spaces, PAD - 8 of them at least.
    """
    i, p = start, 0
    while i < end:
        stop = end
        if i + 8 <= end:
            x = load64(data, i)
            if x & HIGH == uint64(0):
                store64(out, p, _normalised8(x, rule.lower, rule.alphanumeric))
                i += 8
                p += 8
                continue
            stop = i + 8
        while i < stop:
            c, following = decode(data, i)
            v = rule.utf8[c]
            size = width(v & uint32(0xFF))
            if v == NOT_HERE:
                if c == SIGMA:
                    v, size = uint32(0x82CF if _final(data, start, i, end, rule.cased) else 0x83CF), 2
                elif rule.alphanumeric:
                    v, size = uint32(0x2069), 2  # i and U+0307, which is no `\w`
                else:
                    v, size = uint32(0x87CC69), 3
            store32(out, p, v)
            p += size
            i = following
    out[p : p + PAD - 8] = 0x20
    return p + 1


def room(longest: int) -> int:
    """Bytes that a normalised document of at most `longest` bytes may take: two may become three."""
    return longest + longest // 2 + PAD


@kernel
def find_words(text, length, at, inside, edges, held):
    """Where words begin and end, one after the other, into edges[held:]: (edges held, where to go on, inside a word).

    `text` as `normalise` left it. Goes on block by block until `edges` (int64) has no room for another, or to the end;
    begin with at = 0 and inside = 0. At the end all words have both their edges.
    """
    while at < length and held + 64 <= len(edges):
        mask = uint64(0)
        for part in range(8):
            x = load64(text, at + 8 * part) ^ SPACES
            word = (((x & LOW7) + LOW7) | x) & HIGH
            mask |= (((word >> uint64(7)) * GATHER) >> uint64(56)) << uint64(8 * part)
        change = mask ^ ((mask << uint64(1)) | inside)
        inside = mask >> uint64(63)
        while change != uint64(0):
            edges[held] = at + trailing_zeros(change)
            held += 1
            change &= change - uint64(1)
        at += 64
    return held, at, inside


@kernel
def join(text, length, edges, out):
    """The words of a normalised text with one space between any two, into `out`: its length, with one space behind.

    `edges` int64[64 or more] is overwritten. `out` has the room of `text`, and is padded as `normalise` pads it.
    """
    at, inside, held, p = 0, uint64(0), 0, 0
    while at < length:
        held, at, inside = find_words(text, length, at, inside, edges, held)
        for word in range(held // 2):
            start, end = edges[2 * word], edges[2 * word + 1]
            for i in range(start, end, 8):
                store64(out, p + i - start, load64(text, i))
            p += end - start + 1
            out[p - 1] = 0x20
        if held % 2:
            edges[0] = edges[held - 1]
        held %= 2
    p = max(p, 1)
    out[p - 1 : p - 1 + PAD - 8] = 0x20
    return p


@kernel
def find_characters(text, length, at, edges, held):
    """As `find_words`, of the characters of a joined text: (edges held, where to go on). Its last space is none."""
    while at < length - 1 and held + 2 <= len(edges):
        edges[held] = at
        at += width(text[at])
        edges[held + 1] = at
        held += 2
    if at >= length - 1:
        at = length
    return held, int64(at)
