"""Windows of text that occur more than once: which occurrence stays, and what follows for the others.

The rule: of all places where the same `length` units stand, the first stays; first by (rank, key) of the document and,
within it, by place. Every other occurrence is taken out, unless it overlaps the first ("a a a a"). So what is cut of a
document is exactly what is covered by windows that stand somewhere before; and every unit that is cut stands, through
one window or a chain of them, in a place that is kept.

An occurrence is compared with the first alone, never with all others, so a text that stands in 100,000 documents costs
100,000 steps. Each unit of work (a batch, or a file) settles its own documents first, and sends the first occurrence of
each window only: a hash and a place, 12 bytes, behind 40 bytes a document. The answer names the windows that stand
earlier in another unit. In both steps the order of arrival decides nothing.

Neighbouring windows whose first occurrences are neighbours too are one claim: "these units are those". A claim is made
by 64-bit hashes, and checked before it counts (see `substring.digests`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from ..text import inline, kernel
from .anchors import WINDOW
from .candidates import partition_of
from .survivors import precedence

DOCUMENT = np.dtype(  # what is sent of a document: behind them, in their order, hash and first unit of each window
    [("rank", "<i8"), ("key", "<u8", (2,)), ("handle", "<i8"), ("windows", "<i8")]
)
LOST = np.dtype(  # `count` windows from the sent one number `at` on stand earlier, one after the other from there on
    [("at", "<i8"), ("count", "<i8"), ("handle", "<i8"), ("unit", "<u4")]
)

PART = 16384  # windows whose table is made at once: 600 KB, which stays in the second-level cache

CLAIM = np.dtype(  # units of one document that stand earlier
    [
        ("handle", "<i8"),
        ("unit", "<u4"),  # the first of them
        ("count", "<u4"),  # how many
        ("start", "<u4"),  # in bytes from the beginning of the document
        ("end", "<u4"),
        ("of_handle", "<i8"),  # the document where they stand earlier
        ("of_unit", "<u4"),
    ]
)


# -- which anchors are repeated --------------------------------------------------------------------------------------


def thinned(hashes: np.ndarray) -> np.ndarray:
    """uint64[m]: ascending, each of `hashes` once, or twice where it occurs more often. What a unit says of anchors."""
    hashes = np.sort(hashes)
    kept = np.ones(len(hashes), bool)
    kept[2:] = hashes[2:] != hashes[:-2]
    return hashes[kept]


def anchor_blocks(hashes: np.ndarray, partitions: int) -> Iterator[tuple[int, bytes]]:
    """(partition, bytes) of ascending hashes, 8 bytes each, little-endian; empty ones are left out."""
    bounds = np.searchsorted(partition_of(hashes, partitions), np.arange(partitions + 1))
    for partition in np.flatnonzero(np.diff(bounds)).tolist():
        yield partition, np.ascontiguousarray(hashes[bounds[partition] : bounds[partition + 1]], "<u8").tobytes()


def repeated(blocks: Sequence[bytes]) -> list[np.ndarray]:
    """For each block of one partition, uint64 ascending: its hashes that occur twice, in it or in all blocks together.

    Strung together in the order of partitions, a unit's answers are what `anchors.windows` asks for.
    """
    found = [np.frombuffer(block, "<u8") for block in blocks]
    hashes = np.sort(np.concatenate([np.empty(0, np.uint64), *found]))
    again = hashes[1:] == hashes[:-1]
    again[1:] &= hashes[2:] != hashes[:-2]  # once each
    known = hashes[1:][again]
    answers = []
    for block in found:
        distinct = block[np.r_[True, block[1:] != block[:-1]]] if len(block) else block
        at = np.searchsorted(known, distinct)
        at[at == len(known)] = 0
        answers.append(distinct[known[at] == distinct] if len(known) else distinct[:0])
    return answers


def holding(hashes: np.ndarray, offsets: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, int]:
    """(rows int64[k], count): the documents, ascending, that have an anchor among `known` (ascending), those to read
    again; and how many such anchors there are in all.

    `hashes` and `offsets` as `anchors.anchors` gave them.
    """
    if len(known) == 0:
        return np.empty(0, np.int64), 0
    at = np.searchsorted(known, hashes)
    at[at == len(known)] = 0
    before = np.r_[0, np.cumsum(known[at] == hashes)]
    return np.flatnonzero(before[offsets[1:]] > before[offsets[:-1]]), int(before[-1])


# -- which occurrence is the first -----------------------------------------------------------------------------------


class Gathered(NamedTuple):
    """The windows of one unit of work, and what is known of its documents."""

    windows: np.ndarray  # anchors.WINDOW[q], in order of (document, unit)
    handle: np.ndarray  # int64[n]
    rank: np.ndarray  # int64[n]
    key: np.ndarray  # uint64[n, 2]
    first: np.ndarray  # int64[q]: the window that comes first in this unit of those equal to this one
    sent: np.ndarray  # int64[s]: the windows that are first, in order of (partition, document, unit)


@kernel
def _firsts(hashes, order, first):
    """first[i] = where the smallest `order` is of those whose hash is hashes[i].

    Spread by their leading bits into parts that stay in the cache, each then a small table (open addressing).
    """
    n, bits = len(hashes), 1
    while (n >> bits) > PART:
        bits += 1
    shift = uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.int64)
    for i in range(n):
        ends[int64(hashes[i] >> shift) + 1] += 1
    largest = 0
    for part in range(1 << bits):
        largest = max(largest, ends[part + 1])
        ends[part + 1] += ends[part]
    index, spread, places = np.empty(n, np.int64), np.empty(n, np.uint64), np.empty(n, np.uint64)
    for i in range(n):  # ends[part] walks from the part's start to its end
        at = ends[int64(hashes[i] >> shift)]
        ends[int64(hashes[i] >> shift)] += 1
        index[at], spread[at], places[at] = i, hashes[i], order[i]
    slots = np.empty(_slots(largest), np.int64)
    start = 0
    for part in range(1 << bits):
        end = ends[part]
        size = _slots(end - start)
        mask = uint64(size - 1)
        slots[:size] = -1
        for i in range(start, end):
            slot = spread[i] & mask
            while slots[slot] >= 0 and spread[slots[slot]] != spread[i]:
                slot = (slot + uint64(1)) & mask
            if slots[slot] < 0 or places[i] < places[slots[slot]]:
                slots[slot] = i
        for i in range(start, end):
            slot = spread[i] & mask
            while spread[slots[slot]] != spread[i]:
                slot = (slot + uint64(1)) & mask
            first[index[i]] = index[slots[slot]]
        start = end


@inline
def _slots(count):
    """A power of two, at least twice `count`."""
    size = 2
    while size < 2 * count:
        size *= 2
    return size


@kernel
def _orders(windows, places, hashes, order):
    """Fill `order` with numbers that sort as (place of the document, unit) do; whether the windows come in order."""
    before, ascending = int64(-1), True
    for i in range(len(windows)):
        window = windows[i]
        hashes[i] = window.hash
        order[i] = (uint64(places[window.document]) << uint64(32)) | uint64(window.unit)
        own = (int64(window.document) << 32) | int64(window.unit)
        ascending &= own > before
        before = own
    return ascending


def gather(windows: Iterable[np.ndarray], handle: np.ndarray, rank: np.ndarray, key: np.ndarray) -> Gathered:
    """The windows of one unit, WINDOW arrays whose `document` is a position in `handle`, `rank` and `key`.

    It holds about 90 bytes a window, and 40 when done. Raises ValueError where windows are out of order.
    """
    parts = [np.empty(0, np.uint64), *(part.view(np.uint64) for part in windows)]  # as numbers: records copy slowly
    found = (parts[1] if len(parts) == 2 else np.concatenate(parts)).view(WINDOW)
    hashes, order = np.empty(len(found), np.uint64), np.empty(len(found), np.uint64)
    first = np.empty(len(found), np.int64)
    if not _orders(found, precedence(rank, key, handle), hashes, order):
        raise ValueError("windows must come in order of (document, unit)")
    _firsts(hashes, order, first)
    sent = np.flatnonzero(first == np.arange(len(first)))
    sent = sent[np.argsort(found["partition"][sent], kind="stable")]
    return Gathered(found, handle, rank, key, first, sent)


def window_blocks(gathered: Gathered) -> Iterator[tuple[int, bytes]]:
    """(partition, bytes): what a unit sends, the first of its windows; partitions without any are left out."""
    partition = gathered.windows["partition"][gathered.sent]
    starts = _changes(partition)
    for start, end in zip(starts, np.r_[starts, len(partition)][1:], strict=True):
        sent = gathered.sent[start:end]
        document = gathered.windows["document"][sent]
        begin = _changes(document)
        rows = document[begin]
        documents = np.empty(len(rows), DOCUMENT)
        documents["rank"], documents["key"] = gathered.rank[rows], gathered.key[rows]
        documents["handle"], documents["windows"] = gathered.handle[rows], np.diff(np.r_[begin, len(sent)])
        parts = documents, gathered.windows["hash"][sent], gathered.windows["unit"][sent]
        yield int(partition[start]), b"".join([len(rows).to_bytes(8, "little"), *(part.tobytes() for part in parts)])


def _changes(*values: np.ndarray) -> np.ndarray:
    """int64[k]: where a run of rows with equal values begins."""
    begins = np.ones(len(values[0]), bool)
    begins[1:] = False
    for column in values:
        begins[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(begins)


def _unpacked(block: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(documents DOCUMENT[d], hashes uint64[q], units uint32[q])."""
    documents = np.frombuffer(block, DOCUMENT, int.from_bytes(block[:8], "little"), 8)
    begin, count = 8 + documents.nbytes, int(documents["windows"].sum())
    return documents, np.frombuffer(block, "<u8", count, begin), np.frombuffer(block, "<u4", count, begin + 8 * count)


def resolve(blocks: Sequence[bytes]) -> list[np.ndarray]:
    """For each block of one partition LOST[l], `at` ascending: which of its windows stand in a document before.

    All blocks of the partition must be here, in any order. It holds about 60 bytes a window. An answer is that of
    windows one after the other: those of one anchor are, so 28 bytes are for some twenty words.
    """
    unpacked = [_unpacked(block) for block in blocks]
    documents = np.concatenate([np.empty(0, DOCUMENT), *(part[0] for part in unpacked)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(part[1] for part in unpacked)])
    units = np.concatenate([np.empty(0, np.uint32), *(part[2] for part in unpacked)])
    owner = np.repeat(np.arange(len(documents)), documents["windows"])
    place = precedence(documents["rank"], documents["key"], documents["handle"]).astype(np.uint64)[owner]
    first = np.empty(len(hashes), np.int64)
    _firsts(hashes, place, first)
    lost = np.flatnonzero(first != np.arange(len(first)))
    bounds = np.cumsum([0, *(len(part[1]) for part in unpacked)])
    answers = []
    for begin, end in pairwise(bounds):
        mine = lost[np.searchsorted(lost, begin) : np.searchsorted(lost, end)]
        handle, unit = documents["handle"][owner[first[mine]]], units[first[mine]].astype(np.int64)
        starts = _changes(mine - np.arange(len(mine)), handle, unit - np.arange(len(mine)))
        answer = np.empty(len(starts), LOST)
        answer["at"], answer["count"] = mine[starts] - begin, np.diff(np.r_[starts, len(mine)])
        answer["handle"], answer["unit"] = handle[starts], unit[starts]
        answers.append(answer)
    return answers


# -- what is claimed to be a copy ------------------------------------------------------------------------------------


@kernel
def _claims(windows, first, lost, handles, told, length, within, out):
    """Fill `out` with the runs of windows that stand first in a run of another place; their number."""
    top, document, unit, of_handle, of_unit = 0, int64(-1), int64(-1), int64(-1), int64(-1)
    for i in range(len(windows)):
        window, answer = windows[i], lost[first[i]]
        if answer >= 0:
            from_handle, from_unit = told[answer].handle, int64(told[answer].unit)
        else:
            other = windows[first[i]]
            if other.document == window.document and not (within and window.unit >= int64(other.unit) + length):
                continue
            from_handle, from_unit = handles[other.document], int64(other.unit)
        same = document == window.document and unit + 1 == window.unit
        if same and of_handle == from_handle and of_unit + 1 == from_unit:
            out[top - 1].count += 1
            out[top - 1].end = window.end
        else:
            claim = out[top]
            claim.handle, claim.unit, claim.count = handles[window.document], window.unit, length
            claim.start, claim.end = window.start, window.end
            claim.of_handle, claim.of_unit = from_handle, from_unit
            top += 1
        document, unit, of_handle, of_unit = window.document, window.unit, from_handle, from_unit
    return top


@kernel
def _cover(claims, kept):
    """Mark as few claims as cover what all of them cover; within a document both their ends ascend."""
    i = 0
    while i < len(claims):
        kept[i] = True
        end, following = int64(claims[i].unit) + int64(claims[i].count), i + 1
        while (
            following < len(claims) and claims[following].handle == claims[i].handle and claims[following].unit <= end
        ):
            following += 1
        i = max(following - 1, i + 1)


def claims(gathered: Gathered, answers: dict[int, np.ndarray], length: int, within: bool) -> np.ndarray:
    """CLAIM[c] of one unit, in order of (document, unit): `answers` are those of `resolve` by partition.

    `length` is that of a window; without `within`, what a document repeats of itself alone stays. Claims overlap where
    neighbouring windows stand first in different places; those that others cover are left out, so that the text
    claimed is at most twice the text repeated.
    """
    partition = gathered.windows["partition"][gathered.sent]
    lost = np.full(len(gathered.windows), -1, np.int64)  # of a first window: which answer is its
    told = np.concatenate([np.empty(0, LOST), *answers.values()])
    begins = np.searchsorted(partition, np.array([*answers], np.int64))
    told["at"] += np.repeat(begins, np.array([len(answer) for answer in answers.values()], np.int64))
    along = np.arange(told["count"].sum()) - np.repeat(np.cumsum(told["count"]) - told["count"], told["count"])
    told = np.repeat(told, told["count"])  # one a window
    told["unit"] += along.astype(np.uint32)
    lost[gathered.sent[told["at"] + along]] = np.arange(len(told))
    made = np.empty(len(gathered.windows), CLAIM)  # pages of memory that nothing is written to are never taken
    top = _claims(gathered.windows, gathered.first, lost, gathered.handle, told, length, within, made)
    kept = np.zeros(top, bool)
    _cover(made[:top], kept)
    return made[:top][kept]
