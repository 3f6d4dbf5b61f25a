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

LOWERED = 0x1E944  # no letter from here on has a small form
FINAL_SIGMA, SIGMA = 0x3C2, 0x3C3
DOTTED_I = 0x130  # its small form is two characters: i and a combining dot, U+0307
MOST_GROUPS = 64


class Automaton(NamedTuple):
    """Phrases as kernels take them: S states, C kinds of bytes, P phrases."""

    columns: np.ndarray  # uint8[256] or uint16[256]: a byte's column in `moves`
    moves: np.ndarray  # int32[S, C]: the next state; 0 is the beginning
    groups: np.ndarray  # uint64[S]: bits of the groups of all phrases that end here
    phrase: np.ndarray  # int32[S]: the longest phrase that ends here, or -1
    shorter: np.ndarray  # int32[S]: the state of the next shorter phrase that ends here, or 0
    lengths: np.ndarray  # int64[P]: bytes


def lower(text: str) -> str:
    """`text` in small letters as the kernels see it."""
    return text.lower().replace("ς", "σ")


def automaton(phrases: Sequence[str], groups: Sequence[int] | None = None) -> Automaton:
    """The automaton of `phrases`, none of them empty; `groups` gives each a number below 64, by default 0."""
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
    return Automaton(columns, moves, bits, phrase, shorter, np.array([len(w) for w in spelled], np.int64))


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
    columns, moves, groups = words.columns, words.moves, words.groups
    found = uint64(0)
    state = 0
    i = start
    while i < end:
        c = data[i]
        if c < 0x80:
            if 65 <= c <= 90:
                c += 32
            state = moves[state, columns[c]]
            found |= groups[state]
            i += 1
            continue
        _, after = decode(data, i)
        n = lower_bytes(data, i, after, small, spelled)
        for k in range(n):
            state = moves[state, columns[spelled[k]]]
            found |= groups[state]
        i = after
    return found
