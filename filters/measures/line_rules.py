"""RefinedWeb's rules for lines, compiled: which lines go, which lose a phrase, and how many words that takes.

A line goes if capitals prevail in it, if it is all numbers, if it is a counter ("3 likes") or one word. A short line
loses the phrases that are listed for its beginning ("sign in"), its end ("read more") or any place; if nothing but
punctuation is left, the line goes as well. A phrase is bounded by what is no letter, digit or underscore.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...text import decode, kernel
from .lines import (
    BREAK,
    DECIMAL,
    NUMERIC,
    SPACE,
    UPPER,
    WORD,
    last_start,
    line_kinds,
    scan_line,
    strip_left,
    strip_right,
)
from .patterns import Automaton, automaton, follow, lower, lower_bytes, lowered, state_at

COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "words",
            "removed_words",
            "uppercase_lines",  # removed, and why: the first reason
            "numeric_lines",
            "counter_lines",
            "one_word_lines",
            "phrase_lines",  # lines that lost a phrase or, with it, everything
            "cut_bytes",
        )
    ]
)
REASONS = ("uppercase_lines", "numeric_lines", "counter_lines", "one_word_lines", "phrase_lines")
UPPERCASE, NUMBERS, COUNTER, ONE_WORD, PHRASE = range(1, 6)
AT_START, AT_END, ANYWHERE = 1, 2, 4  # bits: where a phrase may stand
SHORT = 1000  # bytes; a longer line is not looked through for phrases, however few its words
SHOWN = 100  # lines of a document that are noted


class Found(NamedTuple):
    """What a batch of n documents gave: k spans to cut, r lines noted."""

    counts: np.ndarray  # COUNTS[n]
    rows: np.ndarray  # int64[k]
    starts: np.ndarray  # int64[k] bytes from the beginning of the document
    ends: np.ndarray  # int64[k]
    noted: np.ndarray  # int64[r, 3]: row, number of the line (from 1), reason (from 1, see REASONS)


class Phrases(NamedTuple):
    """P phrases and where they may stand."""

    words: Automaton
    places: np.ndarray  # uint8[P]: AT_START, AT_END, ANYWHERE


def phrases_of(at_start: Sequence[str], at_end: Sequence[str], anywhere: Sequence[str]) -> Phrases:
    """The phrases of three lists; one that is in several may stand wherever one of them allows."""
    places: dict[str, int] = {}
    for bit, listed in ((AT_START, at_start), (AT_END, at_end), (ANYWHERE, anywhere)):
        for phrase in listed:
            places[lower(phrase)] = places.get(lower(phrase), 0) | bit
    return Phrases(automaton(list(places)), np.array(list(places.values()), np.uint8))


def correct(
    data: np.ndarray,
    offsets: np.ndarray,
    active: np.ndarray,
    *,
    max_uppercase: float | None,
    numeric: bool,
    counters: Automaton,
    min_words: int,
    phrases: Phrases,
    max_phrase_words: int,
) -> Found:
    """Correct the `active` (bool[n]) of n texts (`document.text_buffers`).

    `max_uppercase` is the share of a line's characters; `counters` are the nouns of counters; lines of up to
    `max_phrase_words` words lose `phrases`.
    """
    counts = np.zeros(len(offsets) - 1, COUNTS)
    found = _correct(
        data,
        offsets,
        active,
        line_kinds(),
        lowered(),
        2.0 if max_uppercase is None else float(max_uppercase),
        numeric,
        counters,
        np.int64(min_words),
        phrases.words,
        phrases.places,
        np.int64(max_phrase_words),
        counts,
    )
    return Found(counts, *found)


@kernel
def _grown(array):
    """A copy with room for twice as much."""
    new = np.empty((2 * len(array), array.shape[1]), array.dtype)
    new[: len(array)] = array
    return new


@kernel
def _letters(data, start, end, table):
    """(characters, capitals, others that are neither numbers nor white space) of data[start:end]."""
    n, capitals, others = 0, 0, 0
    i = start
    while i < end:
        c, i = decode(data, i)
        kind = table[c]
        n += 1
        capitals += (kind & UPPER) != 0
        others += kind & (NUMERIC | SPACE) == 0
    return n, capitals, others


@kernel
def _is_counter(data, start, end, table, small, words, text):
    """`\\W*\\d[\\d.,]*[kmb]?\\s+(word of the list)\\W*`, capitals or not."""
    i = start
    while i < end:
        c, after = decode(data, i)
        if table[c] & WORD:
            break
        i = after
    digits = 0
    while i < end:
        c, after = decode(data, i)
        if not (table[c] & DECIMAL or (digits and (c == 44 or c == 46))):
            break
        digits += 1
        i = after
    if not digits or i == end:
        return False
    if data[i] | 32 in (98, 107, 109):  # b, k, m
        i += 1
    blank = i
    while i < end:
        c, after = decode(data, i)
        if not table[c] & SPACE:
            break
        i = after
    if i == blank:
        return False
    while end > i:
        p = last_start(data, i, end)
        c, _ = decode(data, p)
        if table[c] & WORD:
            break
        end = p
    if end - i > 64:
        return False
    n = lower_bytes(data, i, end, small, text)
    place = 0
    for k in range(n):
        place = follow(words, place, text[k])
    state = state_at(words, place)
    return n > 0 and words.phrase[state] >= 0 and words.lengths[words.phrase[state]] == n


@kernel
def _word_at(data, i, start, end, table, before):
    """Is the character before index `i` (or at it) of data[start:end] a letter, digit or underscore?"""
    if before:
        if i == start:
            return False
        c, _ = decode(data, last_start(data, start, i))
    else:
        if i == end:
            return False
        c, _ = decode(data, i)
    return (table[c] & WORD) != 0


@kernel
def _find_phrases(data, start, end, table, small, words, places, text, origin, spans):
    """Spans of the phrases in data[start:end], of those that end together the longest that may stand there: how many.

    White space after a phrase goes with it, and white space before one that ends the line.
    `text` is scratch for the line in small letters, `origin` for the byte that each of its bytes came from.
    """
    n = 0
    i = start
    while i < end:
        _, after = decode(data, i)
        more = lower_bytes(data, i, after, small, text[n:])
        for k in range(n, n + more):
            origin[k] = i
        n += more
        i = after
    origin[n] = end
    at, found = 0, 0
    for j in range(n):
        at = follow(words, at, text[j])
        if not at & 1 or origin[j + 1] == origin[j]:  # nothing ends here, or within a character
            continue
        s = state_at(words, at)
        s = s if words.phrase[s] >= 0 else words.shorter[s]
        while s:
            first = j + 1 - words.lengths[words.phrase[s]]
            a, b, place = origin[first], origin[j + 1], places[words.phrase[s]]
            fits = place & ANYWHERE or (place & AT_START and a == start) or (place & AT_END and b == end)
            fits = fits and not (first > 0 and origin[first - 1] == a)
            if fits and not (_word_at(data, a, start, end, table, True) or _word_at(data, b, start, end, table, False)):
                if b == end:
                    a = strip_right(data, start, a, table)
                spans[found, 0], spans[found, 1] = a, strip_left(data, b, end, table)
                found += 1
                break
            s = words.shorter[s]
    return found


@kernel
def _rest(data, start, end, spans, found, covered, text):
    """Copy data[start:end] without its spans into `text`: the bytes."""
    covered[: end - start] = False
    for k in range(found):
        covered[spans[k, 0] - start : spans[k, 1] - start] = True
    n = 0
    for i in range(start, end):
        if not covered[i - start]:
            text[n] = data[i]
            n += 1
    return n


@kernel
def _correct(
    data,
    offsets,
    active,
    table,
    small,
    max_uppercase,
    numeric,
    counters,
    min_words,
    words,
    places,
    max_phrase_words,
    counts,
):
    text, origin = np.empty(2 * SHORT + 8, np.uint8), np.empty(2 * SHORT + 9, np.int64)
    spans, covered = np.empty((SHORT + 1, 2), np.int64), np.empty(SHORT + 1, np.bool_)
    cuts, noted = np.empty((64, 3), np.int64), np.empty((64, 3), np.int64)
    k, r = 0, 0
    for d in range(len(counts)):
        if not active[d]:
            continue
        row = counts[d]
        begin, stop = offsets[d], offsets[d + 1]
        kept_end = begin  # of the last line that stays
        first_cut, shown, number = k, 0, 0
        i = begin
        while i < stop:
            start = i
            first, last, i, n, _, _, seen = scan_line(data, i, stop, table, BREAK)
            number += 1
            row.words += n
            if n == 0:
                continue
            reason, found = 0, 0
            if seen & UPPER or seen & NUMERIC:
                characters, capitals, others = _letters(data, first, last, table)
                if capitals > max_uppercase * characters:
                    reason = UPPERCASE
                elif numeric and others == 0:
                    reason = NUMBERS
                elif seen & DECIMAL and _is_counter(data, first, last, table, small, counters, text):
                    reason = COUNTER
            if reason == 0:
                if n < min_words:
                    reason = ONE_WORD
                elif n <= max_phrase_words and last - first <= SHORT:
                    found = _find_phrases(data, first, last, table, small, words, places, text, origin, spans)
            left = 0
            if found:
                reason = PHRASE
                m = _rest(data, first, last, spans, found, covered, text)
                _, _, _, left, _, _, some = scan_line(text, 0, m, table, 0)
                if not some & WORD:
                    left, found = 0, 0  # nothing but punctuation stays: the line goes
            if reason == 0:
                kept_end = last
                continue
            row.removed_words += n - left
            row.uppercase_lines += reason == UPPERCASE
            row.numeric_lines += reason == NUMBERS
            row.counter_lines += reason == COUNTER
            row.one_word_lines += reason == ONE_WORD
            row.phrase_lines += reason == PHRASE
            while k + found + 1 > len(cuts):
                cuts = _grown(cuts)
            if found:
                kept_end = last
                for j in range(found):
                    cuts[k, 0], cuts[k, 1], cuts[k, 2] = d, spans[j, 0] - begin, spans[j, 1] - begin
                    k += 1
            else:
                if i == stop:
                    c, _ = decode(data, last_start(data, start, stop))
                    if not table[c] & BREAK:  # the last line takes along what parts it from the text before
                        start = kept_end
                cuts[k, 0], cuts[k, 1], cuts[k, 2] = d, start - begin, i - begin
                k += 1
            if shown < SHOWN:
                if r == len(noted):
                    noted = _grown(noted)
                noted[r, 0], noted[r, 1], noted[r, 2] = d, number, reason
                r += 1
                shown += 1
        for j in range(first_cut, k):
            row.cut_bytes += cuts[j, 2] - cuts[j, 1]
    return cuts[:k, 0].copy(), cuts[:k, 1].copy(), cuts[:k, 2].copy(), noted[:r].copy()
