"""Any number of phrases found in one pass over a text, capitals and small letters alike.

Aho and Corasick 1975 (doi:10.1145/360825.360855) as a table: a state is the longest beginning of a phrase that the text
ends in, and a byte of text is one look-up, however many phrases there are. The table has a row a state and a column for
each byte that occurs in a phrase; one more stands for all other bytes. Ten thousand phrases take some 30 MB.

Letters are lowered one by one, as `str.lower` does it, but for the Greek final sigma, which is taken for the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import uint8, uint32, uint64

from ...text import decode, inline, kernel
from .lines import BREAK, SPACE, WORD, line_kinds, scan_line

LOWERED = 0x1E944  # no letter from here on has a small form
FINAL_SIGMA, SIGMA = 0x3C2, 0x3C3
DOTTED_I = 0x130  # its small form is two characters: i and a combining dot, U+0307
MOST_PLACES = 1 << 30  # twice a place is a 32-bit number


class Automaton(NamedTuple):
    """Phrases as kernels take them: S states, C kinds of bytes, P phrases."""

    columns: np.ndarray  # uint16[256]: a byte's column
    moves: np.ndarray  # int32[S * C]: the next place, 2 * C * (the next state), and 1 more if a phrase ends there
    width: int  # C
    groups: np.ndarray  # uint64[S]: bits of the groups of all phrases that end here
    phrase: np.ndarray  # int32[S]: the longest phrase that ends here, or -1
    shorter: np.ndarray  # int32[S]: the state of the next shorter phrase that ends here, or 0
    lengths: np.ndarray  # int64[P]: bytes


def lower(text: str) -> str:
    """`text` in small letters as the kernels see it."""
    return text.lower().replace("ς", "σ")


def automaton(phrases: Sequence[str], groups: Sequence[int] | None = None) -> Automaton:
    """The automaton of `phrases`, none of them empty; `groups` gives each a number below 64, by default 0.

    Raises ValueError for an empty phrase, and for so many that the table would pass 2^30 places (4 GB).
    """
    spelled = [lower(phrase).encode() for phrase in phrases]
    if not all(spelled):
        raise ValueError("an empty phrase is in every text")
    used = sorted(set(b"".join(spelled)))
    columns = np.zeros(256, np.uint16)
    columns[used] = np.arange(1, len(used) + 1)

    edges: list[dict[int, int]] = [{}]  # the phrases as a tree of their beginnings
    ends: dict[int, int] = {}
    mask = [0]
    for number, word in enumerate(spelled):
        state = 0
        for byte in word:
            column = int(columns[byte])
            if column not in edges[state]:
                edges[state][column] = len(edges)
                edges.append({})
                mask.append(0)
            state = edges[state][column]
        ends.setdefault(state, number)
        mask[state] |= 1 << (groups[number] if groups is not None else 0)

    if len(edges) * (len(used) + 1) >= MOST_PLACES:
        raise ValueError(f"{len(phrases):,} phrases of {len(edges):,} characters are more than one table can hold")
    moves = np.zeros((len(edges), len(used) + 1), np.int32)
    bits = np.array(mask, np.uint64)
    phrase = np.full(len(edges), -1, np.int32)
    phrase[list(ends)] = list(ends.values())
    shorter = np.zeros(len(edges), np.int32)
    level = [(0, 0)]  # (state, the longest other state that its text ends in)
    while level:
        below = []
        for state, other in level:
            if state:
                moves[state] = moves[other]
                bits[state] |= bits[other]
                shorter[state] = other if phrase[other] >= 0 else shorter[other]
            for column, child in edges[state].items():
                below.append((child, int(moves[other, column]) if state else 0))
                moves[state, column] = child
        level = below
    width = len(used) + 1
    places = (2 * width * moves + (bits[moves] != 0)).astype(np.int32).ravel()
    lengths = np.array([len(word) for word in spelled], np.int64)
    return Automaton(columns, places, width, bits, phrase, shorter, lengths)


@inline
def follow(words, place, byte):
    """The place in an Automaton after one more byte; odd if a phrase ends with it. 0 is the beginning."""
    return words.moves[(place >> 1) + words.columns[byte]]


@inline
def state_at(words, place):
    """The state of a place."""
    return (place >> 1) // words.width


@cache
def lowered() -> np.ndarray:
    """uint32[LOWERED]: the small form of each code point; of U+0130, which has two characters, the first."""
    table = np.arange(LOWERED, dtype=np.uint32)
    for c in range(LOWERED):
        if not 0xD800 <= c < 0xE000:
            table[c] = ord(chr(c).lower()[0])
    table[FINAL_SIGMA] = SIGMA
    table.setflags(write=False)
    return table


@inline
def encode(out, n, c):
    """Write the code point c at out[n:]; the index after it."""
    if c < 0x80:
        out[n] = uint8(c)
        return n + 1
    if c < 0x800:
        out[n] = uint8(0xC0 | (c >> 6))
        out[n + 1] = uint8(0x80 | (c & 0x3F))
        return n + 2
    if c < 0x10000:
        out[n] = uint8(0xE0 | (c >> 12))
        out[n + 1] = uint8(0x80 | ((c >> 6) & 0x3F))
        out[n + 2] = uint8(0x80 | (c & 0x3F))
        return n + 3
    out[n] = uint8(0xF0 | (c >> 18))
    out[n + 1] = uint8(0x80 | ((c >> 12) & 0x3F))
    out[n + 2] = uint8(0x80 | ((c >> 6) & 0x3F))
    out[n + 3] = uint8(0x80 | (c & 0x3F))
    return n + 4


@kernel
def lower_bytes(data, start, end, small, out):
    """data[start:end] in small letters into `out`, which has room for twice as many bytes; how many it wrote."""
    n = 0
    i = start
    while i < end:
        c = data[i]
        if c < 0x80:
            out[n] = c + 32 if 65 <= c <= 90 else c
            n += 1
            i += 1
            continue
        point, after = decode(data, i)
        low = small[point] if point < LOWERED else point
        if low != point:
            n = encode(out, n, low)
            if point == DOTTED_I:
                n = encode(out, n, uint32(0x307))
            i = after
        else:
            while i < after:
                out[n] = data[i]
                n += 1
                i += 1
    return n


@kernel
def groups_in(data, start, end, words, small, spelled):
    """uint64: bits of the groups whose phrases occur in data[start:end], capitals or not.

    `words` is an Automaton, `small` the table `lowered`, `spelled` scratch of 8 bytes.
    """
    found = uint64(0)
    place = 0
    i = start
    while i < end:
        c = data[i]
        if c < 0x80:
            if 65 <= c <= 90:
                c += 32
            place = follow(words, place, c)
            if place & 1:
                found |= words.groups[state_at(words, place)]
            i += 1
            continue
        _, after = decode(data, i)
        n = lower_bytes(data, i, after, small, spelled)
        for k in range(n):
            place = follow(words, place, spelled[k])
            if place & 1:
                found |= words.groups[state_at(words, place)]
        i = after
    return found


# -- phrases of a document ---------------------------------------------------------------------------------------------

ANYWHERE, NO_WORD, NO_LATIN, BLANK = range(4)  # what must stand on both sides of a phrase
NOTED = 10  # phrases found in a document that are noted


def count_phrases(
    data: np.ndarray, offsets: np.ndarray, active: np.ndarray, words: Automaton, beside: int
) -> tuple[np.ndarray, np.ndarray]:
    """(occurrences int64[n], found int64[k, 2]) in the `active` (bool[n]) of n texts (`document.text_buffers`).

    An occurrence is a place and a phrase; they may overlap. `found` has row and phrase of the first ten of each text.
    `beside`: ANYWHERE asks nothing; NO_WORD that no letter, digit or underscore stands beside the phrase; NO_LATIN that
    a character other than a to z does, so that the ends of the text do not count; BLANK that white space or an end of
    the text does, where any white space inside a phrase is as good as any other.
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    return counts, _count_phrases(data, offsets, active, words, lowered(), line_kinds(), beside, counts)


@kernel
def _beside(text, start, end, n, table, beside):
    """May a phrase stand at text[start:end] of n bytes?"""
    if beside == ANYWHERE:
        return True
    if beside == NO_LATIN:
        return start > 0 and end < n and not 97 <= text[start - 1] <= 122 and not 97 <= text[end] <= 122
    bit = WORD if beside == NO_WORD else SPACE
    before, after = beside == BLANK, beside == BLANK
    if start > 0:
        p = start - 1
        while p > 0 and (text[p] & 0xC0) == 0x80:
            p -= 1
        c, _ = decode(text, p)
        before = (table[c] & bit) != 0
    if end < n:
        c, _ = decode(text, end)
        after = (table[c] & bit) != 0
    return (before and after) if beside == BLANK else not (before or after)


@kernel
def _one_blank(text, n, table):
    """Make every run of white space in text[:n] one blank, in place; the bytes left."""
    out, i = 0, 0
    blank = False
    while i < n:
        c, after = decode(text, i)
        if table[c] & SPACE:
            if not blank:
                text[out] = 32
                out += 1
            blank = True
        else:
            blank = False
            for k in range(i, after):
                text[out] = text[k]
                out += 1
        i = after
    return out


@kernel
def _count_phrases(data, offsets, active, words, small, table, beside, counts):
    phrase, shorter, lengths = words.phrase, words.shorter, words.lengths
    longest = 0
    for d in range(len(counts)):
        longest = max(longest, offsets[d + 1] - offsets[d])
    text = np.empty(2 * longest, np.uint8)
    found = np.empty((64, 2), np.int64)
    k = 0
    for d in range(len(counts)):
        if not active[d]:
            continue
        n = lower_bytes(data, offsets[d], offsets[d + 1], small, text)
        if beside == BLANK:
            n = _one_blank(text, n, table)
        place = 0
        for i in range(n):
            place = follow(words, place, text[i])
            if not place & 1:
                continue
            state = state_at(words, place)
            s = state if phrase[state] >= 0 else shorter[state]
            while s:
                if _beside(text, i + 1 - lengths[phrase[s]], i + 1, n, table, beside):
                    counts[d] += 1
                    if counts[d] <= NOTED:
                        if k == len(found):
                            wider = np.empty((2 * k, 2), np.int64)
                            wider[:k] = found
                            found = wider
                        found[k, 0], found[k, 1] = d, phrase[s]
                        k += 1
                s = shorter[s]
    return found[:k].copy()


def lines_with(
    data: np.ndarray, offsets: np.ndarray, active: np.ndarray, words: Automaton
) -> tuple[np.ndarray, np.ndarray]:
    """(lines with a phrase, lines that are not blank), int64[n] each, of the `active` (bool[n]) of n texts."""
    found, lines = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, np.int64)
    _lines_with(data, offsets, active, words, lowered(), line_kinds(), found, lines)
    return found, lines


@kernel
def _lines_with(data, offsets, active, words, small, table, found, lines):
    spelled = np.empty(8, np.uint8)
    for d in range(len(found)):
        if not active[d]:
            continue
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            first, last, i, n, _, _, _ = scan_line(data, i, stop, table, BREAK)
            if n:
                lines[d] += 1
                found[d] += groups_in(data, first, last, words, small, spelled) != 0
