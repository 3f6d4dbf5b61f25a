"""MinHash signatures: K minima that agree, in expectation, in the share of the Jaccard similarity of two shingle sets.

The idea: for each of K random permutations of the 32-bit numbers keep the smallest image of any shingle of a document.
Two documents agree in one minimum with probability |A and B| / |A or B| (Broder 1997). The permutations are
datasketch's default since version 2, `affine32`: the shingle's hash through MurmurHash3's 32-bit finaliser, then
a*h + b modulo 2^32 with odd a, both drawn by `numpy.random.RandomState(seed)`. Given the same 32-bit shingle hashes the
signatures are datasketch's bit for bit, and `datasketch.MinHash(hashvalues=row, seed=seed, scheme="affine32")` reads
them. The shingle hashes are our own (the upper half of the 64 bits that `shingles` makes), so signatures that
datasketch made of text, by SHA-1, are another family and not comparable by value.

The trade-off: 32 bits keep a signature at 4 K bytes and the inner loop in vector registers; sets of many millions of
shingles fill 2^32 values and look more alike than they are, which is one reason to verify pairs with 64 bits.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import uint32, uint64

from ..document import text_buffers
from ..text import kernel, mix32
from .settings import MinHashSettings
from .shingles import BLOCK, SPARE, lower_table, next_shingles

EMPTY = np.uint32(0xFFFFFFFF)  # every value of the signature of a document without shingles
LANES = 16  # permutations are padded to a multiple: the scalar tail of a vector loop costs more than the padding


def permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b), each uint32[count]: the permutations h -> a*h + b mod 2^32, drawn as datasketch draws them."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


@kernel
def _lower_minima(hashes, count, a, b, minima):
    """Lower `minima` by the images of hashes[:count]; `hashes` needs SPARE room behind, which is overwritten.

    Eight shingles a pass over the minima, so that these are read and written an eighth as often. The last eight are
    filled up with a copy of the last one: a minimum does not mind.
    """
    if count == 0:
        return
    for j in range(count, count + SPARE):
        hashes[j] = hashes[count - 1]
    for i in range(0, count, 8):
        h0 = mix32(uint32(hashes[i] >> uint64(32)))
        h1 = mix32(uint32(hashes[i + 1] >> uint64(32)))
        h2 = mix32(uint32(hashes[i + 2] >> uint64(32)))
        h3 = mix32(uint32(hashes[i + 3] >> uint64(32)))
        h4 = mix32(uint32(hashes[i + 4] >> uint64(32)))
        h5 = mix32(uint32(hashes[i + 5] >> uint64(32)))
        h6 = mix32(uint32(hashes[i + 6] >> uint64(32)))
        h7 = mix32(uint32(hashes[i + 7] >> uint64(32)))
        for k in range(len(minima)):
            ak, bk = a[k], b[k]
            v01 = min(uint32(ak * h0 + bk), uint32(ak * h1 + bk))
            v23 = min(uint32(ak * h2 + bk), uint32(ak * h3 + bk))
            v45 = min(uint32(ak * h4 + bk), uint32(ak * h5 + bk))
            v67 = min(uint32(ak * h6 + bk), uint32(ak * h7 + bk))
            minima[k] = min(minima[k], min(min(v01, v23), min(v45, v67)))


@kernel
def _signatures(data, offsets, table, ngram, a, b, out):
    words = np.empty(BLOCK, np.uint64)
    hashes = np.empty(BLOCK + SPARE, np.uint64)
    minima = np.empty(len(a), np.uint32)
    for d in range(len(offsets) - 1):
        minima[:] = EMPTY
        start, end = offsets[d], offsets[d + 1]
        at, held = start, 0
        while at < end:
            made, held, at = next_shingles(data, at, start, end, table, ngram, words, held, hashes)
            _lower_minima(hashes, made, a, b, minima)
        for k in range(out.shape[1]):
            out[d, k] = minima[k]


def signatures(texts: pa.Array | pa.ChunkedArray, settings: MinHashSettings) -> np.ndarray:
    """uint32[n, K]: the signature of each document; all EMPTY where it has no words.

    `texts` must be valid UTF-8, as Arrow strings made of Python text are. Runs without the GIL, on one core.
    """
    data, offsets = text_buffers(texts)
    a, b = permutations(settings.permutations, settings.seed)
    padding = -len(a) % LANES
    out = np.empty((len(offsets) - 1, len(a)), np.uint32)
    _signatures(data, offsets, lower_table(), settings.ngram, np.pad(a, (0, padding)), np.pad(b, (0, padding)), out)
    return out
