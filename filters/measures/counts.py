"""What is counted of characters and lines: one compiled pass for all rules of datatrove's reading, one for the others.

Lines and paragraphs are where the tools that carry the same rules' names differ most. `line_counts` counts what
datatrove 0.10 counts (GopherRepetitionFilter, GopherQualityFilter, FineWebQualityFilter), for the three families at
once, since reading the characters is the greater part of the cost. `piece_counts` cuts a text as its caller says, into
lines or paragraphs, stripped or not, and serves dolma's, DCLM's and the paper's readings.

The signs and the newlines of a text are found 64 bytes at a time; a line is then hashed as it lies, and a paragraph by
the hashes of its lines.

The rules divide integers by integers; this module divides nothing. A repeat is found by a 64-bit hash of the text,
without comparing it. Scratch memory is a table for the newlines of the longest document of the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from ...text import decode, inline, kernel, load64, mix64, trailing_zeros
from .characters import BREAK, END, SENTENCE_ENDS, kinds
from .lines import BLOCK, bits, last_start, ones, padded, strip_left, strip_right
from .texts import Texts
from .words import BASE

LINES = np.dtype(
    [
        (name, np.int64)
        for name in (
            "characters",  # code points, white space included: the denominator of every character fraction
            "newlines",
            "hashes",  # "#"
            "ellipses",  # "…", and "..." without overlap
            "paragraphs",  # pieces of the stripped text between two or more newlines
            "duplicate_paragraphs",  # those equal to an earlier one
            "duplicate_paragraph_characters",
            "lines",  # pieces between one or more newlines; a newline at either end of the text leaves an empty piece
            "duplicate_lines",
            "duplicate_line_characters",
            "text_lines",  # lines as str.splitlines cuts them
            "bullet_lines",  # those that start with "•" or "-" after white space
            "ellipsis_lines",  # those that end in "…" or "..." before white space
            "filled_lines",  # pieces between newlines that are not blank
            "ended_lines",  # those whose last character may end a line
            "short_lines",  # those of at most `short` characters
            "duplicate_filled_line_characters",
        )
    ]
)

PIECES = np.dtype(
    [
        (name, np.int64)
        for name in (
            "pieces",
            "characters",
            "duplicates",  # pieces equal to an earlier one
            "duplicate_characters",
            "copies",  # pieces that occur more than once, the first as well
            "copied_characters",
            "bulleted",  # pieces that begin with one of `bullets`
            "dots",  # that end in "..."
            "spaced_dots",  # that end in ". . ."
            "ellipses",  # that end in "…"
        )
    ]
)

NEWLINE, RETURN, NUMBER_SIGN, HYPHEN, FULL_STOP, BULLET, ELLIPSIS, BLANK = map(ord, "\n\r#-.•… ")
PARAGRAPH = 0x2545F4914F6CDD1D  # keeps the hashes of paragraphs apart from those of lines in one table


def line_counts(texts: Texts, short: int = 30, ends: str = SENTENCE_ENDS) -> np.ndarray:
    """LINES[n] of the active rows, counted once; `short` in characters, `ends` as one text."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        _lines(padded(texts.data), texts.offsets, np.flatnonzero(wanted), kinds(ends), short, out)

    return texts.shared(("lines", short, ends), LINES, fill)


class Pieces(NamedTuple):
    """How a text is cut into lines or paragraphs."""

    newlines: int = 1  # so many or more end a piece
    runs: bool = True  # further newlines belong to the same cut; else an empty piece is between any two
    strip: bool = False  # white space at either end is no part of a piece
    blank: bool = True  # empty pieces count
    bullets: str = ""


def piece_counts(texts: Texts, pieces: Pieces) -> np.ndarray:
    """PIECES[n] of the active rows, counted once."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        rows, bullets = np.flatnonzero(wanted), np.array([ord(c) for c in pieces.bullets], np.uint32)
        _cut(texts.data, texts.offsets, rows, kinds(), *pieces[:4], bullets, out)

    return texts.shared(("pieces", pieces), PIECES, fill)


# -- the compiled part -------------------------------------------------------------------------------------------------


@inline
def _slot(keys, stamps, stamp, mask, key):
    """Where `key` is, or would be: it is there if the slot's stamp is `stamp`."""
    s = int64(key) & mask
    while stamps[s] == stamp and keys[s] != key:
        s = (s + 1) & mask
    return s


@inline
def _stripped(data, start, end, table):
    """The bytes of str.strip."""
    first = strip_left(data, start, end, table)
    return first, strip_right(data, first, end, table)


@inline
def _hash(data, start, end):
    """A hash of the bytes, eight at a time, to be mixed once more."""
    h, i = uint64(end - start) * uint64(BASE), start
    while i + 8 <= end:
        h = (h ^ mix64(load64(data, i))) * uint64(BASE)
        i += 8
    tail = uint64(0)
    while i < end:
        tail = tail << uint64(8) | uint64(data[i])
        i += 1
    return (h ^ mix64(tail)) * uint64(BASE)


@inline
def _characters(data, start, end):
    count = 0
    for i in range(start, end):
        count += data[i] & 0xC0 != 0x80
    return count


@kernel
def _newlines(data, start, end):
    count = 0
    for i in range(start, end):
        count += data[i] == NEWLINE
    return count


@kernel
def _lines(data, offsets, rows, table, short, out):
    longest, slots = 0, 0
    for r in rows:
        longest = max(longest, offsets[r + 1] - offsets[r])
    cuts = np.empty(longest + 1, np.int64)
    keys, stamps, stamp = np.empty(0, np.uint64), np.empty(0, np.int64), 0
    for r in rows:
        start, end, row = offsets[r], offsets[r + 1], out[r]
        breaks = _signs(data, start, end, cuts, row)
        size = 16  # lines and paragraphs together, half of the table empty
        while size < 4 * (row.newlines + 1):
            size *= 2
        if size > slots:
            slots, stamp = size, 0
            keys, stamps = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
        stamp += 1
        _pieces(data, start, end, table, short, cuts, keys, stamps, stamp, size - 1, row)
        _text_lines(data, start, end, table, cuts, breaks, row)


@kernel
def _signs(data, start, end, cuts, row):
    """Count what needs no lines, and note in `cuts` where newlines stand and, last, the end; are there other breaks?"""
    newlines, inner, hashes, ellipses = 0, 0, 0, 0
    stops_before, until = uint64(0), start
    breaks = False
    for i in range(start, end, BLOCK):
        found = bits(data, i, end, NEWLINE, NEWLINE)
        while found:
            cuts[newlines] = i + trailing_zeros(found)
            newlines += 1
            found &= found - uint64(1)
        breaks |= bits(data, i, end, NEWLINE + 1, 31) != 0
        hashes += ones(bits(data, i, end, NUMBER_SIGN, NUMBER_SIGN))

        stops = bits(data, i, end, FULL_STOP, FULL_STOP)
        thirds = stops & (stops << uint64(1) | stops_before >> uint64(1)) & (stops << uint64(2) | stops_before)
        stops_before = stops >> uint64(62)
        while thirds:
            at = i + trailing_zeros(thirds)
            if at >= until:
                ellipses += 1
                until = at + 3
            thirds &= thirds - uint64(1)

        if bits(data, i, end, 0x80, 0xFF):
            inner += ones(bits(data, i, end, 0x80, 0xBF))
            leads = bits(data, i, end, 0xC2, 0xC2) | bits(data, i, end, 0xE2, 0xE2)
            while leads:
                c, _ = decode(data, i + trailing_zeros(leads))
                ellipses += c == ELLIPSIS
                breaks |= c == 0x85 or c == 0x2028 or c == 0x2029
                leads &= leads - uint64(1)
    cuts[newlines] = end
    row.characters, row.newlines, row.hashes, row.ellipses = end - start - inner, newlines, hashes, ellipses
    return breaks


@kernel
def _pieces(data, start, end, table, short, cuts, keys, stamps, stamp, mask, row):
    """Count lines between newlines, and paragraphs: the lines of the stripped text between empty ones."""
    text, text_end = _stripped(data, start, end, table)
    ascii = row.characters == end - start
    paragraph, paragraph_length, begun = uint64(0), 0, False
    a = start
    for cut in range(row.newlines + 1):
        b = cuts[cut]
        h, length = _hash(data, a, b), b - a if ascii else _characters(data, a, b)
        if b > a or a == start or b == end:
            key = mix64(h)
            s = _slot(keys, stamps, stamp, mask, key)
            repeated = stamps[s] == stamp
            keys[s], stamps[s] = key, stamp
            row.lines += 1
            if repeated:
                row.duplicate_lines += 1
                row.duplicate_line_characters += length
            first = strip_left(data, a, b, table)
            if first < b:
                row.filled_lines += 1
                c, _ = decode(data, last_start(data, a, b))
                row.ended_lines += (table[c] & END) != 0
                row.short_lines += length <= short
                if repeated:
                    row.duplicate_filled_line_characters += length

        if b > text and a < text_end and b > a:
            if a < text or b > text_end:
                left, right = max(a, text), min(b, text_end)
                h, length = _hash(data, left, right), _characters(data, left, right)
            paragraph = mix64(paragraph) * uint64(BASE) + h if begun else h
            paragraph_length = paragraph_length + 1 + length if begun else length
            begun = True
        if begun and (b == a or b >= text_end):
            key = mix64(paragraph ^ uint64(PARAGRAPH))
            s = _slot(keys, stamps, stamp, mask, key)
            row.paragraphs += 1
            if stamps[s] == stamp:
                row.duplicate_paragraphs += 1
                row.duplicate_paragraph_characters += paragraph_length
            keys[s], stamps[s] = key, stamp
            begun = False
        a = b + 1
    row.paragraphs += text == text_end  # a blank text is a paragraph


@kernel
def _text_lines(data, start, end, table, cuts, breaks, row):
    """Count the lines of str.splitlines, those with bullets and those that end in ellipses."""
    a = start
    for cut in range(row.newlines + 1):
        b = cuts[cut]
        i = a
        while breaks and i < b:  # those that are no newline
            c, following = decode(data, i)
            if table[c] & BREAK:
                _text_line(data, a, i, table, row)
                a = following
            i = following
        if a < b or (b < end and not (a > start and data[a - 1] == RETURN)):
            _text_line(data, a, b, table, row)
        a = b + 1


@kernel
def _text_line(data, start, end, table, row):
    first, last = _stripped(data, start, end, table)
    row.text_lines += 1
    if last == first:
        return
    c, _ = decode(data, first)
    row.bullet_lines += c in (BULLET, HYPHEN)
    row.ellipsis_lines += _three(data, first, last, FULL_STOP, FULL_STOP, FULL_STOP)
    row.ellipsis_lines += _three(data, first, last, 0xE2, 0x80, 0xA6)  # "…"


@inline
def _three(data, start, end, x, y, z):
    """Are these the last bytes?"""
    return end - start >= 3 and data[end - 3] == x and data[end - 2] == y and data[end - 1] == z


@kernel
def _cut(data, offsets, rows, table, newlines, runs, strip, blank, bullets, out):
    slots = 0
    keys, stamps, stamp = np.empty(0, np.uint64), np.empty(0, np.int64), 0
    tally = np.empty(0, np.int64)
    for r in rows:
        end, row = offsets[r + 1], out[r]
        size = 16
        while size < 2 * (_newlines(data, offsets[r], end) + 1):
            size *= 2
        if size > slots:
            slots, stamp = size, 0
            keys, stamps, tally = np.empty(slots, np.uint64), np.zeros(slots, np.int64), np.empty(slots, np.int64)
        mask = size - 1
        stamp += 1
        i = begin = offsets[r]
        while True:
            following = i
            while following < end and data[following] == NEWLINE and (runs or following - i < newlines):
                following += 1
            if i < end and following - i < newlines:
                i = max(i + 1, following)  # no cut here
                continue
            a, b = begin, i
            if strip:
                a, b = _stripped(data, a, b, table)
            if blank or b > a:
                _piece(data, a, b, bullets, keys, stamps, tally, stamp, mask, row)
            if i >= end:
                break
            i = begin = following


@kernel
def _piece(data, start, end, bullets, keys, stamps, tally, stamp, mask, row):
    if start < end:
        c, _ = decode(data, start)
        for bullet in bullets:
            row.bulleted += bullet == c
    length = _characters(data, start, end)
    key = mix64(_hash(data, start, end))
    s = _slot(keys, stamps, stamp, mask, key)
    if stamps[s] != stamp:
        keys[s], stamps[s], tally[s] = key, stamp, 0
    tally[s] += 1
    row.pieces += 1
    row.characters += length
    if tally[s] > 1:
        row.duplicates += 1
        row.duplicate_characters += length
        again = 2 if tally[s] == 2 else 1  # the second copy stands for the first as well
        row.copies += again
        row.copied_characters += again * length
    row.dots += _three(data, start, end, FULL_STOP, FULL_STOP, FULL_STOP)
    spaced = _three(data, start, end, FULL_STOP, BLANK, FULL_STOP)
    row.spaced_dots += spaced and _three(data, start, end - 2, FULL_STOP, BLANK, FULL_STOP)
    row.ellipses += _three(data, start, end, 0xE2, 0x80, 0xA6)
