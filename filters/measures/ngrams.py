"""Repeated runs of words, as Gopher's repetition rules ask for them; over the word arrays of `words`.

Rae et al. 2021 leave open what the characters of a repeat are; the tools read it in three ways, and all are counted:
datatrove jumps over each repeat it finds and compares runs with their words joined, dolma adds up the characters of
all copies, DCLM marks every word that any repeated run covers. A run is known by a 64-bit hash, without a comparison.

Scratch memory is an open-addressing table for the longest document of the batch, of which each document clears and
uses as much as it has words, so that short documents stay in the nearest cache.
"""

from __future__ import annotations

import numpy as np
from numba import int64, uint64

from ...text import inline, kernel, load64, mix64
from .characters import ALNUM
from .texts import Texts
from .words import BASE, Source, words_of

ALIKE = 12  # letters that two equal runs of words begin with, unless they have fewer

# datatrove's reading
SCANNED = np.dtype(
    [
        *((f"top_{n}_gram", np.int64) for n in (2, 3, 4)),  # characters, with spaces, times count of the top one
        *((f"duplicate_{n}_gram", np.int64) for n in range(5, 11)),  # letters of those seen before, without overlap
    ]
)
# dolma's and DCLM's readings; letters only
COPIED = np.dtype(
    [
        ("letters", np.int64),  # of the words looked at
        *((f"top_{n}_count", np.int64) for n in (2, 3, 4)),
        *((f"top_{n}_first", np.int64) for n in (2, 3, 4)),  # letters of the most frequent, of several the first
        *((f"top_{n}_longest", np.int64) for n in (2, 3, 4)),  # the same, of several the longest
        *((f"all_{n}_grams", np.int64) for n in range(5, 11)),  # letters of all n-grams, each for itself
        *((f"copied_{n}_grams", np.int64) for n in range(5, 11)),  # of those n-grams that occur more than once
        *((f"covered_{n}_grams", np.int64) for n in range(5, 11)),  # of the words in any n-gram that does
    ]
)


def scanned_ngrams(texts: Texts, source: Source) -> np.ndarray:
    """SCANNED[n] of the active rows, counted once."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        words = words_of(texts, source, wanted)
        table = out.view(np.int64).reshape(len(out), -1)
        for rows, tokens, joined in words.runs(wanted):
            _scan(tokens, words.first, words.last, rows, joined, texts.offsets, table)

    return texts.shared(("scanned n-grams", source), SCANNED, fill)


def copied_ngrams(texts: Texts, source: Source, headed: bool) -> np.ndarray:
    """COPIED[n] of the active rows, counted once; `headed`: of the words alone that begin with a letter or a digit."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        words = words_of(texts, source, wanted)
        table = out.view(np.int64).reshape(len(out), -1)
        for rows, tokens, _ in words.runs(wanted):
            _copies(tokens, words.first, words.last, rows, headed, table)

    return texts.shared(("copied n-grams", source, headed), COPIED, fill)


@kernel
def _powers(size):
    """BASE to the powers of 0 to size - 1."""
    powers = np.empty(size, np.uint64)
    p = uint64(1)
    for i in range(size):
        powers[i] = p
        p *= uint64(BASE)
    return powers


@inline
def _power(powers, exponent):
    """BASE^exponent, which is in the table unless a run of words is longer than most."""
    if exponent < len(powers):
        return powers[exponent]
    result, square, e = uint64(1), uint64(BASE), exponent
    while e:
        if e & 1:
            result *= square
        square *= square
        e >>= 1
    return result


@inline
def _first(table, mask, keys, j):
    """The first of keys[: j + 1] that equals keys[j], if all before j were looked up: `table` has their places + 1."""
    s = int64(keys[j]) & mask
    while table[s] != 0 and keys[table[s] - 1] != keys[j]:
        s = (s + 1) & mask
    if table[s] == 0:
        table[s] = j + 1
    return table[s] - 1


@inline
def _mask(words):
    """Of a table for so many runs: nearly empty while that is cheap, so that most looks find their slot at once."""
    size, room = 16, 8 * words if words < 4096 else 2 * words
    while size < room:
        size *= 2
    return size - 1


@kernel
def _room(first, last, rows):
    """(words, slots) that the largest of the documents need; the longest may use fewer slots than a shorter one."""
    most, slots = 0, 0
    for r in rows:
        words = last[r] - first[r]
        most, slots = max(most, words), max(slots, _mask(words) + 1)
    return most, slots


@kernel
def _scan(tokens, first, last, rows, joined, places, out):
    most, size = _room(first, last, rows)
    mixed, sums, letters = np.empty(most, np.uint64), np.empty(most + 1, np.uint64), np.empty(most + 1, np.int64)
    keys, tally, table = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(size, np.int32)
    firsts, where = np.empty(most, np.int32), np.empty(most, np.int64)
    powers = _powers(1024)
    for r in rows:
        a, words = first[r], last[r] - first[r]
        before, total = 0, uint64(0)
        letters[0], sums[0] = 0, total
        for w in range(words):
            h, n = tokens.hashes[a + w], int(tokens.letters[a + w])
            mixed[w], where[w] = mix64(h), w
            before += n
            total = total * _power(powers, n) + h
            letters[w + 1], sums[w + 1] = before, total
        found = words - 1
        for n in range(2, 5):
            mask = min(_mask(found), size - 1)
            table[: mask + 1] = 0
            if words >= n:
                out[r, n - 2], found = _top(mixed, letters, n, where, found, keys, tally, firsts, table, mask)
        mask = _mask(words)
        table[: mask + 1] = 0
        found = _likely(joined, places[r], letters, words, keys, tally, firsts, where, table, mask)
        mask = min(_mask(found), size - 1)
        for n in range(5, 11):
            table[: mask + 1] = 0
            out[r, n - 2] = _repeated(sums, powers, letters, words, n, where[:found], keys, table, mask)


@kernel
def _top(mixed, letters, n, where, found, keys, tally, firsts, table, mask):
    """Characters, inner spaces included, times count of the most frequent n-gram; of several, the first in the text.

    `where`, int64[found]: where n-grams begin that may occur again, afterwards the same of n + 1: there is one where
    two begin, one after the other, that do occur again. Gives how many as well.
    """
    most, more = 1, 0
    for j in range(found):
        h = uint64(0)
        for i in range(where[j], where[j] + n):
            h = h * uint64(BASE) + mixed[i]
        keys[j], tally[j] = mix64(h), 0
        f = firsts[j] = _first(table, mask, keys, j)
        tally[f] += 1
        most = max(most, tally[f])
    best, again, last = 0 if most == 1 else -1, False, -1
    for j in range(found):
        i, count = where[j], tally[firsts[j]]
        if best < 0 and count == most:
            best = i
        where[more] = last
        more += again & (count > 1) & (i == last + 1)
        again, last = count > 1, i
    return (letters[best + n] - letters[best] + n - 1) * most, more


@kernel
def _likely(joined, place, letters, words, keys, tally, firsts, where, table, mask):
    """Note where runs of five words or more begin that may equal others; how many such places there are.

    Equal runs of at least ALIKE letters begin at places whose first ALIKE letters are equal, however these are cut into
    words. A place whose first five words have fewer letters may begin a shorter run, and is always noted.
    """
    places, found = 0, 0
    while len(joined) and places < words - 4 and letters[words] - letters[places] >= ALIKE:
        at = place + letters[places]
        keys[places], tally[places] = mix64(mix64(load64(joined, at)) ^ load64(joined, at + ALIKE - 8)), 0
        f = firsts[places] = _first(table, mask, keys, places)
        tally[f] += 1
        places += 1
    for i in range(words - 4):
        where[found] = i
        found += i >= places or letters[i + 5] - letters[i] < ALIKE or tally[firsts[i]] > 1
    return found


@kernel
def _repeated(sums, powers, letters, words, n, where, keys, table, mask):
    """Letters of the n-grams that equal an earlier one, their words joined without spaces; past each hit by n words.

    Nothing found for n says nothing of n + 1: joined words may agree though no shorter window of words does.
    """
    repeated, past, looked = 0, 0, 0
    for i in where:
        if i < past or i > words - n:
            continue
        length = letters[i + n] - letters[i]
        keys[looked] = mix64(sums[i + n] - sums[i] * _power(powers, length))
        if _first(table, mask, keys, looked) < looked:
            repeated += length
            past = i + n
        looked += 1
    return repeated


@kernel
def _copies(tokens, first, last, rows, headed, out):
    most, size = _room(first, last, rows)
    mixed, letters, firsts = np.empty(most, np.uint64), np.empty(most + 1, np.int64), np.empty(most, np.int32)
    keys, tally, table = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(size, np.int32)
    for r in rows:
        words, before = 0, 0
        letters[0] = 0
        for w in range(first[r], last[r]):
            if headed and not tokens.kinds[w] & ALNUM:
                continue
            mixed[words] = mix64(tokens.hashes[w])
            before += int(tokens.letters[w])
            words += 1
            letters[words] = before
        mask = _mask(words)
        out[r, 0] = before
        for n in range(2, 11):
            table[: mask + 1] = 0
            count, copied, every = 0, 0, 0
            for i in range(words - n + 1):
                h = uint64(0)
                for j in range(i, i + n):
                    h = h * uint64(BASE) + mixed[j]
                keys[i], tally[i] = mix64(h), 0
                f = firsts[i] = _first(table, mask, keys, i)
                tally[f] += 1
                length = letters[i + n] - letters[i]
                every += length
                if tally[f] > 1:  # the second copy stands for the first as well
                    copied += 2 * length if tally[f] == 2 else length
                count = max(count, tally[f])
            if n < 5:
                earliest, longest = -1, 0
                for i in range(words - n + 1):
                    if tally[firsts[i]] == count:
                        length = letters[i + n] - letters[i]
                        longest = max(longest, length)
                        if earliest < 0:
                            earliest = length
                out[r, n - 1], out[r, n + 2], out[r, n + 5] = count, max(earliest, 0), longest
            else:
                covered, until = 0, 0
                for i in range(words - n + 1):
                    if tally[firsts[i]] > 1:
                        covered += letters[i + n] - letters[max(i, until)]
                        until = i + n
                out[r, n + 5], out[r, n + 11], out[r, n + 17] = every, copied, covered
