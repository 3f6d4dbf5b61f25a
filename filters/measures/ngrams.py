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

from ...text import inline, kernel, mix64
from .characters import ALNUM
from .texts import Texts
from .words import BASE, Source, words_of

TAKEN = 1 << 63  # is set in every key, so that none is 0

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
        for rows, tokens in words.runs(wanted):
            _scan(tokens, words.first, words.last, rows, table)

    return texts.shared(("scanned n-grams", source), SCANNED, fill)


def copied_ngrams(texts: Texts, source: Source, headed: bool) -> np.ndarray:
    """COPIED[n] of the active rows, counted once; `headed`: of the words alone that begin with a letter or a digit."""

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        words = words_of(texts, source, wanted)
        table = out.view(np.int64).reshape(len(out), -1)
        for rows, tokens in words.runs(wanted):
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
def _slot(keys, mask, key):
    """Where `key` is, or would be: there is none where a zero stands."""
    s = int64(key) & mask
    while keys[s] != uint64(0) and keys[s] != key:
        s = (s + 1) & mask
    return s


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
def _scan(tokens, first, last, rows, out):
    most, size = _room(first, last, rows)
    mixed, sums, letters = np.empty(most, np.uint64), np.empty(most + 1, np.uint64), np.empty(most + 1, np.int64)
    keys, tally = np.empty(size, np.uint64), np.empty(size, np.int32)
    slots, again = np.empty(most, np.int32), np.empty(most + 1, np.bool_)
    powers = _powers(1024)
    for r in rows:
        a, words = first[r], last[r] - first[r]
        before, total = 0, uint64(0)
        letters[0], sums[0] = 0, total
        for w in range(words):
            h, n = tokens.hashes[a + w], int(tokens.letters[a + w])
            mixed[w] = mix64(h)
            before += n
            total = total * _power(powers, n) + h
            letters[w + 1], sums[w + 1] = before, total
            again[w] = True
        mask = _mask(words)
        for n in range(2, 5):
            keys[: mask + 1] = 0
            out[r, n - 2] = _top(mixed, letters, words, n, keys, tally, slots, again, mask)
        for n in range(5, 11):
            keys[: mask + 1] = 0
            out[r, n - 2] = _repeated(sums, powers, letters, words, n, keys, mask)


@kernel
def _top(mixed, letters, words, n, keys, tally, slots, again, mask):
    """Characters, inner spaces included, times count of the most frequent n-gram; of several, the first in the text.

    `again`, bool[words]: does the run of n - 1 words that begins here come again? Only such can begin an n-gram that
    does; afterwards it says the same of n.
    """
    runs, most, best = words - n + 1, 1, -1
    for i in range(runs):
        if again[i] and again[i + 1]:
            h = uint64(0)
            for j in range(i, i + n):
                h = h * uint64(BASE) + mixed[j]
            key = mix64(h) | uint64(TAKEN)
            s = _slot(keys, mask, key)
            if keys[s] == uint64(0):
                keys[s], tally[s] = key, 0
            tally[s] += 1
            slots[i] = s
            most = max(most, tally[s])
    for i in range(runs):
        count = tally[slots[i]] if again[i] and again[i + 1] else 1
        if best < 0 and count == most:
            best = i
        again[i] = count > 1
    if runs > 0:
        again[runs] = False
    return (letters[best + n] - letters[best] + n - 1) * most if runs > 0 else 0


@kernel
def _repeated(sums, powers, letters, words, n, keys, mask):
    """Letters of the n-grams that equal an earlier one, their words joined without spaces; past each hit by n words.

    Nothing found for n says nothing of n + 1: joined words may agree though no shorter window of words does.
    """
    repeated, i = 0, 0
    while i < words - n + 1:
        length = letters[i + n] - letters[i]
        key = mix64(sums[i + n] - sums[i] * _power(powers, length)) | uint64(TAKEN)
        s = _slot(keys, mask, key)
        if keys[s] == key:
            repeated += length
            i += n
        else:
            keys[s] = key
            i += 1
    return repeated


@kernel
def _copies(tokens, first, last, rows, headed, out):
    most, size = _room(first, last, rows)
    mixed, letters, slots = np.empty(most, np.uint64), np.empty(most + 1, np.int64), np.empty(most, np.int64)
    keys, tally = np.empty(size, np.uint64), np.empty(size, np.int32)
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
            keys[: mask + 1] = 0
            count, copied, every = 0, 0, 0
            for i in range(words - n + 1):
                h = uint64(0)
                for j in range(i, i + n):
                    h = h * uint64(BASE) + mixed[j]
                key = mix64(h) | uint64(TAKEN)
                s = _slot(keys, mask, key)
                if keys[s] == uint64(0):
                    keys[s], tally[s] = key, 0
                tally[s] += 1
                slots[i] = s
                length = letters[i + n] - letters[i]
                every += length
                if tally[s] > 1:  # the second copy stands for the first as well
                    copied += 2 * length if tally[s] == 2 else length
                count = max(count, tally[s])
            if n < 5:
                earliest, longest = -1, 0
                for i in range(words - n + 1):
                    if tally[slots[i]] == count:
                        length = letters[i + n] - letters[i]
                        longest = max(longest, length)
                        if earliest < 0:
                            earliest = length
                out[r, n - 1], out[r, n + 2], out[r, n + 5] = count, max(earliest, 0), longest
            else:
                covered, until = 0, 0
                for i in range(words - n + 1):
                    if tally[slots[i]] > 1:
                        covered += letters[i + n] - letters[max(i, until)]
                        until = i + n
                out[r, n + 5], out[r, n + 11], out[r, n + 17] = every, copied, covered
