"""The words of a batch as flat arrays: one scan that all rules about words share, no Python object a word.

A word is three numbers: a hash of its characters, how many there are, and what kinds of characters it is made of. That
is enough to count words, to look for stop words, and to find repeated runs of words, also when the words of a run are
joined: the hash is a polynomial in the code points, so the hash of a concatenation follows from the hashes of its
parts. Where a text is cut into words is the choice of a source:

- `whitespace`: the pieces between white space, as `str.split` cuts them. The fastest, and what dolma and Gopher's
  paper count; a word keeps its comma, and a script without spaces has one word a sentence.
- `spacy`: the tokens of spaCy's English tokeniser, punctuation marks being words of their own: datatrove's words.
- `unicode`: the words of Unicode's text segmentation (UAX 29), those with a letter or a digit in them.

Two different words of a document have equal hashes with a chance of about 2^-64; a text made for it can force that,
and then spoils nothing but its own counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numba import int64, uint64

from ...text import decode, inline, kernel, load64, store64, trailing_zeros
from .characters import ALNUM, LETTER, MARK, SPACE, SYMBOL, kinds
from .lines import BLOCK, bits, inside, padded
from .texts import Texts

Source = Literal["whitespace", "spacy", "unicode"]

BASE = 0x9E3779B97F4A7C15  # of the polynomial hash, modulo 2^64
POWERS = np.array([pow(BASE, k, 1 << 64) for k in range(9)], np.uint64)
SUMS = np.r_[np.uint64(0), np.cumsum(POWERS[:8])]  # the hash of so many letters is this more for the 1 added to each
SIGNS = int.from_bytes(b"########", "little")
MOST_STOP_WORDS = 64  # they are the bits of one word of the machine


class Tokens(NamedTuple):
    """w words one after the other."""

    hashes: np.ndarray  # uint64[w]: polynomial hash, (... (c1 + 1) * BASE + c2 + 1) * BASE ... over code points
    letters: np.ndarray  # int32[w]: code points
    kinds: np.ndarray  # uint8[w]: LETTER or MARK one is; SYMBOL all are; ALNUM the first is


def no_tokens(size: int) -> Tokens:
    """Room for `size` words; pages of memory that nothing is written to are never taken."""
    return Tokens(np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.uint8))


@dataclass
class Words:
    """Words of n texts: text i has words first[i] to last[i] of part part[i]."""

    part: np.ndarray  # int32[n]; -1 where nobody asked yet
    first: np.ndarray  # int64[n]
    last: np.ndarray  # int64[n]
    parts: list[tuple[Tokens, np.ndarray]]

    def runs(self, wanted: np.ndarray) -> list[tuple[np.ndarray, Tokens, np.ndarray]]:
        """Of the rows `wanted`, bool[n]: (rows int64[k], the tokens that `first` and `last` point into, joined).

        `joined`, uint8: the letters of a row without what stood between words, the low byte of each code point, from
        where its text begins in the data; eight bytes may be read anywhere. Empty if the source does not give it.
        """
        found = ((np.flatnonzero(wanted & (self.part == p)), *part) for p, part in enumerate(self.parts))
        return [(rows, *part) for rows, *part in found if len(rows)]


_shared: WeakKeyDictionary[Texts, dict[str, Words]] = WeakKeyDictionary()


def words_of(texts: Texts, source: Source, wanted: np.ndarray) -> Words:
    """The words of the rows `wanted` (bool[n]) at least; cut once for all rules that ask for them."""
    kept = _shared.setdefault(texts, {})
    n = len(texts)
    if source not in kept:
        kept[source] = Words(np.full(n, -1, np.int32), np.zeros(n, np.int64), np.zeros(n, np.int64), [])
    words = kept[source]
    rows = np.flatnonzero(wanted & (words.part < 0))
    if len(rows):
        starts, ends = texts.offsets[:-1][rows], texts.offsets[1:][rows]
        joined = np.empty(len(texts.data) + 8 if source == "whitespace" else 0, np.uint8)
        tokens, words.first[rows], words.last[rows] = cut(texts.data, starts, ends, source, joined)
        words.part[rows] = len(words.parts)
        words.parts.append((tokens, joined))
    return words


def cut(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, source: Source, joined: np.ndarray | None = None
) -> tuple[Tokens, np.ndarray, np.ndarray]:
    """(tokens, first int64[k], last int64[k]): the words of k spans, ascending int64[k], of data, uint8[bytes].

    White space fills in `joined`, uint8[bytes + 8], see `Words.runs`.
    """
    if source == "spacy":
        from .spacy_words import cut as cut_spacy

        return cut_spacy(data, starts, ends)
    if source == "unicode":
        from .unicode_words import cut as cut_unicode

        return cut_unicode(data, starts, ends)
    size = int(((ends - starts + 1) // 2).sum())
    tokens, first, last = no_tokens(size), np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    joined = np.empty(len(data) + 8, np.uint8) if joined is None else joined
    _whitespace(padded(data), starts, ends, kinds(), tokens, joined, first, last)
    return tokens, first, last


@kernel
def _whitespace(data, starts, ends, table, tokens, joined, first, last):
    w = 0
    for row in range(len(starts)):
        first[row] = w
        start, end = starts[row], ends[row]
        letter = start  # where the next one goes in `joined`
        begin, before = int64(-1), uint64(1)  # of the word that is open; was there white space before the block?
        for i in range(start, end + 1, BLOCK):  # the end is looked at as well: it ends a word
            space = bits(data, i, end, 32, 32) | bits(data, i, end, 9, 13) | bits(data, i, end, 28, 31)
            space |= ~inside(i, end)
            edges = space ^ (space << uint64(1) | before)  # where words begin and end by turns
            before = space >> uint64(63)
            while edges:
                at = i + trailing_zeros(edges)
                edges &= edges - uint64(1)
                if begin < 0:
                    begin = at
                    continue
                hash_, plain, sign = uint64(0), False, False
                if begin >= 8 and data[begin] < 0x80 and table[data[begin]] & LETTER:
                    hash_, plain, sign = _ascii_word(data, begin, at, joined, letter)
                if plain:
                    tokens.hashes[w], tokens.letters[w] = hash_, at - begin
                    tokens.kinds[w] = LETTER | ALNUM | (MARK if sign else 0)
                    w += 1
                    letter += at - begin
                else:
                    w, letter = _any_words(data, begin, at, table, tokens, w, joined, letter)
                begin = -1
        last[row] = w


@inline
def _eight(x):
    """The hash of eight letters without the 1 that is added to each."""
    h = uint64(0)
    for k in range(8):
        h += (x >> uint64(8 * k) & uint64(0xFF)) * POWERS[7 - k]
    return h


@inline
def _has_sign(x):
    """Is one of eight ASCII letters a number sign?"""
    other = x ^ uint64(SIGNS)
    return ((other - uint64(0x0101010101010101)) & ~other & uint64(0x8080808080808080)) != 0


@inline
def _ascii_word(data, start, end, joined, letter):
    """(hash, is all of it ASCII, is there a number sign in it?), eight letters at a time; eight bytes stand before."""
    head = (end - start - 1 & 7) + 1
    free = uint64(64 - 8 * head)
    x = load64(data, start + head - 8) >> free << free
    store64(joined, letter, x >> free)
    h, any_of, sign = _eight(x) + SUMS[head], x, _has_sign(x)
    at = start + head
    while at < end:
        x = load64(data, at)
        store64(joined, letter + at - start, x)
        h = h * POWERS[8] + _eight(x) + SUMS[8]
        any_of |= x
        sign |= _has_sign(x)
        at += 8
    return h, any_of & uint64(0x8080808080808080) == 0, sign


@kernel
def _any_words(data, start, end, table, tokens, w, joined, letter):
    """Note the words of a text in any script, one letter after the other: (words, letters) with them."""
    letters, h, any_of, all_of, head = 0, uint64(0), 0, SYMBOL, 0
    i = start
    while i < end:
        c, i = decode(data, i)
        k = table[c]
        if not k & SPACE:
            if letters == 0:
                h, any_of, all_of, head = uint64(0), 0, SYMBOL, k
            h = h * uint64(BASE) + uint64(c) + uint64(1)
            joined[letter] = c & 0xFF
            letter += 1
            letters += 1
            any_of |= k
            all_of &= k
        if letters and (k & SPACE or i >= end):
            tokens.hashes[w], tokens.letters[w] = h, letters
            tokens.kinds[w] = (any_of & (LETTER | MARK)) | (all_of & SYMBOL) | (head & ALNUM)
            w += 1
            letters = 0
    return w, letter


# -- what is counted of words -----------------------------------------------------------------------------------------

WORD_COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "words",
            "letters",  # characters of all words
            "plain_words",  # words that are more than symbols
            "plain_letters",  # their characters
            "letter_words",  # words with a letter in them
            "marked_words",  # words with a number sign or an ellipsis in them
            "headed_words",  # words that begin with a letter or a digit
            "different_stop_words",  # how many different stop words occur
            "stop_words",  # how many words are stop words
            "twice_median",  # of the characters a word: of two in the middle their sum, of one its double
        )
    ]
)


def word_hash(word: str) -> int:
    """The hash that a word has in `Tokens`."""
    h = 0
    for character in word:
        h = (h * BASE + ord(character) + 1) & 0xFFFFFFFFFFFFFFFF
    return h


def word_counts(texts: Texts, source: Source, stop_words: Sequence[str] = (), median: bool = False) -> np.ndarray:
    """WORD_COUNTS[n] of the active rows, measured once; `stop_words`: at most 64 different words.

    The median costs a sort, and is 0 where it is not asked for.
    """
    known = tuple(sorted(set(stop_words)))
    if len(known) > MOST_STOP_WORDS:
        raise ValueError(f"{len(known)} stop words; at most {MOST_STOP_WORDS} can be counted")
    hashes = np.array([word_hash(word) for word in known], np.uint64)
    longest = max(map(len, known), default=0)

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        words = words_of(texts, source, wanted)
        for rows, tokens, _ in words.runs(wanted):
            _count(tokens, words.first, words.last, rows, hashes, longest, median, out)

    return texts.shared(("word counts", source, known, median), WORD_COUNTS, fill)


@kernel
def _count(tokens, first, last, rows, stop_hashes, longest, median, out):
    for r in rows:
        a, b, row = first[r], last[r], out[r]
        letters, plain, plain_letters, lettered, marked, headed, stops = 0, 0, 0, 0, 0, 0, 0
        seen = uint64(0)
        for w in range(a, b):
            n, k = int(tokens.letters[w]), tokens.kinds[w]
            letters += n
            if not k & SYMBOL:
                plain += 1
                plain_letters += n
            lettered += (k & LETTER) != 0
            marked += (k & MARK) != 0
            headed += (k & ALNUM) != 0
            if n <= longest:
                h = tokens.hashes[w]
                for s in range(len(stop_hashes)):
                    if stop_hashes[s] == h:
                        seen |= uint64(1) << uint64(s)
                        stops += 1
        different = 0
        while seen:
            seen &= seen - uint64(1)
            different += 1
        row.words, row.letters, row.plain_words, row.plain_letters = b - a, letters, plain, plain_letters
        row.letter_words, row.marked_words, row.headed_words = lettered, marked, headed
        row.different_stop_words, row.stop_words = different, stops
        if median and b > a:
            lengths = np.sort(tokens.letters[a:b])
            row.twice_median = int(lengths[(b - a - 1) // 2]) + int(lengths[(b - a) // 2])
