"""Spans of text made ready to be cut out: widened so that no half word and no lonely punctuation is left behind."""

from __future__ import annotations

import numpy as np

from ...text import decode, inline, kernel
from .characters import SPACE
from .folded_words import ALONE

FARTHEST = 100  # characters that a span grows to reach the end of a word: a script may have none


def widen(
    data: np.ndarray, offsets: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, margin: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, starts, ends), int64[m] each, of k spans (bytes from the beginning of their rows) widened and merged.

    A span grows by `margin` characters to both sides, then to the ends of the words it touches, and takes the
    punctuation that clings to it. Where white space stands before it, the blanks behind it go too. Spans that overlap
    or touch are one.
    """
    from .characters import kinds
    from .folded_words import PLAIN, folding

    order = np.lexsort((ends, starts, rows))
    rows, starts, ends = rows[order], starts[order], ends[order]
    out = np.empty((3, len(rows)), np.int64)
    m = _widen(data, offsets, rows, starts, ends, margin, kinds(), folding(PLAIN).table, out)
    return out[0, :m].copy(), out[1, :m].copy(), out[2, :m].copy()


@inline
def _before(data, at):
    """Where the character that ends before `at` begins."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@inline
def _in_word(entry):
    return entry < ALONE


@kernel
def _grown(data, start, end, low, high, margin, spaces, table):
    """The span [start, end) within [low, high), grown to both sides."""
    for _ in range(margin):
        if start > low:
            start = _before(data, start)
        if end < high:
            end = decode(data, end)[1]
    for _ in range(FARTHEST):  # a word that was cut in two
        if start <= low:
            break
        before = _before(data, start)
        if not (_in_word(table[decode(data, before)[0]]) and _in_word(table[decode(data, start)[0]])):
            break
        start = before
    for _ in range(FARTHEST):
        if end >= high:
            break
        point, after = decode(data, end)
        if not (_in_word(table[point]) and _in_word(table[decode(data, _before(data, end))[0]])):
            break
        end = after
    for _ in range(FARTHEST):  # punctuation without space between
        if start <= low:
            break
        before = _before(data, start)
        point = decode(data, before)[0]
        if table[point] < (ALONE << 1) or spaces[point] & SPACE:
            break
        start = before
    for _ in range(FARTHEST):
        if end >= high:
            break
        point, after = decode(data, end)
        if table[point] < (ALONE << 1) or spaces[point] & SPACE:
            break
        end = after
    if start == low or spaces[decode(data, _before(data, start))[0]] & SPACE:
        while end < high and (data[end] == 32 or data[end] == 9):
            end += 1
    return start, end


@kernel
def _widen(data, offsets, rows, starts, ends, margin, spaces, table, out):
    m, k = 0, 0
    while k < len(rows):
        row, start, end = rows[k], starts[k], ends[k]
        k += 1
        while k < len(rows) and rows[k] == row and starts[k] <= end:
            end = max(end, ends[k])
            k += 1
        low, high = offsets[row], offsets[row + 1]
        first, last = _grown(data, low + start, low + end, low, high, margin, spaces, table)
        if m > 0 and out[0, m - 1] == row and out[2, m - 1] >= first - low:
            out[2, m - 1] = max(out[2, m - 1], last - low)
            out[1, m - 1] = min(out[1, m - 1], first - low)
        else:
            out[0, m], out[1, m], out[2, m] = row, first - low, last - low
            m += 1
    return m
