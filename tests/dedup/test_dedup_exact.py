"""Exact duplicates: the hash against hashlib on Python strings, the groups against a dictionary."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.exact import NO_URL, content_hash, group_duplicates, has_url, url_hash
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


@given(st.lists(st.text(st.characters(max_codepoint=0x24F)), max_size=8), st.sampled_from(["text", "ccnet"]))
def test_the_hash_of_a_normalised_text(texts, form):
    """`text` against unicodedata and str; both by what they leave equal."""
    got = digests(content_hash(pa.array(texts, pa.string()), form))
    if form == "text":
        spelled = (unicodedata.normalize("NFD", text) for text in texts)
        spelled = [" ".join("".join(c.lower() for c in text).split()) for text in spelled]
        expected = [hashlib.blake2b(text.encode(), digest_size=16, person=b"text").digest() for text in spelled]
        assert got == expected
    same = [" \n" + unicodedata.normalize("NFC", text).upper().lower().replace(" ", "\t ") + " " for text in texts]
    again = digests(content_hash(pa.array(same, pa.large_string()), form))
    simple = [text.isascii() for text in texts]  # elsewhere upper and lower are no inverses
    assert [h for h, s in zip(again, simple, strict=True) if s] == [h for h, s in zip(got, simple, strict=True) if s]


def test_what_each_form_tells_apart():
    pairs = {
        "case": ("A Text", "a text"),
        "space": ("a text", " a\n\u2003text "),
        "composition": ("caf\u00e9", "cafe\u0301"),
        "accent": ("caf\u00e9", "cafe"),
        "digits": ("page 12", "page 34"),
        "punctuation": ("a text", "\u201ca text\u201d..."),
        "letters": ("a text", "a test"),
    }
    left, right = (pa.array(side) for side in zip(*pairs.values(), strict=True))
    equal = {}
    for form in ("raw", "text", "ccnet"):
        found = (content_hash(left, form) == content_hash(right, form)).all(axis=1)
        equal[form] = [name for name, same in zip(pairs, found, strict=True) if same]
    assert equal == {"raw": [], "text": [*pairs][:3], "ccnet": [*pairs][:6]}
    forms = [digests(content_hash(left[5:6], form))[0] for form in ("raw", "text", "ccnet")]
    assert len({*forms, digests(url_hash(left[5:6]))[0]}) == 4  # the same bytes, and never one for the other


def test_addresses():
    urls = pa.chunked_array([pa.array(["http://a.example/", None, ""]), pa.array(["http://a.example/", "b"])])
    hashes = url_hash(urls)
    assert has_url(hashes).tolist() == [True, False, False, True, True]
    assert (hashes[0] == hashes[3]).all()
    assert (hashes[1:3] == NO_URL).all()
    assert digests(hashes)[4] == hashlib.blake2b(b"b", digest_size=16, person=b"url").digest()
    rows = np.flatnonzero(has_url(hashes))
    key = np.stack([np.zeros(3), [5, 4, 3]], axis=1).astype(np.uint64)
    drop, kept = group_duplicates(hashes[rows], np.zeros(3, np.int64), key, rows)
    assert (rows[drop].tolist(), rows[kept].tolist()) == ([0], [3])
    assert url_hash(pa.array([], pa.string())).shape == (0, 2)


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
