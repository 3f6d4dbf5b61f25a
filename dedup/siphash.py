"""SipHash-2-4 with 128 bits of output: the hash of a span of bytes, inside a compiled loop.

The idea: paragraphs are too many for a call of Python each, and 64 bits are too few to trust without looking at the
text again: among 10^12 different paragraphs 27,000 pairs would clash at 64 bits, and at 128 bits one, with a chance of
1.5 in 10^15. SipHash is a pseudo-random function of few steps a word and has published test vectors. The trade-off:
1 to 1.5 GB/s, a third of the fastest hashes, which promise less. Its promise holds against whoever does not know the
key: with a public one clashes may be made on purpose.

Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012); the 128-bit form is of their reference code.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numba import uint64

from ..text import inline, kernel


def key_of(seed: int, purpose: str) -> tuple[np.uint64, np.uint64]:
    """The key (two words) that a seed stands for; another purpose has another key."""
    digest = hashlib.blake2b(f"{purpose}/{seed}".encode(), digest_size=16).digest()
    first, second = np.frombuffer(digest, "<u8").astype(np.uint64)
    return first, second


@inline
def _word(data, i):
    """Eight bytes, little-endian; the compiler makes one load of it."""
    low = uint64(data[i]) | (uint64(data[i + uint64(1)]) << uint64(8)) | (uint64(data[i + uint64(2)]) << uint64(16))
    low |= (uint64(data[i + uint64(3)]) << uint64(24)) | (uint64(data[i + uint64(4)]) << uint64(32))
    low |= (uint64(data[i + uint64(5)]) << uint64(40)) | (uint64(data[i + uint64(6)]) << uint64(48))
    return low | (uint64(data[i + uint64(7)]) << uint64(56))


@inline
def _left(x, bits):
    return (x << uint64(bits)) | (x >> uint64(64 - bits))


@inline
def _round(v0, v1, v2, v3):
    v0 += v1
    v1 = _left(v1, 13) ^ v0
    v0 = _left(v0, 32)
    v2 += v3
    v3 = _left(v3, 16) ^ v2
    v0 += v3
    v3 = _left(v3, 21) ^ v0
    v2 += v1
    v1 = _left(v1, 17) ^ v2
    v2 = _left(v2, 32)
    return v0, v1, v2, v3


@kernel
def siphash(data, start, end, key0, key1):
    """(first, second): the 128 bits of data[start:end], uint8, as two little-endian words, under (key0, key1)."""
    v0 = key0 ^ uint64(0x736F6D6570736575)
    v1 = key1 ^ uint64(0x646F72616E646F6D) ^ uint64(0xEE)
    v2 = key0 ^ uint64(0x6C7967656E657261)
    v3 = key1 ^ uint64(0x7465646279746573)
    i, stop = uint64(start), uint64(end)  # an unsigned index needs no look at its sign
    length = stop - i
    whole = i + (length & ~uint64(7))
    while i < whole:
        word = _word(data, i)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        i += uint64(8)
    word = length << uint64(56)
    shift = uint64(0)
    while i < stop:
        word |= uint64(data[i]) << shift
        shift += uint64(8)
        i += uint64(1)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= uint64(0xEE)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= uint64(0xDD)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return first, v0 ^ v1 ^ v2 ^ v3
