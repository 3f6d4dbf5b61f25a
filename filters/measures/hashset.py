"""Tens of millions of hashes that are looked up without being loaded: a sorted array and a directory into it.

Hashes are uniform, so their leading bits say where they stand: a directory of one entry for eight hashes leaves a
search of three steps in one or two cache lines. It costs 8.5 to 9 bytes a hash and what is kept beside it, half of what
an open-addressing table needs, and a sorted file is built of any number of sorted runs in bounded memory: runs go to
disk, and are merged one range of hashes after another.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numba import int64, uint64

from ...text import inline, kernel
from .arrayfile import Arrays, ArrayWriter

RUN = 1 << 21  # entries sorted at a time
BUCKET_BITS = 3  # a bucket of the directory holds 8 entries on average


class HashSetBuilder:
    """Collect (hash, value) pairs in any order, each kept once.

    `path`: the file to write, beside which runs are held while building; None builds in memory.
    """

    def __init__(self, path: Path | None, value_type: Any, run: int | None = None):
        self.path, self.run, self.value_type = path, run or RUN, np.dtype(value_type)
        self.held: list[tuple[np.ndarray, np.ndarray]] = []
        self.runs: list[tuple[np.ndarray, np.ndarray]] = []
        self.waiting, self.total = 0, 0
        self.folder = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        """uint64[n] and value_type[n]."""
        self.held.append((keys, values.astype(self.value_type, copy=False)))
        self.waiting += len(keys)
        if self.waiting >= self.run:
            self._spill()

    def _spill(self) -> None:
        keys, values = _unique(*(np.concatenate(column) for column in zip(*self.held, strict=True)))
        self.held, self.waiting = [], 0
        self.total += len(keys)
        if self.folder is not None:
            place = self.folder / str(len(self.runs))
            columns = []
            for name, column in (("keys", keys), ("values", values)):
                np.save(place.with_suffix(f".{name}.npy"), column)
                columns.append(np.load(place.with_suffix(f".{name}.npy"), mmap_mode="r"))
            keys, values = columns
        self.runs.append((keys, values))

    def close(self, meta: Mapping[str, Any]) -> Arrays:
        """Merge the runs: `keys` uint64[n] ascending, `values` [n], ascending where keys are equal, and `starts`."""
        if self.held:
            self._spill()
        bits = max(0, (self.total >> BUCKET_BITS).bit_length())
        shape = {"keys": (np.uint64, self.total), "values": (self.value_type, self.total)}
        narrow = np.uint32 if self.total < 1 << 32 else np.int64
        writer = ArrayWriter(self.path, shape | {"starts": (narrow, (1 << bits) + 1)})
        try:
            counts = np.zeros(1 << bits, np.int64)
            for keys, values in self._merged():
                writer.append("keys", keys)
                writer.append("values", values)
                count_buckets(keys, bits, counts)
            writer.append("starts", np.r_[np.int64(0), np.cumsum(counts)])
            return writer.close(meta)
        finally:
            writer.discard()
            self.discard()

    def _merged(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        parts = -(-self.total // self.run)
        bounds = [np.uint64((i << 64) // parts) for i in range(1, parts)] if parts else []
        cuts = [[0, *(int(np.searchsorted(keys, b)) for b in bounds), len(keys)] for keys, _ in self.runs]
        for part in range(parts):
            slices = [slice(cut[part], cut[part + 1]) for cut in cuts]
            columns = zip(*((k[s], v[s]) for (k, v), s in zip(self.runs, slices, strict=True)), strict=True)
            yield _unique(*(np.concatenate(column) for column in columns))

    def discard(self) -> None:
        """Remove the runs."""
        if self.folder is not None:
            self.runs = []
            shutil.rmtree(self.folder, ignore_errors=True)


def _unique(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    if len(same):
        order = np.lexsort((values, keys))
        keys, values = keys[order], values[order]
        new = np.r_[True, (keys[1:] != keys[:-1]) | (values[1:] != values[:-1])]
        keys, values = keys[new], values[new]
    return keys, values


# -- the compiled part -----------------------------------------------------------------------------------------------


@inline
def _bucket(key, bits):
    return int64((key >> uint64(1)) >> uint64(63 - bits))  # a shift by all 64 bits would be undefined


@kernel
def count_buckets(keys, bits, counts):
    for i in range(len(keys)):
        counts[_bucket(keys[i], bits)] += 1


@inline
def place_of(key, keys, starts, bits):
    """The first place of `key` in `keys`, or -1; `bits` = log2 of the buckets, as `directory_bits` says."""
    bucket = _bucket(key, bits)
    low, high = int64(starts[bucket]), int64(starts[bucket + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < end and keys[low] == key:
        return low
    return int64(-1)


@kernel
def _places(wanted, keys, starts, bits, out):
    for i in range(len(wanted)):
        out[i] = place_of(wanted[i], keys, starts, bits)


@kernel
def _hold(wanted, other, keys, values, starts, bits, out):
    for i in range(len(wanted)):
        place = place_of(wanted[i], keys, starts, bits)
        out[i] = False
        while 0 <= place < len(keys) and keys[place] == wanted[i] and not out[i]:
            out[i] = values[place] == other[i]
            place += 1


def directory_bits(starts: np.ndarray) -> int:
    """log2 of the number of buckets."""
    return (len(starts) - 1).bit_length() - 1


def places(index: Arrays, wanted: np.ndarray) -> np.ndarray:
    """int64[n]: where each of uint64[n] first stands among the keys, or -1."""
    out = np.empty(len(wanted), np.int64)
    _places(wanted, index["keys"], index["starts"], directory_bits(index["starts"]), out)
    return out


def holds(index: Arrays, wanted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """bool[n]: whether each pair of uint64[n] and values[n] is there."""
    out = np.empty(len(wanted), bool)
    starts = index["starts"]
    _hold(wanted, values, index["keys"], index["values"], starts, directory_bits(starts), out)
    return out
