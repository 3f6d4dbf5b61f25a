"""C4's way through a page, compiled: each line is kept or removed for the first reason; what is left is counted.

Lines are looked at in the order of `clean_page` of TensorFlow Datasets: too long a word, citations cut out, the end of
the line, number of words, "lorem ipsum", "javascript", a curly bracket, the phrases of policies. Where the tools stop
and throw the page away (lorem ipsum, bracket) this goes on, as if that rule were off, so that each count can be held
against another threshold later.

What is cut is given as byte spans: they make the text what the tool makes of it, lines stripped and joined by one
newline, and leave alone what is so already.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from ...text import decode, kernel, load64, mix64
from .lines import BREAK, CURLY, DECIMAL, SQUARE, last_start, line_kinds, scan_line, strip_left, strip_right
from .patterns import Automaton, automaton, groups_in, lower, lowered

COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "lines",
            "long_word_lines",  # removed, and why: the first reason
            "unpunctuated_lines",
            "short_lines",
            "javascript_lines",
            "policy_lines",
            "kept_lines",
            "citations",  # cut out of kept lines
            "lorem_ipsum_first",  # lines with the phrase that a page drop would have met before any curly bracket
            "lorem_ipsum",  # lines with the phrase that all rules before let pass
            "curly_brackets",  # lines with one that all rules before let pass
            "sentences",  # of the kept lines
            "cut_bytes",  # how many bytes of the text the edit takes away or replaces
        )
    ]
)
REASONS = ("long_word_lines", "unpunctuated_lines", "short_lines", "javascript_lines", "policy_lines")
LONG_WORD, UNPUNCTUATED, SHORT, JAVASCRIPT, POLICY = range(1, 6)

IS_LOREM, IS_JAVASCRIPT, IS_POLICY = 1, 2, 4  # bits of the groups below
SHOWN = 100  # removed lines of a document whose numbers are noted
NEWLINE, BLANK = 10, 32
SIEVE, LOOK = 1 << 15, 6  # entries; bytes compared, fewer if a phrase is shorter
SMALL = int.from_bytes(8 * b" ", "little")  # the bit that small letters have and capitals lack


class Sieve(NamedTuple):
    """Which lines may have a phrase: a look at some letters every few bytes, of which every phrase has one."""

    step: int  # bytes from look to look, at most 8
    mask: int  # of the bytes of eight that a look compares
    known: np.ndarray  # bool[SIEVE]: by hash, what a look sees where a phrase is


class Found(NamedTuple):
    """What a batch of n documents gave: k spans to cut, r removed lines, m kept lines."""

    counts: np.ndarray  # COUNTS[n]
    rows: np.ndarray  # int64[k]
    starts: np.ndarray  # int64[k] bytes from the beginning of the document
    ends: np.ndarray  # int64[k]
    fill: np.ndarray  # uint8[k]
    removed: np.ndarray  # int64[r, 3]: row, number of the line (from 1), reason (from 1, see REASONS)
    kept: np.ndarray  # int64[m, 4], if asked for: row, start and end of the line in `buffer` (1) or in the data (0)
    buffer: np.ndarray  # uint8: kept lines that had citations, without them


def clean(
    data: np.ndarray,
    offsets: np.ndarray,
    active: np.ndarray,
    *,
    max_word_length: int | None,
    min_words: int,
    words_after_citations: bool,
    terminal: str | None,
    citations: bool,
    javascript: bool,
    policy: Sequence[str],
    keep_lines: bool,
    units: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Found:
    """Clean the `active` (bool[n]) of n texts (`document.text_buffers`).

    A line with one of the phrases `policy` goes. `terminal` are the characters that a line may end in; None asks
    nothing. With `keep_lines` the kept lines are listed. `units` replaces lines by spans of your own, (starts int64[u],
    ends int64[u] bytes of `data`, first unit of each document int64[n + 1]): each kept one is a sentence, and they are
    joined by a blank.
    """
    phrases, sieve = _phrases(tuple(policy))
    marks = np.array(sorted(map(ord, terminal or "")), np.uint32)
    counts = np.zeros(len(offsets) - 1, COUNTS)
    none = np.empty(0, np.int64)
    found = _clean(
        data,
        offsets,
        active,
        line_kinds(),
        lowered(),
        phrases,
        sieve,
        np.int64(max_word_length if max_word_length is not None else 1 << 62),
        np.int64(min_words),
        words_after_citations,
        terminal is not None,
        marks,
        citations,
        javascript,
        keep_lines,
        units is not None,
        *(units or (none, none, none)),
        counts,
    )
    return Found(counts, *found)


@cache
def _phrases(policy: tuple[str, ...]) -> tuple[Automaton, Sieve]:
    words = ("lorem ipsum", "javascript", *policy)
    spelled = [word.encode() for word in map(lower, words) if word.isascii()]  # no other is in a line of ASCII
    shortest = min(map(len, spelled))
    look = min(LOOK, shortest)
    step, mask = min(8, shortest - look + 1), (1 << 8 * look) - 1
    known = np.zeros(SIEVE, bool)
    for word in spelled:
        for k in range(step):
            known[_look(np.frombuffer(word[k : k + look].ljust(8), np.uint8), 0, mask)] = True
    return automaton(words, (0, 1, *(2 for _ in policy))), Sieve(step, mask, known)


# -- the compiled part -----------------------------------------------------------------------------------------------


@kernel
def _grown(array):
    """A copy with room for twice as much."""
    shape = (2 * len(array), *array.shape[1:])
    new = np.empty(shape, array.dtype)
    new[: len(array)] = array
    return new


@kernel
def _look(data, i, mask):
    """Where in a sieve the bytes from `i` belong, capitals or not."""
    seen = (load64(data, i) | uint64(SMALL)) & uint64(mask)
    return int64(mix64(seen) & uint64(SIEVE - 1))


@kernel
def _may_have(data, start, end, sieve):
    """May data[start:end] have one of the phrases? A line that is not ASCII may."""
    if end + 8 > len(data):
        return True
    every = uint64(0)
    for i in range(start, end, sieve.step):
        if sieve.known[_look(data, i, sieve.mask)]:
            return True
        every |= load64(data, i)
    return every & uint64(0x8080808080808080) != 0


@kernel
def citation_end(data, i, end, table):
    """The end of the citation that begins with the square bracket at `i`, or `i`: `\\[\\d*]`, `[edit]`, ..."""
    j = i + 1
    while j < end:
        c, after = decode(data, j)
        if not table[c] & DECIMAL:
            break
        j = after
    if j < end and data[j] == 93:
        return j + 1
    for literal in (b"[edit]", b"[citation needed]"):
        n = len(literal)
        if i + n <= end:
            k = 0
            while k < n and data[i + k] == literal[k]:
                k += 1
            if k == n:
                return i + n
    return i


@kernel
def _without_citations(data, first, last, table, line, spans):
    """Copy data[first:last] into `line` without its citations, whose spans go to `spans`: (bytes, citations)."""
    n, k = 0, 0
    i = first
    while i < last:
        if data[i] == 91:
            end = citation_end(data, i, last, table)
            if end > i:
                spans[k, 0], spans[k, 1] = i, end
                k += 1
                i = end
                continue
        line[n] = data[i]
        n += 1
        i += 1
    return n, k


@kernel
def _ends_well(data, start, end, marks):
    """Does data[start:end] end in one of `marks`, but not in three full stops?"""
    if start == end:
        return False
    if end - start >= 3 and data[end - 1] == 46 and data[end - 2] == 46 and data[end - 3] == 46:
        return False
    c, _ = decode(data, last_start(data, start, end))
    found = False
    for k in range(len(marks)):
        found |= marks[k] == c
    return found


@kernel
def _clean(
    data,
    offsets,
    active,
    table,
    small,
    phrases,
    sieve,
    max_word,
    min_words,
    words_after,
    need_mark,
    marks,
    citations,
    remove_javascript,
    keep_lines,
    in_units,
    unit_starts,
    unit_ends,
    unit_offsets,
    counts,
):
    longest = 0
    for d in range(len(counts)):
        longest = max(longest, offsets[d + 1] - offsets[d])
    line = np.empty(longest, np.uint8)  # a line without its citations
    spans = np.empty((longest // 2 + 1, 2), np.int64)  # its citations
    spelled = np.empty(8, np.uint8)
    rows, starts, ends = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    fill = np.empty(64, np.uint8)
    removed, kept, buffer = np.empty((64, 3), np.int64), np.empty((64, 4), np.int64), np.empty(64, np.uint8)
    cuts, gone, stay, filled = 0, 0, 0, 0
    joint = BLANK if in_units else NEWLINE

    for d in range(len(counts)):
        if not active[d]:
            continue
        row = counts[d]
        begin, stop = offsets[d], offsets[d + 1]
        first_cut = cuts
        content_end, content_cuts = begin, cuts  # after the last character that stays; how many cuts were made then
        line_end = begin  # of the last line that stays
        begun = False  # has anything but white space stayed yet?
        shown = 0
        i = begin
        unit = unit_offsets[d] if in_units else 0
        while (unit < unit_offsets[d + 1]) if in_units else (i < stop):
            if in_units:
                first, last, _, words, length, sentences, seen = scan_line(
                    data, unit_starts[unit], unit_ends[unit], table, 0
                )
                sentences = 1
                unit += 1
            else:
                first, last, i, words, length, sentences, seen = scan_line(data, i, stop, table, BREAK)
            row.lines += 1
            reason, cited, n = 0, 0, 0
            if length > max_word:
                reason = LONG_WORD
            else:
                if citations and seen & SQUARE:
                    n, cited = _without_citations(data, first, last, table, line, spans)
                if cited:
                    _, _, _, words_left, _, sentences, _ = scan_line(line, 0, n, table, 0)
                    if in_units:
                        sentences = 1
                    if words_after:
                        words = words_left
                    well = not need_mark or _ends_well(line, 0, n, marks)
                else:
                    well = not need_mark or _ends_well(data, first, last, marks)
                if not well:
                    reason = UNPUNCTUATED
                elif words < min_words:
                    reason = SHORT
                else:
                    groups = uint64(0)
                    if cited:
                        groups = groups_in(line, 0, n, phrases, small, spelled)
                    elif _may_have(data, first, last, sieve):
                        groups = groups_in(data, first, last, phrases, small, spelled)
                    if groups & uint64(IS_LOREM):
                        row.lorem_ipsum += 1
                        row.lorem_ipsum_first += row.curly_brackets == 0
                    if remove_javascript and groups & uint64(IS_JAVASCRIPT):
                        reason = JAVASCRIPT
                    else:
                        row.curly_brackets += (seen & CURLY) != 0
                        if groups & uint64(IS_POLICY):
                            reason = POLICY
            if reason:
                row.long_word_lines += reason == LONG_WORD
                row.unpunctuated_lines += reason == UNPUNCTUATED
                row.short_lines += reason == SHORT
                row.javascript_lines += reason == JAVASCRIPT
                row.policy_lines += reason == POLICY
                if shown < SHOWN:
                    if gone == len(removed):
                        removed = _grown(removed)
                    removed[gone, 0], removed[gone, 1], removed[gone, 2] = d, row.lines, reason
                    gone += 1
                    shown += 1
                continue

            row.sentences += sentences
            row.citations += cited
            if keep_lines:
                if stay == len(kept):
                    kept = _grown(kept)
                kept[stay, 0], kept[stay, 1], kept[stay, 2], kept[stay, 3] = d, first, last, 0
                if cited:
                    while filled + n > len(buffer):
                        buffer = _grown(buffer)
                    buffer[filled : filled + n] = line[:n]
                    kept[stay, 1], kept[stay, 2], kept[stay, 3] = filled, filled + n, 1
                    filled += n
                stay += 1

            while cuts + cited + 4 > len(rows):
                rows, starts, ends, fill = _grown(rows), _grown(starts), _grown(ends), _grown(fill)
            if begun:  # one newline between this line and the one before
                at = line_end
                while at < first and data[at] != joint:
                    at += 1
                if at == first:
                    if not (first == line_end and joint == NEWLINE):
                        rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, line_end, first, joint
                        cuts += 1
                else:
                    if at > line_end:
                        rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, line_end, at, 0
                        cuts += 1
                    if at + 1 < first:
                        rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, at + 1, first, 0
                        cuts += 1
            piece = first
            for k in range(cited + 1):
                piece_end = spans[k, 0] if k < cited else last
                if piece < piece_end:
                    if not begun:
                        piece = strip_left(data, piece, piece_end, table)
                        if piece < piece_end:
                            begun = True
                            if piece > begin:
                                rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, begin, piece, 0
                                cuts += 1
                    if begun:
                        bare = strip_right(data, piece, piece_end, table)
                        if bare > piece:
                            content_end, content_cuts = bare, cuts
                if k < cited:
                    if begun:
                        rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, spans[k, 0], spans[k, 1], 0
                        cuts += 1
                    piece = spans[k, 1]
            line_end = last
            row.kept_lines += 1

        cuts = content_cuts if begun else first_cut
        if content_end < stop:
            if cuts == len(rows):
                rows, starts, ends, fill = _grown(rows), _grown(starts), _grown(ends), _grown(fill)
            rows[cuts], starts[cuts], ends[cuts], fill[cuts] = d, content_end, stop, 0
            cuts += 1
        for k in range(first_cut, cuts):
            row.cut_bytes += ends[k] - starts[k]
            row.cut_bytes += ends[k] == starts[k]  # a blank put in
            starts[k] -= begin
            ends[k] -= begin
    return (
        rows[:cuts].copy(),
        starts[:cuts].copy(),
        ends[:cuts].copy(),
        fill[:cuts].copy(),
        removed[:gone].copy(),
        kept[:stay].copy(),
        buffer[:filled].copy(),
    )
