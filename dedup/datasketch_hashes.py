"""The 32-bit hashes that datasketch makes of shingles: SHA-1 (its default) and xxHash, of their UTF-8.

The idea: signatures of these hashes are datasketch's bit for bit, so that sketches made there and here can be compared.
A shingle is a stretch of the joined text, and is hashed where it stands. SHA-1 is computed for LANES shingles at once,
each in a lane of the vector registers; shingles of one document are nearly equal in length, so lanes seldom wait.

The trade-off: whole signatures take twice (XXH32) and four times (SHA-1) as long as with the hashes of `shingles`,
which is why those are the default; and a lane that waits is computed in vain, so that one very long shingle costs as
much as LANES of them.

SHA-1 is FIPS 180-4; datasketch takes the first four bytes of the digest as a little-endian number
(`datasketch.hashfunc.sha1_hash32`). xxHash is Collet's XXH32 with seed 0, as `xxhash.xxh32_intdigest` gives it.
"""

from __future__ import annotations

import numpy as np
from numba import uint32, uint64

from ..text import inline, kernel, load32

LANES = 64

# The constant that is added in each twenty rounds of SHA-1
ROUND_CONSTANTS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0], np.uint32)

P1, P2, P3 = np.uint32(2654435761), np.uint32(2246822519), np.uint32(3266489917)  # the primes of XXH32
P4, P5 = np.uint32(668265263), np.uint32(374761393)


@inline
def _rotate(x, by):
    return uint32((x << uint32(by)) | (x >> uint32(32 - by)))


@inline
def _swapped(x):
    outer, inner = (x >> uint32(24)) | (x << uint32(24)), ((x >> uint32(8)) & uint32(0xFF00))
    return uint32(outer | inner | ((x & uint32(0xFF00)) << uint32(8)))


@kernel
def _message(text, start, end, block, lane, words):
    """Block number `block` of the padded message text[start:end] into words[:16, lane]."""
    at = start + 64 * block
    for i in range(16):
        left = end - at
        if left >= 4:
            words[i, lane] = _swapped(load32(text, at))
        elif left >= 0:
            bits = uint32(8 * left)
            kept = _swapped(load32(text, at)) & ~uint32(uint32(0xFFFFFFFF) >> bits)
            words[i, lane] = kept | (uint32(0x80000000) >> bits)
        else:
            words[i, lane] = 0
        at += 4
    if end + 9 <= start + 64 * (block + 1):  # the last block ends with the length in bits
        bits = uint64(8 * (end - start))
        words[14, lane] = uint32(bits >> uint64(32))
        words[15, lane] = uint32(bits)


@inline
def _chosen(part, b, c, d):
    if part == 0:
        return uint32(d ^ (b & (c ^ d)))
    if part == 2:
        return uint32((b & c) | (d & (b | c)))
    return uint32(b ^ c ^ d)


@inline
def _sum(a, f, e, k, word):
    return uint32(uint32(uint32(uint32(_rotate(a, 5) + f) + e) + k) + word)


@kernel
def _five_rounds(part, t, words, work):
    """Rounds t to t + 4, after which the five variables are in their places again."""
    k = uint32(ROUND_CONSTANTS[part])
    for i in range(LANES):
        a, b, c, d, e = work[0, i], work[1, i], work[2, i], work[3, i], work[4, i]
        e, b = _sum(a, _chosen(part, b, c, d), e, k, words[t, i]), _rotate(b, 30)
        d, a = _sum(e, _chosen(part, a, b, c), d, k, words[t + 1, i]), _rotate(a, 30)
        c, e = _sum(d, _chosen(part, e, a, b), c, k, words[t + 2, i]), _rotate(e, 30)
        b, d = _sum(c, _chosen(part, d, e, a), b, k, words[t + 3, i]), _rotate(d, 30)
        a, c = _sum(b, _chosen(part, c, d, e), a, k, words[t + 4, i]), _rotate(c, 30)
        work[0, i], work[1, i], work[2, i], work[3, i], work[4, i] = a, b, c, d, e


@kernel
def _compress(words, state, work):
    """One block in all lanes: `words` uint32[80, LANES] (the first 16 given), `state` and `work` uint32[5, LANES]."""
    for t in range(16, 80):
        for i in range(LANES):
            words[t, i] = _rotate(words[t - 3, i] ^ words[t - 8, i] ^ words[t - 14, i] ^ words[t - 16, i], 1)
    for j in range(5):
        for i in range(LANES):
            work[j, i] = state[j, i]
    for t in range(0, 80, 5):
        _five_rounds(t // 20, t, words, work)
    for j in range(5):
        for i in range(LANES):
            work[j, i] = uint32(work[j, i] + state[j, i])


@kernel
def sha1_shingles(text, edges, made, size, words, hashes):
    """datasketch's SHA-1 of `made` shingles of `size` words or characters each, shifted up by 32 bits, to `hashes`.

    `text` and `edges` as `shingles.next_units` gives them, of a joined text; `hashes` uint64; `words` is
    `sha1_scratch()`, which is overwritten.
    """
    words, state, work = words[:80], words[80:85], words[85:]
    for low in range(0, made, LANES):
        count = min(LANES, made - low)
        blocks = 0
        for lane in range(count):
            start, end = edges[2 * (low + lane)], edges[2 * (low + lane + size) - 1]
            blocks = max(blocks, (end - start + 8) // 64 + 1)
        for j in range(5):
            state[j] = START[j]
        for block in range(blocks):
            for lane in range(count):
                _message(text, edges[2 * (low + lane)], edges[2 * (low + lane + size) - 1], block, lane, words)
            _compress(words, state, work)
            for lane in range(count):
                start, end = edges[2 * (low + lane)], edges[2 * (low + lane + size) - 1]
                if block < (end - start + 8) // 64 + 1:
                    for j in range(5):
                        state[j, lane] = work[j, lane]
        for lane in range(count):
            hashes[low + lane] = uint64(_swapped(state[0, lane])) << uint64(32)


def sha1_scratch() -> np.ndarray:
    """uint32[90, LANES]: what `sha1_shingles` works in."""
    return np.zeros((90, LANES), np.uint32)


@inline
def _lane(v, word):
    return uint32(_rotate(uint32(v + uint32(word * P2)), 13) * P1)


@kernel
def _xxh32(text, at, end):
    size = uint32(end - at)
    if end - at >= 16:
        v1, v2, v3, v4 = uint32(P1 + P2), P2, uint32(0), uint32(uint32(0) - P1)
        while at + 16 <= end:
            v1, v2 = _lane(v1, load32(text, at)), _lane(v2, load32(text, at + 4))
            v3, v4 = _lane(v3, load32(text, at + 8)), _lane(v4, load32(text, at + 12))
            at += 16
        h = uint32(uint32(_rotate(v1, 1) + _rotate(v2, 7)) + uint32(_rotate(v3, 12) + _rotate(v4, 18)))
    else:
        h = P5
    h = uint32(h + size)
    while at + 4 <= end:
        h = uint32(_rotate(uint32(h + uint32(load32(text, at) * P3)), 17) * P4)
        at += 4
    while at < end:
        h = uint32(_rotate(uint32(h + uint32(uint32(text[at]) * P5)), 11) * P1)
        at += 1
    h = uint32(uint32(h ^ (h >> uint32(15))) * P2)
    h = uint32(uint32(h ^ (h >> uint32(13))) * P3)
    return uint32(h ^ (h >> uint32(16)))


@kernel
def xxh32_shingles(text, edges, made, size, hashes):
    """As `sha1_shingles`, by XXH32."""
    for i in range(made):
        hashes[i] = uint64(_xxh32(text, edges[2 * i], edges[2 * (i + size) - 1])) << uint64(32)
