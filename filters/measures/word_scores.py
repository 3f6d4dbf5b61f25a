"""Mean scores of texts, a word and a run of words at a time, as fastText reads them; compiled, over Arrow buffers.

fastText averages a vector for each word and each run of words and multiplies the mean by one vector a label. Both are
linear, so the product can be taken once for each word instead: what is left of a word is one number a label (`fold`),
and a text is a sum of look-ups. The table is some fifty times smaller than the model and stays in the cache.

How a text falls into words and where runs of words and of characters are hashed to is fastText's (`dictionary.cc`,
MIT): white space is one of seven ASCII characters, a text ends with the word `</s>`, which may also stand in it, and
a word that looks like a label counts for nothing. Its hash is FNV-1a (Fowler, Noll and Vo) over bytes taken as signed.
Words are known by 64 bits of hash, uncompared: a word that is not in a dictionary of a million is taken for one that is
with a chance of 10^-13.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int32, int64, uint32, uint64

from ...text import inline, kernel, load64, mix64

BASIS32, PRIME32 = 2166136261, 16777619
RUN = 116049371  # what the hash of a run of words is multiplied by before the next word is added
END, LABEL = (int.from_bytes(word, "little") for word in (b"</s>", b"__label_"))
EACH = 0x0101010101010101  # times a byte: that byte in all eight places
AT_ONCE = 64  # words whose look-ups overlap
EXACT_BUCKETS = 1 << 13  # more than these, and a quotient in floating point is wrong by one at most


@inline
def _eight(data, at):
    """Eight bytes from `at`; beyond the end of the array they are 0, which is white space."""
    if at + 8 <= len(data):
        return load64(data, at)
    word = uint64(0)
    for i in range(at, len(data)):
        word |= uint64(data[i]) << uint64(8 * (i - at))
    return word


@inline
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@inline
def _word(data, at, stop):
    """(key, end) of the word that begins at data[at]: 64 bits of hash, never 0, eight bytes a step."""
    h = uint64(0)
    while True:
        eight = _eight(data, at)
        low = (eight - uint64(33 * EACH)) & ~eight & uint64(128 * EACH)  # bytes up to 32, and some that follow one
        size = 8
        while low:
            first = low & (~low + uint64(1))
            before = (first >> uint64(7)) - uint64(1)  # all bits of the bytes below
            size = int64(((before & uint64(EACH)) * uint64(EACH)) >> uint64(56))
            if _is_space((eight >> uint64(8 * size)) & uint64(255)):
                break
            low ^= first
            size = 8
        if at + size >= stop:
            size = stop - at
        if size < 8:
            eight &= (uint64(1) << uint64(8 * size)) - uint64(1)
        h = (h ^ eight) * uint64(0x9E3779B97F4A7C15)
        h ^= h >> uint64(32)
        at += size
        if size < 8:  # a word of eight bytes ends with none
            break
    h = mix64(h)
    return (h if h != uint64(0) else uint64(1)), at


@inline
def _fnv32(h, byte):
    signed = uint32(byte) if byte < 128 else uint32(byte) | uint32(0xFFFFFF00)
    return uint32(uint32(h ^ signed) * uint32(PRIME32))


@inline
def _hash(data, start, end):
    """fastText's own hash of a word, which the hashes of runs are made of."""
    h = uint32(BASIS32)
    for i in range(start, end):
        h = _fnv32(h, data[i])
    return h


@inline
def _signed(h):
    """A hash of 32 bits as fastText adds it to one of 64: with its sign."""
    return uint64(int64(int32(uint32(h))))


@inline
def _slot(slots, key):
    """Where `key` is, or would be."""
    mask = len(slots) - 1
    s = int64(key >> uint64(20)) & mask
    while slots[s, 0] != uint64(0) and slots[s, 0] != key:
        s = (s + 1) & mask
    return s


@inline
def _modulo(x, n, inverse):
    """x % n of uint64, exact, without the slow division of integers; `inverse` is 1 / n as a float."""
    if n & (n - uint64(1)) == uint64(0):
        return int64(x & (n - uint64(1)))
    if n <= uint64(EXACT_BUCKETS):
        return int64(x % n)
    rest = int64(x - uint64(int64(float(x) * inverse)) * n)
    if rest < 0:
        return rest + int64(n)
    return rest - int64(n) if rest >= int64(n) else rest


@kernel
def fold(inputs, outputs, differences, scores):
    """scores float32[rows, columns] = inputs float32[rows, dimension] times outputs float32[labels, dimension].

    With `differences` a column is a label's score less the last label's, whose own column is left out.
    """
    columns, dimension = scores.shape[1], inputs.shape[1]
    for r in range(len(inputs)):
        last = 0.0
        if differences:
            for k in range(dimension):
                last += float(inputs[r, k]) * float(outputs[columns, k])
        for c in range(columns):
            total = 0.0
            for k in range(dimension):
                total += float(inputs[r, k]) * float(outputs[c, k])
            scores[r, c] = total - last


@kernel
def index(entries, words, slots):
    """The dictionary as an open-addressing table: entries uint8[bytes], a word, NUL and nine bytes `words` times over.

    slots uint64[power of two, 2], zeros before: a word's key; its hash above its place in the dictionary. Gives the
    place of `</s>`, or -1.
    """
    ending, at = -1, 0
    for w in range(words):
        start = at
        while entries[at] != 0:
            at += 1
        if _is_end(entries, start, at):
            ending = w
        if at > start:
            key, _ = _word(entries, start, at)
            s = _slot(slots, key)
            slots[s, 0] = key
            slots[s, 1] = uint64(_hash(entries, start, at)) << uint64(32) | uint64(w)
        at += 10
    return ending


@kernel
def add_characters(entries, words, bucket_rows, shortest, longest, rows, weights):
    """Add to each word's row in rows float32[words, columns] those of its runs of characters; count them in weights."""
    sums = np.zeros(rows.shape[1])
    at = 0
    for w in range(words):
        start = at
        while entries[at] != 0:
            at += 1
        if not _is_end(entries, start, at):
            for c in range(len(sums)):
                sums[c] = rows[w, c]
            weights[w] += _characters(entries, start, at, bucket_rows, shortest, longest, sums)
            for c in range(len(sums)):
                rows[w, c] = sums[c]
        at += 10


@inline
def _is_end(data, start, end):
    return end - start == 4 and _eight(data, start) & uint64(0xFFFFFFFF) == uint64(END)


@inline
def _is_label(data, start, end):
    return end - start >= 9 and data[start + 8] == 95 and _eight(data, start) == uint64(LABEL)


@kernel
def _characters(data, start, end, bucket_rows, shortest, longest, sums):
    """Add the rows of all runs of `shortest` to `longest` characters of <word>: how many. One bracket alone is none."""
    columns, buckets, found = len(sums), uint32(len(bucket_rows)), 0
    for first in range(start - 1, end + 1):  # the places before and after the word hold its brackets
        inside = start <= first < end
        if inside and (data[first] & 0xC0) == 0x80:
            continue
        h, at, n = uint32(BASIS32), first, 0
        while at <= end and n < longest:
            if at < start:
                h = _fnv32(h, 60)
            elif at == end:
                h = _fnv32(h, 62)
            else:
                h = _fnv32(h, data[at])
            at += 1
            while start < at < end and (data[at] & 0xC0) == 0x80:
                h = _fnv32(h, data[at])
                at += 1
            n += 1
            if n >= shortest and not (n == 1 and (first < start or at > end)):
                row = h % buckets
                for c in range(columns):
                    sums[c] += bucket_rows[row, c]
                found += 1
    return found


@inline
def _split(data, at, stop, keys, starts, ends):
    """The next words, at most as many as `keys` holds: (how many, where the next one begins)."""
    n = 0
    while True:
        while at < stop and _is_space(data[at]):
            at += 1
        if at == stop or n == len(keys):
            return n, at
        starts[n] = at
        keys[n], at = _word(data, at, stop)
        ends[n] = at
        n += 1


@kernel
def score(data, offsets, active, slots, rows, weights, ending, bucket_rows, ngrams, shortest, longest, out):
    """out float64[n, columns]: the mean of all rows that each active text stands for; NaN where that is none.

    rows float32[words, columns] and weights int32[words], how many rows of the model each is the sum of; bucket_rows
    float32[buckets, columns]. `weights` is read only where there are runs of characters (`longest` above 0).

    Some words at a time are split, then looked up, then joined to runs, and these looked up: the tables are larger
    than the nearest cache, and look-ups that stand together overlap.
    """
    columns = rows.shape[1]
    sums = np.zeros(columns)
    keys, starts, ends = np.empty(AT_ONCE, np.uint64), np.empty(AT_ONCE, np.int64), np.empty(AT_ONCE, np.int64)
    places, words = np.empty(AT_ONCE + 1, np.int64), np.empty(AT_ONCE + 1, np.uint64)
    runs = np.empty(AT_ONCE + 1, np.uint64)
    carried = np.zeros(max(ngrams, 1), np.uint64)  # hashes of the runs of 1, 2, ... words that end before these
    buckets = uint64(len(bucket_rows))
    inverse = 1 / max(len(bucket_rows), 1)
    with_runs = ngrams > 1 and len(bucket_rows) > 0
    for d in range(len(offsets) - 1):
        if not active[d]:
            continue
        count, held, ended = 0, 0, False
        sums[:] = 0
        at, stop = offsets[d], offsets[d + 1]
        while not ended:
            split, at = _split(data, at, stop, keys, starts, ends)
            n = 0
            for i in range(split):
                s = _slot(slots, keys[i])
                if slots[s, 0]:
                    places[n] = int64(slots[s, 1] & uint64(0xFFFFFFFF))
                    words[n] = _signed(slots[s, 1] >> uint64(32))
                    ended = places[n] == ending
                elif _is_label(data, starts[i], ends[i]):
                    continue
                else:
                    places[n] = -1
                    ended = _is_end(data, starts[i], ends[i])
                    if with_runs:
                        words[n] = _signed(_hash(data, starts[i], ends[i]))
                    if longest > 0 and not ended:
                        count += _characters(data, starts[i], ends[i], bucket_rows, shortest, longest, sums)
                n += 1
                if ended:
                    break
            if at == stop and not ended:
                places[n], words[n] = ending, _signed(END_HASH)
                n += 1
                ended = True

            total = 0.0  # of the first column, of which there mostly is no other: kept in a register
            for i in range(n):
                place = places[i]
                if place >= 0:
                    count += weights[place] if longest > 0 else 1
                    total += rows[place, 0]
                    for c in range(1, columns):
                        sums[c] += rows[place, c]
            if with_runs and n:
                runs[:n] = words[:n]
                for length in range(2, ngrams + 1):  # of the run that ends with word i, from that which ends before it
                    last = runs[n - 1]
                    for i in range(n - 1, 0, -1):
                        runs[i] = runs[i - 1] * uint64(RUN) + words[i]
                    runs[0] = carried[length - 2] * uint64(RUN) + words[0]
                    carried[length - 2] = last
                    first = max(0, length - 1 - held)
                    for i in range(first, n):
                        row = _modulo(runs[i], buckets, inverse)
                        total += bucket_rows[row, 0]
                        for c in range(1, columns):
                            sums[c] += bucket_rows[row, c]
                    count += max(0, n - first)
                held = min(held + n, ngrams)
            sums[0] += total
        for c in range(columns):
            out[d, c] = sums[c] / count if count else math.nan


def _end_hash() -> int:
    h = BASIS32
    for byte in b"</s>":
        h = (h ^ byte) * PRIME32 & 0xFFFFFFFF
    return h


END_HASH = _end_hash()


@kernel
def softmax(scores, out):
    """out float64[n, labels] of score differences to the last label, float64[n, labels - 1]."""
    columns = scores.shape[1]
    for d in range(len(scores)):
        most = 0.0
        for c in range(columns):
            most = max(most, scores[d, c])
        total = math.exp(-most)
        out[d, columns] = total
        for c in range(columns):
            out[d, c] = math.exp(scores[d, c] - most)
            total += out[d, c]
        for c in range(columns + 1):
            out[d, c] /= total


@kernel
def sigmoid(scores, out):
    """out float64[n, labels]: the logistic function of each score."""
    for d in range(len(scores)):
        for c in range(scores.shape[1]):
            out[d, c] = 1 / (1 + math.exp(-scores[d, c]))
