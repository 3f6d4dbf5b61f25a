"""Words as decontamination compares them: what case, accents, punctuation, spacing and Unicode's spellings hide, gone.

A character becomes what is left of its compatibility decomposition after case folding (`fold`): `É`, `é` and `e` with
a combining accent are all `e`, `ﬁ` is `fi`, a full-width letter is the plain one. Combining marks and invisible
characters (zero-width, soft hyphen) are passed over; letters and digits make up words; whatever else stands between
words. In scripts written without spaces each letter is a word. The map goes character by character, without context, so
that a compiled scan can follow it with one look into a table.

Punctuation inside a word has no right answer: "don't", "dont" and "don t", "well-known" and "wellknown", "2,000" and
"2000" all occur for one another. So a text has three readings. Documents are read the first way alone, evaluation items
all three ways, and an n-gram of any of them counts:

    PLAIN   apostrophes are passed over, other punctuation separates    dont   well known   2 000
    SPLIT   all punctuation separates                                   don t  well known   2 000
    JOINED  all punctuation is passed over, only space separates        dont   wellknown    2000
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import int64, uint32, uint64

from ...text import decode, inline, kernel, mix64

PLAIN, SPLIT, JOINED = range(3)
APOSTROPHES = frozenset("'’‘‛ʼʹ`´′＇")
# Scripts without spaces: Thai, Lao, Myanmar, Khmer, kana, Han
UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF))
UNSPACED += ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))

CODE_POINTS = 0x110000
# What the table says of a code point: below ALONE a letter of a word; with that bit a word by itself; SEPARATE ends a
# word; PASS is nothing; with the bit SEVERAL it becomes the sequence at that place of the second array
ALONE, SEVERAL = np.uint32(1 << 24), np.uint32(1 << 25)
SEPARATE, PASS = np.uint32(0xFFFFFFFE), np.uint32(0xFFFFFFFF)
SPARE = 20  # room that `folded_words` keeps: one character becomes at most 18 entries
FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


class Folding(NamedTuple):
    """One reading: what each code point becomes."""

    table: np.ndarray  # uint32[0x110000]
    sequences: np.ndarray  # uint32[k]: a length, then so many entries, again and again


def fold(character: str) -> str:
    """What a character becomes: compatibility decomposition, case folding, no marks and no invisible characters."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Me", "Cf"))


@cache
def folding(reading: int) -> Folding:
    """The table of a reading, built from the interpreter's own Unicode data once a process."""
    table = np.full(CODE_POINTS, SEPARATE, np.uint32)
    sequences: list[int] = []
    for point in range(CODE_POINTS):
        character = chr(point)
        category = unicodedata.category(character)
        if category in ("Cn", "Cs", "Co", "Cc", "Zs", "Zl", "Zp"):
            continue
        if character in APOSTROPHES:
            table[point] = SEPARATE if reading == SPLIT else PASS
            continue
        if category == "Lo" and unicodedata.is_normalized("NFKD", character):
            table[point] = _entry(character, reading)  # most of Unicode: nothing to fold
            continue
        entries = [e for c in fold(character) if (e := _entry(c, reading)) != PASS]
        if not entries:
            table[point] = PASS
        elif len(set(entries)) == 1 and (len(entries) == 1 or entries[0] == SEPARATE):
            table[point] = entries[0]
        else:
            table[point] = SEVERAL | np.uint32(len(sequences))
            sequences += [len(entries), *entries]
    table.flags.writeable = False
    return Folding(table, np.array(sequences, np.uint32))


def _entry(folded: str, reading: int) -> np.uint32:
    point = ord(folded)
    if folded.isalnum() or unicodedata.category(folded) == "Mc":
        unspaced = any(first <= point <= last for first, last in UNSPACED) and not folded.isdigit()
        return np.uint32(point) | (ALONE if unspaced else np.uint32(0))
    return PASS if reading == JOINED and not folded.isspace() else SEPARATE


# -- the compiled part -----------------------------------------------------------------------------------------------


@inline
def _letter(h, folded):
    return (h ^ uint64(folded)) * FNV_PRIME


@kernel
def folded_words(data, start, end, table, sequences, hashes, starts, ends):
    """Hash the words of data[start:end] into the front of `hashes` uint64[m]: their number, or -1 where m is too few.

    `starts` and `ends` int64[m] take the place of each word's first byte, and of the first behind its last.
    """
    room = len(hashes) - SPARE
    n, h, inside, last = int64(0), FNV_BASIS, False, start
    at = start
    while at < end:
        here = at
        point, at = decode(data, at)
        entry = table[point]
        if entry < ALONE:
            if not inside:
                starts[n] = here
                inside = True
            h = _letter(h, entry)
            last = at
            continue
        if entry == PASS:
            continue
        if n > room:
            return int64(-1)
        if entry == SEPARATE:
            if inside:
                hashes[n], ends[n] = mix64(h), last
                n, h, inside = n + 1, FNV_BASIS, False
            continue
        first, count = int64(0), int64(1)
        if entry & SEVERAL:
            first = int64(entry & ~SEVERAL) + 1
            count = int64(sequences[first - 1])
            entry = sequences[first]
        for k in range(first, first + count):
            if k > first:
                entry = sequences[k]
            if entry >= ALONE and inside:
                hashes[n], ends[n] = mix64(h), last
                n, h, inside = n + 1, FNV_BASIS, False
            if entry < ALONE:
                if not inside:
                    starts[n] = here
                    inside = True
                h, last = _letter(h, entry), at
            elif entry != SEPARATE:
                hashes[n], starts[n], ends[n] = mix64(_letter(FNV_BASIS, entry & uint32(0x1FFFFF))), here, at
                n += 1
    if inside:
        hashes[n], ends[n] = mix64(h), last
        n += 1
    return n
