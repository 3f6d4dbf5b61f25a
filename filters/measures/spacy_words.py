"""spaCy's English words at the speed of a scan: ordinary chunks are cut here, all others once, and remembered.

The idea: spaCy's tokens are a function of the chunk between white space. Nine chunks in ten are letters with a mark or
two around them; they are cut by tables of characters (`spacy_english`) that spaCy's own expressions filled. The others
("don't", addresses, smileys, prices) are looked up in a compiled table by 128 bits of hash; what is not there is
collected, cut by spaCy itself, put there, and the texts that had it are read again. The price: the table is bounded by
being emptied between batches once it is full, and a batch of nothing but new oddities costs spaCy's own time.

Checked against spaCy token by token; see `spacy_english` for two places where it is not followed. One more is that of
the special cases that seem to cross a space: they are rare, found exactly, and cost a second look at their text.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from ...text import decode, inline, kernel, mix64
from .characters import ALNUM, LETTER, MARK, SPACE, SYMBOL, kinds
from .spacy_english import (
    DIGIT,
    DOT_AFTER,
    FULL_STOP,
    JOINT,
    LIMIT,
    LOWER,
    PREFIX,
    SUFFIX,
    UPPER,
    SpacyEnglish,
)
from .words import BASE, Tokens, no_tokens

MOST_ENTRIES = 1 << 18  # of the table, some 20 MB; emptied before the next batch once there are more
LONGEST_PLAIN = 48  # characters of a chunk that is cut here
PLACES = 1024  # of unknown chunks to make room for at first
GAP = 1  # bit of a token's kinds: before it stands a token of white space


class Rules(NamedTuple):
    """Tables of `spacy_english`, as the kernels take them."""

    table: np.ndarray  # uint8[code points], `characters.kinds`
    properties: np.ndarray
    indices: np.ndarray
    pairs: np.ndarray
    mark_kinds: np.ndarray
    runs: np.ndarray  # uint64[slots], an open-addressing set; 0 is empty
    neighbours: np.ndarray  # the same


class Memo(NamedTuple):
    """Chunks that spaCy cut: an open-addressing table into an arena of tokens."""

    low: np.ndarray  # uint64[slots]; 0 is empty
    high: np.ndarray  # uint64[slots]
    first: np.ndarray  # int64[slots] into the arena
    last: np.ndarray  # int64[slots]
    loose: np.ndarray  # bool[slots]
    hashes: np.ndarray  # uint64[tokens], as in `Tokens`
    letters: np.ndarray  # int32[tokens]
    kinds: np.ndarray  # uint8[tokens]


def cut(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[Tokens, np.ndarray, np.ndarray]:
    """(tokens, first int64[k], last int64[k]): spaCy's words of k spans, int64[k] each, of data, uint8[bytes]."""
    tokens, first, last, _ = cutter().cut(data, starts, ends)
    return tokens, first, last


@cache
def cutter() -> Cutter:
    """The one of this process, with what it remembers."""
    return Cutter()


class Cutter:
    """Cuts texts and remembers chunks; `most_entries` bounds what it remembers between batches."""

    def __init__(self, most_entries: int = MOST_ENTRIES):
        english = self._english = SpacyEnglish()
        self._rules = Rules(
            kinds(),
            english.properties,
            english.indices,
            english.pairs,
            english.mark_kinds,
            _set(english.runs),
            _set(english.neighbours),
        )
        self._most, self._lock = most_entries, Lock()
        self._forget()

    def _forget(self) -> None:
        self._memo, self._entries, self._arena = _memo(1 << 12, 1 << 14), 0, 0

    def cut(
        self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[Tokens, np.ndarray, np.ndarray, np.ndarray]:
        """(tokens, first, last, bool[k] there is white space behind the last token); see the function `cut`."""
        n = len(starts)
        tokens = no_tokens(int((ends - starts).sum()))
        first, last, tail = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, bool)
        rows, used, places = np.arange(n), 0, PLACES
        with self._lock:
            if self._entries > self._most:
                self._forget()
            while len(rows):
                unknown = np.empty((places, 2), np.int64)
                left = np.zeros(len(rows), bool)
                used, count = _cut(
                    data, starts, ends, rows, self._rules, self._memo, tokens, used, first, last, tail, left, unknown
                )
                rows = rows[left]
                self._learn({bytes(data[a:b]) for a, b in unknown[:count]})
                places = min(4 * places, 1 << 16)
        return tokens, first, last, tail

    def _learn(self, chunks: set[bytes]) -> None:
        """Have spaCy cut chunks, and remember how."""
        if not chunks:
            return
        known = sorted(chunks)
        units = self._english.units([chunk.decode() for chunk in known])
        tokens = sum(len(unit.starts) for unit in units)
        slots, arena = len(self._memo.low), len(self._memo.hashes)
        while slots < 2 * (self._entries + len(known)):
            slots *= 2
        while arena < self._arena + tokens:
            arena *= 2
        if (slots, arena) != (len(self._memo.low), len(self._memo.hashes)):
            old, self._memo = self._memo, _memo(slots, arena)
            for name in ("hashes", "letters", "kinds"):
                getattr(self._memo, name)[: self._arena] = getattr(old, name)[: self._arena]
            _move(old, self._memo)
        self._arena = _remember(
            np.frombuffer(b"".join(known), np.uint8),
            np.cumsum([0] + [len(chunk) for chunk in known]),
            np.cumsum([0] + [len(unit.starts) for unit in units]),
            np.array([start for unit in units for start in unit.starts], np.int64),
            np.array([length for unit in units for length in unit.lengths], np.int64),
            np.array([flag for unit in units for flag in unit.flags], np.uint8),
            np.array([unit.loose for unit in units], bool),
            self._rules.table,
            self._memo,
            self._arena,
        )
        self._entries += len(known)


def _memo(slots: int, arena: int) -> Memo:
    return Memo(
        np.zeros(slots, np.uint64),
        np.empty(slots, np.uint64),
        np.empty(slots, np.int64),
        np.empty(slots, np.int64),
        np.empty(slots, bool),
        *no_tokens(arena),
    )


def _set(hashes: np.ndarray) -> np.ndarray:
    """uint64[slots]: a set that `_member` looks into."""
    slots = np.zeros(1 << (4 * len(hashes)).bit_length(), np.uint64)
    for h in map(int, hashes):
        s = (h ^ (h >> 32)) & (len(slots) - 1)
        while slots[s]:
            s = (s + 1) & (len(slots) - 1)
        slots[s] = h
    return slots


# -- the compiled part -------------------------------------------------------------------------------------------------


@inline
def _member(slots, h):
    mask = len(slots) - 1
    s = int64(h ^ (h >> uint64(32))) & mask
    while slots[s] != uint64(0) and slots[s] != h:
        s = (s + 1) & mask
    return slots[s] == h


@inline
def _key(data, start, end):
    """128 bits of hash of the bytes of a chunk; the first half is never 0."""
    low, high = uint64(0xCBF29CE484222325), uint64(end - start)
    for i in range(start, end):
        c = uint64(data[i])
        low = (low ^ c) * uint64(0x100000001B3)
        high = high * uint64(BASE) + c + uint64(1)
    return mix64(low) | uint64(1 << 63), mix64(high)


@inline
def _find(lows, highs, low, high):
    """The slot of a key, or the empty one where it would be."""
    mask = len(lows) - 1
    s = int64(low) & mask
    while lows[s] != uint64(0) and (lows[s] != low or highs[s] != high):
        s = (s + 1) & mask
    return s


@kernel
def _move(old, new):
    for s in range(len(old.low)):
        if old.low[s] != uint64(0):
            t = _find(new.low, new.high, old.low[s], old.high[s])
            new.low[t], new.high[t], new.loose[t] = old.low[s], old.high[s], old.loose[s]
            new.first[t], new.last[t] = old.first[s], old.last[s]


@kernel
def _remember(data, bounds, groups, starts, lengths, flags, loose, table, memo, used):
    for chunk in range(len(loose)):
        low, high = _key(data, bounds[chunk], bounds[chunk + 1])
        s = _find(memo.low, memo.high, low, high)
        memo.low[s], memo.high[s], memo.loose[s] = low, high, loose[chunk]
        memo.first[s] = used
        i, place = bounds[chunk], 0
        for t in range(groups[chunk], groups[chunk + 1]):
            while place < starts[t]:  # the space between the chunks of a unit
                _, i = decode(data, i)
                place += 1
            h, any_of, all_of, head = uint64(0), 0, SYMBOL, 0
            for n in range(lengths[t]):
                c, i = decode(data, i)
                k = table[c]
                head = k if n == 0 else head
                h = h * uint64(BASE) + uint64(c) + uint64(1)
                any_of |= k
                all_of &= k
            place += lengths[t]
            memo.hashes[used], memo.letters[used] = h, lengths[t]
            kind = (any_of & (LETTER | MARK)) | (all_of & SYMBOL) | (head & ALNUM)
            memo.kinds[used] = kind | flags[t]
            used += 1
        memo.last[s] = used
    return used


@kernel
def _cut(data, starts, ends, rows, rules, memo, tokens, used, first, last, tail, left, unknown):
    """Cut the texts `rows`; those with a chunk that is not known are `left`, their chunks go to `unknown`."""
    points, marks = np.empty(LONGEST_PLAIN, np.uint32), np.empty(LONGEST_PLAIN, np.uint8)
    bounds = np.empty(LONGEST_PLAIN + 1, np.int64)
    count = 0
    for k in range(len(rows)):
        r = rows[k]
        for join in range(2):
            w, gap, loose, missing = _text(
                data, starts[r], ends[r], join == 1, rules, memo, tokens, used, unknown, count, points, marks, bounds
            )
            if missing > count or not loose:
                break
        if missing > count:
            left[k] = True
            count = missing
            if count == len(unknown):
                left[k:] = True
                break
        else:
            first[r], last[r], tail[r] = used, w, gap
            used = w
    return used, count


@kernel
def _text(data, i, end, join, rules, memo, tokens, w, unknown, missing, points, marks, bounds):
    """The words of a text: (past the last, is there white space behind it, is a chunk loose, past the last unknown).

    `join`: chunks that a special case might join are cut as one where one of them is loose. All is in one function,
    for a call that hands on the tables costs more than a chunk.
    """
    table, properties, indices, pairs = rules.table, rules.properties, rules.indices, rules.pairs
    mark_kinds, runs, neighbours = rules.mark_kinds, rules.runs, rules.neighbours
    lows, highs, firsts, lasts = memo.low, memo.high, memo.first, memo.last
    known_hashes, known_letters, known_kinds = memo.hashes, memo.letters, memo.kinds
    hashes, letters, word_kinds = tokens.hashes, tokens.letters, tokens.kinds

    begin, loose = i, False
    unit, unit_w, unit_chunks, unit_loose = i, w, 0, False  # the chunks that hang together up to here
    while True:
        # white space: all but a single space is a token of its own, which is no word but parts sentences
        at = i
        while i < end:
            c, following = decode(data, i)
            if not table[c] & SPACE:
                break
            i = following
        gap = i > at and (at == begin or i > at + 1 or data[at] != 32)
        if not (join and at > begin and i < end and not gap and _neighbours(data, at, neighbours)):
            if unit_chunks > 1 and unit_loose and missing < len(unknown):
                w, missing = _known(data, unit, at, memo, tokens, unit_w, unknown, missing)
            unit, unit_w, unit_chunks, unit_loose = i, w, 0, False
        if i >= end or missing == len(unknown):
            return w, gap, loose, missing

        # most chunks are letters alone, which are a word unless they are part of a special case
        start, before, h, length, past, over = i, w, uint64(0), 0, -1, False
        while i < end:
            c, following = decode(data, i)
            p = int(properties[c]) if c < LIMIT else 0
            if not p & (LOWER | UPPER):
                over = (table[c] & SPACE) != 0
                break
            h = h * uint64(BASE) + uint64(c) + uint64(1)
            length += 1
            i = following
        if over or i >= end:
            if not _member(runs, h):
                hashes[w], letters[w], word_kinds[w] = h, length, LETTER | ALNUM
                past = w + 1
        else:
            while i < end:
                c, following = decode(data, i)
                if table[c] & SPACE:
                    break
                i = following
            if i - start <= LONGEST_PLAIN:
                parts = _plain(data, start, i, properties, indices, pairs, runs, points, marks, bounds)
                for t in range(parts):
                    h, any_of, all_of = uint64(0), 0, SYMBOL
                    for k in range(bounds[t], bounds[t + 1]):
                        kind = table[points[k]]
                        any_of |= kind
                        all_of &= kind
                        h = h * uint64(BASE) + uint64(points[k]) + uint64(1)
                    k = bounds[t]
                    kind = (any_of & (LETTER | MARK)) | (all_of & SYMBOL) | (table[points[k]] & ALNUM)
                    if bounds[t + 1] == k + 1 and not marks[k] & (LOWER | UPPER | DIGIT):
                        kind |= mark_kinds[indices[points[k]]]
                    hashes[w], letters[w], word_kinds[w] = h, bounds[t + 1] - k, kind
                    w += 1
                if parts > 0:
                    past = w

        # the others are as spaCy cut them
        if past < 0:
            low, high = _key(data, start, i)
            s = _find(lows, highs, low, high)
            if lows[s] == uint64(0):
                unknown[missing, 0], unknown[missing, 1] = start, i
                missing += 1
            else:
                for t in range(firsts[s], lasts[s]):
                    hashes[w], letters[w], word_kinds[w] = known_hashes[t], known_letters[t], known_kinds[t]
                    w += 1
                if memo.loose[s]:
                    loose = unit_loose = True
            past = w
        w = past
        unit_chunks += 1
        if gap and w > before:
            word_kinds[before] |= GAP


@kernel
def _known(data, start, end, memo, tokens, w, unknown, missing):
    """The words of chunks that hang together, as spaCy cut them: (past the last, past the last unknown)."""
    low, high = _key(data, start, end)
    s = _find(memo.low, memo.high, low, high)
    if memo.low[s] == uint64(0):
        unknown[missing, 0], unknown[missing, 1] = start, end
        return w, missing + 1
    for t in range(memo.first[s], memo.last[s]):
        tokens.hashes[w], tokens.letters[w] = memo.hashes[t], memo.letters[t]
        tokens.kinds[w] = memo.kinds[t] | (tokens.kinds[w] & GAP if t == memo.first[s] else 0)
        w += 1
    return w, missing


@kernel
def _neighbours(data, i, neighbours):
    """Does a special case hold side by side the characters before and after the space data[i]?"""
    right, _ = decode(data, i + 1)
    before = i - 1
    while data[before] & 0xC0 == 0x80:
        before -= 1
    left, _ = decode(data, before)
    return _member(neighbours, (uint64(left) + uint64(1)) * uint64(BASE) + uint64(right) + uint64(1))


# -- ordinary chunks ---------------------------------------------------------------------------------------------------
#
# marks, a core of letters and digits, marks. spaCy takes a mark off either end, again and again, looking each time
# whether what is left is a special case; then it cuts the core at its infixes. No rest is a special case if no run of
# letters and digits in it is part of one; and the marks that come off are what they are alone if no two of them make
# another suffix or a special case.


@inline
def _plain(data, start, end, properties, indices, pairs, runs, points, marks, bounds):
    """How many tokens such a chunk has, their `bounds` in its characters, `points`; -1 for another chunk."""
    n, i = 0, start
    while i < end:
        c, i = decode(data, i)
        p = int(properties[c]) if c < LIMIT else 0
        if p == 0:
            return -1
        points[n], marks[n] = c, p
        n += 1
    a, b = 0, n
    while a < n and marks[a] & PREFIX:
        a += 1
    while b > a and marks[b - 1] & (SUFFIX | FULL_STOP):
        b -= 1
    if a == b:
        return -1
    for k in range(n - 1):
        if (k + 1 < a or k >= b) and not pairs[128 * int(indices[points[k]]) + int(indices[points[k + 1]])]:
            return -1
    for k in range(b, n):
        if marks[k] & FULL_STOP:  # comes off after a small letter, a digit, two large letters, or some marks
            two = marks[k - 1] & UPPER and k - 2 >= a and marks[k - 2] & UPPER
            if not (two or marks[k - 1] & (LOWER | DIGIT | DOT_AFTER)):
                return -1
    for k in range(a + 1):
        bounds[k] = k
    parts = _core(points, marks, a, b, runs, bounds)
    if parts > 0:
        for k in range(b, n):
            parts += 1
            bounds[parts] = k + 1
    return parts


@kernel
def _core(points, marks, k, end, runs, bounds):
    """The same of its core points[k:end], which `parts` tokens precede: runs of letters and digits with joints."""
    begin, parts, dots, cuts = k, k, False, False
    while True:
        run, h, digits = k, uint64(0), False
        while k < end and marks[k] & (LOWER | UPPER | DIGIT):
            if marks[k] & DIGIT:
                digits = True
            elif digits:
                return -1  # 10km is two words
            h = h * uint64(BASE) + uint64(points[k]) + uint64(1)
            k += 1
        if run == k:
            return -1
        apostrophe = run > begin and (points[run - 1] == 39 or points[run - 1] == 0x2019)
        genitive = apostrophe and k == end and k - run == 1 and (points[run] == 115 or points[run] == 83)
        if genitive:
            parts += 1
            bounds[parts] = run - 1
        elif _member(runs, h):
            return -1
        if k == end:
            break
        if not marks[k] & JOINT or k + 1 == end:
            return -1
        c, left, right, wide = points[k], marks[k - 1] & DIGIT, marks[k + 1] & DIGIT, 1
        if c == 46:  # a full stop between digits; elsewhere it might be an address
            if not (left and right):
                return -1
            dots, cut = True, False
        elif c == 44:  # a comma between letters or digits
            if (left == 0) != (right == 0):
                return -1
            cut = left == 0
        elif c == 45:  # two of them between letters are one mark
            cut = left != 0 or right == 0
            if points[k + 1] == 45:
                if left or k + 2 == end or not marks[k + 2] & (LOWER | UPPER):
                    return -1
                wide = 2
        else:
            cut = right == 0 and c != 39 and c != 0x2019
        if cut:
            bounds[parts + 1], bounds[parts + 2] = k, k + wide
            parts += 2
            begin, cuts = k + wide, True
        k += wide
    bounds[parts + 1] = end
    return -1 if dots and cuts else parts + 1
