"""Locality-sensitive hashing: signatures to bands, bands to blocks for the shuffle, blocks to candidate pairs.

The idea: a signature is cut into bands of a few rows; documents that agree in all rows of a band fall into one bucket
there and are candidates (Indyk and Motwani 1998; the banding as in Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3). A pair of similarity J is found with probability 1-(1-J^rows)^bands.

What crosses the shuffle is an entry of 40 bytes a document and band, in blocks of one (band, partition of hashes). A
bucket is ordered by (rank, key) before anything is made of it, so the order of arrival decides nothing. A bucket of up
to ALL_PAIRS documents gives all its pairs; a larger one is passed on as a list, since its pairs grow with the square:
`verify` compares its members with a few leaders. The trade-off of ALL_PAIRS: 64 give at most 32 pairs an entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numba import int64, uint64

from ..text import kernel, mix64
from .minhash import EMPTY
from .settings import MinHashSettings

ALL_PAIRS = 64

ENTRY = np.dtype([("hash", "<u8"), ("rank", "<i8"), ("key", "<u8", (2,)), ("handle", "<i8")])
PAIR = np.dtype([("a", "<i8"), ("b", "<i8"), ("bands", "<u8")])  # handles, a before b by (rank, key); bit i: band i
MEMBER = np.dtype([("bucket", "<u8"), ("bands", "<u8"), ("handle", "<i8")])  # of a bucket above ALL_PAIRS

MERGED_AT_ONCE = 1 << 20  # pairs

NO_BUCKET = np.uint64(0xFFFFFFFFFFFFFFFF)  # the band hash of a document without shingles: never a candidate
ROW_BITS = 32


def handles(unit: int, rows: np.ndarray) -> np.ndarray:
    """int64[n]: the handles of `rows` (positions below 2^32) of unit number `unit` (below 2^31)."""
    return (np.int64(unit) << ROW_BITS) | np.asarray(rows, np.int64)


def units_and_rows(handle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `handles`: (units int64[n], rows int64[n])."""
    return handle >> ROW_BITS, handle & ((1 << ROW_BITS) - 1)


def to_bytes(entries: np.ndarray) -> bytes:
    """Entries as they cross the shuffle: 40 bytes each, little-endian on every machine."""
    return np.ascontiguousarray(entries, ENTRY).tobytes()


def from_bytes(blocks: Iterable[bytes]) -> np.ndarray:
    """ENTRY[n]: the entries of all `blocks`, read-only, in the order of arrival."""
    return np.frombuffer(b"".join(blocks), ENTRY)


@kernel
def _band_hashes(signatures, rows, wanted, out):
    for i in range(out.shape[0]):
        blank = True
        for k in range(signatures.shape[1]):
            blank &= signatures[i, k] == EMPTY
        for band in range(out.shape[1]):
            if not wanted[band]:
                out[i, band] = NO_BUCKET if blank else uint64(0)
                continue
            h = mix64(uint64(band) + uint64(1))
            for row in range(rows):
                h = mix64(h ^ uint64(signatures[i, band * rows + row]))
            if blank:
                h = NO_BUCKET
            elif h == NO_BUCKET:
                h = uint64(0)
            out[i, band] = h


def band_hashes(signatures: np.ndarray, settings: MinHashSettings, wanted: Iterable[int] | None = None) -> np.ndarray:
    """uint64[n, bands] of uint32[n, bands x rows]: equal where all rows of a band are equal; NO_BUCKET for no shingles.

    The number of the band is hashed in, so that a hash names its bucket across all bands. With `wanted`, the numbers of
    some bands, the others are left out: 0 wherever there are shingles.
    """
    out = np.empty((len(signatures), settings.bands), np.uint64)
    asked = np.full(settings.bands, wanted is None)
    asked[list(wanted or ())] = True
    _band_hashes(np.ascontiguousarray(signatures), settings.rows, asked, out)
    return out


def partition_of(hashes: np.ndarray, partitions: int) -> np.ndarray:
    """int64[n]: the partition (of at most 2^31) each band hash belongs to, equal ranges of its leading 32 bits."""
    return (((hashes >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


def blocks(
    bands: np.ndarray,
    rank: np.ndarray,
    key: np.ndarray,
    handle: np.ndarray,
    partitions: int,
    wanted: Iterable[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The entries of n documents for the `wanted` (band, partition) blocks, as ((band, partition), bytes).

    `bands` uint64[n, bands] of `band_hashes`, `rank` int64[n], `key` uint64[n, 2], `handle` int64[n]. In order of
    (band, partition); blocks without entries are left out, and so are documents without shingles.
    """
    asked: dict[int, list[int]] = {}
    for band, partition in sorted(wanted):
        asked.setdefault(band, []).append(partition)
    rows = np.flatnonzero(bands[:, 0] != NO_BUCKET)
    if len(rows) == 0:
        return
    entries = np.empty(len(rows), ENTRY)
    entries["rank"], entries["key"], entries["handle"] = rank[rows], key[rows], handle[rows]
    for band, parts in asked.items():
        entries["hash"] = bands[rows, band]
        if partitions == 1:
            yield (band, 0), to_bytes(entries)
            continue
        part = partition_of(entries["hash"], partitions)
        if partitions <= 1 << 16:
            part = part.astype(np.uint16)  # these are sorted by radix
        order = np.argsort(part, kind="stable")
        starts = np.searchsorted(part, parts, "left", sorter=order)
        ends = np.searchsorted(part, parts, "right", sorter=order)
        for partition, start, end in zip(parts, starts, ends, strict=True):
            if start < end:
                yield (band, partition), to_bytes(entries[order[start:end]])


@kernel
def _mark_met(hashes, slots, met):
    """Mark in `met` bool[n] the hashes whose slot, of `slots` uint8[a power of two], another of them has as well."""
    last = uint64(len(slots) - 1)
    for h in hashes:
        slot = int64(h & last)
        slots[slot] = min(slots[slot] + 1, 2)
    for i in range(len(hashes)):
        met[i] = slots[int64(hashes[i] & last)] > 1


def _met(hashes: np.ndarray) -> np.ndarray:
    """int64[m]: the positions of hashes uint64[n] that occur twice, and of a few that do not."""
    met = np.empty(len(hashes), bool)
    _mark_met(hashes, np.zeros(1 << (8 * len(hashes)).bit_length(), np.uint8), met)
    return np.flatnonzero(met)


def bucket_pairs(block: np.ndarray, band: int) -> tuple[np.ndarray, np.ndarray]:
    """The candidates of one block: (pairs PAIR[p], big MEMBER[q]).

    `block` ENTRY[n] holds whole buckets of band `band`, in any order. Pairs are those within buckets of up to ALL_PAIRS
    documents, a before b by (rank, key, handle); the members of larger buckets are listed in that order. Both results
    are the same for every order of the entries.
    """
    crowded = block[_met(np.ascontiguousarray(block["hash"]))]  # most documents are alone in their buckets
    key = crowded["key"]
    entries = crowded[np.lexsort((crowded["handle"], key[:, 1], key[:, 0], crowded["rank"], crowded["hash"]))]
    hashes = entries["hash"]
    starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(hashes) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(hashes)])
    large = np.repeat(sizes > ALL_PAIRS, sizes)
    bit = np.uint64(1) << np.uint64(band)

    big = np.empty(int(large.sum()), MEMBER)
    big["bucket"], big["bands"], big["handle"] = hashes[large], bit, entries["handle"][large]

    # Entry i pairs with each of the `following` entries between it and the end of its bucket.
    following = np.where(large, 0, np.repeat(starts + sizes, sizes) - np.arange(len(hashes)) - 1)
    a = np.repeat(np.arange(len(hashes)), following)
    b = a + 1 + np.arange(len(a)) - np.repeat(np.cumsum(following) - following, following)
    pairs = np.empty(len(a), PAIR)
    pairs["a"], pairs["b"], pairs["bands"] = entries["handle"][a], entries["handle"][b], bit
    return pairs, big


def large_buckets(big: np.ndarray) -> tuple[int, int]:
    """(buckets above ALL_PAIRS, members of the largest, 0 without one) of MEMBER[q], a bucket's members in a row."""
    starts = np.flatnonzero(np.r_[True, big["bucket"][1:] != big["bucket"][:-1]]) if len(big) else np.empty(0, np.int64)
    return len(starts), int(np.diff(np.r_[starts, len(big)]).max(initial=0))


def merge_pairs(pairs: Iterable[np.ndarray]) -> np.ndarray:
    """PAIR[p], each pair once, in order of (a, b), with the bits of all bands that found it.

    It merges what `bucket_pairs` made of many blocks, and what it made itself: passes can be merged one by one. At its
    peak it holds some four times what it returns, if `pairs` are given one by one.
    """
    held, waiting, size = np.empty(0, PAIR), [], 0
    for found in pairs:
        waiting.append(found)
        size += len(found)
        if size > max(len(held), MERGED_AT_ONCE):
            held, waiting, size = _merged([held, *waiting]), [], 0
    return _merged([held, *waiting]) if waiting else held


def _merged(pairs: list[np.ndarray]) -> np.ndarray:
    merged = np.concatenate(pairs)
    merged = merged[np.lexsort((merged["b"], merged["a"]))]
    if len(merged) == 0:
        return merged
    first = np.r_[True, (merged["a"][1:] != merged["a"][:-1]) | (merged["b"][1:] != merged["b"][:-1])]
    bands = np.bitwise_or.reduceat(merged["bands"], np.flatnonzero(first))
    merged = merged[first]
    merged["bands"] = bands
    return merged
