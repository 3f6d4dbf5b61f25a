"""Exact duplicates: equal text, byte for byte.

The idea: 128 bits of BLAKE2b stand for the text, so only hashes travel; 10^12 different documents hold a clash with a
chance of 1 in 10^15. In a group of equal hashes the record that is smallest by (rank, key) stays, whatever order they
came in. The trade-off: one hash call a document, about a microsecond and 1 GB/s.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ..document import text_buffers

HASH_BYTES = 16


def content_hash(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """uint64[n, 2]: BLAKE2b-128 of each document's UTF-8 bytes, as big-endian words: rows compare as digests do.

    `texts` is a string or large_string column; a null hashes as the empty text.
    """
    data, offsets = text_buffers(texts)
    view = memoryview(data)
    digests = b"".join(
        hashlib.blake2b(view[start:end], digest_size=HASH_BYTES).digest() for start, end in pairwise(offsets.tolist())
    )
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)


def group_duplicates(
    content: np.ndarray, rank: np.ndarray, key: np.ndarray, handle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Who is dropped, and in whose favour.

    `content` uint64[n, 2] as `content_hash` gives it; `rank` int64[n], smaller stays; `key` uint64[n, 2] as
    `document.key_words` gives it; `handle` int64[n] decides only between records equal in every field. All records of
    one content must be here, in any order.

    Returns (drop int64[d], kept int64[d]): position drop[i], ascending, is a copy of position kept[i], which stays.
    """
    order = np.lexsort((handle, key[:, 1], key[:, 0], rank, content[:, 1], content[:, 0]))
    if len(order) == 0:
        return order, order
    ordered = content[order]
    first = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    kept = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    drop, kept = order[~first], kept[~first]
    by_position = np.argsort(drop)
    return drop[by_position], kept[by_position]
