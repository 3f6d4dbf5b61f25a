"""Text as the compiled loops see it: UTF-8 bytes to code points, and the mixing that turns words into hashes.

Kernels over Arrow string buffers (see `document.text_buffers`) live in the rooms; the few lines they share live here.
They trust their input to be valid UTF-8, as Arrow strings built from Python text are. `njit` as used in this project:
no GIL, cached on disk, no bounds checks (set NUMBA_BOUNDSCHECK=1 to put them back in a test).
"""

from __future__ import annotations

from functools import partial

import numba
from numba import uint32, uint64

kernel = partial(numba.njit, nogil=True, cache=True, boundscheck=False)
inline = partial(numba.njit, inline="always")


@inline
def decode(data, i):
    """(code point, index of the next one) at data[i] of valid UTF-8."""
    c = uint32(data[i])
    if c < uint32(0x80):
        return c, i + 1
    if c < uint32(0xE0):
        return ((c & uint32(0x1F)) << uint32(6)) | (uint32(data[i + 1]) & uint32(0x3F)), i + 2
    if c < uint32(0xF0):
        high = ((c & uint32(0x0F)) << uint32(12)) | ((uint32(data[i + 1]) & uint32(0x3F)) << uint32(6))
        return high | (uint32(data[i + 2]) & uint32(0x3F)), i + 3
    high = ((c & uint32(7)) << uint32(18)) | ((uint32(data[i + 1]) & uint32(0x3F)) << uint32(12))
    return high | ((uint32(data[i + 2]) & uint32(0x3F)) << uint32(6)) | (uint32(data[i + 3]) & uint32(0x3F)), i + 4


@inline
def mix64(h):
    """MurmurHash3's 64-bit finaliser (Appleby, public domain): every input bit moves every output bit."""
    h ^= h >> uint64(33)
    h *= uint64(0xFF51AFD7ED558CCD)
    h ^= h >> uint64(33)
    h *= uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> uint64(33)
    return h


@inline
def mix32(h):
    """MurmurHash3's 32-bit finaliser; every step is cut to 32 bits, since Numba widens."""
    h = uint32(h ^ (h >> uint32(16)))
    h = uint32(h * uint32(0x85EBCA6B))
    h = uint32(h ^ (h >> uint32(13)))
    h = uint32(h * uint32(0xC2B2AE35))
    return uint32(h ^ (h >> uint32(16)))
