"""What is counted of characters and lines: one compiled pass for all rules of datatrove's reading, one for the others.

Lines and paragraphs are where the tools that carry the same rules' names differ most. `line_counts` counts what
datatrove 0.10 counts (GopherRepetitionFilter, GopherQualityFilter, FineWebQualityFilter), for the three families at
once, since reading the characters is the greater part of the cost. `piece_counts` cuts a text as its caller says, into
lines or paragraphs, stripped or not, and serves dolma's, DCLM's and the paper's readings.

The rules divide integers by integers; this module divides nothing. A repeat is found by a 64-bit hash of the text,
without comparing it. Scratch memory is a table for the newlines of the longest document of the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from ...text import decode, inline, kernel, mix64
from .characters import BREAK, END, SENTENCE_ENDS, SPACE, kinds
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

NEWLINE, RETURN, NUMBER_SIGN, HYPHEN, FULL_STOP, BULLET, ELLIPSIS = map(ord, "\n\r#-.•…")
PARAGRAPH = 0x2545F4914F6CDD1D  # keeps the hashes of paragraphs apart from those of lines in one table


def line_counts(texts: Texts, short: int = 30, ends: str = SENTENCE_ENDS) -> np.ndarray:
    """LINES[n] of the active rows, counted once; `short` in characters, `ends` as one text."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        _lines(texts.data, texts.offsets, np.flatnonzero(wanted), kinds(ends), short, out)

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


@kernel
def _newlines(data, start, end):
    count = 0
    for i in range(start, end):
        count += data[i] == NEWLINE
    return count


@kernel
def _stripped(data, start, end, table):
    """The bytes of str.strip."""
    while start < end:
        c, following = decode(data, start)
        if not table[c] & SPACE:
            break
        start = following
    while end > start:
        last = end - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        c, _ = decode(data, last)
        if not table[c] & SPACE:
            break
        end = last
    return start, end


@kernel
def _lines(data, offsets, rows, table, short, out):
    slots = 0
    keys, stamps, stamp = np.empty(0, np.uint64), np.empty(0, np.int64), 0
    for r in rows:
        start, end, row = offsets[r], offsets[r + 1], out[r]
        newlines = _newlines(data, start, end)
        size = 16  # lines and paragraphs together, half of the table empty
        while size < 4 * (newlines + 1):
            size *= 2
        if size > slots:
            slots, stamp = size, 0
            keys, stamps = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
        stamp += 1
        _one(data, start, end, table, short, keys, stamps, stamp, size - 1, row)
        row.newlines = newlines


@kernel
def _one(data, start, end, table, short, keys, stamps, stamp, mask, row):
    text, text_end = _stripped(data, start, end, table)
    characters, hashes, ellipses, stops = 0, 0, 0, 0
    lines, repeated_lines, repeated_line_characters = 0, 0, 0
    filled, ended, short_lines, repeated_filled = 0, 0, 0, 0
    line, length, blank = uint64(0), 0, True
    paragraphs, repeated_paragraphs, repeated_paragraph_characters = 0, 0, 0
    paragraph, paragraph_length, gap = uint64(0), 0, 0
    text_lines, bullets, ellipsis_lines = 0, 0, 0
    first, last, before, dots, carriage, open_line = -1, -1, 0, 0, False, False
    k = 0
    i = start
    while i <= end:
        at = i
        over = i == end
        c = 0
        kind = BREAK | SPACE
        if not over:
            c, i = decode(data, i)
            kind = table[c]
            characters += 1
            hashes += c == NUMBER_SIGN
            ellipses += c == ELLIPSIS
            stops = stops + 1 if c == FULL_STOP else 0
            if stops == 3:
                ellipses += 1
                stops = 0
        else:
            i += 1

        # lines as str.splitlines cuts them
        if not kind & SPACE:
            if first < 0:
                first = c
            dots = dots + 1 if c == FULL_STOP and (before == FULL_STOP or dots == 0) else int(c == FULL_STOP)
            last = c
            open_line, carriage = True, False
        elif kind & BREAK:
            if carriage and c == NEWLINE:  # the second half of CR LF
                carriage = False
            elif open_line or not over:
                text_lines += 1
                bullets += first in (BULLET, HYPHEN)
                ellipsis_lines += last == ELLIPSIS or (last == FULL_STOP and dots >= 3)
                first, last, dots = -1, -1, 0
                open_line, carriage = False, c == RETURN
        else:
            open_line, carriage = True, False
        before = c

        # paragraphs of the stripped text
        if at >= text and at <= text_end:
            if at < text_end and c != NEWLINE:
                if gap == 1:
                    paragraph = paragraph * uint64(BASE) + uint64(NEWLINE + 1)
                    paragraph_length += 1
                gap = 0
                paragraph = paragraph * uint64(BASE) + uint64(c) + uint64(1)
                paragraph_length += 1
            elif at < text_end:
                gap += 1
            if at == text_end or gap == 2:
                key = mix64(paragraph ^ uint64(PARAGRAPH))
                s = _slot(keys, stamps, stamp, mask, key)
                if stamps[s] == stamp:
                    repeated_paragraphs += 1
                    repeated_paragraph_characters += paragraph_length
                keys[s], stamps[s] = key, stamp
                paragraphs += 1
                paragraph, paragraph_length = uint64(0), 0

        # lines between newlines
        if not over and c != NEWLINE:
            line = line * uint64(BASE) + uint64(c) + uint64(1)
            length += 1
            k = kind
            if not kind & SPACE:
                blank = False
            continue
        if length or over or at == start:
            key = mix64(line)
            s = _slot(keys, stamps, stamp, mask, key)
            repeated = stamps[s] == stamp
            if repeated:
                repeated_lines += 1
                repeated_line_characters += length
            keys[s], stamps[s] = key, stamp
            lines += 1
            if not blank:
                filled += 1
                ended += (k & END) != 0
                short_lines += length <= short
                if repeated:
                    repeated_filled += length
            line, length, blank = uint64(0), 0, True

    row.characters, row.hashes, row.ellipses = characters, hashes, ellipses
    row.paragraphs, row.duplicate_paragraphs = paragraphs, repeated_paragraphs
    row.duplicate_paragraph_characters = repeated_paragraph_characters
    row.lines, row.duplicate_lines, row.duplicate_line_characters = lines, repeated_lines, repeated_line_characters
    row.text_lines, row.bullet_lines, row.ellipsis_lines = text_lines, bullets, ellipsis_lines
    row.filled_lines, row.ended_lines, row.short_lines = filled, ended, short_lines
    row.duplicate_filled_line_characters = repeated_filled


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
    h, length, i = uint64(0), 0, start
    while i < end:
        c, i = decode(data, i)
        if length == 0:
            for bullet in bullets:
                row.bulleted += bullet == c
        h = h * uint64(BASE) + uint64(c) + uint64(1)
        length += 1
    key = mix64(h)
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
    if end - start >= 3 and data[end - 1] == FULL_STOP:
        row.dots += data[end - 2] == FULL_STOP and data[end - 3] == FULL_STOP
        spaced = data[end - 2] == 32 and data[end - 3] == FULL_STOP
        row.spaced_dots += end - start >= 5 and spaced and data[end - 4] == 32 and data[end - 5] == FULL_STOP
    row.ellipses += end - start >= 3 and data[end - 3] == 0xE2 and data[end - 2] == 0x80 and data[end - 1] == 0xA6
