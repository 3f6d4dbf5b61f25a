"""MinHash signatures: K minima that agree, in expectation, in the share of the Jaccard similarity of two shingle sets.

The idea: for each of K random permutations of the 32-bit numbers keep the smallest image of any shingle of a document.
Two documents agree in one minimum with probability |A and B| / |A or B| (Broder 1997). The permutations are
datasketch's default since version 2, `affine32`: the shingle's hash through MurmurHash3's 32-bit finaliser, then
a*h + b modulo 2^32 with odd a, both drawn by `numpy.random.RandomState(seed)`. Schemes differ in the hash:

- `fast`: the upper half of the 64 bits that `shingles` makes. Given these, datasketch's `hashvalues` are the same.
- `datasketch-sha1`, `datasketch-xxh32`: datasketch's default hash, or XXH32, of the shingle in UTF-8. A signature is
  bit for bit that of `datasketch.MinHash`, so that sketches made there and here may be compared.
- `datasketch-legacy`: SHA-1 and the permutations of datasketch before version 2, of other tools as well:
  (a*h + b mod 2^64) mod 2^61 - 1, its lower 32 bits.

`datasketch.MinHash(hashvalues=row, seed=seed, scheme="affine32")` reads a row of the first three,
`MinHash(hashvalues=row.astype("u8"), seed=seed, scheme="legacy")` of the last. Rows of different schemes, seeds or
lengths are not comparable by value.

The trade-off: 32 bits keep a signature at 4 K bytes and the inner loop in vector registers; sets of many millions of
shingles fill 2^32 values and look more alike than they are, which is one reason to verify pairs with 64 bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
from numba import uint32, uint64

from ..document import text_buffers
from ..text import kernel, mix32
from .datasketch_hashes import sha1_scratch, sha1_shingles, xxh32_shingles
from .normalise import rule
from .settings import MinHashSettings
from .shingles import EDGES, SPARE, carry, next_units, prepare, roll, scratch, windows

EMPTY = np.uint32(0xFFFFFFFF)  # every value of the signature of a document without shingles
LANES = 16  # permutations are padded to a multiple: the scalar tail of a vector loop costs more than the padding

MERSENNE = np.uint64((1 << 61) - 1)
ROLLED, SHA1, XXH32 = 0, 1, 2  # hashes of shingles
HASHES = {"fast": ROLLED, "datasketch-sha1": SHA1, "datasketch-xxh32": XXH32, "datasketch-legacy": SHA1}


def permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b), each uint32[count]: the permutations h -> a*h + b mod 2^32, drawn as datasketch draws them."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


def legacy_permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b), each uint64[count], as datasketch before version 2 draws them."""
    generator = np.random.RandomState(seed)
    drawn = [
        (generator.randint(1, MERSENNE, dtype=np.uint64), generator.randint(0, MERSENNE, dtype=np.uint64))
        for _ in range(count)
    ]
    a, b = np.array(drawn, np.uint64).reshape(-1, 2).T
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


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
def _lower_legacy(hashes, count, a, b, minima):
    """The same with the permutations before version 2, whose product wraps modulo 2^64 first."""
    for i in range(count):
        h = hashes[i] >> uint64(32)
        for k in range(len(minima)):
            x = a[k] * h + b[k]
            x = (x & MERSENNE) + (x >> uint64(61))
            x = x - MERSENNE if x >= MERSENNE else x
            minima[k] = min(minima[k], uint32(x & uint64(EMPTY)))


@kernel
def _signatures(data, offsets, rule, characters, ngram, hashing, legacy, a, b, wide_a, wide_b, text, spare, sha1, out):
    edges = np.empty(EDGES, np.int64)
    units = np.empty(EDGES // 2, np.uint64)
    hashes = np.empty(EDGES // 2 + SPARE, np.uint64)
    minima = np.empty(max(len(a), len(wide_a)), np.uint32)
    for d in range(len(offsets) - 1):
        minima[:] = EMPTY
        length = prepare(data, offsets[d], offsets[d + 1], rule, characters or hashing != ROLLED, edges, text, spare)
        at, inside, held, first = 0, uint64(0), 0, True
        while at < length:
            held, at, inside = next_units(text, length, at, inside, characters, edges, held)
            made, size = windows(held // 2, ngram, first)
            if hashing == ROLLED:
                roll(text, edges, units, made, size, hashes)
            elif hashing == SHA1:
                sha1_shingles(text, edges, made, size, sha1, hashes)
            else:
                xxh32_shingles(text, edges, made, size, hashes)
            if legacy:
                _lower_legacy(hashes, made, wide_a, wide_b, minima)
            else:
                _lower_minima(hashes, made, a, b, minima)
            held = carry(edges, held, ngram)
            first = False
        for k in range(out.shape[1]):
            out[d, k] = minima[k]


@cache
def _drawn(count: int, seed: int, legacy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, legacy a, legacy b) as `_signatures` takes them: those of the other kind are empty."""
    narrow = [np.pad(x, (0, -len(x) % LANES)) for x in permutations(0 if legacy else count, seed)]
    return (*narrow, *legacy_permutations(count if legacy else 0, seed))


def signatures(texts: pa.Array | pa.ChunkedArray, settings: MinHashSettings) -> np.ndarray:
    """uint32[n, K]: the signature of each document; all EMPTY where it has no words.

    `texts` must be valid UTF-8, as Arrow strings made of Python text are. Runs without the GIL, on one core.
    """
    data, offsets = text_buffers(texts)
    legacy = settings.scheme == "datasketch-legacy"
    characters, hashing = settings.shingle == "characters", HASHES[settings.scheme]
    tables = rule(settings.lowercase, settings.words == "alphanumeric")
    text, spare = scratch(np.diff(offsets), characters or hashing != ROLLED)
    sha1 = sha1_scratch() if hashing == SHA1 else np.empty((0, 0), np.uint32)
    out = np.empty((len(offsets) - 1, settings.permutations), np.uint32)
    drawn = _drawn(settings.permutations, settings.seed, legacy)
    _signatures(data, offsets, tables, characters, settings.ngram, hashing, legacy, *drawn, text, spare, sha1, out)
    return out


@kernel
def _estimates(signatures, a, b, out):
    for p in range(len(a)):
        equal, empty = 0, 0
        for k in range(signatures.shape[1]):
            x, y = signatures[a[p], k], signatures[b[p], k]
            equal += x == y
            empty += (x & y) == EMPTY
        out[p] = 0.0 if empty == signatures.shape[1] else equal / signatures.shape[1]


def estimates(signatures: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[p]: the estimated Jaccard similarity of documents a[i] and b[i] (int64[p], rows of uint32[n, K]).

    Its standard error is sqrt(J(1-J)/K). Two documents without shingles count as 0, as in `verify.jaccards`.
    """
    out = np.empty(len(a), np.float64)
    _estimates(np.ascontiguousarray(signatures), np.asarray(a, np.int64), np.asarray(b, np.int64), out)
    return out
