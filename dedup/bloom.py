"""Bloom filters: which hashes occurred before, in memory of a fixed size.

The idea: a filter never misses what was put in, and takes some of the rest for known, at a rate that its size decides
(Bloom 1970). Here all bits of one hash lie in one block of 64 bytes, so that a question costs one cache line of a
filter far larger than any cache; the price is a tenth more memory at a rate of 10^-3, a quarter at 10^-5 (Putze,
Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).

A filter by itself depends on the order of arrival: what came first is what is new. So it decides nothing here. Two
passes make it a sieve (`Sieve`): the first marks what occurred before, and the second compares the marked ones
exactly. What is not marked occurs once; what is marked wrongly is only compared. Survivors are then those of the exact
comparison, whatever came first, and also where a hash was fed twice by a retry.

`add` answers for each hash whether it was there before, and puts it in, in one step: no caller can put a hash in and
then find it. (DCLM's filter did so with n-grams, and called nine in ten documents duplicates: its issue 83.)

Hashes are 128 bits, uniform, as `exact` and `paragraphs` make them. rbloom, the best kept library, takes Python objects
one by one; hashes that are arrays already would have to be taken apart for it.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import int64, uint64

from ..console import RequestError, WorkError
from ..text import inline, kernel, mix64
from .paragraph_settings import BloomSettings

BLOCK_BITS = 512
BLOCK_WORDS = BLOCK_BITS // 64
POSITION_BITS = 9  # 512 positions
A_MIX = 64 // POSITION_BITS  # positions out of one 64-bit number
MOST_BITS = 24  # bits a hash sets at most
MOST_BLOCKS = (1 << 32) - 1

MAGIC = f"gristmill bloom 1 {sys.byteorder}\n".encode()
HEADER = 4096
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


# -- how large --------------------------------------------------------------------------------------------------------


def expected_rate(load: float, bits: int) -> float:
    """The false-positive rate with `load` hashes a block on average, each of which sets `bits` bits of it.

    How many a block has is a Poisson variable, and i of them leave a bit of the block clear with probability
    (1-1/512)^(bits x i). The mean of a power is not the power of the mean: the variance of the number of set bits, the
    classical one of balls in urns, adds some percent.
    """
    most = int(load + 12 * math.sqrt(load) + 20)
    count = np.arange(most + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
    weight = np.exp(count * math.log(load) - load - log_factorials) if load > 0 else (count == 0).astype(float)
    thrown = bits * count
    clear = (1.0 - 1.0 / BLOCK_BITS) ** thrown
    pair_clear = (1.0 - 2.0 / BLOCK_BITS) ** thrown
    variance = clear / BLOCK_BITS + (1.0 - 1.0 / BLOCK_BITS) * pair_clear - clear**2  # of the share of set bits
    filled = 1.0 - clear
    spread = bits * (bits - 1) / 2 * np.maximum(variance, 0.0) / np.maximum(filled, 1e-100) ** 2
    return float((weight * np.minimum(filled**bits * (1.0 + spread), 1.0)).sum())


@cache
def _best(rate: float) -> tuple[float, int]:
    """(hashes a block, bits a hash): the least memory for a rate."""
    best = (0.0, 1)
    for bits in range(1, MOST_BITS + 1):
        low, high = 0.0, float(BLOCK_BITS)
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if expected_rate(middle, bits) <= rate else (low, middle)
        best = max(best, (low, bits), key=lambda pair: pair[0])
    return best


def shape(expected: int, rate: float) -> tuple[int, int]:
    """(blocks of 64 bytes, bits a hash) for `expected` different hashes at the false-positive rate `rate`.

    Raises RequestError where that is more than 2^32 blocks, 256 GB.
    """
    load, bits = _best(rate)
    blocks = max(math.ceil(expected / load), 1) if load > 0 else MOST_BLOCKS + 1
    if blocks > MOST_BLOCKS:
        raise RequestError(
            f"a Bloom filter of {expected:,} at a rate of {rate:g} needs more than 256 GB. "
            "Allow a higher rate, or split the hashes among several filters"
        )
    return blocks, bits


# -- the compiled part ------------------------------------------------------------------------------------------------


@inline
def _block(first, blocks):
    """The first word of a hash's block: by the low half of `first`, as the high half may have chosen a partition."""
    return ((first & uint64(0xFFFFFFFF)) * uint64(blocks) >> uint64(32)) * uint64(BLOCK_WORDS)


@inline
def _place(drawn, second, k):
    """(word in the block, bit in the word, what is left of the draw) of bit number k of a hash."""
    if k % A_MIX == 0 and k:
        drawn = mix64(second + uint64(k) * GOLDEN)
    position = drawn & uint64(BLOCK_BITS - 1)
    return position >> uint64(6), position & uint64(63), drawn >> uint64(POSITION_BITS)


@kernel
def _add(words, blocks, bits, hashes, known):
    """Was each hash there, and now it is: the number that were not."""
    new = int64(0)
    for i in range(len(hashes)):
        base, second = _block(hashes[i, 0], blocks), hashes[i, 1]
        drawn, missing = second, uint64(0)
        for k in range(bits):
            word, bit, drawn = _place(drawn, second, k)
            missing |= (uint64(1) << bit) & ~words[base + word]
            words[base + word] |= uint64(1) << bit
        known[i] = missing == uint64(0)
        new += missing != uint64(0)
    return new


@kernel
def _contains(words, blocks, bits, hashes, known):
    for i in range(len(hashes)):
        base, second = _block(hashes[i, 0], blocks), hashes[i, 1]
        drawn, missing = second, uint64(0)
        for k in range(bits):
            word, bit, drawn = _place(drawn, second, k)
            missing |= ~(words[base + word] >> bit) & uint64(1)
        known[i] = missing == uint64(0)


@kernel
def _rate_by_bits(words, bits):
    total = 0.0
    for block in range(len(words) // BLOCK_WORDS):
        ones = 0
        for k in range(BLOCK_WORDS):
            x = words[block * BLOCK_WORDS + k]
            x = x - ((x >> uint64(1)) & uint64(0x5555555555555555))
            x = (x & uint64(0x3333333333333333)) + ((x >> uint64(2)) & uint64(0x3333333333333333))
            x = (x + (x >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
            ones += int64((x * uint64(0x0101010101010101)) >> uint64(56))
        total += (ones / BLOCK_BITS) ** bits
    return total / (len(words) // BLOCK_WORDS)


# -- the filter -------------------------------------------------------------------------------------------------------


class BloomFilter:
    """A blocked Bloom filter of 128-bit hashes.

    Any threads may ask; only one adds at a time (a lock sees to it). `about` says what is hashed and how (the settings
    the hashes follow from): a saved filter is opened only by who says the same.
    """

    def __init__(self, expected: int, rate: float, about: str = "", scratch: Path | None = None):
        """Empty, for `expected` different hashes at the false-positive rate `rate`.

        With a `scratch` path its memory is that file, mapped, removed with the filter: the machine may then page it
        out. Bits are all that is needed, so nothing of it must reach a disk.
        """
        self.expected, self.rate, self.about = expected, rate, about
        self.blocks, self.bits = shape(expected, rate)
        self.count = 0  # hashes that were not known when they were added: nearly how many it holds
        size = self.blocks * BLOCK_WORDS
        if scratch is None:
            self.words = np.zeros(size, np.uint64)
        else:
            self.words = np.memmap(scratch, np.uint64, "w+", shape=(size,))
            os.unlink(scratch)  # the mapping lives on
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of its bits."""
        return self.words.nbytes

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """bool[n]: was each of hashes, uint64[n, 2], there before? From now on it is.

        One after the other: the second of two equal ones in `hashes` was there. In one pass over a corpus this alone
        removes what occurred before, and then WHAT CAME FIRST STAYS and false positives are lost: the survivors depend
        on the order. `Sieve` has neither fault. Raises ValueError for a filter opened to be read.
        """
        if not self.words.flags.writeable:
            raise ValueError("this Bloom filter was opened to be read; load it to add to it")
        known = np.empty(len(hashes), bool)
        with self._lock:
            self.count += _add(self.words, self.blocks, self.bits, hashes, known)
        return known

    def contains(self, hashes: np.ndarray) -> np.ndarray:
        """bool[n]: is each of hashes, uint64[n, 2], in it? True for all that are, and for some that are not."""
        known = np.empty(len(hashes), bool)
        _contains(self.words, self.blocks, self.bits, hashes, known)
        return known

    def merge(self, other: BloomFilter) -> None:
        """Put in all that is in another filter of the same shape; `count` is then at most the truth.

        Raises ValueError where the shapes differ.
        """
        self._same_shape(other)
        with self._lock:
            np.bitwise_or(self.words, other.words, out=self.words)
            self.count = max(self.count, other.count)

    def _same_shape(self, other: BloomFilter) -> None:
        mine, theirs = ((f.blocks, f.bits, f.about) for f in (self, other))
        if mine != theirs:
            raise ValueError(f"Bloom filters of different kinds: blocks, bits and contents {mine} and {theirs}")

    # How wrong it is

    def rate_by_bits(self) -> float:
        """The false-positive rate measured on its bits: the chance of a hash drawn at random to find all of its set."""
        return float(_rate_by_bits(self.words, self.bits))

    def rate_by_probes(self, probes: int = 1 << 20, seed: int = 0) -> float:
        """The false-positive rate measured by asking: the share of `probes` random hashes, none of them put in."""
        draw = np.random.default_rng([seed, 0xB100])
        found = 0
        for start in range(0, probes, 1 << 20):
            size = (min(1 << 20, probes - start), 2)
            found += int(self.contains(draw.integers(0, 1 << 64, size, dtype=np.uint64)).sum())
        return found / probes

    # On disk

    def save(self, path: Path) -> None:
        """Write it to `path`, beside it first and then renamed: there is all of it or what was there before."""
        meta = {"expected": self.expected, "rate": self.rate, "about": self.about, "count": self.count}
        head = MAGIC + json.dumps(meta | {"blocks": self.blocks, "bits": self.bits}).encode()
        if len(head) > HEADER:
            raise ValueError(f"{path}: {len(head)} bytes of header; at most {HEADER}")
        aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        try:
            with open(aside, "wb") as file:
                file.write(head.ljust(HEADER))
                file.write(self.words.data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path, about: str = "") -> BloomFilter:
        """A saved filter, mapped read-only: all processes share its pages.

        Raises WorkError for a file that is no filter or cut short, RequestError for one about something else.
        """
        made, _ = cls._read_header(path, about)
        made.words = np.memmap(path, np.uint64, "r", HEADER, (made.blocks * BLOCK_WORDS,))
        return made

    @classmethod
    def load(cls, path: Path, about: str = "") -> BloomFilter:
        """A saved filter, read into memory, to add to. Raises as `open` does."""
        made, size = cls._read_header(path, about)
        made.words = np.fromfile(path, np.uint64, size // 8, offset=HEADER)
        return made

    @classmethod
    def _read_header(cls, path: Path, about: str) -> tuple[BloomFilter, int]:
        damaged = WorkError(f"{path}: not a Bloom filter of this version, or damaged; make it again")
        with open(path, "rb") as file:
            head = file.read(HEADER)
            size = os.fstat(file.fileno()).st_size - HEADER
        try:
            if not head.startswith(MAGIC):
                raise damaged
            told: dict[str, Any] = json.loads(head[len(MAGIC) :])
            made = cls.__new__(cls)
            made.expected, made.rate, made.about = told["expected"], told["rate"], told["about"]
            made.blocks, made.bits, made.count = told["blocks"], told["bits"], told["count"]
        except (ValueError, KeyError, TypeError):
            raise damaged from None
        if size != made.blocks * BLOCK_WORDS * 8 or not 1 <= made.bits <= MOST_BITS:
            raise damaged
        if made.about != about:
            raise RequestError(f"{path}: a Bloom filter of {made.about!r}; asked for one of {about!r}")
        made._lock = threading.Lock()
        return made, size


class Sieve:
    """Which hashes occur more than once: marked in a first pass, asked in a second, none of them missed.

    A hash that occurs once is marked with a chance of about the rate; `repeated` is thus a reason to compare exactly,
    and not a verdict. Which are marked wrongly depends on the order of arrival, and nothing else does.
    """

    def __init__(self, settings: BloomSettings, about: str = ""):
        self.once = BloomFilter(settings.expected, settings.rate, about)
        self.more = BloomFilter(settings.expected_repeated or -(-settings.expected // 4), settings.rate, about)
        self.marked = 0  # hashes so far, equal ones counted each time

    @property
    def nbytes(self) -> int:
        """Bytes of both filters."""
        return self.once.nbytes + self.more.nbytes

    def mark(self, hashes: np.ndarray) -> None:
        """First pass: hashes uint64[n, 2] of any part of the corpus. A part fed twice only makes more work later."""
        self.more.add(hashes[self.once.add(hashes)])
        self.marked += len(hashes)

    def rate_by_bits(self) -> float:
        """The most that a hash that occurs once has as its chance to be let through, measured on the bits."""
        return 1.0 - (1.0 - self.once.rate_by_bits()) * (1.0 - self.more.rate_by_bits())

    def let_through(self) -> int:
        """How many of the marked hashes, equal ones counted each time, `repeated` lets through: about so many at most.

        Each time but the first that one occurs it was known; what `more` mistakes comes on top.
        """
        known = self.marked - self.once.count
        return min(self.marked, 2 * known + math.ceil(self.more.rate_by_bits() * self.once.count))

    def too_low(self) -> dict[str, int]:
        """The settings that were too low, and what they should exceed: where a rate is more than twice the one asked.

        A first filter that is too full marks others as repeated, up to its rate; these the second is not blamed for.
        """
        once, more = self.once.rate_by_bits(), self.more.rate_by_bits()
        repeated = self.more.count - int(once * self.marked)
        found = {"expected": self.once.count} if once > 2 * self.once.rate else {}
        if more > 2 * self.more.rate and repeated > self.more.expected:
            found["expected_repeated"] = repeated
        return found

    def repeated(self, hashes: np.ndarray) -> np.ndarray:
        """bool[n], second pass: True for every hash that occurs more than once, and for a few others."""
        return self.more.contains(hashes)
