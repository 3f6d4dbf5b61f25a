"""Word n-grams of evaluation items in one memory-mapped table, and the scan that finds them in documents.

An n-gram is a polynomial hash of its words' hashes, 64 bits, finalised; nothing is compared beyond that: with N n-grams
in the index, of M in a corpus that are not in it, N M / 2^64 are found all the same: one in two trillion with ten
million n-grams. A text of an item that has fewer than n words but no fewer than `least` is one n-gram of all its words;
they are found by their first `least` words, after which alone the longer hash is made.

A clean document costs the scan of its words and little more. Whatever is looked for has `least` words or more, so it
holds one of the runs of ANCHOR words that begin at every `least - ANCHOR + 1`-th word of the document, wherever it
stands. Only these are looked up, one word in four by default, in a Bloom filter of all such runs of all items (blocked:
Putze, Sanders and Singler 2007; 12 bits a run, three of them set); the few windows that begin before an anchor that is
there are tried in the table. Names of items come last, for the rows with hits alone, in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ...document import text_buffers
from ...text import inline, kernel, mix64
from .arrayfile import Arrays, text_at, texts_to_arrays, write
from .folded_words import JOINED, PLAIN, SPARE, SPLIT, folded_words, folding
from .hashset import BUCKET_BITS, count_buckets, directory_bits, place_of

BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: of the rolling polynomial
ANCHOR = 5  # words
FILTER_BITS = 12  # an anchor
MANY = 1 << 31  # a posting with this bit: several items, listed in `more` from there on
BATCH_BYTES = 2 << 20


class Hits(NamedTuple):
    """What was found in a batch of n documents: k hits, by row and place."""

    rows: np.ndarray  # int64[k]
    grams: np.ndarray  # int64[k]: place in the index
    starts: np.ndarray  # int64[k]: first byte of the n-gram, from the beginning of the row's text
    ends: np.ndarray  # int64[k]: behind its last byte
    windows: np.ndarray  # int64[n]: n-grams of each document
    found: np.ndarray  # int64[n]: how many of those are in the index


# -- building --------------------------------------------------------------------------------------------------------


def build(
    items: Iterable[tuple[int, str, Sequence[str]]],
    *,
    n: int,
    least: int,
    ignore: Iterable[str] = (),
    most_items: int | None = None,
    path: Path | None = None,
    meta: dict[str, Any],
) -> Arrays:
    """The index of items (number of the set, name, texts), read once; building takes some 200 bytes an n-gram.

    n-grams of the texts in `ignore` are left out, and those that occur in more than `most_items` items. `meta` holds a
    `digest` and, at the end, how many items there are and how many had no text long enough.
    """
    gathered = _Gathered(n, least)
    sets, names = [], []
    for number, (group, name, texts) in enumerate(items):
        sets.append(group)
        names.append(name)
        for text in texts:
            gathered.add(number, text)
    keys, owners, plain, prefixes, lengths, anchors = gathered.all()
    left_out = _Gathered(n, least)
    for text in ignore:
        left_out.add(0, text)
    ignored = left_out.all()[0]
    if len(ignored):
        keep = ~np.isin(keys, ignored)
        keys, owners, plain = keys[keep], owners[keep], plain[keep]
    keys, owners, plain = _distinct(keys, owners, plain)
    firsts, counts = _groups(keys)
    if most_items is not None:
        keep = np.repeat(counts <= most_items, counts)
        keys, owners, plain = keys[keep], owners[keep], plain[keep]
        firsts, counts = _groups(keys)
    totals = np.bincount(owners[plain], minlength=len(sets))
    every = np.bincount(owners, minlength=len(sets))
    totals = np.where(totals, totals, every)  # an item that only another reading makes long enough
    grams = keys[firsts]
    name_bytes, name_ends = texts_to_arrays(names)
    short = _prefixes(prefixes, lengths)
    arrays = {
        "keys": grams,
        "starts": _directory(grams),
        **_postings(owners, firsts, counts),
        **short,
        "totals": totals.astype(np.uint32),
        "sets": np.array(sets, np.uint16),
        "name_bytes": name_bytes,
        "name_ends": name_ends,
        "bloom": _bloom(np.unique(np.r_[anchors, short["prefix_keys"]])),
    }
    told = {"n": n, "least": least, "items": len(sets), "items_too_short": int((totals == 0).sum())}
    return write(path, meta | told, arrays)


class _Gathered:
    """n-grams of texts in their three readings, gathered batch by batch."""

    def __init__(self, n: int, least: int):
        self.n, self.least, self.bytes = n, least, 0
        self.texts: list[str] = []
        self.numbers: list[int] = []
        self.parts: list[tuple[np.ndarray, ...]] = []

    def add(self, number: int, text: str) -> None:
        self.texts.append(text)
        self.numbers.append(number)
        self.bytes += len(text)
        if self.bytes > BATCH_BYTES:
            self._hash()

    def _hash(self) -> None:
        column = pa.array([t.encode("utf-8", "replace").decode() for t in self.texts], pa.large_string())
        numbers = np.array(self.numbers, np.uint32)
        made = [item_grams(column, reading, self.n, self.least) for reading in (PLAIN, SPLIT, JOINED)]
        keys, owners, prefixes, lengths, anchors = (np.concatenate(part) for part in zip(*made, strict=True))
        plain = np.arange(len(keys)) < len(made[PLAIN][0])
        self.parts.append((*_distinct(keys, numbers[owners], plain), prefixes, lengths, np.unique(anchors)))
        self.texts, self.numbers, self.bytes = [], [], 0

    def all(self) -> tuple[np.ndarray, ...]:
        """Of all texts: keys uint64[g], numbers uint32[g], of the plain reading bool[g]; prefixes uint64[s], lengths
        int64[s]; anchors uint64[a].
        """
        self._hash()
        return tuple(np.concatenate(column) for column in zip(*self.parts, strict=True))


def item_grams(texts: pa.Array, reading: int, n: int, least: int) -> tuple[np.ndarray, ...]:
    """n-grams of texts: keys uint64[g], the text int64[g] of each; of each shorter text its first words, prefixes
    uint64[s], and how many it has, int64[s]; anchors uint64[a].
    """
    data, offsets = text_buffers(texts)
    room = 2 * int(offsets[-1] - offsets[0]) + SPARE + 1  # the worst of Unicode makes two words a byte
    keys, owners, anchors = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.uint64)
    prefixes, lengths = np.empty(len(texts), np.uint64), np.empty(len(texts), np.int64)
    g, s, a = _item_grams(
        data, offsets, *folding(reading), n, least, min(ANCHOR, least), keys, owners, prefixes, lengths, anchors
    )
    return keys[:g].copy(), owners[:g].copy(), prefixes[:s], lengths[:s], anchors[:a]


def _distinct(keys: np.ndarray, owners: np.ndarray, plain: np.ndarray) -> tuple[np.ndarray, ...]:
    """Each (key, owner) once, ascending; plain where any copy is."""
    order = np.lexsort((~plain, owners, keys))
    keys, owners, plain = keys[order], owners[order], plain[order]
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
    return keys[new], owners[new], plain[new]


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct one of sorted keys begins, and how often it stands there."""
    firsts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    return firsts, np.diff(np.r_[firsts, len(keys)])


def _directory(keys: np.ndarray) -> np.ndarray:
    bits = max(0, (len(keys) >> BUCKET_BITS).bit_length())
    counts = np.zeros(1 << bits, np.int64)
    count_buckets(keys, bits, counts)
    return np.r_[0, np.cumsum(counts)].astype(np.uint32)


def _postings(owners: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """The items of each n-gram: its only one, or where in `more` their number and they themselves stand."""
    posting = owners[firsts].astype(np.uint32)
    several = np.flatnonzero(counts > 1)
    sizes = counts[several] + 1
    places = np.cumsum(sizes) - sizes
    posting[several] = places.astype(np.uint32) | np.uint32(MANY)
    more = np.empty(int(sizes.sum()), np.uint32)
    more[places] = counts[several]
    within = np.arange(len(more)) - np.repeat(places, sizes)
    chosen = within > 0
    more[chosen] = owners[(np.repeat(firsts[several], sizes) + within - 1)[chosen]]
    return {"posting": posting, "more": more}


def _prefixes(prefixes: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """The first `least` words of short texts, and the lengths of those that begin so, as bits."""
    keys, inverse = np.unique(prefixes, return_inverse=True)
    masks = np.zeros(len(keys), np.uint64)
    np.bitwise_or.at(masks, inverse, np.uint64(1) << lengths.astype(np.uint64))
    return {"prefix_keys": keys, "prefix_lengths": masks}


def _bloom(keys: np.ndarray) -> np.ndarray:
    bloom = np.zeros(max(1, -(-len(keys) * FILTER_BITS // 64)), np.uint64)
    _fill(keys, bloom)
    return bloom


# -- finding ---------------------------------------------------------------------------------------------------------


def find(index: Arrays, data: np.ndarray, offsets: np.ndarray, active: np.ndarray) -> Hits:
    """Every place where an n-gram of the index, or a short text of it, stands in one of the active documents."""
    windows, found = np.zeros(len(active), np.int64), np.zeros(len(active), np.int64)
    table, sequences = folding(PLAIN)
    hits = _find(
        data,
        offsets,
        active,
        table,
        sequences,
        index.meta["n"],
        index.meta["least"],
        min(ANCHOR, index.meta["least"]),
        index["bloom"],
        index["keys"],
        index["starts"],
        directory_bits(index["starts"]),
        index["prefix_keys"],
        index["prefix_lengths"],
        windows,
        found,
    )
    return Hits(*(np.ascontiguousarray(hits[:, i]) for i in range(4)), windows, found)


def items_of(index: Arrays, grams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(which of the k grams int64[p], item int64[p]) of every item that has one of the n-grams."""
    posting = index["posting"][grams].astype(np.int64)
    several = posting >= MANY
    places = np.where(several, posting & (MANY - 1), 0)
    counts = np.ones(len(grams), np.int64)
    if several.any():
        counts[several] = index["more"][places[several]]
    which = np.repeat(np.arange(len(grams)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    items = posting[which]
    listed = several[which]
    items[listed] = index["more"][(places[which] + 1 + within)[listed]]
    return which, items


def item_name(index: Arrays, item: int) -> str:
    """What the item is called."""
    return text_at(index["name_bytes"], index["name_ends"], item)


# -- the compiled part -----------------------------------------------------------------------------------------------


@kernel
def _hash_of(words, start, n):
    h = uint64(0)
    for j in range(start, start + n):
        h = h * BASE + words[j]
    return mix64(h)


@kernel
def _item_grams(data, offsets, table, sequences, n, least, anchor, keys, owners, prefixes, lengths, anchors):
    room = 1024
    words, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    g, s, a = 0, 0, 0
    for d in range(len(offsets) - 1):
        count = folded_words(data, offsets[d], offsets[d + 1], table, sequences, words, starts, ends)
        while count < 0:
            room *= 2
            words, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
            count = folded_words(data, offsets[d], offsets[d + 1], table, sequences, words, starts, ends)
        if count < least:
            continue
        for j in range(count - anchor + 1):
            anchors[a] = _hash_of(words, j, anchor)
            a += 1
        for j in range(count - n + 1):
            keys[g], owners[g] = _hash_of(words, j, n), d
            g += 1
        if count < n:
            keys[g], owners[g] = _hash_of(words, 0, count), d
            g += 1
            prefixes[s], lengths[s] = _hash_of(words, 0, least), count
            s += 1
    return g, s, a


@inline
def _bits_of(h):
    one = uint64(1)
    return (
        (one << (h & uint64(63))) | (one << ((h >> uint64(6)) & uint64(63))) | (one << ((h >> uint64(12)) & uint64(63)))
    )


@inline
def _block_of(h, blocks):
    return int64(((h >> uint64(32)) * uint64(blocks)) >> uint64(32))


@kernel
def _fill(keys, bloom):
    for i in range(len(keys)):
        bloom[_block_of(keys[i], len(bloom))] |= _bits_of(keys[i])


@kernel
def _lengths_after(key, prefix_keys, prefix_lengths):
    place = np.searchsorted(prefix_keys, key)
    if place < len(prefix_keys) and prefix_keys[place] == key:
        return prefix_lengths[place]
    return uint64(0)


@inline
def _is_there(key, bloom):
    mask = _bits_of(key)
    return bloom[_block_of(key, len(bloom))] & mask == mask


@kernel
def _find(
    data,
    offsets,
    active,
    table,
    sequences,
    n,
    least,
    anchor,
    bloom,
    keys,
    buckets,
    bits,
    prefix_keys,
    prefix_lengths,
    windows,
    found,
):
    room = 1024
    words, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    hits, k = np.empty((128, 4), np.int64), 0
    short = len(prefix_keys) > 0
    step = least - anchor + 1
    for d in range(len(active)):
        if not active[d]:
            continue
        start, end = offsets[d], offsets[d + 1]
        count = folded_words(data, start, end, table, sequences, words, starts, ends)
        while count < 0:
            room *= 2
            words, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
            count = folded_words(data, start, end, table, sequences, words, starts, ends)
        windows[d] = max(0, count - n + 1)
        here = count >= anchor and _is_there(_hash_of(words, 0, anchor), bloom)
        for at in range(0, count - anchor + 1, step):
            after = at + step <= count - anchor and _is_there(_hash_of(words, at + step, anchor), bloom)
            if here:
                for first in range(max(0, at - step + 1), at + 1):  # the windows whose first anchor this is
                    if k + 64 > len(hits):  # one n-gram and a short text of each length may begin at a word
                        longer = np.empty((2 * len(hits), 4), np.int64)
                        longer[:k] = hits[:k]
                        hits = longer
                    # an n-gram that reaches over the next anchor too needs that as well
                    if first + n <= count and (after or at + step + anchor > first + n):
                        place = place_of(_hash_of(words, first, n), keys, buckets, bits)
                        if place >= 0:
                            hits[k, 0], hits[k, 1] = d, place
                            hits[k, 2], hits[k, 3] = starts[first] - start, ends[first + n - 1] - start
                            k += 1
                            found[d] += 1
                    if short and first + least <= count:
                        if not _is_there(_hash_of(words, first, least), bloom):
                            continue
                        lengths = _lengths_after(_hash_of(words, first, least), prefix_keys, prefix_lengths)
                        for length in range(least, n):
                            if lengths & (uint64(1) << uint64(length)) and first + length <= count:
                                place = place_of(_hash_of(words, first, length), keys, buckets, bits)
                                if place >= 0:
                                    hits[k, 0], hits[k, 1] = d, place
                                    hits[k, 2], hits[k, 3] = starts[first] - start, ends[first + length - 1] - start
                                    k += 1
            here = after
    return hits[:k]
