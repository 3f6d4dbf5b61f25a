"""Words by Unicode's text segmentation (UAX 29, section 4, default word boundaries), as a compiled state machine.

A word is what lies between two boundaries and has a letter or a digit in it: "can't" and "3.14" are one word, the comma
behind a word is none. Nothing here knows a language: Chinese, Japanese kanji and kana and Thai come out character by
character (Thai in runs between spaces), which is still nearer to words than white space is.

The state machine keeps the classes of the last two characters that count, and looks ahead where a rule asks for it
(WB6, WB7b, WB12). The property table is Unicode's own data, in `word_break_data`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import uint64

from ...text import decode, inline, kernel
from .characters import ALNUM, CODE_POINTS, LETTER, MARK, SYMBOL, kinds
from .word_break_data import WORD_BREAK
from .words import BASE, Tokens, no_tokens

NAMES = tuple(name for name in WORD_BREAK if name != "Extended_Pictographic")
(
    CR,
    LF,
    NEWLINE,
    EXTEND,
    ZWJ,
    FORMAT,
    KATAKANA,
    HEBREW,
    ALETTER,
    MID_LETTER,
    MID_NUM,
    MID_NUM_LET,
    NUMERIC,
    EXTEND_NUM_LET,
    SPACES,
    REGIONAL,
    SINGLE_QUOTE,
    DOUBLE_QUOTE,
) = range(1, 19)
PICTOGRAPH = 32  # a bit beside the class, which is in the bits below
OTHER = 0


def cut(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[Tokens, np.ndarray, np.ndarray]:
    """(tokens, first int64[k], last int64[k]): the words of k spans, int64[k] each, of data, uint8[bytes]."""
    tokens = no_tokens(int((ends - starts).sum()))
    first, last = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    _cut(data, starts, ends, classes(), kinds(), tokens, first, last)
    return tokens, first, last


@cache
def classes() -> np.ndarray:
    """uint8[code points]: Word_Break, by place in NAMES from 1 on, and the bit PICTOGRAPH."""
    table = np.zeros(CODE_POINTS, np.uint8)
    for name, ranges in WORD_BREAK.items():
        value = NAMES.index(name) + 1 if name in NAMES else PICTOGRAPH
        for part in ranges.split():
            start, _, length = part.partition("+")
            table[int(start, 16) : int(start, 16) + int(length or "1", 16)] |= value
    table.setflags(write=False)
    return table


@inline
def _letter(c):
    return c in (ALETTER, HEBREW)


@inline
def _between_letters(c):
    return c in (MID_LETTER, MID_NUM_LET, SINGLE_QUOTE)


@inline
def _between_digits(c):
    return c in (MID_NUM, MID_NUM_LET, SINGLE_QUOTE)


@inline
def _ignored(c):
    return c in (EXTEND, FORMAT, ZWJ)


@kernel
def _next(data, i, end, table):
    """Class of the next character that counts (WB4), or OTHER."""
    while i < end:
        c, i = decode(data, i)
        k = table[c] & 31
        if not _ignored(k):
            return int(k)
    return OTHER


@kernel
def _cut(data, starts, ends, table, kind_table, tokens, first, last):
    w = 0
    for row in range(len(starts)):
        first[row] = w
        i, end = starts[row], ends[row]
        before, last_two = OTHER, OTHER  # classes of the last two that count
        joiner, regional = False, 0  # is the very last one a ZWJ; how many regional indicators stand in a row
        close = OTHER  # class of the very last one
        letters, h, any_of, all_of, head = 0, uint64(0), 0, SYMBOL, 0
        while i < end:
            c, i = decode(data, i)
            k = int(table[c] & 31)
            pictograph = (table[c] & PICTOGRAPH) != 0
            cut = letters > 0 and _boundary(
                data, i, end, table, last_two, before, close, k, joiner, pictograph, regional
            )
            if cut:
                if any_of & ALNUM:
                    tokens.hashes[w], tokens.letters[w] = h, letters
                    tokens.kinds[w] = (any_of & (LETTER | MARK)) | (all_of & SYMBOL) | (head & ALNUM)
                    w += 1
                letters = 0
            kind = kind_table[c]
            if letters == 0:
                h, any_of, all_of, head = uint64(0), 0, SYMBOL, kind
            h = h * uint64(BASE) + uint64(c) + uint64(1)
            letters += 1
            any_of |= kind
            all_of &= kind
            joiner, close = k == ZWJ, k
            breaks = before in (CR, LF, NEWLINE)
            if not _ignored(k) or letters == 1 or breaks:
                last_two, before = before, k
                regional = regional + 1 if k == REGIONAL else 0
        if letters and any_of & ALNUM:
            tokens.hashes[w], tokens.letters[w] = h, letters
            tokens.kinds[w] = (any_of & (LETTER | MARK)) | (all_of & SYMBOL) | (head & ALNUM)
            w += 1
        last[row] = w


@inline
def _boundary(data, i, end, table, last_two, before, close, k, joiner, pictograph, regional):
    """Is there a boundary before a character of class k, behind which data[i] comes? The rules in their order."""
    if close == CR and k == LF:  # WB3
        return False
    if close in (CR, LF, NEWLINE) or k in (CR, LF, NEWLINE):  # WB3a, WB3b
        return True
    if joiner and pictograph:  # WB3c
        return False
    if close == SPACES and k == SPACES:  # WB3d
        return False
    if _ignored(k):  # WB4
        return False
    if _letter(before):
        if _letter(k) or k in (NUMERIC, EXTEND_NUM_LET):  # WB5, WB9, WB13a
            return False
        if before == HEBREW and k == SINGLE_QUOTE:  # WB7a
            return False
        if _between_letters(k) and _letter(_next(data, i, end, table)):  # WB6
            return False
        if before == HEBREW and k == DOUBLE_QUOTE and _next(data, i, end, table) == HEBREW:  # WB7b
            return False
    if _letter(last_two) and _between_letters(before) and _letter(k):  # WB7
        return False
    if last_two == HEBREW and before == DOUBLE_QUOTE and k == HEBREW:  # WB7c
        return False
    if before == NUMERIC:
        if k in (NUMERIC, EXTEND_NUM_LET) or _letter(k):  # WB8, WB10, WB13a
            return False
        if _between_digits(k) and _next(data, i, end, table) == NUMERIC:  # WB12
            return False
    if last_two == NUMERIC and _between_digits(before) and k == NUMERIC:  # WB11
        return False
    if before == KATAKANA and (k in (KATAKANA, EXTEND_NUM_LET)):  # WB13, WB13a
        return False
    if before == EXTEND_NUM_LET and (_letter(k) or k in (EXTEND_NUM_LET, NUMERIC, KATAKANA)):  # WB13a, WB13b
        return False
    return not (before == REGIONAL and k == REGIONAL and regional % 2 == 1)  # WB15, WB16, WB999
