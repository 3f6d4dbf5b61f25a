"""Exact duplicates: the hash against hashlib on Python strings, the groups against a dictionary."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.exact import content_hash, group_duplicates
from hypothesis import given
from hypothesis import strategies as st


def digests(words: np.ndarray) -> list[bytes]:
    return [row.astype(">u8").tobytes() for row in words]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(texts=st.lists(st.text(), max_size=8))
def test_the_hash_is_blake2b_of_the_bytes(kind, texts):
    expected = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    assert digests(content_hash(pa.array(texts, kind))) == expected
    assert digests(content_hash(pa.array(["before", *texts, "after"], kind)[1:-1])) == expected


def test_chunks_and_nulls_are_read():
    column = pa.chunked_array([pa.array(["a", None]), pa.array(["a"])])
    a, empty = (hashlib.blake2b(data, digest_size=16).digest() for data in (b"a", b""))
    assert digests(content_hash(column)) == [a, empty, a]


records = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 2), st.integers(0, 2)), max_size=40)


@given(records, st.randoms(use_true_random=False))
def test_the_smallest_of_each_content_stays_in_any_order(rows, random):
    rows = [(*row, handle) for handle, row in enumerate(rows)]
    random.shuffle(rows)
    table = np.array(rows, np.int64).reshape(-1, 5)
    content = np.stack([table[:, 0] // 2, table[:, 0]], axis=1).astype(np.uint64)
    drop, kept = group_duplicates(content, table[:, 1], table[:, 2:4].astype(np.uint64), table[:, 4])

    smallest = {}
    for row in rows:
        smallest[row[0]] = min(smallest.get(row[0], row), row)
    expected = [(row, smallest[row[0]]) for row in rows if row != smallest[row[0]]]
    assert [(tuple(table[d]), tuple(table[k])) for d, k in zip(drop, kept, strict=True)] == expected


def test_keys_compare_as_unsigned():
    key = np.array([[1 << 63, 0], [1, 0]], np.uint64)
    same = np.zeros((2, 2), np.uint64)
    drop, kept = group_duplicates(same, np.zeros(2, np.int64), key, np.arange(2))
    assert (drop.tolist(), kept.tolist()) == ([0], [1])
