"""Everything that Gopher's rules count in a document, in one compiled pass over a batch; no Python object a word.

The rules divide integers by integers; this module counts, and divides nothing. Words are the pieces between white
space, as `str.split` cuts them. What is counted is what datatrove 0.10 counts (`GopherRepetitionFilter` and
`GopherQualityFilter`) when it is given these words: Rae et al. 2021 (arXiv:2112.11446, appendix A1.1) leave open what a
line, a copy or the denominator is, and this is the reading most open corpora were made with.

A repeat is found by a 64-bit hash of the text, without comparing it: n different strings of one document are mistaken
for equal with a chance of n^2 / 2^65, one in 10^7 at a million words. Scratch memory is bounded by the longest document
of the batch, some 20 times its bytes for prose and 80 times for single letters, and is freed after the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ...document import text_buffers
from ...text import decode, inline, kernel, mix64
from .characters import BREAK, LETTER, SPACE, SYMBOL, kinds

COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "characters",  # code points, white space included: the denominator of every character fraction
            "paragraphs",  # pieces of the stripped text between two or more newlines
            "duplicate_paragraphs",  # those equal to an earlier one
            "duplicate_paragraph_characters",
            "lines",  # pieces between one or more newlines; a newline at either end of the text leaves an empty piece
            "duplicate_lines",
            "duplicate_line_characters",
            "top_2_gram",  # characters of the most frequent 2-gram, its inner spaces included, times its count
            "top_3_gram",
            "top_4_gram",
            "duplicate_5_gram",  # letters of the n-grams seen before, scanned from the left without overlap
            "duplicate_6_gram",
            "duplicate_7_gram",
            "duplicate_8_gram",
            "duplicate_9_gram",
            "duplicate_10_gram",
            "words",
            "plain_words",  # words that are more than punctuation
            "plain_word_characters",
            "letter_words",  # words with a letter in them
            "stop_words",  # how many different stop words occur, capitals told apart
            "hashes",  # "#"
            "ellipses",  # "…", and "..." without overlap
            "text_lines",  # lines as str.splitlines cuts them
            "bullet_lines",  # those that start with "•" or "-" after white space
            "ellipsis_lines",  # those that end in "…" or "..." before white space
        )
    ]
)

MOST_STOP_WORDS = 64  # they are the bits of one word of the machine

NEWLINE, NUMBER_SIGN, HYPHEN, FULL_STOP, BULLET, ELLIPSIS = map(ord, "\n#-.•…")

# FNV-1a (Fowler, Noll and Vo), a code point a step.
FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
# The base of the polynomial hash of concatenated words and its inverse modulo 2^64: with both, a window of the sum
# over the whole text becomes the hash of the window alone in one product.
BASE = 0x9E3779B97F4A7C15
INVERSE = pow(BASE, -1, 1 << 64)


def count(texts: pa.Array | pa.ChunkedArray, stop_words: Sequence[str]) -> np.ndarray:
    """COUNTS[n]: a record of int64 counts for each text of a string column (slices are fine; nulls count as empty).

    `stop_words`: at most 64 different words.
    """
    if len(set(stop_words)) > MOST_STOP_WORDS:
        raise ValueError(f"{len(set(stop_words))} stop words; at most {MOST_STOP_WORDS} can be counted")
    counts = np.zeros(len(texts), COUNTS)
    hashes = np.array([_word_hash(word) for word in sorted(set(stop_words))], np.uint64)
    _count(*text_buffers(texts), kinds(), hashes, max(map(len, stop_words), default=0), counts)
    return counts


def _word_hash(word: str) -> int:
    """The hash that `_scan_words` gives a word, before it is mixed."""
    h = FNV_BASIS
    for character in word:
        h = (h ^ ord(character)) * FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return h


# -- the compiled part -----------------------------------------------------------------------------------------------
#
# One document is taken apart into arrays that all batch long are the same scratch memory:
#   points uint32[characters], kind uint8[characters]    its code points and their bits of `characters.kinds`
#   word_hash uint64[words], letters int64[words + 1]    each word's hash; letters before it, white space left out
#   sums uint64[words + 1], powers uint64[words + 1]     polynomial hash of all letters before a word; BASE^-letters
#   keys, stamps, tally, first [slots]                   one open-addressing table for all that looks for repeats:
#                                                        a slot is taken if its stamp is the current one


@kernel
def _count(data, offsets, table, stop_words, longest_stop_word, counts):
    longest = 0
    for d in range(len(counts)):
        longest = max(longest, offsets[d + 1] - offsets[d])
    points, kind = np.empty(longest, np.uint32), np.empty(longest, np.uint8)
    words, slots, stamp = 0, 0, 0
    word_hash, sums, powers = np.empty(0, np.uint64), np.empty(1, np.uint64), np.empty(1, np.uint64)
    letters = np.empty(1, np.int64)
    keys, stamps = np.empty(0, np.uint64), np.empty(0, np.int64)
    tally, first = np.empty(0, np.int32), np.empty(0, np.int64)

    for d in range(len(counts)):
        row = counts[d]
        n, newlines = _read(data, offsets[d], offsets[d + 1], table, points, kind, row)
        if row.words > words:
            words = row.words
            word_hash, sums, powers = (
                np.empty(words, np.uint64),
                np.empty(words + 1, np.uint64),
                np.empty(words + 1, np.uint64),
            )
            letters = np.empty(words + 1, np.int64)
        size = 16  # half of a table stays empty
        while size < 2 * max(row.words, newlines + 1):
            size *= 2
        if size > slots:
            slots, stamp = size, 0
            keys, stamps = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
            tally, first = np.empty(slots, np.int32), np.empty(slots, np.int64)
        mask = size - 1

        _scan_words(points, kind, n, stop_words, longest_stop_word, word_hash, letters, sums, powers, row)

        start, end = 0, n
        while start < end and kind[start] & SPACE:
            start += 1
        while end > start and kind[end - 1] & SPACE:
            end -= 1
        p = _repeats(points, start, end, 2, keys, stamps, stamp + 1, mask)
        row.paragraphs, row.duplicate_paragraphs, row.duplicate_paragraph_characters = p
        p = _repeats(points, 0, n, 1, keys, stamps, stamp + 2, mask)
        row.lines, row.duplicate_lines, row.duplicate_line_characters = p

        w = row.words
        row.top_2_gram = _top_ngram(word_hash, letters, w, 2, keys, stamps, tally, first, stamp + 3, mask)
        row.top_3_gram = _top_ngram(word_hash, letters, w, 3, keys, stamps, tally, first, stamp + 4, mask)
        row.top_4_gram = _top_ngram(word_hash, letters, w, 4, keys, stamps, tally, first, stamp + 5, mask)
        row.duplicate_5_gram = _repeated_ngrams(sums, powers, letters, w, 5, keys, stamps, stamp + 6, mask)
        row.duplicate_6_gram = _repeated_ngrams(sums, powers, letters, w, 6, keys, stamps, stamp + 7, mask)
        row.duplicate_7_gram = _repeated_ngrams(sums, powers, letters, w, 7, keys, stamps, stamp + 8, mask)
        row.duplicate_8_gram = _repeated_ngrams(sums, powers, letters, w, 8, keys, stamps, stamp + 9, mask)
        row.duplicate_9_gram = _repeated_ngrams(sums, powers, letters, w, 9, keys, stamps, stamp + 10, mask)
        row.duplicate_10_gram = _repeated_ngrams(sums, powers, letters, w, 10, keys, stamps, stamp + 11, mask)
        stamp += 11

        _count_lines(points, kind, n, row)


@kernel
def _read(data, start, end, table, points, kind, row):
    """Decode a document and count what needs no more than a look at each character: (characters, newlines)."""
    n, words, newlines, hashes, ellipses, stops = 0, 0, 0, 0, 0, 0
    space = True
    i = start
    while i < end:
        c, i = decode(data, i)
        k = table[c]
        points[n] = c
        kind[n] = k
        n += 1
        was_space, space = space, (k & SPACE) != 0
        words += was_space and not space
        newlines += c == NEWLINE
        hashes += c == NUMBER_SIGN
        ellipses += c == ELLIPSIS
        stops = stops + 1 if c == FULL_STOP else 0
        if stops == 3:
            ellipses += 1
            stops = 0
    row.characters, row.words, row.hashes, row.ellipses = n, words, hashes, ellipses
    return n, newlines


@kernel
def _scan_words(points, kind, n, stop_words, longest_stop_word, word_hash, letters, sums, powers, row):
    """Fill the arrays of words and count the kinds of words."""
    w, before = 0, 0
    total, power, inverse = uint64(0), uint64(1), uint64(1)
    plain, plain_characters, with_letter, stops = 0, 0, 0, uint64(0)
    letters[0], sums[0], powers[0] = 0, total, inverse
    i = 0
    while i < n:
        if kind[i] & SPACE:
            i += 1
            continue
        start, h, any_bits, all_bits = i, uint64(FNV_BASIS), 0, SYMBOL
        while i < n and not kind[i] & SPACE:
            c = uint64(points[i])
            h = (h ^ c) * uint64(FNV_PRIME)
            total += (c + uint64(1)) * power
            power *= uint64(BASE)
            inverse *= uint64(INVERSE)
            any_bits |= kind[i]
            all_bits &= kind[i]
            i += 1
        length = i - start
        before += length
        word_hash[w] = mix64(h)
        w += 1
        letters[w], sums[w], powers[w] = before, total, inverse
        if not all_bits & SYMBOL:
            plain += 1
            plain_characters += length
        with_letter += (any_bits & LETTER) != 0
        if length <= longest_stop_word:
            for s in range(len(stop_words)):
                if stop_words[s] == h:
                    stops |= uint64(1) << uint64(s)
    row.plain_words, row.plain_word_characters, row.letter_words = plain, plain_characters, with_letter
    different = 0
    while stops:
        stops &= stops - uint64(1)
        different += 1
    row.stop_words = different


@inline
def _slot(keys, stamps, stamp, mask, key):
    """Where `key` is, or would be: it is there if the slot's stamp is `stamp`."""
    s = int64(key) & mask
    while stamps[s] == stamp and keys[s] != key:
        s = (s + 1) & mask
    return s


@kernel
def _repeats(points, start, end, gap, keys, stamps, stamp, mask):
    """Cut points[start:end] at runs of `gap` or more newlines: (pieces, those seen before, characters of those)."""
    pieces, repeats, characters = 0, 0, 0
    i, piece, h = start, start, uint64(FNV_BASIS)
    while True:
        run = i
        while run < end and points[run] == NEWLINE:
            run += 1
        if i < end and run - i < gap:  # no cut here
            h = (h ^ uint64(points[i])) * uint64(FNV_PRIME)
            i += 1
            continue
        key = mix64(h)
        s = _slot(keys, stamps, stamp, mask, key)
        if stamps[s] == stamp:
            repeats += 1
            characters += i - piece
        keys[s], stamps[s] = key, stamp
        pieces += 1
        if i >= end:
            return pieces, repeats, characters
        i = piece = run
        h = uint64(FNV_BASIS)


@kernel
def _top_ngram(word_hash, letters, words, n, keys, stamps, tally, first, stamp, mask):
    """Characters, inner spaces included, times count of the most frequent n-gram; of several, the first in the text."""
    most, best = 0, 0
    for i in range(words - n + 1):
        h = uint64(0)
        for j in range(i, i + n):
            h = h * uint64(BASE) + word_hash[j]
        key = mix64(h)
        s = _slot(keys, stamps, stamp, mask, key)
        if stamps[s] != stamp:
            keys[s], stamps[s], tally[s], first[s] = key, stamp, 0, i
        tally[s] += 1
        if tally[s] > most or (tally[s] == most and first[s] < best):
            most, best = tally[s], first[s]
    return (letters[best + n] - letters[best] + n - 1) * most if most else 0


@kernel
def _repeated_ngrams(sums, powers, letters, words, n, keys, stamps, stamp, mask):
    """Letters of the n-grams that equal an earlier one, their words joined without spaces; past each hit by n words.

    Nothing found for n says nothing of n + 1: joined words may agree though no shorter window of words does.
    """
    repeated, i = 0, 0
    while i < words - n + 1:
        key = mix64((sums[i + n] - sums[i]) * powers[i])
        s = _slot(keys, stamps, stamp, mask, key)
        if stamps[s] == stamp:
            repeated += letters[i + n] - letters[i]
            i += n
        else:
            keys[s], stamps[s] = key, stamp
            i += 1
    return repeated


@kernel
def _count_lines(points, kind, n, row):
    """Lines as str.splitlines cuts them, by what they begin and end with."""
    lines, bullets, ellipses, i = 0, 0, 0, 0
    while i < n:
        first, end = i, i
        while end < n and not kind[end] & BREAK:
            end += 1
        i = end + 1
        if end + 1 < n and points[end] == 13 and points[end + 1] == NEWLINE:  # CR LF is one end of a line
            i += 1
        last = end - 1
        while first <= last and kind[first] & SPACE:
            first += 1
        while last > first and kind[last] & SPACE:
            last -= 1
        lines += 1
        if first > last:
            continue
        bullets += points[first] == BULLET or points[first] == HYPHEN
        three = last - first >= 2 and points[last] == FULL_STOP
        if points[last] == ELLIPSIS or (three and points[last - 1] == FULL_STOP and points[last - 2] == FULL_STOP):
            ellipses += 1
    row.text_lines, row.bullet_lines, row.ellipsis_lines = lines, bullets, ellipses
