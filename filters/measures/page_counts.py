"""What NeMo Curator's rules count in a page, in one compiled pass: kinds of characters, addresses, words, lines.

Lines are those between newlines, stripped, blank ones left out; paragraphs are runs of such lines. A repeat is found by
a 64-bit hash of the bytes: n different lines are mistaken for equal with a chance of n^2 / 2^65.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import int64, uint64

from ...text import decode, inline, kernel, mix64
from .lines import DECIMAL, SPACE, last_start, line_kinds, strip_left, strip_right
from .patterns import automaton, groups_in, lowered

COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "characters",
            "plain_characters",  # letters and digits of any script, newlines and ?!,.
            "digits",
            "stripped_characters",  # without the white space around the text
            "blanks",  # of these: tab, newline, carriage return, backspace, space
            "parentheses",
            "url_characters",
            "urls",
            "blocked_urls",  # those with a word of the list in them
            "words",
            "word_characters",
            "longest_word",
            "symbol_words",  # an ellipsis, or more number signs than other characters
            "common_words",  # every occurrence
            "lines",
            "unmarked_lines",  # they end in no end mark, or in three full stops
            "bullet_lines",
            "repeated_lines",  # equal to an earlier one
            "line_characters",
            "repeated_line_characters",
            "paragraphs",
            "repeated_paragraphs",
            "paragraph_characters",
            "repeated_paragraph_characters",
            "boilerplate_paragraphs",
            "boilerplate_at_edge",  # is the first or the last paragraph one of them?
        )
    ]
)
PLAIN, PARENTHESIS, BULLET, END_MARK = (1 << b for b in range(11, 15))  # beside the bits of `lines`
PARENTHESES = "{}⟨⟩[]()"
BULLETS = "•‣⁃⁌⁍∙○●◘◦⦾⦿"
END_MARKS = ".?!\"'"
NEWLINE = 10
FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


@cache
def page_kinds() -> np.ndarray:
    """uint16[0x110000]: `line_kinds` and the bits above."""
    table = line_kinds().copy()
    every = np.arange(len(table), dtype=np.uint32).view("U1")
    table |= np.char.isalnum(every) * np.uint16(PLAIN)
    for bit, characters in ((PLAIN, "\n?!,."), (PARENTHESIS, PARENTHESES), (BULLET, BULLETS), (END_MARK, END_MARKS)):
        table[[ord(c) for c in characters]] |= np.uint16(bit)
    table.setflags(write=False)
    return table


class Tables:
    """The lists of a rule, made once: common words, words of addresses, boilerplate phrases."""

    def __init__(self, common: Sequence[str], blocked: Sequence[str], boilerplate: Sequence[str]):
        self.kinds = page_kinds()
        self.common = np.array(sorted({_hash(word.encode()) for word in common}), np.uint64)
        self.longest = max(map(len, common), default=0)
        self.blocked = automaton(blocked)
        self.boilerplate = automaton(boilerplate)


def count(data: np.ndarray, offsets: np.ndarray, active: np.ndarray, tables: Tables) -> np.ndarray:
    """COUNTS[n] of the `active` (bool[n]) of n texts (`document.text_buffers`); zeros for the others."""
    counts = np.zeros(len(offsets) - 1, COUNTS)
    lists = tables.common, tables.longest, tables.blocked, tables.boilerplate
    _count(data, offsets, active, tables.kinds, lowered(), *lists, counts)
    return counts


def _hash(word: bytes) -> int:
    h = FNV_BASIS
    for byte in word:
        h = (h ^ byte) * FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return h


@inline
def _in_url(c):
    """`[!$-_a-z]`, the characters of Curator's expression for addresses."""
    return 36 <= c <= 95 or 97 <= c <= 122 or c == 33


@kernel
def _url_end(data, i, stop):
    """The end of the address that begins at `i` with an h, or `i`."""
    if stop - i < 8 or data[i + 1] != 116 or data[i + 2] != 116 or data[i + 3] != 112:
        return i
    j = i + 4
    if data[j] == 115:
        j += 1
    if stop - j < 4 or data[j] != 58 or data[j + 1] != 47 or data[j + 2] != 47 or not _in_url(data[j + 3]):
        return i
    j += 3
    while j < stop and _in_url(data[j]):
        j += 1
    return j


@kernel
def _repeats(hashes, n, weights, keys, stamps, stamp):
    """(how many of hashes[:n] equal an earlier one, the weight of these)"""
    size = 16
    while size < 2 * n:
        size *= 2
    mask = size - 1
    repeats, weight = 0, 0
    for k in range(n):
        s = int64(hashes[k]) & mask
        while stamps[s] == stamp and keys[s] != hashes[k]:
            s = (s + 1) & mask
        if stamps[s] == stamp:
            repeats += 1
            weight += weights[k]
        keys[s], stamps[s] = hashes[k], stamp
    return repeats, weight


@kernel
def _piece(data, start, end):
    """(hash, characters) of data[start:end]."""
    h, n = uint64(FNV_BASIS), 0
    for i in range(start, end):
        h = (h ^ uint64(data[i])) * uint64(FNV_PRIME)
        n += (data[i] & 0xC0) != 0x80
    return mix64(h), n


@kernel
def _count(data, offsets, active, table, small, common, longest, blocked, boilerplate, counts):
    spelled = np.empty(8, np.uint8)
    line_hash, line_size = np.empty(64, np.uint64), np.empty(64, np.int64)
    part_hash, part_size = np.empty(64, np.uint64), np.empty(64, np.int64)  # of the paragraphs
    keys, stamps, stamp = np.empty(128, np.uint64), np.zeros(128, np.int64), 0
    for d in range(len(counts)):
        if not active[d]:
            continue
        row = counts[d]
        begin, stop = offsets[d], offsets[d + 1]
        newlines = _scan(data, begin, stop, table, small, common, longest, blocked, spelled, row)
        if newlines + 1 > len(line_hash):
            room = newlines + 1
            line_hash, line_size = np.empty(room, np.uint64), np.empty(room, np.int64)
            part_hash, part_size = np.empty(room, np.uint64), np.empty(room, np.int64)
            slots = 16
            while slots < 2 * room:
                slots *= 2
            keys, stamps, stamp = np.empty(slots, np.uint64), np.zeros(slots, np.int64), 0

        lines, parts, i = 0, 0, begin
        inside, phrase, at_first = False, False, False  # a paragraph; one with a boilerplate phrase; the first such
        while i <= stop:
            end = i
            while end < stop and data[end] != NEWLINE:
                end += 1
            first = strip_left(data, i, end, table)
            last = strip_right(data, first, end, table)
            i = end + 1
            if first == last:
                inside = False
                continue
            h, size = _piece(data, first, last)
            line_hash[lines], line_size[lines] = h, size
            lines += 1
            if inside:
                h, size = mix64(part_hash[parts - 1] * uint64(FNV_PRIME) + h), part_size[parts - 1] + 1 + size
            else:
                inside, phrase = True, False
                parts += 1
            part_hash[parts - 1], part_size[parts - 1] = h, size

            c, _ = decode(data, first)
            row.bullet_lines += (table[c] & BULLET) != 0
            c, _ = decode(data, last_start(data, first, last))
            three = last - first >= 3 and data[last - 1] == 46 and data[last - 2] == 46 and data[last - 3] == 46
            row.unmarked_lines += three or not table[c] & END_MARK
            if not phrase and groups_in(data, first, last, boilerplate, small, spelled):
                phrase = True
                row.boilerplate_paragraphs += 1
                at_first |= parts == 1
        row.boilerplate_at_edge = at_first or phrase
        row.lines, row.paragraphs = lines, parts
        row.line_characters = line_size[:lines].sum()
        row.paragraph_characters = part_size[:parts].sum()
        p = _repeats(line_hash, lines, line_size, keys, stamps, stamp + 1)
        row.repeated_lines, row.repeated_line_characters = p
        p = _repeats(part_hash, parts, part_size, keys, stamps, stamp + 2)
        row.repeated_paragraphs, row.repeated_paragraph_characters = p
        stamp += 2


@kernel
def _scan(data, begin, stop, table, small, common, longest, blocked, spelled, row):
    """Count characters, addresses and words; the newlines."""
    characters, plain, digits, blanks, parentheses, newlines = 0, 0, 0, 0, 0, 0
    words, word_characters, longest_word, word, length, signs = 0, 0, 0, begin, 0, 0
    first, last = strip_left(data, begin, stop, table), strip_right(data, begin, stop, table)
    i, url_end, before = begin, begin, SPACE
    while i <= stop:
        if i == stop:
            c, after, kind = 0, stop + 1, SPACE  # the end is as good as a space
        elif data[i] < 0x80:
            c, after, kind = int64(data[i]), i + 1, int64(table[data[i]])
        else:
            point, after = decode(data, i)
            c, kind = int64(point), int64(table[point])
        space = kind & SPACE
        plain += (kind & PLAIN) != 0
        digits += (kind & DECIMAL) != 0
        parentheses += (kind & PARENTHESIS) != 0
        newlines += c == NEWLINE
        characters += 1
        if space > before:  # a word ends
            words += 1
            word_characters += length
            longest_word = max(longest_word, length)
            if 2 * signs > length or (length <= 3 and _is_ellipsis(data, word, i)):
                row.symbol_words += 1
            if length <= longest:
                h = uint64(FNV_BASIS)
                for k in range(word, i):
                    h = (h ^ uint64(data[k])) * uint64(FNV_PRIME)
                for k in range(len(common)):
                    row.common_words += common[k] == h
        if before > space:
            word = i
        begins = before > space
        length = 1 if begins else length + 1
        signs = (0 if begins else signs) + (c == 35)
        blanks += first <= i < last and (c == 32 or c == 9 or c == NEWLINE or c == 13 or c == 8)
        if c == 104 and i >= url_end:
            url_end = _url_end(data, i, stop)
            if url_end > i:
                row.urls += 1
                row.url_characters += url_end - i
                row.blocked_urls += groups_in(data, i, url_end, blocked, small, spelled) != 0
        before = space
        i = after
    row.characters, row.plain_characters, row.digits = characters - 1, plain, digits
    row.parentheses, row.blanks = parentheses, blanks
    row.words, row.word_characters, row.longest_word = words, word_characters, longest_word
    row.stripped_characters = _piece(data, first, last)[1] if first < last else 0
    return newlines


@kernel
def _is_ellipsis(data, start, end):
    """Is data[start:end] `...` or the character for it?"""
    if end - start != 3:
        return False
    dots = data[start] == 46 and data[start + 1] == 46 and data[start + 2] == 46
    return dots or (data[start] == 0xE2 and data[start + 1] == 0x80 and data[start + 2] == 0xA6)
